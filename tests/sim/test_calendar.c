/* What the calendar engine is made of, against values worked by hand and the definition of max-min
 * fairness. */
#include "sim/calendar/calendar.h"
#include "sim/calendar/processors.h"
#include "sim/calendar/sharing.h"
#include "sim/strands/crowd.h"
#include "sim/strands/port_work.h"

#include "base/check.h"
#include "base/random.h"
#include "tests/support/suite.h"
#include <math.h>
#include <stdlib.h>

enum { MOST = 64 };

/* ---- dates ---- */

struct note {
    struct rg_timer timer;
    int number;
};

static int fired[4 * MOST], fired_count;
static double fired_at[4 * MOST];
static struct rg_calendar calendar;

static void note_fired(struct rg_timer *timer)
{
    fired_at[fired_count] = calendar.now;
    fired[fired_count++] = ((struct note *)timer)->number;
}

static void go_on_until(double date)
{
    struct rg_timer *timer;
    while ((timer = rg_calendar_take(&calendar, date)) != NULL)
        timer->fire(timer);
    calendar.now = date;
}

static void begin(void)
{
    rg_calendar_free(&calendar);
    fired_count = 0;
}

static void test_dates(void)
{
    struct note notes[6];
    begin();
    for (int i = 0; i < 6; i++)
        notes[i] = (struct note){{.fire = note_fired}, i};
    rg_calendar_set(&calendar, &notes[0].timer, 3);
    rg_calendar_set(&calendar, &notes[1].timer, 1);
    rg_calendar_set(&calendar, &notes[2].timer, 3); /* after 0, at its date */
    rg_calendar_set(&calendar, &notes[3].timer, 2);
    rg_calendar_set(&calendar, &notes[4].timer, 1);
    rg_calendar_set(&calendar, &notes[5].timer, 5);
    rg_calendar_set(&calendar, &notes[4].timer, 4); /* another date: not at 1 any more */
    rg_calendar_unset(&notes[3].timer);
    CU_ASSERT(!rg_timer_is_due(&notes[3].timer));
    go_on_until(4.5);
    const int wanted[] = {1, 0, 2, 4};
    CU_ASSERT_EQUAL(fired_count, 4);
    CU_ASSERT_EQUAL(memcmp(fired, wanted, sizeof wanted), 0);
    CU_ASSERT_EQUAL(rg_calendar_next(&calendar), 5);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Thousands of dates, some of them equal, some taken back. */
static void test_many_dates(void)
{
    enum { COUNT = 5000 };
    struct note *notes = calloc(COUNT, sizeof *notes);
    double dates[COUNT];
    int count = 0;
    RG_ASSERT(notes);
    begin();
    for (int i = 0; i < COUNT; i++) {
        double date = (double)(rg_mix64((uint64_t)i) % 2000) / 7;
        notes[i].timer.fire = note_fired;
        rg_calendar_set(&calendar, &notes[i].timer, date);
        if (rg_mix64((uint64_t)i + COUNT) % 3 == 0)
            rg_calendar_unset(&notes[i].timer);
        else
            dates[count++] = date;
    }
    qsort(dates, (size_t)count, sizeof *dates, by_value);
    for (int i = 0; i < count; i++) {
        CU_ASSERT_EQUAL(rg_calendar_next(&calendar), dates[i]);
        CU_ASSERT_PTR_NULL(rg_calendar_take(&calendar, dates[i] - 0.01));
        struct rg_timer *timer = rg_calendar_take(&calendar, dates[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(timer);
        CU_ASSERT(!rg_timer_is_due(timer));
        CU_ASSERT_EQUAL(calendar.now, dates[i]);
    }
    CU_ASSERT_EQUAL(rg_calendar_next(&calendar), INFINITY);
    CU_ASSERT_PTR_NULL(rg_calendar_take(&calendar, INFINITY));
    free(notes);
}

/* ---- cores ---- */

struct job {
    struct rg_core_task task;
    double over_s;
};

static void note_over(struct rg_core_task *task)
{
    ((struct job *)task)->over_s = calendar.now;
}

static void begin_job(struct rg_cores *cores, struct job *job, double seconds)
{
    *job = (struct job){{.over = note_over}, -1};
    rg_cores_begin(cores, &job->task, seconds);
}

/* Watts: 1, 3, 4 with 0, 1, 2 busy cores. */
static const struct rg_board two_cores = {
    .cores = 2,
    .clock_count = 1,
    .clocks = {{.idle_watts = 1, .epsilon_watts = 2, .full_watts = 4}}};

static void test_cores(void)
{
    struct rg_cores cores;
    struct job jobs[4];
    begin();
    rg_cores_open(&cores, &calendar, 2, &two_cores);
    go_on_until(1); /* idle: 1 J */
    begin_job(&cores, &jobs[0], 1);
    begin_job(&cores, &jobs[1], 1);
    begin_job(&cores, &jobs[2], 2);
    /* 2/3 of a core each until 2.5, then a core for the third, which has 1 s left: 3.5 */
    go_on_until(3);
    CU_ASSERT_DOUBLE_EQUAL(jobs[0].over_s, 2.5, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(jobs[1].over_s, 2.5, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(rg_cores_J(&cores), 1 + 1.5 * 4 + 0.5 * 3, 1e-12);
    begin_job(&cores, &jobs[3], 5);
    go_on_until(4);
    CU_ASSERT_DOUBLE_EQUAL(jobs[2].over_s, 3.5, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(rg_cores_stop(&cores, &jobs[3].task), 4, 1e-12);
    go_on_until(20);
    CU_ASSERT_EQUAL(jobs[3].over_s, -1);
    CU_ASSERT_DOUBLE_EQUAL(rg_cores_J(&cores), 8.5 + 0.5 * 4 + 0.5 * 3 + 16, 1e-12);
}

/* At half its speed from 1 to 3: the first job, of 2 s, has 1 s left at 1 and none at 3; the
 * second, which begins at 2, has had 0.5 s by 3 and ends 1.5 s later. 1 or 2 cores that are slow
 * draw what 0.5 or 1 would. */
static void test_slow_cores(void)
{
    struct rg_cores cores;
    struct job jobs[2];
    begin();
    rg_cores_open(&cores, &calendar, 2, &two_cores);
    begin_job(&cores, &jobs[0], 2);
    go_on_until(1);
    rg_cores_set_speed(&cores, 0.5);
    go_on_until(2);
    begin_job(&cores, &jobs[1], 2);
    go_on_until(3);
    rg_cores_set_speed(&cores, 1);
    go_on_until(5);
    CU_ASSERT_DOUBLE_EQUAL(jobs[0].over_s, 3, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(jobs[1].over_s, 4.5, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(rg_cores_J(&cores), 3 + 2.5 + 3 + 1.5 * 3 + 0.5, 1e-12);
}

enum { FOUR = 4, TASKS = 40, ROUNDS = 50 };

static const struct rg_board four_cores = {
    .cores = FOUR,
    .clock_count = 1,
    .clocks = {{.idle_watts = 1, .epsilon_watts = 2, .full_watts = 4}}};

/* What does not depend on whether anybody waits for tasks: when those end for which somebody does,
 * and joules. Some begin at one date, some end at one. */
struct outcome {
    double over_s[TASKS], joules;
};

static struct outcome crowd(uint64_t seed, bool quiet)
{
    struct rg_cores cores;
    struct job jobs[TASKS];
    struct outcome all;
    begin();
    rg_cores_open(&cores, &calendar, FOUR, &four_cores);
    for (int i = 0; i < TASKS; i++) {
        uint64_t drawn = rg_mix64(seed * TASKS + (unsigned)i);
        jobs[i] = (struct job){{.over = note_over, .quiet = quiet && i % 2}, -1};
        rg_cores_begin(&cores, &jobs[i].task, 0.25 * (double)(1 + drawn % 8));
        drawn >>= 8;
        go_on_until(calendar.now + 0.25 * (double)(drawn % 3));
        drawn >>= 8;
        if (i % 4 == 3 && drawn % 2 && jobs[i].over_s < 0)
            rg_cores_await(&cores, &jobs[i].task);
        if (drawn % 5 == 0)
            rg_cores_set_speed(&cores, 0.5 * (double)(1 + drawn / 8 % 3));
    }
    go_on_until(1000);
    all.joules = rg_cores_J(&cores);
    for (int i = 0; i < TASKS; i++) {
        CU_ASSERT(jobs[i].over_s > 0);
        all.over_s[i] = jobs[i].over_s;
    }
    return all;
}

static void test_quiet_tasks(void)
{
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct outcome told = crowd(seed, false), quiet = crowd(seed, true);
        CU_ASSERT_DOUBLE_EQUAL(quiet.joules, told.joules, 1e-9);
        for (int i = 0; i < TASKS; i++) {
            if (i % 2 == 0)
                CU_ASSERT_DOUBLE_EQUAL(quiet.over_s[i], told.over_s[i], 1e-9);
            CU_ASSERT(quiet.over_s[i] >= told.over_s[i] - 1e-9);
        }
    }
}

/* One that is quiet at first is told of when it ends, from when it is awaited. */
static void test_awaited(void)
{
    struct rg_cores cores;
    struct job jobs[2];
    begin();
    rg_cores_open(&cores, &calendar, 2, &two_cores);
    for (int i = 0; i < 2; i++) {
        jobs[i] = (struct job){{.over = note_over, .quiet = true}, -1};
        rg_cores_begin(&cores, &jobs[i].task, 1 + i);
    }
    CU_ASSERT_EQUAL(rg_calendar_next(&calendar), INFINITY);
    go_on_until(1.5);
    CU_ASSERT_EQUAL(jobs[0].over_s, -1); /* nobody has asked */
    rg_cores_await(&cores, &jobs[1].task);
    CU_ASSERT_EQUAL(jobs[0].over_s, 1.5);
    CU_ASSERT_DOUBLE_EQUAL(rg_calendar_next(&calendar), 2, 1e-12);
    go_on_until(3);
    CU_ASSERT_DOUBLE_EQUAL(jobs[1].over_s, 2, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(rg_cores_J(&cores), 4 + 3 + 1, 1e-12);
}

/* ---- links ---- */

struct flow {
    struct rg_shared_flow flow;
    struct rg_flow_end ends[4];
    double over_s;
};

static struct rg_sharing sharing;

static void flow_over(struct rg_timer *timer)
{
    struct flow *flow = (struct flow *)timer;
    flow->over_s = calendar.now;
    rg_flow_end(&sharing, &flow->flow);
}

static void begin_flow(struct flow *f, double bytes, struct rg_shared_link *a,
                       struct rg_shared_link *b, struct rg_shared_link *c)
{
    struct rg_shared_link *links[] = {a, b, c};
    *f = (struct flow){.flow = {.timer = {.fire = flow_over}, .ends = f->ends}, .over_s = -1};
    for (int i = 0; i < 3; i++)
        if (links[i])
            f->ends[f->flow.count++].link = links[i];
    rg_flow_begin(&sharing, &f->flow, bytes);
}

/* As the engine does: rates are solved for before time goes on. */
static void flow_until(double date)
{
    for (;;) {
        double next = rg_calendar_next(&calendar);
        if (rg_sharing_changed(&sharing) && next > calendar.now)
            rg_sharing_solve(&sharing);
        else if (next <= date)
            go_on_until(next);
        else
            break;
    }
    calendar.now = date;
}

static void begin_sharing(void)
{
    begin();
    rg_sharing_free(&sharing);
    sharing = (struct rg_sharing){.calendar = &calendar};
}

static void test_one_link(void)
{
    struct rg_shared_link link = {.bandwidth = 100};
    struct flow f[3];
    begin_sharing();
    begin_flow(&f[0], 100, &link, NULL, NULL);
    flow_until(0.5); /* alone: 50 bytes */
    begin_flow(&f[1], 100, &link, NULL, NULL);
    flow_until(10); /* 50 each until 1.5; then 50 bytes alone */
    CU_ASSERT_DOUBLE_EQUAL(f[0].over_s, 1.5, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(f[1].over_s, 2, 1e-12);
    begin_flow(&f[2], 100, &link, &link, NULL); /* crosses it twice */
    flow_until(20);
    CU_ASSERT_DOUBLE_EQUAL(f[2].over_s, 12, 1e-12);
}

/* Of three flows that begin at one date, or 1e-11 s after it, none has the link for itself for that
 * long: the first two end when they would without that, the third no later than as much after. */
static void test_one_date(void)
{
    struct rg_shared_link link = {.bandwidth = 100};
    struct flow f[3];
    begin_sharing();
    flow_until(20);
    begin_flow(&f[0], 100, &link, NULL, NULL);
    begin_flow(&f[1], 100, &link, NULL, NULL);
    calendar.now = 20 + 1e-11;
    begin_flow(&f[2], 100, &link, NULL, NULL);
    flow_until(30);
    CU_ASSERT_DOUBLE_EQUAL(f[0].over_s, 23, 5e-14);
    CU_ASSERT_DOUBLE_EQUAL(f[1].over_s, 23, 5e-14);
    CU_ASSERT_DOUBLE_EQUAL(f[2].over_s - 23, 0.5e-11, 0.5e-11 + 5e-14);
}

/* A trunk that is full with three flows, of which each has a link of its own, and is not with two:
 * these must go on by themselves. */
static void test_trunk(void)
{
    struct rg_shared_link trunk = {.bandwidth = 2}, own[3] = {{0}};
    struct flow f[3];
    begin_sharing();
    for (int i = 0; i < 3; i++) {
        own[i].bandwidth = 1;
        begin_flow(&f[i], 2 + 2 * i, &trunk, &own[i], NULL);
    }
    flow_until(100);
    /* 2/3 each until 3; then 1 each: 2 bytes left of the second, 4 of the third */
    CU_ASSERT_DOUBLE_EQUAL(f[0].over_s, 3, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(f[1].over_s, 5, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(f[2].over_s, 7, 1e-12);
    CU_ASSERT_EQUAL(trunk.wanted, 0);
}

static void test_all_may_have_it(void)
{
    struct rg_shared_link fat = {.bandwidth = 10, .each = true}, narrow = {.bandwidth = 15};
    struct flow f[3];
    begin_sharing();
    begin_flow(&f[0], 100, &fat, NULL, NULL);
    begin_flow(&f[1], 100, &fat, &narrow, NULL);
    begin_flow(&f[2], 100, &narrow, NULL, NULL);
    flow_until(5);
    rg_link_change(&sharing, &fat, 5); /* first: 50 left; second: 62.5; third has 10 then */
    flow_until(100);
    CU_ASSERT_DOUBLE_EQUAL(f[0].over_s, 15, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(f[2].over_s, 5 + 62.5 / 10, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(f[1].over_s, 5 + 62.5 / 5, 1e-12);
}

static void test_changes(void)
{
    struct rg_shared_link link = {.bandwidth = 100}, wide = {.bandwidth = 1000};
    struct flow f[2];
    begin_sharing();
    begin_flow(&f[0], 1000, &link, &wide, NULL);
    begin_flow(&f[1], 1000, &link, NULL, NULL);
    flow_until(10); /* 500 left of each */
    rg_link_change(&sharing, &link, 10);
    flow_until(20); /* 450 */
    rg_link_change(&sharing, &link, 1e6);
    flow_until(100); /* the first has what the wide one lets it, the second the rest */
    CU_ASSERT_DOUBLE_EQUAL(f[0].over_s, 20.45, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(f[1].over_s, 20 + 450 / (1e6 - 1000), 1e-9);
}

/* Max-min: no link passes more than it can, and every flow has one that is full and on which none
 * is faster (Bertsekas and Gallager, section 6.5.2). */
static void check_rates(const struct rg_shared_link *links, int link_count,
                        const struct flow *flows, int flow_count)
{
    for (int i = 0; i < link_count; i++) {
        double sum = 0;
        for (struct rg_flow_end *end = links[i].flows; end; end = end->next)
            sum += rg_flow_rate(end->flow);
        CU_ASSERT(links[i].each || sum <= links[i].bandwidth * (1 + 1e-9));
    }
    for (int i = 0; i < flow_count; i++) {
        const struct rg_shared_flow *f = &flows[i].flow;
        bool held = flows[i].over_s >= 0;
        for (int k = 0; k < f->count && !held; k++) {
            const struct rg_shared_link *link = f->ends[k].link;
            double sum = 0, fastest = 0;
            for (struct rg_flow_end *end = link->flows; end; end = end->next) {
                sum += rg_flow_rate(end->flow);
                fastest = fmax(fastest, rg_flow_rate(end->flow));
            }
            held = link->each ? rg_flow_rate(f) >= link->bandwidth * (1 - 1e-9)
                              : sum >= link->bandwidth * (1 - 1e-9) &&
                                    rg_flow_rate(f) >= fastest * (1 - 1e-9);
        }
        CU_ASSERT(held);
    }
}

static void test_random_networks(void)
{
    enum { LINKS = 9 };
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct rg_shared_link links[LINKS] = {{0}};
        struct flow f[MOST];
        uint64_t r = seed;
        int flows = 1 + (int)(rg_mix64(seed) % MOST);
        begin_sharing();
        for (int i = 0; i < LINKS; i++) {
            links[i].bandwidth = (double)(1 + (r = rg_mix64(r)) % 20) / 7;
            links[i].each = (r >> 32) % 5 == 0;
        }
        for (int i = 0; i < flows; i++) {
            struct rg_shared_link *a = &links[(r = rg_mix64(r)) % LINKS];
            struct rg_shared_link *b = &links[(r >> 20) % LINKS], *c = &links[(r >> 40) % LINKS];
            begin_flow(&f[i], (double)(1 + (r >> 50) % 100), a, b != a ? b : NULL,
                       c != a && c != b && (r & 1) ? c : NULL);
            if (i % 3 == 0) {
                flow_until(calendar.now + 0.1);
                rg_sharing_solve(&sharing);
                check_rates(links, LINKS, f, i + 1);
            }
        }
        rg_link_change(&sharing, &links[0], 7);
        for (int i = 0; i < 50; i++) {
            flow_until(calendar.now + 1);
            rg_sharing_solve(&sharing);
            check_rates(links, LINKS, f, flows);
        }
        flow_until(1e6);
        for (int i = 0; i < flows; i++)
            CU_ASSERT(f[i].over_s >= 0); /* none is forgotten */
        for (int i = 0; i < LINKS; i++)
            CU_ASSERT_EQUAL(links[i].wanted, 0);
    }
}

/* A port of 10 bytes/s with 40 clients that take 2 each at most; one begins every so often. What
 * they have had is added up from one begin or end to the next, all having min(2, 10 / n). */
enum { CLIENTS = 40 };

static void added_up(const double *begin, const double *bytes, double *over)
{
    double left[CLIENTS], now = 0;
    int begun = 0, ended = 0;
    for (int i = 0; i < CLIENTS; i++)
        over[i] = -1;
    while (ended < CLIENTS) {
        double rate = fmin(2, 10.0 / (begun - ended)), next = INFINITY;
        for (int i = 0; i < begun; i++)
            next = over[i] < 0 ? fmin(next, now + left[i] / rate) : next;
        next = begun < CLIENTS ? fmin(next, begin[begun]) : next;
        for (int i = 0; i < begun; i++) {
            if (over[i] >= 0)
                continue;
            left[i] -= rate * (next - now);
            if (left[i] < 1e-9) {
                over[i] = next;
                ended++;
            }
        }
        now = next;
        for (; begun < CLIENTS && begin[begun] <= now; begun++)
            left[begun] = bytes[begun];
    }
}

static void test_star(void)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct rg_shared_link port = {.bandwidth = 10}, own[CLIENTS] = {{0}};
        double begin_s[CLIENTS], bytes[CLIENTS], over[CLIENTS], date = 0;
        struct flow f[CLIENTS];
        uint64_t r = seed;
        begin_sharing();
        for (int i = 0; i < CLIENTS; i++) {
            own[i].bandwidth = 2;
            date += (r = rg_mix64(r)) % 4 ? 0.5 * (double)(r % 7) / 7 : 0;
            begin_s[i] = date;
            bytes[i] = seed % 2 ? 5 : 1 + (double)(r >> 40 & 15);
            flow_until(date);
            begin_flow(&f[i], bytes[i], i % 2 ? &own[i] : &port, i % 2 ? &port : &own[i], NULL);
        }
        flow_until(1e4);
        added_up(begin_s, bytes, over);
        for (int i = 0; i < CLIENTS; i++)
            CU_ASSERT_DOUBLE_EQUAL(f[i].over_s, over[i], 1e-9 * over[i]);
        CU_ASSERT_EQUAL(port.wanted, 0);
    }
}

/* Twenty of 10 bytes, half of a byte a second each; at 10, with 5 left, one's link falls to a
 * tenth: it has 0.1 until it rises again at 15, the others 9.9 / 19. Then the others have `left`,
 * it has 4.5. Half of a byte a second until 16, then 10 / 21, since one of a byte begins, which
 * ends 2.1 s later. At 17 another of a byte begins, on that link alone, which it has the rest of.
 */
static void test_star_with_a_slow_client(void)
{
    struct rg_shared_link port = {.bandwidth = 10}, own[21] = {{0}};
    struct flow f[22];
    double left = 5 - 5 * 9.9 / 19;
    begin_sharing();
    for (int i = 0; i < 21; i++)
        own[i].bandwidth = 2;
    for (int i = 0; i < 20; i++)
        begin_flow(&f[i], 10, &own[i], &port, NULL);
    flow_until(10);
    rg_link_change(&sharing, &own[3], 0.1);
    flow_until(12);
    CU_ASSERT_DOUBLE_EQUAL(rg_flow_rate(&f[3].flow), 0.1, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(rg_flow_rate(&f[4].flow), 9.9 / 19, 1e-12);
    flow_until(15);
    rg_link_change(&sharing, &own[3], 2);
    flow_until(16);
    begin_flow(&f[20], 1, &own[20], &port, NULL);
    flow_until(17);
    begin_flow(&f[21], 1, &own[3], NULL, NULL);
    flow_until(17.5);
    CU_ASSERT_DOUBLE_EQUAL(rg_flow_rate(&f[3].flow), 10.0 / 21, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(rg_flow_rate(&f[21].flow), 2 - 10.0 / 21, 1e-12);
    flow_until(100);
    double date = 18.1 + (left - 1.5) / 0.5;
    for (int i = 0; i < 20; i++)
        if (i != 3)
            CU_ASSERT_DOUBLE_EQUAL(f[i].over_s, date, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(f[3].over_s, date + (4.5 - left) / 2, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(f[20].over_s, 18.1, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(f[21].over_s, 17 + 1 / (2 - 10.0 / 21), 1e-9);
    CU_ASSERT_EQUAL(port.wanted, 0);
}

/* Ports of 2 B/s, 0 and 1 sending, 2 receiving; a wide trunk 3, and a link 4 for each. */
static void test_crowd(void)
{
    struct rg_crowd_link links[] = {{.bandwidth = 2},
                                    {.bandwidth = 2},
                                    {.bandwidth = 2},
                                    {.bandwidth = 9},
                                    {.bandwidth = INFINITY}};
    const int one[] = {0, 3, 4, 2}, other[] = {1, 3, 4, 2}, apart[] = {1, 3, 4};
    struct rg_crowd_met met = {0};
    rg_crowd_begin(links, one, 4, 1, &met);
    rg_crowd_begin(links, other, 4, 1 + 1e-13, &met); /* of one date */
    rg_crowd_end(links, other, 4);
    rg_crowd_begin(links, apart, 3, 2, &met); /* only the trunk has both */
    rg_crowd_end(links, apart, 3);
    CU_ASSERT_EQUAL(met.once, 0);
    rg_crowd_begin(links, other, 4, 2, &met);
    CU_ASSERT(met.once == 1 && met.twice == 0);
    rg_crowd_begin(links, other, 4, 3, &met); /* beside its own sender's, too */
    CU_ASSERT(met.once == 2 && met.twice == 1);
    rg_crowd_end(links, other, 4);
    rg_crowd_end(links, one, 4);
    rg_crowd_end(links, other, 4);
    rg_crowd_begin(links, one, 4, 4, &met); /* nobody is there any more */
    CU_ASSERT(met.once == 2 && met.twice == 1);
    rg_crowd_end(links, one, 4);
    for (size_t i = 0; i < RG_COUNT(links); i++)
        CU_ASSERT(links[i].count == 0 && links[i].wanted == 0);
}

/* Whole bytes of a burst are those that there are but for rounding. */
static void test_whole_bytes(void)
{
    CU_ASSERT_EQUAL(rg_bucket_whole(nextafter(65536, 0)), 65536);
    CU_ASSERT_EQUAL(rg_bucket_whole(65536), 65536);
    CU_ASSERT_EQUAL(rg_bucket_whole(65535.99), 65535);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"dates", test_dates},
        {"many dates", test_many_dates},
        {"cores", test_cores},
        {"cores that are slow for a while", test_slow_cores},
        {"cores, tasks that nobody waits for", test_quiet_tasks},
        {"cores, a quiet task that is awaited", test_awaited},
        {"one link", test_one_link},
        {"flows of one date", test_one_date},
        {"a trunk that is full at times", test_trunk},
        {"links of which all may have all", test_all_may_have_it},
        {"links that change", test_changes},
        {"random networks", test_random_networks},
        {"a star", test_star},
        {"messages beside others", test_crowd},
        {"whole bytes of a burst", test_whole_bytes},
        {"a star with a slow client", test_star_with_a_slow_client}};
    int status = suite_main("calendar", tests, RG_COUNT(tests), argc, argv);
    rg_calendar_free(&calendar);
    rg_sharing_free(&sharing);
    return status;
}
