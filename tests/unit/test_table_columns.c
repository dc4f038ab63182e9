/* Columns of tables: those that only number the rows or say nothing, missing values, dates, how
 * inputs are standardised. */
#include "tables_fixture.h"

#include "models/table_text.h"

/* Rows sorted by class, with a column that numbers them. */
static const char *numbered(const char *name, int from, int step, int swap)
{
    static char text[4000];
    int used = snprintf(text, sizeof text, "%s,width,class\n", name);
    for (int i = 0; i < 30; i++) {
        int row = i == swap ? i + 1 : i == swap + 1 ? i - 1 : i;
        used += snprintf(text + used, sizeof text - (size_t)used, "%d,%d,%d\n", from + step * row,
                         i * 7 % 5, i / 10);
    }
    return scratch_text("n.csv", text);
}

static void test_row_numbers(void)
{
    static const struct {
        const char *name;
        int from, step, swap;
        bool left_out;
    } cases[] = {{"", 0, 1, -9, true},
                 {"Id", 1, 1, -9, true},
                 {"t", 500, 1, -9, true},
                 {"index", 3, 2, -9, true},
                 {"ID", 1, 1, 4, true},
                 {"t", 0, 2, -9, false},
                 {"t", 1, 1, 4, false},
                 {"t", 1700000000, 1, -9, false},
                 {"PassengerId", 3, 2, -9, true},
                 {"row_id", 3, 2, -9, true},
                 {"humid", 3, 2, -9, false},
                 {"id", 1000, 17, 4, true}};
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        const char *path = numbered(cases[i].name, cases[i].from, cases[i].step, cases[i].swap);
        struct rg_data_spec spec = spec_of("csv", path, NULL);
        struct rg_dataset d = load(&spec);
        CU_ASSERT_EQUAL(d.inputs, cases[i].left_out ? 1 : 2);
        if (cases[i].left_out) {
            CU_ASSERT(has_note(&d, cases[i].name[0] ? cases[i].name : "without a name"));
            CU_ASSERT(has_note(&d, "left out: it numbers the rows"));
            CU_ASSERT(d.input_note_count == 1);
        }
        rg_dataset_free(&d);
        say(&spec, "columns", "1,2");
        d = load(&spec);
        CU_ASSERT_EQUAL(d.inputs, 2);
        rg_dataset_free(&d);
        say(&spec, "columns", NULL);
        say(&spec, "drop", "width");
        if (cases[i].left_out)
            CU_ASSERT(refuses(&spec, "s.xml:7: ", "its only input|numbers the rows"));
    }
}

static void test_constant(void)
{
    struct rg_data_spec spec =
        spec_of("csv", scratch_text("k.csv", "a,b,c\n1,7,0\n2,7,1\n3,7,0\n5,7,1\n"), NULL);
    struct rg_dataset d = load(&spec);
    CU_ASSERT(has_note(&d, "1 of 2 columns are constant and say nothing: column 2 (\"b\")"));
    rg_dataset_free(&d);
}

static void test_missing(void)
{
    static const char *const marks[] = {"", "?", "NA", "nan", "N/A", "null", "None"};
    for (size_t i = 0; i < RG_COUNT(marks); i++) {
        char text[200];
        snprintf(text, sizeof text, "a,b,c\n1,5,0\n2,%s,1\n3,7,0\n6,6,1\n%s,9,0\n", marks[i],
                 marks[i]);
        struct rg_data_spec spec = spec_of("csv", scratch_text("m.csv", text), NULL);
        char words[100];
        snprintf(words, sizeof words, "column 2 (\"b\")|\"%s\" is a missing value|missing=\"drop\"",
                 marks[i]);
        CU_ASSERT(refuses(&spec, "m.csv:3: ", words));
        say(&spec, "missing", "drop");
        struct rg_dataset d = load(&spec);
        CU_ASSERT(d.train + d.test == 3);
        CU_ASSERT(has_note(&d, "2 rows with missing values left out, 3 are used"));
        rg_dataset_free(&d);
        say(&spec, "missing", "mean");
        say(&spec, "split", "order");
        spec.train = 4; /* all rows but the last, whose a is missing */
        d = load(&spec);
        CU_ASSERT(d.train + d.test == 5);
        CU_ASSERT(has_note(&d, "2 missing values"));
        CU_ASSERT_DOUBLE_EQUAL(d.mean[0], 3, 1e-12); /* (1 + 2 + 3 + 6) / 4 */
        CU_ASSERT_DOUBLE_EQUAL(d.mean[1], 6, 1e-12); /* (5 + 7 + 6) / 3 */
        CU_ASSERT_DOUBLE_EQUAL(d.deviation[1], sqrt(2.0 / 3), 1e-12);
        CU_ASSERT(d.x[1 * 2 + 1] == 0 && d.x[4 * 2 + 0] == 0);
        CU_ASSERT(fabsf(d.x[4 * 2 + 1] - 3 / sqrtf(2.0f / 3)) < 1e-5f);
        rg_dataset_free(&d);
    }
    struct rg_data_spec spec = spec_of("csv", scratch_text("m.csv", "1,0\n2,?\n3,1\n4,0\n"), NULL);
    CU_ASSERT(refuses(&spec, "m.csv:2: ", "column 2|missing=\"drop\""));
    say(&spec, "missing", "mean");
    CU_ASSERT(refuses(&spec, "m.csv:2: ", "column 2|missing=\"drop\""));
    spec = spec_of("csv", scratch_text("m.csv", "a,b,c\n1,,0\n2,,1\n3,,1\n"), NULL);
    say(&spec, "missing", "mean");
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "column 2 (\"b\") has no value at all|drop=\"2\""));
}

/* 40 rows, 100 ms apart, in no order. */
static const char *rows_with_dates(void)
{
    char text[3000];
    int used = snprintf(text, sizeof text, "ms,x,class\n");
    for (int i = 0; i < 40; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%.0f,%d,%d\n",
                         1700000000000.0 + 100 * (i * 13 % 40), i % 3, i % 2);
    return scratch_text("d.csv", text);
}

/* Dates far from zero keep the digits that tell them apart. */
static void test_offsets(void)
{
    struct rg_data_spec spec = spec_of("csv", rows_with_dates(), NULL);
    struct rg_dataset d = load(&spec);
    bool seen[40] = {false};
    CU_ASSERT_DOUBLE_EQUAL(d.mean[0], 1700000001950.0, 400);
    for (int i = 0; i < 40; i++) {
        double ms = as_read(&d, i, 0) - 1700000000000.0;
        CU_ASSERT(fabs(ms - 100 * round(ms / 100)) < 1);
        seen[lround(ms / 100)] = true;
    }
    for (int i = 0; i < 40; i++)
        CU_ASSERT(seen[i]);
    rg_dataset_free(&d);
}

/* The file's data, standardised by the mean and deviation that are wanted. */
static struct rg_dataset load_as(const struct rg_data_spec *spec, const double mean[2],
                                 const double deviation[2])
{
    struct rg_dataset d;
    CU_ASSERT_EQUAL_FATAL(rg_dataset_probe(spec, &d, NULL), 0);
    d.wanted_mean = malloc(2 * sizeof(double));
    d.wanted_deviation = malloc(2 * sizeof(double));
    memcpy(d.wanted_mean, mean, 2 * sizeof(double));
    memcpy(d.wanted_deviation, deviation, 2 * sizeof(double));
    CU_ASSERT_EQUAL_FATAL(rg_dataset_read(spec, (struct rg_data_kept){.train = true, .test = true}, &d, NULL), 0);
    return d;
}

/* Those of another training; the samples' own, which change nothing; and data that has none. */
static void test_wanted_scaling(void)
{
    struct rg_data_spec spec = spec_of("csv", rows_with_dates(), NULL);
    const double mean[2] = {1700000001000.0, -1}, deviation[2] = {500, 2};
    struct rg_dataset own = load(&spec), d = load_as(&spec, mean, deviation);
    CU_ASSERT(memcmp(d.mean, mean, sizeof mean) == 0);
    CU_ASSERT(memcmp(d.deviation, deviation, sizeof deviation) == 0);
    CU_ASSERT(has_note(&d, "standardised as for the network's training (--load)"));
    for (size_t i = 0; i < 40; i++) {
        double ms = own.x[2 * i] * own.deviation[0] + own.mean[0], x = d.x[2 * i + 1];
        CU_ASSERT_DOUBLE_EQUAL(d.x[2 * i], (100 * round(ms / 100) - mean[0]) / 500, 1e-6);
        CU_ASSERT(x == 0.5 || x == 1 || x == 1.5); /* (0, 1, 2 and 1) / 2 */
    }
    rg_dataset_free(&d);
    d = load_as(&spec, own.mean, own.deviation);
    CU_ASSERT(memcmp(d.x, own.x, 40 * 2 * sizeof *own.x) == 0);
    CU_ASSERT_EQUAL(d.note_count, own.note_count);
    rg_dataset_free(&d);
    rg_dataset_free(&own);
    struct rg_data_spec random = {DATA("random"), .seed = 1, .where = "s.xml", .line = 7};
    rg_data_value(&random, "inputs")->number = 2;
    rg_data_value(&random, "classes")->number = 2;
    d = load_as(&random, mean, deviation);
    CU_ASSERT(has_note(&d, "those of kind=\"random\" are not"));
    rg_dataset_free(&d);
}

/* As `date -d ... +%s` has them. */
static void test_dates(void)
{
    static const struct {
        const char *text;
        double seconds;
    } dates[] = {{"1970-01-01", 0},
                 {"2024-02-29", 1709164800},
                 {"2000-03-01T00:00:00Z", 951868800},
                 {"2024-03-31 12:30:15.5", 1711888215.5},
                 {"2024-03-31T12:30:15+01:30", 1711882815},
                 {"2024-03-31T12:30:15-0330", 1711900815},
                 {"1969-12-31T23:59:59", -1},
                 {"00:00", 0},
                 {"12:30:15.25", 45015.25},
                 {"12:30:15,25", 45015.25}};
    static const char *const none[] = {"2024-13-01",
                                       "2024-00-01",
                                       "2024-1-1",
                                       "2024-01-01T25:00",
                                       "2024-01-01T12",
                                       "2024-01-01 12:00 pm",
                                       "12:60",
                                       "1:30",
                                       ""};
    double seconds;
    for (size_t i = 0; i < RG_COUNT(dates); i++) {
        CU_ASSERT(rg_date_of(dates[i].text, &seconds));
        CU_ASSERT_DOUBLE_EQUAL(seconds, dates[i].seconds, 1e-6);
    }
    for (size_t i = 0; i < RG_COUNT(none); i++)
        CU_ASSERT_FALSE(rg_date_of(none[i], &seconds));
    struct rg_data_spec spec =
        spec_of("csv",
                scratch_text("log.csv", "time,t,state\n2024-01-01 00:00:10,1.5,on\n2024-01-01 "
                                        "00:00:40,2.5,off\n2024-01-01 00:01:10,3.5,on\n"),
                NULL);
    say(&spec, "split", "order");
    struct rg_dataset d = load(&spec);
    CU_ASSERT_DOUBLE_EQUAL(as_read(&d, 1, 0) - as_read(&d, 0, 0), 30, 1e-3);
    CU_ASSERT_DOUBLE_EQUAL(d.mean[0], 1704067225, 1e-3); /* 10 and 40 s train */
    rg_dataset_free(&d);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"columns that number the rows", test_row_numbers},
        {"constant columns", test_constant},
        {"missing values", test_missing},
        {"dates and other offsets", test_offsets},
        {"the mean and deviation of another training", test_wanted_scaling},
        {"dates in words", test_dates},
    };
    return suite_main("tables: columns", tests, RG_COUNT(tests), argc, argv);
}
