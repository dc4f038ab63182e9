#include "scenario/setting_type.h"

#include <stdio.h>
#include <string.h>

void rg_type_words(const struct rg_type *type, char out[RG_TYPE_WORDS])
{
    size_t used = (size_t)snprintf(out, RG_TYPE_WORDS, "%s", type->words ? type->words : "");
    for (int i = 0; type->word && type->word(i) && used < RG_TYPE_WORDS; i++)
        used += (size_t)snprintf(out + used, RG_TYPE_WORDS - used, i ? "|%s" : "%s", type->word(i));
}

bool rg_type_has_number(const struct rg_type *type)
{
    return type->kind == RG_TYPE_NUMBER || type->kind == RG_TYPE_WORD;
}

static int read_word(const struct rg_type *type, const char *text, double *number,
                     struct rg_error *why)
{
    char words[RG_TYPE_WORDS], allowed[RG_TYPE_WORDS + 60];
    rg_type_words(type, words);
    int index = rg_text_index(words, text);
    if (index < 0) {
        rg_text_allowed(words, text, allowed, sizeof allowed);
        return rg_fail(why, RG_ERR_INVALID, "%s", allowed);
    }
    *number = index;
    return 0;
}

static int read_ranks(const char *text, struct rg_error *why)
{
    int first, last, used;
    for (const char *at = text; (used = rg_text_range(at, RG_TEXT_RANKS, &first, &last)) != 0;
         at += used)
        if (used < 0)
            break;
    if (used == 0 && *text)
        return 0;
    return rg_fail(why, RG_ERR_INVALID, "ranks and ranges of them are allowed, as in 0-3,8");
}

int rg_type_read(const struct rg_type *type, const char *text, double *number, struct rg_error *why)
{
    switch (type->kind) {
    case RG_TYPE_NUMBER:
        return rg_text_number(text, &type->limit, number, why);
    case RG_TYPE_WORD:
        return read_word(type, text, number, why);
    case RG_TYPE_RANKS:
        return read_ranks(text, why);
    case RG_TYPE_TEXT:
    case RG_TYPE_FILE:
        break;
    }
    if (text[0] == '\0')
        return rg_fail(why, RG_ERR_INVALID, "must not be empty");
    if (type->limit.max > 0 && (double)strlen(text) > type->limit.max)
        return rg_fail(why, RG_ERR_INVALID, "up to %.0f bytes are allowed", type->limit.max);
    return 0;
}

void rg_type_write(const struct rg_type *type, double number, char *out, size_t size)
{
    char words[RG_TYPE_WORDS];
    int length = 0;
    out[0] = '\0';
    if (type->kind == RG_TYPE_NUMBER) {
        rg_text_shortest(number, out, size);
    } else if (type->kind == RG_TYPE_WORD) {
        rg_type_words(type, words);
        const char *word = rg_text_word(words, (int)number, &length);
        snprintf(out, size, "%.*s", length, word ? word : "");
    }
}

void rg_type_allowed(const struct rg_type *type, char *out, size_t size)
{
    char words[RG_TYPE_WORDS];
    switch (type->kind) {
    case RG_TYPE_NUMBER:
        rg_text_limit(&type->limit, out, size);
        break;
    case RG_TYPE_WORD:
        rg_type_words(type, words);
        snprintf(out, size, "%s", words);
        break;
    case RG_TYPE_RANKS:
        snprintf(out, size, "ranks: 0-3,8");
        break;
    case RG_TYPE_FILE:
        snprintf(out, size, "a file");
        break;
    case RG_TYPE_TEXT:
        snprintf(out, size, "a text");
        break;
    }
}
