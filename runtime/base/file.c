#include "base/file.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_OPEN = 16, MAX_PATH = RG_FILE_PATH, MAX_LINKS = 40, SUFFIX = 48 };

/* Names of unfinished temporary files, in memory that a signal handler may read. */
static char pending[MAX_OPEN][MAX_PATH];
static pthread_mutex_t entering = PTHREAD_MUTEX_INITIALIZER; /* of threads; handlers only read */

static void forget(const char *temporary)
{
    pthread_mutex_lock(&entering);
    for (int i = 0; i < MAX_OPEN; i++)
        if (strcmp(pending[i], temporary) == 0)
            pending[i][0] = 0;
    pthread_mutex_unlock(&entering);
}

static int remember(const char *temporary)
{
    int i = 0;
    pthread_mutex_lock(&entering);
    while (i < MAX_OPEN && pending[i][0])
        i++;
    if (i < MAX_OPEN) {
        memcpy(pending[i] + 1, temporary + 1, strlen(temporary));
        pending[i][0] = temporary[0]; /* last: the entry becomes valid at once */
    }
    pthread_mutex_unlock(&entering);
    return i < MAX_OPEN ? 0 : -1;
}

int rg_file_follow(const char *path, char target[RG_FILE_PATH])
{
    char link[MAX_PATH], next[MAX_PATH];
    int length = snprintf(target, MAX_PATH, "%s", path);
    for (int i = 0; i < MAX_LINKS && length < MAX_PATH; i++) {
        ssize_t bytes = readlink(target, link, sizeof link);
        if (bytes < 0)
            return 0; /* no link, or nothing at all */
        const char *name = strrchr(target, '/');
        int folder = name && link[0] != '/' ? (int)(name + 1 - target) : 0;
        length = snprintf(next, sizeof next, "%.*s%.*s", folder, target, (int)bytes, link);
        memcpy(target, next, sizeof next);
    }
    errno = length < MAX_PATH ? ELOOP : ENAMETOOLONG;
    return -1;
}

/* Drawn once, and inherited by the processes that this one forks. */
static uint64_t secret(void)
{
    static uint64_t drawn;
    if (drawn == 0 && getrandom(&drawn, sizeof drawn, 0) != sizeof drawn)
        drawn = 0;
    return drawn;
}

/* A name that nobody who has not been told can prepare a file or link under. */
static void name_temporary(const char *path, long pid, size_t size, char *temporary)
{
    snprintf(temporary, size, "%s.part-%016" PRIx64 "-%ld", path, secret(), pid);
}

static void name_folder(const char *path, char folder[MAX_PATH])
{
    const char *slash = strrchr(path, '/');
    snprintf(folder, MAX_PATH, "%.*s", slash ? (int)(slash + 1 - path) : 1, slash ? path : ".");
}

/* What a stream forgets: why it could not be written. */
struct rg_file_sink {
    int fd, error;
};

static ssize_t pour(void *cookie, const char *bytes, size_t count)
{
    struct rg_file_sink *sink = cookie;
    size_t done = 0;
    while (done < count) {
        ssize_t some = write(sink->fd, bytes + done, count - done);
        if (some < 0 && errno == EINTR)
            continue;
        if (some < 0) {
            sink->error = sink->error ? sink->error : errno;
            return 0;
        }
        done += (size_t)some;
    }
    return (ssize_t)done;
}

static int stop_up(void *cookie)
{
    struct rg_file_sink *sink = cookie;
    return close(sink->fd);
}

static void release(struct rg_file *file)
{
    free(file->sink);
    free(file->path);
    free(file->target);
    free(file->temporary);
    *file = (struct rg_file){0};
}

static bool is_direct(const struct rg_file *file)
{
    return strcmp(file->temporary, file->target) == 0;
}

/* Where a file will be written, and under which name until then. */
static int place(struct rg_file *file, const char *path, bool follow, struct rg_error *e)
{
    char target[MAX_PATH];
    struct stat status;
    bool there = follow && stat(path, &status) == 0;
    bool direct = there && !S_ISREG(status.st_mode);
    if (there && S_ISDIR(status.st_mode))
        return rg_fail(e, RG_ERR_IO, "%s: is a folder, a file is wanted", path);
    if (follow && !direct && rg_file_follow(path, target) != 0)
        return rg_fail(e, RG_ERR_IO, "%.200s: cannot write: %s", path, strerror(errno));
    if (direct || !follow) /* a device or pipe: write straight to it */
        snprintf(target, sizeof target, "%s", path);
    size_t length = strlen(target) + SUFFIX;
    if (length > MAX_PATH)
        return rg_fail(e, RG_ERR_IO, "%.200s...: the path is too long", path);
    file->path = strdup(path);
    file->target = strdup(target);
    file->temporary = malloc(length);
    if (!file->path || !file->target || !file->temporary) {
        release(file);
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", path);
    }
    if (direct)
        snprintf(file->temporary, length, "%s", target);
    else
        name_temporary(target, (long)getpid(), length, file->temporary);
    return 0;
}

/* A file without a name, which vanishes with the process; -1 where the file system knows of no
 * such, or it could be given no name later. */
static int open_nameless(const char *temporary)
{
    char folder[MAX_PATH], link[SUFFIX];
    struct stat status;
    if (lstat(temporary, &status) == 0 || errno != ENOENT)
        return -1;
    name_folder(temporary, folder);
    int fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (fd < 0 || access(link, F_OK) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Never through a link: under a temporary name there is nothing, or this fails. */
static FILE *open_stream(struct rg_file *file)
{
    int fd;
    file->nameless = false;
    if (is_direct(file)) {
        fd = open(file->target, O_WRONLY | O_TRUNC | O_CLOEXEC);
    } else {
        fd = open_nameless(file->temporary);
        file->nameless = fd >= 0;
        if (fd < 0)
            fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    }
    if (fd < 0)
        return NULL;
    file->sink = malloc(sizeof *file->sink);
    const cookie_io_functions_t functions = {.write = pour, .close = stop_up};
    FILE *stream = file->sink ? fopencookie(file->sink, "wb", functions) : NULL;
    if (stream)
        *file->sink = (struct rg_file_sink){.fd = fd};
    else
        close(fd);
    return stream;
}

static int open_at(struct rg_file *file, const char *path, bool follow, struct rg_error *e)
{
    *file = (struct rg_file){0};
    int err = place(file, path, follow, e);
    if (err)
        return err;
    if (!is_direct(file) && remember(file->temporary) != 0) {
        release(file);
        return rg_fail(e, RG_ERR_IO, "%s: too many files open at once", path);
    }
    file->stream = open_stream(file); /* a signal between the two finds nothing */
    if (!file->stream) {
        int error = errno;
        rg_fail(e, RG_ERR_IO, "%s: cannot write: %s", path, strerror(error));
        forget(file->temporary);
        release(file);
        return RG_ERR_IO;
    }
    return 0;
}

int rg_file_open(struct rg_file *file, const char *path, struct rg_error *e)
{
    if (strcmp(path, "-") != 0)
        return open_at(file, path, true, e);
    *file = (struct rg_file){.stream = stdout};
    return 0;
}

int rg_file_open_plain(struct rg_file *file, const char *path, struct rg_error *e)
{
    return open_at(file, path, false, e);
}

int rg_file_descriptor(const struct rg_file *file)
{
    return file->sink->fd;
}

/* Some file systems have nothing to sync, or not for everybody: that is no failure. */
static int sync_fd(int fd)
{
    if (fsync(fd) == 0 || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP ||
        errno == EROFS)
        return 0;
    return -1;
}

static int sync_folder(const char *path)
{
    char folder[MAX_PATH];
    name_folder(path, folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? 0 : -1; /* it may be written and not read */
    int result = sync_fd(fd), error = errno;
    close(fd);
    errno = error;
    return result;
}

/* Everything is on the disk, under the temporary name. */
static int settle(const struct rg_file *file)
{
    char link[SUFFIX];
    int fd = file->sink->fd;
    if (fflush(file->stream) != 0 || ferror(file->stream)) {
        errno = file->sink->error ? file->sink->error : EIO;
        return -1;
    }
    if (is_direct(file))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (sync_fd(fd) != 0 || (file->nameless && linkat(AT_FDCWD, link, AT_FDCWD, file->temporary,
                                                      AT_SYMLINK_FOLLOW) != 0))
        return -1;
    return sync_folder(file->target);
}

int rg_file_commit(struct rg_file *file, struct rg_error *e)
{
    int failed, error;
    if (!file->path) {
        failed = fflush(file->stream) != 0 || ferror(file->stream);
        return failed ? rg_fail(e, RG_ERR_IO, "standard output: %s", strerror(errno)) : 0;
    }
    failed = settle(file);
    error = errno;
    if (fclose(file->stream) != 0 && !failed) {
        failed = -1;
        error = errno;
    }
    if (!failed && !is_direct(file) &&
        (rename(file->temporary, file->target) != 0 || sync_folder(file->target) != 0)) {
        failed = -1;
        error = errno;
    }
    if (failed) {
        rg_fail(e, RG_ERR_IO, "%s: cannot write: %s", file->path, strerror(error));
        if (!is_direct(file))
            unlink(file->temporary);
    }
    forget(file->temporary);
    release(file);
    return failed ? RG_ERR_IO : 0;
}

void rg_file_abandon(struct rg_file *file)
{
    if (file->path) {
        fclose(file->stream);
        if (!is_direct(file))
            unlink(file->temporary);
        forget(file->temporary);
        release(file);
    }
}

void rg_file_abandon_all(void)
{
    for (int i = 0; i < MAX_OPEN; i++)
        if (pending[i][0])
            unlink(pending[i]);
}

static int status_of_signals;

static void on_signal(int number)
{
    (void)number;
    rg_file_abandon_all();
    _exit(status_of_signals);
}

void rg_file_abandon_on_signals(int status)
{
    status_of_signals = status;
    rg_catch_endings(on_signal);
}

void rg_file_abandon_of(const char *path, long pid)
{
    char target[MAX_PATH], temporary[MAX_PATH];
    if (rg_file_follow(path, target) != 0 || strlen(target) + SUFFIX > sizeof temporary)
        return;
    name_temporary(target, pid, sizeof temporary, temporary);
    unlink(temporary);
}

/* Can the file be made? One without a name is tried beside it, which nobody has to remove; where
 * the file system knows of no such, *unknown. */
static int try_folder(const char *target, bool *unknown)
{
    char folder[MAX_PATH];
    struct stat status;
    name_folder(target, folder);
    if (lstat(target, &status) != 0 && errno != ENOENT)
        return -1; /* a name that is too long, a folder that is none */
    int fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0)
        return close(fd);
    *unknown = errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL;
    return -1;
}

int rg_file_can_write(const char *path, struct rg_error *e)
{
    struct rg_file file = {0};
    bool unknown = false;
    if (strcmp(path, "-") == 0)
        return 0;
    int err = place(&file, path, true, e);
    if (err)
        return err;
    /* a pipe's reader would be told that its writer had come and gone */
    int tried = is_direct(&file) ? access(path, W_OK) : try_folder(file.temporary, &unknown);
    if (tried != 0)
        err = rg_fail(e, RG_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    release(&file);
    if (!unknown)
        return err;
    if ((err = rg_file_open(&file, path, e)) == 0)
        rg_file_abandon(&file);
    return err;
}

void rg_write_floats(FILE *stream, const float *values, size_t count)
{
    unsigned char block[4096];
    while (count > 0 && !ferror(stream)) {
        size_t some = RG_MIN(count, sizeof block / 4);
        for (size_t i = 0; i < some; i++)
            rg_put_u32(block + 4 * i, rg_bits_of(values[i]));
        fwrite(block, 4, some, stream);
        values += some;
        count -= some;
    }
}

char *rg_skip_mark(char *line)
{
    static const char mark[] = "\xef\xbb\xbf";
    return strncmp(line, mark, sizeof mark - 1) == 0 ? line + sizeof mark - 1 : line;
}

/* ---- pipes ---- */

bool rg_pipe_write(int fd, const void *data, size_t size)
{
    const char *p = data;
    while (size > 0) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            p += n;
            size -= (size_t)n;
        }
    }
    return true;
}

bool rg_pipe_read(int fd, void *data, size_t size)
{
    char *p = data;
    while (size > 0) {
        ssize_t n = read(fd, p, size);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        if (n > 0) {
            p += n;
            size -= (size_t)n;
        }
    }
    return true;
}
