/* Cancelling receives and sends: before anything has come, while it comes, at any time. */
#include "tests/conformance/cases.h"

#include "base/check.h"
#include <stdlib.h>
#include <string.h>

enum { SMALL = 1000 };

static int cancel_receive(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    int first = 0, second = 0, third = 0;
    struct rg_request r[3];
    if (w->rank == 0) {
        int values[] = {1, 2};
        CHECK(rg_test_hear(w, 1, TAG(1)) == 0);
        CHECK(rg_send(w, 1, TAG(0), &values[0], sizeof(int), &r[0]) == 0);
        CHECK(rg_send(w, 1, TAG(0), &values[1], sizeof(int), &r[1]) == 0);
        CHECK(rg_wait(w, &r[0]) == 0 && rg_wait(w, &r[1]) == 0);
    } else {
        CHECK(rg_recv(w, 0, TAG(0), &first, sizeof first, &r[0]) == 0);
        CHECK(rg_recv(w, 0, TAG(0), &second, sizeof second, &r[1]) == 0);
        CHECK(rg_cancel(w, &r[0]) == 0 && r[0].status == RG_ERR_CANCELLED);
        CHECK(rg_cancel(w, &r[0]) == 0 && r[0].status == RG_ERR_CANCELLED);
        CHECK(rg_wait(w, &r[0]) == RG_ERR_CANCELLED);
        CHECK(rg_test_tell(w, 0, TAG(1)) == 0);
        CHECK(rg_wait(w, &r[1]) == 0 && first == 0 && second == 1);
        CHECK(rg_test_nap(w, l, rg_test_while(l) / 2) == 0); /* the other has come unasked-for */
        CHECK(rg_recv(w, 0, TAG(0), &third, sizeof third, &r[2]) == 0);
        CHECK(rg_wait(w, &r[2]) == 0 && third == 2 && first == 0);
        CHECK(rg_cancel(w, &r[2]) == 0 && r[2].status == 0);
    }
    return 0;
}

/* Cancel a receive whose message is on its way: the next receive takes it. */
static int cancel_in_flight(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    enum { N = 3 };
    size_t bytes = 4 << 20;
    struct rg_request r[N];
    char *buffer = malloc(N * bytes);
    CHECK(buffer);
    if (w->rank == 0) {
        CHECK(rg_test_hear(w, 1, TAG(1)) == 0);
        for (unsigned i = 0; i < N - 1; i++) {
            rg_test_fill(buffer + i * bytes, bytes, i);
            CHECK(rg_send(w, 1, TAG(0), buffer + i * bytes, bytes, &r[i]) == 0);
        }
        CHECK(rg_wait(w, &r[0]) == 0 && rg_wait(w, &r[1]) == 0);
    } else {
        memset(buffer, 42, N * bytes);
        for (int i = 0; i < N - 1; i++)
            CHECK(rg_recv(w, 0, TAG(0), buffer + (size_t)i * bytes, bytes, &r[i]) == 0);
        CHECK(rg_test_tell(w, 0, TAG(1)) == 0);
        CHECK(rg_test_nap(w, l, l->transfer_s(bytes) / 2) == 0);
        CHECK(rg_cancel(w, &r[0]) == 0);
        bool gone = r[0].status == RG_ERR_CANCELLED; /* or it was quicker than we */
        CHECK(gone || r[0].status == 0);
        memset(buffer, 42, bytes);
        if (gone) /* else nothing is left to come, and rank 0 may have left */
            CHECK(rg_recv(w, 0, TAG(0), buffer + 2 * bytes, bytes, &r[2]) == 0);
        CHECK(rg_wait(w, &r[1]) == 0);
        CHECK(rg_test_same(buffer + bytes, bytes, gone ? 0 : 1));
        if (gone)
            CHECK(rg_wait(w, &r[2]) == 0 && rg_test_same(buffer + 2 * bytes, bytes, 1));
        for (size_t i = 0; i < bytes; i++) /* the buffer given back is left alone */
            CHECK(buffer[i] == 42);
    }
    free(buffer);
    return 0;
}

/* Receives that are cancelled unused, as at the end of an epoch, stand for nothing: larger messages
 * of the tag, for which no receive is there yet, wait as any do. */
static int cancel_unused(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    enum { ROUNDS = 40, N = 3 }; /* more than a world may remember */
    size_t part = 300 << 10, bytes[N] = {part, 4 << 20, part};
    struct rg_request r[N];
    char *buffer = malloc(N * bytes[1]);
    CHECK(buffer);
    for (unsigned round = 0; round < ROUNDS; round++) {
        CHECK(w->rank == 0 ? rg_test_hear(w, 1, TAG(1)) == 0 : true);
        for (unsigned i = 0; i < N; i++) {
            char *at = buffer + i * bytes[1];
            if (w->rank == 0)
                rg_test_fill(at, bytes[i], round + i);
            else /* the first is small */
                CHECK(rg_recv(w, 0, TAG(0), at, i ? part : SMALL, &r[i]) == 0);
        }
        if (w->rank == 0) {
            CHECK(rg_test_hear(w, 1, TAG(2)) == 0); /* all that was told of receives is here */
            for (unsigned i = 0; i < N; i++)
                CHECK(rg_send(w, 1, TAG(0), buffer + i * bytes[1], bytes[i], &r[i]) == 0);
            CHECK(rg_wait(w, &r[0]) == 0 && rg_wait(w, &r[1]) == 0 && rg_wait(w, &r[2]) == 0);
            continue;
        }
        CHECK(rg_test_tell(w, 0, TAG(1)) == 0);
        CHECK(rg_cancel(w, &r[round % N]) == 0);
        if (round % 2)
            CHECK(rg_cancel(w, &r[(round + 1) % N]) == 0 && rg_cancel(w, &r[(round + 2) % N]) == 0);
        else
            CHECK(rg_cancel(w, &r[(round + 2) % N]) == 0 && rg_cancel(w, &r[(round + 1) % N]) == 0);
        CHECK(rg_test_tell(w, 0, TAG(2)) == 0);
        if (round % 4 == 0)
            CHECK(rg_test_nap(w, l, rg_test_while(l) / 4) == 0);
        for (unsigned i = 0; i < N; i++)
            CHECK(rg_recv(w, 0, TAG(0), buffer + i * bytes[1], bytes[i], &r[i]) == 0);
        for (unsigned i = 0; i < N; i++) {
            CHECK(rg_wait(w, &r[i]) == 0);
            CHECK(rg_test_same(buffer + i * bytes[1], bytes[i], round + i));
        }
    }
    free(buffer);
    return 0;
}

/* A send that has not started can be taken back; what was behind it goes on. */
static int cancel_send(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    size_t big = RG_EAGER_LIMIT + 1;
    int value = 3, got = 0, index;
    struct rg_request r, behind, *one = &behind;
    if (w->rank == 0) {
        char *buffer = calloc(1, big);
        CHECK(buffer);
        CHECK(rg_send(w, 1, TAG(0), buffer, big, &r) == 0);
        CHECK(rg_send(w, 1, TAG(0), &value, sizeof value, &behind) == 0);
        CHECK(rg_wait_any(w, &one, 1, rg_test_soon(w, l), &index) == RG_ERR_TIMEOUT);
        CHECK(rg_cancel(w, &r) == 0 && r.status == RG_ERR_CANCELLED);
        CHECK(rg_wait(w, &r) == RG_ERR_CANCELLED);
        free(buffer);
        CHECK(rg_wait(w, &behind) == 0);
        CHECK(rg_cancel(w, &behind) == 0 && behind.status == 0);
        CHECK(rg_test_tell(w, 1, TAG(1)) == 0);
    } else {
        CHECK(rg_test_hear(w, 0, TAG(1)) == 0);
        CHECK(rg_recv(w, 0, TAG(0), &got, sizeof got, &r) == 0);
        CHECK(rg_wait(w, &r) == 0 && got == 3);
    }
    return 0;
}

/* Whenever a send is cancelled, it ends: taken back, or delivered whole. */
static int cancel_send_any_time(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    size_t bytes = 1 << 19;
    char *buffer = malloc(bytes);
    CHECK(buffer);
    for (unsigned i = 0; i < 5; i++) {
        struct rg_request r, last;
        int sent = 0;
        if (w->rank == 0) {
            rg_test_fill(buffer, bytes, i);
            CHECK(rg_send(w, 1, TAG(0), buffer, bytes, &r) == 0);
            CHECK(rg_test_nap(w, l, i * l->transfer_s(bytes) / 3) == 0);
            CHECK(rg_cancel(w, &r) == 0);
            int status = r.status; /* complete, and the buffer is the program's again */
            CHECK(status == 0 || status == RG_ERR_CANCELLED);
            memset(buffer, 0, bytes);
            sent = status == 0;
            CHECK(rg_send(w, 1, TAG(1), &sent, sizeof sent, &last) == 0);
            CHECK(rg_wait(w, &last) == 0);
        } else {
            CHECK(rg_recv(w, 0, TAG(1), &sent, sizeof sent, &last) == 0);
            CHECK(rg_wait(w, &last) == 0);
            if (sent) {
                CHECK(rg_recv(w, 0, TAG(0), buffer, bytes, &r) == 0);
                CHECK(rg_wait(w, &r) == 0 && rg_test_same(buffer, bytes, i));
            }
        }
    }
    free(buffer);
    return 0;
}

enum { MEDIUM = RG_EAGER_LIMIT / 2, LARGE = 2 * RG_EAGER_LIMIT, STREAM = 5 };

static int cancel_then_receive(struct rg_world *w, const struct rg_launcher *l, char *buffer,
                               uint32_t tag, const size_t sizes[STREAM])
{
    struct rg_request r[3], sent[STREAM];
    if (w->rank == 0) {
        CHECK(rg_test_hear(w, 1, TAG(1)) == 0);
        for (int i = 0; i < STREAM; i++)
            CHECK(rg_send(w, 1, tag, buffer, sizes[i], &sent[i]) == 0);
        for (int i = 0; i < STREAM; i++)
            CHECK(rg_wait(w, &sent[i]) == 0);
        return 0;
    }
    CHECK(rg_recv(w, 0, tag, buffer, SMALL, &r[0]) == 0);
    CHECK(rg_recv(w, 0, tag, buffer, sizes[0], &r[1]) == 0);
    CHECK(rg_recv(w, 0, tag, buffer, MEDIUM, &r[2]) == 0);
    CHECK(rg_test_nap(w, l, rg_test_while(l) / 4) == 0); /* the other hears of them */
    CHECK(rg_cancel(w, &r[0]) == 0 && rg_cancel(w, &r[2]) == 0);
    CHECK(rg_test_tell(w, 0, TAG(1)) == 0);
    CHECK(rg_wait(w, &r[1]) == 0);
    CHECK(rg_test_nap(w, l, rg_test_while(l) / 4) == 0); /* time for what nobody waits for */
    for (int i = 1; i < STREAM; i++) {
        CHECK(rg_recv(w, 0, tag, buffer, sizes[i], &r[0]) == 0);
        CHECK(rg_wait(w, &r[0]) == 0);
    }
    return 0;
}

/* A receive that is cancelled after the sender has heard of it permits no more than itself, and
 * neither does the one behind it: what nobody asks for is held back until it is. */
static int cancel_permits(struct rg_world *w, void *arg)
{
    static const size_t larger[STREAM] = {MEDIUM, LARGE, MEDIUM, MEDIUM, LARGE},
                        more[STREAM] = {MEDIUM, MEDIUM, MEDIUM, MEDIUM, LARGE};
    char *buffer = calloc(1, LARGE);
    CHECK(buffer);
    CHECK(cancel_then_receive(w, arg, buffer, TAG(2), larger) == 0);
    CHECK(cancel_then_receive(w, arg, buffer, TAG(3), more) == 0);
    free(buffer);
    return 0;
}

static const struct rg_case list[] = {
    {.name = "cancel a receive", .size = 2, .program = cancel_receive},
    {.name = "cancel in flight", .size = 2, .program = cancel_in_flight},
    {.name = "cancel unused", .size = 2, .program = cancel_unused},
    {.name = "cancel a send", .size = 2, .program = cancel_send},
    {.name = "cancel permits no more", .size = 2, .program = cancel_permits},
    {.name = "cancel a send at any time", .size = 2, .program = cancel_send_any_time},
};

const struct rg_cases rg_cancel_cases = {list, RG_COUNT(list)};
