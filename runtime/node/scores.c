#include "node/scores.h"

#include "base/check.h"
#include "base/sizes.h"
#include "models/loss.h"
#include "node/block.h"
#include "node/inspect.h"
#include "result/human.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sums over the blocks of what is scored. */
struct sums {
    const struct rg_dataset *data;
    struct rg_targets targets;
    int first, done;
    double loss;
    int64_t correct;
    float *outputs; /* [samples x count] of numbers, whose R2 takes all of them; else NULL */
};

static void score_block(struct sums *s, struct rg_block *block, int n)
{
    size_t at = (size_t)s->first + (size_t)s->done, count = (size_t)s->targets.count;
    for (size_t i = 0; i < (size_t)n; i++)
        rg_dataset_copy_x(s->data, at + i, block->x + i * s->data->inputs);
    rg_block_pass(block, 0, block->network->layer_count, n);
    s->loss +=
        rg_loss(&s->targets, n, block->x, rg_dataset_target(s->data, at), 1, NULL, &s->correct);
    if (s->outputs)
        memcpy(s->outputs + (size_t)s->done * count, block->x,
               (size_t)n * count * sizeof *s->outputs);
    s->done += n;
}

int rg_score(const struct rg_network *network, const float *parameters,
             const struct rg_dataset *data, int first, int count, struct rg_score *score)
{
    struct sums s = {.data = data, .targets = rg_dataset_targets(data), .first = first};
    bool numbers = s.targets.classes == 0;
    struct rg_block block;
    *score = (struct rg_score){count, NAN, NAN, NAN};
    if (count == 0)
        return 0;
    int err = rg_block_open(&block, network, parameters, RG_INSPECT_SAMPLES);
    if (err == 0 && numbers)
        s.outputs = calloc((size_t)count, (size_t)s.targets.count * sizeof *s.outputs);
    if (numbers && !s.outputs)
        err = RG_ERR_NOMEM;
    while (err == 0 && s.done < count)
        score_block(&s, &block, RG_MIN(RG_INSPECT_SAMPLES, count - s.done));
    if (err == 0) {
        score->loss = s.loss / count;
        if (numbers)
            score->r2 = rg_loss_r2(&s.targets, (size_t)count, s.outputs,
                                   rg_dataset_target(data, (size_t)first));
        else
            score->accuracy = (double)s.correct / ((double)count * s.targets.count);
    }
    free(s.outputs);
    rg_block_close(&block);
    return err;
}

/* What a run's table has of its test samples, and the loss. */
static void add_row(struct rg_table *table, const char *name, const struct rg_score *score)
{
    char samples[RG_HUMAN], loss[RG_HUMAN], of[RG_HUMAN], bits[RG_HUMAN], perplexity[RG_HUMAN];
    snprintf(samples, sizeof samples, "%d", score->samples);
    snprintf(loss, sizeof loss, "%.6g", score->loss);
    if (isnan(score->accuracy))
        rg_human_ratio(score->r2, of);
    else
        rg_human_percent(score->accuracy, of);
    rg_human_ratio(score->loss / M_LN2, bits);
    rg_human_number(exp(score->loss), perplexity);
    rg_table_row(table, (const char *[]){name, samples, loss, of, bits, perplexity}, NULL);
}

static void tell_scores(const struct rg_dataset *data, const struct rg_score scores[2],
                        FILE *stream)
{
    struct rg_table table = {.columns = data->target_count > 1 && data->classes > 0 ? 6 : 4};
    const char *of = data->classes > 0 ? "accuracy" : "R2";
    rg_table_row(&table, (const char *[]){"", "samples", "loss", of, "bits", "perplexity"}, NULL);
    add_row(&table, "train", &scores[0]);
    if (data->test > 0)
        add_row(&table, "test", &scores[1]);
    rg_table_print(&table, stream);
    rg_table_free(&table);
}

int rg_scores_here(struct rg_study *study, const char *load, FILE *tell, struct rg_error *e)
{
    struct rg_dataset *data = &study->data;
    struct rg_score scores[2];
    float *parameters = NULL;
    int err = rg_checkpoint_load(load, &study->network, data, &parameters, e);
    if (err == 0)
        err = rg_dataset_read(&study->scenario.data,
                              (struct rg_data_kept){.train = true, .test = true}, data, e);
    const int first[2] = {0, data->train}, count[2] = {data->train, data->test};
    for (int i = 0; i < 2 && err == 0; i++)
        if (rg_score(&study->network, parameters, data, first[i], count[i], &scores[i]) < 0)
            err = rg_fail(e, RG_ERR_NOMEM, "out of memory");
    if (err == 0)
        tell_scores(data, scores, tell);
    free(parameters);
    return err;
}
