/* Schedules without a flush: one unit backward, one forward, for as long as the epoch lasts, and an
 * update whenever a batch's last unit has been backward. `ringtmp` is the stream of the original
 * work, whose gradients are of the weights of the moment; `pipedream` (Narayanan et al. 2019) keeps
 * the weights of a unit's forward pass for its backward pass.
 *
 * What hides communication is units in flight, what costs accuracy is the age of the weights in
 * updates: micro-batches keep the one and divide the other (as PipeDream-2BW, Narayanan et al.
 * 2021, section 3.1, but with the newest weights at every forward pass). */
#include "strategies/ring.h"
#include <math.h>

static void order(struct rg_plan_writer *w, int units, int depth)
{
    for (int u = 0; u < depth; u++)
        rg_plan_put_forward(w, u);
    rg_plan_begin_body(w);
    for (int u = 0; u < units; u++) {
        rg_plan_put_backward(w, u);
        if (u == units - 1)
            rg_plan_put_update(w, u);
        rg_plan_put_forward(w, u + depth);
    }
}

/* The processors' part of a unit, its share of the update included. */
static double compute_s(const struct rg_ring *ring, const struct rg_stage_forms *form)
{
    return form->forward + form->backward + form->update / ring->micro;
}

/* Between a stage and the next: a unit's gradient comes back, the stage takes in another unit and
 * sends it on, the next stage takes it in, works on a gradient and sends that back. Meanwhile as
 * many units have passed as the stage may be ahead of the next, and the one that comes back. */
static double pair_s(const struct rg_ring *ring, const struct rg_stage_forms *forms, int s)
{
    double cycle =
        compute_s(ring, &forms[s]) + compute_s(ring, &forms[s + 1]) + forms[s].out + forms[s].back;
    return cycle / (1 + ring->depth[s] - ring->depth[s + 1]);
}

/* Units at the pace of the slowest stage, or of a round trip shared by the units in flight, from a
 * stage to the loss or to the next stage: max(c, T_A) where there are enough of them. Derived here.
 */
static double seconds(const struct rg_ring *ring, const struct rg_stage_forms *forms)
{
    double most = 0;
    for (int s = 0; s < ring->stages; s++) {
        double round = (forms[s].round + forms[s].update / ring->micro) / ring->depth[s];
        most = fmax(most, fmax(rg_ring_busy_s(ring, &forms[s]), round));
        if (s + 1 < ring->stages && ring->overlap)
            most = fmax(most, pair_s(ring, forms, s));
    }
    return ring->micro * most;
}

const struct rg_schedule rg_schedule_ringtmp = {
    .synchronous = false,
    .overlaps = true,
    .stash = RG_STASH_INPUTS,
    .takes = "in-flight",
    .depth = rg_ring_falling,
    .order = order,
    .seconds = seconds,
};

const struct rg_schedule rg_schedule_pipedream = {
    .synchronous = false,
    .overlaps = true,
    .stash = RG_STASH_WEIGHTS,
    .takes = "depth",
    .depth = rg_ring_falling,
    .order = order,
    .seconds = seconds,
};
