#include "turns.h"

#include "actors.h"

#include "base/check.h"
#include "base/need.h"
#include <math.h>
#include <simgrid/actor.h>
#include <stdlib.h>

enum { TURNS_STACK = 16 << 10 };

static int by_rank(const void *a, const void *b)
{
    const struct rg_turn *s = *(struct rg_turn *const *)a, *t = *(struct rg_turn *const *)b;
    return s->rank != t->rank ? (s->rank > t->rank) - (s->rank < t->rank)
                              : (s->serial > t->serial) - (s->serial < t->serial);
}

/* Until nothing more has ended at this date when all actors have run. */
static void settle(const struct rg_turns *t)
{
    uint64_t seen;
    do {
        seen = t->seen;
        sg_actor_yield();
    } while (t->seen != seen);
}

static void give_round(struct rg_turns *t)
{
    struct rg_turns_found round = t->wanted;
    t->wanted = t->round;
    t->round = round;
    t->wanted.count = 0;
    qsort(round.turn, round.count, sizeof(struct rg_turn *), by_rank);
    for (size_t i = 0; i < round.count; i++) {
        struct rg_turn *turn = round.turn[i];
        turn->wanted = false;
        turn->given = t->taken = true;
        sg_sem_release(turn->bell);
        while (t->taken)
            sg_actor_yield();
    }
}

static void turns_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct rg_turns *t = sg_actor_self_get_data();
    while (!t->over) {
        sg_sem_acquire(t->bell);
        while (t->wanted.count > 0) {
            settle(t);
            give_round(t);
        }
        t->awake = false;
    }
}

void rg_turns_open(struct rg_turns *t, sg_host_t host)
{
    t->bell = sg_sem_init(0);
    rg_sim_actor("turns", host, TURNS_STACK, turns_main, t);
}

void rg_turns_free(struct rg_turns *t)
{
    sg_sem_destroy(t->bell);
    free(t->wanted.turn);
    free(t->round.turn);
}

void rg_turns_want(struct rg_turns *t, struct rg_turn *turn)
{
    struct rg_turns_found *wanted = &t->wanted;
    t->seen++;
    if (turn->wanted)
        return;
    turn->wanted = true;
    if (wanted->count == wanted->capacity) {
        wanted->capacity = wanted->capacity ? 2 * wanted->capacity : 64;
        wanted->turn = rg_need(wanted->turn, wanted->capacity * sizeof(struct rg_turn *));
    }
    wanted->turn[wanted->count++] = turn;
}

void rg_turns_go(struct rg_turns *t)
{
    if (t->wanted.count == 0 || t->awake)
        return;
    t->awake = true;
    sg_sem_release(t->bell);
}

/* The bell is rung once for every turn that is given. The time may be over when it has been. */
void rg_turns_wait(struct rg_turns *t, struct rg_turn *turn, double seconds)
{
    bool rung = false;
    turn->given = false;
    rg_turns_end(t);
    if (seconds > 0 && seconds < INFINITY)
        rung = sg_sem_acquire_timeout(turn->bell, seconds) == 0;
    if (!turn->given && seconds < INFINITY) {
        rg_turns_want(t, turn);
        rg_turns_go(t);
    }
    if (!rung)
        sg_sem_acquire(turn->bell);
    RG_ASSERT(turn->given);
}

void rg_turns_close(struct rg_turns *t)
{
    t->over = true;
}
