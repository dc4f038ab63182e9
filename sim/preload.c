/* Failure modes handled: a file that cannot be read (again), memory that is not there: each run
 * loads its platform itself, and says what is wrong with it. */
#include "preload.h"

#include "engine.h"
#include "strands/sim_strands.h"
#include "world_sim.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* malloc'ed; NULL: it cannot be read. */
static char *text_of(const char *path, size_t *size)
{
    struct stat status;
    FILE *file = fopen(path, "r");
    char *text = NULL;
    if (file && fstat(fileno(file), &status) == 0 && S_ISREG(status.st_mode)) {
        *size = (size_t)status.st_size;
        text = malloc(*size + 1);
    }
    if (text && fread(text, 1, *size + 1, file) != *size) { /* it is being written */
        free(text);
        text = NULL;
    }
    if (file)
        fclose(file);
    return text;
}

/* Profiles are open only while the point is; boards that go off leave the others a smaller
 * platform; boards without watts have no account of SimGrid's. */
static bool stands_alone(const struct rg_sim_options *options)
{
    return options->profiles->count > 0 || rg_faults_have_off(options->faults) ||
           !rg_sim_has_watts(options);
}

void rg_preload_note(struct rg_preload *p, const struct rg_sim_options *options)
{
    size_t size = 0;
    if (p->apart)
        return;
    char *text = stands_alone(options) ? NULL : text_of(options->platform, &size);
    p->energy |= rg_sim_engine_of(options) == RG_SIM_SIMGRID;
    p->apart = !text || (p->text && (size != p->size || memcmp(text, p->text, size) != 0));
    free(p->text);
    p->text = text;
    p->size = size;
}

void rg_preload(const struct rg_preload *p)
{
    char path[40];
    int fd = p->apart || !p->text ? -1 : memfd_create("platform.xml", MFD_CLOEXEC);
    if (fd < 0)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    FILE *file = fdopen(fd, "w");
    if (file && fwrite(p->text, 1, p->size, file) == p->size && fflush(file) == 0)
        rg_engine_preload(path, p->energy);
    if (file)
        fclose(file);
    else
        close(fd);
}

void rg_preload_forget(struct rg_preload *p)
{
    free(p->text);
}
