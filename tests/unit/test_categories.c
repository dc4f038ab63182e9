/* Columns of texts in tables: an input for each value, or the refusal that says what to do. */
#include "tables_fixture.h"

/* In the order of the file: the first rows train, the last `test` ones do not. */
static struct rg_data_spec in_order(const char *text, int test, const struct word *words)
{
    struct rg_data_spec spec = spec_of("csv", scratch_text("t.csv", text), words);
    say(&spec, "split", "order");
    spec.test = test;
    return spec;
}

/* Inputs [from, from + count) of each sample are these, "010 001": one character an input. */
static bool codes(const struct rg_dataset *d, size_t from, size_t count, const char *wanted)
{
    char got[400] = "";
    for (int i = 0; i < d->train + d->test; i++) {
        for (size_t j = from; j < from + count; j++) {
            float x = rg_dataset_x(d, (size_t)i)[j];
            strcat(got, x == 0 ? "0" : x == 1 ? "1" : "?");
        }
        strcat(got, " ");
    }
    got[strlen(got) - 1] = '\0';
    if (strcmp(got, wanted) != 0)
        printf("\n    wanted %s\n    got    %s\n", wanted, got);
    return strcmp(got, wanted) == 0;
}

static const char colours[] = "size,colour,y\n1,red,0\n3,blue,1\n1,green,0\n3,red,1\n2,blue,0\n";

static void one_input_a_value(void)
{
    struct rg_data_spec spec = in_order(colours, 1, NULL);
    struct rg_dataset d = load(&spec);
    CU_ASSERT_EQUAL_FATAL(d.inputs, 4);
    CU_ASSERT(codes(&d, 1, 3, "001 100 010 001 100")); /* blue, green, red */
    CU_ASSERT_STRING_EQUAL(d.input_names[1], "colour=blue");
    CU_ASSERT_STRING_EQUAL(d.input_names[3], "colour=red");
    CU_ASSERT_STRING_EQUAL(d.input_names[0], "size");
    CU_ASSERT(d.mean[0] == 2 && d.deviation[0] == 1); /* 1, 3, 1, 3 train */
    CU_ASSERT(d.x[0] == -1 && d.x[4 * 4] == 0);
    for (size_t j = 1; j < 4; j++)
        CU_ASSERT(d.mean[j] == 0 && d.deviation[j] == 1);
    CU_ASSERT(has_note(&d, "3 of 4 inputs are categories, 0 or 1, one for each value in sorted "
                           "order: column 2 (\"colour\") 3"));
    CU_ASSERT_EQUAL(d.input_note_count, 1);
    rg_dataset_free(&d);
}

/* Numbers that stand for names are sorted as numbers; a text among them is one of them. */
static void numbers_that_are_names(void)
{
    const struct word words[] = {{"categories", "zip"}, {0}};
    struct rg_data_spec spec =
        in_order("zip,a,y\n10,1,0\n9,2,1\n100,3,0\n9,4,1\n10,5,0\n", 1, words);
    struct rg_dataset d = load(&spec);
    CU_ASSERT_EQUAL_FATAL(d.inputs, 4);
    CU_ASSERT(codes(&d, 0, 3, "010 100 001 100 010")); /* 9, 10, 100 */
    rg_dataset_free(&d);
    spec = in_order("zip,a,y\n10,1,0\nA1,2,1\n10,3,0\nA1,4,1\n10,5,0\n", 1, words);
    d = load(&spec);
    CU_ASSERT(codes(&d, 0, 2, "10 01 10 01 10"));
    rg_dataset_free(&d);
}

/* Of four training rows one lacks its colour: of the three others one is blue, two are red. */
static void missing_values(void)
{
    const char *text = "colour,a,y\nred,1,0\n?,2,1\nred,3,0\nblue,4,1\nblue,5,0\n";
    struct word words[] = {{"missing", "mean"}, {0}};
    struct rg_data_spec spec = in_order(text, 1, words);
    struct rg_dataset d = load(&spec);
    CU_ASSERT_EQUAL_FATAL(d.inputs, 3);
    CU_ASSERT_DOUBLE_EQUAL(d.x[3], 1.0 / 3, 1e-7);
    CU_ASSERT_DOUBLE_EQUAL(d.x[4], 2.0 / 3, 1e-7);
    CU_ASSERT(d.x[0] == 0 && d.x[1] == 1);
    rg_dataset_free(&d);
    words[0].text = "drop";
    spec = in_order(text, 1, words);
    d = load(&spec);
    CU_ASSERT_EQUAL(d.train + d.test, 4);
    CU_ASSERT(codes(&d, 0, 2, "01 01 10 10"));
    rg_dataset_free(&d);
    words[0].text = "refuse";
    spec = in_order(text, 1, words);
    CU_ASSERT(refuses(&spec, "t.csv:3: ", "column 1 (\"colour\")|\"?\" is a missing|shares"));
    spec = in_order("what,a,y\nNone,1,0\nsome,2,1\nNone,3,0\nsome,4,1\n", 1, NULL); /* a word */
    d = load(&spec);
    CU_ASSERT(codes(&d, 0, 2, "10 01 10 01"));
    rg_dataset_free(&d);
}

/* A value that no training row has is no input. */
static void values_to_test_only(void)
{
    struct rg_data_spec spec =
        in_order("colour,a,y\nred,1,0\nblue,2,1\nred,3,0\nblue,4,1\n", 0, NULL);
    say(&spec, "test-file", scratch_text("u.csv", "colour,a,y\nblue,1,0\npink,2,1\nred,3,0\n"));
    struct rg_dataset d = load(&spec);
    CU_ASSERT_EQUAL_FATAL(d.inputs, 3);
    CU_ASSERT(codes(&d, 0, 2, "01 10 01 10 10 00 01"));
    CU_ASSERT(has_note(&d, "column 1 (\"colour\"): \"pink\": no training row has that"));
    rg_dataset_free(&d);
}

/* Without a number a heading is told by its texts, which do not come again. */
static void tables_of_texts(void)
{
    static const char rows[] = "p,x,s\ne,x,y\ne,b,s\np,b,y\np,x,y\n";
    char headed[80];
    struct word words[] = {{"label", "first"}, {0}};
    struct rg_data_spec spec = in_order(rows, 1, words);
    struct rg_dataset d = load(&spec);
    CU_ASSERT_EQUAL_FATAL(d.train + d.test, 5);
    CU_ASSERT(codes(&d, 0, 4, "0110 0101 1010 1001 0101")); /* b, x; s, y */
    CU_ASSERT(rg_dataset_label(&d, 0) == 1 && rg_dataset_label(&d, 1) == 0);
    CU_ASSERT_STRING_EQUAL(d.input_names[2], "3=s");
    rg_dataset_free(&d);
    snprintf(headed, sizeof headed, "class,cap,gill\n%s", rows);
    spec = in_order(headed, 1, words);
    d = load(&spec);
    CU_ASSERT_EQUAL(d.train + d.test, 5);
    CU_ASSERT_STRING_EQUAL(d.input_names[2], "gill=s");
    rg_dataset_free(&d);
}

/* Blanks round a field are not part of it, quotes may hold what parts fields. */
static void as_adult_writes_it(void)
{
    struct rg_data_spec spec = in_order("39, State-gov, \"Bachelors, of\", <=50K\n"
                                        "50, Private, HS-grad, >50K\n"
                                        "38, Private, HS-grad, <=50K\n"
                                        "53, State-gov, HS-grad, >50K\n",
                                        1, NULL);
    struct rg_dataset d = load(&spec);
    CU_ASSERT_EQUAL_FATAL(d.inputs, 5);
    CU_ASSERT(codes(&d, 1, 4, "0110 1001 1001 0101"));
    CU_ASSERT_STRING_EQUAL(d.input_names[3], "3=Bachelors, of");
    CU_ASSERT(d.classes == 2 && rg_dataset_label(&d, 0) == 0 && rg_dataset_label(&d, 1) == 1);
    rg_dataset_free(&d);
}

/* Rows a1,1,0 and on, with `what` in the second column of row `at`. */
static const char *many(int rows, int values, int at, const char *what)
{
    static char text[1 << 15];
    int used = 0;
    for (int i = 0; i < rows; i++) {
        char own[20];
        snprintf(own, sizeof own, "v%d", i % values);
        used += snprintf(text + used, sizeof text - (size_t)used, "%d,%s,%d\n", i * i,
                         i == at ? what : own, i % 2);
    }
    return text;
}

static void refusals(void)
{
    static const struct {
        struct {
            int rows, values, at;
            const char *what;
        } many; /* no rows: */
        const char *text, *place, *words;
        struct word word;
    } cases[] = {
        {{40, 7, 30, "5"},
         NULL,
         "t.csv:31: ",
         "\"5\" is a number|\"v0\" (line 1)|categories=\"2\"",
         {0}},
        {{40, 7, 30, "1.000,5"}, NULL, "t.csv:31: ", "4 columns: 3 are", {0}},
        {{40, 7, 30, "12%"}, NULL, "t.csv:31: ", "\"12%\" is a number|drop=\"2\"", {0}},
        {{300, 101, -1, ""}, NULL, "t.csv:101: ", "\"v100\"|over 100 texts|categories=\"2\"", {0}},
        {{40, 40, -1, ""},
         NULL,
         "s.xml:7: ",
         "column 2|a text of its own in each row|drop=\"2\"",
         {0}},
        {{1100, 1100, -1, ""}, NULL, "t.csv:1025: ", "more than 1024", {"categories", "2"}},
        {{40, 7, -1, ""},
         NULL,
         "s.xml:7: ",
         "categories=\"9\"|no column|1 to 3",
         {"categories", "9"}},
        {{0},
         "1,12%,0\n2,13%,1\n",
         "t.csv:1: ",
         "column 2|\"12%\" is not a number|categories=\"2\"",
         {0}},
        {{0},
         "1,31.12.2024,0\n2,01.01.2025,1\n",
         "t.csv:1: ",
         "\"31.12.2024\" is not a number",
         {0}},
        {{0}, "1,$1.50,0\n2,$2,1\n", "t.csv:1: ", "\"$1.50\" is not a number", {0}},
        {{0},
         "1,2,0\n2,red,1\n",
         "t.csv:2: ",
         "\"red\" is not a number|drop=\"2\"|categories=\"2\"",
         {0}},
        {{0}, "a,b,y\n1,red,0\na,b,y\n2,red,1\n", "t.csv:3: ", "\"a\" is not a number", {0}},
    };
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        const struct word words[] = {cases[i].word, {0}};
        const char *text = cases[i].text ? cases[i].text
                                         : many(cases[i].many.rows, cases[i].many.values,
                                                cases[i].many.at, cases[i].many.what);
        struct rg_data_spec spec = in_order(text, 2, words);
        CU_ASSERT(refuses(&spec, cases[i].place, cases[i].words));
    }
    const struct word words[] = {{"categories", "2"}, {"drop", "2"}, {0}};
    struct rg_data_spec spec = in_order(colours, 1, words);
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "categories=\"2\"|left out by columns or drop"));
}

/* 101 values, of which each comes three times, where the scenario says so. */
static void more_values_where_asked(void)
{
    const struct word words[] = {{"categories", "2"}, {0}};
    struct rg_data_spec spec = in_order(many(303, 101, -1, ""), 3, words);
    struct rg_dataset d = load(&spec);
    CU_ASSERT_EQUAL(d.inputs, 102);
    rg_dataset_free(&d);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"one input a value", one_input_a_value},
        {"numbers that are names", numbers_that_are_names},
        {"missing values", missing_values},
        {"values to test only", values_to_test_only},
        {"tables of texts", tables_of_texts},
        {"as adult writes it", as_adult_writes_it},
        {"refusals", refusals},
        {"more values where asked", more_values_where_asked},
    };
    return suite_main("categories", tests, RG_COUNT(tests), argc, argv);
}
