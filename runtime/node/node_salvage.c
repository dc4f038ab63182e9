/* What is left of a run that broke off: the lowest node that is there asks all others what they
 * have, and puts it together.
 *
 * Failure modes handled: nodes that are gone, or go meanwhile (the next one takes the part of the
 * lowest; of equal parts the lowest node's is taken that answers); parts that nobody has: said,
 * layer by layer, and nothing is saved; parts of several states (the newest that is whole, where
 * one is). */
#include "node/node_parts.h"

#include "base/check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum asking { TELL, GIVE, THAT_IS_ALL };

/* The same on every ABI, as the answer to TELL is. */
struct ask {
    uint64_t what;
    uint64_t first, count; /* TELL: the number of a range, from 0 */
    int64_t iterations;    /* GIVE: of such a state */
};
struct held {
    uint64_t first, count;
    int64_t iterations; /* -1: it has no such range */
};
_Static_assert(sizeof(struct ask) == 32 && sizeof(struct held) == 24, "they have no padding");

#define RANGES_MOST ((uint64_t)1 << 16) /* of one node */

/* Of this node: what its run broke off with, and states that it has for others. */
struct mine {
    const struct rg_kept *kept;
    const struct rg_copies *copies;
};

/* What a node has told. */
struct range {
    struct held held;
    int rank;
};

struct salvage {
    struct rg_world *w;
    const struct rg_job *job;
    const struct mine *mine;
    struct range *ranges; /* [range_count] of all nodes, by rank */
    int range_count;
    int64_t whole; /* iterations of the newest state that they have all of; -1: of none */
    float *room;   /* of the largest layer */
};

/* ---- those that are asked ---- */

/* This node's range with that number, from 0, and where its values are; false: it has no such. */
static bool range_at(const struct mine *mine, uint64_t number, struct held *held,
                     const float **values)
{
    const struct rg_kept *kept = mine->kept;
    *held = (struct held){.iterations = -1};
    if (number < (uint64_t)kept->count) {
        const struct rg_kept_range *r = &kept->ranges[number];
        *held = (struct held){r->first, r->count, kept->iterations};
        *values = r->values;
        return true;
    }
    number -= (uint64_t)kept->count;
    for (int i = 0; i < mine->copies->count; i++) {
        const struct rg_copy *copy = &mine->copies->list[i];
        if (!copy->values || strcmp(copy->name.name, RG_STATE_PARAMETERS) != 0)
            continue;
        *held = (struct held){copy->name.first, copy->name.count, copy->name.done};
        *values = copy->values;
        if (number-- == 0)
            return true;
    }
    *held = (struct held){.iterations = -1};
    return false;
}

/* Where the values are that are asked for; NULL: it has not all of them. */
static const float *find(const struct mine *mine, const struct ask *ask)
{
    struct held held;
    const float *values;
    for (uint64_t i = 0; range_at(mine, i, &held, &values); i++)
        if (held.iterations == ask->iterations && ask->first >= held.first &&
            ask->count <= held.count && ask->first - held.first <= held.count - ask->count)
            return values + (ask->first - held.first);
    return NULL;
}

/* RG_ERR_PEER: it is not there, or not any more. */
static int serve(struct rg_world *w, int rank, const struct mine *mine)
{
    struct ask ask;
    int result;
    while ((result = rg_recv_wait(w, rank, TAG_ASK, &ask, sizeof ask)) == 0) {
        if (ask.what == THAT_IS_ALL)
            return 0;
        struct held held;
        const float *unused, *values = ask.what == GIVE ? find(mine, &ask) : NULL;
        range_at(mine, ask.first, &held, &unused);
        if (ask.what == GIVE && !values)
            return RG_ERR_PROTOCOL;
        result = values
                     ? rg_send_wait(w, rank, TAG_HELD, values, (size_t)ask.count * sizeof *values)
                     : rg_send_wait(w, rank, TAG_HELD, &held, sizeof held);
        if (result)
            break;
    }
    return result;
}

/* ---- the one that asks ---- */

static int add(struct salvage *s, int rank, const struct held *held)
{
    struct range *more = realloc(s->ranges, ((size_t)s->range_count + 1) * sizeof *more);
    if (!more)
        return RG_ERR_NOMEM;
    s->ranges = more;
    s->ranges[s->range_count++] = (struct range){.held = *held, .rank = rank};
    return 0;
}

/* One after the other. Whoever does not answer has no more. */
static int ask_all(struct salvage *s)
{
    for (int r = s->w->rank + 1; r < s->w->size; r++)
        for (struct ask ask = {.what = TELL}; ask.first < RANGES_MOST; ask.first++) {
            struct held held;
            if (rg_send_wait(s->w, r, TAG_ASK, &ask, sizeof ask) != 0 ||
                rg_recv_wait(s->w, r, TAG_HELD, &held, sizeof held) != 0 || held.iterations < 0)
                break;
            int result = add(s, r, &held);
            if (result)
                return result;
        }
    return 0;
}

static void dismiss_all(struct salvage *s)
{
    const struct ask ask = {.what = THAT_IS_ALL};
    for (int r = s->w->rank + 1; r < s->w->size; r++)
        rg_send_wait(s->w, r, TAG_ASK, &ask, sizeof ask); /* or it is not there */
}

/* The range with parameter number `at` of the state after so many iterations (-1: of any), of the
 * lowest node that has it; NULL: none has. */
static const struct range *range_with(const struct salvage *s, size_t at, int64_t iterations)
{
    for (int i = 0; i < s->range_count; i++) {
        const struct held *held = &s->ranges[i].held;
        if (at >= held->first && at - held->first < held->count &&
            (iterations < 0 || iterations == held->iterations))
            return &s->ranges[i];
    }
    return NULL;
}

static const struct range *range_of(const struct salvage *s, size_t at)
{
    return range_with(s, at, s->whole);
}

static size_t end_of(const struct range *range)
{
    return (size_t)(range->held.first + range->held.count);
}

static int64_t newest_whole(const struct salvage *s)
{
    int64_t newest = -1;
    for (int i = 0; i < s->range_count; i++) {
        int64_t iterations = s->ranges[i].held.iterations;
        const struct range *range = &s->ranges[i];
        size_t at = 0;
        while (iterations > newest && range && at < s->job->network->parameters)
            if ((range = range_with(s, at, iterations)) != NULL)
                at = end_of(range);
        newest = range ? RG_MAX(newest, iterations) : newest;
    }
    return newest;
}

/* A rg_visit_fn's source: the values [begin, end), which lie in one layer. */
static int visit_piece(struct salvage *s, size_t begin, size_t end, rg_visit_fn visit, void *arg)
{
    int result = 0;
    for (size_t at = begin, next; at < end && result == 0; at = next) {
        const struct range *range = range_of(s, at);
        const float *values = s->room;
        if (!range)
            return RG_ERR_PEER;
        next = RG_MIN(end, end_of(range));
        struct ask ask = {GIVE, at, next - at, range->held.iterations};
        if (range->rank == s->w->rank)
            values = find(s->mine, &ask);
        else if ((result = rg_send_wait(s->w, range->rank, TAG_ASK, &ask, sizeof ask)) == 0)
            result =
                rg_recv_wait(s->w, range->rank, TAG_HELD, s->room, (next - at) * sizeof *s->room);
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
        const struct range *range = range_of(s, at);
        if (!range)
            return true;
        at = end_of(range);
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
        const struct range *range = range_of(s, at);
        least = RG_MIN(least, range->held.iterations);
        at = end_of(range);
    }
    return least;
}

static int put_together(struct salvage *s, const struct rg_node_options *options,
                        struct rg_run *run)
{
    if (run->weights_sha256[0])
        return 0; /* it was lost after all had been looked at */
    if (options->only_to_save && !options->save)
        return 0;
    int result = ask_all(s);
    if (result)
        return result;
    s->whole = newest_whole(s);
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
    run->samples = (uint64_t)(n.done - rg_run_begun(run)) * (uint64_t)s->job->batch;
    return rg_node_look(&n, true);
}

int rg_node_salvage(struct rg_world *w, const struct rg_job *job,
                    const struct rg_node_options *options, const struct rg_kept *kept,
                    struct rg_run *run)
{
    const struct mine mine = {kept, options->attempts ? &options->attempts->copies : &kept->copies};
    struct salvage s = {.w = w, .job = job, .mine = &mine, .whole = -1};
    size_t most = 0;
    for (int rank = 0; rank < w->rank; rank++) {
        int result = serve(w, rank, &mine);
        if (result != RG_ERR_PEER)
            return result;
    }
    for (int l = 0; l < job->network->layer_count; l++)
        most = RG_MAX(most, job->network->layers[l].parameters);
    s.room = malloc((most + 1) * sizeof *s.room);
    int result = s.room ? 0 : RG_ERR_NOMEM;
    struct held held;
    const float *values;
    for (uint64_t i = 0; result == 0 && range_at(&mine, i, &held, &values); i++)
        result = add(&s, w->rank, &held);
    if (result == 0)
        result = put_together(&s, options, run);
    dismiss_all(&s);
    free(s.ranges);
    free(s.room);
    return result ? result : 1;
}
