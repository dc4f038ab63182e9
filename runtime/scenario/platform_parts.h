/* What the readers of a platform file share, and nobody else. */
#ifndef RG_PLATFORM_PARTS_H
#define RG_PLATFORM_PARTS_H

#include "scenario/scenario.h"
#include "scenario/xml.h"

/* "125MBps", "1Gbps", "1.5e6": bytes a second, as SimGrid reads it. */
double rg_platform_rate(const char *text);

/* ---- board_xml.c ---- */

/* Reading under way: boards are numbered while their array may still move. */
struct rg_platform_reader {
    const struct rg_xml *xml;
    struct rg_platform *platform;
    const char *forced; /* name of every host's board (--set board); NULL: as the file says */
    const char *name;   /* the board that the zones around say; NULL: none */
    int *kind;          /* [hosts] */
    int room;
    struct rg_error *e;
};

/* The board of a <host> or <cluster>. *named: its name alone was given, of all that the file could
 * say: what SimGrid reads is written anew. RG_ERR_INVALID with file and line in *r->e. */
int rg_platform_read_board(struct rg_platform_reader *r, const struct rg_xml_element *element,
                           struct rg_board *board, bool *named);
/* Is it a name that stands for a datasheet, for --set board? NULL: none is asked for. */
int rg_platform_check_board(const char *name, struct rg_error *e);

/* ---- profiles_xml.c ---- */

/* The element of that id below another; one direction of a split-duplex link, "l_UP", is its link.
 * NULL: there is none. */
const struct rg_xml_element *rg_platform_find(const struct rg_xml_element *from, const char *name,
                                              const char *id);

/* Does an attribute of a <host> or <link> name a profile? */
bool rg_platform_is_profile(const char *attribute);
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
