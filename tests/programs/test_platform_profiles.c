/* Links and boards that change over time, by SimGrid's profiles. Worked by hand, or two ways to say
 * one thing. */
#include "base/check.h"
#include "programs/command.h"
#include "programs/platform_cases.h"
#include "support/suite.h"

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
    platform_file("early.profile", "0.05 12.5e6\n");
    double wanted = platform_number(DUPLEX(" bandwidth_file=\"early.profile\"", ""), "",
                                    "all-reduce", "time_s");
    double both =
        platform_number(DUPLEX("", CONNECT("BANDWIDTH", "l_UP") CONNECT("BANDWIDTH", "l_DOWN")), "",
                        "all-reduce", "time_s");
    double steady = platform_number(DUPLEX("", ""), "", "all-reduce", "time_s");
    CU_ASSERT_DOUBLE_EQUAL(both, wanted, 1e-9 * wanted);
    CU_ASSERT_TRUE(both > 2 * steady);
    /* Where a worker first sends and then receives, each direction counts. */
    double one =
        platform_number(DUPLEX(" bandwidth_file=\"early.profile\"", ""), "", "server", "time_s");
    double two = platform_number(CHANGING(LINK("u", " bandwidth_file=\"early.profile\"")
                                              LINK("d", " bandwidth_file=\"early.profile\""),
                                          ""),
                                 "", "server", "time_s");
    CU_ASSERT_DOUBLE_EQUAL(one, two, 1e-9 * two);
    platform_refused(DUPLEX("", CONNECT("BANDWIDTH", "l_UP")), "",
                     "the same of l_DOWN is wanted too");
    platform_refused(DUPLEX("", CONNECT("BANDWIDTH", "l_DOWN") CONNECT("LATENCY", "l_UP")), "",
                     "the same of l_UP is wanted too");
    platform_refused(DUPLEX("", CONNECT("BANDWIDTH", "m")), "", "there is no <link id=\"m\">");
    platform_refused(DUPLEX("", CONNECT("SPEED", "l")), "", "there is no <host id=\"l\">");
}

static void digest_of(const char *platform, char digest[65])
{
    json_t *result = platform_result(platform, "--strategy single --set iterations=1");
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
        platform_file("d.profile", "0.5 12.5e6\n");
        digest_of(both[i], before);
        digest_of(both[i], same);
        platform_file("d.profile", "0.5 12.4e6\n");
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
    double full[3], steady = platform_number(CHANGING(LINK("u", "") LINK("d", ""), ""), "",
                                             "all-reduce", "time_s");
    platform_file("slow.profile", "0.5 12.5e6\n");
    for (int i = 0; i < 3; i++) {
        json_t *result = platform_result(same[i], "--set iterations=400"),
               *other = platform_result(same[i], "--set iterations=400 --full");
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
    platform_told(same[0], "",
                  "  whole       no iteration is extrapolated: the platform changes over time");
    /* twice the latency from the first message on: 40 iterations of 2 messages each way */
    platform_file("far.profile", "0 1025e-6\n");
    double far =
        platform_number(CHANGING(LINK("u", " latency_file=\"far.profile\"") LINK("d", ""), ""), "",
                        "server", "time_s");
    double near =
        platform_number(CHANGING(LINK("u", "") LINK("d", ""), ""), "", "server", "time_s");
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
        platform_file("bad.profile", files[i].text);
        platform_refused(WITH("latency_file=\"bad.profile\""), "", files[i].words);
    }
    platform_file("fast.profile", "1 1e9\n");
    platform_refused(WITH("bandwidth_file=\"fast.profile\""), "", "is above 1.25e+08");
    platform_refused(WITH("bandwidth_file=\"none.profile\""), "", "cannot be read");
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
    platform_file("slow.profile", "0.5 12.5e6\n");
    for (size_t i = 0; i < RG_COUNT(rows); i++)
        platform_refused(rows[i].platform, "", rows[i].words);
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
    platform_file("half.profile", profile);
    return platform_number(platform, options, "single", "time_s");
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

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"profiles", profiles_are_simulated},
        {"bad profiles", bad_profiles_are_refused},
        {"misplaced profiles", misplaced_profiles_are_refused},
        {"speeds over time", speeds_change},
        {"profiles and the digest", profiles_are_in_the_digest},
    };
    return suite_main("profiles of platforms", tests, sizeof tests / sizeof *tests, argc, argv);
}
