/* Filters of what workers push: messages worked by hand, that nothing is lost of a number that is
 * held back, what equals what to the bit, and accounts against closed forms. RG_SEEDS=FIRST:COUNT
 * in the environment says which seeds the sums are tried on. */
#include "collectives/filter.h"

#include "base/check.h"
#include "base/random.h"
#include "models/blas.h"
#include "strategies/harness.h"
#include "strategies/server_parts.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>

#define EACH(i, array) for (size_t i = 0; i < RG_COUNT(array); i++)

enum { MOST = 70 };

/* A worker and a server that hear each other without a world between them. */
struct pair {
    struct rg_filters filters;
    struct rg_filter_out out;
    struct rg_filter_in in;
    float kept[MOST], said[MOST], heard[MOST];
    uint32_t places[MOST], before[MOST], at[MOST];
    uint32_t message[3 * MOST];
    size_t numbers; /* of the last message */
};

static void open_pair(struct pair *p, size_t count, struct rg_filters filters)
{
    *p = (struct pair){.filters = filters};
    rg_filters_resolve(&p->filters);
    p->out = (struct rg_filter_out){.filters = &p->filters,
                                    .first = 1000,
                                    .count = count,
                                    .kept = p->kept,
                                    .places = p->places,
                                    .values = p->said,
                                    .before = p->before,
                                    .before_count = SIZE_MAX};
    p->in = (struct rg_filter_in){
        .filters = &p->filters, .count = count, .places = p->at, .values = p->heard};
}

/* gradient becomes what is said, to what is heard; returns the bytes between them. */
static size_t pass(struct pair *p, float *gradient, const float *parameters, uint64_t dice,
                   float *to)
{
    size_t bytes = rg_filter_say(&p->out, gradient, parameters, dice, p->message, &p->numbers);
    CU_ASSERT(bytes <= rg_filters_bytes(&p->filters, p->out.count));
    CU_ASSERT(p->numbers <= rg_filters_numbers(&p->filters, p->out.count));
    CU_ASSERT(rg_filter_hear(&p->in, p->message, bytes, to, false));
    CU_ASSERT_EQUAL(memcmp(to, gradient, p->out.count * sizeof *to), 0);
    return bytes;
}

/* ---- messages ---- */

/* Of parameters 1, 1, 0, -2 a gradient of 0.01 is 0.01, 0.01, 10 and 0.005 of what counts. */
static void significant_numbers_go(void)
{
    static const float w[4] = {1, 1, 0, -2};
    struct pair p;
    float g[4] = {0.0100001F, -0.009F, 1e-4F, 0.015F}, to[4];
    open_pair(&p, 4,
              (struct rg_filters){.count = 1, .kind = {RG_FILTER_SIGNIFICANT}, .threshold = 0.01});
    /* two of four: head, and a word of bits is shorter than two places */
    CU_ASSERT_EQUAL(pass(&p, g, w, 0, to), 8 + 4 + 2 * 4);
    CU_ASSERT(to[0] == 0.0100001F && to[1] == 0 && to[2] == 1e-4F && to[3] == 0);
    CU_ASSERT(p.kept[0] == 0 && p.kept[1] == -0.009F && p.kept[2] == 0 && p.kept[3] == 0.015F);
    float more[4] = {0, -0.002F, 0, 0.0049F}; /* together 0.011 of 1, and 0.0199 of 2 */
    CU_ASSERT_EQUAL(pass(&p, more, w, 0, to), 8 + 4 + 1 * 4);
    CU_ASSERT(to[0] == 0 && to[1] == -0.009F + -0.002F && to[2] == 0 && to[3] == 0);
    CU_ASSERT(p.kept[1] == 0 && p.kept[3] == 0.015F + 0.0049F);
}

static void the_largest_go_of_what_is_left(void)
{
    static const float w[5] = {100, 0, 0, 0, 0};
    struct pair p;
    float g[5] = {0.9F, 0.5F, -0.7F, 0.1F, 0.7F}, to[5];
    open_pair(&p, 5,
              (struct rg_filters){.count = 2,
                                  .kind = {RG_FILTER_SIGNIFICANT, RG_FILTER_TOP},
                                  .threshold = 0.01,
                                  .keep = 400});
    pass(&p, g, w, 0, to); /* 0.9 is little beside 100 */
    CU_ASSERT(to[0] == 0 && to[1] == 0 && to[2] == -0.7F && to[3] == 0 && to[4] == 0.7F);
    CU_ASSERT(p.kept[0] == 0.9F && p.kept[1] == 0.5F && p.kept[3] == 0.1F);
    CU_ASSERT_EQUAL(p.numbers, 2);
    float h[5] = {0.9F, 0.5F, -0.7F, 0.1F, 0.7F};
    open_pair(&p, 5,
              (struct rg_filters){.count = 2,
                                  .kind = {RG_FILTER_TOP, RG_FILTER_SIGNIFICANT},
                                  .threshold = 0.01,
                                  .keep = 400});
    pass(&p, h, w, 0,
         to); /* the largest two, one of which is little: and of equal ones the first */
    CU_ASSERT(to[0] == 0 && to[2] == -0.7F && to[4] == 0);
    CU_ASSERT_EQUAL(p.numbers, 1);
}

/* Of four workers and l1 less delta of 0.25: gradients of up to 0.0625 are those of parameters that
 * stay at 0. What is kept of earlier pushes stays until its parameter has something to say. */
static void what_is_at_rest_is_dropped(void)
{
    static const float w[5] = {0, 0, 0.5F, 0, -0.0F};
    struct pair p;
    float g[5] = {0.0625F, -0.07F, 0.01F, 0, -0.06F}, to[5];
    open_pair(&p, 5, (struct rg_filters){.count = 1, .kind = {RG_FILTER_KKT}, .rest = 0.25});
    p.out.to_all = 4;
    pass(&p, g, w, 0, to);
    CU_ASSERT_EQUAL(p.numbers, 2);
    CU_ASSERT(to[0] == 0 && to[1] == -0.07F && to[2] == 0.01F && to[3] == 0 && to[4] == 0);
    for (int k = 0; k < 5; k++)
        CU_ASSERT_EQUAL(p.kept[k], 0);
    float h[5] = {0.05F, 0.5F, NAN, 0.1F, NAN};
    open_pair(&p, 5,
              (struct rg_filters){.count = 2,
                                  .kind = {RG_FILTER_SIGNIFICANT, RG_FILTER_KKT},
                                  .threshold = 200, /* of 0.001 */
                                  .rest = 0.25});
    p.out.to_all = 4;
    p.kept[0] = 0.3F;
    rg_filter_say(&p.out, h, w, 0, p.message, &p.numbers);
    CU_ASSERT(h[0] == 0 && h[1] == 0.5F && isnan(h[2]) && h[3] == 0 && isnan(h[4]));
    CU_ASSERT(p.kept[0] == 0.3F && p.kept[3] == 0.1F);
}

/* Whatever tells the places in fewest bytes: nothing, numbers, a bit each, runs. */
static void places_are_told_in_few_bytes(void)
{
    static const struct {
        size_t first, count; /* of 64 numbers those that are not 0 */
        int every;
        size_t places;
    } cases[] = {{0, 64, 1, 0}, {10, 1, 1, 4}, {10, 30, 1, 8}, {0, 64, 2, 8},
                 {63, 1, 1, 4}, {5, 0, 1, 0},  {0, 2, 1, 8}};
    static const float w[64];
    EACH(i, cases)
    {
        struct pair p;
        float g[64] = {0}, to[64];
        size_t said = 0;
        for (size_t k = 0; k < cases[i].count; k += (size_t)cases[i].every, said++)
            g[cases[i].first + k] = (float)k + 1;
        open_pair(&p, 64, (struct rg_filters){.count = 1, .kind = {RG_FILTER_ZEROS}});
        CU_ASSERT_EQUAL(pass(&p, g, w, 0, to), 8 + cases[i].places + 4 * said);
        CU_ASSERT_EQUAL(p.numbers, said);
    }
    struct pair p; /* of 70 three words of bits: a run takes two */
    float g[MOST] = {0}, to[MOST];
    g[7] = g[8] = g[9] = 1;
    open_pair(&p, MOST, (struct rg_filters){.count = 1, .kind = {RG_FILTER_ZEROS}});
    CU_ASSERT_EQUAL(pass(&p, g, w, 0, to), 8 + 8 + 3 * 4);
}

/* The same places again are 4 bytes; others are told, and then those are known. */
static void known_places_are_not_told_again(void)
{
    static const float w[64];
    static const uint64_t sets[] = {0x00f0, 0x00f0, 0x0f01, 0x0f01, 0x0000, 0x0f01, ~0ULL, ~0ULL};
    static const size_t places[] = {8, 4, 8, 4, 0, 8, 0, 0};
    struct pair p;
    open_pair(&p, 64, (struct rg_filters){.count = 2, .kind = {RG_FILTER_ZEROS, RG_FILTER_KEYS}});
    EACH(i, sets)
    {
        float g[64], to[64];
        size_t said = 0;
        for (int k = 0; k < 64; k++) {
            bool in = sets[i] >> k & 1;
            g[k] = in ? (float)(k + 1) * (float)(i + 1) : 0;
            said += in;
        }
        CU_ASSERT_EQUAL(pass(&p, g, w, 0, to), 8 + places[i] + 4 * said);
    }
    struct pair other; /* who has heard of others, as many, does not guess */
    float g[64] = {0}, to[64];
    for (int k = 0; k < 64; k += 2)
        g[k] = 1;
    open_pair(&p, 64, p.filters);
    open_pair(&other, 64, p.filters);
    float h[64] = {0};
    for (int k = 1; k < 64; k += 2)
        h[k] = 1;
    pass(&other, h, w, 0, to);
    pass(&p, g, w, 0, to);
    size_t bytes = rg_filter_say(&p.out, g, w, 0, p.message, &p.numbers);
    CU_ASSERT_EQUAL(bytes, 8 + 4 + 4 * 32);
    CU_ASSERT_FALSE(rg_filter_hear(&other.in, p.message, bytes, to, false));
    CU_ASSERT(rg_filter_hear(&p.in, p.message, bytes, to, false));
}

/* A quarter of draws in 10,000, within five standard deviations; by place and dice, not by range.
 */
static void chance_is_of_the_place(void)
{
    static const float w[MOST];
    const struct rg_filters skip = {.count = 1, .kind = {RG_FILTER_SKIP}, .skip = 0.25};
    size_t said = 0, all = 0;
    for (uint64_t dice = 0; dice < 10000 / MOST; dice++) {
        struct pair whole, part;
        float g[MOST], h[MOST], to[MOST];
        for (int k = 0; k < MOST; k++)
            g[k] = h[k] = 1;
        open_pair(&whole, MOST, skip);
        open_pair(&part, 20, skip);
        part.out.first += 30;
        pass(&whole, g, w, rg_mix64(dice), to);
        pass(&part, h, w, rg_mix64(dice), to);
        CU_ASSERT_EQUAL(memcmp(h, g + 30, 20 * sizeof *h), 0);
        said += whole.numbers;
        all += MOST;
    }
    CU_ASSERT(fabs((double)said - 0.75 * (double)all) < 5 * sqrt((double)all * 0.75 * 0.25));
}

/* ---- nothing is lost ---- */

static const struct rg_filters LISTS[] = {
    {.count = 1, .kind = {RG_FILTER_SIGNIFICANT}, .threshold = 0.5},
    {.count = 1, .kind = {RG_FILTER_SKIP}, .skip = 0.9},
    {.count = 1, .kind = {RG_FILTER_TOP}, .keep = 30},
    {.count = 1, .kind = {RG_FILTER_ZEROS}},
    {.count = 1, .kind = {RG_FILTER_FLOAT16}},
    {.count = 1, .kind = {RG_FILTER_INT8}},
    {.count = 3, .kind = {RG_FILTER_TOP, RG_FILTER_KEYS, RG_FILTER_INT8}, .keep = 200},
    {.count = 3, .kind = {RG_FILTER_ZEROS, RG_FILTER_KEYS, RG_FILTER_FLOAT16}},
    {.count = 6,
     .kind = {RG_FILTER_SKIP, RG_FILTER_SIGNIFICANT, RG_FILTER_TOP, RG_FILTER_ZEROS,
              RG_FILTER_FLOAT16, RG_FILTER_KEYS},
     .threshold = 0.3,
     .skip = 0.4,
     .keep = 500}};

static void seeds(uint64_t *first, uint64_t *count)
{
    const char *text = getenv("RG_SEEDS");
    unsigned long long a = 0, b = 20;
    if (text && sscanf(text, "%llu:%llu", &a, &b) != 2)
        printf("RG_SEEDS=%s is not FIRST:COUNT\n", text);
    *first = a;
    *count = b;
}

/* A number that is 0 in a third of all pushes, and in some places always. */
static float drawn(uint64_t seed, int push, int place)
{
    uint64_t bits = rg_mix64(seed << 32 | (uint64_t)(push << 8 | place));
    if (place % 7 == 3 || bits % 3 == 0)
        return 0;
    return ldexpf((float)(bits >> 40) * 0x1p-23F - 1, (int)(bits >> 8 & 7) - 4);
}

/* Place by place, over 40 pushes: all that a server heard and all that a worker keeps are all there
 * were, within 1e-5 of the sum of their magnitudes. */
static void sums_are_whole(void)
{
    uint64_t first, count;
    seeds(&first, &count);
    EACH(l, LISTS)
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct pair p;
        double given[MOST] = {0}, sizes[MOST] = {0}, heard[MOST] = {0}, worst = 0;
        float w[MOST];
        for (int k = 0; k < MOST; k++)
            w[k] = drawn(seed, 99, k);
        open_pair(&p, MOST, LISTS[l]);
        for (int push = 0; push < 40; push++) {
            float g[MOST], to[MOST];
            for (int k = 0; k < MOST; k++) {
                given[k] += g[k] = drawn(seed, push, k);
                sizes[k] += fabs((double)g[k]);
            }
            pass(&p, g, w, rg_mix64(seed * 64 + (uint64_t)push), to);
            for (int k = 0; k < MOST; k++)
                heard[k] += to[k];
        }
        for (int k = 0; k < MOST; k++) {
            double off = fabs(heard[k] + p.kept[k] - given[k]);
            CU_ASSERT(sizes[k] > 0 || off == 0);
            worst = fmax(worst, sizes[k] > 0 ? off / sizes[k] : 0);
        }
        if (worst > 1e-5)
            printf("list %zu, seed %llu: %g\n", l, (unsigned long long)seed, worst);
        CU_ASSERT(worst <= 1e-5);
    }
}

/* What is no number goes on its way, so that training is seen to diverge. */
static void what_is_no_number_is_said(void)
{
    EACH(l, LISTS)
    {
        struct pair p;
        float w[8] = {0}, g[8] = {1, NAN, 2, 3, 4, 5, 6, 7}, to[8];
        bool seen = false;
        open_pair(&p, 8, LISTS[l]);
        p.filters.skip = 0;
        for (int push = 0; push < 3 && !seen; push++) {
            size_t bytes = rg_filter_say(&p.out, g, w, 0, p.message, &p.numbers);
            CU_ASSERT(rg_filter_hear(&p.in, p.message, bytes, to, false));
            for (int k = 0; k < 8; k++)
                seen = seen || !isfinite(to[k]);
        }
        CU_ASSERT(seen);
    }
}

/* Bytes that nobody sent are refused, or heard as numbers: none is written beside its vector. */
static void wrong_bytes_are_refused(void)
{
    int refused = 0, tried = 0;
    EACH(l, LISTS)
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct pair p;
        float w[MOST] = {0}, g[MOST], to[MOST + 1];
        for (int k = 0; k < MOST; k++)
            g[k] = drawn(seed, 1, k);
        open_pair(&p, MOST, LISTS[l]);
        size_t bytes = rg_filter_say(&p.out, g, w, seed, p.message, &p.numbers);
        uint64_t dice = rg_mix64(seed);
        unsigned char *at = (unsigned char *)p.message + dice % RG_MIN(bytes, 24);
        *at ^= (unsigned char)(1 + (dice >> 8) % 255);
        bytes -= dice >> 16 & 1;
        to[MOST] = 42;
        refused += !rg_filter_hear(&p.in, p.message, bytes, to, false);
        CU_ASSERT_EQUAL(to[MOST], 42);
        tried++;
    }
    CU_ASSERT(refused > tried / 2);
}

/* A run of places that ends beyond the last, or has none. */
static void runs_stay_in_their_range(void)
{
    static const struct {
        uint32_t skipped, said;
        bool good;
    } cases[] = {{7, 3, true},   {67, 3, true}, {68, 3, false},         {UINT32_MAX, 3, false},
                 {70, 3, false}, {7, 0, false}, {7, UINT32_MAX, false}, {7, 4, false}};
    static const float w[MOST];
    EACH(i, cases)
    {
        struct pair p;
        float g[MOST] = {0}, to[MOST];
        g[7] = g[8] = g[9] = 1;
        open_pair(&p, MOST, (struct rg_filters){.count = 1, .kind = {RG_FILTER_ZEROS}});
        size_t bytes = rg_filter_say(&p.out, g, w, 0, p.message, &p.numbers);
        CU_ASSERT_EQUAL_FATAL(bytes, 8 + 8 + 3 * 4);
        CU_ASSERT(p.message[2] == 7 && p.message[3] == 3);
        p.message[2] = cases[i].skipped;
        p.message[3] = cases[i].said;
        CU_ASSERT_EQUAL(rg_filter_hear(&p.in, p.message, bytes, to, false), cases[i].good);
        if (cases[i].good)
            CU_ASSERT_EQUAL(to[cases[i].skipped + 2], 1);
    }
}

/* ---- runs ---- */

/* The digests of two strategies of matrix-filters.xml, or another file. */
static void same_digest(const char *file, const char *sets, const char *a, const char *b)
{
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, file, sets));
    harness_same_weights(harness_job(&study, a), harness_job(&study, b), 0.5);
    rg_study_close(&study);
}

/* Filters that let everything pass give the bits there are without, on one worker or several,
 * in step, and on one out of it. */
static void off_is_without(void)
{
    static const char *const off[] = {
        "filters=significant %s.threshold=0", "filters=random-skip %s.skip=0",
        "filters=top-k %s.keep=1000", "filters=zeros",
        "filters=significant,zeros,random-skip,top-k,key-cache %s.threshold=0 %s.skip=0 "
        "%s.keep=1000"};
    static const char *const optimizers[] = {"sgd", "adam learning-rate=0.01"};
    EACH(i, off)
    EACH(o, optimizers)
    for (int nodes = 2; nodes <= 6; nodes += 2) {
        char filter[200], sets[400];
        snprintf(filter, sizeof filter, off[i], "bsp", "bsp", "bsp");
        snprintf(sets, sizeof sets,
                 "nodes=%d plain.servers=%d significant.servers=%d optimizer=%s ", nodes, nodes / 2,
                 nodes / 2, optimizers[o]);
        snprintf(filter, sizeof filter, off[i], "skip", "skip", "skip");
        snprintf(sets + strlen(sets), sizeof sets - strlen(sets), "skip.servers=%d skip.%s",
                 nodes / 2, filter);
        same_digest("matrix-filters.xml", sets, "plain", "skip");
    }
    EACH(i, off)
    {
        static const char *const labels[] = {"ssp", "ssp-ahead", "bounded", "async"};
        EACH(l, labels)
        {
            char filter[200], sets[400];
            const char *label = labels[l];
            snprintf(filter, sizeof filter, off[i], label, label, label);
            snprintf(sets, sizeof sets,
                     "nodes=3 optimizer=sgd bounded.in-flight=1 bsp.servers=2 %s.servers=2 %s.%s",
                     label, label, filter);
            same_digest("matrix-stale.xml", sets, "bsp", label);
        }
    }
}

static size_t zeros_of(const struct rg_job *job, struct rg_run *run)
{
    float *end = harness_parameters(job, &(struct harness_options){.seed = 1}, run);
    size_t n = 0;
    for (size_t i = 0; i < job->network->parameters; i++)
        n += end[i] == 0;
    free(end);
    return n;
}

/* With delta as large as l1 only what is 0 stays: the same bits as without the filter. One worker
 * knows the whole gradient: with SGD no delta is as good. Parameters come to 0, so that there is
 * something to drop. */
static void kkt_changes_no_bit_where_it_knows(void)
{
    static const struct {
        const char *sets, *l1, *delta;
    } cases[] = {{"nodes=5 plain.servers=2 zeros.servers=2 optimizer=sgd", "0.3", "0.3"},
                 {"nodes=4 optimizer=momentum", "0.03", "0.03"},
                 {"nodes=6 plain.servers=3 zeros.servers=3 optimizer=adagrad", "0.01", "0.01"},
                 {"nodes=2 optimizer=sgd", "0.3", "0"},
                 {"nodes=4 plain.servers=3 zeros.servers=3 optimizer=sgd rate-ramp=9", "0.3", "0"}};
    EACH(i, cases)
    {
        struct rg_study study;
        struct rg_run run;
        char sets[200];
        snprintf(sets, sizeof sets, "%s l1=%s epochs=6 zeros.filters=kkt,zeros zeros.delta=%s",
                 cases[i].sets, cases[i].l1, cases[i].delta);
        CU_ASSERT_FATAL(harness_open(&study, "matrix-filters.xml", sets));
        const struct rg_job *job = harness_job(&study, "zeros");
        harness_same_weights(harness_job(&study, "plain"), job, 0.5);
        size_t zeros = zeros_of(job, &run);
        if (!(zeros > job->network->parameters / 4 && zeros < job->network->parameters))
            printf("%zu of %zu: %s\n", zeros, job->network->parameters, sets);
        CU_ASSERT(zeros > job->network->parameters / 4 && zeros < job->network->parameters);
        if (strcmp(cases[i].delta, "0") == 0)
            CU_ASSERT(run.filtered.pushed < run.filtered.numbers * 9 / 10);
        rg_run_free(&run);
        rg_study_close(&study);
    }
}

/* Out of step as well: a lone worker that reads what it has pushed, or adds it by itself. */
static void kkt_of_one_worker_is_as_good_out_of_step(void)
{
    static const char *const labels[] = {"ssp", "ssp-ahead", "async"};
    EACH(l, labels)
    {
        char sets[300];
        snprintf(sets, sizeof sets,
                 "nodes=3 optimizer=sgd l1=0.3 epochs=6 bsp.servers=2 %s.servers=2 %s.filters=kkt "
                 "%s.delta=0",
                 labels[l], labels[l], labels[l]);
        same_digest("matrix-stale.xml", sets, "bsp", labels[l]);
    }
}

/* Of fewer samples estimates of the whole gradient are further off, and more of them beyond what is
 * dropped: four workers say a larger share than one. */
static void estimates_are_of_the_whole_gradient(void)
{
    double share[2];
    for (int i = 0; i < 2; i++) {
        struct rg_study study;
        struct rg_run run;
        char sets[120];
        snprintf(sets, sizeof sets, "nodes=%d optimizer=sgd l1=0.03 epochs=6 zeros.filters=kkt",
                 i == 0 ? 2 : 5);
        CU_ASSERT_FATAL(harness_open(&study, "matrix-filters.xml", sets));
        harness_run_ok(harness_job(&study, "zeros"), &(struct harness_options){.seed = 1}, &run);
        share[i] = (double)run.filtered.pushed / (double)run.filtered.numbers;
        rg_run_free(&run);
        rg_study_close(&study);
    }
    CU_ASSERT(share[0] < 0.6 && share[1] > 1.02 * share[0] && share[1] < 0.6);
}

/* Half of l1, where nothing else is said. */
static void delta_is_half_of_l1(void)
{
    struct rg_study study;
    CU_ASSERT_FATAL(
        harness_open(&study, "matrix-filters.xml", "nodes=5 l1=0.25 zeros.filters=kkt"));
    const struct rg_job *job = harness_job(&study, "zeros");
    CU_ASSERT_EQUAL(rg_server_plan(job)->filters.rest, 0.125);
    rg_study_close(&study);
}

/* What a worker adds to what it reads is what servers will have heard of it. */
static void own_writes_are_what_was_pushed(void)
{
    static const char *const filters[] = {"significant", "random-skip", "top-k,int8", "float16"};
    EACH(i, filters)
    {
        char sets[300];
        snprintf(sets, sizeof sets,
                 "nodes=3 optimizer=sgd bsp.servers=2 ssp-ahead.servers=2 bsp.filters=%s "
                 "ssp-ahead.filters=%s",
                 filters[i], filters[i]);
        same_digest("matrix-stale.xml", sets, "bsp", "ssp-ahead");
    }
}

static size_t moved(const struct rg_job *job)
{
    size_t count = job->network->parameters, n = 0;
    float *start = calloc(count, sizeof *start);
    float *end = harness_parameters(job, &(struct harness_options){.seed = 1}, NULL);
    CU_ASSERT_EQUAL(rg_network_init(job->network, 0, job->network->layer_count, job->seed, start),
                    0);
    for (size_t i = 0; i < count; i++)
        n += start[i] != end[i];
    free(start);
    free(end);
    return n;
}

/* What is skipped once goes some other time: of thirty pushes that each skip a half, none is left
 * out of all. */
static void each_clock_draws_anew(void)
{
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, "matrix-filters.xml", "nodes=2"));
    CU_ASSERT_EQUAL(moved(harness_job(&study, "skip")), moved(harness_job(&study, "plain")));
    rg_study_close(&study);
}

/* Messages and memory are those of the closed forms; bytes and numbers, too, where filters fix
 * them, and else no more. */
static void accounts_equal_forms(void)
{
    static const struct {
        int nodes;
        const char *sets;
    } cases[] = {{2, ""}, {5, ""}, {6, "all.servers=2 stale.servers=3 async.servers=2"}};
    EACH(i, cases)
    {
        struct rg_study study;
        char sets[200];
        snprintf(sets, sizeof sets, "nodes=%d %s", cases[i].nodes, cases[i].sets);
        CU_ASSERT_FATAL(harness_open(&study, "matrix-filters.xml", sets));
        for (int k = 0; k < study.job_count; k++) {
            const struct rg_job *job = &study.jobs[k];
            const struct rg_server_plan *plan = rg_server_plan(job);
            struct rg_prediction p = {0};
            struct rg_run run;
            uint64_t iterations = (uint64_t)job->iterations, n = job->network->parameters;
            job->strategy->predict(job, &p);
            harness_run_ok(job, &(struct harness_options){.seed = 7, .jitter = 0.5}, &run);
            CU_ASSERT_EQUAL(run.traffic.messages, p.messages * iterations);
            CU_ASSERT_EQUAL(run.memory_bytes.max_node, p.memory_bytes);
            CU_ASSERT_EQUAL(run.filtered.known, plan->filters.count > 0);
            CU_ASSERT(run.traffic.payload_bytes <= p.payload_bytes * iterations);
            CU_ASSERT(run.traffic.values <= p.values * iterations);
            if (plan->filters.count == 0 || plan->filters.fixed) {
                CU_ASSERT_EQUAL(run.traffic.payload_bytes, p.payload_bytes * iterations);
                CU_ASSERT_EQUAL(run.traffic.values, p.values * iterations);
            } else {
                CU_ASSERT_PTR_NOT_NULL(p.holds);
            }
            if (run.filtered.known) {
                uint64_t pulls = (uint64_t)plan->workers * n * iterations, pairs, small;
                pairs = (uint64_t)plan->workers * (uint64_t)plan->servers * iterations;
                small = plan->in_step ? 0 : 16 * pairs;
                CU_ASSERT_EQUAL(run.filtered.numbers, pulls);
                CU_ASSERT_EQUAL(run.filtered.pushed, run.traffic.values - pulls);
                CU_ASSERT_EQUAL(run.filtered.bytes, run.traffic.payload_bytes - 4 * pulls - small);
                CU_ASSERT_EQUAL(run.filtered.saved_bytes,
                                4 * (double)pulls - (double)run.filtered.bytes);
            }
            for (int rank = 0; rank < job->nodes; rank++) {
                uint64_t kept = rank >= plan->servers ? (uint64_t)job->data->train : 0;
                uint64_t samples = kept * (4 * job->data->inputs + 1 + 4);
                uint64_t tests =
                    rank == 0 ? (uint64_t)job->data->test * (4 * job->data->inputs + 1) : 0;
                CU_ASSERT_EQUAL(run.per_node[rank].memory_bytes,
                                job->strategy->memory(job, rank) + samples + tests);
            }
            rg_run_free(&run);
        }
        rg_study_close(&study);
    }
}

/* In step it is the same whatever the timing; in any consistency staleness stays in its bound, and
 * every push is applied once. */
static void timing_changes_no_bit_in_step(void)
{
    struct rg_study study;
    uint64_t first, count;
    seeds(&first, &count);
    CU_ASSERT_FATAL(harness_open(&study, "matrix-filters.xml", "nodes=5 all.servers=2"));
    for (int k = 0; k < study.job_count; k++) {
        const struct rg_job *job = &study.jobs[k];
        const struct rg_server_plan *plan = rg_server_plan(job);
        char digest[RG_COUNT(((struct rg_run *)0)->weights_sha256)] = "";
        for (uint64_t seed = first; seed < first + RG_MAX(count / 5, 1); seed++) {
            struct rg_run run;
            harness_run_ok(
                job, &(struct harness_options){.seed = seed, .jitter = (double)(seed % 4) * 2},
                &run);
            if (plan->in_step && digest[0])
                CU_ASSERT_STRING_EQUAL(digest, run.weights_sha256);
            snprintf(digest, sizeof digest, "%s", run.weights_sha256);
            if (plan->consistency == RG_SSP)
                CU_ASSERT(run.staleness <= plan->ahead);
            if (!plan->in_step)
                CU_ASSERT_EQUAL(run.late.gradients, (uint64_t)plan->workers *
                                                        (uint64_t)plan->servers *
                                                        (uint64_t)job->iterations);
            rg_run_free(&run);
        }
    }
    rg_study_close(&study);
}

static void what_does_not_fit_is_refused(void)
{
    static const char *const cases[][2] = {
        {"plain.filters=signifcant", "did you mean \"significant\"?"},
        {"plain.filters=zeros,zeros", "zeros stands there twice"},
        {"plain.filters=", "int8 are allowed, or none"},
        {"plain.filters=float16,top-k", "top-k chooses numbers: it stands before"},
        {"plain.filters=float16,int8", "float16 or int8 is allowed, not both"},
        {"plain.filters=kkt", "l1 above 0 is wanted"},
        {"plain.filters=kkt l1=1 network=" RG_SOURCE_DIR "/tests/data/layers-net.xml inputs=48",
         "running statistics, which l1 does not keep at 0 but kkt would"},
        {"plain.filters=float16,kkt l1=1", "kkt chooses numbers: it stands before"},
        {"plain.filters=kkt l1=0.5 plain.delta=0.6", "delta=\"0.6\" is above l1=\"0.5\": 0 to l1"},
        {"plain.delta=0.6 l1=1", "delta=\"0.6\" is for filters=\"kkt\""},
        {"l1=0.1 optimizer=adam", "sgd, momentum and adagrad are allowed"},
        {"plain.filters=key-cache", "key-cache is for those that choose numbers"},
        {"plain.threshold=0.5", "threshold=\"0.5\" is for filters=\"significant\""},
        {"plain.skip=0.5", "skip=\"0.5\" is for filters=\"random-skip\""},
        {"plain.keep=5", "keep=\"5\" is for filters=\"top-k\""},
        {"skip.skip=1", "from 0 up to 0.999"},
        {"significant.threshold=-1", "from 0 up to 1e+06"}};
    EACH(i, cases)
    {
        char sets[300];
        snprintf(sets, sizeof sets, "nodes=5 %s", cases[i][0]);
        harness_refuses("matrix-filters.xml", sets, cases[i][1]);
    }
    harness_refuses("matrix.xml", "nodes=3 l1=0.1 compensate=yes",
                    "l1=\"0.1\" is for training without compensate");
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"significant numbers go", significant_numbers_go},
        {"the largest go of what is left", the_largest_go_of_what_is_left},
        {"what is at rest is dropped", what_is_at_rest_is_dropped},
        {"places are told in few bytes", places_are_told_in_few_bytes},
        {"known places are not told again", known_places_are_not_told_again},
        {"chance is of the place", chance_is_of_the_place},
        {"sums are whole", sums_are_whole},
        {"what is no number is said", what_is_no_number_is_said},
        {"wrong bytes are refused", wrong_bytes_are_refused},
        {"runs stay in their range", runs_stay_in_their_range},
        {"off is without", off_is_without},
        {"kkt changes no bit where it knows", kkt_changes_no_bit_where_it_knows},
        {"kkt of one worker is as good out of step", kkt_of_one_worker_is_as_good_out_of_step},
        {"estimates are of the whole gradient", estimates_are_of_the_whole_gradient},
        {"delta is half of l1", delta_is_half_of_l1},
        {"each clock draws anew", each_clock_draws_anew},
        {"own writes are what was pushed", own_writes_are_what_was_pushed},
        {"accounts equal forms", accounts_equal_forms},
        {"timing changes no bit in step", timing_changes_no_bit_in_step},
        {"what does not fit is refused", what_does_not_fit_is_refused},
    };
    rg_blas_setup(argv);
    return suite_main("filters", tests, sizeof tests / sizeof *tests, argc, argv);
}
