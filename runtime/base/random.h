/* Random streams: a value (seed, a, b), never a global. Equal triples give equal streams. */
#ifndef RG_BASE_RANDOM_H
#define RG_BASE_RANDOM_H

#include <stdint.h>

/* What a stream is for; part of its identity, so that two uses never share numbers. */
enum rg_stream {
    RG_STREAM_INIT = 1, /* initial parameters; a = layer */
    RG_STREAM_SHUFFLE,  /* order of the samples; a = epoch */
    RG_STREAM_DIGITS,   /* procedurally drawn digits; a = sample */
    RG_STREAM_DATA,     /* `random` data, splits */
    RG_STREAM_FAULT,    /* faults and jitter; a = rank */
    RG_STREAM_TEST,
    RG_STREAM_ROWS,    /* which node has which samples, and in which order they come */
    RG_STREAM_CLIENTS, /* who takes part in a round; a = round */
    RG_STREAM_DROPOUT  /* what is dropped; a = layer, b = iteration */
};

struct rg_random; /* a GSL generator (MT19937) */

/* NULL only when memory is out. */
struct rg_random *rg_random_new(uint64_t seed, enum rg_stream stream, uint64_t a);
void rg_random_free(struct rg_random *random);

double rg_random_uniform(struct rg_random *random);                 /* in [0, 1) */
double rg_random_gaussian(struct rg_random *random, double sigma);  /* mean 0 */
double rg_random_gamma(struct rg_random *random, double shape);     /* of scale 1 */
uint32_t rg_random_below(struct rg_random *random, uint32_t bound); /* in [0, bound) */
void rg_random_permutation(struct rg_random *random, uint32_t *order, uint32_t n);

/* The mixing function behind it, for hashes that need no stream (splitmix64, Steele et al. 2014).
 */
uint64_t rg_mix64(uint64_t x);
/* A number for (a, b) of a stream, for draws that are to be the same however many others there are.
 */
uint64_t rg_hash(uint64_t seed, enum rg_stream stream, uint64_t a, uint64_t b);

#endif
