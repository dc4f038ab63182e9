/* ringnode: run a scenario for real, one process a node, over sockets.
 *
 * Happy path: read and check everything, join the other ranks, run strategy after strategy; rank 0
 * prints the table and writes the files. With --local a parent forks every rank on this machine.
 * Failure modes handled: ranks that run something else are refused at the join; a rank that is lost
 * ends the run on all others (status 4, with its name); Ctrl-C on any rank ends all (130); what had
 * finished by then is written. */
#include "base/check.h"
#include "base/digest.h"
#include "base/file.h"
#include "cli.h"
#include "models/blas.h"
#include "node.h"
#include "posix/meter.h"
#include "posix/world_posix.h"
#include "result/checkpoint.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct ringnode {
    struct rg_options options;
    int rank; /* -1: not given */
    const char *hosts_file;
    bool local;
    int local_nodes; /* 0: as the scenario says */
    double join_timeout_s;
    const char *key_file;
    bool insecure;
    struct rg_key key; /* of key_file */
    bool progress, files;
    const char *pace; /* a platform file, "platform" (the scenario's own), or NULL */
    struct rg_platform datasheet;
    struct rg_study study;
    struct rg_hosts hosts;
    float *initial;
    struct rg_mesh *mesh;
    struct rg_run *runs; /* rank 0 */
    struct rg_meter_options metering;
    struct rg_mesh_facts facts; /* of the mesh, when it is left */
    double idle_s;              /* of measuring idle power */
    struct rg_meter *meter;     /* NULL: none is wanted */
    int rest_code;              /* why the remaining strategies cannot run; 0: they can */
};

static struct rg_mesh *volatile mesh_to_stop;
static volatile int stop_join;
static volatile sig_atomic_t interrupted, timed_out;

static void stop(void)
{
    stop_join = 1;
    if (mesh_to_stop)
        rg_mesh_interrupt(mesh_to_stop);
}

static double wall_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Asked again after a second: at once. Sooner it may be the same wish, come twice: from the
 * terminal or a supervisor to the whole group, and from the parent to its ranks. */
static void on_interrupt(int number)
{
    static double first_s;
    if (number != SIGUSR1 && interrupted && wall_s() - first_s > 1) {
        rg_file_abandon_all();
        _exit(RG_EXIT_INTERRUPTED);
    }
    if (!interrupted)
        first_s = wall_s();
    interrupted = 1;
    stop();
}

static void on_alarm(int number)
{
    (void)number;
    timed_out = 1;
    stop();
}

static int complain(int code, const char *text)
{
    fprintf(stderr, "ringnode: %s\n", text);
    return rg_cli_exit_of(code);
}

/* ---- one rank ---- */

struct one_run {
    struct ringnode *node;
    const struct rg_job *job;
    struct rg_run *run;
};

/* A line now and then, for who reads through a pipe: ringdeploy. */
static void tell_progress(void *arg, long done, long total, double time_s)
{
    static double last;
    const struct rg_job *job = arg;
    double now = wall_s();
    if (now - last < 1 && done < total)
        return;
    last = now;
    fprintf(stderr, "  %.40s %ld/%ld, %.1f s\n", job->label, done, total, time_s);
}

static void show_progress(void *arg, long done, long total, double time_s)
{
    static double last;
    const struct rg_job *job = arg;
    double now = wall_s();
    if (now - last > 0.2 || done == total)
        fprintf(stderr, "\r\033[K  %.40s %ld/%ld, %.1f s%s", job->label, done, total, time_s,
                done == total ? "\r\033[K" : "");
    last = now - last > 0.2 ? now : last;
}

/* The board whose time this rank's computations take; NULL: their own. */
static const struct rg_board *pace_of(const struct ringnode *node, const struct rg_job *job)
{
    if (!node->pace || node->rank >= job->nodes)
        return NULL;
    return node->datasheet.count ? node->datasheet.boards[node->rank] : job->boards[node->rank];
}

static int program(struct rg_world *w, void *arg)
{
    struct one_run *r = arg;
    const struct rg_board *pace = pace_of(r->node, r->job);
    bool first = w->rank == 0 && !r->node->options.quiet;
    bool show = first && isatty(STDERR_FILENO), tell = first && r->node->progress;
    struct rg_node_options options = {.stop_accuracy = r->node->study.scenario.stop_accuracy,
                                      .initial = r->node->initial,
                                      .save = r->node->options.save,
                                      .trace = r->node->options.trace != NULL,
                                      .host = rg_mesh_host(r->node->mesh, w->rank),
                                      .pace = pace ? pace->name : NULL,
                                      .progress = tell   ? tell_progress
                                                  : show ? show_progress
                                                         : NULL,
                                      .progress_arg = (void *)r->job};
    w->board = r->job->boards[w->rank];
    return rg_node_run(w, r->job, &options, r->run);
}

static void fail_run(struct rg_run *run, const struct rg_job *job, int code, const char *text)
{
    if (!run)
        return;
    rg_run_free(run);
    rg_run_init(run);
    rg_job_describe(job, run);
    run->status = code == RG_ERR_NO_FIT        ? RG_RUN_NO_FIT
                  : code == RG_ERR_INTERRUPTED ? RG_RUN_INTERRUPTED
                                               : RG_RUN_FAILED;
    run->error_code = code;
    snprintf(run->error, sizeof run->error, "%s", text);
}

/* What went wrong, in words: who was lost, where somebody was. */
static int explain(struct ringnode *node, int code, char *text, size_t size)
{
    struct rg_mesh_lost lost;
    if (timed_out) {
        snprintf(text, size, "not finished within --timeout");
        return RG_ERR_TIMEOUT;
    }
    if (code != RG_ERR_INTERRUPTED && rg_mesh_lost(node->mesh, &lost))
        snprintf(text, size, "%s", lost.text);
    else
        snprintf(text, size, "%s", rg_strerror(code));
    return code;
}

/* Joules that nobody knows though a meter was wanted: rank 0 says why for all, as in the result. */
static void tell_energy(struct ringnode *node, const struct rg_job *job, const struct rg_run *run)
{
    const char *own = node->meter ? rg_meter_error(node->meter) : "";
    if (run && run->meter.known && run->meter.error[0])
        fprintf(stderr, "ringnode: %s: no energy: %s\n", job->label, run->meter.error);
    else if (!run && own[0] && node->rank < job->nodes)
        fprintf(stderr, "ringnode: rank %d: %s: no energy: %s\n", node->rank, job->label, own);
}

static void run_job(struct ringnode *node, int index)
{
    const struct rg_job *job = &node->study.jobs[index];
    struct rg_run *run = node->runs ? &node->runs[index] : NULL;
    struct one_run one = {node, job, run};
    struct rg_error e = {0};
    char text[sizeof run->error];
    int fits = rg_job_fits(job, &e); /* the same answer on every rank */
    if (fits) {
        fail_run(run, job, fits, e.text);
        return;
    }
    int result = 0;
    if (node->meter)
        rg_meter_run(node->meter);
    if (node->options.timeout_s > 0 && (!node->local || node->rank == 0))
        alarm((unsigned)(node->options.timeout_s + 0.999));
    rg_mesh_pace(node->mesh, pace_of(node, job), job->threads);
    int begun = rg_mesh_run(node->mesh, job->nodes, program, &one, &result, &e);
    alarm(0);
    int code = begun ? begun : result;
    if (code == 0) {
        tell_energy(node, job, run);
        return;
    }
    node->rest_code = explain(node, code, text, sizeof text);
    fail_run(run, job, node->rest_code, text);
    if (node->rank > 0)
        fprintf(stderr, "ringnode: rank %d: %s: %s\n", node->rank, job->label, text);
}

static void describe_sockets(struct rg_result_sockets *sockets, const struct rg_mesh_facts *facts)
{
    sockets->known = true;
    snprintf(sockets->cipher, sizeof sockets->cipher, "%s", facts->cipher);
    snprintf(sockets->control, sizeof sockets->control, "%s", facts->congestion);
    sockets->retransmits = facts->retransmits;
    sockets->bytes_sent = facts->wire_sent;
    sockets->bytes_received = facts->wire_received;
}

static int report(struct ringnode *node, double started_s)
{
    struct rg_result result = {.tool = "ringnode",
                               .world = "posix",
                               .scenario = node->study.scenario.name,
                               .scenario_sha256 = node->study.scenario.digest,
                               .seed = node->study.scenario.seed,
                               .runs = node->runs,
                               .run_count = node->study.job_count};
    rg_cli_host(&result, wall_s() - started_s);
    describe_sockets(&result.host.sockets, &node->facts);
    int status = rg_cli_finish(&node->options, "ringnode", &result);
    rg_cli_tell_capacities(&node->options, &node->study, &result);
    for (int i = 0; i < result.run_count; i++)
        rg_run_free(&node->runs[i]);
    free(node->runs);
    node->runs = NULL;
    return status;
}

/* Ranks that run other strategies than this one, or from other parameters, must not join it. */
static void digest_of_run(const struct ringnode *node, char text[RG_DIGEST_TEXT])
{
    struct rg_digest *digest = rg_digest_new();
    RG_ASSERT(digest);
    rg_digest_add(digest, node->study.scenario.digest, strlen(node->study.scenario.digest));
    for (int i = 0; i < node->study.job_count; i++)
        rg_digest_add(digest, node->study.jobs[i].label, strlen(node->study.jobs[i].label) + 1);
    if (node->initial)
        rg_digest_add(digest, node->initial, node->study.network.parameters * sizeof(float));
    for (int i = 0; node->pace && i < node->study.platform.count; i++) { /* all ranks, or none */
        const struct rg_platform *p =
            node->datasheet.count ? &node->datasheet : &node->study.platform;
        if (i < p->count)
            rg_digest_add(digest, p->boards[i]->name, strlen(p->boards[i]->name) + 1);
    }
    rg_digest_end(digest, text);
}

static bool is_interrupted(void *arg)
{
    (void)arg;
    return interrupted || timed_out;
}

/* All have joined and nothing is computed yet. Of the ranks on this machine under --local only the
 * first asks the meter, which measures them all. */
static int open_meter(struct ringnode *node, struct rg_error *e)
{
    struct rg_meter_options options = node->metering;
    if (strcmp(options.choice, "none") == 0)
        return 0;
    bool shared = node->local && node->rank > 0;
    if (shared)
        options.choice = "other";
    int result = rg_meter_open(&options, &node->meter, e);
    if (result)
        return result;
    rg_mesh_meter(node->mesh, node->meter);
    if (rg_meter_error(node->meter)[0])
        fprintf(stderr, "ringnode: rank %d: no meter: %s\n", node->rank,
                rg_meter_error(node->meter));
    else if (!shared && !node->options.quiet)
        fprintf(stderr, "ringnode: rank %d: meter %s%s\n", node->rank, rg_meter_where(node->meter),
                node->local ? ", for all ranks of this machine together" : "");
    rg_meter_idle(node->meter, node->idle_s, is_interrupted, NULL);
    return 0;
}

static int run_rank(struct ringnode *node, int listener)
{
    char digest[RG_DIGEST_TEXT];
    struct rg_error e = {0};
    double started_s = wall_s();
    digest_of_run(node, digest);
    struct rg_join join = {.rank = node->rank,
                           .hosts = &node->hosts,
                           .listener = listener,
                           .scenario = digest,
                           .timeout_s = node->join_timeout_s,
                           .key = node->key_file ? &node->key : NULL,
                           .insecure = node->insecure,
                           .quiet = node->options.quiet || node->local,
                           .stop = &stop_join};
    int result = rg_mesh_join(&join, &node->mesh, &e);
    rg_key_forget(&node->key);
    if (result)
        return complain(result, e.text);
    mesh_to_stop = node->mesh;
    if (interrupted)
        rg_mesh_interrupt(node->mesh);
    if (node->rank == 0) {
        node->runs = calloc((size_t)node->study.job_count, sizeof *node->runs);
        RG_ASSERT(node->runs);
    }
    rg_blas_set_threads(node->study.scenario.training.threads);
    if (open_meter(node, &e) != 0)
        fprintf(stderr, "ringnode: rank %d: no meter: %s\n", node->rank, e.text);
    for (int i = 0; i < node->study.job_count; i++) {
        if (node->rest_code == 0)
            run_job(node, i);
        else if (node->runs)
            fail_run(&node->runs[i], &node->study.jobs[i], node->rest_code,
                     "not started, for the same reason");
    }
    mesh_to_stop = NULL;
    rg_mesh_facts(node->mesh, &node->facts);
    rg_mesh_leave(node->mesh);
    rg_meter_close(node->meter);
    int status = rg_cli_exit_of(node->rest_code);
    int reported = node->rank == 0 ? report(node, started_s) : 0;
    return status ? status : reported;
}

/* ---- every rank on this machine ---- */

static void catch_signals(void)
{
    struct sigaction interrupt = {.sa_handler = on_interrupt}, late = {.sa_handler = on_alarm};
    sigaction(SIGINT, &interrupt, NULL);
    sigaction(SIGTERM, &interrupt, NULL);
    sigaction(SIGUSR1, &interrupt, NULL); /* from the parent of --local */
    sigaction(SIGALRM, &late, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static pid_t fork_rank(struct ringnode *node, int rank, int *listeners)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    for (int r = 0; r < node->hosts.count; r++)
        if (r != rank)
            close(listeners[r]);
    node->rank = rank;
    int status = run_rank(node, listeners[rank]);
    fflush(NULL);
    _exit(status);
}

/* Rank 0 speaks for the run; a rank that ended otherwise than it counts where rank 0 saw nothing.
 */
static int wait_for_ranks(pid_t *pids, int count)
{
    int first = 0, others = 0, left = count;
    bool passed_on = false;
    while (left > 0) {
        int status;
        for (int rank = 0; rank < count && interrupted && !passed_on; rank++)
            if (pids[rank] > 0)
                kill(pids[rank], SIGUSR1);
        passed_on = passed_on || interrupted;
        pid_t pid = waitpid(-1, &status, WNOHANG); /* looking, so that no signal can be missed */
        if (pid == 0)
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        if (pid == 0 || (pid < 0 && errno == EINTR))
            continue;
        if (pid < 0)
            break;
        left--;
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : RG_EXIT_PEER, rank = 0;
        while (rank < count && pids[rank] != pid)
            rank++;
        RG_ASSERT(rank < count);
        pids[rank] = 0; /* its number may be another process's from now on */
        if (WIFSIGNALED(status))
            fprintf(stderr, "ringnode: rank %d was ended by signal %d (%s)\n", rank,
                    WTERMSIG(status), strsignal(WTERMSIG(status)));
        if (rank == 0)
            first = code;
        else if (others == 0)
            others = code;
    }
    return first ? first : others;
}

static int run_local(struct ringnode *node)
{
    int count = 1;
    struct rg_error e = {0};
    for (int i = 0; i < node->study.job_count; i++)
        count = RG_MAX(count, node->study.jobs[i].nodes);
    int *listeners = calloc((size_t)count, sizeof *listeners);
    pid_t *pids = calloc((size_t)count, sizeof *pids);
    RG_ASSERT(listeners && pids);
    int result = rg_local_listen(count, listeners, &node->hosts, &e);
    if (result)
        return complain(result, e.text);
    fflush(NULL);
    for (int rank = 0; rank < count; rank++) {
        pids[rank] = fork_rank(node, rank, listeners);
        if (pids[rank] < 0) {
            complain(RG_ERR_INTERNAL, strerror(errno));
            for (int r = 0; r < rank; r++)
                kill(pids[r], SIGTERM);
            break;
        }
    }
    for (int rank = 0; rank < count; rank++)
        close(listeners[rank]);
    rg_key_forget(&node->key);
    int status = wait_for_ranks(pids, count);
    free(listeners);
    free(pids);
    return interrupted ? RG_EXIT_INTERRUPTED : status;
}

/* Read --hosts; it must name enough of them. */
static int open_hosts(struct ringnode *node)
{
    struct rg_error e = {0};
    int result = rg_hosts_load(node->hosts_file, &node->hosts, &e);
    if (result)
        return complain(result, e.text);
    if (node->rank >= node->hosts.count) {
        fprintf(stderr, "ringnode: --rank %d: %s names %d hosts, 0 to %d are allowed\n", node->rank,
                node->hosts_file, node->hosts.count, node->hosts.count - 1);
        return RG_EXIT_USAGE;
    }
    for (int i = 0; i < node->study.job_count; i++) {
        const struct rg_job *job = &node->study.jobs[i];
        if (job->nodes > node->hosts.count) {
            fprintf(stderr,
                    "ringnode: %s: strategy \"%s\" runs on %d nodes, %s names %d hosts (--set "
                    "nodes=%d?)\n",
                    node->study.scenario.file, job->label, job->nodes, node->hosts_file,
                    node->hosts.count, node->hosts.count);
            return RG_EXIT_USAGE;
        }
    }
    return 0;
}

static int run_remote(struct ringnode *node)
{
    int status = open_hosts(node);
    return status ? status : run_rank(node, -1);
}

/* --files: what another machine needs to run the same, "ROLE PATH" a line. */
static int list_files(struct ringnode *node)
{
    const struct rg_scenario *s = &node->study.scenario;
    const struct {
        const char *role, *path;
    } files[] = {{"scenario", s->file},        {"platform", s->platform_file},
                 {"network", s->network_file}, {"data", s->data.images},
                 {"data", s->data.labels},     {"data", s->data.file},
                 {"load", node->options.load}};
    struct rg_error e = {0};
    int status = node->hosts_file ? open_hosts(node) : 0;
    if (status == 0 && node->key_file && rg_key_load(node->key_file, &node->key, &e) != 0)
        status = complain(RG_ERR_INVALID, e.text);
    rg_key_forget(&node->key);
    for (size_t i = 0; i < RG_COUNT(files) && status == 0; i++)
        if (files[i].path)
            printf("%s %s\n", files[i].role, files[i].path);
    return status;
}

/* ---- main ---- */

enum {
    KEY_RANK = 2000,
    KEY_HOSTS,
    KEY_LOCAL,
    KEY_JOIN,
    KEY_KEY_FILE,
    KEY_INSECURE,
    KEY_PROGRESS,
    KEY_FILES,
    KEY_METER,
    KEY_ROOT,
    KEY_INTERVAL,
    KEY_IDLE,
    KEY_STUCK,
    KEY_OFFSET,
    KEY_PACE
};

static const struct argp_option options[] = {
    {"rank", KEY_RANK, "R", 0, "This node's rank: its line in the hosts file, from 0", 0},
    {"hosts", KEY_HOSTS, "FILE", 0, "Hosts in rank order, host[:port] a line (port 7470)", 0},
    {"local", KEY_LOCAL, "N", OPTION_ARG_OPTIONAL,
     "Every node as a process on this machine, over loopback; N: on so many nodes", 0},
    {"pace", KEY_PACE, "DATASHEET", 0,
     "Computations take as long as on the boards of this platform file, host by host in rank order "
     "(platform: the scenario's own): for testbeds whose machine is faster than the boards",
     0},
    {"join-timeout", KEY_JOIN, "SECONDS", 0, "Wait so long for the other ranks (default 60)", 0},
    {"key-file", KEY_KEY_FILE, "FILE", 0,
     "The key that all nodes share, a line of hexadecimal digits or base64: only who has it joins, "
     "and nobody else reads or changes what nodes say",
     0},
    {"insecure", KEY_INSECURE, NULL, 0,
     "Without a key, talk to other machines all the same: whoever reaches them can join", 0},
    {"progress", KEY_PROGRESS, NULL, 0,
     "Rank 0 tells its progress, a line a second, where standard error is no terminal too", 0},
    {"files", KEY_FILES, NULL, 0,
     "Validate the scenario (and the number of --hosts, the --key-file), list the files it needs, "
     "run "
     "nothing",
     0},
    {"meter", KEY_METER, "KIND", 0,
     "Measure energy with auto, ina2xx[:hwmonN], pmic, rapl, csv:FILE, other (another rank's meter "
     "counts this board), or not: none (the default); help: more",
     1},
    {"meter-interval", KEY_INTERVAL, "SECONDS", 0, "Between its samples (default 0.05)", 1},
    {"idle-seconds", KEY_IDLE, "SECONDS", 0,
     "Measure idle power so long before the first run (default 2; 0: do not)", 1},
    {"meter-stuck", KEY_STUCK, "SECONDS", 0,
     "A reading that does not change for so long is wrong (default 30; 0: never)", 1},
    {"meter-offset", KEY_OFFSET, "SECONDS", 0, "Added to the dates of a csv meter's log", 1},
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
        if (!rg_meter_known(arg))
            argp_failure(state, RG_EXIT_USAGE, 0,
                         "--meter %s: auto, ina2xx[:hwmonN], pmic, rapl, csv:FILE, other and none "
                         "are allowed",
                         arg);
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
    case KEY_KEY_FILE:
        node->key_file = arg;
        return 0;
    case KEY_INSECURE:
        node->insecure = true;
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

static const struct argp_child children[] = {{&rg_cli_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {
    options,
    parse,
    "SCENARIO.xml",
    "Run the strategies of a scenario for real, one process a node."
    "\v"
    "Examples:\n"
    "  ringnode scenarios/iris-3.xml --local\n"
    "  ringnode scenarios/iris-3.xml --local 2 --strategy ring --json result.json\n"
    "  openssl rand -hex 32 > key; chmod 600 key   (once, then copied to every board)\n"
    "  ringnode scenarios/iris-3.xml --rank 1 --hosts hosts.txt --key-file key\n"
    "  ringnode scenarios/iris-3.xml --local --pace platforms/pi4-gigabit-3.xml\n\n"
    "Rank 0 prints the table and writes the files. A paced run is invalid (status \"failed\") "
    "where "
    "more than 1 % of its computations took longer than the board that paces them would. "
    "Exit status: 0 every run that fits finished; 1 internal error, or a paced run that is "
    "invalid; "
    "2 bad usage or scenario; 3 unfinished; 4 a peer was lost or refused; "
    "130 interrupted.",
    children,
    NULL,
    NULL};

static int check_mode(const struct ringnode *node)
{
    bool either = node->rank >= 0 || node->hosts_file, both = node->rank >= 0 && node->hosts_file;
    if (node->key_file && node->insecure) {
        fputs("ringnode: --key-file and --insecure exclude each other\n", stderr);
        return RG_EXIT_USAGE;
    }
    if (node->options.check || node->files || (node->local && !either) || (!node->local && both))
        return 0;
    fputs("ringnode: either --local [N], or both --rank R and --hosts FILE are needed\n", stderr);
    return RG_EXIT_USAGE;
}

/* --local N is --set nodes=N, after all the others. */
static void apply_local(struct ringnode *node)
{
    static char text[32];
    if (node->local_nodes == 0)
        return;
    struct rg_options *o = &node->options;
    char **sets = realloc(o->sets, ((size_t)o->set_count + 1) * sizeof *sets);
    RG_ASSERT(sets);
    snprintf(text, sizeof text, "nodes=%d", node->local_nodes);
    sets[o->set_count++] = text;
    o->sets = sets;
}

/* Boards are as fast as they are: what a scenario does to simulated ones is refused. */
static int refuse_faults(const struct rg_scenario *scenario)
{
    struct rg_error e;
    if (!rg_scenario_has_faults(scenario))
        return 0;
    rg_scenario_fail(scenario, scenario->faults.line, &e,
                     "<faults> are simulated only: ringsim runs this scenario, ringnode those "
                     "without");
    fprintf(stderr, "%s\n", e.text);
    return RG_EXIT_USAGE;
}

/* A datasheet with a board for every rank, each with the cores that training uses. */
static int load_pace(struct ringnode *node, struct rg_error *e)
{
    const struct rg_study *study = &node->study;
    struct rg_platform *sheet = &node->datasheet;
    if (!node->pace || strcmp(node->pace, "platform") == 0)
        return 0;
    int result = rg_platform_load(node->pace, sheet, e);
    for (int i = 0; i < study->job_count && result == 0; i++) {
        const struct rg_job *job = &study->jobs[i];
        if (job->nodes > sheet->count)
            return rg_fail(e, RG_ERR_INVALID,
                           "--pace %.200s: has %d hosts, strategy \"%s\" runs on %d nodes",
                           node->pace, sheet->count, job->label, job->nodes);
        for (int rank = 0; rank < job->nodes; rank++)
            if (job->threads > sheet->boards[rank]->cores)
                return rg_fail(e, RG_ERR_INVALID,
                               "--pace %.200s: host %.60s has %d cores, the scenario uses %d "
                               "(training threads)",
                               node->pace, sheet->names[rank], sheet->boards[rank]->cores,
                               job->threads);
    }
    return result;
}

static int run(struct ringnode *node)
{
    struct rg_error e = {0};
    int result = load_pace(node, &e);
    if (result == 0 && node->key_file)
        result = rg_key_load(node->key_file, &node->key, &e);
    if (result == 0 && node->options.load)
        result = rg_checkpoint_load(node->options.load, &node->study.network, &node->initial, &e);
    if (result == 0)
        result = rg_study_load_data(&node->study, &e);
    if (result) {
        fprintf(stderr, "ringnode: %s\n", e.text);
        return RG_EXIT_USAGE;
    }
    catch_signals();
    return node->local ? run_local(node) : run_remote(node);
}

int main(int argc, char **argv)
{
    struct ringnode node = {.rank = -1,
                            .join_timeout_s = 60,
                            .metering = {.choice = "none",
                                         .root = "/",
                                         .interval_s = RG_METER_INTERVAL_S,
                                         .stuck_s = RG_METER_STUCK_S},
                            .idle_s = RG_METER_IDLE_S};
    rg_blas_setup(argv);
    rg_cli_parse(&argp, argc, argv, &node);
    if (node.options.list) {
        rg_cli_list(stdout);
        rg_cli_free(&node.options);
        return rg_cli_flush("ringnode");
    }
    int status = check_mode(&node);
    if (status == 0) {
        apply_local(&node);
        status = rg_cli_open(&node.options, "ringnode", &node.study);
        status = status ? status : refuse_faults(&node.study.scenario);
    }
    if (status == 0 && rg_blas_note() && !node.files && !node.options.quiet)
        fprintf(stderr, "ringnode: %s\n", rg_blas_note());
    if (status == 0 && node.options.check) {
        rg_cli_check(&node.study, stdout);
        status = rg_cli_flush("ringnode");
    } else if (status == 0 && node.files) {
        status = list_files(&node);
    } else if (status == 0) {
        status = run(&node);
    }
    rg_study_close(&node.study);
    rg_cli_free(&node.options);
    rg_hosts_free(&node.hosts);
    rg_platform_free(&node.datasheet);
    free(node.initial);
    return status;
}
