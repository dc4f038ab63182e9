/* Objects that ranks of one process share. */
#include "base/check.h"
#include "base/error.h"
#include "support/suite.h"
#include "world/shared.h"

enum { KINDS = 2, BAD = 13 };

static int made, cleared;

struct thing {
    const void *of;
    int64_t number;
};

static int make(void *object, const void *of, int64_t number)
{
    struct thing *thing = object;
    CU_ASSERT_PTR_NULL(thing->of);
    *thing = (struct thing){of, number};
    made++;
    return number == BAD ? RG_ERR_NOMEM : 0;
}

static void clear(void *object)
{
    (void)object;
    cleared++;
}

static const struct rg_shared_kind kinds[KINDS] = {{sizeof(struct thing), make, clear},
                                                   {sizeof(struct thing), make, clear}};

static void set_up(void)
{
    made = cleared = 0;
}

/* One object for a kind, an owner and a number, however many there are; it ends with the last. */
static void test_one(void)
{
    struct rg_world a = {.shared = rg_shared_new()}, b = {.shared = a.shared};
    enum { MANY = 1000 };
    static void *things[KINDS][2][MANY];
    set_up();
    CU_ASSERT_PTR_NOT_NULL_FATAL(a.shared);
    for (int kind = 0; kind < KINDS; kind++)
        for (int of = 0; of < 2; of++)
            for (int i = 0; i < MANY; i++)
                things[kind][of][i] = rg_shared_take(&a, &kinds[kind], of ? &a : &b, BAD + 1 + i);
    CU_ASSERT_EQUAL(made, 4 * MANY);
    for (int i = MANY - 1; i >= 0; i -= 7) {
        struct thing *again = rg_shared_take(&b, &kinds[1], &b, BAD + 1 + i);
        CU_ASSERT_PTR_EQUAL(again, things[1][0][i]);
        CU_ASSERT_PTR_EQUAL(again->of, &b);
        CU_ASSERT_EQUAL(again->number, BAD + 1 + i);
        rg_shared_drop(again);
    }
    CU_ASSERT_EQUAL(made, 4 * MANY);
    CU_ASSERT_EQUAL(cleared, 0);
    for (int i = 0; i < MANY; i++) /* some in the middle of their lists */
        rg_shared_drop(things[i % 2][0][i]);
    CU_ASSERT_EQUAL(cleared, MANY);
    CU_ASSERT_PTR_EQUAL(rg_shared_take(&b, &kinds[1], &b, BAD + 1), things[1][0][0]);
    rg_shared_drop(rg_shared_take(&b, &kinds[0], &b, BAD + 1)); /* anew */
    CU_ASSERT_EQUAL(made, 4 * MANY + 1);
    rg_shared_free(a.shared); /* with what is left */
    CU_ASSERT_EQUAL(cleared, made);
}

/* Owners, more than a table has slots, with one number: each has its own. */
static void test_owners(void)
{
    enum { OWNERS = 1000 };
    static const char owners[OWNERS];
    struct rg_world w = {.shared = rg_shared_new()};
    set_up();
    CU_ASSERT_PTR_NOT_NULL_FATAL(w.shared);
    for (int i = 0; i < OWNERS; i++) {
        const struct thing *thing = rg_shared_take(&w, &kinds[0], &owners[i], 1);
        CU_ASSERT_PTR_EQUAL(thing->of, &owners[i]);
    }
    CU_ASSERT_EQUAL(made, OWNERS);
    rg_shared_free(w.shared);
    CU_ASSERT_EQUAL(cleared, OWNERS);
}

/* Where the world shares nothing, each has its own. */
static void test_alone(void)
{
    struct rg_world w = {0};
    set_up();
    struct thing *a = rg_shared_take(&w, &kinds[0], &w, 1),
                 *b = rg_shared_take(&w, &kinds[0], &w, 1);
    CU_ASSERT_PTR_NOT_EQUAL(a, b);
    CU_ASSERT_EQUAL(made, 2);
    rg_shared_drop(a);
    rg_shared_drop(b);
    rg_shared_drop(NULL);
    CU_ASSERT_EQUAL(cleared, 2);
}

/* What cannot be made is cleared, and is nobody's. */
static void test_refused(void)
{
    struct rg_world alone = {0}, shares = {.shared = rg_shared_new()};
    set_up();
    CU_ASSERT_PTR_NULL(rg_shared_take(&alone, &kinds[0], &alone, BAD));
    CU_ASSERT_PTR_NULL(rg_shared_take(&shares, &kinds[0], &alone, BAD));
    CU_ASSERT_PTR_NULL(rg_shared_take(&shares, &kinds[0], &alone, BAD));
    CU_ASSERT_EQUAL(made, 3);
    CU_ASSERT_EQUAL(cleared, 3);
    rg_shared_free(shares.shared);
    CU_ASSERT_EQUAL(cleared, 3);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"one object for all", test_one},
                                              {"one each", test_alone},
                                              {"no memory", test_refused},
                                              {"as many as owners", test_owners}};
    return suite_main("shared", tests, RG_COUNT(tests), argc, argv);
}
