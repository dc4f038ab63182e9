/* Inside this box: what scenario.c, faults.c, overrides.c and seal.c share. */
#ifndef RG_SCENARIO_LIMITS_H
#define RG_SCENARIO_LIMITS_H

#include "scenario/scenario.h"
#include "scenario/text.h"
#include "scenario/xml.h"

/* What a scalar of a scenario may be, by its name as an attribute or --set key; NULL: no scalar. */
const struct rg_limit *rg_scenario_limit(const char *name);

/* <sweep>: sweep.c */
int rg_sweep_read(const struct rg_xml *xml, const struct rg_xml_element *element,
                  struct rg_scenario *s, struct rg_error *e);
int rg_sweep_check_keys(const struct rg_xml *xml, const struct rg_scenario *s, struct rg_error *e);
void rg_sweep_drop(struct rg_scenario *s, const char *key);
void rg_sweep_free_all(struct rg_scenario *s);

/* The next range of ranks in the attribute nodes="0-3,8", from *at on (at first its value), which
 * moves on behind it: 1, or 0 at the end; < 0: that is no list of ranks. */
int rg_scenario_next_ranks(const struct rg_xml *xml, const struct rg_xml_element *element,
                           const struct rg_xml_attribute *nodes, const char **at, int *first,
                           int *last, struct rg_error *e);

int rg_scenario_read_faults(const struct rg_xml *xml, const struct rg_xml_element *element,
                            struct rg_scenario *s, struct rg_error *e);

#define RG_NUMERICS_WORDS  "skip|real"         /* in the order of the bool */
#define RG_OPTIMIZER_WORDS "sgd|momentum|adam" /* in the order of rg_optimizer_infos */

#endif
