/* Files that appear whole or not at all.
 *
 * Happy path: open a file without a name in the folder of the target (what the path stands for,
 * where it is a link), write; sync it and the folder, name it, and rename it over the target. Where
 * a file system knows of no files without a name, it has one from the beginning that nobody can
 * guess. Failure modes handled: the folder is missing or not writable (reported at open, before any
 * work), the disk is full (reported at commit, target untouched), something or somebody has put a
 * link in the way (never followed), an interruption (temporary files of this process are unlinked
 * by rg_file_abandon_all, which is safe in a signal handler), a machine that loses power (old file
 * or new, whole). */
#ifndef RG_BASE_FILE_H
#define RG_BASE_FILE_H

#include "base/error.h"
#include <stdbool.h>
#include <stdio.h>

#define RG_FILE_PATH 4096

struct rg_file {
    FILE *stream;                    /* write here; standard output when the path is "-" */
    char *path, *target, *temporary; /* as given; what that points to; until it is whole */
    struct rg_file_sink *sink;       /* where the stream goes, and the first error on the way */
    bool nameless;                   /* `temporary` is a name only while it is put in place */
};

int rg_file_open(struct rg_file *file, const char *path, struct rg_error *e);
/* The same, of a plain file at just that path: a link that stands there is replaced, not followed.
 */
int rg_file_open_plain(struct rg_file *file, const char *path, struct rg_error *e);
int rg_file_descriptor(const struct rg_file *file); /* not of standard output */
/* As every file has them: little-endian. What is wrong with the stream is the stream's to say. */
void rg_write_floats(FILE *stream, const float *values, size_t count);
int rg_file_commit(struct rg_file *file, struct rg_error *e); /* closes either way */
void rg_file_abandon(struct rg_file *file);
void rg_file_abandon_all(void);
/* From here on SIGINT and SIGTERM end the program with `status`, after rg_file_abandon_all; until a
 * program that has more to bring to an end catches them itself. */
void rg_file_abandon_on_signals(int status);
/* The temporary file of a process, forked by this one, that did not live to do it itself. */
void rg_file_abandon_of(const char *path, long pid);

/* Symbolic links that end the path, followed one by one: the last need not point to anything. 0, or
 * -1 with errno: too many of them, or too long. */
int rg_file_follow(const char *path, char target[RG_FILE_PATH]);

/* Could rg_file_open succeed? Leaves nothing behind. */
int rg_file_can_write(const char *path, struct rg_error *e);

/* The first line of a text without the UTF-8 byte-order mark that some editors begin it with. */
char *rg_skip_mark(char *line);

/* All of it to, or from, a pipe; false: the other end is gone, or an error. */
bool rg_pipe_write(int fd, const void *data, size_t size);
bool rg_pipe_read(int fd, void *data, size_t size);

#endif
