/* CRC-32C: the values of the standard; instruction, tables and one bit after the other agree. */
#include "base/crc.h"

#include "base/check.h"
#include "base/random.h"
#include "support/suite.h"

static void values_of_the_standard(void)
{
    unsigned char bytes[32] = {0};
    CU_ASSERT_EQUAL(rg_crc32c("123456789", 9), 0xe3069283U);
    CU_ASSERT_EQUAL(rg_crc32c("", 0), 0);
    CU_ASSERT_EQUAL(rg_crc32c(bytes, sizeof bytes), 0x8a9136aaU); /* RFC 3720, B.4, these three */
    memset(bytes, 0xff, sizeof bytes);
    CU_ASSERT_EQUAL(rg_crc32c(bytes, sizeof bytes), 0x62a8ab43U);
    for (int i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    CU_ASSERT_EQUAL(rg_crc32c(bytes, sizeof bytes), 0x46dd794eU);
}

/* As the definition has it. */
static uint32_t bit_by_bit(const unsigned char *bytes, size_t count)
{
    uint32_t crc = ~0U;
    for (size_t i = 0; i < 8 * count; i++) {
        uint32_t bit = (crc ^ (uint32_t)(bytes[i / 8] >> i % 8)) & 1;
        crc = crc >> 1 ^ (bit ? 0x82f63b78U : 0);
    }
    return ~crc;
}

/* Whatever the length, and wherever it begins. */
static void all_ways_agree(void)
{
    unsigned char bytes[160];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)rg_mix64(i);
    for (size_t first = 0; first < 9; first++)
        for (size_t count = 0; first + count <= sizeof bytes; count++) {
            uint32_t wanted = bit_by_bit(bytes + first, count);
            CU_ASSERT_EQUAL(rg_crc32c(bytes + first, count), wanted);
            CU_ASSERT_EQUAL(rg_crc32c_by_tables(0, bytes + first, count), wanted);
        }
}

static void pieces_make_a_whole(void)
{
    unsigned char bytes[100];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)rg_mix64(7 * i);
    uint32_t whole = rg_crc32c(bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        CU_ASSERT_EQUAL(rg_crc32c_more(rg_crc32c(bytes, cut), bytes + cut, sizeof bytes - cut),
                        whole);
        CU_ASSERT_EQUAL(rg_crc32c_by_tables(rg_crc32c_by_tables(0, bytes, cut), bytes + cut,
                                            sizeof bytes - cut),
                        whole);
    }
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"values of the standard", values_of_the_standard},
        {"all ways agree", all_ways_agree},
        {"pieces make a whole", pieces_make_a_whole},
    };
    return suite_main("crc", tests, (int)RG_COUNT(tests), argc, argv);
}
