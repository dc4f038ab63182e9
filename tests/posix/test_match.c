/* Matching without sockets: cases worked by hand, and a fuzz test in which two ranks post, cancel,
 * leave and die at random while the bytes between them are cut anywhere (duo.h). RG_MATCH_SEED=N
 * runs one seed alone, RG_MATCH_SEEDS=N so many of them. */
#include "tests/posix/duo.h"

#include "base/check.h"
#include "posix/stream.h"
#include "tests/support/suite.h"
#include <malloc.h>
#include <stdlib.h>

enum { TAG = RG_TAG_USER, KIB = 1 << 10, MIB = 1 << 20 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) /* ten times as slow */
enum { SEEDS = 60 };
#else
enum { SEEDS = 300 };
#endif

/* Both ranks running. */
static void start(struct duo *d)
{
    duo_open(d, 1);
    duo_begin(d, 0);
    duo_begin(d, 1);
    duo_drain(d);
    duo_poll(d, 0);
    duo_poll(d, 1);
    CU_ASSERT_FATAL(d->rank[0].state == DUO_RUNNING && d->rank[1].state == DUO_RUNNING);
}

static void stop(struct duo *d)
{
    CU_ASSERT_PTR_NULL(d->wrong);
    if (d->wrong)
        printf("line %d: %s\n", d->wrong_line, d->wrong);
    duo_close(d);
}

/* The credit of a directed pair is RG_EAGER_LIMIT bytes: two halves go without a receive, a third
 * message only once a receive has taken one of them. */
static void test_credit(void)
{
    struct duo d;
    start(&d);
    struct duo_post *send[3];
    for (int i = 0; i < 3; i++)
        send[i] = duo_send(&d, 0, 1, TAG, MIB / 2);
    duo_drain(&d);
    const struct rg_pair *p = d.rank[0].peer;
    CU_ASSERT(duo_is_done(send[0]) && duo_is_done(send[1]) && !duo_is_done(send[2]));
    CU_ASSERT(p->tx_eager == MIB && p->tx_returned == 0 && p->head == send[2]->t && p->head->rts);
    struct duo_post *receive = duo_recv(&d, 1, 0, TAG, MIB / 2, false);
    CU_ASSERT(duo_is_done(receive) && receive->t->late);
    duo_drain(&d);
    CU_ASSERT(duo_is_done(send[2]) && send[2]->t->eager);
    CU_ASSERT(p->tx_eager == 3 * MIB / 2 && p->tx_returned == MIB / 2 && p->tx_returned_count == 1);
    for (int i = 0; i < 2; i++)
        CU_ASSERT_PTR_NOT_NULL(duo_recv(&d, 1, 0, TAG, MIB / 2, false));
    duo_drain(&d);
    CU_ASSERT(p->tx_eager == p->tx_returned && p->tx_eager_count == p->tx_returned_count);
    stop(&d);
}

/* All credit comes back in each of many rounds, also where the receive was there first (and its
 * message fits or not), is cancelled in the middle, or takes any length up to its room. */
static void test_credit_returns(void)
{
    struct duo d;
    start(&d);
    const struct rg_pair *p = d.rank[0].peer;
    for (int round = 0; round < 40; round++) {
        size_t bytes = 200 * KIB;
        bool first = round % 2, fits = round % 3, upto = round % 5 == 0, cancelled = round % 7 == 1;
        struct duo_post *receive = NULL;
        if (first)
            receive = duo_recv(&d, 1, 0, TAG, fits || upto ? bytes : bytes / 2, upto);
        struct duo_post *send = duo_send(&d, 0, 1, TAG, bytes);
        duo_write(&d, 0, 100 * KIB);
        duo_read(&d, 1, 50 * KIB);
        if (cancelled && first && !duo_is_done(receive)) {
            duo_cancel(&d, 1, receive);
            receive = NULL;
        }
        duo_drain(&d);
        if (!receive)
            receive = duo_recv(&d, 1, 0, TAG, bytes, false);
        duo_drain(&d);
        CU_ASSERT_FATAL(duo_is_done(receive) && duo_is_done(send));
        duo_look(&d, 1, receive);
        CU_ASSERT_EQUAL(duo_look(&d, 0, send), 0);
        CU_ASSERT(p->tx_eager == p->tx_returned && p->tx_eager_count == p->tx_returned_count);
    }
    stop(&d);
}

/* A receive larger than RG_ANNOUNCE_ABOVE is told of: its message needs no RTS. One that comes
 * before its receive does. */
static void test_rendezvous(void)
{
    struct duo d;
    start(&d);
    struct duo_post *receive = duo_recv(&d, 1, 0, TAG, 2 * MIB, false);
    duo_drain(&d);
    struct duo_post *send = duo_send(&d, 0, 1, TAG, 2 * MIB);
    CU_ASSERT(send->t->cleared);
    duo_drain(&d);
    CU_ASSERT(duo_is_done(receive) && !receive->t->late && duo_is_done(send) && !send->t->rts);
    send = duo_send(&d, 0, 1, TAG, 2 * MIB);
    duo_drain(&d);
    CU_ASSERT(send->t->rts && !send->t->begun);
    receive = duo_recv(&d, 1, 0, TAG, 2 * MIB, true);
    duo_drain(&d);
    CU_ASSERT(duo_is_done(receive) && !receive->t->late && duo_is_done(send) && !send->t->eager);
    CU_ASSERT_EQUAL(d.rank[0].peer->tx_eager, 0);
    stop(&d);
}

/* A message that was only announced may still be withdrawn: whether it fits matters when it begins.
 */
static void test_withdrawn(void)
{
    struct duo d;
    start(&d);
    struct duo_post *send = duo_send(&d, 0, 1, TAG, 2 * MIB);
    duo_drain(&d);
    struct duo_post *receive = duo_recv(&d, 1, 0, TAG, KIB, false);
    CU_ASSERT_FALSE(duo_is_done(receive));
    duo_cancel(&d, 0, send);
    duo_drain(&d);
    CU_ASSERT_FALSE(duo_is_done(receive));
    duo_send(&d, 0, 1, TAG, KIB);
    duo_drain(&d);
    CU_ASSERT_FATAL(duo_is_done(receive));
    CU_ASSERT_EQUAL(duo_look(&d, 1, receive), 0);
    receive = duo_recv(&d, 1, 0, TAG, KIB, false);
    duo_send(&d, 0, 1, TAG, 2 * MIB);
    duo_drain(&d);
    CU_ASSERT_FATAL(duo_is_done(receive));
    CU_ASSERT_EQUAL(duo_look(&d, 1, receive), RG_ERR_LENGTH);
    stop(&d);
}

/* What the receiver told of receives that have gone counts for nothing, in this run and the next.
 */
static void test_retracted(void)
{
    struct duo d;
    start(&d);
    const struct rg_pair *p = d.rank[0].peer, *q = d.rank[1].peer;
    struct duo_post *receives[3];
    for (int i = 0; i < 3; i++)
        receives[i] = duo_recv(&d, 1, 0, TAG, (size_t)(i + 1) * MIB, false);
    duo_drain(&d);
    CU_ASSERT(p->expected_count == 3 && q->rx_permits == 3 && q->rx_permitted == 3 * MIB);
    duo_cancel(&d, 1, receives[2]);
    duo_drain(&d);
    CU_ASSERT(p->expected_count == 2 && q->rx_permits == 2);
    struct duo_post *send = duo_send(&d, 0, 1, TAG, 3 * MIB);
    CU_ASSERT(p->expected_count == 1 && !send->t->cleared); /* it does not fit: it asks */
    duo_cancel(&d, 0, send);
    duo_end(&d, 1);
    duo_poll(&d, 1);
    duo_begin(&d, 1);
    CU_ASSERT(q->rx_permits == 0 && q->rx_permitted == 0 && q->tx_announce == 0);
    stop(&d);
}

static void write_and_read(struct duo *d, int from)
{
    while (duo_write(d, from, MIB) || duo_read(d, 1 - from, MIB))
        continue;
}

/* A message is announced and its receive posted at the same time, and the message is then taken
 * back: RTS meets EXPECT, and the permission outlives them until the next message or a RETRACT. */
static void test_crossed(void)
{
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        struct duo d;
        start(&d);
        struct duo_post *send = duo_send(&d, 0, 1, TAG, 2 * MIB);
        struct duo_post *receive = duo_recv(&d, 1, 0, TAG, 2 * MIB, false);
        duo_write(&d, 1, MIB); /* EXPECT */
        write_and_read(&d, 0); /* RTS */
        duo_cancel(&d, 0, send);
        duo_drain(&d);
        CU_ASSERT_FALSE(duo_is_done(receive));
        if (cancelled)
            duo_cancel(&d, 1, receive);
        send = duo_send(&d, 0, 1, TAG, 2 * MIB);
        duo_drain(&d);
        CU_ASSERT_EQUAL(duo_is_done(send), !cancelled);
        if (cancelled)
            receive = duo_recv(&d, 1, 0, TAG, 2 * MIB, false);
        duo_drain(&d);
        CU_ASSERT(duo_is_done(send) && duo_is_done(receive));
        stop(&d);
    }
}

/* Frames that the socket has not taken yet do not let a message pass what is to be said before it.
 */
static void test_withdrawn_in_order(void)
{
    struct duo d;
    start(&d);
    struct duo_post *announced = duo_send(&d, 0, 1, TAG, 2 * MIB);
    duo_drain(&d);
    d.way[0].room = 0;
    duo_recv(&d, 0, 1, TAG, KIB, false);
    duo_send(&d, 1, 0, TAG, KIB);
    write_and_read(&d, 1);
    duo_write(&d, 0, MIB); /* ACK, planned and not taken */
    CU_ASSERT(d.rank[0].peer->small_end > 0);
    duo_cancel(&d, 0, announced);
    struct duo_post *next = duo_send(&d, 0, 1, TAG, KIB);
    d.way[0].room = DUO_PIPE;
    duo_drain(&d);
    CU_ASSERT(duo_is_done(next));
    stop(&d);
}

/* A receive is cancelled while its message comes, and the next, which was not announced, takes it:
 * the receives behind move up by one message, and their permissions with them. */
static void test_moved_up(void)
{
    struct duo d;
    start(&d);
    struct duo_post *first = duo_recv(&d, 1, 0, TAG, 300 * KIB, true);
    struct duo_post *second = duo_recv(&d, 1, 0, TAG, 250 * KIB, true);
    struct duo_post *third = duo_recv(&d, 1, 0, TAG, 400 * KIB, true);
    duo_drain(&d);
    CU_ASSERT_EQUAL(d.rank[1].peer->rx_permits, 2);
    duo_send(&d, 0, 1, TAG, 200 * KIB);
    duo_write(&d, 0, 100 * KIB);
    duo_read(&d, 1, 50 * KIB);
    duo_cancel(&d, 1, first);
    struct duo_post *eager = duo_send(&d, 0, 1, TAG, 100 * KIB);
    struct duo_post *permitted = duo_send(&d, 0, 1, TAG, 350 * KIB);
    CU_ASSERT(!eager->t->cleared && permitted->t->cleared);
    write_and_read(&d, 0);
    duo_drain(&d);
    CU_ASSERT_PTR_NULL(d.wrong);
    CU_ASSERT_FATAL(duo_is_done(second) && duo_is_done(third));
    CU_ASSERT(second->t->arrived == 200 * KIB && third->t->arrived == 100 * KIB);
    CU_ASSERT_EQUAL(d.rank[1].peer->rx_permits, 0);
    struct duo_post *fourth = duo_recv(&d, 1, 0, TAG, 400 * KIB, true);
    CU_ASSERT_FATAL(duo_is_done(fourth));
    CU_ASSERT(fourth->t->late && fourth->t->arrived == 350 * KIB);
    stop(&d);
}

/* A rank leaves, and begins its next run, while its socket takes nothing: what it owed by then
 * (that it withdraws a message, that one has arrived) is said by its leaving. */
static void test_leaves_in_silence(void)
{
    struct duo d;
    start(&d);
    struct duo_post *announced = duo_send(&d, 0, 1, TAG, 2 * MIB);
    struct duo_post *receive = duo_recv(&d, 0, 1, TAG, KIB, false);
    duo_drain(&d);
    CU_ASSERT(announced->t->rts);
    struct duo_post *waits = duo_recv(&d, 1, 0, TAG, KIB, false);
    struct duo_post *send = duo_send(&d, 1, 0, TAG, KIB);
    d.way[0].room = 0;
    write_and_read(&d, 1);
    CU_ASSERT_FATAL(duo_is_done(receive) && !duo_is_done(send) && !duo_is_done(waits));
    duo_end(&d, 0);
    duo_poll(&d, 0);
    duo_begin(&d, 0);
    d.way[0].room = DUO_PIPE;
    duo_drain(&d);
    CU_ASSERT_PTR_NULL(d.wrong);
    CU_ASSERT_FATAL(duo_is_done(send) && duo_is_done(waits));
    CU_ASSERT_EQUAL(duo_look(&d, 1, send), 0);
    CU_ASSERT_EQUAL(duo_look(&d, 1, waits), RG_ERR_PEER);
    stop(&d);
}

/* ---- fuzz ---- */

/* What a seed likes to do. */
struct habits {
    int sizes;       /* 0: small, 1: all, 2: large, 3: near the eager limit */
    unsigned tags;   /* how many */
    int cancels;     /* of a hundred actions */
    int self, drain; /* likewise */
    size_t cut;      /* pieces of at most so many bytes */
    int dies;        /* 0: nobody, else of so many runs one */
    int actions;     /* in a run */
};

struct fuzz {
    struct duo d;
    struct habits h;
    uint64_t sizes_seed;
    unsigned sent[2][8],
        wanted[2][8]; /* messages by sender and tag, receives by receiver and tag */
    int runs_left[2], actions[2];
};

static struct habits draw_habits(struct duo *d)
{
    static const size_t cuts[] = {40, 2000, 100000, DUO_PIPE};
    struct habits h = {.sizes = (int)duo_dice(d, 4),
                       .tags = 1 + (unsigned)duo_dice(d, 3),
                       .cancels = duo_dice(d, 2) ? (int)duo_dice(d, 12) : 0,
                       .self = (int)duo_dice(d, 10),
                       .drain = (int)duo_dice(d, 4),
                       .dies = duo_dice(d, 3) ? 0 : 1 + (int)duo_dice(d, 3)};
    h.cut = cuts[h.sizes == 0 ? duo_dice(d, 4) : 1 + duo_dice(d, 3)];
    h.actions = h.sizes == 0 ? 200 : 40 + (int)duo_dice(d, 60);
    return h;
}

/* Of the n-th message of a tag from a rank; both ends know it. */
static size_t size_of(const struct fuzz *f, int rank, uint32_t tag, unsigned n)
{
    struct duo own = {.dice = f->sizes_seed + 1000003u * n + 17u * tag + (unsigned)rank};
    size_t small = duo_dice(&own, 400), medium = duo_dice(&own, 100 * KIB);
    size_t large = duo_dice(&own, 5 * MIB / 2), edge = MIB - 1 + duo_dice(&own, 3);
    uint64_t kind = duo_dice(&own, 100);
    switch (f->h.sizes) {
    case 0:
        return kind < 90 ? small : medium;
    case 1:
        return kind < 50 ? small : kind < 85 ? medium : kind < 96 ? large : edge;
    case 2:
        return kind < 20 ? medium : large;
    default:
        return kind < 30 ? edge / (1 + kind % 4) : kind < 60 ? edge : medium;
    }
}

static void post_something(struct fuzz *f, int rank)
{
    struct duo *d = &f->d;
    int peer = duo_dice(d, 100) < (uint64_t)f->h.self ? rank : 1 - rank;
    unsigned t = (unsigned)duo_dice(d, f->h.tags), slot = t + (peer == rank ? 4 : 0);
    if (duo_dice(d, 2)) {
        if (duo_send(d, rank, peer, TAG + t, size_of(f, rank, TAG + slot, f->sent[rank][slot])))
            f->sent[rank][slot]++;
        return;
    }
    bool upto = duo_dice(d, 3) == 0;
    size_t bytes = size_of(f, peer, TAG + slot, f->wanted[rank][slot]);
    bytes += duo_dice(d, 40) == 0 ? 1 : upto ? duo_dice(d, 1000) : 0;
    if (duo_recv(d, rank, peer, TAG + t, bytes, upto))
        f->wanted[rank][slot]++;
}

static struct duo_post *any_post(struct fuzz *f, int rank)
{
    struct duo_post *posts = f->d.rank[rank].posts;
    size_t from = duo_dice(&f->d, DUO_POSTS);
    for (size_t i = 0; i < DUO_POSTS; i++) {
        struct duo_post *post = &posts[(from + i) % DUO_POSTS];
        if (post->used && post->t && !post->abandoned)
            return post;
    }
    return NULL;
}

static void cancel_something(struct fuzz *f, int rank)
{
    const struct rg_transfer *head = f->d.rank[rank].peer->head;
    bool waits = head && head->request && duo_dice(&f->d, 4) == 0; /* may have been announced */
    struct duo_post *post = waits ? (struct duo_post *)head->request : any_post(f, rank);
    if (!post)
        return;
    unsigned slot = post->request.tag - TAG + (post->request.peer == rank ? 4 : 0);
    if (!post->send && !duo_is_done(post))
        f->wanted[rank][slot]--;
    if (post->send && !post->t->begun && !duo_is_done(post))
        f->sent[rank][slot]--;
    duo_cancel(&f->d, rank, post);
}

static void look_at_something(struct fuzz *f, int rank)
{
    struct duo_post *post = any_post(f, rank);
    if (post && duo_is_done(post))
        duo_look(&f->d, rank, post);
}

/* One action of a rank's program, or of what runs it. */
static void act(struct fuzz *f, int rank)
{
    struct duo *d = &f->d;
    struct duo_rank *r = &d->rank[rank];
    duo_poll(d, rank);
    if (r->state == DUO_IDLE) {
        if (f->runs_left[rank]-- > 0) {
            memset(f->sent[rank], 0, sizeof f->sent[rank]);
            memset(f->wanted[rank], 0, sizeof f->wanted[rank]);
            f->actions[rank] = (int)duo_dice(d, 4) ? f->h.actions : (int)duo_dice(d, 20);
            duo_begin(d, rank);
        } else {
            duo_leave(d, rank);
        }
    } else if (r->state == DUO_RUNNING) {
        uint64_t what = duo_dice(d, 100);
        if (f->actions[rank]-- <= 0 || (r->peer->left && duo_dice(d, 20) == 0))
            duo_end(d, rank);
        else if (what < (uint64_t)f->h.cancels)
            cancel_something(f, rank);
        else if (what < 60)
            post_something(f, rank);
        else
            look_at_something(f, rank);
    }
}

static void fuzz_step(struct fuzz *f)
{
    struct duo *d = &f->d;
    int rank = (int)duo_dice(d, 2);
    bool dead = d->rank[0].dead || d->rank[1].dead;
    d->now += 1e-6 * (double)duo_dice(d, 3000);
    if (!dead && f->h.dies && duo_dice(d, (uint64_t)(400 * f->h.dies)) == 0)
        duo_die(d, rank);
    else if (duo_dice(d, 100) < (uint64_t)f->h.drain)
        duo_drain(d);
    else if (duo_dice(d, 3) == 0 && !d->rank[rank].dead)
        act(f, rank);
    else if (duo_dice(d, 2))
        duo_write(d, rank, 1 + duo_dice(d, f->h.cut));
    else
        duo_read(d, rank, 1 + duo_dice(d, f->h.cut));
}

static bool is_over(const struct duo *d)
{
    return d->rank[0].state == DUO_OVER && d->rank[1].state == DUO_OVER;
}

/* What was seen of each kind, all seeds together. */
static struct duo totals;

static void add_totals(const struct duo *d)
{
    totals.messages += d->messages;
    totals.late += d->late;
    totals.errors += d->errors;
    totals.cancels += d->cancels;
    totals.rts += d->rts;
    totals.unexpected += d->unexpected;
    totals.overruns += d->overruns;
    totals.quiet += d->quiet;
    totals.runs += d->runs;
    totals.losses += d->losses;
}

static void run_seed(uint64_t seed)
{
    static struct fuzz f;
    memset(&f, 0, sizeof f);
    duo_open(&f.d, seed);
    struct duo *d = &f.d;
    f.h = draw_habits(d);
    f.sizes_seed = duo_dice(d, UINT32_MAX);
    f.runs_left[0] = f.runs_left[1] = 1 + (int)duo_dice(d, 3);
    for (int i = 0; i < 2; i++)
        d->way[i].room = duo_dice(d, 2) ? DUO_PIPE : 1 + duo_dice(d, 64 * KIB);
    const long most = 300000;
    long steps = 0;
    for (; steps < most && !d->wrong && !is_over(d); steps++) {
        fuzz_step(&f);
        if (steps > most / 2 || f.actions[0] + f.actions[1] < 0) /* the rest quickly */
            f.h.cut = DUO_PIPE;
    }
    DUO_REQUIRE(d, is_over(d));
    add_totals(d);
    duo_close(d);
    if (d->wrong)
        printf("\nRG_MATCH_SEED=%llu: line %d: %s\n", (unsigned long long)seed, d->wrong_line,
               d->wrong);
    CU_ASSERT_PTR_NULL(d->wrong);
}

static unsigned long from_environment(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : otherwise;
}

static void test_fuzz(void)
{
    unsigned long one = from_environment("RG_MATCH_SEED", 0);
    unsigned long seeds = from_environment("RG_MATCH_SEEDS", SEEDS);
    totals = (struct duo){0};
    for (unsigned long seed = 1; seed <= seeds && !one; seed++)
        run_seed(seed);
    if (one) {
        run_seed(one);
        return;
    }
    printf("seeds 1 to %lu: %ld runs, %ld messages (%ld late, %ld RTS), %ld errors, %ld cancelled, "
           "%ld losses, %ld quiet, %ld unexpected, %ld beyond the oracle ",
           seeds, totals.runs, totals.messages, totals.late, totals.rts, totals.errors,
           totals.cancels, totals.losses, totals.quiet, totals.unexpected, totals.overruns);
    CU_ASSERT(totals.messages && totals.late && totals.rts && totals.errors && totals.cancels &&
              totals.losses && totals.quiet && totals.unexpected);
    CU_ASSERT(4 * totals.overruns < totals.runs); /* else the oracle has little to say */
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"credit", test_credit},
                                              {"credit returns", test_credit_returns},
                                              {"rendezvous", test_rendezvous},
                                              {"withdrawn", test_withdrawn},
                                              {"retracted", test_retracted},
                                              {"crossed", test_crossed},
                                              {"withdrawn in order", test_withdrawn_in_order},
                                              {"moved up", test_moved_up},
                                              {"leaves in silence", test_leaves_in_silence},
                                              {"fuzz", test_fuzz}};
    mallopt(M_MMAP_THRESHOLD, 64 * MIB); /* fresh pages would cost more than all the rest */
    mallopt(M_TRIM_THRESHOLD, 512 * MIB);
    return suite_main("match", tests, (int)RG_COUNT(tests), argc, argv);
}
