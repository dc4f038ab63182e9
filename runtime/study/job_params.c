/* The parameters of a job's strategy: from text to values, and back.
 *
 * Failure modes handled: parameters that do not exist and values that are not allowed (each with
 * the line that says it and what is allowed), no memory. */
#include "study/job_parts.h"

#include "base/check.h"
#include "scenario/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct rg_type rg_job_param_type(const struct rg_param *param)
{
    if (param->type == RG_PARAM_CHOICE || param->type == RG_PARAM_WORDS)
        return (struct rg_type){.kind = RG_TYPE_WORD, .words = param->choices};
    const struct rg_limit limit = {param->type != RG_PARAM_REAL, false, param->min, param->max};
    return (struct rg_type){.kind = RG_TYPE_NUMBER, .limit = limit};
}

/* A fallback that is no number or list: "auto", "balanced". */
static bool is_word(const struct rg_param *param)
{
    return param->type != RG_PARAM_CHOICE && param->type != RG_PARAM_WORDS && param->fallback &&
           !(param->fallback[0] >= '0' && param->fallback[0] <= '9');
}

/* Is the text a word that leaves the value to `check`? */
static bool is_automatic(const struct rg_param *param, const char *text)
{
    bool other =
        param->type == RG_PARAM_COUNT && param->choices && rg_text_index(param->choices, text) >= 0;
    return other || (is_word(param) && strcmp(text, param->fallback) == 0);
}

/* "1 to 64 are allowed, or auto" */
static void allow_word(const struct rg_param *param, struct rg_error *why)
{
    size_t used = strlen(why->text);
    if (is_word(param))
        used += (size_t)snprintf(why->text + used, sizeof why->text - used, ", or %s",
                                 param->type == RG_PARAM_LIST && param->choices ? param->choices
                                                                                : param->fallback);
    if (param->type == RG_PARAM_COUNT && param->choices && used < sizeof why->text)
        snprintf(why->text + used, sizeof why->text - used, "|%s", param->choices);
}

static int parse_list(const struct rg_param *param, const char *text, struct rg_value *value,
                      struct rg_error *why)
{
    static const struct rg_limit limit = {.whole = true, .min = 0, .max = 1 << 24};
    size_t room = 1;
    double number;
    for (const char *p = text; *p; p++)
        room += *p == ',';
    char *copy = strdup(text), *rest = copy;
    value->list = calloc(room, sizeof *value->list);
    int err = copy && value->list ? 0 : rg_fail(why, RG_ERR_NOMEM, "out of memory");
    while (rest && err == 0) {
        err = rg_text_number(strsep(&rest, ","), &limit, &number, why);
        if (err == 0)
            value->list[value->number++] = (int)number;
        else
            rg_fail(why, err, "whole numbers separated by commas are allowed, as in 4,4,3");
    }
    if (err)
        allow_word(param, why);
    free(copy);
    return err;
}

/* "a b" or "a,b". */
static int parse_words(const struct rg_param *param, const char *text, struct rg_value *value,
                       struct rg_error *why)
{
    const struct rg_type type = rg_job_param_type(param);
    if (strcmp(text, param->fallback) == 0)
        return 0;
    char *copy = strdup(text), *rest = copy;
    value->list = calloc(strlen(text) + 1, sizeof *value->list);
    int err = copy && value->list ? 0 : rg_fail(why, RG_ERR_NOMEM, "out of memory");
    while (rest && err == 0) {
        const char *word = strsep(&rest, " ,");
        double index = 0;
        if (word[0] == '\0' && (rest || value->number > 0))
            continue;
        err = rg_type_read(&type, word, &index, why);
        for (long i = 0; i < value->number && err == 0; i++)
            if (value->list[i] == (int)index)
                err = rg_fail(why, RG_ERR_INVALID, "%s stands there twice: once is allowed", word);
        if (err == 0)
            value->list[value->number++] = (int)index;
    }
    size_t used = strlen(why->text);
    if (err == RG_ERR_INVALID)
        snprintf(why->text + used, sizeof why->text - used, ", or %s", param->fallback);
    free(copy);
    return err;
}

int rg_job_parse_value(const struct rg_param *param, const char *text, struct rg_value *value,
                       struct rg_error *why)
{
    *value = (struct rg_value){.text = text, .real = NAN};
    if (param->type == RG_PARAM_WORDS)
        return parse_words(param, text, value, why);
    if (is_automatic(param, text)) {
        value->automatic = true;
        return 0;
    }
    int word =
        param->type == RG_PARAM_LIST && param->choices ? rg_text_index(param->choices, text) : -1;
    if (word >= 0) {
        value->automatic = true;
        value->word = word;
        return 0;
    }
    if (param->type == RG_PARAM_LIST)
        return parse_list(param, text, value, why);
    const struct rg_type type = rg_job_param_type(param);
    double number = 0;
    int err = rg_type_read(&type, text, &number, why);
    if (err)
        allow_word(param, why);
    if (param->type == RG_PARAM_REAL)
        value->real = number;
    else
        value->number = (long)number;
    return err;
}

int rg_job_param_index(const struct rg_strategy *strategy, const char *name)
{
    for (int i = 0; strategy->params[i].name; i++)
        if (strcmp(strategy->params[i].name, name) == 0)
            return i;
    return -1;
}

int rg_job_set_defaults(struct rg_job *job, struct rg_error *e)
{
    const struct rg_param *params = job->strategy->params;
    for (int i = 0; params[i].name; i++) {
        struct rg_error why = {0};
        RG_ASSERT(i < RG_PARAMS_MAX);
        if (rg_job_parse_value(&params[i], params[i].fallback, &job->values[i], &why) < 0)
            return rg_fail(e, RG_ERR_INTERNAL, "%s: default of %s: %.300s", job->strategy->name,
                           params[i].name, why.text);
    }
    return 0;
}

/* What a complaint about a parameter of this strategy begins with goes through here. */
int rg_job_fail_attribute(const struct rg_scenario *s, const struct rg_strategy_spec *spec,
                          const struct rg_attribute *a, struct rg_error *e, const char *why)
{
    if (a->line > 0)
        return rg_scenario_fail(s, a->line, e, "%.40s=\"%.60s\" of strategy \"%s\": %s", a->key,
                                a->value, spec->label, why);
    return rg_scenario_fail(s, 0, e, "%s.%.40s=%.60s: %s", spec->label, a->key, a->value, why);
}

static int fail_unknown(const struct rg_scenario *s, const struct rg_strategy_spec *spec,
                        const struct rg_strategy *strategy, const struct rg_attribute *a,
                        struct rg_error *e)
{
    char words[240], allowed[300], why[400];
    snprintf(words, sizeof words, "%snodes", a->line > 0 ? "label kind " : "");
    for (int i = 0; strategy->params[i].name; i++) {
        size_t used = strlen(words);
        snprintf(words + used, sizeof words - used, " %s", strategy->params[i].name);
    }
    rg_text_allowed(words, a->key, allowed, sizeof allowed);
    snprintf(why, sizeof why, "%s has no such parameter: %s", strategy->name, allowed);
    return rg_job_fail_attribute(s, spec, a, e, why);
}

int rg_job_set_value(struct rg_job *job, const struct rg_scenario *s,
                     const struct rg_strategy_spec *spec, const struct rg_attribute *a,
                     struct rg_error *e)
{
    int i = rg_job_param_index(job->strategy, a->key);
    struct rg_error why = {0};
    if (i < 0)
        return fail_unknown(s, spec, job->strategy, a, e);
    free(job->values[i].list);
    if (rg_job_parse_value(&job->strategy->params[i], a->value, &job->values[i], &why) == 0)
        return 0;
    return why.code == RG_ERR_NOMEM ? rg_fail(e, RG_ERR_NOMEM, "%s", why.text)
                                    : rg_job_fail_attribute(s, spec, a, e, why.text);
}

/* --set overlap, unless --set LABEL.overlap is more precise. */
int rg_job_set_overlap(struct rg_job *job, const struct rg_scenario *s,
                       const struct rg_strategy_spec *spec, struct rg_error *e)
{
    int i = s->overlap ? rg_job_param_index(job->strategy, "overlap") : -1;
    struct rg_error why = {0};
    if (i < 0)
        return 0;
    for (int k = 0; k < spec->count; k++)
        if (strcmp(spec->attributes[k].key, "overlap") == 0 && spec->attributes[k].line == 0)
            return 0;
    free(job->values[i].list);
    if (rg_job_parse_value(&job->strategy->params[i], s->overlap, &job->values[i], &why) == 0)
        return 0;
    return rg_scenario_fail(s, 0, e, "overlap=%.60s: %s", s->overlap, why.text);
}

/* Of a LIST its numbers, of WORDS these. */
static char *list_text(const struct rg_param *param, const struct rg_value *value)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    for (long i = 0; i < value->number; i++) {
        int length = 0;
        const char *word = param->type == RG_PARAM_WORDS
                               ? rg_text_word(param->choices, value->list[i], &length)
                               : NULL;
        if (word)
            fprintf(stream, "%s%.*s", i ? "," : "", length, word);
        else
            fprintf(stream, i ? ",%d" : "%d", value->list[i]);
    }
    if (fclose(stream) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

char *rg_job_param_text(const struct rg_job *job, int i)
{
    const struct rg_param *param = &job->strategy->params[i];
    const struct rg_value *value = &job->values[i];
    char *text = NULL;
    int length;
    bool list = param->type == RG_PARAM_LIST || param->type == RG_PARAM_WORDS;
    if (list && value->list && value->number > 0)
        return list_text(param, value);
    if (param->type == RG_PARAM_CHOICE) {
        const char *word = rg_text_word(param->choices, (int)value->number, &length);
        return strndup(word ? word : "?", word ? (size_t)length : 1);
    }
    bool real = param->type == RG_PARAM_REAL;
    if (list || (real ? isnan(value->real) : value->automatic && value->number < param->min))
        return strdup(value->text); /* `check` left it open */
    if (real) {
        char shortest[40];
        rg_text_shortest(value->real, shortest, sizeof shortest);
        return strdup(shortest);
    }
    return asprintf(&text, "%ld", value->number) < 0 ? NULL : text;
}
