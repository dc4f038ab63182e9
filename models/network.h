/* Networks: a chain of layers with their parameters in one flat vector.
 *
 * Layout of the parameters: layer by layer, weights then bias, float32; network.parameters in all.
 * A stage (a run of consecutive layers) owns a contiguous range of that vector.
 *
 * Every layer is a row of the table layers.def (its operations); nothing else knows layer kinds.
 */
#ifndef RG_MODELS_NETWORK_H
#define RG_MODELS_NETWORK_H

#include "base/cost.h"
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

/* The defaults are resolved by a layer's infer: activation relu, but identity for dense; init that
 * which activations.def has for the activation. */
enum rg_activation {
    RG_ACT_DEFAULT,
#define RG_ACTIVATION(name, NAME, ...) RG_ACT_##NAME,
#include "models/activations.def"
#undef RG_ACTIVATION
    RG_ACTIVATIONS
};
/* he: He et al. 2015; xavier: Glorot and Bengio 2010. Biases start at zero. */
enum rg_init { RG_INIT_DEFAULT, RG_INIT_HE, RG_INIT_XAVIER, RG_INIT_ZERO };

/* One sample's activations: channels x height x width, row-major; a flat vector is n x 1 x 1, a
 * sequence of tokens with n values each is tokens x n x 1. */
struct rg_shape {
    int channels, height, width;
};

/* Of a window over images, or between two of them. */
struct rg_extent {
    int height, width;
};

/* What a network file says about a layer. Fields that its kind does not use stay 0. */
struct rg_layer_spec {
    const struct rg_layer_ops *ops;
    enum rg_activation activation;
    enum rg_init init;
    int outputs;              /* dense: width; conv2d: channels */
    int hidden;               /* residual: width of the inner layer; 0: that of the input */
    struct rg_extent kernel;  /* conv2d; pools, whose default, 0, is the whole image (avgpool) */
    struct rg_extent stride;  /* 0: conv2d 1, pools their kernel */
    struct rg_extent padding; /* round the image: zeros (conv2d, avgpool), nothing (maxpool) */
    int groups;               /* conv2d: of channels that do not meet; 0: 1 */
    /* Kinds that contain others: the chain inside of it, and that beside it. Owned by the spec; see
     * rg_specs_copy. */
    struct rg_layer_spec *body, *shortcut;
    int body_count, shortcut_count;
    bool no_bias;      /* dense, conv2d */
    bool over_tokens;  /* dense, layernorm: each of a sample's tokens (channels) by itself */
    int heads;         /* attention; 0: 1 */
    bool causal;       /* attention: no token sees those after it */
    int vocabulary;    /* embedding: tokens are 0 to that less 1 */
    bool no_positions; /* embedding: tokens alone, wherever they are */
    double rate;       /* dropout: share that is dropped */
    double momentum;   /* batchnorm: of its running statistics; 0: 0.1 */
    double epsilon;    /* norms: added to variances; 0: 1e-5 */
    int line;          /* in the network file, for messages */
    bool ends;         /* of networks' own copies: its outputs are the classes */
};

struct rg_layer {
    struct rg_layer_spec spec;
    int index;   /* in the network */
    bool starts; /* its inputs are the network's, which is inside of none */
    struct rg_shape in, out;
    size_t inputs, outputs;   /* floats a sample */
    size_t stash;             /* floats a sample kept for backward beside input and output */
    size_t parameters, first; /* count; offset in the network's vector */
    size_t scratch;           /* floats needed while a pass runs, whatever the batch */
    /* Floats a sample that the first half of backward leaves for the second; a whole pass has room
     * for them, too. */
    size_t between;
    int depth; /* layers of the same kind in the network; residual blocks start the smaller for it
                */
    struct rg_network *body, *shortcut; /* of what spec says is inside; NULL: nothing */
    uint64_t id;                        /* no other in the network has it, inside or not */
    /* Of its parameters, those from `statistics_first` on that are running means of what it sees:
     * their gradient is their distance to what a batch has, their step takes them that much nearer
     * and knows no optimiser, so that whatever adds gradients up averages them as well. */
    size_t statistics_first, statistics;
    float statistics_rate;
};

/* What else a layer needs beside parameters, inputs and outputs, in floats at a batch. */
enum rg_room { RG_ROOM_STASH, RG_ROOM_SCRATCH, RG_ROOM_BETWEEN /* of a pass in halves */ };

/* A parameter tensor, for checkpoints: name "3.weight" (of what a layer contains:
 * "3.body.0.weight"), row-major shape, offset in the layer. */
struct rg_tensor {
    char name[96];
    int rank, size[4];
    size_t offset, count;
};

enum rg_pass {
    RG_FORWARD,
    RG_BACKWARD,
    RG_BACKWARD_FIRST, /* no gradient of the input */
    /* Backward in two halves ("B" and "W" of Qi et al. 2024, "Zero bubble pipeline parallelism"):
     * through the layer to its input, then the gradients of its weights. */
    RG_BACKWARD_INPUT,
    RG_BACKWARD_INPUT_FIRST, /* it only prepares the second half */
    RG_BACKWARD_WEIGHTS
};

/* Which parts a backward pass has. */
static inline bool rg_pass_has_input(enum rg_pass pass)
{
    return pass == RG_BACKWARD || pass == RG_BACKWARD_INPUT;
}

static inline bool rg_pass_has_weights(enum rg_pass pass)
{
    return pass == RG_BACKWARD || pass == RG_BACKWARD_FIRST || pass == RG_BACKWARD_WEIGHTS;
}

enum rg_half { RG_WHOLE, RG_HALF_INPUT, RG_HALF_WEIGHTS };

/* Arguments of a pass over one layer, `batch` samples at once, samples are rows. A pass never
 * allocates. forward: overwrites y and stash. backward: dy may be destroyed; dx (NULL: not wanted)
 * is overwritten; dw is added to where accumulate is set, else overwritten. With `update` (w
 * itself, accumulate not set; only kinds that fuse the update are given it) backward takes a step
 * of SGD, w -= rate * gradient, of all parameters, and dw is room to work in.
 *
 * Kinds that split run backward in halves too, to the same bits: the first gives dx and the
 * gradients of biases, and leaves dy (destroyed in its way) and `between` for the second, which
 * gives those of weights. The second may come any time later, the seconds of several batches in the
 * order of their firsts; x, y, stash, dy and between must be what they were. */
struct rg_pass_args {
    int batch;
    int mean_of;   /* samples that the gradient is the mean of; 0: batch */
    bool evaluate; /* forward: running statistics in place of the batch's, nothing is dropped */
    /* Which samples these are, for what is drawn: of a run, its iteration, their place in its
     * batch. */
    uint64_t seed;
    int64_t iteration;
    int first;
    const float *w; /* [parameters] */
    /* backward: the parameters that the step is to be taken from, where w are older ones, as of
     * streams that keep what forward read (NULL: w). Running statistics are held against these: a
     * mean that is told how far an old one was off swings ever further. */
    const float *newest;
    const float *x; /* [batch x inputs] */
    float *y;       /* [batch x outputs]; input of backward too */
    float *stash;   /* [batch x stash] */
    float *dy;      /* [batch x outputs] */
    float *dx;      /* [batch x inputs] or NULL */
    float *dw;      /* [parameters] */
    bool accumulate;
    float *update; /* [parameters] or NULL */
    float rate;
    enum rg_half half;
    float *between; /* [batch x between] */
    float *scratch; /* [scratch] */
};

struct rg_random;

struct rg_layer_ops {
    const char *name; /* as written in a network file */
    const char *summary;
    const char *attributes; /* space-separated names it takes: "outputs activation init" */
    const char *needed;     /* those without a default, or NULL: none */
    /* Small ones for tests, as elements of a network file; NULL ends them. */
    const char *const *examples;
    bool contains;     /* is written with layers inside of it */
    bool fuses_update; /* backward takes the step itself where args->update is given */
    bool splits;       /* backward runs in halves; a kind without parameters has no second half */
    bool mixes;        /* a sample's outputs depend on the others of its (micro-)batch */
    bool convolves;    /* its products are those of correlate.h, not OpenBLAS's */
    /* Resolve defaults in spec; fill out, stash, parameters, scratch from spec and in (inputs and
     * outputs follow from in and out); complain about impossible sizes, without file and line. */
    int (*infer)(struct rg_layer *layer, struct rg_error *e);
    void (*init)(const struct rg_layer *layer, float *w, struct rg_random *random);
    void (*forward)(const struct rg_layer *layer, const struct rg_pass_args *args);
    void (*backward)(const struct rg_layer *layer, const struct rg_pass_args *args);
    void (*cost)(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work);
    int (*tensors)(const struct rg_layer *layer, struct rg_tensor tensors[4]); /* returns count */
    /* Where the numbers of struct rg_layer a sample do not say it; NULL: they do. */
    uint64_t (*room)(const struct rg_layer *layer, int batch, enum rg_room room);
};

/* Can its backward pass run in halves? */
bool rg_layer_splits(const struct rg_layer *layer);

/* NULL-terminated table of all layer kinds, and look-ups by name (NULL: unknown) of those that
 * stand alone and those that contain others, which may have the same name. */
extern const struct rg_layer_ops *const rg_layer_kinds[];
const struct rg_layer_ops *rg_layer_kind(const char *name);
const struct rg_layer_ops *rg_layer_container(const char *name);

/* Every tensor of a layer and of what it contains, in the order of its parameters, offsets in the
 * network's vector. */
typedef void rg_tensor_taker(const struct rg_tensor *tensor, void *context);
void rg_layer_tensors(const struct rg_layer *layer, rg_tensor_taker *take, void *context);

/* What training makes small: of labels the cross-entropy, of numbers the mean squared error. */
enum rg_loss_kind { RG_LOSS_CROSS_ENTROPY, RG_LOSS_SQUARES };
#define RG_LOSS_WORDS "cross-entropy|mean-squared-error" /* in that order */

/* Parameters that are running means, see struct rg_layer. */
struct rg_statistics {
    size_t first, count;
    float rate;
};

struct rg_network {
    char *name, *file;
    struct rg_shape input;
    struct rg_layer *layers;
    int layer_count;
    size_t parameters;
    int classes; /* outputs of the last layer */
    enum rg_loss_kind loss;
    struct rg_statistics *statistics; /* all, in the order of the vector; inside of a layer: none */
    int statistics_count;
};

/* A copy of specs with all that they own, and its end. NULL: out of memory. */
struct rg_layer_spec *rg_specs_copy(const struct rg_layer_spec *specs, int count);
void rg_specs_free(struct rg_layer_spec *specs, int count);

/* Build from specs (copied). On failure *e names file and line; *network is zeroed. */
int rg_network_build(struct rg_network *network, const char *name, const char *file,
                     struct rg_shape input, const struct rg_layer_spec *specs, int count,
                     struct rg_error *e);
void rg_network_free(struct rg_network *network);

/* Networks of one shape: the same layers, every width (outputs and hidden of a layer) times one
 * factor, rounded (to what heads and groups still divide), but those of the input and of the
 * classes. The factor is named by what becomes of the largest of these widths, rg_network_widest
 * (0: there is none, nothing can be scaled). RG_ERR_INVALID where a width or the parameters are
 * more than networks may have. */
int rg_network_widest(const struct rg_network *network);
int rg_network_scale(const struct rg_network *network, int widest, struct rg_network *scaled,
                     struct rg_error *e);

/* The most samples that a pass can take at once: INT_MAX rows of the layer with most tokens. */
int rg_network_most_batch(const struct rg_network *network);

/* Initial parameters of layers [from, to) into w (the range's own vector). Each layer draws from
 * its own stream (seed, RG_STREAM_INIT, layer), so any split gives the same network. */
int rg_network_init(const struct rg_network *network, int from, int to, uint64_t seed, float *w);

/* Offset of the parameters of layer `layer` (layer_count: the total). */
size_t rg_network_offset(const struct rg_network *network, int layer);
size_t rg_network_range(const struct rg_network *network, int from, int to); /* parameters */

#endif
