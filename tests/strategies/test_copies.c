/* States that nodes keep in parts: which is whole, who has what of it, what goes to another
 * process. */
#include "base/check.h"
#include "node/copies.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>

static struct rg_copy_name part(int64_t done, uint64_t first, uint64_t count, const char *name)
{
    struct rg_copy_name copy = {.done = done, .first = first, .count = count};
    rg_copy_text(copy.name, sizeof copy.name, name);
    return copy;
}

/* Of 10 parameters and their velocities: state 8 lacks a velocity, state 6 is whole, of parts that
 * overlap, and so is state 4. */
static void the_newest_that_is_whole(void)
{
    const struct rg_copy_name had[] = {
        part(4, 0, 10, "w"), part(4, 0, 10, "v"), part(8, 0, 10, "w"),
        part(8, 0, 4, "v"),  part(6, 3, 7, "w"),  part(6, 5, 5, "v"),
        part(6, 0, 4, "w"),  part(6, 0, 5, "v"),  part(8, 5, 5, "v"),
    };
    const int by[] = {0, 0, 0, 0, 1, 1, 2, 2, 3};
    const struct rg_copy_name wanted[] = {part(0, 0, 6, "w"), part(0, 6, 4, "w"),
                                          part(0, 0, 10, "v")};
    int count = (int)RG_COUNT(had);
    CU_ASSERT_EQUAL(rg_copies_newest(had, count, wanted, 3, 100), 6);
    CU_ASSERT_EQUAL(rg_copies_newest(had, count, wanted, 2, 100), 8); /* the velocities are not */
    CU_ASSERT_EQUAL(rg_copies_newest(had, count, wanted, 3, 5), 4);
    CU_ASSERT_EQUAL(rg_copies_newest(had, count, wanted, 3, 3), -1);
    CU_ASSERT_EQUAL(rg_copies_newest(had, 0, wanted, 3, 100), -1);
    CU_ASSERT_EQUAL(rg_copies_find(had, by, count, 6, "w", 3, 0), 4);
    CU_ASSERT_EQUAL(rg_copies_find(had, by, count, 6, "w", 3, 2), 6); /* its own first */
    CU_ASSERT_EQUAL(rg_copies_find(had, by, count, 6, "w", 4, 2), 4);
    CU_ASSERT_EQUAL(rg_copies_find(had, by, count, 6, "w", 10, 2), -1);
    CU_ASSERT_EQUAL(rg_copies_find(had, by, count, 8, "v", 4, 3), -1);
    CU_ASSERT_EQUAL(rg_copies_find(had, by, count, 7, "w", 0, 0), -1);
}

static void fill(struct rg_copies *copies)
{
    static float values[] = {1, 2, 3};
    const struct rg_state_array array = {.name = "parameters", .first = 5, .count = 3};
    *copies = (struct rg_copies){.plan = 77};
    CU_ASSERT_EQUAL(rg_copies_add(copies, 4, &array, values), 0);
    CU_ASSERT_EQUAL(rg_copies_add(copies, 8, &array, NULL), 0); /* numerics are skipped */
    CU_ASSERT_EQUAL(rg_copies_add(copies, 8, &array, values + 0), 0);
    for (int i = 1; i <= 3; i++)
        CU_ASSERT_EQUAL(rg_copies_add_point(
                            copies, &(struct rg_run_point){.iteration = 3 * i, .loss = 1.0 / i}),
                        0);
}

/* Floats 5 to 7 after 4 iterations and after 8: no more, of no other kind, at no other time. */
static void parts_are_not_the_whole(void)
{
    struct rg_copies copies;
    fill(&copies);
    static const struct {
        size_t first, count;
        bool covered;
    } cases[] = {{5, 3, true},  {6, 2, true},  {7, 1, true},  {5, 4, false},
                 {6, 3, false}, {4, 2, false}, {8, 1, false}, {0, 20, false}};
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        struct rg_state_array array = {
            .name = "parameters", .first = cases[i].first, .count = cases[i].count};
        CU_ASSERT_EQUAL(rg_copies_cover(&copies, 4, &array), cases[i].covered);
        CU_ASSERT_EQUAL(rg_copies_cover(&copies, 8, &array), cases[i].covered);
        CU_ASSERT_FALSE(rg_copies_cover(&copies, 6, &array));
        array.name = "velocity";
        CU_ASSERT_FALSE(rg_copies_cover(&copies, 4, &array));
    }
    rg_copies_free(&copies);
}

static void only_one_state_stays(void)
{
    struct rg_copies copies;
    fill(&copies);
    rg_copies_keep(&copies, 8);
    rg_copies_keep_points(&copies, 8);
    CU_ASSERT_EQUAL(copies.count, 2);
    CU_ASSERT_EQUAL(copies.list[0].name.done, 8);
    CU_ASSERT_EQUAL(copies.point_count, 2); /* 3 and 6, not 9 */
    rg_copies_keep(&copies, -1);
    rg_copies_keep_points(&copies, -1);
    CU_ASSERT_EQUAL(copies.count, 0);
    CU_ASSERT_EQUAL(copies.point_count, 0);
    rg_copies_free(&copies);
}

/* They come out as they went in; cut short anywhere they are refused. */
static void another_process_has_the_same(void)
{
    struct rg_copies copies, other;
    unsigned char *bytes;
    size_t size;
    fill(&copies);
    CU_ASSERT_EQUAL_FATAL(rg_copies_encode(&copies, &bytes, &size), 0);
    CU_ASSERT_EQUAL_FATAL(rg_copies_decode(bytes, size, &other), 0);
    CU_ASSERT_EQUAL(other.plan, 77);
    CU_ASSERT_EQUAL(other.count, copies.count);
    CU_ASSERT_EQUAL(other.point_count, 3);
    CU_ASSERT_EQUAL(other.points[2].iteration, 9);
    for (int i = 0; i < copies.count; i++) {
        const struct rg_copy *a = &copies.list[i], *b = &other.list[i];
        CU_ASSERT_EQUAL(memcmp(&a->name, &b->name, sizeof a->name), 0);
        CU_ASSERT_EQUAL(a->values == NULL, b->values == NULL);
        if (a->values && b->values)
            CU_ASSERT_EQUAL(memcmp(a->values, b->values, 3 * sizeof *a->values), 0);
    }
    rg_copies_free(&other);
    for (size_t cut = 0; cut < size; cut++) {
        unsigned char *less = malloc(cut + 1); /* so that a sanitizer sees reads beyond it */
        memcpy(less, bytes, cut);
        CU_ASSERT_EQUAL(rg_copies_decode(less, cut, &other), RG_ERR_PROTOCOL);
        CU_ASSERT_EQUAL(other.count, 0);
        free(less);
    }
    free(bytes);
    rg_copies_free(&copies);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"the newest that is whole", the_newest_that_is_whole},
        {"parts are not the whole", parts_are_not_the_whole},
        {"only one state stays", only_one_state_stays},
        {"another process has the same", another_process_has_the_same},
    };
    return suite_main("copies", tests, sizeof tests / sizeof *tests, argc, argv);
}
