/* The handshake: who is let in, who is refused and why, what strangers on the port can do
 * (nothing), and who learns of an interruption. */
#include "base/check.h"
#include "connect/wire.h"
#include "tests/posix/trio.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void test_join(void)
{
    struct trio t;
    open_trio(&t);
    run_trio(&t);
    for (int r = 0; r < RANKS; r++)
        expect(r, 0, "");
}

/* Two pairs of ranks find it, and which of them is the first to say so is left open. */
static void expect_either(int index, const char *one, const char *other)
{
    expect(index, RG_ERR_REFUSED, has_said(index, other) ? other : one);
}

static void test_version(void)
{
    struct trio t;
    open_trio(&t);
    t.members[2].version = "9.8.7";
    run_trio(&t);
    expect(0, RG_ERR_REFUSED, "rank 2 at 127.0.0.1");
    char wanted[2][80];
    for (int r = 0; r < 2; r++)
        snprintf(wanted[r], sizeof wanted[r],
                 "runs version 9.8.7 (protocol %u), rank %d runs " RG_VERSION, RG_WIRE_PROTOCOL, r);
    expect_either(0, wanted[0], wanted[1]);
    expect(1, RG_ERR_REFUSED, "runs version 9.8.7");
    expect(2, RG_ERR_REFUSED, "runs version ");
}

static void test_scenario(void)
{
    struct trio t;
    open_trio(&t);
    t.members[1].scenario = "feedbeef";
    run_trio(&t);
    expect_either(0, "has another scenario (feedbeef...) than rank 0 (digest...)",
                  "has another scenario (digest...) than rank 1 (feedbeef...)");
    expect(1, RG_ERR_REFUSED, "has another scenario (");
    expect(2, RG_ERR_REFUSED, "scenario");
}

/* Nobody is who he was taken for: all wait for those who might come yet, and say so at the end. */
static void test_wrong_rank(void)
{
    struct trio t;
    open_trio(&t);
    struct rg_hosts swapped = t.hosts; /* its list has ranks 0 and 1 in the other order */
    struct rg_host host[RANKS] = {t.hosts.host[1], t.hosts.host[0], t.hosts.host[2]};
    swapped.host = host;
    t.members[2].hosts = &swapped;
    for (int r = 0; r < RANKS; r++)
        t.members[r].timeout_s = (r ? 2 : 4) * RG_TEST_SLOWNESS;
    run_trio(&t);
    expect(2, RG_ERR_TIMEOUT, "wrong rank: rank 1 answers there; do the lists of hosts differ?");
    CU_ASSERT_EQUAL(said_code(0), RG_ERR_TIMEOUT);
    expect(1, RG_ERR_TIMEOUT, "wrong rank: rank 2 at 127.0.0.1 takes this for rank 0");
}

/* Another rank answers in the place of rank 0 for a while. */
static void test_wrong_rank_goes(void)
{
    struct trio t;
    open_trio(&t);
    struct member other = {.rank = 2, .hosts = &t.hosts, .listener = t.listeners[0]};
    start_member(&other, 5);
    start_member(&t.members[1], 1);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    kill(other.pid, SIGKILL);
    waitpid(other.pid, NULL, 0);
    start_member(&t.members[0], 0);
    complete_trio(&t, 2);
    rg_hosts_free(&t.hosts);
}

/* From elsewhere than the hosts file of rank 0 has it: refused, unless addresses are translated;
 * but all addresses of loopback are this machine. */
static void test_elsewhere(void)
{
    static const struct rg_key key = {.secret = "one", .rank = -1};
    static const struct {
        const char *listed;
        bool any, joins;
    } cases[] = {
        {"192.0.2.9", false, false}, {"192.0.2.9", true, true}, {"127.0.1.1", false, true}};
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        struct trio t;
        open_trio(&t);
        struct rg_hosts other = t.hosts;
        struct rg_host host[RANKS] = {t.hosts.host[0], t.hosts.host[1], t.hosts.host[2]};
        snprintf(host[2].name, sizeof host[2].name, "%s", cases[i].listed);
        other.host = host;
        for (int r = 0; r < RANKS; r++)
            t.members[r].key = &key;
        t.members[0].hosts = &other;
        t.members[0].any_address = cases[i].any;
        t.members[0].timeout_s = cases[i].joins ? 0 : 2 * RG_TEST_SLOWNESS;
        t.members[1].timeout_s = 2 * t.members[0].timeout_s;
        run_trio(&t);
        if (cases[i].joins)
            expect(0, 0, "");
        else
            expect(0, RG_ERR_TIMEOUT,
                   "rank 2 comes from 127.0.0.1, and the hosts file has it at "
                   "192.0.2.9: --any-address");
        expect(2, cases[i].joins ? 0 : RG_ERR_REFUSED,
               cases[i].joins ? "" : "rank 2 comes from 127.0.0.1");
    }
}

static void test_size(void)
{
    struct trio t;
    open_trio(&t);
    struct rg_hosts fewer = t.hosts;
    fewer.count = 2;
    t.members[1].hosts = &fewer;
    run_trio(&t);
    expect_either(1, "has 2 hosts in its list, rank 0 has 3",
                  "has 3 hosts in its list, rank 1 has 2");
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

/* A rank that dies while others are still missing may come back, whether it calls the one that
 * waits or is called by it, and also where it would not be waited for. */
static void test_comeback(void)
{
    for (int outlives = 0; outlives < 2; outlives++)
        for (int back = 1; back < RANKS; back++) {
            struct trio t;
            int missing = back == 1 ? 0 : 1, other = RANKS - back - missing;
            open_trio(&t);
            for (int r = 0; r < RANKS; r++) {
                t.members[r].nonce = 7;
                t.members[r].outlives = outlives == 1;
            }
            start_member(&t.members[other], other);
            start_member(&t.members[back], back);
            wait_till_idle(&t); /* they have met */
            kill(t.members[back].pid, SIGKILL);
            waitpid(t.members[back].pid, NULL, 0);
            start_member(&t.members[back], back);
            wait_till_idle(&t); /* they have met once more */
            complete_trio(&t, missing);
            rg_hosts_free(&t.hosts);
        }
}

/* A rank that dies when it has met all, while 1 and 0 are about to meet: 1 goes on without it. */
static void test_outlived(void)
{
    struct trio t;
    open_trio(&t);
    for (int r = 0; r < RANKS; r++) {
        t.members[r].nonce = 7;
        t.members[r].outlives = true;
    }
    start_member(&t.members[1], 1);
    start_member(&t.members[2], 2);
    wait_till_idle(&t); /* they have met, and have called 0 */
    kill(t.members[1].pid, SIGSTOP);
    waitpid(t.members[1].pid, NULL, WUNTRACED);
    start_member(&t.members[0], 0);
    close_listeners(&t);
    wait_till_idle(&t); /* 0 has welcomed them */
    kill(t.members[2].pid, SIGKILL);
    waitpid(t.members[2].pid, NULL, 0);
    t.members[2].pid = 0;
    wait_till_idle(&t); /* its end has come to 1, which takes a moment on a busy machine */
    kill(t.members[1].pid, SIGCONT);
    for (int r = 0; r < 2; r++) {
        wait_member(&t.members[r]);
        expect(r, RG_ERR_PEER, "vanished");
    }
    rg_hosts_free(&t.hosts);
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

/* ---- interruption ---- */

/* A port of this machine that is taken, and nobody answers at; the caller closes the socket. */
static int silent_port(char port[6])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                    getsockname(fd, (struct sockaddr *)&address, &length) == 0);
    snprintf(port, 6, "%u", (unsigned)ntohs(address.sin_port));
    return fd;
}

/* One does not find another: `blind` calls rank 0 in vain, so that the three never get together.
 * Once all wait the victim is interrupted: all learn it, and from whom. */
static void interrupt_trio(int blind, int victim, const struct rg_key *its,
                           const char *const heard[RANKS])
{
    struct trio t;
    open_trio(&t);
    struct rg_hosts lost = t.hosts;
    struct rg_host host[RANKS] = {t.hosts.host[0], t.hosts.host[1], t.hosts.host[2]};
    int silent = silent_port(host[0].port);
    lost.host = host;
    t.members[blind].hosts = &lost;
    for (int r = 0; r < RANKS; r++) {
        t.members[r].key = its;
        if (blind == 2) /* it knows the run, and joins rank 1, which has then joined all */
            t.members[r].nonce = 7;
        start_member(&t.members[r], r);
    }
    close_listeners(&t);
    wait_till_idle(&t);
    kill(t.members[victim].pid, SIGTERM);
    for (int r = 0; r < RANKS; r++) {
        wait_member(&t.members[r]);
        expect(r, RG_ERR_INTERRUPTED, heard[r]);
    }
    close(silent);
    rg_hosts_free(&t.hosts);
}

static void test_interruption(void)
{
    static const char plain[] = "interrupted", by_0[] = "interrupted while joining, as rank 0 at",
                      by_1[] = "interrupted while joining, as rank 1 at",
                      by_2[] = "interrupted while joining, as rank 2 at";
    static const struct rg_key key = {.secret = "one"};
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

/* A rank that has no descriptors left for its peers, or for all that it has to wait for: every rank
 * says so, at once. */
static void test_descriptors(void)
{
    static const struct {
        int rank, descriptors;
        const char *what;
    } cases[] = {{0, 100, "cannot accept connections: Too many open files"},
                 {2, 100, "cannot open a socket: Too many open files"},
                 {1, 20, "cannot "}};
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        struct trio t;
        char text[100];
        open_trio(&t);
        t.members[cases[i].rank].descriptors = cases[i].descriptors;
        for (int r = 0; r < RANKS; r++)
            t.members[r].timeout_s = r == cases[i].rank ? 60 : 3; /* they may have met nobody */
        run_trio(&t);
        snprintf(text, sizeof text, "rank %d at 127.0.0.1 %s", cases[i].rank, cases[i].what);
        expect(cases[i].rank, RG_ERR_IO, text);
        CU_ASSERT_TRUE(has_said(cases[i].rank, "ulimit -n"));
        for (int r = 0; r < RANKS; r++)
            CU_ASSERT_TRUE(r == cases[i].rank || said_code(r) == RG_ERR_REFUSED ||
                           said_code(r) == RG_ERR_TIMEOUT);
    }
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"join", test_join},
                                              {"another version", test_version},
                                              {"another scenario", test_scenario},
                                              {"another order of hosts", test_wrong_rank},
                                              {"another rank for a while", test_wrong_rank_goes},
                                              {"from elsewhere", test_elsewhere},
                                              {"another number of hosts", test_size},
                                              {"a missing rank", test_missing},
                                              {"impostors", test_impostors},
                                              {"comeback", test_comeback},
                                              {"outlived", test_outlived},
                                              {"strangers", test_strangers},
                                              {"addresses", test_addresses},
                                              {"descriptors", test_descriptors},
                                              {"interruption", test_interruption}};
    return trio_main("join", tests, RG_COUNT(tests), argc, argv);
}
