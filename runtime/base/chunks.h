/* Many small pieces of memory that go together: taken one by one, next to each other, and given
 * back all at once. Not thread-safe. */
#ifndef RG_BASE_CHUNKS_H
#define RG_BASE_CHUNKS_H

#include <stddef.h>

struct rg_chunk;

/* Zero-initialise. */
struct rg_chunks {
    struct rg_chunk *last;
    size_t used; /* bytes of it */
};

/* Zeroed, aligned for anything; NULL where memory is out. */
void *rg_chunks_take(struct rg_chunks *c, size_t bytes);
/* All that was taken; then c is as at first. */
void rg_chunks_free(struct rg_chunks *c);

#endif
