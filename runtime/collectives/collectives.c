#include "collectives/collectives.h"

#include "base/check.h"
#include "collectives/reduce_steps_parts.h"
#include <string.h>

static int member(const struct rg_group *group, int index)
{
    int n = group->count;
    return group->first + ((index % n + n) % n) * group->stride;
}

int rg_allreduce_open(struct rg_allreduce *reduce, struct rg_world *w, struct rg_group group,
                      struct rg_algorithm how, size_t capacity, uint32_t tag)
{
    *reduce = (struct rg_allreduce){.group = group,
                                    .how = how,
                                    .me = (w->rank - group.first) / group.stride,
                                    .capacity = capacity,
                                    .tag = tag};
    RG_ASSERT(member(&group, reduce->me) == w->rank);
    for (int i = 0; i < 2 && group.count > 1; i++) {
        size_t most = rg_reduce_largest(how, group.count, reduce->me, capacity);
        reduce->incoming[i] = rg_mem_floats(w->mem, most);
        if (rg_reduce_copies_out(how))
            reduce->outgoing[i] = rg_mem_floats(w->mem, most);
        if (!reduce->incoming[i] || (rg_reduce_copies_out(how) && !reduce->outgoing[i]))
            return RG_ERR_NOMEM;
    }
    return 0;
}

struct addition {
    float *to;
    const float *from;
    size_t count;
};

static void add(void *arg)
{
    const struct addition *a = arg;
    float *restrict to = a->to;
    const float *restrict from = a->from;
    for (size_t i = 0; i < a->count; i++)
        to[i] += from[i];
}

static struct rg_cost addition_cost(size_t count)
{
    return (struct rg_cost){
        .flops = (double)count, .bytes = 3.0 * sizeof(float) * (double)count, .calls = 1};
}

static struct rg_addition_cost *cost_of(struct rg_adder *adder, size_t count)
{
    struct rg_cost cost = addition_cost(count);
    for (int i = 0; i < 2; i++)
        if (adder->last[i].cost.calls > 0 && adder->last[i].cost.flops == cost.flops)
            return &adder->last[i];
    adder->last[1] = adder->last[0];
    adder->last[0] = (struct rg_addition_cost){.cost = cost};
    return &adder->last[0];
}

int rg_add(struct rg_world *w, struct rg_adder *adder, float *to, const float *from, size_t count,
           int unit)
{
    struct addition a = {to, from, count};
    struct rg_addition_cost *cost = cost_of(adder, count);
    struct rg_work work = {.cost = &cost->cost, .count = 1, .known = cost->known};
    return rg_compute(w, &work, "add", unit, from ? add : NULL, &a);
}

double rg_add_s(const struct rg_board *board, int threads, size_t count)
{
    struct rg_cost cost = addition_cost(count);
    struct rg_work work = {.cost = &cost, .count = 1};
    return rg_board_seconds(board, &work, threads);
}

double rg_copy_s(const struct rg_board *board, int threads, size_t count)
{
    struct rg_cost cost = rg_copy_cost(count);
    struct rg_work work = {.cost = &cost, .count = 1};
    return rg_board_seconds(board, &work, threads);
}

static void copy(void *arg)
{
    const struct addition *a = arg;
    memcpy(a->to, a->from, a->count * sizeof *a->to);
}

void rg_allreduce_share(struct rg_allreduce *reduce, struct rg_twins *twins)
{
    RG_ASSERT(reduce->how.kind == RG_RING);
    reduce->twins = rg_twins_share(twins) ? twins : NULL;
}

float *rg_allreduce_sum(const struct rg_allreduce *r, float *data)
{
    return r->twins ? rg_twins_lent(r->twins, 0) + (data - rg_twins_lent(r->twins, r->me)) : data;
}

/* Of these numbers of all members; who has all of the sum knows that all have theirs ready. Chunk
 * by chunk in the order in which they are added on their way round the ring. */
static void sum_twins(const struct rg_allreduce *r)
{
    enum { BLOCK = 512 };
    int n = r->group.count;
    size_t at = (size_t)(r->data - rg_twins_lent(r->twins, r->me));
    for (int c = 0; c < n; c++) {
        struct rg_piece left = rg_chunk((struct rg_piece){at, r->count}, n, c);
        for (size_t count; left.count > 0; left.first += count, left.count -= count) {
            float sum[BLOCK];
            count = RG_MIN(left.count, (size_t)BLOCK);
            memcpy(sum, rg_twins_lent(r->twins, c) + left.first, count * sizeof *sum);
            for (int k = 1; k < n; k++)
                add(&(struct addition){sum, rg_twins_lent(r->twins, (c + k) % n) + left.first,
                                       count});
            memcpy(rg_twins_lent(r->twins, 0) + left.first, sum, count * sizeof *sum);
        }
    }
}

/* Where numbers are in data; twins do not look there. */
static float *at(const struct rg_allreduce *r, size_t first)
{
    return r->twins ? NULL : r->data + first;
}

static struct rg_reduce_step step_of(const struct rg_allreduce *r, int step)
{
    return rg_reduce_step(r->how, r->group.count, r->me, r->count, step);
}

/* Steps alternate between two of each, from one run to the next, too. */
static int turn_of(const struct rg_allreduce *r, int step)
{
    return (r->turn + step) % 2;
}

/* Receives are posted two steps ahead. */
static int post(struct rg_allreduce *r, int step)
{
    if (step >= r->end)
        return 0;
    struct rg_reduce_step s = step_of(r, step);
    if (s.from < 0)
        return 0;
    return rg_recv(r->w, member(&r->group, s.from), r->tag,
                   s.add && !r->twins ? r->incoming[turn_of(r, step)] : at(r, s.in.first),
                   sizeof(float) * s.in.count, &r->in[turn_of(r, step)]);
}

/* What leaves, *from: the piece where it stands, or a copy. */
static int put_aside(struct rg_allreduce *r, const struct rg_reduce_step *s, int t,
                     const float **from)
{
    *from = at(r, s->out.first);
    r->copied = s->copied;
    if (!s->copied)
        return 0;
    struct addition a = {r->outgoing[turn_of(r, t)], *from, s->out.count};
    struct rg_cost cost = rg_copy_cost(s->out.count);
    struct rg_work work = {.cost = &cost, .count = 1};
    *from = a.to;
    return rg_compute(r->w, &work, "copy", t, copy, &a);
}

/* What stands in the place of a piece that this member has given away comes back only after it has
 * arrived, so that nothing overwrites what is still leaving: a send is waited for only when its
 * request is needed again, or when the next goes elsewhere, for two at a time would halve the
 * port; those of the run before, at the first addition. Copies may leave meanwhile: who gets one
 * has sent as much by the time its own comes, so that the port is free. */
static int take_step(struct rg_allreduce *r, int t)
{
    struct rg_reduce_step s = step_of(r, t);
    int now = turn_of(r, t), before = 1 - now;
    bool leaving = t == r->first && !r->copied;
    int result = rg_wait(r->w, &r->out[now]);
    if (result == 0 && s.to >= 0 && s.to != r->last_to && !s.copied)
        result = rg_wait(r->w, &r->out[before]);
    if (result == 0 && s.to >= 0) {
        const float *from;
        r->last_to = s.to;
        result = put_aside(r, &s, t, &from);
        if (result == 0)
            result = rg_send_floats(r->w, member(&r->group, s.to), r->tag, from, s.out.count,
                                    &r->out[now]);
    }
    if (result == 0 && s.from >= 0)
        result = rg_wait(r->w, &r->in[now]);
    if (result == 0 && leaving)
        result = rg_wait(r->w, &r->out[before]);
    if (result == 0 && s.from >= 0 && s.add)
        result = rg_add(r->w, &r->adder, at(r, s.in.first), r->twins ? NULL : r->incoming[now],
                        s.in.count, t);
    return result ? result : post(r, t + 2);
}

void rg_allreduce_cancel(struct rg_allreduce *reduce)
{
    for (int i = 0; i < 2; i++) {
        rg_cancel(reduce->w, &reduce->in[i]);
        rg_cancel(reduce->w, &reduce->out[i]);
    }
    reduce->under_way = false;
}

/* Steps [first, end) of an all-reduce of these numbers. */
static int prepare(struct rg_allreduce *reduce, struct rg_world *w, float *data, size_t count,
                   int first, int end)
{
    RG_ASSERT(!reduce->under_way);
    if (reduce->group.count == 1)
        return 0;
    reduce->under_way = true;
    reduce->w = w;
    reduce->data = data;
    reduce->count = count;
    reduce->first = first;
    reduce->end = end;
    reduce->turn = (reduce->next + first) % 2;
    int result = post(reduce, first);
    return result ? result : post(reduce, first + 1);
}

static int run(struct rg_allreduce *reduce, struct rg_world *w, float *data, size_t count,
               int first, int end)
{
    int result = reduce->under_way ? 0 : prepare(reduce, w, data, count, first, end);
    RG_ASSERT(reduce->group.count == 1 ||
              (reduce->w == w && reduce->data == data && reduce->count == count &&
               reduce->first == first && reduce->end == end));
    for (int t = first; t < end && result == 0; t++)
        result = take_step(reduce, t);
    if (result)
        rg_allreduce_cancel(reduce);
    else if (reduce->twins && rg_twins_first(reduce->twins, RG_TWINS_SUM, ++reduce->runs))
        sum_twins(reduce);
    reduce->under_way = false;
    reduce->next = turn_of(reduce, end);
    return result;
}

int rg_allreduce_prepare(struct rg_allreduce *reduce, struct rg_world *w, float *data, size_t count)
{
    RG_ASSERT(count <= reduce->capacity);
    return prepare(reduce, w, data, count, 0, rg_reduce_steps(reduce->how, reduce->group.count));
}

int rg_allreduce_run(struct rg_allreduce *reduce, struct rg_world *w, float *data, size_t count)
{
    RG_ASSERT(count <= reduce->capacity);
    return run(reduce, w, data, count, 0, rg_reduce_steps(reduce->how, reduce->group.count));
}

/* ---- its halves ---- */

struct rg_piece rg_own_chunk(int members, int me, size_t count)
{
    return rg_chunk((struct rg_piece){0, count}, members, (me + 1) % members);
}

int rg_reduce_scatter_prepare(struct rg_allreduce *reduce, struct rg_world *w, float *data,
                              size_t count)
{
    RG_ASSERT(count <= reduce->capacity && reduce->how.kind == RG_RING);
    return prepare(reduce, w, data, count, 0, reduce->group.count - 1);
}

int rg_reduce_scatter_run(struct rg_allreduce *reduce, struct rg_world *w, float *data,
                          size_t count)
{
    RG_ASSERT(count <= reduce->capacity && reduce->how.kind == RG_RING);
    return run(reduce, w, data, count, 0, reduce->group.count - 1);
}

/* Of any size, since it adds nothing and needs no room. */
int rg_all_gather_run(struct rg_allreduce *reduce, struct rg_world *w, float *data, size_t count)
{
    RG_ASSERT(reduce->how.kind == RG_RING);
    int steps = reduce->group.count - 1;
    return run(reduce, w, data, count, steps, 2 * steps);
}

int rg_allreduce_settle(struct rg_allreduce *reduce)
{
    int result = rg_wait(reduce->w, &reduce->out[0]);
    return result ? result : rg_wait(reduce->w, &reduce->out[1]);
}

int rg_broadcast(struct rg_world *w, struct rg_group group, int root, void *data, size_t bytes,
                 uint32_t tag)
{
    int n = group.count;
    int me = ((w->rank - group.first) / group.stride - root + n) % n; /* the root is 0 */
    int reach = 1;
    while (reach < n)
        reach *= 2;
    int result = 0;
    bool have = me == 0;
    for (int step = reach / 2; step >= 1 && result == 0; step /= 2) {
        if (have && me % (2 * step) == 0 && me + step < n) {
            result = rg_send_wait(w, member(&group, me + step + root), tag, data, bytes);
        } else if (!have && me % (2 * step) == step) {
            result = rg_recv_wait(w, member(&group, me - step + root), tag, data, bytes);
            have = true;
        }
    }
    return result;
}
