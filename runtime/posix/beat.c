/* Who is alive: signs of life, given and missed.
 *
 * Happy path: whoever drives the sockets gives one to each peer that has been told nothing else for
 * a while, also while the strands compute: a rank that computes for minutes is heard, one that is
 * stopped is not, though its kernel still answers for it. Whatever is read from a peer is a sign.
 *
 * Failure modes handled: a peer that is silent for too long is lost. Where this process itself was
 * away (stopped, or its machine asleep) the peers are given the time that it missed. Peers that
 * have not been heard yet may still be joining. A path that drops large packets: what this rank has
 * sent is sent again and again while the peer, whose packets are small, is heard. */
#include "posix/mesh.h"

#include "base/check.h"
#include "base/clock.h"
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define BEAT_S 1.0

enum {
    AWAY_BEATS = 3, /* after so many without a look, this process was away */
    TRIES = 3       /* retransmissions in a row that tell of more than a lost packet */
};

void rg_beat_open(struct rg_mesh *m, double peer_timeout_s, double join_timeout_s, double slow_s)
{
    m->silence_s = peer_timeout_s > 0 ? peer_timeout_s : RG_PEER_TIMEOUT_S;
    m->beat_every_s = fmin(BEAT_S, m->silence_s / 4);
    m->slow_s = slow_s > 0 ? slow_s : INFINITY;
    m->beat_s = m->now_s = rg_clock_s();
    for (int r = 0; r < m->match.size; r++)
        m->links[r].heard_s = m->beat_s + join_timeout_s; /* it may take so long to join */
}

static bool tcp_facts(const struct rg_link *l, struct tcp_info *info)
{
    socklen_t length = sizeof *info;
    memset(info, 0, sizeof *info);
    return getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, info, &length) == 0;
}

/* Answers to small packets come, those to large ones do not; or nothing comes for a while, which is
 * how the other end of such a path sees it. */
static void suspect(struct rg_link *l, double silent_s)
{
    struct tcp_info info;
    bool heard = silent_s <= AWAY_BEATS * l->mesh->beat_every_s;
    bool clogged = heard && l->pair->sends.first && tcp_facts(l, &info) && info.tcpi_unacked > 0 &&
                   info.tcpi_retransmits >= TRIES;
    l->suspicion = clogged
                       ? "; small packets got through and large ones did not: is the MTU of the "
                         "path smaller than that of the port?"
                   : heard ? ""
                           : "; there was no sign of life for a while: stopped, or large packets "
                             "vanish on the way (MTU)";
}

/* What begins with one silence, or one wait, is one sign; what is last seen of it counts. */
static void note(struct rg_mesh *m, int rank, enum rg_sign sign, double begin_s, double end_s)
{
    int i = 0;
    while (i < m->sign_count && (m->signs[i].rank != rank || m->signs[i].begin_s != begin_s))
        i++;
    if (i == RG_MESH_SIGNS)
        return;
    m->sign_count = RG_MAX(m->sign_count, i + 1);
    m->signs[i] = (struct rg_mesh_sign){rank, sign, begin_s, end_s};
}

/* A kernel acknowledges for a process that it has stopped. */
static bool machine_answers(const struct rg_link *l)
{
    struct tcp_info info;
    return tcp_facts(l, &info) && info.tcpi_unacked == 0;
}

static void note_silence(const struct rg_link *l, double now)
{
    const struct rg_mesh *m = l->mesh;
    if (now - l->heard_s > AWAY_BEATS * m->beat_every_s)
        note(l->mesh, l->pair->rank, machine_answers(l) ? RG_SIGN_FROZEN : RG_SIGN_LINK, l->heard_s,
             now);
}

static void lose_silent(struct rg_link *l, double seconds)
{
    bool answers = machine_answers(l);
    rg_link_lose_silent(
        l, "no sign of life for %.0f s%s", seconds,
        answers ? ", though its machine answers: it is stopped or hangs, or large packets "
                  "vanish on the way (MTU)"
                : "");
}

static void look_at(struct rg_link *l, double now, double away)
{
    struct rg_mesh *m = l->mesh;
    l->heard_s = l->heard ? now : l->heard_s + away;
    l->heard = false;
    suspect(l, now - l->heard_s);
    note_silence(l, now);
    if (now - l->heard_s > m->silence_s)
        lose_silent(l, now - l->heard_s);
    else if (!l->said)
        rg_match_beat(l->pair);
    l->said = false;
}

void rg_beat(struct rg_mesh *m)
{
    double now = m->now_s, late = now - m->beat_s;
    double away = late > AWAY_BEATS * m->beat_every_s ? late : 0;
    m->away_s = away; /* by the next beat it has heard the peers, or lost them */
    m->beat_s = now + m->beat_every_s;
    for (int r = 0; r < m->match.size && !m->leaving; r++)
        if (m->links[r].fd >= 0)
            look_at(&m->links[r], now, away);
}

void rg_beat_tell_slow(const struct rg_posix_strand *s, double begin_s)
{
    struct rg_mesh *m = s->mesh;
    double seconds = m->now_s - begin_s;
    if (s->awaits < 0 || s->closing)
        return;
    const struct rg_link *l = &m->links[s->awaits];
    if (!l->suspicion[0])
        note(m, s->awaits, RG_SIGN_SLOW, begin_s, m->now_s);
    fprintf(stderr, "ringnode: rank %d: waiting for rank %d (%s) for %.0f s%s\n", m->match.rank,
            s->awaits, l->host, seconds, l->suspicion);
}
