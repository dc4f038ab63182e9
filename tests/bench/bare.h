/* What two processes can do over a socket with nothing but poll, send and recv, for benchmarks.
 * Errors of the socket end the process. */
#ifndef RG_TESTS_BENCH_BARE_H
#define RG_TESTS_BENCH_BARE_H

#include <stddef.h>

_Noreturn void bare_broken(const char *what);
/* Both ways at once. */
void bare_exchange(int fd, const char *out, size_t out_bytes, char *in, size_t in_bytes);
/* The sum of both processes' values ([count], even), on both: halves exchanged and added, sums
 * exchanged. rank: 0 or 1; incoming: [count / 2]. */
void bare_reduce(int fd, int rank, size_t count, float *values, float *incoming);

#endif
