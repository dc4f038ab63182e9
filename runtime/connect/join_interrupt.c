/* Being interrupted while joining, here or elsewhere.
 *
 * Happy path: whoever is interrupted says what it would say in a run, the frames INTERRUPT and
 * GOODBYE: some of those it has met may have met everybody and read frames already, and it cannot
 * know which; the others find them where a hello should be, or behind one. They pass it on.
 * Failure modes handled: a visitor that claims to be a rank and comes from elsewhere (its word ends
 * nothing); what the others have sent and nobody has read, which would have the kernel cut the
 * message short; others that do not hang up. Whoever has not been met yet cannot be told. */
#include "connect/join_parts.h"

#include "base/clock.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define FAREWELL_S 1.0 /* for the others to read it */

static void fail(struct rg_gathering *g, int rank, bool expired)
{
    g->places[rank].told = true;
    if (g->failed)
        return;
    const char *host = rg_join_host(g, rank);
    g->failed =
        expired ? rg_fail(g->e, RG_ERR_TIMEOUT,
                          "not finished within --timeout, as rank %d at %s says to one that joins",
                          rank, host)
                : rg_fail(g->e, RG_ERR_INTERRUPTED,
                          "interrupted while joining, as rank %d at %s says", rank, host);
}

/* The next frame; false: it is not there, or none. */
static bool next_frame(struct rg_talk *t, struct rg_header *h)
{
    while (t->have < RG_MESSAGE_HEADER && rg_join_read(t) > 0)
        continue;
    if (t->have < RG_MESSAGE_HEADER || rg_header_decode(t->bytes, h))
        return false;
    t->have -= RG_MESSAGE_HEADER;
    memmove(t->bytes, t->bytes + RG_MESSAGE_HEADER, t->have);
    return true;
}

/* Whoever has met all others says that it is alive, and waits for them at a barrier; nothing else
 * comes before an interruption. */
bool rg_join_hear_interruption(struct rg_gathering *g, int rank, struct rg_talk *t)
{
    struct rg_header h;
    while (next_frame(t, &h))
        if (h.type == RG_FRAME_INTERRUPT) {
            fail(g, rank, h.tag == RG_WIRE_EXPIRED);
            return true;
        }
    return false;
}

void rg_join_lose_held(struct rg_gathering *g, struct rg_talk *t)
{
    struct rg_talk last = {.connection = t->connection};
    struct rg_hello h;
    int rank = rg_hello_decode(t->bytes, &h) ? -1 : (int)h.rank; /* it was valid when it came */
    if (rank >= 0 && rg_join_origin(g, t->connection.fd, rank) == RG_ORIGIN_LISTED)
        rg_join_hear_interruption(g, rank, &last);
    rg_join_end_talk(t);
}

/* True: it has been said, and fd is to be waited for. */
static bool say(const struct rg_connection *connection, bool expired)
{
    unsigned char bytes[2 * RG_MESSAGE_HEADER];
    const struct rg_header interrupt = {.type = RG_FRAME_INTERRUPT,
                                        .tag = expired ? RG_WIRE_EXPIRED : 0};
    const struct rg_header goodbye = {.type = RG_FRAME_GOODBYE};
    rg_header_encode(&interrupt, bytes);
    rg_header_encode(&goodbye, bytes + RG_MESSAGE_HEADER);
    return rg_join_send(connection, bytes, sizeof bytes) && shutdown(connection->fd, SHUT_WR) == 0;
}

/* Until all have hung up. What they say is read and forgotten. */
static void see_them_off(struct pollfd *polls, int count)
{
    char ignored[4096];
    double limit = rg_clock_s() + FAREWELL_S;
    for (int left = count; left > 0;) {
        double now = rg_clock_s();
        if (now >= limit || poll(polls, (nfds_t)count, (int)(1000 * (limit - now)) + 1) == 0)
            return;
        for (int i = 0; i < count; i++) {
            if (polls[i].fd < 0 || !polls[i].revents)
                continue;
            ssize_t n = recv(polls[i].fd, ignored, sizeof ignored, MSG_DONTWAIT);
            if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
                continue;
            polls[i].fd = -1;
            left--;
        }
    }
}

void rg_join_spread_interruption(struct rg_gathering *g)
{
    bool expired = g->failed == RG_ERR_TIMEOUT;
    int n = 0;
    for (int r = 0; r < g->size; r++) {
        const struct rg_talk *call = &g->places[r].call;
        const struct rg_connection *connection = g->peers[r].fd >= 0 ? &g->peers[r]
                                                 : call->state == RG_CALL_WAITING
                                                     ? &call->connection
                                                     : NULL;
        if (connection && say(connection, expired))
            g->polls[n++] = (struct pollfd){.fd = connection->fd, .events = POLLIN};
    }
    for (int i = 0; i < RG_VISITORS; i++)
        if (g->visitors[i].held && say(&g->visitors[i].connection, expired))
            g->polls[n++] = (struct pollfd){.fd = g->visitors[i].connection.fd, .events = POLLIN};
    see_them_off(g->polls, n);
}
