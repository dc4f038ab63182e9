/* Inside this box: what the files that read, change and seal a scenario share. */
#ifndef RG_SCENARIO_SCENARIO_PARTS_H
#define RG_SCENARIO_SCENARIO_PARTS_H

#include "scenario/settings.h"
#include "scenario/xml.h"

/* ---- settings_xml.c ---- */

/* The attributes of an element that the table knows, into the scenario, or (s NULL) into a record.
 */
int rg_scenario_read_settings(const struct rg_xml *xml, const struct rg_xml_element *element,
                              struct rg_scenario *s, void *record, struct rg_error *e);
/* No attributes but those of the table and these (NULL: no others). */
int rg_scenario_only_settings(const struct rg_xml *xml, const struct rg_xml_element *element,
                              const struct rg_data_attribute *others, struct rg_error *e);
/* The array with room for one more, which is zero; NULL: memory is out, the array is as it was. */
void *rg_scenario_append(void *array, int count, size_t size);

/* ---- faults.c: rg_element_info.read ---- */

int rg_scenario_read_off(const struct rg_xml *xml, const struct rg_xml_element *element,
                         struct rg_scenario *s, struct rg_error *e);
int rg_scenario_read_faults(const struct rg_xml *xml, const struct rg_xml_element *element,
                            struct rg_scenario *s, struct rg_error *e);
int rg_scenario_read_window(const struct rg_xml *xml, const struct rg_xml_element *element,
                            struct rg_scenario *s, struct rg_error *e);

/* ---- sweep_xml.c ---- */

int rg_sweep_read(const struct rg_xml *xml, const struct rg_xml_element *element,
                  struct rg_scenario *s, struct rg_error *e);
int rg_sweep_check_keys(const struct rg_xml *xml, const struct rg_scenario *s, struct rg_error *e);
void rg_sweep_drop(struct rg_scenario *s, const char *key);
void rg_sweep_free_all(struct rg_scenario *s);

#endif
