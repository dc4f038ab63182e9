/* What samples are to be learnt as: labels of classes, one a sample or one a token, or numbers. A
 * label takes as few bytes as the classes need, 1, 2 or 4, a number is a float32; both in the byte
 * order of the machine. */
#ifndef RG_MODELS_TARGETS_H
#define RG_MODELS_TARGETS_H

#include <stddef.h>
#include <stdint.h>

struct rg_targets {
    int count;   /* a sample */
    int classes; /* labels are 0 to classes - 1; 0: the targets are numbers */
};

/* Bytes of one target, and of those of a sample. */
static inline size_t rg_target_bytes(const struct rg_targets *t)
{
    if (t->classes == 0)
        return sizeof(float);
    return t->classes <= 1 << 8 ? 1 : t->classes <= 1 << 16 ? 2 : 4;
}

static inline size_t rg_targets_bytes(const struct rg_targets *t)
{
    return (size_t)t->count * rg_target_bytes(t);
}

/* Label i of an array of them. */
static inline int32_t rg_target_label(const struct rg_targets *t, const void *labels, size_t i)
{
    switch (rg_target_bytes(t)) {
    case 1:
        return ((const uint8_t *)labels)[i];
    case 2:
        return ((const uint16_t *)labels)[i];
    default:
        return ((const int32_t *)labels)[i];
    }
}

static inline void rg_target_set_label(const struct rg_targets *t, void *labels, size_t i,
                                       int32_t label)
{
    switch (rg_target_bytes(t)) {
    case 1:
        ((uint8_t *)labels)[i] = (uint8_t)label;
        break;
    case 2:
        ((uint16_t *)labels)[i] = (uint16_t)label;
        break;
    default:
        ((int32_t *)labels)[i] = label;
    }
}

#endif
