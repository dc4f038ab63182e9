/* Two nodes over loopback: the posix world beside a bare socket exchange, in the same two
 * processes, in turns, on the same amounts of data and with the same additions. Medians and their
 * ratios.
 *
 * send: a message there and one back; half of that. allreduce: rg_allreduce_run over two members,
 * round a ring; bare: halves exchanged and added, sums exchanged, with poll. doubling: the same by
 * recursive doubling, all numbers exchanged once and added; bare: so, too.
 *
 * --key: the world with a key beside the world without, in the same way. Over loopback the wire
 * costs next to nothing, so this is the most that TLS can cost. Then what one core needs for a byte
 * at each end, processor time alone, and what TLS adds to the bytes: the numbers by which the
 * datasheet of a board (rg_byte_s, rg_frame_payload) tells the simulator of it. */
#include "collectives/collectives.h"
#include "posix/world_posix.h"

#include "base/clock.h"
#include "tests/bench/bare.h"
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
    enum rg_cipher cipher;
    bool with_key;
    struct rg_key key;                              /* of a benchmark, and no secret */
    struct rg_mesh *plain, *keyed;                  /* keyed: with_key */
    struct rg_world *w, *w_plain;                   /* w: with_key ? of keyed : of plain */
    struct rg_allreduce reduce[2], reduce_plain[2]; /* round a ring, and by doubling */
    float *data, *incoming;
};

/* ---- bare ---- */

static void bare_send(int fd, const char *from, size_t bytes)
{
    while (bytes) {
        ssize_t n = send(fd, from, bytes, 0);
        if (n <= 0)
            bare_broken("bare send");
        from += n;
        bytes -= (size_t)n;
    }
}

static void bare_recv(int fd, char *to, size_t bytes)
{
    while (bytes) {
        ssize_t n = recv(fd, to, bytes, 0);
        if (n <= 0)
            bare_broken("bare receive");
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
static void reduce_bare(struct setup *s, size_t bytes)
{
    bare_reduce(s->bare, s->w->rank, bytes / sizeof(float), s->data, s->incoming);
}

static void bare_double(struct setup *s, size_t bytes)
{
    size_t count = bytes / sizeof(float);
    bare_exchange(s->bare, (char *)s->data, bytes, (char *)s->incoming, bytes);
    float *restrict to = s->data;
    const float *restrict from = s->incoming;
    for (size_t i = 0; i < count; i++)
        to[i] += from[i];
}

/* ---- the world ---- */

static void need(int result, const char *what)
{
    if (result) {
        fprintf(stderr, "bench_net: %s: %s\n", what, rg_strerror(result));
        exit(1);
    }
}

static void ping_in(struct rg_world *w, struct setup *s, size_t bytes)
{
    struct rg_request in, out;
    int other = 1 - w->rank;
    need(rg_recv(w, other, RG_TAG_USER, s->incoming, bytes, &in), "receive");
    if (w->rank == 1)
        need(rg_wait(w, &in), "wait");
    need(rg_send(w, other, RG_TAG_USER, s->data, bytes, &out), "send");
    need(rg_wait(w, &in), "wait");
    need(rg_wait(w, &out), "wait");
}

static void world_ping(struct setup *s, size_t bytes)
{
    ping_in(s->w, s, bytes);
}

static void plain_ping(struct setup *s, size_t bytes)
{
    ping_in(s->w_plain, s, bytes);
}

static void reduce_by(struct rg_allreduce *reduce, struct rg_world *w, struct setup *s,
                      size_t bytes)
{
    need(rg_allreduce_run(reduce, w, s->data, bytes / sizeof(float)), "all-reduce");
}

static void plain_reduce(struct setup *s, size_t bytes)
{
    reduce_by(&s->reduce_plain[0], s->w_plain, s, bytes);
}

static void world_reduce(struct setup *s, size_t bytes)
{
    reduce_by(&s->reduce[0], s->w, s, bytes);
}

static void plain_double(struct setup *s, size_t bytes)
{
    reduce_by(&s->reduce_plain[1], s->w_plain, s, bytes);
}

static void world_double(struct setup *s, size_t bytes)
{
    reduce_by(&s->reduce[1], s->w, s, bytes);
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
    double begin = rg_clock_s();
    for (int i = 0; i < count; i++)
        exchange(s, bytes);
    return (rg_clock_s() - begin) / count;
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

static void report(struct setup *s, const char *name, size_t bytes, double share, double base,
                   double ours, size_t most)
{
    bool held = !s->with_key && bytes >= 400000 && bytes <= most;
    bool over = held && ours > s->limit * base;
    s->failed |= over;
    if (s->w->rank != 0)
        return;
    printf("%-10s %8zu B   %s %9.1f us   %s %9.1f us   ratio %5.2f%s\n", name, bytes,
           s->with_key ? "no key" : "bare", 1e6 * share * base, s->with_key ? "key" : "world",
           1e6 * share * ours, ours / base, over ? "   over the limit" : "");
}

/* Held against the limit up to `most` bytes. */
static void measure(struct setup *s, const char *name, exchange_fn bare, exchange_fn world,
                    double share, size_t most)
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
        report(s, name, sizes[i], share, median(times[0], s->rounds), median(times[1], s->rounds),
               most);
    }
    free(times[0]);
    free(times[1]);
}

static void open_reduce(struct rg_allreduce reduce[2], struct rg_world *w)
{
    for (int i = 0; i < 2; i++)
        need(rg_allreduce_open(&reduce[i], w, (struct rg_group){0, 1, 2},
                               (struct rg_algorithm){i ? RG_DOUBLING : RG_RING, 0},
                               sizes[SIZES - 1] / sizeof(float), RG_TAG_USER + 1 + (uint32_t)i),
             "all-reduce");
}

static void settle(struct rg_allreduce reduce[2])
{
    for (int i = 0; i < 2; i++)
        need(rg_allreduce_settle(&reduce[i]), "all-reduce");
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
    open_reduce(s->reduce, w);
    measure(s, "send", s->with_key ? plain_ping : bare_ping, world_ping, 0.5, largest);
    measure(s, "allreduce", s->with_key ? plain_reduce : reduce_bare, world_reduce, 1, largest);
    /* What is longer goes round a ring: doubling sends all numbers from a copy. */
    measure(s, "doubling", s->with_key ? plain_double : bare_double, world_double, 1, sizes[1]);
    settle(s->reduce);
    rg_mem_free(w->mem);
    return 0;
}

/* In the plain world, about the one with a key: a program of the one runs inside the other's. */
static int compare_worlds(struct rg_world *w, void *arg)
{
    struct setup *s = arg;
    struct rg_error e = {0};
    int result = 0;
    s->w_plain = w;
    w->mem = rg_mem_new(RG_MEM_REAL);
    if (!w->mem)
        return RG_ERR_NOMEM;
    open_reduce(s->reduce_plain, w);
    int error = rg_mesh_run(s->keyed, 2, program, s, &result, &e);
    settle(s->reduce_plain);
    rg_mem_free(w->mem);
    return error ? error : result;
}

/* ---- what TLS costs a core ---- */

/* Two ends of a connection in one thread; secure[i] is NULL without a key. */
struct ends {
    int fd[2];
    struct rg_secure *secure[2];
};

/* Processor seconds a byte of sending (spent[0]) and receiving (spent[1]), `total` bytes long. */
static void move(const struct ends *ends, size_t total, double spent[2])
{
    enum { PIECE = 128 << 10 };
    static char out[PIECE], in[PIECE];
    double begin, middle;
    spent[0] = spent[1] = 0;
    for (size_t sent = 0, got = 0; got < total;) {
        struct iovec from = {out, PIECE}, to = {in, PIECE};
        begin = rg_clock_thread_s();
        ssize_t n = ends->secure[0] ? rg_secure_send(ends->secure[0], &from, 1)
                                    : send(ends->fd[0], out, PIECE, MSG_DONTWAIT | MSG_NOSIGNAL);
        middle = rg_clock_thread_s();
        if (n < 0 && errno != EAGAIN)
            bare_broken("send");
        sent += n > 0 ? (size_t)n : 0;
        while (got < sent) {
            n = ends->secure[1] ? rg_secure_recv(ends->secure[1], &to, 1)
                                : recv(ends->fd[1], in, PIECE, MSG_DONTWAIT);
            if (n <= 0)
                break;
            got += (size_t)n;
        }
        if (n <= 0 && errno != EAGAIN)
            bare_broken("receive");
        spent[0] += (middle - begin) / (double)total;
        spent[1] += (rg_clock_thread_s() - middle) / (double)total;
    }
}

static void shake(struct ends *ends, const struct rg_key *key, enum rg_cipher cipher)
{
    struct rg_guard *guard;
    struct rg_error e = {0};
    int state[2] = {0, 0};
    if (rg_secure_open(key, cipher, &guard, &e) != 0) {
        fprintf(stderr, "bench_net: %s\n", e.text);
        exit(1);
    }
    for (int i = 0; i < 2; i++)
        ends->secure[i] = rg_secure_new(guard, ends->fd[i], i == 0);
    for (int k = 0; k < 20 && ends->secure[0] && ends->secure[1]; k++)
        if (state[k % 2] == 0)
            state[k % 2] = rg_secure_shake(ends->secure[k % 2]);
    if (state[0] != 1 || state[1] != 1)
        bare_broken("handshake");
    rg_secure_read_ahead(ends->secure[1]);
    rg_secure_close(guard);
}

static void cost_of_cipher(const struct setup *s, const struct rg_key *key, enum rg_cipher cipher)
{
    enum { BYTES = 16 << 20 };
    struct ends plain = {.secure = {NULL, NULL}}, keyed;
    double *more[2] = {calloc((size_t)s->rounds, sizeof(double)),
                       calloc((size_t)s->rounds, sizeof(double))};
    if (!more[0] || !more[1] ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, plain.fd) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, keyed.fd) != 0)
        bare_broken("socketpair");
    shake(&keyed, key, cipher);
    uint64_t before = rg_secure_wire_sent(keyed.secure[0]);
    for (int r = 0; r < s->rounds; r++) {
        double without[2], with[2];
        move(&plain, BYTES, without);
        move(&keyed, BYTES, with);
        for (int i = 0; i < 2; i++)
            more[i][r] = with[i] - without[i];
    }
    double wire = (double)(rg_secure_wire_sent(keyed.secure[0]) - before) / s->rounds;
    printf("%-30s a core's time for a byte: %.3f ns more to send it, %.3f ns to receive it; "
           "bytes x %.5f\n",
           rg_secure_cipher(keyed.secure[0]), 1e9 * median(more[0], s->rounds),
           1e9 * median(more[1], s->rounds), wire / BYTES);
    for (int i = 0; i < 2; i++) {
        rg_secure_free(keyed.secure[i]);
        close(keyed.fd[i]);
        close(plain.fd[i]);
        free(more[i]);
    }
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
            bare_broken("connect");
    }
    if (fd < 0)
        bare_broken("socket");
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    return fd;
}

static struct rg_mesh *join(const struct setup *s, int rank, int listener,
                            const struct rg_hosts *hosts, const struct rg_key *key)
{
    struct rg_error e = {0};
    struct rg_mesh *mesh;
    struct rg_join options = {.rank = rank,
                              .hosts = hosts,
                              .listener = listener,
                              .scenario = "bench",
                              .key = key,
                              .cipher = s->cipher,
                              .timeout_s = 20};
    if (rg_mesh_join(&options, &mesh, &e) == 0)
        return mesh;
    fprintf(stderr, "bench_net: %s\n", e.text);
    exit(1);
}

/* Listeners 0 and 1 are for the plain world, 2 and 3 for that with a key, 4 for the bare socket. */
static int node(struct setup *s, int rank, const int *listeners, const struct rg_hosts *hosts)
{
    struct rg_error e = {0};
    struct rg_mesh_facts facts, keyed = {.cipher = ""};
    struct rg_hosts two = {.file = hosts->file, .host = hosts->host, .count = 2}, others = two;
    others.host += 2;
    s->bare = bare_socket(rank, listeners[4], &hosts->host[4]);
    close(listeners[1 - rank]);
    close(listeners[3 - rank]);
    s->plain = join(s, rank, listeners[rank], &two, NULL);
    if (s->with_key)
        s->keyed = join(s, rank, listeners[2 + rank], &others, &s->key);
    int result,
        error = rg_mesh_run(s->plain, 2, s->with_key ? compare_worlds : program, s, &result, &e);
    rg_mesh_facts(s->plain, &facts);
    if (s->with_key)
        rg_mesh_facts(s->keyed, &keyed);
    if (rank == 0)
        printf("congestion control %s, %llu segments sent again%s%s\n", facts.congestion,
               (unsigned long long)(facts.retransmits + (s->with_key ? keyed.retransmits : 0)),
               s->with_key ? ", key: " : "", keyed.cipher);
    rg_mesh_leave(s->keyed);
    rg_mesh_leave(s->plain);
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
    else if (key == 'k' && (!arg || !strcmp(arg, "aes") || !strcmp(arg, "chacha"))) {
        s->with_key = true;
        s->cipher = !arg ? RG_CIPHER_FIT : *arg == 'a' ? RG_CIPHER_AES : RG_CIPHER_CHACHA;
        return 0;
    } else
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
        {"key", 'k', "CIPHER", OPTION_ARG_OPTIONAL,
         "The world with a key beside that without; CIPHER: aes or chacha (what fits)", 0},
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
    int listeners[5];
    struct rg_hosts hosts;
    struct rg_error e;
    if (rg_local_listen(5, listeners, &hosts, &e) != 0) {
        fprintf(stderr, "bench_net: %s\n", e.text);
        return 1;
    }
    pid_t child = fork();
    if (child < 0)
        bare_broken("fork");
    int result = node(&s, child == 0 ? 1 : 0, listeners, &hosts);
    close(listeners[4]);
    rg_hosts_free(&hosts);
    if (child == 0)
        return result == 1;
    int status;
    waitpid(child, &status, 0);
    for (enum rg_cipher c = RG_CIPHER_AES; s.with_key && c <= RG_CIPHER_CHACHA; c++)
        cost_of_cipher(&s, &s.key, c);
    return result ? result : WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
