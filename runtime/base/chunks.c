#include "base/chunks.h"

#include "base/check.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Each chunk is twice the one before it, between these: what is small stays so. Large ones are of
 * the kernel's large pages, where it has them: what lies scattered is then found sooner. */
enum { LEAST_BYTES = 1 << 12, MOST_BYTES = 1 << 22, LARGE_PAGE = 1 << 21, LINE = 64 };

struct rg_chunk {
    struct rg_chunk *before;
    size_t size; /* of bytes[] */
    _Alignas(LINE) char bytes[];
};

static int add_chunk(struct rg_chunks *c, size_t bytes)
{
    size_t whole = c->last ? 2 * (c->last->size + sizeof *c->last) : LEAST_BYTES;
    whole = RG_MIN(whole, MOST_BYTES);
    while (whole - sizeof *c->last < bytes)
        whole *= 2;
    struct rg_chunk *chunk = aligned_alloc(whole >= LARGE_PAGE ? LARGE_PAGE : LINE, whole);
    if (!chunk)
        return -1;
    if (whole >= LARGE_PAGE)
        madvise(chunk, whole, MADV_HUGEPAGE); /* where there are none, all is as before */
    chunk->before = c->last;
    chunk->size = whole - sizeof *chunk;
    c->last = chunk;
    c->used = 0;
    return 0;
}

void *rg_chunks_take(struct rg_chunks *c, size_t bytes)
{
    size_t unit = _Alignof(max_align_t), wanted = (bytes + unit - 1) / unit * unit;
    if ((!c->last || c->last->size - c->used < wanted) && add_chunk(c, wanted) != 0)
        return NULL;
    void *taken = c->last->bytes + c->used;
    c->used += wanted;
    return memset(taken, 0, wanted);
}

void rg_chunks_free(struct rg_chunks *c)
{
    for (struct rg_chunk *chunk = c->last, *before; chunk; chunk = before) {
        before = chunk->before;
        free(chunk);
    }
    *c = (struct rg_chunks){0};
}
