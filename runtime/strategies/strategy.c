#include "strategies/strategy.h"

#include "base/check.h"
#include <string.h>

#define RG_STRATEGY(name) extern const struct rg_strategy rg_strategy_##name;
#include "strategies/list.def"
#undef RG_STRATEGY

const struct rg_strategy *const rg_strategies[] = {
#define RG_STRATEGY(name) &rg_strategy_##name,
#include "strategies/list.def"
#undef RG_STRATEGY
    NULL};

const struct rg_strategy *rg_strategy_named(const char *name)
{
    for (int i = 0; rg_strategies[i]; i++)
        if (strcmp(rg_strategies[i]->name, name) == 0)
            return rg_strategies[i];
    return NULL;
}

int rg_share(int total, int parts, int part)
{
    return total / parts + (part < total % parts);
}

int rg_share_first(int total, int parts, int part)
{
    return total / parts * part + RG_MIN(part, total % parts);
}

void rg_predict_memory(const struct rg_job *job, struct rg_prediction *prediction)
{
    for (int rank = 0; rank < job->nodes; rank++) {
        uint64_t bytes = job->strategy->memory(job, rank);
        if (bytes > prediction->memory_bytes) {
            prediction->memory_bytes = bytes;
            prediction->bottleneck = rank;
        }
    }
}
