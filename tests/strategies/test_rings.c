/* Parameter servers whose workers are rings of several nodes: the bits of one node, where layers
 * are cut and who has which parameters, accounts against closed forms, and ends in good order. */
#include "base/check.h"
#include "models/blas.h"
#include "strategies/harness.h"
#include "strategies/server_parts.h"
#include "support/suite.h"
#include <stdlib.h>

#define EACH(i, array) for (size_t i = 0; i < RG_COUNT(array); i++)

static void same_digest(const char *sets, const char *a, const char *b)
{
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, "matrix-rings.xml", sets));
    harness_same_weights(harness_job(&study, a), harness_job(&study, b), 0.5);
    rg_study_close(&study);
}

/* A lone replica, whatever it is cut into, is `single` and a ring of the other kind; with SGD also
 * where it seldom reads and takes steps of its own in between. */
static void one_replica_is_single(void)
{
    static const char *const optimizers[] = {"optimizer=sgd", "optimizer=momentum batch=7 l2=0.1",
                                             "optimizer=adam learning-rate=0.01 rate-ramp=9"};
    EACH(o, optimizers)
    {
        same_digest(optimizers[o], "single", "ring");
        same_digest(optimizers[o], "single", "one-2");
        same_digest(optimizers[o], "single", "one-3");
    }
    same_digest("one-2.replica-stages=12 one-2.nodes=26 one-2.servers=14", "single", "one-2");
    same_digest("optimizer=sgd seldom.push-every=1", "single", "seldom");
    same_digest("optimizer=sgd seldom.push-every=1 l1=0.01", "single", "seldom");
}

/* Layers that draw, normalise and keep statistics know which samples they see wherever they are. */
static void layers_of_all_kinds_are_the_same(void)
{
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, "matrix-rings.xml",
                                 "network=" RG_SOURCE_DIR
                                 "/tests/data/layers-net.xml inputs=48 classes=5 batch=24"));
    harness_same_weights(harness_job(&study, "single"), harness_job(&study, "one-2"), 0.5);
    harness_same_weights(harness_job(&study, "single"), harness_job(&study, "one-3"), 0.5);
    rg_study_close(&study);
}

/* Of all cuts into so many stages the one whose largest stage is smallest. */
static size_t smallest(const struct rg_network *network, int from, int stages)
{
    size_t best = SIZE_MAX;
    if (stages == 1)
        return rg_network_range(network, from, network->layer_count);
    for (int to = from + 1; to <= network->layer_count - (stages - 1); to++) {
        size_t rest = smallest(network, to, stages - 1);
        best = RG_MIN(best, RG_MAX(rest, rg_network_range(network, from, to)));
    }
    return best;
}

/* The largest range would not be smaller if its stage had another one's server. */
static void no_server_is_better_elsewhere(const struct rg_server_plan *plan)
{
    const struct rg_server_stage *full = &plan->stage[0], *s;
    for (int i = 1; i < plan->stages; i++) {
        s = &plan->stage[i];
        if (s->parameters * (size_t)full->servers > full->parameters * (size_t)s->servers)
            full = s;
    }
    for (int i = 0; i < plan->stages; i++) {
        s = &plan->stage[i];
        if (s != full && s->servers > 1)
            CU_ASSERT(s->parameters * (size_t)full->servers >=
                      full->parameters * (size_t)(s->servers - 1));
    }
}

/* Servers have a range of one stage each, and all parameters together. */
static void stages_and_servers_share_parameters(void)
{
    for (int stages = 1; stages <= 6; stages++)
        for (int servers = stages; servers < stages + 5; servers++) {
            struct rg_study study;
            char sets[120];
            snprintf(sets, sizeof sets, "one-2.nodes=%d one-2.servers=%d one-2.replica-stages=%d",
                     servers + 2 * stages, servers, stages);
            CU_ASSERT_FATAL(harness_open(&study, "matrix-rings.xml", sets));
            const struct rg_job *job = harness_job(&study, "one-2");
            const struct rg_server_plan *plan = rg_server_plan(job);
            size_t largest = 0, next = 0;
            CU_ASSERT_EQUAL(plan->workers, 2);
            for (int s = 0; s < stages; s++)
                largest = RG_MAX(largest, plan->stage[s].parameters);
            no_server_is_better_elsewhere(plan);
            CU_ASSERT_EQUAL(largest, smallest(job->network, 0, stages));
            for (int j = 0; j < servers; j++) {
                struct rg_shard shard = rg_server_shard(job, j);
                const struct rg_server_stage *stage = &plan->stage[rg_server_stage_at(plan, j)];
                CU_ASSERT(shard.count > 0 && shard.first == next);
                CU_ASSERT(shard.first >= stage->first);
                CU_ASSERT(shard.first + shard.count <= stage->first + stage->parameters);
                next += shard.count;
            }
            CU_ASSERT_EQUAL(next, job->network->parameters);
            rg_study_close(&study);
        }
}

/* Beside what servers and their workers say, activations and their gradients go round in each clock
 * that a worker has: to the next node, from the last to the first, and all of it back. */
static void account_equals_clocks(const struct rg_job *job, const struct rg_run *run)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    uint64_t servers = (uint64_t)plan->servers, hops = 0, handed = 0;
    int64_t reads, pushes;
    harness_count(job, &reads, &pushes);
    for (int k = 0; k < plan->workers; k++) {
        uint64_t clocks = (uint64_t)(job->iterations - (k > 0 ? plan->warm_up : 0));
        uint64_t n = (uint64_t)rg_job_share(job, plan->workers, k), floats = 0;
        for (int s = 0; s < plan->stages; s++)
            floats += job->network->layers[plan->stage[s].layers.to - 1].outputs;
        hops += 2 * clocks * (uint64_t)plan->stages;
        handed += 2 * clocks * n * floats;
    }
    uint64_t r = (uint64_t)reads, q = (uint64_t)pushes;
    CU_ASSERT_EQUAL(run->traffic.messages, servers * (3 * r + q) + hops);
    CU_ASSERT_EQUAL(run->traffic.values, (r + q) * job->network->parameters + handed);
    CU_ASSERT_EQUAL(run->traffic.payload_bytes, 4 * run->traffic.values + 16 * r * servers);
    CU_ASSERT_EQUAL(run->late.gradients, q * servers);
}

static void account_equals_forms(const struct rg_job *job)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    struct rg_prediction p = {0}, flows = {0};
    struct rg_run run;
    job->strategy->predict(job, &p);
    job->strategy->flows(job, rg_predict_flow, &flows);
    CU_ASSERT_EQUAL(flows.messages, p.messages);
    CU_ASSERT_EQUAL(flows.payload_bytes, p.payload_bytes);
    harness_run_ok(job, &(struct harness_options){.seed = 7, .jitter = 0.5}, &run);
    uint64_t rounds = (uint64_t)(job->iterations / p.round);
    CU_ASSERT_EQUAL(p.at_most, plan->warm_up > 0);
    if (!p.at_most) {
        CU_ASSERT_EQUAL(run.traffic.messages, p.messages * rounds);
        CU_ASSERT_EQUAL(run.traffic.values, p.values * rounds);
        CU_ASSERT_EQUAL(run.traffic.payload_bytes, p.payload_bytes * rounds);
    }
    CU_ASSERT_EQUAL(run.memory_bytes.max_node, p.memory_bytes);
    account_equals_clocks(job, &run);
    for (int rank = 0; rank < job->nodes; rank++) {
        bool feeds = rank >= plan->servers && rank < plan->servers + plan->workers;
        uint64_t samples = feeds ? (uint64_t)job->data->train * (4 * job->data->inputs + 1 + 4) : 0;
        uint64_t tests = rank == 0 ? (uint64_t)job->data->test * (4 * job->data->inputs + 1) : 0;
        CU_ASSERT_EQUAL(run.per_node[rank].memory_bytes,
                        job->strategy->memory(job, rank) + samples + tests);
    }
    rg_run_free(&run);
}

static void accounts_equal_forms(void)
{
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, "matrix-rings.xml", ""));
    for (int i = 2; i < study.job_count; i++)
        account_equals_forms(&study.jobs[i]);
    rg_study_close(&study);
}

/* A node has two vectors of its parameters, what comes in, what it makes of it, the gradient of
 * that and two of whatever is widest; the first also targets, and the outputs that come back. Of
 * dense layers 19-17, 17-13, 13-5, 16 samples, which leave no gaps between arrays. */
static void memory_is_counted_by_hand(void)
{
    enum { N = 16 };
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, "matrix-rings.xml",
                                 "network=" RG_SOURCE_DIR "/tests/data/three-dense-net.xml "
                                 "one-3.nodes=6 one-3.servers=3 batch=16"));
    const struct rg_job *job = harness_job(&study, "one-3");
    static const uint64_t in[3] = {19, 17, 13}, out[3] = {17, 13, 5};
    for (int s = 0; s < 3; s++) {
        const struct rg_stage *layers = &rg_server_plan(job)->stage[s].layers;
        uint64_t parameters = in[s] * out[s] + out[s], widest = RG_MAX(in[s], out[s]);
        uint64_t floats = 2 * parameters + N * (in[s] + out[s] + out[s] + 2 * widest);
        uint64_t back = s == 0 ? N * 5 * 4 + N : 0; /* outputs, and a byte for a label */
        CU_ASSERT_EQUAL(layers->from, s);
        CU_ASSERT_EQUAL(job->strategy->memory(job, 3 + s),
                        4 * (floats + rg_stage_scratch(layers, N)) + back);
        CU_ASSERT_EQUAL(job->strategy->memory(job, s), 4 * parameters * 4); /* with momentum */
    }
    rg_study_close(&study);
}

/* A stage without parameters has no server, though it is the first, and asks none. Stages are a
 * layer each: the one server that is left goes to 19 x 17 + 17 parameters. */
static void stages_without_parameters_have_no_server(void)
{
    static const int want[5] = {0, 2, 1, 0, 1};
    static const char *const sets =
        "network=" RG_SOURCE_DIR
        "/tests/data/bare-layers-net.xml one-3.nodes=9 one-3.servers=4 one-3.replica-stages=5";
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, "matrix-rings.xml", sets));
    const struct rg_job *job = harness_job(&study, "one-3");
    for (int s = 0; s < 5; s++)
        CU_ASSERT_EQUAL(rg_server_plan(job)->stage[s].servers, want[s]);
    account_equals_forms(job);
    rg_study_close(&study);
    same_digest(sets, "single", "one-3");
}

/* Whatever the timing no push is older than the bound, and all are applied; servers assert the
 * former. */
static void timing_loses_no_push(void)
{
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, "matrix-rings.xml", ""));
    for (uint64_t seed = 0; seed < 10; seed++)
        for (int i = 5; i < study.job_count; i++) {
            const struct rg_job *job = &study.jobs[i];
            struct rg_run run;
            harness_run_ok(
                job, &(struct harness_options){.seed = seed, .jitter = (double)(seed % 5)}, &run);
            account_equals_clocks(job, &run);
            rg_run_free(&run);
        }
    rg_study_close(&study);
}

/* Told to stop, all end after the same clock, with nothing under way. */
static void stops_end_in_good_order(void)
{
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, "matrix-rings.xml", ""));
    for (int i = 2; i < study.job_count; i++)
        for (int64_t last = 1; last < 14; last += 4) {
            const struct rg_job *job = &study.jobs[i];
            struct rg_run run;
            harness_run_ok(
                job, &(struct harness_options){.seed = 3, .jitter = 2, .stops_after = last}, &run);
            CU_ASSERT(run.iterations >= last && run.iterations < job->iterations);
            rg_run_free(&run);
        }
    rg_study_close(&study);
}

static void what_does_not_fit_is_refused(void)
{
    static const char *const cases[][2] = {
        {"one-2.replica-stages=13 one-2.nodes=28",
         "replica-stages=\"13\" is more than the network's 12 layers: 1 to 12"},
        {"one-2.servers=1 one-2.nodes=3", "servers of its own layers: 2 and more"},
        {"one-2.nodes=5", "leaves 3 for replicas of 2 nodes each: 2, or a multiple of it"},
        {"one-2.servers=5", "leaves 0 for replicas of 2 nodes each: 2, or a multiple of it"},
        {"one-3.nodes=7", "leaves 2 for replicas of 3 nodes each"},
        {"three.replica-stages=0", "1 to 1000000"}};
    EACH(i, cases)
    harness_refuses("matrix-rings.xml", cases[i][0], cases[i][1]);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"one replica is single", one_replica_is_single},
        {"layers of all kinds are the same", layers_of_all_kinds_are_the_same},
        {"stages and servers share parameters", stages_and_servers_share_parameters},
        {"traffic and memory equal the closed forms", accounts_equal_forms},
        {"memory is counted by hand", memory_is_counted_by_hand},
        {"stages without parameters have no server", stages_without_parameters_have_no_server},
        {"timing loses no push", timing_loses_no_push},
        {"stops end in good order", stops_end_in_good_order},
        {"what does not fit is refused", what_does_not_fit_is_refused},
    };
    rg_blas_setup(argv);
    return suite_main("rings", tests, sizeof tests / sizeof *tests, argc, argv);
}
