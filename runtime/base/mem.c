/* Counted memory.
 *
 * Happy path: allocate a block a request, keep it in a list, give all back at the end; where
 * numerics are skipped, an address that cannot be touched. Blocks are few (some tens a node) and
 * live for a whole run. Failure mode handled: no memory (NULL). */
#include "base/mem.h"

#include "base/check.h"
#include "base/sizes.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct block {
    struct block *next;
    void *base;
};

struct range {
    uintptr_t begin, end;
};

struct rg_mem {
    enum rg_mem_kind kind;
    uint64_t counted;
    struct block *blocks;
};

/* ---- addresses that cannot be touched ---- */

/* All virtual blocks of a process share them: nobody reads or writes there, so that two blocks may
 * lie in one place. A region is at least twice as large as the one before. */
static struct {
    pthread_mutex_t lock;
    struct range region[8 * sizeof(size_t)];
    atomic_int count;
} nowhere = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* `size` of them; NULL: there are not so many. */
static void *reserve(size_t size)
{
    void *base = NULL;
    pthread_mutex_lock(&nowhere.lock);
    int count = nowhere.count;
    const struct range *last = count ? &nowhere.region[count - 1] : NULL;
    size_t have = last ? last->end - last->begin : 0;
    if (last && size <= have) {
        base = (void *)last->begin;
    } else {
        size_t wanted = RG_MAX(size, have <= SIZE_MAX / 4 ? 2 * have : 0);
        base = mmap(NULL, wanted, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base == MAP_FAILED)
            base = NULL;
        if (base) {
            nowhere.region[count] = (struct range){(uintptr_t)base, (uintptr_t)base + wanted};
            nowhere.count = count + 1;
        }
    }
    pthread_mutex_unlock(&nowhere.lock);
    return base;
}

/* ---- arenas ---- */

struct rg_mem *rg_mem_new(enum rg_mem_kind kind)
{
    struct rg_mem *mem = calloc(1, sizeof *mem);
    if (mem)
        mem->kind = kind;
    return mem;
}

void rg_mem_free(struct rg_mem *mem)
{
    if (!mem)
        return;
    for (struct block *b = mem->blocks, *next; b; b = next) {
        next = b->next;
        free(b->base);
        free(b);
    }
    free(mem);
}

static void *keep(struct rg_mem *mem, void *base)
{
    struct block *block = base ? malloc(sizeof *block) : NULL;
    if (!block) {
        free(base);
        return NULL;
    }
    *block = (struct block){.next = mem->blocks, .base = base};
    mem->blocks = block;
    return base;
}

void *rg_mem_alloc(struct rg_mem *mem, uint64_t bytes, size_t phase)
{
    RG_ASSERT(phase < RG_MEM_ALIGN);
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t size = ((size_t)bytes + phase + 2 * RG_MEM_ALIGN - 1) / RG_MEM_ALIGN * RG_MEM_ALIGN;
    void *base;
    if (mem->kind == RG_MEM_REAL) {
        base = keep(mem, aligned_alloc(RG_MEM_ALIGN, size));
        if (base)
            memset(base, 0, size);
    } else {
        base = reserve(size);
    }
    if (!base)
        return NULL;
    mem->counted += bytes;
    return (char *)base + phase;
}

float *rg_mem_floats(struct rg_mem *mem, uint64_t count)
{
    return rg_mem_alloc(mem, rg_size_times(count, sizeof(float)), 0);
}

void rg_mem_hold(struct rg_mem *mem, uint64_t bytes)
{
    mem->counted += bytes;
}

void *rg_mem_plain(struct rg_mem *mem, size_t bytes)
{
    return keep(mem, calloc(1, bytes ? bytes : 1));
}

uint64_t rg_mem_bytes(const struct rg_mem *mem)
{
    return mem->counted;
}

bool rg_mem_is_virtual_at(const struct rg_mem *mem, const void *address)
{
    uintptr_t at = (uintptr_t)address;
    bool found = false;
    for (int i = mem->kind == RG_MEM_VIRTUAL ? nowhere.count : 0; i-- > 0 && !found;)
        found = at >= nowhere.region[i].begin && at < nowhere.region[i].end;
    return found;
}
