/* Mutated data files, tables, idx and libsvm: reading them must not crash, hang or leak, and a
 * refusal is one line that names the file, or the scenario that asks for it. What is read is whole:
 * finite values, labels that are classes. Run it under the address and undefined-behaviour
 * sanitizers. */
#include "mutations.h"

#include "models/dataset.h"
#include "support/suite.h"
#include "unit/scratch.h"

#include <math.h>
#include <zlib.h>

static const char *const words[] = {
    ",",     ";",     "\t",    " ",      "\"",         "\"\"",         "\n",
    "\r\n",  "\n\n",  "#",     "?",      "NA",         "nan",          "inf",
    "-",     "+",     "1e999", "1e-999", "0x10",       "1,5",          "1.5",
    "1.5.5", ":",     "1:",    ":1",     "qid:7",      "0:1",          "99999999999999999999",
    "-1",    "|",     "id",    "label",  "0,1,2",      "\xef\xbb\xbf", "\xff\xfe",
    "\x01",  "a,b,c", "3e38",  "-3e38",  "2147483648",
};

/* What a scenario could say of a kind: a few attributes, drawn anew each time. */
struct choice {
    const char *name, *texts[6];
};

static const struct choice of_csv[] = {
    {"label", {"first", "last", "2", "class", "a,b", "1,2"}},
    {"columns", {"1", "2,3", "1-3", "a", "x"}},
    {"drop", {"1", "2", "b"}},
    {"missing", {"refuse", "drop", "mean"}},
    {"heading", {"auto", "yes", "no"}},
    {"split", {"order", "stratified", "group:1", "group:a"}},
    {"classes", {"2", "3", "256"}},
    {"categories", {"1", "2", "b", "1-2"}},
};
static const struct choice of_idx[] = {
    {"split", {"stratified", "order"}},
    {"classes", {"2", "10", "256"}},
    {"label", {"1", "2", "3"}},
};
static const struct choice of_libsvm[] = {
    {"split", {"stratified", "order"}},
    {"index-base", {"auto", "0", "1"}},
    {"inputs", {"1", "4", "1000"}},
};

static void choose(struct rg_data_spec *spec, const struct choice *choices, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t texts = 0;
        while (texts < RG_COUNT(choices[i].texts) && choices[i].texts[texts])
            texts++;
        struct rg_data_value *value = rg_data_value(spec, choices[i].name);
        size_t which = below(texts);
        if (below(3) > 0)
            continue;
        value->text = (char *)(uintptr_t)choices[i].texts[which];
        bool is_choice = spec->kind->attributes[value - spec->values].type == RG_DATA_CHOICE;
        value->number = is_choice ? (int)which : atoi(value->text);
    }
}

static bool is_whole(const struct rg_dataset *d)
{
    size_t samples = (size_t)d->train + (size_t)d->test;
    bool good = d->train > 0 && d->test > 0 && d->inputs > 0;
    good = good && (d->classes >= 2 || (d->classes == 0 && d->target_count > 0));
    float *x = malloc(d->inputs * sizeof *x);
    RG_ASSERT(x);
    for (size_t i = 0; i < samples * d->inputs && good; i++) {
        if (i % d->inputs == 0)
            rg_dataset_copy_x(d, i / d->inputs, x);
        good = isfinite(x[i % d->inputs]);
    }
    free(x);
    for (size_t i = 0; i < samples * (size_t)d->target_count && good && d->classes == 0; i++)
        good = isfinite(((const float *)d->targets)[i]);
    for (size_t i = 0; i < samples && good && d->classes > 0; i++)
        good = rg_dataset_label(d, (size_t)i) < d->classes;
    return good;
}

/* Refusals begin with the file, and its line where it has lines; or with the scenario's place. */
static bool is_told(const struct rg_error *e, const struct rg_data_spec *spec, const char *path,
                    int err)
{
    bool lines = strcmp(spec->kind->name, "idx") != 0 && strcmp(spec->kind->name, "npy") != 0;
    bool here = lines ? has_line(e->text, path) : strstr(e->text, path) != NULL;
    return is_one_line(e) && e->code == err && (here || strncmp(e->text, "s.xml:7: ", 9) == 0);
}

/* Mutations of the file that one attribute names. Returns how many were refused. */
static long fuzz(const struct rg_data_spec *plain, const char *attribute, const struct input *seed,
                 const struct choice *choices, size_t count, long times)
{
    long refused = 0;
    for (long i = 0; i < times; i++) {
        static struct input in;
        struct rg_data_spec spec = *plain;
        struct rg_dataset data;
        struct rg_error e = {0};
        in = *seed;
        mutate(&in, words, RG_COUNT(words));
        const char *path = scratch_bytes("mutated", in.bytes, in.size);
        rg_data_value(&spec, attribute)->text = (char *)(uintptr_t)path;
        choose(&spec, choices, count);
        spec.seed = (uint64_t)i;
        spec.numbers = spec.kind->numbers && below(4) == 0;
        watch();
        int err = rg_dataset_load(&spec, &data, &e);
        bool good = err == 0 ? is_whole(&data) : is_told(&e, &spec, path, err);
        CU_ASSERT_TRUE(good);
        refused += err != 0;
        rg_dataset_free(&data);
        if (!good) {
            printf("\n    round %ld: %d, \"%s\"\n", i, err, e.text);
            break;
        }
    }
    return refused;
}

static struct rg_data_spec spec_of(const char *kind)
{
    return (struct rg_data_spec){
        .kind = rg_data_kinds[rg_data_kind_index(kind)], .where = "s.xml", .line = 7};
}

static struct input text_of(const char *text)
{
    static struct input in;
    in.size = strlen(text);
    memcpy(in.bytes, text, in.size);
    return in;
}

static void test_tables(void)
{
    static const char *const tables[] = {
        "a,b,class\n1,2.5,x\n3,4,y\n5,-6e2,x\n7,8,y\n2,2,x\n1,0,y\n",
        "0,1,2\n1.25,2,0\n2.5,3,1\n3.75,4,2\n1,2,0\n2,2,1\n3,3,2\n",
        "a;b;c\n1,5;2;0\n2,5;?;1\n3;7;0\n2,25;9;1\n4;1;0\n",
        "# a b c\n 1.0e+00  2.0 0\n  3.5e-01 4 1\n 5 6 0\n 7 8 1\n",
        ",w,class\n0,\"1\",\"a, b\"\n1,\"2\",c\n2,5,c\n3,3,\"a, "
        "b\"\n4,4,c\n5,2,c\n6,7,c\n7,1,c\n8,2,c\n9,3,c\n",
        "label,t,u\n0,1700000000000,1\n1,1700000000100,2\n0,1700000000250,5\n1,1700000000300,4\n",
        "39, State-gov, \"B, of\", <=50K\n50, Private, HS, >50K\n38, ?, HS, <=50K\n53, Private, "
        "HS, >50K\n",
        "p,x,s\ne,x,y\ne,b,s\np,b,y\np,x,y\ne,x,s\n",
    };
    long refused = 0, count = 2 * rounds();
    struct rg_data_spec spec = spec_of("csv");
    for (size_t i = 0; i < RG_COUNT(tables); i++) {
        struct input in = text_of(tables[i]);
        refused +=
            fuzz(&spec, "file", &in, of_csv, RG_COUNT(of_csv), count / (long)RG_COUNT(tables));
    }
    CU_ASSERT_TRUE(refused > count / 8 && refused < count);
}

static void test_label_files(void)
{
    struct rg_data_spec spec = spec_of("csv");
    struct input in = text_of("5\n3\n 5\n3\n1\n");
    rg_data_value(&spec, "file")->text =
        (char *)(uintptr_t)scratch_text("x.txt", "1 2\n2 4\n3 6\n5 5\n1 1\n");
    long count = rounds() / 4, refused = fuzz(&spec, "labels", &in, of_csv + 5, 1, count);
    CU_ASSERT_TRUE(refused > count / 8 && refused < count);
}

static void test_libsvm(void)
{
    struct rg_data_spec spec = spec_of("libsvm");
    struct input in = text_of("+1 1:0.5 3:-2 # x\n-1 2:1e-1\n+1 1:1 2:2 3:3\n-1\n-1 4:4\n+1 1:1\n");
    long count = rounds();
    long refused = fuzz(&spec, "file", &in, of_libsvm, RG_COUNT(of_libsvm), count);
    CU_ASSERT_TRUE(refused > count / 8 && refused < count);
}

/* Images of six samples in that type and these dimensions, and labels in columns. */
static struct input idx_of(int type, const unsigned char *size, int dimensions, size_t width)
{
    static struct input in;
    in = (struct input){.bytes = {0, 0, (unsigned char)type, (unsigned char)dimensions}, .size = 4};
    size_t values = width;
    for (int i = 0; i < dimensions; i++, in.size += 4) {
        in.bytes[in.size + 3] = size[i];
        values *= size[i];
    }
    for (size_t i = 0; i < values; i++)
        in.bytes[in.size++] = (unsigned char)(i % width == width - 1 ? i / width % 5 : 0);
    return in;
}

static void test_idx(void)
{
    static const unsigned char images[] = {6, 2, 3, 2}, labels[] = {6, 3};
    struct rg_data_spec spec = spec_of("idx");
    long refused = 0, count = rounds();
    struct input in = idx_of(8, images, 3, 1), own = idx_of(8, labels, 1, 1);
    rg_data_value(&spec, "labels")->text =
        (char *)(uintptr_t)scratch_bytes("labels", own.bytes, own.size);
    refused += fuzz(&spec, "images", &in, of_idx, RG_COUNT(of_idx) - 1, count / 4);
    in = idx_of(14, images, 4, 8);
    refused += fuzz(&spec, "images", &in, of_idx, RG_COUNT(of_idx) - 1, count / 4);
    in = idx_of(8, images, 3, 1);
    rg_data_value(&spec, "images")->text =
        (char *)(uintptr_t)scratch_bytes("images", in.bytes, in.size);
    in = idx_of(12, labels, 2, 4);
    refused += fuzz(&spec, "labels", &in, of_idx, RG_COUNT(of_idx), count / 4);
    refused += fuzz(&spec, "labels", &own, of_idx, RG_COUNT(of_idx), count / 4);
    CU_ASSERT_TRUE(refused > count / 8 && refused < count);
}

/* A table that is compressed, and mutated so. */
static void test_compressed(void)
{
    static const char table[] = "a,b,class\n1,2.5,x\n3,4,y\n5,-6e2,x\n7,8,y\n2,2,x\n1,0,y\n";
    static struct input in;
    struct rg_data_spec spec = spec_of("csv");
    const char *path = scratch_path("whole.gz");
    gzFile stream = gzopen(path, "wb");
    FILE *file;
    CU_ASSERT_FATAL(stream && gzwrite(stream, table, sizeof table - 1) > 0 && gzclose(stream) == 0);
    CU_ASSERT_FATAL((file = fopen(path, "rb")) != NULL);
    in.size = fread(in.bytes, 1, sizeof in.bytes, file);
    fclose(file);
    long count = rounds() / 4, refused = fuzz(&spec, "file", &in, of_csv, RG_COUNT(of_csv), count);
    CU_ASSERT_TRUE(refused > count / 8 && refused <= count);
}

/* numpy's files, under names that other kinds have, and as what they are. */
static void test_npy(void)
{
    static const char *const kinds[][2] = {
        {"csv", "file"}, {"libsvm", "file"}, {"idx", "images"}, {"idx", "labels"}, {"npy", "x"}};
    static const char *const heads[] = {
        "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (6, 3), }",
        "\x93NUMPY\x02\x00v\x00\x00\x00{'descr': '|u1', 'fortran_order': True, 'shape': (6, 3), }"};
    static const size_t marks[] = {10, 12};
    long count = rounds() / 8, refused = 0, read = 0;
    static struct input in;
    for (size_t k = 0; k < RG_COUNT(kinds); k++)
        for (size_t h = 0; h < RG_COUNT(heads); h++) {
            struct rg_data_spec spec = spec_of(kinds[k][0]);
            const unsigned char size[] = {6, 3};
            struct input own = idx_of(8, size, 2, 1);
            const char *whole = scratch_bytes("whole", own.bytes, own.size);
            bool is_idx = strcmp(kinds[k][0], "idx") == 0, is_npy = strcmp(kinds[k][0], "npy") == 0;
            if (is_idx)
                rg_data_value(&spec, "images")->text = rg_data_value(&spec, "labels")->text =
                    (char *)(uintptr_t)whole;
            memset(&in, ' ', sizeof in);
            memcpy(in.bytes, heads[h], marks[h]);
            memcpy(in.bytes + marks[h], heads[h] + marks[h], strlen(heads[h] + marks[h]));
            in.bytes[127] = '\n';
            memset(in.bytes + 128, 0, 6 * 3 * 4);
            in.size = 128 + 6 * 3 * 4;
            if (is_npy) { /* those whose header is as it was are read */
                static const char labels[] = "\x93NUMPY\x01\x00\x39\x00{'descr': '|u1', "
                                             "'fortran_order': False, 'shape': (6,), }\0\1\0\1\1";
                const char *y = scratch_bytes("y", (const unsigned char *)labels, sizeof labels);
                rg_data_value(&spec, "y")->text = (char *)(uintptr_t)y;
                read += 4 * count - fuzz(&spec, "x", &in, of_idx, RG_COUNT(of_idx), 4 * count);
            } else {
                refused += fuzz(&spec, kinds[k][1], &in, is_idx ? of_idx : of_libsvm, 1, count);
            }
        }
    CU_ASSERT_TRUE(refused > 7 * count); /* of 8 */
    CU_ASSERT_TRUE(read > 0);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"tables", test_tables},         {"labels in a file of their own", test_label_files},
        {"libsvm", test_libsvm},         {"idx", test_idx},
        {"compressed", test_compressed}, {"npy", test_npy},
    };
    if (!roll())
        return 1;
    int status = suite_main("data, mutated", tests, RG_COUNT(tests), argc, argv);
    rg_random_free(dice);
    return status;
}
