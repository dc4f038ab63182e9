#include "base/random.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

uint64_t rg_mix64(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t rg_hash(uint64_t seed, enum rg_stream stream, uint64_t a, uint64_t b)
{
    return rg_mix64(rg_mix64(rg_mix64(rg_mix64(seed) ^ stream) ^ a) ^ b);
}

static gsl_rng *generator(struct rg_random *random)
{
    return (gsl_rng *)random;
}

struct rg_random *rg_random_new(uint64_t seed, enum rg_stream stream, uint64_t a)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    if (rng)
        gsl_rng_set(rng, (unsigned long)(uint32_t)rg_mix64(rg_mix64(rg_mix64(seed) ^ stream) ^ a));
    return (struct rg_random *)rng;
}

void rg_random_free(struct rg_random *random)
{
    gsl_rng_free(generator(random));
}

double rg_random_uniform(struct rg_random *random)
{
    return gsl_rng_uniform(generator(random));
}

double rg_random_gaussian(struct rg_random *random, double sigma)
{
    return gsl_ran_gaussian_ziggurat(generator(random), sigma);
}

double rg_random_gamma(struct rg_random *random, double shape)
{
    return gsl_ran_gamma(generator(random), shape, 1);
}

uint32_t rg_random_below(struct rg_random *random, uint32_t bound)
{
    return (uint32_t)gsl_rng_uniform_int(generator(random), bound);
}

void rg_random_permutation(struct rg_random *random, uint32_t *order, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    gsl_ran_shuffle(generator(random), order, n, sizeof *order);
}
