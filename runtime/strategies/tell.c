#include "strategies/tell.h"

int rg_tell(struct rg_world *w, uint32_t tag, int32_t number)
{
    struct rg_request request;
    int result = rg_send(w, w->rank, tag, &number, sizeof number, &request);
    return result ? result : rg_wait(w, &request);
}

int rg_hear(struct rg_world *w, uint32_t tag, int32_t *number)
{
    struct rg_request request;
    int result = rg_recv(w, w->rank, tag, number, sizeof *number, &request);
    return result ? result : rg_wait(w, &request);
}
