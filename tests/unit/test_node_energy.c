/* Joules of logs that are read after the run, and of nodes that share a meter, by hand. */
#include "node/node_parts.h"

#include "base/check.h"
#include "support/suite.h"
#include <math.h>
#include <string.h>

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

static struct report metered(double total_J, double idle_J, double idle_W, double variance_J2)
{
    struct report r = {.metered = true,
                       .interval_s = 0.1,
                       .longest_s = 0.2,
                       .idle_W = idle_W,
                       .variance_J2 = variance_J2,
                       .samples = 10};
    r.joules[TOTAL] = total_J;
    r.joules[IDLE] = idle_J;
    strcpy(r.source, "rapl");
    return r;
}

/* 30 J, of which 10 idle, give or take 3 J; and 50 J, of which 20, give or take 4 J: together 80 J
 * give or take sqrt(9 + 16) = 5 J, 20 + 30 = 50 J of them above idle. */
static void meters_add_up(void)
{
    struct rg_run_node per_node[2] = {0};
    struct rg_run run = {.per_node = per_node, .node_count = 2};
    struct node n = {.run = &run};
    struct report first = metered(30, 10, 2, 9), second = metered(50, 20, 3, 16);
    second.longest_s = 0.5;
    rg_node_add_meter(&n, 0, &first);
    rg_node_add_meter(&n, 1, &second);
    CU_ASSERT_EQUAL(run.meter.nodes, 2);
    CU_ASSERT_EQUAL(run.meter.samples, 20);
    CU_ASSERT_EQUAL(run.meter.longest_s, 0.5);
    CU_ASSERT_EQUAL(run.meter.idle_W, 5);
    CU_ASSERT_EQUAL(run.meter.above_idle_J, 50);
    CU_ASSERT_DOUBLE_EQUAL(run.meter.uncertainty_J, 5, 1e-12);
    CU_ASSERT_EQUAL(per_node[0].meter.above_idle_J, 20);
    CU_ASSERT_DOUBLE_EQUAL(per_node[1].meter.uncertainty_J, 4, 1e-12);
}

/* Parts that are known add up to the total; where one is not, the totals do. */
static void joules_add_up(void)
{
    struct rg_run run = {.energy_J.idle = 1};
    struct node n = {.run = &run};
    struct report known = {.joules = {[IDLE] = 2, 3, 4, 5, 14}}, unknown = known;
    rg_node_add_energy(&n, &known);
    CU_ASSERT_EQUAL(run.energy_J.idle, 3);
    CU_ASSERT_EQUAL(run.energy_J.compute, 3);
    CU_ASSERT_EQUAL(run.energy_J.network, 4);
    CU_ASSERT_EQUAL(run.energy_J.switches, 5);
    CU_ASSERT_EQUAL(run.energy_J.total, 15);
    unknown.joules[COMPUTE] = NAN;
    rg_node_add_energy(&n, &unknown);
    CU_ASSERT(isnan(run.energy_J.compute));
    CU_ASSERT_EQUAL(run.energy_J.total, 29);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"sections of a log add up", sections_add_up},
        {"a machine counts once", a_machine_counts_once},
        {"meters add up", meters_add_up},
        {"joules add up", joules_add_up},
    };
    return suite_main("node_energy", tests, RG_COUNT(tests), argc, argv);
}
