/* Order, matching, windows, lengths: what every world does with messages. */
#include "tests/conformance/cases.h"

#include "base/check.h"
#include "base/random.h"
#include <stdlib.h>
#include <string.h>

enum { SMALL = 1000, PART = 128 << 10, PARTS = 8, HUGE_BYTES = 64 << 20 };

/* A big message, then a small one with another tag: the small one does not overtake. */
static int order_across_tags(struct rg_world *w, void *arg)
{
    (void)arg;
    static char big[4][256 << 10];
    char *buffer = big[w->rank];
    int small = 7;
    struct rg_request r[2];
    if (w->rank == 0) {
        rg_test_fill(buffer, sizeof big[0], 1);
        CHECK(rg_test_hear(w, 1, TAG(9)) == 0);
        CHECK(rg_send(w, 1, TAG(0), buffer, sizeof big[0], &r[0]) == 0);
        CHECK(rg_send(w, 1, TAG(1), &small, sizeof small, &r[1]) == 0);
        CHECK(rg_wait(w, &r[1]) == 0);
        CHECK(rg_done(w, &r[0]) && r[0].status == 0);
    } else {
        int got = 0;
        CHECK(rg_recv(w, 0, TAG(1), &got, sizeof got, &r[1]) == 0);
        CHECK(rg_recv(w, 0, TAG(0), buffer, sizeof big[0], &r[0]) == 0);
        CHECK(rg_test_tell(w, 0, TAG(9)) == 0);
        CHECK(rg_wait(w, &r[1]) == 0 && got == 7);
        CHECK(rg_done(w, &r[0]) && r[0].status == 0);
        CHECK(rg_test_same(buffer, sizeof big[0], 1));
    }
    return 0;
}

static int tag_matching(struct rg_world *w, void *arg)
{
    (void)arg;
    enum { N = 12 };
    int values[N];
    struct rg_request r[N], *all[N];
    for (int i = 0; i < N; i++) {
        all[i] = &r[i];
        values[i] = w->rank == 0 ? 100 + i : 0;
    }
    for (int round = 0; round < 2; round++) { /* receives posted after, then before the sends */
        if (w->rank == 0) {
            CHECK(round == 0 || rg_test_hear(w, 1, TAG(9)) == 0);
            for (int i = 0; i < N; i++)
                CHECK(rg_send(w, 1, TAG(i % 3), &values[i], sizeof(int), &r[i]) == 0);
            CHECK(rg_wait_all(w, all, N) == 0);
            CHECK(round == 1 || rg_test_tell(w, 1, TAG(8)) == 0);
        } else {
            CHECK(round == 1 || rg_test_hear(w, 0, TAG(8)) == 0);
            memset(values, 0, sizeof values);
            for (int tag = 2; tag >= 0; tag--) /* the oldest of a tag to the receive posted first */
                for (int i = tag; i < N; i += 3)
                    CHECK(rg_recv(w, 0, TAG(tag), &values[i], sizeof(int), &r[i]) == 0);
            CHECK(round == 0 || rg_test_tell(w, 0, TAG(9)) == 0);
            CHECK(rg_wait_all(w, all, N) == 0);
            for (int i = 0; i < N; i++)
                CHECK(values[i] == 100 + i);
        }
    }
    return 0;
}

/* Up to the window, sends complete though nobody has asked for them. */
static int unexpected(struct rg_world *w, void *arg)
{
    (void)arg;
    enum { N = PARTS };
    struct rg_request r[N], *all[N];
    char *buffer = malloc(N * PART);
    CHECK(buffer);
    for (int i = 0; i < N; i++)
        all[i] = &r[i];
    if (w->rank == 0) {
        for (int i = 0; i < N; i++) {
            rg_test_fill(buffer + i * PART, PART, (unsigned)i);
            CHECK(rg_send(w, 1, TAG(i & 1), buffer + i * PART, PART, &r[i]) == 0);
        }
        CHECK(rg_wait_all(w, all, N) == 0);
        memset(buffer, 0, N * PART); /* it is ours again */
        CHECK(rg_test_tell(w, 1, TAG(9)) == 0);
    } else {
        CHECK(rg_test_hear(w, 0, TAG(9)) == 0);
        for (int i = 0; i < N; i++) {
            int which = (i % 2 ? 0 : 1) + i / 2 * 2; /* odd tags first */
            CHECK(rg_recv(w, 0, TAG(which & 1), buffer + which * PART, PART, &r[which]) == 0);
        }
        CHECK(rg_wait_all(w, all, N) == 0);
        for (int i = 0; i < N; i++)
            CHECK(rg_test_same(buffer + i * PART, PART, (unsigned)i));
    }
    free(buffer);
    return 0;
}

/* A byte too many waits at the sender, and what is behind it too, even if it is empty. */
static int full_window(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    struct rg_request full, over, behind, *both[] = {&over, &behind};
    int index;
    char *buffer = w->rank == 2 ? NULL : malloc(RG_EAGER_LIMIT);
    char extra = 0;
    if (w->rank == 0) { /* 2 carries a word past the full window */
        CHECK(buffer);
        rg_test_fill(buffer, RG_EAGER_LIMIT, 3);
        CHECK(rg_send(w, 1, TAG(0), buffer, RG_EAGER_LIMIT, &full) == 0);
        CHECK(rg_wait(w, &full) == 0);
        extra = 5;
        CHECK(rg_send(w, 1, TAG(1), &extra, 1, &over) == 0);
        CHECK(rg_send(w, 1, TAG(2), NULL, 0, &behind) == 0);
        CHECK(rg_wait_any(w, both, 2, rg_test_soon(w, l), &index) == RG_ERR_TIMEOUT);
        CHECK(over.status == RG_PENDING && behind.status == RG_PENDING);
        CHECK(rg_test_tell(w, 2, TAG(3)) == 0);
        CHECK(rg_wait_all(w, both, 2) == 0);
    } else if (w->rank == 2) {
        CHECK(rg_test_hear(w, 0, TAG(3)) == 0);
        CHECK(rg_test_tell(w, 1, TAG(3)) == 0);
    } else {
        CHECK(buffer);
        CHECK(rg_test_hear(w, 2, TAG(3)) == 0);
        CHECK(rg_recv(w, 0, TAG(0), buffer, RG_EAGER_LIMIT, &full) == 0);
        CHECK(rg_wait(w, &full) == 0 && rg_test_same(buffer, RG_EAGER_LIMIT, 3));
        CHECK(rg_test_hear(w, 0, TAG(2)) == 0);
        CHECK(rg_recv(w, 0, TAG(1), &extra, 1, &over) == 0);
        CHECK(rg_wait(w, &over) == 0 && extra == 5);
    }
    free(buffer);
    return 0;
}

/* The same in many messages; receiving one makes room for the next. */
static int window_refills(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    enum { N = 2 * PARTS };
    struct rg_request r[N], *all[N];
    int index;
    char *buffer = malloc(N * PART);
    CHECK(buffer);
    for (int i = 0; i < N; i++)
        all[i] = &r[i];
    if (w->rank == 0) {
        rg_test_fill(buffer, N * PART, 4);
        for (int i = 0; i < N; i++)
            CHECK(rg_send(w, 1, TAG(0), buffer + i * PART, PART, &r[i]) == 0);
        CHECK(rg_wait_all(w, all, PARTS) == 0);
        CHECK(rg_wait_any(w, all + PARTS, PARTS, rg_test_soon(w, l), &index) == RG_ERR_TIMEOUT);
        CHECK(rg_test_tell(w, 2, TAG(1)) == 0);
        CHECK(rg_wait(w, &r[PARTS]) == 0 && rg_wait(w, &r[PARTS + 1]) == 0);
        CHECK(rg_wait_any(w, all + PARTS + 2, PARTS - 2, rg_test_soon(w, l), &index) ==
              RG_ERR_TIMEOUT);
        CHECK(rg_test_tell(w, 2, TAG(1)) == 0);
        CHECK(rg_wait_all(w, all, N) == 0);
    } else if (w->rank == 2) {
        for (int i = 0; i < 2; i++) {
            CHECK(rg_test_hear(w, 0, TAG(1)) == 0);
            CHECK(rg_test_tell(w, 1, TAG(1)) == 0);
        }
    } else {
        for (int i = 0; i < N; i++) {
            if (i == 0 || i == 2)
                CHECK(rg_test_hear(w, 2, TAG(1)) == 0);
            CHECK(rg_recv(w, 0, TAG(0), buffer + i * PART, PART, &r[i]) == 0);
            CHECK(rg_wait(w, &r[i]) == 0);
        }
        CHECK(rg_test_same(buffer, N * PART, 4));
    }
    free(buffer);
    return 0;
}

/* More than the window starts only when somebody asks for it. */
static int larger_than_window(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    size_t bytes = RG_EAGER_LIMIT + 1;
    struct rg_request r, behind, *both[] = {&r, &behind};
    int index;
    char *buffer = malloc(bytes);
    CHECK(buffer);
    if (w->rank == 0) {
        rg_test_fill(buffer, bytes, 5);
        CHECK(rg_send(w, 1, TAG(0), buffer, bytes, &r) == 0);
        CHECK(rg_send(w, 1, TAG(1), NULL, 0, &behind) == 0);
        CHECK(rg_wait_any(w, both, 2, rg_test_soon(w, l), &index) == RG_ERR_TIMEOUT);
        CHECK(rg_test_tell(w, 2, TAG(2)) == 0);
        CHECK(rg_wait_all(w, both, 2) == 0);
    } else if (w->rank == 2) {
        CHECK(rg_test_hear(w, 0, TAG(2)) == 0);
        CHECK(rg_test_tell(w, 1, TAG(2)) == 0);
    } else {
        CHECK(rg_test_hear(w, 2, TAG(2)) == 0);
        CHECK(rg_recv(w, 0, TAG(0), buffer, bytes, &r) == 0);
        CHECK(rg_wait(w, &r) == 0 && rg_test_same(buffer, bytes, 5));
        CHECK(rg_test_hear(w, 0, TAG(1)) == 0);
    }
    free(buffer);
    return 0;
}

static int zero_length(struct rg_world *w, void *arg)
{
    (void)arg;
    char untouched = 42;
    struct rg_request r[2], *both[] = {&r[0], &r[1]};
    if (w->rank == 0) {
        CHECK(rg_send(w, 1, TAG(0), NULL, 0, &r[0]) == 0);
        CHECK(rg_send(w, 1, TAG(0), &untouched, 0, &r[1]) == 0);
    } else {
        CHECK(rg_recv(w, 0, TAG(0), NULL, 0, &r[0]) == 0);
        CHECK(rg_recv_upto(w, 0, TAG(0), &untouched, 1, &r[1]) == 0);
    }
    CHECK(rg_wait_all(w, both, 2) == 0);
    CHECK(r[0].bytes == 0 && r[1].bytes == 0 && untouched == 42);
    return 0;
}

static int huge_length(struct rg_world *w, void *arg)
{
    (void)arg;
    char *out = malloc(HUGE_BYTES), *in = malloc(HUGE_BYTES);
    CHECK(out && in);
    rg_test_fill(out, HUGE_BYTES, (unsigned)w->rank);
    CHECK(rg_sendrecv(w, 1 - w->rank, out, HUGE_BYTES, 1 - w->rank, in, HUGE_BYTES, TAG(0)) == 0);
    CHECK(rg_test_same(in, HUGE_BYTES, (unsigned)(1 - w->rank)));
    free(out);
    free(in);
    return 0;
}

/* Of several complete requests the lowest index is told, in whatever order they came. */
static int ties(struct rg_world *w, void *arg)
{
    (void)arg;
    if (w->rank != 0) {
        int value = w->rank;
        struct rg_request r;
        CHECK(rg_test_hear(w, 0, TAG(2)) == 0);
        CHECK(rg_send(w, 0, TAG(0), &value, sizeof value, &r) == 0);
        CHECK(rg_wait(w, &r) == 0);
        CHECK(rg_test_tell(w, 0, TAG(1)) == 0);
        return rg_test_hear(w, 0, TAG(2));
    }
    int values[4] = {0}, index;
    struct rg_request r[4], never;
    for (int i = 1; i < 4; i++)
        CHECK(rg_recv(w, i, TAG(0), &values[i], sizeof(int), &r[i]) == 0);
    CHECK(rg_recv(w, 1, TAG(7), NULL, 0, &never) == 0);
    for (int i = 1; i < 4; i++)
        CHECK(rg_test_tell(w, i, TAG(2)) == 0);
    for (int i = 1; i < 4; i++)
        CHECK(rg_test_hear(w, i, TAG(1)) == 0);
    struct rg_request *set[] = {&never, NULL, &r[2], &r[3], &r[1]};
    CHECK(rg_wait_any(w, set, 5, RG_FOREVER, &index) == 0 && index == 2 && values[2] == 2);
    CHECK(rg_wait_any(w, set, 5, RG_FOREVER, &index) == 0 && index == 2); /* told again */
    set[2] = NULL;
    CHECK(rg_wait_any(w, set, 5, rg_now(w), &index) == 0 && index == 3 && values[3] == 3);
    CHECK(rg_wait_any(w, set + 4, 1, -1, &index) == 0 && index == 0 && values[1] == 1);
    CHECK(rg_wait_any(w, set, 2, rg_now(w), &index) == RG_ERR_TIMEOUT && index == -1);
    CHECK(rg_cancel(w, &never) == 0 && never.status == RG_ERR_CANCELLED);
    for (int i = 1; i < 4; i++)
        CHECK(rg_test_tell(w, i, TAG(2)) == 0);
    return 0;
}

static int wrong_length(struct rg_world *w, void *arg)
{
    (void)arg;
    char buffer[2 * SMALL] = {0};
    struct rg_request r[3];
    if (w->rank == 0) {
        rg_test_fill(buffer, sizeof buffer, 6);
        CHECK(rg_send(w, 1, TAG(0), buffer, SMALL, &r[0]) == 0);
        rg_wait(w, &r[0]); /* complete; the error is the receiver's to find */
        CHECK(r[0].status != RG_PENDING);
    } else if (w->rank == 2) {
        CHECK(rg_send(w, 1, TAG(0), buffer, SMALL, &r[0]) == 0);
        rg_wait(w, &r[0]);
        CHECK(r[0].status != RG_PENDING);
    } else if (w->rank == 3) {
        CHECK(rg_send(w, 1, TAG(0), buffer, SMALL, &r[0]) == 0);
        rg_wait(w, &r[0]);
        CHECK(r[0].status != RG_PENDING);
    } else {
        memset(buffer, 42, sizeof buffer);
        CHECK(rg_recv(w, 0, TAG(0), buffer, SMALL - 1, &r[0]) == 0); /* longer than its receive */
        CHECK(rg_wait(w, &r[0]) == RG_ERR_LENGTH && r[0].status == RG_ERR_LENGTH);
        CHECK(rg_recv(w, 2, TAG(0), buffer, SMALL + 1, &r[1]) == 0); /* shorter */
        CHECK(rg_wait(w, &r[1]) == RG_ERR_LENGTH);
        CHECK(rg_recv_upto(w, 3, TAG(0), buffer, SMALL - 1, &r[2]) == 0);
        CHECK(rg_wait(w, &r[2]) == RG_ERR_LENGTH);
        for (size_t i = SMALL - 1; i < sizeof buffer; i++)
            CHECK(buffer[i] == 42);
    }
    return 0;
}

static int varying_length(struct rg_world *w, void *arg)
{
    (void)arg;
    static const size_t lengths[] = {0, 1, SMALL, 3000};
    char buffer[3000];
    for (unsigned i = 0; i < RG_COUNT(lengths); i++) {
        struct rg_request r;
        if (w->rank == 0) {
            rg_test_fill(buffer, lengths[i], i);
            CHECK(rg_send(w, 1, TAG(0), buffer, lengths[i], &r) == 0);
            CHECK(rg_wait(w, &r) == 0 && r.bytes == lengths[i]);
        } else {
            memset(buffer, 42, sizeof buffer);
            CHECK(rg_recv_upto(w, 0, TAG(0), buffer, sizeof buffer, &r) == 0);
            CHECK(rg_wait(w, &r) == 0 && r.bytes == lengths[i]);
            CHECK(rg_test_same(buffer, lengths[i], i));
            CHECK(lengths[i] == sizeof buffer || buffer[lengths[i]] == 42);
        }
    }
    return 0;
}

/* Everybody to everybody, received in whatever order they come. */
static int many_peers(struct rg_world *w, void *arg)
{
    (void)arg;
    enum { N = 8, ROUNDS = 4, MOST = 20000 };
    struct rg_request out[N], in[N], *sends[N] = {0}, *receives[N] = {0};
    char *buffer = malloc(2 * N * MOST);
    CHECK(buffer);
    for (int round = 0; round < ROUNDS; round++) {
        for (int k = 1; k < N; k++) {
            int to = (w->rank + k) % N, from = (w->rank + N - k) % N;
            size_t out_bytes = (size_t)((w->rank * 37 + to * 11 + round * 5) * 997 % MOST);
            size_t in_bytes = (size_t)((from * 37 + w->rank * 11 + round * 5) * 997 % MOST);
            rg_test_fill(buffer + to * MOST, out_bytes, (unsigned)(w->rank * N + to));
            sends[to] = &out[to];
            receives[from] = &in[from];
            CHECK(rg_send(w, to, TAG(round), buffer + to * MOST, out_bytes, &out[to]) == 0);
            CHECK(rg_recv(w, from, TAG(round), buffer + (N + from) * MOST, in_bytes, &in[from]) ==
                  0);
        }
        for (int k = 1; k < N; k++) {
            int from;
            CHECK(rg_wait_any(w, receives, N, RG_FOREVER, &from) == 0);
            CHECK(in[from].status == 0 && in[from].peer == from);
            CHECK(rg_test_same(buffer + (N + from) * MOST, in[from].bytes,
                               (unsigned)(from * N + w->rank)));
            receives[from] = NULL;
        }
        CHECK(rg_wait_all(w, sends, N) == 0);
    }
    free(buffer);
    return 0;
}

enum { TRAFFIC_RANKS = 4, TRAFFIC = 40, TRAFFIC_MOST = 20000, TRAFFIC_OPEN = 6 };

static size_t traffic_bytes(int source, int target, int i)
{
    return (size_t)(rg_mix64((uint64_t)(source * 64 + target) << 16 | (unsigned)i) % TRAFFIC_MOST);
}

static int traffic_tag(int source, int target, int i)
{
    return (int)(rg_mix64((uint64_t)(source * 64 + target) << 32 | (unsigned)i) % 3);
}

/* Which message the k-th receive takes that asks for `tag`. */
static int traffic_nth(int source, int target, int tag, int k)
{
    for (int i = 0; i < TRAFFIC; i++)
        if (traffic_tag(source, target, i) == tag && k-- == 0)
            return i;
    return -1;
}

/* Receive all of one source: tags in an order of our own, a few at a time, with pauses. */
static int traffic_receive(struct rg_world *w, const struct rg_launcher *l, int source, char *room)
{
    int taken[3] = {0}, which[TRAFFIC_OPEN], posted = 0, seen = 0, index;
    struct rg_request r[TRAFFIC_OPEN], *open[TRAFFIC_OPEN] = {0};
    uint64_t dice = rg_mix64((uint64_t)(w->rank * 8 + source));
    while (seen < TRAFFIC) {
        for (int i = 0; i < TRAFFIC_OPEN && posted < TRAFFIC; i++) {
            if (open[i])
                continue;
            int tag = (int)((dice = rg_mix64(dice)) % 3), message;
            while ((message = traffic_nth(source, w->rank, tag, taken[tag])) < 0)
                tag = (tag + 1) % 3;
            taken[tag]++;
            which[i] = message;
            open[i] = &r[i];
            CHECK(rg_recv(w, source, TAG(tag), room + i * TRAFFIC_MOST,
                          traffic_bytes(source, w->rank, message), &r[i]) == 0);
            posted++;
        }
        if (dice % 5 == 0)
            CHECK(rg_test_nap(w, l, 1e-4) == 0);
        CHECK(rg_wait_any(w, open, TRAFFIC_OPEN, RG_FOREVER, &index) == 0);
        CHECK(r[index].status == 0);
        CHECK(rg_test_same(room + index * TRAFFIC_MOST, r[index].bytes,
                           (unsigned)(source * 1000 + w->rank * 100 + which[index])));
        open[index] = NULL;
        seen++;
    }
    return 0;
}

/* Random sizes and tags between all, sent at once, received in another order. */
static int random_traffic(struct rg_world *w, void *arg)
{
    enum { N = TRAFFIC_RANKS, ALL = N * TRAFFIC };
    struct rg_request *r = calloc(ALL, sizeof *r),
                      **sends = calloc(ALL, sizeof(struct rg_request *));
    char *room = malloc((ALL + TRAFFIC_OPEN) * TRAFFIC_MOST);
    CHECK(r && sends && room);
    for (int i = 0; i < TRAFFIC; i++) {
        for (int to = 0; to < N; to++) {
            if (to == w->rank)
                continue;
            int k = to * TRAFFIC + i;
            size_t bytes = traffic_bytes(w->rank, to, i);
            rg_test_fill(room + k * TRAFFIC_MOST, bytes, (unsigned)(w->rank * 1000 + to * 100 + i));
            sends[k] = &r[k];
            CHECK(rg_send(w, to, TAG(traffic_tag(w->rank, to, i)), room + k * TRAFFIC_MOST, bytes,
                          &r[k]) == 0);
        }
    }
    for (int from = 0; from < N; from++) {
        int result = from == w->rank ? 0 : traffic_receive(w, arg, from, room + ALL * TRAFFIC_MOST);
        if (result)
            return result;
    }
    CHECK(rg_wait_all(w, sends, ALL) == 0);
    free(r);
    free(sends);
    free(room);
    return 0;
}

static int self_messages(struct rg_world *w, void *arg)
{
    (void)arg;
    int value = 11, got = 0, index;
    size_t big = RG_EAGER_LIMIT + 1;
    char *out = malloc(big), *in = malloc(big);
    struct rg_request r[4];
    CHECK(out && in);
    CHECK(rg_clock_start(w) == 0);
    CHECK(rg_send(w, w->rank, TAG(0), &value, sizeof value, &r[0]) == 0);
    CHECK(rg_wait(w, &r[0]) == 0);
    CHECK(rg_recv(w, w->rank, TAG(0), &got, sizeof got, &r[1]) == 0);
    CHECK(rg_wait(w, &r[1]) == 0 && got == 11);
    CHECK(rg_recv(w, w->rank, TAG(1), &got, sizeof got, &r[1]) == 0); /* asked for first */
    value = 12;
    CHECK(rg_send(w, w->rank, TAG(1), &value, sizeof value, &r[0]) == 0);
    CHECK(rg_wait(w, &r[1]) == 0 && got == 12 && rg_wait(w, &r[0]) == 0);
    rg_test_fill(out, big, 8);
    CHECK(rg_send(w, w->rank, TAG(2), out, big, &r[2]) == 0);
    struct rg_request *one = &r[2];
    CHECK(rg_wait_any(w, &one, 1, rg_now(w), &index) == RG_ERR_TIMEOUT);
    CHECK(rg_recv(w, w->rank, TAG(2), in, big, &r[3]) == 0);
    CHECK(rg_wait(w, &r[3]) == 0 && rg_wait(w, &r[2]) == 0 && rg_test_same(in, big, 8));
    CHECK(w->count.messages == 0 && w->count.messages_received == 0 && w->count.bytes_sent == 0);
    CHECK(w->count.late_receives == 0);
    free(out);
    free(in);
    return 0;
}

static int sendrecv(struct rg_world *w, void *arg)
{
    (void)arg;
    int right = (w->rank + 1) % w->size, left = (w->rank + w->size - 1) % w->size;
    size_t bytes = 3 << 20; /* more than the window: both must be posted before either is awaited */
    char *out = malloc(bytes), *in = malloc(bytes);
    CHECK(out && in);
    for (unsigned i = 0; i < 3; i++) {
        rg_test_fill(out, bytes, (unsigned)w->rank * 8 + i);
        CHECK(rg_sendrecv(w, right, out, bytes, left, in, bytes, TAG(0)) == 0);
        CHECK(rg_test_same(in, bytes, (unsigned)left * 8 + i));
    }
    free(out);
    free(in);
    return 0;
}

static const struct rg_case list[] = {
    {.name = "order across tags", .size = 2, .program = order_across_tags},
    {.name = "tag matching", .size = 2, .program = tag_matching},
    {.name = "unexpected messages", .size = 2, .program = unexpected},
    {.name = "full window", .size = 3, .program = full_window},
    {.name = "window refills", .size = 3, .program = window_refills},
    {.name = "larger than the window", .size = 3, .program = larger_than_window},
    {.name = "zero length", .size = 2, .program = zero_length},
    {.name = "huge length", .size = 2, .program = huge_length, .once = true},
    {.name = "ties", .size = 4, .program = ties},
    {.name = "wrong length", .size = 4, .program = wrong_length},
    {.name = "varying length", .size = 2, .program = varying_length},
    {.name = "many peers", .size = 8, .program = many_peers},
    {.name = "random traffic", .size = TRAFFIC_RANKS, .program = random_traffic},
    {.name = "self messages", .size = 2, .program = self_messages},
    {.name = "sendrecv", .size = 5, .program = sendrecv},
};

const struct rg_cases rg_message_cases = {list, RG_COUNT(list)};
