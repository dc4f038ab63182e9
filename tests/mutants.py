#!/usr/bin/python3
"""Deliberate faults, to see that tests notice them.

Each mutant below changes one place of the product. One after the other they are put into a scratch
copy of the tree, which is built, and the tests concerned are run: a mutant that no test fails for
survives, and wants a test. Run by hand, outside CI; a whole run takes some minutes.

    tests/mutants.py                    all mutants
    tests/mutants.py --only p95-as-p90  one (repeatable)
    tests/mutants.py --list             name, file and tests of each; builds nothing

Progress goes to standard error, the survivors to standard output. Exit status: 0 every mutant was
caught; 1 one survived, its text is not found exactly once in its file (the code has moved on: mend
the list), or it does not compile; 2 wrong usage, or the tree fails its tests without any mutant; 130
interrupted. The scratch copy goes in every case unless --keep is given.

To add one: a line in MUTANTS. `file` is a file's name, unique in the tree; `old` stands in it once;
`new` must compile, without regard to warnings, and must do something wrong that a user could see;
`tests` is a regular expression of ctest's. Tests labelled slow are never run.
"""

import argparse
import collections
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

Mutant = collections.namedtuple("Mutant", "name file old new tests")

MUTANTS = [
    # ---- kernels, layers, loss, optimizers, data ----
    Mutant("rest-of-a-row-lost", "affine.c",
           "total[r] += w[r * n + i] * x[b * n + i]", "total[r] = w[r * n + i] * x[b * n + i]", "test_layers$"),
    Mutant("input-gradient-of-the-last-rows", "affine.c",
           "r += some, add = true", "r += some", "test_layers$"),
    Mutant("relu-passes-gradient-at-0", "activation.h",
           "y > 0 ? dy : 0", "y >= 0 ? dy : 0", "test_layers$"),
    Mutant("slope-of-gelu-without-its-bend", "activation.h",
           "0.5f * z * ((1 - t * t) * slope)", "0", "test_layer_values$"),
    Mutant("images-of-zeros-in-maxpool", "layer_maxpool.c", "to[i] = -INFINITY;", "to[i] = 0;", "test_layer_values$"),
    Mutant("shortcut-without-gradient", "layer_block.c", "layer->shortcut ? back : dy", "dy", "test_layer_kinds$"),
    Mutant("biased-running-variance", "layer_batchnorm.c", "variance * count / (count - 1)", "variance",
           "test_layer_norms$"),
    Mutant("micro-batches-count-whole", "layer_batchnorm.c", "(running[c] - seen) * share", "(running[c] - seen)",
           "test_layer_norms$"),
    Mutant("norms-without-their-variance", "norm.c", "a - (x[i] - mean) * scale * b", "a", "test_layer_kinds$"),
    Mutant("statistics-by-the-optimiser", "update.c", "if (rate > 0)", "if (false)", "test_layer_norms$"),
    Mutant("statistics-in-norms", "update.c", "at, most, &end) == 0)\n            sum", "at, most, &end) >= 0)\n            sum",
           "test_layer_norms$"),
    Mutant("tokens-see-what-comes", "layer_attention.c", "layer->spec.causal ? i + 1 : t", "t", "test_layer_tokens$"),
    Mutant("scores-as-they-are", "layer_attention.c", "1 / sqrt((double)s->each)", "1", "test_layer_tokens$"),
    Mutant("all-samples-drop-the-same", "layer_dropout.c", "rg_mix64(key ^ rg_mix64(sample))", "key",
           "test_layer_tokens$"),
    Mutant("rows-not-divided", "own_rows.c", "v /= (float)s->divisor", "v /= 1", "test_predict$"),
    Mutant("rows-not-centred", "own_rows.c", "(v - s->mean[to])", "(v)", "test_predict$"),
    Mutant("channels-last-as-they-lie", "own_rows.c", "r->channels_last ? i % channels", "false ? i % channels",
           "test_predict$"),
    Mutant("divisor-untold", "checkpoint.c", "data->divisor > 0 &&", "false &&", "test_predict$"),
    Mutant("who-predicts-joins-who-trains", "ringnode_rank.c",
           "if (node->options.predict)\n        rg_digest_add", "if (0)\n        rg_digest_add", "test_predict$"),
    Mutant("last-rows-of-a-block-twice", "outputs.c", "RG_MIN(rows - b * BLOCK, BLOCK)", "RG_MIN(rows, BLOCK)",
           "test_predict$"),
    Mutant("layers-of-a-node-with-the-first-parameters", "block.c", "rg_network_offset(block->network, l)", "0",
           "test_predict$"),
    Mutant("scores-of-the-first-rows", "scores.c", "at = (size_t)s->first + (size_t)s->done", "at = (size_t)s->done",
           "test_predict$"),
    Mutant("scores-of-the-first-block", "scores.c", "s->done += n;", "s->done = s->data->train;", "test_predict$"),
    Mutant("scores-standardised-anew", "scores.c", "rg_checkpoint_load(load, &study->network, data, &parameters, e)",
           "rg_checkpoint_load(load, &study->network, NULL, &parameters, e)", "test_predict$"),
    Mutant("bits-in-nats", "scores.c", "score->loss / M_LN2", "score->loss", "test_predict$"),
    Mutant("evaluate-without-parameters", "cli.c", "options->evaluate && !options->load", "false", "test_predict$"),
    Mutant("cuts-that-send-nothing-round", "cli_show.c", "(double)(round + body->layers[l].outputs)",
           "(double)(0 * round + body->layers[l].outputs)", "test_cli$"),
    Mutant("cuts-with-the-input-beside-a-shortcut", "cli_show.c", "layer->shortcut ? beside : layer->inputs",
           "layer->inputs", "test_cli$"),
    Mutant("tokens-divided", "array_data.c", "a->scale == BY_TYPE && spec->tokens > 0", "false", "test_bad_networks$"),
    Mutant("tokens-between-tokens", "dataset.c", " && x[j] == floorf(x[j])", "", "test_bad_networks$"),
    Mutant("tokens-beyond-the-vocabulary", "dataset.c", "x[j] < (float)spec->tokens", "true", "test_bad_networks$"),
    Mutant("images-of-any-shape", "study.c", "|| !same_shape(network->input, data->shape)",
           "|| (false && !same_shape(network->input, data->shape))", "test_bad_networks$"),
    Mutant("sizes-of-1-are-sizes", "study.c", "if (all[i] != 1)", "if (all[i] != 0)", "test_bad_networks$"),
    Mutant("random-tokens-are-noise", "data_random.c", "spec->tokens > 0 ? (float)rg_random_below", "false ? (float)rg_random_below",
           "test_bad_networks$"),
    Mutant("blocks-overwritten-under-way", "outputs.c", "int err = end_send(way, hop);\n    if", "int err = 0;\n    if",
           "test_outputs$"),
    Mutant("last-blocks-dropped", "outputs.c", "way.count && err == 0; k++)\n        err = end_send", "0; k++)\n        err = end_send", "test_outputs$"),
    Mutant("holder-of-the-layer-before", "ring_pipeline.c", "while (ring->cut[stage + 1] <= layer)",
           "while (ring->cut[stage + 1] < layer)", "test_outputs$"),
    Mutant("blocks-overtaken", "outputs.c", "for (int k = way->count - 1; k >= 0 && err == 0; k--)\n        if (has_part(way, k, step, &n))\n            err = do_hop",
           "for (int k = 0; k < way->count && err == 0; k++)\n        if (has_part(way, k, step, &n))\n            err = do_hop", "test_predict$"),
    Mutant("positions-of-the-first-token", "layer_embedding.c", "row, places + t % tokens * width, y", "row, places, y",
           "test_layer_tokens$"),
    Mutant("shortcuts-in-shortcuts-passed-over", "network_xml.c",
           'depth + 1, "", &shortcut', 'depth + 1, "shortcut", &shortcut', "test_layer_values$"),
    Mutant("layers-inside-not-counted", "network_xml.c",
           "*total += body.total + shortcut.total;", "(void)total;", "test_layer_values$"),
    Mutant("tokens-anywhere", "network.c", "i == 0 && !within", "i == 0", "test_layer_tokens$"),
    Mutant("one-token-is-none", "layer_dense.c", "layer->spec.over_tokens ? (struct rg_shape)",
           "s.rows > 1 ? (struct rg_shape)", "test_layer_values$"),
    Mutant("newest-statistics-of-the-first-layer", "stage.c", "one.newest += one.newest ? at : 0;", "",
           "test_layer_norms$"),
    Mutant("statistics-of-shortcuts-among-those-of-bodies", "network.c",
           "visit(layer->shortcut, id, at + layer->body->parameters", "visit(layer->shortcut, id, at",
           "test_layer_norms$"),
    Mutant("gradients-of-heads-for-little", "layer_attention.c", "t, s.each, t, 3 * heads", "t, s.each, t, 2 * heads",
           "test_layer_values$"),
    Mutant("widths-that-heads-do-not-divide", "network.c", "common_divisor(parts, width)",
           "common_divisor(parts, 1)", "test_layer_values$"),
    Mutant("classes-of-the-last-chain-grow", "network.c", "body && shortcut", "body || shortcut", "test_layer_values$"),
    Mutant("rows-beyond-an-int", "network.c",
           "most = RG_MIN(most, rg_network_most_batch(layer->body));", "", "test_targets$"),
    Mutant("room-for-halves-in-whole-passes", "stage.c",
           "rg_size_times((uint64_t)batch, layer->between)", "between_of(layer, batch)", "test_layer_values$"),
    Mutant("a-pass-for-shifts-that-are-sums", "layer_batchnorm.c",
           "pass != RG_FORWARD && layer->spec.activation == RG_ACT_IDENTITY", "false", "test_layer_norms$"),
    Mutant("groups-of-the-first-channels", "layer_conv2d.c",
           "w + (size_t)g * weights,", "w,", "test_conv2d$"),
    Mutant("groups-of-samples-overwrite", "layer_conv2d.c",
           "bool add = args->accumulate || b > 0;", "bool add = args->accumulate;", "test_conv2d$"),
    Mutant("values-no-window-sees-left-as-they-were", "layer_conv2d.c",
           "p->down.stride > 1 || p->across.stride > 1", "false", "test_conv2d$"),
    Mutant("rows-without-zeros-between", "planes.c", "outputs + side.reach - rg_side_first(&side, phase)",
           "outputs", "test_conv2d$"),
    Mutant("rows-shorter-than-their-data", "planes.c", "rg_side_end(&side, phase), zeros_shared", "0, zeros_shared", "test_conv2d$"),
    Mutant("scratch-for-all-but-sixteen", "layer_conv2d.c", "rg_size_times(row, (uint64_t)(channels / layer->spec.groups))",
           "rg_size_times(row, (uint64_t)(channels / layer->spec.groups)) - 16", "test_conv2d$"),
    Mutant("taps-added-twice", "correlate_kernel.inc", "begin, t - begin, dy", "begin, 0, dy", "test_conv2d$"),
    Mutant("a-team-that-does-not-wait", "team.c", "while (atomic_load(&team.done) < parts)", "while (false)",
           "test_conv2d$"),
    Mutant("a-team-for-parent-and-child", "team.c", "pthread_atfork(NULL, NULL, begin_anew) == 0", "true",
           "test_conv2d$"),
    Mutant("kernels-that-never-fuse", "correlate.c", "return best() != &with_128;", "return false;", "test_conv2d$"),
    Mutant("lanes-folded-in-another-order", "correlate.c", "(q[0] + q[2]) + (q[1] + q[3])",
           "(q[0] + q[1]) + (q[2] + q[3])", "test_conv2d$"),
    Mutant("a-unit-begins-its-batch", "pipeline_compute.c", ".first = first_of(a->p, a->unit),", "", "test_strategies$"),
    Mutant("evaluation-drops-too", "inspect.c", ".evaluate = true,", "", "test_inspect$"),
    Mutant("slope-of-tanh", "activation.h",
           "dy * (1 - y * y)", "dy * (1 - y)", "test_layers$"),
    Mutant("bias-gradient-of-three-rows-in-four", "elementwise.c",
           "(((db[i] + d0) + d1) + d2) + d3", "((db[i] + d0) + d1) + d2", "test_layers$"),
    Mutant("last-of-equal-maxima", "layer_maxpool.c",
           "x[ky * pitch + kx] > x[at]", "x[ky * pitch + kx] >= x[at]", "test_layers$"),
    Mutant("residual-without-depth-scale", "layer_residual.c",
           "w[i] *= scale;", ";", "test_(network|layers)$"),
    Mutant("loss-without-scale", "loss.c",
           "- (float)(c == label)) * scale", "- (float)(c == label))", "test_loss$"),
    Mutant("last-of-equal-logits", "loss.c",
           "for (int c = 0; c < classes; c++)\n        if (logits[c] == most)",
           "for (int c = classes - 1; c >= 0; c--)\n        if (logits[c] == most)", "test_loss$"),
    Mutant("momentum-steps-by-the-gradient", "optimizer.c",
           "w[i] -= rate * v[i]", "w[i] -= rate * g[i]", "test_optimizer$"),
    Mutant("adagrad-forgets", "optimizer.c",
           "v[i] += g[i] * g[i];", "v[i] = g[i] * g[i];", "test_optimizer$"),
    Mutant("rate-falls-in-the-ramp", "optimizer.c",
           "int64_t since = step - (optimizer->ramp > 1 ? optimizer->ramp : 1);", "int64_t since = step - 1;",
           "test_optimizer$"),
    Mutant("cosine-past-its-end", "optimizer.c",
           "double x = t < period ? (double)t / (double)period : 1;", "double x = (double)t / (double)period;",
           "test_optimizer$"),
    Mutant("local-steps-count-as-iterations", "ring_allreduce.c",
           "job->optimizer.run = job->iterations * plan->steps;", "", "test_allreduce$"),
    Mutant("adam-without-second-correction", "optimizer.c",
           "double second = sqrt(1 - whole_power(o->beta2, step));\n    float epsilon",
           "double second = 1;\n    float epsilon", "test_optimizer$"),
    Mutant("epochs-in-one-order", "feed.c",
           "job->seed, (int)epoch, order_of", "job->seed, 0, order_of", "test_feed$"),
    Mutant("mean-of-clients-unweighted", "fedavg.c",
           "rg_mean_add(&s->node.mean, s->node.w, (float)samples, answer, client)", "rg_mean_add(&s->node.mean, s->node.w, (float)s->samples / (float)(client + 1), answer, client)",
           "test_federated$"),
    Mutant("clients-without-the-mean-gradient", "fsvrg.c",
           "(float)step_rows(s->node.job, client, i)};", "0};", "test_federated$"),
    Mutant("gradients-of-the-first-step", "fsvrg.c",
           "s->at_v, i > 0)", "s->at_v, false)", "test_federated$"),
    Mutant("variance-left-in", "fsvrg.c",
           "result = look(s, round, i, s->node.parameters, s->at_w, false);",
           "result = look(s, round, i, s->node.replica.parameters, s->at_w, false);", "test_federated$"),
    Mutant("optimizer-state-of-the-last-round", "fedavg.c",
           "cost.bytes > 0 ? rg_compute", "false ? rg_compute", "test_federated$"),
    Mutant("rate-by-steps-of-a-client", "fedavg.c",
           "rg_optimizer_rate(&s->node.job->optimizer, round + 1)", "s->node.job->optimizer.rate", "test_federated$"),
    Mutant("clients-drawn-once", "fedavg.c",
           "RG_STREAM_CLIENTS, (uint64_t)round,", "RG_STREAM_CLIENTS, 0 * (uint64_t)round,", "test_federated$"),
    Mutant("epochs-of-a-client-in-one-order", "fedavg.c",
           "round * epochs + step / pieces", "0 * epochs", "test_federated$"),
    Mutant("late-answers-taken", "rounds.c",
           "client->asked = client->asked && !client->owed;", ";", "test_federated$"),
    Mutant("nobody-hears-who-was-taken", "rounds.c",
           "client->told = client->taken;", "client->told = 1;", "test_federated$"),
    Mutant("rounds-with-nobody", "rounds.c",
           "    if (result || any)\n        return result;", "    if (result || true)\n        return result;",
           "test_federated$"),
    Mutant("what-clients-hold-on-to", "fedavg.c",
           "s->node.w->rank == 0 && result >= 0 ? rg_rounds_settle(&s->node.rounds) : 0", "0", "test_federated$"),
    Mutant("limit-of-a-round-without-messages", "fedavg.c",
           "closed = is_limited(job) ? q : 0;", "closed = 0;", "test_federated$"),
    Mutant("rounds-of-the-first", "fedavg.c",
           "asked[k] = is_drawn(job, round, k);", "asked[k] = is_drawn(job, 0, k);", "test_formula$"),
    Mutant("own-rows-in-one-order", "feed.c",
           "{feed->job->seed, (uint64_t)epoch}", "{feed->job->seed, 0}", "test_feed$"),
    Mutant("own-rows-of-another-node", "feed.c",
           "feed->own = rg_deal_samples(job->rows, keeper)", "feed->own = rg_deal_samples(job->rows, 0)",
           "test_feed$"),
    Mutant("own-rows-begin-again-at-the-second", "feed.c",
           "        at = 0;", "        at = 1;", "test_feed$"),
    Mutant("own-rows-from-the-first", "feed.c",
           "iteration % feed->job->iterations_per_epoch * share + begin", "begin", "test_feed$"),
    Mutant("shards-dealt-in-order", "deal.c",
           "uint32_t shard = shards[i].number;", "uint32_t shard = i;", "test_deal$"),
    Mutant("one-deal-for-all-seeds", "deal.c",
           "rg_hash(t->spec->seed, RG_STREAM_ROWS, DRAW_SAMPLES", "rg_hash(0, RG_STREAM_ROWS, DRAW_SAMPLES",
           "test_deal$"),
    Mutant("concentration-of-1", "deal.c",
           "rg_random_gamma(random, concentration)", "rg_random_gamma(random, 1)", "test_deal$"),
    Mutant("classes-in-equal-shares", "deal.c",
           "(uint64_t)t->cards[from].group << 8 | DRAW_SHARES", "DRAW_SHARES", "test_deal$"),
    Mutant("a-node-without-rows", "deal.c",
           "if (deal->first[part + 1] == 0)", "if (false)", "test_deal$"),
    Mutant("all-rows-counted", "samples.c",
           "keep.own_count = (size_t)rg_deal_count", "keep.own_count = (size_t)job->data->train; (void)rg_deal_count",
           "test_federated$"),
    Mutant("own-rows-not-loaded-apart", "study_data.c",
           "kept->all = kept->all || (more.train && !more.own)", "kept->all = true", "test_federated$"),
    Mutant("own-rows-in-the-place-of-the-first", "dataset.c",
           "move(data, keep.own[i], i, 1)", "move(data, i, i, 1)", "test_dataset$"),
    Mutant("categories-of-rows-to-test", "table_inputs.c",
           "int count = in->categories->trained[c]", "int count = in->categories->values[c].count",
           "test_categories$"),
    Mutant("missing-category-is-0", "data_scale.c",
           "isnan(*x) ? (float)data->mean[j] : *x", "isnan(*x) ? 0 : *x", "test_categories$"),
    Mutant("numbers-among-texts", "table_categories.c",
           "if (!asked && (rg_number_of", "if (asked && (rg_number_of", "test_categories$"),
    Mutant("test-samples-standardised-alone", "dataset.c",
           "if (data->by_training)", "if (false)", "test_(dataset|table_columns)$"),
    Mutant("one-hot-labels-by-their-first-column", "array_targets.c",
           "!t->numbers && t->column == 0 && file->values > 2", "!t->numbers && t->column > 0 && file->values > 2",
           "test_dataset$"),
    Mutant("every-rank-tests", "samples.c",
           ".test = rank == 0", ".test = true", "test_strategies$"),
    Mutant("stages-fit-without-samples", "ring.c",
           "rg_job_samples_memory(ring->job, rank)", "0", "test_partition$"),
    Mutant("samples-for-what-does-not-fit", "study_data.c",
           "job->refused || rg_job_fits(job, NULL) != 0", "job->refused", "test_job$"),
    Mutant("swept-files-from-where-it-runs", "overrides.c",
           "attribute && attribute->type == RG_DATA_FILE", "false", "test_sweep$"),
    Mutant("labels-stay-in-place", "dataset.c",
           "(char *)data->targets + at * row, row)", "(char *)data->targets + (size_t)i * row, row)",
           "test_(dataset|feed)$"),
    Mutant("standardised-by-all-samples", "data_scale.c",
           "i < (size_t)data->train;", "i < (size_t)(data->train + data->test);",
           "test_dataset$"),
    Mutant("loss-of-tokens-is-a-sum", "loss.c",
           "return sum / t->count;", "return sum;", "test_loss$"),
    Mutant("half-the-gradient-of-squares", "loss.c",
           "2 * difference * scale", "difference * scale", "test_loss$"),
    Mutant("r2-of-what-never-changes", "loss.c",
           "1 - error / spread : NAN", "1 - error / spread : 0", "test_loss$"),
    Mutant("labels-of-two-bytes-beyond-their-end", "targets.h",
           "t->classes <= 1 << 16 ? 2", "t->classes <= 1 << 17 ? 2", "test_loss$"),
    Mutant("a-note-for-each-class-unseen", "data_split.c",
           "if (unseen > UNSEEN_NOTES)", "if (false)", "test_tables$"),
    Mutant("a-byte-tells-itself", "data_text.c",
           "start_of(data, i) + 1, text->context", "start_of(data, i), text->context", "test_drawn$"),
    Mutant("the-byte-behind-a-window", "data_text.c",
           "(bytes - text->context - 1) / text->stride", "(bytes - text->context) / text->stride", "test_drawn$"),
    Mutant("images-of-the-first-file", "data_cifar10.c",
           "(size_t)(record - images->first[which]) * RECORD", "(size_t)record % 12 * RECORD", "test_drawn$"),
    Mutant("drawn-integers-unscaled", "array_data.c",
           "if (a->most > 0)", "if (a->most > 1e30f)", "test_npy$"),
    Mutant("drawn-rows-not-standardised", "dataset.c",
           "if (data->scale)", "if (false)", "test_npy$"),
    Mutant("mean-for-a-missing-target", "table_rows.c",
           "r->missing == RG_MISSING_MEAN && !target", "r->missing == RG_MISSING_MEAN", "test_numbers$"),
    Mutant("one-number-of-several", "table_columns.c",
           "bool alone = columns->target_count == 1 && !f->spec->numbers;",
           "bool alone = columns->target_count == 1;", "test_numbers$"),
    Mutant("numbers-taken-for-labels", "study.c",
           "study->scenario.data.numbers = study->network.loss == RG_LOSS_SQUARES;", "", "test_targets$"),
    Mutant("accuracy-of-samples-of-tokens", "inspect.c",
           "/ ((double)data->test * t.count)", "/ data->test", "test_targets$"),
    Mutant("numbers-dealt-by-label", "deal.c",
           "if (by_label && !single)", "if (by_label && !single && parts == 0)", "test_targets$"),
    Mutant("patience-never-renewed", "node.c",
           "n->in_vain = 0;", "", "test_targets$"),
    Mutant("patience-of-one-more", "node_stop.c",
           "n->in_vain < patience ||", "n->in_vain <= patience ||", "test_targets$"),
    Mutant("the-last-is-kept-as-the-best", "node.c",
           "result == 0 && is_best(n, inspection.loss)", "result == 0", "test_targets$"),
    Mutant("a-loss-is-reached-from-below", "node_stop.c",
           "last->loss <= run->to_loss.target", "last->loss >= run->to_loss.target", "test_targets$"),
    Mutant("stop-says-nothing", "scenario.c",
           "if (err == 0 && info->some && element->count == 0)", "if (false)", "test_(scenario|settings)$"),

    # ---- the world: matching, deadlines, cancelling, clocks ----
    Mutant("window-less-one-byte", "exchange.c",
           "flow->eager + bytes > RG_EAGER_LIMIT", "flow->eager + bytes >= RG_EAGER_LIMIT",
           "test_(mem|sim_conformance)$"),
    Mutant("room-of-the-window-stays-taken", "exchange.c",
           "message->flow->eager -= message->message.bytes", "(void)0",
           "test_(mem|sim_conformance)$"),
    Mutant("up-to-means-less", "exchange.c",
           "message->message.bytes <= receive->message.bytes",
           "message->message.bytes < receive->message.bytes", "test_mem$"),
    Mutant("messages-overtake", "exchange.c",
           "RG_MAX(arrival, flow->last_arrival)", "arrival", "test_mem$"),
    Mutant("deadlines-pass", "exchange.c",
           "next = RG_MIN(next, deadline);", ";", "test_mem$"),
    Mutant("cancelling-leaves-the-pairs", "exchange.c",
           "rematch(x, receive->flow, receive->tag);", ";", "test_mem$"),
    Mutant("receives-from-the-dead-wait", "exchange_peers.c",
           "rg_item_fail(x, r, RG_ERR_PEER)", "(void)0", "test_mem$"),
    Mutant("half-the-uncertainty", "clocks.c",
           "delay / 2 + RATE_ERROR", "delay / 4 + RATE_ERROR", "test_clocks$"),

    # ---- collectives ----
    Mutant("all-reduce-waits-for-the-send-before", "collectives.c",
           "int result = rg_wait(r->w, &r->out[now]);",
           "int result = t ? 0 : rg_wait(r->w, &r->out[1]);\n"
           "    result = result ? result : rg_wait(r->w, &r->out[now]);", "test_collectives$"),
    Mutant("all-reduce-adds-to-what-leaves", "collectives.c",
           "if (result == 0 && leaving)", "if (0)", "test_(collectives|allreduce)$"),
    Mutant("doubling-adds-to-what-leaves", "reduce_steps.c", ".copied = true", ".copied = false", "test_(collectives|allreduce)$"),
    Mutant("all-reduce-in-other-chunks", "reduce_steps.c",
           "each * at + RG_MIN(at, more)", "each * at", "test_collectives$"),
    Mutant("additions-of-a-chunk-too-many", "reduce_forms.c",
           "(larger - own_is_larger)", "(larger)", "test_(strategies|partition)$"),
    Mutant("broadcast-to-half", "collectives.c",
           "while (reach < n)", "while (2 * reach < n)", "test_collectives$"),

    # ---- strategies, schedules, the checker of plans ----
    Mutant("servers-begin-with-one-worker", "strategy.c",
           "first + (server + t) % size", "first + t % size", "test_(servers|server_times)$"),
    Mutant("server-form-without-the-workers-ports", "server_dates.c",
           "pushed = fmax(pushed, ready[i] + rg_server_pushes_port_s(job, 0, i))", "(void)pushed",
           "test_server_times$"),
    Mutant("server-form-pulls-past-the-workers-ports", "server_dates.c",
           "fmax(ready[i], rg_server_pulls_port_s(job, 0, i))", "ready[i]", "test_server_times$"),
    Mutant("gradients-that-need-no-receive", "server_dates.c",
           "bool waits = bytes > RG_EAGER_LIMIT;", "bool waits = false;", "test_servers$"),
    Mutant("a-port-that-gives-all-senders-as-much", "server_dates.c",
           "push->rate > each", "push->rate > 0 * each", "test_servers$"),
    Mutant("cores-that-move-bytes-in-no-time", "server_dates.c",
           "fmax(next, push->start + push->core_s)", "next", "test_servers$"),
    Mutant("workers-share-no-batch", "server_plan.c",
           "rg_job_share_first(node->job, k, worker)", "rg_job_share_first(node->job, k, 0)",
           "test_strategies$"),
    Mutant("workers-farther-ahead-than-allowed", "server_stale.c",
           "(warm && clock - server->complete <= node->plan->ahead)", "warm",
           "test_stale$"),
    Mutant("asks-answered-before-own-pushes", "server_stale.c",
           "link->answered == link->asked || !has_pushed(node, link) ||", "link->answered == link->asked ||", "test_stale$"),
    Mutant("served-by-rank-alone", "server_stale.c",
           "return clock < other_clock || (clock == other_clock && rank < other);", "return rank < other;", "test_stale$"),
    Mutant("newest-parameters-sent-as-they-change", "server_stale.c",
           "if (server->out_updates != server->updates)", "if (server->out_updates < 0)", "test_stale$"),
    Mutant("first-push-of-a-clock-added-to-an-old-sum", "server_stale.c",
           "server->added[slot] = 0;", ";", "test_stale$"),
    Mutant("own-writes-of-one-clock-less", "worker_stale.c",
           "one.missing = version; one.missing", "one.missing = version + 1; one.missing", "test_stale$"),
    Mutant("gradient-overwritten-while-it-is-pushed", "worker_stale.c",
           "    if (result == 0)\n        result = wait_for_pushes(node, clock);\n", "", "test_stale$"),
    Mutant("pulls-left-behind-by-a-stop", "worker_stale.c",
           "clock + node->plan->in_flight - 1) && result >= 0", "clock + node->plan->in_flight - 1) && result > 1", "test_stale$"),
    Mutant("replicas-take-no-step", "server_chain.c",
           "rg_update_run(&copy->update, node->w, clock + 1, copy->parameters, copy->gradient)", "0", "test_chain$"),
    Mutant("replicas-step-a-clock-late", "server_chain.c",
           "node->w, clock + 1, copy", "node->w, clock, copy", "test_chain$"),
    Mutant("own-sum-handed-on-again", "server_chain.c",
           "        gradient = copy->gradient;\n", "", "test_chain$"),
    Mutant("copies-of-the-servers-behind", "server_chain.c",
           "return (server + m - hops) % m;", "return (server + hops) % m;", "test_chain$"),
    Mutant("parameters-given-out-before-the-chain", "server_bsp.c",
           "result = rg_server_chain_pass(node, i, server->gradient);", "result = 0;", "test_chain$"),
    Mutant("hops-of-a-chain-in-no-time", "server_chain.c",
           "        seconds += hop_s(job, 1, handed_bytes, h - 1);\n", "        ;\n", "test_server_times$"),
    Mutant("copies-begin-at-nothing", "server_node.c",
           "memcpy(copy->parameters, whole + copy->shard.first, copy->shard.count * sizeof *whole);", ";", "test_chain$"),
    Mutant("all-follow-the-first-server", "server_stale.c",
           "node->job->orders[node->w->rank]", "node->job->orders[0]", "test_orders$"),
    Mutant("answers-not-written-down", "server_stale.c",
           "rg_order_note(&server->written, rg_server_answer_of(k));", ";", "test_orders$"),
    Mutant("pushes-followed-as-they-come", "server_stale.c",
           "result = server->orders ? follow_next(node) : serve_next(node);", "result = serve_next(node);", "test_orders$"),
    Mutant("what-comes-after-a-stop-waited-for", "server_stale.c",
           "return result == 1 && clock < last ? wait_for", "return result == 1 ? wait_for", "test_orders$"),
    Mutant("asked-ahead-and-not-answered-at-a-stop", "server_stale.c",
           "        if (followed)\n            admit(node, k);\n", "", "test_orders$"),
    Mutant("a-push-before-its-answer", "server_order.c",
           "if (worker->done == worker->answered)", "if (0)", "test_orders$"),
    Mutant("orders-of-one-epoch", "server_order.c",
           "if (f->complete == f->epoch_end && f->complete < f->job->iterations)", "if (0)", "test_orders$"),
    Mutant("direction-from-the-oldest", "search.c",
           "for (int back = s->pairs - 1; back >= 0 && result == 0; back--)",
           "for (int back = 0; back < s->pairs && result == 0; back++)", "test_search$"),
    Mutant("direction-without-its-scale", "search.c",
           "if (result == 0 && s->pairs > 0)", "if (false)", "test_search$"),
    Mutant("short-steps-with-a-history", "search.c",
           "s->pairs == 0 && slope < -1", "slope < -1", "test_search$"),
    Mutant("pairs-without-curvature", "search.c",
           "if (!(curvature > 1e-10 * square))", "if (false)", "test_search$"),
    Mutant("any-length-is-good", "search.c",
           "loss <= before + ENOUGH * length * slope", "true", "test_search$"),
    Mutant("left-at-the-last-trial", "search.c",
           "combine(s, RG_VECTOR_W, RG_VECTOR_NONE, 1, step_of(next))", "0", "test_search$"),
    Mutant("changes-of-the-gradient-alone", "search.c",
           "result = add(s, change_of(next), 1, RG_VECTOR_G);", "result = 0;", "test_search$"),
    Mutant("dots-of-the-last-server", "sandblaster.c",
           "*value += s->answers[j];", "*value = s->answers[j];", "test_search$"),
    Mutant("tasks-of-one-gradient", "tasks_worker.c",
           "node->worker->last->task = task;", "", "test_tasks$"),
    Mutant("the-first-gradient-added-twice", "tasks_reducer.c",
           "        if (r->taken > 0)\n", "        if (r->taken >= 0)\n", "test_tasks$"),
    Mutant("backup-of-what-is-done", "tasks_master.c",
           "!m->tasks[t].finished && m->tasks[t].runs == 1", "m->tasks[t].runs == 1", "test_formula$"),
    Mutant("nobody-gives-up", "tasks_worker.c",
           "return node->plan->backup && rg_done(node->w, &node->worker->order_in);", "return false;", "test_tasks$"),
    Mutant("copies-of-the-step-before", "mapreduce.c",
           "if (result == 0 && reduces(s))\n        result = pass_copies(s);", "", "test_tasks$"),
    Mutant("tasks-that-stay-auto", "tasks_plan.c", "tasks->number = plan.tasks;", "", "test_tasks$"),
    Mutant("tasks-form-with-one-gradient", "tasks_predict.c",
           "helper->left[0]) + helper", "helper->left[1]) + helper", "test_formula$"),
    Mutant("downpour-takes-no-steps-of-its-own", "worker_stale.c",
           "rg_server_after_read(node->job, clock) > clock + 1", "0", "test_stale$"),
    Mutant("downpour-pushes-the-last-gradient-alone", "worker_stale.c",
           "worker->accrued && !apart", "false", "test_(stale|orders)$"),
    Mutant("downpour-warms-nobody-up", "server_stale.c",
           "bool warm = k == 0 || server->complete >= node->plan->warm_up;", "bool warm = true;", "test_(stale|orders)$"),
    Mutant("a-stop-leaves-gradients-behind", "worker_stale.c",
           "result == 1 && worker->accrued ? push(node, clock) : 0", "0", "test_(stale|orders)$"),
    Mutant("downpour-form-reads-in-every-clock", "server_predict.c",
           "if (i % plan->fetch_every == 0)\n            now = fmax", "if (i >= 0)\n            now = fmax", "test_formula$"),
    Mutant("orders-cut-short", "server_order.c",
           "return why || f->complete == f->job->iterations ? why : \"too few pushes\";", "return why;", "test_orders$"),
    Mutant("digits-of-one-less", "order.c",
           "most < limit", "most < limit - 1", "test_orders$"),
    Mutant("replay-of-any-scenario", "replay.c",
           "if (strcmp(result->scenario_sha256, study->scenario.digest) != 0)", "if (0)", "test_replay$"),
    Mutant("replay-of-any-version", "replay.c",
           "if (strcmp(result->version, RG_VERSION) != 0)", "if (0)", "test_replay$"),
    Mutant("thresholds-reach-beyond-zero", "optimizer.c",
           "fabsf(w) <= t ? 0 : w - copysignf(t, w)", "w - copysignf(t, w)", "test_optimizer$"),
    Mutant("velocity-without-what-l1-takes", "optimizer.c",
           "next + copysignf(l1, x)", "next", "test_optimizer$"),
    Mutant("zeros-have-a-velocity-at-no-rate", "optimizer.c",
           "rate == 0 ? 1 : rate", "rate", "test_optimizer$"),
    Mutant("a-rate-below-zero", "optimizer.c", "RG_MAX(sum, -1)", "sum", "test_optimizer$"),
    Mutant("fused-steps-without-penalties", "replica.c",
           "o->clip == 0 && o->l1 == 0 && o->l2 == 0", "o->clip == 0", "test_strategies$"),
    Mutant("each-push-pays-all-penalties", "server_plan.c",
           "(float)clocks / (float)plan->workers", "1", "test_stale$"),
    Mutant("kkt-by-a-share-of-the-gradient", "filter.c",
           "fabs((double)number) * out->to_all <= ", "fabs((double)number) <= ", "test_filters$"),
    Mutant("kkt-keeps-what-it-drops", "filter.c",
           "            numbers[i] = 0;\n", "            numbers[i] += 0;\n", "test_filters$"),
    Mutant("kkt-of-running-statistics", "parameter_server.c",
           "job->network->statistics_count > 0", "job->network->statistics_count < 0", "test_filters$"),
    Mutant("estimates-of-the-gradient-too-small", "server_filter.c",
           "(double)node->replica.mean_of / node->replica.now->n", "1", "test_filters$"),
    Mutant("searches-without-l2", "search.c",
           "if (result || l2 == 0)", "if (result || l2 > 0)", "test_search$"),
    Mutant("outputs-go-to-the-last", "server_ring.c",
           "hand_on(node, p.before, RG_TAG_BACKWARD, r->logits, p.in)",
           "hand_on(node, p.next, RG_TAG_BACKWARD, r->logits, p.in)", "test_rings$"),
    Mutant("stages-by-number-of-layers", "server_cut.c",
           "rg_network_range(network, from, to + 1) <= most", "rg_network_range(network, from, to) <= most",
           "test_rings$"),
    Mutant("servers-to-the-first-stage", "server_cut.c",
           "(uint64_t)stage->parameters * (uint64_t)most->servers >",
           "(uint64_t)stage->parameters * (uint64_t)most->servers >= 2 *",
           "test_rings$"),
    Mutant("servers-of-nothing", "server_cut.c", "most->servers == 0 || ", "", "test_rings$"),
    Mutant("stages-do-not-know-their-samples", "server_ring.c",
           "result = rg_replica_begin(r, clock, first, n);", "result = rg_replica_begin(r, 0, first, n);",
           "test_rings$"),
    Mutant("servers-serve-the-first-stage", "server_node.c",
           "node->first_worker = rg_server_rank(plan, stage, 0);",
           "node->first_worker = rg_server_rank(plan, 0, 0);", "test_rings$"),
    Mutant("pushes-hold-up-no-answer", "server_predict.c",
           "return plan->workers * fmax(each, added / m)", "return 0 * fmax(each, added / m)", "test_formula$"),
    Mutant("what-is-held-back-is-lost", "filter.c",
           "out->kept[i] += numbers[i];", "out->kept[i] = numbers[i];", "test_filters$"),
    Mutant("error-of-the-code-is-lost", "filter.c",
           "out->kept[out->places[i]] = out->values[i];", "out->kept[out->places[i]] = 0;", "test_filters$"),
    Mutant("significant-by-the-parameter-alone", "filter.c",
           "fmax(fabs((double)parameters[place]), least)", "fabs((double)parameters[place])", "test_filters$"),
    Mutant("skipped-by-place-in-the-range", "filter.c",
           "rg_mix64(dice + out->first + place) >> 11", "rg_mix64(dice + place) >> 11", "test_filters$"),
    Mutant("last-of-equal-magnitudes", "filter.c",
           "(bits == least && more == 0)", "(bits == least && more > 1)", "test_filters$"),
    Mutant("places-by-number-where-bits-are-fewer", "filter.c",
           "numbers <= bits ? NUMBERS : BITS", "numbers <= 2 * bits ? NUMBERS : BITS", "test_filters$"),
    Mutant("places-of-the-push-before-untold", "filter.c",
           "out->before_count = *said;", "out->before_count = out->count;", "test_filters$"),
    Mutant("places-taken-on-trust", "filter.c",
           "crc == rg_crc32c(in->places, said * sizeof *in->places)", "crc != 0", "test_filters$"),
    Mutant("runs-past-the-end", "filter.c",
           "run.said > said - taken || next > in->count - run.said", "run.said > said - taken", "test_filters$"),
    Mutant("nothing-heard-is-as-before", "filter.c",
           "    if (!add)\n        memset(to, 0, in->count * sizeof *to);\n    for (size_t i = 0; i < said; i++)\n        to[in",
           "    for (size_t i = 0; i < said; i++)\n        to[in", "test_filters$"),
    Mutant("own-writes-of-the-whole-gradient", "filter.c",
           "memset(numbers, 0, out->count * sizeof *numbers);", ";", "test_filters$"),
    Mutant("one-clock-rounds-like-another", "server_filter.c",
           "<< 40 | (uint64_t)clock;", "<< 40;", "test_filters$"),
    Mutant("saved-bytes-of-what-was-pushed", "result.c",
           "(double)filtered->numbers - (double)filtered->bytes", "(double)filtered->pushed - (double)filtered->bytes",
           "test_filters$"),
    Mutant("filters-take-no-port-time-less", "server_dates.c",
           "uint64_t bytes = rg_server_push_bytes(job, server);\n    bool waits",
           "uint64_t bytes = 4 * (uint64_t)rg_server_shard(job, server).count;\n    bool waits", "test_server_times$"),
    Mutant("words-of-a-list-sorted-away", "job_params.c",
           "value->list[value->number++] = (int)index;", "value->list[value->number] = (int)index, value->number = 1;",
           "test_job$"),
    Mutant("gradients-overwritten-while-they-leave", "allreduce_run.c",
           "if (result == 0 && !overlapped)\n        result = rg_settle_sums", "if (0)\n"
           "        result = rg_settle_sums", "test_(strategies|allreduce)$"),
    Mutant("halves-rounded-down", "codec.c",
           "(bits + (bits >> 13 & 1U) + 0xfffU - (112U << 23)) >> 13;", "(bits - (112U << 23)) >> 13;", "test_codec$"),
    Mutant("bytes-rounded-down", "codec.c",
           "(rest[i] - span.least) / span.step + chance", "(rest[i] - span.least) / span.step", "test_codec$"),
    Mutant("largest-with-their-signs", "codec.c",
           "uint32_t bits = rg_bits_of(rest[i]) & 0x7fffffffU;", "uint32_t bits = rg_bits_of(rest[i]);", "test_codec$"),
    Mutant("whole-sum-not-as-others-have-it", "coded_ring.c",
           "if (result == 0 && !s->add) /*", "if (0) /*", "test_(codec|allreduce)$"),
    Mutant("coded-bytes-overwritten-while-they-leave", "coded_ring.c",
           "    if (result == 0)\n        result = rg_wait(ring->w, &ring->sent[(step + 1) % RG_CODED_OUT]);\n", "",
           "test_(codec|left|allreduce)$"),
    Mutant("rest-of-another-bucket", "allreduce_bucket.c",
           "node->rest + rg_bucket_first(node->job, b)", "node->rest", "test_allreduce$"),
    Mutant("gathered-into-the-bucket-in-use", "allreduce_gather.c",
           "return node->shards.gathered[use % rg_bucket_buffers(node->job)];",
           "return node->shards.gathered[0];", "test_allreduce$"),
    Mutant("bucket-gathered-while-the-last-still-leaves", "allreduce_gather.c",
           "        if (result == 0)\n            result = settle(node);\n", "", "test_(allreduce|left)$"),
    Mutant("form-of-gathers-without-their-buffers", "allreduce_predict.c",
           "strand = fmax(strand, node);", ";", "test_formula$"),
    Mutant("own-parameters-of-the-wrong-chunk", "allreduce_shards.c",
           "memcpy(to, whole + update->first,", "memcpy(to, whole,", "test_allreduce$"),
    Mutant("gathered-parameters-still-leave-after-training", "allreduce_shards.c",
           "return result ? result : rg_allreduce_settle(&shards->gather);", "return result;", "test_left$"),
    Mutant("last-sums-still-leave-after-training", "allreduce_run.c",
           "if (outcome == 0 && b == last)", "if (0)", "test_left$"),
    Mutant("mean-still-leaves-after-training", "allreduce_run.c",
           '"mean", (int)i, divide, node);\n    return result ? result : rg_settle_sums(node);',
           '"mean", (int)i, divide, node);\n    return result;', "test_left$"),
    Mutant("form-of-a-bucket-without-the-one-before", "allreduce_predict.c",
           "done = fmax(done, plan->overlap || plan->shard == 2 ? ready[b] + late : ready[last]) +",
           "done = (plan->overlap || plan->shard == 2 ? ready[b] + late : ready[last]) +", "test_(mixed|formula)$"),
    Mutant("gpipe-form-hides-the-trip", "schedule_flushed.c",
           "others * ahead + trip)", "others * ahead)", "test_plan$"),
    Mutant("1f1b-form-never-idles", "schedule_flushed.c",
           "busy + idle", "busy", "test_plan$"),
    Mutant("inputs-for-the-stage-itself", "plan.c",
           "depth[stage > 0 ? stage - 1 : 0]", "depth[stage]", "test_plan$"),
    Mutant("checker-lets-slots-be-overwritten", "plan_check.c",
           "if (slot->needed || slot->content == POSTED)", "if (slot->content == POSTED)",
           "test_plan$"),
    Mutant("checker-lets-messages-overtake", "plan_check.c",
           "behind |= o->from % nodes == m->from % nodes && o->to % nodes == m->to % nodes", "(void)nodes", "test_plan$"),
    Mutant("forward-over-what-is-computed-again", "plan_check.c", "verdict == GO && s->plan->recompute",
           "verdict == GO && 0", "test_plan$"),
    Mutant("no-outputs-of-what-is-computed-again", "pipeline_compute.c",
           "    args.y = rg_pipeline_output(a->p, a->s, a->unit);\n", "", "test_strategies$"),
    Mutant("outputs-of-a-stage-from-within-a-layer", "layer_block.c", "    within.y = NULL;\n", "", "test_layer_"),
    Mutant("whole-stashes-for-outputs", "ring.c", "    if (ring->stash == RG_STASH_INPUTS)\n        sizes", "    if (0)\n        sizes",
           "test_strategies$"),
    Mutant("convolutions-count-as-others-products", "job_settle.c", "        products->convolutions = true;\n        return;\n",
           "        products->convolutions = true;\n", "test_agree$"),
    Mutant("statistics-against-old-ones", "pipeline_compute.c",
           "args.newest = rg_pipeline_weights(s);", "", "test_streams$"),
    Mutant("stashed-weights-of-now", "pipeline_compute.c",
           "(s->updates + 1) % versions", "s->updates % versions", "test_streams$"),
    Mutant("partition-without-the-port", "partition.c",
           "t->ring->overlap ? fmax(compute, port) : compute + port", "compute",
           "test_partition$"),
    Mutant("partition-by-the-first-replicas-memory", "partition.c",
           "rg_ring_stage_fits(t->ring, r, stage, from, to)",
           "rg_ring_stage_fits(t->ring, 0, stage, from, to)", "test_partition$"),

    Mutant("partition-bound-a-little-low", "partition.c",
           "    t->bound = even_split(t);", "    t->bound = 0.999 * even_split(t);", "test_partition$"),
    Mutant("partition-stages-end-a-layer-early", "partition.c",
           "t->most[stage] = to;", "t->most[stage] = RG_MAX(to - 1, from + 1);", "test_partition$"),
    Mutant("partition-stages-end-a-layer-late", "partition.c",
           "t->least[stage] = to;", "t->least[stage] = RG_MIN(to + 1, t->layers);", "test_partition$"),
    Mutant("even-split-whether-it-fits-or-not", "partition.c",
           "fits(t, stage, from, to) ? stage_seconds(t, from, to) : INFINITY", "stage_seconds(t, from, to)",
           "test_partition$"),
    Mutant("parts-inside-of-parts", "board.c",
           "next = i + (part->kind ? part->kernels : 1);", "next = i + 1;", "test_profiles$"),
    Mutant("measured-seconds-all-alone", "board.c",
           "all * model.alone / model.all", "all", "test_profiles$"),
    Mutant("straight-line-in-the-batch", "measured.c",
           "log((double)part->samples / low->samples) / log((double)high->samples / low->samples)",
           "(double)(part->samples - low->samples) / (high->samples - low->samples)", "test_profiles$"),
    Mutant("steps-of-whole-layers", "measured.c",
           "* (double)(end - begin) / (double)own", "* (double)(own ? end - begin : 0) / (double)(end - begin)", "test_profiles$"),
    Mutant("any-network's-profile", "measured_file.c",
           "strcmp(digest, m->network_digest) != 0", "digest[0] == '\\0'", "test_profiles$"),
    Mutant("rows-twice", "measured_file.c",
           "r->err == 0 && batch->layers[l].forward_s >= 0", "false", "test_profiles$"),
    Mutant("batches-beyond-the-last", "measured.c",
           "samples >= m->batches[0].samples && samples <= m->batches[m->batch_count - 1].samples",
           "samples >= m->batches[0].samples", "test_profiles$"),
    Mutant("batches-before-the-first", "job_profiles.c",
           "rg_measured_has(m, passes.most) ? passes.least : passes.most", "passes.most", "test_profiles$"),
    Mutant("profile-not-in-the-digest", "seal.c",
           "i < s->profile_count && err == 0; i++)", "i < 0 && err == 0; i++)", "test_profiles$"),
    Mutant("layers-are-no-parts", "stage.c",
           ".kind = part_of(own)", ".kind = RG_PART_NONE * part_of(own)", "test_profiles$"),
    Mutant("passes-of-whole-batches", "ring_pipeline.c",
           ".most = rg_ring_unit(ring, replica, 0),", ".most = rg_ring_batch(ring, replica),", "test_profiles$"),
    Mutant("texts-of-short-runs", "extrapolate.c",
           "    first->costs.profiles = NULL;\n", "", "test_extrapolate$"),
    Mutant("seconds-of-another-board", "board.c",
           "if (known[i].board == board && known[i].threads == threads)", "if (known[i].threads == threads)",
           "test_board$"),
    Mutant("seconds-with-other-threads", "board.c",
           "if (known[i].board == board && known[i].threads == threads)", "if (known[i].board == board)",
           "test_board$"),
    Mutant("additions-all-of-one-size", "collectives.c",
           "adder->last[i].cost.flops == cost.flops", "cost.flops > 0", "test_(collectives|strategies|allreduce|sim_timing)$"),
    Mutant("shared-by-number-alone", "shared.c",
           "h->kind == kind && h->of == of && h->number == number", "h->kind == kind && h->number == number",
           "test_shared$"),
    Mutant("shared-until-the-first-leaves", "shared.c",
           "    if (--h->users > 0)\n        return;", "    h->users--;", "test_shared$"),

    Mutant("twins-step-each-for-themselves", "twins.c",
           "if (number <= group->done[deed])", "if (number < group->done[deed])", "test_twins$"),
    Mutant("twins-hold-nothing", "twins.c",
           "    if (group->blocks[which])\n        rg_mem_hold(w->mem, bytes);", "", "test_twins$"),
    Mutant("twins-with-numerics-skipped", "twins.c",
           "!w->shared || w->skip_numerics || members == 1", "!w->shared || members == 1", "test_twins$"),
    Mutant("twins-read-their-own-part-of-the-sum", "collectives.c",
           "rg_twins_lent(r->twins, 0) + (data", "rg_twins_lent(r->twins, r->me) + (data", "test_twins$"),
    Mutant("twins-sum-from-the-first-member", "collectives.c",
           "rg_twins_lent(r->twins, (c + k) % n)", "rg_twins_lent(r->twins, k - (k <= c))",
           "test_twins$"),
    Mutant("twins-that-take-steps-of-their-own", "allreduce_run.c",
           "bool alike = plan->shard == 0 && plan->steps == 1", "bool alike = plan->shard == 0", "test_twins$"),
    Mutant("twins-out-of-step", "server_node.c",
           "plan->in_step && !rg_server_filtered(plan)", "!rg_server_filtered(plan)", "test_(twins|stale)$"),
    Mutant("pushes-of-the-first-shard", "server_parts.h",
           "rg_twins_lent(&node->twins, rank) + node->shard.first", "rg_twins_lent(&node->twins, rank)",
           "test_twins$"),

    Mutant("a-copy-of-the-weights-short", "plan.c",
           "rg_updates_behind(depth, units) + 1", "RG_MAX(rg_updates_behind(depth, units), 1)",
           "test_plan$"),
    Mutant("updates-behind-rounded-down", "schedules.c",
           "(depth - 1 + units - 1) / units", "(depth - 1) / units", "test_plan$"),
    Mutant("streams-update-after-their-first-unit", "schedule_stream.c",
           "if (u == units - 1)", "if (u == 0)", "test_strategies$"),
    Mutant("an-update-for-every-unit-in-the-form", "schedule_stream.c",
           "form->update / ring->micro", "form->update", "test_plan$"),
    Mutant("neighbours-answer-at-once", "schedule_stream.c",
           "1 + ring->depth[s] - ring->depth[s + 1]", "2 + ring->depth[s] - ring->depth[s + 1]",
           "test_plan$"),
    Mutant("a-ramp-that-begins-at-nothing", "optimizer.c",
           "(double)step / (double)optimizer->ramp", "(double)(step - 1) / (double)optimizer->ramp",
           "test_optimizer$"),
    Mutant("fused-steps-without-the-ramp", "pipeline_compute.c",
           "rg_optimizer_rate(&a->p->job->optimizer, s->updates + 1)", "a->p->job->optimizer.rate",
           "test_strategies$"),
    Mutant("gradients-clipped-by-stages", "update.c",
           "size_t stop = RG_MIN(first + n, rg_network_offset(network, l + 1));", "size_t stop = first + n;",
           "test_strategies$"),
    Mutant("a-worker-like-any-neighbour", "server_predict.c",
           "same = rg_server_board_of(job, s, worker) == rg_server_board_of(job, s, worker - 1);", ";",
           "test_servers$"),

    # ---- boards ----
    Mutant("every-core-counts-from-the-first", "board.c",
           "(threads - 1) / (cores - 1)", "threads / cores", "test_board$"),
    Mutant("curve-straight-in-size", "board.c",
           "(log2(size) - low) / (high - low)",
           "(size - sizes[i - 1]) / (sizes[i] - sizes[i - 1])", "test_board$"),
    Mutant("latency-of-the-sender-only", "board.c",
           "(from->latency_s + to->latency_s) / 2", "from->latency_s",
           "test_(board|partition|mixed)$"),
    Mutant("bytes-at-the-highest-clock", "board.c",
           "board->byte_s /= factor;", ";", "test_board$"),
    Mutant("more-than-full-load", "board.c",
           "fmin(1, busy_cores / board->cores)", "(busy_cores / board->cores)", "test_board$"),

    # ---- scenarios, sweeps, the seal, jobs ----
    Mutant("fits-with-a-tenth-too-much", "job.c",
           "if (need <= room)", "if (need <= room + room / 10)", "test_capacity$"),
    Mutant("limits-exclude-their-end", "text.c",
           "number <= limit->max", "number < limit->max", "test_scenario"),
    Mutant("open-limits-are-closed", "text.c",
           "limit->open ? number > limit->min", "limit->open ? number >= limit->min",
           "test_scenario"),
    Mutant("a-part-of-N-is-0", "sweep_xml.c",
           "RG_MAX(factor * nodes / divisor, 1)", "factor * nodes / divisor", "test_sweep$"),
    Mutant("epochs-and-iterations-both-swept", "settings.c",
           "p == q || (p->either && strcmp(p->either, q->name) == 0)", "p == q", "test_sweep$"),
    Mutant("digest-without-momentum", "seal.c",
           "info->sealed ? info->sealed : info->name;",
           'info->sealed ? info->sealed : info->name;\n    if (strcmp(name, "momentum") == 0)\n'
           "        return;", "test_(settings|scenario_settings)$"),
    Mutant("digest-without-strategies", "seal.c",
           "if (add_strategy(digest, &s->strategies[i]) < 0)", "if (0)",
           "test_(settings|scenario_settings)$"),

    # ---- results ----
    Mutant("p95-as-p90", "node_describe.c", "1, used, 0.95", "1, used, 0.90",
           "test_describe$"),
    Mutant("extrapolated-p95-as-p90", "extrapolate.c",
           "quantile(&v, used, 0.95)", "quantile(&v, used, 0.90)", "test_extrapolate$"),
    Mutant("epochs-begin-where-the-run-begins", "extrapolate.c",
           "e->begin_s - before_s", "e->begin_s", "test_extrapolate$"),
    Mutant("extrapolated-once-too-often", "extrapolate.c",
           "periods = (int64_t)r->epochs * r->repeats[0] + r->repeats[1]",
           "periods = (int64_t)(r->epochs + 1) * r->repeats[0] + r->repeats[1]",
           "test_extrapolate$"),
    Mutant("a-machine-for-each-of-its-ranks", "node_energy.c",
           "if (n->metered[r].machine == n->metered[rank].machine)", "if (0)", "test_node_energy$"),
    Mutant("uncertainties-add-up", "result_fields.c",
           "hypot(a, b)", "a + b", "test_(result_fields|node_energy)$"),
    Mutant("joules-of-a-shared-meter-twice", "node_energy.c",
           "    own->energy_J = (struct rg_run_energy){0};\n", "", "test_node_energy$"),
    Mutant("total-beside-its-parts", "result.c",
           "        sum->total = parts;", "        ;", "test_(result_fields|node_energy)$"),
    Mutant("staleness-adds-up", "result_fields.def",
           'WHOLE(int64_t, staleness, "1", MAX,', 'WHOLE(int64_t, staleness, "1", SUM,', "test_result_fields$"),
    Mutant("memory-grows-with-the-run", "result_fields.def",
           'COUNT(max_node, "B", MAX, MAX,', 'COUNT(max_node, "B", MAX, GROWS,', "test_extrapolate$"),
    Mutant("joules-of-the-first-short-run", "result_fields.def",
           'REAL(idle, "J", SUM, GROWS,', 'REAL(idle, "J", SUM, NONE,', "test_extrapolate$"),
    Mutant("nothing-sent-is-unknown", "result_fields.def",
           'SUM, GROWS, ZERO,', 'SUM, GROWS, 0,', "test_result$"),
    Mutant("clocks-must-be-there", "result_fields.def",
           "OBJECT(rg_run_clock, clock, LEFT_OUT,", "OBJECT(rg_run_clock, clock, 0,", "test_archive$"),
    Mutant("fields-of-later-versions-are-wanted", "result_read.c",
           "(RG_FIELD_LATER | RG_FIELD_LEFT_OUT)", "RG_FIELD_LEFT_OUT", "test_archive$"),
    Mutant("idle-below-0", "result.c",
           "fmax(0, run->time_s - node->busy_s)", "run->time_s - node->busy_s", "test_result_fields$"),
    Mutant("bytes-too-many", "result_pack.c",
           "!c.fault && c.left == 0", "!c.fault", "test_result$"),
    Mutant("events-of-no-kind", "result_pack.c",
           "trace->events[i].kind > RG_TRACE_MARK", "0", "test_result$"),
    Mutant("places-in-any-order", "archive.c",
           "part->places[i] < least || ", "", "test_archive$"),
    Mutant("leading-zeros-lost", "result_write.c",
           "(text[0] != '0' || length == 1)", "1", "test_result$"),
    Mutant("medium-of-those-on-it-alone", "world.c",
           "(w->on_medium[dst] || w->on_medium[w->rank])", "w->on_medium[w->rank]",
           "test_platform_kinds"),
    Mutant("bus-in-one-direction", "board.c",
           "both / bus_of(board)", "both / 2 / bus_of(board)", "test_board$"),
    Mutant("looks-at-more-nodes-than-asked", "survey.c",
           "link_rate, nodes, nodes)", "link_rate, nodes, INT_MAX)", "test_platform_kinds"),
    Mutant("links-of-two-are-each-ones-own", "survey.c", "c->survey->nodes != 2", "true", "test_platform_kinds|test_sweeps"),
    Mutant("one-platform-for-all-points", "preload.c", "(size != p->size || memcmp(text, p->text, size) != 0)", "false", "test_sweeps"),
    Mutant("what-is-loaded-keeps-its-rates", "engine.c", "    scale_links(link_rate);\n", "    if (!loaded)\n        scale_links(link_rate);\n",
           "test_sweeps|test_formula$|test_engines"),
    Mutant("replicas-on-other-boards-are-like-the-first", "ring.c", "            return false;\n    return true;\n}\n\nint rg_ring_capacity",
           "            return true;\n    return true;\n}\n\nint rg_ring_capacity", "test_mixed|test_plan_walk|test_strategies"),
    Mutant("first-of-a-date-alone", "sharing.c", "f->rate == 0 || now - f->date <= RG_SAME_DATE * now",
           "f->rate == 0", "test_calendar"),
    Mutant("clock-beyond-other-limits", "sharing.c", "c->count == 0 || clock_rate(c) > c->most", "c->count == 0",
           "test_calendar"),
    Mutant("clock-goes-on-where-others-limit", "sharing.c", "    stop_clocks(s);\n", "    if (before == 0)\n        stop_clocks(s);\n",
           "test_calendar"),
    Mutant("clock-never-forgets", "sharing.c", "f->remaining = f->until - c->service;", "f->remaining = f->until;",
           "test_calendar"),
    Mutant("profiles-once", "profiles.c", "        p->begun_s += p->profile->period_s;\n", "        p->begun_s = INFINITY;\n",
           "test_sim_faults"),
    Mutant("profiles-without-factor", "calendar_engine.c", "g->link_rate * g->slow.own[i]", "g->slow.own[i]",
           "test_sim_faults_calendar"),
    Mutant("profiles-above-their-link", "trouble.c", "fmin(f->links[i].bandwidth, f->link_rate * f->slow.own[i])",
           "f->link_rate * fmin(1e9, f->slow.own[i])", "test_sim_faults"),
    Mutant("slow-cores-draw-all", "processors.c", "rg_board_watts(c->board, c->speed * busy)",
           "rg_board_watts(c->board, busy)", "test_calendar"),
    Mutant("latency-of-the-end", "connections.c", "now + queued + m->latency", "now + queued + latency_now(c, m->connection)",
           "test_sim_faults_calendar"),
    Mutant("loop-after-as-period", "profiles_xml.c", "p->period_s = last + r->loop_after;", "p->period_s = r->loop_after;",
           "test_platform_profiles"),
    Mutant("profiles-extrapolated", "reduced.c", "study->platform.profiles.count > 0", "false",
           "test_platform_profiles"),
    Mutant("idle-twice-in-logs", "meter.c",
           "m->facts.idle_W * seconds", "2 * m->facts.idle_W * seconds", "test_meter"),
    Mutant("idle-twice-so-far", "meter.c",
           "m->facts.idle_W * (date_s - m->opened_s)", "2 * m->facts.idle_W * (date_s - m->opened_s)",
           "test_meter"),
    Mutant("messages-draw-nothing", "power.c",
           "now.port_W += edges[i].port_W;", ";", "test_(result_shown|energy)$"),
    Mutant("resume-takes-failures-over", "gather.c",
           "if (!is_finished(&archive.runs[i]) || task->over)", "if (task->over)", "test_sweeps$"),

    # ---- the simulator ----
    Mutant("receives-at-the-senders-rate", "port_work.c",
           "wire / target->port_rate", "wire / board->port_rate",
           "test_(sim_energy|energy)$"),
    Mutant("buckets-always-full", "port_work.c",
           "fmin(full, b->level", "fmax(full, b->level", "test_sim_(queue|timing)$"),
    Mutant("latency-of-the-last-link", "ports.c",
           "route->latency += p->latencies[route->links[i]]", "route->latency = p->latencies[route->links[i]]", "test_sim_timing$"),
    Mutant("queue-without-a-buffer", "queue.c",
           "fmax(0, q->backlog - q->buffer)", "fmax(0, q->backlog)", "test_sim_queue$"),
    Mutant("slow-windows-multiply", "windows.c",
           "factor = fmin(factor, window->factor)", "factor *= window->factor",
           "test_(sim_faults|faults)$"),
    Mutant("jitter-one-way", "windows.c",
           "(1 + spread * draw(stream))", "(1 + spread * fabs(draw(stream)))",
           "test_(sim_faults|faults)$"),
    Mutant("rhythm-of-one-node", "steady.c",
           "!same(seconds_of(seen, n, p), seconds, seconds, seen[n - 1].date_s)", "0",
           "test_extrapolate$"),

    # ---- sockets ----
    Mutant("credit-not-returned", "match_receive.c",
           "p->rx_returned += bytes;", ";", "test_(posix|mesh|wire|match)$"),
    Mutant("permits-of-any-length", "match_send.c",
           "t->cleared = t->bytes <= e->bytes;", "t->cleared = true;",
           "test_(posix|mesh|wire|match)$"),
    Mutant("acknowledged-before-it-was-sent", "match_send.c",
           " || sequence > p->tx_sequence", "",
           "test_(wire|match)$"),
    Mutant("a-message-out-of-sequence", "match_receive.c",
           "if (h->sequence != p->rx_sequence + 1)\n            return \"a message", "if (0)\n"
           "            return \"a message", "test_(wire|match)$"),
    Mutant("segments-of-any-length", "wire.c",
           " || h->units * RG_WIRE_UNIT > RG_WIRE_SEGMENT_MOST", "", "test_wire$"),
    Mutant("keys-that-others-read", "key.c",
           "(S_IRWXO | S_IWGRP)", "S_IWOTH", "test_(join_key|keys)$"),
    Mutant("every-pause-is-paced", "pace.c",
           "s->idle ? rg_clock_s() : s->paced_until", "s->paced_until", "test_(mesh|pace|paced)$"),

    # ---- meters ----
    Mutant("steps-for-straight-lines", "meter_integral.c",
           "h * (watts + i->value) / 2", "h * watts", "test_meter"),
    Mutant("counters-that-wrap", "meter_rapl.c",
           "zone->range - zone->last + now", "now", "test_meter"),
    Mutant("logs-offset-the-other-way", "meter_csv.c",
           "spans[i].begin_s - csv->offset_s", "spans[i].begin_s + csv->offset_s", "test_meter"),
    Mutant("logs-cut-at-rows", "log_sum.c",
           "double middle = ((a + b) / 2 - from_s) / h;", "double middle = 0.5;", "test_meter"),
    Mutant("rows-of-two-hosts-are-one", "log_columns.c",
           "(words && parts_dates(s, i, date))", "(words && parts_dates(s, i, date) && false)",
           "test_meter_logs$"),
    Mutant("never-stuck", "meter_integral.c",
           "i->same < STUCK_LEAST || date_s - i->changed_s < limits->stuck_s", "1", "test_meter"),

    # ---- calibration ----
    Mutant("outliers-count-in-full", "robust.c",
           ": 1 / (1 + u * u);", ": 1;", "test_calibrate$"),
    Mutant("variances-for-errors", "robust.c",
           "sqrt(sigma2 * gsl_matrix_get(normal, j, j))", "sigma2 * gsl_matrix_get(normal, j, j)",
           "test_calibrate$"),
    Mutant("one-sided-interval", "fit.c",
           "v->low = v->value / reach", "v->low = v->value", "test_calibrate$"),
    Mutant("everything-is-determined", "fit.c",
           "v->determined = reach < VAGUE", "v->determined = true", "test_calibrate$"),
    # ---- who is alive, and what is left ----
    Mutant("no-signs-of-life", "beat.c", "else if (!l->said)", "else if (false)", "test_alive$"),
    Mutant("time-away-is-the-peers-fault", "beat.c", "l->heard_s + away", "l->heard_s", "test_alive$"),
    Mutant("the-reason-is-kept", "stream.c", "if (length == 0 || p->tx_leave_lost",
           "if (length != 0 || p->tx_leave_lost", "test_alive$"),
    Mutant("a-pledge-of-what-has-ended", "match.c", "m->updates + !m->between", "m->updates", "test_stops$"),
    Mutant("only-ones-own-pledge-counts", "match.c", "*last = RG_MAX(*last, p->pledge);", ";", "test_stops$"),
    Mutant("who-said-goodbye-was-lost", "match_lists.c", "p->gone && !p->goodbye", "p->gone",
           "test_match$"),
    Mutant("payload-not-looked-at", "stream.c", "if (p->rx_checked) {", "if (0) {", "test_match$"),
    Mutant("header-of-any-checksum", "wire.c", "if (rg_get_u32(bytes) != magic_of(bytes))",
           "if (0 && rg_get_u32(bytes) != magic_of(bytes))", "test_wire$"),
    Mutant("checksum-of-another-segment", "stream.c", "rg_crc32c(t->buffer + t->sent, t->segment_end - t->sent)",
           "rg_crc32c(t->buffer, t->segment_end - t->sent)", "test_match_fuzz$"),
    Mutant("short-tail-of-a-crc-lost", "crc.c", "crc = __builtin_ia32_crc32qi(crc, *at++);", "at++;", "test_crc$"),
    Mutant("ring-goes-on-as-if-new", "pipeline_open.c", "s->updates = done;", "s->updates = 0;", "test_checkpoints$"),
    Mutant("prediction-not-made-again", "pipeline_open.c", "if (result == 0 && s->exact)\n            rg_optimizer_predict",
           "if (result != 0 && s->exact)\n            rg_optimizer_predict", "test_checkpoints$"),
    Mutant("no-second-moment-kept", "replica.c", "result == 0 && (name =", "slot < 1 && result == 0 && (name =",
           "test_checkpoints$"),
    Mutant("rest-is-everybodys", "allreduce_run.c", ".own = true, .values = node->rest", ".values = node->rest",
           "test_checkpoints$"),
    Mutant("kept-back-is-everybodys", "server_filter.c",
           ".own = true,\n", "\n", "test_checkpoints$"),
    Mutant("local-state-is-everybodys", "allreduce_run.c", "plan->steps > 1, visit", "false, visit", "test_checkpoints$"),
    Mutant("own-state-for-others", "node_checkpoint.c", "if (offer->own == OWN && !n->keeping.same)", "if (0)",
           "test_checkpoints$"),
    Mutant("patience-begins-anew", "node_checkpoint.c", "n->in_vain = from->in_vain;", "n->in_vain = 0;",
           "test_checkpoints$"),
    Mutant("joules-of-the-last-evaluation", "node_checkpoint.c", "result = rg_node_sum_energy(n);", "result = 0;", "test_energy$"),
    Mutant("goals-are-forgotten", "node_checkpoint.c", "judged ? rg_node_judge_point(n) : 0", "0",
           "test_checkpoints$"),
    Mutant("altered-runs-are-taken", "archive.c", "here && strcmp(here, there) == 0;", "here;", "test_sweeps$"),
    Mutant("any-rank-may-answer", "join_greet.c", "if (h.rank != (uint32_t)rank) {", "if (0) {", "test_join$"),
    Mutant("any-key-speaks-for-all", "join_greet.c", "proved >= 0 && (uint32_t)proved != h->rank", "0", "test_join_key$"),
    Mutant("from-anywhere", "join_greet.c", "origin == RG_ORIGIN_OTHER)", "0)", "test_join$"),
    Mutant("silence-goes-unnoticed", "beat.c", "now - l->heard_s > AWAY_BEATS * m->beat_every_s)\n        note", "0)\n        note", "test_alive$"),
    Mutant("slow-is-frozen", "beat.c", "RG_SIGN_SLOW, begin_s", "RG_SIGN_FROZEN, begin_s", "test_alive$"),
    Mutant("searches-begin-anew", "search.c", "take_scalars(s, scalars);\n    return result;", "return result;", "test_checkpoints$"),
    Mutant("history-of-another-slot", "search.c", "v->at[RG_VECTOR_PAIRS + i]", "v->at[RG_VECTOR_PAIRS + (i & ~1)]", "test_checkpoints$"),
    Mutant("lasting-is-left-out", "node_checkpoint.c", "array->lasting ? LASTING", "0 ? LASTING", "test_checkpoints$"),
    Mutant("a-byte-makes-a-newer-version", "training_state.c", "if (!tensors_say(r, schema))", "if (0)", "test_training_state$"),
    Mutant("cards-are-never-busy", "node_checkpoint.c", ": n->time_s < n->keeping.written_s;", ": false;", "test_saving$"),
    Mutant("copies-cost-nothing", "saving.c", "return 2 * (double)bytes / board->memory_rate;", "return 0;", "test_saving$"),
    Mutant("shards-are-all-at-rank-0", "allreduce_run.c", "plan->shard == 3 ? own : count", "count", "test_checkpoints$"),
    Mutant("measured-joules-unknown-to-checkpoints", "node_energy.c", "n->w->ops->settle && !n->keeping.on", "n->w->ops->settle", "test_meter_run$"),
    Mutant("failures-are-only-counted", "node_checkpoint.c", "told->lost_count < FAILURES_TOLD", "told->lost_count < 1", "test_saving$"),
    Mutant("copies-in-no-memory", "node_resume.c", "writes ? one : 0", "0", "test_behaviour$"),
    Mutant("rests-in-no-memory", "allreduce_run.c", "plan->codec.kind == RG_CODE_NONE ? 0 : rg_size_times(nodes, count)", "0",
           "test_checkpoints$"),
    Mutant("what-filters-keep-in-no-memory", "server_node.c", "rg_server_filtered(plan) ? rg_size_times(", "0 ? rg_size_times(",
           "test_checkpoints$"),
    Mutant("streams-cut-anywhere", "node_checkpoint.c", "(whole_epochs(n->job) && !epoch_over)", "(false && !epoch_over)",
           "test_checkpoints$"),
    Mutant("torn-is-whole", "training_state.c", "return strcmp(sha256, wanted) == 0\n", "return true\n",
           "test_training_state$"),
    Mutant("only-the-newest-is-looked-at", "training_state.c", "while (err == RG_ERR_IO && (at =", "if (err == RG_ERR_IO && (at =",
           "test_training_state$"),
    Mutant("the-one-before-goes", "training_state.c", "iterations != this_one && iterations != previous",
           "iterations != this_one && previous != -2", "test_training_state$"),
    Mutant("through-a-link", "file.c", "return open_at(file, path, false, e);", "return open_at(file, path, true, e);",
           "test_training_state$"),
    Mutant("the-first-of-two-parts-is-all", "node_salvage.c", "at = end_of(range);\n    }\n    return false;",
           "at = end;\n    }\n    return false;", "test_salvage$"),
    Mutant("as-far-as-the-furthest", "node_salvage.c", "least = RG_MIN(least,", "least = RG_MAX(0 * least,",
           "test_salvage$"),
    Mutant("temporary-files-through-links", "file.c", "O_CREAT | O_EXCL | O_NOFOLLOW", "O_CREAT", "test_cli$"),
    Mutant("unsaved-is-well", "cli_exit.c", "run->unsaved[0] ? RG_EXIT_UNSAVED : RG_EXIT_OK", "RG_EXIT_OK",
           "test_cli$"),
    Mutant("no-descriptors-are-waited-for", "join_greet.c", "is_for_good(errno))", "is_for_good(0))",
           "test_join$"),
    # ---- what came with streams, zero bubble, sums in other ways, the calendar, arrays ----
    Mutant("late-by-whole-updates-only", "optimizer.c", "(1 - more + more * o->momentum)", "1",
           "test_(optimizer|streams)$"),
    Mutant("predicted-for-another-delay", "ring.c", "optimizer.late = ring->depth[stage] - 1;",
           "optimizer.late = ring->depth[stage];", "test_(streams|strategies)$"),
    Mutant("second-halves-summed-anew", "pipeline_compute.c",
           ".accumulate = adds(s, a->unit)", ".accumulate = false", "test_strategies$"),
    Mutant("chunks-of-one-tag", "pipeline.c", "(uint32_t)(to / p->ring->nodes)", "0u", "test_strategies$"),
    Mutant("sums-of-chunks-of-one-tag", "pipeline_open.c", "(uint32_t)(stage / ring->nodes)", "0u",
           "test_strategies$"),
    Mutant("a-group-too-short", "schedule_interleaved.c", "(chunks - 1) * nodes + 2", "(chunks - 1) * nodes + 1",
           "test_plan$"),
    Mutant("memory-of-the-first-chunk", "ring.c",
           "for (int s = node; s < ring->stages; s += ring->nodes)\n        bytes",
           "for (int s = node; s < ring->nodes; s += ring->nodes)\n        bytes", "test_strategies$"),
    Mutant("one-range-is-all", "pipeline_open.c", "if (part >= p->chunks)", "if (part >= 1)", "test_salvage$"),
    Mutant("a-walk-without-drains", "ring_walk.c", "(double)(i / d->length) * d->epoch_s", "0",
           "test_plan_walk_50$"),
    Mutant("cores-for-all", "processors.c", "c->speed * c->cores / c->count", "c->speed", "test_calendar$"),
    Mutant("joules-of-all-cores", "processors.c", "c->speed * busy", "c->speed * c->cores",
           "test_(calendar|sim_energy_calendar)$"),
    Mutant("flows-faster-than-they-may", "sharing.c", "lowest <= share ? fix_modest(s, share) : 0", "0",
           "test_(calendar|sim_timing_calendar)$"),
    Mutant("bytes-of-a-burst-lost-to-rounding", "port_work.c", "floor(credit + 1e-3)", "floor(credit)", "test_(calendar|engines)$"),
    Mutant("near-ties-are-none", "sim_strands.c", "apart <= RG_MIN(RG_NEAR_DATE * now, RG_NEAR_S)", "apart < 0", "test_(sim_rules|engines)$"),
    Mutant("one-date-is-a-near-tie", "sim_strands.c", "apart > RG_SAME_DATE * now", "apart > 0", "test_sim_rules"),
    Mutant("all-ranks-as-uneven-as-the-last", "sim_strands.c", "uneven * (w->rank + 1) / w->size", "uneven", "test_sim_timing$"),
    Mutant("a-crowd-on-a-wide-trunk", "crowd.c", "others && link->wanted > link->bandwidth * (1 + RG_SAME_DATE)",
           "others", "test_calendar$"),
    Mutant("a-crowd-that-stays", "crowd.c", "--link->count > 0 ? link->wanted - most : 0", "link->wanted - 0 * most",
           "test_calendar$"),
    Mutant("again-not-of-steady-runs", "again.c", "(run->engine.near_ties > 0 || crowded) && whole &&", "(run->engine.near_ties > 0 || crowded) && whole &&\n           run->extrapolated_iterations == 0 &&", "test_engines$"),
    Mutant("again-of-crowds-that-repeat", "again.c", "met >= CROWDED && run->extrapolated_iterations == 0", "met >= CROWDED", "test_engines$"),
    Mutant("again-not-of-those-that-diverge", "again.c", " || run->status == RG_RUN_DIVERGED", "", "test_engines$"),
    Mutant("again-no-crowd", "again.c", "(run->engine.near_ties > 0 || crowded)", "run->engine.near_ties > 0", "test_engines$"),
    Mutant("again-of-few-nodes-only", "again.c", "CHEAP_NODES ? run->engine.crowded : run->engine.meshed", "CHEAP_NODES ? run->engine.crowded : 0",
           "test_engines$"),
    Mutant("again-of-any-link", "again.c", "run->nodes <= CHEAP_NODES ? run->engine.crowded : run->engine.meshed", "run->engine.crowded", "test_engines$"),
    Mutant("two-links-as-one", "crowd.c", "met->twice += found > 1", "met->twice += found > 0", "test_(calendar|engines)$"),
    Mutant("well-without-a-result", "ringnode_local.c", "if (status == 0 && !is_reported(f))", "if (false)", "test_lose_run$"),
    Mutant("started-again-when-all-is-over", "ringnode_local.c", "&& !ringnode_interrupted && !is_over(f)", "&& !ringnode_interrupted",
           "test_lose_run$"),
    Mutant("those-that-cannot-go-on-forget-what-it-was", "ringnode_attempts.c", "node->study = err ? before : next;", "node->study = next;", "test_given_up$"),
    Mutant("where-none-can-each-leaves", "ringnode_attempts.c", "return can ? own : RG_ERR_REFUSED;", "return own;", "test_given_up$"),
    Mutant("where-all-give-up-one-has-failed", "mesh.c", " || result == RG_ERR_REFUSED;", ";", "test_given_up$"),
    Mutant("frames-are-not-counted", "stream.c", "h->type == RG_FRAME_BEAT && h->sequence != p->rx_frames", "false", "test_match$"),
    Mutant("segments-are-no-frames", "stream.c", "p->tx_frames += header > 0 && t->header_left == 0;", "", "test_match$"),
    Mutant("one-that-fails-waits-for-the-others", "attempts.c", "if (result < 0 && result != RG_ERR_REFUSED && result != RG_ERR_INTERRUPTED)",
           "if (result == RG_ERR_PEER || result == RG_ERR_RETURNED)", "test_returns$"),
    Mutant("one-that-finds-fewer-stays", "attempts.c", "return result == 0 && a->fit >= 0 && a->fit < since.fit ? RG_ERR_INVALID : result;", "return result;",
           "test_returns$"),
    Mutant("the-fewest-that-fit", "attempts.c", "RG_MAX(most->fit, theirs.fit)", "RG_MIN(most->fit, theirs.fit)", "test_returns$"),
    Mutant("none-can-where-one-cannot", "attempts.c", "own |= one;", "own &= one;", "test_returns$"),
    Mutant("again-as-before", "ringsim_child.c", "options.link_rate *= 1 - RG_AGAIN_PART", "", "test_engines$"),
    Mutant("again-computing-as-before", "ringsim_child.c", "options.uneven = RG_AGAIN_PART", "", "test_engines$"),
    Mutant("again-by-the-same-engine", "ringsim_child.c", "options.engine = RG_SIM_CALENDAR", "", "test_engines$"),
    Mutant("all-messages-as-long", "connections.c", "rest * longer(c->uneven, m->source, m->target)", "rest", "test_engines$"),
    Mutant("again-what-was-taken-up", "again.c", " && !run->resumed.known", "", "test_engines$"),
    Mutant("again-without-messages", "again.c", "run->traffic.messages > 0", "true", "test_engines$"),
    Mutant("again-to-the-end-of-the-job", "again.c", "second.iterations = first->iterations;", "", "test_engines$"),
    Mutant("stacks-for-sixty-four-cores", "calendar_engine.c", "if (threads <= FEW_THREADS)", "if (threads < 0)",
           "test_sim_rules_calendar$"),
    Mutant("the-highest-rank-first", "calendar_engine.c", "(rank > other) - (rank < other)",
           "(rank < other) - (rank > other)", "test_(calendar|sim_rules_calendar|engines)$"),
    Mutant("arrays-in-the-other-byte-order", "array_file.c", "file->little ? bytes - 1 - k : k", "k", "test_npy$"),
    Mutant("one-direction-of-a-link-changes", "profiled.c", "p->targets < 2; i++", "p->targets < 1; i++",
           "test_platform_profiles$"),
    Mutant("test-file-of-images-trains", "data_cifar10.c", "= images->first[TEST]}", "= images->first[FILES]}",
           "test_drawn$"),
    Mutant("mapped-test-samples-looked-at-elsewhere", "array_data.c", "file->header + (i - first) * file->row",
           "file->header + i * file->row", "test_npy$"),
    Mutant("labels-by-the-decimal-mark-of-inputs", "data_csv.c", "&r->label_decimal", "&r->decimal", "test_numbers$"),
    Mutant("one-hot-columns-of-a-test-file-uncounted", "array_targets.c", "(t->numbers || one_hot)",
           "t->numbers", "test_npy$"),
    Mutant("labels-that-are-no-whole-numbers", "array_targets.c", "value != floor(value) || ", "", "test_npy$"),
    Mutant("a-timeline-of-all-times", "trace.c", "event->begin_s > trace->to_s", "false", "test_trace_parts$"),
    Mutant("the-watts-before-the-window", "timeline.c", "fmax(steps[i].date_s, from_s)", "steps[i].date_s",
           "test_trace_parts$"),
    Mutant("every-part-is-missing", "archive.c", "missing += owner[place] < 0;", "missing++;",
           "test_sweeps$"),
    # ---- ways out of streams ----
    Mutant("losses-that-never-come", "pipeline_lanes.c", "p->lanes[lane].until = RG_MIN(p->lanes[lane].until, end);",
           "(void)end;", "test_streams$"),
    Mutant("loss-behind-the-first-stage", "schedule_zb.c", ".stash = RG_STASH_HALVES,\n    .loss_beside = true,\n    .units_a_node = 4,\n    .depth = one_trip",
           ".stash = RG_STASH_HALVES,\n    .units_a_node = 4,\n    .depth = one_trip", "test_formula$"),
    Mutant("walk-with-the-loss-behind", "ring_walk.c", "beside || !n->busy[1 - lane]", "!n->busy[1 - lane]", "test_formula$"),
    Mutant("walk-with-a-core-for-each", "ring_walk.c", "wanted <= n->board->cores ? 1", "true ? 1", "test_formula$"),
    Mutant("loss-strand-told-nothing", "pipeline_lanes.c", "list[waiting] = &l->told;", "list[waiting] = NULL;", "test_streams$"),
    Mutant("sends-that-nobody-takes", "pipeline_lanes.c", "rg_pipeline_iteration(p, send->unit) < last",
           "true", "test_streams$"),
    Mutant("nobody-waits-for-rings-alike", "attempts.c", "return fit > 0 ? fit : count;", "return count;", "test_(attempts|kept)$"),
    Mutant("whoever-waited-knows-of-none", "attempts.c", "a->iterations = INT64_MAX; /* others", "/* others", "test_(attempts|kept)$"),
    Mutant("a-part-for-the-whole", "copies.c", "has(had, done, array->name, array->first) &&", "has(had, done, array->name, array->first) ||",
           "test_copies$"),
    Mutant("back-for-one-is-back-for-all", "attempts.c", "seen[i] &= theirs[i];", "seen[i] |= theirs[i];",
           "test_returns$"),
    Mutant("taken-in-at-any-time", "node.c", "if (result == 0 && !within && !n->job->flows_on)", "if (result == 0 && !n->job->flows_on)",
           "test_back$"),
    Mutant("no-state-for-those-that-return", "node_copies.c", "if (returned || (n->keeping.from_copies", "if ((n->keeping.from_copies",
           "test_back$"),
    Mutant("no-checkpoint-for-those-that-return", "node_copies.c", "after = rg_node_checkpoint(n, true);", "after = 0;",
           "test_back$|test_(attempts|kept)$"),
    Mutant("spares-are-taken-in-at-any-time", "node_copies.c", "(a->lose == RG_LOSE_SPARE && a->present > a->nodes)", "false", "test_back$"),
    Mutant("what-is-a-nodes-own-is-handed-over", "node_copies.c", "*own = *own || array->own;", ";", "test_back$"),
    Mutant("evaluations-are-not-handed-over", "node_copies.c", "after = share_points(n, n->done, 0,", "after = 0 * share_points(n, n->done, 1,",
           "test_(attempts|kept)$|test_back$"),
    Mutant("who-is-back-waits-for-an-epoch", "attempts.c", "result = look_before_training(w, a);", ";", "test_(attempts|kept)$"),
    Mutant("back-and-gone-is-back", "attempts.c", "if (seat == a->entering) {", "if (false) {", "test_returns$"),
    Mutant("those-that-wait-are-not-asked", "attempts.c", "rank = a->nodes; rank < w->size && result == 0; rank++)\n        result = rg_send_wait(w, rank, TAG_OVER, &question",
           "rank = a->nodes; rank < 0 && result == 0; rank++)\n        result = rg_send_wait(w, rank, TAG_OVER, &question", "test_returns$"),
    Mutant("returned-nodes-draw-nothing", "losses.c", "if (off_s > *at)\n", "if (false)\n", "test_back$"),
    Mutant("power-that-is-back-is-not", "losses.c", "off_s > date_s;", "off_s > 2 * date_s;", "test_back$"),
    Mutant("rows-are-dealt-anew", "job.c", "return err || !left ? err :", "return err || left ? err :", "test_off$"),
    Mutant("who-serves-keeps-its-rows", "job.c", "(seat < first ? want->hosts[seat] : seat) - first;", "(seat < first ? first : seat) - first;", "test_off$"),
    Mutant("rounds-are-done-again", "fedavg.c", "    s->node.done = round + 1;\n", "", "test_(attempts|kept)$|test_off$"),
    Mutant("servers-behind-stay-behind", "server_chain.c", "    node->settled = clock + 1;\n", "", "test_(attempts|kept)$|test_off$"),
    Mutant("steps-due-are-not-taken", "server_chain.c", "        rg_update_finish(update, node->settled, parameters, gradient);", "        ;",
           "test_(attempts|kept)$|test_off$"),
    Mutant("servers-wait-for-none", "server_chain.c", "    return settle(node, clock);", "    return result;", "test_off$"),
    Mutant("filtered-servers-are-whole", "parameter_server.c", "plan.in_step && !rg_server_filtered(&plan);", "plan.in_step;", "test_(attempts|kept)$"),
    Mutant("those-started-again-count", "ringdeploy", "((starts[other] > 1 && SECONDS", "((0 && SECONDS", "test_lost_boards$"),
    Mutant("nobody-goes-on", "ringdeploy", "    others_go_on \"$1\"\n", "    false\n", "test_lost_boards$"),
    Mutant("rank-0-reports-always", "ringdeploy", "|| reporter=$rank", "|| reporter=0", "test_lost_boards$"),
    Mutant("wrong-set-up-is-a-loss", "ringdeploy", "((starts[$1] > 1)) || return 1 ;;", ": ;;", "test_lost_boards$"),
    Mutant("pauses-do-not-grow", "ringdeploy", "2 * pause[$1] < pause_most_s ? 2", "2 * pause[$1] < pause_most_s ? 1", "test_lost_boards$"),
    Mutant("a-door-for-those-that-are-here", "door.c", "place->elsewhere = !expected;", "place->elsewhere = false;", "test_door$"),
    Mutant("doors-let-nobody-wait", "join_return.c", "    if (alive)\n        return;\n", "", "test_door$"),
    Mutant("who-comes-too-late-waits", "door.c", "rg_join_send_hello(&door->waiting[rank], &over);", ";", "test_door$"),
    Mutant("who-speaks-stays-at-the-door", "door.c", "if (expected && place->speaks &&", "if (false && place->speaks &&", "test_door$"),
    Mutant("who-is-silent-is-sent-away", "door.c", "if (expected && place->speaks &&", "if (expected &&", "test_door$"),
    Mutant("runs-keep-their-first-name", "join_return.c", "    g->nonce = h->nonce;\n    return true;", "    return true;", "test_door$"),
    Mutant("attempts-after-a-stop", "mesh.c", "!m->salvages && atomic_load(&m->winding) ? RG_ERR_INTERRUPTED : 0;", "0;",
           "test_stops$"),
    Mutant("salvage-as-any-run", "match.c", "m->barrier = m->salvages ? SALVAGE : 0;", "m->barrier = 0;", "test_stops$"),
    Mutant("updates-counted-from-here", "world_posix.c", "    s->mesh->match.updates = (uint64_t)w->iterations;\n", "",
           "test_stops$"),
    Mutant("a-part-is-a-whole-by-itself", "attempts.c", "if (!a->cannot) /* else", "if (true) /* else", "test_returns$"),
    Mutant("as-few-as-there-are", "attempts.c", "nodes < a->wanted)", "nodes < a->nodes)", "test_returns$"),
    Mutant("parts-of-several-states", "node_salvage.c", "s->whole = newest_whole(s);", ";", "test_salvage$"),
    Mutant("salvage-without-copies", "node_salvage.c", "options->attempts ? &options->attempts->copies : &kept->copies", "&kept->copies",
           "test_salvage$"),
    Mutant("nothing-put-aside", "ringnode_rank.c", "ringnode_put_aside(node, &one);", ";", "test_given_up$"),
    Mutant("runs-begin-with-the-first", "mesh.c", "    return m->match.run;", "    return 0;", "test_return_run$"),
    Mutant("invitations-of-other-runs", "mesh.c", "rg_match_enter(&m->match, run);", ";", "test_return_run$"),
    Mutant("damaged-invitations", "joined.c", "rg_crc32c(bytes, (size_t)h->length) != h->crc)", "false)", "test_wire$"),
    Mutant("states-forgotten-too-early", "node_copies.c", "    rg_copies_keep_points(copies, done);\n    if (result == 0)\n        result = share",
           "    rg_copies_keep(copies, done);\n    if (result == 0)\n        result = share", "test_(attempts|kept)$"),
    Mutant("losses-told-by-whoever-waited", "attempts.c", "theirs.told > most->told || (theirs.told == most->told && dated)", "dated",
           "test_(attempts|kept)$"),
    Mutant("twins-of-mortals", "allreduce_run.c", " && !w->mortal", "", "test_(off|back)$"),
    Mutant("a-step-that-is-not-counted", "allreduce_run.c", "node->done = i + 1;", ";", "test_(attempts|kept)$"),
    Mutant("state-of-what-had-not-begun", "node_copies.c", "(!n->keeping.ready || (result != RG_ERR_PEER && !returned))",
           "(result != RG_ERR_PEER && !returned)",
           "test_(attempts|kept)$"),
    Mutant("epochs-without-an-evaluation", "node_copies.c", "n->keeping.untold = told[1];", ";", "test_(attempts|kept)$"),
    Mutant("a-minority-goes-on", "muster.c", "(2 * here > voters ||", "(here > 0 ||", "test_muster$"),
    Mutant("what-others-have-lost-is-not-heard", "muster.c", "own[i] = RG_MAX(own[i], theirs[i]);", ";", "test_muster$"),
    Mutant("the-word-of-the-lost-counts", "muster.c", "view[seat[r]] == RG_HERE)", "view[seat[r]] < RG_GONE)",
           "test_muster$"),
    Mutant("pauses-take-no-time", "node_checkpoint.c", "g.copying_s : g.modelled_s);", "g.copying_s : 0);",
           "test_off$"),
    Mutant("hollow-ones-are-as-large-as-their-last", "node_checkpoint.c", "g->bytes += offer->count * sizeof(float);",
           "g->bytes = offer->count * sizeof(float);", "test_off$"),
    Mutant("torn-checkpoints-of-a-dead-card", "losses.c", "kept->written_s > s->off_s[0]", "false", "test_off$"),
    Mutant("cards-are-read-at-once", "node_checkpoint.c", "? 0 : pass_time(n, reading_s);", "? 0 : 0;", "test_off$"),
    Mutant("cards-are-read-in-any-case", "node_copies.c", "result = rg_node_find_checkpoint(n, had);",
           "result = rg_node_find_checkpoint(n, -1);", "test_off$"),
    Mutant("waiting-costs-nothing", "losses.c", "s->since_s > from_s &&", "false &&", "test_off$"),
    Mutant("spares-draw-nothing", "losses.c", "if (a->present > a->nodes)", "if (false)", "test_off$"),
    Mutant("losses-dated-by-programs", "losses.c", "a->noticed_s = fmin(s->off_s[rank] + noticed_s, a->broken_s);",
           "a->noticed_s = a->broken_s;", "test_off$"),
    Mutant("attempts-begin-when-rank-0-has-noticed", "ringsim_child.c", "fmax(a->broken_s, s->own[rank].broken_s);", "a->broken_s;",
           "test_off$"),
    Mutant("losses-that-iterations-do-not-see", "sim_strands.c", "if (rg_exchange_has_lost(m->exchange))", "if (false)",
           "test_sim_conformance$|test_sim_conformance_calendar$"),
    Mutant("losses-that-iterations-in-memory-do-not-see", "world_mem.c", "if (rg_exchange_has_lost(m->exchange))", "if (false)",
           "test_mem$"),
    Mutant("whoever-has-joined-and-gone-is-waited-for", "join_refuse.c", "!interrupted && g->o->outlives", "!interrupted && false",
           "test_join$"),
    Mutant("a-broken-link-is-polled", "join.c", "g->peers[r].fd < 0 || g->places[r].gone", "g->peers[r].fd < 0", "test_join$"),
    Mutant("whoever-has-gone-is-not-called-again", "join.c", "bool here = g->peers[r].fd >= 0 && !p->gone;",
           "bool here = g->peers[r].fd >= 0;", "test_join$"),
    Mutant("replicas-of-a-sample-more", "server_predict.c", "stage->replica[last].bytes = replica_bytes(job, stage, samples);",
           "stage->replica[last].bytes = replica_bytes(job, stage, samples + 1);", "test_capacity$|test_strategies$|test_extrapolation$"),
    Mutant("flows-of-a-target-alone", "exchange_queues.c", "(flow->source != source || flow->target != target)", "flow->target != target",
           "test_mem$"),
    Mutant("owed-beside-another-strand", "sim_strands.c", "s->parent || s->unjoined > 0 || s->all->mortal",
           "s->parent || s->all->mortal", "test_sim_rules"),
    Mutant("sent-before-it-is-computed", "sim_strands.c", "    pay(s);\n    int result = rg_exchange_send(",
           "    int result = rg_exchange_send(", "test_sim_rules"),
    Mutant("owed-at-the-end-is-lost", "sim_strands.c", "            pay(s);\n            RG_ASSERT", "            RG_ASSERT",
           "test_sim_rules"),
    Mutant("parts-of-a-row-alike", "world.c", "done += row[i].seconds;", "done += all / count;", "test_sim_rules"),
    Mutant("quiet-tasks-end-when-asked", "processors.c", "        advance(c, end);\n", "", "test_calendar$"),
    Mutant("awaited-tasks-stay-quiet", "processors.c", "    task->quiet = false;\n", "", "test_calendar$"),
    Mutant("awaited-ones-end-with-quiet-ones", "processors.c", "while (c->first && c->first->quiet &&", "while (c->first &&",
           "test_calendar$"),
    Mutant("crowded-ones-are-quiet-too", "processors.c", "while (task && task->quiet && c->count <= c->cores)",
           "while (task && task->quiet)", "test_calendar$"),
    Mutant("pieces-overlap", "chunks.c", "c->used += wanted;", "c->used += bytes;", "test_chunks$"),
    Mutant("samples-of-another-seat", "study_data.c", "if (!before || !before->read || !are_the_same(keep, before->kept))",
           "if (!before || !before->read)", "test_job$"),
    Mutant("never-given-up", "losses.c", "a->broken_s > s->study->scenario.faults.give_up_s", "false", "test_off$"),
    Mutant("any-word-for-every", "study.c", "known && (!every.daly || s->faults.mtbf_s > 0)", "true", "test_refusals$"),
    Mutant("a-card-that-is-ahead", "ringsim_child.c", "rg_training_read_until(r->options.checkpoint, kept->iterations,",
           "rg_training_read_until(r->options.checkpoint, 1000000,", "test_off$"),
    Mutant("cast-scenarios-are-others", "study.c", "(err = rg_scenario_seal(s, e)))", "(cast_nodes(want, s), err = rg_scenario_seal(s, e)))",
           "test_off$"),
    Mutant("shrunk-runs-are-none-of-the-sweep", "gather.c", "run->loss_count > 0;", "false;", "test_off$"),
    Mutant("spares-stay-where-they-are", "attempts.c", "a->lose == RG_LOSE_SPARE &&", "false &&", "test_(attempts|kept)$"),
    Mutant("copies-without-memory-are-states", "backup.c",
           "p->backup->states[i].own_done = p->backup->states[i].copy_done = -1;", ";", "test_kept$"),
    Mutant("told-whole-before-it-is", "node_gather.c",
           """    if (result == 0)
        rg_node_describe_meters(n);
    if (result == 0 && n->options->attempts) /* for which there may be no memory */
        result = rg_attempts_tell(n->options->attempts, n->w, n->run);
    return result ? result : tell_whole(n);""",
           """    if (result == 0)
        rg_node_describe_meters(n);
    if (result == 0)
        result = tell_whole(n);
    if (result == 0 && n->options->attempts)
        result = rg_attempts_tell(n->options->attempts, n->w, n->run);
    return result;""", "test_kept$"),
    Mutant("a-task-that-failed-is-made", "tasks_worker.c", """    if (result == 0)
        node->worker->last->task = task;""", "    node->worker->last->task = task;", "test_out_of_memory$"),
    Mutant("a-strand-waits-for-what-is-not-told", "tell.c", "result == RG_ERR_NOMEM ? NULL", "false ? NULL", "test_out_of_memory$"),
    Mutant("no-memory-is-a-broken-account", "result_pack.c", """    if (c.full)
        return rg_fail(e, RG_ERR_NOMEM,""", """    if (c.used > 0)
        return rg_fail(e, RG_ERR_NOMEM,""", "test_out_of_memory$"),
    Mutant("states-are-kept-too-short", "backup.c", "kept = 1 + (pieces + 1 + every) / every",
           "kept = 1 + (pieces + every) / every", "test_backup$"),
    Mutant("states-are-further-apart", "backup.c", "every = most + 1 - pieces", "every = most + 2 - pieces",
           "test_backup$"),
    Mutant("a-copy-of-half-a-state", "backup.c", "++state->come == b->pieces", "++state->come == 1", "test_(attempts|kept)$"),
    Mutant("copies-of-another-update", "backup.c", "state->copy_done = iteration + 1 - b->pieces;",
           "state->copy_done = iteration + 1;", "test_(attempts|kept)$"),
    Mutant("copies-without-the-optimizer", "backup.c",
           "memcpy(to + count, s->update.state, more * sizeof *to);", ";", "test_(attempts|kept)$"),
    Mutant("a-piece-that-nobody-waits-for", "pipeline.c", "n += list[n] != NULL;", ";", "test_(backup|attempts)$"),
    Mutant("copies-are-no-memory", "ring.c", "rg_size_times((uint64_t)ring->backup.kept, rg_ring_node_floats(ring, before))",
           "0", "test_backup$"),
    Mutant("copies-that-are-not-whole-are-taken", "copies.c", "if (i < 0)\n                return false;",
           "if (i < 0)\n                break;", "test_(attempts|kept|copies)$"),
    Mutant("older-copies-are-taken", "copies.c", "had[i].done > newest &&", "newest < 0 &&", "test_(attempts|kept|copies)$"),
    Mutant("copies-of-an-older-state-stay", "copies.c", "copies->list[i].name.done == done", "true",
           "test_(attempts|kept|copies)$"),
    Mutant("evaluations-after-the-state-stay", "copies.c",
           "copies->points[copies->point_count - 1].iteration > done", "false", "test_(attempts|kept|copies)$"),
    Mutant("who-was-started-again-knows-all", "node_copies.c",
           "counts[rank].points > counts[knows].points ? rank : knows", "0", "test_(attempts|kept)$"),
    Mutant("a-piece-hides-behind-anything", "ring_predict.c", "piece_s(ring, rank) > loads[rank].trip", "false",
           "test_(backup|backups)$"),
    Mutant("copies-may-take-longer", "ring_walk.c", "(1 + RG_BACKUP_HIDDEN) * bare_s", "2 * bare_s",
           "test_(backup|backups)$"),
    Mutant("streams-keep-copies", "ring_pipeline.c", "if (!ring->schedule->synchronous)\n        return rg_fail(e, RG_ERR_INVALID,\n                       \"backup",
           "if (false)\n        return rg_fail(e, RG_ERR_INVALID,\n                       \"backup", "test_backup$"),
    Mutant("turns-in-any-order", "turns.c", "qsort(round.turn, round.count, sizeof(struct rg_turn *), by_rank);", "", "test_sim_rules$"),
    Mutant("turns-at-once", "turns.c", "        seen = t->seen;\n        sg_actor_yield();\n", "        seen = t->seen;\n", "test_sim_rules$"),
    Mutant("crowds-by-their-ends", "timeline.c", "    if (p->peer != q->peer)\n        return p->peer < q->peer ? -1 : 1;\n", "", "test_result_shown$"),
    Mutant("stopped-at-once-has-nothing", "node.c", "    if (n->done == 0)\n        return RG_ERR_INTERRUPTED;", "    return RG_ERR_INTERRUPTED;", "test_checkpoints$"),
    Mutant("pumps-keep-their-route", "pumps.c", "        pump->message = message;\n        pump->route = route;\n", "        pump->message = message;\n", "test_sim_timing$"),
    Mutant("a-loss-is-noticed-at-once", "sim_strands.c", "m->options->noticed_s;", "0;", "test_off$"),
    Mutant("a-write-that-failed-is-forgotten", "cli_files.c", " && !ferror(stdout)", "", "test_behaviour$"),
    Mutant("a-stop-that-wakes-nobody", "requests.c", "STOPS = RG_PENDING + 1", "STOPS = RG_PENDING",
           "test_stops$"),
]

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOMS = ("models/", "runtime/", "sim/")
PROGRAMS = ("ringsim", "ringnode", "ringcal", "ringboard")  # tests run them without saying so
PATIENCE = 10  # a mutant's tests may take so many times what they take without it ...
PATIENCE_S = 30  # ... and so many seconds more, before they count as hanging


class Failure(Exception):
    """What ends the whole run; its text says why."""


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- processes: whatever a test leaves behind is ours to end ----

def adopt_orphans():
    """Descendants whose parents end become our children (PR_SET_CHILD_SUBREAPER)."""
    ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)


def children():
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                parent = file.read().rpartition(")")[2].split()[1]
        except OSError:  # it has ended
            continue
        if int(parent) == os.getpid():
            found.append(int(name))
    return found


def end_children():
    """Each that ends hands its own children to us, so again until there are none."""
    while pids := children():
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass


def run(command, timeout_s=None):
    """Status and output of a command; status None: it took too long. Nothing of it goes on."""
    environment = dict(os.environ, LC_ALL="C", CTEST_PARALLEL_LEVEL="")
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace",
                               start_new_session=True, env=environment)
    try:
        output, _ = process.communicate(timeout=timeout_s)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        return None, ""
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        end_children()


# ---- the scratch copy ----

class Tree:
    """A copy of the sources, built in place."""

    def __init__(self, folder, jobs):
        self.folder, self.jobs = folder, jobs
        self.build_folder = os.path.join(folder, "build", "release")
        self.tests = {}  # name: programs that it needs, as targets
        self.seconds = {}  # name: what it takes

    def copy(self):
        listed = subprocess.run(["git", "-C", SOURCE, "ls-files", "-z", "-co", "--exclude-standard"],
                                check=True, capture_output=True, text=True).stdout
        for name in filter(None, listed.split("\0")):
            source, target = os.path.join(SOURCE, name), os.path.join(self.folder, name)
            if os.path.isfile(source):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copy2(source, target)

    def configure(self):
        status, output = run(["cmake", "-S", self.folder, "--preset", "release"])
        if status:
            raise Failure("cmake fails:\n" + output)

    def build(self, targets=()):
        command = ["cmake", "--build", self.build_folder, "-j", str(self.jobs)]
        status, output = run(command + (["--target", *targets] if targets else []))
        return status == 0, output

    def find_tests(self):
        _, output = run(["ctest", "--test-dir", self.build_folder, "-LE", "slow", "-N", "-V"])
        command = []
        for line in output.splitlines():
            if match := re.match(r"\d+: Test command: (.*)", line):
                command = [word.strip('"') for word in match[1].split(" ")]
            elif match := re.match(r"\s*Test\s+#\d+: (\S+)", line):
                own = [word for word in command if word.startswith(self.build_folder + "/")]
                self.tests[match[1]] = [os.path.relpath(word, self.build_folder)
                                        for word in own if os.path.isfile(word)]
        if not self.tests:
            raise Failure("ctest knows no tests:\n" + output)

    def matching(self, pattern):
        return [name for name in self.tests if re.search(pattern, name)]

    def test(self, names, timeout_s=None, stop=True):
        """Names of those that failed; None: they took too long."""
        pattern = "^(" + "|".join(map(re.escape, names)) + ")$"
        command = ["ctest", "--test-dir", self.build_folder, "-j", str(self.jobs), "-R", pattern]
        status, output = run(command + (["--stop-on-failure"] if stop else []), timeout_s)
        if status is None:
            return None
        failed = []
        for name, dots, seconds in re.findall(r"Test +#\d+: (\S+) (.*?) +([\d.]+) sec", output):
            self.seconds.setdefault(name, float(seconds))
            if "Passed" not in dots and "Skipped" not in dots:
                failed.append(name)
        if bool(status) != bool(failed):
            raise Failure("ctest says something unforeseen:\n" + output)
        return failed

    def path_of(self, mutant):
        found = [path for path in self.sources() if os.path.basename(path) == mutant.file]
        return found[0] if len(found) == 1 else None

    def sources(self):
        for room in ROOMS:
            for folder, _, names in os.walk(os.path.join(self.folder, room)):
                for name in names:
                    yield os.path.join(folder, name)


def what_is_stale(tree, mutant):
    """Why a mutant cannot be made; None: it can."""
    path = tree.path_of(mutant)
    if not path:
        return f"no file, or several, named {mutant.file}"
    with open(path, encoding="utf-8") as file:
        count = file.read().count(mutant.old)
    return None if count == 1 else f"{mutant.file} has its text {count} times, not once"


# ---- trying ----

def try_mutant(tree, mutant):
    """Who caught it, as text; None: nobody. Raises Failure where it does not compile."""
    names, path = tree.matching(mutant.tests), tree.path_of(mutant)
    if not names:
        raise Failure(f"no test is named as {mutant.tests}")
    targets = sorted({target for name in names for target in tree.tests[name]})
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(mutant.old, mutant.new))
        good, output = tree.build([*PROGRAMS, *targets])
        if not good:
            raise Failure("it does not compile:\n" + output[-2000:])
        limit = PATIENCE_S + PATIENCE * sum(tree.seconds.get(name, 0) for name in names)
        failed = tree.test(names, limit)
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    return "they hang" if failed is None else ", ".join(failed) or None


def must_pass(tree, mutants):
    """Without a mutant all tests concerned pass; those that a busy machine disturbs, alone."""
    names = sorted({name for mutant in mutants for name in tree.matching(mutant.tests)})
    say(f"{len(names)} tests without a mutant")
    failed = tree.test(names, stop=False)
    again = [name for name in failed if tree.test([name])]
    if again:
        raise Failure("without a mutant fail already: " + ", ".join(again))


def try_all(tree, mutants):
    """Those that survived, and those that are no mutants any more: (mutant, why)."""
    survivors, stale = [], []
    for number, mutant in enumerate(mutants, 1):
        begun = time.monotonic()
        try:
            why = what_is_stale(tree, mutant)
            if why:
                raise Failure(why)
            caught = try_mutant(tree, mutant)
            if not caught:
                survivors.append((mutant, f"survives {mutant.tests}"))
            verdict = f"caught: {caught}" if caught else "SURVIVES"
        except Failure as failure:
            stale.append((mutant, str(failure)))
            verdict = str(failure)
        say(f"[{number}/{len(mutants)}] {mutant.name}: {verdict} "
            f"({time.monotonic() - begun:.0f} s)")
    return survivors, stale


def list_mutants(tree, mutants):
    good = True
    for mutant in mutants:
        stale = what_is_stale(tree, mutant)
        good = good and not stale
        print(f"{mutant.name:44} {mutant.file:22} {mutant.tests}{'   ' + stale if stale else ''}")
    return 0 if good else 1


def work(tree, mutants):
    begun = time.monotonic()
    tree.copy()
    say(f"building in {tree.folder}")
    tree.configure()
    good, output = tree.build()
    if not good:
        raise Failure("the tree does not build:\n" + output[-4000:])
    tree.find_tests()
    must_pass(tree, mutants)
    survivors, stale = try_all(tree, mutants)
    for mutant, why in survivors + stale:
        print(f"{mutant.name} ({mutant.file}): {why}")
    print(f"{len(mutants)} mutants, {len(survivors)} survivors, {len(stale)} to be mended, "
          f"{time.monotonic() - begun:.0f} s")
    return 1 if survivors or stale else 0


def choose(names):
    known = [mutant.name for mutant in MUTANTS]
    assert len(set(known)) == len(known), "two mutants of one name"
    for name in names or []:
        if name not in known:
            say(f"mutants.py: no mutant {name}; --list shows all")
            sys.exit(2)
    return [mutant for mutant in MUTANTS if not names or mutant.name in names]


def main():
    parser = argparse.ArgumentParser(description="Deliberate faults, to see that tests notice them.")
    parser.add_argument("--list", action="store_true",
                        help="name, file and tests of the mutants, and whether they still apply")
    parser.add_argument("--only", action="append", metavar="NAME", help="this one (repeatable)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N",
                        help="compilers and tests at a time (default: the cores)")
    parser.add_argument("--keep", action="store_true", help="leave the scratch copy where it is")
    options = parser.parse_args()
    mutants = choose(options.only)
    if options.list:
        return list_mutants(Tree(SOURCE, options.jobs), mutants)
    adopt_orphans()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = tempfile.mkdtemp(prefix="ringtmp-mutants-")
    try:
        return work(Tree(folder, options.jobs), mutants)
    except Failure as failure:
        say(f"mutants.py: {failure}")
        return 2
    except KeyboardInterrupt:
        say("mutants.py: interrupted")
        return 130
    finally:
        end_children()
        if options.keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
