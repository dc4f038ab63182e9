#include "base/signals.h"

#include <signal.h>
#include <stddef.h>

void rg_catch_endings(void (*handler)(int number))
{
    struct sigaction action = {.sa_handler = handler}, before;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, NULL, &before);
    if (before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
}
