/* The table of fields: its pages in docs/, how accounts of nodes add up, what follows from them. */
#include "result_fixture.h"

#include "base/check.h"

#include <math.h>

static char *shown(void (*show)(FILE *stream))
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    show(stream);
    fclose(stream);
    return text;
}

/* What stands in docs/ is what the programs print. */
static void test_pages(void)
{
    static const char heading[] = "## All fields\n\n";
    char *page = read_text(RG_SOURCE_DIR "/docs/result.md"), *fields = strstr(page, heading);
    char *schema = read_text(RG_SOURCE_DIR "/docs/result.schema.json");
    char *wanted_fields = shown(rg_result_reference), *wanted_schema = shown(rg_result_schema);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fields);
    CU_ASSERT_STRING_EQUAL(fields + strlen(heading), wanted_fields);
    CU_ASSERT_STRING_EQUAL(schema, wanted_schema);
    if (strcmp(fields + strlen(heading), wanted_fields) != 0 || strcmp(schema, wanted_schema) != 0)
        printf(
            "\n    ringsim --result-schema > docs/result.schema.json; in docs/result.md, below the "
            "heading: ringsim --result-fields\n");
    free(page);
    free(schema);
    free(wanted_fields);
    free(wanted_schema);
}

/* A node's account on top of another's: each field by its rule. */
static void test_adding(void)
{
    struct rg_run a, b;
    rg_run_init(&a);
    rg_run_init(&b);
    CU_ASSERT_EQUAL_FATAL(rg_run_make_nodes(&b, 1), 0);
    a.time_s = 1;
    b.time_s = 9;
    a.energy_J =
        (struct rg_run_energy){.total = 9, .idle = 1, .compute = 2, .network = 3, .switches = 4};
    b.energy_J =
        (struct rg_run_energy){.total = 1, .idle = 5, .compute = 6, .network = 7, .switches = 8};
    a.traffic.messages = 10;
    b.traffic.messages = 20;
    b.traffic.wire_bytes = 0.5;
    a.memory_bytes.max_node = a.memory_bytes.total = 100;
    b.memory_bytes.max_node = b.memory_bytes.total = 70;
    a.staleness = 3;
    b.staleness = 4;
    a.peak_units = 2;
    a.late_receives = b.late_receives = 1;
    b.meter = (struct rg_run_meter){.known = true,
                                    .source = "rapl",
                                    .nodes = 1,
                                    .interval_s = NAN,
                                    .longest_s = 0.25,
                                    .samples = 6,
                                    .uncertainty_J = 3,
                                    .idle_W = 2,
                                    .above_idle_J = 5};
    rg_run_add_node(&a, &b); /* the first that is metered */
    CU_ASSERT_STRING_EQUAL(a.meter.source, "rapl");
    CU_ASSERT_EQUAL(a.meter.nodes, 1);
    CU_ASSERT_TRUE(isnan(a.meter.interval_s));
    CU_ASSERT_EQUAL(a.time_s, 1);
    CU_ASSERT_EQUAL(a.energy_J.idle, 6);
    CU_ASSERT_EQUAL(a.energy_J.switches, 12);
    CU_ASSERT_EQUAL(a.energy_J.total, 36); /* the parts, not 9 + 1 */
    CU_ASSERT_EQUAL(a.traffic.messages, 30);
    CU_ASSERT_EQUAL(a.traffic.wire_bytes, 0.5);
    CU_ASSERT_EQUAL(a.memory_bytes.max_node, 100);
    CU_ASSERT_EQUAL(a.memory_bytes.total, 170);
    CU_ASSERT_EQUAL(a.staleness, 4);
    CU_ASSERT_EQUAL(a.peak_units, 2);
    CU_ASSERT_EQUAL(a.late_receives, 2);
    CU_ASSERT_EQUAL(a.node_count, 0);
    CU_ASSERT_FALSE(a.formula.defined || a.predicted.defined || a.to_accuracy.wanted);
    b.energy_J = (struct rg_run_energy){
        .total = 4, .idle = 1, .compute = NAN, .network = NAN, .switches = NAN};
    b.meter.interval_s = 0.125;
    b.meter.uncertainty_J = 4;
    strcpy(b.meter.source, "csv");
    strcpy(b.meter.error, "rank 2: lost");
    rg_run_add_node(&a, &b);
    CU_ASSERT_EQUAL(a.energy_J.total, 40);
    CU_ASSERT_TRUE(isnan(a.energy_J.compute));
    CU_ASSERT_STRING_EQUAL(a.meter.source, "rapl");
    CU_ASSERT_STRING_EQUAL(a.meter.error, "rank 2: lost");
    CU_ASSERT_EQUAL(a.meter.nodes, 2);
    CU_ASSERT_EQUAL(a.meter.samples, 12);
    CU_ASSERT_EQUAL(a.meter.interval_s, 0.125);
    CU_ASSERT_EQUAL(a.meter.longest_s, 0.25);
    CU_ASSERT_EQUAL(a.meter.uncertainty_J, 5);
    CU_ASSERT_EQUAL(a.meter.idle_W, 4);
    CU_ASSERT_EQUAL(a.meter.above_idle_J, 10);
    rg_run_free(&a);
    rg_run_free(&b);
}

/* What follows from the nodes: of 10 iterations in 4 s, 8 J and 32 samples. */
static void test_deriving(void)
{
    struct rg_run run;
    rg_run_init(&run);
    CU_ASSERT_EQUAL_FATAL(rg_run_make_nodes(&run, 2), 0);
    run.iterations = 10;
    run.samples = 32;
    run.time_s = 4;
    run.energy_J.total = 8;
    run.per_node[0].busy_s = 5; /* longer than rank 0's clock ran */
    run.per_node[1].busy_s = 1;
    run.per_node[0].comm_s = 1;
    run.per_node[1].comm_s = 2;
    run.per_node[0].bytes_sent = 100;
    run.per_node[1].bytes_sent = 60;
    run.per_node[1].bytes_received = 50;
    rg_run_derive(&run);
    CU_ASSERT_EQUAL(run.per_node[0].idle_s, 0);
    CU_ASSERT_EQUAL(run.per_node[1].idle_s, 3);
    CU_ASSERT_EQUAL(run.per_node[1].rank, 1);
    CU_ASSERT_EQUAL(run.formula.T_A_s, 0.5);
    CU_ASSERT_EQUAL(run.formula.c_s, 0.2);
    CU_ASSERT_EQUAL(run.traffic.max_node_bytes, 110);
    CU_ASSERT_EQUAL(run.sample_J, 0.25);
    rg_run_free(&run);
}

/* Filling and draining are left out; a run that does nothing else has no ratio. */
static void test_edges(void)
{
    static const struct {
        long staleness, count, edge;
        bool steady;
    } want[] = {{0, 1, 0, true},  {0, 2, 0, true},   {0, 3, 1, true},  {0, 100, 1, true},
                {7, 8, 0, false}, {7, 23, 0, false}, {7, 24, 8, true}, {7, 100, 8, true}};
    for (size_t i = 0; i < RG_COUNT(want); i++) {
        bool steady;
        struct rg_run run = {.staleness = want[i].staleness,
                             .iteration_s = {.mean = 3},
                             .formula = {.predicted_iteration_s = 2}};
        CU_ASSERT_EQUAL(rg_run_edge(&run, want[i].count, &steady), want[i].edge);
        CU_ASSERT_EQUAL(steady, want[i].steady);
        rg_run_observe(&run, steady);
        CU_ASSERT_EQUAL(isnan(run.formula.observed_iteration_s), !steady);
        CU_ASSERT(steady ? run.formula.ratio == 1.5 : isnan(run.formula.ratio));
    }
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"docs/ has the schema and the fields", test_pages},
        {"accounts of nodes add up by rule", test_adding},
        {"what follows from the nodes", test_deriving},
        {"filling and draining are no iterations", test_edges},
    };
    return suite_main("result: fields", tests, RG_COUNT(tests), argc, argv);
}
