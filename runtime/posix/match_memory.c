/* Memory for what messages need beside their buffers: first from a region reserved at the join,
 * whose pages exist once touched, and recycled for ever. Only a run that has more under way than
 * fits there allocates. */
#include "posix/match_parts.h"

#include "base/check.h"
#include <stdlib.h>
#include <sys/mman.h>

enum { SLAB = 64 };

struct chunk {
    struct chunk *next;
    _Alignas(64) unsigned char bytes[];
};

int rg_match_open_memory(struct rg_match *m)
{
    m->region_size = 4 * RG_EAGER_LIMIT * (size_t)RG_MIN(m->size, 16);
    m->region = mmap(NULL, m->region_size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m->region == MAP_FAILED) {
        m->region = NULL;
        return RG_ERR_NOMEM;
    }
    return 0;
}

void rg_match_close_memory(struct rg_match *m)
{
    for (struct chunk *c = m->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    if (m->region)
        munmap(m->region, m->region_size);
}

static void *take(struct rg_match *m, size_t bytes)
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

struct rg_transfer *rg_match_take_transfer(struct rg_match *m)
{
    if (!m->spare_transfers) {
        struct rg_transfer *slab = take(m, SLAB * sizeof *slab);
        for (int i = 0; slab && i < SLAB; i++) {
            slab[i].next = m->spare_transfers;
            m->spare_transfers = &slab[i];
        }
    }
    struct rg_transfer *t = m->spare_transfers;
    if (t)
        m->spare_transfers = t->next;
    return t;
}

void rg_match_give_transfer(struct rg_match *m, struct rg_transfer *t)
{
    t->next = m->spare_transfers;
    m->spare_transfers = t;
}

struct rg_unexpected *rg_match_take_unexpected(struct rg_match *m)
{
    if (!m->spare_unexpected) {
        struct rg_unexpected *slab = take(m, SLAB * sizeof *slab);
        for (int i = 0; slab && i < SLAB; i++) {
            slab[i].next = m->spare_unexpected;
            m->spare_unexpected = &slab[i];
        }
    }
    struct rg_unexpected *early = m->spare_unexpected;
    if (early)
        m->spare_unexpected = early->next;
    return early;
}

void rg_match_give_unexpected(struct rg_match *m, struct rg_unexpected *early)
{
    rg_match_give_bounce(m, early->bounce);
    early->next = m->spare_unexpected;
    m->spare_unexpected = early;
}

/* Sizes are powers of two up to twice the eager limit; anything larger is rare (something was
 * cancelled), and given back to the system. */
struct rg_bounce *rg_match_take_bounce(struct rg_match *m, size_t bytes)
{
    int grade = 6;
    while (grade < RG_BOUNCE_CLASSES && (size_t)1 << grade < bytes)
        grade++;
    struct rg_bounce *bounce = grade < RG_BOUNCE_CLASSES ? m->spare_bounces[grade] : NULL;
    if (bounce)
        m->spare_bounces[grade] = bounce->next;
    else if (grade < RG_BOUNCE_CLASSES)
        bounce = take(m, sizeof *bounce + ((size_t)1 << grade));
    else
        bounce = aligned_alloc(64, sizeof *bounce + (bytes + 63) / 64 * 64);
    if (bounce)
        bounce->grade = grade;
    return bounce;
}

void rg_match_give_bounce(struct rg_match *m, struct rg_bounce *bounce)
{
    if (!bounce)
        return;
    if (bounce->grade == RG_BOUNCE_CLASSES) {
        free(bounce);
        return;
    }
    bounce->next = m->spare_bounces[bounce->grade];
    m->spare_bounces[bounce->grade] = bounce;
}
