/* What came of a join: the run's name; and where the others were in a run under way, and this rank
 * has been taken into it, what it must know of them. */
#ifndef RG_CONNECT_JOINED_H
#define RG_CONNECT_JOINED_H

#include "connect/wire.h"

struct rg_joined {
    uint64_t nonce; /* of the run */
    bool invited;   /* what follows is known: */
    bool over;      /* the run under way has ended before this rank was taken in, with `code` */
    int code;
    uint32_t run;          /* of the mesh: the last before the one that this rank has its part in */
    int nodes;             /* ranks that train */
    int present;           /* with those that wait */
    int seats;             /* places in the hosts file */
    int *seat;             /* [seats] who has which rank; malloc'ed, as the next */
    unsigned char *absent; /* [seats] by seat: who is not here, as in node/muster.h */
};

void rg_joined_free(struct rg_joined *joined); /* and zeroes it */
/* As the frame COME with what follows it: malloc'ed; NULL: no memory, or more seats than fit. */
unsigned char *rg_joined_encode(const struct rg_joined *joined, size_t *size);
/* What followed the frame, of a run with so many seats. NULL, or what is wrong with it (then
 * *joined is left as it was). */
const char *rg_joined_decode(const struct rg_header *h, const unsigned char *bytes, int seats,
                             struct rg_joined *joined);

#endif
