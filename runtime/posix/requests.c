/* Sends and receives as programs see them: posting, waiting, cancelling.
 *
 * Failure modes handled: peers that have left, a send that has begun and must be written to its end
 * before its buffer is given back, no memory. */
#include "posix/mesh.h"

#include "base/clock.h"
void rg_posix_disown(struct rg_op *op)
{
    struct rg_posix_strand *s = op->strand;
    *(op->previous_own ? &op->previous_own->next_own : &s->ops) = op->next_own;
    if (op->next_own)
        op->next_own->previous_own = op->previous_own;
    op->request = NULL;
    rg_match_release(op);
}

int rg_posix_post(struct rg_world *w, struct rg_request *request)
{
    struct rg_posix_strand *s = rg_posix_strand_of(w);
    struct rg_mesh *m = s->mesh;
    struct rg_peer *p = &m->peers[request->peer];
    bool send = request->flags & RG_REQUEST_SEND;
    lock_mesh(m);
    struct rg_op *op = rg_pool_op(m);
    int result = op ? 0 : RG_ERR_NOMEM;
    if (op) {
        *op = (struct rg_op){.next_own = s->ops,
                             .strand = s,
                             .request = request,
                             .peer = p,
                             .buffer = request->buffer,
                             .bytes = request->capacity,
                             .tag = request->tag,
                             .send = send,
                             .upto = request->flags & RG_REQUEST_UPTO};
        request->link = op;
        if (s->ops)
            s->ops->previous_own = op;
        s->ops = op;
        result = send ? rg_match_send(p, op) : rg_match_recv(p, op);
    }
    if (op && result)
        rg_posix_disown(op);
    else if (op && p->rank == m->rank)
        rg_match_self(p);
    else if (op && send)
        rg_link_flush(p);
    rg_comm_posted(m);
    unlock_mesh(m);
    if (result)
        request->status = result;
    return result;
}

/* The program sees a completion. */
static void finish(struct rg_op *op)
{
    struct rg_request *request = op->request;
    double begin = op->begin, end = op->end;
    bool late = op->late;
    request->status = op->outcome;
    if (!op->send)
        request->bytes = op->arrived;
    rg_posix_disown(op);
    if (request->status == 0)
        rg_message_done(request->owner, request, begin, end, late);
}

struct look {
    struct rg_request *const *requests;
    int n, *index;
};

static int look(void *arg)
{
    const struct look *l = arg;
    for (int i = 0; i < l->n; i++) {
        struct rg_request *request = l->requests[i];
        if (!request)
            continue;
        struct rg_op *op = request->link;
        if (request->status == RG_PENDING && !op->done)
            continue;
        if (request->status == RG_PENDING)
            finish(op);
        *l->index = i;
        return 0;
    }
    return RG_PENDING;
}

/* Do other strands of this rank alone complete these? */
static bool are_inward(const struct rg_mesh *m, struct rg_request *const *requests, int n)
{
    for (int i = 0; i < n; i++)
        if (requests[i] && requests[i]->peer != m->rank)
            return false;
    return true;
}

int rg_posix_wait_any(struct rg_world *w, struct rg_request *const *requests, int n,
                      double deadline, int *index)
{
    struct rg_posix_strand *s = rg_posix_strand_of(w);
    struct look l = {requests, n, index};
    lock_mesh(s->mesh);
    int result = look(&l);
    s->idle |= result != 0;
    if (result) {
        s->inward = are_inward(s->mesh, requests, n);
        result = rg_comm_wait(s, look, &l, deadline);
        s->inward = false;
    }
    unlock_mesh(s->mesh);
    return result;
}

static int written(void *arg)
{
    const struct rg_op *op = arg;
    return op->done || rg_link_written(op) ? 0 : RG_PENDING;
}

/* A send that has begun is written to its end, in spite of interruptions, before its buffer is
 * given back; a peer that does not take it for LINGER is lost. */
static void cancel_begun(struct rg_posix_strand *s, struct rg_op *op)
{
    struct rg_request *request = op->request;
    bool closing = s->closing;
    s->closing = true;
    if (rg_comm_wait(s, written, op, rg_clock_s() + RG_LINGER_S) == RG_ERR_TIMEOUT)
        rg_link_lose(op->peer, RG_ERR_PEER, "it takes no data");
    s->closing = closing;
    if (op->done) {
        finish(op);
    } else {
        request->status = 0;
        rg_posix_disown(op);
    }
}

int rg_posix_cancel(struct rg_world *w, struct rg_request *request)
{
    struct rg_posix_strand *s = rg_posix_strand_of(w);
    struct rg_op *op = request->link;
    lock_mesh(s->mesh);
    if (op->done) {
        finish(op);
    } else if (rg_match_cancel(op->peer, op)) {
        request->status = RG_ERR_CANCELLED;
        rg_posix_disown(op);
        if (op->peer->rank == s->mesh->rank)
            rg_match_self(op->peer);
        rg_comm_posted(s->mesh);
    } else {
        cancel_begun(s, op);
    }
    unlock_mesh(s->mesh);
    return 0;
}
