#include "strategies/replica.h"

#include "base/check.h"
#include "base/sizes.h"
#include "models/loss.h"
#include "models/update.h"
#include "world/shared.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Largest input of any layer: the gradient passed from layer to layer needs no more. */
static size_t widest(const struct rg_stage *stage)
{
    const struct rg_layer *layers = stage->network->layers;
    size_t most = 0;
    for (int l = stage->from; l < stage->to; l++)
        most = RG_MAX(most, RG_MAX(layers[l].inputs, layers[l].outputs));
    return most;
}

static struct rg_stage whole(const struct rg_network *network)
{
    return (struct rg_stage){.network = network, .from = 0, .to = network->layer_count};
}

static struct rg_stage one_layer(const struct rg_network *network, int l)
{
    return (struct rg_stage){.network = network, .from = l, .to = l + 1};
}

/* What a replica allocates, in one place for counting and for allocating. */
struct sizes {
    uint64_t parameters, x, stash, outputs, dx, scratch, logits; /* floats */
    uint64_t targets;                                            /* bytes */
};

static struct sizes sizes_of(const struct rg_job *job, const struct rg_stage *stage, int capacity)
{
    struct rg_targets targets = rg_dataset_targets(job->data);
    uint64_t n = (uint64_t)capacity;
    bool comes_back = stage->from == 0 && stage->to < job->network->layer_count;
    return (struct sizes){.parameters = rg_stage_parameters(stage),
                          .x = n * rg_stage_inputs(stage),
                          .stash = rg_stage_stash(stage, capacity),
                          .outputs = n * rg_stage_outputs(stage),
                          .dx = n * widest(stage),
                          .scratch = rg_stage_scratch(stage, capacity),
                          .logits = comes_back ? n * (uint64_t)job->network->classes : 0,
                          .targets = stage->from == 0 ? n * rg_targets_bytes(&targets) : 0};
}

/* With so many vectors of its parameters. */
static uint64_t memory_with(const struct rg_job *job, const struct rg_stage *stage, int capacity,
                            uint64_t vectors)
{
    struct sizes s = sizes_of(job, stage, capacity);
    uint64_t floats = rg_size_plus(vectors * s.parameters + s.x + s.outputs + 2 * s.dx + s.logits,
                                   rg_size_plus(s.stash, s.scratch));
    return rg_size_plus(rg_size_times(floats, sizeof(float)), s.targets);
}

static uint64_t memory_of_all(const struct rg_job *job, int capacity, uint64_t vectors)
{
    const struct rg_stage stage = whole(job->network);
    return memory_with(job, &stage, capacity, vectors);
}

uint64_t rg_replica_memory_empty(const struct rg_job *job, int capacity)
{
    return memory_of_all(job, capacity, 0);
}

uint64_t rg_replica_memory_bare(const struct rg_job *job, int capacity)
{
    return memory_of_all(job, capacity, 1);
}

uint64_t rg_replica_memory(const struct rg_job *job, int capacity)
{
    return memory_of_all(job, capacity, 2);
}

uint64_t rg_replica_memory_stage(const struct rg_job *job, const struct rg_stage *stage,
                                 int capacity)
{
    return memory_with(job, stage, capacity, 2);
}

/* Lists are shared by stage and samples: layers are at most 10,000. */
static int64_t number_of(const struct rg_stage *stage, int n)
{
    RG_ASSERT(stage->to < 1 << 14);
    return (int64_t)stage->to << 45 | (int64_t)stage->from << 31 | n;
}

static struct rg_stage stage_of(const struct rg_job *job, int64_t number)
{
    return (struct rg_stage){
        .network = job->network, .from = (int)(number >> 31 & 0x3fff), .to = (int)(number >> 45)};
}

static int make_layers(struct rg_layer_works *works, const struct rg_stage *stage, int n,
                       enum rg_pass pass)
{
    size_t layers = (size_t)(stage->to - stage->from);
    works->at = calloc(layers + 1, sizeof *works->at);
    works->known = calloc(layers * RG_KNOWN_BOARDS, sizeof *works->known);
    if (!works->at || !works->known)
        return RG_ERR_NOMEM;
    for (int l = stage->from; l < stage->to; l++) {
        struct rg_stage layer = one_layer(stage->network, l);
        rg_stage_work(&layer, n, pass, &works->all);
        works->at[l - stage->from + 1] = works->all.count;
    }
    rg_work_keep_seconds(&works->all);
    return 0;
}

/* A layer's piece of the list, which stays the list's. */
static struct rg_work work_of(const struct rg_replica *r, const struct rg_layer_works *works, int l)
{
    l -= r->stage.from;
    return (struct rg_work){.cost = works->all.cost + works->at[l],
                            .count = works->at[l + 1] - works->at[l],
                            .known = works->known + (size_t)l * RG_KNOWN_BOARDS};
}

static int make_work(void *object, const void *of, int64_t number)
{
    struct rg_replica_work *work = object;
    const struct rg_job *job = of;
    const struct rg_targets targets = rg_dataset_targets(job->data);
    const struct rg_stage stage = stage_of(job, number);
    work->n = (int)(number & INT_MAX);
    rg_dataset_gather_work(rg_stage_inputs(&stage), work->n, &work->load);
    rg_loss_work(&targets, work->n, &work->loss);
    rg_work_keep_seconds(&work->load);
    rg_work_keep_seconds(&work->loss);
    int result = make_layers(&work->forward, &stage, work->n, RG_FORWARD);
    return result ? result : make_layers(&work->backward, &stage, work->n, RG_BACKWARD);
}

static void clear_layers(struct rg_layer_works *works)
{
    rg_work_free(&works->all);
    free(works->at);
    free(works->known);
}

static void clear_work(void *object)
{
    struct rg_replica_work *work = object;
    rg_work_free(&work->load);
    rg_work_free(&work->loss);
    clear_layers(&work->forward);
    clear_layers(&work->backward);
}

static const struct rg_shared_kind work_kind = {
    .bytes = sizeof(struct rg_replica_work), .make = make_work, .clear = clear_work};

static int make_sizes(void *object, const void *of, int64_t number)
{
    const struct rg_job *job = of;
    const struct rg_stage stage = stage_of(job, number);
    *(struct sizes *)object = sizes_of(job, &stage, (int)(number & INT_MAX));
    return 0;
}

static const struct rg_shared_kind sizes_kind = {.bytes = sizeof(struct sizes), .make = make_sizes};

static int open_room(struct rg_replica *r, struct rg_world *w, const struct rg_job *job,
                     const struct rg_stage *stage, int capacity)
{
    *r = (struct rg_replica){
        .w = w, .job = job, .stage = *stage, .capacity = capacity, .mean_of = job->batch};
    r->sizes = rg_shared_take(w, &sizes_kind, job, number_of(stage, capacity));
    if (!r->sizes)
        return RG_ERR_NOMEM;
    const struct sizes s = *(const struct sizes *)r->sizes;
    r->x = rg_mem_floats(w->mem, s.x);
    r->stash = rg_mem_floats(w->mem, s.stash);
    r->dy = rg_mem_floats(w->mem, s.outputs);
    r->dx[0] = rg_mem_floats(w->mem, s.dx);
    r->dx[1] = rg_mem_floats(w->mem, s.dx);
    r->scratch = rg_mem_floats(w->mem, s.scratch);
    r->targets = rg_mem_alloc(w->mem, s.targets, 0);
    if (s.logits > 0 && !(r->logits = rg_mem_floats(w->mem, s.logits)))
        return RG_ERR_NOMEM;
    if (!r->x || !r->stash || !r->dy || !r->dx[0] || !r->dx[1] || !r->scratch || !r->targets)
        return RG_ERR_NOMEM;
    return stage->from == 0 ? rg_feed_open(&r->feed, w, job, 1) : 0;
}

int rg_replica_open_empty(struct rg_replica *r, struct rg_world *w, const struct rg_job *job,
                          int capacity)
{
    const struct rg_stage stage = whole(job->network);
    return open_room(r, w, job, &stage, capacity);
}

float *rg_replica_vector(const struct rg_replica *r)
{
    size_t offset = rg_network_offset(r->job->network, r->stage.from);
    return rg_mem_alloc(r->w->mem, sizeof(float) * rg_stage_parameters(&r->stage),
                        offset * sizeof(float) % RG_MEM_ALIGN);
}

int rg_replica_open_stage(struct rg_replica *r, struct rg_world *w, const struct rg_job *job,
                          const struct rg_stage *stage, int capacity)
{
    int result = open_room(r, w, job, stage, capacity);
    if (result)
        return result;
    r->parameters_first = r->gradient_first = rg_network_offset(job->network, stage->from);
    r->parameters = rg_replica_vector(r);
    r->gradient = rg_replica_vector(r);
    return r->parameters && r->gradient ? 0 : RG_ERR_NOMEM;
}

int rg_initial_parameters(const struct rg_job *job, const float *initial, const float **whole,
                          float **drawn)
{
    const struct rg_network *network = job->network;
    *whole = initial;
    *drawn = NULL;
    if (initial)
        return 0;
    *whole = *drawn = calloc(network->parameters, sizeof **drawn);
    return *drawn ? rg_network_init(network, 0, network->layer_count, job->seed, *drawn)
                  : RG_ERR_NOMEM;
}

int rg_replica_open_bare(struct rg_replica *r, struct rg_world *w, const struct rg_job *job,
                         int capacity, const float *initial, struct rg_twins *twins)
{
    uint64_t bytes = rg_size_times(job->network->parameters, sizeof *r->parameters);
    int result = rg_replica_open_empty(r, w, job, capacity);
    if (result == 0)
        r->parameters = rg_twins_alloc(twins, w, RG_TWIN_PARAMETERS, bytes, 0);
    if (result == 0 && !r->parameters)
        return RG_ERR_NOMEM;
    if (result || !job->numerics || !rg_twins_first(twins, RG_TWINS_BEGIN, 1))
        return result;
    if (!initial)
        return rg_network_init(job->network, 0, job->network->layer_count, job->seed,
                               r->parameters);
    memcpy(r->parameters, initial, job->network->parameters * sizeof *initial);
    return 0;
}

int rg_replica_open(struct rg_replica *r, struct rg_world *w, const struct rg_job *job,
                    int capacity, const float *initial, struct rg_twins *twins)
{
    int result = rg_replica_open_bare(r, w, job, capacity, initial, twins);
    if (result == 0)
        r->gradient = rg_mem_floats(w->mem, job->network->parameters);
    return result == 0 && !r->gradient ? RG_ERR_NOMEM : result;
}

void rg_replica_close(struct rg_replica *r)
{
    rg_shared_drop(r->work[0]);
    rg_shared_drop(r->work[1]);
    rg_shared_drop(r->sizes);
    r->work[0] = r->work[1] = NULL;
    r->sizes = NULL;
}

struct pass {
    struct rg_replica *r;
    int64_t iteration;
    int first, n, layer;
    bool accumulate;
};

static void do_load(void *arg)
{
    struct pass *p = arg;
    rg_feed_gather(&p->r->feed, p->iteration, p->first, p->n, p->r->x, p->r->targets);
}

/* What all passes over the samples that have been gathered share. */
static struct rg_pass_args args_of(const struct rg_replica *r)
{
    return (struct rg_pass_args){.batch = r->now->n,
                                 .mean_of = r->mean_of,
                                 .seed = r->job->seed,
                                 .iteration = r->iteration,
                                 .first = r->first,
                                 .scratch = r->scratch};
}

static void do_forward(void *arg)
{
    struct pass *p = arg;
    struct rg_replica *r = p->r;
    struct rg_pass_args args = args_of(r);
    args.w = r->parameters;
    args.x = r->x;
    args.stash = r->stash;
    rg_stage_forward(&r->stage, &args);
}

static void do_loss(void *arg)
{
    struct pass *p = arg;
    struct rg_replica *r = p->r;
    struct rg_targets targets = rg_dataset_targets(r->job->data);
    int64_t correct = 0;
    r->loss = rg_loss(&targets, p->n, r->logits ? r->logits : rg_replica_outputs(r), r->targets,
                      1.0f / (float)r->mean_of, r->logits ? r->logits : r->dy, &correct);
}

int rg_replica_begin(struct rg_replica *r, int64_t iteration, int first, int n)
{
    RG_ASSERT(n == r->capacity || n == r->capacity - 1);
    struct rg_replica_work **work = &r->work[r->capacity - n];
    if (!*work && !(*work = rg_shared_take(r->w, &work_kind, r->job, number_of(&r->stage, n))))
        return RG_ERR_NOMEM;
    r->now = *work;
    r->iteration = iteration;
    r->first = first;
    return 0;
}

int rg_replica_load(struct rg_replica *r, int64_t iteration, int first, int n, int unit)
{
    int result = rg_replica_begin(r, iteration, first, n);
    if (result)
        return result;
    struct pass pass = {.r = r, .iteration = iteration, .first = first, .n = n};
    return rg_compute(r->w, &r->now->load, "load", unit, do_load, &pass);
}

int rg_replica_loss(struct rg_replica *r, int unit)
{
    struct pass pass = {.r = r, .n = r->now->n};
    return rg_compute(r->w, &r->now->loss, "loss", unit, do_loss, &pass);
}

int rg_replica_forward(struct rg_replica *r, int64_t iteration, int first, int n, int unit)
{
    int result = rg_replica_load(r, iteration, first, n, unit);
    if (result == 0)
        result = rg_replica_forward_stage(r, unit);
    return result ? result : rg_replica_loss(r, unit);
}

int rg_replica_forward_stage(struct rg_replica *r, int unit)
{
    struct pass pass = {.r = r, .n = r->now->n};
    return rg_compute(r->w, &r->now->forward.all, "F", unit, do_forward, &pass);
}

float *rg_replica_outputs(struct rg_replica *r)
{
    return rg_stage_output(&r->stage, r->now->n, r->stash);
}

float *rg_replica_inputs_gradient(struct rg_replica *r)
{
    return r->dx[r->stage.from % 2];
}

/* The stash of a batch of n holds, layer by layer, the layer's own stash and then its output (see
 * rg_stage_stash); one that ends before layer l ends where layer l's part begins. */
static float *stash_of(struct rg_replica *r, int l)
{
    struct rg_stage before = {.network = r->job->network, .from = r->stage.from, .to = l};
    return r->stash + (l > before.from ? rg_stage_stash(&before, r->now->n) : 0);
}

static const float *input_of(struct rg_replica *r, int l)
{
    struct rg_stage before = {.network = r->job->network, .from = r->stage.from, .to = l};
    return l > before.from ? rg_stage_output(&before, r->now->n, r->stash) : r->x;
}

static void do_forward_layer(void *arg)
{
    struct pass *p = arg;
    struct rg_replica *r = p->r;
    struct rg_stage layer = one_layer(r->job->network, p->layer);
    size_t at = rg_network_offset(r->job->network, p->layer);
    struct rg_pass_args args = args_of(r);
    args.w = r->parameters + (at - r->parameters_first);
    args.x = input_of(r, p->layer);
    args.stash = stash_of(r, p->layer);
    rg_stage_forward(&layer, &args);
}

int rg_replica_forward_layer(struct rg_replica *r, int l, int unit)
{
    struct pass pass = {.r = r, .n = r->now->n, .layer = l};
    struct rg_work work = work_of(r, &r->now->forward, l);
    return rg_compute(r->w, &work, "F", unit, do_forward_layer, &pass);
}

static void do_backward(void *arg)
{
    struct pass *p = arg;
    struct rg_replica *r = p->r;
    int l = p->layer, last = r->stage.to - 1;
    struct rg_stage layer = one_layer(r->job->network, l);
    size_t at = rg_network_offset(r->job->network, l);
    float *dy = l == last ? r->dy : r->dx[(l + 1) % 2], *dx = l > 0 ? r->dx[l % 2] : NULL;
    float *w = r->parameters + (at - r->parameters_first);
    struct rg_pass_args args = args_of(r);
    args.w = w;
    args.x = input_of(r, l);
    args.stash = stash_of(r, l);
    args.dy = dy;
    args.dx = dx;
    args.dw = r->gradient + (at - r->gradient_first);
    args.accumulate = p->accumulate && !r->fused;
    if (r->fused) {
        args.update = w;
        args.rate = rg_optimizer_rate(&r->job->optimizer, r->iteration + 1);
    }
    rg_stage_backward(&layer, &args);
}

int rg_replica_backward_layer(struct rg_replica *r, int l, bool accumulate, int unit)
{
    struct pass pass = {.r = r, .n = r->now->n, .layer = l, .accumulate = accumulate};
    struct rg_work work = work_of(r, &r->now->backward, l);
    return rg_compute(r->w, &work, "B", unit, do_backward, &pass);
}

int rg_replica_backward(struct rg_replica *r, bool accumulate, int unit)
{
    int result = 0;
    for (int l = r->stage.to - 1; l >= r->stage.from && result == 0; l--)
        result = rg_replica_backward_layer(r, l, accumulate, unit);
    return result;
}

double rg_replica_forward_s(const struct rg_job *job, const struct rg_board *board, int n)
{
    struct rg_stage stage = whole(job->network);
    struct rg_targets targets = rg_dataset_targets(job->data);
    struct rg_work work = {0};
    rg_dataset_gather_work(rg_stage_inputs(&stage), n, &work);
    rg_stage_work(&stage, n, RG_FORWARD, &work);
    rg_loss_work(&targets, n, &work);
    double seconds = rg_board_seconds(board, &work, job->threads);
    rg_work_free(&work);
    return seconds;
}

static double layer_s(const struct rg_job *job, const struct rg_board *board, int n, int l,
                      enum rg_pass pass)
{
    struct rg_stage layer = one_layer(job->network, l);
    struct rg_work work = {0};
    rg_stage_work(&layer, n, pass, &work);
    double seconds = rg_board_seconds(board, &work, job->threads);
    rg_work_free(&work);
    return seconds;
}

double rg_replica_forward_layer_s(const struct rg_job *job, const struct rg_board *board, int n,
                                  int l)
{
    return layer_s(job, board, n, l, RG_FORWARD);
}

double rg_replica_backward_s(const struct rg_job *job, const struct rg_board *board, int n, int l)
{
    return layer_s(job, board, n, l, RG_BACKWARD);
}

double rg_replica_pass_s(const struct rg_job *job, const struct rg_board *board, int n)
{
    double seconds = rg_replica_forward_s(job, board, n);
    for (int l = 0; l < job->network->layer_count; l++)
        seconds += rg_replica_backward_s(job, board, n, l);
    return seconds;
}

/* Loading and loss are the first stage's. */
double rg_replica_pass_stage_s(const struct rg_job *job, const struct rg_stage *stage,
                               const struct rg_board *board, int n)
{
    struct rg_targets targets = rg_dataset_targets(job->data);
    struct rg_work work = {0};
    if (stage->from == 0) {
        rg_dataset_gather_work(rg_stage_inputs(stage), n, &work);
        rg_loss_work(&targets, n, &work);
    }
    rg_stage_work(stage, n, RG_FORWARD, &work);
    rg_stage_work(stage, n, RG_BACKWARD, &work);
    double seconds = rg_board_seconds(board, &work, job->threads);
    rg_work_free(&work);
    return seconds;
}

double rg_vector_s(const struct rg_job *job, const struct rg_board *board,
                   void (*of)(size_t n, struct rg_work *work), size_t n)
{
    struct rg_work work = {0};
    of(n, &work);
    double seconds = rg_board_seconds(board, &work, job->threads);
    rg_work_free(&work);
    return seconds;
}

bool rg_update_is_fusible(const struct rg_job *job)
{
    const struct rg_optimizer *o = &job->optimizer;
    return o->kind == RG_SGD && o->clip == 0 && o->l1 == 0 && o->l2 == 0;
}

uint64_t rg_update_memory(const struct rg_job *job, size_t count)
{
    return sizeof(float) * (uint64_t)rg_optimizer_state(&job->optimizer, count);
}

int rg_update_open(struct rg_update *update, struct rg_world *w, const struct rg_job *job,
                   const struct rg_optimizer *optimizer, size_t first, size_t count,
                   struct rg_twins *twins)
{
    *update = (struct rg_update){.optimizer = *optimizer,
                                 .network = job->network,
                                 .first = first,
                                 .count = count,
                                 .twins = twins};
    uint64_t bytes = rg_size_times(rg_optimizer_state(optimizer, count), sizeof *update->state);
    rg_update_work(optimizer, first, count, &update->work);
    rg_work_keep_seconds(&update->work);
    update->state = rg_twins_alloc(twins, w, RG_TWIN_STATE, bytes, 0);
    return update->state ? 0 : RG_ERR_NOMEM;
}

void rg_update_close(struct rg_update *update)
{
    rg_work_free(&update->work);
}

struct step {
    struct rg_update *update;
    int64_t step;
    float *parameters, *gradient;
};

static void do_step(void *arg)
{
    const struct step *s = arg;
    const struct rg_update *update = s->update;
    rg_network_step(update->network, &update->optimizer, s->step, update->first, update->count,
                    s->parameters, s->gradient, update->state);
}

int rg_update_run(struct rg_update *update, struct rg_world *w, int64_t step, float *parameters,
                  float *gradient)
{
    struct step s = {update, step, parameters, gradient};
    return rg_twins_compute(update->twins, w, RG_TWINS_STEP, step, &update->work, "step", (int)step,
                            gradient ? do_step : NULL, &s);
}

void rg_update_finish(struct rg_update *update, int64_t step, float *parameters, float *gradient)
{
    struct step s = {update, step, parameters, gradient};
    do_step(&s);
}

int rg_visit_parameters(float *parameters, size_t first, size_t count, rg_state_fn visit, void *arg)
{
    return visit(arg, &(struct rg_state_array){.name = RG_STATE_PARAMETERS,
                                               .first = first,
                                               .count = count,
                                               .values = parameters});
}

int rg_visit_update(const struct rg_update *update, bool own, rg_state_fn visit, void *arg)
{
    const char *name;
    int result = 0;
    for (size_t slot = 0;
         result == 0 && (name = rg_optimizer_slot(update->optimizer.kind, (int)slot)); slot++)
        result =
            visit(arg, &(struct rg_state_array){.name = name,
                                                .first = update->first,
                                                .count = update->count,
                                                .own = own,
                                                .values = update->state + slot * update->count});
    return result;
}

/* The step itself is the last of its kernels; clipping comes before it. */
void rg_update_work(const struct rg_optimizer *optimizer, size_t first, size_t count,
                    struct rg_work *work)
{
    rg_optimizer_work(optimizer, count, work);
    rg_work_part(work, work->count - 1,
                 (struct rg_part){.kind = RG_PART_UPDATE, .first = first, .count = count});
}

double rg_update_s(const struct rg_job *job, const struct rg_board *board, size_t first,
                   size_t count)
{
    struct rg_work work = {0};
    rg_update_work(&job->optimizer, first, count, &work);
    double seconds = rg_board_seconds(board, &work, job->threads);
    rg_work_free(&work);
    return seconds;
}

/* One piece of rg_stream_parameters: inside a layer. */
static int stream_piece(struct rg_world *w, size_t at, size_t count, int owner, const float *values,
                        float *room, rg_visit_fn visit, void *arg)
{
    const uint32_t tag = RG_TAG_USER - 1;
    if (w->rank == owner && owner == 0)
        return visit(arg, at, values, count);
    if (w->rank == owner) {
        return rg_send_wait(w, 0, tag, values, count * sizeof *values);
    }
    int result = rg_recv_wait(w, owner, tag, room, count * sizeof *room);
    return result ? result : visit(arg, at, room, count);
}

int rg_stream_parameters(struct rg_world *w, const struct rg_network *network, size_t first,
                         size_t count, int owner, const float *values, rg_visit_fn visit, void *arg)
{
    if (w->rank != owner && w->rank != 0)
        return 0;
    size_t most = 0;
    for (int l = 0; l < network->layer_count; l++)
        most = RG_MAX(most, network->layers[l].parameters);
    float *room = w->rank != owner ? malloc(sizeof *room * (most + 1)) : NULL;
    if (w->rank != owner && !room)
        return RG_ERR_NOMEM;
    int result = 0;
    for (int l = 0; l < network->layer_count && result == 0; l++) {
        size_t begin = RG_MAX(first, rg_network_offset(network, l));
        size_t end = RG_MIN(first + count, rg_network_offset(network, l + 1));
        if (begin < end)
            result = stream_piece(w, begin, end - begin, owner, values + (begin - first), room,
                                  visit, arg);
    }
    free(room);
    return result;
}

int rg_visit_copy(void *copying, const struct rg_state_array *array)
{
    const struct rg_copying *c = copying;
    return c->visit(c->arg, c->done, array);
}
