/* The table of strategies, by list.def. */
#include "strategies/strategy.h"

#include <string.h>

#define RG_STRATEGY(name) extern const struct rg_strategy rg_strategy_##name;
#include "strategies/list.def"
#undef RG_STRATEGY

const struct rg_strategy *const rg_strategies[] = {
#define RG_STRATEGY(name) &rg_strategy_##name,
#include "strategies/list.def"
#undef RG_STRATEGY
    NULL};

const struct rg_strategy *rg_strategy_named(const char *name)
{
    for (int i = 0; rg_strategies[i]; i++)
        if (strcmp(rg_strategies[i]->name, name) == 0)
            return rg_strategies[i];
    return NULL;
}
