#include "connect/joined.h"

#include "base/crc.h"
#include <stdlib.h>
#include <string.h>

/* nodes, present, seats; then by rank whose it is, and by seat who is absent. */
enum { AT_SEATS = 12, A_SEAT = 5 };

void rg_joined_free(struct rg_joined *joined)
{
    free(joined->seat);
    free(joined->absent);
    *joined = (struct rg_joined){0};
}

unsigned char *rg_joined_encode(const struct rg_joined *joined, size_t *size)
{
    size_t seats = (size_t)joined->seats, length = AT_SEATS + A_SEAT * seats;
    unsigned char *bytes = length <= RG_WIRE_COME_MOST ? malloc(RG_MESSAGE_HEADER + length) : NULL;
    if (!bytes)
        return NULL;
    unsigned char *at = bytes + RG_MESSAGE_HEADER;
    rg_put_u32(at, (uint32_t)joined->nodes);
    rg_put_u32(at + 4, (uint32_t)joined->present);
    rg_put_u32(at + 8, (uint32_t)joined->seats);
    for (size_t i = 0; i < seats; i++)
        rg_put_u32(at + AT_SEATS + 4 * i, (uint32_t)joined->seat[i]);
    memcpy(at + AT_SEATS + 4 * seats, joined->absent, seats);
    struct rg_header h = {.type = RG_FRAME_COME,
                          .flags = RG_WIRE_CHECKED,
                          .run = joined->run,
                          .length = length,
                          .crc = rg_crc32c(at, length)};
    rg_header_encode(&h, bytes);
    *size = RG_MESSAGE_HEADER + length;
    return bytes;
}

/* Has every seat one rank? */
static bool is_permutation(const int *seat, int seats, unsigned char *seen)
{
    memset(seen, 0, (size_t)seats);
    for (int i = 0; i < seats; i++)
        if (seat[i] < 0 || seat[i] >= seats || seen[seat[i]]++)
            return false;
    return true;
}

const char *rg_joined_decode(const struct rg_header *h, const unsigned char *bytes, int seats,
                             struct rg_joined *joined)
{
    static const char nonsense[] = "an invitation that makes no sense";
    size_t n = (size_t)seats;
    if (h->type != RG_FRAME_COME || h->length != AT_SEATS + A_SEAT * n ||
        !(h->flags & RG_WIRE_CHECKED) || rg_crc32c(bytes, (size_t)h->length) != h->crc)
        return "a damaged invitation";
    uint32_t nodes = rg_get_u32(bytes), present = rg_get_u32(bytes + 4);
    if (nodes == 0 || nodes > present || present > n || rg_get_u32(bytes + 8) != n)
        return nonsense;
    int *seat = malloc(n * sizeof *seat);
    unsigned char *absent = malloc(n);
    bool good = seat && absent;
    for (size_t i = 0; i < n && good; i++)
        seat[i] = (int)rg_get_u32(bytes + AT_SEATS + 4 * i);
    if (!good || !is_permutation(seat, seats, absent)) {
        free(seat);
        free(absent);
        return good ? nonsense : "there is no memory for it";
    }
    memcpy(absent, bytes + AT_SEATS + 4 * n, n);
    free(joined->seat);
    free(joined->absent);
    *joined = (struct rg_joined){.nonce = joined->nonce,
                                 .invited = true,
                                 .run = h->run,
                                 .nodes = (int)nodes,
                                 .present = (int)present,
                                 .seats = seats,
                                 .seat = seat,
                                 .absent = absent};
    return NULL;
}
