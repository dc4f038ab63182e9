/* Exponentials and tanh from IEEE additions, multiplications and divisions in double precision
 * alone: the same bits on every processor and with every C library, whose own tanhf differs between
 * versions and architectures. No branches, so that loops over them become vectors.
 *
 * exp y = 2^n exp r, where n is y / ln 2 rounded and |r| <= ln 2 / 2, so that exp r - 1 is eight
 * terms of its series, less than 2.4e-10 of themselves off. Not for compilers that contract to
 * fused multiply-add. */
#ifndef RG_MODELS_EXP_H
#define RG_MODELS_EXP_H

#include "base/clones.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

/* exp r - 1, and 2^n to *power; |y| < 700. */
RG_PART double rg_exp_parts(double y, double *power)
{
    const double ln_2 = 0x1.62e42fefa39efp-1, per_ln_2 = 0x1.71547652b82fep0;
    const double whole = 0x1.8p52; /* in a sum with it a number loses what comes after the point */
    double n = y * per_ln_2 + whole, sum = 1.0 / 40320;
    uint64_t bits;
    memcpy(&bits, &n, sizeof bits);
    bits = (bits + 1023) << 52; /* of 2^n: the lowest bits of the sum are n */
    memcpy(power, &bits, sizeof *power);
    double r = y - (n - whole) * ln_2;
    sum = sum * r + 1.0 / 5040;
    sum = sum * r + 1.0 / 720;
    sum = sum * r + 1.0 / 120;
    sum = sum * r + 1.0 / 24;
    sum = sum * r + 1.0 / 6;
    sum = sum * r + 0.5;
    sum = sum * r + 1;
    return sum * r;
}

/* exp y - 1 for |y| < 700; exact to 2.4e-10 of itself, and as small as y where y is small. */
RG_PART double rg_exp_less_1(double y)
{
    double power, part = rg_exp_parts(y, &power);
    return power * part + (power - 1);
}

/* exp y for |y| < 700, exact to 1e-10 of itself. */
RG_PART double rg_exp(double y)
{
    double power, part = rg_exp_parts(y, &power);
    return power * part + power;
}

/* tanh y = e / (e + 2) with e = exp 2y - 1. All floats were tried: at most 0.509 units in the last
 * place off, odd, rising. NAN of NAN; 1 from 9.02 on. */
RG_PART float rg_tanh(float x)
{
    float size = fabsf(x);
    double e = rg_exp_less_1(2.0 * (size > 9.1f ? 9.1f : size));
    return copysignf((float)(e / (e + 2)), x);
}

/* 1 / (1 + exp -x), the exponential of what is not positive; 1 from 17.4 on, NAN of NAN. */
RG_PART float rg_sigmoid(float x)
{
    double size = fabsf(x), e = rg_exp(size > 150 ? -150 : -size);
    return (float)((x < 0 ? e : 1) / (1 + e));
}

#endif
