#!/usr/bin/python3
"""Images a second of a pipeline of two ranks over loopback: rings of RingTMP, and beside them PyTorch's own
schedules (torch.distributed.pipelining, 2.6 and newer) over Gloo. 784-512-512-10 cut after the first layer,
micro-batches of 32, 16 of them an update, plain gradient descent, float32, one thread a process.

  tests/bench/bench_pipeline.py [--build build/release] [--repeat 5] [--iterations 60] [--torch-root FOLDER]

All take turns in one run; printed are the medians, and the median of the ratios of the same turn. Before that
both take one step from the same weights with the same images: printed is how far their gradients are apart.

PyTorch 2.6 is in Debian 13 (python3-torch, and libopenblas0, without which it computes slowly). --torch-root
names a root of it in which PyTorch runs (chroot, so it needs root) while RingTMP runs here; loopback is the
same for both. Without PyTorch RingTMP is timed alone, and the script says so.

Of a batch of messages PyTorch keeps the Work of the last only, which is enough for NCCL. Over Gloo a message
whose Work is gone does not arrive, and 1F1B and zero bubble wait for it for ever: here all are kept, and waited
for. Gradients are sums over micro-batches; a loss that is divided by the batch makes them the batch's mean.
OPENBLAS_CORETYPE is taken out of the environment, so that both choose the kernels for this processor. Two free
cores are wanted.
"""
import argparse
import array
import contextlib
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNIT, UNITS, WARM = 32, 16, 5
BATCH = UNIT * UNITS
SIZES = (784, 512, 512, 10)
# RingTMP's schedule, and PyTorch's that does the same.
PAIRS = {"gpipe": "ScheduleGPipe", "1f1b": "Schedule1F1B", "zb": "ScheduleInterleavedZeroBubble"}
# From /proc PyTorch learns what the processor can do.
ENTER = 'mount -t proc proc "$0/proc" && exec chroot "$0" /usr/bin/python3 "$@"'
NETWORK = """<network name="wide" input="28x28">
  <dense outputs="512" activation="relu" repeat="2"/>
  <dense outputs="10"/>
</network>
"""
SCENARIO = """<scenario name="pipeline" seed="1">
  <platform file="{root}/platforms/pi4-gigabit-3.xml"/>
  <network file="network.xml"/>
  {data}
  <training batch="{batch}" epochs="1" learning-rate="{rate}"/>
  {strategies}
</scenario>
"""
STRATEGY = ('<strategy label="{name}" kind="ring_pipeline" nodes="2" schedule="{name}" partition="1,2" '
            'micro-batches="{units}"/>')


# ---- PyTorch: one process of two ----

def keep_all_works():
    """Wait for every message of a batch, not for the last alone."""
    import torch.distributed
    from torch.distributed.pipelining import schedules

    class All:
        def __init__(self, works):
            self.works = works

        def wait(self):
            for work in self.works:
                work.wait()

    def batch(operations, desc=None):
        return All(torch.distributed.batch_isend_irecv(operations)) if operations else None

    schedules._batch_p2p = batch  # pylint: disable=protected-access


def torch_stage(rank, schedule):
    """The rank's layers and the schedule that runs them."""
    import torch
    from torch.distributed import pipelining
    linear, relu = torch.nn.Linear, torch.nn.ReLU
    layers = [linear(SIZES[0], SIZES[1]), relu()] if rank == 0 else [
        linear(SIZES[1], SIZES[2]), relu(), linear(SIZES[2], SIZES[3])]
    module = torch.nn.Sequential(*layers)
    stage = pipelining.PipelineStage(module, rank, 2, torch.device("cpu"))

    def loss(output, target):
        return torch.nn.functional.cross_entropy(output, target, reduction="sum") / BATCH

    kind = getattr(pipelining.schedules, schedule)
    stages = [stage] if issubclass(kind, pipelining.schedules.PipelineScheduleMulti) else stage
    return module, kind(stages, UNITS, loss_fn=loss)


def torch_worker(rank, port, schedule, iterations, folder):
    """Rank 0 prints the images a second; with no iterations each takes one step from the parameters in
    `folder` and writes its gradients there."""
    import time
    import torch
    import torch.distributed
    torch.set_num_threads(1)
    torch.manual_seed(1)
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    keep_all_works()
    module, pipeline = torch_stage(rank, schedule)
    images = torch.frombuffer(bytearray(image_bytes(BATCH)), dtype=torch.float32).reshape(BATCH, SIZES[0])
    labels = torch.tensor(list(label_numbers(BATCH)))

    def step():
        if rank == 0:
            pipeline.step(images)
        else:
            pipeline.step(target=labels, losses=[])

    if iterations == 0:
        given = read_numbers(os.path.join(folder, f"weights-{rank}"))
        torch.nn.utils.vector_to_parameters(torch.tensor(given), module.parameters())
        step()
        gradient = torch.cat([p.grad.flatten() for p in module.parameters()])
        with open(os.path.join(folder, f"gradient-{rank}"), "wb") as stream:
            array.array("f", gradient.tolist()).tofile(stream)
        return
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    for i in range(WARM + iterations):
        if i == WARM:
            torch.distributed.barrier()
            begin = time.monotonic()
        optimiser.zero_grad()
        step()
        optimiser.step()
    torch.distributed.barrier()
    if rank == 0:
        print(BATCH * iterations / (time.monotonic() - begin))


class Torch:
    """PyTorch of this machine, or of a root beside it."""

    def __init__(self, root, folder):
        inside = folder[len(os.path.normpath(root)):] if root else folder
        python = ["unshare", "--mount", "sh", "-c", ENTER, root] if root else [sys.executable]
        self.command = python + ["-B", os.path.join(inside, os.path.basename(__file__)), "--folder", inside]
        shutil.copy(os.path.abspath(__file__), folder)

    def version(self):
        """None: there is none with schedules."""
        done = subprocess.run(self.command + ["--torch-version"], capture_output=True, text=True)
        return done.stdout.split()[-1] if done.returncode == 0 else None

    def run(self, schedule, iterations):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        workers = [subprocess.Popen(self.command + ["--torch-worker", f"{rank},{port},{schedule},{iterations}"],
                                    env=own_kernels(OMP_NUM_THREADS="1", USE_LIBUV="0"), # Debian's has none
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                   for rank in range(2)]
        answers = [worker.communicate(timeout=600) for worker in workers]
        if any(worker.returncode for worker in workers):
            raise SystemExit(f"bench_pipeline: PyTorch's {schedule} failed: {answers[0][1]}{answers[1][1]}")
        return answers[0][0]

    def rate(self, schedule, iterations):
        return float(self.run(schedule, iterations).split()[-1])  # libraries print, too


def torch_version():
    import torch
    from torch.distributed import pipelining
    if not hasattr(pipelining, "ScheduleInterleavedZeroBubble"):
        raise SystemExit(1)
    print(torch.__version__)


# ---- RingTMP ----

def own_kernels(**more):
    """The environment in which everybody chooses the kernels for this processor."""
    return {**{key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}, **more}


def ring(ringnode, folder, scenario, strategy, *options):
    """The result of one strategy of two ranks on this machine."""
    out = os.path.join(folder, "result.json")
    done = subprocess.run([ringnode, os.path.join(folder, scenario), "--local", "--strategy", strategy, "--quiet",
                           "--json", out, *options], env=own_kernels(), timeout=600)
    if done.returncode:
        raise SystemExit(f"bench_pipeline: ringnode failed with {strategy}")
    with open(out, encoding="utf-8") as stream:
        return json.load(stream)


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as stream:
        stream.write(text)


def write_scenario(folder, name, data, rate):
    strategies = "\n  ".join(STRATEGY.format(name=each, units=UNITS) for each in PAIRS)
    write(folder, name, SCENARIO.format(root=ROOT, data=data, batch=BATCH, rate=rate, strategies=strategies))


# ---- the same step ----

def image_bytes(count):
    """float32, of 0 to 1, made by the same integers everywhere."""
    state, numbers = 1, array.array("f")
    for _ in range(count * SIZES[0]):
        state = (1103515245 * state + 12345) % (1 << 31)
        numbers.append((state >> 16 & 255) / 256)
    return numbers.tobytes()


def label_numbers(count):
    return (7 * i % SIZES[-1] for i in range(count))


def write_npy(path, kind, shape, data):
    head = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    with open(path, "wb") as stream:
        stream.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data)


def read_numbers(path):
    numbers = array.array("f")
    with open(path, "rb") as stream:
        numbers.frombytes(stream.read())
    return numbers


def read_parameters(path):
    """All numbers of a safetensors file, layer by layer, weights before biases."""
    with open(path, "rb") as stream:
        length, = struct.unpack("<Q", stream.read(8))
        head, data = json.loads(stream.read(length)), stream.read()
    head.pop("__metadata__", None)
    numbers = array.array("f")
    for begin, end in sorted(tensor["data_offsets"] for tensor in head.values()):
        numbers.frombytes(data[begin:end])
    return numbers


def compare_gradients(ringnode, folder, torch):
    """One step of the whole training set (a sample more is to test). RingTMP's gradient is what a step of rate 1
    takes away."""
    count = BATCH + 1
    write_npy(os.path.join(folder, "x.npy"), "<f4", (count, SIZES[0]), image_bytes(count))
    write_npy(os.path.join(folder, "y.npy"), "|u1", (count,), bytes(label_numbers(count)))
    data = f'<data kind="npy" x="x.npy" y="y.npy" train="{BATCH}" test="1" split="order" scale="no"/>'
    saved, parameters, digests = os.path.join(folder, "saved"), {}, set()
    for rate in (1e-30, 1):
        write_scenario(folder, "step.xml", data, rate)
        for name in PAIRS:
            run = ring(ringnode, folder, "step.xml", name, "--save", saved)["runs"][0]
            digests.add((rate, run["weights_sha256"]))
        parameters[rate] = read_parameters(saved)
    print("gradients of one step from the same weights: gpipe, 1f1b and zb of RingTMP "
          + ("the same to the bit" if len(digests) == 2 else "DIFFER"))
    before, after = parameters[1e-30], parameters[1]
    cut = SIZES[0] * SIZES[1] + SIZES[1]
    for rank, part in enumerate((before[:cut], before[cut:])):
        with open(os.path.join(folder, f"weights-{rank}"), "wb") as stream:
            part.tofile(stream)
    own = [b - a for b, a in zip(before, after)]
    for schedule in PAIRS.values():
        torch.run(schedule, 0)
        theirs = [x for rank in range(2) for x in read_numbers(os.path.join(folder, f"gradient-{rank}"))]
        apart = max(abs(a - b) for a, b in zip(own, theirs, strict=True))
        print(f"  PyTorch's {schedule}: at most {apart / max(map(abs, own)):.1e} of the largest from RingTMP's")


# ---- turns ----

def measure(arguments, folder, torch):
    ringnode = os.path.join(arguments.build, "ringnode")
    write_scenario(folder, "timed.xml", f'<data kind="digits" train="{BATCH * arguments.iterations}" test="100"/>', 0.1)
    turns = []
    for turn in range(arguments.repeat):
        rates = {}
        for name, schedule in PAIRS.items():
            result = ring(ringnode, folder, "timed.xml", name)
            rates[name] = BATCH / result["runs"][0]["iteration_s"]["mean"]
            if torch:
                rates[schedule] = torch.rate(schedule, arguments.iterations)
        turns.append(rates)
        print(f"turn {turn + 1}: " + ", ".join(f"{key} {value:.0f}" for key, value in rates.items()), file=sys.stderr)
    print(f"load {os.getloadavg()[0]:.1f}, BLAS kernels {result['host']['blas_kernels']}")
    for key in turns[0]:
        print(f"{key:30} {statistics.median(turn[key] for turn in turns):10.0f} images/s")
    for name, schedule in PAIRS.items() if torch else ():
        each = [turn[name] / turn[schedule] for turn in turns]
        print(f"{name} over PyTorch's {schedule}: {statistics.median(each):.2f} "
              f"({min(each):.2f} to {max(each):.2f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--repeat", type=int, default=5, help="turns (default 5)")
    parser.add_argument("--iterations", type=int, default=60, help="a turn (default 60)")
    parser.add_argument("--torch-root", metavar="FOLDER", help="a root of Debian 13 with python3-torch")
    for hidden in ("--torch-worker", "--folder"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--torch-version", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.torch_version:
        torch_version()
        return 0
    if arguments.torch_worker:
        rank, port, schedule, iterations = arguments.torch_worker.split(",")
        torch_worker(int(rank), int(port), schedule, int(iterations), arguments.folder)
        return 0
    root = arguments.torch_root and os.path.abspath(arguments.torch_root)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=os.path.join(root, "tmp") if root else None))
        write(folder, "network.xml", NETWORK)
        torch = Torch(root, folder)
        version = torch.version()
        print(f"PyTorch {version}" if version else "PyTorch 2.6 or newer is not installed (python3-torch of Debian "
              "13, see --torch-root): not compared")
        if version:
            compare_gradients(os.path.join(arguments.build, "ringnode"), folder, torch)
        measure(arguments, folder, torch if version else None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
