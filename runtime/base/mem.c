/* Counted memory.
 *
 * Happy path: allocate (or, where numerics are skipped, reserve) a block a request, keep it in a
 * list, give all back at the end. Blocks are few (some tens a node) and live for a whole run.
 * Failure mode handled: no memory (NULL). */
#include "base/mem.h"

#include "base/check.h"
#include "base/sizes.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct block {
    struct block *next;
    void *base;
    size_t size;
};

struct range {
    uintptr_t begin, end;
};

struct rg_mem {
    enum rg_mem_kind kind;
    uint64_t counted;
    struct block *blocks; /* mapped */
    struct block *plain;  /* from calloc */
    struct range *ranges; /* of a virtual arena, by address */
    int range_count, range_capacity;
};

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
        if (mem->kind == RG_MEM_REAL)
            free(b->base);
        else
            munmap(b->base, b->size);
        free(b);
    }
    for (struct block *b = mem->plain, *next; b; b = next) {
        next = b->next;
        free(b->base);
        free(b);
    }
    free(mem->ranges);
    free(mem);
}

/* Remember a virtual block, so that rg_mem_is_virtual_at finds it. */
static int add_range(struct rg_mem *mem, uintptr_t begin, uintptr_t end)
{
    if (mem->range_count == mem->range_capacity) {
        int capacity = mem->range_capacity ? 2 * mem->range_capacity : 16;
        struct range *ranges = realloc(mem->ranges, (size_t)capacity * sizeof *ranges);
        if (!ranges)
            return -1;
        mem->ranges = ranges;
        mem->range_capacity = capacity;
    }
    int i = mem->range_count++;
    for (; i > 0 && mem->ranges[i - 1].begin > begin; i--)
        mem->ranges[i] = mem->ranges[i - 1];
    mem->ranges[i] = (struct range){begin, end};
    return 0;
}

static void *keep(struct block **list, void *base, size_t size)
{
    struct block *block = malloc(sizeof *block);
    if (!block)
        return NULL;
    *block = (struct block){.next = *list, .base = base, .size = size};
    *list = block;
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
        base = aligned_alloc(RG_MEM_ALIGN, size);
        if (base)
            memset(base, 0, size);
    } else {
        base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base == MAP_FAILED)
            base = NULL;
        if (base && add_range(mem, (uintptr_t)base, (uintptr_t)base + size) != 0) {
            munmap(base, size);
            base = NULL;
        }
    }
    if (!base || !keep(&mem->blocks, base, size))
        return NULL;
    mem->counted += bytes;
    return (char *)base + phase;
}

float *rg_mem_floats(struct rg_mem *mem, uint64_t count)
{
    return rg_mem_alloc(mem, rg_size_times(count, sizeof(float)), 0);
}

void *rg_mem_plain(struct rg_mem *mem, size_t bytes)
{
    void *base = calloc(1, bytes ? bytes : 1);
    return base ? keep(&mem->plain, base, bytes) : NULL;
}

uint64_t rg_mem_bytes(const struct rg_mem *mem)
{
    return mem->counted;
}

int rg_mem_is_virtual_at(const struct rg_mem *mem, const void *address)
{
    uintptr_t at = (uintptr_t)address;
    int low = 0, high = mem->range_count; /* the answer is in [low, high) */
    while (low < high) {
        int middle = (low + high) / 2;
        if (at < mem->ranges[middle].begin)
            high = middle;
        else if (at >= mem->ranges[middle].end)
            low = middle + 1;
        else
            return 1;
    }
    return 0;
}
