/* Eight bytes at a time: one instruction, or eight tables (Kounavis and Berry 2008, "slicing by
 * 8"), both on the complement of the remainder, least significant bit first. */
#include "base/crc.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#ifdef __aarch64__
#include <sys/auxv.h>
#endif

#define POLYNOMIAL 0x82f63b78U /* 0x1edc6f41, turned round */

static uint64_t eight_at(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* ---- by tables ---- */

static uint32_t tables[8][256]; /* [k]: a byte with k zero bytes behind it */
static pthread_once_t made = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        tables[0][i] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int i = 0; i < 256; i++)
            tables[k][i] = tables[k - 1][i] >> 8 ^ tables[0][tables[k - 1][i] & 255];
}

uint32_t rg_crc32c_by_tables(uint32_t crc, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    pthread_once(&made, make_tables);
    crc = ~crc;
    for (; count >= 8; count -= 8, at += 8) {
        uint32_t low = crc, next = 0;
        for (unsigned k = 0; k < 4; k++)
            next ^= tables[7 - k][(at[k] ^ low >> (8 * k)) & 255] ^ tables[3 - k][at[4 + k]];
        crc = next;
    }
    for (; count > 0; count--)
        crc = crc >> 8 ^ tables[0][(crc ^ *at++) & 255];
    return ~crc;
}

/* ---- by instruction ---- */

#if defined __x86_64__

static bool has_instruction(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2");
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const void *bytes,
                                                                 size_t count)
{
    const unsigned char *at = bytes;
    uint64_t wide = (uint32_t)~crc;
    for (; count >= 8; count -= 8, at += 8)
        wide = __builtin_ia32_crc32di(wide, eight_at(at));
    crc = (uint32_t)wide;
    for (; count > 0; count--)
        crc = __builtin_ia32_crc32qi(crc, *at++);
    return ~crc;
}

#elif defined __aarch64__

static bool has_instruction(void)
{
    return getauxval(AT_HWCAP) & (1UL << 7); /* HWCAP_CRC32 */
}

__attribute__((target("+crc"))) static uint32_t by_instruction(uint32_t crc, const void *bytes,
                                                               size_t count)
{
    const unsigned char *at = bytes;
    crc = ~crc;
    for (; count >= 8; count -= 8, at += 8)
        crc = __builtin_aarch64_crc32cx(crc, eight_at(at));
    for (; count > 0; count--)
        crc = __builtin_aarch64_crc32cb(crc, *at++);
    return ~crc;
}

#else /* 32-bit ARM's is there by the kernel's word alone where all is built for an older one */

static bool has_instruction(void)
{
    return false;
}

static uint32_t by_instruction(uint32_t crc, const void *bytes, size_t count)
{
    (void)eight_at;
    return rg_crc32c_by_tables(crc, bytes, count);
}

#endif

uint32_t rg_crc32c_more(uint32_t crc, const void *bytes, size_t count)
{
    static bool known, there; /* two threads that ask at once find the same */
    if (!__atomic_load_n(&known, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&there, has_instruction(), __ATOMIC_RELAXED);
        __atomic_store_n(&known, true, __ATOMIC_RELEASE);
    }
    return __atomic_load_n(&there, __ATOMIC_RELAXED) ? by_instruction(crc, bytes, count)
                                                     : rg_crc32c_by_tables(crc, bytes, count);
}

uint32_t rg_crc32c(const void *bytes, size_t count)
{
    return rg_crc32c_more(0, bytes, count);
}
