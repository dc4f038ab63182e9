/* Inside the posix world: what the mesh keeps in memory. Private to runtime/posix.
 *
 * One mutex (lock_mesh) guards everything here but the fields said to be constant or atomic. No
 * system call that can block is made under it. */
#ifndef RG_POSIX_MESH_H
#define RG_POSIX_MESH_H

#include "connect/wire.h"
#include "posix/world_posix.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/uio.h>

enum {
    RG_STAGING = 16 << 10,     /* bytes read ahead, a peer */
    RG_SMALL_FRAMES = 16,      /* frames without payload encoded at once */
    RG_EXPECTATIONS = 64,      /* receives announced by a peer that wait for their message */
    RG_UNASKED_COUNT = 1 << 18 /* messages that may wait unasked-for, whatever their size */
};
#define RG_LINGER_S       10.0            /* for what has begun to leave */
#define RG_ANNOUNCE_ABOVE (RG_WINDOW / 4) /* larger receives are told to the sender beforehand */

struct rg_posix_strand;
struct rg_peer;

/* A send or a receive. It lives from posting until its program has seen the completion and the
 * peer's lists are done with it; programs may return with requests in frames that are gone. */
struct rg_op {
    struct rg_op *next, *previous;         /* in the peer's list; next also in the spare list */
    struct rg_op *next_own, *previous_own; /* of the strand */
    struct rg_posix_strand *strand;
    struct rg_request *request; /* NULL: the program has done with it */
    struct rg_peer *peer;
    unsigned char *buffer;
    size_t bytes;                      /* of the message; receives: room */
    size_t arrived;                    /* receives: of the message */
    uint64_t sequence;                 /* sends: once started or asked for */
    size_t sent;                       /* sends: payload written */
    size_t segment_begin, segment_end; /* sends: the segment being written */
    size_t header_left;                /* sends: of its header, not written */
    double begin, end;
    uint32_t tag;
    int outcome;
    bool send, upto, listed, done;
    bool granted;          /* sends: its receive is posted */
    bool granted_at_start; /* sends: takes no room in the window */
    bool asked;            /* sends: ASK has gone out for it */
    bool begun;            /* sends: something has been written */
    bool doomed;           /* sends: to be broken off at the end of the segment */
    bool announce;         /* receives: EXPECT is to be sent */
    bool announced;
    bool late; /* receives: posted after the message had arrived */
};

struct rg_ops_list {
    struct rg_op *first, *last;
};

/* Bytes of a message that has no receive yet. */
struct rg_stash {
    struct rg_stash *next;
    int grade; /* log2 of its room */
    _Alignas(64) unsigned char bytes[];
};

/* A message that has arrived whole and that nobody has asked for. */
struct rg_parcel {
    struct rg_parcel *next;
    struct rg_stash *stash;
    size_t bytes;
    double begin, end;
    uint32_t tag;
    bool unasked; /* takes room in the window */
};

/* The message that is arriving, or promised by ASK. */
struct rg_incoming {
    bool active, promised;
    bool sink;    /* thrown away: it does not fit its receive */
    bool stale;   /* thrown away: of a run that is over */
    bool unasked; /* takes room in the window */
    bool granted; /* GRANT has gone out for it */
    uint32_t tag;
    uint64_t sequence;
    size_t bytes, got;
    double begin;
    struct rg_op *receive;
    struct rg_stash *stash;
};

struct rg_expectation {
    uint32_t tag, before; /* messages of the tag that come before it */
    uint64_t bytes;       /* its room */
};

struct rg_retraction {
    uint32_t tag, count; /* announced receives that have been cancelled */
};

struct rg_peer {
    struct rg_mesh *mesh;
    int rank, fd;          /* fd -1: oneself, or gone */
    struct rg_secure *tls; /* NULL: without a key */
    bool gone;             /* from the mesh: dead, or said goodbye */
    bool goodbye;
    bool mute;     /* writing failed; what it has sent is still read */
    bool left;     /* the run */
    bool want_out; /* waits for EPOLLOUT */
    bool dirty;    /* in mesh->dirty */
    struct rg_peer *next_dirty;

    /* outgoing */
    struct rg_ops_list sends; /* not acknowledged, in posting order */
    struct rg_op *writing;    /* started, not all written */
    struct rg_op *head;       /* not started */
    uint64_t tx_sequence, tx_acked;
    uint64_t tx_unasked, tx_returned; /* bytes ever sent without a grant, and given back */
    uint32_t tx_unasked_count, tx_returned_count;
    struct rg_expectation expected[RG_EXPECTATIONS];
    int expected_count;
    size_t segment;       /* size of segments: what goes out in about a millisecond */
    double segment_since; /* when the one under way began */
    unsigned char small[RG_SMALL_FRAMES * RG_MESSAGE_HEADER]; /* frames being written */
    size_t small_at, small_end;
    /* frames to be written */
    bool tx_ack, tx_interrupt, tx_goodbye;
    int tx_announce; /* receives to announce */
    struct rg_retraction tx_retract[RG_EXPECTATIONS];
    int tx_retract_count;
    uint32_t tx_retracted;                               /* permissions given back */
    uint64_t tx_grant, tx_withdraw, tx_aborted;          /* sequence, or 0 */
    uint64_t tx_fence;                                   /* number, or 0 */
    uint32_t tx_fence_run, tx_aborted_run, tx_leave_run; /* leave: 0: none */
    uint32_t tx_leave_lost;

    /* incoming */
    struct rg_ops_list receives; /* not matched, in posting order */
    struct rg_parcel *parcels, **parcels_end;
    struct rg_incoming in;
    uint64_t rx_sequence, rx_whole;
    uint64_t rx_unasked, rx_returned;
    uint32_t rx_unasked_count, rx_returned_count;
    uint32_t rx_permits;   /* messages that may come beyond the window, as EXPECT told */
    uint64_t rx_permitted; /* bytes of the largest of them */
    size_t segment_left;   /* payload bytes before the next header */
    unsigned char *staging;
    size_t staged_at, staged_end;
    uint32_t fence_run; /* the run of fence_seen, which may be the next one */
    uint64_t fence_seen;
    uint32_t left_run; /* the last run it has left */
    char host[RG_HOST_TEXT];
};

enum rg_waiting { RG_RUNNING, RG_SLEEPING, RG_DRIVING };

/* A strand: the handle, and what the mesh keeps with it. */
struct rg_posix_strand {
    struct rg_world handle; /* first */
    struct rg_mesh *mesh;
    struct rg_op *ops; /* posted here and not seen complete */
    enum rg_waiting waiting;
    bool woken;
    bool closing; /* goes on in spite of an interruption */
    bool inward;  /* waits for other strands of this rank only */
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

enum { RG_STASH_CLASSES = 22 };

struct rg_mesh {
    int rank, size; /* constant */
    struct rg_peer *peers;
    pthread_mutex_t lock;
    atomic_int knocking;  /* threads that want the lock */
    atomic_int computing; /* strands inside a kernel */
    int epoll, kick;      /* kick: an eventfd */
    atomic_bool interrupted;
    atomic_bool expired; /* interrupted since the time was up */
    bool interrupt_told;
    bool stopping, in_epoll;
    bool leaving; /* goodbye has been said */
    bool closing; /* the program has returned; what it had posted is being cancelled */

    /* who drives */
    enum rg_driver driver;
    struct rg_posix_strand *sleepers;
    int wanted;     /* strands that want to drive */
    bool takeover;  /* a strand computes: the comm thread is to drive at once */
    uint64_t epoch; /* changes whenever a strand takes or leaves the sockets */
    pthread_t comm;
    sem_t comm_wake;
    bool comm_started, comm_asleep; /* asleep: without a limit */
    struct rg_peer *dirty;
    double undriven_s; /* of computing, as expected, since a thread last drove */

    /* the run */
    uint32_t run;
    int run_size; /* 0: none is open */
    uint64_t fence;
    int strands; /* spawned */

    /* memory: a region that is handed out piece by piece, and lists of what has come back */
    unsigned char *region;
    size_t region_used, region_size;
    struct rg_op *spare_ops;
    struct rg_parcel *spare_parcels;
    struct rg_stash *spare_stashes[RG_STASH_CLASSES];
    void *chunks; /* allocated beyond the region, for freeing */

    const struct rg_board *pace; /* NULL: computations take their own time */
    int pace_threads;

    struct rg_mesh_lost lost;
    struct rg_mesh_facts facts; /* of connections that are closed */
    struct rg_meter *meter;     /* NULL: none; used by the node program's strand alone */
    int peer_timeout_ms;
    bool quiet;
};

/* ---- pool.c: memory ---- */
int rg_pool_open(struct rg_mesh *m);
void rg_pool_close(struct rg_mesh *m);
struct rg_op *rg_pool_op(struct rg_mesh *m);
struct rg_parcel *rg_pool_parcel(struct rg_mesh *m);
struct rg_stash *rg_pool_stash(struct rg_mesh *m, size_t bytes);
void rg_pool_give_op(struct rg_mesh *m, struct rg_op *op);
void rg_pool_give_parcel(struct rg_mesh *m, struct rg_parcel *parcel); /* with its stash */
void rg_pool_give_stash(struct rg_mesh *m, struct rg_stash *stash);

/* ---- match*.c: sends, receives and their messages; no sockets ---- */
int rg_match_send(struct rg_peer *p, struct rg_op *op); /* queue it; the caller flushes */
int rg_match_recv(struct rg_peer *p, struct rg_op *op); /* likewise */
/* Takes the op out of everything (it is not done); false: a send that has begun, left as it is. */
bool rg_match_cancel(struct rg_peer *p, struct rg_op *op);
bool rg_match_may_start(const struct rg_peer *p, const struct rg_op *op);
void rg_match_started(struct rg_peer *p, struct rg_op *op);
void rg_match_written(struct rg_peer *p, struct rg_op *op);
void rg_match_broken_off(struct rg_peer *p, struct rg_op *op);
/* A frame from a peer: NULL, or what is wrong with it. */
extern const char rg_match_no_memory[];
const char *rg_match_frame(struct rg_peer *p, const struct rg_header *h);
/* Payload of the segment under way goes here (NULL: nowhere, it is thrown away). */
unsigned char *rg_match_target(struct rg_peer *p);
const char *rg_match_payload(struct rg_peer *p, size_t bytes); /* that many have been put there */
void rg_match_self(struct rg_peer *self);
/* The peer is out of the run (dead: what it was sending is lost): everything that waits for it. */
void rg_match_left(struct rg_peer *p, bool dead);
/* Why nothing comes from, or goes to, a peer that has left. */
int rg_match_absence(const struct rg_peer *p);
/* A run is over here: what is still on its way is for nobody. */
void rg_match_end_run(struct rg_peer *p);
void rg_match_reset(struct rg_peer *p); /* for a new run */
void rg_match_list(struct rg_ops_list *list, struct rg_op *op);
void rg_match_unlist(struct rg_ops_list *list, struct rg_op *op);
/* The op is complete; its strand will see it. */
void rg_match_done(struct rg_op *op, int outcome);
void rg_match_release(struct rg_op *op); /* if nothing holds it any more */

/* ---- link.c: one peer's socket ---- */
void rg_link_dirty(struct rg_peer *p); /* has something to write: flushed before anyone blocks */
void rg_link_flush(struct rg_peer *p);
void rg_link_flush_dirty(struct rg_mesh *m);
void rg_link_room(struct rg_peer *p); /* the socket has room again */
void rg_link_read(struct rg_peer *p);
bool rg_link_written(const struct rg_op *op); /* all of a send is in the socket */
void rg_link_lose(struct rg_peer *p, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void rg_link_facts(const struct rg_peer *p, struct rg_mesh_facts *facts); /* adds */
/* Remember (and say) who was lost, if it is the first: for `why`, or as `teller` reports. */
void rg_link_note_lost(struct rg_mesh *m, int rank, int code, const char *why,
                       const struct rg_peer *teller);

/* ---- pace.c: computations that take a board's time ---- */
void rg_pace_compute(struct rg_posix_strand *s, const struct rg_work *work, rg_compute_fn fn,
                     void *arg);

/* ---- requests.c: what programs post ---- */
int rg_posix_post(struct rg_world *w, struct rg_request *request);
int rg_posix_wait_any(struct rg_world *w, struct rg_request *const *requests, int n,
                      double deadline, int *index);
int rg_posix_cancel(struct rg_world *w, struct rg_request *request);
/* Under the lock: the program has done with the op. */
void rg_posix_disown(struct rg_op *op);

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
int rg_posix_fence(struct rg_world *w);
extern const struct rg_world_ops rg_posix_ops;

/* ---- comm.c: who drives, waits and wakes ---- */
void lock_mesh(struct rg_mesh *m);
void unlock_mesh(struct rg_mesh *m);
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
void rg_comm_spread(struct rg_mesh *m); /* tell the peers of an interruption */
void rg_comm_kick(struct rg_mesh *m);   /* wakes whoever drives */
/* The calling thread serves messages: it asks for short turns on its core, which a thread that
 * computes there then yields as soon as this one wakes. */
void rg_comm_short_turns(void);

#endif
