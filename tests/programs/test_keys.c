/* ringnode with a key, as a user has it: the same results as without, and what is refused. */
#include "base/bytes.h"
#include "base/check.h"
#include "programs/command.h"
#include "support/suite.h"
#include <stdlib.h>
#include <sys/stat.h>

static const char key_file[] = RG_BINARY_DIR "/test_keys_key",
                  hosts_file[] = RG_BINARY_DIR "/test_keys_hosts";

static void write_file(const char *file, mode_t mode, const char *text)
{
    FILE *stream = fopen(file, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    fputs(text, stream);
    fclose(stream);
    chmod(file, mode);
}

static void write_key(mode_t mode)
{
    write_file(key_file, mode,
               "3f9a1c77e0d25b8846aa03d1f4c2be905577112233eeddccbb00998877665544\n");
}

static void same_with_a_key(void)
{
    static const char *const labels[] = {"single", "ring", "ringtmp", "server"};
    static const char *const paths[] = {"traffic.messages", "traffic.values",
                                        "traffic.payload_bytes", "final.accuracy"};
    char line[600];
    write_key(0600);
    snprintf(line, sizeof line, "ringnode scenarios/iris-3.xml --local 3 --key-file %s", key_file);
    json_t *plain = command_result("ringnode scenarios/iris-3.xml --local 3", 60);
    json_t *keyed = command_result(line, 60);
    for (size_t i = 0; plain && keyed && i < RG_COUNT(labels); i++) {
        json_t *a = command_run_of(plain, labels[i]), *b = command_run_of(keyed, labels[i]);
        CU_ASSERT_FATAL(a && b);
        CU_ASSERT_STRING_EQUAL(command_text(b, "status"), "ok");
        CU_ASSERT_STRING_EQUAL(command_text(a, "weights_sha256"),
                               command_text(b, "weights_sha256"));
        for (size_t k = 0; k < RG_COUNT(paths); k++)
            CU_ASSERT_EQUAL(command_number(a, paths[k]), command_number(b, paths[k]));
    }
    json_decref(plain);
    json_decref(keyed);
    remove(key_file);
}

/* The simulator and a real run have the same bytes on the wire, with a key and without, and without
 * one the same c; with one, those of the records of TLS come to it, one for a message as short as
 * here. */
static void wire_bytes(void)
{
    static const char *const labels[] = {"ring", "ringtmp", "server"};
    static const char *const settings[] = {"key-byte-s=0", "key-byte-s=1e-6"};
    json_t *runs[2][2];
    char line[600];
    write_key(0600);
    for (int k = 0; k < 2; k++) {
        snprintf(line, sizeof line, "ringsim scenarios/iris-3.xml --set %s", settings[k]);
        runs[k][0] = command_result(line, 60);
        /* the key is what counts for a real run, not what the scenario says */
        snprintf(line, sizeof line, "ringnode scenarios/iris-3.xml --local 3 --set %s%s%s",
                 settings[1 - k], k ? " --key-file " : "", k ? key_file : "");
        runs[k][1] = command_result(line, 60);
        CU_ASSERT_FATAL(runs[k][0] && runs[k][1]);
    }
    for (size_t i = 0; i < RG_COUNT(labels); i++) {
        double wire[2][2], c[2];
        for (int k = 0; k < 4; k++)
            wire[k / 2][k % 2] =
                command_number(command_run_of(runs[k / 2][k % 2], labels[i]), "traffic.wire_bytes");
        for (int k = 0; k < 2; k++)
            c[k] = command_number(command_run_of(runs[0][k], labels[i]), "formula.c_s");
        CU_ASSERT_DOUBLE_EQUAL(c[0], c[1], 1e-9 * c[0]);
        json_t *run = command_run_of(runs[1][0], labels[i]);
        double messages = command_number(run, "traffic.messages");
        double bytes = command_number(run, "traffic.payload_bytes") + RG_MESSAGE_HEADER * messages;
        printf("\n    %s: %.1f bytes, with a key %.1f", labels[i], wire[0][0], wire[1][0]);
        CU_ASSERT_EQUAL(wire[0][0], wire[0][1]);
        CU_ASSERT_EQUAL(wire[1][0], wire[1][1]);
        CU_ASSERT(messages > 0);
        CU_ASSERT_DOUBLE_EQUAL(wire[1][0] / wire[0][0], 1 + 22 * messages / bytes, 1e-12);
    }
    for (int k = 0; k < 4; k++)
        json_decref(runs[k / 2][k % 2]);
    remove(key_file);
}

/* Exit status 2 and one line that says why. */
static void expect_usage(const char *line, const char *part)
{
    static struct command_output output;
    command_run(line, 30, &output);
    CU_ASSERT_EQUAL(output.status, 2);
    if (!strstr(output.err, part))
        printf("  %s: %s\n", line, output.err);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, part));
    const char *end = strchr(output.err, '\n');
    CU_ASSERT(end && !end[1]);
}

static void refusals(void)
{
    char line[600];
    snprintf(line, sizeof line, "ringnode scenarios/iris-3.xml --local --key-file %s", key_file);
    remove(key_file);
    expect_usage(line, "test_keys_key: No such file");
    write_key(0644);
    expect_usage(line, "others may read or change this key (mode 0644)");
    write_file(key_file, 0600, "short\n");
    expect_usage(line, "test_keys_key: ");
    write_key(0600);
    snprintf(line, sizeof line, "ringnode scenarios/iris-3.xml --local --insecure --key-file %s",
             key_file);
    expect_usage(line, "exclude each other");
    snprintf(line, sizeof line, "ringnode scenarios/iris-3.xml --local --key-file %s --json %s",
             key_file, key_file);
    expect_usage(line, "that is the file of --key-file; another file is wanted");
    remove(key_file);
    write_file(hosts_file, 0600, "127.0.0.1\n192.0.2.1\n127.0.0.1:7471\n");
    for (int rank = 0; rank < 3; rank++) {
        snprintf(line, sizeof line,
                 "ringnode scenarios/iris-3.xml --rank %d --hosts %s --join-timeout 1", rank,
                 hosts_file);
        expect_usage(line, "test_keys_hosts:2: 192.0.2.1 is not this machine; without a key");
    }
    remove(hosts_file);
}

/* What a key costs is told to the simulator: while the processor keeps up with the wire, its load
 * and the bytes of records; where it does not, a run takes much longer. */
static void simulated_cost(void)
{
    static const char *const costs[] = {"0", "1e-9", "1e-6"};
    double time[3], c[3];
    for (int i = 0; i < 3; i++) {
        char line[200];
        snprintf(line, sizeof line,
                 "ringsim scenarios/iris-3.xml --strategy ring --set key-byte-s=%s", costs[i]);
        json_t *result = command_result(line, 60);
        CU_ASSERT_PTR_NOT_NULL_FATAL(result);
        json_t *run = command_run_of(result, "ring");
        time[i] = command_number(run, "time_s");
        c[i] = command_number(run, "formula.c_s");
        json_decref(result);
    }
    printf("\n    time %g %g %g s, c %g %g %g s", time[0], time[1], time[2], c[0], c[1], c[2]);
    CU_ASSERT(c[1] > c[0] && time[1] > time[0]);
    CU_ASSERT(c[2] > c[1] && time[2] > time[1]);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"the same results with a key", same_with_a_key},
                                              {"bytes on the wire", wire_bytes},
                                              {"refusals", refusals},
                                              {"simulated cost", simulated_cost}};
    return suite_main("keys", tests, RG_COUNT(tests), argc, argv);
}
