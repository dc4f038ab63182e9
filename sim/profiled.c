#include "profiled.h"

#include <simgrid/link.h>
#include <stdlib.h>
#include <string.h>

/* Is it the link of that name, or one direction of it? */
static bool is_link(sg_link_t link, const char *name)
{
    const char *own = sg_link_get_name(link);
    size_t length = strlen(name);
    if (strncmp(own, name, length) != 0)
        return false;
    const char *rest = own + length;
    return rest[0] == '\0' || strcmp(rest, "_UP") == 0 || strcmp(rest, "_DOWN") == 0;
}

static void find_links(struct rg_sim_profile *p, const sg_link_t *links, size_t count)
{
    for (size_t i = 0; i < count && p->targets < 2; i++)
        if (is_link(links[i], p->profile->element))
            p->target[p->targets++] = (int)i;
}

static void find_rank(struct rg_sim_profile *p, const sg_host_t *hosts, int size)
{
    for (int rank = 0; rank < size && p->targets == 0; rank++)
        if (strcmp(sg_host_get_name(hosts[rank]), p->profile->element) == 0)
            p->target[p->targets++] = rank;
}

void rg_sim_profiles_find(struct rg_sim_profiles *all, const sg_host_t *hosts, int size)
{
    if (all->count == 0)
        return;
    size_t count = sg_link_count();
    sg_link_t *links = sg_link_list();
    for (int i = 0; i < all->count; i++) {
        if (all->profile[i].profile->kind == RG_PROFILE_SPEED)
            find_rank(&all->profile[i], hosts, size);
        else
            find_links(&all->profile[i], links, count);
    }
    free(links);
}
