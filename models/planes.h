/* Images as a convolution wants them: every value that a window sees as far from the value it is
 * for as it is everywhere else, so that a place of the window is a shift of whole planes.
 *
 * A stride of 2 (say) splits an image into the four of every second row and column, its phases; on
 * each of them the stride is 1. A phase's rows follow one another `pitch` apart, and the planes of
 * several samples, with zeros between them for what lies round the images: the zeros after a row
 * are those before the next one, as are the rows of them between samples. What is computed for such
 * places is thrown away.
 *
 * A run is one phase of one channel of all samples of a group, or one output's: a multiple of
 * RG_ROW_UNIT long. Numbers are floats. */
#ifndef RG_MODELS_PLANES_H
#define RG_MODELS_PLANES_H

#include "models/correlate.h"
#include "models/network.h"

/* One direction. */
struct rg_side {
    int inputs, outputs, kernel, stride, padding;
    int phases; /* that windows see */
    int reach;  /* how many places of a phase a window sees, less 1 */
    int pitch;  /* places of a row, or rows of a plane */
};

struct rg_planes {
    struct rg_side down, across;
    int phases, group; /* of a channel; samples that are worked upon at once */
    size_t plane;
};

/* Of a convolution whose `in`, `out` and window are known, at batches of up to that many. */
struct rg_planes rg_planes_of(const struct rg_layer *layer, int batch);

/* Where data of a phase begin and end in one direction: [first, end). */
int rg_side_first(const struct rg_side *side, int phase);
int rg_side_end(const struct rg_side *side, int phase);

size_t rg_planes_run(const struct rg_planes *p, int samples);
/* The places of outputs: from the first to the last of a sample. */
size_t rg_planes_span(const struct rg_planes *p);
/* Zeros that dy needs before its first run, and x after its last. */
size_t rg_planes_before(const struct rg_planes *p);
size_t rg_planes_after(const struct rg_planes *p);

/* The images x [samples x channels x height x width] to `to`, runs of [channels x phases], whose
 * zeros are there. */
void rg_planes_load(const struct rg_planes *p, int samples, int channels, const float *x,
                    float *to);
/* The same of dy [samples x outputs x height x width], whose one phase begins with a plane. */
void rg_planes_load_outputs(const struct rg_planes *p, int samples, int outputs, const float *dy,
                            float *to);

#endif
