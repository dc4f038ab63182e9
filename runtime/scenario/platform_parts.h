/* What the readers of a platform file share, and nobody else. */
#ifndef RG_PLATFORM_PARTS_H
#define RG_PLATFORM_PARTS_H

#include "scenario/scenario.h"
#include "scenario/xml.h"

/* "125MBps", "1Gbps", "1.5e6": bytes a second, as SimGrid reads it. */
double rg_platform_rate(const char *text);

/* ---- profiles_xml.c ---- */

/* What is said of change over time in an element and all below it; notes it in *platform. */
int rg_platform_read_profiles(const struct rg_xml *xml, const struct rg_xml_element *element,
                              struct rg_platform *platform, struct rg_error *e);

#endif
