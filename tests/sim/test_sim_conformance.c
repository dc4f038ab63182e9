/* The sim world keeps the contract. Every case is a process of its own: SimGrid starts once. */
#include "sim/world_sim.h"
#include "tests/conformance/conformance.h"
#include "tests/sim/simulate.h"

static double transfer_s(size_t bytes)
{
    return 50.3e-6 + (double)bytes / 125e6;
}

static int launch(const struct rg_launcher *launcher, int size, rg_program_fn program, void *arg,
                  uint64_t seed, double timeout_s, int *results)
{
    (void)launcher;
    (void)seed;
    struct rg_sim_options options = {.platform = SIM_PLATFORM_64, .size = size};
    return simulate(&options, program, arg, timeout_s, results, NULL);
}

int main(int argc, char **argv)
{
    /* a compute without a board proceeds at the host's speed */
    static const struct rg_launcher launcher = {
        .world = "sim", .run = launch, .transfer_s = transfer_s, .rate = 9.8e9, .is_virtual = true};
    return rg_conformance_main(&launcher, argc, argv);
}
