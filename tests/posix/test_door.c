/* The door of a run under way, by itself: who is let in, who must wait, what those learn that are
 * taken in, or come too late, or to whom one door has said "come" and another has not. */
#include "connect/door.h"

#include "base/check.h"
#include "base/clock.h"
#include "tests/support/suite.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SEATS = 3, COMERS = 2, RUN = 7 };
static const uint64_t nonce = 0x1234;
static const double patience_s = 20 * RG_TEST_SLOWNESS;
static const struct rg_key key = {.secret = "of a test", .rank = -1};

/* A process that joins; shared. */
struct comer {
    atomic_bool may_go, speaks, spoke; /* to start; to say something to rank 1 once it is in */
    int code;
    bool invited, over, left; /* left: rank 1 has hung up after that */
    int ended, nodes, present, seat[SEATS];
    uint64_t nonce;
    pid_t pid;
};
static struct comer *comers; /* [COMERS] */
static struct rg_hosts hosts;
static int listeners[SEATS];

static struct rg_join options_of(int rank, const char *scenario, bool keyed)
{
    return (struct rg_join){.rank = rank,
                            .hosts = &hosts,
                            .listener = -1,
                            .scenario = scenario,
                            .timeout_s = patience_s,
                            .key = keyed ? &key : NULL,
                            .outlives = true,
                            .quiet = true};
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* Rank 1 has not been told that it is in. */
static void speak(struct comer *me, int fd)
{
    char byte = 1;
    me->left = write(fd, &byte, 1) == 1;
    me->spoke = true;
    for (ssize_t n = -1; me->left && n != 0;) {
        nap();
        n = read(fd, &byte, 1);
    }
}

/* Forked before there is any thread. */
static void start_comer(int index, int rank, const char *scenario, bool keyed)
{
    struct comer *me = &comers[index];
    *me = (struct comer){.code = 1};
    fflush(NULL);
    pid_t pid = fork();
    CU_ASSERT_FATAL(pid >= 0);
    if (pid > 0) {
        me->pid = pid;
        return;
    }
    struct rg_joined joined = {0};
    struct rg_connection connections[SEATS];
    struct rg_error e = {0};
    struct rg_join join = options_of(rank, scenario, keyed);
    join.listener = listeners[rank];
    join.joined = &joined;
    for (double limit = rg_clock_s() + patience_s; !me->may_go && rg_clock_s() < limit;)
        nap();
    int code = rg_join_mesh(&join, connections, &e);
    me->invited = joined.invited;
    me->over = joined.over;
    me->ended = joined.code;
    me->nodes = joined.nodes;
    me->present = joined.present;
    me->nonce = joined.nonce;
    if (joined.seat)
        memcpy(me->seat, joined.seat, sizeof me->seat);
    if (me->speaks)
        speak(me, connections[1].fd);
    me->code = code;
    _exit(0);
}

static void end_comer(int index)
{
    for (double limit = rg_clock_s() + patience_s; rg_clock_s() < limit; nap())
        if (waitpid(comers[index].pid, NULL, WNOHANG) == comers[index].pid)
            return;
    kill(comers[index].pid, SIGKILL);
    waitpid(comers[index].pid, NULL, 0);
    CU_FAIL("whoever comes back hangs");
}

/* Ports for all; doors listen on theirs anew, which a process forked with them would not let them.
 */
static void open_for(int rank)
{
    struct rg_error e;
    CU_ASSERT_EQUAL_FATAL(rg_local_listen(SEATS, listeners, &hosts, &e), 0);
    for (int other = 0; other < SEATS; other++)
        if (other != rank)
            close(listeners[other]);
}

static struct rg_door *door_of(int rank, bool keyed)
{
    struct rg_join options = options_of(rank, "digest", keyed);
    struct rg_door *door;
    struct rg_error e = {0};
    CU_ASSERT_EQUAL_FATAL(rg_door_open(&options, nonce, &door, &e), 0);
    return door;
}

static void close_of(int rank)
{
    close(listeners[rank]);
    rg_hosts_free(&hosts);
}

static bool comes(struct rg_door *door, int rank, double seconds)
{
    double limit = rg_clock_s() + seconds;
    while (!rg_door_has(door, rank) && rg_clock_s() < limit)
        nap();
    return rg_door_has(door, rank);
}

static int order[SEATS] = {1, 0, 2};
static unsigned char absent[SEATS];
static const struct rg_joined told = {
    .run = RUN, .nodes = 2, .present = 3, .seats = SEATS, .seat = order, .absent = absent};

static void expect_invited(int index)
{
    const struct comer *c = &comers[index];
    CU_ASSERT_EQUAL(c->code, 0);
    CU_ASSERT(c->invited && !c->over && c->nonce == nonce && c->nodes == 2 && c->present == 3);
    CU_ASSERT_EQUAL(memcmp(c->seat, order, sizeof order), 0);
}

static void take(struct rg_door *door, int rank)
{
    struct rg_connection connection;
    rg_door_take(door, rank, &told, &connection);
    CU_ASSERT(connection.fd >= 0);
    CU_ASSERT_FALSE(rg_door_has(door, rank));
    rg_secure_free(connection.tls);
    close(connection.fd);
}

static void hang_up_on_who_speaks(struct rg_door *door, const struct comer *comer)
{
    double limit = rg_clock_s() + patience_s;
    while (!comer->spoke && rg_clock_s() < limit)
        nap();
    for (int look = 0; look < 10; look++, nap())
        CU_ASSERT(rg_door_has(door, 2));
    for (; rg_door_has(door, 2) && rg_clock_s() < limit; nap())
        rg_door_expect(door, 2, true);
}

/* Until all take it for lost a rank waits. It is in as soon as one has said so; what it then says
 * to another, who goes on without it, has that one hang up before its next attempt, and no sooner.
 */
static void let_in(bool keyed)
{
    open_for(2);
    start_comer(0, 2, "digest", keyed);
    comers[0].speaks = !keyed;
    struct rg_door *doors[] = {door_of(0, keyed), door_of(1, keyed)};
    rg_door_expect(doors[0], 2, true);
    rg_door_expect(doors[0], 2, false); /* it is here after all */
    comers[0].may_go = true;
    CU_ASSERT_FALSE(comes(doors[0], 2, 0.5) || rg_door_has(doors[1], 2));
    for (int i = 0; i < 2; i++)
        rg_door_expect(doors[i], 2, true);
    CU_ASSERT(comes(doors[0], 2, patience_s));
    CU_ASSERT(comes(doors[1], 2, patience_s));
    rg_door_expect(doors[1], 2, true);
    nap();
    CU_ASSERT(rg_door_has(doors[1], 2)); /* it is silent */
    take(doors[0], 2);
    if (!keyed)
        hang_up_on_who_speaks(doors[1], &comers[0]);
    end_comer(0);
    expect_invited(0);
    CU_ASSERT_EQUAL(comers[0].left, !keyed);
    for (int i = 0; i < 2; i++)
        rg_door_close(doors[i], 0);
    close_of(2);
}

static void in_the_clear(void)
{
    let_in(false);
}

static void with_a_key(void)
{
    let_in(true);
}

/* Whoever is in hears so, and all is closed. */
static void end_well(struct rg_door *door, int index, int rank)
{
    take(door, rank);
    end_comer(index);
    expect_invited(index);
    rg_door_close(door, 0);
    close_of(rank);
}

/* Rank 0, who names runs, and whom nobody has ever been called by: it is called. */
static void rank_0_comes_back(void)
{
    open_for(0);
    start_comer(0, 0, "digest", false);
    struct rg_door *door = door_of(1, false);
    rg_door_expect(door, 0, true);
    comers[0].may_go = true;
    CU_ASSERT(comes(door, 0, patience_s));
    end_well(door, 0, 0);
}

/* Another scenario is refused, and the door stays open for the right one. */
static void others_are_refused(void)
{
    open_for(2);
    start_comer(0, 2, "another", false);
    start_comer(1, 2, "digest", false);
    struct rg_door *door = door_of(0, false);
    rg_door_expect(door, 2, true);
    comers[0].may_go = true;
    end_comer(0);
    CU_ASSERT_EQUAL(comers[0].code, RG_ERR_REFUSED);
    CU_ASSERT_FALSE(comers[0].invited || rg_door_has(door, 2));
    comers[1].may_go = true;
    CU_ASSERT(comes(door, 2, patience_s));
    end_well(door, 1, 2);
}

/* Whoever waits when the run ends hears how. */
static void too_late(void)
{
    static const int codes[] = {0, RG_ERR_INTERRUPTED};
    for (size_t i = 0; i < RG_COUNT(codes); i++) {
        open_for(2);
        start_comer(0, 2, "digest", false);
        struct rg_door *door = door_of(0, false);
        rg_door_expect(door, 2, true);
        comers[0].may_go = true;
        CU_ASSERT(comes(door, 2, patience_s));
        rg_door_close(door, codes[i]);
        end_comer(0);
        CU_ASSERT_EQUAL(comers[0].code, RG_ERR_RETURNED);
        CU_ASSERT(comers[0].over && !comers[0].invited);
        CU_ASSERT_EQUAL(comers[0].ended, codes[i]);
        close_of(2);
    }
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {{"one is let in", in_the_clear},
                                       {"one with a key is let in", with_a_key},
                                       {"rank 0 comes back", rank_0_comes_back},
                                       {"others are refused", others_are_refused},
                                       {"one comes too late", too_late}};
    comers = mmap(NULL, COMERS * sizeof *comers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                  -1, 0);
    RG_ASSERT(comers != MAP_FAILED);
    signal(SIGPIPE, SIG_IGN);
    return suite_main("door", tests, RG_COUNT(tests), argc, argv);
}
