/* Happy path: the thread gathers as a join does (join.c), those that are expected alone, and never
 * comes to an end by itself. Failure modes handled: no descriptors, a port that is in use (nobody
 * comes back to this rank, which says so); whoever waits and hangs up; whoever takes itself to be
 * in a run that this rank goes on with without it (let go before the next attempt). */
#include "connect/door.h"

#include "base/check.h"
#include "base/clock.h"
#include "connect/join_parts.h"
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#define LOOK_S 0.25 /* to see what the run wants */

struct rg_door {
    struct rg_join options;
    struct rg_gathering g;
    struct rg_error e;
    pthread_t thread;
    pthread_mutex_t lock; /* of all this */
    bool closing;
    struct rg_connection waiting[]; /* [hosts] */
};

static void *keep_door(void *arg)
{
    struct rg_door *door = arg;
    struct rg_gathering *g = &door->g;
    pthread_mutex_lock(&door->lock);
    while (!door->closing && !g->failed) {
        double now = rg_clock_s(), next = rg_join_keep_time(g, now);
        rg_join_look_round(g, RG_MIN(next, now + LOOK_S));
    }
    if (g->failed)
        rg_join_say(g, "nobody can come back: %s", door->e.text);
    pthread_mutex_unlock(&door->lock);
    return NULL;
}

int rg_door_open(const struct rg_join *options, uint64_t nonce, struct rg_door **out,
                 struct rg_error *e)
{
    size_t n = (size_t)options->hosts->count;
    struct rg_door *door = calloc(1, sizeof *door + n * sizeof door->waiting[0]);
    *out = NULL;
    if (!door)
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    door->options = *options;
    door->options.nonce = nonce;
    door->options.listener = -1;
    door->options.stop = NULL;
    door->options.joined = NULL;
    int result = rg_join_open(&door->g, &door->options, door->waiting, &door->e);
    struct rg_gathering *g = &door->g;
    g->door = true;
    g->deadline = g->progress = INFINITY;
    for (size_t r = 0; r < n && g->places; r++)
        g->places[r].elsewhere = true;
    pthread_mutex_init(&door->lock, NULL);
    g->lock = &door->lock;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the program's */
    if (result == 0 && pthread_create(&door->thread, NULL, keep_door, door) != 0)
        result = rg_fail(&door->e, RG_ERR_NOMEM, "no thread for the door");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result == 0) {
        *out = door;
        return 0;
    }
    rg_fail(e, result, "%s", door->e.text);
    rg_join_close(g, result);
    pthread_mutex_destroy(&door->lock);
    free(door);
    return result;
}

void rg_door_close(struct rg_door *door, int code)
{
    if (!door)
        return;
    pthread_mutex_lock(&door->lock);
    door->closing = true;
    pthread_mutex_unlock(&door->lock);
    pthread_join(door->thread, NULL);
    for (int rank = 0; rank < door->g.size; rank++)
        if (door->waiting[rank].fd >= 0) {
            struct rg_hello over = rg_join_hello(&door->g, RG_HELLO_OVER, code < 0 ? -code : 0);
            rg_join_send_hello(&door->waiting[rank], &over);
            shutdown(door->waiting[rank].fd, SHUT_WR);
        }
    rg_join_close(&door->g, RG_ERR_CANCELLED); /* with those that wait */
    pthread_mutex_destroy(&door->lock);
    free(door);
}

void rg_door_expect(struct rg_door *door, int rank, bool expected)
{
    pthread_mutex_lock(&door->lock);
    struct rg_place *place = &door->g.places[rank];
    if (expected && place->speaks && door->waiting[rank].fd >= 0) {
        rg_join_hang_up(&door->waiting[rank]);
        door->g.joined--;
    }
    place->speaks = false;
    if (place->elsewhere == expected) {
        place->elsewhere = !expected;
        place->pause = 0;
        place->next_try = rg_clock_s();
    }
    pthread_mutex_unlock(&door->lock);
}

bool rg_door_has(struct rg_door *door, int rank)
{
    pthread_mutex_lock(&door->lock);
    bool has = door->waiting[rank].fd >= 0;
    pthread_mutex_unlock(&door->lock);
    return has;
}

void rg_door_take(struct rg_door *door, int rank, const struct rg_joined *told,
                  struct rg_connection *connection)
{
    size_t size = 0;
    unsigned char *bytes = rg_joined_encode(told, &size);
    pthread_mutex_lock(&door->lock);
    *connection = door->waiting[rank];
    door->waiting[rank] = (struct rg_connection){.fd = -1};
    door->g.joined -= connection->fd >= 0;
    door->g.places[rank].elsewhere = true;
    door->g.places[rank].speaks = false;
    rg_join_end_talk(&door->g.places[rank].call);
    pthread_mutex_unlock(&door->lock);
    if (connection->fd >= 0 && (!bytes || !rg_join_send(connection, bytes, size)))
        rg_join_hang_up(connection);
    free(bytes);
}
