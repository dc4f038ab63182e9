/* ringsim: simulate every strategy of a scenario, at every point of its sweeps, each in a process
 * of its own.
 *
 * Happy path: read and check everything, fork a child a run (as many at once as --jobs says), read
 * each child's run from a pipe, write the results as they arrive (gather.c), print the table, write
 * the files.
 * Failure modes handled: a run that does not fit is not started; a child that crashes, deadlocks or
 * takes longer than --timeout gives a failed run and the others go on (pool.c); Ctrl-C ends the
 * children and what has finished is still written, --resume goes on from it. */
#include "ringsim.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/need.h"
#include "base/sizes.h"
#include "children.h"
#include "engine.h"
#include "models/blas.h"
#include "node/node.h"
#include "node/outputs.h"
#include "node/scores.h"
#include "reduced.h"
#include "survey.h"
#include "world_sim.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST_TRACES = 64 }; /* runs of which --trace gathers timelines: they are kept in memory */

/* ---- options ---- */

enum {
    KEY_JOBS = 2000,
    KEY_RESUME,
    KEY_SHARD,
    KEY_MERGE,
    KEY_FULL,
    KEY_ENGINE,
    KEY_PER_NODE
}; /* no letters */

static const struct argp_option options[] = {
    {"jobs", KEY_JOBS, "N", 0, "Runs simulated at once (default: the cores)", 0},
    {"resume", KEY_RESUME, NULL, 0,
     "Take over the finished runs that the --json FILE of the same scenario holds, if it exists",
     0},
    {"shard", KEY_SHARD, "K/N", 0,
     "Only part K of N (1 to N) of the runs: every Nth of them, for a batch system", 0},
    {"merge", KEY_MERGE, NULL, 0,
     "Join the parts of one scenario's result, given in place of a scenario, into --json FILE", 0},
    {"full", KEY_FULL, NULL, 0,
     "Simulate every iteration, also where they repeat (numerics skipped) and the rest could be "
     "told from the first",
     0},
    {"per-node", KEY_PER_NODE, NULL, 0,
     "Keep the figures of every node in the result also where there are 1,000 nodes or more, which "
     "else has quantiles",
     0},
    {"engine", KEY_ENGINE, "auto|simgrid|calendar", 0,
     "What lets simulated time pass: SimGrid, the reference, or a calendar of RingTMP's own, which "
     "is many times faster for many nodes; auto (default): SimGrid up to 64 nodes, the calendar "
     "above "
     "them",
     0},
    {0}};

static void set_engine(struct ringsim *r, const char *arg, struct argp_state *state)
{
    r->engine = RG_SIM_AUTO;
    while (r->engine < RG_SIM_ENGINES && strcmp(arg, rg_sim_engine_name(r->engine)) != 0)
        r->engine++;
    if (r->engine == RG_SIM_ENGINES)
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "--engine %.40s: auto, simgrid and calendar are allowed", arg);
}

static void set_shard(struct ringsim *r, const char *arg, struct argp_state *state)
{
    struct rg_limit limit = {.whole = true, .min = 1, .max = RG_SWEEP_RUNS};
    char copy[24], *shards = copy, *shard;
    double k = 0, n = 0;
    snprintf(copy, sizeof copy, "%s", strlen(arg) < sizeof copy ? arg : "");
    shard = strsep(&shards, "/");
    if (!shards || rg_text_number(shards, &limit, &n, NULL) < 0 ||
        (limit.max = n, rg_text_number(shard, &limit, &k, NULL) < 0))
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "--shard %.40s: K/N is wanted, K from 1 to N, N up to %d, as in 2/8", arg,
                     RG_SWEEP_RUNS);
    if (r->shards)
        argp_failure(state, RG_EXIT_USAGE, 0, "--shard is allowed once, not %d/%d and %s", r->shard,
                     r->shards, arg);
    r->shard = (int)k;
    r->shards = (int)n;
}

static void add_part(struct ringsim *r, char *arg, struct argp_state *state)
{
    char **parts = realloc(r->parts, (size_t)(r->part_count + 1) * sizeof *parts);
    if (!parts)
        argp_failure(state, RG_EXIT_INTERNAL, 0, "out of memory");
    r->parts = parts;
    parts[r->part_count++] = arg;
}

/* What contradicts what. */
static void check_options(const struct ringsim *r, struct argp_state *state)
{
    const struct rg_options *o = &r->options;
    if (o->merging &&
        (o->set_count || o->label_count || o->trace || o->save || o->save_best || o->load ||
         o->checkpoint || o->resume_from || o->check || o->data || o->timeout_s > 0 || r->resume ||
         r->shards || r->full || r->jobs || r->engine || r->per_node))
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "--merge joins what has run: only parts, --json and --quiet are allowed");
    if (o->merging && (r->part_count == 0 || !o->json))
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "--merge: PART.json... and --json FILE are wanted (see --help)");
    if (r->resume && (!o->json || strcmp(o->json, "-") == 0))
        argp_failure(state, RG_EXIT_USAGE, 0, "--resume: --json FILE is wanted to go on from");
    if (r->resume && (o->checkpoint || o->resume_from))
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "--resume finishes a sweep, run by run: --checkpoint and --resume-from are of "
                     "one run, and not allowed with it");
    if (r->resume && (o->trace || o->save || o->save_best || o->load))
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "--resume: finished runs have no timeline and no parameters: --trace, --save "
                     "and --load are not allowed with it");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct ringsim *r = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &r->options;
        break;
    case KEY_JOBS:
        r->jobs = (int)rg_cli_count(state, "jobs", arg, 1, RG_CHILDREN_MOST);
        break;
    case KEY_RESUME:
        r->resume = true;
        break;
    case KEY_SHARD:
        set_shard(r, arg, state);
        break;
    case KEY_MERGE:
        r->options.merging = true;
        break;
    case KEY_FULL:
        r->full = true;
        break;
    case KEY_PER_NODE:
        r->per_node = true;
        break;
    case KEY_ENGINE:
        set_engine(r, arg, state);
        break;
    case ARGP_KEY_ARG:
        if (!r->options.merging)
            return ARGP_ERR_UNKNOWN;
        add_part(r, arg, state);
        break;
    case ARGP_KEY_END:
        check_options(r, state);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_child children[] = {{&rg_cli_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {
    options,
    parse,
    "SCENARIO.xml\n--merge PART.json... --json FILE",
    "Simulate the strategies of a scenario on a cluster of boards: time, accuracy, traffic, memory."
    "\v"
    "Examples:\n"
    "  ringsim scenarios/pi-cluster-64.xml\n"
    "  ringsim scenarios/formula.xml --strategy ringtmp-3S --json result.json\n"
    "  ringsim scenarios/iris-3.xml --set ring.schedule=gpipe --trace ring.trace\n"
    "  ringsim scenarios/pi-cluster-64.xml --check\n\n"
    "A scenario with <sweep key=\"nodes\" values=\"4,8,16\"/> is simulated at every value, with "
    "several "
    "of them at every combination; values may be multiples of the nodes (2N, N/8); --set of the "
    "key "
    "takes the sweep's place. --json FILE is written as results arrive. --trace is allowed for up "
    "to "
    "64 runs; --save and --load want exactly one.\n"
    "  ringsim sweep.xml --set nodes=64 --strategy ring\n"
    "  ringsim sweep.xml --json all.json\n"
    "  ringsim sweep.xml --json all.json --resume   # after an interruption\n"
    "  ringsim sweep.xml --shard 1/2 --json 1.json  # 2/2 on another machine, then\n"
    "  ringsim --merge 1.json 2.json --json all.json\n\n"
    "Slurm arrays and GNU parallel: scenarios/batch has a script for each.\n\n"
    "Exit status: 0 every run that fits and is possible finished; 1 internal error; 2 bad usage or "
    "scenario; 3 deadlock or unfinished; 4 a board was lost; 5 finished, but something could not "
    "be "
    "saved; 130 interrupted.",
    children,
    NULL,
    NULL};

/* ---- main ---- */

/* All nodes live in one process: a stack and messages each, of which a part is touched, and where
 * numbers are computed what they train with. */
enum { NODE_ADDRESSES = 128 << 10, NODE_BYTES = 24 << 10 };

static int check_limits(const struct ringsim *r, const struct rg_study *study, struct rg_error *e)
{
    int result = 0;
    for (int i = 0; i < study->job_count && result == 0; i++) {
        const struct rg_job *job = &study->jobs[i];
        struct rg_error why = {0};
        char who[100];
        if (job->refused || rg_job_fits(job, NULL) != 0)
            continue;
        uint64_t nodes = (uint64_t)job->nodes, bytes = 0, addresses = nodes * NODE_ADDRESSES;
        if (job->numerics) { /* the samples once, for all */
            bytes +=
                rg_dataset_bytes(job->data, (struct rg_data_kept){.train = true, .test = true});
            bytes = rg_size_plus(
                bytes, rg_node_beside_training(job, r->options.checkpoint, r->options.resume_from));
            addresses += rg_blas_addresses();
        }
        bool loses = study->scenario.training.lose != RG_LOSE_STOP;
        for (int rank = 0; rank < job->nodes && job->numerics; rank++)
            bytes = rg_size_plus(rg_size_plus(bytes, job->strategy->memory(job, rank)),
                                 loses ? rg_node_beside_loss(job, rank) : 0);
        snprintf(who, sizeof who, "%.64s, %d nodes in one process", job->label, job->nodes);
        result = rg_limits_address_space(rg_size_plus(bytes, addresses), who, &why);
        if (result == 0)
            result = rg_limits_memory("/", rg_size_plus(bytes, nodes * NODE_BYTES), who, &why);
        if (result)
            rg_fail_at(e, study->scenario.file, 0, "%s", why.text);
    }
    return result;
}

static int look_at_platform(void *ringsim, struct rg_platform *platform, int nodes,
                            double link_rate, struct rg_error *e)
{
    if (platform->topology[0] && !rg_engine_has_topologies())
        return rg_fail_at(e, platform->file, platform->topology_line,
                          "topology=\"%s\": SimGrid 4.0 does not load it (3.32 does); FLAT is "
                          "allowed",
                          platform->topology);
    return rg_survey_platform(((struct ringsim *)ringsim)->surveys, platform, nodes, link_rate, e);
}

/* What SimGrid thinks of the jobs of a point, before anything is run or written. */
static int look_at_jobs(void *ringsim, const struct rg_study *study, struct rg_error *e)
{
    struct ringsim *r = ringsim;
    int err = check_limits(r, study, e);
    for (int i = 0; i < study->job_count && err == 0; i++) {
        if (study->jobs[i].refused)
            continue;
        struct rg_job *job = &study->jobs[i];
        bool checkpoints = ringsim_has_checkpoints(r, &study->scenario);
        job->whole = r->full ? "--full says so"
                             : rg_why_whole(job, study, r->options.trace != NULL, checkpoints);
        struct rg_training_state none;
        if (checkpoints && !job->numerics &&
            (err = rg_node_open_checkpoints(job, "", NULL, &none, e)) != 0)
            return err;
        err = rg_survey_job(r->surveys, &study->platform, study->scenario.training.bandwidth_factor,
                            job, e);
        const struct rg_sim_options start = ringsim_options(r, study, job);
        if (err == 0)
            rg_preload_note(&r->preload, &start);
    }
    return err;
}

static int make_plan(struct ringsim *r)
{
    r->surveys = rg_needed(rg_surveys_new());
    const struct rg_cli_looks looks = {
        .platform = look_at_platform, .study = look_at_jobs, .arg = r};
    int status = rg_cli_plan(&r->options, "ringsim", &looks, &r->study, &r->plan);
    rg_surveys_rest(r->surveys);
    if (status || !r->options.trace)
        return status;
    int mine = 0;
    for (int i = 0; i < r->plan.run_count; i++)
        mine += ringsim_is_mine(r, i);
    if (mine <= MOST_TRACES)
        return 0;
    fprintf(stderr, "ringsim: --trace: timelines of up to %d runs are allowed, these are %d\n",
            MOST_TRACES, mine);
    return RG_EXIT_USAGE;
}

static int load_initial(struct ringsim *r)
{
    struct rg_error e;
    if (!r->options.load)
        return 0;
    int result =
        rg_checkpoint_load(r->options.load, &r->study.network, &r->study.data, &r->initial, &e);
    if (result)
        fprintf(stderr, "ringsim: %s\n", e.text);
    return result ? RG_EXIT_USAGE : 0;
}

static int open_checkpoints(struct ringsim *r)
{
    const struct rg_options *o = &r->options;
    struct rg_error e = {0};
    if (!r->plan.numerics || (!o->checkpoint && !o->resume_from))
        return 0;
    int result =
        rg_node_open_checkpoints(&r->study.jobs[0], o->checkpoint, o->resume_from, &r->resumed, &e);
    if (result)
        fprintf(stderr, "ringsim: %s\n", e.text);
    return result ? RG_EXIT_USAGE : 0;
}

/* And the folder of checkpoints, once nothing else is in the way. */
static int load_data(struct ringsim *r)
{
    struct rg_error e;
    int result = r->plan.study_open ? rg_study_load_data(&r->study, RG_ANY_RANK, &e) : 0;
    if (result == 0 && r->options.checkpoint && r->plan.numerics)
        result = rg_training_folder(r->options.checkpoint, r->resumed.goes_there, &e);
    if (result)
        fprintf(stderr, "ringsim: %s\n", e.text);
    return result ? RG_EXIT_USAGE : 0;
}

static bool wanted(void *arg, int index)
{
    const struct ringsim *r = arg;
    return ringsim_is_mine(r, index) && !r->tasks[index].over;
}

static int simulate(struct ringsim *r)
{
    r->started_s = rg_clock_s();
    int status = load_data(r);
    if (status == 0)
        status = ringsim_gather(r);
    if (status)
        return status;
    void *shared = mmap(NULL, (size_t)(r->count + 1) * sizeof *r->shared, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    r->shared = rg_needed(shared == MAP_FAILED ? NULL : shared);
    int *order = ringsim_order(r);
    rg_preload(&r->preload);
    const struct rg_children pool = {.count = r->count,
                                     .order = order,
                                     .at_once = r->jobs,
                                     .timeout_s = r->options.timeout_s,
                                     .arg = r,
                                     .wanted = wanted,
                                     .child = ringsim_child,
                                     .ended = ringsim_ended,
                                     .tick = ringsim_tick};
    rg_children_run(&pool);
    free(order);
    return ringsim_report(r);
}

static int check(const struct ringsim *r)
{
    if (r->plan.sweeping)
        rg_cli_check_plan(&r->plan, stdout);
    else
        rg_cli_check(&r->study, stdout);
    return rg_cli_flush("ringsim");
}

int main(int argc, char **argv)
{
    struct ringsim r = {0};
    rg_blas_setup(argv);
    rg_cli_parse(&argp, argc, argv, &r);
    if (r.options.show) {
        r.options.show(stdout);
        rg_cli_free(&r.options);
        return rg_cli_flush("ringsim");
    }
    if (r.options.predict || r.options.evaluate) { /* boards do not matter: nothing is simulated */
        rg_file_abandon_on_signals(RG_EXIT_INTERRUPTED);
        int status = r.options.predict ? rg_cli_predict(&r.options, "ringsim", rg_outputs_here)
                                       : rg_cli_evaluate(&r.options, "ringsim", rg_scores_here);
        rg_cli_free(&r.options);
        return status;
    }
    rg_children_catch();
    if (r.jobs == 0)
        r.jobs = (int)RG_MIN(RG_MAX(sysconf(_SC_NPROCESSORS_ONLN), 1), RG_CHILDREN_MOST);
    int status = r.options.merging ? ringsim_merge(&r) : make_plan(&r);
    if (status == 0 && !r.options.merging) {
        if (rg_blas_note() && !r.options.quiet)
            fprintf(stderr, "ringsim: %s\n", rg_blas_note());
        r.terminal = isatty(STDERR_FILENO) && !r.options.quiet;
        status = load_initial(&r);
        status = status ? status : open_checkpoints(&r);
        if (status == 0 && r.options.check)
            status = check(&r);
        else if (status == 0)
            status = simulate(&r);
    }
    ringsim_forget(&r);
    rg_sweep_close(&r.plan);
    rg_surveys_free(r.surveys);
    rg_preload_forget(&r.preload);
    rg_cli_free(&r.options);
    free(r.parts);
    free(r.initial);
    rg_training_state_free(&r.resumed);
    return status;
}
