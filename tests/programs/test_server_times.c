/* An iteration of a parameter server worked out with a pencil, against its closed form and against
 * the simulation.
 *
 * The network is sixteen residual blocks of two layers of 256 x 256 and their biases, and boards do
 * nothing but matrix products, at 1 GFLOP/s, and messages, at RATE bytes/s each way: no latency, no
 * framing but 16 bytes a message, additions and updates free (platforms/formula-one.xml). */
#include "base/check.h"
#include "programs/command.h"
#include "support/suite.h"
#include <math.h>

#define RATE   978470.0
#define WITHIN 1e-4
enum { LAYERS = 16, WIDTH = 256, BATCH = 16, HEADER = 16 };
#define PARAMETERS (LAYERS * 2.0 * (WIDTH * WIDTH + WIDTH))

/* Every parameter once through one port, in `messages` messages. */
static double port_s(int messages)
{
    return (4 * PARAMETERS + HEADER * messages) / RATE;
}

/* Two products forward and four backward a block, less the gradient of the network's input. */
static double work_s(int workers)
{
    return (6 * LAYERS - 1) * 2.0 * (BATCH / workers) * WIDTH * WIDTH / 1e9;
}

static void near(const char *what, int servers, int workers, double value, double wanted)
{
    bool good = fabs(value - wanted) <= WITHIN * wanted;
    if (!good)
        printf("\n    %d servers, %d workers: %s %.9g s, wanted %.9g", servers, workers, what,
               value, wanted);
    CU_ASSERT(good);
}

static void takes_with(const char *setting, int servers, int workers, double wanted)
{
    char line[300];
    snprintf(line, sizeof line,
             "ringsim tests/data/energy.xml --strategy server --set numerics=skip "
             "--set platform=platforms/formula-one.xml --set server.nodes=%d "
             "--set server.servers=%d --set server.%s",
             servers + workers, servers, setting);
    json_t *result = command_result(line, 60), *run = result ? command_run_of(result, "server") : 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(run);
    near("predicted", servers, workers, command_number(run, "formula.predicted_iteration_s"),
         wanted);
    near("observed", servers, workers, command_number(run, "formula.observed_iteration_s"), wanted);
    json_decref(result);
}

static void takes(int servers, int workers, double wanted)
{
    takes_with("filters=none", servers, workers, wanted);
}

/* More servers than workers: all servers' shards meet at a worker's port, which takes in every
 * parameter once and sends out every gradient once, whatever the servers could do. A server's own
 * port would ask for less: of four servers with two workers it carries half of that. */
static void the_workers_ports_set_the_pace(void)
{
    takes(3, 1, 2 * port_s(3) + work_s(1));
    takes(4, 2, 2 * port_s(4) + work_s(2));
    takes(6, 2, 2 * port_s(6) + work_s(2));
}

/* As many: server 0 begins with worker 0 and server 1 with worker 1, so that both ports of both
 * sides are always busy, with one message each way or, when gradients leave, with two that share
 * them. If both began with worker 0, its port would be asked by both while worker 1's idles, and
 * worker 1 would have its parameters only after twice that time. */
static void as_many_servers_as_workers_keep_all_ports_busy(void)
{
    takes(1, 1, 2 * port_s(1) + work_s(1));
    takes(2, 2, 2 * port_s(2) + work_s(2));
    takes(4, 4, 2 * port_s(4) + work_s(4));
}

/* One server sends to the first worker, then to the second. The first pushes as soon as its work is
 * done, and its push is in when the second, a pull later, begins with its own: two pulls, the work
 * and a push. */
static void one_server_serves_in_turn(void)
{
    takes(1, 2, 3 * port_s(1) + work_s(2));
}

/* The same where a push is of half as many bytes; of a byte each, with their least and span; and of
 * one number in a hundred, with a head, and places of four bytes as the numbers have (a bit for
 * each of all would be more). */
static void filters_shorten_the_push(void)
{
    double before = 2 * port_s(1) + work_s(2), hundredth = ceil(PARAMETERS / 100);
    takes_with("filters=float16", 1, 2, before + (2 * PARAMETERS + HEADER) / RATE);
    takes_with("filters=int8", 1, 2, before + (PARAMETERS + 8 + HEADER) / RATE);
    takes_with("filters=top-k", 1, 2, before + (8 + 8 * hundredth + HEADER) / RATE);
    takes_with("filters=top-k,int8", 1, 2, before + (8 + 5 * hundredth + 8 + HEADER) / RATE);
}

/* A server of m hands on its part, and those it gets, r times, and tells log2 m others that it has
 * them, in eight bytes; steps are free. */
static void replicas_follow_the_sum(void)
{
    takes_with("replication=1", 2, 2,
               2 * port_s(2) + work_s(2) + (4 * PARAMETERS / 2 + HEADER + 8 + HEADER) / RATE);
    takes_with("replication=3", 4, 4,
               2 * port_s(4) + work_s(4) +
                   (3 * (4 * PARAMETERS / 4 + HEADER) + 2 * (8 + HEADER)) / RATE);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"more servers than workers", the_workers_ports_set_the_pace},
        {"as many servers as workers", as_many_servers_as_workers_keep_all_ports_busy},
        {"one server, two workers", one_server_serves_in_turn},
        {"filters shorten the push", filters_shorten_the_push},
        {"replicas follow the sum", replicas_follow_the_sum},
    };
    return suite_main("server_times", tests, sizeof tests / sizeof *tests, argc, argv);
}
