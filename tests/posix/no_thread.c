/* Preloaded into a program under test: the next thread that is asked for once the file RG_NO_THREAD
 * is there does not come, as on a board that has no more memory for it. Whoever is refused takes
 * the file away. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                   void *arg)
{
    create *real = (create *)dlsym(RTLD_NEXT, "pthread_create");
    const char *file = getenv("RG_NO_THREAD");
    return file && unlink(file) == 0 ? EAGAIN : real(thread, attributes, fn, arg);
}
