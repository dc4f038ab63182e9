/* --replay: the jobs of a study follow the orders that a run over sockets has written down.
 *
 * Happy path: the result is of this scenario, program version and these strategies, every strategy
 * whose nodes are out of step has orders there, and they are what its nodes could have done.
 * Failure modes handled, each in one line with file and line, before anything runs: a file that is
 * no result, one of another scenario or version, runs that are not there, ended early or have no
 * orders, orders that were changed. */
#include "study/job_parts.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

/* The line of the text's first occurrence; 1: it is not there. */
static int line_of(const char *path, const char *text)
{
    FILE *stream = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    int number = 0, found = 1;
    while (stream && getline(&line, &room, stream) > 0) {
        number++;
        if (strstr(line, text)) {
            found = number;
            break;
        }
    }
    free(line);
    if (stream)
        fclose(stream);
    return found;
}

/* A complaint about a run begins with the line of its label. */
static int fail_run(const char *path, const char *label, struct rg_error *e, const char *why)
{
    char text[100];
    snprintf(text, sizeof text, "\"label\": \"%.63s\"", label);
    return rg_fail_at(e, path, line_of(path, text), "run \"%.63s\": %.300s", label, why);
}

static int check_result(const struct rg_study *study, const char *path, struct rg_error *e)
{
    const struct rg_result *result = study->replayed;
    if (strcmp(result->scenario_sha256, study->scenario.digest) != 0)
        return rg_fail_at(e, path, line_of(path, "\"scenario_sha256\""),
                          "a result of another scenario, or of other options or files that it "
                          "names: --replay wants one of this");
    if (strcmp(result->version, RG_VERSION) != 0)
        return rg_fail_at(e, path, line_of(path, "\"version\""),
                          "a result of version %.40s: --replay wants one of this, " RG_VERSION,
                          result->version);
    return 0;
}

static int follow(struct rg_job *job, const struct rg_result *result, const char *path,
                  struct rg_error *e)
{
    struct rg_error why = {0};
    const struct rg_run *run = NULL;
    for (int i = 0; i < result->run_count; i++)
        if (strcmp(result->runs[i].label, job->label) == 0)
            run = &result->runs[i];
    if (!run)
        return rg_fail_at(e, path, 1,
                          "there is no run \"%.63s\": --replay wants all that are "
                          "to run, or --strategy names some",
                          job->label);
    if (run->status != RG_RUN_OK || run->iterations != job->iterations)
        return fail_run(path, job->label, e, "it ended early: --replay wants a whole one");
    if (job->strategy->check_orders(job, run->orders, run->order_count, &why) < 0)
        return why.code == RG_ERR_NOMEM ? rg_fail(e, RG_ERR_NOMEM, "%s", why.text)
                                        : fail_run(path, job->label, e, why.text);
    job->orders = run->order_count > 0 ? run->orders : NULL;
    return 0;
}

int rg_study_replay(struct rg_study *study, const char *path, struct rg_error *e)
{
    if (!study->scenario.training.numerics)
        return rg_fail(e, RG_ERR_INVALID,
                       "--replay: numerics=\"skip\" has no numbers that could "
                       "be the same, real is needed");
    study->replayed = calloc(1, sizeof *study->replayed);
    if (!study->replayed)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    int err = rg_result_read(path, study->replayed, e), following = 0;
    if (err && err != RG_ERR_NOMEM) /* whatever is wrong with it, it is an input */
        err = RG_ERR_INVALID;
    if (err == 0)
        err = check_result(study, path, e);
    for (int i = 0; i < study->job_count && err == 0; i++) {
        struct rg_job *job = &study->jobs[i];
        if (!job->strategy || !job->strategy->check_orders || job->refused)
            continue;
        err = follow(job, study->replayed, path, e);
        following += job->orders != NULL;
    }
    if (err == 0 && following == 0)
        err = rg_fail(e, RG_ERR_INVALID,
                      "--replay: no strategy of the scenario is out of step: "
                      "all give the same weights whatever the timing");
    return err;
}
