/* ringcal's command line. */
#include "programs/ringcal/ringcal.h"

#include "models/optimizer.h"
#include "scenario/text.h"
#include <string.h>

enum { MOST_NODES = 65536 };

enum {
    KEY_DATASHEET = 256,
    KEY_PLATFORM,
    KEY_NODES,
    KEY_JSON,
    KEY_FIT,
    KEY_NAME,
    KEY_MOST,
    KEY_ROWS,
    KEY_QUIET,
    KEY_QUICK,
    KEY_WINDOW,
    KEY_NETWORK,
    KEY_BATCHES,
    KEY_THREADS,
    KEY_COPIES,
    KEY_OPTIMIZER,
    KEY_LOCAL,
    KEY_RANK,
    KEY_HOSTS,
    KEY_KEY_FILE,
    KEY_INSECURE,
    KEY_JOIN,
    KEY_METER,
    KEY_ROOT,
    KEY_BURN,
    KEY_WATTS,
    KEY_PORT_WATTS,
    KEY_SWITCH_WATTS
};

static const struct argp_option options[] = {
    {"datasheet", KEY_DATASHEET, "FILE", 0, "Write the board as a platform of one host", 0},
    {"platform", KEY_PLATFORM, "FILE", 0, "Write a platform of --nodes such boards, for ringsim",
     0},
    {"nodes", KEY_NODES, "N", 0, "How many (default 2)", 0},
    {"json", KEY_JSON, "FILE", 0, "Write the measurements (- for standard output)", 0},
    {"fit", KEY_FIT, "FILE", 0, "Fit the measurements in FILE (of --json) and measure nothing", 0},
    {"name", KEY_NAME, "NAME", 0, "Of the board (default: what the system says)", 0},
    {"max-residual", KEY_MOST, "PERCENT", 0,
     "Write no datasheet where a group of kernels or messages is off by more on average (default "
     "35)",
     0},
    {"rows", KEY_ROWS, NULL, 0, "Print every measurement beside the model's answer", 0},
    {"quiet", KEY_QUIET, NULL, 0, "Print no table and no progress", 0},
    {"quick", KEY_QUICK, NULL, 0, "A first look: fewer shapes and sizes, shorter", 1},
    {"window", KEY_WINDOW, "SECONDS", 0,
     "For each kernel and message (default 0.06), or batch (with --batches: 0.6)", 1},
    {"local", KEY_LOCAL, NULL, 0,
     "The peer is a second process here: each end gets half of the machine, as ranks of ringnode "
     "--local 2 do",
     2},
    {"rank", KEY_RANK, "R", 0,
     "With a peer on another board: this end's line of the hosts file, "
     "0 or 1",
     2},
    {"hosts", KEY_HOSTS, "FILE", 0, "Hosts as for ringnode; the first two lines are used", 2},
    {"key-file", KEY_KEY_FILE, "FILE", 0, "The key that both ends share, as for ringnode", 2},
    {"insecure", KEY_INSECURE, NULL, 0, "Without a key, talk to another machine all the same", 2},
    {"join-timeout", KEY_JOIN, "SECONDS", 0, "Wait so long for the other end (default 60)", 2},
    {"network", KEY_NETWORK, "FILE", 0,
     "Without a peer: take what messages cost from the first host of this platform; with "
     "--batches: the network whose layers are measured",
     2},
    {"batches", KEY_BATCHES, "N,N,...", 0,
     "Measure no kernels, but what each layer of the network in --network FILE takes with so many "
     "samples at once, and write it as a profile for scenarios into --json FILE (default: "
     "NAME.profile.json)",
     2},
    {"threads", KEY_THREADS, "N", 0, "Of --batches: threads, as the scenario's (default 1)", 2},
    {"copies", KEY_COPIES, "N", 0,
     "Of --batches: as many processes train at once, each on its share of the cores, as ranks of "
     "ringnode --local do (default 1)",
     2},
    {"optimizer", KEY_OPTIMIZER, "NAME", 0, "Of --batches: as the scenario's (default sgd)", 2},
    {"meter", KEY_METER, "KIND", 0,
     "Measure watts idle, with one core and with all cores busy, with a meter of ringnode's "
     "(default "
     "none)",
     3},
    {"sysfs-root", KEY_ROOT, "DIR", 0, "Where /sys and the like are looked for (default /)", 3},
    {"burn-seconds", KEY_BURN, "SECONDS", 0, "Each of the three (default 5)", 3},
    {"watts", KEY_WATTS, "IDLE:ONE:ALL", 0, "Watts known from elsewhere, instead of a meter", 3},
    {"port-watts", KEY_PORT_WATTS, "SEND:RECEIVE", 0,
     "Of the port while it does, above idle (default 0:0)", 3},
    {"switch-watts", KEY_SWITCH_WATTS, "WATTS", 0, "Of the switch, for a port (default 0)", 3},
    {0}};

/* "2.9:3.3:6.4": so many numbers, with a colon between them. */
static void numbers_of(struct argp_state *state, const char *option, const char *text,
                       const char *form, double *values, int count)
{
    static const struct rg_limit watts = {false, false, 0, 1e6};
    char copy[100], *rest = copy;
    snprintf(copy, sizeof copy, "%s", text);
    for (int i = 0; i < count; i++) {
        char *word = strsep(&rest, ":");
        if (!word || (i == count - 1 && rest))
            argp_failure(state, RG_EXIT_USAGE, 0, "--%s %.60s: %s is wanted", option, text, form);
        values[i] = rg_cli_number(state, option, word, &watts);
    }
}

static void set_watts(struct ringcal *c, struct argp_state *state, const char *text)
{
    double w[3];
    numbers_of(state, "watts", text, "IDLE:ONE:ALL", w, 3);
    if (w[1] < w[0] || w[2] < w[1])
        argp_failure(state, RG_EXIT_USAGE, 0, "--watts %.60s: more cores take no less", text);
    c->given = (struct rg_cal_power){w[0], w[1], w[2], "given"};
}

static error_t parse_power(int key, char *arg, struct argp_state *state)
{
    static const struct rg_limit seconds = {false, true, 0, 3600}, watts = {false, false, 0, 1e6};
    struct ringcal *c = state->input;
    double port[2];
    switch (key) {
    case KEY_METER:
        if (!rg_meter_known(arg)) {
            char choices[RG_METER_CHOICES];
            rg_meter_choices(choices);
            argp_failure(state, RG_EXIT_USAGE, 0, "--meter %s: %s and none are allowed", arg,
                         choices);
        }
        c->metering.choice = arg;
        return 0;
    case KEY_ROOT:
        if (strlen(arg) >= 200)
            argp_failure(state, RG_EXIT_USAGE, 0, "--sysfs-root: the path is too long");
        c->metering.root = arg;
        return 0;
    case KEY_BURN:
        c->burn_s = rg_cli_number(state, "burn-seconds", arg, &seconds);
        return 0;
    case KEY_WATTS:
        set_watts(c, state, arg);
        return 0;
    case KEY_PORT_WATTS:
        numbers_of(state, "port-watts", arg, "SEND:RECEIVE", port, 2);
        c->extra.tx_W = port[0];
        c->extra.rx_W = port[1];
        return 0;
    case KEY_SWITCH_WATTS:
        c->extra.switch_W = rg_cli_number(state, "switch-watts", arg, &watts);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* "1,2,4": whole numbers that rise. */
static void set_batches(struct ringcal *c, struct argp_state *state, const char *text)
{
    char copy[400], *rest = copy, *word;
    snprintf(copy, sizeof copy, "%s", text);
    c->batch_count = 0;
    while ((word = strsep(&rest, ","))) {
        int batch = (int)rg_cli_count(state, "batches", word, 1, 1 << 24);
        if (c->batch_count == RINGCAL_BATCHES ||
            (c->batch_count > 0 && batch <= c->batches[c->batch_count - 1]))
            argp_failure(state, RG_EXIT_USAGE, 0,
                         "--batches %.60s: up to %d numbers that rise are allowed, with commas "
                         "between them",
                         text, RINGCAL_BATCHES);
        c->batches[c->batch_count++] = batch;
    }
}

static void set_optimizer(struct ringcal *c, struct argp_state *state, const char *name)
{
    char words[120] = "", allowed[160];
    for (int i = 0; rg_optimizer_infos[i].name; i++) {
        size_t used = strlen(words);
        if (i == RG_LBFGS)
            continue; /* its steps are evaluations, and their own */
        if (strcmp(rg_optimizer_infos[i].name, name) == 0) {
            c->optimizer = i;
            return;
        }
        snprintf(words + used, sizeof words - used, "%s ", rg_optimizer_infos[i].name);
    }
    rg_text_allowed(words, name, allowed, sizeof allowed);
    argp_failure(state, RG_EXIT_USAGE, 0, "--optimizer %.40s: %s", name, allowed);
}

static error_t parse_layers(int key, char *arg, struct argp_state *state)
{
    struct ringcal *c = state->input;
    switch (key) {
    case KEY_BATCHES:
        set_batches(c, state, arg);
        return 0;
    case KEY_THREADS:
        c->threads = (int)rg_cli_count(state, "threads", arg, 1, 1024);
        return 0;
    case KEY_COPIES:
        c->copies = (int)rg_cli_count(state, "copies", arg, 1, 1024);
        return 0;
    case KEY_OPTIMIZER:
        set_optimizer(c, state, arg);
        return 0;
    default:
        return parse_power(key, arg, state);
    }
}

static error_t parse_peer(int key, char *arg, struct argp_state *state)
{
    struct ringcal *c = state->input;
    switch (key) {
    case KEY_LOCAL:
        c->local = true;
        return 0;
    case KEY_RANK:
        c->rank = (int)rg_cli_count(state, "rank", arg, 0, 1);
        return 0;
    case KEY_HOSTS:
        c->hosts_file = arg;
        return 0;
    case KEY_KEY_FILE:
        c->key_file = arg;
        return 0;
    case KEY_INSECURE:
        c->insecure = true;
        return 0;
    case KEY_JOIN:
        c->join_timeout_s = (double)rg_cli_count(state, "join-timeout", arg, 1, 86400);
        return 0;
    case KEY_NETWORK:
        c->network_file = arg;
        return 0;
    default:
        return parse_layers(key, arg, state);
    }
}

static void check(const struct ringcal *c, struct argp_state *state)
{
    bool remote = c->rank >= 0 || c->hosts_file;
    const char *why = NULL;
    if (remote && (c->rank < 0 || !c->hosts_file))
        why = "--rank and --hosts belong together";
    else if (c->local && remote)
        why = "either --local, or --rank and --hosts";
    else if (c->key_file && c->insecure)
        why = "--key-file and --insecure exclude each other";
    else if ((c->key_file || c->insecure) && !remote)
        why = "--key-file and --insecure are for a peer: --rank and --hosts";
    else if (c->batch_count > 0 && !c->network_file)
        why = "--batches are of the layers of a network: --network FILE";
    else if (c->batch_count > 0 &&
             (remote || c->local || c->fit_file || c->datasheet || c->platform ||
              strcmp(c->metering.choice, "none") || c->given.source[0]))
        why = "--batches measures the layers of a network alone: a peer, a datasheet, a fit and "
              "watts do not go with it";
    else if (c->batch_count == 0 && (c->threads > 1 || c->copies > 1 || c->optimizer))
        why = "--threads, --copies and --optimizer belong to --batches";
    else if (c->network_file && (remote || c->local))
        why = "--network is for measuring without a peer";
    else if (c->fit_file && (remote || c->local || c->json || strcmp(c->metering.choice, "none")))
        why = "--fit measures nothing: --local, --hosts, --json and --meter do not go with it";
    else if (c->given.source[0] && strcmp(c->metering.choice, "none") != 0)
        why = "--watts is for measuring without a --meter";
    else if (c->datasheet && c->platform && strcmp(c->datasheet, c->platform) == 0)
        why = "--datasheet and --platform name one file";
    if (why)
        argp_failure(state, RG_EXIT_USAGE, 0, "%s", why);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    static const struct rg_limit percent = {false, true, 0, 1e9}, seconds = {false, true, 0, 60};
    struct ringcal *c = state->input;
    switch (key) {
    case KEY_DATASHEET:
        c->datasheet = arg;
        return 0;
    case KEY_PLATFORM:
        c->platform = arg;
        return 0;
    case KEY_NODES:
        c->nodes = (int)rg_cli_count(state, "nodes", arg, 1, MOST_NODES);
        return 0;
    case KEY_JSON:
        c->json = arg;
        return 0;
    case KEY_FIT:
        c->fit_file = arg;
        return 0;
    case KEY_NAME:
        if (!arg[0] || strlen(arg) >= sizeof c->cal.machine.name)
            argp_failure(state, RG_EXIT_USAGE, 0, "--name: 1 to %zu characters are allowed",
                         sizeof c->cal.machine.name - 1);
        c->name = arg;
        return 0;
    case KEY_MOST:
        c->most_residual = 0.01 * rg_cli_number(state, "max-residual", arg, &percent);
        return 0;
    case KEY_ROWS:
        c->rows = true;
        return 0;
    case KEY_QUIET:
        c->quiet = true;
        return 0;
    case KEY_QUICK:
        c->quick = true;
        return 0;
    case KEY_WINDOW:
        c->window_s = rg_cli_number(state, "window", arg, &seconds);
        return 0;
    case ARGP_KEY_ARG:
        argp_failure(state, RG_EXIT_USAGE, 0, "%s: only options are wanted; see --help", arg);
        return 0;
    case ARGP_KEY_END:
        check(c, state);
        return 0;
    default:
        return parse_peer(key, arg, state);
    }
}

const struct argp ringcal_argp = {
    options,
    parse,
    NULL,
    "Measure what kernels and messages take on this machine, fit the parameters of a board to it, "
    "and write its datasheet."
    "\v"
    "Examples:\n"
    "  ringcal --quick\n"
    "  ringcal --local --platform here.xml --nodes 2 --json here.json\n"
    "  ringnode SCENARIO.xml --local 2   # is what that platform describes\n"
    "  ringcal --network models/networks/lenet-5.xml --batches 1,2,4,8   # its layers, for a "
    "<profile>\n"
    "  ringcal --rank 1 --hosts hosts.txt --key-file key   # on one board, and on rank 0:\n"
    "  ringcal --rank 0 --hosts hosts.txt --key-file key --platform cluster.xml\n"
    "  ringcal --fit here.json --rows --max-residual 20 --datasheet board.xml\n\n"
    "Times are medians. Exit status: 0; 1 where the fit is not good (no datasheet is then "
    "written), "
    "or output cannot be written; 2 bad usage; 3 the other end did not come; 4 it was lost or "
    "refused; 130 interrupted.",
    NULL,
    NULL,
    NULL};
