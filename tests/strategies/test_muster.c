/* Every state that the agreement of muster.h can come to, of three and four nodes: whichever of
 * them die or lose each other, whenever the others notice, however messages and events follow one
 * another. The nodes' steps are those of a program that musters and trains (as ringnode does); what
 * they make of the views they hear is muster.c itself.
 *
 * Nobody trains beside another that means other nodes by the same run; and where nothing more can
 * happen all that are left train in one run, of exactly those. Messages of a pair arrive in order;
 * of what a node sent before it died any rest may be lost, by each receiver another. */
#include "base/random.h"
#include "node/muster.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>

enum { MOST = 4, QUEUE = 6 };
enum phase { TRAINS, RALLIES, EXCHANGES, OUT };
enum kind { BARRIER = 1, VIEW, LEAVE };
enum { DROPPED = RG_GONE + 1 }; /* of a link: by this node, which has told the other so */

struct message {
    unsigned char kind, run, view[MOST];
};

struct node {
    unsigned char alive, phase, run;
    unsigned char world, agreed; /* sets of nodes: of this run; of the last that all agreed on */
    unsigned char view[MOST], said[MOST];
    unsigned char lost[MOST];         /* the link is gone: enum rg_absence, or DROPPED */
    unsigned char barrier[MOST];      /* the last run whose barrier it has heard from each */
    unsigned char left[MOST];         /* the last run that each has left */
    unsigned char has[MOST];          /* the view of this run has been heard */
    unsigned char heard[MOST * MOST]; /* by rank in the world, as muster.c wants it */
    unsigned char views[MOST][MOST];  /* by node */
};

struct state {
    struct node node[MOST];
    struct message queue[MOST][MOST][QUEUE]; /* from, to */
    unsigned char count[MOST][MOST];
    unsigned char cut[MOST][MOST]; /* the link between two that live is broken */
    unsigned char deaths, cuts;    /* that may still come */
};

static int nodes, most_runs;
static bool wrong;

/* ---- states that have been seen ---- */

static struct state *states; /* [state_count], each once */
static size_t state_count, state_room, *table, table_size;

static uint64_t hash(const struct state *s)
{
    uint64_t h = 1;
    const unsigned char *at = (const void *)s;
    for (size_t i = 0; i < sizeof *s; i += 8) {
        uint64_t word = 0;
        memcpy(&word, at + i, sizeof *s - i < 8 ? sizeof *s - i : 8);
        h = rg_mix64(h ^ word);
    }
    return h;
}

static void grow_table(void)
{
    table_size = table_size ? 2 * table_size : 1 << 16;
    free(table);
    table = calloc(table_size, sizeof *table);
    CU_ASSERT_FATAL(table != NULL);
    for (size_t i = 0; i < state_count; i++) {
        size_t at = hash(&states[i]) % table_size;
        while (table[at])
            at = (at + 1) % table_size;
        table[at] = i + 1;
    }
}

static void reach(const struct state *s)
{
    if (2 * (state_count + 1) > table_size)
        grow_table();
    size_t at = hash(s) % table_size;
    for (; table[at]; at = (at + 1) % table_size)
        if (memcmp(&states[table[at] - 1], s, sizeof *s) == 0)
            return;
    if (state_count == state_room) {
        state_room = state_room ? 2 * state_room : 1 << 12;
        states = realloc(states, state_room * sizeof *states);
        CU_ASSERT_FATAL(states != NULL);
    }
    states[state_count++] = *s;
    table[at] = state_count;
}

/* ---- what nodes do ---- */

static bool is_in(unsigned char set, int i)
{
    return set >> i & 1;
}

static void send(struct state *s, int from, int to, enum kind kind, const unsigned char *view)
{
    if (!s->node[to].alive || s->node[from].lost[to] || s->node[to].lost[from])
        return; /* nobody reads it */
    struct message *m = &s->queue[from][to][s->count[from][to]++];
    if (s->count[from][to] > QUEUE) {
        printf("the queue is too short\n");
        abort();
    }
    *m = (struct message){.kind = (unsigned char)kind, .run = s->node[from].run};
    if (view)
        memcpy(m->view, view, MOST);
}

static void send_all(struct state *s, int from, enum kind kind, const unsigned char *view)
{
    for (int to = 0; to < nodes; to++)
        if (to != from && is_in(s->node[from].world, to))
            send(s, from, to, kind, view);
}

static void lose(struct state *s, int i, int other, unsigned char how)
{
    s->node[i].lost[other] = (unsigned char)how;
    s->count[other][i] = 0;
    memset(s->queue[other][i], 0, sizeof s->queue[other][i]);
}

/* The run is given up: another, of all that this node takes to be here. */
static void next_run(struct state *s, int i)
{
    struct node *n = &s->node[i];
    int before[MOST], count = 0;
    send_all(s, i, LEAVE, NULL);
    for (int j = 0; j < nodes; j++) {
        if (is_in(n->agreed, j))
            before[count++] = j;
        if (n->lost[j] != DROPPED && n->lost[j] > n->view[j])
            n->view[j] = n->lost[j];
        if (j != i && n->view[j] && !n->lost[j])
            lose(s, i, j, DROPPED);
    }
    if (n->view[i] || !rg_muster_may_go_on(before, count, n->view)) {
        n->phase = OUT;
        return;
    }
    n->world = 0;
    for (int j = 0; j < nodes; j++)
        n->world |= (unsigned char)(!n->view[j] << j);
    n->run++;
    most_runs = n->run > most_runs ? n->run : most_runs;
    n->phase = RALLIES;
    memset(n->has, 0, sizeof n->has);
    memset(n->views, 0, sizeof n->views);
    send_all(s, i, BARRIER, NULL);
}

static void begin_exchange(struct state *s, int i)
{
    struct node *n = &s->node[i];
    n->phase = EXCHANGES;
    memcpy(n->said, n->view, MOST);
    send_all(s, i, VIEW, n->said);
}

/* All views are there that will come. */
static void end_exchange(struct state *s, int i, bool all)
{
    struct node *n = &s->node[i];
    int seat[MOST], size = 0, rank = 0;
    unsigned char heard[MOST * MOST];
    for (int j = 0; j < nodes; j++) {
        if (!is_in(n->world, j))
            continue;
        rank = j == i ? size : rank;
        memcpy(heard + size * nodes, n->has[j] ? n->views[j] : n->view, (size_t)nodes);
        seat[size++] = j;
    }
    bool equal = rg_muster_put_together(seat, size, rank, heard, n->view, nodes);
    if (!equal || !all) {
        next_run(s, i);
        return;
    }
    n->phase = TRAINS;
    n->agreed = n->world;
}

/* A step that the node takes by itself; false: it waits. */
static bool step(struct state *s, int i)
{
    struct node *n = &s->node[i];
    bool ready = true, all = true, trouble = false;
    if (!n->alive || n->phase == OUT)
        return false;
    for (int j = 0; j < nodes; j++) {
        if (j == i || !is_in(n->world, j))
            continue;
        bool gone = n->lost[j] || n->left[j] >= n->run;
        trouble = trouble || gone;
        if (n->phase == RALLIES)
            ready = ready && (n->barrier[j] >= n->run || gone);
        if (n->phase == EXCHANGES) {
            ready = ready && (n->has[j] || gone);
            all = all && n->has[j];
        }
    }
    if (n->phase == TRAINS && trouble)
        next_run(s, i);
    else if (n->phase == RALLIES && ready)
        begin_exchange(s, i);
    else if (n->phase == EXCHANGES && ready)
        end_exchange(s, i, all);
    else
        return false;
    return true;
}

static void deliver(struct state *s, int from, int to)
{
    struct node *n = &s->node[to];
    struct message m = s->queue[from][to][0];
    int left = --s->count[from][to];
    memmove(&s->queue[from][to][0], &s->queue[from][to][1], (size_t)left * sizeof m);
    memset(&s->queue[from][to][left], 0, sizeof m);
    if (m.kind == BARRIER)
        n->barrier[from] = m.run;
    if (m.kind == LEAVE)
        n->left[from] = m.run;
    if (m.kind == VIEW && m.run == n->run) {
        n->has[from] = 1;
        memcpy(n->views[from], m.view, MOST);
    }
}

/* ---- everything that can happen next ---- */

static bool is_alone(const struct state *s, int i)
{
    return !s->node[i].alive || s->node[i].phase == OUT;
}

static bool of_pair(const struct state *s, int i, int j)
{
    bool any = false;
    struct state next = *s;
    if (s->count[i][j]) {
        deliver(&next, i, j);
        reach(&next);
        any = true;
    }
    if (is_alone(s, j) || s->node[j].lost[i])
        return any;
    bool cut = s->cut[i][j], dropped = s->node[i].lost[j] == DROPPED && !cut;
    bool closed = is_alone(s, i) && !cut;
    if (closed || cut || dropped) { /* j notices, and has read any part of what came before */
        next = *s;
        lose(&next, j, i, closed ? RG_GONE : RG_SILENT);
        if (dropped && !closed)
            next.node[j].phase = OUT;
        reach(&next);
        any = true;
    }
    if (s->cuts && i < j && !s->cut[i][j] && !is_alone(s, i)) {
        next = *s;
        next.cut[i][j] = next.cut[j][i] = 1;
        next.cuts--;
        reach(&next);
    }
    return any;
}

static bool of_node(const struct state *s, int i)
{
    struct state next = *s;
    bool any = step(&next, i);
    if (any)
        reach(&next);
    if (s->node[i].alive && s->deaths) {
        next = *s;
        next.node[i].alive = 0;
        next.deaths--;
        for (int j = 0; j < nodes; j++)
            lose(&next, i, j, RG_HERE);
        reach(&next);
    }
    return any;
}

static void complain(const char *what, const struct state *s)
{
    if (!wrong)
        printf("\n  %s:\n", what);
    for (int i = 0; i < nodes && !wrong; i++)
        printf("  node %d: alive %d phase %d run %d world %x view %d%d%d%d\n", i, s->node[i].alive,
               s->node[i].phase, s->node[i].run, s->node[i].world, s->node[i].view[0],
               s->node[i].view[1], s->node[i].view[2], s->node[i].view[3]);
    wrong = true;
}

static bool trains(const struct state *s, int i)
{
    return s->node[i].alive && s->node[i].phase == TRAINS;
}

static void check_safe(const struct state *s)
{
    for (int i = 0; i < nodes; i++)
        for (int j = 0; j < nodes; j++)
            if (trains(s, i) && trains(s, j) && s->node[i].run == s->node[j].run &&
                s->node[i].world != s->node[j].world)
                complain("two mean other nodes by one run", s);
}

/* Whoever is left trains, with all others that are. */
static void check_end(const struct state *s)
{
    unsigned char left = 0;
    for (int i = 0; i < nodes; i++)
        left |= (unsigned char)(!is_alone(s, i) << i);
    for (int i = 0; i < nodes; i++)
        if (!is_alone(s, i) && (!trains(s, i) || s->node[i].world != left))
            complain("an end in which not all that are left train together", s);
    if (left == 0 && s->deaths + s->cuts > 0)
        complain("nobody is left", s);
}

static void explore(int count, int deaths, int cuts, int runs)
{
    struct state first = {.deaths = (unsigned char)deaths, .cuts = (unsigned char)cuts};
    size_t ends = 0;
    nodes = count;
    most_runs = 1;
    wrong = false;
    state_count = 0;
    table_size = 0;
    for (int i = 0; i < count; i++) {
        struct node *n = &first.node[i];
        n->alive = n->run = 1;
        n->world = n->agreed = (unsigned char)((1 << count) - 1);
    }
    reach(&first);
    for (size_t at = 0; at < state_count && !wrong; at++) {
        struct state s = states[at]; /* the list moves */
        bool any = false;
        check_safe(&s);
        for (int i = 0; i < count; i++) {
            any |= of_node(&s, i);
            for (int j = 0; j < count; j++)
                if (i != j)
                    any |= of_pair(&s, i, j);
        }
        if (!any) {
            ends++;
            check_end(&s);
        }
    }
    printf("\n  %d nodes, %d deaths, %d broken links: %zu states, %zu ends, at most %d runs", count,
           deaths, cuts, state_count, ends, most_runs);
    CU_ASSERT_FALSE(wrong);
    CU_ASSERT(ends > 0);
    CU_ASSERT_EQUAL(most_runs, runs);
    free(states);
    free(table);
    states = NULL;
    table = NULL;
    state_room = 0;
}

static void all_that_live_agree(void)
{
    explore(2, 1, 0, 2);
    explore(3, 1, 0, 3);
    explore(3, 2, 0, 4);
    explore(3, 0, 1, 3);
    explore(4, 1, 0, 3);
}

static void only_one_part_goes_on(void)
{
    static const int before[] = {0, 1, 2, 3};
    CU_ASSERT_TRUE(rg_muster_may_go_on(before, 4, (unsigned char[]){0, 0, 0, RG_SILENT}));
    CU_ASSERT_FALSE(
        rg_muster_may_go_on(before, 4, (unsigned char[]){RG_SILENT, RG_SILENT, RG_SILENT, 0}));
    CU_ASSERT_TRUE(rg_muster_may_go_on(before, 4, (unsigned char[]){0, 0, RG_SILENT, RG_SILENT}));
    CU_ASSERT_FALSE(rg_muster_may_go_on(before, 4, (unsigned char[]){RG_SILENT, RG_SILENT, 0, 0}));
    CU_ASSERT_TRUE(rg_muster_may_go_on(before, 4, (unsigned char[]){RG_GONE, RG_GONE, RG_GONE, 0}));
    CU_ASSERT_FALSE(
        rg_muster_may_go_on(before, 4, (unsigned char[]){RG_SILENT, RG_GONE, RG_GONE, 0}));
    CU_ASSERT_TRUE(
        rg_muster_may_go_on(before, 4, (unsigned char[]){0, RG_GONE, RG_GONE, RG_SILENT}));
    CU_ASSERT_FALSE(rg_muster_may_go_on(before + 1, 2, (unsigned char[]){0, RG_GONE, RG_GONE, 0}));
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"of two parts one goes on", only_one_part_goes_on},
        {"all that live agree", all_that_live_agree},
    };
    return suite_main("muster", tests, sizeof tests / sizeof *tests, argc, argv);
}
