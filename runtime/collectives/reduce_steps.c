/* The steps of each algorithm. */
#include "collectives/reduce_steps_parts.h"

#include "base/check.h"

struct rg_piece rg_chunk(struct rg_piece whole, int n, int c)
{
    size_t each = whole.count / (size_t)n, more = whole.count % (size_t)n, at = (size_t)c;
    return (struct rg_piece){whole.first + each * at + RG_MIN(at, more), each + (at < more)};
}

static const struct rg_reduce_step idle = {.to = -1, .from = -1};

static int log2_up(int n)
{
    int k = 0;
    while (1 << k < n)
        k++;
    return k;
}

/* ---- ring (Patarasuk and Yuan 2009) ---- */

/* In step t < n - 1 a member sends chunk me - t (its sum so far) and adds what it receives to chunk
 * me - t - 1; in the n - 1 steps after that it passes finished chunks on by the same rule. */
static struct rg_reduce_step ring_step(int n, int me, struct rg_piece whole, int step)
{
    int in = ((me - step - 1) % n + n) % n;
    return (struct rg_reduce_step){.to = (me + 1) % n,
                                   .from = (me + n - 1) % n,
                                   .out = rg_chunk(whole, n, (in + 1) % n),
                                   .in = rg_chunk(whole, n, in),
                                   .add = step < n - 1};
}

/* ---- tree: a binomial one to member 0 and back ---- */

static struct rg_reduce_step tree_step(int n, int me, struct rg_piece whole, int step)
{
    int k = log2_up(n), up = step < k, distance = 1 << (up ? step : 2 * k - 1 - step);
    bool child = me % (2 * distance) == distance;
    bool parent = me % (2 * distance) == 0 && me + distance < n;
    int other = child ? me - distance : parent ? me + distance : -1;
    struct rg_reduce_step s = {.to = -1, .from = -1, .out = whole, .in = whole, .add = up};
    *(child == up ? &s.to : &s.from) = other;
    return s;
}

/* ---- halving and doubling (Thakur, Rabenseifner, Gropp 2005, section 4.5) ---- */

int rg_reduce_core(int members)
{
    return 1 << (log2_up(members + 1) - 1);
}

static int member_of_core(int n, int core)
{
    int paired = n - rg_reduce_core(n);
    return core < paired ? 2 * core + 1 : core + paired;
}

/* The half of a piece that a member keeps at a distance, and the one it gives away. */
static struct rg_piece half(struct rg_piece whole, int core, int bit, bool kept)
{
    return rg_chunk(whole, 2, (core >> bit & 1) == kept);
}

static struct rg_reduce_step core_step(int n, int core, struct rg_piece whole, int step)
{
    int k = log2_up(rg_reduce_core(n)), bit = step < k ? step : 2 * k - 1 - step;
    for (int i = 0; i < bit; i++)
        whole = half(whole, core, i, true);
    struct rg_piece kept = half(whole, core, bit, true), given = half(whole, core, bit, false);
    bool add = step < k;
    int other = member_of_core(n, core ^ 1 << bit);
    return (struct rg_reduce_step){.to = other,
                                   .from = other,
                                   .out = add ? given : kept,
                                   .in = add ? kept : given,
                                   .add = add};
}

/* ---- doubling (the same, section 4.2): all numbers in every step ---- */

static struct rg_reduce_step doubling_step(int n, int core, struct rg_piece whole, int step)
{
    int other = member_of_core(n, core ^ 1 << step);
    return (struct rg_reduce_step){
        .to = other, .from = other, .out = whole, .in = whole, .add = true, .copied = true};
}

bool rg_reduce_copies_out(struct rg_algorithm how)
{
    return how.kind == RG_DOUBLING;
}

/* ---- those that take powers of two ---- */

static struct rg_reduce_step paired_step(struct rg_algorithm how, int n, int me,
                                         struct rg_piece whole, int step)
{
    struct rg_reduce_step (*core)(int, int, struct rg_piece, int) =
        how.kind == RG_HALVING ? core_step : doubling_step;
    int paired = n - rg_reduce_core(n), last = rg_reduce_steps(how, n) - 1;
    bool outside = me < 2 * paired && me % 2 == 0;
    if (paired == 0)
        return core(n, me, whole, step);
    if (step > 0 && step < last)
        return outside ? idle : core(n, me < 2 * paired ? me / 2 : me - paired, whole, step - 1);
    if (me >= 2 * paired)
        return idle;
    bool first = step == 0;
    struct rg_reduce_step s = {.to = -1, .from = -1, .out = whole, .in = whole, .add = first};
    *(outside == first ? &s.to : &s.from) = outside ? me + 1 : me - 1;
    return s;
}

/* ---- hierarchical: rings in groups of neighbours, then rings of those of the same place ---- */

/* In the first inner - 1 steps each member of a group gets the group's sum of one chunk; that is
 * summed among those who have it of their groups, and then goes round the group. */
static struct rg_reduce_step hierarchical_step(int n, int inner, int me, struct rg_piece whole,
                                               int step)
{
    int groups = n / inner, mine = me / inner, place = me % inner;
    int across = 2 * (groups - 1), before = inner - 1;
    struct rg_reduce_step s;
    if (step < before || step >= before + across) {
        s = ring_step(inner, place, whole, step < before ? step : step - across);
        s.to += mine * inner;
        s.from += mine * inner;
    } else {
        s = ring_step(groups, mine, rg_chunk(whole, inner, (place + 1) % inner), step - before);
        s.to = s.to * inner + place;
        s.from = s.from * inner + place;
    }
    return s;
}

/* ---- all of them ---- */

int rg_reduce_steps(struct rg_algorithm how, int n)
{
    switch (how.kind) {
    case RG_RING:
        return 2 * (n - 1);
    case RG_TREE:
        return 2 * log2_up(n);
    case RG_HALVING:
        return 2 * (log2_up(rg_reduce_core(n)) + (rg_reduce_core(n) < n));
    case RG_DOUBLING:
        return log2_up(rg_reduce_core(n)) + 2 * (rg_reduce_core(n) < n);
    case RG_HIERARCHICAL:
        return 2 * (how.inner - 1 + n / how.inner - 1);
    }
    RG_ASSERT(!"an algorithm");
    return 0;
}

struct rg_reduce_step rg_reduce_step(struct rg_algorithm how, int n, int me, size_t count, int step)
{
    struct rg_piece whole = {0, count};
    switch (how.kind) {
    case RG_RING:
        return ring_step(n, me, whole, step);
    case RG_TREE:
        return tree_step(n, me, whole, step);
    case RG_HALVING:
    case RG_DOUBLING:
        return paired_step(how, n, me, whole, step);
    case RG_HIERARCHICAL:
        return hierarchical_step(n, how.inner, me, whole, step);
    }
    RG_ASSERT(!"an algorithm");
    return idle;
}

size_t rg_reduce_largest(struct rg_algorithm how, int n, int me, size_t count)
{
    struct rg_piece whole = {0, count};
    int paired = n - rg_reduce_core(n);
    if (n == 1)
        return 0;
    switch (how.kind) {
    case RG_RING:
        return rg_chunk(whole, n, 0).count;
    case RG_TREE:
        return me % 2 == 0 && me + 1 < n ? count : 0;
    case RG_HALVING:
        if (me < 2 * paired)
            return me % 2 ? count : 0;
        return rg_chunk(whole, 2, 0).count;
    case RG_DOUBLING:
        return me < 2 * paired && me % 2 == 0 ? 0 : count;
    case RG_HIERARCHICAL:
        return rg_chunk(whole, how.inner > 1 ? how.inner : n, 0).count;
    }
    RG_ASSERT(!"an algorithm");
    return 0;
}
