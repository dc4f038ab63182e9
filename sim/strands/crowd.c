#include "crowd.h"

#include "base/check.h"
#include "same_date.h"

#include <math.h>
#include <stdbool.h>

/* What the message could have, were it alone. */
static double most_of(const struct rg_crowd_link *links, const int *route, size_t count)
{
    double most = INFINITY;
    for (size_t i = 0; i < count; i++)
        most = RG_MIN(most, links[route[i]].bandwidth);
    return isfinite(most) ? most : 0;
}

void rg_crowd_begin(struct rg_crowd_link *links, const int *route, size_t count, double now,
                    struct rg_crowd_met *met)
{
    double most = most_of(links, route, count);
    int found = 0;
    for (size_t i = 0; i < count; i++) {
        struct rg_crowd_link *link = &links[route[i]];
        bool others = link->count++ > 0 && now - link->date > RG_SAME_DATE * now;
        link->wanted += most;
        link->date = now;
        found += others && link->wanted > link->bandwidth * (1 + RG_SAME_DATE);
    }
    met->once += found > 0;
    met->twice += found > 1;
}

void rg_crowd_end(struct rg_crowd_link *links, const int *route, size_t count)
{
    double most = most_of(links, route, count);
    for (size_t i = 0; i < count; i++) {
        struct rg_crowd_link *link = &links[route[i]];
        link->wanted = --link->count > 0 ? link->wanted - most : 0;
    }
}
