/* How the strands of a node talk: in messages to oneself of one number. */
#ifndef RG_STRATEGIES_TELL_H
#define RG_STRATEGIES_TELL_H

#include "world/world.h"

/* Waits until it has left, or come; or an error of the world. Where there is no memory for it the
 * program ends (base/need.h): the other strand waits. */
int rg_tell(struct rg_world *w, uint32_t tag, int32_t number);
int rg_hear(struct rg_world *w, uint32_t tag, int32_t *number);

#endif
