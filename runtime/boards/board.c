#include "boards/board.h"
#include "boards/measured.h"

#include "base/bytes.h"
#include "base/check.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A rate for `threads` cores between that of one and that of all. */
static double share_of(double one, double all, int cores, int threads)
{
    if (threads <= 1 || cores <= 1)
        return one;
    return one + (all - one) * (threads - 1) / (cores - 1);
}

/* A straight line in log2(size) between the points of a curve. */
static double share_at(int points, const double *sizes, const double *shares, double size)
{
    if (points == 0)
        return 1;
    if (size <= sizes[0])
        return shares[0];
    for (int i = 1; i < points; i++) {
        if (size <= sizes[i]) {
            double low = log2(sizes[i - 1]), high = log2(sizes[i]);
            double t = (log2(size) - low) / (high - low);
            return shares[i - 1] + t * (shares[i] - shares[i - 1]);
        }
    }
    return shares[points - 1];
}

static double kernel_s(const struct rg_board *board, const struct rg_cost *c, int threads)
{
    bool product = c->m > 0;
    int cores = product ? threads : 1;
    double rate = board->vector_rate;
    double memory =
        share_of(board->memory_rate, board->memory_rate_all, board->cores, cores) *
        share_at(board->memory_points, board->memory_size, board->memory_share, c->bytes);
    if (product)
        rate = share_of(board->gemm_rate, board->gemm_rate_all, board->cores, cores) *
               share_at(board->curve_points, board->curve_size, board->curve_share,
                        cbrt((double)c->m * c->n * c->k));
    double compute = c->flops / rate + c->functions * board->function_s;
    return c->calls * (fmax(compute, c->bytes / memory) + board->call_s);
}

/* As the datasheet has it. */
static struct rg_seconds kernels_s(const struct rg_board *board, const struct rg_cost *cost,
                                   int count, int threads)
{
    struct rg_seconds s = {0};
    for (int i = 0; i < count; i++) {
        double seconds = kernel_s(board, &cost[i], threads);
        s.all += seconds;
        if (threads > 1 && cost[i].m == 0)
            s.alone += seconds;
    }
    return s;
}

/* The one place where what was measured takes the place of the model: of such a part the model
 * tells only how much of it one core does alone. */
static struct rg_seconds seconds_of(const struct rg_board *board, const struct rg_work *work,
                                    int threads)
{
    if (!board->measured)
        return kernels_s(board, work->cost, work->count, threads);
    struct rg_seconds s = {0};
    for (int i = 0, next; i < work->count; i = next) {
        const struct rg_part *part = &work->cost[i].part;
        next = i + (part->kind ? part->kernels : 1);
        struct rg_seconds model = kernels_s(board, &work->cost[i], next - i, threads);
        double all = part->kind ? rg_measured_seconds(board->measured, part) : model.all;
        s.all += all;
        s.alone += model.all > 0 ? all * model.alone / model.all : 0;
    }
    return s;
}

double rg_board_seconds(const struct rg_board *board, const struct rg_work *work, int threads)
{
    RG_ASSERT(threads >= 1 && threads <= board->cores);
    return seconds_of(board, work, threads).all;
}

/* Neighbours are mostly of one kind, so that the last board is the next one too. */
struct rg_seconds rg_board_kept_seconds(const struct rg_board *board, const struct rg_work *work,
                                        int threads)
{
    struct rg_known_seconds *known = work->known;
    if (!known)
        return seconds_of(board, work, threads);
    for (int i = 0; i < RG_KNOWN_BOARDS; i++)
        if (known[i].board == board && known[i].threads == threads)
            return known[i].seconds;
    for (int i = RG_KNOWN_BOARDS - 1; i > 0; i--)
        known[i] = known[i - 1];
    known[0] = (struct rg_known_seconds){board, threads, seconds_of(board, work, threads)};
    return known[0].seconds;
}

static double load_bytes(struct rg_load load)
{
    return (double)load.payload + (double)RG_MESSAGE_HEADER * (double)load.messages;
}

double rg_board_load_bytes(const struct rg_board *board, struct rg_load load)
{
    double bytes = load_bytes(load) + (board->keyed ? (double)load.tls : 0);
    return bytes * board->frame_bytes / board->frame_payload;
}

static double bus_of(const struct rg_board *board)
{
    return board->port_bus_rate > 0 ? board->port_bus_rate : INFINITY;
}

static double sending_rate(const struct rg_board *board)
{
    return fmin(board->port_rate, bus_of(board));
}

double rg_board_receiving_rate(const struct rg_board *board)
{
    return fmin(board->port_rx_rate > 0 ? board->port_rx_rate : board->port_rate, bus_of(board));
}

double rg_board_medium_rate(const struct rg_board *board)
{
    return board->medium_rate > 0 ? board->medium_rate : board->port_rate;
}

static double busy_s(const struct rg_board *board, struct rg_load load, double rate)
{
    return board->message_s * (double)load.messages +
           fmax(rg_board_load_bytes(board, load) / rate, board->byte_s * load_bytes(load));
}

double rg_board_load_s(const struct rg_board *board, struct rg_load load)
{
    return busy_s(board, load, sending_rate(board));
}

double rg_board_received_s(const struct rg_board *board, struct rg_load load)
{
    return busy_s(board, load, rg_board_receiving_rate(board));
}

double rg_board_busy_s(const struct rg_board *board, struct rg_load sent, struct rg_load received)
{
    /* The bytes alone: cores prepare messages of one direction while the other's are on the bus. */
    double both = rg_board_load_bytes(board, sent) + rg_board_load_bytes(board, received);
    double seconds = fmax(rg_board_load_s(board, sent), rg_board_received_s(board, received));
    return fmax(seconds, both / bus_of(board));
}

struct rg_load rg_load_alike(uint64_t messages, uint64_t payload)
{
    uint64_t each = messages ? payload / messages : 0;
    return (struct rg_load){messages, payload, messages * rg_tls_bytes(each)};
}

double rg_board_wire_bytes(const struct rg_board *board, uint64_t messages, uint64_t payload)
{
    return rg_board_load_bytes(board, rg_load_alike(messages, payload));
}

double rg_board_wire_s(const struct rg_board *board, uint64_t messages, uint64_t payload)
{
    return rg_board_wire_bytes(board, messages, payload) / sending_rate(board);
}

double rg_board_port_s(const struct rg_board *board, uint64_t messages, uint64_t payload)
{
    return rg_board_load_s(board, rg_load_alike(messages, payload));
}

double rg_board_both_ways_s(const struct rg_board *board, uint64_t messages, uint64_t payload)
{
    struct rg_load load = rg_load_alike(messages, payload);
    return rg_board_busy_s(board, load, load);
}

double rg_board_hop_s(const struct rg_board *board, uint64_t payload)
{
    return rg_board_hop_to_s(board, board, payload);
}

double rg_board_rate_to(const struct rg_board *from, const struct rg_board *to)
{
    double rate = fmin(sending_rate(from), rg_board_receiving_rate(to));
    if (from->shared_medium)
        rate = fmin(rate, rg_board_medium_rate(from));
    return to->shared_medium ? fmin(rate, rg_board_medium_rate(to)) : rate;
}

/* The connection's time for a message that crosses the wire at that rate. */
static double send_at_s(const struct rg_board *from, const struct rg_board *to, uint64_t payload,
                        double rate)
{
    double bytes = (double)payload + (double)RG_MESSAGE_HEADER;
    return from->message_s + fmax(rg_board_wire_bytes(from, 1, payload) / rate,
                                  fmax(from->byte_s, to->byte_s) * bytes);
}

double rg_board_send_s(const struct rg_board *from, const struct rg_board *to, uint64_t payload)
{
    return send_at_s(from, to, payload, rg_board_rate_to(from, to));
}

/* Until a message that takes the connection so long has been taken in. */
static double taken_in_s(double sent_s, const struct rg_board *from, const struct rg_board *to)
{
    return sent_s + (from->latency_s + to->latency_s) / 2 + to->message_s;
}

double rg_board_hop_to_s(const struct rg_board *from, const struct rg_board *to, uint64_t payload)
{
    return taken_in_s(rg_board_send_s(from, to, payload), from, to);
}

double rg_board_passing_hop_s(const struct rg_board *from, const struct rg_board *to, int ways,
                              int crossing, uint64_t payload)
{
    double rate = fmin(rg_board_rate_to(from, to), fmin(bus_of(from), bus_of(to)) / ways);
    if (from->shared_medium)
        rate = fmin(rate, rg_board_medium_rate(from) / crossing);
    if (to->shared_medium)
        rate = fmin(rate, rg_board_medium_rate(to) / crossing);
    return taken_in_s(send_at_s(from, to, payload, rate), from, to);
}

/* ---- clocks and watts ---- */

int rg_board_set_clock(struct rg_board *board, double hz, struct rg_error *e)
{
    int to = 0;
    while (to < board->clock_count && fabs(board->clocks[to].hz - hz) > 1e-6 * hz)
        to++;
    if (to == board->clock_count) {
        char steps[RG_BOARD_CLOCKS * 12] = "";
        for (int i = 0; i < board->clock_count; i++) {
            size_t used = strlen(steps);
            snprintf(steps + used, sizeof steps - used, "%s%.6g", i ? ", " : "",
                     board->clocks[i].hz);
        }
        return rg_fail(e, RG_ERR_INVALID, "board %s has no clock of %.6g Hz; its steps are %s",
                       board->name, hz, steps);
    }
    double factor = board->clocks[to].hz / board->clocks[board->clock].hz;
    board->gemm_rate *= factor;
    board->gemm_rate_all *= factor;
    board->vector_rate *= factor;
    board->function_s /= factor;
    board->call_s /= factor;
    board->message_s /= factor;
    board->byte_s /= factor;
    board->clock = to;
    return 0;
}

double rg_board_watts(const struct rg_board *board, double busy_cores)
{
    const struct rg_clock *c = &board->clocks[board->clock];
    if (busy_cores <= 0)
        return c->idle_watts;
    return c->epsilon_watts +
           (c->full_watts - c->epsilon_watts) * fmin(1, busy_cores / board->cores);
}

/* ---- checking ---- */

static int positive(const struct rg_board *board, const char *name, double value,
                    struct rg_error *e)
{
    if (value > 0 && isfinite(value))
        return 0;
    return rg_fail(e, RG_ERR_INVALID, "board %s: %s is %g, a number above 0 is allowed",
                   board->name, name, value);
}

static int check_clocks(const struct rg_board *board, struct rg_error *e)
{
    for (int i = 0; i < board->clock_count; i++) {
        const struct rg_clock *c = &board->clocks[i];
        if (!(c->hz > 0) || (i > 0 && c->hz >= c[-1].hz))
            return rg_fail(e, RG_ERR_INVALID,
                           "board %s: clocks in rg_clocks must fall, the highest first",
                           board->name);
        if (!(c->idle_watts >= 0 && c->epsilon_watts >= 0 && c->full_watts >= c->idle_watts &&
              c->full_watts >= c->epsilon_watts))
            return rg_fail(e, RG_ERR_INVALID,
                           "board %s: wattage_per_state has %g:%g:%g; all cores take at least as "
                           "much as idle and as one at no load",
                           board->name, c->idle_watts, c->epsilon_watts, c->full_watts);
    }
    return 0;
}

static int check_curve(const struct rg_board *board, const char *name, int points,
                       const double *sizes, const double *shares, struct rg_error *e)
{
    for (int i = 0; i < points; i++) {
        if (!(shares[i] > 0 && shares[i] <= 1))
            return rg_fail(e, RG_ERR_INVALID,
                           "board %s: %s has the share %g, allowed are 0 < share <= 1", board->name,
                           name, shares[i]);
        if (!(sizes[i] > (i ? sizes[i - 1] : 0)))
            return rg_fail(e, RG_ERR_INVALID, "board %s: sizes in %s must increase", board->name,
                           name);
    }
    return 0;
}

int rg_board_check(const struct rg_board *board, struct rg_error *e)
{
    const struct {
        const char *name;
        double value;
    } rates[] = {{"rg_cores", board->cores},
                 {"rg_gemm_rate", board->gemm_rate},
                 {"rg_gemm_rate_all", board->gemm_rate_all},
                 {"rg_vector_rate", board->vector_rate},
                 {"rg_memory_rate", board->memory_rate},
                 {"rg_memory_rate_all", board->memory_rate_all},
                 {"rg_memory_bytes", (double)board->memory_bytes},
                 {"rg_port_rate", board->port_rate},
                 {"rg_frame_payload", board->frame_payload},
                 {"rg_frame_bytes", board->frame_bytes}};
    for (size_t i = 0; i < RG_COUNT(rates); i++)
        if (positive(board, rates[i].name, rates[i].value, e))
            return RG_ERR_INVALID;
    if (!(board->port_rx_rate >= 0) || !(board->port_bus_rate >= 0) || !(board->medium_rate >= 0))
        return rg_fail(e, RG_ERR_INVALID,
                       "board %s: rg_port_rx_rate, rg_port_bus_rate and rg_medium_rate are bytes a "
                       "second, 0 or more",
                       board->name);
    if (!(board->disk_rate >= 0))
        return rg_fail(e, RG_ERR_INVALID, "board %s: rg_disk_rate is bytes a second, 0 or more",
                       board->name);
    if (!(board->call_s >= 0) || !(board->latency_s >= 0) || !(board->function_s >= 0))
        return rg_fail(e, RG_ERR_INVALID,
                       "board %s: rg_call_s, rg_function_s and rg_latency_s are seconds, 0 or more",
                       board->name);
    if (!(board->message_s >= 0) || !(board->byte_s >= 0))
        return rg_fail(e, RG_ERR_INVALID,
                       "board %s: rg_message_s and rg_byte_s are seconds, 0 or more", board->name);
    if (board->frame_bytes < board->frame_payload)
        return rg_fail(e, RG_ERR_INVALID, "board %s: rg_frame_bytes is less than rg_frame_payload",
                       board->name);
    if (check_curve(board, "rg_gemm_curve", board->curve_points, board->curve_size,
                    board->curve_share, e) ||
        check_curve(board, "rg_memory_curve", board->memory_points, board->memory_size,
                    board->memory_share, e))
        return RG_ERR_INVALID;
    return check_clocks(board, e);
}
