/* The power controller of a Pi 5, asked by `vcgencmd pmic_read_adc`: volts and amperes of a dozen
 * rails. Their sum misses what the board's other parts draw; a published line makes up for that:
 * W = 1.1451 * sum + 0.5879 (see the Pi 5's datasheet among the boards).
 *
 * Happy path: the command, found on PATH, prints NAME_A current(i)=0.5A and NAME_V volt(i)=1.1V;
 * rails that have both are summed. Under another root ROOT/usr/bin/vcgencmd is run, or read where
 * it is a text. Failure modes handled: there is no such command, or it knows no pmic (other Pis),
 * it fails, hangs (ended after PATIENCE_S) or prints something else. */
#include "meters/meter_source.h"

#include "base/check.h"
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RAILS = 48, OUTPUT = 16384 };
#define PATIENCE_S 2.0
#define SLOPE      1.1451
#define OFFSET_W   0.5879

extern char **environ;

struct pmic {
    char path[400];
    bool is_text;
};

struct rail {
    char name[40];
    double volts, amperes;
    bool has_volts, has_amperes;
};

/* Everything the command says, until it closes its output; false: not in time, or too much. */
static bool listen_to(int fd, char *text)
{
    double limit_s = rg_clock_s() + PATIENCE_S;
    size_t used = 0;
    while (used < OUTPUT - 1) {
        double left_s = limit_s - rg_clock_s();
        struct pollfd look = {.fd = fd, .events = POLLIN};
        if (left_s <= 0 || poll(&look, 1, (int)(1000 * left_s) + 1) == 0)
            return false;
        ssize_t got = read(fd, text + used, OUTPUT - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        used += (size_t)got;
        text[used] = '\0';
        if (got == 0)
            return true;
    }
    return false;
}

/* In a group of its own, so that Ctrl-C does not end it, and with no signal blocked. */
static int start(const char *path, int output, pid_t *pid)
{
    char command[400], *words[] = {command, "pmic_read_adc", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    snprintf(command, sizeof command, "%s", path);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    int number = posix_spawn(pid, path, &actions, &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return number;
}

static int run(const char *path, char *text, struct rg_error *e)
{
    int ends[2], status = 0;
    pid_t pid;
    text[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) != 0)
        return rg_fail(e, RG_ERR_IO, "%.300s: %s", path, strerror(errno));
    int number = start(path, ends[1], &pid);
    close(ends[1]);
    if (number) {
        close(ends[0]);
        return rg_fail(e, number == ENOENT ? RG_ERR_INVALID : RG_ERR_IO, "%.300s: %s", path,
                       strerror(number));
    }
    bool whole = listen_to(ends[0], text);
    close(ends[0]);
    if (!whole)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!whole)
        return rg_fail(e, RG_ERR_IO, "%.300s pmic_read_adc: no answer within %g s", path,
                       PATIENCE_S);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        return rg_fail(e, RG_ERR_IO, "%.300s pmic_read_adc: failed, status %d", path,
                       WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    return 0;
}

static int read_text(const char *path, char *text, struct rg_error *e)
{
    FILE *stream = fopen(path, "rbe");
    if (!stream)
        return rg_fail(e, errno == ENOENT ? RG_ERR_INVALID : RG_ERR_IO, "%.300s: %s", path,
                       strerror(errno));
    size_t got = fread(text, 1, OUTPUT - 1, stream);
    bool failed = ferror(stream);
    text[got] = '\0';
    fclose(stream);
    return failed ? rg_fail(e, RG_ERR_IO, "%.300s: cannot be read", path) : 0;
}

static struct rail *rail_of(struct rail rails[RAILS], int *count, const char *name, size_t length)
{
    for (int i = 0; i < *count; i++)
        if (strncmp(rails[i].name, name, length) == 0 && rails[i].name[length] == '\0')
            return &rails[i];
    if (*count == RAILS || length >= sizeof rails->name)
        return NULL;
    struct rail *rail = &rails[(*count)++];
    *rail = (struct rail){0};
    memcpy(rail->name, name, length);
    return rail;
}

/* "   VDD_CORE_A current(7)=1.69200000A" */
static void parse_line(const char *line, struct rail rails[RAILS], int *count)
{
    line += strspn(line, " \t");
    size_t length = strcspn(line, " \t");
    const char *equals = strchr(line, '=');
    char *end;
    if (length < 3 || line[length - 2] != '_' || !equals)
        return;
    char kind = line[length - 1];
    double value = strtod(equals + 1, &end);
    if (end == equals + 1 || *end != kind || (kind != 'A' && kind != 'V'))
        return;
    struct rail *rail = rail_of(rails, count, line, length - 2);
    if (!rail)
        return;
    *(kind == 'A' ? &rail->amperes : &rail->volts) = value;
    *(kind == 'A' ? &rail->has_amperes : &rail->has_volts) = true;
}

static int parse(const char *path, char *text, double *watts, struct rg_error *e)
{
    struct rail rails[RAILS];
    int count = 0, pairs = 0;
    double sum = 0;
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
        parse_line(line, rails, &count);
    for (int i = 0; i < count; i++) {
        if (rails[i].has_amperes && rails[i].has_volts) {
            sum += rails[i].volts * rails[i].amperes;
            pairs++;
        }
    }
    if (pairs == 0)
        return rg_fail(e, RG_ERR_INVALID, "%.300s pmic_read_adc: no rail with volts and amperes",
                       path);
    *watts = SLOPE * sum + OFFSET_W;
    return 0;
}

static int pmic_read(void *state, double *watts, struct rg_error *e)
{
    const struct pmic *pmic = state;
    char text[OUTPUT];
    int result = pmic->is_text ? read_text(pmic->path, text, e) : run(pmic->path, text, e);
    return result ? result : parse(pmic->path, text, watts, e);
}

static bool find_on_path(char *path, size_t size)
{
    const char *folders = getenv("PATH");
    while (folders && *folders) {
        size_t length = strcspn(folders, ":");
        snprintf(path, size, "%.*s/vcgencmd", (int)RG_MIN(length, (size_t)300), folders);
        if (length && access(path, X_OK) == 0)
            return true;
        folders += length + (folders[length] == ':');
    }
    return false;
}

static int pmic_open(struct rg_meter_probe *probe, void **state, struct rg_error *e)
{
    double watts;
    struct pmic *pmic = calloc(1, sizeof *pmic);
    if (!pmic)
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    int result = 0;
    if (probe->root[0] == '\0' && !find_on_path(pmic->path, sizeof pmic->path))
        result = rg_fail(e, RG_ERR_INVALID, "no vcgencmd on PATH");
    if (probe->root[0]) {
        snprintf(pmic->path, sizeof pmic->path, "%.300s/usr/bin/vcgencmd", probe->root);
        pmic->is_text = access(pmic->path, X_OK) != 0;
    }
    if (result == 0)
        result = pmic_read(pmic, &watts, e);
    if (result == 0)
        snprintf(probe->where, sizeof probe->where, "%.150s", pmic->path);
    if (result)
        free(pmic);
    else
        *state = pmic;
    return result;
}

const struct rg_meter_source rg_meter_pmic = {
    .name = "pmic",
    .summary = "the power controller of a Pi 5, through vcgencmd pmic_read_adc",
    .kind = RG_METER_WATTS,
    .slow = true,
    .most_W = 200, /* its supply gives 27 */
    .open = pmic_open,
    .read = pmic_read,
    .close = free,
};
