#!/bin/bash
# MPI: which bits of MPI_Allreduce's sums hang on how long the vector is, or where a number stands in it.
#
# Packages: openmpi-bin 4.1.4-3+b1, mpich 4.0.2-3+b1 (Debian 12), openmpi-bin 5.0.7-1, mpich
#   4.3.0+really4.2.1-1 (Debian 13). 3, 4, 5 and 8 ranks of one machine add vectors of 16 to
#   1,048,576 floats, whole and as two halves, twice.
# Guess: all ranks have the same bits, twice. Long vectors go round a ring, where each part is added
#   up from another rank on: the halves give other bits than the whole from some length on, for any
#   number of ranks above 2, sooner or later in both libraries.
# Seen: the same bits on all ranks, twice. Halves differ from the whole with OpenMPI and 3 ranks
#   only, from 1,024 to 65,536 floats, and no longer at 262,144. With 4, 5 and 8 ranks, and with
#   MPICH, the bits of a number are the same at any length and place, and all four packages have the
#   same sums of 1,048,576 floats.
# Meaning: buckets of another size change a training's bits with OpenMPI on three boards, and not on
#   four: a check with one number of ranks says nothing of others.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

probe() { # ROOT LIBRARY RANKS LAUNCHER
    cat >"$1/tmp/probe.py" <<'END'
import array, ctypes, hashlib, random, sys
m = ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
if "mpich" in sys.argv[1]:
    world, real, add = ctypes.c_int(0x44000000), ctypes.c_int(0x4c00040a), ctypes.c_int(0x58000003)
else:
    names = "ompi_mpi_comm_world", "ompi_mpi_float", "ompi_mpi_op_sum"
    world, real, add = (ctypes.byref(ctypes.c_char.in_dll(m, name)) for name in names)
m.MPI_Init(None, None)
rank, ranks = ctypes.c_int(), ctypes.c_int()
m.MPI_Comm_rank(world, ctypes.byref(rank))
m.MPI_Comm_size(world, ctypes.byref(ranks))
random.seed(rank.value + 1)
values = array.array("f", (random.gauss(0, 1) for _ in range(1 << 20)))

def total(begin, count):
    mine, sums = (ctypes.c_float * count).from_buffer_copy(values, 4 * begin), (ctypes.c_float * count)()
    m.MPI_Allreduce(mine, sums, count, real, add, world)
    return bytes(sums)

def digests(sums):
    mine, all_of_them = ctypes.create_string_buffer(hashlib.sha256(sums).digest(), 32), (ctypes.c_char * (32 * ranks.value))()
    m.MPI_Allgather(mine, 8, real, all_of_them, 8, real, world)
    return {bytes(all_of_them)[32 * at:32 * at + 32] for at in range(ranks.value)}

alike = head = True
apart, counts = [], [16 << shift for shift in range(0, 17, 2)]
first = total(0, 16)
for count in counts:
    whole = total(0, count)
    alike &= len(digests(whole)) == 1 and whole == total(0, count)
    head &= whole[:64] == first
    halves = total(0, count // 2) + total(count // 2, count // 2)
    if halves != whole:
        apart.append(str(count))
if rank.value == 0:
    print("alike" if alike else "not alike", "begins alike" if head else "begins otherwise", *apart, sep=", ")
    print(hashlib.sha256(whole).hexdigest()[:8], flush=True)
m.MPI_Barrier(world)
m.MPI_Finalize()
END
    inside "$1" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
        PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe "/usr/bin/$4" -n "$3" /usr/bin/python3 \
        /tmp/probe.py "$2" 2>"$work/err" >"$work/out" || cannot "$(tail -n 1 "$work/err")"
    rm -rf "$1"/tmp/*
    mapfile -t out < <(tail -n 2 "$work/out") # MPICH's UCX says before them that it finds no network
}

make_root "$work/OpenMPI 4.1.4" bookworm amd64 openmpi-bin=4.1.4-3+b1 python3
make_root "$work/OpenMPI 5.0.7" trixie amd64 openmpi-bin=5.0.7-1 python3
make_root "$work/MPICH 4.0.2" bookworm amd64 mpich=4.0.2-3+b1 python3
make_root "$work/MPICH 4.2.1" trixie amd64 mpich=4.3.0+really4.2.1-1 python3
for ranks in 3 4 5 8; do
    first=
    for library in "OpenMPI 4.1.4" "OpenMPI 5.0.7" "MPICH 4.0.2" "MPICH 4.2.1"; do
        then="alike, begins alike"
        if [[ $library == OpenMPI* ]]; then
            probe "$work/$library" libmpi.so.40 $ranks mpirun.openmpi
            [ $ranks != 3 ] || then+=", 1024, 4096, 16384, 65536"
        else
            probe "$work/$library" libmpich.so.12 $ranks mpiexec.hydra
        fi
        seen "$library, $ranks ranks: ranks, begins, where halves differ" "$then" "${out[0]}"
        first=${first:-${out[1]}}
        seen "$library, $ranks ranks: digest of the longest sum" "$first" "${out[1]}"
    done
done
verdict
