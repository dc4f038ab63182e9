/* Who may talk: a key that all nodes share, and TLS 1.3 between any two of them that proves it.
 *
 *     rg_key_load(file, &key, &error);
 *     rg_secure_open(&key, RG_CIPHER_FIT, &guard, &error);    one for a join
 *     s = rg_secure_new(guard, fd, caller);                   one for a connection
 *     while (rg_secure_shake(s) == 0) wait for the socket;
 *     rg_secure_send, rg_secure_recv: as sendmsg and readv on a socket that does not block
 *
 * A connection is used by one thread at a time. Sockets stay the caller's. */
#ifndef RG_CONNECT_SECURE_H
#define RG_CONNECT_SECURE_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define RG_KEY_BYTES 32

/* What is derived from a key file: one secret that all have, or the keys of a rank. */
struct rg_key {
    unsigned char secret[RG_KEY_BYTES];
    int rank, ranks; /* of `pairs` */
    unsigned char (
        *pairs)[RG_KEY_BYTES]; /* [ranks], malloc'ed: by whom it is shared with; or NULL */
};

/* One line of hexadecimal digits or base64, 128 to 4096 bits: a key for all. Or "rank R of N" and N
 * such lines: that of line r is known to ranks R and r alone, so that it proves which rank has it;
 * its own line is "-". Errors: RG_ERR_INVALID as FILE: what is wrong (no such file, others may read
 * or change it, too short, not random, ...). */
int rg_key_load(const char *file, struct rg_key *key, struct rg_error *e);
void rg_key_forget(struct rg_key *key);

/* The order of preference; either cipher is taken from a peer that can do no better. */
enum rg_cipher {
    RG_CIPHER_FIT, /* AES-GCM where this processor has instructions for it, else ChaCha20 */
    RG_CIPHER_AES,
    RG_CIPHER_CHACHA
};

struct rg_guard;  /* what the connections of a join have in common */
struct rg_secure; /* TLS on one connection */

int rg_secure_open(const struct rg_key *key, enum rg_cipher cipher, struct rg_guard **guard,
                   struct rg_error *e);
void rg_secure_close(struct rg_guard *guard); /* connections that have shaken hands live on */

/* `caller`: this end has called the other. NULL: no memory. */
struct rg_secure *rg_secure_new(struct rg_guard *guard, int fd, bool caller);
void rg_secure_free(struct rg_secure *s); /* NULL is allowed; the socket stays open */

/* The rank that the other end is, before the handshake of a caller; after it, as proved by its key;
 * -1: any that has the key. */
void rg_secure_call(struct rg_secure *s, int rank);
int rg_secure_peer(const struct rg_secure *s);

/* 1: both ends have proved that they know the key; 0: to be called again when the socket can be
 * read (or written, where rg_secure_unsent); RG_ERR_REFUSED: it came to nothing, rg_secure_why says
 * why. */
int rg_secure_shake(struct rg_secure *s);
const char *rg_secure_why(const struct rg_secure *s);
/* The other end has begun as nodes do that have no key. */
bool rg_secure_met_plain(const struct rg_secure *s);
const char *rg_secure_cipher(const struct rg_secure *s); /* its name; "" before the handshake */

/* Bytes taken from the parts, or -1 and errno: EAGAIN (no room), EPROTO (rg_secure_why) or the
 * socket's. What has been taken may still be here: rg_secure_unsent, until rg_secure_push has got
 * rid of it (true). */
ssize_t rg_secure_send(struct rg_secure *s, const struct iovec *part, int parts);
bool rg_secure_unsent(const struct rg_secure *s);
bool rg_secure_push(struct rg_secure *s); /* false: errno, as above */

/* Fills the parts in order with what is there; 0: the other end has closed; -1 and errno, as above.
 * Reads at most the allowance from the socket and then answers EAGAIN, but gives out all that it
 * has read: poll tells whether there is more only after EAGAIN. */
ssize_t rg_secure_recv(struct rg_secure *s, const struct iovec *part, int parts);
void rg_secure_allow(struct rg_secure *s, size_t bytes);
/* From now on reads ahead. Before, what follows a message is left in the socket. */
void rg_secure_read_ahead(struct rg_secure *s);
bool rg_secure_pending(const struct rg_secure *s); /* something has been read and not given out */

/* Bytes through the socket, ever. */
uint64_t rg_secure_wire_sent(const struct rg_secure *s);
uint64_t rg_secure_wire_received(const struct rg_secure *s);
/* New keys after so many bytes sent (tests; the default is far within what AES-GCM allows). */
void rg_secure_renew_after(struct rg_secure *s, uint64_t bytes);

#endif
