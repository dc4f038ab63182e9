/* Coming back to a run under way: the ranks that are in it keep their doors open (door.h), call
 * those that were lost, and answer them.
 *
 * Happy path: a rank that joins meets one of them, and takes up the run's name; it goes on to call
 * and to be called, until the run takes it in, which any of them tells it by a frame (joined.h).
 * Failure modes handled: others that come back as well (they meet once they are in the run); the
 * run ends before (all tell so); those that are in it are lost, or close their doors (where all
 * have gone this is a join like any other again); frames that make no sense (the connection is
 * closed, and made anew). */
#include "connect/join_parts.h"

#include "base/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Those that have joined are in no run, or in another. */
static void forget_others(struct rg_gathering *g)
{
    for (int r = 0; r < g->size; r++)
        if (g->peers[r].fd >= 0) {
            rg_join_hang_up(&g->peers[r]);
            g->places[r].gone = false;
            g->joined--;
        }
}

bool rg_join_meet_training(struct rg_gathering *g, int rank, const struct rg_hello *h)
{
    if (!g->o->joined || g->door || h->nonce == 0 || (g->train > 0 && h->nonce != g->nonce))
        return false;
    if (g->train == 0) {
        rg_join_say(g,
                    "rank %d at %s is in a run under way: waiting to be taken in at the end of an "
                    "epoch",
                    rank, rg_join_host(g, rank));
        forget_others(g);
    }
    g->nonce = h->nonce;
    return true;
}

void rg_join_forget_training(struct rg_gathering *g, int rank)
{
    struct rg_place *p = &g->places[rank];
    rg_join_hang_up(&g->peers[rank]);
    g->joined--;
    g->train--;
    p->trains = false;
    p->said_have = 0;
    if (g->train == 0 && !g->o->joined->invited) {
        g->nonce = g->o->nonce;
        rg_join_draw_nonce(g);
        rg_join_say(g, "all that were in a run under way have gone; joining");
    }
}

enum { SAID_MOST = RG_MESSAGE_HEADER + RG_WIRE_COME_MOST };
_Static_assert(SAID_MOST >= RG_WIRE_HELLO, "a hello is no longer");

/* How long is that which begins so? 0: not known yet; -1: it makes no sense. */
static long length_of(const struct rg_place *p)
{
    struct rg_header h;
    if (p->said_have < RG_MESSAGE_HEADER)
        return 0;
    if (rg_hello_begins(p->said, p->said_have))
        return RG_WIRE_HELLO;
    if (rg_header_decode(p->said, &h) || h.type != RG_FRAME_COME)
        return -1;
    return (long)(RG_MESSAGE_HEADER + h.length);
}

/* Not a byte more than belongs to it: what follows is for whoever has the connection then. */
static int read_said(struct rg_gathering *g, int rank)
{
    struct rg_place *p = &g->places[rank];
    if (!p->said && !(p->said = malloc(SAID_MOST)))
        return -1;
    for (;;) {
        long length = length_of(p);
        size_t until = length > 0 ? (size_t)length : RG_MESSAGE_HEADER;
        if (length < 0)
            return -1;
        if (length > 0 && p->said_have >= until)
            return 1;
        int read = rg_join_receive(&g->peers[rank], p->said + p->said_have, until - p->said_have);
        if (read <= 0)
            return read;
        p->said_have += (size_t)read;
    }
}

/* The run has ended; NULL, or what is wrong with that. */
static const char *hear_end(struct rg_gathering *g, const unsigned char *bytes)
{
    struct rg_hello h;
    const char *wrong = rg_hello_decode(bytes, &h);
    if (wrong || h.kind != RG_HELLO_OVER)
        return wrong ? wrong : "it says something else";
    g->o->joined->over = true;
    g->o->joined->code = -(int)h.target;
    g->failed = rg_fail(g->e, RG_ERR_RETURNED,
                        "the run under way has ended before this rank was taken in: %s",
                        h.target ? rg_strerror(-(int)h.target) : "it is complete");
    return NULL;
}

void rg_join_hear_training(struct rg_gathering *g, int rank)
{
    struct rg_place *p = &g->places[rank];
    struct rg_header header;
    int read = read_said(g, rank);
    if (read == 0)
        return;
    const char *wrong = "it closed the connection";
    if (read == 1 && rg_hello_begins(p->said, p->said_have))
        wrong = hear_end(g, p->said);
    else if (read == 1 && !(wrong = rg_header_decode(p->said, &header)))
        wrong = rg_joined_decode(&header, p->said + RG_MESSAGE_HEADER, g->size, g->o->joined);
    if (wrong)
        rg_join_forget_training(g, rank);
}

void rg_join_lose_waiting(struct rg_gathering *g, int rank)
{
    unsigned char byte;
    int fd = g->peers[rank].fd;
    bool alive = rg_join_is_alive(fd);
    g->places[rank].speaks = alive && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
    if (alive)
        return;
    rg_join_hang_up(&g->peers[rank]);
    g->joined--;
}
