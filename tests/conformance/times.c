/* Clock, deadlines, overlap, strands, counters and the trace. In real time other work on the
 * machine may hold up anybody for any time: there dates are compared with dates, and none with a
 * bound. */
#include "tests/conformance/cases.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"
#include "world/trace.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 8 << 20, TRIES = 5, REAL_TRIES = 20 };

/* A clock that all ranks share: the machine's where time is real, which nothing here sets back. */
static double common_s(struct rg_world *w, const struct rg_launcher *l)
{
    return l->is_virtual ? rg_now(w) : rg_clock_s();
}

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

/* Have all messages ended before the last computation has? */
static bool ended_before_compute(const struct rg_trace *trace)
{
    double messages_s = INFINITY, compute_s = -INFINITY;
    int count = 0;
    for (uint64_t i = 0; i < trace->count; i++) {
        const struct rg_trace_event *e = &trace->events[i];
        if (e->kind == RG_TRACE_COMPUTE) {
            compute_s = e->end_s;
        } else if (e->kind == RG_TRACE_SEND || e->kind == RG_TRACE_RECV) {
            messages_s = count++ ? fmax(messages_s, e->end_s) : e->end_s;
        }
    }
    return count == 2 && messages_s < compute_s;
}

/* Messages come and go while both ranks compute and nobody waits for them: some computation is long
 * enough for that, whatever else the machine does. */
static int overlap_really(struct rg_world *w, const struct rg_launcher *l, char *out, char *in)
{
    int good[2] = {0};
    for (double nap_s = 0.02; !(good[0] && good[1]); nap_s *= 2) {
        CHECK(nap_s < 10 * RG_TEST_SLOWNESS);
        CHECK(rg_clock_start(w) == 0);
        w->trace = rg_trace_new(100);
        CHECK(w->trace);
        CHECK(exchange(w, out, in, l, nap_s) == 0);
        good[0] = ended_before_compute(w->trace);
        rg_trace_free(w->trace);
        w->trace = NULL;
        CHECK(rg_sendrecv(w, 1 - w->rank, &good[0], sizeof(int), 1 - w->rank, &good[1], sizeof(int),
                          TAG(1)) == 0);
    }
    return 0;
}

/* Sending, receiving and computing at once takes as long as the longest of them. */
static int overlap(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    char *out = calloc(1, LARGE), *in = calloc(1, LARGE);
    CHECK(out && in);
    if (!l->is_virtual) {
        int result = overlap_really(w, l, out, in);
        free(out);
        free(in);
        return result;
    }
    for (int i = 0; i < TRIES; i++) {
        CHECK(rg_clock_start(w) == 0);
        CHECK(exchange(w, out, in, l, 0) == 0);
        double apart = rg_now(w), nap = (i % 2 ? 1.5 : 0.5) * apart;
        CHECK(rg_sendrecv(w, 1 - w->rank, &nap, sizeof nap, 1 - w->rank, in, sizeof nap, TAG(1)) ==
              0);
        if (w->rank == 1)
            memcpy(&nap, in, sizeof nap);
        CHECK(rg_clock_start(w) == 0);
        CHECK(exchange(w, out, in, l, nap) == 0);
        double together = rg_now(w);
        /* delays drawn by seed are a small part of a large message */
        CHECK(together <= 1.05 * fmax(apart, nap) && together >= 0.95 * fmax(apart, nap));
        CHECK(together >= 0.99 * nap);
    }
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
    CHECK(w->count.tls_sent == rg_tls_bytes(100) + rg_tls_bytes(17));
    CHECK(w->count.tls_received == w->count.tls_sent);
    CHECK(w->count.busy_s >= (w->rank ? 0.0699 : 0.0199));
    CHECK(!l->is_virtual || w->count.busy_s <= (w->rank ? 0.07 : 0.02) * 1.21);
    if (w->rank == 0) /* how long it waits in real time: see waiting */
        CHECK(w->count.waiting_s >= (l->is_virtual ? 0.02 : 0) && w->count.waiting_s <= rg_now(w));
    CHECK(rg_untimed_begin(w) == 0);
    struct rg_counters before = w->count;
    CHECK(rg_sendrecv(w, other, buffer, 17, other, values, 17, TAG(1)) == 0);
    CHECK(rg_test_nap(w, l, 0.01) == 0);
    CHECK(rg_untimed_end(w) == 0);
    CHECK(memcmp(&before, &w->count, sizeof before) == 0);
    return 0;
}

/* The other's wait is counted, and traced. */
static int waiting(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    bool good = false;
    for (int i = 0; i < (l->is_virtual ? 1 : REAL_TRIES) && !good; i++) {
        CHECK(rg_clock_start(w) == 0);
        w->trace = rg_trace_new(100);
        CHECK(w->trace);
        if (w->rank == 1) {
            CHECK(rg_test_nap(w, l, 0.05) == 0);
            CHECK(rg_test_tell(w, 0, TAG(0)) == 0);
        } else {
            CHECK(rg_test_hear(w, 1, TAG(0)) == 0);
            CHECK(w->count.waiting_s >= 0 && w->count.waiting_s <= rg_now(w));
            for (uint64_t k = 0; k < w->trace->count; k++) {
                const struct rg_trace_event *e = &w->trace->events[k];
                good = good || (e->kind == RG_TRACE_WAIT && e->end_s - e->begin_s >= 0.02);
            }
            good = good && w->count.waiting_s >= 0.02; /* else it came here late: again */
        }
        rg_trace_free(w->trace);
        w->trace = NULL;
        struct rg_request r;
        CHECK((w->rank ? rg_recv(w, 0, TAG(1), &good, sizeof good, &r)
                       : rg_send(w, 1, TAG(1), &good, sizeof good, &r)) == 0);
        CHECK(rg_wait(w, &r) == 0);
    }
    CHECK(good);
    return 0;
}

/* Clocks start when all have come, on the way through. */
static int clocks_start(struct rg_world *w, const struct rg_launcher *l)
{
    double came_s = common_s(w, l), theirs_s, now_s;
    CHECK(rg_clock_start(w) == 0);
    now_s = rg_now(w);
    if (l->is_virtual) { /* and take no time for it */
        double other_s;
        CHECK(now_s >= 0 && now_s < 1e-9);
        CHECK(rg_sendrecv(w, 1 - w->rank, &now_s, sizeof now_s, 1 - w->rank, &other_s,
                          sizeof other_s, TAG(0)) == 0);
        CHECK(fabs(now_s - other_s) < 1e-9);
        return 0;
    }
    double start_s = common_s(w, l) - now_s; /* at the latest */
    CHECK(now_s >= 0 && start_s >= came_s);
    CHECK(rg_sendrecv(w, 1 - w->rank, &came_s, sizeof came_s, 1 - w->rank, &theirs_s,
                      sizeof theirs_s, TAG(0)) == 0);
    CHECK(start_s >= theirs_s);
    return 0;
}

/* All clocks start together, and stand still in what is not timed; meters with them. */
static int clocks(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    struct rg_energy energy[3];
    CHECK(rg_test_nap(w, l, 0.01 * w->rank) == 0);
    CHECK(clocks_start(w, l) == 0);
    CHECK(rg_clock_start(w) == 0);
    CHECK(rg_test_nap(w, l, 0.02) == 0);
    double begin_s = common_s(w, l), before = rg_now(w);
    CHECK(before >= 0.0199);
    CHECK(rg_untimed_begin(w) == 0);
    double inside = rg_now(w);
    rg_energy(w, &energy[0]);
    CHECK(rg_test_nap(w, l, 0.2 + 0.01 * w->rank) == 0);
    CHECK(rg_now(w) >= inside + 0.1999);
    rg_energy(w, &energy[1]);
    CHECK(rg_untimed_end(w) == 0);
    double after = rg_now(w);
    CHECK(after >= before - 1e-9);
    if (l->is_virtual) /* time passes only as the program says */
        CHECK(after < inside + 1e-9);
    else /* what has passed beside the nap is all that may count */
        CHECK(after - before <= common_s(w, l) - begin_s - 0.1999);
    CHECK(rg_test_nap(w, l, 0.01) == 0);
    CHECK(rg_now(w) >= after + 0.0099);
    rg_energy(w, &energy[2]);
    if (isnan(energy[0].total_J)) { /* as long as nobody knows, everybody says so */
        CHECK(strcmp(energy[0].source, "none") == 0 && isnan(energy[2].total_J));
    } else {
        CHECK(energy[0].total_J == energy[1].total_J && energy[1].total_J <= energy[2].total_J);
    }
    return clocks_start(w, l);
}

/* Nobody is through a barrier before the last has come. */
static int barrier(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    CHECK(rg_clock_start(w) == 0);
    for (int late = 0; late < w->size; late += 2) {
        double begin = rg_now(w), came_s;
        struct rg_request r;
        if (w->rank == late)
            CHECK(rg_test_nap(w, l, 0.05) == 0);
        came_s = common_s(w, l);
        CHECK(rg_barrier(w) == 0);
        double passed_s = common_s(w, l);
        CHECK(!l->is_virtual || rg_now(w) >= begin + 0.04);
        for (int other = 0; other < w->size && w->rank == late; other++) {
            if (other == late)
                continue;
            CHECK(rg_send(w, other, TAG(0), &came_s, sizeof came_s, &r) == 0);
            CHECK(rg_wait(w, &r) == 0);
        }
        if (w->rank == late)
            continue;
        CHECK(rg_recv(w, late, TAG(0), &came_s, sizeof came_s, &r) == 0);
        CHECK(rg_wait(w, &r) == 0 && passed_s >= came_s - 1e-9);
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
    CHECK(w->count.tls_sent == 10 * rg_tls_bytes(4) && w->count.tls_received == w->count.tls_sent);
    CHECK(w->count.busy_s >= 0.0399);
    return 0;
}

static int computing(struct rg_world *w, void *arg)
{
    return rg_test_nap(w, arg, 0.05);
}

enum { AT_ONCE = 3 };

static void meet(void *arg)
{
    pthread_barrier_wait(arg);
}

static int meeting(struct rg_world *w, void *arg)
{
    struct rg_cost cost = {.flops = 1e6, .calls = 1};
    struct rg_work work = {.cost = &cost, .count = 1, .capacity = 1};
    return rg_compute(w, &work, "meet", -1, meet, arg);
}

/* Computations that end only if all of them go on at once. */
static int strands_meet(struct rg_world *w)
{
    pthread_barrier_t place;
    struct rg_strand *strand[AT_ONCE - 1];
    int result;
    CHECK(pthread_barrier_init(&place, NULL, AT_ONCE) == 0);
    for (int i = 0; i < AT_ONCE - 1; i++)
        CHECK(rg_spawn(w, meeting, &place, &strand[i]) == 0);
    CHECK(meeting(w, &place) == 0);
    for (int i = 0; i < AT_ONCE - 1; i++)
        CHECK(rg_join(w, strand[i], &result) == 0 && result == 0);
    pthread_barrier_destroy(&place);
    return 0;
}

/* Strands compute at once, beside their parent. */
static int strands_overlap(struct rg_world *w, void *arg)
{
    const struct rg_launcher *l = arg;
    struct rg_strand *strand[2];
    int result;
    double best = INFINITY;
    if (!l->is_virtual)
        return strands_meet(w);
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
    double came_s = common_s(w, l);
    CHECK(rg_clock_start(w) == 0);
    /* In real time the other's message may be here before this rank's clock is started. */
    double begin = l->is_virtual ? 0 : came_s - (common_s(w, l) - rg_now(w));
    w->trace = rg_trace_new(1000);
    CHECK(w->trace);
    CHECK(rg_test_nap(w, l, w->rank ? 0.05 : 0.01) == 0);
    CHECK(rg_sendrecv(w, other, buffers[w->rank][0], 200000, other, buffers[w->rank][1], 200000,
                      TAG(3)) == 0);
    double end = rg_now(w);
    for (uint64_t i = 0; i < w->trace->count; i++) {
        const struct rg_trace_event *e = &w->trace->events[i];
        CHECK(e->kind <= RG_TRACE_MARK && e->end_s >= e->begin_s);
        CHECK(e->begin_s >= (e->kind == RG_TRACE_RECV ? begin : 0) - 1e-9);
        CHECK(e->end_s <= end + 1e-6);
        seen[e->kind]++;
        if (e->kind == RG_TRACE_SEND || e->kind == RG_TRACE_RECV)
            CHECK(e->peer == other && e->bytes == 200000 && e->tag == TAG(3));
        if (e->kind == RG_TRACE_COMPUTE)
            CHECK(strcmp(e->name, "nap") == 0 && e->end_s - e->begin_s >= 0.0099);
    }
    CHECK(seen[RG_TRACE_COMPUTE] == 1 && seen[RG_TRACE_SEND] == 1 && seen[RG_TRACE_RECV] == 1);
    if (l->is_virtual) /* it has waited for the other's nap; in real time: see waiting */
        CHECK(w->rank == 1 || seen[RG_TRACE_WAIT] >= 1);
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
    {.name = "waiting", .size = 2, .program = waiting},
    {.name = "clocks", .size = 2, .program = clocks},
    {.name = "barrier", .size = 5, .program = barrier},
    {.name = "strands", .size = 2, .program = strands},
    {.name = "strands overlap", .size = 1, .program = strands_overlap},
    {.name = "iterations", .size = 2, .program = iterations},
    {.name = "tracing", .size = 2, .program = tracing},
};

const struct rg_cases rg_time_cases = {list, RG_COUNT(list)};
