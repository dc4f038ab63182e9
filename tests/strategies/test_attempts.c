/* Whoever dies, at any of its calls of the mem world, or has no memory for an allocation, in one
 * attempt after the other, while they agree on who is left, too; and some come back.
 *
 * A seed says everything. RG_SEEDS=FIRST:COUNT in the environment says which are tried. */
#include "base/check.h"
#include "strategies/allocated.h"
#include "strategies/trials.h"
#include "support/suite.h"
#include "unit/scratch.h"
#include <stdlib.h>

enum { DEATHS = 4, RETURNS = 3, MOST_ATTEMPTS = DEATHS + RETURNS + 2, ALLOCATIONS = 150 };

static int left_by_themselves; /* of all trials */

/* Its process is a new one, which is told what it must know. */
static void come_back(struct trial *t, int seat, const struct rg_attempts *others)
{
    struct rg_attempts *a = &t->process[seat].attempts;
    size_t seats = (size_t)a->seats;
    t->process[seat].ended = false;
    trial_open_attempts(t, seat);
    seats = (size_t)a->seats;
    memcpy(a->seat, others->seat, seats * sizeof *a->seat);
    memcpy(a->agreed, others->seat, seats * sizeof *a->agreed);
    memcpy(a->absent, others->absent, seats);
    a->nodes = others->nodes;
    a->present = a->agreed_count = others->present;
    t->returns--;
    t->returned++;
}

/* A node takes in the one that is there again. Where some have not heard of that, since somebody
 * was lost meanwhile, those that have learn from them that it is not there. */
static void take_in(struct trial *t, struct trial_process *p, bool all, int *back)
{
    struct rg_attempts *a = &p->attempts;
    int order[TRIAL_SEATS];
    struct rg_error e;
    if (!p->takes_in)
        return;
    p->takes_in = false;
    *back = all ? a->back : -1;
    int seat = a->back;
    rg_attempts_take_in(a);
    if (all)
        return;
    CU_ASSERT_EQUAL(rg_attempts_cast(a, trial_fitting, t, order, &e), 0);
    CU_ASSERT_EQUAL(rg_attempts_note(a, seat, "mem", "others have lost it"), 0);
    a->absent[seat] = RG_GONE;
}

/* Everybody who is left casts the next attempt: *next is the first one's. */
static bool cast_all(struct trial *t, const struct rg_attempts **next)
{
    int order[TRIAL_SEATS], back = -1, takes_in = 0, left = 0;
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
        if (t->lose != RG_LOSE_RESTART && rg_attempts_cast(a, trial_fitting, t, order, &e) != 0)
            return false;
        if (*next && (a->nodes != (*next)->nodes || a->present != (*next)->present ||
                      memcmp(a->seat, (*next)->seat, (size_t)a->present * sizeof *a->seat) != 0))
            trial_complain(t, "they mean other nodes");
        if (!*next)
            *next = a;
    }
    if (*next && back >= 0)
        come_back(t, back, *next);
    return *next != NULL;
}

/* One world, in which some may die; the seat of rank 0 where it has the result, -1: not yet. */
static int try_once(struct trial *t, const struct rg_attempts *a, long calls)
{
    int results[TRIAL_SEATS], seats[TRIAL_SEATS], present = a->present, winner = -1;
    uint32_t doomed = 0;
    struct rg_mem_world_options world = {.size = present, .seed = t->dice, .compute_jitter = 0.2};
    for (int i = 0; i < RG_MEM_DEATHS && t->deaths < DEATHS && trial_roll(t, 4) > 0;
         i++, t->deaths++) {
        world.deaths[i] =
            (struct rg_mem_death){.rank = (int)trial_roll(t, (uint64_t)present),
                                  .operation = 1 + (long)trial_roll(t, (uint64_t)calls)};
        if (trial_roll(t, 4) == 0) /* while they agree */
            world.deaths[i].operation = 1 + (long)trial_roll(t, 60);
        doomed |= 1u << world.deaths[i].rank;
    }
    long nth = 0;
    if (t->deaths < DEATHS && trial_roll(t, 4) == 0) {
        nth = 1 + (long)trial_roll(t, ALLOCATIONS);
        allocated_fail((int)trial_roll(t, (uint64_t)present), nth);
        t->deaths++;
    }
    memcpy(seats, a->seat, sizeof seats[0] * (size_t)present);
    allocated_begin(doomed); /* a leak sanitizer looks at the others */
    int result = rg_mem_world_run(&world, trial_attempt, t, results);
    bool failed = nth > 0 && allocated_asked() >= nth;
    allocated_fail(-1, 0);
    if (result)
        trial_complain(t, rg_strerror(result));
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
        bool gone = results[rank] == RG_DIED || results[rank] == RG_ERR_NOMEM;
        t->died += gone;
        left_by_themselves += results[rank] == RG_ERR_NOMEM;
        failed = failed && results[rank] != RG_ERR_NOMEM;
        if (gone)
            trial_lose(t, seats[rank]);
        else if (results[rank] != 0 && results[rank] != RG_ERR_PEER &&
                 results[rank] != RG_ERR_RETURNED)
            trial_complain(t, rg_strerror(results[rank]));
    }
    t->forgetful |= failed;
    for (int rank = 0; rank < present && winner < 0; rank++)
        if (results[rank] == 0) {
            trial_lose(t, seats[rank]);
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
    int seats[TRIAL_SEATS];
    bool good = true;
    for (int seat = 0; seat < TRIAL_SEATS; seat++)
        seats[seat] = seat;
    snprintf(t->label, sizeof t->label, "%s", job->label);
    for (int left = t->nodes; left >= t->nodes - DEATHS && left > 0 && good; left--)
        good = trial_fitting(t, seats, left) > 0;
    return good;
}

static bool choose(struct trial *t, uint64_t seed, struct rg_run *whole, long *calls)
{
    long operations[TRIAL_SEATS];
    *t = (struct trial){.seed = seed, .dice = rg_mix64(seed)};
    t->lose = (enum rg_lose)(RG_LOSE_RESTART + seed / RG_COUNT(kinds) % 3);
    if (strstr(kinds[seed % RG_COUNT(kinds)].file, "interleaved") && t->lose == RG_LOSE_SHRINK)
        t->lose = RG_LOSE_SPARE; /* it wants numbers of nodes that divide its micro-batches */
    t->nodes = t->lose == RG_LOSE_SHRINK ? DEATHS + 1 : 3;
    if (strstr(kinds[seed % RG_COUNT(kinds)].file, "replicas"))
        t->nodes += t->lose == RG_LOSE_SPARE ? -1 : 1; /* rings are equal */
    t->spares = t->lose == RG_LOSE_SPARE ? TRIAL_SEATS - t->nodes : 0;
    t->file = kinds[seed % RG_COUNT(kinds)].file;
    snprintf(t->sets, sizeof t->sets, "epochs=2 %s", kinds[seed % RG_COUNT(kinds)].sets);
    CU_ASSERT_EQUAL_FATAL(rg_attempts_open(&t->process[0].attempts, t->lose, t->nodes, t->spares),
                          0);
    bool good = trial_open_study(t, &t->process[0].attempts);
    rg_attempts_close(&t->process[0].attempts);
    if (!good)
        return false;
    const struct rg_job *job = NULL;
    for (int tries = 0; tries < 40; tries++) {
        job = &t->study.jobs[trial_roll(t, (uint64_t)t->study.job_count)];
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
    trial_note_whole(t, job);
    const struct harness_options options = {.seed = 1, .operations = operations};
    harness_run_ok(job, &options, whole);
    *calls = 0;
    for (int rank = 0; rank < t->nodes; rank++)
        *calls = RG_MAX(*calls, operations[rank]);
    return true;
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
        trial_open_attempts(&t, seat);
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
        if (!trial_open_study(&t, next))
            return 0;
        if (t.folder)
            rg_node_open_checkpoints(harness_job(&t.study, t.label), t.folder, t.folder, &t.from,
                                     NULL);
    }
    /* Who had the result has died, and all others had heard that it is over. */
    bool told = t.left > 0 && t.died + t.left >= t.nodes + t.spares;
    if (winner >= 0)
        trial_look_at(&t, &t.process[winner].run, &whole);
    else if (!told && (t.lose != RG_LOSE_SPARE || t.deaths + t.left <= t.spares))
        trial_complain(&t, "nobody has come to the end");
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
    printf(
        "\n  seeds %lu to %lu: %d deaths, %d without memory, %d times of several nodes apart, %d "
        "that came back",
        first, first + count - 1, deaths, left_by_themselves, apart, returned);
    CU_ASSERT(count < 10 || returned > 0);
    CU_ASSERT(count < 10 || 4 * deaths > 3 * (int)count);
}

int main(int argc, char **argv)
{
    if (access("/dev/shm", W_OK) == 0) /* where there is nothing to wait for */
        setenv("TMPDIR", "/dev/shm", 0);
    const struct suite_test tests[] = {
        {"whoever dies, the others come to the end", whoever_dies},
    };
    return suite_main("attempts", tests, sizeof tests / sizeof *tests, argc, argv);
}
