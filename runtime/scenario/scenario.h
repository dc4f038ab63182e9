/* Every XML file -> plain structs. The only user of libxml2.
 *
 * A scenario has exactly one each of platform, network, data and training, one or more strategies,
 * perhaps more; its attributes are the rows of settings.c.
 *
 *     <scenario ...>
 *       <platform .../>
 *       <network .../>
 *       <data kind ...attributes of the kind.../>
 *       <training .../>
 *       <clock .../> ...
 *       <faults> ...see faults.h... </faults>
 *       <strategy label kind nodes ...parameters of the kind.../>
 *       <stop .../>
 *       <sweep key="nodes" values="4,8,16"/> ...
 *     </scenario>
 *
 *     <network name input="784|28x28|CxHxW">
 *       <KIND repeat="1" ...attributes of the kind.../> ...
 *     </network>
 *
 * A <sweep> asks for one simulation a value; several for every combination. Its key is any of
 * --set, LABEL.PARAM too. Values are separated by commas (by semicolons where one stands in them,
 * for lists: "4,4;5,3"); a whole number may be a multiple of N, the nodes at that point: "2N",
 * "N/8" (rounded down, at least 1). A --set of the key takes the place of the sweep. Files named by
 * a sweep are relative to the scenario's folder.
 *
 * A platform is SimGrid's, version 4.1, with properties named rg_... on its hosts and clusters.
 *
 * All loaders return 0, or an error whose text is one line, "FILE:LINE: what is wrong, and what is
 * allowed". Relative paths inside a file are resolved against the folder of that file. */
#ifndef RG_SCENARIO_SCENARIO_H
#define RG_SCENARIO_SCENARIO_H

#include "base/error.h"
#include "boards/board.h"
#include "models/dataset.h"
#include "models/network.h"
#include "models/optimizer.h"
#include "scenario/every.h"
#include "scenario/faults.h"
#include "scenario/profile.h"
#include <stdbool.h>

/* An attribute of a <strategy>, checked later against the table of the strategy's parameters. */
struct rg_attribute {
    char *key, *value;
    int line; /* 0: from the command line */
};

struct rg_strategy_spec {
    char *label, *kind;
    int line;
    struct rg_attribute *attributes; /* all but label and kind, in document order */
    int count;
};

/* What becomes of a training that loses a node. */
enum rg_lose {
    RG_LOSE_STOP,    /* it ends */
    RG_LOSE_RESTART, /* it waits for the node, and goes on from the last checkpoint */
    RG_LOSE_SHRINK,  /* those that are left go on from there without it */
    RG_LOSE_SPARE    /* a node that has waited takes its place */
};

struct rg_training {
    int batch;       /* samples of one parameter update, over all nodes */
    int epochs;      /* passes over the training samples; the last incomplete batch is left out */
    long iterations; /* > 0: so many updates, whatever the epochs */
    struct rg_optimizer optimizer;
    bool compensate;         /* streams allow for the delay of their gradients */
    bool numerics;           /* false: skip them, charge their time only */
    int threads;             /* cores that training uses on a node */
    double clock;            /* Hz of all boards; 0: their highest */
    double bandwidth_factor; /* every link at so many times its bandwidth */
    /* Connections are protected by a key, whose records are on the wire too (rg_tls_bytes): a
     * core's time for each byte at each end, beside what the board needs anyway. 0: no key. */
    double key_byte_s;
    enum rg_lose lose;
    int spares;             /* nodes listed after those that train, which wait to take a place */
    char *checkpoint_every; /* as every.h reads it, or "never"; NULL: not given */
};

/* A group of nodes at another clock. */
struct rg_clock_group {
    int first, last; /* ranks */
    double hz;
    int line;
};

/* A <profile>: nodes that take what was measured (boards/measured.h). */
struct rg_profile_group {
    int first, last; /* ranks */
    char *file;
    int line;
};

/* A <sweep>. */
struct rg_sweep {
    char *key;
    int line;
    char **values; /* [count], as written */
    int count;
};

/* One key at one point of a sweep; strings and array belong to the caller. */
struct rg_setting {
    const char *key, *value;
    int line; /* of the sweep */
};

enum { RG_SETTINGS_MAX = 96, RG_ELEMENTS_MAX = 24 };

/* When training ends before its last epoch: with the first evaluation that has one of these. */
struct rg_stop {
    double accuracy; /* so much or more; NAN: not given */
    double loss;     /* so little or less; NAN: not given */
    int patience;    /* so many evaluations in a row without less loss than before; 0: not given */
};

bool rg_stop_given(const struct rg_stop *stop); /* any of them */

struct rg_scenario {
    char *file, *name;
    uint64_t seed;
    char *platform_file, *network_file;
    char *board; /* of all hosts; NULL: as the platform says */
    struct rg_data_spec data;
    struct rg_training training;
    struct rg_strategy_spec *strategies;
    int strategy_count;
    struct rg_clock_group *clocks;
    int clock_count;
    struct rg_profile_group *profiles;
    int profile_count;
    struct rg_faults faults;
    int nodes; /* 0: not given */
    struct rg_stop stop;
    char *overlap; /* --set overlap: for every strategy whose kind has it; NULL: not given */
    int lines[RG_SETTINGS_MAX]; /* in the order of rg_setting_infos: of the attribute; < 0: it is
                                 * not given, less the line of its element; 0: from --set or nowhere
                                 */
    struct rg_sweep *sweeps;    /* in document order; without those that --set has pinned */
    int sweep_count;
    const struct rg_setting *point; /* what rg_scenario_apply was given */
    int point_count;
    char digest[65]; /* SHA-256 of the scenario and every file and --set that shapes the run */
    char files_digest[65]; /* of the bytes of these files alone */
};

int rg_scenario_load(const char *file, struct rg_scenario *scenario, struct rg_error *e);
/* Apply one --set KEY=VALUE: the key of a setting (settings.c), or LABEL.PARAM. Errors list what is
 * allowed. */
int rg_scenario_set(struct rg_scenario *scenario, const char *assignment, struct rg_error *e);
/* Apply a point of its sweeps, as --set would; complaints name the sweep's line. `point` must
 * outlive the scenario. */
int rg_scenario_apply(struct rg_scenario *scenario, const struct rg_setting *point, int count,
                      struct rg_error *e);
/* Is a value of a sweep a multiple of the point's nodes, "2N" or "N/8"? */
bool rg_sweep_is_multiple(const char *value);
/* The value at a point of so many nodes: "16"; other values as they are. */
void rg_sweep_resolve(const char *value, int64_t nodes, char *out, size_t size);
/* Does the key shape runs of the strategy with that label? Not where it is another's LABEL.PARAM.
 */
bool rg_sweep_concerns(const char *key, const char *label);

/* Find the data's files: in `folder` (ringnode --data), else as the scenario writes them. The
 * shipped iris.csv is looked for beside the network file's folder, the scenario's, and the program.
 */
int rg_scenario_locate(struct rg_scenario *scenario, const char *folder, struct rg_error *e);
/* Fill in digest from the scenario as it now stands and the files it names. */
int rg_scenario_seal(struct rg_scenario *scenario, struct rg_error *e);
/* How often it wants checkpoints; false: it does not say so, or never. */
bool rg_scenario_every(const struct rg_scenario *scenario, struct rg_every *every);
/* Is anything wrong with the boards or links? Then no iteration need repeat another. */
bool rg_scenario_has_faults(const struct rg_scenario *scenario);
/* Do the ranks of the faults exist on a platform of so many hosts? */
int rg_scenario_check_faults(const struct rg_scenario *scenario, int hosts, struct rg_error *e);
void rg_scenario_free(struct rg_scenario *scenario);
/* The complaint about something that stands on this line of the scenario, or (0) came with --set or
 * a sweep: then the text begins with its key. */
int rg_scenario_fail(const struct rg_scenario *scenario, int line, struct rg_error *e,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The line that says a setting, `field` being where the scenario keeps it; where nobody does, that
 * of its element; 0: it came with --set or a sweep, or its element is not there either. */
int rg_scenario_line(const struct rg_scenario *scenario, const void *field);

int rg_network_load(const char *file, struct rg_network *network, struct rg_error *e);

/* The hosts of a SimGrid 4.1 platform file in order, each with its board from the properties of its
 * <host> or <cluster>. */
struct rg_platform {
    char *file;
    char *board;  /* that all hosts have been given; NULL: as the file says */
    char *loaded; /* what SimGrid is to load: the file, or what was made of it */
    int *fds;     /* [fd_count] memory that it is in, and its profiles */
    int fd_count;
    struct rg_rewritten *rewritten; /* [rewritten_count] while it is read */
    int rewritten_count;
    bool speeds_told, watts_told;
    int count;
    char **names;                   /* [count] SimGrid host names */
    const struct rg_board **boards; /* [count], equal boards shared */
    struct rg_board *kinds;
    int kind_count;
    char **measured; /* [measured_count] paths of rg_profile, each once; boards point to them */
    int measured_count;
    char **notes; /* [note_count] what was taken from the file that a user may not expect */
    int note_count;
    struct rg_profiles profiles; /* of what changes over time: no iteration need repeat another */
    int clusters, hosts;         /* elements of the file */
    char topology[16];           /* of a cluster that is not FLAT; empty: all are */
    int topology_line;
};

int rg_platform_load(const char *file, struct rg_platform *platform, struct rg_error *e);
/* All its hosts are of one star: whichever two talk, their route is the one's way out and the
 * other's way in. */
bool rg_platform_is_star(const struct rg_platform *platform);
/* The same, every host being the board of that name (NULL: as the file says), whatever its
 * properties are. */
int rg_platform_load_as(const char *file, const char *board, struct rg_platform *platform,
                        struct rg_error *e);
/* The path of every file of profiles that a platform names, of links and hosts over time and of
 * what boards were measured to take, in document order, until visit returns
 * anything but 0, which is then returned. What is not there, or is no platform, is left out:
 * rg_platform_load refuses it. */
int rg_platform_profiles(const char *file, int (*visit)(void *arg, const char *path), void *arg);
/* Of its hosts only these, in this order. */
int rg_platform_cast(struct rg_platform *platform, const int *hosts, int count, struct rg_error *e);
/* Hosts first to last at that clock; an error lists the clocks of the board that has no such step.
 */
int rg_platform_set_clock(struct rg_platform *platform, int first, int last, double hz,
                          struct rg_error *e);
/* Let `change` have its way with the board of every host, in their order; equal ones are shared
 * again. It returns 0, or an error that ends the changes. */
int rg_platform_change(struct rg_platform *platform,
                       int (*change)(void *arg, int host, struct rg_board *board,
                                     struct rg_error *e),
                       void *arg, struct rg_error *e);
/* One more note. */
int rg_platform_note(struct rg_platform *platform, struct rg_error *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Ports at `factor` times their rate. */
void rg_platform_scale_ports(struct rg_platform *platform, double factor);
/* Boards have a key: messages travel in records of TLS, and every byte takes a core so much longer
 * at each end. */
void rg_platform_key(struct rg_platform *platform, double seconds);
void rg_platform_free(struct rg_platform *platform);

#endif
