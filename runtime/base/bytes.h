/* Little-endian encoding and decoding of integers; the byte order of every file and wire format. */
#ifndef RG_BASE_BYTES_H
#define RG_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

#define RG_MESSAGE_HEADER 32 /* bytes that precede every payload on a connection between nodes */

/* A record of TLS 1.3, RFC 8446 section 5: its plaintext at most, and what it adds to it: a header
 * of 5 bytes, the content type and, with either cipher in use, a tag of 16. */
#define RG_TLS_RECORD      (16 << 10)
#define RG_TLS_RECORD_MORE 22

/* What protection by a key adds to a message of `payload` bytes that is sent alone: header and
 * payload fill one record after the other. Senders do better where messages leave together, which
 * share records, and worse where a message leaves in several segments (posix/link.c): each begins a
 * record and fills at least 15 of its 16 KiB, so that there is at most one record more to every 15
 * of these, and one. As with frames, what carries no payload is not counted. */
static inline uint64_t rg_tls_bytes(uint64_t payload)
{
    return RG_TLS_RECORD_MORE * ((payload + RG_MESSAGE_HEADER + RG_TLS_RECORD - 1) / RG_TLS_RECORD);
}

static inline void rg_put_u32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}

static inline void rg_put_u64(unsigned char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}

static inline uint32_t rg_get_u32(const unsigned char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v |= (uint32_t)p[i] << (8 * i);
    return v;
}

static inline uint64_t rg_get_u64(const unsigned char *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* The bits of a float, and back. */
static inline uint32_t rg_bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float rg_float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
