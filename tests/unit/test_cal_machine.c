/* What ringcal writes of a machine: of trees of files in the kernel's format. */
#include "calibrate/calibrate.h"

#include "support/suite.h"
#include "unit/scratch.h"
#include <math.h>
#include <string.h>

static const char cpu[] = "sys/devices/system/cpu";

static void put(const char *root, const char *folder, const char *name, const char *text)
{
    char file[600], part[600];
    snprintf(file, sizeof file, "%s/%s/%s", root, folder, name);
    for (char *p = strchr(file + 1, '/'); p; p = strchr(p + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(p - file), file);
        mkdir(part, 0755);
    }
    FILE *f = fopen(file, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        abort();
}

static void put_cpu(const char *root, int index, const char *most, const char *scaling,
                    const char *capacity)
{
    char folder[200];
    snprintf(folder, sizeof folder, "%s/cpu%d/cpufreq", cpu, index);
    if (most)
        put(root, folder, "cpuinfo_max_freq", most);
    if (scaling)
        put(root, folder, "scaling_max_freq", scaling);
    snprintf(folder, sizeof folder, "%s/cpu%d", cpu, index);
    if (capacity)
        put(root, folder, "cpu_capacity", capacity);
}

static const char *fresh(const char *name)
{
    const char *root = scratch_path(name);
    mkdir(root, 0755);
    return root;
}

/* Its memory, now that this file of it says so. */
static uint64_t memory_with(const char *root, const char *folder, const char *name,
                            const char *text)
{
    struct rg_cal_machine m;
    put(root, folder, name, text);
    rg_cal_machine(&m, root);
    return m.memory_bytes;
}

/* The least of what is free and of the limits of all groups that hold this process. */
static void memory_of_a_container(void)
{
    static const char all[] = "sys/fs/cgroup", own[] = "sys/fs/cgroup/user.slice/job.scope";
    static const char free_kB[] = "MemTotal:  8000000 kB\nMemAvailable:  7800000 kB\n";
    const char *root = fresh("container");
    CU_ASSERT_EQUAL(memory_with(root, "proc", "meminfo", free_kB), 7987200000);
    CU_ASSERT_EQUAL(memory_with(root, all, "memory.max", "max\n"), 7987200000);
    CU_ASSERT_EQUAL(memory_with(root, all, "memory.max", "268435456\n"), 268435456);
    CU_ASSERT_EQUAL(memory_with(root, all, "memory.max", "99999999999\n"), 7987200000);
    put(root, "proc/self", "cgroup", "0::/user.slice/job.scope\n");
    put(root, "sys/fs/cgroup/user.slice", "memory.max", "1000000000\n");
    CU_ASSERT_EQUAL(memory_with(root, own, "memory.max", "2000000000\n"), 1000000000);
    CU_ASSERT_EQUAL(memory_with(root, own, "memory.max", "500000000\n"), 500000000);
    root = fresh("first-version");
    put(root, "proc", "meminfo", "MemAvailable:  7800000 kB\n");
    put(root, "proc/self", "cgroup", "5:cpu,cpuacct:/\n4:memory:/docker/ab\n");
    CU_ASSERT_EQUAL(
        memory_with(root, "sys/fs/cgroup/memory/docker/ab", "memory.limit_in_bytes", "300000000\n"),
        300000000);
}

/* Those of ../shared, where they are. */
static void shared_inputs(void)
{
    struct rg_cal_machine m;
    struct stat status;
    if (stat(RG_SOURCE_DIR "/../shared/inputs/container-root", &status) != 0) {
        printf("(skipped: ../shared/inputs is absent) ");
        return;
    }
    rg_cal_machine(&m, RG_SOURCE_DIR "/../shared/inputs/container-root");
    CU_ASSERT_EQUAL(m.memory_bytes, 268435456);
    rg_cal_machine(&m, RG_SOURCE_DIR "/../shared/inputs/capped-root");
    CU_ASSERT_EQUAL(m.hz, 6e8);
    CU_ASSERT_PTR_NOT_NULL(strstr(m.doubts, "0.6 of 1.5 GHz (governor powersave)"));
}

static void clock_that_is_held(void)
{
    struct rg_cal_machine m;
    const char *root = fresh("capped");
    put_cpu(root, 0, "1500000\n", NULL, NULL);
    rg_cal_machine(&m, root);
    CU_ASSERT(m.hz == 1.5e9 && m.limit_hz == 1.5e9);
    CU_ASSERT_STRING_EQUAL(m.doubts, "");
    put_cpu(root, 0, "1500000\n", "600000\n", NULL);
    put(root, "sys/devices/system/cpu/cpu0/cpufreq", "scaling_governor", "powersave\n");
    rg_cal_machine(&m, root);
    CU_ASSERT(m.hz == 6e8 && m.limit_hz == 1.5e9);
    CU_ASSERT_STRING_EQUAL(m.doubts, "its clock is held at 0.6 of 1.5 GHz (governor powersave)");
    rg_cal_clock(&m, 6e8, ""); /* said already */
    CU_ASSERT_STRING_EQUAL(m.doubts, "its clock is held at 0.6 of 1.5 GHz (governor powersave)");
    /* Nothing holds it, but it never went higher; and it throttled. */
    put_cpu(root, 0, "1500000\n", "1500000\n", NULL);
    rg_cal_machine(&m, root);
    rg_cal_clock(&m, 1.49e9, "");
    CU_ASSERT(m.hz == 1.5e9 && !m.doubts[0]);
    rg_cal_clock(&m, NAN, "");
    CU_ASSERT(m.hz == 1.5e9 && !m.doubts[0]);
    rg_cal_clock(&m, 1e9, "throttled");
    CU_ASSERT_EQUAL(m.hz, 1e9);
    CU_ASSERT_STRING_EQUAL(
        m.doubts, "its clock ran at 1 of 1.5 GHz; held back while it was measured: throttled");
}

static void cores_of_two_kinds(void)
{
    struct rg_cal_machine m;
    const char *root = fresh("kinds");
    for (int i = 0; i < 6; i++)
        put_cpu(root, i, i < 4 ? "1400000\n" : "1800000\n", NULL, i < 4 ? "380\n" : "1024\n");
    rg_cal_machine(&m, root);
    CU_ASSERT_EQUAL(m.hz, 1.8e9);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(m.doubts, "cores of two kinds (4 up to 1.4 GHz, 2 up to 1.8 GHz)"));
    root = fresh("no-clocks");
    for (int i = 0; i < 6; i++)
        put_cpu(root, i, NULL, NULL, i < 4 ? "380\n" : "1024\n");
    rg_cal_machine(&m, root);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(m.doubts, "cores of two kinds (4 of capacity 380, 2 of capacity 1024)"));
    root = fresh("one-kind");
    for (int i = 0; i < 4; i++)
        put_cpu(root, i, "1800000\n", NULL, "1024\n");
    rg_cal_machine(&m, root);
    CU_ASSERT_STRING_EQUAL(m.doubts, "");
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"memory of a container", memory_of_a_container},
        {"a clock that is held", clock_that_is_held},
        {"cores of two kinds", cores_of_two_kinds},
        {"../shared/inputs", shared_inputs},
    };
    return suite_main("calibration: machine", tests, (int)(sizeof tests / sizeof *tests), argc,
                      argv);
}
