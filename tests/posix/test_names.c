/* Names of hosts that a resolver is slow about, or knows nothing of: nobody waits who need not. */
#include "base/clock.h"
#include "connect/resolver.h"
#include "support/suite.h"

#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* In the resolver's place (the linker's --wrap): a name waits until its gate is open. */
int __real_getaddrinfo(const char *name, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found);
int __wrap_getaddrinfo(const char *name, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static bool open_gate;
static int asked;

int __wrap_getaddrinfo(const char *name, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found)
{
    bool numeric = hints->ai_flags & AI_NUMERICHOST;
    if (numeric)
        return __real_getaddrinfo(name, port, hints, found);
    pthread_mutex_lock(&lock);
    asked++;
    while (!open_gate)
        pthread_cond_wait(&opened, &lock);
    pthread_mutex_unlock(&lock);
    if (strcmp(name, "unknown") == 0)
        return EAI_NONAME;
    struct addrinfo as_number = *hints;
    as_number.ai_flags |= AI_NUMERICHOST;
    return __real_getaddrinfo("192.0.2.7", port, &as_number, found);
}

static void gate(bool open)
{
    pthread_mutex_lock(&lock);
    open_gate = open;
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&lock);
}

static int asked_so_far(void)
{
    pthread_mutex_lock(&lock);
    int count = asked;
    pthread_mutex_unlock(&lock);
    return count;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static struct rg_host hosts_of_test[] = {{.name = "127.0.0.1", .port = "7470"},
                                         {.name = "slow", .port = "7471"},
                                         {.name = "unknown", .port = "7472"},
                                         {.name = "::1", .port = "7473"}};
static const struct rg_hosts hosts = {.host = hosts_of_test, .count = 4};

static struct rg_addresses wait_for(struct rg_names *names, int rank)
{
    struct rg_addresses found;
    rg_names_get(names, rank, &found);
    for (int i = 0; i < 20000 && found.pending; i++) {
        nap();
        rg_names_get(names, rank, &found);
    }
    return found;
}

/* Addresses are there at once, names when the resolver has answered, and again when asked. */
static void names_come_later(void)
{
    struct rg_addresses found;
    gate(false);
    struct rg_names *names = rg_names_open(&hosts);
    CU_ASSERT_PTR_NOT_NULL_FATAL(names);
    rg_names_ask(names, 0); /* nothing to ask for */
    rg_names_get(names, 0, &found);
    CU_ASSERT_TRUE(found.count == 1 && !found.pending);
    rg_names_get(names, 3, &found);
    CU_ASSERT_TRUE(found.count == 1 && found.list[0].at.ss_family == AF_INET6);
    rg_names_get(names, 1, &found);
    CU_ASSERT_TRUE(found.count == 0 && found.pending);
    gate(true);
    found = wait_for(names, 1);
    CU_ASSERT_EQUAL(found.count, 1);
    CU_ASSERT_EQUAL(found.list[0].at.ss_family, AF_INET);
    found = wait_for(names, 2);
    CU_ASSERT_EQUAL(found.count, 0);
    CU_ASSERT_STRING_EQUAL(found.why, gai_strerror(EAI_NONAME));
    int before = asked_so_far();
    rg_names_ask(names, 2);
    found = wait_for(names, 2);
    CU_ASSERT_EQUAL(asked_so_far(), before + 1);
    rg_names_close(names);
}

/* Closed while the resolver is silent: whoever closes goes on, and what is left ends by itself. */
static void nobody_waits_at_the_end(void)
{
    int before = asked_so_far();
    gate(false);
    struct rg_names *names = rg_names_open(&hosts);
    CU_ASSERT_PTR_NOT_NULL_FATAL(names);
    for (int i = 0; i < 20000 && asked_so_far() < before + 2; i++)
        nap();
    rg_names_close(names); /* would hang here */
    gate(true);
    for (int i = 0; i < 50; i++) /* for its threads, which free it */
        nap();
    CU_ASSERT_EQUAL(asked_so_far(), before + 2);
    rg_names_close(NULL);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"names come later", names_come_later},
                                              {"nobody waits at the end", nobody_waits_at_the_end}};
    return suite_main("names", tests, 2, argc, argv);
}
