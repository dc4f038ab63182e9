/* Collectives on their own: the sums of the ring all-reduce, and its dates to the last send; what
 * a broadcast brings. */
#include "collectives/collectives.h"

#include "base/check.h"
#include "base/random.h"
#include "support/suite.h"
#include "world/world_mem.h"
#include <math.h>

#define TRANSFER 4.0 /* seconds that a float occupies its connection */
#define LATENCY  1.0
#define EXACT    1e-12

enum { TAG = RG_TAG_USER, MOST = 9 };

/* ---- one run after another ---- */

struct notes {
    double first_s[2], second_s[2]; /* when each member's runs ended */
    bool leaving;                   /* member 1's last send, as its first run ended */
    float sums[2][2];
};

/* A sum of one float, and at once a sum of two. */
static int two_sums(struct rg_world *w, void *arg)
{
    struct notes *notes = arg;
    struct rg_allreduce reduce;
    float one = 1 + (float)w->rank, two[2] = {10 + (float)w->rank, 20 + (float)w->rank};
    w->mem = rg_mem_new(RG_MEM_REAL);
    int result = rg_allreduce_open(&reduce, w, (struct rg_group){0, 1, 2}, RG_ROUND_A_RING, 2, TAG);
    if (result == 0)
        result = rg_allreduce_run(&reduce, w, &one, 1);
    notes->first_s[w->rank] = rg_now(w);
    if (w->rank == 1)
        notes->leaving = reduce.out[1].status == RG_PENDING;
    CU_ASSERT_EQUAL(one, 3);
    if (result == 0)
        result = rg_allreduce_run(&reduce, w, two, 2);
    notes->second_s[w->rank] = rg_now(w);
    memcpy(notes->sums[w->rank], two, sizeof two);
    if (result == 0)
        result = rg_allreduce_settle(&reduce);
    rg_mem_free(w->mem);
    return result;
}

/* Two members; a float takes s to leave and arrives L later, adding takes no time. Of one float
 * chunk 0 has it and chunk 1 is empty; of two each chunk has one. Member i begins with chunk i.
 *
 * First run. Member 0's chunk 0 leaves in 0..s and is there at s + L; then member 1 sends the sum
 * back, in s + L..2s + L, there at 2s + 2L. Empty chunks wait for nothing but their turn. Member 1
 * has its sum at s + L, while its last send is under way for another s + L; member 0 at 2s + 2L.
 *
 * Second run. Member 1 queues its chunk 1 at s + L: it leaves right behind the sum, in
 * 2s + L..3s + L, there at 3s + 2L. Member 0 begins at 2s + 2L: chunk 0 is there at 3s + 3L; it has
 * chunk 1 at 3s + 2L and sends that sum behind its chunk 0, in 3s + 2L..4s + 2L, there at 4s + 3L,
 * where member 1 is done. Member 1 sends the sum of chunk 0 in 3s + 3L..4s + 3L: member 0 is done
 * at 4s + 4L.
 *
 * Were the second run to wait for the first one's last send, chunk 1 would leave only at 2s + 2L,
 * and member 1 be done at 4s + 4L too. */
static void no_run_waits_for_the_send_before(void)
{
    const double s = TRANSFER, l = LATENCY;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct notes notes = {0};
        int results[2];
        const struct rg_mem_world_options world = {
            .size = 2, .seed = seed, .byte_s = s / sizeof(float), .latency_s = l};
        CU_ASSERT_EQUAL(rg_mem_world_run(&world, two_sums, &notes, results), 0);
        CU_ASSERT(results[0] == 0 && results[1] == 0);
        CU_ASSERT(notes.leaving);
        CU_ASSERT_DOUBLE_EQUAL(notes.first_s[1], s + l, EXACT);
        CU_ASSERT_DOUBLE_EQUAL(notes.first_s[0], 2 * s + 2 * l, EXACT);
        CU_ASSERT_DOUBLE_EQUAL(notes.second_s[1], 4 * s + 3 * l, EXACT);
        CU_ASSERT_DOUBLE_EQUAL(notes.second_s[0], 4 * s + 4 * l, EXACT);
        for (int rank = 0; rank < 2; rank++)
            CU_ASSERT(notes.sums[rank][0] == 21 && notes.sums[rank][1] == 41);
    }
}

/* ---- sums ---- */

enum { RUNS = 3 };

struct sums {
    struct rg_algorithm how;
    size_t count;
    bool afresh; /* new values for every run; else it sums what the one before has left */
};

static void fill(float *data, size_t count, float value)
{
    for (size_t i = 0; i < count; i++)
        data[i] = value;
}

/* Rank r begins with 2^r everywhere: n ranks have 2^n - 1 together. That summed again, which all
 * hold by then, is n times as much. */
static int sum_again(struct rg_world *w, void *arg)
{
    const struct sums *sums = arg;
    const float own = (float)(1 << w->rank), all = (float)((1 << w->size) - 1);
    struct rg_allreduce reduce;
    float data[2 * MOST + 1], want = all;
    w->mem = rg_mem_new(RG_MEM_REAL);
    int result = rg_allreduce_open(&reduce, w, (struct rg_group){0, 1, w->size}, sums->how,
                                   sums->count, TAG);
    fill(data, sums->count, own);
    for (int run = 0; run < RUNS && result == 0; run++) {
        result = rg_allreduce_run(&reduce, w, data, sums->count);
        int wrong = 0;
        for (size_t i = 0; i < sums->count; i++)
            wrong += data[i] != want;
        CU_ASSERT_EQUAL(wrong, 0);
        want = sums->afresh ? all : want * (float)w->size;
        if (result == 0 && sums->afresh) {
            result = rg_allreduce_settle(&reduce);
            fill(data, sums->count, own);
        }
    }
    if (result == 0)
        result = rg_allreduce_settle(&reduce);
    CU_ASSERT_EQUAL(rg_mem_bytes(w->mem),
                    rg_allreduce_memory(sums->how, w->size, reduce.me, sums->count));
    rg_mem_free(w->mem);
    return result;
}

/* From no float to two for each member and one, on connections whose messages take what they like.
 */
static void sum_often_by(struct rg_algorithm how, bool afresh)
{
    for (int n = 1; n <= MOST; n++)
        for (size_t count = 0; count <= 2 * (size_t)n + 1; count++)
            for (uint64_t seed = 0; seed < (n <= 5 ? 6 : 2); seed++) {
                if (how.kind == RG_HIERARCHICAL && n % how.inner)
                    continue;
                struct sums sums = {how, count, afresh};
                int results[MOST];
                const struct rg_mem_world_options world = {
                    .size = n, .seed = seed, .byte_s = 1, .latency_s = 2, .jitter_s = 5};
                CU_ASSERT_EQUAL(rg_mem_world_run(&world, sum_again, &sums, results), 0);
                for (int rank = 0; rank < n; rank++)
                    CU_ASSERT_EQUAL(results[rank], 0);
            }
}

static const struct rg_algorithm all[] = {
    {RG_RING, 0},         {RG_TREE, 0},         {RG_HALVING, 0}, {RG_HIERARCHICAL, 1},
    {RG_HIERARCHICAL, 2}, {RG_HIERARCHICAL, 3}, {RG_DOUBLING, 0}};

static void sum_often(bool afresh)
{
    for (size_t i = 0; i < RG_COUNT(all); i++)
        sum_often_by(all[i], afresh);
}

static void sums_are_whole(void)
{
    sum_often(true);
}

/* What is still leaving is not overwritten by the additions of the next run. */
static void sums_of_sums_are_whole(void)
{
    sum_often(false);
}

/* ---- the order of additions ---- */

enum { FLOATS = 37 };

/* Numbers whose sum depends on the order in which they are added. */
static float value_of(int rank, size_t i)
{
    uint64_t drawn = rg_mix64((uint64_t)rank * 1000 + i) >> 40;
    return ldexpf((float)drawn, (int)(i + (size_t)rank) % 5 - 24);
}

/* Of members first, first + stride, ..., n of them, beginning with number `start`. */
static float in_turn(const float *values, int n, int start)
{
    float sum = values[start % n];
    for (int k = 1; k < n; k++)
        sum += values[(start + k) % n];
    return sum;
}

static float in_pairs(const float *values, int n)
{
    int reach = 1;
    while (2 * reach < n)
        reach *= 2;
    return n == 1 ? values[0] : in_pairs(values, reach) + in_pairs(values + reach, n - reach);
}

/* Members beyond a power of two are taken in by those of odd numbers first. */
static float folded(const float *values, int n)
{
    float core[MOST];
    int power = 1, paired;
    while (2 * power <= n)
        power *= 2;
    paired = n - power;
    for (int i = 0; i < power; i++)
        core[i] = i < paired ? values[2 * i] + values[2 * i + 1] : values[i + paired];
    return in_pairs(core, power);
}

/* Which of n chunks has float i of `count`; *first: where it begins, *size. Larger ones first. */
static int chunk_with(size_t i, size_t count, int n, size_t *first, size_t *size)
{
    size_t each = count / (size_t)n, more = count % (size_t)n;
    int c = 0;
    *first = 0;
    for (*size = each + (more > 0); i >= *first + *size; *size = each + ((size_t)++c < more))
        *first += *size;
    return c;
}

static float want_of(struct rg_algorithm how, int n, size_t i)
{
    float values[MOST], sums[MOST] = {0}; /* gcc 14 does not see that a group is there */
    size_t first, size;
    for (int r = 0; r < n; r++)
        values[r] = value_of(r, i);
    if (how.kind == RG_TREE)
        return in_pairs(values, n);
    if (how.kind == RG_HALVING || how.kind == RG_DOUBLING)
        return folded(values, n);
    if (how.kind == RG_RING)
        return in_turn(values, n, chunk_with(i, FLOATS, n, &first, &size));
    int c = chunk_with(i, FLOATS, how.inner, &first, &size), groups = n / how.inner;
    for (int g = 0; g < groups; g++)
        sums[g] = in_turn(values + g * how.inner, how.inner, c);
    return in_turn(sums, groups, chunk_with(i - first, size, groups, &first, &size));
}

struct order {
    struct rg_algorithm how;
    float sums[MOST][FLOATS];
};

static int sum_in_order(struct rg_world *w, void *arg)
{
    struct order *order = arg;
    struct rg_allreduce reduce;
    float *data = order->sums[w->rank];
    for (size_t i = 0; i < FLOATS; i++)
        data[i] = value_of(w->rank, i);
    w->mem = rg_mem_new(RG_MEM_REAL);
    int result =
        rg_allreduce_open(&reduce, w, (struct rg_group){0, 1, w->size}, order->how, FLOATS, TAG);
    if (result == 0)
        result = rg_allreduce_run(&reduce, w, data, FLOATS);
    if (result == 0)
        result = rg_allreduce_settle(&reduce);
    struct rg_load sent = {0}, received = {0};
    rg_allreduce_loads(order->how, w->size, w->rank, FLOATS, &sent, &received);
    CU_ASSERT(w->count.messages == sent.messages && w->count.bytes_sent == sent.payload);
    CU_ASSERT(w->count.messages_received == received.messages);
    CU_ASSERT_EQUAL(w->count.bytes_received, received.payload);
    rg_mem_free(w->mem);
    return result;
}

static void add_flow(void *arg, const struct rg_traffic *flow)
{
    struct rg_load *sum = arg;
    sum->messages += flow->messages;
    sum->payload += flow->payload;
}

/* All members have the same bits, which are those of the order that is promised; what they send is
 * what the forms say. */
static void orders_are_as_promised(void)
{
    for (size_t a = 0; a < RG_COUNT(all); a++)
        for (int n = 1; n <= MOST; n++)
            for (uint64_t seed = 0; seed < 5; seed++) {
                if (all[a].kind == RG_HIERARCHICAL && n % all[a].inner)
                    continue;
                struct order order = {.how = all[a]};
                int results[MOST];
                const struct rg_mem_world_options world = {
                    .size = n, .seed = seed, .byte_s = 1, .latency_s = 2, .jitter_s = 300};
                CU_ASSERT_EQUAL(rg_mem_world_run(&world, sum_in_order, &order, results), 0);
                int wrong = 0;
                for (size_t i = 0; i < FLOATS; i++)
                    for (int rank = 0; rank < n; rank++)
                        wrong += order.sums[rank][i] != want_of(all[a], n, i);
                CU_ASSERT_EQUAL(wrong, 0);
                uint64_t messages = 0, values = 0;
                struct rg_load flows = {0};
                rg_allreduce_traffic(all[a], n, FLOATS, &messages, &values);
                rg_allreduce_flows(all[a], (struct rg_group){0, 1, n}, FLOATS, add_flow, &flows);
                CU_ASSERT(messages == flows.messages && values * 4 == flows.payload);
            }
}

/* ---- broadcast ---- */

static int tell_all(struct rg_world *w, void *arg)
{
    const int *root = arg;
    int value = w->rank == *root ? 100 : -1;
    int result =
        rg_broadcast(w, (struct rg_group){0, 1, w->size}, *root, &value, sizeof value, TAG);
    CU_ASSERT_EQUAL(value, 100);
    return result;
}

/* A message takes 1 s; of n ranks twice as many know it after each second: ceil(log2 n) seconds. */
static void broadcasts_reach_all(void)
{
    static const int seconds[] = {0, 0, 1, 2, 2, 3, 3, 3, 3, 4};
    for (int n = 1; n < (int)RG_COUNT(seconds); n++)
        for (int root = 0; root < n; root++) {
            int results[RG_COUNT(seconds)];
            double end_s = -1;
            const struct rg_mem_world_options world = {
                .size = n, .seed = (uint64_t)root, .latency_s = 1, .end_s = &end_s};
            CU_ASSERT_EQUAL(rg_mem_world_run(&world, tell_all, &root, results), 0);
            for (int rank = 0; rank < n; rank++)
                CU_ASSERT_EQUAL(results[rank], 0);
            CU_ASSERT_DOUBLE_EQUAL(end_s, seconds[n], EXACT);
        }
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"no run waits for the send of the one before", no_run_waits_for_the_send_before},
        {"sums are whole", sums_are_whole},
        {"sums of sums are whole", sums_of_sums_are_whole},
        {"sums are in the order that is promised", orders_are_as_promised},
        {"broadcasts reach all", broadcasts_reach_all},
    };
    return suite_main("collectives", tests, sizeof tests / sizeof *tests, argc, argv);
}
