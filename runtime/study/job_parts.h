/* What job.c (one job, made and described), job_params.c (the parameters of its strategy) and
 * study.c (the scenario with its files, and all its jobs), job_profiles.c and replay.c share, and
 * nobody else. */
#ifndef RG_JOB_PARTS_H
#define RG_JOB_PARTS_H

#include "study/job.h"

/* ---- job_params.c ---- */

/* Of a strategy's table, or -1. */
int rg_job_param_index(const struct rg_strategy *strategy, const char *name);
/* A parameter's value from its text. On failure *why says what is allowed. */
int rg_job_parse_value(const struct rg_param *param, const char *text, struct rg_value *value,
                       struct rg_error *why);
/* The values of a job: as the table has them, as an attribute of the scenario (or of --set) has
 * one, as --set overlap has that. 0, or an error in *e that says what is allowed. */
int rg_job_set_defaults(struct rg_job *job, struct rg_error *e);
int rg_job_set_value(struct rg_job *job, const struct rg_scenario *s,
                     const struct rg_strategy_spec *spec, const struct rg_attribute *a,
                     struct rg_error *e);
int rg_job_set_overlap(struct rg_job *job, const struct rg_scenario *s,
                       const struct rg_strategy_spec *spec, struct rg_error *e);
/* A complaint about an attribute of a strategy. */
int rg_job_fail_attribute(const struct rg_scenario *s, const struct rg_strategy_spec *spec,
                          const struct rg_attribute *a, struct rg_error *e, const char *why);

/* ---- job.c ---- */

/* Jobs of all strategies of the scenario; may_refuse: one that cannot run is noted, no error. */
int rg_study_make_jobs(struct rg_study *study, bool may_refuse, struct rg_error *e);

/* ---- job_profiles.c ---- */

/* Read the profiles that scenario and platform name, and put them upon the boards. Before any job
 * is made; the network is there. */
int rg_study_load_profiles(struct rg_study *study, struct rg_error *e);
/* Has what was measured on the job's boards all that the job wants of it? RG_ERR_INVALID: which
 * file does not, and what it has. */
int rg_job_check_profiles(const struct rg_job *job, struct rg_error *e);
void rg_study_free_profiles(struct rg_study *study);
/* Which costs of the job are measured, and which modelled. */
void rg_job_tell_profiles(const struct rg_job *job, struct rg_run *run);

/* ---- replay.c ---- */

/* The jobs follow the orders of the result at `path`. */
int rg_study_replay(struct rg_study *study, const char *path, struct rg_error *e);

#endif
