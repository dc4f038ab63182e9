/* Shares of the machine's cores: disjoint, together all, and none where there are too few. */
#include "base/check.h"
#include "base/cores.h"
#include "tests/support/suite.h"
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a child, since a share is for good: the cores it has then; an empty set: it got no share. */
static cpu_set_t share_of(int index, int count, int least)
{
    cpu_set_t set;
    int ends[2];
    CPU_ZERO(&set);
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (rg_cores_share(index, count, least))
            sched_getaffinity(0, sizeof set, &set);
        bool told = rg_cores() == CPU_COUNT(&set) || CPU_COUNT(&set) == 0;
        _exit(told && write(ends[1], &set, sizeof set) == sizeof set ? 0 : 1);
    }
    int status = 1;
    CU_ASSERT_EQUAL(read(ends[0], &set, sizeof set), sizeof set);
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_EQUAL(status, 0);
    close(ends[0]);
    close(ends[1]);
    return set;
}

static void divided(void)
{
    int cores = rg_cores();
    cpu_set_t all;
    CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, sizeof all, &all), 0);
    CU_ASSERT_EQUAL(CPU_COUNT(&all), cores);
    for (int count = 1; count <= cores && count <= 8; count++) {
        cpu_set_t seen, common;
        CPU_ZERO(&seen);
        for (int i = 0; i < count; i++) {
            cpu_set_t mine = share_of(i, count, cores / count);
            CU_ASSERT(CPU_COUNT(&mine) >= cores / count);
            CPU_AND(&common, &seen, &mine);
            CU_ASSERT_EQUAL(CPU_COUNT(&common), 0);
            CPU_OR(&seen, &seen, &mine);
        }
        CU_ASSERT(CPU_EQUAL(&seen, &all));
    }
}

static void too_few(void)
{
    int cores = rg_cores();
    cpu_set_t none = share_of(0, cores + 1, 1);
    CU_ASSERT_EQUAL(CPU_COUNT(&none), 0);
    none = share_of(0, 1, cores + 1);
    CU_ASSERT_EQUAL(CPU_COUNT(&none), 0);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"shares are disjoint and together all", divided},
                                              {"no share where there are too few cores", too_few}};
    return suite_main("cores", tests, RG_COUNT(tests), argc, argv);
}
