/* Nodes that are lost, and training that goes on (--lose).
 *
 * restart: whoever is left leaves the mesh, joins once more, and waits there for the lost rank, as
 * long as a join may take; rank 0 has the last checkpoint. Whoever starts a rank again (systemd,
 * ringdeploy, the parent of --local) starts it as at first.
 *
 * shrink, spare: all stay in one mesh. Each attempt is a run that begins with the agreement on who
 * is there (muster.h); its nodes have the ranks that follow from that, open the scenario anew for
 * them, and train. Those that wait hear from rank 0 when it is over.
 *
 * Failure modes handled: losses at any moment, of rank 0 too; those that would be too few, or may
 * not be the only ones; checkpoints that went with the node that had them (training begins anew).
 */
#include "programs/ringnode/ringnode.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/need.h"
#include "models/blas.h"
#include "node/muster.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int ringnode_open_attempts(struct ringnode *node)
{
    const struct rg_training *t = &node->study->scenario.training;
    const struct rg_job *job = node->study->jobs;
    if (t->lose == RG_LOSE_STOP || node->options.predict)
        return 0;
    if (node->study->job_count != 1) {
        fprintf(stderr,
                "ringnode: --lose goes on with one strategy, %d are selected: --strategy LABEL is "
                "needed\n",
                node->study->job_count);
        return RG_EXIT_USAGE;
    }
    int spares = node->hosts.count - job->nodes;
    if (t->lose == RG_LOSE_SPARE && spares < t->spares) {
        fprintf(
            stderr,
            "ringnode: %s: strategy \"%s\" runs on %d nodes and spares=\"%d\" wait, %s names %d "
            "hosts\n",
            node->study->scenario.file, job->label, job->nodes, t->spares, node->hosts_file,
            node->hosts.count);
        return RG_EXIT_USAGE;
    }
    RG_ASSERT(rg_attempts_open(&node->attempts, t->lose, job->nodes, spares) == 0);
    ringnode_expect_returns(node);
    return 0;
}

int ringnode_local_ranks(const struct ringnode *node)
{
    const struct rg_training *t = &node->study->scenario.training;
    int most = 1;
    for (int i = 0; i < node->study->job_count; i++)
        most = RG_MAX(most, node->study->jobs[i].nodes);
    return most + (t->lose == RG_LOSE_SPARE ? t->spares : 0);
}

/* Also where somebody wants to stop, which the next attempt tells all. */
static bool is_loss(const struct ringnode *node, int code)
{
    return (code == RG_ERR_PEER || code == RG_ERR_PROTOCOL) && !rg_mesh_expired(node->mesh);
}

/* ---- restart ---- */

bool ringnode_restarts(struct ringnode *node, int code)
{
    struct rg_attempts *a = &node->attempts;
    struct rg_mesh_lost lost = {.rank = -1};
    if (a->lose != RG_LOSE_RESTART || !is_loss(node, code) || rg_mesh_winds_down(node->mesh))
        return false;
    if (!rg_attempts_may_try(a)) {
        fprintf(stderr,
                "ringnode: rank %d: %d attempts in a row have ended in their first "
                "iteration: there is no other\n",
                node->rank, RG_ATTEMPTS_IN_VAIN);
        return false;
    }
    bool known = rg_mesh_lost(node->mesh, &lost);
    rg_attempts_break(a, rg_clock_s());
    if (known) {
        rg_attempts_notice(a, lost.lost_s);
        RG_ASSERT(rg_attempts_note(a, lost.rank, lost.host, lost.why) == 0);
        a->noticed_s = NAN;
    }
    if (!node->options.quiet)
        fprintf(stderr, "ringnode: rank %d: %s: joining once more, for at most %g s\n", node->rank,
                known ? lost.text : rg_strerror(code), node->join_timeout_s);
    return true;
}

/* ---- shrink, spare ---- */

static int fitting(void *arg, const int *seats, int left)
{
    struct ringnode *node = arg;
    struct rg_study_want want = rg_cli_wanted(&node->options);
    want.began = rg_attempts_began(&node->attempts);
    return rg_study_fitting(&want, node->study->jobs[0].multiple, seats, left, &node->unfit);
}

/* What this node knows of the others, into the ranks of the next attempt; in node->cannot why
 * nobody can train in it. False: this node has no part in one, and *e says why. */
static bool cast(struct ringnode_run *r, const struct rg_mesh_lost *lost, struct rg_error *e)
{
    struct ringnode *node = r->node;
    struct rg_attempts *a = &node->attempts;
    int *order = rg_need_zeroed((size_t)a->seats, sizeof *order);
    int own = a->seat[node->rank];
    for (int rank = 0; rank < a->present; rank++) {
        unsigned char *absent = &a->absent[a->seat[rank]], before = *absent;
        static const unsigned char of[] = {RG_HERE, RG_SILENT, RG_GONE};
        *absent = RG_MAX(before, of[rg_mesh_presence(node->mesh, rank)]);
        if (*absent && rank != node->rank)
            RG_ASSERT(rg_attempts_note(a, a->seat[rank], rg_mesh_host(node->mesh, rank),
                                       lost->rank == rank ? lost->why : "") == 0);
        if (before && rank != node->rank && rg_mesh_presence(node->mesh, rank) == RG_MESH_HERE)
            rg_mesh_drop(node->mesh, rank);
    }
    int err = 0;
    r->dropped = a->absent[own] || lost->rank == node->rank || rg_mesh_dropped(node->mesh);
    if (r->dropped)
        err = rg_fail(e, RG_ERR_PEER, "the others have lost this rank, and go on without it");
    else
        err = rg_attempts_cast(a, fitting, node, order, e);
    bool cannot = err == RG_ERR_PEER && !r->dropped;
    rg_copy_text(node->cannot, sizeof node->cannot, cannot ? e->text : "");
    if (err == 0 || cannot)
        err = rg_mesh_reseat(node->mesh, order);
    for (int rank = 0; rank < a->seats && err == 0; rank++)
        if (a->seat[rank] == own)
            node->rank = rank;
    free(order);
    return err == 0;
}

/* The scenario as it is for those that train from now on. Where it cannot be, it stays as it was
 * before, for what is told of the training. */
static int reopen(struct ringnode *node, struct rg_error *e)
{
    const struct rg_attempts *a = &node->attempts;
    struct rg_study *before = node->study, *next = calloc(1, sizeof *next);
    struct rg_study_want want = rg_cli_wanted(&node->options);
    want.hosts = a->seat;
    want.host_count = a->nodes;
    want.began = rg_attempts_began(a);
    if (!next)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    int err = rg_study_open_at(&want, next, e);
    if (err == 0) {
        if (strcmp(next->scenario.digest, before->scenario.digest) != 0) /* files were altered */
            rg_dataset_free(&before->data);
        err = rg_study_load_data_again(next, node->rank, &before->data, e);
        if (err) {
            before->data = next->data;
            next->data = (struct rg_dataset){0};
        }
    }
    node->study = err ? before : next;
    struct rg_study *rest = err ? next : before;
    rg_study_close(rest);
    free(rest);
    return err;
}

/* Where nobody can, all give up, and keep what there is; a rank that cannot, and others can, leaves
 * them. */
static int reopen_all(struct rg_world *w, struct ringnode_run *r)
{
    struct rg_error e = {0};
    bool can;
    int own = reopen(r->node, &e);
    int result = rg_attempts_can_any(w, own == 0, &can);
    if (result || own == 0)
        return result;
    rg_copy_text(r->why, sizeof r->why, e.text);
    return can ? own : RG_ERR_REFUSED;
}

/* All are agreed on who trains. */
static int train(struct rg_world *w, void *arg)
{
    struct ringnode_run *r = arg;
    struct ringnode *node = r->node;
    rg_copy_text(r->why, sizeof r->why, node->cannot);
    int result = node->cannot[0] ? RG_ERR_REFUSED : node->later ? reopen_all(w, r) : 0;
    if (result)
        return result;
    r->job = node->study->jobs;
    node->study->jobs[0].records = r->job->numerics;
    rg_mesh_pace(node->mesh, ringnode_pace(node, r->job), r->job->threads);
    rg_run_free(&node->noted[0]); /* what was noted of an attempt before */
    result = rg_node_agree(w, node->study, node->agreed, ringnode_note, node);
    if (result == 0 && node->agreed[0].code) {
        rg_copy_text(r->why, sizeof r->why, node->agreed[0].why);
        return RG_ERR_REFUSED;
    }
    return result ? result : ringnode_program(w, r);
}

static int attempt(struct rg_world *w, void *arg)
{
    struct ringnode_run *r = arg;
    return rg_attempts_run(w, &r->node->attempts, train, r);
}

/* Rank 0 of this attempt tells of it; of the one before, if training does not go on in it. */
static struct rg_run *make_run(struct ringnode *node)
{
    if (node->rank > 0)
        return NULL;
    if (node->runs && node->attempts.begun)
        ringnode_keep_aside(node, node->runs);
    if (node->runs)
        rg_run_free(node->runs);
    else
        node->runs = rg_need_zeroed(1, sizeof *node->runs);
    rg_run_init(node->runs);
    return node->runs;
}

/* Else this rank alone has failed, and the others go on without it. */
static bool all_give_up(const struct ringnode *node, int code)
{
    return code == RG_ERR_INTERRUPTED || code == RG_ERR_REFUSED || rg_mesh_expired(node->mesh) ||
           node->attempts.present == 1;
}

/* The others go on without this rank; the code to end with. */
static int fail_alone(struct ringnode_run *r, int code, struct rg_error *e)
{
    const struct rg_error *unfit = &r->node->unfit;
    r->dropped = true;
    if (r->why[0]) {
        rg_copy_text(e->text, sizeof e->text, r->why);
    } else if (code == RG_ERR_INVALID && unfit->code) {
        rg_copy_text(e->text, sizeof e->text, unfit->text);
        code = unfit->code == RG_ERR_NO_FIT ? code : unfit->code;
    } else {
        rg_copy_text(e->text, sizeof e->text, rg_strerror(code));
    }
    return code;
}

void ringnode_run_attempts(struct ringnode *node)
{
    struct rg_attempts *a = &node->attempts;
    struct rg_mesh_lost lost;
    struct rg_error e = {0};
    for (;; node->later = true) {
        ringnode_keep_door(node);
        struct ringnode_run r = {.node = node, .run = make_run(node), .begun_s = rg_clock_s()};
        a->begun = false;
        int result = 0, begun = rg_mesh_attempt(node->mesh, a->present, attempt, &r, &result, &e);
        int code = begun ? begun : result;
        if (code >= 0) {
            if (code == 1)
                ringnode_note_stop(node, node->study->jobs, r.run); /* also where this rank waits */
            else if (r.job)
                ringnode_tell_energy(node, r.job, r.run);
            return;
        }
        if (result == RG_ERR_REFUSED) { /* as all know */
            snprintf(e.text, sizeof e.text, "those that are left cannot go on%s%.400s",
                     r.why[0] ? ": " : "", r.why);
            r.job = node->study->jobs;
            ringnode_break_off(node, 0, &r, RG_ERR_PEER, e.text);
            return;
        }
        e.text[0] = '\0';
        lost.rank = -1;
        rg_attempts_break(a, rg_clock_s());
        if (rg_mesh_lost(node->mesh, &lost))
            rg_attempts_notice(a, lost.lost_s);
        int back = code == RG_ERR_RETURNED ? a->back : -1;
        if (back >= 0)
            rg_attempts_take_in(a);
        bool goes_on = back >= 0 || is_loss(node, code);
        if (goes_on && (!cast(&r, &lost, &e) || (back >= 0 && !ringnode_let_in(node, back)))) {
            r.dropped = true;
            goes_on = false;
        }
        if (!goes_on) {
            if (!r.dropped && !all_give_up(node, code))
                code = fail_alone(&r, code, &e);
            r.job = node->study->jobs;
            ringnode_break_off(node, 0, &r, code, e.text);
            return;
        }
        bool quiet = node->options.quiet || node->cannot[0] || rg_mesh_winds_down(node->mesh);
        if (!quiet && node->rank == 0)
            fprintf(stderr, "ringnode: going on with %d node%s\n", a->nodes,
                    a->nodes == 1 ? "" : "s");
    }
}
