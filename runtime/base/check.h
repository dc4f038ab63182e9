/* Assertions for programmer errors. They stay on in release builds. */
#ifndef RG_BASE_CHECK_H
#define RG_BASE_CHECK_H

_Noreturn void rg_assert_failed(const char *expression, const char *file, int line);

#define RG_ASSERT(expression)                                                                      \
    ((expression) ? (void)0 : rg_assert_failed(#expression, __FILE__, __LINE__))

#define RG_MIN(a, b)    ((a) < (b) ? (a) : (b))
#define RG_MAX(a, b)    ((a) > (b) ? (a) : (b))
#define RG_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
