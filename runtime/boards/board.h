/* Boards: from the cost of a kernel or message to seconds. Used by the simulator, the closed forms,
 * the partition and (paced) by ringnode alike. */
#ifndef RG_BOARDS_BOARD_H
#define RG_BOARDS_BOARD_H

#include "base/cost.h"
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

enum { RG_BOARD_CURVE = 8, RG_BOARD_CLOCKS = 16 };

/* A step of the clock and the watts of the whole board at it: idle; as busy cores go to none
 * (epsilon) and with all of them busy (full), between them in a straight line, as in SimGrid's
 * wattage_per_state. */
struct rg_clock {
    double hz, idle_watts, epsilon_watts, full_watts;
};

struct rg_measured; /* boards/measured.h */

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
    double memory_rate; /* bytes/s of one core, at best */
    double memory_rate_all;
    /* Share of these as a function of the bytes that a call moves, which live in nearer or farther
     * memory; as the curve of products. No points: 1. */
    int memory_points;
    double memory_size[RG_BOARD_CURVE], memory_share[RG_BOARD_CURVE];
    double call_s;     /* overhead of a kernel call */
    double function_s; /* of an exp on top of its operations, on one thread always; 0: nothing */
    uint64_t memory_bytes; /* usable by training */
    double disk_rate;      /* bytes/s that its card is written at; 0: unknown */
    double port_rate;      /* bytes/s on the wire that it sends; full duplex */
    double port_rx_rate;   /* that it receives; 0: as many */
    /* Both directions together: of a port that is half duplex, or a bus that it is behind, as USB
     * 2; 0: they are independent. */
    double port_bus_rate;
    double port_burst; /* bytes that pass at once after a pause: of a token bucket's shaper, each
                        * way; 0: real ports have none */
    double port_queue; /* bytes that the switch holds for it while it is busy; 0: messages to one
                        * port hold each other's senders back, as if the switch had no memory */
    double latency_s;  /* one way, port to port */
    double frame_payload, frame_bytes; /* of a full frame: 1448 of 1538 for Ethernet with TCP */
    bool by_name; /* only its name was given: rates and latency of its network are open */
    bool keyed;   /* what it sends is protected by a key: records of TLS come on top of the bytes */
    double message_s, byte_s; /* one core's time for a message, and for a byte of it, at each end */
    double port_tx_watts, port_rx_watts; /* above idle, while it sends or receives */
    double switch_watts;                 /* of the switch, for this board's port */
    bool shared_medium; /* the wire is one for all boards and both directions: radio, a hub */
    double medium_rate; /* bytes/s that such a wire carries in all; 0: the port's rate */
    /* Of a network that was measured on it, seconds that hold in place of what all of the above
     * gives; NULL: none were. Whoever sets it keeps it as long as the board. */
    const struct rg_measured *measured;
    const char
        *profile; /* the file that they are in, if the platform names one; it owns the text */
    int clock_count, clock; /* the rates above are those at clocks[clock]; highest first */
    struct rg_clock clocks[RG_BOARD_CLOCKS];
};

/* Move to the step of that many Hz: compute rates and the times of calls and messages change in
 * proportion, memory rates do not. RG_ERR_INVALID: no such step; *e lists them. */
int rg_board_set_clock(struct rg_board *board, double hz, struct rg_error *e);
/* Watts of the board with so many cores busy (0: idle), without its port. */
double rg_board_watts(const struct rg_board *board, double busy_cores);

/* Seconds of a list of kernels on `threads` cores (1 .. cores): for each the slower of the compute
 * and the memory bound, plus the call's overhead. Products are divided among the cores, all else
 * runs on one of them. Parts of training that were measured take what they took there. */
double rg_board_seconds(const struct rg_board *board, const struct rg_work *work, int threads);
/* The same, and those among them in which one core works and the others idle (none with one
 * thread); kept with the list, where it keeps them. */
struct rg_seconds rg_board_kept_seconds(const struct rg_board *board, const struct rg_work *work,
                                        int threads);

/* Messages of any sizes: their payload, and what a key adds to them (rg_tls_bytes of each). */
struct rg_load {
    uint64_t messages, payload, tls;
};

/* Messages of about one size that a rank sends another, `payload` bytes in all. */
struct rg_traffic {
    int from, to;
    uint64_t messages, payload;
};
typedef void (*rg_traffic_fn)(void *arg, const struct rg_traffic *flow);

/* Bytes on the wire; what a key adds only where the board is keyed. */
double rg_board_load_bytes(const struct rg_board *board, struct rg_load load);
/* As rg_board_port_s, and the same of what it receives. */
double rg_board_load_s(const struct rg_board *board, struct rg_load load);
double rg_board_received_s(const struct rg_board *board, struct rg_load load);
/* Busy time of its port: the larger of its two directions, or both where one bus carries them. */
double rg_board_busy_s(const struct rg_board *board, struct rg_load sent, struct rg_load received);

/* Messages of one size, alone: a key adds to them what it adds to each. */
struct rg_load rg_load_alike(uint64_t messages, uint64_t payload);
/* Bytes on the wire of `messages` messages of one size, with `payload` bytes in all. */
double rg_board_wire_bytes(const struct rg_board *board, uint64_t messages, uint64_t payload);
/* Time that they take the wire alone. */
double rg_board_wire_s(const struct rg_board *board, uint64_t messages, uint64_t payload);
/* Time they take a port, one direction: a processor prepares each message, then the bytes are on
 * the wire while a core moves them, whichever is slower. Latency is not in it. */
double rg_board_port_s(const struct rg_board *board, uint64_t messages, uint64_t payload);
/* Busy time of a port that sends these messages and receives as many like them. */
double rg_board_both_ways_s(const struct rg_board *board, uint64_t messages, uint64_t payload);
/* From sending one message to its delivery at a board of the same kind: the port's time, the
 * latency, the receiver's time for a message. */
double rg_board_hop_s(const struct rg_board *board, uint64_t payload);
/* The same between two boards, and the part of it for which it occupies their connection: bytes
 * move at the slower port and the slower processor; the latency is the mean of the two, each of
 * which is from port to port among its own kind. */
double rg_board_hop_to_s(const struct rg_board *from, const struct rg_board *to, uint64_t payload);
double rg_board_send_s(const struct rg_board *from, const struct rg_board *to, uint64_t payload);
/* rg_board_hop_to_s while both ports carry as much the other way (ways: 2; 1: nothing), and the
 * medium, if they share one, `crossing` such messages in all. */
double rg_board_passing_hop_s(const struct rg_board *from, const struct rg_board *to, int ways,
                              int crossing, uint64_t payload);
/* bytes/s on the wire from one board to another, alone. */
double rg_board_rate_to(const struct rg_board *from, const struct rg_board *to);
/* bytes/s on the wire that its port takes in. */
double rg_board_receiving_rate(const struct rg_board *board);
/* bytes/s that the medium carries which the board shares with others. */
double rg_board_medium_rate(const struct rg_board *board);

/* Complain about values that cannot be (zero rates, efficiency over 1, ...). */
int rg_board_check(const struct rg_board *board, struct rg_error *e);

#endif
