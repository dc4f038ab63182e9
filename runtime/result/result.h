/* What a run gives: a plain struct, and its forms as JSON, table and timeline. The only JSON user.
 * A double that is NAN is null in JSON and "-" in the table. */
#ifndef RG_RESULT_RESULT_H
#define RG_RESULT_RESULT_H

#include "base/error.h"
#include "world/trace.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* impossible: at this point of a sweep the strategy cannot run; `error` says why. */
enum rg_status { RG_RUN_OK, RG_RUN_NO_FIT, RG_RUN_FAILED, RG_RUN_INTERRUPTED, RG_RUN_IMPOSSIBLE };

struct rg_run_point { /* an evaluation on the test set */
    int64_t iteration;
    double time_s, energy_J, loss, accuracy;
};

/* What a node draws while it does what its trace tells: idle_W, or with any computation under way
 * epsilon_W and up to full_W by the share of its cores that is busy; and on top the port's watts
 * while bytes pass it, and rest_W all the time. */
struct rg_run_power {
    bool known; /* else the rest is nothing */
    double rest_W, idle_W, epsilon_W, full_W, send_W, receive_W;
    double compute_share;     /* of its cores that one computation keeps busy */
    double core_share;        /* that one core is */
    bool keyed;               /* messages have what a key adds to them */
    double port_rate;         /* bytes/s, of payload, message headers and that */
    double message_s, byte_s; /* one core's time for a message, and for a byte of it */
};

/* Where joules were measured: by what, how often, how well. */
struct rg_run_meter {
    bool known; /* else the rest is nothing */
    char source[16];
    int nodes;                    /* that were metered; nodes of one machine are one */
    double interval_s, longest_s; /* between samples: as wanted (NAN: a log), and the longest */
    uint64_t samples;             /* while the clock ran */
    double uncertainty_J;         /* standard uncertainty of the total from sampling alone */
    double idle_W;                /* measured before the run; NAN: was not */
    double above_idle_J;          /* the total less idle_W all the time */
    char error[240];              /* why the joules are unknown, or "" */
};

/* A node's clock against rank 0's, by round trips before and after the training. Rank 0 has zeros.
 * NAN: unknown. */
struct rg_run_clock {
    bool known;      /* nodes have clocks of their own; else the rest is nothing */
    double offset_s; /* rank 0's clock less the node's, at the end; counted from some date each */
    double wall_offset_s; /* the same of their times of day */
    double uncertainty_s; /* bound of the error of both, at the begin and at the end */
    double drift_ppm;     /* growth of offset_s since the clocks were first compared */
    double drift_uncertainty_ppm;
};

struct rg_run_node {
    char host[64];
    double busy_s, comm_s, idle_s, energy_J;
    uint64_t bytes_sent, bytes_received, memory_bytes;
    struct rg_trace *trace;    /* NULL: none; owned */
    struct rg_run_power power; /* travels with the trace */
    struct rg_run_meter meter;
    struct rg_run_clock clock;
};

struct rg_run_param { /* as resolved: what ran */
    char name[32];
    char *value; /* owned by the run */
};

struct rg_run_setting { /* a key at the point of a sweep */
    char key[100];
    char *value; /* owned by the run */
};

struct rg_run {
    char label[64], kind[32];
    struct rg_run_param *params;
    int param_count;
    int nodes;
    bool numerics;
    enum rg_status status;
    char error[480]; /* "" or one line */
    int error_code;  /* RG_ERR_*, for the exit status; not in JSON */
    int64_t iterations;
    uint64_t samples;
    double time_s;
    struct {
        double mean, p50, p95, max;
    } iteration_s;
    struct {
        bool defined, overlap;
        double T_A_s, c_s, bubble, predicted_iteration_s, observed_iteration_s, ratio;
    } formula;
    struct {
        double total, idle, compute, network, switches;
    } energy_J;
    const char *energy_source; /* "none", "model", ... */
    struct rg_run_meter meter; /* of all nodes; the largest interval, the sum of the others */
    struct {
        uint64_t messages, values, payload_bytes;
        double wire_bytes;
        uint64_t max_node_bytes;
    } traffic;
    uint64_t memory_max, memory_total;
    uint64_t late_receives;
    struct { /* board "": not paced */
        char board[48];
        uint64_t computations, overruns;
    } paced;
    int64_t staleness, peak_units; /* largest of any node */
    int64_t
        extrapolated_iterations; /* of `iterations`: not simulated, but told from those that were */
    struct rg_run_point *training;
    int point_count;
    double final_loss, final_accuracy;
    struct {
        bool wanted, reached; /* wanted: a <stop accuracy> was given */
        double target;
        int64_t iterations;
        double time_s, energy_J;
    } to_accuracy;
    char weights_sha256[65]; /* "": null */
    struct rg_run_node *per_node;
    int node_count;
    struct rg_run_setting *sweep; /* what concerns this run; none without a sweep */
    int sweep_count;
    struct { /* closed forms alone, one iteration; undefined where the run is impossible */
        bool defined, overlap;
        double T_A_s, c_s, iteration_s;
        uint64_t messages, values, payload_bytes, memory_bytes;
    } predicted;
};

void rg_run_init(struct rg_run *run); /* zero, with NAN where unknown */
void rg_run_free(struct rg_run *run);
/* Append a parameter; 0 or RG_ERR_NOMEM. */
int rg_run_param(struct rg_run *run, const char *name, const char *value);
/* Append a key of its point; 0 or RG_ERR_NOMEM. */
int rg_run_setting(struct rg_run *run, const char *key, const char *value);
/* Joules of all nodes for one training sample; NAN where unknown. */
/* Of `count` intervals between updates, those at each end that are no steady state: filling and
 * draining, as many as there are updates in flight. Where fewer than that would remain between them
 * the run has no steady state (*steady), and none is left out. */
int64_t rg_run_edge(const struct rg_run *run, int64_t count, bool *steady);
/* What the closed form has beside it: the mean iteration, where there is a steady state. */
void rg_run_observe(struct rg_run *run, bool steady);
double rg_run_sample_J(const struct rg_run *run);
const char *rg_status_name(enum rg_status status);

/* One run as a JSON text (for a pipe between processes) and back; *text is malloc'ed. Traces travel
 * along. */
int rg_run_encode(const struct rg_run *run, char **text);
int rg_run_decode(const char *text, struct rg_run *run, struct rg_error *e);

/* What the kernel did for the sockets of the node that writes the result (rank 0), all its
 * connections and runs together. */
struct rg_result_sockets {
    bool known;                          /* false: there were none, as in a simulation */
    char cipher[32];                     /* TLS's name of what protected them; "": nothing */
    char control[16];                    /* congestion control; "": no connection */
    bool slow_start_after_idle;          /* the kernel's setting of that name */
    uint64_t retransmits;                /* TCP segments sent again */
    uint64_t bytes_sent, bytes_received; /* frames and TLS records included; no TCP headers */
};

/* Facts about the machine and moment that go under "host". */
struct rg_result_host {
    double wall_s;
    char date[32]; /* ISO 8601 */
    double load;   /* 1-minute average at the start */
    char blas_kernels[32];
    int blas_threads;
    int cores;        /* that the process could run on */
    char machine[64]; /* uname -m and system */
    struct rg_result_sockets sockets;
};

struct rg_result {
    const char *tool, *world, *scenario;
    const char *scenario_sha256; /* NULL: unknown */
    uint64_t seed;
    struct rg_result_host host;
    struct rg_run *runs;
    int run_count;
    /* Where these are only some of the runs that the scenario asks for: how many there are in all,
     * and the place of each among them, rising. NULL: all of them. */
    int total;
    const int *places;
    char *const *notes; /* [note_count] what the data's files were taken to say: a line each */
    int note_count;
};

int rg_result_write(const struct rg_result *result, FILE *stream);  /* result JSON */
void rg_result_table(const struct rg_result *result, FILE *stream); /* for people, with units */
/* A line a failed run, for where there is no table: "PROGRAM: LABEL: failed: WHY". */
void rg_result_failures(const struct rg_result *result, const char *program, FILE *stream);
/* What the closed forms say, a row a run, without a title. */
void rg_result_predictions(const struct rg_result *result, FILE *stream);
/* Chrome trace format: a process a strategy, a thread a node (and strand), a counter of its watts.
 */
int rg_result_trace(const struct rg_result *result, FILE *stream);

/* A result that was read back; its strings, places and runs are its own. */
struct rg_archive {
    char tool[16], version[24], world[16], scenario[128], digest[65];
    uint64_t seed;
    struct rg_run *runs;
    int run_count, total;
    int *places; /* [run_count], rising, below total */
};

/* Runs written again give the same bytes. Errors are one line, "FILE: ...". */
int rg_archive_read(const char *path, struct rg_archive *archive, struct rg_error *e);
void rg_archive_free(struct rg_archive *archive);
/* Join parts of one scenario's runs: *whole takes the runs away from the parts. Refused, naming the
 * files: parts of different scenarios or programs, runs that are there twice or missing. */
int rg_archive_merge(struct rg_archive *parts, const char *const *paths, int count,
                     struct rg_archive *whole, struct rg_error *e);
/* The archive as a result that points into it. */
struct rg_result rg_archive_result(const struct rg_archive *archive);

#endif
