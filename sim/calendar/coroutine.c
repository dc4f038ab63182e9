#include "coroutine.h"

#include "base/check.h"
#include "base/need.h"
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

/* Instrumented frames are larger. A guard splits a mapping in two, of which a process has 65,530
 * (vm.max_map_count): the stacks of larger simulations, which run the same programs, have none. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STACK_LEAST = 1 << 20 };
#else
enum { STACK_LEAST = 16 << 10 };
#endif
enum { GUARD = 4096, MOST_GUARDS = 16384 };

static void begin(void);

/* ---- switching ---- */

#if defined(__x86_64__) && !defined(RG_COROUTINE_UCONTEXT)

struct context {
    void *stack; /* pointer into it, below the saved registers */
};

void rg_coroutine_switch(struct context *save, const struct context *load);
__asm__(".text\n"
        ".globl rg_coroutine_switch\n"
        ".type rg_coroutine_switch,@function\n"
        "rg_coroutine_switch:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n"
        "    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq (%rsi), %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n"
        "    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size rg_coroutine_switch,.-rg_coroutine_switch\n");

/* Six registers, then where to return to; a call leaves the stack 8 off a multiple of 16. */
static void prepare(struct context *c, char *low, size_t bytes)
{
    void **top = (void **)(low + bytes);
    top[-2] = (void *)(uintptr_t)begin;
    c->stack = top - 8;
}

#elif defined(__aarch64__) && !defined(RG_COROUTINE_UCONTEXT)

struct context {
    void *stack;
};

void rg_coroutine_switch(struct context *save, const struct context *load);
__asm__(".text\n"
        ".globl rg_coroutine_switch\n"
        ".type rg_coroutine_switch,%function\n"
        "rg_coroutine_switch:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp]\n       stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    ldr x9, [x1]\n"
        "    mov sp, x9\n"
        "    ldp x19, x20, [sp]\n       ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        ".size rg_coroutine_switch,.-rg_coroutine_switch\n");

/* x30, the twelfth of twenty registers, is where to return to. */
static void prepare(struct context *c, char *low, size_t bytes)
{
    void **top = (void **)(low + bytes);
    c->stack = top - 20;
    top[-20 + 11] = (void *)(uintptr_t)begin;
}

#elif defined(__arm__) && defined(__ARM_PCS_VFP) && !defined(RG_COROUTINE_UCONTEXT)

struct context {
    void *stack;
};

__attribute__((naked, noinline)) static void rg_coroutine_switch(struct context *save,
                                                                 const struct context *load)
{
    __asm__("push {r4-r11, lr}\n"
            "vpush {d8-d15}\n"
            "mov ip, sp\n"
            "str ip, [r0]\n"
            "ldr ip, [r1]\n"
            "mov sp, ip\n"
            "vpop {d8-d15}\n"
            "pop {r4-r11, pc}\n");
}

/* Sixteen words of floating point, eight registers, then where to return to: 25 words. */
static void prepare(struct context *c, char *low, size_t bytes)
{
    void **top = (void **)(low + bytes); /* as it is at entry: a multiple of 8 */
    top[-1] = (void *)(uintptr_t)begin;
    c->stack = top - 25;
}

#else
#include <ucontext.h>

struct context {
    ucontext_t u;
    void *stack; /* where it begins */
};

static void rg_coroutine_switch(struct context *save, const struct context *load)
{
    RG_ASSERT(swapcontext(&save->u, &load->u) == 0);
}

static void prepare(struct context *c, char *low, size_t bytes)
{
    RG_ASSERT(getcontext(&c->u) == 0);
    c->u.uc_stack.ss_sp = low;
    c->u.uc_stack.ss_size = bytes;
    c->u.uc_link = NULL;
    makecontext(&c->u, begin, 0);
    c->stack = low;
}

#endif

struct rg_coroutine {
    struct context own, caller;
    void (*main)(void *arg);
    void *arg;
    bool over;
    char *stack; /* its lowest byte */
    size_t bytes;
    struct rg_coroutine *next_spare, *next; /* next: of all */
    /* of the sanitizers */
    void *fake, *caller_fake, *fiber, *caller_fiber;
    const void *caller_stack;
    size_t caller_bytes;
};

/* ---- what sanitizers want to know ---- */

static void tell_entering(struct rg_coroutine *c)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&c->caller_fake, c->stack, c->bytes);
#elif defined(__SANITIZE_THREAD__)
    c->caller_fiber = __tsan_get_current_fiber();
    if (!c->fiber)
        c->fiber = __tsan_create_fiber(0);
    __tsan_switch_to_fiber(c->fiber, 0);
#else
    (void)c;
#endif
}

static void tell_entered(struct rg_coroutine *c)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(c->fake, &c->caller_stack, &c->caller_bytes);
#else
    (void)c;
#endif
}

static void tell_leaving(struct rg_coroutine *c)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(c->over ? NULL : &c->fake, c->caller_stack, c->caller_bytes);
#elif defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(c->caller_fiber, 0);
#else
    (void)c;
#endif
}

static void tell_left(struct rg_coroutine *c)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(c->caller_fake, NULL, NULL);
    if (c->over)
        __asan_unpoison_memory_region(c->stack, c->bytes);
#elif defined(__SANITIZE_THREAD__)
    if (c->over) {
        __tsan_destroy_fiber(c->fiber);
        c->fiber = NULL;
    }
#else
    (void)c;
#endif
}

/* ---- coroutines ---- */

static struct rg_coroutine *entering; /* for begin(), which has no argument */

static void begin(void)
{
    struct rg_coroutine *c = entering;
    tell_entered(c);
    c->main(c->arg);
    c->over = true;
    rg_coroutine_leave(c);
    abort();
}

static struct rg_coroutine *take(struct rg_coroutines *all, size_t bytes)
{
    struct rg_coroutine **at = &all->spare, *c;
    while (*at && (*at)->bytes != bytes)
        at = &(*at)->next_spare;
    if ((c = *at) != NULL) {
        *at = c->next_spare;
        return c;
    }
    c = rg_need_zeroed(1, sizeof *c);
    void *memory = mmap(NULL, bytes + GUARD, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    c->stack = (char *)rg_needed(memory == MAP_FAILED ? NULL : memory) + GUARD;
    c->bytes = bytes;
    if (all->guards < MOST_GUARDS && mprotect(memory, GUARD, PROT_NONE) == 0)
        all->guards++;
    c->next = all->all;
    all->all = c;
    return c;
}

struct rg_coroutine *rg_coroutine_new(struct rg_coroutines *all, size_t stack_bytes,
                                      void (*main)(void *arg), void *arg)
{
    size_t bytes = (RG_MAX(stack_bytes, (size_t)STACK_LEAST) + GUARD - 1) / GUARD * GUARD;
    struct rg_coroutine *c = take(all, bytes);
    c->main = main;
    c->arg = arg;
    c->over = false;
    c->fake = NULL;
    prepare(&c->own, c->stack, c->bytes);
    return c;
}

bool rg_coroutine_enter(struct rg_coroutines *all, struct rg_coroutine *c)
{
    entering = c;
    tell_entering(c);
    rg_coroutine_switch(&c->caller, &c->own);
    tell_left(c);
    if (!c->over)
        return true;
    c->next_spare = all->spare;
    all->spare = c;
    return false;
}

void rg_coroutine_expect(const struct rg_coroutine *c)
{
    enum { LINE = 64, LINES = 4 }; /* of what is taken from its stack first */
    const char *top = c->own.stack;
    for (int i = 0; i < LINES; i++)
        __builtin_prefetch(top + i * LINE);
}

void rg_coroutine_leave(struct rg_coroutine *c)
{
    tell_leaving(c);
    rg_coroutine_switch(&c->own, &c->caller);
    tell_entered(c);
}

void rg_coroutines_free(struct rg_coroutines *all)
{
    for (struct rg_coroutine *c = all->all, *next; c; c = next) {
        next = c->next;
#if defined(__SANITIZE_THREAD__)
        if (c->fiber)
            __tsan_destroy_fiber(c->fiber);
#endif
        munmap(c->stack - GUARD, c->bytes + GUARD);
        free(c);
    }
    *all = (struct rg_coroutines){0};
}
