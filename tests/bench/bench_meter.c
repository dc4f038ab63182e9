/* Reading the log of a meter: a day at 1 kHz, of which a run of an hour is cut, plain and by gzip,
 * against `wc -l` and `zcat`, all in one run. Usage: bench_meter [--folder DIR] [--hours N]. The
 * log takes 2 GB there for 24 hours, and is removed. */
#include "base/clock.h"
#include "meters/meter_source.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern const struct rg_meter_source rg_meter_csv;

#define BEGIN_S 1772409600.0
enum { HZ = 1000, RUN_S = 3600 };

static double hours = 24;
static char plain[400], packed[410];

static void run(const char *command, const char *path)
{
    char line[1000];
    snprintf(line, sizeof line, command, path);
    if (system(line) != 0)
        abort();
}

static void put_log(void)
{
    FILE *f = fopen(plain, "w");
    unsigned seed = 1;
    if (!f)
        abort();
    fputs("time,watts\n", f);
    for (int64_t i = 0; i < (int64_t)(3600 * hours * HZ); i++) {
        int milliwatts = 5000 + (i / 400 % 2) * 1500 + rand_r(&seed) % 100;
        fprintf(f, "%.3f,%d.%03d\n", BEGIN_S + (double)i / HZ, milliwatts / 1000,
                milliwatts % 1000);
    }
    if (fclose(f) != 0)
        abort();
    run("gzip -1 -k -f %s", plain);
}

/* The joules of a run that ends `before_end_h` hours before the log does. */
static void cut(const char *path, double before_end_h)
{
    double end_s = BEGIN_S + 3600 * (hours - before_end_h) - 1, each;
    struct rg_clock_section span = {fmax(end_s - RUN_S, BEGIN_S + 1), end_s};
    struct rg_meter_probe probe = {.root = "", .argument = path, .stuck_s = 30};
    struct rg_integral whole = {0};
    struct rg_error e = {0};
    void *state;
    if (rg_meter_csv.open(&probe, &state, &e) != 0 ||
        rg_meter_csv.between(state, &span, 1, 0, &each, &whole, &e) != 0) {
        fprintf(stderr, "bench_meter: %s\n", e.text);
        exit(1);
    }
    rg_meter_csv.close(state);
}

/* Seconds of it in a process of its own, and its largest memory. */
static double time_cut(const char *path, double before_end_h, double *megabytes)
{
    struct rusage used;
    int status;
    double begin_s = rg_clock_s();
    pid_t pid = fork();
    if (pid == 0) {
        cut(path, before_end_h);
        _exit(0);
    }
    if (wait4(pid, &status, 0, &used) != pid || status != 0)
        exit(1);
    *megabytes = (double)used.ru_maxrss / 1024;
    return rg_clock_s() - begin_s;
}

static double time_command(const char *command, const char *path)
{
    double begin_s = rg_clock_s();
    run(command, path);
    return rg_clock_s() - begin_s;
}

static void compare(const char *path, const char *command, const char *name)
{
    static const double places_h[] = {0, 12, 23};
    for (size_t i = 0; i < sizeof places_h / sizeof *places_h; i++) {
        double ours_s = INFINITY, theirs_s = INFINITY, megabytes = 0, most = 0;
        if (places_h[i] + 1 > hours && i > 0)
            continue;
        for (int turn = 0; turn < 3; turn++) { /* the best of three, in turns */
            theirs_s = fmin(theirs_s, time_command(command, path));
            ours_s = fmin(ours_s, time_cut(path, places_h[i], &megabytes));
            most = fmax(most, megabytes);
        }
        printf("%-6s run ends %2.0f h before the log: %6.2f s, %s %6.2f s: %.2f of its speed, "
               "%.1f MB\n",
               name, places_h[i], ours_s, name, theirs_s, theirs_s / ours_s, most);
    }
}

int main(int argc, char **argv)
{
    const char *folder = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--folder") == 0)
            folder = argv[i + 1];
        else if (strcmp(argv[i], "--hours") == 0)
            hours = atof(argv[i + 1]);
    }
    snprintf(plain, sizeof plain, "%.350s/bench-meter-%d.csv", folder, (int)getpid());
    snprintf(packed, sizeof packed, "%s.gz", plain);
    put_log();
    printf("%.0f rows, %.0f seconds of a run\n", 3600 * hours * HZ, fmin(RUN_S, 3600 * hours - 2));
    compare(plain, "wc -l %s > /dev/null", "wc -l");
    compare(packed, "zcat %s > /dev/null", "zcat");
    remove(plain);
    remove(packed);
    return 0;
}
