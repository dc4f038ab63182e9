#include "programs/platform_cases.h"

#include "programs/command.h"
#include "support/suite.h"
#include "unit/scratch.h"

const char platform_cases_scenario[] =
    "<scenario name=\"k\" seed=\"1\"><platform file=\"platform.xml\"/><network file=\"net.xml\"/>"
    "<data kind=\"random\" inputs=\"256\" classes=\"10\" train=\"640\" test=\"10\"/>"
    "<training batch=\"64\" iterations=\"40\" learning-rate=\"0.1\" numerics=\"skip\"/>"
    "<strategy label=\"single\" kind=\"single\"/>"
    "<strategy label=\"all-reduce\" kind=\"ring_allreduce\" overlap=\"no\" buckets=\"1\"/>"
    "<strategy label=\"server\" kind=\"parameter_server\"/></scenario>\n";

/* 256 x 512 + 512 + 512 x 10 + 10 parameters. */
static const char network[] = "<network name=\"n\" input=\"256\"><dense outputs=\"512\" "
                              "activation=\"relu\"/><dense outputs=\"10\"/></network>\n";
const double platform_cases_parameters = 256 * 512 + 512 + 512 * 10 + 10;

static const char head[] = "<?xml version=\"1.0\"?>\n<!DOCTYPE platform SYSTEM "
                           "\"https://simgrid.org/simgrid.dtd\">\n<platform version=\"4.1\">\n";

const char *platform_file(const char *name, const char *text)
{
    return scratch_text(name, text);
}

const char *platform_line(const char *platform, const char *more)
{
    static char line[900];
    char text[8000];
    snprintf(text, sizeof text, "%s%s</platform>\n", head, platform);
    scratch_text("platform.xml", text);
    scratch_text("net.xml", network);
    snprintf(line, sizeof line, "ringsim %s %s",
             scratch_text("scenario.xml", platform_cases_scenario), more);
    return line;
}

json_t *platform_result(const char *platform, const char *more)
{
    return command_result(platform_line(platform, more), 60);
}

double platform_number(const char *platform, const char *more, const char *label, const char *path)
{
    json_t *result = platform_result(platform, more);
    double number = command_number(command_run_of(result, label), path);
    json_decref(result);
    return number;
}

void platform_refused(const char *platform, const char *more, const char *words)
{
    struct command_output output;
    char line[900];
    snprintf(line, sizeof line, "%s --check", platform_line(platform, more));
    command_run(line, 60, &output);
    const char *end = strchr(output.err, '\n');
    if (output.status != 2 || !strstr(output.err, words) || !end || end[1])
        printf("\n    wanted %s\n    got %d %s\n", words, output.status, output.err);
    CU_ASSERT_EQUAL(output.status, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, words));
}

void platform_told(const char *platform, const char *more, const char *words)
{
    struct command_output output;
    char line[900];
    snprintf(line, sizeof line, "%s --check", platform_line(platform, more));
    command_run(line, 60, &output);
    if (!strstr(output.out, words))
        printf("\n    wanted %s\n    got %s%s\n", words, output.out, output.err);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, words));
}
