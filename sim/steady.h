/* Has a simulation become steady? Every node's iterations are watched until all of them repeat
 * exactly, to rounding, with one period. Pure: knows nothing of SimGrid.
 *
 * Exactly means: the date, the busy seconds, the seconds that messages have lain unnoticed and the
 * counts of messages all grow by the same over every `period` iterations, and the date by the same
 * on every node, for as long as iterations remember one another. Dates alone would not do: where a
 * connection is a little too slow, messages fall behind long before anybody waits for them. */
#ifndef RG_SIM_STEADY_H
#define RG_SIM_STEADY_H

#include <stdbool.h>
#include <stdint.h>

/* A node at the end of an iteration; all but the date are sums since the beginning. */
struct rg_sighting {
    double date_s, busy_s, unseen_s;
    uint64_t counts; /* any linear mixture of counters, modulo 2^64 */
};

struct rg_rhythm {
    int64_t period; /* iterations */
    int64_t since;  /* iterations from this one on repeat */
    double seconds; /* a period */
};

struct rg_steady;

/* under_way: iterations that may be under way at once. NULL: no memory. */
struct rg_steady *rg_steady_new(int nodes, int64_t under_way);
void rg_steady_free(struct rg_steady *steady);

/* The node's next iteration has ended. Past a certain amount of memory nothing is kept any more,
 * and nothing is found. */
void rg_steady_note(struct rg_steady *steady, int node, const struct rg_sighting *sighting);

/* Iterations that have ended on every node. */
int64_t rg_steady_complete(const struct rg_steady *steady);

/* Do the first n iterations (complete ones) end in a stretch that repeats, long enough to trust? */
bool rg_steady_find(const struct rg_steady *steady, int64_t n, struct rg_rhythm *rhythm);
/* Do all of the first n repeat with this period, from the beginning? At least three periods. */
bool rg_steady_repeats(const struct rg_steady *steady, int64_t n, int64_t period,
                       struct rg_rhythm *rhythm);

#endif
