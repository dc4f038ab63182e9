/* Schedules as data: the checker accepts every list that is made, finds what is wrong with a
 * damaged one, and its facts equal the closed forms. */
#include "base/error.h"
#include "strategies/plan.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>

enum { MOST = 64 };

static int depth_of(int stages, int stage, int most, int units)
{
    int depth = (most * (stages - stage) + stages - 1) / stages;
    return depth < units ? depth : units;
}

struct shape {
    enum rg_order order;
    int stages, units, depth;
    bool stash, recompute, overlap, reduce;
};

static struct rg_plan *make(const struct shape *shape)
{
    int depth[MOST];
    for (int s = 0; s < shape->stages; s++)
        depth[s] = shape->order == RG_ORDER_GPIPE ? shape->units
                   : shape->order == RG_ORDER_STREAM
                       ? depth_of(shape->stages, s, shape->depth, 1 << 20)
                       : depth_of(shape->stages, s, shape->depth, shape->units);
    struct rg_plan_spec spec = {.order = shape->order,
                                .stages = shape->stages,
                                .units = shape->units,
                                .depth = depth,
                                .stash = shape->stash,
                                .recompute = shape->recompute,
                                .overlap = shape->overlap,
                                .reduce = shape->reduce};
    return rg_plans_make(&spec);
}

static int check(const struct shape *shape, int iterations, struct rg_plan_times times,
                 struct rg_plan_facts *facts, struct rg_error *e)
{
    struct rg_plan *plans = make(shape);
    int result = rg_plan_check(plans, iterations * shape->units, &times, facts, e);
    rg_plans_free(plans, shape->stages);
    return result;
}

static void expect_ok(const struct shape *shape, int iterations)
{
    struct rg_plan_facts facts;
    struct rg_error e = {0};
    int result = check(shape, iterations, (struct rg_plan_times){1, 2}, &facts, &e);
    if (result)
        printf("order %d, %d stages, %d units, depth %d: %s\n", shape->order, shape->stages,
               shape->units, shape->depth, e.text);
    CU_ASSERT_EQUAL(result, 0);
    uint64_t units = (uint64_t)iterations * (uint64_t)shape->units, s = (uint64_t)shape->stages;
    uint64_t hops = s > 1 ? units * (s - 1) : 0, closing = s > 1 ? units : 0;
    CU_ASSERT_EQUAL(facts.messages[RG_CHANNEL_ACTIVATION], hops);
    CU_ASSERT_EQUAL(facts.messages[RG_CHANNEL_GRADIENT], hops);
    CU_ASSERT_EQUAL(facts.messages[RG_CHANNEL_OUTPUT], closing);
    CU_ASSERT_EQUAL(facts.messages[RG_CHANNEL_LOSS], closing);
}

static const int STAGES[] = {1, 2, 3, 5, 8, 17}, UNITS[] = {1, 2, 3, 7, 16, 40};

#define EACH(i, array) for (size_t i = 0; i < sizeof(array) / sizeof *(array); i++)

static void every_plan_passes(void)
{
    EACH(a, STAGES) EACH(b, UNITS)
    {
        for (int mode = 0; mode < 4; mode++) {
            struct shape shape = {
                .stages = STAGES[a], .units = UNITS[b], .overlap = mode & 1, .reduce = mode & 2};
            shape.order = RG_ORDER_GPIPE;
            expect_ok(&shape, 3);
            shape.order = RG_ORDER_1F1B;
            for (shape.depth = 1; shape.depth <= 3 * shape.stages; shape.depth++)
                expect_ok(&shape, 3);
        }
    }
}

static void every_stream_passes(void)
{
    EACH(a, STAGES)
    {
        for (int mode = 0; mode < 4; mode++) {
            struct shape shape = {.order = RG_ORDER_STREAM,
                                  .stages = STAGES[a],
                                  .units = 1,
                                  .overlap = mode & 1,
                                  .stash = mode & 2,
                                  .recompute = !(mode & 2)};
            for (shape.depth = 1; shape.depth <= 4 * shape.stages; shape.depth++) {
                expect_ok(&shape, 100);
                expect_ok(&shape, 2); /* shorter than the pipeline is deep */
            }
        }
    }
}

static void peaks_are_the_depths(void)
{
    EACH(a, STAGES) EACH(b, UNITS)
    {
        struct rg_plan_facts facts;
        struct shape shape = {.order = RG_ORDER_GPIPE, .stages = STAGES[a], .units = UNITS[b]};
        CU_ASSERT_EQUAL(check(&shape, 2, (struct rg_plan_times){1, 1}, &facts, NULL), 0);
        CU_ASSERT_EQUAL(facts.peak_units, UNITS[b]);
        shape.order = RG_ORDER_1F1B;
        for (shape.depth = 1; shape.depth <= 2 * shape.stages; shape.depth++) {
            CU_ASSERT_EQUAL(check(&shape, 2, (struct rg_plan_times){1, 1}, &facts, NULL), 0);
            int least = shape.depth < shape.units ? shape.depth : shape.units;
            CU_ASSERT_EQUAL(facts.peak_units, least);
        }
    }
}

/* Where transfers cost nothing, S equal stages and M micro-batches: gpipe and classical 1f1b take
 * (M + S - 1)(f + b), a bubble of (S - 1) / M; one unit in flight takes M S (f + b). */
static void bubbles_are_exact(void)
{
    const struct rg_plan_times times = {0.5, 1.25};
    EACH(a, STAGES) EACH(b, UNITS)
    {
        int s = STAGES[a], m = UNITS[b];
        struct rg_plan_facts facts;
        struct shape shape = {.order = RG_ORDER_GPIPE, .stages = s, .units = m, .overlap = true};
        double each = times.forward + times.backward;
        CU_ASSERT_EQUAL(check(&shape, 4, times, &facts, NULL), 0);
        CU_ASSERT_DOUBLE_EQUAL(facts.makespan, 4 * (m + s - 1) * each, 1e-9);
        shape.order = RG_ORDER_1F1B;
        for (shape.depth = s; shape.depth <= 3 * s; shape.depth += s) {
            CU_ASSERT_EQUAL(check(&shape, 4, times, &facts, NULL), 0);
            CU_ASSERT_DOUBLE_EQUAL(facts.makespan, 4 * (m + s - 1) * each, 1e-9);
        }
        shape.depth = 1;
        CU_ASSERT_EQUAL(check(&shape, 4, times, &facts, NULL), 0);
        CU_ASSERT_DOUBLE_EQUAL(facts.makespan, 4.0 * m * s * each, 1e-9);
    }
}

/* Damage a good list in one place: the checker must notice. */
static void damage_is_found(void)
{
    struct shape shape = {
        .order = RG_ORDER_1F1B, .stages = 4, .units = 6, .depth = 4, .overlap = true};
    int found = 0, tried = 0;
    for (int stage = 0; stage < shape.stages; stage++) {
        struct rg_plan *probe = make(&shape);
        int count = probe[stage].lanes[0].body_count;
        rg_plans_free(probe, shape.stages);
        for (int i = 0; i < count; i++) {
            struct rg_plan *plans = make(&shape);
            struct rg_instruction *in = &plans[stage].lanes[0].body[i];
            struct rg_plan_facts facts;
            struct rg_error e;
            bool matters = in->op != RG_OP_STEP && in->op != RG_OP_END;
            in->op = RG_OP_END; /* the instruction is lost */
            tried += matters;
            found += matters && rg_plan_check(plans, 12, &(struct rg_plan_times){1, 1}, &facts,
                                              &e) == RG_ERR_INVALID;
            rg_plans_free(plans, shape.stages);
        }
    }
    CU_ASSERT(tried > 50);
    CU_ASSERT_EQUAL(found, tried);
}

static void too_few_slots_are_found(void)
{
    struct shape shape = {
        .order = RG_ORDER_1F1B, .stages = 3, .units = 6, .depth = 3, .overlap = true};
    static const enum rg_pool pools[] = {RG_POOL_INPUT, RG_POOL_STASH};
    EACH(i, pools)
    {
        struct rg_plan *plans = make(&shape);
        struct rg_plan_facts facts;
        struct rg_error e;
        plans[0].slots[pools[i]]--;
        CU_ASSERT_EQUAL(rg_plan_check(plans, 12, &(struct rg_plan_times){1, 1}, &facts, &e),
                        RG_ERR_INVALID);
        CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "stage 0"));
        rg_plans_free(plans, shape.stages);
    }
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"every plan of a flushed schedule passes", every_plan_passes},
        {"every plan of a stream passes", every_stream_passes},
        {"peak activations are the depths", peaks_are_the_depths},
        {"the bubble is exact where transfers are free", bubbles_are_exact},
        {"a lost instruction is found", damage_is_found},
        {"a pool that is too small is found", too_few_slots_are_found},
    };
    return suite_main("plan", tests, sizeof tests / sizeof *tests, argc, argv);
}
