/* Memory that a machine or its control groups do not have, by trees of files in the kernel's
 * format. Descriptors and address space are limited for whole programs: tests/programs. */
#include "base/limits.h"

#include "base/check.h"
#include "support/suite.h"
#include "unit/scratch.h"
#include <math.h>

static const char *fresh(const char *name)
{
    const char *root = scratch_path(name);
    mkdir(root, 0755);
    return root;
}

static void put(const char *root, const char *file, const char *text)
{
    char path[600], part[600];
    snprintf(path, sizeof path, "%s/%s", root, file);
    for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(p - path), path);
        mkdir(part, 0755);
    }
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        abort();
}

static const char *said(const char *root, uint64_t bytes)
{
    static struct rg_error e;
    e = (struct rg_error){0};
    int code = rg_limits_memory(root, bytes, "ring, 64 nodes", &e);
    CU_ASSERT_EQUAL(code, e.text[0] ? RG_ERR_NOMEM : 0);
    return e.text;
}

/* 4 GB by a group of 8 on a machine of 16. */
static void test_group(void)
{
    const char *root = fresh("group");
    put(root, "proc/meminfo", "MemTotal:       16000000 kB\nSwapTotal:             0 kB\n");
    CU_ASSERT(isinf(rg_limits_group_bytes(root)));
    put(root, "sys/fs/cgroup/memory.max", "max\n");
    CU_ASSERT(isinf(rg_limits_group_bytes(root)));
    put(root, "proc/self/cgroup", "0::/system.slice/ringnode@0.service\n");
    put(root, "sys/fs/cgroup/system.slice/memory.max", "8192000000\n");
    put(root, "sys/fs/cgroup/system.slice/ringnode@0.service/memory.max", "4096000000\n");
    CU_ASSERT_EQUAL(rg_limits_group_bytes(root), 4096000000.0);
    CU_ASSERT_STRING_EQUAL(said(root, 4096000000), "");
    CU_ASSERT_STRING_EQUAL(said(root, 4096001024),
                           "ring, 64 nodes: 4000001 kB of memory are needed, 4000000 are allowed "
                           "(memory.max of a control group; MemoryMax= of a systemd unit): raise "
                           "that");
    char text[300];
    rg_limits_name(root, text, sizeof text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "; 4000000 kB of memory are allowed (memory.max of a"));
    /* what swaps takes longer, and runs */
    put(root, "proc/meminfo", "MemTotal:       16000000 kB\nSwapTotal:       1000000 kB\n");
    CU_ASSERT_STRING_EQUAL(said(root, 4096001024), "");
    CU_ASSERT(said(root, 5120001024)[0]);
}

static void test_machine(void)
{
    const char *root = fresh("machine");
    CU_ASSERT_STRING_EQUAL(said(root, UINT64_MAX), ""); /* nobody knows */
    put(root, "proc/meminfo",
        "MemTotal:         900000 kB\nMemFree:  1 kB\nSwapTotal:  100000 kB\n");
    CU_ASSERT_STRING_EQUAL(said(root, 1024000000), "");
    CU_ASSERT_STRING_EQUAL(said(root, 1024001024),
                           "ring, 64 nodes: 1000001 kB of memory are needed, this machine has "
                           "900000: fewer nodes, a smaller network, or a larger machine");
    /* the first version of control groups has a number for none */
    put(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(said(root, 1024001024), "this machine has 900000"));
    char text[300];
    rg_limits_name(root, text, sizeof text);
    CU_ASSERT_PTR_NULL(strstr(text, "kB of memory"));
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"a control group's", test_group},
                                              {"a machine's", test_machine}};
    return suite_main("limits", tests, RG_COUNT(tests), argc, argv);
}
