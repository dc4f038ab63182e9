/* The command line that ringsim and ringnode share: its options. What they print is in
 * cli_show.c, what they read and write in cli_files.c, the exit status in cli_exit.c.
 *
 * Failure modes handled, each in one line and before anything runs: unknown options, values out of
 * range. */
#include "cli/cli_parts.h"

#include "base/check.h"
#include "scenario/settings.h"
#include "study/saving.h"

#include <stdlib.h>
#include <string.h>

enum {
    KEY_STRATEGY = 1000,
    KEY_SET,
    KEY_JSON,
    KEY_TRACE,
    KEY_LIST,
    KEY_SCHEMA,
    KEY_RESULT_SCHEMA,
    KEY_RESULT_FIELDS,
    KEY_CHECK,
    KEY_TRACE_NODES,
    KEY_TRACE_WINDOW,
    KEY_SAVE,
    KEY_SAVE_BEST,
    KEY_LOAD,
    KEY_EVALUATE,
    KEY_PREDICT,
    KEY_OUT,
    KEY_CHECKPOINT,
    KEY_EVERY,
    KEY_RESUME_FROM,
    KEY_LOSE,
    KEY_REPLAY,
    KEY_TIMEOUT,
    KEY_QUIET,
    KEY_CLASSES,
    KEY_DATA
};

static const struct argp_option option_table[] = {
    {"strategy", KEY_STRATEGY, "LABEL", 0, "Run only this strategy of the scenario (repeatable)",
     0},
    {"set", KEY_SET, "KEY=VALUE", 0, "Override a setting (repeatable)", 0}, /* see tell_keys */
    {"json", KEY_JSON, "FILE", 0,
     "Write the result (- for standard output, then nothing else goes there)", 0},
    {"trace", KEY_TRACE, "FILE", 0,
     "Write a timeline in the Chrome trace format (for Perfetto), compressed if FILE ends in .gz",
     0},
    {"trace-nodes", KEY_TRACE_NODES, "LIST", 0, "Only these nodes in the timeline, as in 0-7,12",
     0},
    {"trace-window", KEY_TRACE_WINDOW, "FROM:TO", 0,
     "Only this part of the training time in the timeline, as in 10s:12s, 500ms: or :2min", 0},
    {"list", KEY_LIST, NULL, 0,
     "List settings, strategies and their parameters, layers and kinds of data", 0},
    {"schema", KEY_SCHEMA, NULL, 0, "Print the RELAX NG schema of scenarios", 0},
    {"result-schema", KEY_RESULT_SCHEMA, NULL, 0, "Print the JSON schema of results", 0},
    {"result-fields", KEY_RESULT_FIELDS, NULL, 0, "Print all fields of a result, as Markdown", 0},
    {"check", KEY_CHECK, NULL, 0,
     "Validate the scenario and its files, print what would run and its closed forms, run nothing",
     0},
    {"save", KEY_SAVE, "FILE", 0, "Write the trained parameters of one strategy (safetensors)", 0},
    {"save-best", KEY_SAVE_BEST, "FILE", 0,
     "Write the parameters that had the least loss on the test set, too", 0},
    {"load", KEY_LOAD, "FILE", 0, "Start from the parameters in FILE (safetensors)", 0},
    {"evaluate", KEY_EVALUATE, NULL, 0,
     "Train nothing: print loss and accuracy of the parameters of --load on the samples that train "
     "and on those to test",
     0},
    {"predict", KEY_PREDICT, "FILE", 0,
     "Train nothing: write what the network with the parameters of --load makes of the rows in "
     "FILE "
     "(.npy), standardised as they say, to --out",
     0},
    {"out", KEY_OUT, "FILE", 0, "Where the outputs of --predict go (.npy)", 0},
    {"checkpoint", KEY_CHECKPOINT, "DIR", 0,
     "Write all that the training of one strategy goes on from to this folder: now and then, at "
     "its "
     "end, and when it is interrupted. The last two checkpoints are kept",
     0},
    {"every", KEY_EVERY, "TIME", 0,
     "With --checkpoint: how often, in training time (default 10min), epochs or iterations, as in "
     "90s, 2epochs or 500iterations",
     0},
    {"resume-from", KEY_RESUME_FROM, "DIR", 0, "Go on from the newest checkpoint in DIR", 0},
    {"lose", KEY_LOSE, "WORD", 0,
     "When a node is lost: stop; restart: wait for it, and go on from the last checkpoint; shrink: "
     "go on from there without it; spare: with a node that has waited; who is there again joins "
     "these at the end of an epoch. Short for --set lose=WORD",
     0},
    {"replay", KEY_REPLAY, "RESULT", 0,
     "Nodes out of step serve in the order in which those of this run of ringnode did (its "
     "--json): "
     "the same weights, to the bit",
     0},
    {"timeout", KEY_TIMEOUT, "SECONDS", 0, "Give up on a run after this much wall time", 0},
    {"data", KEY_DATA, "DIR", 0, "Look for data files in DIR", 0},
    {"quiet", KEY_QUIET, NULL, 0, "Print no table and no progress", 0},
    {"classes", KEY_CLASSES, NULL, 0,
     "Print the accuracy by class and the confusion matrix of each run, too", 0},
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

double rg_cli_number(struct argp_state *state, const char *option, const char *text,
                     const struct rg_limit *limit)
{
    struct rg_error why = {0};
    double value = 0;
    if (rg_text_number(text, limit, &value, &why) < 0)
        argp_failure(state, RG_EXIT_USAGE, 0, "--%s %.60s: %s", option, text, why.text);
    return value;
}

static void set_timeout(struct argp_state *state, struct rg_options *options, const char *value)
{
    static const struct rg_limit limit = {.open = true, .min = 0, .max = 1e9};
    struct rg_error why = {0};
    if (rg_text_number(value, &limit, &options->timeout_s, &why) < 0)
        argp_failure(state, RG_EXIT_USAGE, 0, "--timeout %.40s: %s (seconds)", value, why.text);
}

/* Parameters are used, not trained: what goes with that, and what does not. */
static void finish_untrained(struct argp_state *state, const struct rg_options *options)
{
    const char *mode = options->evaluate ? "evaluate" : "predict";
    const struct {
        const char *name;
        bool given;
    } others[] = {{"json", options->json},
                  {"trace", options->trace},
                  {"save", options->save},
                  {"save-best", options->save_best},
                  {"replay", options->replay},
                  {"check", options->check},
                  {"classes", options->classes},
                  {"checkpoint", options->checkpoint},
                  {"resume-from", options->resume_from}};
    if (options->out && !options->predict)
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "--out is where the outputs of --predict FILE go: that is wanted too");
    if (!options->predict && !options->evaluate)
        return;
    if (options->predict && options->evaluate)
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "--evaluate and --predict: one of them is allowed, the first is of the "
                     "scenario's samples, the other of rows of one's own");
    if (options->evaluate && !options->load)
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "--evaluate: --load FILE (the parameters) is wanted too");
    if (options->predict && (!options->load || !options->out))
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "--predict: --load FILE (the parameters) and --out FILE are wanted too");
    for (size_t i = 0; i < RG_COUNT(others); i++)
        if (others[i].given)
            argp_failure(state, RG_EXIT_USAGE, 0,
                         "--%s trains nothing: --%s is not allowed with it", mode, others[i].name);
}

/* "shrink": "lose=shrink", which lives as long as the options. */
static char *lose_setting(struct argp_state *state, const char *word)
{
    static char text[40];
    if (text[0])
        argp_failure(state, RG_EXIT_USAGE, 0, "--lose is allowed once, not %s and %.20s", text + 5,
                     word);
    snprintf(text, sizeof text, "lose=%.30s", word);
    return text;
}

static void set_every(struct argp_state *state, struct rg_every *every, const char *text)
{
    if (!rg_every_read(text, every) || every->daly)
        argp_failure(state, RG_EXIT_USAGE, 0, "--every %.40s: " RG_EVERY_ALLOWED, text);
}

struct rg_every rg_cli_every(const struct rg_options *options, const struct rg_scenario *scenario,
                             const struct rg_job *job)
{
    struct rg_every every = options->every;
    if (!rg_every_given(&every) && !rg_scenario_every(scenario, &every))
        every.seconds = RG_EVERY_SECONDS;
    if (every.daly)
        every.seconds = rg_interval_of(job, scenario->faults.mtbf_s);
    return every;
}

static void finish_checkpoints(struct argp_state *state, struct rg_options *options)
{
    if (rg_every_given(&options->every) && !options->checkpoint)
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "--every is of checkpoints: --checkpoint DIR is wanted too");
    if (options->resume_from && options->load)
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "--resume-from and --load: one of them is allowed, a checkpoint has the "
                     "parameters");
    if (options->resume_from && options->replay)
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "--resume-from and --replay: one of them is allowed, a recorded order is that "
                     "of a whole run");
}

static void finish_arguments(struct argp_state *state, struct rg_options *options)
{
    if (!options->scenario && !options->show && !options->merging)
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "no scenario: a SCENARIO.xml is wanted, or --list (see --help)");
    bool part = options->part.range_count > 0 || options->part.from_s > 0 || options->part.to_s > 0;
    if (part && !options->trace)
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "--trace-nodes and --trace-window are parts of a timeline: --trace FILE is "
                     "wanted too");
    finish_untrained(state, options);
    finish_checkpoints(state, options);
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
    case KEY_TRACE_NODES:
        rg_cli_trace_nodes(state, argument, &options->part);
        break;
    case KEY_TRACE_WINDOW:
        rg_cli_trace_window(state, argument, &options->part);
        break;
    case KEY_SAVE:
        set_once(state, "save", &options->save, argument);
        break;
    case KEY_SAVE_BEST:
        set_once(state, "save-best", &options->save_best, argument);
        break;
    case KEY_LOAD:
        set_once(state, "load", &options->load, argument);
        break;
    case KEY_EVALUATE:
        options->evaluate = true;
        break;
    case KEY_PREDICT:
        set_once(state, "predict", &options->predict, argument);
        break;
    case KEY_OUT:
        set_once(state, "out", &options->out, argument);
        break;
    case KEY_CHECKPOINT:
        set_once(state, "checkpoint", &options->checkpoint, argument);
        break;
    case KEY_EVERY:
        set_every(state, &options->every, argument);
        break;
    case KEY_RESUME_FROM:
        set_once(state, "resume-from", &options->resume_from, argument);
        break;
    case KEY_LOSE:
        append(state, &options->sets, &options->set_count, lose_setting(state, argument));
        break;
    case KEY_REPLAY:
        set_once(state, "replay", &options->replay, argument);
        break;
    case KEY_DATA:
        set_once(state, "data", &options->data, argument);
        break;
    case KEY_TIMEOUT:
        set_timeout(state, options, argument);
        break;
    case KEY_LIST:
        options->show = rg_cli_list;
        break;
    case KEY_SCHEMA:
        options->show = rg_schema_write;
        break;
    case KEY_RESULT_SCHEMA:
        options->show = rg_result_schema;
        break;
    case KEY_RESULT_FIELDS:
        options->show = rg_result_reference;
        break;
    case KEY_CHECK:
        options->check = true;
        break;
    case KEY_CLASSES:
        options->classes = true;
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

/* The help of --set names every key. */
static char *tell_keys(int key, const char *text, void *input)
{
    char keys[RG_SETTING_KEYS], *whole;
    (void)input;
    if (key != KEY_SET)
        return (char *)text;
    rg_setting_keys(keys);
    return asprintf(&whole, "%s: %s", text, keys) < 0 ? (char *)text : whole;
}

const struct argp rg_cli_argp = {
    .options = option_table, .parser = parse_option, .help_filter = tell_keys};

void rg_cli_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    argp_err_exit_status = RG_EXIT_USAGE;
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

/* ---- exit status ---- */
