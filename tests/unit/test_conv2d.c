/* Convolutions by their definition: the kernels, number by number and bit by bit, for each set of
 * vectors that this processor has; then the layer, of all shapes that images can be laid out in. */
#include "models/correlate.c"

#include "models/blas.h"
#include "one_layer.h"

#include <math.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 1 << 15, BEHIND = 64 };

/* ---- kernels ---- */

struct set {
    struct kernels with;
    bool fuses;
};

static int sets_of(struct set sets[3])
{
    int count = 0;
#if defined(__aarch64__)
    sets[count++] = (struct set){with_128, true};
#else
    sets[count++] = (struct set){with_128, false};
#endif
#ifdef RG_KERNELS_BY_FEATURE
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        sets[count++] = (struct set){with_256, true};
    if (__builtin_cpu_supports("avx512f"))
        sets[count++] = (struct set){with_512, true};
#endif
    return count;
}

static float added(bool fuses, float sum, float a, float b)
{
    volatile float product = a * b;
    return fuses ? fmaf(a, b, sum) : sum + product;
}

/* Places see what is 3 k + (k odd) further; weights of channels, then of outputs, stand apart. */
static struct rg_taps taps_for(int outputs, int channels, int places, ptrdiff_t x_at[],
                               ptrdiff_t w_at[])
{
    for (int k = 0; k < places; k++) {
        x_at[k] = 3 * k + k % 2;
        w_at[k] = places - 1 - k;
    }
    int all = channels * places;
    return (struct rg_taps){channels, places, outputs, 150, places, all + 1, x_at, w_at};
}

static float drawn_w[MOST], drawn_x[MOST], drawn_dy[MOST];

static void check_correlate(const struct set *set, const struct rg_taps *taps, size_t n)
{
    static float y[MOST];
    ptrdiff_t pitch = (ptrdiff_t)n + 3;
    bool same = true;
    for (int i = 0; i < MOST; i++)
        y[i] = 7;
    set->with.correlate(taps, drawn_w, drawn_x, n, y, pitch);
    for (int o = 0; o < taps->outputs; o++)
        for (ptrdiff_t f = 0; f < pitch; f++) {
            float sum = 0, part = 0;
            int group = 64 / taps->places * taps->places; /* whole channels */
            for (int t = 0; t < taps->channels * taps->places; t++) {
                int c = t / taps->places, k = t % taps->places;
                sum = t % group == 0 && t > 0 ? sum + part : sum;
                part = added(set->fuses, t % group ? part : 0,
                             drawn_w[o * taps->w_output + c * taps->w_channel + taps->w_at[k]],
                             drawn_x[c * taps->x_channel + taps->x_at[k] + f]);
            }
            same = same && y[o * pitch + f] == (f < (ptrdiff_t)n ? sum + part : 7);
        }
    CU_ASSERT(same);
}

static void check_rows(const struct set *set, const struct rg_taps *taps, size_t n, bool add)
{
    struct rg_runs rows = {n, 2, 170, 80, 40};
    static float dw[MOST];
    bool same = true;
    for (int i = 0; i < MOST; i++)
        dw[i] = 7;
    set->with.rows(taps, &rows, drawn_dy, drawn_x, add, dw);
    for (int t = 0; t < taps->outputs * taps->channels * taps->places; t++) {
        int k = t % taps->places, c = t / taps->places % taps->channels;
        int o = t / taps->places / taps->channels;
        float lanes[RG_ROW_UNIT] = {0};
        for (size_t i = 0; i < 2 * n; i++) {
            size_t piece = i / n, f = i % n;
            lanes[f % RG_ROW_UNIT] =
                added(set->fuses, lanes[f % RG_ROW_UNIT], drawn_dy[o * 170 + 80 * piece + f],
                      drawn_x[c * taps->x_channel + taps->x_at[k] + 40 * piece + f]);
        }
        for (int i = 8; i > 0; i /= 2) { /* 8 apart, then 4, then neighbours: 1, then 2 */
            int apart = i > 2 ? i : 3 - i;
            for (int j = 0; j < RG_ROW_UNIT; j++)
                if (j + apart < RG_ROW_UNIT && (i > 2 ? j < i : j % (2 * apart) == 0 && j < 4))
                    lanes[j] += lanes[j + apart];
        }
        float *at = &dw[o * taps->w_output + c * taps->w_channel + taps->w_at[k]];
        same = same && *at == (add ? 7 + lanes[0] : lanes[0]);
        *at = 7;
    }
    for (int i = 0; i < MOST; i++)
        same = same && dw[i] == 7; /* and nothing else */
    CU_ASSERT(same);
}

static void test_kernels(void)
{
    static const int outputs[] = {1, 2, 3, 5, 7, 8, 9, 16}, places[] = {1, 2, 5, 9};
    static const int channels[] = {1, 2, 70}; /* of the last several groups */
    struct set sets[3];
    int count = sets_of(sets);
    struct rg_random *random = rg_random_new(3, RG_STREAM_TEST, 0);
    draw(random, 1, MOST, drawn_w);
    draw(random, 1, MOST, drawn_x);
    draw(random, 1, MOST, drawn_dy);
    for (size_t i = 0; i < RG_COUNT(outputs) * RG_COUNT(places) * 3; i++) {
        ptrdiff_t x_at[9], w_at[9];
        struct rg_taps taps = taps_for(outputs[i / 3 % RG_COUNT(outputs)], channels[i % 3],
                                       places[i / 3 / RG_COUNT(outputs)], x_at, w_at);
        for (int s = 0; s < count; s++) {
            for (size_t n = 16; n <= 112; n += 16)
                check_correlate(&sets[s], &taps, n);
            for (size_t n = 16; n <= 80; n += 32)
                check_rows(&sets[s], &taps, n, n == 48);
        }
    }
    rg_random_free(random);
    for (int s = 0; s < count; s++)
        if (sets[s].with.correlate == best()->correlate)
            CU_ASSERT_EQUAL(rg_correlate_fuses(), sets[s].fuses);
    CU_ASSERT(best()->correlate == sets[count - 1].with.correlate);
}

/* ---- the layer ---- */

/* Calls see(y, w, x, ...) for all products of a convolution: offsets of what they join. */
typedef void seen(void *context, size_t y, size_t w, size_t x);

static void each_product(const struct rg_layer *layer, int batch, seen *see, void *context)
{
    const struct rg_layer_spec *spec = &layer->spec;
    struct rg_shape in = layer->in, out = layer->out;
    int per_group = in.channels / spec->groups, outputs = out.channels / spec->groups;
    size_t y = 0;
    for (int b = 0; b < batch; b++)
        for (int o = 0; o < out.channels; o++)
            for (int at = 0; at < out.height * out.width; at++, y++)
                for (int t = 0; t < per_group * spec->kernel.height * spec->kernel.width; t++) {
                    int j = t % spec->kernel.width,
                        i = t / spec->kernel.width % spec->kernel.height;
                    int c = t / spec->kernel.width / spec->kernel.height + o / outputs * per_group;
                    int row = at / out.width * spec->stride.height + i - spec->padding.height;
                    int column = at % out.width * spec->stride.width + j - spec->padding.width;
                    if (row < 0 || row >= in.height || column < 0 || column >= in.width)
                        continue;
                    int taps = per_group * spec->kernel.height * spec->kernel.width;
                    see(context, y, (size_t)(o * taps + t),
                        (size_t)(((b * in.channels + c) * in.height + row) * in.width + column));
                }
}

struct sums {
    const struct probe *p;
    double *y, *dw, *dx;
};

static void sum_up(void *context, size_t y, size_t w, size_t x)
{
    struct sums *s = context;
    s->y[y] += (double)s->p->w[w] * s->p->x[x];
    s->dw[w] += (double)s->p->weight[y] * s->p->x[x];
    s->dx[x] += (double)s->p->weight[y] * s->p->w[w];
}

static double apart(size_t n, const float *have, const double *want)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++)
        worst = isnan(have[i]) ? INFINITY : fmax(worst, fabs(have[i] - want[i]));
    return worst;
}

/* Numbers behind scratch, which are to stay. */
static float *put_behind(struct probe *p)
{
    size_t size = rg_stage_scratch(&p->stage, p->batch);
    p->scratch = floats(p->mem, size + BEHIND);
    for (int i = 0; i < BEHIND; i++)
        p->scratch[size + (size_t)i] = (float)i;
    return p->scratch + size;
}

/* One layer without bias on a batch; sums in double. Each sample by itself gives its bits of y and
 * dx. */
static void check_layer(const char *input, const char *attributes, int batch)
{
    char text[1000];
    struct rg_network network;
    struct rg_error e = {0};
    struct probe p;
    snprintf(text, sizeof text,
             "<network name=\"n\" input=\"%s\"><conv2d activation=\"identity\" bias=\"no\" "
             "%s/></network>",
             input, attributes);
    RG_ASSERT(rg_network_load(scratch_text("network.xml", text), &network, &e) == 0);
    probe_open(&p, network, batch);
    const struct rg_layer *layer = &p.network.layers[0];
    size_t in = layer->inputs, out = layer->outputs, all = (size_t)batch;
    struct sums s = {&p, calloc(all * out, sizeof(double)),
                     calloc(layer->parameters, sizeof(double)), calloc(all * in, sizeof(double))};
    float *y = floats(p.mem, all * out), *dx = floats(p.mem, all * in), *behind = put_behind(&p);
    RG_ASSERT(s.y && s.dw && s.dx);
    each_product(layer, batch, sum_up, &s);
    spoil(p.dw, layer->parameters);
    spoil(p.dx, all * in);
    value(&p);
    memcpy(y, rg_stage_output(&p.stage, batch, p.stash), all * out * sizeof *y);
    backward(&p, p.dx, false);
    memcpy(dx, p.dx, all * in * sizeof *dx);
    double off[] = {apart(all * out, y, s.y), apart(layer->parameters, p.dw, s.dw),
                    apart(all * in, dx, s.dx)};
    if (!(off[0] < 1e-4 && off[1] < 1e-3 && off[2] < 1e-4))
        fprintf(stderr, "%s, %s: %g %g %g\n", input, attributes, off[0], off[1], off[2]);
    CU_ASSERT(off[0] < 1e-4 && off[1] < 1e-3 && off[2] < 1e-4);
    for (size_t b = 0; b < all; b++) {
        spoil(p.scratch, rg_stage_scratch(&p.stage, 1));
        stage_forward(&p.stage, 1, p.w, p.x + b * in, p.stash, p.scratch);
        CU_ASSERT(memcmp(y + b * out, rg_stage_output(&p.stage, 1, p.stash), out * sizeof *y) == 0);
        memcpy(p.dy, p.weight + b * out, out * sizeof *p.dy);
        stage_backward(&p.stage, 1, p.w, p.x + b * in, p.stash, p.dy, p.dx, p.dw, false, p.scratch);
        CU_ASSERT(memcmp(dx + b * in, p.dx, in * sizeof *dx) == 0);
    }
    for (int i = 0; i < BEHIND; i++)
        CU_ASSERT(behind[i] == (float)i);
    free(s.y);
    free(s.dw);
    free(s.dx);
    probe_free(&p);
}

static void test_shapes(void)
{
    check_layer("3x32x32", "outputs=\"9\" kernel=\"3\" padding=\"1\"", 3);
    check_layer("2x20x21", "outputs=\"5\" kernel=\"3\" padding=\"1\"", 7); /* groups of 3 */
    check_layer("4x8x8", "outputs=\"12\" kernel=\"3\" padding=\"1\"", 15); /* of 13 */
    check_layer("3x9x7", "outputs=\"6\" kernel=\"5\" padding=\"2\"", 17);
    check_layer("3x2x2", "outputs=\"5\" kernel=\"3\" padding=\"1\"", 5); /* joined */
    check_layer("3x1x1", "outputs=\"4\" kernel=\"3\" padding=\"1\"", 18);
    check_layer("7x1x1", "outputs=\"9\" kernel=\"1\"", 20);
    check_layer("5x4x4", "outputs=\"8\" kernel=\"1\"", 70); /* as they are */
    check_layer("6x8x8", "outputs=\"6\" kernel=\"1\" groups=\"3\"", 17);
    check_layer("5x3x3", "outputs=\"8\" kernel=\"1\"", 9);
    check_layer("3x17x16", "outputs=\"4\" kernel=\"3\" stride=\"2\" padding=\"1\"", 3);
    check_layer("3x16x16", "outputs=\"4\" kernel=\"1\" stride=\"2\"", 5); /* unseen values */
    check_layer("2x11x13", "outputs=\"3\" kernel=\"2x3\" stride=\"3x2\" padding=\"0x4\"", 9);
    check_layer("2x10x9", "outputs=\"3\" kernel=\"4x1\" stride=\"2x5\" padding=\"3x2\"", 4);
    check_layer("6x12x12", "outputs=\"6\" kernel=\"3\" padding=\"1\" groups=\"6\"", 8);
    check_layer("6x4x4", "outputs=\"12\" kernel=\"3\" stride=\"2\" padding=\"1\" groups=\"6\"", 50);
    check_layer("4x1x50", "outputs=\"6\" kernel=\"1x5\" padding=\"0x2\" groups=\"2\"", 30);
    /* the last place of phase 0 sees a zero, beside which is data of phase 1 */
    check_layer("2x2x31", "outputs=\"3\" kernel=\"1x3\" stride=\"1x2\" padding=\"0x1\"", 2);
    /* the last place of phase 0 is beyond the outputs and the zeros that rows share */
    check_layer("2x5x5", "outputs=\"3\" kernel=\"4\" stride=\"2\" padding=\"2\"", 3);
    check_layer("2x3x2", "outputs=\"2\" kernel=\"7\" padding=\"5\"", 3);
}

/* Shared among threads, without a bit of difference, whoever comes first. */
static void test_threads(void)
{
    static float alone[MOST], shared[MOST], dw[2][MOST];
    ptrdiff_t x_at[9], w_at[9];
    struct rg_taps taps = taps_for(17, 3, 9, x_at, w_at);
    struct rg_runs rows = {112, 1, 170, 0, 0};
    rg_correlate(&taps, drawn_w, drawn_x, 112, alone, 112);
    rg_correlate_rows(&taps, &rows, drawn_dy, drawn_x, false, dw[0]);
    for (int threads = 2; threads < 8; threads++) {
        rg_blas_set_threads(threads);
        for (int i = 0; i < 50; i++) {
            memset(shared, 0, sizeof shared);
            memset(dw[1], 0, sizeof dw[1]);
            rg_correlate(&taps, drawn_w, drawn_x, 112, shared, 112);
            rg_correlate_rows(&taps, &rows, drawn_dy, drawn_x, false, dw[1]);
            CU_ASSERT(memcmp(alone, shared, sizeof alone) == 0);
            CU_ASSERT(memcmp(dw[0], dw[1], sizeof dw[0]) == 0);
        }
    }
    rg_blas_set_threads(1);
}

static void count_part(void *context, int part, int parts)
{
    atomic_int *done = context;
    size_t from, to;
    rg_team_share(10, 3, part, parts, &from, &to);
    if (from % 3 != 0 || (to % 3 != 0 && to != 10))
        atomic_fetch_add(&done[0], 100);
    for (size_t i = from; i < to; i++)
        atomic_fetch_add(&done[i], 1);
    atomic_fetch_add(&done[10], 1);
    atomic_store(&done[11], parts);
}

/* Every unit is of one part, and all parts are there: for work that is worth it. */
static void test_team(void)
{
    for (int threads = 1; threads < 7; threads++)
        for (int i = 0; i < 20; i++) {
            atomic_int done[12] = {0};
            rg_blas_set_threads(threads);
            rg_team_run(i % 2 ? 1e9 : 1, count_part, done);
            for (int j = 0; j < 10; j++)
                CU_ASSERT(done[j] == 1);
            CU_ASSERT(done[10] == (i % 2 ? threads : 1) && done[11] == done[10]);
        }
    rg_blas_set_threads(1);
}

#ifndef __SANITIZE_THREAD__ /* which lets such a child start none */

/* A child has none of the threads, be they awake or asleep when it was made, and starts its own. */
static void test_team_of_child(void)
{
    rg_blas_set_threads(3);
    for (int turn = 0; turn < 6; turn++) {
        int status = -1;
        atomic_int done[12] = {0};
        rg_team_run(1e9, count_part, done);
        usleep(turn % 2 ? 20000 : 0);
        fflush(NULL);
        pid_t pid = fork();
        RG_ASSERT(pid >= 0);
        if (pid == 0) {
            alarm(5 * RG_TEST_SLOWNESS);
            for (int i = 0; i < 10; i++)
                rg_team_run(1e9, count_part, done);
            _exit(done[10] == 11 * 3 && done[11] == 3 ? 0 : 1);
        }
        CU_ASSERT(waitpid(pid, &status, 0) == pid && status == 0);
    }
    rg_blas_set_threads(1);
}

#endif

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"kernels of every set of vectors, bit by bit", test_kernels},
        {"threads", test_threads},
        {"parts of a team", test_team},
#ifndef __SANITIZE_THREAD__
        {"the team of a child process", test_team_of_child},
#endif
        {"layers of every shape by their definition", test_shapes},
    };
    return suite_main("conv2d", tests, RG_COUNT(tests), argc, argv);
}
