/* The balanced partition: dynamic programming over (stages, layers), as PipeDream's (Narayanan et
 * al. 2019, section 3.1) without its replication of single stages. */
#include "strategies/ring.h"

#include "base/check.h"
#include <math.h>
#include <stdlib.h>

/* A size of a unit's messages, and how long it keeps a board's port busy. */
struct passing {
    uint64_t bytes; /* 0: none has been looked at */
    double seconds;
};

struct table {
    struct rg_ring *ring;
    int stages, layers;
    int samples;  /* of a unit, at most */
    bool bounded; /* honour the memory of the boards */
    double limit; /* of a stage's seconds; among splits within it the computing is evened */
    double bound; /* of what is minimised: some split has no more, or none has that and is wanted */
    int *least, *most; /* [stages]: where a stage ends at least and at most within that bound */
    const struct rg_board **kinds; /* [kind_count] different boards of the ring... */
    double *sums;                  /* ... [kind_count][layers + 1] prefix sums of their seconds */
    struct passing *passing;       /* [kind_count]: the last; neighbours mostly ask for the same */
    int kind_count;
    double *stash; /* [layers + 1] prefix sums of the bytes that one unit leaves in a stage */
    double room;   /* least memory of the boards at the stage at hand */
    double parameter_bytes, units; /* there: counted bytes a parameter; units held at once */
    int *here; /* [here_count] kinds at the stage at hand, one a replica at most */
    int here_count;
    double *best; /* [layers + 1] for the stages so far: time of the slowest */
    double *next;
    size_t *row;      /* [stages]: where its ends begin in `from`, least to most */
    int *from;        /* where the last stage of the best split begins */
    size_t from_room; /* ints in it */
    bool no_memory;   /* for it */
};

/* What a layer's parameters add to a unit's share of an update, the call itself left out. */
static double update_seconds(const struct rg_ring *ring, const struct rg_board *board, int l)
{
    size_t first = rg_network_offset(ring->job->network, l);
    size_t parameters = ring->job->network->layers[l].parameters;
    return (rg_ring_update_s(ring, board, 0, first, parameters) -
            rg_ring_update_s(ring, board, 0, first, 0)) /
           ring->micro;
}

/* Prefix sums over the layers of the compute time of one unit. */
static void sum_layers(const struct table *t, const struct rg_board *board, double *sums)
{
    struct rg_ring *ring = t->ring;
    sums[0] = 0;
    for (int l = 0; l < ring->job->network->layer_count; l++) {
        struct rg_ring_times times = rg_ring_times(ring, board, l, l + 1, t->samples);
        sums[l + 1] = sums[l] + times.forward + times.backward;
        if (!ring->schedule->synchronous)
            sums[l + 1] += update_seconds(ring, board, l);
    }
}

static int kind_of(const struct table *t, const struct rg_board *board)
{
    int kind = 0;
    while (kind < t->kind_count && t->kinds[kind] != board)
        kind++;
    return kind;
}

static void find_kinds(struct table *t)
{
    for (int rank = 0; rank < t->ring->nodes * t->ring->replicas; rank++) {
        const struct rg_board *board = t->ring->job->boards[rank];
        int kind = kind_of(t, board);
        if (kind < t->kind_count)
            continue;
        t->kinds[t->kind_count++] = board;
        sum_layers(t, board, t->sums + (size_t)kind * (size_t)(t->layers + 1));
    }
}

static void look_at_stage(struct table *t, int stage)
{
    t->here_count = 0;
    for (int r = 0; r < t->ring->replicas; r++) {
        int kind = kind_of(t, t->ring->job->boards[rg_ring_rank(t->ring, r, stage)]), i = 0;
        while (i < t->here_count && t->here[i] != kind)
            i++;
        if (i == t->here_count)
            t->here[t->here_count++] = kind;
        t->room = fmin(r ? t->room : INFINITY, (double)t->kinds[kind]->memory_bytes);
    }
    int slots[RG_BUFFERS];
    const struct rg_ring *ring = t->ring;
    rg_plan_slots(ring->stages, stage, ring->depth, ring->stash, slots);
    t->units = slots[ring->stash == RG_STASH_INPUTS ? RG_BUFFER_REDO : RG_BUFFER_STASH];
    t->parameter_bytes = sizeof(float) * (rg_ring_versions(ring, stage) + 1.0);
}

/* What parameters, gradients and stashes alone would take: it only grows with the stage. */
static bool is_hopeless(const struct table *t, int from, int to)
{
    if (!t->bounded)
        return false;
    double parameters = (double)rg_network_range(t->ring->job->network, from, to);
    return t->parameter_bytes * parameters + t->units * (t->stash[to] - t->stash[from]) > t->room;
}

static void sum_stashes(struct table *t)
{
    for (int l = 0; l < t->layers; l++) {
        struct rg_stage layer = {.network = t->ring->job->network, .from = l, .to = l + 1};
        t->stash[l + 1] = t->stash[l] + sizeof(float) * (double)rg_stage_stash(&layer, t->samples);
    }
}

static double compute_seconds(const struct table *t, int kind, int from, int to)
{
    const double *sums = t->sums + (size_t)kind * (size_t)(t->layers + 1);
    return sums[to] - sums[from];
}

/* On the slowest of the stage's boards. */
static double slowest_compute(const struct table *t, int from, int to)
{
    double most = 0;
    for (int i = 0; i < t->here_count; i++)
        most = fmax(most, compute_seconds(t, t->here[i], from, to));
    return most;
}

/* Busy time of the port, per unit, of a stage with these layers: what it sends both ways. */
static double port_seconds(const struct table *t, int kind, int from, int to)
{
    struct passing *last = &t->passing[kind];
    const struct rg_network *network = t->ring->job->network;
    if (t->stages == 1)
        return 0;
    uint64_t classes = (uint64_t)network->classes;
    uint64_t out = to < t->layers ? network->layers[to - 1].outputs : classes;
    uint64_t back = from > 0 ? network->layers[from].inputs : classes;
    uint64_t bytes = sizeof(float) * (uint64_t)t->samples * (out + back);
    if (bytes != last->bytes)
        *last = (struct passing){bytes, rg_board_both_ways_s(t->kinds[kind], 2, bytes)};
    return last->seconds;
}

static bool fits(const struct table *t, int stage, int from, int to)
{
    if (!t->bounded)
        return true;
    for (int r = 0; r < t->ring->replicas; r++)
        if (!rg_ring_stage_fits(t->ring, r, stage, from, to))
            return false;
    return true;
}

/* What is minimised: the seconds of the slowest board of the stage; or, once their least is known,
 * the computing in them. */
static double stage_seconds(const struct table *t, int from, int to)
{
    double seconds = 0;
    for (int i = 0; i < t->here_count; i++) {
        double compute = compute_seconds(t, t->here[i], from, to);
        double port = port_seconds(t, t->here[i], from, to);
        seconds = fmax(seconds, t->ring->overlap ? fmax(compute, port) : compute + port);
    }
    if (isinf(t->limit))
        return seconds;
    return seconds <= t->limit ? slowest_compute(t, from, to) : INFINITY;
}

/* Each stage as long as its computing lets it be within the bound: from the first on, that is as
 * far as stages so far can come; from the last back, where those to come have to begin. The splits
 * worth a look are between the two, which are close together where layers are alike. */
static void find_ends(struct table *t)
{
    for (int stage = 0, to = 0; stage < t->stages; stage++) {
        int from = to, last = t->layers - (t->stages - 1 - stage); /* a layer for each to come */
        look_at_stage(t, stage);
        while (to < last && (to == from || slowest_compute(t, from, to + 1) <= t->bound))
            to++;
        t->most[stage] = to;
    }
    for (int stage = t->stages - 1, from = t->layers; stage >= 0; stage--) {
        int to = from;
        t->least[stage] = to;
        look_at_stage(t, stage);
        while (from > stage && (to == from || slowest_compute(t, from - 1, to) <= t->bound))
            from--;
    }
}

/* Room for the ends that a split within the bound may have: of many alike stages few each. */
static bool reserve(struct table *t)
{
    size_t wanted = 0;
    for (int stage = 0; stage < t->stages; stage++) {
        t->row[stage] = wanted;
        wanted += (size_t)RG_MAX(t->most[stage] - t->least[stage] + 1, 0);
    }
    if (wanted <= t->from_room)
        return true;
    free(t->from);
    t->from = malloc(wanted * sizeof *t->from);
    t->from_room = t->from ? wanted : 0;
    t->no_memory = !t->from;
    return t->from;
}

static int *from_of(const struct table *t, int stage, int to)
{
    return &t->from[t->row[stage] + (size_t)(to - t->least[stage])];
}

static void extend(struct table *t, int stage)
{
    look_at_stage(t, stage);
    for (int to = 0; to <= t->layers; to++)
        t->next[to] = INFINITY;
    for (int to = t->least[stage]; to <= t->most[stage]; to++) {
        for (int from = to - 1; from >= stage; from--) {
            double compute = slowest_compute(t, from, to);
            if (compute >= t->next[to] || compute > t->bound || is_hopeless(t, from, to))
                break; /* a longer last stage only gets slower, and larger */
            if (t->best[from] >= t->next[to])
                continue;
            double slowest = fmax(t->best[from], stage_seconds(t, from, to));
            if (slowest < t->next[to] && slowest <= t->bound && fits(t, stage, from, to)) {
                t->next[to] = slowest;
                *from_of(t, stage, to) = from;
            }
        }
    }
    double *swap = t->best;
    t->best = t->next;
    t->next = swap;
}

static bool fill(struct table *t)
{
    find_ends(t);
    if (!reserve(t))
        return false;
    for (int l = 0; l <= t->layers; l++)
        t->best[l] = l == 0 ? 0 : INFINITY;
    for (int stage = 0; stage < t->stages; stage++)
        extend(t, stage);
    return isfinite(t->best[t->layers]);
}

/* The slowest stage of a split that is not far from the best where layers and boards are alike: the
 * computing of the ring's first board evened. INFINITY: it does not fit. */
static double even_split(struct table *t)
{
    const double *sums = t->sums;
    double slowest = 0;
    for (int stage = 0, from = 0; stage < t->stages && isfinite(slowest); stage++) {
        int to = from + 1, last = t->layers - (t->stages - 1 - stage);
        double end = sums[t->layers] * (stage + 1) / t->stages;
        while (to < last && (stage == t->stages - 1 || end - sums[to] > sums[to + 1] - end))
            to++;
        look_at_stage(t, stage);
        double seconds = fits(t, stage, from, to) ? stage_seconds(t, from, to) : INFINITY;
        slowest = fmax(slowest, seconds);
        from = to;
    }
    return slowest;
}

/* Where the wire decides, many splits are equally fast: of these the one that evens the computing.
 */
static bool solve(struct table *t)
{
    t->limit = INFINITY;
    t->bound = even_split(t);
    if (!fill(t))
        return false;
    t->limit = t->bound = t->best[t->layers] * (1 + 1e-9);
    bool found = fill(t);
    if (t->no_memory)
        return false;
    RG_ASSERT(found);
    int to = t->layers;
    for (int stage = t->stages - 1; stage >= 0; stage--) {
        t->ring->cut[stage + 1] = to;
        to = *from_of(t, stage, to);
    }
    t->ring->cut[0] = 0;
    return true;
}

int rg_partition_balanced(struct rg_ring *ring)
{
    int layers = ring->job->network->layer_count, stages = ring->stages;
    RG_ASSERT(stages <= layers);
    size_t columns = (size_t)layers + 1, kinds = 0;
    size_t ranks = (size_t)ring->nodes * (size_t)ring->replicas;
    for (size_t rank = 0; rank < ranks; rank++) /* an upper bound: boards come in runs */
        kinds += rank == 0 || ring->job->boards[rank] != ring->job->boards[rank - 1];
    struct table t = {
        .ring = ring, .stages = stages, .layers = layers, .samples = rg_ring_capacity(ring)};
    double *numbers = calloc((kinds + 3) * columns, sizeof *numbers);
    t.row = calloc((size_t)stages, sizeof *t.row);
    t.kinds = calloc(kinds, sizeof *t.kinds);
    t.here = calloc(kinds, sizeof *t.here);
    t.passing = calloc(kinds, sizeof *t.passing);
    t.least = calloc((size_t)stages, sizeof *t.least);
    t.most = calloc((size_t)stages, sizeof *t.most);
    int result = RG_ERR_NOMEM;
    if (numbers && t.row && t.kinds && t.here && t.passing && t.least && t.most) {
        t.best = numbers;
        t.next = numbers + columns;
        t.stash = numbers + 2 * columns;
        t.sums = numbers + 3 * columns;
        find_kinds(&t);
        sum_stashes(&t);
        solve(&t);
        result = 0;
        if (!rg_ring_fits(ring)) {
            t.bounded = true;
            if (!solve(&t)) {
                t.bounded = false;
                solve(&t);
                result = RG_ERR_NO_FIT;
            }
        }
    }
    if (t.no_memory)
        result = RG_ERR_NOMEM;
    free(numbers);
    free(t.row);
    free(t.from);
    free(t.kinds);
    free(t.here);
    free(t.passing);
    free(t.least);
    free(t.most);
    return result;
}
