/* Random platforms against what every simulation must keep: no run takes less than its iterations
 * times max(c, T_A); an extrapolated run is the simulated one; the closed forms hold within 5 %, or
 * are said to be rough. Platforms that contradict themselves are refused, in one line.
 *
 * test_random_platforms [COUNT [FIRST]]: so many seeds, from FIRST on; a failure names its seed. */
#include "base/check.h"
#include "base/random.h"
#include "programs/command.h"
#include "support/suite.h"
#include "unit/scratch.h"
#include <math.h>
#include <stdlib.h>

static int count = 30, first = 1;
static int refused, rough, run;

static const char *const strategies[] = {
    "kind=\"parameter_server\"",
    "kind=\"parameter_server\" servers=\"2\"",
    "kind=\"ring_allreduce\"",
    "kind=\"ring_allreduce\" overlap=\"no\"",
    "kind=\"ring_pipeline\" schedule=\"1f1b\" micro-batches=\"8\"",
    "kind=\"ring_pipeline\" schedule=\"gpipe\" micro-batches=\"8\"",
    "kind=\"ring_pipeline\" schedule=\"sequential\"",
};

/* ---- a platform ---- */

enum shape { STAR, HUB, ONE_MEDIUM, BACKBONE, FATPIPE_CORE, PAIRS, TWO_LEVEL, ONE_WAY, SHAPES };

struct plan {
    uint64_t state;
    enum shape shape;
    int nodes;
    double rate[8], rx[8]; /* bytes/s */
    double latency_s;      /* of a link */
    double speed[8], message_s, byte_s;
    bool changes, mixed;
    int strategy;
};

static double uniform(struct plan *p, double low, double high)
{
    p->state += 0x9e3779b97f4a7c15u;
    return low + (high - low) * ldexp((double)(rg_mix64(p->state) >> 11), -53);
}

static int below(struct plan *p, int n)
{
    return (int)uniform(p, 0, n);
}

static struct plan draw(uint64_t seed)
{
    struct plan p = {.state = seed << 20};
    p.shape = (enum shape)below(&p, SHAPES);
    p.nodes = 2 + below(&p, 7);
    p.mixed = below(&p, 3) == 0;
    double rate = pow(10, uniform(&p, 5.5, 8.5)), speed = pow(10, uniform(&p, 8, 10.5));
    p.latency_s = below(&p, 3) ? pow(10, uniform(&p, -6, -3)) : 0;
    p.message_s = below(&p, 2) ? pow(10, uniform(&p, -7, -4)) : 0;
    p.byte_s = below(&p, 3) == 0 ? pow(10, uniform(&p, -11, -9)) : 0;
    p.changes = below(&p, 6) == 0;
    for (int i = 0; i < p.nodes; i++) {
        p.rate[i] = p.mixed ? rate * uniform(&p, 0.3, 1) : rate;
        p.rx[i] = p.shape == ONE_WAY ? p.rate[i] * uniform(&p, 0.3, 3) : p.rate[i];
        p.speed[i] = p.mixed ? speed * uniform(&p, 0.5, 1) : speed;
    }
    return p;
}

static void put_board(FILE *f, const struct plan *p, int i, const char *more)
{
    fprintf(f,
            "<host id=\"n%d\" speed=\"%.17gf\" core=\"4\"><prop id=\"rg_board\" value=\"toy\"/>"
            "<prop id=\"rg_cores\" value=\"4\"/><prop id=\"rg_gemm_rate\" value=\"%.17g\"/>"
            "<prop id=\"rg_gemm_rate_all\" value=\"%.17g\"/>"
            "<prop id=\"rg_gemm_curve\" value=\"16:0.2 256:1\"/>"
            "<prop id=\"rg_vector_rate\" value=\"%.17g\"/><prop id=\"rg_memory_rate\" "
            "value=\"%.17g\"/><prop id=\"rg_memory_rate_all\" value=\"%.17g\"/>"
            "<prop id=\"rg_call_s\" value=\"1e-7\"/><prop id=\"rg_memory_bytes\" value=\"1e12\"/>"
            "<prop id=\"rg_port_rate\" value=\"%.17g\"/><prop id=\"rg_latency_s\" "
            "value=\"%.17g\"/><prop id=\"rg_frame_payload\" value=\"1448\"/>"
            "<prop id=\"rg_frame_bytes\" value=\"1538\"/><prop id=\"rg_message_s\" "
            "value=\"%.17g\"/><prop id=\"rg_byte_s\" value=\"%.17g\"/>"
            "<prop id=\"rg_port_tx_watts\" value=\"1\"/><prop id=\"rg_port_rx_watts\" "
            "value=\"0.5\"/><prop id=\"rg_switch_watts\" value=\"0.25\"/>"
            "<prop id=\"rg_clocks\" value=\"1e9\"/><prop id=\"wattage_per_state\" "
            "value=\"2:3:5\"/>%s</host>\n",
            i, p->speed[i], p->speed[i], 3 * p->speed[i], p->speed[i], 4 * p->speed[i],
            4 * p->speed[i], p->rate[i], p->shape == PAIRS ? p->latency_s : 2 * p->latency_s,
            p->message_s, p->byte_s, more);
}

static void put_link(FILE *f, const struct plan *p, const char *name, double rate,
                     const char *policy)
{
    bool changing = p->changes && strcmp(name, "u0") == 0;
    fprintf(f,
            "<link id=\"%s\" bandwidth=\"%.17gBps\" latency=\"%.17gs\" sharing_policy=\"%s\"%s/>\n",
            name, rate, strcmp(name, "core") == 0 ? 0 : p->latency_s, policy,
            changing ? " bandwidth_file=\"slow.profile\"" : "");
}

static bool crosses_core(const struct plan *p, int from, int to)
{
    if (p->shape == TWO_LEVEL)
        return from / 2 != to / 2;
    return p->shape == ONE_MEDIUM || p->shape == BACKBONE || p->shape == FATPIPE_CORE;
}

static void put_route(FILE *f, const struct plan *p, int from, int to)
{
    fprintf(f, "<route src=\"n%d\" dst=\"n%d\" symmetrical=\"NO\">", from, to);
    if (p->shape == PAIRS) {
        fprintf(f, "<link_ctn id=\"u%d_%d\"/>", from, to);
    } else {
        fprintf(f, "<link_ctn id=\"u%d\"/>", from);
        if (crosses_core(p, from, to))
            fprintf(f, "<link_ctn id=\"core\"/>");
        fprintf(f, "<link_ctn id=\"%s%d\"/>", p->shape == HUB ? "u" : "d", to);
    }
    fprintf(f, "</route>\n");
}

static void put_links(FILE *f, struct plan *p)
{
    char name[24];
    double sum = 0;
    for (int i = 0; i < p->nodes; i++) {
        sum += p->rate[i];
        for (int k = 0; k < p->nodes && p->shape == PAIRS; k++) {
            snprintf(name, sizeof name, "u%d_%d", i, k);
            put_link(f, p, name, fmin(p->rate[i], p->rate[k]), "SHARED");
        }
        snprintf(name, sizeof name, "u%d", i);
        put_link(f, p, name, p->rate[i], "SHARED");
        snprintf(name, sizeof name, "d%d", i);
        put_link(f, p, name, p->rx[i], "SHARED");
    }
    if (p->shape == ONE_MEDIUM || p->shape == TWO_LEVEL)
        put_link(f, p, "core", p->rate[0], "SHARED");
    if (p->shape == BACKBONE)
        put_link(f, p, "core", sum * uniform(p, 0.1, 2), "SHARED");
    if (p->shape == FATPIPE_CORE)
        put_link(f, p, "core", p->rate[0], "FATPIPE");
}

static void write_platform(struct plan *p)
{
    const char *path = scratch_path("platform.xml");
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fprintf(f, "<?xml version=\"1.0\"?>\n<!DOCTYPE platform SYSTEM "
               "\"https://simgrid.org/simgrid.dtd\">\n");
    fprintf(f, "<platform version=\"4.1\"><zone id=\"z\" routing=\"Full\">\n");
    for (int i = 0; i < p->nodes; i++) {
        char more[100] = "";
        if (p->shape == ONE_WAY)
            snprintf(more, sizeof more, "<prop id=\"rg_port_rx_rate\" value=\"%.17g\"/>", p->rx[i]);
        put_board(f, p, i, more);
    }
    put_links(f, p);
    for (int i = 0; i < p->nodes; i++)
        for (int k = 0; k < p->nodes; k++)
            if (i != k)
                put_route(f, p, i, k);
    fprintf(f, "</zone></platform>\n");
    fclose(f);
}

/* ---- a scenario ---- */

static void write_scenario(struct plan *p)
{
    char text[2000];
    p->strategy = below(p, (int)RG_COUNT(strategies));
    if (p->nodes == 2 && p->strategy == 1) /* no worker would be left */
        p->strategy = 0;
    int width = 1 << (3 + below(p, 6));
    snprintf(text, sizeof text,
             "<network name=\"n\" input=\"%d\"><dense outputs=\"%d\" activation=\"relu\" "
             "repeat=\"9\"/><dense outputs=\"10\"/></network>\n",
             width, width);
    scratch_text("net.xml", text);
    snprintf(text, sizeof text,
             "<scenario name=\"r\" seed=\"1\"><platform file=\"platform.xml\"/>"
             "<network file=\"net.xml\"/><data kind=\"random\" inputs=\"%d\" classes=\"10\" "
             "train=\"6400\" test=\"10\"/><training batch=\"64\" iterations=\"40\" "
             "learning-rate=\"0.1\" numerics=\"skip\"/><strategy label=\"s\" %s/></scenario>\n",
             width, strategies[p->strategy]);
    scratch_text("scenario.xml", text);
    if (p->changes)
        scratch_text("slow.profile", "0.001 1e5\n0.01 2e5\n");
}

/* ---- what must hold ---- */

static double part(const json_t *run_object, const char *object, const char *member)
{
    return json_number_value(json_object_get(json_object_get(run_object, object), member));
}

/* Of boards that are all alike only --check says how far a strategy's form goes. */
static bool says_rough(void)
{
    struct command_output output;
    char line[600];
    snprintf(line, sizeof line, "ringsim %s --check", scratch_path("scenario.xml"));
    command_run(line, 60, &output);
    return strstr(output.out, "\n  rough  ") != NULL;
}

static void check_run(const json_t *r, const struct plan *p, int seed)
{
    double time = json_number_value(json_object_get(r, "time_s"));
    double iterations = json_number_value(json_object_get(r, "iterations"));
    double c = part(r, "formula", "c_s"), T_A = part(r, "formula", "T_A_s");
    double ratio = part(r, "formula", "ratio");
    bool estimate = json_object_get(json_object_get(r, "predicted"), "rough") != NULL;
    if (!estimate && !(fabs(ratio - 1) <= 0.05))
        estimate = says_rough();
    rough += estimate;
    if (!(time >= iterations * fmax(c, T_A) * (1 - 1e-9))) {
        printf("seed %d (shape %d, %s): %g s, below %g x max(%g, %g)\n", seed, p->shape,
               strategies[p->strategy], time, iterations, c, T_A);
        CU_FAIL("faster than c or T_A");
    }
    if (!estimate && !(fabs(ratio - 1) <= 0.05)) {
        printf("seed %d (shape %d): ratio %g, not said to be rough; c %g, T_A %g, %s%s, %d nodes\n",
               seed, p->shape, ratio, c, T_A, strategies[p->strategy], p->mixed ? ", mixed" : "",
               p->nodes);
        CU_FAIL("a form that does not hold");
    }
}

static double time_of(const char *line, struct command_output *output, json_t **result)
{
    json_error_t e;
    command_run(line, 60, output);
    *result = output->status == 0 ? json_loads(output->out, 0, &e) : NULL;
    json_t *r = json_array_get(json_object_get(*result, "runs"), 0);
    return r ? json_number_value(json_object_get(r, "time_s")) : NAN;
}

static void try(int seed)
{
    struct plan p = draw((uint64_t)seed);
    struct command_output output, full;
    json_t *result, *other;
    const char *path = scratch_path("scenario.xml");
    char line[600];
    write_platform(&p);
    write_scenario(&p);
    snprintf(line, sizeof line, "ringsim %s --json - --quiet", path);
    double time = time_of(line, &output, &result);
    run++;
    if (output.status == 2) {
        char *end = strchr(output.err, '\n');
        CU_ASSERT_PTR_NOT_NULL(end);
        CU_ASSERT_TRUE(end && end[1] == '\0');
        refused++;
    } else if (!result) {
        printf("seed %d (shape %d): status %d: %s\n", seed, p.shape, output.status, output.err);
        CU_FAIL("neither run nor refused");
    } else {
        check_run(json_array_get(json_object_get(result, "runs"), 0), &p, seed);
        snprintf(line, sizeof line, "ringsim %s --json - --quiet --full", path);
        double whole = time_of(line, &full, &other);
        if (!(fabs(time - whole) <= 1e-9 * whole))
            printf("seed %d: extrapolated %.17g, %.17g in full\n", seed, time, whole);
        CU_ASSERT_DOUBLE_EQUAL(time, whole, 1e-9 * whole);
        json_decref(other);
    }
    json_decref(result);
}

/* Where a form once did not hold and was not said to be rough: gradients ready at other dates
 * before half-duplex ports, latencies on top of a medium's time, shares that differ by a sample
 * before a server, a pipeline of long trips. */
static void platforms_that_found_something(void)
{
    static const int seeds[] = {2404, 6573, 6814, 8236};
    for (size_t i = 0; i < RG_COUNT(seeds); i++)
        try(seeds[i]);
    run = refused = rough = 0;
}

static void random_platforms(void)
{
    for (int seed = first; seed < first + count; seed++)
        try(seed);
    printf("%d platforms, %d refused, %d rough\n", run, refused, rough);
    if (run < 30) /* some seed again */
        return;
    CU_ASSERT_TRUE(2 * refused <= run);
    CU_ASSERT_TRUE(4 * rough <= 3 * (run - refused));
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {{"that found something", platforms_that_found_something},
                                       {"random platforms", random_platforms}};
    count = argc > 1 ? atoi(argv[1]) : count;
    first = argc > 2 ? atoi(argv[2]) : first;
    return suite_main("random platforms", tests, 2, 1, argv);
}
