/* A join in progress, as its rooms share it: finding the others (join_find.c), greeting them
 * (join_greet.c), refusing some (join_refuse.c), being interrupted (join_interrupt.c), and the wait
 * for all (join.c). Private to runtime/connect. */
#ifndef RG_CONNECT_JOIN_PARTS_H
#define RG_CONNECT_JOIN_PARTS_H

#include "connect/join.h"
#include "connect/resolver.h"
#include "connect/wire.h"
#include <netdb.h>
#include <poll.h>
#include <pthread.h>

#define RG_CONNECT_S  5.0 /* to answer a connect, a handshake, and a hello */
#define RG_PROGRESS_S 5.0 /* between two lines that say the same */
#define RG_LOOK_UP_S  0.1 /* to look whether a name has been found */

enum { RG_VISITORS = 64, RG_TALLIES = 40 };

/* Why a visitor was turned away: of each kind an address has a line, and one that counts. */
enum rg_fault {
    RG_FAULT_SILENT,  /* it says too little, or too late */
    RG_FAULT_FOREIGN, /* it speaks something else */
    RG_FAULT_KEY,     /* another key, none, or one where none is wanted */
    RG_FAULT_OTHER,   /* version, scenario, size, run */
    RG_FAULT_EARLY,   /* it may be let in soon */
    RG_FAULT_RANK,    /* not the rank it says, or not to be called by it */
    RG_FAULT_ADDRESS, /* not where the hosts file has that rank */
    RG_FAULT_COMES_TO_NOTHING
};
struct rg_tally {
    char address[56];
    enum rg_fault fault;
    uint64_t count;
    char text[RG_WIRE_REASON + 16];
};

/* Of a call to a lower rank, in this order. */
enum rg_call_state { RG_CALL_IDLE, RG_CALL_CONNECTING, RG_CALL_SHAKING, RG_CALL_WAITING };

/* A connection to a lower rank in the making, or from a stranger. */
struct rg_talk {
    struct rg_connection connection;
    enum rg_call_state state; /* calls */
    double limit;             /* gives up then */
    size_t have;              /* bytes of the other's hello */
    bool shaking;             /* visitors: have not proved yet that they have the key */
    bool held;                /* visitors: valid, but the run's name is not known yet */
    bool unplaced;            /* visitors: valid, but where the rank is at home is not known yet */
    unsigned char bytes[RG_WIRE_HELLO];
    char address[56], from[80]; /* of a visitor, without and with its port */
};

struct rg_place {
    struct rg_talk call; /* lower ranks */
    double next_try, pause;
    struct rg_addresses addresses; /* called one by one */
    int next_address;
    char why[RG_WIRE_REASON + 64]; /* it is not there: the last reason */
    bool told;                     /* that it comes to nothing */
    bool gone;                     /* it had joined; its connection is kept, but nobody answers */
    bool elsewhere;                /* of a door: it is in the run, and nobody else may be */
    bool speaks;                   /* of a door: who waits speaks as others do in the run */
    bool trains; /* it is in a run under way, and what it says next is whether this rank is */
    unsigned char *said; /* of that [said_have], malloc'ed */
    size_t said_have;
};

struct rg_gathering {
    const struct rg_join *o;
    const char *version;
    int rank, size, joined, listener;
    int train;                   /* how many of those that have joined are in a run under way */
    bool door;                   /* this rank is in it */
    pthread_mutex_t *lock;       /* of a door: held but while it waits; else NULL */
    struct rg_guard *guard;      /* NULL: without a key */
    struct rg_connection *peers; /* by rank; fd -1: not there */
    uint64_t nonce;
    double began, deadline, progress;
    struct rg_place *places; /* by rank */
    struct rg_talk visitors[RG_VISITORS];
    struct pollfd *polls;
    struct rg_error *e;
    int failed; /* an RG_ERR_* code that ends it; text in *e and why */
    char why[RG_WIRE_REASON];
    struct rg_names *names;
    char turned_away[RG_WIRE_REASON + 64]; /* the last that was said of a visitor */
    struct rg_tally tallies[RG_TALLIES];   /* [tally_count] */
    int tally_count;
    uint64_t untallied; /* of other addresses */
};

/* ---- join.c ---- */
/* Ready to listen and call: 0, or an error in *e; in any case to be closed. connections: [hosts],
 * emptied. */
int rg_join_open(struct rg_gathering *g, const struct rg_join *o, struct rg_connection *connections,
                 struct rg_error *e);
/* result: of the join; where it has failed its connections are closed. */
void rg_join_close(struct rg_gathering *g, int result);
/* Start calls that are due and end talks that take too long; returns when to look again. */
double rg_join_keep_time(struct rg_gathering *g, double now);
/* One look at everything, until `next` at most. False: that does not work here. */
bool rg_join_look_round(struct rg_gathering *g, double next);
void rg_join_say(const struct rg_gathering *g, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const char *rg_join_host(const struct rg_gathering *g, int rank);
void rg_join_hang_up(struct rg_connection *connection);
void rg_join_end_talk(struct rg_talk *t);

/* Rank 0 names the run, where it has no name. */
void rg_join_draw_nonce(struct rg_gathering *g);

/* ---- join_find.c ---- */
/* RG_ERR_INVALID: without a key, and not all places are on this machine. */
int rg_join_check_hosts(const struct rg_gathering *g);
int rg_join_listen(struct rg_gathering *g);
void rg_join_tune(const struct rg_gathering *g, int fd);
void rg_join_start_call(struct rg_gathering *g, int rank);
/* The socket of a call in RG_CALL_CONNECTING has something to say: 1: connected, 0: it is not (and
 * is tried again later). */
int rg_join_connected(struct rg_gathering *g, int rank);
void rg_join_try_later(struct rg_gathering *g, int rank, const char *why);
/* Does the visitor come from an address that the hosts file gives the rank? */
enum rg_origin { RG_ORIGIN_OTHER, RG_ORIGIN_LISTED, RG_ORIGIN_PENDING, RG_ORIGIN_UNKNOWN };
enum rg_origin rg_join_origin(const struct rg_gathering *g, int fd, int rank);

/* ---- join_greet.c ---- */
struct rg_hello rg_join_hello(const struct rg_gathering *g, enum rg_hello_kind kind, int target);
/* What is said in a join always fits an empty socket; where it does not, the connection is of no
 * use. */
bool rg_join_send(const struct rg_connection *connection, unsigned char *bytes, size_t count);
bool rg_join_send_hello(const struct rg_connection *connection, const struct rg_hello *h);
/* Reads at most so many bytes: how many; 0: none are there yet, -1: it is over. */
int rg_join_receive(const struct rg_connection *connection, void *to, size_t most);
/* Reads once into what is left of t->bytes, not full: 1: some, 0: nothing yet, -1: over. */
int rg_join_read(struct rg_talk *t);
/* 1: whole, 0: more to come, -1: over, -2: nonsense. */
int rg_join_read_hello(struct rg_talk *t);
void rg_join_begin_greeting(struct rg_gathering *g, int rank); /* connected to a lower rank */
void rg_join_answered(struct rg_gathering *g, int rank);       /* a lower rank has said something */
void rg_join_hear(struct rg_gathering *g, struct rg_talk *t);  /* a visitor has */
void rg_join_receive_visitors(struct rg_gathering *g);

/* ---- join_refuse.c ---- */
/* What speaks against a hello, as seen from here; "" if nothing does. `peer`: "rank 2 at host". */
void rg_join_judge(const struct rg_gathering *g, const struct rg_hello *h, const char *peer,
                   char *why, size_t room);
/* The join comes to nothing; a door goes on. */
void rg_join_fail(struct rg_gathering *g, const char *why);
/* The same because this machine does not do what it must: "rank 1 cannot WHAT: why". */
void rg_join_fail_here(struct rg_gathering *g, const char *what, int error);
void rg_join_give_up(struct rg_gathering *g, int rank, const char *why);
/* The visitor is told why, and dropped. */
void rg_join_refuse(struct rg_gathering *g, struct rg_talk *t, int rank, enum rg_fault fault,
                    const char *why);
/* It is dropped without a word; the log has one, though not the same again and again. */
void rg_join_drop(struct rg_gathering *g, struct rg_talk *t, enum rg_fault fault, const char *why);
/* The join is over: how many more there were. */
void rg_join_tell_tallies(const struct rg_gathering *g);
/* The same for one that did not get through the handshake. */
void rg_join_refuse_stranger(struct rg_gathering *g, struct rg_talk *t);
bool rg_join_is_alive(int fd);
/* One that had joined has gone: with a refusal that it passes on, interrupted, or for no reason
 * known. */
void rg_join_drop_peer(struct rg_gathering *g, int rank);

/* ---- join_return.c ---- */
/* The rank says that it is in a run under way: this one is to wait there, and has forgotten those
 * that are in none. False: it cannot be. */
bool rg_join_meet_training(struct rg_gathering *g, int rank, const struct rg_hello *h);
/* One that is in it has said something: this rank is taken in (g->o->joined->invited), or it is
 * over; or the connection is. */
void rg_join_hear_training(struct rg_gathering *g, int rank);
void rg_join_forget_training(struct rg_gathering *g, int rank); /* its connection is closed */
/* A door: whoever waits has hung up, or speaks as if it were in the run, as another rank may have
 * told it before this one. */
void rg_join_lose_waiting(struct rg_gathering *g, int rank);

/* ---- join_interrupt.c ---- */
/* The rank has sent something else than a hello, or after it. Does it say that it was interrupted,
 * or that time is up? Then so is this join (RG_ERR_INTERRUPTED, RG_ERR_TIMEOUT); t is the
 * connection, of which t->bytes may have been read. */
bool rg_join_hear_interruption(struct rg_gathering *g, int rank, struct rg_talk *t);
/* A visitor that is held has hung up. */
void rg_join_lose_held(struct rg_gathering *g, struct rg_talk *t);
/* The join is interrupted: everybody who can be reached learns it. */
void rg_join_spread_interruption(struct rg_gathering *g);

#endif
