/* What ringcal is asked to do, and the options that ask. */
#ifndef RG_CALIBRATE_RINGCAL_H
#define RG_CALIBRATE_RINGCAL_H

#include "calibrate/calibrate.h"
#include "cli/cli.h"
#include "meters/heat.h"
#include "meters/meter.h"
#include "posix/world_posix.h"

enum { RINGCAL_BATCHES = 64 };

struct ringcal {
    /* what to write */
    const char *datasheet, *platform, *json, *name;
    int nodes;
    double most_residual;
    bool rows, quiet;
    /* what to measure, or read */
    const char *fit_file;
    const char *network_file;                  /* a platform; with batches, a network */
    int batches[RINGCAL_BATCHES], batch_count; /* of its layers; none: kernels are measured */
    int threads, copies;
    int optimizer; /* enum rg_optimizer_kind */
    bool quick;
    double window_s;
    struct rg_meter_options metering;
    double burn_s;
    struct rg_cal_power given; /* by --watts */
    struct rg_cal_extra extra;
    /* the peer */
    int rank;
    bool local;
    const char *hosts_file, *key_file;
    bool insecure;
    double join_timeout_s;
    struct rg_key key;
    struct rg_hosts hosts;
    struct rg_mesh *mesh;
    struct rg_heat *heat; /* while this process measures; NULL: the machine tells nothing */
    struct rg_calibration cal;
};

/* The layers of c->network_file, as a profile into c->json. The exit status. */
int ringcal_layers(struct ringcal *c, const struct rg_cal_pace *pace);

extern const struct argp ringcal_argp; /* its input is a struct ringcal */

#endif
