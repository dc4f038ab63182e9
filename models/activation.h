/* Activations y = f(z) and what they do to a gradient, element by element, from IEEE operations
 * alone: the same bits on every processor and with every C library. No branches, so that loops over
 * them become vectors.
 *
 * To add one: its two functions here and a line in activations.def. */
#ifndef RG_MODELS_ACTIVATION_H
#define RG_MODELS_ACTIVATION_H

#include "models/exp.h"
#include "models/layers.h"

RG_PART float identity_of(float z)
{
    return z;
}

RG_PART float identity_back(float y, float dy)
{
    (void)y;
    return dy;
}

RG_PART float relu_of(float z)
{
    return z > 0 ? z : 0;
}

RG_PART float relu_back(float y, float dy)
{
    return y > 0 ? dy : 0;
}

RG_PART float tanh_of(float z)
{
    return rg_tanh(z);
}

RG_PART float tanh_back(float y, float dy)
{
    return dy * (1 - y * y);
}

RG_PART float sigmoid_of(float z)
{
    return rg_sigmoid(z);
}

RG_PART float sigmoid_back(float y, float dy)
{
    return dy * (y * (1 - y));
}

/* min(max(z, 0), 6) (Howard et al. 2017) */
RG_PART float relu6_of(float z)
{
    float y = z > 0 ? z : 0;
    return y > 6 ? 6 : y;
}

RG_PART float relu6_back(float y, float dy)
{
    return (y > 0) & (y < 6) ? dy : 0;
}

/* z relu6(z + 3) / 6 (Howard et al. 2019) */
RG_PART float hardswish_of(float z)
{
    return z * relu6_of(z + 3) * (1.0f / 6);
}

RG_PART float hardswish_back(float z, float dy)
{
    float slope = z < 3 ? (2 * z + 3) * (1.0f / 6) : 1;
    return dy * (z > -3 ? slope : 0);
}

/* z sigmoid(z) (Elfwing, Uchibe and Doya 2018) */
RG_PART float silu_of(float z)
{
    return z * rg_sigmoid(z);
}

RG_PART float silu_back(float z, float dy)
{
    float s = rg_sigmoid(z);
    return dy * (s * (1 + z * (1 - s)));
}

/* z / 2 (1 + tanh u), u = sqrt(2 / pi) (z + 0.044715 z^3) (Hendrycks and Gimpel 2016, the form with
 * tanh). */
#define RG_GELU_SCALE 0.79788456080286536f
#define RG_GELU_CUBIC 0.044715f

RG_PART float gelu_of(float z)
{
    float t = rg_tanh(RG_GELU_SCALE * (z + RG_GELU_CUBIC * (z * z * z)));
    return 0.5f * z * (1 + t);
}

RG_PART float gelu_back(float z, float dy)
{
    float square = z * z, t = rg_tanh(RG_GELU_SCALE * (z + RG_GELU_CUBIC * (square * z)));
    float slope = RG_GELU_SCALE * (1 + 3 * RG_GELU_CUBIC * square);
    return dy * (0.5f * (1 + t) + 0.5f * z * ((1 - t * t) * slope));
}

#endif
