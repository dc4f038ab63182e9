/* What is left of a run that nobody goes on with: those that are there put together what they have,
 * and the lowest of them reports. With lose=restart they do so before they join once more, as
 * nobody can be asked in a join: what is told where it never comes about is put aside.
 *
 * Failure modes handled: rank 0 is among those that were lost; the lost rank does not come back, or
 * somebody does not want to wait for it (Ctrl-C, --timeout); a loss before training has gone on
 * after another. */
#include "programs/ringnode/ringnode.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/need.h"
#include <stdlib.h>

/* What kept this rank waiting since the run began. */
void ringnode_note_signs(const struct ringnode *node, struct rg_run *run, double begun_s)
{
    struct rg_mesh_sign signs[RG_MESH_SIGNS];
    int count = rg_mesh_signs(node->mesh, signs);
    free(run->signs);
    run->sign_count = 0;
    run->signs = calloc((size_t)count + 1, sizeof *run->signs);
    for (int i = 0; i < count && run->signs; i++)
        if (signs[i].end_s >= begun_s)
            run->signs[run->sign_count++] =
                (struct rg_run_sign){.rank = signs[i].rank,
                                     .sign = (int)signs[i].sign,
                                     .from_s = signs[i].begin_s - begun_s,
                                     .to_s = signs[i].end_s - begun_s};
}

/* ---- put together ---- */

/* What salvage() was asked for. */
struct salvage {
    struct ringnode_run *r;
    bool goes_on; /* others are waited for: what nobody wants to have is not asked for */
};

static int salvage_program(struct rg_world *w, void *arg)
{
    const struct salvage *s = arg;
    struct ringnode *node = s->r->node;
    const struct rg_job *job = s->r->job;
    struct rg_node_options options = {.initial = node->initial,
                                      .save = node->options.save,
                                      .only_to_save = s->goes_on,
                                      .attempts = node->attempts.lose ? &node->attempts : NULL};
    w->board = w->rank < job->nodes ? job->boards[w->rank] : NULL;
    return rg_node_salvage(w, job, &options, &node->kept, s->r->run);
}

/* A rank was lost, or has failed, maybe this one: those that are left save what they have whole.
 * True: this rank did it, and has the account of the run. */
static bool salvage(struct ringnode *node, struct ringnode_run *r, bool goes_on)
{
    struct salvage s = {r, goes_on};
    struct rg_mesh_lost lost;
    struct rg_error e;
    int result = 0;
    bool known = rg_mesh_lost(node->mesh, &lost);
    if (r->dropped || (known && lost.rank == node->rank))
        return false; /* whoever is left has done it meanwhile */
    if (ringnode_is_late() || rg_mesh_expired(node->mesh))
        return node->rank == 0;
    int size = node->attempts.lose > RG_LOSE_RESTART ? node->attempts.present : r->job->nodes;
    if (r->job->numerics && rg_mesh_rally(node->mesh, size, salvage_program, &s, &result, &e) != 0)
        result = 0;
    if (r->run->iterations == 0)
        r->run->ending.missing[0] = '\0'; /* nothing was trained that could be missed */
    r->run->ending.early = true;
    r->run->ending.wanted_iterations = r->job->iterations;
    if (known) {
        r->run->ending.lost_rank = lost.rank;
        rg_copy_text(r->run->ending.lost_host, sizeof r->run->ending.lost_host, lost.host);
        rg_copy_text(r->run->ending.why, sizeof r->run->ending.why, lost.why);
        r->run->ending.heard_s = lost.heard_s - r->begun_s;
        r->run->ending.lost_s = lost.lost_s - r->begun_s;
    }
    return node->rank == 0 || result == 1;
}

/* ---- the account ---- */

void ringnode_forget_runs(struct ringnode *node)
{
    for (int i = 0; i < node->study->job_count; i++)
        rg_run_free(&node->runs[i]);
    free(node->runs);
    node->runs = NULL;
}

void ringnode_forget_aside(struct ringnode *node)
{
    if (node->aside)
        rg_run_free(node->aside);
    free(node->aside);
    node->aside = NULL;
}

void ringnode_keep_aside(struct ringnode *node, struct rg_run *run)
{
    ringnode_forget_aside(node);
    node->aside = rg_need(NULL, sizeof *node->aside);
    *node->aside = *run;
    rg_run_init(run);
}

/* Of a run that broke off, into rank 0's, or else into `own`. Where training has not gone on since
 * the attempt before, that one's. */
static void open_account(struct ringnode *node, struct ringnode_run *r, struct rg_run *own)
{
    struct rg_run *run = r->run ? r->run : own;
    rg_run_init(own);
    if (!node->attempts.begun && node->aside) {
        rg_run_free(run);
        *run = *node->aside;
        free(node->aside);
        node->aside = NULL;
    } else if (run == own || !run->label[0]) {
        rg_job_describe(r->job, run);
    }
    if (run->iterations == 0)
        run->iterations = node->kept.iterations;
    r->run = run;
}

/* Rank 0 is lost, and this one is the lowest that is left: it reports in its place. What rank 0
 * knew of the runs before is gone. */
static void take_over(struct ringnode *node, int index, const struct rg_run *run)
{
    if (node->runs)
        ringnode_forget_runs(node);
    node->runs = rg_need_zeroed((size_t)node->study->job_count, sizeof *node->runs);
    for (int i = 0; i < index; i++)
        ringnode_fail_run(&node->runs[i], &node->study->jobs[i], RG_ERR_PEER,
                          "its result was lost with rank 0");
    node->runs[index] = *run;
}

void ringnode_break_off(struct ringnode *node, int index, struct ringnode_run *r, int code,
                        const char *why)
{
    struct rg_run own, *run = r->run;
    char text[sizeof run->error];
    bool attempts = node->attempts.lose != RG_LOSE_STOP;
    if (attempts && code == RG_ERR_PEER && !why[0] && rg_mesh_winds_down(node->mesh))
        code = RG_ERR_INTERRUPTED; /* else it would go on */
    open_account(node, r, &own);
    bool reports = salvage(node, r, false);
    ringnode_note_signs(node, r->run, r->begun_s);
    node->rest_code = ringnode_explain(node, code, text, sizeof text);
    if (why[0])
        rg_copy_text(text, sizeof text, why);
    if (attempts)
        rg_needed(rg_attempts_tell_losses(&node->attempts, r->run) == 0 ? r->run : NULL);
    ringnode_end_early(r->run, node->rest_code, text);
    ringnode_end_run(node, r->job, text, r->run);
    if (!run || !reports)
        fprintf(stderr, "ringnode: rank %d: %s: %s\n", node->rank, r->job->label,
                reports ? r->run->error : text);
    if (run && !reports)
        ringnode_forget_runs(node);
    if (!run && reports)
        take_over(node, index, &own);
    else
        rg_run_free(&own);
    rg_kept_free(&node->kept);
}

/* ---- put aside ---- */

void ringnode_put_aside(struct ringnode *node, struct ringnode_run *r)
{
    struct rg_run own;
    open_account(node, r, &own);
    if (salvage(node, r, true)) {
        ringnode_note_signs(node, r->run, r->begun_s);
        ringnode_keep_aside(node, r->run);
    }
    rg_run_free(&own);
}

/* Nothing was put aside, but the loss is known. */
static void tell_loss(struct ringnode *node, const struct rg_run_loss *loss)
{
    const struct rg_job *job = node->study->jobs;
    struct rg_run run;
    rg_run_init(&run);
    rg_job_describe(job, &run);
    run.iterations = loss->iteration == INT64_MAX ? node->attempts.from : loss->iteration;
    run.ending.early = true;
    run.ending.wanted_iterations = job->iterations;
    run.ending.lost_rank = loss->rank;
    rg_copy_text(run.ending.lost_host, sizeof run.ending.lost_host, loss->host);
    rg_copy_text(run.ending.why, sizeof run.ending.why, loss->why);
    ringnode_keep_aside(node, &run);
}

int ringnode_give_up(struct ringnode *node, const struct rg_error *e)
{
    const struct rg_attempts *a = &node->attempts;
    const struct rg_run_loss *last = a->loss_count ? &a->losses[a->loss_count - 1] : NULL;
    bool interrupted = ringnode_interrupted || e->code == RG_ERR_INTERRUPTED;
    int code = node->expired ? RG_ERR_TIMEOUT : interrupted ? RG_ERR_INTERRUPTED : RG_ERR_PEER;
    char text[640], within[40] = "";
    if (code == RG_ERR_PEER)
        snprintf(within, sizeof within, " within %g s", node->join_timeout_s);
    if (node->later && node->rank == 0 && last && !node->aside)
        tell_loss(node, last);
    if (!node->later || (!node->aside && !last)) {
        rg_cli_complain("ringnode", e->code, e->text);
        return e->code;
    }
    if (last)
        snprintf(text, sizeof text,
                 "node %d (%.100s) was lost%s%.80s, and has not come back%s: %.200s", last->node,
                 last->host, last->why[0] ? ": " : "", last->why, within, e->text);
    else
        rg_copy_text(text, sizeof text, e->text);
    if (!node->aside) {
        rg_cli_complain("ringnode", code, text);
        return code;
    }
    node->runs = node->aside;
    node->aside = NULL;
    rg_needed(rg_attempts_tell_losses(a, node->runs) == 0 ? node->runs : NULL);
    ringnode_end_early(node->runs, code, text);
    ringnode_end_run(node, node->study->jobs, text, node->runs);
    return code;
}
