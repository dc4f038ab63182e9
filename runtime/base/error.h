/* Errors: every fallible function returns 0 or one of the negative codes below. */
#ifndef RG_BASE_ERROR_H
#define RG_BASE_ERROR_H

#include <stdarg.h>
#include <stddef.h>

#define RG_ERRORS(X)                                                                               \
    X(RG_ERR_NOMEM, "out of memory")                                                               \
    X(RG_ERR_INVALID, "invalid input")                                                             \
    X(RG_ERR_IO, "input or output failed")                                                         \
    X(RG_ERR_TIMEOUT, "the deadline passed")                                                       \
    X(RG_ERR_CANCELLED, "cancelled")                                                               \
    X(RG_ERR_PEER, "a peer was lost")                                                              \
    X(RG_ERR_RETURNED, "a node that was lost is there again")                                      \
    X(RG_ERR_LENGTH, "a message has another length than its receive")                              \
    X(RG_ERR_PROTOCOL, "a peer broke the protocol")                                                \
    X(RG_ERR_REFUSED, "a peer refused the connection")                                             \
    X(RG_ERR_DEADLOCK, "deadlock: every node waits for another")                                   \
    X(RG_ERR_INTERRUPTED, "interrupted")                                                           \
    X(RG_ERR_NO_FIT, "does not fit in the memory of a node")                                       \
    X(RG_ERR_OVERRUN, "computations took longer than on the board that paces them")                \
    X(RG_ERR_INTERNAL, "internal error")

enum rg_error_code {
    RG_OK_ = 0,
    RG_ERR_FIRST_ = -100,
#define RG_X(name, text) name,
    RG_ERRORS(RG_X)
#undef RG_X
        RG_ERR_END_
};

/* The text of a code; never NULL. */
const char *rg_strerror(int code);

/* Where a failing function says what went wrong: one line, without a newline. Caller-owned. */
struct rg_error {
    int code;
    char text[640];
};

/* Fill *e (may be NULL) and return code, so that a function can end in `return rg_fail(...)`. */
int rg_fail(struct rg_error *e, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with "FILE:LINE: " in front (line 0: "FILE: "); the form of every complaint about input.
 */
int rg_fail_at(struct rg_error *e, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* As much of a UTF-8 text as `size` bytes have room for, in whole characters. */
void rg_copy_text(char *to, size_t size, const char *text);

/* Make a text fit for one line: control characters, newlines too, become blanks. */
void rg_one_line(char *text);

#endif
