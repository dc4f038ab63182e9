/* Counted memory of one node: every buffer that training needs comes from here, or is noted here.
 *
 * One arena per run and node; freed as a whole. Where numerics are skipped the arena hands out
 * addresses that cannot be touched (PROT_NONE), the same ones for all: a 500-node run of a large
 * network costs next to no address space, and any accidental access faults at once. So an address
 * does not tell blocks apart. */
#ifndef RG_BASE_MEM_H
#define RG_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RG_MEM_ALIGN 64

struct rg_mem;

enum rg_mem_kind { RG_MEM_REAL, RG_MEM_VIRTUAL };

struct rg_mem *rg_mem_new(enum rg_mem_kind kind);
void rg_mem_free(struct rg_mem *mem);

/* `bytes` zeroed bytes (zero bytes give a valid pointer), at an address equal to `phase`
 * modulo RG_MEM_ALIGN: two runs whose operands have equal phases run identical kernels. Counted as
 * `bytes`, padding left out. NULL when memory is out. */
void *rg_mem_alloc(struct rg_mem *mem, uint64_t bytes, size_t phase);
float *rg_mem_floats(struct rg_mem *mem, uint64_t count);

/* Count bytes that are held elsewhere: what several nodes of one process share, each has. */
void rg_mem_hold(struct rg_mem *mem, uint64_t bytes);

/* Uncounted: bookkeeping that exists on the simulator's side or is no training state; always real.
 */
void *rg_mem_plain(struct rg_mem *mem, size_t bytes);

uint64_t rg_mem_bytes(const struct rg_mem *mem); /* counted so far */
/* Does the address lie in what virtual arenas hand out, so that it cannot be touched? Not of a real
 * arena's. */
bool rg_mem_is_virtual_at(const struct rg_mem *mem, const void *address);

#endif
