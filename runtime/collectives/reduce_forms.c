/* The closed forms of all-reduces. */
#include "base/check.h"
#include "collectives/reduce_steps_parts.h"
#include <math.h>

uint64_t rg_allreduce_memory(struct rg_algorithm how, int members, int me, size_t capacity)
{
    int pieces = rg_reduce_copies_out(how) ? 4 : 2;
    return pieces * sizeof(float) * (uint64_t)rg_reduce_largest(how, members, me, capacity);
}

static double ring_adds_s(const struct rg_board *board, int threads, int members, int me,
                          size_t count)
{
    /* Every chunk but its own, of which `larger` have one float more than the others. */
    size_t each = count / (size_t)members;
    int larger = (int)(count % (size_t)members);
    bool own_is_larger = me < larger;
    return (larger - own_is_larger) * rg_add_s(board, threads, each + 1) +
           (members - larger - !own_is_larger) * rg_add_s(board, threads, each);
}

double rg_allreduce_adds_s(struct rg_algorithm how, const struct rg_board *board, int threads,
                           int members, int me, size_t count)
{
    if (how.kind == RG_RING)
        return ring_adds_s(board, threads, members, me, count);
    double seconds = 0;
    for (int t = 0; t < rg_reduce_steps(how, members); t++) {
        struct rg_reduce_step s = rg_reduce_step(how, members, me, count, t);
        if (s.from >= 0 && s.add)
            seconds += rg_add_s(board, threads, s.in.count);
        if (s.copied)
            seconds += rg_copy_s(board, threads, s.out.count);
    }
    return seconds;
}

double rg_ring_hop_s(const struct rg_board *const *boards, int stride, int members, uint64_t bytes)
{
    double hop = 0;
    int crossing = 0;
    for (int i = 0; i < members; i++)
        crossing +=
            boards[i * stride]->shared_medium || boards[(i + 1) % members * stride]->shared_medium;
    for (int i = 0; i < members; i++) {
        const struct rg_board *board = boards[i * stride],
                              *next = boards[(i + 1) % members * stride];
        if (i == 0 || board != boards[(i - 1) * stride] || board != next) /* as the one before */
            hop = fmax(hop, rg_board_passing_hop_s(board, next, 2, crossing, bytes));
    }
    return hop;
}

/* So many hops of a chunk, and a node's additions if there are any. */
static double ring_seconds(const struct rg_board *const *boards, int stride, int threads,
                           int members, size_t count, int hops, bool add)
{
    size_t bytes = sizeof(float) * rg_chunk((struct rg_piece){0, count}, members, 0).count;
    double adds = 0;
    for (int i = 0; add && i < members; i++)
        if (i == 0 || boards[i * stride] != boards[(i - 1) * stride])
            adds =
                fmax(adds, ring_adds_s(boards[i * stride], threads, members, members - 1, count));
    return hops * rg_ring_hop_s(boards, stride, members, bytes) + adds;
}

double rg_reduce_scatter_seconds(const struct rg_board *const *boards, int stride, int threads,
                                 int members, size_t count)
{
    return ring_seconds(boards, stride, threads, members, count, members - 1, true);
}

double rg_all_gather_seconds(const struct rg_board *const *boards, int stride, int threads,
                             int members, size_t count)
{
    return ring_seconds(boards, stride, threads, members, count, members - 1, false);
}

/* Until the slowest member has received and added what is its in a step. */
static double step_seconds(struct rg_algorithm how, const struct rg_board *const *boards,
                           int stride, int threads, int members, size_t count, int t)
{
    double seconds = 0;
    int crossing = 0;
    for (int i = 0; i < members; i++) {
        struct rg_reduce_step s = rg_reduce_step(how, members, i, count, t);
        crossing += s.from >= 0 &&
                    (boards[i * stride]->shared_medium || boards[s.from * stride]->shared_medium);
    }
    for (int i = 0; i < members; i++) {
        struct rg_reduce_step s = rg_reduce_step(how, members, i, count, t);
        if (s.from < 0)
            continue;
        bool answered = s.to >= 0 || rg_reduce_step(how, members, s.from, count, t).from >= 0;
        double hop = rg_board_passing_hop_s(boards[s.from * stride], boards[i * stride],
                                            answered ? 2 : 1, crossing, sizeof(float) * s.in.count);
        double add = s.add ? rg_add_s(boards[i * stride], threads, s.in.count) : 0;
        double copy = s.copied ? rg_copy_s(boards[s.from * stride], threads, s.in.count) : 0;
        seconds = fmax(seconds, copy + hop + add);
    }
    return seconds;
}

double rg_allreduce_seconds(struct rg_algorithm how, const struct rg_board *const *boards,
                            int stride, int threads, int members, size_t count)
{
    if (how.kind == RG_RING)
        return ring_seconds(boards, stride, threads, members, count, 2 * (members - 1), true);
    double seconds = 0;
    for (int t = 0; t < rg_reduce_steps(how, members); t++)
        seconds += step_seconds(how, boards, stride, threads, members, count, t);
    return seconds;
}

/* A number is sent 2 (n - 1) times whichever way it takes: once to leave every member but one, and
 * once to come back; but in doubling, which has no way back. */
void rg_allreduce_traffic(struct rg_algorithm how, int members, size_t count, uint64_t *messages,
                          uint64_t *values)
{
    uint64_t n = (uint64_t)members, steps = (uint64_t)rg_reduce_steps(how, members);
    uint64_t sent = 0, way = 2 * (n - 1);
    if (how.kind == RG_RING || how.kind == RG_HIERARCHICAL) {
        sent = n * steps;
    } else if (how.kind == RG_TREE) {
        sent = way;
    } else { /* of those outside two, of the others one in all steps that are not theirs */
        uint64_t more = n - (uint64_t)rg_reduce_core(members);
        sent = 2 * more + (n - more) * (steps - (more > 0 ? 2 : 0));
        way = how.kind == RG_DOUBLING ? sent : way;
    }
    *messages += sent;
    *values += way * count;
}

static void load(struct rg_load *to, size_t floats)
{
    uint64_t bytes = sizeof(float) * (uint64_t)floats;
    to->messages++;
    to->payload += bytes;
    to->tls += rg_tls_bytes(bytes);
}

void rg_allreduce_loads(struct rg_algorithm how, int members, int me, size_t count,
                        struct rg_load *sent, struct rg_load *received)
{
    for (int t = 0; t < rg_reduce_steps(how, members); t++) {
        struct rg_reduce_step s = rg_reduce_step(how, members, me, count, t);
        if (s.to >= 0)
            load(sent, s.out.count);
        if (s.from >= 0)
            load(received, s.in.count);
    }
}

static int rank_of(struct rg_group group, int index)
{
    return group.first + index % group.count * group.stride;
}

static void ring_flows(struct rg_group group, size_t count, rg_traffic_fn flow, void *arg)
{
    int n = group.count;
    const struct rg_piece whole = {0, count};
    for (int i = 0; i < n && n > 1; i++) {
        /* all chunks but one on the way to the sums, all but another with them */
        size_t floats = 2 * count - rg_chunk(whole, n, (i + 1) % n).count -
                        rg_chunk(whole, n, (i + 2) % n).count;
        flow(arg, &(struct rg_traffic){rank_of(group, i), rank_of(group, i + 1),
                                       2 * (uint64_t)(n - 1), sizeof(float) * (uint64_t)floats});
    }
}

void rg_allreduce_flows(struct rg_algorithm how, struct rg_group group, size_t count,
                        rg_traffic_fn flow, void *arg)
{
    if (how.kind == RG_RING) {
        ring_flows(group, count, flow, arg);
        return;
    }
    for (int i = 0; i < group.count; i++)
        for (int t = 0; t < rg_reduce_steps(how, group.count); t++) {
            struct rg_reduce_step s = rg_reduce_step(how, group.count, i, count, t);
            if (s.to >= 0)
                flow(arg, &(struct rg_traffic){rank_of(group, i), rank_of(group, s.to), 1,
                                               sizeof(float) * (uint64_t)s.out.count});
        }
}
