/* The world: what a node program runs in. Messages, clock, compute, trace.
 *
 * A node program is straight-line C. It cannot tell which world it is in: mem (threads that pass a
 * baton, for tests), posix (sockets between machines) or sim (SimGrid actors). Overlap of
 * communication and computation stays visible in the source:
 *
 *     rg_recv(w, next, ...); rg_send(w, previous, ...); rg_compute(w, ...); rg_wait_all(w, ...);
 *
 * Rules every world keeps:
 *  - What one node sends to another goes in posting order, whatever the tags; a receive takes the
 *    oldest message of its source and tag. Receives of one source and tag match in posting order.
 *  - A message occupies its connection for size / rate; the next starts when its last byte has
 *    left.
 *  - A message whose receive is not posted yet is sent all the same (eagerly), as long as no more
 *    than RG_EAGER_LIMIT bytes of a directed pair's are without a receive. One that would pass the
 *    limit waits at the sender for its receive or for room, and all posted behind it waits too.
 *  - A send is complete when its last byte has reached the peer, not when a kernel buffer took it.
 *  - A peer that left without warning completes what waits for it with RG_ERR_PEER.
 *  - A handle belongs to one strand (see rg_spawn); requests are used on the handle they were
 * posted on.
 */
#ifndef RG_WORLD_WORLD_H
#define RG_WORLD_WORLD_H

#include "base/bytes.h"
#include "base/cost.h"
#include "base/error.h"
#include "base/mem.h"
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define RG_EAGER_LIMIT ((size_t)1 << 20) /* bytes sent without a receive, a directed pair */
#define RG_PENDING     1                 /* rg_request.status until completion */
#define RG_FOREVER     INFINITY

/* Tags below RG_TAG_USER belong to world.c and collectives/. */
#define RG_TAG_BARRIER    1u
#define RG_TAG_CLOCK      2u
#define RG_TAG_COLLECTIVE 16u
#define RG_TAG_USER       256u

struct rg_world;

/* A send or receive under way. Caller-allocated, borrowed by the world until it completes; must not
 * move or be freed before. Readable: status, bytes. The rest is the world's. */
struct rg_request {
    int status; /* RG_PENDING, 0, or an RG_ERR_* code; changes only inside calls on its handle */
    unsigned flags; /* RG_REQUEST_* and bits above 8, the world's own */
    size_t bytes;   /* of the message; after rg_recv_upto what really came */
    void *buffer;
    size_t capacity; /* receives: room in the buffer */
    double date;     /* raw date of completion, where the world knows it beforehand */
    struct rg_world *owner;
    void *link;        /* the world's own */
    uint64_t sequence; /* the world's own */
    double posted;     /* for the trace */
    int peer;
    uint32_t tag;
};
#define RG_REQUEST_SEND 1u
#define RG_REQUEST_UPTO 2u
#define RG_REQUEST_OWN  8 /* first bit number free for worlds */

/* What a node has done while its clock ran (not in untimed sections). */
struct rg_counters {
    double busy_s;                                          /* in rg_compute */
    double waiting_s;                                       /* blocked in rg_wait_any */
    uint64_t messages, values;                              /* sent */
    uint64_t bytes_sent, bytes_received, messages_received; /* payload */
    uint64_t tls_sent, tls_received; /* that a key adds to them, where there is one */
    /* Of those sent: what crosses the medium that some boards share. */
    uint64_t medium_messages, medium_bytes, medium_tls;
    uint64_t late_receives; /* messages that arrived before their receive was posted */
    uint64_t paced;         /* computations stretched to what a datasheet says they take */
    uint64_t overruns;      /* of those: that took longer */
    double unseen_s; /* between messages' arrivals and the calls that saw them, at either end; in
                      * worlds of virtual time only */
};

/* The meter behind the joules of a node, where there is one. */
struct rg_meter_facts {
    double interval_s; /* between samples, as wanted; NAN: it is a log */
    double longest_s;  /* between two samples, as it was */
    double idle_W;     /* measured before the run; NAN: was not */
    /* Nodes of one number are one machine: its joules count once, at the lowest rank. 0: unknown,
     * and alone; RG_MACHINE_OTHER: counted by another node's meter. */
    uint64_t machine;
    char column[80]; /* of a log: which columns were taken for watts, in words */
    uint64_t log;    /* the same for all who read the same log; 0: it is none */
    char error[320]; /* why joules are unknown, or "" */
};
#define RG_MACHINE_OTHER UINT64_MAX

/* Joules of one node, summed up since a date. Parts that the world cannot tell apart are NAN; where
 * all four are known, total_J is their sum in the order in which they stand here. */
struct rg_energy {
    double total_J;
    double idle_J;      /* what the board draws for being on */
    double compute_J;   /* what its processor draws on top */
    double network_J;   /* what its port draws on top, sending and receiving */
    double switch_J;    /* of the switch (or access point), for this board's port */
    const char *source; /* "model", the name of a meter, or "none": all are NAN; lives for ever */
    double variance_J2; /* of total_J, from sampling */
    double samples;
    const struct rg_meter_facts *meter; /* NULL: none; the world's, until it is asked again */
};

/* The board of a node as far as the world's own book-keeping needs it; see boards/board.h. */
struct rg_board;

struct rg_shared;        /* shared.h */
struct rg_trace;         /* trace.h */
struct rg_clock_map;     /* clocks.h */
struct rg_clock_section; /* clocks.h */

/* A handle: one strand of one node. Worlds embed it as the first member of their own struct. */
struct rg_world {
    const struct rg_world_ops *ops;
    int rank, size;
    int strand;                   /* 0: the node program itself */
    const struct rg_board *board; /* of this node; may be NULL (tests) */
    const bool *on_medium;        /* [size] the nodes that share one medium; NULL: there is none */
    struct rg_mem *mem;           /* this node's counted memory */
    struct rg_shared *shared;     /* shared.h; NULL: ranks share nothing */
    bool mortal;                  /* of ranks that do some will be lost */
    struct rg_counters count;     /* rg_join adds those of a strand to its parent's */
    struct rg_trace *trace;       /* NULL: off */
    bool skip_numerics;           /* rg_compute calls no function: only its time passes */
    double offset;                /* rg_now = raw date - offset */
    double untimed_since;         /* raw date */
    double timed_since; /* raw date: since then the clock runs, or ran until untimed_since */
    bool untimed;
    struct rg_energy energy_offset, energy_untimed; /* raw: as offset and untimed_since for dates */
    void (*on_iteration)(void *arg, int64_t i, double now_s); /* for progress; NULL: none */
    void *on_iteration_arg;
    double *marks; /* rg_now at each rg_iteration, where recording; capacity marks_capacity */
    int64_t marks_count, marks_capacity;
    int64_t iterations; /* that have ended */
};

struct rg_strand; /* a running strand; owned by the world until joined */

typedef void (*rg_compute_fn)(void *arg);
typedef int (*rg_program_fn)(struct rg_world *w, void *arg);

/* What a world provides. Callers use the functions below, which add assertions, counting and the
 * trace. Dates here are raw: the common layer shifts them. */
struct rg_world_ops {
    const char *name;
    bool moves_bytes; /* buffers are really read and written, even where numerics are skipped */
    double (*now)(struct rg_world *w);
    /* Where each node reads a clock of its own: the date of UNIX at its raw date 0, as its clock of
     * the day has it at this moment. NULL: all nodes share one clock. */
    double (*day)(struct rg_world *w);
    /* The request is filled in; on return it is queued (0) or refused (an error, status set). */
    int (*send)(struct rg_world *w, struct rg_request *request);
    int (*recv)(struct rg_world *w, struct rg_request *request);
    /* Returns 0 and *index, or RG_ERR_TIMEOUT, RG_ERR_DEADLOCK, RG_ERR_INTERRUPTED. */
    int (*wait_any)(struct rg_world *w, struct rg_request *const *requests, int n, double deadline,
                    int *index);
    /* The same without a deadline, and 1 with *last as rg_wait_any_or_stop. NULL: nothing stops. */
    int (*wait_any_or_stop)(struct rg_world *w, struct rg_request *const *requests, int n,
                            int *index, int64_t *last);
    int (*cancel)(struct rg_world *w, struct rg_request *request);
    int (*compute)(struct rg_world *w, const struct rg_work *work, rg_compute_fn fn, void *arg);
    /* The work passes, and is told by rg_compute_done, before whatever else the program does:
     * computations in a row of which nobody sees the ends are one. false: it is to be computed now.
     * NULL: always. */
    bool (*owe)(struct rg_world *w, const struct rg_work *work, const char *name, int unit);
    int (*iteration)(struct rg_world *w, int64_t i);
    int (*go_on)(struct rg_world *w); /* NULL: always */
    /* A barrier of all nodes that no clock and no count sees, unlike rg_barrier's messages. */
    int (*barrier)(struct rg_world *w);
    /* NULL, or told when the clock of w has started, stopped or gone on. */
    void (*clock)(struct rg_world *w);
    int (*spawn)(struct rg_world *w, rg_program_fn fn, void *arg, struct rg_strand **strand);
    int (*join)(struct rg_world *w, struct rg_strand *strand, int *result,
                struct rg_counters *count);
    /* Vanish without a word, as a board that loses power: for tests. Does not return in worlds
     * where the program is a thread of its own; afterwards the program must return at once. */
    void (*die)(struct rg_world *w);
    /* What the node has drawn since the world began, up to now; on the node program's own strand.
     * NULL: the world knows nothing of energy. total_J needs no filling in where all parts are. */
    void (*energy)(struct rg_world *w, double date, struct rg_energy *so_far);
    /* NULL, or for meters that are read after the run: what the node has drawn in each of `count`
     * sections (raw dates, one after the other), and in all of them together, which was unknown
     * then; false: `energy` has told all that there is. clocks: this node's against rank 0's,
     * before and after the training. */
    bool (*settle)(struct rg_world *w, const struct rg_clock_section *sections, int count,
                   const struct rg_clock_map *clocks, double *joules, struct rg_energy *whole);
};

/* Seconds since rg_clock_start; monotonic but for untimed sections, at whose end the clock is set
 * back to where it stood at their beginning. The only clock a node program sees. */
double rg_now(struct rg_world *w);

/* Collective: a barrier, then the clock starts at 0 and counters are zeroed. */
int rg_clock_start(struct rg_world *w);
/* Collective: what is done between the two counts in no clock, traffic or trace; in worlds of
 * virtual time its messages take none, so that the dates after it do not depend on it to the last
 * bit. */
int rg_untimed_begin(struct rg_world *w);
int rg_untimed_end(struct rg_world *w);

/* Joules of this node since rg_clock_start, with untimed sections left out as they are of the
 * clock; in an untimed section, what they were at its beginning, which is one date on all nodes.
 * Worlds without energy give NAN and the source "none". *so_far is the caller's. */
void rg_energy(struct rg_world *w, struct rg_energy *so_far);

/* Start a message of `bytes` bytes (0 is allowed) to dst. buffer NULL, between twins (twins.h): the
 * receiver has them already, and gives none either. Returns at once; buffer is borrowed until
 * completion. Errors (also in request->status): RG_ERR_PEER. A message to oneself takes no time and
 * is not counted: it is how one strand of a node tells another that something is ready. */
int rg_send(struct rg_world *w, int dst, uint32_t tag, const void *buffer, size_t bytes,
            struct rg_request *request);
/* The same for n float32 values, which are counted as values of the network. */
int rg_send_floats(struct rg_world *w, int dst, uint32_t tag, const float *buffer, size_t n,
                   struct rg_request *request);
/* What has just been sent to dst says n numbers of the network in another form. */
void rg_count_values(struct rg_world *w, int dst, size_t n);
/* A message of another length is RG_ERR_LENGTH, on both sides' programs a protocol error. */
int rg_recv(struct rg_world *w, int src, uint32_t tag, void *buffer, size_t bytes,
            struct rg_request *request);
/* Up to `capacity` bytes; request->bytes says how many. */
int rg_recv_upto(struct rg_world *w, int src, uint32_t tag, void *buffer, size_t capacity,
                 struct rg_request *request);

/* Wait until one of requests[0..n) is complete (NULL entries are passed over): its index, the
 * lowest of those complete. Complete requests are reported again if passed again. deadline: a date
 * on rg_now, RG_FOREVER for none; a date in the past polls. Returns RG_ERR_TIMEOUT with every
 * request still valid. The completion's own error stands in its status, not in the result. */
int rg_wait_any(struct rg_world *w, struct rg_request *const *requests, int n, double deadline,
                int *index);
/* The same without a deadline, for what may never come because the nodes stop: returns 1, with
 * nothing complete, where the training is to end and all know after how many updates (*last; >= 1):
 * nobody sends what only later ones need. */
int rg_wait_any_or_stop(struct rg_world *w, struct rg_request *const *requests, int n, int *index,
                        int64_t *last);
/* Wait for one request, and give back its buffer in every case: where the wait itself fails
 * (RG_ERR_INTERRUPTED, RG_ERR_DEADLOCK) the request is cancelled, so that it and its buffer may end
 * with the caller. Whoever wants to keep it posted calls rg_wait_any. Returns the wait's own error,
 * else the request's status, which is 0 if it was never posted (zero). */
int rg_wait(struct rg_world *w, struct rg_request *request);
/* rg_send and rg_recv, each with its rg_wait. */
int rg_send_wait(struct rg_world *w, int dst, uint32_t tag, const void *buffer, size_t bytes);
int rg_recv_wait(struct rg_world *w, int src, uint32_t tag, void *buffer, size_t bytes);
/* rg_wait for all of them (NULL entries are passed over), each to its end; the first error by
 * index. */
int rg_wait_all(struct rg_world *w, struct rg_request *const *requests, int n);
/* Is it complete? Polls the world. */
bool rg_done(struct rg_world *w, struct rg_request *request);

/* Give the buffer back: on return the request is complete, with RG_ERR_CANCELLED, or with 0 for a
 * send that has begun to leave (the world sends the rest from a copy). A no-op on complete ones and
 * on those that were never posted (zero). */
int rg_cancel(struct rg_world *w, struct rg_request *request);

/* One message there and one back, overlapped. */
int rg_sendrecv(struct rg_world *w, int dst, const void *out, size_t out_bytes, int src, void *in,
                size_t in_bytes, uint32_t tag);
/* Dissemination barrier (Hensgen, Finkel, Manber 1988) in ceil(log2 size) rounds of messages. */
int rg_barrier(struct rg_world *w);

/* Run fn(arg), unless numerics are skipped (posix: and time it), and let `work` pass: in sim its
 * modelled seconds on this node's board, by the time that the program calls its world again. name:
 * a string that lives for ever, for the trace; unit: the micro-batch, or -1. */
int rg_compute(struct rg_world *w, const struct rg_work *work, const char *name, int unit,
               rg_compute_fn fn, void *arg);

/* Iteration i (0, 1, ...) has ended on this node. 0: go on; 1: stop, the same i on every node;
 * RG_ERR_INTERRUPTED; RG_ERR_PEER: a node of the world is lost, which this one may have had nothing
 * to do with. */
int rg_iteration(struct rg_world *w, int64_t i);
/* Between two sections of training, in an untimed section or when the clock has just started: may
 * another iteration begin? Answers as rg_iteration does. */
int rg_go_on(struct rg_world *w);

/* A second strand of this node: fn runs beside the caller with a handle of its own, and both may
 * compute, send and receive. It shares the node's connections and memory. rg_join waits for its end
 * and returns its result; every strand is joined before the program that spawned it returns. */
int rg_spawn(struct rg_world *w, rg_program_fn fn, void *arg, struct rg_strand **strand);
int rg_join(struct rg_world *w, struct rg_strand *strand, int *result);

/* For worlds: computations one after the other, between these raw dates, each with its share of the
 * time. row may be NULL where there is no timeline. */
struct rg_computed {
    const char *name;
    int unit;
    double seconds;
};
void rg_compute_done(struct rg_world *w, const struct rg_computed *row, int count, double begin_raw,
                     double end_raw);
/* For worlds: initialise the common part of a handle. */
void rg_world_init(struct rg_world *w, const struct rg_world_ops *ops, int rank, int size);
/* For worlds, on the strand that owns the request, once for each that completed without error (in
 * wait_any, where completion is noticed): counts receives, and records the message from the date
 * its first byte left (or, where that is unknown, was posted) to the date its last arrived. late:
 * it arrived before its receive was posted. */
void rg_message_done(struct rg_world *w, const struct rg_request *request, double begin_raw,
                     double end_raw, bool late);

#endif
