#include "collectives/collectives.h"

#include "base/check.h"
#include <math.h>
#include <string.h>

static int member(const struct rg_group *group, int index)
{
    int n = group->count;
    return group->first + ((index % n + n) % n) * group->stride;
}

/* Chunk c of count floats in n: sizes differ by at most one, larger ones first. */
static size_t chunk_first(size_t count, int n, int c)
{
    size_t each = count / (size_t)n, more = count % (size_t)n;
    return each * (size_t)c + RG_MIN((size_t)c, more);
}

static size_t chunk_size(size_t count, int n, int c)
{
    return chunk_first(count, n, c + 1) - chunk_first(count, n, c);
}

uint64_t rg_allreduce_memory(int members, size_t capacity)
{
    return members > 1 ? 2 * sizeof(float) * chunk_size(capacity, members, 0) : 0;
}

int rg_allreduce_open(struct rg_allreduce *reduce, struct rg_world *w, struct rg_group group,
                      size_t capacity, uint32_t tag)
{
    *reduce = (struct rg_allreduce){.group = group,
                                    .me = (w->rank - group.first) / group.stride,
                                    .capacity = capacity,
                                    .tag = tag};
    RG_ASSERT(member(&group, reduce->me) == w->rank);
    for (int i = 0; i < 2 && group.count > 1; i++) {
        reduce->incoming[i] = rg_mem_floats(w->mem, chunk_size(capacity, group.count, 0));
        if (!reduce->incoming[i])
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

int rg_add(struct rg_world *w, float *to, const float *from, size_t count, int unit)
{
    struct addition a = {to, from, count};
    struct rg_cost cost = addition_cost(count);
    struct rg_work work = {.cost = &cost, .count = 1};
    return rg_compute(w, &work, "add", unit, add, &a);
}

double rg_add_s(const struct rg_board *board, int threads, size_t count)
{
    struct rg_cost cost = addition_cost(count);
    struct rg_work work = {.cost = &cost, .count = 1};
    return rg_board_seconds(board, &work, threads);
}

/* In step t < n - 1 a member sends chunk me - t (its sum so far) and adds what it receives to chunk
 * me - t - 1; in the n - 1 steps after that it passes finished chunks on by the same rule. */
static int incoming_chunk(const struct rg_allreduce *r, int step)
{
    int n = r->group.count, c = (r->me - step - 1) % n;
    return c < 0 ? c + n : c;
}

static float *chunk(const struct rg_allreduce *r, int c)
{
    return r->data + chunk_first(r->count, r->group.count, c);
}

/* Receives are posted two steps ahead; the sums' buffers alternate. */
static int post(struct rg_allreduce *r, int step)
{
    int n = r->group.count, c = incoming_chunk(r, step);
    if (step >= 2 * (n - 1))
        return 0;
    float *to = step < n - 1 ? r->incoming[step % 2] : chunk(r, c);
    return rg_recv(r->w, member(&r->group, r->me - 1), r->tag, to,
                   sizeof(float) * chunk_size(r->count, n, c), &r->in[step % 2]);
}

/* A finished chunk comes back only after everyone has had this member's share of it, so that
 * nothing overwrites what is still leaving: a send is waited for only when its request is needed
 * again; those of the run before, at the first addition. */
static int take_step(struct rg_allreduce *r, int t)
{
    int n = r->group.count, c = incoming_chunk(r, t), previous = (c + 1) % n;
    int result = rg_wait(r->w, &r->out[t % 2]);
    if (result == 0)
        result = rg_send_floats(r->w, member(&r->group, r->me + 1), r->tag, chunk(r, previous),
                                chunk_size(r->count, n, previous), &r->out[t % 2]);
    if (result == 0)
        result = rg_wait(r->w, &r->in[t % 2]);
    if (result == 0 && t == 0)
        result = rg_wait(r->w, &r->out[1]);
    if (result == 0 && t < n - 1)
        result = rg_add(r->w, chunk(r, c), r->incoming[t % 2], chunk_size(r->count, n, c), t);
    return result ? result : post(r, t + 2);
}

void rg_allreduce_cancel(struct rg_allreduce *reduce)
{
    for (int i = 0; i < 2; i++) {
        if (reduce->in[i].status == RG_PENDING)
            rg_cancel(reduce->w, &reduce->in[i]);
        if (reduce->out[i].status == RG_PENDING)
            rg_cancel(reduce->w, &reduce->out[i]);
    }
    reduce->under_way = false;
}

int rg_allreduce_prepare(struct rg_allreduce *reduce, struct rg_world *w, float *data, size_t count)
{
    RG_ASSERT(count <= reduce->capacity && !reduce->under_way);
    if (reduce->group.count == 1)
        return 0;
    reduce->under_way = true;
    reduce->w = w;
    reduce->data = data;
    reduce->count = count;
    int result = post(reduce, 0);
    return result ? result : post(reduce, 1);
}

int rg_allreduce_run(struct rg_allreduce *reduce, struct rg_world *w, float *data, size_t count)
{
    int steps = 2 * (reduce->group.count - 1);
    int result = reduce->under_way ? 0 : rg_allreduce_prepare(reduce, w, data, count);
    RG_ASSERT(steps == 0 || (reduce->w == w && reduce->data == data && reduce->count == count));
    for (int t = 0; t < steps && result == 0; t++)
        result = take_step(reduce, t);
    if (result)
        rg_allreduce_cancel(reduce);
    reduce->under_way = false;
    return result;
}

int rg_allreduce_settle(struct rg_allreduce *reduce)
{
    int result = rg_wait(reduce->w, &reduce->out[0]);
    return result ? result : rg_wait(reduce->w, &reduce->out[1]);
}

double rg_allreduce_adds_s(const struct rg_board *board, int threads, int members, int me,
                           size_t count)
{
    /* Every chunk but its own, of which `larger` have one float more than the others. */
    size_t each = count / (size_t)members;
    int larger = (int)(count % (size_t)members);
    bool own_is_larger = me < larger;
    return (larger - own_is_larger) * rg_add_s(board, threads, each + 1) +
           (members - larger - !own_is_larger) * rg_add_s(board, threads, each);
}

double rg_allreduce_seconds(const struct rg_board *const *boards, int stride, int threads,
                            int members, size_t count)
{
    size_t bytes = sizeof(float) * chunk_size(count, members, 0);
    double hop = 0, adds = 0;
    int crossing = 0;
    for (int i = 0; i < members; i++)
        crossing +=
            boards[i * stride]->shared_medium || boards[(i + 1) % members * stride]->shared_medium;
    for (int i = 0; i < members; i++) {
        const struct rg_board *board = boards[i * stride],
                              *next = boards[(i + 1) % members * stride];
        if (i > 0 && board == boards[(i - 1) * stride] && board == next)
            continue; /* as the one before */
        hop = fmax(hop, rg_board_passing_hop_s(board, next, crossing, bytes));
        adds = fmax(adds, rg_allreduce_adds_s(board, threads, members, members - 1, count));
    }
    return 2 * (members - 1) * hop + adds;
}

void rg_allreduce_traffic(int members, size_t count, uint64_t *messages, uint64_t *values)
{
    *messages += (uint64_t)members * 2 * (uint64_t)(members - 1);
    *values += 2 * (uint64_t)(members - 1) * count;
}

void rg_allreduce_flows(struct rg_group group, size_t count, rg_traffic_fn flow, void *arg)
{
    int n = group.count;
    for (int i = 0; i < n && n > 1; i++) {
        /* all chunks but one on the way to the sums, all but another with them */
        size_t floats =
            2 * count - chunk_size(count, n, (i + 1) % n) - chunk_size(count, n, (i + 2) % n);
        flow(arg, &(struct rg_traffic){member(&group, i), member(&group, i + 1),
                                       2 * (uint64_t)(n - 1), sizeof(float) * (uint64_t)floats});
    }
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
        struct rg_request request;
        if (have && me % (2 * step) == 0 && me + step < n) {
            rg_send(w, member(&group, me + step + root), tag, data, bytes, &request);
            result = rg_wait(w, &request);
        } else if (!have && me % (2 * step) == step) {
            rg_recv(w, member(&group, me - step + root), tag, data, bytes, &request);
            result = rg_wait(w, &request);
            have = true;
        }
    }
    return result;
}
