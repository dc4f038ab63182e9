#include "tests/sim/simulate.h"

#include "base/check.h"
#include "boards/board.h"
#include <CUnit/CUnit.h>
#include <CUnit/TestRun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

const struct rg_board simulate_board = {.name = "test",
                                        .cores = 4,
                                        .gemm_rate = 1e9,
                                        .gemm_rate_all = 3e9,
                                        .vector_rate = 1e9,
                                        .memory_rate = 1e18,
                                        .memory_rate_all = 1e18,
                                        .memory_bytes = 1 << 30,
                                        .port_rate = SIM_RATE,
                                        .latency_s = SIM_LATENCY,
                                        .frame_payload = 1448,
                                        .frame_bytes = 1538};

const struct rg_board *const simulate_boards[SIM_RANKS] = {
    &simulate_board, &simulate_board, &simulate_board, &simulate_board,
    &simulate_board, &simulate_board, &simulate_board, &simulate_board};

struct outcome {
    int result;
    double end_s;
    struct rg_error error;
    int results[];
};

void *simulate_share(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    RG_ASSERT(memory != MAP_FAILED);
    return memory;
}

const char *simulate_platform(const char *text)
{
    static char name[64];
    size_t length = strlen(text);
    int fd = memfd_create("platform", 0);
    RG_ASSERT(fd >= 0);
    ssize_t written = write(fd, text, length);
    RG_ASSERT(written == (ssize_t)length);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return name;
}

enum rg_sim_engine simulate_engine(void)
{
    const char *name = getenv("RG_TEST_ENGINE");
    enum rg_sim_engine engine = RG_SIM_AUTO;
    while (name && engine < RG_SIM_ENGINES && strcmp(name, rg_sim_engine_name(engine)) != 0)
        engine++;
    RG_ASSERT(engine < RG_SIM_ENGINES);
    return engine;
}

int simulate_compute(struct rg_world *w, double seconds)
{
    struct rg_cost cost = {.m = 1, .n = 1, .k = 1, .flops = 1e9 * seconds, .calls = 1};
    struct rg_work work = {.cost = &cost, .count = 1};
    return rg_compute(w, &work, "x", -1, NULL, NULL);
}

static _Noreturn void child(const struct rg_sim_options *options, rg_program_fn program, void *arg,
                            double timeout_s, struct outcome *out)
{
    struct rg_sim_options o = *options;
    o.end_s = &out->end_s;
    if (o.engine == RG_SIM_AUTO)
        o.engine = simulate_engine();
    unsigned failures = CU_get_number_of_failures();
    alarm((unsigned)timeout_s + 1);
    out->result = rg_sim_run(&o, program, arg, out->results, &out->error);
    bool good = CU_get_number_of_failures() == failures; /* what programs assert counts too */
    for (CU_pFailureRecord r = good ? NULL : CU_get_failure_list(); r; r = r->pNext)
        printf("in the simulation: %s:%u: %s\n", r->strFileName, r->uiLineNumber, r->strCondition);
    fflush(NULL);
    _exit(!good);
}

int simulate(const struct rg_sim_options *options, rg_program_fn program, void *arg,
             double timeout_s, int *results, struct rg_error *error)
{
    size_t n = (size_t)options->size, bytes = sizeof(struct outcome) + n * sizeof(int);
    struct outcome *out = simulate_share(bytes);
    int status = 0;
    out->result = RG_ERR_INTERNAL;
    for (size_t i = 0; i < n; i++)
        out->results[i] = RG_ERR_INTERNAL;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        child(options, program, arg, timeout_s, out);
    RG_ASSERT(pid > 0);
    waitpid(pid, &status, 0);
    int result = status == 0 ? out->result : RG_ERR_INTERNAL;
    if (results)
        memcpy(results, out->results, n * sizeof(int));
    if (error)
        *error = out->error;
    if (options->end_s)
        *options->end_s = out->end_s;
    munmap(out, bytes);
    return result;
}
