/* A set of texts, each with the number under which it came first: names of classes, of groups. */
#ifndef RG_MODELS_NAMES_H
#define RG_MODELS_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct rg_names {
    char **text; /* [count] */
    int count, room;
    int32_t *slots; /* [slot_count], a power of 2: index + 1, or 0 */
    size_t slot_count;
};

/* The index of a text, which joins the set where it is new; RG_ERR_NOMEM. */
int rg_names_add(struct rg_names *names, const char *text, size_t length);
void rg_names_free(struct rg_names *names);

#endif
