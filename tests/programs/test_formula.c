/* scenarios/formula.xml against the strategies' own closed forms, at c / T_A of 1/4, 1 and 4. */
#include "base/check.h"
#include "programs/command.h"
#include "support/suite.h"
#include <math.h>

static const struct {
    const char *name, *platform;
    double ratio; /* c / T_A of ringtmp */
} POINTS[] = {{"1/4", "platforms/formula-quarter.xml", 0.25},
              {"1", "platforms/formula-one.xml", 1},
              {"4", "platforms/formula-four.xml", 4}};
enum { COUNT = sizeof POINTS / sizeof *POINTS };

static json_t *results[COUNT];

static json_t *result_of(int point)
{
    if (!results[point]) {
        char line[200];
        snprintf(line, sizeof line, "ringsim scenarios/formula.xml --set platform=%s",
                 POINTS[point].platform);
        results[point] = command_result(line, 120);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(results[point]);
    return results[point];
}

static double bound_of(json_t *run)
{
    return fmax(command_number(run, "formula.T_A_s"), command_number(run, "formula.c_s"));
}

/* Largest deviation of the observed from the predicted iteration that is allowed. */
static void form_holds(const char *label, int from, int to, double allowed)
{
    for (int p = from; p <= to; p++) {
        json_t *run = command_run_of(result_of(p), label);
        double ratio = command_number(run, "formula.ratio");
        printf("\n    c/T_A %-4s %-22s observed / predicted %.4f", POINTS[p].name, label, ratio);
        CU_ASSERT(fabs(ratio - 1) <= allowed);
    }
}

static void the_knob_is_right(void)
{
    for (int p = 0; p < COUNT; p++) {
        json_t *run = command_run_of(result_of(p), "ringtmp-4S");
        double ratio = command_number(run, "formula.c_s") / command_number(run, "formula.T_A_s");
        CU_ASSERT_DOUBLE_EQUAL(ratio, POINTS[p].ratio, 1e-6 * POINTS[p].ratio);
    }
}

static void sequential_is_its_form(void)
{
    form_holds("sequential", 0, 2, 0.001);
    form_holds("ringtmp-1", 0, 2, 0.001);
}

static void enough_in_flight_runs_at_the_bound(void)
{
    for (int p = 0; p < COUNT; p++) {
        json_t *run = command_run_of(result_of(p), "ringtmp-4S");
        double over = command_number(run, "formula.observed_iteration_s") / bound_of(run);
        printf("\n    c/T_A %-4s ringtmp-4S: observed / max(c, T_A) %.4f", POINTS[p].name, over);
        CU_ASSERT(over >= 1 - 1e-9 && over <= 1.01);
        CU_ASSERT_DOUBLE_EQUAL(command_number(run, "formula.predicted_iteration_s"), bound_of(run),
                               1e-9 * bound_of(run));
    }
}

/* S in flight give no better than c + T_A: max(c, T_A) is missed by far unless one of them is
 * small. */
static void s_in_flight_does_not(void)
{
    for (int p = 0; p < COUNT; p++) {
        json_t *run = command_run_of(result_of(p), "ringtmp-S");
        double T_A = command_number(run, "formula.T_A_s"), c = command_number(run, "formula.c_s");
        double observed = command_number(run, "formula.observed_iteration_s");
        printf("\n    c/T_A %-4s ringtmp-S: observed / max(c, T_A) %.3f, / (c + T_A) %.3f",
               POINTS[p].name, observed / fmax(c, T_A), observed / (c + T_A));
        CU_ASSERT(observed >= 0.99 * (c + T_A));
    }
}

static void one_f_one_b_is_its_form(void)
{
    form_holds("1f1b", 0, 2, 0.05);
}

static void gpipe_is_its_form_up_to_a_quarter(void)
{
    form_holds("gpipe", 0, 0, 0.02);
}

/* Synchronous schedules, and one unit in flight, are what the walk through their plan says,
 * whatever c / T_A; streams, whose ports are shared in ever other ways, within 1 %. */
static void plans_are_what_happens(void)
{
    static const struct {
        const char *label;
        double most;
    } runs[] = {{"sequential", 1e-6}, {"gpipe", 1e-6},      {"1f1b", 1e-6},
                {"zb", 1e-6},         {"ringtmp-1", 1e-6},  {"ringtmp-S", 0.01},
                {"ringtmp-2S", 0.01}, {"ringtmp-4S", 0.01}, {"pipedream", 0.01}};
    for (int p = 0; p < COUNT; p++)
        for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
            json_t *run = command_run_of(result_of(p), runs[i].label);
            double over = command_number(run, "formula.observed_iteration_s") /
                          command_number(run, "predicted.plan_s");
            printf("\n    c/T_A %-4s %-22s observed / plan %.6f", POINTS[p].name, runs[i].label,
                   over);
            CU_ASSERT(fabs(over - 1) <= runs[i].most);
        }
}

static void no_overlap_costs_the_sum(void)
{
    for (int p = 0; p < COUNT; p++) {
        json_t *run = command_run_of(result_of(p), "ringtmp-4S-waiting");
        double T_A = command_number(run, "formula.T_A_s"), c = command_number(run, "formula.c_s");
        CU_ASSERT(command_number(run, "formula.observed_iteration_s") >= (c + T_A) * (1 - 1e-3));
    }
}

static void nothing_is_under_the_bound(void)
{
    for (int p = 0; p < COUNT; p++) {
        json_t *run;
        size_t i;
        json_array_foreach(json_object_get(result_of(p), "runs"), i, run)
        {
            double each = command_number(run, "time_s") / command_number(run, "iterations");
            CU_ASSERT(each >= bound_of(run) * (1 - 1e-9));
            CU_ASSERT(command_number(run, "formula.observed_iteration_s") >=
                      bound_of(run) * (1 - 1e-9));
            if (json_is_true(json_object_get(json_object_get(run, "formula"), "overlap")))
                CU_ASSERT_EQUAL(command_number(run, "late_receives"), 0);
        }
    }
}

/* Transfers that cost nothing: what a schedule loses is its bubble alone, (S - 1) times the slowest
 * stage's forward and backward but for the first stage, which needs no gradient of its input. */
static void the_bubble_is_exact_where_transfers_are_free(void)
{
    static const char *const labels[] = {"gpipe", "1f1b"};
    json_t *result = command_result(
        "ringsim scenarios/formula.xml --set platform=tests/data/free-transfers-platform.xml", 120);
    for (int i = 0; i < 2; i++) {
        json_t *run = command_run_of(result, labels[i]);
        double T_A = command_number(run, "formula.T_A_s");
        double observed = command_number(run, "formula.observed_iteration_s");
        /* One sample, one micro-batch: a stage of two residual blocks, 2 x 2 products forward and
         * twice that backward, one product less at the first stage. */
        double product = 2.0 * 256 * 256 / 1e9;
        double stage = 12 * product, first = 11 * product, micro_batches = 16, stages = 8;
        CU_ASSERT_DOUBLE_EQUAL(T_A, micro_batches * stage, 1e-9 * T_A);
        CU_ASSERT_DOUBLE_EQUAL(observed, (micro_batches + stages - 2) * stage + first,
                               1e-9 * observed);
        CU_ASSERT_DOUBLE_EQUAL(command_number(run, "formula.ratio"), 1, 1e-9);
    }
    json_decref(result);
}

/* Of one run of formula.xml's 1f1b with a batch of four units a stage, one sample each. */
static json_t *four_a_stage(const char *schedule, int stages, const char *sets)
{
    char line[400];
    snprintf(line, sizeof line,
             "ringsim scenarios/formula.xml --strategy 1f1b --set 1f1b.schedule=%s --set batch=%d "
             "--set 1f1b.micro-batches=%d %s",
             schedule, 4 * stages, 4 * stages, sets);
    return command_result(line, 120);
}

/* The ports are such that c is a quarter of T_A, with messages of a sample and a header of 32 B. */
static void zero_bubble_runs_at_the_bound(void)
{
    static const struct {
        int stages;
        const char *sets;
    } rings[] = {{8, "--set iterations=12 --set platform=platforms/formula-quarter.xml "
                     "--set link-rate=1.373"},
                 {64, "--set iterations=4 --set platform=tests/data/formula-64-platform.xml "
                      "--set network=tests/data/formula-64-net.xml --set link-rate=2.746"}};
    for (size_t i = 0; i < sizeof rings / sizeof *rings; i++) {
        json_t *result = four_a_stage("zb", rings[i].stages, rings[i].sets);
        json_t *run = command_run_of(result, "1f1b");
        double over = command_number(run, "formula.observed_iteration_s") / bound_of(run);
        double c = command_number(run, "formula.c_s"), T_A = command_number(run, "formula.T_A_s");
        printf("\n    c/T_A %.3f, %d stages, zb: observed / max(c, T_A) %.4f", c / T_A,
               rings[i].stages, over);
        CU_ASSERT_DOUBLE_EQUAL(c / T_A, 0.25, 0.001);
        CU_ASSERT(over >= 1 - 1e-9 && over <= 1.02);
        CU_ASSERT_EQUAL(command_number(run, "late_receives"), 0);
        json_decref(result);
    }
}

/* Transfers that cost nothing: zb loses nothing, zb-h1 and zb-h2 the closing of the ring alone,
 * less than 1 % of what is published. Two stages a node halve what 1f1b loses. */
static void bubbles_where_transfers_are_free(void)
{
    static const char *const names[] = {"zb", "zb-h2", "zb-h1", "1f1b", "interleaved"};
    static const double published[] = {1, 1, 1 + 7 / 96.0, 1 + 7 / 32.0, 1 + 7 / 64.0};
    static const double most[] = {1 + 1e-9, 1.01, 1.01, 1 + 1e-9, 1 + 1e-9};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *result = four_a_stage(
            names[i], 8,
            "--set iterations=12 --set platform=tests/data/free-transfers-platform.xml");
        json_t *run = command_run_of(result, "1f1b");
        double over = command_number(run, "formula.observed_iteration_s") / bound_of(run);
        double plan = command_number(run, "formula.observed_iteration_s") /
                      command_number(run, "predicted.plan_s");
        printf("\n    %-11s observed / max(c, T_A) %.4f, published %.4f, observed / plan %.6f",
               names[i], over, published[i], plan);
        CU_ASSERT(over >= 1 - 1e-9 && over <= published[i] * most[i]);
        CU_ASSERT_DOUBLE_EQUAL(plan, 1, 1e-6);
        json_decref(result);
    }
}

/* A loss that takes a while, beside what the only core of the first node is at: the walk through
 * the plan has both share it. */
static void losses_share_a_core(void)
{
    static const char *const names[] = {"zb-h1", "zb-h2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *result = four_a_stage(
            names[i], 8, "--set iterations=12 --set platform=tests/data/slow-losses-platform.xml");
        json_t *run = command_run_of(result, "1f1b");
        CU_ASSERT_DOUBLE_EQUAL(command_number(run, "formula.observed_iteration_s") /
                                   command_number(run, "predicted.plan_s"),
                               1, 1e-6);
        json_decref(result);
    }
}

/* Every algorithm of an all-reduce: within 1 %, or it says that its form is an estimate. */
static void sums_are_their_forms(void)
{
    static const struct {
        int nodes;
        const char *platform;
    } cases[] = {{2, "formula-four"},    {4, "formula-quarter"}, {6, "formula-one"},
                 {8, "formula-quarter"}, {8, "formula-four"},    {8, "zero2w-usb-16"},
                 {8, "pi3bplus-wifi-16"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[200];
        bool power = (cases[i].nodes & (cases[i].nodes - 1)) == 0;
        snprintf(line, sizeof line,
                 "ringsim tests/data/formula-allreduce.xml --set nodes=%d --set "
                 "platform=platforms/%s.xml",
                 cases[i].nodes, cases[i].platform);
        json_t *result = command_result(line, 60), *run;
        size_t k;
        CU_ASSERT_PTR_NOT_NULL_FATAL(result);
        json_array_foreach(json_object_get(result, "runs"), k, run)
        {
            const char *label = command_text(run, "label");
            bool pairs =
                strstr(label, "tree") || strstr(label, "halving") || strstr(label, "doubling");
            double ratio = command_number(run, "formula.ratio");
            printf("\n    %d nodes %-13s observed / predicted %.4f", cases[i].nodes, label, ratio);
            /* coding beside the backward pass, on another core */
            bool beside =
                strcmp(label, "top-k") == 0 && command_number(run, "predicted.T_A_s") >=
                                                   command_number(run, "predicted.iteration_s");
            CU_ASSERT(fabs(ratio - 1) <= 0.01 || (pairs && !power && fabs(ratio - 1) <= 0.3) ||
                      (beside && fabs(ratio - 1) <= 0.15));
        }
        json_decref(result);
    }
}

/* Tasks whose gradients wait for their turn: within 1 %, whoever repeats one; with several reducers
 * it is an estimate where ports are busy all the time. */
static void tasks_are_their_form(void)
{
    static const int cases[][3] = {{3, 32, 1}, {6, 320, 1}, {6, 32, 2}, {10, 3200, 2}};
    static const double allowed[] = {0.01, 0.01, 0.35, 0.35};
    for (size_t i = 0; i < RG_COUNT(cases); i++)
        for (int backup = 0; backup < 2; backup++) {
            char line[400];
            snprintf(line, sizeof line,
                     "ringsim tests/data/formula-systems.xml --strategy mapreduce "
                     "--set iterations=20 --set batch=%d --set samples=%d "
                     "--set mapreduce.nodes=%d --set mapreduce.reducers=%d "
                     "--set mapreduce.copies=%d --set mapreduce.backup=%s",
                     cases[i][1], 20 * cases[i][1], cases[i][0], cases[i][2], cases[i][2],
                     backup ? "yes" : "no");
            json_t *result = command_result(line, 60);
            CU_ASSERT_PTR_NOT_NULL_FATAL(result);
            json_t *run = command_run_of(result, "mapreduce");
            double ratio = command_number(run, "formula.ratio");
            printf("\n    %2d nodes, batch %4d, %d reducers: observed / predicted %.4f",
                   cases[i][0], cases[i][1], cases[i][2], ratio);
            CU_ASSERT(fabs(ratio - 1) <= allowed[i]);
            json_decref(result);
        }
}

/* Replicas that read and push every so often: within 5 %, from ones that wait for the server's port
 * to ones that never do. */
static void downpour_is_its_form(void)
{
    static const char *const every[] = {"5 1", "1 5", "5 5", "4 3"};
    static const int cases[][2] = {{1, 32}, {4, 320}, {16, 3200}}; /* workers, batch */
    for (size_t k = 0; k < RG_COUNT(every); k++)
        for (size_t i = 0; i < RG_COUNT(cases); i++) {
            char line[400];
            snprintf(line, sizeof line,
                     "ringsim tests/data/formula-systems.xml --strategy downpour "
                     "--set iterations=300 --set batch=%d --set samples=%d "
                     "--set downpour.nodes=%d "
                     "--set downpour.fetch-every=%c --set downpour.push-every=%c",
                     cases[i][1], 300 * cases[i][1], cases[i][0] + 1, every[k][0], every[k][2]);
            json_t *result = command_result(line, 60);
            CU_ASSERT_PTR_NOT_NULL_FATAL(result);
            json_t *run = command_run_of(result, "downpour");
            double ratio = command_number(run, "formula.ratio");
            printf("\n    %s, %2d workers, batch %4d: observed / predicted %.4f", every[k],
                   cases[i][0], cases[i][1], ratio);
            CU_ASSERT(fabs(ratio - 1) <= 0.05);
            json_decref(result);
        }
}

/* All clients take part in both exchanges. */
static void fsvrg_is_its_form(void)
{
    static const char *const labels[] = {"fsvrg", "fsvrg-7", "fsvrg-all"};
    for (size_t i = 0; i < RG_COUNT(labels); i++)
        for (int nodes = 2; nodes <= 17; nodes += 5) {
            char line[200];
            snprintf(line, sizeof line,
                     "ringsim tests/data/matrix-fsvrg.xml --set numerics=skip --strategy %s "
                     "--set nodes=%d",
                     labels[i], nodes);
            json_t *result = command_result(line, 60);
            double ratio = command_number(command_run_of(result, labels[i]), "formula.ratio");
            printf("\n    %2d nodes, %-10s %.4f", nodes, labels[i], ratio);
            CU_ASSERT(fabs(ratio - 1) <= 0.015);
            json_decref(result);
        }
}

/* Clients with as many rows, and with other numbers each, of which other ones are drawn in every
 * round: the mean of the rounds is known, but those at the ends of a run are not observed. */
static void rounds_are_their_forms(void)
{
    static const struct {
        const char *sets;
        double allowed;
    } cases[] = {{"--set nodes=2", 0.001},
                 {"--set nodes=9 --set rows=shuffle", 0.001},
                 {"--set nodes=9 --set iterations=300", 0.01},
                 {"--set nodes=17 --set iterations=300 --set fedavg.fraction=0.2", 0.01}};
    static const char *const labels[] = {"fedavg", "fedavg-all"};
    for (size_t i = 0; i < RG_COUNT(cases); i++)
        for (size_t k = 0; k < RG_COUNT(labels); k++) {
            char line[300];
            snprintf(line, sizeof line,
                     "ringsim tests/data/matrix-federated.xml --set numerics=skip --strategy %s %s",
                     labels[k], cases[i].sets);
            json_t *result = command_result(line, 60);
            double ratio = command_number(command_run_of(result, labels[k]), "formula.ratio");
            printf("\n    %-60s %-12s %.4f", cases[i].sets, labels[k], ratio);
            CU_ASSERT(fabs(ratio - 1) <= cases[i].allowed);
            json_decref(result);
        }
}

/* Servers out of step: as long as whatever is busy all the time, a port or a worker's round, from
 * one worker to sixteen, whose computing is a third of a shard's transfer to 30 of them. Within 1
 * %, also where pushes come just when answers are to begin (42 and 90 samples a worker). */
static void servers_out_of_step_are_their_forms(void)
{
    static const char *const kinds[] = {"ssp", "ssp --set server.staleness=4",
                                        "bounded-delay --set server.staleness=4", "async"};
    static const int cases[][2] = {
        {1, 4},   {1, 32},  {2, 3200}, {4, 32},    {4, 168},
        {4, 320}, {8, 320}, {8, 3200}, {12, 1080}, {16, 3200}}; /* workers, batch */
    for (size_t k = 0; k < RG_COUNT(kinds); k++)
        for (size_t i = 0; i < RG_COUNT(cases); i++) {
            char line[400];
            snprintf(line, sizeof line,
                     "ringsim tests/data/energy.xml --strategy server --set numerics=skip "
                     "--set iterations=100 --set epochs=1 --set batch=%d --set samples=%d "
                     "--set platform=platforms/pi4-gigabit-64.xml --set server.nodes=%d "
                     "--set server.consistency=%s",
                     cases[i][1], 100 * cases[i][1], cases[i][0] + 1, kinds[k]);
            json_t *result = command_result(line, 60);
            CU_ASSERT_PTR_NOT_NULL_FATAL(result);
            json_t *run = command_run_of(result, "server");
            double ratio = command_number(run, "formula.ratio");
            printf("\n    %-38s %2d workers, batch %4d: observed / predicted %.4f", kinds[k],
                   cases[i][0], cases[i][1], ratio);
            CU_ASSERT(fabs(ratio - 1) <= 0.01);
            CU_ASSERT_EQUAL(command_number(run, "late_receives"), 0);
            json_decref(result);
        }
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"the platforms give the c/T_A they say", the_knob_is_right},
        {"one in flight: the closed form within 0.1 %", sequential_is_its_form},
        {"servers out of step: their forms within 1 %", servers_out_of_step_are_their_forms},
        {"4S in flight: max(c, T_A) within 1 %", enough_in_flight_runs_at_the_bound},
        {"S in flight: not", s_in_flight_does_not},
        {"1f1b of automatic depth: its form within 5 %", one_f_one_b_is_its_form},
        {"gpipe: its form within 2 % up to c/T_A = 1/4", gpipe_is_its_form_up_to_a_quarter},
        {"the walk through the plan", plans_are_what_happens},
        {"without overlap: no less than c + T_A", no_overlap_costs_the_sum},
        {"free transfers: the bubble, exactly", the_bubble_is_exact_where_transfers_are_free},
        {"zero bubble: max(c, T_A) within 2 % at c/T_A = 1/4", zero_bubble_runs_at_the_bound},
        {"zero bubble, free transfers", bubbles_where_transfers_are_free},
        {"losses share a core", losses_share_a_core},
        {"nothing runs under max(c, T_A); no receive is late", nothing_is_under_the_bound},
        {"replicas of downpour within 5 %", downpour_is_its_form},
        {"tasks within 1 %", tasks_are_their_form},
        {"rounds of fsvrg", fsvrg_is_its_form},
        {"rounds of clients are their forms", rounds_are_their_forms},
        {"all-reduces are their forms", sums_are_their_forms},
    };
    int status = suite_main("formula", tests, sizeof tests / sizeof *tests, argc, argv);
    for (int p = 0; p < COUNT; p++)
        json_decref(results[p]);
    return status;
}
