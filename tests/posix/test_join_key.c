/* Joining with a key: who is let in, who is not and why, and what strangers and somebody on the way
 * can do (nothing). */
#include "base/check.h"
#include "connect/wire.h"
#include "tests/posix/trio.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct rg_key key = {.secret = "one", .rank = -1}; /* as from a file */
static const struct rg_key other_key = {.secret = "another", .rank = -1};

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

/* ---- keys of ranks ---- */

/* Of rank `rank`: what it shares with each other. */
static const struct rg_key *key_of(int rank)
{
    static unsigned char pairs[RANKS][RANKS][RG_KEY_BYTES];
    static struct rg_key keys[RANKS];
    for (int other = 0; other < RANKS; other++)
        memset(pairs[rank][other], 16 + rank * other + rank + other, RG_KEY_BYTES);
    keys[rank] = (struct rg_key){.rank = rank, .ranks = RANKS, .pairs = pairs[rank]};
    return &keys[rank];
}

static void test_keys_of_ranks(void)
{
    struct trio t;
    open_trio(&t);
    for (int r = 0; r < RANKS; r++)
        t.members[r].key = key_of(r);
    run_trio(&t);
    for (int r = 0; r < RANKS; r++)
        expect(r, 0, "");
    open_trio(&t);
    t.members[1].key = key_of(2);
    start_member(&t.members[1], 1);
    wait_member(&t.members[1]);
    expect(1, RG_ERR_INVALID, "the key is that of rank 2 of 3, and this is rank 1 of 3");
    close_listeners(&t);
    rg_hosts_free(&t.hosts);
}

/* Until it is done, or nothing more comes. */
static void shake(struct rg_secure *tls, int fd)
{
    while (rg_secure_shake(tls) == 0)
        if (poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 20000) <= 0)
            return;
}

/* The board of rank 2, taken over, calls rank 0 and says that it is rank 1: with its own key, or
 * with its own in that one's name. */
static void claim(const struct rg_host *host, const struct rg_key *its, char *answer)
{
    struct rg_guard *guard;
    struct rg_error e;
    struct rg_hello hello = {.protocol = RG_WIRE_PROTOCOL,
                             .kind = RG_HELLO_ASKS,
                             .rank = 1,
                             .size = RANKS,
                             .version = RG_VERSION,
                             .scenario = "digest"};
    unsigned char bytes[RG_WIRE_HELLO];
    int fd = knock(host);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL_FATAL(rg_secure_open(its, RG_CIPHER_FIT, &guard, &e), 0);
    struct rg_secure *tls = rg_secure_new(guard, fd, true);
    CU_ASSERT_PTR_NOT_NULL_FATAL(tls);
    rg_secure_call(tls, 0);
    shake(tls, fd);
    rg_hello_encode(&hello, bytes);
    struct iovec all = {bytes, sizeof bytes};
    rg_secure_send(tls, &all, 1);
    size_t have = 0;
    while (have < sizeof bytes &&
           poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 20000) > 0) {
        struct iovec rest = {bytes + have, sizeof bytes - have};
        ssize_t n = rg_secure_recv(tls, &rest, 1);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        have += n > 0 ? (size_t)n : 0;
    }
    snprintf(answer, 300, "%s", rg_secure_why(tls));
    if (have == sizeof bytes && !rg_hello_decode(bytes, &hello))
        snprintf(answer, 300, "%s", hello.reason);
    rg_secure_free(tls);
    rg_secure_close(guard);
    close(fd);
}

static void test_claims(void)
{
    struct trio t;
    char answer[300];
    open_trio(&t);
    for (int r = 0; r < RANKS; r++)
        t.members[r].key = key_of(r);
    start_member(&t.members[0], 0);
    claim(&t.hosts.host[0], key_of(2), answer);
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "has the key of rank 2, and says that it is rank 1"));
    struct rg_key forged = *key_of(2);
    forged.rank = 1;
    claim(&t.hosts.host[0], &forged, answer);
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "it does not accept this node's key"));
    start_member(&t.members[1], 1);
    complete_trio(&t, 2);
    rg_hosts_free(&t.hosts);
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
        CU_ASSERT(said_code(r) == RG_ERR_TIMEOUT || said_code(r) == RG_ERR_REFUSED);
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
        forget_said();
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
            struct rg_connection connections[2];
            struct rg_error e = {0};
            snprintf(host[1].name, sizeof host[1].name, "%s", names[i]);
            struct rg_join join = {
                .rank = r, .hosts = &hosts, .listener = -1, .scenario = "digest", .quiet = true};
            CU_ASSERT_EQUAL(rg_join_mesh(&join, connections, &e), RG_ERR_INVALID);
            CU_ASSERT_EQUAL(strncmp(e.text, "hosts:2: ", 9), 0);
            CU_ASSERT_PTR_NOT_NULL(strstr(e.text, names[i]));
            CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "is not this machine; without a key"));
            CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "--insecure"));
            if (i == RG_COUNT(names) - 1)
                continue;
            join.insecure = true; /* goes on, and waits in vain; port 1 may need root */
            join.timeout_s = 0.05;
            int result = rg_join_mesh(&join, connections, &e);
            CU_ASSERT(result == RG_ERR_TIMEOUT || result == RG_ERR_IO);
        }
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"a key", test_key},
                                              {"keys of ranks", test_keys_of_ranks},
                                              {"a rank that claims to be another", test_claims},
                                              {"another key", test_other_key},
                                              {"with a key and without", test_plain_and_tls},
                                              {"intruders", test_intruders},
                                              {"strangers before a key", test_key_strangers},
                                              {"a run changed on its way", test_changed_run},
                                              {"confined without a key", test_confined}};
    return trio_main("join with a key", tests, RG_COUNT(tests), argc, argv);
}
