/* Which processors and libraries give one another's bits, by name. */
#include "models/bits.h"

#include "base/check.h"
#include "models_fixture.h"
#include <string.h>

static char why[256];

/* Versions and threads as in Debian 12. */
static struct rg_bits twelve(const char *kernels)
{
    struct rg_bits bits = {.blas = "0.3.21", .libc = "2.36", .threads = 1};
    snprintf(bits.kernels, sizeof bits.kernels, "%s", kernels);
    return bits;
}

static struct rg_bits thirteen(const char *kernels)
{
    struct rg_bits bits = twelve(kernels);
    strcpy(bits.blas, "0.3.29");
    strcpy(bits.libc, "2.41");
    return bits;
}

static bool differ(struct rg_bits one, struct rg_bits other, int longest)
{
    struct rg_products products = {.longest = longest};
    bool differs = rg_bits_differ(&one, &other, &products, why, sizeof why);
    CU_ASSERT_EQUAL(rg_bits_differ(&other, &one, &products, why, sizeof why), differs);
    why[0] = 0;
    rg_bits_differ(&one, &other, &products, why, sizeof why);
    return differs;
}

/* The most numbers that sums of both kernels may have. */
static int most_alike(const char *one, const char *other)
{
    int most = 0;
    for (int sum = 1; sum <= 5000; sum++)
        if (!differ(twelve(one), twelve(other), sum))
            most = sum;
    return most;
}

static void test_kernels(void)
{
    CU_ASSERT_EQUAL(most_alike("Haswell", "HASWELL"), 5000);
    CU_ASSERT_EQUAL(most_alike("Haswell", "Zen"), 4096);
    CU_ASSERT_EQUAL(most_alike("Haswell", "SkylakeX"), 0);
    CU_ASSERT_EQUAL(most_alike("Sandybridge", "Nehalem"), 0);
    CU_ASSERT_EQUAL(most_alike("Sandybridge", "ARMV6"), 240);
    CU_ASSERT_EQUAL(most_alike("CORTEXA72", "CORTEXA53"), 256);
    CU_ASSERT_EQUAL(most_alike("cortexa72", "neoversen1"), 352);
    CU_ASSERT_EQUAL(most_alike("cortexa72", "cortexa57"), 1024);
    CU_ASSERT_EQUAL(most_alike("cortexa5", "cortexa72"), 0); /* no part of a name is one */
    CU_ASSERT_EQUAL(most_alike("", "Zen"), 0);
    CU_ASSERT_FALSE(differ(twelve("Haswell"), twelve("SkylakeX"), 0)); /* no products */
    CU_ASSERT_TRUE(differ(twelve("CORTEXA53"), twelve("CORTEXA72"), 784));
    CU_ASSERT_STRING_EQUAL(why, "OpenBLAS kernels CORTEXA53 and CORTEXA72 differ for sums of 784");
}

static void test_versions(void)
{
    CU_ASSERT_FALSE(differ(twelve("Haswell"), thirteen("Haswell"), 4000));
    CU_ASSERT_FALSE(differ(twelve("cortexa72"), thirteen("cortexa57"), 1024));
    CU_ASSERT_TRUE(differ(twelve("cortexa72"), thirteen("cortexa57"), 1025)); /* not compared */
    CU_ASSERT_FALSE(differ(twelve("neoversen1"), thirteen("neoversen1"), 352));
    CU_ASSERT_TRUE(differ(twelve("neoversen1"), thirteen("neoversen1"), 353));
    CU_ASSERT_STRING_EQUAL(
        why, "OpenBLAS 0.3.21 and 0.3.29, kernels neoversen1, differ for sums of 353");
    CU_ASSERT_TRUE(differ(twelve("Haswell"), thirteen("SkylakeX"), 2));
    CU_ASSERT_STRING_EQUAL(
        why, "OpenBLAS kernels Haswell (0.3.21) and SkylakeX (0.3.29) differ for sums of 2");
    struct rg_bits fourteen = thirteen("Haswell"); /* nobody has compared it */
    strcpy(fourteen.blas, "0.3.32");
    CU_ASSERT_TRUE(differ(fourteen, thirteen("Haswell"), 2));
    CU_ASSERT_FALSE(differ(fourteen, fourteen, 5000));
    fourteen = thirteen("Haswell");
    strcpy(fourteen.libc, "2.43");
    CU_ASSERT_TRUE(differ(thirteen("Haswell"), fourteen, 0));
    CU_ASSERT_STRING_EQUAL(why, "expf of glibc 2.41 and of 2.43 were not compared");
    CU_ASSERT_FALSE(differ(fourteen, fourteen, 0));
}

/* 0.3.29 for arm64 computes products with one row or column in another way. */
static void test_vectors(void)
{
    struct rg_bits one = twelve("cortexa72"), other = thirteen("cortexa57"),
                   x86[] = {twelve("Haswell"), thirteen("Haswell")};
    struct rg_products products = {.longest = 8, .vectors = true};
    CU_ASSERT_TRUE(rg_bits_differ(&one, &other, &products, why, sizeof why));
    CU_ASSERT_FALSE(rg_bits_differ(&one, &one, &products, why, sizeof why));
    CU_ASSERT_FALSE(rg_bits_differ(&x86[0], &x86[1], &products, why, sizeof why));
}

static void test_threads(void)
{
    struct rg_bits two = twelve("Haswell"), later = thirteen("Haswell");
    two.threads = later.threads = 2;
    CU_ASSERT_TRUE(differ(twelve("Haswell"), two, 64));
    CU_ASSERT_STRING_EQUAL(why, "OpenBLAS on 1 thread and on 2 differ for sums of 64");
    CU_ASSERT_FALSE(differ(two, two, 4000));
    CU_ASSERT_TRUE(differ(two, later, 64)); /* another version cuts products otherwise */
    strcpy(two.kernels, "SkylakeX");
    strcpy(later.kernels, "SkylakeX");
    CU_ASSERT_FALSE(differ(two, later, 4000));
}

/* Products of OpenBLAS, by kernels that are alike, beside convolutions by our own. */
static void test_convolutions(void)
{
    struct rg_bits one = twelve("Sandybridge"), other = twelve("ARMV6");
    struct rg_products products = {.longest = 240, .convolutions = true};
    one.fuses = 1;
    CU_ASSERT_TRUE(rg_bits_differ(&one, &other, &products, why, sizeof why));
    CU_ASSERT_PTR_NOT_NULL(strstr(why, "convolutions differ between processors that fuse"));
    products.convolutions = false;
    CU_ASSERT_FALSE(rg_bits_differ(&one, &other, &products, why, sizeof why));
    one.fuses = 0;
    products.convolutions = true;
    CU_ASSERT_FALSE(rg_bits_differ(&one, &other, &products, why, sizeof why));
}

/* This process, and whatever OpenBLAS answers to it. */
static void test_own(void)
{
    struct rg_bits own, again;
    rg_bits_own(&own);
    rg_bits_own(&again);
    CU_ASSERT(own.kernels[0] && own.threads >= 1);
    CU_ASSERT(strchr(own.blas, '.') && strchr(own.libc, '.'));
    CU_ASSERT_EQUAL(memcmp(&own, &again, sizeof own), 0);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"kernels", test_kernels},
                                              {"versions", test_versions},
                                              {"products with a vector", test_vectors},
                                              {"threads", test_threads},
                                              {"convolutions", test_convolutions},
                                              {"this process", test_own}};
    return suite_main("bits", tests, RG_COUNT(tests), argc, argv);
}
