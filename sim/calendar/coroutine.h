/* Functions on stacks of their own, which stop where they are and go on later; all in one thread.
 *
 * Switching saves the registers that a call preserves, and no more: hand-written for x86-64,
 * aarch64 and armhf; elsewhere, and under RG_COROUTINE_UCONTEXT, by ucontext, whose every switch is
 * two system calls. The address and the thread sanitizer are told of every switch. */
#ifndef RG_CALENDAR_COROUTINE_H
#define RG_CALENDAR_COROUTINE_H

#include <stdbool.h>
#include <stddef.h>

struct rg_coroutine;

/* Stacks that are free for others. Zero-initialise. */
struct rg_coroutines {
    struct rg_coroutine *spare, *all;
    size_t guards; /* pages between stacks that may not be touched */
};

/* main(arg) is to run on a stack of at least so many bytes once it is entered. Never NULL: ends the
 * process where there is no memory. */
struct rg_coroutine *rg_coroutine_new(struct rg_coroutines *all, size_t stack_bytes,
                                      void (*main)(void *arg), void *arg);
/* Runs it until it leaves (true), or main has returned (false): then it is gone. Not from a
 * coroutine. */
bool rg_coroutine_enter(struct rg_coroutines *all, struct rg_coroutine *c);
/* It will be entered next: its stack is fetched meanwhile. */
void rg_coroutine_expect(const struct rg_coroutine *c);
/* Stops the one that runs. */
void rg_coroutine_leave(struct rg_coroutine *c);
/* Those that have not returned too: their stacks are gone, nothing on them is released. */
void rg_coroutines_free(struct rg_coroutines *all);

#endif
