/* Meshes: joined, run after run on them, left; and what is asked of them meanwhile.
 *
 * A run begins with a fence, so that nothing of it can meet anything of the run before. Failure
 * modes handled: peers that are missing at the join or lost before a run has begun, programs that
 * return with requests pending (strands.c takes them back), no memory. */
#include "posix/mesh.h"

#include "base/check.h"
#include "base/clock.h"
#include "boards/board.h"
#include <math.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define GOODBYE_S 1.0

/* ---- runs ---- */

static void begin_run(struct rg_mesh *m, int size)
{
    m->run++;
    m->run_size = m->rank < size ? size : 0;
    m->fence = 0;
    m->strands = 0;
    for (int r = 0; r < m->size; r++)
        rg_match_reset(&m->peers[r]);
}

static void end_run(struct rg_mesh *m, struct rg_posix_strand *s)
{
    rg_comm_spread(m); /* before it looks as if this rank had left of its own accord */
    m->closing = true;
    rg_posix_close_strand(s);
    m->closing = false;
    for (int r = 0; r < m->run_size; r++) {
        struct rg_peer *p = &m->peers[r];
        p->tx_leave_run = m->run;
        p->tx_leave_lost = m->lost.rank < 0 ? RG_WIRE_NOBODY : (uint32_t)m->lost.rank;
        rg_link_dirty(p);
        rg_match_end_run(p);
    }
    m->run_size = 0;
    rg_link_flush_dirty(m);
}

int rg_mesh_run(struct rg_mesh *m, int size, rg_program_fn program, void *arg, int *result,
                struct rg_error *e)
{
    RG_ASSERT(size >= 1 && size <= m->size);
    *result = 0;
    lock_mesh(m);
    begin_run(m, size);
    unlock_mesh(m);
    if (m->rank >= size)
        return 0;
    struct rg_posix_strand s;
    rg_posix_open_strand(&s, m, &rg_posix_ops, size);
    int error = rg_posix_fence(&s.handle);
    if (error == 0)
        *result = rg_posix_call(&s, program, arg);
    lock_mesh(m);
    end_run(m, &s);
    if (error == RG_ERR_PEER && m->lost.rank >= 0)
        rg_fail(e, error, "%s", m->lost.text);
    else if (error)
        rg_fail(e, error, "%s", rg_strerror(error));
    unlock_mesh(m);
    return error;
}

/* ---- the mesh ---- */

static void free_mesh(struct rg_mesh *m)
{
    for (int r = 0; m->peers && r < m->size; r++) {
        rg_secure_free(m->peers[r].tls);
        if (m->peers[r].fd >= 0)
            close(m->peers[r].fd);
    }
    if (m->peers)
        free(m->peers[0].staging);
    if (m->epoll >= 0)
        close(m->epoll);
    if (m->kick >= 0)
        close(m->kick);
    rg_pool_close(m);
    pthread_mutex_destroy(&m->lock);
    free(m->peers);
    free(m);
}

static struct rg_mesh *new_mesh(const struct rg_join *options)
{
    struct rg_mesh *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    int n = options->hosts->count;
    m->rank = options->rank;
    m->size = n;
    m->quiet = options->quiet;
    m->lost.rank = -1;
    pthread_mutex_init(&m->lock, NULL);
    m->epoll = epoll_create1(EPOLL_CLOEXEC);
    m->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    m->peers = calloc((size_t)n, sizeof *m->peers);
    unsigned char *staging = malloc((size_t)n * RG_STAGING);
    for (int r = 0; m->peers && r < n; r++) {
        struct rg_peer *p = &m->peers[r];
        p->mesh = m;
        p->rank = r;
        p->fd = -1;
        p->staging = staging ? staging + (size_t)r * RG_STAGING : NULL;
        p->parcels_end = &p->parcels;
        p->segment = RG_WIRE_SEGMENT_LEAST * 4;
        rg_host_text(&options->hosts->host[r], p->host);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
    if (!m->peers || !staging || rg_pool_open(m) != 0 || m->epoll < 0 || m->kick < 0 ||
        epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->kick, &event) != 0) {
        if (!m->peers)
            free(staging);
        free_mesh(m);
        return NULL;
    }
    return m;
}

int rg_mesh_join(const struct rg_join *options, struct rg_mesh **mesh, struct rg_error *e)
{
    *mesh = NULL;
    int n = options->hosts->count;
    RG_ASSERT(options->rank >= 0 && options->rank < n);
    struct rg_mesh *m = new_mesh(options);
    struct rg_channel *channels = calloc((size_t)n, sizeof *channels);
    if (!m || !channels) {
        free(channels);
        if (m)
            free_mesh(m);
        if (options->listener >= 0)
            close(options->listener);
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    }
    int result = rg_join_mesh(options, channels, e);
    for (int r = 0; r < n && result == 0; r++) {
        m->peers[r].fd = channels[r].fd;
        m->peers[r].tls = channels[r].tls;
        if (channels[r].tls)
            rg_secure_read_ahead(channels[r].tls);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)r};
        if (channels[r].fd >= 0 && epoll_ctl(m->epoll, EPOLL_CTL_ADD, channels[r].fd, &event) != 0)
            result = rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    }
    free(channels);
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
    for (int r = 0; r < m->size; r++)
        if (m->peers[r].fd >= 0 && !m->peers[r].mute)
            return RG_PENDING;
    return 0;
}

void rg_mesh_leave(struct rg_mesh *m)
{
    if (!m)
        return;
    struct rg_posix_strand s;
    rg_posix_open_strand(&s, m, &rg_posix_ops, m->size);
    lock_mesh(m);
    s.closing = true;
    m->leaving = true;
    for (int r = 0; r < m->size; r++) {
        m->peers[r].tx_goodbye = true;
        rg_link_dirty(&m->peers[r]);
    }
    rg_link_flush_dirty(m);
    rg_comm_wait(&s, all_closed, m, rg_clock_s() + GOODBYE_S);
    unlock_mesh(m);
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
    return m->rank;
}

int rg_mesh_size(const struct rg_mesh *m)
{
    return m->size;
}

const char *rg_mesh_host(const struct rg_mesh *m, int rank)
{
    return m->peers[rank].host;
}

void rg_mesh_pace(struct rg_mesh *m, const struct rg_board *board, int threads)
{
    m->pace = board;
    m->pace_threads = board ? RG_MIN(RG_MAX(threads, 1), board->cores) : 0;
}

void rg_mesh_interrupt(struct rg_mesh *m)
{
    atomic_store(&m->interrupted, true);
    rg_comm_kick(m);
}

bool rg_mesh_interrupted(struct rg_mesh *m)
{
    return atomic_load(&m->interrupted);
}

void rg_mesh_expire(struct rg_mesh *m)
{
    atomic_store(&m->expired, true);
    rg_mesh_interrupt(m);
}

bool rg_mesh_expired(struct rg_mesh *m)
{
    return atomic_load(&m->expired);
}

bool rg_mesh_lost(struct rg_mesh *m, struct rg_mesh_lost *lost)
{
    lock_mesh(m);
    *lost = m->lost;
    unlock_mesh(m);
    return lost->rank >= 0;
}

void rg_mesh_facts(struct rg_mesh *m, struct rg_mesh_facts *facts)
{
    lock_mesh(m);
    *facts = m->facts;
    facts->slow_start_after_idle = rg_slow_start_after_idle();
    for (int r = 0; r < m->size; r++)
        if (m->peers[r].fd >= 0)
            rg_link_facts(&m->peers[r], facts);
    unlock_mesh(m);
}
