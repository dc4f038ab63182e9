/* Energy meters against trees of files whose power is known, and against trees that lie. Nothing
 * here is a real sensor: the files have the kernel's format, the watts are made up. */
#include "posix/meter.h"

#include "base/check.h"
#include "posix/meter_source.h"
#include "tests/support/suite.h"
#include "tests/unit/scratch.h"
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

static double clock_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double now_s(void)
{
    return clock_of(CLOCK_MONOTONIC);
}

static void nap(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds,
                         .tv_nsec = (long)(1e9 * (seconds - floor(seconds)))};
    nanosleep(&t, NULL);
}

/* ---- trees ---- */

static void put(const char *root, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The file appears whole, with the folders that it is in. */
static void put(const char *root, const char *path, const char *format, ...)
{
    char file[500], fresh[520], folder[500];
    snprintf(file, sizeof file, "%s/%s", root, path);
    snprintf(fresh, sizeof fresh, "%s.new", file);
    for (char *p = strchr(file + 1, '/'); p; p = strchr(p + 1, '/')) {
        snprintf(folder, sizeof folder, "%.*s", (int)(p - file), file);
        mkdir(folder, 0755);
    }
    FILE *stream = fopen(fresh, "w");
    va_list args;
    va_start(args, format);
    if (!stream || vfprintf(stream, format, args) < 0 || fclose(stream) != 0 ||
        rename(fresh, file) != 0)
        abort();
    va_end(args);
}

static void take_away(const char *root, const char *path)
{
    char file[500];
    snprintf(file, sizeof file, "%s/%s", root, path);
    if (remove(file) != 0)
        abort();
}

static const char ina_file[] = "sys/class/hwmon/hwmon1/power1_input";

static const char *ina_tree(const char *name, double watts)
{
    const char *root = scratch_path(name);
    mkdir(root, 0755);
    put(root, "sys/class/hwmon/hwmon0/name", "cpu_thermal\n");
    put(root, "sys/class/hwmon/hwmon0/temp1_input", "48000\n");
    put(root, "sys/class/hwmon/hwmon1/name", "ina219\n");
    put(root, ina_file, "%.0f\n", 1e6 * watts);
    return root;
}

static struct rg_meter *open_with(struct rg_meter_options options)
{
    struct rg_meter *m = NULL;
    struct rg_error e = {0};
    options.interval_s = options.interval_s > 0 ? options.interval_s : 0.01;
    options.stuck_s = options.stuck_s > 0 ? options.stuck_s : INFINITY;
    CU_ASSERT_EQUAL_FATAL(rg_meter_open(&options, &m, &e), 0);
    return m;
}

static struct rg_meter *open_at(const char *root, const char *choice)
{
    return open_with((struct rg_meter_options){.choice = choice, .root = root});
}

static struct rg_energy ask(struct rg_meter *m)
{
    struct rg_energy energy;
    rg_meter_energy(m, &energy);
    return energy;
}

/* Are its joules unknown, for a reason with all of `words` (separated by '|')? */
static bool is_unknown(struct rg_meter *m, const char *words)
{
    struct rg_energy energy = ask(m);
    char copy[200], *rest = copy;
    bool good = isnan(energy.total_J) && energy.meter->error[0];
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word; (word = strsep(&rest, "|"));)
        good = good && strstr(energy.meter->error, word);
    if (!good)
        printf("\n    wanted %s\n    got    %g J, \"%s\"\n", words, energy.total_J,
               energy.meter->error);
    return good;
}

static bool within(double value, double wanted, double share)
{
    bool good = fabs(value - wanted) <= share * fabs(wanted);
    if (!good)
        printf("\n    wanted %.9g, got %.9g: %+.4f %%\n", wanted, value,
               100 * (value / wanted - 1));
    return good;
}

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

enum { NOTES = 20000 };

struct mover {
    const char *root;
    double begin_s;
    atomic_bool stop;
    int count;
    struct {
        double date_s, watts;
    } note[NOTES]; /* what stood in the file since when */
};

static void *move(void *arg)
{
    struct mover *mover = arg;
    while (!atomic_load(&mover->stop) && mover->count < NOTES) {
        double microwatts = round(1e6 * sine(now_s() - mover->begin_s)), before_s = now_s();
        put(mover->root, ina_file, "%.0f\n", microwatts);
        mover->note[mover->count].date_s = (before_s + now_s()) / 2;
        mover->note[mover->count++].watts = 1e-6 * microwatts;
        nap(0.002);
    }
    return NULL;
}

static double moved_joules(const struct mover *mover, double begin_s, double end_s)
{
    double sum = 0;
    for (int i = 0; i < mover->count; i++) {
        double from_s = fmax(begin_s, mover->note[i].date_s);
        double to_s = i + 1 < mover->count ? fmin(end_s, mover->note[i + 1].date_s) : end_s;
        sum += to_s > from_s ? mover->note[i].watts * (to_s - from_s) : 0;
    }
    return sum;
}

/* Joules over 1.5 s against what really stood in the file; how long the machine kept samples
 * waiting. */
static double follow(struct mover *mover, double *truth_J, double *uncertainty_J, double *longest_s)
{
    pthread_t thread;
    *mover = (struct mover){.root = ina_tree("moving", 4), .begin_s = now_s()};
    if (pthread_create(&thread, NULL, move, mover) != 0)
        abort();
    nap(0.05);
    struct rg_meter *m = open_with((struct rg_meter_options){
        .choice = "ina2xx", .root = mover->root, .interval_s = 0.005, .stuck_s = 1});
    nap(0.01);
    double begin_s = now_s();
    struct rg_energy before = ask(m);
    nap(1.5);
    double end_s = now_s();
    struct rg_energy after = ask(m);
    atomic_store(&mover->stop, true);
    pthread_join(thread, NULL);
    *truth_J = moved_joules(mover, begin_s, end_s);
    *uncertainty_J = sqrt(after.variance_J2 - before.variance_J2);
    *longest_s = after.meter->longest_s;
    CU_ASSERT_STRING_EQUAL(after.source, "ina2xx");
    CU_ASSERT(isnan(after.compute_J) && isnan(after.network_J) && isnan(after.switch_J));
    rg_meter_close(m);
    return after.total_J - before.total_J;
}

static void test_moving(void)
{
    static struct mover mover;
    double truth_J, uncertainty_J, longest_s, joules;
    int attempt = 0;
    do { /* where other work on the machine held up the sampling, again */
        joules = follow(&mover, &truth_J, &uncertainty_J, &longest_s);
        for (int i = 1; i < mover.count; i++)
            longest_s = fmax(longest_s, mover.note[i].date_s - mover.note[i - 1].date_s);
        printf("%.4f J of %.4f J, %+.4f %%, uncertainty %.4f J, longest gap %.0f ms ", joules,
               truth_J, 100 * (joules / truth_J - 1), uncertainty_J, 1e3 * longest_s);
    } while (longest_s > 0.02 && ++attempt < 6);
    CU_ASSERT(truth_J > 5 && truth_J < 7);
    CU_ASSERT(fabs(joules - truth_J) <=
              fmax(1e-3 * truth_J, longest_s > 0.02 ? 4 * uncertainty_J : 0));
}

/* ---- ina2xx ---- */

static void test_ina_choice(void)
{
    const char *root = ina_tree("two", 3);
    put(root, "sys/class/hwmon/hwmon2/name", "ina260\n");
    put(root, "sys/class/hwmon/hwmon2/power1_input", "7000000\n");
    put(root, "sys/class/hwmon/hwmon10/name", "ina3221\n"); /* no power1_input, another family */
    const struct {
        const char *choice;
        double watts;
    } good[] = {{"auto", 3}, {"ina2xx", 3}, {"ina2xx:hwmon2", 7}};
    for (size_t i = 0; i < RG_COUNT(good); i++) {
        struct rg_meter *m = open_at(root, good[i].choice);
        rg_meter_idle(m, 0.05, NULL, NULL);
        struct rg_energy energy = ask(m);
        CU_ASSERT(within(energy.meter->idle_W, good[i].watts, 1e-3));
        CU_ASSERT(energy.total_J > 0.05 * good[i].watts && energy.samples >= 4);
        rg_meter_close(m);
    }
    static const char *const bad[] = {"ina2xx:hwmon0", "ina2xx:hwmon7", "ina2xx:hwmon10"};
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        struct rg_meter *m = open_at(root, bad[i]);
        CU_ASSERT(is_unknown(m, "ina2xx"));
        CU_ASSERT_STRING_EQUAL(ask(m).source, "none");
        rg_meter_close(m);
    }
    CU_ASSERT(rg_meter_known("csv:x") && rg_meter_known("none") && rg_meter_known("other"));
    CU_ASSERT(!rg_meter_known("csv") && !rg_meter_known("csv:") && !rg_meter_known("rapl:x"));
    CU_ASSERT(!rg_meter_known("") && !rg_meter_known("ina") && !rg_meter_known("auto:x"));
}

/* Each is noticed within a few samples, by the thread or by who asks, and the next run, with the
 * sensor in order again, is measured. */
static void test_ina_failures(void)
{
    static const struct {
        const char *content, *words; /* NULL: no file */
    } faults[] = {{NULL, "power1_input|No such file"},
                  {"-120000\n", "negative"},
                  {"9000000000\n", "absurd"},
                  {"", "no number"},
                  {"4 W\n", "no number"},
                  {"99999999999999999999\n", "no number"}};
    const char *root = ina_tree("failing", 4);
    struct rg_meter *m = open_at(root, "ina2xx");
    for (size_t i = 0; i < RG_COUNT(faults); i++) {
        struct rg_energy before = ask(m);
        CU_ASSERT(isfinite(before.total_J));
        if (faults[i].content)
            put(root, ina_file, "%s", faults[i].content);
        else
            take_away(root, ina_file);
        nap(i % 2 ? 0.05 : 0);
        CU_ASSERT(is_unknown(m, faults[i].words));
        put(root, ina_file, "4000000\n");
        nap(0.03);
        CU_ASSERT(is_unknown(m, faults[i].words)); /* what was missed stays missed */
        rg_meter_run(m);
        CU_ASSERT_STRING_EQUAL(rg_meter_error(m), "");
        double joules = ask(m).total_J;
        CU_ASSERT(joules >= before.total_J && joules < before.total_J + 4);
    }
    rg_meter_close(m);
}

static void test_ina_stuck(void)
{
    const char *root = ina_tree("stuck", 4);
    struct rg_meter *m = open_with((struct rg_meter_options){
        .choice = "auto", .root = root, .interval_s = 0.005, .stuck_s = 0.3});
    double limit_s = now_s() + 5;
    CU_ASSERT(isfinite(ask(m).total_J));
    while (!rg_meter_error(m)[0] && now_s() < limit_s)
        nap(0.01);
    CU_ASSERT(is_unknown(m, "stuck|4 W|--meter-stuck"));
    rg_meter_close(m);
}

/* ---- rapl ---- */

static void put_zone(const char *root, const char *zone, const char *name, long long microjoules)
{
    char path[200];
    snprintf(path, sizeof path, "sys/class/powercap/%s/name", zone);
    put(root, path, "%s\n", name);
    snprintf(path, sizeof path, "sys/class/powercap/%s/max_energy_range_uj", zone);
    put(root, path, "262143328850\n");
    snprintf(path, sizeof path, "sys/class/powercap/%s/energy_uj", zone);
    put(root, path, "%lld\n", microjoules);
}

static const char *rapl_tree(const char *name)
{
    const char *root = scratch_path(name);
    mkdir(root, 0755);
    put(root, "sys/class/powercap/intel-rapl/enabled", "1\n");
    put_zone(root, "intel-rapl:0", "package-0", 262143328850 - 1000000);
    put_zone(root, "intel-rapl:0:0", "core", 5000);
    put_zone(root, "intel-rapl:0:1", "dram", 5000);
    put_zone(root, "intel-rapl:1", "package-1", 7);
    put_zone(root, "intel-rapl:2", "psys", 17);
    put_zone(root, "intel-rapl-mmio:0", "package-0", 262143328850 - 1000000);
    return root;
}

/* Package 0 goes round its range; what else is there counts for nothing. */
static void test_rapl(void)
{
    const char *root = rapl_tree("rapl");
    struct rg_meter *m = open_at(root, "auto");
    CU_ASSERT_PTR_NOT_NULL(strstr(rg_meter_where(m), "2 packages"));
    double before_J = ask(m).total_J;
    CU_ASSERT_EQUAL(before_J, 0);
    for (int i = 1; i <= 5; i++) {
        put_zone(root, "intel-rapl:0", "package-0",
                 i < 3 ? 262143328850 - 1000000 + 400000 * i : 400000 * i - 1000000);
        put_zone(root, "intel-rapl:1", "package-1", 7 + 30000 * i);
        put_zone(root, "intel-rapl:0:0", "core", 5000 + 1000000 * i);
        put_zone(root, "intel-rapl:2", "psys", 17 + 2000000 * i);
        put_zone(root, "intel-rapl-mmio:0", "package-0", 5);
        if (i % 2)
            nap(0.03);
        struct rg_energy energy = ask(m);
        CU_ASSERT(fabs(energy.total_J - (0.4 * i + 0.03 * i)) < 1e-9);
    }
    rg_meter_close(m);
}

static void test_rapl_failures(void)
{
    const char *root = rapl_tree("bad-rapl");
    struct rg_meter *m = open_at(root, "rapl");
    put_zone(root, "intel-rapl:0", "package-0", 262143328851);
    CU_ASSERT(is_unknown(m, "counts from 0 to 262143328850"));
    put_zone(root, "intel-rapl:0", "package-0", 1000);
    rg_meter_run(m);
    CU_ASSERT(isfinite(ask(m).total_J));
    put_zone(root, "intel-rapl:0", "package-0", 999); /* backwards: all the way round, it seems */
    CU_ASSERT(is_unknown(m, "absurd"));
    rg_meter_run(m);
    CU_ASSERT(isfinite(ask(m).total_J));
    take_away(root, "sys/class/powercap/intel-rapl:1/energy_uj");
    CU_ASSERT(is_unknown(m, "intel-rapl:1/energy_uj|No such file"));
    rg_meter_close(m);
    put(root, "sys/class/powercap/intel-rapl:1/max_energy_range_uj", "0\n");
    m = open_at(root, "rapl");
    CU_ASSERT(is_unknown(m, "rapl|no range"));
    rg_meter_close(m);
}

/* As most systems have it: energy_uj is root's. Root may read anything, so somebody else tries. */
static void test_no_permission(void)
{
    const char *root = rapl_tree("locked");
    char path[500];
    snprintf(path, sizeof path, "%s/sys/class/powercap/intel-rapl:0/energy_uj", root);
    CU_ASSERT_EQUAL(chmod(path, 0), 0);
    CU_ASSERT_EQUAL(chmod(scratch(), 0755), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        bool good = geteuid() != 0 || setuid(65534) == 0;
        static const char *const choices[] = {"rapl", "auto"};
        for (int i = 0; i < 2 && good; i++) {
            struct rg_meter *m = open_at(root, choices[i]);
            good = is_unknown(m, "rapl|energy_uj|Permission denied") &&
                   strcmp(ask(m).source, "none") == 0;
            rg_meter_close(m);
        }
        fflush(NULL);
        _exit(!good);
    }
    int status = -1;
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_EQUAL(status, 0);
}

/* ---- pmic ---- */

static const char pmic_output[] = "     3V7_WL_SW_A current(0)=0.10000000A\n"
                                  "     3V3_SYS_A current(1)=0.20000000A\n"
                                  "     VDD_CORE_A current(7)=2.00000000A\n"
                                  "     3V7_WL_SW_V volt(8)=3.70000000V\n"
                                  "     3V3_SYS_V volt(9)=3.30000000V\n"
                                  "     VDD_CORE_V volt(15)=0.90000000V\n"
                                  "     EXT5V_V volt(24)=5.10000000V\n"
                                  "     BATT_V volt(25)=0.00000000V\n";

static void put_script(const char *root, const char *body)
{
    char path[500];
    put(root, "usr/bin/vcgencmd", "#!/bin/sh\n%s", body);
    snprintf(path, sizeof path, "%s/usr/bin/vcgencmd", root);
    if (chmod(path, 0755) != 0)
        abort();
}

static void test_pmic(void)
{
    const char *root = scratch_path("pi");
    double watts = 1.1451 * (0.37 + 0.66 + 1.8) + 0.5879;
    char script[2000];
    mkdir(root, 0755);
    snprintf(script, sizeof script, "test \"$1\" = pmic_read_adc || exit 1\ncat <<END\n%sEND\n",
             pmic_output);
    for (int is_text = 0; is_text < 2; is_text++) {
        if (is_text)
            put(root, "usr/bin/vcgencmd", "%s", pmic_output);
        else
            put_script(root, script);
        struct rg_meter *m = open_at(root, "auto");
        CU_ASSERT_STRING_EQUAL(ask(m).source, "pmic");
        rg_meter_idle(m, 0.1, NULL, NULL);
        struct rg_energy energy = ask(m);
        CU_ASSERT(within(energy.meter->idle_W, watts, 1e-3));
        nap(0.1);
        struct rg_energy later = ask(m);
        CU_ASSERT(within(later.idle_J - energy.idle_J, later.total_J - energy.total_J, 1e-3));
        if (is_text)
            take_away(root, "usr/bin/vcgencmd");
        else
            put_script(root, "exit 3\n");
        for (int i = 0; i < 300 && !rg_meter_error(m)[0]; i++)
            nap(0.01);
        CU_ASSERT(is_unknown(m, is_text ? "No such file" : "failed, status 3"));
        rg_meter_close(m);
    }
    put_script(root, "echo 'error=1 error_msg=\"Command not registered\"'\n"); /* older Pis */
    struct rg_meter *m = open_at(root, "auto");
    CU_ASSERT(is_unknown(m, "no meter found"));
    rg_meter_close(m);
    put_script(root, "sleep 100\n");
    double begin_s = now_s();
    m = open_at(root, "pmic");
    CU_ASSERT(is_unknown(m, "no answer within 2 s"));
    CU_ASSERT(now_s() - begin_s < 10);
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
    double day_s = clock_of(CLOCK_REALTIME) - now_s();
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
    CU_ASSERT(rg_meter_settle(m, begin_s, end_s, NULL, section));
    return section->total_J;
}

/* A log that was written by rank 0, whose clock of the day is 500 s before this node's. */
static void test_csv_of_first(void)
{
    const char *path = scratch_path("first.csv");
    char choice[600];
    struct rg_energy section;
    snprintf(choice, sizeof choice, "csv:%s", path);
    double from_s = now_s() - 5;
    struct rg_meter *m =
        open_with((struct rg_meter_options){.choice = choice, .root = "/", .first_clock = true});
    rg_meter_run(m);
    put_log(path, UNIX, from_s, from_s + 10, -500, INFINITY);
    struct rg_clock_map clocks = {.before = {.wall_s = -500}, .after = {.wall_s = -500}};
    CU_ASSERT(rg_meter_settle(m, from_s + 1.23, from_s + 3.47, &clocks, &section));
    CU_ASSERT(within(section.total_J, sine_joules(3.47) - sine_joules(1.23), 1e-3));
    clocks.after.wall_s = -499; /* it was set meanwhile */
    CU_ASSERT(rg_meter_settle(m, from_s + 1.23, from_s + 3.47, &clocks, &section));
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
        double from_s = now_s() - 5;
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

static void test_csv_failures(void)
{
    const char *path = scratch_path("bad.csv");
    char choice[600];
    struct rg_energy section;
    snprintf(choice, sizeof choice, "csv:%s", path);
    double from_s = now_s() - 5;
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
    double day_s = clock_of(CLOCK_REALTIME) - now_s() + from_s;
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
    double from_s = now_s() - 4;
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

/* ---- several on one machine ---- */

static void test_machines(void)
{
    const char *root = ina_tree("machine", 4);
    struct rg_meter *m = open_at(root, "ina2xx");
    CU_ASSERT_EQUAL(ask(m).meter->machine, 0);
    rg_meter_close(m);
    put(root, "proc/sys/kernel/random/boot_id", "0d3d43d6-8e0f-4a42-9c8e-2d3a3f0b7f0a\n");
    m = open_at(root, "ina2xx");
    uint64_t machine = ask(m).meter->machine;
    CU_ASSERT(machine != 0 && machine != RG_MACHINE_OTHER);
    rg_meter_close(m);
    m = open_at(root, "rapl"); /* it has none: the same machine all the same */
    CU_ASSERT_EQUAL(ask(m).meter->machine, machine);
    rg_meter_close(m);
    m = open_at(root, "other");
    CU_ASSERT_EQUAL(ask(m).meter->machine, RG_MACHINE_OTHER);
    CU_ASSERT(isnan(ask(m).total_J) && !ask(m).meter->error[0]);
    rg_meter_close(m);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"a sine in exact samples", test_sine},
        {"steps between samples, and their uncertainty", test_steps},
        {"readings that cannot be", test_lies},
        {"a file that moves", test_moving},
        {"ina2xx: which of several", test_ina_choice},
        {"ina2xx: gone, negative, absurd, garbage", test_ina_failures},
        {"ina2xx: stuck", test_ina_stuck},
        {"rapl: packages, wrapping round", test_rapl},
        {"rapl: gone, beyond its range, backwards", test_rapl_failures},
        {"no permission", test_no_permission},
        {"pmic", test_pmic},
        {"csv", test_csv},
        {"csv: what is wrong with it", test_csv_failures},
        {"csv: still being written", test_csv_late},
        {"csv: by rank 0's clock", test_csv_of_first},
        {"nodes of one machine", test_machines},
    };
    return suite_main("meters", tests, (int)RG_COUNT(tests), argc, argv);
}
