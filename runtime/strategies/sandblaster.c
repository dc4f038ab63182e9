/* sandblaster: L-BFGS whose vectors are on servers (Dean et al. 2012, section 4.2). Rank 0, the
 * coordinator, has scalars alone: it tells the servers which operation comes next on the ranges of
 * vectors that each of them has, and adds up their parts of dot products in the order of ranks. A
 * gradient is a phase of tasks (tasks.h), portions of the batch that go to whichever worker is
 * idle. */
#include "strategies/search.h"
#include "strategies/tasks.h"

#include "base/check.h"
#include "base/sizes.h"
#include <math.h>
#include <stdlib.h>

static const struct rg_param params[] = {
    RG_TASKS_PARAMS("servers",
                    "nodes that hold ranges of the parameters, of the direction and of its history",
                    "portions"),
    {0}};

static int check(struct rg_job *job, struct rg_error *e)
{
    if (job->optimizer.kind != RG_LBFGS)
        return rg_fail(e, RG_ERR_INVALID,
                       "its servers take the steps of optimizer=\"lbfgs\": not of \"%s\", which "
                       "mapreduce and parameter_server take",
                       rg_optimizer_infos[job->optimizer.kind].name);
    return rg_tasks_check(job, 1, e);
}

/* ---- closed forms ---- */

/* To a server or a worker, and of a dot product. */
enum { END, EVALUATE, COMBINE, DOT };
struct command {
    int32_t what;
    int16_t to, a, b, unused;
    double by;
};
enum { COMMAND_BYTES = sizeof(struct command), ANSWER_BYTES = sizeof(double) };

static uint64_t memory(const struct rg_job *job, int rank)
{
    uint64_t bytes = rg_tasks_memory(job, rank);
    if (rg_tasks_role(rg_tasks_plan(job), rank) != RG_REDUCER)
        return bytes;
    return rg_size_plus(bytes, rg_vectors_memory(job, rg_tasks_shard(job, rank - 1).count));
}

static void flows(const struct rg_job *job, rg_traffic_fn flow, void *arg)
{
    const struct rg_tasks_plan *plan = rg_tasks_plan(job);
    struct rg_search_calls most = rg_search_most(job);
    uint64_t phases = most.evaluations, calls = phases + 1 + most.combines + most.dots;
    rg_tasks_flows(job, phases, flow, arg);
    for (int rank = 1; rank < job->nodes; rank++) {
        uint64_t commands = rank <= plan->reducers ? calls : phases + 1;
        flow(arg, &(struct rg_traffic){0, rank, commands, commands * COMMAND_BYTES});
        if (rank <= plan->reducers)
            flow(arg, &(struct rg_traffic){rank, 0, most.dots, most.dots * ANSWER_BYTES});
    }
}

/* Operations one after the other: a command, or the server's computing if that is longer; of a dot
 * product both, and the answer. */
static double calls_s(const struct rg_job *job, int server)
{
    const struct rg_board *board = job->boards[1 + server], *rank_0 = job->boards[0];
    struct rg_search_calls calls = rg_search_usual(job);
    size_t count = rg_tasks_shard(job, server).count;
    double command = rg_board_hop_to_s(rank_0, board, COMMAND_BYTES);
    double answer = rg_board_hop_to_s(board, rank_0, ANSWER_BYTES);
    return (double)calls.combines * fmax(command, rg_vectors_combine_s(job, board, count)) +
           (double)calls.dots * (command + rg_vectors_dot_s(job, board, count) + answer);
}

static double computing_s(const struct rg_job *job, int server)
{
    const struct rg_board *board = job->boards[1 + server];
    struct rg_search_calls calls = rg_search_usual(job);
    size_t count = rg_tasks_shard(job, server).count;
    return (double)calls.combines * rg_vectors_combine_s(job, board, count) +
           (double)calls.dots * rg_vectors_dot_s(job, board, count);
}

static void predict(const struct rg_job *job, struct rg_prediction *p)
{
    const struct rg_tasks_plan *plan = rg_tasks_plan(job);
    struct rg_tasks_times times = rg_tasks_times(job);
    double evaluations = (double)rg_search_usual(job).evaluations, calls = 0;
    flows(job, rg_predict_flow, p);
    p->values = rg_search_most(job).evaluations * rg_tasks_values(job);
    p->at_most = true;
    p->T_A_s = evaluations * times.T_A_s;
    p->c_s = evaluations * times.c_s;
    for (int j = 0; j < plan->reducers; j++) {
        calls = fmax(calls, calls_s(job, j));
        p->T_A_s = fmax(p->T_A_s, computing_s(job, j));
    }
    p->iteration_s = evaluations * times.phase_s + calls;
    p->holds = "the first trial is taken, and the history is full";
    rg_predict_memory(job, p);
}

/* ---- a node ---- */

struct sandblaster {
    struct rg_tasks_node node;
    struct rg_search search; /* the coordinator's, as the next four */
    struct command command;
    struct rg_request *out, *in; /* [nodes]: commands, answers */
    double *answers;             /* [servers] */
    struct rg_vectors vectors;   /* a server's */
    double answer;
    struct rg_request heard, said;
};

static const struct rg_search_ops search_ops;

static int open_node(struct rg_world *w, const struct rg_job *job, const float *initial,
                     void **state)
{
    struct sandblaster *s = calloc(1, sizeof *s);
    *state = s;
    if (!s)
        return RG_ERR_NOMEM;
    s->search = (struct rg_search){.job = job, .ops = &search_ops, .arg = s};
    int result = rg_tasks_open(&s->node, w, job, initial);
    if (result == 0 && s->node.role == RG_REDUCER)
        return rg_vectors_open(&s->vectors, w, job, s->node.shard.count, s->node.parameters,
                               s->node.gradient);
    if (result || s->node.role == RG_WORKER)
        return result;
    s->out = calloc((size_t)job->nodes, sizeof *s->out);
    s->in = calloc((size_t)job->nodes, sizeof *s->in);
    s->answers = calloc((size_t)job->nodes, sizeof *s->answers);
    return s->out && s->in && s->answers ? 0 : RG_ERR_NOMEM;
}

static void close_node(void *state)
{
    struct sandblaster *s = state;
    rg_tasks_close(&s->node);
    rg_vectors_close(&s->vectors);
    free(s->out);
    free(s->in);
    free(s->answers);
    free(s);
}

/* ---- the coordinator ---- */

/* To the servers, or to all. */
static int tell(struct sandblaster *s, struct command command)
{
    bool all = command.what == EVALUATE || command.what == END;
    int last = all ? s->node.job->nodes - 1 : s->node.plan->reducers, result = 0;
    s->command = command;
    for (int rank = 1; rank <= last && result == 0; rank++)
        result =
            rg_send(s->node.w, rank, RG_TAG_COMMAND, &s->command, sizeof s->command, &s->out[rank]);
    for (int rank = 1; rank <= last && result == 0; rank++)
        result = rg_wait(s->node.w, &s->out[rank]);
    return result;
}

static int combine(void *arg, int to, int a, double by, int b)
{
    return tell(
        arg, (struct command){
                 .what = COMBINE, .to = (int16_t)to, .a = (int16_t)a, .b = (int16_t)b, .by = by});
}

static int dot(void *arg, int a, int b, double *value)
{
    struct sandblaster *s = arg;
    int servers = s->node.plan->reducers, result = 0;
    for (int j = 0; j < servers && result == 0; j++)
        result = rg_recv(s->node.w, 1 + j, RG_TAG_VALUE, &s->answers[j], sizeof *s->answers,
                         &s->in[1 + j]);
    if (result == 0)
        result = tell(s, (struct command){.what = DOT, .a = (int16_t)a, .b = (int16_t)b});
    for (int j = 0; j < servers && result == 0; j++) {
        result = rg_wait(s->node.w, &s->in[1 + j]);
        *value += s->answers[j];
    }
    return result;
}

static int evaluate(void *arg, int64_t iteration, double *loss)
{
    struct sandblaster *s = arg;
    int result = tell(s, (struct command){.what = EVALUATE});
    return result ? result : rg_tasks_phase(&s->node, iteration, loss);
}

static const struct rg_search_ops search_ops = {
    .combine = combine, .dot = dot, .evaluate = evaluate};

/* ---- servers and workers ---- */

static int answer_dot(struct sandblaster *s)
{
    int result = rg_vectors_dot(&s->vectors, s->node.w, s->command.a, s->command.b, &s->answer);
    if (result == 0)
        result = rg_send(s->node.w, 0, RG_TAG_VALUE, &s->answer, sizeof s->answer, &s->said);
    return result ? result : rg_wait(s->node.w, &s->said);
}

static bool is_vector(const struct sandblaster *s, int vector, int least)
{
    return vector >= least && vector < RG_VECTOR_PAIRS + 2 * s->node.job->optimizer.history;
}

static int obey(struct sandblaster *s, int64_t iteration)
{
    const struct command *c = &s->command;
    double loss;
    if (c->what == EVALUATE)
        return rg_tasks_phase(&s->node, iteration, &loss);
    bool known = s->node.role == RG_REDUCER && is_vector(s, c->b, 0) &&
                 is_vector(s, c->a, c->what == DOT ? 0 : RG_VECTOR_NONE);
    if (known && c->what == DOT)
        return answer_dot(s);
    if (known && c->what == COMBINE && is_vector(s, c->to, 0))
        return rg_vectors_combine(&s->vectors, s->node.w, c->to, c->a, c->by, c->b);
    return RG_ERR_PROTOCOL;
}

static int serve(struct sandblaster *s, int64_t iteration)
{
    int result = 0;
    for (;;) {
        result = rg_recv(s->node.w, 0, RG_TAG_COMMAND, &s->command, sizeof s->command, &s->heard);
        if (result == 0)
            result = rg_wait(s->node.w, &s->heard);
        if (result || s->command.what == END)
            return result;
        result = obey(s, iteration);
        if (result)
            return result;
    }
}

static int coordinate(struct sandblaster *s, int64_t iteration)
{
    int result = rg_search_step(&s->search, iteration);
    return result ? result : tell(s, (struct command){.what = END});
}

/* ---- the whole ---- */

static void cancel(struct sandblaster *s)
{
    rg_tasks_cancel(&s->node);
    for (int rank = 1; rank < s->node.job->nodes && s->node.role == RG_MASTER; rank++) {
        rg_cancel(s->node.w, &s->out[rank]);
        rg_cancel(s->node.w, &s->in[rank]);
    }
    rg_cancel(s->node.w, &s->heard);
    rg_cancel(s->node.w, &s->said);
}

static int train(void *state, int64_t first, int64_t count)
{
    struct sandblaster *s = state;
    int result = s->node.role == RG_WORKER ? rg_feed_epoch(&s->node.replica.feed, first) : 0;
    for (int64_t i = first; i < first + count && result == 0; i++) {
        result = s->node.role == RG_MASTER ? coordinate(s, i) : serve(s, i);
        if (result == 0)
            result = rg_iteration(s->node.w, i);
    }
    if (result < 0)
        cancel(s);
    return result;
}

static int visit_state(void *state, int64_t done, rg_state_fn visit, void *arg)
{
    struct sandblaster *s = state;
    (void)done;
    if (s->node.role == RG_MASTER)
        return rg_search_visit(&s->search, visit, arg);
    if (s->node.role == RG_WORKER)
        return 0;
    int result = rg_visit_parameters(s->node.parameters, s->node.shard.first, s->node.shard.count,
                                     visit, arg);
    return result ? result
                  : rg_vectors_visit(&s->vectors, s->node.job, s->node.shard.first, visit, arg);
}

static const float *held(void *state, int part, size_t *first, size_t *count)
{
    struct sandblaster *s = state;
    *first = s->node.shard.first;
    *count = s->node.shard.count;
    return s->node.role == RG_REDUCER && part == 0 ? s->node.parameters : NULL;
}

const struct rg_strategy rg_strategy_sandblaster = {
    .name = "sandblaster",
    .summary = "a coordinator without vectors leads servers and workers through L-BFGS",
    .params = params,
    .min_nodes = 3,
    .searches = true,
    .check = check,
    .forget = rg_tasks_forget,
    .feeds = rg_tasks_feeds,
    .passes = rg_tasks_passes,
    .memory = memory,
    .predict = predict,
    .flows = flows,
    .open = open_node,
    .train = train,
    .parameters = rg_tasks_parameters,
    .state = visit_state,
    .state_floats = rg_search_state_floats,
    .root_floats = rg_tasks_root_floats,
    .held = held,
    .observe = rg_tasks_observe,
    .close = close_node,
};
