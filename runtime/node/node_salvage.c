/* What is left of a run that broke off: the lowest node that is there asks all others what they
 * have, and puts it together.
 *
 * Failure modes handled: nodes that are gone, or go meanwhile (the next one takes the part of the
 * lowest; of equal parts the lowest node's is taken that answers); parts that nobody has: said,
 * layer by layer, and nothing is saved. */
#include "node/node_parts.h"

#include "base/check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum asking { TELL, GIVE, THAT_IS_ALL };

/* The same on every ABI, as the answer to TELL is. */
struct ask {
    uint64_t what, first, count;
};
struct held {
    uint64_t first, count;
    int64_t iterations;
};
_Static_assert(sizeof(struct ask) == 24 && sizeof(struct held) == 24, "they have no padding");

struct salvage {
    struct rg_world *w;
    const struct rg_job *job;
    const struct rg_kept *kept; /* this node's */
    struct held *held;          /* by rank; count 0: nothing */
    float *room;                /* of the largest layer */
};

static int say(struct rg_world *w, int rank, uint32_t tag, const void *data, size_t bytes)
{
    struct rg_request request;
    int result = rg_send(w, rank, tag, data, bytes, &request);
    return result ? result : rg_wait(w, &request);
}

static int hear(struct rg_world *w, int rank, uint32_t tag, void *data, size_t bytes)
{
    struct rg_request request;
    int result = rg_recv(w, rank, tag, data, bytes, &request);
    return result ? result : rg_wait(w, &request);
}

/* ---- those that are asked ---- */

static bool has(const struct rg_kept *kept, const struct ask *ask)
{
    return ask->first >= kept->first && ask->count <= kept->count &&
           ask->first - kept->first <= kept->count - ask->count;
}

/* RG_ERR_PEER: it is not there, or not any more. */
static int serve(struct rg_world *w, int rank, const struct rg_kept *kept)
{
    struct held held = {kept->first, kept->count, kept->iterations};
    struct ask ask;
    int result;
    while ((result = hear(w, rank, TAG_ASK, &ask, sizeof ask)) == 0) {
        if (ask.what == THAT_IS_ALL)
            return 0;
        if (ask.what == GIVE && !has(kept, &ask))
            return RG_ERR_PROTOCOL;
        result = ask.what == GIVE ? say(w, rank, TAG_HELD, kept->values + (ask.first - kept->first),
                                        (size_t)ask.count * sizeof(float))
                                  : say(w, rank, TAG_HELD, &held, sizeof held);
        if (result)
            break;
    }
    return result;
}

/* ---- the one that asks ---- */

/* Whoever does not answer has nothing. */
static void ask_all(struct salvage *s)
{
    const struct ask ask = {.what = TELL};
    for (int r = s->w->rank + 1; r < s->w->size; r++)
        if (say(s->w, r, TAG_ASK, &ask, sizeof ask) != 0 ||
            hear(s->w, r, TAG_HELD, &s->held[r], sizeof s->held[r]) != 0)
            s->held[r].count = 0;
}

static void dismiss_all(struct salvage *s)
{
    const struct ask ask = {.what = THAT_IS_ALL};
    for (int r = s->w->rank + 1; r < s->w->size; r++)
        say(s->w, r, TAG_ASK, &ask, sizeof ask); /* or it is not there */
}

/* The lowest node that has parameter number `at`; -1: none. */
static int holder_of(const struct salvage *s, size_t at)
{
    for (int r = s->w->rank; r < s->w->size; r++)
        if (at >= s->held[r].first && at - s->held[r].first < s->held[r].count)
            return r;
    return -1;
}

/* A rg_visit_fn's source: the values [begin, end), which lie in one layer. */
static int visit_piece(struct salvage *s, size_t begin, size_t end, rg_visit_fn visit, void *arg)
{
    int result = 0;
    for (size_t at = begin, next; at < end && result == 0; at = next) {
        int rank = holder_of(s, at);
        const float *values = s->room;
        if (rank < 0)
            return RG_ERR_PEER;
        next = RG_MIN(end, (size_t)(s->held[rank].first + s->held[rank].count));
        struct ask ask = {GIVE, at, next - at};
        if (rank == s->w->rank)
            values = s->kept->values + (at - s->kept->first);
        else if ((result = say(s->w, rank, TAG_ASK, &ask, sizeof ask)) == 0)
            result = hear(s->w, rank, TAG_HELD, s->room, (next - at) * sizeof *s->room);
        if (result == 0)
            result = visit(arg, at, values, next - at);
    }
    return result;
}

static int visit_all(void *salvage, rg_visit_fn visit, void *arg)
{
    struct salvage *s = salvage;
    const struct rg_network *network = s->job->network;
    int result = 0;
    for (int l = 0; l < network->layer_count && result == 0; l++)
        result = visit_piece(s, rg_network_offset(network, l), rg_network_offset(network, l + 1),
                             visit, arg);
    return result;
}

/* Is a part of the layer nowhere? */
static bool is_missing(const struct salvage *s, int layer)
{
    size_t end = rg_network_offset(s->job->network, layer + 1);
    for (size_t at = rg_network_offset(s->job->network, layer); at < end;) {
        int rank = holder_of(s, at);
        if (rank < 0)
            return true;
        at = (size_t)(s->held[rank].first + s->held[rank].count);
    }
    return false;
}

/* "layer 1 to 2, 4 of 5", from 1; "" where nothing is missing. */
static void name_missing(const struct salvage *s, char *text, size_t size)
{
    int layers = s->job->network->layer_count;
    size_t used = 0;
    text[0] = '\0';
    for (int l = 0; l < layers && used < size - 40; l++) {
        int first = l;
        while (l < layers && is_missing(s, l))
            l++;
        if (l == first)
            continue;
        used +=
            (size_t)snprintf(text + used, size - used, "%s%d", used ? ", " : "layer ", first + 1);
        if (l > first + 1)
            used += (size_t)snprintf(text + used, size - used, " to %d", l);
    }
    if (used)
        snprintf(text + used, size - used, " of %d", layers);
}

/* How far what is put together has come: that of its part that is furthest behind. */
static int64_t iterations_of(const struct salvage *s)
{
    int64_t least = INT64_MAX;
    for (size_t at = 0; at < s->job->network->parameters;) {
        int rank = holder_of(s, at);
        least = RG_MIN(least, s->held[rank].iterations);
        at = (size_t)(s->held[rank].first + s->held[rank].count);
    }
    return least;
}

static int put_together(struct salvage *s, const struct rg_node_options *options,
                        struct rg_run *run)
{
    if (run->weights_sha256[0])
        return 0; /* it was lost after all had been looked at */
    ask_all(s);
    name_missing(s, run->ending.missing, sizeof run->ending.missing);
    if (run->ending.missing[0])
        return 0;
    struct node n = {.w = s->w,
                     .job = s->job,
                     .options = options,
                     .run = run,
                     .parameters = visit_all,
                     .source = s,
                     .start_loss = NAN};
    run->iterations = n.done = iterations_of(s);
    run->samples = (uint64_t)n.done * (uint64_t)s->job->batch;
    return rg_node_look(&n, true);
}

int rg_node_salvage(struct rg_world *w, const struct rg_job *job,
                    const struct rg_node_options *options, const struct rg_kept *kept,
                    struct rg_run *run)
{
    struct salvage s = {.w = w, .job = job, .kept = kept};
    size_t most = 0;
    for (int rank = 0; rank < w->rank; rank++) {
        int result = serve(w, rank, kept);
        if (result != RG_ERR_PEER)
            return result;
    }
    for (int l = 0; l < job->network->layer_count; l++)
        most = RG_MAX(most, job->network->layers[l].parameters);
    s.held = calloc((size_t)w->size, sizeof *s.held);
    s.room = malloc((most + 1) * sizeof *s.room);
    int result = s.held && s.room ? 0 : RG_ERR_NOMEM;
    if (result == 0) {
        s.held[w->rank] = (struct held){kept->first, kept->count, kept->iterations};
        result = put_together(&s, options, run);
    }
    dismiss_all(&s);
    free(s.held);
    free(s.room);
    return result ? result : 1;
}
