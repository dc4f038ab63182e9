/* Tasks of a batch, given to whichever worker is idle, and the sum of their gradients: what
 * mapreduce and sandblaster share (Dean and Ghemawat 2008; Dean et al. 2012, section 4.2).
 *
 * Rank 0 is the master, then come the reducers, which hold the parameters in ranges, then the
 * workers. In a phase reducers send the parameters to all workers; the master hands out tasks,
 * pieces of the batch whose sizes differ by a sample at most; a worker that has done one tells the
 * master, who tells the first reducer whose it is, and gives it the next; its gradient goes to the
 * reducers, one after the other, who add in the order of tasks, so that no number depends on
 * timing. With `backup` a worker for whom no task is left repeats the oldest that is under way,
 * once; what comes first counts, and whoever is slower is told to give up between two layers. A
 * worker has two gradients, so that it computes one while the other waits for its turn: nobody
 * waits for ever, as the oldest task that is not done has nothing before it that is not there. */
#ifndef RG_STRATEGIES_TASKS_H
#define RG_STRATEGIES_TASKS_H

#include "collectives/collectives.h"
#include "strategies/replica.h"

/* What `check` has worked out: rg_job.plan. */
struct rg_tasks_plan {
    int reducers, workers, tasks;
    bool backup;
    int copies; /* of a reducer's range, its own among them */
};

static inline const struct rg_tasks_plan *rg_tasks_plan(const struct rg_job *job)
{
    return job->plan;
}

static inline int rg_tasks_worker_rank(const struct rg_tasks_plan *plan, int worker)
{
    return 1 + plan->reducers + worker;
}

/* What strategies of tasks are asked first; `copies` and others come after. */
enum { RG_TASKS_REDUCERS, RG_TASKS_TASKS, RG_TASKS_BACKUP, RG_TASKS_MORE };
#define RG_TASKS_PARAMS(reducers, hold, tasks)                                                     \
    [RG_TASKS_REDUCERS] = {reducers, RG_PARAM_COUNT, "1", 1, 1e6, NULL, hold},                     \
    [RG_TASKS_TASKS] = {tasks,                                                                     \
                        RG_PARAM_COUNT,                                                            \
                        "auto",                                                                    \
                        1,                                                                         \
                        1e6,                                                                       \
                        NULL,                                                                      \
                        "pieces of a batch that are handed out; auto: 4 a worker"},                \
    [RG_TASKS_BACKUP] = {                                                                          \
        "backup",                                                                                  \
        RG_PARAM_CHOICE,                                                                           \
        "yes",                                                                                     \
        0,                                                                                         \
        0,                                                                                         \
        "no|yes",                                                                                  \
        "where none is left, an idle worker repeats the oldest that another is at"}

/* Their values into job->plan, if they fit the job; auto: or as many tasks as there are samples. */
int rg_tasks_check(struct rg_job *job, int copies, struct rg_error *e);
void rg_tasks_forget(struct rg_job *job);
bool rg_tasks_feeds(const struct rg_job *job, int rank);
struct rg_shard rg_tasks_shard(const struct rg_job *job, int reducer);
struct rg_passes rg_tasks_passes(const struct rg_job *job, int rank);

/* Counted bytes of a master, 0, of a reducer's parameters, gradient and gradients as they come in
 * (one; with backup all of a phase), or of a worker. */
uint64_t rg_tasks_memory(const struct rg_job *job, int rank);

/* ---- closed forms (tasks_predict.c) ---- */

/* What so many phases send, pair by pair; with backup, at most. */
void rg_tasks_flows(const struct rg_job *job, uint64_t phases, rg_traffic_fn flow, void *arg);
/* The numbers of a phase. */
uint64_t rg_tasks_values(const struct rg_job *job);
/* If nobody repeats a task: seconds of a phase, those of the busiest port and of the node that
 * computes most. */
struct rg_tasks_times {
    double phase_s, c_s, T_A_s;
    const char *holds; /* why phase_s is an estimate; NULL: it is none */
};
struct rg_tasks_times rg_tasks_times(const struct rg_job *job);

/* ---- nodes at work ---- */

enum rg_tasks_tag {
    RG_TAG_WEIGHTS = RG_TAG_USER,
    RG_TAG_TASK,
    RG_TAG_TASK_DONE,
    RG_TAG_OWNER,
    RG_TAG_COPY,
    RG_TAG_COMMAND,
    RG_TAG_VALUE,
    RG_TAG_GRADIENT /* and those behind it: of task 0, 1, ... */
};

struct rg_tasks_master;
struct rg_tasks_reducer;
struct rg_tasks_worker;

enum rg_tasks_role { RG_MASTER, RG_REDUCER, RG_WORKER };
enum rg_tasks_role rg_tasks_role(const struct rg_tasks_plan *plan, int rank);

/* At the head of a strategy's state, so that the functions below that take a `void *node` are those
 * of struct rg_strategy. */
struct rg_tasks_node {
    struct rg_world *w;
    const struct rg_job *job;
    const struct rg_tasks_plan *plan;
    enum rg_tasks_role role;
    struct rg_observation seen;
    struct rg_shard shard; /* of a reducer, as the next two */
    float *parameters, *gradient;
    struct rg_replica replica; /* of a worker */
    struct rg_tasks_master *master;
    struct rg_tasks_reducer *reducer;
    struct rg_tasks_worker *worker;
};

int rg_tasks_open(struct rg_tasks_node *node, struct rg_world *w, const struct rg_job *job,
                  const float *initial);
void rg_tasks_close(struct rg_tasks_node *node);
/* A phase over the batch of that iteration. Master: *loss is the batch's mean. Reducer:
 * node->gradient is its part of the sum. */
int rg_tasks_phase(struct rg_tasks_node *node, int64_t iteration, double *loss);
/* What an error has left under way. */
void rg_tasks_cancel(struct rg_tasks_node *node);
uint64_t rg_tasks_root_floats(const struct rg_job *job); /* the master has none */
int rg_tasks_parameters(void *node, rg_visit_fn visit, void *arg);
void rg_tasks_observe(void *node, struct rg_observation *o);

#endif
