/* The files of a command line: what is read is opened and checked, and before anything runs it is
 * seen that the results can be written; afterwards they are.
 *
 * Failure modes handled, each in one line: inputs that are wrong, outputs that cannot be written,
 * two outputs to one file, an output over an input, standard output that is full or closed. */
#include "cli/cli_parts.h"

#include "base/check.h"
#include "base/cores.h"
#include "base/file.h"
#include "base/limits.h"
#include "models/blas.h"
#include "scenario/text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>

bool rg_cli_shows_table(const struct rg_options *options)
{
    return !options->quiet && !(options->json && strcmp(options->json, "-") == 0);
}

bool rg_cli_same_file(const char *a, const char *b)
{
    struct stat p, q;
    if (stat(a, &p) == 0 && stat(b, &q) == 0)
        return p.st_dev == q.st_dev && p.st_ino == q.st_ino && S_ISREG(p.st_mode);
    char target_a[RG_FILE_PATH], target_b[RG_FILE_PATH]; /* of links to what is not there yet */
    a = rg_file_follow(a, target_a) == 0 ? target_a : a;
    b = rg_file_follow(b, target_b) == 0 ? target_b : b;
    char *folder_a = rg_text_beside(a, "."), *folder_b = rg_text_beside(b, ".");
    const char *name_a = strrchr(a, '/') ? strrchr(a, '/') + 1 : a;
    const char *name_b = strrchr(b, '/') ? strrchr(b, '/') + 1 : b;
    bool same = folder_a && folder_b && strcmp(name_a, name_b) == 0 && stat(folder_a, &p) == 0 &&
                stat(folder_b, &q) == 0 && p.st_dev == q.st_dev && p.st_ino == q.st_ino;
    free(folder_a);
    free(folder_b);
    return same;
}

void rg_cli_reads(struct rg_options *options, const char *name, const char *path)
{
    RG_ASSERT(options->read_count < RG_CLI_READS);
    options->reads[options->read_count].name = name;
    options->reads[options->read_count++].path = path;
}

struct named_path {
    const char *name, *path;
};

static int check_output(const struct named_path *output, const struct rg_options *options,
                        const struct rg_study *study, struct rg_error *e)
{
    const struct rg_scenario *s = &study->scenario;
    struct named_path inputs[3 + RG_DATA_ATTRIBUTES] = {
        {"the scenario", s->file},
        {"the platform", s->platform_file},
        {"the network", s->network_file},
    };
    const struct rg_data_attribute *attributes = s->data.kind->attributes;
    for (int i = 0; attributes[i].name; i++)
        if (attributes[i].type == RG_DATA_FILE)
            inputs[3 + i] = (struct named_path){"the data", s->data.values[i].text};
    if (strcmp(output->path, "-") == 0) {
        if (strcmp(output->name, "--json") == 0)
            return 0;
        return rg_fail(e, RG_ERR_INVALID,
                       "%s -: a file is wanted, only --json may go to standard "
                       "output",
                       output->name);
    }
    for (size_t i = 0; i < RG_COUNT(inputs); i++)
        if (inputs[i].path && rg_cli_same_file(output->path, inputs[i].path))
            return rg_fail(e, RG_ERR_INVALID, "%s %.200s: that is %s; another file is wanted",
                           output->name, output->path, inputs[i].name);
    if (options->load && strcmp(output->name, "--save") != 0 &&
        rg_cli_same_file(output->path, options->load))
        return rg_fail(e, RG_ERR_INVALID, "%s %.200s: that is the file of --load", output->name,
                       output->path);
    if (options->replay && rg_cli_same_file(output->path, options->replay))
        return rg_fail(e, RG_ERR_INVALID, "%s %.200s: that is the file of --replay", output->name,
                       output->path);
    for (int i = 0; i < options->read_count; i++)
        if (rg_cli_same_file(output->path, options->reads[i].path))
            return rg_fail(e, RG_ERR_INVALID,
                           "%s %.200s: that is the file of %s; another file is "
                           "wanted",
                           output->name, output->path, options->reads[i].name);
    struct rg_error why = {0};
    if (rg_file_can_write(output->path, &why) < 0)
        return rg_fail(e, RG_ERR_INVALID, "%s %.400s", output->name, why.text);
    return 0;
}

static int check_outputs(const struct rg_options *options, const struct rg_study *study,
                         struct rg_error *e)
{
    const struct named_path outputs[] = {{"--json", options->json},
                                         {"--trace", options->trace},
                                         {"--save", options->save},
                                         {"--save-best", options->save_best},
                                         {"--out", options->out}};
    for (size_t i = 0; i < RG_COUNT(outputs); i++)
        for (size_t k = i + 1; k < RG_COUNT(outputs); k++)
            if (outputs[i].path && outputs[k].path &&
                rg_cli_same_file(outputs[i].path, outputs[k].path))
                return rg_fail(e, RG_ERR_INVALID,
                               "%s and %s: both go to %.200s, each needs a file of its own",
                               outputs[i].name, outputs[k].name, outputs[i].path);
    int err = 0;
    for (size_t i = 0; i < RG_COUNT(outputs) && err == 0; i++)
        if (outputs[i].path)
            err = check_output(&outputs[i], options, study, e);
    return err;
}

/* hollow: without numerics checkpoints only take their time, and nothing is written. */
static int check_parameters(const struct rg_options *options, int runs, bool numerics, bool hollow,
                            struct rg_error *e)
{
    bool written = options->checkpoint && (numerics || !hollow);
    const char *option = options->save          ? "--save"
                         : options->save_best   ? "--save-best"
                         : options->load        ? "--load"
                         : written              ? "--checkpoint"
                         : options->resume_from ? "--resume-from"
                                                : NULL;
    if (!option)
        return 0;
    if (runs != 1)
        return rg_fail(
            e, RG_ERR_INVALID,
            "%s belongs to one run, %d are selected: --strategy LABEL chooses one of them, "
            "--set KEY=VALUE a point of a sweep",
            option, runs);
    if (!numerics)
        return rg_fail(e, RG_ERR_INVALID, "%s: numerics=\"skip\" has no parameters, real is needed",
                       option);
    return 0;
}

/* Tell what is wrong with the input, in one line; the exit status. */
static int refuse(const char *program, int err, struct rg_error *e)
{
    rg_one_line(e->text);
    if (strncmp(e->text, "--", 2) == 0) /* about an option; else it begins with FILE:LINE */
        fprintf(stderr, "%s: ", program);
    char limits[300] = "";
    if (err == RG_ERR_NOMEM && strstr(e->text, "out of memory"))
        rg_limits_name("/", limits, sizeof limits);
    fprintf(stderr, "%s%s\n", e->text, limits);
    int status = rg_cli_exit_of(err);
    return status ? status : RG_EXIT_INTERNAL;
}

/* The timeline of no node would be an empty one. */
static int check_trace(const struct rg_options *options, int nodes, struct rg_error *e)
{
    for (int i = 0; i < options->part.range_count; i++)
        if (options->part.ranges[i][1] >= nodes)
            return rg_fail(e, RG_ERR_INVALID, "--trace-nodes %d: there are nodes 0 to %d",
                           options->part.ranges[i][1], nodes - 1);
    return 0;
}

struct looker {
    const struct rg_options *options;
    int nodes; /* most, of all points */
    rg_look_fn look;
    void *arg;
};

static int look_at_point(void *arg, const struct rg_study *study, struct rg_error *e)
{
    struct looker *looker = arg;
    for (int i = 0; i < study->job_count; i++)
        looker->nodes = RG_MAX(looker->nodes, study->jobs[i].nodes);
    int err = check_outputs(looker->options, study, e);
    return err || !looker->look ? err : looker->look(looker->arg, study, e);
}

struct rg_study_want rg_cli_wanted(const struct rg_options *options)
{
    return (struct rg_study_want){.file = options->scenario,
                                  .data_folder = options->data,
                                  .sets = options->sets,
                                  .set_count = options->set_count,
                                  .labels = options->labels,
                                  .label_count = options->label_count,
                                  .keyed = options->keyed,
                                  .replay = options->replay,
                                  .trained = options->load != NULL};
}

int rg_cli_plan(const struct rg_options *options, const char *program,
                const struct rg_cli_looks *looks, struct rg_study *study,
                struct rg_sweep_plan *plan)
{
    struct rg_error e = {0};
    struct looker looker = {options, 0, looks->study, looks->arg};
    struct rg_study_want want = rg_cli_wanted(options);
    want.look_platform = looks->platform;
    want.look_arg = looks->arg;
    RG_ASSERT(options->scenario);
    int err = rg_sweep_open(&want, look_at_point, &looker, study, plan, &e);
    if (err == 0 &&
        ((err = check_parameters(options, plan->run_count, plan->numerics, true, &e)) != 0 ||
         (err = check_trace(options, looker.nodes, &e)) != 0))
        rg_sweep_close(plan);
    return err ? refuse(program, err, &e) : 0;
}

int rg_cli_open(const struct rg_options *options, const char *program, struct rg_study *study)
{
    struct rg_error e = {0};
    const struct rg_study_want want = rg_cli_wanted(options);
    RG_ASSERT(options->scenario);
    int err = rg_study_open_at(&want, study, &e);
    if (err == 0) {
        int nodes = 0;
        for (int i = 0; i < study->job_count; i++)
            nodes = RG_MAX(nodes, study->jobs[i].nodes);
        err = check_parameters(options, study->job_count, study->scenario.training.numerics, false,
                               &e);
        if (err == 0)
            err = check_outputs(options, study, &e);
        if (err == 0)
            err = check_trace(options, nodes, &e);
        if (err)
            rg_study_close(study);
    }
    return err ? refuse(program, err, &e) : 0;
}

/* Of a scenario whose network's outputs are wanted. */
static int open_network(const struct rg_options *options, struct rg_scenario *s,
                        struct rg_network *network, struct rg_error *e)
{
    int err = rg_scenario_load(options->scenario, s, e);
    for (int i = 0; i < options->set_count && err == 0; i++)
        err = rg_scenario_set(s, options->sets[i], e);
    const struct named_path inputs[] = {{"the scenario", options->scenario},
                                        {"the network", err ? NULL : s->network_file},
                                        {"the file of --load", options->load},
                                        {"the file of --predict", options->predict}};
    for (size_t i = 0; i < RG_COUNT(inputs) && err == 0; i++)
        if (inputs[i].path && rg_cli_same_file(options->out, inputs[i].path))
            err = rg_fail(e, RG_ERR_INVALID, "--out %.200s: that is %s; another file is wanted",
                          options->out, inputs[i].name);
    if (err == 0 && strcmp(options->out, "-") == 0)
        err = rg_fail(e, RG_ERR_INVALID, "--out -: a file is wanted");
    if (err == 0)
        err = rg_network_load(s->network_file, network, e);
    struct rg_error why = {0};
    if (err == 0 && rg_file_can_write(options->out, &why) < 0)
        err = rg_fail(e, RG_ERR_INVALID, "--out %.400s", why.text);
    return err;
}

int rg_cli_predict(const struct rg_options *o, const char *program, rg_cli_compute *compute)
{
    struct rg_scenario scenario = {0};
    struct rg_network network = {0};
    struct rg_error e = {0};
    int err = open_network(o, &scenario, &network, &e);
    if (err == 0)
        err = compute(&network, o->load, o->predict, o->out, o->quiet ? NULL : stdout, &e);
    rg_network_free(&network);
    rg_scenario_free(&scenario);
    if (err == RG_ERR_IO) {
        fprintf(stderr, "%s: --out %s\n", program, e.text);
        return RG_EXIT_UNSAVED;
    }
    return err ? refuse(program, err, &e) : rg_cli_flush(program);
}

int rg_cli_evaluate(const struct rg_options *o, const char *program, rg_cli_score *score)
{
    struct rg_study study;
    struct rg_error e = {0};
    const struct rg_study_want want = rg_cli_wanted(o);
    int err = rg_study_open_samples(&want, &study, &e);
    if (err)
        return refuse(program, err, &e);
    err = score(&study, o->load, stdout, &e);
    rg_study_close(&study);
    return err ? refuse(program, err, &e) : rg_cli_flush(program);
}

static bool ends_in(const char *path, const char *end)
{
    size_t length = strlen(path), tail = strlen(end);
    return length > tail && strcmp(path + length - tail, end) == 0;
}

static int write_file(const char *path, const struct rg_result *result,
                      int (*write)(const struct rg_result *result, FILE *stream),
                      struct rg_error *e)
{
    struct rg_file file;
    int err = rg_file_open(&file, path, e);
    if (err)
        return err;
    FILE *stream =
        ends_in(path, ".gz") ? rg_cli_compressed(rg_file_descriptor(&file)) : file.stream;
    err = stream ? write(result, stream) : RG_ERR_NOMEM;
    if (stream && stream != file.stream && fclose(stream) != 0 && err == 0)
        err = rg_fail(e, RG_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    if (err == RG_ERR_IO && stream != file.stream) {
        rg_file_abandon(&file);
        return err;
    }
    if (err == RG_ERR_NOMEM) {
        rg_file_abandon(&file);
        return rg_fail(e, err, "%s: out of memory", path);
    }
    return rg_file_commit(&file, e); /* says what was wrong with the stream, if anything */
}

int rg_cli_write(const struct rg_options *options, const struct rg_result *result,
                 struct rg_error *e)
{
    return write_file(options->json, result, rg_result_write, e);
}

int rg_cli_flush(const char *program)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return RG_EXIT_OK;
    fprintf(stderr, "%s: standard output: %s\n", program,
            errno ? strerror(errno) : "part of it could not be written");
    return RG_EXIT_INTERNAL;
}

static void tell_unsaved(const struct rg_result *result, const char *program)
{
    for (int i = 0; i < result->run_count; i++)
        if (result->runs[i].unsaved[0])
            fprintf(stderr, "%s: %s: not saved: %s\n", program, result->runs[i].label,
                    result->runs[i].unsaved);
}

int rg_cli_finish(const struct rg_options *options, const char *program,
                  const struct rg_result *result)
{
    struct rg_error e = {0};
    bool table = rg_cli_shows_table(options),
         streams = options->json && !strcmp(options->json, "-");
    int status = rg_cli_exit_status(result);
    if (options->json && rg_cli_write(options, result, &e) < 0) {
        fprintf(stderr, "%s: --json %s\n", program, e.text);
        status = rg_cli_worse_of(status, streams ? RG_EXIT_INTERNAL : RG_EXIT_UNSAVED);
        table = !streams;
    }
    if (options->trace && write_file(options->trace, result, rg_result_trace, &e) < 0) {
        fprintf(stderr, "%s: --trace %s\n", program, e.text);
        status = rg_cli_worse_of(status, RG_EXIT_UNSAVED);
    }
    tell_unsaved(result, program);
    if (table) {
        rg_result_table(result, stdout);
        if (options->classes)
            rg_result_classes(result, stdout);
        status = rg_cli_worse_of(status, rg_cli_flush(program));
    } else {
        rg_result_failures(result, program, stderr);
    }
    return status;
}

void rg_cli_host(struct rg_result *result, double wall_s)
{
    struct rg_result_host *host = &result->host;
    struct utsname name;
    time_t now = time(NULL);
    struct tm date;
    *host = (struct rg_result_host){
        .wall_s = wall_s, .blas_threads = rg_blas_threads(), .cores = rg_cores()};
    if (gmtime_r(&now, &date))
        strftime(host->date, sizeof host->date, "%Y-%m-%dT%H:%M:%SZ", &date);
    if (getloadavg(&host->load, 1) != 1)
        host->load = NAN;
    snprintf(host->blas_kernels, sizeof host->blas_kernels, "%s", rg_blas_kernels());
    if (uname(&name) == 0)
        snprintf(host->machine, sizeof host->machine, "%.20s %.20s %.20s", name.machine,
                 name.sysname, name.release);
}
