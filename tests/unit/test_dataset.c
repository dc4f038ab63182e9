/* Datasets: what they hold, that they repeat, and what they refuse. */
#include "models_fixture.h"

#include <unistd.h>
#include <zlib.h>

static char folder[] = "/tmp/rg_dataset_XXXXXX";
static char path_room[64][64];

/* A path in the folder of this run; the last 64 stay valid. */
static char *path_of(const char *name)
{
    static int next;
    char *path = path_room[next++ % 64];
    snprintf(path, sizeof path_room[0], "%s/%s", folder, name);
    return path;
}

static char *file_with(const char *name, const void *bytes, size_t n)
{
    char *path = path_of(name);
    FILE *file = fopen(path, "wb");
    RG_ASSERT(file && fwrite(bytes, 1, n, file) == n && fclose(file) == 0);
    return path;
}

static void refuses(const struct rg_data_spec *spec, const char *where, const char *what)
{
    struct rg_error e = {0};
    struct rg_dataset data;
    CU_ASSERT(rg_dataset_probe(spec, &data, &e) == RG_ERR_INVALID);
    bool right = strstr(e.text, where) && strstr(e.text, what) && !strchr(e.text, '\n');
    if (!right)
        fprintf(stderr, "expected %s ... %s, got: %s\n", where, what, e.text);
    CU_ASSERT(right);
    CU_ASSERT(rg_dataset_load(spec, &data, NULL) == RG_ERR_INVALID);
    CU_ASSERT(data.x == NULL && data.targets == NULL);
}

static struct rg_dataset load(const struct rg_data_spec *spec)
{
    struct rg_error e = {0};
    struct rg_dataset data, probed;
    int err = rg_dataset_load(spec, &data, &e);
    if (err < 0)
        fprintf(stderr, "%s\n", e.text);
    CU_ASSERT_FATAL(err == 0);
    CU_ASSERT(rg_dataset_probe(spec, &probed, &e) == 0);
    CU_ASSERT(probed.x == NULL && probed.targets == NULL);
    CU_ASSERT(probed.train == data.train && probed.test == data.test);
    CU_ASSERT(probed.inputs == data.inputs && probed.classes == data.classes);
    rg_dataset_free(&probed);
    expect_parts(spec, &data);
    expect_own(spec, &data);
    return data;
}

static void count_classes(const struct rg_dataset *data, int from, int to, int counts[256])
{
    memset(counts, 0, 256 * sizeof *counts);
    for (int i = from; i < to; i++)
        counts[rg_dataset_label(data, (size_t)i)]++;
}

/* ---- digits ---- */

static void test_digits(void)
{
    struct rg_data_spec spec = {DATA("digits"), .train = 60, .test = 20, .seed = 9};
    struct rg_dataset a = load(&spec);
    spec.train = 30;
    spec.test = 10;
    struct rg_dataset b = load(&spec);
    CU_ASSERT(a.shape.channels == 1 && a.shape.height == 28 && a.shape.width == 28);
    CU_ASSERT(a.inputs == 784 && a.classes == 10);
    /* Sample i is the same whatever the counts, of training and of test samples. */
    CU_ASSERT(memcmp(a.x, b.x, 30 * 784 * sizeof *a.x) == 0);
    CU_ASSERT(memcmp(a.x + 60 * 784, b.x + 30 * 784, 10 * 784 * sizeof *a.x) == 0);
    CU_ASSERT(memcmp(a.targets, b.targets, 30) == 0);
    CU_ASSERT(memcmp(a.x, a.x + 60 * 784, 784 * sizeof *a.x) != 0);
    int counts[256];
    count_classes(&a, 0, 60, counts);
    for (int c = 0; c < 10; c++)
        CU_ASSERT(counts[c] == 6);
    for (size_t i = 0; i < 80 * 784; i++)
        CU_ASSERT_FATAL(a.x[i] >= -0.376f && a.x[i] <= 2.126f);
    rg_dataset_free(&b);
    spec.seed = 10;
    b = load(&spec);
    CU_ASSERT(memcmp(a.x, b.x, 784 * sizeof *a.x) != 0);
    rg_dataset_free(&a);
    rg_dataset_free(&b);
    CU_ASSERT(b.x == NULL);
    struct rg_error e;
    CU_ASSERT(rg_dataset_probe(&(struct rg_data_spec){DATA("digits")}, &a, &e) == 0);
    CU_ASSERT(a.train == 8192 && a.test == 1024);
    rg_dataset_free(&a);
    refuses(&(struct rg_data_spec){DATA("digits"), .train = -1, .where = "s.xml", .line = 4},
            "s.xml:4: ", "train=\"-1\"");
}

/* ---- iris, csv ---- */

static struct rg_data_spec iris(uint64_t seed)
{
    struct rg_data_spec spec = {DATA("iris"), .seed = seed, .where = "s.xml", .line = 5};
    say(&spec, "file", RG_SOURCE_DIR "/models/data/iris.csv");
    return spec;
}

static void test_iris(void)
{
    struct rg_data_spec spec = iris(1);
    struct rg_dataset a = load(&spec), b = load(&spec);
    int counts[256];
    CU_ASSERT(a.inputs == 4 && a.classes == 3 && a.train == 120 && a.test == 30);
    count_classes(&a, 0, 120, counts);
    CU_ASSERT(counts[0] == 40 && counts[1] == 40 && counts[2] == 40);
    count_classes(&a, 120, 150, counts);
    CU_ASSERT(counts[0] == 10 && counts[1] == 10 && counts[2] == 10);
    CU_ASSERT(memcmp(a.x, b.x, 600 * sizeof *a.x) == 0);
    for (size_t j = 0; j < 4; j++) {
        double mean = 0, variance = 0;
        for (size_t i = 0; i < 120; i++) {
            mean += a.x[4 * i + j] / 120;
            variance += a.x[4 * i + j] * (double)a.x[4 * i + j] / 120;
        }
        CU_ASSERT_DOUBLE_EQUAL(mean, 0, 1e-5);
        CU_ASSERT_DOUBLE_EQUAL(variance, 1, 1e-5);
    }
    rg_dataset_free(&b);
    spec.seed = 2;
    b = load(&spec);
    CU_ASSERT(memcmp(a.x, b.x, 600 * sizeof *a.x) != 0);
    rg_dataset_free(&a);
    rg_dataset_free(&b);
    spec.train = 60;
    spec.test = 31;
    a = load(&spec);
    count_classes(&a, 0, 60, counts);
    CU_ASSERT(counts[0] == 20 && counts[1] == 20 && counts[2] == 20);
    count_classes(&a, 60, 91, counts);
    for (int c = 0; c < 3; c++)
        CU_ASSERT(counts[c] == 10 || counts[c] == 11);
    rg_dataset_free(&a);
    spec.train = 140;
    refuses(&spec, "s.xml:5: ", "holds 150 samples");
}

/* The shipped file against the sums over Fisher's table (means 5.8433, 3.0573, 3.7580, 1.1993). */
static void test_iris_file(void)
{
    FILE *file = fopen(RG_SOURCE_DIR "/models/data/iris.csv", "r");
    char line[256];
    double v[4], sums[4] = {0};
    int label, rows = 0, counts[3] = {0};
    CU_ASSERT_FATAL(file != NULL);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "%lf,%lf,%lf,%lf,%d", &v[0], &v[1], &v[2], &v[3], &label) == 5) {
            for (int j = 0; j < 4; j++)
                sums[j] += v[j];
            counts[label]++;
            rows++;
        }
    fclose(file);
    CU_ASSERT(rows == 150 && counts[0] == 50 && counts[1] == 50 && counts[2] == 50);
    const double expected[4] = {876.5, 458.6, 563.7, 179.9};
    for (int j = 0; j < 4; j++)
        CU_ASSERT_DOUBLE_EQUAL(sums[j], expected[j], 1e-9);
}

static struct rg_data_spec csv(const char *text)
{
    struct rg_data_spec spec = {DATA("csv"), .where = "s.xml", .line = 3};
    say(&spec, "file", file_with("data.csv", text, strlen(text)));
    return spec;
}

static void test_csv(void)
{
    struct rg_data_spec spec = csv("# note\r\na, b, label\r\n1, 2,0\r\n\r\n3,4.5e0,1 \n5,6,0\n"
                                   "7,8,1\n9,1e1,2");
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.inputs == 2 && d.classes == 3 && d.train == 4 && d.test == 1);
    rg_dataset_free(&d);
    spec = csv("1,1,0\n1,2,1\n1,3,0\n1,4,1\n"); /* a constant column */
    d = load(&spec);
    for (int i = 0; i < 4; i++)
        CU_ASSERT(d.x[2 * i] == 0 && isfinite(d.x[2 * i + 1]));
    CU_ASSERT(d.mean[0] == 1 && d.deviation[0] == 1);
    int refused = 0, seen = 0; /* what the file says comes back */
    for (int i = 0; i < 4; i++)
        seen |= 1 << (int)lround(d.x[2 * i + 1] * d.deviation[1] + d.mean[1]);
    CU_ASSERT_EQUAL(seen, 2 + 4 + 8 + 16);
    rg_dataset_free(&d);
    spec = csv("1e-30,0\n-1e-30,1\n1e-30,0\n-1e-30,1\n2e38,0\n2e38,1\n");
    spec.train = 2; /* whichever these are: large beside small ones do not fit a float */
    spec.test = 4;
    for (spec.seed = 1; spec.seed < 9; spec.seed++) {
        struct rg_error e = {0};
        struct rg_dataset far = {0};
        int err = rg_dataset_load(&spec, &far, &e);
        CU_ASSERT(err == 0 || strstr(e.text, "column 1: its numbers are too far apart"));
        for (size_t i = 0; err == 0 && i < 6; i++)
            CU_ASSERT(isfinite(far.x[i]));
        refused += err != 0;
        if (err == 0)
            rg_dataset_free(&far);
    }
    CU_ASSERT(refused > 0);
    spec = csv("\xef\xbb\xbf" /* a byte-order mark: the row behind it is none the less a row */
               "1,1,0\n1,2,1\n1,3,0\n1,4,1\n");
    d = load(&spec);
    CU_ASSERT_EQUAL(d.train + d.test, 4);
    rg_dataset_free(&d);
    spec = csv("\xef\xbb\xbf# note\n1,1,0\n1,2,1\n1,3,0\n1,4,1\n");
    d = load(&spec);
    CU_ASSERT_EQUAL(d.train + d.test, 4);
    rg_dataset_free(&d);
}

static void test_csv_errors(void)
{
    static const struct {
        const char *text, *where, *what;
    } cases[] = {
        {"1,2,0\n1,x,1\n", "data.csv:2: ", "column 2: \"x\" is not a number"},
        {"1,2,0\n1,,1\n", "data.csv:2: ", "column 2: \"\" is a missing value"},
        {"1,2,0\n1,2 3,1\n", "data.csv:2: ", "is not a number"},
        {"1,2,0\nnan,2,1\n", "data.csv:2: ", "column 1: \"nan\" is a missing value"},
        {"nan,2,1\n1,2,0\n", "data.csv:1: ", "\"nan\" is a missing value"},
        {"1,2,0\n1,-inf,1\n", "data.csv:2: ", "\"-inf\" is not a number"},
        {"1,2,0\n1,0x10,1\n", "data.csv:2: ", "\"0x10\" is not a number"},
        {"1,2,0\n1e39,2,1\n", "data.csv:2: ", "not finite"},
        {"h,h,h\n1,2,0\n1,2\n", "data.csv:3: ", "2 columns: 3 are allowed"},
        {"1,2,0\n1,2,3,0\n", "data.csv:2: ", "4 columns: 3 are allowed"},
        {"h,h,h\nh,h,h\n1,2,0\n",
         "data.csv:3: ", "\"1\" is a number, the column begins with \"h\""},
        {"1,2,0\n1,2,nan\n", "data.csv:2: ", "column 3: \"nan\" is a missing value"},
        {"1\n2\n", "data.csv:1: ", "one column"},
        {"", "data.csv:1: ", "without a row"},
        {"a,b,c\n# only\n", "data.csv:1: ", "without a row"},
        {"1,2,0\n", "s.xml:3: ", "only one class is there, every label in column 3 is \"0\""},
    };
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        struct rg_data_spec spec = csv(cases[i].text);
        refuses(&spec, cases[i].where, cases[i].what);
    }
    struct rg_data_spec spec = csv("1,2,0\n1,2,3\n1,2,1\n");
    say(&spec, "classes", "2");
    refuses(&spec, "s.xml:3: ", "classes=\"2\": ");
    refuses(&spec, "data.csv has 3 different labels", "\"0\", \"1\", \"3\"");
    say(&spec, "file", file_with("data.csv", "1,2\0,0\n", 7));
    refuses(&spec, "data.csv:1: ", "zero byte");
    say(&spec, "file", path_of("absent.csv"));
    refuses(&spec, "s.xml:3: ", "absent.csv: No such file");
    say(&spec, "file", folder);
    refuses(&spec, "s.xml:3: ", "Is a directory");
}

/* ---- idx ---- */

enum { IMAGES = 7, ROWS = 3, COLUMNS = 2, PIXELS = ROWS * COLUMNS };

/* Pixel j of image i is 40 i + j; its label i % 3. */
static size_t make_images(unsigned char bytes[16 + IMAGES * PIXELS])
{
    const unsigned char header[16] = {0, 0, 8, 3, 0, 0, 0, IMAGES, 0, 0, 0, ROWS, 0, 0, 0, COLUMNS};
    memcpy(bytes, header, 16);
    for (int i = 0; i < IMAGES * PIXELS; i++)
        bytes[16 + i] = (unsigned char)(i / PIXELS * 40 + i % PIXELS);
    return 16 + IMAGES * PIXELS;
}

static size_t make_labels(unsigned char bytes[8 + IMAGES])
{
    const unsigned char header[8] = {0, 0, 8, 1, 0, 0, 0, IMAGES};
    memcpy(bytes, header, 8);
    for (int i = 0; i < IMAGES; i++)
        bytes[8 + i] = (unsigned char)(i % 3);
    return 8 + IMAGES;
}

static char *gz_with(const char *name, const void *bytes, size_t n)
{
    char *path = path_of(name);
    gzFile file = gzopen(path, "wb");
    RG_ASSERT(file && gzwrite(file, bytes, (unsigned)n) == (int)n && gzclose(file) == Z_OK);
    return path;
}

static struct rg_data_spec idx(void)
{
    unsigned char images[16 + IMAGES * PIXELS], labels[8 + IMAGES];
    size_t n = make_images(images), m = make_labels(labels);
    struct rg_data_spec spec = {DATA("idx"), .where = "s.xml", .line = 6};
    say(&spec, "images", file_with("images", images, n));
    say(&spec, "labels", file_with("labels", labels, m));
    return spec;
}

static void is_tiny_idx(const struct rg_data_spec *spec)
{
    struct rg_dataset d = load(spec);
    CU_ASSERT(d.shape.height == ROWS && d.shape.width == COLUMNS && d.inputs == PIXELS);
    CU_ASSERT(d.classes == 10 && d.train == 4 && d.test == 2);
    const int kept[6] = {0, 1, 2, 3, 5, 6}; /* the first four and the last two */
    for (int i = 0; i < 6; i++) {
        CU_ASSERT(rg_dataset_label(&d, (size_t)i) == kept[i] % 3);
        for (int j = 0; j < PIXELS; j++)
            CU_ASSERT(d.x[i * PIXELS + j] == (float)(kept[i] * 40 + j) / 255);
    }
    rg_dataset_free(&d);
}

static void test_idx(void)
{
    unsigned char images[16 + IMAGES * PIXELS];
    struct rg_data_spec spec = idx();
    spec.train = 4;
    spec.test = 2;
    say(&spec, "split", "order");
    is_tiny_idx(&spec);
    say(&spec, "images", gz_with("images.gz", images, make_images(images)));
    is_tiny_idx(&spec);
}

static void test_idx_errors(void)
{
    unsigned char images[16 + IMAGES * PIXELS + 1] = {0}, labels[8 + IMAGES + 1] = {0};
    size_t n = make_images(images), m = make_labels(labels);
    struct rg_data_spec spec = idx(), bad = spec;

    say(&bad, "images", rg_data_string(&spec, "labels"));
    refuses(&bad, "/labels: ", "images of bytes in 1 dimension, 7: 2 to 4 dimensions are allowed");
    bad = spec;
    say(&bad, "labels", rg_data_string(&spec, "images"));
    refuses(&bad, "/images: ", "labels of bytes in 3 dimensions, 7 x 3 x 2: whole numbers in 1");
    bad = spec;
    static const size_t lengths[] = {0, 3, 9, 15, 16, 30, 16 + IMAGES * PIXELS - 1};
    for (size_t i = 0; i < RG_COUNT(lengths); i++) {
        say(&bad, "images", file_with("short", images, lengths[i]));
        refuses(&bad, "/short: ", "truncated");
    }
    say(&bad, "images", file_with("long", images, n + 1));
    refuses(&bad, "/long: ", "longer than");
    bad = spec;
    say(&bad, "labels", file_with("short", labels, m - 1));
    refuses(&bad, "/short: ", "truncated");
    say(&bad, "labels", file_with("long", labels, m + 1));
    refuses(&bad, "/long: ", "longer than");

    bad = spec;
    say(&bad, "classes", "2");
    refuses(&bad, "s.xml:6: ", "labels has 3 different labels, \"0\", \"1\", \"2\"");

    labels[7] = IMAGES - 1;
    bad = spec;
    say(&bad, "labels", file_with("fewer", labels, m - 1));
    refuses(&bad, "/fewer: ", "6 labels: 7 are allowed");

    bad = spec;
    bad.train = 6;
    bad.test = 2;
    refuses(&bad, "s.xml:6: ", "holds 7 samples");
    say(&bad, "images", path_of("absent"));
    refuses(&bad, "s.xml:6: ", "absent: No such file");
    say(&bad, "images", NULL);
    refuses(&bad, "s.xml:6: ", "needs a file of images");

    images[11] = 0;
    bad = spec;
    say(&bad, "images", file_with("empty", images, n));
    refuses(&bad, "/empty: ", "its header says bytes in 2 dimensions, 7 x 0: ");
}

static void test_idx_broken_gz(void)
{
    unsigned char images[16 + IMAGES * PIXELS], packed[4096];
    struct rg_data_spec spec = idx();
    char *path = gz_with("whole.gz", images, make_images(images));
    FILE *file = fopen(path, "rb");
    size_t n = fread(packed, 1, sizeof packed, file);
    fclose(file);
    say(&spec, "images", file_with("cut.gz", packed, n - 12));
    refuses(&spec, "/cut.gz: ", "truncated");
    packed[n - 6] ^= 0x55; /* in the checksum */
    say(&spec, "images", file_with("wrong.gz", packed, n));
    refuses(&spec, "/wrong.gz: ", "cannot be read");
}

/* ---- idx of every kind ---- */

/* A file in idx format: `bytes` a value, big-endian, value i is 7 i mod 100 less `less`. */
static char *idx_file(const char *name, int type, const int *size, int dimensions, int less)
{
    static const size_t widths[] = {[8] = 1, [9] = 1, [11] = 2, [12] = 4, [13] = 4, [14] = 8};
    unsigned char bytes[4096] = {0, 0, (unsigned char)type, (unsigned char)dimensions};
    size_t at = 4, width = widths[type], values = 1;
    for (int i = 0; i < dimensions; i++, at += 4) {
        bytes[at + 2] = (unsigned char)(size[i] >> 8);
        bytes[at + 3] = (unsigned char)size[i];
        values *= (size_t)size[i];
    }
    for (size_t i = 0; i < values; i++, at += width) {
        int whole = (int)(7 * i % 100) - less;
        float single = (float)whole / 4;
        double full = whole / 4.0;
        uint64_t bits = (uint64_t)(int64_t)whole;
        uint32_t half;
        memcpy(&half, &single, 4);
        bits = type == 13 ? half : bits;
        if (type == 14)
            memcpy(&bits, &full, 8);
        for (size_t k = 0; k < width; k++)
            bytes[at + k] = (unsigned char)(bits >> 8 * (width - 1 - k));
    }
    RG_ASSERT(at <= sizeof bytes);
    return file_with(name, bytes, at);
}

static char *label_file(const char *name, const unsigned char *labels, int count)
{
    unsigned char bytes[300] = {0, 0, 8, 1, 0, 0, 0, (unsigned char)count};
    memcpy(bytes + 8, labels, (size_t)count);
    return file_with(name, bytes, 8 + (size_t)count);
}

static struct rg_data_spec idx_of(char *images, char *labels)
{
    struct rg_data_spec spec = {DATA("idx"), .train = 4, .test = 2, .where = "s.xml", .line = 6};
    say(&spec, "images", images);
    say(&spec, "labels", labels);
    say(&spec, "split", "order");
    return spec;
}

/* Images of every type: bytes over 255, integers over the largest of the training samples, floats
 * as they are. */
static void test_idx_types(void)
{
    static const int size[] = {6, 2, 2};
    static const unsigned char zeros_and_ones[] = {0, 1, 0, 1, 0, 1};
    static const struct {
        int type, less;
        double over; /* the largest magnitude among 7 i mod 100 less `less`, i below 16, is that */
    } cases[] = {{8, 0, 255}, {9, 50, 50}, {11, 50, 50}, {12, 50, 50}, {13, 50, 4}, {14, 50, 4}};
    for (size_t c = 0; c < RG_COUNT(cases); c++) {
        struct rg_data_spec spec = idx_of(idx_file("i", cases[c].type, size, 3, cases[c].less),
                                          label_file("l", zeros_and_ones, 6));
        struct rg_dataset d = load(&spec);
        CU_ASSERT(d.inputs == 4 && d.shape.height == 2 && d.shape.width == 2);
        for (int i = 0; i < 24; i++)
            CU_ASSERT_DOUBLE_EQUAL(d.x[i], (7 * i % 100 - cases[c].less) / cases[c].over, 1e-6);
        rg_dataset_free(&d);
    }
}

static void test_idx_dimensions(void)
{
    static const unsigned char zeros_and_ones[] = {0, 1, 0, 1, 0, 1};
    static const int flat[] = {6, 5}, planes[] = {6, 3, 2, 4}, pixels[] = {6, 5, 2, 3};
    char *labels = label_file("l", zeros_and_ones, 6);
    struct rg_data_spec spec = idx_of(idx_file("i", 8, flat, 2, 0), labels);
    struct rg_dataset d = load(&spec);
    CU_ASSERT(d.inputs == 5 && d.shape.channels == 5 && d.shape.height == 1);
    rg_dataset_free(&d);
    spec = idx_of(idx_file("i", 8, planes, 4, 0), labels);
    d = load(&spec);
    CU_ASSERT(d.shape.channels == 3 && d.shape.height == 2 && d.shape.width == 4);
    CU_ASSERT(d.note_count > 0 && strstr(d.notes[0], "3 x 2 x 4 are channels x height x width"));
    CU_ASSERT(d.x[24 + 8] == (float)(7 * 32 % 100) / 255);
    rg_dataset_free(&d);
    spec = idx_of(idx_file("i", 8, pixels, 4, 0), labels);
    d = load(&spec);
    CU_ASSERT(d.shape.channels == 3 && d.shape.height == 5 && d.shape.width == 2);
    for (int p = 0; p < 10; p++) /* channel 1 of sample 1 */
        CU_ASSERT(d.x[30 + 10 + p] == (float)(7 * (30 + 3 * p + 1) % 100) / 255);
    rg_dataset_free(&d);
    spec = idx_of(idx_file("i", 8, (const int[]){6}, 1, 0), labels);
    refuses(&spec, "/i: ", "images of bytes in 1 dimension, 6: 2 to 4 dimensions");
}

/* EMNIST's letters, 1 to 26; QMNIST's labels, integers of 8 columns; floats are no labels. */
static void test_idx_labels(void)
{
    static const int size[] = {6, 1, 1}, columns[] = {6, 3};
    static const unsigned char letters[] = {26, 1, 26, 3, 1, 12};
    struct rg_data_spec spec = idx_of(idx_file("i", 8, size, 3, 0), label_file("l", letters, 6));
    struct rg_dataset d = load(&spec);
    static const unsigned char mapped[] = {3, 0, 3, 1, 0, 2};
    CU_ASSERT(d.classes == 4 && memcmp(d.targets, mapped, 6) == 0);
    CU_ASSERT_STRING_EQUAL(d.class_names[3], "26");
    rg_dataset_free(&d);
    spec = idx_of(idx_file("i", 8, size, 3, 0), idx_file("l", 12, columns, 2, 0));
    d = load(&spec); /* 0, 21, 42, 63, 84, 5: the first of each three */
    static const unsigned char first[] = {0, 2, 3, 4, 5, 1};
    CU_ASSERT(d.classes == 6 && memcmp(d.targets, first, 6) == 0);
    CU_ASSERT(strstr(d.notes[0], "the labels are column 1 of 3") != NULL);
    rg_dataset_free(&d);
    say(&spec, "label", "4");
    refuses(&spec, "s.xml:6: ", "label=\"4\": ");
    const char one_hot[] = "\0\0\10\2\0\0\0\6\0\0\0\3\0\1\0\1\0\0\0\0\1\0\1\0\1\0\0\0\0\1";
    spec = idx_of(idx_file("i", 8, size, 3, 0), file_with("l", one_hot, sizeof one_hot - 1));
    d = load(&spec);
    static const unsigned char ones[] = {1, 0, 2, 1, 0, 2};
    CU_ASSERT(d.classes == 3 && memcmp(d.targets, ones, 6) == 0);
    CU_ASSERT(strstr(d.notes[0], "a column for each of 3 classes (one-hot)") != NULL);
    rg_dataset_free(&d);
    say(&spec, "test-images", spec.values[0].text);
    say(&spec, "test-labels", label_file("m", letters, 6));
    refuses(&spec, "/m: ", "labels have not a column for each class (one-hot)");
    spec = idx_of(idx_file("i", 8, size, 3, 0), idx_file("l", 13, (const int[]){6}, 1, 0));
    refuses(&spec, "/l: ", "label 1.75 of sample 1: whole numbers are allowed");
    spec = idx_of(file_with("i", "\x89PNG\r\n", 6), label_file("l", letters, 6));
    refuses(&spec, "/i: ", "not in idx format: it begins with 89 50 4e 47");
}

/* MNIST as it ships: four files. Without them, samples sorted by class are split by class. */
static void test_idx_files(void)
{
    static const int six[] = {6, 1, 2}, three[] = {3, 1, 2}, wide[] = {3, 2, 2};
    static const unsigned char sorted[] = {0, 0, 0, 1, 1, 1}, other[] = {1, 0, 1};
    struct rg_data_spec spec = idx_of(idx_file("i", 8, six, 3, 0), label_file("l", sorted, 6));
    say(&spec, "split", NULL);
    struct rg_dataset d = load(&spec);
    int counts[256];
    count_classes(&d, 0, 4, counts);
    CU_ASSERT(counts[0] == 2 && counts[1] == 2);
    rg_dataset_free(&d);
    say(&spec, "test-images", idx_file("ti", 8, three, 3, 0));
    refuses(&spec, "s.xml:6: ", "test-images and test-labels: both or none");
    say(&spec, "test-labels", label_file("tl", other, 3));
    spec.train = spec.test = 0;
    d = load(&spec);
    CU_ASSERT(d.train == 6 && d.test == 3);
    CU_ASSERT(memcmp(d.targets, sorted, 6) == 0 && memcmp((uint8_t *)d.targets + 6, other, 3) == 0);
    CU_ASSERT(memcmp(d.x, d.x + 12, 6 * sizeof *d.x) == 0);
    rg_dataset_free(&d);
    spec.test = 4;
    refuses(&spec, "s.xml:6: ", "6 samples to train and 3 to test in their files");
    spec.test = 0;
    say(&spec, "test-images", idx_file("ti", 8, wide, 3, 0));
    refuses(&spec, "/ti: ", "3 x 2 x 2, where");
}

static void test_mnist(void)
{
    const char *images = RG_SOURCE_DIR "/../shared/data/mnist-t10k/t10k-images-idx3-ubyte.gz";
    struct rg_data_spec spec = {DATA("idx"), .train = 9000, .test = 1000};
    say(&spec, "images", images);
    say(&spec, "labels", RG_SOURCE_DIR "/../shared/data/mnist-t10k/t10k-labels-idx1-ubyte.gz");
    if (access(images, R_OK) != 0) {
        printf("skipped: %s is absent\n", images);
        return;
    }
    struct rg_dataset d = load(&spec);
    int counts[256];
    CU_ASSERT(d.inputs == 784 && d.train == 9000 && d.test == 1000);
    count_classes(&d, 0, 10000, counts);
    const int known[10] = {980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009};
    CU_ASSERT(memcmp(counts, known, sizeof known) == 0);
    rg_dataset_free(&d);
}

/* ---- random, order, gather ---- */

static void test_random(void)
{
    struct rg_data_spec spec = {DATA("random"), .train = 900, .test = 100, .seed = 2,
                                .where = "s.xml"};
    say(&spec, "inputs", "20");
    say(&spec, "classes", "4");
    struct rg_dataset d = load(&spec);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < 20000; i++) {
        sum += d.x[i];
        squares += d.x[i] * (double)d.x[i];
    }
    CU_ASSERT(fabs(sum / 20000) < 0.05 && fabs(squares / 20000 - 1) < 0.05);
    for (int i = 0; i < 1000; i++)
        CU_ASSERT(rg_dataset_label(&d, (size_t)i) < 4);
    rg_dataset_free(&d);
    say(&spec, "inputs", "0");
    refuses(&spec, "s.xml: ", "inputs=\"0\"");
    say(&spec, "inputs", "2");
    say(&spec, "classes", "16777217");
    refuses(&spec, "s.xml: ", "classes=\"16777217\"");
}

static void test_order_and_gather(void)
{
    struct rg_data_spec spec = iris(1);
    struct rg_dataset d = load(&spec);
    uint32_t a[120], b[120];
    int seen[120] = {0};
    CU_ASSERT(rg_dataset_order(&d, 3, 0, a) == 0 && rg_dataset_order(&d, 3, 0, b) == 0);
    CU_ASSERT(memcmp(a, b, sizeof a) == 0);
    for (int i = 0; i < 120; i++)
        seen[a[i]]++;
    for (int i = 0; i < 120; i++)
        CU_ASSERT(seen[i] == 1);
    CU_ASSERT(rg_dataset_order(&d, 3, 1, b) == 0 && memcmp(a, b, sizeof a) != 0);
    CU_ASSERT(rg_dataset_order(&d, 4, 0, b) == 0 && memcmp(a, b, sizeof a) != 0);
    float x[5 * 4];
    uint8_t labels[5];
    rg_dataset_gather(&d, a + 7, 5, x, labels);
    rg_dataset_gather(&d, a + 7, 5, NULL, NULL);
    for (int i = 0; i < 5; i++) {
        CU_ASSERT(labels[i] == rg_dataset_label(&d, (size_t)a[7 + i]));
        CU_ASSERT(memcmp(x + 4 * i, d.x + 4 * a[7 + i], 4 * sizeof *x) == 0);
    }
    rg_dataset_free(&d);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"digits", test_digits},
        {"iris: counts, strata, scale", test_iris},
        {"iris: the file", test_iris_file},
        {"csv", test_csv},
        {"csv errors", test_csv_errors},
        {"idx, plain and gzipped", test_idx},
        {"idx errors", test_idx_errors},
        {"idx, broken compression", test_idx_broken_gz},
        {"idx, types", test_idx_types},
        {"idx, dimensions", test_idx_dimensions},
        {"idx, labels", test_idx_labels},
        {"idx, test files and splits", test_idx_files},
        {"idx, the MNIST test digits", test_mnist},
        {"random", test_random},
        {"order and gather", test_order_and_gather},
    };
    if (!mkdtemp(folder))
        return 1;
    int status = suite_main("dataset", tests, RG_COUNT(tests), argc, argv);
    char command[80];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) != 0 || status;
}
