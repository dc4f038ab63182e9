/* Mutations of a file's bytes, drawn from a seed. */
#ifndef RG_TESTS_MUTATIONS_H
#define RG_TESTS_MUTATIONS_H

#include "base/check.h"
#include "base/random.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SIZE = 1 << 15 };

struct input {
    unsigned char bytes[MAX_SIZE];
    size_t size;
};

static struct rg_random *dice;

static inline size_t below(size_t bound)
{
    return rg_random_below(dice, (uint32_t)bound);
}

/* Replace `old` bytes at `at` by these. */
static inline void splice(struct input *in, size_t at, size_t old, const void *bytes, size_t size)
{
    if (in->size - old + size > MAX_SIZE)
        return;
    memmove(in->bytes + at + size, in->bytes + at + old, in->size - at - old);
    memcpy(in->bytes + at, bytes, size);
    in->size = in->size - old + size;
}

static inline void mutate_once(struct input *in, const char *const *words, size_t count)
{
    unsigned char copy[256];
    if (in->size == 0)
        return;
    size_t at = below(in->size), left = RG_MIN(in->size - at, sizeof copy);
    size_t some = 1 + below(left);
    const char *word = words[below(count)];
    switch (below(7)) {
    case 0:
        in->bytes[at] ^= (unsigned char)(1u << below(8));
        break;
    case 1:
        in->bytes[at] = (unsigned char)below(256);
        break;
    case 2:
        splice(in, at, some, "", 0);
        break;
    case 3:
        splice(in, at, 0, word, strlen(word));
        break;
    case 4:
        splice(in, at, RG_MIN(strlen(word), left), word, strlen(word));
        break;
    case 5: /* a piece of the file a second time, somewhere else */
        memcpy(copy, in->bytes + at, some);
        splice(in, below(in->size), 0, copy, some);
        break;
    default:
        if (below(4) == 0)
            in->size = at;
        break;
    }
}

/* A reader that takes longer than this hangs: the alarm ends the program. */
static inline void watch(void)
{
    enum { HANGS_S = 10 };
    alarm(HANGS_S);
}

/* Does a refusal begin with FILE:LINE: ? */
static inline bool has_line(const char *text, const char *path)
{
    size_t n = strlen(path), digits;
    if (strncmp(text, path, n) != 0 || text[n] != ':')
        return false;
    digits = strspn(text + n + 1, "0123456789");
    return digits > 0 && text[n + 1 + digits] == ':';
}

/* A few at once; words that mean something to the reader are put in here and there. */
static inline void mutate(struct input *in, const char *const *words, size_t count)
{
    for (size_t n = 1 + below(4); n > 0; n--)
        mutate_once(in, words, count);
}

static inline long setting(const char *name, long fallback)
{
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : fallback;
}

static inline long rounds(void)
{
    return setting("RG_FUZZ_ROUNDS", 2000);
}

/* Print and take the seed. */
static inline bool roll(void)
{
    uint64_t seed = (uint64_t)setting("RG_FUZZ_SEED", 20240607);
    printf("RG_FUZZ_SEED=%llu\n", (unsigned long long)seed);
    dice = rg_random_new(seed, RG_STREAM_TEST, 0);
    return dice != NULL;
}

#endif
