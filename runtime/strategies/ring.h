/* How one job splits its network round a ring: worked out once by ring_pipeline's check, read by
 * its closed forms, its partition and its interpreter. */
#ifndef RG_STRATEGIES_RING_H
#define RG_STRATEGIES_RING_H

#include "models/stage.h"
#include "strategies/backup.h"
#include "strategies/schedule.h"
#include "strategies/strategy.h"

struct rg_ring {
    const struct rg_job *job;
    const struct rg_schedule *schedule;
    int replicas, nodes; /* rank = replica * nodes + node */
    int stages;          /* stage s is on node s mod nodes */
    int micro;           /* micro-batches an iteration (a replica) */
    bool overlap;        /* false: a send completes before the next computation starts */
    /* What its stages keep: the schedule's, but of a stream with RG_STASH_WEIGHTS the user may do
     * without the weights, so that backward passes take the newest; and of synchronous schedules
     * without the activations, which are then computed again. */
    enum rg_stash stash;
    bool flows_on; /* it does not drain at the end of an epoch */
    struct rg_backup backup;
    int *cut;   /* [stages + 1]: stage s has the layers [cut[s], cut[s + 1]) */
    int *depth; /* [stages]: units in flight */
    struct rg_plan *plans;
};

/* Floats of the state of so many parameters, with the optimizer's; and of that of all stages of a
 * node. */
uint64_t rg_ring_state_floats(const struct rg_ring *ring, size_t parameters);
uint64_t rg_ring_node_floats(const struct rg_ring *ring, int node);

struct rg_stage rg_ring_stage(const struct rg_ring *ring, int stage);
int rg_ring_rank(const struct rg_ring *ring, int replica, int stage);
int rg_ring_chunks(const struct rg_ring *ring); /* stages of a node */

/* Units at a stage where the first has `units`: they fall in a straight line to the last, so that
 * every stage waits for its gradients equally long. */
int rg_ring_falling(const struct rg_ring *ring, int stage, int units);

/* Is the loss computed beside what the first node is at, or between two of its instructions? */
bool rg_ring_has_loss_beside(const struct rg_ring *ring);

/* How many copies of its parameters a stage has. */
int rg_ring_versions(const struct rg_ring *ring, int stage);

/* Does a stage's optimizer allow for the delay of its gradients? Then forward passes read copies
 * of its parameters that are predicted, and the parameters themselves are kept beside them. */
bool rg_ring_predicts(const struct rg_ring *ring, int stage);
/* The job's, which knows how late the stage's gradients are: of `depth` units in flight, one is
 * backward for each that has come since, so that the units of a batch are depth - 1 units late. */
struct rg_optimizer rg_ring_optimizer(const struct rg_ring *ring, int stage);

/* Of one that does not drain: epochs whose samples may be in flight at once, and by how many units
 * a stage is ahead of the first when both stop at once in a full ring. Of the units between two
 * stages half are on their way forward and half on their way back. It is less than an epoch, so
 * that the copy of an epoch's weights is looked at before the next is made. */
int rg_ring_epochs(const struct rg_ring *ring);
int rg_ring_lead(const struct rg_ring *ring, int stage);

/* Samples of a replica's share of the batch, and of its micro-batch `unit` in an iteration. */
int rg_ring_batch(const struct rg_ring *ring, int replica);
int rg_ring_unit(const struct rg_ring *ring, int replica, int unit);
/* Is it like the replica before it: as many samples, and the same boards in the same places? */
bool rg_ring_repeats(const struct rg_ring *ring, int replica);
int rg_ring_capacity(const struct rg_ring *ring); /* the largest unit */

/* Floats of every buffer a stage of layers [from, to) at that place keeps; one table for counting
 * and for allocating. buffer: of one slot. */
struct rg_ring_sizes {
    size_t parameters; /* one version */
    uint64_t buffer[RG_BUFFERS], scratch;
};
struct rg_ring_sizes rg_ring_sizes(const struct rg_ring *ring, int from, int to);

/* Bytes of the targets of a unit, which the first stage has. */
uint64_t rg_ring_targets(const struct rg_ring *ring);
/* Counted bytes of a stage of layers [from, to) at place `stage` of the ring, without the samples
 * that it may keep; RG_SIZE_MOST where they are more than can be said. */
uint64_t rg_ring_memory(const struct rg_ring *ring, int stage, int from, int to);
/* Of a node, as the ring is cut: of all its stages. */
uint64_t rg_ring_node_memory(const struct rg_ring *ring, int node);
/* Does a stage of those layers fit its board, samples included? Of several stages of a node each
 * may have an equal part. */
bool rg_ring_stage_fits(const struct rg_ring *ring, int replica, int stage, int from, int to);
/* Do all stages, as they are cut, fit the memory of all their boards? */
bool rg_ring_fits(const struct rg_ring *ring);

/* Modelled seconds of one unit of n samples in layers [from, to) on a board. */
struct rg_ring_times {
    double forward, backward; /* loading at layer 0 in forward; recomputation in backward */
    double weights;           /* of backward the second half, where it is split... */
    double again;             /* ... or the forward pass that it repeats */
};
struct rg_ring_times rg_ring_times(const struct rg_ring *ring, const struct rg_board *board,
                                   int from, int to, int n);

/* Append what the next version of so many parameters costs a stage beside the step: its copy, where
 * a unit in flight may still want the last, or its prediction. */
void rg_ring_next_work(const struct rg_ring *ring, int stage, size_t parameters,
                       struct rg_work *work);
void rg_ring_copy_work(size_t parameters, struct rg_work *work);
/* Of the loss of one unit of n samples. */
double rg_ring_loss_s(const struct rg_ring *ring, const struct rg_board *board, int n);

/* Modelled seconds of one update of that many parameters from `first` on at a stage, with that, and
 * with its share of the copies at the ends of epochs, but the last, where the ring does not drain.
 */
double rg_ring_update_s(const struct rg_ring *ring, const struct rg_board *board, int stage,
                        size_t first, size_t parameters);

/* Closed form of the sum of a stage's gradients over the replicas. */
double rg_ring_reduce_s(const struct rg_ring *ring, int stage);

/* What a unit keeps a stage busy for: the processor or the port. Transfers that do not overlap add
 * to the processor's time. */
double rg_ring_busy_s(const struct rg_ring *ring, const struct rg_stage_forms *form);
/* Of a stream, as it is cut: units in flight at the first stage with which it keeps the pace of
 * max(c, T_A), from one to three a stage. In simulations of equal stages three do at any c / T_A,
 * and two up to 0.8. */
int rg_ring_reach(const struct rg_ring *ring);
/* As it is cut, by closed forms: the least number of iterations done again for which the copies
 * that nodes keep of each other could hide. A piece leaves after the last forward pass of an
 * iteration, and should be there before the next iteration's first, for which that unit has to go
 * round the ring; and with it a port should have no more to do than the processor, or hardly more
 * than without. ring->backup is any then. */
int rg_ring_backup_least(struct rg_ring *ring);
/* From there the least with which an iteration is hardly longer than without copies, by a walk
 * through the plans: pieces share ports with messages that are waited for. Where that would take
 * too long it is the former. */
int rg_ring_backup_auto(struct rg_ring *ring);
/* The closed forms of a whole job: times by the schedule's own, traffic exact. */
void rg_ring_predict(const struct rg_ring *ring, struct rg_prediction *prediction);
/* Mean seconds of an iteration of the job's run, by a walk through the plans of the slowest
 * replica; for stages that differ and messages that are small, where closed forms are rough. NAN:
 * it would take too long. */
double rg_ring_walk_s(const struct rg_ring *ring);
/* Who sends what to whom in an iteration. */
void rg_ring_flows(const struct rg_ring *ring, rg_traffic_fn flow, void *arg);

/* Split the layers so that the slowest stage is as fast as can be: dynamic programming over stage
 * times (of a stream with a unit's share of the update) and port times, every stage on the board
 * that will run it, the slowest of its replicas', and within the memory of all. Fills
 * ring->cut. RG_ERR_NO_FIT where no split fits the boards' memory: cut is then the split that would
 * be best without that bound. */
int rg_partition_balanced(struct rg_ring *ring);

/* The interpreter: one node's part in training, as struct rg_strategy has it; job->plan is a ring.
 */
int rg_pipeline_open(struct rg_world *w, const struct rg_job *job, const float *initial,
                     void **pipeline);
int rg_pipeline_train(void *pipeline, int64_t first, int64_t count);
int rg_pipeline_drain(void *pipeline);
int rg_pipeline_parameters(void *pipeline, rg_visit_fn visit, void *arg);
int rg_pipeline_state(void *pipeline, int64_t done, rg_state_fn visit, void *arg);
const float *rg_pipeline_held(void *pipeline, int part, size_t *first, size_t *count);
void rg_pipeline_observe(void *pipeline, struct rg_observation *observation);
void rg_pipeline_close(void *pipeline);

#endif
