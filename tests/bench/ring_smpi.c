/* bench_sim's ring as an MPI program for smpirun: ring_smpi TIMES BYTES ROUNDS. TIMES holds ROUNDS
 * doubles a rank, what it computes in each round in seconds of a host of 1 GFLOP/s. Rank 0 prints
 * the simulated seconds from the very start. */
#include <mpi.h>
#include <smpi/smpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    int rank, size;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    FILE *stream = argc == 4 ? fopen(argv[1], "rb") : NULL;
    int bytes = argc == 4 ? atoi(argv[2]) : 0, rounds = argc == 4 ? atoi(argv[3]) : 0;
    double *seconds = calloc((size_t)rounds + 1, sizeof *seconds), end, last;
    if (!stream || !seconds ||
        fseek(stream, (long)rank * rounds * (long)sizeof *seconds, SEEK_SET) ||
        fread(seconds, sizeof *seconds, (size_t)rounds, stream) != (size_t)rounds)
        MPI_Abort(MPI_COMM_WORLD, 1);
    fclose(stream);
    char *buffer = SMPI_SHARED_MALLOC((size_t)bytes); /* nobody reads it */
    for (int i = 0; i < rounds; i++) {
        MPI_Request request[2];
        MPI_Irecv(buffer, bytes, MPI_BYTE, (rank + size - 1) % size, 0, MPI_COMM_WORLD,
                  &request[0]);
        MPI_Isend(buffer, bytes, MPI_BYTE, (rank + 1) % size, 0, MPI_COMM_WORLD, &request[1]);
        smpi_execute_flops(1e9 * seconds[i]);
        MPI_Waitall(2, request, MPI_STATUSES_IGNORE);
    }
    end = MPI_Wtime();
    MPI_Reduce(&end, &last, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    if (rank == 0)
        printf("%.12g\n", last);
    SMPI_SHARED_FREE(buffer);
    free(seconds);
    MPI_Finalize();
    return 0;
}
