/* The runs of a scenario with sweeps.
 *
 * Happy path: load the scenario for its sweeps; count through their product like an odometer, the
 * last sweep fastest; at each point find the strategies for which it is new, open them there and
 * note what is known. Failure modes handled: whatever a point contradicts is refused with its line;
 * only that a strategy as such cannot run there is an "impossible" run. */
#include "study/sweep.h"

#include "base/check.h"
#include "base/digest.h"
#include "scenario/text.h"

#include <stdlib.h>
#include <string.h>

enum { VALUE = 400, MANY_NODES = 1 << 20 };

/* Texts that have been seen. */
struct seen {
    char **slots;
    size_t room, count;
};

struct planner {
    struct rg_sweep_plan *plan;
    struct rg_scenario
        scenario;          /* with --set applied, unselected strategies and their sweeps gone */
    int *at;               /* [sweeps]: index of the value */
    char (*values)[VALUE]; /* [sweeps]: resolved, for the strategy last looked at */
    struct seen seen;
    char **labels; /* [strategies]: those for which the point is new */
    int label_count;
    struct rg_digest *digest;
    char *platform; /* whose hosts are counted */
    int hosts;
    rg_look_fn look;
    void *arg;
};

static int no_memory(const struct planner *p, struct rg_error *e)
{
    return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", p->plan->want.file);
}

/* ---- what has been seen ---- */

static size_t hash(const char *text)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return (size_t)h;
}

static char **slot_of(const struct seen *seen, const char *text)
{
    size_t i = hash(text) & (seen->room - 1);
    while (seen->slots[i] && strcmp(seen->slots[i], text) != 0)
        i = (i + 1) & (seen->room - 1);
    return &seen->slots[i];
}

/* 1: it is new; 0: it is not; or RG_ERR_NOMEM. */
static int see(struct seen *seen, const char *text)
{
    if (2 * (seen->count + 1) > seen->room) {
        struct seen larger = {.room = seen->room ? 2 * seen->room : 256, .count = seen->count};
        larger.slots = calloc(larger.room, sizeof *larger.slots);
        if (!larger.slots)
            return RG_ERR_NOMEM;
        for (size_t i = 0; i < seen->room; i++)
            if (seen->slots[i])
                *slot_of(&larger, seen->slots[i]) = seen->slots[i];
        free(seen->slots);
        *seen = larger;
    }
    char **slot = slot_of(seen, text);
    if (*slot)
        return 0;
    *slot = strdup(text);
    seen->count++;
    return *slot ? 1 : RG_ERR_NOMEM;
}

static void free_seen(struct seen *seen)
{
    for (size_t i = 0; i < seen->room; i++)
        free(seen->slots[i]);
    free(seen->slots);
}

/* ---- values at a point ---- */

/* The value of a swept key here, unresolved; NULL: it is not swept. */
static const char *value_here(const struct planner *p, const char *key)
{
    for (int i = 0; i < p->scenario.sweep_count; i++)
        if (strcmp(p->scenario.sweeps[i].key, key) == 0)
            return p->scenario.sweeps[i].values[p->at[i]];
    return NULL;
}

/* How many hosts the platform of this point has. */
static int count_hosts(struct planner *p, int64_t *nodes, struct rg_error *e)
{
    struct rg_platform platform;
    const char *swept = value_here(p, "platform");
    char *path =
        swept ? rg_text_beside(p->scenario.file, swept) : strdup(p->scenario.platform_file);
    if (!path)
        return no_memory(p, e);
    if (!p->platform || strcmp(path, p->platform) != 0) {
        int err = rg_platform_load_as(path, p->scenario.board, &platform, e);
        if (err) {
            free(path);
            return err;
        }
        p->hosts = platform.count;
        rg_platform_free(&platform);
        free(p->platform);
        p->platform = path;
        path = NULL;
    }
    free(path);
    *nodes = p->hosts;
    return 0;
}

/* As a number of nodes; what is none, or too many, is refused when the point is opened. */
static int64_t nodes_of(const char *text)
{
    return RG_MIN(strtoll(text, NULL, 10), MANY_NODES);
}

/* N for a sweep of this key: the nodes of the strategy (spec NULL: of the scenario) at this point.
 * What is swept comes before --set, that before the attribute, and without any it is every host. */
static int nodes_here(struct planner *p, const struct rg_sweep *sweep,
                      const struct rg_strategy_spec *spec, int64_t *nodes, struct rg_error *e)
{
    char key[100], text[VALUE];
    const char *value = NULL, *attribute = NULL, *all = value_here(p, "nodes");
    const char *dot = strchr(sweep->key, '.');
    bool own = dot && strcmp(dot, ".nodes") != 0;
    for (int i = 0; own && i < spec->count; i++) {
        if (strcmp(spec->attributes[i].key, "nodes") == 0 && spec->attributes[i].line == 0)
            value = spec->attributes[i].value;
        else if (strcmp(spec->attributes[i].key, "nodes") == 0)
            attribute = spec->attributes[i].value;
    }
    snprintf(key, sizeof key, "%s.nodes", own ? spec->label : "");
    const char *swept = own ? value_here(p, key) : NULL;
    *nodes = all ? nodes_of(all) : p->scenario.nodes;
    if (swept && rg_sweep_is_multiple(swept)) {
        int err = *nodes > 0 ? 0 : count_hosts(p, nodes, e);
        rg_sweep_resolve(swept, *nodes, text, sizeof text);
        *nodes = nodes_of(text);
        return err;
    }
    if (swept || value)
        *nodes = nodes_of(swept ? swept : value);
    else if (*nodes == 0 && attribute)
        *nodes = nodes_of(attribute);
    return *nodes > 0 ? 0 : count_hosts(p, nodes, e);
}

/* Resolve what concerns the strategy; the rest is left "". */
static int resolve(struct planner *p, const struct rg_strategy_spec *spec, struct rg_error *e)
{
    for (int i = 0; i < p->scenario.sweep_count; i++) {
        const struct rg_sweep *sweep = &p->scenario.sweeps[i];
        const char *value = sweep->values[p->at[i]];
        int64_t nodes = 1;
        p->values[i][0] = '\0';
        if (!rg_study_concerns(sweep->key, spec))
            continue;
        if (strlen(value) >= VALUE)
            return rg_scenario_fail(&p->scenario, sweep->line, e,
                                    "value \"%.40s...\" of <sweep key=\"%.80s\">: up to %d bytes "
                                    "are allowed",
                                    value, sweep->key, VALUE - 1);
        int err = rg_sweep_is_multiple(value) ? nodes_here(p, sweep, spec, &nodes, e) : 0;
        if (err)
            return err;
        rg_sweep_resolve(value, nodes, p->values[i], VALUE);
    }
    return 0;
}

/* ---- points ---- */

/* 1: this point is new for the strategy; 0: it is not; or an error. */
static int is_new(struct planner *p, const struct rg_strategy_spec *spec, struct rg_error *e)
{
    for (int i = 0; i < p->scenario.sweep_count; i++)
        if (p->at[i] > 0 && !rg_study_concerns(p->scenario.sweeps[i].key, spec))
            return 0; /* seen at the first value of what does not concern it */
    int err = resolve(p, spec, e);
    if (err)
        return err;
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return no_memory(p, e);
    fputs(spec->label, stream);
    for (int i = 0; i < p->scenario.sweep_count; i++)
        if (p->values[i][0])
            fprintf(stream, "|%d=%s", i, p->values[i]);
    err = fclose(stream) == 0 ? see(&p->seen, text) : RG_ERR_NOMEM;
    free(text);
    return err < 0 ? no_memory(p, e) : err;
}

/* The settings of a run; their strings are the run's. */
static int describe_point(struct planner *p, const struct rg_strategy_spec *spec,
                          struct rg_planned *planned, struct rg_error *e)
{
    int count = 0, err = resolve(p, spec, e);
    planned->point = calloc((size_t)p->scenario.sweep_count + 1, sizeof *planned->point);
    if (!planned->point)
        return no_memory(p, e);
    for (int i = 0; i < p->scenario.sweep_count && err == 0; i++) {
        if (p->values[i][0] == '\0')
            continue;
        err = rg_run_setting(&planned->run, p->scenario.sweeps[i].key, p->values[i]);
        if (err)
            return no_memory(p, e);
        planned->point[count++].line = p->scenario.sweeps[i].line;
    }
    for (int i = 0; i < count; i++) {
        planned->point[i].key = planned->run.sweep[i].name;
        planned->point[i].value = planned->run.sweep[i].value;
    }
    return err;
}

static const struct rg_strategy_spec *spec_of(const struct planner *p, const char *label)
{
    for (int i = 0; i < p->scenario.strategy_count; i++)
        if (strcmp(p->scenario.strategies[i].label, label) == 0)
            return &p->scenario.strategies[i];
    return NULL;
}

static int add_run(struct planner *p, const struct rg_job *job, const struct rg_error *refusal,
                   struct rg_error *e)
{
    struct rg_sweep_plan *plan = p->plan;
    if (plan->run_count == RG_SWEEP_RUNS)
        return rg_scenario_fail(&p->scenario, p->scenario.sweeps[0].line, e,
                                "<sweep>: the sweeps ask for more than %d runs", RG_SWEEP_RUNS);
    if (plan->run_count == plan->run_room) {
        int room = plan->run_room ? 2 * plan->run_room : 16;
        struct rg_planned *runs = realloc(plan->runs, (size_t)room * sizeof *runs);
        if (!runs)
            return no_memory(p, e);
        plan->runs = runs;
        plan->run_room = room;
    }
    struct rg_planned *planned = &plan->runs[plan->run_count++];
    struct rg_error why = {0};
    *planned = (struct rg_planned){.iterations = job->iterations};
    rg_run_init(&planned->run);
    rg_job_describe(job, &planned->run);
    planned->foretold = job->foretold;
    planned->foretold.plan_s = planned->run.predicted.plan_s;
    int err = describe_point(p, spec_of(p, job->label), planned, e);
    if (err)
        return err;
    if (job->refused) {
        planned->run.status = RG_RUN_IMPOSSIBLE;
        snprintf(planned->run.error, sizeof planned->run.error, "%s", refusal->text);
    } else if ((planned->run.error_code = rg_job_fits(job, &why)) != 0) {
        planned->run.status = RG_RUN_NO_FIT;
        snprintf(planned->run.error, sizeof planned->run.error, "%s", why.text);
    }
    rg_one_line(planned->run.error);
    plan->numerics = plan->numerics || job->numerics;
    return 0;
}

/* All that the strategies of this point need, each key once. */
static int share_settings(struct planner *p, int *count, struct rg_error *e)
{
    struct rg_sweep_plan *plan = p->plan;
    int sweeps = p->scenario.sweep_count;
    size_t texts = (size_t)sweeps * VALUE;
    free(plan->shared);
    plan->shared = calloc(1, (size_t)(sweeps + 1) * sizeof *plan->shared + texts);
    if (!plan->shared)
        return no_memory(p, e);
    char *text = (char *)(plan->shared + sweeps + 1);
    *count = 0;
    for (int i = 0; i < sweeps; i++) {
        for (int k = 0; k < p->label_count; k++) {
            int err = resolve(p, spec_of(p, p->labels[k]), e);
            if (err)
                return err;
            if (p->values[i][0] == '\0')
                continue;
            snprintf(text, VALUE, "%s", p->values[i]);
            plan->shared[(*count)++] =
                (struct rg_setting){p->scenario.sweeps[i].key, text, p->scenario.sweeps[i].line};
            text += VALUE;
            break;
        }
    }
    return 0;
}

/* Open the strategies that are new at this point and note their runs. */
static int plan_point(struct planner *p, struct rg_error *e)
{
    struct rg_sweep_plan *plan = p->plan;
    struct rg_study_want want = plan->want;
    if (plan->run_count > 0) {
        rg_study_close(plan->study);
        plan->study_open = false;
    }
    bool first = plan->run_count == 0;
    int err = plan->sweeping ? share_settings(p, &want.point_count, e) : 0;
    if (err)
        return err;
    want.at_point = plan->sweeping;
    want.point = plan->shared;
    if (plan->sweeping) {
        want.labels = p->labels;
        want.label_count = p->label_count;
    }
    if ((err = rg_study_open_at(&want, plan->study, e)) != 0)
        return err;
    plan->study_open = true;
    if (p->look && (err = p->look(p->arg, plan->study, e)) != 0)
        return err;
    for (int i = 0; i < plan->study->job_count && err == 0; i++) {
        const struct rg_job *job = &plan->study->jobs[i];
        err = add_run(p, job, &plan->study->refusals[i], e);
        if (err == 0)
            memcpy(plan->runs[plan->run_count - 1].files, plan->study->scenario.files_digest,
                   sizeof plan->runs->files);
        rg_digest_add(p->digest, job->label, strlen(job->label) + 1);
    }
    rg_digest_add(p->digest, plan->study->scenario.digest, sizeof plan->study->scenario.digest);
    if (first)
        memcpy(plan->digest, plan->study->scenario.digest, sizeof plan->digest);
    return err;
}

static bool next_point(struct planner *p)
{
    for (int i = p->scenario.sweep_count - 1; i >= 0; i--) {
        if (++p->at[i] < p->scenario.sweeps[i].count)
            return true;
        p->at[i] = 0;
    }
    return false;
}

static int plan_points(struct planner *p, struct rg_error *e)
{
    int err = 0, opened = 0;
    do {
        p->label_count = 0;
        for (int i = 0; i < p->scenario.strategy_count && err == 0; i++) {
            const struct rg_strategy_spec *spec = &p->scenario.strategies[i];
            int fresh = is_new(p, spec, e);
            if (fresh < 0)
                err = fresh;
            else if (fresh)
                p->labels[p->label_count++] = spec->label;
        }
        if (err == 0 && p->label_count > 0) {
            err = plan_point(p, e);
            opened++;
        }
    } while (err == 0 && next_point(p));
    if (err == 0 && opened > 1 && p->plan->study_open) {
        rg_study_close(p->plan->study);
        p->plan->study_open = false;
    }
    return err;
}

/* ---- before the points ---- */

/* Sweeps of strategies that are not selected go; one that concerns no strategy at all is wrong. */
static int choose_sweeps(struct planner *p, struct rg_error *e)
{
    struct rg_scenario *s = &p->scenario;
    double points = 1;
    int err = rg_study_check_overlap(s, e);
    if (err)
        return err;
    for (int i = 0; i < s->sweep_count; i++) {
        struct rg_sweep *sweep = &s->sweeps[i];
        bool wanted = false;
        for (int k = 0; k < s->strategy_count; k++)
            wanted = wanted || rg_study_concerns(sweep->key, &s->strategies[k]);
        if (!wanted && p->plan->want.label_count == 0)
            return rg_scenario_fail(s, sweep->line, e,
                                    "<sweep key=\"%.80s\">: no strategy here has that parameter",
                                    sweep->key);
        while (!wanted && sweep->count > 1) /* one value remains, and concerns nobody */
            free(sweep->values[--sweep->count]);
        points *= sweep->count;
    }
    if (points > RG_SWEEP_POINTS)
        return rg_scenario_fail(s, s->sweeps[0].line, e,
                                "<sweep>: the sweeps make %.0f points, up to %d are allowed",
                                points, RG_SWEEP_POINTS);
    p->plan->points = (long)points;
    p->at = calloc((size_t)s->sweep_count + 1, sizeof *p->at);
    p->values = calloc((size_t)s->sweep_count + 1, sizeof *p->values);
    p->labels = calloc((size_t)s->strategy_count + 1, sizeof *p->labels);
    p->digest = rg_digest_new();
    return p->at && p->values && p->labels && p->digest ? 0 : no_memory(p, e);
}

static int prepare(struct planner *p, struct rg_error *e)
{
    struct rg_sweep_plan *plan = p->plan;
    const struct rg_study_want *want = &plan->want;
    int err = rg_scenario_load(want->file, &p->scenario, e);
    for (int i = 0; i < want->set_count && err == 0; i++)
        err = rg_scenario_set(&p->scenario, want->sets[i], e);
    if (err == 0)
        err = rg_study_select(&p->scenario, want->labels, want->label_count, e);
    if (err)
        return err;
    plan->sweeping = p->scenario.sweep_count > 0;
    plan->seed = p->scenario.seed;
    plan->name = strdup(p->scenario.name);
    return plan->name ? choose_sweeps(p, e) : no_memory(p, e);
}

int rg_sweep_open(const struct rg_study_want *want, rg_look_fn look, void *arg,
                  struct rg_study *study, struct rg_sweep_plan *plan, struct rg_error *e)
{
    struct planner p = {.plan = plan, .look = look, .arg = arg};
    *plan = (struct rg_sweep_plan){.want = *want, .study = study};
    int err = prepare(&p, e);
    if (err == 0)
        err = plan_points(&p, e);
    if (p.digest) {
        char text[RG_DIGEST_TEXT];
        rg_digest_end(p.digest, text);
        if (plan->sweeping)
            memcpy(plan->digest, text, sizeof plan->digest);
    }
    /* The open study speaks of keys that are the planner's. */
    if (plan->study_open) {
        plan->study->scenario.point =
            plan->runs && plan->run_count > 0 ? plan->runs[0].point : NULL;
        plan->study->scenario.point_count = plan->run_count > 0 ? plan->runs[0].run.sweep_count : 0;
    }
    free_seen(&p.seen);
    free(p.at);
    free(p.values);
    free(p.labels);
    free(p.platform);
    rg_scenario_free(&p.scenario);
    if (err) {
        rg_sweep_close(plan);
        if (e)
            rg_one_line(e->text);
    }
    return err;
}

int rg_sweep_enter(const struct rg_sweep_plan *plan, int run, struct rg_study *study,
                   struct rg_error *e)
{
    return rg_sweep_cast(plan, run, NULL, 0, 0, study, e);
}

/* What that run is of; the label is the plan's. */
static struct rg_study_want want_of(const struct rg_sweep_plan *plan, int run, char **label)
{
    struct rg_planned *planned = &plan->runs[run];
    struct rg_study_want want = plan->want;
    *label = planned->run.label;
    want.at_point = plan->sweeping;
    want.point = planned->point;
    want.point_count = planned->run.sweep_count;
    want.labels = label;
    want.label_count = 1;
    return want;
}

int rg_sweep_fitting(const struct rg_sweep_plan *plan, int run, int multiple, const int *seats,
                     int left, int began, struct rg_error *why)
{
    char *label;
    struct rg_study_want want = want_of(plan, run, &label);
    want.began = began;
    return rg_study_fitting(&want, multiple, seats, left, why);
}

int rg_sweep_cast(const struct rg_sweep_plan *plan, int run, const int *hosts, int count, int began,
                  struct rg_study *study, struct rg_error *e)
{
    const struct rg_planned *planned = &plan->runs[run];
    char *label;
    struct rg_study_want want = want_of(plan, run, &label);
    want.hosts = hosts;
    want.host_count = count;
    want.began = began;
    int err = rg_study_open_at(&want, study, e);
    if (err || strcmp(study->scenario.files_digest, planned->files) == 0)
        return err;
    rg_study_close(study);
    return rg_fail(e, RG_ERR_INVALID,
                   "%s, or a file that it names, has changed since the runs were planned",
                   want.file);
}

int rg_sweep_head(const struct rg_sweep_plan *plan, int run, struct rg_run *copy)
{
    const struct rg_run *from = &plan->runs[run].run;
    int err = 0;
    rg_run_init(copy);
    memcpy(copy->label, from->label, sizeof copy->label);
    memcpy(copy->kind, from->kind, sizeof copy->kind);
    memcpy(copy->error, from->error, sizeof copy->error);
    copy->nodes = from->nodes;
    copy->numerics = from->numerics;
    copy->status = from->status;
    copy->error_code = from->error_code;
    copy->predicted = from->predicted;
    for (int i = 0; i < from->param_count && err == 0; i++)
        err = rg_run_param(copy, from->params[i].name, from->params[i].value);
    for (int i = 0; i < from->sweep_count && err == 0; i++)
        err = rg_run_setting(copy, from->sweep[i].name, from->sweep[i].value);
    return err;
}

void rg_sweep_close(struct rg_sweep_plan *plan)
{
    if (plan->study_open)
        rg_study_close(plan->study);
    for (int i = 0; i < plan->run_count; i++) {
        rg_run_free(&plan->runs[i].run);
        free(plan->runs[i].point);
    }
    free(plan->runs);
    free(plan->shared);
    free(plan->name);
    *plan = (struct rg_sweep_plan){0};
}
