/* What of a log of watts counts for a run, against joules worked by hand; and which logs are
 * refused, with the line. */
#include "meter_log.h"

#include "base/check.h"

/* ---- what of a log counts ---- */

struct cut {
    int result;
    struct rg_integral whole;
    struct rg_error e;
    char column[80];
};

/* Of one run. */
static struct cut cut_one(const char *argument, double begin_s, double end_s)
{
    const struct rg_clock_section span = {begin_s, end_s};
    struct cut cut = {0};
    double each;
    cut.result = cut_log(argument, &span, 1, &each, &cut.whole, cut.column, &cut.e);
    return cut;
}

/* Of one run of the text, which is to be good. */
static struct rg_integral read_text(const char *text, double begin_s, double end_s)
{
    scratch_text("by-hand.csv", text);
    struct cut cut = cut_one(scratch_path("by-hand.csv"), begin_s, end_s);
    CU_ASSERT_EQUAL(cut.result, 0);
    if (cut.e.text[0])
        printf("\n    %s", cut.e.text);
    return cut.whole;
}

/* Rows 1 s apart, 3 W and 10 W in turn, and a run of 6.7 s: of one epoch, and of 600 with 1 us
 * between them. Uncertainty and samples are the rows': k = 2 times 7 W for 1 s over sqrt(12), of
 * six intervals, and the rest of the run at its ends. */
static void test_epochs(void)
{
    enum { MANY = 600 };
    static struct rg_clock_section spans[MANY];
    static double each[MANY];
    const char *path = scratch_path("epochs.csv");
    struct rg_integral one, many;
    struct rg_error e = {0};
    char column[80];
    FILE *f = fopen(path, "w");
    CU_ASSERT_FATAL(f != NULL);
    fputs("time,watts\n", f);
    for (int i = 0; i < 20; i++)
        fprintf(f, "%d.0000,%s\n", i, i % 2 ? "10.000" : "3.000");
    fclose(f);
    spans[0] = (struct rg_clock_section){2.65, 9.35};
    CU_ASSERT_EQUAL(cut_log(path, spans, 1, each, &one, column, &e), 0);
    for (int i = 0; i < MANY; i++)
        spans[i] =
            (struct rg_clock_section){2.65 + 6.7 * i / MANY, 2.65 + 6.7 * (i + 1) / MANY - 1e-6};
    CU_ASSERT_EQUAL(cut_log(path, spans, MANY, each, &many, column, &e), 0);
    CU_ASSERT(one.samples == 8 && many.samples == 8);
    CU_ASSERT(one.longest_s == 1 && many.longest_s == 1);
    CU_ASSERT(within(many.joules, one.joules, 1e-3));
    /* 0.35 s at each end, in the middle of which the line is 0.825 on its way: 7 W * 0.35 s * 0.825
     * / 2. */
    CU_ASSERT(within(one.variance_J2, 6 * 49 / 12.0 + 2 * pow(7 * 0.35 * 0.825 / 2, 2), 1e-3));
    CU_ASSERT(within(many.variance_J2, one.variance_J2, 1e-2));
}

/* Integers of the line protocol have a type behind them: 5 W for 10 s. */
static void test_typed(void)
{
    const char *path = scratch_path("typed.txt");
    FILE *f = fopen(path, "w");
    CU_ASSERT_FATAL(f != NULL);
    for (int i = 0; i < 20; i++)
        fprintf(f, "plug,host=a watts=5i,on=true %d000000000\n", 1772409600 + i);
    fclose(f);
    struct cut cut = cut_one(path, 1772409602, 1772409612);
    CU_ASSERT_EQUAL(cut.result, 0);
    CU_ASSERT(within(cut.whole.joules, 50, 1e-9));
    CU_ASSERT_STRING_EQUAL(cut.column, "watts");
}

/* Two plugs in turn, each row with volts too: 5 W and 6 W for 10 s, in three ways of writing. */
static void test_plugs(void)
{
    static const struct {
        const char *heading, *row;
    } logs[] = {
        {"time,host,watts,volts\n", "%d,%s,%d,230\n"},
        {"", "{\"time\":%d,\"host\":\"%s\",\"power\":%d,\"voltage\":230}\n"},
        {"", "2026-03-02T10:00:%02d host=%s watts=%d volts=230\n"},
    };
    const double begin[] = {5, 5, 1772445605};
    for (size_t k = 0; k < RG_COUNT(logs); k++) {
        static const char *const ways[] = {":a", ":b", ":a+b"};
        static const double joules[] = {50, 60, 110};
        const char *path = scratch_path("plugs.txt");
        FILE *f = fopen(path, "w");
        CU_ASSERT_FATAL(f != NULL);
        fputs(logs[k].heading, f);
        for (int i = 0; i < 20; i++) {
            fprintf(f, logs[k].row, i, "a", 5);
            fprintf(f, logs[k].row, i, "b", 6);
        }
        fclose(f);
        for (size_t w = 0; w < RG_COUNT(ways); w++) {
            char argument[600];
            snprintf(argument, sizeof argument, "%s%s", path, ways[w]);
            struct cut cut = cut_one(argument, begin[k], begin[k] + 10);
            if (cut.result)
                printf("\n    %s", cut.e.text);
            CU_ASSERT_EQUAL(cut.result, 0);
            CU_ASSERT(within(cut.whole.joules, joules[w], 1e-9));
        }
    }
}

/* Of rows that are there only where power changed, each holds until the next: in 20 s, 16 at 3 W
 * and 4 at 6 W, 72 J. */
static void test_hold(void)
{
    struct rg_integral held =
        read_text("time,watts\n0.0,3.0\n8.0,6.0\n10.0,3.0\n18.0,6.0\n20.0,3.0\n28.0,6.0\n", 0, 20);
    CU_ASSERT(within(held.joules, 72, 1e-9));
    CU_ASSERT(2 * sqrt(held.variance_J2) < 3);
    /* Nobody knows for how long it held. */
    scratch_text("change.csv",
                 "time,watts\n0.0,3.0\n8.0,6.0\n10.0,nan\n18.0,6.5\n20.0,3.0\n28.0,6.0\n");
    struct cut unknown = cut_one(scratch_path("change.csv"), 0, 20);
    CU_ASSERT(unknown.result < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(unknown.e.text, "change.csv:4: unknown watts in the run"));
}

/* 3 W until 20 s, then 9 W, as means over 20 s that end at the date: the run is in the second mean.
 * Who does not say so gets the line's joules, with an uncertainty that has the right ones in it. */
static void test_before(void)
{
    char argument[600];
    scratch_text("slots.csv", "time,watts\n0,3.0\n20,3.0\n40,9.0\n60,9.0\n80,9.0\n");
    struct cut line = cut_one(scratch_path("slots.csv"), 24, 24.4);
    CU_ASSERT_EQUAL(line.result, 0);
    CU_ASSERT(fabs(line.whole.joules - 9 * 0.4) <= 2 * sqrt(line.whole.variance_J2));
    static const char *const ways[] = {"::before", ":watts:before", ":2:before"};
    for (size_t i = 0; i < RG_COUNT(ways); i++) {
        snprintf(argument, sizeof argument, "%s%s", scratch_path("slots.csv"), ways[i]);
        struct cut before = cut_one(argument, 24, 24.4);
        CU_ASSERT_EQUAL(before.result, 0);
        CU_ASSERT(within(before.whole.joules, 9 * 0.4, 1e-9));
    }
}

/* A counter in steps of 10 J that rises every 2 s, read every second: 5 W, whatever rows repeat. */
static void test_coarse_counter(void)
{
    static const char text[] =
        "time,energy_J\n0,10\n1,10\n2,20\n3,20\n4,30\n5,30\n6,40\n7,40\n8,50\n";
    CU_ASSERT(within(read_text(text, 4, 5).joules, 5, 1e-9));
    CU_ASSERT(within(read_text(text, 2.5, 7).joules, 22.5, 1e-9));
    /* What was counted is known to 10 J at both ends: 100 / 6 is its variance. */
    CU_ASSERT(read_text(text, 2, 8).variance_J2 >= 100 / 6.0);
}

/* Rows each second; in the second log two of them are missing, between equal readings. */
static void test_missing_rows(void)
{
    static const char whole[] =
        "time,watts\n0,2.00\n1,4.00\n2,2.00\n3,4.00\n4,4.00\n5,4.00\n6,4.00\n7,2.00\n"
        "8,4.00\n9,2.00\n10,4.00\n";
    static const char gap[] =
        "time,watts\n0,2.00\n1,4.00\n2,2.00\n3,4.00\n6,4.00\n7,2.00\n8,4.00\n9,2.00\n"
        "10,4.00\n";
    struct rg_integral a = read_text(whole, 1, 9), b = read_text(gap, 1, 9);
    CU_ASSERT(within(b.joules, a.joules, 1e-9));
    /* 3 s of half the standard deviation of 2, 4, 4, 2, 4, 2 W. */
    CU_ASSERT(b.variance_J2 - a.variance_J2 > 0.9 * 9 * 1 / 4 && b.longest_s == 3);
}

/* Ten rows a second with dates in whole seconds; the last second has just begun to be written. A
 * slope of 1 W a second: the area below it. */
static void test_whole_seconds(void)
{
    char text[2000] = "time,watts\n";
    for (int i = 0; i <= 74; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%.1f\n", i / 10, 0.1 * i);
    CU_ASSERT(within(read_text(text, 2.05, 7.25).joules, (7.25 * 7.25 - 2.05 * 2.05) / 2, 1e-6));
}

/* A log of several blocks: what is before the run is passed over, and nothing is lost by it, nor
 * the numbers of lines. */
static void test_blocks(void)
{
    const char *path = scratch_path("long.csv");
    FILE *f = fopen(path, "w");
    CU_ASSERT_FATAL(f != NULL);
    fputs("time,watts\n", f);
    for (int i = 0; i < 200000; i++)
        fprintf(f, "%.3f,%.3f\n", 1e-3 * i, 4 + 1e-5 * i);
    fputs("200.000,x\n", f);
    fclose(f);
    for (int i = 1; i < 40; i++) { /* the line's middle, times 1.4 s */
        struct cut cut = cut_one(path, 4.9937 * i, 4.9937 * i + 1.4);
        CU_ASSERT_EQUAL(cut.result, 0);
        CU_ASSERT(within(cut.whole.joules, 1.4 * (4 + 1e-2 * (4.9937 * i + 0.7)), 1e-6));
    }
    struct cut late = cut_one(path, 199, 200.5);
    CU_ASSERT_EQUAL(late.result, RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(late.e.text, "long.csv:200002: no watts in column 2"));
}

/* ---- refusals ---- */

/* Ten rows from date 0 on: %d, that and the like, is a row's number. */
static void put_text(const char *path, const char *heading, const char *row)
{
    FILE *f = fopen(path, "w");
    if (!f)
        abort();
    fputs(heading, f);
    for (int i = 0; i < 10; i++) {
        char number[20];
        for (const char *p = row; *p; p++) {
            snprintf(number, sizeof number, "%d", *p == '@' ? i : 5 + i % 2);
            if (*p == '@' || *p == '$')
                fputs(number, f);
            else
                fputc(*p, f);
        }
        fputc('\n', f);
    }
    fclose(f);
}

/* In rows '@' is 0, 1, 2, ..., '$' is 5, 6, 5, ... */
static void test_refusals(void)
{
    static const struct {
        const char *heading, *row, *choice, *words; /* joined by '|' */
    } bad[] = {
        {"time,GPU_W,CPU_W,IN_W\n", "@,1,1,$", "", ":1: several columns|GPU_W, CPU_W, IN_W|COLUMN"},
        {"time,GPU_W,CPU_W,IN_W\n", "@,1,1,$", ":VDD", ":1: no column \"VDD\"|GPU_W, CPU_W, IN_W"},
        {"epoch,value\n", "@,$", "", ":1: no column of watts|epoch, value|csv:FILE:COLUMN"},
        {"when,value\n", "@,$", "",
         ":1: no column of dates and none of watts|when, value|timestamp"},
        {"when,watts\n", "@,$", "", ":1: no column of dates:|when, watts"},
        {"time,amps\n", "@,$", "", ":1: no column of watts|amps without volts"},
        {"time,Power (VA)\n", "@,$", "", ":1: no column of watts"},
        {"time,Max Power (W)\n", "@,$", "", ":1: no column of watts"},
        {"time,Power (VA)\n", "@,$", ":Power", "\"Power\": no column of watts"},
        {"time,volts,watts\n", "@,5,$", ":volts", "\"volts\": no column of watts"},
        {"time,watts\n", "@,$", ":time", "\"time\": no column of watts"},
        {"time,energy\n", "@,$", "", "no column of watts"},
        {"time,energy\n", "@,@", ":energy", "in which unit?"},
        {"time,value\n", "@,12.00@", ":value", "value only rises|[kWh]"},
        {"", "@,12.00@", "", ":1: column 2 only rises|csv:FILE:2[kWh]"},
        {"-5,12.345\n-4,12.345\n-3,12.345\n", "@,12.346", "", ":1: column 2 only rises"},
        {"", "@,5.1,$", "", ":1: 2 columns of numbers|no heading"},
        {"", "@,5.1,$", ":9", "no column \"9\""},
        {"time,watts\n", "@,5,$", "", ":2: 3 fields, the heading has 2 names"},
        {"", "2026-03-02 10:00:0@,000,$", "", ":1: is \"000\" the fraction"},
        {"time,watts\n", "02/03/2026 10:00:0@,$", "", ":2: \"02/03/2026|day or month first"},
        {"time,watts\n", "10:00:0@,$", "", ":2: no date and number"},
        {"time,watts\n", "{\"t\":@;$}", "", ":2: JSON"},
        {"", "[{\"time\":@,\"power\":$},", "", ":1: JSON: an object a line|jq -c '.[]'"},
        {"[[\n", "{\"entity_id\":\"sensor.p\",\"state\":\"$\",\"last_changed\":@},", "",
         ":1: JSON: an object a line|jq -c '.[][]'|Home Assistant: then csv:FILE:state"},
        {"", "2026-03-02T00:00:0@ P=$ V=5.1", "", ":1: no column of watts|P, V|csv:FILE:COLUMN"},
        {"", "PSU Voltage:\t5.1@ V\nShunt Voltage: 0.01 V\nCurrent: 1.00 mA\nPower: $ mW\n", "",
         ":2: no date|readings without dates|ts '%.s'"},
        {"",
         "[2026-03-02 00:00:0@] info: MQTT publish: topic 'z/a', payload '{\"power\":$}'\n"
         "[2026-03-02 00:00:0@] info: MQTT publish: topic 'z/b', payload '{\"power\":1}'",
         "", "a row for each of z/a, z/b"},
        {"", "watts=5.$ volts=5.1@", "", ":1: no column of dates|watts, volts"},
        {"", "{\"voltage\":@,\"power\":$}", "", ":1: no column of dates:|voltage, power"},
        {"", "{\"time\":@,\"a\":{\"power\":$},\"b\":{\"power\":$}}", "",
         ":1: several columns|a.power, b.power|COLUMN"},
        {"", "{\"time\":@,\"power\":\"$ apples\"}", "", ":1: no date and number|apples"},
        {"", "RAM 1/2MB (lfb 1x4MB) VDD_IN 5@00mW/5$00mW", "", ":1: no date and number|ts '%.s'"},
        {"", "RAM 1/2MB VDD_IN 5@00mW/5$00mW VDD_SOC 5$mW/5mW", ":VDD_IN",
         ":1: no column of dates|VDD_IN (mW), VDD_SOC (mW)|ts '%.s'"},
        {"", "177240960@ RAM 1/2MB VDD_IN 5@00mW/5$00mW VDD_SOC 5$mW/5mW", "",
         ":1: several columns|VDD_IN (mW), VDD_SOC (mW)"},
        {"", "0.10@,0,53,Joules,power/energy-pkg/,100,100,00,,", "", ":1: 0,53 is two|LC_ALL=C"},
        {"", "0.10@,99.$,msec,task-clock,100,100.00,,", "", ":1: \"msec\" are neither"},
        {"", "@,$,Joules,energy-pkg,1\n@,1,Joules,energy-ram,1", "",
         "a row for each of energy-pkg"},
        {"time,host,watts\n", "@,a,$\n@.3,b,1", "", "a row for each of a, b"},
        {"time,host,watts,volts\n", "@,a,$,5\n@.3,b,1,5", "", "a row for each of a, b"},
        {"time,host,watts,volts\n", "@,a,$,5\n@.3,b,1,5", ":x", "no row of \"x\"|a, b"},
        {"time,host,in_W,gpu_W\n", "@,a,$,5\n@.3,b,1,5", ":a",
         "more than one column of watts: in_W, gpu_W"},
        {"Zeit;Ort;Watt\n", "@;Regal;$\n@;Tisch;1", "", "a row for each of Regal, Tisch"},
        {"", "plug,dev=x power=$ 177244552@\nplug,dev=y power=1 177244552@", "",
         "a row for each of x, y"},
        {"entity_id,state,last_changed\n", "sensor.power,$,2026-03-02T10:00:0@Z", "",
         ":1: no column of watts|Home Assistant: csv:FILE:state"},
        {"CPU\tBusy%\tPkgWatt\n", "0\t5.0\t$", "", ":1: no column of dates|turbostat"},
        {"; CSV generated by libsigrok 0.5.2\nW\n", "$", "", "no date|sigrok-cli"},
        {"\xff\xfet\0i", "", "", ":1: is in UTF-16"},
        {"time,watts\n", "@,-$", "", ":2: -5 W: power drawn cannot be negative"},
        {"time,watts\n", "@,$e9", "", ": absurd"},
        {"time,watts\n5,5\n", "@,$", "", ":3: its date is before"},
        {"time,watts\n-3,5\n-2,5\n-1,5\n0,5\n", "6@,$", "", ":6: a gap of 60 s"},
        {"time,watts\n", "@,5.@ W\n@.5,$ apples", "", "no watts in column 2: \"5 apples\""},
        {"time,energy_J\n", "@,5", "", "does not move"},
        {"time,energy_J\n0,8\n1,9\n2,1\n", "3@,2@", "",
         ":4: a counter of energy cannot run backwards"},
    };
    const char *path = scratch_path("refused.csv");
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        char argument[600], words[200], *rest = words;
        put_text(path, bad[i].heading, bad[i].row);
        snprintf(argument, sizeof argument, "%s%s", path, bad[i].choice);
        snprintf(words, sizeof words, "%s", bad[i].words);
        struct cut cut = cut_one(argument, 0.5, 6.5);
        bool good = cut.result < 0;
        for (char *word; (word = strsep(&rest, "|"));)
            good = good && strstr(cut.e.text, word);
        if (!good)
            printf("\n    %s %s: wanted %s\n    got %g J, %s\n", bad[i].heading, bad[i].row,
                   bad[i].words, cut.whole.joules, cut.e.text);
        CU_ASSERT(good);
    }
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"epochs are no rows", test_epochs},
        {"integers with a type", test_typed},
        {"plugs in turn", test_plugs},
        {"a value holds until it changes", test_hold},
        {"means of the time before", test_before},
        {"a coarse counter", test_coarse_counter},
        {"missing rows", test_missing_rows},
        {"dates in whole seconds", test_whole_seconds},
        {"blocks before the run", test_blocks},
        {"refused, with the line", test_refusals},
    };
    setenv("TZ", "UTC", 1);
    return suite_main("meters: logs", tests, (int)RG_COUNT(tests), argc, argv);
}
