/* Which kernels OpenBLAS runs.
 *
 * A build for many processors picks kernels once, when it is loaded, by the processor's family and
 * model. One that is newer than the library gets kernels for the oldest processors, or (AMD before
 * 0.3.22, a Raspberry Pi 5, see OpenBLAS#3620 and #4581) ones that use half of its vectors. Here
 * the processor's features are held against what those kernels use.
 *
 * Happy path: OpenBLAS knows the processor, nothing is done. Else the program executes itself again
 * with OPENBLAS_CORETYPE set; the variable ends it there, so that it cannot go round. The same
 * where address space is limited, with OPENBLAS_NUM_THREADS, before OpenBLAS is loaded. Failure
 * modes handled: the program's file cannot be found or executed (it goes on with the kernels it
 * has, and the note says so); OpenBLAS does not have the kernels asked for (the same), be it here
 * or by the user: it takes others without a word. */
#include "models/blas.h"

#include <cblas.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#define VARIABLE "OPENBLAS_CORETYPE"
#define THREADS  "OPENBLAS_NUM_THREADS"
#define CHOSEN   "RINGTMP_BLAS_KERNELS" /* names what was chosen here, for the second execution */

static char note[400];

/* ---- before OpenBLAS is loaded ---- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

enum { VARIABLES_MOST = 4000 };

/* Limits that OpenBLAS's memory counts for, and what of /proc/self/statm does (proc(5)). */
static const struct limited {
    int resource, field;
    const char *what, *raise;
} limited[] = {
    {RLIMIT_AS, 0, "address space", "ulimit -v; LimitAS="},
    {RLIMIT_DATA, 5, "data", "ulimit -d; LimitDATA="},
};

static uint64_t used_bytes(int field)
{
    char text[200] = "", *at = text;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    uint64_t pages = 0;
    if (fd >= 0)
        close(fd);
    for (int i = 0; i <= field && length > 0; i++)
        pages = strtoull(at, &at, 10);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Is there such a limit? One that is too low ends the program with a line. */
static bool is_limited(const struct limited *l, const char *program)
{
    struct rlimit limit;
    char line[200];
    if (getrlimit(l->resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return false;
    uint64_t wanted = used_bytes(l->field) + rg_blas_addresses();
    if (wanted > limit.rlim_cur) {
        int length = snprintf(line, sizeof line,
                              "%.40s: %" PRIu64 " kB of %s are needed, %" PRIu64
                              " are allowed (%s of a systemd unit): raise that\n",
                              program, wanted / 1024 + 1, l->what, (uint64_t)limit.rlim_cur / 1024,
                              l->raise);
        length = (int)write(STDERR_FILENO, line, (size_t)length);
        _exit(1);
    }
    return true;
}

static bool names_threads(char **environment)
{
    for (; *environment; environment++)
        if (strncmp(*environment, THREADS "=", sizeof THREADS) == 0)
            return true;
    return false;
}

/* While it is loaded OpenBLAS (0.3.29) takes 128 MiB of address space for itself and for a thread
 * a core, and tries for ever where there is not so much. So where that is limited this
 * executes the program again, with one thread, or says so. The loader calls it before what belongs
 * to libraries, when neither `environ` nor streams are to be relied upon. */
static void before_libraries(int argc, char **argv, char **environment)
{
    static char one[] = THREADS "=1";
    char *again[VARIABLES_MOST + 2];
    char path[PATH_MAX];
    int count = 0, limits = 0;
    if (argc < 1)
        return;
    const char *slash = strrchr(argv[0], '/');
    for (size_t i = 0; i < sizeof limited / sizeof *limited; i++)
        limits += is_limited(&limited[i], slash ? slash + 1 : argv[0]);
    if (limits == 0)
        return;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    while (count < VARIABLES_MOST && environment[count])
        count++;
    if (length < 0 || environment[count] || names_threads(environment))
        return;
    path[length] = '\0';
    memcpy(again, environment, (size_t)count * sizeof *again);
    again[count] = one;
    again[count + 1] = NULL;
    execve(path, argv, again);
}

__attribute__((section(".preinit_array"),
               used)) static void (*const first)(int, char **, char **) = before_libraries;

#endif

/* ---- which kernels ---- */

#if defined(__x86_64__) || defined(__aarch64__)

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcasecmp(name, *names) == 0)
            return true;
    return false;
}

#endif
#if defined(__x86_64__)

/* What OpenBLAS of Debian 12 and of Debian 13 knows by these names. */
static const char known[] =
    "Prescott, Core2, Penryn, Dunnington, Nehalem, Sandybridge, Haswell, SkylakeX, Cooperlake, "
    "Atom, Nano, Opteron, Opteron_SSE3, Barcelona, Bobcat, Bulldozer, Piledriver, Steamroller, "
    "Excavator, Zen";

/* The kernels that use what this processor has, unless `running` ones do. Kernels of one vector
 * width are left as they are: within a width OpenBLAS's own choice is the better informed. */
static const char *better_than(const char *running)
{
    static const char *const avx512[] = {"SkylakeX", "Cooperlake", "SapphireRapids", NULL};
    static const char *const avx2[] = {"Haswell",        "Zen",         "SkylakeX",   "Cooperlake",
                                       "Excavator",      "Steamroller", "Piledriver", "Bulldozer",
                                       "SapphireRapids", NULL};
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return is_one_of(running, avx512) ? NULL : "SkylakeX";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return is_one_of(running, avx2) ? NULL : "Haswell";
    return NULL;
}

#elif defined(__aarch64__)

static const char known[] = "armv8, cortexa53, cortexa57, cortexa72, cortexa73, neoversen1, "
                            "neoversen2, neoversev1, thunderx, thunderx2t99, tsv110, emag8180";

/* Only the generic kernels mean that the processor was not recognised. The Cortex-A76 and its
 * successors report half-precision and dot products (ARMv8.2) and run the kernels of the Neoverse
 * N1, the A76 for servers; so does the in-order A55, which runs those of the A53. Older cores are
 * recognised by every release that Debian 12 can meet. */
static const char *better_than(const char *running)
{
    static const char *const generic[] = {"armv8", "unknown", NULL};
    unsigned long features = getauxval(AT_HWCAP), midr = 0;
    if (!is_one_of(running, generic) || !(features & HWCAP_ASIMDHP) || !(features & HWCAP_ASIMDDP))
        return NULL;
    if (features & HWCAP_CPUID)
        __asm__("mrs %0, midr_el1" : "=r"(midr));
    return (midr >> 24 & 0xff) == 0x41 && (midr >> 4 & 0xfff) == 0xd05 ? "CORTEXA53" : "NEOVERSEN1";
}

#else

static const char known[] = ""; /* of 32-bit ARM Debian's has one kind */

static const char *better_than(const char *running)
{
    (void)running;
    return NULL;
}

#endif

const char *rg_blas_better(void)
{
    return better_than(rg_blas_kernels());
}

static void execute_again(char **argv)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0)
        return;
    path[length] = '\0';
    fflush(NULL);
    execv(path, argv);
}

/* The user's choice is not what runs. */
static void note_unknown(const char *user, const char *running)
{
    bool chooses = known[0] && strstr(openblas_get_config(), "DYNAMIC_ARCH");
    snprintf(note, sizeof note,
             VARIABLE "=\"%.40s\" is no name of kernels here: OpenBLAS runs %s%s%s", user, running,
             chooses ? "; it knows " : ", and has no others", chooses ? known : "");
}

/* Debian builds it for the first Raspberry Pi, whatever the processor has. */
static void note_no_vectors(const char *running)
{
    size_t used = strlen(note);
    if (strcasecmp(running, "ARMV6") == 0)
        snprintf(note + used, sizeof note - used,
                 "%sDebian's OpenBLAS of 32 bits has no vectors: use the 64-bit system, whose "
                 "matrix products are several times faster",
                 used ? "; " : "");
}

void rg_blas_setup(char **argv)
{
    const char *user = getenv(VARIABLE), *chosen = getenv(CHOSEN), *running = rg_blas_kernels();
    openblas_set_num_threads(1);
    if (chosen && user && strcmp(chosen, user) == 0) {
        if (strcasecmp(running, chosen) == 0)
            snprintf(note, sizeof note,
                     "OpenBLAS does not know this processor: using its %s kernels, which the "
                     "processor's features allow",
                     running);
        else
            snprintf(note, sizeof note,
                     "OpenBLAS does not know this processor and has no %s kernels: using %s",
                     chosen, running);
        return;
    }
    if (user && strcasecmp(user, running) != 0)
        note_unknown(user, running);
    note_no_vectors(running);
    const char *better = rg_blas_better();
    if (user || !better || !strstr(openblas_get_config(), "DYNAMIC_ARCH"))
        return;
    if (setenv(VARIABLE, better, 1) == 0 && setenv(CHOSEN, better, 1) == 0 &&
        setenv(THREADS, "1", 0) == 0)
        execute_again(argv);
    unsetenv(VARIABLE);
    unsetenv(CHOSEN);
    snprintf(note, sizeof note,
             "OpenBLAS does not know this processor and uses slow kernels (%s): " VARIABLE
             "=%s in the environment would be faster",
             running, better);
}

void rg_blas_set_threads(int threads)
{
    if (threads !=
        openblas_get_num_threads()) /* else its threads are woken, and spin for a while */
        openblas_set_num_threads(threads);
}

int rg_blas_threads(void)
{
    return openblas_get_num_threads();
}

const char *rg_blas_kernels(void)
{
    return openblas_get_corename();
}

/* BUFFER_SIZE of OpenBLAS's common_x86_64.h, common_arm64.h; armhf's has it from the start. */
size_t rg_blas_addresses(void)
{
#if defined(__x86_64__)
    return 128u << 20;
#elif defined(__aarch64__)
    return 33u << 20;
#else
    return 0;
#endif
}

void rg_blas_version(char *text, size_t size)
{
    char version[16] = "";
    sscanf(openblas_get_config(), "OpenBLAS %15s", version);
    snprintf(text, size, "%s", version);
}

const char *rg_blas_note(void)
{
    return note[0] ? note : NULL;
}
