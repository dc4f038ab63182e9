/* Trainings that lose nodes and go on, in the mem world: whoever of them dies, at any of its calls
 * of the world, in one attempt after the other, while they agree on who is left, too. The nodes are
 * those of ringnode: each has its own account of the attempts, those that are left work out the
 * next by themselves, and must come to the same.
 *
 * A seed says everything. RG_SEEDS=FIRST:COUNT in the environment says which are tried. */
#include "base/check.h"
#include "node/muster.h"
#include "strategies/allocated.h"
#include "strategies/backup.h"
#include "strategies/harness.h"
#include "strategies/server_parts.h"
#include "support/suite.h"
#include "unit/scratch.h"
#include <stdlib.h>

enum { SEATS = 6, DEATHS = 4, RETURNS = 3, MOST_ATTEMPTS = DEATHS + RETURNS + 2 };

/* What a process has, from its start to its end. */
struct process {
    struct rg_attempts attempts;
    struct rg_run run;
    bool ended;    /* it has gone, or its training is over */
    bool takes_in; /* its attempt has ended with that */
};

struct trial {
    uint64_t seed, dice;
    enum rg_lose lose;
    const char *file, *folder;
    const char *more; /* settings of the truth that an attempt is held against */
    char sets[120];
    char label[64];
    int nodes, spares;
    int most;   /* iterations that are done again after the loss of one node; 0: any number */
    bool whole; /* but none, as every node has all of the state; */
    int servers, replicas; /* or so many have it, with so many replicas */
    struct rg_study study; /* of the attempt */
    struct rg_training_state from;
    struct process process[SEATS]; /* by seat */
    int deaths, died;              /* that were ordered; that came before the end */
    int apart;                     /* losses of several at a time that copies have made good */
    int left;              /* that have heard that it is over from one that has died since */
    int returns, returned; /* that may come yet; that came */
};

static uint64_t roll(struct trial *t, uint64_t below)
{
    t->dice = rg_mix64(t->dice);
    return t->dice % below;
}

static void complain(const struct trial *t, const char *what)
{
    printf("seed %llu: %s of %s, lose=%d on %d: %s\n", (unsigned long long)t->seed, t->label,
           t->file, (int)t->lose, t->nodes, what);
    CU_FAIL("see above");
}

/* ---- who is there again ---- */

/* Each node sees it at another time. */
static bool is_back(void *arg, int seat, double date_s)
{
    struct trial *t = arg;
    (void)seat, (void)date_s;
    return t->returns > 0 && roll(t, 4) > 0;
}

static void open_attempts(struct trial *t, int seat)
{
    struct rg_attempts *a = &t->process[seat].attempts;
    CU_ASSERT_EQUAL_FATAL(rg_attempts_open(a, t->lose, t->nodes, t->spares), 0);
    a->is_back = is_back;
    a->back_arg = t;
}

/* Its process is a new one, which is told what it must know. */
static void come_back(struct trial *t, int seat, const struct rg_attempts *others)
{
    struct rg_attempts *a = &t->process[seat].attempts;
    size_t seats = (size_t)a->seats;
    t->process[seat].ended = false;
    open_attempts(t, seat);
    seats = (size_t)a->seats;
    memcpy(a->seat, others->seat, seats * sizeof *a->seat);
    memcpy(a->agreed, others->seat, seats * sizeof *a->agreed);
    memcpy(a->absent, others->absent, seats);
    a->nodes = others->nodes;
    a->present = a->agreed_count = others->present;
    t->returns--;
    t->returned++;
}

/* ---- an attempt ---- */

static struct trial *trial_of(void *arg)
{
    return arg;
}

static struct process *process_of(struct trial *t, const struct rg_world *w)
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
    struct process *p = process_of(t, w);
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

static int attempt(struct rg_world *w, void *arg)
{
    struct trial *t = trial_of(arg);
    allocated_by(w->rank);
    return rg_attempts_run(w, &process_of(t, w)->attempts, train, t);
}

/* ---- what follows ---- */

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

static bool open_study(struct trial *t, const struct rg_attempts *a)
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

static int fitting(void *arg, const int *seats, int left)
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

/* A node takes in the one that is there again. Where some have not heard of that, since somebody
 * was lost meanwhile, those that have learn from them that it is not there. */
static void take_in(struct trial *t, struct process *p, bool all, int *back)
{
    struct rg_attempts *a = &p->attempts;
    int order[SEATS];
    struct rg_error e;
    if (!p->takes_in)
        return;
    p->takes_in = false;
    *back = all ? a->back : -1;
    int seat = a->back;
    rg_attempts_take_in(a);
    if (all)
        return;
    CU_ASSERT_EQUAL(rg_attempts_cast(a, fitting, t, order, &e), 0);
    CU_ASSERT_EQUAL(rg_attempts_note(a, seat, "mem", "others have lost it"), 0);
    a->absent[seat] = RG_GONE;
}

/* Everybody who is left casts the next attempt: *next is the first one's. */
static bool cast_all(struct trial *t, const struct rg_attempts **next)
{
    int order[SEATS], back = -1, takes_in = 0, left = 0;
    struct rg_error e;
    *next = NULL;
    for (int seat = 0; seat < t->nodes + t->spares; seat++) {
        left += !t->process[seat].ended;
        takes_in += !t->process[seat].ended && t->process[seat].takes_in;
    }
    for (int seat = 0; seat < t->nodes + t->spares; seat++) {
        struct rg_attempts *a = &t->process[seat].attempts;
        if (t->process[seat].ended)
            continue;
        take_in(t, &t->process[seat], takes_in == left, &back);
        if (t->lose != RG_LOSE_RESTART && rg_attempts_cast(a, fitting, t, order, &e) != 0)
            return false;
        if (*next && (a->nodes != (*next)->nodes || a->present != (*next)->present ||
                      memcmp(a->seat, (*next)->seat, (size_t)a->present * sizeof *a->seat) != 0))
            complain(t, "they mean other nodes");
        if (!*next)
            *next = a;
    }
    if (*next && back >= 0)
        come_back(t, back, *next);
    return *next != NULL;
}

/* The process of a seat is gone. With lose=restart somebody starts it again, as at first. */
static void lose(struct trial *t, int seat)
{
    struct process *p = &t->process[seat];
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
        open_attempts(t, seat);
}

/* One world, in which some may die; the seat of rank 0 where it has the result, -1: not yet. */
static int try_once(struct trial *t, const struct rg_attempts *a, long calls)
{
    int results[SEATS], seats[SEATS], present = a->present, winner = -1;
    uint32_t doomed = 0;
    struct rg_mem_world_options world = {.size = present, .seed = t->dice, .compute_jitter = 0.2};
    for (int i = 0; i < RG_MEM_DEATHS && t->deaths < DEATHS && roll(t, 4) > 0; i++, t->deaths++) {
        world.deaths[i] = (struct rg_mem_death){.rank = (int)roll(t, (uint64_t)present),
                                                .operation = 1 + (long)roll(t, (uint64_t)calls)};
        if (roll(t, 4) == 0) /* while they agree */
            world.deaths[i].operation = 1 + (long)roll(t, 60);
        doomed |= 1u << world.deaths[i].rank;
    }
    memcpy(seats, a->seat, sizeof seats[0] * (size_t)present);
    allocated_begin(doomed); /* a leak sanitizer looks at the others */
    int result = rg_mem_world_run(&world, attempt, t, results);
    if (result)
        complain(t, rg_strerror(result));
    for (int rank = 0; rank < present; rank++)
        if (results[rank] == RG_DIED) { /* what it has is its to lose, and freed with the rest */
            t->process[seats[rank]].attempts.losses = NULL;
            t->process[seats[rank]].attempts.copies = (struct rg_copies){0};
        }
    if (results[0] == 0)
        winner = seats[0];
    for (int rank = 0; rank < present; rank++) {
        t->process[seats[rank]].takes_in = results[rank] == RG_ERR_RETURNED;
    }
    for (int rank = 0; rank < present; rank++) {
        t->died += results[rank] == RG_DIED;
        if (results[rank] == RG_DIED)
            lose(t, seats[rank]);
        else if (results[rank] != 0 && results[rank] != RG_ERR_PEER &&
                 results[rank] != RG_ERR_RETURNED)
            complain(t, rg_strerror(results[rank]));
    }
    for (int rank = 0; rank < present && winner < 0; rank++)
        if (results[rank] == 0) {
            lose(t, seats[rank]);
            t->left++;
        }
    return winner;
}

/* ---- trials ---- */

static const struct {
    const char *file, *sets;
} kinds[] = {{"matrix.xml", ""},
             {"matrix-allreduce.xml", "optimizer=adam"},
             {"matrix-sgd.xml", ""},
             {"matrix-filters.xml", ""},
             {"matrix-backup.xml", ""},
             {"matrix-backup.xml", "optimizer=adam"},
             {"matrix-interleaved.xml", ""},
             {"matrix-replicas.xml", ""},
             {"matrix-filters.xml", "plain.servers=2 plain.replication=1"},
             {"matrix-federated.xml", ""},
             {"matrix-fsvrg.xml", ""}};

static bool is_fit(const struct trial *t, const struct rg_job *job)
{
    bool certain =
        !job->flows_on && (!job->strategy->whole_epochs || !job->strategy->whole_epochs(job) ||
                           strcmp(job->strategy->name, "ring_pipeline") == 0);
    bool stays = t->lose != RG_LOSE_SHRINK || !job->rows || job->strategy->keepers;
    return !job->refused && job->nodes == t->nodes && certain && stays && job->strategy->state;
}

/* A strategy that can be cast on some nodes of every number that may be left. */
static bool can_shrink(struct trial *t, const struct rg_job *job)
{
    int seats[SEATS];
    bool good = true;
    for (int seat = 0; seat < SEATS; seat++)
        seats[seat] = seat;
    snprintf(t->label, sizeof t->label, "%s", job->label);
    for (int left = t->nodes; left >= t->nodes - DEATHS && left > 0 && good; left--)
        good = fitting(t, seats, left) > 0;
    return good;
}

static void note_whole(struct trial *t, const struct rg_job *job)
{
    bool serves = strcmp(job->strategy->name, "parameter_server") == 0;
    t->whole = job->left_whole;
    t->servers = serves ? rg_server_plan(job)->servers : job->strategy->keepers ? 1 : 0;
    t->replicas = serves ? rg_server_plan(job)->replicas : 0;
}

static bool choose(struct trial *t, uint64_t seed, struct rg_run *whole, long *calls)
{
    long operations[SEATS];
    *t = (struct trial){.seed = seed, .dice = rg_mix64(seed)};
    t->lose = (enum rg_lose)(RG_LOSE_RESTART + seed / RG_COUNT(kinds) % 3);
    if (strstr(kinds[seed % RG_COUNT(kinds)].file, "interleaved") && t->lose == RG_LOSE_SHRINK)
        t->lose = RG_LOSE_SPARE; /* it wants numbers of nodes that divide its micro-batches */
    t->nodes = t->lose == RG_LOSE_SHRINK ? DEATHS + 1 : 3;
    if (strstr(kinds[seed % RG_COUNT(kinds)].file, "replicas"))
        t->nodes += t->lose == RG_LOSE_SPARE ? -1 : 1; /* rings are equal */
    t->spares = t->lose == RG_LOSE_SPARE ? SEATS - t->nodes : 0;
    t->file = kinds[seed % RG_COUNT(kinds)].file;
    snprintf(t->sets, sizeof t->sets, "epochs=2 %s", kinds[seed % RG_COUNT(kinds)].sets);
    CU_ASSERT_EQUAL_FATAL(rg_attempts_open(&t->process[0].attempts, t->lose, t->nodes, t->spares),
                          0);
    bool good = open_study(t, &t->process[0].attempts);
    rg_attempts_close(&t->process[0].attempts);
    if (!good)
        return false;
    const struct rg_job *job = NULL;
    for (int tries = 0; tries < 40; tries++) {
        job = &t->study.jobs[roll(t, (uint64_t)t->study.job_count)];
        if (is_fit(t, job) && (t->lose != RG_LOSE_SHRINK || can_shrink(t, job)))
            break;
        job = NULL;
    }
    if (!job)
        return false;
    snprintf(t->label, sizeof t->label, "%s", job->label);
    struct rg_prediction p = {0};
    job->strategy->predict(job, &p);
    bool chosen = job->copies && t->lose == RG_LOSE_SHRINK && strcmp(t->label, "auto") == 0;
    bool some_wait = t->lose == RG_LOSE_SHRINK && job->multiple > 1;
    t->most = chosen || some_wait ? 0 : p.copies.most; /* for each number of nodes anew */
    note_whole(t, job);
    const struct harness_options options = {.seed = 1, .operations = operations};
    harness_run_ok(job, &options, whole);
    *calls = 0;
    for (int rank = 0; rank < t->nodes; rank++)
        *calls = RG_MAX(*calls, operations[rank]);
    return true;
}

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
    if (t->most == 0 || t->returned > 0 || !are_apart(t, losses, count) ||
        losses->from_iteration < 0 || (begun > 0 && losses->iteration < late))
        return;
    t->apart += count > 1;
    if (losses->again > t->most)
        complain(t, "more iterations done again than the backup allows");
    bool beginning = losses->from_iteration == 0;
    if (strcmp(losses->state, beginning ? "beginning" : "copies") != 0 && !t->folder)
        complain(t, "it went on from something else");
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
        t->returned > 0 || losses->from_iteration < 0 || count >= nodes)
        return;
    if (losses->again > 0)
        complain(t, "iterations done again that a node had");
    if (losses->from_iteration > 0 && strcmp(losses->state, "copies") != 0 && !t->folder)
        complain(t, "it went on from something else");
}

static void look_at(struct trial *t, const struct rg_run *run, const struct rg_run *whole)
{
    if (run->status != RG_RUN_OK)
        complain(t, run->error);
    CU_ASSERT_EQUAL(run->iterations, whole->iterations);
    CU_ASSERT_EQUAL(run->point_count, whole->point_count);
    if (t->lose != RG_LOSE_SHRINK && strcmp(run->weights_sha256, whole->weights_sha256) != 0)
        complain(t, "other weights than those of the undisturbed run");
    int64_t last = -1;
    for (int i = 0; i < run->loss_count; i++) {
        const struct rg_run_loss *loss = &run->losses[i];
        last = loss->from_iteration >= 0 ? loss->from_iteration : last;
        bool at_loss = false;
        for (int k = 0; k < run->loss_count; k++)
            at_loss |= run->losses[k].iteration == loss->back_iteration;
        if (loss->back_iteration >= 0 && loss->back_iteration % (run->iterations / 2) != 0 &&
            !at_loss)
            complain(t, "it was taken in within an epoch");
        if (loss->from_iteration >= 0 &&
            loss->again != RG_MAX(loss->iteration - loss->from_iteration, 0))
            complain(t, "iterations done again that are none");
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
            complain(t, "training had come further");
        if (!t->whole && first->from_iteration > first->iteration)
            complain(t, "it went on from what had not been");
        look_at_copies(t, first, next - i, begun);
        if (i == 0)
            look_at_whole(t, first, next);
        begun = first->from_iteration >= 0 ? first->from_iteration : begun;
    }
    CU_ASSERT_EQUAL(run->resumed.known, run->loss_count > 0);
    if (run->loss_count > 0 && run->resumed.iteration != last)
        complain(t, "it was resumed from another iteration");
}

static int apart, returned; /* of all trials */

static int try_seed(uint64_t seed)
{
    struct trial t;
    struct rg_run whole;
    struct rg_error e = {0};
    char name[40];
    long calls;
    rg_run_init(&whole);
    if (!choose(&t, seed, &whole, &calls)) {
        rg_study_close(&t.study);
        return 0;
    }
    snprintf(name, sizeof name, "a%llu", (unsigned long long)seed);
    t.folder =
        (t.most > 0 || t.whole) && t.dice % 4 > 0 ? NULL : scratch_path(name); /* memory alone */
    if (t.folder)
        CU_ASSERT_EQUAL_FATAL(rg_training_folder(t.folder, false, &e), 0);
    for (int seat = 0; seat < t.nodes + t.spares; seat++) {
        rg_run_init(&t.process[seat].run);
        open_attempts(&t, seat);
    }
    t.returns = RETURNS;
    const struct rg_attempts *next = &t.process[0].attempts;
    int winner = -1;
    for (int i = 0; i < MOST_ATTEMPTS && winner < 0 && next; i++) {
        winner = try_once(&t, next, calls);
        rg_training_state_free(&t.from);
        if (winner >= 0 || !cast_all(&t, &next))
            break;
        for (int seat = 0; seat < t.nodes + t.spares; seat++)
            if (!t.process[seat].ended) {
                rg_run_free(&t.process[seat].run);
                rg_run_init(&t.process[seat].run);
            }
        rg_study_close(&t.study);
        if (!open_study(&t, next))
            return 0;
        if (t.folder)
            rg_node_open_checkpoints(harness_job(&t.study, t.label), t.folder, t.folder, &t.from,
                                     NULL);
    }
    /* Who had the result has died, and all others had heard that it is over. */
    bool told = t.left > 0 && t.died + t.left >= t.nodes + t.spares;
    if (winner >= 0)
        look_at(&t, &t.process[winner].run, &whole);
    else if (!told && (t.lose != RG_LOSE_SPARE || t.deaths + t.left <= t.spares))
        complain(&t, "nobody has come to the end");
    for (int seat = 0; seat < t.nodes + t.spares; seat++) {
        rg_run_free(&t.process[seat].run);
        rg_attempts_close(&t.process[seat].attempts);
    }
    rg_run_free(&whole);
    rg_study_close(&t.study);
    scratch_remove();
    apart += t.apart;
    returned += t.returned;
    return t.died;
}

static void whoever_dies(void)
{
    const char *range = getenv("RG_SEEDS");
    unsigned long first = 0, count = 36;
    int deaths = 0;
    if (range)
        CU_ASSERT_EQUAL(sscanf(range, "%lu:%lu", &first, &count), 2);
    for (unsigned long seed = first; seed < first + count; seed++)
        deaths += try_seed(seed);
    static const uint64_t telling[] = {234, 357}; /* they have shown faults that others do not */
    for (size_t i = 0; i < RG_COUNT(telling) && !range; i++)
        deaths += try_seed(telling[i]);
    printf("\n  seeds %lu to %lu: %d deaths, %d times of several nodes apart, %d that came back",
           first, first + count - 1, deaths, apart, returned);
    CU_ASSERT(count < 10 || returned > 0);
    CU_ASSERT(count < 10 || 4 * deaths > 3 * (int)count);
}

/* ---- what is kept ---- */

enum { RING = 3, UNTIL = 10 };

/* The parameters after so many iterations of a run that loses nobody. */
struct truth {
    float *at[UNTIL + 1];
};

static void open_truth(struct trial *t, struct truth *truth, struct rg_run *whole)
{
    for (int done = 1; done <= UNTIL; done++) {
        struct rg_study study;
        char sets[120];
        snprintf(sets, sizeof sets, "%s nodes=%d iterations=%d", t->more, RING, done);
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
            complain(t, "a copy is not the state that it says");
        for (int other = 0; other < RING; other++) {
            const struct rg_copies *theirs = &t->process[other].attempts.copies;
            for (int k = 0; k < theirs->count && other != rank; k++)
                if (memcmp(&theirs->list[k].name, &copy->name, sizeof copy->name) == 0 &&
                    memcmp(theirs->list[k].values, copy->values,
                           copy->name.count * sizeof *right) != 0)
                    complain(t, "two nodes have another state");
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
            complain(t, "there is no state as new as it should be");
    }
}

/* A loss at that call of that rank's, and another attempt, with the node that is there again. */
static void lose_and_go_on(struct trial *t, const struct truth *truth, const struct rg_run *whole,
                           int dead, long operation)
{
    struct rg_mem_world_options world = {
        .size = RING, .seed = t->seed, .byte_s = 1e-6, .compute_jitter = 0.2};
    int results[RING];
    for (int seat = 0; seat < RING; seat++) {
        t->process[seat] = (struct process){.ended = false};
        rg_run_init(&t->process[seat].run);
        CU_ASSERT_EQUAL_FATAL(rg_attempts_open(&t->process[seat].attempts, t->lose, RING, 0), 0);
    }
    world.deaths[0] = (struct rg_mem_death){dead, operation};
    allocated_begin(1u << dead);
    CU_ASSERT_EQUAL(rg_mem_world_run(&world, attempt, t, results), 0);
    bool over = true; /* for those that are left */
    for (int rank = 0; rank < RING; rank++)
        over = over && (rank == dead || results[rank] == 0);
    if (results[dead] == RG_DIED) {
        struct rg_attempts *gone = &t->process[dead].attempts;
        gone->losses = NULL; /* what it had is its to lose */
        gone->copies = (struct rg_copies){0};
        for (int rank = 0; rank < RING; rank++)
            look_at_kept(t, truth, rank);
    }
    if (results[dead] == RG_DIED && !over) {
        look_at_newest(t, dead, harness_job(&t->study, t->label)->network);
        lose(t, dead);
        rg_run_free(&t->process[0].run);
        rg_run_init(&t->process[0].run);
        world.deaths[0] = (struct rg_mem_death){0, 0};
        allocated_begin(0);
        CU_ASSERT_EQUAL(rg_mem_world_run(&world, attempt, t, results), 0);
    }
    if (!over || dead > 0)
        look_at(t, &t->process[0].run, whole);
    for (int seat = 0; seat < RING; seat++) {
        rg_run_free(&t->process[seat].run);
        rg_attempts_close(&t->process[seat].attempts);
    }
}

static void copies_are_the_state(void)
{
    static const struct {
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
    enum { DEATHS_EACH = 45 };
    for (size_t i = 0; i < RG_COUNT(kept); i++) {
        struct trial t = {.lose = RG_LOSE_RESTART, .nodes = RING, .file = kept[i].file, .seed = i};
        struct truth truth = {{NULL}};
        struct rg_run whole;
        long operations[RING], calls = 0;
        snprintf(t.sets, sizeof t.sets, "iterations=%d %s", UNTIL, kept[i].sets);
        snprintf(t.label, sizeof t.label, "%s", kept[i].label);
        t.more = kept[i].sets;
        open_truth(&t, &truth, &whole);
        CU_ASSERT_EQUAL_FATAL(rg_attempts_open(&t.process[0].attempts, t.lose, RING, 0), 0);
        CU_ASSERT_FATAL(open_study(&t, &t.process[0].attempts));
        rg_attempts_close(&t.process[0].attempts);
        const struct rg_job *job = harness_job(&t.study, t.label);
        struct rg_prediction p = {0};
        struct rg_run run;
        job->strategy->predict(job, &p);
        t.most = p.copies.most;
        note_whole(&t, job);
        harness_run_ok(job, &(struct harness_options){.seed = 1, .operations = operations}, &run);
        rg_run_free(&run);
        for (int rank = 0; rank < RING; rank++)
            calls = RG_MAX(calls, operations[rank]);
        for (int k = 1; k <= DEATHS_EACH; k++, t.seed++)
            lose_and_go_on(&t, &truth, &whole, k % RING, k * calls / DEATHS_EACH);
        for (int done = 1; done <= UNTIL; done++)
            free(truth.at[done]);
        rg_run_free(&whole);
        rg_study_close(&t.study);
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
    t.more = "";
    open_truth(&t, &truth, &whole);
    t.folder = scratch_path("half");
    CU_ASSERT_EQUAL_FATAL(rg_training_folder(t.folder, false, &e), 0);
    CU_ASSERT_EQUAL_FATAL(rg_attempts_open(&t.process[0].attempts, t.lose, RING, 0), 0);
    CU_ASSERT_FATAL(open_study(&t, &t.process[0].attempts));
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
            t.process[seat] = (struct process){.ended = false};
            rg_run_init(&t.process[seat].run);
            CU_ASSERT_EQUAL_FATAL(rg_attempts_open(&t.process[seat].attempts, t.lose, RING, 0), 0);
        }
        allocated_begin(1u << 1);
        CU_ASSERT_EQUAL(rg_mem_world_run(&world, attempt, &t, results), 0);
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
    if (access("/dev/shm", W_OK) == 0) /* where there is nothing to wait for */
        setenv("TMPDIR", "/dev/shm", 0);
    const struct suite_test tests[] = {
        {"whoever dies, the others come to the end", whoever_dies},
        {"copies are the state", copies_are_the_state},
        {"half a state is none", half_a_state_is_none},
    };
    return suite_main("attempts", tests, sizeof tests / sizeof *tests, argc, argv);
}
