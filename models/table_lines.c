/* Lines of a plain or gzipped file, read in blocks.
 *
 * Failure modes handled, each with file and line: a file that cannot be read, broken compression, a
 * zero byte (16-bit text has them), a line that no memory is left for. */
#include "models/table_text.h"

#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 19 };

int rg_lines_open(struct rg_lines *lines, const char *path, struct rg_error *e)
{
    *lines = (struct rg_lines){.path = path};
    errno = 0;
    lines->stream = gzopen(path, "rb");
    if (!lines->stream)
        return rg_fail(e, RG_ERR_IO, "%s", errno ? strerror(errno) : "out of memory");
    gzbuffer(lines->stream, BLOCK);
    return 0;
}

void rg_lines_close(struct rg_lines *lines)
{
    if (lines->stream)
        gzclose(lines->stream);
    free(lines->buffer);
    *lines = (struct rg_lines){0};
}

/* More of the file behind what is unread, which moves to the front. */
static int fill_buffer(struct rg_lines *lines, struct rg_error *e)
{
    size_t unread = lines->end - lines->begin;
    if (unread > 0)
        memmove(lines->buffer, lines->buffer + lines->begin, unread);
    lines->begin = 0;
    lines->end = unread;
    if (lines->room < unread + BLOCK + 1) {
        size_t room = 2 * unread + BLOCK + 1;
        char *buffer = realloc(lines->buffer, room);
        if (!buffer)
            return rg_fail_at(e, lines->path, lines->line + 1, "no memory for a line of %zu bytes",
                              unread);
        lines->buffer = buffer;
        lines->room = room;
    }
    int got = gzread(lines->stream, lines->buffer + unread, BLOCK), code;
    const char *reason = gzerror(lines->stream, &code);
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END))
        return rg_fail_at(e, lines->path, lines->line + 1, "cannot be read: %s",
                          code == Z_ERRNO       ? strerror(errno)
                          : code == Z_BUF_ERROR ? "the compressed file is truncated"
                                                : reason);
    lines->end += (size_t)got;
    lines->ended = got == 0;
    return 0;
}

int rg_lines_any(struct rg_lines *lines, char **line, size_t *length, struct rg_error *e)
{
    char *start, *stop = NULL;
    size_t seen = 0; /* bytes of the line in which there is no end */
    for (;;) {
        start = lines->buffer + lines->begin;
        size_t unread = lines->end - lines->begin;
        if (unread > seen)
            stop = memchr(start + seen, '\n', unread - seen);
        if (stop || lines->ended)
            break;
        seen = unread;
        int err = fill_buffer(lines, e);
        if (err < 0)
            return err;
    }
    if (!stop && lines->end == lines->begin)
        return 0;
    if (!stop)
        stop = lines->buffer + lines->end;
    size_t n = (size_t)(stop - start);
    lines->begin += n + (stop < lines->buffer + lines->end);
    lines->line++;
    *stop = '\0';
    if (memchr(start, '\0', n))
        return rg_fail_at(e, lines->path, lines->line,
                          "a zero byte: only text is allowed, in UTF-8"
                          " or any other code of 8 bits");
    while (n > 0 && (start[n - 1] == '\r' || start[n - 1] == ' '))
        start[--n] = '\0';
    if (lines->line == 1 && memchr(start, '\r', n))
        return rg_fail_at(e, lines->path, 1,
                          "a carriage return inside the line: lines end with a line feed, or with "
                          "both");
    *line = lines->line == 1 ? rg_skip_mark(start) : start;
    *length = n - (size_t)(*line - start);
    return 1;
}

bool rg_lines_is_hint(const struct rg_lines *lines, const char *line)
{
    return lines->line == 1 && strncmp(line, "sep=", 4) == 0 && line[4] && !line[5];
}

int rg_lines_next(struct rg_lines *lines, char **line, size_t *length, struct rg_error *e)
{
    int got;
    while ((got = rg_lines_any(lines, line, length, e)) > 0)
        if ((*line)[strspn(*line, " \t\f\v")] != '\0' && **line != '#' &&
            !rg_lines_is_hint(lines, *line))
            break;
    return got;
}
