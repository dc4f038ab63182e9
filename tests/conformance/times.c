/* Clock, deadlines, overlap, strands, counters and the trace. */
#include "tests/conformance/cases.h"

#include "base/check.h"
#include "world/trace.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 8 << 20, TRIES = 5 };

static int deadlines(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    int got = 0, value = 9, index;
    struct rg_request r, *one = &r;
    CHECK(rg_clock_start(w) == 0);
    if (w->rank == 0) {
        CHECK(rg_test_hear(w, 1, TAG(1)) == 0);
        CHECK(rg_send(w, 1, TAG(0), &value, sizeof value, &r) == 0);
        return rg_wait(w, &r);
    }
    CHECK(rg_recv(w, 0, TAG(0), &got, sizeof got, &r) == 0);
    for (int i = 1; i <= 3; i++) {
        double date = rg_now(w) + i * 0.01;
        CHECK(rg_wait_any(w, &one, 1, date, &index) == RG_ERR_TIMEOUT && index == -1);
        CHECK(r.status == RG_PENDING);
        CHECK(rg_now(w) >= date - 1e-9);
        CHECK(!l->is_virtual || rg_now(w) <= date + 1e-9);
    }
    CHECK(rg_wait_any(w, &one, 1, rg_now(w), &index) == RG_ERR_TIMEOUT); /* polls */
    CHECK(rg_wait_any(w, &one, 1, -1, &index) == RG_ERR_TIMEOUT);
    CHECK(!rg_done(w, &r));
    CHECK(rg_test_tell(w, 0, TAG(1)) == 0);
    CHECK(rg_wait_any(w, &one, 1, rg_now(w) + 1000, &index) == 0 && index == 0);
    CHECK(r.status == 0 && got == 9);
    CHECK(rg_now(w) < 900);
    return 0;
}

/* A program that does nothing but look gets on in every world. */
static int polling(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    struct rg_request r;
    if (w->rank == 0) {
        CHECK(rg_test_nap(w, l, 0.01) == 0);
        return rg_test_tell(w, 1, TAG(0));
    }
    CHECK(rg_recv(w, 0, TAG(0), NULL, 0, &r) == 0);
    double before = rg_now(w);
    CHECK(!rg_done(w, &r));
    CHECK(!l->is_virtual || rg_now(w) == before); /* one look is free */
    long looks = 0;
    while (!rg_done(w, &r))
        looks++;
    CHECK(r.status == 0 && looks > 0);
    return 0;
}

static int exchange(struct rg_world *w, char *out, char *in, const struct rg_launcher *l,
                    double nap_s)
{
    struct rg_request r[2], *both[] = {&r[0], &r[1]};
    int other = 1 - w->rank;
    CHECK(rg_recv(w, other, TAG(0), in, LARGE, &r[0]) == 0);
    CHECK(rg_send(w, other, TAG(0), out, LARGE, &r[1]) == 0);
    CHECK(nap_s <= 0 || rg_test_nap(w, l, nap_s) == 0);
    CHECK(rg_wait_all(w, both, 2) == 0);
    return 0;
}

/* Sending, receiving and computing at once takes as long as the longest of them. */
static int overlap(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    char *out = calloc(1, LARGE), *in = calloc(1, LARGE);
    CHECK(out && in);
    double best = INFINITY;
    for (int i = 0; i < TRIES; i++) {
        CHECK(rg_clock_start(w) == 0);
        CHECK(exchange(w, out, in, l, 0) == 0);
        double apart = rg_now(w), nap = (i % 2 ? 1.5 : 0.5) * apart;
        if (!l->is_virtual)
            nap = fmax(nap, 1e-3);
        CHECK(rg_sendrecv(w, 1 - w->rank, &nap, sizeof nap, 1 - w->rank, in, sizeof nap, TAG(1)) ==
              0);
        if (w->rank == 1)
            memcpy(&nap, in, sizeof nap);
        CHECK(rg_clock_start(w) == 0);
        CHECK(exchange(w, out, in, l, nap) == 0);
        double together = rg_now(w);
        best = fmin(best, together / (apart + nap));
        CHECK(together >= 0.99 * nap);
        if (l->is_virtual) /* delays drawn by seed are a small part of a large message */
            CHECK(together <= 1.05 * fmax(apart, nap) && together >= 0.95 * fmax(apart, nap));
    }
    CHECK(best < 0.9);
    free(out);
    free(in);
    return 0;
}

/* n small messages cost n times their place on the connection and the latency once. */
static int pipelining(struct rg_world *w, void *arg)
{
    (void)arg;
    enum { N = 20, BYTES = 10000 };
    static char buffers[2][N][BYTES];
    struct rg_request r[N], *all[N];
    double took[3];
    static const int counts[] = {1, 10, 20};
    for (int k = 0; k < 3; k++) {
        CHECK(rg_clock_start(w) == 0);
        for (int i = 0; i < counts[k]; i++) {
            all[i] = &r[i];
            CHECK((w->rank ? rg_recv(w, 0, TAG(i), buffers[1][i], BYTES, &r[i])
                           : rg_send(w, 1, TAG(i), buffers[0][i], BYTES, &r[i])) == 0);
        }
        CHECK(rg_wait_all(w, all, counts[k]) == 0);
        took[k] = rg_now(w);
    }
    double each = (took[2] - took[1]) / 10; /* latency: took[0] - each */
    CHECK(took[2] >= took[1] && took[1] >= took[0]);
    CHECK(took[1] <= 10 * took[0] * (1 + 1e-9));
    CHECK(took[1] - took[0] <= 9 * each * 1.5 + 0.5 * took[0]);
    return 0;
}

static int late_receives(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    struct rg_request r[5], *all[5];
    CHECK(rg_clock_start(w) == 0);
    for (int i = 0; i < 5; i++)
        all[i] = &r[i];
    if (w->rank == 0) {
        CHECK(rg_test_hear(w, 1, TAG(9)) == 0);
        for (int i = 0; i < 5; i++)
            CHECK(rg_send(w, 1, TAG(i), NULL, 0, &r[i]) == 0);
        CHECK(rg_wait_all(w, all, 5) == 0);
        /* In real time rank 1 may have been ahead of the receive of its word. */
        CHECK(!l->is_virtual || w->count.late_receives == 0);
    } else {
        CHECK(rg_recv(w, 0, TAG(0), NULL, 0, &r[0]) == 0);
        CHECK(rg_recv(w, 0, TAG(4), NULL, 0, &r[4]) == 0);
        CHECK(rg_test_tell(w, 0, TAG(9)) == 0);
        CHECK(rg_wait(w, &r[4]) == 0); /* so all have come */
        CHECK(w->count.late_receives == 0);
        CHECK(rg_test_nap(w, l, 0.01) == 0);
        for (int i = 1; i < 4; i++)
            CHECK(rg_recv(w, 0, TAG(i), NULL, 0, &r[i]) == 0);
        CHECK(rg_wait_all(w, all, 5) == 0);
        CHECK(w->count.late_receives == 3);
        CHECK(rg_clock_start(w) == 0 && w->count.late_receives == 0);
        return 0;
    }
    return rg_clock_start(w);
}

static int counters(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    int other = 1 - w->rank;
    float values[100] = {0};
    char buffer[100];
    struct rg_request r[2], *both[] = {&r[0], &r[1]};
    CHECK(rg_barrier(w) == 0);
    CHECK(rg_clock_start(w) == 0);
    CHECK(w->count.messages == 0 && w->count.messages_received == 0 && w->count.busy_s == 0);
    CHECK(rg_test_nap(w, l, 0.02) == 0);
    if (w->rank == 1)
        CHECK(rg_test_nap(w, l, 0.05) == 0);
    CHECK(rg_recv(w, other, TAG(0), buffer, sizeof buffer, &r[0]) == 0);
    CHECK(rg_send_floats(w, other, TAG(0), values, 25, &r[1]) == 0);
    CHECK(rg_wait_all(w, both, 2) == 0);
    CHECK(rg_sendrecv(w, other, buffer, 17, other, values, 17, TAG(1)) == 0);
    CHECK(w->count.messages == 2 && w->count.messages_received == 2 && w->count.values == 25);
    CHECK(w->count.bytes_sent == 117 && w->count.bytes_received == 117);
    CHECK(w->count.busy_s >= (w->rank ? 0.0699 : 0.0199));
    CHECK(!l->is_virtual || w->count.busy_s <= (w->rank ? 0.07 : 0.02) * 1.21);
    if (w->rank == 0)
        CHECK(w->count.waiting_s >= 0.02 && w->count.waiting_s <= rg_now(w));
    CHECK(rg_untimed_begin(w) == 0);
    struct rg_counters before = w->count;
    CHECK(rg_sendrecv(w, other, buffer, 17, other, values, 17, TAG(1)) == 0);
    CHECK(rg_test_nap(w, l, 0.01) == 0);
    CHECK(rg_untimed_end(w) == 0);
    CHECK(memcmp(&before, &w->count, sizeof before) == 0);
    return 0;
}

/* All clocks start together, and stand still in what is not timed; meters with them. */
static int clocks(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    double slack = l->is_virtual ? 1e-9 : 0.05;
    struct rg_energy energy[3];
    CHECK(rg_test_nap(w, l, 0.01 * w->rank) == 0);
    CHECK(rg_clock_start(w) == 0);
    CHECK(rg_now(w) >= 0 && rg_now(w) < slack);
    CHECK(rg_test_nap(w, l, 0.02) == 0);
    double before = rg_now(w);
    CHECK(before >= 0.0199);
    CHECK(rg_untimed_begin(w) == 0);
    double inside = rg_now(w);
    rg_energy(w, &energy[0]);
    CHECK(rg_test_nap(w, l, 0.2 + 0.01 * w->rank) == 0);
    CHECK(rg_now(w) >= inside + 0.1999);
    rg_energy(w, &energy[1]);
    CHECK(rg_untimed_end(w) == 0);
    double after = rg_now(w);
    CHECK(after >= before - 1e-9 && after < inside + slack);
    CHECK(rg_test_nap(w, l, 0.01) == 0);
    CHECK(rg_now(w) >= after + 0.0099);
    rg_energy(w, &energy[2]);
    if (isnan(energy[0].total_J)) { /* as long as nobody knows, everybody says so */
        CHECK(strcmp(energy[0].source, "none") == 0 && isnan(energy[2].total_J));
    } else {
        CHECK(energy[0].total_J == energy[1].total_J && energy[1].total_J <= energy[2].total_J);
    }
    double theirs;
    CHECK(rg_clock_start(w) == 0 && rg_now(w) < slack);
    double mine = rg_now(w);
    CHECK(rg_sendrecv(w, 1 - w->rank, &mine, sizeof mine, 1 - w->rank, &theirs, sizeof theirs,
                      TAG(0)) == 0);
    CHECK(fabs(mine - theirs) < slack);
    return 0;
}

/* Nobody is through a barrier before the last has come. */
static int barrier(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    CHECK(rg_clock_start(w) == 0);
    for (int late = 0; late < w->size; late += 2) {
        double begin = rg_now(w);
        if (w->rank == late)
            CHECK(rg_test_nap(w, l, 0.05) == 0);
        CHECK(rg_barrier(w) == 0);
        CHECK(rg_now(w) >= begin + 0.04 || (!l->is_virtual && late));
        CHECK(late || rg_now(w) >= 0.045);
    }
    CHECK(rg_barrier(w) == 0);
    return 0;
}

struct helper {
    const struct rg_launcher *launcher;
    int other, heard;
};

static int helping(struct rg_world *w, void *arg)
{
    struct helper *h = arg;
    for (int i = 0; i < 5; i++) {
        int value = 10 * w->rank + i, got = -1;
        CHECK(w->strand == 1);
        CHECK(rg_sendrecv(w, h->other, &value, sizeof value, h->other, &got, sizeof got, TAG(1)) ==
              0);
        CHECK(got == 10 * h->other + i);
        CHECK(rg_test_nap(w, h->launcher, 0.004) == 0);
        h->heard++;
        CHECK(rg_test_tell(w, w->rank, TAG(2)) == 0);
    }
    return 77;
}

/* A strand talks and computes beside its parent, and tells it so. */
static int strands(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    struct helper h = {l, 1 - w->rank, 0};
    struct rg_strand *strand;
    int result = 0;
    CHECK(rg_clock_start(w) == 0);
    CHECK(rg_spawn(w, helping, &h, &strand) == 0);
    for (int i = 0; i < 5; i++) {
        int value = 100 + i, got = 0;
        CHECK(rg_test_nap(w, l, 0.004) == 0);
        CHECK(rg_sendrecv(w, h.other, &value, sizeof value, h.other, &got, sizeof got, TAG(3)) ==
              0);
        CHECK(got == 100 + i);
        CHECK(rg_test_hear(w, w->rank, TAG(2)) == 0);
    }
    CHECK(rg_join(w, strand, &result) == 0 && result == 77 && h.heard == 5);
    CHECK(w->count.messages == 10 && w->count.bytes_sent == 40 && w->count.bytes_received == 40);
    CHECK(w->count.busy_s >= 0.0399);
    return 0;
}

static int computing(struct rg_world *w, void *arg)
{
    return rg_test_nap(w, arg, 0.05);
}

/* Two strands compute at once (where there are cores), and messages of both share a connection. */
static int strands_overlap(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    struct rg_strand *strand[2];
    int result;
    double best = INFINITY;
    for (int i = 0; i < TRIES; i++) {
        CHECK(rg_clock_start(w) == 0);
        CHECK(rg_spawn(w, computing, arg, &strand[0]) == 0);
        CHECK(rg_spawn(w, computing, arg, &strand[1]) == 0);
        CHECK(rg_test_nap(w, l, 0.05) == 0);
        CHECK(rg_join(w, strand[1], &result) == 0 && result == 0);
        CHECK(rg_join(w, strand[0], &result) == 0 && result == 0);
        best = fmin(best, rg_now(w));
        CHECK(best >= 0.0499);
    }
    CHECK(best <= 0.09);
    return 0;
}

static int iterations(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    double marks[4];
    w->marks = marks;
    w->marks_capacity = 4;
    CHECK(rg_iteration(w, 0) == 0);
    CHECK(rg_clock_start(w) == 0 && w->marks_count == 0);
    for (long i = 0; i < 3; i++) {
        CHECK(rg_test_nap(w, l, 0.01) == 0);
        CHECK(rg_iteration(w, i) == 0);
    }
    CHECK(w->marks_count == 3);
    for (int i = 0; i < 3; i++)
        CHECK(marks[i] >= 0.0099 * (i + 1) && marks[i] <= rg_now(w));
    w->marks = NULL;
    w->marks_capacity = 0;
    return 0;
}

static int tracing(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    static char buffers[2][2][200000];
    int other = 1 - w->rank, seen[5] = {0};
    CHECK(rg_clock_start(w) == 0);
    w->trace = rg_trace_new(1000);
    CHECK(w->trace);
    CHECK(rg_test_nap(w, l, w->rank ? 0.05 : 0.01) == 0);
    CHECK(rg_sendrecv(w, other, buffers[w->rank][0], 200000, other, buffers[w->rank][1], 200000,
                      TAG(3)) == 0);
    double end = rg_now(w);
    for (uint64_t i = 0; i < w->trace->count; i++) {
        const struct rg_trace_event *e = &w->trace->events[i];
        CHECK(e->kind <= RG_TRACE_MARK && e->begin_s >= -1e-9 && e->end_s >= e->begin_s);
        CHECK(e->end_s <= end + 1e-6);
        seen[e->kind]++;
        if (e->kind == RG_TRACE_SEND || e->kind == RG_TRACE_RECV)
            CHECK(e->peer == other && e->bytes == 200000 && e->tag == TAG(3));
        if (e->kind == RG_TRACE_COMPUTE)
            CHECK(strcmp(e->name, "nap") == 0 && e->end_s - e->begin_s >= 0.0099);
    }
    CHECK(seen[RG_TRACE_COMPUTE] == 1 && seen[RG_TRACE_SEND] == 1 && seen[RG_TRACE_RECV] == 1);
    CHECK(w->rank == 1 || seen[RG_TRACE_WAIT] >= 1); /* it has waited for the other's nap */
    rg_trace_free(w->trace);
    w->trace = NULL;
    return 0;
}

static const struct rg_case list[] = {
    {.name = "deadlines", .size = 2, .program = deadlines},
    {.name = "polling", .size = 2, .program = polling},
    {.name = "overlap", .size = 2, .program = overlap},
    {.name = "pipelining", .size = 2, .program = pipelining, .only_virtual = true},
    {.name = "late receives", .size = 2, .program = late_receives},
    {.name = "counters", .size = 2, .program = counters},
    {.name = "clocks", .size = 2, .program = clocks},
    {.name = "barrier", .size = 5, .program = barrier},
    {.name = "strands", .size = 2, .program = strands},
    {.name = "strands overlap", .size = 1, .program = strands_overlap},
    {.name = "iterations", .size = 2, .program = iterations},
    {.name = "tracing", .size = 2, .program = tracing},
};

const struct rg_cases rg_time_cases = {list, RG_COUNT(list)};
