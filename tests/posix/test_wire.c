/* Frames and hellos survive the wire, and nonsense is named as such: random bytes, mutated frames,
 * and a peer that joins properly and then breaks the protocol. */
#include "connect/wire.h"

#include "base/check.h"
#include "base/crc.h"
#include "base/random.h"
#include "connect/joined.h"
#include "connect/secure.h"
#include "tests/posix/cluster.h"
#include "tests/support/suite.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_headers(void)
{
    struct rg_header out = {.type = RG_FRAME_DATA,
                            .flags = RG_WIRE_EAGER,
                            .units = 513,
                            .tag = 0xfedcba98u,
                            .run = 77,
                            .length = 1234567890123u,
                            .sequence = UINT64_MAX};
    struct rg_header in;
    unsigned char bytes[RG_MESSAGE_HEADER];
    rg_header_encode(&out, bytes);
    CU_ASSERT_PTR_NULL(rg_header_decode(bytes, &in));
    unsigned char again[RG_MESSAGE_HEADER];
    rg_header_encode(&in, again);
    CU_ASSERT_EQUAL(memcmp(again, bytes, sizeof bytes), 0);
    CU_ASSERT(in.tag == out.tag && in.length == out.length && in.units == 513 && in.run == 77);
    CU_ASSERT_EQUAL(bytes[8], 0x98); /* little-endian */
    for (int type = 0; type < 256; type++) {
        struct rg_header h = {.type = (uint8_t)type, .run = 1};
        rg_header_encode(&h, bytes);
        bool known = type > 0 && type < RG_FRAME_END && type != RG_FRAME_MORE &&
                     type != RG_FRAME_REASON && type != RG_FRAME_COME; /* something follows them */
        CU_ASSERT_EQUAL(rg_header_decode(bytes, &in) == NULL, known);
        h.flags = 2;
        rg_header_encode(&h, bytes);
        CU_ASSERT_PTR_NOT_NULL(rg_header_decode(bytes, &in));
    }
    for (uint32_t tag = 0; tag <= RG_WIRE_WINDING + 1; tag++)
        for (uint64_t update = 0; update < 2; update++) {
            struct rg_header h = {.type = RG_FRAME_INTERRUPT, .tag = tag, .sequence = update};
            rg_header_encode(&h, bytes);
            CU_ASSERT_EQUAL(rg_header_decode(bytes, &in) == NULL,
                            tag == RG_WIRE_WINDING || (tag < RG_WIRE_WINDING && update == 0));
        }
    for (uint64_t length = 0; length <= RG_WIRE_REASON; length++) {
        struct rg_header h = {.type = RG_FRAME_REASON, .tag = 3, .length = length};
        rg_header_encode(&h, bytes);
        CU_ASSERT_EQUAL(rg_header_decode(bytes, &in) == NULL,
                        length > 0 && length < RG_WIRE_REASON);
    }
    out.units = RG_WIRE_SEGMENT_MOST / RG_WIRE_UNIT;
    rg_header_encode(&out, bytes);
    CU_ASSERT_PTR_NULL(rg_header_decode(bytes, &in));
    out.units++;
    rg_header_encode(&out, bytes);
    CU_ASSERT_PTR_NOT_NULL(rg_header_decode(bytes, &in));
    out.units = 513;
    out.length = RG_WIRE_LONGEST + 1;
    rg_header_encode(&out, bytes);
    CU_ASSERT_PTR_NOT_NULL(rg_header_decode(bytes, &in));
    out.length = 10;
    out.units = 0;
    rg_header_encode(&out, bytes);
    CU_ASSERT_PTR_NOT_NULL(rg_header_decode(bytes, &in));
}

static uint64_t dice(uint64_t *state)
{
    *state = rg_mix64(*state + 1);
    return *state;
}

/* "RTF1" and the checksum of what follows. */
static void sign(unsigned char bytes[RG_MESSAGE_HEADER])
{
    rg_put_u32(bytes, 0x31465452u ^ rg_crc32c(bytes + 4, RG_MESSAGE_HEADER - 4));
}

/* No bit of a frame is another one unseen. */
static void test_damaged_headers(void)
{
    const struct rg_header frames[] = {
        {.type = RG_FRAME_DATA,
         .flags = RG_WIRE_EAGER | RG_WIRE_CHECKED,
         .units = 3,
         .tag = 300,
         .run = 1,
         .length = 2500,
         .sequence = 7,
         .crc = 0xdeadbeef},
        {.type = RG_FRAME_ACK, .tag = 1, .run = 1, .length = UINT64_MAX, .sequence = 9},
        {.type = RG_FRAME_BEAT}};
    for (size_t i = 0; i < RG_COUNT(frames); i++)
        for (int bit = 0; bit < 8 * RG_MESSAGE_HEADER; bit++) {
            unsigned char bytes[RG_MESSAGE_HEADER];
            struct rg_header in;
            rg_header_encode(&frames[i], bytes);
            CU_ASSERT_PTR_NULL(rg_header_decode(bytes, &in));
            CU_ASSERT_EQUAL(in.crc, frames[i].crc);
            CU_ASSERT_EQUAL(in.length, frames[i].length);
            CU_ASSERT_EQUAL(in.sequence, frames[i].sequence);
            bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
            CU_ASSERT_PTR_NOT_NULL(rg_header_decode(bytes, &in));
        }
}

/* The largest of all numbers leave room for a checksum. */
static void test_largest_segment(void)
{
    const struct rg_header out = {.type = RG_FRAME_MORE,
                                  .flags = RG_WIRE_CHECKED,
                                  .units = RG_WIRE_SEGMENT_MOST / RG_WIRE_UNIT,
                                  .run = UINT32_MAX,
                                  .length = RG_WIRE_LONGEST,
                                  .sequence = ((uint64_t)1 << 49) - 1,
                                  .crc = UINT32_MAX};
    unsigned char bytes[RG_MESSAGE_HEADER];
    struct rg_header in;
    rg_header_encode(&out, bytes);
    CU_ASSERT_PTR_NULL(rg_header_decode(bytes, &in));
    CU_ASSERT_TRUE(in.length == out.length && in.sequence == out.sequence && in.crc == out.crc);
}

static void test_random_headers(void)
{
    unsigned char bytes[RG_MESSAGE_HEADER], again[RG_MESSAGE_HEADER];
    uint64_t state = 1;
    int good = 0;
    for (int i = 0; i < 300000; i++) {
        struct rg_header h;
        for (int k = 0; k < RG_MESSAGE_HEADER; k++)
            bytes[k] = (unsigned char)dice(&state);
        if (i % 2) {
            bytes[4] %= RG_FRAME_END;
            bytes[5] &= 3;
            if (bytes[5] < 2)
                memset(bytes + 22, 0, 2);
            sign(bytes);
        }
        if (rg_header_decode(bytes, &h))
            continue;
        good++;
        rg_header_encode(&h, again); /* what is accepted means just one thing */
        CU_ASSERT_EQUAL_FATAL(memcmp(bytes, again, sizeof bytes), 0);
    }
    CU_ASSERT(good > 0);
}

static void test_hellos(void)
{
    struct rg_hello out = {.protocol = RG_WIRE_PROTOCOL,
                           .kind = RG_HELLO_ASKS,
                           .rank = 3,
                           .size = 4,
                           .target = 1,
                           .nonce = 99};
    struct rg_hello in;
    unsigned char bytes[RG_WIRE_HELLO];
    memset(out.version, 'v', sizeof out.version - 1);
    memset(out.scenario, 's', sizeof out.scenario - 1);
    memset(out.reason, 'r', sizeof out.reason - 1);
    rg_hello_encode(&out, bytes);
    CU_ASSERT_PTR_NULL(rg_hello_decode(bytes, &in));
    CU_ASSERT(in.rank == 3 && in.size == 4 && in.target == 1 && in.nonce == 99);
    CU_ASSERT_STRING_EQUAL(in.version, out.version);
    CU_ASSERT_STRING_EQUAL(in.scenario, out.scenario);
    CU_ASSERT_STRING_EQUAL(in.reason, out.reason);
    memset(bytes + 40, '\n', 400); /* no terminator, no newline gets through */
    CU_ASSERT_PTR_NULL(rg_hello_decode(bytes, &in));
    CU_ASSERT_EQUAL(strlen(in.version), sizeof in.version - 1);
    CU_ASSERT_PTR_NULL(strchr(in.reason, '\n'));
    uint64_t state = 5;
    for (int i = 0; i < 20000; i++) {
        rg_hello_encode(&out, bytes);
        for (int k = 0; k < 4; k++)
            bytes[dice(&state) % RG_WIRE_HELLO] = (unsigned char)dice(&state);
        if (rg_hello_decode(bytes, &in))
            continue;
        CU_ASSERT_FATAL(in.rank < in.size && memchr(in.version, 0, sizeof in.version) &&
                        memchr(in.scenario, 0, sizeof in.scenario) &&
                        memchr(in.reason, 0, sizeof in.reason));
    }
    CU_ASSERT_FALSE(rg_hello_begins((const unsigned char *)"GET / HTTP/1.1", 14));
    CU_ASSERT_TRUE(rg_hello_begins((const unsigned char *)"RING", 4));
}

/* ---- rank 0 is real, rank 1 is this test ---- */

static void put_all(int fd, const void *bytes, size_t count)
{
    ssize_t ignored = send(fd, bytes, count, MSG_NOSIGNAL); /* it may have hung up by now */
    (void)ignored;
}

static void put_frame(int fd, const struct rg_header *h)
{
    unsigned char bytes[RG_MESSAGE_HEADER];
    rg_header_encode(h, bytes);
    put_all(fd, bytes, sizeof bytes);
}

static int call_rank_0(const struct rg_hosts *hosts)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(hosts->host[0].port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? fd : -1;
}

static void hello_of_rank_1(unsigned char bytes[RG_WIRE_HELLO])
{
    struct rg_hello h = {.protocol = RG_WIRE_PROTOCOL,
                         .kind = RG_HELLO_ASKS,
                         .rank = 1,
                         .size = 2,
                         .version = RG_VERSION,
                         .scenario = "test"};
    rg_hello_encode(&h, bytes);
}

/* Rank 1 of two calls rank 0 and says hello. */
static int call_as_rank_1(const struct rg_hosts *hosts)
{
    struct rg_hello h;
    unsigned char bytes[RG_WIRE_HELLO];
    int fd = call_rank_0(hosts);
    if (fd < 0)
        return -1;
    hello_of_rank_1(bytes);
    put_all(fd, bytes, sizeof bytes);
    if (recv(fd, bytes, sizeof bytes, MSG_WAITALL) != sizeof bytes || rg_hello_decode(bytes, &h) ||
        h.kind != RG_HELLO_WELCOME)
        return -1;
    return fd;
}

static int listen_to_nonsense(struct rg_world *w, void *arg)
{
    (void)arg;
    static char buffer[2][1000];
    struct rg_request r[3], *all[] = {&r[0], &r[1], &r[2]};
    rg_recv(w, 1, 300, buffer[0], 1000, &r[0]);
    rg_recv_upto(w, 1, 301, buffer[1], 1000, &r[1]);
    rg_send(w, 1, 300, buffer[0], 1000, &r[2]);
    rg_wait_all(w, all, 3);
    int result = 0;
    while (result == 0 || result == RG_ERR_LENGTH) {
        rg_recv_upto(w, 1, 301, buffer[1], 1000, &r[1]);
        result = rg_wait(w, &r[1]);
    }
    return result;
}

/* What the real rank says of it: the code of the loss. */
static int real_rank(int listener, struct rg_hosts *hosts, const struct rg_key *key,
                     rg_program_fn program)
{
    struct rg_error e = {0};
    struct rg_join join = {.rank = 0,
                           .hosts = hosts,
                           .listener = listener,
                           .scenario = "test",
                           .key = key,
                           .timeout_s = 20,
                           .quiet = true};
    struct rg_mesh *mesh;
    struct rg_mesh_lost lost;
    int result, error = rg_mesh_join(&join, &mesh, &e);
    if (error)
        return error;
    error = rg_mesh_run(mesh, 2, program, NULL, &result, &e);
    if (error == 0)
        error = result;
    bool known = rg_mesh_lost(mesh, &lost);
    if (error == RG_ERR_PEER && known && lost.rank == 1)
        error = lost.code;
    rg_mesh_leave(mesh);
    return error;
}

typedef void (*nonsense_fn)(int fd, uint64_t seed);

/* The exit status of the real rank when its peer says `nonsense` after the barrier. */
static int suffer(nonsense_fn nonsense, uint64_t seed)
{
    int listeners[2];
    struct rg_hosts hosts;
    struct rg_error e;
    CU_ASSERT_EQUAL_FATAL(rg_local_listen(2, listeners, &hosts, &e), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(listeners[1]);
        int result = real_rank(listeners[0], &hosts, NULL, listen_to_nonsense);
        rg_hosts_free(&hosts);
        exit(-result);
    }
    close(listeners[0]);
    close(listeners[1]);
    int fd = call_as_rank_1(&hosts);
    CU_ASSERT_FATAL(fd >= 0);
    put_frame(fd, &(struct rg_header){.type = RG_FRAME_BARRIER, .run = 1, .sequence = 1});
    nonsense(fd, seed);
    shutdown(fd, SHUT_WR);
    char bytes[4096];
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        continue;
    close(fd);
    rg_hosts_free(&hosts);
    int status = 0;
    waitpid(pid, &status, 0);
    CU_ASSERT_TRUE(WIFEXITED(status));
    return WIFEXITED(status) ? -WEXITSTATUS(status) : 0;
}

static void frame_of(int fd, struct rg_header h)
{
    h.run = 1;
    put_frame(fd, &h);
}

static void say_http(int fd, uint64_t seed)
{
    static const char text[] = "GET /index.html HTTP/1.1\r\nHost: example.invalid\r\n\r\n";
    (void)seed;
    put_all(fd, text, sizeof text - 1);
}

static void say_contradiction(int fd, uint64_t seed)
{
    static const char payload[2000];
    switch (seed) {
    case 0: /* out of sequence */
        frame_of(fd, (struct rg_header){
                         .type = RG_FRAME_DATA, .flags = RG_WIRE_EAGER, .tag = 301, .sequence = 2});
        break;
    case 1: /* beyond the window, unasked-for */
        frame_of(fd, (struct rg_header){.type = RG_FRAME_DATA,
                                        .flags = RG_WIRE_EAGER,
                                        .units = 1,
                                        .tag = 999,
                                        .length = RG_EAGER_LIMIT + 1,
                                        .sequence = 1});
        break;
    case 2: /* "asked for", and it was not */
        frame_of(fd, (struct rg_header){.type = RG_FRAME_DATA,
                                        .units = 1,
                                        .tag = 999,
                                        .length = (uint64_t)1 << 40,
                                        .sequence = 1});
        break;
    case 3: /* a message within another */
        frame_of(fd,
                 (struct rg_header){
                     .type = RG_FRAME_DATA, .units = 1, .tag = 300, .length = 2000, .sequence = 1});
        put_all(fd, payload, 1024);
        frame_of(fd, (struct rg_header){.type = RG_FRAME_DATA, .tag = 300, .sequence = 2});
        break;
    case 4: /* acknowledges what was not sent */
        frame_of(fd, (struct rg_header){.type = RG_FRAME_ACK, .sequence = 7});
        break;
    case 5: /* gives back room that was not taken */
        frame_of(fd, (struct rg_header){.type = RG_FRAME_ACK, .sequence = 1, .length = 4000});
        break;
    case 6:
        frame_of(fd, (struct rg_header){.type = RG_FRAME_CTS, .sequence = 5});
        break;
    case 7:
        frame_of(fd, (struct rg_header){.type = RG_FRAME_WITHDRAW, .sequence = 1});
        break;
    case 8:
        frame_of(fd, (struct rg_header){.type = RG_FRAME_EXPECT, .tag = 300, .sequence = 9});
        break;
    case 9:
        frame_of(fd, (struct rg_header){.type = RG_FRAME_ABORT, .sequence = 1});
        break;
    case 10:
        frame_of(fd, (struct rg_header){.type = RG_FRAME_BARRIER, .sequence = 1});
        break;
    case 11:
        frame_of(fd, (struct rg_header){.type = RG_FRAME_LEAVE, .tag = 70});
        break;
    case 12:
        put_frame(fd, &(struct rg_header){.type = RG_FRAME_INTERRUPT, .tag = RG_WIRE_WINDING + 1});
        break;
    default: /* of a run that has not begun */
        put_frame(fd, &(struct rg_header){.type = RG_FRAME_DATA, .run = 9, .tag = 300});
        break;
    }
}

static void say_anything(int fd, uint64_t seed)
{
    uint64_t state = rg_mix64(seed + 1000);
    unsigned char payload[3000];
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (unsigned char)dice(&state);
    uint64_t sequence = 0;
    for (int i = 0; i < 40; i++) {
        size_t bytes = dice(&state) % 5 ? dice(&state) % 1000 : dice(&state) % sizeof payload;
        struct rg_header h = {.type = RG_FRAME_DATA,
                              .flags = (uint8_t)(dice(&state) % 2),
                              .units = bytes ? 3 : 0,
                              .tag = 300 + (uint32_t)(dice(&state) % 2),
                              .run = 1,
                              .length = bytes,
                              .sequence = ++sequence};
        unsigned char frame[RG_MESSAGE_HEADER];
        if (dice(&state) % 8 == 0) {
            h = (struct rg_header){.type = (uint8_t)(1 + dice(&state) % (RG_FRAME_END - 1)),
                                   .run = 1,
                                   .tag = (uint32_t)(dice(&state) % 3),
                                   .length = dice(&state) % 2000,
                                   .sequence = dice(&state) % 4};
            sequence--;
        }
        rg_header_encode(&h, frame);
        if (dice(&state) % 16 == 0)
            frame[dice(&state) % sizeof frame] ^= (unsigned char)(1u << dice(&state) % 8);
        put_all(fd, frame, sizeof frame);
        if (h.type == RG_FRAME_DATA)
            put_all(fd, payload, RG_MIN(bytes, sizeof payload));
    }
    put_all(fd, payload, sizeof payload); /* no frame begins like this */
}

static void test_nonsense(void)
{
    CU_ASSERT_EQUAL(suffer(say_http, 0), RG_ERR_PROTOCOL);
    for (uint64_t i = 0; i <= 13; i++) {
        int code = suffer(say_contradiction, i);
        if (code != RG_ERR_PROTOCOL)
            printf("  contradiction %d: %s\n", (int)i, rg_strerror(code));
        CU_ASSERT_EQUAL(code, RG_ERR_PROTOCOL);
    }
}

static void test_anything(void)
{
    for (uint64_t seed = 1; seed <= 400; seed++) {
        int code = suffer(say_anything, seed);
        if (code != RG_ERR_PROTOCOL && code != RG_ERR_PEER && code != RG_ERR_INTERRUPTED) {
            printf("  seed %d: %s\n", (int)seed, rg_strerror(code));
            CU_FAIL("neither lost nor left");
        }
    }
}

/* ---- segments ---- */

static int send_large(struct rg_world *w, void *arg)
{
    static char buffer[256 << 10];
    struct rg_request r;
    (void)arg;
    rg_send(w, 1, 300, buffer, sizeof buffer, &r);
    return rg_wait(w, &r);
}

/* So many bytes, as they come; false: they do not. */
static bool get_all(int fd, struct rg_secure *tls, void *to, size_t bytes)
{
    for (size_t got = 0; got < bytes;) {
        struct iovec rest = {(char *)to + got, bytes - got};
        ssize_t n = rg_secure_recv(tls, &rest, 1);
        struct pollfd look = {.fd = fd, .events = POLLIN};
        if (n == 0 || (n < 0 && (errno != EAGAIN || poll(&look, 1, 20000) != 1)))
            return false;
        got += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* Units of the first segment of the message; 0: none has come. */
static unsigned first_segment(int fd, struct rg_secure *tls)
{
    unsigned char bytes[RG_WIRE_HELLO];
    struct iovec all = {bytes, sizeof bytes};
    struct rg_header h = {0};
    struct rg_hello hello;
    hello_of_rank_1(bytes);
    for (int shaken; (shaken = rg_secure_shake(tls)) != 1;) {
        struct pollfd look = {.fd = fd, .events = POLLIN};
        if (shaken < 0 || poll(&look, 1, 20000) != 1)
            return 0;
    }
    if (rg_secure_send(tls, &all, 1) != sizeof bytes || !get_all(fd, tls, bytes, sizeof bytes) ||
        rg_hello_decode(bytes, &hello))
        return 0;
    rg_header_encode(&(struct rg_header){.type = RG_FRAME_BARRIER, .run = 1, .sequence = 1}, bytes);
    all.iov_len = RG_MESSAGE_HEADER;
    rg_secure_send(tls, &all, 1);
    while (h.type != RG_FRAME_DATA)
        if (!get_all(fd, tls, bytes, RG_MESSAGE_HEADER) || rg_header_decode(bytes, &h))
            return 0;
    return h.units;
}

/* With a key a header and its segment fill their records but for less than a unit. */
static void test_segment(void)
{
    static const struct rg_key key = {.secret = "of tests, and no secret"};
    int listeners[2], status;
    struct rg_hosts hosts;
    struct rg_guard *guard;
    struct rg_error e;
    CU_ASSERT_EQUAL_FATAL(rg_local_listen(2, listeners, &hosts, &e), 0);
    CU_ASSERT_EQUAL_FATAL(rg_secure_open(&key, RG_CIPHER_FIT, &guard, &e), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(listeners[1]);
        real_rank(listeners[0], &hosts, &key, send_large); /* whose peer hangs up */
        exit(0);
    }
    close(listeners[0]);
    close(listeners[1]);
    int fd = call_rank_0(&hosts);
    CU_ASSERT_FATAL(fd >= 0);
    struct rg_secure *tls = rg_secure_new(guard, fd, true);
    CU_ASSERT_PTR_NOT_NULL_FATAL(tls);
    size_t bytes = first_segment(fd, tls) * RG_WIRE_UNIT + RG_MESSAGE_HEADER;
    CU_ASSERT(bytes > RG_TLS_RECORD - RG_WIRE_UNIT);
    CU_ASSERT(RG_TLS_RECORD - 1 - (bytes - 1) % RG_TLS_RECORD < RG_WIRE_UNIT);
    close(fd);
    rg_secure_free(tls);
    rg_secure_close(guard);
    rg_hosts_free(&hosts);
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
}

/* What a rank is told that is taken into a run under way comes out as it went in; nothing else is
 * taken for it. */
static void test_invitations(void)
{
    enum { SEATS = 5 };
    int seat[SEATS] = {3, 0, 4, 1, 2};
    unsigned char absent[SEATS] = {0, 0, 2, 0, 0};
    struct rg_joined told = {
        .run = 7, .nodes = 3, .present = 4, .seats = SEATS, .seat = seat, .absent = absent};
    struct rg_joined heard = {.nonce = 9};
    struct rg_header h;
    size_t size = 0;
    unsigned char *bytes = rg_joined_encode(&told, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    CU_ASSERT_PTR_NULL_FATAL(rg_header_decode(bytes, &h));
    CU_ASSERT_EQUAL(size, RG_MESSAGE_HEADER + h.length);
    CU_ASSERT_PTR_NOT_NULL(rg_joined_decode(&h, bytes + RG_MESSAGE_HEADER, SEATS + 1, &heard));
    for (size_t i = RG_MESSAGE_HEADER; i < size; i++) {
        bytes[i] ^= 1;
        CU_ASSERT_PTR_NOT_NULL(rg_joined_decode(&h, bytes + RG_MESSAGE_HEADER, SEATS, &heard));
        bytes[i] ^= 1;
    }
    CU_ASSERT_FALSE(heard.invited);
    CU_ASSERT_PTR_NULL(rg_joined_decode(&h, bytes + RG_MESSAGE_HEADER, SEATS, &heard));
    CU_ASSERT(heard.invited && heard.nonce == 9 && heard.run == 7 && heard.nodes == 3 &&
              heard.present == 4);
    CU_ASSERT_EQUAL(memcmp(heard.seat, seat, sizeof seat), 0);
    CU_ASSERT_EQUAL(memcmp(heard.absent, absent, sizeof absent), 0);
    rg_joined_free(&heard);
    free(bytes);
    const struct rg_joined wrong[] = {
        {.nodes = 0, .present = 4}, {.nodes = 5, .present = 4}, {.nodes = 3, .present = 6}};
    for (size_t i = 0; i <= RG_COUNT(wrong); i++) {
        if (i < RG_COUNT(wrong))
            told.nodes = wrong[i].nodes, told.present = wrong[i].present;
        else
            told.nodes = 3, told.present = 4, seat[1] = 3; /* on two ranks */
        bytes = rg_joined_encode(&told, &size);
        CU_ASSERT_PTR_NULL_FATAL(rg_header_decode(bytes, &h));
        CU_ASSERT_PTR_NOT_NULL(rg_joined_decode(&h, bytes + RG_MESSAGE_HEADER, SEATS, &heard));
        free(bytes);
    }
    told.seats = (int)RG_WIRE_COME_MOST; /* more than fit */
    CU_ASSERT_PTR_NULL(rg_joined_encode(&told, &size));
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"headers", test_headers},
                                              {"invitations", test_invitations},
                                              {"random headers", test_random_headers},
                                              {"a bit of a header", test_damaged_headers},
                                              {"the largest segment", test_largest_segment},
                                              {"hellos", test_hellos},
                                              {"nonsense from a peer", test_nonsense},
                                              {"anything from a peer", test_anything},
                                              {"segments with a key", test_segment}};
    signal(SIGPIPE, SIG_IGN);
    return suite_main("wire", tests, RG_COUNT(tests), argc, argv);
}
