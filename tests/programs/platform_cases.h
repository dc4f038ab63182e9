/* A small training on platforms that a test writes out: what it takes, and what --check says. */
#ifndef RG_TESTS_PLATFORM_CASES_H
#define RG_TESTS_PLATFORM_CASES_H

#include <jansson.h>

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

/* `single`, `all-reduce` and `server`, 40 iterations of a batch of 64, numerics skipped. */
extern const char platform_cases_scenario[];
extern const double platform_cases_parameters; /* of its network */

/* "ringsim SCENARIO MORE"; `platform` is the text within <platform>. All files are written into a
 * folder that goes at exit. The line is valid until the next call. */
const char *platform_line(const char *platform, const char *more);
/* A file beside the platform; its path. "scenario.xml" replaces the scenario. */
const char *platform_file(const char *name, const char *text);
json_t *platform_result(const char *platform, const char *more); /* the caller releases it */
/* "formula.ratio" of the run with that label. */
double platform_number(const char *platform, const char *more, const char *label, const char *path);
/* --check ends with status 2 and one line that has these words. */
void platform_refused(const char *platform, const char *more, const char *words);
/* --check prints these words. */
void platform_told(const char *platform, const char *more, const char *words);

#endif
