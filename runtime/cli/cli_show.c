/* What --list and --check print, and what each strategy could hold. */
#include "cli/cli.h"

#include "base/check.h"
#include "base/need.h"
#include "result/human.h"
#include "scenario/settings.h"
#include "strategies/samples.h"
#include "strategies/shares.h"
#include "study/capacity.h"
#include "study/saving.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- --list ---- */

static void print_param(const struct rg_param *param, FILE *stream)
{
    char allowed[RG_TYPE_WORDS] = "N,N,...";
    const struct rg_type type = rg_job_param_type(param);
    if (param->type != RG_PARAM_LIST)
        rg_type_allowed(&type, allowed, sizeof allowed);
    if (param->type == RG_PARAM_LIST && param->choices)
        snprintf(allowed, sizeof allowed, "%s or N,N,...", param->choices);
    bool word =
        (param->type == RG_PARAM_LIST && !param->choices) || strcmp(param->fallback, "auto") == 0;
    if (param->type == RG_PARAM_WORDS) {
        size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, ", one or several, or %s", param->fallback);
    }
    const char *more = param->type == RG_PARAM_COUNT ? param->choices : NULL;
    fprintf(stream, "      %s=\"%s\"  (%s%s%s%s%s)\n", param->name, param->fallback, allowed,
            word ? " or " : "", word ? param->fallback : "", more ? "|" : "", more ? more : "");
    for (const char *line = param->help, *end; line; line = *end ? end + 1 : NULL) {
        end = strchrnul(line, '\n');
        fprintf(stream, "          %.*s\n", (int)(end - line), line);
    }
}

/* batch  (1 to 16777216; needed; --set batch) */
static void print_setting(const struct rg_setting_info *info, FILE *stream)
{
    char allowed[RG_TYPE_WORDS], absent[60] = "";
    double unused;
    rg_type_allowed(&info->type, allowed, sizeof allowed);
    rg_type_write(&info->type, info->absent, absent, sizeof absent);
    bool has_default = !info->needed && !info->with && rg_type_has_number(&info->type) &&
                       rg_type_read(&info->type, absent, &unused, NULL) == 0;
    fprintf(stream, has_default ? "      %s=\"%s\"  (%s" : "      %s%s  (%s", info->name,
            has_default ? absent : "", allowed);
    if (info->either)
        fprintf(stream, "; or %s, one of them is needed", info->either);
    else if (info->needed)
        fputs("; needed", stream);
    if (info->with)
        fprintf(stream, "; only with %s", info->with);
    if (info->key)
        fprintf(stream, "; --set %s", info->key);
    if (info->older)
        fprintf(stream, ", also called %s", info->older);
    fprintf(stream, ")\n          %s\n", info->help);
}

static void list_settings(FILE *stream)
{
    fputs("Settings: attributes of a scenario's elements, with their defaults:\n", stream);
    for (const struct rg_element_info *e = rg_element_infos; e->name; e++) {
        fprintf(stream, "\n  <%s>%s%s\n", e->name, e->parent ? " in " : "",
                e->parent ? e->parent : "");
        for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++)
            if (rg_setting_belongs(info, e->name))
                print_setting(info, stream);
    }
    fputs("\n  for --set alone\n", stream);
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++)
        if (!info->element)
            print_setting(info, stream);
}

void rg_cli_list(FILE *stream)
{
    list_settings(stream);
    fputs("\nStrategies (<strategy label=\"...\" kind=\"KIND\" nodes=\"N\" .../>), parameters with "
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
    fputs("\nData (<data kind=\"KIND\" train=\"N\" test=\"N\" .../>):\n\n", stream);
    for (int i = 0; rg_data_kinds[i]; i++) {
        const struct rg_data_kind *kind = rg_data_kinds[i];
        fprintf(stream, "  %-10s %s\n", kind->name, kind->summary);
        for (int k = 0; kind->attributes[k].name; k++) {
            const struct rg_data_attribute *a = &kind->attributes[k];
            char name[80];
            snprintf(name, sizeof name, a->choices ? "%s=%s" : "%s%s", a->name,
                     a->choices                 ? a->choices
                     : a->type == RG_DATA_FILE  ? "=FILE"
                     : a->type == RG_DATA_COUNT ? "=N"
                                                : "=TEXT");
            fprintf(stream, "      %-28s %s%s\n", name, a->help, a->needed ? " (needed)" : "");
        }
    }
    fputs("\nOptimizers (<training optimizer=\"KIND\" learning-rate=\"RATE\" .../>):\n\n", stream);
    for (const struct rg_optimizer_info *info = rg_optimizer_infos; info->name; info++)
        fprintf(stream, "  %-10s %s\n", info->name, info->summary);
    char keys[RG_SETTING_KEYS];
    rg_setting_keys(keys);
    fprintf(stream, "\nKeys of --set and <sweep>: %s\n", keys);
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

static const char *where_c_is(const struct rg_job *job)
{
    if (rg_job_medium_rate(job) > 0)
        return "at the busiest port, or on the medium that nodes share";
    if (rg_job_has_bus(job))
        return "at the busiest port, both directions together where one bus carries them";
    return "in one direction of the busiest port";
}

/* Where boards differ and the batch is divided evenly: what shares by speed would save. */
static void tell_shares(const struct rg_job *job, const struct rg_prediction *p, FILE *stream)
{
    int first, parts = job->strategy->sharing ? job->strategy->sharing(job, &first) : 0;
    bool alike = true;
    for (int i = 1; i < parts; i++)
        alike = alike && job->boards[first + i] == job->boards[first];
    if (alike || job->shares)
        return;
    int *shares = rg_shares_by_speed(job, first, parts);
    struct rg_job other = *job;
    struct rg_prediction faster;
    char a[RG_HUMAN], b[RG_HUMAN];
    other.shares = shares;
    other.foretold.known = false;
    rg_job_predict(&other, &faster);
    if (shares && faster.iteration_s < p->iteration_s)
        fprintf(stream,
                "  shares      equal; with shares=\"speed\" an iteration is predicted to take "
                "%s, %s less\n",
                rg_human_seconds(faster.iteration_s, a),
                rg_human_percent(1 - faster.iteration_s / p->iteration_s, b));
    free(shares);
}

/* How many samples the nodes have that have their own. */
static void tell_rows(const struct rg_job *job, FILE *stream)
{
    int least = job->data->train, most = 0;
    for (int part = 0; job->rows && part < job->rows->parts; part++) {
        least = RG_MIN(least, rg_deal_count(job->rows, part));
        most = RG_MAX(most, rg_deal_count(job->rows, part));
    }
    if (job->rows && least == most)
        fprintf(stream, "  rows        each of %d nodes has its own %d samples\n", job->rows->parts,
                most);
    else if (job->rows)
        fprintf(stream, "  rows        each of %d nodes has its own %d to %d samples\n",
                job->rows->parts, least, most);
}

static void tell_traffic(const struct rg_job *job, const struct rg_prediction *p, FILE *stream)
{
    char a[RG_HUMAN], b[RG_HUMAN], c[RG_HUMAN], d[RG_HUMAN], of[40] = "an iteration";
    double rounds = (double)job->iterations / (double)RG_MAX(p->round, 1);
    if (p->round > 1)
        snprintf(of, sizeof of, "in %" PRId64 " iterations", p->round);
    fprintf(stream, "  traffic     %s%s messages, %s values, %s payload %s; %s in all\n",
            p->at_most ? "up to " : "", rg_human_count((double)p->messages, a),
            rg_human_count((double)p->values, b), rg_human_bytes((double)p->payload_bytes, c), of,
            rg_human_bytes((double)p->payload_bytes * rounds, d));
}

static void show_schedule(const struct rg_optimizer *optimizer, FILE *stream)
{
    if (optimizer->schedule == RG_RATE_STEP)
        fprintf(stream, " that falls to %g of itself every %ld updates",
                optimizer->factor > 0 ? optimizer->factor : 0.1, optimizer->period);
    if (optimizer->schedule == RG_RATE_COSINE && optimizer->period)
        fprintf(stream, " that falls to %g of itself along a cosine of %ld updates",
                optimizer->factor, optimizer->period);
    else if (optimizer->schedule == RG_RATE_COSINE)
        fprintf(stream, " that falls to %g of itself along a cosine", optimizer->factor);
}

/* Where a loss of any board ends the run, many boards lose as many times more often. As long as the
 * card is written no other is. */
/* Between two checkpoints: where a node is lost every node_s on average, and no sooner than the
 * card has the one before. */
static void best_intervals(const struct rg_job *job, const struct rg_saving *saving, double node_s,
                           char daly[RG_HUMAN], char young[RG_HUMAN])
{
    double least_s = isnan(saving->writing_s) ? 0 : saving->writing_s;
    double mtbf_s = node_s / job->nodes;
    rg_human_seconds(fmax(rg_interval_daly_s(saving->pause_s, mtbf_s), least_s), daly);
    rg_human_seconds(fmax(rg_interval_young_s(saving->pause_s, mtbf_s), least_s), young);
}

static void tell_intervals(const struct rg_job *job, const struct rg_saving *saving, double mtbf_s,
                           FILE *stream)
{
    static const double board_days[] = {1, 10, 100};
    char daly[RG_COUNT(board_days)][RG_HUMAN], young[RG_COUNT(board_days)][RG_HUMAN];
    if (mtbf_s > 0) {
        best_intervals(job, saving, mtbf_s, daly[0], young[0]);
        fprintf(stream,
                "              best every %s (Daly; Young: %s) at the scenario's mtbf=\"%g\"\n",
                daly[0], young[0], mtbf_s);
        return;
    }
    for (size_t i = 0; i < RG_COUNT(board_days); i++)
        best_intervals(job, saving, board_days[i] * 86400, daly[i], young[i]);
    fprintf(stream,
            "              best every %s, %s, %s (Daly; Young: %s, %s, %s) at a loss in 1, 10, 100 "
            "board-days\n",
            daly[0], daly[1], daly[2], young[0], young[1], young[2]);
}

static void tell_checkpoints(const struct rg_job *job, double mtbf_s, bool wanted, FILE *stream)
{
    char a[RG_HUMAN], b[RG_HUMAN], c[RG_HUMAN];
    if (!job->strategy->state || (!job->numerics && !wanted))
        return;
    struct rg_saving saving = rg_saving_predict(job);
    fprintf(stream, "  checkpoint  %s; training stands still for %s",
            rg_human_bytes((double)saving.bytes, a), rg_human_seconds(saving.pause_s, b));
    if (!isnan(saving.writing_s))
        fprintf(stream, ", the card is written for %s beside it",
                rg_human_seconds(saving.writing_s, c));
    fputc('\n', stream);
    tell_intervals(job, &saving, mtbf_s, stream);
}

/* What nodes keep of each other's state, and whether that hides. */
static void tell_copies(const struct rg_prediction *p, bool goes_on, FILE *stream)
{
    const struct rg_copies_form *c = &p->copies;
    char a[RG_HUMAN], b[RG_HUMAN], d[RG_HUMAN], e[RG_HUMAN];
    if (c->most == 0)
        return;
    char every[40] = "every update";
    if (c->every > 1)
        snprintf(every, sizeof every, "every %d updates", c->every);
    fprintf(
        stream,
        "  backup      at most %d iteration%s done again after a loss: after %s the state of each\n"
        "              stage goes to the next node, in %d piece%s of up to %s, each %s on its "
        "way,\n"
        "              %s the %s that a unit computes on its way round the ring;\n"
        "              %d states of two stages are kept, %s\n",
        c->most, c->most == 1 ? " is" : "s are", every, c->pieces, c->pieces == 1 ? "" : "s",
        rg_human_bytes((double)c->piece_bytes, a), rg_human_seconds(c->piece_s, b),
        c->piece_s <= c->hides_s ? "hidden behind" : "more than", rg_human_seconds(c->hides_s, d),
        c->kept, rg_human_bytes((double)c->bytes, e));
    if (!goes_on)
        fputs("              nobody goes on with them: lose=\"stop\" (restart, shrink and spare "
              "do)\n",
              stream);
}

static void check_job(const struct rg_job *job, const struct rg_scenario *s, FILE *stream)
{
    struct rg_prediction p;
    struct rg_error why = {0};
    char a[RG_HUMAN], b[RG_HUMAN], c[RG_HUMAN];
    rg_job_predict(job, &p);
    fprintf(stream, "\n%s: %s,", job->label, job->strategy->name);
    print_params(job, stream);
    const char *plural = job->iterations == 1 ? "" : "s";
    if (job->strategy->keepers) /* who take steps of their own */
        fprintf(stream, "\n  nodes       %d, %" PRId64 " round%s\n", job->nodes, job->iterations,
                plural);
    else
        fprintf(stream, "\n  nodes       %d, %" PRId64 " iteration%s of %d sample%s\n", job->nodes,
                job->iterations, plural, job->batch, job->batch == 1 ? "" : "s");
    fprintf(stream, "  T_A         %s an iteration computing, at the busiest node\n",
            rg_human_seconds(p.T_A_s, a));
    fprintf(stream, "  c           %s an iteration %s%s\n", rg_human_seconds(p.c_s, a),
            where_c_is(job), p.overlap ? "" : "; it does not overlap with T_A");
    fprintf(
        stream, "  iteration   %s predicted, %s of it above max(c, T_A)\n",
        rg_human_seconds(p.iteration_s, a),
        rg_human_percent(p.iteration_s > 0 ? 1 - fmax(p.c_s, p.T_A_s) / p.iteration_s : NAN, b));
    char *line;
    for (int i = 0; (line = rg_job_profile_line(job, i)); i++) {
        fprintf(stream, "  measured    %s\n", line);
        free(line);
    }
    double plan_s = rg_job_plan_s(job);
    if (isfinite(plan_s))
        fprintf(stream, "  plan        %s an iteration, by going through what every node does\n",
                rg_human_seconds(plan_s, a));
    fprintf(stream, "  time        %s for all iterations\n",
            rg_human_seconds(p.iteration_s * (double)job->iterations, a));
    tell_traffic(job, &p, stream);
    fprintf(stream, "  memory      %s on node %d (%s has %s), %s of it samples\n",
            rg_human_bytes((double)p.memory_bytes, a), p.bottleneck,
            job->boards[p.bottleneck]->name,
            rg_human_bytes((double)job->boards[p.bottleneck]->memory_bytes, b),
            rg_human_bytes((double)rg_job_samples_memory(job, p.bottleneck), c));
    tell_rows(job, stream);
    tell_shares(job, &p, stream);
    const char *rough = rg_job_rough(job, &p);
    rough = rough ? rough : p.holds;
    if (rough)
        fprintf(stream, "  rough       the iteration is an estimate: %s\n", rough);
    if (job->whole)
        fprintf(stream, "  whole       no iteration is extrapolated: %s\n", job->whole);
    struct rg_every every;
    tell_copies(&p, s->training.lose != RG_LOSE_STOP, stream);
    tell_checkpoints(job, s->faults.mtbf_s,
                     rg_faults_have_off(&s->faults) || rg_scenario_every(s, &every), stream);
    if (rg_job_fits(job, &why) == 0)
        fputs("  fits        yes\n", stream);
    else
        fprintf(stream, "  fits        no: %s\n", why.text);
    fputs("  largest     ", stream);
    print_capacity(job, stream);
}

static void show_stop(const struct rg_stop *stop, FILE *stream)
{
    char text[RG_HUMAN];
    if (isfinite(stop->accuracy))
        fprintf(stream, "  stop        at an accuracy of %s\n",
                rg_human_percent(stop->accuracy, text));
    if (isfinite(stop->loss))
        fprintf(stream, "  stop        at a loss of %s\n", rg_human_number(stop->loss, text));
    if (stop->patience > 0)
        fprintf(stream, "  stop        after %d epoch%s in a row without less loss\n",
                stop->patience, stop->patience == 1 ? "" : "s");
}

static const char *targets_of(const struct rg_dataset *data, char *text, size_t size)
{
    int count = data->target_count;
    if (data->classes == 0)
        snprintf(text, size, "%d number%s to come near to", count, count == 1 ? "" : "s");
    else if (count == 1)
        snprintf(text, size, "%d classes", data->classes);
    else
        snprintf(text, size, "%d classes for each of %d tokens", data->classes, count);
    return text;
}

/* Of a layer that contains others: bytes of the cheapest cut inside of it, where what goes round
 * its layers would travel with what they make, over those of one beside it. INFINITY: it is one. */
static double cost_of_cut_inside(const struct rg_layer *layer)
{
    const struct rg_network *body = layer->body;
    size_t beside = RG_MIN(layer->inputs, layer->outputs);
    size_t round = layer->shortcut ? beside : layer->inputs;
    double least = INFINITY;
    for (int l = 0; l + 1 < body->layer_count; l++)
        least = fmin(least, (double)(round + body->layers[l].outputs) / (double)beside);
    return least;
}

/* Where a ring may be cut, and why not elsewhere. */
static void tell_cuts(const struct rg_study *study, FILE *stream)
{
    const struct rg_network *network = &study->network;
    bool rings = false;
    int whole = 0;
    double least = INFINITY;
    for (int i = 0; i < study->job_count; i++)
        rings = rings || study->jobs[i].strategy->holder;
    for (int l = 0; l < network->layer_count; l++)
        if (network->layers[l].body) {
            least = fmin(least, cost_of_cut_inside(&network->layers[l]));
            whole++;
        }
    if (!rings || whole == 0)
        return;
    fprintf(stream,
            "  cuts        a ring may be cut between any two of the %d layers, not inside of the "
            "%d that\n              %s a <residual>",
            network->layer_count, whole, whole == 1 ? "is" : "are");
    if (isfinite(least))
        fprintf(stream,
                ": what goes round its layers would travel with what they make,\n"
                "              at least %.3g times the bytes of a cut beside it",
                least);
    fputc('\n', stream);
}

void rg_cli_check(const struct rg_study *study, FILE *stream)
{
    const struct rg_scenario *s = &study->scenario;
    const struct rg_training *t = &s->training;
    char a[RG_HUMAN], b[RG_HUMAN], targets[60];
    fprintf(stream, "%s (%s), seed %" PRIu64 "\n", s->name, s->file, s->seed);
    fprintf(stream, "  platform    %s: %d host%s, the first is %s (%s)\n", study->platform.file,
            study->platform.count, study->platform.count == 1 ? "" : "s", study->platform.names[0],
            study->platform.boards[0]->name);
    for (int i = 0; i < study->platform.note_count; i++)
        fprintf(stream, "              %s\n", study->platform.notes[i]);
    fprintf(stream, "  network     %s: %s, %d layer%s, %s parameters (%s)\n", study->network.file,
            study->network.name, study->network.layer_count,
            study->network.layer_count == 1 ? "" : "s",
            rg_human_count((double)study->network.parameters, a),
            rg_human_bytes(sizeof(float) * (double)study->network.parameters, b));
    tell_cuts(study, stream);
    fprintf(stream, "  data        %s: %zu inputs, %s, %d samples to train, %d to test\n",
            s->data.kind->name, study->data.inputs,
            targets_of(&study->data, targets, sizeof targets), study->data.train, study->data.test);
    for (int i = 0; i < study->data.note_count; i++)
        fprintf(stream, "              %s\n", study->data.notes[i]);
    fprintf(stream, "  training    batch %d, %s, learning rate %g", t->batch,
            rg_optimizer_infos[t->optimizer.kind].name, t->optimizer.rate);
    if (t->optimizer.kind == RG_MOMENTUM)
        fprintf(stream, ", momentum %g", t->optimizer.momentum);
    if (t->optimizer.ramp > 0)
        fprintf(stream, " after a ramp of %ld updates", t->optimizer.ramp);
    show_schedule(&t->optimizer, stream);
    if (t->optimizer.clip > 0)
        fprintf(stream, ", gradients clipped to %g", t->optimizer.clip);
    if (t->optimizer.l1 > 0)
        fprintf(stream, ", l1 %g", t->optimizer.l1);
    if (t->optimizer.l2 > 0)
        fprintf(stream, ", l2 %g", t->optimizer.l2);
    if (t->compensate)
        fputs(", delays compensated", stream);
    fprintf(stream, ", %d thread%s a node, numerics %s\n", t->threads, t->threads == 1 ? "" : "s",
            t->numerics ? "real" : "skip");
    if (study->data.train % t->batch > 0 && study->data.train > t->batch)
        fprintf(stream, "  left out    %d of %d samples in each epoch: they make no whole batch\n",
                study->data.train % t->batch, study->data.train);
    show_stop(&s->stop, stream);
    if (rg_scenario_has_faults(s))
        fprintf(
            stream,
            "  faults      %d slow windows of nodes, %d of links, jitter up to %g %%; the closed "
            "forms are without\n",
            s->faults.slow.count, s->faults.link.count, 100 * s->faults.spread);
    for (int i = 0; i < study->job_count; i++)
        check_job(&study->jobs[i], s, stream);
    fprintf(stream, "\n%s", capacity_note);
}

void rg_cli_tell_capacities(const struct rg_options *options, const struct rg_study *study,
                            const struct rg_result *result)
{
    int short_of = 0;
    for (int i = 0; i < result->run_count; i++)
        short_of += result->runs[i].status == RG_RUN_NO_FIT;
    if (short_of == 0 || !rg_cli_shows_table(options))
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
    result.runs = rg_need_zeroed((size_t)plan->run_count, sizeof *result.runs);
    for (int i = 0; i < plan->run_count; i++) {
        result.runs[i] = plan->runs[i].run; /* theirs stays theirs */
        impossible += result.runs[i].status == RG_RUN_IMPOSSIBLE;
        too_large += result.runs[i].status == RG_RUN_NO_FIT;
    }
    fprintf(stream, "%s (%s), seed %" PRIu64 "\n", plan->name, plan->want.file, plan->seed);
    fprintf(stream,
            "  sweep       %ld point%s, %d run%s: %d to simulate, %d do not fit, %d impossible\n\n"
            "what the closed forms say about one iteration:\n\n",
            plan->points, plan->points == 1 ? "" : "s", plan->run_count,
            plan->run_count == 1 ? "" : "s", plan->run_count - impossible - too_large, too_large,
            impossible);
    rg_result_predictions(&result, stream);
    fputs("\nT_A, c: compute and communication time at the bottleneck node; sent: payload of all "
          "nodes together;\nmemory: the largest on a node\n",
          stream);
    free(result.runs);
}
