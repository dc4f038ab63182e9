/* What the sources of matching share, and nobody else: match.c (lists, cancelling, messages to
 * oneself, the end), match_send.c and match_receive.c (frames that are about what this rank sends,
 * receives) and match_frames.c (which frame goes where). mesh.h has what others call. */
#ifndef RG_POSIX_MATCH_PARTS_H
#define RG_POSIX_MATCH_PARTS_H

#include "posix/mesh.h"

/* ---- match.c ---- */

void rg_match_list_first(struct rg_ops_list *list, struct rg_op *op);
/* The oldest receive of the tag that has no message, or NULL. */
struct rg_op *rg_match_first_receive(const struct rg_peer *p, uint32_t tag);

/* ---- match_send.c ---- */

/* The send is off its list, and done. */
void rg_match_end_send(struct rg_peer *p, struct rg_op *op, int outcome);
/* Frames: NULL, or what is wrong with it. */
const char *rg_match_on_ack(struct rg_peer *p, const struct rg_header *h);
const char *rg_match_on_grant(struct rg_peer *p, const struct rg_header *h);
const char *rg_match_on_expect(struct rg_peer *p, const struct rg_header *h);
const char *rg_match_on_retract(struct rg_peer *p, const struct rg_header *h);

/* ---- match_receive.c ---- */

/* May the receive take a message of so many bytes? */
bool rg_match_fits(const struct rg_op *receive, size_t bytes);
/* A receive of the tag that the sender was told of will take no message. */
void rg_match_retract(struct rg_peer *p, uint32_t tag);
/* What comes before the receives of the tag, `from` on, has changed. */
void rg_match_announce_again(struct rg_peer *p, uint32_t tag, struct rg_op *from);
/* The first receive of its tag, if there is one, takes the incoming message. */
bool rg_match_attach_first(struct rg_peer *p);
/* The incoming message, all there, waits for its receive; NULL, or what is wrong. */
const char *rg_match_keep_parcel(struct rg_peer *p);
/* Nothing is arriving any more. */
void rg_match_end_incoming(struct rg_peer *p);
/* Payload of a segment follows, as its header says. */
const char *rg_match_begin_segment(struct rg_peer *p, const struct rg_header *h);
/* Frames: NULL, or what is wrong with it. */
const char *rg_match_on_data(struct rg_peer *p, const struct rg_header *h);
const char *rg_match_on_more(struct rg_peer *p, const struct rg_header *h);
const char *rg_match_on_ask(struct rg_peer *p, const struct rg_header *h);
const char *rg_match_on_withdraw(struct rg_peer *p, const struct rg_header *h);
const char *rg_match_on_retracted(struct rg_peer *p, const struct rg_header *h);

#endif
