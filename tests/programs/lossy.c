#include "programs/lossy.h"

#include "unit/scratch.h"

const char *lossy_scenario(const char *training, const char *strategy, const char *faults)
{
    char text[1200];
    snprintf(text, sizeof text,
             "<scenario name=\"off\" seed=\"5\">\n"
             "  <platform file=\"" RG_SOURCE_DIR "/platforms/pi4-gigabit-64.xml\"/>\n"
             "  <network file=\"" RG_SOURCE_DIR "/tests/data/odd-widths.xml\"/>\n"
             "  <data kind=\"random\" train=\"120\" test=\"20\" inputs=\"19\" classes=\"5\"/>\n"
             "  <training batch=\"24\" learning-rate=\"0.05\" %s/>\n"
             "  <strategy %s/>\n"
             "  <faults %s</faults>\n"
             "</scenario>\n",
             training, strategy, faults);
    return scratch_text("off.xml", text);
}

json_t *lossy_run(const char *words, const char *label, const char *more)
{
    char line[400];
    snprintf(line, sizeof line, "ringsim tests/data/off.xml --set nodes=3 --strategy %s %s %s",
             label, words, more);
    return command_result(line, 60);
}
