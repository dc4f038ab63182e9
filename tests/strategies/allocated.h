/* Which rank of the mem world has allocated what and not freed it. Link with
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=free,
 * --wrap=pthread_create,--wrap=rg_node_run,--wrap=rg_node_salvage: the linker then sends the
 * project's own calls here. */
#ifndef RG_TESTS_ALLOCATED_H
#define RG_TESTS_ALLOCATED_H

#include <stdint.h>

/* What the ranks of `doomed` (a bit each) allocate in the next run is theirs to lose. */
void allocated_begin(uint32_t doomed);

/* From here on this thread's are of that rank; those who run rg_node_run or rg_node_salvage need
 * not say so. */
void allocated_by(int rank);

/* Frees what those left behind. Returns how many blocks of the others are left, and says of the
 * first how large they are and whose. */
int allocated_end(void);

#endif
