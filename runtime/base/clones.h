/* Elementwise loops compiled once for each vector width, chosen when the program is loaded.
 *
 * No result depends on the choice: the box is compiled without contraction to fused multiply-add,
 * and a marked function has no sum across elements. Sanitizers cannot run the resolvers that the
 * loader calls before they are set up. noinline: or the caller may get the default one built in. */
#ifndef RG_BASE_CLONES_H
#define RG_BASE_CLONES_H

#include <stdlib.h> /* defines __GLIBC__ */

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) &&       \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define RG_CLONES __attribute__((noinline, target_clones("avx512f", "avx2", "default")))
#else
#define RG_CLONES
#endif

/* For what a marked function calls: only a part of it is compiled for the same vectors. */
#define RG_PART static inline __attribute__((always_inline))

#endif
