/* Data of kind npy: every type and byte order, shapes, labels, what is refused. That numpy's own
 * files are read, test_public_tables shows. */
#include "models_fixture.h"

#include <stdio.h>
#include <unistd.h>
#include <zlib.h>

static char folder[] = "/tmp/rg_npy_XXXXXX";
static char path_room[16][64];

static char *path_of(const char *name)
{
    static int next;
    char *path = path_room[next++ % 16];
    snprintf(path, sizeof path_room[0], "%s/%s", folder, name);
    return path;
}

/* A file of that header and, behind it, these bytes. */
static char *file_of(const char *name, int version, const char *header, const void *bytes, size_t n)
{
    char *path = path_of(name);
    FILE *file = fopen(path, "wb");
    size_t length = strlen(header);
    RG_ASSERT(file);
    fwrite("\x93NUMPY", 1, 6, file);
    fputc(version, file);
    fputc(0, file);
    for (int i = 0; i < (version == 1 ? 2 : 4); i++)
        fputc((int)(length >> 8 * i & 255), file);
    fwrite(header, 1, length, file);
    fwrite(bytes, 1, n, file);
    RG_ASSERT(fclose(file) == 0);
    return path;
}

/* "{'descr': '<f4', 'fortran_order': False, 'shape': (6, 4), }", as numpy pads it. */
static char *array(const char *name, const char *type, const char *shape, const void *bytes,
                   size_t n)
{
    char header[200];
    snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }%*s\n",
             type, shape, 20, "");
    return file_of(name, 1, header, bytes, n);
}

/* Value i is 7 i mod 100 less `less`, over 4 where it is no integer. */
static char *values(const char *name, const char *type, const char *shape, int count, int less)
{
    unsigned char bytes[800];
    size_t width = (size_t)(type[2] - '0');
    for (int i = 0; i < count; i++) {
        int whole = 7 * i % 100 - less;
        float single = (float)whole / 4;
        double full = whole / 4.0;
        uint64_t bits = (uint64_t)(int64_t)whole;
        uint32_t half;
        memcpy(&half, &single, sizeof half);
        if (type[1] == 'f' && width == 4)
            bits = half;
        if (type[1] == 'f' && width == 8)
            memcpy(&bits, &full, sizeof bits);
        for (size_t k = 0; k < width; k++)
            bytes[(size_t)i * width + k] =
                (unsigned char)(bits >> 8 * (type[0] == '>' ? width - 1 - k : k));
    }
    return array(name, type, shape, bytes, (size_t)count * width);
}

static char *labels(void)
{
    static const int64_t y[] = {0, 1, 0, 1, 0, 1};
    return array("y", "<i8", "(6,)", y, sizeof y);
}

static struct rg_data_spec spec_of(char *x, char *y)
{
    struct rg_data_spec spec = {DATA("npy"), .train = 4, .test = 2, .where = "s.xml", .line = 6};
    say(&spec, "x", x);
    say(&spec, "y", y);
    say(&spec, "split", "order");
    return spec;
}

static struct rg_dataset load(const struct rg_data_spec *spec)
{
    struct rg_error e = {0};
    struct rg_dataset data;
    int err = rg_dataset_load(spec, &data, &e);
    if (err < 0)
        fprintf(stderr, "%s\n", e.text);
    CU_ASSERT_FATAL(err == 0);
    draw_all(&data);
    expect_parts(spec, &data);
    expect_own(spec, &data);
    return data;
}

static void refuses(const struct rg_data_spec *spec, const char *where, const char *what)
{
    struct rg_error e = {0};
    struct rg_dataset data;
    CU_ASSERT(rg_dataset_load(spec, &data, &e) == RG_ERR_INVALID);
    bool right = strstr(e.text, where) && strstr(e.text, what) && !strchr(e.text, '\n');
    if (!right)
        fprintf(stderr, "expected %s ... %s, got: %s\n", where, what, e.text);
    CU_ASSERT(right);
}

/* As idx has them: bytes over 255, integers over the largest of the training samples (94 - 50, or
 * 50 of the 16 values), floats as they are. */
static void test_types(void)
{
    static const struct {
        const char *type;
        int less;
        double over;
    } cases[] = {{"|u1", 0, 255}, {"|b1", 0, 255}, {"|i1", 50, 50}, {"<i2", 50, 50},
                 {">i2", 50, 50}, {"<u2", 0, 98},  {"<i4", 50, 50}, {">u4", 0, 98},
                 {"<i8", 50, 50}, {"<u8", 0, 98},  {"<f4", 50, 4},  {">f4", 50, 4},
                 {"<f8", 50, 4},  {">f8", 50, 4}};
    for (size_t c = 0; c < RG_COUNT(cases); c++) {
        struct rg_data_spec spec =
            spec_of(values("x", cases[c].type, "(6, 2, 2)", 24, cases[c].less), labels());
        struct rg_dataset d = load(&spec);
        CU_ASSERT(d.inputs == 4 && d.shape.height == 2 && d.shape.width == 2 && d.classes == 2);
        for (int i = 0; i < 24; i++)
            CU_ASSERT_DOUBLE_EQUAL(d.x[i], (7 * i % 100 - cases[c].less) / cases[c].over, 1e-6);
        rg_dataset_free(&d);
    }
}

static void test_scale(void)
{
    struct rg_data_spec spec = spec_of(values("x", "|u1", "(6, 4)", 24, 0), labels());
    say(&spec, "scale", "no");
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.x[1] == 7 && d.x[2] == 14);
    rg_dataset_free(&d);
    say(&spec, "scale", "standard"); /* column 0 to train: 0, 28, 56, 84 */
    d = load(&spec);
    CU_ASSERT_DOUBLE_EQUAL(d.mean[0], 42, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(d.deviation[0], sqrt(980), 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(d.x[4], (28 - 42) / sqrt(980), 1e-6);
    rg_dataset_free(&d);
}

/* Headers as other versions, writers and shapes have them. */
static void test_headers(void)
{
    static const float x[] = {1, 2, 3, 4, 5, 6};
    static const char *const headers[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }\n",
        "{'shape': (6L,), 'fortran_order': True, 'descr': '<f4'}",
        "{\"descr\":\"<f4\",\"fortran_order\":False,\"shape\":(6,1)}",
    };
    for (size_t h = 0; h < RG_COUNT(headers); h++)
        for (int version = 1; version <= 3; version++) {
            struct rg_data_spec spec =
                spec_of(file_of("x", version, headers[h], x, sizeof x), labels());
            struct rg_dataset d = load(&spec);
            CU_ASSERT(d.inputs == 1 && d.x[0] == 1 && d.x[5] == 6);
            rg_dataset_free(&d);
        }
    struct rg_data_spec spec = spec_of(values("x", "<f4", "(6, 3, 2, 2)", 72, 0), labels());
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.shape.channels == 3 && d.shape.height == 2 && d.shape.width == 2);
    CU_ASSERT_DOUBLE_EQUAL(d.x[13], 7 * 13 % 100 / 4.0, 1e-6);
    rg_dataset_free(&d);
}

static void test_labels(void)
{
    static const double whole[] = {3, 5, 3, 5, 3, 5}, half[] = {3, 5, 3, 5.5, 3, 5};
    static const float one_hot[] = {0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0};
    char *x = values("x", "<f4", "(6, 2)", 12, 0);
    struct rg_data_spec spec = spec_of(x, array("y", "<f8", "(6,)", whole, sizeof whole));
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.classes == 2 && rg_dataset_label(&d, 0) == 0 && rg_dataset_label(&d, 1) == 1);
    CU_ASSERT_STRING_EQUAL(d.class_names[1], "5");
    rg_dataset_free(&d);
    spec = spec_of(x, array("y", "<f4", "(6, 3)", one_hot, sizeof one_hot));
    d = load(&spec);
    CU_ASSERT(d.classes == 3 && rg_dataset_label(&d, 0) == 2 && rg_dataset_label(&d, 1) == 0 &&
              rg_dataset_label(&d, 2) == 1);
    rg_dataset_free(&d);
    spec = spec_of(x, array("y", "<f8", "(6,)", half, sizeof half));
    refuses(&spec, "/y: ", "label 5.5 of sample 3: whole numbers are allowed");
    spec = spec_of(x, array("y", "<i8", "(5,)", whole, 40));
    refuses(&spec, "/y: ", "5 labels: 6 are allowed, one for each sample of");
}

static void test_test_files(void)
{
    struct rg_data_spec spec = spec_of(values("x", "<f4", "(6, 2)", 12, 0), labels());
    spec.train = spec.test = 0;
    say(&spec, "test-x", values("tx", "<f4", "(3, 2)", 6, 50));
    refuses(&spec, "s.xml:6: ", "test-x and test-y: both or none are allowed");
    static const int64_t y[] = {1, 1, 0};
    say(&spec, "test-y", array("ty", "<i8", "(3,)", y, sizeof y));
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.train == 6 && d.test == 3 && d.x[12] == -12.5f && rg_dataset_label(&d, 6) == 1);
    rg_dataset_free(&d);
    say(&spec, "test-x", values("tx", "<f4", "(3, 3)", 9, 50));
    refuses(&spec, "/tx: ", "its samples are 32-bit floats in 2 dimensions, 3 x 3, where");
    static const float three[] = {0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0};
    static const float four[] = {0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0};
    say(&spec, "y", array("y", "<f4", "(6, 3)", three, sizeof three));
    say(&spec, "test-x", values("tx", "<f4", "(3, 2)", 6, 50));
    say(&spec, "test-y", array("ty", "<f4", "(3, 4)", four, sizeof four));
    refuses(&spec, "/ty: ", "4 columns a sample, where ");
    static const float infinite[] = {1, 2, 3, INFINITY, 5, 6};
    say(&spec, "test-x", array("tx", "<f4", "(3, 2)", infinite, sizeof infinite));
    say(&spec, "test-y", array("ty", "<f4", "(3, 3)", three, 9 * sizeof *three));
    refuses(&spec, "/tx: ", "value 1 of sample 1 is not finite");
}

static void test_refusals(void)
{
    static const struct {
        const char *header, *words;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (6, 2), }", "Fortran's order"},
        {"{'descr': '<f4', 'shape': (6, 2), }", "Fortran's order"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (6, 2), }", "type '|O': bool, integers"},
        {"{'descr': '<U4', 'fortran_order': False, 'shape': (6, 2), }", "'<U4': bool, integers"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (6, 2), }", "'<c8': bool, integers"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (6, 2), }", "astype(\"float32\")"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6, 2), }", "type [('a'"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "shape (): 1 to 4 dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6, 1, 1, 1, 2), }", "1 to 4"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6, -2), }", "shape (6, -2)"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2), }", "0: 1 to 2147483647"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6, 99999999999999999999), }", "1 to"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6, 3), }", "truncated: it ends after"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6, 1), }", "longer than its header"},
        {"{'fortran_order': False, 'shape': (6, 2), }", "values of type none"},
        {"", "values of type none"},
    };
    static const float x[12] = {0};
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        struct rg_data_spec spec = spec_of(file_of("x", 1, cases[i].header, x, sizeof x), labels());
        refuses(&spec, "/x: ", cases[i].words);
    }
    struct rg_data_spec spec = spec_of(file_of("x", 9, "", x, sizeof x), labels());
    refuses(&spec, "/x: ", "a version of 1 to 3");
    static const float infinite[12] = {[5] = INFINITY};
    spec = spec_of(array("x", "<f4", "(6, 2)", infinite, sizeof infinite), labels());
    refuses(&spec, "/x: ", "value 1 of sample 2 is not finite");
    FILE *file = fopen(path_of("x"), "wb");
    fputs("PK\3\4 an archive of arrays", file);
    fclose(file);
    refuses(&spec, "/x: ", "an archive (.npz)");
}

/* 70,000 classes, a sample each, in falling order: labels of four bytes. */
static void test_many_classes(void)
{
    enum { MANY = 70000 };
    static uint32_t y[MANY];
    static unsigned char x[MANY];
    for (uint32_t i = 0; i < MANY; i++)
        y[i] = MANY - 1 - i;
    struct rg_data_spec spec = spec_of(array("x", "|u1", "(70000, 1)", x, sizeof x),
                                       array("y", "<u4", "(70000,)", y, sizeof y));
    spec.train = 69980;
    spec.test = 20;
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.classes == MANY && d.note_count < 10);
    for (uint32_t i = 0; i < MANY; i += 9999)
        CU_ASSERT_EQUAL(rg_dataset_label(&d, i), (int32_t)y[i]);
    CU_ASSERT_EQUAL(rg_dataset_bytes(&d, (struct rg_data_kept){.test = true}), 20 * (4 + 4));
    rg_dataset_free(&d);
}

/* The same file, compressed. */
static char *compressed(const char *path)
{
    static char bytes[2000];
    char *packed = path_of("x.gz");
    FILE *file = fopen(path, "rb");
    RG_ASSERT(file);
    size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    gzFile out = gzopen(packed, "wb");
    RG_ASSERT(out && gzwrite(out, bytes, (unsigned)n) == (int)n && gzclose(out) == Z_OK);
    return packed;
}

/* A plain file stays where it is, a compressed one is in memory: samples are the same to the bit,
 * whatever the type, the order of channels and the scale, and whichever of them are kept. */
static void test_mapped(void)
{
    static const char *const types[] = {"|u1", "|i1", "<i2", ">i2", "<u2", "<i4",
                                        "<u4", "<i8", "<f4", ">f4", "<f8", ">f8"};
    static const char *const scales[] = {"auto", "no", "standard"};
    static const char *const shapes[] = {"(6, 10)", "(6, 5, 1, 2)"};
    for (size_t i = 0; i < RG_COUNT(types) * RG_COUNT(scales) * RG_COUNT(shapes); i++) {
        const char *type = types[i / 6], *shape = shapes[i % 2];
        struct rg_data_spec spec =
            spec_of(values("x", type, shape, 60, type[1] == 'u' ? 0 : 50), labels());
        say(&spec, "scale", scales[i / 2 % 3]);
        struct rg_dataset plain = load(&spec);
        say(&spec, "x", compressed(rg_data_string(&spec, "x")));
        struct rg_dataset packed = load(&spec);
        CU_ASSERT(plain.drawn && !packed.drawn && plain.inputs == 10);
        CU_ASSERT(memcmp(plain.x, packed.x, 60 * sizeof *plain.x) == 0);
        CU_ASSERT(memcmp(plain.targets, packed.targets, 6) == 0);
        CU_ASSERT(!plain.mean == !packed.mean);
        if (plain.mean)
            CU_ASSERT(memcmp(plain.deviation, packed.deviation, 10 * sizeof(double)) == 0);
        CU_ASSERT_EQUAL(rg_dataset_bytes(&plain, plain.kept), 6 * (4 + 1) + 4 * 4);
        CU_ASSERT_EQUAL(rg_dataset_bytes(&packed, packed.kept), 6 * (40 + 1) + 4 * 4);
        rg_dataset_free(&plain);
        rg_dataset_free(&packed);
    }
}

/* Numbers to come near to, of whatever type: all columns of y, or one of them. */
static void test_numbers(void)
{
    static const double y[] = {0.5, -1, 1.5, -2, 2.5, -3, 3.5, -4, 4.5, -5, 5.5, -6};
    static const int32_t whole[] = {70000, -1, 5, 6, 7, 8}, nine[9] = {0};
    struct rg_data_spec spec =
        spec_of(values("x", "<f4", "(6, 3)", 18, 50), array("y", "<f8", "(6, 2)", y, sizeof y));
    spec.numbers = true;
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.classes == 0 && d.target_count == 2);
    for (int i = 0; i < 12; i++)
        CU_ASSERT_EQUAL(((float *)d.targets)[i], (float)y[i]);
    rg_dataset_free(&d);
    say(&spec, "label", "2");
    d = load(&spec);
    CU_ASSERT(d.target_count == 1 && ((float *)d.targets)[5] == -6);
    CU_ASSERT(strstr(d.notes[0], "the targets are column 2 of 2") != NULL);
    rg_dataset_free(&d);
    spec = spec_of(values("x", "<f4", "(6, 3)", 18, 50),
                   array("y", "<i4", "(6,)", whole, sizeof whole));
    spec.numbers = true;
    d = load(&spec);
    CU_ASSERT(d.target_count == 1 && ((float *)d.targets)[0] == 70000);
    rg_dataset_free(&d);
    say(&spec, "test-x", values("tx", "<f4", "(3, 3)", 9, 50));
    say(&spec, "test-y", array("ty", "<i4", "(3, 3)", nine, sizeof nine));
    refuses(&spec, "/ty: ", "3 numbers a sample, where ");
    static const float infinite[6] = {1, 2, INFINITY};
    spec = spec_of(values("x", "<f4", "(6, 3)", 18, 50),
                   array("y", "<f4", "(6,)", infinite, sizeof infinite));
    spec.numbers = true;
    refuses(&spec, "/y: ", "number 0 of sample 2 is not finite");
    spec.numbers = false;
    spec.values[1].text = array("y", "<f8", "(6, 2)", y, sizeof y);
    refuses(&spec, "/y: ", "numbers to come near to want a network of loss=\"mean-squared-error\"");
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"types and byte orders", test_types},
        {"scales", test_scale},
        {"headers and shapes", test_headers},
        {"many classes", test_many_classes},
        {"mapped files", test_mapped},
        {"numbers", test_numbers},
        {"labels", test_labels},
        {"test files", test_test_files},
        {"refusals", test_refusals},
    };
    if (!mkdtemp(folder))
        return 1;
    int status = suite_main("npy", tests, RG_COUNT(tests), argc, argv);
    for (const char *const *name = (const char *const[]){"x", "x.gz", "y", "tx", "ty", NULL}; *name;
         name++)
        unlink(path_of(*name));
    rmdir(folder);
    return status;
}
