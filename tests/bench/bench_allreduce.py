#!/usr/bin/python3
"""All-reduce of 4 kB, 400 kB and 4 MB by two processes over loopback: RingTMP's, round a ring and by doubling, beside bare
exchanges of the same bytes in the same steps (bench_net), beside OpenMPI's over TCP (mpi4py, as in Debian's python3-mpi4py)
and beside PyTorch's over Gloo, as far as they are installed.

  tests/bench/bench_allreduce.py [--build build/release] [--repeat 5] [--seconds 2]

All take turns. Printed are the medians of the turns' times, and of RingTMP's time over that of each other in the same turn:
below 1 RingTMP is faster. Two free cores are wanted.
"""
import argparse
import importlib.util
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIZES = (4000, 400000, 4000000)
MPIRUN = ("mpirun", "-n", "2")
# Options of OpenMPI 4 that 5 (PRRTE) refuses have names in the environment that both know, or pass over.
MPI_ENVIRONMENT = {
    "OMPI_MCA_pml": "ob1", "OMPI_MCA_btl": "tcp,self", "OMPI_MCA_btl_tcp_if_include": "lo",
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_MCA_oob_tcp_if_include": "lo",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "PRTE_MCA_hwloc_default_binding_policy": "none"}


def timed(reduce, agree, seconds):
    """Median seconds of batches of all-reduces, as many batches as both agree that there is time for."""
    def batch(count):
        agree(0)
        begin = time.perf_counter()
        for _ in range(count):
            reduce()
        return (time.perf_counter() - begin) / count
    batch(5)
    count = max(1, int(agree(seconds / 10 / batch(5))))
    return statistics.median(batch(count) for _ in range(10))


def say(rank, size, seconds):
    if rank == 0:
        print(size, seconds, flush=True)


def mpi_node(seconds):
    import numpy
    from mpi4py import MPI
    world = MPI.COMM_WORLD
    for size in SIZES:
        data = numpy.ones(size // 4, numpy.float32)
        say(world.rank, size, timed(lambda: world.Allreduce(MPI.IN_PLACE, data), lambda x: world.bcast(x), seconds))


def gloo_node(rank, port, seconds):
    import torch
    import torch.distributed as dist
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)

    def agree(x):
        told = torch.tensor([float(x)])
        dist.broadcast(told, 0)
        return told.item()
    for size in SIZES:
        data = torch.ones(size // 4)
        say(rank, size, timed(lambda: dist.all_reduce(data), agree, seconds))
    dist.barrier()
    dist.destroy_process_group()


def told(text):
    return {int(size): float(seconds) for size, seconds in (line.split() for line in text.splitlines())}


def mpi(a):
    done = subprocess.run([*MPIRUN, sys.executable, __file__, "--mpi", "--seconds", str(a.seconds)], capture_output=True,
                          text=True, check=False, env={**os.environ, **MPI_ENVIRONMENT})
    if done.returncode:
        raise SystemExit(f"bench_allreduce: mpirun: exit status {done.returncode}: {done.stderr.strip()}")
    return told(done.stdout)


def gloo(a):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    nodes = [subprocess.Popen([sys.executable, __file__, "--gloo", str(rank), str(port), "--seconds", str(a.seconds)],
                              stdout=subprocess.PIPE, text=True, env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "USE_LIBUV": "0"})
             for rank in range(2)]
    texts = [node.communicate()[0] for node in nodes]
    if any(node.returncode for node in nodes):
        sys.exit("bench_allreduce: PyTorch's processes have failed")
    return told(texts[0])


def ours(a):
    """The world and the bare exchange, which take turns within, of both algorithms."""
    text = subprocess.run([os.path.join(a.build, "tests/bench/bench_net"), "--rounds", "5", "--seconds", str(a.seconds),
                           "--limit", "1e9"], capture_output=True, text=True, check=True).stdout
    found = {}
    for name, line in (("ring", "allreduce"), ("doubling", "doubling")):
        for size, bare, world in re.findall(line + r" +(\d+) B +bare +([\d.]+) us +world +([\d.]+) us", text):
            found.setdefault(name, {})[int(size)] = float(world) / 1e6
            found.setdefault("bare " + name, {})[int(size)] = float(bare) / 1e6
    return found


def parser():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    p.add_argument("--repeat", type=int, default=5)
    p.add_argument("--seconds", type=float, default=2, help="for each size of each side, about (2)")
    p.add_argument("--mpi", action="store_true", help=argparse.SUPPRESS)
    p.add_argument("--gloo", nargs=2, help=argparse.SUPPRESS)
    return p


def main():
    a = parser().parse_args()
    if a.mpi:
        return mpi_node(a.seconds)
    if a.gloo:
        return gloo_node(int(a.gloo[0]), int(a.gloo[1]), a.seconds)
    others = {}
    if shutil.which("mpirun") and importlib.util.find_spec("mpi4py"):
        others["OpenMPI"] = mpi
    if importlib.util.find_spec("torch"):
        others["Gloo"] = gloo
    turns = []
    for _ in range(a.repeat):
        turns.append({**ours(a), **{name: run(a) for name, run in others.items()}})
    for size in SIZES:
        median = {name: statistics.median(turn[name][size] for turn in turns) for name in turns[0]}
        print(f"{size:8} B  " + "  ".join(f"{name} {1e6 * seconds:.0f} us" for name, seconds in median.items()))
        for how in ("ring", "doubling"):
            ratio = {name: statistics.median(turn[how][size] / turn[name][size] for turn in turns)
                     for name in ("bare " + how, *others)}
            print(f"{'':12}{how} over " + ", ".join(f"{name} {value:.2f}" for name, value in ratio.items()))
    print(f"load {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
