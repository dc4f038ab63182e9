/* Memory for what messages need beside their buffers: first from a region reserved at the join,
 * whose pages exist once touched, and recycled for ever. Only a run that has more under way than
 * fits there allocates. */
#include "posix/mesh.h"

#include "base/check.h"
#include <stdlib.h>
#include <sys/mman.h>

enum { SLAB = 64 };

struct chunk {
    struct chunk *next;
    _Alignas(64) unsigned char bytes[];
};

int rg_pool_open(struct rg_mesh *m)
{
    m->region_size = 4 * RG_WINDOW * (size_t)RG_MIN(m->size, 16);
    m->region = mmap(NULL, m->region_size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m->region == MAP_FAILED) {
        m->region = NULL;
        return RG_ERR_NOMEM;
    }
    return 0;
}

void rg_pool_close(struct rg_mesh *m)
{
    for (struct chunk *c = m->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    if (m->region)
        munmap(m->region, m->region_size);
}

static void *take(struct rg_mesh *m, size_t bytes)
{
    bytes = (bytes + 63) / 64 * 64;
    if (bytes <= m->region_size - m->region_used) {
        void *p = m->region + m->region_used;
        m->region_used += bytes;
        return p;
    }
    struct chunk *c = aligned_alloc(64, sizeof *c + bytes);
    if (!c)
        return NULL;
    c->next = m->chunks;
    m->chunks = c;
    return c->bytes;
}

struct rg_op *rg_pool_op(struct rg_mesh *m)
{
    if (!m->spare_ops) {
        struct rg_op *slab = take(m, SLAB * sizeof *slab);
        for (int i = 0; slab && i < SLAB; i++) {
            slab[i].next = m->spare_ops;
            m->spare_ops = &slab[i];
        }
    }
    struct rg_op *op = m->spare_ops;
    if (op)
        m->spare_ops = op->next;
    return op;
}

void rg_pool_give_op(struct rg_mesh *m, struct rg_op *op)
{
    op->next = m->spare_ops;
    m->spare_ops = op;
}

struct rg_parcel *rg_pool_parcel(struct rg_mesh *m)
{
    if (!m->spare_parcels) {
        struct rg_parcel *slab = take(m, SLAB * sizeof *slab);
        for (int i = 0; slab && i < SLAB; i++) {
            slab[i].next = m->spare_parcels;
            m->spare_parcels = &slab[i];
        }
    }
    struct rg_parcel *parcel = m->spare_parcels;
    if (parcel)
        m->spare_parcels = parcel->next;
    return parcel;
}

void rg_pool_give_parcel(struct rg_mesh *m, struct rg_parcel *parcel)
{
    rg_pool_give_stash(m, parcel->stash);
    parcel->next = m->spare_parcels;
    m->spare_parcels = parcel;
}

/* Sizes are powers of two up to the window; anything larger is rare (something was cancelled), and
 * given back to the system. */
struct rg_stash *rg_pool_stash(struct rg_mesh *m, size_t bytes)
{
    int grade = 6;
    while (grade < RG_STASH_CLASSES && (size_t)1 << grade < bytes)
        grade++;
    struct rg_stash *stash = grade < RG_STASH_CLASSES ? m->spare_stashes[grade] : NULL;
    if (stash)
        m->spare_stashes[grade] = stash->next;
    else if (grade < RG_STASH_CLASSES)
        stash = take(m, sizeof *stash + ((size_t)1 << grade));
    else
        stash = aligned_alloc(64, sizeof *stash + (bytes + 63) / 64 * 64);
    if (stash)
        stash->grade = grade;
    return stash;
}

void rg_pool_give_stash(struct rg_mesh *m, struct rg_stash *stash)
{
    if (!stash)
        return;
    if (stash->grade == RG_STASH_CLASSES) {
        free(stash);
        return;
    }
    stash->next = m->spare_stashes[stash->grade];
    m->spare_stashes[stash->grade] = stash;
}
