/* Tables as people keep them: what each is taken to say, or the refusal that says what to do. */
#include "models_fixture.h"
#include "scratch.h"

#include "models/layers.h"
#include "models/table_text.h"

#include <unistd.h>
#include <zlib.h>

#define INPUTS RG_SOURCE_DIR "/../shared/inputs/"

enum { WORDS = 5 };

struct word {
    const char *name, *text;
};

static struct rg_data_spec spec_of(const char *kind, const char *path, const struct word *words)
{
    struct rg_data_spec spec = {DATA(kind), .seed = 1, .where = "s.xml", .line = 7};
    say(&spec, "file", path);
    for (; words && words->name; words++)
        if (strcmp(words->name, "train") == 0)
            spec.train = atoi(words->text);
        else if (strcmp(words->name, "test") == 0)
            spec.test = atoi(words->text);
        else
            say(&spec, words->name, words->text);
    return spec;
}

static bool has_note(const struct rg_dataset *data, const char *words)
{
    for (int i = 0; i < data->note_count; i++)
        if (strstr(data->notes[i], words))
            return true;
    printf("\n    no note says: %s\n", words);
    for (int i = 0; i < data->note_count; i++)
        printf("    a note: %s\n", data->notes[i]);
    return false;
}

static struct rg_dataset load(const struct rg_data_spec *spec)
{
    struct rg_error e = {0};
    struct rg_dataset data;
    if (rg_dataset_load(spec, &data, &e) < 0)
        printf("\n    %s\n", e.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data.x);
    expect_parts(spec, &data);
    return data;
}

static bool refuses(const struct rg_data_spec *spec, const char *place, const char *words)
{
    struct rg_error e = {0};
    struct rg_dataset data;
    char copy[300], *rest = copy;
    bool good = rg_dataset_probe(spec, &data, &e) == RG_ERR_INVALID && strstr(e.text, place);
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word; (word = strsep(&rest, "|"));)
        good = good && strstr(e.text, word);
    if (!good)
        printf("\n    wanted %s %s\n    got    %s\n", place, words, e.text);
    rg_dataset_free(&data);
    return good;
}

/* The value of an input as the file has it, of the sample whose label and other input say which. */
static double as_read(const struct rg_dataset *d, int sample, size_t input)
{
    return d->x[(size_t)sample * d->inputs + input] * d->deviation[input] + d->mean[input];
}

/* Rows A,B,CLASS: A and B 1 to 12 less 3 times the class, written as the case wants. */
struct row {
    double a, b;
    int class;
};

static const struct row rows[] = {{0.5, -3, 0}, {1.25, 40, 1}, {-2, 7.5, 2}, {8, 0.125, 0},
                                  {3.5, -1, 1}, {6, 11, 2},    {9, -2.5, 0}, {-7, 5, 1}};
enum { ROWS = sizeof rows / sizeof *rows };

/* Is every row there once, with its class? */
static bool holds_rows(const struct rg_dataset *d)
{
    unsigned seen = 0;
    if (d->train + d->test != ROWS || d->inputs != 2)
        return false;
    for (int i = 0; i < ROWS; i++)
        for (int r = 0; r < ROWS; r++)
            if (fabs(as_read(d, i, 0) - rows[r].a) < 1e-5 &&
                fabs(as_read(d, i, 1) - rows[r].b) < 1e-5 && d->labels[i] == rows[r].class)
                seen |= 1u << r;
    return seen == (1u << ROWS) - 1;
}

/* ---- how a file is written ---- */

static void write_rows(char *text, size_t size, const char *format, const char *head,
                       const char *const *classes)
{
    int used = snprintf(text, size, "%s", head);
    for (int r = 0; r < ROWS; r++)
        used += snprintf(text + used, size - (size_t)used, format, rows[r].a, rows[r].b,
                         classes[rows[r].class]);
}

/* Points become commas. */
static void with_commas(char *text)
{
    for (; *text; text++)
        if (*text == '.')
            *text = ',';
}

static void test_formats(void)
{
    static const char *const plain[] = {"0", "1", "2"};
    static const struct {
        const char *format, *head;
        bool commas;
    } cases[] = {
        {"%g,%g,%s\n", "", false},
        {"%g,%g,%s\n", "a,b,c\n", false},
        {"%g, %g, %s\r\n", "a, b, c\r\n", false},
        {"%g;%g;%s\n", "a;b;c\n", false},
        {"%g;%g;%s\n", "", true},
        {"%g\t%g\t%s\n", "a\tb\tc\n", true},
        {"%g\t%g\t%s\n", "", false},
        {"  %g   %g %s\n", "", false},
        {"%g %g\t%s  \n", "# a note\n", true},
        {"%g|%g|%s\n", "", false},
        {"\"%g\",\"%g\",\"%s\"\n", "\"a, or so\",\"b\",\"c\"\n", false},
        {"%g,%g,%s,\n", "a,b,c\n", false}, /* a separator at the end of every row */
        {"%g,%g,%s,\n", "a,b,c,\n", false},
        {"%g,%g,%s\n", "0,1,2\n", false}, /* pandas' heading */
        {"%.6e,%.6E,%s\n\n", "\n\n#\n", false},
        {"+%g,%g,0%s\n", "", false},
    };
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        char text[600];
        write_rows(text, sizeof text, cases[i].format, cases[i].head, plain);
        if (strstr(text, "+-"))
            memcpy(strstr(text, "+-"), " -", 2), memcpy(strstr(text, "+-"), " -", 2);
        if (cases[i].commas)
            with_commas(text);
        struct rg_data_spec spec = spec_of("csv", scratch_text("t.csv", text), NULL);
        struct rg_dataset d = load(&spec);
        bool good = holds_rows(&d) && d.classes == 3;
        if (!good)
            printf("\n    case %zu: %d + %d samples of %zu\n", i, d.train, d.test, d.inputs);
        CU_ASSERT(good);
        rg_dataset_free(&d);
    }
}

/* What parts all lines alike goes before what parts them into more numbers. */
static void test_separator(void)
{
    const struct word words[] = {{"drop", "1"}, {0}};
    struct rg_data_spec spec = spec_of(
        "csv", scratch_text("b.csv", "1 2 3 4 5 6 7 8 9 1,8,0\n5 6,9,1\n5,7,0\n1 2 3,4,1\n"),
        words);
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.inputs == 1 && d.train + d.test == 4);
    rg_dataset_free(&d);
}

static void test_gzipped(void)
{
    static const char *const plain[] = {"0", "1", "2"};
    char text[600];
    write_rows(text, sizeof text, "%g,%g,%s\n", "", plain);
    const char *path = scratch_path("t.csv.gz");
    gzFile file = gzopen(path, "wb");
    CU_ASSERT_FATAL(file && gzputs(file, text) > 0 && gzclose(file) == Z_OK);
    struct rg_data_spec spec = spec_of("csv", path, NULL);
    struct rg_dataset d = load(&spec);
    CU_ASSERT(holds_rows(&d));
    rg_dataset_free(&d);
    if (truncate(path, 40) == 0)
        CU_ASSERT(refuses(&spec, "t.csv.gz:", "cannot be read|truncated"));
}

/* Numbers are those of strtod, to the last bit, however many digits they have. */
static void test_numbers(void)
{
    struct rg_random *random = rg_random_new(3, RG_STREAM_TEST, 0);
    for (int i = 0; i < 20000; i++) {
        char text[64];
        int whole = (int)rg_random_below(random, 12), digits = (int)rg_random_below(random, 12),
            n = 0;
        if (rg_random_below(random, 3) == 0)
            text[n++] = rg_random_below(random, 2) ? '-' : '+';
        for (int k = 0; k <= whole; k++)
            text[n++] = (char)('0' + rg_random_below(random, 10));
        if (rg_random_below(random, 3) > 0)
            text[n++] = '.';
        for (int k = 0; k < digits; k++)
            text[n++] = (char)('0' + rg_random_below(random, 10));
        snprintf(text + n, sizeof text - (size_t)n, rg_random_below(random, 4) ? "" : "e%d",
                 (int)rg_random_below(random, 40) - 20);
        struct rg_decimal decimal = {.mark = '.'};
        double value = NAN;
        CU_ASSERT(rg_number_of(text, &decimal, &value) == RG_NUMBER);
        CU_ASSERT(value == strtod(text, NULL));
    }
    rg_random_free(random);
}

/* Lines of any length, whatever the blocks that the file is read in. */
static void test_long_lines(void)
{
    enum { COLUMNS = RG_MAX_WIDTH < 150000 ? RG_MAX_WIDTH : 150000 };
    size_t room = 10 * COLUMNS, used = 0;
    char *text = malloc(room);
    for (int r = 0; r < 3; r++)
        for (int c = 0; c <= COLUMNS; c++)
            used += (size_t)snprintf(text + used, room - used, c < COLUMNS ? "%d," : "%d\n",
                                     c < COLUMNS ? (r * 7 + c) % 100 : r % 2);
    struct rg_data_spec spec = spec_of("csv", scratch_bytes("w.csv", text, used), NULL);
    say(&spec, "split", "order");
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.inputs == COLUMNS && d.train == 2 && d.test == 1);
    for (size_t c = 0; c < COLUMNS; c += 997)
        for (int r = 0; r < 3; r++)
            CU_ASSERT_DOUBLE_EQUAL(as_read(&d, r, c), (r * 7 + (int)c) % 100, 1e-4);
    rg_dataset_free(&d);
    free(text);
}

/* A heading of numbers, and rows that only look like one. */
static void test_headings(void)
{
    static const struct {
        const char *text, *heading;
        int samples;
        const char *note;
    } cases[] = {
        {"0,1,2\n5,6,0\n7,9,1\n8,2,2\n", NULL, 3, "taken for a heading"},
        {"0,1,2\n5,6,0\n7,9,1\n8,2,2\n", "no", 4, NULL},
        {"1,2,3\n5,6,0\n7,9,1\n8,2,2\n", NULL, 4, NULL},
        {"1,2,3,4\n5,6,0,0\n7,9,1,1\n8,2,2,1\n", NULL, 3, "taken for a heading"},
        {"0,1,2\n1,2,3\n2,3,4\n", NULL, 3, NULL}, /* rows that count, too */
        {"400,402,404,406,c\n1,5,3,2,0\n3,1,1,2,1\n1,1,3,7,1\n", NULL, 3, NULL},
        {"3,4,0\n5,6,1\n7,9,0\n", "yes", 2, NULL},
        {"# a b c\n1 2 0\n3 5 1\n4 4 1\n", NULL, 3, "comment in front of the first row names"},
        {"# taken in May\n1 2 0\n3 5 1\n4 4 1\n", NULL, 3, NULL},
        {"nn,x,y\n1,2,0\n3,?,1\n4,4,1\n5,5,0\n", NULL, 3, "1 rows with missing values left out"},
    };
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        const struct word words[] = {{"missing", "drop"}, {"heading", cases[i].heading}, {0}};
        struct rg_data_spec spec = spec_of("csv", scratch_text("h.csv", cases[i].text), NULL);
        say(&spec, words[0].name, words[0].text);
        if (cases[i].heading)
            say(&spec, words[1].name, words[1].text);
        struct rg_dataset d = load(&spec);
        if (d.train + d.test != cases[i].samples)
            printf("\n    %s: %d samples\n", cases[i].text, d.train + d.test);
        CU_ASSERT_EQUAL(d.train + d.test, cases[i].samples);
        if (cases[i].note)
            CU_ASSERT(has_note(&d, cases[i].note));
        rg_dataset_free(&d);
    }
}

/* ---- labels ---- */

static void test_labels(void)
{
    static const struct {
        const char *name, *classes[3], *given, *note;
        int mapped[3], count;
    } cases[] = {
        {"as they are", {"0", "1", "2"}, NULL, NULL, {0, 1, 2}, 3},
        {"from 1",
         {"1", "2", "3"},
         NULL,
         "3 classes, in the order of their labels: \"1\" is 0",
         {0, 1, 2},
         3},
        {"from 3", {"3", "10", "8"}, NULL, "\"3\" is 0, \"8\" is 1, \"10\" is 2", {0, 2, 1}, 3},
        {"from 1, one class more",
         {"1", "2", "3"},
         "4",
         "no sample has class 3 of 0 to 3",
         {0, 1, 2},
         4},
        {"some of more", {"0", "2", "3"}, "5", "no sample has class 1, 4 of 0 to 4", {0, 2, 3}, 5},
        {"signs", {"-1", "+1", "0"}, NULL, "\"-1\" is 0, \"0\" is 1, \"+1\" is 2", {0, 2, 1}, 3},
        {"names",
         {"virginica", "setosa", "versicolor"},
         NULL,
         "\"setosa\" is 0, \"versicolor\" is 1, \"virginica\" is 2",
         {2, 0, 1},
         3},
        {"quoted names",
         {"\"b, c\"", "a", "\"d \"\"e\"\"\""},
         NULL,
         "\"d \"e\"\" is 2",
         {1, 0, 2},
         3},
        {"halves", {"0.5", "1.5", "-.5"}, NULL, "\"-.5\" is 0, \"0.5\" is 1", {1, 2, 0}, 3},
        {"written in two ways", {"1", "1.0", "2"}, NULL, "2 classes, in the order", {0, 0, 1}, 2},
    };
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        char text[600];
        write_rows(text, sizeof text, "%g,%g,%s\n", "", cases[i].classes);
        struct rg_data_spec spec = spec_of("csv", scratch_text("l.csv", text), NULL);
        if (cases[i].given)
            say(&spec, "classes", cases[i].given);
        struct rg_dataset d = load(&spec);
        CU_ASSERT_EQUAL(d.classes, cases[i].count);
        CU_ASSERT(cases[i].note ? has_note(&d, cases[i].note) : d.note_count == 0);
        for (int s = 0; s < ROWS; s++)
            for (int r = 0; r < ROWS; r++)
                if (fabs(as_read(&d, s, 0) - rows[r].a) < 1e-5)
                    CU_ASSERT_EQUAL(d.labels[s], cases[i].mapped[rows[r].class]);
        rg_dataset_free(&d);
    }
    /* A network that was trained before: labels among its classes mean what they did then. */
    struct rg_data_spec spec = spec_of("csv", scratch_text("l.csv", "5,1\n6,2\n7,1\n8,2\n"), NULL);
    say(&spec, "classes", "3");
    spec.trained_before = true;
    struct rg_dataset d = load(&spec);
    for (int s = 0; s < 4; s++)
        CU_ASSERT_EQUAL(d.labels[s], lround(as_read(&d, s, 0)) % 2 ? 1 : 2);
    CU_ASSERT(has_note(&d, "no sample has class 0 of 0 to 2"));
    rg_dataset_free(&d);
}

/* The label in any column, by place, name or number; names win over numbers. */
static void test_label_columns(void)
{
    static const char text[] = "3,size,kind,weight\n5,1,a,9\n6,2,b,8\n7,1,b,7\n5,2,a,6\n";
    static const struct {
        const char *label, *inputs, *note;
        int classes;
    } cases[] = {
        {"kind", "1,2,4", "the label is column 3 (\"kind\")", 2},
        {"3", "2,4", "the label is column 1 (\"3\")", 3}, /* a name, though column 3 is there */
        {"2", "4", "the label is column 2 (\"size\")", 2},
        {"first", "size,1", "the label is column 1 (\"3\")", 3},
        {"last", "1-2", NULL, 4},
    };
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        const struct word words[] = {{"label", cases[i].label}, {"columns", cases[i].inputs}, {0}};
        struct rg_data_spec spec = spec_of("csv", scratch_text("c.csv", text), words);
        struct rg_dataset d = load(&spec);
        CU_ASSERT_EQUAL(d.classes, cases[i].classes);
        if (cases[i].note)
            CU_ASSERT(has_note(&d, cases[i].note));
        rg_dataset_free(&d);
    }
    const struct word wrong[] = {{"label", "colour"}, {0}};
    struct rg_data_spec spec = spec_of("csv", scratch_text("c.csv", text), wrong);
    CU_ASSERT(
        refuses(&spec, "s.xml:7: ", "label=\"colour\"|no column of that name or number|size"));
    say(&spec, "label", "5");
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "label=\"5\"|1 to 4"));
    say(&spec, "label", "0");
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "label=\"0\""));
    /* A column that is called a label, and is not the last. */
    spec = spec_of("csv", scratch_text("c.csv", "Species,a\nx,1\ny,2\nx,1\n"), NULL);
    CU_ASSERT(
        refuses(&spec, "s.xml:7: ", "column 1 (\"Species\") is called a label|label=\"first\""));
    spec = spec_of("csv", scratch_text("c.csv", "a,target,b\n1,1,1\n2,0,0\n1,1,0\n"), NULL);
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "label=\"target\"|label=\"last\""));
    say(&spec, "label", "last");
    struct rg_dataset d = load(&spec);
    CU_ASSERT_EQUAL(d.inputs, 2);
    rg_dataset_free(&d);
}

static void test_one_hot(void)
{
    static const char text[] = "a,x,y,b\n1,1,0,5\n2,0,1,6\n3,0,1,5\n4,1,0,7\n";
    const struct word words[] = {{"label", "x,y"}, {0}};
    struct rg_data_spec spec = spec_of("csv", scratch_text("o.csv", text), words);
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.classes == 2 && d.inputs == 2);
    CU_ASSERT(has_note(&d, "2 classes, a column each: \"x\" is 0, \"y\" is 1"));
    for (int i = 0; i < 4; i++) {
        int a = (int)lround(as_read(&d, i, 0));
        CU_ASSERT_EQUAL(d.labels[i], a == 2 || a == 3);
    }
    rg_dataset_free(&d);
    spec = spec_of("csv", scratch_text("o.csv", "a,x,y\n1,1,0\n2,1,1\n"), words);
    CU_ASSERT(refuses(&spec, "o.csv:3: ", "column 3 (\"y\")|one-hot"));
    spec = spec_of("csv", scratch_text("o.csv", "a,x,y\n1,1,0\n2,0,0\n"), words);
    CU_ASSERT(refuses(&spec, "o.csv:3: ", "without a 1"));
    spec = spec_of("csv", scratch_text("o.csv", "a,x,y\n1,1,0\n2,0,0.5\n"), words);
    CU_ASSERT(refuses(&spec, "o.csv:3: ", "0.5 of a one-hot label"));
}

/* ---- what is wrong without being unreadable ---- */

static void test_one_class(void)
{
    struct rg_data_spec spec = spec_of("csv",
                                       scratch_text("p.csv", "digit,p0,p1\n0,68,0\n1,130,0\n"
                                                             "2,253,0\n0,9,0\n1,8,0\n2,7,0\n"),
                                       NULL);
    CU_ASSERT(refuses(&spec, "s.xml:7: ",
                      "only one class is there|column 3 (\"p1\")|\"0\"|"
                      "what looks like labels: column 1 (\"digit\");"));
}

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

/* Dates far from zero keep the digits that tell them apart. */
static void test_offsets(void)
{
    char text[3000];
    int used = snprintf(text, sizeof text, "ms,x,class\n");
    for (int i = 0; i < 40; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%.0f,%d,%d\n",
                         1700000000000.0 + 100 * (i * 13 % 40), i % 3, i % 2);
    struct rg_data_spec spec = spec_of("csv", scratch_text("d.csv", text), NULL);
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
    CU_ASSERT_EQUAL_FATAL(rg_dataset_read(spec, (struct rg_data_kept){true, true}, &d, NULL), 0);
    return d;
}

/* Those of another training; the samples' own, which change nothing; and data that has none. */
static void test_wanted_scaling(void)
{
    char text[3000];
    int used = snprintf(text, sizeof text, "ms,x,class\n");
    for (int i = 0; i < 40; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%.0f,%d,%d\n",
                         1700000000000.0 + 100 * (i * 13 % 40), i % 3, i % 2);
    struct rg_data_spec spec = spec_of("csv", scratch_text("d.csv", text), NULL);
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

/* What spreadsheets write in front of a table for one another. */
static void test_hint(void)
{
    struct rg_data_spec spec =
        spec_of("csv", scratch_text("h.csv", "sep=;\na;b;c\n1;2,5;0\n2;3;1\n3;4;0\n"), NULL);
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.train + d.test == 3 && d.inputs == 2);
    rg_dataset_free(&d);
    spec = spec_of("csv", scratch_text("h.csv", "1;2,5;0\nsep=;\n2;3;1\n"), NULL);
    CU_ASSERT(refuses(&spec, "h.csv:2: ", "columns"));
}

static void test_constant(void)
{
    struct rg_data_spec spec =
        spec_of("csv", scratch_text("k.csv", "a,b,c\n1,7,0\n2,7,1\n3,7,0\n5,7,1\n"), NULL);
    struct rg_dataset d = load(&spec);
    CU_ASSERT(has_note(&d, "1 of 2 columns are constant and say nothing: column 2 (\"b\")"));
    rg_dataset_free(&d);
}

static void test_refusals(void)
{
    static const struct {
        const char *text, *place, *words;
        struct word word;
    } cases[] = {
        {"1;2,5;0\n1;2.5;1\n", "r.csv:2: ", "\"2.5\"|decimal comma", {0}},
        {"1,\"2,0\n3,4,1\n", "r.csv:1: ", "column 2|quote", {0}},
        {"1,\"2\"x,0\n3,4,1\n", "r.csv:1: ", "column 2|quote", {0}},
        {"a,b\n1,2,0\n1,3,1\n", "r.csv:2: ", "3 columns: 2 are", {"heading", "no"}},
        {"a,b,c,d,e\n1,2,0\n1,3,1\n", "r.csv:1: ", "names 5 columns, the rows have 3", {0}},
        {"1,1.234.5,0\n2,3,1\n", "r.csv:1: ", "column 2|not a number", {0}},
        {"1,2,0\n2,3,1\n", "s.xml:7: ", "drop=\"x\"", {"drop", "x"}},
        {"1,2,0\n2,3,1\n", "s.xml:7: ", "0 columns of inputs", {"drop", "1,2"}},
        {"1,2,0\n2,3,1\n", "s.xml:7: ", "split=\"random\"|stratified", {"split", "random"}},
        {"1,2,0\n2,3,1\n", "s.xml:7: ", "3 has", {"split", "group:7"}},
        {"1,2,0\n1,3,1\n", "s.xml:7: ", "is the same in all rows", {"split", "group:1"}},
        {"1,2,0\n2,3,1\n", "s.xml:7: ", "classes=\"1\"", {"classes", "1"}},
        {"1,2,0\r2,3,1\r", "r.csv:1: ", "carriage return inside", {0}},
    };
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        const struct word words[] = {cases[i].word, {0}};
        struct rg_data_spec spec = spec_of("csv", scratch_text("r.csv", cases[i].text), words);
        CU_ASSERT(refuses(&spec, cases[i].place,
                          strcmp(cases[i].words, "3 has") == 0 ? "split=\"group:\"=\"7\"|1 to 3"
                                                               : cases[i].words));
    }
    const struct word both[] = {{"drop", "1"}, {"columns", "2"}, {0}};
    struct rg_data_spec spec = spec_of("csv", scratch_text("r.csv", "1,2,0\n2,3,1\n"), both);
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "columns and drop: only one"));
    /* 300 labels are no classes. */
    char text[6000] = "";
    for (int i = 0, used = 0; i < 300; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%d,%g\n", i % 7, i * 1.5);
    spec = spec_of("csv", scratch_text("r.csv", text), NULL);
    CU_ASSERT(refuses(&spec, "s.xml:7: ",
                      "column 2, the last, would be|300 different values in 300 rows|"
                      "what looks like labels: column 1"));
    say(&spec, "label", "last");
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "300 different labels|up to 256 classes"));
}

/* ---- splits ---- */

static void test_splits(void)
{
    char text[4000];
    int used = snprintf(text, sizeof text, "person,x,class\n"), counts[2][3] = {{0}};
    for (int i = 0; i < 60; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "p%d,%d,%d\n", i % 7, i, i / 20);
    const char *path = scratch_text("s.csv", text);
    const struct word group[] = {{"split", "group:person"}, {"columns", "x"}, {0}};
    struct rg_data_spec spec = spec_of("csv", path, group);
    unsigned drawn = 0; /* groups that ever test */
    for (spec.seed = 1; spec.seed < 6; spec.seed++) {
        struct rg_dataset d = load(&spec);
        bool part[2][7] = {{false}};
        for (int i = 0; i < d.train + d.test; i++)
            part[i >= d.train][lround(as_read(&d, i, 0)) % 7] = true;
        for (int p = 0; p < 7; p++) {
            CU_ASSERT(part[0][p] != part[1][p]);
            drawn |= (unsigned)part[1][p] << p;
        }
        CU_ASSERT(d.train + d.test == 60 && d.test >= 12 && d.test <= 20);
        CU_ASSERT(has_note(&d, "2 of its 7 values test, the others train"));
        rg_dataset_free(&d);
    }
    CU_ASSERT(__builtin_popcount(drawn) > 2); /* not the same two each time */
    const struct word order[] = {
        {"split", "order"}, {"columns", "x"}, {"drop", NULL}, {"label", "class"}, {0}};
    spec = spec_of("csv", path, order);
    spec.train = 15;
    spec.test = 10;
    struct rg_dataset d = load(&spec);
    for (int i = 0; i < 25; i++)
        CU_ASSERT_EQUAL(lround(as_read(&d, i, 0)), i < 15 ? i : 35 + i);
    CU_ASSERT(has_note(&d, "class 2 has no training sample, but 10 to test"));
    rg_dataset_free(&d);
    say(&spec, "split", "stratified");
    spec.train = 30;
    spec.test = 15;
    d = load(&spec);
    for (int i = 0; i < 45; i++)
        counts[i >= 30][d.labels[i]]++;
    for (int c = 0; c < 3; c++)
        CU_ASSERT(counts[0][c] == 10 && counts[1][c] == 5);
    rg_dataset_free(&d);
}

/* As UCI's HAR: inputs and labels in files of their own, test rows apart. */
static void test_files_apart(void)
{
    const char *x = scratch_text("X_train.txt", "  1.0e-1  2\n  3.0e-1  4\n 5e-1 7\n 6e-1 1\n");
    struct rg_data_spec spec = spec_of("csv", x, NULL);
    say(&spec, "labels", scratch_text("y_train.txt", "5\n3\n 5 \n3\n"));
    say(&spec, "test-file", scratch_text("X_test.txt", " 2e-1 3\n 1e-1 1\n"));
    say(&spec, "test-labels", scratch_text("y_test.txt", "3\n5\n"));
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.train == 4 && d.test == 2 && d.inputs == 2 && d.classes == 2);
    const int labels[] = {1, 0, 1, 0, 0, 1};
    const double first[] = {0.1, 0.3, 0.5, 0.6, 0.2, 0.1};
    for (int i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(d.labels[i], labels[i]);
        CU_ASSERT_DOUBLE_EQUAL(as_read(&d, i, 0), first[i], 1e-6);
    }
    CU_ASSERT_DOUBLE_EQUAL(d.mean[1], 3.5, 1e-12); /* of the training rows alone */
    rg_dataset_free(&d);
    say(&spec, "test-labels", scratch_text("y_test.txt", "3\n"));
    CU_ASSERT(refuses(&spec, "y_test.txt:1: ", "a label for each row"));
    say(&spec, "test-labels", scratch_text("y_test.txt", "3\n5\n5\n"));
    CU_ASSERT(refuses(&spec, "y_test.txt:3: ", "more labels than"));
    say(&spec, "test-labels", scratch_text("y_test.txt", "3 5\n5\n"));
    CU_ASSERT(refuses(&spec, "y_test.txt:1: ", "one label a line"));
    say(&spec, "test-labels", NULL);
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "labels and test-labels: both or none"));
    say(&spec, "labels", NULL);
    say(&spec, "test-file", scratch_text("X_test.txt", " 2e-1 3 1\n 1e-1 1 0\n"));
    CU_ASSERT(refuses(&spec, "X_test.txt:1: ", "3 columns: 2 are allowed, as in"));
    spec = spec_of("csv", scratch_text("three.csv", "1,2,0\n2,3,1\n3,4,0\n"), NULL);
    say(&spec, "test-file", rg_data_text(&spec, "file"));
    say(&spec, "split", "group:1");
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "split=\"group:1\" with test-file"));
}

/* Fewer rows than a file has are drawn class by class, in each of two files. */
static void test_some_of_files(void)
{
    struct rg_data_spec spec =
        spec_of("csv", scratch_text("a.csv", "1,0\n2,0\n3,0\n4,1\n5,1\n6,1\n"), NULL);
    say(&spec, "test-file", scratch_text("b.csv", "7,1\n8,1\n9,1\n6,1\n5,0\n4,0\n3,0\n2,0\n"));
    spec.train = 4;
    spec.test = 2;
    struct rg_dataset d = load(&spec);
    int ones[2] = {0};
    for (int i = 0; i < 6; i++)
        ones[i >= 4] += d.labels[i];
    CU_ASSERT(ones[0] == 2 && ones[1] == 1);
    rg_dataset_free(&d);
    say(&spec, "split", "order");
    d = load(&spec);
    for (int i = 0; i < 6; i++)
        CU_ASSERT(d.labels[i] == (i > 2));
    rg_dataset_free(&d);
}

/* Rows are numbered anew in the file of the test rows. */
static void test_numbers_apart(void)
{
    char text[2][600];
    for (int f = 0; f < 2; f++) {
        int used = snprintf(text[f], sizeof text[f], ",x,class\n");
        for (int i = 0; i < 20; i++)
            used += snprintf(text[f] + used, sizeof text[f] - (size_t)used, "%d,%d,%d\n", i,
                             i * 7 % 5, i % 2);
    }
    struct rg_data_spec spec = spec_of("csv", scratch_text("train.csv", text[0]), NULL);
    say(&spec, "test-file", scratch_text("test.csv", text[1]));
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.inputs == 1 && d.train == 20 && d.test == 20);
    CU_ASSERT(has_note(&d, "column 1 (without a name) left out"));
    rg_dataset_free(&d);
}

/* ---- libsvm ---- */

static void test_libsvm(void)
{
    static const char text[] = "+1 1:0.5 3:-2 # a note\n-1 2:1e-1\n+1 qid:4 1:1 2:2 3:3\n-1\n";
    struct rg_data_spec spec = spec_of("libsvm", scratch_text("s.svm", text), NULL);
    say(&spec, "split", "order");
    spec.train = 3;
    struct rg_dataset d = load(&spec);
    const double wanted[4][3] = {{0.5, 0, -2}, {0, 0.1, 0}, {1, 2, 3}, {0, 0, 0}};
    CU_ASSERT(d.inputs == 3 && d.classes == 2 && d.train == 3 && d.test == 1);
    CU_ASSERT(has_note(&d, "indices 1 to 3, taken to count from 1: 3 inputs"));
    CU_ASSERT(has_note(&d, "\"-1\" is 0, \"+1\" is 1"));
    for (int i = 0; i < 4; i++)
        for (size_t j = 0; j < 3; j++)
            CU_ASSERT_DOUBLE_EQUAL(as_read(&d, i, j), wanted[i][j], 1e-6);
    rg_dataset_free(&d);
    say(&spec, "index-base", "0");
    d = load(&spec);
    CU_ASSERT(d.inputs == 4 && d.mean[0] == 0);
    rg_dataset_free(&d);
    spec = spec_of("libsvm", scratch_text("s.svm", "0 0:1 1:2\n1 1:1\n0 0:3\n"), NULL);
    d = load(&spec);
    CU_ASSERT(d.inputs == 2 && has_note(&d, "indices 0 to 1, taken to count from 0"));
    rg_dataset_free(&d);
    say(&spec, "index-base", "1");
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "has an index 0"));
    static const struct {
        const char *text, *place, *words;
    } bad[] = {
        {"0 1:2\n1 2\n", "s.svm:2: ", "\"2\": INDEX:VALUE"},
        {"0 1:2\n1 2:x\n", "s.svm:2: ", "INDEX:VALUE"},
        {"0 1:2\n1 2:1 2:3\n", "s.svm:2: ", "index 2 behind 2"},
        {"0 1:2\n1 99999999999:1\n", "s.svm:2: ", "up to"},
        {"0 1:2\n1 1:1e39\n", "s.svm:2: ", "finite"},
        {"0 1:2\n2:1\n", "s.svm:2: ", "a label in front"},
        {"0 1:2\n1,2 1:1\n", "s.svm:2: ", "one label a row"},
        {"0 1:2\n0 1:1\n", "s.xml:7: ", "only one class"},
        {"0\n1\n", "s.xml:7: ", "no row has a value"},
        {"# nothing\n", "s.svm:", "without a row"},
    };
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        spec = spec_of("libsvm", scratch_text("s.svm", bad[i].text), NULL);
        CU_ASSERT(refuses(&spec, bad[i].place, bad[i].words));
    }
}

/* ---- inputs that failed ---- */

static void test_shared_inputs(void)
{
    static const struct {
        const char *file;
        struct word words[WORDS];
        int samples, inputs, classes;
        const char *note; /* of samples 0: what the refusal says */
    } cases[] = {
        {"label-first.csv",
         {{"classes", "10"}},
         0,
         0,
         0,
         "only one class is there|column 1 (\"label\")"},
        {"label-first.csv", {{"classes", "10"}, {"label", "first"}}, 60, 3, 10, NULL},
        {"from-1.csv", {{0}}, 60, 2, 3, "3 classes, in the order of their labels: \"1\" is 0"},
        {"number-head.csv", {{0}}, 60, 2, 3, "heading"},
        {"number-head.csv", {{"train", "51"}, {"test", "10"}}, 0, 0, 0, "heading of numbers"},
        {"epoch-ms.csv", {{0}}, 200, 1, 2, NULL},
        {"row-number.csv", {{0}}, 150, 1, 3, "column 1 (without a name) left out"},
        {"unseen-class.csv",
         {{"train", "20"}, {"test", "45"}},
         65,
         4,
         3,
         "class 2 has no training sample"},
    };
    if (access(INPUTS, R_OK) != 0) {
        printf("(skipped: %s is absent) ", INPUTS);
        return;
    }
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        char path[300];
        snprintf(path, sizeof path, INPUTS "%s", cases[i].file);
        struct rg_data_spec spec = spec_of("csv", path, cases[i].words);
        if (cases[i].samples == 0) {
            CU_ASSERT(refuses(&spec, "s.xml:7: ", cases[i].note));
            continue;
        }
        struct rg_dataset d = load(&spec);
        CU_ASSERT(d.train + d.test == cases[i].samples && (int)d.inputs == cases[i].inputs);
        CU_ASSERT_EQUAL(d.classes, cases[i].classes);
        if (cases[i].note)
            CU_ASSERT(has_note(&d, cases[i].note));
        rg_dataset_free(&d);
    }
}

/* EMNIST's letters and QMNIST's labels, as files in idx format. */
static void test_shared_idx(void)
{
    struct rg_data_spec spec = {DATA("idx"), .train = 100, .test = 30, .seed = 1};
    if (access(INPUTS, R_OK) != 0) {
        printf("(skipped: %s is absent) ", INPUTS);
        return;
    }
    say(&spec, "images", INPUTS "letters-images-idx3");
    say(&spec, "labels", INPUTS "letters-labels-idx1");
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.classes == 26 &&
              has_note(&d, "26 classes, in the order of their labels: \"1\" is 0"));
    rg_dataset_free(&d);
    say(&spec, "images", INPUTS "qmnist-images-idx3");
    say(&spec, "labels", INPUTS "qmnist-labels-idx2-int");
    d = load(&spec);
    CU_ASSERT(d.classes == 10 && has_note(&d, "the labels are column 1 of 8"));
    rg_dataset_free(&d);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"separators, quotes, commas", test_formats},
        {"one separator of several", test_separator},
        {"gzipped", test_gzipped},
        {"numbers", test_numbers},
        {"long lines", test_long_lines},
        {"headings", test_headings},
        {"labels become classes", test_labels},
        {"labels in any column", test_label_columns},
        {"one-hot labels", test_one_hot},
        {"one class", test_one_class},
        {"columns that number the rows", test_row_numbers},
        {"missing values", test_missing},
        {"dates and other offsets", test_offsets},
        {"the mean and deviation of another training", test_wanted_scaling},
        {"dates in words", test_dates},
        {"a spreadsheet's hint", test_hint},
        {"constant columns", test_constant},
        {"refusals", test_refusals},
        {"splits", test_splits},
        {"files apart", test_files_apart},
        {"some rows of files apart", test_some_of_files},
        {"row numbers of files apart", test_numbers_apart},
        {"libsvm", test_libsvm},
        {"inputs that failed", test_shared_inputs},
        {"idx files that failed", test_shared_idx},
    };
    return suite_main("tables", tests, RG_COUNT(tests), argc, argv);
}
