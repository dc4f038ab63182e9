/* Platforms as people have them: boards by name, ports that are no gigabit switch's, P-states,
 * and what is refused, with what words. Worked by hand, or two ways to say one thing. */
#include "programs/command.h"
#include "programs/platform_cases.h"
#include "support/suite.h"
#include "unit/scratch.h"
#include <math.h>

#define INPUTS RG_SOURCE_DIR "/../shared/inputs/"

/* ---- boards by name ---- */

/* The name says what 22 properties say: the shipped platform, and a cluster, zone, host or --set.
 */
static void a_name_is_a_datasheet(void)
{
    const char *const shipped = "--set platform=" RG_SOURCE_DIR "/platforms/pi4-gigabit-64.xml "
                                "--set nodes=4";
    static const char *const labels[] = {"single", "all-reduce", "server"};
    static const char *const platforms[] = {
        CLUSTER("", NAMED), "<zone id=\"z\" routing=\"Full\">" NAMED CLUSTER("", "") "</zone>",
        CLUSTER("", "")};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            const char *set = i == 2 ? "--set board=pi-4b" : "";
            double time = platform_number(platforms[i], shipped, labels[k], "time_s");
            double joules = platform_number(platforms[i], shipped, labels[k], "energy_J.total");
            CU_ASSERT_DOUBLE_EQUAL(platform_number(platforms[i], set, labels[k], "time_s"), time,
                                   1e-9 * time);
            CU_ASSERT_DOUBLE_EQUAL(platform_number(platforms[i], set, labels[k], "energy_J.total"),
                                   joules, 1e-9 * joules);
        }
    platform_refused(CLUSTER("", ""), "", "pi-zero-2w, pi-3b+, pi-4b");
    platform_refused(CLUSTER("", "<prop id=\"rg_board\" value=\"pi-9\"/>"), "",
                     "\"pi-9\" is no board");
    platform_refused(CLUSTER("", NAMED), "--set board=pi-9", "pi-4b");
    platform_told("<cluster id=\"c\" prefix=\"n\" suffix=\"\" radical=\"0-3\" speed=\"1Gf\" "
                  "bw=\"125MBps\" lat=\"50us\">" NAMED "</cluster>",
                  "", "speed=\"1Gf\" of <cluster>, the datasheet of pi-4b says 9.8e+09");
}

/* Links of 12.5 MB/s make a port of that, of a board by name. */
static void a_named_board_takes_the_links_rate(void)
{
    static const char slow[] = "<cluster id=\"c\" prefix=\"n\" suffix=\"\" radical=\"0-3\" "
                               "speed=\"9.8Gf\" bw=\"12.5MBps\" lat=\"1ms\">" NAMED "</cluster>";
    double wire = 6 * platform_cases_parameters / 4 * 4 * 1538 / 1448 / 12.5e6;
    double c = platform_number(slow, "", "all-reduce", "formula.c_s");
    CU_ASSERT_DOUBLE_EQUAL(c, wire, 0.01 * wire);
    CU_ASSERT_DOUBLE_EQUAL(platform_number(slow, "", "all-reduce", "formula.ratio"), 1, 0.02);
    CU_ASSERT_DOUBLE_EQUAL(platform_number(slow, "", "server", "formula.ratio"), 1, 0.02);
}

/* ---- ports ---- */

static void half_duplex_counts_both_ways(void)
{
    double one = platform_number(CLUSTER("", NAMED), "", "server", "formula.c_s");
    static const char *const halves[] = {
        CLUSTER("sharing_policy=\"SHARED\"", NAMED),
        CLUSTER("limiter_link=\"125MBps\"", NAMED),
    };
    for (int i = 0; i < 2; i++) {
        double c = platform_number(halves[i], "", "server", "formula.c_s");
        double iteration = platform_number(halves[i], "", "server", "iteration_s.mean");
        CU_ASSERT_DOUBLE_EQUAL(c, 2 * one, 0.03 * c);
        CU_ASSERT_TRUE(iteration >= c);
        CU_ASSERT_DOUBLE_EQUAL(platform_number(halves[i], "", "all-reduce", "formula.ratio"), 1,
                               0.05);
    }
    platform_told(halves[0], "", "4 hosts are half duplex, n0 the first");
}

/* One link that all cross: c is all messages of all nodes. */
static void one_link_is_a_medium(void)
{
    static const char air[] = CLUSTER("bb_bw=\"125MBps\" bb_lat=\"0us\"", NAMED);
    double all = 2 * 3 * 4 * platform_cases_parameters * 1538 / 1448 / 125e6;
    double c = platform_number(air, "", "all-reduce", "formula.c_s");
    CU_ASSERT_DOUBLE_EQUAL(c, all, 0.001 * all);
    CU_ASSERT_TRUE(platform_number(air, "", "all-reduce", "iteration_s.mean") >= c);
    platform_told(air, "", "all messages cross one link");
}

/* A board with a wire among two on the air: what it sends them crosses the air too. */
static void a_wire_among_radios(void)
{
#define RADIO "<prop id=\"rg_medium\" value=\"shared\"/><prop id=\"rg_port_rate\" value=\"5e6\"/>"
#define AIR   OVER("air")
    static const char platform[] =
        "<zone id=\"z\" routing=\"Full\">" NAMED "<host id=\"a\" speed=\"9.8Gf\"/>"
        "<host id=\"b\" speed=\"9.8Gf\">" RADIO "</host><host id=\"c\" speed=\"9.8Gf\">" RADIO
        "</host><link id=\"air\" bandwidth=\"5MBps\" latency=\"50.3us\"/><link id=\"u\" "
        "bandwidth=\"125MBps\" latency=\"0us\"/><link id=\"d\" bandwidth=\"125MBps\" "
        "latency=\"0us\"/>" ROUTE("a", "b", OVER("u") AIR) ROUTE("a", "c", OVER("u") AIR)
            ROUTE("b", "a", AIR OVER("d")) ROUTE("c", "a", AIR OVER("d")) ROUTE("b", "c", AIR)
                ROUTE("c", "b", AIR) "</zone>";
    double all = 4 * 4 * platform_cases_parameters * 1538 / 1448 / 5e6;
    static const char *const labels[] = {"all-reduce", "server"};
    for (int i = 0; i < 2; i++) {
        double c = platform_number(platform, "", labels[i], "formula.c_s");
        CU_ASSERT_DOUBLE_EQUAL(c, all, 0.001 * all);
        CU_ASSERT_TRUE(platform_number(platform, "", labels[i], "iteration_s.mean") >= c);
        CU_ASSERT_DOUBLE_EQUAL(platform_number(platform, "", labels[i], "formula.ratio"), 1, 0.05);
    }
}

/* 53.248 MB/s in both directions together, whatever the port passes in one. */
static void usb_2_is_one_bus(void)
{
    static const char *const sets[] = {
        "--set platform=" RG_SOURCE_DIR "/platforms/zero2w-usb-16.xml --set nodes=4",
        "--set platform=" RG_SOURCE_DIR "/platforms/pi3bplus-gigabit-16.xml --set nodes=4",
        "--set board=pi-3b+"};
    double bus = 2 * 6 * platform_cases_parameters / 4 * 4 * 1538 / 1448 / 53.248e6;
    for (int i = 0; i < 3; i++) {
        double c = platform_number(CLUSTER("", ""), sets[i], "all-reduce", "formula.c_s");
        CU_ASSERT_DOUBLE_EQUAL(c, bus, 0.001 * bus);
        CU_ASSERT_DOUBLE_EQUAL(
            platform_number(CLUSTER("", ""), sets[i], "all-reduce", "formula.ratio"), 1, 0.01);
        CU_ASSERT_TRUE(platform_number(CLUSTER("", ""), sets[i], "server", "iteration_s.mean") >=
                       c);
    }
}

/* ---- who else is looked at ---- */

#define BEHIND(A, B, LINK) ROUTE(A, B, OVER(LINK)) ROUTE(B, A, OVER(LINK))

/* c of the all-reduce between two nodes, one point of that sweep. */
static double swept_c(const char *platform, const char *sweep)
{
    char line[900];
    double c = NAN;
    json_t *run;
    size_t i;
    char *text = replaced(platform_cases_scenario, "</scenario>", sweep);
    platform_line(platform, "");
    snprintf(line, sizeof line, "ringsim %s --strategy all-reduce",
             platform_file("scenario.xml", text));
    json_t *result = command_result(line, 60);
    json_array_foreach(json_object_get(result, "runs"), i, run)
    {
        if (command_number(run, "nodes") == 2)
            c = command_number(run, "formula.c_s");
    }
    json_decref(result);
    free(text);
    return c;
}

/* Between two of the four hosts the slow link is all that their ports have, among four it is not:
 * what is said of two does not depend on who else was looked at, nor on how many were since. */
static void every_number_of_nodes_is_looked_at(void)
{
    static const char platform[] =
        "<zone id=\"z\" routing=\"Full\">" NAMED HOSTS "<host id=\"d\" speed=\"9.8Gf\"/>"
        "<link id=\"wan\" bandwidth=\"50MBps\" latency=\"50us\"/>" LINK("ac", "") LINK("bd", "")
            BEHIND("a", "b", "wan") BEHIND("a", "d", "wan") BEHIND("b", "c", "wan")
                BEHIND("c", "d", "wan") BEHIND("a", "c", "ac") BEHIND("b", "d", "bd") "</zone>";
    static const char *const sweeps[] = {
        "<sweep key=\"nodes\" values=\"2\"/></scenario>",
        "<sweep key=\"nodes\" values=\"2,4\"/></scenario>",
        "<sweep key=\"nodes\" values=\"4,2\"/></scenario>",
    };
    double wire =
        2 * 4 * platform_cases_parameters * 1538 / 1448 / 50e6; /* the gradient, each way */
    for (int i = 0; i < 3; i++)
        CU_ASSERT_DOUBLE_EQUAL(swept_c(platform, sweeps[i]), wire, 0.001 * wire);
}

/* Rates of links are looked at each for itself, in a process at two pipes and a file; the first are
 * asked about again after 30 others. */
static void many_are_looked_at(void)
{
    struct command_output output;
    char line[900];
    char *text =
        replaced(platform_cases_scenario, "</scenario>",
                 "<sweep key=\"batch\" values=\"32,64\"/><sweep key=\"bandwidth-factor\" "
                 "values=\"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,"
                 "28,29,30\"/></scenario>");
    platform_line(CLUSTER("", NAMED), "");
    snprintf(line, sizeof line,
             "prlimit --nofile=64:64 " RG_BINARY_DIR "/ringsim %s --strategy all-reduce --check",
             platform_file("scenario.xml", text));
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "60 to simulate"));
    free(text);
}

#define SPLIT(HOST)                                                                                \
    "<link id=\"l" HOST "\" bandwidth=\"125MBps\" latency=\"25us\" "                               \
    "sharing_policy=\"SPLITDUPLEX\"/>"
#define CTN(HOST, WAY) "<link_ctn id=\"l" HOST "\" direction=\"" WAY "\"/>"
#define PAIR(A, B)     "<route src=\"" A "\" dst=\"" B "\">" CTN(A, "UP") CTN(B, "DOWN") "</route>"
#define UP(HOST)       "<route src=\"" HOST "\" dst=\"s\">" CTN(HOST, "UP") "</route>"

/* Three hosts round a switch: routes that SimGrid puts together of two hops are those written out.
 */
static void routes_are_found_over_routers(void)
{
    static const char *const routings[] = {"Floyd", "Dijkstra", "DijkstraCache"};
    static const char ends[] = HOSTS SPLIT("a") SPLIT("b") SPLIT("c");
    char text[4000];
    snprintf(text, sizeof text, "<zone id=\"z\" routing=\"Full\">" NAMED "%s%s</zone>", ends,
             PAIR("a", "b") PAIR("a", "c") PAIR("b", "c"));
    double wanted[2] = {platform_number(text, "", "all-reduce", "time_s"),
                        platform_number(text, "", "server", "time_s")};
    for (size_t i = 0; i < 3; i++) {
        snprintf(text, sizeof text,
                 "<zone id=\"z\" routing=\"%s\">" NAMED "%s<router id=\"s\"/>%s</zone>",
                 routings[i], ends, UP("a") UP("b") UP("c"));
        CU_ASSERT_DOUBLE_EQUAL(platform_number(text, "", "all-reduce", "time_s"), wanted[0],
                               1e-9 * wanted[0]);
        CU_ASSERT_DOUBLE_EQUAL(platform_number(text, "", "server", "time_s"), wanted[1],
                               1e-9 * wanted[1]);
    }
}

static void more_than_a_port_is_refused(void)
{
    platform_refused(
        "<zone id=\"z\" routing=\"Full\">" NAMED HOSTS LINK("ab", "") LINK("ac", "") LINK("bc", "")
            LINK("ba", "") LINK("ca", "") LINK("cb", "") ROUTE("a", "b", OVER("ab"))
                ROUTE("a", "c", OVER("ac")) ROUTE("b", "c", OVER("bc")) ROUTE("b", "a", OVER("ba"))
                    ROUTE("c", "a", OVER("ca")) ROUTE("c", "b", OVER("cb")) "</zone>",
        "--strategy server", "give it more than one port");
    platform_refused(
        "<zone id=\"z\" routing=\"Full\">" NAMED HOSTS LINK("l", " sharing_policy=\"FATPIPE\"")
            ROUTE("a", "b", OVER("l")) ROUTE("a", "c", OVER("l")) ROUTE("b", "a", OVER("l"))
                ROUTE("c", "a", OVER("l")) ROUTE("b", "c", OVER("l"))
                    ROUTE("c", "b", OVER("l")) "</zone>",
        "--strategy server", "more than one port");
    platform_refused(
        "<zone id=\"z\" routing=\"Full\">" NAMED "<host id=\"a\" speed=\"1Gf\"/><host id=\"b\" "
        "speed=\"1Gf\"/><link id=\"l\" bandwidth=\"10Gbps\" latency=\"1us\" "
        "sharing_policy=\"SPLITDUPLEX\"/><route src=\"a\" dst=\"b\"><link_ctn id=\"l\" "
        "direction=\"UP\"/></route></zone>",
        "", "its links carry 1.25e+09 B/s from a to b, rg_port_rate says 1.25e+08");
    /* of a cluster they are taken at the port's rate */
    double slow = platform_number(CLUSTER("", NAMED), "", "server", "time_s");
    double fast =
        platform_number("<cluster id=\"c\" prefix=\"n\" suffix=\"\" radical=\"0-3\" "
                        "speed=\"9.8Gf\" bw=\"10Gbps\" lat=\"25.15us\">" NAMED "</cluster>",
                        "", "server", "time_s");
    CU_ASSERT_DOUBLE_EQUAL(fast, slow, 1e-9 * slow);
}

#define HOST(ID, BOARD, SPEED)                                                                     \
    "<host id=\"" ID "\" speed=\"" SPEED "\"><prop id=\"rg_board\" value=\"" BOARD "\"/></host>"
#define WIDTH(ID, RATE) "<link id=\"" ID "\" bandwidth=\"" RATE "\" latency=\"25us\"/>"
#define TWO(FIRST, SPEED, BUS)                                                                     \
    "<zone id=\"z\" routing=\"Full\">" HOST("a", FIRST, SPEED) HOST("b", "pi-zero-2w", "4.5Gf")    \
        WIDTH("a-up", "125MBps") WIDTH("a-down", "125MBps") WIDTH("b-up", "41.29MBps") WIDTH(      \
            "b-down",                                                                              \
            "41.29MBps") "<link id=\"b-bus\" bandwidth=\"" BUS                                     \
                         "\" latency=\"0us\"/>" ROUTE("a", "b",                                    \
                                                      OVER("a-up") OVER("b-bus") OVER("b-down"))   \
                             ROUTE("b", "a", OVER("b-up") OVER("b-bus") OVER("a-down")) "</zone>"

/* Of two hosts alone every link is both's: what makes one of them slow says nothing of the other.
 */
static void of_two_boards_one_is_slow(void)
{
    platform_told(TWO("pi-4b", "9.8Gf", "53.248MBps"), "",
                  "(pi-4b)\n  network"); /* no notes between */
    platform_told(TWO("pi-zero-2w", "4.5Gf", "53.248MBps"), "", "(pi-zero-2w)\n  network");
    platform_told(TWO("pi-4b", "9.8Gf", "50MBps"), "", "2 hosts are half duplex, a the first");
}

/* ---- P-states, watts ---- */

#define STATES(PSTATE)                                                                             \
    "<zone id=\"z\" routing=\"Full\">" NAMED "<host id=\"a\" speed=\"9.8Gf\"" PSTATE               \
    "/><host id=\"b\" speed=\"9.8Gf\"" PSTATE                                                      \
    "/>" LINK("l", " sharing_policy=\"SPLITDUPLEX\"") "<route src=\"a\" dst=\"b\"><link_ctn "      \
                                                      "id=\"l\" direction=\"UP\"/></route></zone>"

static void pstates_are_obeyed(void)
{
    static const char *const fields[] = {"time_s", "energy_J.total"};
    for (int i = 0; i < 2; i++) {
        double low = platform_number(STATES(" pstate=\"9\""), "", "single", fields[i]);
        double set = platform_number(STATES(""), "--set clock=600e6", "single", fields[i]);
        double back =
            platform_number(STATES(" pstate=\"9\""), "--set clock=1.5e9", "single", fields[i]);
        double high = platform_number(STATES(""), "", "single", fields[i]);
        CU_ASSERT_DOUBLE_EQUAL(low, set, 1e-9 * set);
        CU_ASSERT_DOUBLE_EQUAL(back, high, 1e-9 * high);
        CU_ASSERT_TRUE(low > 1.5 * high);
    }
    platform_refused(STATES(" pstate=\"10\""), "", "pstate=\"10\" of <host>");
    /* its second clock is 1.4 of 1.5 GHz, 9.147e9 FLOP/s: not half */
    char *half = replaced(STATES(" pstate=\"1\""), "9.8Gf", "9.8Gf,4.9Gf");
    char *same = replaced(STATES(" pstate=\"1\""), "9.8Gf", "9.8Gf,9.147Gf");
    platform_told(half, "", "speed=\"9.8Gf,4.9Gf\" of <host>, the datasheet of pi-4b says 9.14");
    struct command_output output;
    char line[900];
    snprintf(line, sizeof line, "%s --check", platform_line(same, ""));
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NULL(strstr(output.out, "speed="));
    free(half);
    free(same);
}

static void watts_may_be_two(void)
{
#define WATTS(STATE)                                                                               \
    CLUSTER("", NAMED "<prop id=\"rg_clocks\" value=\"1.5e9\"/><prop id=\"wattage_per_state\" "    \
                      "value=\"" STATE "\"/>")
    double two = platform_number(WATTS("2:6"), "", "single", "energy_J.total");
    double three = platform_number(WATTS("2:2:6"), "", "single", "energy_J.total");
    CU_ASSERT_DOUBLE_EQUAL(two, three, 1e-12 * three);
    /* a core of four is busy: 2 + (6 - 2) / 4 W, and 0.7 of the switch */
    double seconds = platform_number(WATTS("2:6"), "", "single", "time_s");
    CU_ASSERT_DOUBLE_EQUAL(two, 3.7 * seconds, 1e-9 * two);
}

/* ---- what cannot be used ---- */

static void refusals_name_the_reason(void)
{
    platform_refused("<include file=\"x.xml\"/>", "", "<include>");
    platform_refused("<zone id=\"z\" routing=\"Full\">" NAMED HOSTS
                     "<link id=\"l\" bandwidth=\"1gbps\" latency=\"1us\"/></zone>",
                     "", "SimGrid cannot use it: unknown unit: gbps");
    platform_refused(
        "<zone id=\"z\" routing=\"Vivaldi\"><host id=\"a\" speed=\"1Gf\" coordinates=\"0 0 "
        "0\"/></zone>",
        "--set board=pi-4b", "Vivaldi");
    platform_refused(
        "<zone id=\"z\" routing=\"Wifi\"><prop id=\"access_point\" value=\"p\"/></zone>", "",
        "id=\"rg_medium\" value=\"shared\"");
    platform_refused(CLUSTER("", NAMED "<prop id=\"rg_medium_rate\" value=\"1e6\"/>"), "",
                     "rg_medium_rate is of a shared medium");
    platform_refused(CLUSTER("", NAMED) "<actor host=\"n0\" function=\"f\"/>", "", "<actor>");
    platform_refused(
        "<zone id=\"z\" routing=\"Full\">" NAMED HOSTS LINK(
            "l", "") "<route src=\"a\" dst=\"b\"><link_ctn id=\"l\"/></route><route src=\"a\" "
                     "dst=\"c\"><link_ctn id=\"l\"/></route></zone>",
        "--strategy all-reduce", "no route from b to c");
    platform_told(
        "<zone id=\"z\" routing=\"Full\">" NAMED HOSTS LINK(
            "l", "") "<route src=\"a\" dst=\"b\"><link_ctn id=\"l\"/></route><route src=\"a\" "
                     "dst=\"c\"><link_ctn id=\"l\"/></route></zone>",
        "--strategy server", "c   ");
    platform_told("<zone id=\"z\" routing=\"Full\">" NAMED
                  "<host id=\"a\" speed=\"9.8Gf\"/><host id=\"b\" "
                  "speed=\"9.8Gf\"/><link id=\"l\" bandwidth=\"125MBps\" latency=\"1us\"><prop "
                  "id=\"wattage_range\" value=\"1:2\"/></link><route src=\"a\" dst=\"b\"><link_ctn "
                  "id=\"l\"/></route></zone>",
                  "", "wattage_range of a link is not counted");
}

/* ---- uneven boards ---- */

static const char uneven[] =
    "<zone id=\"z\" routing=\"Full\"><host id=\"a\" speed=\"30.6Gf\"><prop id=\"rg_board\" "
    "value=\"pi-5\"/></host><host id=\"b\" speed=\"9.8Gf\"><prop id=\"rg_board\" "
    "value=\"pi-4b\"/></host>" LINK(
        "l", " sharing_policy=\"SPLITDUPLEX\"") "<route src=\"a\" dst=\"b\"><link_ctn id=\"l\" "
                                                "direction=\"UP\"/></route></zone>";

/* A sample weighs the same wherever it is computed: any shares give the loss of one node. */
static void shares_need_not_be_equal(void)
{
    static const char *const more[] = {"--set all-reduce.shares=equal",
                                       "--set all-reduce.shares=speed",
                                       "--set all-reduce.shares=50,14"};
    double T_A[3];
    for (int i = 0; i < 3; i++) {
        char set[200];
        snprintf(set, sizeof set, "--set numerics=real %s", more[i]);
        json_t *result = platform_result(uneven, set);
        json_t *run = command_run_of(result, "all-reduce");
        double loss = command_number(command_run_of(result, "single"), "final.loss");
        T_A[i] = command_number(run, "formula.T_A_s");
        CU_ASSERT_DOUBLE_EQUAL(command_number(run, "final.loss"), loss, 1e-4 * loss);
        if (i == 0)
            CU_ASSERT_PTR_NULL(json_object_get(json_object_get(run, "params"), "shares"));
        if (i == 2)
            CU_ASSERT_STRING_EQUAL(command_text(run, "params.shares"), "50,14");
        json_decref(result);
    }
    CU_ASSERT_TRUE(T_A[1] < 0.75 * T_A[0]);
    CU_ASSERT_TRUE(T_A[1] <= 1.1 * T_A[2]);
    platform_told(uneven, "", "with shares=\"speed\" an iteration is predicted to take");
    platform_refused(uneven, "--set all-reduce.shares=32,31",
                     "63 samples in all: 2 nodes share a batch of 64");
    platform_refused(uneven, "--set all-reduce.shares=64,0", "at least a sample each");
    platform_refused(uneven, "--set server.shares=32,32", "1 nodes share");
    platform_refused(uneven, "--set server.shares=fast", "equal|speed");
}

/* ---- the files of other people's reports, where they are ---- */

static void reported(const char *scenario_file, const char *label, const char *path, double wanted,
                     double slack)
{
    char line[600];
    snprintf(line, sizeof line, "ringsim " INPUTS "%s", scenario_file);
    json_t *result = command_result(line, 60);
    double number = command_number(command_run_of(result, label), path);
    if (!(fabs(number - wanted) <= slack * wanted))
        printf("\n    %s, %s: %s is %g, wanted %g\n", scenario_file, label, path, number, wanted);
    CU_ASSERT_DOUBLE_EQUAL(number, wanted, slack * wanted);
    json_decref(result);
}

static void reports(void)
{
    if (access(INPUTS "README.md", R_OK) != 0) {
        printf("../shared/inputs is absent: skipped ");
        return;
    }
    reported("air-and-wire.xml", "server", "formula.c_s", 4.75, 0.01);
    reported("air-and-wire.xml", "all-reduce", "formula.c_s", 4.75, 0.01);
    reported("air-and-wire.xml", "server", "formula.ratio", 1, 0.02);
    reported("hub.xml", "server", "formula.c_s", 0.444, 0.01);
    reported("hub.xml", "all-reduce", "formula.c_s", 0.113, 0.02);
    reported("hub.xml", "all-reduce", "formula.ratio", 1, 0.05);
    reported("pstate.xml", "single", "time_s", 2.65, 0.01);
    reported("pstate.xml", "single", "energy_J.total", 9.97, 0.01);
    reported("profile.xml", "allr", "time_s", 206, 0.01);
    struct command_output output;
    command_run("ringsim " INPUTS "pairs.xml --check", 60, &output);
    CU_ASSERT_EQUAL(output.status, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "rg_port_rate"));
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"boards by name", a_name_is_a_datasheet},
        {"rates of links", a_named_board_takes_the_links_rate},
        {"half duplex", half_duplex_counts_both_ways},
        {"one medium", one_link_is_a_medium},
        {"a wire among radios", a_wire_among_radios},
        {"USB 2", usb_2_is_one_bus},
        {"numbers of nodes", every_number_of_nodes_is_looked_at},
        {"many looks", many_are_looked_at},
        {"more than a port", more_than_a_port_is_refused},
        {"two boards, of which one is slow", of_two_boards_one_is_slow},
        {"P-states", pstates_are_obeyed},
        {"watts", watts_may_be_two},
        {"routes over routers", routes_are_found_over_routers},
        {"refusals", refusals_name_the_reason},
        {"shares", shares_need_not_be_equal},
        {"reports", reports},
    };
    return suite_main("kinds of platforms", tests, sizeof tests / sizeof *tests, argc, argv);
}
