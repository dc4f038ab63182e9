#include "meters/vcgencmd.h"

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

#define PATIENCE_S 2.0

extern char **environ;

/* Everything the command says, until it closes its output; false: not in time, or too much. */
static bool listen_to(int fd, char *text)
{
    double limit_s = rg_clock_s() + PATIENCE_S;
    size_t used = 0;
    while (used < RG_VCGENCMD_OUTPUT - 1) {
        double left_s = limit_s - rg_clock_s();
        struct pollfd look = {.fd = fd, .events = POLLIN};
        if (left_s <= 0 || poll(&look, 1, (int)(1000 * left_s) + 1) == 0)
            return false;
        ssize_t got = read(fd, text + used, RG_VCGENCMD_OUTPUT - 1 - used);
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
static int start(const char *path, const char *argument, int output, pid_t *pid)
{
    char command[400], word[40], *words[] = {command, word, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    snprintf(command, sizeof command, "%s", path);
    snprintf(word, sizeof word, "%s", argument);
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

static int run(const char *path, const char *argument, char *text, struct rg_error *e)
{
    int ends[2], status = 0;
    pid_t pid;
    text[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) != 0)
        return rg_fail(e, RG_ERR_IO, "%.300s: %s", path, strerror(errno));
    int number = start(path, argument, ends[1], &pid);
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
        return rg_fail(e, RG_ERR_IO, "%.300s %s: no answer within %g s", path, argument,
                       PATIENCE_S);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        return rg_fail(e, RG_ERR_IO, "%.300s %s: failed, status %d", path, argument,
                       WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    return 0;
}

static int read_text(const char *path, char *text, struct rg_error *e)
{
    FILE *stream = fopen(path, "rbe");
    if (!stream)
        return rg_fail(e, errno == ENOENT ? RG_ERR_INVALID : RG_ERR_IO, "%.300s: %s", path,
                       strerror(errno));
    size_t got = fread(text, 1, RG_VCGENCMD_OUTPUT - 1, stream);
    bool failed = ferror(stream);
    text[got] = '\0';
    fclose(stream);
    return failed ? rg_fail(e, RG_ERR_IO, "%.300s: cannot be read", path) : 0;
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

int rg_vcgencmd_find(const char *root, struct rg_vcgencmd *command, struct rg_error *e)
{
    command->is_text = false;
    if (root[0] == '\0')
        return find_on_path(command->path, sizeof command->path)
                   ? 0
                   : rg_fail(e, RG_ERR_INVALID, "no vcgencmd on PATH");
    snprintf(command->path, sizeof command->path, "%.300s/usr/bin/vcgencmd", root);
    command->is_text = access(command->path, X_OK) != 0;
    return 0;
}

int rg_vcgencmd_ask(const struct rg_vcgencmd *command, const char *argument,
                    char text[RG_VCGENCMD_OUTPUT], struct rg_error *e)
{
    return command->is_text ? read_text(command->path, text, e)
                            : run(command->path, argument, text, e);
}
