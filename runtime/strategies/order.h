/* The order in which something happened that goes by timing, written down so that another run can
 * follow it: a text of events, numbers below a limit, of as many digits as that takes. */
#ifndef RG_STRATEGIES_ORDER_H
#define RG_STRATEGIES_ORDER_H

#include "base/mem.h"

enum { RG_ORDER_MOST = 1 << 24 }; /* bytes; what would be longer is not written down */

struct rg_order {
    char *text; /* 0 at its end; NULL: nothing is written down */
    size_t length, room;
    int digits;
};

/* Digits of an event below `limit` (>= 1). */
int rg_order_digits(int limit);
/* Room for so many events, which mem owns and does not count: they are no training state. More than
 * RG_ORDER_MOST: the text stays NULL, and noting does nothing. RG_ERR_NOMEM. */
int rg_order_open(struct rg_order *order, struct rg_mem *mem, int limit, int64_t events);
void rg_order_note(struct rg_order *order, int event);

/* The event at *at, which goes on behind it; -1: the text ends there; -2: that is none. */
int rg_order_next(const char **at, int digits, int limit);

#endif
