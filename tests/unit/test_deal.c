/* Which node gets which training samples. */
#include "models/deal.h"
#include "models_fixture.h"

static struct rg_data_spec digits(int train, enum rg_rows_kind rows)
{
    return (struct rg_data_spec){DATA("digits"), .train = train,       .test = 10, .rows = rows,
                                 .shards = 2,    .concentration = 0.5, .seed = 5};
}

static struct rg_deal deal(const struct rg_data_spec *spec, int parts)
{
    struct rg_dataset data;
    struct rg_deal made;
    struct rg_error e = {0};
    CU_ASSERT_FATAL(rg_dataset_probe(spec, &data, &e) == 0);
    int err = rg_deal_make(spec, &data, parts, &made, &e);
    if (err)
        fprintf(stderr, "%s\n", e.text);
    CU_ASSERT_FATAL(err == 0);
    rg_dataset_free(&data);
    return made;
}

/* Every sample has one owner, who has one at least; lists are ascending. */
static void expect_whole(const struct rg_deal *d, int train)
{
    bool *seen = calloc((size_t)train, sizeof *seen);
    CU_ASSERT_EQUAL(d->first[0], 0);
    CU_ASSERT_EQUAL(d->first[d->parts], (uint32_t)train);
    for (int part = 0; part < d->parts; part++) {
        const uint32_t *list = rg_deal_samples(d, part);
        CU_ASSERT(rg_deal_count(d, part) > 0);
        for (int i = 0; i < rg_deal_count(d, part); i++) {
            CU_ASSERT_FATAL(list[i] < (uint32_t)train && !seen[list[i]]);
            CU_ASSERT(i == 0 || list[i - 1] < list[i]);
            seen[list[i]] = true;
        }
    }
    free(seen);
}

static void every_sample_has_one_owner(void)
{
    static const int parts[] = {1, 2, 3, 7, 20};
    for (int rows = RG_ROWS_ORDER; rows <= RG_ROWS_DIRICHLET; rows++)
        for (size_t i = 0; i < RG_COUNT(parts); i++) {
            struct rg_data_spec spec = digits(997, (enum rg_rows_kind)rows);
            struct rg_deal a = deal(&spec, parts[i]), b = deal(&spec, parts[i]);
            expect_whole(&a, spec.train);
            CU_ASSERT(memcmp(a.sample, b.sample, 997 * sizeof *a.sample) == 0);
            CU_ASSERT(memcmp(a.first, b.first, ((size_t)parts[i] + 1) * sizeof *a.first) == 0);
            for (int part = 0; part < parts[i] && rows != RG_ROWS_DIRICHLET; part++) {
                int each = 997 / parts[i], most = rows == RG_ROWS_LABELS ? 2 : 1;
                CU_ASSERT(abs(rg_deal_count(&a, part) - each) <= most);
            }
            rg_deal_free(&a);
            rg_deal_free(&b);
        }
}

static void order_keeps_neighbours_together(void)
{
    struct rg_data_spec spec = digits(10, RG_ROWS_ORDER);
    struct rg_deal d = deal(&spec, 3);
    static const uint32_t first[] = {0, 3, 6, 10};
    CU_ASSERT(memcmp(d.first, first, sizeof first) == 0);
    for (uint32_t i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(d.sample[i], i);
    rg_deal_free(&d);
}

/* Another seed, another deal; halves of a shuffle hold as many of the first half as of the second,
 * within 4 deviations (hypergeometric: 1000 draws of 2000, half of them of one kind). */
static void a_shuffle_is_of_the_seed(void)
{
    struct rg_data_spec spec = digits(2000, RG_ROWS_SHUFFLE);
    struct rg_deal a = deal(&spec, 2);
    spec.seed++;
    struct rg_deal b = deal(&spec, 2);
    CU_ASSERT(memcmp(a.sample, b.sample, 2000 * sizeof *a.sample) != 0);
    int low = 0;
    for (int i = 0; i < rg_deal_count(&a, 0); i++)
        low += rg_deal_samples(&a, 0)[i] < 1000;
    CU_ASSERT(abs(low - 500) < 4 * sqrt(1000 * 0.25 * 1000 / 1999));
    rg_deal_free(&a);
    rg_deal_free(&b);
}

static int labels_of(const struct rg_deal *d, int part)
{
    int labels = 0;
    for (int i = 0; i < rg_deal_count(d, part); i++)
        labels |= 1 << rg_deal_samples(d, part)[i] % 10; /* as digits are made */
    return __builtin_popcount((unsigned)labels);
}

/* 10 of each of 10 digits in 10 shards: a shard is one digit, and nodes have two each. */
static void shards_are_of_one_label(void)
{
    struct rg_data_spec spec = digits(100, RG_ROWS_LABELS);
    struct rg_deal d = deal(&spec, 5);
    bool neighbours = true;
    for (int part = 0; part < 5; part++) {
        CU_ASSERT_EQUAL(labels_of(&d, part), 2);
        int low = (int)(rg_deal_samples(&d, part)[0] % 10), high = low;
        for (int i = 0; i < 20; i++) {
            int digit = (int)(rg_deal_samples(&d, part)[i] % 10);
            low = RG_MIN(low, digit), high = RG_MAX(high, digit);
        }
        neighbours = neighbours && high == low + 1;
    }
    CU_ASSERT(!neighbours); /* which shards a node gets is drawn */
    rg_deal_free(&d);
    spec.shards = 1;
    d = deal(&spec, 10);
    for (int part = 0; part < 10; part++)
        CU_ASSERT_EQUAL(labels_of(&d, part), 1);
    rg_deal_free(&d);
}

/* Of shares p drawn from a symmetric Dirichlet distribution of K parts with concentration a,
 * E[sum p^2] = (a + 1) / (K a + 1). 20 seeds of 10 classes each; the deviation of one sum of
 * squares is below 0.25, that of the mean of 200 below 0.018. */
static void shares_are_of_the_distribution(void)
{
    static const double concentrations[] = {0.3, 1, 100};
    enum { K = 4, TRAIN = 10000, SEEDS = 20 };
    for (size_t c = 0; c < RG_COUNT(concentrations); c++) {
        double a = concentrations[c], mean = 0;
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            struct rg_data_spec spec = digits(TRAIN, RG_ROWS_DIRICHLET);
            spec.concentration = a;
            spec.seed = seed;
            struct rg_deal d = deal(&spec, K);
            int count[K][10] = {0};
            for (int part = 0; part < K; part++)
                for (int i = 0; i < rg_deal_count(&d, part); i++)
                    count[part][rg_deal_samples(&d, part)[i] % 10]++;
            for (int part = 0; part < K; part++)
                for (int digit = 0; digit < 10; digit++)
                    mean += pow(count[part][digit] / (TRAIN / 10.0), 2) / (10 * SEEDS);
            rg_deal_free(&d);
        }
        CU_ASSERT_DOUBLE_EQUAL(mean, (a + 1) / (K * a + 1), 3 * 0.018);
    }
}

static void refuses(const struct rg_data_spec *spec, int parts, const char *words)
{
    struct rg_dataset data;
    struct rg_deal d;
    struct rg_error e = {0};
    CU_ASSERT_FATAL(rg_dataset_probe(spec, &data, &e) == 0);
    CU_ASSERT_EQUAL(rg_deal_make(spec, &data, parts, &d, &e), RG_ERR_INVALID);
    CU_ASSERT(strstr(e.text, words) != NULL);
    CU_ASSERT(d.sample == NULL && d.first == NULL);
    rg_dataset_free(&data);
}

static void nobody_is_left_without(void)
{
    struct rg_data_spec spec = digits(6, RG_ROWS_ORDER);
    refuses(&spec, 7, "6 training samples leave node 0 of 7");
    spec.rows = RG_ROWS_SHUFFLE;
    refuses(&spec, 7, "fewer nodes, more samples are allowed");
    spec.rows = RG_ROWS_LABELS;
    refuses(&spec, 4, "6 training samples make up to 1 each");
    spec.rows = RG_ROWS_DIRICHLET;
    spec.concentration = 0.01;
    refuses(&spec, 6, "a larger concentration or another seed");
    spec.rows = RG_ROWS_ORDER;
    struct rg_deal d = deal(&spec, 6);
    expect_whole(&d, 6);
    rg_deal_free(&d);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"every sample has one owner", every_sample_has_one_owner},
        {"order keeps neighbours together", order_keeps_neighbours_together},
        {"a shuffle is of the seed", a_shuffle_is_of_the_seed},
        {"shards are of one label", shards_are_of_one_label},
        {"shares are of the distribution", shares_are_of_the_distribution},
        {"nobody is left without", nobody_is_left_without},
    };
    return suite_main("deal", tests, sizeof tests / sizeof *tests, argc, argv);
}
