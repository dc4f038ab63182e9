/* What the command line's own files have in common. */
#ifndef RG_CLI_PARTS_H
#define RG_CLI_PARTS_H

#include "cli/cli.h"
#include <stdio.h>

/* --trace-window, --trace-nodes; what they cannot be ends the program. */
void rg_cli_trace_window(struct argp_state *state, const char *text, struct rg_trace_part *part);
void rg_cli_trace_nodes(struct argp_state *state, const char *text, struct rg_trace_part *part);

/* What is written there arrives in the file `fd`, compressed as gzip does, when it is closed; that
 * stays the caller's, and empty of anything else until then. NULL: out of memory or descriptors. */
FILE *rg_cli_compressed(int fd);

#endif
