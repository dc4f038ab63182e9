/* safetensors: there and back, and every kind of damage. */
#include "result/checkpoint.h"

#include "base/bytes.h"
#include "base/check.h"
#include "scratch.h"
#include "support/suite.h"

#include <math.h>

/* A convolution, a pool without parameters, a block and a dense layer. */
static struct rg_network make_network(void)
{
    const struct rg_layer_spec specs[] = {
        {.ops = rg_layer_kind("conv2d"), .outputs = 2, .kernel = {3, 3}, .line = 1},
        {.ops = rg_layer_kind("maxpool"), .kernel = {2, 2}, .line = 2},
        {.ops = rg_layer_kind("residual"), .hidden = 5, .line = 3},
        {.ops = rg_layer_kind("dense"), .outputs = 3, .line = 4},
    };
    struct rg_network network;
    struct rg_error e = {0};
    int err = rg_network_build(&network, "net", "net.xml", (struct rg_shape){1, 6, 6}, specs,
                               RG_COUNT(specs), &e);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    return network;
}

static float *make_values(const struct rg_network *network)
{
    float *values = calloc(network->parameters, sizeof *values);
    for (size_t i = 0; i < network->parameters; i++)
        values[i] = (float)i * 0.37f - 5;
    return values;
}

static const char *save(const struct rg_network *network, const float *values)
{
    struct rg_checkpoint_writer writer;
    struct rg_error e = {0};
    const char *path = scratch_path("good.safetensors");
    CU_ASSERT_EQUAL_FATAL(rg_checkpoint_begin(&writer, path, network, NULL, &e), 0);
    for (size_t i = 0, some; i < network->parameters; i += some) { /* in uneven pieces */
        some = RG_MIN(network->parameters - i, (size_t)7);
        rg_checkpoint_add(&writer, values + i, some);
    }
    CU_ASSERT_EQUAL(rg_checkpoint_end(&writer, &e), 0);
    return path;
}

/* The file's bytes; *header: length of its JSON. */
static unsigned char *slurp(const char *path, size_t *size, size_t *header)
{
    FILE *stream = fopen(path, "rb");
    unsigned char *bytes = malloc(1 << 16);
    *size = fread(bytes, 1, 1 << 16, stream);
    *header = (size_t)rg_get_u64(bytes);
    fclose(stream);
    return bytes;
}

static void test_round_trip(void)
{
    struct rg_network network = make_network();
    struct rg_error e = {0};
    float *values = make_values(&network), *back;
    CU_ASSERT_EQUAL_FATAL(rg_checkpoint_load(save(&network, values), &network, NULL, &back, &e), 0);
    CU_ASSERT_EQUAL(memcmp(values, back, network.parameters * sizeof *values), 0);
    free(back);
    free(values);
    rg_network_free(&network);
}

static void test_format(void)
{
    struct rg_network network = make_network();
    float *values = make_values(&network);
    size_t size, header;
    unsigned char *bytes = slurp(save(&network, values), &size, &header);
    CU_ASSERT_EQUAL(header % 8, 0);
    CU_ASSERT_EQUAL(size, 8 + header + 4 * network.parameters);
    char *text = strndup((char *)bytes + 8, header);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"0.weight\": {\"dtype\": \"F32\", \"shape\": [2,"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"2.weight2\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"3.bias\": {\"dtype\": \"F32\", \"shape\": [3]"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"__metadata__\": {\"format\": \"ringtmp\""));
    uint32_t bits;
    memcpy(&bits, &values[1], sizeof bits);
    CU_ASSERT_EQUAL(rg_get_u32(bytes + 8 + header + 4), bits);
    free(text);
    free(bytes);
    free(values);
    rg_network_free(&network);
}

/* Whoever uses the parameters elsewhere learns how the inputs were standardised. */
static void test_scaling_is_told(void)
{
    double mean[] = {0.5, -3}, deviation[] = {2, 1e-3};
    const struct rg_dataset data = {.inputs = 2, .mean = mean, .deviation = deviation};
    struct rg_network network = make_network();
    struct rg_checkpoint_writer writer;
    struct rg_error e = {0};
    float *values = make_values(&network), *back = NULL;
    const char *path = scratch_path("scaled.safetensors");
    size_t size, length;
    CU_ASSERT_EQUAL_FATAL(rg_checkpoint_begin(&writer, path, &network, &data, &e), 0);
    rg_checkpoint_add(&writer, values, network.parameters);
    CU_ASSERT_EQUAL_FATAL(rg_checkpoint_end(&writer, &e), 0);
    unsigned char *bytes = slurp(path, &size, &length);
    char *header = strndup((char *)bytes + 8, length);
    CU_ASSERT_PTR_NOT_NULL(strstr(header, "\"inputs_mean\": \"0.5,-3\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(header, "\"inputs_deviation\": \"2,0.001"));
    CU_ASSERT_EQUAL(rg_checkpoint_load(path, &network, NULL, &back, &e), 0);
    CU_ASSERT(back && memcmp(back, values, network.parameters * sizeof *values) == 0);
    free(back);
    free(header);
    free(bytes);
    free(values);
    rg_network_free(&network);
}

/* Another writer's order: header entries and data the other way round. */
static void test_foreign_order(void)
{
    struct rg_network network;
    struct rg_layer_spec spec = {.ops = rg_layer_kind("dense"), .outputs = 2, .line = 1};
    struct rg_error e = {0};
    CU_ASSERT_EQUAL_FATAL(
        rg_network_build(&network, "n", "n", (struct rg_shape){1, 1, 1}, &spec, 1, &e), 0);
    static const char header[] =
        "{\"0.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
        "\"0.weight\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[8,16]}}";
    unsigned char bytes[400];
    size_t length = strlen(header), size = 8 + length;
    const float data[] = {3, 4, 1, 2};
    rg_put_u64(bytes, length);
    memcpy(bytes + 8, header, length);
    for (int i = 0; i < 4; i++, size += 4) {
        uint32_t bits;
        memcpy(&bits, &data[i], sizeof bits);
        rg_put_u32(bytes + size, bits);
    }
    float *values;
    const char *path = scratch_bytes("foreign", bytes, size);
    CU_ASSERT_EQUAL_FATAL(rg_checkpoint_load(path, &network, NULL, &values, &e), 0);
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(values[i], (float)(i + 1));
    free(values);
    rg_network_free(&network);
}

static void expect_refusal(const struct rg_network *network, const void *bytes, size_t size,
                           const char *words)
{
    struct rg_error e = {0};
    float *values;
    const char *path = scratch_bytes("bad.safetensors", bytes, size);
    CU_ASSERT_EQUAL(rg_checkpoint_load(path, network, NULL, &values, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NULL(values);
    CU_ASSERT_TRUE(complains(&e, path, 0, words));
    CU_ASSERT_EQUAL(rg_checkpoint_load(path, network, NULL, &values, NULL), RG_ERR_INVALID);
}

static void test_damaged_headers(void)
{
    static const struct {
        const char *from, *to, *words;
    } damages[] = {
        {"\"0.weight\"", "\"0.weigh\"", "tensor \"0.weight\" is missing|F32 of shape [2, 1, 3, 3]"},
        {"\"3.bias\": {\"dtype\": \"F32\"", "\"3.bias\": {\"dtype\": \"F16\"",
         "\"3.bias\"|type F16"},
        {"\"3.bias\": {\"dtype\": \"F32\"", "\"3.bias\": {\"dtype\": 3", "type (none)"},
        {"\"shape\": [3]", "\"shape\": [4]", "\"3.bias\"|another shape|[3]"},
        {"\"shape\": [3]", "\"shape\": [3,1]", "\"3.bias\"|another shape"},
        {"\"shape\": [3]", "\"shape\": 3", "\"3.bias\"|another shape"},
        {"\"data_offsets\": [0,", "\"data_offsets\": [4,", "\"0.weight\"|takes 68 bytes|72"},
        {"\"data_offsets\": [0,", "\"data_offsets\": [-4,", "\"0.weight\"|two rising numbers"},
        {"\"data_offsets\": [0,", "\"data_offsets\": [0, 1,", "two rising numbers"},
        {"\"data_offsets\": [0,", "\"data_offsets\": [900,", "two rising numbers"},
        {"\"data_offsets\": [0,", "\"data_offsets\": [1e1,", "two rising numbers"},
        {"\"data_offsets\": [0,72]", "\"data_offsets\": [1048576,1048648]", "truncated"},
        {"\"data_offsets\": [0,72]", "\"data_offsets\": [72,144]", "overlap|hole|\"0."},
        {"{\"__metadata__\"", "{\"extra\": {}, \"__metadata__\"", "\"extra\" is none"},
        {"{\"__metadata__\"", "{\"3.bias\": {}, \"__metadata__\"", "no JSON|duplicate"},
        {"{\"__metadata__\"", " {\"__metadata__\"", "does not begin with '{'"},
        {"{\"__metadata__\"", "{{\"__metadata__\"", "no JSON"},
        {"\"3.bias\": {", "\"3.bias\": [{", "no JSON"},
    };
    struct rg_network network = make_network();
    float *values = make_values(&network);
    size_t size, length;
    unsigned char *bytes = slurp(save(&network, values), &size, &length);
    char *header = strndup((char *)bytes + 8, length);
    for (size_t i = 0; i < RG_COUNT(damages); i++) {
        char *text = replaced(header, damages[i].from, damages[i].to);
        size_t changed = strlen(text), data = size - 8 - length;
        unsigned char *bad = malloc(8 + changed + data);
        rg_put_u64(bad, changed);
        memcpy(bad + 8, text, changed);
        memcpy(bad + 8 + changed, bytes + 8 + length, data);
        const char *words = damages[i].words;
        if (strncmp(words, "overlap", 7) == 0)
            words = "begins at byte"; /* a hole at the start comes first */
        expect_refusal(&network, bad, 8 + changed + data, words);
        free(bad);
        free(text);
    }
    free(header);
    free(bytes);
    free(values);
    rg_network_free(&network);
}

static void test_damaged_files(void)
{
    struct rg_network network = make_network();
    float *values = make_values(&network);
    size_t size, header;
    unsigned char *bytes = slurp(save(&network, values), &size, &header);
    for (size_t cut = 0; cut < size; cut += 1 + cut / 16) /* truncated anywhere */
        expect_refusal(&network, bytes, cut, cut < 8 + header ? "truncated" : "byte");
    bytes[size] = 0;
    expect_refusal(&network, bytes, size + 1, "nothing else is allowed");
    rg_put_u64(bytes, UINT64_MAX);
    expect_refusal(&network, bytes, size, "header of 18446744073709551615 bytes");
    rg_put_u64(bytes, 0);
    expect_refusal(&network, bytes, size, "header of 0 bytes");
    rg_put_u64(bytes, header);
    rg_put_u32(bytes + 8 + header + 4 * 20, 0x7fc00000u); /* NaN */
    expect_refusal(&network, bytes, size, "tensor \"2.weight1\"|value 0 is not finite");
    expect_refusal(&network, "PK\3\4 is a zip file", 18, "header of");
    free(bytes);
    free(values);
    rg_network_free(&network);
}

static void test_paths(void)
{
    struct rg_network network = make_network();
    struct rg_checkpoint_writer writer;
    struct rg_error e = {0};
    float *values;
    CU_ASSERT_EQUAL(rg_checkpoint_load(scratch_path("absent"), &network, NULL, &values, &e),
                    RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, scratch_path("absent"), 0, "No such file"));
    CU_ASSERT_EQUAL(rg_checkpoint_load(scratch(), &network, NULL, &values, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, scratch(), 0, "plain file"));
    CU_ASSERT_TRUE(rg_checkpoint_begin(&writer, "/nonexistent/x", &network, NULL, &e) < 0);
    rg_checkpoint_abandon(&writer);
    const char *path = scratch_path("abandoned");
    CU_ASSERT_EQUAL(rg_checkpoint_begin(&writer, path, &network, NULL, &e), 0);
    rg_checkpoint_abandon(&writer);
    CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0); /* whole or not at all */
    rg_network_free(&network);
}

/* ---- what the file says of inputs and classes ---- */

/* A network of two inputs and three outputs. */
static struct rg_network make_small(void)
{
    struct rg_network network;
    struct rg_error e = {0};
    struct rg_layer_spec spec = {.ops = rg_layer_kind("dense"), .outputs = 3, .line = 1};
    int err = rg_network_build(&network, "n", "n", (struct rg_shape){2, 1, 1}, &spec, 1, &e);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    return network;
}

/* Saved with the data `there`, loaded for the data `here`. */
static int carry(struct rg_dataset *there, struct rg_dataset *here, struct rg_error *e)
{
    struct rg_network network = make_small();
    struct rg_checkpoint_writer writer;
    const char *path = scratch_path("carried.safetensors");
    float values[9] = {0}, *back;
    CU_ASSERT_EQUAL_FATAL(rg_checkpoint_begin(&writer, path, &network, there, NULL), 0);
    rg_checkpoint_add(&writer, values, network.parameters);
    CU_ASSERT_EQUAL_FATAL(rg_checkpoint_end(&writer, NULL), 0);
    int err = rg_checkpoint_load(path, &network, here, &back, e);
    CU_ASSERT_EQUAL(back == NULL, err != 0);
    free(back);
    rg_network_free(&network);
    return err;
}

static void test_scaling_is_taken(void)
{
    double mean[2] = {1.0 / 3, -3e15}, deviation[2] = {0.1, 7};
    struct rg_error e = {0};
    struct rg_dataset here = {.inputs = 2}, there = {.inputs = 2};
    CU_ASSERT_EQUAL(carry(&there, &here, &e), 0);
    CU_ASSERT_PTR_NULL(here.wanted_mean);
    CU_ASSERT_PTR_NULL(here.wanted_deviation);
    there.mean = mean;
    there.deviation = deviation;
    CU_ASSERT_EQUAL_FATAL(carry(&there, &here, &e), 0);
    CU_ASSERT(memcmp(here.wanted_mean, mean, sizeof mean) == 0); /* to the last bit */
    CU_ASSERT(memcmp(here.wanted_deviation, deviation, sizeof deviation) == 0);
    rg_dataset_free(&here);
}

static void test_names_of_classes(void)
{
    static char *flowers[] = {"setosa", "versicolor", "virginica"},
                *some[] = {NULL, "versicolor", ""}, *numbers[] = {"0", "1", "2"},
                *fewer[] = {"versicolor", "virginica", NULL},
                *others[] = {"setosa", "versicolor", "cat"}, *from_1[] = {"1", "2", "3"};
    static const struct {
        char **there, **here;
        const char *words;
    } cases[] = {
        {flowers, flowers, NULL},
        {flowers, NULL, NULL},
        {NULL, flowers, NULL},
        {flowers, some, NULL},
        {some, flowers, NULL},
        {flowers, numbers, NULL},
        {numbers, flowers, NULL},
        {from_1, from_1, NULL},
        {flowers, fewer, "class 0 is \"setosa\" there, and \"versicolor\" in this data"},
        {flowers, others, "class 2 is \"virginica\" there, and \"cat\" in this data"},
        {from_1, numbers, "\"1\" is class 0 there, and class 1 in this data"},
    };
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        struct rg_dataset there = {.inputs = 2, .classes = 3, .class_names = cases[i].there};
        struct rg_dataset here = {.inputs = 2, .classes = 3, .class_names = cases[i].here};
        struct rg_error e = {0};
        int err = carry(&there, &here, &e);
        CU_ASSERT_EQUAL(err, cases[i].words ? RG_ERR_INVALID : 0);
        CU_ASSERT_TRUE(!cases[i].words ||
                       complains(&e, scratch_path("carried.safetensors"), 0, cases[i].words));
    }
}

/* Inputs that stand for values: of the same values, or refused. */
static void test_names_of_inputs(void)
{
    static char *colours[] = {NULL, "colour=red"}, *others[] = {NULL, "colour=blue"},
                *turned[] = {"colour=red", NULL}, *ab[] = {"a", "b"}, *ba[] = {"b", "a"},
                *cb[] = {"c", "b"};
    static double zeros[] = {0, 0}, ones[] = {1, 1};
    static const struct {
        char **there, **here;
        const char *words;
    } cases[] = {
        {NULL, NULL, NULL},
        {colours, colours, NULL},
        {colours, others, "input 2 is \"colour=red\" there, and \"colour=blue\" in this data"},
        {colours, NULL, "input 2 is \"colour=red\" there, and \"\" in this data"},
        {NULL, colours, "input 2 is \"\" there, and \"colour=red\" in this data"},
        {turned, colours, "\"colour=red\" is input 1 there, and input 2 in this data"},
        {ab, ab, NULL},
        {ab, ba, "\"a\" is input 1 there, and input 2 in this data"},
        {ab, cb, NULL},
        {ab, NULL, NULL},
        {NULL, ab, NULL},
    };
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        struct rg_dataset there = {.inputs = 2, .classes = 3, .mean = zeros, .deviation = ones};
        struct rg_dataset here = there;
        there.input_names = cases[i].there;
        here.input_names = cases[i].here;
        struct rg_error e = {0};
        int err = carry(&there, &here, &e);
        CU_ASSERT_EQUAL(err, cases[i].words ? RG_ERR_INVALID : 0);
        CU_ASSERT_TRUE(!cases[i].words ||
                       complains(&e, scratch_path("carried.safetensors"), 0, cases[i].words));
        free(here.wanted_mean);
        free(here.wanted_deviation);
    }
    struct rg_dataset here = {.inputs = 2, .classes = 3, .input_names = colours};
    struct rg_error e = {0};
    CU_ASSERT_EQUAL(carry(NULL, &here, &e), 0); /* another program's file says nothing of it */
}

/* Metadata as another writer may have them. */
static void test_strange_scaling(void)
{
    static const char *const bad[][2] = {
        {"1", "1,1"},     {"1,2,3", "1,1"}, {"1,2", "1,0"}, {"1,2", "1,-1"}, {"1,nan", "1,1"},
        {"1,2", "inf,1"}, {"1;2", "1,1"},   {"", "1,1"},    {"1,2,", "1,1"}, {"1,2", "1,x"},
    };
    struct rg_network network = make_small();
    for (size_t i = 0; i <= RG_COUNT(bad); i++) {
        unsigned char bytes[600] = {0};
        char *header = (char *)bytes + 8;
        const char *const *texts = i < RG_COUNT(bad) ? bad[i] : (const char *[]){"1,-2", "1,2e-3"};
        int length =
            snprintf(header, 500,
                     "{\"__metadata__\":{\"inputs_mean\":\"%s\",\"inputs_deviation\":\"%s\"},"
                     "\"0.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]},"
                     "\"0.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[24,36]}}",
                     texts[0], texts[1]);
        memset(header + length, 0, 36);
        rg_put_u64(bytes, (uint64_t)length);
        const char *path = scratch_bytes("strange", bytes, 8 + (size_t)length + 36);
        struct rg_dataset data = {.inputs = 2};
        struct rg_error e = {0};
        float *values;
        int err = rg_checkpoint_load(path, &network, &data, &values, &e);
        CU_ASSERT_EQUAL(err, i < RG_COUNT(bad) ? RG_ERR_INVALID : 0);
        CU_ASSERT_TRUE(err == 0 || complains(&e, path, 0, "2 numbers between commas"));
        free(values);
        rg_dataset_free(&data);
    }
    rg_network_free(&network);
}

static const struct suite_test tests[] = {
    {"what is saved comes back", test_round_trip},
    {"the file is safetensors", test_format},
    {"another writer's order", test_foreign_order},
    {"damaged headers", test_damaged_headers},
    {"damaged files", test_damaged_files},
    {"paths", test_paths},
    {"the scaling of inputs is told", test_scaling_is_told},
    {"the scaling of inputs is taken", test_scaling_is_taken},
    {"strange scalings are refused", test_strange_scaling},
    {"classes that contradict are refused", test_names_of_classes},
    {"inputs that contradict are refused", test_names_of_inputs},
};

int main(int argc, char **argv)
{
    return suite_main("checkpoint", tests, RG_COUNT(tests), argc, argv);
}
