/* Schedules as data: the checker accepts every list that is made, finds what is wrong with a
 * damaged one, and its facts equal the closed forms. */
#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
#include "strategies/ring.h"
#include "support/suite.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };

#define EACH(i, array) for (size_t i = 0; i < sizeof(array) / sizeof *(array); i++)

struct shape {
    const struct rg_schedule *schedule;
    int stages, units, in_flight;
    bool overlap, reduce;
    bool less;  /* what stages keep: less than the schedule has it, where a user may say so */
    int chunks; /* stages a node; 0: one */
};

static int nodes_of(const struct shape *shape)
{
    return shape->stages / (shape->chunks ? shape->chunks : 1);
}

static enum rg_stash stash_of(const struct shape *shape)
{
    enum rg_stash stash = shape->schedule->stash;
    if (shape->less && stash == RG_STASH_WEIGHTS)
        return RG_STASH_ACTIVATIONS;
    return shape->less && stash == RG_STASH_ACTIVATIONS ? RG_STASH_INPUTS : stash;
}

/* A schedule in chunks wants several nodes, and units in groups of as many. */
static void fit(struct shape *shape, int chunks)
{
    if (!shape->schedule->in_chunks)
        return;
    int nodes = RG_MIN(RG_MAX(shape->stages, 2), MOST / chunks);
    shape->chunks = chunks;
    shape->stages = nodes * chunks;
    shape->units = (shape->units + nodes - 1) / nodes * nodes;
}

/* As check makes it of a job; depth [MOST]. */
static struct rg_ring ring_of(const struct shape *shape, int *depth)
{
    struct rg_ring ring = {.schedule = shape->schedule,
                           .replicas = 1,
                           .nodes = nodes_of(shape),
                           .stages = shape->stages,
                           .micro = shape->units,
                           .overlap = shape->overlap,
                           .depth = depth};
    for (int s = 0; s < shape->stages; s++)
        depth[s] = shape->schedule->depth(&ring, s, shape->in_flight);
    return ring;
}

static struct rg_plan *make(const struct shape *shape)
{
    int depth[MOST];
    ring_of(shape, depth);
    struct rg_plan_spec spec = {.schedule = shape->schedule,
                                .stages = shape->stages,
                                .nodes = nodes_of(shape),
                                .units = shape->units,
                                .depth = depth,
                                .overlap = shape->overlap,
                                .reduce = shape->reduce,
                                .stash = stash_of(shape)};
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
    int depth[MOST];
    ring_of(shape, depth);
    int result = check(shape, iterations, (struct rg_plan_times){1, 2, 1}, &facts, &e);
    if (result)
        printf("%s, %d stages, %d units, %d in flight: %s\n", rg_schedule_name(shape->schedule),
               shape->stages, shape->units, shape->in_flight, e.text);
    CU_ASSERT_EQUAL(result, 0);
    uint64_t units = (uint64_t)iterations * (uint64_t)shape->units, s = (uint64_t)shape->stages;
    uint64_t hops = s > 1 ? units * (s - 1) : 0, closing = s > 1 ? units : 0;
    CU_ASSERT_EQUAL(facts.messages[RG_CHANNEL_ACTIVATION], hops);
    CU_ASSERT_EQUAL(facts.messages[RG_CHANNEL_GRADIENT], hops);
    CU_ASSERT_EQUAL(facts.messages[RG_CHANNEL_OUTPUT], closing);
    CU_ASSERT_EQUAL(facts.messages[RG_CHANNEL_LOSS], closing);
    CU_ASSERT_EQUAL(facts.peak_units, depth[0] < (int)units ? depth[0] : (int)units);
}

static const int STAGES[] = {1, 2, 3, 5, 8, 17}, UNITS[] = {1, 2, 3, 7, 16, 40};

/* Whatever is in the table. */
static void every_plan_passes(void)
{
    for (int i = 0; rg_schedules[i]; i++)
        EACH(a, STAGES) EACH(b, UNITS)
        {
            struct shape shape = {.schedule = rg_schedules[i], .stages = STAGES[a]};
            shape.units = UNITS[b];
            fit(&shape, 1 + (int)b % 3);
            int most = shape.schedule->takes ? 4 * shape.stages : 1;
            for (int mode = 0; mode < 4; mode++) {
                shape.overlap = mode & 1;
                shape.reduce = mode & 2;
                for (shape.in_flight = 1; shape.in_flight <= most; shape.in_flight++) {
                    expect_ok(&shape, 3); /* of a stream: shorter than the pipeline is deep */
                    if (!shape.schedule->synchronous && b == 0)
                        expect_ok(&shape, 100);
                }
            }
        }
}

/* Streams of any shape, whose depths may be far from a multiple of their units; the seed is printed
 * with the one that fails. */
static void random_plans_pass(void)
{
    for (uint64_t seed = 1; seed <= 10000; seed++) {
        struct rg_random *random = rg_random_new(seed, RG_STREAM_TEST, 0);
        int stages = 1 + (int)rg_random_below(random, 9);
        struct shape shape = {.stages = stages,
                              .units = 1 + (int)rg_random_below(random, 12),
                              .in_flight = 1 + (int)rg_random_below(random, 4 * (unsigned)stages),
                              .overlap = rg_random_below(random, 2),
                              .reduce = rg_random_below(random, 2),
                              .less = rg_random_below(random, 2)};
        int rows = 0;
        while (rg_schedules[rows])
            rows++;
        shape.schedule = rg_schedules[rg_random_below(random, (unsigned)rows)];
        unsigned failures = CU_get_number_of_failures();
        fit(&shape, 1 + (int)rg_random_below(random, 4));
        expect_ok(&shape, 1 + (int)rg_random_below(random, 5));
        if (CU_get_number_of_failures() > failures)
            printf("seed %" PRIu64 "\n", seed);
        rg_random_free(random);
    }
}

static int peak_of(const char *name, int stages, int units, int in_flight)
{
    struct shape shape = {rg_schedule_named(name), stages, units, in_flight, true, false, false, 1};
    struct rg_plan_facts facts;
    CU_ASSERT_EQUAL(check(&shape, 2, (struct rg_plan_times){1, 1, 0.5}, &facts, NULL), 0);
    return facts.peak_units;
}

static void peaks_are_the_depths(void)
{
    EACH(a, STAGES) EACH(b, UNITS)
    {
        CU_ASSERT_EQUAL(peak_of("sequential", STAGES[a], UNITS[b], 0), 1);
        CU_ASSERT_EQUAL(peak_of("gpipe", STAGES[a], UNITS[b], 0), UNITS[b]);
        for (int depth = 1; depth <= 2 * STAGES[a]; depth++)
            CU_ASSERT_EQUAL(peak_of("1f1b", STAGES[a], UNITS[b], depth),
                            depth < UNITS[b] ? depth : UNITS[b]);
    }
}

/* An iteration among others: where stages end an iteration at different times they begin the next
 * at different times, too. */
static double makespan_of(const struct shape *shape, struct rg_plan_times times)
{
    struct rg_plan_facts few = {0}, many = {0};
    CU_ASSERT_EQUAL(check(shape, 4, times, &few, NULL), 0);
    CU_ASSERT_EQUAL(check(shape, 8, times, &many, NULL), 0);
    return (many.makespan - few.makespan) / 4;
}

/* Where transfers cost nothing, S equal stages and M micro-batches: gpipe and classical 1f1b take
 * (M + S - 1)(f + b), a bubble of (S - 1) / M; one unit in flight takes M S (f + b). */
static void bubbles_are_exact(void)
{
    const struct rg_plan_times times = {0.5, 1.25, 0.5};
    EACH(a, STAGES) EACH(b, UNITS)
    {
        int s = STAGES[a], m = UNITS[b];
        struct shape shape = {rg_schedule_named("gpipe"), s, m, 0, true, false, false, 1};
        double each = times.forward + times.backward;
        CU_ASSERT_DOUBLE_EQUAL(makespan_of(&shape, times), (m + s - 1) * each, 1e-9);
        shape.schedule = rg_schedule_named("1f1b");
        for (shape.in_flight = s; shape.in_flight <= 3 * s; shape.in_flight += s)
            CU_ASSERT_DOUBLE_EQUAL(makespan_of(&shape, times), (m + s - 1) * each, 1e-9);
        shape.in_flight = 1;
        CU_ASSERT_DOUBLE_EQUAL(makespan_of(&shape, times), m * s * each, 1e-9);
        shape.schedule = rg_schedule_named("sequential");
        CU_ASSERT_DOUBLE_EQUAL(makespan_of(&shape, times), m * s * each, 1e-9);
    }
}

/* What Qi et al. 2024 publish (section 2.2 and table 2), transfers free, with f, b to the input and
 * w of the weights: bubbles of (S - 1)(f + b - w) for zb-h1 and (S - 1)(f + b - 2 w) for zb-h2, S
 * and 2 S - 1 units held on every stage. The closing of the ring costs one w more: less than 1 %
 * here. */
static void zero_bubbles_are_the_published_ones(void)
{
    static const struct rg_plan_times times[] = {{1, 2, 1}, {0.5, 1.25, 0.5}, {2, 2, 0.5}};
    EACH(t, times) EACH(a, STAGES)
    {
        int s = STAGES[a], m = 12 * s;
        double f = times[t].forward, w = times[t].weights, b = times[t].backward - w;
        double closing = s > 1 ? w : 0;
        CU_ASSERT(closing < 0.01 * m * (f + b + w) || s < 3);
        struct shape shape = {rg_schedule_named("zb-h1"), s, m, 0, true, false, false, 1};
        CU_ASSERT_DOUBLE_EQUAL(makespan_of(&shape, times[t]),
                               m * (f + b + w) + (s - 1) * (f + b - w) + closing, 1e-9);
        CU_ASSERT_EQUAL(peak_of("zb-h1", s, m, 0), s);
        shape.schedule = rg_schedule_named("zb-h2");
        CU_ASSERT_DOUBLE_EQUAL(makespan_of(&shape, times[t]),
                               m * (f + b + w) + (s - 1) * (f + b - 2 * w) + closing, 1e-9);
        CU_ASSERT_EQUAL(peak_of("zb-h2", s, m, 0), 2 * s - 1);
    }
}

/* Narayanan et al. 2021, section 2.2: S nodes of V chunks have a bubble of (S - 1) / (V M) where
 * transfers are free; f and b are of a chunk. The first stage has two groups of units in flight at
 * most, or the whole batch. */
static void interleaved_bubbles_are_the_published_ones(void)
{
    const struct rg_plan_times times = {0.5, 1.25, 0};
    for (int s = 2; s <= 16; s++)
        for (int v = 1; s * v <= MOST; v++)
            for (int m = s; m <= 4 * s; m += s) {
                struct shape shape = {.schedule = rg_schedule_named("interleaved"),
                                      .stages = s * v,
                                      .units = m,
                                      .overlap = true,
                                      .chunks = v};
                double alone = m * v * (times.forward + times.backward);
                double bubble = (double)(s - 1) / (v * m);
                struct rg_plan_facts facts;
                CU_ASSERT_DOUBLE_EQUAL(makespan_of(&shape, times), alone * (1 + bubble), 1e-9);
                CU_ASSERT_EQUAL(check(&shape, 2, times, &facts, NULL), 0);
                CU_ASSERT(facts.peak_units <= RG_MIN(2 * s, m));
            }
}

/* Two nodes of two chunks, four units: forward F and backward B as chunk and unit. Node 1 takes in
 * a group of both chunks; of the first two gradients of its second chunk both are there by then. */
static void interleaved_by_hand(void)
{
    static const char *const wanted[] = {
        "F00 F01 F10 F11 F02 F03 B10 F12 B11 F13 B00 B01 B12 B13 B02 B03 ",
        "F00 F01 F10 F11 B10 F02 B11 F03 B00 F12 B01 F13 B12 B13 B02 B03 "};
    struct shape shape = {.schedule = rg_schedule_named("interleaved"),
                          .stages = 4,
                          .units = 4,
                          .overlap = true,
                          .chunks = 2};
    struct rg_plan *plans = make(&shape);
    for (int node = 0; node < 2; node++) {
        const struct rg_list *list = &plans[node].lanes[0];
        char text[200] = "";
        for (int i = 0; i < list->body_count; i++) {
            const struct rg_instruction *in = &list->body[i];
            CU_ASSERT_EQUAL(in->stage % 2, node);
            if (in->op == RG_OP_FORWARD || in->op == RG_OP_BACKWARD)
                snprintf(text + strlen(text), sizeof text - strlen(text), "%c%d%d ",
                         in->op == RG_OP_FORWARD ? 'F' : 'B', in->stage / 2, in->unit);
        }
        CU_ASSERT_STRING_EQUAL(text, wanted[node]);
        CU_ASSERT_EQUAL(plans[2 + node].lanes[0].body_count, 0);
    }
    rg_plans_free(plans, 4);
}

/* Every synchronous row's closed form against its own plan, transfers and loss free, with as much
 * in flight as auto gives it. */
static void forms_are_exact_without_transfers(void)
{
    const struct rg_plan_times times = {0.5, 1.25, 0.5};
    for (int i = 0; rg_schedules[i]; i++)
        EACH(a, STAGES) EACH(b, UNITS)
        {
            struct shape shape = {.schedule = rg_schedules[i],
                                  .stages = STAGES[a],
                                  .units = UNITS[b],
                                  .in_flight = 3 * STAGES[a],
                                  .overlap = true};
            struct rg_stage_forms forms[MOST] = {0};
            int depth[MOST];
            fit(&shape, 3);
            bool split = shape.schedule->stash == RG_STASH_HALVES;
            double weights = split ? times.weights : 0;
            if (!shape.schedule->synchronous ||
                (split && shape.schedule->takes && shape.in_flight > shape.units))
                continue;
            struct rg_ring ring = ring_of(&shape, depth);
            for (int s = 0; s < shape.stages; s++)
                forms[s] = (struct rg_stage_forms){
                    .forward = times.forward,
                    .backward = times.backward,
                    .weights = weights,
                    .round = (shape.stages - s) * (times.forward + times.backward - weights)};
            CU_ASSERT_DOUBLE_EQUAL(shape.schedule->seconds(&ring, forms),
                                   makespan_of(&shape, times), 1e-9);
        }
}

/* Two stages and two units whose messages take 4 s each, whichever way, and occupy no port; the
 * loss is free. Forward of f s: both units' outputs are with stage 0 at 2 f + 8 and 3 f + 8, and
 * their gradients with stage 1 4 s later. Backward of b s each, the second waits for the first
 * there or for its own gradient, then again at stage 0, 4 s later. f 1, b 2: stage 1 goes back
 * in 14..16 and 16..18, stage 0 in 20..22 and 22..24. f 2, b 1: stage 1 goes back in 16..17
 * and 18..19, stage 0 in 21..22 and 23..24. */
static void forms_by_hand_with_transfers(void)
{
    static const char *const names[] = {"gpipe", "1f1b"};
    EACH(i, names) for (int f = 1, b = 2; f <= 2; f++, b--)
    {
        struct shape shape = {rg_schedule_named(names[i]), 2, 2, 4, true, false, false, 1};
        int depth[MOST];
        struct rg_ring ring = ring_of(&shape, depth);
        const struct rg_stage_forms forms[2] = {
            {.forward = f, .backward = b, .out = 4, .back = 4, .round = 2 * (f + b + 8)},
            {.forward = f, .backward = b, .out = 4, .back = 4, .round = f + b + 8}};
        CU_ASSERT_EQUAL(depth[0], 2);
        CU_ASSERT_EQUAL(depth[1], 2);
        CU_ASSERT_DOUBLE_EQUAL(shape.schedule->seconds(&ring, forms), 24, 1e-12);
    }
}

/* A stream's pace by its closed form: 2 and 1 s a stage, 0.25 s an update, 3 stages, so 3.25 s a
 * unit where enough are in flight; one alone takes a round trip of 9 s and an update. A port that
 * is busy for 4 s holds them up, or adds to the 3.25 s where nothing overlaps. */
static void streams_keep_pace(void)
{
    static const char *const names[] = {"ringtmp", "pipedream"};
    struct rg_stage_forms forms[3];
    EACH(i, names)
    {
        struct shape shape = {rg_schedule_named(names[i]), 3, 1, 9, true, false, false, 1};
        int depth[MOST];
        for (int s = 0; s < 3; s++)
            forms[s] = (struct rg_stage_forms){
                .forward = 1, .backward = 2, .update = 0.25, .round = 3.0 * (3 - s)};
        struct rg_ring ring = ring_of(&shape, depth);
        CU_ASSERT_EQUAL(depth[0], 9);
        CU_ASSERT_EQUAL(depth[1], 6);
        CU_ASSERT_EQUAL(depth[2], 3);
        CU_ASSERT_DOUBLE_EQUAL(shape.schedule->seconds(&ring, forms), 3.25, 1e-12);
        forms[1].port = 4;
        CU_ASSERT_DOUBLE_EQUAL(shape.schedule->seconds(&ring, forms), 4, 1e-12);
        ring.overlap = false;
        CU_ASSERT_DOUBLE_EQUAL(shape.schedule->seconds(&ring, forms), 7.25, 1e-12);
        shape.in_flight = 1;
        ring = ring_of(&shape, depth);
        CU_ASSERT_DOUBLE_EQUAL(shape.schedule->seconds(&ring, forms), 9.25, 1e-12);
    }
}

/* Four micro-batches of 3 s a stage, an update of 1 s: 13 s an iteration. Three stages with 6, 4
 * and 2 in flight and messages of 1.5 s, in no port: a gradient leaves the next stage, comes back
 * in 1.5 s, 3.25 s later another unit is on its way for 1.5 s and takes the next stage 3.25 s; 9.5
 * s for the 3 units that pass meanwhile. Of 3 s: 12.5 s, more than 3 of 3.25 s. With 4, 3 and 2 in
 * flight it is 9.5 s for 2. */
static void streams_take_updates_by_the_batch(void)
{
    struct rg_stage_forms forms[3];
    struct shape shape = {rg_schedule_named("pipedream"), 3, 4, 6, true, false, false, 1};
    int depth[MOST];
    struct rg_ring ring = ring_of(&shape, depth);
    for (int s = 0; s < 3; s++)
        forms[s] = (struct rg_stage_forms){
            .forward = 1, .backward = 2, .update = 1, .out = 1.5, .back = 1.5, .round = 3};
    CU_ASSERT_DOUBLE_EQUAL(shape.schedule->seconds(&ring, forms), 13, 1e-12);
    for (int s = 0; s < 3; s++)
        forms[s].out = forms[s].back = 3;
    CU_ASSERT_DOUBLE_EQUAL(shape.schedule->seconds(&ring, forms), 4 * 12.5 / 3, 1e-12);
    for (int s = 0; s < 3; s++)
        forms[s].out = forms[s].back = 1.5;
    depth[0] = 4;
    depth[1] = 3;
    CU_ASSERT_DOUBLE_EQUAL(shape.schedule->seconds(&ring, forms), 4 * 9.5 / 2, 1e-12);
}

/* Version floor((u - depth + 1) / units) is read by a unit that changes version floor(u / units).
 */
static void updates_behind_are_the_largest(void)
{
    for (int units = 1; units <= 9; units++)
        for (int depth = 1; depth <= 30; depth++) {
            int most = 0;
            for (int u = depth; u < depth + 2 * units; u++)
                most = RG_MAX(most, u / units - (u - depth + 1) / units);
            CU_ASSERT_EQUAL(rg_updates_behind(depth, units), most);
        }
}

/* Copies of the weights: of a stream that keeps them, as many as it has units in flight. */
static void weights_are_kept_by_pipedream_only(void)
{
    for (int i = 0; rg_schedules[i]; i++) {
        struct shape shape = {.schedule = rg_schedules[i], .stages = 3, .units = 1, .in_flight = 6};
        if (shape.schedule->in_chunks)
            continue; /* that takes no single unit; it keeps no weights, either */
        bool keeps = shape.schedule == rg_schedule_named("pipedream");
        bool repeats = shape.schedule == rg_schedule_named("ringtmp");
        struct rg_plan *plans = make(&shape);
        for (int s = 0; s < 3; s++) {
            CU_ASSERT_EQUAL(plans[s].versions, keeps ? 6 - 2 * s : 1);
            CU_ASSERT_EQUAL(plans[s].recompute, repeats);
            CU_ASSERT_EQUAL(plans[s].slots[RG_BUFFER_REDO], repeats);
        }
        rg_plans_free(plans, 3);
        shape.units = 3; /* 6, 4 and 2 in flight: behind by 5 / 3, 3 / 3 and 1 / 3, rounded up */
        shape.in_flight = RG_MIN(shape.in_flight, 6);
        for (int less = 0; less <= 1; less++) {
            static const int versions[] = {3, 2, 2};
            shape.less = less;
            bool again = repeats || (less && shape.schedule->stash == RG_STASH_ACTIVATIONS);
            plans = make(&shape);
            for (int s = 0; s < 3; s++) {
                CU_ASSERT_EQUAL(plans[s].versions, keeps && !less ? versions[s] : 1);
                CU_ASSERT_EQUAL(plans[s].recompute, again);
            }
            rg_plans_free(plans, 3);
        }
    }
}

static void the_table_is_sound(void)
{
    const struct rg_param *params = rg_strategy_named("ring_pipeline")->params;
    for (int i = 0; rg_schedules[i]; i++) {
        const struct rg_schedule *schedule = rg_schedules[i];
        const char *name = rg_schedule_name(schedule);
        char words[100];
        CU_ASSERT_PTR_EQUAL(rg_schedule_named(name), schedule);
        snprintf(words, sizeof words, "\n  %s: ", name);
        const char *help = strstr(params[0].help, words);
        CU_ASSERT_PTR_NOT_NULL_FATAL(help);
        size_t length = strcspn(help + 1, "\n") + 1;
        snprintf(words, sizeof words, "(takes %s)", schedule->takes ? schedule->takes : "");
        const char *takes = memmem(help, length, schedule->takes ? words : "(takes ",
                                   strlen(schedule->takes ? words : "(takes "));
        CU_ASSERT_EQUAL(takes != NULL, schedule->takes != NULL);
        bool found = schedule->takes == NULL;
        for (int k = 0; params[k].name && !found; k++)
            found = strcmp(params[k].name, schedule->takes) == 0;
        CU_ASSERT(found);
    }
    CU_ASSERT_PTR_NULL(rg_schedule_named("1f2b"));
}

/* Damage a good list in one place: the checker must notice. */
static void damage_is_found(void)
{
    static const char *const names[] = {"1f1b", "zb", "interleaved"};
    int found = 0, tried = 0;
    EACH(k, names) for (int stage = 0; stage < 4; stage++)
    {
        struct shape shape = {
            .schedule = rg_schedule_named(names[k]), .stages = 4, .units = 6, .in_flight = 4};
        shape.overlap = true;
        fit(&shape, 2);
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
            found +=
                matters && rg_plan_check(plans, 2 * shape.units, &(struct rg_plan_times){1, 1, 0.5},
                                         &facts, &e) == RG_ERR_INVALID;
            rg_plans_free(plans, shape.stages);
        }
    }
    CU_ASSERT(tried > 100);
    CU_ASSERT_EQUAL(found, tried);
}

/* What a forward pass has computed again is there until its backward pass: another's, put between
 * the two, overwrites it. */
static void what_is_computed_again_is_kept(void)
{
    struct shape shape = {.schedule = rg_schedule_named("1f1b"),
                          .stages = 3,
                          .units = 6,
                          .in_flight = 6,
                          .less = true};
    struct rg_plan *plans = make(&shape);
    struct rg_list *list = &plans[0].lanes[0];
    struct rg_instruction *body = list->body;
    struct rg_plan_facts facts;
    struct rg_error e = {0};
    int i = 0, from = 0; /* the first to be computed again, and the last forward pass before */
    CU_ASSERT_EQUAL(rg_plan_check(plans, 12, &(struct rg_plan_times){1, 2, 0}, &facts, &e), 0);
    CU_ASSERT(facts.makespan >= 6 * (1 + 1 + 2));
    while (body[i].op != RG_OP_RECOMPUTE)
        i++;
    while (from + 1 < i && !(body[from].op == RG_OP_FORWARD && body[from].unit == 5))
        from++;
    CU_ASSERT_EQUAL_FATAL(body[from].op, RG_OP_FORWARD);
    /* With what sends its output, to behind the recomputation. */
    struct rg_instruction forward = body[from], sent = body[from + 1];
    CU_ASSERT_EQUAL_FATAL(body[from + 1].op, RG_OP_SEND);
    memmove(&body[from], &body[from + 2], (size_t)(i - from - 1) * sizeof *body);
    body[i - 1] = forward;
    body[i] = sent;
    CU_ASSERT_EQUAL(body[i - 2].op, RG_OP_RECOMPUTE);
    CU_ASSERT_EQUAL(rg_plan_check(plans, 12, &(struct rg_plan_times){1, 2, 0}, &facts, &e),
                    RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "FORWARD of unit 5: it reads or overwrites"));
    rg_plans_free(plans, 3);
}

/* Messages have no names: what is sent in another order than it is expected in arrives in another
 * unit's place. Exchange two sends that follow one another on a channel. */
static void another_order_is_found(void)
{
    struct shape shape = {.schedule = rg_schedule_named("gpipe"), .stages = 3, .units = 4};
    int tried = 0;
    for (int stage = 0; stage < shape.stages; stage++) {
        struct rg_plan *probe = make(&shape);
        int count = probe[stage].lanes[0].body_count;
        rg_plans_free(probe, shape.stages);
        for (int i = 0; i < count; i++) {
            struct rg_plan *plans = make(&shape);
            struct rg_instruction *body = plans[stage].lanes[0].body;
            struct rg_plan_facts facts;
            struct rg_error e = {0};
            int j = i + 1;
            while (j < count && (body[j].op != RG_OP_SEND || body[j].channel != body[i].channel))
                j++;
            if (body[i].op == RG_OP_SEND && j < count) {
                /* both later, so that what is sent is there */
                struct rg_instruction first = body[i];
                memmove(body + i, body + i + 1, (size_t)(j - i) * sizeof *body);
                body[j] = first;
                CU_ASSERT_EQUAL(
                    rg_plan_check(plans, 8, &(struct rg_plan_times){1, 1, 0.5}, &facts, &e),
                    RG_ERR_INVALID);
                tried++;
            }
            rg_plans_free(plans, shape.stages);
        }
    }
    CU_ASSERT(tried >= 3 * 3);
}

/* Three units are to be in flight at stage 0: the third overwrites what the first is still needed
 * for, its input by being loaded, its activations by its forward pass. At the last stage the second
 * half of a backward pass is a unit behind the first: the next overwrites what waits for it. */
static void too_few_slots_are_found(void)
{
    static const struct {
        const char *schedule;
        int stage;
        enum rg_buffer buffer;
        const char *culprit;
    } cases[] = {{"1f1b", 0, RG_BUFFER_INPUT, "stage 0, lane 0, LOAD of unit 2"},
                 {"1f1b", 0, RG_BUFFER_STASH, "stage 0, lane 0, FORWARD of unit 2"},
                 {"zb", 0, RG_BUFFER_STASH, "stage 0, lane 0, FORWARD of unit 2"},
                 {"zb", 2, RG_BUFFER_STASH, "stage 2, lane 0, FORWARD of unit 2"},
                 {"zb", 2, RG_BUFFER_HALVES, "stage 2, lane 0, BACKWARD of unit 1"}};
    EACH(i, cases)
    {
        struct shape shape = {rg_schedule_named(cases[i].schedule), 3, 6, 3, true, false, false, 1};
        struct rg_plan *plans = make(&shape);
        struct rg_plan_facts facts;
        struct rg_error e;
        plans[cases[i].stage].slots[cases[i].buffer]--;
        CU_ASSERT_EQUAL(rg_plan_check(plans, 12, &(struct rg_plan_times){1, 1, 0.5}, &facts, &e),
                        RG_ERR_INVALID);
        CU_ASSERT_PTR_NOT_NULL(strstr(e.text, cases[i].culprit));
        rg_plans_free(plans, shape.stages);
    }
}

/* The list's instruction of that kind and unit; NULL: there is none. */
static struct rg_instruction *find(struct rg_instruction *list, int count, enum rg_plan_op op,
                                   enum rg_plan_channel channel, int unit)
{
    for (int i = 0; i < count; i++)
        if (list[i].op == op && list[i].channel == channel && list[i].unit == unit)
            return &list[i];
    return NULL;
}

/* Two stages, two units. Stage 0 sends the activations of both, then the loss of the first. Let
 * stage 1 post the receive of the second activations only behind its first backward pass: that
 * waits for the loss, which waits behind those activations on the one connection that they share.
 */
static void messages_do_not_overtake(void)
{
    const struct shape shape = {rg_schedule_named("1f1b"), 2, 2, 2, true, false, false, 1};
    const struct rg_plan_times times = {1, 1, 0.5};
    struct rg_plan *plans = make(&shape);
    struct rg_list *list = &plans[1].lanes[0];
    struct rg_plan_facts facts;
    struct rg_error e;
    CU_ASSERT_EQUAL(rg_plan_check(plans, 2, &times, &facts, &e), 0);
    struct rg_instruction *early =
        find(list->prologue, list->prologue_count, RG_OP_RECV, RG_CHANNEL_ACTIVATION, 1);
    struct rg_instruction *late = /* of the next iteration, which the run has not */
        find(list->body, list->body_count, RG_OP_RECV, RG_CHANNEL_ACTIVATION, 2);
    CU_ASSERT_PTR_NOT_NULL_FATAL(early);
    CU_ASSERT_PTR_NOT_NULL_FATAL(late);
    early->op = RG_OP_END;
    late->unit = 1;
    CU_ASSERT_EQUAL(rg_plan_check(plans, 2, &times, &facts, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "BACKWARD of unit 0: it waits for ever"));
    rg_plans_free(plans, shape.stages);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"the table of schedules is sound", the_table_is_sound},
        {"every plan of every schedule passes", every_plan_passes},
        {"10,000 random plans pass", random_plans_pass},
        {"peak activations are the depths", peaks_are_the_depths},
        {"the bubble is exact where transfers are free", bubbles_are_exact},
        {"closed forms are exact where transfers are free", forms_are_exact_without_transfers},
        {"zero bubbles are the published ones", zero_bubbles_are_the_published_ones},
        {"interleaved bubbles are the published ones", interleaved_bubbles_are_the_published_ones},
        {"interleaved stages by hand", interleaved_by_hand},
        {"closed forms by hand, with transfers", forms_by_hand_with_transfers},
        {"streams keep the pace of their closed form", streams_keep_pace},
        {"streams take an update by the batch", streams_take_updates_by_the_batch},
        {"weights are as old as can be", updates_behind_are_the_largest},
        {"weights are kept by pipedream only", weights_are_kept_by_pipedream_only},
        {"a lost instruction is found", damage_is_found},
        {"what is computed again is kept", what_is_computed_again_is_kept},
        {"another order of sends is found", another_order_is_found},
        {"a buffer that is too small is found", too_few_slots_are_found},
        {"messages do not overtake each other", messages_do_not_overtake},
    };
    return suite_main("plan", tests, sizeof tests / sizeof *tests, argc, argv);
}
