/* From measurements to the parameters of boards/board.h.
 *
 * The model that is fitted is the one that predicts: rg_board_seconds for kernels, rg_board_hop_s
 * and rg_board_port_s for messages, asked with the parameters on trial. Products give the rate at
 * every size of the efficiency curve; the largest of these is the full rate. */
#include "calibrate/calibrate.h"

#include "base/bytes.h"
#include "base/check.h"
#include "calibrate/robust.h"
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A parameter known to no better than this factor either way is not determined. */
#define VAGUE 4.0

/* Bytes that are in the nearest memory of any processor: under it there is but one rate. */
#define MEMORY_LEAST 16384.0

/* A rate that is so many times another's binds nothing; a residual is as good as one that is so
 * much less. */
#define UNBOUND 30.0
#define AS_GOOD 1.02

/* A measurement whose samples differ by so much counts half. */
#define NOISY 0.15

enum { LEAST_ROWS = 3 /* of a group whose residuals are judged */ };

/* Where the parameters on trial stand; -1: not among them. The rates at the points of the curves
 * come first: of products, then of memory. */
struct kernel_fit {
    const struct rg_calibration *cal;
    struct rg_board board; /* on trial */
    int memory, vector, function, call, all, memory_all, count;
};

struct message_fit {
    const struct rg_calibration *cal;
    struct rg_board board;
};

enum { MESSAGE_S, BYTE_S, PORT_RATE, LATENCY_S, MESSAGE_PARAMETERS };

static double size_of(const struct rg_cost *c)
{
    return c->m > 0 ? cbrt((double)c->m * c->n * c->k) : 0;
}

/* A row of one product and nothing else: its effective size, else 0. */
static double product_size(const struct rg_cal_kernel *k)
{
    return k->work.count == 1 ? size_of(&k->work.cost[0]) : 0;
}

static double trust_in(double spread)
{
    double u = isfinite(spread) ? spread / NOISY : 0;
    return 1 / (1 + u * u);
}

static double median(double *values, int n)
{
    gsl_sort(values, 1, (size_t)n);
    return n ? gsl_stats_median_from_sorted_data(values, 1, (size_t)n) : 0;
}

/* ---- kernels ---- */

/* Rates at the points of a curve as the largest and shares of it. */
static double set_curve(const double *rates, int points, double *shares)
{
    double most = 0;
    for (int i = 0; i < points; i++)
        most = fmax(most, rates[i]);
    for (int i = 0; i < points; i++)
        shares[i] = rates[i] / most;
    return most;
}

static void set_board(struct kernel_fit *q, const double *value)
{
    struct rg_board *b = &q->board;
    b->gemm_rate = b->gemm_rate_all = set_curve(value, b->curve_points, b->curve_share);
    b->memory_rate = b->memory_rate_all =
        set_curve(value + q->memory, b->memory_points, b->memory_share);
    b->vector_rate = value[q->vector];
    b->function_s = q->function >= 0 ? value[q->function] : 0;
    b->call_s = value[q->call];
    if (q->all >= 0) {
        b->gemm_rate_all *= value[q->all];
        b->memory_rate_all *= value[q->memory_all];
    }
}

static void kernel_model(const double *value, void *arg, double *predicted)
{
    struct kernel_fit *q = arg;
    set_board(q, value);
    for (int i = 0; i < q->cal->kernel_count; i++)
        predicted[i] =
            rg_board_seconds(&q->board, &q->cal->kernels[i].work, q->cal->kernels[i].threads);
}

/* The bytes of a row of one kernel that is no product and no function, else 0. */
static double plain_bytes(const struct rg_cal_kernel *k)
{
    const struct rg_cost *c = k->work.cost;
    return k->work.count == 1 && c->m == 0 && c->functions == 0 ? c->bytes : 0;
}

/* Points of a curve at powers of `base` from the least size of any row to the largest, as many as a
 * board may have; those at the small end are left out first, and those under `smallest`. 0: no row
 * has a size. */
static int choose_points(const struct rg_calibration *cal,
                         double (*size_of_row)(const struct rg_cal_kernel *), double base,
                         double smallest, double *sizes)
{
    double least = INFINITY, most = 0;
    for (int i = 0; i < cal->kernel_count; i++) {
        double size = size_of_row(&cal->kernels[i]);
        if (size > 0) {
            least = fmin(least, fmax(smallest, size));
            most = fmax(most, fmax(smallest, size));
        }
    }
    if (most == 0)
        return 0;
    int low = (int)ceil(log2(least) / log2(base) - 0.25);
    int high = (int)floor(log2(most) / log2(base) + 0.25);
    high = RG_MAX(high, low);
    low = RG_MAX(low, high - RG_BOARD_CURVE + 1);
    for (int i = low; i <= high; i++)
        sizes[i - low] = pow(base, i);
    return high - low + 1;
}

/* Of the rows nearest to a size the median of FLOP/s, or the largest of bytes/s: what takes longer
 * is bound by something else. 0: there are none. */
static double rate_near(const struct rg_calibration *cal,
                        double (*size_of_row)(const struct rg_cal_kernel *), double size,
                        int threads, bool flops, double *room)
{
    for (double reach = 0.5;; reach *= 2) {
        int n = 0;
        for (int i = 0; i < cal->kernel_count; i++) {
            const struct rg_cal_kernel *k = &cal->kernels[i];
            double at = size_of_row(k);
            if (at > 0 && k->threads == threads && fabs(log2(at / size)) <= reach)
                room[n++] =
                    (flops ? rg_work_flops(&k->work) : rg_work_bytes(&k->work)) / k->seconds;
        }
        double middle = median(room, n); /* which sorts them */
        if (n > 0 || reach > 64)
            return flops || n == 0 ? middle : room[n - 1];
    }
}

/* The largest FLOP/s on one thread of one kernel that is no product and has no functions; 0: none.
 */
static double best_rate(const struct rg_calibration *cal)
{
    double best = 0;
    for (int i = 0; i < cal->kernel_count; i++)
        if (plain_bytes(&cal->kernels[i]) > 0 && cal->kernels[i].threads == 1)
            best = fmax(best, rg_work_flops(&cal->kernels[i].work) / cal->kernels[i].seconds);
    return best;
}

/* The least time a function of a kernel that has some; 0: none. */
static double best_function_s(const struct rg_calibration *cal)
{
    double best = INFINITY;
    for (int i = 0; i < cal->kernel_count; i++) {
        const struct rg_cal_kernel *k = &cal->kernels[i];
        if (k->work.count == 1 && k->work.cost[0].functions > 0)
            best = fmin(best, k->seconds / k->work.cost[0].functions);
    }
    return isfinite(best) ? best : 0;
}

/* Number the parameters. */
static int lay_out(struct kernel_fit *q, bool all, bool functions, struct rg_error *e)
{
    struct rg_board *b = &q->board;
    b->curve_points = choose_points(q->cal, product_size, 2, 0, b->curve_size);
    b->memory_points = choose_points(q->cal, plain_bytes, 4, MEMORY_LEAST, b->memory_size);
    if (b->curve_points == 0 || b->memory_points == 0)
        return rg_fail(e, RG_ERR_INVALID,
                       "products and kernels that are none are both needed, on one thread");
    q->memory = b->curve_points;
    q->count = q->memory + b->memory_points;
    q->vector = q->count++;
    q->call = q->count++;
    q->function = functions ? q->count++ : -1;
    q->all = all ? q->count++ : -1;
    q->memory_all = all ? q->count++ : -1;
    return 0;
}

static int start_kernels(struct kernel_fit *q, double *start, double *room, struct rg_error *e)
{
    const struct rg_calibration *cal = q->cal;
    const struct rg_board *b = &q->board;
    int threads = 1;
    double least = INFINITY, functions = best_function_s(cal);
    for (int i = 0; i < cal->kernel_count; i++) {
        threads = RG_MAX(threads, cal->kernels[i].threads);
        least = fmin(least, cal->kernels[i].seconds);
    }
    int err = lay_out(q, threads > 1, functions > 0, e);
    if (err)
        return err;
    for (int i = 0; i < b->curve_points; i++)
        start[i] = rate_near(cal, product_size, b->curve_size[i], 1, true, room);
    for (int i = 0; i < b->memory_points; i++)
        start[q->memory + i] = rate_near(cal, plain_bytes, b->memory_size[i], 1, false, room);
    start[q->vector] = 2 * best_rate(cal); /* comes down where kernels are bound by it */
    start[q->call] = 0.3 * least;
    if (q->function >= 0)
        start[q->function] = functions;
    if (q->all >= 0) {
        double large = b->curve_size[b->curve_points - 1],
               much = b->memory_size[b->memory_points - 1];
        start[q->all] =
            rate_near(cal, product_size, large, threads, true, room) / start[b->curve_points - 1];
        start[q->memory_all] = rate_near(cal, plain_bytes, much, threads, false, room) /
                               start[q->memory + b->memory_points - 1];
    }
    for (int i = 0; i < q->count; i++)
        if (!(start[i] > 0))
            return rg_fail(e, RG_ERR_INVALID, "the measurements lack %s, which a datasheet needs",
                           i == q->all || i == q->memory_all ? "kernels on all cores"
                           : i < q->memory                   ? "products on one thread"
                                                             : "kernels that are no products");
    return 0;
}

/* An interval of confidence is the value divided by this to the value times this. */
static double reach_of(const struct rg_robust *r, int i)
{
    return exp(r->quantile * r->error[i]);
}

static void add_value(struct rg_cal_fit *fit, const char *property, const char *unit, double factor,
                      const struct rg_robust *r, int i)
{
    RG_ASSERT(fit->value_count < RG_CAL_VALUES);
    struct rg_cal_value *v = &fit->values[fit->value_count++];
    double reach = reach_of(r, i);
    snprintf(v->property, sizeof v->property, "%s", property);
    v->unit = unit;
    v->value = factor * r->value[i];
    v->low = v->value / reach;
    v->high = v->value * reach;
    v->determined = reach < VAGUE;
}

/* The largest rate of a curve, under the name of the property, and every point of it. */
static void tell_curve(struct rg_cal_fit *fit, const char *rate, const char *curve,
                       const char *unit, const struct rg_robust *r, int first, int points,
                       const double *sizes)
{
    char name[32];
    int full = first;
    for (int i = first; i < first + points; i++)
        full = r->value[i] >= r->value[full] ? i : full;
    add_value(fit, rate, unit, 1e-9, r, full);
    for (int i = 0; i < points; i++) {
        snprintf(name, sizeof name, "%s %g", curve, sizes[i]);
        add_value(fit, name, unit, 1e-9, r, first + i);
    }
}

static void tell_kernels(const struct kernel_fit *q, const struct rg_robust *r,
                         struct rg_cal_fit *fit)
{
    const struct rg_board *b = &q->board;
    tell_curve(fit, "rg_gemm_rate", "rg_gemm_curve", "GFLOP/s", r, 0, b->curve_points,
               b->curve_size);
    if (q->all >= 0)
        add_value(fit, "rg_gemm_rate_all", "GFLOP/s", 1e-9 * b->gemm_rate, r, q->all);
    add_value(fit, "rg_vector_rate", "GFLOP/s", 1e-9, r, q->vector);
    if (q->function >= 0)
        add_value(fit, "rg_function_s", "ns", 1e9, r, q->function);
    tell_curve(fit, "rg_memory_rate", "rg_memory_curve", "GB/s", r, q->memory, b->memory_points,
               b->memory_size);
    if (q->all >= 0)
        add_value(fit, "rg_memory_rate_all", "GB/s", 1e-9 * b->memory_rate, r, q->memory_all);
    add_value(fit, "rg_call_s", "us", 1e6, r, q->call);
}

/* A call on few bytes may never wait for memory: its rate there is any above some. Then it is that
 * of the next larger size that tells one, which keeps the full rate one that was seen. */
static void settle_memory(const struct kernel_fit *q, struct rg_robust *r)
{
    int last = q->memory + q->board.memory_points - 1;
    for (int i = last - 1; i >= q->memory; i--)
        if (reach_of(r, i) >= VAGUE)
            r->value[i] = r->value[i + 1];
}

/* The mean of the absolute residuals, in logarithms, in which every group counts alike, however few
 * rows it has: what only a small one can tell is worth as much. */
static double loss_of(struct kernel_fit *q, const struct rg_robust *r, const double *observed,
                      const double *trust, double *room)
{
    const struct rg_cal_kernel *k = q->cal->kernels;
    double sum = 0;
    int groups = 0;
    kernel_model(r->value, q, room);
    for (int i = 0; i < q->cal->kernel_count; i++) {
        double off = 0, all = 0;
        bool first = true;
        for (int j = 0; j < i && first; j++)
            first = strcmp(k[j].group, k[i].group) != 0;
        for (int j = i; j < q->cal->kernel_count && first; j++)
            if (strcmp(k[j].group, k[i].group) == 0) {
                off += trust[j] * fabs(log(room[j] / observed[j]));
                all += trust[j];
            }
        sum += first ? off / all : 0;
        groups += first;
    }
    return sum / groups;
}

/* Whether arithmetic or memory binds a kernel may be told wrongly from where the fit starts. What
 * it finds is tried again with arithmetic that binds nowhere: where that explains the measurements
 * as well, nothing tells the rate of vectors. */
static int fit_twice(struct kernel_fit *q, const double *observed, const double *trust,
                     double *start, double *room, struct rg_robust *r, struct rg_error *e)
{
    struct rg_robust again;
    int n = q->cal->kernel_count;
    int err = rg_robust_fit(kernel_model, q, observed, trust, n, start, q->count, r, e);
    if (err)
        return err;
    memcpy(start, r->value, (size_t)q->count * sizeof *start);
    start[q->vector] *= UNBOUND;
    if (rg_robust_fit(kernel_model, q, observed, trust, n, start, q->count, &again, NULL) == 0 &&
        loss_of(q, &again, observed, trust, room) < AS_GOOD * loss_of(q, r, observed, trust, room))
        *r = again;
    return 0;
}

static int fit_kernels(const struct rg_calibration *cal, struct rg_cal_fit *fit, double *observed,
                       double *trust, struct rg_error *e)
{
    struct kernel_fit q = {.cal = cal, .board = {.cores = cal->machine.cores}};
    double start[RG_ROBUST_MOST];
    struct rg_robust r;
    int err = start_kernels(&q, start, observed, e);
    for (int i = 0; i < cal->kernel_count; i++) {
        const struct rg_cal_kernel *k = &cal->kernels[i];
        observed[i] = k->seconds;
        trust[i] = trust_in(k->spread);
    }
    if (err == 0)
        err = fit_twice(&q, observed, trust, start, fit->kernel_s, &r, e);
    if (err)
        return err;
    settle_memory(&q, &r);
    kernel_model(r.value, &q, fit->kernel_s);
    fit->board = q.board;
    tell_kernels(&q, &r, fit);
    return 0;
}

/* ---- messages ---- */

static double message_s(const struct rg_board *b, const struct rg_cal_message *m)
{
    if (m->kind == RG_CAL_ONE_WAY)
        return rg_board_hop_s(b, m->bytes);
    if (m->kind == RG_CAL_STREAM)
        return rg_board_port_s(b, 1, m->bytes);
    return b->message_s + b->byte_s * (double)(m->bytes + RG_MESSAGE_HEADER);
}

static void message_model(const double *value, void *arg, double *predicted)
{
    struct message_fit *q = arg;
    q->board.message_s = value[MESSAGE_S];
    q->board.byte_s = value[BYTE_S];
    q->board.port_rate = value[PORT_RATE];
    q->board.latency_s = value[LATENCY_S];
    for (int i = 0; i < q->cal->message_count; i++)
        predicted[i] = message_s(&q->board, &q->cal->messages[i]);
}

/* The row of that kind with the least, or the most, bytes; NULL: there is none. */
static const struct rg_cal_message *extreme(const struct rg_calibration *cal,
                                            enum rg_cal_message_kind kind, bool most)
{
    const struct rg_cal_message *found = NULL;
    for (int i = 0; i < cal->message_count; i++) {
        const struct rg_cal_message *m = &cal->messages[i];
        if (m->kind == kind && (!found || (m->bytes > found->bytes) == most))
            found = m;
    }
    return found;
}

static int fit_messages(const struct rg_calibration *cal, struct rg_cal_fit *fit, double *observed,
                        double *trust, struct rg_error *e)
{
    struct message_fit q = {.cal = cal, .board = fit->board};
    const struct rg_cal_message *little = extreme(cal, RG_CAL_STREAM, false),
                                *much = extreme(cal, RG_CAL_STREAM, true),
                                *way = extreme(cal, RG_CAL_ONE_WAY, false),
                                *work = extreme(cal, RG_CAL_PROCESSOR, true);
    struct rg_robust r;
    if (!little || !way || !work || much->bytes < 1024 || work->bytes < 1024)
        return rg_fail(e, RG_ERR_INVALID,
                       "messages one way, in a stream and their processor time, small and large, "
                       "are all needed");
    q.board.frame_payload = cal->frame_payload;
    q.board.frame_bytes = cal->frame_bytes;
    double wire = rg_board_wire_bytes(&q.board, 1, much->bytes);
    const double start[MESSAGE_PARAMETERS] = {
        [MESSAGE_S] = little->seconds,
        [BYTE_S] = work->seconds / (double)work->bytes,
        [PORT_RATE] = wire / much->seconds,
        [LATENCY_S] = fmax(0.2 * way->seconds, way->seconds - 2 * little->seconds)};
    for (int i = 0; i < cal->message_count; i++) {
        observed[i] = cal->messages[i].seconds;
        trust[i] = trust_in(cal->messages[i].spread);
    }
    int err = rg_robust_fit(message_model, &q, observed, trust, cal->message_count, start,
                            MESSAGE_PARAMETERS, &r, e);
    if (err)
        return err;
    message_model(r.value, &q, fit->message_s);
    fit->board = q.board;
    fit->has_network = true;
    add_value(fit, "rg_message_s", "us", 1e6, &r, MESSAGE_S);
    add_value(fit, "rg_byte_s", "ns", 1e9, &r, BYTE_S);
    add_value(fit, "rg_port_rate", "MB/s", 1e-6, &r, PORT_RATE);
    add_value(fit, "rg_latency_s", "us", 1e6, &r, LATENCY_S);
    return 0;
}

/* ---- how good it is ---- */

static struct rg_cal_group *group_of(struct rg_cal_fit *fit, const char *name)
{
    for (int i = 0; i < fit->group_count; i++)
        if (strcmp(fit->groups[i].name, name) == 0)
            return &fit->groups[i];
    RG_ASSERT(fit->group_count < RG_CAL_GROUPS);
    struct rg_cal_group *g = &fit->groups[fit->group_count++];
    *g = (struct rg_cal_group){0};
    snprintf(g->name, sizeof g->name, "%s", name);
    return g;
}

static void add_residual(struct rg_cal_fit *fit, const char *group, const char *name,
                         double predicted, double measured, double spread)
{
    struct rg_cal_group *g = group_of(fit, group);
    double residual = predicted / measured - 1, trust = trust_in(spread);
    g->rows++;
    g->trust += trust;
    g->mean += trust / g->trust * (fabs(residual) - g->mean);
    g->bias += trust / g->trust * (residual - g->bias);
    g->spread += ((isfinite(spread) ? spread : 0) - g->spread) / g->rows;
    if (fabs(residual) >= g->worst) {
        g->worst = fabs(residual);
        snprintf(g->worst_name, sizeof g->worst_name, "%s", name);
    }
}

static void judge(const struct rg_calibration *cal, struct rg_cal_fit *fit)
{
    char name[64];
    for (int i = 0; i < cal->kernel_count; i++) {
        const struct rg_cal_kernel *k = &cal->kernels[i];
        snprintf(name, sizeof name, "%s%s", k->group, k->threads > 1 ? ", all cores" : "");
        add_residual(fit, name, k->name, fit->kernel_s[i], k->seconds, k->spread);
    }
    for (int i = 0; i < cal->message_count; i++) {
        const struct rg_cal_message *m = &cal->messages[i];
        snprintf(name, sizeof name, "%llu bytes", (unsigned long long)m->bytes);
        add_residual(fit, rg_cal_message_kind(m->kind), name, fit->message_s[i], m->seconds,
                     m->spread);
    }
}

int rg_cal_fit(const struct rg_calibration *cal, struct rg_cal_fit *fit, struct rg_error *e)
{
    *fit = (struct rg_cal_fit){0};
    size_t rows = (size_t)RG_MAX(cal->kernel_count, cal->message_count) + 1;
    double *observed = calloc(rows, sizeof *observed), *trust = calloc(rows, sizeof *trust);
    fit->kernel_s = calloc((size_t)cal->kernel_count + 1, sizeof *fit->kernel_s);
    fit->message_s = calloc((size_t)cal->message_count + 1, sizeof *fit->message_s);
    int err = observed && trust && fit->kernel_s && fit->message_s
                  ? 0
                  : rg_fail(e, RG_ERR_NOMEM, "out of memory");
    struct rg_error why = {0};
    if (err == 0 && (err = fit_kernels(cal, fit, observed, trust, &why)))
        rg_fail(e, err, "kernels: %s", why.text);
    if (err == 0 && cal->message_count > 0 && (err = fit_messages(cal, fit, observed, trust, &why)))
        rg_fail(e, err, "messages: %s", why.text);
    if (err == 0)
        judge(cal, fit);
    else
        rg_cal_fit_free(fit);
    free(observed);
    free(trust);
    return err;
}

void rg_cal_fit_free(struct rg_cal_fit *fit)
{
    free(fit->kernel_s);
    free(fit->message_s);
    fit->kernel_s = fit->message_s = NULL;
}

int rg_cal_good(const struct rg_calibration *cal, const struct rg_cal_fit *fit, double most,
                struct rg_error *e)
{
    const struct rg_cal_group *bad = NULL;
    for (int i = 0; i < fit->group_count; i++) {
        const struct rg_cal_group *g = &fit->groups[i];
        if (g->rows >= LEAST_ROWS && g->mean > most && (!bad || g->mean > bad->mean))
            bad = g;
    }
    if (!bad)
        return 0;
    bool noisy = bad->spread > 0.5 * bad->mean;
    return rg_fail(
        e, RG_ERR_INVALID,
        "the fit is not good: \"%s\" is off by %.0f %% on average (%s by %.0f %%), up to "
        "%.0f %% is allowed: %s (samples differ by %.0f %%, load %.1f)",
        bad->name, 100 * bad->mean, bad->worst_name, 100 * bad->worst, 100 * most,
        noisy ? "the machine is noisy, measure again when it is quiet"
              : "the model does not describe it",
        100 * bad->spread, cal->machine.load);
}
