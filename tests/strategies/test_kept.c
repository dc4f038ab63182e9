/* What nodes keep for others, in the mem world, wherever in a training one of them is lost: every
 * part of a state that it says, and no older than it should be. */
#include "base/check.h"
#include "strategies/allocated.h"
#include "strategies/trials.h"
#include "support/suite.h"
#include "unit/scratch.h"
#include <stdlib.h>

enum { RING = 3, UNTIL = 10 };

/* The parameters after so many iterations of a run that loses nobody. */
struct truth {
    float *at[UNTIL + 1];
};

static void open_truth(struct trial *t, const char *more, struct truth *truth, struct rg_run *whole)
{
    for (int done = 1; done <= UNTIL; done++) {
        struct rg_study study;
        char sets[120];
        snprintf(sets, sizeof sets, "%s nodes=%d iterations=%d", more, RING, done);
        CU_ASSERT_FATAL(harness_open(&study, t->file, sets));
        truth->at[done] =
            harness_parameters(harness_job(&study, t->label), &(struct harness_options){.seed = 1},
                               done == UNTIL ? whole : NULL);
        rg_study_close(&study);
    }
}

/* Every part of every state that a survivor has is the state's; those that two have are equal. */
static void look_at_kept(struct trial *t, const struct truth *truth, int rank)
{
    const struct rg_copies *kept = &t->process[rank].attempts.copies;
    for (int i = 0; i < kept->count; i++) {
        const struct rg_copy *copy = &kept->list[i];
        const float *right = truth->at[copy->name.done] + copy->name.first;
        if (copy->name.done > 0 && strcmp(copy->name.name, RG_STATE_PARAMETERS) == 0 &&
            memcmp(copy->values, right, copy->name.count * sizeof *right) != 0)
            trial_complain(t, "a copy is not the state that it says");
        for (int other = 0; other < RING; other++) {
            const struct rg_copies *theirs = &t->process[other].attempts.copies;
            for (int k = 0; k < theirs->count && other != rank; k++)
                if (memcmp(&theirs->list[k].name, &copy->name, sizeof copy->name) == 0 &&
                    memcmp(theirs->list[k].values, copy->values,
                           copy->name.count * sizeof *right) != 0)
                    trial_complain(t, "two nodes have another state");
        }
    }
}

/* The two that are left have a whole state, of no more iterations ago than the backup says. */
static void look_at_newest(struct trial *t, int dead, const struct rg_network *network)
{
    struct rg_copy_name had[100], wanted = {.count = network->parameters};
    int count = 0;
    int64_t least = INT64_MAX;
    static const char *const names[] = {RG_STATE_PARAMETERS, "velocity"};
    const int arrays =
        t->servers > 0 && harness_job(&t->study, t->label)->strategy->keepers ? 1 : 2;
    if (dead < t->servers && t->replicas == 0)
        return;
    for (int rank = 0; rank < RING; rank++) {
        const struct rg_attempts *a = &t->process[rank].attempts;
        for (int i = 0; i < a->copies.count && rank != dead; i++)
            had[count++] = a->copies.list[i].name;
        least = rank == dead ? least : RG_MIN(least, a->iterations);
    }
    for (int i = 0; i < arrays; i++) {
        snprintf(wanted.name, sizeof wanted.name, "%s", names[i]);
        int64_t newest = rg_copies_newest(had, count, &wanted, 1, UNTIL);
        bool began = least < INT64_MAX;
        if (began && least >= t->most && newest < least - t->most)
            trial_complain(t, "there is no state as new as it should be");
    }
}

/* How a rank is lost. */
struct loss {
    int rank;
    long operation;  /* > 0: it dies at that call of the world; else */
    long allocation; /* there is no memory for that one of its attempt */
};

/* Who ends by itself: the one without memory, or one to which it could not send; -1: nobody. */
static int rank_without_memory(const int *results)
{
    int found = -1;
    for (int rank = 0; rank < RING; rank++)
        if (results[rank] == RG_ERR_NOMEM)
            found = rank;
    return found;
}

/* That loss, and another attempt, with the node that is there again. How many allocations there
 * were of that rank's in the first. */
static long lose_and_go_on(struct trial *t, const struct truth *truth, const struct rg_run *whole,
                           struct loss loss)
{
    struct rg_mem_world_options world = {
        .size = RING, .seed = t->seed, .byte_s = 1e-6, .compute_jitter = 0.2};
    int results[RING], dead = loss.rank;
    for (int seat = 0; seat < RING; seat++) {
        t->process[seat] = (struct trial_process){.ended = false};
        rg_run_init(&t->process[seat].run);
        CU_ASSERT_EQUAL_FATAL(rg_attempts_open(&t->process[seat].attempts, t->lose, RING, 0), 0);
    }
    world.deaths[0] = (struct rg_mem_death){dead, loss.operation};
    allocated_begin(loss.operation > 0 ? 1u << dead : 0);
    allocated_fail(dead, loss.allocation);
    CU_ASSERT_EQUAL(rg_mem_world_run(&world, trial_attempt, t, results), 0);
    long asked = allocated_asked();
    allocated_fail(-1, 0);
    if (loss.operation == 0 && rank_without_memory(results) >= 0)
        dead = rank_without_memory(results);
    bool lost = results[dead] == RG_DIED || results[dead] == RG_ERR_NOMEM;
    bool over = true; /* for those that are left */
    for (int rank = 0; rank < RING; rank++)
        over = over && (rank == dead || results[rank] == 0);
    if (results[dead] == RG_DIED) {
        struct rg_attempts *gone = &t->process[dead].attempts;
        gone->losses = NULL; /* what it had is its to lose */
        gone->copies = (struct rg_copies){0};
    }
    for (int rank = 0; rank < RING && lost; rank++)
        look_at_kept(t, truth, rank);
    if (lost && !over) {
        look_at_newest(t, dead, harness_job(&t->study, t->label)->network);
        trial_lose(t, dead);
        rg_run_free(&t->process[0].run);
        rg_run_init(&t->process[0].run);
        world.deaths[0] = (struct rg_mem_death){0, 0};
        allocated_begin(0);
        CU_ASSERT_EQUAL(rg_mem_world_run(&world, trial_attempt, t, results), 0);
    }
    if (!over || !lost || dead > 0)
        trial_look_at(t, &t->process[0].run, whole);
    for (int seat = 0; seat < RING; seat++) {
        rg_run_free(&t->process[seat].run);
        rg_attempts_close(&t->process[seat].attempts);
    }
    return asked;
}

static const struct kind {
    const char *file, *label, *sets;
} kept[] = {{"matrix-backup.xml", "1f1b-1", ""},
            {"matrix-backup.xml", "gpipe-2", ""},
            {"matrix-backup.xml", "zb-5", ""},
            {"matrix-backup.xml", "1f1b-8", ""},
            {"matrix-allreduce.xml", "plain", ""},
            {"matrix-allreduce.xml", "tree", ""},
            {"matrix-allreduce.xml", "doubling", ""},
            {"matrix-filters.xml", "plain", ""},
            {"matrix-filters.xml", "plain", "plain.servers=2 plain.replication=1"},
            {"matrix-federated.xml", "fedavg", ""},
            {"matrix-federated.xml", "fedavg-limited", ""},
            {"matrix-fsvrg.xml", "fsvrg", ""}};

/* The trial of a kind, and what comes of it where nobody is lost; its job. */
static const struct rg_job *open_trial(struct trial *t, const struct kind *kind,
                                       struct truth *truth, struct rg_run *whole)
{
    *t = (struct trial){.lose = RG_LOSE_RESTART,
                        .nodes = RING,
                        .file = kind->file,
                        .seed = (uint64_t)(kind - kept)};
    *truth = (struct truth){{NULL}};
    snprintf(t->sets, sizeof t->sets, "iterations=%d %s", UNTIL, kind->sets);
    snprintf(t->label, sizeof t->label, "%s", kind->label);
    open_truth(t, kind->sets, truth, whole);
    CU_ASSERT_EQUAL_FATAL(rg_attempts_open(&t->process[0].attempts, t->lose, RING, 0), 0);
    CU_ASSERT_FATAL(trial_open_study(t, &t->process[0].attempts));
    rg_attempts_close(&t->process[0].attempts);
    const struct rg_job *job = harness_job(&t->study, t->label);
    struct rg_prediction p = {0};
    job->strategy->predict(job, &p);
    t->most = p.copies.most;
    trial_note_whole(t, job);
    return job;
}

static void close_trial(struct trial *t, struct truth *truth, struct rg_run *whole)
{
    for (int done = 1; done <= UNTIL; done++)
        free(truth->at[done]);
    rg_run_free(whole);
    rg_study_close(&t->study);
}

static void copies_are_the_state(void)
{
    enum { DEATHS_EACH = 45 };
    for (size_t i = 0; i < RG_COUNT(kept); i++) {
        struct trial t;
        struct truth truth;
        struct rg_run whole, run;
        long operations[RING], calls = 0;
        const struct rg_job *job = open_trial(&t, &kept[i], &truth, &whole);
        harness_run_ok(job, &(struct harness_options){.seed = 1, .operations = operations}, &run);
        rg_run_free(&run);
        for (int rank = 0; rank < RING; rank++)
            calls = RG_MAX(calls, operations[rank]);
        for (int k = 1; k <= DEATHS_EACH; k++, t.seed++)
            lose_and_go_on(&t, &truth, &whole,
                           (struct loss){.rank = k % RING, .operation = k * calls / DEATHS_EACH});
        close_trial(&t, &truth, &whole);
    }
}

/* RG_MEMORY_ALL in the environment: every one of every rank. */
static void whoever_has_no_memory_leaves(void)
{
    enum { EACH = 24 };
    for (size_t i = 0; i < RG_COUNT(kept); i++) {
        struct trial t;
        struct truth truth;
        struct rg_run whole;
        open_trial(&t, &kept[i], &truth, &whole);
        for (int rank = 0; rank < RING; rank++) {
            long asked = lose_and_go_on(&t, &truth, &whole, (struct loss){.rank = rank});
            long step = getenv("RG_MEMORY_ALL") ? 1 : RG_MAX(1, RING * asked / EACH);
            CU_ASSERT(asked > 0);
            for (long n = 1 + rank % step; n <= asked; n += step)
                lose_and_go_on(&t, &truth, &whole, (struct loss){.rank = rank, .allocation = n});
        }
        close_trial(&t, &truth, &whole);
    }
}

/* A node is lost while what a checkpoint has goes to all: whoever has it in part does not tell of
 * it as a state. */
static void half_a_state_is_none(void)
{
    enum { DONE = 6, CALLS = 120 };
    struct trial t = {.lose = RG_LOSE_RESTART, .nodes = RING, .file = "matrix-allreduce.xml"};
    struct truth truth = {{NULL}};
    struct rg_run whole, run;
    struct rg_error e = {0};
    snprintf(t.sets, sizeof t.sets, "iterations=%d", UNTIL);
    snprintf(t.label, sizeof t.label, "plain");
    open_truth(&t, "", &truth, &whole);
    t.folder = scratch_path("half");
    CU_ASSERT_EQUAL_FATAL(rg_training_folder(t.folder, false, &e), 0);
    CU_ASSERT_EQUAL_FATAL(rg_attempts_open(&t.process[0].attempts, t.lose, RING, 0), 0);
    CU_ASSERT_FATAL(trial_open_study(&t, &t.process[0].attempts));
    rg_attempts_close(&t.process[0].attempts);
    const struct rg_job *job = harness_job(&t.study, t.label);
    const struct harness_options first = {
        .seed = 1, .checkpoint = t.folder, .every = {.seconds = 1e9}, .stops_after = DONE};
    harness_run_ok(job, &first, &run);
    CU_ASSERT_EQUAL(run.iterations, DONE);
    rg_run_free(&run);
    CU_ASSERT_EQUAL_FATAL(rg_node_open_checkpoints(job, t.folder, t.folder, &t.from, &e), 0);
    for (long call = 1; call <= CALLS; call += 2) {
        const struct rg_mem_world_options world = {
            .size = RING, .seed = (uint64_t)call, .compute_jitter = 0.2, .deaths = {{1, call}}};
        int results[RING];
        for (int seat = 0; seat < RING; seat++) {
            t.process[seat] = (struct trial_process){.ended = false};
            rg_run_init(&t.process[seat].run);
            CU_ASSERT_EQUAL_FATAL(rg_attempts_open(&t.process[seat].attempts, t.lose, RING, 0), 0);
        }
        allocated_begin(1u << 1);
        CU_ASSERT_EQUAL(rg_mem_world_run(&world, trial_attempt, &t, results), 0);
        if (results[1] == RG_DIED) {
            t.process[1].attempts.losses = NULL;
            t.process[1].attempts.copies = (struct rg_copies){0};
        }
        for (int rank = 0; rank < RING; rank++) {
            look_at_kept(&t, &truth, rank);
            rg_run_free(&t.process[rank].run);
            rg_attempts_close(&t.process[rank].attempts);
        }
    }
    rg_training_state_free(&t.from);
    for (int done = 1; done <= UNTIL; done++)
        free(truth.at[done]);
    rg_run_free(&whole);
    rg_study_close(&t.study);
    scratch_remove();
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"copies are the state", copies_are_the_state},
        {"whoever has no memory leaves, and the others go on", whoever_has_no_memory_leaves},
        {"half a state is none", half_a_state_is_none},
    };
    return suite_main("kept", tests, sizeof tests / sizeof *tests, argc, argv);
}
