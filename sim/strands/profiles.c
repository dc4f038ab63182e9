#include "profiles.h"

#include "base/need.h"

#include <math.h>
#include <stdlib.h>

#define SAME_DATE 1e-12 /* relative: what is due within it is due now, as in the engines */

void rg_sim_profiles_open(struct rg_sim_profiles *all, const struct rg_profiles *profiles)
{
    *all = (struct rg_sim_profiles){0};
    if (!profiles || profiles->count == 0)
        return;
    all->count = profiles->count;
    all->profile = rg_need_zeroed((size_t)all->count, sizeof *all->profile);
    for (int i = 0; i < all->count; i++)
        all->profile[i] = (struct rg_sim_profile){.profile = &profiles->profile[i], .value = NAN};
}

void rg_sim_profiles_close(struct rg_sim_profiles *all)
{
    free(all->profile);
}

bool rg_sim_profiles_have(const struct rg_sim_profiles *all, enum rg_profile_kind kind)
{
    bool any = false;
    for (int i = 0; i < all->count && !any; i++)
        any = all->profile[i].profile->kind == kind && all->profile[i].targets > 0;
    return any;
}

static double next_date(const struct rg_sim_profile *p)
{
    return p->next < p->profile->count ? p->begun_s + p->profile->points[p->next].date_s : INFINITY;
}

double rg_sim_profile_go(struct rg_sim_profile *p, double now)
{
    double next;
    while ((next = next_date(p)) <= now * (1 + SAME_DATE)) {
        p->value = p->profile->points[p->next].value;
        if (++p->next < p->profile->count || !(p->profile->period_s > 0))
            continue;
        p->next = 0;
        p->begun_s += p->profile->period_s;
    }
    return next;
}

void rg_sim_profiles_latencies(struct rg_sim_profiles *all, double now, double *latency_s)
{
    for (int i = 0; i < all->count; i++) {
        struct rg_sim_profile *p = &all->profile[i];
        if (p->profile->kind != RG_PROFILE_LATENCY)
            continue;
        rg_sim_profile_go(p, now);
        for (int k = 0; k < p->targets && !isnan(p->value); k++)
            latency_s[p->target[k]] = p->value;
    }
}
