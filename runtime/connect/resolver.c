/* Looking up names.
 *
 * Happy path: an address is read as it stands; names wait in a row for a few threads, that ask the
 * resolver and keep what it says. Failure modes handled: a name server that is slow or gone (its
 * threads outlive the names, and the last one frees them); no thread to be had (the caller asks
 * itself, as it has to wait then); names without an address. */
#include "connect/resolver.h"

#include "base/check.h"
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4 };

struct entry {
    struct rg_host host;
    struct rg_addresses known;
    bool numeric; /* nothing can be looked up */
    bool asked;   /* and nobody is at it yet */
};

struct rg_names {
    pthread_mutex_t lock;
    int threads, count;
    bool closed;
    struct entry entries[]; /* [count] */
};

static void look_up(const struct rg_host *host, int flags, struct rg_addresses *found)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    struct addrinfo *all = NULL;
    int error = getaddrinfo(host->name, host->port, &hints, &all);
    *found = (struct rg_addresses){0};
    snprintf(found->why, sizeof found->why, "%s", error ? gai_strerror(error) : "no address");
    for (struct addrinfo *a = all; a && found->count < RG_NAME_ADDRESSES; a = a->ai_next) {
        struct rg_address *address = &found->list[found->count];
        if (a->ai_addrlen > sizeof address->at)
            continue;
        memcpy(&address->at, a->ai_addr, a->ai_addrlen);
        address->length = a->ai_addrlen;
        found->count++;
    }
    if (all)
        freeaddrinfo(all);
}

static struct entry *next_asked(struct rg_names *names)
{
    for (int i = 0; i < names->count && !names->closed; i++)
        if (names->entries[i].asked)
            return &names->entries[i];
    return NULL;
}

/* Under the lock: until nobody waits. */
static void work_off(struct rg_names *names)
{
    struct entry *entry;
    while ((entry = next_asked(names)) != NULL) {
        struct rg_addresses found;
        entry->asked = false;
        pthread_mutex_unlock(&names->lock);
        look_up(&entry->host, 0, &found);
        pthread_mutex_lock(&names->lock);
        entry->known = found;
    }
}

/* Under the lock, which it gives up. */
static void leave(struct rg_names *names)
{
    bool last = names->closed && names->threads == 0;
    pthread_mutex_unlock(&names->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&names->lock);
    free(names);
}

static void *ask_resolver(void *arg)
{
    struct rg_names *names = arg;
    pthread_mutex_lock(&names->lock);
    work_off(names);
    names->threads--;
    leave(names);
    return NULL;
}

/* Under the lock. Signals are for others. */
static void start_thread(struct rg_names *names)
{
    sigset_t all, before;
    pthread_t thread;
    if (names->threads == THREADS)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, ask_resolver, names) == 0) {
        pthread_detach(thread);
        names->threads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (names->threads == 0)
        work_off(names);
}

struct rg_names *rg_names_open(const struct rg_hosts *hosts)
{
    struct rg_names *names =
        calloc(1, sizeof *names + (size_t)hosts->count * sizeof names->entries[0]);
    if (!names)
        return NULL;
    names->count = hosts->count;
    pthread_mutex_init(&names->lock, NULL);
    for (int i = 0; i < names->count; i++) {
        names->entries[i].host = hosts->host[i];
        look_up(&hosts->host[i], AI_NUMERICHOST, &names->entries[i].known);
        names->entries[i].numeric = names->entries[i].known.count > 0;
        rg_names_ask(names, i);
    }
    return names;
}

void rg_names_get(struct rg_names *names, int rank, struct rg_addresses *found)
{
    RG_ASSERT(rank >= 0 && rank < names->count);
    pthread_mutex_lock(&names->lock);
    *found = names->entries[rank].known;
    pthread_mutex_unlock(&names->lock);
}

void rg_names_ask(struct rg_names *names, int rank)
{
    RG_ASSERT(rank >= 0 && rank < names->count);
    pthread_mutex_lock(&names->lock);
    struct entry *entry = &names->entries[rank];
    if (!entry->numeric && !entry->known.pending) {
        entry->asked = entry->known.pending = true;
        start_thread(names);
    }
    pthread_mutex_unlock(&names->lock);
}

void rg_names_close(struct rg_names *names)
{
    if (!names)
        return;
    pthread_mutex_lock(&names->lock);
    names->closed = true;
    leave(names);
}
