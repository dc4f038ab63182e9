/* ringnode: run a scenario for real, one process a node, over sockets.
 *
 * Happy path: read and check everything, join the other ranks, run strategy after strategy; rank 0
 * prints the table and writes the files. With --local a parent forks every rank on this machine.
 * Failure modes handled: ranks that run something else are refused at the join; a rank that is lost
 * ends the run on all others (status 4, with its name); Ctrl-C on any rank ends all (130); what had
 * finished by then is written. */
#include "programs/ringnode/ringnode.h"

#include "base/check.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/need.h"
#include "base/sizes.h"
#include "models/blas.h"
#include "node/node.h"
#include "node/outputs.h"
#include "node/scores.h"
#include "result/checkpoint.h"
#include "scenario/settings.h"
#include "strategies/samples.h"
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* Read --hosts; it must name enough of them. */
static int open_hosts(struct ringnode *node)
{
    struct rg_error e = {0};
    int result = rg_hosts_load(node->hosts_file, &node->hosts, &e);
    if (result)
        return rg_cli_complain("ringnode", result, e.text);
    if (node->rank >= node->hosts.count) {
        fprintf(stderr, "ringnode: --rank %d: %s names %d hosts, 0 to %d are allowed\n", node->rank,
                node->hosts_file, node->hosts.count, node->hosts.count - 1);
        return RG_EXIT_USAGE;
    }
    for (int i = 0; i < node->study->job_count; i++) {
        const struct rg_job *job = &node->study->jobs[i];
        if (job->nodes > node->hosts.count) {
            fprintf(stderr,
                    "ringnode: %s: strategy \"%s\" runs on %d nodes, %s names %d hosts (--set "
                    "nodes=%d?)\n",
                    node->study->scenario.file, job->label, job->nodes, node->hosts_file,
                    node->hosts.count, node->hosts.count);
            return RG_EXIT_USAGE;
        }
    }
    return 0;
}

static int run_remote(struct ringnode *node)
{
    int status = open_hosts(node);
    if (status == 0)
        status = ringnode_open_attempts(node);
    return status ? status : ringnode_run_rank(node, -1);
}

/* --evaluate, and --predict without other ranks: neither platform nor strategy matter. */
static bool is_alone(const struct ringnode *node)
{
    return (node->options.predict || node->options.evaluate) && !node->files && !node->local &&
           node->rank < 0 && !node->hosts_file;
}

static int check_mode(const struct ringnode *node)
{
    bool either = node->rank >= 0 || node->hosts_file, both = node->rank >= 0 && node->hosts_file;
    if (node->key_file && node->insecure) {
        fputs("ringnode: --key-file and --insecure exclude each other\n", stderr);
        return RG_EXIT_USAGE;
    }
    if (node->options.evaluate && !is_alone(node)) {
        fputs("ringnode: --evaluate is done by one process: no --local, --rank, --hosts or --files "
              "is allowed with it\n",
              stderr);
        return RG_EXIT_USAGE;
    }
    if (node->options.check || node->files || (node->local && !either) || (!node->local && both) ||
        is_alone(node))
        return 0;
    fputs("ringnode: either --local [N], or both --rank R and --hosts FILE are needed\n", stderr);
    return RG_EXIT_USAGE;
}

/* --local N is --set nodes=N, after all the others. */
static void apply_local(struct ringnode *node)
{
    static char text[32];
    if (node->local_nodes == 0)
        return;
    struct rg_options *o = &node->options;
    o->sets = rg_need(o->sets, ((size_t)o->set_count + 1) * sizeof *o->sets);
    snprintf(text, sizeof text, "nodes=%d", node->local_nodes);
    o->sets[o->set_count++] = text;
}

/* What is read beside the scenario. */
static void tell_reads(struct ringnode *node)
{
    const char *choice = node->metering.choice;
    const char *log = choice && strncmp(choice, "csv:", 4) == 0 ? choice + 4 : NULL;
    const char *reads[RG_CLI_READS][2] = {{"--key-file", node->key_file},
                                          {"--hosts", node->hosts_file},
                                          {"--pace", node->pace},
                                          {"--predict", node->options.predict},
                                          {"--meter", log}};
    for (int i = 0; i < RG_CLI_READS; i++)
        if (reads[i][1])
            rg_cli_reads(&node->options, reads[i][0], reads[i][1]);
}

/* Boards are as fast as they are: what a scenario does to simulated ones is refused. */
static int refuse_faults(const struct rg_scenario *scenario)
{
    struct rg_error e;
    if (!rg_scenario_has_faults(scenario))
        return 0;
    rg_scenario_fail(scenario, scenario->faults.line, &e,
                     "%s are simulated only: ringsim runs this scenario, ringnode those without",
                     scenario->faults.line > 0 ? "<faults>" : "a key of <faults>: these");
    fprintf(stderr, "%s\n", e.text);
    return RG_EXIT_USAGE;
}

/* A datasheet with a board for every rank, each with the cores that training uses. */
static int load_pace(struct ringnode *node, struct rg_error *e)
{
    const struct rg_study *study = node->study;
    struct rg_platform *sheet = &node->datasheet;
    if (!node->pace || strcmp(node->pace, "platform") == 0)
        return 0;
    int result = rg_platform_load(node->pace, sheet, e);
    for (int i = 0; i < study->job_count && result == 0; i++) {
        const struct rg_job *job = &study->jobs[i];
        if (job->nodes > sheet->count)
            return rg_fail(e, RG_ERR_INVALID,
                           "--pace %.200s: has %d hosts, strategy \"%s\" runs on %d nodes",
                           node->pace, sheet->count, job->label, job->nodes);
        for (int rank = 0; rank < job->nodes; rank++)
            if (job->threads > sheet->boards[rank]->cores)
                return rg_fail(e, RG_ERR_INVALID,
                               "--pace %.200s: host %.60s has %d cores, the scenario uses %d "
                               "(training threads)",
                               node->pace, sheet->names[rank], sheet->boards[rank]->cores,
                               job->threads);
    }
    return result;
}

static int list_profile(void *arg, const char *path)
{
    (void)arg;
    printf("profile %s\n", path);
    return 0;
}

/* --files: what another machine needs to run the same, "ROLE PATH" a line; and "lose WORD" where a
 * lost rank does not end the run. */
static int list_files(struct ringnode *node)
{
    const struct rg_scenario *s = &node->study->scenario;
    struct rg_error e = {0};
    if (load_pace(node, &e) != 0)
        return rg_cli_complain("ringnode", RG_ERR_INVALID, e.text);
    const struct {
        const char *role, *path;
    } files[] = {{"scenario", s->file},
                 {"platform", s->platform_file},
                 {"network", s->network_file},
                 {"load", node->options.load},
                 {"pace", node->datasheet.count ? node->pace : NULL}};
    int status = node->hosts_file ? open_hosts(node) : 0;
    if (status == 0 && node->key_file && rg_key_load(node->key_file, &node->key, &e) != 0)
        status = rg_cli_complain("ringnode", RG_ERR_INVALID, e.text);
    rg_key_forget(&node->key);
    for (size_t i = 0; i < RG_COUNT(files) && status == 0; i++)
        if (files[i].path)
            printf("%s %s\n", files[i].role, files[i].path);
    char word[24];
    rg_type_write(&rg_setting_of_key("lose")->type, s->training.lose, word, sizeof word);
    if (status == 0 && s->training.lose != RG_LOSE_STOP)
        printf("lose %s\n", word);
    if (status == 0)
        rg_platform_profiles(s->platform_file, list_profile, NULL);
    for (int i = 0; i < s->profile_count && status == 0; i++)
        printf("measured %s\n", s->profiles[i].file);
    const struct rg_data_attribute *attributes = s->data.kind->attributes;
    for (int i = 0; attributes[i].name && status == 0; i++)
        if (attributes[i].type == RG_DATA_FILE && s->data.values[i].text)
            printf("data %s\n", s->data.values[i].text);
    return status;
}

enum { RANK_ADDRESSES = 32 << 20 }; /* stacks of two threads, messages on their way */

/* What the ranks of this machine hold, against what it has; address space has each for itself. */
static int check_memory(const struct ringnode *node, struct rg_error *e)
{
    int result = 0;
    for (int i = 0; i < node->study->job_count && result == 0; i++) {
        const struct rg_job *job = &node->study->jobs[i];
        uint64_t bytes = 0, most = 0;
        char who[100];
        if (job->refused || !job->numerics || rg_job_fits(job, NULL) != 0)
            continue;
        bool loses = node->study->scenario.training.lose != RG_LOSE_STOP;
        for (int rank = 0; rank < job->nodes; rank++)
            if (node->local || rank == node->rank) {
                uint64_t own = rg_job_memory(job, rank);
                if (rank == 0)
                    own = rg_size_plus(own, rg_node_beside_training(job, node->options.checkpoint,
                                                                    node->options.resume_from));
                if (loses)
                    own = rg_size_plus(own, rg_node_beside_loss(job, rank));
                bytes = rg_size_plus(bytes, own);
                most = RG_MAX(most, own);
            }
        snprintf(who, sizeof who, "%.64s, %s", job->label,
                 node->local ? "all ranks on this machine" : "this rank");
        result = rg_limits_memory(node->metering.root, bytes, who, e);
        most = rg_size_plus(most + RANK_ADDRESSES, (uint64_t)job->threads * rg_blas_addresses());
        if (result == 0)
            result = rg_limits_address_space(most, node->local ? "a rank" : who, e);
    }
    return result;
}

/* Parameters, and what is wrong with the rows, as long as nobody waits for this rank. */
static int load_for_rows(struct ringnode *node, struct rg_error *e)
{
    int result = rg_checkpoint_load_rows(node->options.load, &node->study->network, &node->told,
                                         &node->initial, e);
    if (result || (!node->local && node->rank != 0))
        return result;
    struct rg_outputs o = {.network = &node->study->network, .told = &node->told};
    result = rg_outputs_check(&o, node->options.predict);
    *e = o.error;
    return result;
}

/* Whoever starts a rank again, after its board has lost power, starts it as at first: what it has
 * written of the same scenario it goes on from. */
static int open_checkpoints(struct ringnode *node, struct rg_error *e)
{
    const struct rg_options *o = &node->options;
    const struct rg_scenario *s = &node->study->scenario;
    struct rg_training_state found;
    if (node->rank > 0 || (!o->checkpoint && !o->resume_from))
        return 0;
    int err = rg_node_open_checkpoints(&node->study->jobs[0], o->checkpoint, o->resume_from,
                                       &node->resumed, e);
    if (err || o->resume_from || s->training.lose == RG_LOSE_STOP)
        return err;
    if (rg_node_open_checkpoints(&node->study->jobs[0], o->checkpoint, o->checkpoint, &found,
                                 NULL) != 0)
        return 0;
    if (strcmp(found.scenario_sha256, s->digest) == 0)
        node->resumed = found;
    else
        rg_training_state_free(&found); /* its folder is refused */
    return 0;
}

static int run(struct ringnode *node)
{
    const struct rg_options *o = &node->options;
    struct rg_error e = {0};
    int result = rg_meter_check(node->metering.choice, &e);
    if (result == 0)
        result = load_pace(node, &e);
    if (result == 0 && node->key_file)
        result = rg_key_load(node->key_file, &node->key, &e);
    if (result == 0 && node->options.predict)
        result = load_for_rows(node, &e);
    else if (result == 0 && node->options.load)
        result = rg_checkpoint_load(node->options.load, &node->study->network, &node->study->data,
                                    &node->initial, &e);
    /* rank 0 has the files; the others hear of them */
    if (result == 0)
        result = open_checkpoints(node, &e);
    if (result == 0 && check_memory(node, &e) != 0)
        return rg_cli_complain("ringnode", e.code, e.text);
    if (result == 0 && !node->options.predict)
        result = rg_study_load_data(node->study, node->local ? RG_ANY_RANK : node->rank, &e);
    if (result == 0 && node->rank <= 0 && o->checkpoint) /* nothing else is in the way */
        result = rg_training_folder(o->checkpoint, node->resumed.goes_there, &e);
    if (result) {
        fprintf(stderr, "ringnode: %s\n", e.text);
        return RG_EXIT_USAGE;
    }
    ringnode_catch_signals();
    return node->local ? ringnode_run_local(node) : run_remote(node);
}

int main(int argc, char **argv)
{
    struct ringnode node = {.rank = -1,
                            .compared = rg_clock_unknown,
                            .join_timeout_s = 60,
                            .peer_timeout_s = RG_PEER_TIMEOUT_S,
                            .metering = {.choice = "none",
                                         .root = "/",
                                         .interval_s = RG_METER_INTERVAL_S,
                                         .stuck_s = RG_METER_STUCK_S},
                            .idle_s = RG_METER_IDLE_S};
    /* What grows by an epoch each, grows where it is, and leaves no holes behind. */
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    rg_blas_setup(argv);
    rg_cli_parse(&ringnode_argp, argc, argv, &node);
    rg_file_abandon_on_signals(RG_EXIT_INTERRUPTED); /* until there are ranks to be told */
    if (node.options.show) {
        node.options.show(stdout);
        rg_cli_free(&node.options);
        return rg_cli_flush("ringnode");
    }
    int status = check_mode(&node);
    if (status == 0 && is_alone(&node)) {
        status = node.options.predict ? rg_cli_predict(&node.options, "ringnode", rg_outputs_here)
                                      : rg_cli_evaluate(&node.options, "ringnode", rg_scores_here);
        rg_cli_free(&node.options);
        return status;
    }
    if (status == 0) {
        apply_local(&node);
        tell_reads(&node);
        node.options.keyed = node.key_file ? RG_KEYED_YES : RG_KEYED_NO;
        node.study = rg_need_zeroed(1, sizeof *node.study);
        status = rg_cli_open(&node.options, "ringnode", node.study);
        status = status ? status : refuse_faults(&node.study->scenario);
        for (int i = 0; status == 0 && i < node.study->job_count; i++)
            node.study->jobs[i].records = node.study->jobs[i].numerics;
    }
    if (status == 0 && rg_blas_note() && !node.files && !node.options.quiet)
        fprintf(stderr, "ringnode: %s\n", rg_blas_note());
    if (status == 0 && node.options.check) {
        rg_cli_check(node.study, stdout);
        status = rg_cli_flush("ringnode");
    } else if (status == 0 && node.files) {
        status = list_files(&node);
    } else if (status == 0) {
        status = run(&node);
    }
    if (node.study)
        rg_study_close(node.study);
    free(node.study);
    rg_cli_free(&node.options);
    rg_hosts_free(&node.hosts);
    rg_platform_free(&node.datasheet);
    rg_checkpoint_rows_free(&node.told);
    free(node.initial);
    rg_training_state_free(&node.resumed);
    return status;
}
