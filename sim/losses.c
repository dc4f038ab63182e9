/* Happy path: a process simulates the attempt and tells its run, who has died and how far it came;
 * this one works out when the next begins, and with whom.
 *
 * Failure modes handled: a node that does not come back, or whom nobody can replace (the run is
 * lost); a process that ends without a word (so does this one, or the run has failed). */
#include "losses.h"

#include "base/check.h"
#include "base/file.h"
#include "base/need.h"
#include "node/muster.h"
#include "world/exchange.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_ATTEMPTS = 100000 };

/* What a process tells beside the run. */
struct told {
    int64_t from, iterations;
    double broken_s, origin_s;
    double drawn_J;  /* by those that trained */
    int died;        /* ranks */
    int losses_told; /* as struct rg_attempts has it */
    int back;        /* seat that all take in again; -1: none */
    bool handed;     /* to whom what the others have in memory goes */
    size_t bytes;
    /* Of the last checkpoint. */
    bool hollow;
    int64_t kept_iterations;
    double kept_time_s, kept_written_s;
    uint64_t kept_bytes;
    int kept_nodes;
    size_t kept_plan; /* length */
};

struct series {
    const struct rg_study *study;
    const struct rg_job *job;
    struct rg_attempts attempts;
    double since_s;         /* when the next begins */
    double *off_s, *back_s; /* [seats] by rank, of the attempt: when it is off, and there again */
    double *gone_s; /* [seats] of those that are lost: when it went off, or until when its joules
                     * are added */
    int *results;
    double *drawn_J;                  /* [seats] */
    double whole_J;                   /* so far, of all; NAN: unknown */
    struct rg_training_state kept[2]; /* the first: what the next attempt goes on from */
    struct rg_copies *copies;         /* [seats] of those that have not died since */
};

static uint64_t seed_of(const struct series *s)
{
    return s->study->scenario.seed;
}

/* When the ranks of the next attempt are off, none before it begins. */
static void find_dates(struct series *s)
{
    const struct rg_faults *faults = &s->study->scenario.faults;
    for (int rank = 0; rank < s->attempts.nodes; rank++) {
        rg_faults_next_off(faults, seed_of(s), s->attempts.seat[rank], s->since_s, &s->off_s[rank],
                           &s->back_s[rank]);
        s->off_s[rank] = fmax(s->off_s[rank], s->since_s);
    }
}

/* Rank 0's card has what was written before that lost its power; where it did not, its process
 * waits until all is. The one that is left goes into told and *plan. */
static void tell_kept(const struct series *s, struct told *told, const char **plan)
{
    const struct rg_training_state *kept = s->kept;
    if (s->results[0] == RG_DIED && kept->written_s > s->off_s[0])
        kept++;
    *plan = kept->plan ? kept->plan : "";
    told->hollow = kept->hollow;
    told->kept_iterations = kept->iterations;
    told->kept_time_s = kept->time_s;
    told->kept_written_s = kept->written_s;
    told->kept_bytes = kept->bytes;
    told->kept_nodes = kept->nodes;
    told->kept_plan = strlen(*plan);
}

/* Of all seats, those that have none too. */
static bool tell_copies(const struct series *s, int fd)
{
    bool good = true;
    for (int seat = 0; seat < s->attempts.seats && good; seat++) {
        unsigned char *bytes = NULL;
        size_t size = 0;
        good = rg_copies_encode(&s->copies[seat], &bytes, &size) == 0 &&
               rg_pipe_write(fd, &size, sizeof size) && rg_pipe_write(fd, bytes, size);
        free(bytes);
    }
    return good;
}

static bool hear_copies(struct series *s, int fd)
{
    bool good = true;
    for (int seat = 0; seat < s->attempts.seats && good; seat++) {
        size_t size = 0;
        good = rg_pipe_read(fd, &size, sizeof size);
        unsigned char *bytes = good ? malloc(size + 1) : NULL;
        rg_copies_free(&s->copies[seat]);
        good = bytes && rg_pipe_read(fd, bytes, size) &&
               rg_copies_decode(bytes, size, &s->copies[seat]) == 0;
        free(bytes);
    }
    return good;
}

/* The losses go in the run, whoever was lost with them. */
static _Noreturn void be_attempt(struct series *s, rg_sim_attempt_fn simulate, void *arg, int fd)
{
    struct rg_attempts *a = &s->attempts;
    struct rg_run run;
    const struct rg_sim_attempt attempt = {a,          s->off_s, s->since_s, s->results,
                                           s->drawn_J, s->kept,  s->copies};
    const char *plan;
    unsigned char *bytes = NULL;
    size_t size = 0;
    rg_run_init(&run);
    simulate(arg, &attempt, &run);
    if (run.loss_count < a->loss_count) {
        run.losses = a->losses;
        run.loss_count = a->loss_count;
    }
    if (rg_run_encode(&run, &bytes, &size) != 0)
        _exit(1);
    struct told told = {.from = a->from,
                        .iterations = a->iterations,
                        .broken_s = a->broken_s,
                        .origin_s = a->origin_s,
                        .losses_told = a->told,
                        .back = a->back,
                        .handed = a->handed,
                        .bytes = size};
    for (int rank = 0; rank < a->nodes; rank++) {
        told.died += s->results[rank] == RG_DIED;
        told.drawn_J += s->drawn_J[rank];
    }
    tell_kept(s, &told, &plan);
    bool good = rg_pipe_write(fd, &told, sizeof told) &&
                rg_pipe_write(fd, s->results, (size_t)a->nodes * sizeof *s->results) &&
                rg_pipe_write(fd, bytes, size) && rg_pipe_write(fd, plan, told.kept_plan) &&
                tell_copies(s, fd);
    _exit(good ? 0 : 1);
}

/* What the next attempt goes on from. */
static bool hear_kept(struct series *s, int fd, const struct told *told)
{
    const struct rg_job *job = s->job;
    struct rg_training_state *kept = s->kept;
    rg_training_state_free(kept);
    *kept = (struct rg_training_state){.hollow = told->hollow,
                                       .iterations = told->kept_iterations,
                                       .iterations_per_epoch = job->iterations_per_epoch,
                                       .time_s = told->kept_time_s,
                                       .energy_J = NAN,
                                       .written_s = told->kept_written_s,
                                       .bytes = told->kept_bytes,
                                       .nodes = told->kept_nodes,
                                       .best = {.loss = NAN, .accuracy = NAN},
                                       .seed = job->seed,
                                       .batch = job->batch};
    rg_copy_text(kept->strategy, sizeof kept->strategy, job->strategy->name);
    rg_copy_text(kept->path, sizeof kept->path, "simulated without numbers");
    rg_copy_text(kept->scenario_sha256, sizeof kept->scenario_sha256, s->study->scenario.digest);
    kept->plan = calloc(told->kept_plan + 1, 1);
    return kept->plan && rg_pipe_read(fd, kept->plan, told->kept_plan);
}

static bool hear(struct series *s, int fd, struct told *told, struct rg_run *run)
{
    struct rg_error e;
    if (!rg_pipe_read(fd, told, sizeof *told) ||
        !rg_pipe_read(fd, s->results, (size_t)s->attempts.nodes * sizeof *s->results))
        return false;
    unsigned char *bytes = malloc(told->bytes + 1);
    bool good = bytes && rg_pipe_read(fd, bytes, told->bytes) &&
                rg_run_decode(bytes, told->bytes, run, &e) == 0 && hear_kept(s, fd, told);
    free(bytes);
    return good && hear_copies(s, fd);
}

/* Has the power of a node that was lost come back? */
static bool is_back(void *arg, int seat, double date_s)
{
    const struct series *s = arg;
    double off_s, back_s;
    return !rg_faults_next_off(&s->study->scenario.faults, seed_of(s), seat, date_s, &off_s,
                               &back_s) ||
           off_s > date_s;
}

/* In a process of its own; false: it has said nothing. */
static bool try_once(struct series *s, rg_sim_attempt_fn simulate, void *arg, struct told *told,
                     struct rg_run *run)
{
    int ends[2], status = 0;
    pid_t self = getpid();
    fflush(NULL);
    if (pipe(ends) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != self)
            _exit(1);
        be_attempt(s, simulate, arg, ends[1]);
    }
    close(ends[1]);
    bool heard = pid > 0 && hear(s, ends[0], told, run);
    close(ends[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFSIGNALED(status)) { /* whoever waits for this process sees the same */
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    return heard && status == 0;
}

/* ---- what comes after ---- */

static const char *name_of(const struct series *s, int seat)
{
    return s->study->platform.names[seat];
}

static void note_losses(struct series *s, const struct told *told, const struct rg_run *run)
{
    struct rg_attempts *a = &s->attempts;
    free(a->losses); /* with what the attempt knew of them */
    a->losses = rg_need(NULL, (size_t)run->loss_count * sizeof *a->losses + 1);
    if (run->loss_count > 0)
        memcpy(a->losses, run->losses, (size_t)run->loss_count * sizeof *a->losses);
    a->loss_count = run->loss_count;
    a->told = told->back < 0 ? run->loss_count : told->losses_told; /* else they may yet be told */
    a->from = told->from;
    a->iterations = told->iterations;
    a->broken_s = told->broken_s;
    a->origin_s = told->origin_s;
    a->back = told->back;
    a->handed = told->handed;
    double noticed_s = s->study->scenario.faults.noticed_s;
    for (int rank = 0; rank < a->nodes; rank++) {
        if (s->results[rank] != RG_DIED)
            continue;
        s->gone_s[a->seat[rank]] = s->off_s[rank];
        a->noticed_s = fmin(s->off_s[rank] + noticed_s, a->broken_s);
        RG_ASSERT(rg_attempts_note(a, a->seat[rank], name_of(s, a->seat[rank]),
                                   "it lost its power") == 0);
    }
    a->noticed_s = NAN;
}

/* ---- joules ---- */

/* Of all that are there and do nothing. */
static double waiting_watts(const struct series *s, int from, int to)
{
    double watts = 0;
    for (int rank = from; rank < to; rank++) {
        const struct rg_board *board = s->study->platform.boards[s->attempts.seat[rank]];
        watts += rg_board_watts(board, 0) + board->switch_watts;
    }
    return watts;
}

/* Until then, of those that have been lost, once their power is back. */
static void add_returned(struct series *s, double until_s)
{
    const struct rg_attempts *a = &s->attempts;
    for (int rank = a->present; rank < a->seats; rank++) {
        double *at = &s->gone_s[a->seat[rank]], off_s = *at, back_s = *at;
        while (off_s < until_s && back_s < until_s) {
            rg_faults_next_off(&s->study->scenario.faults, seed_of(s), a->seat[rank], back_s,
                               &off_s, &back_s);
            if (off_s > *at)
                s->whole_J += (fmin(off_s, until_s) - *at) * waiting_watts(s, rank, rank + 1);
            *at = fmin(back_s, until_s);
        }
        *at = fmax(*at, until_s);
    }
}

/* The attempt has ended at that date; who waits for a place has waited. */
static void add_joules(struct series *s, const struct told *told, double end_s)
{
    const struct rg_attempts *a = &s->attempts;
    if (a->present > a->nodes)
        s->whole_J += (end_s - s->since_s) * waiting_watts(s, a->nodes, a->present);
    s->whole_J += told->drawn_J;
}

/* Nobody trains until the next attempt begins. */
static void add_waiting(struct series *s, double from_s)
{
    const struct rg_attempts *a = &s->attempts;
    for (int rank = 0; rank < a->present; rank++)
        if (s->since_s > from_s && (rank >= a->nodes || s->results[rank] != RG_DIED))
            s->whole_J += (s->since_s - from_s) * waiting_watts(s, rank, rank + 1);
}

/* All wait until every one that is off is there again. */
static int wait_for_all(struct series *s, struct rg_error *e)
{
    const struct rg_attempts *a = &s->attempts;
    const struct rg_faults *faults = &s->study->scenario.faults;
    double from = s->since_s;
    for (int rank = 0; rank < a->nodes; rank++)
        if (s->results[rank] == RG_DIED)
            s->since_s = fmax(s->since_s, s->back_s[rank]);
    for (bool waits = true; waits && s->since_s < INFINITY;) {
        waits = false;
        for (int rank = 0; rank < a->nodes; rank++) {
            double off, back;
            if (rg_faults_next_off(faults, seed_of(s), a->seat[rank], s->since_s, &off, &back) &&
                off <= s->since_s) {
                s->since_s = back;
                waits = true;
            }
        }
    }
    if (s->since_s < INFINITY)
        return 0;
    s->since_s = from;
    return rg_fail(e, RG_ERR_PEER, "it does not come back (<off> without to)");
}

/* What is under way to the card is written to the end. */
static void wait_for_card(struct series *s)
{
    if (s->kept->bytes > 0)
        s->since_s = fmax(s->since_s, s->kept->written_s);
}

/* Who makes the next attempt, and when. */
static int cast(struct series *s, rg_fitting_fn fitting, void *arg, struct rg_error *e)
{
    struct rg_attempts *a = &s->attempts;
    s->since_s = a->broken_s;
    if (a->back < 0 && a->broken_s > s->study->scenario.faults.give_up_s)
        return rg_fail(e, RG_ERR_PEER, "given up (give-up=\"%g\" of <faults>)",
                       s->study->scenario.faults.give_up_s);
    if (a->lose == RG_LOSE_RESTART)
        return wait_for_all(s, e);
    int *order = rg_need_zeroed((size_t)a->seats, sizeof *order);
    for (int rank = 0; rank < a->nodes; rank++)
        if (s->results[rank] == RG_DIED)
            a->absent[a->seat[rank]] = RG_GONE;
    if (a->back >= 0)
        rg_attempts_take_in(a);
    int err = rg_attempts_cast(a, fitting, arg, order, e);
    free(order);
    return err;
}

/* Nobody goes on after the last losses. */
static void lose(const struct series *s, int count, const char *why, struct rg_run *run)
{
    const struct rg_attempts *a = &s->attempts;
    const struct rg_run_loss *loss = &a->losses[a->loss_count - count];
    rg_run_free(run);
    rg_run_init(run);
    rg_job_describe(s->job, run);
    run->status = RG_RUN_LOST;
    run->error_code = RG_ERR_PEER;
    run->iterations = a->iterations;
    run->whole = (struct rg_run_whole){true, a->broken_s, s->whole_J};
    run->ending.early = true;
    run->ending.wanted_iterations = s->job->iterations;
    run->ending.lost_rank = loss->rank;
    rg_copy_text(run->ending.lost_host, sizeof run->ending.lost_host, loss->host);
    rg_copy_text(run->ending.why, sizeof run->ending.why, loss->why);
    snprintf(run->error, sizeof run->error,
             "rank %d (%.100s) lost its power, noticed after %.6g s%s%.200s; after iteration "
             "%" PRId64 " of %" PRId64,
             loss->rank, loss->host, loss->time_s, why[0] ? ": " : "", why, a->iterations,
             s->job->iterations);
    if (a->loss_count == count)
        return;
    run->losses = rg_need(NULL, (size_t)(a->loss_count - count) * sizeof *run->losses);
    run->loss_count = a->loss_count - count;
    memcpy(run->losses, a->losses, (size_t)run->loss_count * sizeof *run->losses);
}

static void run_series(struct series *s, rg_sim_attempt_fn simulate, rg_fitting_fn fitting,
                       void *arg, struct rg_run *run)
{
    for (int i = 0; i < MOST_ATTEMPTS; i++) {
        struct rg_error e = {0};
        struct told told = {0};
        rg_run_free(run);
        rg_run_init(run);
        find_dates(s);
        if (!try_once(s, simulate, arg, &told, run)) {
            rg_job_describe(s->job, run);
            run->status = RG_RUN_FAILED;
            run->error_code = RG_ERR_INTERNAL;
            rg_copy_text(run->error, sizeof run->error, "an attempt ended without a result");
            return;
        }
        bool broken = s->results[0] == RG_ERR_PEER || s->results[0] == RG_ERR_RETURNED;
        if ((told.died == 0 && told.back < 0) || (!broken && s->results[0] != RG_DIED)) {
            add_joules(s, &told, run->whole.time_s);
            add_returned(s, run->whole.time_s);
            run->whole.energy_J = s->whole_J;
            return;
        }
        add_joules(s, &told, told.broken_s);
        add_returned(s, told.broken_s);
        note_losses(s, &told, run);
        if (s->attempts.lose == RG_LOSE_STOP || cast(s, fitting, arg, &e) != 0) {
            lose(s, RG_MAX(told.died, 1), e.text, run);
            return;
        }
        wait_for_card(s);
        add_waiting(s, told.broken_s);
    }
}

void rg_sim_attempts(const struct rg_study *study, const struct rg_job *job,
                     rg_sim_attempt_fn simulate, rg_fitting_fn fitting, void *arg,
                     struct rg_run *run)
{
    const struct rg_training *t = &study->scenario.training;
    struct series s = {.study = study, .job = job};
    int spares = t->lose == RG_LOSE_SPARE ? t->spares : 0;
    size_t seats = (size_t)(job->nodes + spares);
    s.off_s = rg_need_zeroed(seats, sizeof *s.off_s);
    s.back_s = rg_need_zeroed(seats, sizeof *s.back_s);
    s.gone_s = rg_need_zeroed(seats, sizeof *s.gone_s);
    s.results = rg_need_zeroed(seats, sizeof *s.results);
    s.drawn_J = rg_need_zeroed(seats, sizeof *s.drawn_J);
    s.copies = rg_need_zeroed(seats, sizeof *s.copies);
    RG_ASSERT(rg_attempts_open(&s.attempts, t->lose, job->nodes, spares) == 0);
    s.attempts.iterations = 0; /* all nodes have their part in all of it */
    s.attempts.is_back = is_back;
    s.attempts.back_arg = &s;
    run_series(&s, simulate, fitting, arg, run);
    rg_attempts_close(&s.attempts);
    for (size_t seat = 0; seat < seats; seat++)
        rg_copies_free(&s.copies[seat]);
    free(s.copies);
    free(s.off_s);
    free(s.back_s);
    free(s.gone_s);
    free(s.results);
    free(s.drawn_J);
    rg_training_state_free(s.kept);
}
