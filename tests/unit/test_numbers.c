/* Targets that are numbers (loss="mean-squared-error"): of tables, sparse rows, arrays and noise.
 */
#include "tables_fixture.h"

#include <math.h>

/* Row i has the inputs i and i * i; what it comes near to is 10 i - 5 and -i / 4. */
enum { ROWS = 9 }; /* of 10, the first column would be their number */

static const char *table(const char *name, const char *form, const char *heading)
{
    char text[2000];
    int used = snprintf(text, sizeof text, "%s", heading);
    for (int i = 0; i < ROWS; i++)
        used +=
            snprintf(text + used, sizeof text - (size_t)used, form, i, i * i, 10 * i - 5, -i / 4.0);
    return scratch_text(name, text);
}

static struct rg_data_spec numbers_of(const char *kind, const char *path, const struct word *words)
{
    struct rg_data_spec spec = spec_of(kind, path, words);
    spec.numbers = true;
    return spec;
}

static float number(const struct rg_dataset *d, int sample, int k)
{
    return ((const float *)rg_dataset_target(d, (size_t)sample))[k];
}

/* Inputs and numbers of a row stay together, wherever the row went. */
static bool holds(const struct rg_dataset *d, bool two)
{
    bool seen[ROWS] = {false}, good = d->classes == 0 && d->target_count == 1 + two;
    good = good && d->train + d->test == ROWS && d->class_names == NULL;
    for (int i = 0; good && i < ROWS; i++) {
        long row = lround(as_read(d, i, 0));
        good = row >= 0 && row < ROWS && !seen[row] && number(d, i, 0) == 10 * row - 5 &&
               (!two || number(d, i, 1) == -row / 4.0f);
        seen[row] = true;
    }
    return good;
}

static void test_tables(void)
{
    static const struct {
        const char *form, *heading;
        struct word words[3];
        bool two;
    } cases[] = {
        {"%d,%d,%d,%g\n", "", {{"label", "3,4"}, {0}}, true},
        {"%d,%d,%d,%g\n", "a,b,c,d\n", {{"label", "c,d"}, {0}}, true},
        {"%d,%d,%d\n", "a,b,price\n", {{0}}, false},
        {"%d,%d,%d,%g\n", "a,b,c,d\n", {{"label", "c"}, {"drop", "d"}, {0}}, false},
        {"%d;%d;%d;%g\n", "a;b;c;d\n", {{"label", "3-4"}, {"split", "order"}, {0}}, true},
    };
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        struct rg_data_spec spec =
            numbers_of("csv", table("n.csv", cases[i].form, cases[i].heading), cases[i].words);
        struct rg_dataset d = load(&spec);
        CU_ASSERT(holds(&d, cases[i].two) && d.test == 1);
        CU_ASSERT(has_note(&d, "-5 to 75"));
        rg_dataset_free(&d);
    }
}

static void test_own_files(void)
{
    char numbers[200] = "";
    for (int i = 0; i < ROWS; i++)
        snprintf(numbers + strlen(numbers), 20, "%d,0\n", 10 * i - 5); /* decimal commas */
    struct rg_data_spec spec = numbers_of("csv", table("x.csv", "%d;%d\n", ""), NULL);
    say(&spec, "labels", scratch_text("y.txt", numbers));
    CU_ASSERT(refuses(&spec, "y.txt:1: ", "one label a line"));
    say(&spec, "labels", scratch_text("y.txt", "-5\n5\n15\n25\n35\n4.5e1\n55\n65\n75\n"));
    struct rg_dataset d = load(&spec);
    CU_ASSERT(holds(&d, false));
    rg_dataset_free(&d);
    say(&spec, "file", table("x.csv", "%d,0;%d,0\n", "")); /* decimal commas in this file alone */
    d = load(&spec);
    CU_ASSERT(holds(&d, false));
    rg_dataset_free(&d);
    say(&spec, "labels", scratch_text("y.txt", "-5\n5\n15\nmany\n35\n45\n55\n65\n75\n"));
    CU_ASSERT(refuses(&spec, "y.txt:4: ", "\"many\"|a number that is finite"));
}

static void test_sparse_rows(void)
{
    char text[1000] = "";
    for (int i = 0; i < ROWS; i++)
        snprintf(text + strlen(text), 60, "%d 1:%d 2:%d\n", 10 * i - 5, i, i * i);
    struct rg_data_spec spec = numbers_of("libsvm", scratch_text("n.svm", text), NULL);
    struct rg_dataset d = load(&spec);
    CU_ASSERT(holds(&d, false));
    rg_dataset_free(&d);
    spec = numbers_of("libsvm", scratch_text("n.svm", "1.5 1:1\n1e39 1:2\n"), NULL);
    CU_ASSERT(refuses(&spec, "n.svm:2: ", "finite in single precision"));
    spec = numbers_of("libsvm", scratch_text("n.svm", "1.5 1:1\nred 1:2\n"), NULL);
    CU_ASSERT(refuses(&spec, "n.svm:2: ", "mean-squared-error"));
}

static void test_noise(void)
{
    struct rg_data_spec spec = {DATA("random"), .train = 4,      .test = 2,
                                .seed = 5,      .numbers = true, .where = "s.xml"};
    rg_data_value(&spec, "inputs")->number = 3;
    rg_data_value(&spec, "classes")->number = 2;
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.classes == 0 && d.target_count == 2);
    CU_ASSERT(number(&d, 0, 0) != number(&d, 0, 1) && number(&d, 0, 0) != number(&d, 1, 0));
    CU_ASSERT_EQUAL(rg_dataset_bytes(&d, d.kept), 6 * (3 * 4 + 2 * 4) + 4 * 4);
    float x[6], y[4];
    const uint32_t order[2] = {3, 1};
    rg_dataset_gather(&d, order, 2, x, y);
    CU_ASSERT(y[0] == number(&d, 3, 0) && y[1] == number(&d, 3, 1) && y[2] == number(&d, 1, 0));
    rg_dataset_free(&d);
}

static void test_refusals(void)
{
    static const struct {
        const char *text, *place, *words;
        struct word word;
    } cases[] = {
        {"1,2,0.5\n2,3,red\n", "r.csv:2: ", "column 3: \"red\" is not a number, as targets", {0}},
        {"1,2,0.5\n2,3,?\n", "r.csv:2: ", "column 3|missing value|\"drop\"", {0}},
        {"1,2,0.5\n2,3,?\n", "r.csv:2: ", "column 3|missing value", {"missing", "mean"}},
        {"1,2,0.5\n2,3,1e39\n", "r.csv:2: ", "not finite in single precision", {0}},
        {"target,b,c\n1,2,0.5\n2,3,1\n", "s.xml:7: ", "\"target\") is called a label|(\"c\")", {0}},
        {"1,2,0.5\n2,3,1\n",
         "s.xml:7: ",
         "split=\"group:3\"|that is the label",
         {"split", "group:3"}},
    };
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        const struct word words[] = {cases[i].word, {0}};
        struct rg_data_spec spec = numbers_of("csv", scratch_text("r.csv", cases[i].text), words);
        CU_ASSERT(refuses(&spec, cases[i].place, cases[i].words));
    }
    /* A row that lacks its number is dropped where that is wanted; means are for inputs. */
    const struct word drop[] = {{"missing", "drop"}, {0}}, mean[] = {{"missing", "mean"}, {0}};
    struct rg_data_spec spec =
        numbers_of("csv", scratch_text("r.csv", "1,2,0.5\n2,3,?\n3,3,1\n4,4,2\n"), drop);
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.train + d.test == 3);
    rg_dataset_free(&d);
    spec = numbers_of("csv", scratch_text("r.csv", "1,?,0.5\n2,3,2.5\n3,3,1\n4,4,2\n"), mean);
    d = load(&spec);
    CU_ASSERT(d.train + d.test == 4);
    rg_dataset_free(&d);
    struct rg_data_spec digits = {DATA("digits"), .numbers = true, .where = "s.xml", .line = 7};
    CU_ASSERT(
        refuses(&digits, "s.xml:7: ", "data of kind digits have classes|csv, random, libsvm, npy"));
    /* Numbers in one-hot columns of a network of classes: a word of what may be meant. */
    const struct word two[] = {{"label", "2,3"}, {0}};
    spec = spec_of("csv", scratch_text("r.csv", "1,2,0.5\n2,3,1\n"), two);
    CU_ASSERT(refuses(&spec, "r.csv:1: ", "one-hot|loss=\"mean-squared-error\""));
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"columns of tables", test_tables}, {"files of their own", test_own_files},
        {"sparse rows", test_sparse_rows},  {"noise", test_noise},
        {"refusals", test_refusals},
    };
    return suite_main("numbers", tests, RG_COUNT(tests), argc, argv);
}
