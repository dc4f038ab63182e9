/* A run that goes on from what its nodes have kept of each other's state: each tells what it has
 * and what it wants, the newest state that is whole is taken, and every part goes from a node that
 * has it to the one that wants it, all at once.
 *
 * Failure modes handled: no state is whole, or a checkpoint is newer (that is gone on from, or the
 * run begins anew); nodes that are lost meanwhile (what was kept is kept until the state that
 * training goes on from is there); no memory (the run ends with that, on all). */
#include "node/node_parts.h"

#include "base/check.h"
#include "base/crc.h"
#include "collectives/collectives.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- keeping ---- */

/* NULL: nodes have none of this strategy, and none was handed over for another to join. */
static struct rg_copies *copies_of(const struct node *n)
{
    struct rg_attempts *a = n->options->attempts;
    return a && (n->job->copies || n->job->left_whole || a->handed) ? &a->copies : NULL;
}

bool rg_node_has_copies(const struct node *n)
{
    return copies_of(n) && copies_of(n)->count > 0;
}

bool rg_node_may_have_copies(const struct node *n)
{
    return copies_of(n) && n->options->attempts->loss_count > 0;
}

static bool is_real(const struct node *n)
{
    return n->job->numerics || n->w->ops->moves_bytes;
}

static uint32_t plan_of(const struct rg_job *job)
{
    char *text = rg_job_settled(job);
    uint32_t plan = text ? rg_crc32c(text, strlen(text)) : 0;
    free(text);
    return plan;
}

static int keep(void *arg, int64_t done, const struct rg_state_array *array)
{
    const struct node *n = arg;
    if (rg_copies_cover(copies_of(n), done, array)) /* from before this attempt */
        return 0;
    return rg_copies_add(copies_of(n), done, array, is_real(n) ? array->values : NULL);
}

/* What it has been given, and was to train with. */
static int keep_given(void *arg, const struct rg_state_array *array)
{
    const struct node *n = arg;
    return keep(arg, n->done, array);
}

/* Without memory for them there are none: others may have what is needed. What nodes train with is
 * only kept of a training that broke off. */
void rg_node_keep_copies(struct node *n, int result)
{
    struct rg_copies *copies = copies_of(n);
    if (!copies || !n->state)
        return;
    bool returned = result == RG_ERR_RETURNED;
    if (n->job->left_whole && (!n->keeping.ready || (result != RG_ERR_PEER && !returned)))
        return;
    int before = copies->count;
    if (!returned && n->job->strategy->copies) /* else each has what it needs itself */
        n->job->strategy->copies(n->state, keep, n);
    if (returned || (n->keeping.from_copies && n->keeping.ready && !n->begun))
        n->job->strategy->state(n->state, n->done, keep_given, n);
    if (copies->count > before)
        copies->plan = plan_of(n->job);
}

void rg_node_forget_copies(struct node *n)
{
    struct rg_copies *copies = copies_of(n);
    if (copies && n->keeping.from_copies) /* of whole nodes the strategy has them */
        rg_copies_keep(copies, n->job->copies ? n->done : -1);
}

/* ---- telling ---- */

/* What this node has, and what its strategy goes on with; all have the same of all. */
struct directory {
    struct rg_copy_name *had, *wanted; /* [had_count], [wanted_count], by rank */
    int *had_by, *wanted_by;           /* ranks */
    int had_count, wanted_count;
};

struct wish {
    struct rg_copy_name name;
    float *values;
};

/* Of this node. */
struct own {
    struct wish *wishes; /* [count] */
    int count;
};

struct counts {
    int32_t had, wanted;
    uint32_t plan;
    int32_t points; /* evaluations that it knows of: one that was started again, of none */
};

static int wish(void *arg, const struct rg_state_array *array)
{
    struct own *own = arg;
    struct wish *more = realloc(own->wishes, ((size_t)own->count + 1) * sizeof *more);
    if (!more)
        return RG_ERR_NOMEM;
    own->wishes = more;
    struct wish *at = &more[own->count++];
    *at = (struct wish){{.first = array->first, .count = array->count}, array->values};
    rg_copy_text(at->name.name, sizeof at->name.name, array->name);
    return 0;
}

static int no_visit(void *arg, const struct rg_state_array *array)
{
    (void)arg, (void)array;
    return 0;
}

/* A rank's part of the directory, from there to rank 0, or (rank 0) taken from its own. */
static int move_part(struct node *n, int rank, const struct own *own, struct rg_copy_name *names,
                     size_t had, size_t wanted)
{
    const struct rg_copies *copies = copies_of(n);
    size_t bytes = (had + wanted) * sizeof *names;
    if (rank != n->w->rank)
        return rg_recv_wait(n->w, rank, TAG_COPIES, names, bytes);
    for (size_t i = 0; i < had; i++)
        names[i] = copies->list[i].name;
    for (size_t i = 0; i < wanted; i++)
        names[had + i] = own->wishes[i].name;
    return rank == 0 ? 0 : rg_send_wait(n->w, 0, TAG_COPIES, names, bytes);
}

static int make_directory(const struct counts *counts, int size, struct directory *d)
{
    for (int rank = 0; rank < size; rank++) {
        if (counts[rank].had < 0 || counts[rank].had > 1 << 16 || counts[rank].wanted < 0 ||
            counts[rank].wanted > 1 << 16)
            return RG_ERR_PROTOCOL;
        d->had_count += counts[rank].had;
        d->wanted_count += counts[rank].wanted;
    }
    size_t all = (size_t)d->had_count + (size_t)d->wanted_count;
    d->had = calloc(all + 1, sizeof *d->had);
    d->had_by = calloc(all + 1, sizeof *d->had_by);
    if (!d->had || !d->had_by)
        return RG_ERR_NOMEM;
    d->wanted = d->had + d->had_count;
    d->wanted_by = d->had_by + d->had_count;
    return 0;
}

/* A range of the network's vector, with a name. */
static bool is_sound(const struct node *n, const struct rg_copy_name *name)
{
    uint64_t most = n->job->network->parameters;
    return name->first <= most && name->count <= most - name->first &&
           memchr(name->name, '\0', sizeof name->name);
}

/* Each rank's names lie together when they come, and are put in two lists. */
static int fill_directory(struct node *n, const struct counts *counts, const struct own *own,
                          struct directory *d)
{
    int had = 0, wanted = 0, result = 0;
    size_t most = 0;
    for (int rank = 0; rank < n->w->size; rank++)
        most = RG_MAX(most, (size_t)counts[rank].had + (size_t)counts[rank].wanted);
    struct rg_copy_name *names = calloc(most + 1, sizeof *names);
    if (!names)
        return RG_ERR_NOMEM;
    for (int rank = 0; rank < n->w->size && result == 0; rank++) {
        size_t has = (size_t)counts[rank].had, wants = (size_t)counts[rank].wanted;
        if (n->w->rank == 0 || n->w->rank == rank)
            result = move_part(n, rank, own, names, has, wants);
        if (n->w->rank > 0)
            continue;
        for (size_t i = 0; i < has + wants && result == 0; i++) {
            if (!is_sound(n, &names[i]))
                result = RG_ERR_PROTOCOL;
            *(i < has ? &d->had[had] : &d->wanted[wanted]) = names[i];
            if (i < has)
                d->had_by[had++] = rank;
            else
                d->wanted_by[wanted++] = rank;
        }
    }
    free(names);
    return result;
}

/* The counts of all ranks, on all. */
static int tell_counts(struct node *n, const struct own *own, struct counts *counts)
{
    const struct rg_copies *copies = copies_of(n);
    struct counts mine = {copies->count, own->count, copies->plan, copies->point_count};
    int result = 0;
    if (n->w->rank > 0)
        result = rg_send_wait(n->w, 0, TAG_COPIES, &mine, sizeof mine);
    counts[0] = mine;
    for (int rank = 1; rank < n->w->size && n->w->rank == 0 && result == 0; rank++)
        result = rg_recv_wait(n->w, rank, TAG_COPIES, &counts[rank], sizeof counts[rank]);
    return result ? result
                  : rg_broadcast(n->w, (struct rg_group){0, 1, n->w->size}, 0, counts,
                                 (size_t)n->w->size * sizeof *counts, TAG_COPIES);
}

static int tell_all(struct node *n, const struct own *own, struct counts *counts,
                    struct directory *d)
{
    const struct rg_group all = {0, 1, n->w->size};
    int result = tell_counts(n, own, counts);
    if (result == 0)
        result = make_directory(counts, n->w->size, d);
    if (result == 0)
        result = fill_directory(n, counts, own, d);
    size_t names = (size_t)d->had_count + (size_t)d->wanted_count;
    if (result == 0 && names > 0)
        result = rg_broadcast(n->w, all, 0, d->had, names * sizeof *d->had, TAG_COPIES);
    if (result == 0 && names > 0)
        result = rg_broadcast(n->w, all, 0, d->had_by, names * sizeof *d->had_by, TAG_COPIES);
    return result;
}

/* ---- taking ---- */

/* The messages of this node. */
struct moving {
    struct node *n;
    const struct directory *d;
    const struct own *own;
    int64_t done;
    struct rg_request *requests; /* [room] */
    int count, room;
    int first_had, first_wanted; /* of this node's in the lists */
};

/* A piece [at, end) of what rank `to` wants as its number `wanted` is with `from`, as its number
 * `had`: this node does its part of it. */
static int move(struct moving *m, int had, int wanted, uint64_t at, uint64_t end)
{
    struct rg_world *w = m->n->w;
    int from = m->d->had_by[had], to = m->d->wanted_by[wanted];
    size_t count = (size_t)(end - at);
    float *into = NULL;
    if (to == w->rank)
        into = m->own->wishes[wanted - m->first_wanted].values + (at - m->d->wanted[wanted].first);
    if (from != w->rank && to != w->rank)
        return 0;
    if (from != w->rank)
        return rg_recv(w, from, TAG_PARTS, into, count * sizeof *into, &m->requests[m->count++]);
    const struct rg_copy *copy = &copies_of(m->n)->list[had - m->first_had];
    const float *values = copy->values ? copy->values + (at - copy->name.first) : NULL;
    if (to == w->rank) {
        if (values)
            memcpy(into, values, count * sizeof *into);
        return 0;
    }
    static const float nothing[1];
    if (!values) /* nobody reads it */
        values = nothing;
    return rg_send(w, to, TAG_PARTS, values, count * sizeof *values, &m->requests[m->count++]);
}

/* All nodes go through all pieces in one order, in which messages of two of them meet. count: only
 * that of this node's. */
static int move_all(struct moving *m, bool count)
{
    const struct directory *d = m->d;
    int result = 0, pieces = 0;
    for (int k = 0; k < d->wanted_count && result == 0; k++) {
        uint64_t at = d->wanted[k].first, end = at + d->wanted[k].count, next;
        for (; at < end && result == 0; at = next) {
            int had = rg_copies_find(d->had, d->had_by, d->had_count, m->done, d->wanted[k].name,
                                     at, d->wanted_by[k]);
            RG_ASSERT(had >= 0);
            next = RG_MIN(end, d->had[had].first + d->had[had].count);
            pieces += d->had_by[had] == m->n->w->rank || d->wanted_by[k] == m->n->w->rank;
            result = count ? 0 : move(m, had, k, at, next);
        }
    }
    return count ? pieces : result;
}

static int index_of(const int *by, int count, int rank)
{
    int i = 0;
    while (i < count && by[i] != rank)
        i++;
    return i;
}

static int take(struct node *n, const struct directory *d, const struct own *own, int64_t done)
{
    struct moving m = {.n = n,
                       .d = d,
                       .own = own,
                       .done = done,
                       .first_had = index_of(d->had_by, d->had_count, n->w->rank),
                       .first_wanted = index_of(d->wanted_by, d->wanted_count, n->w->rank)};
    m.room = move_all(&m, true);
    m.requests = calloc((size_t)m.room + 1, sizeof *m.requests);
    struct rg_request **all = calloc((size_t)m.room + 1, sizeof(struct rg_request *));
    int result = m.requests && all ? move_all(&m, false) : RG_ERR_NOMEM;
    for (int i = 0; i < m.count && all; i++)
        all[i] = &m.requests[i];
    if (all) {
        int waited = rg_wait_all(n->w, all, m.count); /* also for those under way after an error */
        result = result ? result : waited;
    }
    free(all);
    free(m.requests);
    return result;
}

/* ---- what is known of the run until then ---- */

/* Evaluations as that rank knows them, on all. Of a state after `done` iterations the message has
 * one for each epoch, also where numerics are skipped: it takes as long. */
static int share_points(struct node *n, int64_t done, int root, const struct rg_run_point *theirs,
                        int known)
{
    const struct rg_group all = {0, 1, n->w->size};
    struct rg_copies *copies = copies_of(n);
    uint64_t count = (uint64_t)known;
    int result = rg_broadcast(n->w, all, root, &count, sizeof count, TAG_COPIES);
    if (result == 0 && count > 1 << 24)
        result = RG_ERR_PROTOCOL;
    if (result)
        return result;
    uint64_t room = RG_MAX(count, (uint64_t)(done / n->job->iterations_per_epoch));
    struct rg_run_point *points = calloc((size_t)room + 1, sizeof *points);
    if (!points)
        return RG_ERR_NOMEM;
    if (n->w->rank == root && count > 0)
        memcpy(points, theirs, (size_t)count * sizeof *points);
    if (room > 0)
        result = rg_broadcast(n->w, all, root, points, (size_t)room * sizeof *points, TAG_COPIES);
    if (result) { /* what is known stays known */
        free(points);
        return result;
    }
    free(copies->points);
    copies->points = points;
    copies->point_count = (int)count;
    return 0;
}

/* Rank 0: its run is what the others remember of it. */
static int take_facts(struct node *n, int64_t done, bool same)
{
    const struct rg_copies *copies = copies_of(n);
    struct rg_run *run = n->run;
    size_t bytes = (size_t)copies->point_count * sizeof *run->training;
    run->resumed =
        (struct rg_run_resumed){.known = true, .iteration = done, .energy_J = NAN, .exact = same};
    rg_copy_text(run->resumed.from, sizeof run->resumed.from, "the nodes' copies");
    run->training = malloc(bytes + 1);
    if (!run->training)
        return RG_ERR_NOMEM;
    if (bytes)
        memcpy(run->training, copies->points, bytes);
    run->point_count = copies->point_count;
    n->in_vain = 0;
    for (int i = 0; i < run->point_count; i++) {
        const struct rg_run_point *point = &run->training[i];
        n->in_vain++;
        if (!isfinite(point->loss) || point->loss >= run->best.loss)
            continue;
        n->in_vain = 0;
        run->best =
            (struct rg_run_best){.known = n->options->stop.patience > 0 || n->options->save_best,
                                 .iteration = point->iteration,
                                 .loss = point->loss,
                                 .accuracy = point->accuracy};
    }
    bool judged = run->point_count > 0 && run->training[run->point_count - 1].iteration == done;
    return judged ? rg_node_judge_point(n) : 0;
}

/* Were all that have any divided as now? */
static bool is_same(const struct node *n, const struct counts *counts)
{
    bool same = true;
    uint32_t plan = plan_of(n->job);
    for (int rank = 0; rank < n->w->size; rank++)
        same = same && (counts[rank].had == 0 || counts[rank].plan == plan);
    return same;
}

/* Nothing is due at the end of that iteration, or it has been done. */
static bool is_evaluated(const struct node *n, int64_t done)
{
    const struct rg_run *run = n->run;
    return !n->job->numerics || done % n->job->iterations_per_epoch ||
           (run->point_count > 0 && run->training[run->point_count - 1].iteration == done);
}

/* Every node has its part of the state after so many iterations. */
static int go_on(struct node *n, const struct counts *counts, int64_t done)
{
    struct rg_copies *copies = copies_of(n);
    bool same = is_same(n, counts);
    int knows = 0, result = n->job->strategy->state(n->state, done, no_visit, NULL);
    for (int rank = 1; rank < n->w->size; rank++)
        knows = counts[rank].points > counts[knows].points ? rank : knows;
    if (result == 0) {
        n->done = done;
        n->keeping.from_copies = n->keeping.ready = true;
    }
    rg_copies_keep_points(copies, done);
    if (result == 0)
        result = share_points(n, done, knows, copies->points, copies->point_count);
    if (result == 0 && n->run)
        result = take_facts(n, done, same);
    int64_t told[] = {n->verdict, n->run && !is_evaluated(n, done)};
    if (result == 0)
        result = rg_broadcast(n->w, (struct rg_group){0, 1, n->w->size}, 0, told, sizeof told,
                              TAG_COPIES);
    n->verdict = (enum verdict)told[0];
    n->keeping.untold = told[1];
    n->w->iterations = n->keeping.begun = n->keeping.last = done;
    n->keeping.takes_up = false;
    return result;
}

/* A checkpoint that is newer is gone on from; only then it is read. */
static int choose(struct node *n, const struct directory *d, int64_t *done)
{
    int64_t chosen[] = {-1, 0};
    int result = 0;
    if (n->run) {
        int64_t had =
            rg_copies_newest(d->had, d->had_count, d->wanted, d->wanted_count, n->job->iterations);
        result = rg_node_find_checkpoint(n, had);
        int64_t than = n->resume ? n->resume->iterations : 0;
        chosen[0] = had > than || (had > 0 && had == than) ? had : -1;
        chosen[1] = n->resume != NULL;
    }
    if (result == 0)
        result = rg_broadcast(n->w, (struct rg_group){0, 1, n->w->size}, 0, chosen, sizeof chosen,
                              TAG_COPIES);
    *done = chosen[0];
    n->keeping.takes_up = chosen[1];
    return result;
}

int rg_node_take_copies(struct node *n)
{
    struct rg_copies *copies = copies_of(n);
    struct own own = {NULL, 0};
    struct directory d = {NULL};
    struct counts *counts = NULL;
    int64_t done = -1;
    if (!rg_node_may_have_copies(n))
        return 0;
    counts = calloc((size_t)n->w->size, sizeof *counts);
    int result = counts ? n->job->strategy->state(n->state, 0, wish, &own) : RG_ERR_NOMEM;
    if (result == 0)
        result = tell_all(n, &own, counts, &d);
    if (result == 0)
        result = choose(n, &d, &done);
    if (result == 0 && done >= 0)
        result = take(n, &d, &own, done);
    if (result == 0 && done >= 0)
        result = go_on(n, counts, done);
    else if (result == 0) {
        rg_copies_keep(copies, -1);
        rg_copies_keep_points(copies, -1);
    }
    free(counts);
    free(own.wishes);
    free(d.had);
    free(d.had_by);
    return result;
}

/* ---- who is there again ---- */

static int find_own(void *arg, const struct rg_state_array *array)
{
    bool *own = arg;
    *own = *own || array->own;
    return 0;
}

/* Can all that this node goes on with be another's part? */
static bool is_shared(const struct node *n)
{
    bool own = false;
    return n->job->strategy->state(n->state, n->done, find_own, &own) == 0 && !own;
}

/* With lose=spare only where nobody waits: it costs a pause. What nodes cannot hand over goes
 * through a checkpoint, which is written now. */
int rg_node_look_for_returned(struct node *n)
{
    struct rg_attempts *a = n->options->attempts;
    bool kept = copies_of(n);
    if (!a || !n->job->strategy->state || (a->lose == RG_LOSE_SPARE && a->present > a->nodes))
        return 0;
    int result =
            rg_attempts_look_for_returned(n->w, a, n->done, kept || is_shared(n), n->keeping.on),
        after = 0;
    if (result != RG_ERR_RETURNED || kept)
        return result;
    if (a->handed) /* what else each node would have been told epoch by epoch */
        after = share_points(n, n->done, 0, n->run ? n->run->training : NULL,
                             n->run ? n->run->point_count : 0);
    else
        after = rg_node_checkpoint(n, true);
    return after ? after : result;
}

/* ---- what all know of the evaluations ---- */

_Static_assert(sizeof(struct rg_run_point) == 40, "points have no padding");

int rg_node_begin_copies(struct node *n)
{
    return copies_of(n) ? share_points(n, n->done, 0, n->run ? n->run->training : NULL,
                                       n->run ? n->run->point_count : 0)
                        : 0;
}

int rg_node_share_point(struct node *n)
{
    struct rg_copies *copies = copies_of(n);
    struct rg_run_point point = {0};
    int64_t told = n->run && n->tested;
    if (!copies)
        return 0;
    if (told)
        point = n->run->training[n->run->point_count - 1];
    const struct rg_group all = {0, 1, n->w->size};
    int result = rg_broadcast(n->w, all, 0, &told, sizeof told, TAG_COPIES);
    if (result == 0 && told)
        result = rg_broadcast(n->w, all, 0, &point, sizeof point, TAG_COPIES);
    return result == 0 && told ? rg_copies_add_point(copies, &point) : result;
}
