/* Two ranks of matching in memory, a pipe each way between them, and the exchange as their oracle:
 * what programs post is posted there too, and must come out the same.
 *
 * The oracle is told of a receive when it is posted, and of a send when matching starts it; its
 * messages arrive when the last byte has come out of the pipe. So both see the same order of
 * events, and what matching decides (which receive takes a message, lengths, errors, whether a
 * receive was late) is compared one by one. Nothing here is concurrent, or depends on a clock. */
#ifndef RG_TESTS_DUO_H
#define RG_TESTS_DUO_H

#include "posix/match.h"
#include "world/exchange.h"
#include <stdio.h>

enum { DUO_POSTS = 128, DUO_STARTED = 4096, DUO_TAKEN = 1024, DUO_PIPE = 1 << 20 };

/* A send or a receive of one rank's program, in both worlds. */
struct duo_post {
    struct rg_request request; /* first: matching's; its status changes when the program looks */
    struct rg_request oracle;
    struct rg_transfer *t; /* NULL: the program has done with it */
    unsigned char *buffer;
    size_t bytes;
    uint64_t serial; /* of all posts, as they are made; the data of sends */
    bool used, send;
    bool late;
    bool asked;     /* the oracle has it */
    bool answered;  /* it is complete there */
    bool abandoned; /* a send cancelled after it had begun: written from its buffer to the end */
    bool oracle_late;
};

enum duo_state {
    DUO_IDLE,    /* no run is open */
    DUO_MEETING, /* in the barrier before a run */
    DUO_RUNNING,
    DUO_ENDING,  /* what it has begun is being written */
    DUO_LEAVING, /* has said goodbye */
    DUO_OVER
};

struct duo_taken {
    int peer;
    uint32_t tag;
    uint64_t order, serial; /* of the receive, of its message */
};

struct duo_rank {
    struct duo *duo;
    struct rg_match match;
    struct rg_pair *peer; /* the other; the pair with itself is match.pairs[rank] */
    struct rg_endpoint endpoint;
    enum duo_state state;
    bool dead;
    bool dirty, full;          /* something to write; the pipe had no room for all */
    bool in_oracle, told_left; /* its end of the run is open there; it knows that the other left */
    int lost;                  /* the rank that it has lost, or -1 */
    struct duo_post posts[DUO_POSTS];
    struct duo_taken taken[DUO_TAKEN]; /* messages received in this run */
    size_t taken_count;
};

/* What goes from one rank to the other. */
struct duo_way {
    unsigned char *bytes;
    size_t begin, end, room;       /* room: never more than this in it */
    bool closed;                   /* no more will come */
    struct rg_message *moving;     /* in the oracle */
    uint64_t started[DUO_STARTED]; /* sequences */
    size_t started_count, arrived; /* of those */
    size_t ahead;                  /* arrived, and not started by the oracle */
    int cancelled;                 /* receives, in this run */
};

struct duo {
    struct duo_rank rank[2];
    struct duo_way way[2]; /* by source */
    struct rg_exchange *x;
    struct rg_mem *nowhere; /* what the oracle's buffers lie in */
    void *oracle_buffer;
    double now;
    uint64_t dice, serial;
    /* Messages have come further than the oracle lets them: cancelled receives and permissions that
     * crossed on the wire. Then only lengths, order and data are checked. */
    bool loose;
    const char *wrong; /* what went wrong first */
    int wrong_line;
    /* what has happened, ever */
    long messages, late, errors, cancels, rts, unexpected, overruns, quiet, runs, losses;
};

#define DUO_REQUIRE(d, condition)                                                                  \
    do {                                                                                           \
        if (!(condition) && !(d)->wrong) {                                                         \
            (d)->wrong = #condition;                                                               \
            (d)->wrong_line = __LINE__;                                                            \
        }                                                                                          \
    } while (0)

void duo_open(struct duo *d, uint64_t seed); /* both ranks idle, before the first run */
void duo_close(struct duo *d);

uint64_t duo_dice(struct duo *d, uint64_t below);

/* The rank's next run begins with a barrier, and is running once duo_poll has seen the other. */
void duo_begin(struct duo *d, int rank);
void duo_poll(struct duo *d, int rank);  /* go on, where it waits for the other */
void duo_end(struct duo *d, int rank);   /* cancels what is pending, and leaves the run */
void duo_leave(struct duo *d, int rank); /* the mesh */
void duo_die(struct duo *d, int rank);   /* part of what it has written still arrives */

/* Post to `peer` (maybe itself): NULL where all posts are used or the peer is gone. */
struct duo_post *duo_send(struct duo *d, int rank, int peer, uint32_t tag, size_t bytes);
struct duo_post *duo_recv(struct duo *d, int rank, int peer, uint32_t tag, size_t bytes, bool upto);
bool duo_is_done(const struct duo_post *post);
/* The program sees that it is complete: its status, after comparing; the post is free again. */
int duo_look(struct duo *d, int rank, struct duo_post *post);
void duo_cancel(struct duo *d, int rank, struct duo_post *post); /* the post is free again */

/* At most so many bytes into the pipe, or out of it. False: nothing went. */
bool duo_write(struct duo *d, int rank, size_t most);
bool duo_read(struct duo *d, int rank, size_t most);
/* All that can go, both ways; then nothing may be held back that the oracle would let go, and all
 * credit must be accounted for. */
void duo_drain(struct duo *d);

#endif
