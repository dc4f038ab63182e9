/* The forms of ring_allreduce: what equals what to the bit, and accounts against closed forms. */
#include "base/check.h"
#include "models/blas.h"
#include "strategies/allreduce_parts.h"
#include "strategies/harness.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>

static const int NODES[] = {1, 2, 3, 5, 8};
#define EACH(i, array) for (size_t i = 0; i < sizeof(array) / sizeof *(array); i++)

static void open_with(struct rg_study *study, int nodes, const char *sets)
{
    char all[340];
    snprintf(all, sizeof all, "nodes=%d %s", nodes, sets);
    CU_ASSERT_FATAL(harness_open(study, "matrix-allreduce.xml", all));
}

/* Trains; *digest [65]. */
static void digest_of(const struct rg_study *study, const char *label,
                      const struct harness_options *options, char *digest)
{
    struct rg_run run;
    harness_run_ok(harness_job(study, label), options, &run);
    CU_ASSERT_EQUAL(strlen(run.weights_sha256), 64);
    memcpy(digest, run.weights_sha256, 65);
    rg_run_free(&run);
}

/* ---- all of them ---- */

static uint64_t log2_of(uint64_t power)
{
    return power == 1 ? 0 : 1 + log2_of(power / 2);
}

static void account_equals_forms(const struct rg_job *job, uint64_t seed)
{
    struct rg_prediction p = {0};
    struct rg_run run;
    uint64_t iterations = (uint64_t)job->iterations;
    job->strategy->predict(job, &p);
    harness_run_ok(job, &(struct harness_options){.seed = seed}, &run);
    CU_ASSERT_EQUAL(run.traffic.messages, p.messages * iterations);
    CU_ASSERT_EQUAL(run.traffic.values, p.values * iterations);
    CU_ASSERT_EQUAL(run.traffic.payload_bytes, p.payload_bytes * iterations);
    CU_ASSERT_EQUAL(run.memory_bytes.max_node, p.memory_bytes);
    uint64_t samples = (uint64_t)job->data->train * (4 * job->data->inputs + 1 + 4);
    uint64_t tests = (uint64_t)job->data->test * (4 * job->data->inputs + 1);
    for (int rank = 0; rank < job->nodes; rank++)
        CU_ASSERT_EQUAL(run.per_node[rank].memory_bytes,
                        job->strategy->memory(job, rank) + samples + (rank == 0 ? tests : 0));
    const struct rg_reduce_plan *plan = job->plan;
    if (plan->how.kind == RG_RING && plan->shard < 3)
        CU_ASSERT_EQUAL(run.late_receives, 0);
    uint64_t n = (uint64_t)job->nodes, halves = plan->shard == 3 ? 3 : 2;
    if (plan->how.kind == RG_DOUBLING && (n & (n - 1)) == 0)
        CU_ASSERT_EQUAL(p.values, n * log2_of(n) * job->network->parameters);
    if (plan->codec.kind != RG_CODE_TOP && plan->how.kind != RG_DOUBLING)
        CU_ASSERT_EQUAL(p.values, halves * (n - 1) * job->network->parameters);
    if (plan->codec.kind == RG_CODE_NONE)
        CU_ASSERT_EQUAL(p.payload_bytes, 4 * p.values);
    if (plan->codec.kind == RG_CODE_FLOAT16)
        CU_ASSERT_EQUAL(p.payload_bytes, 2 * p.values);
    if (plan->codec.kind == RG_CODE_INT8) /* the span of every message beside it */
        CU_ASSERT_EQUAL(p.payload_bytes, p.values + 8 * p.messages);
    if (plan->codec.kind == RG_CODE_TOP) /* 100 of a thousand, and a place each */
        CU_ASSERT(p.payload_bytes == 8 * p.values &&
                  10 * p.values >= 2 * (n - 1) * job->network->parameters &&
                  p.values <= 2 * (n - 1) * job->network->parameters / 10 + p.messages);
    if (plan->how.kind == RG_RING)
        CU_ASSERT_EQUAL(p.messages, halves * n * (n - 1) * (uint64_t)plan->buckets);
    rg_run_free(&run);
}

static void accounts_equal_forms(void)
{
    EACH(n, NODES)
    {
        struct rg_study study;
        open_with(&study, NODES[n], "");
        for (int i = 0; i < study.job_count; i++)
            account_equals_forms(&study.jobs[i], 5 + n);
        rg_study_close(&study);
    }
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) /* ten times as slow */
enum { LAST_SEED = 2 };
#else
enum { LAST_SEED = 4 };
#endif

static void timing_changes_no_weight(void)
{
    EACH(n, NODES)
    {
        struct rg_study study;
        open_with(&study, NODES[n], "");
        for (int i = 0; i < study.job_count; i++) {
            char first[65], other[65];
            digest_of(&study, study.jobs[i].label, &(struct harness_options){.seed = 1}, first);
            for (uint64_t seed = 2; seed <= LAST_SEED; seed++) {
                const struct harness_options options = {
                    .seed = seed, .jitter = 0.3 * (double)seed, .free_transfers = seed % 3 == 0};
                digest_of(&study, study.jobs[i].label, &options, other);
                CU_ASSERT_STRING_EQUAL(other, first);
            }
        }
        rg_study_close(&study);
    }
}

/* ---- algorithms ---- */

static void same_digest(const struct rg_study *study, const char *a, const char *b)
{
    harness_same_weights(harness_job(study, a), harness_job(study, b), 0);
}

static void algorithms_that_give_the_same_bits(void)
{
    struct rg_study study;
    EACH(n, NODES)
    {
        open_with(&study, NODES[n], "hierarchical.group=1");
        same_digest(&study, "plain", "hierarchical");
        same_digest(&study, "halving", "doubling");
        if (NODES[n] != 5)
            same_digest(&study, "tree", "halving");
        if (NODES[n] <= 2)
            same_digest(&study, "plain", "tree");
        rg_study_close(&study);
    }
    open_with(&study, 8, "hierarchical.group=8");
    same_digest(&study, "plain", "hierarchical");
    rg_study_close(&study);
}

static void algorithms_differ_by_order_alone(void)
{
    static const char *const labels[] = {"tree", "halving", "doubling", "hierarchical"};
    struct rg_study study;
    for (int n = 2; n <= 9; n++) {
        open_with(&study, n, "local.local-steps=2");
        size_t count = study.jobs[0].network->parameters;
        float *plain =
            harness_parameters(harness_job(&study, "plain"), &(struct harness_options){0}, NULL);
        EACH(i, labels)
        {
            float *values = harness_parameters(harness_job(&study, labels[i]),
                                               &(struct harness_options){.seed = 3}, NULL);
            CU_ASSERT(harness_distance(plain, values, count) < 1e-5);
            free(values);
        }
        free(plain);
        rg_study_close(&study);
    }
}

/* The largest divisor that is no more than the root. */
static void groups_by_themselves(void)
{
    static const int want[][2] = {{2, 1}, {4, 2}, {6, 2}, {7, 1}, {12, 3}, {18, 3}, {24, 4}};
    EACH(i, want)
    {
        struct rg_study study;
        open_with(&study, want[i][0],
                  "local.local-steps=1 local-tree.local-steps=1 "
                  "local-uneven.local-steps=1");
        const struct rg_reduce_plan *plan = harness_job(&study, "hierarchical")->plan;
        CU_ASSERT_EQUAL(plan->how.inner, want[i][1]);
        rg_study_close(&study);
    }
}

/* ---- steps of a node's own ---- */

/* One step is what there was before; a node alone that takes three trains as one whose batch is a
 * third, and no message is sent. */
static void local_steps_at_their_ends(void)
{
    char want[65], have[65];
    struct rg_study study;
    EACH(n, NODES)
    {
        open_with(&study, NODES[n], "local.local-steps=1");
        digest_of(&study, "plain", &(struct harness_options){.seed = 1}, want);
        digest_of(&study, "local", &(struct harness_options){.seed = 1}, have);
        CU_ASSERT_STRING_EQUAL(have, want);
        rg_study_close(&study);
    }
    open_with(&study, 1, "optimizer=adam learning-rate=0.01 rate-ramp=7 rate-schedule=cosine");
    digest_of(&study, "local", &(struct harness_options){.seed = 1}, have);
    rg_study_close(&study);
    open_with(&study, 1,
              "optimizer=adam learning-rate=0.01 rate-ramp=7 rate-schedule=cosine batch=8 "
              "local.local-steps=1");
    digest_of(&study, "plain", &(struct harness_options){.seed = 1}, want);
    CU_ASSERT_STRING_EQUAL(have, want);
    rg_study_close(&study);
}

/* The nodes' work one after the other on one machine, in double where the means are taken. */
struct serial {
    const struct rg_job *job;
    int steps;
    double *mean;
    float *model;
};

static int train_alone(struct rg_world *w, struct serial *s, int rank, int64_t i,
                       struct rg_replica *replica, struct rg_update *update)
{
    const struct rg_job *job = s->job;
    int share = rg_job_share(job, job->nodes, rank), result = 0;
    memcpy(replica->parameters, s->model, job->network->parameters * sizeof(float));
    for (int step = 0; step < s->steps && result == 0; step++) {
        int n = rg_share(share, s->steps, step);
        int first =
            rg_job_share_first(job, job->nodes, rank) + rg_share_first(share, s->steps, step);
        replica->mean_of = n;
        result = rg_replica_forward(replica, i, first, n, -1);
        if (result == 0)
            result = rg_replica_backward(replica, false, -1);
        if (result == 0)
            result = rg_update_run(update, w, i * s->steps + step + 1, replica->parameters,
                                   replica->gradient);
    }
    for (size_t k = 0; k < job->network->parameters; k++)
        s->mean[k] += (double)replica->parameters[k] * share / job->batch;
    return result;
}

static int train_serially(struct rg_world *w, void *arg)
{
    enum { MOST = 8 };
    struct serial *s = arg;
    const struct rg_job *job = s->job;
    struct rg_replica replica[MOST];
    struct rg_update update[MOST];
    size_t count = job->network->parameters;
    int result = 0;
    w->mem = rg_mem_new(RG_MEM_REAL);
    for (int r = 0; r < job->nodes && result == 0; r++) {
        int most = rg_share(rg_job_share(job, job->nodes, r), s->steps, 0);
        result = rg_replica_open(&replica[r], w, job, most, NULL, NULL);
        if (result == 0)
            result = rg_update_open(&update[r], w, job, &job->optimizer, 0, count, NULL);
    }
    memcpy(s->model, replica[0].parameters, count * sizeof(float));
    for (int64_t i = 0; i < job->iterations && result == 0; i++) {
        memset(s->mean, 0, count * sizeof *s->mean);
        for (int r = 0; r < job->nodes && result == 0; r++) {
            rg_feed_epoch(&replica[r].feed, i);
            result = train_alone(w, s, r, i, &replica[r], &update[r]);
        }
        for (size_t k = 0; k < count; k++)
            s->model[k] = (float)s->mean[k];
    }
    for (int r = 0; r < job->nodes; r++) {
        rg_replica_close(&replica[r]);
        rg_update_close(&update[r]);
    }
    rg_mem_free(w->mem);
    return result;
}

static void local_steps_are_what_a_serial_program_takes(void)
{
    static const char *const sets[] = {
        "", "optimizer=adam learning-rate=0.003",
        "optimizer=sgd clip=0.5 rate-ramp=20 local.buckets=1 shard-1.shard=0 "
        "shard-2.shard=0 shard-1-waiting.shard=0 shard-2-waiting.shard=0 shard-3.shard=0 "
        "shard-3-waiting.shard=0",
        "local-uneven.shares=3,11,10"};
    EACH(i, sets)
    {
        static const char *const labels[] = {"local", "local-uneven"};
        struct rg_study study;
        open_with(&study, 3, sets[i]);
        EACH(k, labels)
        {
            const struct rg_job *job = harness_job(&study, labels[k]);
            size_t count = job->network->parameters;
            struct serial s = {.job = job,
                               .steps = k == 0 ? 3 : 2,
                               .mean = calloc(count, sizeof(double)),
                               .model = calloc(count, sizeof(float))};
            int result;
            const struct rg_mem_world_options world = {.size = 1};
            CU_ASSERT_EQUAL(rg_mem_world_run(&world, train_serially, &s, &result), 0);
            CU_ASSERT_EQUAL(result, 0);
            float *values = harness_parameters(job, &(struct harness_options){.seed = 2}, NULL);
            double distance = harness_distance(s.model, values, count);
            if (!(distance < 1e-5))
                printf("%s, %s: %g\n", labels[k], sets[i], distance);
            CU_ASSERT(distance < 1e-5);
            free(values);
            free(s.mean);
            free(s.model);
        }
        rg_study_close(&study);
    }
}

/* ---- shards ---- */

static const char *const SHARDED[] = {"shard-1",         "shard-2", "shard-1-waiting",
                                      "shard-2-waiting", "shard-3", "shard-3-waiting"};

/* Buckets of one layer, uneven ones, and all in one; states of one and two vectors. */
static void shards_give_the_bits_of_the_whole(void)
{
    static const char *const optimizers[] = {"adam learning-rate=0.01 rate-ramp=5",
                                             "momentum rate-schedule=step rate-period=5",
                                             "adagrad"};
    static const int buckets[] = {1, 3, 5, 100};
    EACH(n, NODES)
    EACH(o, optimizers)
    {
        struct rg_study study;
        char sets[300], want[65], have[65];
        int b = buckets[(n + o) % RG_COUNT(buckets)];
        snprintf(sets, sizeof sets,
                 "optimizer=%s shard-1.buckets=%d shard-2.buckets=%d shard-1-waiting.buckets=%d "
                 "plain.buckets=%d shard-2-waiting.buckets=%d shard-3.buckets=%d "
                 "shard-3-waiting.buckets=%d",
                 optimizers[o], b, b, b, b, b, b, b);
        open_with(&study, NODES[n], sets);
        digest_of(&study, "plain", &(struct harness_options){.seed = 1}, want);
        EACH(i, SHARDED)
        {
            if (strstr(SHARDED[i], "waiting") && (n + o) % 2)
                continue; /* half of them, for the time it takes */
            const struct harness_options options = {
                .seed = n + 10 * i, .jitter = (double)i, .free_transfers = i == 2};
            digest_of(&study, SHARDED[i], &options, have);
            CU_ASSERT_STRING_EQUAL(have, want);
        }
        rg_study_close(&study);
    }
}

/* Floats of bucket b that rank r of n has after a reduce-scatter: chunk r + 1 mod n, where the
 * first count mod n have one more. */
static uint64_t own_of(const struct rg_job *job, int rank)
{
    uint64_t own = 0;
    for (int b = 0; b < rg_reduce_plan(job)->buckets; b++) {
        size_t count = rg_bucket_count(job, b), n = (size_t)job->nodes;
        own += count / n + ((size_t)(rank + 1) % n < count % n);
    }
    return own;
}

/* With Adam: 4 P (2 + 2), 4 P (2 + 2/N), 4 (P + b + 3 P/N), 4 (4 P/N + 2 b) bytes beside
 * activations; another b where a bucket is filled while one is summed, and with shard 3 one more,
 * where a bucket is gathered while one is computed with. */
static void shards_take_the_memory_of_the_paper(void)
{
    EACH(n, NODES)
    {
        struct rg_study study;
        open_with(&study, NODES[n], "optimizer=adam");
        const struct rg_job *plain = harness_job(&study, "plain"), *sharded[6];
        uint64_t P = plain->network->parameters, together = 0;
        EACH(i, SHARDED)
        sharded[i] = harness_job(&study, SHARDED[i]);
        for (int rank = 0; rank < NODES[n]; rank++) {
            uint64_t own = own_of(plain, rank), b = rg_bucket_most(plain);
            uint64_t all = plain->strategy->memory(plain, rank);
            int more = NODES[n] > 1;
            together += own;
            CU_ASSERT_EQUAL(all - plain->strategy->memory(sharded[0], rank), 4 * 2 * (P - own));
            CU_ASSERT_EQUAL(all - plain->strategy->memory(sharded[2], rank), 4 * 2 * (P - own));
            CU_ASSERT_EQUAL(plain->strategy->memory(sharded[1], rank) + 4 * 3 * P,
                            all + 4 * (3 * own + (more + 1) * b));
            CU_ASSERT_EQUAL(plain->strategy->memory(sharded[3], rank) + 4 * 3 * P,
                            all + 4 * (3 * own + b));
            uint64_t overlapped = plain->strategy->memory(sharded[4], rank);
            CU_ASSERT_EQUAL(overlapped + 4 * 4 * P, all + 4 * (4 * own + 2 * (more + 1) * b));
            uint64_t waiting = plain->strategy->memory(sharded[5], rank);
            CU_ASSERT_EQUAL(waiting + 4 * 4 * P, all + 4 * (4 * own + 2 * b));
        }
        CU_ASSERT_EQUAL(together, P);
        rg_study_close(&study);
    }
}

/* ---- compression ---- */

/* How far from `b` in shares of the way from `start` to it. */
static double off(const float *start, const float *a, const float *b, size_t count)
{
    double apart = 0, way = 0;
    for (size_t i = 0; i < count; i++) {
        apart += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        way += ((double)b[i] - start[i]) * ((double)b[i] - start[i]);
    }
    return sqrt(apart / way);
}

/* All that a sum has left out comes with the next, so that in steps too small to change gradients
 * parameters end where others do but for what is left at the end, a few gradients of 100. */
static void coded_gradients_train_as_well(void)
{
    static const struct {
        const char *label;
        double most;
    } coded[] = {{"float16", 6e-5}, {"int8", 2e-3}, {"top-k", 0.1}};
    for (int nodes = 1; nodes <= 5; nodes += 2) {
        struct rg_study study;
        open_with(&study, nodes, "optimizer=sgd learning-rate=0.002 epochs=20");
        const struct rg_network *network = study.jobs[0].network;
        size_t count = network->parameters;
        float *start = calloc(count, sizeof *start);
        CU_ASSERT_PTR_NOT_NULL_FATAL(start);
        CU_ASSERT_EQUAL(
            rg_network_init(network, 0, network->layer_count, study.jobs[0].seed, start), 0);
        float *plain =
            harness_parameters(harness_job(&study, "plain"), &(struct harness_options){0}, NULL);
        EACH(i, coded)
        {
            float *values = harness_parameters(harness_job(&study, coded[i].label),
                                               &(struct harness_options){.seed = 3}, NULL);
            double share = off(start, values, plain, count);
            bool good = nodes == 1 ? share == 0 : share > 0 && share < coded[i].most;
            if (!good)
                printf("%s on %d: %g of the way off\n", coded[i].label, nodes, share);
            CU_ASSERT(good);
            free(values);
        }
        free(plain);
        free(start);
        rg_study_close(&study);
    }
}

/* ---- bad input ---- */

static void what_does_not_fit_is_refused(void)
{
    static const char *const cases[][2] = {
        {"tree.group=2", "group=\"2\" is for algorithm=\"hierarchical\""},
        {"hierarchical.group=3", "group=\"3\" does not divide 8 nodes"},
        {"local.local-steps=4", "local-steps=\"4\" needs as many samples"},
        {"shard-1.algorithm=tree", "shard=\"1\" is for algorithm=\"ring\""},
        {"shard-2.local-steps=2", "shard=\"2\" is for local-steps=\"1\""},
        {"clip=1", "shard=\"1\" is for training without clip"},
        {"shard-3.algorithm=tree", "shard=\"3\" is for algorithm=\"ring\""},
        {"float16.keep=5", "keep=\"5\" is for compress=\"top-k\""},
        {"top-k.keep=1001", "1 to 1000"},
        {"int8.algorithm=tree", "compress=\"int8\" is for algorithm=\"ring\""},
        {"float16.local-steps=2", "for shard=\"0\" and local-steps=\"1\""},
        {"float16.shard=3", "compress=\"float16\" is of gradients"},
        {"shard-1.shard=4", "0 to 3"}};
    EACH(i, cases)
    {
        char sets[80];
        snprintf(sets, sizeof sets, "nodes=8 %s", cases[i][0]);
        harness_refuses("matrix-allreduce.xml", sets, cases[i][1]);
    }
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"traffic and memory equal the closed forms", accounts_equal_forms},
        {"timing changes no weight", timing_changes_no_weight},
        {"algorithms that give the same bits", algorithms_that_give_the_same_bits},
        {"algorithms differ by the order of sums alone", algorithms_differ_by_order_alone},
        {"groups by themselves", groups_by_themselves},
        {"one local step is none, and one node is single", local_steps_at_their_ends},
        {"local steps are what a serial program takes",
         local_steps_are_what_a_serial_program_takes},
        {"shards give the bits of the whole", shards_give_the_bits_of_the_whole},
        {"shards take the memory of the paper", shards_take_the_memory_of_the_paper},
        {"coded gradients train as well", coded_gradients_train_as_well},
        {"what does not fit is refused", what_does_not_fit_is_refused},
    };
    rg_blas_setup(argv);
    return suite_main("allreduce", tests, sizeof tests / sizeof *tests, argc, argv);
}
