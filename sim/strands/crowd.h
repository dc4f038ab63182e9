/* Who shares a link with whom: a message that begins while others are under way there, of another
 * date, makes each end at a date that depends on that of the others' begin, with factors up to two
 * and of either sign. Where that happens again and again differences of dates may grow, whatever
 * engine reckons with them. */
#ifndef RG_SIM_CROWD_H
#define RG_SIM_CROWD_H

#include <stddef.h>
#include <stdint.h>

struct rg_crowd_link {
    double bandwidth; /* bytes/s; infinite where each message may have all of it */
    double wanted;    /* that messages could take of their other links */
    double date;      /* at which the last began */
    int count;        /* under way */
};

/* Messages that found others, begun at another date, on a link that cannot serve all. */
struct rg_crowd_met {
    uint64_t once, /* on one link or more */
        twice;     /* on two or more: they tie the dates of one link to those of another */
};

/* A message begins on these links, and is counted; ends there. */
void rg_crowd_begin(struct rg_crowd_link *links, const int *route, size_t count, double now,
                    struct rg_crowd_met *met);
void rg_crowd_end(struct rg_crowd_link *links, const int *route, size_t count);

#endif
