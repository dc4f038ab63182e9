/* What the readers of a platform file share, and nobody else. */
#ifndef RG_PLATFORM_PARTS_H
#define RG_PLATFORM_PARTS_H

#include "scenario/scenario.h"
#include "scenario/xml.h"

/* "125MBps", "1Gbps", "1.5e6": bytes a second, as SimGrid reads it. */
double rg_platform_rate(const char *text);

/* ---- profiles_xml.c ---- */

/* The element of that id below another; one direction of a split-duplex link, "l_UP", is its link.
 * NULL: there is none. */
const struct rg_xml_element *rg_platform_find(const struct rg_xml_element *from, const char *name,
                                              const char *id);

/* What is said of change over time in an element and all below it; notes it in *platform. */
int rg_platform_read_profiles(const struct rg_xml *xml, const struct rg_xml_element *element,
                              struct rg_platform *platform, struct rg_error *e);

/* ---- platform_write.c ---- */

/* A host or cluster whose datasheet came by name: SimGrid gets its speeds, cores and watts from
 * that. Called in document order. */
int rg_platform_rewrite(struct rg_platform *platform, const struct rg_xml_element *element,
                        const struct rg_board *board, struct rg_error *e);
/* Once all is read: fills in platform->loaded. */
int rg_platform_write(const struct rg_xml *xml, struct rg_platform *platform, struct rg_error *e);

#endif
