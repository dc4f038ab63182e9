#include "models/names.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a (Fowler, Noll and Vo). */
static size_t hash(const char *text, size_t length)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < length; i++)
        h = (h ^ (unsigned char)text[i]) * 1099511628211u;
    return (size_t)(h ^ h >> 32);
}

/* The slot of a text, or the free one where it belongs. */
static size_t slot_of(const struct rg_names *names, const char *text, size_t length)
{
    size_t slot = hash(text, length) & (names->slot_count - 1);
    for (;; slot = (slot + 1) & (names->slot_count - 1)) {
        int32_t index = names->slots[slot];
        if (index == 0 || (strlen(names->text[index - 1]) == length &&
                           memcmp(names->text[index - 1], text, length) == 0))
            return slot;
    }
}

/* Room for one more, at most half of the slots in use. */
static int grow(struct rg_names *names)
{
    if (names->count < names->room)
        return 0;
    int room = names->room ? 2 * names->room : 32;
    char **text = realloc(names->text, (size_t)room * sizeof *text);
    if (text)
        names->text = text;
    int32_t *slots = calloc(2 * (size_t)room, sizeof *slots);
    if (!text || !slots) {
        free(slots);
        return RG_ERR_NOMEM;
    }
    free(names->slots);
    names->slots = slots;
    names->slot_count = 2 * (size_t)room;
    names->room = room;
    for (int i = 0; i < names->count; i++)
        slots[slot_of(names, text[i], strlen(text[i]))] = i + 1;
    return 0;
}

int rg_names_add(struct rg_names *names, const char *text, size_t length)
{
    if (grow(names) < 0)
        return RG_ERR_NOMEM;
    size_t slot = slot_of(names, text, length);
    if (names->slots[slot] == 0) {
        char *copy = strndup(text, length);
        if (!copy)
            return RG_ERR_NOMEM;
        names->text[names->count++] = copy;
        names->slots[slot] = names->count;
    }
    return names->slots[slot] - 1;
}

void rg_names_free(struct rg_names *names)
{
    for (int i = 0; i < names->count; i++)
        free(names->text[i]);
    free(names->text);
    free(names->slots);
    *names = (struct rg_names){0};
}
