/* What the exchange keeps, for its own three sources and nobody else: exchange.c (matching),
 * exchange_queues.c (items, their lists and flows), exchange_peers.c (strands and nodes that come
 * and go). */
#ifndef RG_WORLD_EXCHANGE_PARTS_H
#define RG_WORLD_EXCHANGE_PARTS_H

#include "base/chunks.h"
#include "world/exchange.h"

enum { RG_BOUNCE_GRADES = 21 };

enum rg_item_state { RG_ITEM_QUEUED, RG_ITEM_MOVING, RG_ITEM_LEFT }; /* of a send */
enum rg_item_data {
    RG_AT_SENDER,
    RG_AT_BOUNCE,
    RG_AT_RECEIVER,
    RG_AT_NOWHERE,
    RG_AT_LOST
}; /* where its bytes are */

/* A bounce buffer: bytes of a message that have left its sender's buffer and have no receiver's
 * yet. */
struct rg_exchange_bounce {
    struct rg_exchange_bounce *next;
    int grade;
    _Alignas(64) char bytes[];
};

struct rg_items {
    struct rg_item *first, *last;
};

/* A send or a receive, kept small: there is one for every receive that is posted. It lives while
 * its request is pending or unseen, while it is in its flow's list, and while the world carries it.
 */
struct rg_item {
    struct rg_message message; /* first: sends; of a receive its bytes alone: the room */
    struct rg_flow *flow;
    struct rg_endpoint *owner;
    struct rg_request *request; /* NULL once seen complete, cancelled or abandoned */
    struct rg_item *previous_own, *next_own;
    struct rg_item *previous, *next; /* in the flow, in posting order */
    struct rg_item *partner;         /* the receive of a send and the other way round */
    void *buffer;
    double begin;   /* sends: first byte left */
    double arrival; /* sends: last byte arrives; receives: when posted */
    struct rg_exchange_bounce *bounce;
    uint32_t tag;
    signed outcome : 16;
    unsigned state : 2, data : 3;
    bool send : 1, upto : 1, touchable : 1, listed : 1;
    bool eager : 1;   /* counts against the flow's eager limit */
    bool instant : 1; /* takes no time: to oneself, or in an untimed section */
};

/* What goes from one rank to another. */
struct rg_flow {
    int source, target;
    void *route;
    struct rg_items messages, receives;
    struct rg_item *head;   /* first message that has not started */
    struct rg_item *moving; /* on the connection */
    size_t eager;           /* bytes started or arrived for which no receive has been posted */
    double last_arrival;
    struct rg_flow *next_out, *next_in; /* of the source, of the target */
};

struct rg_exchange_slab; /* of items */

struct rg_exchange {
    int size, gone_count;
    int waiting;   /* ranks in the barrier */
    long barriers; /* completed */
    double slack;
    const struct rg_exchange_ops *ops;
    void *world;
    struct rg_flow **table; /* open addressing, a power of two of slots; NULL: it is free */
    uint32_t *places;       /* beside it: the flow's slot, but for bits beyond the table's size */
    size_t slots, flows;
    struct rg_flow **out, **in; /* by rank */
    struct rg_endpoint **endpoints;
    bool *gone;
    bool lost; /* one has gone without warning */
    bool deadlocked;
    struct rg_item *spare;
    struct rg_exchange_slab *slabs;
    struct rg_chunks memory; /* of slabs and flows */
    struct rg_exchange_bounce *bounces[RG_BOUNCE_GRADES];
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
/* The bytes of a message into a bounce buffer; RG_AT_LOST where memory is out. */
void rg_item_set_aside(struct rg_exchange *x, struct rg_item *message, const void *from);

/* On the strand's list of what it has posted and not seen complete. */
void rg_item_own(struct rg_endpoint *e, struct rg_item *item);
/* The program has no more to do with the item. */
void rg_item_disown(struct rg_item *item);

void rg_list_append(struct rg_items *list, struct rg_item *item);
void rg_list_remove(struct rg_items *list, struct rg_item *item);
/* Off its flow's messages; does not count against the eager limit any more. */
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
