/* Logs as people's meters and programs write them, of one curve whose joules are known: read within
 * the uncertainty that is stated; and logs that nobody wrote. All of them are made up here. */
#include "meter_log.h"

#include "base/check.h"
#include <zlib.h>

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
    ISO_BOTH, /* Z, and a zone: that holds */
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
        [ISO] = "%Y-%m-%dT%H:%M:%S",        [ISO_ZONE] = "%Y-%m-%dT%H:%M:%S",
        [ISO_BOTH] = "%Y-%m-%dT%H:%M:%S",   [ISO_COMMA] = "%Y-%m-%d %H:%M:%S",
        [BLANK] = "%Y-%m-%d %H:%M:%S",      [GERMAN] = "%d.%m.%Y %H:%M:%S",
        [TWO_FIELDS] = "%Y-%m-%d,%H:%M:%S", [TEGRA] = "%m-%d-%Y %H:%M:%S",
        [STAMP] = "%Y-%m-%d %H:%M:%S",      [AMERICAN] = "%m/%d/%Y %I:%M:%S"};
    double date_s = DAY_S + t + (kind == ISO_ZONE || kind == ISO_BOTH ? 3600 : 0) +
                    (kind == AMERICAN ? 86400 * 20 : 0);
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
                : kind == ISO_BOTH ? "Z+0100"
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
    {"mosquitto_sub -F %J of 2.0.11", "", "",
     "{\"tst\":\"%D\",\"topic\":\"plug\",\"qos\":0,\"retain\":0,\"payloadlen\":30,"
     "\"payload\":{\"apower\":%V,\"voltage\":230.1}}\n",
     ISO_BOTH, MOMENTS, 2, 1, 2, JITTER},
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
            int result = cut_log(argument, spans, EPOCHS, each, &whole, column, &e);
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
            int result = cut_log(argument, spans, 2, each, &whole, column, &e);
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
        {"kinds of logs of one curve", test_kinds},
        {"changed bytes", test_mutations},
    };
    setenv("TZ", "UTC", 1);
    return suite_main("meters: kinds of logs", tests, (int)RG_COUNT(tests), argc, argv);
}
