/* The posix world keeps the contract of every world. */
#include "tests/conformance/conformance.h"

#include "tests/posix/cluster.h"

static int launch(const struct rg_launcher *launcher, int size, rg_program_fn program, void *arg,
                  uint64_t seed, double timeout_s, int *results)
{
    (void)launcher, (void)seed;
    return cluster_run(size, program, arg, timeout_s, results);
}

static double transfer_s(size_t bytes)
{
    return 1e-4 + (double)bytes / 1e9;
}

int main(int argc, char **argv)
{
    static const struct rg_launcher launcher = {
        .world = "posix", .run = launch, .transfer_s = transfer_s, .rate = 1e9};
    return rg_conformance_main(&launcher, argc, argv);
}
