/* tanh in single precision from IEEE additions, multiplications and a division in double precision
 * alone: the same bits on every processor and with every C library, whose own tanhf differs between
 * versions and architectures. No branches, so that loops over it become vectors.
 *
 * tanh y = e / (e + 2) with e = exp 2y - 1 = 2^n (exp r - 1) + (2^n - 1), where n is 2y / ln 2
 * rounded and |r| <= ln 2 / 2, so that exp r - 1 is eight terms of its series, less than 2.4e-10 of
 * themselves off. All floats were tried: at most 0.509 units in the last place off, odd, rising.
 * Not for compilers that contract to fused multiply-add. */
#ifndef RG_MODELS_TANH_H
#define RG_MODELS_TANH_H

#include "models/clones.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

/* exp y - 1 for |y| < 700; exact to 2.4e-10 of itself, and as small as y where y is small. */
RG_PART double rg_exp_less_1(double y)
{
    const double ln_2 = 0x1.62e42fefa39efp-1, per_ln_2 = 0x1.71547652b82fep0;
    const double whole = 0x1.8p52; /* in a sum with it a number loses what comes after the point */
    double n = y * per_ln_2 + whole, power, sum = 1.0 / 40320;
    uint64_t bits;
    memcpy(&bits, &n, sizeof bits);
    bits = (bits + 1023) << 52; /* of 2^n: the lowest bits of the sum are n */
    memcpy(&power, &bits, sizeof power);
    double r = y - (n - whole) * ln_2;
    sum = sum * r + 1.0 / 5040;
    sum = sum * r + 1.0 / 720;
    sum = sum * r + 1.0 / 120;
    sum = sum * r + 1.0 / 24;
    sum = sum * r + 1.0 / 6;
    sum = sum * r + 0.5;
    sum = sum * r + 1;
    return power * (sum * r) + (power - 1);
}

/* NAN of NAN; 1 from 9.02 on. */
RG_PART float rg_tanh(float x)
{
    float size = fabsf(x);
    double e = rg_exp_less_1(2.0 * (size > 9.1f ? 9.1f : size));
    return copysignf((float)(e / (e + 2)), x);
}

#endif
