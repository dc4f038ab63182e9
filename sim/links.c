#include "links.h"

#include "route.h"
#include "strands/sim_memory.h"

#include <simgrid/link.h>
#include <stdlib.h>

static size_t find_route(void *arg, int source, int target, int **route)
{
    const struct rg_sim_links *l = arg;
    sg_link_t *links;
    size_t count = rg_route_links(l->hosts[source], l->hosts[target], &links);
    *route = rg_sim_take(count, sizeof **route);
    for (size_t i = 0; i < count; i++)
        (*route)[i] = (int)((struct rg_calendar_link *)sg_link_get_data(links[i]) - l->links);
    free(links);
    return count;
}

void rg_sim_links_open(struct rg_sim_links *l, const sg_host_t *hosts, int size)
{
    size_t count = sg_link_count();
    sg_link_t *links = sg_link_list();
    l->hosts = hosts;
    l->links = rg_sim_take(count + 1, sizeof *l->links);
    l->nodes = rg_sim_take((size_t)size, sizeof *l->nodes);
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
}

void rg_sim_links_close(struct rg_sim_links *l)
{
    free(l->links);
    free(l->nodes);
}
