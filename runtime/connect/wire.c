#include "connect/wire.h"

#include "base/check.h"
#include "base/crc.h"
#include <string.h>

/* The first four bytes are "RTF1" and the CRC-32C of the others, one on the other. */
#define FRAME_MAGIC 0x31465452u

/* How many bits of the length and the sequence of a segment with a checksum are theirs. */
enum { LENGTH_BITS = 47, SEQUENCE_BITS = 49, CRC_IN_LENGTH = 64 - LENGTH_BITS };
_Static_assert(RG_WIRE_LONGEST >> LENGTH_BITS == 0 && 2 * 64 - LENGTH_BITS - SEQUENCE_BITS == 32,
               "a checksum fits the bits that are left");

static uint32_t magic_of(const unsigned char bytes[RG_MESSAGE_HEADER])
{
    return FRAME_MAGIC ^ rg_crc32c(bytes + 4, RG_MESSAGE_HEADER - 4);
}

static const char hello_magic[8] = "RINGTMP\n";

void rg_header_encode(const struct rg_header *h, unsigned char bytes[RG_MESSAGE_HEADER])
{
    uint64_t length = h->length, sequence = h->sequence;
    if (h->flags & RG_WIRE_CHECKED) {
        RG_ASSERT(length >> LENGTH_BITS == 0 && sequence >> SEQUENCE_BITS == 0);
        length |= (uint64_t)h->crc << LENGTH_BITS;
        sequence |= (uint64_t)(h->crc >> CRC_IN_LENGTH) << SEQUENCE_BITS;
    }
    rg_put_u32(bytes + 4, h->type | (uint32_t)h->flags << 8 | (uint32_t)h->units << 16);
    rg_put_u32(bytes + 8, h->tag);
    rg_put_u32(bytes + 12, h->run);
    rg_put_u64(bytes + 16, length);
    rg_put_u64(bytes + 24, sequence);
    rg_put_u32(bytes, magic_of(bytes));
}

static void take_crc(struct rg_header *h)
{
    h->crc = (uint32_t)(h->length >> LENGTH_BITS) | (uint32_t)(h->sequence >> SEQUENCE_BITS)
                                                        << CRC_IN_LENGTH;
    h->length &= ((uint64_t)1 << LENGTH_BITS) - 1;
    h->sequence &= ((uint64_t)1 << SEQUENCE_BITS) - 1;
}

const char rg_wire_no_frame[] = "no frame begins where one should, or a damaged one";

enum { TAG = 1, LENGTH = 2, SEQUENCE = 4, EAGER = 8, UNITS = 16, PAYLOAD = 32 };

static const unsigned char fields[RG_FRAME_END] = {
    [RG_FRAME_DATA] = TAG | LENGTH | SEQUENCE | EAGER | UNITS | PAYLOAD,
    [RG_FRAME_MORE] = LENGTH | SEQUENCE | UNITS | PAYLOAD,
    [RG_FRAME_ABORT] = SEQUENCE,
    [RG_FRAME_INTERRUPT] = TAG | SEQUENCE,
    [RG_FRAME_ACK] = TAG | LENGTH | SEQUENCE,
    [RG_FRAME_RTS] = TAG | LENGTH | SEQUENCE,
    [RG_FRAME_WITHDRAW] = SEQUENCE,
    [RG_FRAME_CTS] = SEQUENCE,
    [RG_FRAME_EXPECT] = TAG | LENGTH | SEQUENCE | UNITS,
    [RG_FRAME_RETRACT] = TAG | LENGTH,
    [RG_FRAME_RETRACTED] = LENGTH,
    [RG_FRAME_BARRIER] = SEQUENCE,
    [RG_FRAME_LEAVE] = TAG | SEQUENCE,
    [RG_FRAME_BEAT] = SEQUENCE,
    [RG_FRAME_REASON] = TAG | LENGTH | PAYLOAD,
    [RG_FRAME_COME] = LENGTH | PAYLOAD,
};

const char *rg_header_decode(const unsigned char bytes[RG_MESSAGE_HEADER], struct rg_header *h)
{
    if (rg_get_u32(bytes) != magic_of(bytes))
        return rg_wire_no_frame;
    uint32_t word = rg_get_u32(bytes + 4);
    *h = (struct rg_header){.type = (uint8_t)word,
                            .flags = (uint8_t)(word >> 8),
                            .units = (uint16_t)(word >> 16),
                            .tag = rg_get_u32(bytes + 8),
                            .run = rg_get_u32(bytes + 12),
                            .length = rg_get_u64(bytes + 16),
                            .sequence = rg_get_u64(bytes + 24)};
    if (h->type == 0 || h->type >= RG_FRAME_END)
        return "a frame of unknown type";
    unsigned used = fields[h->type];
    unsigned flags = (used & EAGER ? RG_WIRE_EAGER : 0u) | (used & PAYLOAD ? RG_WIRE_CHECKED : 0u);
    if (h->flags & flags & RG_WIRE_CHECKED)
        take_crc(h);
    if ((h->tag && !(used & TAG)) || (h->length && !(used & LENGTH)) ||
        (h->sequence && !(used & SEQUENCE)) || (h->units && !(used & UNITS)) ||
        (h->flags & ~flags) || (h->flags & RG_WIRE_CHECKED && h->length == 0))
        return "a frame with a field that its type does not have";
    if (h->type == RG_FRAME_INTERRUPT &&
        (h->tag > RG_WIRE_WINDING || (h->sequence && h->tag != RG_WIRE_WINDING)))
        return "an interruption of unknown kind";
    if (h->type == RG_FRAME_REASON && (h->length == 0 || h->length >= RG_WIRE_REASON))
        return "a reason of impossible length";
    if (h->type == RG_FRAME_COME && (h->length == 0 || h->length > RG_WIRE_COME_MOST))
        return "an invitation of impossible length";
    if (h->length > RG_WIRE_LONGEST && h->type != RG_FRAME_ACK)
        return "a frame of impossible length";
    bool segment = h->type == RG_FRAME_MORE || (h->type == RG_FRAME_DATA && h->length);
    if (segment &&
        (h->units == 0 || h->length == 0 || h->units * RG_WIRE_UNIT > RG_WIRE_SEGMENT_MOST))
        return "a segment of impossible length";
    return NULL;
}

/* Places in a hello. */
enum {
    AT_PROTOCOL = 8,
    AT_KIND = 12,
    AT_RANK = 16,
    AT_SIZE = 20,
    AT_TARGET = 24,
    AT_NONCE = 32,
    AT_VERSION = 40,
    AT_SCENARIO = AT_VERSION + RG_WIRE_VERSION,
    AT_REASON = 144,
    AT_REST = AT_REASON + RG_WIRE_REASON
};

void rg_hello_encode(const struct rg_hello *hello, unsigned char bytes[RG_WIRE_HELLO])
{
    memset(bytes, 0, RG_WIRE_HELLO);
    memcpy(bytes, hello_magic, sizeof hello_magic);
    rg_put_u32(bytes + AT_PROTOCOL, hello->protocol);
    rg_put_u32(bytes + AT_KIND, hello->kind);
    rg_put_u32(bytes + AT_RANK, hello->rank);
    rg_put_u32(bytes + AT_SIZE, hello->size);
    rg_put_u32(bytes + AT_TARGET, hello->target);
    rg_put_u64(bytes + AT_NONCE, hello->nonce);
    memcpy(bytes + AT_VERSION, hello->version, strnlen(hello->version, RG_WIRE_VERSION - 1));
    memcpy(bytes + AT_SCENARIO, hello->scenario, strnlen(hello->scenario, RG_DIGEST_TEXT - 1));
    memcpy(bytes + AT_REASON, hello->reason, strnlen(hello->reason, RG_WIRE_REASON - 1));
}

void rg_wire_text(const unsigned char *bytes, size_t room, char *text)
{
    size_t n = 0;
    for (; n < room - 1 && bytes[n]; n++)
        text[n] = bytes[n] >= ' ' && bytes[n] < 127 ? (char)bytes[n] : '?';
    memset(text + n, 0, room - n);
}

bool rg_hello_begins(const unsigned char *bytes, size_t count)
{
    size_t known = count < sizeof hello_magic ? count : sizeof hello_magic;
    return memcmp(bytes, hello_magic, known) == 0;
}

const char *rg_hello_decode(const unsigned char bytes[RG_WIRE_HELLO], struct rg_hello *hello)
{
    if (!rg_hello_begins(bytes, RG_WIRE_HELLO))
        return "it does not speak RingTMP";
    *hello = (struct rg_hello){.protocol = rg_get_u32(bytes + AT_PROTOCOL),
                               .kind = rg_get_u32(bytes + AT_KIND),
                               .rank = rg_get_u32(bytes + AT_RANK),
                               .size = rg_get_u32(bytes + AT_SIZE),
                               .target = rg_get_u32(bytes + AT_TARGET),
                               .nonce = rg_get_u64(bytes + AT_NONCE)};
    rg_wire_text(bytes + AT_VERSION, RG_WIRE_VERSION, hello->version);
    rg_wire_text(bytes + AT_SCENARIO, RG_DIGEST_TEXT, hello->scenario);
    rg_wire_text(bytes + AT_REASON, RG_WIRE_REASON, hello->reason);
    if (hello->kind < RG_HELLO_ASKS || hello->kind > RG_HELLO_LATER)
        return "its hello is of no known kind";
    if (hello->size == 0 || hello->size > INT32_MAX || hello->rank >= hello->size)
        return "its hello names an impossible rank";
    return NULL;
}
