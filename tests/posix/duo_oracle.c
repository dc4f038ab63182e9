/* What the exchange says to the same posts, and whether matching says the same. */
#include "tests/posix/duo_parts.h"

#include "base/check.h"
#include <stdlib.h>
#include <string.h>

static double oracle_now(void *world)
{
    const struct duo *d = world;
    return d->now;
}

static void oracle_start(void *world, struct rg_message *message, void *route)
{
    struct duo *d = world;
    (void)route;
    d->way[message->source].moving = message;
}

static void oracle_wake(void *world, struct rg_endpoint *endpoint, double date)
{
    (void)world, (void)endpoint, (void)date;
}

static void oracle_wake_waiting(void *world)
{
    (void)world;
}

static const struct rg_exchange_ops oracle_ops = {.now = oracle_now,
                                                  .start = oracle_start,
                                                  .wake = oracle_wake,
                                                  .block = oracle_wake,
                                                  .wake_waiting = oracle_wake_waiting};

/* What has arrived in truth arrives there too, as far as it has started there. */
static void oracle_arrive(struct duo *d)
{
    for (int source = 0; source < 2; source++) {
        struct duo_way *way = &d->way[source];
        while (way->moving && way->ahead > 0) {
            struct rg_message *message = way->moving;
            way->moving = NULL;
            way->ahead--;
            rg_exchange_left(d->x, message, d->now);
        }
    }
}

void duo_ask(struct duo *d, int rank, struct duo_post *post)
{
    struct rg_endpoint *e = &d->rank[rank].endpoint;
    post->oracle = post->request;
    post->oracle.buffer = d->oracle_buffer;
    post->oracle.owner = &e->handle;
    post->oracle.status = RG_PENDING;
    post->asked = true;
    int result = post->send ? rg_exchange_send(d->x, e, &post->oracle)
                            : rg_exchange_recv(d->x, e, &post->oracle);
    post->answered = result != 0;
    oracle_arrive(d);
}

static void oracle_look(struct duo *d, int rank, struct duo_post *post)
{
    struct rg_endpoint *e = &d->rank[rank].endpoint;
    struct rg_request *one = &post->oracle;
    int index;
    if (!post->asked || post->answered)
        return;
    uint64_t late = e->handle.count.late_receives;
    post->answered = rg_exchange_wait_any(d->x, e, &one, 1, d->now, &index) == 0;
    post->oracle_late = e->handle.count.late_receives > late;
}

void duo_unask(struct duo *d, int rank, struct duo_post *post)
{
    if (!post->asked || post->answered)
        return;
    rg_exchange_cancel(d->x, &d->rank[rank].endpoint, &post->oracle);
    post->answered = true;
    oracle_arrive(d);
}

void duo_open_oracle(struct duo *d)
{
    if (d->x)
        return;
    d->x = rg_exchange_new(2, 0, &oracle_ops, d);
    RG_ASSERT(d->x);
    d->loose = false;
    d->runs++;
    for (int rank = 0; rank < 2; rank++) {
        struct duo_rank *r = &d->rank[rank];
        memset(&r->endpoint, 0, sizeof r->endpoint);
        rg_world_init(&r->endpoint.handle, NULL, rank, 2);
        r->endpoint.handle.mem = d->nowhere;
        rg_exchange_open_strand(d->x, &r->endpoint);
        r->in_oracle = true;
        r->told_left = false;
        r->taken_count = 0;
        d->way[rank].moving = NULL;
        d->way[rank].started_count = d->way[rank].arrived = d->way[rank].ahead = 0;
        d->way[rank].cancelled = 0;
    }
}

/* ---- comparing ---- */

/* The sends that matching has started since. */
void duo_note_started(struct duo *d, int rank)
{
    struct duo_rank *r = &d->rank[rank];
    struct duo_way *way = &d->way[rank];
    for (struct rg_transfer *t = r->peer->sends.first; t && t != r->peer->head; t = t->next) {
        struct duo_post *post = (struct duo_post *)t->request;
        if (!post || post->asked)
            continue;
        DUO_REQUIRE(d, t->sequence && way->started_count < DUO_STARTED);
        if (d->wrong)
            return;
        way->started[way->started_count++] = t->sequence;
        d->rts += t->rts;
        duo_ask(d, rank, post);
    }
}

/* The messages that have come out of the pipe whole. */
static void note_arrived(struct duo *d, int rank)
{
    struct duo_rank *r = &d->rank[rank];
    struct duo_way *way = &d->way[1 - rank];
    while (r->in_oracle && !r->dead && way->arrived < way->started_count &&
           way->started[way->arrived] <= r->peer->rx_whole) {
        way->arrived++;
        way->ahead++;
        d->messages++;
    }
    oracle_arrive(d);
    if (way->ahead > 0 && !d->loose) {
        DUO_REQUIRE(d, way->cancelled > 0);
        d->loose = true;
        d->overruns++;
    }
}

/* The rank has learned that the other has left, or died. */
static void note_left(struct duo *d, int rank)
{
    struct duo_rank *r = &d->rank[rank], *other = &d->rank[1 - rank];
    if (!r->in_oracle || r->dead || r->told_left || !r->peer->left)
        return;
    r->told_left = true;
    if (!other->dead)
        rg_exchange_close_strand(d->x, &other->endpoint);
    rg_exchange_leave(d->x, 1 - rank, !other->dead);
    d->way[1 - rank].moving = NULL; /* its sender is gone; the exchange keeps it to the end */
    oracle_arrive(d);
}

static bool is_lost(const struct rg_transfer *t)
{
    return t->done && t->outcome == RG_ERR_PEER;
}

static void compare(struct duo *d, int rank, struct duo_post *post)
{
    const struct rg_transfer *t = post->t;
    const struct rg_request *o = &post->oracle;
    bool other_died = d->rank[1 - rank].dead;
    if (!t || d->loose)
        return;
    if (post->send) { /* the acknowledgement takes its time, and may be lost */
        DUO_REQUIRE(d, !t->done || !post->asked || post->answered);
        if (t->done && post->answered)
            DUO_REQUIRE(d, t->outcome == o->status || (other_died && is_lost(t)));
        return;
    }
    if (t->done && t->outcome == RG_ERR_LENGTH) { /* known when it begins, there when it has come */
        DUO_REQUIRE(d, !post->answered || o->status == RG_ERR_LENGTH ||
                           (o->status == RG_ERR_PEER && d->rank[rank].peer->left));
        return;
    }
    DUO_REQUIRE(d, t->done == post->answered);
    if (t->done && post->answered) {
        DUO_REQUIRE(d, t->outcome == o->status);
        DUO_REQUIRE(d, t->outcome != 0 || t->arrived == o->bytes);
        DUO_REQUIRE(d, t->outcome != 0 || o->peer == rank || t->late == post->oracle_late);
    }
}

void duo_free_post(struct duo_post *post)
{
    RG_ASSERT(!post->t);
    free(post->buffer);
    *post = (struct duo_post){0};
}

void duo_settle(struct duo *d)
{
    for (int rank = 0; rank < 2 && d->x; rank++) {
        note_arrived(d, rank);
        note_left(d, rank);
    }
    for (int rank = 0; rank < 2 && d->x; rank++) {
        struct duo_rank *r = &d->rank[rank];
        for (int i = 0; i < DUO_POSTS && r->in_oracle && !r->dead; i++) {
            struct duo_post *post = &r->posts[i];
            if (!post->used)
                continue;
            oracle_look(d, rank, post);
            compare(d, rank, post);
            if (!post->t && post->answered && post->request.status != RG_PENDING)
                duo_free_post(post);
        }
    }
}

/* ---- quiet ---- */

/* The sender holds no permission but of receives that wait, and none that would not be honoured. */
static void check_permits(struct duo *d, const struct rg_pair *sender,
                          const struct rg_pair *receiver)
{
    uint32_t announced = 0, held = (uint32_t)sender->expected_count;
    for (const struct rg_transfer *t = receiver->receives.first; t; t = t->next)
        announced += t->announced;
    DUO_REQUIRE(d, held <= announced && receiver->tx_announce == 0);
    for (const struct rg_transfer *t = sender->head; t; t = t->next)
        held += t->cleared && !t->rts;
    DUO_REQUIRE(d, held <= receiver->rx_permits);
}

/* Every byte and message of credit that the sender is without stands for one that waits. */
static void check_credit(struct duo *d, int rank)
{
    const struct rg_pair *p = d->rank[rank].peer, *q = d->rank[1 - rank].peer;
    size_t bytes = 0;
    uint32_t count = 0;
    for (const struct rg_unexpected *u = q->unexpected; u; u = u->next) {
        bytes += u->eager ? u->bytes : 0;
        count += u->eager;
        d->unexpected++;
    }
    DUO_REQUIRE(d, p->tx_eager - p->tx_returned == bytes);
    DUO_REQUIRE(d, p->tx_eager_count - p->tx_returned_count == count);
    DUO_REQUIRE(d, q->rx_eager - q->rx_returned == bytes);
    DUO_REQUIRE(d, bytes <= RG_EAGER_LIMIT);
    check_permits(d, p, q);
}

/* What matching holds back the oracle would hold back too. */
static void check_progress(struct duo *d, int rank)
{
    struct rg_transfer *t = d->rank[rank].peer->head;
    struct duo_way *way = &d->way[rank];
    if (!t)
        return;
    struct duo_post probe = {.request = t->request ? *t->request : (struct rg_request){0},
                             .send = true};
    DUO_REQUIRE(d, t->request && !way->moving && way->ahead == 0);
    if (d->wrong)
        return;
    duo_ask(d, rank, &probe);
    DUO_REQUIRE(d, !way->moving);
    if (!d->wrong)
        rg_exchange_cancel(d->x, &d->rank[rank].endpoint, &probe.oracle);
    DUO_REQUIRE(d, probe.oracle.status == RG_ERR_CANCELLED);
}

void duo_check_quiet(struct duo *d, int rank)
{
    check_credit(d, rank);
    check_progress(d, rank);
}
