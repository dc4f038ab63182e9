/* The time of High-Performance Linpack (HPL) on a platform file, under SMPI.
 *
 *   smpirun ... hpl PLATFORM.xml N NB P Q [CLOCK [SPEEDUP STALL]]
 *
 * The steps and messages of HPL 2.3 with one rank a core, row-major on a P x Q grid, without the
 * numbers: block LU of an N x N matrix of doubles in blocks of NB. For every panel
 *   - the process column that owns it factorises it, recursively down to four columns, with an
 *     exchange of the pivot row down the column for each of its NB columns;
 *   - the panel goes round the ring of process columns (1ringM: the next owner first);
 *   - rows are swapped and U collected (spread-roll), the triangular solve, the trailing update.
 * Look-ahead of depth 1: the owner of the next panel updates and factorises that one first.
 * Left out: back substitution (of order N^2) and generating the matrix, which HPL does not time.
 *
 * What a kernel takes is the project's board model's answer for that shape with all cores busy
 * alike: a double counts as two single-precision numbers, for operations and for bytes.
 *
 * Another build of HPL and its BLAS than the datasheet's has matrix products SPEEDUP times as fast
 * and waits STALL seconds for memory at every operation of a board, whatever its clock. */
#include "base/bytes.h"
#include "base/check.h"
#include "boards/board.h"
#include "scenario/scenario.h"

#include <math.h>
#include <mpi.h>
#include <simgrid/host.h>
#include <simgrid/plugins/energy.h>
#include <smpi/smpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NBMIN = 4, PIECES = 8, DOUBLE = sizeof(double), FLOATS = 2 /* a double is two of them */ };

enum tag { PIVOT = 1, SPREAD, ROLL, PANEL /* + panel */ };

static struct {
    struct rg_board board;
    double speed;                  /* of SimGrid's host, FLOP/s */
    double speedup, stall;         /* of this build's matrix products; 1 and 0 s are the board's */
    int blocks, nb, rows, columns; /* of the matrix in blocks; of the grid of ranks */
    int row, column;               /* mine */
    MPI_Comm across, down;         /* my process row and column */
    char *in, *out;
    /* The panel on its way to me. */
    MPI_Request incoming, outgoing[2];
    int panel, panel_bytes, outgoing_count;
} h;

/* ---- work ---- */

static void work_s(double seconds)
{
    if (seconds > 0)
        smpi_execute_flops(seconds * h.speed);
}

static double of_all_cores(struct rg_work *work)
{
    for (int i = 0; i < work->count; i++) {
        work->cost[i].flops *= FLOATS;
        work->cost[i].bytes *= FLOATS;
    }
    double seconds = rg_board_seconds(&h.board, work, h.board.cores);
    rg_work_free(work);
    return seconds;
}

/* Each core does `calls` products of that shape. */
static double gemm_s(long m, long n, long k, double calls)
{
    struct rg_work work = {0};
    if (m <= 0 || n <= 0 || k <= 0)
        return 0;
    rg_work_gemm(&work, (int)m, (int)n, (int)k, calls * h.board.cores);
    double flops = 2.0 * (double)m * (double)n * (double)k * calls * h.board.cores;
    return of_all_cores(&work) / h.speedup + h.stall * flops;
}

/* Each core does so many operations on so many bytes (as floats). */
static double vector_s(double flops, double bytes)
{
    struct rg_work work = {0};
    rg_work_vector(&work, flops * h.board.cores, bytes * h.board.cores);
    return of_all_cores(&work);
}

/* Rows (columns) of the blocks from `first` on that are mine. */
static long share(int first, int mine, int all)
{
    long before = first / all + (first % all > mine ? 1 : 0);
    long total = h.blocks / all + (h.blocks % all > mine ? 1 : 0);
    return (total - before) * h.nb;
}

/* ---- a panel ---- */

static double factor_s(long m)
{
    double seconds = 0;
    int s = h.nb;
    for (; s > NBMIN; s = (s + 1) / 2) /* halves: the right one is updated by the left one */
        seconds += gemm_s(m, s / 2, s / 2, (double)h.nb / s);
    /* Columns of a leaf one by one: scaled, searched, and taken from those to their right. */
    double updates = s * (s - 1) / 2.0, leaves = (double)h.nb / s;
    return seconds + vector_s(leaves * (double)m * (2 * updates + s),
                              leaves * (double)m * (2 * updates + s) * sizeof(float));
}

static void factor(int panel)
{
    int bytes = (4 + 2 * h.nb) * DOUBLE;
    double seconds = factor_s(share(panel, h.row, h.rows)) / h.nb;
    for (int i = 0; i < h.nb; i++) {
        work_s(seconds);
        for (int bit = 1; bit < h.rows; bit *= 2)
            MPI_Sendrecv(h.out, bytes, MPI_BYTE, h.row ^ bit, PIVOT, h.in, bytes, MPI_BYTE,
                         h.row ^ bit, PIVOT, h.down, MPI_STATUS_IGNORE);
    }
}

static int after(int column, int steps)
{
    return (column + steps) % h.columns;
}

static void send_panel(int to)
{
    MPI_Isend(h.out, h.panel_bytes, MPI_BYTE, to, PANEL + h.panel, h.across,
              &h.outgoing[h.outgoing_count++]);
}

/* Of the owner: to the next, which owns the next panel, and to the one after it, where the ring
 * begins. Of the others: wait for it. */
static void begin_panel(int panel)
{
    int owner = panel % h.columns, place = (h.column + h.columns - owner) % h.columns;
    MPI_Waitall(h.outgoing_count, h.outgoing, MPI_STATUSES_IGNORE);
    h.outgoing_count = 0;
    h.panel = panel;
    h.panel_bytes = (int)((share(panel, h.row, h.rows) + h.nb) * h.nb * DOUBLE);
    h.incoming = MPI_REQUEST_NULL;
    if (place == 0) {
        for (int i = 1; i <= 2 && i < h.columns; i++)
            send_panel(after(owner, i));
    } else {
        int from = place <= 2 ? owner : after(h.column, h.columns - 1);
        MPI_Irecv(h.in, h.panel_bytes, MPI_BYTE, from, PANEL + panel, h.across, &h.incoming);
    }
}

/* Pass the panel on as soon as it is there. */
static void progress(int wait)
{
    int there = 0, place = (h.column + h.columns - h.panel % h.columns) % h.columns;
    if (h.incoming == MPI_REQUEST_NULL)
        return;
    if (wait)
        MPI_Wait(&h.incoming, MPI_STATUS_IGNORE);
    else
        MPI_Test(&h.incoming, &there, MPI_STATUS_IGNORE);
    if ((wait || there) && place >= 2 && place + 1 < h.columns)
        send_panel(after(h.column, 1));
}

/* ---- the trailing matrix ---- */

/* Rows swapped and U on every process of the column: halves down a tree from the owner, then
 * round the ring. */
static void collect_u(int panel, long n)
{
    int owner = panel % h.rows, place = (h.row + h.rows - owner) % h.rows;
    int part = (int)(n * h.nb * DOUBLE / h.rows);
    work_s(vector_s(0, 4.0 * (double)n * h.nb * sizeof(float)));
    for (int span = h.rows / 2; span >= 1; span /= 2) {
        if (place % (2 * span) == 0)
            MPI_Send(h.out, part * span, MPI_BYTE, (h.row + span) % h.rows, SPREAD, h.down);
        else if (place % (2 * span) == span)
            MPI_Recv(h.in, part * span, MPI_BYTE, (h.row + h.rows - span) % h.rows, SPREAD, h.down,
                     MPI_STATUS_IGNORE);
    }
    for (int i = 1; i < h.rows; i++)
        MPI_Sendrecv(h.out, part, MPI_BYTE, (h.row + 1) % h.rows, ROLL, h.in, part, MPI_BYTE,
                     (h.row + h.rows - 1) % h.rows, ROLL, h.down, MPI_STATUS_IGNORE);
}

/* Columns n of the trailing matrix by the panel. */
static void update(int panel, long n)
{
    if (n <= 0)
        return;
    collect_u(panel, n);
    double seconds =
        gemm_s(h.nb, n, h.nb / 2, 1) + gemm_s(share(panel + 1, h.row, h.rows), n, h.nb, 1);
    for (int i = 0; i < PIECES; i++) {
        work_s(seconds / PIECES);
        progress(0);
    }
}

static void linpack(void)
{
    if (h.column == 0)
        factor(0);
    begin_panel(0);
    for (int panel = 0; panel < h.blocks; panel++) {
        progress(1);
        int next = panel + 1, mine = next < h.blocks && next % h.columns == h.column;
        if (mine) {
            update(panel, h.nb);
            factor(next);
        }
        if (next < h.blocks)
            begin_panel(next);
        update(panel, share(next, h.column, h.columns) - (mine ? h.nb : 0));
    }
    MPI_Waitall(h.outgoing_count, h.outgoing, MPI_STATUSES_IGNORE);
}

/* ---- start and end ---- */

static int usage(const char *why)
{
    fprintf(stderr,
            "hpl: %s; smpirun ... hpl PLATFORM.xml N NB P Q [CLOCK [SPEEDUP STALL]] with P a power "
            "of 2, N a multiple of NB, P x Q ranks\n",
            why);
    return 2;
}

static int set_board(const char *platform_file, double clock)
{
    struct rg_platform platform;
    struct rg_error e = {0};
    sg_host_t host = sg_host_self();
    int found = 0;
    if (rg_platform_load(platform_file, &platform, &e) < 0)
        return usage(e.text);
    for (int i = 0; i < platform.count && !found; i++) {
        if (strcmp(platform.names[i], sg_host_get_name(host)) == 0) {
            h.board = *platform.boards[i];
            found = 1;
        }
    }
    rg_platform_free(&platform);
    if (!found)
        return usage("the host is not in the platform file");
    if (clock > 0 && rg_board_set_clock(&h.board, clock, &e) < 0)
        return usage(e.text);
    sg_host_set_pstate(host, h.board.clock);
    h.speed = sg_host_get_speed(host);
    return 0;
}

static void report(int rank, int size, double seconds, double joules, double n)
{
    double worst, sum;
    MPI_Reduce(&seconds, &worst, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    MPI_Reduce(&joules, &sum, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank == 0)
        printf("{\"n\": %.0f, \"nb\": %d, \"p\": %d, \"q\": %d, \"ranks\": %d, \"seconds\": %.9g, "
               "\"gflops\": %.9g, \"board_watts\": %.9g}\n",
               n, h.nb, h.rows, h.columns, size, worst,
               1e-9 * (2.0 / 3.0 * n * n * n + 1.5 * n * n) / worst, sum / worst);
}

int main(int argc, char **argv)
{
    int rank, size;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (argc != 6 && argc != 7 && argc != 9)
        return usage("five, six or eight arguments are wanted");
    long n = atol(argv[2]);
    h.nb = atoi(argv[3]);
    h.rows = atoi(argv[4]);
    h.columns = atoi(argv[5]);
    h.speedup = argc > 7 ? atof(argv[7]) : 1;
    h.stall = argc > 7 ? atof(argv[8]) : 0;
    if (!(h.speedup > 0) || !(h.stall >= 0) || h.nb < 2 * NBMIN || n < h.nb || n % h.nb ||
        h.rows < 1 || (h.rows & (h.rows - 1)) || h.rows * h.columns != size || n > 200000)
        return usage("numbers that cannot be");
    if (set_board(argv[1], argc > 6 ? atof(argv[6]) : 0))
        return 2;
    h.blocks = (int)(n / h.nb);
    h.row = rank / h.columns;
    h.column = rank % h.columns;
    MPI_Comm_split(MPI_COMM_WORLD, h.row, h.column, &h.across);
    MPI_Comm_split(MPI_COMM_WORLD, h.column, h.row, &h.down);
    /* The largest message is a first panel or a first U; nobody reads it: one for all ranks. */
    size_t room = (size_t)(n / RG_MIN(h.rows, h.columns) + 3L * h.nb) * (size_t)h.nb * DOUBLE;
    h.in = SMPI_SHARED_MALLOC(room);
    h.out = SMPI_SHARED_MALLOC(room);
    MPI_Barrier(MPI_COMM_WORLD);
    double begin = MPI_Wtime(), first = sg_host_get_consumed_energy(sg_host_self());
    linpack();
    double seconds = MPI_Wtime() - begin;
    MPI_Barrier(MPI_COMM_WORLD);
    double joules = sg_host_get_consumed_energy(sg_host_self()) - first;
    /* Each of a board's ranks sees all of the board's. */
    report(rank, size, seconds, joules / h.board.cores, (double)n);
    SMPI_SHARED_FREE(h.in);
    SMPI_SHARED_FREE(h.out);
    MPI_Finalize();
    return 0;
}
