/* Joules: of this node, section by section where a meter is read, and of all nodes.
 *
 * Failure modes handled: meters that know nothing, a machine's meter that several ranks share, one
 * node without a meter beside others with one, no memory. */
#include "node/node_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct rg_run_energy rg_node_own_joules(const struct node *n)
{
    return (struct rg_run_energy){.total = n->energy.total_J,
                                  .idle = n->energy.idle_J,
                                  .compute = n->energy.compute_J,
                                  .network = n->energy.network_J,
                                  .switches = n->energy.switch_J};
}

/* Collective, off the clock: what all nodes have drawn, on rank 0. */
int rg_node_sum_energy(struct node *n)
{
    struct rg_request request;
    struct rg_run_energy joules = rg_node_own_joules(n); /* five doubles: travels as it is */
    int result = 0;
    if (n->w->rank > 0) {
        rg_send(n->w, 0, TAG_ENERGY, &joules, sizeof joules, &request);
        return rg_wait(n->w, &request);
    }
    n->joules = joules;
    for (int rank = 1; rank < n->w->size && result == 0; rank++) {
        rg_recv(n->w, rank, TAG_ENERGY, &joules, sizeof joules, &request);
        result = rg_wait(n->w, &request);
        if (result == 0)
            rg_run_add_energy(&n->joules, &joules);
    }
    return result;
}

/* Worlds that measure: nobody knows what all have drawn before the run is over. Note the section of
 * time that has just ended. */
int rg_node_note_pause(struct node *n)
{
    if (!n->w->ops->settle)
        return 0;
    struct pause *pauses = realloc(n->pauses, ((size_t)n->pause_count + 1) * sizeof *pauses);
    if (!pauses)
        return RG_ERR_NOMEM;
    n->pauses = pauses;
    pauses[n->pause_count++] = (struct pause){.done = n->done,
                                              .begin_raw = n->w->timed_since,
                                              .end_raw = n->w->untimed_since,
                                              .total_J = n->energy.total_J};
    return 0;
}

/* The training is over: a meter that is read only now says what there was in each section, as
 * it was for all: logs of all nodes are added up over the same time. */
void rg_node_settle(struct node *n)
{
    struct rg_energy section, sum = {.total_J = 0};
    for (int i = 0; i < n->pause_count; i++) {
        struct pause *pause = &n->pauses[i];
        double begin_s = rg_clock_from_first(&n->clocks, n->common[i].begin_s);
        double end_s = rg_clock_from_first(&n->clocks, n->common[i].end_s);
        if (!n->w->ops->settle(n->w, begin_s, end_s, &n->clocks, &section))
            return;
        sum.total_J += section.total_J;
        sum.idle_J += section.idle_J;
        sum.variance_J2 += section.variance_J2;
        sum.samples += section.samples;
        pause->total_J = sum.total_J;
    }
    if (n->pause_count == 0)
        return;
    section.total_J = sum.total_J;
    section.idle_J = sum.idle_J;
    section.variance_J2 = sum.variance_J2;
    section.samples = sum.samples;
    n->energy = section;
}

/* What a node had drawn at the end of each epoch, on top of the others'. */
int rg_node_receive_pauses(struct node *n, int rank, uint64_t machine)
{
    struct rg_request request;
    size_t bytes = (size_t)n->pause_count * sizeof *n->pauses;
    struct pause *theirs = malloc(bytes + 1);
    if (!theirs)
        return RG_ERR_NOMEM;
    rg_recv(n->w, rank, TAG_POINTS, theirs, bytes, &request);
    int result = rg_wait(n->w, &request);
    for (int i = 0; i < n->pause_count && result == 0 && rg_node_counts(n, rank, machine); i++)
        n->pauses[i].total_J += theirs[i].total_J;
    free(theirs);
    return result;
}

int rg_node_send_pauses(struct node *n)
{
    struct rg_request request;
    rg_send(n->w, 0, TAG_POINTS, n->pauses, (size_t)n->pause_count * sizeof *n->pauses, &request);
    return rg_wait(n->w, &request);
}

/* ---- the meters of all nodes ---- */

/* Is this node's energy to be added? Not where a lower rank's meter has it. Rank 0. */
bool rg_node_counts(struct node *n, int rank, uint64_t machine)
{
    n->machines[rank] = machine;
    if (machine == RG_MACHINE_OTHER)
        return false;
    for (int r = 0; r < rank && machine != 0; r++)
        if (n->machines[r] == machine)
            return false;
    return true;
}

void rg_node_count_energy(struct node *n, int rank, uint64_t machine, struct rg_run *own)
{
    if (rg_node_counts(n, rank, machine))
        return;
    own->energy_J = (struct rg_run_energy){0};
    own->meter.known = own->per_node[0].meter.known = false;
    own->per_node[0].energy_J = NAN;
}

void rg_node_account_meter(const struct node *n, struct rg_run *own)
{
    const struct rg_meter_facts *facts = n->energy.meter;
    struct rg_run_meter *meter = &own->per_node[0].meter;
    if (!facts || facts->machine == RG_MACHINE_OTHER)
        return;
    *meter = (struct rg_run_meter){.known = true,
                                   .nodes = 1,
                                   .samples = (uint64_t)n->energy.samples,
                                   .interval_s = facts->interval_s,
                                   .longest_s = facts->longest_s,
                                   .uncertainty_J =
                                       isnan(n->energy.total_J) ? NAN : sqrt(n->energy.variance_J2),
                                   .idle_W = facts->idle_W,
                                   .above_idle_J = n->energy.total_J - n->energy.idle_J};
    rg_copy_text(meter->source, sizeof meter->source, n->energy.source);
    rg_copy_text(meter->error, sizeof meter->error, facts->error);
    own->meter = *meter;
    if (meter->error[0])
        snprintf(own->meter.error, sizeof own->meter.error, "rank %d: %.200s", n->w->rank,
                 meter->error);
}

/* One node without a meter, beside others with one: then nobody knows what all have drawn. */
void rg_node_describe_meters(struct node *n)
{
    struct rg_run *run = n->run;
    for (int rank = 0; rank < run->node_count; rank++) {
        uint64_t machine = n->machines[rank];
        bool counted = machine != RG_MACHINE_OTHER && rg_node_counts(n, rank, machine);
        if (!run->meter.known || run->meter.error[0] || !counted ||
            !isnan(run->per_node[rank].energy_J))
            continue;
        run->meter.uncertainty_J = run->meter.idle_W = run->meter.above_idle_J = NAN;
        snprintf(run->meter.error, sizeof run->meter.error, "rank %d has no meter", rank);
    }
    for (int i = 0; i < run->point_count; i++)
        for (int k = 0; k < n->pause_count; k++)
            if (n->pauses[k].done == run->training[i].iteration)
                run->training[i].energy_J = n->pauses[k].total_J;
    for (int k = 0; k < n->pause_count && run->to_accuracy.iterations >= 0; k++)
        if (n->pauses[k].done == run->to_accuracy.iterations)
            run->to_accuracy.energy_J = n->pauses[k].total_J;
}
