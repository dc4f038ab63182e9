/* Happy path: a child a platform loads it and tells what every host's links pass; boards get what
 * their datasheets leave open. Then it is asked what each job's messages do to the links.
 *
 * Failure modes handled: SimGrid ends the child, at the file (its first line is passed on) or over
 * a route (the answer names the pair; hosts that only talk to the first need no others). */
#include "survey.h"

#include "survey_parts.h"

#include "base/check.h"
#include "base/file.h"
#include "base/need.h"
#include "result/human.h"
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* More children than these at a time rest: each holds a platform, and pipes. */
enum { MOST_AWAKE = 16 };

/* The first hosts of a platform that have been looked at. What their links pass depends on how many
 * there are: one that all routes between two hosts cross may be a medium among four. */
struct survey {
    struct survey *next;
    char *file, *board; /* of the platform */
    double link_rate;
    int nodes;
    bool neighbours;              /* do they have routes, too? */
    struct rg_survey_wire *wires; /* [nodes] */
    pid_t pid;                    /* 0: it rests */
    int ask, hear, words;         /* pipes; what SimGrid writes */
};

/* Those that are awake began in the opposite order: a child holds the pipes of those before it,
 * which therefore see the end of theirs only when it is gone. */
struct rg_surveys {
    struct survey *first;
};

struct rg_surveys *rg_surveys_new(void)
{
    return calloc(1, sizeof(struct rg_surveys));
}

/* ---- children ---- */

static int rest(struct survey *s)
{
    int status = 0;
    if (s->pid == 0)
        return 0;
    close(s->ask);
    close(s->hear);
    while (waitpid(s->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    s->pid = 0;
    close(s->words);
    return status;
}

static void forget(struct survey *s)
{
    rest(s);
    free(s->wires);
    free(s->file);
    free(s->board);
    free(s);
}

void rg_surveys_rest(struct rg_surveys *surveys)
{
    for (struct survey *s = surveys->first; s; s = s->next)
        rest(s);
}

void rg_surveys_free(struct rg_surveys *surveys)
{
    for (struct survey *s = surveys ? surveys->first : NULL, *next; s; s = next) {
        next = s->next;
        forget(s);
    }
    free(surveys);
}

static void close_all(const int *fds, int count)
{
    for (int i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static int start(struct survey *s, const struct rg_platform *p, struct rg_error *e)
{
    enum { WORDS, DOWN, UP = DOWN + 2, COUNT = UP + 2 };
    int fds[COUNT] = {-1, -1, -1, -1, -1}, *down = fds + DOWN, *up = fds + UP;
    pid_t self = getpid();
    fflush(NULL);
    bool open = (fds[WORDS] = memfd_create("simgrid", MFD_CLOEXEC)) >= 0 && pipe(down) == 0 &&
                pipe(up) == 0;
    pid_t pid = open ? fork() : -1;
    if (pid < 0) {
        int err = rg_fail(e, RG_ERR_INTERNAL, "%s: %s", open ? "fork" : "pipe", strerror(errno));
        close_all(fds, COUNT);
        return err;
    }
    s->words = fds[WORDS];
    if (pid == 0) {
        const struct rg_survey_child child = {.platform = p->loaded,
                                              .link_rate = s->link_rate,
                                              .names = p->names,
                                              .boards = p->boards,
                                              .count = s->nodes,
                                              .neighbours = s->neighbours,
                                              .star = rg_platform_is_star(p),
                                              .in = down[0],
                                              .out = up[1]};
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != self)
            _exit(1);
        dup2(s->words, STDERR_FILENO);
        dup2(s->words, STDOUT_FILENO);
        close(down[1]);
        close(up[0]);
        rg_survey_serve(&child);
    }
    close(down[0]);
    close(up[1]);
    s->pid = pid;
    s->ask = down[1];
    s->hear = up[0];
    return 0;
}

/* SimGrid's first line, without its brackets of place and time, its own file, and a line of what
 * was made of the platform. */
static const char *first_line(char *text)
{
    static const char made[] = "Parse error at /proc/";
    text[strcspn(text, "\n")] = 0;
    for (const char *end;; text = (char *)end + 1 + strspn(end + 1, " ")) {
        end = text[0] == '[' ? strchr(text, ']') : NULL;
        if (!end && strncmp(text, "./", 2) == 0)
            end = strchr(text, ' ');
        if (!end && strncmp(text, made, sizeof made - 1) == 0)
            end = strstr(text, ": ");
        if (!end)
            return text;
    }
}

/* The beginning of an answer. */
static int hear(struct survey *s, const char *file, struct rg_error *e)
{
    struct rg_survey_answer answer;
    char text[300] = "";
    if (rg_pipe_read(s->hear, &answer, sizeof answer))
        return answer.refused ? rg_fail_at(e, file, 0, "%s", answer.text) : 0;
    ssize_t n = pread(s->words, text, sizeof text - 1, 0);
    text[RG_MAX(n, 0)] = 0;
    const char *words = first_line(text);
    return rg_fail_at(e, file, 0, "SimGrid cannot use it: %s; a SimGrid 4.1 platform is allowed",
                      words[0] ? words : "it ended without a word");
}

/* Starts its child, which then waits for questions. */
static int look_at(struct survey *s, const struct rg_platform *p, struct rg_survey_wire *wires,
                   struct rg_error *e)
{
    int err = start(s, p, e);
    if (err)
        return err;
    err = hear(s, p->file, e);
    if (err == 0 && !rg_pipe_read(s->hear, wires, (size_t)s->nodes * sizeof *wires))
        err = rg_fail_at(e, p->file, 0, "SimGrid ended without a word");
    if (err)
        rest(s);
    return err;
}

static void put_first(struct rg_surveys *all, struct survey *s)
{
    int awake = 0;
    for (const struct survey *other = all->first; other; other = other->next)
        awake += other->pid != 0;
    if (awake >= MOST_AWAKE)
        rg_surveys_rest(all);
    s->next = all->first;
    all->first = s;
}

/* Its child again, to ask it of another job; the boards have been corrected by now. */
static int wake(struct rg_surveys *all, struct survey *s, const struct rg_platform *p,
                struct rg_error *e)
{
    struct survey **link = &all->first;
    struct rg_survey_wire *known = calloc((size_t)s->nodes, sizeof *known);
    if (!known)
        return rg_fail(e, RG_ERR_NOMEM, "%.200s: out of memory", p->file);
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    put_first(all, s);
    int err = look_at(s, p, known, e);
    free(known);
    return err;
}

static int make_survey(struct rg_surveys *all, const struct rg_platform *p, int nodes,
                       double link_rate, struct survey **made, struct rg_error *e)
{
    struct survey *s = calloc(1, sizeof *s);
    if (s) {
        *s = (struct survey){.file = strdup(p->file),
                             .board = strdup(p->board ? p->board : ""),
                             .link_rate = link_rate,
                             .nodes = nodes,
                             .neighbours = true};
        s->wires = calloc((size_t)nodes, sizeof *s->wires);
    }
    if (!s || !s->file || !s->board || !s->wires) {
        if (s)
            forget(s);
        return rg_fail(e, RG_ERR_NOMEM, "%.200s: out of memory", p->file);
    }
    put_first(all, s);
    *made = s;
    int err = look_at(s, p, s->wires, e);
    if (err) { /* nodes that talk to the first only need no other routes */
        s->neighbours = false;
        err = look_at(s, p, s->wires, e);
    }
    if (err) {
        all->first = s->next;
        forget(s);
    }
    return err;
}

static struct survey *find(const struct rg_surveys *all, const struct rg_platform *p,
                           double link_rate, int least, int most)
{
    struct survey *s = all->first;
    while (s && (strcmp(s->file, p->file) != 0 || strcmp(s->board, p->board ? p->board : "") != 0 ||
                 s->link_rate != link_rate || s->nodes < least || s->nodes > most))
        s = s->next;
    return s;
}

/* ---- what is known of a platform ---- */

struct correction {
    const struct survey *survey;
    struct rg_platform *platform;
    bool one_medium;          /* that could hold up what the ports pass together */
    bool declared;            /* some board says that it shares a medium */
    int half;                 /* hosts that are half duplex */
    int slower, first_slower; /* hosts whose links are slower than a named board's port */
};

static int fail_rate(const struct correction *c, int host, int peer, double rate, double wanted,
                     const char *property, struct rg_error *e)
{
    char to[80] = "";
    if (peer >= 0)
        snprintf(to, sizeof to, " to %.60s", c->platform->names[peer]);
    return rg_fail_at(e, c->platform->file, 0,
                      "its links carry %g B/s from %.60s%s, %s says %g: as much is wanted", rate,
                      c->platform->names[host], to, property, wanted);
}

struct rates {
    double up, down, bus; /* bus: 0 where the board has none */
};

/* What a host's links are to pass as its board says. Of two hosts alone nobody can say whose a link
 * is: it may be the other's, which is slower. */
static struct rates rates_of(const struct correction *c, int host)
{
    const struct rg_board *b = c->platform->boards[host];
    struct rates r = {b->port_rate, b->port_rx_rate > 0 ? b->port_rx_rate : b->port_rate,
                      b->port_bus_rate};
    if (c->survey->nodes != 2)
        return r;
    const struct rg_board *other = c->platform->boards[1 - host];
    r.up = fmin(r.up, rg_board_rate_to(b, other));
    r.down = fmin(r.down, rg_board_rate_to(other, b));
    if (other->port_bus_rate > 0)
        r.bus = r.bus > 0 ? fmin(r.bus, other->port_bus_rate) : other->port_bus_rate;
    return r;
}

/* A datasheet's own rates and latency are what the links must have. */
static int check_stated(const struct correction *c, int host, const struct rg_board *board,
                        struct rg_error *e)
{
    const struct rg_survey_wire *w = &c->survey->wires[host];
    const struct rg_board *const *boards = c->platform->boards;
    if (w->fast_peer >= 0)
        return fail_rate(c, host, w->fast_peer, w->fast_rate,
                         rg_board_rate_to(board, boards[w->fast_peer]), "rg_port_rate", e);
    if (board->by_name)
        return 0;
    struct rates wanted = rates_of(c, host);
    if (isfinite(w->up) && w->up < 0.99 * wanted.up)
        return fail_rate(c, host, -1, w->up, wanted.up, "rg_port_rate", e);
    if (isfinite(w->down) && w->down < 0.99 * wanted.down)
        return rg_fail_at(e, c->platform->file, 0,
                          "its links carry %g B/s to %.60s, rg_port_r%s says %g: as much is wanted",
                          w->down, c->platform->names[host],
                          board->port_rx_rate > 0 ? "x_rate" : "ate (without rg_port_rx_rate)",
                          wanted.down);
    if (board->port_bus_rate > 0 && isfinite(w->bus) && w->bus < 0.99 * wanted.bus)
        return fail_rate(c, host, -1, w->bus, wanted.bus, "both ways, rg_port_bus_rate", e);
    if (board->shared_medium && isfinite(w->medium) &&
        w->medium < 0.99 * rg_board_medium_rate(board))
        return fail_rate(c, host, -1, w->medium, rg_board_medium_rate(board),
                         board->medium_rate > 0 ? "rg_medium_rate" : "rg_port_rate", e);
    if (isfinite(w->off_s)) {
        double latency_s = (board->latency_s + boards[w->peer]->latency_s) / 2;
        if (w->off_s > 0.01 * latency_s + 1e-9)
            return rg_fail_at(e, c->platform->file, 0,
                              "latency %g s from %.60s to %.60s, rg_latency_s says %g: as much is "
                              "wanted",
                              w->latency_s, c->platform->names[host], c->platform->names[w->peer],
                              latency_s);
    }
    return 0;
}

/* Boards get what their host's links have and no datasheet of their own says. */
static int correct(void *arg, int host, struct rg_board *board, struct rg_error *e)
{
    struct correction *c = arg;
    const struct rg_survey_wire *w = &c->survey->wires[RG_MIN(host, c->survey->nodes - 1)];
    (void)e;
    if (host >= c->survey->nodes)
        return 0;
    const struct rates wanted = rates_of(c, host);
    if (board->by_name) {
        if ((w->up < 0.99 * wanted.up || w->down < 0.99 * wanted.down) && c->slower++ == 0)
            c->first_slower = host;
        if (w->down < wanted.down)
            board->port_rx_rate = w->down;
        else if (board->port_rx_rate == 0)
            board->port_rx_rate = board->port_rate;
        if (w->up < wanted.up)
            board->port_rate = w->up;
        if (board->port_rx_rate == board->port_rate)
            board->port_rx_rate = 0;
        if (isfinite(w->off_s))
            board->latency_s = w->latency_s;
    }
    double both =
        board->port_rate + (board->port_rx_rate > 0 ? board->port_rx_rate : board->port_rate);
    if (w->bus < 0.99 * both && !board->shared_medium && (wanted.bus == 0 || w->bus < wanted.bus)) {
        board->port_bus_rate = w->bus;
        c->half++;
    }
    if (c->one_medium && !c->declared) {
        board->shared_medium = true;
        board->medium_rate = w->medium;
    }
    return 0;
}

/* Is there a medium that all cross, narrower than what their ports send together? */
static bool has_medium(const struct correction *c)
{
    double all = 0, medium = INFINITY;
    for (int i = 0; i < c->survey->nodes; i++) {
        const struct rg_board *board = c->platform->boards[i];
        all += board->port_rate;
        medium = fmin(medium, c->survey->wires[i].medium);
    }
    return medium < 0.99 * all;
}

/* What the links have changed is nothing that ringnode can know, whose plans go by datasheets. */
static const char unknown[] = "; ringnode plans by it where the file says so";

static int note_half_duplex(const struct correction *c, struct rg_error *e)
{
    const struct rg_survey_wire *w = c->survey->wires;
    int i = 0;
    while (!isfinite(w[i].bus) || c->platform->boards[i]->port_bus_rate != w[i].bus)
        i++;
    return rg_platform_note(c->platform, e,
                            "%d host%s half duplex, %.60s the first: its links pass %g B/s both "
                            "ways together (rg_port_bus_rate)%s",
                            c->half, c->half == 1 ? " is" : "s are", c->platform->names[i],
                            w[i].bus, unknown);
}

static int note_slower(const struct correction *c, struct rg_error *e)
{
    const struct rg_board *board = c->platform->boards[c->first_slower];
    double down = board->port_rx_rate > 0 ? board->port_rx_rate : board->port_rate;
    return rg_platform_note(c->platform, e,
                            "%d host%s slower links than the board's port, %.60s the first: %g B/s "
                            "up, %g down (rg_port_rate, rg_port_rx_rate)%s",
                            c->slower, c->slower == 1 ? " has" : "s have",
                            c->platform->names[c->first_slower], board->port_rate, down, unknown);
}

static int note_corrections(const struct correction *c, struct rg_error *e)
{
    int err = 0;
    if (c->one_medium && !c->declared)
        err = rg_platform_note(c->platform, e,
                               "all messages cross one link of %g B/s, both ways: c and the closed "
                               "forms take it for a shared medium (rg_medium)",
                               c->survey->wires[0].medium);
    if (err == 0 && c->slower > 0)
        err = note_slower(c, e);
    return err == 0 && c->half > 0 ? note_half_duplex(c, e) : err;
}

int rg_survey_platform(void *surveys, struct rg_platform *platform, int nodes, double link_rate,
                       struct rg_error *e)
{
    struct survey *s = find(surveys, platform, link_rate, nodes, nodes);
    int err = s ? 0 : make_survey(surveys, platform, nodes, link_rate, &s, e);
    if (err)
        return err;
    struct correction c = {.survey = s, .platform = platform};
    for (int i = 0; i < s->nodes && err == 0; i++) {
        c.declared = c.declared || platform->boards[i]->shared_medium;
        err = check_stated(&c, i, platform->boards[i], e);
    }
    if (err)
        return err;
    c.one_medium = s->nodes > 1 && has_medium(&c);
    err = rg_platform_change(platform, correct, &c, e);
    return err ? err : note_corrections(&c, e);
}

/* ---- what a job does to it ---- */

/* Its flows, and how long the datasheets say that ports and medium take for their bytes alone. */
struct claim {
    const struct rg_job *job;
    struct rg_survey_flow *flows;
    int count, room;
    double *out, *in; /* [nodes] bytes on the wire */
    double crossing;
};

static void put_flow(struct claim *c, struct rg_survey_flow flow)
{
    if (c->count == c->room) {
        c->room = c->room ? 2 * c->room : 256;
        c->flows = rg_need(c->flows, (size_t)c->room * sizeof *c->flows);
    }
    c->flows[c->count++] = flow;
}

/* The first node hears from all others, and tells them what is decided: along a binomial tree. */
static void add_silent(struct claim *c, int from, int to)
{
    const struct rg_board *a = c->job->boards[from], *b = c->job->boards[to];
    put_flow(c, (struct rg_survey_flow){.from = from,
                                        .to = to,
                                        .rate = rg_board_rate_to(a, b),
                                        .latency_s = (a->latency_s + b->latency_s) / 2});
}

static void add_flow(void *arg, const struct rg_traffic *t)
{
    struct claim *c = arg;
    const struct rg_board *from = c->job->boards[t->from], *to = c->job->boards[t->to];
    double bytes = rg_board_wire_bytes(from, t->messages, t->payload);
    put_flow(c, (struct rg_survey_flow){.from = t->from,
                                        .to = t->to,
                                        .bytes = bytes,
                                        .rate = rg_board_rate_to(from, to),
                                        .latency_s = (from->latency_s + to->latency_s) / 2});
    c->out[t->from] += bytes;
    c->in[t->to] += bytes;
    if (from->shared_medium || to->shared_medium)
        c->crossing += bytes;
}

/* The rank whose port is claimed to be busy longest; -1: the medium. */
static double claimed_s(const struct claim *c, int *rank)
{
    double medium = rg_job_medium_rate(c->job), most = medium > 0 ? c->crossing / medium : 0;
    *rank = -1;
    for (int i = 0; i < c->job->nodes; i++) {
        const struct rg_board *b = c->job->boards[i];
        double in = b->port_rx_rate > 0 ? b->port_rx_rate : b->port_rate;
        double seconds = fmax(c->out[i] / b->port_rate, c->in[i] / in);
        if (b->port_bus_rate > 0)
            seconds = fmax(seconds, (c->out[i] + c->in[i]) / b->port_bus_rate);
        if (seconds > most) {
            most = seconds;
            *rank = i;
        }
    }
    return most;
}

static int ask(struct survey *s, const struct claim *c, struct rg_survey_load *load,
               struct rg_error *e)
{
    const struct rg_survey_question question = {.flows = c->count};
    size_t size = (size_t)c->count * sizeof *c->flows;
    if (!rg_pipe_write(s->ask, &question, sizeof question) ||
        !rg_pipe_write(s->ask, c->flows, size))
        return rg_fail_at(e, s->file, 0, "SimGrid ended without a word");
    int err = hear(s, s->file, e);
    if (err == 0 && !rg_pipe_read(s->hear, load, sizeof *load))
        err = rg_fail_at(e, s->file, 0, "SimGrid ended without a word");
    return err;
}

/* Ports that the links let pass more than they can. */
static int refuse_ports(const struct claim *c, const struct rg_platform *p,
                        const struct rg_survey_load *load, int rank, double claimed,
                        struct rg_error *e)
{
    const struct rg_survey_flow *fast = &load->fast;
    if (rank < 0)
        return rg_fail_at(e, p->file, 0,
                          "strategy \"%s\": the medium that boards share (rg_medium) passes %g B/s "
                          "in all, but no one link carries all that crosses it: one is wanted",
                          c->job->label, rg_job_medium_rate(c->job));
    return rg_fail_at(e, p->file, 0,
                      "strategy \"%s\": the links of %.60s give it more than one port: %g B/s on "
                      "the route from %.60s to %.60s alone, where rg_port_rate says %g in all; a "
                      "shared link is wanted that all it sends, or receives, crosses (an iteration "
                      "takes %.3g s by its port, %.3g s by the links)",
                      c->job->label, p->names[rank], fast->rate, p->names[fast->from],
                      p->names[fast->to], c->job->boards[rank]->port_rate, claimed,
                      load->busiest_s);
}

/* What the closed forms do not know. */
static void tell_rough(struct rg_job *job, const struct rg_platform *p,
                       const struct rg_survey_load *load)
{
    struct rg_prediction *form = &job->foretold.form;
    char a[RG_HUMAN], b[RG_HUMAN];
    size_t size = sizeof job->rough;
    rg_job_predict(job, form);
    job->foretold.known = true;
    double rounds = (double)RG_MAX(form->round, 1); /* that the flows are of */
    double steps = (double)form->messages / rounds / (double)job->nodes;
    double busiest_s = load->busiest_s / rounds;
    if (!form->alone && busiest_s > 1.02 * form->c_s && busiest_s > 0.02 * form->iteration_s)
        snprintf(job->rough, size, "link %.60s is busy for %s an iteration; c is of ports",
                 load->busiest, rg_human_seconds(busiest_s, a));
    else if (load->slow_share < 0.99 && form->c_s > 0.02 * form->iteration_s)
        snprintf(job->rough, size,
                 "links from %.40s to %.40s carry %.4g B/s, the boards' ports %.4g",
                 p->names[load->slow.from], p->names[load->slow.to], load->slow.rate,
                 load->slow.rate / load->slow_share);
    else if (load->far_s * steps > 0.02 * form->iteration_s)
        snprintf(
            job->rough, size, "latency from %.40s to %.40s is %s, the boards say %s",
            p->names[load->far.from], p->names[load->far.to],
            rg_human_seconds(load->far.latency_s, a),
            rg_human_seconds(
                (job->boards[load->far.from]->latency_s + job->boards[load->far.to]->latency_s) / 2,
                b));
    else if (p->profiles.count > 0)
        snprintf(job->rough, size, "the platform changes over time, the closed forms do not");
}

int rg_survey_job(struct rg_surveys *surveys, const struct rg_platform *platform, double link_rate,
                  struct rg_job *job, struct rg_error *e)
{
    struct survey *s = rg_needed(find(surveys, platform, link_rate, job->nodes, INT_MAX));
    struct claim c = {.job = job};
    struct rg_survey_load load;
    int rank;
    int err = s->pid ? 0 : wake(surveys, s, platform, e);
    if (err)
        return err;
    c.out = rg_need_zeroed(2 * (size_t)job->nodes, sizeof *c.out);
    c.in = c.out + job->nodes;
    rg_job_flows(job, add_flow, &c);
    for (int i = 1; i < job->nodes; i++)
        if (i & (i - 1)) /* else from the first, whose routes have been looked at */
            add_silent(&c, i & (i - 1), i);
    err = ask(s, &c, &load, e);
    double claimed = claimed_s(&c, &rank);
    if (err == 0 && claimed > 1.011 * load.busiest_s)
        err = refuse_ports(&c, platform, &load, rank, claimed, e);
    if (err == 0)
        tell_rough(job, platform, &load);
    free(c.flows);
    free(c.out);
    return err;
}
