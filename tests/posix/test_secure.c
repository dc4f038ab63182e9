/* Keys and TLS on a line with somebody in the middle who records, changes, cuts and replays. The
 * joins of whole nodes with and without keys are in test_join_key.c. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "connect/secure.h"
#include "connect/wire.h"
#include "tests/support/suite.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct rg_key key = {.secret = "one"}, other_key = {.secret = "another"};

/* ---- key files ---- */

static int load_bytes(const char *bytes, size_t count, mode_t mode, struct rg_key *into,
                      struct rg_error *e)
{
    static const char file[] = "test_secure_key";
    FILE *stream = fopen(file, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    fwrite(bytes, 1, count, stream);
    fclose(stream);
    chmod(file, mode);
    int result = rg_key_load(file, into, e);
    unlink(file);
    return result;
}

static int load(const char *text, mode_t mode, struct rg_key *into, struct rg_error *e)
{
    return load_bytes(text, strlen(text), mode, into, e);
}

static void test_keys(void)
{
    static const char *const same[] = {"00112233445566778899aabbccddeeff\n",
                                       "00112233445566778899AABBCCDDEEFF", "ABEiM0RVZneImaq7zN3u/w",
                                       "ABEiM0RVZneImaq7zN3u/w==\r\n"};
    struct rg_key first, next;
    struct rg_error e;
    CU_ASSERT_EQUAL_FATAL(load(same[0], 0600, &first, &e), 0);
    for (size_t i = 1; i < RG_COUNT(same); i++) {
        CU_ASSERT_EQUAL(load(same[i], i % 2 ? 0640 : 0400, &next, &e), 0);
        CU_ASSERT_EQUAL(memcmp(&first, &next, sizeof first), 0);
    }
    CU_ASSERT_EQUAL(load("00112233445566778899aabbccddeefe\n", 0600, &next, &e), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(&first, &next, sizeof first), 0);
}

/* Nodes of other protocols do not get past the handshake, whatever else changes. */
static void test_key_of_protocol(void)
{
    unsigned char bytes[16], secret[RG_KEY_BYTES];
    char text[sizeof bytes * 2 + 1], label[80];
    unsigned size = sizeof secret;
    struct rg_key loaded;
    struct rg_error e;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(17 * i + 3);
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    CU_ASSERT_EQUAL_FATAL(load(text, 0600, &loaded, &e), 0);
    for (unsigned p = RG_WIRE_PROTOCOL - 1; p <= RG_WIRE_PROTOCOL + 1; p++) {
        snprintf(label, sizeof label, "RingTMP mesh, protocol %u", p);
        HMAC(EVP_sha256(), bytes, sizeof bytes, (const unsigned char *)label, strlen(label), secret,
             &size);
        CU_ASSERT_EQUAL(memcmp(secret, loaded.secret, sizeof secret) == 0, p == RG_WIRE_PROTOCOL);
    }
}

static void test_bad_keys(void)
{
    static const struct {
        const char *text;
        mode_t mode;
        const char *part;
    } bad[] = {{"00112233445566778899aabbccddeeff\n", 0644, "others may read"},
               {"00112233445566778899aabbccddeeff\n", 0620, "others may read or change"},
               {"00112233445566778899aabbccddee\n", 0600, "128 bits at least"},
               {"ABEiM0RVZneImaq7zN3u", 0600, "128 bits at least"},
               {"00112233445566778899aabbccddeeff\n00\n", 0600, "not one line"},
               {"correct horse battery staple, and more of it", 0600, "not one line"},
               {"ABEiM0RVZneImaq7zN3u/w=", 0600, "not one line"},
               {"", 0600, "128 bits"},
               {"00000000000000000000000000000000", 0600, "not random"},
               {"01010101010202020203030303030404", 0600, "not random"}};
    struct rg_key into;
    struct rg_error e;
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        CU_ASSERT_EQUAL(load(bad[i].text, bad[i].mode, &into, &e), RG_ERR_INVALID);
        if (!strstr(e.text, bad[i].part))
            printf("  %s: %s\n", bad[i].text, e.text);
        CU_ASSERT_PTR_NOT_NULL(strstr(e.text, bad[i].part));
        CU_ASSERT_EQUAL(strncmp(e.text, "test_secure_key: ", 17), 0);
    }
    static const char two[] = "00112233445566778899aabbccddeeff\0garbage";
    CU_ASSERT_EQUAL(load_bytes(two, sizeof two, 0600, &into, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "not one line"));
    CU_ASSERT_EQUAL(rg_key_load("/nonexistent/key", &into, &e), RG_ERR_INVALID);
    CU_ASSERT_EQUAL(rg_key_load("/", &into, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "a file is wanted"));
    char *longest = calloc(1, 2000);
    for (int i = 0; i < 1050; i++)
        longest[i] = "0123456789abcdef"[(i * 7 + i / 16) % 16];
    CU_ASSERT_EQUAL(load(longest, 0600, &into, &e), RG_ERR_INVALID);
    longest[1024] = '\0';
    CU_ASSERT_EQUAL(load(longest, 0600, &into, &e), 0);
    free(longest);
}

/* "rank 1 of 3" and a key for each other. */
static void test_keys_of_ranks(void)
{
    static const char a[] = "00112233445566778899aabbccddeeff";
    static const char c[] = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
    static const struct {
        const char *head, *lines[4], *part;
    } bad[] = {{"rank 3 of 3", {a, c, "-"}, "\"rank R of N\""},
               {"rank 1 of 3 x", {a, "-", c}, "\"rank R of N\""},
               {"rank 1 of 3", {a, "-"}, "3 keys are wanted"},
               {"rank 1 of 3", {a, "-", "1234"}, ":4: a key has 128 bits at least"},
               {"rank 1 of 3", {a, "-", c, a}, "more than 3 keys"},
               {"rank 1 of 3", {a, c, "-"}, ":3: this is the rank's own line"},
               {"rank 1 of 3", {"-", "-", c}, ":2: a key is wanted"}};
    struct rg_key into, one, other;
    struct rg_error e;
    char text[300];
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        snprintf(text, sizeof text, "%s\n", bad[i].head);
        for (int k = 0; k < 4 && bad[i].lines[k]; k++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s\n", bad[i].lines[k]);
        CU_ASSERT_EQUAL(load(text, 0600, &into, &e), RG_ERR_INVALID);
        if (!strstr(e.text, bad[i].part))
            printf("  %s: %s\n", text, e.text);
        CU_ASSERT_PTR_NOT_NULL(strstr(e.text, bad[i].part));
        CU_ASSERT_PTR_NULL(into.pairs);
    }
    snprintf(text, sizeof text, "rank 1 of 3\n%s\r\n-\n%s\n", a, c);
    CU_ASSERT_EQUAL_FATAL(load(text, 0600, &into, &e), 0);
    CU_ASSERT_TRUE(into.rank == 1 && into.ranks == 3);
    CU_ASSERT_EQUAL(load(a, 0600, &one, &e) + load(c, 0600, &other, &e), 0);
    CU_ASSERT_EQUAL(memcmp(into.pairs[0], one.secret, RG_KEY_BYTES), 0);
    CU_ASSERT_EQUAL(memcmp(into.pairs[2], other.secret, RG_KEY_BYTES), 0);
    rg_key_forget(&into);
}

/* ---- a line ---- */

enum { TAPE = 1 << 20, CALLER = 0, ANSWERER = 1 };

/* Two ends, each with a socket to the one in the middle. What end i says is counted and kept in
 * tape[i]; from offset cut[i] on it is lost, and the byte at flip[i] is changed. */
struct line {
    int mine[2], middle[2];
    struct rg_secure *end[2];
    struct rg_guard *guard[2];
    unsigned char *tape[2];
    size_t said[2], cut[2], flip[2];
    int state[2];
};

static void open_line(struct line *l, const struct rg_key *a, const struct rg_key *b,
                      enum rg_cipher ca, enum rg_cipher cb)
{
    struct rg_error e;
    memset(l, 0, sizeof *l);
    for (int i = 0; i < 2; i++) {
        int pair[2];
        CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        l->mine[i] = pair[0];
        l->middle[i] = pair[1];
        l->cut[i] = l->flip[i] = SIZE_MAX;
        l->tape[i] = malloc(TAPE);
        CU_ASSERT_EQUAL_FATAL(
            rg_secure_open(i == CALLER ? a : b, i == CALLER ? ca : cb, &l->guard[i], &e), 0);
        l->end[i] = rg_secure_new(l->guard[i], pair[0], i == CALLER);
        CU_ASSERT_PTR_NOT_NULL_FATAL(l->end[i]);
    }
}

static void close_line(struct line *l)
{
    for (int i = 0; i < 2; i++) {
        rg_secure_free(l->end[i]);
        rg_secure_close(l->guard[i]);
        close(l->mine[i]);
        close(l->middle[i]);
        free(l->tape[i]);
    }
}

/* Carry what end i has said to the other. */
static void carry(struct line *l, int i)
{
    unsigned char bytes[4096];
    ssize_t n = recv(l->middle[i], bytes, sizeof bytes, MSG_DONTWAIT);
    if (n <= 0)
        return;
    size_t at = l->said[i], keep = (size_t)n;
    if (l->flip[i] >= at && l->flip[i] < at + keep)
        bytes[l->flip[i] - at] ^= 0x10;
    if (l->cut[i] < at + keep)
        keep = l->cut[i] > at ? l->cut[i] - at : 0;
    if (at + keep <= TAPE)
        memcpy(l->tape[i] + at, bytes, keep);
    l->said[i] += (size_t)n;
    for (size_t put = 0; put < keep;) {
        ssize_t m = send(l->middle[1 - i], bytes + put, keep - put, MSG_NOSIGNAL);
        if (m < 0)
            break;
        put += (size_t)m;
    }
    if (keep < (size_t)n)
        shutdown(l->middle[1 - i], SHUT_WR);
}

static void shake_line(struct line *l)
{
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < 2; i++) {
            if (l->state[i] == 0)
                l->state[i] = rg_secure_shake(l->end[i]);
            carry(l, i);
        }
}

static void expect_refusal(struct line *l, int end, const char *part)
{
    CU_ASSERT_EQUAL(l->state[end], RG_ERR_REFUSED);
    if (!strstr(rg_secure_why(l->end[end]), part))
        printf("  end %d: %s\n", end, rg_secure_why(l->end[end]));
    CU_ASSERT_PTR_NOT_NULL(strstr(rg_secure_why(l->end[end]), part));
}

/* ---- handshakes ---- */

static void test_ciphers(void)
{
    static const struct {
        enum rg_cipher caller, answerer;
        const char *name;
    } cases[] = {{RG_CIPHER_AES, RG_CIPHER_AES, "TLS_AES_128_GCM_SHA256"},
                 {RG_CIPHER_CHACHA, RG_CIPHER_CHACHA, "TLS_CHACHA20_POLY1305_SHA256"},
                 {RG_CIPHER_AES, RG_CIPHER_CHACHA, "TLS_CHACHA20_POLY1305_SHA256"},
                 {RG_CIPHER_CHACHA, RG_CIPHER_AES, "TLS_CHACHA20_POLY1305_SHA256"}};
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        struct line l;
        open_line(&l, &key, &key, cases[i].caller, cases[i].answerer);
        CU_ASSERT_STRING_EQUAL(rg_secure_cipher(l.end[CALLER]), "");
        shake_line(&l);
        for (int end = 0; end < 2; end++) {
            CU_ASSERT_EQUAL(l.state[end], 1);
            CU_ASSERT_STRING_EQUAL(rg_secure_cipher(l.end[end]), cases[i].name);
        }
        close_line(&l);
    }
}

static void test_other_key(void)
{
    struct line l;
    open_line(&l, &key, &other_key, RG_CIPHER_FIT, RG_CIPHER_FIT);
    shake_line(&l);
    expect_refusal(&l, ANSWERER, "it has another key");
    expect_refusal(&l, CALLER, "it does not accept this node's key");
    close_line(&l);
}

/* How many bytes each end says in a good one. */
static void measure_handshake(size_t said[2])
{
    struct line l;
    open_line(&l, &key, &key, RG_CIPHER_FIT, RG_CIPHER_FIT);
    shake_line(&l);
    memcpy(said, l.said, sizeof l.said);
    close_line(&l);
}

/* Every byte of the handshake changed, in turn: whoever sees other bytes than were said refuses.
 * The minor version before the first record is nothing to anybody (RFC 8446, section 5.1). */
static void test_changed_handshake(void)
{
    size_t said[2];
    struct line l;
    measure_handshake(said);
    for (int end = 0; end < 2; end++)
        for (size_t at = 0; at < said[end]; at++) {
            open_line(&l, &key, &key, RG_CIPHER_FIT, RG_CIPHER_FIT);
            l.flip[end] = at;
            shake_line(&l);
            CU_ASSERT_EQUAL(l.state[1 - end] == 1, at == 2);
            close_line(&l);
        }
}

static void test_cut_handshake(void)
{
    size_t said[2];
    struct line l;
    measure_handshake(said);
    for (int end = 0; end < 2; end++)
        for (size_t at = 0; at < said[end]; at++) {
            open_line(&l, &key, &key, RG_CIPHER_FIT, RG_CIPHER_FIT);
            l.cut[end] = at;
            shake_line(&l);
            expect_refusal(&l, 1 - end, "it closed the connection in the handshake");
            close_line(&l);
        }
}

/* A whole good conversation of a caller, said again to the next answerer. */
static void test_replayed_handshake(void)
{
    struct line l, again;
    char text[] = "hello";
    struct iovec part = {text, sizeof text};
    open_line(&l, &key, &key, RG_CIPHER_FIT, RG_CIPHER_FIT);
    shake_line(&l);
    CU_ASSERT_EQUAL(rg_secure_send(l.end[CALLER], &part, 1), sizeof text);
    carry(&l, CALLER);
    open_line(&again, &key, &key, RG_CIPHER_FIT, RG_CIPHER_FIT);
    send(again.middle[ANSWERER], l.tape[CALLER], l.said[CALLER], MSG_NOSIGNAL);
    int state = 0;
    for (int i = 0; i < 20 && state == 0; i++)
        state = rg_secure_shake(again.end[ANSWERER]);
    CU_ASSERT_EQUAL(state, RG_ERR_REFUSED);
    close_line(&again);
    close_line(&l);
}

static void test_garbage(void)
{
    static const struct {
        const char *text, *part;
    } cases[] = {{"GET / HTTP/1.0\r\n\r\n", "it does not speak TLS"},
                 {"SSH-2.0-OpenSSH_9.2\r\n", "it does not speak TLS"},
                 {"RINGTMP\n\1....................", "it runs without a key"},
                 {"\x16\x03\x01\x02\x03nonsense", "closed the connection in the handshake"},
                 {"\x16\x03\x01\x40\x05\x01\x00\x3f\xff\xff\xff", "handshake"}};
    for (size_t i = 0; i < RG_COUNT(cases); i++)
        for (int end = 0; end < 2; end++) {
            struct line l;
            open_line(&l, &key, &key, RG_CIPHER_FIT, RG_CIPHER_FIT);
            rg_secure_shake(l.end[end]);
            send(l.middle[end], cases[i].text, strlen(cases[i].text), MSG_NOSIGNAL);
            shutdown(l.middle[end], SHUT_WR);
            for (int k = 0; k < 5 && l.state[end] == 0; k++)
                l.state[end] = rg_secure_shake(l.end[end]);
            CU_ASSERT_EQUAL(l.state[end], RG_ERR_REFUSED);
            CU_ASSERT_NOT_EQUAL(rg_secure_why(l.end[end])[0], '\0');
            if (i < 3)
                expect_refusal(&l, end, cases[i].part);
            CU_ASSERT_EQUAL(rg_secure_met_plain(l.end[end]), i == 2);
            close_line(&l);
        }
}

/* An ordinary TLS server: with a certificate that it has made itself, and no key. */
static SSL_CTX *ordinary_server(void)
{
    EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *certificate = X509_new();
    SSL_CTX *tls = SSL_CTX_new(TLS_method());
    CU_ASSERT_FATAL(pair && certificate && tls);
    X509_set_pubkey(certificate, pair);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_sign(certificate, pair, EVP_sha256());
    CU_ASSERT_EQUAL_FATAL(SSL_CTX_use_certificate(tls, certificate), 1);
    CU_ASSERT_EQUAL_FATAL(SSL_CTX_use_PrivateKey(tls, pair), 1);
    X509_free(certificate);
    EVP_PKEY_free(pair);
    return tls;
}

static void test_no_key(void)
{
    SSL_CTX *tls = ordinary_server();
    for (int end = 0; end < 2; end++) { /* ours; the ordinary one is in the middle */
        struct line l;
        open_line(&l, &key, &key, RG_CIPHER_FIT, RG_CIPHER_FIT);
        SSL *ordinary = SSL_new(tls);
        SSL_set_fd(ordinary, l.middle[end]);
        if (end == CALLER)
            SSL_set_accept_state(ordinary);
        else
            SSL_set_connect_state(ordinary);
        for (int i = 0; i < 20; i++) {
            if (l.state[end] == 0)
                l.state[end] = rg_secure_shake(l.end[end]);
            SSL_do_handshake(ordinary);
        }
        expect_refusal(&l, end, "it does not prove that it has the key");
        SSL_free(ordinary);
        close_line(&l);
    }
    SSL_CTX_free(tls);
}

/* ---- data ---- */

/* Both ends send at once, in pieces of all sizes, and renew their keys again and again. */
static void test_data(void)
{
    enum { BYTES = 3 << 20 };
    struct line l;
    unsigned char *out = malloc(BYTES), *in[2] = {malloc(BYTES), malloc(BYTES)};
    size_t sent[2] = {0}, got[2] = {0};
    struct rg_random *random = rg_random_new(1, RG_STREAM_TEST, 0);
    CU_ASSERT_FATAL(out && in[0] && in[1]);
    for (size_t i = 0; i < BYTES; i++)
        out[i] = (unsigned char)(i * 31 + i / 251);
    open_line(&l, &key, &key, RG_CIPHER_FIT, RG_CIPHER_CHACHA);
    shake_line(&l);
    for (int i = 0; i < 2; i++) {
        rg_secure_read_ahead(l.end[i]);
        rg_secure_renew_after(l.end[i], 100000);
    }
    for (long round = 0; (got[0] < BYTES || got[1] < BYTES) && round < 1000000; round++) {
        int i = (int)(round % 2);
        size_t most = rg_random_below(random, round % 3 ? 2000 : 200000), half = most / 3;
        size_t n = RG_MIN(BYTES - sent[i], most), a = RG_MIN(n, half);
        struct iovec part[3] = {{out + sent[i], a}, {NULL, 0}, {out + sent[i] + a, n - a}};
        ssize_t put = rg_secure_send(l.end[i], part, 3);
        CU_ASSERT_FATAL(put >= 0 || errno == EAGAIN);
        sent[i] += put > 0 ? (size_t)put : 0;
        carry(&l, i);
        carry(&l, i);
        size_t room = RG_MIN(BYTES - got[i], most + 1);
        struct iovec into[2] = {{in[i] + got[i], room / 2},
                                {in[i] + got[i] + room / 2, room - room / 2}};
        rg_secure_allow(l.end[i], 1 + most);
        ssize_t n_in = room ? rg_secure_recv(l.end[i], into, 2) : 0;
        CU_ASSERT_FATAL(n_in > 0 || room == 0 || (n_in < 0 && errno == EAGAIN));
        got[i] += n_in > 0 ? (size_t)n_in : 0;
    }
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(got[i], BYTES);
        CU_ASSERT_EQUAL(memcmp(in[i], out, BYTES), 0);
        CU_ASSERT(rg_secure_wire_sent(l.end[i]) > BYTES);
        CU_ASSERT(rg_secure_wire_received(l.end[i]) > BYTES);
        free(in[i]);
    }
    free(out);
    rg_random_free(random);
    close_line(&l);
}

/* Bytes that come out of end i's socket for a header and a payload, however often it is full. */
static size_t said_for(struct line *l, int i, const unsigned char *payload, size_t bytes)
{
    unsigned char header[RG_MESSAGE_HEADER] = {0}, *out = malloc(TAPE);
    size_t sent = 0, said = 0, all = sizeof header + bytes;
    ssize_t n;
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    do {
        size_t head = RG_MIN(sent, sizeof header), at = sent - head;
        struct iovec part[2] = {{header + head, sizeof header - head},
                                {(void *)(payload + at), bytes - at}};
        n = rg_secure_send(l->end[i], part, 2);
        CU_ASSERT_FATAL(n >= 0 || errno == EAGAIN);
        sent += n > 0 ? (size_t)n : 0;
        while ((n = recv(l->middle[i], out, TAPE, MSG_DONTWAIT)) > 0)
            said += (size_t)n;
    } while (sent < all || rg_secure_unsent(l->end[i]));
    free(out);
    return said;
}

/* What a message is said to cost is what OpenSSL writes. */
static void test_overhead(void)
{
    static const size_t sizes[] = {0,     1,     1000,  16351, 16352,   16353,  16384,
                                   16385, 32736, 32737, 60000, 1 << 20, 4000000};
    static const enum rg_cipher ciphers[] = {RG_CIPHER_AES, RG_CIPHER_CHACHA};
    unsigned char *payload = calloc(1, 4000000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(payload);
    for (size_t c = 0; c < RG_COUNT(ciphers); c++) {
        struct line l;
        open_line(&l, &key, &key, ciphers[c], ciphers[c]);
        shake_line(&l);
        CU_ASSERT_STRING_EQUAL(rg_secure_cipher(l.end[CALLER]),
                               c ? "TLS_CHACHA20_POLY1305_SHA256" : "TLS_AES_128_GCM_SHA256");
        for (size_t i = 0; i < RG_COUNT(sizes); i++) {
            size_t wanted = sizes[i] + RG_MESSAGE_HEADER + rg_tls_bytes(sizes[i]);
            uint64_t before = rg_secure_wire_sent(l.end[CALLER]);
            CU_ASSERT_EQUAL(said_for(&l, CALLER, payload, sizes[i]), wanted);
            CU_ASSERT_EQUAL(rg_secure_wire_sent(l.end[CALLER]) - before, wanted);
        }
        close_line(&l);
    }
    free(payload);
}

/* A record that is changed, left out, said twice or cut off on the way. */
static void test_changed_data(void)
{
    enum { CHANGED, LEFT_OUT, TWICE, CUT, WAYS };
    for (int way = 0; way < WAYS; way++) {
        struct line l;
        char text[3][100] = {"first", "second", "third"}, in[400];
        struct iovec into = {in, sizeof in};
        open_line(&l, &key, &key, RG_CIPHER_FIT, RG_CIPHER_FIT);
        shake_line(&l);
        rg_secure_read_ahead(l.end[ANSWERER]);
        size_t received = 0;
        ssize_t n = 0;
        for (int i = 0; i < 3; i++) {
            unsigned char bytes[400];
            struct iovec part = {text[i], sizeof text[i]};
            CU_ASSERT_EQUAL(rg_secure_send(l.end[CALLER], &part, 1), sizeof text[i]);
            ssize_t size = recv(l.middle[CALLER], bytes, sizeof bytes, 0);
            CU_ASSERT_FATAL(size > 0);
            if (i == 1 && way == CHANGED)
                bytes[size / 2] ^= 1;
            if (i != 1 || way == CHANGED || way == TWICE)
                send(l.middle[ANSWERER], bytes, (size_t)size, MSG_NOSIGNAL);
            if (i == 1 && way == TWICE)
                send(l.middle[ANSWERER], bytes, (size_t)size, MSG_NOSIGNAL);
            if (i == 1 && way == CUT) {
                send(l.middle[ANSWERER], bytes, (size_t)size - 1, MSG_NOSIGNAL);
                shutdown(l.middle[ANSWERER], SHUT_WR);
                break;
            }
        }
        while ((n = rg_secure_recv(l.end[ANSWERER], &into, 1)) > 0)
            received += (size_t)n;
        CU_ASSERT_EQUAL(received, (way == TWICE ? 2 : 1) * sizeof text[0]);
        CU_ASSERT_EQUAL(n, way == CUT ? 0 : -1);
        CU_ASSERT(way == CUT || errno == EPROTO);
        CU_ASSERT(way == CUT || strstr(rg_secure_why(l.end[ANSWERER]), "do not decipher"));
        n = rg_secure_recv(l.end[ANSWERER], &into, 1); /* and it stays so */
        CU_ASSERT(way == CUT ? n == 0 : n == -1 && errno == EPROTO);
        close_line(&l);
    }
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"key files", test_keys},
                                              {"bad key files", test_bad_keys},
                                              {"keys of ranks", test_keys_of_ranks},
                                              {"a key of its protocol", test_key_of_protocol},
                                              {"ciphers", test_ciphers},
                                              {"another key", test_other_key},
                                              {"changed handshakes", test_changed_handshake},
                                              {"cut handshakes", test_cut_handshake},
                                              {"replayed handshakes", test_replayed_handshake},
                                              {"garbage", test_garbage},
                                              {"no key", test_no_key},
                                              {"data", test_data},
                                              {"what a key adds", test_overhead},
                                              {"changed data", test_changed_data}};
    return suite_main("secure", tests, RG_COUNT(tests), argc, argv);
}
