/* Layers of sequences by their definitions: embedding, attention; and what dropout draws. */
#include "one_layer.h"

#include <cblas.h>

static void test_embedding(void)
{
    struct probe p;
    open_one(&p, "4", "<embedding outputs=\"3\" vocabulary=\"5\"/>");
    CU_ASSERT_EQUAL_FATAL(p.network.parameters, 5 * 3 + 4 * 3);
    struct rg_shape out = p.network.layers[0].out;
    CU_ASSERT(out.channels == 4 && out.height == 3 && out.width == 1);
    const float tokens[BATCH * 4] = {0, 4, 2, 2, 3, 1, 7, -1}; /* beyond both ends: the nearest */
    const int rows[BATCH * 4] = {0, 4, 2, 2, 3, 1, 4, 0};
    memcpy(p.x, tokens, sizeof tokens);
    value(&p);
    const float *y = rg_stage_output(&p.stage, BATCH, p.stash);
    float want[5 * 3 + 4 * 3] = {0};
    for (int i = 0; i < BATCH * 4 * 3; i++) {
        int row = rows[i / 3] * 3 + i % 3, place = 15 + i / 3 % 4 * 3 + i % 3;
        CU_ASSERT_EQUAL(y[i], p.w[row] + p.w[place]);
        want[row] += p.weight[i];
        want[place] += p.weight[i];
    }
    spoil(p.dw, 27);
    backward(&p, NULL, false);
    CU_ASSERT(memcmp(p.dw, want, sizeof want) == 0);
    probe_free(&p);
}

/* Attention in double precision, token by token. */
static void check_attention(int tokens, int width, int heads, bool causal)
{
    struct probe p;
    char input[40], element[100];
    snprintf(input, sizeof input, "%dx%dx1", tokens, width);
    snprintf(element, sizeof element, "<attention heads=\"%d\" causal=\"%s\"/>", heads,
             causal ? "yes" : "no");
    open_one(&p, input, element);
    int each = width / heads;
    const float *wi = p.w, *bi = wi + 3 * width * width, *wo = bi + 3 * width;
    const float *bo = wo + width * width, *y = rg_stage_output(&p.stage, BATCH, p.stash);
    CU_ASSERT_EQUAL_FATAL(p.network.parameters, (size_t)(4 * width * (width + 1)));
    double qkv[3 * 64], others[3 * 64], o[64];
    for (int b = 0; b < BATCH; b++)
        for (int t = 0; t < tokens; t++) {
            for (int i = 0; i < width; i++)
                o[i] = 0;
            for (int h = 0; h < heads; h++) {
                double sum = 0, score[16];
                for (int pass = 0; pass < 2; pass++)
                    for (int u = 0; u < (causal ? t + 1 : tokens); u++) {
                        double dot = 0;
                        for (int j = 0; j < 3 * width; j++) {
                            qkv[j] = others[j] = bi[j];
                            for (int i = 0; i < width; i++) {
                                qkv[j] +=
                                    (double)wi[j * width + i] * p.x[(b * tokens + t) * width + i];
                                others[j] +=
                                    (double)wi[j * width + i] * p.x[(b * tokens + u) * width + i];
                            }
                        }
                        for (int i = 0; i < each; i++)
                            dot += qkv[h * each + i] * others[width + h * each + i];
                        score[u] = exp(dot / sqrt(each));
                        if (pass == 0)
                            sum += score[u];
                        for (int i = 0; i < each && pass == 1; i++)
                            o[h * each + i] += score[u] / sum * others[2 * width + h * each + i];
                    }
            }
            for (int j = 0; j < width; j++) {
                double want = bo[j];
                for (int i = 0; i < width; i++)
                    want += wo[j * width + i] * o[i];
                CU_ASSERT_DOUBLE_EQUAL(y[(b * tokens + t) * width + j], want, 1e-5);
            }
        }
    probe_free(&p);
}

static void test_attention(void)
{
    check_attention(5, 6, 1, false);
    check_attention(5, 6, 3, false);
    check_attention(4, 8, 2, true);
    check_attention(9, 4, 4, true);
    check_attention(1, 4, 2, true);
}

/* What comes after a token does not change what a causal layer makes of it. */
static void test_causal(void)
{
    struct probe p;
    float before[3 * 4];
    open_one(&p, "4x4x1", "<attention heads=\"2\" causal=\"yes\"/>");
    memcpy(before, rg_stage_output(&p.stage, BATCH, p.stash), sizeof before);
    for (int i = 0; i < 4; i++)
        p.x[3 * 4 + i] = 9;
    value(&p);
    CU_ASSERT(memcmp(before, rg_stage_output(&p.stage, BATCH, p.stash), sizeof before) == 0);
    probe_free(&p);
}

static void run(const struct probe *p, uint64_t seed, int64_t iteration, int first, bool evaluate)
{
    rg_stage_forward(&p->stage, &(struct rg_pass_args){.batch = BATCH,
                                                       .evaluate = evaluate,
                                                       .seed = seed,
                                                       .iteration = iteration,
                                                       .first = first,
                                                       .w = p->w,
                                                       .x = p->x,
                                                       .stash = p->stash,
                                                       .scratch = p->scratch});
}

static void test_dropout(void)
{
    enum { N = 4000 };
    struct probe p;
    static float once[BATCH * N];
    open_one(&p, "4000", "<dropout rate=\"0.25\"/>");
    float *y = rg_stage_output(&p.stage, BATCH, p.stash);
    run(&p, 1, 7, 3, false);
    memcpy(once, y, sizeof once);
    int dropped = 0, both = 0;
    for (int i = 0; i < BATCH * N; i++) {
        dropped += once[i] == 0;
        both += i < N && once[i] == 0 && once[N + i] == 0;
        CU_ASSERT(once[i] == 0 || once[i] == p.x[i] * (float)(1 / 0.75));
    }
    /* Binomial: 2000 of 8000, deviation 39; both samples 250 of 4000, deviation 15. */
    CU_ASSERT(abs(dropped - 2000) < 5 * 39 && abs(both - 250) < 5 * 15);
    run(&p, 1, 7, 3, false);
    CU_ASSERT(memcmp(y, once, sizeof once) == 0);
    run(&p, 1, 7, 4, false); /* the first sample is now where the second was */
    for (int i = 0; i < N; i++)
        CU_ASSERT((y[i] == 0) == (once[N + i] == 0));
    run(&p, 2, 7, 3, false);
    CU_ASSERT(memcmp(y, once, sizeof once) != 0);
    run(&p, 1, 8, 3, false);
    CU_ASSERT(memcmp(y, once, sizeof once) != 0);
    run(&p, 1, 7, 3, true);
    CU_ASSERT(memcmp(y, p.x, sizeof once) == 0);
    probe_free(&p);
}

/* Two layers of one network drop other values; one inside of another, too. */
static void test_dropout_layers(void)
{
    struct probe p;
    open_one(&p, "500", "<dropout rate=\"0.5\"/><residual><dropout rate=\"0.5\"/></residual>");
    const float *inner = rg_stage_output(&p.stage, BATCH, p.stash);
    int kinds[3] = {0}; /* what passed both, one, none */
    for (int i = 0; i < 500; i++) {
        double grown = inner[i] / p.x[i];
        kinds[0] += fabs(grown - 6) < 1e-4; /* 2, and 2 times 2 more */
        kinds[1] += fabs(grown - 2) < 1e-4;
        kinds[2] += grown == 0;
    }
    CU_ASSERT_EQUAL(kinds[0] + kinds[1] + kinds[2], 500);
    CU_ASSERT(abs(kinds[0] - 125) < 50 && abs(kinds[1] - 125) < 50);
    probe_free(&p);
}

static void refuses(const char *input, const char *element, const char *words)
{
    char text[600];
    struct rg_network network;
    struct rg_error e = {0};
    snprintf(text, sizeof text, "<network name=\"n\" input=\"%s\">\n%s\n</network>\n", input,
             element);
    CU_ASSERT_EQUAL(rg_network_load(scratch_text("network.xml", text), &network, &e),
                    RG_ERR_INVALID);
    if (!strstr(e.text, "network.xml:2: ") || !strstr(e.text, words))
        fprintf(stderr, "wanted %s, got %s\n", words, e.text);
    CU_ASSERT(strstr(e.text, "network.xml:2: ") && strstr(e.text, words));
}

static void test_errors(void)
{
    refuses("4x6x1", "<attention heads=\"4\"/>", "must divide the 6 values of a token");
    refuses("4", "<dense outputs=\"4\"/><embedding outputs=\"2\" vocabulary=\"3\"/>",
            "can only be the first");
    refuses("4", "<residual><embedding outputs=\"1\" vocabulary=\"3\"/></residual>",
            "layer 0 inside of another: an embedding layer can only be the first");
    refuses("4", "<embedding outputs=\"2\"/>", "needs the attribute \"vocabulary\"");
    refuses("4", "<dropout/>", "needs the attribute \"rate\"");
    refuses("4", "<dropout rate=\"1\"/>", "0 to below 1");
    refuses("4", "<batchnorm momentum=\"2\"/>", "momentum");
    refuses("4", "<batchnorm momentum=\"0\"/>", "numbers from 1e-06 up to 1");
    refuses("4", "<layernorm epsilon=\"0\"/>", "numbers from 1e-12 up to 1");
    refuses("6x2x2", "<groupnorm groups=\"4\"/>", "must divide the 6 channels");
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"embedding", test_embedding},
        {"attention by its definition", test_attention},
        {"no token sees those after it", test_causal},
        {"dropout", test_dropout},
        {"dropout of several layers", test_dropout_layers},
        {"what is refused", test_errors},
    };
    openblas_set_num_threads(1);
    return suite_main("layers of sequences", tests, RG_COUNT(tests), argc, argv);
}
