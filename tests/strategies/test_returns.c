/* Who is taken in again, and who cannot go on: what nodes of an attempt in the mem world agree on
 * of one that was lost, and what they then tell of its loss; what becomes of one that fails alone.
 */
#include "base/check.h"
#include "node/attempts.h"
#include "node/muster.h"
#include "support/suite.h"
#include "world/world_mem.h"
#include <math.h>

enum { TRIO = 3, GONE = 3 };

/* Three nodes of four train, or two of them while one waits. */
struct asked {
    struct rg_attempts own[TRIO];
    bool sees[TRIO], hands[TRIO], writes;
    int results[TRIO], looks;
};

struct one_sees {
    struct asked *asked;
    int rank;
};

static bool sees_it(void *arg, int seat, double date_s)
{
    const struct one_sees *one = arg;
    (void)date_s;
    return seat == GONE && one->asked->sees[one->rank];
}

static int look(struct rg_world *w, void *arg)
{
    struct asked *asked = arg;
    int result = 0;
    for (int i = 0; i < asked->looks && result == 0; i++)
        result = rg_attempts_look_for_returned(w, &asked->own[w->rank], 40, asked->hands[w->rank],
                                               asked->writes);
    return result;
}

static int look_in_attempt(struct rg_world *w, void *arg)
{
    struct asked *asked = arg;
    return rg_attempts_run(w, &asked->own[w->rank], look, asked);
}

/* What all of them return. */
static int ask(struct asked *asked, int nodes, int losses)
{
    struct one_sees one[TRIO];
    const struct rg_mem_world_options world = {.size = TRIO, .seed = 3};
    for (int rank = 0; rank < TRIO; rank++) {
        struct rg_attempts *a = &asked->own[rank];
        CU_ASSERT_EQUAL_FATAL(rg_attempts_open(a, RG_LOSE_SHRINK, TRIO + 1, 0), 0);
        a->nodes = nodes;
        a->present = TRIO;
        a->absent[GONE] = RG_GONE;
        a->is_back = sees_it;
        one[rank] = (struct one_sees){asked, rank};
        a->back_arg = &one[rank];
        for (int i = 0; i < losses; i++)
            CU_ASSERT_EQUAL(rg_attempts_note(a, GONE, "mem", ""), 0);
    }
    asked->looks = 2;
    CU_ASSERT_EQUAL(rg_mem_world_run(&world, look_in_attempt, asked, asked->results), 0);
    for (int rank = 1; rank < TRIO; rank++) {
        CU_ASSERT_EQUAL(asked->results[rank], asked->results[0]);
        CU_ASSERT_EQUAL(asked->own[rank].back, asked->own[0].back);
        CU_ASSERT_EQUAL(asked->own[rank].handed, asked->own[0].handed);
    }
    return asked->results[0];
}

static void forget_asked(struct asked *asked)
{
    for (int rank = 0; rank < TRIO; rank++)
        rg_attempts_close(&asked->own[rank]);
}

/* A node is taken in that all can reach, those that wait, too, and that can be given a state. */
static void all_must_see_it(void)
{
    for (int nodes = 2; nodes <= TRIO; nodes++)
        for (unsigned bits = 0; bits < 1u << (2 * TRIO + 1); bits++) {
            struct asked asked = {.writes = bits >> (2 * TRIO)};
            bool all = true, handed = true;
            for (int rank = 0; rank < TRIO; rank++) {
                asked.sees[rank] = bits >> rank & 1;
                asked.hands[rank] = bits >> (TRIO + rank) & 1;
                all = all && asked.sees[rank];
                handed = handed && (asked.hands[rank] || rank >= nodes); /* who waits has nothing */
            }
            bool comes = all && (handed || asked.writes);
            CU_ASSERT_EQUAL(ask(&asked, nodes, 0), comes ? RG_ERR_RETURNED : 0);
            CU_ASSERT_EQUAL(asked.own[0].back, comes ? GONE : -1);
            CU_ASSERT_EQUAL(asked.own[0].handed, comes && handed);
            forget_asked(&asked);
        }
}

/* After a loss it is taken in before anything is trained. One that is gone again before it is in
 * has never been there. */
static void back_and_gone(void)
{
    struct asked asked = {.sees = {true, true, true}};
    CU_ASSERT_EQUAL(ask(&asked, TRIO, 2), RG_ERR_RETURNED);
    struct rg_attempts *a = &asked.own[1];
    CU_ASSERT_EQUAL(a->loss_count, 2);
    CU_ASSERT_EQUAL(a->losses[0].back_iteration, -1);
    CU_ASSERT_EQUAL(a->losses[1].back_iteration, 0); /* nothing has been trained */
    CU_ASSERT_EQUAL(a->losses[1].back_s, 0);
    rg_attempts_take_in(a);
    CU_ASSERT_EQUAL(a->absent[GONE], RG_HERE);
    CU_ASSERT_EQUAL(rg_attempts_note(a, GONE, "mem", "it has gone again"), 0);
    CU_ASSERT_EQUAL(a->loss_count, 2);
    CU_ASSERT_EQUAL(a->losses[1].back_iteration, -1);
    CU_ASSERT(isnan(a->losses[1].back_s));
    CU_ASSERT_EQUAL(rg_attempts_note(a, GONE, "mem", ""), 0);
    CU_ASSERT_EQUAL(a->loss_count, 3);
    forget_asked(&asked);
}

/* ---- nobody goes on ---- */

enum { DUO = 2 };

struct duo {
    struct rg_attempts own[DUO];
};

static bool always(void *arg, int seat, double date_s)
{
    (void)arg, (void)seat, (void)date_s;
    return true;
}

static int refuse(struct rg_world *w, void *arg)
{
    (void)w, (void)arg;
    return RG_ERR_REFUSED;
}

static int agree_that_none_can(struct rg_world *w, void *arg)
{
    struct duo *duo = arg;
    return rg_attempts_run(w, &duo->own[w->rank], refuse, NULL);
}

/* Two of four that cannot go on agree on that, take nobody in, and are no majority of two
 * afterwards; asked again, they cannot either. */
static void none_can(void)
{
    for (int way = 0; way < 2; way++) {
        struct duo duo;
        int results[DUO], order[TRIO + 1];
        const struct rg_mem_world_options world = {.size = DUO, .seed = 5};
        struct rg_error e;
        for (int rank = 0; rank < DUO; rank++) {
            struct rg_attempts *a = &duo.own[rank];
            enum rg_lose lose = way == 0 ? RG_LOSE_SHRINK : RG_LOSE_SPARE;
            int spares = way;
            CU_ASSERT_EQUAL_FATAL(rg_attempts_open(a, lose, TRIO + 1 - spares, spares), 0);
            a->absent[0] = way == 0 ? RG_SILENT : RG_GONE;
            a->absent[way == 0 ? 1 : GONE] = way == 0 ? RG_SILENT : RG_GONE;
            a->is_back = always;
            CU_ASSERT_EQUAL(rg_attempts_note(a, 0, "mem", ""), 0);
            for (int again = 0; again < 2; again++) {
                CU_ASSERT_EQUAL(rg_attempts_cast(a, NULL, NULL, order, &e), RG_ERR_PEER);
                CU_ASSERT_TRUE(a->cannot && a->nodes == DUO && a->present == DUO);
            }
        }
        CU_ASSERT_EQUAL(rg_mem_world_run(&world, agree_that_none_can, &duo, results), 0);
        for (int rank = 0; rank < DUO; rank++) {
            CU_ASSERT_EQUAL(results[rank], RG_ERR_REFUSED);
            CU_ASSERT_EQUAL(duo.own[rank].agreed_count, TRIO + 1);
            CU_ASSERT_EQUAL(rg_attempts_cast(&duo.own[rank], NULL, NULL, order, &e), RG_ERR_PEER);
            rg_attempts_close(&duo.own[rank]);
        }
    }
}

/* ---- one alone ---- */

/* The fourth is gone; one of the three that are left has failed by itself. */
struct left {
    struct rg_attempts own[TRIO];
    int fails;    /* this rank */
    int finds;    /* in its view so many can train; TRIO: it looks as the others do */
    unsigned can; /* bits: ranks that can */
    bool any[TRIO];
};

struct looker {
    const struct left *left;
    int rank;
};

static int finds(void *arg, const int *seats, int count)
{
    const struct looker *looker = arg;
    (void)seats;
    CU_ASSERT_EQUAL(count, TRIO);
    return looker->rank == looker->left->fails ? looker->left->finds : TRIO;
}

static int fail_or_train(struct rg_world *w, void *arg)
{
    const struct left *left = arg;
    return w->rank == left->fails && left->finds == TRIO ? RG_ERR_NOMEM : rg_barrier(w);
}

static int train_after_loss(struct rg_world *w, void *arg)
{
    struct left *left = arg;
    return rg_attempts_run(w, &left->own[w->rank], fail_or_train, left);
}

/* nodes: that train; the others wait. The one that fails ends with that code, and the others find
 * that it has left. */
static void run_left(struct left *left, int nodes, int code)
{
    int results[TRIO];
    const struct rg_mem_world_options world = {.size = TRIO, .seed = 5};
    for (int rank = 0; rank < TRIO; rank++) {
        struct rg_attempts *a = &left->own[rank];
        struct looker looker = {left, rank};
        struct rg_error e;
        int order[TRIO + 1];
        CU_ASSERT_EQUAL_FATAL(rg_attempts_open(a, RG_LOSE_SHRINK, TRIO + 1, 0), 0);
        a->absent[GONE] = RG_GONE;
        CU_ASSERT_EQUAL(rg_attempts_note(a, GONE, "mem", ""), 0);
        CU_ASSERT_EQUAL(rg_attempts_cast(a, finds, &looker, order, &e), 0);
        if (left->finds == TRIO)
            a->nodes = nodes;
    }
    CU_ASSERT_EQUAL(rg_mem_world_run(&world, train_after_loss, left, results), 0);
    for (int rank = 0; rank < TRIO; rank++) {
        CU_ASSERT_EQUAL(results[rank], rank == left->fails ? code : RG_ERR_PEER);
        rg_attempts_close(&left->own[rank]);
    }
}

/* Without memory for a look at what fits, say: it leaves, and the others find that it has. */
static void one_finds_fewer(void)
{
    for (int fails = 0; fails < TRIO; fails++) {
        for (int fewer = 0; fewer < TRIO; fewer++) {
            struct left left = {.fails = fails, .finds = fewer};
            run_left(&left, TRIO, RG_ERR_INVALID);
        }
    }
}

/* In the middle of training it does not wait for the others, which wait for it, and those that wait
 * for the end are not told that it is over. */
static void one_fails(void)
{
    for (int nodes = 2; nodes <= TRIO; nodes++) {
        for (int fails = 0; fails < nodes; fails++) {
            struct left left = {.fails = fails, .finds = TRIO};
            run_left(&left, nodes, RG_ERR_NOMEM);
        }
    }
}

static int ask_who_can(struct rg_world *w, void *arg)
{
    struct left *left = arg;
    return rg_attempts_can_any(w, (left->can >> w->rank & 1) != 0, &left->any[w->rank]);
}

static void any_can(void)
{
    for (unsigned can = 0; can < 1u << TRIO; can++) {
        struct left left = {.can = can};
        const struct rg_mem_world_options world = {.size = TRIO, .seed = 5};
        int results[TRIO];
        CU_ASSERT_EQUAL(rg_mem_world_run(&world, ask_who_can, &left, results), 0);
        for (int rank = 0; rank < TRIO; rank++)
            CU_ASSERT_EQUAL(left.any[rank], can != 0);
    }
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"all must see who is back", all_must_see_it},
        {"back, and gone before it is in", back_and_gone},
        {"none can go on", none_can},
        {"one finds that fewer can", one_finds_fewer},
        {"one fails by itself", one_fails},
        {"is there any that can", any_can},
    };
    return suite_main("returns", tests, sizeof tests / sizeof *tests, argc, argv);
}
