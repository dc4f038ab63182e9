/* Readings become joules of the spans of a run, and an uncertainty that comes from rows.
 *
 * Between two readings of a moment's watts the power is a straight line, or, in a log that has rows
 * only where power changes, what the first one says. Where rows are means or joules of the time
 * since the row before, or of a counter, the joules of each interval are known, and a part of it
 * gets its share by time.
 *
 * Uncertainty, as variances that add up (JCGM 100:2008, 5.1.2):
 * - h |P - P'| between two readings, at a date that nobody knows: a uniform distribution's h^2 (P -
 *   P')^2 / 12 (4.3.7). Where the steps before and behind are as large, that is a slope, and by how
 *   much it changes is what counts;
 * - at the ends of the run, where a part of an interval counts: power may have been that of either
 *   end all along;
 * - an interval in which rows are missing: half the standard deviation of all readings, for as
 *   long;
 * - what the last digits of readings and of dates stand for.
 *
 * Failure modes handled, each with FILE:LINE: dates that go back, gaps, values that cannot be, a
 * meter that is stuck, a counter that runs backwards or does not move; a log that does not cover
 * the run. */
#include "meters/log_parts.h"

#include "base/check.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GAP = 10 /* times the usual interval */, STUCK_LEAST = 10, GROUP = 1 << 17 };
#define MISSING   2.5  /* times the usual interval: rows are missing there */
#define DEAD_BAND 0.02 /* of its value, by which power may change before a row says so, at most */

/* ---- habits ---- */

struct interval {
    double h;
    bool changed;
};

static int compare(const void *a, const void *b)
{
    const struct interval *p = a, *q = b;
    return (p->h > q->h) - (p->h < q->h);
}

/* Irregular intervals, the short ones all with another value: rows where power changed, and
 * perhaps some that say that it has not for long. */
static bool is_on_change(const struct interval *sorted, int count)
{
    double median = sorted[(count - 1) / 2].h, high = sorted[9 * (count - 1) / 10].h;
    int shorter = 0, changed = 0, usual = 0;
    for (int i = 0; i < count; i++) {
        usual += fabs(sorted[i].h - median) < median / 4;
        shorter += 2 * sorted[i].h <= high;
        changed += 2 * sorted[i].h <= high && sorted[i].changed;
    }
    bool irregular = high >= 3 * sorted[(count - 1) / 10].h || 2 * usual < count;
    return count >= 4 && irregular && 10 * changed >= 9 * shorter;
}

enum { HABITS = 1 << 14 };

struct seen { /* of one channel */
    double date_s, value;
    int same; /* rows of that date */
    bool known;
};

static void see(struct rg_log_habit *habit, struct interval *all, struct seen *last,
                const struct rg_log_row *row)
{
    double up = row->value - last->value, h = row->date_s - last->date_s;
    if (last->known) {
        habit->ups += up > 0;
        habit->falls += up < 0;
        habit->most_up = fmax(habit->most_up, up / fabs(last->value));
    }
    if (last->known && h > 0)
        for (int k = 0; k < last->same && habit->count < HABITS; k++)
            all[habit->count++] = (struct interval){h / last->same, up != 0};
    bool again = last->known && h == 0;
    *last = (struct seen){row->date_s, row->value, again ? last->same + 1 : 1, true};
}

int rg_log_habits(const struct rg_log_text *text, struct rg_log_columns *columns,
                  struct rg_log_habit *habit, struct rg_error *e)
{
    struct interval *all = malloc(HABITS * sizeof *all);
    struct seen last[RG_LOG_RAILS] = {0};
    struct rg_log_row row;
    struct rg_error ignored;
    *habit = (struct rg_log_habit){0};
    if (!all)
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    const char *p = text->buffer + text->next, *end = text->buffer + text->used, *stop;
    int64_t line = text->line;
    for (; habit->count < HABITS && (stop = memchr(p, '\n', (size_t)(end - p))); p = stop + 1) {
        struct rg_slice slice = {p, (size_t)(stop - p), false};
        if (++line >= columns->first_line &&
            rg_log_row(columns, text->path, slice, line, &row, &ignored) == 1 && !isnan(row.value))
            see(habit, all, &last[row.channel], &row);
    }
    if (habit->count) {
        qsort(all, (size_t)habit->count, sizeof *all, compare);
        habit->usual_s = all[(habit->count - 1) / 2].h;
        habit->on_change = is_on_change(all, habit->count);
    }
    free(all);
    return 0;
}

/* ---- channels ---- */

/* An interval that belongs to the run, in part (covered) or whole. */
struct piece {
    double h, covered, middle; /* of what is covered, 0 .. 1 */
    double step;               /* of power: between its ends, or to the interval before */
    double before;             /* the step before; NAN: there is none */
};

struct channel {
    struct rg_log_row *group; /* rows of one date, until another comes */
    size_t grouped, room, last_grouped;
    struct rg_log_row last, held; /* held: of a counter, the same value again */
    bool begun, holds, first_group_over;
    double step, power; /* of the interval before; NAN: there is none */
    struct piece piece; /* h 0: none */
    int span;
    int64_t unknown_line; /* since the last row that is known; 0: none */
    double changed_s;     /* when the value last changed; NAN: in the run it has not begun */
    int same;
};

struct rg_log_sum {
    struct rg_log_sum_options o;
    struct channel *channels;
    double covered_s, quantum, step_s, longest_s, joules;
    double variance_J2, missing_s2, first_W, last_W; /* at the ends of the run */
    double steps_W2;                                 /* of rows that have dates of their own */
    double mean_W, squares_W2, dead_W;               /* Welford's; the least step */
    double least_J;                                  /* by which a counter rose */
    bool repeats;                                    /* it stood still in between */
    uint64_t samples, changes;
};

static bool knows_joules(enum rg_log_kind kind)
{
    return kind != RG_LOG_MOMENTS;
}

int rg_log_sum_new(const struct rg_log_sum_options *options, struct rg_log_sum **sum,
                   struct rg_error *e)
{
    struct rg_log_sum *s = calloc(1, sizeof *s);
    *sum = s;
    if (s)
        s->channels = calloc((size_t)options->channels, sizeof *s->channels);
    if (!s || !s->channels) {
        free(s);
        *sum = NULL;
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    }
    s->o = *options;
    s->quantum = s->dead_W = s->least_J = INFINITY;
    s->first_W = NAN;
    for (int i = 0; i < options->channels; i++)
        s->channels[i].step = s->channels[i].power = s->channels[i].changed_s = NAN;
    for (int i = 0; i < options->span_count; i++)
        options->joules[i] = 0;
    return 0;
}

void rg_log_sum_free(struct rg_log_sum *sum)
{
    for (int i = 0; sum && i < sum->o.channels; i++)
        free(sum->channels[i].group);
    if (sum)
        free(sum->channels);
    free(sum);
}

/* ---- an interval ---- */

static double least_of(double a, double b, double c)
{
    return fmin(fabs(a), fmin(fabs(b), fabs(c))); /* fmin leaves NAN out */
}

/* The next step is known (or NAN: there is none), and with it what the interval adds. */
static void settle_piece(struct rg_log_sum *s, struct channel *c, double next)
{
    const struct piece *p = &c->piece;
    if (!(p->h > 0))
        return;
    double share = p->covered / p->h, whole = share > 0.999, J = 0;
    if (s->o.habit.on_change && !knows_joules(s->o.kind))
        J = 0; /* see rg_log_sum_end: dead_W */
    else if (knows_joules(s->o.kind))
        J = whole ? 0 : fmax(fabs(p->step), fabs(next)) * p->h * share * (1 - share) / sqrt(3);
    else if (whole)
        J = p->h * least_of(p->step, p->step - p->before, next - p->step) / sqrt(12);
    else
        J = fabs(p->step) * p->covered * fmax(p->middle, 1 - p->middle) / 2;
    s->variance_J2 += isnan(J) ? 0 : J * J;
    c->piece.h = 0;
}

/* Joules of the spans that the interval has a part in. */
static struct piece cover(struct rg_log_sum *s, struct channel *c, const struct rg_log_row *row,
                          double power)
{
    const struct rg_clock_section *spans = s->o.spans;
    double from_s = c->last.date_s, h = row->date_s - from_s, sum = 0;
    bool line = !knows_joules(s->o.kind) && !s->o.habit.on_change;
    struct piece piece = {.h = h};
    while (c->span < s->o.span_count && spans[c->span].end_s <= from_s)
        c->span++;
    for (int i = c->span; i < s->o.span_count && spans[i].begin_s < row->date_s; i++) {
        double a = fmax(spans[i].begin_s, from_s), b = fmin(spans[i].end_s, row->date_s);
        double middle = ((a + b) / 2 - from_s) / h;
        double watts = line ? c->last.value + (row->value - c->last.value) * middle : power;
        if (!(b > a))
            continue;
        s->o.joules[i] += (b - a) * watts;
        if (i < s->o.aside)
            continue;
        s->joules += (b - a) * watts;
        s->first_W = isnan(s->first_W) ? watts : s->first_W;
        s->last_W = watts;
        piece.covered += b - a;
        sum += (b - a) * middle;
    }
    piece.middle = piece.covered > 0 ? sum / piece.covered : 0;
    return piece;
}

static int judge(const struct rg_log_sum *s, const struct rg_log_row *row, double watts,
                 struct rg_error *e)
{
    if (s->o.kind == RG_LOG_COUNTER && watts < 0)
        return rg_fail_at(e, s->o.path, (int)row->line, "a counter of energy cannot run backwards");
    if (!(watts >= 0))
        return rg_fail_at(e, s->o.path, (int)row->line, "%.9g W: power drawn cannot be negative",
                          watts);
    if (watts > s->o.limits.most_W)
        return rg_fail_at(e, s->o.path, (int)row->line, "%.9g W: absurd, more than %.9g W", watts,
                          s->o.limits.most_W);
    return 0;
}

static int check_stuck(struct rg_log_sum *s, struct channel *c, const struct rg_log_row *row,
                       struct rg_error *e)
{
    double begin_s = fmax(c->last.date_s, s->o.spans[s->o.aside].begin_s);
    bool same = row->value == c->last.value && !isnan(c->changed_s);
    c->same = same ? c->same + 1 : 0;
    s->changes += row->value != c->last.value;
    if (!same)
        c->changed_s = row->value == c->last.value ? begin_s : row->date_s;
    if (s->o.habit.on_change || s->o.kind == RG_LOG_COUNTER || c->same < STUCK_LEAST ||
        row->date_s - c->changed_s < s->o.limits.stuck_s)
        return 0;
    return rg_fail_at(e, s->o.path, (int)row->line,
                      "stuck: %.9g without any change for %.3g s (--meter-stuck allows more)",
                      row->value, row->date_s - c->changed_s);
}

static int check_piece(struct rg_log_sum *s, struct channel *c, const struct rg_log_row *row,
                       double power, struct rg_error *e)
{
    double h = row->date_s - c->last.date_s;
    bool held = s->o.habit.on_change && s->o.kind == RG_LOG_MOMENTS;
    if (held && c->unknown_line)
        return rg_fail_at(e, s->o.path, (int)c->unknown_line, "unknown watts in the run");
    if (!held && s->o.kind != RG_LOG_COUNTER && h > GAP * s->o.habit.usual_s)
        return rg_fail_at(e, s->o.path, (int)row->line,
                          "a gap of %.3g s in the run, rows are %.3g s apart", h,
                          s->o.habit.usual_s);
    int result = knows_joules(s->o.kind) ? 0 : judge(s, &c->last, c->last.value, e);
    if (result == 0)
        result = judge(s, row, knows_joules(s->o.kind) ? power : row->value, e);
    return result ? result : check_stuck(s, c, row, e);
}

static void note(struct rg_log_sum *s, const struct piece *piece, const struct rg_log_row *row,
                 double watts)
{
    double off = watts - s->mean_W;
    s->samples++;
    s->mean_W += off / (double)s->samples;
    s->squares_W2 += off * (watts - s->mean_W);
    s->covered_s += piece->covered;
    s->longest_s = fmax(s->longest_s, piece->h);
    s->quantum = fmin(s->quantum, row->quantum);
    s->step_s = fmax(s->step_s, row->step_s);
    if (!row->spread && !isnan(piece->step))
        s->steps_W2 += piece->step * piece->step * piece->covered / piece->h;
    s->least_J = fmin(s->least_J, watts * piece->h);
    if (piece->step != 0)
        s->dead_W = fmin(s->dead_W, fabs(piece->step));
    if (piece->h > MISSING * s->o.habit.usual_s && !s->o.habit.on_change)
        s->missing_s2 += piece->covered * piece->covered;
}

static double power_of(const struct rg_log_sum *s, const struct channel *c,
                       const struct rg_log_row *row)
{
    double h = row->date_s - c->last.date_s;
    switch (s->o.kind) {
    case RG_LOG_MEANS:
        return row->value;
    case RG_LOG_COUNTER:
        return (row->value - c->last.value) / h;
    case RG_LOG_AMOUNTS:
        return row->value / h;
    default:
        return c->last.value; /* until it changes */
    }
}

/* A reading whose date is as good as it gets. */
static int add_reading(struct rg_log_sum *s, struct channel *c, const struct rg_log_row *row,
                       struct rg_error *e)
{
    const struct rg_clock_section *spans = s->o.spans;
    if (!c->begun) {
        c->begun = true;
        c->last = *row;
        for (int i = 0; i < s->o.aside; i++)
            if (row->date_s > spans[i].begin_s)
                s->o.joules[i] = NAN;
        if (row->date_s > spans[s->o.aside].begin_s)
            return rg_fail(e, RG_ERR_IO, "%.300s: begins %.3f s after the run (--meter-offset?)",
                           s->o.path, row->date_s - spans[s->o.aside].begin_s);
        return 0;
    }
    double power = power_of(s, c, row);
    struct piece piece = cover(s, c, row, power);
    bool known = knows_joules(s->o.kind);
    piece.step = known ? power - c->power : row->value - c->last.value;
    piece.before = c->step;
    settle_piece(s, c, piece.step);
    if (piece.covered > 0) {
        int result = check_piece(s, c, row, power, e);
        if (result)
            return result;
        note(s, &piece, row, known ? power : row->value);
        c->piece = piece;
    }
    c->step = piece.step;
    c->power = power;
    c->last = *row;
    c->unknown_line = 0;
    return piece.covered <= 0 && row->date_s > spans[s->o.span_count - 1].end_s;
}

/* ---- rows of one date ---- */

/* They are spread over what its last digit stands for, or to the next date; the file may have begun
 * in the midst of the first such group. */
static int spread(struct rg_log_sum *s, struct channel *c, double next_s, struct rg_error *e)
{
    size_t count = c->grouped, of = RG_MAX(count, c->last_grouped);
    int done = 0;
    bool dropped = count > 1 && !c->first_group_over;
    double width_s = count ? fmin(next_s - c->group[0].date_s, c->group[0].step_s) : 0;
    c->grouped = 0;
    c->last_grouped = count;
    c->first_group_over = true;
    for (size_t i = 0; i < count && done == 0 && !dropped; i++) {
        struct rg_log_row row = c->group[i];
        if (count > 1) {
            row.date_s += width_s * (double)i / (double)of;
            row.step_s = width_s / (double)of;
            row.spread = true;
        }
        done = add_reading(s, c, &row, e);
    }
    return done;
}

static int hold(struct channel *c, const struct rg_log_row *row, const char *path,
                struct rg_error *e)
{
    if (c->grouped == c->room) {
        size_t room = c->room ? 2 * c->room : 16;
        struct rg_log_row *more = realloc(c->group, room * sizeof *more);
        if (!more)
            return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
        c->group = more;
        c->room = room;
    }
    if (c->grouped == GROUP)
        return rg_fail_at(e, path, (int)row->line, "more than %d rows of one date", GROUP);
    c->group[c->grouped++] = *row;
    return 0;
}

int rg_log_sum_add(struct rg_log_sum *s, const struct rg_log_row *row, struct rg_error *e)
{
    struct channel *c = &s->channels[row->channel];
    int done = 0;
    if (isnan(row->value)) {
        c->unknown_line = c->unknown_line ? c->unknown_line : row->line;
        return 0;
    }
    if (c->grouped && row->date_s < c->group[0].date_s)
        return rg_fail_at(e, s->o.path, (int)row->line, "its date is before that of the row above");
    /* A counter says something new when it moves; until then its last value may be held. */
    if (s->o.kind == RG_LOG_COUNTER && c->grouped && row->value == c->group[0].value) {
        c->held = *row;
        c->holds = s->repeats = true;
        return 0;
    }
    c->holds = false;
    if (c->grouped && row->date_s > c->group[0].date_s)
        done = spread(s, c, row->date_s, e);
    int result = done < 0 ? done : hold(c, row, s->o.path, e);
    return result ? result : done && s->o.channels == 1;
}

/* ---- the end ---- */

static int end_channel(struct rg_log_sum *s, struct channel *c, struct rg_error *e)
{
    double end_s = s->o.spans[s->o.span_count - 1].end_s;
    int done = spread(s, c, INFINITY, e);
    if (done == 0 && c->holds && c->held.date_s > c->last.date_s)
        done = add_reading(s, c, &c->held, e);
    if (done < 0)
        return done;
    settle_piece(s, c, NAN);
    if (!c->begun)
        return rg_fail(e, RG_ERR_TIMEOUT, "%.300s: two rows at least are wanted", s->o.path);
    if (c->last.date_s < end_s)
        return rg_fail(e, RG_ERR_TIMEOUT, "%.300s: ends %.3f s before the run (--meter-offset?)",
                       s->o.path, end_s - c->last.date_s);
    return 0;
}

/* What last digits and missing rows add. */
static double more_variance(const struct rg_log_sum *s)
{
    double T = s->covered_s / s->o.channels, count = (double)RG_MAX(s->samples, 1u);
    double spread_W2 = s->squares_W2 / count, variance = s->missing_s2 * spread_W2 / 4;
    double q = isfinite(s->quantum) ? s->quantum : 0, runs = (double)s->changes + 1;
    double ends_W = s->last_W - s->first_W;
    if (s->repeats) /* what it rises by at once is what it can tell apart */
        q = fmax(q, s->least_J);
    if (s->o.kind == RG_LOG_COUNTER)
        variance += q * q / 6 * s->o.channels;
    else if (s->o.kind == RG_LOG_AMOUNTS)
        variance += q * q / 12 * count * count / runs;
    else
        variance += q * q / 12 * T * T * s->o.channels * s->o.channels / runs;
    if (s->o.habit.on_change && s->o.kind == RG_LOG_MOMENTS && isfinite(s->dead_W)) {
        double dead_W = fmin(s->dead_W, DEAD_BAND * s->joules / T);
        variance += dead_W * dead_W / 3 * T * T / count;
    }
    return variance + (s->steps_W2 + ends_W * ends_W) * s->step_s * s->step_s / 12;
}

int rg_log_sum_end(struct rg_log_sum *s, struct rg_integral *whole, struct rg_error *e)
{
    for (int i = 0; i < s->o.channels; i++) {
        int result = end_channel(s, &s->channels[i], e);
        if (result)
            return result;
    }
    if (s->o.kind == RG_LOG_COUNTER && !(s->joules > 0))
        return rg_fail(e, RG_ERR_IO, "%.300s: its counter of energy does not move in the run",
                       s->o.path);
    *whole = (struct rg_integral){.joules = s->joules,
                                  .variance_J2 = s->variance_J2 + more_variance(s),
                                  .longest_s = s->longest_s,
                                  .samples = s->samples};
    return 0;
}
