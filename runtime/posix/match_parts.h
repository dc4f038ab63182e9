/* What the sources of matching share, and nobody else. Each calls those above it alone:
 *
 *     match_memory.c   what messages need beside their buffers
 *     match_lists.c    lists of transfers, their completion
 *     match_send.c     what this rank sends: what may start, the receiver's frames about it
 *     match_receive.c  what it receives, the sender's frames
 *     match.c          posting, cancelling, messages to oneself, runs, the end: see match.h
 *     match_frames.c   frames in: which goes where
 *     stream.c         bytes in and out: see stream.h */
#ifndef RG_POSIX_MATCH_PARTS_H
#define RG_POSIX_MATCH_PARTS_H

#include "posix/match.h"

static inline double rg_match_now(const struct rg_pair *p)
{
    return p->match->ops->now(p->match->world);
}

static inline void rg_match_dirty(struct rg_pair *p)
{
    p->match->ops->dirty(p->match->world, p);
}

static inline void rg_match_changed(struct rg_match *m)
{
    m->ops->changed(m->world);
}

/* ---- match_memory.c ---- */

int rg_match_open_memory(struct rg_match *m);
void rg_match_close_memory(struct rg_match *m);
struct rg_unexpected *rg_match_take_unexpected(struct rg_match *m);
struct rg_bounce *rg_match_take_bounce(struct rg_match *m, size_t bytes);
void rg_match_give_transfer(struct rg_match *m, struct rg_transfer *t);
void rg_match_give_unexpected(struct rg_match *m, struct rg_unexpected *early); /* and its bounce */
void rg_match_give_bounce(struct rg_match *m, struct rg_bounce *bounce);        /* or NULL */

/* ---- match_lists.c ---- */

extern const char rg_match_no_memory[];
void rg_match_list(struct rg_transfers *list, struct rg_transfer *t);
void rg_match_list_first(struct rg_transfers *list, struct rg_transfer *t);
void rg_match_unlist(struct rg_transfers *list, struct rg_transfer *t);
/* The transfer is complete; its program will see it. */
void rg_match_done(struct rg_transfer *t, int outcome);
/* The oldest receive of the tag that has no message, or NULL. */
struct rg_transfer *rg_match_first_receive(const struct rg_pair *p, uint32_t tag);
/* Why nothing comes from, or goes to, a peer that has left. */
int rg_match_absence(const struct rg_pair *p);

/* ---- match_send.c ---- */

bool rg_match_may_start(const struct rg_pair *p, const struct rg_transfer *t);
void rg_match_started(struct rg_pair *p, struct rg_transfer *t);
void rg_match_written(struct rg_pair *p, struct rg_transfer *t);
void rg_match_broken_off(struct rg_pair *p, struct rg_transfer *t);
/* The send is off its list, and done. */
void rg_match_end_send(struct rg_pair *p, struct rg_transfer *t, int outcome);
/* The peer says that the messages up to this one have arrived: NULL, or what is wrong with that. */
const char *rg_match_arrived(struct rg_pair *p, uint64_t sequence);
bool rg_match_cancel_send(struct rg_pair *p, struct rg_transfer *t);
/* Frames: NULL, or what is wrong with it. */
const char *rg_match_on_ack(struct rg_pair *p, const struct rg_header *h);
const char *rg_match_on_cts(struct rg_pair *p, const struct rg_header *h);
const char *rg_match_on_expect(struct rg_pair *p, const struct rg_header *h);
const char *rg_match_on_retract(struct rg_pair *p, const struct rg_header *h);

/* ---- match_receive.c ---- */

/* May the receive take a message of so many bytes? */
bool rg_match_fits(const struct rg_transfer *receive, size_t bytes);
/* Has the receiver room for so many bytes more without a receive? */
bool rg_match_eager_room(const struct rg_pair *p, size_t bytes);
void rg_match_cancel_receive(struct rg_pair *p, struct rg_transfer *t);
/* The incoming message, all there, waits for its receive; NULL, or what is wrong. */
const char *rg_match_keep_unexpected(struct rg_pair *p);
/* The message that RTS announced does not come; its receive waits again. */
void rg_match_withdrawn(struct rg_pair *p);
/* Nothing is arriving any more. */
void rg_match_end_incoming(struct rg_pair *p);
/* Payload of a segment follows, as its header says. */
const char *rg_match_begin_segment(struct rg_pair *p, const struct rg_header *h);
/* Payload of the segment under way goes here (NULL: nowhere, it is thrown away). */
unsigned char *rg_match_target(struct rg_pair *p);
/* So many bytes of it are there. NULL, or what is wrong. */
const char *rg_match_payload(struct rg_pair *p, size_t bytes);
/* Frames: NULL, or what is wrong with it. */
const char *rg_match_on_data(struct rg_pair *p, const struct rg_header *h);
const char *rg_match_on_more(struct rg_pair *p, const struct rg_header *h);
const char *rg_match_on_rts(struct rg_pair *p, const struct rg_header *h);
const char *rg_match_on_withdraw(struct rg_pair *p, const struct rg_header *h);
const char *rg_match_on_retracted(struct rg_pair *p, const struct rg_header *h);

/* ---- match.c ---- */

/* The peer is out of the run (dead: what it was sending is lost): everything that waits for it
 * completes. */
void rg_match_left(struct rg_pair *p, bool dead);

/* ---- match_frames.c ---- */

/* A frame from the peer: NULL, or what is wrong with it. */
const char *rg_match_frame(struct rg_pair *p, const struct rg_header *h);

#endif
