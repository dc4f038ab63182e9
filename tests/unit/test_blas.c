/* Choice of OpenBLAS's kernels. This program runs itself as a child that pretends that OpenBLAS
 * recognised nothing: the library's own name for its kernels is replaced below. */
#include "models_fixture.h"

#include "models/blas.h"

#include <cblas.h>
#include <limits.h>
#include <unistd.h>

static char kernels[64];

/* Stands in for OpenBLAS's: kernels set by the environment, else those of an unknown processor. */
char *openblas_get_corename(void)
{
    const char *variable = getenv("OPENBLAS_CORETYPE"), *missing = getenv("TEST_WITHOUT");
    bool found = variable && !(missing && strcmp(missing, variable) == 0);
    snprintf(kernels, sizeof kernels, "%s", found ? variable : "Prescott");
    return kernels;
}

struct outcome {
    int executions, threads;
    char kernels[64], note[512];
};

static int child(char **argv)
{
    char count[16];
    const char *before = getenv("TEST_EXECUTIONS");
    snprintf(count, sizeof count, "%d", before ? atoi(before) + 1 : 1);
    setenv("TEST_EXECUTIONS", count, 1);
    if (atoi(count) > 3)
        return 1;
    rg_blas_setup(argv);
    printf("%s %d %s %s\n", count, rg_blas_threads(), rg_blas_kernels(),
           rg_blas_note() ? rg_blas_note() : "-");
    return 0;
}

/* Run this program as a child from its own folder, with `settings` in its environment. */
static struct outcome run(const char *settings)
{
    char path[PATH_MAX], command[2 * PATH_MAX];
    struct outcome o = {0};
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    RG_ASSERT(length > 0);
    path[length] = '\0';
    char *name = strrchr(path, '/');
    *name++ = '\0';
    snprintf(command, sizeof command,
             "cd '%s' && env -u OPENBLAS_CORETYPE -u RINGTMP_BLAS_KERNELS %s ./%s --child", path,
             settings, name);
    FILE *output = popen(command, "r");
    RG_ASSERT(output);
    int fields =
        fscanf(output, "%d %d %63s %511[^\n]", &o.executions, &o.threads, o.kernels, o.note);
    CU_ASSERT(pclose(output) == 0 && fields == 4);
    return o;
}

/* What this processor's features allow, or NULL where the choice leaves the processor alone. */
static const char *allowed(void)
{
    unsetenv("OPENBLAS_CORETYPE");
    return rg_blas_better();
}

static void test_unknown_processor(void)
{
    struct outcome o = run("");
    const char *best = allowed();
    CU_ASSERT(o.threads == 1);
    CU_ASSERT(o.executions == (best ? 2 : 1));
    CU_ASSERT_STRING_EQUAL(o.kernels, best ? best : "Prescott");
    if (best)
        CU_ASSERT(strstr(o.note, "does not know this processor") != NULL);
}

static void test_user_decides(void)
{
    struct outcome o = run("OPENBLAS_CORETYPE=Nehalem");
    CU_ASSERT(o.executions == 1);
    CU_ASSERT_STRING_EQUAL(o.kernels, "Nehalem");
    CU_ASSERT_STRING_EQUAL(o.note, "-");
    CU_ASSERT(run("OPENBLAS_CORETYPE=Nehalem RINGTMP_BLAS_KERNELS=Haswell").executions == 1);
}

static void test_features(void)
{
#if defined(__x86_64__)
    const char *expected = NULL;
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        expected = "SkylakeX";
    else if (__builtin_cpu_supports("avx2"))
        expected = "Haswell";
    const char *better = allowed();
    CU_ASSERT(expected ? better && strcmp(better, expected) == 0 : !better);
    /* Kernels that already use the widest vectors are not replaced. */
    setenv("OPENBLAS_CORETYPE", expected && expected[0] == 'S' ? "Cooperlake" : "Zen", 1);
    CU_ASSERT(rg_blas_better() == NULL);
#endif
}

/* OpenBLAS without the kernels asked for: once again and no more, and it is said. */
static void test_kernels_missing(void)
{
    const char *best = allowed();
    if (!best) {
        puts("skipped: no better kernels are known for this processor");
        return;
    }
    char settings[80];
    snprintf(settings, sizeof settings, "TEST_WITHOUT=%s", best);
    struct outcome o = run(settings);
    CU_ASSERT(o.executions == 2);
    CU_ASSERT_STRING_EQUAL(o.kernels, "Prescott");
    CU_ASSERT(strstr(o.note, "has no") != NULL);
}

/* What OpenBLAS does not have it takes for something else without a word. */
static void test_unknown_choice(void)
{
    struct outcome o = run("OPENBLAS_CORETYPE=CORTEXA99 TEST_WITHOUT=CORTEXA99");
    CU_ASSERT(o.executions == 1);
    CU_ASSERT_STRING_EQUAL(o.kernels, "Prescott");
    CU_ASSERT_PTR_NOT_NULL(
        strstr(o.note, "OPENBLAS_CORETYPE=\"CORTEXA99\" is no name of kernels here: OpenBLAS runs "
                       "Prescott"));
    o = run("OPENBLAS_CORETYPE= TEST_WITHOUT=");
    CU_ASSERT_PTR_NOT_NULL(strstr(o.note, "OPENBLAS_CORETYPE=\"\" is no name"));
#if defined(__x86_64__)
    CU_ASSERT_PTR_NOT_NULL(strstr(o.note, "; it knows Prescott, "));
#endif
    CU_ASSERT_STRING_EQUAL(run("OPENBLAS_CORETYPE=nehalem").note, "-");
    /* Those of 32-bit ARM, which are slow and all that there is. */
    o = run("OPENBLAS_CORETYPE=armv6");
    CU_ASSERT_EQUAL(
        strncmp(o.note, "Debian's OpenBLAS of 32 bits has no vectors: use the 64-bit", 59), 0);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"an unknown processor gets what its features allow", test_unknown_processor},
        {"a user's value is left alone", test_user_decides},
        {"a user's value that OpenBLAS does not know", test_unknown_choice},
        {"which kernels go with which features", test_features},
        {"kernels that OpenBLAS does not have", test_kernels_missing},
    };
    if (argc > 1 && strcmp(argv[1], "--child") == 0)
        return child(argv);
    return suite_main("blas", tests, RG_COUNT(tests), argc, argv);
}
