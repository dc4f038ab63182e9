/* Addresses of hosts, looked up beside whatever else is done: a name server that does not answer
 * holds up nobody but who waits for that name. */
#ifndef RG_CONNECT_RESOLVER_H
#define RG_CONNECT_RESOLVER_H

#include "connect/join.h"
#include <sys/socket.h>

enum { RG_NAME_ADDRESSES = 8 };

struct rg_address {
    struct sockaddr_storage at;
    socklen_t length;
};

/* What is known of a host. */
struct rg_addresses {
    struct rg_address list[RG_NAME_ADDRESSES];
    int count;
    bool pending;  /* a look-up is under way, or waits for its turn */
    char why[128]; /* count is 0: in words */
};

struct rg_names;

/* Asks for all of them. The hosts need not outlive it. NULL: no memory. */
struct rg_names *rg_names_open(const struct rg_hosts *hosts);
/* Without waiting. */
void rg_names_get(struct rg_names *names, int rank, struct rg_addresses *found);
/* Once more, unless it is being asked for, or is a number; what was found before stays until then.
 */
void rg_names_ask(struct rg_names *names, int rank);
/* Look-ups that are under way end by themselves. NULL is allowed. */
void rg_names_close(struct rg_names *names);

#endif
