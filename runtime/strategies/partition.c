/* The balanced partition: dynamic programming over (stages, layers), as PipeDream's (Narayanan et
 * al. 2019, section 3.1) without its replication of single stages. */
#include "strategies/ring.h"

#include "base/check.h"
#include <math.h>
#include <stdlib.h>

struct table {
    struct rg_ring *ring;
    int stages, layers;
    bool bounded; /* honour the memory of the boards */
    double limit; /* of a stage's seconds; among splits within it the computing is evened */
    const double *seconds; /* [layers + 1] prefix sums for the board at hand */
    double *best;          /* [layers + 1] for the stages so far: time of the slowest */
    double *next;
    int *from; /* [stages + 1][layers + 1]: where the last stage of the best split begins */
};

/* Prefix sums over the layers of the compute time of one unit. */
static void sum_layers(struct rg_ring *ring, const struct rg_board *board, double *sums)
{
    int n = rg_ring_capacity(ring);
    sums[0] = 0;
    for (int l = 0; l < ring->job->network->layer_count; l++) {
        struct rg_ring_times t = rg_ring_times(ring, board, l, l + 1, n);
        sums[l + 1] = sums[l] + t.forward + t.backward;
    }
}

/* Busy time of the port, per unit, of a stage with these layers: what it sends both ways. */
static double port_seconds(const struct table *t, const struct rg_board *board, int from, int to)
{
    const struct rg_network *network = t->ring->job->network;
    if (t->stages == 1)
        return 0;
    size_t out = to < t->layers ? network->layers[to - 1].outputs : (size_t)network->classes;
    size_t back = from > 0 ? network->layers[from].inputs : (size_t)network->classes;
    size_t bytes = sizeof(float) * (size_t)rg_ring_capacity(t->ring) * (out + back);
    return rg_board_port_s(board, 2, bytes);
}

static bool fits(const struct table *t, int stage, int from, int to)
{
    if (!t->bounded)
        return true;
    for (int r = 0; r < t->ring->replicas; r++) {
        const struct rg_board *board = t->ring->job->boards[r * t->stages + stage];
        if (rg_ring_memory(t->ring, stage, from, to) > board->memory_bytes)
            return false;
    }
    return true;
}

/* What is minimised: the stage's seconds; or, once their least is known, the computing in them. */
static double stage_seconds(const struct table *t, int stage, int from, int to)
{
    const struct rg_board *board = t->ring->job->boards[stage];
    double compute = t->seconds[to] - t->seconds[from];
    double port = port_seconds(t, board, from, to);
    double seconds = t->ring->overlap ? fmax(compute, port) : compute + port;
    if (isinf(t->limit))
        return seconds;
    return seconds <= t->limit ? compute : INFINITY;
}

static void extend(struct table *t, int stage)
{
    for (int to = 0; to <= t->layers; to++)
        t->next[to] = INFINITY;
    int last_to = t->layers - (t->stages - 1 - stage); /* leave a layer for every stage to come */
    for (int to = stage + 1; to <= last_to; to++) {
        for (int from = to - 1; from >= stage; from--) {
            double seconds = stage_seconds(t, stage, from, to);
            if (t->next[to] <= t->seconds[to] - t->seconds[from])
                break; /* a longer last stage only gets slower */
            double slowest = fmax(t->best[from], seconds);
            if (slowest < t->next[to] && fits(t, stage, from, to)) {
                t->next[to] = slowest;
                t->from[stage * (t->layers + 1) + to] = from;
            }
        }
    }
    double *swap = t->best;
    t->best = t->next;
    t->next = swap;
}

static bool fill(struct table *t, double *sums)
{
    for (int l = 0; l <= t->layers; l++)
        t->best[l] = l == 0 ? 0 : INFINITY;
    const struct rg_board *summed = NULL;
    for (int stage = 0; stage < t->stages; stage++) {
        const struct rg_board *board = t->ring->job->boards[stage];
        if (board != summed)
            sum_layers(t->ring, board, sums);
        summed = board;
        extend(t, stage);
    }
    return isfinite(t->best[t->layers]);
}

/* Where the wire decides, many splits are equally fast: of these the one that evens the computing.
 */
static bool solve(struct table *t, double *sums)
{
    t->limit = INFINITY;
    if (!fill(t, sums))
        return false;
    t->limit = t->best[t->layers] * (1 + 1e-9);
    bool found = fill(t, sums);
    RG_ASSERT(found);
    int to = t->layers;
    for (int stage = t->stages - 1; stage >= 0; stage--) {
        t->ring->cut[stage + 1] = to;
        to = t->from[stage * (t->layers + 1) + to];
    }
    t->ring->cut[0] = 0;
    return true;
}

static bool split_fits(const struct rg_ring *ring)
{
    for (int rank = 0; rank < ring->stages * ring->replicas; rank++) {
        int s = rank % ring->stages;
        if (rg_ring_memory(ring, s, ring->cut[s], ring->cut[s + 1]) >
            ring->job->boards[rank]->memory_bytes)
            return false;
    }
    return true;
}

int rg_partition_balanced(struct rg_ring *ring)
{
    int layers = ring->job->network->layer_count, stages = ring->stages;
    RG_ASSERT(stages <= layers);
    size_t columns = (size_t)layers + 1;
    double *numbers = calloc(3 * columns, sizeof *numbers);
    int *from = calloc((size_t)stages * columns, sizeof *from);
    int result = RG_ERR_NOMEM;
    if (numbers && from) {
        struct table t = {.ring = ring,
                          .stages = stages,
                          .layers = layers,
                          .seconds = numbers,
                          .best = numbers + columns,
                          .next = numbers + 2 * columns,
                          .from = from};
        solve(&t, numbers);
        result = 0;
        if (!split_fits(ring)) {
            t.bounded = true;
            if (!solve(&t, numbers)) {
                t.bounded = false;
                solve(&t, numbers);
                result = RG_ERR_NO_FIT;
            }
        }
    }
    free(numbers);
    free(from);
    return result;
}
