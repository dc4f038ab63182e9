/* Schedules without a flush: one unit backward, an update, one forward, for as long as the epoch
 * lasts. `ringtmp` is the stream of the original work, whose gradients are of the weights of the
 * moment; `pipedream` (Narayanan et al. 2019) keeps the weights of a unit's forward pass for its
 * backward pass. */
#include "strategies/ring.h"
#include <math.h>

static void order(struct rg_plan_writer *w, int units, int depth)
{
    for (int u = 0; u < depth; u++)
        rg_plan_put_forward(w, u);
    rg_plan_begin_body(w);
    for (int u = 0; u < units; u++) {
        rg_plan_put_backward(w, u);
        rg_plan_put_update(w, u);
        rg_plan_put_forward(w, u + depth);
    }
}

/* The pace of the slowest stage, or a round trip shared by the units in flight: max(c, T_A) where
 * there are enough of them. Derived here. */
static double seconds(const struct rg_ring *ring, const struct rg_stage_forms *forms)
{
    double most = 0;
    for (int s = 0; s < ring->stages; s++) {
        double round = (forms[s].round + forms[s].update) / ring->depth[s];
        most = fmax(most, fmax(rg_ring_busy_s(ring, &forms[s]), round));
    }
    return most;
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
