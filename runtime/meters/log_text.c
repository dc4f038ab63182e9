/* Lines of a log, gzip or not, in blocks of constant size: a day's log is read in the memory of
 * two.
 *
 * Happy path: two blocks are held. What is before a run goes unread, block by block, as long as the
 * last line of the block behind is before it as well.
 * Failure modes handled: a file that is not there or cannot be read; a gzip member that is cut, the
 * rest of which is yet to come; UTF-16; a line beyond all measure. */
#include "meters/log_records.h"

#include "base/check.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 2 * RG_LOG_BLOCK + RG_LOG_LINE, RAW = RG_LOG_BLOCK + RG_LOG_LINE };

void rg_log_close(struct rg_log_text *text)
{
    if (text->stream)
        gzclose(text->stream);
    free(text->buffer);
    free(text->records);
    free(text->raw);
    *text = (struct rg_log_text){0};
}

/* More of the file behind what is there, up to so many bytes. */
static int read_more(struct rg_log_text *text, char *buffer, size_t *used, size_t room,
                     struct rg_error *e)
{
    while (!text->dry && *used < room) {
        int code, got = gzread(text->stream, buffer + *used,
                               (unsigned)RG_MIN((size_t)RG_LOG_BLOCK, room - *used));
        const char *why = gzerror(text->stream, &code);
        *used += got > 0 ? (size_t)got : 0;
        if (got > 0)
            continue;
        text->dry = true;
        text->cut = code == Z_BUF_ERROR; /* the member is still being written */
        if (got < 0 && !text->cut)
            return rg_fail(e, RG_ERR_IO, "%.300s: cannot be read: %.100s", text->path,
                           code == Z_ERRNO ? strerror(errno) : why);
    }
    return 0;
}

/* Lines of records to rows, as long as there is room for one. */
static void pour(struct rg_log_text *text)
{
    const char *p = text->raw, *end = text->raw + text->raw_used, *stop;
    while (text->used + RG_LOG_LINE <= ROOM && (stop = memchr(p, '\n', (size_t)(end - p)))) {
        struct rg_slice line = {p, (size_t)(stop - p), false};
        text->used += rg_log_records_row(text->records, line, text->buffer + text->used);
        p = stop + 1;
    }
    text->raw_used = (size_t)(end - p);
    memmove(text->raw, p, text->raw_used);
}

/* As much as there is room for; the unread part moves to the front. */
static int fill(struct rg_log_text *text, struct rg_error *e)
{
    memmove(text->buffer, text->buffer + text->next, text->used - text->next);
    text->used -= text->next;
    text->next = 0;
    int result = 0;
    if (!text->records)
        result = read_more(text, text->buffer, &text->used, ROOM, e);
    for (size_t before = text->used + 1; text->records && before != text->used && result == 0;) {
        before = text->used;
        result = read_more(text, text->raw, &text->raw_used, RAW, e);
        pour(text);
    }
    text->ended = text->dry && (!text->records || text->used + RG_LOG_LINE <= ROOM);
    return result;
}

/* What was read so far is no table: it becomes one, with a heading of its names. */
static int begin_records(struct rg_log_text *text, struct rg_error *e)
{
    struct rg_log_records *records = malloc(sizeof *records);
    const struct rg_slice first = {text->buffer + text->next,
                                   RG_MIN(text->used - text->next, (size_t)RG_LOG_BLOCK), false};
    bool found = records && rg_log_records_find(records, first);
    if (records && !found) {
        free(records);
        return 0;
    }
    text->records = records;
    text->raw = malloc(ROOM);
    if (!records || !text->raw)
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    text->raw_used = text->used - text->next;
    memcpy(text->raw, text->buffer + text->next, text->raw_used);
    text->next = 0;
    text->used = rg_log_records_heading(records, text->buffer);
    text->line = -1;
    return fill(text, e);
}

/* A whole file that is one array, of objects or, as Home Assistant has histories, of arrays. */
static int refuse_array(const struct rg_log_text *text, struct rg_error *e)
{
    const char *p = text->buffer + text->next, *end = text->buffer + text->used;
    char opening[2] = "";
    for (size_t n = 0; p < end && n < sizeof opening; p++)
        if (!isspace((unsigned char)*p))
            opening[n++] = *p;
    if (opening[0] != '[' || !strchr("[{", opening[1]) || !opening[1])
        return 0;
    return rg_fail_at(e, text->path, 1,
                      "JSON: an object a line is wanted, with a date, not an array: jq -c '.[]%s' "
                      "makes lines of it%s",
                      opening[1] == '[' ? "[]" : "",
                      opening[1] == '[' ? " (Home Assistant: then csv:FILE:state)" : "");
}

int rg_log_open(struct rg_log_text *text, const char *path, struct rg_error *e)
{
    *text = (struct rg_log_text){.path = path};
    errno = 0;
    text->stream = gzopen(path, "rbe");
    if (!text->stream)
        return rg_fail(e, errno == ENOMEM ? RG_ERR_NOMEM : RG_ERR_IO, "%.300s: %s", path,
                       strerror(errno ? errno : ENOMEM));
    gzbuffer(text->stream, RG_LOG_BLOCK / 2);
    text->buffer = malloc(ROOM);
    int result =
        text->buffer ? fill(text, e) : rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    const unsigned char *b = (const unsigned char *)text->buffer;
    if (result == 0 && text->used >= 2 && (b[0] ^ b[1]) == (0xff ^ 0xfe) && b[0] >= 0xfe)
        result = rg_fail_at(e, path, 1, "is in UTF-16: UTF-8 or ASCII is wanted (iconv -f UTF-16)");
    if (result == 0 && text->used >= 3 && memcmp(b, "\xef\xbb\xbf", 3) == 0)
        text->next = 3;
    if (result == 0)
        result = refuse_array(text, e);
    if (result == 0)
        result = begin_records(text, e);
    if (result)
        rg_log_close(text);
    return result;
}

int rg_log_line(struct rg_log_text *text, struct rg_slice *line, struct rg_error *e)
{
    char *begin = text->buffer + text->next;
    char *end = memchr(begin, '\n', text->used - text->next);
    if (!end && !text->ended) {
        int result = fill(text, e);
        if (result)
            return result;
        begin = text->buffer;
        end = memchr(begin, '\n', text->used);
    }
    if (!end && !text->ended)
        return rg_fail_at(e, text->path, (int)text->line + 1,
                          "a line of more than %d bytes: no log", RG_LOG_LINE);
    if (!end)
        return 0;
    text->line++;
    text->next = (size_t)(end + 1 - text->buffer);
    *line = (struct rg_slice){begin, (size_t)(end - begin), false};
    return 1;
}

/* The last whole line before `end` that has a date. */
static bool last_date(const struct rg_log_text *text, size_t end, rg_log_dater date_of, void *arg,
                      double *date_s)
{
    const char *stop = memrchr(text->buffer + text->next, '\n', end - text->next);
    for (int tries = 0; stop && tries < 8; tries++) { /* empty lines, comments, headings */
        const char *from = text->buffer + text->next;
        const char *before = stop > from ? memrchr(from, '\n', (size_t)(stop - from)) : NULL;
        const char *at = before ? before + 1 : from;
        if (date_of(arg, (struct rg_slice){at, (size_t)(stop - at), false}, date_s))
            return true;
        stop = before;
    }
    return false;
}

static int64_t count_lines(const char *at, size_t length)
{
    int64_t count = 0;
    while (length) { /* in pieces that compilers make vectors of bytes of */
        size_t piece = RG_MIN(length, (size_t)192);
        unsigned char n = 0;
        for (size_t i = 0; i < piece; i++)
            n = (unsigned char)(n + (at[i] == '\n'));
        count += n;
        at += piece;
        length -= piece;
    }
    return count;
}

int rg_log_skip(struct rg_log_text *text, double before_s, rg_log_dater date_of, void *arg,
                struct rg_error *e)
{
    double date_s;
    for (;;) {
        int result = fill(text, e);
        if (result || text->ended || text->used < ROOM)
            return result;
        char *end = memrchr(text->buffer, '\n', RG_LOG_BLOCK);
        if (!end || !last_date(text, text->used, date_of, arg, &date_s) || date_s >= before_s)
            return 0;
        size_t passed = (size_t)(end + 1 - text->buffer);
        text->line += count_lines(text->buffer, passed);
        text->next = passed;
    }
}
