/* Files of measured seconds, "profiles": JSON, schema RG_MEASURED_SCHEMA (docs/profiles.md).
 *
 * Happy path: the whole file is read and held against the network that it is to be of.
 * Failure modes handled, each with the file, what is wrong and what is allowed: no JSON, or the
 * beginning of some (with its line); another network's, by its digest; batches or layers that are
 * missing, there twice or unknown; seconds that are negative or no numbers. */
#ifndef RG_RESULT_MEASURED_FILE_H
#define RG_RESULT_MEASURED_FILE_H

#include "base/error.h"
#include "boards/measured.h"
#include "models/network.h"
#include <stdio.h>

#define RG_MEASURED_SCHEMA "ringtmp-profile-1"

/* Errors: RG_ERR_INVALID, RG_ERR_NOMEM, RG_ERR_IO (of the network); *measured is then empty. */
int rg_measured_load(const char *file, const struct rg_network *network,
                     struct rg_measured *measured, struct rg_error *e);
void rg_measured_save(const struct rg_measured *measured, const struct rg_network *network,
                      FILE *stream);
/* Room for these batches of a network, which rise, all seconds 0. false: out of memory. */
bool rg_measured_make(struct rg_measured *measured, const struct rg_network *network,
                      const int *batches, int count);

#endif
