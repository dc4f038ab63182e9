/* Two ranks post, cancel, leave and die at random while the bytes between them are cut anywhere
 * (duo.h). RG_MATCH_SEED=N runs one seed alone, RG_MATCH_SEEDS=N the first N. */
#include "tests/posix/duo.h"

#include "base/check.h"
#include "tests/support/suite.h"
#include <malloc.h>
#include <stdlib.h>

enum { TAG = RG_TAG_USER, KIB = 1 << 10, MIB = 1 << 20 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) /* ten times as slow */
enum { SEEDS = 60 };
#else
enum { SEEDS = 300 };
#endif

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
    static const struct suite_test tests[] = {{"fuzz", test_fuzz}};
    mallopt(M_MMAP_THRESHOLD, 64 * MIB); /* fresh pages would cost more than all the rest */
    mallopt(M_TRIM_THRESHOLD, 512 * MIB);
    return suite_main("match_fuzz", tests, (int)RG_COUNT(tests), argc, argv);
}
