/* Matching and flow control where all ranks share one address space: what the mem and sim worlds
 * have in common.
 *
 * Happy path: a send joins the queue of its directed pair (a flow). The head of the queue starts
 * when the connection is free and either a receive waits for it or it is within the eager limit;
 * the world carries it (ops->start) and says when its last byte has left and when it will arrive
 * (rg_exchange_left). Then the bytes are copied, and both requests get their date of completion. A
 * strand that waits is woken only when something it waits for has got a date, and sees the
 * completion once the date has come.
 *
 * Failure modes handled: lengths that differ; a receive or send cancelled at any stage; a node that
 * leaves (what it has begun to send still arrives) or dies (what it was sending is lost): whatever
 * waits for it completes with RG_ERR_PEER, now and later; programs that return with requests
 * pending, even in stack frames that are gone; deadlock, which the world detects and
 * rg_exchange_deadlock spreads.
 *
 * Nothing is allocated for a message once as many have been under way before; flows are made when
 * first used. Not thread-safe: one strand runs at a time. */
#ifndef RG_WORLD_EXCHANGE_H
#define RG_WORLD_EXCHANGE_H

#include "base/error.h"
#include "world/world.h"

struct rg_flow; /* what goes from one rank to another */

/* A strand: the handle, and what the exchange keeps with it. The world embeds it as first member of
 * its own struct, zeroed, and sets handle, waiting_in and the stack's limits. */
struct rg_endpoint {
    struct rg_world handle;
    struct rg_item *items;           /* posted here and not seen complete */
    struct rg_flow *out, *in;        /* of what was posted last */
    struct rg_request *const *waits; /* while blocked in rg_exchange_wait_any */
    int wait_count;
    bool doomed;            /* was blocked when a deadlock was found: the wait returns that */
    uint64_t epoch;         /* marks the requests waited for */
    double polled;          /* date of the last look that found nothing */
    const char *waiting_in; /* while blocked elsewhere: "a barrier", or what the world says */
    const char *stack_low, *stack_high; /* where the program's frames are; may be NULL */
    struct rg_endpoint *sibling;        /* next strand of the node */
};

/* A message under way, as the world sees it: from ops->start to rg_exchange_left. */
struct rg_message {
    int source, target;
    size_t bytes; /* payload */
};

struct rg_exchange_ops {
    /* A first message is to go from source to target: the world's own data for the pair; may be
     * NULL, then so is the route. */
    void *(*open)(void *world, int source, int target);
    double (*now)(void *world);
    /* Put the message on the connection from its source to its target, which is free; what open
     * has returned for these. */
    void (*start)(void *world, struct rg_message *message, void *route);
    /* Have a blocked strand look again at `date` (now or later); earlier does no harm. */
    void (*wake)(void *world, struct rg_endpoint *endpoint, double date);
    /* Stop the calling strand until woken or `date` (may be infinite) has come; earlier does no
     * harm. Does not return if its node has died. */
    void (*block)(void *world, struct rg_endpoint *endpoint, double date);
    /* Have every strand that is blocked elsewhere (waiting_in) look again now. */
    void (*wake_waiting)(void *world);
};

/* A look for completions that finds nothing costs nothing; a second one at the same date lets this
 * much time pass, so that a program which polls in a loop gets on. */
#define RG_POLL_S 1e-6

/* The result of a rank that died, where others return what their program did. */
#define RG_DIED 1000000

struct rg_exchange;

/* slack_s: dates this far ahead count as reached (rounding of the world's clock). */
struct rg_exchange *rg_exchange_new(int size, double slack_s, const struct rg_exchange_ops *ops,
                                    void *world);
void rg_exchange_free(struct rg_exchange *x);

/* A strand comes and goes. Closing cancels what it has pending. */
void rg_exchange_open_strand(struct rg_exchange *x, struct rg_endpoint *e);
void rg_exchange_close_strand(struct rg_exchange *x, struct rg_endpoint *e);

/* What rg_world_ops asks for. */
int rg_exchange_send(struct rg_exchange *x, struct rg_endpoint *e, struct rg_request *request);
int rg_exchange_recv(struct rg_exchange *x, struct rg_endpoint *e, struct rg_request *request);
int rg_exchange_wait_any(struct rg_exchange *x, struct rg_endpoint *e,
                         struct rg_request *const *requests, int n, double deadline, int *index);
int rg_exchange_cancel(struct rg_exchange *x, struct rg_endpoint *e, struct rg_request *request);

/* The message's last byte has left its source now and reaches its target at `arrival`; within a
 * flow messages arrive in order, so it may be later than that. The message is the exchange's again.
 */
void rg_exchange_left(struct rg_exchange *x, struct rg_message *message, double arrival);

/* The node has lost its power: nothing it had under way goes on. The others do not know; when they
 * notice, rg_exchange_leave says so. */
void rg_exchange_silence(struct rg_exchange *x, int rank);
/* The node has gone: with its strands closed (clean), or without warning. */
void rg_exchange_leave(struct rg_exchange *x, int rank, bool clean);
/* Has any gone without warning? */
bool rg_exchange_has_lost(const struct rg_exchange *x);

/* Blocks until a strand of every rank of its handle's world has called it: 0, or RG_ERR_PEER where
 * a node has gone before that, or RG_ERR_DEADLOCK. */
int rg_exchange_barrier(struct rg_exchange *x, struct rg_endpoint *e);

/* Nothing can happen any more: every wait that is blocked now returns RG_ERR_DEADLOCK once the
 * world has woken its strand, which it does next. Writes who waits for whom into *error (may be
 * NULL). */
void rg_exchange_deadlock(struct rg_exchange *x, struct rg_error *error);
bool rg_exchange_deadlocked(const struct rg_exchange *x);

#endif
