/* The tanh of networks against the C library's tanhf: 1,024 numbers and their biases, in turns; the
 * ratio of the medians' times. With an argument, own or tanhf, only that, once, or (none) neither:
 * for an emulator that counts instructions. */
#include "base/check.h"
#include "base/clock.h"
#include "models/layers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 1024, ROUNDS = 201, CALLS = 20 };

static float x[COUNT], bias[COUNT], y[COUNT];

static void own(void)
{
    rg_bias_activate(RG_ACT_TANH, 1, COUNT, bias, y, NULL);
}

static void library(void)
{
    for (int i = 0; i < COUNT; i++)
        y[i] = tanhf(y[i] + bias[i]);
}

static double seconds_of(void (*activate)(void))
{
    double total = 0;
    for (int call = 0; call < CALLS; call++) {
        memcpy(y, x, sizeof y);
        double begin = rg_clock_thread_s();
        activate();
        total += rg_clock_thread_s() - begin;
    }
    return total / CALLS;
}

static int by_size(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;
    return (d > 0) - (d < 0);
}

static int run_once(const char *which)
{
    memcpy(y, x, sizeof y);
    y[0] = tanhf(y[0]); /* the loader has found it */
    rg_bias_activate(RG_ACT_TANH, 1, 1, bias, y, NULL);
    if (strcmp(which, "own") == 0)
        own();
    else if (strcmp(which, "tanhf") == 0)
        library();
    return y[1] > 1;
}

int main(int argc, char **argv)
{
    static double times[2][ROUNDS];
    for (int i = 0; i < COUNT; i++) {
        x[i] = (float)(drand48() * 8 - 4);
        bias[i] = (float)(drand48() - 0.5);
    }
    if (argc > 1)
        return run_once(argv[1]);
    for (int round = 0; round < ROUNDS; round++) {
        times[0][round] = seconds_of(own);
        times[1][round] = seconds_of(library);
    }
    for (int i = 0; i < 2; i++)
        qsort(times[i], ROUNDS, sizeof times[i][0], by_size);
    double ns = 1e9 / COUNT, mine = times[0][ROUNDS / 2], theirs = times[1][ROUNDS / 2];
    printf("own tanh %.2f ns, tanhf %.2f ns a number: %.1f times as fast\n", ns * mine, ns * theirs,
           theirs / mine);
    return 0;
}
