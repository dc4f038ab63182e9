/* Once, after the join: all ranks take rank 0's plans.
 *
 * Happy path: rank 0 tells what it has decided; every rank finds that it would have decided the
 * same, and that the jobs fit; rank 0 hears so from all, and tells all. Processors and libraries
 * whose bits differ are noted. Failure modes handled: a rank that would have decided otherwise (it
 * takes rank 0's plan, and the result notes it), one that cannot take it or hold its part (no rank
 * runs the job, and all know why), errors of the world. */
#include "node/agree.h"

#include "base/check.h"
#include "collectives/collectives.h"
#include "models/bits.h"
#include <stdlib.h>
#include <string.h>

enum { TAG_PLANS = RG_TAG_USER - 12, TAG_OPINION, TAG_VERDICTS };

enum { PLANS_MOST = 1 << 26 }; /* bytes: of a job some hundred are usual */

/* What a rank makes of a job of rank 0's; it travels. */
struct opinion {
    struct rg_agreed agreed;
    char own[160]; /* what it would have decided otherwise */
    struct rg_bits bits;
};
_Static_assert(sizeof(struct opinion) == 4 + RG_AGREED_WHY + 160 + 72, "opinions have no padding");

/* Rank 0: the plans of all jobs, each ended by a NUL. */
static int write_plans(const struct rg_study *study, char **plans, size_t *size)
{
    int result = 0;
    FILE *stream = open_memstream(plans, size);
    if (!stream)
        return RG_ERR_NOMEM;
    for (int i = 0; i < study->job_count && result == 0; i++) {
        char *plan = rg_job_settled(&study->jobs[i]);
        result = plan && fwrite(plan, strlen(plan) + 1, 1, stream) == 1 ? 0 : RG_ERR_NOMEM;
        free(plan);
    }
    if (fclose(stream) != 0)
        result = RG_ERR_NOMEM;
    return result;
}

static int broadcast(struct rg_world *w, void *data, size_t bytes, uint32_t tag)
{
    return rg_broadcast(w, (struct rg_group){0, 1, w->size}, 0, data, bytes, tag);
}

/* Rank 0's plans on every rank. */
static int share_plans(struct rg_world *w, const struct rg_study *study, char **plans, size_t *size)
{
    uint64_t bytes = 0;
    int result = w->rank == 0 ? write_plans(study, plans, size) : 0;
    if (result == 0) {
        bytes = *size;
        result = broadcast(w, &bytes, sizeof bytes, TAG_PLANS);
    }
    if (result == 0 && bytes > PLANS_MOST)
        result = RG_ERR_PROTOCOL;
    if (result == 0 && w->rank > 0) {
        *size = (size_t)bytes;
        *plans = calloc(*size + 1, 1);
        result = *plans ? 0 : RG_ERR_NOMEM;
    }
    return result ? result : broadcast(w, *plans, *size, TAG_PLANS);
}

static void disagree(struct rg_agreed *agreed, int rank, int code, const char *why)
{
    agreed->code = code;
    snprintf(agreed->why, sizeof agreed->why, "rank %d: %.*s", rank, RG_AGREED_WHY - 24, why);
}

/* A rank that the job did not fit by its own plan has kept no samples for it. */
static void form_opinion(struct rg_world *w, struct rg_job *job, const char *plan,
                         struct opinion *o)
{
    struct rg_error e = {0};
    int code = rg_job_fits(job, &e);
    rg_bits_own(&o->bits);
    if (w->rank > 0 && code == 0)
        code = rg_job_settle(job, plan, o->own, sizeof o->own, &e);
    if (code == 0)
        code = rg_job_fits(job, &e);
    if (code && w->rank == 0) { /* in its own words: all would say the same */
        o->agreed.code = code;
        rg_copy_text(o->agreed.why, sizeof o->agreed.why, e.text);
    } else if (code) {
        disagree(&o->agreed, w->rank, code, e.text);
    }
}

/* The note of a rank that would have decided otherwise. */
static void note_plan(int rank, int job, const struct opinion *theirs, rg_note_fn note, void *arg)
{
    char text[320];
    if (!theirs->own[0])
        return;
    snprintf(text, sizeof text,
             "rank %d, another kind of processor or C library, would have planned %s: it took rank "
             "0's plan",
             rank, theirs->own);
    note(arg, job, text);
}

/* Once a job: the first rank whose products may have other bits. */
static bool note_bits(const struct rg_job *job, int at, const struct rg_bits *own,
                      const struct rg_bits *theirs, rg_note_fn note, void *arg)
{
    const struct rg_products products = rg_job_products(job);
    char why[220], text[280];
    if (!job->numerics || !rg_bits_differ(own, theirs, &products, why, sizeof why))
        return false;
    snprintf(text, sizeof text, "weights may not equal those of one machine: %s", why);
    note(arg, at, text);
    return true;
}

/* It came from another process. */
static void end_texts(struct opinion *o)
{
    o->bits.kernels[sizeof o->bits.kernels - 1] = 0;
    o->bits.blas[sizeof o->bits.blas - 1] = 0;
    o->bits.libc[sizeof o->bits.libc - 1] = 0;
    o->own[sizeof o->own - 1] = 0;
    o->agreed.why[RG_AGREED_WHY - 1] = 0;
}

/* Rank 0: the first that speaks against a job is told to all. */
static int hear_opinions(struct rg_world *w, const struct rg_study *study, struct opinion *own,
                         rg_note_fn note, void *arg)
{
    size_t count = (size_t)study->job_count;
    struct opinion *theirs = calloc(count, sizeof *theirs);
    bool *told = calloc(count, sizeof *told);
    int result = theirs && told ? 0 : RG_ERR_NOMEM;
    for (int rank = 1; rank < w->size && result == 0; rank++) {
        result = rg_recv_wait(w, rank, TAG_OPINION, theirs, count * sizeof *theirs);
        for (size_t i = 0; i < count && result == 0; i++) {
            end_texts(&theirs[i]);
            if (own[i].agreed.code == 0)
                own[i].agreed = theirs[i].agreed;
            if (rank >= study->jobs[i].nodes)
                continue;
            note_plan(rank, (int)i, &theirs[i], note, arg);
            told[i] = told[i] ||
                      note_bits(&study->jobs[i], (int)i, &own[i].bits, &theirs[i].bits, note, arg);
        }
    }
    free(told);
    free(theirs);
    return result;
}

static int tell_opinions(struct rg_world *w, const struct opinion *own, size_t count)
{
    return rg_send_wait(w, 0, TAG_OPINION, own, count * sizeof *own);
}

int rg_node_agree(struct rg_world *w, struct rg_study *study, struct rg_agreed *agreed,
                  rg_note_fn note, void *arg)
{
    size_t count = (size_t)study->job_count, size = 0;
    char *plans = NULL;
    struct opinion *own = calloc(count, sizeof *own);
    int result = own ? share_plans(w, study, &plans, &size) : RG_ERR_NOMEM;
    const char *plan = plans;
    for (size_t i = 0; i < count && result == 0; i++) {
        if (plan >= plans + size)
            result = RG_ERR_PROTOCOL;
        else
            form_opinion(w, &study->jobs[i], plan, &own[i]);
        plan += strlen(plan) + 1;
    }
    if (result == 0)
        result =
            w->rank == 0 ? hear_opinions(w, study, own, note, arg) : tell_opinions(w, own, count);
    for (size_t i = 0; i < count && result == 0; i++)
        agreed[i] = own[i].agreed;
    if (result == 0)
        result = broadcast(w, agreed, count * sizeof *agreed, TAG_VERDICTS);
    free(plans);
    free(own);
    return result;
}
