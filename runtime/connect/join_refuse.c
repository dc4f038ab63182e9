/* Refusing: what speaks against a visitor or a peer, and how they and the user get to know.
 *
 * Failure modes handled: a node with a key and one without meet (each is told by the other, in the
 * clear: it is no secret); strangers that come again and again (one line an address and fault);
 * what a visitor has sent and nobody has read, which would have the kernel cut the answer short. */
#include "connect/join_parts.h"

#include "base/check.h"
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
    else if (strncmp(h->scenario, g->o->scenario, RG_DIGEST_TEXT - 1) != 0)
        snprintf(why, room, "%s has another scenario (%.8s...) than rank %d (%.8s...)", peer,
                 h->scenario, g->rank, g->o->scenario);
}

void rg_join_fail(struct rg_gathering *g, const char *why)
{
    if (g->failed || g->door || g->train > 0)
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
    if (g->door || g->train > 0) { /* its word ends no run under way */
        rg_join_try_later(g, rank, why);
        return;
    }
    rg_join_end_talk(&g->places[rank].call);
    g->places[rank].told = true;
    rg_join_fail(g, why);
}

static struct rg_tally *tally_of(struct rg_gathering *g, const char *address, enum rg_fault fault)
{
    for (int i = 0; i < g->tally_count; i++)
        if (g->tallies[i].fault == fault && strcmp(g->tallies[i].address, address) == 0)
            return &g->tallies[i];
    if (g->tally_count == RG_TALLIES)
        return NULL;
    struct rg_tally *tally = &g->tallies[g->tally_count++];
    *tally = (struct rg_tally){.fault = fault};
    snprintf(tally->address, sizeof tally->address, "%s", address);
    return tally;
}

/* "refused 10.0.0.3:4711: why"; of each fault an address has one line, whatever it does. */
static void tell(struct rg_gathering *g, const struct rg_talk *t, enum rg_fault fault,
                 const char *done, const char *why)
{
    struct rg_tally *tally = tally_of(g, t->address, fault);
    snprintf(g->turned_away, sizeof g->turned_away, "%s %s: %.250s", done, t->address, why);
    if (!tally) {
        g->untallied++;
        return;
    }
    if (tally->count++ > 0)
        return;
    snprintf(tally->text, sizeof tally->text, "%s %s: %.200s", done, t->address, why);
    rg_join_say(g, "%s %s: %s", done, t->from, why);
}

void rg_join_tell_tallies(const struct rg_gathering *g)
{
    for (int i = 0; i < g->tally_count; i++)
        if (g->tallies[i].count > 1)
            rg_join_say(g, "%llu times in all: %s", (unsigned long long)g->tallies[i].count,
                        g->tallies[i].text);
    if (g->untallied)
        rg_join_say(g, "%llu more of other addresses were turned away",
                    (unsigned long long)g->untallied);
}

/* A socket that is closed with something unread in it loses what it has sent. */
static void empty_socket(int fd)
{
    char ignored[4096];
    for (int i = 0; i < 16; i++)
        if (recv(fd, ignored, sizeof ignored, MSG_DONTWAIT) <= 0)
            return;
}

void rg_join_refuse(struct rg_gathering *g, struct rg_talk *t, int rank, enum rg_fault fault,
                    const char *why)
{
    bool later = fault == RG_FAULT_EARLY;
    struct rg_hello h = rg_join_hello(g, later ? RG_HELLO_LATER : RG_HELLO_REFUSED, rank);
    snprintf(h.reason, sizeof h.reason, "%s", why);
    rg_join_send_hello(&t->connection, &h);
    shutdown(t->connection.fd, SHUT_WR);
    empty_socket(t->connection.fd);
    tell(g, t, fault, later ? "not yet let in" : "refused", why);
    rg_join_end_talk(t);
}

void rg_join_drop(struct rg_gathering *g, struct rg_talk *t, enum rg_fault fault, const char *why)
{
    tell(g, t, fault, "dropped", why);
    rg_join_end_talk(t);
}

void rg_join_refuse_stranger(struct rg_gathering *g, struct rg_talk *t)
{
    char why[RG_WIRE_REASON];
    if (!rg_secure_met_plain(t->connection.tls)) {
        shutdown(t->connection.fd, SHUT_WR);
        empty_socket(t->connection.fd);
        tell(g, t, RG_FAULT_KEY, "refused", rg_secure_why(t->connection.tls));
        rg_join_end_talk(t);
        return;
    }
    rg_secure_free(t->connection.tls);
    t->connection.tls = NULL;
    snprintf(why, sizeof why, "%s runs without a key, and rank %d has one", t->address, g->rank);
    rg_join_refuse(g, t, 0, RG_FAULT_KEY, why);
}

bool rg_join_is_alive(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLRDHUP};
    return poll(&look, 1, 0) == 0;
}

void rg_join_drop_peer(struct rg_gathering *g, int rank)
{
    if (g->places[rank].trains) {
        rg_join_forget_training(g, rank);
        return;
    }
    struct rg_talk last = {.connection = g->peers[rank]};
    struct rg_hello h;
    bool refusal = rg_join_read_hello(&last) == 1 && !rg_hello_decode(last.bytes, &h) &&
                   h.kind == RG_HELLO_REFUSED;
    bool interrupted = !refusal && rg_join_hear_interruption(g, rank, &last);
    if (!refusal && !interrupted && g->o->outlives) {
        empty_socket(last.connection.fd); /* of half a frame nothing can be made */
        g->places[rank].gone = true;
        return;
    }
    rg_join_hang_up(&g->peers[rank]);
    g->joined--;
    if (interrupted)
        return;
    if (refusal) {
        g->places[rank].told = true;
        rg_join_fail(g, h.reason);
        return;
    }
    if (!g->o->impatient)
        rg_join_say(g, "rank %d at %s has gone again; waiting for it", rank, rg_join_host(g, rank));
    snprintf(g->places[rank].why, sizeof g->places[rank].why, "it had joined and left again");
}
