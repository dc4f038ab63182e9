/* Data that stay in their files, and are made as they are drawn: texts and CIFAR-10. That of npy is
 * in test_npy.c. */
#include "tables_fixture.h"

static struct rg_dataset load_drawn(const struct rg_data_spec *spec)
{
    struct rg_error e = {0};
    struct rg_dataset data;
    if (rg_dataset_load(spec, &data, &e) < 0)
        printf("\n    %s\n", e.text);
    CU_ASSERT_FATAL(data.drawn && data.x == NULL);
    draw_all(&data);
    expect_parts(spec, &data);
    expect_own(spec, &data);
    return data;
}

static const unsigned char *labels_of(const struct rg_dataset *d, int sample)
{
    return rg_dataset_target(d, (size_t)sample);
}

/* 100 bytes, 10 of them to test: windows of 4 and the byte behind, every 3. */
static void test_windows(void)
{
    unsigned char bytes[100];
    for (int i = 0; i < 100; i++)
        bytes[i] = (unsigned char)(255 - i);
    const struct word words[] = {{"context", "4"}, {"stride", "3"}, {0}};
    struct rg_data_spec spec = spec_of("text", scratch_bytes("t", bytes, sizeof bytes), words);
    struct rg_dataset d = load_drawn(&spec);
    CU_ASSERT(d.shape.channels == 4 && d.shape.height == 1 && d.shape.width == 1);
    CU_ASSERT(d.classes == 256 && d.target_count == 4);
    CU_ASSERT(d.train == 29 && d.test == 2); /* from 0, 3 ... 84, 85 is too late; from 90, 93 */
    for (int i = 0; i < d.train + d.test; i++) {
        int start = i < 29 ? 3 * i : 90 + 3 * (i - 29);
        for (int k = 0; k < 4; k++) {
            CU_ASSERT_EQUAL(d.x[4 * i + k], 255 - (start + k));
            CU_ASSERT_EQUAL(labels_of(&d, i)[k], 255 - (start + k + 1));
        }
    }
    /* In memory: a label a byte, and each training sample's place in an epoch. */
    CU_ASSERT_EQUAL(rg_dataset_bytes(&d, d.kept), 31 * 4 + 29 * 4);
    float x[8];
    unsigned char y[8];
    const uint32_t order[2] = {28, 0};
    rg_dataset_gather(&d, order, 2, x, y);
    CU_ASSERT(x[0] == 255 - 84 && y[3] == 255 - 88 && x[7] == 255 - 3 && y[4] == 255 - 1);
    rg_dataset_free(&d);
}

static void test_counts_of_windows(void)
{
    char text[1000];
    memset(text, 'a', sizeof text);
    struct rg_data_spec spec = spec_of("text", scratch_bytes("t", text, sizeof text), NULL);
    struct rg_dataset d = load_drawn(&spec);
    CU_ASSERT(d.target_count == 64 && d.train == 14 && d.test == 1); /* context and stride 64 */
    rg_dataset_free(&d);
    spec.train = 3;
    d = load_drawn(&spec);
    CU_ASSERT(d.train == 3 && d.test == 1);
    rg_dataset_free(&d);
    spec.train = 15;
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "14 windows to train and 1 to test"));
    spec.train = 0;
    say(&spec, "context", "100"); /* 100 bytes test: the byte behind is missing */
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "a window of 100 and the byte behind it"));
    say(&spec, "context", "99");
    d = load_drawn(&spec);
    CU_ASSERT(d.test == 1);
    rg_dataset_free(&d);
    spec = spec_of("text", scratch_bytes("t", "", 0), NULL);
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "it is empty"));
    spec = spec_of("text", scratch(), NULL);
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "it is no file"));
    spec = spec_of("text", scratch_path("absent"), NULL);
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "cannot read"));
}

/* ---- CIFAR-10 ---- */

enum { RECORD = 3073 };

/* Pixel p of image i is (i + p) mod 256, its label (3 i + add) mod 10. */
static const char *batch(const char *name, int first, int count, size_t cut)
{
    static unsigned char bytes[20 * RECORD];
    RG_ASSERT(count <= 20);
    for (int i = 0; i < count; i++) {
        unsigned char *record = bytes + (size_t)i * RECORD;
        record[0] = (unsigned char)(3 * (first + i) % 10);
        for (int p = 0; p < 3072; p++)
            record[1 + p] = (unsigned char)(first + i + p);
    }
    return scratch_bytes(name, bytes, (size_t)count * RECORD - cut);
}

static bool is_image(const struct rg_dataset *d, int sample, int image)
{
    const float *x = d->x + (size_t)sample * 3072;
    bool good = rg_dataset_label(d, (size_t)sample) == 3 * image % 10;
    for (int p = 0; p < 3072 && good; p++)
        good = x[p] == (float)((image + p) % 256) / 255;
    return good;
}

static void test_images(void)
{
    struct rg_data_spec spec = spec_of("cifar10", batch("b1", 0, 12, 0), NULL);
    say(&spec, "file-2", batch("b2", 12, 8, 0));
    say(&spec, "test-file", batch("bt", 100, 6, 0));
    say(&spec, "split", "order");
    struct rg_dataset d = load_drawn(&spec);
    CU_ASSERT(d.train == 20 && d.test == 6 && d.classes == 10); /* a fifth of all would be 5 */
    CU_ASSERT(d.shape.channels == 3 && d.shape.height == 32 && d.shape.width == 32);
    CU_ASSERT_STRING_EQUAL(d.class_names[3], "cat");
    for (int i = 0; i < 20; i++)
        CU_ASSERT(is_image(&d, i, i));
    for (int i = 0; i < 6; i++)
        CU_ASSERT(is_image(&d, 20 + i, 100 + i));
    CU_ASSERT_EQUAL(rg_dataset_bytes(&d, d.kept), 26 * (sizeof(void *) + 1) + 20 * 4);
    rg_dataset_free(&d);
    spec =
        spec_of("cifar10", batch("b1", 0, 20, 0), NULL); /* a fifth of one file, class by class */
    d = load_drawn(&spec);
    CU_ASSERT(d.train == 16 && d.test == 4);
    rg_dataset_free(&d);
}

static void test_bad_images(void)
{
    struct rg_data_spec spec = spec_of("cifar10", batch("b1", 0, 12, 1), NULL);
    CU_ASSERT(refuses(&spec, "b1: ", "36875 bytes, which is no whole number of records of 3073"));
    char label[2 * RECORD] = {0};
    label[RECORD] = 10;
    spec = spec_of("cifar10", scratch_bytes("b1", label, sizeof label), NULL);
    CU_ASSERT(refuses(&spec, "b1: ", "label 10 of image 1: 0 to 9 are allowed"));
    spec = spec_of("cifar10", batch("b2", 0, 12, 0), NULL);
    say(&spec, "test-file", scratch_path("b1"));
    CU_ASSERT(refuses(&spec, "b1: ", "label 10 of image 1: 0 to 9 are allowed"));
    say(&spec, "test-file", scratch_path("absent"));
    CU_ASSERT(refuses(&spec, "s.xml:7: ", "cannot read"));
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"windows of a text", test_windows},
        {"counts of windows", test_counts_of_windows},
        {"images", test_images},
        {"bad images", test_bad_images},
    };
    return suite_main("drawn", tests, RG_COUNT(tests), argc, argv);
}
