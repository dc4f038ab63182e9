/* --set KEY=VALUE, and points of a sweep, on a loaded scenario. */
#include "scenario/scenario.h"

#include "base/check.h"
#include "scenario/limits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char rg_scenario_keys[] = "nodes batch epochs iterations samples test seed numerics overlap "
                                "threads platform network optimizer learning-rate momentum clock "
                                "link-rate key-byte-s jitter accuracy";

static int complain(const struct rg_scenario *s, struct rg_error *e, const char *assignment,
                    const char *why)
{
    return rg_scenario_fail(s, 0, e, "%.120s: %s", assignment, why);
}

static int replace(char **text, const char *value, struct rg_error *e)
{
    char *copy = strdup(value);
    if (!copy)
        return rg_fail(e, RG_ERR_NOMEM, "--set: out of memory");
    free(*text);
    *text = copy;
    return 0;
}

static void apply_number(struct rg_scenario *s, const char *key, double value)
{
    struct rg_training *t = &s->training;
    if (strcmp(key, "nodes") == 0) {
        s->nodes = (int)value;
    } else if (strcmp(key, "batch") == 0) {
        t->batch = (int)value;
        s->lines.batch = 0;
    } else if (strcmp(key, "epochs") == 0) {
        t->epochs = (int)value;
        t->iterations = 0;
        s->lines.iterations = 0;
    } else if (strcmp(key, "iterations") == 0) {
        t->iterations = (long)value;
        t->epochs = 0;
        s->lines.iterations = 0;
    } else if (strcmp(key, "samples") == 0) {
        s->data.train = (int)value;
    } else if (strcmp(key, "test") == 0) {
        s->data.test = (int)value;
    } else if (strcmp(key, "seed") == 0) {
        s->seed = s->data.seed = (uint64_t)value;
    } else if (strcmp(key, "threads") == 0) {
        t->threads = (int)value;
        s->lines.threads = 0;
    } else if (strcmp(key, "clock") == 0) {
        t->clock = value;
        s->lines.clock = 0;
        s->clock_count = 0; /* all boards */
    } else if (strcmp(key, "link-rate") == 0) {
        t->link_rate = value;
    } else if (strcmp(key, "key-byte-s") == 0) {
        t->key_byte_s = value;
    } else if (strcmp(key, "jitter") == 0) {
        s->faults.spread = value;
    } else if (strcmp(key, "momentum") == 0) {
        t->optimizer.momentum = (float)value;
    } else if (strcmp(key, "accuracy") == 0) {
        s->stop_accuracy = value;
        s->lines.stop = 0;
    } else {
        t->optimizer.rate = (float)value;
    }
}

static int set_numerics(struct rg_scenario *s, const char *assignment, const char *value,
                        struct rg_error *e)
{
    int real = rg_text_index(RG_NUMERICS_WORDS, value);
    if (real < 0)
        return complain(s, e, assignment, "real and skip are allowed");
    s->training.numerics = real;
    if (!real) /* no accuracy to stop at: the override asks for time only */
        s->stop_accuracy = NAN;
    return 0;
}

/* With the momentum and the like that its kind has by default. */
static int set_optimizer(struct rg_scenario *s, const char *assignment, const char *value,
                         struct rg_error *e)
{
    struct rg_optimizer *optimizer = &s->training.optimizer;
    int kind = rg_text_index(RG_OPTIMIZER_WORDS, value);
    if (kind < 0) {
        char allowed[80];
        rg_text_allowed(RG_OPTIMIZER_WORDS, value, allowed, sizeof allowed);
        return complain(s, e, assignment, allowed);
    }
    if ((int)optimizer->kind != kind)
        *optimizer = rg_optimizer_make((enum rg_optimizer_kind)kind, optimizer->rate);
    return 0;
}

/* Why a number, good by itself, is none for this scenario; NULL: it is. */
static const char *refusal_of(const struct rg_scenario *s, const char *key)
{
    if (strcmp(key, "momentum") == 0 && s->training.optimizer.kind != RG_MOMENTUM)
        return "only optimizer=\"momentum\" has it";
    if (strcmp(key, "accuracy") == 0 && !s->training.numerics)
        return "numerics are skipped, numerics=real is needed";
    return NULL;
}

/* A scenario-wide key, known to be one. */
static int set_key(struct rg_scenario *s, const char *assignment, const char *key,
                   const char *value, struct rg_error *e)
{
    const struct rg_limit *limit = rg_scenario_limit(key);
    if (limit) {
        struct rg_error why = {0};
        double number;
        if (rg_text_number(value, limit, &number, &why) < 0)
            return complain(s, e, assignment, why.text);
        const char *refusal = refusal_of(s, key);
        if (refusal)
            return complain(s, e, assignment, refusal);
        apply_number(s, key, number);
        return 0;
    }
    if (strcmp(key, "numerics") == 0)
        return set_numerics(s, assignment, value, e);
    if (strcmp(key, "optimizer") == 0)
        return set_optimizer(s, assignment, value, e);
    if (value[0] == '\0')
        return complain(s, e, assignment, "a value is wanted after the =");
    if (strcmp(key, "overlap") == 0)
        return replace(&s->overlap, value, e);
    bool platform = strcmp(key, "platform") == 0;
    *(platform ? &s->platform_line : &s->network_line) = 0;
    return replace(platform ? &s->platform_file : &s->network_file, value, e);
}

/* LABEL.PARAM: judged later against the strategy's own table, as an attribute would be. */
static int set_attribute(struct rg_scenario *s, const char *assignment, const char *label,
                         const char *name, const char *value, struct rg_error *e)
{
    struct rg_strategy_spec *spec = NULL;
    char labels[320] = "", allowed[360], why[400];
    for (int i = 0; i < s->strategy_count; i++) {
        size_t used = strlen(labels);
        if (strcmp(s->strategies[i].label, label) == 0)
            spec = &s->strategies[i];
        if (used + strlen(s->strategies[i].label) + 2 < sizeof labels)
            snprintf(labels + used, sizeof labels - used, "%s|", s->strategies[i].label);
    }
    if (!spec) {
        rg_text_allowed(labels, label, allowed, sizeof allowed);
        snprintf(why, sizeof why, "no strategy is labelled so; %s", allowed);
        return complain(s, e, assignment, why);
    }
    if (strcmp(name, "label") == 0 || strcmp(name, "kind") == 0 || name[0] == '\0')
        return complain(s, e, assignment, "parameters of the strategy are allowed after the dot");
    for (int i = 0; i < spec->count; i++)
        if (strcmp(spec->attributes[i].key, name) == 0) {
            spec->attributes[i].line = 0;
            return replace(&spec->attributes[i].value, value, e);
        }
    struct rg_attribute added = {strdup(name), strdup(value), 0};
    struct rg_attribute *attributes =
        realloc(spec->attributes, (size_t)(spec->count + 1) * sizeof *attributes);
    if (attributes)
        spec->attributes = attributes;
    if (!attributes || !added.key || !added.value) {
        free(added.key);
        free(added.value);
        return rg_fail(e, RG_ERR_NOMEM, "--set: out of memory");
    }
    spec->attributes[spec->count++] = added;
    return 0;
}

static int assign(struct rg_scenario *s, const char *assignment, struct rg_error *e)
{
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment)
        return complain(s, e, assignment, "KEY=VALUE is wanted");
    char *key = strndup(assignment, (size_t)(equals - assignment));
    if (!key)
        return rg_fail(e, RG_ERR_NOMEM, "--set: out of memory");
    char *dot = strchr(key, '.');
    int err;
    if (dot) {
        *dot = '\0';
        err = set_attribute(s, assignment, key, dot + 1, equals + 1, e);
    } else if (rg_text_index(rg_scenario_keys, key) < 0) {
        char words[sizeof rg_scenario_keys + 16], allowed[300], why[360];
        snprintf(words, sizeof words, "%s LABEL.PARAM", rg_scenario_keys);
        rg_text_allowed(words, key, allowed, sizeof allowed);
        snprintf(why, sizeof why, "unknown key: %s", allowed);
        err = complain(s, e, assignment, why);
    } else {
        err = set_key(s, assignment, key, equals + 1, e);
    }
    free(key);
    return err;
}

int rg_scenario_set(struct rg_scenario *s, const char *assignment, struct rg_error *e)
{
    int err = assign(s, assignment, e);
    if (err)
        return err;
    char *key = strndup(assignment, strcspn(assignment, "="));
    if (!key)
        return rg_fail(e, RG_ERR_NOMEM, "--set: out of memory");
    rg_sweep_drop(s, key);
    free(key);
    return 0;
}

int rg_scenario_apply(struct rg_scenario *s, const struct rg_setting *point, int count,
                      struct rg_error *e)
{
    int err = 0;
    s->point = point;
    s->point_count = count;
    for (int i = 0; i < count && err == 0; i++) {
        bool file = strcmp(point[i].key, "platform") == 0 || strcmp(point[i].key, "network") == 0;
        char *path = file ? rg_text_beside(s->file, point[i].value) : NULL, *text = NULL;
        if ((file && !path) ||
            asprintf(&text, "%s=%s", point[i].key, file ? path : point[i].value) < 0)
            err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", s->file);
        else
            err = assign(s, text, e);
        free(path);
        free(text);
    }
    return err;
}
