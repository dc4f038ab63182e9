#!/usr/bin/python3
"""What PyTorch takes for each layer of a network on this machine, as a profile for scenarios (docs/profiles.md).

  analysis/profile_torch.py NET.xml --batches 1,2,4 [-o NET.profile.json]

NET.xml is a network file, as analysis/onnx_import.py makes one of a network of PyTorch's. Steps of training are taken
with each batch; of every part the least of many counts. Layers forward and backward are timed where they stand in a
step, between hooks; the optimiser's step of all parameters is divided among the layers as steps of theirs alone take;
what the shortest step, without hooks, takes more than these and the loss is its fixed time.
Exit status: 0; 1 PyTorch is not there, or fails; 2 bad usage or a bad network; 130 interrupted. Nothing is written then."""
import argparse
import hashlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

import torchnets

SCHEMA = "ringtmp-profile-1"
OPTIMIZERS = ("sgd", "momentum", "adam", "adagrad")
WARM, LEAST = 3, 9
POOL = 4  # batches of samples, in turn


def fail(text, status=2):
    print(f"profile_torch.py: {text}", file=sys.stderr)
    sys.exit(status)


def spread(seconds):
    """Of the middle half, relative to the median."""
    low, middle, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
    return (high - low) / middle if middle > 0 else 0.0


class Steps:
    """Training steps of a network with one batch."""

    def __init__(self, torch, path, batch, optimizer):
        torch.manual_seed(1)
        self.torch, self.batch, self.count = torch, batch, 0
        self.layers, shape, vocabulary = torchnets.network(path)
        self.squares = ElementTree.parse(path).getroot().get("loss") == "mean-squared-error"
        self.pool = (torch.randint(vocabulary, (POOL, batch, *shape)) if vocabulary
                     else torch.rand(POOL, batch, *shape) * 2 - 1)
        y = self.forward(self.pool[0])
        if self.squares:
            self.loss, self.targets = torch.nn.MSELoss(), torch.rand(*y.shape)
        else:
            self.loss = torch.nn.CrossEntropyLoss()
            self.targets = torch.randint(y.shape[-1], (y.flatten(0, -2).shape[0],))
        make = {"sgd": lambda p: torch.optim.SGD(p, lr=1e-6), "momentum": lambda p: torch.optim.SGD(p, lr=1e-6, momentum=0.9),
                "adam": lambda p: torch.optim.Adam(p, lr=1e-6), "adagrad": lambda p: torch.optim.Adagrad(p, lr=1e-6)}[optimizer]
        self.whole = make([p for layer in self.layers for p in layer.parameters()])
        self.each = [make(list(layer.parameters())) if any(True for _ in layer.parameters()) else None
                     for layer in self.layers]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    def take_loss(self, y):
        return self.loss(y if self.squares else y.flatten(0, -2), self.targets)

    def load(self):
        self.count += 1
        return self.pool[self.count % POOL].clone()

    def step(self):
        """One as people write it: its seconds."""
        begin = time.perf_counter()
        x = self.load()
        self.whole.zero_grad()
        self.take_loss(self.forward(x)).backward()
        self.whole.step()
        return time.perf_counter() - begin

    def timed(self):
        """The seconds of its parts: [layer] forward, backward, update; of the loss both ways."""
        count = len(self.layers)
        begun, forward, backward, update = [0.0] * count, [], [0.0] * count, []

        def mark(layer):
            def stamp(_):
                begun[layer] = time.perf_counter()
            return stamp

        x = self.load()
        self.whole.zero_grad()
        last = time.perf_counter()
        for layer in self.layers:
            x = layer(x)
            forward.append(-last + (last := time.perf_counter()))
            if x.requires_grad:
                x.register_hook(mark(len(forward) - 1))
        begin = time.perf_counter()
        loss = self.take_loss(x)
        taken = time.perf_counter()
        loss.backward()
        end = time.perf_counter()
        for layer in range(count):  # each begins when the one behind it has ended
            if begun[layer]:
                backward[layer] = end - begun[layer] if layer == 0 or not begun[layer - 1] else begun[layer - 1] - begun[layer]
        both = taken - begin + (begun[-1] or end) - taken
        for optimizer in self.each:
            at = time.perf_counter()
            if optimizer:
                optimizer.step()
            update.append(time.perf_counter() - at if optimizer else 0.0)
        at = time.perf_counter()
        self.whole.step()
        return forward, backward, update, both, time.perf_counter() - at


def least(rows):
    return [min(column) for column in zip(*rows)]


def measure(steps, window_s):
    """The rows of one batch; steps without hooks and with them take turns."""
    for _ in range(WARM):
        steps.step()
        steps.timed()
    wholes, parts, end = [], [], time.perf_counter() + window_s
    while len(parts) < LEAST or time.perf_counter() < end:
        wholes.append(steps.step())
        parts.append(steps.timed())
    forward, backward, alone = (least([p[i] for p in parts]) for i in range(3))
    loss_s, together = min(p[3] for p in parts), min(p[4] for p in parts)
    share = together / sum(alone) if sum(alone) > 0 else 0
    update = [seconds * share for seconds in alone]
    fixed_s = max(0.0, min(wholes) - sum(forward) - sum(backward) - sum(update) - loss_s)
    layers = [{"batch": steps.batch, "layer": l, "forward_s": forward[l], "backward_s": backward[l], "update_s": update[l],
               "spread": spread([p[0][l] + p[1][l] for p in parts])} for l in range(len(forward))]
    return {"batch": steps.batch, "fixed_s": fixed_s, "loss_s": loss_s, "spread": spread(wholes)}, layers


def share_cores(index, copies):
    """Number `index` of so many processes keeps to a share of the cores."""
    cores = sorted(os.sched_getaffinity(0))
    each = len(cores) // copies
    if each == 0:
        fail(f"--copies {copies}: this machine has {len(cores)} cores")
    os.sched_setaffinity(0, cores[index * each:(index + 1) * each])


def start_copies(a):
    """Other processes that take the same steps, until they are killed or this one is gone."""
    children, parent = [], os.getpid()
    for index in range(1, a.copies):
        child = os.fork()
        if child == 0:
            share_cores(index, a.copies)
            import torch
            torch.set_num_threads(a.threads)
            while os.getppid() == parent:
                for batch in a.batches:
                    steps = Steps(torch, a.network, batch, a.optimizer)
                    end = time.perf_counter() + 0.1
                    while os.getppid() == parent and time.perf_counter() < end:
                        steps.step()
            os._exit(0)
        children.append(child)
    if a.copies > 1:
        share_cores(0, a.copies)
    return children


def board():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            return next(line.split(":", 1)[1].strip() for line in f if line.startswith(("model name", "Model")))[:47]
    except (OSError, StopIteration):
        return os.uname().machine


def batches_of(text):
    try:
        batches = [int(word) for word in text.split(",")]
    except ValueError:
        batches = []
    if not batches or batches[0] < 1 or any(a >= b for a, b in zip(batches, batches[1:])):
        raise argparse.ArgumentTypeError(f"{text}: whole numbers from 1 that rise, with commas between them, are wanted")
    return batches


def write(path, profile):
    """Whole, or not at all."""
    text = json.dumps(profile, indent=1) + "\n"
    if path == "-":
        sys.stdout.write(text)
        return
    with tempfile.NamedTemporaryFile("w", dir=os.path.dirname(os.path.abspath(path)), delete=False) as f:
        f.write(text)
    os.chmod(f.name, 0o644)
    os.replace(f.name, path)


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("network", metavar="NET.xml")
    p.add_argument("--batches", required=True, type=batches_of, metavar="N,...", help="samples at once, rising")
    p.add_argument("--threads", type=int, default=1, help="as the scenario's (default 1)")
    p.add_argument("--copies", type=int, default=1, help="as many processes train at once, each on its cores (default 1)")
    p.add_argument("--optimizer", choices=OPTIMIZERS, default="sgd", help="as the scenario's (default sgd)")
    p.add_argument("--window", type=float, default=3, help="seconds at a batch (default 3)")
    p.add_argument("--name", help="of the board (default: its processor's)")
    p.add_argument("-o", dest="out", help="the profile (- for standard output; default NAME.profile.json)")
    a = p.parse_args()
    if a.threads < 1 or a.copies < 1 or a.window < 0:
        p.error("--threads and --copies are 1 or more, --window 0 or more")
    return a


def main():
    a = arguments()
    try:
        with open(a.network, "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest()
        name = ElementTree.parse(a.network).getroot().get("name", "network")
    except (OSError, ElementTree.ParseError) as e:
        fail(f"{a.network}: {getattr(e, 'strerror', None) or e}: a network file is wanted")
    children = start_copies(a)
    try:
        try:
            import torch
        except ImportError:
            fail("PyTorch is not installed: Debian's python3-torch is wanted", 1)
        torch.set_num_threads(a.threads)
        steps, layers = [], []
        for batch in a.batches:
            try:
                step, rows = measure(Steps(torch, a.network, batch, a.optimizer), a.window)
            except (KeyError, ValueError, TypeError, RuntimeError) as e:
                fail(f"{a.network}: PyTorch cannot run it: {str(e).splitlines()[0]}")
            steps.append(step)
            layers += rows
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    onednn = " with oneDNN" if torch.backends.mkldnn.is_available() else ""
    write(a.out or f"{name}.profile.json",
          {"schema": SCHEMA, "network": name, "network_sha256": digest, "board": a.name or board(),
           "program": f"PyTorch {torch.__version__}{onednn}", "threads": a.threads, "copies": a.copies,
           "optimizer": a.optimizer, "steps": steps, "layers": layers})
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
