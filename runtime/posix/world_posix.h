/* The posix world: one process a node, TCP between each pair of them.
 *
 *     rg_hosts_load(file, &hosts, &error);                          who is where (join.h)
 *     rg_mesh_join(&options, &mesh, &error);                        connect to all others
 *     for each strategy: rg_mesh_run(mesh, nodes, program, arg, &result, &error);
 *     rg_mesh_leave(mesh);
 *
 * A comm thread sends, receives and acknowledges while the program computes; a strand that waits
 * does it itself. After the first iteration nothing is allocated for a message. */
#ifndef RG_POSIX_WORLD_POSIX_H
#define RG_POSIX_WORLD_POSIX_H

#include "base/error.h"
#include "connect/join.h"
#include "world/world.h"

struct rg_mesh;

/* Connects to every other rank, or fails with the reason in *e: RG_ERR_TIMEOUT (who is missing),
 * RG_ERR_REFUSED (a peer is of another version, scenario, size or run), RG_ERR_INVALID (a host
 * beyond this machine, without a key), RG_ERR_IO, RG_ERR_NOMEM, RG_ERR_INTERRUPTED. The listener is
 * closed when all are there: during a run the port answers to nobody. Block the signals that the
 * comm thread is not to get before this. */
int rg_mesh_join(const struct rg_join *options, struct rg_mesh **mesh, struct rg_error *e);
/* Says goodbye, stops the comm thread and frees. NULL is allowed. */
void rg_mesh_leave(struct rg_mesh *mesh);

int rg_mesh_rank(const struct rg_mesh *mesh);
int rg_mesh_size(const struct rg_mesh *mesh);
const char *rg_mesh_host(const struct rg_mesh *mesh,
                         int rank); /* "name:port" as in the hosts file */

/* Collective: one run on ranks 0 .. size - 1. Every rank of the mesh calls it for every run, in the
 * same order; those beyond size return at once. A barrier, then program(world, arg), then what it
 * has left pending is cancelled; messages it has begun to send still arrive. Returns 0 with *result
 * what the program returned, or why the run could not begin (RG_ERR_PEER, RG_ERR_INTERRUPTED), in
 * *e too.
 */
int rg_mesh_run(struct rg_mesh *mesh, int size, rg_program_fn program, void *arg, int *result,
                struct rg_error *e);

/* The same after a run that broke off, by those of its ranks that are left, whatever their number:
 * who has lost nobody is expected too. What is asked of the others is RG_ERR_PEER. Ranks that have
 * begun another run meanwhile are waited for: it ends for them. */
int rg_mesh_rally(struct rg_mesh *mesh, int size, rg_program_fn program, void *arg, int *result,
                  struct rg_error *e);

/* The same for a training that goes on, once rg_mesh_reseat has put those that are left on ranks 0
 * to size - 1: who winds down does not begin it (RG_ERR_INTERRUPTED), nor does
 * anybody where others have come to rg_mesh_rally (RG_ERR_REFUSED). */
int rg_mesh_attempt(struct rg_mesh *mesh, int size, rg_program_fn program, void *arg, int *result,
                    struct rg_error *e);

/* Is that rank's connection there; or has it fallen silent, or ended? */
enum rg_mesh_presence { RG_MESH_HERE, RG_MESH_SILENT, RG_MESH_GONE };
enum rg_mesh_presence rg_mesh_presence(struct rg_mesh *mesh, int rank);
/* Between runs: have no more to do with that rank, which others have lost; it is told so. */
void rg_mesh_drop(struct rg_mesh *mesh, int rank);
/* Has another rank told this one so? */
bool rg_mesh_dropped(struct rg_mesh *mesh);
/* Between runs: who had rank order[r] has rank r from now on, this rank too. order: [rg_mesh_size]
 * each once. Who was lost before is forgotten. 0 or RG_ERR_NOMEM. */
int rg_mesh_reseat(struct rg_mesh *mesh, const int *order);

/* Between runs, after rg_mesh_reseat: a rank that was lost has this connection from now on, which
 * the mesh takes over (fd -1: it stays lost). 0 or RG_ERR_NOMEM. */
int rg_mesh_admit(struct rg_mesh *mesh, int rank, const struct rg_connection *connection,
                  enum rg_checksum checksum);
/* The number of the last run: what a rank that joins later is told (struct rg_joined). */
uint32_t rg_mesh_last_run(const struct rg_mesh *mesh);

/* Between runs: the energy of this node is what the meter says from now on. NULL: unknown. */
struct rg_meter;
void rg_mesh_meter(struct rg_mesh *mesh, struct rg_meter *meter);
/* Between runs: from now on rg_compute takes as long as the board would on so many threads: the
 * kernel runs, then the strand sleeps to the date at which the board would have done it, counted
 * from the end of the one before where nothing was waited for in between. Counted in the handle's
 * `paced`; where the kernel ends after that date, in `overruns`. NULL: computations take their own
 * time again. The board is borrowed. */
void rg_mesh_pace(struct rg_mesh *mesh, const struct rg_board *board, int threads);

/* Stops everything: waits, barriers and iterations return RG_ERR_INTERRUPTED here and on all peers,
 * for good. Safe in a signal handler and from any thread. */
void rg_mesh_interrupt(struct rg_mesh *mesh);
/* Stops it in good order: rg_iteration (and rg_go_on) answer 1 on all ranks after the same update,
 * the last that any of them has under way; runs that have not begun do not (RG_ERR_INTERRUPTED).
 * Safe as rg_mesh_interrupt, which may follow it. */
void rg_mesh_wind_down(struct rg_mesh *mesh);
/* Does it, or does it know that another rank does? */
bool rg_mesh_winds_down(struct rg_mesh *mesh);
/* As rg_mesh_interrupt, because the time for it is up; every rank can ask whether that was the
 * reason. */
void rg_mesh_expire(struct rg_mesh *mesh);
bool rg_mesh_expired(struct rg_mesh *mesh);

/* The first peer that was lost, or failed, or that another rank reports as lost. One that gives no
 * sign of life for peer_timeout_s (struct rg_join) is lost; so is this rank itself, where its
 * process was stopped for so long and the others have gone. A rank that leaves a run
 * before the others without having lost anyone is not lost; the others see RG_ERR_PEER all the
 * same. */
struct rg_mesh_lost {
    int rank;               /* -1: nobody */
    double heard_s, lost_s; /* on rg_clock_s: its last sign of life here; since when it is lost */
    int code;               /* RG_ERR_PEER, RG_ERR_PROTOCOL (nonsense) or RG_ERR_NOMEM */
    char host[RG_HOST_TEXT];
    char why[256];  /* "connection reset by peer"; "": nobody has told */
    char text[640]; /* "rank 2 (10.0.0.3:7470) was lost: connection reset by peer" */
};
/* Who was lost; false where nobody was. */
bool rg_mesh_lost(struct rg_mesh *mesh, struct rg_mesh_lost *lost);

/* What kept this rank waiting, as far as it can tell; dates are on rg_clock_s. */
enum rg_sign {
    RG_SIGN_SLOW,   /* a wait of slow_s (struct rg_join) for a peer that is alive: it computes */
    RG_SIGN_FROZEN, /* no sign of life, though its machine answers: its process is stopped */
    RG_SIGN_LINK    /* nor does that: the machine is dead, or the way to it */
};
struct rg_mesh_sign {
    int rank;
    enum rg_sign sign;
    double begin_s, end_s; /* end: as last seen */
};
enum { RG_MESH_SIGNS = 100 };
/* The first so many since the join, in the order in which they began; how many. */
int rg_mesh_signs(struct rg_mesh *mesh, struct rg_mesh_sign signs[RG_MESH_SIGNS]);

/* What the kernel did for this rank, all connections together, since the join. */
struct rg_mesh_facts {
    uint64_t retransmits;              /* TCP segments sent again */
    uint64_t wire_sent, wire_received; /* bytes, frames and TLS records included; no TCP headers */
    char congestion[16];               /* the congestion control in use; "" with no connection */
    bool slow_start_after_idle;        /* the kernel's setting of that name */
    char cipher[32];                   /* that protects them; "" without a key */
};
void rg_mesh_facts(struct rg_mesh *mesh, struct rg_mesh_facts *facts);

#endif
