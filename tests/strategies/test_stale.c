/* Parameter servers whose workers are out of step: what equals what to the bit, bounds of staleness
 * whatever the timing, accounts against closed forms, and who is served. RG_SEEDS=FIRST:COUNT in
 * the environment says which seeds the bounds are tried on. */
#include "base/check.h"
#include "models/blas.h"
#include "strategies/harness.h"
#include "strategies/server_parts.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>

#define EACH(i, array) for (size_t i = 0; i < RG_COUNT(array); i++)

static void open_with(struct rg_study *study, int nodes, const char *sets)
{
    char all[300];
    snprintf(all, sizeof all, "nodes=%d %s", nodes, sets);
    CU_ASSERT_FATAL(harness_open(study, "matrix-stale.xml", all));
}

static void same_digest(const struct rg_study *study, const char *a, const char *b)
{
    harness_same_weights(harness_job(study, a), harness_job(study, b), 0.5);
}

/* ---- identities ---- */

static void no_staleness_is_in_step(void)
{
    static const struct {
        int nodes;
        const char *sets;
    } cases[] = {{2, "optimizer=adam learning-rate=0.01 bounded-4.own-writes=no"},
                 {3, "optimizer=sgd"},
                 {4, "optimizer=adagrad l1=0.02 l2=0.05 bounded-4.own-writes=no"},
                 {5, "ssp.servers=2 bounded.servers=2 bsp.servers=2"},
                 {8, "clip=0.1 rate-ramp=5 ssp-ahead.own-writes=no bounded-4.own-writes=no"}};
    EACH(i, cases)
    {
        struct rg_study study;
        char sets[200];
        snprintf(sets, sizeof sets, "%s ssp.staleness=0 bounded.staleness=0", cases[i].sets);
        open_with(&study, cases[i].nodes, sets);
        same_digest(&study, "bsp", "ssp");
        same_digest(&study, "bsp", "bounded");
        rg_study_close(&study);
    }
}

/* Each push is an update, also where an epoch has one iteration, so that nobody is ever ahead. */
static void async_is_not_in_step(void)
{
    struct rg_study study;
    struct rg_run bsp, async;
    open_with(&study, 5, "batch=120 optimizer=momentum");
    CU_ASSERT_EQUAL(harness_job(&study, "async")->iterations_per_epoch, 1);
    harness_run_ok(harness_job(&study, "bsp"), &(struct harness_options){.seed = 1}, &bsp);
    harness_run_ok(harness_job(&study, "async"), &(struct harness_options){.seed = 1}, &async);
    CU_ASSERT_STRING_NOT_EQUAL(bsp.weights_sha256, async.weights_sha256);
    CU_ASSERT_EQUAL(async.late.gradients, 4 * (uint64_t)async.iterations);
    rg_run_free(&bsp);
    rg_run_free(&async);
    rg_study_close(&study);
}

/* With one clock in flight: what it pushed is in what it asks for next. */
static void one_worker_is_single(void)
{
    static const char *const labels[] = {"ssp", "ssp-3", "bounded", "async", "downpour"};
    static const char *const optimizers[] = {"sgd", "sgd l1=0.1 l2=0.1", "momentum l1=0.1",
                                             "momentum l2=0.1", "adam learning-rate=0.01"};
    EACH(o, optimizers)
    for (int servers = 1; servers <= 3; servers += 2) {
        struct rg_study study;
        char sets[280];
        snprintf(sets, sizeof sets,
                 "optimizer=%s bsp.servers=%d ssp.servers=%d ssp-3.servers=%d bounded.servers=%d "
                 "async.servers=%d bounded.in-flight=1 ssp.own-writes=auto "
                 "bounded-4.own-writes=no downpour.servers=%d",
                 optimizers[o], servers, servers, servers, servers, servers, servers);
        open_with(&study, servers + 1, sets);
        EACH(i, labels)
        same_digest(&study, "bsp", labels[i]);
        rg_study_close(&study);
    }
}

/* With more in flight it reads old parameters, and adds what they lack: with SGD to the bit. */
static void own_writes_make_up_for_what_is_in_flight(void)
{
    for (int servers = 1; servers <= 3; servers += 2) {
        struct rg_study study;
        char sets[200];
        snprintf(sets, sizeof sets,
                 "optimizer=sgd rate-ramp=7 bsp.servers=%d ssp-ahead.servers=%d "
                 "bounded-4.servers=%d%s",
                 servers, servers, servers, servers == 3 ? " l1=0.1 l2=0.1" : "");
        open_with(&study, servers + 1, sets);
        same_digest(&study, "bsp", "ssp-ahead");
        same_digest(&study, "bsp", "bounded-4");
        struct rg_run run;
        harness_run_ok(harness_job(&study, "bounded-4"), &(struct harness_options){.seed = 2},
                       &run);
        CU_ASSERT(run.staleness >= 1);
        rg_run_free(&run);
        rg_study_close(&study);
    }
}

/* A push has one worker's share of a clock, or of several: and that share of what penalties cost.
 */
static void pushes_share_penalties(void)
{
    struct rg_study study;
    open_with(&study, 5, "optimizer=sgd l1=0.4 l2=0.8");
    const struct rg_optimizer bsp = rg_server_optimizer(harness_job(&study, "bsp")),
                              async = rg_server_optimizer(harness_job(&study, "async")),
                              sums = rg_server_optimizer(harness_job(&study, "downpour-3")),
                              own = rg_worker_optimizer(harness_job(&study, "downpour-3"));
    CU_ASSERT(bsp.l1 == 0.4F && bsp.l2 == 0.8F);
    CU_ASSERT(async.l1 == 0.4F / 4 && async.l2 == 0.8F / 4);
    CU_ASSERT(sums.l1 == 0.4F / 2 && sums.l2 == 0.8F / 2); /* of two clocks */
    CU_ASSERT(own.l1 == 0.4F / 4 && own.l2 == 0.8F / 4);
    rg_study_close(&study);
}

/* Its own steps are those of the servers; between pushes, but for the order of additions. With the
 * same timing replicas that read and push in every clock are asynchronous workers. */
static void downpour_is_what_it_is_made_of(void)
{
    struct rg_study study;
    struct rg_run a, b;
    open_with(&study, 4,
              "optimizer=sgd rate-ramp=7 bsp.servers=3 downpour-3.servers=3 "
              "downpour-3.push-every=1 downpour-warm.servers=3");
    same_digest(&study, "bsp", "downpour-3");
    float *bsp = harness_parameters(harness_job(&study, "bsp"), &(struct harness_options){0}, NULL);
    float *sums = harness_parameters(harness_job(&study, "downpour-warm"),
                                     &(struct harness_options){.seed = 1}, NULL);
    size_t count = study.network.parameters;
    CU_ASSERT(harness_distance(bsp, sums, count) > 1e-3); /* its ramp goes by pushes */
    free(sums);
    free(bsp);
    rg_study_close(&study);
    open_with(&study, 3,
              "optimizer=sgd bsp.servers=2 downpour-warm.servers=2 downpour-warm.push-every=2");
    bsp = harness_parameters(harness_job(&study, "bsp"), &(struct harness_options){0}, NULL);
    sums = harness_parameters(harness_job(&study, "downpour-warm"),
                              &(struct harness_options){.seed = 1}, NULL);
    CU_ASSERT(harness_distance(bsp, sums, count) < 1e-5);
    free(sums);
    free(bsp);
    rg_study_close(&study);
    open_with(&study, 5, "");
    harness_run_ok(harness_job(&study, "async"), &(struct harness_options){.seed = 1}, &a);
    harness_run_ok(harness_job(&study, "downpour"), &(struct harness_options){.seed = 1}, &b);
    CU_ASSERT_STRING_EQUAL(a.weights_sha256, b.weights_sha256);
    CU_ASSERT_EQUAL(a.time_s, b.time_s);
    rg_run_free(&a);
    rg_run_free(&b);
    rg_study_close(&study);
}

/* ---- accounts ---- */

/* What a clock has where every worker reads and pushes in each. */
static void equals_the_paper(const struct rg_job *job, const struct rg_prediction *p)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    uint64_t pairs = (uint64_t)plan->workers * (uint64_t)plan->servers;
    bool stale = plan->ahead > 0;
    CU_ASSERT_EQUAL(p->messages, (stale ? 4 : 2) * pairs);
    CU_ASSERT_EQUAL(p->values, 2 * (uint64_t)plan->workers * job->network->parameters);
    CU_ASSERT_EQUAL(p->payload_bytes, 4 * p->values + (stale ? 16 * pairs : 0));
}

/* Messages of a read are two small ones and one of a range; a push is one of a range. */
static void account_equals_clocks(const struct rg_job *job, const struct rg_run *run)
{
    uint64_t servers = (uint64_t)rg_server_plan(job)->servers;
    int64_t reads, pushes;
    harness_count(job, &reads, &pushes);
    uint64_t r = (uint64_t)reads, q = (uint64_t)pushes;
    CU_ASSERT_EQUAL(run->traffic.messages, servers * (3 * r + q));
    CU_ASSERT_EQUAL(run->traffic.values, (r + q) * job->network->parameters);
    CU_ASSERT_EQUAL(run->traffic.payload_bytes, 4 * run->traffic.values + 16 * r * servers);
    CU_ASSERT_EQUAL(run->late.gradients, q * servers);
}

static void account_equals_forms(const struct rg_job *job)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    struct rg_prediction p = {0};
    struct rg_run run;
    uint64_t iterations = (uint64_t)job->iterations;
    job->strategy->predict(job, &p);
    harness_run_ok(job, &(struct harness_options){.seed = 7, .jitter = 0.5}, &run);
    uint64_t rounds = iterations / (uint64_t)p.round;
    CU_ASSERT_EQUAL(rounds * (uint64_t)p.round, iterations);
    CU_ASSERT_EQUAL(p.at_most, plan->warm_up > 0 && plan->workers > 1);
    if (p.at_most)
        CU_ASSERT(run.traffic.messages < p.messages * rounds &&
                  run.traffic.values < p.values * rounds);
    if (!p.at_most) {
        CU_ASSERT_EQUAL(run.traffic.messages, p.messages * rounds);
        CU_ASSERT_EQUAL(run.traffic.values, p.values * rounds);
        CU_ASSERT_EQUAL(run.traffic.payload_bytes, p.payload_bytes * rounds);
    }
    if (p.round == 1 && !p.at_most)
        equals_the_paper(job, &p);
    CU_ASSERT_EQUAL(run.memory_bytes.max_node, p.memory_bytes);
    CU_ASSERT_EQUAL(run.late.known, plan->ahead > 0);
    if (run.late.known)
        account_equals_clocks(job, &run);
    for (int rank = 0; rank < job->nodes; rank++) {
        uint64_t kept = rank >= plan->servers ? (uint64_t)job->data->train : 0;
        uint64_t samples = kept * (4 * job->data->inputs + 1 + 4);
        uint64_t tests = rank == 0 ? (uint64_t)job->data->test * (4 * job->data->inputs + 1) : 0;
        CU_ASSERT_EQUAL(run.per_node[rank].memory_bytes,
                        job->strategy->memory(job, rank) + samples + tests);
    }
    rg_run_free(&run);
}

static void accounts_equal_forms(void)
{
    static const struct {
        int nodes;
        const char *sets;
    } cases[] = {{2, ""}, {3, "ssp.servers=2"}, {5, "async.servers=3 bounded.servers=2"}, {9, ""}};
    EACH(i, cases)
    {
        struct rg_study study;
        open_with(&study, cases[i].nodes, cases[i].sets);
        for (int k = 0; k < study.job_count; k++)
            account_equals_forms(&study.jobs[k]);
        rg_study_close(&study);
    }
}

/* In vectors of a shard: what is sent, s + 1 sums and a push of each worker beside parameters and
 * momentum. A worker's own writes are s gradients more; asks ahead are parameters, and one gradient
 * that leaves while another is made. */
static void memory_is_that_of_the_paper(void)
{
    static const struct {
        const char *label;
        uint64_t server, worker;
    } want[] = {{"bsp", 5, 2},
                {"ssp", 2 + 1 + 2 + 4, 2 + 1},
                {"ssp-3", 3 + 4 + 4, 2},
                {"ssp-ahead", 3 + 3 + 4, 2 + 2 + 2},
                {"bounded", 3 + 2 + 4, 2 + 1 + 1},
                {"bounded-4", 3 + 5 + 4, 2 + 3 + 4},
                {"async", 3 + 4, 2},
                {"async-ahead", 3 + 4, 2 + 1 + 1},
                {"downpour", 3 + 4, 2},
                {"downpour-3", 3 + 4, 2 + 1}};
    struct rg_study study;
    open_with(&study, 5, "");
    const struct rg_job *bsp = harness_job(&study, "bsp");
    uint64_t vector = 4 * bsp->network->parameters;
    EACH(i, want)
    {
        const struct rg_job *job = harness_job(&study, want[i].label);
        uint64_t beside = bsp->strategy->memory(bsp, 1) - 2 * vector;
        CU_ASSERT_EQUAL(job->strategy->memory(job, 0), want[i].server * vector);
        CU_ASSERT_EQUAL(job->strategy->memory(job, 1), want[i].worker * vector + beside);
    }
    rg_study_close(&study);
}

/* ---- bounds ---- */

static void seeds(uint64_t *first, uint64_t *count)
{
    const char *text = getenv("RG_SEEDS");
    unsigned long long a = 0, b = 12;
    if (text && sscanf(text, "%llu:%llu", &a, &b) != 2)
        printf("RG_SEEDS=%s is not FIRST:COUNT\n", text);
    *first = a;
    *count = b;
}

/* Servers assert that no answer is farther back than the bound allows; what is measured when pushes
 * are applied is no more, and the mean no more than the largest. Every push is applied once. */
static void staleness_is_bounded(void)
{
    static const int nodes[] = {2, 3, 5, 9};
    uint64_t first, count;
    seeds(&first, &count);
    EACH(n, nodes)
    {
        struct rg_study study;
        open_with(&study, nodes[n], nodes[n] == 9 ? "ssp.servers=2 async.servers=3" : "");
        for (uint64_t seed = first; seed < first + count; seed++) {
            const struct rg_job *job = &study.jobs[seed % (uint64_t)study.job_count];
            const struct rg_server_plan *plan = rg_server_plan(job);
            struct rg_run run;
            harness_run_ok(job,
                           &(struct harness_options){.seed = seed,
                                                     .jitter = (double)(seed % 4) * 3,
                                                     .free_transfers = seed % 5 == 4},
                           &run);
            if (plan->consistency != RG_ASYNC)
                CU_ASSERT(run.staleness <= plan->ahead);
            if (plan->ahead > 0) {
                CU_ASSERT(run.late.staleness_mean <= (double)run.staleness);
                account_equals_clocks(job, &run);
            }
            rg_run_free(&run);
        }
        rg_study_close(&study);
    }
}

/* A worker in four is slow: the others go ahead as far as they may, and no farther. */
static void a_bound_is_reached(void)
{
    static const struct {
        const char *label;
        int64_t least, most;
    } want[] = {{"ssp", 1, 1}, {"ssp-3", 2, 3}, {"bounded-4", 3, 4}, {"async", 5, 1000}};
    struct rg_study study;
    open_with(&study, 5, "");
    EACH(i, want)
    {
        struct rg_job slow = *harness_job(&study, want[i].label);
        struct rg_board board = *slow.boards[0];
        const struct rg_board *boards[5] = {slow.boards[0], slow.boards[0], slow.boards[0],
                                            slow.boards[0], &board};
        struct rg_run run;
        board.gemm_rate /= 50;
        board.gemm_rate_all /= 50;
        board.vector_rate /= 50;
        board.memory_rate /= 50;
        board.memory_rate_all /= 50;
        board.call_s *= 50;
        slow.boards = boards;
        harness_run_ok(&slow, &(struct harness_options){.seed = 3}, &run);
        if (run.staleness < want[i].least || run.staleness > want[i].most)
            printf("%s: staleness %ld\n", want[i].label, (long)run.staleness);
        CU_ASSERT(run.staleness >= want[i].least && run.staleness <= want[i].most);
        rg_run_free(&run);
    }
    rg_study_close(&study);
}

/* ---- every push, once ---- */

/* Of the way from `start` to `end`, what `values` have behind them in its direction. */
static double share_of_way(const float *start, const float *end, const float *values, size_t count)
{
    double along = 0, whole = 0;
    for (size_t i = 0; i < count; i++) {
        double way = (double)end[i] - start[i];
        along += way * ((double)values[i] - start[i]);
        whole += way * way;
    }
    return along / whole;
}

/* With steps so small that old gradients are as good as new ones, parameters go as far as those in
 * step do. A push of 120 too few or too many would be off by most of a percent. */
static void small_steps_go_as_far(void)
{
    struct rg_study study;
    open_with(&study, 5, "optimizer=sgd learning-rate=0.0005 downpour.push-every=2");
    const struct rg_job *bsp = harness_job(&study, "bsp");
    size_t count = bsp->network->parameters;
    float *start = calloc(count, sizeof *start);
    CU_ASSERT_PTR_NOT_NULL_FATAL(start);
    CU_ASSERT_EQUAL(rg_network_init(bsp->network, 0, bsp->network->layer_count, bsp->seed, start),
                    0);
    float *end = harness_parameters(bsp, &(struct harness_options){.seed = 1}, NULL);
    for (int i = 0; i < study.job_count; i++) {
        const struct harness_options options = {.seed = 2, .jitter = 2};
        float *values = harness_parameters(&study.jobs[i], &options, NULL);
        double share = share_of_way(start, end, values, count);
        const struct rg_server_plan *plan = rg_server_plan(&study.jobs[i]);
        double gone = 1 - (double)(plan->warm_up * (plan->workers - 1)) /
                              (double)(plan->workers * bsp->iterations);
        double most = plan->push_every > 1 ? 4e-3 : 2e-3; /* of 60 pushes one is four times that */
        if (!(fabs(share - gone) < most))
            printf("%s: %g of the way\n", study.jobs[i].label, share);
        CU_ASSERT(fabs(share - gone) < most);
        free(values);
    }
    free(end);
    free(start);
    rg_study_close(&study);
}

/* ---- service ---- */

/* Eight workers whose computing takes as long as a shard's transfer, and nobody is bound: by rank
 * alone the last ones got nothing while the first ended their epoch. */
static void nobody_starves(void)
{
    enum { WORKERS = 8 };
    struct rg_study study;
    struct rg_run run;
    open_with(&study, WORKERS + 1, "iterations=10 async.in-flight=2");
    harness_run_ok(harness_job(&study, "async"),
                   &(struct harness_options){.seed = 1, .trace = true}, &run);
    const struct rg_trace *trace = run.per_node[0].trace;
    int answers[WORKERS] = {0}, total = 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(trace);
    for (uint64_t i = 0; i < trace->count; i++) {
        const struct rg_trace_event *event = &trace->events[i];
        if (event->kind != RG_TRACE_SEND || event->tag != RG_TAG_PULL)
            continue;
        int least = answers[0], most = 0;
        answers[event->peer - 1]++;
        total++;
        for (int k = 0; k < WORKERS; k++) {
            least = RG_MIN(least, answers[k]);
            most = RG_MAX(most, answers[k]);
        }
        CU_ASSERT(most - least <= 2);
    }
    CU_ASSERT_EQUAL(total, 10 * WORKERS);
    rg_run_free(&run);
    rg_study_close(&study);
}

/* ---- a stop in the middle of an epoch ---- */

struct stopped {
    const struct rg_job *job;
    int64_t last;
};

static int stop_at(void *arg, struct rg_world *w, int64_t i)
{
    const struct stopped *stopped = arg;
    (void)w;
    return i == stopped->last;
}

/* Whoever is told to stop comes back with nothing in flight, and the next epoch goes on. */
static int train_twice(struct rg_world *w, void *arg)
{
    const struct stopped *stopped = arg;
    const struct rg_job *job = stopped->job;
    void *state = NULL;
    w->mem = rg_mem_new(RG_MEM_REAL);
    int result = job->strategy->open(w, job, NULL, &state);
    if (result == 0)
        result = rg_clock_start(w);
    if (result == 0)
        result = job->strategy->train(state, 0, job->iterations_per_epoch);
    CU_ASSERT_EQUAL(result, 1);
    CU_ASSERT_EQUAL(w->iterations, stopped->last + 1);
    if (result == 1)
        result = rg_barrier(w);
    if (result == 0)
        result = job->strategy->train(state, job->iterations_per_epoch, job->iterations_per_epoch);
    CU_ASSERT_EQUAL(w->iterations, 2 * job->iterations_per_epoch);
    job->strategy->close(state);
    rg_mem_free(w->mem);
    return result;
}

static void stops_leave_nothing_in_flight(void)
{
    struct rg_study study;
    open_with(&study, 5, "async-ahead.in-flight=8 ssp-ahead.in-flight=8 bounded.servers=2");
    for (int i = 0; i < study.job_count; i++)
        for (int64_t last = 0; last < 9; last += 4) {
            struct stopped stopped = {&study.jobs[i], last};
            int results[5];
            const struct rg_mem_world_options world = {.size = 5,
                                                       .seed = (uint64_t)last,
                                                       .byte_s = 1e-8,
                                                       .rate = 1e9,
                                                       .compute_jitter = 1,
                                                       .iteration = stop_at,
                                                       .iteration_arg = &stopped};
            CU_ASSERT_EQUAL(rg_mem_world_run(&world, train_twice, &stopped, results), 0);
            for (int rank = 0; rank < 5; rank++)
                CU_ASSERT_EQUAL(results[rank], 0);
        }
    rg_study_close(&study);
}

/* ---- bad input ---- */

static void what_does_not_fit_is_refused(void)
{
    static const char *const cases[][2] = {
        {"bsp.staleness=1", "staleness=\"1\" is for consistency=\"ssp\" and \"bounded-delay\""},
        {"async.staleness=3", "staleness=\"3\" is for"},
        {"bsp.in-flight=2", "in-flight=\"2\" is for the other consistencies"},
        {"ssp.in-flight=9", "1 to 8"},
        {"ssp-ahead.staleness=0", "in-flight=\"3\" is for a staleness of 1 and more"},
        {"async.own-writes=yes", "own-writes=\"yes\" is for consistency=\"ssp\""},
        {"bounded.consistency=bounded", "bsp, ssp, bounded-delay and async are allowed"},
        {"downpour-3.fetch-every=0", "1 to 10000"},
        {"downpour-warm.warm-up=30", "none of 30 iterations: 0 to 29"},
        {"clip=1", "own-writes=\"yes\" is for optimizer=\"sgd\" and \"momentum\" without clip"}};
    EACH(i, cases)
    {
        char sets[80];
        snprintf(sets, sizeof sets, "nodes=5 %s", cases[i][0]);
        harness_refuses("matrix-stale.xml", sets, cases[i][1]);
    }
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"no staleness is bsp", no_staleness_is_in_step},
        {"async is not in step", async_is_not_in_step},
        {"one worker is single", one_worker_is_single},
        {"pushes share penalties", pushes_share_penalties},
        {"downpour is what it is made of", downpour_is_what_it_is_made_of},
        {"own writes make up for what is in flight", own_writes_make_up_for_what_is_in_flight},
        {"traffic and memory equal the closed forms", accounts_equal_forms},
        {"memory is that of the paper", memory_is_that_of_the_paper},
        {"staleness is bounded", staleness_is_bounded},
        {"a bound is reached", a_bound_is_reached},
        {"small steps go as far", small_steps_go_as_far},
        {"nobody starves", nobody_starves},
        {"stops leave nothing in flight", stops_leave_nothing_in_flight},
        {"what does not fit is refused", what_does_not_fit_is_refused},
    };
    rg_blas_setup(argv);
    return suite_main("stale", tests, sizeof tests / sizeof *tests, argc, argv);
}
