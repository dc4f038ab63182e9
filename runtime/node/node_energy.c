/* Joules: of this node, section by section where a meter is read, and of all nodes.
 *
 * Failure modes handled: meters that know nothing, a machine's meter that several ranks share, one
 * node without a meter beside others with one, no memory. */
#include "node/node_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void rg_node_own_joules(const struct node *n, double joules[PARTS])
{
    joules[IDLE] = n->energy.idle_J;
    joules[COMPUTE] = n->energy.compute_J;
    joules[NETWORK] = n->energy.network_J;
    joules[SWITCH] = n->energy.switch_J;
    joules[TOTAL] = n->energy.total_J;
}

/* Sums over nodes are made in the order of ranks; the total is the sum of the parts, where there
 * are parts, so that they add up as printed. */
static void add_joules(double sum[PARTS], const double joules[PARTS])
{
    for (int i = 0; i < PARTS; i++)
        sum[i] += joules[i];
    double parts = sum[IDLE] + sum[COMPUTE] + sum[NETWORK] + sum[SWITCH];
    if (!isnan(parts))
        sum[TOTAL] = parts;
}

/* Collective, off the clock: what all nodes have drawn, on rank 0. */
int rg_node_sum_energy(struct node *n)
{
    struct rg_request request;
    double joules[PARTS];
    int result = 0;
    rg_node_own_joules(n, joules);
    if (n->w->rank > 0) {
        rg_send(n->w, 0, TAG_ENERGY, joules, sizeof joules, &request);
        return rg_wait(n->w, &request);
    }
    memcpy(n->joules, joules, sizeof joules);
    for (int rank = 1; rank < n->w->size && result == 0; rank++) {
        rg_recv(n->w, rank, TAG_ENERGY, joules, sizeof joules, &request);
        result = rg_wait(n->w, &request);
        if (result == 0)
            add_joules(n->joules, joules);
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

void rg_node_account_meter(const struct node *n, struct report *r)
{
    const struct rg_meter_facts *meter = n->energy.meter;
    if (!meter)
        return;
    r->metered = true;
    r->interval_s = meter->interval_s;
    r->longest_s = meter->longest_s;
    r->idle_W = meter->idle_W;
    r->variance_J2 = n->energy.variance_J2;
    r->samples = n->energy.samples;
    r->machine = meter->machine;
    strncpy(r->source, n->energy.source, sizeof r->source - 1);
    memcpy(r->meter_error, meter->error, sizeof r->meter_error - 1);
}

/* What the meter of one node says about itself, and what it adds to that of all. */
void rg_node_add_meter(struct node *n, int rank, const struct report *r)
{
    struct rg_run_meter *all = &n->run->meter, *one = &n->run->per_node[rank].meter;
    if (!r->metered || r->machine == RG_MACHINE_OTHER)
        return;
    *one = (struct rg_run_meter){.known = true,
                                 .nodes = 1,
                                 .samples = (uint64_t)r->samples,
                                 .interval_s = r->interval_s,
                                 .longest_s = r->longest_s,
                                 .uncertainty_J = sqrt(r->variance_J2),
                                 .idle_W = r->idle_W,
                                 .above_idle_J = r->joules[TOTAL] - r->joules[IDLE]};
    if (isnan(r->joules[TOTAL]))
        one->uncertainty_J = NAN;
    memcpy(one->source, r->source, sizeof one->source);
    memcpy(one->error, r->meter_error, sizeof r->meter_error);
    if (!all->known) {
        *all = *one;
        all->error[0] = '\0';
    } else {
        all->nodes++;
        all->samples += one->samples;
        all->interval_s = fmax(all->interval_s, one->interval_s);
        all->longest_s = fmax(all->longest_s, one->longest_s);
        all->uncertainty_J = hypot(all->uncertainty_J, one->uncertainty_J);
        all->idle_W += one->idle_W;
        all->above_idle_J += one->above_idle_J;
    }
    if (!all->error[0] && one->error[0])
        snprintf(all->error, sizeof all->error, "rank %d: %.200s", rank, one->error);
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
    for (int k = 0; k < n->pause_count && run->to_accuracy.reached; k++)
        if (n->pauses[k].done == run->to_accuracy.iterations)
            run->to_accuracy.energy_J = n->pauses[k].total_J;
}

void rg_node_add_energy(struct node *n, const struct report *r)
{
    struct rg_run *run = n->run;
    double sum[PARTS] = {run->energy_J.idle, run->energy_J.compute, run->energy_J.network,
                         run->energy_J.switches, run->energy_J.total};
    add_joules(sum, r->joules);
    run->energy_J.idle = sum[IDLE];
    run->energy_J.compute = sum[COMPUTE];
    run->energy_J.network = sum[NETWORK];
    run->energy_J.switches = sum[SWITCH];
    run->energy_J.total = sum[TOTAL];
}
