/* Which rows of tables train and which test, labels and test rows in files of their own, libsvm,
 * and files that could not be read once. */
#include "tables_fixture.h"

#include <unistd.h>

#define INPUTS RG_SOURCE_DIR "/../shared/inputs/"

enum { WORDS = 5 };

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
        counts[i >= 30][rg_dataset_label(&d, (size_t)i)]++;
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
        CU_ASSERT_EQUAL(rg_dataset_label(&d, (size_t)i), labels[i]);
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
    say(&spec, "test-file", rg_data_string(&spec, "file"));
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
        ones[i >= 4] += rg_dataset_label(&d, (size_t)i);
    CU_ASSERT(ones[0] == 2 && ones[1] == 1);
    rg_dataset_free(&d);
    say(&spec, "split", "order");
    d = load(&spec);
    for (int i = 0; i < 6; i++)
        CU_ASSERT(rg_dataset_label(&d, (size_t)i) == (i > 2));
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
        {"splits", test_splits},
        {"files apart", test_files_apart},
        {"some rows of files apart", test_some_of_files},
        {"row numbers of files apart", test_numbers_apart},
        {"libsvm", test_libsvm},
        {"inputs that failed", test_shared_inputs},
        {"idx files that failed", test_shared_idx},
    };
    return suite_main("tables: files", tests, RG_COUNT(tests), argc, argv);
}
