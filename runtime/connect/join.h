/* How nodes find each other: the hosts file, and the handshake of a full mesh. */
#ifndef RG_CONNECT_JOIN_H
#define RG_CONNECT_JOIN_H

#include "base/error.h"
#include "connect/joined.h"
#include "connect/secure.h"
#include <stdbool.h>
#include <stdint.h>

#define RG_DEFAULT_PORT 7470
#define RG_HOST_TEXT    280

#define RG_PEER_TIMEOUT_S 20

struct rg_host {
    char name[256]; /* a name or an address, without brackets */
    char port[8];
    int line; /* of the hosts file; 0: of none */
};

struct rg_hosts {
    char *file;
    struct rg_host *host; /* by rank */
    int count;
};

/* host[:port] a line, in rank order; IPv6 addresses with a port in brackets; # comments. Errors:
 * RG_ERR_INVALID as FILE:LINE, RG_ERR_NOMEM. */
int rg_hosts_load(const char *file, struct rg_hosts *hosts, struct rg_error *e);
void rg_hosts_free(struct rg_hosts *hosts);
/* "name:port", brackets where needed. */
void rg_host_text(const struct rg_host *host, char text[RG_HOST_TEXT]);

/* For ranks that are processes of one machine: `count` sockets listening on free ports of
 * 127.0.0.1, and the hosts that name them. The parent calls it, then forks; child r joins with
 * listener = listeners[r]; everybody closes the others. */
int rg_local_listen(int count, int *listeners, struct rg_hosts *hosts, struct rg_error *e);

/* A CRC-32C a segment. AUTO: where there is no TLS, which knows for itself, and the peer is on
 * another machine. */
enum rg_checksum { RG_CHECKSUM_AUTO, RG_CHECKSUM_NO, RG_CHECKSUM_YES };

/* What a join is stopped with where the time for the run is up. */
enum { RG_JOIN_EXPIRED = 2 };

struct rg_join {
    int rank;
    const struct rg_hosts *hosts;
    int listener; /* taken over, and closed in any case; -1: listen as the hosts file says */
    const char *scenario;  /* digest of what must be equal on all ranks */
    const char *version;   /* NULL: this program's */
    uint64_t nonce;        /* names the run; 0: rank 0 draws one and tells the others */
    double timeout_s;      /* for the join as a whole */
    double peer_timeout_s; /* a silent peer is lost after; 0: RG_PEER_TIMEOUT_S */
    double slow_s;         /* say of a wait for a peer that it takes so long; 0: never */
    /* All ranks have the same key, and nobody without it gets in; NULL: none. Ranks without a key
     * talk over loopback only (other hosts are RG_ERR_INVALID), unless insecure. */
    const struct rg_key *key;
    enum rg_cipher cipher;
    bool insecure;
    bool any_address; /* ranks may call from elsewhere than the hosts file has them (NAT) */
    bool impatient;   /* ranks leave and come again by themselves until all are there: no news */
    bool outlives;    /* a rank that had joined and has gone is not waited for: its connection is
                         handed on, broken */
    /* What came of it: filled in, also where the join fails; the caller frees it. A rank that
     * finds the others in a run under way waits for as long as one of them is there until it is
     * taken in (door.h). NULL: it does not. */
    struct rg_joined *joined;
    enum rg_checksum checksum; /* of the payload that this rank sends over these connections */
    bool quiet;                /* say nothing on standard error */
    /* Non-zero ends the join with RG_ERR_INTERRUPTED, RG_JOIN_EXPIRED with RG_ERR_TIMEOUT, which
     * the others are told. NULL: nothing does. */
    const volatile int *stop;
    bool *expired; /* is the time for the run up, here or elsewhere? NULL: not wanted */
};

/* Cubic, or Reno, which everybody may ask for: BBR costs a tenth, and long tails. On a listener
 * before it listens, on a caller before it connects: a socket that BBR has paced once is paced for
 * ever, whatever it is told later. */
void rg_choose_congestion(int fd);
/* Does this kernel forget, while a connection rests, how fast it was (RFC 2861; the sysctl
 * net.ipv4.tcp_slow_start_after_idle)? In training most rest in every iteration. */
bool rg_slow_start_after_idle(void);

/* A connection to a peer: its socket, non-blocking, and TLS on it where a key is in use. */
struct rg_connection {
    int fd;
    struct rg_secure *tls;
};

/* Connect: connections[r] for every other rank (fd -1 for oneself, and in a run under way for those
 * that are not in it). Errors as rg_mesh_join. */
int rg_join_mesh(const struct rg_join *options, struct rg_connection *connections,
                 struct rg_error *e);

#endif
