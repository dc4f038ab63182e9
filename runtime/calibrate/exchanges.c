/* Messages between two ends, over the sockets that training uses.
 *
 * For every size three times are measured, which together tell the parts of the model apart:
 *   one way     half of a round trip with the receives posted beforehand: two messages' processor
 *               time, the latency, and the bytes;
 *   stream      many messages one after the other, some always under way: latency hides, what is
 *               left is the slower of the port and a processor;
 *   processor   the same while both ends compute: what processes spend beyond the computing thread.
 *               What interrupts take outside of processes is not in it.
 * The first and second are each end's in turn, the third is the mean of both.
 *
 * Failure modes handled: interruption, a peer that goes: what the world says is returned. */
#include "calibrate/calibrate.h"

#include "base/check.h"
#include "base/clock.h"
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 8, MOST_SAMPLES = 2000, MOST_AT_ONCE = 256, SMALLEST_STREAM = 16 };

enum { TAG_WAY = RG_TAG_USER, TAG_BACK, TAG_STREAM, TAG_AGREE, TAG_END };

#define STREAM_BYTES   (64u << 20)
#define STREAM_BATCHES 5

struct ends {
    struct rg_world *w;
    const struct rg_cal_pace *pace;
    unsigned char *out, *in;
    double samples[MOST_SAMPLES];
    double empty_s; /* round trip of nothing */
};

/* What one end measured; both tell each other. */
struct told {
    double seconds, spread, count;
};

static struct told sum_up(double *samples, int n)
{
    gsl_sort(samples, 1, (size_t)n);
    double middle = gsl_stats_median_from_sorted_data(samples, 1, (size_t)n);
    return (struct told){middle,
                         (gsl_stats_quantile_from_sorted_data(samples, 1, (size_t)n, 0.75) -
                          gsl_stats_quantile_from_sorted_data(samples, 1, (size_t)n, 0.25)) /
                             middle,
                         n};
}

static int peer_of(const struct ends *x)
{
    return 1 - x->w->rank;
}

/* Rank 0's number, on both. */
static int agree(struct ends *x, double *value)
{
    double other = 0;
    int err = rg_sendrecv(x->w, peer_of(x), value, sizeof *value, peer_of(x), &other, sizeof other,
                          TAG_AGREE);
    if (x->w->rank == 1)
        *value = other;
    return err;
}

/* ---- one way ---- */

static int lead_round(struct ends *x, size_t bytes)
{
    struct rg_request back, way;
    struct rg_request *both[2] = {&way, &back};
    int err = rg_recv(x->w, peer_of(x), TAG_BACK, x->in, bytes, &back);
    if (err == 0)
        err = rg_send(x->w, peer_of(x), TAG_WAY, x->out, bytes, &way);
    if (err == 0)
        return rg_wait_all(x->w, both, 2);
    rg_cancel(x->w, &back);
    return err;
}

static int follow_rounds(struct ends *x, size_t bytes, int rounds)
{
    struct rg_request way, back = {0};
    int err = rg_recv(x->w, peer_of(x), TAG_WAY, x->in, bytes, &way);
    for (int i = 0; i < rounds && err == 0; i++) {
        err = rg_wait(x->w, &way);
        if (err == 0 && i + 1 < rounds) /* before the answer: it is there when the next comes */
            err = rg_recv(x->w, peer_of(x), TAG_WAY, x->in, bytes, &way);
        if (err == 0)
            err = rg_send(x->w, peer_of(x), TAG_BACK, x->out, bytes, &back);
        if (err == 0)
            err = rg_wait(x->w, &back);
    }
    return err;
}

static int round_trips(struct ends *x, size_t bytes, int rounds)
{
    int err = 0;
    if (x->w->rank == 1)
        return follow_rounds(x, bytes, rounds);
    for (int i = 0; i < rounds && err == 0; i++) {
        double begin = rg_clock_s();
        err = lead_round(x, bytes);
        x->samples[i] = rg_clock_s() - begin;
    }
    return err;
}

static int one_way(struct ends *x, size_t bytes, struct told *result)
{
    enum { WARM = 5 };
    double rounds = 0;
    int err = round_trips(x, bytes, WARM);
    if (err == 0 && x->w->rank == 0)
        rounds = fmin(MOST_SAMPLES,
                      fmax(x->pace->least, x->pace->window_s / sum_up(x->samples, WARM).seconds));
    if (err == 0)
        err = agree(x, &rounds);
    if (err == 0)
        err = round_trips(x, bytes, (int)rounds);
    if (err || x->w->rank == 1)
        return err;
    *result = sum_up(x->samples, (int)rounds);
    if (bytes == 0)
        x->empty_s = result->seconds;
    result->seconds /= 2;
    return 0;
}

/* ---- streams ---- */

/* DEPTH of them under way, in the order posted; one buffer serves them all. */
static int pass_messages(struct ends *x, bool send, size_t bytes, int count)
{
    struct rg_request requests[DEPTH];
    int err = 0, posted = 0, done = 0;
    for (; done < count && err == 0; done++) {
        for (; posted < count && posted < done + DEPTH && err == 0; posted++)
            err = send ? rg_send(x->w, peer_of(x), TAG_STREAM, x->out, bytes,
                                 &requests[posted % DEPTH])
                       : rg_recv(x->w, peer_of(x), TAG_STREAM, x->in, bytes,
                                 &requests[posted % DEPTH]);
        if (err == 0)
            err = rg_wait(x->w, &requests[done % DEPTH]);
    }
    for (; done < posted; done++) /* after an error */
        rg_cancel(x->w, &requests[done % DEPTH]);
    return err;
}

static int end_of_stream(struct ends *x, bool send)
{
    struct rg_request r;
    int err = send ? rg_recv(x->w, peer_of(x), TAG_END, NULL, 0, &r)
                   : rg_send(x->w, peer_of(x), TAG_END, NULL, 0, &r);
    return err ? err : rg_wait(x->w, &r);
}

/* Batches one way; the sender's clock, which stops when the receiver says that all are there. */
static int stream_from(struct ends *x, int from, size_t bytes, int count, int batches,
                       struct told *result)
{
    bool send = x->w->rank == from;
    int err = 0;
    for (int b = 0; b <= batches && err == 0; b++) { /* the first warms up */
        err = rg_barrier(x->w);
        double begin = rg_clock_s();
        if (err == 0)
            err = pass_messages(x, send, bytes, count);
        if (err == 0)
            err = end_of_stream(x, send);
        double elapsed = rg_clock_s() - begin;
        if (b > 0)
            x->samples[b - 1] = fmax(0.1 * elapsed, elapsed - x->empty_s) / count;
    }
    if (err == 0 && send)
        *result = sum_up(x->samples, batches);
    return err;
}

static int stream(struct ends *x, size_t bytes, double one_way_s, struct told *result,
                  int *count_out)
{
    double count = fmin(20 * x->pace->window_s / (STREAM_BATCHES * fmax(one_way_s, 1e-7)),
                        (double)STREAM_BYTES / (double)(bytes + 1));
    count = fmin(MOST_SAMPLES, fmax(SMALLEST_STREAM, count));
    int err = agree(x, &count);
    for (int from = 0; from < 2 && err == 0; from++)
        err = stream_from(x, from, bytes, (int)count, STREAM_BATCHES, result);
    *count_out = (int)count;
    return err;
}

/* ---- the processors' time ---- */

struct spin {
    double until;
};

static void spin(void *arg)
{
    const struct spin *s = arg;
    while (rg_clock_s() < s->until)
        continue;
}

static int post_all(struct ends *x, bool send, size_t bytes, struct rg_request *requests, int count)
{
    int err = 0;
    for (int i = 0; i < count && err == 0; i++)
        err = send ? rg_send(x->w, peer_of(x), TAG_STREAM, x->out, bytes, &requests[i])
                   : rg_recv(x->w, peer_of(x), TAG_STREAM, x->in, bytes, &requests[i]);
    return err;
}

/* This end's processor time for so many messages, computing meanwhile for `busy_s`. */
static int processor_of(struct ends *x, bool send, size_t bytes, int count, double busy_s,
                        double *seconds)
{
    static struct rg_request requests[MOST_AT_ONCE];
    static struct rg_request *all[MOST_AT_ONCE];
    struct rg_work work = {0};
    for (int i = 0; i < count; i++)
        all[i] = &requests[i];
    int err = rg_barrier(x->w);
    double begin = rg_clock_process_s();
    if (err == 0)
        err = post_all(x, send, bytes, requests, count);
    if (err)
        return err;
    struct spin s = {rg_clock_s() + busy_s};
    double computing = rg_clock_thread_s();
    rg_work_vector(&work, 1e12, 0); /* long: the world is to look after its sockets meanwhile */
    err = rg_compute(x->w, &work, "spin", -1, spin, &s);
    computing = rg_clock_thread_s() - computing;
    *seconds = (rg_clock_process_s() - begin - computing) / count;
    rg_work_free(&work);
    return err ? err : rg_wait_all(x->w, all, count);
}

static int processor(struct ends *x, size_t bytes, double stream_s, int count, struct told *result)
{
    double n = RG_MIN(count, MOST_AT_ONCE), own[2 * STREAM_BATCHES];
    int err = agree(x, &n), k = 0;
    double busy_s = 0.003 + 4 * n * stream_s;
    if (err == 0)
        err = agree(x, &busy_s);
    for (int from = 0; from < 2; from++)
        for (int b = 0; b < STREAM_BATCHES && err == 0; b++)
            err = processor_of(x, x->w->rank == from, bytes, (int)n, busy_s, &own[k++]);
    if (err)
        return err;
    /* Sending and receiving apart, since they may differ; then their mean. */
    struct told first = sum_up(own, STREAM_BATCHES),
                second = sum_up(own + STREAM_BATCHES, STREAM_BATCHES);
    *result = (struct told){(first.seconds + second.seconds) / 2,
                            (first.spread + second.spread) / 2, 2 * STREAM_BATCHES};
    return 0;
}

/* ---- all of it ---- */

/* Both ends' numbers, and their mean. */
static int share(struct ends *x, const struct told *mine, struct told *mean)
{
    struct told other;
    int err = rg_sendrecv(x->w, peer_of(x), mine, sizeof *mine, peer_of(x), &other, sizeof other,
                          TAG_AGREE);
    *mean = (struct told){(mine->seconds + other.seconds) / 2, (mine->spread + other.spread) / 2,
                          fmin(mine->count, other.count)};
    return err;
}

static void add(struct rg_calibration *cal, enum rg_cal_message_kind kind, size_t bytes,
                const struct told *t)
{
    struct rg_cal_message row = {kind, bytes, t->seconds, t->spread, (int)t->count};
    rg_cal_add_message(cal, &row);
}

static int one_size(struct rg_calibration *cal, struct ends *x, size_t bytes)
{
    struct told way = {0}, flow, work, mean;
    int count = 0, err = one_way(x, bytes, &way);
    if (err == 0)
        err = agree(x, &way.seconds);
    if (err == 0)
        err = agree(x, &way.spread);
    if (err == 0)
        err = agree(x, &way.count);
    if (err == 0 && bytes == 0)
        err = agree(x, &x->empty_s);
    if (err)
        return err;
    add(cal, RG_CAL_ONE_WAY, bytes, &way);
    if ((err = stream(x, bytes, way.seconds, &flow, &count)) || (err = share(x, &flow, &mean)))
        return err;
    add(cal, RG_CAL_STREAM, bytes, &mean);
    double most = mean.seconds;
    if ((err = processor(x, bytes, mean.seconds, count, &work)) || (err = share(x, &work, &mean)))
        return err;
    /* The model's node gives a message one core: more than all of the time is not to be had. */
    mean.seconds = fmin(mean.seconds, most);
    if (mean.seconds > 0)
        add(cal, RG_CAL_PROCESSOR, bytes, &mean);
    return 0;
}

int rg_cal_messages(struct rg_calibration *cal, const struct rg_cal_pace *pace,
                    struct rg_world *world)
{
    static const struct {
        size_t bytes;
        bool quick;
    } sizes[] = {{0, true},        {256, false},      {1 << 10, true},   {4 << 10, false},
                 {16 << 10, true}, {64 << 10, false}, {256 << 10, true}, {1 << 20, true},
                 {2 << 20, false}, {4 << 20, false},  {8 << 20, false}};
    struct ends *x = calloc(1, sizeof *x);
    size_t most = sizes[RG_COUNT(sizes) - 1].bytes;
    int err = 0, total = RG_COUNT(sizes);
    if (!x)
        return RG_ERR_NOMEM;
    x->w = world;
    x->pace = pace;
    x->out = calloc(1, most);
    x->in = calloc(1, most);
    if (!x->out || !x->in)
        err = RG_ERR_NOMEM;
    for (int i = 0; i < total && err == 0; i++) {
        if (pace->quick && !sizes[i].quick)
            continue;
        if (pace->progress)
            pace->progress("messages", i, total);
        err = pace->stop && pace->stop() ? RG_ERR_INTERRUPTED : one_size(cal, x, sizes[i].bytes);
    }
    free(x->out);
    free(x->in);
    free(x);
    return err;
}
