/* What strategies share. */
#include "strategies/samples.h"

#include "base/check.h"
#include "base/sizes.h"

int rg_share(int total, int parts, int part)
{
    return total / parts + (part < total % parts);
}

int rg_share_first(int total, int parts, int part)
{
    return total / parts * part + RG_MIN(part, total % parts);
}

struct rg_shard rg_shard_of(size_t total, int parts, int part)
{
    size_t m = (size_t)parts, j = (size_t)part, each = total / m, more = total % m;
    return (struct rg_shard){each * j + RG_MIN(j, more), each + (j < more)};
}

void rg_serving_order(int servers, int workers, int server, int *order)
{
    int waves = RG_MAX(workers / servers, 1), n = 0;
    for (int wave = 0; wave < waves; wave++) {
        int first = rg_share_first(workers, waves, wave), size = rg_share(workers, waves, wave);
        for (int t = 0; t < size; t++)
            order[n++] = first + (server + t) % size;
    }
    RG_ASSERT(n == workers);
}

int rg_job_share(const struct rg_job *job, int parts, int part)
{
    return job->shares ? job->shares[part] : rg_share(job->batch, parts, part);
}

int rg_job_share_first(const struct rg_job *job, int parts, int part)
{
    int before = 0;
    if (!job->shares)
        return rg_share_first(job->batch, parts, part);
    for (int i = 0; i < part; i++)
        before += job->shares[i];
    return before;
}

struct rg_passes rg_job_passes(const struct rg_job *job, int rank)
{
    const struct rg_strategy *strategy = job->strategy;
    int first = 0, parts = strategy->sharing ? strategy->sharing(job, &first) : 0, n = job->batch;
    if (strategy->passes)
        return strategy->passes(job, rank);
    if (parts > 0)
        n = rank >= first && rank < first + parts ? rg_job_share(job, parts, rank - first) : 0;
    return (struct rg_passes){.least = n, .most = n};
}

void rg_predict_flow(void *prediction, const struct rg_traffic *flow)
{
    struct rg_prediction *p = prediction;
    p->messages += flow->messages;
    p->payload_bytes += flow->payload;
}

uint64_t rg_trained_floats(const struct rg_job *job, size_t parameters)
{
    return rg_size_plus(parameters, rg_optimizer_state(&job->optimizer, parameters));
}

uint64_t rg_state_floats(const struct rg_job *job)
{
    size_t parameters = job->network->parameters;
    return job->strategy->state_floats ? job->strategy->state_floats(job)
                                       : rg_trained_floats(job, parameters);
}

void rg_predict_memory(const struct rg_job *job, struct rg_prediction *prediction)
{
    for (int rank = 0; rank < job->nodes; rank++) {
        uint64_t bytes = rg_job_memory(job, rank);
        if (bytes > prediction->memory_bytes) {
            prediction->memory_bytes = bytes;
            prediction->bottleneck = rank;
        }
    }
}
