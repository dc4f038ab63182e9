/* Training samples dealt to nodes: as they come, shuffled, sorted by their labels (McMahan et al.
 * 2017, section 3), or class by class in proportions drawn from a Dirichlet distribution
 * (Yurochkin et al. 2019, section 4.1). */
#include "models/deal.h"

#include "base/check.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Draws of one deal, so that none is made twice. */
enum { DRAW_SAMPLES, DRAW_SHARDS, DRAW_SHARES };

/* A sample or shard, and where it stands: sorted by group, and within one by a key drawn. */
struct card {
    uint64_t key;
    uint32_t number;
    int group;
};

static int compare_cards(const void *a, const void *b)
{
    const struct card *p = a, *q = b;
    if (p->group != q->group)
        return p->group < q->group ? -1 : 1;
    if (p->key != q->key)
        return p->key < q->key ? -1 : 1;
    return p->number < q->number ? -1 : p->number > q->number;
}

/* What a deal is made of. */
struct table {
    const struct rg_data_spec *spec;
    uint32_t count;
    int parts;
    struct card *cards; /* [count] the samples in the order in which they are dealt */
    int *owner;         /* [count] of sample number i */
};

/* Shuffled within groups; labels NULL: one group. */
static void shuffle(struct table *t, const int *labels)
{
    for (uint32_t i = 0; i < t->count; i++)
        t->cards[i] = (struct card){rg_hash(t->spec->seed, RG_STREAM_ROWS, DRAW_SAMPLES, i), i,
                                    labels ? labels[i] : 0};
    qsort(t->cards, t->count, sizeof *t->cards, compare_cards);
}

static void give(struct table *t, uint32_t from, uint32_t end, int part)
{
    for (uint32_t i = from; i < end; i++)
        t->owner[t->cards[i].number] = part;
}

/* Where share number i of n begins: shares differ by at most one. */
static uint32_t cut(const struct table *t, uint64_t i, uint64_t n)
{
    return (uint32_t)(i * t->count / n);
}

/* The order cut in as many shards for each part, which are dealt at random. */
static int deal_shards(struct table *t, uint32_t each, struct rg_error *e)
{
    uint32_t n = each * (uint32_t)t->parts;
    struct card *shards = malloc(n * sizeof *shards);
    if (!shards)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    for (uint32_t i = 0; i < n; i++)
        shards[i] = (struct card){rg_hash(t->spec->seed, RG_STREAM_ROWS, DRAW_SHARDS, i), i, 0};
    qsort(shards, n, sizeof *shards, compare_cards);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t shard = shards[i].number;
        give(t, cut(t, shard, n), cut(t, shard + 1, n), (int)(i / each));
    }
    free(shards);
    return 0;
}

/* A point of the symmetric Dirichlet distribution: sums[i] is the sum of its first i coordinates,
 * each a share of all Gamma draws. */
static void draw_shares(struct rg_random *random, double concentration, int parts, double *sums)
{
    do { /* of tiny concentrations all draws may be 0 */
        sums[0] = 0;
        for (int i = 0; i < parts; i++)
            sums[i + 1] = sums[i] + rg_random_gamma(random, concentration);
    } while (sums[parts] == 0);
    double all = sums[parts];
    for (int i = 1; i <= parts; i++)
        sums[i] /= all;
}

/* The cards [from, end) of one class. */
static int deal_class(struct table *t, uint32_t from, uint32_t end, double *sums,
                      struct rg_error *e)
{
    uint64_t class = (uint64_t)t->cards[from].group << 8 | DRAW_SHARES;
    struct rg_random *random = rg_random_new(t->spec->seed, RG_STREAM_ROWS, class);
    if (!random)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    draw_shares(random, t->spec->concentration, t->parts, sums);
    for (int part = 0; part < t->parts; part++)
        give(t, from + (uint32_t)lround(sums[part] * (end - from)),
             from + (uint32_t)lround(sums[part + 1] * (end - from)), part);
    rg_random_free(random);
    return 0;
}

static int deal_classes(struct table *t, struct rg_error *e)
{
    double *sums = malloc(((size_t)t->parts + 1) * sizeof *sums);
    int err = sums ? 0 : rg_fail(e, RG_ERR_NOMEM, "out of memory");
    for (uint32_t from = 0, end; from < t->count && err == 0; from = end) {
        for (end = from; end < t->count && t->cards[end].group == t->cards[from].group;)
            end++;
        err = deal_class(t, from, end, sums, e);
    }
    free(sums);
    return err;
}

static bool is_by_label(const struct rg_data_spec *spec)
{
    return spec->rows == RG_ROWS_LABELS || spec->rows == RG_ROWS_DIRICHLET;
}

/* labels [count]; NULL: they do not matter. */
static int deal_all(struct table *t, const int *labels, struct rg_error *e)
{
    const struct rg_data_spec *spec = t->spec;
    if (spec->rows == RG_ROWS_LABELS &&
        (uint64_t)spec->shards * (uint64_t)t->parts > (uint64_t)t->count)
        return rg_fail(e, RG_ERR_INVALID,
                       "shards=\"%d\" for each of %d nodes: %u training samples make up to %u "
                       "each",
                       spec->shards, t->parts, t->count, t->count / (uint32_t)t->parts);
    shuffle(t, labels);
    if (spec->rows == RG_ROWS_DIRICHLET)
        return deal_classes(t, e);
    if (spec->rows == RG_ROWS_LABELS)
        return deal_shards(t, (uint32_t)spec->shards, e);
    if (spec->rows == RG_ROWS_ORDER)
        for (uint32_t i = 0; i < t->count; i++)
            t->cards[i].number = i;
    for (int part = 0; part < t->parts; part++)
        give(t, cut(t, (uint64_t)part, (uint64_t)t->parts),
             cut(t, (uint64_t)part + 1, (uint64_t)t->parts), part);
    return 0;
}

/* By owner, each one's in their order. */
static int collect(const struct table *t, struct rg_deal *deal, struct rg_error *e)
{
    for (uint32_t i = 0; i < t->count; i++)
        deal->first[t->owner[i] + 1]++;
    for (int part = 0; part < t->parts; part++)
        if (deal->first[part + 1] == 0)
            return rg_fail(e, RG_ERR_INVALID,
                           "%d training samples leave node %d of %d that have their own without "
                           "any: fewer nodes, more samples%s are allowed",
                           (int)t->count, part, t->parts,
                           t->spec->rows == RG_ROWS_DIRICHLET
                               ? ", a larger concentration or another seed"
                               : "");
    for (int part = 0; part < t->parts; part++)
        deal->first[part + 1] += deal->first[part];
    uint32_t *next = malloc((size_t)t->parts * sizeof *next);
    if (!next)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    memcpy(next, deal->first, (size_t)t->parts * sizeof *next);
    for (uint32_t i = 0; i < t->count; i++)
        deal->sample[next[t->owner[i]]++] = i;
    free(next);
    return 0;
}

int rg_deal_make(const struct rg_data_spec *spec, const struct rg_dataset *data, int parts,
                 struct rg_deal *deal, struct rg_error *e)
{
    uint32_t count = (uint32_t)data->train;
    struct table t = {.spec = spec, .count = count, .parts = parts};
    bool by_label = is_by_label(spec), single = data->classes > 0 && data->target_count == 1;
    *deal = (struct rg_deal){0};
    if (by_label && !single)
        return rg_fail(e, RG_ERR_INVALID,
                       "rows dealt by their labels, and %s: shared, order and shuffle are allowed",
                       data->classes > 0 ? "a sample has a label a token"
                                         : "targets are numbers, no labels");
    int *labels = by_label ? malloc(count * sizeof *labels) : NULL;
    RG_ASSERT(spec->rows != RG_ROWS_SHARED && parts > 0 && !data->read);
    t.cards = malloc(count * sizeof *t.cards);
    t.owner = malloc(count * sizeof *t.owner);
    *deal = (struct rg_deal){.parts = parts,
                             .sample = malloc(count * sizeof *deal->sample),
                             .first = calloc((size_t)parts + 1, sizeof *deal->first)};
    bool room = (labels || !by_label) && t.cards && t.owner && deal->sample && deal->first;
    int err = room ? 0 : RG_ERR_NOMEM;
    if (err == 0 && by_label)
        err = data->kind->labels(spec, data, labels);
    if (err)
        rg_fail(e, err, "out of memory");
    if (err == 0)
        err = deal_all(&t, labels, e);
    if (err == 0)
        err = collect(&t, deal, e);
    if (err)
        rg_deal_free(deal);
    free(labels);
    free(t.cards);
    free(t.owner);
    return err;
}

int rg_deal_keep(struct rg_deal *deal, const int *parts, int count)
{
    struct rg_deal kept = {.parts = count,
                           .sample = malloc((deal->first[deal->parts] + 1) * sizeof *kept.sample),
                           .first = calloc((size_t)count + 1, sizeof *kept.first)};
    if (!kept.sample || !kept.first) {
        rg_deal_free(&kept);
        return RG_ERR_NOMEM;
    }
    for (int i = 0; i < count; i++) {
        RG_ASSERT(parts[i] >= 0 && parts[i] < deal->parts);
        uint32_t more = (uint32_t)rg_deal_count(deal, parts[i]);
        memcpy(kept.sample + kept.first[i], rg_deal_samples(deal, parts[i]),
               more * sizeof *kept.sample);
        kept.first[i + 1] = kept.first[i] + more;
    }
    rg_deal_free(deal);
    *deal = kept;
    return 0;
}

void rg_deal_free(struct rg_deal *deal)
{
    free(deal->sample);
    free(deal->first);
    *deal = (struct rg_deal){0};
}
