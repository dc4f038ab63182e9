/* Joules out of samples: power that is known, from exact samples, from a file that moves and from
 * a log. Nothing here is a real sensor: the watts are made up. */
#include "meters.h"

#include "base/check.h"
#include "base/clock.h"
#include "meters/meter_source.h"
#include <pthread.h>

/* ---- integration, without a clock ---- */

static const struct rg_meter_limits wide = {.most_W = 1000, .stuck_s = INFINITY};

static double sine(double t)
{
    return 4 + 2 * sin(2 * M_PI * t);
}

/* Its integral from 0 to t. */
static double sine_joules(double t)
{
    return 4 * t + (1 - cos(2 * M_PI * t)) / M_PI;
}

/* A period of 1 s, sampled every 20 ms give or take 8: the trapezoid's own error is 0.02 % at most
 * (h^2/12 times the curvature, over the mean). */
static void test_sine(void)
{
    for (int seconds = 1; seconds <= 16; seconds *= 2) {
        struct rg_integral sum = {0};
        struct rg_error e;
        unsigned seed = 1;
        rg_integral_begin(&sum, 0, sine(0));
        double end = seconds + 0.3;
        for (double t = 0; t < end;) {
            t = fmin(end, t + 0.02 + 0.008 * (2.0 * rand_r(&seed) / RAND_MAX - 1));
            CU_ASSERT_EQUAL(rg_integral_watts(&sum, &wide, t, sine(t), &e), 0);
        }
        CU_ASSERT(within(sum.joules, sine_joules(end), 1e-3));
        CU_ASSERT(sum.variance_J2 > 0 && sqrt(sum.variance_J2) < 0.02 * sum.joules);
        CU_ASSERT(sum.longest_s > 0.02 && sum.longest_s < 0.0281);
    }
}

/* Steps at dates that the samples know nothing of: the error is what the uncertainty says it is. */
static void test_steps(void)
{
    struct rg_error e;
    unsigned seed = 7;
    double squares = 0, predicted = 0;
    for (int trial = 0; trial < 400; trial++) {
        struct rg_integral sum = {0};
        double at = 1.0 + 0.05 * rand_r(&seed) / RAND_MAX, truth = 2 * at + 6 * (3 - at);
        rg_integral_begin(&sum, 0, 2);
        for (int k = 1; k <= 60; k++)
            rg_integral_watts(&sum, &wide, 0.05 * k, 0.05 * k < at ? 2 : 6, &e);
        squares += pow(sum.joules - truth, 2);
        predicted += sum.variance_J2;
        CU_ASSERT(within(sum.joules, truth, 0.01));
    }
    CU_ASSERT(within(sqrt(predicted), sqrt(squares), 0.1));
}

static void test_lies(void)
{
    struct rg_error e = {0};
    struct rg_meter_limits limits = {.most_W = 100, .stuck_s = 1};
    struct rg_integral sum = {0};
    rg_integral_begin(&sum, 0, 5);
    CU_ASSERT_EQUAL(rg_integral_watts(&sum, &limits, 1, -0.001, &e), RG_ERR_PROTOCOL);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "negative"));
    CU_ASSERT_EQUAL(rg_integral_watts(&sum, &limits, 1, NAN, &e), RG_ERR_PROTOCOL);
    CU_ASSERT_EQUAL(rg_integral_watts(&sum, &limits, 1, INFINITY, &e), RG_ERR_PROTOCOL);
    CU_ASSERT_EQUAL(rg_integral_watts(&sum, &limits, 1, 101, &e), RG_ERR_PROTOCOL);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "absurd"));
    CU_ASSERT_EQUAL(sum.joules, 0);
    int result = 0, k = 0;
    while (result == 0 && k < 1000)
        result = rg_integral_watts(&sum, &limits, 0.02 * ++k, 5, &e);
    CU_ASSERT_EQUAL(result, RG_ERR_PROTOCOL);
    CU_ASSERT_EQUAL(k, 50); /* after 1 s, and not before */
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "stuck"));
    sum = (struct rg_integral){0};
    rg_integral_begin(&sum, 0, 50);
    CU_ASSERT_EQUAL(rg_integral_joules(&sum, &limits, 1, 49.9, &e), RG_ERR_PROTOCOL);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "backwards"));
    CU_ASSERT_EQUAL(rg_integral_joules(&sum, &limits, 1, 50 + 106, &e), RG_ERR_PROTOCOL);
    CU_ASSERT_EQUAL(sum.joules, 0);
    CU_ASSERT_EQUAL(rg_integral_joules(&sum, &limits, 1, 50 + 99, &e), 0);
    CU_ASSERT_EQUAL(sum.joules, 99);
}

/* ---- a sensor whose power moves ---- */

/* A clock that goes on by a step whenever the meter looks at it, and what the sensor shows with it:
 * the same seconds pass whatever else the machine does. Off: the machine's. */
static struct mover {
    pthread_mutex_t lock;
    const char *root;
    double date_s, step_s;
    unsigned seed;
    bool on, halted;
} mover = {.lock = PTHREAD_MUTEX_INITIALIZER};

double __real_rg_clock_s(void);
double __wrap_rg_clock_s(void);

/* A meter reads between two looks at the clock: what it gets is of the middle. */
static void step(void)
{
    mover.date_s += mover.step_s;
    mover.step_s = 5e-4 + 5e-4 * rand_r(&mover.seed) / RAND_MAX;
    put(mover.root, ina_file, "%.0f\n", 1e6 * sine(mover.date_s + mover.step_s / 2));
}

double __wrap_rg_clock_s(void)
{
    pthread_mutex_lock(&mover.lock);
    double date_s = mover.date_s;
    bool on = mover.on;
    if (on && !mover.halted)
        step();
    pthread_mutex_unlock(&mover.lock);
    return on ? date_s : __real_rg_clock_s();
}

/* The reading at a date, as near as the samples come to it; the clock stands still meanwhile. */
static struct rg_energy ask_at(struct rg_meter *m, double at_s, double *date_s)
{
    for (bool there = false; !there;) {
        pthread_mutex_lock(&mover.lock);
        mover.halted = there = mover.date_s >= at_s;
        *date_s = mover.date_s;
        pthread_mutex_unlock(&mover.lock);
        if (!there)
            nap(1e-3);
    }
    struct rg_energy energy = ask(m);
    pthread_mutex_lock(&mover.lock);
    mover.halted = false;
    pthread_mutex_unlock(&mover.lock);
    return energy;
}

static void move(bool on)
{
    pthread_mutex_lock(&mover.lock);
    mover.on = on;
    pthread_mutex_unlock(&mover.lock);
}

static void test_moving(void)
{
    double begin_s, end_s;
    mover.root = ina_tree("moving", 4);
    mover.step_s = 1e-3;
    move(true);
    struct rg_meter *m = open_with((struct rg_meter_options){
        .choice = "ina2xx", .root = mover.root, .interval_s = 0.005, .stuck_s = 1});
    struct rg_energy before = ask_at(m, 0.06, &begin_s), after = ask_at(m, 1.56, &end_s);
    double joules = after.total_J - before.total_J;
    double truth_J = sine_joules(end_s) - sine_joules(begin_s);
    double uncertainty_J = sqrt(after.variance_J2 - before.variance_J2);
    printf("%.4f J of %.4f J, %+.4f %%, uncertainty %.4f J, longest gap %.0f ms ", joules, truth_J,
           100 * (joules / truth_J - 1), uncertainty_J, 1e3 * after.meter->longest_s);
    CU_ASSERT(within(joules, truth_J, 1e-3));
    CU_ASSERT(uncertainty_J > 0 && uncertainty_J < 1e-2 * truth_J);
    CU_ASSERT(after.meter->longest_s > 0.001 && after.meter->longest_s < 0.02);
    CU_ASSERT_STRING_EQUAL(after.source, "ina2xx");
    CU_ASSERT(isnan(after.compute_J) && isnan(after.network_J) && isnan(after.switch_J));
    move(false);
    rg_meter_close(m);
}

/* ---- csv ---- */

enum date_kind { UNIX, ISO_UTC, ISO_ZONE, KINDS };

static void put_date(FILE *stream, enum date_kind kind, double date_s)
{
    double whole = floor(date_s);
    time_t seconds = (time_t)whole + (kind == ISO_ZONE ? 5400 : 0);
    struct tm t;
    char text[40];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &t));
    if (kind == UNIX)
        fprintf(stream, "%.6f", date_s);
    else
        fprintf(stream, "%s.%06d%s", text, (int)(1e6 * (date_s - whole)),
                kind == ISO_UTC ? "Z" : "+01:30");
}

/* Rows every 20 ms around now: a sine, with a hole where wanted. */
static void put_log(const char *path, enum date_kind kind, double from_s, double to_s,
                    double shift_s, double hole_s)
{
    FILE *stream = fopen(path, "w");
    double day_s = rg_clock_day_s();
    if (!stream)
        abort();
    fputs(kind == UNIX ? "volts,time,current,watts\n" : "Timestamp;Power (W)\n", stream);
    for (double t = from_s; t <= to_s; t += 0.02) {
        if (t > hole_s && t < hole_s + 0.5)
            continue;
        if (kind == UNIX)
            fputs("5.1,", stream);
        put_date(stream, kind, day_s + t + shift_s);
        fprintf(stream, kind == UNIX ? ",1.0,%.6f\n" : ";%.6f\n", sine(t - from_s));
    }
    fputs("5.1,17", stream); /* is being written */
    fclose(stream);
}

static double settled(struct rg_meter *m, double begin_s, double end_s, struct rg_energy *section)
{
    struct rg_clock_section one = {begin_s, end_s};
    double joules = 0;
    CU_ASSERT(rg_meter_settle(m, &one, 1, NULL, &joules, section));
    CU_ASSERT(joules == section->total_J || isnan(joules));
    return section->total_J;
}

/* A log that was written by rank 0, whose clock of the day is 500 s before this node's. */
static void test_csv_of_first(void)
{
    const char *path = scratch_path("first.csv");
    char choice[600];
    struct rg_energy section;
    snprintf(choice, sizeof choice, "csv:%s", path);
    double from_s = rg_clock_s() - 5;
    struct rg_meter *m =
        open_with((struct rg_meter_options){.choice = choice, .root = "/", .first_clock = true});
    rg_meter_run(m);
    put_log(path, UNIX, from_s, from_s + 10, -500, INFINITY);
    struct rg_clock_map clocks = {.before = {.wall_s = -500}, .after = {.wall_s = -500}};
    struct rg_clock_section one = {from_s + 1.23, from_s + 3.47};
    double joules;
    CU_ASSERT(rg_meter_settle(m, &one, 1, &clocks, &joules, &section));
    CU_ASSERT(within(section.total_J, sine_joules(3.47) - sine_joules(1.23), 1e-3));
    clocks.after.wall_s = -499; /* it was set meanwhile */
    CU_ASSERT(rg_meter_settle(m, &one, 1, &clocks, &joules, &section));
    CU_ASSERT(is_unknown(m, "was set by 1.000 s"));
    rg_meter_run(m);
    CU_ASSERT(isnan(settled(m, from_s + 1.23, from_s + 3.47, &section)));
    CU_ASSERT(is_unknown(m, "rank 0's clock of the day"));
    rg_meter_close(m);
}

static void test_csv(void)
{
    const char *path = scratch_path("log.csv");
    char choice[600];
    snprintf(choice, sizeof choice, "csv:%s", path);
    for (int kind = UNIX; kind < KINDS; kind++) {
        struct rg_energy section;
        double from_s = rg_clock_s() - 5;
        struct rg_meter *m = open_with((struct rg_meter_options){
            .choice = choice, .root = "/", .offset_s = kind == ISO_ZONE ? -3.5 : 0});
        rg_meter_run(m);
        CU_ASSERT(isnan(ask(m).total_J));
        CU_ASSERT_STRING_EQUAL(ask(m).source, "csv");
        put_log(path, (enum date_kind)kind, from_s, from_s + 10, kind == ISO_ZONE ? 3.5 : 0,
                INFINITY);
        double joules = settled(m, from_s + 1.23, from_s + 3.47, &section);
        CU_ASSERT(within(joules, sine_joules(3.47) - sine_joules(1.23), 1e-3));
        CU_ASSERT(section.variance_J2 > 0 && section.samples > 100);
        CU_ASSERT_STRING_EQUAL(section.meter->error, "");
        rg_meter_close(m);
    }
}

/* Rows 4 s apart, 2 W and then 10 W: on the straight line between them 4 W after a second and 8 W
 * after three, 12 J in these two seconds. */
static void test_csv_between_rows(void)
{
    const char *path = scratch_path("rows.csv");
    char choice[600];
    struct rg_energy section;
    snprintf(choice, sizeof choice, "csv:%s", path);
    struct rg_meter *m = open_at("/", choice);
    rg_meter_run(m);
    double from_s = rg_clock_s(), day_s = rg_clock_day_s();
    FILE *stream = fopen(path, "w");
    CU_ASSERT_FATAL(stream != NULL);
    fprintf(stream, "time,watts\n%.6f,2\n%.6f,10\n", day_s + from_s, day_s + from_s + 4);
    fclose(stream);
    CU_ASSERT(within(settled(m, from_s + 1, from_s + 3, &section), 12, 1e-4));
    rg_meter_close(m);
}

/* At rest 3 W, in the run 7 W: of 2 s of it 14 J, 6 of them the board's at rest, however often it
 * is asked. The log itself is read only afterwards. */
static void test_csv_idle(void)
{
    const char *path = scratch_path("idle.csv");
    char choice[600];
    struct rg_energy section;
    snprintf(choice, sizeof choice, "csv:%s", path);
    struct rg_meter *m = open_at("/", choice);
    double before_s = rg_clock_s();
    rg_meter_idle(m, 0.1, NULL, NULL);
    rg_meter_run(m);
    double after_s = rg_clock_s(), day_s = rg_clock_day_s();
    FILE *stream = fopen(path, "w");
    CU_ASSERT_FATAL(stream != NULL);
    fputs("time,watts\n", stream);
    for (double t = before_s - 1; t < after_s + 10; t += 0.01)
        fprintf(stream, "%.6f,%d\n", day_s + t, t < after_s + 1 ? 3 : 7);
    fclose(stream);
    for (int i = 0; i < 2; i++) {
        double begin_s = after_s + 2 + 3 * i;
        CU_ASSERT(within(settled(m, begin_s, begin_s + 2, &section), 14, 1e-4));
        CU_ASSERT(within(section.idle_J, 6, 1e-4));
        CU_ASSERT(within(section.meter->idle_W, 3, 1e-4));
    }
    rg_meter_close(m);
}

static bool refuses(const char *path, const char *words)
{
    char choice[700];
    struct rg_error e = {0};
    snprintf(choice, sizeof choice, "csv:%s", path);
    return rg_meter_check(choice, &e) == RG_ERR_INVALID && complains(&e, NULL, 0, words);
}

/* Before the run: what cannot become a log until its end. */
static void test_csv_refusals(void)
{
    char choice[600], longest[600];
    struct rg_error e = {0};
    snprintf(choice, sizeof choice, "csv:%s", scratch_path("to-come.csv"));
    CU_ASSERT_EQUAL(rg_meter_check(choice, &e), 0);
    snprintf(choice, sizeof choice, "csv:%s", scratch_text("there.csv", ""));
    CU_ASSERT_EQUAL(rg_meter_check(choice, &e), 0);
    CU_ASSERT(rg_meter_check("auto", &e) == 0 && rg_meter_check("ina2xx:hwmon9", &e) == 0);
    CU_ASSERT(refuses(scratch(), "--meter csv:/|is a folder, a file is wanted"));
    CU_ASSERT(refuses(scratch_path("there.csv/file"), "cannot be read: Not a directory"));
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    CU_ASSERT(refuses(longest, "the path is too long"));
    if (geteuid() == 0) { /* may read everything */
        printf("(nothing is unreadable to root) ");
        return;
    }
    chmod(scratch_path("there.csv"), 0);
    CU_ASSERT(refuses(scratch_path("there.csv"), "there.csv: cannot be read: Permission denied"));
}

static void test_csv_failures(void)
{
    const char *path = scratch_path("bad.csv");
    char choice[600];
    struct rg_energy section;
    snprintf(choice, sizeof choice, "csv:%s", path);
    double from_s = rg_clock_s() - 5;
    struct rg_meter *m = open_at("/", choice);
    static const struct {
        const char *text, *words;
    } bad[] = {{"time,amps\n1,2\n", "bad.csv:1: no column of watts"},
               {"1,2\n2,x\n", "bad.csv:2: no watts"},
               {"1,2\nyesterday,3\n", "bad.csv:2: no date"},
               {"2,2\n1,3\n", "bad.csv:2: its date is before"},
               {"", "two rows at least"},
               {"9e9,4\n9.1e9,4\n", "after the run (--meter-offset?)"}};
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        rg_meter_run(m);
        scratch_text("bad.csv", bad[i].text);
        CU_ASSERT(isnan(settled(m, from_s + 1, from_s + 2, &section)));
        CU_ASSERT(is_unknown(m, bad[i].words));
    }
    rg_meter_run(m);
    put_log(path, UNIX, from_s, from_s + 5, 0, from_s + 2);
    CU_ASSERT(isfinite(settled(m, from_s + 0.5, from_s + 1.5, &section)));
    CU_ASSERT(isnan(settled(m, from_s + 1.5, from_s + 3, &section)));
    CU_ASSERT(is_unknown(m, "a gap of"));
    rg_meter_run(m);
    char text[300];
    double day_s = rg_clock_day_s() + from_s;
    snprintf(text, sizeof text, "%.3f,4\n%.3f,-4\n%.3f,4\n", day_s, day_s + 1.1, day_s + 2.2);
    scratch_text("bad.csv", text);
    CU_ASSERT(isnan(settled(m, from_s + 0.5, from_s + 2, &section)));
    CU_ASSERT(is_unknown(m, "bad.csv|negative"));
    rg_meter_close(m);
}

/* A log that somebody writes while the program runs: it is waited for, a little. */
static void *write_later(void *arg)
{
    const double *from_s = arg;
    nap(0.6);
    put_log(scratch_path("whole.csv"), UNIX, *from_s, *from_s + 8, 0, INFINITY);
    if (rename(scratch_path("whole.csv"), scratch_path("late.csv")) != 0)
        abort();
    return NULL;
}

static void test_csv_late(void)
{
    char choice[600];
    struct rg_energy section;
    pthread_t thread;
    double from_s = rg_clock_s() - 4;
    const char *path = scratch_path("late.csv");
    snprintf(choice, sizeof choice, "csv:%s", path);
    struct rg_meter *m = open_at("/", choice);
    rg_meter_run(m);
    put_log(path, UNIX, from_s, from_s + 2, 0, INFINITY);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, write_later, &from_s), 0);
    double joules = settled(m, from_s + 1, from_s + 4, &section);
    pthread_join(thread, NULL);
    CU_ASSERT(within(joules, sine_joules(4) - sine_joules(1), 1e-3));
    rg_meter_close(m);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"a sine in exact samples", test_sine},
        {"steps between samples, and their uncertainty", test_steps},
        {"readings that cannot be", test_lies},
        {"a file that moves", test_moving},
        {"csv", test_csv},
        {"csv: joules between rows", test_csv_between_rows},
        {"csv: joules at rest", test_csv_idle},
        {"csv: refused before the run", test_csv_refusals},
        {"csv: what is wrong with it", test_csv_failures},
        {"csv: still being written", test_csv_late},
        {"csv: by rank 0's clock", test_csv_of_first},
    };
    return suite_main("meters", tests, (int)RG_COUNT(tests), argc, argv);
}
