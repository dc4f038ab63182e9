/* Multi-head self-attention (Vaswani et al. 2017) of a sample's T tokens (its channels, as
 * embedding makes them) of d values each: with
 * queries, keys and values (q, k, v) = x Wi^T + bi, of which each head has d / heads, head by head
 *   p = softmax(q k^T / sqrt(d / heads)), o = p v, and y = o Wo^T + bo.
 * Causal: no token has a share in one before it. Parameters Wi [3d x d], bi [3d], Wo [d x d], bo
 * [d]. Stash: q, k, v [T x 3d], p [heads x T x T], o [T x d] of each sample, one kind after the
 * other. Between the halves of backward: the gradient of q, k and v. */
#include "models/layers.h"

#include "base/check.h"
#include "base/clones.h"
#include "models/exp.h"
#include "models/sums.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

struct sizes {
    int tokens, width, heads, each; /* each: values of a head */
    size_t bi, wo, bo;              /* offsets of parameters; Wi comes first */
    size_t qkv, shares, values;     /* floats a sample: of q, k and v; of p; of o, as of x and y */
};

static struct sizes sizes_of(const struct rg_layer *layer)
{
    struct sizes s = {.tokens = layer->in.channels,
                      .width = layer->in.height * layer->in.width,
                      .heads = layer->spec.heads};
    size_t t = (size_t)s.tokens, d = (size_t)s.width;
    s.each = s.width / s.heads;
    s.bi = 3 * d * d;
    s.wo = s.bi + 3 * d;
    s.bo = s.wo + d * d;
    s.values = t * d;
    s.qkv = 3 * t * d;
    s.shares = (size_t)s.heads * t * t;
    return s;
}

static int infer(struct rg_layer *layer, struct rg_error *e)
{
    struct rg_layer_spec *spec = &layer->spec;
    struct rg_shape in = layer->in;
    if (spec->heads == 0)
        spec->heads = 1;
    int values = in.height * in.width;
    if (spec->heads < 1 || values % spec->heads)
        return rg_fail(e, RG_ERR_INVALID,
                       "heads=\"%d\" of an attention layer: it must divide the %d values of a "
                       "token (the input is %dx%dx%d: %d tokens)",
                       spec->heads, values, in.channels, in.height, in.width, in.channels);
    if (values > RG_MAX_WIDTH / 3 || (double)spec->heads * in.channels * in.channels > RG_MAX_WIDTH)
        return rg_fail(e, RG_ERR_INVALID,
                       "an attention layer of %d tokens, %d values and %d heads: up to %d shares "
                       "of tokens in one another and %d values are allowed",
                       in.channels, values, spec->heads, RG_MAX_WIDTH, RG_MAX_WIDTH / 3);
    rg_layer_defaults(spec, RG_ACT_IDENTITY);
    struct sizes s = sizes_of(layer);
    layer->out = in;
    layer->parameters = s.bo + (size_t)s.width;
    layer->stash = s.qkv + s.shares + s.values;
    layer->between = s.qkv;
    /* Gradients of o and of a head's p; sums of the biases'. */
    layer->scratch = s.values + s.shares / (size_t)s.heads + 3 * (size_t)s.width;
    return 0;
}

static void init(const struct rg_layer *layer, float *w, struct rg_random *random)
{
    struct sizes s = sizes_of(layer);
    size_t d = (size_t)s.width;
    rg_init_weights(layer->spec.init, d, d, random, s.bi, w);
    rg_init_weights(RG_INIT_ZERO, 1, 1, random, 3 * d, w + s.bi);
    rg_init_weights(layer->spec.init, d, d, random, d * d, w + s.wo);
    rg_init_weights(RG_INIT_ZERO, 1, 1, random, d, w + s.bo);
}

/* A row of scores to shares of one: the first `seen` of n, the others have none. */
RG_CLONES
static void softmax(size_t n, size_t seen, float *restrict x)
{
    float most = rg_lanes_most(seen, x);
    double lanes[RG_SUM_LANES] = {0};
    for (size_t i = 0; i < seen; i++) {
        double below = (double)x[i] - most;
        x[i] = (float)rg_exp(below < -100 ? -100 : below);
    }
    rg_lanes_add(seen, x, lanes);
    float share = (float)(1 / rg_lanes_sum(lanes));
    for (size_t i = 0; i < seen; i++)
        x[i] *= share;
    for (size_t i = seen; i < n; i++)
        x[i] = 0;
}

/* dx = p (dp - sum(dp p)), in place */
RG_CLONES
static void softmax_back(size_t n, const float *restrict p, float *restrict dp)
{
    double lanes[RG_SUM_LANES] = {0};
    rg_lanes_add_products(n, p, dp, lanes);
    float sum = (float)rg_lanes_sum(lanes);
    for (size_t i = 0; i < n; i++)
        dp[i] = p[i] * (dp[i] - sum);
}

static float scale_of(const struct sizes *s)
{
    return (float)(1 / sqrt((double)s->each));
}

/* One head of one sample: q, its k and v a width further on each; shares p; o. */
static void forward_head(const struct rg_layer *layer, const float *q, float *p, float *o)
{
    struct sizes s = sizes_of(layer);
    int t = s.tokens, row = 3 * s.width;
    const float *k = q + s.width, *v = k + s.width;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, t, t, s.each, scale_of(&s), q, row, k, row,
                0, p, t);
    for (int i = 0; i < t; i++)
        softmax((size_t)t, (size_t)(layer->spec.causal ? i + 1 : t), p + (size_t)i * (size_t)t);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, t, s.each, t, 1, p, t, v, row, 0, o,
                s.width);
}

static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct sizes s = sizes_of(layer);
    int rows = rg_token_rows(args->batch, s.tokens);
    size_t samples = (size_t)args->batch;
    float *qkv = args->stash, *shares = qkv + samples * s.qkv, *o = shares + samples * s.shares;
    rg_affine_forward(rows, 3 * s.width, s.width, args->w, args->x, false, qkv);
    rg_bias_activate(RG_ACT_IDENTITY, rows, 3 * (size_t)s.width, args->w + s.bi, qkv, NULL);
    for (size_t b = 0; b < samples; b++)
        for (size_t h = 0; h < (size_t)s.heads; h++)
            forward_head(layer, qkv + b * s.qkv + h * (size_t)s.each,
                         shares + b * s.shares + h * (size_t)s.tokens * (size_t)s.tokens,
                         o + b * s.values + h * (size_t)s.each);
    rg_affine_forward(rows, s.width, s.width, args->w + s.wo, o, false, args->y);
    rg_bias_activate(RG_ACT_IDENTITY, rows, (size_t)s.width, args->w + s.bo, args->y, NULL);
}

/* One head of one sample: from the gradient of o, which is where that of q goes, those of k and v a
 * width further on each; dp is room for that of the shares. */
static void backward_head(const struct rg_layer *layer, const float *q, const float *p,
                          const float *d_o, float *dp, float *dq)
{
    struct sizes s = sizes_of(layer);
    int t = s.tokens, row = 3 * s.width;
    const float *k = q + s.width, *v = k + s.width;
    float *dk = dq + s.width, *dv = dk + s.width;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, t, t, s.each, 1, d_o, s.width, v, row, 0,
                dp, t);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, t, s.each, t, 1, p, t, d_o, s.width, 0, dv,
                row);
    for (int i = 0; i < t; i++)
        softmax_back((size_t)t, p + (size_t)i * (size_t)t, dp + (size_t)i * (size_t)t);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, t, s.each, t, scale_of(&s), dp, t, k,
                row, 0, dq, row);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, t, s.each, t, scale_of(&s), dp, t, q, row,
                0, dk, row);
}

/* To the gradients of q, k, v and x, and of the biases. */
static void backward_input(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct sizes s = sizes_of(layer);
    int rows = rg_token_rows(args->batch, s.tokens);
    size_t samples = (size_t)args->batch, t = (size_t)s.tokens, each = (size_t)s.each;
    const float *qkv = args->stash, *shares = qkv + samples * s.qkv;
    float *d_o = args->scratch, *dqkv = args->between;
    float *room = d_o + s.values + s.shares / (size_t)s.heads;
    rg_token_bias_backward(RG_ACT_IDENTITY, args->batch, s.tokens, (size_t)s.width, args->y, NULL,
                           args->dy, args->accumulate, args->dw + s.bo, room);
    for (size_t b = 0; b < samples; b++) {
        rg_affine_input(s.tokens, s.width, s.width, args->w + s.wo, args->dy + b * s.values, false,
                        d_o);
        for (size_t h = 0; h < (size_t)s.heads; h++)
            backward_head(layer, qkv + b * s.qkv + h * each, shares + b * s.shares + h * t * t,
                          d_o + h * each, d_o + s.values, dqkv + b * s.qkv + h * each);
    }
    rg_token_bias_backward(RG_ACT_IDENTITY, args->batch, s.tokens, 3 * (size_t)s.width, dqkv, NULL,
                           dqkv, args->accumulate, args->dw + s.bi, room);
    if (args->dx)
        rg_affine_input(rows, 3 * s.width, s.width, args->w, dqkv, false, args->dx);
}

static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct sizes s = sizes_of(layer);
    int rows = rg_token_rows(args->batch, s.tokens);
    const float *o = args->stash + (size_t)args->batch * (s.qkv + s.shares);
    if (args->half != RG_HALF_WEIGHTS)
        backward_input(layer, args);
    if (args->half == RG_HALF_INPUT)
        return;
    rg_affine_learn(args, s.wo, rows, s.width, s.width, true, args->dy, o);
    rg_affine_learn(args, 0, rows, 3 * s.width, s.width, true, args->between, args->x);
}

/* Flops of a softmax: an exponential as of an activation, a maximum, a sum, a product. */
static void cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work)
{
    struct sizes s = sizes_of(layer);
    int rows = rg_token_rows(batch, s.tokens), d = s.width, t = s.tokens;
    double heads = (double)batch * s.heads, shares = (double)batch * (double)s.shares;
    double values = (double)batch * (double)s.values, bytes = sizeof(float);
    if (pass == RG_FORWARD) {
        rg_affine_forward_work(rows, 3 * d, d, work);
        rg_bias_activate_work(RG_ACT_IDENTITY, 3 * values, work);
        rg_work_gemm(work, t, t, s.each, heads);
        rg_work_vector(work, 24 * shares, bytes * 4 * shares);
        rg_work_gemm(work, t, s.each, t, heads);
        rg_affine_forward_work(rows, d, d, work);
        rg_bias_activate_work(RG_ACT_IDENTITY, values, work);
        return;
    }
    if (pass != RG_BACKWARD_WEIGHTS) {
        rg_bias_backward_work(RG_ACT_IDENTITY, values, work);
        rg_work_gemm(work, t, d, d, batch);
        rg_work_gemm(work, t, t, s.each, heads);
        rg_work_gemm(work, t, s.each, t, 3 * heads);
        rg_work_vector(work, 4 * shares, bytes * 3 * shares);
        rg_bias_backward_work(RG_ACT_IDENTITY, 3 * values, work);
    }
    if (rg_pass_has_input(pass))
        rg_affine_input_work(rows, 3 * d, d, work);
    if (rg_pass_has_weights(pass)) {
        rg_affine_weight_work(rows, d, d, work);
        rg_affine_weight_work(rows, 3 * d, d, work);
    }
}

static int tensors(const struct rg_layer *layer, struct rg_tensor out[4])
{
    struct sizes s = sizes_of(layer);
    int d = s.width;
    rg_tensor_set(&out[0], layer, "in_proj_weight", 0, (int[4]){3 * d, d});
    rg_tensor_set(&out[1], layer, "in_proj_bias", s.bi, (int[4]){3 * d});
    rg_tensor_set(&out[2], layer, "out_proj.weight", s.wo, (int[4]){d, d});
    rg_tensor_set(&out[3], layer, "out_proj.bias", s.bo, (int[4]){d});
    return 4;
}

const struct rg_layer_ops rg_layer_attention = {
    .name = "attention",
    .summary = "multi-head self-attention of a sequence of tokens",
    .attributes = "heads causal init",
    .examples =
        (const char *const[]){"<attention heads=\"2\"/>", "<attention causal=\"yes\"/>", NULL},
    .fuses_update = true,
    .splits = true,
    .infer = infer,
    .init = init,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .tensors = tensors,
};
