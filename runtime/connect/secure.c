/* TLS 1.3 with a key that both ends have beforehand, on sockets that do not block.
 *
 * Happy path: an ephemeral Diffie-Hellman exchange (what is recorded today stays secret if the key
 * leaks tomorrow), authenticated by the key at both ends; no certificates, no tickets, no early
 * data, so nothing of a handshake can be replayed. What is sent is enciphered record by record into
 * a buffer that leaves in few system calls; what comes in is read in few, and deciphered into its
 * place. Keys are renewed long before a cipher has been used too often.
 *
 * A key that all have proves that the other end has it, not which rank it is: the hello inside says
 * who calls whom, and a node that is led back to itself finds a rank that is not the one it called.
 * Where each rank has keys of its own, one for each other rank, a caller names itself beside the
 * key, and who answers takes that which it shares with that rank.
 *
 * Failure modes handled: another key; no key (an ordinary TLS client or server, certificate or
 * not); a node that speaks without TLS; other protocols; a handshake that ends early; bytes that
 * were changed, left out, or sent again on the way; a socket that fails. Each has its words. */
#include "connect/secure.h"

#include "base/bytes.h"
#include "base/check.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#if defined(__aarch64__) || defined(__arm__)
#include <sys/auxv.h>
#endif

enum {
    RECORD = RG_TLS_RECORD,
    RECORD_MORE = 64, /* of header, tag and padding, at most */
    BATCH = 8,        /* records in one system call */
    SPARE = 4 << 10,  /* for what TLS itself says */
    OUT = BATCH * (RECORD + RECORD_MORE) + SPARE,
    IN = 128 << 10,
    FIRST = 5 /* that OpenSSL reads of anything before it judges it */
};
_Static_assert(RECORD == SSL3_RT_MAX_PLAIN_LENGTH, "records are full");
#define RENEW_AFTER ((uint64_t)1 << 36) /* AES-GCM: 2^24.5 records, RFC 8446 section 5.5 */

static const char identity[] = "RingTMP"; /* behind it, where keys are of ranks, a caller's own */
enum { IDENTITY_MOST = 24 };
static const char plain[] = "RINGTMP\n"; /* a hello without TLS begins so */

struct rg_guard {
    SSL_CTX *tls;
    struct rg_key key;
};

struct rg_secure {
    SSL *ssl;
    int fd;
    int peer; /* the rank that the key in use is shared with; -1: all have it */
    bool caller, shaken, failed, ahead;
    bool ended;       /* nothing more comes from the socket */
    bool over;        /* and all that came has been given out */
    int socket_error; /* errno of a socket that failed, or 0 */
    unsigned char first[FIRST];
    size_t first_count;
    size_t allowance; /* that may still be read from the socket */
    size_t in_at, in_end, out_at, out_end;
    uint64_t wire_sent, wire_received, unrenewed, renew_after;
    char why[160], identity[IDENTITY_MOST];
    unsigned char in[IN], out[OUT], gathered[RECORD];
};

/* ---- the socket, as OpenSSL sees it ---- */

static bool would_block(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

static ssize_t from_socket(struct rg_secure *s, void *to, size_t room)
{
    ssize_t n;
    room = RG_MIN(room, s->allowance);
    if (room == 0) {
        errno = EAGAIN;
        return -1;
    }
    do
        n = recv(s->fd, to, room, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    s->ended |= n == 0;
    if (n < 0 && !would_block(errno))
        s->socket_error = errno;
    if (n <= 0)
        return n;
    size_t look = RG_MIN((size_t)n, FIRST - s->first_count);
    memcpy(s->first + s->first_count, to, look);
    s->first_count += look;
    s->wire_received += (size_t)n;
    if (s->allowance != SIZE_MAX)
        s->allowance -= (size_t)n;
    return n;
}

static int bio_read(BIO *bio, char *to, size_t room, size_t *got)
{
    struct rg_secure *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *got = 0;
    if (s->in_at == s->in_end && s->ahead) {
        ssize_t n = from_socket(s, s->in, sizeof s->in);
        s->in_at = 0;
        s->in_end = n > 0 ? (size_t)n : 0;
    } else if (s->in_at == s->in_end) {
        ssize_t n = from_socket(s, to, room);
        *got = n > 0 ? (size_t)n : 0;
    }
    if (s->in_at < s->in_end) {
        *got = RG_MIN(room, s->in_end - s->in_at);
        memcpy(to, s->in + s->in_at, *got);
        s->in_at += *got;
    }
    if (*got == 0 && !s->ended && !s->socket_error)
        BIO_set_retry_read(bio);
    return *got > 0;
}

/* rg_secure_send sees to it that there is room. */
static int bio_write(BIO *bio, const char *from, size_t bytes, size_t *put)
{
    struct rg_secure *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *put = RG_MIN(bytes, sizeof s->out - s->out_end);
    memcpy(s->out + s->out_end, from, *put);
    s->out_end += *put;
    if (*put == 0)
        BIO_set_retry_write(bio);
    return *put > 0;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    struct rg_secure *s = BIO_get_data(bio);
    (void)number, (void)pointer;
    if (command == BIO_CTRL_EOF)
        return s->ended;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method;

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "rg_secure");
    if (!bio_method)
        return;
    BIO_meth_set_read_ex(bio_method, bio_read);
    BIO_meth_set_write_ex(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_control);
}

bool rg_secure_unsent(const struct rg_secure *s)
{
    return s->out_at < s->out_end;
}

bool rg_secure_push(struct rg_secure *s)
{
    while (s->out_at < s->out_end) {
        ssize_t n =
            send(s->fd, s->out + s->out_at, s->out_end - s->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        s->out_at += (size_t)n;
        s->wire_sent += (size_t)n;
    }
    s->out_at = s->out_end = 0;
    return true;
}

/* ---- the key ---- */

/* The key as the session that TLS 1.3 resumes. Its cipher stands for the hash, SHA-256, which both
 * ciphers in use have. */
static SSL_SESSION *session_of(SSL *ssl)
{
    static const unsigned char suite[] = {0x13, 0x01}; /* TLS_AES_128_GCM_SHA256 */
    const struct rg_guard *guard = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const struct rg_secure *s = SSL_get_app_data(ssl);
    const unsigned char *secret = s->peer >= 0 ? guard->key.pairs[s->peer] : guard->key.secret;
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, suite);
    SSL_SESSION *session = SSL_SESSION_new();
    if (cipher && session && SSL_SESSION_set_cipher(session, cipher) &&
        SSL_SESSION_set1_master_key(session, secret, RG_KEY_BYTES) &&
        SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION))
        return session;
    SSL_SESSION_free(session);
    return NULL;
}

static int offer_key(SSL *ssl, const EVP_MD *hash, const unsigned char **id, size_t *bytes,
                     SSL_SESSION **session)
{
    const struct rg_guard *guard = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct rg_secure *s = SSL_get_app_data(ssl);
    RG_ASSERT(!guard->key.pairs || (s->peer >= 0 && s->peer < guard->key.ranks));
    int length =
        s->peer < 0 ? snprintf(s->identity, sizeof s->identity, "%s", identity)
                    : snprintf(s->identity, sizeof s->identity, "%s %d", identity, guard->key.rank);
    *id = (const unsigned char *)s->identity;
    *bytes = (size_t)length;
    *session = NULL;
    if (hash && EVP_MD_get_type(hash) != NID_sha256)
        return 1;
    *session = session_of(ssl);
    return *session != NULL;
}

static int find_key(SSL *ssl, const unsigned char *id, size_t bytes, SSL_SESSION **session)
{
    const struct rg_guard *guard = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct rg_secure *s = SSL_get_app_data(ssl);
    char text[IDENTITY_MOST] = "", wanted[IDENTITY_MOST];
    bool pairs = guard->key.pairs != NULL;
    memcpy(text, id, RG_MIN(bytes, sizeof text - 1));
    int rank = pairs ? atoi(text + RG_MIN(strlen(text), sizeof identity - 1)) : -1;
    snprintf(wanted, sizeof wanted, pairs ? "%s %d" : "%s", identity, rank);
    bool known = strlen(wanted) == bytes && memcmp(id, wanted, bytes) == 0;
    if (pairs)
        known = known && rank >= 0 && rank < guard->key.ranks && rank != guard->key.rank;
    s->peer = known ? rank : -1;
    *session = known ? session_of(ssl) : NULL;
    return !known || *session != NULL;
}

/* ---- which cipher ---- */

static bool has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
    return getauxval(AT_HWCAP) >> 3 & getauxval(AT_HWCAP) >> 4 & 1; /* HWCAP_AES, HWCAP_PMULL */
#elif defined(__arm__)
    return getauxval(AT_HWCAP2) & getauxval(AT_HWCAP2) >> 1 & 1; /* HWCAP2_AES, HWCAP2_PMULL */
#else
    return false;
#endif
}

/* Whatever the one that answers prefers itself, it takes ChaCha20 from a caller without AES. */
static bool set_ciphers(SSL_CTX *tls, enum rg_cipher cipher)
{
    bool aes = cipher == RG_CIPHER_FIT ? has_aes() : cipher == RG_CIPHER_AES;
    SSL_CTX_set_options(tls, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    return SSL_CTX_set_ciphersuites(tls, aes ? "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
                                             : "TLS_CHACHA20_POLY1305_SHA256:"
                                               "TLS_AES_128_GCM_SHA256") == 1;
}

/* ---- guards and connections ---- */

static bool copy_key(const struct rg_key *from, struct rg_key *to)
{
    size_t bytes = (size_t)from->ranks * sizeof *from->pairs;
    *to = *from;
    to->pairs = from->pairs ? malloc(bytes + 1) : NULL;
    if (from->pairs && to->pairs)
        memcpy(to->pairs, from->pairs, bytes);
    return !from->pairs || to->pairs;
}

int rg_secure_open(const struct rg_key *key, enum rg_cipher cipher, struct rg_guard **guard,
                   struct rg_error *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_bio_method);
    struct rg_guard *g = calloc(1, sizeof *g);
    SSL_CTX *tls = SSL_CTX_new(TLS_method());
    *guard = NULL;
    if (!g || !copy_key(key, &g->key) || !tls || !bio_method ||
        !SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) ||
        !SSL_CTX_set_max_proto_version(tls, TLS1_3_VERSION) || !set_ciphers(tls, cipher) ||
        SSL_CTX_set1_groups_list(tls, "X25519:P-256") != 1) {
        const char *reason = ERR_reason_error_string(ERR_get_error());
        ERR_clear_error();
        SSL_CTX_free(tls);
        if (g)
            rg_key_forget(&g->key);
        free(g);
        return rg_fail(e, RG_ERR_INTERNAL, "TLS 1.3 is not to be had: %s",
                       reason ? reason : "no memory");
    }
    g->tls = tls;
    SSL_CTX_set_app_data(tls, g);
    SSL_CTX_set_psk_use_session_callback(tls, offer_key);
    SSL_CTX_set_psk_find_session_callback(tls, find_key);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(tls, 0);
    SSL_CTX_set_options(tls, SSL_OP_NO_TICKET);
    SSL_CTX_clear_options(tls, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    *guard = g;
    return 0;
}

void rg_secure_close(struct rg_guard *guard)
{
    if (!guard)
        return;
    SSL_CTX_free(guard->tls);
    rg_key_forget(&guard->key);
    free(guard);
}

struct rg_secure *rg_secure_new(struct rg_guard *guard, int fd, bool caller)
{
    struct rg_secure *s = calloc(1, sizeof *s);
    SSL *ssl = SSL_new(guard->tls);
    BIO *bio = BIO_new(bio_method);
    if (!s || !ssl || !bio) {
        BIO_free(bio);
        SSL_free(ssl);
        free(s);
        return NULL;
    }
    s->ssl = ssl;
    s->fd = fd;
    s->caller = caller;
    s->peer = -1;
    SSL_set_app_data(ssl, s);
    s->allowance = SIZE_MAX;
    s->renew_after = RENEW_AFTER;
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    if (caller) {
        SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL); /* no certificate stands for the key */
        SSL_set_connect_state(ssl);
    } else {
        SSL_set_accept_state(ssl);
    }
    return s;
}

void rg_secure_call(struct rg_secure *s, int rank)
{
    const struct rg_guard *guard = SSL_CTX_get_app_data(SSL_get_SSL_CTX(s->ssl));
    if (guard->key.pairs)
        s->peer = rank;
}

int rg_secure_peer(const struct rg_secure *s)
{
    return s->peer;
}

void rg_secure_free(struct rg_secure *s)
{
    if (!s)
        return;
    SSL_free(s->ssl);
    OPENSSL_cleanse(s->in, sizeof s->in);
    OPENSSL_cleanse(s->gathered, sizeof s->gathered);
    free(s);
}

const char *rg_secure_why(const struct rg_secure *s)
{
    return s->why;
}

const char *rg_secure_cipher(const struct rg_secure *s)
{
    return s->shaken ? SSL_get_cipher_name(s->ssl) : "";
}

bool rg_secure_met_plain(const struct rg_secure *s)
{
    return s->first_count == FIRST && memcmp(s->first, plain, FIRST) == 0;
}

uint64_t rg_secure_wire_sent(const struct rg_secure *s)
{
    return s->wire_sent;
}

uint64_t rg_secure_wire_received(const struct rg_secure *s)
{
    return s->wire_received;
}

void rg_secure_renew_after(struct rg_secure *s, uint64_t bytes)
{
    s->renew_after = bytes;
}

void rg_secure_allow(struct rg_secure *s, size_t bytes)
{
    s->allowance = bytes;
}

void rg_secure_read_ahead(struct rg_secure *s)
{
    s->ahead = true;
}

bool rg_secure_pending(const struct rg_secure *s)
{
    return s->in_at < s->in_end || SSL_has_pending(s->ssl);
}

/* ---- the handshake ---- */

/* Words for what OpenSSL complains about in a handshake. */
static void explain(struct rg_secure *s)
{
    unsigned long error = ERR_peek_error();
    int reason = ERR_GET_REASON(error);
    const char *text = ERR_reason_error_string(error), *why = NULL;
    bool spoke = s->first_count > 0, tls = s->first[0] == 22 || s->first[0] == 21;
    if (rg_secure_met_plain(s))
        why = "it runs without a key, and this node has one";
    else if (s->socket_error)
        why = strerror(s->socket_error);
    else if (spoke && !tls)
        why = "it does not speak TLS";
    else if (s->ended)
        why = "it closed the connection in the handshake";
    else if (reason == SSL_R_BINDER_DOES_NOT_VERIFY)
        why = "it has another key, or another version's protocol";
    else if (reason == SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER ||
             reason == SSL_R_TLSV1_ALERT_DECRYPT_ERROR || reason == SSL_R_BAD_PSK)
        why = "it does not accept this node's key, or has another version's protocol";
    else if (reason == SSL_R_NO_SHARED_CIPHER || reason == SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM ||
             reason == SSL_R_CERTIFICATE_VERIFY_FAILED ||
             reason == SSL_R_MISSING_PSK_KEX_MODES_EXTENSION)
        why = "it does not prove that it has the key";
    if (why)
        snprintf(s->why, sizeof s->why, "%s", why);
    else
        snprintf(s->why, sizeof s->why, "the handshake failed: %s",
                 text ? text : "no reason known");
}

int rg_secure_shake(struct rg_secure *s)
{
    if (s->failed)
        return RG_ERR_REFUSED;
    ERR_clear_error();
    int result = SSL_do_handshake(s->ssl), error = SSL_get_error(s->ssl, result);
    bool alive = result == 1 || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
    if (result == 1 && !SSL_session_reused(s->ssl)) { /* a certificate, or nothing at all */
        alive = false;
        snprintf(s->why, sizeof s->why, "it does not prove that it has the key");
    } else if (!alive) {
        explain(s);
    }
    ERR_clear_error();
    if (!alive && rg_secure_met_plain(s))
        s->out_at = s->out_end = 0; /* it would not understand the alert */
    if (!rg_secure_push(s) && !would_block(errno) && alive) {
        snprintf(s->why, sizeof s->why, "%s", strerror(errno));
        alive = false;
    }
    s->failed = !alive;
    s->shaken = alive && result == 1;
    return !alive ? RG_ERR_REFUSED : s->shaken;
}

/* ---- data ---- */

/* Where one is in the parts. */
struct cursor {
    const struct iovec *part;
    int parts;
    size_t at; /* in the first */
};

static void skip_done(struct cursor *c)
{
    while (c->parts && c->at == c->part->iov_len) {
        c->part++;
        c->parts--;
        c->at = 0;
    }
}

/* The plaintext of the next record: where it lies if it lies in one piece, else gathered. */
static const unsigned char *next_record(struct rg_secure *s, struct cursor *c, size_t *bytes)
{
    const unsigned char *from = (const unsigned char *)c->part->iov_base + c->at;
    *bytes = RG_MIN(c->part->iov_len - c->at, (size_t)RECORD);
    c->at += *bytes;
    skip_done(c);
    if (*bytes == RECORD || c->parts == 0)
        return from;
    memcpy(s->gathered, from, *bytes);
    while (*bytes < RECORD && c->parts) {
        size_t n = RG_MIN(c->part->iov_len - c->at, RECORD - *bytes);
        memcpy(s->gathered + *bytes, (const unsigned char *)c->part->iov_base + c->at, n);
        *bytes += n;
        c->at += n;
        skip_done(c);
    }
    return s->gathered;
}

static ssize_t break_down(struct rg_secure *s, const char *doing)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    if (!s->failed)
        snprintf(s->why, sizeof s->why, "%s: %s", doing, reason ? reason : "no reason known");
    s->failed = true;
    ERR_clear_error();
    errno = EPROTO;
    return -1;
}

static bool put_record(struct rg_secure *s, const unsigned char *from, size_t bytes)
{
    size_t put;
    s->unrenewed += bytes;
    if (s->unrenewed > s->renew_after) {
        s->unrenewed = 0;
        if (SSL_key_update(s->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1)
            return false;
    }
    return SSL_write_ex(s->ssl, from, bytes, &put) == 1 && put == bytes;
}

ssize_t rg_secure_send(struct rg_secure *s, const struct iovec *part, int parts)
{
    struct cursor c = {part, parts, 0};
    size_t taken = 0;
    ERR_clear_error();
    if (!rg_secure_push(s))
        return -1;
    skip_done(&c);
    do {
        for (int i = 0; i < BATCH && c.parts; i++) {
            size_t bytes;
            const unsigned char *from = next_record(s, &c, &bytes);
            if (s->failed || !put_record(s, from, bytes))
                return break_down(s, "it cannot be enciphered");
            taken += bytes;
        }
    } while (rg_secure_push(s) && c.parts);
    return (ssize_t)taken;
}

ssize_t rg_secure_recv(struct rg_secure *s, const struct iovec *part, int parts)
{
    struct cursor c = {part, parts, 0};
    size_t total = 0, got;
    int error = SSL_ERROR_NONE;
    ERR_clear_error();
    skip_done(&c);
    while (c.parts && !s->failed && !s->over) {
        unsigned char *to = (unsigned char *)c.part->iov_base + c.at;
        if (SSL_read_ex(s->ssl, to, c.part->iov_len - c.at, &got) != 1) {
            error = SSL_get_error(s->ssl, 0);
            break;
        }
        total += got;
        c.at += got;
        skip_done(&c);
    }
    bool again = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
    if (error == SSL_ERROR_SSL &&
        ERR_GET_REASON(ERR_peek_error()) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
        break_down(s, "its data do not decipher");
    else if (error != SSL_ERROR_NONE && !again)
        s->over = true;
    ERR_clear_error();
    if (total || !c.parts)
        return (ssize_t)total;
    errno = s->failed ? EPROTO : again ? EAGAIN : s->socket_error;
    return s->failed || again || s->socket_error ? -1 : 0;
}
