/* Whether two processes that compute the same get the same bits. */
#ifndef RG_MODELS_BITS_H
#define RG_MODELS_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the last bits depend on beside what is computed, of one process. It travels between
 * processes: no pointers, no padding. */
struct rg_bits {
    char kernels[32]; /* OpenBLAS's name of them */
    char blas[16];    /* OpenBLAS's version: "0.3.21" */
    char libc[16];    /* glibc's: "2.36" */
    int32_t threads;  /* of products */
    int32_t fuses;    /* convolutions fuse multiplications with additions: see correlate.h */
};

/* What a computation is made of, as far as its bits depend on it. */
struct rg_products {
    int longest;       /* numbers that one element of OpenBLAS's products sums; 0: there are none */
    bool vectors;      /* some have one row or one column */
    bool convolutions; /* there are such */
};

void rg_bits_own(struct rg_bits *own);

/* False: such products and all else that training calls are known to give the same bits in both.
 * Else `why` [size] says what differs, and for which sums. */
bool rg_bits_differ(const struct rg_bits *one, const struct rg_bits *other,
                    const struct rg_products *products, char *why, size_t size);

#endif
