/* Platforms as people have them: boards by name, ports that are no gigabit switch's, P-states,
 * profiles, and what is refused, with what words. Worked by hand, or two ways to say one thing. */
#include "base/check.h"
#include "programs/command.h"
#include "support/suite.h"
#include "unit/scratch.h"
#include <math.h>

#define INPUTS RG_SOURCE_DIR "/../shared/inputs/"

static const char scenario[] =
    "<scenario name=\"k\" seed=\"1\"><platform file=\"platform.xml\"/><network file=\"net.xml\"/>"
    "<data kind=\"random\" inputs=\"256\" classes=\"10\" train=\"640\" test=\"10\"/>"
    "<training batch=\"64\" iterations=\"40\" learning-rate=\"0.1\" numerics=\"skip\"/>"
    "<strategy label=\"single\" kind=\"single\"/>"
    "<strategy label=\"all-reduce\" kind=\"ring_allreduce\" overlap=\"no\" buckets=\"1\"/>"
    "<strategy label=\"server\" kind=\"parameter_server\"/></scenario>\n";

/* 256 x 512 + 512 + 512 x 10 + 10 parameters. */
static const char network[] = "<network name=\"n\" input=\"256\"><dense outputs=\"512\" "
                              "activation=\"relu\"/><dense outputs=\"10\"/></network>\n";
static const double parameters = 256 * 512 + 512 + 512 * 10 + 10;

static const char head[] = "<?xml version=\"1.0\"?>\n<!DOCTYPE platform SYSTEM "
                           "\"https://simgrid.org/simgrid.dtd\">\n<platform version=\"4.1\">\n";

static const char *line_of(const char *platform, const char *more)
{
    static char line[900];
    char text[8000];
    snprintf(text, sizeof text, "%s%s</platform>\n", head, platform);
    scratch_text("platform.xml", text);
    scratch_text("net.xml", network);
    snprintf(line, sizeof line, "ringsim %s %s", scratch_text("scenario.xml", scenario), more);
    return line;
}

static json_t *result_of(const char *platform, const char *more)
{
    return command_result(line_of(platform, more), 60);
}

static double number_of(const char *platform, const char *more, const char *label, const char *path)
{
    json_t *result = result_of(platform, more);
    double number = command_number(command_run_of(result, label), path);
    json_decref(result);
    return number;
}

static void refuses(const char *platform, const char *more, const char *words)
{
    struct command_output output;
    char line[900];
    snprintf(line, sizeof line, "%s --check", line_of(platform, more));
    command_run(line, 60, &output);
    const char *end = strchr(output.err, '\n');
    if (output.status != 2 || !strstr(output.err, words) || !end || end[1])
        printf("\n    wanted %s\n    got %d %s\n", words, output.status, output.err);
    CU_ASSERT_EQUAL(output.status, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, words));
}

static void tells(const char *platform, const char *more, const char *words)
{
    struct command_output output;
    char line[900];
    snprintf(line, sizeof line, "%s --check", line_of(platform, more));
    command_run(line, 60, &output);
    if (!strstr(output.out, words))
        printf("\n    wanted %s\n    got %s%s\n", words, output.out, output.err);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, words));
}

#define NAMED "<prop id=\"rg_board\" value=\"pi-4b\"/>"
#define CLUSTER(ATTRIBUTES, PROPS)                                                                 \
    "<cluster id=\"c\" prefix=\"n\" suffix=\"\" radical=\"0-3\" speed=\"9.8Gf\" "                  \
    "bw=\"125MBps\" lat=\"25.15us\" " ATTRIBUTES ">" PROPS "</cluster>"
#define LINK(ID, MORE)     "<link id=\"" ID "\" bandwidth=\"125MBps\" latency=\"25us\"" MORE "/>"
#define ROUTE(A, B, LINKS) "<route src=\"" A "\" dst=\"" B "\" symmetrical=\"NO\">" LINKS "</route>"
#define OVER(ID)           "<link_ctn id=\"" ID "\"/>"
#define HOSTS                                                                                      \
    "<host id=\"a\" speed=\"9.8Gf\"/><host id=\"b\" speed=\"9.8Gf\"/><host id=\"c\" "              \
    "speed=\"9.8Gf\"/>"

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
            double time = number_of(platforms[i], shipped, labels[k], "time_s");
            double joules = number_of(platforms[i], shipped, labels[k], "energy_J.total");
            CU_ASSERT_DOUBLE_EQUAL(number_of(platforms[i], set, labels[k], "time_s"), time,
                                   1e-9 * time);
            CU_ASSERT_DOUBLE_EQUAL(number_of(platforms[i], set, labels[k], "energy_J.total"),
                                   joules, 1e-9 * joules);
        }
    refuses(CLUSTER("", ""), "", "pi-zero-2w, pi-3b+, pi-4b");
    refuses(CLUSTER("", "<prop id=\"rg_board\" value=\"pi-9\"/>"), "", "\"pi-9\" is no board");
    refuses(CLUSTER("", NAMED), "--set board=pi-9", "pi-4b");
    tells("<cluster id=\"c\" prefix=\"n\" suffix=\"\" radical=\"0-3\" speed=\"1Gf\" "
          "bw=\"125MBps\" lat=\"50us\">" NAMED "</cluster>",
          "", "speed=\"1Gf\" of <cluster>, the datasheet of pi-4b says 9.8e+09");
}

/* Links of 12.5 MB/s make a port of that, of a board by name. */
static void a_named_board_takes_the_links_rate(void)
{
    static const char slow[] = "<cluster id=\"c\" prefix=\"n\" suffix=\"\" radical=\"0-3\" "
                               "speed=\"9.8Gf\" bw=\"12.5MBps\" lat=\"1ms\">" NAMED "</cluster>";
    double wire = 6 * parameters / 4 * 4 * 1538 / 1448 / 12.5e6;
    double c = number_of(slow, "", "all-reduce", "formula.c_s");
    CU_ASSERT_DOUBLE_EQUAL(c, wire, 0.01 * wire);
    CU_ASSERT_DOUBLE_EQUAL(number_of(slow, "", "all-reduce", "formula.ratio"), 1, 0.02);
    CU_ASSERT_DOUBLE_EQUAL(number_of(slow, "", "server", "formula.ratio"), 1, 0.02);
}

/* ---- ports ---- */

static void half_duplex_counts_both_ways(void)
{
    double one = number_of(CLUSTER("", NAMED), "", "server", "formula.c_s");
    static const char *const halves[] = {
        CLUSTER("sharing_policy=\"SHARED\"", NAMED),
        CLUSTER("limiter_link=\"125MBps\"", NAMED),
    };
    for (int i = 0; i < 2; i++) {
        double c = number_of(halves[i], "", "server", "formula.c_s");
        double iteration = number_of(halves[i], "", "server", "iteration_s.mean");
        CU_ASSERT_DOUBLE_EQUAL(c, 2 * one, 0.03 * c);
        CU_ASSERT_TRUE(iteration >= c);
        CU_ASSERT_DOUBLE_EQUAL(number_of(halves[i], "", "all-reduce", "formula.ratio"), 1, 0.05);
    }
    tells(halves[0], "", "4 hosts are half duplex, n0 the first");
}

/* One link that all cross: c is all messages of all nodes. */
static void one_link_is_a_medium(void)
{
    static const char air[] = CLUSTER("bb_bw=\"125MBps\" bb_lat=\"0us\"", NAMED);
    double all = 2 * 3 * 4 * parameters * 1538 / 1448 / 125e6;
    double c = number_of(air, "", "all-reduce", "formula.c_s");
    CU_ASSERT_DOUBLE_EQUAL(c, all, 0.001 * all);
    CU_ASSERT_TRUE(number_of(air, "", "all-reduce", "iteration_s.mean") >= c);
    tells(air, "", "all messages cross one link");
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
    double all = 4 * 4 * parameters * 1538 / 1448 / 5e6;
    static const char *const labels[] = {"all-reduce", "server"};
    for (int i = 0; i < 2; i++) {
        double c = number_of(platform, "", labels[i], "formula.c_s");
        CU_ASSERT_DOUBLE_EQUAL(c, all, 0.001 * all);
        CU_ASSERT_TRUE(number_of(platform, "", labels[i], "iteration_s.mean") >= c);
        CU_ASSERT_DOUBLE_EQUAL(number_of(platform, "", labels[i], "formula.ratio"), 1, 0.05);
    }
}

/* 53.248 MB/s in both directions together, whatever the port passes in one. */
static void usb_2_is_one_bus(void)
{
    static const char *const sets[] = {
        "--set platform=" RG_SOURCE_DIR "/platforms/zero2w-usb-16.xml --set nodes=4",
        "--set platform=" RG_SOURCE_DIR "/platforms/pi3bplus-gigabit-16.xml --set nodes=4",
        "--set board=pi-3b+"};
    double bus = 2 * 6 * parameters / 4 * 4 * 1538 / 1448 / 53.248e6;
    for (int i = 0; i < 3; i++) {
        double c = number_of(CLUSTER("", ""), sets[i], "all-reduce", "formula.c_s");
        CU_ASSERT_DOUBLE_EQUAL(c, bus, 0.001 * bus);
        CU_ASSERT_DOUBLE_EQUAL(number_of(CLUSTER("", ""), sets[i], "all-reduce", "formula.ratio"),
                               1, 0.01);
        CU_ASSERT_TRUE(number_of(CLUSTER("", ""), sets[i], "server", "iteration_s.mean") >= c);
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
    char *text = replaced(scenario, "</scenario>", sweep);
    line_of(platform, "");
    snprintf(line, sizeof line, "ringsim %s --strategy all-reduce",
             scratch_text("scenario.xml", text));
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
    double wire = 2 * 4 * parameters * 1538 / 1448 / 50e6; /* the gradient, each way */
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
        replaced(scenario, "</scenario>",
                 "<sweep key=\"batch\" values=\"32,64\"/><sweep key=\"bandwidth-factor\" "
                 "values=\"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,"
                 "28,29,30\"/></scenario>");
    line_of(CLUSTER("", NAMED), "");
    snprintf(line, sizeof line,
             "prlimit --nofile=64:64 " RG_BINARY_DIR "/ringsim %s --strategy all-reduce --check",
             scratch_text("scenario.xml", text));
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
    double wanted[2] = {number_of(text, "", "all-reduce", "time_s"),
                        number_of(text, "", "server", "time_s")};
    for (size_t i = 0; i < 3; i++) {
        snprintf(text, sizeof text,
                 "<zone id=\"z\" routing=\"%s\">" NAMED "%s<router id=\"s\"/>%s</zone>",
                 routings[i], ends, UP("a") UP("b") UP("c"));
        CU_ASSERT_DOUBLE_EQUAL(number_of(text, "", "all-reduce", "time_s"), wanted[0],
                               1e-9 * wanted[0]);
        CU_ASSERT_DOUBLE_EQUAL(number_of(text, "", "server", "time_s"), wanted[1],
                               1e-9 * wanted[1]);
    }
}

static void more_than_a_port_is_refused(void)
{
    refuses("<zone id=\"z\" routing=\"Full\">" NAMED HOSTS LINK("ab", "") LINK("ac", "")
                LINK("bc", "") LINK("ba", "") LINK("ca", "") LINK("cb", "")
                    ROUTE("a", "b", OVER("ab")) ROUTE("a", "c", OVER("ac"))
                        ROUTE("b", "c", OVER("bc")) ROUTE("b", "a", OVER("ba"))
                            ROUTE("c", "a", OVER("ca")) ROUTE("c", "b", OVER("cb")) "</zone>",
            "--strategy server", "give it more than one port");
    refuses("<zone id=\"z\" routing=\"Full\">" NAMED HOSTS LINK("l", " sharing_policy=\"FATPIPE\"")
                ROUTE("a", "b", OVER("l")) ROUTE("a", "c", OVER("l")) ROUTE("b", "a", OVER("l"))
                    ROUTE("c", "a", OVER("l")) ROUTE("b", "c", OVER("l"))
                        ROUTE("c", "b", OVER("l")) "</zone>",
            "--strategy server", "more than one port");
    refuses("<zone id=\"z\" routing=\"Full\">" NAMED "<host id=\"a\" speed=\"1Gf\"/><host id=\"b\" "
            "speed=\"1Gf\"/><link id=\"l\" bandwidth=\"10Gbps\" latency=\"1us\" "
            "sharing_policy=\"SPLITDUPLEX\"/><route src=\"a\" dst=\"b\"><link_ctn id=\"l\" "
            "direction=\"UP\"/></route></zone>",
            "", "its links carry 1.25e+09 B/s from a to b, rg_port_rate says 1.25e+08");
    /* of a cluster they are taken at the port's rate */
    double slow = number_of(CLUSTER("", NAMED), "", "server", "time_s");
    double fast = number_of("<cluster id=\"c\" prefix=\"n\" suffix=\"\" radical=\"0-3\" "
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
    tells(TWO("pi-4b", "9.8Gf", "53.248MBps"), "", "(pi-4b)\n  network"); /* no notes between */
    tells(TWO("pi-zero-2w", "4.5Gf", "53.248MBps"), "", "(pi-zero-2w)\n  network");
    tells(TWO("pi-4b", "9.8Gf", "50MBps"), "", "2 hosts are half duplex, a the first");
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
        double low = number_of(STATES(" pstate=\"9\""), "", "single", fields[i]);
        double set = number_of(STATES(""), "--set clock=600e6", "single", fields[i]);
        double back = number_of(STATES(" pstate=\"9\""), "--set clock=1.5e9", "single", fields[i]);
        double high = number_of(STATES(""), "", "single", fields[i]);
        CU_ASSERT_DOUBLE_EQUAL(low, set, 1e-9 * set);
        CU_ASSERT_DOUBLE_EQUAL(back, high, 1e-9 * high);
        CU_ASSERT_TRUE(low > 1.5 * high);
    }
    refuses(STATES(" pstate=\"10\""), "", "pstate=\"10\" of <host>");
    /* its second clock is 1.4 of 1.5 GHz, 9.147e9 FLOP/s: not half */
    char *half = replaced(STATES(" pstate=\"1\""), "9.8Gf", "9.8Gf,4.9Gf");
    char *same = replaced(STATES(" pstate=\"1\""), "9.8Gf", "9.8Gf,9.147Gf");
    tells(half, "", "speed=\"9.8Gf,4.9Gf\" of <host>, the datasheet of pi-4b says 9.14");
    struct command_output output;
    char line[900];
    snprintf(line, sizeof line, "%s --check", line_of(same, ""));
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
    double two = number_of(WATTS("2:6"), "", "single", "energy_J.total");
    double three = number_of(WATTS("2:2:6"), "", "single", "energy_J.total");
    CU_ASSERT_DOUBLE_EQUAL(two, three, 1e-12 * three);
    /* a core of four is busy: 2 + (6 - 2) / 4 W, and 0.7 of the switch */
    double seconds = number_of(WATTS("2:6"), "", "single", "time_s");
    CU_ASSERT_DOUBLE_EQUAL(two, 3.7 * seconds, 1e-9 * two);
}

/* ---- profiles ---- */

#define CHANGING(LINKS, MORE)                                                                      \
    "<zone id=\"z\" routing=\"Full\">" NAMED "<host id=\"a\" speed=\"9.8Gf\"/><host id=\"b\" "     \
    "speed=\"9.8Gf\"/>" LINKS ROUTE("a", "b", OVER("u")) ROUTE("b", "a", OVER("d")) MORE "</zone>"

#define DUPLEX(ATTRIBUTES, CONNECTIONS)                                                            \
    "<zone id=\"z\" routing=\"Full\">" NAMED "<host id=\"a\" speed=\"9.8Gf\"/><host id=\"b\" "     \
    "speed=\"9.8Gf\"/>" LINK(                                                                      \
        "l",                                                                                       \
        " sharing_policy=\"SPLITDUPLEX\"" ATTRIBUTES) "<route "                                    \
                                                      "src=\"a\" dst=\"b\"><link_ctn id=\"l\" "    \
                                                      "direction=\"UP\"/></route></zone>"          \
                                                      "<trace id=\"t\" periodicity=\"-1\">0.05 "   \
                                                      "12.5e6\n</trace>" CONNECTIONS
#define CONNECT(KIND, ID) "<trace_connect kind=\"" KIND "\" trace=\"t\" element=\"" ID "\"/>"

/* SimGrid has one profile for both directions of a link. */
static void directions_change_together(void)
{
    scratch_text("early.profile", "0.05 12.5e6\n");
    double wanted =
        number_of(DUPLEX(" bandwidth_file=\"early.profile\"", ""), "", "all-reduce", "time_s");
    double both = number_of(DUPLEX("", CONNECT("BANDWIDTH", "l_UP") CONNECT("BANDWIDTH", "l_DOWN")),
                            "", "all-reduce", "time_s");
    double steady = number_of(DUPLEX("", ""), "", "all-reduce", "time_s");
    CU_ASSERT_DOUBLE_EQUAL(both, wanted, 1e-9 * wanted);
    CU_ASSERT_TRUE(both > 2 * steady);
    /* Where a worker first sends and then receives, each direction counts. */
    double one = number_of(DUPLEX(" bandwidth_file=\"early.profile\"", ""), "", "server", "time_s");
    double two = number_of(CHANGING(LINK("u", " bandwidth_file=\"early.profile\"")
                                        LINK("d", " bandwidth_file=\"early.profile\""),
                                    ""),
                           "", "server", "time_s");
    CU_ASSERT_DOUBLE_EQUAL(one, two, 1e-9 * two);
    refuses(DUPLEX("", CONNECT("BANDWIDTH", "l_UP")), "", "the same of l_DOWN is wanted too");
    refuses(DUPLEX("", CONNECT("BANDWIDTH", "l_DOWN") CONNECT("LATENCY", "l_UP")), "",
            "the same of l_UP is wanted too");
    refuses(DUPLEX("", CONNECT("BANDWIDTH", "m")), "", "there is no <link id=\"m\">");
    refuses(DUPLEX("", CONNECT("SPEED", "l")), "", "there is no <host id=\"l\">");
}

static void digest_of(const char *platform, char digest[65])
{
    json_t *result = result_of(platform, "--strategy single --set iterations=1");
    const char *text = json_string_value(json_object_get(result, "scenario_sha256"));
    snprintf(digest, 65, "%s", text ? text : "");
    CU_ASSERT_EQUAL(strlen(digest), 64);
    json_decref(result);
}

/* Two runs whose links change otherwise are no two of the same. */
static void profiles_are_in_the_digest(void)
{
    static const char *const both[] = {
        CHANGING(LINK("u", " bandwidth_file=\"d.profile\"") LINK("d", ""), ""),
        CHANGING("<trace id=\"t\" file=\"d.profile\"/>" LINK("u", "") LINK("d", ""),
                 "<trace_connect kind=\"BANDWIDTH\" trace=\"t\" element=\"u\"/>"),
    };
    char before[65], same[65], after[65];
    for (int i = 0; i < 2; i++) {
        scratch_text("d.profile", "0.5 12.5e6\n");
        digest_of(both[i], before);
        digest_of(both[i], same);
        scratch_text("d.profile", "0.5 12.4e6\n");
        digest_of(both[i], after);
        CU_ASSERT_STRING_EQUAL(before, same);
        CU_ASSERT_STRING_NOT_EQUAL(before, after);
    }
}

/* After 60 of 400 iterations, which repeat by then: a file, a <trace> with its lines inside, and
 * one in a file of its own say the same, and none of it is extrapolated. */
static void profiles_are_simulated(void)
{
    static const char *const same[] = {
        CHANGING(LINK("u", " bandwidth_file=\"slow.profile\"") LINK("d", ""), ""),
        CHANGING("<trace id=\"t\" periodicity=\"-1\">0.5 12.5e6\n</trace>" LINK("u", "")
                     LINK("d", ""),
                 "<trace_connect kind=\"BANDWIDTH\" trace=\"t\" element=\"u\"/>"),
        CHANGING("<trace id=\"t\" file=\"slow.profile\" periodicity=\"-1\"/>" LINK("u", "")
                     LINK("d", ""),
                 "<trace_connect kind=\"BANDWIDTH\" trace=\"t\" element=\"u\"/>"),
    };
    double full[3],
        steady = number_of(CHANGING(LINK("u", "") LINK("d", ""), ""), "", "all-reduce", "time_s");
    scratch_text("slow.profile", "0.5 12.5e6\n");
    for (int i = 0; i < 3; i++) {
        json_t *result = result_of(same[i], "--set iterations=400"),
               *other = result_of(same[i], "--set iterations=400 --full");
        json_t *run = command_run_of(result, "all-reduce");
        full[i] = command_number(command_run_of(other, "all-reduce"), "time_s");
        CU_ASSERT_DOUBLE_EQUAL(command_number(run, "time_s"), full[i], 1e-9 * full[i]);
        CU_ASSERT_EQUAL(command_number(run, "extrapolated_iterations"), 0);
        CU_ASSERT_DOUBLE_EQUAL(full[i], full[0], 1e-9 * full[0]);
        CU_ASSERT_TRUE(full[i] > 12 * steady);
        json_decref(result);
        json_decref(other);
    }
    directions_change_together();
    tells(same[0], "",
          "  whole       no iteration is extrapolated: the platform changes over time");
    /* twice the latency from the first message on: 40 iterations of 2 messages each way */
    scratch_text("far.profile", "0 1025e-6\n");
    double far = number_of(CHANGING(LINK("u", " latency_file=\"far.profile\"") LINK("d", ""), ""),
                           "", "server", "time_s");
    double near = number_of(CHANGING(LINK("u", "") LINK("d", ""), ""), "", "server", "time_s");
    CU_ASSERT_DOUBLE_EQUAL(far - near, 40 * 1e-3, 1e-3 + 1e-6);
}

/* ---- profiles that cannot be used ---- */

#define WITH(ATTRIBUTE) CHANGING(LINK("u", " " ATTRIBUTE) LINK("d", ""), "")
#define TRACED(CONNECTION)                                                                         \
    CHANGING("<trace id=\"t\">0.5 1\n</trace>" LINK("u", "") LINK("d", ""), CONNECTION)

static void bad_profiles_are_refused(void)
{
    static const struct {
        const char *text, *words;
    } files[] = {{"1 0.5\n0.5 1\n", "0.5 s comes after 1 s"},
                 {"PERIODICITY 1\n0 0.5\n2 1\n", "comes again after 1 s, its last date is 2 s"},
                 {"LOOPAFTER 0\n0 0.5\n", "comes again after 0 s"},
                 {"PERIODICITY 1e-300\n0 0.5\n", "1e-06 s and more are allowed"},
                 {"PERIODICITY nan\n0 0.5\n", "\"PERIODICITY nan\": seconds are wanted"},
                 {"1e999 0.5\n", "a date in seconds and a value are wanted"}};
    for (size_t i = 0; i < RG_COUNT(files); i++) {
        scratch_text("bad.profile", files[i].text);
        refuses(WITH("latency_file=\"bad.profile\""), "", files[i].words);
    }
    scratch_text("fast.profile", "1 1e9\n");
    refuses(WITH("bandwidth_file=\"fast.profile\""), "", "is above 1.25e+08");
    refuses(WITH("bandwidth_file=\"none.profile\""), "", "cannot be read");
}

static void misplaced_profiles_are_refused(void)
{
    static const struct {
        const char *platform, *words;
    } rows[] = {
        {WITH("speed_file=\"slow.profile\""), "speed_file of <link>: that of a <host> is allowed"},
        {WITH("state_file=\"slow.profile\""), "<faults>"},
        {TRACED(CONNECT("SPEED", "c")), "there is no <host id=\"c\">"},
        {TRACED(CONNECT("SPEED", "u")), "there is no <host id=\"u\">"},
        {TRACED(CONNECT("BANDWIDTH", "a")), "there is no <link id=\"a\">"},
        {CHANGING(LINK("u", "") LINK("d", " bandwidth_file=\"slow.profile\""),
                  CONNECT("BANDWIDTH", "d") "<trace id=\"t\">0.5 1\n</trace>"),
         "one is allowed"},
        {"<zone id=\"z\" routing=\"Full\"><trace id=\"t\">0 0.1\n</trace>" CLUSTER(
             "", NAMED) "<trace_connect trace=\"t\" element=\"n0\"/></zone>",
         "what a <cluster> makes has no profiles"}};
    scratch_text("slow.profile", "0.5 12.5e6\n");
    for (size_t i = 0; i < RG_COUNT(rows); i++)
        refuses(rows[i].platform, "", rows[i].words);
}

static double half_speed(const char *profile, const char *engine)
{
    static const char platform[] =
        "<zone id=\"z\" routing=\"Full\">" NAMED
        "<host id=\"a\" speed=\"9.8Gf\" speed_file=\"half.profile\"/><host id=\"b\" "
        "speed=\"9.8Gf\" speed_file=\"half.profile\"/>" LINK("l", "") ROUTE("a", "b", OVER("l"))
            ROUTE("b", "a", OVER("l")) "</zone>";
    char options[100];
    snprintf(options, sizeof options, "--strategy single --set iterations=2000 --engine %s",
             engine);
    scratch_text("half.profile", profile);
    return number_of(platform, options, "single", "time_s");
}

/* A board at half its speed in every second tenth of a second takes 4/3 of the time, to 0.05 s;
 * both hosts have one file. */
static void speeds_change(void)
{
    const char *const engines[] = {"simgrid", "calendar"};
    for (int i = 0; i < 2; i++) {
        double full = half_speed("0 1\n", engines[i]);
        double period = half_speed("PERIODICITY 0.2\n0 1\n0.1 0.5\n", engines[i]);
        double again = half_speed("LOOPAFTER 0.1\n0 1\n0.1 0.5\n", engines[i]);
        CU_ASSERT_TRUE(full > 5);
        CU_ASSERT_DOUBLE_EQUAL(period, 4 * full / 3, 0.05);
        CU_ASSERT_DOUBLE_EQUAL(again, period, 1e-9 * period);
    }
}

/* ---- what cannot be used ---- */

static void refusals_name_the_reason(void)
{
    refuses("<include file=\"x.xml\"/>", "", "<include>");
    refuses("<zone id=\"z\" routing=\"Full\">" NAMED HOSTS
            "<link id=\"l\" bandwidth=\"1gbps\" latency=\"1us\"/></zone>",
            "", "SimGrid cannot use it: unknown unit: gbps");
    refuses("<zone id=\"z\" routing=\"Vivaldi\"><host id=\"a\" speed=\"1Gf\" coordinates=\"0 0 "
            "0\"/></zone>",
            "--set board=pi-4b", "Vivaldi");
    refuses("<zone id=\"z\" routing=\"Wifi\"><prop id=\"access_point\" value=\"p\"/></zone>", "",
            "id=\"rg_medium\" value=\"shared\"");
    refuses(CLUSTER("", NAMED "<prop id=\"rg_medium_rate\" value=\"1e6\"/>"), "",
            "rg_medium_rate is of a shared medium");
    refuses(CLUSTER("", NAMED) "<actor host=\"n0\" function=\"f\"/>", "", "<actor>");
    refuses("<zone id=\"z\" routing=\"Full\">" NAMED HOSTS LINK(
                "l", "") "<route src=\"a\" dst=\"b\"><link_ctn id=\"l\"/></route><route src=\"a\" "
                         "dst=\"c\"><link_ctn id=\"l\"/></route></zone>",
            "--strategy all-reduce", "no route from b to c");
    tells("<zone id=\"z\" routing=\"Full\">" NAMED HOSTS LINK(
              "l", "") "<route src=\"a\" dst=\"b\"><link_ctn id=\"l\"/></route><route src=\"a\" "
                       "dst=\"c\"><link_ctn id=\"l\"/></route></zone>",
          "--strategy server", "c   ");
    tells("<zone id=\"z\" routing=\"Full\">" NAMED "<host id=\"a\" speed=\"9.8Gf\"/><host id=\"b\" "
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
        json_t *result = result_of(uneven, set);
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
    tells(uneven, "", "with shares=\"speed\" an iteration is predicted to take");
    refuses(uneven, "--set all-reduce.shares=32,31",
            "63 samples in all: 2 nodes share a batch of 64");
    refuses(uneven, "--set all-reduce.shares=64,0", "at least a sample each");
    refuses(uneven, "--set server.shares=32,32", "1 nodes share");
    refuses(uneven, "--set server.shares=fast", "equal|speed");
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
        {"profiles", profiles_are_simulated},
        {"bad profiles", bad_profiles_are_refused},
        {"misplaced profiles", misplaced_profiles_are_refused},
        {"speeds over time", speeds_change},
        {"profiles and the digest", profiles_are_in_the_digest},
        {"refusals", refusals_name_the_reason},
        {"shares", shares_need_not_be_equal},
        {"reports", reports},
    };
    return suite_main("kinds of platforms", tests, sizeof tests / sizeof *tests, argc, argv);
}
