/* parameter_server: the first ranks are servers that hold the parameters in shards, the others are
 * workers that pull them, compute gradients on their share of the batch and push them (Li et al.
 * 2014). `consistency` says how far workers may be out of step:
 *
 *   bsp            not at all (server_bsp.c);
 *   ssp            stale synchronous parallel (Ho et al. 2013): whoever begins clock c reads all
 *                  pushes of clocks before c - staleness, and its own;
 *   bounded-delay  the same without a promise of its own (Li et al. 2014, section 3.4);
 *   async          every push is a step at once, and nobody waits.
 *
 * Out of step (server_stale.c, worker_stale.c) a worker asks for parameters when it wants them. An
 * iteration is a clock that all workers have ended. An epoch begins and ends in step. */
#include "base/check.h"
#include "base/sizes.h"
#include "strategies/server_parts.h"
#include <stdlib.h>
#include <string.h>

enum {
    CONSISTENCY,
    SERVERS,
    SHARES,
    STALENESS,
    IN_FLIGHT,
    OWN_WRITES,
    FILTERS,
    THRESHOLD,
    SKIP,
    DELTA,
    KEEP,
    REPLICATION
};
enum own { OWN_AUTO, OWN_YES, OWN_NO };

static const struct rg_param params[] = {
    [CONSISTENCY] = {"consistency", RG_PARAM_CHOICE, "bsp", 0, 0, "bsp|ssp|bounded-delay|async",
                     "bsp: an update waits for the gradients of all workers; ssp, bounded-delay:\n"
                     "workers may be out of step by `staleness`; async: each push is an update"},
    [SERVERS] = {"servers", RG_PARAM_COUNT, "1", 1, 1e6, NULL,
                 "nodes that hold the parameters, a shard each; the others are workers"},
    [SHARES] = RG_SHARES_PARAM,
    [STALENESS] = {"staleness", RG_PARAM_COUNT, "auto", 0, 1e6, NULL,
                   "ssp, bounded-delay: updates that the parameters which a worker reads may be\n"
                   "behind it; 0: as bsp, to the bit; auto: 1",
                   .later = true},
    [IN_FLIGHT] = {"in-flight", RG_PARAM_COUNT, "auto", 1, 8, NULL,
                   "clocks that a worker asks parameters for before it has pushed the first of\n"
                   "them; auto: 2 of bounded-delay, else 1",
                   .later = true},
    [OWN_WRITES] = {"own-writes", RG_PARAM_CHOICE, "auto", 0, 0, "auto|yes|no",
                    "a worker adds its own pushes to what it reads, where they are not in it yet;\n"
                    "auto: yes with ssp, where a push moves the parameters by rate x gradient",
                    .later = true},
    /* in the order of enum rg_filter_kind */
    [FILTERS] = {"filters", RG_PARAM_WORDS, "none", 0, 0,
                 "significant|random-skip|kkt|top-k|zeros|key-cache|float16|int8",
                 "of pushes, one after the other; what they hold back is pushed later:\n"
                 "significant: numbers of `threshold` times their parameter and more go;\n"
                 "random-skip: each number stays with a chance of `skip`; kkt: what l1 would\n"
                 "keep at 0 is not pushed at all, see `delta`; top-k: the largest `keep` of a\n"
                 "thousand go; zeros: what is 0 stays; key-cache: places that are those of the\n"
                 "push before are not told again; float16, int8: fewer bytes each",
                 .later = true},
    [THRESHOLD] = {"threshold", RG_PARAM_REAL, "auto", 0, 1e6, NULL,
                   "significant: of a parameter, or of 0.001 if it is smaller; 0: all numbers go;\n"
                   "auto: 0.01",
                   .later = true},
    [SKIP] = {"skip", RG_PARAM_REAL, "auto", 0, 0.999, NULL,
              "random-skip: chance of a number to stay; 0: all go; auto: 0.5", .later = true},
    [DELTA] = {"delta", RG_PARAM_REAL, "auto", 0, 1e6, NULL,
               "kkt: a parameter at 0 stays where its gradient, as a worker estimates it from its\n"
               "samples, is at most l1 less this; l1: only what is 0 stays; auto: half of l1",
               .later = true},
    [KEEP] = {"keep", RG_PARAM_COUNT, "auto", 1, 1000, NULL,
              "top-k: numbers of a thousand that go; 1000: all; auto: 10", .later = true},
    [REPLICATION] =
        {"replication", RG_PARAM_COUNT, "0", 0, 1e6, NULL,
         "bsp: so many servers behind each one have its range, too: when that many are\n"
         "lost, no push that was acknowledged is, and what was trained is saved whole",
         .later = true},
    {0}};

/* ---- checking ---- */

/* Nobody is farther ahead than an epoch is long. */
static int check_staleness(struct rg_job *job, struct rg_server_plan *plan, struct rg_error *e)
{
    struct rg_value *staleness = &job->values[STALENESS];
    bool bounded = plan->consistency == RG_SSP || plan->consistency == RG_BOUNDED_DELAY;
    if (!bounded && !staleness->automatic && !job->settled)
        return rg_fail(
            e, RG_ERR_INVALID,
            "staleness=\"%ld\" is for consistency=\"ssp\" and \"bounded-delay\": bsp has "
            "none, async no bound",
            staleness->number);
    if (staleness->automatic)
        staleness->number = bounded ? 1 : plan->consistency == RG_BSP ? 0 : -1;
    plan->ahead = job->iterations_per_epoch - 1;
    if (plan->consistency != RG_ASYNC)
        plan->ahead = RG_MIN(plan->ahead, staleness->number);
    plan->in_step = plan->consistency != RG_ASYNC && plan->ahead == 0;
    return 0;
}

static int check_in_flight(struct rg_job *job, struct rg_server_plan *plan, struct rg_error *e)
{
    struct rg_value *in_flight = &job->values[IN_FLIGHT];
    if (in_flight->automatic)
        in_flight->number = plan->consistency == RG_BOUNDED_DELAY ? 2 : 1;
    if (plan->consistency == RG_BSP && in_flight->number > 1)
        return rg_fail(e, RG_ERR_INVALID,
                       "in-flight=\"%ld\" is for the other consistencies: with bsp the next "
                       "parameters are there when all have pushed",
                       in_flight->number);
    if (job->values[STALENESS].number == 0 && !in_flight->automatic && in_flight->number > 1)
        return rg_fail(e, RG_ERR_INVALID,
                       "in-flight=\"%ld\" is for a staleness of 1 and more: with 0 the next "
                       "parameters are there when all have pushed",
                       in_flight->number);
    plan->in_flight = (int)in_flight->number;
    return 0;
}

/* What a push adds to the parameters is known to its worker where the optimizer has nothing to do
 * with pushes of others. */
static int check_own_writes(struct rg_job *job, struct rg_server_plan *plan, struct rg_error *e)
{
    const struct rg_optimizer *optimizer = &job->optimizer;
    struct rg_value *own = &job->values[OWN_WRITES];
    bool bounded = plan->consistency == RG_SSP || plan->consistency == RG_BOUNDED_DELAY;
    bool known =
        (optimizer->kind == RG_SGD || optimizer->kind == RG_MOMENTUM) && optimizer->clip == 0;
    if (own->number == OWN_AUTO)
        own->number = plan->consistency == RG_SSP && known ? OWN_YES : OWN_NO;
    if (own->number == OWN_YES && !bounded)
        return rg_fail(e, RG_ERR_INVALID,
                       "own-writes=\"yes\" is for consistency=\"ssp\" and \"bounded-delay\": with "
                       "the others a worker reads its pushes back");
    if (own->number == OWN_YES && !known)
        return rg_fail(e, RG_ERR_INVALID,
                       "own-writes=\"yes\" is for optimizer=\"sgd\" and \"momentum\" without clip, "
                       "whose steps are the rate times the gradient");
    plan->own_writes = own->number == OWN_YES;
    return 0;
}

/* Its name, `*length` letters of it. */
static const char *filter_word(enum rg_filter_kind kind, int *length)
{
    const char *word = params[FILTERS].choices;
    for (int i = 0; i < (int)kind; i++)
        word = strchr(word, '|') + 1;
    *length = (int)strcspn(word, "|");
    return word;
}

/* A number that only that filter has is given without it. */
static int check_of_filter(const struct rg_job *job, int param, enum rg_filter_kind kind,
                           const struct rg_filters *filters, struct rg_error *e)
{
    const struct rg_value *value = &job->values[param];
    if (value->automatic || job->settled)
        return 0;
    for (int i = 0; i < filters->count; i++)
        if (filters->kind[i] == kind)
            return 0;
    int length;
    const char *word = filter_word(kind, &length);
    return rg_fail(e, RG_ERR_INVALID, "%s=\"%s\" is for filters=\"%.*s\"", params[param].name,
                   value->text, length, word);
}

/* Those that choose numbers come before those that say how they are told. */
static int check_order(const struct rg_filters *filters, struct rg_error *e)
{
    bool chooses = false;
    for (int i = 0; i < filters->count; i++) {
        enum rg_filter_kind kind = filters->kind[i];
        int length;
        const char *word = filter_word(kind, &length);
        if (i > 0 && kind <= RG_FILTER_ZEROS && filters->kind[i - 1] > RG_FILTER_ZEROS)
            return rg_fail(e, RG_ERR_INVALID,
                           "filters: %.*s chooses numbers: it stands before key-cache, float16 and "
                           "int8, which say how they are told",
                           length, word);
        for (int k = 0; k < i; k++)
            if (kind >= RG_FILTER_FLOAT16 && filters->kind[k] >= RG_FILTER_FLOAT16)
                return rg_fail(e, RG_ERR_INVALID, "filters: float16 or int8 is allowed, not both");
        if (kind == RG_FILTER_KEYS && !chooses)
            return rg_fail(e, RG_ERR_INVALID,
                           "filters: key-cache is for those that choose numbers: significant, "
                           "random-skip, kkt, top-k and zeros; without, all places are told");
        chooses = chooses || kind <= RG_FILTER_ZEROS;
    }
    return 0;
}

/* Gradients of up to l1 leave a parameter at 0. */
static int check_delta(const struct rg_job *job, struct rg_filters *filters, struct rg_value *delta,
                       struct rg_error *e)
{
    float l1 = job->optimizer.l1;
    if (l1 == 0)
        return rg_fail(e, RG_ERR_INVALID,
                       "filters: kkt leaves parameters at 0 that l1 of <training> keeps there: "
                       "l1 above 0 is wanted");
    if (job->network->statistics_count > 0)
        return rg_fail(e, RG_ERR_INVALID,
                       "filters: network %.160s has layers with running statistics, which l1 does "
                       "not keep at 0 but kkt would: significant, top-k and zeros are allowed",
                       job->network->file);
    if (delta->automatic)
        delta->real = (double)l1 / 2;
    if ((float)delta->real > l1)
        return rg_fail(e, RG_ERR_INVALID, "delta=\"%g\" is above l1=\"%g\": 0 to l1 are allowed",
                       delta->real, l1);
    filters->rest = l1 - (float)delta->real;
    return 0;
}

static int check_filters(struct rg_job *job, struct rg_filters *filters, struct rg_error *e)
{
    const struct rg_value *list = &job->values[FILTERS];
    struct rg_value *threshold = &job->values[THRESHOLD], *skip = &job->values[SKIP];
    struct rg_value *keep = &job->values[KEEP];
    filters->count = (int)list->number;
    for (int i = 0; i < filters->count; i++)
        filters->kind[i] = (enum rg_filter_kind)list->list[i];
    int err = check_order(filters, e);
    if (err == 0)
        err = check_of_filter(job, THRESHOLD, RG_FILTER_SIGNIFICANT, filters, e);
    if (err == 0)
        err = check_of_filter(job, SKIP, RG_FILTER_SKIP, filters, e);
    if (err == 0)
        err = check_of_filter(job, DELTA, RG_FILTER_KKT, filters, e);
    if (err == 0)
        err = check_of_filter(job, KEEP, RG_FILTER_TOP, filters, e);
    for (int i = 0; i < filters->count && err == 0; i++) {
        if (filters->kind[i] == RG_FILTER_KKT)
            err = check_delta(job, filters, &job->values[DELTA], e);
        if (filters->kind[i] == RG_FILTER_SIGNIFICANT && threshold->automatic)
            threshold->real = 0.01;
        if (filters->kind[i] == RG_FILTER_SKIP && skip->automatic)
            skip->real = 0.5;
        if (filters->kind[i] == RG_FILTER_TOP && keep->automatic)
            keep->number = 10;
    }
    filters->threshold = threshold->real;
    filters->skip = skip->real;
    filters->keep = (int)keep->number;
    rg_filters_resolve(filters);
    return err;
}

static int check_replication(const struct rg_job *job, struct rg_server_plan *plan,
                             struct rg_error *e)
{
    long replicas = job->values[REPLICATION].number;
    if (replicas >= plan->servers)
        return rg_fail(e, RG_ERR_INVALID,
                       "replication=\"%ld\": of %d server%s there are 0 to %d others", replicas,
                       plan->servers, plan->servers == 1 ? "" : "s", plan->servers - 1);
    if (replicas > 0 && !plan->in_step)
        return rg_fail(e, RG_ERR_INVALID,
                       "replication=\"%ld\" is for consistency=\"bsp\", or a staleness of 0",
                       replicas);
    plan->replicas = (int)replicas;
    return 0;
}

static int check(struct rg_job *job, struct rg_error *e)
{
    int servers = (int)job->values[SERVERS].number;
    struct rg_server_plan plan = {.consistency =
                                      (enum rg_consistency)job->values[CONSISTENCY].number,
                                  .servers = servers,
                                  .workers = job->nodes - servers,
                                  .stages = 1,
                                  .fetch_every = 1,
                                  .push_every = 1};
    int err = rg_server_check_nodes(job, servers, 1, e);
    if (err == 0)
        err = check_staleness(job, &plan, e);
    if (err == 0)
        err = check_in_flight(job, &plan, e);
    if (err == 0)
        err = check_own_writes(job, &plan, e);
    if (err == 0)
        err = check_filters(job, &plan.filters, e);
    if (err == 0)
        err = check_replication(job, &plan, e);
    if (err == 0)
        err = rg_server_keep_plan(job, &plan, e);
    if (err == 0)
        err = rg_shares_check(job, &job->values[SHARES], servers, plan.workers, e);
    if (err)
        return err;
    job->left_whole = plan.in_step && !rg_server_filtered(&plan);
    rg_server_weigh_replicas(job);
    return 0;
}

const struct rg_strategy rg_strategy_parameter_server = {
    .name = "parameter_server",
    .summary = "servers hold the parameters in shards, workers pull them and push gradients",
    .params = params,
    .min_nodes = 2,
    .check = check,
    .forget = rg_server_forget,
    .feeds = rg_server_feeds,
    .memory = rg_server_memory,
    .predict = rg_server_predict,
    .flows = rg_server_flows,
    .sharing = rg_server_sharing,
    .under_way = rg_server_under_way,
    .check_orders = rg_server_check_orders,
    .open = rg_server_open,
    .train = rg_server_train,
    .parameters = rg_server_parameters,
    .state = rg_server_state,
    .state_floats = rg_server_state_floats,
    .root_floats = rg_server_root_floats,
    .whole_epochs = rg_server_whole_epochs,
    .held = rg_server_held,
    .copies = rg_server_copies,
    .copies_floats = rg_server_copies_floats,
    .observe = rg_server_observe,
    .close = rg_server_close,
};
