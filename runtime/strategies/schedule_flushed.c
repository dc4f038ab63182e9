/* Schedules that drain the ring at every update. Their lists are one: a stage takes in as many
 * units as its depth, then it is one backward, one forward. `gpipe` (Huang et al. 2019) has the
 * whole batch in flight, `1f1b` (Narayanan et al. 2019, 2021) what its parameter says, `sequential`
 * one unit.
 *
 * The closed forms are derived here, from S stages' forward f and backward b, transfers x and the
 * loss; of the papers they keep the bubble, (S - 1) / M where transfers are free. In a simulation
 * of equal stages they hold within 1 % (gpipe, c / T_A up to 1/4) and 3 % (1f1b). */
#include "base/check.h"
#include "strategies/ring.h"
#include <math.h>

static void order(struct rg_plan_writer *w, int units, int depth)
{
    rg_plan_begin_body(w);
    for (int u = 0; u < depth; u++)
        rg_plan_put_forward(w, u);
    for (int u = 0; u < units; u++) {
        rg_plan_put_backward(w, u);
        if (u + depth < units)
            rg_plan_put_forward(w, u + depth);
    }
    rg_plan_put_update(w, units - 1);
}

static int one(const struct rg_ring *ring, int stage, int in_flight)
{
    (void)ring, (void)stage, (void)in_flight;
    return 1;
}

static int whole_batch(const struct rg_ring *ring, int stage, int in_flight)
{
    (void)stage, (void)in_flight;
    return ring->micro;
}

static int falling(const struct rg_ring *ring, int stage, int in_flight)
{
    return RG_MIN(rg_ring_falling(ring, stage, in_flight), ring->micro);
}

static double sequential_seconds(const struct rg_ring *ring, const struct rg_stage_forms *forms)
{
    return ring->micro * forms[0].round + forms[0].update;
}

/* All forward, then all backward, each as fast as its slowest stage or hop. The closing of the ring
 * (its trip) hides behind the other micro-batches where there are enough of them. */
static double gpipe_seconds(const struct rg_ring *ring, const struct rg_stage_forms *forms)
{
    int last = ring->stages - 1, others = ring->micro - 1;
    double through = 0, ahead = 0, behind = 0, trip = forms[0].loss;
    for (int s = 0; s <= last; s++) {
        through += forms[s].forward + forms[s].backward;
        ahead = fmax(ahead, fmax(forms[s].forward, forms[s].hop));
        behind = fmax(behind, fmax(forms[s].backward, forms[s].hop));
        if (s < last)
            through += forms[s].out + forms[s].back;
    }
    trip += forms[last].out + forms[last].back;
    return through + fmax(fmax(others * ahead, trip) + others * behind, others * ahead + trip) +
           forms[0].update;
}

/* As seen from any stage: the first unit arrives; the stage works at its pace, idling once while it
 * has filled the pipeline and waits for the first gradient, or round trip follows round trip where
 * too few units are in flight; the last gradient goes home. For equal stages and enough in flight
 * the last stage is the longest: M (f + b) + (S - 1)(f + b + 2x) + 2 x_C. */
static double one_f_one_b_seconds(const struct rg_ring *ring, const struct rg_stage_forms *forms)
{
    double before = 0, longest = 0;
    for (int s = 0; s < ring->stages; s++) {
        const struct rg_stage_forms *f = &forms[s];
        int depth = RG_MIN(ring->depth[s], ring->micro);
        double away = f->round - f->forward - f->backward;
        double idle = fmax(0, away - (depth - 1) * f->forward);
        double trips =
            (depth - 1) * fmax(f->forward, ring->overlap ? f->hop : f->forward + f->hop) +
            (ring->micro + depth - 1) / depth * f->round;
        double busy = ring->micro * rg_ring_busy_s(ring, f);
        longest = fmax(longest, before + fmax(busy + idle, trips));
        before += f->forward + f->backward + f->out + f->back;
    }
    return longest + forms[0].update;
}

const struct rg_schedule rg_schedule_sequential = {
    .synchronous = true,
    .overlaps = false,
    .stash = RG_STASH_ACTIVATIONS,
    .units_a_node = 0,
    .depth = one,
    .order = order,
    .seconds = sequential_seconds,
};

const struct rg_schedule rg_schedule_gpipe = {
    .synchronous = true,
    .overlaps = true,
    .stash = RG_STASH_ACTIVATIONS,
    .units_a_node = 4,
    .depth = whole_batch,
    .order = order,
    .seconds = gpipe_seconds,
};

const struct rg_schedule rg_schedule_1f1b = {
    .synchronous = true,
    .overlaps = true,
    .stash = RG_STASH_ACTIVATIONS,
    .units_a_node = 4,
    .takes = "depth",
    .depth = falling,
    .order = order,
    .seconds = one_f_one_b_seconds,
};
