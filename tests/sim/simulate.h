/* Runs a simulation in a process of its own, on the engine that RG_TEST_ENGINE names where the
 * options leave it open: CTest runs every test here once for each (tests/sim/CMakeLists.txt). */
#ifndef RG_TESTS_SIMULATE_H
#define RG_TESTS_SIMULATE_H

#include "sim/world_sim.h"

#define SIM_PLATFORM_64 RG_SOURCE_DIR "/platforms/pi4-gigabit-64.xml"
#define SIM_RATE        125e6   /* bytes/s of a port there, */
#define SIM_LATENCY     50.3e-6 /* seconds of a route */

/* Four cores, of which one makes a GFLOP a second of products, and all three; a port as there. */
extern const struct rg_board simulate_board;

/* Of so many nodes, as many as most tests want. */
enum { SIM_RANKS = 8 };
extern const struct rg_board *const simulate_boards[SIM_RANKS];

/* What rg_sim_run returns, or RG_ERR_INTERNAL if the process crashes, an assertion of CUnit fails
 * in it, or it takes longer than timeout_s. What programs write is lost but for shared memory
 * (simulate_share) and results. *error may be NULL; so may results. */
int simulate(const struct rg_sim_options *options, rg_program_fn program, void *arg,
             double timeout_s, int *results, struct rg_error *error);

/* The one that RG_TEST_ENGINE names, or auto. */
enum rg_sim_engine simulate_engine(void);

/* A file name, valid in this process and its children, under which the text can be read. */
const char *simulate_platform(const char *text);

/* A product that takes one core of that board so long. */
int simulate_compute(struct rg_world *w, double seconds);

/* Zeroed memory that a simulation's programs share with the caller. Never freed. */
void *simulate_share(size_t bytes);

#endif
