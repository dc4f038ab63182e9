/* What a piece of computation costs, independent of the board that runs it.
 *
 * A kernel says how many floating-point operations it does, how many bytes it moves between memory
 * and processor, and, where it is a matrix product, the shape. boards/ turns that into seconds. */
#ifndef RG_BASE_COST_H
#define RG_BASE_COST_H

#include <stddef.h>

/* A part of a network's training, as profiles have measured seconds of it (boards/measured.h). */
enum rg_part_kind {
    RG_PART_NONE,
    RG_PART_LOAD, /* of samples, and what else a pass takes beside layers and loss */
    RG_PART_FORWARD,
    RG_PART_BACKWARD,
    RG_PART_INPUT,   /* the first half of backward, ... */
    RG_PART_WEIGHTS, /* ... and the second */
    RG_PART_LOSS,
    RG_PART_UPDATE /* the optimiser's step */
};
struct rg_part {
    enum rg_part_kind kind;
    int kernels;         /* of the list, that are this part */
    int layer, samples;  /* of a pass, a loss, loading: so many samples at once */
    size_t first, count; /* of an update: parameters of the network */
};

/* One kernel call, or `calls` equal ones. m = n = k = 0 where it is no matrix product. */
struct rg_cost {
    int m, n, k;  /* C[m x n] += A[m x k] B[k x n] */
    double flops; /* of one call; 2mnk for a matrix product */
    double bytes; /* read and written by one call, every operand once */
    double calls;
    double functions;    /* of the C library in one call: exp, log */
    struct rg_part part; /* that begins with this kernel */
};

/* Seconds of a list of kernels: all, and those of them in which one core works and others idle. */
struct rg_seconds {
    double all, alone;
};

/* What a list takes on a board with so many threads. */
struct rg_board; /* boards/board.h */
struct rg_known_seconds {
    const struct rg_board *board; /* NULL: none yet */
    int threads;
    struct rg_seconds seconds;
};
enum { RG_KNOWN_BOARDS = 2 };

/* A list of kernels run one after the other: what one rg_compute() does. Zero-initialise. */
struct rg_work {
    struct rg_cost *cost;
    int count, capacity;
    struct rg_known_seconds *known; /* [RG_KNOWN_BOARDS], those asked for last; or NULL */
};

/* Of a copy of so many floats. */
struct rg_cost rg_copy_cost(size_t floats);

/* Append; they abort on lack of memory (lists are built once, before training, and are short). */
void rg_work_gemm(struct rg_work *work, int m, int n, int k, double calls);
void rg_work_vector(struct rg_work *work, double flops, double bytes);
/* One with functions: flops has them as if they were additions and multiplications. */
void rg_work_functions(struct rg_work *work, double flops, double bytes, double functions);
/* The kernel appended last is called so often. */
void rg_work_calls(struct rg_work *work, double calls);
/* The kernels from number `from` on are that part; of parts inside it nobody asks any more. */
void rg_work_part(struct rg_work *work, int from, struct rg_part part);
/* The list is complete, and will be run again and again: its seconds are worked out once. */
void rg_work_keep_seconds(struct rg_work *work);
void rg_work_free(struct rg_work *work);

/* Sums over the list. */
double rg_work_flops(const struct rg_work *work);
double rg_work_bytes(const struct rg_work *work);

#endif
