/* ringcal: measure a board (or any machine), and write the datasheet that says what it takes.
 *
 * Happy path: watts, where there is a meter; kernels, beside the other end where there is one;
 * messages to it over the sockets that ringnode uses; the fit, its table, and the files asked for.
 * With --fit all but the measuring, from a file. With --batches the layers of a network instead
 * (ringcal_layers.c).
 * Failure modes handled: outputs that cannot be written are known before anything is measured; a
 * fit that is not good writes no datasheet (status 1, with the part and the reason); no meter, no
 * peer: what is left out is said; a peer that is lost (4); Ctrl-C writes nothing (130). */
#include "programs/ringcal/ringcal.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/cores.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/signals.h"
#include "meters/meter.h"
#include "models/blas.h"
#include "posix/world_posix.h"
#include "scenario/scenario.h"
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define WINDOW_S       0.03
#define PASSES         4
#define QUICK_WINDOW_S 0.004
#define MOST_RESIDUAL  0.35
#define BURN_S         5.0

static struct rg_mesh *volatile mesh_to_stop;
static volatile int stop_join;
static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    if (interrupted) { /* asked twice */
        rg_file_abandon_all();
        _exit(RG_EXIT_INTERRUPTED);
    }
    interrupted = 1;
    stop_join = 1;
    if (mesh_to_stop)
        rg_mesh_interrupt(mesh_to_stop);
}

static void catch_signals(void)
{
    rg_catch_endings(on_interrupt);
    signal(SIGPIPE, SIG_IGN);
}

static bool is_interrupted(void)
{
    return interrupted;
}

static bool is_interrupted_too(void *arg)
{
    (void)arg;
    return interrupted;
}

/* A line every few seconds, or one that stays up to date on a terminal. */
static void show_progress(const char *what, int done, int total)
{
    static double last;
    static const char *last_what;
    double now = rg_clock_s();
    bool screen = isatty(STDERR_FILENO);
    if (last_what == what && now - last < (screen ? 0.2 : 5))
        return;
    last = now;
    last_what = what;
    fprintf(stderr, "%s  measuring %s %d/%d%s", screen ? "\r\033[K" : "", what, done, total,
            screen ? "" : "\n");
}

/* ---- watts ---- */

/* Mean watts while so many cores are busy; 0: none. NAN where the meter does not know. */
static double watts_of(struct rg_meter *meter, int threads, double seconds)
{
    struct rg_energy before, after, whole;
    struct rg_clock_section section = {.begin_s = rg_clock_s()};
    rg_meter_energy(meter, section.begin_s, &before);
    if (threads > 0)
        rg_cal_burn(threads, seconds, is_interrupted);
    else
        rg_meter_idle(meter, seconds, is_interrupted_too, NULL);
    section.end_s = rg_clock_s();
    rg_meter_energy(meter, section.end_s, &after);
    double joules = after.total_J - before.total_J;
    if (!isfinite(joules))
        rg_meter_settle(meter, &section, 1, NULL, &joules, &whole);
    return joules / (section.end_s - section.begin_s);
}

static void measure_watts(struct ringcal *c)
{
    struct rg_meter *meter = NULL;
    struct rg_error e = {0};
    struct rg_cal_power *p = &c->cal.power;
    if (strcmp(c->metering.choice, "none") == 0)
        return;
    int err = rg_meter_open(&c->metering, &meter, &e);
    if (err == 0 && !rg_meter_error(meter)[0]) {
        if (!c->quiet)
            fprintf(stderr, "ringcal: meter %s\n", rg_meter_where(meter));
        p->idle_W = watts_of(meter, 0, c->burn_s);
        p->one_W = watts_of(meter, 1, c->burn_s);
        p->all_W =
            c->cal.machine.cores > 1 ? watts_of(meter, c->cal.machine.cores, c->burn_s) : p->one_W;
        snprintf(p->source, sizeof p->source, "%.60s", rg_meter_where(meter));
    }
    if (!isfinite(p->idle_W) || !isfinite(p->one_W) || !isfinite(p->all_W)) {
        fprintf(stderr, "ringcal: no watts: %s\n", err ? e.text : rg_meter_error(meter));
        *p = (struct rg_cal_power){NAN, NAN, NAN, ""};
    }
    rg_meter_close(meter);
}

/* ---- measuring ---- */

static struct rg_cal_pace pace_of(const struct ringcal *c)
{
    return (struct rg_cal_pace){.window_s = c->window_s > 0 ? c->window_s
                                            : c->quick      ? QUICK_WINDOW_S
                                                            : WINDOW_S,
                                .least = c->quick ? 3 : 9,
                                .passes = c->quick ? 1 : PASSES,
                                .quick = c->quick,
                                .stop = is_interrupted,
                                .progress = c->quiet ? NULL : show_progress};
}

/* Do both ends run on one machine? Its boot has one name. */
static int compare_machines(struct rg_world *w, bool *same)
{
    char mine[40] = "", other[40] = "";
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (f) {
        size_t n = fread(mine, 1, sizeof mine - 1, f);
        mine[n] = '\0';
        fclose(f);
    }
    int err = rg_sendrecv(w, 1 - w->rank, mine, sizeof mine, 1 - w->rank, other, sizeof other,
                          RG_TAG_USER);
    *same = mine[0] && memcmp(mine, other, sizeof mine) == 0;
    return err;
}

/* Of one machine each end is a board with its share of cores and memory. */
static void divide_machine(struct ringcal *c)
{
    struct rg_cal_machine *m = &c->cal.machine;
    m->shared = true;
    m->cores = RG_MAX(1, m->cores / 2);
    m->memory_bytes /= 2;
    if (isfinite(c->cal.power.idle_W) && strcmp(c->cal.power.source, "given") != 0) {
        fputs(
            "ringcal: both ends run on this machine: its watts cannot be told apart, and are left "
            "out\n",
            stderr);
        c->cal.power = (struct rg_cal_power){NAN, NAN, NAN, ""};
    }
}

static int measure_with_peer(struct rg_world *w, void *arg)
{
    struct ringcal *c = arg;
    struct rg_cal_pace pace = pace_of(c);
    bool same = false;
    int err = rg_clock_start(w);
    if (err == 0)
        err = compare_machines(w, &same);
    if (same)
        divide_machine(c);
    /* Of full frames: Ethernet's with TCP; within a machine there are none. */
    c->cal.frame_payload = 1448;
    c->cal.frame_bytes = same ? 1448 : 1538;
    if (err == 0)
        err = rg_cal_messages(&c->cal, &pace, w);
    return err ? err : rg_cal_kernels(&c->cal, &pace, w);
}

/* Both ends measure alike, or not together. */
static void digest_of(const struct ringcal *c, char text[RG_DIGEST_TEXT])
{
    struct rg_cal_pace pace = pace_of(c);
    struct rg_digest *digest = rg_digest_new();
    char what[100];
    RG_ASSERT(digest);
    snprintf(what, sizeof what, "ringcal %d %d %.17g", pace.quick, pace.least, pace.window_s);
    rg_digest_add(digest, what, strlen(what));
    rg_digest_end(digest, text);
}

static int run_end(struct ringcal *c, int listener)
{
    char digest[RG_DIGEST_TEXT];
    struct rg_error e = {0};
    struct rg_mesh_lost lost;
    int outcome = 0;
    digest_of(c, digest);
    struct rg_join join = {.rank = c->rank,
                           .hosts = &c->hosts,
                           .listener = listener,
                           .scenario = digest,
                           .timeout_s = c->join_timeout_s,
                           .key = c->key_file ? &c->key : NULL,
                           .insecure = c->insecure,
                           .quiet = c->quiet || c->local,
                           .stop = &stop_join};
    int err = rg_mesh_join(&join, &c->mesh, &e);
    rg_key_forget(&c->key);
    if (err)
        return rg_cli_complain("ringcal", err, e.text);
    mesh_to_stop = c->mesh;
    if (interrupted)
        rg_mesh_interrupt(c->mesh);
    err = rg_mesh_run(c->mesh, 2, measure_with_peer, c, &outcome, &e);
    if (err == 0 && outcome) {
        err = outcome;
        snprintf(e.text, sizeof e.text, "%s", rg_strerror(err));
        if (err != RG_ERR_INTERRUPTED && rg_mesh_lost(c->mesh, &lost))
            rg_copy_text(e.text, sizeof e.text, lost.text);
    }
    mesh_to_stop = NULL;
    rg_mesh_leave(c->mesh);
    return err ? rg_cli_complain("ringcal", err, e.text) : 0;
}

/* The other end is a child, which writes nothing. */
static int run_local(struct ringcal *c)
{
    int listeners[2], status = 0;
    struct rg_error e = {0};
    int err = rg_local_listen(2, listeners, &c->hosts, &e);
    if (err)
        return rg_cli_complain("ringcal", err, e.text);
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return rg_cli_complain("ringcal", RG_ERR_INTERNAL, strerror(errno));
    c->rank = pid == 0;
    close(listeners[1 - c->rank]);
    rg_cores_share(c->rank, 2, 1); /* as ringnode --local */
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        c->quiet = true;
        _exit(run_end(c, listeners[1]));
    }
    c->heat = rg_heat_open(c->metering.root);
    int result = run_end(c, listeners[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return result;
}

static int open_hosts(struct ringcal *c)
{
    struct rg_error e = {0};
    int err = rg_hosts_load(c->hosts_file, &c->hosts, &e);
    if (err)
        return rg_cli_complain("ringcal", err, e.text);
    if (c->hosts.count < 2) {
        fprintf(stderr, "ringcal: %s names %d host, two are needed\n", c->hosts_file,
                c->hosts.count);
        return RG_EXIT_USAGE;
    }
    c->hosts.count = 2; /* of a longer list the first two */
    return 0;
}

static int measure(struct ringcal *c)
{
    struct rg_cal_pace pace = pace_of(c);
    struct rg_error e = {0};
    int status = 0;
    rg_cal_machine(&c->cal.machine, c->metering.root);
    if (c->name)
        snprintf(c->cal.machine.name, sizeof c->cal.machine.name, "%s", c->name);
    if (c->key_file && rg_key_load(c->key_file, &c->key, &e) < 0)
        status = rg_cli_complain("ringcal", RG_ERR_INVALID, e.text);
    if (status == 0 && c->hosts_file)
        status = open_hosts(c);
    if (status)
        return status;
    measure_watts(c);
    if (!c->local) /* else once there are two processes: no thread is there when they part */
        c->heat = rg_heat_open(c->metering.root);
    if (c->local)
        status = run_local(c);
    else if (c->hosts_file)
        status = run_end(c, -1);
    else
        status = rg_cli_exit_of(rg_cal_kernels(&c->cal, &pace, NULL));
    if (!c->quiet && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    if (c->heat) {
        struct rg_heat_facts facts;
        rg_heat_read(c->heat, &facts);
        rg_cal_clock(&c->cal.machine, facts.clock_most_hz, facts.held_back);
    }
    rg_heat_close(c->heat);
    if (c->cal.machine.doubts[0])
        fprintf(stderr, "ringcal: %s\n", c->cal.machine.doubts);
    return interrupted ? RG_EXIT_INTERRUPTED : status;
}

/* ---- writing ---- */

static int write_json(const struct ringcal *c)
{
    struct rg_file file;
    struct rg_error e = {0};
    int err = rg_file_open(&file, c->json, &e);
    if (err == 0) {
        rg_cal_save(&c->cal, file.stream);
        err = rg_file_commit(&file, &e);
    }
    return err ? rg_cli_complain("ringcal", err, e.text) : 0;
}

static int write_platform(const struct ringcal *c, const struct rg_cal_fit *fit,
                          const struct rg_board *board, const char *path, int nodes)
{
    struct rg_file file;
    struct rg_error e = {0};
    int err = rg_file_open(&file, path, &e);
    if (err == 0) {
        rg_cal_write(&c->cal, fit, &c->extra, board, nodes, file.stream);
        err = rg_file_commit(&file, &e);
    }
    return err ? rg_cli_complain("ringcal", err, e.text) : 0;
}

static int finish(struct ringcal *c)
{
    struct rg_cal_fit fit;
    struct rg_board board;
    struct rg_error e = {0};
    int status = c->json ? write_json(c) : 0;
    if (status)
        return status;
    if (rg_cal_fit(&c->cal, &fit, &e) < 0)
        return rg_cli_complain("ringcal", RG_ERR_INTERNAL, e.text);
    bool out = c->json && strcmp(c->json, "-") == 0;
    if (!c->quiet && !out)
        rg_cal_report(&c->cal, &fit, c->rows, stdout);
    if (rg_cal_good(&c->cal, &fit, c->most_residual, &e) < 0)
        status = rg_cli_complain("ringcal", RG_ERR_INTERNAL, e.text);
    else if ((c->datasheet || c->platform) &&
             rg_cal_board(&c->cal, &fit, &c->extra, &board, &e) < 0)
        status = rg_cli_complain("ringcal", RG_ERR_INVALID, e.text);
    if (status == 0 && c->datasheet)
        status = write_platform(c, &fit, &board, c->datasheet, 1);
    if (status == 0 && c->platform)
        status = write_platform(c, &fit, &board, c->platform, c->nodes);
    if (status && (c->datasheet || c->platform))
        fputs("ringcal: no datasheet is written\n", stderr);
    rg_cal_fit_free(&fit);
    return status;
}

/* ---- main ---- */

/* Before anything is measured: could all be written, and read? */
static int prepare(struct ringcal *c, struct rg_platform *network)
{
    const char *outputs[] = {c->datasheet, c->platform, c->json};
    const char *inputs[] = {c->network_file, c->fit_file, c->hosts_file, c->key_file};
    struct rg_error e = {0};
    int err = 0;
    for (size_t i = 0; i < RG_COUNT(outputs) && err == 0; i++) {
        for (size_t k = 0; k < RG_COUNT(inputs) && outputs[i] && err == 0; k++)
            if (inputs[k] && rg_cli_same_file(outputs[i], inputs[k]))
                err = rg_fail(&e, RG_ERR_INVALID, "%.200s is read: another file is wanted to write",
                              outputs[i]);
        for (size_t k = 0; k < i && outputs[i] && err == 0; k++)
            if (outputs[k] && rg_cli_same_file(outputs[i], outputs[k]))
                err = rg_fail(&e, RG_ERR_INVALID, "%.200s would be written twice", outputs[i]);
        if (outputs[i] && err == 0)
            err = rg_file_can_write(outputs[i], &e);
    }
    if (err == 0 && c->network_file && c->batch_count == 0 &&
        (err = rg_platform_load(c->network_file, network, &e)) == 0) {
        c->extra.network = network->boards[0];
        c->extra.network_name = c->network_file;
    }
    if (err == 0 && c->fit_file)
        err = rg_cal_load(c->fit_file, &c->cal, &e);
    if (err) {
        rg_one_line(e.text);
        fprintf(stderr, "ringcal: %s\n", e.text);
        return RG_EXIT_USAGE;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct ringcal c = {.rank = -1,
                               .nodes = 2,
                               .threads = 1,
                               .copies = 1,
                               .most_residual = MOST_RESIDUAL,
                               .join_timeout_s = 60,
                               .burn_s = BURN_S,
                               .metering = {.choice = "none",
                                            .root = "/",
                                            .interval_s = RG_METER_INTERVAL_S,
                                            .stuck_s = RG_METER_STUCK_S}};
    struct rg_platform network = {0};
    rg_blas_setup(argv);
    rg_cal_init(&c.cal);
    rg_cli_parse(&ringcal_argp, argc, argv, &c);
    int status = prepare(&c, &network);
    if (status == 0 && rg_blas_note() && !c.quiet && !c.fit_file)
        fprintf(stderr, "ringcal: %s\n", rg_blas_note());
    catch_signals();
    if (status == 0 && c.batch_count > 0) {
        const struct rg_cal_pace pace = pace_of(&c);
        status = ringcal_layers(&c, &pace);
    } else if (status == 0 && !c.fit_file) {
        status = measure(&c);
    }
    if (status == 0 && c.batch_count == 0) {
        if (c.fit_file && c.name)
            snprintf(c.cal.machine.name, sizeof c.cal.machine.name, "%s", c.name);
        if (c.given.source[0])
            c.cal.power = c.given;
        status = finish(&c);
    }
    rg_cal_free(&c.cal);
    rg_hosts_free(&c.hosts);
    if (c.network_file)
        rg_platform_free(&network);
    return status ? status : rg_cli_flush("ringcal");
}
