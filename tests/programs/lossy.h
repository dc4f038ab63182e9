/* Simulated trainings that lose nodes. */
#ifndef RG_TESTS_LOSSY_H
#define RG_TESTS_LOSSY_H

#include "programs/command.h"

/* A scenario in a file, the same at each call and removed at the end. What is said beside a few
 * things that are the same for all: attributes of <training>, those of the strategy, and what comes
 * after "<faults " up to its end: noticed="0"><off nodes="1" from="0.1"/>. */
const char *lossy_scenario(const char *training, const char *strategy, const char *faults);

/* tests/data/off.xml on three nodes, with more words before and after; the caller frees it. */
json_t *lossy_run(const char *words, const char *label, const char *more);

#endif
