/* Files that stay where they are: mapped into memory, so that their bytes are read when they are
 * wanted and need not fit.
 *
 * Failure modes handled, each naming the file: it cannot be read, it is none (a folder, a pipe), it
 * is empty, it is larger than addresses go. A file that is cut while it is mapped ends the program
 * (SIGBUS); one that is replaced by another of its name does no harm. */
#include "models/data.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int map(const struct rg_data_spec *spec, const char *path, int fd, struct rg_data_map *map,
               struct rg_error *e)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return rg_data_fail(spec, e, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode) || status.st_size == 0)
        return rg_data_fail(spec, e, "%s: %s; a plain file is wanted", path,
                            S_ISREG(status.st_mode) ? "it is empty" : "it is no file");
    if ((uint64_t)status.st_size > SIZE_MAX / 2)
        return rg_data_fail(spec, e, "%s: larger than addresses of this machine go", path);
    map->size = (size_t)status.st_size;
    void *bytes = mmap(NULL, map->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return rg_data_fail(spec, e, "cannot map %s into memory: %s", path, strerror(errno));
    map->bytes = bytes;
    return 0;
}

int rg_data_map(const struct rg_data_spec *spec, const char *path, struct rg_data_map *mapped,
                struct rg_error *e)
{
    *mapped = (struct rg_data_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return rg_data_fail(spec, e, "cannot read %s: %s", path, strerror(errno));
    int err = map(spec, path, fd, mapped, e);
    close(fd);
    return err;
}

void rg_data_unmap(struct rg_data_map *mapped)
{
    if (mapped->bytes)
        munmap((void *)(uintptr_t)mapped->bytes, mapped->size);
    *mapped = (struct rg_data_map){0};
}
