/* ringboard: what the boards of a platform file take for a kernel, a message, a load.
 *
 * Happy path: read the platform, take one host's board, set its clock, print one line of JSON for
 * every question asked, in the order asked. It is the model that the simulator, the closed forms
 * and the partition use: nothing is computed here.
 * Failure modes handled: a platform that cannot be read, a host or clock it does not have, more
 * threads than cores, questions that are no numbers: one line and exit status 2. */
#include "base/check.h"
#include "cli/cli.h"
#include "result/json.h"
#include "scenario/scenario.h"
#include "scenario/text.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_QUESTIONS = 1000 };

enum {
    OPTION_HOST = 256, /* no letters: as in the other programs */
    OPTION_CLOCK,
    OPTION_THREADS,
    OPTION_BOARD,
    OPTION_GEMM,
    OPTION_MESSAGE,
    OPTION_WATTS
};

enum kind { GEMM, MESSAGE, WATTS };

struct question {
    enum kind kind;
    double value[3];
};

struct arguments {
    const char *platform, *host;
    double clock; /* 0: the highest */
    int threads;
    bool list;
    struct question questions[MOST_QUESTIONS];
    int count;
};

static const struct argp_option options[] = {
    {"host", OPTION_HOST, "NAME", 0, "Its board (default: the platform's first host)", 0},
    {"clock", OPTION_CLOCK, "HZ", 0,
     "At this clock, one of the board's steps (default: the highest)", 0},
    {"threads", OPTION_THREADS, "N", 0, "Cores that kernels use (default 1)", 0},
    {"board", OPTION_BOARD, 0, 0, "Print the datasheet at that clock", 0},
    {"gemm", OPTION_GEMM, "M,N,K", 0, "Seconds of a product of M x K and K x N", 0},
    {"message", OPTION_MESSAGE, "BYTES", 0,
     "Seconds of a message with that payload, one way, unhindered", 0},
    {"watts", OPTION_WATTS, "CORES", 0, "Watts of the board with so many cores busy, its port idle",
     0},
    {0}};

static struct question *ask(struct arguments *a, struct argp_state *state, enum kind kind)
{
    if (a->count == MOST_QUESTIONS)
        argp_failure(state, RG_EXIT_USAGE, 0, "up to %d questions are allowed", MOST_QUESTIONS);
    a->questions[a->count].kind = kind;
    return &a->questions[a->count++];
}

static void ask_gemm(struct arguments *a, struct argp_state *state, const char *text)
{
    static const struct rg_limit sizes = {true, false, 1, 1000000000};
    struct question *q = ask(a, state, GEMM);
    char copy[100], *rest = copy;
    snprintf(copy, sizeof copy, "%s", text);
    for (int i = 0; i < 3; i++) {
        char *word = strsep(&rest, ",");
        if (!word || (i == 2 && rest))
            argp_failure(state, RG_EXIT_USAGE, 0, "--gemm %.60s: M,N,K is wanted", text);
        q->value[i] = rg_cli_number(state, "gemm", word, &sizes);
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    static const struct rg_limit hertz = {false, true, 0, 1e12}, cores = {true, false, 1, 1024},
                                 bytes = {true, false, 0, 1e15}, busy = {false, false, 0, 1024};
    struct arguments *a = state->input;
    switch (key) {
    case OPTION_HOST:
        a->host = arg;
        return 0;
    case OPTION_CLOCK:
        a->clock = rg_cli_number(state, "clock", arg, &hertz);
        return 0;
    case OPTION_THREADS:
        a->threads = (int)rg_cli_number(state, "threads", arg, &cores);
        return 0;
    case OPTION_BOARD:
        a->list = true;
        return 0;
    case OPTION_GEMM:
        ask_gemm(a, state, arg);
        return 0;
    case OPTION_MESSAGE:
        ask(a, state, MESSAGE)->value[0] = rg_cli_number(state, "message", arg, &bytes);
        return 0;
    case OPTION_WATTS:
        ask(a, state, WATTS)->value[0] = rg_cli_number(state, "watts", arg, &busy);
        return 0;
    case ARGP_KEY_ARG:
        if (a->platform)
            argp_failure(state, RG_EXIT_USAGE, 0, "one platform file is wanted");
        a->platform = arg;
        return 0;
    case ARGP_KEY_END:
        if (!a->platform)
            argp_failure(state, RG_EXIT_USAGE, 0, "a platform file is wanted; see --help");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options,
    parse,
    "PLATFORM.xml",
    "Print what a board of a platform file takes for kernels, messages and loads, as JSON lines."
    "\v"
    "Examples:\n"
    "  ringboard platforms/pi4-gigabit-64.xml --board --watts 0 --watts 4\n"
    "  ringboard platforms/mixed-16.xml --host node-12 --threads 4 --gemm 256,256,256\n\n"
    "Seconds, watts, bytes, hertz and GFLOP/s (1e9). Exit status: 0; 1 for output that "
    "cannot be written; 2 for bad usage.",
    NULL,
    NULL,
    NULL};

static void answer_gemm(const struct rg_board *board, const double size[3], int threads)
{
    struct rg_work work = {0};
    rg_work_gemm(&work, (int)size[0], (int)size[1], (int)size[2], 1);
    double seconds = rg_board_seconds(board, &work, threads);
    printf("{\"gemm\": [%.0f, %.0f, %.0f], \"threads\": %d, \"seconds\": %.9g, "
           "\"gflops\": %.9g}\n",
           size[0], size[1], size[2], threads, seconds, 1e-9 * rg_work_flops(&work) / seconds);
    rg_work_free(&work);
}

static void answer(const struct rg_board *board, const struct question *q, int threads)
{
    switch (q->kind) {
    case GEMM:
        answer_gemm(board, q->value, threads);
        break;
    case MESSAGE:
        printf("{\"message\": %.0f, \"seconds\": %.9g, \"port_s\": %.9g}\n", q->value[0],
               rg_board_hop_s(board, (uint64_t)q->value[0]),
               rg_board_port_s(board, 1, (uint64_t)q->value[0]));
        break;
    case WATTS:
        printf("{\"watts\": %.9g, \"busy_cores\": %.9g, \"clock\": %.9g}\n",
               rg_board_watts(board, q->value[0]), q->value[0], board->clocks[board->clock].hz);
        break;
    }
}

static void print_board(const char *host, const struct rg_board *board)
{
    struct rg_json j = {.stream = stdout};
    rg_json_object(&j, NULL, true);
    rg_json_text(&j, "host", host);
    rg_json_text(&j, "board", board->name);
    rg_json_whole(&j, "cores", board->cores);
    rg_json_real(&j, "clock", board->clocks[board->clock].hz);
    rg_json_real(&j, "gemm_rate", board->gemm_rate);
    rg_json_real(&j, "gemm_rate_all", board->gemm_rate_all);
    rg_json_count(&j, "memory_bytes", board->memory_bytes);
    rg_json_real(&j, "port_rate", board->port_rate);
    rg_json_real(&j, "switch_watts", board->switch_watts);
    rg_json_array(&j, "clocks", true);
    for (int i = 0; i < board->clock_count; i++)
        rg_json_real(&j, NULL, board->clocks[i].hz);
    rg_json_close(&j);
    rg_json_close(&j);
}

static int find_host(const struct rg_platform *platform, const char *name)
{
    for (int i = 0; i < platform->count; i++)
        if (!name || strcmp(platform->names[i], name) == 0)
            return i;
    return -1;
}

static int run(const struct arguments *a, const struct rg_platform *platform, struct rg_error *e)
{
    int host = find_host(platform, a->host);
    if (host < 0)
        return rg_fail(e, RG_ERR_INVALID, "%s has no host %.60s: its first is %s, its last %s",
                       a->platform, a->host, platform->names[0],
                       platform->names[platform->count - 1]);
    struct rg_board board = *platform->boards[host];
    int err = a->clock > 0 ? rg_board_set_clock(&board, a->clock, e) : 0;
    if (err == 0 && a->threads > board.cores)
        err = rg_fail(e, RG_ERR_INVALID, "--threads %d: board %s has %d cores", a->threads,
                      board.name, board.cores);
    for (int i = 0; i < a->count && err == 0; i++)
        if (a->questions[i].kind == WATTS && a->questions[i].value[0] > board.cores)
            err = rg_fail(e, RG_ERR_INVALID, "--watts %g: board %s has %d cores",
                          a->questions[i].value[0], board.name, board.cores);
    if (err)
        return err;
    if (a->list)
        print_board(platform->names[host], &board);
    for (int i = 0; i < a->count; i++)
        answer(&board, &a->questions[i], a->threads);
    return 0;
}

int main(int argc, char **argv)
{
    static struct arguments a = {.threads = 1};
    struct rg_platform platform;
    struct rg_error e = {0};
    rg_cli_parse(&argp, argc, argv, &a);
    int err = rg_platform_load(a.platform, &platform, &e);
    if (err == 0) {
        err = run(&a, &platform, &e);
        rg_platform_free(&platform);
    }
    if (err) {
        rg_one_line(e.text);
        fprintf(stderr, "ringboard: %s\n", e.text);
        return RG_EXIT_USAGE;
    }
    return rg_cli_flush("ringboard");
}
