#!/usr/bin/python3
"""Published networks learn in epochs what they learn in PyTorch.

Happy path: each of models/networks' published networks is trained by ringsim of BUILD and by PyTorch, from the same
parameters (safetensors), on the same samples, in the same order of batches, for three seeds of parameters and orders.
Loss and accuracy on the test samples must be the same within the noise of the seeds: the difference of the means at most
the 95 % point of Student's t for two groups of three, and one test sample. LeNet-5 learns MNIST's digits, the GPT the
bytes of LICENSE, the others patterns that are drawn here, shifted, mixed and noisy. Failure modes handled: no PyTorch or
numpy (status 77: skipped); no digits (that network is skipped, with a message); a run that fails (its words).

    test_torch_epochs.py BUILD [NETWORK...]     default: all five"""

import gzip
import json
import os
import subprocess
import sys
import tempfile
from math import cos, pi
from statistics import mean, variance

try:
    import numpy
    import torch
    from torch.nn import functional
except ImportError as why:
    print(f"skipped: {why}")
    sys.exit(77)

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))

from torch_networks import Builder, Network, some_rows, write_checkpoint

DIGITS = os.path.join(SOURCE, "..", "shared", "data", "mnist-t10k")
SEEDS = (1, 2, 3)
T_95 = 2.776  # of 4 degrees of freedom, two-sided
SCENARIO = """<scenario name="epochs" seed="{seed}">
  <platform file="{source}/platforms/pi4-gigabit-3.xml"/>
  <network file="{source}/models/networks/{network}.xml"/>
  {data}
  <training batch="{batch}" epochs="{epochs}" learning-rate="{rate}" optimizer="{optimizer}"
            rate-schedule="cosine"/>
  <strategy label="single" kind="single"/>
</scenario>
"""
#          epochs, batch, rate, optimizer
SETTINGS = {"lenet-5": (3, 32, 0.01, "momentum"), "resnet-20": (3, 16, 0.01, "momentum"),
            "mobilenet-v2-35": (8, 16, 0.005, "momentum"), "sensors-resnet": (4, 32, 0.01, "momentum"),
            "gpt-bytes": (2, 8, 0.003, "adam")}


# ---- data: x, targets of samples that train and of those to test ----


def idx(name, head):
    with gzip.open(os.path.join(DIGITS, name)) as stream:
        return numpy.frombuffer(stream.read(), numpy.uint8, offset=head)


def digits():
    """3,000 of MNIST's 10,000 test digits to learn, 1,000 others to test."""
    images = idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    labels = idx("t10k-labels-idx1-ubyte.gz", 8).astype(numpy.int64)
    x = images.astype(numpy.float32) / 255
    return x[:3000], labels[:3000], x[-1000:], labels[-1000:]


def patterns(shape, classes, train, test, noise):
    """A smooth pattern a class, shifted round, over a faint one of another class and noise."""
    random = numpy.random.default_rng(11)
    _, height, width = shape
    waves = numpy.fft.rfft2(random.standard_normal((classes, *shape)))
    waves *= abs(numpy.fft.fftfreq(height, 1 / height))[:, None] + numpy.fft.rfftfreq(width, 1 / width) < 8
    smooth = numpy.fft.irfft2(waves, (height, width))
    smooth /= smooth.std(axis=(1, 2, 3), keepdims=True)
    labels = numpy.arange(train + test) % classes
    others = (labels + random.integers(1, classes, len(labels))) % classes
    x = noise * random.standard_normal((len(labels), *shape))
    for i, (label, other) in enumerate(zip(labels, others)):
        for pattern, share in (label, 1), (other, 0.6):
            x[i] += share * numpy.roll(smooth[pattern], random.integers(-2, 3, 2), (1, 2))
    x = x.astype(numpy.float32)
    return x[:train], labels[:train], x[train:], labels[train:]


def text():
    """Windows as <data kind="text" context="64" stride="16"/> cuts them."""
    with open(os.path.join(SOURCE, "LICENSE"), "rb") as stream:
        data = numpy.frombuffer(stream.read(), numpy.uint8).astype(numpy.int64)
    middle = len(data) - len(data) // 10
    parts = [numpy.stack([part[at:at + 65] for at in range(0, len(part) - 64, 16)])
             for part in (data[:middle], data[middle:])]
    return [half for part in parts for half in (part[:, :-1], part[:, 1:])]


def draw(name):
    if name == "gpt-bytes":
        return text()
    if name == "lenet-5":
        return digits() if os.path.isdir(DIGITS) else None
    if name == "sensors-resnet":
        return patterns((6, 1, 128), 6, 720, 600, 1.5)
    return patterns((3, 32, 32), 10, 480, 300, 0.8 if name == "resnet-20" else 0.5)


def write_data(name, parts, folder):
    if name == "gpt-bytes":
        return f'<data kind="text" file="{SOURCE}/LICENSE" context="64" stride="16"/>'
    files = ("x", "y", "test-x", "test-y")
    for file, values in zip(files, parts):
        numpy.save(os.path.join(folder, file + ".npy"), values)
    return '<data kind="npy" {} scale="no"/>'.format(" ".join(f'{file}="{file}.npy"' for file in files))


# ---- both ways ----


def mix(x):
    mask = 2 ** 64 - 1
    x = (x + 0x9e3779b97f4a7c15) & mask
    x = ((x ^ (x >> 30)) * 0xbf58476d1ce4e5b9) & mask
    x = ((x ^ (x >> 27)) * 0x94d049bb133111eb) & mask
    return x ^ (x >> 31)


def order(seed, epoch, count):
    """Of the training samples, as rg_dataset_order draws it: GSL's MT19937 and shuffle."""
    seed = mix(mix(mix(seed) ^ 2) ^ epoch) & 0xffffffff
    numbers = iter(numpy.frombuffer(numpy.random.RandomState(seed).bytes(4 * (count + 64)), "<u4").tolist())
    samples = list(range(count))
    for last in range(count - 1, 0, -1):
        scale = 0xffffffff // (last + 1)
        other = next(number // scale for number in numbers if number // scale <= last)
        samples[last], samples[other] = samples[other], samples[last]
    return samples


def start(network, seed):
    """Parameters to start from: weights for their fan-in, gains 1, the rest 0."""
    random = torch.Generator().manual_seed(seed)
    for name, values in network.tensors.items():
        fan = values[0].numel()
        drawn = torch.randn(values.shape, generator=random) * (1.5 / fan) ** 0.5 if values.dim() > 1 else \
            torch.full(values.shape, 1.0 if name.endswith(("weight", "running_var")) else 0.0)
        network.tensors[name] = drawn


def ours(build, name, seed, data, folder):
    epochs, batch, rate, optimizer = SETTINGS[name]
    with open(os.path.join(folder, "scenario.xml"), "w", encoding="utf-8") as stream:
        stream.write(SCENARIO.format(source=SOURCE, network=name, data=data, seed=seed, batch=batch, epochs=epochs, rate=rate,
                                     optimizer=optimizer))
    done = subprocess.run([os.path.join(build, "ringsim"), "scenario.xml", "--load", "start.safetensors", "--quiet",
                           "--json", "result.json"], cwd=folder, capture_output=True, text=True, timeout=1200)
    if done.returncode != 0:
        sys.exit(f"{name}: status {done.returncode}: {done.stderr}")
    with open(os.path.join(folder, "result.json"), encoding="utf-8") as stream:
        final = json.load(stream)["runs"][0]["final"]
    return final["accuracy"], final["loss"]


def theirs(name, seed, network, parts):
    epochs, batch, rate, optimizer = SETTINGS[name]
    x, y, test_x, test_y = (torch.from_numpy(numpy.ascontiguousarray(part)) for part in parts)
    builder = Builder(network)
    module = builder.module.train()
    if builder.line:
        x, test_x = x.squeeze(2), test_x.squeeze(2)
    steps = torch.optim.Adam(module.parameters(), rate) if optimizer == "adam" else \
        torch.optim.SGD(module.parameters(), rate, 0.9)
    per_epoch = len(x) // batch
    for step in range(epochs * per_epoch):
        if step % per_epoch == 0:
            samples = order(seed, step // per_epoch, len(x))
        rows = samples[step % per_epoch * batch:][:batch]
        for group in steps.param_groups:
            group["lr"] = rate * (1 + cos(pi * step / (epochs * per_epoch - 1))) / 2
        outputs = module(x[rows])
        steps.zero_grad()
        functional.cross_entropy(outputs.reshape(-1, outputs.shape[-1]), y[rows].reshape(-1)).backward()
        steps.step()
    module.eval()
    with torch.no_grad():
        outputs = torch.cat([module(block) for block in test_x.split(100)])
    outputs, test_y = outputs.reshape(-1, outputs.shape[-1]), test_y.reshape(-1)
    accuracy = (outputs.argmax(1) == test_y).double().mean().item()
    return accuracy, functional.cross_entropy(outputs.double(), test_y).item()


def compare(name, what, pairs, grain):
    """Means of both and their difference, held against the spread of the seeds. How many are too far."""
    mine, others = zip(*pairs)
    noise = T_95 * ((variance(mine) + variance(others)) / len(SEEDS)) ** 0.5 + grain
    off = abs(mean(mine) - mean(others))
    print(f"{name}: {what} {mean(mine):.4f}, PyTorch {torch.__version__}'s {mean(others):.4f}: off by {off:.4f}, "
          f"{noise:.4f} is noise; seed by seed off by {max(abs(a - b) for a, b in pairs):.4f} at most", flush=True)
    return off > noise


def check(build, name):
    parts = draw(name)
    if parts is None:
        print(f"{name}: skipped: no {DIGITS}")
        return 0
    network = Network(os.path.join(SOURCE, "models", "networks", name + ".xml"))
    network.run(torch.from_numpy(some_rows(network, 2)), {}, torch.float32)  # meets all tensors
    got = []
    with tempfile.TemporaryDirectory() as folder:
        data = write_data(name, parts, folder)
        for seed in SEEDS:
            start(network, seed)
            write_checkpoint(os.path.join(folder, "start.safetensors"), network.tensors)
            got.append((ours(build, name, seed, data, folder), theirs(name, seed, network, parts)))
    accuracies, losses = ([(mine[i], other[i]) for mine, other in got] for i in range(2))
    return compare(name, "accuracy", accuracies, 1 / len(parts[2])) + compare(name, "loss", losses, 0)


def main():
    torch.set_num_threads(1)
    sys.exit(1 if sum(check(os.path.abspath(sys.argv[1]), name) for name in sys.argv[2:] or SETTINGS) else 0)


main()
