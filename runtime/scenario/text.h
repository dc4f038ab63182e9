/* Words and numbers as people write them, whatever the locale, and what to say about wrong ones.
 *
 * A list of words is one string, the words separated by '|' or, where it holds none, by blanks.
 * Messages are fragments of the one line that reaches the user; the caller adds place and name. */
#ifndef RG_SCENARIO_TEXT_H
#define RG_SCENARIO_TEXT_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

struct rg_limit {
    bool whole; /* only integers, up to 2^53 */
    bool open;  /* min itself is not allowed */
    double min, max;
};

/* Strict: the whole text is one decimal number, finite, inside the limit. On failure *e says what
 * is allowed, as in "not a number: 1 to 64 are allowed". */
int rg_text_number(const char *text, const struct rg_limit *limit, double *value,
                   struct rg_error *e);
/* The first `length` characters as a time in seconds: "90", "90s", "10min", "2h", "5ms"; < 0: they
 * are none. */
double rg_text_seconds(const char *text, size_t length);
/* The first of "3", "0-7" in a list separated by commas: its ends (equal for one number), at most
 * `most`. Returns how many characters it takes, comma included; 0: the text is empty; < 0: it is
 * neither. */
int rg_text_range(const char *text, int most, int *first, int *last);
enum { RG_TEXT_RANKS = 65535 }; /* the highest rank there may be */
/* "1 to 64", "numbers above 0" */
void rg_text_limit(const struct rg_limit *limit, char *out, size_t size);
/* The shortest decimal that reads back as the same number; whole numbers without exponent. */
void rg_text_shortest(double number, char *out, size_t size);

/* Index of `word` in the list, or -1. */
int rg_text_index(const char *words, const char *word);
/* The word of that index; NULL past the end. *length: its length (it is not terminated there). */
const char *rg_text_word(const char *words, int index, int *length);
/* "did you mean \"b\"? a, b and c are allowed", without the question where no word is near. */
void rg_text_allowed(const char *words, const char *word, char *out, size_t size);

/* `path` as seen from the folder of `file`; malloc'ed, NULL when memory is out. */
char *rg_text_beside(const char *file, const char *path);
/* folder/path, the same; an absolute path stays. */
char *rg_text_inside(const char *folder, const char *path);

#endif
