/* What ringcal is asked to do, and the options that ask. */
#ifndef RG_CALIBRATE_RINGCAL_H
#define RG_CALIBRATE_RINGCAL_H

#include "calibrate/calibrate.h"
#include "cli/cli.h"
#include "meters/heat.h"
#include "meters/meter.h"
#include "posix/world_posix.h"

struct ringcal {
    /* what to write */
    const char *datasheet, *platform, *json, *name;
    int nodes;
    double most_residual;
    bool rows, quiet;
    /* what to measure, or read */
    const char *fit_file, *network_file;
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

extern const struct argp ringcal_argp; /* its input is a struct ringcal */

#endif
