/* `digits`: 28 x 28 pictures of handwritten-looking digits, drawn from (seed, sample index) alone,
 * so that a sample is the same whatever the counts. Ink is in [0, 1], 0 the paper; a value is (ink
 * - 0.15) * 2.5, of mean 0 and deviation 0.7 over all pixels: centred values train several times
 * faster, and larger ones make plain SGD diverge sooner in deep chains.
 *
 * A digit is a few strokes, curves through control points. Each sample moves every control point a
 * little, then the whole by a random affine map (rotation, shear, two scales, shift), draws it with
 * a pen of random width and darkness, and adds noise. The shifts and slants are what a linear
 * classifier cannot follow. */
#include "models/data.h"

#include "base/check.h"
#include "base/random.h"

#include <math.h>
#include <string.h>

#define SIDE       28
#define MAX_POINTS 9
#define INK_MEAN   0.15f
#define INK_SCALE  2.5f
#define PIECES     6 /* straight pieces that a curve has between two control points */

/* Training samples have indices from 0, test samples from here: neither count moves the other. */
#define FIRST_TEST ((uint64_t)1 << 32)

struct stroke {
    int digit, points;
    bool closed;
    float at[MAX_POINTS][2]; /* x to the right, y down, both in [0, 1] */
};

static const struct stroke strokes[] = {
    {0,
     8,
     true,
     {{.50f, .06f},
      {.70f, .16f},
      {.78f, .50f},
      {.70f, .84f},
      {.50f, .94f},
      {.30f, .84f},
      {.22f, .50f},
      {.30f, .16f}}},
    {1, 2, false, {{.34f, .26f}, {.56f, .07f}}},
    {1, 3, false, {{.56f, .07f}, {.54f, .50f}, {.54f, .94f}}},
    {2,
     7,
     false,
     {{.24f, .28f},
      {.34f, .10f},
      {.58f, .07f},
      {.74f, .24f},
      {.64f, .48f},
      {.42f, .70f},
      {.22f, .92f}}},
    {2, 2, false, {{.22f, .92f}, {.80f, .90f}}},
    {3, 5, false, {{.25f, .16f}, {.48f, .06f}, {.72f, .18f}, {.68f, .38f}, {.42f, .47f}}},
    {3,
     6,
     false,
     {{.42f, .47f}, {.68f, .52f}, {.78f, .70f}, {.66f, .89f}, {.42f, .94f}, {.22f, .84f}}},
    {4, 3, false, {{.58f, .06f}, {.40f, .34f}, {.18f, .64f}}},
    {4, 2, false, {{.18f, .64f}, {.84f, .62f}}},
    {4, 3, false, {{.66f, .36f}, {.64f, .64f}, {.62f, .95f}}},
    {5, 2, false, {{.74f, .08f}, {.32f, .09f}}},
    {5, 2, false, {{.32f, .09f}, {.28f, .46f}}},
    {5,
     6,
     false,
     {{.28f, .46f}, {.52f, .38f}, {.75f, .52f}, {.74f, .78f}, {.50f, .94f}, {.22f, .86f}}},
    {6,
     9,
     false,
     {{.68f, .08f},
      {.44f, .24f},
      {.28f, .50f},
      {.27f, .76f},
      {.46f, .94f},
      {.70f, .86f},
      {.74f, .66f},
      {.54f, .52f},
      {.29f, .66f}}},
    {7, 2, false, {{.20f, .10f}, {.80f, .09f}}},
    {7, 3, false, {{.80f, .09f}, {.56f, .48f}, {.40f, .94f}}},
    {8,
     6,
     true,
     {{.50f, .06f}, {.70f, .16f}, {.68f, .36f}, {.50f, .46f}, {.32f, .36f}, {.30f, .16f}}},
    {8,
     6,
     true,
     {{.50f, .46f}, {.74f, .58f}, {.74f, .82f}, {.50f, .94f}, {.26f, .82f}, {.26f, .58f}}},
    {9,
     6,
     true,
     {{.50f, .07f}, {.70f, .16f}, {.72f, .38f}, {.50f, .50f}, {.30f, .38f}, {.30f, .16f}}},
    {9, 4, false, {{.72f, .24f}, {.72f, .46f}, {.66f, .72f}, {.52f, .95f}}},
};

/* How one sample is drawn: picture = matrix * (point - centre) + shift, in pixels. */
struct pen {
    float matrix[2][2], shift[2];
    float radius, darkness; /* pixels; [0, 1] */
};

static float between(struct rg_random *random, double low, double high)
{
    return (float)(low + (high - low) * rg_random_uniform(random));
}

static struct pen choose_pen(struct rg_random *random)
{
    float angle = between(random, -0.25, 0.25), shear = between(random, -0.3, 0.3);
    float width = between(random, 15, 20), height = between(random, 15, 22);
    float c = cosf(angle), s = sinf(angle);
    struct pen pen = {
        .matrix = {{c * width, (c * shear - s) * height}, {s * width, (s * shear + c) * height}},
        .shift = {between(random, 10.75, 16.25), between(random, 10.75, 16.25)},
    };
    pen.radius = between(random, 1.0, 1.8);
    pen.darkness = between(random, 0.75, 1.0);
    return pen;
}

/* Distance from p to the straight piece a-b. */
static float distance(float px, float py, const float a[2], const float b[2])
{
    float dx = b[0] - a[0], dy = b[1] - a[1], length = dx * dx + dy * dy;
    float t = length > 0 ? ((px - a[0]) * dx + (py - a[1]) * dy) / length : 0;
    t = RG_MIN(RG_MAX(t, 0), 1);
    float ex = px - a[0] - t * dx, ey = py - a[1] - t * dy;
    return sqrtf(ex * ex + ey * ey);
}

/* Darken the pixels within the pen's radius of piece a-b; an edge is one pixel of grey wide. */
static void draw_piece(const struct pen *pen, const float a[2], const float b[2], float *picture)
{
    float reach = pen->radius + 0.5f;
    int left = (int)floorf(RG_MIN(a[0], b[0]) - reach),
        right = (int)ceilf(RG_MAX(a[0], b[0]) + reach);
    int top = (int)floorf(RG_MIN(a[1], b[1]) - reach), end = (int)ceilf(RG_MAX(a[1], b[1]) + reach);
    for (int y = RG_MAX(top, 0); y <= RG_MIN(end, SIDE - 1); y++)
        for (int x = RG_MAX(left, 0); x <= RG_MIN(right, SIDE - 1); x++) {
            float ink = reach - distance((float)x, (float)y, a, b);
            float *pixel = &picture[y * SIDE + x];
            ink = RG_MIN(ink, 1) * pen->darkness;
            *pixel = RG_MAX(*pixel, ink);
        }
}

/* The curve between p[1] and p[2] of four control points (Catmull and Rom 1974), t in [0, 1]. */
static float curve(float p0, float p1, float p2, float p3, float t)
{
    float a = 2 * p1, b = p2 - p0;
    float c = 2 * p0 - 5 * p1 + 4 * p2 - p3, d = 3 * (p1 - p2) + p3 - p0;
    return 0.5f * (a + t * (b + t * (c + t * d)));
}

static void draw_stroke(const struct stroke *stroke, const struct pen *pen,
                        struct rg_random *random, float *picture)
{
    const double wobble = 0.035; /* of a control point, standard deviation */
    float at[MAX_POINTS][2];
    int n = stroke->points;
    for (int i = 0; i < n; i++) {
        float x = stroke->at[i][0] - 0.5f + (float)rg_random_gaussian(random, wobble);
        float y = stroke->at[i][1] - 0.5f + (float)rg_random_gaussian(random, wobble);
        for (int k = 0; k < 2; k++)
            at[i][k] = pen->matrix[k][0] * x + pen->matrix[k][1] * y + pen->shift[k];
    }
    for (int i = 0; i < n - !stroke->closed; i++) {
        /* An open curve's ends stand in for the points beyond them. */
        int before = stroke->closed ? (i + n - 1) % n : RG_MAX(i - 1, 0);
        int next = (i + 1) % n, after = stroke->closed ? (i + 2) % n : RG_MIN(i + 2, n - 1);
        float from[2] = {at[i][0], at[i][1]}, to[2];
        for (int piece = 1; piece <= PIECES; piece++) {
            for (int k = 0; k < 2; k++)
                to[k] = curve(at[before][k], at[i][k], at[next][k], at[after][k],
                              (float)piece / PIECES);
            draw_piece(pen, from, to, picture);
            memcpy(from, to, sizeof from);
        }
    }
}

/* Noise, and ink to values. */
static void finish(struct rg_random *random, float *picture)
{
    float noise = between(random, 0.05, 0.12);
    for (int i = 0; i < SIDE * SIDE; i++) {
        float value = picture[i] + (float)rg_random_gaussian(random, noise);
        picture[i] = (RG_MIN(RG_MAX(value, 0), 1) - INK_MEAN) * INK_SCALE;
    }
}

/* Sample `index` of digit `digit`; picture [SIDE x SIDE]. */
static int draw(uint64_t seed, uint64_t index, int digit, float *picture, struct rg_error *e)
{
    struct rg_random *random = rg_random_new(seed, RG_STREAM_DIGITS, index);
    if (!random)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    struct pen pen = choose_pen(random);
    memset(picture, 0, SIDE * SIDE * sizeof *picture);
    for (size_t i = 0; i < RG_COUNT(strokes); i++)
        if (strokes[i].digit == digit)
            draw_stroke(&strokes[i], &pen, random, picture);
    finish(random, picture);
    rg_random_free(random);
    return 0;
}

static int probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    data->shape = (struct rg_shape){1, SIDE, SIDE};
    data->classes = 10;
    return rg_data_counts(spec, 8192, 1024, data, e);
}

static int labels(const struct rg_data_spec *spec, const struct rg_dataset *data, int *label)
{
    (void)spec;
    for (int i = 0; i < data->train; i++)
        label[i] = i % 10;
    return 0;
}

static int fill(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    int samples = data->train + data->test;
    for (int i = 0; i < samples; i++) {
        uint64_t index = i < data->train ? (uint64_t)i : FIRST_TEST + (uint64_t)(i - data->train);
        float *x = rg_dataset_x(data, (size_t)i);
        if (!x)
            continue;
        int digit = (int)(index % 10), err = draw(spec->seed, index, digit, x, e);
        if (err < 0)
            return err;
        rg_dataset_set_label(data, (size_t)i, digit);
    }
    return 0;
}

static const struct rg_data_attribute attributes[] = {{0}};

const struct rg_data_kind rg_data_digits = {
    .name = "digits",
    .summary = "28x28 digits drawn from the seed, 10 classes",
    .attributes = attributes,
    .probe = probe,
    .labels = labels,
    .fill = fill,
};
