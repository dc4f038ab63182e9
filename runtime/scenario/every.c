#include "scenario/every.h"

#include "scenario/text.h"

#include <stdio.h>
#include <string.h>

/* "2epochs", "500 iterations": of such a unit. False: it is none. */
static bool read_counted(const char *text, const char *unit, int64_t *count)
{
    static const struct rg_limit limit = {.whole = true, .min = 1, .max = 1e15};
    char number[24];
    size_t digits = strspn(text, "0123456789");
    const char *word = text + digits + (text[digits] == ' ');
    size_t length = strlen(unit);
    double value = 0;
    if (digits >= sizeof number || strncmp(word, unit, length) != 0 ||
        strcmp(word + length, word[length] == 's' ? "s" : "") != 0)
        return false;
    snprintf(number, sizeof number, "%.*s", (int)digits, text);
    bool good = rg_text_number(number, &limit, &value, NULL) == 0;
    *count = (int64_t)value;
    return good;
}

bool rg_every_read(const char *text, struct rg_every *every)
{
    *every = (struct rg_every){.daly = strcmp(text, "daly") == 0};
    if (every->daly)
        return true;
    if (read_counted(text, "epoch", &every->epochs) ||
        read_counted(text, "iteration", &every->iterations))
        return true;
    *every = (struct rg_every){.seconds = rg_text_seconds(text, strlen(text))};
    return every->seconds > 0;
}

bool rg_every_given(const struct rg_every *every)
{
    return every->iterations > 0 || every->epochs > 0 || every->seconds > 0 || every->daly;
}
