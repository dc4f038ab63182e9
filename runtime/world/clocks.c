/* Offsets of clocks by round trips, and dates on another clock.
 *
 * Happy path: a node asks, rank 0 answers with the dates at which the question came and the answer
 * left; of some such trips the best counts. Ranks do so one after the other, so that no question
 * waits behind another's.
 *
 * Failure modes handled: a rank that is lost meanwhile (the others go on; whoever needs it will
 * notice), interruption, networks so slow that few trips must do, clocks that are set meanwhile (a
 * trip of negative delay counts for nothing). */
#include "world/clocks.h"

#include "base/check.h"

/* Trips: enough that one meets no other traffic and no other process; fewer on slow networks. */
enum { TRIPS_LEAST = 4, TRIPS_MOST = 16 };
#define TRIPS_S 0.05

/* A clock may run off by so much while a trip lasts (MAXFREQ of RFC 5905, and the most by which the
 * kernel slews one), and shows no less. */
#define RATE_ERROR  500e-6
#define PRECISION_S 1e-9

const struct rg_clock_sample rg_clock_unknown = {NAN, NAN, NAN, NAN};

bool rg_clock_known(const struct rg_clock_sample *sample)
{
    return !isnan(sample->offset_s);
}

struct rg_clock_sample rg_clock_round_trip(double t0, double t1, double t2, double t3)
{
    double delay = (t3 - t0) - (t2 - t1);
    if (!(delay >= 0) || !(t2 >= t1))
        return rg_clock_unknown;
    return (struct rg_clock_sample){.date_s = t0 + (t3 - t0) / 2,
                                    .offset_s = ((t1 - t0) + (t2 - t3)) / 2,
                                    .uncertainty_s =
                                        delay / 2 + RATE_ERROR * (t3 - t0) + PRECISION_S,
                                    .wall_s = NAN};
}

struct rg_clock_sample rg_clock_better(const struct rg_clock_sample *a,
                                       const struct rg_clock_sample *b)
{
    bool second = !rg_clock_known(a) || b->uncertainty_s < a->uncertainty_s;
    return second ? *b : *a;
}

/* ---- asking and answering ---- */

struct question {
    uint64_t last;
};

struct answer {
    double came_s, left_s;
    double day_s; /* of rank 0; see ops->day */
};
_Static_assert(sizeof(struct answer) == 24, "answers have no padding");

static int ask(struct rg_world *w, struct question question, struct rg_clock_sample *sample)
{
    struct answer answer;
    struct rg_request to, from;
    rg_recv(w, 0, RG_TAG_CLOCK, &answer, sizeof answer, &from);
    double asked_s = w->ops->now(w);
    rg_send(w, 0, RG_TAG_CLOCK, &question, sizeof question, &to);
    int result = rg_wait(w, &from);
    double answered_s = w->ops->now(w);
    int sent = rg_wait(w, &to);
    if (result || sent)
        return result ? result : sent;
    *sample = rg_clock_round_trip(asked_s, answer.came_s, answer.left_s, answered_s);
    sample->wall_s = sample->offset_s + answer.day_s - w->ops->day(w);
    return 0;
}

static int ask_all(struct rg_world *w, struct rg_clock_sample *best)
{
    double begin_s = NAN; /* rank 0's turn for this rank, which comes with its first answer */
    int result = 0;
    for (int i = 0; i < TRIPS_MOST && result == 0; i++) {
        bool late = w->ops->now(w) - begin_s > TRIPS_S;
        struct question question = {.last = i + 1 == TRIPS_MOST || (i + 1 >= TRIPS_LEAST && late)};
        struct rg_clock_sample sample = rg_clock_unknown;
        result = ask(w, question, &sample);
        *best = rg_clock_better(best, &sample);
        if (i == 0)
            begin_s = w->ops->now(w);
        if (question.last)
            break;
    }
    return result;
}

/* The next question is waited for before the answer has arrived: it must not come unexpected, which
 * would take time that nobody knows of. */
static int answer_one(struct rg_world *w, int rank)
{
    struct question question;
    struct rg_request from;
    rg_recv(w, rank, RG_TAG_CLOCK, &question, sizeof question, &from);
    for (;;) {
        int result = rg_wait(w, &from);
        struct answer answer = {.came_s = w->ops->now(w)};
        if (result)
            return result;
        bool last = question.last;
        if (!last)
            rg_recv(w, rank, RG_TAG_CLOCK, &question, sizeof question, &from);
        answer.day_s = w->ops->day(w);
        answer.left_s = w->ops->now(w);
        result = rg_send_wait(w, rank, RG_TAG_CLOCK, &answer, sizeof answer);
        if (result && !last)
            rg_cancel(w, &from);
        if (result || last)
            return result;
    }
}

int rg_clocks_compare(struct rg_world *w, struct rg_clock_sample *sample)
{
    RG_ASSERT(w->strand == 0);
    *sample = rg_clock_unknown;
    if (!w->ops->day)
        return 0;
    int result = 0;
    if (w->rank > 0)
        result = ask_all(w, sample);
    else
        *sample = (struct rg_clock_sample){.date_s = w->ops->now(w)};
    for (int rank = 1; w->rank == 0 && rank < w->size; rank++) {
        result = answer_one(w, rank);
        if (result && result != RG_ERR_PEER)
            break;
    }
    return result == RG_ERR_PEER ? 0 : result;
}

/* ---- mapping ---- */

bool rg_clock_map_known(const struct rg_clock_map *map)
{
    return rg_clock_known(&map->before) || rg_clock_known(&map->after);
}

double rg_clock_drift(const struct rg_clock_sample *from, const struct rg_clock_sample *to,
                      double *uncertainty)
{
    double time_s = to->date_s - from->date_s;
    *uncertainty = NAN;
    if (!(time_s > 0))
        return NAN;
    *uncertainty = (from->uncertainty_s + to->uncertainty_s) / time_s;
    return (to->offset_s - from->offset_s) / time_s;
}

/* offset = at.offset_s + rate (date - at.date_s) */
static struct rg_clock_sample line_of(const struct rg_clock_map *map, double *rate)
{
    double unused;
    *rate = rg_clock_drift(&map->before, &map->after, &unused);
    if (isnan(*rate))
        *rate = 0;
    if (!rg_clock_map_known(map))
        return (struct rg_clock_sample){0};
    return rg_clock_known(&map->after) ? map->after : map->before;
}

double rg_clock_to_first(const struct rg_clock_map *map, double date_s)
{
    double rate;
    struct rg_clock_sample at = line_of(map, &rate);
    return date_s + at.offset_s + rate * (date_s - at.date_s);
}

double rg_clock_from_first(const struct rg_clock_map *map, double date_s)
{
    double rate;
    struct rg_clock_sample at = line_of(map, &rate);
    return at.date_s + (date_s - at.offset_s - at.date_s) / (1 + rate);
}

double rg_clock_uncertainty(const struct rg_clock_map *map)
{
    return fmax(map->before.uncertainty_s, map->after.uncertainty_s); /* a NAN gives the other */
}

/* ---- traces ---- */

/* The begin of a section, and of the next one: on rg_now, and on the timeline of all. */
struct shown {
    double own_s, own_next_s, common_s, common_next_s;
};

static void move_on(struct shown *shown, const struct rg_clock_section *own,
                    const struct rg_clock_section *common)
{
    shown->own_s = shown->own_next_s;
    shown->common_s = shown->common_next_s;
    shown->own_next_s += own->end_s - own->begin_s;
    shown->common_next_s += common->end_s - common->begin_s;
}

/* Kept inside its section: clocks are not known so well that it need be. */
static double moved(double date_s, const struct rg_clock_map *map,
                    const struct rg_clock_section *own, const struct rg_clock_section *common,
                    const struct shown *shown)
{
    double raw_s = rg_clock_to_first(map, own->begin_s + (date_s - shown->own_s));
    double shown_s = shown->common_s + (raw_s - common->begin_s);
    return fmin(fmax(shown_s, shown->common_s), shown->common_next_s);
}

void rg_clock_map_trace(struct rg_trace *trace, const struct rg_clock_map *map,
                        const struct rg_clock_section *own, const struct rg_clock_section *common,
                        int count)
{
    static const double step_s = 1e-9; /* rounding is less, the least event more */
    struct shown shown = {0};
    if (!rg_clock_map_known(map) || count == 0)
        return;
    move_on(&shown, &own[0], &common[0]);
    int k = 0;
    for (uint64_t i = 0; i < trace->count; i++) {
        struct rg_trace_event *event = &trace->events[i];
        /* Events are recorded at their end: in the order of the sections they end in. */
        while (k + 1 < count && event->end_s > shown.own_next_s + step_s) {
            k++;
            move_on(&shown, &own[k], &common[k]);
        }
        event->begin_s = moved(event->begin_s, map, &own[k], &common[k], &shown);
        event->end_s = moved(event->end_s, map, &own[k], &common[k], &shown);
    }
}
