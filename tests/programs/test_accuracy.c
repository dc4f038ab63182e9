/* What training reaches: mean and spread over five seeds, and what stale weights cost. */
#include "programs/command.h"
#include "support/suite.h"
#include <math.h>
#include <unistd.h>

enum { SEEDS = 5 };
#define MNIST "../shared/data/mnist-t10k"

struct sample {
    double accuracy[SEEDS], ratio[SEEDS], staleness;
};

static double mean_of(const double *values)
{
    double sum = 0;
    for (int i = 0; i < SEEDS; i++)
        sum += values[i];
    return sum / SEEDS;
}

static double deviation_of(const double *values)
{
    double mean = mean_of(values), sum = 0;
    for (int i = 0; i < SEEDS; i++)
        sum += (values[i] - mean) * (values[i] - mean);
    return sqrt(sum / (SEEDS - 1));
}

/* Train every strategy of `labels` from seeds 1 to SEEDS. */
static void train(const char *command, const char *const *labels, int count, struct sample *samples)
{
    for (int seed = 1; seed <= SEEDS; seed++) {
        char line[300];
        snprintf(line, sizeof line, "%s --set seed=%d", command, seed);
        json_t *result = command_result(line, 900);
        for (int i = 0; i < count && result; i++) {
            json_t *run = command_run_of(result, labels[i]);
            samples[i].accuracy[seed - 1] = command_number(run, "final.accuracy");
            samples[i].ratio[seed - 1] = command_number(run, "formula.ratio");
            samples[i].staleness = command_number(run, "staleness");
        }
        json_decref(result);
    }
    for (int i = 0; i < count; i++)
        printf("\n    %-12s accuracy %.2f %% +- %.2f (seeds 1 to %d), staleness %g, observed / "
               "predicted %.3f",
               labels[i], 100 * mean_of(samples[i].accuracy),
               100 * deviation_of(samples[i].accuracy), SEEDS, samples[i].staleness,
               mean_of(samples[i].ratio));
    printf("\n");
}

static void iris(void)
{
    static const char *const labels[] = {"single", "ring", "server", "ringtmp"};
    struct sample s[4];
    train("ringsim scenarios/iris-3.xml", labels, 4, s);
    for (int i = 0; i < 3; i++)
        CU_ASSERT(mean_of(s[i].accuracy) >= 0.95);
}

static void mnist(void)
{
    static const char *const labels[] = {"single",    "sequential", "gpipe",     "1f1b",
                                         "server",    "all-reduce", "pipedream", "ringtmp-1",
                                         "ringtmp-S", "ringtmp-3S", "stream"};
    enum { SYNCHRONOUS = 6, PIPEDREAM = 6, ONE, S_UNITS, THREE_S, STREAM, COUNT };
    struct sample s[COUNT];
    if (access(RG_SOURCE_DIR "/" MNIST "/t10k-images-idx3-ubyte.gz", R_OK) != 0) {
        printf("skipped: no MNIST digits in %s\n", MNIST);
        return;
    }
    train("ringsim scenarios/mnist-3.xml --data " MNIST, labels, COUNT, s);
    for (int i = 0; i < SYNCHRONOUS; i++)
        CU_ASSERT(mean_of(s[i].accuracy) >= 0.93);
    CU_ASSERT(fabs(mean_of(s[PIPEDREAM].accuracy) - mean_of(s[0].accuracy)) <= 0.005);
    CU_ASSERT_EQUAL(mean_of(s[ONE].accuracy), mean_of(s[0].accuracy));
    CU_ASSERT_EQUAL(s[ONE].staleness, 0);
    CU_ASSERT_EQUAL(s[S_UNITS].staleness, 2);
    CU_ASSERT_EQUAL(s[THREE_S].staleness, 8);
    CU_ASSERT(mean_of(s[STREAM].accuracy) >= mean_of(s[0].accuracy) - 0.002);
    CU_ASSERT_EQUAL(s[STREAM].staleness, 2);
}

/* Rounds until 93 %, beside those of an independent program with other initial parameters and
 * draws (one seed each), where clients are alike and where each has two digits or so. */
static void federated(void)
{
    static const struct {
        const char *label, *sets;
        double rounds;
    } cases[] = {{"gradients", "--set learning-rate=0.3", 138},
                 {"batches", "", 50},
                 {"batches", "--set batches.local-epochs=5 --set learning-rate=0.05", 46},
                 {"batches", "--set batches.fraction=0.01 --set learning-rate=0.05", 163},
                 {"gradients", "--set rows=labels --set learning-rate=0.3", 143}};
    if (access(RG_SOURCE_DIR "/" MNIST "/t10k-images-idx3-ubyte.gz", R_OK) != 0) {
        printf("skipped: no MNIST digits in %s\n", MNIST);
        return;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[400];
        snprintf(line, sizeof line,
                 "ringsim tests/data/federated-100.xml --data " MNIST " --strategy %s %s",
                 cases[i].label, cases[i].sets);
        json_t *result = command_result(line, 300);
        double rounds =
            command_number(command_run_of(result, cases[i].label), "to_accuracy.iterations");
        printf("\n    %-10s %-60s %3.0f rounds, the other program %3.0f", cases[i].label,
               cases[i].sets, rounds, cases[i].rounds);
        CU_ASSERT(rounds > 0.7 * cases[i].rounds && rounds < 1.3 * cases[i].rounds);
        json_decref(result);
    }
}

/* gpt-4.xml: how well a ring of four learns the windows that it trains on, and the rest.
 * PyTorch 2.6 comes to 1.21 and 3.36 bits a byte. */
static void bytes(void)
{
    char line[300], weights[80];
    struct command_output said;
    double seen = NAN, unseen = NAN;
    snprintf(weights, sizeof weights, "/tmp/ringtmp-accuracy-%d.safetensors", (int)getpid());
    snprintf(line, sizeof line, "ringsim scenarios/gpt-4.xml --strategy ring --save %s", weights);
    json_t *result = command_result(line, 900);
    json_t *run = command_run_of(result, "ring");
    double bits = command_number(run, "final.tokens.bits");
    double token_J = command_number(run, "final.tokens.token_J");
    snprintf(line, sizeof line, "ringsim scenarios/gpt-4.xml --load %s --evaluate", weights);
    command_run(line, 100, &said);
    CU_ASSERT_EQUAL(said.status, 0);
    const char *train = strstr(said.out, "train "), *test = strstr(said.out, "test ");
    if (train && test) { /* samples, loss, accuracy, bits */
        CU_ASSERT_EQUAL(sscanf(train, "train %*d %*f %*f %% %lf", &seen), 1);
        CU_ASSERT_EQUAL(sscanf(test, "test %*d %*f %*f %% %lf", &unseen), 1);
    }
    printf("\n    gpt-4: %.3f bits a byte of windows seen, %.3f of others, %.3g J a token\n", seen,
           unseen, token_J);
    CU_ASSERT(seen <= 1.3);
    CU_ASSERT(bits <= 3.5);
    CU_ASSERT(fabs(unseen - bits) < 0.005);
    CU_ASSERT(token_J > 0);
    json_decref(result);
    unlink(weights);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {{"iris: 95 %", iris},
                                       {"MNIST's test digits: 93 % in 20 epochs", mnist},
                                       {"100 clients: 93 % in so many rounds", federated},
                                       {"bytes of LICENSE: 1.3 and 3.5 bits", bytes}};
    return suite_main("accuracy", tests, sizeof tests / sizeof *tests, argc, argv);
}
