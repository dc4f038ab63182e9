/* What a scenario's <faults> are at a date; see scenario/faults.h for what they are.
 *
 * Slow: computations of a node take 1/factor as long while the window holds, to the piece where
 * they cross its ends; so do the seconds they lose to messages that ask for the same cores, but the
 * processor time of messages itself is not changed: a fault of the link is one of its own.
 * Jitter: the seconds of every computation times a factor drawn uniformly, each strand from a
 * stream of its own, so that nothing depends on the order in which ranks run.
 * Link: the node's own links at a fraction of their bandwidth. These are, over its routes to and
 * from every other rank, the first link of each route that begins at it and the last of each that
 * ends there: in a <cluster> its up and down link, or its one link if that is shared; between
 * explicit hosts the link at its end. A medium that all routes cross first (a radio channel without
 * links of the stations' own) is slow for all. Flows under way change with it. Ports then have no
 * queues (rg_port_queue).
 *
 * Time is training time, which stands still while something untimed is done. */
#ifndef RG_SIM_WINDOWS_H
#define RG_SIM_WINDOWS_H

#include "profiles.h"

#include "scenario/faults.h"
#include <stdbool.h>
#include <stdint.h>

#define RG_WINDOW_INSTANT 1e-9 /* s: dates of windows closer than this to a date are that date */

/* ---- computing ---- */

struct rg_slowdown;

/* A strand's place in its stream. */
struct rg_fault_stream {
    uint64_t key, drawn;
};

/* NULL where nothing slows computations. faults (may be NULL) outlive it. */
struct rg_slowdown *rg_slowdown_new(const struct rg_faults *faults, uint64_t seed, int size);
void rg_slowdown_free(struct rg_slowdown *s);

/* The stream of a rank's program; that of the n-th strand (1, 2, ...) spawned by another. */
struct rg_fault_stream rg_fault_stream_of_rank(const struct rg_slowdown *s, int rank);
struct rg_fault_stream rg_fault_stream_of_strand(const struct rg_fault_stream *parent, int n);

/* `seconds` as jitter has them. */
double rg_slowdown_jitter(const struct rg_slowdown *s, struct rg_fault_stream *stream,
                          double seconds);
/* Is the rank ever slow? Its speed at a date, and the date from which it is another. */
bool rg_slowdown_slows(const struct rg_slowdown *s, int rank);
double rg_slowdown_speed(const struct rg_slowdown *s, int rank, double now, double *until);

/* ---- links ---- */

/* The links that some window slows down, or a profile changes, as the engine numbers them. */
struct rg_slow_links {
    const struct rg_fault_windows *windows; /* NULL: none */
    struct rg_sim_profiles *profiles;
    int *link;   /* [count] */
    double *own; /* [count] bytes/s that the link's profile gives it; INFINITY: as the platform */
    int count;
    struct rg_link_group {
        int *index, count; /* into link */
    } * groups;            /* [windows->count] */
};

/* The first and the last link of a route (*first < 0: it has none). */
typedef void (*rg_route_ends_fn)(void *arg, int source, int target, int *first, int *last);

/* Zeroed struct; no link where faults (NULL: none) and profiles name none. They outlive it. */
void rg_slow_links_find(struct rg_slow_links *s, const struct rg_faults *faults,
                        struct rg_sim_profiles *profiles, int size, rg_route_ends_fn ends,
                        void *arg);
void rg_slow_links_free(struct rg_slow_links *s);
/* What windows leave of the bandwidth of each at a date of training, factor[count]; the next date
 * at which one changes. */
double rg_slow_links_at(const struct rg_slow_links *s, double now, double *factor);
/* Brings s->own to a simulated date; the next at which one changes. */
double rg_slow_links_go(struct rg_slow_links *s, double now);

#endif
