/* Memory for lists that describe what is done, and for the world that simulates: a program that has
 * none for them ends ("out of memory", SIGABRT). What training needs comes from an arena (mem.h),
 * where its lack is an error like others. */
#ifndef RG_BASE_NEED_H
#define RG_BASE_NEED_H

#include <stddef.h>

void *rg_needed(void *memory);                    /* that, never NULL */
void *rg_need(void *old, size_t bytes);           /* as realloc, never NULL */
void *rg_need_zeroed(size_t count, size_t bytes); /* as calloc, never NULL, also of nothing */

#endif
