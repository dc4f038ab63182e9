/* Sends and receives as programs see them: posting, waiting, cancelling.
 *
 * Failure modes handled: peers that have left, a send that has begun and must be written to its end
 * before its buffer is given back, no memory. */
#include "posix/mesh.h"

#include "base/clock.h"

void rg_posix_disown(struct rg_transfer *t)
{
    struct rg_posix_strand *s = t->strand;
    *(t->previous_own ? &t->previous_own->next_own : &s->transfers) = t->next_own;
    if (t->next_own)
        t->next_own->previous_own = t->previous_own;
    t->request = NULL;
    rg_match_release(t);
}

int rg_posix_post(struct rg_world *w, struct rg_request *request)
{
    struct rg_posix_strand *s = rg_posix_strand_of(w);
    struct rg_mesh *m = s->mesh;
    struct rg_pair *p = &m->match.pairs[request->peer];
    bool send = request->flags & RG_REQUEST_SEND;
    rg_comm_lock(m);
    struct rg_transfer *t = rg_match_take_transfer(&m->match);
    int result = t ? 0 : RG_ERR_NOMEM;
    if (t) {
        *t = (struct rg_transfer){.next_own = s->transfers,
                                  .strand = s,
                                  .request = request,
                                  .pair = p,
                                  .buffer = request->buffer,
                                  .bytes = request->capacity,
                                  .tag = request->tag,
                                  .send = send,
                                  .upto = request->flags & RG_REQUEST_UPTO};
        request->link = t;
        if (s->transfers)
            s->transfers->previous_own = t;
        s->transfers = t;
        result = send ? rg_match_send(p, t) : rg_match_recv(p, t);
    }
    if (t && result)
        rg_posix_disown(t);
    else if (t && p->rank == m->match.rank)
        rg_match_self(p);
    else if (t && send)
        rg_link_flush(&m->links[p->rank]);
    rg_comm_posted(m);
    rg_comm_unlock(m);
    if (result)
        request->status = result;
    return result;
}

/* The program sees a completion. */
static void finish(struct rg_transfer *t)
{
    struct rg_request *request = t->request;
    double begin = t->begin, end = t->end;
    bool late = t->late;
    request->status = t->outcome;
    if (!t->send)
        request->bytes = t->arrived;
    rg_posix_disown(t);
    if (request->status == 0)
        rg_message_done(request->owner, request, begin, end, late);
}

struct look {
    struct rg_request *const *requests;
    int n, *index;
    struct rg_match *match; /* of look_or_stop alone */
    uint64_t last;
};

static int look(void *arg)
{
    const struct look *l = arg;
    for (int i = 0; i < l->n; i++) {
        struct rg_request *request = l->requests[i];
        if (!request)
            continue;
        struct rg_transfer *t = request->link;
        if (request->status == RG_PENDING && !t->done)
            continue;
        if (request->status == RG_PENDING)
            finish(t);
        *l->index = i;
        return 0;
    }
    return RG_PENDING;
}

/* The first peer whose doing completes one of these; -1: other strands of this rank alone do. */
static int awaited(const struct rg_mesh *m, struct rg_request *const *requests, int n)
{
    for (int i = 0; i < n; i++)
        if (requests[i] && requests[i]->peer != m->match.rank)
            return requests[i]->peer;
    return -1;
}

enum { STOPS = RG_PENDING + 1 };

static int look_or_stop(void *arg)
{
    struct look *l = arg;
    int result = look(l);
    if (result != RG_PENDING || !atomic_load(&l->match->winding))
        return result;
    rg_match_spread_interruption(l->match);
    result = rg_match_last_update(l->match, &l->last);
    return result == 0 ? STOPS : result;
}

static int wait_for(struct rg_posix_strand *s, struct look *l, int (*ready)(void *arg),
                    double deadline)
{
    rg_comm_lock(s->mesh);
    int result = ready(l);
    s->idle |= result != 0;
    if (result == RG_PENDING) {
        s->awaits = awaited(s->mesh, l->requests, l->n);
        s->inward = s->awaits < 0;
        result = rg_comm_wait(s, ready, l, deadline);
        s->inward = false;
    }
    rg_comm_unlock(s->mesh);
    return result;
}

int rg_posix_wait_any(struct rg_world *w, struct rg_request *const *requests, int n,
                      double deadline, int *index)
{
    struct look l = {.requests = requests, .n = n, .index = index};
    return wait_for(rg_posix_strand_of(w), &l, look, deadline);
}

int rg_posix_wait_any_or_stop(struct rg_world *w, struct rg_request *const *requests, int n,
                              int *index, int64_t *last)
{
    struct rg_posix_strand *s = rg_posix_strand_of(w);
    struct look l = {.requests = requests, .n = n, .index = index, .match = &s->mesh->match};
    int result = wait_for(s, &l, look_or_stop, INFINITY);
    if (result != STOPS)
        return result;
    *last = (int64_t)l.last;
    return 1;
}

static int written(void *arg)
{
    const struct rg_transfer *t = arg;
    return t->done || rg_match_is_written(t) ? 0 : RG_PENDING;
}

/* A send that has begun is written to its end, in spite of interruptions, before its buffer is
 * given back; a peer that does not take it for LINGER is lost. */
static void cancel_begun(struct rg_posix_strand *s, struct rg_transfer *t)
{
    struct rg_request *request = t->request;
    bool closing = s->closing;
    s->closing = true;
    if (rg_comm_wait(s, written, t, rg_clock_s() + RG_LINGER_S) == RG_ERR_TIMEOUT)
        rg_link_lose_silent(&s->mesh->links[t->pair->rank], "it takes no data");
    s->closing = closing;
    if (t->done) {
        finish(t);
    } else {
        request->status = 0;
        rg_posix_disown(t);
    }
}

int rg_posix_cancel(struct rg_world *w, struct rg_request *request)
{
    struct rg_posix_strand *s = rg_posix_strand_of(w);
    struct rg_transfer *t = request->link;
    rg_comm_lock(s->mesh);
    if (t->done) {
        finish(t);
    } else if (rg_match_cancel(t->pair, t)) {
        request->status = RG_ERR_CANCELLED;
        rg_posix_disown(t);
        if (request->peer == w->rank)
            rg_match_self(&s->mesh->match.pairs[w->rank]);
        rg_comm_posted(s->mesh);
    } else {
        cancel_begun(s, t);
    }
    rg_comm_unlock(s->mesh);
    return 0;
}
