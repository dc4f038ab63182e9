/* Children, so many at once: one a job, each telling its result through a pipe. */
#ifndef RG_SIM_CHILDREN_H
#define RG_SIM_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>

enum { RG_CHILDREN_MOST = 256 }; /* at once; how many there are in all is not limited */

enum rg_children_end {
    RG_CHILDREN_WROTE,     /* `length` bytes: what the child wrote, and it left with status 0 */
    RG_CHILDREN_DIED,      /* text: why there is nothing */
    RG_CHILDREN_TIMED_OUT, /* ended for taking longer than timeout_s */
    RG_CHILDREN_INTERRUPTED
};

struct rg_children {
    int count;        /* jobs, 0 to count - 1 */
    const int *order; /* [count] in which they start; NULL: as they are numbered */
    int at_once;      /* up to RG_CHILDREN_MOST */
    double timeout_s; /* of one; 0: none */
    void *arg;        /* for what follows */
    bool (*wanted)(void *arg, int index);
    void (*child)(void *arg, int index, int fd); /* in the child; does not return */
    /* true: the job gets another child at once. */
    bool (*ended)(void *arg, int index, enum rg_children_end end, const char *text, size_t length);
    void (*tick)(void *arg); /* about five times a second while children run; NULL: none */
};

/* From here on SIGINT and SIGTERM end the process with status 130 and leave no temporary files,
 * until a pool runs. */
void rg_children_catch(void);
/* Returns when all have ended, or SIGINT or SIGTERM has ended those that ran; the handlers stay. */
void rg_children_run(const struct rg_children *pool);
bool rg_children_interrupted(void);
/* Is that job's child running? */
bool rg_children_runs(int index);

#endif
