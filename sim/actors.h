/* Actors of SimGrid's, with stacks as small as they may be. */
#ifndef RG_SIM_ACTORS_H
#define RG_SIM_ACTORS_H

#include <simgrid/host.h>
#include <stddef.h>

/* Starts an actor on `host`, which runs main and finds `data` as its own. SimGrid itself would give
 * each 8 MiB of address space, which a thousand of them have not everywhere. */
void rg_sim_actor(const char *name, sg_host_t host, size_t stack_bytes, void (*main)(int, char **),
                  void *data);

#endif
