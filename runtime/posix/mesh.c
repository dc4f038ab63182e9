/* Meshes: joined, run after run on them, left; and what is asked of them meanwhile.
 *
 * A run begins with a barrier, so that nothing of it can meet anything of the run before. Failure
 * modes handled: peers that are missing at the join or lost before a run has begun, programs that
 * return with requests pending (strands.c takes them back), no memory. */
#include "posix/mesh.h"

#include "base/check.h"
#include "base/clock.h"
#include "boards/board.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define GOODBYE_S 1.0

/* ---- runs ---- */

/* Did the program end for a reason of this rank's own, which the others do not know? */
static bool has_failed(const struct rg_mesh *m, int result)
{
    bool shared = result == RG_ERR_PEER || result == RG_ERR_RETURNED ||
                  result == RG_ERR_INTERRUPTED || result == RG_ERR_REFUSED;
    return result < 0 && !shared && m->lost.rank < 0 && !atomic_load(&m->match.interrupted);
}

static void end_run(struct rg_mesh *m, struct rg_posix_strand *s, int result)
{
    struct rg_match *match = &m->match;
    bool failed = has_failed(m, result);
    rg_match_spread_interruption(
        match); /* before it looks as if this rank left of its own accord */
    match->closing = true;
    rg_posix_close_strand(s);
    match->closing = false;
    rg_match_end_run(match, failed ? match->rank : m->lost.rank,
                     failed ? rg_strerror(result) : m->lost.why);
    rg_link_flush_dirty(m);
}

int rg_mesh_run(struct rg_mesh *m, int size, rg_program_fn program, void *arg, int *result,
                struct rg_error *e)
{
    RG_ASSERT(size >= 1 && size <= m->match.size);
    *result = 0;
    rg_comm_lock(m);
    bool winding = atomic_load(&m->match.winding);
    if (!winding)
        rg_match_begin_run(&m->match, size);
    m->strands = 0;
    rg_comm_unlock(m);
    if (winding)
        return rg_fail(e, RG_ERR_INTERRUPTED, "%s", rg_strerror(RG_ERR_INTERRUPTED));
    if (m->match.rank >= size)
        return 0;
    struct rg_posix_strand s;
    rg_posix_open_strand(&s, m, &rg_posix_ops, size);
    s.meeting = true;
    int error = rg_posix_barrier(&s.handle);
    s.meeting = false;
    if (error == 0)
        *result = rg_posix_call(&s, program, arg);
    rg_comm_lock(m);
    end_run(m, &s, *result);
    if (error == RG_ERR_PEER && m->lost.rank >= 0)
        rg_fail(e, error, "%s", m->lost.text);
    else if (error)
        rg_fail(e, error, "%s", rg_strerror(error));
    rg_comm_unlock(m);
    return error;
}

struct rally {
    const struct rg_match *match;
    int size;
};

/* Has everybody come who is left? */
static int has_rallied(void *arg)
{
    const struct rally *rally = arg;
    for (int r = 0; r < rally->size; r++)
        if (r != rally->match->rank &&
            rg_match_heard_barrier(&rally->match->pairs[r]) == RG_PENDING)
            return RG_PENDING;
    return 0;
}

static bool came_to(const struct rg_pair *p)
{
    return p->barrier_run == p->match->run && p->barrier_seen >= p->match->barrier;
}

/* What all that are left have come for. An attempt: whoever winds down does not begin it. It may
 * have said so, with a pledge for the run before, and come all the same; or salvages already. A
 * salvage: whoever went into an attempt learns there of it, and comes to the next. 0, or why it
 * does not begin; RG_PENDING: once more. */
static int agree(const struct rg_match *m, int size)
{
    int result = !m->salvages && atomic_load(&m->winding) ? RG_ERR_INTERRUPTED : 0;
    for (int r = 0; r < size; r++) {
        const struct rg_pair *p = &m->pairs[r];
        if (r == m->rank || p->gone)
            continue;
        if (m->salvages && !came_to(p))
            result = RG_PENDING;
        if (!m->salvages && result == 0 && rg_match_is_elsewhere(p))
            result = RG_ERR_REFUSED;
    }
    return result;
}

static int rally_all(struct rg_mesh *m, int size, bool salvages, rg_program_fn program, void *arg,
                     int *result, struct rg_error *e)
{
    struct rally rally = {&m->match, size};
    struct rg_posix_strand s;
    RG_ASSERT(m->match.rank < size && size <= m->match.size);
    *result = 0;
    rg_posix_open_strand(&s, m, &rg_posix_ops, size);
    rg_comm_lock(m);
    m->match.salvages = salvages;
    rg_match_begin_run(&m->match, size);
    m->strands = 0;
    m->match.barrier++;
    for (int r = 0; r < size; r++)
        if (r != m->match.rank)
            rg_match_say_barrier(&m->match.pairs[r]);
    s.meeting = !salvages;
    int error = rg_comm_wait(&s, has_rallied, &rally, INFINITY);
    if (error == 0)
        error = agree(&m->match, size);
    s.meeting = false;
    rg_comm_unlock(m);
    if (error == 0)
        *result = rg_posix_call(&s, program, arg);
    rg_comm_lock(m);
    end_run(m, &s, *result);
    m->match.salvages = false;
    rg_comm_unlock(m);
    return error == RG_PENDING ? error : error ? rg_fail(e, error, "%s", rg_strerror(error)) : 0;
}

int rg_mesh_rally(struct rg_mesh *m, int size, rg_program_fn program, void *arg, int *result,
                  struct rg_error *e)
{
    int error;
    do
        error = rally_all(m, size, true, program, arg, result, e);
    while (error == RG_PENDING);
    return error;
}

int rg_mesh_attempt(struct rg_mesh *m, int size, rg_program_fn program, void *arg, int *result,
                    struct rg_error *e)
{
    return rally_all(m, size, false, program, arg, result, e);
}

enum rg_mesh_presence rg_mesh_presence(struct rg_mesh *m, int rank)
{
    rg_comm_lock(m);
    const struct rg_link *l = &m->links[rank];
    bool gone = rank != m->match.rank && m->match.pairs[rank].gone;
    enum rg_mesh_presence presence = !gone       ? RG_MESH_HERE
                                     : l->silent ? RG_MESH_SILENT
                                                 : RG_MESH_GONE;
    rg_comm_unlock(m);
    return presence;
}

void rg_mesh_drop(struct rg_mesh *m, int rank)
{
    rg_comm_lock(m);
    rg_match_say_dropped(&m->match.pairs[rank]);
    rg_link_flush(&m->links[rank]);
    rg_link_lose(&m->links[rank], RG_ERR_PEER, "others have lost it");
    rg_comm_unlock(m);
}

bool rg_mesh_dropped(struct rg_mesh *m)
{
    rg_comm_lock(m);
    bool dropped = m->match.dropped;
    rg_comm_unlock(m);
    return dropped;
}

/* The link and its pair in another place. */
static void move_link(struct rg_mesh *m, int to, const struct rg_link *link,
                      const struct rg_pair *pair)
{
    struct rg_link *l = &m->links[to];
    struct rg_pair *p = &m->match.pairs[to];
    *l = *link;
    *p = *pair;
    l->pair = p;
    p->rank = to;
    if (!p->unexpected)
        p->unexpected_end = &p->unexpected;
    RG_ASSERT(!p->receives.first && !p->in.receive);
    for (struct rg_transfer *t = p->sends.first; t; t = t->next)
        t->pair = p;
    struct epoll_event event = {.events = EPOLLIN | (l->want_out ? EPOLLOUT : 0u),
                                .data.u32 = (uint32_t)to};
    if (l->fd >= 0)
        epoll_ctl(m->epoll, EPOLL_CTL_MOD, l->fd, &event);
}

int rg_mesh_admit(struct rg_mesh *m, int rank, const struct rg_connection *connection,
                  enum rg_checksum checksum)
{
    struct rg_link *l = &m->links[rank];
    if (connection->fd < 0)
        return 0;
    rg_comm_lock(m);
    RG_ASSERT(m->match.run_size == 0 && l->fd < 0 && rank != m->match.rank);
    rg_match_renew(l->pair);
    l->mute = l->want_out = l->silent = l->heard = l->said = false;
    l->suspicion = "";
    l->heard_s = rg_clock_s();
    int result = rg_link_open(l, connection, checksum);
    rg_comm_unlock(m);
    rg_comm_kick(m);
    return result;
}

uint32_t rg_mesh_last_run(const struct rg_mesh *m)
{
    return m->match.run;
}

int rg_mesh_reseat(struct rg_mesh *m, const int *order)
{
    size_t n = (size_t)m->match.size;
    struct rg_link *links = malloc(n * sizeof *links);
    struct rg_pair *pairs = malloc(n * sizeof *pairs);
    int own = -1;
    if (!links || !pairs) {
        free(links);
        free(pairs);
        return RG_ERR_NOMEM;
    }
    rg_comm_lock(m);
    RG_ASSERT(m->match.run_size == 0);
    rg_link_flush_dirty(m);
    memcpy(links, m->links, n * sizeof *links);
    memcpy(pairs, m->match.pairs, n * sizeof *pairs);
    for (int r = 0; r < m->match.size; r++) {
        move_link(m, r, &links[order[r]], &pairs[order[r]]);
        own = order[r] == m->match.rank ? r : own;
    }
    RG_ASSERT(own >= 0);
    m->match.rank = own;
    m->match.reseated = m->match.run;
    m->lost.rank = -1;
    rg_comm_unlock(m);
    free(links);
    free(pairs);
    return 0;
}

/* ---- what matching asks for ---- */

static double now(void *world)
{
    (void)world;
    return rg_clock_s();
}

static void dirty(void *world, struct rg_pair *p)
{
    struct rg_mesh *m = world;
    rg_link_dirty(&m->links[p->rank]);
}

static void complete(void *world, struct rg_transfer *t)
{
    (void)world;
    rg_comm_wake(t->strand);
}

static void changed(void *world)
{
    rg_comm_wake_all(world);
}

static void lost(void *world, struct rg_pair *teller, int rank, const char *why)
{
    rg_link_note_lost(world, rank, RG_ERR_PEER, why, teller->rank);
}

static void fail(void *world, struct rg_pair *p, int code, const char *why)
{
    struct rg_mesh *m = world;
    rg_link_lose(&m->links[p->rank], code, "%s", why);
}

static const struct rg_match_ops match_ops = {.now = now,
                                              .dirty = dirty,
                                              .complete = complete,
                                              .changed = changed,
                                              .lost = lost,
                                              .fail = fail};

/* ---- the mesh ---- */

static void free_mesh(struct rg_mesh *m)
{
    for (int r = 0; m->links && r < m->match.size; r++) {
        rg_secure_free(m->links[r].tls);
        if (m->links[r].fd >= 0)
            close(m->links[r].fd);
    }
    if (m->epoll >= 0)
        close(m->epoll);
    if (m->kick >= 0)
        close(m->kick);
    rg_match_close(&m->match);
    pthread_mutex_destroy(&m->lock);
    free(m->links);
    free(m);
}

static struct rg_mesh *new_mesh(const struct rg_join *options)
{
    struct rg_mesh *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    int n = options->hosts->count;
    m->quiet = options->quiet;
    m->lost.rank = -1;
    pthread_mutex_init(&m->lock, NULL);
    m->epoll = epoll_create1(EPOLL_CLOEXEC);
    m->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    m->links = calloc((size_t)n, sizeof *m->links);
    int opened = rg_match_open(&m->match, options->rank, n, &match_ops, m);
    for (int r = 0; opened == 0 && m->links && r < n; r++) {
        m->links[r] =
            (struct rg_link){.mesh = m, .pair = &m->match.pairs[r], .fd = -1, .suspicion = ""};
        rg_host_text(&options->hosts->host[r], m->links[r].host);
    }
    if (opened == 0 && m->links)
        rg_beat_open(m, options->peer_timeout_s, options->timeout_s, options->slow_s);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
    if (opened == 0 && m->links && m->epoll >= 0 && m->kick >= 0 &&
        epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->kick, &event) == 0)
        return m;
    free_mesh(m);
    return NULL;
}

/* It is under way; who is not in it was never here. */
static void enter_run(struct rg_mesh *m, uint32_t run)
{
    rg_match_enter(&m->match, run);
    for (int r = 0; r < m->match.size; r++)
        m->match.pairs[r].gone = r != m->match.rank && m->links[r].fd < 0;
}

int rg_mesh_join(const struct rg_join *options, struct rg_mesh **mesh, struct rg_error *e)
{
    *mesh = NULL;
    int n = options->hosts->count;
    RG_ASSERT(options->rank >= 0 && options->rank < n);
    struct rg_mesh *m = new_mesh(options);
    struct rg_connection *connections = calloc((size_t)n, sizeof *connections);
    if (!m || !connections) {
        free(connections);
        if (m)
            free_mesh(m);
        if (options->listener >= 0)
            close(options->listener);
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    }
    int result = rg_join_mesh(options, connections, e);
    for (int r = 0; r < n && result == 0; r++) {
        if (rg_link_open(&m->links[r], &connections[r], options->checksum) != 0)
            result = rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    }
    free(connections);
    if (result == 0 && options->joined && options->joined->invited)
        enter_run(m, options->joined->run);
    if (result == 0 && rg_comm_start(m) != 0)
        result = rg_fail(e, RG_ERR_NOMEM, "no thread for the sockets");
    if (result)
        free_mesh(m);
    else
        *mesh = m;
    return result;
}

static int all_closed(void *arg)
{
    const struct rg_mesh *m = arg;
    for (int r = 0; r < m->match.size; r++)
        if (m->links[r].fd >= 0 && !m->links[r].mute)
            return RG_PENDING;
    return 0;
}

void rg_mesh_leave(struct rg_mesh *m)
{
    if (!m)
        return;
    struct rg_posix_strand s;
    rg_posix_open_strand(&s, m, &rg_posix_ops, m->match.size);
    rg_comm_lock(m);
    s.closing = true;
    m->leaving = true;
    rg_match_spread_interruption(&m->match);
    rg_match_say_goodbye(&m->match);
    rg_link_flush_dirty(m);
    rg_comm_wait(&s, all_closed, m, rg_clock_s() + GOODBYE_S);
    rg_comm_unlock(m);
    rg_comm_stop(m);
    pthread_cond_destroy(&s.wake);
    free_mesh(m);
}

void rg_mesh_meter(struct rg_mesh *m, struct rg_meter *meter)
{
    m->meter = meter;
}

int rg_mesh_rank(const struct rg_mesh *m)
{
    return m->match.rank;
}

int rg_mesh_size(const struct rg_mesh *m)
{
    return m->match.size;
}

const char *rg_mesh_host(const struct rg_mesh *m, int rank)
{
    return m->links[rank].host;
}

void rg_mesh_pace(struct rg_mesh *m, const struct rg_board *board, int threads)
{
    m->pace = board;
    m->pace_threads = board ? RG_MIN(RG_MAX(threads, 1), board->cores) : 0;
}

void rg_mesh_interrupt(struct rg_mesh *m)
{
    atomic_store(&m->match.interrupted, true);
    rg_comm_kick(m);
}

void rg_mesh_wind_down(struct rg_mesh *m)
{
    atomic_store(&m->match.winding, true);
    rg_comm_kick(m);
}

void rg_mesh_expire(struct rg_mesh *m)
{
    atomic_store(&m->match.expired, true);
    rg_mesh_interrupt(m);
}

bool rg_mesh_winds_down(struct rg_mesh *m)
{
    return atomic_load(&m->match.winding);
}

bool rg_mesh_expired(struct rg_mesh *m)
{
    return atomic_load(&m->match.expired);
}

bool rg_mesh_lost(struct rg_mesh *m, struct rg_mesh_lost *lost)
{
    rg_comm_lock(m);
    *lost = m->lost;
    rg_comm_unlock(m);
    return lost->rank >= 0;
}

int rg_mesh_signs(struct rg_mesh *m, struct rg_mesh_sign signs[RG_MESH_SIGNS])
{
    rg_comm_lock(m);
    int count = m->sign_count;
    memcpy(signs, m->signs, (size_t)count * sizeof *signs);
    rg_comm_unlock(m);
    return count;
}

void rg_mesh_facts(struct rg_mesh *m, struct rg_mesh_facts *facts)
{
    rg_comm_lock(m);
    *facts = m->facts;
    facts->slow_start_after_idle = rg_slow_start_after_idle();
    for (int r = 0; r < m->match.size; r++)
        if (m->links[r].fd >= 0)
            rg_link_facts(&m->links[r], facts);
    rg_comm_unlock(m);
}
