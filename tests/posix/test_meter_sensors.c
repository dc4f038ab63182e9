/* Each kind of sensor against trees of files whose power is known, and against trees that lie.
 * Nothing here is a real sensor: the files have the kernel's format, the watts are made up. */
#include "meters.h"

#include "base/check.h"
#include "base/clock.h"
#include <sys/wait.h>

/* ---- ina2xx ---- */

static void test_ina_choice(void)
{
    const char *root = ina_tree("two", 3);
    put(root, "sys/class/hwmon/hwmon2/name", "ina260\n");
    put(root, "sys/class/hwmon/hwmon2/power1_input", "7000000\n");
    put(root, "sys/class/hwmon/hwmon10/name", "ina3221\n"); /* no power1_input, another family */
    const struct {
        const char *choice;
        double watts;
    } good[] = {{"auto", 3}, {"ina2xx", 3}, {"ina2xx:hwmon2", 7}};
    for (size_t i = 0; i < RG_COUNT(good); i++) {
        struct rg_meter *m = open_at(root, good[i].choice);
        rg_meter_idle(m, 0.05, NULL, NULL);
        struct rg_energy energy = ask(m);
        CU_ASSERT(within(energy.meter->idle_W, good[i].watts, 1e-3));
        CU_ASSERT(energy.total_J > 0.05 * good[i].watts && energy.samples >= 4);
        rg_meter_close(m);
    }
    static const char *const bad[] = {"ina2xx:hwmon0", "ina2xx:hwmon7", "ina2xx:hwmon10"};
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        struct rg_meter *m = open_at(root, bad[i]);
        CU_ASSERT(is_unknown(m, "ina2xx"));
        CU_ASSERT_STRING_EQUAL(ask(m).source, "none");
        rg_meter_close(m);
    }
    CU_ASSERT(rg_meter_known("csv:x") && rg_meter_known("none") && rg_meter_known("other"));
    CU_ASSERT(!rg_meter_known("csv") && !rg_meter_known("csv:") && !rg_meter_known("rapl:x"));
    CU_ASSERT(!rg_meter_known("") && !rg_meter_known("ina") && !rg_meter_known("auto:x"));
}

/* Each is noticed within a few samples, by the thread or by who asks, and the next run, with the
 * sensor in order again, is measured. */
static void test_ina_failures(void)
{
    static const struct {
        const char *content, *words; /* NULL: no file */
    } faults[] = {{NULL, "power1_input|No such file"},
                  {"-120000\n", "negative"},
                  {"9000000000\n", "absurd"},
                  {"", "no number"},
                  {"4 W\n", "no number"},
                  {"99999999999999999999\n", "no number"}};
    const char *root = ina_tree("failing", 4);
    struct rg_meter *m = open_at(root, "ina2xx");
    for (size_t i = 0; i < RG_COUNT(faults); i++) {
        struct rg_energy before = ask(m);
        CU_ASSERT(isfinite(before.total_J));
        if (faults[i].content)
            put(root, ina_file, "%s", faults[i].content);
        else
            take_away(root, ina_file);
        nap(i % 2 ? 0.05 : 0);
        CU_ASSERT(is_unknown(m, faults[i].words));
        put(root, ina_file, "4000000\n");
        nap(0.03);
        CU_ASSERT(is_unknown(m, faults[i].words)); /* what was missed stays missed */
        rg_meter_run(m);
        CU_ASSERT_STRING_EQUAL(rg_meter_error(m), "");
        double joules = ask(m).total_J;
        CU_ASSERT(joules >= before.total_J && joules < before.total_J + 4);
    }
    rg_meter_close(m);
}

static void test_ina_stuck(void)
{
    const char *root = ina_tree("stuck", 4);
    struct rg_meter *m = open_with((struct rg_meter_options){
        .choice = "auto", .root = root, .interval_s = 0.005, .stuck_s = 0.3});
    double limit_s = rg_clock_s() + 5;
    CU_ASSERT(isfinite(ask(m).total_J));
    while (!rg_meter_error(m)[0] && rg_clock_s() < limit_s)
        nap(0.01);
    CU_ASSERT(is_unknown(m, "stuck|4 W|--meter-stuck"));
    rg_meter_close(m);
}

/* ---- ina3221 ---- */

/* Volts in mV and amps in mA; in4 to in6 are of the shunts, in microvolts. */
static void put_channel(const char *root, const char *chip, int k, const char *label, int mV,
                        int mA)
{
    char path[200];
    const struct {
        const char *format;
        int value;
    } files[] = {{"in%d_input", mV}, {"curr%d_input", mA}};
    for (size_t i = 0; i < RG_COUNT(files); i++) {
        char name[40];
        snprintf(name, sizeof name, files[i].format, k);
        snprintf(path, sizeof path, "sys/class/hwmon/%s/%s", chip, name);
        put(root, path, "%d\n", files[i].value);
    }
    snprintf(path, sizeof path, "sys/class/hwmon/%s/in%d_input", chip, k + 3);
    put(root, path, "%d\n", mA * 5);
    snprintf(path, sizeof path, "sys/class/hwmon/%s/in%d_label", chip, k);
    if (label)
        put(root, path, "%s\n", label);
}

/* A Jetson Orin's: what the whole board takes is one of the three, the others are behind it. */
static void test_ina3221(void)
{
    const char *root = scratch_path("jetson");
    mkdir(root, 0755);
    put(root, "sys/class/hwmon/hwmon1/name", "ina3221\n");
    put_channel(root, "hwmon1", 1, "VDD_IN", 5000, 1060);
    put_channel(root, "hwmon1", 2, "VDD_CPU_GPU_CV", 4960, 300);
    put_channel(root, "hwmon1", 3, "VDD_SOC", 4970, 200);
    const struct {
        const char *choice;
        double watts;
    } good[] = {{"auto", 5.3},
                {"ina3221", 5.3},
                {"ina3221:VDD_SOC", 0.994},
                {"ina3221:hwmon1.2", 1.488},
                {"ina3221:VDD_CPU_GPU_CV+VDD_SOC", 2.482}};
    for (size_t i = 0; i < RG_COUNT(good); i++) {
        struct rg_meter *m = open_at(root, good[i].choice);
        rg_meter_idle(m, 0.05, NULL, NULL);
        CU_ASSERT(within(ask(m).meter->idle_W, good[i].watts, 1e-6));
        CU_ASSERT_STRING_EQUAL(ask(m).source, "ina3221");
        rg_meter_close(m);
    }
    struct rg_meter *m = open_at(root, "ina3221:VDD_GPU");
    CU_ASSERT(is_unknown(m, "which channel of VDD_IN, VDD_CPU_GPU_CV, VDD_SOC"));
    rg_meter_close(m);
    put_channel(root, "hwmon1", 1, "VDD_GPU", 5000, 1060); /* as on boards without a total */
    m = open_at(root, "auto");
    CU_ASSERT(is_unknown(m, "ina3221: which channel of VDD_GPU, VDD_CPU_GPU_CV|ina3221:CHANNEL"));
    rg_meter_close(m);
    put(root, "sys/class/hwmon/hwmon1/in2_enable", "0\n");
    put(root, "sys/class/hwmon/hwmon1/in3_enable", "0\n");
    m = open_at(root, "auto"); /* one alone is no question */
    rg_meter_idle(m, 0.05, NULL, NULL);
    CU_ASSERT(within(ask(m).meter->idle_W, 5.3, 1e-6));
    take_away(root, "sys/class/hwmon/hwmon1/curr1_input");
    CU_ASSERT(is_unknown(m, "curr1_input|No such file"));
    rg_meter_close(m);
}

/* ---- rapl ---- */

static void put_zone(const char *root, const char *zone, const char *name, long long microjoules)
{
    char path[200];
    snprintf(path, sizeof path, "sys/class/powercap/%s/name", zone);
    put(root, path, "%s\n", name);
    snprintf(path, sizeof path, "sys/class/powercap/%s/max_energy_range_uj", zone);
    put(root, path, "262143328850\n");
    snprintf(path, sizeof path, "sys/class/powercap/%s/energy_uj", zone);
    put(root, path, "%lld\n", microjoules);
}

static const char *rapl_tree(const char *name)
{
    const char *root = scratch_path(name);
    mkdir(root, 0755);
    put(root, "sys/class/powercap/intel-rapl/enabled", "1\n");
    put_zone(root, "intel-rapl:0", "package-0", 262143328850 - 1000000);
    put_zone(root, "intel-rapl:0:0", "core", 5000);
    put_zone(root, "intel-rapl:0:1", "dram", 5000);
    put_zone(root, "intel-rapl:1", "package-1", 7);
    put_zone(root, "intel-rapl:2", "psys", 17);
    put_zone(root, "intel-rapl-mmio:0", "package-0", 262143328850 - 1000000);
    return root;
}

/* Package 0 goes round its range; what else is there counts for nothing. */
static void test_rapl(void)
{
    const char *root = rapl_tree("rapl");
    struct rg_meter *m = open_at(root, "auto");
    CU_ASSERT_PTR_NOT_NULL(strstr(rg_meter_where(m), "2 packages"));
    double before_J = ask(m).total_J;
    CU_ASSERT_EQUAL(before_J, 0);
    for (int i = 1; i <= 5; i++) {
        put_zone(root, "intel-rapl:0", "package-0",
                 i < 3 ? 262143328850 - 1000000 + 400000 * i : 400000 * i - 1000000);
        put_zone(root, "intel-rapl:1", "package-1", 7 + 30000 * i);
        put_zone(root, "intel-rapl:0:0", "core", 5000 + 1000000 * i);
        put_zone(root, "intel-rapl:2", "psys", 17 + 2000000 * i);
        put_zone(root, "intel-rapl-mmio:0", "package-0", 5);
        if (i % 2)
            nap(0.03);
        struct rg_energy energy = ask(m);
        CU_ASSERT(fabs(energy.total_J - (0.4 * i + 0.03 * i)) < 1e-9);
    }
    rg_meter_close(m);
}

static void test_rapl_failures(void)
{
    const char *root = rapl_tree("bad-rapl");
    struct rg_meter *m = open_at(root, "rapl");
    put_zone(root, "intel-rapl:0", "package-0", 262143328851);
    CU_ASSERT(is_unknown(m, "counts from 0 to 262143328850"));
    put_zone(root, "intel-rapl:0", "package-0", 1000);
    rg_meter_run(m);
    CU_ASSERT(isfinite(ask(m).total_J));
    put_zone(root, "intel-rapl:0", "package-0", 999); /* backwards: all the way round, it seems */
    CU_ASSERT(is_unknown(m, "absurd"));
    rg_meter_run(m);
    CU_ASSERT(isfinite(ask(m).total_J));
    take_away(root, "sys/class/powercap/intel-rapl:1/energy_uj");
    CU_ASSERT(is_unknown(m, "intel-rapl:1/energy_uj|No such file"));
    rg_meter_close(m);
    put(root, "sys/class/powercap/intel-rapl:1/max_energy_range_uj", "0\n");
    m = open_at(root, "rapl");
    CU_ASSERT(is_unknown(m, "rapl|no range"));
    rg_meter_close(m);
}

/* As most systems have it: energy_uj is root's. Root may read anything, so somebody else tries. */
static void test_no_permission(void)
{
    const char *root = rapl_tree("locked");
    char path[500];
    snprintf(path, sizeof path, "%s/sys/class/powercap/intel-rapl:0/energy_uj", root);
    CU_ASSERT_EQUAL(chmod(path, 0), 0);
    CU_ASSERT_EQUAL(chmod(scratch(), 0755), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        bool good = geteuid() != 0 || setuid(65534) == 0;
        static const char *const choices[] = {"rapl", "auto"};
        for (int i = 0; i < 2 && good; i++) {
            struct rg_meter *m = open_at(root, choices[i]);
            good = is_unknown(m, "rapl|energy_uj|Permission denied") &&
                   strcmp(ask(m).source, "none") == 0;
            rg_meter_close(m);
        }
        fflush(NULL);
        _exit(!good);
    }
    int status = -1;
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_EQUAL(status, 0);
}

/* ---- pmic ---- */

static const char pmic_output[] = "     3V7_WL_SW_A current(0)=0.10000000A\n"
                                  "     3V3_SYS_A current(1)=0.20000000A\n"
                                  "     VDD_CORE_A current(7)=2.00000000A\n"
                                  "     3V7_WL_SW_V volt(8)=3.70000000V\n"
                                  "     3V3_SYS_V volt(9)=3.30000000V\n"
                                  "     VDD_CORE_V volt(15)=0.90000000V\n"
                                  "     EXT5V_V volt(24)=5.10000000V\n"
                                  "     BATT_V volt(25)=0.00000000V\n";

static void put_script(const char *root, const char *body)
{
    char path[500];
    put(root, "usr/bin/vcgencmd", "#!/bin/sh\n%s", body);
    snprintf(path, sizeof path, "%s/usr/bin/vcgencmd", root);
    if (chmod(path, 0755) != 0)
        abort();
}

static void test_pmic(void)
{
    const char *root = scratch_path("pi");
    double watts = 1.1451 * (0.37 + 0.66 + 1.8) + 0.5879;
    char script[2000];
    mkdir(root, 0755);
    snprintf(script, sizeof script, "test \"$1\" = pmic_read_adc || exit 1\ncat <<END\n%sEND\n",
             pmic_output);
    for (int is_text = 0; is_text < 2; is_text++) {
        if (is_text)
            put(root, "usr/bin/vcgencmd", "%s", pmic_output);
        else
            put_script(root, script);
        struct rg_meter *m = open_at(root, "auto");
        CU_ASSERT_STRING_EQUAL(ask(m).source, "pmic");
        rg_meter_idle(m, 0.1, NULL, NULL);
        struct rg_energy energy = ask(m);
        CU_ASSERT(within(energy.meter->idle_W, watts, 1e-3));
        nap(0.1);
        struct rg_energy later = ask(m);
        CU_ASSERT(within(later.idle_J - energy.idle_J, later.total_J - energy.total_J, 1e-3));
        if (is_text)
            take_away(root, "usr/bin/vcgencmd");
        else
            put_script(root, "exit 3\n");
        for (int i = 0; i < 300 && !rg_meter_error(m)[0]; i++)
            nap(0.01);
        CU_ASSERT(is_unknown(m, is_text ? "No such file" : "failed, status 3"));
        rg_meter_close(m);
    }
    put_script(root, "echo 'error=1 error_msg=\"Command not registered\"'\n"); /* older Pis */
    struct rg_meter *m = open_at(root, "auto");
    CU_ASSERT(is_unknown(m, "no meter found"));
    rg_meter_close(m);
    put_script(root, "sleep 100\n");
    double begin_s = rg_clock_s();
    m = open_at(root, "pmic");
    CU_ASSERT(is_unknown(m, "no answer within 2 s"));
    CU_ASSERT(rg_clock_s() - begin_s < 10);
    rg_meter_close(m);
}

/* ---- several on one machine ---- */

static void test_machines(void)
{
    const char *root = ina_tree("machine", 4);
    struct rg_meter *m = open_at(root, "ina2xx");
    CU_ASSERT_EQUAL(ask(m).meter->machine, 0);
    rg_meter_close(m);
    put(root, "proc/sys/kernel/random/boot_id", "0d3d43d6-8e0f-4a42-9c8e-2d3a3f0b7f0a\n");
    m = open_at(root, "ina2xx");
    uint64_t machine = ask(m).meter->machine;
    CU_ASSERT(machine != 0 && machine != RG_MACHINE_OTHER);
    rg_meter_close(m);
    m = open_at(root, "rapl"); /* it has none: the same machine all the same */
    CU_ASSERT_EQUAL(ask(m).meter->machine, machine);
    rg_meter_close(m);
    m = open_at(root, "other");
    CU_ASSERT_EQUAL(ask(m).meter->machine, RG_MACHINE_OTHER);
    CU_ASSERT(isnan(ask(m).total_J) && !ask(m).meter->error[0]);
    rg_meter_close(m);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"ina2xx: which of several", test_ina_choice},
        {"ina2xx: gone, negative, absurd, garbage", test_ina_failures},
        {"ina2xx: stuck", test_ina_stuck},
        {"ina3221: the board's input, channels by name", test_ina3221},
        {"rapl: packages, wrapping round", test_rapl},
        {"rapl: gone, beyond its range, backwards", test_rapl_failures},
        {"no permission", test_no_permission},
        {"pmic", test_pmic},
        {"nodes of one machine", test_machines},
    };
    return suite_main("meters: sensors", tests, (int)RG_COUNT(tests), argc, argv);
}
