#include "actors.h"

#include "base/check.h"
#include <simgrid/actor.h>

/* Instrumented frames are larger, and the thread that runs them takes its own part of the stack. */
#ifdef __SANITIZE_ADDRESS__
enum { STACK_LEAST = 1 << 20 };
#else
enum { STACK_LEAST = 16 << 10 };
#endif

void rg_sim_actor(const char *name, sg_host_t host, size_t stack_bytes, void (*main)(int, char **),
                  void *data)
{
    sg_actor_t actor = sg_actor_init(name, host);
    /* in KiB, which its header does not say */
    sg_actor_set_stacksize(actor, (unsigned)(RG_MAX(stack_bytes, STACK_LEAST) >> 10));
    sg_actor_set_data(actor, data);
    sg_actor_start(actor, main, 0, NULL);
}
