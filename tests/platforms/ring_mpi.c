/* An MPI program that knows nothing of RingTMP: a token goes round the ring of all ranks, each adds
 * its number and finds the properties that a platform's hosts carry. Rank 0 prints the outcome. */
#include <mpi.h>
#include <simgrid/host.h>
#include <stdio.h>

/* As many speeds as watts, and a board: what the energy plugin and the datasheet need. */
static int described(void)
{
    sg_host_t host = sg_host_self();
    const char *watts = sg_host_get_property_value(host, "wattage_per_state");
    int states = 1;
    for (const char *at = watts; at && *at; at++)
        states += *at == ',';
    return watts && sg_host_get_property_value(host, "rg_board") &&
           states == (int)sg_host_get_nb_pstates(host);
}

int main(int argc, char **argv)
{
    int rank, size;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    int next = (rank + 1) % size, previous = (rank + size - 1) % size;
    long token[2] = {0, 0}; /* sum of the ranks, hosts with all properties */
    if (rank > 0)
        MPI_Recv(token, 2, MPI_LONG, previous, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    token[0] += rank;
    token[1] += described();
    MPI_Send(token, 2, MPI_LONG, next, 0, MPI_COMM_WORLD);
    if (rank == 0) {
        MPI_Recv(token, 2, MPI_LONG, previous, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        printf("%d ranks, sum %ld, described %ld, in %.9f s\n", size, token[0], token[1],
               MPI_Wtime());
    }
    MPI_Finalize();
    return 0;
}
