#include "route.h"

#include "base/need.h"

#include <simgrid/version.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if SIMGRID_VERSION >= 40000

size_t rg_route_links(sg_host_t from, sg_host_t to, sg_link_t **links)
{
    int count = 0;
    *links = (sg_link_t *)sg_host_get_route_links(from, to, &count); /* of malloc */
    return (size_t)count;
}

#else
#include <xbt/dynar.h>

size_t rg_route_links(sg_host_t from, sg_host_t to, sg_link_t **links)
{
    xbt_dynar_t found = xbt_dynar_new(sizeof(sg_link_t), NULL);
    sg_host_get_route(from, to, found);
    size_t count = xbt_dynar_length(found);
    *links = NULL;
    if (count > 0) {
        *links = rg_need_zeroed(count, sizeof **links);
        memcpy(*links, xbt_dynar_get_ptr(found, 0), count * sizeof **links);
    }
    xbt_dynar_free(&found);
    return count;
}

#endif

static sg_link_t end_of_route(sg_host_t from, sg_host_t to, bool last)
{
    sg_link_t *links;
    size_t count = rg_route_links(from, to, &links);
    sg_link_t link = count ? links[last ? count - 1 : 0] : NULL;
    free(links);
    return link;
}

sg_link_t rg_route_first(sg_host_t from, sg_host_t to)
{
    return end_of_route(from, to, false);
}

sg_link_t rg_route_last(sg_host_t from, sg_host_t to)
{
    return end_of_route(from, to, true);
}
