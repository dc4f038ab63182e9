/* Three ranks as processes that join over loopback, each set up as a test wants it; what each of
 * them says at its end; and strangers that knock. */
#ifndef RG_TESTS_TRIO_H
#define RG_TESTS_TRIO_H

#include "posix/world_posix.h"
#include "tests/support/suite.h"
#include <sys/types.h>

enum {
    RANKS = 3,
    MEMBERS = 16, /* processes at most, those that are not let in among them */
    CROWD = 150   /* strangers: more than there is room for */
};

struct member {
    int rank, listener; /* listener -1: as its hosts say */
    const struct rg_hosts *hosts;
    const char *scenario, *version; /* NULL: as all have it */
    uint64_t nonce;
    double timeout_s; /* 0: 20, longer where it is slow */
    const struct rg_key *key;
    enum rg_cipher cipher;
    int descriptors; /* 0, or that it may have no more than so many, and has used them up */
    bool any_address, outlives;
    bool talks; /* goes on sending to the next rank until it cannot */
    pid_t pid;
};

struct trio {
    struct rg_hosts hosts;
    int listeners[RANKS];
    struct member members[RANKS];
};

/* suite_main, with the memory shared in which members leave what they say. */
int trio_main(const char *name, const struct suite_test *tests, int count, int argc, char **argv);

/* Forgets what was said. */
void open_trio(struct trio *t);
void close_listeners(struct trio *t);
/* All ranks from start to end; the hosts are freed. */
void run_trio(struct trio *t);
/* The last rank comes, and all have joined. */
void complete_trio(struct trio *t, int last);

/* Forks a process that joins, runs and leaves; what it says is kept under index < MEMBERS. */
void start_member(struct member *m, int index);
void wait_member(struct member *m);
/* All ranks that are started have done what they can without the others: for a while none, but for
 * those that are stopped, had anything to do but to wait. */
void wait_till_idle(const struct trio *t);
/* Member `index` ended with this code, 0 or RG_ERR_*, and said this among other things. */
void expect(int index, int code, const char *part);
int said_code(int index);
bool has_said(int index, const char *part);
void forget_said(void);

/* A connection to a port of this machine, or -1; the caller closes it. */
int knock(const struct rg_host *host);
/* Strangers at the doors of ranks 0 and 1: some speak HTTP (fds[0] the first), some begin what is
 * wanted with `half`, some hang up, most say nothing at all. The caller closes them. */
void crowd_in(const struct trio *t, const char *half, size_t length, int fds[CROWD]);

#endif
