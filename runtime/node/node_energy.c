/* Joules: of this node, section by section where a meter is read, and of all nodes.
 *
 * Failure modes handled: meters that know nothing, a machine's meter or a log that several ranks
 * share, one node without a meter beside others with one, watts that a board cannot draw, no
 * memory.
 */
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

/* What a node tells of its joules so far; numbers of 8 bytes, which travel as they are. */
struct drawn {
    struct rg_run_energy joules;
    struct metered metered;
};
_Static_assert(sizeof(struct drawn) == 56, "joules on their way have no padding");

/* Measured joules are whole only when the run is over; until then they are wanted by checkpoints
 * alone, and those of logs are unknown. */
int rg_node_sum_energy(struct node *n)
{
    struct drawn drawn = {rg_node_own_joules(n), rg_node_metered(n)};
    int result = 0;
    if (!n->w->ops->energy || (n->w->ops->settle && !n->keeping.on))
        return 0;
    if (n->w->rank > 0)
        return rg_send_wait(n->w, 0, TAG_ENERGY, &drawn, sizeof drawn);
    if (!n->metered && !(n->metered = calloc((size_t)n->w->size, sizeof *n->metered)))
        return RG_ERR_NOMEM;
    n->joules = (struct rg_run_energy){0};
    for (int rank = 0; rank < n->w->size && result == 0; rank++) {
        if (rank > 0)
            result = rg_recv_wait(n->w, rank, TAG_ENERGY, &drawn, sizeof drawn);
        n->metered[rank] = drawn.metered;
        if (result == 0 && rg_node_counts(n, rank))
            rg_run_add_energy(&n->joules, &drawn.joules);
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

/* A meter that was read meanwhile told the joules of this node's sections, which are longer or
 * shorter than rank 0's by what barriers let nodes go one by one: of the mean watts of all. */
static void fit_seconds(struct node *n, const struct rg_clock_section *timed)
{
    double own_s = 0, timed_s = 0;
    for (int i = 0; i < n->pause_count; i++) {
        own_s += n->pauses[i].end_raw - n->pauses[i].begin_raw;
        timed_s += timed[i].end_s - timed[i].begin_s;
    }
    if (n->w->rank == 0 || !(own_s > 0) || !(timed_s > 0))
        return;
    n->energy.total_J *= timed_s / own_s;
    n->energy.idle_J *= timed_s / own_s;
    for (int i = 0; i < n->pause_count; i++)
        n->pauses[i].total_J *= timed_s / own_s;
}

/* The training is over: a meter that is read only now says what there was in each section of rank
 * 0's clock, whose sum time_s is: joules and seconds are of one interval, on all nodes. */
int rg_node_settle(struct node *n)
{
    size_t count = (size_t)n->pause_count;
    struct rg_clock_section *own = malloc((count + 1) * sizeof *own);
    double *joules = malloc((count + 1) * sizeof *joules), sum_J = 0;
    struct rg_energy whole;
    int result = own && joules ? 0 : RG_ERR_NOMEM;
    for (size_t i = 0; i < count && result == 0; i++)
        own[i] = (struct rg_clock_section){rg_clock_from_first(&n->clocks, n->timed[i].begin_s),
                                           rg_clock_from_first(&n->clocks, n->timed[i].end_s)};
    if (result == 0 && count &&
        n->w->ops->settle(n->w, own, n->pause_count, &n->clocks, joules, &whole)) {
        for (size_t i = 0; i < count; i++)
            n->pauses[i].total_J = sum_J += joules[i];
        n->energy = whole;
        n->energy.total_J = sum_J; /* as the last section has it, to the last bit */
    } else if (result == 0) {
        fit_seconds(n, own);
    }
    free(own);
    free(joules);
    return result;
}

/* What a node had drawn at the end of each epoch, on top of the others'. */
int rg_node_receive_pauses(struct node *n, int rank)
{
    size_t bytes = (size_t)n->pause_count * sizeof *n->pauses;
    struct pause *theirs = malloc(bytes + 1);
    if (!theirs)
        return RG_ERR_NOMEM;
    int result = rg_recv_wait(n->w, rank, TAG_POINTS, theirs, bytes);
    for (int i = 0; i < n->pause_count && result == 0 && rg_node_counts(n, rank); i++)
        n->pauses[i].total_J += theirs[i].total_J;
    free(theirs);
    return result;
}

int rg_node_send_pauses(struct node *n)
{
    return rg_send_wait(n->w, 0, TAG_POINTS, n->pauses, (size_t)n->pause_count * sizeof *n->pauses);
}

/* ---- the meters of all nodes ---- */

/* The lowest rank before this one that has the same machine, or reads the same log; -1: none. */
static int same_machine(const struct node *n, int rank)
{
    for (int r = 0; r < rank && n->metered[rank].machine != 0; r++)
        if (n->metered[r].machine == n->metered[rank].machine)
            return r;
    return -1;
}

static int same_log(const struct node *n, int rank)
{
    for (int r = 0; r < rank && n->metered[rank].log != 0; r++)
        if (n->metered[r].log == n->metered[rank].log)
            return r;
    return -1;
}

/* Is this node's energy to be added? Not where a lower rank's meter has it. */
bool rg_node_counts(const struct node *n, int rank)
{
    return n->metered[rank].machine != RG_MACHINE_OTHER && same_machine(n, rank) < 0 &&
           same_log(n, rank) < 0;
}

struct metered rg_node_metered(const struct node *n)
{
    const struct rg_meter_facts *facts = n->energy.meter;
    return facts ? (struct metered){facts->machine, facts->log} : (struct metered){0, 0};
}

void rg_node_count_energy(struct node *n, int rank, struct metered metered, struct rg_run *own)
{
    n->metered[rank] = metered;
    if (rg_node_counts(n, rank))
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
    *meter = (struct rg_run_meter){
        .known = true,
        .nodes = 1,
        .samples = (uint64_t)n->energy.samples,
        .interval_s = facts->interval_s,
        .longest_s = facts->longest_s,
        .uncertainty_J = isnan(n->energy.total_J) ? NAN : 2 * sqrt(n->energy.variance_J2),
        .idle_W = facts->idle_W,
        .above_idle_J = n->energy.total_J - n->energy.idle_J};
    rg_copy_text(meter->source, sizeof meter->source, n->energy.source);
    rg_copy_text(meter->column, sizeof meter->column, facts->column);
    rg_copy_text(meter->error, sizeof meter->error, facts->error);
    own->meter = *meter;
    if (meter->error[0])
        snprintf(own->meter.error, sizeof own->meter.error, "rank %d: %.330s", n->w->rank,
                 meter->error);
}

/* ---- what is doubtful ---- */

static const struct rg_clock *clock_of(const struct node *n, int rank)
{
    const struct rg_board *board = n->job->boards[rank];
    return &board->clocks[board->clock];
}

/* Mean watts of a meter beside those of the boards that it may measure: its own, others of its
 * machine, and all whose ranks say that another's does. From a tenth of idle to ten times all cores
 * busy; a platform without watts says nothing. */
static bool is_doubtful(const struct node *n, int rank, double watts, double *idle_W,
                        double *full_W)
{
    *idle_W = clock_of(n, rank)->idle_watts;
    *full_W = 0;
    for (int r = 0; r < n->run->node_count; r++)
        if (r == rank || n->metered[r].machine == RG_MACHINE_OTHER || same_log(n, r) == rank ||
            same_machine(n, r) == rank)
            *full_W += clock_of(n, r)->full_watts;
    return *full_W > 0 && (watts < *idle_W / 10 || watts > 10 * *full_W);
}

static void warn(struct rg_run_meter *meter, struct rg_run_meter *run, int rank, const char *text)
{
    rg_copy_text(meter->warning, sizeof meter->warning, text);
    if (!run->warning[0])
        snprintf(run->warning, sizeof run->warning, "rank %d: %.330s", rank, text);
}

static void doubt(const struct node *n, int rank)
{
    struct rg_run_node *node = &n->run->per_node[rank];
    double watts = node->energy_J / n->time_s, idle_W, full_W;
    char text[300];
    int log = n->metered[rank].machine == RG_MACHINE_OTHER ? -1 : same_log(n, rank);
    if (log >= 0) {
        snprintf(text, sizeof text,
                 "its log is that of rank %d, and counts once: --meter other says so", log);
        warn(&node->meter, &n->run->meter, rank, text);
    } else if (node->meter.known && isfinite(watts) &&
               is_doubtful(n, rank, watts, &idle_W, &full_W)) {
        snprintf(text, sizeof text,
                 "%.4g W: by the datasheet %s from %.3g W at rest to %.3g W; are these watts?",
                 watts,
                 full_W > clock_of(n, rank)->full_watts ? "these boards draw" : "a board draws",
                 idle_W, full_W);
        warn(&node->meter, &n->run->meter, rank, text);
    }
}

/* One node without a meter, beside others with one: then nobody knows what all have drawn. */
static void find_missing(struct rg_run *run, int rank)
{
    if (!run->meter.known || run->meter.error[0] || !isnan(run->per_node[rank].energy_J))
        return;
    run->meter.uncertainty_J = run->meter.idle_W = run->meter.above_idle_J = NAN;
    snprintf(run->meter.error, sizeof run->meter.error, "rank %d has no meter", rank);
}

static void settle_goal(const struct node *n, struct rg_run_goal *goal)
{
    for (int k = 0; k < n->pause_count && goal->iterations >= 0; k++)
        if (n->pauses[k].done == goal->iterations)
            goal->energy_J = n->before_J + n->pauses[k].total_J;
}

void rg_node_describe_meters(struct node *n)
{
    struct rg_run *run = n->run;
    for (int rank = 0; rank < run->node_count; rank++) {
        if (rg_node_counts(n, rank))
            find_missing(run, rank);
        doubt(n, rank);
    }
    for (int i = 0; i < run->point_count; i++)
        for (int k = 0; k < n->pause_count; k++)
            if (n->pauses[k].done == run->training[i].iteration)
                run->training[i].energy_J = n->before_J + n->pauses[k].total_J;
    settle_goal(n, &run->to_accuracy);
    settle_goal(n, &run->to_loss);
}
