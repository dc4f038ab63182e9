/* Nodes with clocks of their own: by how much they differ, and the sections of time common to all.
 *
 * Failure modes handled: clocks that cannot be compared (a node's own dates are then the best
 * guess), no memory, errors of the world. */
#include "node/node_parts.h"

#include "collectives/collectives.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The sections of this node by rank 0's clock; NAN: nobody knows. */
static void map_sections(struct node *n)
{
    bool known = rg_clock_map_known(&n->clocks);
    for (int i = 0; i < n->pause_count; i++) {
        const struct pause *pause = &n->pauses[i];
        n->sections[i] = (struct rg_clock_section){pause->begin_raw, pause->end_raw};
        n->common[i] =
            (struct rg_clock_section){known ? rg_clock_to_first(&n->clocks, pause->begin_raw) : NAN,
                                      known ? rg_clock_to_first(&n->clocks, pause->end_raw) : NAN};
    }
}

/* Rank 0 finds the common sections, and all learn them. */
static int share_sections(struct node *n)
{
    size_t count = (size_t)n->pause_count, bytes = count * sizeof *n->common;
    int result = 0;
    n->sections = calloc(4 * count + 1, sizeof *n->sections);
    if (!n->sections)
        return RG_ERR_NOMEM;
    n->common = n->sections + count;
    n->timed = n->common + count;
    struct rg_clock_section *theirs = n->timed + count;
    map_sections(n);
    memcpy(n->timed, n->sections, bytes); /* counts on rank 0: its clock is the common one */
    if (n->w->rank > 0) {
        result = rg_send_wait(n->w, 0, TAG_SECTIONS, n->common, bytes);
    }
    for (int rank = 1; n->w->rank == 0 && rank < n->w->size && result == 0; rank++) {
        result = rg_recv_wait(n->w, rank, TAG_SECTIONS, theirs, bytes);
        for (size_t i = 0; i < count && result == 0; i++) {
            n->common[i].begin_s = fmin(n->common[i].begin_s, theirs[i].begin_s);
            n->common[i].end_s = fmin(n->common[i].end_s, theirs[i].end_s);
        }
    }
    return result ? result
                  : rg_broadcast(n->w, (struct rg_group){0, 1, n->w->size}, 0, n->common, 2 * bytes,
                                 TAG_SECTIONS);
}

/* After the training, where nodes have clocks of their own: by how much they differ, and the
 * timeline of this node on that of all. */
int rg_node_align(struct node *n)
{
    if (!n->w->ops->day)
        return 0;
    int result = rg_clocks_compare(n->w, &n->clocks.after);
    if (result == 0)
        result = share_sections(n);
    if (result == 0 && !rg_clock_map_known(&n->clocks)) { /* its own dates are the best guess */
        memcpy(n->common, n->sections, (size_t)n->pause_count * sizeof *n->common);
        memcpy(n->timed, n->sections, (size_t)n->pause_count * sizeof *n->timed);
    }
    if (result == 0 && n->w->trace)
        rg_clock_map_trace(n->w->trace, &n->clocks, n->sections, n->common, n->pause_count);
    return result;
}

void rg_node_account_clock(const struct node *n, struct rg_run_clock *clock)
{
    const struct rg_clock_map *map = &n->clocks;
    const struct rg_clock_sample *last = rg_clock_known(&map->after) ? &map->after : &map->before;
    const struct rg_clock_sample *first = n->options->compared;
    double drift = 0, uncertainty = 0;
    if (n->w->rank > 0)
        drift = rg_clock_drift(first ? first : &map->before, last, &uncertainty);
    *clock = (struct rg_run_clock){.known = n->w->ops->day != NULL,
                                   .offset_s = last->offset_s,
                                   .wall_offset_s = last->wall_s,
                                   .uncertainty_s = rg_clock_uncertainty(map),
                                   .drift_ppm = 1e6 * drift,
                                   .drift_uncertainty_ppm = 1e6 * uncertainty};
}
