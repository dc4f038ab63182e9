/* Runs the built programs and reads their results. */
#ifndef RG_TESTS_COMMAND_H
#define RG_TESTS_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct command_output {
    int status; /* exit status, or 1000 + signal */
    char out[65536], err[16384];
};

/* The words of `line`, separated by blanks (none within a word), are run in the source folder;
 * "ringsim" and "ringnode" are those just built. Gives up after timeout_s of a quiet machine
 * (status 1000 + SIGKILL).
 */
void command_run(const char *line, double timeout_s, struct command_output *output);
int command_lines(const char *text); /* that end in it */
int command_files_in(const char *folder);

/* A command under way, in a process group of its own. */
pid_t command_start(const char *line, const char *err_file);
int command_wait(pid_t pid, double timeout_s); /* exit status as above */
int command_group_size(pid_t pid);             /* processes of the group that still exist */

/* Runs `line --json -`, which must succeed; NULL and a failed assertion where it does not. */
json_t *command_result(const char *line, double timeout_s);
/* The same as text, but for its member "host"; the caller frees it. */
char *command_without_host(const char *line, double timeout_s);
/* The run with that label. */
json_t *command_run_of(json_t *result, const char *label);
/* "formula.ratio" of a run; NAN where it is null. */
double command_number(json_t *run, const char *path);
const char *command_text(json_t *run, const char *path);

#endif
