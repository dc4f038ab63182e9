/* Refusing: what speaks against a visitor or a peer, and how they and the user get to know.
 *
 * Failure modes handled: a node with a key and one without meet (each is told by the other, in the
 * clear: it is no secret); a stranger that comes again and again (one line every few seconds); what
 * a visitor has sent and nobody has read, which would have the kernel cut the answer short. */
#include "connect/join_parts.h"

#include "base/check.h"
#include "base/clock.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void rg_join_judge(const struct rg_gathering *g, const struct rg_hello *h, const char *peer,
                   char *why, size_t room)
{
    why[0] = '\0';
    if (h->protocol != RG_WIRE_PROTOCOL || strcmp(h->version, g->version) != 0)
        snprintf(why, room, "%s runs version %s (protocol %u), rank %d runs %s (protocol %u)", peer,
                 h->version, h->protocol, g->rank, g->version, RG_WIRE_PROTOCOL);
    else if (h->size != (uint32_t)g->size)
        snprintf(why, room, "%s has %u hosts in its list, rank %d has %d", peer, h->size, g->rank,
                 g->size);
    else if (h->target != (uint32_t)g->rank)
        snprintf(why, room,
                 "%s takes this for rank %u, but it is rank %d: the lists of hosts differ", peer,
                 h->target, g->rank);
    else if (strncmp(h->scenario, g->o->scenario, RG_DIGEST_TEXT - 1) != 0)
        snprintf(why, room, "%s has another scenario (%.8s...) than rank %d (%.8s...)", peer,
                 h->scenario, g->rank, g->o->scenario);
}

void rg_join_fail(struct rg_gathering *g, const char *why)
{
    if (g->failed)
        return;
    g->failed = rg_fail(g->e, RG_ERR_REFUSED, "%s", why);
    snprintf(g->why, sizeof g->why, "%.*s", (int)sizeof g->why - 1, why);
}

void rg_join_fail_here(struct rg_gathering *g, const char *what, int error)
{
    bool used_up = error == EMFILE || error == EINVAL; /* poll: more sockets than descriptors */
    if (g->failed)
        return;
    snprintf(g->why, sizeof g->why, "rank %d at %.100s cannot %s: %s%s", g->rank,
             rg_join_host(g, g->rank), what, strerror(error),
             used_up ? "; are its descriptors used up (ulimit -n)?" : "");
    g->failed = rg_fail(g->e, RG_ERR_IO, "%s", g->why);
}

void rg_join_give_up(struct rg_gathering *g, int rank, const char *why)
{
    rg_join_end_talk(&g->places[rank].call);
    g->places[rank].told = true;
    rg_join_fail(g, why);
}

/* "refused 10.0.0.3:4711: why"; the same of the same address not again and again. */
static void tell(struct rg_gathering *g, const struct rg_talk *t, const char *done, const char *why)
{
    char text[sizeof g->turned_away];
    double now = rg_clock_s();
    snprintf(text, sizeof text, "%s %s: %.250s", done, t->address, why);
    if (!strcmp(text, g->turned_away) && now < g->turned_away_s + RG_PROGRESS_S)
        return;
    memcpy(g->turned_away, text, sizeof text);
    g->turned_away_s = now;
    rg_join_say(g, "%s %s: %s", done, t->from, why);
}

/* A socket that is closed with something unread in it loses what it has sent. */
static void empty_socket(int fd)
{
    char ignored[4096];
    for (int i = 0; i < 16; i++)
        if (recv(fd, ignored, sizeof ignored, MSG_DONTWAIT) <= 0)
            return;
}

void rg_join_refuse(struct rg_gathering *g, struct rg_talk *t, int rank, const char *why)
{
    struct rg_hello h = rg_join_hello(g, RG_HELLO_REFUSED, rank);
    snprintf(h.reason, sizeof h.reason, "%s", why);
    rg_join_send_hello(&t->connection, &h);
    shutdown(t->connection.fd, SHUT_WR);
    empty_socket(t->connection.fd);
    tell(g, t, "refused", why);
    rg_join_end_talk(t);
}

void rg_join_drop(struct rg_gathering *g, struct rg_talk *t, const char *why)
{
    tell(g, t, "dropped", why);
    rg_join_end_talk(t);
}

void rg_join_refuse_stranger(struct rg_gathering *g, struct rg_talk *t)
{
    char why[RG_WIRE_REASON];
    if (!rg_secure_met_plain(t->connection.tls)) {
        shutdown(t->connection.fd, SHUT_WR);
        empty_socket(t->connection.fd);
        tell(g, t, "refused", rg_secure_why(t->connection.tls));
        rg_join_end_talk(t);
        return;
    }
    rg_secure_free(t->connection.tls);
    t->connection.tls = NULL;
    snprintf(why, sizeof why, "%s runs without a key, and rank %d has one", t->from, g->rank);
    rg_join_refuse(g, t, 0, why);
}

bool rg_join_is_alive(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLRDHUP};
    return poll(&look, 1, 0) == 0;
}

void rg_join_drop_peer(struct rg_gathering *g, int rank)
{
    struct rg_talk last = {.connection = g->peers[rank]};
    struct rg_hello h;
    bool refusal = rg_join_read_hello(&last) == 1 && !rg_hello_decode(last.bytes, &h) &&
                   h.kind == RG_HELLO_REFUSED;
    bool interrupted = !refusal && rg_join_hear_interruption(g, rank, &last);
    rg_join_hang_up(&g->peers[rank]);
    g->joined--;
    if (interrupted)
        return;
    if (refusal) {
        g->places[rank].told = true;
        rg_join_fail(g, h.reason);
        return;
    }
    rg_join_say(g, "rank %d at %s has gone again; waiting for it", rank, rg_join_host(g, rank));
    snprintf(g->places[rank].why, sizeof g->places[rank].why, "it had joined and left again");
}
