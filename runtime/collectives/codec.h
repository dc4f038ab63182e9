/* Numbers in fewer bytes. What a message cannot say of them stays behind in a vector, the rest, and
 * is added to what is said next in their place (error feedback: Seide et al. 2014; Karimireddy et
 * al. 2019), so that all that has been said and the rest are the sum of all that was to be said. */
#ifndef RG_CODEC_H
#define RG_CODEC_H

#include "base/cost.h"
#include <stdbool.h>
#include <stdint.h>

enum rg_codec_kind {
    RG_CODE_NONE,
    RG_CODE_FLOAT16, /* IEEE 754 binary16, to the nearest; up to its largest number */
    RG_CODE_INT8,    /* the least of them and a 255th of their span, then a byte each, rounded at
                      * random so that its mean is the number (Alistarh et al. 2017) */
    RG_CODE_TOP      /* those largest in magnitude with their places (Aji and Heafield 2017) */
};

struct rg_codec {
    enum rg_codec_kind kind;
    int keep; /* RG_CODE_TOP: of a thousand, rounded up */
};

/* Of `count` numbers: the numbers that are said, and the bytes of the message. */
size_t rg_coded_numbers(struct rg_codec codec, size_t count);
uint64_t rg_coded_bytes(struct rg_codec codec, size_t count);

/* values [count], const (NULL: nothing but the rest is said); rest [count] in and out; to
 * [rg_coded_bytes], aligned as a float is. dice: equal ones round alike. What is not finite is not
 * finite when it comes out, and neither is the rest. */
void rg_encode(struct rg_codec codec, size_t count, const float *values, float *rest, uint64_t dice,
               void *to);
/* Into to [count]: added where `add` is set, else in its place. false: no encoder makes that. */
bool rg_decode(struct rg_codec codec, size_t count, const void *from, float *to, bool add);

/* Of the magnitudes of values [count], which are in the order of their bits: those of the wanted-th
 * largest (1 <= wanted <= count). *more: how many that have these bits are among the wanted. */
uint32_t rg_magnitude_among(size_t count, const float *values, size_t wanted, size_t *more);

struct rg_cost rg_encode_cost(struct rg_codec codec, size_t count);
struct rg_cost rg_decode_cost(struct rg_codec codec, size_t count, bool add);

#endif
