#!/bin/bash
# PyTorch: pipeline schedules over Gloo, where Works of a batch of messages are let go.
#
# Packages: python3-torch 2.6.0+dfsg-7 (Debian 13). Two ranks, 8-8-8, eight micro-batches, five steps;
#   gradients against those of the whole network in one process.
# Guess: all schedules train; at worst stages compute with what has not yet arrived.
# Seen: ScheduleGPipe gives the right gradients. Schedule1F1B and ScheduleInterleavedZeroBubble do
#   not come to an end (tried by hand, not here): torch.distributed.pipelining keeps the last of the
#   Works that batch_isend_irecv returns and lets go of the others, which is shown here, and with
#   Gloo a message whose Work is gone does not arrive. Where all are kept and waited for, all three
#   are right.
# Meaning: on processors PyTorch's 1F1B is no reference as it is; tests/bench/bench_pipeline.py keeps
#   all Works. One that hangs at its first step is not short of time.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

make_root "$work/root" trixie amd64 python3-torch=2.6.0+dfsg-7 libblas3 liblapack3
python "$work/root" USE_LIBUV=0 OMP_NUM_THREADS=1 \
    LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu/blas:/usr/lib/x86_64-linux-gnu/lapack \
    >"$work/out" 2>"$work/err" <<'END_PYTHON' || cannot "$(tail -n 1 "$work/err")"
import datetime, os, socket
import torch, torch.distributed as dist, torch.multiprocessing as mp
from torch.distributed import pipelining
from torch.distributed.pipelining import schedules

UNITS, WIDTH = 8, 8

class All:
    def __init__(self, works):
        self.works = works
    def wait(self):
        for work in self.works:
            work.wait()

def loss(output, target):
    return ((output - target) ** 2).sum()

def apart(rank, name):
    """Largest difference from the right gradients in five steps, over the largest gradient."""
    torch.manual_seed(1)
    linear, relu = torch.nn.Linear, torch.nn.ReLU
    whole = torch.nn.Sequential(linear(WIDTH, WIDTH), relu(), linear(WIDTH, WIDTH), relu())
    x, y = torch.rand(4 * UNITS, WIDTH), torch.rand(4 * UNITS, WIDTH)
    loss(whole(x), y).backward()
    part = whole[2 * rank:2 * rank + 2]
    right = [p.grad.clone() for p in part.parameters()]
    stage, kind = pipelining.PipelineStage(part, rank, 2, torch.device("cpu")), getattr(schedules, name)
    many = issubclass(kind, schedules.PipelineScheduleMulti)
    schedule, most = kind([stage] if many else stage, UNITS, loss_fn=loss), 0
    for _ in range(5):
        part.zero_grad()
        schedule.step(x) if rank == 0 else schedule.step(target=y, losses=[])
        most = max(most, *((p.grad - g).abs().max() / g.abs().max()
                           for p, g in zip(part.parameters(), right)))
    return most

def worker(rank, name, port, kept, answers):
    if kept:
        schedules._batch_p2p = lambda ops, desc=None: All(dist.batch_isend_irecv(ops)) if ops else None
    try:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2,
                                timeout=datetime.timedelta(seconds=30))
        answers.put("right" if apart(rank, name) < 1e-5 else "wrong")
    except Exception as why:
        answers.put(str(why)[:60])
    os._exit(0)

def kept_of_two():
    """What PyTorch keeps of the Works of a batch of two messages."""
    real, dist.batch_isend_irecv = dist.batch_isend_irecv, lambda ops: ["first", "last"]
    kept = schedules._batch_p2p([None, None])
    dist.batch_isend_irecv = real
    return kept

if __name__ == "__main__":
    print(kept_of_two(), flush=True)
    here = mp.get_context("spawn")
    for kept in False, True:
        for name in ("ScheduleGPipe", "Schedule1F1B", "ScheduleInterleavedZeroBubble")[:3 if kept else 1]:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            answers = here.SimpleQueue()
            ranks = [here.Process(target=worker, args=(r, name, port, kept, answers)) for r in range(2)]
            for rank in ranks:
                rank.start()
            print(*sorted(answers.get() for _ in ranks), flush=True)
            for rank in ranks:
                rank.join()
END_PYTHON
mapfile -t out <"$work/out"
echo "Works of a batch of two messages; gradients on the two ranks"
seen "kept" "last" "${out[0]}"
seen "ScheduleGPipe" "right right" "${out[1]}"
seen "ScheduleGPipe, all Works kept" "right right" "${out[2]}"
seen "Schedule1F1B, all Works kept" "right right" "${out[3]}"
seen "ScheduleInterleavedZeroBubble, all Works kept" "right right" "${out[4]}"
verdict
