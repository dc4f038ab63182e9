/* The frame of a CUnit program: a table of tests, a summary, an exit status ctest understands. */
#ifndef RG_TESTS_SUITE_H
#define RG_TESTS_SUITE_H

#include <CUnit/Basic.h>
#include <stdio.h>
#include <string.h>

struct suite_test {
    const char *name;
    void (*run)(void);
};

/* Runs all tests (or those whose name contains argv[1]); returns the exit status of main. */
static inline int suite_main(const char *name, const struct suite_test *tests, int count, int argc,
                             char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 1;
    CU_pSuite suite = CU_add_suite(name, NULL, NULL);
    for (int i = 0; suite && i < count; i++)
        if (argc < 2 || strstr(tests[i].name, argv[1]))
            CU_add_test(suite, tests[i].name, tests[i].run);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned run = CU_get_number_of_tests_run(), failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return run == 0 || failed != 0;
}

#endif
