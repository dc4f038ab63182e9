/* Which node has which training samples, where they stay where they were made (federated data). */
#ifndef RG_MODELS_DEAL_H
#define RG_MODELS_DEAL_H

#include "models/dataset.h"

/* The training samples, dealt to parts: each has one owner. */
struct rg_deal {
    int parts;
    uint32_t *sample; /* [train] part by part, ascending in each */
    uint32_t *first;  /* [parts + 1] where a part begins, and the end */
};

/* As spec->rows says (not RG_ROWS_SHARED), of a dataset that was probed and is not read yet. What
 * is drawn depends on the seed, the samples and `parts` alone. RG_ERR_INVALID, with what is allowed
 * in *e (without file and line): a part would have no samples; RG_ERR_NOMEM. */
int rg_deal_make(const struct rg_data_spec *spec, const struct rg_dataset *data, int parts,
                 struct rg_deal *deal, struct rg_error *e);
void rg_deal_free(struct rg_deal *deal);
/* Only these parts, [count], stay, in this order; the samples of the others have no owner any more.
 * 0 or RG_ERR_NOMEM. */
int rg_deal_keep(struct rg_deal *deal, const int *parts, int count);

/* The samples of a part. */
static inline const uint32_t *rg_deal_samples(const struct rg_deal *deal, int part)
{
    return deal->sample + deal->first[part];
}

static inline int rg_deal_count(const struct rg_deal *deal, int part)
{
    return (int)(deal->first[part + 1] - deal->first[part]);
}

#endif
