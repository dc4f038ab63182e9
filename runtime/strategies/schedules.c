/* The table of schedules, by schedules.def. */
#include "strategies/schedule.h"

#include <string.h>

#define RG_SCHEDULE(id, name, help) extern const struct rg_schedule rg_schedule_##id;
#include "strategies/schedules.def"
#undef RG_SCHEDULE

const struct rg_schedule *const rg_schedules[] = {
#define RG_SCHEDULE(id, name, help) &rg_schedule_##id,
#include "strategies/schedules.def"
#undef RG_SCHEDULE
    NULL};

static const char *const names[] = {
#define RG_SCHEDULE(id, name, help) name,
#include "strategies/schedules.def"
#undef RG_SCHEDULE
};

/* Unit u's forward pass comes right behind the backward pass of unit u - depth, so that it reads
 * version floor((u - depth + 1) / units); its gradient is added to version floor(u / units). */
int rg_updates_behind(int depth, int units)
{
    return (depth - 1 + units - 1) / units;
}

const struct rg_schedule *rg_schedule_named(const char *name)
{
    for (int i = 0; rg_schedules[i]; i++)
        if (strcmp(names[i], name) == 0)
            return rg_schedules[i];
    return NULL;
}

const char *rg_schedule_name(const struct rg_schedule *schedule)
{
    for (int i = 0; rg_schedules[i]; i++)
        if (rg_schedules[i] == schedule)
            return names[i];
    return NULL;
}
