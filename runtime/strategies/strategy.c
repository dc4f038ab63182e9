/* What strategies share. */
#include "strategies/samples.h"

#include "base/check.h"

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
        uint64_t bytes = rg_job_memory(job, rank);
        if (bytes > prediction->memory_bytes) {
            prediction->memory_bytes = bytes;
            prediction->bottleneck = rank;
        }
    }
}
