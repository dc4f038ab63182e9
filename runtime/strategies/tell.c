#include "strategies/tell.h"

#include "base/need.h"

/* The other strand would wait for ever. */
static int needed(int result)
{
    rg_needed(result == RG_ERR_NOMEM ? NULL : &result);
    return result;
}

int rg_tell(struct rg_world *w, uint32_t tag, int32_t number)
{
    struct rg_request request;
    int result = rg_send(w, w->rank, tag, &number, sizeof number, &request);
    return needed(result ? result : rg_wait(w, &request));
}

int rg_hear(struct rg_world *w, uint32_t tag, int32_t *number)
{
    struct rg_request request;
    int result = rg_recv(w, w->rank, tag, number, sizeof *number, &request);
    return needed(result ? result : rg_wait(w, &request));
}
