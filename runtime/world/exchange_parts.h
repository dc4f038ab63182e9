/* What the exchange keeps, for its own three sources and nobody else: exchange.c (matching),
 * exchange_queues.c (items, their lists and flows), exchange_peers.c (strands and nodes that come
 * and go). */
#ifndef RG_WORLD_EXCHANGE_PARTS_H
#define RG_WORLD_EXCHANGE_PARTS_H

#include "world/exchange.h"

enum { STASH_GRADES = 21 };

enum state { QUEUED, MOVING, LEFT };                           /* of a send */
enum data { AT_SENDER, IN_STASH, AT_RECEIVER, NO_DATA, LOST }; /* where its bytes are */

/* Bytes of a message that has left its sender's buffer and has no receiver's yet. */
struct stash {
    struct stash *next;
    int grade;
    _Alignas(64) char bytes[];
};

struct list {
    struct rg_item *first, *last;
};

/* A send or a receive. It lives while its request is pending or unseen, while it is in its flow's
 * list, and while the world carries it. */
struct rg_item {
    struct rg_message message; /* first: sends */
    struct rg_flow *flow;
    struct rg_endpoint *owner;
    struct rg_request *request; /* NULL once seen complete, cancelled or abandoned */
    struct rg_item *previous_own, *next_own;
    struct rg_item *previous, *next; /* in the flow, in posting order */
    struct rg_item *partner;         /* the receive of a send and the other way round */
    void *buffer;
    size_t capacity;
    double begin;   /* sends: first byte left */
    double arrival; /* sends: last byte arrives; receives: when posted */
    struct stash *stash;
    int outcome;
    uint32_t tag;
    unsigned char state, data;
    bool send, upto, touchable, listed;
    bool unasked; /* counts in the flow's window */
    bool instant; /* takes no time: to oneself, or in an untimed section */
};

/* What goes from one rank to another. */
struct rg_flow {
    int source, target;
    void *route;
    struct list messages, receives;
    struct rg_item *head;   /* first message that has not started */
    struct rg_item *moving; /* on the connection */
    size_t unasked;         /* bytes started or arrived for which no receive has been posted */
    double last_arrival;
    struct rg_flow *next_out, *next_in; /* of the source, of the target */
};

struct slab; /* of items */

struct rg_exchange {
    int size, gone_count;
    int fenced;  /* ranks in the fence */
    long fences; /* completed */
    double slack;
    const struct rg_exchange_ops *ops;
    void *world;
    struct rg_flow **table; /* open addressing, a power of two of slots */
    size_t slots, flows;
    struct rg_flow **out, **in; /* by rank */
    struct rg_endpoint **endpoints;
    bool *gone;
    bool deadlocked;
    struct rg_item *spare;
    struct slab *slabs;
    struct stash *stashes[STASH_GRADES];
};

static inline double rg_exchange_now(struct rg_exchange *x)
{
    return x->ops->now(x->world);
}

/* ---- exchange_queues.c ---- */

/* Its fields are what they were; NULL where memory is out. */
struct rg_item *rg_item_take(struct rg_exchange *x);
/* Gives it back, unless its list, its program or the world still has it. */
void rg_item_release(struct rg_exchange *x, struct rg_item *item);
/* The bytes of a message into memory of the exchange's own; LOST where that is out. */
void rg_item_stash(struct rg_exchange *x, struct rg_item *message, const void *from);

/* On the strand's list of what it has posted and not seen complete. */
void rg_item_own(struct rg_endpoint *e, struct rg_item *item);
/* The program has no more to do with the item. */
void rg_item_disown(struct rg_item *item);

void rg_list_append(struct list *list, struct rg_item *item);
void rg_list_remove(struct list *list, struct rg_item *item);
/* Off its flow's messages, out of the window. */
void rg_item_unlist(struct rg_item *message);

/* Made when first asked for; NULL where memory is out. */
struct rg_flow *rg_flow_of(struct rg_exchange *x, int source, int target);

/* ---- exchange.c ---- */

bool rg_item_arrived(struct rg_exchange *x, const struct rg_item *message, double now);
/* The item's request completes now, with this code. */
void rg_item_fail(struct rg_exchange *x, struct rg_item *item, int code);
/* Undo a match whose message has not arrived. */
void rg_item_unmatch(struct rg_exchange *x, struct rg_item *message);
/* Take back a send that has not started, or a receive: it never was. */
void rg_item_withdraw_send(struct rg_exchange *x, struct rg_item *message);
void rg_item_withdraw_receive(struct rg_exchange *x, struct rg_item *receive);

#endif
