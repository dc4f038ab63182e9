/* Which rank of the mem world has allocated what and not freed it. Link with
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=free,
 * --wrap=pthread_create,--wrap=rg_node_run,--wrap=rg_node_salvage,--wrap=rg_need,
 * --wrap=rg_need_zeroed,--wrap=rg_tell,--wrap=rg_hear: the linker then sends the project's own
 * calls here. */
#ifndef RG_TESTS_ALLOCATED_H
#define RG_TESTS_ALLOCATED_H

#include <stdint.h>

/* What the ranks of `doomed` (a bit each) allocate in the next run is theirs to lose. */
void allocated_begin(uint32_t doomed);

/* From here on this thread's are of that rank; those who run rg_node_run or rg_node_salvage need
 * not say so. */
void allocated_by(int rank);

/* From here on the nth allocation of that rank, or start of a thread, fails: 1 is the next, 0 none.
 * What a program ends without (base/need.h) is not counted.
 * Its others do not: who asks for little may have it where who asks for much does not. */
void allocated_fail(int rank, long nth);
/* How many that rank has asked for since. */
long allocated_asked(void);

/* Frees what those left behind. Returns how many blocks of the others are left, and says of the
 * first how large they are and whose. */
int allocated_end(void);

#endif
