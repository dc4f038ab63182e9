/* What a job's `check` has decided, for ranks that must not decide it each for itself: seconds and
 * whatever follows from them (partition, depth) come from functions of the C library that do not
 * give the same bits everywhere.
 *
 * Happy path: the text of another rank says what this one says, and nothing is done. Else every
 * parameter that was left to `check` becomes what the text has, and the job is checked again.
 * Failure modes handled: a text of other parameters, values that `check` refuses here, no memory.
 */
#include "study/job_parts.h"

#include "base/check.h"
#include "models/stage.h"
#include <stdlib.h>
#include <string.h>

static void add_products(const struct rg_network *network, int batch, struct rg_products *products);

static void add_layer(const struct rg_network *network, int l, int batch,
                      struct rg_products *products)
{
    const struct rg_layer *layer = &network->layers[l];
    const struct rg_stage alone = {.network = network, .from = l, .to = l + 1};
    struct rg_work work = {0};
    if (layer->spec.ops->convolves) {
        products->convolutions = true;
        return;
    }
    if (layer->body) {
        add_products(layer->body, batch, products);
        if (layer->shortcut)
            add_products(layer->shortcut, batch, products);
        return;
    }
    rg_stage_work(&alone, batch, RG_FORWARD, &work);
    rg_stage_work(&alone, batch, RG_BACKWARD, &work);
    for (int i = 0; i < work.count; i++) {
        const struct rg_cost *cost = &work.cost[i];
        if (cost->m == 0)
            continue;
        products->longest = RG_MAX(products->longest, cost->k);
        products->vectors = products->vectors || cost->m == 1 || cost->n == 1;
    }
    rg_work_free(&work);
}

static void add_products(const struct rg_network *network, int batch, struct rg_products *products)
{
    for (int l = 0; l < network->layer_count; l++)
        add_layer(network, l, batch, products);
}

struct rg_products rg_job_products(const struct rg_job *job)
{
    struct rg_products products = {.longest = 0};
    add_products(job->network, job->batch, &products);
    return products;
}

char *rg_job_settled(const struct rg_job *job)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    fprintf(stream, "nodes=%d", job->nodes);
    bool there = true;
    for (int i = 0; job->strategy->params[i].name; i++) {
        char *value = rg_job_param_text(job, i);
        there = there && value;
        fprintf(stream, " %s=%s", job->strategy->params[i].name, value ? value : "");
        free(value);
    }
    if (fclose(stream) == 0 && there)
        return text;
    free(text);
    return NULL;
}

/* The value of a name in a text of rg_job_settled's, malloc'ed; NULL: it is not there. */
static char *value_of(const char *text, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = text; at; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (strncmp(at, name, length) == 0 && at[length] == '=')
            return strndup(at + length + 1, strcspn(at + length + 1, " "));
    }
    return NULL;
}

/* "partition=4,4,3 depth=9": what the text has otherwise than this job. */
static void describe_difference(const struct rg_job *job, const char *text, char *to, size_t size)
{
    to[0] = 0;
    for (int i = 0; job->strategy->params[i].name; i++) {
        const char *name = job->strategy->params[i].name;
        char *own = rg_job_param_text(job, i), *other = value_of(text, name);
        size_t used = strlen(to);
        if (own && other && strcmp(own, other) != 0)
            snprintf(to + used, size - used, "%s%s=%.120s", used ? " " : "", name, own);
        free(own);
        free(other);
    }
}

static int take_values(struct rg_job *job, const char *text, struct rg_error *e)
{
    int result = 0;
    for (int i = 0; job->strategy->params[i].name && result == 0; i++) {
        struct rg_value *value = &job->values[i];
        const char *word = value->text;
        if (!value->automatic)
            continue;
        char *other = value_of(text, job->strategy->params[i].name);
        free(value->list);
        value->list = NULL;
        result = other ? rg_job_parse_value(&job->strategy->params[i], other, value, e)
                       : rg_fail(e, RG_ERR_PROTOCOL, "rank 0's plan says nothing of %s",
                                 job->strategy->params[i].name);
        value->text = word; /* which outlives the other */
        free(other);
    }
    return result;
}

int rg_job_settle(struct rg_job *job, const char *text, char *own, size_t size, struct rg_error *e)
{
    char *mine = rg_job_settled(job);
    own[0] = 0;
    if (!mine)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    bool same = strcmp(mine, text) == 0;
    free(mine);
    if (same)
        return 0;
    describe_difference(job, text, own, size);
    int result = take_values(job, text, e);
    job->settled = true;
    if (job->strategy->forget)
        job->strategy->forget(job);
    result = result ? result : job->strategy->check(job, e);
    mine = result ? NULL : rg_job_settled(job);
    if (result == 0 && (!mine || strcmp(mine, text) != 0))
        result = rg_fail(e, RG_ERR_PROTOCOL, "rank 0's plan (%.300s) cannot be taken here", text);
    free(mine);
    return result;
}
