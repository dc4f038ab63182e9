/* Checkpoints: what all ranks go on from is gathered on rank 0 while the clock stands, and written
 * there by a thread while training goes on; a run that goes on from one begins the other way round.
 *
 * Every rank visits the arrays of its strategy (strategy.h) and offers them to rank 0 one by one,
 * which takes what it has not yet: of ranges that several have alike, one copy travels.
 *
 * Failure modes handled: a checkpoint that cannot be written, or not be put together for want of
 * memory, or that is not finite (training goes on, and the result says so); a disk so slow that the
 * last one is still being written (the next is put off); errors of the world. */
#include "node/node_parts.h"

#include "base/check.h"
#include "base/clock.h"
#include "collectives/collectives.h"
#include "study/saving.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* An array of a rank, the same on every ABI; without a name: there are no more. */
enum { SHARED, OWN, LASTING };
struct offer {
    uint64_t first, count, own;
    char name[40];
};
_Static_assert(sizeof(struct offer) == RG_OFFER_BYTES, "offers have no padding");
_Static_assert(sizeof(uint64_t) == RG_ANSWER_BYTES, "an answer is a number");

static struct offer offer_of(const struct rg_state_array *array)
{
    struct offer offer = {array->first, array->count,
                          array->lasting ? LASTING
                          : array->own   ? OWN
                                         : SHARED,
                          ""};
    rg_copy_text(offer.name, sizeof offer.name, array->name);
    return offer;
}

/* ---- ranks above 0 ---- */

struct carrying {
    struct node *n;
    bool taking; /* a run goes on: values come from rank 0 */
};

static int carry(void *arg, const struct rg_state_array *array)
{
    const struct carrying *c = arg;
    struct rg_world *w = c->n->w;
    struct offer offer = offer_of(array);
    size_t bytes = array->count * sizeof *array->values;
    uint64_t wanted = 0;
    int result = rg_send_wait(w, 0, TAG_OFFER, &offer, sizeof offer);
    if (result == 0)
        result = rg_recv_wait(w, 0, TAG_WANTED, &wanted, sizeof wanted);
    if (result || !wanted)
        return result;
    return c->taking ? rg_recv_wait(w, 0, TAG_VALUES, array->values, bytes)
                     : rg_send_wait(w, 0, TAG_VALUES, array->values, bytes);
}

static int carry_all(struct node *n, bool taking)
{
    struct carrying c = {n, taking};
    const struct offer end = {.name = ""};
    int result = n->job->strategy->state(n->state, n->done, carry, &c);
    return result ? result : rg_send_wait(n->w, 0, TAG_OFFER, &end, sizeof end);
}

/* ---- rank 0 ---- */

/* A range of the network that has been taken. */
struct covered {
    char name[40];
    uint64_t first, count;
};

struct gathering {
    struct rg_training_state *state;
    struct covered *covered; /* [count] */
    int count;
    bool failed;       /* no memory */
    double modelled_s; /* that it takes on the boards... */
    double copying_s;  /* ... of that in rank 0's memory */
    uint64_t bytes;    /* taken */
};

/* Is the run one without numerics, of which there is nothing to keep? */
static bool is_hollow(const struct node *n)
{
    return !n->job->numerics && (n->options->noted || n->resume);
}

/* So many bytes, of which none can be touched; NULL: no memory. */
static void *nowhere(struct node *n, uint64_t bytes)
{
    if (!n->keeping.nowhere)
        n->keeping.nowhere = rg_mem_new(RG_MEM_VIRTUAL);
    return n->keeping.nowhere ? rg_mem_alloc(n->keeping.nowhere, bytes, 0) : NULL;
}

static bool is_covered(const struct gathering *g, const struct offer *offer)
{
    for (int i = 0; i < g->count; i++)
        if (strcmp(g->covered[i].name, offer->name) == 0 && g->covered[i].first <= offer->first &&
            offer->first + offer->count <= g->covered[i].first + g->covered[i].count)
            return true;
    return false;
}

static bool cover(struct gathering *g, const struct offer *offer)
{
    struct covered *more = realloc(g->covered, ((size_t)g->count + 1) * sizeof *more);
    if (!more)
        return false;
    g->covered = more;
    more[g->count] = (struct covered){.first = offer->first, .count = offer->count};
    memcpy(more[g->count++].name, offer->name, sizeof offer->name);
    return true;
}

/* Where the values of a rank go; NULL: they are not wanted. */
static float *room_for(struct node *n, struct gathering *g, int rank, const struct offer *offer)
{
    const struct rg_network *network = n->job->network;
    bool own = offer->own;
    if (g->failed || (!own && is_covered(g, offer)))
        return NULL;
    g->bytes += offer->count * sizeof(float);
    if (is_hollow(n)) {
        float *room = nowhere(n, offer->count * sizeof *room);
        g->failed = !room || (!own && !cover(g, offer));
        return g->failed ? NULL : room;
    }
    struct rg_training_array *array =
        own ? NULL : rg_training_array(g->state, offer->name, false, 0, 0);
    if (!array)
        array = rg_training_array_add(g->state, offer->name, own ? rank : -1,
                                      own ? (size_t)offer->first : 0,
                                      own ? (size_t)offer->count : network->parameters);
    g->failed = !array || (!own && !cover(g, offer));
    if (g->failed)
        return NULL;
    return array->values + (own ? 0 : offer->first);
}

/* What the run that goes on gives a rank; NULL: nothing. */
static const float *values_for(struct node *n, int rank, const struct offer *offer)
{
    const struct rg_training_state *from = n->resume;
    if (offer->own == OWN && !n->keeping.same)
        return NULL;
    if (from->hollow)
        return nowhere(n, offer->count * sizeof(float));
    const struct rg_training_array *array =
        rg_training_array(from, offer->name, offer->own, rank, (size_t)offer->first);
    if (!array || (offer->own && array->count != offer->count))
        return NULL;
    n->keeping.own_taken += offer->own != SHARED;
    return array->values + (offer->own ? 0 : offer->first);
}

struct serving {
    struct node *n;
    struct gathering *gathering; /* NULL: a run goes on */
};

/* Rank 0's own arrays. */
static int serve_self(void *arg, const struct rg_state_array *array)
{
    const struct serving *s = arg;
    struct offer offer = offer_of(array);
    size_t bytes = array->count * sizeof *array->values;
    if (s->gathering) {
        float *to = room_for(s->n, s->gathering, 0, &offer);
        if (to && !is_hollow(s->n))
            memcpy(to, array->values, bytes);
        double copying_s = to ? rg_saving_copy_s(s->n->job->boards[0], bytes) : 0;
        s->gathering->copying_s += copying_s;
        s->gathering->modelled_s += copying_s;
    } else {
        const float *from = values_for(s->n, 0, &offer);
        if (from && !is_hollow(s->n))
            memcpy(array->values, from, bytes);
    }
    return 0;
}

static bool is_within(const struct node *n, const struct offer *offer)
{
    uint64_t most = n->job->network->parameters;
    return offer->first <= most && offer->count <= most - offer->first &&
           memchr(offer->name, '\0', sizeof offer->name);
}

static int serve_one(const struct serving *s, int rank, const struct offer *offer)
{
    struct rg_world *w = s->n->w;
    size_t bytes = (size_t)offer->count * sizeof(float);
    float *to = NULL;
    const float *from = NULL;
    if (!is_within(s->n, offer))
        return RG_ERR_PROTOCOL;
    if (s->gathering) {
        const struct rg_board *const *boards = s->n->job->boards;
        to = room_for(s->n, s->gathering, rank, offer);
        s->gathering->modelled_s += rg_saving_fetch_s(boards[rank], boards[0], to ? bytes : 0);
    } else {
        from = values_for(s->n, rank, offer);
    }
    uint64_t wanted = to || from;
    int result = rg_send_wait(w, rank, TAG_WANTED, &wanted, sizeof wanted);
    if (result || !wanted)
        return result;
    return to ? rg_recv_wait(w, rank, TAG_VALUES, to, bytes)
              : rg_send_wait(w, rank, TAG_VALUES, from, bytes);
}

static int serve_all(struct node *n, struct gathering *gathering)
{
    struct serving s = {n, gathering};
    struct offer offer;
    int result = n->job->strategy->state(n->state, n->done, serve_self, &s);
    for (int rank = 1; rank < n->w->size && result == 0; rank++) {
        while ((result = rg_recv_wait(n->w, rank, TAG_OFFER, &offer, sizeof offer)) == 0 &&
               offer.name[0])
            if ((result = serve_one(&s, rank, &offer)) != 0)
                return result;
        if (gathering) /* it has no more */
            gathering->modelled_s +=
                rg_board_hop_to_s(n->job->boards[rank], n->job->boards[0], sizeof offer);
    }
    return result;
}

/* Where the clock is not virtual, what takes time costs it. */
static bool is_real(const struct node *n)
{
    return n->w->ops->day != NULL;
}

/* ---- the file, written while training goes on ---- */

enum { FAILURES_TOLD = 100 };

struct writer {
    pthread_t thread;
    bool threaded;
    atomic_bool over;
    struct rg_training_state state;
    const struct rg_network *network;
    const char *folder;
    int64_t previous;
    uint64_t bytes;
    double took_s;
    struct rg_error e;
};

static void *write_it(void *arg)
{
    struct writer *writer = arg;
    double begin_s = rg_clock_s();
    rg_training_write(&writer->state, writer->network, writer->folder, writer->previous,
                      &writer->bytes, &writer->e);
    writer->took_s = rg_clock_s() - begin_s;
    atomic_store(&writer->over, true);
    return NULL;
}

/* The list may be cut short; the number is not. */
static void note_failure(struct node *n, int64_t iterations, const char *why)
{
    struct rg_run_checkpoints *told = &n->run->checkpoints;
    struct rg_run_lost_checkpoint *list = NULL;
    told->failed++;
    rg_copy_text(told->error, sizeof told->error, why);
    if (told->lost_count < FAILURES_TOLD)
        list = realloc(told->lost, ((size_t)told->lost_count + 1) * sizeof *list);
    if (!list)
        return;
    told->lost = list;
    struct rg_run_lost_checkpoint *at = &list[told->lost_count++];
    *at = (struct rg_run_lost_checkpoint){.iteration = iterations};
    rg_copy_text(at->why, sizeof at->why, why);
}

/* The last one is on the disk, or has failed. */
static void end_writing(struct node *n)
{
    struct writer *writer = n->keeping.writer;
    struct rg_run_checkpoints *told = &n->run->checkpoints;
    if (!writer)
        return;
    if (writer->threaded)
        pthread_join(writer->thread, NULL);
    if (is_real(n))
        told->writing_s += writer->took_s;
    if (writer->e.code) {
        note_failure(n, writer->state.iterations, writer->e.text);
    } else {
        n->keeping.on_disk = told->iteration = writer->state.iterations;
        told->written++;
        told->bytes = writer->bytes;
        told->time_s = writer->state.time_s;
    }
    rg_training_state_free(&writer->state);
    free(writer);
    n->keeping.writer = NULL;
}

/* By the datasheet of rank 0's card, where time is simulated. */
static void model_writing(struct node *n, uint64_t bytes)
{
    double writing_s = rg_saving_write_s(n->job->boards[0], bytes);
    if (is_real(n))
        return;
    n->run->checkpoints.writing_s += writing_s;
    n->keeping.written_s = n->time_s + (writing_s > 0 ? writing_s : 0);
}

static bool is_writing(const struct node *n)
{
    return is_real(n) ? n->keeping.writer && !atomic_load(&n->keeping.writer->over)
                      : n->time_s < n->keeping.written_s;
}

/* What the next attempt has to wait for. */
static void note_facts(struct node *n, const struct rg_training_state *state)
{
    struct rg_training_state *kept = n->options->noted;
    const struct rg_attempts *a = n->options->attempts;
    if (!kept)
        return;
    double now = n->w->ops->now(n->w) - (a ? a->origin_s : 0);
    rg_training_state_free(&kept[1]);
    kept[1] = kept[0];
    kept[0] = *state;
    kept[0].written_s = now + n->keeping.written_s - n->time_s;
}

/* What would be on the card, once it is written. */
static void note_hollow(struct node *n, struct rg_training_state *state)
{
    struct rg_run_checkpoints *told = &n->run->checkpoints;
    model_writing(n, state->bytes);
    state->hollow = true;
    told->bytes = state->bytes;
    told->iteration = state->iterations;
    told->written++;
    told->time_s = state->time_s;
    note_facts(n, state);
}

static void begin_writing(struct node *n, struct rg_training_state *state)
{
    struct writer *writer = calloc(1, sizeof *writer);
    if (!writer) {
        note_failure(n, n->done, "out of memory");
        rg_training_state_free(state);
        return;
    }
    const struct rg_training_state facts = {.iterations = state->iterations, .bytes = state->bytes};
    model_writing(n, state->bytes);
    note_facts(n, &facts);
    *writer = (struct writer){.state = *state,
                              .network = n->job->network,
                              .folder = n->options->checkpoint,
                              .previous = n->keeping.on_disk};
    n->keeping.writer = writer;
    /* where time is virtual none passes: a node that dies leaves no thread behind */
    writer->threaded = is_real(n) && pthread_create(&writer->thread, NULL, write_it, writer) == 0;
    if (!writer->threaded)
        write_it(writer);
}

/* ---- when ---- */

static bool whole_epochs(const struct rg_job *job)
{
    return job->strategy->whole_epochs && job->strategy->whole_epochs(job);
}

/* Rank 0: how far the next section goes, at most to the end of the epoch. After so many seconds: by
 * the pace so far, beginning with one iteration. */
static int64_t section_end(const struct node *n)
{
    const struct rg_every *every = &n->options->every;
    int64_t per_epoch = n->job->iterations_per_epoch, trained = n->done - n->keeping.begun;
    int64_t end = RG_MIN((n->done / per_epoch + 1) * per_epoch, n->job->iterations);
    if (whole_epochs(n->job) || every->epochs > 0)
        return end;
    if (every->iterations > 0)
        return RG_MIN(end, (n->done / every->iterations + 1) * every->iterations);
    if (trained == 0)
        return RG_MIN(end, n->done + 1);
    double left_s = every->seconds - (n->time_s - n->keeping.last_s);
    double steps = ceil(left_s / (n->time_s / (double)trained));
    return steps < (double)(end - n->done) ? n->done + RG_MAX((int64_t)steps, 1) : end;
}

/* Rank 0. What has diverged is no state to go on from. */
static bool is_due(const struct node *n, bool last)
{
    const struct rg_every *every = &n->options->every;
    int64_t per_epoch = n->job->iterations_per_epoch, before = n->keeping.last;
    bool epoch_over = n->done % per_epoch == 0 || n->done == n->job->iterations;
    if (n->verdict == DIVERGED || n->done == before || (whole_epochs(n->job) && !epoch_over))
        return false;
    if (last)
        return true;
    if (every->iterations > 0)
        return n->done / every->iterations != before / every->iterations;
    if (every->epochs > 0)
        return n->done / per_epoch / every->epochs != before / per_epoch / every->epochs;
    return n->time_s - n->keeping.last_s >= every->seconds;
}

/* Rank 0: where the last one is still on its way, the next may wait; at the end it may not. */
static bool may_write(struct node *n, bool last)
{
    if (!last && is_writing(n)) {
        n->run->checkpoints.put_off++;
        return false;
    }
    end_writing(n);
    return true;
}

/* ---- what it says of the training ---- */

static int describe(const struct node *n, struct rg_training_state *state)
{
    const struct rg_job *job = n->job;
    const struct rg_run *run = n->run;
    *state = (struct rg_training_state){.seed = job->seed,
                                        .nodes = job->nodes,
                                        .batch = job->batch,
                                        .samples = job->data->train,
                                        .iterations = n->done,
                                        .iterations_per_epoch = job->iterations_per_epoch,
                                        .time_s = n->before_s + n->time_s,
                                        .energy_J = n->before_J + n->joules.total,
                                        .in_vain = n->in_vain,
                                        .best = run->best,
                                        .point_count = run->point_count};
    rg_copy_text(state->version, sizeof state->version, RG_VERSION);
    rg_copy_text(state->network, sizeof state->network, job->network->name);
    rg_copy_text(state->strategy, sizeof state->strategy, job->strategy->name);
    rg_copy_text(state->optimizer, sizeof state->optimizer,
                 rg_optimizer_infos[job->optimizer.kind].name);
    if (n->options->scenario_sha256)
        rg_copy_text(state->scenario_sha256, sizeof state->scenario_sha256,
                     n->options->scenario_sha256);
    state->plan = rg_job_settled(job);
    state->training = calloc((size_t)run->point_count + 1, sizeof *state->training);
    if (!state->plan || !state->training)
        return RG_ERR_NOMEM;
    if (run->point_count > 0)
        memcpy(state->training, run->training, (size_t)run->point_count * sizeof *state->training);
    return 0;
}

static bool all_finite(const struct rg_training_state *state)
{
    for (int i = 0; i < state->array_count; i++)
        for (size_t k = 0; k < state->arrays[i].count; k++)
            if (!isfinite(state->arrays[i].values[k]))
                return false;
    return true;
}

/* They come first, whoever has them. */
static bool begin_parameters(const struct node *n, struct rg_training_state *state)
{
    return rg_training_array_add(state, RG_STATE_PARAMETERS, -1, 0, n->job->network->parameters);
}

/* Off the clock messages take no virtual time, and this machine may have a faster memory than the
 * board whose pace it keeps: the others, who wait for rank 0, wait as long as gathering takes. */
static int pass_time(struct node *n, double seconds)
{
    struct rg_world *w = n->w;
    int none, result = w->ops->wait_any(w, NULL, 0, w->ops->now(w) + seconds, &none);
    return result == RG_ERR_TIMEOUT ? 0 : result;
}

static int gather(struct node *n)
{
    struct rg_training_state state;
    struct gathering g = {.state = &state};
    bool hollow = is_hollow(n);
    g.failed = describe(n, &state) != 0 || (!hollow && !begin_parameters(n, &state));
    int result = serve_all(n, &g);
    free(g.covered);
    if (!is_real(n))
        n->run->checkpoints.pause_s += g.modelled_s;
    if (result == 0 && (!is_real(n) || n->options->pace))
        result = pass_time(n, is_real(n) ? g.copying_s : g.modelled_s);
    state.bytes = g.bytes;
    if (result == 0 && !g.failed && hollow) {
        note_hollow(n, &state);
        return 0;
    }
    if (result == 0 && !g.failed && all_finite(&state)) {
        begin_writing(n, &state);
        return 0;
    }
    if (result == 0)
        note_failure(n, n->done, g.failed ? "out of memory" : "parameters are not finite");
    rg_training_state_free(&state);
    return result;
}

/* Of all ranks, as rank 0 says: is one due now, and where does the next section end. */
static int agree(struct node *n, bool due, bool *agreed)
{
    int64_t plan[2] = {due, n->w->rank == 0 ? section_end(n) : 0};
    int result =
        rg_broadcast(n->w, (struct rg_group){0, 1, n->w->size}, 0, plan, sizeof plan, TAG_SECTION);
    *agreed = plan[0];
    n->keeping.until = plan[1];
    return result;
}

int rg_node_checkpoint(struct node *n, bool last)
{
    double begin_s = rg_clock_s();
    bool due = n->run && is_due(n, last) && may_write(n, last);
    if (due) {
        n->keeping.last = n->done;
        n->keeping.last_s = n->time_s;
    }
    int result = agree(n, due, &due);
    if (result == 0 && due)
        result = rg_node_sum_energy(n);
    if (result || !due)
        return result;
    if (!n->run)
        return carry_all(n, false);
    result = gather(n);
    n->run->checkpoints.pause_s += is_real(n) ? rg_clock_s() - begin_s : 0;
    return result;
}

void rg_node_end_checkpoints(struct node *n)
{
    if (!n->run || !n->keeping.on)
        return;
    end_writing(n);
    const struct rg_run_checkpoints *told = &n->run->checkpoints;
    if (told->failed > 0 && told->iteration != n->keeping.last && !n->run->unsaved[0])
        rg_copy_text(n->run->unsaved, sizeof n->run->unsaved, told->error);
}

/* ---- going on ---- */

/* Rank 0: is the strategy cut among nodes as it was? */
static bool is_same(const struct rg_job *job, const struct rg_training_state *from)
{
    char *plan = rg_job_settled(job);
    bool same =
        plan && strcmp(plan, from->plan) == 0 && strcmp(job->strategy->name, from->strategy) == 0;
    free(plan);
    return same;
}

/* Do weights depend on the dates at which messages come? */
static bool is_timed(const struct node *n)
{
    struct rg_observation seen = {0};
    n->job->strategy->observe(n->state, &seen);
    return seen.out_of_step || (seen.in_rounds && whole_epochs(n->job));
}

static bool is_same_scenario(const struct node *n)
{
    return n->options->scenario_sha256 &&
           strcmp(n->options->scenario_sha256, n->resume->scenario_sha256) == 0;
}

static int note_differences(struct node *n)
{
    const struct rg_training_state *from = n->resume;
    char text[640];
    int left = -n->keeping.own_taken, result = 0;
    bool after_loss =
        n->options->attempts && n->options->attempts->loss_count > 0; /* which says it */
    for (int i = 0; i < from->array_count; i++)
        left += from->arrays[i].rank >= 0;
    if (!n->keeping.same && !after_loss) {
        snprintf(
            text, sizeof text,
            "the checkpoint is of %s, %.200s: parameters and the optimizer's state are divided "
            "anew%s",
            from->strategy, from->plan, left ? ", what nodes had for themselves is left out" : "");
        result = rg_run_note(n->run, text);
    }
    if (result == 0 && !is_same_scenario(n) && !after_loss)
        result = rg_run_note(n->run, "the checkpoint is of another scenario, or other settings");
    return result == 0 && from->passed_over[0] ? rg_run_note(n->run, from->passed_over) : result;
}

/* Rank 0: the run is what the checkpoint's was so far. */
static int take_facts(struct node *n)
{
    const struct rg_training_state *from = n->resume;
    struct rg_run *run = n->run;
    n->keeping.same = is_same(n->job, from);
    run->resumed =
        (struct rg_run_resumed){.known = true,
                                .iteration = from->iterations,
                                .time_s = from->time_s,
                                .energy_J = from->energy_J,
                                .exact = n->keeping.same && is_same_scenario(n) && !is_timed(n)};
    rg_copy_text(run->resumed.from, sizeof run->resumed.from, from->path);
    run->training = calloc((size_t)from->point_count + 1, sizeof *run->training);
    if (!run->training)
        return RG_ERR_NOMEM;
    if (from->point_count > 0)
        memcpy(run->training, from->training, (size_t)from->point_count * sizeof *run->training);
    run->point_count = from->point_count;
    run->best = from->best;
    run->best.known = n->options->stop.patience > 0 || n->options->save_best;
    n->in_vain = from->in_vain;
    n->before_s = from->time_s;
    n->before_J = from->energy_J;
    bool judged =
        run->point_count > 0 && run->training[run->point_count - 1].iteration == from->iterations;
    return judged ? rg_node_judge_point(n) : 0;
}

static uint64_t bytes_of(const struct rg_training_state *from)
{
    uint64_t floats = 0;
    for (int i = 0; i < from->array_count; i++)
        floats += from->arrays[i].count;
    return from->hollow ? from->bytes : floats * sizeof(float);
}

int rg_node_find_checkpoint(struct node *n, int64_t than)
{
    const struct rg_training_state *found =
        n->options->find ? n->options->find(n->options->find_arg, than) : NULL;
    if (!found)
        return 0;
    n->resume = found;
    double reading_s = rg_saving_write_s(n->job->boards[0], bytes_of(found));
    return is_real(n) || !(reading_s > 0) ? 0 : pass_time(n, reading_s);
}

int rg_node_take_up(struct node *n)
{
    int result = n->run ? take_facts(n) : 0;
    int64_t at[2] = {n->run ? n->resume->iterations : 0, n->verdict};
    if (result == 0)
        result =
            rg_broadcast(n->w, (struct rg_group){0, 1, n->w->size}, 0, at, sizeof at, TAG_SECTION);
    if (result)
        return result;
    n->done = n->w->iterations = n->keeping.begun = n->keeping.last = at[0];
    n->verdict = (enum verdict)at[1];
    if (!n->run)
        return carry_all(n, true);
    result = serve_all(n, NULL);
    return result ? result : note_differences(n);
}

int rg_node_begin_checkpoints(struct node *n)
{
    bool none;
    n->keeping.on_disk = -1;
    if (n->run) {
        n->run->checkpoints = (struct rg_run_checkpoints){.known = true, .iteration = -1};
        n->run->checkpoints.pause_s = n->run->checkpoints.writing_s = 0;
        n->run->checkpoints.time_s = NAN;
        n->run->checkpoints.hollow = is_hollow(n);
        if (n->resume && n->resume->goes_there)
            n->keeping.on_disk = n->resume->iterations;
        else if (n->options->find && n->options->checkpoint)
            n->keeping.on_disk = rg_training_newest(n->options->checkpoint);
    }
    return agree(n, false, &none);
}
