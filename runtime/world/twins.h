/* Twins: ranks whose numbers are equal to the bit, since they begin with the same and take the same
 * steps on the same sums. Those that live in one process (shared.h) keep one copy of them, and what
 * all compute alike the first that comes to it computes for all. Others, and all where numerics are
 * skipped, are alone: the same calls then give each what is its own.
 *
 * Nothing but the work of the simulating machine is saved: each twin holds its memory (counted), is
 * given the time of its computations, and sends and receives its messages, of which bytes that are
 * there already are not moved.
 *
 * One copy suffices where a twin changes it only when it knows that no other needs the old numbers
 * any more; taking part in a sum over all twins says so. */
#ifndef RG_WORLD_TWINS_H
#define RG_WORLD_TWINS_H

#include "world/world.h"

struct rg_twin_group;

/* One member's part; zeroed, or where NULL is given, it is alone. */
struct rg_twins {
    struct rg_twin_group *group; /* NULL: it is alone */
    int me;
};

/* Member `me` of `members` of the group that `of` (a job, a plan, ...) and a number stand for. */
int rg_twins_open(struct rg_twins *twins, struct rg_world *w, const void *of, int64_t number,
                  int members, int me);
void rg_twins_close(struct rg_twins *twins);

static inline bool rg_twins_share(const struct rg_twins *twins)
{
    return twins && twins->group;
}

/* Memory for numbers that are equal on all, as rg_mem_alloc gives it. which: 0, 1, ... Or a part of
 * it, from that byte on, where others have other parts and some the whole, of so many bytes. */
void *rg_twins_alloc(struct rg_twins *twins, struct rg_world *w, int which, uint64_t bytes,
                     size_t phase);
void *rg_twins_alloc_part(struct rg_twins *twins, struct rg_world *w, int which, uint64_t whole,
                          uint64_t first, uint64_t bytes);

/* Things that are done once for all, again and again. */
enum rg_twin_deed { RG_TWINS_BEGIN, RG_TWINS_STEP, RG_TWINS_COPY, RG_TWINS_PREDICT, RG_TWINS_SUM };

/* Is this member the first to do that the number-th time? Numbers of a deed rise, from 1. */
bool rg_twins_first(struct rg_twins *twins, enum rg_twin_deed deed, int64_t number);
/* rg_compute, on the strand w; fn by the first alone. */
int rg_twins_compute(struct rg_twins *twins, struct rg_world *w, enum rg_twin_deed deed,
                     int64_t number, const struct rg_work *work, const char *name, int unit,
                     rg_compute_fn fn, void *arg);

/* Let the others read, and write, numbers that are this member's own: as long as they know from
 * messages that it does neither. Where they share; alone it lends nothing. */
void rg_twins_lend(struct rg_twins *twins, float *numbers);
float *rg_twins_lent(const struct rg_twins *twins, int member);

#endif
