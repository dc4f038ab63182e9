/* Steps are those of the ring: a member sends its sum of a chunk so far and adds the next to what
 * comes in; then it sends the chunk that is whole, and passes on what comes in as it came, so that
 * all decode the same bytes. */
#include "collectives/coded_ring.h"

#include "base/check.h"
#include "base/random.h"
#include "base/sizes.h"
#include "collectives/reduce_steps_parts.h"
#include <math.h>

static uint64_t chunk_bytes(struct rg_codec codec, int members, size_t count)
{
    return rg_coded_bytes(codec, rg_chunk((struct rg_piece){0, count}, members, 0).count);
}

uint64_t rg_coded_ring_memory(struct rg_codec codec, int members, size_t capacity)
{
    return members > 1
               ? rg_size_times(RG_CODED_IN + RG_CODED_OUT, chunk_bytes(codec, members, capacity))
               : 0;
}

int rg_coded_ring_open(struct rg_coded_ring *ring, struct rg_world *w, struct rg_group group,
                       struct rg_codec codec, size_t capacity, uint32_t tag)
{
    size_t bytes = (size_t)chunk_bytes(codec, group.count, capacity); /* fits: it was counted */
    *ring = (struct rg_coded_ring){.group = group,
                                   .codec = codec,
                                   .me = (w->rank - group.first) / group.stride,
                                   .capacity = capacity,
                                   .tag = tag};
    for (int i = 0; i < RG_CODED_IN && group.count > 1; i++)
        if (!(ring->in[i] = rg_mem_alloc(w->mem, bytes, 0)))
            return RG_ERR_NOMEM;
    for (int i = 0; i < RG_CODED_OUT && group.count > 1; i++)
        if (!(ring->out[i] = rg_mem_alloc(w->mem, bytes, 0)))
            return RG_ERR_NOMEM;
    return 0;
}

/* ---- computing ---- */

struct coding {
    const struct rg_coded_ring *ring;
    float *data, *rest;
    size_t count;
    uint64_t dice;
    void *bytes;
    bool add, good;
};

static void encode(void *arg)
{
    struct coding *c = arg;
    rg_encode(c->ring->codec, c->count, c->data, c->rest, c->dice, c->bytes);
}

static void decode(void *arg)
{
    struct coding *c = arg;
    c->good = rg_decode(c->ring->codec, c->count, c->bytes, c->data, c->add);
}

static int encode_piece(struct rg_coded_ring *ring, struct coding coding, int step)
{
    struct rg_cost cost = rg_encode_cost(ring->codec, coding.count);
    const struct rg_work work = {.cost = &cost, .count = 1};
    return rg_compute(ring->w, &work, "encode", step, encode, &coding);
}

static int decode_piece(struct rg_coded_ring *ring, struct coding coding, int step)
{
    struct rg_cost cost = rg_decode_cost(ring->codec, coding.count, coding.add);
    const struct rg_work work = {.cost = &cost, .count = 1};
    coding.good = true;
    int result = rg_compute(ring->w, &work, "decode", step, decode, &coding);
    return result || coding.good ? result : RG_ERR_PROTOCOL;
}

/* ---- steps ---- */

static struct rg_reduce_step step_of(const struct rg_coded_ring *ring, int step)
{
    return rg_reduce_step(RG_ROUND_A_RING, ring->group.count, ring->me, ring->count, step);
}

static int member(const struct rg_coded_ring *ring, int index)
{
    return ring->group.first + index * ring->group.stride;
}

static int post(struct rg_coded_ring *ring, int step)
{
    if (step >= 2 * (ring->group.count - 1))
        return 0;
    struct rg_reduce_step s = step_of(ring, step);
    int at = step % RG_CODED_IN;
    return rg_recv(ring->w, member(ring, s.from), ring->tag, ring->in[at],
                   rg_coded_bytes(ring->codec, s.in.count), &ring->received[at]);
}

static int send(struct rg_coded_ring *ring, const struct rg_reduce_step *s, const void *bytes,
                int step)
{
    struct rg_request *request = &ring->sent[step % RG_CODED_OUT];
    int result = rg_send(ring->w, member(ring, s->to), ring->tag, bytes,
                         rg_coded_bytes(ring->codec, s->out.count), request);
    if (result == 0)
        rg_count_values(ring->w, member(ring, s->to), rg_coded_numbers(ring->codec, s->out.count));
    return result;
}

/* The rest is this member's own; so are its draws, one in each of its steps. */
static int send_own(struct rg_coded_ring *ring, const struct rg_reduce_step *s, float *data,
                    float *rest, uint64_t dice, int step)
{
    void *bytes = ring->out[step % RG_CODED_OUT];
    struct coding coding = {
        .ring = ring,
        .data = data + s->out.first,
        .rest = rest + s->out.first,
        .count = s->out.count,
        .dice = rg_mix64(dice + rg_mix64((uint64_t)ring->w->rank << 32 | (uint64_t)step)),
        .bytes = bytes};
    int result = encode_piece(ring, coding, step);
    if (result == 0)
        result = send(ring, s, bytes, step);
    if (result == 0 && !s->add) /* the whole sum, as all others will have it */
        result = decode_piece(ring, coding, step);
    return result;
}

/* What came in a step before goes on, and is decoded as it leaves. */
static int pass_on(struct rg_coded_ring *ring, const struct rg_reduce_step *s, float *data,
                   int step)
{
    void *bytes = ring->in[(step - 1) % RG_CODED_IN];
    int result = send(ring, s, bytes, step);
    return result ? result
                  : decode_piece(ring,
                                 (struct coding){.ring = ring,
                                                 .data = data + s->out.first,
                                                 .count = s->out.count,
                                                 .bytes = bytes},
                                 step);
}

/* A buffer that comes in again in two steps was last sent the step before, one that goes out
 * again two steps ago. */
static int take_step(struct rg_coded_ring *ring, float *data, float *rest, uint64_t dice, int step)
{
    struct rg_reduce_step s = step_of(ring, step);
    int half = ring->group.count - 1, at = step % RG_CODED_IN;
    int result = rg_wait(ring->w, &ring->sent[step % RG_CODED_OUT]);
    if (result == 0)
        result = step <= half ? send_own(ring, &s, data, rest, dice, step)
                              : pass_on(ring, &s, data, step);
    if (result == 0)
        result = rg_wait(ring->w, &ring->received[at]);
    struct coding coming = {.ring = ring,
                            .data = data + s.in.first,
                            .count = s.in.count,
                            .bytes = ring->in[at],
                            .add = s.add};
    if (result == 0 && (s.add || step == 2 * half - 1))
        result = decode_piece(ring, coming, step);
    if (result == 0)
        result = rg_wait(ring->w, &ring->sent[(step + 1) % RG_CODED_OUT]);
    return result ? result : post(ring, step + 2);
}

int rg_coded_ring_prepare(struct rg_coded_ring *ring, struct rg_world *w, size_t count)
{
    RG_ASSERT(!ring->under_way && count <= ring->capacity);
    if (ring->group.count == 1)
        return 0;
    int result = ring->w ? rg_coded_ring_settle(ring) : 0; /* buffers that still leave */
    ring->under_way = true;
    ring->w = w;
    ring->count = count;
    if (result == 0)
        result = post(ring, 0);
    return result ? result : post(ring, 1);
}

int rg_coded_ring_run(struct rg_coded_ring *ring, struct rg_world *w, float *data, size_t count,
                      float *rest, uint64_t dice)
{
    int result = ring->under_way ? 0 : rg_coded_ring_prepare(ring, w, count);
    RG_ASSERT(ring->group.count == 1 || (ring->w == w && ring->count == count));
    for (int step = 0; step < 2 * (ring->group.count - 1) && result == 0; step++)
        result = take_step(ring, data, rest, dice, step);
    if (result)
        rg_coded_ring_cancel(ring);
    ring->under_way = false;
    return result;
}

int rg_coded_ring_settle(struct rg_coded_ring *ring)
{
    int result = 0;
    for (int i = 0; i < RG_CODED_OUT && ring->w; i++) {
        int one = rg_wait(ring->w, &ring->sent[i]);
        result = result ? result : one;
    }
    return result;
}

void rg_coded_ring_cancel(struct rg_coded_ring *ring)
{
    for (int i = 0; i < RG_CODED_IN; i++)
        rg_cancel(ring->w, &ring->received[i]);
    for (int i = 0; i < RG_CODED_OUT; i++)
        rg_cancel(ring->w, &ring->sent[i]);
    ring->under_way = false;
}

/* ---- closed forms ---- */

static double coding_s(const struct rg_board *board, int threads, struct rg_cost cost)
{
    const struct rg_work work = {.cost = &cost, .count = 1};
    return rg_board_seconds(board, &work, threads);
}

double rg_coded_ring_compute_s(struct rg_codec codec, const struct rg_board *board, int threads,
                               int members, int me, size_t count)
{
    double seconds = 0;
    for (int c = 0; c < members && members > 1; c++) { /* each is encoded, added, taken whole */
        size_t n = rg_chunk((struct rg_piece){0, count}, members, c).count;
        seconds += coding_s(board, threads, rg_encode_cost(codec, n)) +
                   coding_s(board, threads, rg_decode_cost(codec, n, true)) +
                   coding_s(board, threads, rg_decode_cost(codec, n, false));
    }
    size_t begun = rg_chunk((struct rg_piece){0, count}, members, me).count; /* nothing comes in */
    return members > 1 ? seconds - coding_s(board, threads, rg_decode_cost(codec, begun, true)) : 0;
}

/* The slowest hop, encoding and decoding of a step set the pace: N - 1 steps of all three, then the
 * whole sum is encoded, and N - 1 hops in which what came before is decoded. */
double rg_coded_ring_seconds(struct rg_codec codec, const struct rg_board *const *boards,
                             int stride, int threads, int members, size_t count)
{
    size_t n = rg_chunk((struct rg_piece){0, count}, members, 0).count;
    double hop = rg_ring_hop_s(boards, stride, members, rg_coded_bytes(codec, n)), code = 0,
           add = 0, take = 0;
    for (int i = 0; i < members; i++) {
        const struct rg_board *board = boards[i * stride];
        if (i > 0 && board == boards[(i - 1) * stride])
            continue; /* as the one before */
        code = fmax(code, coding_s(board, threads, rg_encode_cost(codec, n)));
        add = fmax(add, coding_s(board, threads, rg_decode_cost(codec, n, true)));
        take = fmax(take, coding_s(board, threads, rg_decode_cost(codec, n, false)));
    }
    return (members - 1) * (code + hop + add) + code + (members - 1) * fmax(hop, take) + take;
}

/* A member sends every chunk twice, but the one that is whole at the next member, and the one that
 * it has whole itself first. */
void rg_coded_ring_flows(struct rg_codec codec, struct rg_group group, size_t count,
                         rg_traffic_fn flow, void *arg)
{
    int n = group.count;
    uint64_t all = 0;
    for (int c = 0; c < n; c++)
        all += rg_coded_bytes(codec, rg_chunk((struct rg_piece){0, count}, n, c).count);
    for (int i = 0; i < n && n > 1; i++) {
        uint64_t own = rg_coded_bytes(codec, rg_own_chunk(n, i, count).count);
        uint64_t next = rg_coded_bytes(codec, rg_own_chunk(n, (i + 1) % n, count).count);
        flow(arg, &(struct rg_traffic){group.first + i * group.stride,
                                       group.first + (i + 1) % n * group.stride,
                                       2 * (uint64_t)(n - 1), 2 * all - own - next});
    }
}

uint64_t rg_coded_ring_numbers(struct rg_codec codec, int members, size_t count)
{
    uint64_t numbers = 0;
    for (int c = 0; c < members; c++)
        numbers += rg_coded_numbers(codec, rg_chunk((struct rg_piece){0, count}, members, c).count);
    return 2 * (uint64_t)(members - 1) * numbers;
}
