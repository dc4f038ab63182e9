/* What the layer kinds share: initial weights, products and elementwise passes.
 *
 * To add a kind: write layer_NAME.c whose only global is `const struct rg_layer_ops
 * rg_layer_NAME`, and add its name to layers.def. Network files, --list and the tests of gradients
 * find it there. */
#ifndef RG_MODELS_LAYERS_H
#define RG_MODELS_LAYERS_H

#include "models/network.h"

/* The widest layer accepted: a bound that keeps every product of two widths inside a size_t
 * and every width inside the int of BLAS. */
#define RG_MAX_WIDTH (sizeof(size_t) > 4 ? 1 << 24 : 1 << 14)

/* Settle the defaults of activation and init in *spec. */
void rg_layer_defaults(struct rg_layer_spec *spec, enum rg_activation activation);

/* Windows of spec.kernel over the input with spec.padding round it, spec.stride apart; a kernel or
 * stride of 0 is that given. Settles them and fills out.height and out.width; rows and columns that
 * fill no window are left out. */
int rg_window_infer(struct rg_layer *layer, struct rg_extent kernel, struct rg_extent stride,
                    struct rg_error *e);

/* Rows of a batch where each of a sample's tokens is one, for BLAS, which counts in ints: batches for
 * which they are not exact are refused, see rg_network_most_batch. */
int rg_token_rows(int batch, int tokens);

/* Draw a weight tensor of n values: He, normal with variance 2 / fan_in; Xavier, uniform with
 * variance 2 / (fan_in + fan_out). */
void rg_init_weights(enum rg_init init, size_t fan_in, size_t fan_out, struct rg_random *random,
                     size_t n, float *w);

/* init and tensors of kinds without parameters. */
void rg_init_none(const struct rg_layer *layer, float *w, struct rg_random *random);
int rg_tensors_none(const struct rg_layer *layer, struct rg_tensor tensors[4]);

/* Describe a tensor of a layer; a size of 0 ends the list of sizes. */
void rg_tensor_set(struct rg_tensor *tensor, const struct rg_layer *layer, const char *name,
                   size_t offset, const int size[4]);

/* Products of an affine map with W [outputs x inputs]; x, dx [batch x inputs], y, dy [batch x
 * outputs]. They overwrite, or add to the result. The shape alone chooses the kernel. */
void rg_affine_forward(int batch, int outputs, int inputs, const float *w, const float *x, bool add,
                       float *y); /* y = x W^T */
void rg_affine_input(int batch, int outputs, int inputs, const float *w, const float *dy, bool add,
                     float *dx); /* dx = dy W */
void rg_affine_weight(int batch, int outputs, int inputs, const float *dy, const float *x, bool add,
                      float *dw); /* dW = dy^T x */
/* What backward does about an affine map of `rows` rows whose W and then bias (unless there is
 * none) lie at offset `at` of the layer's parameters, the bias's gradient being in dw already: the
 * gradient of W to dw, or a step of both. */
void rg_affine_learn(const struct rg_pass_args *args, size_t at, int rows, int outputs, int inputs,
                     bool bias, const float *dy, const float *x);
/* Append the costs of the three: [batch x inputs] by [inputs x outputs] and its two gradients. */
void rg_affine_forward_work(int batch, int outputs, int inputs, struct rg_work *work);
void rg_affine_input_work(int batch, int outputs, int inputs, struct rg_work *work);
void rg_affine_weight_work(int batch, int outputs, int inputs, struct rg_work *work);

/* What an activation's derivative is a function of: its value y, or its input z. */
enum rg_activation_kept { RG_KEEPS_VALUE, RG_KEEPS_INPUT };

extern const struct rg_activation_info {
    const char *name; /* as written in a network file */
    enum rg_init init;
    enum rg_activation_kept kept;
    double forward, backward; /* operations an element */
} rg_activation_infos[RG_ACTIVATIONS];

/* Floats of stash for n values of z: n where backward wants them, else 0. */
size_t rg_activation_stash(enum rg_activation activation, size_t n);

/* y [rows x n] = act(y + bias [n]), in place; y + bias to z where backward wants it (else z may be
 * anything). bias NULL: none. */
void rg_bias_activate(enum rg_activation activation, int rows, size_t n, const float *bias,
                      float *y, float *z);
/* dy [rows x n] *= act', in place, and db [n] += the sum of its rows (first zeroed unless
 * accumulate; NULL: not wanted); y and z are what activate left. */
void rg_bias_backward(enum rg_activation activation, int rows, size_t n, const float *y,
                      const float *z, float *dy, bool accumulate, float *db);
/* The same where a sample has many rows: each sample's are added up in room [n] first, or a sum of
 * some thousand rows would lose a digit. */
void rg_token_bias_backward(enum rg_activation activation, int samples, int rows, size_t n,
                            const float *y, const float *z, float *dy, bool accumulate, float *db,
                            float *room);
/* The same for a convolution's [channels x pixels] of one sample: one bias a row. */
void rg_channel_bias_activate(enum rg_activation activation, int channels, size_t pixels,
                              const float *bias, float *y, float *z);
void rg_channel_bias_backward(enum rg_activation activation, int channels, size_t pixels,
                              const float *y, const float *z, float *dy, bool accumulate,
                              float *db);
/* y [rows x n] = x + bias; y may be x. */
void rg_bias_add(int rows, size_t n, const float *x, const float *bias, float *y);
/* Append the costs of these over `elements` = rows * n values. */
void rg_bias_activate_work(enum rg_activation activation, double elements, struct rg_work *work);
void rg_bias_backward_work(enum rg_activation activation, double elements, struct rg_work *work);
void rg_bias_add_work(double elements, struct rg_work *work);

#endif
