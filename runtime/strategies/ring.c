/* Sizes and times of the stages of a ring. */
#include "strategies/ring.h"

#include "base/check.h"
#include "base/sizes.h"
#include "collectives/collectives.h"
#include "models/loss.h"
#include "strategies/replica.h"
#include "strategies/samples.h"

struct rg_stage rg_ring_stage(const struct rg_ring *ring, int stage)
{
    return (struct rg_stage){
        .network = ring->job->network, .from = ring->cut[stage], .to = ring->cut[stage + 1]};
}

uint64_t rg_ring_state_floats(const struct rg_ring *ring, size_t parameters)
{
    return rg_size_plus(parameters, rg_optimizer_state(&ring->job->optimizer, parameters));
}

uint64_t rg_ring_node_floats(const struct rg_ring *ring, int node)
{
    uint64_t floats = 0;
    for (int s = node; s < ring->stages; s += ring->nodes) {
        struct rg_stage layers = rg_ring_stage(ring, s);
        floats = rg_size_plus(floats, rg_ring_state_floats(ring, rg_stage_parameters(&layers)));
    }
    return floats;
}

int rg_ring_rank(const struct rg_ring *ring, int replica, int stage)
{
    return replica * ring->nodes + stage % ring->nodes;
}

int rg_ring_chunks(const struct rg_ring *ring)
{
    return ring->stages / ring->nodes;
}

bool rg_ring_has_loss_beside(const struct rg_ring *ring)
{
    return ring->schedule->loss_beside && ring->overlap;
}

int rg_ring_versions(const struct rg_ring *ring, int stage)
{
    return rg_plan_versions(ring->stash, ring->depth[stage], ring->micro);
}

bool rg_ring_predicts(const struct rg_ring *ring, int stage)
{
    return ring->job->compensate && !ring->schedule->synchronous && ring->depth[stage] > 1;
}

struct rg_optimizer rg_ring_optimizer(const struct rg_ring *ring, int stage)
{
    struct rg_optimizer optimizer = ring->job->optimizer;
    if (rg_ring_predicts(ring, stage)) {
        optimizer.late = ring->depth[stage] - 1;
        optimizer.every = ring->micro;
    }
    return optimizer;
}

int rg_ring_epochs(const struct rg_ring *ring)
{
    int64_t units = ring->job->iterations_per_epoch * ring->micro;
    return ring->flows_on ? (int)(1 + (ring->depth[0] - 1 + units - 1) / units) : 1;
}

int rg_ring_lead(const struct rg_ring *ring, int stage)
{
    int64_t units = ring->job->iterations_per_epoch * ring->micro;
    return (int)RG_MIN((ring->depth[0] - ring->depth[stage]) / 2, units - 1);
}

int rg_ring_batch(const struct rg_ring *ring, int replica)
{
    return rg_share(ring->job->batch, ring->replicas, replica);
}

int rg_ring_unit(const struct rg_ring *ring, int replica, int unit)
{
    return rg_share(rg_ring_batch(ring, replica), ring->micro, unit);
}

bool rg_ring_repeats(const struct rg_ring *ring, int replica)
{
    if (replica == 0 || rg_ring_batch(ring, replica) != rg_ring_batch(ring, replica - 1))
        return false;
    const struct rg_board *const *boards = ring->job->boards;
    for (int node = 0; node < ring->nodes; node++)
        if (boards[rg_ring_rank(ring, replica, node)] !=
            boards[rg_ring_rank(ring, replica - 1, node)])
            return false;
    return true;
}

int rg_ring_capacity(const struct rg_ring *ring)
{
    return rg_ring_unit(ring, 0, 0); /* shares are handed out larger ones first */
}

struct rg_ring_sizes rg_ring_sizes(const struct rg_ring *ring, int from, int to)
{
    const struct rg_network *network = ring->job->network;
    struct rg_stage stage = {.network = network, .from = from, .to = to};
    uint64_t n = (uint64_t)rg_ring_capacity(ring);
    struct rg_ring_sizes sizes = {.parameters = rg_stage_parameters(&stage),
                                  .scratch = rg_stage_scratch(&stage, (int)n)};
    sizes.buffer[RG_BUFFER_INPUT] = n * rg_stage_inputs(&stage);
    sizes.buffer[RG_BUFFER_STASH] = sizes.buffer[RG_BUFFER_REDO] = rg_stage_stash(&stage, (int)n);
    sizes.buffer[RG_BUFFER_DY] = n * rg_stage_outputs(&stage);
    if (ring->stash == RG_STASH_INPUTS)
        sizes.buffer[RG_BUFFER_STASH] = sizes.buffer[RG_BUFFER_DY];
    sizes.buffer[RG_BUFFER_DX] = sizes.buffer[RG_BUFFER_INPUT];
    sizes.buffer[RG_BUFFER_HALVES] = rg_stage_halves(&stage, (int)n);
    sizes.buffer[RG_BUFFER_LOGITS] = n * (uint64_t)network->classes;
    return sizes;
}

uint64_t rg_ring_targets(const struct rg_ring *ring)
{
    struct rg_targets targets = rg_dataset_targets(ring->job->data);
    return (uint64_t)rg_ring_capacity(ring) * rg_targets_bytes(&targets);
}

uint64_t rg_ring_memory(const struct rg_ring *ring, int stage, int from, int to)
{
    const struct rg_job *job = ring->job;
    struct rg_ring_sizes sizes = rg_ring_sizes(ring, from, to);
    int slots[RG_BUFFERS];
    rg_plan_slots(ring->stages, stage, ring->depth, ring->stash, slots);
    uint64_t copies = (uint64_t)rg_ring_versions(ring, stage) + rg_ring_predicts(ring, stage);
    copies += ring->flows_on; /* the copy to look at */
    uint64_t floats = rg_size_times(copies + 1, sizes.parameters);
    floats = rg_size_plus(floats, rg_size_times((uint64_t)ring->backup.kept,
                                                rg_ring_state_floats(ring, sizes.parameters)));
    floats = rg_size_plus(floats, rg_optimizer_state(&job->optimizer, sizes.parameters));
    floats = rg_size_plus(floats, sizes.scratch);
    for (int buffer = 0; buffer < RG_BUFFERS; buffer++)
        floats = rg_size_plus(floats, rg_size_times((uint64_t)slots[buffer], sizes.buffer[buffer]));
    uint64_t targets = stage == 0 ? rg_ring_targets(ring) : 0;
    targets += stage == 0 ? rg_feed_memory(job, rg_ring_epochs(ring)) : 0;
    return rg_size_plus(
        rg_size_times(floats, sizeof(float)),
        targets + rg_allreduce_memory(RG_ROUND_A_RING, ring->replicas, 0, sizes.parameters));
}

uint64_t rg_ring_node_memory(const struct rg_ring *ring, int node)
{
    uint64_t bytes = 0;
    for (int s = node; s < ring->stages; s += ring->nodes)
        bytes = rg_size_plus(bytes, rg_ring_memory(ring, s, ring->cut[s], ring->cut[s + 1]));
    int before = (node + ring->nodes - 1) % ring->nodes;
    uint64_t copies = rg_size_times((uint64_t)ring->backup.kept, rg_ring_node_floats(ring, before));
    return rg_size_plus(bytes, rg_size_times(copies, sizeof(float)));
}

static bool has_room(const struct rg_ring *ring, int rank, uint64_t bytes)
{
    uint64_t need = rg_size_plus(bytes, rg_job_samples_memory(ring->job, rank));
    return need <= ring->job->boards[rank]->memory_bytes;
}

bool rg_ring_stage_fits(const struct rg_ring *ring, int replica, int stage, int from, int to)
{
    uint64_t bytes = rg_ring_memory(ring, stage, from, to);
    size_t parameters = rg_ring_sizes(ring, from, to).parameters; /* as many of the stage before */
    uint64_t copies = rg_size_times((uint64_t)ring->backup.kept * sizeof(float),
                                    rg_ring_state_floats(ring, parameters));
    bytes = rg_size_plus(bytes, copies);
    return has_room(ring, rg_ring_rank(ring, replica, stage),
                    rg_size_times((uint64_t)rg_ring_chunks(ring), bytes));
}

bool rg_ring_fits(const struct rg_ring *ring)
{
    for (int rank = 0; rank < ring->nodes * ring->replicas; rank++)
        if (!has_room(ring, rank, rg_ring_node_memory(ring, rank % ring->nodes)))
            return false;
    return true;
}

int rg_ring_falling(const struct rg_ring *ring, int stage, int units)
{
    int64_t stages = ring->stages;
    return (int)((units * (stages - stage) + stages - 1) / stages);
}

struct rg_ring_times rg_ring_times(const struct rg_ring *ring, const struct rg_board *board,
                                   int from, int to, int n)
{
    struct rg_stage stage = {.network = ring->job->network, .from = from, .to = to};
    int threads = ring->job->threads;
    bool split = ring->stash == RG_STASH_HALVES;
    struct rg_work forward = {0}, backward = {0}, weights = {0}, load = {0};
    rg_stage_work(&stage, n, RG_FORWARD, &forward);
    rg_stage_work(&stage, n, split ? RG_BACKWARD_INPUT : RG_BACKWARD, &backward);
    if (split)
        rg_stage_work(&stage, n, RG_BACKWARD_WEIGHTS, &weights);
    if (from == 0)
        rg_dataset_gather_work(rg_stage_inputs(&stage), n, &load);
    double once = rg_board_seconds(board, &forward, threads);
    struct rg_ring_times times = {.forward = once + rg_board_seconds(board, &load, threads),
                                  .backward = rg_board_seconds(board, &backward, threads),
                                  .weights = rg_board_seconds(board, &weights, threads)};
    times.backward += times.weights;
    if (ring->stash == RG_STASH_INPUTS)
        times.again = once;
    times.backward += times.again;
    rg_work_free(&forward);
    rg_work_free(&backward);
    rg_work_free(&weights);
    rg_work_free(&load);
    return times;
}

double rg_ring_loss_s(const struct rg_ring *ring, const struct rg_board *board, int n)
{
    struct rg_targets targets = rg_dataset_targets(ring->job->data);
    struct rg_work work = {0};
    rg_loss_work(&targets, n, &work);
    double seconds = rg_board_seconds(board, &work, ring->job->threads);
    rg_work_free(&work);
    return seconds;
}

double rg_ring_update_s(const struct rg_ring *ring, const struct rg_board *board, int stage,
                        size_t first, size_t parameters)
{
    struct rg_optimizer optimizer = rg_ring_optimizer(ring, stage);
    struct rg_work work = {0};
    rg_update_work(&optimizer, first, parameters, &work);
    rg_ring_next_work(ring, stage, parameters, &work);
    double seconds = rg_board_seconds(board, &work, ring->job->threads);
    rg_work_free(&work);
    if (ring->backup.most > 0) {
        rg_ring_copy_work(rg_ring_state_floats(ring, parameters), &work);
        seconds += rg_board_seconds(board, &work, ring->job->threads) / ring->backup.every;
        rg_work_free(&work);
    }
    if (!ring->flows_on)
        return seconds;
    rg_ring_copy_work(parameters, &work);
    int64_t ends = (ring->job->iterations - 1) / ring->job->iterations_per_epoch;
    seconds += rg_board_seconds(board, &work, ring->job->threads) * (double)ends /
               (double)ring->job->iterations;
    rg_work_free(&work);
    return seconds;
}

void rg_ring_copy_work(size_t parameters, struct rg_work *work)
{
    rg_work_vector(work, 0, 2.0 * sizeof(float) * (double)parameters);
}

void rg_ring_next_work(const struct rg_ring *ring, int stage, size_t parameters,
                       struct rg_work *work)
{
    struct rg_optimizer optimizer = rg_ring_optimizer(ring, stage);
    if (rg_ring_predicts(ring, stage))
        rg_optimizer_predict_work(&optimizer, parameters, work);
    else if (rg_ring_versions(ring, stage) > 1)
        rg_ring_copy_work(parameters, work);
}
