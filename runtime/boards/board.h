/* Boards: from the cost of a kernel or message to seconds. Used by the simulator, the closed forms,
 * the partition and (paced) by ringnode alike. */
#ifndef RG_BOARDS_BOARD_H
#define RG_BOARDS_BOARD_H

#include "base/cost.h"
#include "base/error.h"
#include <stdint.h>

enum { RG_BOARD_CURVE = 8 };

/* A datasheet, as a platform file's properties give it. Rates in FLOP/s and bytes/s. */
struct rg_board {
    char name[48];
    int cores;
    double gemm_rate;     /* one core, large matrices, FLOP/s */
    double gemm_rate_all; /* all cores together */
    /* Efficiency of a product as a function of its effective size cbrt(m n k): a straight line in
     * log2(size) between points, constant beyond them. */
    int curve_points;
    double curve_size[RG_BOARD_CURVE], curve_share[RG_BOARD_CURVE];
    double vector_rate; /* elementwise FLOP/s of one core */
    double memory_rate; /* bytes/s of one core */
    double memory_rate_all;
    double call_s;                     /* overhead of a kernel call */
    uint64_t memory_bytes;             /* usable by training */
    double port_rate;                  /* bytes/s on the wire, one direction; full duplex */
    double latency_s;                  /* one way, port to port */
    double frame_payload, frame_bytes; /* of a full frame: 1448 of 1538 for Ethernet with TCP */
};

/* Seconds of a list of kernels on `threads` cores (1 .. cores): for each the slower of the compute
 * and the memory bound, plus the call's overhead. */
double rg_board_seconds(const struct rg_board *board, const struct rg_work *work, int threads);

/* Bytes on the wire of `messages` messages with `payload` bytes in all. */
double rg_board_wire_bytes(const struct rg_board *board, uint64_t messages, uint64_t payload);
/* Busy time of a port for them: wire bytes over the rate. Latency is not in it. */
double rg_board_port_s(const struct rg_board *board, uint64_t messages, uint64_t payload);

/* Complain about values that cannot be (zero rates, efficiency over 1, ...). */
int rg_board_check(const struct rg_board *board, struct rg_error *e);

#endif
