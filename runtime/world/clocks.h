/* Clocks of many nodes: by how much each differs from rank 0's, and how well that is known.
 *
 *     rg_clocks_compare(w, &map.before);      before the training: round trips to rank 0
 *     ... train ...
 *     rg_clocks_compare(w, &map.after);       after it
 *     rg_clock_map_trace(...);                dates of this node become dates of rank 0's timeline
 *
 * As NTP does it (RFC 5905, chapter 8): one round trip gives an offset and, by its delay, a bound
 * of the error, whatever the way there and the way back took of it; the trip with the smallest
 * bound counts. Between two comparisons a clock is taken to run at one rate. Raw dates throughout:
 * ops->now of each node, before rg_now shifts them. */
#ifndef RG_WORLD_CLOCKS_H
#define RG_WORLD_CLOCKS_H

#include "world/trace.h"
#include "world/world.h"

/* What a round trip says; all NAN: nothing is known. Doubles alone: it travels as it is. */
struct rg_clock_sample {
    double date_s;        /* on the node's own clock: the middle of the trip */
    double offset_s;      /* rank 0's clock less the node's */
    double uncertainty_s; /* the true offset is within so much of that */
    double wall_s;        /* rank 0's time of day less the node's; as uncertain */
};
extern const struct rg_clock_sample rg_clock_unknown;
bool rg_clock_known(const struct rg_clock_sample *sample);

/* t0: asked, t3: answered, on the node's clock; t1: the question came, t2: the answer left, on rank
 * 0's. wall_s is NAN. Dates that are no round trip (an answer that spent longer with rank 0 than
 * under way) give rg_clock_unknown. */
struct rg_clock_sample rg_clock_round_trip(double t0, double t1, double t2, double t3);
/* The better known of two. */
struct rg_clock_sample rg_clock_better(const struct rg_clock_sample *a,
                                       const struct rg_clock_sample *b);

/* Collective: every rank asks rank 0 a few times, one rank after the other. On rank 0 all zeros. In
 * worlds without ops->day (one clock for all) nothing is sent, and nothing known. Neither is with a
 * rank that was lost, which is no error here. Errors: RG_ERR_INTERRUPTED and the like. Messages are
 * counted and traced as any other: call it before rg_clock_start or in an untimed section. */
int rg_clocks_compare(struct rg_world *w, struct rg_clock_sample *sample);

/* From a node's raw dates to rank 0's. One of the two may be unknown: then the offset is constant;
 * both: dates stay as they are. */
struct rg_clock_map {
    struct rg_clock_sample before, after;
};
bool rg_clock_map_known(const struct rg_clock_map *map);
double rg_clock_to_first(const struct rg_clock_map *map, double date_s);
double rg_clock_from_first(const struct rg_clock_map *map, double date_s);
/* Of a date between the two: the larger of theirs; NAN: unknown. */
double rg_clock_uncertainty(const struct rg_clock_map *map);
/* By how much the offset grows a second, and the bound of its error: bounds of both over the time
 * between them. NAN where that is unknown. */
double rg_clock_drift(const struct rg_clock_sample *from, const struct rg_clock_sample *to,
                      double *uncertainty);

/* A stretch of time in which rg_now ran, between two barriers, in raw dates of one node. Nodes
 * leave a barrier one by one: the common section of all is, by rank 0's clock, from the first to
 * leave the one at its begin to the first to leave the one at its end. What any of them does in it
 * lies within. */
struct rg_clock_section {
    double begin_s, end_s;
};
/* The events of a node, whose dates are on its rg_now, to the timeline of all: the common sections
 * one after the other, rising, by rank 0's clock. own: the same sections as this node saw them. */
void rg_clock_map_trace(struct rg_trace *trace, const struct rg_clock_map *map,
                        const struct rg_clock_section *own, const struct rg_clock_section *common,
                        int count);

#endif
