#include "world/twins.h"

#include "base/check.h"
#include "world/shared.h"
#include <stdlib.h>

enum { DEEDS = RG_TWINS_SUM + 1 };

struct rg_twin_group {
    struct rg_mem *mem; /* of the one copy; counted by every member for itself */
    void **blocks;
    int block_count;
    int64_t done[DEEDS]; /* the number of the last */
    float **lent;        /* [members] */
    int members;
};

static int make(void *object, const void *of, int64_t number)
{
    struct rg_twin_group *group = object;
    (void)of;
    (void)number;
    group->mem = rg_mem_new(RG_MEM_REAL);
    return group->mem ? 0 : RG_ERR_NOMEM;
}

static void clear(void *object)
{
    struct rg_twin_group *group = object;
    rg_mem_free(group->mem);
    free(group->blocks);
    free(group->lent);
}

static const struct rg_shared_kind kind = {sizeof(struct rg_twin_group), make, clear};

int rg_twins_open(struct rg_twins *twins, struct rg_world *w, const void *of, int64_t number,
                  int members, int me)
{
    *twins = (struct rg_twins){.me = me};
    if (!w->shared || w->skip_numerics || members == 1)
        return 0;
    struct rg_twin_group *group = twins->group = rg_shared_take(w, &kind, of, number);
    if (!group)
        return RG_ERR_NOMEM;
    if (!group->lent)
        group->lent = calloc((size_t)members, sizeof(float *));
    group->members = members;
    return group->lent ? 0 : RG_ERR_NOMEM;
}

void rg_twins_close(struct rg_twins *twins)
{
    rg_shared_drop(twins->group);
    twins->group = NULL;
}

/* A place for block number `which`. */
static bool make_room(struct rg_twin_group *group, int which)
{
    if (which < group->block_count)
        return true;
    void **more = realloc(group->blocks, (size_t)(which + 1) * sizeof(void *));
    if (!more)
        return false;
    group->blocks = more;
    while (group->block_count <= which)
        group->blocks[group->block_count++] = NULL;
    return true;
}

/* The one copy, of which this member has so many bytes. */
static char *take_block(struct rg_twin_group *group, struct rg_world *w, int which, uint64_t whole,
                        size_t phase, uint64_t bytes)
{
    if (!make_room(group, which))
        return NULL;
    if (!group->blocks[which])
        group->blocks[which] = rg_mem_alloc(group->mem, whole, phase);
    if (group->blocks[which])
        rg_mem_hold(w->mem, bytes);
    return group->blocks[which];
}

void *rg_twins_alloc(struct rg_twins *twins, struct rg_world *w, int which, uint64_t bytes,
                     size_t phase)
{
    return rg_twins_share(twins) ? take_block(twins->group, w, which, bytes, phase, bytes)
                                 : rg_mem_alloc(w->mem, bytes, phase);
}

void *rg_twins_alloc_part(struct rg_twins *twins, struct rg_world *w, int which, uint64_t whole,
                          uint64_t first, uint64_t bytes)
{
    if (!rg_twins_share(twins))
        return rg_mem_alloc(w->mem, bytes, 0);
    char *block = take_block(twins->group, w, which, whole, 0, bytes);
    return block ? block + first : NULL;
}

bool rg_twins_first(struct rg_twins *twins, enum rg_twin_deed deed, int64_t number)
{
    if (!rg_twins_share(twins))
        return true;
    struct rg_twin_group *group = twins->group;
    if (number <= group->done[deed])
        return false;
    group->done[deed] = number;
    return true;
}

int rg_twins_compute(struct rg_twins *twins, struct rg_world *w, enum rg_twin_deed deed,
                     int64_t number, const struct rg_work *work, const char *name, int unit,
                     rg_compute_fn fn, void *arg)
{
    bool first = rg_twins_first(twins, deed, number);
    return rg_compute(w, work, name, unit, first ? fn : NULL, arg);
}

void rg_twins_lend(struct rg_twins *twins, float *numbers)
{
    if (rg_twins_share(twins))
        twins->group->lent[twins->me] = numbers;
}

float *rg_twins_lent(const struct rg_twins *twins, int member)
{
    RG_ASSERT(twins->group && member < twins->group->members);
    return twins->group->lent[member];
}
