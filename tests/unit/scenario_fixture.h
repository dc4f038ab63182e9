/* A good scenario with its network and its platform, for tests to read, and to spoil. */
#ifndef RG_TESTS_SCENARIO_FIXTURE_H
#define RG_TESTS_SCENARIO_FIXTURE_H

#include "scenario/scenario.h"
#include "scratch.h"

static const char good_scenario[] = "<?xml version=\"1.0\"?>\n"
                                    "<scenario name=\"test\" seed=\"7\">\n"
                                    "  <platform file=\"platform.xml\"/>\n"
                                    "  <network file=\"network.xml\"/>\n"
                                    "  <data kind=\"random\"\n"
                                    "        inputs=\"4\" classes=\"3\"\n"
                                    "        train=\"120\" test=\"30\"/>\n"
                                    "  <training batch=\"10\" epochs=\"2\"\n"
                                    "            learning-rate=\"0.25\"\n"
                                    "            optimizer=\"momentum\" momentum=\"0.5\"/>\n"
                                    "  <strategy label=\"one\" kind=\"single\"/>\n"
                                    "  <strategy label=\"ring 1+1\" kind=\"ring_pipeline\"\n"
                                    "            schedule=\"gpipe\" micro-batches=\"5\"/>\n"
                                    "  <!-- a > comment with < in it -->\n"
                                    "  <stop accuracy=\"0.9\"/>\n"
                                    "</scenario>\n";

/* In place of the comment on line 14. */
#define COMMENT      "<!-- a > comment with < in it -->"
#define FAULTS(TEXT) COMMENT, "<faults>\n" TEXT "</faults>"

static const char good_network[] = "<network name=\"net\" input=\"1x4x4\">\n"
                                   "  <conv2d outputs=\"2\" kernel=\"3\" padding=\"1\"/>\n"
                                   "  <maxpool kernel=\"2\"/>\n"
                                   "  <dense outputs=\"8\" activation=\"tanh\" init=\"zero\"/>\n"
                                   "  <residual hidden=\"5\"\n"
                                   "            repeat=\"3\"/>\n"
                                   "  <dense outputs=\"3\"/>\n"
                                   "</network>\n";

#define BOARD                                                                                      \
    "      <prop id=\"rg_board\" value=\"toy\"/>\n"                                                \
    "      <prop id=\"rg_cores\" value=\"4\"/>\n"                                                  \
    "      <prop id=\"rg_gemm_rate\" value=\"9.8e9\"/>\n"                                          \
    "      <prop id=\"rg_gemm_rate_all\" value=\"28.9e9\"/>\n"                                     \
    "      <prop id=\"rg_gemm_curve\" value=\"32:0.25 64:0.5 256:1\"/>\n"                          \
    "      <prop id=\"rg_vector_rate\" value=\"1e9\"/>\n"                                          \
    "      <prop id=\"rg_memory_rate\" value=\"2e9\"/>\n"                                          \
    "      <prop id=\"rg_memory_rate_all\" value=\"4e9\"/>\n"                                      \
    "      <prop id=\"rg_call_s\" value=\"2e-6\"/>\n"                                              \
    "      <prop id=\"rg_memory_bytes\" value=\"3.5e9\"/>\n"                                       \
    "      <prop id=\"rg_port_rate\" value=\"125000000\"/>\n"                                      \
    "      <prop id=\"rg_latency_s\" value=\"0.000094\"/>\n"                                       \
    "      <prop id=\"rg_frame_payload\" value=\"1448\"/>\n"                                       \
    "      <prop id=\"rg_frame_bytes\" value=\"1538\"/>\n"                                         \
    "      <prop id=\"rg_message_s\" value=\"0\"/>\n"                                              \
    "      <prop id=\"rg_byte_s\" value=\"0\"/>\n"                                                 \
    "      <prop id=\"rg_port_tx_watts\" value=\"1\"/>\n"                                          \
    "      <prop id=\"rg_port_rx_watts\" value=\"0.5\"/>\n"                                        \
    "      <prop id=\"rg_switch_watts\" value=\"0.25\"/>\n"                                        \
    "      <prop id=\"rg_clocks\" value=\"1e9\"/>\n"                                               \
    "      <prop id=\"wattage_per_state\" value=\"2:3:5\"/>\n"

static const char good_platform[] =
    "<?xml version='1.0'?>\n"
    "<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
    "<platform version=\"4.1\">\n"
    "  <zone id=\"all\" routing=\"Full\">\n"
    "    <cluster id=\"c\" prefix=\"pi-\" suffix=\".lan\" radical=\"0-2,8,10-11\" speed=\"1Gf\">\n"
    "      <prop id=\"watts\" value=\"7\"/>\n" BOARD "    </cluster>\n"
    "    <zone id=\"inner\" routing=\"Full\">\n"
    "      <host id=\"last\" speed=\"1Gf\">\n" BOARD "      </host>\n"
    "    </zone>\n"
    "    <link id=\"l\" bandwidth=\"1GBps\" latency=\"1us\"/>\n"
    "  </zone>\n"
    "</platform>\n";

static inline void write_good(void)
{
    scratch_text("scenario.xml", good_scenario);
    scratch_text("network.xml", good_network);
    scratch_text("platform.xml", good_platform);
}

/* What to put in place of what; the complaint names the line and has these words. */
struct bad {
    const char *from, *to;
    int line;
    const char *words;
};

#endif
