/* From a scenario to its jobs.
 *
 * Happy path: read the scenario, apply --set, seal it, read platform and network, look at the data,
 * make a job of every strategy. Failure modes handled: whatever of these contradicts another is
 * refused with the line that says it. */
#include "job.h"

#include "base/check.h"
#include "result/human.h"
#include "scenario/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- parameters of a strategy ---- */

/* A fallback that is no number or list: "auto", "balanced". */
static bool is_word(const struct rg_param *param)
{
    return param->type != RG_PARAM_CHOICE && param->fallback &&
           !(param->fallback[0] >= '0' && param->fallback[0] <= '9');
}

/* "1 to 64 are allowed, or auto" */
static void allow_word(const struct rg_param *param, struct rg_error *why)
{
    size_t used = strlen(why->text);
    if (is_word(param))
        snprintf(why->text + used, sizeof why->text - used, ", or %s", param->fallback);
}

static int parse_count(const struct rg_param *param, const char *text, struct rg_value *value,
                       struct rg_error *why)
{
    const struct rg_limit limit = {.whole = true, .min = param->min, .max = param->max};
    double number;
    int err = rg_text_number(text, &limit, &number, why);
    if (err) {
        allow_word(param, why);
        return err;
    }
    value->number = (long)number;
    return 0;
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

/* On failure *why says what is allowed. */
static int parse_value(const struct rg_param *param, const char *text, struct rg_value *value,
                       struct rg_error *why)
{
    *value = (struct rg_value){.text = text};
    if (is_word(param) && strcmp(text, param->fallback) == 0) {
        value->automatic = true;
        return 0;
    }
    if (param->type == RG_PARAM_COUNT)
        return parse_count(param, text, value, why);
    if (param->type == RG_PARAM_LIST)
        return parse_list(param, text, value, why);
    value->number = rg_text_index(param->choices, text);
    if (value->number >= 0)
        return 0;
    value->number = 0;
    char allowed[300];
    rg_text_allowed(param->choices, text, allowed, sizeof allowed);
    return rg_fail(why, RG_ERR_INVALID, "%s", allowed);
}

static int param_index(const struct rg_strategy *strategy, const char *name)
{
    for (int i = 0; strategy->params[i].name; i++)
        if (strcmp(strategy->params[i].name, name) == 0)
            return i;
    return -1;
}

static int set_defaults(struct rg_job *job, struct rg_error *e)
{
    const struct rg_param *params = job->strategy->params;
    for (int i = 0; params[i].name; i++) {
        struct rg_error why = {0};
        RG_ASSERT(i < RG_PARAMS_MAX);
        if (parse_value(&params[i], params[i].fallback, &job->values[i], &why) < 0)
            return rg_fail(e, RG_ERR_INTERNAL, "%s: default of %s: %.300s", job->strategy->name,
                           params[i].name, why.text);
    }
    return 0;
}

/* What a complaint about a parameter of this strategy begins with goes through here. */
static int fail_attribute(const struct rg_scenario *s, const struct rg_strategy_spec *spec,
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
    return fail_attribute(s, spec, a, e, why);
}

static int set_value(struct rg_job *job, const struct rg_scenario *s,
                     const struct rg_strategy_spec *spec, const struct rg_attribute *a,
                     struct rg_error *e)
{
    int i = param_index(job->strategy, a->key);
    struct rg_error why = {0};
    if (i < 0)
        return fail_unknown(s, spec, job->strategy, a, e);
    free(job->values[i].list);
    if (parse_value(&job->strategy->params[i], a->value, &job->values[i], &why) == 0)
        return 0;
    return why.code == RG_ERR_NOMEM ? rg_fail(e, RG_ERR_NOMEM, "%s", why.text)
                                    : fail_attribute(s, spec, a, e, why.text);
}

/* --set overlap, unless --set LABEL.overlap is more precise. */
static int set_overlap(struct rg_job *job, const struct rg_scenario *s,
                       const struct rg_strategy_spec *spec, struct rg_error *e)
{
    int i = s->overlap ? param_index(job->strategy, "overlap") : -1;
    struct rg_error why = {0};
    if (i < 0)
        return 0;
    for (int k = 0; k < spec->count; k++)
        if (strcmp(spec->attributes[k].key, "overlap") == 0 && spec->attributes[k].line == 0)
            return 0;
    free(job->values[i].list);
    if (parse_value(&job->strategy->params[i], s->overlap, &job->values[i], &why) == 0)
        return 0;
    return rg_scenario_fail(s, 0, e, "overlap=%.60s: %s", s->overlap, why.text);
}

/* ---- nodes ---- */

static int fail_nodes(const struct rg_study *study, const struct rg_strategy_spec *spec,
                      const struct rg_attribute *a, const char *value, struct rg_error *e)
{
    char why[120];
    snprintf(why, sizeof why, "the platform has %d host%s: 1 to %d are allowed",
             study->platform.count, study->platform.count == 1 ? "" : "s", study->platform.count);
    if (a)
        return fail_attribute(&study->scenario, spec, a, e, why);
    return rg_scenario_fail(&study->scenario, 0, e, "nodes=%s: %s", value, why);
}

/* --set LABEL.nodes before --set nodes before the attribute; none: every host. Too few for the
 * strategy: noted in *refusal, or, where that is NULL, an error. */
static int set_nodes(const struct rg_study *study, const struct rg_strategy_spec *spec,
                     struct rg_job *job, struct rg_error *refusal, struct rg_error *e)
{
    const struct rg_limit limit = {.whole = true, .min = 1, .max = study->platform.count};
    const struct rg_attribute *given = NULL;
    char text[24];
    double number = study->platform.count;
    for (int i = 0; i < spec->count; i++)
        if (strcmp(spec->attributes[i].key, "nodes") == 0)
            given = &spec->attributes[i];
    if (study->scenario.nodes > 0 && !(given && given->line == 0))
        given = NULL;
    snprintf(text, sizeof text, "%d", study->scenario.nodes);
    const char *value = given ? given->value : study->scenario.nodes > 0 ? text : NULL;
    if (value && rg_text_number(value, &limit, &number, NULL) < 0)
        return fail_nodes(study, spec, given, value, e);
    job->nodes = (int)number;
    job->nodes_given = value != NULL;
    if (job->nodes >= job->strategy->min_nodes)
        return 0;
    if (refusal) {
        job->refused = true;
        rg_fail(refusal, RG_ERR_INVALID, "%s needs at least %d nodes, there are %d",
                job->strategy->name, job->strategy->min_nodes, job->nodes);
        return 0;
    }
    char set[24] = "";
    int line = given ? given->line : value ? 0 : spec->line;
    if (line == 0)
        snprintf(set, sizeof set, "nodes=%d: ", job->nodes);
    return rg_scenario_fail(&study->scenario, line, e,
                            "%sstrategy \"%s\": %s needs at least %d nodes, there are %d", set,
                            spec->label, job->strategy->name, job->strategy->min_nodes, job->nodes);
}

/* ---- jobs ---- */

static const struct rg_strategy *find_kind(const struct rg_study *study,
                                           const struct rg_strategy_spec *spec, struct rg_error *e)
{
    const struct rg_strategy *strategy = rg_strategy_named(spec->kind);
    if (strategy)
        return strategy;
    char words[300] = "", allowed[360];
    for (int i = 0; rg_strategies[i]; i++) {
        size_t used = strlen(words);
        snprintf(words + used, sizeof words - used, "%s ", rg_strategies[i]->name);
    }
    rg_text_allowed(words, spec->kind, allowed, sizeof allowed);
    rg_scenario_fail(&study->scenario, spec->line, e, "kind=\"%.40s\" of strategy \"%s\": %s",
                     spec->kind, spec->label, allowed);
    return NULL;
}

/* refusal: where to note that the job cannot run; NULL: that is an error. */
static int make_job(struct rg_study *study, const struct rg_strategy_spec *spec, struct rg_job *job,
                    struct rg_error *refusal, struct rg_error *e)
{
    const struct rg_scenario *s = &study->scenario;
    const struct rg_training *t = &s->training;
    const struct rg_strategy *strategy = find_kind(study, spec, e);
    if (!strategy)
        return RG_ERR_INVALID;
    long epoch = RG_MAX(study->data.train / t->batch, 1);
    *job = (struct rg_job){.strategy = strategy,
                           .label = spec->label,
                           .boards = study->platform.boards,
                           .network = &study->network,
                           .data = &study->data,
                           .optimizer = t->optimizer,
                           .batch = t->batch,
                           .threads = t->threads,
                           .iterations = t->iterations ? t->iterations : t->epochs * epoch,
                           .iterations_per_epoch = epoch,
                           .seed = s->seed,
                           .numerics = t->numerics};
    int err = set_defaults(job, e);
    bool own_nodes = param_index(strategy, "nodes") >= 0;
    for (int i = 0; i < spec->count && err == 0; i++)
        if (own_nodes || strcmp(spec->attributes[i].key, "nodes") != 0)
            err = set_value(job, s, spec, &spec->attributes[i], e);
    if (err || (err = set_overlap(job, s, spec, e)) ||
        (err = set_nodes(study, spec, job, refusal, e)) || job->refused)
        return err;
    struct rg_error why = {0};
    if ((err = strategy->check(job, &why)) == 0)
        return 0;
    if (err == RG_ERR_NOMEM)
        return rg_fail(e, err, "%s: out of memory", s->file);
    if (refusal) {
        job->refused = true;
        *refusal = why;
        return 0;
    }
    return rg_scenario_fail(s, spec->line, e, "strategy \"%s\": %.380s", spec->label, why.text);
}

static int make_jobs(struct rg_study *study, bool may_refuse, struct rg_error *e)
{
    const struct rg_scenario *s = &study->scenario;
    int err = 0, overlapping = 0;
    study->jobs = calloc((size_t)s->strategy_count, sizeof *study->jobs); /* plans point to them */
    study->refusals = calloc((size_t)s->strategy_count, sizeof *study->refusals);
    if (!study->jobs || !study->refusals)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", s->file);
    while (study->job_count < s->strategy_count && err == 0) {
        int i = study->job_count++;
        const struct rg_strategy_spec *spec = &s->strategies[i];
        err = make_job(study, spec, &study->jobs[i], may_refuse ? &study->refusals[i] : NULL, e);
        if (err == 0)
            overlapping += param_index(study->jobs[study->job_count - 1].strategy, "overlap") >= 0;
    }
    if (err == 0 && s->overlap && overlapping == 0 && !may_refuse)
        err = rg_scenario_fail(s, 0, e, "overlap=%.60s: no strategy here has that parameter",
                               s->overlap);
    return err;
}

/* ---- the files against one another ---- */

static size_t floats(struct rg_shape shape)
{
    return (size_t)shape.channels * (size_t)shape.height * (size_t)shape.width;
}

static int check_shapes(const struct rg_study *study, struct rg_error *e)
{
    const struct rg_scenario *s = &study->scenario;
    const struct rg_network *network = &study->network;
    size_t inputs = floats(network->input);
    if (inputs != study->data.inputs)
        return rg_scenario_fail(s, s->network_line, e,
                                "network %.160s takes %zu inputs, a sample of the data (line %d) "
                                "has %zu: they must be equal",
                                network->file, inputs, s->data.line, study->data.inputs);
    if (network->classes != study->data.classes) {
        rg_fail_at(e, network->file, network->layers[network->layer_count - 1].spec.line,
                   "the last layer has %d outputs, the data at %.160s:%d has %d classes: they must "
                   "be equal",
                   network->classes, s->file, s->data.line, study->data.classes);
        return RG_ERR_INVALID;
    }
    return 0;
}

static int check_training(const struct rg_study *study, struct rg_error *e)
{
    const struct rg_scenario *s = &study->scenario;
    const struct rg_training *t = &s->training;
    if (t->batch > study->data.train)
        return rg_scenario_fail(s, s->lines.batch, e,
                                "batch=\"%d\": there are %d training samples, 1 to %d are allowed",
                                t->batch, study->data.train, study->data.train);
    for (int i = 0; i < study->platform.count; i++)
        if (t->threads > study->platform.boards[i]->cores)
            return rg_scenario_fail(
                s, s->lines.threads, e,
                "threads=\"%d\": host %.60s (%s) has %d core%s, 1 to %d are allowed", t->threads,
                study->platform.names[i], study->platform.boards[i]->name,
                study->platform.boards[i]->cores, study->platform.boards[i]->cores == 1 ? "" : "s",
                study->platform.boards[i]->cores);
    return 0;
}

/* Clocks and rates of the scenario, put upon the platform's boards. */
static int set_boards(struct rg_study *study, struct rg_error *e)
{
    const struct rg_scenario *s = &study->scenario;
    struct rg_platform *platform = &study->platform;
    struct rg_error why = {0};
    int err = 0;
    rg_platform_scale_ports(platform, s->training.link_rate);
    rg_platform_slow_bytes(platform, s->training.key_byte_s);
    if (s->training.clock > 0)
        err = rg_platform_set_clock(platform, 0, platform->count - 1, s->training.clock, &why);
    if (err)
        return rg_scenario_fail(s, s->lines.clock, e, "clock=\"%.6g\": %.400s", s->training.clock,
                                why.text);
    for (int i = 0; i < s->clock_count; i++) {
        const struct rg_clock_group *group = &s->clocks[i];
        if (group->last >= platform->count)
            return rg_scenario_fail(s, group->line, e,
                                    "nodes of <clock>: rank %d of a platform of %d hosts; 0 to %d "
                                    "are allowed",
                                    group->last, platform->count, platform->count - 1);
        err = rg_platform_set_clock(platform, group->first, group->last, group->hz, &why);
        if (err)
            return rg_scenario_fail(s, group->line, e, "hz=\"%.6g\" of <clock>: %.400s", group->hz,
                                    why.text);
    }
    return rg_scenario_check_faults(s, platform->count, e);
}

static void free_spec(struct rg_strategy_spec *spec)
{
    for (int i = 0; i < spec->count; i++) {
        free(spec->attributes[i].key);
        free(spec->attributes[i].value);
    }
    free(spec->attributes);
    free(spec->label);
    free(spec->kind);
}

/* Keep the strategies named; what is left is what the digest is about. */
int rg_study_select(struct rg_scenario *s, char *const *labels, int label_count, struct rg_error *e)
{
    char words[320] = "", allowed[360];
    int kept = 0;
    for (int i = 0; i < s->strategy_count; i++) {
        size_t used = strlen(words);
        if (used + strlen(s->strategies[i].label) + 2 < sizeof words)
            snprintf(words + used, sizeof words - used, "%s|", s->strategies[i].label);
    }
    for (int k = 0; k < label_count; k++) {
        bool found = false;
        for (int i = 0; i < s->strategy_count; i++)
            found = found || strcmp(s->strategies[i].label, labels[k]) == 0;
        if (!found) {
            rg_text_allowed(words, labels[k], allowed, sizeof allowed);
            rg_fail(e, RG_ERR_INVALID, "--strategy %.64s: %s", labels[k], allowed);
            if (e)
                rg_one_line(e->text);
            return RG_ERR_INVALID;
        }
    }
    for (int i = 0; i < s->strategy_count; i++) {
        bool wanted = label_count == 0;
        for (int k = 0; k < label_count; k++)
            wanted = wanted || strcmp(s->strategies[i].label, labels[k]) == 0;
        if (wanted)
            s->strategies[kept++] = s->strategies[i];
        else
            free_spec(&s->strategies[i]);
    }
    s->strategy_count = kept;
    return 0;
}

bool rg_study_concerns(const char *key, const struct rg_strategy_spec *spec)
{
    const struct rg_strategy *strategy = rg_strategy_named(spec->kind);
    if (!rg_sweep_concerns(key, spec->label))
        return false;
    return strcmp(key, "overlap") != 0 || !strategy || param_index(strategy, key) >= 0;
}

/* What a study without points makes of sweeps of its strategies. */
static int refuse_sweeps(const struct rg_scenario *s, struct rg_error *e)
{
    for (int i = 0; i < s->sweep_count; i++) {
        const struct rg_sweep *sweep = &s->sweeps[i];
        bool concerns = false;
        for (int k = 0; k < s->strategy_count; k++)
            concerns = concerns || rg_study_concerns(sweep->key, &s->strategies[k]);
        if (concerns)
            return rg_scenario_fail(s, sweep->line, e,
                                    "<sweep key=\"%.80s\">: sweeps are simulated only, by ringsim; "
                                    "--set %.80s=%.40s takes one value of it",
                                    sweep->key, sweep->key,
                                    rg_sweep_is_multiple(sweep->values[0]) ? "VALUE"
                                                                           : sweep->values[0]);
    }
    return 0;
}

int rg_study_open_at(const struct rg_study_want *want, struct rg_study *study, struct rg_error *e)
{
    struct rg_scenario *s = &study->scenario;
    *study = (struct rg_study){0};
    int err = rg_scenario_load(want->file, s, e);
    for (int i = 0; i < want->set_count && err == 0; i++)
        err = rg_scenario_set(s, want->sets[i], e);
    if (err == 0 && want->at_point)
        err = rg_scenario_apply(s, want->point, want->point_count, e);
    if (err || (err = rg_study_select(s, want->labels, want->label_count, e)) ||
        (!want->at_point && (err = refuse_sweeps(s, e))) ||
        (err = rg_scenario_locate(s, want->data_folder, e)) || (err = rg_scenario_seal(s, e)) ||
        (err = rg_platform_load(s->platform_file, &study->platform, e)) ||
        (err = set_boards(study, e)) ||
        (err = rg_network_load(s->network_file, &study->network, e)) ||
        (err = rg_dataset_probe(&s->data, &study->data, e)) || (err = check_shapes(study, e)) ||
        (err = check_training(study, e)) || (err = make_jobs(study, want->at_point, e)))
        rg_study_close(study);
    if (err && e)
        rg_one_line(e->text);
    return err;
}

int rg_study_open_data(const char *file, const char *data_folder, char *const *sets, int set_count,
                       char *const *labels, int label_count, struct rg_study *study,
                       struct rg_error *e)
{
    const struct rg_study_want want = {.file = file,
                                       .data_folder = data_folder,
                                       .sets = sets,
                                       .set_count = set_count,
                                       .labels = labels,
                                       .label_count = label_count};
    return rg_study_open_at(&want, study, e);
}

int rg_study_open(const char *file, char *const *sets, int set_count, char *const *labels,
                  int label_count, struct rg_study *study, struct rg_error *e)
{
    return rg_study_open_data(file, NULL, sets, set_count, labels, label_count, study, e);
}

int rg_study_load_data(struct rg_study *study, struct rg_error *e)
{
    if (!study->scenario.training.numerics || study->data.x)
        return 0;
    return rg_dataset_load(&study->scenario.data, &study->data, e);
}

void rg_study_close(struct rg_study *study)
{
    for (int i = 0; i < study->job_count; i++) {
        struct rg_job *job = &study->jobs[i];
        if (job->strategy && job->strategy->forget)
            job->strategy->forget(job);
        for (int k = 0; k < RG_PARAMS_MAX; k++)
            free(job->values[k].list);
    }
    free(study->jobs);
    free(study->refusals);
    rg_dataset_free(&study->data);
    rg_network_free(&study->network);
    rg_platform_free(&study->platform);
    rg_scenario_free(&study->scenario);
    *study = (struct rg_study){0};
}

/* ---- one job ---- */

int rg_job_fits(const struct rg_job *job, struct rg_error *e)
{
    int worst = -1, short_of = 0;
    uint64_t most = 0;
    for (int rank = 0; rank < job->nodes; rank++) {
        uint64_t need = job->strategy->memory(job, rank), room = job->boards[rank]->memory_bytes;
        if (need <= room)
            continue;
        short_of++;
        if (worst < 0 || need - room > most) {
            worst = rank;
            most = need - room;
        }
    }
    if (worst < 0)
        return 0;
    char need[RG_HUMAN], room[RG_HUMAN], others[48] = "";
    rg_human_bytes((double)job->strategy->memory(job, worst), need);
    rg_human_bytes((double)job->boards[worst]->memory_bytes, room);
    if (short_of > 1)
        snprintf(others, sizeof others, "; %d of %d nodes are too small", short_of, job->nodes);
    return rg_fail(e, RG_ERR_NO_FIT, "node %d needs %s, its board (%s) has %s%s", worst, need,
                   job->boards[worst]->name, room, others);
}

static char *list_text(const struct rg_value *value)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    for (long i = 0; i < value->number; i++)
        fprintf(stream, i ? ",%d" : "%d", value->list[i]);
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
    if (param->type == RG_PARAM_LIST && value->list && value->number > 0)
        return list_text(value);
    if (param->type == RG_PARAM_CHOICE) {
        const char *word = rg_text_word(param->choices, (int)value->number, &length);
        return strndup(word ? word : "?", word ? (size_t)length : 1);
    }
    if (param->type == RG_PARAM_LIST || (value->automatic && value->number < param->min))
        return strdup(value->text); /* `check` left it open */
    return asprintf(&text, "%ld", value->number) < 0 ? NULL : text;
}

void rg_job_predict(const struct rg_job *job, struct rg_prediction *prediction)
{
    *prediction = (struct rg_prediction){0};
    job->strategy->predict(job, prediction);
    const struct rg_board *board = job->boards[0];
    if (!board->shared_medium)
        return;
    prediction->c_s = rg_board_wire_s(board, prediction->messages, prediction->payload_bytes);
    prediction->iteration_s = fmax(prediction->iteration_s, prediction->c_s);
}

void rg_job_describe(const struct rg_job *job, struct rg_run *run)
{
    snprintf(run->label, sizeof run->label, "%s", job->label);
    snprintf(run->kind, sizeof run->kind, "%s", job->strategy->name);
    run->nodes = job->nodes;
    run->numerics = job->numerics;
    for (int i = 0; job->strategy->params[i].name; i++) {
        char *text = rg_job_param_text(job, i);
        rg_run_param(run, job->strategy->params[i].name, text ? text : "?");
        free(text);
    }
    if (job->refused)
        return;
    struct rg_prediction p;
    rg_job_predict(job, &p);
    run->predicted.defined = true;
    run->predicted.overlap = p.overlap;
    run->predicted.T_A_s = p.T_A_s;
    run->predicted.c_s = p.c_s;
    run->predicted.iteration_s = p.iteration_s;
    run->predicted.messages = p.messages;
    run->predicted.values = p.values;
    run->predicted.payload_bytes = p.payload_bytes;
    run->predicted.memory_bytes = p.memory_bytes;
}
