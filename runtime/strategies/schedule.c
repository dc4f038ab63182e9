#include "strategies/schedule.h"

#include "strategies/ring.h"
#include <math.h>
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

double rg_schedule_busy_s(const struct rg_ring *ring, const struct rg_stage_forms *form)
{
    double compute = form->forward + form->backward + form->loss;
    if (!ring->schedule->synchronous)
        compute += form->update;
    return ring->overlap ? fmax(compute, form->port) : compute + form->port;
}

int rg_schedule_falling(const struct rg_ring *ring, int stage, int units)
{
    int64_t stages = ring->stages;
    return (int)((units * (stages - stage) + stages - 1) / stages);
}
