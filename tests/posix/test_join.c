/* Hosts files, and the handshake: who is let in, who is refused and why, and what strangers on the
 * port can do (nothing). */
#include "base/check.h"
#include "posix/wire.h"
#include "posix/world_posix.h"
#include "tests/support/suite.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- hosts files ---- */

static int load(const char *text, struct rg_hosts *hosts, struct rg_error *e)
{
    static const char file[] = "test_join_hosts.txt";
    FILE *stream = fopen(file, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    fputs(text, stream);
    fclose(stream);
    int result = rg_hosts_load(file, hosts, e);
    unlink(file);
    return result;
}

static void test_hosts(void)
{
    struct rg_hosts hosts;
    struct rg_error e;
    CU_ASSERT_EQUAL_FATAL(load("# boards\n"
                               "pi-0\n"
                               "  pi-1:9000   # the second\n"
                               "\n"
                               "[fd00::7]:9001\r\n"
                               "fd00::8\n"
                               "[fd00::9]\n"
                               "10.0.0.3:1",
                               &hosts, &e),
                          0);
    static const char *const expected[] = {"pi-0:7470",      "pi-1:9000",      "[fd00::7]:9001",
                                           "[fd00::8]:7470", "[fd00::9]:7470", "10.0.0.3:1"};
    CU_ASSERT_EQUAL_FATAL(hosts.count, RG_COUNT(expected));
    for (int i = 0; i < hosts.count; i++) {
        char text[RG_HOST_TEXT];
        rg_host_text(&hosts.host[i], text);
        CU_ASSERT_STRING_EQUAL(text, expected[i]);
    }
    CU_ASSERT_EQUAL(hosts.host[2].line, 5);
    rg_hosts_free(&hosts);
    CU_ASSERT_EQUAL_FATAL(load("\xef\xbb\xbfpi-0\npi-1\n", &hosts, &e), 0); /* a byte-order mark */
    CU_ASSERT_STRING_EQUAL(hosts.host[0].name, "pi-0");
    rg_hosts_free(&hosts);
}

static void test_bad_hosts(void)
{
    static const char *const bad[] = {"a\nb:\n",     "a\nb:0\n",   "a\nb:65536\n", "a\nb:12x\n",
                                      "a\nb c\n",    "a\n[::1\n",  "a\n[::1]x\n",  "a\n:80\n",
                                      "a\na:7470\n", "a\n[]:80\n", "a\nb:-1\n",    "a\nb: 80\n",
                                      "a\n[::1]:\n"};
    struct rg_hosts hosts;
    struct rg_error e;
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        int result = load(bad[i], &hosts, &e);
        CU_ASSERT_EQUAL(result, RG_ERR_INVALID);
        if (result == 0 || strncmp(e.text, "test_join_hosts.txt:2: ", 23) != 0)
            printf("  %s: %s\n", bad[i], e.text);
        CU_ASSERT_EQUAL(strncmp(e.text, "test_join_hosts.txt:2: ", 23), 0);
    }
    CU_ASSERT_EQUAL(load("# nobody\n", &hosts, &e), RG_ERR_INVALID);
    CU_ASSERT_EQUAL(rg_hosts_load("/nonexistent/hosts", &hosts, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "/nonexistent/hosts: "));
}

/* ---- ranks as processes ---- */

struct said {
    int code;
    char text[480];
};

struct member {
    int rank, listener; /* listener -1: as its hosts say */
    const struct rg_hosts *hosts;
    const char *scenario, *version;
    uint64_t nonce;
    double timeout_s;
    const struct rg_key *key;
    enum rg_cipher cipher;
    bool insecure;
    bool talks; /* goes on sending to the next rank until it cannot */
    pid_t pid;
};

static int answer_all(struct rg_world *w, void *arg)
{
    (void)arg;
    return rg_barrier(w);
}

static int talk_on(struct rg_world *w, void *arg)
{
    enum { BYTES = 100000 };
    char *buffers = calloc(2, BYTES);
    int next = (w->rank + 1) % w->size, previous = (w->rank + w->size - 1) % w->size;
    int result = buffers ? 0 : RG_ERR_NOMEM;
    (void)arg;
    for (int i = 0; i < 2000 && result == 0; i++)
        result =
            rg_sendrecv(w, next, buffers, BYTES, previous, buffers + BYTES, BYTES, RG_TAG_USER);
    free(buffers);
    return result;
}

static struct said *said; /* by member, shared */
static volatile int stop;
static struct rg_mesh *volatile mesh_to_stop;

/* As ringnode does it. */
static void on_term(int number)
{
    (void)number;
    stop = 1;
    if (mesh_to_stop)
        rg_mesh_interrupt(mesh_to_stop);
}

static void start_member(struct member *m, int index)
{
    fflush(NULL);
    m->pid = fork();
    if (m->pid != 0)
        return;
    struct rg_error e = {0};
    struct rg_join join = {.rank = m->rank,
                           .hosts = m->hosts,
                           .listener = m->listener,
                           .scenario = m->scenario ? m->scenario : "digest",
                           .version = m->version,
                           .nonce = m->nonce,
                           .timeout_s = m->timeout_s > 0 ? m->timeout_s : 20,
                           .key = m->key,
                           .cipher = m->cipher,
                           .insecure = m->insecure,
                           .quiet = true,
                           .stop = &stop};
    struct rg_mesh *mesh;
    signal(SIGTERM, on_term);
    int result = 0, code = rg_mesh_join(&join, &mesh, &e);
    mesh_to_stop = mesh;
    if (code == 0)
        code = rg_mesh_run(mesh, rg_mesh_size(mesh), m->talks ? talk_on : answer_all, NULL, &result,
                           &e);
    struct rg_mesh_lost lost;
    mesh_to_stop = NULL;
    if (code == 0 && rg_mesh_lost(mesh, &lost))
        rg_fail(&e, lost.code, "%s", lost.text);
    said[index].code = code ? code : result;
    snprintf(said[index].text, sizeof said[index].text, "%s", e.text);
    rg_mesh_leave(mesh);
    _exit(0);
}

static void wait_member(struct member *m)
{
    for (int i = 0; i < 3000; i++) {
        if (waitpid(m->pid, NULL, WNOHANG) == m->pid)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    kill(m->pid, SIGKILL);
    waitpid(m->pid, NULL, 0);
    CU_FAIL("a rank hangs");
}

enum { RANKS = 3 };

struct trio {
    struct rg_hosts hosts;
    int listeners[RANKS];
    struct member members[RANKS];
};

static void open_trio(struct trio *t)
{
    struct rg_error e;
    CU_ASSERT_EQUAL_FATAL(rg_local_listen(RANKS, t->listeners, &t->hosts, &e), 0);
    for (int r = 0; r < RANKS; r++) {
        fcntl(t->listeners[r], F_SETFD, FD_CLOEXEC);
        t->members[r] = (struct member){.rank = r, .listener = t->listeners[r], .hosts = &t->hosts};
    }
    memset(said, 0, 16 * sizeof *said);
}

static void close_listeners(struct trio *t)
{
    for (int r = 0; r < RANKS; r++)
        if (t->listeners[r] >= 0)
            close(t->listeners[r]);
}

static void run_trio(struct trio *t)
{
    for (int r = 0; r < RANKS; r++)
        start_member(&t->members[r], r);
    close_listeners(t);
    for (int r = 0; r < RANKS; r++)
        wait_member(&t->members[r]);
    rg_hosts_free(&t->hosts);
}

static void expect(int index, int code, const char *part)
{
    if (said[index].code != code || !strstr(said[index].text, part))
        printf("  member %d: %s: %s\n", index, rg_strerror(said[index].code), said[index].text);
    CU_ASSERT_EQUAL(said[index].code, code);
    CU_ASSERT_PTR_NOT_NULL(strstr(said[index].text, part));
}

/* The last rank comes, and all have joined. */
static void complete_trio(struct trio *t, int last)
{
    start_member(&t->members[last], last);
    close_listeners(t);
    for (int r = 0; r < RANKS; r++) {
        wait_member(&t->members[r]);
        expect(r, 0, "");
    }
}

static void test_join(void)
{
    struct trio t;
    open_trio(&t);
    run_trio(&t);
    for (int r = 0; r < RANKS; r++)
        expect(r, 0, "");
}

static void test_version(void)
{
    struct trio t;
    open_trio(&t);
    t.members[2].version = "9.8.7";
    run_trio(&t);
    expect(0, RG_ERR_REFUSED, "rank 2 at 127.0.0.1");
    char wanted[80];
    snprintf(wanted, sizeof wanted, "runs version 9.8.7 (protocol %u), rank 0 runs " RG_VERSION,
             RG_WIRE_PROTOCOL);
    expect(0, RG_ERR_REFUSED, wanted);
    expect(1, RG_ERR_REFUSED, "runs version 9.8.7");
    expect(2, RG_ERR_REFUSED, "runs version "); /* who refuses it first is left open */
}

static void test_scenario(void)
{
    struct trio t;
    open_trio(&t);
    t.members[1].scenario = "feedbeef";
    run_trio(&t);
    expect(0, RG_ERR_REFUSED, "has another scenario (feedbeef...) than rank 0 (digest...)");
    expect(1, RG_ERR_REFUSED, "has another scenario ("); /* who says so first is left open */
    expect(2, RG_ERR_REFUSED, "scenario");
}

static void test_wrong_rank(void)
{
    struct trio t;
    open_trio(&t);
    struct rg_hosts swapped = t.hosts; /* its list has ranks 0 and 1 in the other order */
    struct rg_host host[RANKS] = {t.hosts.host[1], t.hosts.host[0], t.hosts.host[2]};
    swapped.host = host;
    t.members[2].hosts = &swapped;
    run_trio(&t);
    expect(2, RG_ERR_REFUSED, "takes this for rank 0, but it is rank 1: the lists of hosts differ");
    CU_ASSERT_EQUAL(said[0].code, RG_ERR_REFUSED);
    CU_ASSERT_EQUAL(said[1].code, RG_ERR_REFUSED);
}

static void test_size(void)
{
    struct trio t;
    open_trio(&t);
    struct rg_hosts fewer = t.hosts;
    fewer.count = 2;
    t.members[1].hosts = &fewer;
    run_trio(&t);
    expect(1, RG_ERR_REFUSED, "has 2 hosts in its list, rank 0 has 3");
}

static void test_missing(void)
{
    struct trio t;
    open_trio(&t);
    close(t.listeners[0]);
    t.listeners[0] = -1;
    for (int r = 1; r < RANKS; r++) {
        t.members[r].timeout_s = 2;
        start_member(&t.members[r], r);
    }
    close_listeners(&t);
    for (int r = 1; r < RANKS; r++) {
        wait_member(&t.members[r]);
        expect(r, RG_ERR_TIMEOUT, "other ranks did not join in ");
        expect(r, RG_ERR_TIMEOUT, "first rank 0 at 127.0.0.1 port ");
        expect(r, RG_ERR_TIMEOUT, "Connection refused");
    }
    rg_hosts_free(&t.hosts);
}

/* A second rank 2, and one of another run: refused, and the others never notice. */
static void test_impostors(void)
{
    struct trio t;
    open_trio(&t);
    struct member twin = {.rank = 2, .hosts = &t.hosts, .listener = -1};
    struct member stale = {.rank = 1, .hosts = &t.hosts, .listener = -1, .nonce = 4711};
    start_member(&t.members[0], 0);
    start_member(&t.members[2], 2);
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL); /* 2 has joined 0; 1 is missing */
    int spare[2];
    struct rg_hosts ignored;
    struct rg_error e;
    CU_ASSERT_EQUAL_FATAL(rg_local_listen(2, spare, &ignored, &e), 0);
    twin.listener = spare[0];
    stale.listener = spare[1];
    start_member(&twin, 3);
    start_member(&stale, 4);
    close(spare[0]);
    close(spare[1]);
    wait_member(&twin);
    wait_member(&stale);
    expect(3, RG_ERR_REFUSED, "rank 2 has joined already");
    expect(4, RG_ERR_REFUSED, "belongs to another run");
    complete_trio(&t, 1);
    rg_hosts_free(&ignored);
    rg_hosts_free(&t.hosts);
}

/* A rank that dies while others are still missing may come back. */
static void test_comeback(void)
{
    struct trio t;
    open_trio(&t);
    t.members[0].nonce = t.members[1].nonce = t.members[2].nonce = 7;
    start_member(&t.members[0], 0);
    start_member(&t.members[2], 2);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    kill(t.members[2].pid, SIGKILL);
    waitpid(t.members[2].pid, NULL, 0);
    start_member(&t.members[2], 2);
    complete_trio(&t, 1);
    rg_hosts_free(&t.hosts);
}

/* ---- interruption ---- */

/* One does not find another: `blind` calls rank 0 in vain, so that the three never get together.
 * After a while the victim is interrupted: all learn it, and from whom. */
static void interrupt_trio(int blind, int victim, const struct rg_key *its,
                           const char *const heard[RANKS])
{
    struct trio t;
    open_trio(&t);
    struct rg_hosts lost = t.hosts;
    struct rg_host host[RANKS] = {t.hosts.host[0], t.hosts.host[1], t.hosts.host[2]};
    snprintf(host[0].port, sizeof host[0].port, "1"); /* nobody is there */
    lost.host = host;
    t.members[blind].hosts = &lost;
    for (int r = 0; r < RANKS; r++) {
        t.members[r].key = its;
        if (blind == 2) /* it knows the run, and joins rank 1, which has then joined all */
            t.members[r].nonce = 7;
        start_member(&t.members[r], r);
    }
    close_listeners(&t);
    nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
    kill(t.members[victim].pid, SIGTERM);
    for (int r = 0; r < RANKS; r++) {
        wait_member(&t.members[r]);
        expect(r, RG_ERR_INTERRUPTED, heard[r]);
    }
    rg_hosts_free(&t.hosts);
}

static const struct rg_key key = {.secret = "one"}, other_key = {.secret = "another"};

static void test_interruption(void)
{
    static const char plain[] = "interrupted", by_0[] = "interrupted while joining, as rank 0 at",
                      by_1[] = "interrupted while joining, as rank 1 at",
                      by_2[] = "interrupted while joining, as rank 2 at";
    for (int k = 0; k < 2; k++) {
        const struct rg_key *its = k ? &key : NULL;
        /* rank 1 holds rank 2, as it does not know the run */
        interrupt_trio(1, 0, its, (const char *const[]){plain, by_2, by_0});
        interrupt_trio(1, 1, its, (const char *const[]){by_2, plain, by_1});
        interrupt_trio(1, 2, its, (const char *const[]){by_2, by_2, plain});
        /* rank 1 has joined all and runs; the others have met nobody else */
        interrupt_trio(2, 0, its, (const char *const[]){plain, plain, by_1});
        interrupt_trio(2, 1, its, (const char *const[]){by_1, plain, by_1});
        interrupt_trio(2, 2, its, (const char *const[]){by_1, plain, plain});
    }
}

/* ---- strangers ---- */

static int knock(const struct rg_host *host)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(host->port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

enum { CROWD = 150 }; /* more than there is room for */

/* Strangers at the doors of ranks 0 and 1: some speak HTTP, some begin what is wanted with `half`,
 * some hang up, most say nothing at all. */
static void crowd_in(const struct trio *t, const char *half, size_t length, int fds[CROWD])
{
    static const char http[] = "GET / HTTP/1.0\r\n\r\n";
    for (int i = 0; i < CROWD; i++) {
        fds[i] = knock(&t->hosts.host[i % 2]);
        CU_ASSERT_FATAL(fds[i] >= 0);
        if (i % 5 == 0)
            send(fds[i], http, sizeof http - 1, MSG_NOSIGNAL);
        else if (i % 5 == 1)
            send(fds[i], half, length, MSG_NOSIGNAL);
        else if (i % 5 == 2)
            shutdown(fds[i], SHUT_RDWR);
    }
}

static void test_strangers(void)
{
    struct trio t;
    open_trio(&t);
    start_member(&t.members[0], 0);
    start_member(&t.members[1], 1);
    static const char half[] = "RINGTMP\n\1\0\0\0";
    int fds[CROWD];
    crowd_in(&t, half, sizeof half - 1, fds);
    char answer[64]; /* HTTP gets no answer but the end */
    CU_ASSERT(recv(fds[0], answer, sizeof answer, 0) <= 0);
    complete_trio(&t, 2);
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
    rg_hosts_free(&t.hosts);
}

/* The addresses of a hosts file are listened on, IPv6 as well. */
static void test_addresses(void)
{
    static const char *const names[] = {"127.0.0.1", "::1", "localhost"};
    for (size_t i = 0; i < RG_COUNT(names); i++) {
        struct trio t;
        struct rg_hosts free_ports;
        struct rg_error e;
        int spare[RANKS];
        open_trio(&t);
        close_listeners(&t);
        CU_ASSERT_EQUAL_FATAL(rg_local_listen(RANKS, spare, &free_ports, &e), 0);
        bool possible = true;
        for (int r = 0; r < RANKS; r++) {
            struct rg_host *host = &t.hosts.host[r];
            snprintf(host->name, sizeof host->name, "%s", names[i]);
            snprintf(host->port, sizeof host->port, "%s", free_ports.host[r].port);
            close(spare[r]);
            t.listeners[r] = t.members[r].listener = -1;
            struct addrinfo *found = NULL;
            int fd = -1;
            if (getaddrinfo(host->name, NULL, NULL, &found) == 0)
                fd = socket(found->ai_family, SOCK_STREAM, 0);
            struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
            if (fd < 0 || (found->ai_family == AF_INET6 &&
                           bind(fd, (struct sockaddr *)&six, sizeof six) != 0))
                possible = false;
            if (found)
                freeaddrinfo(found);
            if (fd >= 0)
                close(fd);
        }
        rg_hosts_free(&free_ports);
        if (!possible) {
            printf("(no %s here) ", names[i]);
            rg_hosts_free(&t.hosts);
            continue;
        }
        run_trio(&t);
        for (int r = 0; r < RANKS; r++)
            expect(r, 0, "");
    }
}

/* ---- keys ---- */

static void give_keys(struct trio *t)
{
    for (int r = 0; r < RANKS; r++)
        t->members[r].key = &key;
}

/* Boards with instructions for AES and boards without in one run. */
static void test_key(void)
{
    struct trio t;
    open_trio(&t);
    give_keys(&t);
    t.members[0].cipher = RG_CIPHER_AES;
    t.members[1].cipher = RG_CIPHER_CHACHA;
    run_trio(&t);
    for (int r = 0; r < RANKS; r++)
        expect(r, 0, "");
}

static bool has_said(int index, const char *part)
{
    return strstr(said[index].text, part) != NULL;
}

/* One of three is set up in another way: nobody joins it, and everybody can say why; where a busy
 * machine gave them no time to meet, in more time. */
static void run_odd_one(int odd, const struct rg_key *its, const char *to_it, const char *by_it)
{
    struct trio t;
    bool met = false;
    for (double timeout_s = 1.5; !met && timeout_s < 20; timeout_s *= 2) {
        open_trio(&t);
        for (int r = 0; r < RANKS; r++) {
            t.members[r].key = r == odd ? its : &key;
            t.members[r].timeout_s = timeout_s;
        }
        run_trio(&t);
        met = odd == 0 ? has_said(1, by_it) && has_said(2, by_it) : has_said(odd, to_it);
    }
    for (int r = 0; r < RANKS; r++)
        CU_ASSERT(said[r].code == RG_ERR_TIMEOUT || said[r].code == RG_ERR_REFUSED);
    if (odd == 0)
        for (int r = 1; r < RANKS; r++)
            expect(r, RG_ERR_TIMEOUT, by_it);
    else
        expect(odd, its ? RG_ERR_TIMEOUT : RG_ERR_REFUSED, to_it);
}

static void test_other_key(void)
{
    run_odd_one(0, &other_key, "", "first rank 0 at 127.0.0.1 port ");
    run_odd_one(0, &other_key, "", "it does not accept this node's key");
    run_odd_one(2, &other_key, "it does not accept this node's key", "");
}

static void test_plain_and_tls(void)
{
    run_odd_one(0, NULL, "", "it runs without a key, and this node has one");
    run_odd_one(2, NULL, "runs without a key, and rank 0 has one", "");
}

/* Somebody else's nodes knock, in every wrong way, while the run waits for its last rank; then it
 * comes, and the run is what it would have been. */
static void test_intruders(void)
{
    static const struct rg_key *const keys[] = {&other_key, NULL, &key};
    static const uint64_t nonces[] = {0, 0, 4711}; /* the last: of another run */
    static const char *const parts[] = {"it does not accept this node's key",
                                        "runs without a key, and rank 0 has one",
                                        "belongs to another run"};
    struct trio t;
    struct member intruders[RG_COUNT(keys)];
    struct rg_hosts ignored;
    struct rg_error e;
    int spare[RG_COUNT(keys)];
    open_trio(&t);
    give_keys(&t);
    start_member(&t.members[0], 0);
    start_member(&t.members[2], 2);
    CU_ASSERT_EQUAL_FATAL(rg_local_listen(RG_COUNT(keys), spare, &ignored, &e), 0);
    for (size_t i = 0; i < RG_COUNT(keys); i++) {
        intruders[i] = (struct member){.rank = 1,
                                       .hosts = &t.hosts,
                                       .listener = spare[i],
                                       .nonce = nonces[i],
                                       .key = keys[i],
                                       .timeout_s = keys[i] == &other_key ? 3 : 0};
        start_member(&intruders[i], RANKS + (int)i);
        close(spare[i]);
    }
    for (size_t i = 0; i < RG_COUNT(keys); i++) {
        wait_member(&intruders[i]);
        expect(RANKS + (int)i, keys[i] == &other_key ? RG_ERR_TIMEOUT : RG_ERR_REFUSED, parts[i]);
    }
    complete_trio(&t, 1);
    rg_hosts_free(&ignored);
    rg_hosts_free(&t.hosts);
}

/* A scanner: connections that say nothing, nonsense, or the beginning of a handshake. */
static void test_key_strangers(void)
{
    static const char half[] = "\x16\x03\x01\x01\x20\x01\x00";
    struct trio t;
    char answer[64];
    int fds[CROWD];
    open_trio(&t);
    give_keys(&t);
    start_member(&t.members[0], 0);
    start_member(&t.members[1], 1);
    crowd_in(&t, half, sizeof half - 1, fds);
    while (recv(fds[0], answer, sizeof answer, 0) > 0) /* an alert, and the end */
        continue;
    complete_trio(&t, 2);
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
    rg_hosts_free(&t.hosts);
}

/* Carries bytes between a caller and the port of rank 0 until both hang up; the byte at `change` of
 * what rank 0 says is changed. */
static void relay(int listener, const struct rg_host *host, size_t change)
{
    static unsigned char bytes[65536];
    int fds[2] = {accept(listener, NULL, NULL), knock(host)};
    size_t said_by_0 = 0;
    bool open[2] = {true, true};
    while (open[0] || open[1]) {
        struct pollfd look[2] = {{open[0] ? fds[0] : -1, POLLIN, 0},
                                 {open[1] ? fds[1] : -1, POLLIN, 0}};
        if (poll(look, 2, 20000) <= 0)
            break;
        for (int i = 0; i < 2; i++) {
            ssize_t n = look[i].revents ? recv(fds[i], bytes, sizeof bytes, 0) : -2;
            if (n == 0 || n == -1) {
                open[i] = false;
                shutdown(fds[1 - i], SHUT_WR);
            }
            if (n <= 0)
                continue;
            if (i == 1 && change >= said_by_0 && change < said_by_0 + (size_t)n)
                bytes[change - said_by_0] ^= 1;
            said_by_0 += i == 1 ? (size_t)n : 0;
            if (send(fds[1 - i], bytes, (size_t)n, MSG_NOSIGNAL) < 0)
                open[i] = false;
        }
    }
    close(fds[0]);
    close(fds[1]);
}

/* Somebody on the way changes a bit in the middle of a run: it is found out at once, and the run
 * ends with the reason; without a change the one on the way goes unnoticed. */
static void test_changed_run(void)
{
    for (int change = 0; change < 2; change++) {
        struct rg_hosts hosts, seen;
        struct rg_host host[2];
        struct rg_error e;
        int listeners[3];
        CU_ASSERT_EQUAL_FATAL(rg_local_listen(3, listeners, &hosts, &e), 0);
        memset(said, 0, 16 * sizeof *said);
        hosts.count = 2;
        seen = hosts; /* by rank 1 */
        host[0] = hosts.host[2];
        host[1] = hosts.host[1];
        seen.host = host;
        struct member members[2] = {
            {.rank = 0, .hosts = &hosts, .listener = listeners[0], .key = &key, .talks = true},
            {.rank = 1, .hosts = &seen, .listener = listeners[1], .key = &key, .talks = true}};
        fcntl(listeners[2], F_SETFL, fcntl(listeners[2], F_GETFL) & ~O_NONBLOCK);
        for (int r = 0; r < 2; r++)
            start_member(&members[r], r);
        close(listeners[0]);
        close(listeners[1]);
        relay(listeners[2], &hosts.host[0], change ? 20000000 : SIZE_MAX);
        close(listeners[2]);
        for (int r = 0; r < 2; r++)
            wait_member(&members[r]);
        expect(0, change ? RG_ERR_PEER : 0, change ? "rank 1 (" : "");
        expect(1, change ? RG_ERR_PEER : 0, change ? "its data do not decipher" : "");
        rg_hosts_free(&hosts);
    }
}

/* Without a key nobody binds or calls an address beyond this machine. */
static void test_confined(void)
{
    static const char *const names[] = {"192.0.2.1", "0.0.0.0",          "2001:db8::1",
                                        "::",        "::ffff:192.0.2.1", "no-such-host.invalid"};
    for (size_t i = 0; i < RG_COUNT(names); i++)
        for (int r = 0; r < 2; r++) {
            struct rg_host host[2] = {{"127.0.0.1", "1", 1}, {"127.0.0.1", "2", 2}};
            struct rg_hosts hosts = {.file = "hosts", .host = host, .count = 2};
            struct rg_channel channels[2];
            struct rg_error e = {0};
            snprintf(host[1].name, sizeof host[1].name, "%s", names[i]);
            struct rg_join join = {
                .rank = r, .hosts = &hosts, .listener = -1, .scenario = "digest", .quiet = true};
            CU_ASSERT_EQUAL(rg_join_mesh(&join, channels, &e), RG_ERR_INVALID);
            CU_ASSERT_EQUAL(strncmp(e.text, "hosts:2: ", 9), 0);
            CU_ASSERT_PTR_NOT_NULL(strstr(e.text, names[i]));
            CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "is not this machine; without a key"));
            CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "--insecure"));
            if (i == RG_COUNT(names) - 1)
                continue;
            join.insecure = true; /* goes on, and waits in vain; port 1 may need root */
            join.timeout_s = 0.05;
            int result = rg_join_mesh(&join, channels, &e);
            CU_ASSERT(result == RG_ERR_TIMEOUT || result == RG_ERR_IO);
        }
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"hosts file", test_hosts},
                                              {"bad hosts files", test_bad_hosts},
                                              {"join", test_join},
                                              {"another version", test_version},
                                              {"another scenario", test_scenario},
                                              {"another order of hosts", test_wrong_rank},
                                              {"another number of hosts", test_size},
                                              {"a missing rank", test_missing},
                                              {"impostors", test_impostors},
                                              {"comeback", test_comeback},
                                              {"interruption", test_interruption},
                                              {"strangers", test_strangers},
                                              {"addresses", test_addresses},
                                              {"a key", test_key},
                                              {"another key", test_other_key},
                                              {"with a key and without", test_plain_and_tls},
                                              {"intruders", test_intruders},
                                              {"strangers before a key", test_key_strangers},
                                              {"a run changed on its way", test_changed_run},
                                              {"confined without a key", test_confined}};
    said = mmap(NULL, 16 * sizeof *said, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (said == MAP_FAILED)
        return 1;
    return suite_main("join", tests, RG_COUNT(tests), argc, argv);
}
