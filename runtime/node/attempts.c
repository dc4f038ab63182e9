#include "node/attempts.h"

#include "base/check.h"
#include "collectives/collectives.h"
#include "node/muster.h"
#include "node/node_parts.h"
#include "scenario/settings.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* All that are present agree on it. */
static void agree(struct rg_attempts *a)
{
    memcpy(a->agreed, a->seat, (size_t)a->present * sizeof *a->agreed);
    a->agreed_count = a->present;
}

int rg_attempts_open(struct rg_attempts *a, enum rg_lose lose, int nodes, int spares)
{
    *a = (struct rg_attempts){.lose = lose,
                              .nodes = nodes,
                              .wanted = nodes,
                              .present = nodes + spares,
                              .seats = nodes + spares,
                              .iterations = INT64_MAX,
                              .fit = -1,
                              .back = -1,
                              .entering = -1,
                              .origin_s = NAN,
                              .noticed_s = NAN};
    a->seat = calloc((size_t)a->seats, sizeof *a->seat);
    a->absent = calloc((size_t)a->seats, 1);
    a->agreed = calloc((size_t)a->seats, sizeof *a->agreed);
    if (!a->seat || !a->absent || !a->agreed) {
        rg_attempts_close(a);
        return RG_ERR_NOMEM;
    }
    for (int i = 0; i < a->seats; i++)
        a->seat[i] = i;
    agree(a);
    return 0;
}

void rg_attempts_close(struct rg_attempts *a)
{
    free(a->seat);
    free(a->absent);
    free(a->agreed);
    free(a->losses);
    rg_copies_free(&a->copies);
    *a = (struct rg_attempts){0};
}

/* size bytes of `from`, malloc'ed, in its place; false: no memory. */
static bool copy(void *place, size_t size)
{
    void *from = *(void **)place, *to = malloc(size + 1);
    if (to && from)
        memcpy(to, from, size);
    *(void **)place = to;
    return to != NULL;
}

int rg_attempts_copy(const struct rg_attempts *a, struct rg_attempts *to)
{
    size_t seats = (size_t)a->seats;
    *to = *a;
    to->copies = (struct rg_copies){0};
    bool good = copy(&to->seat, seats * sizeof *a->seat);
    good &= copy(&to->absent, seats);
    good &= copy(&to->agreed, seats * sizeof *a->agreed);
    good &= copy(&to->losses, (size_t)a->loss_count * sizeof *a->losses);
    if (!good)
        rg_attempts_close(to);
    return good ? 0 : RG_ERR_NOMEM;
}

static int rank_of(const struct rg_attempts *a, int seat)
{
    int rank = 0;
    while (rank < a->present && a->seat[rank] != seat)
        rank++;
    return rank;
}

/* The last loss of that node; NULL: it never was lost. */
static struct rg_run_loss *last_of(struct rg_attempts *a, int seat)
{
    int i = a->loss_count - 1;
    while (i >= 0 && a->losses[i].node != seat)
        i--;
    return i >= 0 ? &a->losses[i] : NULL;
}

int rg_attempts_note(struct rg_attempts *a, int seat, const char *host, const char *why)
{
    if (seat == a->entering) {
        struct rg_run_loss *before = last_of(a, seat);
        a->entering = -1;
        if (before) {
            before->back_s = NAN;
            before->back_iteration = -1;
        }
        return 0;
    }
    struct rg_run_loss *more = realloc(a->losses, ((size_t)a->loss_count + 1) * sizeof *more);
    if (!more)
        return RG_ERR_NOMEM;
    a->losses = more;
    struct rg_run_loss *loss = &more[a->loss_count++];
    *loss = (struct rg_run_loss){.node = seat,
                                 .rank = rank_of(a, seat),
                                 .time_s = isnan(a->noticed_s) ? a->broken_s : a->noticed_s,
                                 .iteration = a->iterations,
                                 .from_iteration = -1,
                                 .again = -1,
                                 .recovery_s = NAN,
                                 .back_s = NAN,
                                 .back_iteration = -1};
    rg_copy_text(loss->host, sizeof loss->host, host);
    rg_copy_text(loss->why, sizeof loss->why, why);
    rg_type_write(&rg_setting_of_key("lose")->type, a->lose, loss->did, sizeof loss->did);
    return 0;
}

/* The next rank from there on whose node is here, or a->seats. One that is there again comes after
 * those that never went. */
static int next_here(const struct rg_attempts *a, int from)
{
    while (from < a->seats && a->absent[a->seat[from]])
        from++;
    return from;
}

/* With lose=shrink: of all that are here, those that waited last. seats: [a->seats] room. */
static int choose_left(struct rg_attempts *a, rg_fitting_fn fitting, void *arg, int *order,
                       int *seats)
{
    int count = 0;
    for (int rank = next_here(a, 0); rank < a->seats; rank = next_here(a, rank + 1)) {
        seats[count] = a->seat[rank];
        order[count++] = rank;
    }
    int fit = fitting && count > 0 ? fitting(arg, seats, count) : count;
    RG_ASSERT(fit <= count);
    a->fit = fit;
    return fit > 0 ? fit : count; /* which is for the attempt to say */
}

/* The ranks that train from now on, by their numbers until now, into order; how many. */
static int choose(struct rg_attempts *a, rg_fitting_fn fitting, void *arg, int *order, int *room)
{
    int count = 0, spare = a->wanted - 1;
    if (a->lose == RG_LOSE_SHRINK)
        return choose_left(a, fitting, arg, order, room);
    for (int rank = 0; rank < a->wanted; rank++) {
        if (!a->absent[a->seat[rank]])
            order[count++] = rank;
        else if (a->lose == RG_LOSE_SPARE && (spare = next_here(a, spare + 1)) < a->seats)
            order[count++] = spare;
    }
    return count;
}

int rg_attempts_cast(struct rg_attempts *a, rg_fitting_fn fitting, void *arg, int *order,
                     struct rg_error *e)
{
    bool *placed = calloc((size_t)a->seats, sizeof *placed);
    int *seat = malloc((size_t)a->seats * sizeof *seat);
    if (!placed || !seat) {
        free(placed);
        free(seat);
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    }
    int nodes = choose(a, fitting, arg, order, seat), count = nodes, result = 0;
    if (!rg_muster_may_go_on(a->agreed, a->agreed_count, a->absent))
        result = rg_fail(e, RG_ERR_PEER,
                         "of the nodes that may be alive no more than half are left here: the "
                         "others may go on without this one");
    else if (nodes == 0 || (a->lose != RG_LOSE_SHRINK && nodes < a->wanted))
        result = rg_fail(e, RG_ERR_PEER, "no spare node is left");
    if (result)
        count = nodes = 0;
    for (int i = 0; i < nodes; i++)
        placed[order[i]] = true;
    int present = 0;
    for (int gone = 0; gone < 2; gone++) { /* those that wait, then those that are absent */
        for (int rank = 0; rank < a->seats; rank++)
            if (!placed[rank] && (a->absent[a->seat[rank]] != RG_HERE) == gone)
                order[count++] = rank;
        present = gone ? present : count;
    }
    RG_ASSERT(count == a->seats);
    a->present = present;
    for (int rank = 0; rank < a->seats; rank++)
        seat[rank] = a->seat[order[rank]];
    free(a->seat);
    free(placed);
    a->seat = seat;
    a->nodes = result ? present : nodes;
    a->cannot = result != 0;
    a->noticed_s = NAN;
    return result;
}

bool rg_attempts_may_try(struct rg_attempts *a)
{
    bool known = a->iterations < INT64_MAX;
    a->in_vain = known && a->iterations > a->from ? 0 : a->in_vain + 1;
    a->from = known ? a->iterations : a->from;
    return a->in_vain < RG_ATTEMPTS_IN_VAIN;
}

/* ---- what nodes tell each other ---- */

/* It travels. */
struct since {
    double seconds; /* since the origin; NAN: this node was not there */
    uint64_t losses, told;
    int64_t iterations; /* done when the last was noticed; INT64_MAX: it was not there */
    double noticed_s;   /* when it was; INFINITY: it was not there */
    int64_t handed;
    int64_t fit;
};
_Static_assert(sizeof(struct since) == 56, "it has no padding");

static double raw_now(const struct rg_world *w)
{
    return w->ops->now((struct rg_world *)w);
}

/* The losses that rank `from` knows of, on all. */
static int spread_losses(struct rg_world *w, struct rg_attempts *a, int from)
{
    const struct rg_group all = {0, 1, w->size};
    struct rg_run run;
    unsigned char *bytes = NULL;
    uint64_t size = 0;
    size_t own = 0;
    int result = 0;
    rg_run_init(&run);
    if (w->rank == from) {
        run.losses = a->losses;
        run.loss_count = a->loss_count;
        result = rg_run_encode(&run, &bytes, &own);
        size = own;
        run.losses = NULL;
        run.loss_count = 0;
    }
    if (result == 0)
        result = rg_broadcast(w, all, from, &size, sizeof size, TAG_LOSSES);
    if (result == 0 && w->rank != from)
        result = size < 1 << 26 && (bytes = malloc(size + 1)) ? 0 : RG_ERR_NOMEM;
    if (result == 0)
        result = rg_broadcast(w, all, from, bytes, size, TAG_LOSSES);
    if (result == 0 && w->rank != from)
        result = rg_run_decode(bytes, size, &run, NULL);
    if (result == 0 && w->rank != from) {
        free(a->losses);
        a->losses = run.losses;
        a->loss_count = run.loss_count;
        run.losses = NULL;
        run.loss_count = 0;
    }
    rg_run_free(&run);
    free(bytes);
    return result;
}

/* On rank 0: of all nodes the one that has seen most, and the longest time. One that has waited, or
 * has been started again, knows of losses without their dates, or what was gone on from. */
static int hear_all(struct rg_world *w, struct since *most, int *who)
{
    int result = 0;
    *who = 0;
    for (int rank = 1; rank < w->size && result == 0; rank++) {
        struct since theirs;
        result = rg_recv_wait(w, rank, TAG_SINCE, &theirs, sizeof theirs);
        bool dated = isnan(most->seconds) && !isnan(theirs.seconds);
        if (result == 0 && theirs.losses >= most->losses)
            most->noticed_s = theirs.losses > most->losses
                                  ? theirs.noticed_s
                                  : fmin(most->noticed_s, theirs.noticed_s);
        bool more = theirs.told > most->told || (theirs.told == most->told && dated);
        if (result == 0 && (theirs.losses > most->losses ||
                            (theirs.losses == most->losses && theirs.losses > 0 && more))) {
            most->losses = theirs.losses;
            most->told = theirs.told;
            *who = rank;
        }
        if (result == 0) {
            most->seconds =
                fmax(most->seconds, theirs.seconds); /* of NAN and a number the number */
            most->iterations = RG_MIN(most->iterations, theirs.iterations);
            most->handed |= theirs.handed;
            most->fit = RG_MAX(most->fit, theirs.fit);
        }
    }
    return result;
}

int rg_attempts_share(struct rg_world *w, struct rg_attempts *a)
{
    const struct rg_group all = {0, 1, w->size};
    bool there = a->loss_count > a->told && !isnan(a->origin_s);
    const struct rg_run_loss *last = there ? &a->losses[a->loss_count - 1] : NULL;
    struct since since = {raw_now(w) - a->origin_s,
                          (uint64_t)a->loss_count,
                          (uint64_t)a->told,
                          there ? last->iteration : INT64_MAX,
                          there ? last->time_s : INFINITY,
                          a->handed,
                          a->fit};
    int who = 0, result = w->rank == 0 ? hear_all(w, &since, &who)
                                       : rg_send_wait(w, 0, TAG_SINCE, &since, sizeof since);
    uint64_t from = (uint64_t)who;
    if (result == 0)
        result = rg_broadcast(w, all, 0, &from, sizeof from, TAG_SINCE);
    if (result == 0)
        result = rg_broadcast(w, all, 0, &since, sizeof since, TAG_SINCE);
    if (result == 0 && from >= (uint64_t)w->size)
        result = RG_ERR_PROTOCOL;
    if (result == 0 && isnan(a->origin_s)) /* to the time that the message took */
        a->origin_s = raw_now(w) - since.seconds;
    if (result == 0)
        result = spread_losses(w, a, (int)from);
    a->told = (int)since.told;
    a->handed = since.handed;
    /* Training had come as far as the node that was furthest behind; the first noticed. */
    for (int i = a->told; i < a->loss_count && result == 0; i++) {
        a->losses[i].iteration = RG_MIN(a->losses[i].iteration, since.iterations);
        a->losses[i].time_s = fmin(a->losses[i].time_s, since.noticed_s);
    }
    /* All see the same: a node that finds fewer could not look, for want of memory or a file. */
    return result == 0 && a->fit >= 0 && a->fit < since.fit ? RG_ERR_INVALID : result;
}

/* ---- the attempt ---- */

void rg_attempts_begin(struct rg_attempts *a, const struct rg_world *w, int64_t from_iteration,
                       const char *state)
{
    if (isnan(a->origin_s))
        a->origin_s = w->offset;
    a->before_s = w->offset - a->origin_s;
    a->from = a->iterations = from_iteration;
    a->begun = true;
    a->before = a->told;
    a->handed = false;
    for (; a->told < a->loss_count; a->told++) {
        struct rg_run_loss *loss = &a->losses[a->told];
        loss->from_iteration = from_iteration;
        if (loss->iteration == INT64_MAX) /* nobody is left who would know */
            loss->iteration = from_iteration;
        loss->again = RG_MAX(loss->iteration - from_iteration, 0);
        loss->nodes = w->size;
        rg_copy_text(loss->state, sizeof loss->state, state);
    }
}

int rg_attempts_tell_losses(const struct rg_attempts *a, struct rg_run *run)
{
    size_t bytes = (size_t)a->loss_count * sizeof *run->losses;
    free(run->losses);
    run->losses = malloc(bytes + 1);
    run->loss_count = run->losses ? a->loss_count : 0;
    if (run->losses && bytes)
        memcpy(run->losses, a->losses, bytes);
    for (int i = 0; i < run->loss_count; i++)
        if (run->losses[i].iteration == INT64_MAX) /* this node was not there */
            run->losses[i].iteration = a->from;
    return run->losses ? 0 : RG_ERR_NOMEM;
}

int rg_attempts_tell(struct rg_attempts *a, const struct rg_world *w, struct rg_run *run)
{
    for (int i = a->before; i < a->told && w->marks && w->marks_count > 0; i++)
        a->losses[i].recovery_s = a->before_s + w->marks[0] - a->losses[i].time_s;
    run->whole.known = !isnan(a->origin_s);
    run->whole.time_s = (w->untimed ? w->untimed_since : raw_now(w)) - a->origin_s;
    run->whole.energy_J = NAN;
    return rg_attempts_tell_losses(a, run);
}

void rg_attempts_break(struct rg_attempts *a, double raw_s)
{
    a->broken_s = isnan(a->origin_s) ? 0 : raw_s - a->origin_s;
}

void rg_attempts_notice(struct rg_attempts *a, double raw_s)
{
    double date = isnan(a->origin_s) ? 0 : fmax(raw_s - a->origin_s, 0);
    a->noticed_s = fmin(a->noticed_s, date); /* of NAN and a number the number */
}

/* ---- who is there again ---- */

/* It travels, to all. */
struct returned {
    int64_t seat, done, handed; /* -1: nobody; iterations */
};

/* When it is asked. */
enum occasion { BEFORE_TRAINING, AFTER_EPOCH };

/* By seat: who of those that are gone this node could train with again. */
static void see(const struct rg_world *w, const struct rg_attempts *a, unsigned char *seen)
{
    for (int seat = 0; seat < a->seats; seat++)
        seen[seat] = a->absent[seat] != RG_HERE && a->is_back &&
                     a->is_back(a->back_arg, seat, raw_now(w) - a->origin_s);
}

/* The last loss of the node is over. */
static void note_return(struct rg_attempts *a, const struct rg_world *w,
                        const struct returned *verdict)
{
    struct rg_run_loss *loss = last_of(a, (int)verdict->seat);
    a->back = (int)verdict->seat;
    if (!loss)
        return;
    loss->back_s = isnan(a->origin_s) ? 0 : raw_now(w) - a->origin_s;
    loss->back_iteration = verdict->done == INT64_MAX ? 0 : verdict->done; /* none has begun */
}

/* Rank 0, of all: who is seen by every one, and (the last byte) can each hand over its state? */
static int hear_seen(struct rg_world *w, unsigned char *seen, unsigned char *theirs, size_t bytes)
{
    int result = 0;
    for (int rank = 1; rank < w->size && result == 0; rank++) {
        result = rg_recv_wait(w, rank, TAG_BACK, theirs, bytes);
        for (size_t i = 0; i < bytes; i++)
            seen[i] &= theirs[i];
    }
    return result;
}

/* Those that wait for the end take their part, too. */
static int ask_waiting(struct rg_world *w, const struct rg_attempts *a)
{
    const int64_t question = RG_ERR_RETURNED;
    int result = 0;
    for (int rank = a->nodes; rank < w->size && result == 0; rank++)
        result = rg_send_wait(w, rank, TAG_OVER, &question, sizeof question);
    return result;
}

/* Rank 0 decides; the others say what they see, and hear it. */
static int decide(struct rg_world *w, const struct rg_attempts *a, unsigned char *seen, bool writes,
                  struct returned *verdict)
{
    size_t seats = (size_t)a->seats, bytes = seats + 1;
    int result = 0;
    if (w->rank > 0) {
        result = rg_send_wait(w, 0, TAG_BACK, seen, bytes);
        return result ? result : rg_recv_wait(w, 0, TAG_BACK, verdict, sizeof *verdict);
    }
    result = hear_seen(w, seen, seen + bytes, bytes);
    const unsigned char *lowest = memchr(seen, 1, seats);
    verdict->handed = seen[seats];
    verdict->seat = lowest && (verdict->handed || writes) ? lowest - seen : -1;
    for (int rank = 1; rank < w->size && result == 0; rank++)
        result = rg_send_wait(w, rank, TAG_BACK, verdict, sizeof *verdict);
    return result;
}

/* In the world of all that are present. */
static int agree_on_returned(struct rg_world *w, struct rg_attempts *a, enum occasion occasion,
                             int64_t done, bool hands, bool writes)
{
    struct returned verdict = {-1, done, 0};
    unsigned char *seen = calloc(2, (size_t)a->seats + 1);
    if (!seen)
        return RG_ERR_NOMEM;
    see(w, a, seen);
    seen[a->seats] = hands;
    int result = w->rank == 0 && occasion == AFTER_EPOCH ? ask_waiting(w, a) : 0;
    if (result == 0)
        result = decide(w, a, seen, writes, &verdict);
    free(seen);
    if (result == 0 && (verdict.seat < -1 || verdict.seat >= a->seats))
        result = RG_ERR_PROTOCOL;
    if (result || verdict.seat < 0)
        return result;
    note_return(a, w, &verdict);
    if (occasion == AFTER_EPOCH)
        a->handed = verdict.handed;
    return RG_ERR_RETURNED;
}

int rg_attempts_look_for_returned(struct rg_world *w, struct rg_attempts *a, int64_t done,
                                  bool hands, bool writes)
{
    if (!a->is_back || a->present == a->seats)
        return 0;
    w->size = a->everybody;
    int result = agree_on_returned(w, a, AFTER_EPOCH, done, hands, writes);
    w->size = a->nodes;
    return result;
}

/* After a loss whoever is there again is taken in at once. */
static int look_before_training(struct rg_world *w, struct rg_attempts *a)
{
    if (!a->is_back || a->present == a->seats || a->loss_count == 0)
        return 0;
    return agree_on_returned(w, a, BEFORE_TRAINING, a->losses[a->loss_count - 1].iteration, true,
                             true);
}

void rg_attempts_take_in(struct rg_attempts *a)
{
    a->absent[a->back] = RG_HERE;
    a->entering = a->back;
    a->back = -1;
}

/* ---- all of it ---- */

int rg_attempts_can_any(struct rg_world *w, bool can, bool *any)
{
    unsigned char one = 0, own = can;
    int result = w->rank > 0 ? rg_send_wait(w, 0, TAG_CAN, &own, sizeof own) : 0;
    for (int rank = 1; w->rank == 0 && rank < w->size && result == 0; rank++) {
        result = rg_recv_wait(w, rank, TAG_CAN, &one, sizeof one);
        own |= one;
    }
    if (result == 0)
        result = rg_broadcast(w, (struct rg_group){0, 1, w->size}, 0, &own, sizeof own, TAG_CAN);
    *any = own;
    return result;
}

/* Rank 0 asks those that wait, too, who is there again. */
static int wait_for_end(struct rg_world *w, struct rg_attempts *a)
{
    int64_t code = RG_ERR_RETURNED;
    int result = 0;
    while (result == 0 && code == RG_ERR_RETURNED) {
        result = rg_recv_wait(w, 0, TAG_OVER, &code, sizeof code);
        if (result == 0 && code == RG_ERR_RETURNED)
            result = agree_on_returned(w, a, AFTER_EPOCH, INT64_MAX, true, true);
    }
    return result ? result : (int)code;
}

/* Rank 0 tells the others that it is over. Whoever does not hear it goes on from the last
 * checkpoint. What all know without that: that somebody was lost, or is there again. A rank that
 * has failed by itself does not wait for the others, which wait for it until it leaves. */
static int end(struct rg_world *w, struct rg_attempts *a, int result)
{
    if (result < 0 && result != RG_ERR_REFUSED && result != RG_ERR_INTERRUPTED)
        return result;
    if (w->rank > 0)
        return wait_for_end(w, a);
    int64_t code = result;
    for (int rank = 1; rank < w->size; rank++)
        rg_send_wait(w, rank, TAG_OVER, &code, sizeof code); /* or it is not there any more */
    return result;
}

int rg_attempts_run(struct rg_world *w, struct rg_attempts *a, rg_program_fn train, void *arg)
{
    int result = rg_muster(w, a->seat, a->absent, a->seats);
    a->everybody = w->size;
    a->back = -1;
    if (result == 0) {
        if (!a->cannot) /* else others, who are not here, may do without these */
            agree(a);
        a->entering = -1;
        result = rg_attempts_share(w, a);
    }
    if (result == 0 && !a->cannot)
        result = look_before_training(w, a);
    if (result) {
        rg_attempts_break(a, raw_now(w)); /* before it has begun */
        return result;
    }
    if (w->rank >= a->nodes) {
        a->iterations = INT64_MAX; /* others know how far training comes */
        return wait_for_end(w, a);
    }
    w->size = a->nodes;
    result = train(w, arg);
    w->size = a->everybody;
    return end(w, a, result);
}
