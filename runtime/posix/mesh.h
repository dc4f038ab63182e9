/* Inside the posix world: what the mesh keeps in memory. Private to runtime/posix.
 *
 * One mutex (rg_comm_lock) guards everything here but the fields said to be constant or atomic. No
 * system call that can block is made under it.
 *
 * Each source calls those above it alone:
 *
 *     match*.c, stream.c   messages and their bytes, without sockets (match.h, stream.h)
 *     link.c               one peer's socket
 *     beat.c               signs of life
 *     comm.c               who drives, waits and wakes
 *     pace.c, requests.c   computations and messages of programs
 *     strands.c            threads of programs
 *     world_posix.c        the operations of the world
 *     mesh.c               join, runs, leave */
#ifndef RG_POSIX_MESH_H
#define RG_POSIX_MESH_H

#include "posix/match.h"
#include "posix/world_posix.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#define RG_LINGER_S 10.0 /* for what has begun to leave */

/* A peer's socket. */
struct rg_link {
    struct rg_mesh *mesh;
    struct rg_pair *pair;  /* what is to go through it */
    int fd;                /* -1: oneself, or gone */
    struct rg_secure *tls; /* NULL: without a key */
    bool mute;             /* writing failed; what it has sent is still read */
    bool want_out;         /* waits for EPOLLOUT */
    bool dirty;            /* in mesh->dirty */
    bool silent;           /* it was lost for giving no sign of life, or for taking no data */
    bool heard, said;      /* something has been read, written since the last beat */
    const char *suspicion; /* what seems wrong with the path, or the peer: a clause, or "" */
    double heard_s;        /* date of the beat before which something was read last */
    struct rg_link *next_dirty;
    char host[RG_HOST_TEXT];
};

enum rg_waiting { RG_RUNNING, RG_SLEEPING, RG_DRIVING };

/* A strand: the handle, and what the mesh keeps with it. */
struct rg_posix_strand {
    struct rg_world handle; /* first */
    struct rg_mesh *mesh;
    struct rg_transfer *transfers; /* posted here and not seen complete */
    enum rg_waiting waiting;
    bool woken;
    bool closing; /* goes on in spite of an interruption */
    bool meeting; /* at the barrier before a run: nothing is under way that should end well */
    bool inward;  /* waits for other strands of this rank only */
    int awaits;   /* the peer that it waits for, or (-1) none in particular */
    pthread_cond_t wake;
    struct rg_posix_strand *next_waiting;
    uintptr_t stack_low, stack_high; /* where the program's frames were */
    double rate;        /* FLOP plus bytes a second of its kernels, a mean; 0: none seen */
    double paced_until; /* date at which the board would have done what was computed here */
    bool idle;          /* has waited for something since */
};

static inline struct rg_posix_strand *rg_posix_strand_of(struct rg_world *w)
{
    return (struct rg_posix_strand *)w;
}

struct rg_strand {
    struct rg_posix_strand *strand;
    pthread_t thread;
    rg_program_fn fn;
    void *arg;
    int result;
};

/* Who reads and writes the sockets: nobody, the comm thread, or a strand that waits anyway. */
enum rg_driver { RG_DRIVER_NONE, RG_DRIVER_COMM, RG_DRIVER_STRAND };

struct rg_mesh {
    struct rg_match match;
    struct rg_link *links; /* by rank, as match.pairs */
    pthread_mutex_t lock;
    atomic_int knocking;  /* threads that want the lock */
    atomic_int computing; /* strands inside a kernel */
    int epoll, kick;      /* kick: an eventfd */
    bool stopping, in_epoll;
    bool leaving; /* goodbye has been said */

    /* who drives */
    enum rg_driver driver;
    struct rg_posix_strand *sleepers;
    int wanted;     /* strands that want to drive */
    bool takeover;  /* a strand computes: the comm thread is to drive at once */
    uint64_t epoch; /* changes whenever a strand takes or leaves the sockets */
    pthread_t comm;
    sem_t comm_wake;
    bool comm_started, comm_asleep; /* asleep: without a limit */
    struct rg_link *dirty;
    double undriven_s; /* of computing, as expected, since a thread last drove */

    /* who is alive */
    double now_s;  /* date at which a thread last drove */
    double beat_s; /* date of the next beat */
    double beat_every_s, silence_s /* a peer that is silent so long is lost */;
    double away_s; /* between the last two beats this process did nothing for so long */
    double slow_s; /* a wait that takes so long is worth a word; INFINITY: none is */

    int strands; /* spawned in this run */

    const struct rg_board *pace; /* NULL: computations take their own time */
    int pace_threads;

    struct rg_mesh_lost lost;
    struct rg_mesh_sign signs[RG_MESH_SIGNS]; /* [sign_count] */
    int sign_count;
    struct rg_mesh_facts facts; /* of connections that are closed */
    struct rg_meter *meter;     /* NULL: none; used by the node program's strand alone */
    bool quiet;
};

/* ---- link.c: one peer's socket ---- */
int rg_link_open(struct rg_link *l, const struct rg_connection *c,
                 enum rg_checksum checksum); /* takes it over */
void rg_link_dirty(struct rg_link *l); /* has something to write: flushed before anyone blocks */
void rg_link_flush(struct rg_link *l);
void rg_link_flush_dirty(struct rg_mesh *m);
void rg_link_room(struct rg_link *l); /* the socket has room again */
void rg_link_read(struct rg_link *l);
void rg_link_lose(struct rg_link *l, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same (RG_ERR_PEER) of one whose process may live. */
void rg_link_lose_silent(struct rg_link *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void rg_link_facts(const struct rg_link *l, struct rg_mesh_facts *facts); /* adds */
/* Remember (and say) who was lost, if it is the first, and why ("": unknown), as `teller` reports
 * (-1: as seen here). One that tells of itself has failed. */
void rg_link_note_lost(struct rg_mesh *m, int rank, int code, const char *why, int teller);

/* ---- beat.c: signs of life ---- */
void rg_beat_open(struct rg_mesh *m, double peer_timeout_s, double join_timeout_s, double slow_s);
/* Under the lock, whenever m->beat_s has come: gives signs of life where nothing else was said, and
 * loses peers that gave none for too long. */
void rg_beat(struct rg_mesh *m);
/* A strand has waited since then for a peer that is alive: say so. */
void rg_beat_tell_slow(const struct rg_posix_strand *s, double begin_s);

/* ---- pace.c: computations that take a board's time ---- */
void rg_pace_compute(struct rg_posix_strand *s, const struct rg_work *work, rg_compute_fn fn,
                     void *arg);

/* ---- requests.c: what programs post ---- */
int rg_posix_post(struct rg_world *w, struct rg_request *request);
int rg_posix_wait_any(struct rg_world *w, struct rg_request *const *requests, int n,
                      double deadline, int *index);
int rg_posix_wait_any_or_stop(struct rg_world *w, struct rg_request *const *requests, int n,
                              int *index, int64_t *last);
int rg_posix_cancel(struct rg_world *w, struct rg_request *request);
/* Under the lock: the program has done with the op. */
void rg_posix_disown(struct rg_transfer *t);

/* ---- strands.c ---- */
void rg_posix_open_strand(struct rg_posix_strand *s, struct rg_mesh *m,
                          const struct rg_world_ops *ops, int size);
/* Under the lock: takes back all that is pending; what has begun to leave is written first. */
void rg_posix_close_strand(struct rg_posix_strand *s);
/* Calls the program, so that what it leaves in its frames does no harm once it has returned. */
int rg_posix_call(struct rg_posix_strand *s, rg_program_fn fn, void *arg);
int rg_posix_spawn(struct rg_world *w, rg_program_fn fn, void *arg, struct rg_strand **out);
int rg_posix_join(struct rg_world *w, struct rg_strand *strand, int *result,
                  struct rg_counters *count);

/* ---- world_posix.c: the other operations, and all of them together ---- */
int rg_posix_barrier(struct rg_world *w);
extern const struct rg_world_ops rg_posix_ops;

/* ---- comm.c: who drives, waits and wakes ---- */
void rg_comm_lock(struct rg_mesh *m);
void rg_comm_unlock(struct rg_mesh *m);
int rg_comm_start(struct rg_mesh *m);
void rg_comm_stop(struct rg_mesh *m);
/* Under the lock: wait until ready(arg) answers other than RG_PENDING, which is the result, or the
 * date has come (RG_ERR_TIMEOUT) or the run is interrupted (RG_ERR_INTERRUPTED). */
int rg_comm_wait(struct rg_posix_strand *s, int (*ready)(void *arg), void *arg, double deadline);
/* The calling strand is about to compute for long: the comm thread is to take the sockets over. */
void rg_comm_take_over(struct rg_mesh *m);
/* The calling strand has changed something: flush what nobody else would soon. */
void rg_comm_posted(struct rg_mesh *m);
void rg_comm_wake(struct rg_posix_strand *s); /* something it waits for may have come */
void rg_comm_wake_all(struct rg_mesh *m);
void rg_comm_kick(struct rg_mesh *m); /* wakes whoever drives */
/* The calling thread serves messages: it asks for short turns on its core, which a thread that
 * computes there then yields as soon as this one wakes. */
void rg_comm_short_turns(void);

#endif
