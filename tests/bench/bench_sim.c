/* bench_sim: what the sim world costs, by either engine, beside bare SimGrid.
 *
 * A ring (everybody sends to the next and computes meanwhile) and a star (a centre sends to all,
 * who compute and answer) run three times: as node programs in the sim world, with SimGrid's engine
 * and with the calendar, and as bare SimGrid actors that exchange messages of the same size on the
 * same platform. Each in a process of its own, turn by turn; processor times are compared within a
 * turn, and median ratios are printed.
 *
 * The ring runs twice more, in the same turns: as an MPI program under smpirun (ring_smpi.c), for
 * fewer rounds, from which the time of all is scaled; and as a plain simulation with a binary heap
 * (heap_ring.c), whose simulated time all others must agree with. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "boards/board.h"
#include "heap_ring.h"
#include "sim/world_sim.h"
#include <argp.h>
#include <math.h>
#include <simgrid/actor.h>
#include <simgrid/comm.h>
#include <simgrid/engine.h>
#include <simgrid/host.h>
#include <simgrid/mailbox.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xbt/config.h>

enum { MAX_REPEAT = 101, BARE_STACK = 256 };

#define COMPUTE_S 1e-3
#define PORT      125e6
#define LATENCY_S 94e-6 /* of the cluster's two links */

struct plan {
    bool star;
    int nodes;
    long iterations;
    size_t bytes;
    double jitter; /* spread of compute times: 0.5 is +-25 % */
    bool energy;   /* the sim world keeps an account of it */
    char platform[64];
    long smpi_rounds;
};

/* What one process measured. */
struct measure {
    double cpu_s, simulated_s, rss_kib;
};

static double seconds_of(const struct plan *plan, int rank, long i)
{
    double u = (double)(rg_mix64(rg_mix64((uint64_t)rank) + (uint64_t)i) >> 11) * 0x1p-53;
    return COMPUTE_S * (1 + plan->jitter * (u - 0.5));
}

/* ---- in the sim world ---- */

static int compute(struct rg_world *w, const struct plan *plan, long i)
{
    struct rg_cost cost = {.flops = 1e9 * seconds_of(plan, w->rank, i), .calls = 1};
    struct rg_work work = {.cost = &cost, .count = 1, .capacity = 1};
    return rg_compute(w, &work, "work", -1, NULL, NULL);
}

static int ring_node(struct rg_world *w, const struct plan *plan, char *buffer)
{
    int next = (w->rank + 1) % w->size, previous = (w->rank + w->size - 1) % w->size;
    for (long i = 0; i < plan->iterations; i++) {
        struct rg_request in, out;
        rg_recv(w, previous, RG_TAG_USER, buffer + plan->bytes, plan->bytes, &in);
        rg_send(w, next, RG_TAG_USER, buffer, plan->bytes, &out);
        int result = compute(w, plan, i);
        result = result ? result : rg_wait_all(w, (struct rg_request *[]){&in, &out}, 2);
        if (result)
            return result;
    }
    return 0;
}

static int centre_node(struct rg_world *w, const struct plan *plan, char *buffer)
{
    int n = w->size, result = 0;
    struct rg_request *r = calloc(2 * (size_t)n, sizeof *r);
    struct rg_request **all = calloc(2 * (size_t)n, sizeof(struct rg_request *));
    RG_ASSERT(r && all);
    for (int k = 2; k < 2 * n; k++)
        all[k] = &r[k];
    for (long i = 0; i < plan->iterations && result == 0; i++) {
        for (int k = 1; k < n; k++)
            rg_recv(w, k, RG_TAG_USER, buffer + plan->bytes, plan->bytes, &r[2 * k]);
        for (int k = 1; k < n; k++)
            rg_send(w, k, RG_TAG_USER, buffer, plan->bytes, &r[2 * k + 1]);
        result = rg_wait_all(w, all, 2 * n);
    }
    free(r);
    free(all);
    return result;
}

static int leaf_node(struct rg_world *w, const struct plan *plan, char *buffer)
{
    for (long i = 0; i < plan->iterations; i++) {
        struct rg_request in, out;
        rg_recv(w, 0, RG_TAG_USER, buffer + plan->bytes, plan->bytes, &in);
        int result = rg_wait(w, &in);
        result = result ? result : compute(w, plan, i);
        rg_send(w, 0, RG_TAG_USER, buffer, plan->bytes, &out);
        result = result ? result : rg_wait(w, &out);
        if (result)
            return result;
    }
    return 0;
}

static int node(struct rg_world *w, void *arg)
{
    const struct plan *plan = arg;
    w->mem = rg_mem_new(RG_MEM_VIRTUAL);
    RG_ASSERT(w->mem);
    char *buffer = rg_mem_alloc(w->mem, 2 * plan->bytes, 0);
    RG_ASSERT(buffer);
    int result = !plan->star    ? ring_node(w, plan, buffer)
                 : w->rank == 0 ? centre_node(w, plan, buffer)
                                : leaf_node(w, plan, buffer);
    rg_mem_free(w->mem);
    return result;
}

static const struct rg_board board = {.name = "bench",
                                      .cores = 4,
                                      .gemm_rate = 1e9,
                                      .gemm_rate_all = 4e9,
                                      .vector_rate = 1e9,
                                      .memory_rate = 1e18,
                                      .memory_rate_all = 1e18,
                                      .memory_bytes = 1 << 30,
                                      .port_rate = 125e6,
                                      .frame_payload = 1,
                                      .frame_bytes = 1,
                                      .port_tx_watts = 1,
                                      .port_rx_watts = 1,
                                      .clock_count = 1,
                                      .clocks = {{1e9, 2, 3, 5}}};

static void run_world(const struct plan *plan, enum rg_sim_engine engine, struct measure *m)
{
    const struct rg_board **boards = calloc((size_t)plan->nodes, sizeof *boards);
    RG_ASSERT(boards);
    for (int rank = 0; rank < plan->nodes; rank++)
        boards[rank] = &board;
    struct rg_sim_options options = {.engine = engine,
                                     .platform = plan->platform,
                                     .size = plan->nodes,
                                     .boards = plan->energy ? boards : NULL,
                                     .end_s = &m->simulated_s};
    int *results = calloc((size_t)plan->nodes, sizeof *results);
    struct rg_error error;
    RG_ASSERT(results);
    int result = rg_sim_run(&options, node, (void *)plan, results, &error);
    for (int rank = 0; rank < plan->nodes; rank++)
        result = result ? result : results[rank];
    if (result) {
        fprintf(stderr, "bench_sim: %s\n", rg_strerror(result));
        _exit(1);
    }
}

static void run_simgrid(const struct plan *plan, struct measure *m)
{
    run_world(plan, RG_SIM_SIMGRID, m);
}

static void run_calendar(const struct plan *plan, struct measure *m)
{
    run_world(plan, RG_SIM_CALENDAR, m);
}

/* ---- bare ---- */

static const struct plan *bare_plan;
static sg_mailbox_t *to_node, *to_centre;

static sg_comm_t put(sg_mailbox_t mailbox)
{
    static char nothing;
    return sg_mailbox_put_async(mailbox, &nothing, (long)bare_plan->bytes + RG_MESSAGE_HEADER);
}

static void bare_compute(int rank, long i)
{
    sg_actor_execute(1e9 * seconds_of(bare_plan, rank, i));
}

static void bare_ring(int rank)
{
    void *message;
    for (long i = 0; i < bare_plan->iterations; i++) {
        sg_comm_t in = sg_mailbox_get_async(to_node[rank], &message);
        sg_comm_t out = put(to_node[(rank + 1) % bare_plan->nodes]);
        bare_compute(rank, i);
        sg_comm_wait(in);
        sg_comm_wait(out);
    }
}

static void bare_centre(void)
{
    int n = bare_plan->nodes;
    void *message;
    sg_comm_t *in = calloc((size_t)n, sizeof(sg_comm_t)),
              *out = calloc((size_t)n, sizeof(sg_comm_t));
    RG_ASSERT(in && out);
    for (long i = 0; i < bare_plan->iterations; i++) {
        for (int k = 1; k < n; k++)
            in[k] = sg_mailbox_get_async(to_centre[k], &message);
        for (int k = 1; k < n; k++)
            out[k] = put(to_node[k]);
        for (int k = 1; k < n; k++) {
            sg_comm_wait(in[k]);
            sg_comm_wait(out[k]);
        }
    }
    free(in);
    free(out);
}

static void bare_leaf(int rank)
{
    void *message;
    for (long i = 0; i < bare_plan->iterations; i++) {
        sg_comm_wait(sg_mailbox_get_async(to_node[rank], &message));
        bare_compute(rank, i);
        sg_comm_wait(put(to_centre[rank]));
    }
}

static void bare_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    int rank = (int)(intptr_t)sg_actor_self_get_data();
    if (!bare_plan->star)
        bare_ring(rank);
    else if (rank == 0)
        bare_centre();
    else
        bare_leaf(rank);
}

static void run_bare(const struct plan *plan, struct measure *m)
{
    char name[] = "bench_sim", quiet[] = "--log=root.thresh:error";
    char *argv[] = {name, quiet, NULL};
    int argc = 2;
    bare_plan = plan;
    simgrid_init(&argc, argv);
    sg_cfg_set_string("network/model", "CM02");
    sg_cfg_set_boolean("network/crosstraffic", "no");
    simgrid_load_platform(plan->platform);
    size_t n = (size_t)plan->nodes;
    to_node = calloc(n, sizeof(sg_mailbox_t));
    to_centre = calloc(n, sizeof(sg_mailbox_t));
    RG_ASSERT(to_node && to_centre);
    for (int rank = 0; rank < plan->nodes; rank++) {
        char text[32];
        snprintf(text, sizeof text, "node-%d", rank);
        sg_actor_t actor = sg_actor_init("bare", sg_host_by_name(text));
        snprintf(text, sizeof text, "to-%d", rank);
        to_node[rank] = sg_mailbox_by_name(text);
        snprintf(text, sizeof text, "from-%d", rank);
        to_centre[rank] = sg_mailbox_by_name(text);
        sg_actor_set_stacksize(actor, BARE_STACK);
        sg_actor_set_data(actor, (void *)(intptr_t)rank);
        sg_actor_start(actor, bare_main, 0, NULL);
    }
    simgrid_run();
    m->simulated_s = simgrid_get_clock();
}

/* ---- with nothing but a heap ---- */

static double heap_compute_s(const void *arg, int rank, long round)
{
    return seconds_of(arg, rank, round);
}

static double heap_s(const struct plan *plan, long rounds, bool rendezvous)
{
    struct heap_ring ring = {.nodes = plan->nodes,
                             .rounds = rounds,
                             .wire_s = (double)(plan->bytes + RG_MESSAGE_HEADER) / PORT,
                             .latency_s = LATENCY_S,
                             .rendezvous = rendezvous,
                             .window = (int)(RG_EAGER_LIMIT / RG_MAX(plan->bytes, 1024)),
                             .compute_s = heap_compute_s,
                             .arg = plan};
    return heap_ring_run(&ring);
}

static void run_heap(const struct plan *plan, struct measure *m)
{
    m->simulated_s = heap_s(plan, plan->iterations, false);
}

/* ---- under smpirun ---- */

/* A file in memory that other processes can open by the name written to `path`. */
static FILE *open_shared(char *path, size_t room)
{
    int fd = memfd_create("bench", 0);
    RG_ASSERT(fd >= 0);
    snprintf(path, room, "/proc/%d/fd/%d", (int)getpid(), fd);
    FILE *stream = fdopen(fd, "wb");
    RG_ASSERT(stream);
    return stream;
}

/* SimGrid's costs of MPI calls are none unless asked for; every message is a rendezvous. */
static void smpi_command(const struct plan *plan, long rounds, const char *hosts, const char *times,
                         char *command, size_t room)
{
    snprintf(command, room,
             "'%s' -np %d -platform /proc/%d/fd/%s -hostfile %s --log=root.thresh:error "
             "--cfg=network/model:CM02 --cfg=network/latency-factor:1 "
             "--cfg=network/bandwidth-factor:1 --cfg=network/crosstraffic:no "
             "--cfg=surf/precision:1e-9 --cfg=smpi/wtime:0 "
             "--cfg=smpi/simulate-computation:no --cfg=smpi/async-small-thresh:0 "
             "--cfg=smpi/send-is-detached-thresh:0 '%s' %s %zu %ld",
             RG_SMPIRUN, plan->nodes, (int)getpid(), strrchr(plan->platform, '/') + 1, hosts,
             RG_RING_SMPI, times, plan->bytes + RG_MESSAGE_HEADER, rounds);
}

static double children_cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Processor seconds of smpirun and all it starts for so many rounds. */
static double smpi_cpu_s(const struct plan *plan, long rounds, double *simulated_s)
{
    char hosts[64], times[64], command[2000];
    FILE *host_file = open_shared(hosts, sizeof hosts);
    FILE *time_file = open_shared(times, sizeof times);
    for (int rank = 0; rank < plan->nodes; rank++) {
        fprintf(host_file, "node-%d\n", rank);
        for (long i = 0; i < rounds; i++) {
            double seconds = seconds_of(plan, rank, i);
            RG_ASSERT(fwrite(&seconds, sizeof seconds, 1, time_file) == 1);
        }
    }
    RG_ASSERT(fflush(host_file) == 0 && fflush(time_file) == 0);
    smpi_command(plan, rounds, hosts, times, command, sizeof command);
    double begin = children_cpu_s();
    FILE *output = popen(command, "r");
    RG_ASSERT(output);
    int numbers = fscanf(output, "%lf", simulated_s);
    int status = pclose(output);
    fclose(host_file);
    fclose(time_file);
    if (status != 0 || numbers != 1) {
        fprintf(stderr, "bench_sim: smpirun ended with status %d: %s\n", status, command);
        exit(1);
    }
    return children_cpu_s() - begin;
}

/* ---- comparing ---- */

/* All simulations of a ring mean the same ring. */
static void must_agree(const char *what, double simulated_s, double heap, double tolerance)
{
    if (fabs(simulated_s - heap) <= tolerance * heap)
        return;
    fprintf(stderr, "bench_sim: %s simulates %.9g s, the plain simulation %.9g s\n", what,
            simulated_s, heap);
    exit(1);
}

static struct measure run_apart(const struct plan *plan,
                                void (*run)(const struct plan *, struct measure *))
{
    struct measure *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    RG_ASSERT(shared != MAP_FAILED);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct rusage usage;
        double begin = rg_clock_process_s();
        run(plan, shared);
        shared->cpu_s = rg_clock_process_s() - begin;
        getrusage(RUSAGE_SELF, &usage);
        shared->rss_kib = (double)usage.ru_maxrss;
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (status != 0)
        exit(1);
    struct measure m = *shared;
    munmap(shared, sizeof *shared);
    return m;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return values[n / 2];
}

/* A gigabit cluster in memory that SimGrid can open as a file. */
static void make_platform(struct plan *plan)
{
    int fd = memfd_create("platform", 0);
    RG_ASSERT(fd >= 0);
    dprintf(fd,
            "<?xml version='1.0'?>\n"
            "<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
            "<platform version=\"4.1\"><cluster id=\"bench\" prefix=\"node-\" suffix=\"\" "
            "radical=\"0-%d\" speed=\"1Gf\" core=\"4\" bw=\"125MBps\" lat=\"47us\" "
            "sharing_policy=\"SPLITDUPLEX\">"
            "<prop id=\"wattage_per_state\" value=\"2:3:5\"/></cluster></platform>\n",
            plan->nodes - 1);
    snprintf(plan->platform, sizeof plan->platform, "/proc/self/fd/%d", fd);
}

enum { BARE, SIMGRID, CALENDAR, KINDS };

/* Of each kind's processor seconds over those of another simulation. */
static void tell_ratios(const char *other, double seconds, const double *cpu)
{
    static const char *const names[KINDS] = {"bare", "simgrid", "calendar"};
    for (int kind = 0; kind < KINDS; kind++)
        printf("%s %s/%s %.3g", kind ? "," : ":", names[kind], other, cpu[kind] / seconds);
    printf("\n");
}

/* The other two simulations of a ring that took so many processor seconds. */
static void compare_others(const struct plan *plan, const double *cpu, int repeat)
{
    double heap[MAX_REPEAT], count = (double)plan->nodes * (double)plan->iterations;
    for (int i = 0; i < repeat; i++)
        heap[i] = run_apart(plan, run_heap).cpu_s;
    double plain = median(heap, repeat);
    printf("      heap %.3f us/m", 1e6 * plain / count);
    tell_ratios("heap", plain, cpu);
    if (RG_SMPIRUN[0] == '\0') {
        printf("      smpi skipped: smpicc and smpirun (libsimgrid-dev) were not found\n");
        return;
    }
    /* One round costs the start of all ranks; the rest goes on at the rate of the further rounds.
     */
    double simulated_s, few[MAX_REPEAT], all[MAX_REPEAT];
    long rounds = RG_MAX(RG_MIN(plan->smpi_rounds, plan->iterations), 2);
    for (int i = 0; i < repeat; i++) {
        few[i] = smpi_cpu_s(plan, 1, &simulated_s);
        all[i] = smpi_cpu_s(plan, rounds, &simulated_s);
    }
    /* Where ranks are not in step, its rounds take some 26 ns longer than SimGrid's own. */
    must_agree("the MPI program", simulated_s, heap_s(plan, rounds, true), 1e-4);
    double start = median(few, repeat),
           round = (median(all, repeat) - start) / (double)(rounds - 1);
    double smpi = start + round * (double)(plan->iterations - 1);
    printf("      smpi %.2f us/m, start %.2f s, scaled to %ld rounds from %ld",
           1e6 * round / plan->nodes, start, plan->iterations, rounds);
    tell_ratios("smpi", smpi, cpu);
}

static void compare(struct plan plan, long messages, int repeat)
{
    static void (*const run[KINDS])(const struct plan *, struct measure *) = {run_bare, run_simgrid,
                                                                              run_calendar};
    double cpu[KINDS][MAX_REPEAT], over_bare[MAX_REPEAT], over_simgrid[MAX_REPEAT];
    double middle[KINDS], rss[KINDS] = {0}, simulated[KINDS] = {0};
    long round = plan.star ? 2L * (plan.nodes - 1) : plan.nodes;
    plan.iterations = plan.iterations > 0 ? plan.iterations : RG_MAX(messages / round, 1);
    make_platform(&plan);
    for (int i = 0; i < repeat; i++) {
        for (int kind = 0; kind < KINDS; kind++) {
            struct measure m = run_apart(&plan, run[kind]);
            cpu[kind][i] = m.cpu_s;
            rss[kind] = fmax(rss[kind], m.rss_kib);
            simulated[kind] = m.simulated_s;
        }
        over_bare[i] = cpu[CALENDAR][i] / cpu[BARE][i];
        over_simgrid[i] = cpu[CALENDAR][i] / cpu[SIMGRID][i];
    }
    double count = (double)round * (double)plan.iterations;
    printf("%-5s %5d %8ld %7.2f", plan.star ? "star" : "ring", plan.nodes, plan.iterations,
           plan.jitter);
    for (int kind = 0; kind < KINDS; kind++) {
        middle[kind] = median(cpu[kind], repeat);
        printf(" %9.3f", 1e6 * middle[kind] / count);
    }
    printf(" %10.4f %10.4f %9.1f %9.1f %12.6g\n", median(over_simgrid, repeat),
           median(over_bare, repeat), (rss[SIMGRID] - rss[BARE]) / plan.nodes,
           (rss[CALENDAR] - rss[BARE]) / plan.nodes, simulated[CALENDAR]);
    must_agree("SimGrid's engine", simulated[SIMGRID], simulated[CALENDAR], 1e-9);
    if (plan.star || plan.nodes < 3)
        return;
    must_agree("the bare ring", simulated[BARE], heap_s(&plan, plan.iterations, true), 1e-6);
    must_agree("the sim world", simulated[CALENDAR], heap_s(&plan, plan.iterations, false), 1e-6);
    compare_others(&plan, middle, repeat);
}

struct arguments {
    struct plan plan;
    const char *pattern, *nodes;
    long messages;
    int repeat;
};

static const struct argp_option options[] = {
    {"pattern", 'p', "ring|star", 0, "Only this one", 0},
    {"nodes", 'n', "LIST", 0, "Numbers of nodes (default 64,256,1024)", 0},
    {"messages", 'm', "N", 0, "About so many messages a run (default 200000)", 0},
    {"iterations", 'i', "N", 0, "Rounds a run, instead of --messages", 0},
    {"bytes", 'b', "N", 0, "Payload of a message (default 100000)", 0},
    {"jitter", 'j', "SHARE", 0, "Spread of the compute times (default 0; 0.5 is 50 %)", 0},
    {"energy", 'e', NULL, 0, "With the sim world's account of energy", 0},
    {"smpi-rounds", 's', "N", 0, "Rounds of the ring under smpirun (default 20), then scaled", 0},
    {"repeat", 'r', "N", 0, "Runs of each (default 5); medians are printed", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case 'p':
        if (strcmp(arg, "ring") != 0 && strcmp(arg, "star") != 0)
            argp_error(state, "--pattern %s: ring or star", arg);
        a->pattern = arg;
        return 0;
    case 'n':
        a->nodes = arg;
        return 0;
    case 'm':
        a->messages = atol(arg);
        return 0;
    case 'i':
        a->plan.iterations = atol(arg);
        return 0;
    case 'b':
        a->plan.bytes = (size_t)atol(arg);
        return 0;
    case 'j':
        a->plan.jitter = atof(arg);
        return 0;
    case 'e':
        a->plan.energy = true;
        return 0;
    case 's':
        a->plan.smpi_rounds = atol(arg);
        return 0;
    case 'r':
        a->repeat = atoi(arg);
        if (a->repeat < 1 || a->repeat > MAX_REPEAT)
            argp_error(state, "--repeat %s: 1 to %d", arg, MAX_REPEAT);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    struct arguments a = {.plan = {.bytes = 100000, .smpi_rounds = 20},
                          .pattern = "",
                          .nodes = "64,256,1024",
                          .messages = 200000,
                          .repeat = 5};
    const struct argp argp = {options,
                              parse,
                              NULL,
                              "Time and memory of the sim world, by both engines, beside bare "
                              "SimGrid actors with the same "
                              "messages; KiB a node more than these.",
                              NULL,
                              NULL,
                              NULL};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%-5s %5s %8s %7s %9s %9s %9s %10s %10s %9s %9s %12s\n", "us/m", "nodes", "rounds",
           "jitter", "bare", "simgrid", "calendar", "cal/simgrid", "cal/bare", "KiB/node",
           "KiB/node", "simulated s");
    for (int star = 0; star < 2; star++) {
        if (a.pattern[0] && strcmp(a.pattern, star ? "star" : "ring") != 0)
            continue;
        for (const char *at = a.nodes; *at;) {
            char *end;
            struct plan plan = a.plan;
            plan.star = star;
            plan.nodes = (int)strtol(at, &end, 10);
            if (end == at || plan.nodes < 2) {
                fprintf(stderr, "bench_sim: --nodes %s: numbers from 2, separated by commas\n",
                        a.nodes);
                return 2;
            }
            compare(plan, a.messages, a.repeat);
            at = *end == ',' ? end + 1 : end;
        }
    }
    return 0;
}
