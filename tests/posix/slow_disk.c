/* Preloaded into a program under test: a disk that takes RG_DISK_RATE bytes a second. What is
 * written waits in memory, as it does with a real one, and whoever wants it on the disk waits. */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    const char *rate = getenv("RG_DISK_RATE");
    struct stat status;
    if (rate && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        double seconds = (double)status.st_size / atof(rate);
        struct timespec left = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))};
        while (nanosleep(&left, &left) != 0)
            ;
    }
    return real(fd);
}
