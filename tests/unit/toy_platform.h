/* A platform of boards whose model is round numbers, for tests of what is done with a platform. */
#ifndef RG_TESTS_TOY_PLATFORM_H
#define RG_TESTS_TOY_PLATFORM_H

#include "scratch.h"

/* Writes platform.xml: hosts n0, n1, ... as the range ("0-7") says. */
static inline void write_toy_platform(const char *range)
{
    char *text = replaced("<platform version=\"4.1\"><zone id=\"z\" routing=\"Full\">\n"
                          "<cluster id=\"c\" prefix=\"n\" suffix=\"\" radical=\"RANGE\">\n"
                          "<prop id=\"rg_board\" value=\"toy\"/>\n"
                          "<prop id=\"rg_cores\" value=\"4\"/>\n"
                          "<prop id=\"rg_gemm_rate\" value=\"1e9\"/>\n"
                          "<prop id=\"rg_gemm_rate_all\" value=\"3e9\"/>\n"
                          "<prop id=\"rg_gemm_curve\" value=\"1:1\"/>\n"
                          "<prop id=\"rg_vector_rate\" value=\"1e9\"/>\n"
                          "<prop id=\"rg_memory_rate\" value=\"1e9\"/>\n"
                          "<prop id=\"rg_memory_rate_all\" value=\"1e9\"/>\n"
                          "<prop id=\"rg_call_s\" value=\"0\"/>\n"
                          "<prop id=\"rg_memory_bytes\" value=\"2e9\"/>\n"
                          "<prop id=\"rg_port_rate\" value=\"1e8\"/>\n"
                          "<prop id=\"rg_latency_s\" value=\"0\"/>\n"
                          "<prop id=\"rg_frame_payload\" value=\"1\"/>\n"
                          "<prop id=\"rg_frame_bytes\" value=\"1\"/>\n"
                          "<prop id=\"rg_message_s\" value=\"0\"/>\n"
                          "<prop id=\"rg_byte_s\" value=\"0\"/>\n"
                          "<prop id=\"rg_port_tx_watts\" value=\"1\"/>\n"
                          "<prop id=\"rg_port_rx_watts\" value=\"0.5\"/>\n"
                          "<prop id=\"rg_switch_watts\" value=\"0.25\"/>\n"
                          "<prop id=\"rg_clocks\" value=\"1e9\"/>\n"
                          "<prop id=\"wattage_per_state\" value=\"2:3:5\"/>\n"
                          "</cluster></zone></platform>\n",
                          "RANGE", range);
    scratch_text("platform.xml", text);
    free(text);
}

#endif
