/* Sums of products of weights with shifted rows of numbers: what a convolution is, forward and
 * back, once its images lie where a shift is the same for all of a window's places.
 *
 * Every result has its order of additions from the shape alone: a value of rg_correlate adds up taps
 * one after the other, of so many whole channels as 64 products are (of one, if it has more), and
 * then these sums; one of rg_correlate_rows has 16 lanes whose number no vector's width changes. Products
 * are added by fused multiply-add where the processor has it, as all do that boards have of 64 bits
 * and x86-64 since 2013, so that there the bits are the same on all of them; others round a product
 * first. That is written out: what compilers fuse by themselves depends on their version. */
#ifndef RG_MODELS_CORRELATE_H
#define RG_MODELS_CORRELATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RG_ROW_UNIT = 16 }; /* numbers of a row are a multiple of it */

/* The taps of a window: place k of channel c sees x[c * x_channel + x_at[k] + f] for the value at
 * f, and has the weight w[c * w_channel + w_at[k]]; that of output o is o * w_output further. */
struct rg_taps {
    int channels, places, outputs;
    ptrdiff_t x_channel, w_channel, w_output;
    const ptrdiff_t *x_at, *w_at; /* [places] */
};

/* y[o * pitch + f] = the sum over all taps of weight times what it sees, for all outputs and f < n.
 */
void rg_correlate(const struct rg_taps *taps, const float *w, const float *x, size_t n, float *y,
                  ptrdiff_t pitch);

/* The gradient of every weight: the sum over f < n, and over `pieces` of such rows, of
 * dy[o * dy_output + f] times what its tap sees; to dw, or added to it. The pieces are dy_piece and
 * x_piece apart. */
struct rg_runs {
    size_t n;
    int pieces;
    ptrdiff_t dy_output, dy_piece, x_piece;
};

void rg_correlate_rows(const struct rg_taps *taps, const struct rg_runs *rows, const float *dy,
                       const float *x, bool add, float *dw);

/* Does this processor fuse them? */
bool rg_correlate_fuses(void);

#endif
