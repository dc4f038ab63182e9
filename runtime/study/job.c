/* One job: made of a strategy of the scenario, and described.
 *
 * Failure modes handled: too few or too many nodes, kinds that do not exist, what the strategy's
 * check refuses: with the line that says it. */
#include "study/job_parts.h"

#include "base/check.h"
#include "result/human.h"
#include "scenario/settings.h"
#include "scenario/text.h"
#include "strategies/samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- nodes ---- */

static int fail_nodes(const struct rg_study *study, const struct rg_strategy_spec *spec,
                      const struct rg_attribute *a, const char *value, struct rg_error *e)
{
    char why[120];
    snprintf(why, sizeof why, "the platform has %d host%s: 1 to %d are allowed",
             study->platform.count, study->platform.count == 1 ? "" : "s", study->platform.count);
    if (a)
        return rg_job_fail_attribute(&study->scenario, spec, a, e, why);
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
        rg_fail(refusal, RG_ERR_INVALID, "%s needs at least %d nodes, there %s %d",
                job->strategy->name, job->strategy->min_nodes, job->nodes == 1 ? "is" : "are",
                job->nodes);
        return 0;
    }
    char set[24] = "";
    int line = given ? given->line : value ? 0 : spec->line;
    if (line == 0)
        snprintf(set, sizeof set, "nodes=%d: ", job->nodes);
    return rg_scenario_fail(&study->scenario, line, e,
                            "%sstrategy \"%s\": %s needs at least %d nodes, there %s %d", set,
                            spec->label, job->strategy->name, job->strategy->min_nodes,
                            job->nodes == 1 ? "is" : "are", job->nodes);
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

/* A job cannot run: noted in *refusal, or, where that is NULL, an error at that line. */
static int refuse(const struct rg_scenario *s, const struct rg_strategy_spec *spec, int line,
                  const char *before, const struct rg_error *why, struct rg_job *job,
                  struct rg_error *refusal, struct rg_error *e)
{
    if (why->code == RG_ERR_NOMEM)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", s->file);
    if (!refusal)
        return rg_scenario_fail(s, line, e, "%sstrategy \"%s\": %.380s", before, spec->label,
                                why->text);
    job->refused = true;
    *refusal = *why;
    return 0;
}

/* Those that are left keep the rows that they have had. Where a server was lost, whoever serves in
 * its place has no use for its own: they are for the first server, should it be there again. */
static int keep_rows(const struct rg_study_want *want, int first, int keepers, struct rg_deal *deal,
                     struct rg_error *why)
{
    int *parts = calloc((size_t)keepers, sizeof *parts);
    int err = parts ? 0 : RG_ERR_NOMEM;
    for (int k = 0; k < keepers && err == 0; k++) {
        int seat = want->hosts[first + k];
        parts[k] = (seat < first ? want->hosts[seat] : seat) - first;
    }
    if (err == 0)
        err = rg_deal_keep(deal, parts, keepers);
    free(parts);
    return err ? rg_fail(why, err, "out of memory") : 0;
}

/* Rows of their own for the nodes of a strategy that can train on them. */
static int deal_rows(const struct rg_study *study, struct rg_job *job, struct rg_deal *deal,
                     struct rg_error *why)
{
    const struct rg_data_spec *data = &study->scenario.data;
    int first, keepers = rg_job_keepers(job, &first);
    if (!job->own_rows || keepers == 0)
        return 0;
    job->rows = deal;
    const struct rg_study_want *want = study->want;
    bool left = want && want->hosts && want->began > 0;
    int began = left ? want->began - job->nodes + keepers : keepers;
    int err = rg_deal_make(data, &study->data, began, deal, why);
    return err || !left ? err : keep_rows(want, first, keepers, deal, why);
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
    int64_t epoch = RG_MAX(study->data.train / t->batch, 1);
    *job = (struct rg_job){.strategy = strategy,
                           .label = spec->label,
                           .boards = study->platform.boards,
                           .network = &study->network,
                           .data = &study->data,
                           .optimizer = t->optimizer,
                           .compensate = t->compensate,
                           .batch = t->batch,
                           .threads = t->threads,
                           .iterations = t->iterations ? t->iterations : epoch * t->epochs,
                           .iterations_per_epoch = epoch,
                           .seed = s->seed,
                           .numerics = t->numerics,
                           .own_rows = s->data.rows != RG_ROWS_SHARED};
    job->optimizer.run = job->iterations;
    int err = rg_job_set_defaults(job, e);
    bool own_nodes = rg_job_param_index(strategy, "nodes") >= 0;
    for (int i = 0; i < spec->count && err == 0; i++)
        if (own_nodes || strcmp(spec->attributes[i].key, "nodes") != 0)
            err = rg_job_set_value(job, s, spec, &spec->attributes[i], e);
    if (err || (err = rg_job_set_overlap(job, s, spec, e)) ||
        (err = set_nodes(study, spec, job, refusal, e)) || job->refused)
        return err;
    struct rg_error why = {0};
    job->uneven = job->optimizer.kind == RG_LBFGS; /* trials, and a history that grows */
    if (job->optimizer.kind == RG_LBFGS && !strategy->searches) {
        rg_fail(&why, RG_ERR_INVALID,
                "optimizer=\"lbfgs\" looks at a batch several times, which %s does not: single and "
                "sandblaster do",
                strategy->name);
        return refuse(s, spec, spec->line, "", &why, job, refusal, e);
    }
    if (strategy->check(job, &why) != 0)
        return refuse(s, spec, spec->line, "", &why, job, refusal, e);
    if (deal_rows(study, job, &study->deals[job - study->jobs], &why) == 0)
        return rg_job_check_profiles(job, &why) == 0
                   ? 0
                   : refuse(s, spec, spec->line, "", &why, job, refusal, e);
    char word[24], before[40];
    rg_type_write(&rg_setting_of_key("rows")->type, s->data.rows, word, sizeof word);
    snprintf(before, sizeof before, "rows=%s, ", word);
    return refuse(s, spec, rg_scenario_line(s, &s->data.rows), before, &why, job, refusal, e);
}

int rg_study_make_jobs(struct rg_study *study, bool may_refuse, struct rg_error *e)
{
    const struct rg_scenario *s = &study->scenario;
    int err = 0;
    study->jobs = calloc((size_t)s->strategy_count, sizeof *study->jobs); /* plans point to them */
    study->refusals = calloc((size_t)s->strategy_count, sizeof *study->refusals);
    study->deals = calloc((size_t)s->strategy_count, sizeof *study->deals);
    if (!study->jobs || !study->refusals || !study->deals)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", s->file);
    while (study->job_count < s->strategy_count && err == 0) {
        int i = study->job_count++;
        const struct rg_strategy_spec *spec = &s->strategies[i];
        err = make_job(study, spec, &study->jobs[i], may_refuse ? &study->refusals[i] : NULL, e);
    }
    return err;
}

/* ---- one job ---- */

int rg_job_fits_in(const struct rg_job *job, uint64_t addressable, struct rg_error *e)
{
    int worst = -1, short_of = 0;
    uint64_t most = 0;
    for (int rank = 0; rank < job->nodes; rank++) {
        uint64_t need = rg_job_memory(job, rank);
        uint64_t room = RG_MIN(job->boards[rank]->memory_bytes, addressable);
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
    const struct rg_board *board = job->boards[worst];
    char need[RG_HUMAN], room[RG_HUMAN], who[80] = "this program can address", others[48] = "";
    rg_human_bytes((double)rg_job_memory(job, worst), need);
    rg_human_bytes((double)RG_MIN(board->memory_bytes, addressable), room);
    if (board->memory_bytes <= addressable)
        snprintf(who, sizeof who, "its board (%s) has", board->name);
    if (short_of > 1)
        snprintf(others, sizeof others, "; %d of %d nodes are too small", short_of, job->nodes);
    return rg_fail(e, RG_ERR_NO_FIT, "node %d needs %s, %s %s%s", worst, need, who, room, others);
}

int rg_job_fits(const struct rg_job *job, struct rg_error *e)
{
    return rg_job_fits_in(job, SIZE_MAX, e);
}

double rg_job_medium_rate(const struct rg_job *job)
{
    double rate = 0;
    for (int rank = 0; rank < job->nodes; rank++)
        if (job->boards[rank]->shared_medium)
            rate = fmax(rate, rg_board_medium_rate(job->boards[rank]));
    return rate;
}

void rg_job_flows(const struct rg_job *job, rg_traffic_fn flow, void *arg)
{
    if (job->strategy->flows)
        job->strategy->flows(job, flow, arg);
}

struct crossing {
    const struct rg_job *job;
    double bytes;
};

static void add_crossing(void *arg, const struct rg_traffic *flow)
{
    struct crossing *c = arg;
    const struct rg_board *from = c->job->boards[flow->from], *to = c->job->boards[flow->to];
    if (from->shared_medium || to->shared_medium)
        c->bytes += rg_board_wire_bytes(from, flow->messages, flow->payload);
}

bool rg_job_has_bus(const struct rg_job *job)
{
    bool any = false;
    for (int rank = 0; rank < job->nodes; rank++)
        any = any || job->boards[rank]->port_bus_rate > 0;
    return any;
}

void rg_job_predict(const struct rg_job *job, struct rg_prediction *prediction)
{
    if (job->foretold.known) {
        *prediction = job->foretold.form;
        return;
    }
    double medium = rg_job_medium_rate(job);
    *prediction = (struct rg_prediction){0};
    job->strategy->predict(job, prediction);
    if (medium > 0) {
        struct crossing crossing = {.job = job};
        rg_job_flows(job, add_crossing, &crossing);
        double rounds = (double)RG_MAX(prediction->round, 1);
        double c_s = crossing.bytes / rounds / medium, beside = prediction->iteration_s;
        beside -=
            2 * prediction->c_s; /* what is no port's time, either way: latencies, computing */
        if (c_s > prediction->iteration_s && beside > 0.05 * c_s && !prediction->holds)
            prediction->holds = "what comes on top of the medium's time is left out";
        prediction->c_s = fmax(prediction->c_s, c_s);
    }
    if (medium > 0 || rg_job_has_bus(job))
        prediction->iteration_s =
            fmax(prediction->iteration_s, fmax(prediction->c_s, prediction->T_A_s));
}

/* One kind of board, full duplex, alike up and down, and no medium: what forms are made for. */
static bool is_plain(const struct rg_job *job, bool *alike)
{
    const struct rg_board *first = job->boards[0];
    *alike = true;
    for (int rank = 1; rank < job->nodes; rank++)
        *alike = *alike && job->boards[rank] == first;
    return *alike && !rg_job_has_bus(job) && first->port_rx_rate == 0 &&
           rg_job_medium_rate(job) == 0;
}

double rg_job_plan_s(const struct rg_job *job)
{
    if (job->foretold.plan_s != 0)
        return job->foretold.plan_s;
    return job->strategy->by_plan ? job->strategy->by_plan(job) : NAN;
}

const char *rg_job_rough(const struct rg_job *job, const struct rg_prediction *p)
{
    bool alike, plain = is_plain(job, &alike), shared = rg_job_medium_rate(job) > 0;
    bool bus = rg_job_has_bus(job);
    if (job->rough[0])
        return job->rough;
    double least = fmax(p->least_s, fmax(p->c_s, p->T_A_s));
    if (p->alone || (p->bound && p->iteration_s <= 1.05 * least))
        return NULL; /* it is exact; or no run takes much less */
    if (plain || p->told || p->holds)
        return plain ? NULL : p->holds;
    if (!alike)
        return "the boards differ";
    if (((shared || bus) && p->c_s + p->T_A_s > 1.05 * p->iteration_s) ||
        (shared && p->iteration_s > 1.05 * fmax(p->c_s, p->T_A_s)))
        return shared ? "how much computing hides behind the medium is left out"
                      : "how much computing hides behind half-duplex ports is left out";
    return NULL;
}

void rg_job_describe(const struct rg_job *job, struct rg_run *run)
{
    snprintf(run->label, sizeof run->label, "%s", job->label);
    snprintf(run->kind, sizeof run->kind, "%s", job->strategy->name);
    run->nodes = job->nodes;
    run->numerics = job->numerics;
    for (int i = 0; job->strategy->params[i].name; i++) {
        const struct rg_param *param = &job->strategy->params[i];
        const struct rg_value *value = &job->values[i];
        bool left_open = !value->automatic ||
                         (param->type == RG_PARAM_REAL ? isnan(value->real) : value->number == 0);
        if (param->later && left_open && strcmp(value->text, param->fallback) == 0)
            continue;
        char *text = rg_job_param_text(job, i);
        rg_run_param(run, param->name, text ? text : "?");
        free(text);
    }
    if (job->refused)
        return;
    rg_job_tell_profiles(job, run);
    struct rg_prediction p;
    rg_job_predict(job, &p);
    run->predicted.defined = true;
    run->predicted.overlap = p.overlap;
    run->predicted.T_A_s = p.T_A_s;
    run->predicted.c_s = p.c_s;
    run->predicted.iteration_s = p.iteration_s;
    run->predicted.plan_s = rg_job_plan_s(job);
    run->predicted.messages = p.messages;
    run->predicted.values = p.values;
    run->predicted.payload_bytes = p.payload_bytes;
    run->predicted.counts = (struct rg_run_counts){
        .known = p.round > 1 || p.at_most, .iterations = RG_MAX(p.round, 1), .at_most = p.at_most};
    run->predicted.memory_bytes = p.memory_bytes;
    const char *rough = rg_job_rough(job, &p);
    run->predicted.rough.known = rough != NULL;
    rg_copy_text(run->predicted.rough.why, sizeof run->predicted.rough.why, rough ? rough : "");
}
