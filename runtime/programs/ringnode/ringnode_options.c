/* The command line of ringnode, beside what it shares with ringsim. */
#include "programs/ringnode/ringnode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_RANK = 2000,
    KEY_HOSTS,
    KEY_LOCAL,
    KEY_UNBOUND,
    KEY_JOIN,
    KEY_PEER,
    KEY_KEY_FILE,
    KEY_INSECURE,
    KEY_ANY_ADDRESS,
    KEY_CHECKSUM,
    KEY_PROGRESS,
    KEY_FILES,
    KEY_METER,
    KEY_ROOT,
    KEY_INTERVAL,
    KEY_IDLE,
    KEY_STUCK,
    KEY_OFFSET,
    KEY_CLOCK,
    KEY_PACE
};

static const struct argp_option options[] = {
    {"rank", KEY_RANK, "R", 0, "This node's rank: its line in the hosts file, from 0", 0},
    {"hosts", KEY_HOSTS, "FILE", 0, "Hosts in rank order, host[:port] a line (port 7470)", 0},
    {"local", KEY_LOCAL, "N", OPTION_ARG_OPTIONAL,
     "Every node as a process on this machine, over loopback; N: on so many nodes", 0},
    {"unbound", KEY_UNBOUND, NULL, 0,
     "With --local, ranks may run on any core (usually each keeps to its share of the cores, if "
     "that is one for each of its BLAS threads)",
     0},
    {"pace", KEY_PACE, "DATASHEET", 0,
     "Computations take as long as on the boards of this platform file, host by host in rank order "
     "(platform: the scenario's own): for testbeds whose machine is faster than the boards",
     0},
    {"join-timeout", KEY_JOIN, "SECONDS", 0, "Wait so long for the other ranks (default 60)", 0},
    {"peer-timeout", KEY_PEER, "SECONDS", 0,
     "Another rank that gives no sign of life for so long is lost (default 20; it gives one a "
     "second while it computes)",
     0},
    {"key-file", KEY_KEY_FILE, "FILE", 0,
     "The key that all nodes share, a line of hexadecimal digits or base64, or this rank's keys "
     "(\"rank R of N\", then one with each other rank): only who has it joins, and nobody else "
     "reads "
     "or changes what nodes say",
     0},
    {"insecure", KEY_INSECURE, NULL, 0,
     "Without a key, talk to other machines all the same: whoever reaches them can join", 0},
    {"any-address", KEY_ANY_ADDRESS, NULL, 0,
     "Ranks may call from other addresses than the hosts file has them at, as where addresses are "
     "translated (NAT)",
     0},
    {"checksum", KEY_CHECKSUM, "WHEN", 0,
     "Send a checksum with every segment, so that damage on the way ends the run: auto (the "
     "default: "
     "to other machines, where there is no key, which knows for itself), yes or no",
     0},
    {"progress", KEY_PROGRESS, NULL, 0,
     "Rank 0 tells its progress, a line a second, where standard error is no terminal too", 0},
    {"files", KEY_FILES, NULL, 0,
     "Validate the scenario (and the number of --hosts, the --key-file, --pace), list the files it "
     "needs, run nothing",
     0},
    {"meter", KEY_METER, "KIND", 0,
     ", other (another rank's meter counts this board), or not: none (the default); help: more", 1},
    {"meter-interval", KEY_INTERVAL, "SECONDS", 0, "Between its samples (default 0.05)", 1},
    {"idle-seconds", KEY_IDLE, "SECONDS", 0,
     "Measure idle power so long before the first run (default 2; 0: do not)", 1},
    {"meter-stuck", KEY_STUCK, "SECONDS", 0,
     "A reading that does not change for so long is wrong (default 30; 0: never)", 1},
    {"meter-offset", KEY_OFFSET, "SECONDS", 0, "Added to the dates of a csv meter's log", 1},
    {"meter-clock", KEY_CLOCK, "WHOSE", 0,
     "The clock of the day that a csv meter's log goes by: this node's (own, the default) or that "
     "of rank 0 (rank0)",
     1},
    {"sysfs-root", KEY_ROOT, "DIR", 0, "Where /sys and the like are looked for (default /)", 1},
    {0}};

static double seconds_of(struct argp_state *state, const char *option, const char *text, double low,
                         double high)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= low && value <= high))
        argp_failure(state, RG_EXIT_USAGE, 0, "--%s %s: seconds from %g to %g are allowed", option,
                     text, low, high);
    return value;
}

static void set_checksum(struct ringnode *node, const char *arg, struct argp_state *state)
{
    int word = rg_text_index("auto|no|yes", arg); /* in the order of enum rg_checksum */
    if (word < 0)
        argp_failure(state, RG_EXIT_USAGE, 0, "--checksum %.40s: auto, yes or no is allowed", arg);
    node->checksum = (enum rg_checksum)word;
}

static error_t parse_meter(int key, char *arg, struct argp_state *state)
{
    struct ringnode *node = state->input;
    struct rg_meter_options *metering = &node->metering;
    switch (key) {
    case KEY_METER:
        if (strcmp(arg, "help") == 0) {
            rg_meter_list(stdout);
            exit(0);
        }
        if (!rg_meter_known(arg)) {
            char choices[RG_METER_CHOICES];
            rg_meter_choices(choices);
            argp_failure(state, RG_EXIT_USAGE, 0, "--meter %s: %s, other and none are allowed", arg,
                         choices);
        }
        metering->choice = arg;
        return 0;
    case KEY_ROOT:
        if (strlen(arg) >= 200)
            argp_failure(state, RG_EXIT_USAGE, 0, "--sysfs-root: the path is too long");
        metering->root = arg;
        return 0;
    case KEY_INTERVAL:
        metering->interval_s = seconds_of(state, "meter-interval", arg, 0.001, 60);
        return 0;
    case KEY_IDLE:
        node->idle_s = seconds_of(state, "idle-seconds", arg, 0, 3600);
        return 0;
    case KEY_STUCK:
        metering->stuck_s = seconds_of(state, "meter-stuck", arg, 0, 1e9);
        if (metering->stuck_s == 0)
            metering->stuck_s = INFINITY;
        return 0;
    case KEY_OFFSET:
        metering->offset_s = seconds_of(state, "meter-offset", arg, -1e10, 1e10);
        return 0;
    case KEY_CLOCK:
        metering->first_clock = strcmp(arg, "rank0") == 0;
        if (!metering->first_clock && strcmp(arg, "own") != 0)
            argp_failure(state, RG_EXIT_USAGE, 0, "--meter-clock %s: own and rank0 are allowed",
                         arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct ringnode *node = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &node->options;
        return 0;
    case KEY_RANK:
        node->rank = (int)rg_cli_count(state, "rank", arg, 0, 65535);
        return 0;
    case KEY_HOSTS:
        node->hosts_file = arg;
        return 0;
    case KEY_LOCAL:
        node->local = true;
        node->local_nodes = arg ? (int)rg_cli_count(state, "local", arg, 1, 1024) : 0;
        return 0;
    case KEY_UNBOUND:
        node->unbound = true;
        return 0;
    case ARGP_KEY_ARG: /* "--local 3": the number is an argument of its own to argp */
        if (!node->local || node->local_nodes || arg[strspn(arg, "0123456789")])
            return ARGP_ERR_UNKNOWN;
        node->local_nodes = (int)rg_cli_count(state, "local", arg, 1, 1024);
        return 0;
    case KEY_PACE:
        node->pace = arg;
        return 0;
    case KEY_JOIN:
        node->join_timeout_s = (double)rg_cli_count(state, "join-timeout", arg, 1, 86400);
        return 0;
    case KEY_PEER:
        node->peer_timeout_s = (double)rg_cli_count(state, "peer-timeout", arg, 3, 86400);
        return 0;
    case KEY_KEY_FILE:
        node->key_file = arg;
        return 0;
    case KEY_INSECURE:
        node->insecure = true;
        return 0;
    case KEY_ANY_ADDRESS:
        node->any_address = true;
        return 0;
    case KEY_CHECKSUM:
        set_checksum(node, arg, state);
        return 0;
    case KEY_PROGRESS:
        node->progress = true;
        return 0;
    case KEY_FILES:
        node->files = true;
        return 0;
    default:
        return parse_meter(key, arg, state);
    }
}

/* The help of --meter names every meter. */
static char *tell_meters(int key, const char *text, void *input)
{
    char choices[RG_METER_CHOICES], *whole;
    (void)input;
    if (key != KEY_METER)
        return (char *)text;
    rg_meter_choices(choices);
    return asprintf(&whole, "Measure energy with %s%s", choices, text) < 0 ? (char *)text : whole;
}

static const struct argp_child children[] = {{&rg_cli_argp, 0, NULL, 0}, {0}};
const struct argp ringnode_argp = {
    options,
    parse,
    "SCENARIO.xml",
    "Run the strategies of a scenario for real, one process a node."
    "\v"
    "Examples:\n"
    "  ringnode scenarios/iris-3.xml --local\n"
    "  ringnode scenarios/iris-3.xml --local 2 --strategy ring --json result.json\n"
    "  (umask 077 && openssl rand -hex 32 > key)   # once, then copied to every board\n"
    "  ringnode scenarios/iris-3.xml --rank 1 --hosts hosts.txt --key-file key\n"
    "  ringnode scenarios/iris-3.xml --local --pace platforms/pi4-gigabit-3.xml\n\n"
    "Rank 0 prints the table and writes the files. A paced run is invalid (status \"failed\") "
    "where "
    "more than 1 % of its computations took longer than the board that paces them would. "
    "Exit status: 0 every run that fits finished; 1 internal error, or a paced run that is "
    "invalid; "
    "2 bad usage or scenario; 3 unfinished; 4 a peer was lost or refused; 5 trained, but something "
    "could not be saved; 130 interrupted.",
    children,
    tell_meters,
    NULL};
