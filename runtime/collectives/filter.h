/* Messages that say some of a vector's numbers, and keep the others back (Li et al. 2014, sections
 * 3.3 and 5.1).
 *
 * What is to be said is added to what was kept back. Filters then choose, in their order, which
 * numbers go now; these are coded, and what the code cannot say of them stays behind with the
 * others, so that all that has been said and what is kept back are the sum of all that was to be
 * said and has not been dropped. Which numbers they are is told in the shortest of several ways. */
#ifndef RG_FILTER_H
#define RG_FILTER_H

#include "collectives/codec.h"

/* In the order of the words in a list of filters. */
enum rg_filter_kind {
    /* Choose: */
    RG_FILTER_SIGNIFICANT, /* |number| >= threshold max(|parameter|, 1e-3) */
    RG_FILTER_SKIP,        /* by chance */
    /* Parameters at 0 that an l1 would keep there by what is known of their gradient: they are at
     * the optimum as they are (Karush, Kuhn and Tucker), and what was to be said of them is
     * dropped. */
    RG_FILTER_KKT,
    RG_FILTER_TOP,   /* those largest in magnitude */
    RG_FILTER_ZEROS, /* those that are not 0; places may be told as runs */
    /* How they are told: */
    RG_FILTER_KEYS, /* the places of the message before stand for the same ones again */
    RG_FILTER_FLOAT16,
    RG_FILTER_INT8,
    RG_FILTER_KINDS
};

struct rg_filters {
    int count;
    enum rg_filter_kind kind[RG_FILTER_KINDS];
    double threshold;     /* RG_FILTER_SIGNIFICANT; 0: all */
    double skip;          /* RG_FILTER_SKIP: the chance of each number; 0: none */
    double rest;          /* RG_FILTER_KKT: the largest gradient that leaves a parameter at 0 */
    int keep;             /* RG_FILTER_TOP: of a thousand, rounded up; 1000: all */
    struct rg_codec code; /* of the numbers that are said; not RG_CODE_TOP */
    bool chooses;         /* not all are said */
    bool kkt, zeros, keys, fixed /* all messages are of one length */;
};

/* Fills in what follows from kind[count]. */
void rg_filters_resolve(struct rg_filters *filters);

/* Of a message of `count` numbers: the most that it says of them, and its most bytes. */
size_t rg_filters_numbers(const struct rg_filters *filters, size_t count);
uint64_t rg_filters_bytes(const struct rg_filters *filters, size_t count);

/* Whoever says something about a range of a vector. Several may share their values, and without
 * keys their places, too. */
struct rg_filter_out {
    const struct rg_filters *filters;
    size_t first, count; /* the range */
    float *kept;         /* [count] back; 0 at first */
    uint32_t *places;    /* [count] room */
    float *values;       /* [count] room */
    double to_all;    /* RG_FILTER_KKT: what makes a number an estimate of the whole gradient's */
    uint32_t *before; /* [count] room, where there are keys: places of the message before; */
    size_t before_count; /* so many; SIZE_MAX: there was none */
};

/* numbers [count]: what is to be said; becomes what is. parameters [count]. dice: equal ones choose
 * and round alike, and whether a number is chosen depends on its place in the whole vector alone.
 * to [rg_filters_bytes], aligned as a float is. *said: how many numbers. Returns the bytes. What is
 * not finite is said as it is. */
size_t rg_filter_say(struct rg_filter_out *out, float *numbers, const float *parameters,
                     uint64_t dice, void *to, size_t *said);

/* Whoever hears it. Without filters that choose there is no room needed. */
struct rg_filter_in {
    const struct rg_filters *filters;
    size_t count;
    uint32_t *places;   /* [count] room; where there are keys: nobody else's */
    float *values;      /* [count] room */
    size_t place_count; /* of the message before */
};

/* from [bytes] into to [count]: added where `add` is set, else in its place, with 0 for numbers
 * that are not said. false: nobody says that. */
bool rg_filter_hear(struct rg_filter_in *in, const void *from, size_t bytes, float *to, bool add);

/* Of the longest message. */
struct rg_cost rg_filter_say_cost(const struct rg_filters *filters, size_t count);
struct rg_cost rg_filter_hear_cost(const struct rg_filters *filters, size_t count, bool add);

#endif
