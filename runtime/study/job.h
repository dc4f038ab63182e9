/* From a scenario to the jobs it asks for: one a strategy, checked against the strategy's own table
 * of parameters, the network, the data and the platform. */
#ifndef RG_JOB_H
#define RG_JOB_H

#include "models/bits.h"
#include "result/result.h"
#include "scenario/scenario.h"
#include "scenario/setting_type.h"
#include "strategies/strategy.h"

/* A scenario with the files it names, and its jobs. It must not be moved: the jobs point into it.
 */
struct rg_study {
    struct rg_scenario scenario;
    struct rg_platform platform;
    struct rg_network network;
    struct rg_dataset data; /* probed; loaded by rg_study_load_data */
    struct rg_job *jobs;    /* of the selected strategies, in scenario order */
    int job_count;
    struct rg_deal
        *deals; /* [job_count] whose training samples are whose, where each has its own */
    struct rg_error *refusals; /* [job_count] why a job is refused; code 0: it is not */
    struct rg_measured *
        *measured; /* [measured_count] profiles of the network; boards point to them */
    int measured_count;
    struct rg_result *replayed;       /* whose orders the jobs follow; NULL: none's */
    const struct rg_study_want *want; /* while it is opened */
};

/* Are connections protected by a key? A run over sockets knows it for certain. */
enum rg_keyed { RG_KEYED_AS_SCENARIO, RG_KEYED_NO, RG_KEYED_YES };

/* What to open. */
struct rg_study_want {
    const char *file;
    const char *data_folder; /* where data files are looked for; NULL: where the scenario says */
    char *const *sets;
    int set_count;
    char *const *labels; /* keep these strategies; none: all */
    int label_count;
    enum rg_keyed keyed;
    /* What a world thinks of the platform, before there are jobs; NULL: nothing is asked. nodes: so
     * many of its first hosts are used at most. */
    int (*look_platform)(void *arg, struct rg_platform *platform, int nodes, double link_rate,
                         struct rg_error *e);
    void *look_arg;
    const char *replay; /* the result whose orders the jobs follow (see rg_job.orders), or NULL */
    /* The hosts of the platform that the ranks are, in their order, in place of as many as the
     * scenario says: those that are left of a run. NULL: as the scenario says. */
    const int *hosts;
    int host_count;
    int began;    /* hosts: with so many, the first ones, the run began, and rows of their own stay
                   * with those that had them; 0: with as many as there are now */
    bool trained; /* parameters are loaded: labels mean what they meant when these were trained */
    /* At a point of the scenario's sweeps (of none: point NULL); it must outlive the study. A job
     * that cannot run there is marked refused and noted in study->refusals, which is no failure. */
    bool at_point;
    const struct rg_setting *point;
    int point_count;
};

/* Of the nodes of these seats ([left]; places in hosts file or platform), how many can train what
 * is wanted, one strategy: the most that can, of the first of them and of the multiples of a job's
 * `multiple` next below `left`, and why not all of them; 0: none. */
int rg_study_fitting(const struct rg_study_want *want, int multiple, const int *seats, int left,
                     struct rg_error *why);

/* The general form of what follows. A scenario that has sweeps is refused unless at_point. */
int rg_study_open_at(const struct rg_study_want *want, struct rg_study *study, struct rg_error *e);

/* Load everything but the samples, apply `sets`, keep the strategies named in `labels` (none: all).
 * Errors are one line, "FILE:LINE: ...". Nothing is written. */
int rg_study_open(const char *file, char *const *sets, int set_count, char *const *labels,
                  int label_count, struct rg_study *study, struct rg_error *e);
/* Network and data alone, where nothing is trained: no platform is read, no jobs are made, sweeps
 * do not matter. */
int rg_study_open_samples(const struct rg_study_want *want, struct rg_study *study,
                          struct rg_error *e);
/* The samples that a rank (RG_ANY_RANK: any of those that share this process) keeps for the jobs
 * that fit; only where numerics are real, and once. */
enum { RG_ANY_RANK = -1 };
int rg_study_load_data(struct rg_study *study, int rank, struct rg_error *e);
/* The same, where the samples were read for an earlier opening of the same scenario, whose dataset
 * `before` was: if they are those that the rank keeps now they are taken over, else read anew.
 * *before is empty afterwards. */
int rg_study_load_data_again(struct rg_study *study, int rank, struct rg_dataset *before,
                             struct rg_error *e);
void rg_study_close(struct rg_study *study);

/* Keep the strategies named (none: all); free the others. */
int rg_study_select(struct rg_scenario *scenario, char *const *labels, int label_count,
                    struct rg_error *e);

/* Does a key of --set or a sweep shape the runs of this strategy? Not where it is another's
 * LABEL.PARAM, or overlap and the strategy's kind does not have it. */
bool rg_study_concerns(const char *key, const struct rg_strategy_spec *spec);

/* --set overlap is for the strategies whose kind has that parameter: at least one. */
int rg_study_check_overlap(const struct rg_scenario *scenario, struct rg_error *e);

/* Does the job fit its boards, and what a process of this machine can address? 0, or RG_ERR_NO_FIT
 * with node, need and room in *e. */
int rg_job_fits(const struct rg_job *job, struct rg_error *e);
int rg_job_fits_in(const struct rg_job *job, uint64_t addressable, struct rg_error *e);

/* The matrix products of the job, over the whole batch at once. */
struct rg_products rg_job_products(const struct rg_job *job);

/* All that `check` has decided, as "nodes=5 partition=4,4,3 ...": malloc'ed, NULL when memory is
 * out. */
char *rg_job_settled(const struct rg_job *job);
/* Take what another rank's job has decided, as rg_job_settled wrote it there, in place of what this
 * one has; own: what that was, as far as it differs (empty: nothing does). RG_ERR_PROTOCOL,
 * _INVALID or _NOMEM with one line: the job cannot run here. */
int rg_job_settle(struct rg_job *job, const char *text, char *own, size_t size, struct rg_error *e);

/* What the strategy predicts for the job. Where the boards share one medium, all that is sent takes
 * turns on it: c is that, and no iteration is shorter. */
void rg_job_predict(const struct rg_job *job, struct rg_prediction *prediction);
/* Seconds of an iteration by the strategy's plan; NAN: it has none, or one that is too long. */
double rg_job_plan_s(const struct rg_job *job);
/* Why that is an estimate on these boards or this platform; NULL: it is not. Lives as long as the
 * job. */
const char *rg_job_rough(const struct rg_job *job, const struct rg_prediction *prediction);
/* Bytes a second of the medium that some of its nodes share, with each other and with whoever sends
 * to them; 0: none do. */
double rg_job_medium_rate(const struct rg_job *job);
/* Is a port of its nodes half duplex, or behind one bus? */
bool rg_job_has_bus(const struct rg_job *job);
/* Who sends what to whom in an iteration. */
void rg_job_flows(const struct rg_job *job, rg_traffic_fn flow, void *arg);

/* "nodes 0-3 as lenet-5.json has them (pi-5, ringcal 0.1.0, ...)": a line for the profile of that
 * number, from 0, malloc'ed; NULL: there are no more, or memory is out. */
char *rg_job_profile_line(const struct rg_job *job, int number);

/* What a parameter may be, unless it is a list. */
struct rg_type rg_job_param_type(const struct rg_param *param);
/* A resolved parameter as text: "16", "yes", "4,4,3"; malloc'ed, NULL when memory is out. */
char *rg_job_param_text(const struct rg_job *job, int param);
/* The head of a run: label, kind, resolved parameters, nodes, numerics, and what the closed forms
 * predict unless the job is refused. */
void rg_job_describe(const struct rg_job *job, struct rg_run *run);

#endif
