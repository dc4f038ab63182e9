/* A server and its clients: rank 0, and the ranks above it. In an exchange numbers go out to some
 * clients, one after the other in the order of ranks, each of whom answers with as many; answers
 * are taken in that order too, whatever the timing. */
#ifndef RG_STRATEGIES_ROUNDS_H
#define RG_STRATEGIES_ROUNDS_H

#include "strategies/strategy.h"

/* Before `closing` messages of one number follow an exchange, which says whether its client's
 * answer was taken. */
enum { RG_TAG_ROUND = RG_TAG_USER, RG_TAG_ANSWER, RG_TAG_CLOSED };

/* What a server knows of a client. */
struct rg_client {
    bool asked;   /* by the caller: is it sent the numbers, or nothing but an empty message? */
    bool sent;    /* they have begun to leave */
    bool owed;    /* it has not answered yet, perhaps to an exchange long closed */
    bool taken;   /* its answer, in this exchange */
    int32_t told; /* the same, as it is told */
    float *answer;
    struct rg_request in, note;
};

/* An answer that is there: of a client, counted from 0. A computation of the server. */
typedef int (*rg_take_fn)(void *arg, int client, const float *answer);

struct rg_rounds {
    struct rg_world *w;
    int clients;
    size_t count;             /* numbers of a message */
    bool closing;             /* exchanges have a deadline */
    struct rg_client *client; /* [clients] */
    struct rg_request out;
    struct rg_request **list; /* [clients + 1] */
    float **rooms;            /* [room_count] for answers; where exchanges close, one a client */
    int room_count;
};

/* Room for answers of so many clients at once: counted bytes. */
uint64_t rg_rounds_memory(size_t count, int rooms);
int rg_rounds_open(struct rg_rounds *r, struct rg_world *w, int clients, size_t count, int rooms,
                   bool closing);
void rg_rounds_close(struct rg_rounds *r);

/* Server: the exchange. Clients that still owe an answer are not asked whatever is said. deadline:
 * a date on rg_now at which it is closed (INFINITY: when all have answered). Whose answer comes
 * later is discarded. */
int rg_rounds_exchange(struct rg_rounds *r, const float *numbers, double deadline, rg_take_fn take,
                       void *arg);
/* Server: wait for what is owed. */
int rg_rounds_settle(struct rg_rounds *r);

/* Client: the numbers, *asked; or nothing. */
int rg_round_hear(struct rg_world *w, float *numbers, size_t count, bool *asked);
/* Client: the answer; numbers NULL: it has none any more. */
int rg_round_answer(struct rg_world *w, const float *numbers, size_t count);

/* Server: what becomes of answers, a sum of multiples of them that is divided at last, so that no
 * rounding of weights moves a mean. */
struct rg_mean {
    float *sum; /* [count] */
    size_t count;
    bool begun;
};
/* sum += weight * answer, from nothing at first after a division; to = sum / by. As computations,
 * and their modelled seconds. */
int rg_mean_add(struct rg_mean *m, struct rg_world *w, float weight, const float *answer, int unit);
int rg_mean_divide(struct rg_mean *m, struct rg_world *w, float by, float *to, int unit);
double rg_mean_add_s(const struct rg_job *job, size_t count);
double rg_mean_divide_s(const struct rg_job *job, size_t count);

/* Seconds of an exchange of all that are `asked` on their boards, in which client k computes for
 * work_s[k], and the server take_s for each answer. room [2 x clients]: to work in. */
double rg_rounds_seconds(const struct rg_job *job, const bool *asked, size_t count,
                         const double *work_s, double take_s, double *room);

#endif
