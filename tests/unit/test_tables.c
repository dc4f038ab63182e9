/* Tables as people keep them: what each is taken to say, or the refusal that says what to do. */
#include "tables_fixture.h"

#include "models/layers.h"
#include "models/table_text.h"

#include <unistd.h>
#include <zlib.h>

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
                fabs(as_read(d, i, 1) - rows[r].b) < 1e-5 &&
                rg_dataset_label(d, (size_t)i) == rows[r].class)
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
        {"1,2,0\n2,3,1\n", "s.xml:7: ", "split=\"group:7\"|1 to 3", {"split", "group:7"}},
        {"1,2,0\n1,3,1\n", "s.xml:7: ", "is the same in all rows", {"split", "group:1"}},
        {"1,2,0\n2,3,1\n", "s.xml:7: ", "classes=\"1\"", {"classes", "1"}},
        {"1,2,0\r2,3,1\r", "r.csv:1: ", "carriage return inside", {0}},
    };
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        const struct word words[] = {cases[i].word, {0}};
        struct rg_data_spec spec = spec_of("csv", scratch_text("r.csv", cases[i].text), words);
        CU_ASSERT(refuses(&spec, cases[i].place, cases[i].words));
    }
    const struct word both[] = {{"drop", "1"}, {"columns", "2"}, {0}};
    struct rg_data_spec spec = spec_of("csv", scratch_text("r.csv", "1,2,0\n2,3,1\n"), both);
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "columns and drop: only one"));
    /* 300 labels in as many rows are hardly classes, but for who says so. */
    char text[6000] = "";
    for (int i = 0, used = 0; i < 300; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%d,%g\n", i % 7, i * 1.5);
    spec = spec_of("csv", scratch_text("r.csv", text), NULL);
    CU_ASSERT(refuses(&spec, "s.xml:7: ",
                      "column 2, the last, would be|300 different values in 300 rows|"
                      "what looks like labels: column 1"));
    say(&spec, "label", "last");
    say(&spec, "split", "order");
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.classes == 300 && d.train == 240 && d.test == 60);
    for (int i = 0; i < 300; i++)
        CU_ASSERT_EQUAL(rg_dataset_label(&d, (size_t)i), i);
    CU_ASSERT_STRING_EQUAL(d.class_names[299], "448.5");
    CU_ASSERT(has_note(&d, "60 classes have no training sample, but some to test: they cannot be "
                           "learnt: 240, 241"));
    CU_ASSERT(d.note_count < 10);
    rg_dataset_free(&d);
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
                    CU_ASSERT_EQUAL(rg_dataset_label(&d, (size_t)s),
                                    cases[i].mapped[rows[r].class]);
        rg_dataset_free(&d);
    }
    /* A network that was trained before: labels among its classes mean what they did then. */
    struct rg_data_spec spec = spec_of("csv", scratch_text("l.csv", "5,1\n6,2\n7,1\n8,2\n"), NULL);
    say(&spec, "classes", "3");
    spec.trained_before = true;
    struct rg_dataset d = load(&spec);
    for (int s = 0; s < 4; s++)
        CU_ASSERT_EQUAL(rg_dataset_label(&d, (size_t)s), lround(as_read(&d, s, 0)) % 2 ? 1 : 2);
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
        CU_ASSERT_EQUAL(rg_dataset_label(&d, (size_t)i), a == 2 || a == 3);
    }
    rg_dataset_free(&d);
    spec = spec_of("csv", scratch_text("o.csv", "a,x,y\n1,1,0\n2,1,1\n"), words);
    CU_ASSERT(refuses(&spec, "o.csv:3: ", "column 3 (\"y\")|one-hot"));
    spec = spec_of("csv", scratch_text("o.csv", "a,x,y\n1,1,0\n2,0,0\n"), words);
    CU_ASSERT(refuses(&spec, "o.csv:3: ", "without a 1"));
    spec = spec_of("csv", scratch_text("o.csv", "a,x,y\n1,1,0\n2,0,0.5\n"), words);
    CU_ASSERT(refuses(&spec, "o.csv:3: ", "0.5 of a one-hot label"));
}

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

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"separators, quotes, commas", test_formats},
        {"one separator of several", test_separator},
        {"gzipped", test_gzipped},
        {"numbers", test_numbers},
        {"long lines", test_long_lines},
        {"headings", test_headings},
        {"a spreadsheet's hint", test_hint},
        {"refusals", test_refusals},
        {"labels become classes", test_labels},
        {"labels in any column", test_label_columns},
        {"one-hot labels", test_one_hot},
        {"one class", test_one_class},
    };
    return suite_main("tables", tests, RG_COUNT(tests), argc, argv);
}
