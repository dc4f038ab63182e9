/* From a scenario to its jobs.
 *
 * Happy path: read the scenario, apply --set, seal it, read platform and network, look at the data,
 * make a job of every strategy. Failure modes handled: whatever of these contradicts another is
 * refused with the line that says it. */
#include "study/job_parts.h"

#include "base/check.h"
#include "models/data.h"
#include "scenario/settings.h"
#include "scenario/text.h"
#include "strategies/samples.h"
#include "strategies/schedule.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the files against one another ---- */

static size_t floats(struct rg_shape shape)
{
    return (size_t)shape.channels * (size_t)shape.height * (size_t)shape.width;
}

/* The last layer has an output for each number to come near to, or each class (of each token). */
static int check_outputs(const struct rg_study *study, struct rg_error *e)
{
    const struct rg_scenario *s = &study->scenario;
    const struct rg_network *network = &study->network;
    const struct rg_dataset *data = &study->data;
    char what[120] = "numbers to come near to", names[160] = "", place[200];
    int64_t wanted = (int64_t)data->target_count * RG_MAX(data->classes, 1);
    if (network->classes == wanted)
        return 0;
    for (int c = 0; c < data->classes && data->class_names; c++)
        if (data->class_names[c])
            rg_data_list(names, sizeof names, "\"%.40s\"", data->class_names[c]);
    snprintf(place, sizeof place, "%.160s:%d", s->file, s->data.line);
    if (data->classes > 0)
        snprintf(what, sizeof what, "classes%s%.60s", names[0] ? ", " : "", names);
    if (data->target_count > 1 && data->classes > 0)
        snprintf(what, sizeof what, "logits, of %d classes for each of %d tokens", data->classes,
                 data->target_count);
    bool one = network->classes == 1 && data->classes > 0;
    return rg_fail_at(e, network->file, network->layers[network->layer_count - 1].spec.line,
                      "the last layer has %d outputs, the data at %s has %" PRId64 " %s: they must "
                      "be equal%s",
                      network->classes, place, wanted, what,
                      one ? "; labels that are numbers to come near to want "
                            "loss=\"mean-squared-error\" of <network>"
                          : "");
}

/* Of what tokens the data are is known before they are read where they are what labels are. */
static int check_tokens(const struct rg_study *study, struct rg_error *e)
{
    const struct rg_layer_spec *first = &study->network.layers[0].spec;
    const struct rg_dataset *data = &study->data;
    if (first->vocabulary == 0 || !data->kind->tokens || data->classes <= first->vocabulary)
        return 0;
    return rg_fail_at(e, study->network.file, first->line,
                      "vocabulary=\"%d\": the data at %.160s:%d has tokens from 0 to %d",
                      first->vocabulary, study->scenario.file, study->scenario.data.line,
                      data->classes - 1);
}

/* Sizes other than 1, in order; how many. */
static int sizes_of(struct rg_shape shape, int sizes[3])
{
    const int all[3] = {shape.channels, shape.height, shape.width};
    int count = 0;
    for (int i = 0; i < 3; i++)
        if (all[i] != 1)
            sizes[count++] = all[i];
    return count;
}

/* Do values of one shape mean the same in the other? Where one is flat, nobody knows better. */
static bool same_shape(struct rg_shape a, struct rg_shape b)
{
    int of_a[3] = {0}, of_b[3] = {0};
    int count_a = sizes_of(a, of_a), count_b = sizes_of(b, of_b);
    return count_a < 2 || count_b < 2 ||
           (count_a == count_b && memcmp(of_a, of_b, sizeof of_a) == 0);
}

/* " (3x8x8)", or "" of what is flat. */
static const char *shape_text(struct rg_shape shape, char text[48])
{
    int sizes[3];
    text[0] = '\0';
    if (sizes_of(shape, sizes) > 1)
        snprintf(text, 48, " (%dx%dx%d)", shape.channels, shape.height, shape.width);
    return text;
}

static int check_shapes(const struct rg_study *study, struct rg_error *e)
{
    const struct rg_scenario *s = &study->scenario;
    const struct rg_network *network = &study->network;
    const struct rg_dataset *data = &study->data;
    size_t inputs = floats(network->input);
    if (inputs != data->inputs || !same_shape(network->input, data->shape)) {
        char why[400] = "", ours[48], theirs[48];
        for (int i = 0; i < data->input_note_count; i++)
            snprintf(why + strlen(why), sizeof why - strlen(why), "; %.180s",
                     data->notes[data->input_notes + i]);
        return rg_scenario_fail(s, rg_scenario_line(s, &s->network_file), e,
                                "network %.160s takes %zu inputs%s, a sample of the data (line %d) "
                                "has %zu%s: they must be equal%s",
                                network->file, inputs, shape_text(network->input, ours),
                                s->data.line, data->inputs, shape_text(data->shape, theirs), why);
    }
    int err = check_tokens(study, e);
    return err ? err : check_outputs(study, e);
}

static int check_training(const struct rg_study *study, struct rg_error *e)
{
    const struct rg_scenario *s = &study->scenario;
    const struct rg_training *t = &s->training;
    if (t->batch > study->data.train)
        return rg_scenario_fail(s, rg_scenario_line(s, &t->batch), e,
                                "batch=\"%d\": there are %d training samples, 1 to %d are allowed",
                                t->batch, study->data.train, study->data.train);
    int most = rg_network_most_batch(&study->network);
    if (t->batch > most)
        return rg_scenario_fail(s, rg_scenario_line(s, &t->batch), e,
                                "batch=\"%d\": network %.160s has layers over so many tokens that "
                                "1 to %d are allowed",
                                t->batch, study->network.file, most);
    const struct rg_optimizer *optimizer = &t->optimizer;
    if (t->compensate && optimizer->kind != RG_MOMENTUM && optimizer->kind != RG_ADAM)
        return rg_scenario_fail(s, rg_scenario_line(s, &t->compensate), e,
                                "compensate=\"yes\": delays are compensated by the velocity that "
                                "optimizer=\"%s\" does not have: momentum and adam are allowed",
                                rg_optimizer_infos[optimizer->kind].name);
    if (optimizer->kind == RG_LBFGS && optimizer->clip > 0)
        return rg_scenario_fail(
            s, rg_scenario_line(s, &optimizer->clip), e,
            "clip=\"%g\": the directions of optimizer=\"lbfgs\" are of gradients "
            "as they are",
            optimizer->clip);
    if (optimizer->l1 > 0 && (optimizer->kind == RG_LBFGS || optimizer->kind == RG_ADAM))
        return rg_scenario_fail(
            s, rg_scenario_line(s, &optimizer->l1), e,
            "l1=\"%g\": optimizer=\"%s\" has no step that takes parameters to 0: "
            "sgd, momentum and adagrad are allowed",
            optimizer->l1, rg_optimizer_infos[optimizer->kind].name);
    if (optimizer->l1 > 0 && t->compensate)
        return rg_scenario_fail(s, rg_scenario_line(s, &optimizer->l1), e,
                                "l1=\"%g\" is for training without compensate: where a parameter "
                                "stops at 0, its velocity does not say how far a delay takes it",
                                optimizer->l1);
    if (optimizer->kind == RG_LBFGS && study->network.statistics_count > 0)
        return rg_scenario_fail(s, rg_scenario_line(s, &optimizer->kind), e,
                                "optimizer=\"lbfgs\": network %.160s has layers with running "
                                "statistics, which change as often as it is looked at: the other "
                                "optimizers are allowed",
                                study->network.file);
    if (optimizer->schedule == RG_RATE_STEP && optimizer->period == 0)
        return rg_scenario_fail(s, rg_scenario_line(s, &optimizer->schedule), e,
                                "rate-schedule=\"step\" needs rate-period, the updates after which "
                                "the rate falls: 1 to 1e9 are allowed");
    if (optimizer->schedule == RG_RATE_CONSTANT && optimizer->factor > 0)
        return rg_scenario_fail(s, rg_scenario_line(s, &optimizer->factor), e,
                                "rate-factor=\"%g\" is for rate-schedule=\"step\" and \"cosine\"",
                                optimizer->factor);
    if (optimizer->schedule == RG_RATE_CONSTANT && optimizer->period > 0)
        return rg_scenario_fail(s, rg_scenario_line(s, &optimizer->period), e,
                                "rate-period=\"%ld\" is for rate-schedule=\"step\" and \"cosine\"",
                                optimizer->period);
    for (int i = 0; i < study->platform.count; i++)
        if (t->threads > study->platform.boards[i]->cores)
            return rg_scenario_fail(
                s, rg_scenario_line(s, &t->threads), e,
                "threads=\"%d\": host %.60s (%s) has %d core%s, 1 to %d are allowed", t->threads,
                study->platform.names[i], study->platform.boards[i]->name,
                study->platform.boards[i]->cores, study->platform.boards[i]->cores == 1 ? "" : "s",
                study->platform.boards[i]->cores);
    return 0;
}

static bool is_stream(const struct rg_strategy_spec *spec)
{
    const struct rg_schedule *schedule = NULL;
    for (int i = 0; i < spec->count; i++) /* the last one counts */
        if (strcmp(spec->attributes[i].key, "schedule") == 0)
            schedule = rg_schedule_named(spec->attributes[i].value);
    return schedule && !schedule->synchronous;
}

/* Of all strategies of a scenario, whichever of them are to run: one of those that have no delay to
 * compensate may be run beside, or without, the others. */
static int check_compensate(const struct rg_scenario *s, struct rg_error *e)
{
    bool streams = !s->training.compensate;
    char words[80] = "";
    for (int i = 0; i < s->strategy_count; i++)
        streams = streams || is_stream(&s->strategies[i]);
    for (int i = 0; rg_schedules[i]; i++) {
        size_t used = strlen(words);
        if (!rg_schedules[i]->synchronous)
            snprintf(words + used, sizeof words - used, "%s%s", used ? ", " : "",
                     rg_schedule_name(rg_schedules[i]));
    }
    if (streams)
        return 0;
    return rg_scenario_fail(s, rg_scenario_line(s, &s->training.compensate), e,
                            "compensate=\"yes\": no strategy here has delays; streams have "
                            "(ring_pipeline with schedule: %s)",
                            words);
}

/* Likewise: rows of their own are for one strategy at least, and leave the others as they are. */
static int check_rows(const struct rg_scenario *s, struct rg_error *e)
{
    bool any = s->data.rows == RG_ROWS_SHARED;
    char words[160] = "";
    for (int i = 0; i < s->strategy_count; i++) {
        const struct rg_strategy *strategy = rg_strategy_named(s->strategies[i].kind);
        any = any || !strategy || rg_strategy_has_keepers(strategy);
    }
    for (int i = 0; rg_strategies[i]; i++) {
        size_t used = strlen(words);
        if (rg_strategy_has_keepers(rg_strategies[i]))
            snprintf(words + used, sizeof words - used, "%s%s", used ? ", " : "",
                     rg_strategies[i]->name);
    }
    return any ? 0
               : rg_scenario_fail(s, rg_scenario_line(s, &s->data.rows), e,
                                  "rows: no strategy here has nodes with rows of their own; these "
                                  "kinds have: %s",
                                  words);
}

/* Clocks and rates of the scenario, put upon the platform's boards. */
static int set_boards(struct rg_study *study, enum rg_keyed keyed, struct rg_error *e)
{
    const struct rg_scenario *s = &study->scenario;
    struct rg_platform *platform = &study->platform;
    struct rg_error why = {0};
    int err = 0;
    rg_platform_scale_ports(platform, s->training.bandwidth_factor);
    if (keyed ? keyed == RG_KEYED_YES : s->training.key_byte_s > 0)
        rg_platform_key(platform, s->training.key_byte_s);
    if (s->training.clock > 0)
        err = rg_platform_set_clock(platform, 0, platform->count - 1, s->training.clock, &why);
    if (err)
        return rg_scenario_fail(s, rg_scenario_line(s, &s->training.clock), e,
                                "clock=\"%.6g\": %.400s", s->training.clock, why.text);
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

/* ---- which strategies ---- */

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
    return strcmp(key, "overlap") != 0 || !strategy || rg_job_param_index(strategy, key) >= 0;
}

int rg_study_check_overlap(const struct rg_scenario *s, struct rg_error *e)
{
    for (int k = 0; k < s->strategy_count; k++)
        if (rg_study_concerns("overlap", &s->strategies[k]))
            return 0;
    return s->overlap
               ? rg_scenario_fail(s, 0, e, "overlap=%.60s: no strategy here has that parameter",
                                  s->overlap)
               : 0;
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

/* The most hosts that any strategy asks for; what is no number of nodes is refused later. */
static int most_nodes(const struct rg_study *study)
{
    const struct rg_scenario *s = &study->scenario;
    int most = 1;
    for (int i = 0; i < s->strategy_count; i++) {
        const struct rg_strategy_spec *spec = &s->strategies[i];
        double nodes = s->nodes > 0 ? s->nodes : study->platform.count;
        for (int k = 0; k < spec->count; k++)
            if (strcmp(spec->attributes[k].key, "nodes") == 0 &&
                (s->nodes == 0 || spec->attributes[k].line == 0))
                nodes = strtod(spec->attributes[k].value, NULL);
        most = nodes > most ? (int)fmin(nodes, study->platform.count) : most;
    }
    return most;
}

static int look_at_platform(const struct rg_study_want *want, struct rg_study *study,
                            struct rg_error *e)
{
    if (!want->look_platform)
        return 0;
    return want->look_platform(want->look_arg, &study->platform, most_nodes(study),
                               study->scenario.training.bandwidth_factor, e);
}

static int load_platform(struct rg_study *study, struct rg_error *e)
{
    const struct rg_scenario *s = &study->scenario;
    struct rg_error why = {0};
    int err = rg_platform_load_as(s->platform_file, s->board, &study->platform, &why);
    if (err && strncmp(why.text, "no board is known", 17) == 0)
        return rg_scenario_fail(s, rg_scenario_line(s, &s->board), e, "board: %.400s", why.text);
    if (err && e)
        *e = why;
    return err;
}

/* ---- opening and closing ---- */

/* Those that are left of a run: as many nodes as there are hosts, whatever else says how many. */
static int cast_hosts(const struct rg_study_want *want, struct rg_study *study, struct rg_error *e)
{
    return want->hosts ? rg_platform_cast(&study->platform, want->hosts, want->host_count, e) : 0;
}

static void cast_nodes(const struct rg_study_want *want, struct rg_scenario *s)
{
    if (!want->hosts)
        return;
    s->nodes = want->host_count;
    for (int i = 0; i < s->strategy_count; i++) {
        struct rg_strategy_spec *spec = &s->strategies[i];
        int kept = 0;
        for (int k = 0; k < spec->count; k++) {
            struct rg_attribute a = spec->attributes[k];
            if (strcmp(a.key, "nodes") != 0) {
                spec->attributes[kept++] = a;
                continue;
            }
            free(a.key);
            free(a.value);
        }
        spec->count = kept;
    }
}

/* What the data are read as, the network says. */
static int probe_data(struct rg_study *study, struct rg_error *e)
{
    study->scenario.data.numbers = study->network.loss == RG_LOSS_SQUARES;
    study->scenario.data.tokens = study->network.layers[0].spec.vocabulary;
    return rg_dataset_probe(&study->scenario.data, &study->data, e);
}

static int open_scenario(const struct rg_study_want *want, struct rg_study *study,
                         struct rg_error *e)
{
    struct rg_scenario *s = &study->scenario;
    *study = (struct rg_study){0};
    int err = rg_scenario_load(want->file, s, e);
    s->data.trained_before = want->trained;
    for (int i = 0; i < want->set_count && err == 0; i++)
        err = rg_scenario_set(s, want->sets[i], e);
    return err;
}

int rg_study_open_samples(const struct rg_study_want *want, struct rg_study *study,
                          struct rg_error *e)
{
    struct rg_scenario *s = &study->scenario;
    int err = open_scenario(want, study, e);
    if (err || (err = rg_scenario_locate(s, want->data_folder, e)) ||
        (err = rg_network_load(s->network_file, &study->network, e)) ||
        (err = probe_data(study, e)) || (err = check_shapes(study, e)))
        rg_study_close(study);
    if (err && e)
        rg_one_line(e->text);
    return err;
}

static int check_every(const struct rg_scenario *s, struct rg_error *e)
{
    const char *text = s->training.checkpoint_every;
    struct rg_every every;
    if (!text || strcmp(text, "never") == 0)
        return 0;
    bool known = rg_every_read(text, &every);
    if (known && (!every.daly || s->faults.mtbf_s > 0))
        return 0;
    if (known)
        return rg_scenario_fail(s, rg_scenario_line(s, &s->training.checkpoint_every), e,
                                "checkpoint-every=\"daly\": mtbf of <faults> is wanted, the "
                                "interval follows from it");
    return rg_scenario_fail(s, rg_scenario_line(s, &s->training.checkpoint_every), e,
                            "checkpoint-every=\"%.40s\": " RG_EVERY_ALLOWED ", or daly, or never",
                            text);
}

/* The scenario as it is written, whoever takes part. */
static int open_sealed(const struct rg_study_want *want, struct rg_study *study, struct rg_error *e)
{
    struct rg_scenario *s = &study->scenario;
    int err = open_scenario(want, study, e);
    if (err == 0 && want->at_point)
        err = rg_scenario_apply(s, want->point, want->point_count, e);
    if (err || (err = check_compensate(s, e)) || (err = check_rows(s, e)) ||
        (err = check_every(s, e)) ||
        (err = rg_study_select(s, want->labels, want->label_count, e)) ||
        (!want->at_point &&
         ((err = rg_study_check_overlap(s, e)) || (err = refuse_sweeps(s, e)))) ||
        (err = rg_scenario_locate(s, want->data_folder, e)) || (err = rg_scenario_seal(s, e)))
        return err;
    return 0;
}

static int open_at(const struct rg_study_want *want, struct rg_study *study, struct rg_error *e)
{
    struct rg_scenario *s = &study->scenario;
    int err = open_sealed(want, study, e);
    study->want = want;
    if (err == 0)
        cast_nodes(want, s);
    if (err || (err = load_platform(study, e)) || (err = set_boards(study, want->keyed, e)) ||
        (err = cast_hosts(want, study, e)) ||
        (err = rg_network_load(s->network_file, &study->network, e)) ||
        (err = rg_study_load_profiles(study, e)) || (err = look_at_platform(want, study, e)) ||
        (err = probe_data(study, e)) || (err = check_shapes(study, e)) ||
        (err = check_training(study, e)) || (err = rg_study_make_jobs(study, want->at_point, e)) ||
        (want->replay && (err = rg_study_replay(study, want->replay, e))))
        rg_study_close(study);
    study->want = NULL;
    if (err && e)
        rg_one_line(e->text);
    return err;
}

/* ---- nodes that may be lost ---- */

static int fail_lose(const struct rg_study *study, const struct rg_job *job, struct rg_error *e,
                     const char *why)
{
    const struct rg_scenario *s = &study->scenario;
    char word[24];
    rg_type_write(&rg_setting_of_key("lose")->type, s->training.lose, word, sizeof word);
    return rg_scenario_fail(s, rg_scenario_line(s, &s->training.lose), e,
                            "lose=\"%s\": strategy \"%s\" %.380s", word, job->label, why);
}

static int try_fewer(const struct rg_study_want *want, const int *seats, int count,
                     struct rg_error *why)
{
    struct rg_study less;
    struct rg_study_want fewer = *want;
    fewer.hosts = seats;
    fewer.host_count = count;
    fewer.look_platform = NULL;
    fewer.replay = NULL;
    *why = (struct rg_error){0};
    if (open_at(&fewer, &less, why) != 0)
        return why->code;
    const struct rg_job *job = &less.jobs[0];
    if (job->refused)
        *why = less.refusals[0];
    else if (job->nodes != count)
        rg_fail(why, RG_ERR_INVALID, "it trains on %d", job->nodes);
    else
        rg_job_fits(job, why);
    rg_study_close(&less);
    return why->code;
}

int rg_study_fitting(const struct rg_study_want *want, int multiple, const int *seats, int left,
                     struct rg_error *why)
{
    enum { TRIES = 16 }; /* each opens the scenario, on a board that others wait for */
    struct rg_error first = {0};
    int each = RG_MAX(multiple, 1), count = left - left % each;
    int fit = 0;
    for (int i = 0; i < TRIES && count > 0 && fit == 0; i++, count -= each) {
        fit = try_fewer(want, seats, count, why) == 0 ? count : 0;
        if (i == 0)
            first = *why;
    }
    if (fit == 0 && first.code == 0)
        rg_fail(&first, RG_ERR_INVALID, "nobody would be left");
    *why = first;
    return fit;
}

/* Could the job go on with a node less? */
static int check_shrink(const struct rg_study_want *want, const struct rg_study *study,
                        const struct rg_job *job, struct rg_error *e)
{
    struct rg_error why = {0};
    char text[400], *label = (char *)job->label;
    if (job->rows && !job->strategy->keepers)
        return fail_lose(
            study, job, e,
            "divides a batch among nodes whose rows are lost with them: rows=\"shared\", or "
            "kind=\"fedavg\" or \"fsvrg\", is allowed");
    int count = job->nodes - 1, *seats = calloc((size_t)job->nodes, sizeof *seats);
    if (!seats)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", study->scenario.file);
    struct rg_study_want one = *want;
    one.labels = &label;
    one.label_count = 1;
    one.began = job->nodes;
    for (int i = 0; i < count; i++)
        seats[i] = i;
    int fit = rg_study_fitting(&one, job->multiple, seats, count, &why);
    free(seats);
    if (fit > 0)
        return 0;
    snprintf(text, sizeof text,
             "cannot go on with %d node%s: %.250s; lose=\"stop\", \"restart\" and \"spare\" are "
             "allowed",
             count, count == 1 ? "" : "s", why.text);
    return fail_lose(study, job, e, text);
}

static int check_losses(const struct rg_study_want *want, const struct rg_study *study,
                        struct rg_error *e)
{
    const struct rg_training *t = &study->scenario.training;
    int err = 0;
    for (int i = 0; i < study->job_count && err == 0; i++) {
        const struct rg_job *job = &study->jobs[i];
        char text[200];
        if (job->refused || t->lose == RG_LOSE_STOP)
            continue;
        if (want->replay)
            err = fail_lose(study, job, e,
                            "follows the order of another run (--replay), in which all nodes have "
                            "their part: lose=\"stop\" is allowed");
        else if (t->lose == RG_LOSE_SHRINK)
            err = check_shrink(want, study, job, e);
        else if (t->lose == RG_LOSE_SPARE && job->nodes + t->spares > study->platform.count) {
            snprintf(text, sizeof text,
                     "runs on %d nodes, and with spares=\"%d\" on %d: the platform has %d hosts",
                     job->nodes, t->spares, job->nodes + t->spares, study->platform.count);
            err = fail_lose(study, job, e, text);
        }
    }
    return err;
}

int rg_study_open_at(const struct rg_study_want *want, struct rg_study *study, struct rg_error *e)
{
    int err = open_at(want, study, e);
    if (err == 0 && !want->hosts && (err = check_losses(want, study, e)) != 0)
        rg_study_close(study);
    if (err && e)
        rg_one_line(e->text);
    return err;
}

int rg_study_open(const char *file, char *const *sets, int set_count, char *const *labels,
                  int label_count, struct rg_study *study, struct rg_error *e)
{
    const struct rg_study_want want = {.file = file,
                                       .sets = sets,
                                       .set_count = set_count,
                                       .labels = labels,
                                       .label_count = label_count};
    return rg_study_open_at(&want, study, e);
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
    for (int i = 0; i < study->job_count; i++)
        rg_deal_free(&study->deals[i]);
    free(study->deals);
    free(study->jobs);
    free(study->refusals);
    if (study->replayed)
        rg_result_free(study->replayed);
    free(study->replayed);
    rg_dataset_free(&study->data);
    rg_network_free(&study->network);
    rg_platform_free(&study->platform);
    rg_study_free_profiles(study);
    rg_scenario_free(&study->scenario);
    *study = (struct rg_study){0};
}
