/* The common layer of every world: counting, tracing, assertions, and what is built on the ops. */
#include "world/world.h"

#include "base/bytes.h"
#include "base/check.h"
#include "world/trace.h"
#include <string.h>

static const struct rg_energy unknown_energy = {.total_J = NAN,
                                                .idle_J = NAN,
                                                .compute_J = NAN,
                                                .network_J = NAN,
                                                .switch_J = NAN,
                                                .source = "none"};

void rg_world_init(struct rg_world *w, const struct rg_world_ops *ops, int rank, int size)
{
    RG_ASSERT(rank >= 0 && rank < size);
    memset(w, 0, sizeof *w);
    w->ops = ops;
    w->rank = rank;
    w->size = size;
    w->energy_offset = w->energy_untimed = unknown_energy;
}

double rg_now(struct rg_world *w)
{
    return w->ops->now(w) - w->offset;
}

/* At that date, which is now or has just been: joules and seconds are of one interval. */
static struct rg_energy raw_energy(struct rg_world *w, double date)
{
    struct rg_energy raw = unknown_energy;
    if (w->ops->energy)
        w->ops->energy(w, date, &raw);
    return raw;
}

/* to + sign * from, part by part. */
static void add_energy(struct rg_energy *to, const struct rg_energy *from, double sign)
{
    to->idle_J += sign * from->idle_J;
    to->compute_J += sign * from->compute_J;
    to->network_J += sign * from->network_J;
    to->switch_J += sign * from->switch_J;
    to->total_J += sign * from->total_J;
    to->variance_J2 += sign * from->variance_J2;
    to->samples += sign * from->samples;
}

void rg_energy(struct rg_world *w, struct rg_energy *so_far)
{
    RG_ASSERT(w->strand == 0);
    *so_far = w->untimed ? w->energy_untimed : raw_energy(w, w->ops->now(w));
    add_energy(so_far, &w->energy_offset, -1);
    double sum = so_far->idle_J + so_far->compute_J + so_far->network_J + so_far->switch_J;
    if (!isnan(sum)) /* not the difference of two sums, which may be another number */
        so_far->total_J = sum;
}

static void tell_clock(struct rg_world *w)
{
    if (w->ops->clock)
        w->ops->clock(w);
}

int rg_clock_start(struct rg_world *w)
{
    RG_ASSERT(w->strand == 0 && !w->untimed);
    int result = w->ops->barrier(w);
    w->offset = w->ops->now(w);
    w->timed_since = w->offset;
    w->energy_offset = raw_energy(w, w->offset);
    w->count = (struct rg_counters){0};
    w->marks_count = 0;
    tell_clock(w);
    return result;
}

int rg_untimed_begin(struct rg_world *w)
{
    RG_ASSERT(w->strand == 0 && !w->untimed);
    int result = w->ops->barrier(w);
    w->untimed_since = w->ops->now(w);
    w->energy_untimed = raw_energy(w, w->untimed_since);
    w->untimed = true;
    tell_clock(w);
    return result;
}

int rg_untimed_end(struct rg_world *w)
{
    RG_ASSERT(w->strand == 0 && w->untimed);
    int result = w->ops->barrier(w);
    w->timed_since = w->ops->now(w);
    w->offset += w->timed_since - w->untimed_since;
    struct rg_energy used = raw_energy(w, w->timed_since);
    add_energy(&used, &w->energy_untimed, -1);
    add_energy(&w->energy_offset, &used, 1);
    w->untimed = false;
    tell_clock(w);
    return result;
}

static void start(struct rg_world *w, struct rg_request *request, int peer, uint32_t tag,
                  void *buffer, size_t bytes, unsigned flags)
{
    RG_ASSERT(peer >= 0 && peer < w->size);
    RG_ASSERT(buffer || bytes == 0 || w->shared);
    *request = (struct rg_request){.status = RG_PENDING,
                                   .bytes = flags & RG_REQUEST_SEND ? bytes : 0,
                                   .buffer = buffer,
                                   .capacity = bytes,
                                   .owner = w,
                                   .peer = peer,
                                   .tag = tag,
                                   .flags = flags};
    if (w->trace)
        request->posted = rg_now(w);
}

int rg_send(struct rg_world *w, int dst, uint32_t tag, const void *buffer, size_t bytes,
            struct rg_request *request)
{
    start(w, request, dst, tag, (void *)buffer, bytes, RG_REQUEST_SEND);
    int result = w->ops->send(w, request);
    if (result == 0 && dst != w->rank && !w->untimed) {
        w->count.messages++;
        w->count.bytes_sent += bytes;
        w->count.tls_sent += rg_tls_bytes(bytes);
        if (w->on_medium && (w->on_medium[dst] || w->on_medium[w->rank])) {
            w->count.medium_messages++;
            w->count.medium_bytes += bytes;
            w->count.medium_tls += rg_tls_bytes(bytes);
        }
    }
    return result;
}

int rg_send_floats(struct rg_world *w, int dst, uint32_t tag, const float *buffer, size_t n,
                   struct rg_request *request)
{
    int result = rg_send(w, dst, tag, buffer, n * sizeof *buffer, request);
    if (result == 0)
        rg_count_values(w, dst, n);
    return result;
}

void rg_count_values(struct rg_world *w, int dst, size_t n)
{
    if (dst != w->rank && !w->untimed)
        w->count.values += n;
}

int rg_recv(struct rg_world *w, int src, uint32_t tag, void *buffer, size_t bytes,
            struct rg_request *request)
{
    start(w, request, src, tag, buffer, bytes, 0);
    return w->ops->recv(w, request);
}

int rg_recv_upto(struct rg_world *w, int src, uint32_t tag, void *buffer, size_t capacity,
                 struct rg_request *request)
{
    start(w, request, src, tag, buffer, capacity, RG_REQUEST_UPTO);
    return w->ops->recv(w, request);
}

static void trace_wait(struct rg_world *w, double begin)
{
    double end = rg_now(w);
    if (!w->untimed) {
        w->count.waiting_s += end - begin;
        if (w->trace && end > begin)
            rg_trace_add(w->trace, &(struct rg_trace_event){.begin_s = begin,
                                                            .end_s = end,
                                                            .name = "wait",
                                                            .unit = -1,
                                                            .peer = -1,
                                                            .kind = RG_TRACE_WAIT,
                                                            .strand = (uint16_t)w->strand});
    }
}

static int count_pending(const struct rg_world *w, struct rg_request *const *requests, int n)
{
    int pending = 0;
    RG_ASSERT(n > 0);
    for (int i = 0; i < n; i++) {
        if (requests[i])
            RG_ASSERT(requests[i]->owner == w);
        pending += requests[i] && requests[i]->status == RG_PENDING;
    }
    return pending;
}

int rg_wait_any(struct rg_world *w, struct rg_request *const *requests, int n, double deadline,
                int *index)
{
    *index = -1;
    int pending = count_pending(w, requests, n);
    double begin = rg_now(w);
    int result = w->ops->wait_any(w, requests, n, deadline + w->offset, index);
    if (pending && deadline > begin)
        trace_wait(w, begin);
    return result;
}

int rg_wait_any_or_stop(struct rg_world *w, struct rg_request *const *requests, int n, int *index,
                        int64_t *last)
{
    if (!w->ops->wait_any_or_stop)
        return rg_wait_any(w, requests, n, RG_FOREVER, index);
    *index = -1;
    int pending = count_pending(w, requests, n);
    double begin = rg_now(w);
    int result = w->ops->wait_any_or_stop(w, requests, n, index, last);
    if (pending)
        trace_wait(w, begin);
    return result;
}

int rg_wait_all(struct rg_world *w, struct rg_request *const *requests, int n)
{
    int first = 0;
    for (int i = 0; i < n; i++) {
        int result = requests[i] ? rg_wait(w, requests[i]) : 0;
        if (first == 0)
            first = result;
    }
    return first;
}

int rg_wait(struct rg_world *w, struct rg_request *request)
{
    int index;
    int result =
        request->status == RG_PENDING ? rg_wait_any(w, &request, 1, RG_FOREVER, &index) : 0;
    if (result)
        rg_cancel(w, request);
    return result ? result : request->status;
}

int rg_send_wait(struct rg_world *w, int dst, uint32_t tag, const void *buffer, size_t bytes)
{
    struct rg_request request;
    rg_send(w, dst, tag, buffer, bytes, &request);
    return rg_wait(w, &request);
}

int rg_recv_wait(struct rg_world *w, int src, uint32_t tag, void *buffer, size_t bytes)
{
    struct rg_request request;
    rg_recv(w, src, tag, buffer, bytes, &request);
    return rg_wait(w, &request);
}

bool rg_done(struct rg_world *w, struct rg_request *request)
{
    int index;
    return request->status != RG_PENDING ||
           w->ops->wait_any(w, &request, 1, -INFINITY, &index) == 0;
}

int rg_cancel(struct rg_world *w, struct rg_request *request)
{
    if (request->status != RG_PENDING)
        return 0;
    RG_ASSERT(request->owner == w);
    return w->ops->cancel(w, request);
}

int rg_sendrecv(struct rg_world *w, int dst, const void *out, size_t out_bytes, int src, void *in,
                size_t in_bytes, uint32_t tag)
{
    struct rg_request to, from;
    rg_recv(w, src, tag, in, in_bytes, &from);
    rg_send(w, dst, tag, out, out_bytes, &to);
    return rg_wait_all(w, (struct rg_request *[]){&from, &to}, 2);
}

int rg_barrier(struct rg_world *w)
{
    for (int step = 1; step < w->size; step *= 2) {
        int to = (w->rank + step) % w->size, from = (w->rank - step % w->size + w->size) % w->size;
        int result = rg_sendrecv(w, to, NULL, 0, from, NULL, 0, RG_TAG_BARRIER);
        if (result)
            return result;
    }
    return 0;
}

void rg_compute_done(struct rg_world *w, const struct rg_computed *row, int count, double begin_raw,
                     double end_raw)
{
    double all = 0, done = 0, begin = begin_raw - w->offset, end = end_raw - w->offset;
    double until = begin;
    if (w->untimed)
        return;
    w->count.busy_s += end - begin;
    if (!w->trace || !row)
        return;
    for (int i = 0; i < count; i++)
        all += row[i].seconds;
    for (int i = 0; i < count; i++) {
        struct rg_trace_event event = {.begin_s = until,
                                       .unit = row[i].unit,
                                       .peer = -1,
                                       .kind = RG_TRACE_COMPUTE,
                                       .strand = (uint16_t)w->strand};
        done += row[i].seconds;
        until = i + 1 < count && all > 0 ? begin + (end - begin) * done / all : end;
        event.end_s = until;
        strncpy(event.name, row[i].name, sizeof event.name - 1);
        rg_trace_add(w->trace, &event);
    }
}

int rg_compute(struct rg_world *w, const struct rg_work *work, const char *name, int unit,
               rg_compute_fn fn, void *arg)
{
    if (w->skip_numerics)
        fn = NULL;
    if (!w->untimed && w->ops->owe && w->ops->owe(w, work, name, unit)) {
        if (fn)
            fn(arg);
        return 0;
    }
    const struct rg_computed alone = {.name = name, .unit = unit};
    double begin = w->ops->now(w);
    int result = w->ops->compute(w, work, fn, arg);
    rg_compute_done(w, &alone, 1, begin, w->ops->now(w));
    return result;
}

int rg_iteration(struct rg_world *w, int64_t i)
{
    RG_ASSERT(w->strand == 0 && !w->untimed);
    if (w->marks && w->marks_count < w->marks_capacity)
        w->marks[w->marks_count++] = rg_now(w);
    if (w->on_iteration)
        w->on_iteration(w->on_iteration_arg, i, rg_now(w));
    w->iterations = i + 1;
    return w->ops->iteration(w, i);
}

int rg_go_on(struct rg_world *w)
{
    return w->ops->go_on ? w->ops->go_on(w) : 0;
}

int rg_spawn(struct rg_world *w, rg_program_fn fn, void *arg, struct rg_strand **strand)
{
    return w->ops->spawn(w, fn, arg, strand);
}

int rg_join(struct rg_world *w, struct rg_strand *strand, int *result)
{
    struct rg_counters count = {0};
    int error = w->ops->join(w, strand, result, &count);
    w->count.busy_s += count.busy_s;
    w->count.messages += count.messages;
    w->count.values += count.values;
    w->count.bytes_sent += count.bytes_sent;
    w->count.bytes_received += count.bytes_received;
    w->count.messages_received += count.messages_received;
    w->count.tls_sent += count.tls_sent;
    w->count.medium_messages += count.medium_messages;
    w->count.medium_bytes += count.medium_bytes;
    w->count.medium_tls += count.medium_tls;
    w->count.tls_received += count.tls_received;
    w->count.late_receives += count.late_receives;
    w->count.paced += count.paced;
    w->count.overruns += count.overruns;
    return error;
}

void rg_message_done(struct rg_world *w, const struct rg_request *request, double begin_raw,
                     double end_raw, bool late)
{
    bool send = request->flags & RG_REQUEST_SEND;
    if (w->untimed || request->peer == w->rank)
        return;
    if (!send) {
        w->count.messages_received++;
        w->count.bytes_received += request->bytes;
        w->count.tls_received += rg_tls_bytes(request->bytes);
        w->count.late_receives += late;
    }
    if (w->trace)
        rg_trace_add(w->trace,
                     &(struct rg_trace_event){.begin_s = begin_raw - w->offset,
                                              .end_s = end_raw - w->offset,
                                              .bytes = request->bytes,
                                              .name = "message",
                                              .unit = -1,
                                              .peer = request->peer,
                                              .kind = send ? RG_TRACE_SEND : RG_TRACE_RECV,
                                              .strand = (uint16_t)w->strand,
                                              .tag = request->tag});
}
