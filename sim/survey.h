/* What SimGrid makes of a platform, asked before anything depends on it: what each host's links let
 * its port pass, and whether they are what a job's datasheets and closed forms say.
 *
 * SimGrid ends the process where it does not like a platform file, and starts once a process. So a
 * child loads the platform, and answers until the surveys are closed. */
#ifndef RG_SIM_SURVEY_H
#define RG_SIM_SURVEY_H

#include "study/job.h"

struct rg_surveys;

/* None yet; NULL: out of memory. */
struct rg_surveys *rg_surveys_new(void);
void rg_surveys_free(struct rg_surveys *surveys);
/* Ends the children; what they have said of platforms stays. */
void rg_surveys_rest(struct rg_surveys *surveys);

/* Would the first `nodes` hosts of the platform work, its links at `link_rate` times their rate?
 * Their boards get what the platform's links have and the datasheet leaves open: ports that are
 * half duplex, a medium that all share, and, where only its name was given, rates and latency;
 * platform->notes says so. RG_ERR_INVALID with one line in *e. Of type rg_look_platform_fn, arg:
 * surveys. */
int rg_survey_platform(void *surveys, struct rg_platform *platform, int nodes, double link_rate,
                       struct rg_error *e);
/* Do the links between the pairs of nodes that the job uses agree with its boards? Refused: pairs
 * without a route, ports that pass more than their datasheet says. Where the closed forms know less
 * than SimGrid, job->rough says why. */
int rg_survey_job(struct rg_surveys *surveys, const struct rg_platform *platform, double link_rate,
                  struct rg_job *job, struct rg_error *e);

#endif
