/* Trainings in the mem world that leave checkpoints, and go on from them. What does not succeed
 * fails the running test. */
#ifndef RG_TESTS_SAVED_H
#define RG_TESTS_SAVED_H

#include "strategies/harness.h"

void saved_must_be_ok(const struct rg_job *job, int result, const struct rg_run *run);
/* A new folder's name; borrowed until the next. */
const char *saved_folder(void);
/* Trains until all are told to stop after an update, and leaves a checkpoint. */
void saved_stop_after(const struct rg_job *job, int64_t iterations, const char *to);
/* Goes on from there to the end; free *run with rg_run_free. */
void saved_go_on(const struct rg_job *job, const char *from, struct rg_run *run);
/* How many files have that in their names. */
int saved_files(const char *at, const char *ending);
/* Is there a checkpoint of so many iterations? */
bool saved_has(const char *at, int64_t iterations);

#endif
