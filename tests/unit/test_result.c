/* Result JSON, and the encoding of a run on its way through a pipe. */
#include "result_fixture.h"

#include "base/check.h"
#include "result/json.h"

#include <jansson.h>
#include <locale.h>
#include <math.h>

static void check_keys(const json_t *object, const char *keys)
{
    char all[600] = "";
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        strcat(all, key);
        strcat(all, " ");
    }
    CU_ASSERT_STRING_EQUAL(all, keys);
}

static void test_json_structure(void)
{
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    char *text = printed(&result, print_json);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    check_keys(root, "schema tool version world scenario scenario_sha256 seed host runs ");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(root, "schema")), "ringtmp-result-1");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(root, "seed")), 9007199254740991);
    check_keys(json_object_get(root, "host"),
               "wall_s date load blas_kernels blas_threads cores machine ");
    CU_ASSERT_TRUE(json_is_null(json_object_get(json_object_get(root, "host"), "load")));
    json_t *run = json_array_get(json_object_get(root, "runs"), 0);
    check_keys(
        run,
        "label kind params nodes numerics status error sweep iterations samples time_s unsaved "
        "iteration_s formula predicted energy_J energy_source meter sample_J traffic "
        "memory_bytes late_receives staleness late peak_units extrapolated_iterations training "
        "final "
        "to_accuracy weights_sha256 per_node ");
    check_keys(json_object_get(run, "iteration_s"), "mean p50 p95 max ");
    check_keys(json_object_get(run, "formula"), "overlap T_A_s c_s bubble predicted_iteration_s "
                                                "observed_iteration_s ratio ");
    check_keys(json_object_get(run, "predicted"), "overlap T_A_s c_s iteration_s plan_s messages "
                                                  "values payload_bytes memory_bytes ");
    check_keys(json_object_get(run, "sweep"), "nodes ring \"8\".micro-batches ");
    check_keys(json_object_get(run, "energy_J"), "total idle compute network switch ");
    check_keys(json_object_get(run, "traffic"),
               "messages values payload_bytes wire_bytes max_node_bytes ");
    check_keys(json_object_get(run, "late"), "gradients staleness_mean ");
    check_keys(json_object_get(run, "final"), "loss accuracy classes ");
    json_t *class = json_array_get(json_object_get(json_object_get(run, "final"), "classes"), 1);
    check_keys(class, "name samples accuracy predicted ");
    CU_ASSERT_TRUE(json_is_null(json_object_get(class, "name")));
    CU_ASSERT_TRUE(json_is_null(json_object_get(class, "accuracy")));
    check_keys(json_object_get(run, "to_accuracy"), "target iterations time_s energy_J ");
    check_keys(json_array_get(json_object_get(run, "training"), 0),
               "iteration time_s energy_J loss accuracy ");
    check_keys(json_array_get(json_object_get(run, "per_node"), 0),
               "rank host busy_s comm_s idle_s energy_J bytes_sent bytes_received memory_bytes ");
    json_t *node = json_array_get(json_object_get(run, "per_node"), 1);
    check_keys(node, "rank host busy_s comm_s idle_s energy_J bytes_sent bytes_received "
                     "memory_bytes meter clock ");
    check_keys(json_object_get(node, "clock"),
               "offset_s wall_offset_s uncertainty_s drift_ppm drift_uncertainty_ppm ");
    CU_ASSERT_TRUE(json_is_null(json_object_get(json_object_get(node, "clock"), "wall_offset_s")));
    json_t *params = json_object_get(run, "params");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(params, "depth")), 16);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(params, "partition")), "4,4,3");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(params, "odd")), "007");
    CU_ASSERT_EQUAL(json_real_value(json_object_get(json_object_get(run, "iteration_s"), "mean")),
                    1.0 / 3);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(run, "label")), runs[0].label);
    run = json_array_get(json_object_get(root, "runs"), 1);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(run, "status")), "does-not-fit");
    CU_ASSERT_TRUE(json_is_null(json_object_get(run, "formula")));
    CU_ASSERT_TRUE(json_is_null(json_object_get(run, "to_accuracy")));
    CU_ASSERT_TRUE(json_is_null(json_object_get(run, "weights_sha256")));
    CU_ASSERT_TRUE(json_is_null(json_object_get(run, "time_s")));
    json_t *traffic = json_object_get(run, "traffic"); /* what nobody sent is known to be nothing */
    CU_ASSERT_TRUE(json_is_integer(json_object_get(traffic, "wire_bytes")));
    json_decref(root);
    free(text);
    free_runs(runs);
}

static void test_json_repeats(void)
{
    struct rg_run runs[3], again[3];
    struct rg_result a = make_result(runs), b = make_result(again);
    const print_fn prints[] = {print_json, print_trace, rg_result_table};
    for (size_t i = 0; i < RG_COUNT(prints); i++) {
        char *first = printed(&a, prints[i]), *second = printed(&b, prints[i]);
        CU_ASSERT_STRING_EQUAL(first, second);
        setlocale(LC_NUMERIC, "de_DE.UTF-8");
        char *comma = i < 2 ? printed(&a, prints[i]) : strdup(first);
        setlocale(LC_NUMERIC, "C");
        CU_ASSERT_STRING_EQUAL(first, comma);
        free(first);
        free(second);
        free(comma);
    }
    free_runs(runs);
    free_runs(again);
}

static void test_numbers_read_back(void)
{
    static const double values[] = {0,
                                    -0.0,
                                    1,
                                    0.1,
                                    1.0 / 3,
                                    1e-308,
                                    5e-324,
                                    1e308,
                                    1e15,
                                    1e16,
                                    1e17,
                                    1e22,
                                    0.3,
                                    2.5e-6,
                                    1 + 1e-15,
                                    123456789012345678.0,
                                    9007199254740993.0};
    for (size_t i = 0; i < RG_COUNT(values); i++) {
        char text[40], array[48];
        rg_json_format(values[i], text);
        snprintf(array, sizeof array, "[%s]", text);
        json_t *read = json_loads(array, 0, NULL);
        double back = json_number_value(json_array_get(read, 0));
        CU_ASSERT_EQUAL(memcmp(&back, &values[i], sizeof back), 0);
        json_decref(read);
    }
    char text[40];
    rg_json_format(0.1, text);
    CU_ASSERT_STRING_EQUAL(text, "0.1");
}

/* Texts that are no UTF-8, or hold what JSON must escape. */
static void test_texts_stay_json(void)
{
    static const char *const texts[] = {
        "\xff\xfe",        "\xc0\x80",     "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "a\\\"\t\x01\x7f", "\xe2\x82\xac", "\xe2\x82",     "\xc3"};
    for (size_t i = 0; i < RG_COUNT(texts); i++) {
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);
        struct rg_json j = {.stream = stream};
        rg_json_array(&j, NULL, true);
        rg_json_text(&j, NULL, texts[i]);
        rg_json_text(&j, NULL, NULL);
        rg_json_real(&j, NULL, INFINITY);
        rg_json_close(&j);
        fclose(stream);
        json_t *read = json_loads(text, 0, NULL);
        CU_ASSERT_EQUAL(json_array_size(read), 3);
        json_decref(read);
        free(text);
    }
}

static void test_full_disk(void)
{
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    FILE *stream = fopen("/dev/full", "w");
    if (stream) {
        setvbuf(stream, NULL, _IONBF, 0);
        CU_ASSERT_EQUAL(rg_result_write(&result, stream), RG_ERR_IO);
        CU_ASSERT_EQUAL(rg_result_trace(&result, stream), RG_ERR_IO);
        fclose(stream);
    }
    free_runs(runs);
}

/* ---- as bytes ---- */

struct bytes {
    unsigned char *at;
    size_t size;
};

static struct bytes encoded(const struct rg_run *run)
{
    struct bytes bytes;
    CU_ASSERT_EQUAL_FATAL(rg_run_encode(run, &bytes.at, &bytes.size), 0);
    return bytes;
}

static void check_round_trip(const struct rg_run *run)
{
    struct rg_run back;
    struct rg_error e = {0};
    struct bytes bytes = encoded(run);
    CU_ASSERT_EQUAL_FATAL(rg_run_decode(bytes.at, bytes.size, &back, &e), 0);
    struct bytes again = encoded(&back);
    CU_ASSERT_EQUAL_FATAL(bytes.size, again.size);
    CU_ASSERT_EQUAL(memcmp(bytes.at, again.at, bytes.size), 0);
    CU_ASSERT_EQUAL(back.error_code, run->error_code);
    CU_ASSERT_EQUAL(back.samples, run->samples);
    CU_ASSERT_EQUAL(back.status, run->status);
    CU_ASSERT_EQUAL(memcmp(&back.formula.T_A_s, &run->formula.T_A_s, sizeof(double)), 0);
    for (int i = 0; i < run->node_count; i++) {
        const struct rg_trace *a = run->per_node[i].trace, *b = back.per_node[i].trace;
        CU_ASSERT_EQUAL(a == NULL, b == NULL);
        if (!a || !b)
            continue;
        CU_ASSERT_EQUAL_FATAL(a->count, b->count);
        CU_ASSERT_EQUAL(a->dropped, b->dropped);
        CU_ASSERT_EQUAL(memcmp(a->events, b->events, (size_t)a->count * sizeof *a->events), 0);
    }
    free(bytes.at);
    free(again.at);
    rg_run_free(&back);
}

static void test_bytes(void)
{
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    for (int i = 0; i < result.run_count; i++)
        check_round_trip(&runs[i]);
    free_runs(runs);
}

/* Wherever a child that dies while it writes has come to. */
static void test_cut_bytes(void)
{
    struct rg_run run, back;
    fill_run(&run);
    struct bytes bytes = encoded(&run);
    for (size_t size = 0; size < bytes.size; size++) {
        struct rg_error e = {0};
        unsigned char *part = malloc(size + 1); /* so that a reader beyond it is noticed */
        memcpy(part, bytes.at, size);
        CU_ASSERT_EQUAL(rg_run_decode(part, size, &back, &e), RG_ERR_PROTOCOL);
        CU_ASSERT_TRUE(e.text[0] && !strchr(e.text, '\n'));
        CU_ASSERT_EQUAL(back.node_count, 0);
        rg_run_free(&back);
        free(part);
    }
    bytes.at = realloc(bytes.at, bytes.size + 1);
    CU_ASSERT_EQUAL(rg_run_decode(bytes.at, bytes.size + 1, &back, NULL), RG_ERR_PROTOCOL);
    free(bytes.at);
    rg_run_free(&run);
}

/* The label comes first: its length, then its letters. Then numbers that no run has. */
static void test_wrong_bytes(void)
{
    struct rg_run run, back;
    struct rg_error e;
    rg_run_init(&run);
    strcpy(run.label, "a");
    strcpy(run.kind, "b");
    struct bytes bytes = encoded(&run);
    const struct {
        size_t at;
        unsigned char value;
        const char *field;
    } bad[] = {{0, 64, "label"},
               {7, 128, "label"},
               {8, 0, "label"},
               {9 + 9 + 8, 255, "nodes"},
               {18 + 15, 1, "nodes"},
               {18 + 16, 2, "numerics"},
               {18 + 24, RG_RUN_LOST + 1, "status"}};
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        unsigned char before = bytes.at[bad[i].at];
        bytes.at[bad[i].at] = bad[i].value;
        int err = rg_run_decode(bytes.at, bytes.size, &back, &e);
        bool nodes_255 = bad[i].value == 255; /* that is as good as any */
        CU_ASSERT_EQUAL(err, nodes_255 ? 0 : RG_ERR_PROTOCOL);
        CU_ASSERT_TRUE(nodes_255 || strstr(e.text, bad[i].field));
        rg_run_free(&back);
        bytes.at[bad[i].at] = before;
    }
    free(bytes.at);
    rg_run_free(&run);
}

/* A timeline with an event of a kind that there is not. */
static void test_wrong_events(void)
{
    struct rg_run run, back;
    fill_run(&run);
    struct rg_trace_event *last = &run.per_node[0].trace->events[2];
    last->kind = RG_TRACE_MARK + 1;
    struct bytes bytes = encoded(&run);
    CU_ASSERT_EQUAL(rg_run_decode(bytes.at, bytes.size, &back, NULL), RG_ERR_PROTOCOL);
    free(bytes.at);
    rg_run_free(&back);
    rg_run_free(&run);
}

static const struct rg_run_spread *spread_of(const struct rg_run *run, const char *figure)
{
    for (int i = 0; i < run->spread_count; i++)
        if (strcmp(run->spreads[i].figure, figure) == 0)
            return &run->spreads[i];
    return NULL;
}

/* Five nodes: seconds 4, 1, 3, 1, 2; memory the same in all; joules that nobody knows. */
static void test_spreads(void)
{
    static const double busy[] = {4, 1, 3, 1, 2};
    struct rg_run run;
    rg_run_init(&run);
    CU_ASSERT_EQUAL_FATAL(rg_run_make_nodes(&run, 5), 0);
    for (int i = 0; i < 5; i++) {
        run.per_node[i].busy_s = busy[i];
        run.per_node[i].memory_bytes = 7;
        run.per_node[i].bytes_sent = i == 2 ? 9 : 8;
    }
    CU_ASSERT_EQUAL(rg_run_summarize_nodes(&run), 0);
    const struct rg_run_spread *seconds = spread_of(&run, "busy_s"),
                               *memory = spread_of(&run, "memory_bytes");
    CU_ASSERT_PTR_NULL(spread_of(&run, "energy_J"));
    CU_ASSERT_PTR_NULL(spread_of(&run, "rank"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(seconds);
    CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
    CU_ASSERT_EQUAL(seconds->least, 1);
    CU_ASSERT_EQUAL(seconds->least_rank, 1);
    CU_ASSERT_EQUAL(seconds->p50, 2);
    CU_ASSERT_DOUBLE_EQUAL(seconds->p95, 3.8, 1e-15); /* 0.8 of the way from 3 to 4 */
    CU_ASSERT_EQUAL(seconds->most, 4);
    CU_ASSERT_EQUAL(seconds->most_rank, 0);
    CU_ASSERT_EQUAL(memory->least_rank, 0);
    CU_ASSERT_EQUAL(memory->most_rank, 0);
    CU_ASSERT_EQUAL(memory->p95, 7);
    static const int kept[] = {0, 1, 2}; /* 2 has sent the most */
    CU_ASSERT_EQUAL_FATAL(run.node_count, 3);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(run.per_node[i].rank, kept[i]);
    check_round_trip(&run);
    rg_run_free(&run);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"json: keys in order, nulls, types", test_json_structure},
        {"the same result gives the same bytes", test_json_repeats},
        {"numbers read back to the bit", test_numbers_read_back},
        {"any text makes valid json", test_texts_stay_json},
        {"a full disk is noticed", test_full_disk},
        {"quantiles in place of nodes", test_spreads},
        {"bytes: decode(encode) is the run", test_bytes},
        {"bytes that are cut off are noticed", test_cut_bytes},
        {"bytes that no run has are noticed", test_wrong_bytes},
        {"events of no kind are noticed", test_wrong_events},
    };
    return suite_main("result", tests, RG_COUNT(tests), argc, argv);
}
