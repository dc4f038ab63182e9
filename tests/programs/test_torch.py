#!/usr/bin/python3
"""Published networks have PyTorch's loss and gradients.

Happy path: for each of models/networks' published networks parameters are drawn and written as a checkpoint (safetensors);
ringsim of BUILD trains one iteration of one batch from them and saves what it has. PyTorch computes the same batch from
the same network file, in float32 and in float64. The gradient of every tensor, as the step shows it, must be as near to
that in float64 as three times PyTorch's own in float32 (the nearer of its kernels with and without oneDNN), and a step of
SGD with momentum must end within 1e-5 of PyTorch's; running statistics too. Failure modes handled: no PyTorch or numpy
(status 77: skipped); a run that fails (its words); a tensor that is missing on either side.

    test_torch.py BUILD [NETWORK...]     default: all five"""

import os
import subprocess
import sys
import tempfile

try:
    import numpy
    import torch
    from torch.nn import functional
except ImportError as why:
    print(f"skipped: {why}")
    sys.exit(77)

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))

from torch_networks import NETWORKS, Network, read_checkpoint, write_checkpoint
# Where a batch's values are few and layers many, rounding alone turns some units of relu6 over, in PyTorch as here, and
# a gradient with them: this one is compared with silu in their place.
SMOOTH = ("mobilenet-v2-35",)
BATCH, RATE = 32, 0.05
STEEP = [2.0 ** power for power in range(9, -4, -2)]  # the longest step that ends in numbers shows most of a gradient
TIMES, UNIT = 3, 2.0 ** -23  # of PyTorch's error, beside what the sum with a parameter rounds off
SMALL = 1e-5  # of the largest gradient: tensors whose own is less (0, before a norm) are held against that
STEP = 1e-5

SCENARIO = """<scenario name="torch" seed="1">
  <platform file="{source}/platforms/pi4-gigabit-3.xml"/>
  <network file="{network}"/>
  {data}
  <training batch="{batch}" epochs="1" learning-rate="{rate}" optimizer="{optimizer}"/>
  <strategy label="single" kind="single"/>
</scenario>
"""


def draw_data(network, folder):
    """One batch, as files and as the <data> that names them."""
    random = numpy.random.default_rng(3)
    sizes = [int(word) for word in network.root.get("input").split("x")]
    if network.root.find("embedding") is not None:  # so long that its first nine tenths have BATCH windows
        tokens, stride = sizes[0], sizes[0] + 8
        text = random.integers(97, 123, 10 * (stride * (BATCH - 1) + tokens + 26) // 9, numpy.uint8)
        with open(os.path.join(folder, "text"), "wb") as stream:
            stream.write(text.tobytes())
        windows = numpy.stack([text[i * stride:i * stride + tokens + 1] for i in range(BATCH)]).astype(numpy.int64)
        data = f'<data kind="text" file="text" context="{tokens}" stride="{stride}"/>'
        return data, torch.from_numpy(windows[:, :-1].copy()), torch.from_numpy(windows[:, 1:].copy())
    classes = int(network.root[-1].get("outputs"))
    x = random.standard_normal((BATCH, *sizes)).astype(numpy.float32)
    y = numpy.arange(BATCH) % classes
    for part, rows in ("", slice(None)), ("test-", slice(1)):
        numpy.save(os.path.join(folder, part + "x.npy"), x[rows])
        numpy.save(os.path.join(folder, part + "y.npy"), y[rows])
    data = f'<data kind="npy" x="x.npy" y="y.npy" test-x="test-x.npy" test-y="test-y.npy" scale="no" classes="{classes}"/>'
    return data, torch.from_numpy(x), torch.from_numpy(y)


def train(build, folder, network, data, rate, optimizer):
    with open(os.path.join(folder, "scenario.xml"), "w", encoding="utf-8") as stream:
        stream.write(SCENARIO.format(source=SOURCE, network=network, data=data, batch=BATCH, rate=rate,
                                     optimizer=optimizer))
    done = subprocess.run([os.path.join(build, "ringsim"), "scenario.xml", "--load", "start.safetensors", "--strategy",
                           "single", "--save", "end.safetensors", "--quiet"],
                          cwd=folder, capture_output=True, text=True, timeout=600)
    if done.returncode == 0 and not os.path.exists(os.path.join(folder, "end.safetensors")):
        return None  # it has diverged
    if done.returncode != 0:
        sys.exit(f"{network}: status {done.returncode}: {done.stderr}")
    return read_checkpoint(os.path.join(folder, "end.safetensors"))


def gradients(network, x, y, kind):
    values = {name: tensor.to(kind).clone().requires_grad_("running" not in name) for name, tensor in network.tensors.items()}
    outputs = network.run(x, values, kind)
    loss = functional.cross_entropy(outputs.reshape(-1, outputs.shape[-1]), y.reshape(-1))
    loss.backward()
    return {name: values[name].grad.double() for name in values if values[name].requires_grad}, dict(network.seen)


def steepest(build, folder, network, data):
    for rate in STEEP:
        end = train(build, folder, network, data, rate, "sgd")
        if end:
            return rate, end
    sys.exit(f"{network}: no step ends in numbers")


def check(build, name):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "network.xml")
        with open(os.path.join(SOURCE, "models", "networks", name + ".xml"), encoding="utf-8") as stream:
            text = stream.read()
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text.replace('"relu6"', '"silu"') if name in SMOOTH else text)
        network = Network(path)
        data, x, y = draw_data(network, folder)
        network.run(x, {}, torch.float64)  # draws the parameters
        exact, seen = gradients(network, x, y, torch.float64)
        own = []
        for onednn in (True, False):
            with torch.backends.mkldnn.flags(enabled=onednn):
                own.append(gradients(network, x, y, torch.float32))
        write_checkpoint(os.path.join(folder, "start.safetensors"), network.tensors)
        rate, steep = steepest(build, folder, path, data)
        os.remove(os.path.join(folder, "end.safetensors"))
        step = train(build, folder, path, data, RATE, "momentum")
    assert set(steep) == set(network.tensors), set(steep) ^ set(network.tensors)
    largest, worst, bad = max(g.abs().max().item() for g in exact.values()), (0, 0, 0, ""), []
    times = []
    for tensor, right in exact.items():
        start, scale = network.tensors[tensor].double(), max(right.abs().max().item(), SMALL * largest)
        ours = ((start - steep[tensor]) / rate - right).abs().max().item() / scale
        theirs = min((grads[tensor] - right).abs().max().item() for grads, _ in own) / scale
        rounded = UNIT * (1 + max(start.abs().max().item(), steep[tensor].abs().max().item()) / (rate * scale))
        times.append((ours + rounded) / (theirs + rounded))
        worst = max(worst, (ours / (theirs + rounded), ours, theirs, tensor))
        if ours > TIMES * theirs + rounded:
            bad.append(f"gradient of {tensor} off by {ours:.1e}, PyTorch's by {theirs:.1e}, rounded by {rounded:.1e}")
        off = (step[tensor] - (start - RATE * right)).abs().max().item() / max(1, RATE * largest)
        if off > STEP:
            bad.append(f"{tensor} off by {off:.1e} after a step")
    for tensor, right in seen.items():
        scale = max(1, right.abs().max().item())
        off = (step[tensor] - right).abs().max().item() / scale
        theirs = min((kept[tensor].double() - right).abs().max().item() for _, kept in own) / scale
        if off > TIMES * theirs + STEP:
            bad.append(f"{tensor} off by {off:.1e}, PyTorch's by {theirs:.1e}")
    print(f"{name}: {len(exact)} gradients, the farthest of {worst[3]}, off by {worst[1]:.1e} (PyTorch's {worst[2]:.1e}), "
          f"half at most {sorted(times)[len(times) // 2]:.2f} times as far as its own; "
          f"{len(seen)} running statistics; a step of {rate:g}; {len(bad)} too far")
    print(*bad[:10], sep="\n", end="\n" if bad else "")
    return len(bad)


def main():
    torch.set_num_threads(1)
    sys.exit(1 if sum(check(os.path.abspath(sys.argv[1]), name) for name in sys.argv[2:] or NETWORKS) else 0)


main()
