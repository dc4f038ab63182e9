#include "trials.h"

#include "base/check.h"
#include "strategies/allocated.h"
#include "strategies/backup.h"
#include "strategies/server_parts.h"
#include <CUnit/CUnit.h>
#include <stdlib.h>
#include <string.h>

uint64_t trial_roll(struct trial *t, uint64_t below)
{
    t->dice = rg_mix64(t->dice);
    return t->dice % below;
}

void trial_complain(const struct trial *t, const char *what)
{
    printf("seed %llu: %s of %s, lose=%d on %d: %s\n", (unsigned long long)t->seed, t->label,
           t->file, (int)t->lose, t->nodes, what);
    CU_FAIL("see above");
}

/* ---- a node ---- */

/* Each node sees it at another time. */
static bool is_back(void *arg, int seat, double date_s)
{
    struct trial *t = arg;
    (void)seat, (void)date_s;
    return t->returns > 0 && trial_roll(t, 4) > 0;
}

void trial_open_attempts(struct trial *t, int seat)
{
    struct rg_attempts *a = &t->process[seat].attempts;
    CU_ASSERT_EQUAL_FATAL(rg_attempts_open(a, t->lose, t->nodes, t->spares), 0);
    a->is_back = is_back;
    a->back_arg = t;
}

static struct trial *trial_of(void *arg)
{
    return arg;
}

static struct trial_process *process_of(struct trial *t, const struct rg_world *w)
{
    /* all that are here have the same ranks: whoever is on it says whose process it is */
    for (int seat = 0; seat < t->nodes + t->spares; seat++) {
        const struct rg_attempts *a = &t->process[seat].attempts;
        if (!t->process[seat].ended && a->seat[w->rank] == seat)
            return &t->process[seat];
    }
    RG_ASSERT(false);
    return NULL;
}

static int train(struct rg_world *w, void *arg)
{
    struct trial *t = trial_of(arg);
    struct trial_process *p = process_of(t, w);
    const struct rg_job *job = harness_job(&t->study, t->label);
    struct rg_node_options options = {.stop = {.accuracy = NAN, .loss = NAN},
                                      .host = "mem",
                                      .checkpoint = t->folder,
                                      .every = {.iterations = 2},
                                      .resume = t->from.arrays ? &t->from : NULL,
                                      .scenario_sha256 = "of the test",
                                      .attempts = &p->attempts};
    w->board = job->boards[w->rank];
    return rg_node_run(w, job, &options, w->rank == 0 ? &p->run : NULL);
}

int trial_attempt(struct rg_world *w, void *arg)
{
    struct trial *t = trial_of(arg);
    allocated_by(w->rank);
    return rg_attempts_run(w, &process_of(t, w)->attempts, train, t);
}

/* ---- the scenario ---- */

/* What a scenario is opened with. */
struct words {
    char path[300], *sets[8], copy[120];
};

static struct rg_study_want want_of(const struct trial *t, struct words *words)
{
    char *rest = words->copy;
    int count = 0;
    snprintf(words->path, sizeof words->path, RG_SOURCE_DIR "/tests/data/%s", t->file);
    snprintf(words->copy, sizeof words->copy, "%s", t->sets);
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        if (*word)
            words->sets[count++] = word;
    return (struct rg_study_want){.file = words->path, .sets = words->sets, .set_count = count};
}

bool trial_open_study(struct trial *t, const struct rg_attempts *a)
{
    struct words words;
    struct rg_error e = {0};
    struct rg_study_want want = want_of(t, &words);
    want.hosts = a->seat;
    want.host_count = a->nodes;
    want.began = rg_attempts_began(a);
    int err = rg_study_open_at(&want, &t->study, &e);
    if (err == 0)
        err = rg_study_load_data(&t->study, RG_ANY_RANK, &e);
    if (err)
        printf("%s\n", e.text);
    CU_ASSERT_EQUAL(err, 0);
    return err == 0;
}

int trial_fitting(void *arg, const int *seats, int left)
{
    struct trial *t = arg;
    struct words words;
    struct rg_error why;
    char *label = t->label;
    struct rg_study_want want = want_of(t, &words);
    want.labels = &label;
    want.label_count = 1;
    want.began = t->lose == RG_LOSE_SHRINK ? t->nodes : 0;
    return rg_study_fitting(&want, harness_job(&t->study, t->label)->multiple, seats, left, &why);
}

void trial_note_whole(struct trial *t, const struct rg_job *job)
{
    bool serves = strcmp(job->strategy->name, "parameter_server") == 0;
    t->whole = job->left_whole;
    t->servers = serves ? rg_server_plan(job)->servers : job->strategy->keepers ? 1 : 0;
    t->replicas = serves ? rg_server_plan(job)->replicas : 0;
}

void trial_lose(struct trial *t, int seat)
{
    struct trial_process *p = &t->process[seat];
    for (int other = 0; other < t->nodes + t->spares; other++) {
        struct rg_attempts *a = &t->process[other].attempts;
        if (other == seat || t->process[other].ended)
            continue;
        CU_ASSERT_EQUAL(rg_attempts_note(a, seat, "mem", "it has died"), 0);
        if (t->lose != RG_LOSE_RESTART)
            a->absent[seat] = RG_GONE;
    }
    rg_run_free(&p->run);
    rg_attempts_close(&p->attempts);
    p->ended = t->lose != RG_LOSE_RESTART;
    p->takes_in = false;
    if (!p->ended)
        trial_open_attempts(t, seat);
}

/* ---- the end ---- */

static bool are_neighbours(int a, int b, int nodes)
{
    return abs(a - b) <= 1 || abs(a - b) == nodes - 1;
}

/* Were they lost in one attempt, and of no two neighbours both? One that was lost before an attempt
 * had begun is told of with its rank there: its place in the hosts file is that in the first. Where
 * rings shrink these are not the neighbours whose state the others keep. */
static bool are_apart(const struct trial *t, const struct rg_run_loss *losses, int count)
{
    if (t->lose == RG_LOSE_SHRINK && count > 1)
        return false;
    int nodes = t->lose == RG_LOSE_SHRINK ? losses->nodes + count : losses->nodes;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < i; k++)
            if (losses[i].time_s != losses[k].time_s || losses[i].rank >= nodes ||
                losses[k].rank >= nodes || are_neighbours(losses[i].rank, losses[k].rank, nodes) ||
                are_neighbours(losses[i].node, losses[k].node, t->nodes))
                return false;
    return true;
}

/* No more is done again than the backup says, unless a node was lost before its neighbour, new in
 * its place, could have its state. losses: `count` that the others went on after together; begun:
 * what they had gone on from before. */
static void look_at_copies(struct trial *t, const struct rg_run_loss *losses, int count,
                           int64_t begun)
{
    int64_t late = begun + rg_backup_of(RG_MAX(t->most, 1)).pieces;
    if (t->most == 0 || t->returned > 0 || t->forgetful || !are_apart(t, losses, count) ||
        losses->from_iteration < 0 || (begun > 0 && losses->iteration < late))
        return;
    t->apart += count > 1;
    if (losses->again > t->most)
        trial_complain(t, "more iterations done again than the backup allows");
    bool beginning = losses->from_iteration == 0;
    if (strcmp(losses->state, beginning ? "beginning" : "copies") != 0 && !t->folder)
        trial_complain(t, "it went on from something else");
}

/* The first of a training are made good by any node that is left, with what it has; or by servers,
 * unless more are lost than there are replicas. Several without replicas may have taken the step of
 * a clock or not yet. */
static void look_at_whole(struct trial *t, const struct rg_run_loss *losses, int count)
{
    int nodes = losses->nodes + (t->lose == RG_LOSE_SHRINK ? count : 0), servers = 0;
    for (int i = 0; i < count; i++)
        servers += losses[i].rank < t->servers;
    if (!t->whole || servers > t->replicas || (t->servers > 1 && t->replicas == 0) ||
        t->returned > 0 || t->forgetful || losses->from_iteration < 0 || count >= nodes)
        return;
    if (losses->again > 0)
        trial_complain(t, "iterations done again that a node had");
    if (losses->from_iteration > 0 && strcmp(losses->state, "copies") != 0 && !t->folder)
        trial_complain(t, "it went on from something else");
}

void trial_look_at(struct trial *t, const struct rg_run *run, const struct rg_run *whole)
{
    if (run->status != RG_RUN_OK)
        trial_complain(t, run->error);
    CU_ASSERT_EQUAL(run->iterations, whole->iterations);
    CU_ASSERT_EQUAL(run->point_count, whole->point_count);
    if (t->lose != RG_LOSE_SHRINK && strcmp(run->weights_sha256, whole->weights_sha256) != 0)
        trial_complain(t, "other weights than those of the undisturbed run");
    int64_t last = -1;
    for (int i = 0; i < run->loss_count; i++) {
        const struct rg_run_loss *loss = &run->losses[i];
        last = loss->from_iteration >= 0 ? loss->from_iteration : last;
        bool at_loss = false;
        for (int k = 0; k < run->loss_count; k++)
            at_loss |= run->losses[k].iteration == loss->back_iteration;
        if (loss->back_iteration >= 0 && loss->back_iteration % (run->iterations / 2) != 0 &&
            !at_loss)
            trial_complain(t, "it was taken in within an epoch");
        if (loss->from_iteration >= 0 &&
            loss->again != RG_MAX(loss->iteration - loss->from_iteration, 0))
            trial_complain(t, "iterations done again that are none");
    }
    if (t->returned > 0 && run->resumed.iteration % (run->iterations / 2) == 0)
        last = run->resumed.iteration; /* where one was to be taken in */
    int64_t begun = 0;
    for (int i = 0, next; i < run->loss_count; i = next) {
        const struct rg_run_loss *first = &run->losses[i];
        for (next = i + 1; next < run->loss_count &&
                           run->losses[next].from_iteration == first->from_iteration &&
                           run->losses[next].nodes == first->nodes;)
            next++;
        if (first->from_iteration >= 0 && first->iteration < begun && t->returned == 0)
            trial_complain(t, "training had come further");
        if (!t->whole && first->from_iteration > first->iteration)
            trial_complain(t, "it went on from what had not been");
        look_at_copies(t, first, next - i, begun);
        if (i == 0)
            look_at_whole(t, first, next);
        begun = first->from_iteration >= 0 ? first->from_iteration : begun;
    }
    CU_ASSERT_EQUAL(run->resumed.known, run->loss_count > 0);
    if (run->loss_count > 0 && run->resumed.iteration != last)
        trial_complain(t, "it was resumed from another iteration");
}
