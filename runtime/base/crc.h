/* CRC-32C (Castagnoli 1993; RFC 3720, appendix B.4): by the processor's own instruction where it
 * has one, else by tables. */
#ifndef RG_BASE_CRC_H
#define RG_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

uint32_t rg_crc32c(const void *bytes, size_t count);
/* Of what `crc` is of, and these bytes behind it; crc 0: of nothing. */
uint32_t rg_crc32c_more(uint32_t crc, const void *bytes, size_t count);
/* The same by tables, whatever the processor has: for tests. */
uint32_t rg_crc32c_by_tables(uint32_t crc, const void *bytes, size_t count);

#endif
