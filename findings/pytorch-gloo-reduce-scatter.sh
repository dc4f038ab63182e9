#!/bin/bash
# PyTorch: how many bytes collectives over Gloo send, of which sharded training is made.
#
# Packages: python3-torch 2.6.0+dfsg-7 (Debian 13). Two and four ranks in a network namespace, a tensor of
#   4 MiB (V) of float32 on each, bytes by the counters of its loopback interface.
# Guess: all send what rings send, together: all_reduce 2 (N - 1) V, reduce_scatter_tensor and
#   all_gather_into_tensor (N - 1) V each, reduce to one rank as much as broadcast, (N - 1) V.
# Seen: reduce_scatter_tensor sends 2 (N - 1) V: it is an all_reduce of which each rank keeps a part.
#   reduce sends (N + 1) / N (N - 1) V: every rank reduces a part, and sends that on. The others are as
#   guessed; reduce_scatter of a list of tensors is refused.
# Meaning: gradients and parameters that are sharded as in ZeRO 2 send 3 (N - 1) V an iteration over
#   Gloo in place of 2 (N - 1) V, those of ZeRO 3 4 (N - 1) V in place of 3 (N - 1) V. A comparison with
#   closed forms, or with shard="2" of RingTMP's ring_allreduce, is to count bytes first.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

make_root "$work/root" trixie amd64 python3-torch=2.6.0+dfsg-7 libblas3 liblapack3
python "$work/root" USE_LIBUV=0 OMP_NUM_THREADS=1 \
    LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu/blas:/usr/lib/x86_64-linux-gnu/lapack \
    >"$work/out" 2>"$work/err" <<'END_PYTHON' || cannot "$(tail -n 1 "$work/err")"
import fcntl, os, socket, struct, time
import torch, torch.distributed as dist, torch.multiprocessing as mp

COUNT = 1 << 20

def sent():
    with open("/proc/net/dev") as lines:
        return next(int(line.split()[9]) for line in lines if "lo:" in line)

def worker(rank, size, port):
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)
    whole, other, part = torch.ones(COUNT), torch.empty(COUNT), torch.empty(COUNT // size)
    collectives = {
        "nothing": lambda: None,
        "all_reduce": lambda: dist.all_reduce(whole),
        "all_gather_into_tensor": lambda: dist.all_gather_into_tensor(other, part),
        "broadcast": lambda: dist.broadcast(whole, 0),
        "reduce": lambda: dist.reduce(whole, 0),
        "reduce_scatter_tensor": lambda: dist.reduce_scatter_tensor(part, whole),
        "reduce_scatter": lambda: dist.reduce_scatter(part, list(whole.chunk(size))),
    }
    for name, collective in collectives.items():
        try:
            collective()  # connections are there after it
        except RuntimeError:
            if rank == 0:
                print(size, name, "refused", flush=True)
            continue
        dist.barrier()
        before = sent()
        dist.barrier()
        collective()
        dist.barrier()
        time.sleep(0.2)
        after = sent()
        dist.barrier()
        if rank == 0:
            print(size, name, "%.2f" % ((after - before) / 4 / COUNT), flush=True)
    os._exit(0)

if __name__ == "__main__":
    os.unshare(os.CLONE_NEWNET)
    with socket.socket() as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sh", b"lo", 0x41))  # SIOCSIFFLAGS: up, running
    for size in (2, 4):
        mp.spawn(worker, (size, 29500 + size), nprocs=size)
END_PYTHON

told() {
    awk -v size="$1" -v name="$2" '$1 == size && $2 == name { print $3 }' "$work/out"
}

seen "nothing, two ranks, in V" 0.00 "$(told 2 nothing)"
for row in all_reduce:2.00:6.0 all_gather_into_tensor:1.00:3.0 broadcast:1.00:3.0 reduce:1.50:3.7 \
    reduce_scatter_tensor:2.00:6.0; do
    IFS=: read -r name two four <<<"$row"
    seen "$name, two ranks, in V" "$two" "$(told 2 "$name")"
    seen "$name, four ranks, in V" "$four" "$(told 4 "$name" | cut -c1-3)"
done
seen "reduce_scatter of a list" refused "$(told 4 reduce_scatter)"
verdict
