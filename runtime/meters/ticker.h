/* A thread that calls a function once in an interval, until it is told to stop. */
#ifndef RG_METERS_TICKER_H
#define RG_METERS_TICKER_H

#include <pthread.h>
#include <stdbool.h>

struct rg_ticker { /* all 0: not started */
    double interval_s;
    void (*tick)(void *arg);
    void *arg;
    pthread_mutex_t lock; /* guards stopping */
    pthread_cond_t wake;
    pthread_t thread;
    bool started, stopping;
};

/* The first call is an interval from now; after a late one the next is an interval later: none is
 * made up for. The ticker stays where it is until it is stopped. RG_ERR_NOMEM: no thread. */
int rg_ticker_start(struct rg_ticker *ticker, double interval_s, void (*tick)(void *arg),
                    void *arg);
/* Waits for a call that is under way. One that was not started is left alone. */
void rg_ticker_stop(struct rg_ticker *ticker);

#endif
