/* What a piece of computation costs, independent of the board that runs it.
 *
 * A kernel says how many floating-point operations it does, how many bytes it moves between memory
 * and processor, and, where it is a matrix product, the shape. boards/ turns that into seconds. */
#ifndef RG_BASE_COST_H
#define RG_BASE_COST_H

#include <stddef.h>

/* One kernel call, or `calls` equal ones. m = n = k = 0 where it is no matrix product. */
struct rg_cost {
    int m, n, k;  /* C[m x n] += A[m x k] B[k x n] */
    double flops; /* of one call; 2mnk for a matrix product */
    double bytes; /* read and written by one call, every operand once */
    double calls;
    double functions; /* of the C library in one call: exp, log */
};

/* A list of kernels run one after the other: what one rg_compute() does. Zero-initialise. */
struct rg_work {
    struct rg_cost *cost;
    int count, capacity;
};

/* Append; they abort on lack of memory (lists are built once, before training, and are short). */
void rg_work_gemm(struct rg_work *work, int m, int n, int k, double calls);
void rg_work_vector(struct rg_work *work, double flops, double bytes);
/* One with functions: flops has them as if they were additions and multiplications. */
void rg_work_functions(struct rg_work *work, double flops, double bytes, double functions);
/* The kernel appended last is called so often. */
void rg_work_calls(struct rg_work *work, double calls);
void rg_work_free(struct rg_work *work);

/* Sums over the list. */
double rg_work_flops(const struct rg_work *work);
double rg_work_bytes(const struct rg_work *work);

#endif
