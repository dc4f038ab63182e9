/* Logs as people's meters and programs write them, of one curve whose joules are known: read within
 * the uncertainty that is stated, or refused with the line. All of them are made up here. */
#include "meters.h"

#include "base/check.h"
#include "meters/meter_source.h"
#include <zlib.h>

extern const struct rg_meter_source rg_meter_csv;

/* ---- the curve ---- */

#define SLOW_S  7.3
#define BURST_S 1.371828
#define BUSY_S  0.611414

/* Watts: a slow wave, and bursts that begin and end at once. */
static double watts(double t)
{
    return 4 + 1.5 * sin(2 * M_PI * t / SLOW_S) + 1.2 * (fmod(t, BURST_S) < BUSY_S);
}

/* Joules from 0 to t. */
static double joules(double t)
{
    double rest = fmod(t, BURST_S), bursts = round((t - rest) / BURST_S);
    return 4 * t + 1.5 * SLOW_S / (2 * M_PI) * (1 - cos(2 * M_PI * t / SLOW_S)) +
           1.2 * (bursts * BUSY_S + fmin(rest, BUSY_S));
}

/* ---- logs of it ---- */

enum date {
    SECONDS,
    MILLIS,
    MICROS,
    NANOS,
    ISO,
    ISO_ZONE,
    ISO_COMMA,
    BLANK,
    GERMAN,
    TWO_FIELDS,
    WHOLE,
    TEGRA,
    STAMP,
    AMERICAN
};
enum how { MOMENTS, MEANS, COUNTER, AMOUNTS, ON_CHANGE };
enum { GAPS = 1, JITTER = 2, GZIP = 4, CRLF = 8, UNKNOWN = 16, CUT = 32, AGAIN = 64 };

struct kind {
    const char *name, *choice, *heading, *row; /* %D date, %V value, %U volts, %A amps, %P power */
    enum date date;
    enum how how;
    double hz, factor; /* of %V: 1e3 for milliwatts */
    int decimals;
    int flags;
};

/* Midnight before the first row, UTC; the curve's date 0. */
#define DAY_S 1772409600.0
#define LOG_S 60.0

static const char *comma_for_point(char *text, bool comma)
{
    char *point = strchr(text, '.');
    if (comma && point)
        *point = ',';
    return text;
}

static void put_date_of(FILE *f, enum date kind, double t)
{
    static const char *const formats[] = {
        [ISO] = "%Y-%m-%dT%H:%M:%S",       [ISO_ZONE] = "%Y-%m-%dT%H:%M:%S",
        [ISO_COMMA] = "%Y-%m-%d %H:%M:%S", [BLANK] = "%Y-%m-%d %H:%M:%S",
        [GERMAN] = "%d.%m.%Y %H:%M:%S",    [TWO_FIELDS] = "%Y-%m-%d,%H:%M:%S",
        [TEGRA] = "%m-%d-%Y %H:%M:%S",     [STAMP] = "%Y-%m-%d %H:%M:%S",
        [AMERICAN] = "%m/%d/%Y %I:%M:%S"};
    double date_s = DAY_S + t + (kind == ISO_ZONE ? 3600 : 0) + (kind == AMERICAN ? 86400 * 20 : 0);
    char text[60];
    struct tm tm;
    if (kind == SECONDS || kind == WHOLE) {
        fprintf(f, kind == WHOLE ? "%.0f" : "%.4f", kind == WHOLE ? floor(date_s) : date_s);
    } else if (kind == MILLIS || kind == MICROS || kind == NANOS) {
        fprintf(f,
                kind == MILLIS   ? "%.0f"
                : kind == MICROS ? "%.0f000"
                                 : "%.0f000000",
                1e3 * date_s);
    } else {
        double whole = floor(date_s + 5e-4); /* in whole milliseconds */
        time_t seconds = (time_t)whole;
        strftime(text, sizeof text, formats[kind], gmtime_r(&seconds, &tm));
        if (kind == TEGRA || kind == STAMP) {
            fputs(text, f);
            return;
        }
        fprintf(f, "%s%c%03d%s", text, kind == ISO_COMMA || kind == GERMAN ? ',' : '.',
                RG_MAX(0, (int)(1e3 * (date_s - whole) + 0.5)),
                kind == ISO        ? "Z"
                : kind == ISO_ZONE ? "+0100"
                : kind == AMERICAN ? " PM"
                                   : "");
    }
}

static void put_row(FILE *f, const struct kind *k, double t, double value)
{
    bool comma = strchr(k->row, ';') != NULL || k->date == GERMAN;
    char text[60];
    for (const char *p = k->row; *p; p++) {
        if (*p != '%') {
            fputc(*p, f);
            continue;
        }
        p++;
        if (*p == 'D')
            put_date_of(f, k->date, t);
        else if (*p == 'V')
            snprintf(text, sizeof text, "%.*f", k->decimals, k->factor * value);
        else if (*p == 'U')
            snprintf(text, sizeof text, "%.4f", 5.1 + 0.01 * sin(t));
        else if (*p == '%')
            snprintf(text, sizeof text, "%%");
        else if (*p == 'A')
            snprintf(text, sizeof text, "%.5f", value / (5.1 + 0.01 * sin(t)));
        if (*p != 'D')
            fputs(comma_for_point(text, comma), f);
    }
    fputs(k->flags & CRLF ? "\r\n" : "\n", f);
}

static double value_of(const struct kind *k, double t, double before)
{
    switch (k->how) {
    case MEANS:
        return (joules(t) - joules(before)) / (t - before);
    case COUNTER:
        return 1234 + joules(t);
    case AMOUNTS:
        return joules(t) - joules(before);
    default:
        return watts(t);
    }
}

/* With which numbers a row says nothing new: of a log on change. */
static bool is_new(double value, double last)
{
    return fabs(value - last) >= 0.1;
}

static void put_rows(FILE *f, const struct kind *k)
{
    unsigned seed = 5;
    double before = 0, last = -1;
    if (k->heading)
        fputs(k->heading, f);
    for (int i = 1; i < LOG_S * k->hz; i++) {
        double t = i / k->hz, value;
        if (k->flags & JITTER)
            t += 0.3 / k->hz * (2.0 * rand_r(&seed) / RAND_MAX - 1);
        if (k->flags & GAPS && (i % 23 == 0 || i % 23 == 1))
            continue;
        if (k->how == ON_CHANGE && !is_new(watts(t), last))
            continue;
        value = value_of(k, t, before);
        if (k->flags & UNKNOWN && i % 17 == 0) {
            put_date_of(f, k->date, t);
            fputs(",nan\n", f);
            continue;
        }
        if (k->flags & AGAIN && i % 100 == 0)
            fputs(k->heading, f);
        put_row(f, k, t, value);
        before = t;
        last = value;
    }
}

/* The file as it is, or by gzip: in two members, the second perhaps cut. */
static void put_kind(const char *path, const struct kind *k)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        abort();
    put_rows(f, k);
    fclose(f);
    if (!(k->flags & GZIP)) {
        FILE *out = fopen(path, "w");
        if (!out || fwrite(text, 1, size, out) != size || fclose(out) != 0)
            abort();
    } else {
        size_t half = size / 2;
        for (int member = 0; member < 2; member++) {
            gzFile out = gzopen(path, member ? "ab" : "wb");
            size_t length = member ? size - half : half;
            if (!out || gzwrite(out, text + member * half, (unsigned)length) != (int)length ||
                gzclose(out) != Z_OK)
                abort();
        }
        struct stat status;
        if (k->flags & CUT && (stat(path, &status) != 0 || truncate(path, status.st_size * 9 / 10)))
            abort();
    }
    free(text);
}

/* ---- reading them ---- */

static int cut_log(const char *argument, double offset_s, const struct rg_clock_section *spans,
                   int count, double *each, struct rg_integral *whole, char column[80],
                   struct rg_error *e)
{
    struct rg_meter_probe probe = {
        .root = "", .argument = argument, .offset_s = offset_s, .stuck_s = 30};
    void *state;
    *whole = (struct rg_integral){0};
    int result = rg_meter_csv.open(&probe, &state, e);
    if (result)
        return result;
    result = rg_meter_csv.between(state, spans, count, 0, each, whole, e);
    snprintf(column, 80, "%s", probe.log->column);
    rg_meter_csv.close(state);
    return result;
}

static const struct kind kinds[] = {
    {"time,watts", "", "time,watts\n", "%D,%V", SECONDS, MOMENTS, 10, 1, 3, 0},
    {"1 Hz", "", "time,watts\n", "%D,%V", SECONDS, MOMENTS, 1, 1, 2, 0},
    {"2 Hz, jitter", "", "time,watts\n", "%D,%V", SECONDS, MOMENTS, 2, 1, 2, JITTER},
    {"50 Hz", "", "Timestamp,Power\n", "%D,%V", ISO, MOMENTS, 50, 1, 3, 0},
    {"1 kHz", "", "time,power (W)\n", "%D,%V", SECONDS, MOMENTS, 1000, 1, 4, 0},
    {"1 kHz gz", "", "time,power (W)\n", "%D,%V", MICROS, MOMENTS, 1000, 1, 4, GZIP},
    {"gz cut", "", "time,watts\n", "%D,%V", SECONDS, MOMENTS, 20, 1, 3, GZIP | CUT},
    {"gaps", "", "time,watts\n", "%D,%V", SECONDS, MOMENTS, 5, 1, 3, GAPS},
    {"gaps and jitter", "", "time,watts\n", "%D,%V", SECONDS, MOMENTS, 4, 1, 2, GAPS | JITTER},
    {"unknown rows", "", "time,watts\n", "%D,%V", SECONDS, MOMENTS, 5, 1, 2, UNKNOWN},
    {"Joulescope", "", "#time (s),current (A),voltage (V)\n", "%D,%A,%U", SECONDS, MOMENTS, 20, 1,
     3, 0},
    {"decimal commas", "", "Time;Voltage(V);Current(A);Power(W)\n", "%D;%U;%A;%V", ISO, MOMENTS, 10,
     1, 2, 0},
    {"German dates", "", "Datum;Leistung\n", "%D;%V", GERMAN, MOMENTS, 2, 1, 2, 0},
    {"milliwatts", "", "Timestamp(ms),Power (mW)\n", "%D,%V", MILLIS, MOMENTS, 10, 1e3, 0, 0},
    {"INA219", "", "timestamp,bus_voltage_V,shunt_voltage_mV,current_mA,power_mW\n",
     "%D,%U,0.5,1000,%V", SECONDS, MOMENTS, 5, 1e3, 1, 0},
    {"amps and millivolts under a row of units", "", "date;current;voltage\n-;A;V\n", "%D;%A;%U",
     ISO, MOMENTS, 5, 1, 1, 0},
    {"whole seconds", "", "time,watts\n", "%D,%V", WHOLE, MOMENTS, 10, 1, 3, 0},
    {"whole seconds, 100 Hz", "", NULL, "%D,%V", WHOLE, MOMENTS, 100, 1, 3, 0},
    {"CRLF and BOM", "", "\xef\xbb\xbftime,watts\r\n", "%D,%V", SECONDS, MOMENTS, 10, 1, 3, CRLF},
    {"comma milliseconds", "", "time,watts\n", "%D,%V", ISO_COMMA, MOMENTS, 10, 1, 2, 0},
    {"apparent first", "", "time,Apparent Power (VA),Power Factor,Active Power (W)\n",
     "%D,9.9,0.54,%V", BLANK, MOMENTS, 5, 1, 2, 0},
    {"largest first", "", "time,Max Power (W),Min Power (W),Avg Power (W)\n", "%D,9.9,1.1,%V",
     SECONDS, MEANS, 5, 1, 2, 0},
    {"a rail by name", ":IN_W", "time,GPU_W,CPU_W,IN_W\n", "%D,0.4,1.2,%V", SECONDS, MOMENTS, 5, 1,
     2, 0},
    {"rails added up", ":a+b", "time,a,b\n", "%D,%V,%V", SECONDS, MOMENTS, 5, 0.5, 3, 0},
    {"on change", "", "time,watts\n", "%D,%V", SECONDS, ON_CHANGE, 50, 1, 2, 0},
    {"on change, Home Assistant", ":state", "entity_id,state,last_changed\n",
     "sensor.plug_power,%V,%D", ISO, ON_CHANGE, 20, 1, 1, 0},
    {"kWh", "", "time,Energy (kWh)\n", "%D,%V", SECONDS, COUNTER, 1, 1 / 3.6e6, 6, 0},
    {"kWh without a heading", ":2[kWh]", NULL, "%D,%V", SECONDS, COUNTER, 2, 1 / 3.6e6, 7, 0},
    {"mWh", "", "time;energy_mWh\n", "%D;%V", ISO, COUNTER, 5, 1 / 3.6, 2, 0},
    {"joules", "", "time,energy_J\n", "%D,%V", SECONDS, COUNTER, 10, 1, 3, 0},
    {"perf stat -x,", "", "# started on Mon Mar  2 00:00:00 2026\n\n",
     "     %D,%V,Joules,power/energy-pkg/,100190517,100.00,,", SECONDS, AMOUNTS, 10, 1, 2, 0},
    {"perf stat -x;", "", "# started on Mon Mar  2 00:00:00 2026\n\n",
     "%D;%V;Joules;power/energy-pkg/;100190517;100,00;;", SECONDS, AMOUNTS, 10, 1, 2, 0},
    {"mosquitto_sub", "", NULL, "%D %V", SECONDS, MOMENTS, 2, 1, 2, JITTER},
    {"a date in two fields", "", "Date,Time,Power (W)\n", "%D,%V", TWO_FIELDS, MOMENTS, 5, 1, 2, 0},
    {"blanks and a date of two fields", "", "date time watts\n", "%D  %V", BLANK, MOMENTS, 5, 1, 2,
     0},
    {"rrdtool fetch", ":watts:before", "                          watts\n\n", "%D: %Ve+00", SECONDS,
     MEANS, 1, 1, 6, 0},
    {"collectd", ":value:before", "epoch,value\n", "%D,%V", SECONDS, MEANS, 1, 1, 6, 0},
    {"units in the rows", "", "time,voltage,power\n", "%D,%U V,%V W", ISO_ZONE, MOMENTS, 5, 1, 2,
     0},
    {"nanoseconds", "", "time,power\n", "%D,%V", NANOS, MOMENTS, 10, 1, 3, 0},
    {"tabs", "", "unix\tP [W]\n", "%D\t%V", SECONDS, MOMENTS, 4, 1, 2, 0},
    {"sqlite", "", "time|watts\n", "%D|%V", BLANK, MOMENTS, 4, 1, 2, 0},
    {"turbostat", "", "Time_Of_Day_Seconds\tPkgWatt\n", "%D\t%V", SECONDS, MEANS, 1, 1, 2, AGAIN},
    {"Americans, in the afternoon", "", "Date & Time,Watts\n", "%D,%V", AMERICAN, MOMENTS, 5, 1, 2,
     0},
    {"a unit within the name", "", "time,P_kW_avg,P_kW_max\n", "%D,%V,9", SECONDS, MOMENTS, 5, 1e-3,
     6, 0},
    {"a unit before other words", "", "time;Power [kW] (true)\n", "%D;%V", ISO, MOMENTS, 5, 1e-3, 6,
     0},
    {"snake case", "", "time,total_power_mw,bus_v\n", "%D,%V,5", SECONDS, MOMENTS, 5, 1e3, 1, 0},
    {"sigrok's units as heading", "", "; CSV generated by libsigrok\nTime,V DC,A DC\n", "%D,%U,%A",
     SECONDS, MOMENTS, 5, 1, 1, 0},
    {"nvidia-smi", "", "timestamp, power.draw [W], power.limit [W]\n", "%D, %V W, 250.00 W", BLANK,
     MOMENTS, 5, 1, 2, 0},
    {"tenths of a watt", "", "time,watts\n", "%D,%V", SECONDS, MOMENTS, 1, 1, 1, 0},
    {"JSON lines", "", "", "{\"time\": %D, \"power\": %V}", SECONDS, MOMENTS, 5, 1, 2, 0},
    {"JSON lines gz, 1 kHz", "", "", "{\"ts\":%D,\"mode\":\"on\",\"power_mw\":%V}", MICROS, MOMENTS,
     1000, 1e3, 1, GZIP},
    {"zigbee2mqtt", "", "",
     "%D zigbee2mqtt/plug {\"current\":0.05,\"energy\":12.3,\"power\":%V,\"state\":\"ON\","
     "\"update\":{\"state\":\"idle\"},\"voltage\":230}",
     SECONDS, MOMENTS, 2, 1, 2, JITTER},
    {"Tasmota", "", "tele/plug/STATE {\"Time\":\"2026-03-02T00:00:00\",\"Uptime\":\"1T00\"}\n",
     "tele/plug/SENSOR {\"Time\":\"%D\",\"ENERGY\":{\"TotalStartTime\":\"2026-01-01T00:00:00\","
     "\"Total\":3.2,\"Power\":%V,\"ApparentPower\":9,\"Factor\":0.5,\"Voltage\":230}}\n"
     "tele/plug/STATE {\"Time\":\"2026-03-02T00:00:00\",\"Wifi\":{\"IP\":\"192.168.1.7\"}}",
     ISO, MOMENTS, 1, 1, 2, 0},
    {"Shelly", "", "",
     "{\"id\":0,\"apower\":%V,\"aenergy\":{\"total\":12,\"by_minute\":[1,2,3]},\"ver\":\"1.2.3\","
     "\"tst\":\"%D\"}",
     ISO_ZONE, MOMENTS, 5, 1, 2, 0},
    {"tegrastats", ":VDD_IN", "",
     "%D RAM 2448/7772MB (lfb 4x4MB) SWAP 0/3886MB CPU [1%%@1190,off] EMC_FREQ 0%% CPU@48.5C "
     "VDD_IN %VmW/4500mW VDD_CPU_GPU_CV 500mW/510mW VDD_SOC 1400mW/1400mW",
     TEGRA, MOMENTS, 1, 1e3, 0, 0},
    {"tegrastats of a Nano, ts before it", ":POM_5V_IN", "",
     "%D RAM 924/3964MB (lfb 1x1MB) IRAM 0/252kB(lfb 252kB) CPU [3%%@102,2%%@102] PLL@30.5C "
     "POM_5V_IN %V/4500 POM_5V_GPU 0/0 POM_5V_CPU 367/367",
     SECONDS, MOMENTS, 2, 1e3, 0, JITTER},
    {"InfluxDB's line protocol", "", "",
     "power,host=rack\\ 1,rail=in watts=%V,volts=5.1,state=\"on, ok\",n=7i %D", NANOS, MOMENTS, 10,
     1, 3, 0},
    {"name=value", ":P", "", "%D P=%V V=5.1 T=48.3", ISO, MOMENTS, 5, 1, 2, 0},
    {"name=value, volts times amps", "", "", "%D INFO V=%U, A=%A", ISO_COMMA, MOMENTS, 5, 1, 2, 0},
    {"zigbee2mqtt's own log", "", "[2026-03-02 00:00:00] info: \tz2m: Zigbee2MQTT started!\n",
     "[%D] info: \tz2m:mqtt: MQTT publish: topic 'zigbee2mqtt/plug', payload "
     "'{\"energy\":12.3,\"power\":%V,\"state\":\"ON\"}'\n"
     "[%D] info: \tz2m:mqtt: MQTT publish: topic 'zigbee2mqtt/lamp', payload '{\"state\":\"ON\"}'",
     STAMP, MOMENTS, 1, 1, 2, 0},
    {"an older one's", "", "Zigbee2MQTT:info  2026-03-02 00:00:00: Zigbee2MQTT started!\n",
     "Zigbee2MQTT:info  %D: MQTT publish: topic 'zigbee2mqtt/plug', payload '{\"power\":%V}'",
     STAMP, MOMENTS, 5, 1, 2, 0},
    {"one value of a program, ts before it", "", "", "%D Power: %V mW", SECONDS, MOMENTS, 10, 1e3,
     0, 0},
    {"watts without a point", "", "time,watts\n", "%D,%V", SECONDS, MOMENTS, 2, 1, 0, 0},
};

/* Runs of 25 epochs, 30 ms apart, at dates that no row has. */
enum { EPOCHS = 25 };

static double spans_of(const struct kind *k, double from_s, double length_s,
                       struct rg_clock_section spans[EPOCHS])
{
    double truth = 0, shift_s = k->date == AMERICAN ? 86400 * 20 + 43200 : 0;
    for (int i = 0; i < EPOCHS; i++) {
        double begin = from_s + i * length_s / EPOCHS, end = begin + length_s / EPOCHS - 0.03;
        truth += joules(end) - joules(begin);
        spans[i] = (struct rg_clock_section){DAY_S + shift_s + begin, DAY_S + shift_s + end};
    }
    return truth;
}

static void test_kinds(void)
{
    const char *path = scratch_path("kind.csv");
    double stated = 0, off = 0;
    for (size_t i = 0; i < RG_COUNT(kinds); i++) {
        char argument[600], column[80];
        put_kind(path, &kinds[i]);
        snprintf(argument, sizeof argument, "%s%s", path, kinds[i].choice);
        for (int run = 0; run < 3; run++) {
            struct rg_clock_section spans[EPOCHS];
            double each[EPOCHS], sum = 0;
            struct rg_integral whole;
            struct rg_error e = {0};
            double truth = spans_of(&kinds[i], 4.217 + 3.171 * run, 21 + 7.77 * run, spans);
            int result = cut_log(argument, 0, spans, EPOCHS, each, &whole, column, &e);
            double uncertainty = 2 * sqrt(whole.variance_J2), error = fabs(whole.joules - truth);
            for (int k = 0; k < EPOCHS; k++)
                sum += each[k];
            if (result || !(error <= uncertainty))
                printf("\n    %s: %s; %.4f of %.4f J, %+.4f +-%.4f", kinds[i].name,
                       result ? e.text : "", whole.joules, truth, whole.joules - truth,
                       uncertainty);
            CU_ASSERT_EQUAL(result, 0);
            CU_ASSERT(error <= uncertainty);
            CU_ASSERT(within(sum, whole.joules, 1e-9));
            stated += uncertainty;
            off += error;
            if (getenv("RG_SHOW"))
                printf("\n    %-30s %8.4f J, off %+8.4f, +-%7.4f  %4.1f  %s", kinds[i].name, truth,
                       whole.joules - truth, uncertainty, uncertainty / error, column);
        }
    }
    printf("uncertainty %.2f times the error ", stated / off);
    CU_ASSERT(stated <= 5 * off);
}

/* ---- what of a log counts ---- */

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
    CU_ASSERT_EQUAL(cut_log(path, 0, spans, 1, each, &one, column, &e), 0);
    for (int i = 0; i < MANY; i++)
        spans[i] =
            (struct rg_clock_section){2.65 + 6.7 * i / MANY, 2.65 + 6.7 * (i + 1) / MANY - 1e-6};
    CU_ASSERT_EQUAL(cut_log(path, 0, spans, MANY, each, &many, column, &e), 0);
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
    const struct rg_clock_section span = {1772409602, 1772409612};
    struct rg_integral whole;
    struct rg_error e = {0};
    char column[80];
    double each;
    FILE *f = fopen(path, "w");
    CU_ASSERT_FATAL(f != NULL);
    for (int i = 0; i < 20; i++)
        fprintf(f, "plug,host=a watts=5i,on=true %d000000000\n", 1772409600 + i);
    fclose(f);
    CU_ASSERT_EQUAL(cut_log(path, 0, &span, 1, &each, &whole, column, &e), 0);
    CU_ASSERT(within(whole.joules, 50, 1e-9));
    CU_ASSERT_STRING_EQUAL(column, "watts");
}

/* Of rows that are there only where power changed, each holds until the next: in 20 s, 16 at 3 W
 * and 4 at 6 W, 72 J. */
static void test_hold(void)
{
    const char *path = scratch_path("change.csv");
    const struct rg_clock_section span = {0, 20};
    struct rg_integral whole;
    struct rg_error e = {0};
    char column[80];
    double each;
    scratch_text("change.csv",
                 "time,watts\n0.0,3.0\n8.0,6.0\n10.0,3.0\n18.0,6.0\n20.0,3.0\n28.0,6.0\n");
    CU_ASSERT_EQUAL(cut_log(path, 0, &span, 1, &each, &whole, column, &e), 0);
    CU_ASSERT(within(whole.joules, 72, 1e-9));
    CU_ASSERT(2 * sqrt(whole.variance_J2) < 3);
    /* Nobody knows for how long it held. */
    scratch_text("change.csv",
                 "time,watts\n0.0,3.0\n8.0,6.0\n10.0,nan\n18.0,6.5\n20.0,3.0\n28.0,6.0\n");
    CU_ASSERT(cut_log(path, 0, &span, 1, &each, &whole, column, &e) < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "change.csv:4: unknown watts in the run"));
}

/* 3 W until 20 s, then 9 W, as means over 20 s that end at the date: the run is in the second mean.
 * Who does not say so gets the line's joules, with an uncertainty that has the right ones in it. */
static void test_before(void)
{
    const struct rg_clock_section span = {24, 24.4};
    const char *path = scratch_path("slots.csv");
    struct rg_integral whole;
    struct rg_error e = {0};
    char column[80], argument[600];
    double each;
    scratch_text("slots.csv", "time,watts\n0,3.0\n20,3.0\n40,9.0\n60,9.0\n80,9.0\n");
    CU_ASSERT_EQUAL(cut_log(path, 0, &span, 1, &each, &whole, column, &e), 0);
    CU_ASSERT(fabs(whole.joules - 9 * 0.4) <= 2 * sqrt(whole.variance_J2));
    static const char *const ways[] = {"::before", ":watts:before", ":2:before"};
    for (size_t i = 0; i < RG_COUNT(ways); i++) {
        snprintf(argument, sizeof argument, "%s%s", path, ways[i]);
        CU_ASSERT_EQUAL(cut_log(argument, 0, &span, 1, &each, &whole, column, &e), 0);
        CU_ASSERT(within(whole.joules, 9 * 0.4, 1e-9));
    }
}

/* Joules of a run of the text, which is to be good. */
static struct rg_integral read_text(const char *text, double begin_s, double end_s)
{
    const struct rg_clock_section span = {begin_s, end_s};
    struct rg_integral whole = {0};
    struct rg_error e = {0};
    char column[80];
    double each;
    scratch_text("by-hand.csv", text);
    CU_ASSERT_EQUAL(cut_log(scratch_path("by-hand.csv"), 0, &span, 1, &each, &whole, column, &e),
                    0);
    if (e.text[0])
        printf("\n    %s", e.text);
    return whole;
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
    struct rg_integral whole;
    struct rg_error e = {0};
    char column[80];
    double each;
    FILE *f = fopen(path, "w");
    CU_ASSERT_FATAL(f != NULL);
    fputs("time,watts\n", f);
    for (int i = 0; i < 200000; i++)
        fprintf(f, "%.3f,%.3f\n", 1e-3 * i, 4 + 1e-5 * i);
    fputs("200.000,x\n", f);
    fclose(f);
    for (int i = 1; i < 40; i++) { /* the line's middle, times 1.4 s */
        const struct rg_clock_section span = {4.9937 * i, 4.9937 * i + 1.4};
        CU_ASSERT_EQUAL(cut_log(path, 0, &span, 1, &each, &whole, column, &e), 0);
        CU_ASSERT(within(whole.joules, 1.4 * (4 + 1e-2 * (4.9937 * i + 0.7)), 1e-6));
    }
    const struct rg_clock_section late = {199, 200.5};
    CU_ASSERT_EQUAL(cut_log(path, 0, &late, 1, &each, &whole, column, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "long.csv:200002: no watts in column 2"));
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
    const struct rg_clock_section run = {0.5, 6.5};
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        char argument[600], column[80], words[200], *rest = words;
        struct rg_integral whole;
        struct rg_error e = {0};
        double each;
        put_text(path, bad[i].heading, bad[i].row);
        snprintf(argument, sizeof argument, "%s%s", path, bad[i].choice);
        snprintf(words, sizeof words, "%s", bad[i].words);
        bool good = cut_log(argument, 0, &run, 1, &each, &whole, column, &e) < 0;
        for (char *word; (word = strsep(&rest, "|"));)
            good = good && strstr(e.text, word);
        if (!good)
            printf("\n    %s %s: wanted %s\n    got %g J, %s\n", bad[i].heading, bad[i].row,
                   bad[i].words, whole.joules, e.text);
        CU_ASSERT(good);
    }
}

/* ---- logs that nobody wrote ---- */

/* Bytes changed, left out, put in: joules that may be, or one line that says why not. */
static void test_mutations(void)
{
    static const char *const bits[] = {",", ";",     "\n",  "\"", " ", "nan",
                                       "-", "1e400", "W",   "(",  "[", ")",
                                       ":", "#",     "kWh", "\t", ".", "99999999999999999999"};
    const char *path = scratch_path("mutated.csv");
    const struct rg_clock_section spans[] = {{DAY_S + 5, DAY_S + 11}, {DAY_S + 11.5, DAY_S + 20}};
    unsigned seed = 3;
    int refused = 0, read = 0;
    for (size_t k = 0; k < RG_COUNT(kinds); k++) {
        if (kinds[k].hz > 5 || kinds[k].flags & GZIP)
            continue;
        char *text, column[80], argument[600];
        size_t size;
        FILE *f = open_memstream(&text, &size);
        if (!f)
            abort();
        put_rows(f, &kinds[k]);
        fclose(f);
        for (int trial = 0; trial < 40; trial++) {
            size_t at = (size_t)rand_r(&seed) % size, left = (size_t)rand_r(&seed) % 20;
            const char *bit = bits[(size_t)rand_r(&seed) % RG_COUNT(bits)];
            if (trial % 2) /* near the begin, where columns are recognised */
                at %= 120;
            left = RG_MIN(left, size - at);
            struct rg_integral whole;
            struct rg_error e = {0};
            double each[2];
            f = fopen(path, "w");
            if (!f)
                abort();
            fwrite(text, 1, at, f);
            fputs(bit, f);
            fwrite(text + at + left, 1, size - at - left, f);
            fclose(f);
            snprintf(argument, sizeof argument, "%s%s", path, kinds[k].choice);
            int result = cut_log(argument, 0, spans, 2, each, &whole, column, &e);
            CU_ASSERT(result < 0 ? e.text[0] && !strchr(e.text, '\n')
                                 : isfinite(whole.joules) && whole.joules >= 0);
            refused += result < 0;
            read += result == 0;
        }
        free(text);
    }
    CU_ASSERT(refused > 50 && read > 50);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"kinds of logs of one curve", test_kinds}, {"epochs are no rows", test_epochs},
        {"integers with a type", test_typed},       {"a value holds until it changes", test_hold},
        {"means of the time before", test_before},  {"a coarse counter", test_coarse_counter},
        {"missing rows", test_missing_rows},        {"dates in whole seconds", test_whole_seconds},
        {"blocks before the run", test_blocks},     {"refused, with the line", test_refusals},
        {"changed bytes", test_mutations},
    };
    setenv("TZ", "UTC", 1);
    return suite_main("meters: logs", tests, (int)RG_COUNT(tests), argc, argv);
}
