#include "base/cost.h"

#include "base/need.h"
#include <stdlib.h>

static struct rg_cost *append(struct rg_work *work)
{
    if (work->count == work->capacity) {
        int capacity = work->capacity ? 2 * work->capacity : 4;
        work->cost = rg_need(work->cost, (size_t)capacity * sizeof *work->cost);
        work->capacity = capacity;
    }
    return &work->cost[work->count++];
}

struct rg_cost rg_copy_cost(size_t floats)
{
    return (struct rg_cost){.bytes = 2 * sizeof(float) * (double)floats, .calls = 1};
}

void rg_work_gemm(struct rg_work *work, int m, int n, int k, double calls)
{
    double elements = (double)m * k + (double)k * n + 2.0 * m * n;
    *append(work) = (struct rg_cost){.m = m,
                                     .n = n,
                                     .k = k,
                                     .flops = 2.0 * m * n * k,
                                     .bytes = sizeof(float) * elements,
                                     .calls = calls};
}

void rg_work_vector(struct rg_work *work, double flops, double bytes)
{
    *append(work) = (struct rg_cost){.flops = flops, .bytes = bytes, .calls = 1};
}

void rg_work_functions(struct rg_work *work, double flops, double bytes, double functions)
{
    rg_work_vector(work, flops, bytes);
    work->cost[work->count - 1].functions = functions;
}

void rg_work_calls(struct rg_work *work, double calls)
{
    work->cost[work->count - 1].calls = calls;
}

void rg_work_part(struct rg_work *work, int from, struct rg_part part)
{
    if (from == work->count) /* it has no kernels, but may have been measured */
        *append(work) = (struct rg_cost){.calls = 0};
    work->cost[from].part = part;
    work->cost[from].part.kernels = work->count - from;
}

void rg_work_keep_seconds(struct rg_work *work)
{
    if (work->count > 0)
        work->cost = rg_need(work->cost, (size_t)work->count * sizeof *work->cost);
    work->capacity = work->count;
    work->known = rg_need_zeroed(RG_KNOWN_BOARDS, sizeof *work->known);
}

void rg_work_free(struct rg_work *work)
{
    free(work->cost);
    free(work->known);
    *work = (struct rg_work){0};
}

double rg_work_flops(const struct rg_work *work)
{
    double sum = 0;
    for (int i = 0; i < work->count; i++)
        sum += work->cost[i].flops * work->cost[i].calls;
    return sum;
}

double rg_work_bytes(const struct rg_work *work)
{
    double sum = 0;
    for (int i = 0; i < work->count; i++)
        sum += work->cost[i].bytes * work->cost[i].calls;
    return sum;
}
