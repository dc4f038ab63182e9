#include "strategies/allocated.h"

#include "base/check.h"
#include "node/node.h"
#include "strategies/tell.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUCKETS = 1 << 12, SHOWN = 5, NOBODY = -1 };

struct block {
    struct block *next;
    void *at;
    size_t bytes;
    int owner;
};

static struct block *buckets[BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t doomed_ranks;
static bool recording;
static struct {
    int rank;
    long nth, asked;
} failing = {.rank = NOBODY};
static _Thread_local int needed;         /* what the program would end without */
static _Thread_local int owner = NOBODY; /* a rank; the strands of a rank inherit it */

/* Where there is a leak sanitizer: it sees what libraries allocate for the doomed, too. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void __real_free(void *at);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                          void *arg);
int __real_rg_node_run(struct rg_world *w, const struct rg_job *job,
                       const struct rg_node_options *options, struct rg_run *run);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void __wrap_free(void *at);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                          void *arg);
int __wrap_rg_node_run(struct rg_world *w, const struct rg_job *job,
                       const struct rg_node_options *options, struct rg_run *run);

int __real_rg_node_salvage(struct rg_world *w, const struct rg_job *job,
                           const struct rg_node_options *options, const struct rg_kept *kept,
                           struct rg_run *run);
int __wrap_rg_node_salvage(struct rg_world *w, const struct rg_job *job,
                           const struct rg_node_options *options, const struct rg_kept *kept,
                           struct rg_run *run);

static struct block **bucket_of(const void *at)
{
    return &buckets[((uintptr_t)at >> 4) % BUCKETS];
}

/* Is this the allocation that fails? */
static bool fails(void)
{
    return owner != NOBODY && owner == failing.rank && !needed && ++failing.asked == failing.nth;
}

static bool is_doomed(int rank)
{
    return rank >= 0 && (doomed_ranks >> rank & 1);
}

static void *note(void *at, size_t bytes)
{
    if (!at || !recording)
        return at;
    struct block *block = __real_malloc(sizeof *block);
    RG_ASSERT(block);
    pthread_mutex_lock(&lock);
    *block = (struct block){*bucket_of(at), at, bytes, owner};
    *bucket_of(at) = block;
    pthread_mutex_unlock(&lock);
    return at;
}

static void forget(const void *at)
{
    pthread_mutex_lock(&lock);
    struct block **link = bucket_of(at), *block;
    while ((block = *link) != NULL && block->at != at)
        link = &block->next;
    if (block)
        *link = block->next;
    pthread_mutex_unlock(&lock);
    __real_free(block);
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : note(__real_malloc(size), size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : note(__real_calloc(count, size), count * size);
}

void *__wrap_realloc(void *old, size_t size)
{
    if (fails())
        return NULL;
    forget(old);
    return note(__real_realloc(old, size), size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return fails() ? NULL : note(__real_aligned_alloc(align, size), size);
}

void __wrap_free(void *at)
{
    forget(at);
    __real_free(at);
}

/* A function that ends the program where there is no memory. */
#define NEEDED(type, name, parameters, arguments)                                                  \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        needed++;                                                                                  \
        type result = __real_##name arguments;                                                     \
        needed--;                                                                                  \
        return result;                                                                             \
    }

NEEDED(void *, rg_need, (void *old, size_t bytes), (old, bytes))
NEEDED(void *, rg_need_zeroed, (size_t count, size_t bytes), (count, bytes))
NEEDED(int, rg_tell, (struct rg_world * w, uint32_t tag, int32_t number), (w, tag, number))
NEEDED(int, rg_hear, (struct rg_world * w, uint32_t tag, int32_t *number), (w, tag, number))

struct start {
    void *(*fn)(void *);
    void *arg;
    int owner;
};

static void *begin(void *arg)
{
    struct start start = *(struct start *)arg;
    __real_free(arg);
    owner = start.owner;
    if (is_doomed(owner) && __lsan_disable)
        __lsan_disable();
    void *result = start.fn(start.arg);
    if (is_doomed(owner) && __lsan_enable)
        __lsan_enable();
    return result;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                          void *arg)
{
    if (fails())
        return EAGAIN;
    struct start *start = __real_malloc(sizeof *start);
    RG_ASSERT(start);
    *start = (struct start){fn, arg, owner};
    int failed = __real_pthread_create(thread, attributes, begin, start);
    if (failed)
        __real_free(start);
    return failed;
}

void allocated_by(int rank)
{
    owner = rank;
    if (is_doomed(owner) && __lsan_disable)
        __lsan_disable();
}

int __wrap_rg_node_run(struct rg_world *w, const struct rg_job *job,
                       const struct rg_node_options *options, struct rg_run *run)
{
    allocated_by(w->rank);
    return __real_rg_node_run(w, job, options, run); /* the thread stays its rank's */
}

int __wrap_rg_node_salvage(struct rg_world *w, const struct rg_job *job,
                           const struct rg_node_options *options, const struct rg_kept *kept,
                           struct rg_run *run)
{
    allocated_by(w->rank);
    return __real_rg_node_salvage(w, job, options, kept, run);
}

void allocated_fail(int rank, long nth)
{
    failing.rank = rank;
    failing.nth = nth;
    failing.asked = 0;
}

long allocated_asked(void)
{
    return failing.asked;
}

void allocated_begin(uint32_t doomed)
{
    doomed_ranks = doomed;
    recording = true;
}

int allocated_end(void)
{
    int left = 0;
    recording = false;
    for (int i = 0; i < BUCKETS; i++)
        for (struct block *block = buckets[i], *next; block; block = next) {
            next = block->next;
            if (is_doomed(block->owner))
                __real_free(block->at);
            else if (left++ < SHOWN)
                printf("  rank %d has not freed %zu bytes\n", block->owner, block->bytes);
            __real_free(block);
            buckets[i] = NULL;
        }
    doomed_ranks = 0;
    return left;
}
