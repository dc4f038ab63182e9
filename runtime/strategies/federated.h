/* What fedavg and fsvrg have in common: rank 0 is a server that has the parameters, the others are
 * clients that have the network whole and rows of their own; what clients make of numbers in a
 * round (rounds.h) becomes a mean. */
#ifndef RG_STRATEGIES_FEDERATED_H
#define RG_STRATEGIES_FEDERATED_H

#include "strategies/replica.h"
#include "strategies/rounds.h"

/* A node, at the head of a strategy's state, so that the functions below that take one are those
 * of struct rg_strategy. */
struct rg_federated {
    struct rg_world *w;
    const struct rg_job *job;
    struct rg_observation seen;
    int64_t done;      /* rounds after which the server's parameters are what they are */
    float *parameters; /* the server's, as the next two */
    struct rg_mean mean;
    struct rg_rounds rounds;
    struct rg_replica replica; /* a client's */
};

/* Clients count from 0. */
int rg_clients(const struct rg_job *job);
int rg_client_rows(const struct rg_job *job, int client);
/* Steps in which a client goes through its rows once, `batch` in each at most, 0: all of them. The
 * rows of a step (rg_share) differ by one at most. */
int rg_client_steps(const struct rg_job *job, int client, int batch);

int rg_federated_check(const struct rg_job *job, struct rg_error *e);
bool rg_federated_feeds(const struct rg_job *job, int rank);
int rg_federated_keepers(const struct rg_job *job, int *first);
/* batch: as of rg_client_steps. */
struct rg_passes rg_federated_passes(const struct rg_job *job, int rank, int batch);
/* Counted bytes: of a server with room for so many answers; of a client with steps of so many rows
 * at most. */
uint64_t rg_federated_memory(const struct rg_job *job, int rank, int rooms, int most);

/* *node is zero. rooms, closing: as rg_rounds_open; most: as above. */
int rg_federated_open(struct rg_federated *node, struct rg_world *w, const struct rg_job *job,
                      const float *initial, int rooms, bool closing, int most);
void rg_federated_close(struct rg_federated *node);

int rg_federated_parameters(void *node, rg_visit_fn visit, void *arg);
int rg_federated_state(void *node, int64_t done, rg_state_fn visit, void *arg);
uint64_t rg_federated_state_floats(const struct rg_job *job);
int rg_federated_copies(void *node, rg_copy_fn visit, void *arg);
uint64_t rg_federated_copies_floats(const struct rg_job *job, int rank);
const float *rg_federated_held(void *node, int part, size_t *first, size_t *count);
const float *rg_federated_trained_by(void *node, int rank);
void rg_federated_observe(void *node, struct rg_observation *o);

#endif
