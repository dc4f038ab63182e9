#include "node/outputs.h"

#include "base/check.h"
#include "base/mem.h"
#include "collectives/collectives.h"
#include "models/loss.h"
#include "models/stage.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 32, TAG_ROWS = RG_TAG_USER - 12, TAG_BLOCK };

/* ---- a block through some layers ---- */

static float *room_for(uint64_t floats)
{
    uint64_t bytes = (floats + RG_MEM_ALIGN) / RG_MEM_ALIGN * RG_MEM_ALIGN;
    return bytes <= SIZE_MAX / 8 ? aligned_alloc(RG_MEM_ALIGN, bytes * sizeof(float)) : NULL;
}

static int make_room(struct rg_outputs *o)
{
    int err = rg_block_open(&o->block, o->network, o->parameters, BLOCK);
    return err ? rg_fail(&o->error, err, "out of memory") : 0;
}

struct pass {
    struct rg_outputs *o;
    struct rg_stage layers;
    int n;
};

static void pass_layers(void *arg)
{
    const struct pass *p = arg;
    rg_block_pass(&p->o->block, p->layers.from, p->layers.to, p->n);
}

/* ---- the files ---- */

static const struct rg_layer *last_layer(const struct rg_network *network)
{
    return &network->layers[network->layer_count - 1];
}

/* Is a row of one class, of those that its outputs stand for? */
static bool has_class(const struct rg_network *network)
{
    return network->loss == RG_LOSS_CROSS_ENTROPY &&
           last_layer(network)->outputs == (size_t)last_layer(network)->out.channels;
}

static int open_rows(struct rg_outputs *o, const char *in)
{
    int tokens = o->network->layers[0].spec.vocabulary;
    return rg_own_rows_open(in, o->network->input, tokens, &o->told->scale, &o->rows, &o->error);
}

int rg_outputs_check(struct rg_outputs *o, const char *in)
{
    int err = open_rows(o, in);
    rg_own_rows_close(o->rows);
    o->rows = NULL;
    return err;
}

int rg_outputs_open(struct rg_outputs *o, const char *in, const char *out)
{
    int err = open_rows(o, in);
    if (err == 0)
        err = rg_file_open(&o->file, out, &o->error);
    if (err)
        return err;
    rg_npy_head(o->file.stream, rg_own_rows_count(o->rows), last_layer(o->network)->out);
    if (has_class(o->network))
        o->tally = calloc(last_layer(o->network)->outputs, sizeof *o->tally);
    return o->tally || !has_class(o->network) ? 0
                                              : rg_fail(&o->error, RG_ERR_NOMEM, "out of memory");
}

/* n rows of outputs, from o->block.x. */
static void write_block(struct rg_outputs *o, int n)
{
    size_t outputs = last_layer(o->network)->outputs;
    rg_write_floats(o->file.stream, o->block.x, (size_t)n * outputs);
    for (int i = 0; i < n && o->tally; i++)
        o->tally[rg_most_likely((int)outputs, o->block.x + (size_t)i * outputs)]++;
}

int rg_outputs_commit(struct rg_outputs *o)
{
    return rg_file_commit(&o->file, &o->error);
}

void rg_outputs_tell(const struct rg_outputs *o, FILE *stream)
{
    if (!o->tally)
        return;
    fprintf(stream, "%8s  %s\n", "rows", "most likely");
    for (int c = 0; c < (int)last_layer(o->network)->outputs; c++) {
        char *name = o->tally[c] > 0 ? rg_checkpoint_class(o->told, c) : NULL;
        if (name)
            fprintf(stream, "%8" PRId64 "  %s\n", o->tally[c], name);
        free(name);
    }
}

void rg_outputs_close(struct rg_outputs *o)
{
    rg_own_rows_close(o->rows);
    if (o->file.stream)
        rg_file_abandon(&o->file);
    free(o->tally);
    rg_block_close(&o->block);
    *o = (struct rg_outputs){.error = o->error};
}

/* ---- alone ---- */

/* Samples of block b of so many rows. */
static int samples_of(int64_t rows, int64_t b)
{
    return (int)RG_MIN(rows - b * BLOCK, BLOCK);
}

static int64_t blocks_of(int64_t rows)
{
    return (rows + BLOCK - 1) / BLOCK;
}

int rg_outputs_alone(struct rg_outputs *o)
{
    int64_t rows = rg_own_rows_count(o->rows);
    int err = make_room(o);
    for (int64_t b = 0; b < blocks_of(rows) && err == 0; b++) {
        struct pass pass = {o, {o->network, 0, o->network->layer_count}, samples_of(rows, b)};
        err = rg_own_rows_read(o->rows, pass.n, o->block.x, &o->error);
        if (err == 0) {
            pass_layers(&pass);
            write_block(o, pass.n);
        }
    }
    return err;
}

int rg_outputs_here(const struct rg_network *network, const char *load, const char *in,
                    const char *out, FILE *tell, struct rg_error *e)
{
    struct rg_checkpoint_rows told;
    float *parameters;
    int err = rg_checkpoint_load_rows(load, network, &told, &parameters, e);
    if (err)
        return err;
    struct rg_outputs o = {.network = network, .parameters = parameters, .told = &told};
    err = rg_outputs_open(&o, in, out);
    if (err == 0)
        err = rg_outputs_alone(&o);
    if (err == 0)
        err = rg_outputs_commit(&o);
    if (err == 0 && tell)
        rg_outputs_tell(&o, tell);
    *e = o.error;
    rg_outputs_close(&o);
    rg_checkpoint_rows_free(&told);
    free(parameters);
    return err;
}

/* ---- on nodes ---- */

/* What happens to a block on one node, before it goes to the next: hop k of block b is step b + k
 * of the way. All post what they receive in a step before they do anything else in it, and what is
 * sent in one step is received in the next: no node waits for one that waits for it. */
struct hop {
    int from, to, rank;            /* layers; the last hop has none, and writes */
    size_t inputs;                 /* floats a sample */
    bool posted, sent;             /* requests that are to be ended */
    struct rg_request in, out;     /* from the hop before, and to the next */
    float *in_buffer, *out_buffer; /* of a block */
};

struct way {
    struct rg_world *w;
    struct rg_outputs *o;
    int64_t rows;
    struct hop *hops;
    int count;
};

static struct hop *add_hop(struct way *way, int from, int to, int rank)
{
    const struct rg_network *network = way->o->network;
    struct hop *hop = &way->hops[way->count++];
    size_t inputs =
        from < network->layer_count ? network->layers[from].inputs : last_layer(network)->outputs;
    *hop = (struct hop){.from = from, .to = to, .rank = rank, .inputs = inputs};
    return hop;
}

/* Buffers of this node's hops; for what the next one takes, too. */
static int lay_buffers(struct way *way)
{
    for (int k = 0; k < way->count; k++) {
        struct hop *hop = &way->hops[k];
        if (hop->rank != way->w->rank)
            continue;
        hop->in_buffer = room_for(BLOCK * (uint64_t)hop->inputs);
        if (k + 1 < way->count)
            hop->out_buffer = room_for(BLOCK * (uint64_t)way->hops[k + 1].inputs);
        if (!hop->in_buffer || (k + 1 < way->count && !hop->out_buffer))
            return rg_fail(&way->o->error, RG_ERR_NOMEM, "out of memory");
    }
    return 0;
}

static int lay_way(struct way *way, const struct rg_job *job)
{
    int layers = way->o->network->layer_count;
    way->hops = calloc((size_t)layers + 1, sizeof *way->hops);
    if (!way->hops)
        return rg_fail(&way->o->error, RG_ERR_NOMEM, "out of memory");
    for (int l = 0; l < layers; l++) {
        int rank = job->strategy->holder ? job->strategy->holder(job, l) : 0;
        struct hop *last = way->count > 0 ? &way->hops[way->count - 1] : NULL;
        if (last && last->rank == rank)
            last->to = l + 1;
        else
            add_hop(way, l, l + 1, rank);
    }
    RG_ASSERT(way->hops[0].rank == 0);
    add_hop(way, layers, layers, 0);
    return lay_buffers(way);
}

static bool crosses(const struct way *way, int k)
{
    return way->hops[k].rank != way->hops[k + 1].rank;
}

/* Does this node have something to do with hop k in that step? Then *n: samples. */
static bool has_part(const struct way *way, int k, int64_t step, int *n)
{
    int64_t b = step - k;
    bool there = way->hops[k].rank == way->w->rank && b >= 0 && b < blocks_of(way->rows);
    *n = there ? samples_of(way->rows, b) : 0;
    return there;
}

static int post(struct way *way, int k, int n)
{
    struct hop *hop = &way->hops[k];
    if (k == 0 || !crosses(way, k - 1))
        return 0;
    hop->posted = true;
    return rg_recv(way->w, way->hops[k - 1].rank, TAG_BLOCK, hop->in_buffer,
                   (size_t)n * hop->inputs * sizeof(float), &hop->in);
}

/* Inputs of the hop to o->block.x. */
static int take_in(struct way *way, int k, int n)
{
    struct hop *hop = &way->hops[k];
    if (k == 0)
        return rg_own_rows_read(way->o->rows, n, way->o->block.x, &way->o->error);
    int err = hop->posted ? rg_wait(way->w, &hop->in) : 0;
    hop->posted = false;
    memcpy(way->o->block.x, hop->in_buffer, (size_t)n * hop->inputs * sizeof(float));
    return err;
}

static int end_send(struct way *way, struct hop *hop)
{
    int err = hop->sent ? rg_wait(way->w, &hop->out) : 0;
    hop->sent = false;
    return err;
}

/* o->block.x to the next hop. */
static int pass_on(struct way *way, int k, int n)
{
    struct hop *hop = &way->hops[k], *next = &way->hops[k + 1];
    size_t floats = (size_t)n * next->inputs;
    if (!crosses(way, k)) {
        memcpy(next->in_buffer, way->o->block.x, floats * sizeof(float));
        return 0;
    }
    int err = end_send(way, hop);
    if (err)
        return err;
    memcpy(hop->out_buffer, way->o->block.x, floats * sizeof(float));
    hop->sent = true;
    return rg_send_floats(way->w, next->rank, TAG_BLOCK, hop->out_buffer, floats, &hop->out);
}

static int do_hop(struct way *way, int k, int n, int unit)
{
    const struct hop *hop = &way->hops[k];
    struct pass pass = {way->o, {way->o->network, hop->from, hop->to}, n};
    struct rg_work work = {0};
    int err = take_in(way, k, n);
    if (err == 0 && k + 1 == way->count) {
        write_block(way->o, n);
        return 0;
    }
    if (err)
        return err;
    rg_stage_work(&pass.layers, n, RG_FORWARD, &work);
    err = rg_compute(way->w, &work, "forward", unit, pass_layers, &pass);
    rg_work_free(&work);
    return err ? err : pass_on(way, k, n);
}

/* From the last hop to the first: what stays on the node is taken before it is overwritten. */
static int do_step(struct way *way, int64_t step)
{
    int err = 0, n;
    for (int k = way->count - 1; k >= 0 && err == 0; k--)
        if (has_part(way, k, step, &n))
            err = post(way, k, n);
    for (int k = way->count - 1; k >= 0 && err == 0; k--)
        if (has_part(way, k, step, &n))
            err = do_hop(way, k, n, (int)((step - k) % INT_MAX));
    return err;
}

static void leave_way(struct way *way)
{
    for (int k = 0; k < way->count; k++) {
        struct hop *hop = &way->hops[k];
        if (hop->posted)
            rg_cancel(way->w, &hop->in);
        if (hop->sent)
            rg_cancel(way->w, &hop->out);
        free(hop->in_buffer);
        free(hop->out_buffer);
    }
    free(way->hops);
}

int rg_outputs_ring(struct rg_world *w, const struct rg_job *job, struct rg_outputs *o)
{
    struct way way = {.w = w, .o = o, .rows = w->rank == 0 ? rg_own_rows_count(o->rows) : 0};
    int err =
        rg_broadcast(w, (struct rg_group){0, 1, w->size}, 0, &way.rows, sizeof way.rows, TAG_ROWS);
    if (err == 0)
        err = make_room(o);
    if (err == 0)
        err = lay_way(&way, job);
    int64_t steps = blocks_of(way.rows) + way.count - 1;
    for (int64_t step = 0; step < steps && err == 0; step++) {
        err = do_step(&way, step);
        int stopped = err == 0 ? rg_iteration(w, step) : 0; /* on all nodes behind the same step */
        err = stopped == 1 ? RG_ERR_INTERRUPTED : err ? err : stopped;
    }
    for (int k = 0; k < way.count && err == 0; k++)
        err = end_send(&way, &way.hops[k]);
    leave_way(&way);
    return err;
}
