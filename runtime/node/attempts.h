/* A training that outlives its nodes: one attempt after the other, each a run that goes on from the
 * last checkpoint, with the nodes that are left, or there again, or took a lost one's place. What a
 * process, or a simulation, knows of them all: who is who, since when there has been training, and
 * who was lost.
 *
 * A seat is a node's place in the hosts file, or the platform, which it keeps; ranks are given anew
 * for each attempt: those that train, then those that wait. */
#ifndef RG_NODE_ATTEMPTS_H
#define RG_NODE_ATTEMPTS_H

#include "base/error.h"
#include "node/copies.h"
#include "result/result.h"
#include "scenario/scenario.h"
#include "world/world.h"
#include <stdbool.h>

enum { RG_ATTEMPTS_IN_VAIN = 5 }; /* so many in a row without an iteration are enough */

struct rg_attempts {
    enum rg_lose lose;
    int nodes;     /* that train: ranks 0 to nodes - 1 */
    int wanted;    /* that are to, but with lose=shrink */
    int present;   /* with those that wait: ranks up to present - 1 */
    int everybody; /* of them, those of the attempt's world: where it is simulated, those that train
                    */
    int seats;
    int *seat;             /* [seats] who has which rank; from `present` on those that are gone */
    unsigned char *absent; /* [seats] by seat: enum rg_absence, see muster.h */
    int *agreed;           /* [agreed_count] seats of the last run in which all agreed on them */
    int agreed_count;
    double origin_s; /* raw date at which the first attempt's clock started; NAN: it has not */
    double before_s; /* seconds from then until this attempt's clock started; 0: the first */
    struct rg_run_loss *losses; /* [loss_count] */
    int loss_count;
    int told, before; /* of them, those that an attempt has gone on after; one before this one */
    /* Of the attempt that has broken off. */
    int64_t from, iterations; /* that it went on from; that were done; INT64_MAX: this node had no
                               * part in it */
    /* Since the origin: when the connections told of the loss (NAN: of none that is not noted), and
     * when the program had ended, which may have been at a computation. */
    double noticed_s, broken_s;
    bool cannot;             /* as the ranks are cast, nobody can train */
    int fit;                 /* how many can, as `fitting` says; -1: it was not asked */
    bool begun;              /* training has gone on in this attempt, or the one that broke off */
    int in_vain;             /* attempts in a row without an iteration */
    struct rg_copies copies; /* what this node has of states to go on from */
    /* Is the node of that seat, which was lost, there again, and can this one reach it? NULL: none
     * ever is. date_s: since the origin. */
    bool (*is_back)(void *arg, int seat, double date_s);
    void *back_arg;
    int back; /* the seat that the next attempt takes in, as all that are present know; -1: none */
    bool handed;  /* likewise: nodes have the state that it goes on from in memory */
    int entering; /* that seat, until all that are present have agreed that it is; -1: none */
};

/* The first spares after the nodes wait. 0 or RG_ERR_NOMEM. */
int rg_attempts_open(struct rg_attempts *a, enum rg_lose lose, int nodes, int spares);
void rg_attempts_close(struct rg_attempts *a);
/* A copy of all that it holds but copies of states. 0 or RG_ERR_NOMEM. */
int rg_attempts_copy(const struct rg_attempts *a, struct rg_attempts *copy);

/* Collective, over all that are present (w->size): they agree on who is there, and tell each other
 * what they know; then the first a->nodes ranks train, in a world of so many, while the others wait
 * for the end. Returns what `train` did, on ranks that wait what it did on rank 0; RG_ERR_PEER:
 * somebody was lost before all knew that it was over, and another attempt is to follow;
 * RG_ERR_RETURNED: so it is, with a->back; RG_ERR_INVALID: this node's `fitting` says that fewer
 * can train than the others' does, which go on without it. `train` may return RG_ERR_REFUSED and
 * RG_ERR_INTERRUPTED where it does so on all ranks; any other error is one of this rank alone,
 * which the others go on without. */
int rg_attempts_run(struct rg_world *w, struct rg_attempts *a, rg_program_fn train, void *arg);

/* Collective, over those that train, before they do: is there any that can? 0, or an error of the
 * world, and *any is not for use. */
int rg_attempts_can_any(struct rg_world *w, bool can, bool *any);

/* Somebody was lost in the attempt that has broken off: it is noted. One that was to be taken in by
 * that attempt, and was not, has never come back. 0 or RG_ERR_NOMEM. */
int rg_attempts_note(struct rg_attempts *a, int seat, const char *host, const char *why);

/* How many of the nodes with these seats ([left], borrowed) can train, the first of them: as many
 * as can be, or 0 if no number can. */
typedef int (*rg_fitting_fn)(void *arg, const int *seats, int left);

/* Of an attempt that has come to the end of an epoch, collective over those that train, while those
 * that wait do their part in rg_attempts_run: is one of the lost nodes back, and within reach of
 * all? Then a->back is the lowest such seat, and all end the attempt with RG_ERR_RETURNED. hands:
 * this node can hand over what it has in memory; where all can, a->handed. writes: there can be a
 * checkpoint instead, as all know. 0: none is back, or can be given a state. */
int rg_attempts_look_for_returned(struct rg_world *w, struct rg_attempts *a, int64_t done,
                                  bool hands, bool writes);
/* That attempt has ended: the node counts as present when ranks are cast. */
void rg_attempts_take_in(struct rg_attempts *a);

/* Ranks for the next attempt: those that a->absent has not, in their order; with lose=spare the
 * first that wait take the places of those that are lost, with lose=shrink as many train as
 * `fitting` says (NULL: all), and the others wait for the case of another loss. order: [seats] the
 * rank until now of each rank from now on. RG_ERR_PEER and why: there can be none, as
 * far as this node knows; those that are left have ranks all the same, to agree on that. */
int rg_attempts_cast(struct rg_attempts *a, rg_fitting_fn fitting, void *arg, int *order,
                     struct rg_error *e);

/* rg_study_want.began of those that are left. */
static inline int rg_attempts_began(const struct rg_attempts *a)
{
    return a->lose == RG_LOSE_SHRINK ? a->seats : 0;
}

/* May there be another attempt after the one that has broken off? */
bool rg_attempts_may_try(struct rg_attempts *a);

/* Collective, before an attempt trains whose nodes have not agreed on who is there, as they have
 * joined once more: what any knows of those before, on all. */
int rg_attempts_share(struct rg_world *w, struct rg_attempts *a);

/* The clock has started; this attempt goes on from so many iterations, by such a state:
 * "checkpoint", "copies" or "beginning". */
void rg_attempts_begin(struct rg_attempts *a, const struct rg_world *w, int64_t from_iteration,
                       const char *state);
/* Rank 0, whatever has become of the attempt: how long it took to the end of its first iteration;
 * into the run that it tells of. 0 or RG_ERR_NOMEM. */
int rg_attempts_tell(struct rg_attempts *a, const struct rg_world *w, struct rg_run *run);
/* The losses so far, into a run of which nothing else may be known. 0 or RG_ERR_NOMEM. */
int rg_attempts_tell_losses(const struct rg_attempts *a, struct rg_run *run);
/* It has broken off at this raw date. */
void rg_attempts_break(struct rg_attempts *a, double raw_s);
/* Connections told of a loss at this raw date: that of what rg_attempts_note notes until ranks are
 * cast. */
void rg_attempts_notice(struct rg_attempts *a, double raw_s);

#endif
