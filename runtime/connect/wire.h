/* What travels between two nodes: frames of 32 bytes, some followed by payload, and the hello that
 * opens a connection. Little-endian throughout; payload is the sender's memory as it is. */
#ifndef RG_CONNECT_WIRE_H
#define RG_CONNECT_WIRE_H

#include "base/bytes.h"
#include "base/digest.h"
#include <stdbool.h>
#include <stddef.h>

/* Payload (floats, counts) is not converted: a big-endian node would train on other numbers. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "payload travels in little-endian order");

#define RG_WIRE_PROTOCOL 7u

/* A message travels in segments, so that frames of other kinds wait for one segment at most. Their
 * size is the sender's choice, a multiple of the unit but for the last. */
#define RG_WIRE_UNIT          ((size_t)1 << 10)
#define RG_WIRE_SEGMENT_LEAST ((size_t)16 << 10)
#define RG_WIRE_SEGMENT_MOST  ((size_t)4 << 20)

/* What follows RG_FRAME_COME, at most: it fits what a link reads ahead. */
#define RG_WIRE_COME_MOST ((uint64_t)8 << 10)

/* The largest message; anything above is nonsense. */
#define RG_WIRE_LONGEST ((uint64_t)1 << 46)

/* In brackets the fields that count; all others are zero. */
enum rg_frame {
    RG_FRAME_DATA = 1, /* a message begins [sequence, tag, length, flags]; its first segment follows
                          [units: its size, or more than is left] */
    RG_FRAME_MORE,     /* its next segment follows [sequence, units, length: what is left of it] */
    RG_FRAME_ABORT,    /* what is left of it never comes [sequence] */
    RG_FRAME_ACK,      /* arrived whole up to [sequence]; eager credit ever given back, in bytes
                          [length] and messages modulo 2^32 [tag] */
    RG_FRAME_RTS,      /* request to send: a message waits for a receive or for eager credit
                          [sequence, tag, length] */
    RG_FRAME_WITHDRAW, /* it does not wait any more [sequence] */
    RG_FRAME_CTS,      /* clear to send: its receive has been posted [sequence] */
    RG_FRAME_EXPECT,   /* a large receive has been posted [tag, length: its capacity], after the
                          arrival of message [sequence], behind [units] others of its tag */
    RG_FRAME_RETRACT,  /* [length] such receives of the tag have been cancelled [tag] */
    RG_FRAME_RETRACTED, /* [length] of the permissions had not been used */
    RG_FRAME_BARRIER,   /* came to a barrier [sequence: its number] */
    RG_FRAME_LEAVE,     /* leaves the run [tag: the rank that it lost, itself where it failed,
                           RG_WIRE_NOBODY or RG_WIRE_YOU; sequence: as of ACK, which may not have gone
                           out];     withdraws what it announced */
    RG_FRAME_INTERRUPT, /* the user stops it all, or [tag: RG_WIRE_EXPIRED] the time for it is up,
                           or [RG_WIRE_WINDING] it is to end with an update, and this rank will not
                           go beyond number [sequence] unless others have */
    RG_FRAME_GOODBYE,   /* leaves the mesh */
    RG_FRAME_BEAT,      /* a sign of life, where there was nothing else to say for a while
                           [sequence: frames before it on this connection, but COME] */
    RG_FRAME_REASON,    /* what became of rank [tag], maybe the sender: a text of [length] bytes
                           follows; before a LEAVE that names the rank */
    RG_FRAME_COME,      /* into a run under way, the first frame of its connection: [length] bytes
                           follow (joined.h); [run]: the last one of those that are in it */
    RG_FRAME_END
};
#define RG_WIRE_EAGER   1u /* flag of DATA: counts against the eager limit */
#define RG_WIRE_CHECKED 2u /* flag of what payload follows: with the CRC-32C of that payload */
#define RG_WIRE_NOBODY  UINT32_MAX
#define RG_WIRE_YOU     (UINT32_MAX - 1) /* who reads this: the others go on without it */
#define RG_WIRE_EXPIRED 1u
#define RG_WIRE_WINDING 2u

/* Its own 32 bytes are always checked. The payload's checksum takes bits of the length and of the
 * sequence that are 0 without: no message is so long, and no run has so many. */
struct rg_header {
    uint8_t type, flags;
    uint16_t units;
    uint32_t tag, run;
    uint64_t length, sequence;
    uint32_t crc; /* RG_WIRE_CHECKED */
};

void rg_header_encode(const struct rg_header *header, unsigned char bytes[RG_MESSAGE_HEADER]);
/* NULL, or what is wrong with the bytes; among it, that these are no header, or damaged. */
extern const char rg_wire_no_frame[];
const char *rg_header_decode(const unsigned char bytes[RG_MESSAGE_HEADER],
                             struct rg_header *header);
/* Bytes up to the first 0, or all but the last of `room`, as a text: terminated, printable, without
 * newlines, and zeroes behind it. */
void rg_wire_text(const unsigned char *bytes, size_t room, char *text);

/* The first thing each side says. The fields up to version keep their place in every protocol. */
#define RG_WIRE_HELLO   512
#define RG_WIRE_VERSION 32
#define RG_WIRE_REASON  256

enum rg_hello_kind {
    RG_HELLO_ASKS = 1,
    RG_HELLO_WELCOME,
    RG_HELLO_REFUSED,
    RG_HELLO_TRAINS, /* in a run under way, which may take in who hears it; it calls, or answers */
    RG_HELLO_OVER,   /* that run has ended, with error -target, or 0 */
    RG_HELLO_LATER   /* not now, for that reason: it may be another matter soon */
};

struct rg_hello {
    uint32_t protocol, kind;
    uint32_t rank, size; /* of the sender */
    uint32_t target;     /* whom it believes to talk to */
    uint64_t nonce;      /* of the run; 0: not known yet */
    char version[RG_WIRE_VERSION];
    char scenario[RG_DIGEST_TEXT];
    char reason[RG_WIRE_REASON]; /* of a refusal, or LATER */
};

void rg_hello_encode(const struct rg_hello *hello, unsigned char bytes[RG_WIRE_HELLO]);
/* NULL, or what is wrong. Texts come out terminated, printable and without newlines. */
const char *rg_hello_decode(const unsigned char bytes[RG_WIRE_HELLO], struct rg_hello *hello);
/* Could the first `count` bytes open a hello? */
bool rg_hello_begins(const unsigned char *bytes, size_t count);

#endif
