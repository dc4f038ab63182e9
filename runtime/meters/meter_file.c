/* The kernel's small files.
 *
 * Happy path: open, read once, close; every time, so that a device that has gone is noticed.
 * Failure modes handled, each naming the file: it is not there (or no longer), no permission, the
 * driver refuses (EIO), no number in it. */
#include "meters/meter_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int complain(const char *path, int number, struct rg_error *e)
{
    return rg_fail(e, number == ENOENT || number == ENOTDIR ? RG_ERR_INVALID : RG_ERR_IO,
                   "%.300s: %s", path, strerror(number));
}

int rg_meter_line(const char *path, char *line, size_t size, struct rg_error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return complain(path, errno, e);
    ssize_t got = read(fd, line, size - 1);
    int number = errno;
    close(fd);
    if (got < 0)
        return complain(path, number, e);
    line[got] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return 0;
}

int rg_meter_number(const char *path, int64_t *number, struct rg_error *e)
{
    char line[64], *end;
    int result = rg_meter_line(path, line, sizeof line, e);
    if (result)
        return result;
    errno = 0;
    *number = strtoll(line, &end, 10);
    if (end == line || end[strspn(end, " \t\r")] || errno)
        return rg_fail(e, RG_ERR_PROTOCOL, "%.300s: \"%.40s\" is no number", path, line);
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

void rg_meter_names_free(char **names, int count)
{
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

int rg_meter_names(const char *folder, const char *prefix, char ***names, struct rg_error *e)
{
    int count = 0;
    *names = NULL;
    DIR *dir = opendir(folder);
    if (!dir)
        return complain(folder, errno, e);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        char **more = realloc(*names, ((size_t)count + 1) * sizeof *more);
        if (more) {
            *names = more;
            more[count] = strdup(entry->d_name);
        }
        if (!more || !more[count]) {
            rg_meter_names_free(*names, count);
            closedir(dir);
            return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
        }
        count++;
    }
    closedir(dir);
    if (count)
        qsort(*names, (size_t)count, sizeof **names, compare_names);
    return count;
}
