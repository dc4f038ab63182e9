/* What two nodes of one machine can give at most: 784-512-512-10 at a global batch of 1,024, images
 * a second of one process; of two that train at the same time, each for itself; and of two of which
 * each has half of the batch, and that exchange their gradients over a bare loopback socket once
 * they are computed: halves exchanged and added, sums exchanged, with poll, as `bare` of
 * bench_net.c. There is no world, no matching, no thread but the one that computes: an all-reduce
 * over sockets that takes less than this must hide some of it behind the computation, and has no
 * core for that but those that compute. Once more over a Unix socket: what TCP costs of it.
 *
 * As in bench_ddp.py, whose bound this is, OPENBLAS_CORETYPE is taken out of the environment.
 * Processes are on cores of their own, and all take turns in one run; medians, and the medians of
 * the ratios of a turn. Beside them what the exchange takes within the iteration. */
#include "base/check.h"
#include "base/clock.h"
#include "models/blas.h"
#include "models/optimizer.h"
#include "tests/bench/bare.h"
#include "tests/bench/trainer.h"
#include <argp.h>
#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BATCH = 1024, HIDDEN = 512, NODES = 2, WARM = 5, MOST_TURNS = 100 };
static const float rate = 0.01F;

struct options {
    int turns, iterations;
};

enum kind { ONE, APART, BARE, WITHIN, KINDS };

/* Of a turn; in memory that processes share. */
struct told {
    double image_s[KINDS][NODES];    /* seconds of an iteration, over the images of this process */
    double exchange_s[KINDS][NODES]; /* of an iteration */
};

/* Two ends of a connection over loopback. */
static void connect_both(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    setsockopt(ends[0], IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0 ||
        connect(ends[0], (struct sockaddr *)&address, sizeof address) != 0 ||
        (ends[1] = accept(listener, NULL, NULL)) < 0)
        bare_broken("loopback");
    close(listener);
    for (int i = 0; i < 2; i++)
        setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

/* The same within one machine, without TCP; root may give it room for a whole message. */
static void connect_within(int ends[2])
{
    const int room = 4 << 20;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        bare_broken("socketpair");
    for (int i = 0; i < 2; i++)
        setsockopt(ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
}

/* ---- a process ---- */

static void train(enum kind kind, int rank, int fd, int iterations, struct told *told)
{
    struct trainer t;
    bool exchanges = kind == BARE || kind == WITHIN;
    int batch = exchanges ? BATCH / NODES : BATCH;
    trainer_make(&t, HIDDEN, batch);
    size_t count = t.network.parameters & ~(size_t)1;
    float *incoming = trainer_floats(t.mem, count / 2);
    double begin_s = 0, exchange_s = 0;
    for (int i = -WARM; i < iterations; i++) {
        if (i == 0) {
            begin_s = rg_clock_s();
            exchange_s = 0;
        }
        if (!exchanges) {
            trainer_train(&t, rate);
            continue;
        }
        trainer_gradient(&t, BATCH);
        double since_s = rg_clock_s();
        bare_reduce(fd, rank, count, t.dw, incoming);
        exchange_s += rg_clock_s() - since_s;
        rg_sgd(rate, t.network.parameters, t.w, t.dw);
    }
    told->image_s[kind][rank] = (rg_clock_s() - begin_s) / iterations / batch;
    told->exchange_s[kind][rank] = exchange_s / iterations;
    trainer_free(&t);
}

static void run(enum kind kind, int nodes, int iterations, struct told *told)
{
    int ends[2] = {-1, -1}, status = 0, cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    pid_t pids[NODES];
    if (kind == WITHIN)
        connect_within(ends);
    else
        connect_both(ends);
    for (int rank = 0; rank < nodes; rank++) {
        pids[rank] = fork();
        if (pids[rank] != 0)
            continue;
        cpu_set_t own;
        CPU_ZERO(&own);
        CPU_SET(rank % cores, &own);
        sched_setaffinity(0, sizeof own, &own);
        rg_blas_set_threads(1);
        train(kind, rank, ends[rank], iterations, told);
        _exit(0);
    }
    close(ends[0]);
    close(ends[1]);
    for (int rank = 0; rank < nodes; rank++)
        if (waitpid(pids[rank], &status, 0) < 0 || status != 0)
            bare_broken("a process has failed");
}

/* ---- the report ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double images_a_second(const struct told *told, enum kind kind)
{
    if (kind == ONE)
        return 1 / told->image_s[ONE][0];
    if (kind == APART)
        return 1 / told->image_s[APART][0] + 1 / told->image_s[APART][1];
    return NODES / fmax(told->image_s[kind][0], told->image_s[kind][1]);
}

static void report(const char *name, double *values, int count, const char *unit)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    printf("%-44s %9.3f (%.3f to %.3f)%s\n", name, values[count / 2], values[0], values[count - 1],
           unit);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    if (key != 't' && key != 'i')
        return ARGP_ERR_UNKNOWN;
    char *end;
    long number = strtol(arg, &end, 10);
    if (*end || number < 1 || number > (key == 't' ? MOST_TURNS : 100000))
        argp_error(state, "%s: a number from 1 is allowed", arg);
    *(key == 't' ? &options->turns : &options->iterations) = (int)number;
    return 0;
}

int main(int argc, char **argv)
{
    static const struct argp_option known[] = {
        {"turns", 't', "N", 0, "turns; the median is printed (9)", 0},
        {"iterations", 'i', "N", 0, "iterations of a turn (60)", 0},
        {0}};
    static const struct argp argp = {
        known, parse_option, NULL, "Two nodes with a bare exchange of gradients, against one.",
        NULL,  NULL,         NULL};
    struct options options = {.turns = 9, .iterations = 60};
    if (getenv("OPENBLAS_CORETYPE")) { /* has been read when the library was loaded */
        unsetenv("OPENBLAS_CORETYPE");
        execv("/proc/self/exe", argv);
    }
    rg_blas_setup(argv);
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    size_t bytes = (size_t)options.turns * sizeof(struct told);
    struct told *told =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    RG_ASSERT(told != MAP_FAILED);
    printf("OpenBLAS kernels %s, %d turns of %d iterations\n", rg_blas_kernels(), options.turns,
           options.iterations);
    fflush(stdout);
    for (int turn = 0; turn < options.turns; turn++)
        for (int kind = 0; kind < KINDS; kind++)
            run((enum kind)kind, kind == ONE ? 1 : NODES, options.iterations, &told[turn]);
    double ratio[MOST_TURNS], exchange_ms[MOST_TURNS];
    static const char *const names[KINDS] = {[APART] = "two that train apart, of one",
                                             [BARE] = "two with a bare exchange, of one",
                                             [WITHIN] = "the same over a Unix socket"};
    for (int kind = APART; kind < KINDS; kind++) {
        for (int turn = 0; turn < options.turns; turn++) {
            const struct told *of = &told[turn];
            ratio[turn] = images_a_second(of, (enum kind)kind) / images_a_second(of, ONE);
            exchange_ms[turn] = 500 * (of->exchange_s[kind][0] + of->exchange_s[kind][1]);
        }
        report(names[kind], ratio, options.turns, "");
        if (kind != APART)
            report("  exchange, additions, waiting", exchange_ms, options.turns, " ms");
    }
    munmap(told, bytes);
    return 0;
}
