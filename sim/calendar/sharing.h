/* Links, and the flows that share them max-min fairly (Bertsekas and Gallager, Data Networks, 1992,
 * section 6.5.2): the dates at which flows end.
 *
 * As SimGrid's CM02 model has it once the links' latencies have been lifted (ports.h): all flows
 * weigh the same. Rates are solved for once a date, after all that begins or ends then, and only
 * for those that hang together through links which could be full: a link can be no constraint that
 * carries all its flows could take of their other links.
 *
 * Where that is many flows and one link, the port of a server say, all have the same rate: a clock
 * of service a link says when each is over (see processors.h), and one that begins or ends costs a
 * step through a heap, whatever the others are. */
#ifndef RG_CALENDAR_SHARING_H
#define RG_CALENDAR_SHARING_H

#include "calendar.h"

struct rg_flow_end;
struct rg_link_clock;

/* The first two are the owner's to set, the rest zero. */
struct rg_shared_link {
    double bandwidth; /* bytes/s */
    bool each;        /* every flow may have all of it: SimGrid's FATPIPE */
    bool changed;     /* since its flows' rates were solved for */
    int count;        /* of flows */
    struct rg_flow_end *flows;
    struct rg_link_clock *clock; /* that all its flows are served by; NULL: they have rates */
    double wanted;               /* what they could take elsewhere, bytes/s */
    double left; /* while solving: bandwidth that is not given out, to so many flows */
    int open;
    uint64_t mark; /* of the last component it was in */
};

/* A flow's place on one of its links. */
struct rg_flow_end {
    struct rg_shared_link *link;
    struct rg_shared_flow *flow;
    struct rg_flow_end *next, *previous;
};

/* fire, count, ends and their links are the owner's to set. A link that a route takes twice is
 * there twice. */
struct rg_shared_flow {
    struct rg_timer timer; /* first: fires when the last byte is over */
    int count;
    struct rg_flow_end *ends;
    double remaining, date;           /* bytes, at that date */
    double rate, over;                /* bytes/s since; date of its end at that rate */
    double most;                      /* bytes/s, were it alone */
    double solved;                    /* while solving: its new rate */
    struct rg_link_clock *clock;      /* in place of remaining, date, rate, over, ... */
    uint64_t order;                   /* among those with the same reading */
    double until;                     /* ... what it reads when the last byte is over */
    struct rg_shared_flow *next_over; /* at the date at which several are */
    bool fixed;
    uint64_t mark;
};

/* Zero-initialise, but for the calendar. */
struct rg_sharing {
    struct rg_calendar *calendar;
    struct rg_links_found {
        struct rg_shared_link **link;
        size_t count, capacity;
    } changed, component;
    struct rg_flows_found {
        struct rg_shared_flow **flow;
        size_t count, capacity;
    } flows; /* of the component */
    uint64_t mark;
    struct rg_link_clock *clocks, *idle; /* all; those of no link */
    uint64_t served;                     /* flows that a clock has taken over */
};

/* So many bytes (above 0) begin to flow. When the timer has fired rg_flow_end is to be called. */
void rg_flow_begin(struct rg_sharing *s, struct rg_shared_flow *flow, double bytes);
void rg_flow_end(struct rg_sharing *s, struct rg_shared_flow *flow);
/* Bytes/s at this moment, once changes have been solved for. */
double rg_flow_rate(const struct rg_shared_flow *flow);
void rg_link_change(struct rg_sharing *s, struct rg_shared_link *link, double bandwidth);

/* Has anything changed that could change rates? Then they are to be solved for before time goes on.
 */
static inline bool rg_sharing_changed(const struct rg_sharing *s)
{
    return s->changed.count > 0;
}
void rg_sharing_solve(struct rg_sharing *s);
void rg_sharing_free(struct rg_sharing *s);

#endif
