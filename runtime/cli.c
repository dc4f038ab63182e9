/* The command line that ringsim and ringnode share.
 *
 * Failure modes handled, each in one line and before anything runs: unknown options, values out of
 * range, outputs that cannot be written, two outputs to one file, an output over an input. */
#include "cli.h"

#include "base/check.h"
#include "base/file.h"
#include "capacity.h"
#include "models/blas.h"
#include "result/human.h"
#include "scenario/text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>

enum {
    KEY_STRATEGY = 1000,
    KEY_SET,
    KEY_JSON,
    KEY_TRACE,
    KEY_LIST,
    KEY_CHECK,
    KEY_SAVE,
    KEY_LOAD,
    KEY_TIMEOUT,
    KEY_QUIET,
    KEY_DATA
};

static const struct argp_option option_table[] = {
    {"strategy", KEY_STRATEGY, "LABEL", 0, "Run only this strategy of the scenario (repeatable)",
     0},
    {"set", KEY_SET, "KEY=VALUE", 0,
     "Override a scalar: nodes, batch, epochs, iterations, samples, seed, numerics, overlap, "
     "threads, platform, network, learning-rate, clock, link-rate, key-byte-s, or LABEL.PARAM "
     "(repeatable)",
     0},
    {"json", KEY_JSON, "FILE", 0,
     "Write the result (- for standard output, then nothing else goes there)", 0},
    {"trace", KEY_TRACE, "FILE", 0, "Write a timeline in the Chrome trace format (for Perfetto)",
     0},
    {"list", KEY_LIST, NULL, 0, "List strategies and their parameters, layers and kinds of data",
     0},
    {"check", KEY_CHECK, NULL, 0,
     "Validate the scenario and its files, print what would run and its closed forms, run nothing",
     0},
    {"save", KEY_SAVE, "FILE", 0, "Write the trained parameters of one strategy (safetensors)", 0},
    {"load", KEY_LOAD, "FILE", 0, "Start from the parameters in FILE (safetensors)", 0},
    {"timeout", KEY_TIMEOUT, "SECONDS", 0, "Give up on a run after this much wall time", 0},
    {"data", KEY_DATA, "DIR", 0, "Look for data files in DIR", 0},
    {"quiet", KEY_QUIET, NULL, 0, "Print no table and no progress", 0},
    {0},
};

static void show_version(FILE *stream, struct argp_state *state)
{
    fprintf(stream, "%s %s\n", state->name, RG_VERSION);
}

void (*argp_program_version_hook)(FILE *, struct argp_state *) = show_version;

/* ---- parsing ---- */

static void append(struct argp_state *state, char ***list, int *count, char *value)
{
    char **longer = realloc(*list, (size_t)(*count + 1) * sizeof *longer);
    if (!longer)
        argp_failure(state, RG_EXIT_INTERNAL, 0, "out of memory");
    *list = longer;
    longer[(*count)++] = value;
}

static void set_once(struct argp_state *state, const char *option, char **slot, char *value)
{
    if (*slot)
        argp_failure(state, RG_EXIT_USAGE, 0, "--%s is allowed once, not %s and %s", option, *slot,
                     value);
    if (value[0] == '\0')
        argp_failure(state, RG_EXIT_USAGE, 0, "--%s: a name is wanted, not an empty one", option);
    *slot = value;
}

long rg_cli_count(struct argp_state *state, const char *option, const char *text, long low,
                  long high)
{
    const struct rg_limit limit = {.whole = true, .min = (double)low, .max = (double)high};
    double value = 0;
    if (rg_text_number(text, &limit, &value, NULL) < 0)
        argp_failure(state, RG_EXIT_USAGE, 0, "--%s %.40s: a number from %ld to %ld is allowed",
                     option, text, low, high);
    return (long)value;
}

static void set_timeout(struct argp_state *state, struct rg_options *options, const char *value)
{
    static const struct rg_limit limit = {.open = true, .min = 0, .max = 1e9};
    struct rg_error why = {0};
    if (rg_text_number(value, &limit, &options->timeout_s, &why) < 0)
        argp_failure(state, RG_EXIT_USAGE, 0, "--timeout %.40s: %s (seconds)", value, why.text);
}

static void finish_arguments(struct argp_state *state, const struct rg_options *options)
{
    if (!options->scenario && !options->list && !options->merging)
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "no scenario: a SCENARIO.xml is wanted, or --list (see --help)");
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct rg_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        argp_err_exit_status = RG_EXIT_USAGE;
        break;
    case KEY_STRATEGY:
        append(state, &options->labels, &options->label_count, argument);
        break;
    case KEY_SET:
        append(state, &options->sets, &options->set_count, argument);
        break;
    case KEY_JSON:
        set_once(state, "json", &options->json, argument);
        break;
    case KEY_TRACE:
        set_once(state, "trace", &options->trace, argument);
        break;
    case KEY_SAVE:
        set_once(state, "save", &options->save, argument);
        break;
    case KEY_LOAD:
        set_once(state, "load", &options->load, argument);
        break;
    case KEY_DATA:
        set_once(state, "data", &options->data, argument);
        break;
    case KEY_TIMEOUT:
        set_timeout(state, options, argument);
        break;
    case KEY_LIST:
        options->list = true;
        break;
    case KEY_CHECK:
        options->check = true;
        break;
    case KEY_QUIET:
        options->quiet = true;
        break;
    case ARGP_KEY_ARG:
        if (options->scenario)
            argp_failure(state, RG_EXIT_USAGE, 0, "one scenario is allowed, not %s and %s",
                         options->scenario, argument);
        options->scenario = argument;
        break;
    case ARGP_KEY_END:
        finish_arguments(state, options);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

const struct argp rg_cli_argp = {.options = option_table, .parser = parse_option};

/* All long options of a parser and its children, as a list of words; argp's own too. */
static void collect(const struct argp *argp, char *words, size_t size)
{
    for (const struct argp_option *o = argp->options; o && (o->name || o->key || o->doc); o++) {
        size_t used = strlen(words);
        if (o->name)
            snprintf(words + used, size - used, "--%s ", o->name);
    }
    for (const struct argp_child *child = argp->children; child && child->argp; child++)
        collect(child->argp, words, size);
}

/* An option by its name, which may be cut short as long as it is unambiguous. */
static const struct argp_option *find(const struct argp *argp, const char *name, size_t length,
                                      bool exact)
{
    for (const struct argp_option *o = argp->options; o && (o->name || o->key || o->doc); o++)
        if (o->name && strncmp(o->name, name, length) == 0 && (!exact || strlen(o->name) == length))
            return o;
    for (const struct argp_child *child = argp->children; child && child->argp; child++) {
        const struct argp_option *o = find(child->argp, name, length, exact);
        if (o)
            return o;
    }
    return NULL;
}

static bool is_builtin(const char *name, size_t length)
{
    static const char *const names[] = {"help", "usage", "version"};
    for (size_t i = 0; i < RG_COUNT(names); i++)
        if (strncmp(names[i], name, length) == 0)
            return true;
    return length == 0;
}

/* argp tells about an unknown option in two lines and not what is allowed: look before it does. */
static void refuse_unknown(const struct argp *argp, int argc, char **argv)
{
    const char *program = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--") == 0)
            return;
        if (word[0] != '-' || word[1] == '\0' || strcmp(word, "-?") == 0 || strcmp(word, "-V") == 0)
            continue;
        const char *name = word + 2;
        size_t length = word[1] == '-' ? strcspn(name, "=") : 0;
        const struct argp_option *option = NULL;
        if (word[1] == '-') {
            option = find(argp, name, length, true);
            if (!option)
                option = find(argp, name, length, false);
        }
        if (word[1] != '-' || (!option && !is_builtin(name, length))) {
            char words[600] = "", allowed[720], given[64];
            collect(argp, words, sizeof words);
            strncat(words, "--version --help", sizeof words - strlen(words) - 1);
            snprintf(given, sizeof given, "%.*s", (int)strcspn(word, "="), word);
            rg_text_allowed(words, given, allowed, sizeof allowed);
            rg_one_line(given);
            fprintf(stderr, "%s: unknown option %s: %s\n", program, given, allowed);
            exit(RG_EXIT_USAGE);
        }
        if (!option || !option->arg || (option->flags & OPTION_ARG_OPTIONAL) || name[length] == '=')
            continue;
        if (++i == argc) {
            fprintf(stderr, "%s: option %s needs %s\n", program, word, option->arg);
            exit(RG_EXIT_USAGE);
        }
    }
}

void rg_cli_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    argp_err_exit_status = RG_EXIT_USAGE;
    refuse_unknown(argp, argc, argv);
    error_t error = argp_parse(argp, argc, argv, 0, NULL, input);
    if (error) {
        fprintf(stderr, "%s: %s\n", argv[0], strerror(error));
        exit(RG_EXIT_INTERNAL);
    }
}

void rg_cli_free(struct rg_options *options)
{
    free(options->sets);
    free(options->labels);
    *options = (struct rg_options){0};
}

/* ---- --list ---- */

static void print_param(const struct rg_param *param, FILE *stream)
{
    char allowed[100];
    if (param->type == RG_PARAM_CHOICE)
        snprintf(allowed, sizeof allowed, "%s", param->choices);
    else if (param->type == RG_PARAM_LIST)
        snprintf(allowed, sizeof allowed, "N,N,... or %s", param->fallback);
    else
        snprintf(allowed, sizeof allowed, "%.0f to %.0f%s%s", param->min, param->max,
                 strcmp(param->fallback, "auto") == 0 ? " or " : "",
                 strcmp(param->fallback, "auto") == 0 ? param->fallback : "");
    fprintf(stream, "      %s=\"%s\"  (%s)\n          %s\n", param->name, param->fallback, allowed,
            param->help);
}

void rg_cli_list(FILE *stream)
{
    fputs("Strategies (<strategy label=\"...\" kind=\"KIND\" nodes=\"N\" .../>), parameters with "
          "their defaults:\n",
          stream);
    for (int i = 0; rg_strategies[i]; i++) {
        const struct rg_strategy *strategy = rg_strategies[i];
        fprintf(stream, "\n  %s: %s\n", strategy->name, strategy->summary);
        if (strategy->min_nodes > 1)
            fprintf(stream, "      takes %d nodes or more\n", strategy->min_nodes);
        for (const struct rg_param *param = strategy->params; param->name; param++)
            print_param(param, stream);
    }
    fputs("\nLayers (<network name=\"...\" input=\"N|HxW|CxHxW\">), any of them with "
          "repeat=\"N\":\n\n",
          stream);
    for (int i = 0; rg_layer_kinds[i]; i++)
        fprintf(stream, "  %-10s %s\n  %-10s   takes %s\n", rg_layer_kinds[i]->name,
                rg_layer_kinds[i]->summary, "", rg_layer_kinds[i]->attributes);
    fputs("\nData (<data kind=\"KIND\" .../>):\n\n", stream);
    for (const struct rg_data_info *info = rg_data_infos; info->name; info++)
        fprintf(stream, "  %-10s %s\n  %-10s   takes %s\n", info->name, info->summary, "",
                info->attributes);
    fprintf(stream, "\nKeys of --set: %s, and LABEL.PARAM\n", rg_scenario_keys);
}

/* Standard output is for people, unless it is quiet or the result's. */
static bool shows_table(const struct rg_options *options)
{
    return !options->quiet && !(options->json && strcmp(options->json, "-") == 0);
}

/* ---- --check ---- */

static void print_params(const struct rg_job *job, FILE *stream)
{
    for (int i = 0; job->strategy->params[i].name; i++) {
        char *text = rg_job_param_text(job, i);
        bool is_long = text && strlen(text) > 60;
        fprintf(stream, " %s=%.60s%s", job->strategy->params[i].name, text ? text : "?",
                is_long ? "..." : "");
        free(text);
    }
}

/* "398 M parameters, widths 1.81 times as large" */
static void print_capacity(const struct rg_job *job, FILE *stream)
{
    struct rg_capacity most;
    struct rg_error e = {0};
    char a[RG_HUMAN], b[RG_HUMAN];
    if (rg_job_capacity(job, &most, &e) < 0)
        fprintf(stream, "unknown: %s\n", e.text);
    else if (most.parameters == 0)
        fputs("no network of this shape\n", stream);
    else
        fprintf(stream, "%s%s parameters (%s), widths times %.4g\n", most.limited ? "" : "over ",
                rg_human_count((double)most.parameters, a),
                rg_human_bytes(sizeof(float) * (double)most.parameters, b), most.factor);
}

static const char capacity_note[] =
    "largest: the most parameters that the boards can hold so, all widths of the network but those "
    "of its\ninput and classes multiplied by one factor\n";

static void check_job(const struct rg_job *job, FILE *stream)
{
    struct rg_prediction p;
    struct rg_error why = {0};
    char a[RG_HUMAN], b[RG_HUMAN], c[RG_HUMAN], d[RG_HUMAN];
    rg_job_predict(job, &p);
    fprintf(stream, "\n%s: %s,", job->label, job->strategy->name);
    print_params(job, stream);
    fprintf(stream, "\n  nodes       %d, %ld iterations of %d samples\n", job->nodes,
            job->iterations, job->batch);
    fprintf(stream, "  T_A         %s an iteration computing, at the busiest node\n",
            rg_human_seconds(p.T_A_s, a));
    fprintf(stream, "  c           %s an iteration in one direction of the busiest port%s\n",
            rg_human_seconds(p.c_s, a), p.overlap ? "" : "; it does not overlap with T_A");
    fprintf(
        stream, "  iteration   %s predicted, %s of it above max(c, T_A)\n",
        rg_human_seconds(p.iteration_s, a),
        rg_human_percent(p.iteration_s > 0 ? 1 - fmax(p.c_s, p.T_A_s) / p.iteration_s : NAN, b));
    fprintf(stream, "  time        %s for all iterations\n",
            rg_human_seconds(p.iteration_s * (double)job->iterations, a));
    fprintf(stream, "  traffic     %s messages, %s values, %s payload an iteration; %s in all\n",
            rg_human_count((double)p.messages, a), rg_human_count((double)p.values, b),
            rg_human_bytes((double)p.payload_bytes, c),
            rg_human_bytes((double)p.payload_bytes * (double)job->iterations, d));
    fprintf(stream, "  memory      %s on node %d (%s has %s)\n",
            rg_human_bytes((double)p.memory_bytes, a), p.bottleneck,
            job->boards[p.bottleneck]->name,
            rg_human_bytes((double)job->boards[p.bottleneck]->memory_bytes, b));
    if (rg_job_fits(job, &why) == 0)
        fputs("  fits        yes\n", stream);
    else
        fprintf(stream, "  fits        no: %s\n", why.text);
    fputs("  largest     ", stream);
    print_capacity(job, stream);
}

void rg_cli_check(const struct rg_study *study, FILE *stream)
{
    const struct rg_scenario *s = &study->scenario;
    const struct rg_training *t = &s->training;
    char a[RG_HUMAN], b[RG_HUMAN];
    fprintf(stream, "%s (%s), seed %" PRIu64 "\n", s->name, s->file, s->seed);
    fprintf(stream, "  platform    %s: %d hosts, the first is %s (%s)\n", study->platform.file,
            study->platform.count, study->platform.names[0], study->platform.boards[0]->name);
    fprintf(stream, "  network     %s: %s, %d layers, %s parameters (%s)\n", study->network.file,
            study->network.name, study->network.layer_count,
            rg_human_count((double)study->network.parameters, a),
            rg_human_bytes(sizeof(float) * (double)study->network.parameters, b));
    fprintf(stream, "  data        %s: %zu inputs, %d classes, %d samples to train, %d to test\n",
            rg_data_infos[s->data.kind].name, study->data.inputs, study->data.classes,
            study->data.train, study->data.test);
    fprintf(stream, "  training    batch %d, learning rate %g, %d thread%s a node, numerics %s\n",
            t->batch, t->optimizer.rate, t->threads, t->threads == 1 ? "" : "s",
            t->numerics ? "real" : "skip");
    if (rg_scenario_has_faults(s))
        fprintf(
            stream,
            "  faults      %d slow windows of nodes, %d of links, jitter up to %g %%; the closed "
            "forms are without\n",
            s->faults.slow.count, s->faults.link.count, 100 * s->faults.spread);
    for (int i = 0; i < study->job_count; i++)
        check_job(&study->jobs[i], stream);
    fprintf(stream, "\n%s", capacity_note);
}

void rg_cli_tell_capacities(const struct rg_options *options, const struct rg_study *study,
                            const struct rg_result *result)
{
    int short_of = 0;
    for (int i = 0; i < result->run_count; i++)
        short_of += result->runs[i].status == RG_RUN_NO_FIT;
    if (short_of == 0 || !shows_table(options))
        return;
    printf("\nThe largest network of this shape that each can hold:\n");
    for (int i = 0; i < study->job_count; i++) {
        printf("  %-24s  ", study->jobs[i].label);
        print_capacity(&study->jobs[i], stdout);
    }
    fputs(capacity_note, stdout);
    fflush(stdout);
}

void rg_cli_check_plan(const struct rg_sweep_plan *plan, FILE *stream)
{
    int impossible = 0, too_large = 0;
    struct rg_result result = {.run_count = plan->run_count};
    result.runs = calloc((size_t)plan->run_count, sizeof *result.runs);
    RG_ASSERT(result.runs);
    for (int i = 0; i < plan->run_count; i++) {
        result.runs[i] = plan->runs[i].run; /* theirs stays theirs */
        impossible += result.runs[i].status == RG_RUN_IMPOSSIBLE;
        too_large += result.runs[i].status == RG_RUN_NO_FIT;
    }
    fprintf(stream, "%s (%s), seed %" PRIu64 "\n", plan->name, plan->want.file, plan->seed);
    fprintf(stream,
            "  sweep       %ld points, %d runs: %d to simulate, %d do not fit, %d impossible\n\n"
            "what the closed forms say about one iteration:\n\n",
            plan->points, plan->run_count, plan->run_count - impossible - too_large, too_large,
            impossible);
    rg_result_predictions(&result, stream);
    fputs("\nT_A, c: compute and communication time at the bottleneck node; sent: payload of all "
          "nodes together;\nmemory: the largest on a node\n",
          stream);
    free(result.runs);
}

/* ---- exit status ---- */

int rg_cli_exit_of(int error_code)
{
    switch (error_code) {
    case 0:
    case RG_ERR_NO_FIT:
        return RG_EXIT_OK;
    case RG_ERR_INVALID:
        return RG_EXIT_USAGE;
    case RG_ERR_DEADLOCK:
    case RG_ERR_TIMEOUT: /* ranks that had not finished when time was up */
        return RG_EXIT_DEADLOCK;
    case RG_ERR_PEER:
    case RG_ERR_PROTOCOL:
    case RG_ERR_REFUSED:
        return RG_EXIT_PEER;
    case RG_ERR_INTERRUPTED:
        return RG_EXIT_INTERRUPTED;
    default:
        return RG_EXIT_INTERNAL;
    }
}

int rg_cli_exit_status(const struct rg_result *result)
{
    /* From harmless to worst; what the user did outranks what came of it. */
    static const int order[] = {RG_EXIT_OK,       RG_EXIT_USAGE,    RG_EXIT_PEER,
                                RG_EXIT_DEADLOCK, RG_EXIT_INTERNAL, RG_EXIT_INTERRUPTED};
    size_t worst = 0;
    for (int i = 0; i < result->run_count; i++) {
        const struct rg_run *run = &result->runs[i];
        int status = RG_EXIT_OK;
        if (run->status == RG_RUN_INTERRUPTED)
            status = RG_EXIT_INTERRUPTED;
        else if (run->status == RG_RUN_FAILED)
            status = run->error_code ? rg_cli_exit_of(run->error_code) : RG_EXIT_INTERNAL;
        for (size_t k = 0; k < RG_COUNT(order); k++)
            if (order[k] == status)
                worst = RG_MAX(worst, k);
    }
    return order[worst];
}

/* ---- inputs and outputs ---- */

/* Do two paths lead to one file? They need not exist. */
static bool same_file(const char *a, const char *b)
{
    struct stat p, q;
    if (stat(a, &p) == 0 && stat(b, &q) == 0)
        return p.st_dev == q.st_dev && p.st_ino == q.st_ino && S_ISREG(p.st_mode);
    char *folder_a = rg_text_beside(a, "."), *folder_b = rg_text_beside(b, ".");
    const char *name_a = strrchr(a, '/') ? strrchr(a, '/') + 1 : a;
    const char *name_b = strrchr(b, '/') ? strrchr(b, '/') + 1 : b;
    bool same = folder_a && folder_b && strcmp(name_a, name_b) == 0 && stat(folder_a, &p) == 0 &&
                stat(folder_b, &q) == 0 && p.st_dev == q.st_dev && p.st_ino == q.st_ino;
    free(folder_a);
    free(folder_b);
    return same;
}

struct named_path {
    const char *name, *path;
};

static int check_output(const struct named_path *output, const struct rg_options *options,
                        const struct rg_study *study, struct rg_error *e)
{
    const struct rg_scenario *s = &study->scenario;
    const struct named_path inputs[] = {
        {"the scenario", s->file},        {"the platform", s->platform_file},
        {"the network", s->network_file}, {"the data", s->data.images},
        {"the data", s->data.labels},     {"the data", s->data.file},
    };
    if (strcmp(output->path, "-") == 0) {
        if (strcmp(output->name, "--json") == 0)
            return 0;
        return rg_fail(e, RG_ERR_INVALID,
                       "%s -: a file is wanted, only --json may go to standard "
                       "output",
                       output->name);
    }
    for (size_t i = 0; i < RG_COUNT(inputs); i++)
        if (inputs[i].path && same_file(output->path, inputs[i].path))
            return rg_fail(e, RG_ERR_INVALID, "%s %.200s: that is %s; another file is wanted",
                           output->name, output->path, inputs[i].name);
    if (options->load && strcmp(output->name, "--save") != 0 &&
        same_file(output->path, options->load))
        return rg_fail(e, RG_ERR_INVALID, "%s %.200s: that is the file of --load", output->name,
                       output->path);
    struct rg_error why = {0};
    if (rg_file_can_write(output->path, &why) < 0)
        return rg_fail(e, RG_ERR_INVALID, "%s %.400s", output->name, why.text);
    return 0;
}

static int check_outputs(const struct rg_options *options, const struct rg_study *study,
                         struct rg_error *e)
{
    const struct named_path outputs[] = {
        {"--json", options->json}, {"--trace", options->trace}, {"--save", options->save}};
    for (size_t i = 0; i < RG_COUNT(outputs); i++)
        for (size_t k = i + 1; k < RG_COUNT(outputs); k++)
            if (outputs[i].path && outputs[k].path && same_file(outputs[i].path, outputs[k].path))
                return rg_fail(e, RG_ERR_INVALID,
                               "%s and %s: both go to %.200s, each needs a file of its own",
                               outputs[i].name, outputs[k].name, outputs[i].path);
    int err = 0;
    for (size_t i = 0; i < RG_COUNT(outputs) && err == 0; i++)
        if (outputs[i].path)
            err = check_output(&outputs[i], options, study, e);
    return err;
}

static int check_parameters(const struct rg_options *options, int runs, bool numerics,
                            struct rg_error *e)
{
    const char *option = options->save ? "--save" : options->load ? "--load" : NULL;
    if (!option)
        return 0;
    if (runs != 1)
        return rg_fail(e, RG_ERR_INVALID,
                       "%s belongs to one strategy, %d are selected: --strategy LABEL is needed",
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
    fprintf(stderr, "%s\n", e->text);
    int status = rg_cli_exit_of(err);
    return status ? status : RG_EXIT_INTERNAL;
}

struct looker {
    const struct rg_options *options;
    rg_look_fn look;
    void *arg;
};

static int look_at_point(void *arg, const struct rg_study *study, struct rg_error *e)
{
    const struct looker *looker = arg;
    int err = check_outputs(looker->options, study, e);
    return err || !looker->look ? err : looker->look(looker->arg, study, e);
}

int rg_cli_plan(const struct rg_options *options, const char *program, rg_look_fn look, void *arg,
                struct rg_study *study, struct rg_sweep_plan *plan)
{
    struct rg_error e = {0};
    struct looker looker = {options, look, arg};
    const struct rg_study_want want = {.file = options->scenario,
                                       .data_folder = options->data,
                                       .sets = options->sets,
                                       .set_count = options->set_count,
                                       .labels = options->labels,
                                       .label_count = options->label_count};
    RG_ASSERT(options->scenario);
    int err = rg_sweep_open(&want, look_at_point, &looker, study, plan, &e);
    if (err == 0 && (err = check_parameters(options, plan->run_count, plan->numerics, &e)) != 0)
        rg_sweep_close(plan);
    return err ? refuse(program, err, &e) : 0;
}

int rg_cli_open(const struct rg_options *options, const char *program, struct rg_study *study)
{
    struct rg_error e = {0};
    RG_ASSERT(options->scenario);
    int err =
        rg_study_open_data(options->scenario, options->data, options->sets, options->set_count,
                           options->labels, options->label_count, study, &e);
    if (err == 0) {
        err = check_parameters(options, study->job_count, study->scenario.training.numerics, &e);
        if (err == 0)
            err = check_outputs(options, study, &e);
        if (err)
            rg_study_close(study);
    }
    return err ? refuse(program, err, &e) : 0;
}

static int write_file(const char *path, const struct rg_result *result,
                      int (*write)(const struct rg_result *result, FILE *stream),
                      struct rg_error *e)
{
    struct rg_file file;
    int err = rg_file_open(&file, path, e);
    if (err)
        return err;
    err = write(result, file.stream);
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
    if (fflush(stdout) == 0)
        return RG_EXIT_OK;
    fprintf(stderr, "%s: standard output: %s\n", program, strerror(errno));
    return RG_EXIT_INTERNAL;
}

int rg_cli_finish(const struct rg_options *options, const char *program,
                  const struct rg_result *result)
{
    struct rg_error e = {0};
    bool table = shows_table(options);
    int failed = 0;
    if (options->json && write_file(options->json, result, rg_result_write, &e) < 0) {
        fprintf(stderr, "%s: --json %s\n", program, e.text);
        failed = 1;
    }
    if (options->trace && write_file(options->trace, result, rg_result_trace, &e) < 0) {
        fprintf(stderr, "%s: --trace %s\n", program, e.text);
        failed = 1;
    }
    if (table) {
        rg_result_table(result, stdout);
        failed |= rg_cli_flush(program) != RG_EXIT_OK;
    }
    return failed ? RG_EXIT_INTERNAL : rg_cli_exit_status(result);
}

void rg_cli_host(struct rg_result *result, double wall_s)
{
    struct rg_result_host *host = &result->host;
    struct utsname name;
    time_t now = time(NULL);
    struct tm date;
    *host = (struct rg_result_host){.wall_s = wall_s, .blas_threads = rg_blas_threads()};
    if (gmtime_r(&now, &date))
        strftime(host->date, sizeof host->date, "%Y-%m-%dT%H:%M:%SZ", &date);
    if (getloadavg(&host->load, 1) != 1)
        host->load = NAN;
    snprintf(host->blas_kernels, sizeof host->blas_kernels, "%s", rg_blas_kernels());
    if (uname(&name) == 0)
        snprintf(host->machine, sizeof host->machine, "%.20s %.20s %.20s", name.machine,
                 name.sysname, name.release);
}
