/* Clock, temperature and throttling, of trees of files in the kernel's and the firmware's format.
 * Nothing here is a real board: the numbers are made up. */
#include "meters.h"

#include "meters/heat.h"

static const char flags_file[] = "sys/devices/platform/soc/soc:firmware/get_throttled";

static void put_board(const char *root, int kHz, int milli_C)
{
    put(root, "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "1500000\n");
    put(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "%d\n", kHz);
    put(root, "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "600000\n");
    put(root, "sys/class/thermal/thermal_zone0/type", "battery\n");
    put(root, "sys/class/thermal/thermal_zone0/temp", "99000\n");
    put(root, "sys/class/thermal/thermal_zone1/type", "cpu-thermal\n");
    put(root, "sys/class/thermal/thermal_zone1/temp", "%d\n", milli_C);
}

static const char *fresh(const char *name)
{
    const char *root = scratch_path(name);
    mkdir(root, 0755);
    return root;
}

static struct rg_heat_facts read_heat(struct rg_heat *heat)
{
    struct rg_heat_facts facts;
    rg_heat_read(heat, &facts);
    return facts;
}

/* Of the processors the fastest, of the zones those of the processor; each run has its own range.
 */
static void test_ranges(void)
{
    const char *root = fresh("ranges");
    put_board(root, 1500000, 48000);
    struct rg_heat *heat = rg_heat_open(root);
    CU_ASSERT_FATAL(heat != NULL);
    rg_heat_run(heat);
    put_board(root, 1500000, 81500);
    read_heat(heat);
    put_board(root, 1000000, 79000);
    struct rg_heat_facts facts = read_heat(heat);
    CU_ASSERT(facts.clock_least_hz == 1e9 && facts.clock_most_hz == 1.5e9);
    CU_ASSERT_EQUAL(facts.clock_limit_hz, 1.5e9);
    CU_ASSERT(within(facts.before_C, 48, 1e-9) && within(facts.least_C, 48, 1e-9));
    CU_ASSERT(within(facts.most_C, 81.5, 1e-9));
    CU_ASSERT(facts.readings >= 3);
    CU_ASSERT_STRING_EQUAL(facts.held_back, "");
    rg_heat_run(heat);
    facts = read_heat(heat);
    CU_ASSERT(facts.clock_most_hz == 1e9 && within(facts.before_C, 79, 1e-9));
    rg_heat_close(heat);
}

/* What was once since the boot is this run's only if it came in this run. */
static void test_flags(void)
{
    static const struct {
        const char *before, *during, *after, *words;
    } runs[] = {{"0", "0", "0", ""},
                {"50000", "50000", "50000", ""},
                {"0", "50005", "50000", "under voltage, throttled"},
                {"0", "0", "20000", "clock capped"},
                {"50000", "50001", "50000", "under voltage"},
                {"40000", "40000", "c0000", "soft temperature limit"}};
    const char *root = fresh("flags");
    put_board(root, 1500000, 50000);
    put(root, flags_file, "0\n");
    struct rg_heat *heat = rg_heat_open(root);
    CU_ASSERT_FATAL(heat != NULL);
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        put(root, flags_file, "%s\n", runs[i].before);
        rg_heat_run(heat);
        put(root, flags_file, "%s\n", runs[i].during);
        read_heat(heat);
        put(root, flags_file, "%s\n", runs[i].after);
        CU_ASSERT_STRING_EQUAL(read_heat(heat).held_back, runs[i].words);
    }
    rg_heat_close(heat);
}

/* The command, where no file has the flags: of its own it is enough. */
static void test_command(void)
{
    const char *root = fresh("command");
    char path[500];
    put(root, "usr/bin/vcgencmd", "#!/bin/sh\ntest \"$1\" = get_throttled && cat %s/flags\n", root);
    put(root, "flags", "throttled=0x0\n");
    snprintf(path, sizeof path, "%s/usr/bin/vcgencmd", root);
    CU_ASSERT_EQUAL_FATAL(chmod(path, 0755), 0);
    struct rg_heat *heat = rg_heat_open(root);
    CU_ASSERT_FATAL(heat != NULL);
    rg_heat_run(heat);
    put(root, "flags", "throttled=0x50005\n");
    struct rg_heat_facts facts = read_heat(heat);
    CU_ASSERT_STRING_EQUAL(facts.held_back, "under voltage, throttled");
    CU_ASSERT(isnan(facts.clock_most_hz) && isnan(facts.most_C));
    put(root, "flags", "error=1 error_msg=\"Command not registered\"\n");
    CU_ASSERT_STRING_EQUAL(read_heat(heat).held_back, "under voltage, throttled");
    rg_heat_close(heat);
}

/* x86 counts, other boards cool by slowing down. */
static void test_others(void)
{
    const char *root = fresh("others");
    put_board(root, 2400000, 60000);
    put(root, "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "7\n");
    put(root, "sys/class/thermal/cooling_device0/type", "pwm-fan\n");
    put(root, "sys/class/thermal/cooling_device0/cur_state", "3\n");
    put(root, "sys/class/thermal/cooling_device1/type", "cpufreq-cpu0\n");
    put(root, "sys/class/thermal/cooling_device1/cur_state", "0\n");
    struct rg_heat *heat = rg_heat_open(root);
    CU_ASSERT_FATAL(heat != NULL);
    rg_heat_run(heat);
    CU_ASSERT_STRING_EQUAL(read_heat(heat).held_back, "");
    put(root, "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "8\n");
    CU_ASSERT_STRING_EQUAL(read_heat(heat).held_back, "throttled");
    rg_heat_run(heat);
    CU_ASSERT_STRING_EQUAL(read_heat(heat).held_back, "");
    put(root, "sys/class/thermal/cooling_device1/cur_state", "2\n");
    CU_ASSERT_STRING_EQUAL(read_heat(heat).held_back, "throttled");
    rg_heat_close(heat);
}

/* Once a second without being asked. */
static void test_thread(void)
{
    const char *root = fresh("thread");
    put_board(root, 1500000, 50000);
    struct rg_heat *heat = rg_heat_open(root);
    CU_ASSERT_FATAL(heat != NULL);
    rg_heat_run(heat);
    put_board(root, 600000, 85000);
    nap(1.3);
    put_board(root, 1500000, 50000);
    struct rg_heat_facts facts = read_heat(heat);
    CU_ASSERT(facts.readings >= 3 && facts.readings < 6);
    CU_ASSERT(facts.clock_least_hz == 6e8 && within(facts.most_C, 85, 1e-9));
    rg_heat_close(heat);
    CU_ASSERT_PTR_NULL(rg_heat_open(fresh("nothing")));
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"ranges of clock and temperature", test_ranges},
        {"flags, now and once", test_flags},
        {"vcgencmd", test_command},
        {"other boards", test_others},
        {"once a second", test_thread},
    };
    return suite_main("heat", tests, (int)(sizeof tests / sizeof *tests), argc, argv);
}
