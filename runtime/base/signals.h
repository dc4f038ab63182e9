/* How a program is asked to end. */
#ifndef RG_BASE_SIGNALS_H
#define RG_BASE_SIGNALS_H

/* Ctrl-C (SIGINT), SIGTERM, and the loss of the terminal (SIGHUP, but under nohup) call this. */
void rg_catch_endings(void (*handler)(int number));

#endif
