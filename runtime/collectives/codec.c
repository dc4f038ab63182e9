#include "collectives/codec.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/clones.h"
#include "base/random.h"
#include <math.h>
#include <string.h>

size_t rg_coded_numbers(struct rg_codec codec, size_t count)
{
    return codec.kind == RG_CODE_TOP
               ? (size_t)(((uint64_t)count * (uint64_t)codec.keep + 999) / 1000)
               : count;
}

struct span {
    float least, step;
};

struct place {
    uint32_t index;
    float value;
};

uint64_t rg_coded_bytes(struct rg_codec codec, size_t count)
{
    switch (codec.kind) {
    case RG_CODE_FLOAT16:
        return (uint64_t)count * sizeof(uint16_t);
    case RG_CODE_INT8:
        return count ? sizeof(struct span) + (uint64_t)count : 0;
    case RG_CODE_TOP:
        return (uint64_t)rg_coded_numbers(codec, count) * sizeof(struct place);
    default:
        return (uint64_t)count * sizeof(float);
    }
}

/* ---- float16 ---- */

/* To the nearest, ties to even. Below 2^-14 a sum with 0.5 leaves the last bit worth 2^-24, which
 * is that of binary16 there; above, half of what the 13 bits less are worth is added. All that a
 * number may be is worked out, and one taken: so whole vectors are. */
RG_PART uint32_t choose(bool first, uint32_t one, uint32_t other)
{
    return other ^ ((one ^ other) & (0U - (uint32_t)first)); /* no branch, whatever they cost */
}

RG_PART uint32_t half_of(float value)
{
    const uint32_t sign = rg_bits_of(value) >> 16 & 0x8000U, bits = rg_bits_of(value) & 0x7fffffffU;
    const uint32_t usual = (bits + (bits >> 13 & 1U) + 0xfffU - (112U << 23)) >> 13;
    const uint32_t small = rg_bits_of(rg_float_of(bits) + 0.5F) - rg_bits_of(0.5F);
    uint32_t half = choose(bits < 0x38800000U, small, usual);
    half = choose(bits >= 0x477ff000U, 0x7bffU, half);
    half = choose(bits == 0x7f800000U, 0x7c00U, half);
    half = choose(bits > 0x7f800000U, 0x7e00U, half); /* not a number */
    return sign | half;
}

RG_PART float float_of_half(uint32_t half)
{
    const uint32_t sign = (half & 0x8000U) << 16, bits = half & 0x7fffU;
    /* 2^112 times too small, and exact: a product with a power of two */
    const uint32_t usual = rg_bits_of(rg_float_of(bits << 13) * 0x1p112F);
    const uint32_t special = 0x7f800000U | (bits & 0x3ffU) << 13;
    return rg_float_of(sign | choose(bits >= 0x7c00U, special, usual));
}

RG_CLONES
static void to_halves(size_t count, float *restrict rest, uint16_t *restrict to)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t half = half_of(rest[i]);
        to[i] = (uint16_t)half;
        rest[i] -= float_of_half(half);
    }
}

RG_CLONES
static void from_halves(size_t count, const uint16_t *restrict from, float *restrict to)
{
    for (size_t i = 0; i < count; i++)
        to[i] = float_of_half(from[i]) + 0.0F; /* of -0 it makes 0, as a sum would */
}

RG_CLONES
static void add_halves(size_t count, const uint16_t *restrict from, float *restrict to)
{
    for (size_t i = 0; i < count; i++)
        to[i] = float_of_half(from[i]) + to[i];
}

/* ---- int8 ---- */

static struct span span_of(size_t count, const float *values)
{
    float least = values[0], most = values[0];
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        least = fminf(least, values[i]);
        most = fmaxf(most, values[i]);
        finite = finite && isfinite(values[i]);
    }
    return (struct span){least, finite ? (most - least) / 255 : NAN};
}

static float level(struct span span, uint8_t byte)
{
    return span.least + span.step * (float)byte;
}

static void to_bytes(size_t count, float *rest, uint64_t dice, void *to)
{
    struct span span = span_of(count, rest);
    uint8_t *bytes = (uint8_t *)to + sizeof span;
    memcpy(to, &span, sizeof span);
    for (size_t i = 0; i < count; i++) {
        float chance = (float)(rg_mix64(dice + i) >> 40) * 0x1p-24F;
        float at = span.step > 0 ? (rest[i] - span.least) / span.step + chance : 0;
        bytes[i] = (uint8_t)RG_MIN(at, 255.0F);
        rest[i] -= level(span, bytes[i]);
    }
}

static void from_bytes(size_t count, const void *from, float *to, bool add)
{
    struct span span;
    const uint8_t *bytes = (const uint8_t *)from + sizeof span;
    memcpy(&span, from, sizeof span);
    for (size_t i = 0; i < count; i++)
        to[i] = level(span, bytes[i]) + (add ? to[i] : 0);
}

/* ---- the largest ---- */

/* Digit by digit from the highest, in four passes. */
uint32_t rg_magnitude_among(size_t count, const float *values, size_t wanted, size_t *more)
{
    uint32_t found = 0, mask = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        size_t with[256] = {0};
        for (size_t i = 0; i < count; i++) {
            uint32_t bits = rg_bits_of(values[i]) & 0x7fffffffU;
            with[bits >> shift & 255U] += (bits & mask) == found;
        }
        uint32_t digit = 255;
        for (; with[digit] < wanted; digit--)
            wanted -= with[digit];
        found |= digit << shift;
        mask |= 255U << shift;
    }
    *more = wanted;
    return found;
}

static void to_places(struct rg_codec codec, size_t count, float *rest, void *to)
{
    size_t wanted = rg_coded_numbers(codec, count), more, said = 0;
    uint32_t least = rg_magnitude_among(count, rest, wanted, &more);
    for (size_t i = 0; i < count && said < wanted; i++) {
        uint32_t bits = rg_bits_of(rest[i]) & 0x7fffffffU;
        if (bits < least || (bits == least && more == 0))
            continue;
        more -= bits == least;
        struct place place = {(uint32_t)i, rest[i]};
        memcpy((char *)to + said++ * sizeof place, &place, sizeof place);
        rest[i] = isfinite(rest[i]) ? 0 : rest[i];
    }
    RG_ASSERT(said == wanted);
}

static bool from_places(struct rg_codec codec, size_t count, const void *from, float *to, bool add)
{
    size_t said = rg_coded_numbers(codec, count);
    if (!add)
        memset(to, 0, count * sizeof *to);
    for (size_t k = 0; k < said; k++) {
        struct place place;
        memcpy(&place, (const char *)from + k * sizeof place, sizeof place);
        if (place.index >= count)
            return false;
        to[place.index] += place.value;
    }
    return true;
}

/* ---- all of them ---- */

void rg_encode(struct rg_codec codec, size_t count, const float *values, float *rest, uint64_t dice,
               void *to)
{
    RG_ASSERT(codec.kind != RG_CODE_NONE);
    if (count == 0)
        return;
    for (size_t i = 0; values && i < count; i++)
        rest[i] += values[i];
    if (codec.kind == RG_CODE_FLOAT16)
        to_halves(count, rest, to);
    else if (codec.kind == RG_CODE_INT8)
        to_bytes(count, rest, dice, to);
    else
        to_places(codec, count, rest, to);
}

bool rg_decode(struct rg_codec codec, size_t count, const void *from, float *to, bool add)
{
    if (codec.kind == RG_CODE_TOP)
        return from_places(codec, count, from, to, add);
    if (codec.kind == RG_CODE_INT8 && count > 0)
        from_bytes(count, from, to, add);
    if (codec.kind == RG_CODE_FLOAT16 && add)
        add_halves(count, from, to);
    else if (codec.kind == RG_CODE_FLOAT16)
        from_halves(count, from, to);
    return true;
}

/* Operations an element by the source: of the largest, four passes that look and one that takes. */
struct rg_cost rg_encode_cost(struct rg_codec codec, size_t count)
{
    static const double flops[] = {[RG_CODE_FLOAT16] = 8, [RG_CODE_INT8] = 20, [RG_CODE_TOP] = 16};
    static const double passes[] = {[RG_CODE_FLOAT16] = 3, [RG_CODE_INT8] = 5, [RG_CODE_TOP] = 8};
    double n = (double)count;
    return (struct rg_cost){.flops = flops[codec.kind] * n,
                            .bytes = passes[codec.kind] * sizeof(float) * n +
                                     (double)rg_coded_bytes(codec, count),
                            .calls = 1};
}

struct rg_cost rg_decode_cost(struct rg_codec codec, size_t count, bool add)
{
    static const double flops[] = {[RG_CODE_FLOAT16] = 4, [RG_CODE_INT8] = 3, [RG_CODE_TOP] = 1};
    double n = (double)rg_coded_numbers(codec, count);
    double zeros = codec.kind == RG_CODE_TOP && !add ? (double)count : 0; /* where none is said */
    return (struct rg_cost){.flops = flops[codec.kind] * n,
                            .bytes = sizeof(float) * (2 * n + zeros) +
                                     (double)rg_coded_bytes(codec, count),
                            .calls = 1};
}
