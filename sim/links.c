#include "links.h"

#include "base/need.h"
#include "route.h"

#include <simgrid/link.h>
#include <stdlib.h>
#include <string.h>

static size_t ask(const struct rg_sim_links *l, int source, int target, int **route)
{
    sg_link_t *links;
    size_t count = rg_route_links(l->hosts[source], l->hosts[target], &links);
    *route = rg_need_zeroed(count, sizeof **route);
    for (size_t i = 0; i < count; i++)
        (*route)[i] = (int)((struct rg_calendar_link *)sg_link_get_data(links[i]) - l->links);
    free(links);
    return count;
}

static size_t put_together(const struct rg_sim_links *l, int source, int target, int **route)
{
    size_t out = l->out_count, in = l->in_count;
    *route = rg_need_zeroed(out + in, sizeof **route);
    memcpy(*route, l->out + (size_t)source * out, out * sizeof **route);
    memcpy(*route + out, l->in + (size_t)target * in, in * sizeof **route);
    return out + in;
}

static size_t find_route(void *arg, int source, int target, int **route)
{
    const struct rg_sim_links *l = arg;
    return l->out && source != target ? put_together(l, source, target, route)
                                      : ask(l, source, target, route);
}

/* ---- stars ---- */

static void forget_ends(struct rg_sim_links *l)
{
    free(l->out);
    free(l->in);
    l->out = l->in = NULL;
}

/* Where the ways from rank 0 to two others part. */
static bool measure_ends(struct rg_sim_links *l)
{
    int *one, *other;
    size_t count = ask(l, 0, 1, &one), same = 0;
    bool alike = ask(l, 0, 2, &other) == count;
    while (alike && same < count && one[same] == other[same])
        same++;
    free(one);
    free(other);
    l->out_count = same;
    l->in_count = count - same;
    return alike && same > 0 && same < count;
}

/* A route each way of every rank; false: they are not as long as others. */
static bool note_ends(struct rg_sim_links *l, int rank, int other)
{
    int *to, *from;
    size_t out = l->out_count, in = l->in_count;
    bool alike = ask(l, rank, other, &to) == out + in;
    alike = ask(l, other, rank, &from) == out + in && alike;
    if (alike) {
        memcpy(l->out + (size_t)rank * out, to, out * sizeof *to);
        memcpy(l->in + (size_t)rank * in, from + out, in * sizeof *from);
    }
    free(to);
    free(from);
    return alike;
}

static bool is_right(const struct rg_sim_links *l, int source, int target)
{
    int *asked, *made;
    size_t count = ask(l, source, target, &asked);
    bool right = put_together(l, source, target, &made) == count &&
                 memcmp(asked, made, count * sizeof *made) == 0;
    free(asked);
    free(made);
    return right;
}

/* Held against SimGrid for a pair of each rank. */
static void open_star(struct rg_sim_links *l, int size)
{
    if (size < 3 || !measure_ends(l))
        return;
    l->out = rg_need_zeroed((size_t)size * l->out_count, sizeof *l->out);
    l->in = rg_need_zeroed((size_t)size * l->in_count, sizeof *l->in);
    bool right = true;
    for (int rank = 0; rank < size && right; rank++)
        right = note_ends(l, rank, rank == 0 ? 1 : 0);
    for (int rank = 0; rank < size && right; rank++)
        right = is_right(l, rank, (rank + 1) % size);
    if (!right)
        forget_ends(l);
}

void rg_sim_links_open(struct rg_sim_links *l, const sg_host_t *hosts, int size, bool star)
{
    size_t count = sg_link_count();
    sg_link_t *links = sg_link_list();
    l->hosts = hosts;
    l->out = l->in = NULL;
    l->links = rg_need_zeroed(count + 1, sizeof *l->links);
    l->nodes = rg_need_zeroed((size_t)size, sizeof *l->nodes);
    for (size_t i = 0; i < count; i++) {
        l->links[i] = (struct rg_calendar_link){.bandwidth = sg_link_get_bandwidth(links[i]),
                                                .latency = sg_link_get_latency(links[i]),
                                                .each = !sg_link_is_shared(links[i])};
        sg_link_set_data(links[i], &l->links[i]);
    }
    free(links);
    for (int rank = 0; rank < size; rank++)
        l->nodes[rank] = (struct rg_calendar_node){.speed = sg_host_get_speed(hosts[rank]),
                                                   .cores = sg_host_core_count(hosts[rank])};
    l->platform = (struct rg_calendar_platform){
        .links = l->links, .link_count = count, .nodes = l->nodes, .route = find_route, .arg = l};
    if (star)
        open_star(l, size);
}

void rg_sim_links_close(struct rg_sim_links *l)
{
    forget_ends(l);
    free(l->links);
    free(l->nodes);
}
