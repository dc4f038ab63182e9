/* Streams against a program that follows their definition, unit by unit, with every version of the
 * weights at hand: which weights a stage reads for a unit's forward and backward pass, and when it
 * changes them. */
#include "base/check.h"
#include "models/blas.h"
#include "models/loss.h"
#include "strategies/harness.h"
#include "strategies/ring.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_STAGES = 4, MOST_UPDATES = 16, MOST_FLOATS = 1 << 16 };

struct reference {
    const struct rg_job *job;
    const struct rg_ring *ring;
    float *weights[MOST_UPDATES]; /* of the whole network, by the number of updates before */
    float *gradient, *state;
    uint32_t *order;
    float x[MOST_STAGES][MOST_FLOATS], stash[MOST_STAGES][MOST_FLOATS], scratch[MOST_FLOATS];
    float dy[MOST_FLOATS], dx[MOST_FLOATS];
};

static float *of_stage(const struct reference *r, float *whole, int s)
{
    return whole + rg_network_offset(r->job->network, r->ring->cut[s]);
}

/* Unit u's forward pass comes right behind the backward pass of unit u - depth. */
static int version_read(const struct reference *r, int s, int unit)
{
    int done = unit - r->ring->depth[s] + 1;
    return done > 0 ? done / r->ring->micro : 0;
}

/* Stage by stage; returns the output of the last. */
static float *go_forward(struct reference *r, int unit, int n)
{
    float *out = NULL;
    for (int s = 0; s < r->ring->stages; s++) {
        struct rg_stage stage = rg_ring_stage(r->ring, s);
        float *w = of_stage(r, r->weights[version_read(r, s, unit)], s);
        if (s > 0)
            memcpy(r->x[s], out, sizeof *out * (size_t)n * rg_stage_inputs(&stage));
        rg_stage_forward(&stage, n, w, r->x[s], r->stash[s], r->scratch);
        out = rg_stage_output(&stage, n, r->stash[s]);
    }
    return out;
}

static void go_back(struct reference *r, int unit, int n)
{
    bool redo = rg_ring_stash(r->ring) == RG_STASH_INPUTS;
    bool stashed = rg_ring_stash(r->ring) == RG_STASH_WEIGHTS;
    for (int s = r->ring->stages - 1; s >= 0; s--) {
        struct rg_stage stage = rg_ring_stage(r->ring, s);
        int version = stashed ? version_read(r, s, unit) : unit / r->ring->micro;
        float *w = of_stage(r, r->weights[version], s);
        if (redo)
            rg_stage_forward(&stage, n, w, r->x[s], r->stash[s], r->scratch);
        rg_stage_backward(&stage, n, w, r->x[s], r->stash[s], r->dy, s > 0 ? r->dx : NULL,
                          of_stage(r, r->gradient, s), unit % r->ring->micro > 0, r->scratch);
        if (s > 0)
            memcpy(r->dy, r->dx, sizeof *r->dx * (size_t)n * rg_stage_inputs(&stage));
    }
}

static void take_unit(struct reference *r, int unit)
{
    const struct rg_job *job = r->job;
    int iteration = unit / r->ring->micro, part = unit % r->ring->micro, correct = 0;
    int n = rg_share(job->batch, r->ring->micro, part);
    const uint32_t *rows =
        r->order + iteration * job->batch + rg_share_first(job->batch, r->ring->micro, part);
    uint8_t labels[64];
    rg_dataset_gather(job->data, rows, n, r->x[0], labels);
    float *logits = go_forward(r, unit, n);
    rg_softmax_cross_entropy(n, job->network->classes, logits, labels, 1.0f / (float)job->batch,
                             r->dy, &correct);
    go_back(r, unit, n);
    if (part < r->ring->micro - 1)
        return;
    float *next = r->weights[iteration + 1];
    memcpy(next, r->weights[iteration], sizeof *next * job->network->parameters);
    rg_optimizer_step(&job->optimizer, iteration + 1, job->network->parameters, next, r->gradient,
                      r->state);
}

/* One epoch. The result is malloc'ed. */
static float *follow(const struct rg_job *job)
{
    size_t count = job->network->parameters;
    struct reference *r = calloc(1, sizeof *r);
    CU_ASSERT_FATAL(r != NULL && job->iterations < MOST_UPDATES);
    r->job = job;
    r->ring = job->plan;
    for (int i = 0; i <= job->iterations; i++)
        r->weights[i] = calloc(count, sizeof(float));
    r->gradient = calloc(count, sizeof(float));
    r->state = calloc(rg_optimizer_state(&job->optimizer, count) + 1, sizeof(float));
    r->order = calloc((size_t)job->data->train, sizeof *r->order);
    CU_ASSERT_EQUAL(rg_dataset_order(job->data, job->seed, 0, r->order), 0);
    CU_ASSERT_EQUAL(
        rg_network_init(job->network, 0, job->network->layer_count, job->seed, r->weights[0]), 0);
    for (int unit = 0; unit < job->iterations * r->ring->micro; unit++)
        take_unit(r, unit);
    float *trained = r->weights[job->iterations];
    for (int i = 0; i < job->iterations; i++)
        free(r->weights[i]);
    free(r->gradient);
    free(r->state);
    free(r->order);
    free(r);
    return trained;
}

static void a_stream_is_what_it_says(const char *sets)
{
    struct rg_study study;
    char all[200];
    snprintf(all, sizeof all, "epochs=1 %s", sets);
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", all));
    const struct rg_job *job = harness_job(&study, "pipedream");
    float *want = follow(job);
    float *have = harness_parameters(job, &(struct harness_options){.seed = 1}, NULL);
    double distance = harness_distance(want, have, job->network->parameters);
    if (!(distance < 1e-6))
        printf("\n    %s: largest difference %g", sets, distance);
    CU_ASSERT(distance < 1e-6);
    free(want);
    free(have);
    rg_study_close(&study);
}

/* Five batches: depths that divide the units and that do not, on one stage and on three. */
static void streams_are_what_they_say(void)
{
    static const char *const kinds[] = {"pipedream.depth",
                                        "pipedream.weights=current pipedream.depth",
                                        "pipedream.schedule=ringtmp pipedream.in-flight"};
    for (size_t kind = 0; kind < RG_COUNT(kinds); kind++)
        for (int nodes = 1; nodes <= 3; nodes += 2)
            for (int micro = 1; micro <= 4; micro += 3)
                for (int depth = 1; depth <= 5; depth++) {
                    char sets[160];
                    snprintf(sets, sizeof sets, "nodes=%d pipedream.micro-batches=%d %s=%d", nodes,
                             micro, kinds[kind], depth);
                    a_stream_is_what_it_says(sets);
                }
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"streams are what they say", streams_are_what_they_say},
    };
    rg_blas_setup(argv);
    return suite_main("streams", tests, sizeof tests / sizeof *tests, argc, argv);
}
