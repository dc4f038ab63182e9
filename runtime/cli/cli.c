/* The command line that ringsim and ringnode share: its options and the exit status. What they
 * print is in cli_show.c, what they read and write in cli_files.c.
 *
 * Failure modes handled, each in one line and before anything runs: unknown options, values out of
 * range. */
#include "cli/cli.h"

#include "base/check.h"
#include "scenario/text.h"

#include <stdlib.h>
#include <string.h>

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
     "Override a scalar: nodes, batch, epochs, iterations, samples, test, seed, numerics, overlap, "
     "threads, platform, network, optimizer, learning-rate, momentum, clock, link-rate, "
     "key-byte-s, jitter, accuracy (of <stop>), or LABEL.PARAM (repeatable)",
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

int rg_cli_complain(const char *program, int error_code, const char *text)
{
    fprintf(stderr, "%s: %s\n", program, text);
    return rg_cli_exit_of(error_code);
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
