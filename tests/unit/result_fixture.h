/* A result of three runs, and its text as each of the printers writes it. */
#ifndef RG_TESTS_RESULT_FIXTURE_H
#define RG_TESTS_RESULT_FIXTURE_H

#include "result/result.h"
#include "support/suite.h"
#include "run_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*print_fn)(const struct rg_result *result, FILE *stream);

static inline void print_json(const struct rg_result *result, FILE *stream)
{
    CU_ASSERT_EQUAL(rg_result_write(result, stream), 0);
}

static inline void print_trace(const struct rg_result *result, FILE *stream)
{
    CU_ASSERT_EQUAL(rg_result_trace(result, stream), 0);
}

static inline char *printed(const struct rg_result *result, print_fn print)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    print(result, stream);
    fclose(stream);
    return text;
}

/* A result of three runs: complete, never begun, failed. */
static inline struct rg_result make_result(struct rg_run runs[3])
{
    fill_run(&runs[0]);
    rg_run_init(&runs[1]);
    strcpy(runs[1].label, "a label that is far longer than a table has room for");
    strcpy(runs[1].kind, "single");
    runs[1].nodes = 1;
    runs[1].status = RG_RUN_NO_FIT;
    strcpy(runs[1].error, "node 0 needs 2.00 GB, its board (toy) has 1.00 GB");
    rg_run_init(&runs[2]);
    strcpy(runs[2].label, "server");
    runs[2].nodes = 64;
    runs[2].status = RG_RUN_FAILED;
    strcpy(runs[2].error, "a peer was lost");
    struct rg_result result = rg_result_of("ringsim", "sim", "test", NULL, 9007199254740991);
    strcpy(result.host.date, "2024-01-02T03:04:05Z");
    strcpy(result.host.blas_kernels, "Haswell");
    strcpy(result.host.machine, "x86_64 Linux");
    result.host.wall_s = 1.25;
    result.host.blas_threads = 1;
    result.runs = runs;
    result.run_count = 3;
    return result;
}

static inline void free_runs(struct rg_run runs[3])
{
    for (int i = 0; i < 3; i++)
        rg_run_free(&runs[i]);
}

static inline char *read_text(const char *path)
{
    FILE *stream = fopen(path, "rb");
    char *text = calloc(1, 1 << 20);
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    text[fread(text, 1, (1 << 20) - 1, stream)] = '\0';
    fclose(stream);
    return text;
}

#endif
