#!/usr/bin/python3
"""Images a second of 784-512-512-10 at a global batch of 1,024: one node, two nodes by ring all-reduce over
loopback, and PyTorch's DistributedDataParallel over Gloo beside them where it is installed. The rates of two
nodes that train at the same time, each for itself, say what two cores can give at most.

  tests/bench/bench_ddp.py [--build build/release] [--repeat 5] [--iterations 60]

All take turns in one run, one BLAS thread a process, float32, plain gradient descent, from data in memory.
Printed are the medians, and the median of the ratios of the same turn. RingTMP draws its batches from as many
images as it trains on; PyTorch is timed with one batch, used again and again (torch_two), and with batches
that its own DataLoader and DistributedSampler draw from as many, sample by sample in the training process,
as they do unless told otherwise (torch_loaded). OPENBLAS_CORETYPE is taken out of the environment, so that
both choose the kernels for this processor themselves. Two free cores are wanted.
"""
import argparse
import importlib.util
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BATCH, WARM = 1024, 5
NETWORK = """<network name="wide" input="28x28">
  <dense outputs="512" activation="relu" repeat="2"/>
  <dense outputs="10"/>
</network>
"""
SCENARIO = """<scenario name="two" seed="1">
  <platform file="{root}/platforms/pi4-gigabit-3.xml"/>
  <network file="network.xml"/>
  <data kind="digits" train="{train}" test="100"/>
  <training batch="{batch}" epochs="1" learning-rate="0.1"/>
  <strategy label="one" kind="single"/>
  <strategy label="two" kind="ring_allreduce" nodes="2" buckets="2"/>
</scenario>
"""


def own_kernels(**more):
    """The environment in which everybody chooses the kernels for this processor."""
    return {**{key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}, **more}


def torch_batches(rank, world, iterations, loaded):
    """Batches without end: one that is used again and again, or drawn anew by PyTorch's loader from as many
    images as RingTMP trains on."""
    import torch.utils.data
    count = BATCH * (WARM + iterations) if loaded else BATCH // world
    images, labels = torch.rand(count, 784), torch.randint(0, 10, (count,))
    if not loaded:
        while True:
            yield images, labels
    dataset = torch.utils.data.TensorDataset(images, labels)
    sampler = torch.utils.data.distributed.DistributedSampler(dataset, world, rank)
    loader = torch.utils.data.DataLoader(dataset, BATCH // world, sampler=sampler)
    for epoch in range(1 << 30):
        sampler.set_epoch(epoch)
        yield from loader


def torch_worker(rank, world, port, iterations, loaded):
    """One process of PyTorch; rank 0 prints the images a second."""
    import time
    import torch
    import torch.distributed
    torch.set_num_threads(1)
    torch.manual_seed(1)
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank,
                                         world_size=world)
    linear, relu = torch.nn.Linear, torch.nn.ReLU
    model = torch.nn.Sequential(linear(784, 512), relu(), linear(512, 512), relu(), linear(512, 10))
    if world > 1:
        model = torch.nn.parallel.DistributedDataParallel(model)
    batches = torch_batches(rank, world, iterations, loaded)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = torch.nn.CrossEntropyLoss()
    for i in range(WARM + iterations):
        if i == WARM:
            torch.distributed.barrier()
            begin = time.monotonic()
        images, labels = next(batches)
        optimiser.zero_grad()
        loss(model(images), labels).backward()
        optimiser.step()
    torch.distributed.barrier()
    if rank == 0:
        print(BATCH * iterations / (time.monotonic() - begin))


def torch_rate(world, iterations, loaded=False):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, os.path.abspath(__file__), "--torch-worker"]
    workers = [subprocess.Popen(command + [f"{rank},{world},{port},{iterations},{int(loaded)}"],
                                env=own_kernels(OMP_NUM_THREADS="1"), stdout=subprocess.PIPE, text=True)
               for rank in range(world)]
    answers = [worker.communicate(timeout=600)[0] for worker in workers]
    if any(worker.returncode for worker in workers):
        raise SystemExit("bench_ddp: PyTorch failed")
    return float(answers[0])


class Training:
    """A run of ringnode, started at once; images a second: the mean over the iterations of training."""

    def __init__(self, ringnode, folder, strategy, number=0):
        self.strategy, self.file = strategy, os.path.join(folder, f"result-{number}.json")
        self.process = subprocess.Popen([ringnode, os.path.join(folder, "scenario.xml"), "--local", "--strategy",
                                         strategy, "--quiet", "--json", self.file], env=own_kernels())

    def result(self):
        if self.process.wait(timeout=600):
            raise SystemExit("bench_ddp: ringnode failed")
        with open(self.file, encoding="utf-8") as stream:
            return json.load(stream)

    def rate(self):
        return BATCH / self.result()["runs"][0]["iteration_s"]["mean"]


def own_rates(ringnode, folder):
    rates = {name: Training(ringnode, folder, name).rate() for name in ("one", "two")}
    pair = [Training(ringnode, folder, "one", number) for number in range(2)]
    rates["apart"] = sum(training.rate() for training in pair)
    return rates, pair[0].result()["host"]["blas_kernels"]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--repeat", type=int, default=5, help="turns (default 5)")
    parser.add_argument("--iterations", type=int, default=60, help="a turn (default 60)")
    parser.add_argument("--torch-worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.torch_worker:
        torch_worker(*map(int, arguments.torch_worker.split(",")))
        return 0
    with_torch = importlib.util.find_spec("torch") is not None
    turns = []
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("network.xml", NETWORK), ("scenario.xml", SCENARIO)):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as stream:
                stream.write(text.format(root=ROOT, batch=BATCH, train=BATCH * arguments.iterations))
        for turn in range(arguments.repeat):
            rates, kernels = own_rates(os.path.join(arguments.build, "ringnode"), folder)
            if with_torch:
                rates.update(torch_one=torch_rate(1, arguments.iterations),
                             torch_two=torch_rate(2, arguments.iterations),
                             torch_loaded=torch_rate(2, arguments.iterations, True))
            turns.append(rates)
            print(f"turn {turn + 1}: " + ", ".join(f"{key} {value:.0f}" for key, value in rates.items()),
                  file=sys.stderr)
    print(f"load {os.getloadavg()[0]:.1f}, BLAS kernels {kernels}")
    for key in turns[0]:
        print(f"{key:10} {statistics.median(turn[key] for turn in turns):10.0f} images/s")
    ratios = [("two nodes against one", "two", "one"),
              ("two nodes against two that train apart", "two", "apart")]
    if with_torch:
        ratios += [("two nodes against PyTorch DDP with two", "two", "torch_two"),
                   ("two nodes against PyTorch DDP with two and its loader", "two", "torch_loaded"),
                   ("two that train apart against PyTorch DDP with two", "apart", "torch_two"),
                   ("one node against PyTorch with one", "one", "torch_one"),
                   ("PyTorch DDP with two against one", "torch_two", "torch_one")]
    else:
        print("PyTorch is not installed (python3-torch): not compared")
    for text, above, below in ratios:
        each = [turn[above] / turn[below] for turn in turns]
        print(f"{text}: {statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
