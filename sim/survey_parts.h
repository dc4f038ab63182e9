/* What survey.c and its child, survey_child.c, tell each other through pipes. */
#ifndef RG_SIM_SURVEY_PARTS_H
#define RG_SIM_SURVEY_PARTS_H

#include "boards/board.h"

/* What the links of a host's own pass, bytes/s: what it sends, what it receives, both together; and
 * what a medium passes that all share. INFINITY: no such link. */
struct rg_survey_wire {
    double up, down, bus, medium;
    /* Of its routes the one whose latency is least from what the boards say. */
    double latency_s, off_s;
    int peer;
    /* A route that is faster than the boards say, to that host; -1: none. */
    int fast_peer;
    double fast_rate;
};

struct rg_survey_child {
    const char *platform;
    double link_rate;
    char *const *names;
    const struct rg_board *const *boards;
    int count;
    bool neighbours; /* look at routes between neighbours too, not only with the first host */
    bool star;       /* see rg_platform_is_star */
    int in, out;     /* pipes */
};

/* Every answer begins so. */
struct rg_survey_answer {
    bool refused;
    char text[300];
};

/* A question: what a job's messages do to the links. So many of struct rg_survey_flow follow. */
struct rg_survey_question {
    int flows;
};
struct rg_survey_flow {
    int from, to;
    double bytes;           /* on the wire, in an iteration */
    double rate, latency_s; /* as the boards say */
};

/* What follows the answer to it. */
struct rg_survey_load {
    double busiest_s; /* an iteration's messages on the link that takes longest for them */
    char busiest[64];
    struct rg_survey_flow slow; /* the route whose rate falls shortest; rate: its own */
    double slow_share;          /* of what the boards say; 1: none does */
    struct rg_survey_flow far;  /* the one whose latency is most off; latency_s: its own */
    double far_s;               /* by so much */
    struct rg_survey_flow fast; /* the fastest route; rate: its own */
};

/* Loads the platform, answers with a struct rg_survey_wire for each host, then questions. */
_Noreturn void rg_survey_serve(const struct rg_survey_child *child);

#endif
