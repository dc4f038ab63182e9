/* What layers compute, against their definitions, which share no code with them: windows of every
 * shape, groups, activations, chains inside of layers. */
#include "one_layer.h"

#include "models/activation.h"

#include <cblas.h>

/* Value (c, row, column) of sample b of the input, or what is round it. */
static double seen(const struct probe *p, int b, int c, int row, int column, double round)
{
    struct rg_shape in = p->network.input;
    if (row < 0 || row >= in.height || column < 0 || column >= in.width)
        return round;
    return p->x[((b * in.channels + c) * in.height + row) * in.width + column];
}

/* Of the window at (i, j) of channel c: what the kind makes of it. */
static double window(const struct probe *p, const char *kind, int b, int o, int i, int j)
{
    const struct rg_layer *layer = &p->network.layers[0];
    const struct rg_layer_spec *s = &layer->spec;
    struct rg_extent k = s->kernel;
    bool mean = strcmp(kind, "avgpool") == 0, most = strcmp(kind, "maxpool") == 0;
    int groups = mean || most ? layer->in.channels : s->groups;
    int own = layer->in.channels / groups, outputs = layer->out.channels / groups;
    const float *w = p->w + (size_t)o * (size_t)(own * k.height * k.width);
    double sum = 0, best = -INFINITY;
    for (int c = 0; c < own; c++)
        for (int y = 0; y < k.height; y++)
            for (int x = 0; x < k.width; x++) {
                double v =
                    seen(p, b, o / outputs * own + c, i * s->stride.height + y - s->padding.height,
                         j * s->stride.width + x - s->padding.width, most ? -INFINITY : 0);
                best = fmax(best, v);
                sum += mean || most ? v : v * w[(c * k.height + y) * k.width + x];
            }
    if (most)
        return best;
    if (mean)
        return sum / (k.height * k.width);
    size_t weights = (size_t)layer->out.channels * (size_t)(own * k.height * k.width);
    return s->no_bias ? sum : sum + p->w[weights + (size_t)o];
}

static void check_windows(const char *input, const char *element)
{
    struct probe p;
    open_one(&p, input, element);
    const struct rg_layer *layer = &p.network.layers[0];
    const float *y = rg_stage_output(&p.stage, BATCH, p.stash);
    struct rg_shape out = layer->out;
    for (int at = 0; at < BATCH * out.channels * out.height * out.width; at++) {
        int j = at % out.width, i = at / out.width % out.height;
        int o = at / (out.width * out.height) % out.channels;
        int b = at / (out.width * out.height * out.channels);
        double want = window(&p, layer->spec.ops->name, b, o, i, j);
        if (fabs(y[at] - want) > 1e-5)
            fprintf(stderr, "%s: %g instead of %g\n", element, y[at], want);
        CU_ASSERT_DOUBLE_EQUAL(y[at], want, 1e-5);
    }
    probe_free(&p);
}

static void test_windows(void)
{
#define CONV "<conv2d activation=\"identity\" "
    check_windows("4x6x5", CONV "outputs=\"6\" kernel=\"3\" padding=\"1\" groups=\"2\"/>");
    check_windows("4x6x5", CONV "outputs=\"4\" kernel=\"3\" padding=\"1\" groups=\"4\"/>");
    check_windows("4x6x5", CONV "outputs=\"8\" kernel=\"3\" stride=\"2\" groups=\"4\"/>");
    check_windows("2x7x4", CONV "outputs=\"3\" kernel=\"5x2\" stride=\"1x2\" padding=\"2x1\"/>");
    check_windows("2x7x4", CONV "outputs=\"3\" kernel=\"1x3\" padding=\"0x1\" bias=\"no\"/>");
    check_windows("3x1x9", CONV "outputs=\"2\" kernel=\"1x5\" stride=\"1x2\" padding=\"0x2\"/>");
    check_windows("3x5x4", CONV "outputs=\"2\" kernel=\"1\"/>");
    check_windows("3x5x4", CONV "outputs=\"2\" kernel=\"1\" padding=\"1\"/>");
    check_windows("3x5x4", CONV "outputs=\"2\" kernel=\"1\" stride=\"2\" bias=\"no\"/>");
    check_windows("3x5x4", CONV "outputs=\"2\" kernel=\"3\" stride=\"2x1\" padding=\"1\"/>");
#undef CONV
    check_windows("2x7x9", "<maxpool kernel=\"3\" stride=\"2\" padding=\"1\"/>");
    check_windows("2x8x8", "<maxpool kernel=\"2\" padding=\"1\"/>");
    check_windows("2x7x9", "<maxpool kernel=\"1x4\" stride=\"3x1\"/>");
    check_windows("2x7x9", "<maxpool kernel=\"3x2\" stride=\"1x2\" padding=\"2x1\"/>");
    check_windows("2x7x9", "<avgpool kernel=\"2\"/>");
    check_windows("2x7x9", "<avgpool kernel=\"3\" stride=\"2x1\" padding=\"1x2\"/>");
    check_windows("3x7x9", "<avgpool/>");
    check_windows("3x7x9", "<avgpool kernel=\"7x9\"/>");
    check_windows("3x1x40", "<avgpool kernel=\"1x40\"/>");
}

/* dense over tokens is dense of each token. */
static void test_tokens(void)
{
    struct probe p;
    open_one(&p, "5x3", "<dense outputs=\"4\" over=\"tokens\"/>");
    CU_ASSERT_EQUAL(p.network.parameters, 4 * 15 + 4); /* an image: one channel, so one token */
    struct rg_shape one = p.network.layers[0].out;
    CU_ASSERT(one.channels == 1 && one.height == 4 && one.width == 1);
    probe_free(&p);
    open_one(&p, "5x3x1", "<dense outputs=\"4\" over=\"tokens\"/>");
    CU_ASSERT_EQUAL_FATAL(p.network.parameters, 3 * 4 + 4);
    struct rg_shape out = p.network.layers[0].out;
    CU_ASSERT(out.channels == 5 && out.height == 4 && out.width == 1);
    const float *y = rg_stage_output(&p.stage, BATCH, p.stash);
    for (int at = 0; at < BATCH * 5 * 4; at++) {
        double sum = p.w[12 + at % 4];
        for (int i = 0; i < 3; i++)
            sum += (double)p.w[at % 4 * 3 + i] * p.x[at / 4 * 3 + i];
        CU_ASSERT_DOUBLE_EQUAL(y[at], sum, 1e-5);
    }
    probe_free(&p);
}

/* Values of activations, from libm's double precision. */
static double exact(enum rg_activation activation, double z)
{
    double s = 1 / (1 + exp(-z)), u = sqrt(2 / acos(-1)) * (z + 0.044715 * z * z * z);
    switch (activation) {
    case RG_ACT_IDENTITY:
        return z;
    case RG_ACT_RELU:
        return fmax(z, 0);
    case RG_ACT_TANH:
        return tanh(z);
    case RG_ACT_SIGMOID:
        return s;
    case RG_ACT_RELU6:
        return fmin(fmax(z, 0), 6);
    case RG_ACT_HARDSWISH:
        return z * fmin(fmax(z + 3, 0), 6) / 6;
    case RG_ACT_SILU:
        return z * s;
    case RG_ACT_GELU:
        return 0.5 * z * (1 + tanh(u));
    default:
        return NAN;
    }
}

/* On [-20, 20] and far out: within some units in the last place of the larger of value and input's
 * effect; slopes by differences of the exact ones. */
static void test_activations(void)
{
    enum { COUNT = 4096 };
    static float y[COUNT], z[COUNT], kept[COUNT], slope[COUNT], zero[COUNT];
    for (int a = RG_ACT_DEFAULT + 1; a < RG_ACTIVATIONS; a++) {
        enum rg_activation activation = (enum rg_activation)a;
        for (int i = 0; i < COUNT; i++) {
            z[i] = (float)(i - COUNT / 2) / (COUNT / 2) * (i % 2 ? 20 : 4);
            y[i] = z[i];
            slope[i] = 1;
        }
        y[0] = z[0] = -1e4f;
        y[1] = z[1] = 1e4f;
        rg_bias_activate(activation, 1, COUNT, zero, y, kept);
        rg_bias_backward(activation, 1, COUNT, y, kept, slope, false, NULL);
        double off = 0, slope_off = 0;
        for (int i = 0; i < COUNT; i++) {
            double want = exact(activation, z[i]), h = 1e-4;
            double rise = (exact(activation, z[i] + h) - exact(activation, z[i] - h)) / (2 * h);
            bool kink = fabs(fabs(z[i]) - 3) < 1e-3 || fabs(z[i]) < 1e-3 || fabs(z[i] - 6) < 1e-3;
            off = fmax(off, fabs(y[i] - want) / fmax(1, fabs(want)));
            if (!kink && fabs(z[i]) < 100)
                slope_off = fmax(slope_off, fabs(slope[i] - rise));
        }
        if (off > 2e-7 || slope_off > 1e-5)
            fprintf(stderr, "%s: off %g, slopes %g\n", rg_activation_infos[a].name, off, slope_off);
        CU_ASSERT(off <= 2e-7);
        CU_ASSERT(slope_off <= 1e-5);
        CU_ASSERT(rg_activation_stash(activation, 7) ==
                  (rg_activation_infos[a].kept == RG_KEEPS_INPUT ? 7 : 0));
    }
    CU_ASSERT(isnan(rg_sigmoid(NAN)) && rg_sigmoid(INFINITY) == 1);
    CU_ASSERT(rg_sigmoid(0) == 0.5f && rg_sigmoid(-90) > 0 && rg_sigmoid(-INFINITY) < 1e-40f);
}

/* Without a bias nothing changes but by the activation; one bias for each, one for a row of pixels.
 */
static void test_no_bias(void)
{
    float y[6] = {-1, 0.0f, -0.0f, 2, 7, -8}, z[6];
    rg_bias_activate(RG_ACT_IDENTITY, 2, 3, NULL, y, NULL);
    CU_ASSERT(y[0] == -1 && y[5] == -8 && !signbit(y[1]) && signbit(y[2]));
    rg_channel_bias_activate(RG_ACT_SILU, 2, 3, NULL, y, z);
    CU_ASSERT(z[0] == -1 && z[5] == -8 && y[3] == silu_of(2));
    rg_channel_bias_activate(RG_ACT_RELU, 2, 3, (float[]){1, -7}, y, NULL);
    CU_ASSERT(y[4] == 0 && y[1] == 1);
}

/* A residual connection by hand: its body is the same layer alone. */
static void test_connection(void)
{
    struct probe p, alone, beside;
    open_one(&p, "2x4x3",
             "<residual activation=\"relu\"><conv2d outputs=\"3\" kernel=\"3\" padding=\"1\"/>"
             "<shortcut><conv2d outputs=\"3\" kernel=\"1\" activation=\"identity\"/></shortcut>"
             "</residual>");
    open_one(&alone, "2x4x3", "<conv2d outputs=\"3\" kernel=\"3\" padding=\"1\"/>");
    open_one(&beside, "2x4x3", "<conv2d outputs=\"3\" kernel=\"1\" activation=\"identity\"/>");
    size_t first = alone.network.parameters, second = beside.network.parameters;
    CU_ASSERT_EQUAL_FATAL(p.network.parameters, first + second);
    memcpy(alone.x, p.x, BATCH * 2 * 4 * 3 * sizeof *p.x);
    memcpy(beside.x, p.x, BATCH * 2 * 4 * 3 * sizeof *p.x);
    memcpy(alone.w, p.w, first * sizeof *p.w);
    memcpy(beside.w, p.w + first, second * sizeof *p.w);
    value(&alone);
    value(&beside);
    const float *y = rg_stage_output(&p.stage, BATCH, p.stash);
    const float *a = rg_stage_output(&alone.stage, BATCH, alone.stash);
    const float *b = rg_stage_output(&beside.stage, BATCH, beside.stash);
    for (int i = 0; i < BATCH * 3 * 4 * 3; i++)
        CU_ASSERT_EQUAL(y[i], a[i] + b[i] > 0 ? a[i] + b[i] : 0);
    probe_free(&beside);
    probe_free(&alone);
    probe_free(&p);
}

struct names {
    char text[400];
    size_t end;
};

static void take_name(const struct rg_tensor *tensor, void *context)
{
    struct names *names = context;
    CU_ASSERT_EQUAL(tensor->offset, names->end); /* one after the other, no gaps */
    names->end += tensor->count;
    strcat(strcat(names->text, tensor->name), " ");
}

static void test_names(void)
{
    struct rg_network network;
    struct rg_error e = {0};
    struct names names = {.text = ""};
    const char *path = scratch_text(
        "network.xml", "<network name=\"n\" input=\"2x4x4\"><conv2d outputs=\"2\" kernel=\"1\"/>\n"
                       "<residual><maxpool kernel=\"2\"/><residual><conv2d outputs=\"2\" "
                       "kernel=\"1\" bias=\"no\"/></residual><shortcut><conv2d outputs=\"2\" "
                       "kernel=\"2\" stride=\"2\"/></shortcut></residual></network>");
    CU_ASSERT_EQUAL_FATAL(rg_network_load(path, &network, &e), 0);
    for (int i = 0; i < network.layer_count; i++)
        rg_layer_tensors(&network.layers[i], take_name, &names);
    CU_ASSERT_EQUAL(names.end, network.parameters);
    CU_ASSERT_STRING_EQUAL(names.text, "0.weight 0.bias 1.body.1.body.0.weight "
                                       "1.shortcut.0.weight 1.shortcut.0.bias ");
    CU_ASSERT_PTR_NULL(rg_layer_kind("shortcut"));
    rg_network_free(&network);
}

/* The longest name of a tensor: as deep as layers can be in others, each the last of many. */
static void take_longest(const struct rg_tensor *tensor, void *context)
{
    char *longest = context;
    strcpy(longest, tensor->name);
}

static void test_longest_name(void)
{
    static const char open[] = "<residual><dropout rate=\"0\"/><shortcut>"
                               "<dropout rate=\"0\" repeat=\"1900\"/>";
    static const char close[] = "</shortcut></residual>";
    struct rg_network network;
    struct rg_error e = {0};
    char text[2000], longest[200] = "";
    snprintf(text, sizeof text,
             "<network name=\"n\" input=\"4\"><dropout rate=\"0\" repeat=\"1900\"/>"
             "%s%s%s%s<attention/>%s%s%s%s</network>",
             open, open, open, open, close, close, close, close);
    int err = rg_network_load(scratch_text("network.xml", text), &network, &e);
    if (err)
        fprintf(stderr, "%s\n", e.text);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    rg_layer_tensors(&network.layers[1900], take_longest, longest);
    CU_ASSERT_STRING_EQUAL(longest, "1900.shortcut.1900.shortcut.1900.shortcut.1900.shortcut.1900."
                                    "out_proj.bias");
    rg_network_free(&network);
}

/* A whole pass needs less room than one in halves, whose gradients between layers stay. */
static void test_room(void)
{
    struct probe p;
    open_one(&p, "32", "<residual><dense outputs=\"64\"/><dense outputs=\"32\"/></residual>");
    uint64_t inner = 2 * BATCH * 64, dy = BATCH * 32; /* two gradients between; a copy of dy */
    CU_ASSERT_EQUAL(rg_stage_scratch(&p.stage, BATCH), inner + dy);
    CU_ASSERT_EQUAL(rg_stage_halves(&p.stage, BATCH), BATCH * 64);
    probe_free(&p);
}

/* Of a batch of 2, counted by hand from what the passes do: operations, floats read and written. */
static void check_cost(const char *input, const char *element, enum rg_pass pass, double flops,
                       double moved)
{
    struct probe p;
    struct rg_work work = {0};
    open_one(&p, input, element);
    p.network.layers[0].spec.ops->cost(&p.network.layers[0], 2, pass, &work);
    double have = rg_work_flops(&work), bytes = rg_work_bytes(&work);
    if (have != flops || bytes != sizeof(float) * moved)
        fprintf(stderr, "%s, pass %d: %g operations, %g floats instead of %g, %g\n", element,
                (int)pass, have, bytes / sizeof(float), flops, moved);
    CU_ASSERT(have == flops && bytes == sizeof(float) * moved);
    rg_work_free(&work);
    probe_free(&p);
}

static void test_costs(void)
{
    /* 8 rows to 18 values, 4 heads of 4 x 4 shares of 3 values each, 8 rows of 6. */
    static const char attention[] = "<attention heads=\"2\"/>";
    check_cost("4x6x1", attention, RG_FORWARD, 1728 + 144 + 384 + 24 * 64 + 384 + 576 + 48,
               444 + 288 + 4 * 56 + 4 * 64 + 4 * 52 + 180 + 96);
    double flops = 48 + 576 + 384 + 3 * 384 + 4 * 64 + 144, products = 576 + 1728;
    double moved = 48 + 2 * 108 + 4 * 56 + 12 * 52 + 3 * 64 + 144, matrices = 168 + 408;
    check_cost("4x6x1", attention, RG_BACKWARD_FIRST, flops + products, moved + matrices);
    check_cost("4x6x1", attention, RG_BACKWARD, flops + products + 1728, moved + matrices + 348);
    /* 12 values: two passes for moments, one to write, one for tanh, at 20; 3 to go back. */
    static const char norm[] = "<layernorm activation=\"tanh\"/>";
    check_cost("6", norm, RG_FORWARD, (4 + 3 + 1 + 20) * 12, (2 + 2 + 2) * 12);
    check_cost("6", norm, RG_BACKWARD_FIRST, (1 + 3 + 5) * 12, (3 + 2) * 12);
    check_cost("6", norm, RG_BACKWARD, (1 + 3 + 5 + 6) * 12, (3 + 2 + 3) * 12);
    /* 8 tokens of 3 values: a row and a place; backward clears both tables, and adds to both. */
    static const char embedding[] = "<embedding outputs=\"3\" vocabulary=\"5\"/>";
    check_cost("4", embedding, RG_FORWARD, 24, 3 * 24);
    check_cost("4", embedding, RG_BACKWARD_FIRST, 2 * 24, 5 * 3 + 4 * 3 + 2 * 3 * 24);
    /* 8 windows of 4 values. */
    check_cost("1x4x4", "<avgpool kernel=\"2\"/>", RG_FORWARD, 32 + 8, 32 + 8);
    check_cost("1x4x4", "<avgpool kernel=\"2\"/>", RG_BACKWARD, 32 + 8, 2 * 32 + 8);
    check_cost("6", "<dropout rate=\"0.5\"/>", RG_FORWARD, 18 * 12, 2 * 12);
    check_cost("6", "<dropout rate=\"0.5\"/>", RG_BACKWARD, 18 * 12, 2 * 12);
    /* Two samples, two groups of one channel: products alone. */
    check_cost("2x3x3",
               "<conv2d outputs=\"2\" kernel=\"1\" groups=\"2\" bias=\"no\" "
               "activation=\"identity\"/>",
               RG_FORWARD, 4 * 18, 4 * 28);
    check_cost("2x3x3", "<conv2d outputs=\"2\" kernel=\"1\" groups=\"2\" activation=\"identity\"/>",
               RG_FORWARD, 4 * 18 + 36, 4 * 28 + 2 * 36);
    /* 2 x 4 values to 2 x 6 in both chains; 12 are added and bent, 8 come together again. */
    static const char block[] =
        "<residual activation=\"relu\"><dense outputs=\"6\"/>"
        "<shortcut><dense outputs=\"6\" bias=\"no\"/></shortcut></residual>";
    check_cost("4", block, RG_FORWARD, 2 * 96 + 12 + 12 + 24, 2 * 56 + 24 + 36 + 24);
    check_cost("4", block, RG_BACKWARD_FIRST, 24 + 12 + 2 * 96, 36 + 24 + 12 + 2 * 68);
    check_cost("4", block, RG_BACKWARD, 24 + 12 + 4 * 96 + 8, 36 + 24 + 12 + 2 * (68 + 52) + 24);
    /* The first layer of a network hands nothing back, so nothing is copied for that. */
    check_cost("4", "<residual><dense outputs=\"4\" bias=\"no\"/></residual>", RG_BACKWARD_FIRST,
               64, 8 + 8 + 32);
}

/* Twice as wide: what is inside grows with what is outside, groups for every channel stay that. */
static void test_scale(void)
{
    struct rg_network network, wide;
    struct rg_error e = {0};
    const char *path = scratch_text(
        "network.xml",
        "<network name=\"n\" input=\"2x4x4\"><conv2d outputs=\"6\" kernel=\"1\"/>\n"
        "<residual repeat=\"2\"><conv2d outputs=\"10\" kernel=\"1\"/><conv2d outputs=\"10\" "
        "kernel=\"3\" padding=\"1\" groups=\"10\"/><conv2d outputs=\"6\" kernel=\"1\"/></residual>"
        "<dense outputs=\"3\"/></network>");
    CU_ASSERT_EQUAL_FATAL(rg_network_load(path, &network, &e), 0);
    CU_ASSERT_EQUAL(rg_network_widest(&network), 10);
    CU_ASSERT_EQUAL_FATAL(rg_network_scale(&network, 20, &wide, &e), 0);
    const struct rg_network *body = wide.layers[2].body;
    CU_ASSERT(body->layers[1].out.channels == 20 && body->layers[1].spec.groups == 20);
    CU_ASSERT(wide.layers[2].out.channels == 12 && wide.classes == 3);
    CU_ASSERT_EQUAL(wide.parameters, (2 + 1) * 12 +
                                         2 * ((12 + 1) * 20 + (9 + 1) * 20 + (20 + 1) * 12) +
                                         (12 * 16 + 1) * 3);
    rg_network_free(&wide);
    rg_network_free(&network);
}

/* Heads and groups go on dividing what is wider, and classes stay what they are where the last
 * layer has others inside. */
static void test_scale_parts(void)
{
    struct rg_network network, wide;
    struct rg_error e = {0};
    const char *path = scratch_text(
        "network.xml",
        "<network name=\"n\" input=\"4x5x1\"><dense outputs=\"12\" over=\"tokens\"/>\n"
        "<residual><attention heads=\"3\"/></residual><conv2d outputs=\"8\" kernel=\"1\"/>"
        "<groupnorm groups=\"2\"/><dense outputs=\"9\"/>"
        "<residual><dense outputs=\"10\"/><dense outputs=\"9\"/></residual>"
        "<residual><dense outputs=\"3\"/><shortcut><dense outputs=\"7\"/><dense outputs=\"3\"/>"
        "</shortcut></residual><residual><dense outputs=\"9\"/><dense outputs=\"3\"/></residual>"
        "<layernorm/></network>");
    CU_ASSERT_EQUAL_FATAL(rg_network_load(path, &network, &e), 0);
    CU_ASSERT_EQUAL(rg_network_widest(&network), 12);
    for (int widest = 12; widest < 40; widest++) {
        int err = rg_network_scale(&network, widest, &wide, &e);
        if (err)
            fprintf(stderr, "%d: %s\n", widest, e.text);
        CU_ASSERT_EQUAL_FATAL(err, 0);
        CU_ASSERT(wide.classes == 3 && wide.layers[0].out.height % 3 == 0);
        CU_ASSERT(widest > 12 || wide.parameters == network.parameters);
        rg_network_free(&wide);
    }
    rg_network_free(&network);
}

static void refuses(const char *inside, int line, const char *words)
{
    char text[1000], where[40];
    struct rg_network network;
    struct rg_error e = {0};
    snprintf(text, sizeof text, "<network name=\"n\" input=\"4x4x4\">\n%s\n</network>\n", inside);
    const char *path = scratch_text("network.xml", text);
    snprintf(where, sizeof where, "network.xml:%d: ", line);
    CU_ASSERT_EQUAL(rg_network_load(path, &network, &e), RG_ERR_INVALID);
    if (!strstr(e.text, where) || !strstr(e.text, words))
        fprintf(stderr, "wanted %s%s, got %s\n", where, words, e.text);
    CU_ASSERT(strstr(e.text, where) && strstr(e.text, words));
}

static void test_errors(void)
{
    refuses("<conv2d outputs=\"4\" kernel=\"3\" groups=\"3\"/>", 2, "must divide the 4 channels");
    refuses("<conv2d outputs=\"6\" kernel=\"3\" groups=\"4\"/>", 2, "the 6 outputs");
    refuses("<conv2d outputs=\"4\" kernel=\"3x9\"/>", 2, "kernel=\"3x9\"");
    refuses("<conv2d outputs=\"4\" kernel=\"3x3x3\"/>", 2, "N and HEIGHTxWIDTH are allowed");
    refuses("<conv2d outputs=\"4\" kernel=\"3\" stride=\"0\"/>", 2, "each 1 to 1024");
    refuses("<maxpool kernel=\"2\" padding=\"2x0\"/>", 2, "less than its kernel");
    refuses("<avgpool kernel=\"5\"/>", 2, "1 to 4 are allowed");
    refuses("<residual>\n<conv2d outputs=\"5\" kernel=\"1\"/></residual>", 2,
            "makes 5x4x4 of 4x4x4, its input is 4x4x4");
    refuses("<residual><conv2d outputs=\"5\" kernel=\"1\"/><shortcut><conv2d outputs=\"5\" "
            "kernel=\"2\"/></shortcut></residual>",
            2, "its <shortcut> 5x3x3");
    refuses("<residual>\n<conv2d outputs=\"5\" kernel=\"9\"/></residual>", 3, "kernel=\"9\"");
    refuses("<residual>\n<shortcut><avgpool/></shortcut></residual>", 2, "needs layers beside");
    refuses("<residual><avgpool/>\n<shortcut/></residual>", 3, "<shortcut> needs layers");
    refuses("<residual><avgpool kernel=\"1\"/><shortcut><avgpool kernel=\"1\"/></shortcut>\n"
            "<shortcut><avgpool kernel=\"1\"/></shortcut></residual>",
            3, "a second <shortcut>");
    refuses("<shortcut><avgpool/></shortcut>", 2, "unknown layer <shortcut>");
    refuses("<residual><avgpool kernel=\"1\"/><shortcut>\n<shortcut><avgpool kernel=\"1\"/>"
            "</shortcut><avgpool kernel=\"1\"/></shortcut></residual>",
            3, "unknown layer <shortcut>");
    refuses("<residual repeat=\"100\">\n<residual repeat=\"100\"><avgpool kernel=\"1\"/></residual>"
            "</residual>",
            2, "0 layers so far and 20100 more: up to 10000 are allowed");
    if (sizeof(size_t) > 4) /* else such an image is too large by itself */
        refuses(
            "<avgpool padding=\"1000\"/><maxpool kernel=\"1024\" stride=\"1\" padding=\"1023\"/>",
            2, "with what is round it: up to");
    refuses("<residual hidden=\"4\"><avgpool kernel=\"1\"/></residual>", 2,
            "unknown attribute \"hidden\"");
    refuses("<residual><residual><residual><residual><residual><avgpool kernel=\"1\"/></residual>"
            "</residual></residual></residual></residual>",
            2, "4 are allowed");
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"windows by their definition", test_windows},
        {"dense over tokens", test_tokens},
        {"activations", test_activations},
        {"no bias", test_no_bias},
        {"a residual connection by hand", test_connection},
        {"names of tensors inside", test_names},
        {"the longest name of a tensor", test_longest_name},
        {"room for passes", test_room},
        {"a wider network of heads and groups", test_scale_parts},
        {"costs by hand", test_costs},
        {"a wider network", test_scale},
        {"what is refused", test_errors},
    };
    openblas_set_num_threads(1);
    return suite_main("values of layers", tests, RG_COUNT(tests), argc, argv);
}
