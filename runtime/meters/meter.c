/* One meter: its source, the thread that samples it, and what is asked of it.
 *
 * Happy path: the thread takes a sample every interval; whoever asks for joules takes one more, so
 * that the answer is that of the very date (of slow sources the last one stands for the rest of its
 * interval). A log is read when the run is over.
 *
 * Failure modes handled: a meter that is not there, or may not be read; one that disappears or lies
 * later on: from then on, until the next run, its joules are NAN and facts.error says why; a clock
 * of the day that was set during the run, which a log cannot be aligned with. */
#include "meters/meter.h"

#include "base/check.h"
#include "base/clock.h"
#include "meters/meter_source.h"
#include "meters/ticker.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOG_PATIENCE_S   5.0 /* for a log that is still being written to reach the end of the run */
#define LOG_PATIENCE     2.0 /* or for so many of its rows, if that is longer, */
#define LOG_MOST_S       60.0 /* but no longer than this */
#define LOG_LOOK_S       0.2
#define CLOCK_MAY_SLIP_S 0.1

#define RG_METER(name) extern const struct rg_meter_source rg_meter_##name;
#include "meters/meters.def"
#undef RG_METER

static const struct rg_meter_source *const sources[] = {
#define RG_METER(name) &rg_meter_##name,
#include "meters/meters.def"
#undef RG_METER
};

struct rg_meter {
    const struct rg_meter_source *source; /* constant; NULL: none */
    void *state;
    struct rg_meter_limits limits;  /* constant */
    const struct rg_meter_log *log; /* of a source that is one */
    char where[280], root[240];     /* constant */
    double opened_s;                /* constant */
    bool first_clock;               /* constant; see rg_meter_options */
    double day_s; /* the opener's, too: date of UNIX at date 0 of our clock when the run began */
    struct rg_ticker ticker;

    pthread_mutex_t reading; /* taken first: one reads the source at a time */
    pthread_mutex_t lock;    /* guards what follows */
    bool failed;
    struct rg_integral sum;
    struct rg_meter_facts facts;
    struct rg_meter_facts shown; /* a copy for who asked last */
    double idle_begin_s, idle_end_s;
};

static void rest(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds,
                         .tv_nsec = (long)(1e9 * (seconds - floor(seconds)))};
    nanosleep(&t, NULL);
}

/* ---- the table ---- */

static const struct rg_meter_source *find_source(const char *choice, const char **argument)
{
    size_t length = strcspn(choice, ":");
    *argument = choice[length] ? choice + length + 1 : "";
    for (size_t i = 0; i < RG_COUNT(sources); i++)
        if (strncmp(sources[i]->name, choice, length) == 0 && !sources[i]->name[length])
            return sources[i];
    return NULL;
}

static bool is_plain(const char *choice)
{
    return strcmp(choice, "auto") == 0 || strcmp(choice, "none") == 0 ||
           strcmp(choice, "other") == 0;
}

bool rg_meter_known(const char *choice)
{
    const char *argument;
    const struct rg_meter_source *source = find_source(choice, &argument);
    if (is_plain(choice))
        return true;
    if (!source || (strchr(choice, ':') && !*argument))
        return false;
    return *argument ? source->argument != NULL : !source->needs_argument;
}

int rg_meter_check(const char *choice, struct rg_error *e)
{
    const char *argument;
    const struct rg_meter_source *source = find_source(choice, &argument);
    struct rg_error why = {0};
    if (!source || !source->check || source->check(argument, &why) == 0)
        return 0;
    return rg_fail(e, RG_ERR_INVALID, "--meter %s:%.450s", source->name, why.text);
}

/* "rapl", "ina2xx[:hwmonN]", "csv:FILE". */
static void write_choice(const struct rg_meter_source *s, char *out, size_t size)
{
    const char *argument = s->argument ? s->argument : "";
    snprintf(out, size,
             s->needs_argument ? "%s:%s"
             : *argument       ? "%s[:%s]"
                               : "%s%s",
             s->name, argument);
}

void rg_meter_choices(char out[RG_METER_CHOICES])
{
    char name[40];
    strcpy(out, "auto");
    for (size_t i = 0; i < RG_COUNT(sources); i++) {
        write_choice(sources[i], name, sizeof name);
        RG_ASSERT(strlen(out) + strlen(name) + 2 < RG_METER_CHOICES);
        strcat(strcat(out, ", "), name);
    }
}

void rg_meter_list(FILE *stream)
{
    fputs("  auto            the first of these that is there, csv left out\n", stream);
    for (size_t i = 0; i < RG_COUNT(sources); i++) {
        char name[40];
        write_choice(sources[i], name, sizeof name);
        fprintf(stream, "  %-15s %s\n", name, sources[i]->summary);
    }
    fputs("  other           another rank's meter counts this board too\n"
          "  none            energy is not measured\n",
          stream);
}

/* ---- samples ---- */

static void fail(struct rg_meter *m, const struct rg_error *e)
{
    if (m->failed)
        return;
    m->failed = true;
    rg_copy_text(m->facts.error, sizeof m->facts.error, e->text);
}

/* Reads the source; the date is the middle of the reading. Holding `reading`. */
static int read_source(struct rg_meter *m, double *date_s, double *value, struct rg_error *e)
{
    double before_s = rg_clock_s();
    int result = m->source->read(m->state, value, e);
    *date_s = (before_s + rg_clock_s()) / 2;
    return result;
}

static int add(struct rg_meter *m, double date_s, double value, struct rg_error *e)
{
    return m->source->kind == RG_METER_JOULES
               ? rg_integral_joules(&m->sum, &m->limits, date_s, value, e)
               : rg_integral_watts(&m->sum, &m->limits, date_s, value, e);
}

static void sample(struct rg_meter *m)
{
    struct rg_error e = {0};
    double date_s, value;
    pthread_mutex_lock(&m->reading);
    int result = read_source(m, &date_s, &value, &e);
    pthread_mutex_lock(&m->lock);
    if (!m->failed && result == 0)
        result = add(m, date_s, value, &e);
    if (result)
        fail(m, &e);
    pthread_mutex_unlock(&m->lock);
    pthread_mutex_unlock(&m->reading);
}

/* The first sample, or the first after a failure: it is judged, but counts for nothing. */
static int begin(struct rg_meter *m, struct rg_error *e)
{
    double date_s, value;
    pthread_mutex_lock(&m->reading);
    int result = read_source(m, &date_s, &value, e);
    pthread_mutex_lock(&m->lock);
    if (result == 0) {
        rg_integral_begin(&m->sum, date_s, value);
        result = add(m, date_s, value, e);
    }
    m->failed = false;
    m->facts.error[0] = '\0';
    if (result)
        fail(m, e);
    pthread_mutex_unlock(&m->lock);
    pthread_mutex_unlock(&m->reading);
    return result;
}

static void tick(void *arg)
{
    struct rg_meter *m = arg;
    pthread_mutex_lock(&m->lock);
    bool failed = m->failed;
    pthread_mutex_unlock(&m->lock);
    if (!failed)
        sample(m);
}

/* ---- opening ---- */

/* Ranks on one machine find the same number, and their meters are counted once. */
static uint64_t machine_of(const char *root)
{
    char path[300], line[80];
    struct rg_error e;
    uint64_t hash = RG_METER_HASH;
    snprintf(path, sizeof path, "%s/proc/sys/kernel/random/boot_id", root);
    if (rg_meter_line(path, line, sizeof line, &e) != 0 || !line[0])
        return 0;
    for (const char *p = line; *p; p++)
        hash = rg_meter_hash(hash, (unsigned char)*p);
    return hash == RG_MACHINE_OTHER ? 1 : hash;
}

static int open_source(struct rg_meter *m, const struct rg_meter_source *source,
                       struct rg_meter_probe *probe, struct rg_error *e)
{
    int result = source->open(probe, &m->state, e);
    if (result == 0) {
        m->source = source;
        m->limits.most_W = source->most_W;
        m->log = probe->log;
        snprintf(m->where, sizeof m->where, "%s (%s)", source->name, probe->where);
    }
    return result;
}

/* The first that is there; one that is there and cannot be used is passed over, but told. */
static void open_first(struct rg_meter *m, struct rg_meter_probe *probe)
{
    struct rg_error e = {0};
    char passed[160] = "";
    for (size_t i = 0; i < RG_COUNT(sources) && !m->source; i++) {
        if (sources[i]->needs_argument)
            continue;
        int result = open_source(m, sources[i], probe, &e);
        if (result && result != RG_ERR_INVALID)
            snprintf(passed, sizeof passed, "%s: %.140s", sources[i]->name, e.text);
    }
    size_t used = strlen(m->where);
    if (m->source && passed[0])
        snprintf(m->where + used, sizeof m->where - used, "; %s", passed);
    else if (!m->source)
        rg_fail(&e, RG_ERR_INVALID, "%s",
                passed[0] ? passed : "no meter found (ina2xx, ina3221, pmic, rapl)");
    if (!m->source)
        fail(m, &e);
}

static void find(struct rg_meter *m, const struct rg_meter_options *options)
{
    struct rg_error e = {0}, why = {0};
    const char *argument;
    const struct rg_meter_source *source = find_source(options->choice, &argument);
    struct rg_meter_probe probe = {.root = m->root,
                                   .argument = argument,
                                   .offset_s = options->offset_s,
                                   .stuck_s = options->stuck_s};
    snprintf(m->where, sizeof m->where, "%s", options->choice);
    if (strcmp(options->choice, "auto") == 0) {
        probe.argument = "";
        open_first(m, &probe);
    } else if (source && open_source(m, source, &probe, &why) != 0) {
        rg_fail(&e, why.code, "%s: %s", source->name, why.text);
        fail(m, &e);
    }
}

int rg_meter_open(const struct rg_meter_options *options, struct rg_meter **meter,
                  struct rg_error *e)
{
    RG_ASSERT(rg_meter_known(options->choice) && options->interval_s > 0);
    struct rg_meter *m = calloc(1, sizeof *m);
    *meter = NULL;
    if (!m)
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    pthread_mutex_init(&m->reading, NULL);
    pthread_mutex_init(&m->lock, NULL);
    snprintf(m->root, sizeof m->root, "%s", options->root ? options->root : "");
    for (size_t n = strlen(m->root); n && m->root[n - 1] == '/'; n--)
        m->root[n - 1] = '\0';
    m->opened_s = rg_clock_s();
    m->day_s = rg_clock_day_s();
    m->first_clock = options->first_clock;
    m->limits.stuck_s = options->stuck_s;
    m->idle_begin_s = m->idle_end_s = NAN;
    m->facts = (struct rg_meter_facts){.interval_s = options->interval_s, .idle_W = NAN};
    bool other = strcmp(options->choice, "other") == 0;
    m->facts.machine = other ? RG_MACHINE_OTHER : machine_of(m->root);
    find(m, options);
    if (!m->source || m->source->kind == RG_METER_LOG)
        m->facts.interval_s = NAN;
    struct rg_error why = {0};
    bool live = m->source && m->source->kind != RG_METER_LOG;
    if (live)
        begin(m, &why);
    if (live && rg_ticker_start(&m->ticker, options->interval_s, tick, m) != 0) {
        rg_meter_close(m);
        return rg_fail(e, RG_ERR_NOMEM, "no thread for the meter");
    }
    *meter = m;
    return 0;
}

void rg_meter_close(struct rg_meter *m)
{
    if (!m)
        return;
    rg_ticker_stop(&m->ticker);
    if (m->source)
        m->source->close(m->state);
    pthread_mutex_destroy(&m->reading);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

const char *rg_meter_where(const struct rg_meter *m)
{
    return m->where;
}

/* ---- what is asked ---- */

static bool is_live(const struct rg_meter *m)
{
    return m->source && m->source->kind != RG_METER_LOG;
}

/* At a date shortly before the last sample (which was taken for it, and took its time) or after it:
 * its watts are taken to have lasted. By how much they moved in the step before says how wrong that
 * may be. Counters are read as they stand, and wrong by a step of theirs at most. */
static void read_out(const struct rg_meter *m, double date_s, double *joules, double *variance_J2)
{
    double age_s = date_s - m->sum.date_s, edge_J = age_s * m->sum.slope_W / sqrt(3);
    *joules = m->sum.joules;
    if (m->source->kind == RG_METER_JOULES)
        edge_J = m->source->step_s * m->sum.watts / sqrt(12);
    else
        *joules += age_s * m->sum.watts;
    *variance_J2 = edge_J * edge_J;
}

void rg_meter_energy(struct rg_meter *m, double date_s, struct rg_energy *so_far)
{
    *so_far = (struct rg_energy){.total_J = NAN,
                                 .idle_J = NAN,
                                 .compute_J = NAN,
                                 .network_J = NAN,
                                 .switch_J = NAN,
                                 .source = m->source ? m->source->name : "none"};
    double variance_J2 = 0;
    if (is_live(m) && !m->source->slow)
        sample(m);
    pthread_mutex_lock(&m->lock);
    if (is_live(m) && !m->failed) {
        read_out(m, date_s, &so_far->total_J, &variance_J2);
        so_far->variance_J2 = m->sum.variance_J2 + variance_J2;
        m->sum.variance_J2 += 2 * variance_J2; /* a section has two ends */
        so_far->samples = (double)m->sum.samples;
        so_far->idle_J = m->facts.idle_W * (date_s - m->opened_s);
        m->facts.longest_s = m->sum.longest_s;
    }
    m->shown = m->facts;
    so_far->meter = &m->shown;
    pthread_mutex_unlock(&m->lock);
}

const char *rg_meter_error(struct rg_meter *m)
{
    pthread_mutex_lock(&m->lock);
    m->shown = m->facts;
    pthread_mutex_unlock(&m->lock);
    return m->shown.error;
}

void rg_meter_run(struct rg_meter *m)
{
    struct rg_error e = {0};
    if (!m->source)
        return;
    if (m->source->kind == RG_METER_LOG) {
        m->failed = false;
        m->facts.error[0] = '\0';
        m->sum = (struct rg_integral){0};
        m->day_s = rg_clock_day_s();
        return;
    }
    pthread_mutex_lock(&m->lock);
    bool again = m->failed;
    m->sum.longest_s = 0;
    pthread_mutex_unlock(&m->lock);
    if (again)
        begin(m, &e);
}

void rg_meter_idle(struct rg_meter *m, double seconds, bool (*stop)(void *arg), void *arg)
{
    struct rg_energy before, after;
    if (!m->source || !(seconds > 0) || rg_meter_error(m)[0])
        return;
    double begin_s = rg_clock_s(), now_s = begin_s;
    rg_meter_energy(m, begin_s, &before);
    while (now_s - begin_s < seconds && !(stop && stop(arg))) {
        rest(fmin(0.05, fmax(seconds - (now_s - begin_s), 1e-4)));
        now_s = rg_clock_s();
    }
    double end_s = now_s;
    rg_meter_energy(m, end_s, &after);
    m->idle_begin_s = begin_s;
    m->idle_end_s = end_s;
    pthread_mutex_lock(&m->lock);
    if (is_live(m))
        m->facts.idle_W = (after.total_J - before.total_J) / (end_s - begin_s);
    pthread_mutex_unlock(&m->lock);
}

/* ---- logs ---- */

/* The date of UNIX at date 0 of our clock, by the clock of the day that the log goes by: when the
 * run began, and now. */
static int find_day(const struct rg_meter *m, const struct rg_clock_map *clocks, double *day_s,
                    struct rg_error *e)
{
    double now_s = rg_clock_day_s();
    *day_s = m->day_s;
    if (m->first_clock) {
        *day_s += clocks ? clocks->before.wall_s : NAN;
        now_s += clocks ? clocks->after.wall_s : NAN;
    }
    if (isnan(now_s - *day_s))
        return rg_fail(e, RG_ERR_IO,
                       "rank 0's clock of the day, which the log goes by, is unknown");
    if (fabs(now_s - *day_s) > CLOCK_MAY_SLIP_S)
        return rg_fail(e, RG_ERR_IO,
                       "the clock of the day was set by %.3f s during the run: no log can be "
                       "aligned with it",
                       now_s - *day_s);
    return 0;
}

/* Joules of spans of our clock, see between; waits a little for a log that grows. */
static int read_log(struct rg_meter *m, struct rg_clock_section *spans, int count, int aside,
                    const struct rg_clock_map *clocks, double *joules, struct rg_integral *whole,
                    struct rg_error *e)
{
    double begun_s = rg_clock_s(), patience_s = LOG_PATIENCE_S, day_s;
    int result = find_day(m, clocks, &day_s, e);
    if (result)
        return result;
    for (int i = 0; i < count; i++) {
        spans[i].begin_s += day_s;
        spans[i].end_s += day_s;
    }
    do {
        *whole = (struct rg_integral){0};
        result = m->source->between(m->state, spans, count, aside, joules, whole, e);
        if (m->log)
            patience_s = fmax(LOG_PATIENCE_S, fmin(LOG_PATIENCE * m->log->usual_s, LOG_MOST_S));
        if (result == RG_ERR_TIMEOUT)
            rest(LOG_LOOK_S);
    } while (result == RG_ERR_TIMEOUT && rg_clock_s() < begun_s + patience_s);
    if (result == RG_ERR_TIMEOUT)
        result = RG_ERR_IO;
    return result;
}

/* The sections, with the time at rest, where it is still wanted, in front of them: all are read in
 * one pass. *joules: with that in front likewise. */
static int settle_all(struct rg_meter *m, const struct rg_clock_section *sections, int count,
                      const struct rg_clock_map *clocks, double *joules, struct rg_integral *whole,
                      struct rg_error *e)
{
    bool rests = isnan(m->facts.idle_W) && m->idle_end_s > m->idle_begin_s && count > 0 &&
                 m->idle_end_s <= sections[0].begin_s;
    size_t all = (size_t)count + 1;
    struct rg_clock_section *spans = malloc(all * sizeof *spans);
    double *each = malloc(all * sizeof *each);
    int result = rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    if (spans && each) {
        spans[0] = (struct rg_clock_section){m->idle_begin_s, m->idle_end_s};
        memcpy(spans + rests, sections, (size_t)count * sizeof *spans);
        result = read_log(m, spans, count + rests, rests, clocks, each, whole, e);
    }
    if (result == 0 && rests)
        m->facts.idle_W = each[0] / (m->idle_end_s - m->idle_begin_s);
    if (result == 0)
        memcpy(joules, each + rests, (size_t)count * sizeof *joules);
    free(spans);
    free(each);
    return result;
}

bool rg_meter_settle(struct rg_meter *m, const struct rg_clock_section *sections, int count,
                     const struct rg_clock_map *clocks, double *joules, struct rg_energy *whole)
{
    struct rg_error e = {0};
    struct rg_integral sum = {0};
    double seconds = 0;
    if (!m->source || m->source->kind != RG_METER_LOG)
        return false;
    int result = m->failed ? RG_ERR_IO : settle_all(m, sections, count, clocks, joules, &sum, &e);
    if (result && !m->failed)
        fail(m, &e);
    for (int i = 0; i < count; i++) {
        seconds += sections[i].end_s - sections[i].begin_s;
        joules[i] = result ? NAN : joules[i];
    }
    *whole = (struct rg_energy){.total_J = result ? NAN : sum.joules,
                                .idle_J = result ? NAN : m->facts.idle_W * seconds,
                                .compute_J = NAN,
                                .network_J = NAN,
                                .switch_J = NAN,
                                .source = m->source->name,
                                .variance_J2 = sum.variance_J2,
                                .samples = (double)sum.samples,
                                .meter = &m->shown};
    m->facts.longest_s = sum.longest_s;
    if (m->log) {
        rg_copy_text(m->facts.column, sizeof m->facts.column, m->log->column);
        m->facts.log = m->log->fingerprint;
    }
    m->shown = m->facts;
    return true;
}
