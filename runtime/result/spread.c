/* The figures of very many nodes as a few quantiles each. */
#include "result/result.h"

#include "base/check.h"
#include "base/error.h"
#include "result/result_fields.h"
#include <math.h>
#include <stdlib.h>

struct figure {
    double value;
    int place; /* among the nodes */
};

/* NAN: unknown, or not a figure. */
static double figure_of(const struct rg_field *field, const struct rg_run_node *node)
{
    const char *member = (const char *)node + field->offset;
    if (field->kind == RG_FIELD_REAL)
        return *(const double *)member;
    return field->kind == RG_FIELD_COUNT ? (double)*(const uint64_t *)member : NAN;
}

static int by_value(const void *a, const void *b)
{
    const struct figure *x = a, *y = b;
    return x->value != y->value ? (x->value > y->value) - (x->value < y->value)
                                : (x->place > y->place) - (x->place < y->place);
}

/* Between the two nearest, as of a linear interpolation. */
static double quantile(const struct figure *sorted, int count, double share)
{
    double place = share * (count - 1);
    int low = (int)place, high = RG_MIN(low + 1, count - 1);
    return sorted[low].value + (place - low) * (sorted[high].value - sorted[low].value);
}

/* false: no node knows this figure. The nodes with the least and the most of it are marked, of
 * several the first. */
static bool spread_of(const struct rg_run *run, const struct rg_field *field, struct figure *room,
                      bool *marked, struct rg_run_spread *spread)
{
    int count = 0;
    for (int i = 0; i < run->node_count; i++) {
        room[count] = (struct figure){figure_of(field, &run->per_node[i]), i};
        count += !isnan(room[count].value);
    }
    if (count == 0)
        return false;
    qsort(room, (size_t)count, sizeof *room, by_value);
    int most = count - 1;
    while (most > 0 && room[most - 1].value == room[most].value)
        most--;
    marked[room[0].place] = marked[room[most].place] = true;
    *spread = (struct rg_run_spread){.least = room[0].value,
                                     .least_rank = run->per_node[room[0].place].rank,
                                     .p50 = quantile(room, count, 0.5),
                                     .p95 = quantile(room, count, 0.95),
                                     .most = room[most].value,
                                     .most_rank = run->per_node[room[most].place].rank};
    rg_copy_text(spread->figure, sizeof spread->figure, field->name);
    return true;
}

static void keep(struct rg_run *run, const bool *marked)
{
    int kept = 0;
    for (int i = 0; i < run->node_count; i++) {
        if (marked[i])
            run->per_node[kept++] = run->per_node[i];
        else
            rg_record_free(&rg_run_node_record, &run->per_node[i]);
    }
    run->node_count = kept;
}

int rg_run_summarize_nodes(struct rg_run *run)
{
    const struct rg_record *node = &rg_run_node_record;
    size_t count = (size_t)run->node_count;
    struct rg_run_spread *spreads = calloc((size_t)node->field_count + 1, sizeof *spreads);
    struct figure *room = calloc(count + 1, sizeof *room);
    bool *marked = calloc(count + 1, sizeof *marked);
    int known = 0, result = spreads && room && marked ? 0 : RG_ERR_NOMEM;
    for (int i = 0; i < node->field_count && result == 0; i++)
        known += spread_of(run, &node->fields[i], room, marked, &spreads[known]);
    if (known > 0) {
        keep(run, marked);
        run->spreads = spreads;
        run->spread_count = known;
        spreads = NULL;
    }
    free(spreads);
    free(room);
    free(marked);
    return result;
}
