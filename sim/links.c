#include "links.h"

#include "base/need.h"
#include "route.h"

#include <simgrid/link.h>
#include <stdlib.h>
#include <string.h>

static void make_room(struct rg_sim_links *l, size_t count)
{
    if (count <= l->room)
        return;
    l->route = rg_need(l->route, count * sizeof *l->route);
    l->room = count;
}

/* Into l->route, as the next. */
static size_t ask(struct rg_sim_links *l, int source, int target)
{
    sg_link_t *links;
    size_t count = rg_route_links(l->hosts[source], l->hosts[target], &links);
    make_room(l, count);
    for (size_t i = 0; i < count; i++)
        l->route[i] = (int)((struct rg_calendar_link *)sg_link_get_data(links[i]) - l->links);
    free(links);
    return count;
}

static size_t put_together(struct rg_sim_links *l, int source, int target)
{
    size_t out = l->out_count, in = l->in_count;
    make_room(l, out + in);
    memcpy(l->route, l->out + (size_t)source * out, out * sizeof *l->route);
    memcpy(l->route + out, l->in + (size_t)target * in, in * sizeof *l->route);
    return out + in;
}

static size_t find_route(void *arg, int source, int target, const int **route)
{
    struct rg_sim_links *l = arg;
    size_t count =
        l->out && source != target ? put_together(l, source, target) : ask(l, source, target);
    *route = l->route;
    return count;
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
    size_t count = ask(l, 0, 1), same = 0;
    int *one = rg_need_zeroed(count, sizeof *one);
    memcpy(one, l->route, count * sizeof *one);
    bool alike = ask(l, 0, 2) == count;
    while (alike && same < count && one[same] == l->route[same])
        same++;
    free(one);
    l->out_count = same;
    l->in_count = count - same;
    return alike && same > 0 && same < count;
}

/* A route each way of every rank; false: they are not as long as others. */
static bool note_ends(struct rg_sim_links *l, int rank, int other)
{
    size_t out = l->out_count, in = l->in_count;
    if (ask(l, rank, other) != out + in)
        return false;
    memcpy(l->out + (size_t)rank * out, l->route, out * sizeof *l->out);
    if (ask(l, other, rank) != out + in)
        return false;
    memcpy(l->in + (size_t)rank * in, l->route + out, in * sizeof *l->in);
    return true;
}

static bool is_right(struct rg_sim_links *l, int source, int target)
{
    size_t out = l->out_count, in = l->in_count;
    return ask(l, source, target) == out + in &&
           memcmp(l->route, l->out + (size_t)source * out, out * sizeof *l->out) == 0 &&
           memcmp(l->route + out, l->in + (size_t)target * in, in * sizeof *l->in) == 0;
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
    *l = (struct rg_sim_links){.hosts = hosts};
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
    free(l->route);
    free(l->links);
    free(l->nodes);
}
