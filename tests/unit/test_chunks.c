/* Pieces that go together: zeroed, apart from each other, aligned, of every size. */
#include "base/chunks.h"

#include "base/check.h"
#include "base/random.h"
#include "support/suite.h"
#include <stdint.h>
#include <string.h>

static void test_pieces(void)
{
    enum { COUNT = 4000 };
    static const size_t rare[] = {1, 5000, 70000, 3000000, 5000000};
    static unsigned char *piece[COUNT];
    static size_t size[COUNT];
    static const unsigned char zeros[200];
    struct rg_chunks chunks = {0};
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < COUNT; i++) {
            size[i] =
                i % 800 == 799 ? rare[i / 800] : (size_t)(rg_mix64((unsigned)i) % sizeof zeros);
            piece[i] = rg_chunks_take(&chunks, size[i]);
            CU_ASSERT_PTR_NOT_NULL_FATAL(piece[i]);
            CU_ASSERT_EQUAL((uintptr_t)piece[i] % _Alignof(max_align_t), 0);
            CU_ASSERT_EQUAL(memcmp(piece[i], zeros, RG_MIN(size[i], sizeof zeros)), 0);
            memset(piece[i], i % 251, size[i]);
        }
        for (int i = 0; i < COUNT; i++)
            for (size_t k = 0; k < size[i]; k += RG_MAX(size[i] - 1, 1))
                CU_ASSERT_EQUAL(piece[i][k], i % 251);
        rg_chunks_free(&chunks);
    }
    rg_chunks_free(&chunks); /* of nothing */
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"pieces", test_pieces},
    };
    return suite_main("chunks", tests, (int)RG_COUNT(tests), argc, argv);
}
