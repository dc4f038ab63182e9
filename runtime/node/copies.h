/* States of a training that nodes keep in memory for one another, from one attempt to the next
 * (attempts.h): where each node that is left tells which parts of which states it has, the newest
 * that is whole is gone on from, without any file.
 *
 * Parts are not bound to ranks: a range of the network's vector, of parameters or of what the
 * optimizer has for each. */
#ifndef RG_NODE_COPIES_H
#define RG_NODE_COPIES_H

#include "result/result.h"
#include "strategies/strategy.h"

/* A part of the state after so many iterations, the same on every ABI: it travels without what
 * follows. */
struct rg_copy_name {
    int64_t done;
    uint64_t first, count; /* a range of the network's vector */
    char name[40];         /* of what, as struct rg_state_array */
};
_Static_assert(sizeof(struct rg_copy_name) == 64, "it has no padding");

struct rg_copy {
    struct rg_copy_name name;
    float *values; /* malloc'ed; NULL: numerics are skipped */
};

struct rg_copies {
    struct rg_copy *list; /* [count] */
    int count;
    /* The evaluations so far, which every node has as well: [point_count]. */
    struct rg_run_point *points;
    int point_count;
    uint32_t plan; /* a checksum of how the network was divided (rg_job_settled) */
};

void rg_copies_free(struct rg_copies *copies); /* and zeroes them */
/* One more; values NULL: none. 0 or RG_ERR_NOMEM. */
int rg_copies_add(struct rg_copies *copies, int64_t done, const struct rg_state_array *array,
                  const float *values);
/* Is all of the array in one of them, of that state? */
bool rg_copies_cover(const struct rg_copies *copies, int64_t done,
                     const struct rg_state_array *array);
int rg_copies_add_point(struct rg_copies *copies, const struct rg_run_point *point);
/* Only what is of that state stays; done < 0: of no state. */
void rg_copies_keep(struct rg_copies *copies, int64_t done);
/* Of the evaluations those until then; done < 0: none. */
void rg_copies_keep_points(struct rg_copies *copies, int64_t done);

/* Of what nodes have and want, the newest state that is whole, after at most `most` iterations: all
 * that is wanted is had of it by somebody. -1: there is none. */
int64_t rg_copies_newest(const struct rg_copy_name *had, int had_count,
                         const struct rg_copy_name *wanted, int wanted_count, int64_t most);
/* The part with place `at` of `wanted`, of the state `done`: of those that are had its number, that
 * with `prefer` first where it is one of them ([had_count] by whom). -1: nobody has it. */
int rg_copies_find(const struct rg_copy_name *had, const int *by, int had_count, int64_t done,
                   const char *name, uint64_t at, int prefer);

/* As bytes for another process of this machine; malloc'ed. 0 or an error. */
int rg_copies_encode(const struct rg_copies *copies, unsigned char **bytes, size_t *size);
int rg_copies_decode(const unsigned char *bytes, size_t size, struct rg_copies *copies);

#endif
