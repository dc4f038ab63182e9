#include "programs/command.h"

#include <CUnit/CUnit.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_WORDS = 64 };

static _Noreturn void become(char *line)
{
    char *words[MOST_WORDS + 1], *rest = line;
    int count = 0;
    for (char *word; count < MOST_WORDS && (word = strsep(&rest, " ")) != NULL;)
        if (*word)
            words[count++] = word;
    words[count] = NULL;
    if (chdir(RG_SOURCE_DIR) != 0)
        _exit(126);
    const char *program = strcmp(words[0], "ringsim") == 0    ? RG_RINGSIM
                          : strcmp(words[0], "ringnode") == 0 ? RG_RINGNODE
                                                              : words[0];
    execvp(program, words);
    _exit(127);
}

static pid_t start(const char *line, int out, int err)
{
    char *copy = strdup(line);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int nothing = open("/dev/null", O_RDWR);
        setpgid(0, 0);
        dup2(nothing, 0);
        dup2(out >= 0 ? out : nothing, 1);
        dup2(err >= 0 ? err : nothing, 2);
        become(copy);
    }
    free(copy);
    CU_ASSERT_FATAL(pid > 0);
    setpgid(pid, pid);
    return pid;
}

pid_t command_start(const char *line, const char *err_file)
{
    int err = err_file ? open(err_file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600) : -1;
    pid_t pid = start(line, -1, err);
    if (err >= 0)
        close(err);
    return pid;
}

/* What a deadline is multiplied by: the machine may be busy, and a sanitizer slow; who hangs, hangs
 * all the same. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { PATIENCE = 10 };
#else
enum { PATIENCE = 3 };
#endif

int command_wait(pid_t pid, double timeout_s)
{
    int status;
    timeout_s *= PATIENCE;
    for (double waited = 0; waitpid(pid, &status, WNOHANG) == 0; waited += 0.01) {
        if (waited > timeout_s)
            kill(-pid, SIGKILL);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int command_group_size(pid_t pid)
{
    /* kill(2) with signal 0 asks whether anybody is there. */
    return kill(-pid, 0) == 0 || errno == EPERM;
}

static void read_back(int fd, char *to, size_t size)
{
    ssize_t n = pread(fd, to, size - 1, 0);
    to[n > 0 ? n : 0] = 0;
    close(fd);
}

static int scratch_file(void)
{
    char path[] = "/tmp/ringtmp-test-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0);
    unlink(path);
    return fd;
}

void command_run(const char *line, double timeout_s, struct command_output *output)
{
    int out = scratch_file(), err = scratch_file();
    output->status = command_wait(start(line, out, err), timeout_s);
    read_back(out, output->out, sizeof output->out);
    read_back(err, output->err, sizeof output->err);
}

int command_files_in(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return count;
}

int command_lines(const char *text)
{
    int lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

json_t *command_result(const char *line, double timeout_s)
{
    char path[] = "/tmp/ringtmp-test-XXXXXX", full[1024];
    int fd = mkstemp(path);
    struct command_output output;
    json_error_t error;
    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    snprintf(full, sizeof full, "%s --json %s --quiet", line, path);
    command_run(full, timeout_s, &output);
    json_t *result = json_load_file(path, 0, &error);
    unlink(path);
    if (output.status != 0 || !result)
        printf("%s: status %d\n%s%s", full, output.status, output.out, output.err);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NOT_NULL(result);
    return result;
}

char *command_without_host(const char *line, double timeout_s)
{
    json_t *result = command_result(line, timeout_s);
    json_object_del(result, "host");
    char *text = json_dumps(result, JSON_INDENT(1));
    json_decref(result);
    return text;
}

json_t *command_run_of(json_t *result, const char *label)
{
    json_t *run;
    size_t i;
    json_array_foreach(json_object_get(result, "runs"), i,
                       run) if (strcmp(json_string_value(json_object_get(run, "label")), label) ==
                                0) return run;
    printf("no run \"%s\" in the result\n", label);
    CU_FAIL_FATAL("a run is missing");
    return NULL;
}

static json_t *at(json_t *value, const char *path)
{
    char copy[128], *rest = copy;
    snprintf(copy, sizeof copy, "%s", path);
    for (char *key; (key = strsep(&rest, ".")) != NULL;)
        value = json_object_get(value, key);
    if (!value) {
        printf("no field \"%s\" in the run\n", path);
        CU_FAIL("a field is missing");
    }
    return value;
}

double command_number(json_t *run, const char *path)
{
    json_t *value = at(run, path);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *command_text(json_t *run, const char *path)
{
    json_t *value = at(run, path);
    return json_is_string(value) ? json_string_value(value) : "";
}
