/* Copies of a ring's state on its nodes, as they come about: see backup.h. */
#include "strategies/backup.h"

#include "base/sizes.h"
#include "strategies/pipeline_parts.h"
#include <stdlib.h>
#include <string.h>

/* ---- how often, in how many pieces ---- */

struct rg_backup rg_backup_of(int most)
{
    int pieces = RG_MAX((most - 1) / 2, 1), every = most + 1 - pieces;
    /* The state `kept` states before that of update v begins to be overwritten when the receive of
     * the latter's first piece is posted, one iteration ahead: by a node that has ended v - 1
     * iterations, where others have ended v - 2 at least. By then the state after the one that
     * goes, of update v - (kept - 1) * every, must have all its pieces on all nodes. */
    int kept = 1 + (pieces + 1 + every) / every;
    return (struct rg_backup){.most = most, .every = every, .pieces = pieces, .kept = kept};
}

bool rg_backup_is_small(const struct rg_ring *ring)
{
    enum { PACKET = 1448 };
    bool small = true;
    for (int node = 0; node < ring->nodes; node++)
        small = small && rg_backup_piece(ring, node, 0).count * sizeof(float) <= PACKET;
    return small;
}

struct rg_shard rg_backup_piece(const struct rg_ring *ring, int node, int piece)
{
    return rg_shard_of((size_t)rg_ring_node_floats(ring, node), ring->backup.pieces, piece);
}

/* ---- which is when ---- */

static bool is_on(const struct rg_pipeline *p)
{
    return p->ring->backup.most > 0;
}

/* The piece that goes in an iteration; -1: none does. */
static int piece_in(const struct rg_pipeline *p, int64_t iteration)
{
    const struct rg_backup *b = &p->ring->backup;
    int64_t piece = (iteration - p->backup->begun) % b->every;
    return piece < b->pieces ? (int)piece : -1;
}

/* The state that this piece, or the state after so many iterations, is of. */
static struct rg_backup_state *state_at(struct rg_pipeline *p, int64_t iteration)
{
    const struct rg_backup *b = &p->ring->backup;
    return &p->backup->states[(iteration - p->backup->begun) / b->every % b->kept];
}

static int neighbour(const struct rg_pipeline *p, int way)
{
    int nodes = p->ring->nodes;
    return p->replica * nodes + (p->node + nodes + way) % nodes;
}

/* Messages of channels have smaller ones. */
static uint32_t tag_of(const struct rg_pipeline *p)
{
    return RG_TAG_USER + RG_CHANNELS * (uint32_t)rg_ring_chunks(p->ring);
}

struct rg_request *rg_backup_in(struct rg_pipeline *p, int64_t iteration)
{
    return is_on(p) && piece_in(p, iteration) >= 0 ? &p->backup->in[iteration % 2] : NULL;
}

struct rg_request *rg_backup_out(struct rg_pipeline *p)
{
    return p->backup ? &p->backup->out : NULL;
}

/* ---- a state ---- */

struct copying {
    const struct rg_pipeline *p;
    float *to;
};

static void do_copy(void *arg)
{
    const struct copying *c = arg;
    float *to = c->to;
    for (int i = 0; i < c->p->chunks; i++) {
        const struct rg_pipeline_stage *s = &c->p->stages[i];
        size_t count = s->update.count, more = rg_optimizer_state(&s->update.optimizer, count);
        memcpy(to, rg_pipeline_weights(s), count * sizeof *to);
        memcpy(to + count, s->update.state, more * sizeof *to);
        to += count + more;
    }
}

/* This node's own, after `done` updates. */
static int copy_state(struct rg_pipeline *p, int64_t done)
{
    struct rg_backup_state *state = state_at(p, done);
    struct copying c = {p, state->own};
    state->own_done = -1;
    int result = rg_compute(p->w, &p->backup->work, "backup", -1, do_copy, &c);
    if (result == 0)
        state->own_done = done;
    return result;
}

/* Of the piece that comes in an iteration, into the state before it. */
static int post(struct rg_pipeline *p, int64_t iteration)
{
    int from = neighbour(p, -1), piece = piece_in(p, iteration);
    if (piece < 0)
        return 0;
    struct rg_backup_state *state = state_at(p, iteration);
    struct rg_shard part = rg_backup_piece(p->ring, from % p->ring->nodes, piece);
    if (piece == 0) {
        state->copy_done = -1;
        state->come = 0;
    }
    return rg_recv(p->w, from, tag_of(p), state->copy + part.first, part.count * sizeof(float),
                   rg_backup_in(p, iteration));
}

int rg_backup_open(struct rg_pipeline *p)
{
    const struct rg_backup *b = &p->ring->backup;
    if (!is_on(p))
        return 0;
    int before = neighbour(p, -1) % p->ring->nodes;
    p->backup = calloc(1, sizeof *p->backup);
    if (!p->backup)
        return RG_ERR_NOMEM;
    p->backup->begun = -1;
    p->backup->states = calloc((size_t)b->kept, sizeof *p->backup->states);
    if (!p->backup->states)
        return RG_ERR_NOMEM;
    for (int i = 0; i < p->chunks; i++)
        rg_ring_copy_work(rg_ring_state_floats(p->ring, p->stages[i].update.count),
                          &p->backup->work);
    rg_work_keep_seconds(&p->backup->work);
    for (int i = 0; i < b->kept; i++) /* before there may be no memory for one of them */
        p->backup->states[i].own_done = p->backup->states[i].copy_done = -1;
    for (int i = 0; i < b->kept; i++) {
        struct rg_backup_state *state = &p->backup->states[i];
        state->own = rg_mem_floats(p->w->mem, rg_ring_node_floats(p->ring, p->node));
        state->copy = rg_mem_floats(p->w->mem, rg_ring_node_floats(p->ring, before));
        if (!state->own || !state->copy)
            return RG_ERR_NOMEM;
    }
    return 0;
}

void rg_backup_close(struct rg_pipeline *p)
{
    if (!p->backup)
        return;
    rg_work_free(&p->backup->work);
    free(p->backup->states);
    free(p->backup);
    p->backup = NULL;
}

int rg_backup_begin(struct rg_pipeline *p, int64_t first, int64_t end)
{
    int result = 0;
    if (!is_on(p) || first >= end)
        return 0;
    if (p->backup->begun < 0) {
        p->backup->begun = first;
        result = copy_state(p, first);
    }
    return result ? result : post(p, first);
}

int rg_backup_send(struct rg_pipeline *p, int64_t iteration, int64_t end)
{
    int piece = piece_in(p, iteration), result = 0;
    if (piece >= 0) {
        struct rg_shard part = rg_backup_piece(p->ring, p->node, piece);
        result =
            rg_send_floats(p->w, neighbour(p, 1), tag_of(p),
                           state_at(p, iteration)->own + part.first, part.count, rg_backup_out(p));
    }
    return result || iteration + 1 >= end ? result : post(p, iteration + 1);
}

int rg_backup_end(struct rg_pipeline *p, int64_t iteration)
{
    const struct rg_backup *b = &p->ring->backup;
    int64_t done = iteration + 1;
    if (!is_on(p))
        return 0;
    if (piece_in(p, iteration) >= 0) {
        struct rg_backup_state *state = state_at(p, iteration);
        if (++state->come == b->pieces)
            state->copy_done = iteration + 1 - b->pieces;
    }
    return (done - p->backup->begun) % b->every || done == p->job->iterations ? 0
                                                                             : copy_state(p, done);
}

int rg_backup_finish(struct rg_pipeline *p)
{
    return p->backup ? rg_wait(p->w, rg_backup_out(p)) : 0;
}

void rg_backup_cancel(struct rg_pipeline *p)
{
    if (!p->backup)
        return;
    rg_cancel(p->w, &p->backup->out);
    rg_cancel(p->w, &p->backup->in[0]);
    rg_cancel(p->w, &p->backup->in[1]);
}

/* ---- what there is of others ---- */

static size_t parameters_of(const struct rg_ring *ring, int stage)
{
    struct rg_stage layers = rg_ring_stage(ring, stage);
    return rg_stage_parameters(&layers);
}

/* A node's state that lies at `values`, after `done` updates. */
static int visit_state(const struct rg_pipeline *p, int node, int64_t done, float *values,
                       rg_copy_fn visit, void *arg)
{
    const struct rg_optimizer *optimizer = &p->job->optimizer;
    int result = 0;
    for (int s = node; s < p->ring->stages && result == 0; s += p->ring->nodes) {
        struct rg_state_array array = {.name = RG_STATE_PARAMETERS,
                                       .first = rg_network_offset(p->job->network, p->ring->cut[s]),
                                       .count = parameters_of(p->ring, s)};
        for (int slot = 0; array.name && result == 0; slot++) {
            array.values = values;
            result = visit(arg, done, &array);
            values += array.count;
            array.name = rg_optimizer_slot(optimizer->kind, slot);
        }
    }
    return result;
}

int rg_backup_visit(void *pipeline, rg_copy_fn visit, void *arg)
{
    struct rg_pipeline *p = pipeline;
    int before = neighbour(p, -1) % p->ring->nodes, result = 0;
    for (int i = 0; p->backup && p->backup->states && i < p->ring->backup.kept && result == 0; i++) {
        const struct rg_backup_state *state = &p->backup->states[i];
        if (state->own_done >= 0)
            result = visit_state(p, p->node, state->own_done, state->own, visit, arg);
        if (result == 0 && state->copy_done >= 0)
            result = visit_state(p, before, state->copy_done, state->copy, visit, arg);
    }
    return result;
}
