/* A network of one element of a network file, with a batch of samples. */
#ifndef RG_TESTS_ONE_LAYER_H
#define RG_TESTS_ONE_LAYER_H

#include "gradient_fixture.h"
#include "scratch.h"

#include "scenario/scenario.h"

enum { BATCH = 2 };

/* On inputs of that shape; forward has run. */
static inline void open_one(struct probe *p, const char *input, const char *element)
{
    char text[1000];
    struct rg_network network;
    struct rg_error e = {0};
    snprintf(text, sizeof text, "<network name=\"one\" input=\"%s\">\n%s\n</network>\n", input,
             element);
    if (rg_network_load(scratch_text("network.xml", text), &network, &e) < 0)
        fprintf(stderr, "%s\n", e.text);
    RG_ASSERT(e.code == 0);
    probe_open(p, network, BATCH);
    value(p);
}

#endif
