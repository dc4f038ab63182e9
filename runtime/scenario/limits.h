/* Inside this box: what scenario.c, overrides.c and seal.c share. */
#ifndef RG_SCENARIO_LIMITS_H
#define RG_SCENARIO_LIMITS_H

#include "scenario/scenario.h"
#include "scenario/text.h"

/* What a scalar of a scenario may be, by its name as an attribute or --set key; NULL: no scalar. */
const struct rg_limit *rg_scenario_limit(const char *name);

struct rg_xml;
struct rg_xml_element;

/* <sweep>: sweep.c */
int rg_sweep_read(const struct rg_xml *xml, const struct rg_xml_element *element,
                  struct rg_scenario *s, struct rg_error *e);
int rg_sweep_check_keys(const struct rg_xml *xml, const struct rg_scenario *s, struct rg_error *e);
void rg_sweep_drop(struct rg_scenario *s, const char *key);
void rg_sweep_free_all(struct rg_scenario *s);

#define RG_NUMERICS_WORDS "skip|real" /* in the order of the bool */

#endif
