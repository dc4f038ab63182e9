/* Inside this box: what the files that read, change and seal a scenario share. */
#ifndef RG_SCENARIO_SCENARIO_PARTS_H
#define RG_SCENARIO_SCENARIO_PARTS_H

#include "scenario/settings.h"
#include "scenario/xml.h"

/* ---- scenario.c ---- */

/* The attributes of an element that the table knows, into a record. */
int rg_scenario_read_record(const struct rg_xml *xml, const struct rg_xml_element *element,
                            void *record, struct rg_error *e);
/* The array with room for one more, which is zero; NULL: memory is out, the array is as it was. */
void *rg_scenario_append(void *array, int count, size_t size);

/* ---- the reading of single elements: rg_element_info.read ---- */

typedef int rg_element_reader(const struct rg_xml *xml, const struct rg_xml_element *element,
                              struct rg_scenario *s, struct rg_error *e);
rg_element_reader rg_scenario_read_root, rg_scenario_read_data, rg_scenario_read_strategy,
    rg_scenario_read_clock;                                         /* scenario.c */
rg_element_reader rg_scenario_read_faults, rg_scenario_read_window; /* faults.c */
rg_element_reader rg_sweep_read;                                    /* sweep_xml.c */

/* ---- sweep_xml.c ---- */

int rg_sweep_check_keys(const struct rg_xml *xml, const struct rg_scenario *s, struct rg_error *e);
void rg_sweep_drop(struct rg_scenario *s, const char *key);
void rg_sweep_free_all(struct rg_scenario *s);

/* A label has neither what separates it from its parameter nor what would not show. */
#define RG_LABEL_PATTERN "[^.=|\" ]([^.=|\"]*[^.=|\" ])?"

#endif
