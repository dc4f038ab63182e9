/* What ringsim and ringnode have in common on the command line. */
#ifndef RG_CLI_H
#define RG_CLI_H

#include "result/training_state.h"
#include "scenario/every.h"
#include "scenario/text.h"
#include "study/job.h"
#include "study/sweep.h"
#include "world/trace.h"
#include <argp.h>

enum {
    RG_EXIT_OK,
    RG_EXIT_INTERNAL,
    RG_EXIT_USAGE,
    RG_EXIT_DEADLOCK,
    RG_EXIT_PEER,
    RG_EXIT_UNSAVED, /* trained, but something could not be saved */
    RG_EXIT_INTERRUPTED = 130
};

enum { RG_CLI_READS = 5 };

struct rg_options {
    char *scenario;
    char **sets, **labels;
    int set_count, label_count;
    char *json, *trace, *save, *save_best, *load, *replay;
    char *predict, *out; /* rows of one's own, and where the network's outputs for them go */
    char *checkpoint, *resume_from; /* folders */
    struct rg_every every;          /* of --checkpoint; nothing given: rg_cli_every */
    struct rg_trace_part part;      /* of the run, for --trace */
    char *data;                     /* folder to look for data files in, or NULL */
    double timeout_s;               /* 0: none */
    void (*show)(FILE *stream);     /* what to print in place of running: --list, ... */
    bool check, quiet, classes, evaluate;
    enum rg_keyed keyed;
    /* What else the program reads (rg_cli_reads): no result may go there. */
    struct {
        const char *name, *path;
    } reads[RG_CLI_READS];
    int read_count;
    bool merging; /* set by the program's own parser: no scenario is wanted */
};

/* How often checkpoints are due: as --every, else the scenario says, else every ten minutes. */
struct rg_every rg_cli_every(const struct rg_options *options, const struct rg_scenario *scenario,
                             const struct rg_job *job);
void rg_cli_reads(struct rg_options *options, const char *name, const char *path);

/* The child parser for argp_child; its input is a struct rg_options. Unknown options and bad values
 * end the program with exit status 2 (argp_err_exit_status). */
extern const struct argp rg_cli_argp;

/* argp_parse. Ends the program on bad usage (status 2), --help and --version (0). A parser that
 * finds a bad value says so with argp_failure(state, RG_EXIT_USAGE, 0, ...): one line. */
void rg_cli_parse(const struct argp *argp, int argc, char **argv, void *input);

/* A whole number of an option, from low to high; anything else ends the program as above. */
long rg_cli_count(struct argp_state *state, const char *option, const char *text, long low,
                  long high);
/* Likewise, any number within the limit. */
double rg_cli_number(struct argp_state *state, const char *option, const char *text,
                     const struct rg_limit *limit);

/* The lists in the options; the strings belong to argv. */
void rg_cli_free(struct rg_options *options);

/* --list: settings, strategies, schedules, parameters with defaults and ranges, layers, datasets.
 */
void rg_cli_list(FILE *stream);
/* --check: what would run, with closed forms (time, bytes, memory: does it fit), units given. */
void rg_cli_check(const struct rg_study *study, FILE *stream);

/* Standard output is for people, unless it is quiet or the result's. */
bool rg_cli_shows_table(const struct rg_options *options);

/* Exit status for the runs of a result (the worst of them), and for one error code. */
int rg_cli_exit_status(const struct rg_result *result);
int rg_cli_exit_of(int error_code);
int rg_cli_worse_of(int one, int other); /* of two exit statuses */
/* "PROGRAM: TEXT" to standard error; the exit status for that code. */
int rg_cli_complain(const char *program, int error_code, const char *text);

/* Do two paths lead to one file? They need not exist. */
bool rg_cli_same_file(const char *a, const char *b);

/* Standard output is written out: 0, or 1 where that failed, and a line says so. */
int rg_cli_flush(const char *program);

/* What the command line asks for; its strings stay the options'. */
struct rg_study_want rg_cli_wanted(const struct rg_options *options);

/* Open what the options ask for and see that all outputs could be written. On failure one line has
 * gone to standard error: the exit status, else 0. */
int rg_cli_open(const struct rg_options *options, const char *program, struct rg_study *study);
/* What a world has to say to every point's platform, before its jobs are made, and to its study
 * with them (see struct rg_study_want, rg_look_fn). */
struct rg_cli_looks {
    int (*platform)(void *arg, struct rg_platform *platform, int nodes, double link_rate,
                    struct rg_error *e);
    rg_look_fn study;
    void *arg;
};
/* --predict by this process: of the scenario only the network matters, no other file that it names
 * is read. compute: see rg_outputs_here. The exit status. */
typedef int rg_cli_compute(const struct rg_network *network, const char *load, const char *in,
                           const char *out, FILE *tell, struct rg_error *e);
int rg_cli_predict(const struct rg_options *options, const char *program, rg_cli_compute *compute);
/* --evaluate by this process: network and data matter, boards and strategies do not. score: see
 * rg_scores_here. The exit status. */
typedef int rg_cli_score(struct rg_study *study, const char *load, FILE *tell, struct rg_error *e);
int rg_cli_evaluate(const struct rg_options *options, const char *program, rg_cli_score *score);
/* As rg_cli_open, for every run of a scenario with sweeps. */
int rg_cli_plan(const struct rg_options *options, const char *program,
                const struct rg_cli_looks *looks, struct rg_study *study,
                struct rg_sweep_plan *plan);
/* --check of a scenario with sweeps. */
void rg_cli_check_plan(const struct rg_sweep_plan *plan, FILE *stream);
/* Write --json alone, whole or not at all. */
int rg_cli_write(const struct rg_options *options, const struct rg_result *result,
                 struct rg_error *e);
/* Write --json and --trace, whole or not at all, and the table unless --json - or --quiet; it is
 * printed in spite of --quiet where the result is nowhere else. What could not be saved, --save
 * included, is said. The exit status of the program: RG_EXIT_UNSAVED then, unless a run ended
 * worse; 1 where standard output could not be written. */
int rg_cli_finish(const struct rg_options *options, const char *program,
                  const struct rg_result *result);
/* Below the table, where a run did not fit: how large a network each strategy could hold. */
void rg_cli_tell_capacities(const struct rg_options *options, const struct rg_study *study,
                            const struct rg_result *result);
/* Fill in the facts that every result's host part has; the load and date are those of this call. */
void rg_cli_host(struct rg_result *result, double wall_s);

#endif
