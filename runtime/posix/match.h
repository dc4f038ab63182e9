/* Matching, apart from sockets, threads and clocks: which message goes with which receive, what may
 * start, and the frames that two ranks exchange about it (match.c says how).
 *
 * struct rg_match is one rank's, struct rg_pair what it keeps for one peer, struct rg_transfer a
 * send or a receive. What matching wants of the world around it is a table of functions, as for
 * world/exchange.h. Bytes go in and out through stream.h.
 *
 * Not thread-safe: the caller makes one call at a time (the mesh has its lock for that). The
 * functions of the table are called inside such calls and must not call matching again, but for
 * `fail`. Private to runtime/posix and its tests. */
#ifndef RG_POSIX_MATCH_H
#define RG_POSIX_MATCH_H

#include "connect/wire.h"
#include "world/world.h"
#include <stdatomic.h>

enum {
    RG_STAGING = 16 << 10,    /* bytes read ahead, a peer */
    RG_SMALL_FRAMES = 16,     /* frames without payload encoded at once */
    RG_EXPECTATIONS = 64,     /* receives announced by a peer that wait for their message */
    RG_EAGER_COUNT = 1 << 18, /* unexpected messages that may wait, whatever their size */
    RG_BOUNCE_CLASSES = 22
};
#define RG_ANNOUNCE_ABOVE (RG_EAGER_LIMIT / 4) /* larger receives are told to the sender */

struct rg_posix_strand;
struct rg_pair;

/* A send or a receive. It lives from posting until its program has seen the completion and the
 * pair's lists are done with it; programs may return with requests in frames that are gone. */
struct rg_transfer {
    struct rg_transfer *next, *previous;         /* in the pair's list; next also among spares */
    struct rg_transfer *next_own, *previous_own; /* the strand's, as is the next */
    struct rg_posix_strand *strand;
    struct rg_request *request; /* NULL: the program has done with it */
    struct rg_pair *pair;
    unsigned char *buffer;
    size_t bytes;                      /* of the message; receives: room */
    size_t arrived;                    /* receives: of the message */
    uint64_t sequence;                 /* sends: once started or announced by RTS */
    size_t sent;                       /* sends: payload written */
    size_t segment_begin, segment_end; /* sends: the segment being written */
    uint32_t segment_crc;              /* sends: of its payload, where that is checked */
    size_t header_left;                /* sends: of its header, not written */
    double begin, end;
    uint32_t tag;
    int outcome;
    bool send, upto, listed, done;
    bool cleared;  /* sends: its receive is posted, as CTS or EXPECT told */
    bool eager;    /* sends: started without that */
    bool rts;      /* sends: RTS has gone out for it */
    bool begun;    /* sends: something has been written */
    bool doomed;   /* sends: to be broken off at the end of the segment */
    bool announce; /* receives: EXPECT is to be sent */
    bool announced;
    bool late; /* receives: posted after the message had arrived */
};

struct rg_transfers {
    struct rg_transfer *first, *last;
};

/* A bounce buffer: bytes of a message that has no receive yet. */
struct rg_bounce {
    struct rg_bounce *next;
    int grade; /* log2 of its room */
    _Alignas(64) unsigned char bytes[];
};

/* An unexpected message: it has arrived whole, and no receive for it has been posted. */
struct rg_unexpected {
    struct rg_unexpected *next;
    struct rg_bounce *bounce;
    size_t bytes;
    double begin, end;
    uint32_t tag;
    bool eager; /* counts against the eager limit */
};

/* The message that is arriving, or announced by RTS. */
struct rg_incoming {
    bool active;
    bool rts;    /* announced, not begun */
    bool cts;    /* CTS has gone out for it */
    bool sink;   /* thrown away: it does not fit its receive */
    bool stale;  /* thrown away: of a run that is over */
    bool eager;  /* counts against the eager limit */
    bool permit; /* a receive that the sender was told of has taken it */
    uint32_t tag;
    uint64_t sequence;
    size_t bytes, got;
    double begin;
    struct rg_transfer *receive;
    struct rg_bounce *bounce;
};

struct rg_expectation {
    uint32_t tag, before; /* messages of the tag that come before it */
    uint64_t bytes;       /* its room */
};

struct rg_retraction {
    uint32_t tag, count; /* announced receives that have been cancelled */
};

/* This rank and one peer (itself among them). */
struct rg_pair {
    struct rg_match *match;
    int rank;     /* the peer's */
    bool gone;    /* for good: dead, or said goodbye */
    bool goodbye; /* said, and the connection still to be closed */
    bool left;    /* the run */

    /* what goes out */
    struct rg_transfers sends;   /* not acknowledged, in posting order */
    struct rg_transfer *writing; /* started, not all written */
    struct rg_transfer *head;    /* not started */
    uint64_t tx_sequence, tx_acked;
    uint64_t tx_eager, tx_returned; /* credit: bytes ever sent eagerly, and given back */
    uint32_t tx_eager_count, tx_returned_count;
    struct rg_expectation expected[RG_EXPECTATIONS];
    int expected_count;
    /* frames to be written */
    bool tx_ack, tx_interrupt, tx_winding, tx_goodbye, tx_beat;
    int tx_announce; /* receives to announce */
    struct rg_retraction tx_retract[RG_EXPECTATIONS];
    int tx_retract_count;
    uint32_t tx_retracted;                                 /* permissions given back */
    uint64_t tx_cts, tx_withdraw, tx_aborted;              /* sequence, or 0 */
    uint64_t tx_barrier;                                   /* number, or 0 */
    uint32_t tx_barrier_run, tx_aborted_run, tx_leave_run; /* leave: 0: none */
    uint32_t tx_leave_lost;
    uint64_t tx_leave_whole; /* messages of the run that have arrived */

    /* what comes in */
    struct rg_transfers receives; /* not matched, in posting order */
    struct rg_unexpected *unexpected, **unexpected_end;
    struct rg_incoming in;
    uint64_t rx_sequence, rx_whole;
    uint64_t rx_eager, rx_returned;
    uint32_t rx_eager_count, rx_returned_count;
    uint32_t rx_permits;   /* messages that may come beyond the eager limit, as EXPECT told */
    uint64_t rx_permitted; /* bytes of the largest of them */
    uint32_t barrier_run;  /* the run of barrier_seen, which may be the next one */
    uint64_t barrier_seen;
    uint32_t left_run;   /* the last run it has left */
    uint32_t pledge_run; /* of `pledge`; 0: it has made none */
    uint64_t pledge;     /* winding down: it will not go beyond this update, unless others have */
    uint32_t reason_of;  /* the rank of `reason` */
    char reason[RG_WIRE_REASON];

    /* bytes (stream.c) */
    size_t segment;       /* size of segments: what goes out in about a millisecond */
    size_t segment_spare; /* of it left free, so that header and payload fill whole TLS records */
    double segment_since; /* when the one under way began */
    unsigned char small[RG_SMALL_FRAMES * RG_MESSAGE_HEADER]; /* frames being written */
    size_t small_at, small_end;
    size_t segment_left;           /* payload bytes to come before the next header */
    uint64_t tx_frames, rx_frames; /* written, and read, on this connection */
    bool checks;                   /* what it sends carries checksums */
    bool rx_checked; /* what is coming in does: its checksum, and that of what has come */
    uint32_t rx_crc, rx_crc_so_far;
    char damage[120]; /* what was found */
    unsigned char *staging;
    size_t staged_at, staged_end;
};

struct rg_match_ops {
    double (*now)(void *world); /* monotonic, in seconds */
    /* There is something to write to the peer. Often called for one write. */
    void (*dirty)(void *world, struct rg_pair *p);
    /* The transfer is done, and its program, which has its request, may see that. */
    void (*complete)(void *world, struct rg_transfer *t);
    /* A barrier, a peer that left, an interruption: whoever waits for anything looks again. */
    void (*changed)(void *world);
    /* The peer says that it has lost this rank, or (its own) that it has failed; why: "" where it
     * does not know. */
    void (*lost)(void *world, struct rg_pair *teller, int rank, const char *why);
    /* The connection cannot go on, for this reason: rg_match_gone is to be called. */
    void (*fail)(void *world, struct rg_pair *p, int code, const char *why);
};

/* One rank's. */
struct rg_match {
    const struct rg_match_ops *ops;
    void *world;
    int rank, size; /* size: constant */
    struct rg_pair *pairs;
    unsigned char *staging;  /* of all pairs */
    atomic_bool interrupted; /* these two may be set at any moment, also by a signal handler */
    atomic_bool expired;     /* interrupted since the time was up */
    atomic_bool winding;     /* to stop when no update is under way; set as these are */
    bool interrupt_told, winding_told;
    uint64_t updates;    /* that have ended in this run */
    bool between;        /* none is under way */
    uint64_t pledge;     /* this rank's, once winding_told */
    uint32_t pledge_run; /* of it */
    bool closing;        /* the program has returned; what it had posted is being cancelled */
    char reason[RG_WIRE_REASON]; /* told with the next LEAVE that names a rank; "": unknown */
    uint32_t run;
    uint32_t reseated; /* until this run ranks had other numbers; 0: never */
    bool dropped;      /* the others have said that they go on without this rank */
    int run_size;      /* 0: none is open */
    bool salvages;     /* it, or the next, puts together what is left of those before */
    uint64_t barrier;

    /* memory: a region that is handed out piece by piece, and lists of what has come back */
    unsigned char *region;
    size_t region_used, region_size;
    struct rg_transfer *spare_transfers;
    struct rg_unexpected *spare_unexpected;
    struct rg_bounce *spare_bounces[RG_BOUNCE_CLASSES];
    void *chunks; /* allocated beyond the region, for freeing */
};

/* 0 or RG_ERR_NOMEM. `world` is what the functions of `ops` are given. Nothing is allocated later
 * but by runs that have more under way than the memory reserved here holds. */
int rg_match_open(struct rg_match *m, int rank, int size, const struct rg_match_ops *ops,
                  void *world);
void rg_match_close(struct rg_match *m); /* also after an open that failed, or of zeroes */

/* ---- posting ---- */

/* For the caller to fill in; NULL: no memory. */
struct rg_transfer *rg_match_take_transfer(struct rg_match *m);
/* Queues it, or completes it at once; the caller has the stream written. Else why not:
 * RG_ERR_PEER, RG_ERR_INTERRUPTED. */
int rg_match_send(struct rg_pair *p, struct rg_transfer *t);
int rg_match_recv(struct rg_pair *p, struct rg_transfer *t);
/* Takes it out of everything (it is not done); false: a send that has begun, left as it is. */
bool rg_match_cancel(struct rg_pair *p, struct rg_transfer *t);
/* The program has done with it (request is NULL): free it, if nothing else holds it. */
void rg_match_release(struct rg_transfer *t);
/* Messages to oneself: to be called after posting and cancelling there. */
void rg_match_self(struct rg_pair *self);

/* All of a send has been written. */
static inline bool rg_match_is_written(const struct rg_transfer *t)
{
    return t->begun && t->header_left == 0 && t->sent == t->bytes;
}

/* ---- runs, barriers, the end ---- */

/* Everything of the run before must have been ended. size: ranks of the run; this one may be
 * beyond them. A run that salvages, as m->salvages says before it begins, has other barriers than
 * one that trains: where ranks mean another kind by the same number, those that train take it that
 * the others have left. */
void rg_match_begin_run(struct rg_match *m, int size);
/* This rank leaves the run: peers are told, with the rank that it has lost or, where it has failed,
 * its own (-1: none), and why. Its program's transfers have been cancelled, and what had begun is
 * written or of a peer that is gone. */
void rg_match_end_run(struct rg_match *m, int lost, const char *why);
/* Tell the peer that this rank is alive, unless it hears it anyway. */
void rg_match_beat(struct rg_pair *p);
/* Tells the peer that this rank has come to the barrier number m->barrier. */
void rg_match_say_barrier(struct rg_pair *to);
/* Does the peer mean the other kind of run by this number? */
bool rg_match_is_elsewhere(const struct rg_pair *p);
/* Has the peer come to it? 0, RG_PENDING, or why it never will. */
int rg_match_heard_barrier(const struct rg_pair *from);
/* Tell the peers of an interruption, once there is one, or that this rank winds down. */
void rg_match_spread_interruption(struct rg_match *m);
/* Winding down: all ranks of the run end it with the same update, the last that any of them had
 * under way when it learnt of it. Each pledges not to go beyond its own, and tells the others; so
 * once this rank has heard them all, it knows the last: 0 and *last, RG_PENDING, or why it will
 * never be known: somebody has left. */
int rg_match_last_update(const struct rg_match *m, uint64_t *last);
void rg_match_say_goodbye(struct rg_match *m);
/* Between runs: tell a peer that this rank, as others, goes on without it. */
void rg_match_say_dropped(struct rg_pair *p);
/* Between runs: the peer that had gone has a connection again, of which nothing is known yet. */
void rg_match_renew(struct rg_pair *p);
/* This rank has its part in runs after that one, which others have had without it. */
void rg_match_enter(struct rg_match *m, uint32_t run);
/* The connection to the peer is closed: everything that waits for it completes. */
void rg_match_gone(struct rg_pair *p);

#endif
