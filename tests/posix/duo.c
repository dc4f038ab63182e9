#include "tests/posix/duo_parts.h"

#include "base/check.h"
#include "base/random.h"
#include "posix/stream.h"
#include <stdlib.h>
#include <string.h>

enum { ORACLE_ROOM = 16 << 20, GIVEN_BACK = 0x5a };

uint64_t duo_dice(struct duo *d, uint64_t below)
{
    d->dice = rg_mix64(d->dice + 1);
    return d->dice % below;
}

/* ---- data ---- */

/* The serial, then words that follow from it and their place. */
static void fill(unsigned char *to, size_t bytes, uint64_t serial)
{
    uint64_t word = serial;
    for (size_t i = 0; i < bytes; i += sizeof word) {
        memcpy(to + i, &word, RG_MIN(sizeof word, bytes - i));
        word += serial * 0x9e3779b97f4a7c15u + 1;
    }
}

static bool is_filled(const unsigned char *from, size_t bytes, uint64_t serial)
{
    uint64_t word = serial;
    for (size_t i = 0; i < bytes; i += sizeof word) {
        if (memcmp(from + i, &word, RG_MIN(sizeof word, bytes - i)) != 0)
            return false;
        word += serial * 0x9e3779b97f4a7c15u + 1;
    }
    return true;
}

static bool is_all(const unsigned char *from, size_t bytes, int value)
{
    return bytes == 0 || (from[0] == value && memcmp(from, from + 1, bytes - 1) == 0);
}

/* ---- what matching asks for ---- */

static double match_now(void *world)
{
    const struct duo_rank *r = world;
    return r->duo->now;
}

static void match_dirty(void *world, struct rg_pair *p)
{
    struct duo_rank *r = world;
    if (p == r->peer)
        r->dirty = true;
}

static void match_complete(void *world, struct rg_transfer *t)
{
    struct duo_rank *r = world;
    DUO_REQUIRE(r->duo, t->request && t->done);
}

static void match_changed(void *world)
{
    (void)world; /* ranks that wait look all the time */
}

static void match_lost(void *world, struct rg_pair *teller, int rank, const char *why)
{
    struct duo_rank *r = world;
    (void)teller;
    DUO_REQUIRE(r->duo, strcmp(why, "it was dull") == 0);
    r->lost = rank;
}

static void match_fail(void *world, struct rg_pair *p, int code, const char *why)
{
    struct duo_rank *r = world;
    (void)p, (void)code, (void)why;
    DUO_REQUIRE(r->duo, !"matching failed");
}

static const struct rg_match_ops match_ops = {.now = match_now,
                                              .dirty = match_dirty,
                                              .complete = match_complete,
                                              .changed = match_changed,
                                              .lost = match_lost,
                                              .fail = match_fail};

/* ---- posting ---- */

static void disown(struct duo_post *post)
{
    post->t->request = NULL;
    rg_match_release(post->t);
    post->t = NULL;
}

static struct duo_post *new_post(struct duo *d, int rank, int peer, uint32_t tag, size_t bytes,
                                 unsigned flags)
{
    struct duo_rank *r = &d->rank[rank];
    struct duo_post *post = NULL;
    d->now += 1e-6;
    for (int i = 0; i < DUO_POSTS && !post; i++)
        post = r->posts[i].used ? NULL : &r->posts[i];
    if (!post)
        return NULL;
    *post = (struct duo_post){.request = {.status = RG_PENDING,
                                          .capacity = bytes,
                                          .peer = peer,
                                          .tag = tag,
                                          .flags = flags},
                              .buffer = malloc(RG_MAX(bytes, 1)),
                              .bytes = bytes,
                              .used = true,
                              .send = flags & RG_REQUEST_SEND};
    post->serial = ++d->serial;
    post->t = rg_match_take_transfer(&r->match);
    RG_ASSERT(post->buffer && post->t);
    *post->t = (struct rg_transfer){.request = &post->request,
                                    .pair = &r->match.pairs[peer],
                                    .buffer = post->buffer,
                                    .bytes = bytes,
                                    .tag = tag,
                                    .send = post->send,
                                    .upto = flags & RG_REQUEST_UPTO};
    return post;
}

/* It has been refused: the oracle, which knows of the peer what the rank knows, must say so too. */
static struct duo_post *refused(struct duo *d, int rank, struct duo_post *post, int result)
{
    duo_ask(d, rank, post);
    DUO_REQUIRE(d, d->loose || post->oracle.status == result);
    duo_unask(d, rank, post);
    disown(post);
    duo_free_post(post);
    d->errors++;
    return NULL;
}

struct duo_post *duo_send(struct duo *d, int rank, int peer, uint32_t tag, size_t bytes)
{
    struct duo_rank *r = &d->rank[rank];
    struct duo_post *post = new_post(d, rank, peer, tag, bytes, RG_REQUEST_SEND);
    if (!post)
        return NULL;
    fill(post->buffer, bytes, post->serial);
    int result = rg_match_send(post->t->pair, post->t);
    if (result)
        return refused(d, rank, post, result);
    if (peer == rank) {
        duo_ask(d, rank, post);
        rg_match_self(&r->match.pairs[rank]);
    } else {
        r->dirty = true;
    }
    duo_settle(d);
    return post;
}

struct duo_post *duo_recv(struct duo *d, int rank, int peer, uint32_t tag, size_t bytes, bool upto)
{
    struct duo_rank *r = &d->rank[rank];
    struct duo_post *post = new_post(d, rank, peer, tag, bytes, upto ? RG_REQUEST_UPTO : 0);
    if (!post)
        return NULL;
    int result = rg_match_recv(post->t->pair, post->t);
    if (result)
        return refused(d, rank, post, result);
    duo_ask(d, rank, post);
    if (peer == rank)
        rg_match_self(&r->match.pairs[rank]);
    duo_settle(d);
    return post;
}

bool duo_is_done(const struct duo_post *post)
{
    return post->used && post->t && post->t->done && !post->abandoned;
}

/* What has come is one message, whole; receives of a tag have taken messages in their order. */
static void check_data(struct duo *d, int rank, const struct duo_post *post, size_t bytes)
{
    struct duo_rank *r = &d->rank[rank];
    struct duo_taken now = {
        .peer = post->request.peer, .tag = post->request.tag, .order = post->serial};
    if (bytes < sizeof now.serial)
        return;
    memcpy(&now.serial, post->buffer, sizeof now.serial);
    DUO_REQUIRE(d, is_filled(post->buffer, bytes, now.serial));
    for (size_t i = 0; i < r->taken_count; i++) {
        const struct duo_taken *other = &r->taken[i];
        if (other->peer == now.peer && other->tag == now.tag)
            DUO_REQUIRE(d, (other->order < now.order) == (other->serial < now.serial));
    }
    DUO_REQUIRE(d, r->taken_count < DUO_TAKEN);
    if (r->taken_count < DUO_TAKEN)
        r->taken[r->taken_count++] = now;
}

int duo_look(struct duo *d, int rank, struct duo_post *post)
{
    struct rg_transfer *t = post->t;
    RG_ASSERT(t && t->done);
    int status = t->outcome;
    DUO_REQUIRE(d, status == 0 || status == RG_ERR_LENGTH || status == RG_ERR_PEER);
    d->errors += status != 0;
    if (!post->send && status == 0) {
        check_data(d, rank, post, t->arrived);
        d->late += t->late;
    }
    post->request.status = status;
    if (post->send)
        memset(post->buffer, GIVEN_BACK, post->bytes);
    disown(post);
    if (!post->asked || post->answered || d->loose) {
        duo_unask(d, rank, post);
        duo_free_post(post);
    }
    return status;
}

void duo_cancel(struct duo *d, int rank, struct duo_post *post)
{
    struct duo_rank *r = &d->rank[rank];
    struct rg_pair *p = post->t->pair;
    if (post->t->done) {
        duo_look(d, rank, post);
        return;
    }
    d->cancels++;
    if (!rg_match_cancel(p, post->t)) {
        post->abandoned = true;
        return;
    }
    if (!post->send && p == r->peer)
        d->way[1 - rank].cancelled++;
    duo_unask(d, rank, post);
    DUO_REQUIRE(d, d->loose || !post->asked || post->oracle.status == RG_ERR_CANCELLED);
    disown(post);
    memset(post->buffer, GIVEN_BACK, post->bytes); /* kept to the end of the run, to be looked at */
    if (p->rank == rank)
        rg_match_self(p);
    duo_settle(d);
}

/* ---- bytes ---- */

bool duo_write(struct duo *d, int rank, size_t most)
{
    struct duo_rank *r = &d->rank[rank];
    struct duo_way *way = &d->way[rank];
    if (r->dead || r->peer->gone || !(r->dirty || r->full))
        return false;
    struct rg_batch batch;
    r->dirty = false;
    rg_stream_plan(r->peer, &batch);
    duo_note_started(d, rank);
    size_t left = RG_MIN(most, batch.bytes);
    if (!d->rank[1 - rank].dead)
        left = RG_MIN(left, way->room - (way->end - way->begin));
    size_t wrote = left;
    if (way->end + wrote > DUO_PIPE) {
        memmove(way->bytes, way->bytes + way->begin, way->end - way->begin);
        way->end -= way->begin;
        way->begin = 0;
    }
    for (int i = 0; i < batch.parts && left > 0; i++) {
        size_t n = RG_MIN(left, batch.part[i].iov_len);
        if (!d->rank[1 - rank].dead) { /* else its socket swallows it */
            memcpy(way->bytes + way->end, batch.part[i].iov_base, n);
            way->end += n;
        }
        left -= n;
    }
    rg_stream_wrote(r->peer, wrote);
    r->full = batch.bytes > 0;
    duo_settle(d);
    return wrote > 0;
}

static void hang_up(struct duo *d, int rank)
{
    d->rank[rank].dirty = d->rank[rank].full = false;
    d->way[rank].closed = true;
    rg_match_gone(d->rank[rank].peer);
    duo_settle(d);
}

bool duo_read(struct duo *d, int rank, size_t most)
{
    struct duo_rank *r = &d->rank[rank];
    struct duo_way *way = &d->way[1 - rank];
    size_t left = RG_MIN(most, way->end - way->begin), read = 0;
    if (r->dead || r->peer->gone)
        return false;
    if (way->begin == way->end) {
        if (way->closed) {
            r->lost = r->state == DUO_LEAVING ? r->lost : 1 - rank;
            hang_up(d, rank);
        }
        return way->closed;
    }
    struct iovec part[2];
    rg_stream_room(r->peer, part);
    for (int i = 0; i < 2; i++) {
        size_t n = RG_MIN(left, part[i].iov_len);
        if (n > 0)
            memcpy(part[i].iov_base, way->bytes + way->begin, n);
        way->begin += n;
        left -= n;
        read += n;
    }
    const char *nonsense = read > 0 ? rg_stream_read(r->peer, read) : NULL;
    if (nonsense && !d->wrong)
        fprintf(stderr, "rank %d: it broke the protocol: %s\n", rank, nonsense);
    DUO_REQUIRE(d, nonsense == NULL);
    if (r->peer->goodbye)
        hang_up(d, rank);
    duo_settle(d);
    return read > 0;
}

/* ---- quiet ---- */

void duo_drain(struct duo *d)
{
    bool more = true;
    while (more && !d->wrong) {
        more = false;
        for (int rank = 0; rank < 2; rank++) {
            more |= duo_write(d, rank, DUO_PIPE);
            more |= duo_read(d, rank, DUO_PIPE);
        }
    }
    if (d->rank[0].state != DUO_RUNNING || d->rank[1].state != DUO_RUNNING || d->wrong)
        return;
    d->quiet++;
    for (int rank = 0; rank < 2; rank++) {
        struct rg_batch batch;
        rg_stream_plan(d->rank[rank].peer, &batch);
        DUO_REQUIRE(d, batch.bytes == 0); /* it was not told that there is something to write */
        DUO_REQUIRE(d, !d->rank[rank].peer->writing);
        if (d->loose)
            continue;
        duo_check_quiet(d, rank);
    }
}

/* ---- runs ---- */

/* What programs had given up by the end of the run was left alone. */
static void bury(struct duo *d, int rank)
{
    for (int i = 0; i < DUO_POSTS; i++) {
        struct duo_post *post = &d->rank[rank].posts[i];
        if (!post->used)
            continue;
        DUO_REQUIRE(d, !post->t);
        if (!post->t) {
            DUO_REQUIRE(d, post->request.status != RG_PENDING ||
                               is_all(post->buffer, post->bytes, GIVEN_BACK));
            duo_free_post(post);
        }
    }
}

static void leave_oracle(struct duo *d, int rank)
{
    d->rank[rank].in_oracle = false;
    if (!d->x || d->rank[1 - rank].in_oracle)
        return;
    rg_exchange_free(d->x);
    d->x = NULL;
    bury(d, 0);
    bury(d, 1);
}

void duo_begin(struct duo *d, int rank)
{
    struct duo_rank *r = &d->rank[rank];
    RG_ASSERT(r->state == DUO_IDLE);
    rg_match_begin_run(&r->match, 2);
    r->match.barrier = 1;
    rg_match_say_barrier(r->peer);
    r->state = DUO_MEETING;
}

static bool all_written(struct duo_rank *r)
{
    bool all = !r->peer->tx_barrier || r->peer->gone;
    for (int i = 0; i < DUO_POSTS; i++) {
        struct duo_post *post = &r->posts[i];
        if (!post->used || !post->t)
            continue;
        if (!post->t->done && post->t->listed && !rg_match_is_written(post->t)) {
            all = false;
            continue;
        }
        memset(post->buffer, GIVEN_BACK, post->bytes);
        disown(post);
    }
    return all;
}

void duo_poll(struct duo *d, int rank)
{
    struct duo_rank *r = &d->rank[rank];
    if (r->state == DUO_MEETING) {
        int heard = rg_match_heard_barrier(r->peer);
        if (heard == 0) {
            duo_open_oracle(d);
            r->state = DUO_RUNNING;
            duo_settle(d);
        } else if (heard != RG_PENDING) {
            r->state = DUO_ENDING;
        }
    } else if (r->state == DUO_ENDING) {
        if (!all_written(r))
            return;
        rg_match_end_run(&r->match, r->lost, "it was dull");
        r->state = DUO_IDLE;
        leave_oracle(d, rank);
    } else if (r->state == DUO_LEAVING && r->peer->gone) {
        r->state = DUO_OVER;
    } else if (r->state == DUO_RUNNING) {
        for (int i = 0; i < DUO_POSTS; i++) { /* its buffer goes back once all of it is written */
            struct duo_post *post = &r->posts[i];
            if (!post->abandoned || !post->t || !(post->t->done || rg_match_is_written(post->t)))
                continue;
            memset(post->buffer, GIVEN_BACK, post->bytes);
            disown(post);
        }
    }
}

void duo_end(struct duo *d, int rank)
{
    struct duo_rank *r = &d->rank[rank];
    RG_ASSERT(r->state == DUO_RUNNING);
    r->match.closing = true;
    for (int i = 0; i < DUO_POSTS; i++) {
        struct duo_post *post = &r->posts[i];
        if (!post->used || !post->t)
            continue;
        if (!post->send)
            d->way[1 - rank].cancelled++;
        if (!post->t->done && !rg_match_cancel(post->t->pair, post->t))
            continue;
        if (!post->send || !post->asked || post->request.peer == rank)
            duo_unask(d, rank, post);
        disown(post);
        memset(post->buffer, GIVEN_BACK, post->bytes);
    }
    r->match.closing = false;
    r->state = DUO_ENDING;
    duo_settle(d);
}

void duo_leave(struct duo *d, int rank)
{
    RG_ASSERT(d->rank[rank].state == DUO_IDLE);
    rg_match_say_goodbye(&d->rank[rank].match);
    d->rank[rank].state = DUO_LEAVING;
}

void duo_die(struct duo *d, int rank)
{
    struct duo_rank *r = &d->rank[rank];
    struct duo_way *way = &d->way[rank];
    d->losses++;
    way->end = way->begin + duo_dice(d, way->end - way->begin + 1);
    way->closed = true;
    r->dead = true;
    for (int i = 0; i < DUO_POSTS; i++)
        if (r->posts[i].used && r->posts[i].t) {
            r->posts[i].t = NULL; /* matching's memory goes as a whole */
            memset(r->posts[i].buffer, GIVEN_BACK, r->posts[i].bytes);
        }
    rg_match_close(&r->match);
    r->state = DUO_OVER;
}

/* ---- open and close ---- */

void duo_open(struct duo *d, uint64_t seed)
{
    *d = (struct duo){.dice = seed};
    d->nowhere = rg_mem_new(RG_MEM_VIRTUAL);
    d->oracle_buffer = d->nowhere ? rg_mem_alloc(d->nowhere, ORACLE_ROOM, 0) : NULL;
    RG_ASSERT(d->oracle_buffer);
    for (int rank = 0; rank < 2; rank++) {
        struct duo_rank *r = &d->rank[rank];
        d->way[rank].bytes = malloc(DUO_PIPE);
        d->way[rank].room = DUO_PIPE;
        RG_ASSERT(d->way[rank].bytes && rg_match_open(&r->match, rank, 2, &match_ops, r) == 0);
        r->duo = d;
        r->peer = &r->match.pairs[1 - rank];
        r->peer->checks = seed >> rank & 1;
        r->lost = -1;
    }
}

/* All that matching had taken is among its spares again: whole slabs of 64. */
static void check_spares(struct duo *d, const struct rg_match *m)
{
    long transfers = 0, unexpected = 0;
    for (const struct rg_transfer *t = m->spare_transfers; t; t = t->next)
        transfers++;
    for (const struct rg_unexpected *u = m->spare_unexpected; u; u = u->next)
        unexpected++;
    for (const struct rg_unexpected *u = m->pairs[1 - m->rank].unexpected; u; u = u->next)
        unexpected++;
    for (const struct rg_unexpected *u = m->pairs[m->rank].unexpected; u; u = u->next)
        unexpected++;
    DUO_REQUIRE(d, transfers % 64 == 0 && unexpected % 64 == 0);
}

void duo_close(struct duo *d)
{
    for (int rank = 0; rank < 2; rank++) {
        if (d->rank[rank].dead)
            leave_oracle(d, rank);
        else if (!d->wrong)
            check_spares(d, &d->rank[rank].match);
    }
    for (int rank = 0; rank < 2; rank++) {
        for (int i = 0; i < DUO_POSTS; i++)
            free(d->rank[rank].posts[i].buffer);
        if (!d->rank[rank].dead)
            rg_match_close(&d->rank[rank].match);
        free(d->way[rank].bytes);
    }
    rg_exchange_free(d->x);
    rg_mem_free(d->nowhere);
}
