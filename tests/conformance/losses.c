/* Nodes that die or leave, and deadlocks: an error for the program, never a crash or a hang. */
#include "tests/conformance/cases.h"

#include "base/check.h"
#include <stdlib.h>

/* How a send or receive ended. */
static int outcome(struct rg_world *w, int posted, struct rg_request *request)
{
    int result = rg_wait(w, request);
    return posted && result != posted ? RG_ERR_INTERNAL : result;
}

static int send_ends(struct rg_world *w, int dst, const void *buffer, size_t bytes)
{
    struct rg_request r;
    int posted = rg_send(w, dst, TAG(0), buffer, bytes, &r);
    return outcome(w, posted, &r);
}

static int recv_ends(struct rg_world *w, int src, uint32_t tag)
{
    struct rg_request r;
    int posted = rg_recv(w, src, tag, NULL, 0, &r);
    return outcome(w, posted, &r);
}

static int die_now(struct rg_world *w)
{
    w->ops->die(w);
    return RG_TEST_DIED;
}

static int dies_at_once(struct rg_world *w, void *arg)
{
    (void)arg;
    if (w->rank == 1)
        return die_now(w);
    size_t big = 2 * RG_EAGER_LIMIT;
    char *buffer = calloc(1, big), small = 0;
    CHECK(buffer);
    CHECK(recv_ends(w, 1, TAG(0)) == RG_ERR_PEER);
    CHECK(recv_ends(w, 1, TAG(1)) == RG_ERR_PEER); /* and ever after */
    CHECK(send_ends(w, 1, buffer, big) == RG_ERR_PEER);
    CHECK(send_ends(w, 1, &small, 1) == RG_ERR_PEER);
    free(buffer);
    /* those who live go on */
    int other = 2 - w->rank, mine = w->rank, got = -1;
    CHECK(rg_sendrecv(w, other, &mine, sizeof mine, other, &got, sizeof got, TAG(2)) == 0);
    CHECK(got == other);
    return 0;
}

/* It dies while others wait for it: to receive, to send more than the window, behind that too. */
static int dies_while_awaited(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    size_t big = 2 * RG_EAGER_LIMIT;
    if (w->rank == 1) {
        CHECK(rg_test_hear(w, 0, TAG(1)) == 0 && rg_test_hear(w, 2, TAG(1)) == 0);
        CHECK(rg_test_nap(w, l, rg_test_while(l) / 4) == 0);
        return die_now(w);
    }
    char *buffer = calloc(1, big), small = 0;
    CHECK(buffer);
    struct rg_request in[2], out[2];
    int index;
    CHECK(rg_test_tell(w, 1, TAG(1)) == 0);
    CHECK(rg_recv(w, 1, TAG(0), NULL, 0, &in[0]) == 0);
    CHECK(rg_recv(w, 1, TAG(2), &small, 1, &in[1]) == 0);
    CHECK(rg_send(w, 1, TAG(0), buffer, big, &out[0]) == 0);
    CHECK(rg_send(w, 1, TAG(0), NULL, 0, &out[1]) == 0);
    struct rg_request *all[] = {&in[0], &in[1], &out[0], &out[1]};
    CHECK(rg_wait_any(w, all, 4, RG_FOREVER, &index) == 0);
    CHECK(rg_wait_all(w, all, 4) == RG_ERR_PEER);
    for (int i = 0; i < 4; i++)
        CHECK(all[i]->status == RG_ERR_PEER);
    CHECK(recv_ends(w, 1, TAG(0)) == RG_ERR_PEER && send_ends(w, 1, &small, 1) == RG_ERR_PEER);
    free(buffer);
    return 0;
}

enum { TRANSIT = 32 << 20 };

/* It dies in the middle of a message to or from it. */
static int dies_in_transit(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    static char buffers[3][TRANSIT];
    char *buffer = buffers[w->rank];
    struct rg_request r, s;
    if (w->rank == 1) {
        CHECK(rg_test_hear(w, 0, TAG(1)) == 0 && rg_test_hear(w, 2, TAG(1)) == 0);
        CHECK(rg_recv(w, 0, TAG(0), buffer, TRANSIT, &r) == 0);
        CHECK(rg_send(w, 2, TAG(0), buffer, TRANSIT, &s) == 0);
        CHECK(rg_test_nap(w, l, l->transfer_s(TRANSIT) / 4) == 0);
        return die_now(w);
    }
    CHECK(rg_test_tell(w, 1, TAG(1)) == 0);
    int result = w->rank == 0 ? rg_send(w, 1, TAG(0), buffer, TRANSIT, &r)
                              : rg_recv(w, 1, TAG(0), buffer, TRANSIT, &r);
    CHECK(result == 0 || result == RG_ERR_PEER);
    result = rg_wait(w, &r);
    CHECK(result == RG_ERR_PEER || (result == 0 && !l->is_virtual)); /* a quick network */
    return 0;
}

/* What had arrived before may be received; what had not is an error; nothing hangs. */
static int dies_after_sending(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    int value = 5, got = 0;
    struct rg_request r;
    if (w->rank == 1) {
        CHECK(rg_send(w, 0, TAG(0), &value, sizeof value, &r) == 0);
        CHECK(rg_wait(w, &r) == 0);
        return die_now(w);
    }
    CHECK(recv_ends(w, 1, TAG(1)) == RG_ERR_PEER);
    CHECK(rg_test_nap(w, l, rg_test_while(l) / 4) == 0);
    int posted = rg_recv(w, 1, TAG(0), &got, sizeof got, &r);
    int result = outcome(w, posted, &r);
    CHECK(result == RG_ERR_PEER || (result == 0 && got == 5));
    CHECK(recv_ends(w, 1, TAG(0)) == RG_ERR_PEER);
    return 0;
}

/* Who has nothing to do with it hears of it when its iteration ends. */
static int dies_unneeded(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    int result = 0;
    if (w->rank == 2) {
        CHECK(rg_test_nap(w, l, rg_test_while(l) / 4) == 0);
        return die_now(w);
    }
    for (int64_t i = 0; i < 100 && result == 0; i++) {
        CHECK(rg_test_nap(w, l, rg_test_while(l) / 2) == 0);
        result = rg_iteration(w, i);
    }
    CHECK(result == RG_ERR_PEER);
    return 0;
}

/* Those waiting in a barrier hear of it too. */
static int dies_before_barrier(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    CHECK(rg_clock_start(w) == 0);
    if (w->rank == 1) {
        CHECK(rg_test_nap(w, l, rg_test_while(l) / 4) == 0);
        return die_now(w);
    }
    CHECK(rg_clock_start(w) == RG_ERR_PEER);
    return 0;
}

static int dying_strand(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    int result = rg_test_nap(w, l, rg_test_while(l) / 4);
    return result ? result : die_now(w);
}

/* A strand that dies takes its node with it. */
static int dies_in_a_strand(struct rg_world *w, void *arg)
{
    if (w->rank == 1) {
        struct rg_strand *strand;
        int result;
        CHECK(rg_spawn(w, dying_strand, arg, &strand) == 0);
        rg_test_hear(w, 0, TAG(0)); /* which never comes */
        rg_join(w, strand, &result);
        return RG_TEST_DIED;
    }
    CHECK(recv_ends(w, 1, TAG(0)) == RG_ERR_PEER);
    return 0;
}

/* One that has ended properly: what it sent can be received, nothing more comes, nothing goes. */
static int leaves(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    int value = 5, got = 0;
    struct rg_request r;
    if (w->rank == 1) {
        CHECK(rg_send(w, 0, TAG(0), &value, sizeof value, &r) == 0);
        return rg_wait(w, &r);
    }
    CHECK(recv_ends(w, 1, TAG(1)) == RG_ERR_PEER);
    CHECK(rg_test_nap(w, l, rg_test_while(l) / 4) == 0);
    CHECK(rg_recv(w, 1, TAG(0), &got, sizeof got, &r) == 0);
    CHECK(rg_wait(w, &r) == 0 && got == 5);
    CHECK(recv_ends(w, 1, TAG(0)) == RG_ERR_PEER);
    size_t big = 2 * RG_EAGER_LIMIT;
    char *buffer = calloc(1, big);
    CHECK(buffer && send_ends(w, 1, buffer, big) == RG_ERR_PEER);
    free(buffer);
    return 0;
}

struct left_behind {
    struct rg_request r[2];
    char *buffer;
};

static int leaving_strand(struct rg_world *w, void *arg)
{
    struct left_behind *left = arg;
    CHECK(rg_recv(w, 1 - w->rank, TAG(5), left->buffer, 1, &left->r[0]) == 0);
    CHECK(rg_send(w, 1 - w->rank, TAG(6), left->buffer, 2 * RG_EAGER_LIMIT, &left->r[1]) == 0);
    return 0;
}

/* What a strand leaves pending when it returns is cancelled. */
static int leaves_requests(struct rg_world *w, void *arg)
{
    (void)arg;
    struct rg_strand *strand;
    struct left_behind left = {.buffer = calloc(2, RG_EAGER_LIMIT)};
    int result;
    CHECK(left.buffer);
    CHECK(rg_spawn(w, leaving_strand, &left, &strand) == 0);
    CHECK(rg_join(w, strand, &result) == 0 && result == 0);
    CHECK(left.r[0].status == RG_ERR_CANCELLED && left.r[1].status == RG_ERR_CANCELLED);
    free(left.buffer);
    CHECK(rg_barrier(w) == 0);
    return 0;
}

struct sent {
    const struct rg_launcher *launcher;
    struct rg_request r;
    char *buffer;
};

enum { HALF_LIMIT = RG_EAGER_LIMIT / 2 };

static int sending_strand(struct rg_world *w, void *arg)
{
    struct sent *s = arg;
    CHECK(rg_send(w, 1, TAG(0), s->buffer, HALF_LIMIT, &s->r) == 0);
    CHECK(rg_test_nap(w, s->launcher, s->launcher->transfer_s(HALF_LIMIT) / 2) == 0);
    return 0;
}

/* What a strand had begun to send arrives as it was, though its buffer is used for other things. */
static int leaves_in_flight(struct rg_world *w, void *arg)
{
    struct sent s = {.launcher = arg, .buffer = malloc(HALF_LIMIT)};
    struct rg_strand *strand;
    int result;
    CHECK(s.buffer);
    if (w->rank == 0) {
        rg_test_fill(s.buffer, HALF_LIMIT, 1);
        CHECK(rg_spawn(w, sending_strand, &s, &strand) == 0);
        CHECK(rg_join(w, strand, &result) == 0 && result == 0);
        CHECK(s.r.status == RG_ERR_CANCELLED);
        rg_test_fill(s.buffer, HALF_LIMIT, 2);
    } else {
        CHECK(rg_recv(w, 0, TAG(0), s.buffer, HALF_LIMIT, &s.r) == 0);
        CHECK(rg_wait(w, &s.r) == 0 && rg_test_same(s.buffer, HALF_LIMIT, 1));
    }
    CHECK(rg_barrier(w) == 0);
    free(s.buffer);
    return 0;
}

/* A program that gives up with requests pending in its own frame harms nobody. */
static int gives_up(struct rg_world *w, void *arg)
{
    (void)arg;
    enum { N = 100 };
    struct rg_request r[N + 1];
    char buffer[1000] = {0};
    if (w->rank == 1) {
        CHECK(rg_test_hear(w, 0, TAG(1)) == 0);
        for (int i = 0; i < N; i++)
            CHECK(rg_recv(w, 0, TAG(2 + i), buffer, sizeof buffer, &r[i]) == 0);
        CHECK(rg_send(w, 0, TAG(0), buffer, sizeof buffer, &r[N]) == 0);
        return 0;
    }
    CHECK(rg_test_tell(w, 1, TAG(1)) == 0);
    CHECK(recv_ends(w, 1, TAG(N + 7)) == RG_ERR_PEER);
    return 0;
}

static int all_receive(struct rg_world *w, void *arg)
{
    (void)arg;
    struct rg_request r;
    CHECK(rg_recv(w, (w->rank + 1) % w->size, TAG(0), NULL, 0, &r) == 0);
    struct rg_request *one = &r;
    int index;
    CHECK(rg_wait_any(w, &one, 1, RG_FOREVER, &index) == RG_ERR_DEADLOCK);
    CHECK(r.status == RG_PENDING);
    int result = rg_wait(w, &r); /* it stays so, but others may be gone by now */
    CHECK(result == RG_ERR_DEADLOCK || result == RG_ERR_PEER);
    CHECK(r.status != RG_PENDING); /* and r may go */
    return 0;
}

static int all_send_large(struct rg_world *w, void *arg)
{
    (void)arg;
    struct rg_request r;
    char *buffer = calloc(2, RG_EAGER_LIMIT);
    CHECK(buffer);
    CHECK(rg_send(w, 1 - w->rank, TAG(0), buffer, 2 * RG_EAGER_LIMIT, &r) == 0);
    CHECK(rg_wait(w, &r) == RG_ERR_DEADLOCK && r.status != RG_PENDING);
    free(buffer);
    return 0;
}

static int waits_for_ever(struct rg_world *w, void *arg)
{
    struct rg_request r;
    CHECK(rg_recv(w, w->rank, TAG(0), NULL, 0, &r) == 0);
    CHECK(rg_wait(w, &r) == RG_ERR_DEADLOCK && r.status != RG_PENDING);
    (void)arg;
    return 0;
}

/* One in a barrier, one in a join, one in a receive; and one that only has a deadline. */
static int mixed_deadlock(struct rg_world *w, void *arg)
{
    struct rg_request r;
    struct rg_strand *strand;
    int result, index;
    CHECK(rg_clock_start(w) == 0);
    if (w->rank == 0) {
        CHECK(rg_clock_start(w) == RG_ERR_DEADLOCK);
    } else if (w->rank == 1) {
        CHECK(rg_spawn(w, waits_for_ever, arg, &strand) == 0);
        CHECK(rg_join(w, strand, &result) == 0 && result == 0);
    } else {
        struct rg_request *one = &r;
        CHECK(rg_recv(w, 0, TAG(0), NULL, 0, &r) == 0);
        CHECK(rg_wait_any(w, &one, 1, 3, &index) == RG_ERR_TIMEOUT); /* no deadlock yet */
        CHECK(rg_wait(w, &r) == RG_ERR_DEADLOCK && r.status != RG_PENDING);
    }
    return 0;
}

static const struct rg_case list[] = {
    {.name = "dies at once", .size = 3, .program = dies_at_once, .died = 2},
    {.name = "dies while awaited", .size = 3, .program = dies_while_awaited, .died = 2},
    {.name = "dies in transit", .size = 3, .program = dies_in_transit, .died = 2},
    {.name = "dies after sending", .size = 2, .program = dies_after_sending, .died = 2},
    {.name = "dies unneeded", .size = 3, .program = dies_unneeded, .died = 4},
    {.name = "dies before a barrier", .size = 3, .program = dies_before_barrier, .died = 2},
    {.name = "dies in a strand", .size = 2, .program = dies_in_a_strand, .died = 2},
    {.name = "leaves", .size = 2, .program = leaves},
    {.name = "leaves requests", .size = 2, .program = leaves_requests},
    {.name = "leaves in flight", .size = 2, .program = leaves_in_flight, .only_virtual = true},
    {.name = "gives up", .size = 2, .program = gives_up},
    {.name = "all receive",
     .size = 3,
     .program = all_receive,
     .only_virtual = true,
     .deadlocks = true},
    {.name = "all send large",
     .size = 2,
     .program = all_send_large,
     .only_virtual = true,
     .deadlocks = true},
    {.name = "mixed deadlock",
     .size = 3,
     .program = mixed_deadlock,
     .only_virtual = true,
     .deadlocks = true},
};

const struct rg_cases rg_fault_cases = {list, RG_COUNT(list)};
