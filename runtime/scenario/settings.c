/* The table of settings, and what it says about one. */
#include "scenario/settings.h"

#include "base/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what storing a number does not do alone ---- */

static void set_seed(struct rg_scenario *s, double seed)
{
    s->seed = s->data.seed = (uint64_t)seed;
}

/* With the momentum and the like that its kind has by default. */
static void set_optimizer(struct rg_scenario *s, double kind)
{
    struct rg_optimizer *optimizer = &s->training.optimizer;
    if (optimizer->kind != (enum rg_optimizer_kind)kind)
        rg_optimizer_change(optimizer, (enum rg_optimizer_kind)kind);
}

/* Of all boards: those of <clock> too. */
static void set_clock(struct rg_scenario *s, double hz)
{
    s->training.clock = hz;
    s->clock_count = 0;
}

static void set_data_kind(struct rg_scenario *s, double kind)
{
    s->data.kind = rg_data_kinds[(int)kind];
}

static double data_kind(const struct rg_scenario *s)
{
    return s->data.kind ? rg_data_kind_index(s->data.kind->name) : 0;
}

static const char *optimizer_word(int index)
{
    return rg_optimizer_infos[index].name;
}

static const char *data_kind_word(int index)
{
    return rg_data_kinds[index] ? rg_data_kinds[index]->name : NULL;
}

/* ---- the table ---- */

#define STORE(STRUCT, FIELD)                                                                       \
    _Generic(((struct STRUCT *)NULL)->FIELD,                                                       \
        int: RG_STORE_INT,                                                                         \
        unsigned: RG_STORE_ENUM,                                                                   \
        long: RG_STORE_LONG,                                                                       \
        uint64_t: RG_STORE_UINT64,                                                                 \
        bool: RG_STORE_BOOL,                                                                       \
        float: RG_STORE_FLOAT,                                                                     \
        double: RG_STORE_DOUBLE,                                                                   \
        char *: RG_STORE_TEXT)
#define AT(FIELD) .at = offsetof(struct rg_scenario, FIELD), .store = STORE(rg_scenario, FIELD)
#define IN(STRUCT, FIELD)                                                                          \
    .record = true, .at = offsetof(struct STRUCT, FIELD), .store = STORE(STRUCT, FIELD)
#define RANKS(STRUCT)                                                                              \
    .record = true, .at = offsetof(struct STRUCT, first), .store = RG_STORE_RANKS,                 \
    .type = {RG_TYPE_RANKS}
#define WHOLE(MIN, MAX) .type = {RG_TYPE_NUMBER, {true, false, MIN, MAX}}
#define REAL(MIN, MAX)  .type = {RG_TYPE_NUMBER, {false, false, MIN, MAX}}
#define ABOVE(MIN, MAX) .type = {RG_TYPE_NUMBER, {false, true, MIN, MAX}}
#define WORD(WORDS)     .type = {RG_TYPE_WORD, .words = WORDS}
#define FILE_NAME       .type = {RG_TYPE_FILE}
#define TEXT            .type = {RG_TYPE_TEXT}

/* A label has neither what separates it from its parameter nor what would not show. */
#define LABEL "[^.=|\" ]([^.=|\"]*[^.=|\" ])?"

const struct rg_setting_info rg_setting_infos[] = {
    /* <scenario> */
    {"scenario", "name", .type = {RG_TYPE_TEXT, {.max = 120}}, .needed = true, AT(name),
     .help = "the name that results give it"},
    {"scenario", "seed", "seed", WHOLE(0, 9007199254740991.0), /* JSON readers keep it exactly */
     .absent = 1, AT(seed), .set = set_seed, .sealed = "seed",
     .help =
         "every random number follows from it: initial parameters, order of samples, drawn data, "
         "jitter"},
    {NULL, "nodes", "nodes", WHOLE(1, 65536), AT(nodes), .sealed = "nodes",
     .help =
         "how many every strategy uses; what depends on it (stages, workers) is worked out again"},
    {"platform", "file", "platform", FILE_NAME, .needed = true, AT(platform_file),
     .help = "the boards and their network: a SimGrid 4.1 platform"},
    {"platform", "board", "board", TEXT, AT(board),
     .help = "every host is this board, in place of what the platform says: pi-4b, pi-5, ..."},
    {"network", "file", "network", FILE_NAME, .needed = true, AT(network_file),
     .help = "the layers to train"},
    /* <training> */
    {"training", "batch", "batch", WHOLE(1, 1 << 24), .needed = true, AT(training.batch),
     .sealed = "batch", .help = "samples in one parameter update, over all nodes"},
    {"training", "epochs", "epochs", WHOLE(1, 1000000), .needed = true, .either = "iterations",
     AT(training.epochs), .sealed = "epochs",
     .help = "passes over the training samples; the last incomplete batch is left out"},
    {"training", "iterations", "iterations", WHOLE(1, 1e9), .needed = true, .either = "epochs",
     AT(training.iterations), .sealed = "iterations", .help = "parameter updates"},
    {"training", "optimizer", "optimizer", .type = {RG_TYPE_WORD, .word = optimizer_word},
     AT(training.optimizer.kind), .set = set_optimizer, .sealed = "optimizer",
     .help = "the rule by which a gradient changes the parameters"},
    {"training", "learning-rate", "learning-rate", REAL(1e-37, 1000), /* what a float holds fully */
     .needed = true, AT(training.optimizer.rate), .sealed = "learning-rate",
     .help = "the factor on the gradient in an update"},
    {"training", "momentum", "momentum", REAL(0, 0.9999), .with = "optimizer=momentum",
     AT(training.optimizer.momentum), .sealed = "momentum",
     .help = "the share of the last update that goes into the next; default 0.9"},
    {"training", "history", "history", WHOLE(1, RG_HISTORY_MOST), .with = "optimizer=lbfgs",
     AT(training.optimizer.history),
     .help = "steps that the direction of lbfgs is made of; default 10"},
    {"training", "trials", "trials", WHOLE(1, 1000), .with = "optimizer=lbfgs",
     AT(training.optimizer.trials),
     .help = "of lengths along a direction of lbfgs, at most, each half of the one before; default "
             "20"},
    {"training", "rate-ramp", "rate-ramp", WHOLE(0, 1e9), AT(training.optimizer.ramp),
     .help =
         "updates in which the learning rate rises to its value, in a straight line; default 0"},
    {"training", "rate-schedule", "rate-schedule", WORD("constant|step|cosine"),
     AT(training.optimizer.schedule),
     .help = "how the learning rate falls after that: not at all, to a share of itself after every "
             "rate-period, or along half a cosine; default constant"},
    {"training", "rate-period", "rate-period", WHOLE(1, 1e9), AT(training.optimizer.period),
     .help = "step: updates between two falls; cosine: updates until the least rate, default all"},
    {"training", "rate-factor", "rate-factor", REAL(0, 1), AT(training.optimizer.factor),
     .help = "step: what the rate is multiplied by at a fall, 0: 0.1; cosine: the share of it that "
             "is left at last; default 0"},
    {"training", "clip", "clip", ABOVE(0, 1e30), AT(training.optimizer.clip),
     .help = "the largest norm of a layer's gradient, which is scaled down to it; default: none"},
    {"training", "l1", "l1", REAL(0, 1e6), AT(training.optimizer.l1),
     .help = "what the sum of the parameters' magnitudes costs beside the loss: after each update "
             "they move towards 0 by the rate times that (sgd, momentum, adagrad); default 0"},
    {"training", "l2", "l2", REAL(0, 1e6), AT(training.optimizer.l2),
     .help = "what half the sum of their squares costs; default 0"},
    {"training", "compensate", "compensate", WORD("no|yes"), AT(training.compensate),
     .help =
         "yes: streams allow for the delay of their gradients (of momentum and Adam); default no"},
    {"training", "numerics", "numerics", WORD("skip|real"), .absent = 1, AT(training.numerics),
     .sealed = "numerics",
     .help = "real: compute; skip: only account for the time that computing takes"},
    {"training", "threads", "threads", WHOLE(1, 1024), .absent = 1, AT(training.threads),
     .sealed = "threads", .help = "cores that each node trains with"},
    {"training", "clock", "clock", ABOVE(0, 1e12), AT(training.clock), .set = set_clock,
     .sealed = "clock", .help = "P-state of all boards, in Hz; default: their highest"},
    {"training", "bandwidth-factor", "bandwidth-factor", "link-rate", REAL(1e-9, 1e6), .absent = 1,
     AT(training.bandwidth_factor), .sealed = "link-rate",
     .help = "multiplies the bandwidth of every link"},
    {"training", "key-byte-s", "key-byte-s", REAL(0, 1e-3), AT(training.key_byte_s),
     .sealed = "key-byte-s",
     .help =
         "what encryption costs: seconds of a core for each byte, at each end; 0: connections are "
         "not encrypted"},
    {"training", "lose", "lose", WORD("stop|restart|shrink|spare"), AT(training.lose),
     .help =
         "when a node is lost: stop; restart: wait for it, and go on from the last checkpoint; "
         "shrink: those that are left go on from there; spare: a node that has waited takes its "
         "place; who is there again joins these at the end of an epoch; default stop"},
    {"training", "spares", "spares", WHOLE(1, 1024), .absent = 1, .with = "lose=spare",
     AT(training.spares),
     .help = "nodes of the platform after those that train, which wait to take a place; default 1"},
    {"training", "checkpoint-every", "checkpoint-every", TEXT, AT(training.checkpoint_every),
     .help = "how often checkpoints are due, unless --every says it: 10min, 2epochs, "
             "500iterations, daly (what loses the least time at mtbf, by Daly's form), or never; "
             "with numerics=skip they are simulated without a folder, too"},
    {"stop", "accuracy", "accuracy", ABOVE(0, 1), .absent = NAN, .with = "numerics=real",
     AT(stop.accuracy), .sealed = "stop",
     .help = "stop at the end of the epoch that reaches this share of correct test samples"},
    {"stop", "loss", "stop-loss", ABOVE(0, 1e30), .absent = NAN, .with = "numerics=real",
     AT(stop.loss),
     .help = "stop at the end of the epoch whose loss on the test set is that or less"},
    {"stop", "patience", "patience", WHOLE(1, 1000000), .with = "numerics=real", AT(stop.patience),
     .help = "stop after so many epochs in a row without a loss on the test set that is less than "
             "all before"},
    /* <data> */
    {"data", "kind", .type = {RG_TYPE_WORD, .word = data_kind_word}, .needed = true,
     .set = set_data_kind, .get = data_kind, .sealed = "data",
     .help = "where the samples come from"},
    {"data", "train", "train", "samples", WHOLE(1, 100000000), AT(data.train), .sealed = "train",
     .help = "training samples; default: all in the files, or what the kind draws"},
    {"data", "test", "test", WHOLE(0, 100000000), AT(data.test), .sealed = "test",
     .help = "test samples; 0: the same default"},
    {"data", "rows", "rows", WORD("shared|order|shuffle|labels|dirichlet"), AT(data.rows),
     .help = "which node has which training samples. shared: any has all; else each has its own: "
             "cut in order, shuffled, sorted by label and dealt in shards, or by class in shares "
             "drawn from a Dirichlet distribution; default shared"},
    {"data", "shards", "shards", WHOLE(1, 1000000), .absent = 2, .with = "rows=labels",
     AT(data.shards),
     .help = "pieces of the samples sorted by label that each node gets; default 2"},
    {"data", "concentration", "concentration", REAL(0.01, 1e6), .absent = 0.5,
     .with = "rows=dirichlet", AT(data.concentration),
     .help =
         "of the shares of a class that nodes get: small, few nodes have most of it; large, all "
         "have as much; default 0.5"},
    /* What may stand several times. */
    {"clock", "nodes", RANKS(rg_clock_group), .needed = true,
     .help = "ranks that run at another clock"},
    {"clock", "hz", ABOVE(0, 1e12), .needed = true, IN(rg_clock_group, hz), .sealed = "hz",
     .help = "the P-state of these ranks, in Hz"},
    {"profile", "nodes", RANKS(rg_profile_group), .needed = true,
     .help = "ranks that take the seconds of a profile"},
    {"profile", "file", FILE_NAME, .needed = true, IN(rg_profile_group, file),
     .help =
         "what their board was measured to take for each layer: a file of ringcal --network or of "
         "analysis/profile_torch.py"},
    {"slow link", "nodes", RANKS(rg_fault_window), .needed = true,
     .help = "ranks that compute more slowly <slow>, or whose own links are slower <link>"},
    {"slow link", "from", REAL(0, 1e12), IN(rg_fault_window, from_s), .sealed = "from s",
     .help = "begin, in seconds of training time"},
    {"slow link", "to", ABOVE(0, 1e12), .absent = INFINITY, IN(rg_fault_window, to_s),
     .sealed = "to s", .help = "end, likewise; default: the end of the run"},
    {"slow link", "factor", REAL(1e-9, 1), .needed = true, IN(rg_fault_window, factor),
     .sealed = "factor", .help = "multiplies their speed or bandwidth meanwhile"},
    {"off", "nodes", RANKS(rg_fault_off), .needed = true, .help = "ranks that lose their power"},
    {"off", "from", REAL(0, 1e12), IN(rg_fault_off, from_s), .sealed = "from s",
     .help = "when, in seconds of training time; default: from the first on"},
    {"off", "to", ABOVE(0, 1e12), .absent = INFINITY, IN(rg_fault_off, to_s), .sealed = "to s",
     .help = "when they are there again, ready to train; default: never"},
    {"faults", "mtbf", "mtbf", ABOVE(0, 1e15), AT(faults.mtbf_s),
     .help = "seconds between two losses of one node, in the mean: each loses its power at dates "
             "drawn from the seed"},
    {"faults", "repair", "repair", REAL(0, 1e12), .absent = 60, AT(faults.repair_s),
     .help =
         "seconds after which a node that mtbf has switched off is there again, ready to train; "
         "default 60"},
    {"faults", "noticed", "noticed", REAL(0, 1e6), .absent = 20, AT(faults.noticed_s),
     .help = "seconds until the others notice that a node is off: the --peer-timeout of ringnode "
             "for boards that fall silent, 0 for processes that are killed; default 20"},
    {"faults", "give-up", "give-up", ABOVE(0, 1e15), .absent = INFINITY, AT(faults.give_up_s),
     .help =
         "seconds after which a training that has lost a node is no more gone on with; default: "
         "never"},
    {"jitter", "spread", "jitter", REAL(0, 0.9999), .needed = true, AT(faults.spread),
     .sealed = "spread",
     .help = "every computation takes a factor drawn from [1 - spread, 1 + spread] of its time"},
    {NULL, "overlap", "overlap", TEXT, AT(overlap), .sealed = "overlap",
     .help = "the parameter of that name, of every strategy whose kind has it"},
    {"strategy", "label", .type = {RG_TYPE_TEXT, {.max = 63}, .pattern = LABEL}, .needed = true,
     IN(rg_strategy_spec, label), .help = "its name in results and in LABEL.PARAM"},
    {"strategy", "kind", TEXT, .needed = true, IN(rg_strategy_spec, kind),
     .help = "how to train: one of the strategies"},
    {"sweep", "key", TEXT, .needed = true, IN(rg_sweep, key),
     .help = "the setting to vary: any key of --set"},
    {"sweep", "values", TEXT, .needed = true, .record = true,
     .help =
         "one simulation each; separated by commas (by semicolons if there is one); 2N and N/8 are "
         "multiples of the nodes"},
    {.help = NULL},
};

_Static_assert(RG_COUNT(rg_setting_infos) <= RG_SETTINGS_MAX,
               "struct rg_scenario keeps a line each");

/* ---- finding rows ---- */

static bool is_called(const struct rg_setting_info *info, const char *word, const char *name)
{
    return word && (strcmp(word, name) == 0 || (info->older && strcmp(info->older, name) == 0));
}

const struct rg_setting_info *rg_setting_of_key(const char *key)
{
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++)
        if (is_called(info, info->key, key))
            return info;
    return NULL;
}

bool rg_setting_belongs(const struct rg_setting_info *info, const char *element)
{
    if (!info->element || strcmp(info->element, element) == 0)
        return info->element != NULL;
    return strchr(info->element, ' ') && rg_text_index(info->element, element) >= 0;
}

const struct rg_setting_info *rg_setting_of_attribute(const char *element, const char *name)
{
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++)
        if (rg_setting_belongs(info, element) && is_called(info, info->name, name))
            return info;
    return NULL;
}

bool rg_setting_replaces(const char *a, const char *b)
{
    const struct rg_setting_info *p = rg_setting_of_key(a), *q = rg_setting_of_key(b);
    if (!p || !q)
        return strcmp(a, b) == 0;
    return p == q || (p->either && strcmp(p->either, q->name) == 0);
}

void rg_setting_keys(char out[RG_SETTING_KEYS])
{
    size_t used = 0;
    out[0] = '\0';
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++)
        if (info->key && used < RG_SETTING_KEYS)
            used += (size_t)snprintf(out + used, RG_SETTING_KEYS - used, "%s ", info->key);
    used += (size_t)snprintf(out + used, RG_SETTING_KEYS - used, "LABEL.PARAM");
    RG_ASSERT(used < RG_SETTING_KEYS);
}

void rg_scenario_keys(const struct rg_scenario *s, char *words, size_t size)
{
    const struct rg_data_attribute *attributes = s->data.kind->attributes;
    char keys[RG_SETTING_KEYS];
    rg_setting_keys(keys);
    snprintf(words, size, "%s", keys);
    for (int i = 0; attributes[i].name; i++) {
        size_t used = strlen(words);
        snprintf(words + used, size - used, " %s", attributes[i].name);
    }
}

/* ---- places ---- */

double rg_setting_number(const struct rg_setting_info *info, const void *base)
{
    const char *at = (const char *)base + info->at;
    if (info->get)
        return info->get(base);
    switch (info->store) {
    case RG_STORE_INT:
        return *(const int *)at;
    case RG_STORE_ENUM:
        return *(const unsigned *)at;
    case RG_STORE_LONG:
        return (double)*(const long *)at;
    case RG_STORE_UINT64:
        return (double)*(const uint64_t *)at;
    case RG_STORE_BOOL:
        return *(const bool *)at;
    case RG_STORE_FLOAT:
        return *(const float *)at;
    case RG_STORE_DOUBLE:
        return *(const double *)at;
    case RG_STORE_NONE:
    case RG_STORE_TEXT:
    case RG_STORE_RANKS:
        break;
    }
    return 0;
}

void rg_setting_store(const struct rg_setting_info *info, void *base, double number)
{
    char *at = (char *)base + info->at;
    switch (info->store) {
    case RG_STORE_INT:
        *(int *)at = (int)number;
        break;
    case RG_STORE_ENUM:
        *(unsigned *)at = (unsigned)number;
        break;
    case RG_STORE_LONG:
        *(long *)at = (long)number;
        break;
    case RG_STORE_UINT64:
        *(uint64_t *)at = (uint64_t)number;
        break;
    case RG_STORE_BOOL:
        *(bool *)at = number != 0;
        break;
    case RG_STORE_FLOAT:
        *(float *)at = (float)number;
        break;
    case RG_STORE_DOUBLE:
        *(double *)at = number;
        break;
    case RG_STORE_NONE:
    case RG_STORE_TEXT:
    case RG_STORE_RANKS:
        break;
    }
}

char **rg_setting_text(const struct rg_setting_info *info, const void *base)
{
    RG_ASSERT(info->store == RG_STORE_TEXT);
    return (char **)((char *)(uintptr_t)base + info->at);
}

/* ---- rows that depend on one another ---- */

/* The row and the number that `with` asks for. */
static const struct rg_setting_info *wanted_by(const struct rg_setting_info *info, double *number,
                                               const char **word)
{
    char key[40];
    *word = strchr(info->with, '=') + 1;
    snprintf(key, sizeof key, "%.*s", (int)(*word - info->with - 1), info->with);
    const struct rg_setting_info *other = rg_setting_of_key(key);
    RG_ASSERT(other && rg_type_read(&other->type, *word, number, NULL) == 0);
    return other;
}

bool rg_setting_stands(const struct rg_setting_info *info, const struct rg_scenario *s,
                       const struct rg_setting_info **other, const char **word)
{
    double wanted;
    if (!info->with)
        return true;
    *other = wanted_by(info, &wanted, word);
    return rg_setting_number(*other, s) == wanted;
}

void rg_setting_keep(const struct rg_setting_info *info, struct rg_scenario *s, double number)
{
    if (info->set)
        info->set(s, number);
    else
        rg_setting_store(info, s, number);
}

static void reset(const struct rg_setting_info *info, struct rg_scenario *s)
{
    rg_setting_keep(info, s, info->absent);
    s->lines[info - rg_setting_infos] = 0;
}

void rg_setting_change(const struct rg_setting_info *info, struct rg_scenario *s, double number)
{
    const char *word;
    double wanted;
    bool changes = rg_setting_number(info, s) != number;
    if (info->either)
        reset(rg_setting_of_attribute(info->element, info->either), s);
    for (const struct rg_setting_info *i = rg_setting_infos; changes && i->help; i++)
        if (i->with && wanted_by(i, &wanted, &word) == info && wanted != number)
            reset(i, s);
    rg_setting_keep(info, s, number);
}

struct rg_type rg_type_of_data(const struct rg_data_attribute *a)
{
    static const enum rg_type_kind kinds[] = {[RG_DATA_COUNT] = RG_TYPE_NUMBER,
                                              [RG_DATA_CHOICE] = RG_TYPE_WORD,
                                              [RG_DATA_TEXT] = RG_TYPE_TEXT,
                                              [RG_DATA_FILE] = RG_TYPE_FILE};
    return (struct rg_type){
        kinds[a->type], {a->type == RG_DATA_COUNT, false, a->min, a->max}, .words = a->choices};
}
