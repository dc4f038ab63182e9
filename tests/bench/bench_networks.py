#!/usr/bin/python3
"""Training steps a second of published networks (models/networks) on one thread, as ratios to PyTorch's: forward, loss,
backward and a step of plain SGD over one batch that is used again and again, float32.

  tests/bench/bench_networks.py [--build build/release] [--repeat 3] [--seconds 1] [--torch-root FOLDER]
                                [NETWORK[@BATCH]...]

RingTMP (bench_networks of the build) and PyTorch, with oneDNN and in brackets without, take turns in one run; printed
are the medians of samples (images, or texts) a second of processor time, which other work on the machine does not take
away, and of the ratios of the same turn. Last comes the largest memory of a process that trains ResNet-20 in batches of
16, over that of PyTorch's. PyTorch is of this machine, or of a root of Debian 13
with python3-torch and libopenblas0 (--torch-root: chroot, so it needs root), where it is 2.6. Without it RingTMP is
timed alone, and the script says so. OPENBLAS_CORETYPE is taken out of the environment, so that both choose the kernels
for this processor.
"""
import argparse
import contextlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RUNS = ("lenet-5@1", "lenet-5@16", "lenet-5@128", "resnet-20@16", "resnet-20@64", "mobilenet-v2-35@16", "gpt-bytes@8")
MEMORY = "resnet-20@16"
WARM = 2
# From /proc PyTorch learns what the processor can do.
ENTER = 'mount -t proc proc "$0/proc" && exec chroot "$0" /usr/bin/python3 "$@"'


# ---- PyTorch ----

def torch_step(path, batch):
    """A training step, to be called again and again."""
    import torch
    torch.manual_seed(1)
    import torchnets
    layers, shape, vocabulary = torchnets.network(path)
    network = torch.nn.Sequential(*layers)
    x = torch.randint(vocabulary, (batch, *shape)) if vocabulary else torch.randn(batch, *shape)
    classes = network(x).shape[-1]
    y = torch.randint(classes, (batch, *shape) if vocabulary else (batch,)).flatten()
    optimiser, loss = torch.optim.SGD(network.parameters(), lr=1e-3), torch.nn.CrossEntropyLoss()

    def step():
        optimiser.zero_grad()
        loss(network(x).flatten(0, -2), y).backward()
        optimiser.step()

    return step


def torch_worker(folder):
    """Lines "NETWORK BATCH SECONDS ONEDNN" from standard input; samples a second and KiB of memory for each."""
    import torch
    torch.set_num_threads(1)
    print(torch.__version__, flush=True)
    for line in sys.stdin:
        name, batch, seconds, onednn = line.split()
        with torch.backends.mkldnn.flags(enabled=onednn == "1"):
            step, steps = torch_step(os.path.join(folder, name + ".xml"), int(batch)), 0
            for _ in range(WARM):
                step()
            begin = time.process_time()
            while (now := time.process_time()) - begin < float(seconds) or steps == 0:
                step()
                steps += 1
        print(steps * int(batch) / (now - begin), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)


class Torch:
    """A process of PyTorch of this machine, or of a root beside it. version None: there is none."""

    def __init__(self, root, folder):
        inside = folder[len(os.path.normpath(root)):] if root else folder
        python = ["unshare", "--mount", "sh", "-c", ENTER, root] if root else [sys.executable]
        self.process = subprocess.Popen(python + ["-B", os.path.join(inside, os.path.basename(__file__)), "--torch-worker", inside],
                                        env=own_kernels(OMP_NUM_THREADS="1"), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.version = self.process.stdout.readline().strip() or None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def measure(self, name, batch, seconds, onednn):
        print(name, batch, seconds, int(onednn), file=self.process.stdin, flush=True)
        return [float(word) for word in self.process.stdout.readline().split()]


# ---- turns ----

def own_kernels(**more):
    """The environment in which everybody chooses the kernels for this processor."""
    return {**{key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}, **more}


def measure(arguments, name, batch, seconds):
    """Samples a second, KiB."""
    program = os.path.join(arguments.build, "tests", "bench", "bench_networks")
    path = os.path.join(ROOT, "models", "networks", name + ".xml")
    done = subprocess.run([program, path, batch, str(seconds)], env=own_kernels(), capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def compare(arguments, run, torch):
    name, batch = run.split("@")
    ours, on, off = [], [], []
    for _ in range(arguments.repeat):
        ours.append(measure(arguments, name, batch, arguments.seconds)[0])
        if torch.version:
            on.append(torch.measure(name, batch, arguments.seconds, True)[0])
            off.append(torch.measure(name, batch, arguments.seconds, False)[0])
    line = f"{name:16} {batch:>4} {statistics.median(ours):10.0f}"
    if torch.version:
        line += f" {statistics.median(on):10.0f} {statistics.median(off):10.0f}"
        line += f"   {spread([a / b for a, b in zip(ours, on)])} [{spread([a / b for a, b in zip(ours, off)])}]"
    print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="NETWORK[@BATCH]", help="default: " + " ".join(RUNS))
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--repeat", type=int, default=3, help="turns (default 3)")
    parser.add_argument("--seconds", type=float, default=1, help="of each measurement (default 1)")
    parser.add_argument("--torch-root", metavar="FOLDER", help="a root of Debian 13 with python3-torch")
    parser.add_argument("--torch-worker", metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.torch_worker:
        torch_worker(arguments.torch_worker)
        return 0
    root = arguments.torch_root and os.path.abspath(arguments.torch_root)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=os.path.join(root, "tmp") if root else None))
        shutil.copy(os.path.abspath(__file__), folder)
        shutil.copy(os.path.join(ROOT, "analysis", "torchnets.py"), folder)
        for file in os.listdir(os.path.join(ROOT, "models", "networks")):
            shutil.copy(os.path.join(ROOT, "models", "networks", file), folder)
        torch = stack.enter_context(Torch(root, folder))
        print(f"PyTorch {torch.version}, load {os.getloadavg()[0]:.1f}" if torch.version else
              "PyTorch is not installed (python3-torch, or see --torch-root): not compared")
        print("network         batch    RingTMP    PyTorch no oneDNN   RingTMP over PyTorch [without oneDNN]")
        for run in arguments.runs or RUNS:
            for each in [run] if "@" in run else [full for full in RUNS if full.startswith(run + "@")]:
                compare(arguments, each, torch)
        name, batch = MEMORY.split("@")
        if torch.version and not arguments.runs:
            with Torch(root, folder) as fresh:
                theirs = fresh.measure(name, batch, arguments.seconds, True)[1]
            ours = measure(arguments, name, batch, arguments.seconds)[1]
            print(f"memory of a process that trains {name} at {batch}: {ours / 1024:.0f} MiB, {ours / theirs:.2f} of PyTorch's")
    return 0


if __name__ == "__main__":
    sys.exit(main())
