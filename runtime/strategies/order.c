#include "strategies/order.h"

#include "base/check.h"
#include "base/error.h"
#include <string.h>

/* RFC 4648, section 5: none needs an escape in JSON. */
static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
enum { BASE = sizeof DIGITS - 1 };

int rg_order_digits(int limit)
{
    int digits = 1;
    for (int64_t most = BASE; most < limit; most *= BASE)
        digits++;
    return digits;
}

int rg_order_open(struct rg_order *order, struct rg_mem *mem, int limit, int64_t events)
{
    int digits = rg_order_digits(limit);
    *order = (struct rg_order){.digits = digits};
    if (events > RG_ORDER_MOST / digits)
        return 0;
    order->room = (size_t)events * (size_t)digits;
    order->text = rg_mem_plain(mem, order->room + 1);
    if (!order->text)
        return RG_ERR_NOMEM;
    order->text[0] = '\0';
    return 0;
}

void rg_order_note(struct rg_order *order, int event)
{
    if (!order->text)
        return;
    RG_ASSERT(order->length + (size_t)order->digits <= order->room);
    for (int i = order->digits - 1; i >= 0; i--) {
        order->text[order->length + (size_t)i] = DIGITS[event % BASE];
        event /= BASE;
    }
    order->length += (size_t)order->digits;
    order->text[order->length] = '\0';
}

int rg_order_next(const char **at, int digits, int limit)
{
    int64_t event = 0;
    if (**at == '\0')
        return -1;
    for (int i = 0; i < digits; i++) {
        const char *digit = **at ? strchr(DIGITS, **at) : NULL;
        if (!digit)
            return -2;
        event = event * BASE + (digit - DIGITS);
        ++*at;
    }
    return event < limit ? (int)event : -2;
}
