/* Joules of logs that are read after the run, and of nodes that share a meter, by hand. */
#include "node/node_parts.h"

#include "base/check.h"
#include "support/suite.h"
#include <math.h>

/* ---- sections of a log ---- */

enum { SECTIONS = 2 };

static const struct rg_energy logged[SECTIONS] = {
    {.total_J = 10, .idle_J = 4, .variance_J2 = 1, .samples = 3},
    {.total_J = 20, .idle_J = 6, .variance_J2 = 2, .samples = 5}};

/* A log that knows the sections 100..102 and 200..203 of rank 0's clock. */
static bool settle(struct rg_world *w, double begin, double end, const struct rg_clock_map *clocks,
                   struct rg_energy *section)
{
    (void)w, (void)clocks;
    int i = begin == 200;
    CU_ASSERT(i ? begin == 200 && end == 203 : begin == 100 && end == 102);
    *section = logged[i];
    section->source = "csv";
    return true;
}

/* 10 J, then 20 J more: 30 J, of which 4 + 6 = 10 idle; variances add up as well. */
static void sections_add_up(void)
{
    const struct rg_world_ops ops = {.settle = settle};
    struct rg_world w = {.ops = &ops, .size = 1};
    struct pause pauses[SECTIONS] = {{.done = 1}, {.done = 2}};
    struct rg_clock_section common[SECTIONS] = {{100, 102}, {200, 203}};
    struct node n = {.w = &w, .pauses = pauses, .pause_count = SECTIONS, .common = common};
    rg_node_settle(&n);
    CU_ASSERT_EQUAL(n.energy.total_J, 30);
    CU_ASSERT_EQUAL(n.energy.idle_J, 10);
    CU_ASSERT_EQUAL(n.energy.variance_J2, 3);
    CU_ASSERT_EQUAL(n.energy.samples, 8);
    CU_ASSERT_STRING_EQUAL(n.energy.source, "csv");
    CU_ASSERT_EQUAL(pauses[0].total_J, 10);
    CU_ASSERT_EQUAL(pauses[1].total_J, 30);
}

/* ---- the meters of all nodes ---- */

/* Ranks 0 and 2 are one machine; 3 has another's meter; 4 and 5 do not know where they are. */
static void a_machine_counts_once(void)
{
    static const struct {
        uint64_t machine;
        bool counts;
    } ranks[] = {{7, true}, {9, true}, {7, false}, {RG_MACHINE_OTHER, false}, {0, true}, {0, true}};
    uint64_t machines[RG_COUNT(ranks)] = {0};
    struct node n = {.machines = machines};
    for (size_t rank = 0; rank < RG_COUNT(ranks); rank++)
        CU_ASSERT_EQUAL(rg_node_counts(&n, (int)rank, ranks[rank].machine), ranks[rank].counts);
}

/* What a rank tells rank 0 of its meter. */
static struct rg_run metered(int rank, double longest_s, double idle_W,
                             const struct rg_energy *energy)
{
    struct rg_meter_facts facts = {.interval_s = 0.1, .longest_s = longest_s, .idle_W = idle_W};
    struct rg_world w = {.rank = rank, .size = 2};
    struct node n = {.w = &w, .energy = *energy};
    struct rg_run own;
    rg_run_init(&own);
    CU_ASSERT_FATAL(rg_run_make_nodes(&own, 1) == 0);
    n.energy.meter = &facts;
    n.energy.source = "rapl";
    rg_node_account_meter(&n, &own);
    return own;
}

/* 30 J, of which 10 idle, give or take 3 J; and 50 J, of which 20, give or take 4 J: together 80 J
 * give or take sqrt(9 + 16) = 5 J, 20 + 30 = 50 J of them above idle. */
static void meters_add_up(void)
{
    struct rg_run sum;
    struct rg_run first =
        metered(0, 0.2, 2,
                &(struct rg_energy){.total_J = 30, .idle_J = 10, .variance_J2 = 9, .samples = 10});
    struct rg_run second =
        metered(1, 0.5, 3,
                &(struct rg_energy){.total_J = 50, .idle_J = 20, .variance_J2 = 16, .samples = 10});
    rg_run_init(&sum);
    rg_run_add_node(&sum, &first);
    rg_run_add_node(&sum, &second);
    CU_ASSERT(sum.meter.known);
    CU_ASSERT_EQUAL(sum.meter.nodes, 2);
    CU_ASSERT_EQUAL(sum.meter.samples, 20);
    CU_ASSERT_EQUAL(sum.meter.longest_s, 0.5);
    CU_ASSERT_EQUAL(sum.meter.idle_W, 5);
    CU_ASSERT_EQUAL(sum.meter.above_idle_J, 50);
    CU_ASSERT_DOUBLE_EQUAL(sum.meter.uncertainty_J, 5, 1e-12);
    CU_ASSERT_STRING_EQUAL(sum.meter.source, "rapl");
    CU_ASSERT_EQUAL(first.per_node[0].meter.above_idle_J, 20);
    CU_ASSERT_DOUBLE_EQUAL(second.per_node[0].meter.uncertainty_J, 4, 1e-12);
    rg_run_free(&first);
    rg_run_free(&second);
    rg_run_free(&sum);
}

/* Two ranks on one machine tell the same 30 J: they count once, and the second has none of its own.
 */
static void shared_joules_count_once(void)
{
    const struct rg_energy seen = {.total_J = 30, .idle_J = 10, .samples = 10};
    uint64_t machines[2] = {0};
    struct node n = {.machines = machines};
    struct rg_run sum;
    rg_run_init(&sum);
    sum.energy_J = (struct rg_run_energy){0};
    for (int rank = 0; rank < 2; rank++) {
        struct rg_run own = metered(rank, 0.2, 2, &seen);
        own.energy_J.total = own.per_node[0].energy_J = 30;
        own.energy_J.idle = 10;
        own.energy_J.compute = own.energy_J.network = own.energy_J.switches = NAN;
        rg_node_count_energy(&n, rank, 7, &own);
        rg_run_add_node(&sum, &own);
        CU_ASSERT(rank ? isnan(own.per_node[0].energy_J) : own.per_node[0].energy_J == 30);
        CU_ASSERT_EQUAL(own.per_node[0].meter.known, rank == 0);
        rg_run_free(&own);
    }
    CU_ASSERT_EQUAL(sum.energy_J.total, 30);
    CU_ASSERT_EQUAL(sum.energy_J.idle, 10);
    CU_ASSERT(isnan(sum.energy_J.compute));
    CU_ASSERT_EQUAL(sum.meter.nodes, 1);
    CU_ASSERT_EQUAL(sum.meter.above_idle_J, 20);
    rg_run_free(&sum);
}

/* A meter that failed: its node says why, the run says whose it is. A rank whose joules another
 * rank's meter has says nothing. */
static void failures_are_named(void)
{
    struct rg_meter_facts facts = {.error = "no such file"};
    struct rg_world w = {.rank = 3, .size = 4};
    struct node n = {.w = &w, .energy = {.total_J = NAN, .idle_J = NAN, .variance_J2 = 4}};
    struct rg_run own;
    n.energy.meter = &facts;
    n.energy.source = "rapl";
    for (int other = 0; other < 2; other++) {
        facts.machine = other ? RG_MACHINE_OTHER : 0;
        rg_run_init(&own);
        CU_ASSERT_FATAL(rg_run_make_nodes(&own, 1) == 0);
        rg_node_account_meter(&n, &own);
        CU_ASSERT_EQUAL(own.meter.known, !other);
        CU_ASSERT_EQUAL(own.per_node[0].meter.known, !other);
        if (!other) {
            CU_ASSERT_STRING_EQUAL(own.per_node[0].meter.error, "no such file");
            CU_ASSERT_STRING_EQUAL(own.meter.error, "rank 3: no such file");
            CU_ASSERT(isnan(own.meter.uncertainty_J) && isnan(own.meter.above_idle_J));
        }
        rg_run_free(&own);
    }
}

/* Parts that are known add up to the total; where one is not, the totals do. */
static void joules_add_up(void)
{
    struct rg_run sum, node;
    rg_run_init(&sum);
    rg_run_init(&node);
    sum.energy_J = (struct rg_run_energy){.idle = 1, .total = 1};
    node.energy_J =
        (struct rg_run_energy){.total = 14, .idle = 2, .compute = 3, .network = 4, .switches = 5};
    rg_run_add_node(&sum, &node);
    CU_ASSERT_EQUAL(sum.energy_J.idle, 3);
    CU_ASSERT_EQUAL(sum.energy_J.compute, 3);
    CU_ASSERT_EQUAL(sum.energy_J.network, 4);
    CU_ASSERT_EQUAL(sum.energy_J.switches, 5);
    CU_ASSERT_EQUAL(sum.energy_J.total, 15);
    node.energy_J.compute = NAN;
    rg_run_add_node(&sum, &node);
    CU_ASSERT(isnan(sum.energy_J.compute));
    CU_ASSERT_EQUAL(sum.energy_J.total, 29);
    rg_run_free(&sum);
    rg_run_free(&node);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"sections of a log add up", sections_add_up},
        {"a machine counts once", a_machine_counts_once},
        {"meters add up", meters_add_up},
        {"joules of a shared meter count once", shared_joules_count_once},
        {"failures are named", failures_are_named},
        {"joules add up", joules_add_up},
    };
    return suite_main("node_energy", tests, RG_COUNT(tests), argc, argv);
}
