/* The bytes between two ranks, without a socket: what to write next, where to put what is read. */
#ifndef RG_POSIX_STREAM_H
#define RG_POSIX_STREAM_H

#include "posix/match.h"
#include <sys/types.h>
#include <sys/uio.h>

enum { RG_STREAM_MESSAGES = 8 }; /* in one system call */

/* What one system call is to write: frames, then segments of messages, headers and payload. */
struct rg_batch {
    struct iovec part[1 + 2 * RG_STREAM_MESSAGES];
    unsigned char headers[RG_STREAM_MESSAGES][RG_MESSAGE_HEADER];
    int parts, messages;
    size_t bytes;
};

/* Fills in what is to be written next (0 bytes: nothing). The batch must not move until
 * rg_stream_wrote has said how much of it was; a new one takes up the rest. */
void rg_stream_plan(struct rg_pair *p, struct rg_batch *batch);
void rg_stream_wrote(struct rg_pair *p, size_t bytes);
/* May a message that waits start now? Then it had better leave before more is read. */
bool rg_stream_may_start(const struct rg_pair *p);

/* Where the next bytes are to be read to: payload straight to its place (empty, where none is
 * due or it is thrown away), what follows to the staging area. */
void rg_stream_room(struct rg_pair *p, struct iovec part[2]);
/* So many bytes have been read there. NULL, or what is wrong with them: the connection cannot go
 * on, and rg_stream_code says for which kind of reason. */
const char *rg_stream_read(struct rg_pair *p, size_t bytes);
/* RG_ERR_NOMEM or RG_ERR_PROTOCOL. */
int rg_stream_code(const char *wrong);

#endif
