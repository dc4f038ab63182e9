/* What a platform says of a link or a host over time, as SimGrid's profiles have it. */
#ifndef RG_SCENARIO_PROFILE_H
#define RG_SCENARIO_PROFILE_H

enum rg_profile_kind { RG_PROFILE_SPEED, RG_PROFILE_BANDWIDTH, RG_PROFILE_LATENCY };

struct rg_profile_point {
    double date_s, value; /* of a speed: a factor; bytes/s; seconds */
};

/* Before its first point an element is as the platform says elsewhere. */
struct rg_profile {
    enum rg_profile_kind kind;
    char *element; /* of a host or a link; both directions of a split-duplex link change at once */
    struct rg_profile_point *points; /* [count] by date */
    int count;
    double period_s; /* all points come again so much later, and again; 0: never */
};

struct rg_profiles {
    struct rg_profile *profile;
    int count;
};

void rg_profiles_free(struct rg_profiles *profiles);

#endif
