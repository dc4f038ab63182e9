/* A strategy: a way to train one network on many nodes.
 *
 * To add one: write foo.c whose only global is `const struct rg_strategy rg_strategy_foo`, and add
 * its name to list.def. Validation, --list, the memory check, results and tests find it there. */
#ifndef RG_STRATEGIES_STRATEGY_H
#define RG_STRATEGIES_STRATEGY_H

#include "boards/board.h"
#include "models/deal.h"
#include "models/network.h"
#include "models/optimizer.h"
#include "world/world.h"

enum { RG_PARAMS_MAX = 32 };

enum rg_param_type {
    RG_PARAM_COUNT,  /* an integer in [min, max] */
    RG_PARAM_CHOICE, /* one of the words in `choices`, separated by | */
    RG_PARAM_LIST,   /* integers separated by commas: "4,4,3" */
    RG_PARAM_REAL,   /* a number in [min, max] */
    RG_PARAM_WORDS   /* some of the words in `choices`, each once, in an order that may matter, with
                      * blanks or commas between them; the fallback is none of them */
};

struct rg_param {
    const char *name;
    enum rg_param_type type;
    const char *fallback; /* default, as it would be written; for COUNT, REAL and LIST it may be a
                           * word ("auto", "balanced"), which then means rg_value.automatic */
    double min, max;      /* RG_PARAM_COUNT, RG_PARAM_REAL */
    /* RG_PARAM_CHOICE, RG_PARAM_WORDS; COUNT: words beside the fallback that mean
     * rg_value.automatic too, LIST: all words that may stand in its place; NULL: none */
    const char *choices;
    const char *help; /* a line, or several */
    bool later; /* results from before it was there have none: at its default they tell nothing */
};

/* A resolved parameter. */
struct rg_value {
    bool automatic;   /* a word, not a number or list; `check` then fills in the rest */
    int word;         /* LIST with several words: which */
    long number;      /* COUNT; CHOICE: index of the word; LIST, WORDS: how many */
    double real;      /* REAL; NAN: automatic, and left open */
    const char *text; /* as written */
    int *list;        /* LIST; WORDS: their indices; owned by the job */
};

/* The closed forms, for one iteration unless said otherwise. */
struct rg_prediction {
    bool overlap; /* communication can hide behind computation */
    /* Largest compute time of a node; busiest port, or the medium that all share. */
    double T_A_s, c_s;
    double iteration_s;
    const char *holds; /* why iteration_s is an estimate for such values; NULL: it is within 5 % */
    bool alone;     /* one computation or message at a time: a sum, whatever boards and wires are */
    bool told;      /* `holds` knows of boards that differ, half-duplex ports and media, too */
    bool bound;     /* no iteration takes longer than iteration_s, whatever the boards are */
    double least_s; /* nor less than this, where it is more than c and T_A */
    /* Of all nodes. Exact for each iteration; where some differ from others (`round` above 1), for
     * any so many from a multiple of it on together. at_most: what is sent depends on data or
     * timing, and is never more. */
    uint64_t messages, values, payload_bytes;
    int64_t round;
    bool at_most;
    int bottleneck; /* the node whose memory is largest */
    uint64_t memory_bytes;
    /* Where nodes keep copies of each other's state for the case of a loss. */
    struct rg_copies_form {
        int most;             /* iterations that are done again, at most; 0: there are no copies */
        int every, pieces;    /* iterations from one state to the next; messages that it goes in */
        int kept;             /* states that each node has at once */
        uint64_t piece_bytes; /* the largest */
        uint64_t bytes;       /* of memory, at the node that has most */
        double piece_s, hides_s; /* the longest on its way, and what it hides behind */
    } copies;
};

/* One strategy of a scenario with everything it needs. Read-only while it runs; shared by all ranks
 * of a process. */
struct rg_job {
    const struct rg_strategy *strategy;
    const char *label;
    struct rg_value values[RG_PARAMS_MAX]; /* in the order of strategy->params */
    int nodes;                             /* ranks; `check` may lower what was asked for */
    bool nodes_given;                      /* the user named a number */
    const struct rg_board *const *boards;  /* [nodes] at least */
    const struct rg_network *network;
    const struct rg_dataset *data;
    struct rg_optimizer optimizer;
    bool compensate; /* streams allow for the delay of their gradients */
    int batch, threads;
    int64_t iterations;           /* in all */
    int64_t iterations_per_epoch; /* = data->train / batch, at least 1 */
    uint64_t seed;
    bool numerics;
    bool own_rows;              /* <data rows> says that nodes have rows of their own */
    const struct rg_deal *rows; /* the samples of each rank that has its own, in the order of
                                 * ranks; NULL: all are shared */
    const int *shares; /* samples of each data-parallel node in a batch; NULL: they are equal */
    void *plan;        /* what `check` worked out once for all ranks; freed by `forget` */
    bool settled;      /* its values are another rank's check's, and none is the user's wish */
    bool flows_on;     /* between epochs there is something in flight; set by `check` */
    bool drawn;        /* who takes part in an iteration is drawn, none repeats another; likewise */
    bool uneven;       /* iterations differ in how much is done; likewise */
    bool copies;       /* nodes keep copies of each other's state, if there are others; likewise */
    int multiple;      /* its nodes come in multiples of so many; 0: in any number; likewise */
    bool left_whole;   /* after a loss those that are left have all of the state of an iteration
                        * between them, as a rule, without copies for that; likewise */
    bool records;      /* nodes out of step write down in which order they served others */
    char *const *orders; /* by rank, of those that do: serve in that order; NULL: as they come */
    bool refused;        /* `check` said no, or there are too few nodes: it cannot run */
    char rough[200];   /* why its closed forms are no more than an estimate on this platform; "" */
    const char *whole; /* why every iteration is simulated; NULL: those that repeat need not be */
    struct rg_foretold {
        bool known; /* the first: rg_job_predict's */
        struct rg_prediction form;
        double plan_s; /* rg_job_plan_s; 0: not known */
    } foretold;        /* as it was asked before; not of a copy that differs */
};

/* Receives ranges of the trained parameters, in order, on rank 0. */
typedef int (*rg_visit_fn)(void *arg, size_t offset, const float *values, size_t count);

/* Numbers that training goes on with, as a checkpoint holds them. */
struct rg_state_array {
    const char *name;    /* of what: RG_STATE_PARAMETERS, rg_optimizer_slot, or a strategy's own */
    size_t first, count; /* a range of the network's vector */
    bool own;            /* this node's alone; else whoever has that range has the same */
    bool lasting;        /* own, and this rank's however the network is divided */
    float *values;       /* [count], borrowed: to be read, or overwritten with what they were */
};
#define RG_STATE_PARAMETERS "parameters"
typedef int (*rg_state_fn)(void *arg, const struct rg_state_array *array);
/* The same of a copy, of the state after so many iterations. */
typedef int (*rg_copy_fn)(void *arg, int64_t done, const struct rg_state_array *array);

/* What a node saw of its own training, so far; what becomes of it over nodes is said by the rows of
 * result_fields.def that it goes to. */
struct rg_observation {
    int64_t staleness;    /* most updates between reading weights for a gradient and applying it */
    int64_t peak_units;   /* most micro-batches whose activations were held at once */
    bool out_of_step;     /* nodes do not wait for one another: what follows is told, too */
    int64_t gradients;    /* applied by this node */
    double staleness_sum; /* of these */
    const char *order;    /* in which it served others, where job->records; NULL: it served none */
    bool in_rounds;       /* in which some take part that are drawn: */
    int64_t drawn;        /* told by the server alone, over all rounds, */
    int64_t left_out;     /* and of these whose part did not come in time; */
    int64_t own_left_out; /* this node's own, */
    int64_t trained;      /* and the samples that it has taken steps with */
    bool filtered;        /* gradients are sent in part, the rest later: */
    int64_t numbers;      /* that this node had to send, */
    int64_t said;         /* did, */
    int64_t said_bytes;   /* and the bytes of these messages */
};

struct rg_passes {
    int least, most;
    bool halves; /* backward is in halves */
};

struct rg_strategy {
    const char *name, *summary;
    const struct rg_param *params; /* ends with a NULL name */
    int min_nodes;
    bool searches; /* it can look at a batch more than once: optimizer="lbfgs" */
    /* Do the values fit one another and the job? Sets nodes, resolves "auto", fills plan. Errors
     * are without FILE:LINE, the caller adds them. */
    int (*check)(struct rg_job *job, struct rg_error *e);
    void (*forget)(struct rg_job *job);
    /* Does that rank draw training samples? NULL: every one does. See samples.h. */
    bool (*feeds)(const struct rg_job *job, int rank);
    /* Counted bytes that open() will allocate on that rank: exact. The samples come on top. */
    uint64_t (*memory)(const struct rg_job *job, int rank);
    void (*predict)(const struct rg_job *job, struct rg_prediction *prediction);
    /* Seconds of an iteration by going through what every node does, where that is more than the
     * closed form; NAN: it would take too long. NULL: there is no plan. */
    double (*by_plan)(const struct rg_job *job);
    /* Who sends what to whom in an iteration, or in the `round` of predict, pair by pair: together
     * what predict counts. Where it is drawn, in the first. NULL: nobody sends anything. */
    void (*flows)(const struct rg_job *job, rg_traffic_fn flow, void *arg);
    /* The nodes among which a batch is divided, from *first on; NULL: it is not (see shares.h). */
    int (*sharing)(const struct rg_job *job, int *first);
    /* Samples of a pass over the layers on that rank: the least and the most at once; most 0: it
     * makes none. NULL: its share of the batch, or, where it is not divided, all of it. */
    struct rg_passes (*passes)(const struct rg_job *job, int rank);
    /* The nodes that have rows of their own where <data rows> says so, from *first on; NULL: as
     * `sharing`. Neither: any row may come to any node. */
    int (*keepers)(const struct rg_job *job, int *first);
    /* The node that has a layer of the network, of replicas one that all layers' are together; rank
     * 0 has the first. NULL: every node has all of them. */
    int (*holder)(const struct rg_job *job, int layer);
    /* Iterations that may be under way at once, at most: of nodes out of step, one is a clock that
     * all workers have ended. NULL: 1. */
    int64_t (*under_way)(const struct rg_job *job);
    /* Can a run follow these orders, which a run of such a job has written down? RG_ERR_INVALID and
     * why not. NULL: nodes are never out of step, and no order is written down. */
    int (*check_orders)(const struct rg_job *job, char *const *orders, int count,
                        struct rg_error *e);

    /* A node's part. open allocates everything, loads nothing from the network and sets the initial
     * parameters (or those in `initial`, a whole network's, NULL: drawn from the seed); train runs
     * iterations [first, first + count), which all lie in one epoch, calls rg_iteration after each
     * and leaves nothing in flight, unless job->flows_on (where it asks rg_go_on itself when it
     * goes on); it returns 1 when rg_iteration said stop.
     */
    int (*open)(struct rg_world *w, const struct rg_job *job, const float *initial, void **state);
    int (*train)(void *state, int64_t first, int64_t count);
    /* Collective, untimed, where job->flows_on: no more is trained after the epoch that `train` ran
     * last, bring what is in flight to its end. NULL: nothing ever is. */
    int (*drain)(void *state);
    /* Collective, untimed: rank 0 visits all parameters in order, a layer's at a time at most:
     * those at the end of the last iteration that `train` was asked for. */
    int (*parameters)(void *state, rg_visit_fn visit, void *arg);
    /* Between two iterations, nothing in flight, after `done` of them in all: visit whatever this
     * node's next updates depend on beside the job, always in one order. A visitor may write what a
     * checkpoint of so many iterations has; counters and what is derived from the arrays follow.
     * NULL: there are no checkpoints of it. */
    int (*state)(void *state, int64_t done, rg_state_fn visit, void *arg);
    /* Floats of all that, of all nodes; what several have alike counts once. NULL: parameters and
     * the optimizer's state. */
    uint64_t (*state_floats)(const struct rg_job *job);
    /* Those among them that rank 0 has itself. NULL: all. */
    uint64_t (*root_floats)(const struct rg_job *job);
    /* Would a pause before the end of an epoch change what is trained (pipelines run empty, nodes
     * are brought in step)? NULL: it does not. */
    bool (*whole_epochs)(const struct rg_job *job);
    /* The parameters that this node has whole, also where training broke off in the middle of an
     * iteration: range number `part` of the network's vector, from 0. NULL: there are no more.
     * Borrowed. */
    const float *(*held)(void *state, int part, size_t *first, size_t *count);
    /* States that this node keeps for the case that others are lost, each whole for its part: its
     * own and copies of others' (job->copies), or what it trains with (job->left_whole), of
     * iterations that are over, also where training broke off. All parts of one such state together
     * are what `state` had then. Borrowed; not where numerics are skipped. NULL: it never has any,
     * and sets neither. */
    int (*copies)(void *state, rg_copy_fn visit, void *arg);
    /* Floats of these on that rank, at most, where job->left_whole. NULL: all of state_floats. */
    uint64_t (*copies_floats)(const struct rg_job *job, int rank);
    /* Rank 0: the parameters that another rank has trained by itself and sent last, all of them;
     * NULL: it has not, lately. Borrowed. NULL: nodes have none of their own. */
    const float *(*trained_by)(void *state, int rank);
    void (*observe)(void *state, struct rg_observation *observation);
    void (*close)(void *state);
};

/* All of them, NULL-terminated, in the order of list.def. */
extern const struct rg_strategy *const rg_strategies[];
const struct rg_strategy *rg_strategy_named(const char *name);

/* Share `part` of `total` split in `parts`: sizes differ by at most one, larger ones first. */
int rg_share(int total, int parts, int part);
int rg_share_first(int total, int parts, int part); /* how many come before it */

/* The same of parameters that servers hold in ranges. */
struct rg_shard {
    size_t first, count;
};
struct rg_shard rg_shard_of(size_t total, int parts, int part);
/* The order in which server number `server` of so many sends to its workers, 0 to workers - 1: in
 * waves of at least as many as there are servers, each server beginning a wave with another worker,
 * so that no two serve the same one at a time. */
void rg_serving_order(int servers, int workers, int server, int *order);

/* Samples of a part in the job's batch, and how many come before it (see shares.h). */
int rg_job_share(const struct rg_job *job, int parts, int part);
int rg_job_share_first(const struct rg_job *job, int parts, int part);
struct rg_passes rg_job_passes(const struct rg_job *job, int rank);

/* Fill in the memory part of a prediction: the node that needs most. */
void rg_predict_memory(const struct rg_job *job, struct rg_prediction *prediction);
/* Add a flow to a prediction's messages and bytes: an rg_traffic_fn. */
void rg_predict_flow(void *prediction, const struct rg_traffic *flow);

/* Floats of a checkpoint; of so many parameters with the optimizer's state. */
uint64_t rg_state_floats(const struct rg_job *job);
uint64_t rg_trained_floats(const struct rg_job *job, size_t parameters);

#endif
