/* Errors and assertions. */
#include "base/check.h"
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rg_copy_text(char *to, size_t size, const char *text)
{
    size_t length = strlen(text);
    if (length >= size)
        for (length = size - 1; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;)
            length--;
    memcpy(to, text, length);
    to[length] = '\0';
}

const char *rg_strerror(int code)
{
    switch (code) {
    case 0:
        return "success";
#define RG_X(name, text)                                                                           \
    case name:                                                                                     \
        return text;
        RG_ERRORS(RG_X)
#undef RG_X
    default:
        return "unknown error";
    }
}

int rg_fail(struct rg_error *e, int code, const char *format, ...)
{
    if (e) {
        va_list args;
        va_start(args, format);
        e->code = code;
        vsnprintf(e->text, sizeof e->text, format, args);
        va_end(args);
    }
    return code;
}

int rg_fail_at(struct rg_error *e, const char *file, int line, const char *format, ...)
{
    if (e) {
        va_list args;
        va_start(args, format);
        int n = line > 0 ? snprintf(e->text, sizeof e->text, "%s:%d: ", file, line)
                         : snprintf(e->text, sizeof e->text, "%s: ", file);
        e->code = RG_ERR_INVALID;
        if (n > 0 && (size_t)n < sizeof e->text)
            vsnprintf(e->text + n, sizeof e->text - (size_t)n, format, args);
        va_end(args);
    }
    return RG_ERR_INVALID;
}

void rg_assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s (this is a bug in RingTMP)\n", file, line,
            expression);
    abort();
}

void rg_one_line(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            *p = ' ';
}
