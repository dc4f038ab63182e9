/* Functions on stacks of their own: what they have survives, and what the caller has. Built twice:
 * with the hand-written switch, and with ucontext. */
#include "sim/calendar/coroutine.h"

#include "base/check.h"
#include "tests/support/suite.h"
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>

enum { MANY = 3000 };

struct counter {
    struct rg_coroutine *self;
    int from, turns, seen;
    double sum;
    bool aligned;
};

static struct rg_coroutines all;

/* Registers and stack are full of what depends on the coroutine. */
static void count(void *arg)
{
    struct counter *c = arg;
    _Alignas(16) volatile char frame[64];
    double a = c->from, b = a / 3, d = b * b, e = d + a;
    c->aligned = (uintptr_t)frame % 16 == 0;
    frame[0] = (char)c->from;
    for (int i = 0; i < c->turns; i++) {
        c->seen++;
        rg_coroutine_leave(c->self);
        a += 1;
        b += a;
        d -= b;
        e += d * 1e-3;
    }
    CU_ASSERT_EQUAL(frame[0], (char)c->from);
    c->sum = a + b + d + e;
}

static double wanted_sum(int from, int turns)
{
    double a = from, b = a / 3, d = b * b, e = d + a;
    for (int i = 0; i < turns; i++) {
        a += 1;
        b += a;
        d -= b;
        e += d * 1e-3;
    }
    return a + b + d + e;
}

static void test_turns(void)
{
    struct counter *c = calloc(MANY, sizeof *c);
    int left = MANY;
    RG_ASSERT(c);
    for (int i = 0; i < MANY; i++) {
        c[i] = (struct counter){.from = i, .turns = i % 7};
        c[i].self = rg_coroutine_new(&all, 16 << 10, count, &c[i]);
    }
    for (int turn = 0; left > 0 && turn < 20; turn++)
        for (int i = 0; i < MANY; i++)
            if (c[i].self && !rg_coroutine_enter(&all, c[i].self)) {
                c[i].self = NULL;
                left--;
                CU_ASSERT_EQUAL(turn, c[i].turns);
            }
    for (int i = 0; i < MANY; i++) {
        CU_ASSERT_EQUAL(c[i].seen, c[i].turns);
        CU_ASSERT_EQUAL(c[i].sum, wanted_sum(i, i % 7));
        CU_ASSERT(c[i].aligned);
    }
    free(c);
}

struct nester {
    struct rg_coroutine *self;
    int depth, most;
    jmp_buf out;
    bool jumped;
};

static void nest(struct nester *n, int depth);
static void (*volatile nest_again)(struct nester *n, int depth) = nest; /* a frame each */

static void nest(struct nester *n, int depth)
{
    volatile char frame[100];
    frame[depth % 100] = 1;
    rg_coroutine_leave(n->self);
    if (depth < n->most)
        nest_again(n, depth + 1);
    else
        longjmp(n->out, 1);
    n->depth += frame[depth % 100];
}

static void jump_out(void *arg)
{
    struct nester *n = arg;
    if (setjmp(n->out) == 0)
        nest(n, 0);
    else
        n->jumped = true;
}

/* As a node that dies leaves its frames; and its stack serves the next. */
static void test_jumps(void)
{
    for (int i = 0; i < 100; i++) {
        struct nester n = {.most = i % 20};
        int turns = 0;
        n.self = rg_coroutine_new(&all, 16 << 10, jump_out, &n);
        while (rg_coroutine_enter(&all, n.self))
            turns++;
        CU_ASSERT(n.jumped);
        CU_ASSERT_EQUAL(turns, n.most + 1);
    }
}

static void test_unfinished(void)
{
    static struct counter c = {.turns = 3};
    c.self = rg_coroutine_new(&all, 100 << 10, count, &c);
    CU_ASSERT(rg_coroutine_enter(&all, c.self));
    rg_coroutines_free(&all); /* with its frames */
    CU_ASSERT_PTR_NULL(all.all);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"turns", test_turns},
                                              {"jumps out of frames", test_jumps},
                                              {"one that has not ended", test_unfinished}};
    int status = suite_main("coroutines", tests, RG_COUNT(tests), argc, argv);
    rg_coroutines_free(&all);
    return status;
}
