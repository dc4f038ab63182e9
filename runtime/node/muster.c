#include "node/muster.h"

#include "base/check.h"
#include "node/node_parts.h"
#include <stdlib.h>
#include <string.h>

/* By seat; were they equal? */
static bool hear(unsigned char *own, const unsigned char *theirs, int seats)
{
    bool equal = true;
    for (int i = 0; i < seats; i++) {
        equal = equal && own[i] == theirs[i];
        own[i] = RG_MAX(own[i], theirs[i]);
    }
    return equal;
}

bool rg_muster_may_go_on(const int *before, int count, const unsigned char *view)
{
    int voters = 0, here = 0, lowest = -1;
    for (int i = 0; i < count; i++) {
        int seat = before[i];
        if (view[seat] == RG_GONE)
            continue;
        voters++;
        here += view[seat] == RG_HERE;
        lowest = lowest < 0 || seat < lowest ? seat : lowest;
    }
    return here > 0 && (2 * here > voters || (2 * here == voters && view[lowest] == RG_HERE));
}

bool rg_muster_put_together(const int *seat, int size, int rank, const unsigned char *heard,
                            unsigned char *view, int seats)
{
    bool equal = true;
    for (int r = 0; r < size; r++)
        if (r != rank && view[seat[r]] == RG_HERE)
            equal &= hear(view, heard + (size_t)r * (size_t)seats, seats);
    return equal;
}

int rg_muster(struct rg_world *w, const int *seat, unsigned char *view, int seats)
{
    size_t n = (size_t)w->size, bytes = (size_t)seats;
    struct rg_request *requests = calloc(2 * n, sizeof *requests),
                      **all = calloc(2 * n, sizeof *all);
    unsigned char *heard = calloc(n, bytes), *said = malloc(bytes);
    int result = requests && all && heard && said ? 0 : RG_ERR_NOMEM;
    if (result == 0)
        memcpy(said, view, bytes);
    for (int rank = 0; rank < w->size && result == 0; rank++) {
        if (rank == w->rank)
            continue;
        all[rank] = &requests[rank];
        all[n + (size_t)rank] = &requests[n + (size_t)rank];
        rg_recv(w, rank, TAG_VIEW, heard + (size_t)rank * bytes, bytes, all[rank]);
        rg_send(w, rank, TAG_VIEW, said, bytes, all[n + (size_t)rank]);
    }
    if (result == 0)
        result = rg_wait_all(w, all, (int)(2 * n));
    for (int rank = 0; rank < w->size && heard; rank++) /* what did not come says nothing */
        if (rank != w->rank && requests && requests[rank].status != 0)
            memcpy(heard + (size_t)rank * bytes, view, bytes);
    if (heard && !rg_muster_put_together(seat, w->size, w->rank, heard, view, seats) && result == 0)
        result = RG_ERR_PEER;
    free(requests);
    free(all);
    free(heard);
    free(said);
    return result;
}
