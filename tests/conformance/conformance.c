/* Runs the cases on a world and says which rank failed at which line. */
#include "tests/conformance/conformance.h"

#include "tests/conformance/cases.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_RANKS = 64 };

struct nap {
    const struct rg_launcher *launcher;
    double seconds;
};

static void sleep_really(void *arg)
{
    const struct nap *nap = arg;
    if (nap->launcher->is_virtual)
        return;
    struct timespec left = {.tv_sec = (time_t)nap->seconds};
    left.tv_nsec = (long)(1e9 * (nap->seconds - (double)left.tv_sec));
    while (nanosleep(&left, &left) != 0)
        ;
}

int rg_test_nap(struct rg_world *w, const struct rg_launcher *launcher, double seconds)
{
    struct nap nap = {launcher, seconds};
    struct rg_cost cost = {.flops = seconds * launcher->rate, .calls = 1};
    struct rg_work work = {.cost = &cost, .count = 1, .capacity = 1};
    return rg_compute(w, &work, "nap", -1, sleep_really, &nap);
}

double rg_test_while(const struct rg_launcher *launcher)
{
    return launcher->is_virtual ? 10 : 0.15;
}

double rg_test_soon(struct rg_world *w, const struct rg_launcher *launcher)
{
    return rg_now(w) + rg_test_while(launcher);
}

int rg_test_tell(struct rg_world *w, int dst, uint32_t tag)
{
    struct rg_request request;
    int result = rg_send(w, dst, tag, NULL, 0, &request);
    return result ? result : rg_wait(w, &request);
}

int rg_test_hear(struct rg_world *w, int src, uint32_t tag)
{
    struct rg_request request;
    int result = rg_recv(w, src, tag, NULL, 0, &request);
    return result ? result : rg_wait(w, &request);
}

static unsigned char byte_of(size_t i, unsigned key)
{
    return (unsigned char)((i * 2654435761u + key * 40503u + (i >> 12)) >> 8);
}

void rg_test_fill(void *buffer, size_t bytes, unsigned key)
{
    for (size_t i = 0; i < bytes; i++)
        ((unsigned char *)buffer)[i] = byte_of(i, key);
}

bool rg_test_same(const void *buffer, size_t bytes, unsigned key)
{
    for (size_t i = 0; i < bytes; i++)
        if (((const unsigned char *)buffer)[i] != byte_of(i, key))
            return false;
    return true;
}

static bool run_case(const struct rg_launcher *launcher, const struct rg_case *c, uint64_t seed)
{
    int results[MAX_RANKS];
    for (int rank = 0; rank < c->size; rank++)
        results[rank] = RG_ERR_INTERNAL;
    int result = launcher->run(launcher, c->size, c->program, (void *)launcher, seed, 60, results);
    bool passed = result == (c->deadlocks ? RG_ERR_DEADLOCK : 0);
    if (!passed)
        printf("  seed %llu: the world says: %s\n", (unsigned long long)seed, rg_strerror(result));
    for (int rank = 0; rank < c->size; rank++) {
        int wanted = c->died >> rank & 1 ? RG_TEST_DIED : 0;
        if (results[rank] == wanted)
            continue;
        passed = false;
        if (results[rank] > 0 && results[rank] != RG_TEST_DIED)
            printf("  seed %llu, rank %d: check failed in line %d\n", (unsigned long long)seed,
                   rank, results[rank]);
        else
            printf("  seed %llu, rank %d: %s\n", (unsigned long long)seed, rank,
                   results[rank] == RG_TEST_DIED ? "died" : rg_strerror(results[rank]));
    }
    return passed;
}

int rg_conformance_main(const struct rg_launcher *launcher, int argc, char **argv)
{
    const struct rg_cases *const groups[] = {&rg_message_cases, &rg_cancel_cases, &rg_fault_cases,
                                             &rg_time_cases};
    const char *only = "";
    int seeds = launcher->seeds ? launcher->seeds : 1, run = 0, failed = 0;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--seeds=", 8) == 0)
            seeds = atoi(argv[i] + 8);
        else
            only = argv[i];
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        for (int i = 0; i < groups[g]->count; i++) {
            const struct rg_case *c = &groups[g]->list[i];
            if (!strstr(c->name, only) || (c->only_virtual && !launcher->is_virtual))
                continue;
            bool passed = true;
            for (int seed = 1; seed <= (c->once ? 1 : seeds) && passed; seed++)
                passed = run_case(launcher, c, (uint64_t)seed);
            printf("%s: %s: %s\n", launcher->world, c->name, passed ? "ok" : "FAILED");
            run++;
            failed += !passed;
        }
    }
    printf("%s: %d cases, %d failed\n", launcher->world, run, failed);
    return run == 0 || failed != 0;
}
