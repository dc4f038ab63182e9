/* A platform as it is put to use: boards of its hosts at other clocks, rates and with what is known
 * of their links. */
#include "scenario/scenario.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int no_memory(const struct rg_platform *platform, struct rg_error *e)
{
    return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", platform->file);
}

/* Boards of the hosts as they are made, each kind once. */
struct kinds {
    struct rg_board *board;
    int count, room, last;
    int *of; /* [hosts] */
};

static bool add_kind(struct kinds *k, const struct rg_board *board, int host)
{
    int i = k->last; /* boards come in runs */
    if (i >= k->count || memcmp(&k->board[i], board, sizeof *board) != 0)
        for (i = 0; i < k->count; i++)
            if (memcmp(&k->board[i], board, sizeof *board) == 0)
                break;
    if (i == k->room) {
        int room = k->room ? 2 * k->room : 4;
        struct rg_board *more = realloc(k->board, (size_t)room * sizeof *more);
        if (!more)
            return false;
        k->board = more;
        k->room = room;
    }
    if (i == k->count)
        memcpy(&k->board[k->count++], board, sizeof *board);
    k->of[host] = k->last = i;
    return true;
}

int rg_platform_change(struct rg_platform *platform,
                       int (*change)(void *arg, int host, struct rg_board *board,
                                     struct rg_error *e),
                       void *arg, struct rg_error *e)
{
    struct kinds kinds = {.of = calloc((size_t)platform->count, sizeof *kinds.of)};
    int err = kinds.of ? 0 : no_memory(platform, e);
    for (int i = 0; i < platform->count && err == 0; i++) {
        struct rg_board board;
        memcpy(&board, platform->boards[i], sizeof board); /* padding too: it is compared */
        err = change(arg, i, &board, e);
        if (err == 0 && !add_kind(&kinds, &board, i))
            err = no_memory(platform, e);
    }
    if (err) {
        free(kinds.board);
    } else {
        free(platform->kinds);
        platform->kinds = kinds.board;
        platform->kind_count = kinds.count;
        for (int i = 0; i < platform->count; i++)
            platform->boards[i] = &kinds.board[kinds.of[i]];
    }
    free(kinds.of);
    return err;
}

int rg_platform_note(struct rg_platform *platform, struct rg_error *e, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    char **notes =
        realloc(platform->notes, ((size_t)platform->note_count + 1) * sizeof *platform->notes);
    if (notes)
        platform->notes = notes;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (!notes || length < 0)
        return no_memory(platform, e);
    rg_one_line(text);
    platform->notes[platform->note_count++] = text;
    return 0;
}

int rg_platform_cast(struct rg_platform *platform, const int *hosts, int count, struct rg_error *e)
{
    char **names = calloc((size_t)count + 1, sizeof *names);
    const struct rg_board **boards = calloc((size_t)count + 1, sizeof *boards);
    if (!names || !boards) {
        free(names);
        free(boards);
        return no_memory(platform, e);
    }
    for (int i = 0; i < count; i++) {
        RG_ASSERT(hosts[i] >= 0 && hosts[i] < platform->count && platform->names[hosts[i]]);
        names[i] = platform->names[hosts[i]];
        platform->names[hosts[i]] = NULL; /* each once */
        boards[i] = platform->boards[hosts[i]];
    }
    for (int i = 0; i < platform->count; i++)
        free(platform->names[i]);
    free(platform->names);
    free(platform->boards);
    platform->names = names;
    platform->boards = boards;
    platform->count = count;
    return 0;
}

struct clocks {
    int first, last;
    double hz;
};

static int set_clock(void *arg, int host, struct rg_board *board, struct rg_error *e)
{
    const struct clocks *c = arg;
    return host >= c->first && host <= c->last ? rg_board_set_clock(board, c->hz, e) : 0;
}

int rg_platform_set_clock(struct rg_platform *platform, int first, int last, double hz,
                          struct rg_error *e)
{
    RG_ASSERT(0 <= first && first <= last && last < platform->count);
    return rg_platform_change(platform, set_clock, &(struct clocks){first, last, hz}, e);
}

void rg_platform_scale_ports(struct rg_platform *platform, double factor)
{
    for (int i = 0; i < platform->kind_count; i++) {
        struct rg_board *board = &platform->kinds[i];
        board->port_rate *= factor;
        board->port_rx_rate *= factor;
        board->port_bus_rate *= factor;
        board->medium_rate *= factor;
    }
}

void rg_platform_key(struct rg_platform *platform, double seconds)
{
    for (int i = 0; i < platform->kind_count; i++) {
        platform->kinds[i].keyed = true;
        platform->kinds[i].byte_s += seconds;
    }
}

void rg_platform_free(struct rg_platform *platform)
{
    for (int i = 0; i < platform->count; i++)
        free(platform->names[i]);
    free(platform->names);
    free(platform->boards);
    free(platform->kinds);
    for (int i = 0; i < platform->fd_count; i++)
        close(platform->fds[i]);
    free(platform->fds);
    free(platform->file);
    free(platform->board);
    free(platform->loaded);
    free(platform->rewritten);
    rg_profiles_free(&platform->profiles);
    for (int i = 0; i < platform->measured_count; i++)
        free(platform->measured[i]);
    free(platform->measured);
    for (int i = 0; i < platform->note_count; i++)
        free(platform->notes[i]);
    free(platform->notes);
    *platform = (struct rg_platform){0};
}
