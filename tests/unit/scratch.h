/* A folder for one test's files, and complaints held against what they should say. */
#ifndef RG_TESTS_SCRATCH_H
#define RG_TESTS_SCRATCH_H

#include "base/error.h"
#include <CUnit/CUnit.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_folder[256];

static int scratch_unlink(const char *path, const struct stat *status, int flag, struct FTW *ftw)
{
    (void)status, (void)flag, (void)ftw;
    return remove(path);
}

static inline void scratch_remove(void)
{
    if (scratch_folder[0])
        nftw(scratch_folder, scratch_unlink, 8, FTW_DEPTH | FTW_PHYS);
    scratch_folder[0] = '\0';
}

/* The folder, made at the first call and removed at exit. */
static inline const char *scratch(void)
{
    if (!scratch_folder[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(scratch_folder, sizeof scratch_folder, "%.200s/ringtmp-test-XXXXXX",
                 base ? base : "/tmp");
        if (!mkdtemp(scratch_folder))
            abort();
        atexit(scratch_remove);
    }
    return scratch_folder;
}

/* Path of a file there; the last 16 asked for stay valid. */
static inline const char *scratch_path(const char *name)
{
    static char paths[16][512];
    static int next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", scratch(), name);
    return path;
}

static inline const char *scratch_bytes(const char *name, const void *bytes, size_t size)
{
    const char *path = scratch_path(name);
    FILE *stream = fopen(path, "wb");
    if (!stream || fwrite(bytes, 1, size, stream) != size || fclose(stream) != 0)
        abort();
    return path;
}

static inline const char *scratch_text(const char *name, const char *text)
{
    return scratch_bytes(name, text, strlen(text));
}

/* `text` with its first `from` replaced by `to`; malloc'ed. A missing `from` is a broken test. */
static __attribute__((noinline, unused)) char *replaced(const char *text, const char *from,
                                                        const char *to)
{
    const char *at = strstr(text, from);
    char *result = malloc(strlen(text) + strlen(to) + 1);
    if (!at || !result)
        abort();
    memcpy(result, text, (size_t)(at - text));
    strcpy(result + (at - text), to);
    strcat(result, at + strlen(from));
    return result;
}

static inline int is_one_line(const struct rg_error *e)
{
    for (const unsigned char *p = (const unsigned char *)e->text; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            return 0;
    return e->text[0] != '\0' && e->code < 0;
}

/* Does the complaint read "PATH:LINE: ..." (line 0: "PATH: ...") with all of `words` (separated by
 * '|') in it? Prints it where not. */
static inline int complains(const struct rg_error *e, const char *path, int line, const char *words)
{
    char place[600], copy[300], *rest = copy;
    int good = is_one_line(e);
    if (path) {
        snprintf(place, sizeof place, line ? "%s:%d: " : "%s: ", path, line);
        good = good && strncmp(e->text, place, strlen(place)) == 0;
    }
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word; (word = strsep(&rest, "|"));)
        good = good && strstr(e->text, word);
    if (!good)
        printf("\n    wanted %s:%d, %s\n    got    %s\n", path ? path : "", line, words, e->text);
    return good;
}

#endif
