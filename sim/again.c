#include "again.h"

/* A difference of 1e-12 that so often doubles is one of 1e-9. Most that share links do not grow by
 * that, and those of one link (a server's) hardly can; where it costs little they are tried. */
enum { CROWDED = 10, CHEAP_NODES = 64 };

static bool has_ended(const struct rg_run *run)
{
    return run->status == RG_RUN_OK || run->status == RG_RUN_DIVERGED;
}

bool rg_again_is_wanted(const struct rg_job *job, const struct rg_run *run)
{
    /* a stream that a goal has ended was further on than one that was to end there; what a run was
     * taken up from may be of other boards, or none */
    bool whole = (run->iterations == job->iterations || !job->flows_on) && !run->resumed.known &&
                 run->checkpoints.written < 2; /* whose sections are shorter */
    uint64_t met = run->nodes <= CHEAP_NODES ? run->engine.crowded : run->engine.meshed;
    bool crowded = met >= CROWDED && run->extrapolated_iterations == 0;
    return has_ended(run) && (run->engine.near_ties > 0 || crowded) && whole &&
           run->traffic.messages > 0;
}

struct rg_job rg_again_job(const struct rg_job *job, const struct rg_run *first)
{
    struct rg_job second = *job;
    bool on_numbers = first->filtered.known || first->predicted.counts.at_most;
    second.iterations = first->iterations;
    second.foretold.known = false;
    second.numerics = job->numerics && on_numbers;
    return second;
}

void rg_again_note(struct rg_run *first, const struct rg_run *second)
{
    if (!has_ended(second) || second->iterations != first->iterations)
        return;
    first->engine.again_s = second->time_s;
    first->engine.again_J = second->energy_J.total;
}
