/* Two nodes over loopback: the posix world beside a bare socket exchange, in the same two
 * processes, in turns, on the same amounts of data and with the same additions. Medians and their
 * ratios.
 *
 * send: a message there and one back; half of that. allreduce: rg_allreduce_run over two members;
 * bare: halves exchanged and added, sums exchanged, with poll. */
#include "collectives/collectives.h"
#include "posix/world_posix.h"
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *argp_program_version = RG_VERSION;

enum { SIZES = 3, MOST = 100000 };

static const size_t sizes[SIZES] = {4000, 400000, 4000000};

struct setup {
    int rounds;
    double seconds; /* for each line */
    double limit;
    bool failed;
    int bare; /* the bare socket */
    struct rg_world *w;
    struct rg_allreduce reduce;
    float *data, *incoming;
};

static double clock_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void broken(const char *what)
{
    fprintf(stderr, "bench_net: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- bare ---- */

static void bare_send(int fd, const char *from, size_t bytes)
{
    while (bytes) {
        ssize_t n = send(fd, from, bytes, 0);
        if (n <= 0)
            broken("bare send");
        from += n;
        bytes -= (size_t)n;
    }
}

static void bare_recv(int fd, char *to, size_t bytes)
{
    while (bytes) {
        ssize_t n = recv(fd, to, bytes, 0);
        if (n <= 0)
            broken("bare receive");
        to += n;
        bytes -= (size_t)n;
    }
}

static void bare_ping(struct setup *s, size_t bytes)
{
    if (s->w->rank == 0) {
        bare_send(s->bare, (char *)s->data, bytes);
        bare_recv(s->bare, (char *)s->incoming, bytes);
    } else {
        bare_recv(s->bare, (char *)s->incoming, bytes);
        bare_send(s->bare, (char *)s->data, bytes);
    }
}

/* Both directions at once. */
static void bare_exchange(int fd, const char *out, size_t out_bytes, char *in, size_t in_bytes)
{
    while (out_bytes || in_bytes) {
        struct pollfd look = {
            .fd = fd, .events = (short)((in_bytes ? POLLIN : 0) | (out_bytes ? POLLOUT : 0))};
        if (poll(&look, 1, -1) < 0)
            broken("poll");
        if (out_bytes && (look.revents & POLLOUT)) {
            ssize_t n = send(fd, out, out_bytes, MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN)
                broken("bare send");
            out += n > 0 ? n : 0;
            out_bytes -= n > 0 ? (size_t)n : 0;
        }
        if (in_bytes && (look.revents & (POLLIN | POLLHUP))) {
            ssize_t n = recv(fd, in, in_bytes, MSG_DONTWAIT);
            if (n == 0 || (n < 0 && errno != EAGAIN))
                broken("bare receive");
            in += n > 0 ? n : 0;
            in_bytes -= n > 0 ? (size_t)n : 0;
        }
    }
}

static void bare_reduce(struct setup *s, size_t bytes)
{
    size_t half = bytes / sizeof(float) / 2;
    float *mine = s->data + (s->w->rank ? half : 0), *theirs = s->data + (s->w->rank ? 0 : half);
    bare_exchange(s->bare, (char *)theirs, half * sizeof(float), (char *)s->incoming,
                  half * sizeof(float));
    float *restrict to = mine;
    const float *restrict from = s->incoming;
    for (size_t i = 0; i < half; i++)
        to[i] += from[i];
    bare_exchange(s->bare, (char *)mine, half * sizeof(float), (char *)theirs,
                  half * sizeof(float));
}

/* ---- the world ---- */

static void need(int result, const char *what)
{
    if (result) {
        fprintf(stderr, "bench_net: %s: %s\n", what, rg_strerror(result));
        exit(1);
    }
}

static void world_ping(struct setup *s, size_t bytes)
{
    struct rg_request in, out;
    int other = 1 - s->w->rank;
    need(rg_recv(s->w, other, RG_TAG_USER, s->incoming, bytes, &in), "receive");
    if (s->w->rank == 1)
        need(rg_wait(s->w, &in), "wait");
    need(rg_send(s->w, other, RG_TAG_USER, s->data, bytes, &out), "send");
    need(rg_wait(s->w, &in), "wait");
    need(rg_wait(s->w, &out), "wait");
}

static void world_reduce(struct setup *s, size_t bytes)
{
    need(rg_allreduce_run(&s->reduce, s->w, s->data, bytes / sizeof(float)), "all-reduce");
}

/* ---- measuring ---- */

typedef void (*exchange_fn)(struct setup *s, size_t bytes);

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static double one_turn(struct setup *s, exchange_fn exchange, size_t bytes, int count)
{
    char token = 0;
    bare_exchange(s->bare, &token, 1, &token, 1); /* both are here */
    double begin = clock_s();
    for (int i = 0; i < count; i++)
        exchange(s, bytes);
    return (clock_s() - begin) / count;
}

/* Both agree on rank 0's count. */
static int repetitions(struct setup *s, exchange_fn exchange, size_t bytes)
{
    one_turn(s, exchange, bytes, 10);
    int count = (int)(s->seconds / s->rounds / 2 / one_turn(s, exchange, bytes, 10));
    count = count < 2 ? 2 : count > MOST ? MOST : count;
    if (s->w->rank == 0)
        bare_send(s->bare, (char *)&count, sizeof count);
    else
        bare_recv(s->bare, (char *)&count, sizeof count);
    return count;
}

static void measure(struct setup *s, const char *name, exchange_fn bare, exchange_fn world,
                    double share)
{
    double *times[2] = {calloc((size_t)s->rounds, sizeof(double)),
                        calloc((size_t)s->rounds, sizeof(double))};
    for (int i = 0; i < SIZES && times[0] && times[1]; i++) {
        int count = repetitions(s, bare, sizes[i]);
        one_turn(s, world, sizes[i], 10);
        for (int r = 0; r < s->rounds; r++) {
            times[r % 2][r] = one_turn(s, r % 2 ? world : bare, sizes[i], count);
            times[1 - r % 2][r] = one_turn(s, r % 2 ? bare : world, sizes[i], count);
        }
        double plain = median(times[0], s->rounds), ours = median(times[1], s->rounds);
        bool bound = sizes[i] >= 400000;
        s->failed |= bound && ours > s->limit * plain;
        if (s->w->rank == 0)
            printf("%-10s %8zu B   bare %9.1f us   world %9.1f us   ratio %5.2f%s\n", name,
                   sizes[i], 1e6 * share * plain, 1e6 * share * ours, ours / plain,
                   bound && ours > s->limit * plain ? "   over the limit" : "");
    }
    free(times[0]);
    free(times[1]);
}

static int program(struct rg_world *w, void *arg)
{
    struct setup *s = arg;
    size_t largest = sizes[SIZES - 1];
    s->w = w;
    w->mem = rg_mem_new(RG_MEM_REAL);
    s->data = w->mem ? rg_mem_floats(w->mem, largest / sizeof(float)) : NULL;
    s->incoming = s->data ? rg_mem_floats(w->mem, largest / sizeof(float)) : NULL;
    if (!s->incoming)
        return RG_ERR_NOMEM;
    need(rg_allreduce_open(&s->reduce, w, (struct rg_group){0, 1, 2}, largest / sizeof(float),
                           RG_TAG_USER + 1),
         "all-reduce");
    measure(s, "send", bare_ping, world_ping, 0.5);
    measure(s, "allreduce", bare_reduce, world_reduce, 1);
    need(rg_allreduce_settle(&s->reduce), "all-reduce");
    rg_mem_free(w->mem);
    return 0;
}

/* ---- two processes ---- */

static int bare_socket(int rank, int listener, const struct rg_host *host)
{
    int fd, one = 1;
    if (rank == 0) {
        struct pollfd look = {.fd = listener, .events = POLLIN};
        poll(&look, 1, -1);
        fd = accept(listener, NULL, NULL);
    } else {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)atoi(host->port)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
            broken("connect");
    }
    if (fd < 0)
        broken("socket");
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    return fd;
}

static int node(struct setup *s, int rank, const int *listeners, const struct rg_hosts *hosts)
{
    struct rg_error e = {0};
    struct rg_hosts two = {.file = hosts->file, .host = hosts->host, .count = 2};
    struct rg_join join = {.rank = rank,
                           .hosts = &two,
                           .listener = listeners[rank],
                           .scenario = "bench",
                           .timeout_s = 20};
    struct rg_mesh *mesh;
    s->bare = bare_socket(rank, listeners[2], &hosts->host[2]);
    close(listeners[1 - rank]);
    if (rg_mesh_join(&join, &mesh, &e) != 0) {
        fprintf(stderr, "bench_net: %s\n", e.text);
        return 1;
    }
    int result, error = rg_mesh_run(mesh, 2, program, s, &result, &e);
    struct rg_mesh_facts facts;
    rg_mesh_facts(mesh, &facts);
    if (rank == 0)
        printf("congestion control %s, %llu segments sent again\n", facts.congestion,
               (unsigned long long)facts.retransmits);
    rg_mesh_leave(mesh);
    close(s->bare);
    return error || result ? 1 : s->failed ? 2 : 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct setup *s = state->input;
    char *end = arg;
    if (key == 'r')
        s->rounds = (int)strtol(arg, &end, 10);
    else if (key == 's')
        s->seconds = strtod(arg, &end);
    else if (key == 'l')
        s->limit = strtod(arg, &end);
    else
        return ARGP_ERR_UNKNOWN;
    if (*end || s->rounds < 1 || s->rounds > 10000 || !(s->seconds > 0) || !(s->limit > 0))
        argp_error(state, "%s: not a positive number in range", arg);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"rounds", 'r', "N", 0, "Turns of each kind; medians are over them (15)", 0},
        {"seconds", 's', "S", 0, "For each line, roughly (2)", 0},
        {"limit", 'l', "RATIO", 0, "Exit with 2 if a ratio at 400 kB or more is above (1.2)", 0},
        {0}};
    static const struct argp argp = {options,
                                     parse,
                                     NULL,
                                     "Messages and all-reduce between two processes over loopback, "
                                     "beside a bare socket exchange.",
                                     NULL,
                                     NULL,
                                     NULL};
    struct setup s = {.rounds = 15, .seconds = 2, .limit = 1.2};
    if (argp_parse(&argp, argc, argv, 0, NULL, &s) != 0)
        return 1;
    int listeners[3];
    struct rg_hosts hosts;
    struct rg_error e;
    if (rg_local_listen(3, listeners, &hosts, &e) != 0) {
        fprintf(stderr, "bench_net: %s\n", e.text);
        return 1;
    }
    pid_t child = fork();
    if (child < 0)
        broken("fork");
    int result = node(&s, child == 0 ? 1 : 0, listeners, &hosts);
    close(listeners[2]);
    rg_hosts_free(&hosts);
    if (child == 0)
        return result == 1;
    int status;
    waitpid(child, &status, 0);
    return result ? result : WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
