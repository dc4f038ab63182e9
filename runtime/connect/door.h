/* The door of a run under way: ranks that were lost, and are there again, are called and let in,
 * and wait here until the run takes them in.
 *
 *     rg_door_open(&options, nonce, &door, &error);      a thread of its own listens from now on
 *     rg_door_expect(door, rank, true);                  it was lost
 *     if (rg_door_has(door, rank) ...)                   it is there again
 *         rg_door_take(door, rank, &told, &connection);  it is told so, and is in
 *     rg_door_close(door, code);                         who waits learns that it is over
 *
 * Ranks are places in the hosts file. */
#ifndef RG_CONNECT_DOOR_H
#define RG_CONNECT_DOOR_H

#include "connect/join.h"

struct rg_door;

/* options: those of the join of the run, of which hosts, key and digest stay borrowed; nonce: its
 * name. Nobody is expected yet. Errors as rg_join_mesh. */
int rg_door_open(const struct rg_join *options, uint64_t nonce, struct rg_door **door,
                 struct rg_error *e);
/* code: how the run has ended (0: well). NULL is allowed. */
void rg_door_close(struct rg_door *door, int code);

/* Before an attempt: is the rank one that may come; else it is in the run. */
void rg_door_expect(struct rg_door *door, int rank, bool expected);
bool rg_door_has(struct rg_door *door, int rank);
/* It is told what it must know, and its connection handed over; it is in the run from now on. fd
 * -1: it has gone again. */
void rg_door_take(struct rg_door *door, int rank, const struct rg_joined *told,
                  struct rg_connection *connection);

#endif
