/* --trace: which part of a run its timeline shows, and how it is written. */
#include "cli/cli_parts.h"

#include "base/check.h"
#include <math.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define WINDOW_ALLOWED                                                                             \
    "FROM:TO in training time is allowed, FROM before TO, as in 10s:12s, 500ms:, :2min"

void rg_cli_trace_window(struct argp_state *state, const char *text, struct rg_trace_part *part)
{
    const char *colon = strchr(text, ':');
    size_t first = colon ? (size_t)(colon - text) : 0, second = colon ? strlen(colon + 1) : 0;
    double from_s = first ? rg_text_seconds(text, first) : 0;
    double to_s = second ? rg_text_seconds(colon + 1, second) : INFINITY;
    if (first + second == 0 || from_s < 0 || !(to_s > from_s))
        argp_failure(state, RG_EXIT_USAGE, 0, "--trace-window %.60s: " WINDOW_ALLOWED, text);
    part->from_s = from_s;
    part->to_s = second ? to_s : 0;
}

void rg_cli_trace_nodes(struct argp_state *state, const char *text, struct rg_trace_part *part)
{
    int first, last, used = 0;
    const char *at = text;
    for (part->range_count = 0; (used = rg_text_range(at, RG_TEXT_RANKS, &first, &last)) > 0;
         at += used) {
        if (part->range_count == RG_TRACE_RANGES)
            argp_failure(state, RG_EXIT_USAGE, 0, "--trace-nodes: up to %d ranges are allowed",
                         RG_TRACE_RANGES);
        part->ranges[part->range_count][0] = first;
        part->ranges[part->range_count++][1] = last;
    }
    if (used < 0 || part->range_count == 0)
        argp_failure(state, RG_EXIT_USAGE, 0,
                     "--trace-nodes %.60s: numbers of nodes are allowed, as in 0-7,12", text);
}

/* ---- compressed files ---- */

static ssize_t write_compressed(void *file, const char *bytes, size_t size)
{
    return gzwrite(file, bytes, (unsigned)size) == (int)size ? (ssize_t)size : 0;
}

static int close_compressed(void *file)
{
    return gzclose(file) == Z_OK ? 0 : EOF;
}

FILE *rg_cli_compressed(int into)
{
    int fd = dup(into);
    gzFile file = fd >= 0 ? gzdopen(fd, "wb") : NULL;
    const cookie_io_functions_t functions = {.write = write_compressed, .close = close_compressed};
    FILE *out = file ? fopencookie(file, "w", functions) : NULL;
    if (file && !out)
        gzclose(file);
    else if (fd >= 0 && !file)
        close(fd);
    return out;
}
