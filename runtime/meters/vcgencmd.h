/* vcgencmd, which asks the firmware of a Raspberry Pi.
 *
 * Happy path: the command, found on PATH, is run with an argument, and says something. Under
 * another root ROOT/usr/bin/vcgencmd is run, or read where it is a text. Failure modes handled:
 * there is no such command, it fails, or hangs (ended after two seconds). */
#ifndef RG_METERS_VCGENCMD_H
#define RG_METERS_VCGENCMD_H

#include "base/error.h"
#include <stdbool.h>

enum { RG_VCGENCMD_OUTPUT = 16384 };

struct rg_vcgencmd {
    char path[400];
    bool is_text;
};

/* RG_ERR_INVALID: none on PATH. */
int rg_vcgencmd_find(const char *root, struct rg_vcgencmd *command, struct rg_error *e);
/* All that it says. RG_ERR_INVALID: it is not there; RG_ERR_IO, RG_ERR_PROTOCOL otherwise. */
int rg_vcgencmd_ask(const struct rg_vcgencmd *command, const char *argument,
                    char text[RG_VCGENCMD_OUTPUT], struct rg_error *e);

#endif
