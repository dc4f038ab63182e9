/* Runs and results: their life, and what their fields say together. */
#include "result/result.h"

#include "base/check.h"
#include "result/result_fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void rg_run_init(struct rg_run *run)
{
    rg_record_init(&rg_run_record, run);
    strcpy(run->energy_source, "none");
}

void rg_run_free(struct rg_run *run)
{
    rg_record_free(&rg_run_record, run);
    *run = (struct rg_run){0};
}

static int append(struct rg_run_setting **list, int *count, const char *name, const char *value)
{
    struct rg_run_setting *longer = realloc(*list, (size_t)(*count + 1) * sizeof *longer);
    if (longer)
        *list = longer;
    char *copy = strdup(value);
    if (!longer || !copy) {
        free(copy);
        return RG_ERR_NOMEM;
    }
    struct rg_run_setting *added = &longer[(*count)++];
    snprintf(added->name, sizeof added->name, "%s", name);
    added->value = copy;
    return 0;
}

int rg_run_param(struct rg_run *run, const char *name, const char *value)
{
    return append(&run->params, &run->param_count, name, value);
}

int rg_run_setting(struct rg_run *run, const char *name, const char *value)
{
    return append(&run->sweep, &run->sweep_count, name, value);
}

static int add_text(char ***texts, int *count, const char *text)
{
    char **longer = realloc(*texts, (size_t)(*count + 1) * sizeof *longer);
    if (!longer)
        return RG_ERR_NOMEM;
    *texts = longer;
    longer[*count] = strdup(text);
    return longer[*count] ? (++*count, 0) : RG_ERR_NOMEM;
}

int rg_run_note(struct rg_run *run, const char *text)
{
    return add_text(&run->notes, &run->note_count, text);
}

int rg_run_profile(struct rg_run *run, const char *text)
{
    return add_text(&run->costs.profiles, &run->costs.profile_count, text);
}

int rg_run_order(struct rg_run *run, const char *text)
{
    return add_text(&run->orders, &run->order_count, text);
}

int rg_run_make_nodes(struct rg_run *run, int count)
{
    run->per_node = calloc((size_t)count + 1, sizeof *run->per_node);
    if (!run->per_node)
        return RG_ERR_NOMEM;
    run->node_count = count;
    for (int i = 0; i < count; i++) {
        rg_record_init(&rg_run_node_record, &run->per_node[i]);
        run->per_node[i].rank = i;
    }
    return 0;
}

/* ---- together ---- */

static void balance(struct rg_run_energy *sum)
{
    double parts = sum->idle + sum->compute + sum->network + sum->switches;
    if (!isnan(parts))
        sum->total = parts;
}

void rg_run_add_energy(struct rg_run_energy *sum, const struct rg_run_energy *more)
{
    rg_record_add(&rg_run_energy_record, sum, more);
    balance(sum);
}

void rg_run_add_node(struct rg_run *run, const struct rg_run *node)
{
    rg_record_add(&rg_run_record, run, node);
    balance(&run->energy_J);
}

int64_t rg_run_begun(const struct rg_run *run)
{
    return run->resumed.known ? run->resumed.iteration : 0;
}

void rg_run_derive(struct rg_run *run)
{
    double iterations = (double)RG_MAX(run->iterations - rg_run_begun(run), 1);
    run->formula.T_A_s = run->formula.c_s = 0;
    run->traffic.max_node_bytes = 0;
    for (int i = 0; i < run->node_count; i++) {
        struct rg_run_node *node = &run->per_node[i];
        uint64_t bytes = node->bytes_sent + node->bytes_received;
        node->idle_s = fmax(0, run->time_s - node->busy_s);
        run->formula.T_A_s = fmax(run->formula.T_A_s, node->busy_s / iterations);
        run->formula.c_s = fmax(run->formula.c_s, node->comm_s / iterations);
        run->traffic.max_node_bytes = RG_MAX(run->traffic.max_node_bytes, bytes);
    }
    run->formula.c_s = fmax(run->formula.c_s, run->traffic.medium_s / iterations);
    struct rg_run_late *late = &run->late;
    late->staleness_mean = late->gradients > 0 ? late->updates / (double)late->gradients : NAN;
    struct rg_run_filtered *filtered = &run->filtered;
    filtered->saved_bytes =
        (double)sizeof(float) * (double)filtered->numbers - (double)filtered->bytes;
    run->sample_J = run->samples > 0 ? run->energy_J.total / (double)run->samples : NAN;
    struct rg_run_tokens *tokens = &run->final.tokens;
    tokens->token_J = tokens->per_sample > 0 ? run->sample_J / tokens->per_sample : NAN;
}

int64_t rg_run_edge(const struct rg_run *run, int64_t count, bool *steady)
{
    int64_t in_flight = 1 + run->staleness;
    *steady = run->staleness == 0 || count >= 3 * in_flight;
    return *steady ? RG_MIN(in_flight, (count - 1) / 2) : 0;
}

void rg_run_observe(struct rg_run *run, bool steady)
{
    double predicted = run->formula.predicted_iteration_s;
    run->formula.observed_iteration_s = steady ? run->iteration_s.mean : NAN;
    run->formula.ratio = predicted > 0 ? run->formula.observed_iteration_s / predicted : NAN;
}

/* ---- results ---- */

struct rg_result rg_result_of(const char *tool, const char *world, const char *scenario,
                              const char *scenario_sha256, uint64_t seed)
{
    struct rg_result result;
    rg_record_init(&rg_result_record, &result);
    snprintf(result.version, sizeof result.version, "%s", RG_VERSION);
    snprintf(result.tool, sizeof result.tool, "%s", tool);
    snprintf(result.world, sizeof result.world, "%s", world);
    rg_copy_text(result.scenario, sizeof result.scenario, scenario);
    snprintf(result.scenario_sha256, sizeof result.scenario_sha256, "%s",
             scenario_sha256 ? scenario_sha256 : "");
    result.seed = seed;
    return result;
}

void rg_result_free(struct rg_result *result)
{
    rg_record_free(&rg_result_record, result);
    *result = (struct rg_result){0};
}
