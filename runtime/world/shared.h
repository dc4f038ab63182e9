/* What ranks that live in one process share, where their world lets them (rg_world.shared): nodes
 * of a simulation are many and alike, so that tables are made once for all. Where it does not, each
 * rank has objects of its own, by the same calls.
 *
 * Only time, traffic and counted memory say what a node needs; what is shared changes none of them.
 * Not thread-safe: one strand of the process runs at a time. */
#ifndef RG_WORLD_SHARED_H
#define RG_WORLD_SHARED_H

#include "world/world.h"

struct rg_shared; /* of all ranks of a world */

struct rg_shared *rg_shared_new(void); /* NULL: no memory */
/* With what nodes that died have not given back. */
void rg_shared_free(struct rg_shared *shared);

struct rg_shared_kind {
    size_t bytes; /* of an object */
    /* Fill in a zeroed object: 0 or RG_ERR_NOMEM; then, and at its end, it is cleared. */
    int (*make)(void *object, const void *of, int64_t number);
    void (*clear)(void *object); /* NULL: it owns nothing */
};

/* The object of that kind for `of` (a job, a plan, ...) and a number: the one that others have, or
 * else a new one. NULL: no memory. Whoever has it last gives it up with rg_shared_drop (NULL is
 * passed over). */
void *rg_shared_take(struct rg_world *w, const struct rg_shared_kind *kind, const void *of,
                     int64_t number);
void rg_shared_drop(void *object);

#endif
