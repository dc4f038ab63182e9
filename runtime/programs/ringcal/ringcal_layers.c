/* ringcal --network NET.xml --batches N,...: a profile of a network's layers on this machine.
 *
 * Happy path: the network is read, its layers are measured, a table goes to standard output and the
 * profile to a file, whole or not at all.
 * Failure modes handled: a network that cannot be read, a file that cannot be written (2, before
 * anything is measured); what layer_times.h says; Ctrl-C (130, nothing is written). */
#include "programs/ringcal/ringcal.h"

#include "base/check.h"
#include "base/file.h"
#include "calibrate/layer_times.h"
#include "models/blas.h"
#include "result/human.h"
#include "result/measured_file.h"
#include "scenario/scenario.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Each of several looks at a batch takes so long, if --window does not say otherwise: a step is
 * longer than a kernel. */
#define WINDOW_S       0.6
#define QUICK_WINDOW_S 0.1

/* What a step with that batch takes, and which share of it what part does. */
static void add_row(struct rg_table *table, const struct rg_measured_batch *batch, int layers)
{
    enum { PARTS = 6 };
    double sums[PARTS] = {[4] = batch->loss_s, [5] = batch->fixed_s};
    char text[PARTS + 1][RG_HUMAN], number[16];
    const char *cells[PARTS + 2] = {number};
    for (int l = 0; l < layers; l++) {
        sums[1] += batch->layers[l].forward_s;
        sums[2] += batch->layers[l].backward_s;
        sums[3] += batch->layers[l].update_s;
    }
    for (int i = 1; i < PARTS; i++)
        sums[0] += sums[i];
    snprintf(number, sizeof number, "%d", batch->samples);
    for (int i = 0; i < PARTS; i++)
        cells[1 + i] = rg_human_seconds(sums[i], text[i]);
    cells[1 + PARTS] = rg_human_percent(batch->spread, text[PARTS]);
    rg_table_row(table, cells, NULL);
}

static void show(const struct rg_measured *m, const char *path)
{
    static const char *const head[] = {"batch",  "step", "forward", "backward",
                                       "update", "loss", "fixed",   "spread"};
    struct rg_table table = {.columns = RG_COUNT(head)};
    printf("%s: %s, %s, %d thread%s, %d cop%s, %s\n\n", m->network, m->board, m->program,
           m->threads, m->threads == 1 ? "" : "s", m->copies, m->copies == 1 ? "y" : "ies",
           m->optimizer);
    rg_table_row(&table, head, NULL);
    for (int i = 0; i < m->batch_count; i++)
        add_row(&table, &m->batches[i], m->layer_count);
    rg_table_print(&table, stdout);
    rg_table_free(&table);
    printf("\nthe least of each; spread: of whole steps, their middle half\nwritten to %s\n", path);
}

static int write_profile(const struct rg_measured *m, const struct rg_network *network,
                         const char *path)
{
    struct rg_file file;
    struct rg_error e = {0};
    int err = rg_file_open(&file, path, &e);
    if (err == 0) {
        rg_measured_save(m, network, file.stream);
        err = rg_file_commit(&file, &e);
    }
    return err ? rg_cli_complain("ringcal", err, e.text) : 0;
}

static int measure_layers(struct ringcal *c, const struct rg_cal_pace *pace,
                          const struct rg_network *network, const char *path)
{
    const struct rg_cal_layers want = {.network = network,
                                       .batches = c->batches,
                                       .count = c->batch_count,
                                       .threads = c->threads,
                                       .copies = c->copies,
                                       .optimizer = (enum rg_optimizer_kind)c->optimizer};
    struct rg_cal_machine machine = {0};
    struct rg_measured m;
    struct rg_error e = {0};
    rg_cal_machine(&machine, c->metering.root);
    int err = rg_cal_layers(&want, pace, &m, &e);
    if (!c->quiet && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    if (err)
        return rg_cli_complain("ringcal", err, e.text);
    rg_copy_text(m.board, sizeof m.board, c->name ? c->name : machine.name);
    snprintf(m.program, sizeof m.program, "ringcal %s, OpenBLAS's %s kernels", RG_VERSION,
             rg_blas_kernels());
    int status = write_profile(&m, network, path);
    if (status == 0 && !c->quiet && strcmp(path, "-") != 0)
        show(&m, path);
    rg_measured_free(&m);
    return status;
}

int ringcal_layers(struct ringcal *c, const struct rg_cal_pace *base)
{
    struct rg_network network;
    struct rg_error e = {0};
    struct rg_cal_pace pace = *base;
    char *path = NULL;
    pace.window_s = c->window_s > 0 ? c->window_s : c->quick ? QUICK_WINDOW_S : WINDOW_S;
    int err = rg_network_load(c->network_file, &network, &e);
    if (err == 0 && asprintf(&path, "%s.profile.json", network.name) < 0)
        err = rg_fail(&e, RG_ERR_NOMEM, "out of memory");
    if (err == 0 && !c->json)
        err = rg_file_can_write(path, &e) == 0 ? 0 : RG_ERR_INVALID;
    int status = err ? rg_cli_complain("ringcal", err, e.text)
                     : measure_layers(c, &pace, &network, c->json ? c->json : path);
    free(path);
    rg_network_free(&network);
    return status;
}
