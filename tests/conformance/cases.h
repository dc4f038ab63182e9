/* Inside of the conformance suite: a case, and what programs of cases use. */
#ifndef RG_TESTS_CASES_H
#define RG_TESTS_CASES_H

#include "tests/conformance/conformance.h"

struct rg_case {
    const char *name;
    int size;
    rg_program_fn program;              /* arg: the launcher */
    unsigned died;                      /* bit r: rank r is to die */
    bool only_virtual, deadlocks, once; /* once: with the first seed only (it is slow) */
};

struct rg_cases {
    const struct rg_case *list;
    int count;
};

extern const struct rg_cases rg_message_cases, rg_cancel_cases, rg_fault_cases, rg_time_cases;

/* In a program: return the line of a check that fails. */
#define CHECK(expression)                                                                          \
    do {                                                                                           \
        if (!(expression))                                                                         \
            return __LINE__;                                                                       \
    } while (0)

/* The first tag of programs. */
#define TAG(i) (RG_TAG_USER + (uint32_t)(i))

/* Let `seconds` of the world's time pass in rg_compute. */
int rg_test_nap(struct rg_world *w, const struct rg_launcher *launcher, double seconds);
/* Long enough that what could happen would have happened. */
double rg_test_while(const struct rg_launcher *launcher);
/* rg_now + rg_test_while */
double rg_test_soon(struct rg_world *w, const struct rg_launcher *launcher);

/* Empty messages, waited for. */
int rg_test_tell(struct rg_world *w, int dst, uint32_t tag);
int rg_test_hear(struct rg_world *w, int src, uint32_t tag);

/* Bytes that depend on `key`, and whether they are these. */
void rg_test_fill(void *buffer, size_t bytes, unsigned key);
bool rg_test_same(const void *buffer, size_t bytes, unsigned key);

#endif
