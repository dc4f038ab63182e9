/* Strands of the posix world: opened, called, closed with what they have left pending, spawned.
 *
 * Failure modes handled: programs that return with requests pending, even in frames that are gone;
 * what has begun to leave is written to its end, or the peer is given up after RG_LINGER_S; no
 * memory. */
#include "posix/mesh.h"

#include "world/trace.h"

#include "base/clock.h"
#include <stdlib.h>
#include <string.h>

#define STACK_GAP   (64 << 10)
#define STACK_GUESS (1 << 20)

void rg_posix_open_strand(struct rg_posix_strand *s, struct rg_mesh *m,
                          const struct rg_world_ops *ops, int size)
{
    memset(s, 0, sizeof *s);
    rg_world_init(&s->handle, ops, m->match.rank, size);
    s->mesh = m;
    s->idle = true;
    s->awaits = -1;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* Is everything that this strand has begun to send written? */
static int all_written(void *arg)
{
    const struct rg_posix_strand *s = arg;
    for (const struct rg_transfer *t = s->transfers; t; t = t->next_own)
        if (t->send && !t->done && t->listed && !rg_match_is_written(t))
            return RG_PENDING;
    const struct rg_mesh *m = s->mesh;
    for (int r = 0; r < m->match.size && s->handle.strand == 0; r++)
        if (m->match.pairs[r].tx_barrier && m->links[r].fd >= 0 && !m->links[r].mute)
            return RG_PENDING;
    return 0;
}

/* Take back all that is pending. The program's frames are gone: requests there are not touched. */
void rg_posix_close_strand(struct rg_posix_strand *s)
{
    s->closing = true;
    for (struct rg_transfer *t = s->transfers, *next; t; t = next) {
        next = t->next_own;
        uintptr_t at = (uintptr_t)t->request;
        bool gone = at >= s->stack_low && at < s->stack_high;
        if (!gone)
            t->request->status = t->done ? t->outcome : RG_ERR_CANCELLED;
        if (t->done || rg_match_cancel(t->pair, t))
            rg_posix_disown(t);
    }
    if (rg_comm_wait(s, all_written, s, rg_clock_s() + RG_LINGER_S) == RG_ERR_TIMEOUT)
        for (struct rg_transfer *t = s->transfers, *next; t; t = next) {
            next = t->next_own;
            if (!t->done && !rg_match_is_written(t))
                rg_link_lose_silent(&s->mesh->links[t->pair->rank], "it takes no data");
        }
    while (s->transfers)
        rg_posix_disown(s->transfers);
    pthread_cond_destroy(&s->wake);
}

/* Where the calling thread's stack ends, or a good guess (valgrind keeps the main thread's secret).
 */
static uintptr_t stack_bottom(uintptr_t here)
{
    pthread_attr_t attributes;
    void *base = NULL;
    size_t bytes;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        if (pthread_attr_getstack(&attributes, &base, &bytes) != 0)
            base = NULL;
        pthread_attr_destroy(&attributes);
    }
    uintptr_t guess = here - STACK_GUESS;
    return base && (uintptr_t)base < guess ? (uintptr_t)base : guess;
}

/* Calls the program well below the caller's frame: what runs after it has returned, until its
 * requests are taken back, stays clear of buffers it may have left in its frames, which the comm
 * thread may still read and write. */
__attribute__((noinline)) int rg_posix_call(struct rg_posix_strand *s, rg_program_fn fn, void *arg)
{
    volatile char gap[STACK_GAP];
    gap[0] = 0;
    s->stack_high = (uintptr_t)gap;
    s->stack_low = stack_bottom(s->stack_high);
    int result = fn(&s->handle, arg);
    gap[STACK_GAP - 1] = gap[0];
    return result;
}

static void *strand_main(void *arg)
{
    struct rg_strand *strand = arg;
    struct rg_posix_strand *s = strand->strand;
    rg_comm_short_turns(); /* a rank's first strand computes, the others serve it */
    strand->result = rg_posix_call(s, strand->fn, strand->arg);
    rg_comm_lock(s->mesh);
    rg_posix_close_strand(s);
    rg_comm_unlock(s->mesh);
    return NULL;
}

int rg_posix_spawn(struct rg_world *w, rg_program_fn fn, void *arg, struct rg_strand **out)
{
    struct rg_posix_strand *parent = rg_posix_strand_of(w);
    struct rg_strand *strand = calloc(1, sizeof *strand);
    struct rg_posix_strand *s = calloc(1, sizeof *s);
    if (!strand || !s)
        goto fail;
    struct rg_mesh *m = parent->mesh;
    rg_posix_open_strand(s, m, w->ops, w->size);
    s->handle.strand = ++m->strands;
    s->handle.board = w->board;
    s->handle.mem = w->mem;
    s->handle.skip_numerics = w->skip_numerics;
    s->handle.on_medium = w->on_medium;
    s->handle.offset = w->offset;
    s->handle.untimed = w->untimed;
    s->handle.untimed_since = w->untimed_since;
    s->handle.trace = rg_trace_like(w->trace);
    *strand = (struct rg_strand){.strand = s, .fn = fn, .arg = arg};
    if (pthread_create(&strand->thread, NULL, strand_main, strand) == 0) {
        *out = strand;
        return 0;
    }
    rg_trace_free(s->handle.trace);
fail:
    free(s);
    free(strand);
    return RG_ERR_NOMEM;
}

int rg_posix_join(struct rg_world *w, struct rg_strand *strand, int *result,
                  struct rg_counters *count)
{
    pthread_join(strand->thread, NULL);
    struct rg_world *child = &strand->strand->handle;
    *result = strand->result;
    *count = child->count;
    for (uint64_t i = 0; child->trace && i < child->trace->count; i++)
        rg_trace_add(w->trace, &child->trace->events[i]);
    rg_trace_free(child->trace);
    free(strand->strand);
    free(strand);
    return 0;
}
