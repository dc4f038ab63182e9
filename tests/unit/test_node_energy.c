/* Joules of logs that are read after the run, and of nodes that share a meter, by hand. */
#include "node/node_parts.h"

#include "base/check.h"
#include "support/suite.h"
#include <math.h>

/* ---- sections of a log ---- */

enum { SECTIONS = 2 };

/* A log that knows the sections 100..102 and 200..203 of rank 0's clock. */
static bool settle(struct rg_world *w, const struct rg_clock_section *sections, int count,
                   const struct rg_clock_map *clocks, double *joules, struct rg_energy *whole)
{
    (void)w, (void)clocks;
    CU_ASSERT_EQUAL_FATAL(count, SECTIONS);
    CU_ASSERT(sections[0].begin_s == 100 && sections[0].end_s == 102);
    CU_ASSERT(sections[1].begin_s == 200 && sections[1].end_s == 203);
    joules[0] = 10;
    joules[1] = 20;
    *whole = (struct rg_energy){
        .total_J = 30, .idle_J = 10, .variance_J2 = 2.5, .samples = 7, .source = "csv"};
    return true;
}

/* 10 J, then 20 J more: 30 J. What rows say of all of it is not the sum of what they say of each
 * section: they are the log's. */
static void sections_add_up(void)
{
    const struct rg_world_ops ops = {.settle = settle};
    struct rg_world w = {.ops = &ops, .size = 1};
    struct pause pauses[SECTIONS] = {{.done = 1}, {.done = 2}};
    struct rg_clock_section timed[SECTIONS] = {{100, 102}, {200, 203}};
    struct node n = {.w = &w, .pauses = pauses, .pause_count = SECTIONS, .timed = timed};
    CU_ASSERT_EQUAL(rg_node_settle(&n), 0);
    CU_ASSERT_EQUAL(n.energy.total_J, 30);
    CU_ASSERT_EQUAL(n.energy.idle_J, 10);
    CU_ASSERT_EQUAL(n.energy.variance_J2, 2.5);
    CU_ASSERT_EQUAL(n.energy.samples, 7);
    CU_ASSERT_STRING_EQUAL(n.energy.source, "csv");
    CU_ASSERT_EQUAL(pauses[0].total_J, 10);
    CU_ASSERT_EQUAL(pauses[1].total_J, 30);
}

/* A meter that has told its joules meanwhile knows nothing more. */
static bool knows_all(struct rg_world *w, const struct rg_clock_section *sections, int count,
                      const struct rg_clock_map *clocks, double *joules, struct rg_energy *whole)
{
    (void)w, (void)sections, (void)count, (void)clocks, (void)joules, (void)whole;
    return false;
}

/* 4 W for this node's 1.9 + 3.1 s, where rank 0's clock ran for 2 + 2 s: 16 J. Rank 0's are its
 * own.
 */
static void seconds_are_of_rank_0(void)
{
    const struct rg_world_ops ops = {.settle = knows_all};
    for (int rank = 0; rank < 2; rank++) {
        struct rg_world w = {.ops = &ops, .rank = rank, .size = 2};
        struct pause pauses[SECTIONS] = {{1, 10, 11.9, 7.6}, {2, 20, 23.1, 20}};
        struct rg_clock_section timed[SECTIONS] = {{10, 12}, {20, 22}};
        struct node n = {.w = &w,
                         .pauses = pauses,
                         .pause_count = SECTIONS,
                         .timed = timed,
                         .energy = {.total_J = 20, .idle_J = 10}};
        CU_ASSERT_EQUAL(rg_node_settle(&n), 0);
        CU_ASSERT_DOUBLE_EQUAL(n.energy.total_J, rank ? 16 : 20, 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(n.energy.idle_J, rank ? 8 : 10, 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(pauses[1].total_J, rank ? 16 : 20, 1e-12);
    }
}

/* ---- the meters of all nodes ---- */

/* Ranks 0 and 2 are one machine; 3 has another's meter; 4 and 5 do not know where they are. */
static void a_machine_counts_once(void)
{
    static const struct {
        uint64_t machine;
        bool counts;
    } ranks[] = {{7, true}, {9, true}, {7, false}, {RG_MACHINE_OTHER, false}, {0, true}, {0, true}};
    struct metered metered[RG_COUNT(ranks)];
    struct node n = {.metered = metered};
    for (size_t rank = 0; rank < RG_COUNT(ranks); rank++) {
        metered[rank] = (struct metered){ranks[rank].machine, 0};
        CU_ASSERT_EQUAL(rg_node_counts(&n, (int)rank), ranks[rank].counts);
    }
}

/* Ranks 0, 2 and 3 read one log, on three boards; rank 1 has one of its own; 4 has none, nor 5. */
static void a_log_counts_once(void)
{
    static const struct {
        struct metered metered;
        bool counts;
    } ranks[] = {{{7, 5}, true},  {{8, 6}, true},  {{9, 5}, false},
                 {{0, 5}, false}, {{10, 0}, true}, {{11, 0}, true}};
    struct metered metered[RG_COUNT(ranks)];
    struct node n = {.metered = metered};
    for (size_t rank = 0; rank < RG_COUNT(ranks); rank++) {
        metered[rank] = ranks[rank].metered;
        CU_ASSERT_EQUAL(rg_node_counts(&n, (int)rank), ranks[rank].counts);
    }
}

/* A board of 3 W at rest and 7 W with all cores busy, and joules in 10 s: doubted below a tenth of
 * 3 W and above ten times 7 W; twice that where the meter measures another rank's board, too. */
static void watts_are_doubted(void)
{
    static const struct {
        double joules;
        uint64_t other;
        bool doubted;
    } runs[] = {{50, 0, false},  {2.9, 0, true},   {3.1, 0, false},  {690, 0, false},
                {710, 0, true},  {710, 1, false},  {1390, 1, false}, {1410, 1, true},
                {NAN, 0, false}, {53000, 0, true}, {53000, 1, true}};
    struct rg_board board = {.clock_count = 1, .clocks = {{1e9, 3, 4, 7}}};
    const struct rg_board *boards[] = {&board, &board};
    for (size_t i = 0; i < RG_COUNT(runs); i++) {
        struct rg_run run;
        struct rg_job job = {.nodes = 2};
        struct metered metered[] = {{1, 0}, {runs[i].other ? RG_MACHINE_OTHER : 2, 0}};
        struct node n = {.metered = metered, .run = &run, .job = &job, .time_s = 10};
        job.boards = boards;
        rg_run_init(&run);
        CU_ASSERT_FATAL(rg_run_make_nodes(&run, 2) == 0);
        run.meter.known = run.per_node[0].meter.known = true;
        run.per_node[0].energy_J = runs[i].joules;
        rg_node_describe_meters(&n);
        CU_ASSERT_EQUAL(run.meter.warning[0] != 0, runs[i].doubted);
        rg_run_free(&run);
    }
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

/* 30 J, of which 10 idle, with a standard uncertainty of 3 J; and 50 J, of which 20, with 4 J:
 * together 80 J with sqrt(9 + 16) = 5 J, 10 J with k = 2; 20 + 30 = 50 J of them above idle. */
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
    CU_ASSERT_DOUBLE_EQUAL(sum.meter.uncertainty_J, 10, 1e-12);
    CU_ASSERT_STRING_EQUAL(sum.meter.source, "rapl");
    CU_ASSERT_EQUAL(first.per_node[0].meter.above_idle_J, 20);
    CU_ASSERT_DOUBLE_EQUAL(second.per_node[0].meter.uncertainty_J, 8, 1e-12);
    rg_run_free(&first);
    rg_run_free(&second);
    rg_run_free(&sum);
}

/* Two ranks on one machine tell the same 30 J: they count once, and the second has none of its own.
 */
static void shared_joules_count_once(void)
{
    const struct rg_energy seen = {.total_J = 30, .idle_J = 10, .samples = 10};
    struct metered metereds[2];
    struct node n = {.metered = metereds};
    struct rg_run sum;
    rg_run_init(&sum);
    sum.energy_J = (struct rg_run_energy){0};
    for (int rank = 0; rank < 2; rank++) {
        struct rg_run own = metered(rank, 0.2, 2, &seen);
        own.energy_J.total = own.per_node[0].energy_J = 30;
        own.energy_J.idle = 10;
        own.energy_J.compute = own.energy_J.network = own.energy_J.switches = NAN;
        rg_node_count_energy(&n, rank, (struct metered){7, 0}, &own);
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
        {"seconds are rank 0's", seconds_are_of_rank_0},
        {"a machine counts once", a_machine_counts_once},
        {"a log counts once", a_log_counts_once},
        {"watts are doubted", watts_are_doubted},
        {"meters add up", meters_add_up},
        {"joules of a shared meter count once", shared_joules_count_once},
        {"failures are named", failures_are_named},
        {"joules add up", joules_add_up},
    };
    return suite_main("node_energy", tests, RG_COUNT(tests), argc, argv);
}
