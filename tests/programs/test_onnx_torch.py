#!/usr/bin/python3
"""Published networks go from PyTorch to RingTMP by ONNX, and back to ONNX, and give the same outputs.

Happy path: for each of models/networks' published networks parameters are drawn, PyTorch's TorchScript exporter writes its
module, analysis/onnx_import.py reads that, and ringnode of BUILD predicts rows. The outputs must be within 1e-5 of those of
onnxruntime, or where that is absent (Debian 12) of PyTorch. Attention is written in several ways, opsets go from 9 to 17,
or what the exporter has of them. Small modules stand for what exports have beside that. What onnx_export.py makes of the
published networks must give ringnode's outputs as nearly. Failure modes handled: no PyTorch, numpy or python3-onnx (status
77: skipped); an export that PyTorch itself refuses (said, at most half of them).

    test_onnx_torch.py BUILD"""

import contextlib
import io
import os
import shutil
import sys
import tempfile
import warnings

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(SOURCE, "tests", "support"), os.path.join(SOURCE, "analysis")]

try:
    import numpy
    import onnx
    import torch
    from torch import nn
except ImportError as why:
    print(f"skipped: {why}")
    sys.exit(77)
import onnx_export
import onnx_import
import onnx_run
from torch_networks import NETWORKS, Builder, Network, some_rows, write_checkpoint

NEAR = 1e-5
ROWS = 5
NEW = int(torch.__version__.split(".", 1)[0]) >= 2
OPSETS = (9, 11, 13, 16, 17) if NEW else (9, 11, 13, 16)


class Pool(nn.Module):
    """What the exporters write of pools, of views, and of functions without modules."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, groups=4)
        self.norm, self.last = nn.BatchNorm2d(8), nn.Linear(8 * 2 * 2, 5)

    def forward(self, x):
        x = torch.relu(nn.functional.max_pool2d(self.first(x), 2))
        x = nn.functional.avg_pool2d(self.norm(self.second(x)), 3, 1, padding=1)
        x = nn.functional.avg_pool2d(x, 2)
        return self.last(x.view(x.size(0), -1))


class Plain(nn.Module):
    """Norms and parameters as they are born, so that many tensors are equal and stored once; a mean in place of a pool."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 1, bias=False) for _ in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(3))
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        for conv, norm in zip(self.convs, self.norms):
            x = nn.functional.silu(norm(conv(x)) + x)
        return self.last(x.mean((2, 3)))


class Rows(nn.Module):
    """Dense layers of rows with a norm along their outputs, and a layer norm of all."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(7, 9, bias=False), nn.BatchNorm1d(9), nn.Hardswish(), nn.Linear(9, 6),
                                    nn.LayerNorm(6), nn.Dropout(0.5), nn.Tanh(), nn.Linear(6, 4), nn.ReLU6())

    def forward(self, x):
        return self.layers((x - 3) / torch.tensor([1.0, 2, 3, 4, 5, 6, 7]))


class Tokens(nn.Module):
    """PyTorch's own encoder, batch behind the tokens inside of its attention."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Linear(6, 8)
        self.encoder = nn.MultiheadAttention(8, 2)
        self.norm, self.last = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x):
        x = self.scale(x).transpose(0, 1)
        x = self.norm(x + self.encoder(x, x, x, need_weights=False)[0])
        return self.last(x.transpose(0, 1))


SMALL = {"pools": (Pool, (3, 14, 14)), "plain": (Plain, (4, 5, 6)), "rows": (Rows, (7,)), "tokens": (Tokens, (5, 6))}


def export(module, rows, path, opset, **options):
    """False: PyTorch cannot."""
    if NEW:
        options["dynamo"] = False
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(module, rows, path, opset_version=opset, input_names=["x"], output_names=["y"],
                              **options)
    except torch.onnx.errors.OnnxExporterError:
        return False
    return True


def oracle(path, module, x):
    if onnx_run.onnxruntime:
        return onnx_run.outputs_of(path, x.numpy())
    with torch.no_grad():
        return module(x).numpy()


def compare(build, tag, module, rows, x, opset, **options):
    """1: too far; 0: near; None: PyTorch cannot export it."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.onnx")
        if not export(module, x, path, opset, **options):
            print(f"{tag}, opset {opset}: PyTorch exports no such")
            return None
        with contextlib.redirect_stdout(io.StringIO()):
            status = onnx_import.main([path, "-o", os.path.join(folder, "net")])
        if status != 0:
            print(f"{tag}, opset {opset}: refused")
            return 1
        right = oracle(path, module, x)
        off = numpy.abs(onnx_run.predicted(os.path.join(build, "ringnode"), folder, rows).reshape(right.shape) - right).max()
    print(f"{tag}, opset {opset}: off by {off:.1e}")
    return int(not off <= NEAR)


def published(build):
    ways = ("split", "three", "module", *(["fused"] if NEW else []))
    for name in NETWORKS:
        network = Network(os.path.join(SOURCE, "models", "networks", name + ".xml"))
        rows = some_rows(network, ROWS)
        network.run(torch.from_numpy(rows), {}, torch.float64)  # draws the parameters
        for way in ways if name == "gpt-bytes" else ("split",):
            builder = Builder(network, way)
            x = torch.from_numpy(rows[:, :, 0].copy() if builder.line else rows)
            for opset in OPSETS:
                free = {} if opset == 13 else {"dynamic_axes": {"x": {0: "n"}, "y": {0: "n"}}}
                yield compare(build, f"{name} ({way})", builder.module, rows, x, opset, **free)


def small(build):
    for name, (kind, shape) in SMALL.items():
        torch.manual_seed(4)
        module = kind()
        x = torch.randn(ROWS, *shape)
        for opset in OPSETS:
            yield compare(build, name, module.eval(), x.numpy(), x, opset)
        whole = torch.onnx.TrainingMode.PRESERVE  # norms are not folded into what is in front of them
        yield compare(build, f"{name}, unfolded", module.eval(), x.numpy(), x, OPSETS[-1], training=whole,
                      do_constant_folding=False)


def exported(build):
    """Networks of ours: what onnx_export.py makes of them against ringnode's own outputs."""
    for name in NETWORKS:
        path = os.path.join(SOURCE, "models", "networks", name + ".xml")
        network = Network(path)
        rows = some_rows(network, ROWS)
        network.run(torch.from_numpy(rows), {}, torch.float64)
        with tempfile.TemporaryDirectory() as folder:
            load, model = os.path.join(folder, "net.safetensors"), os.path.join(folder, "m.onnx")
            write_checkpoint(load, network.tensors)
            shutil.copy(path, os.path.join(folder, "net.xml"))
            with contextlib.redirect_stdout(io.StringIO()):
                status = onnx_export.main([path, "--load", load, "-o", model])
            wanted = onnx_run.predicted(os.path.join(build, "ringnode"), folder, rows)
            off = numpy.abs(onnx_run.outputs_of(model, rows).reshape(wanted.shape) - wanted).max() if status == 0 else numpy.inf
        print(f"{name}, out: off by {off:.1e}")
        yield int(not off <= NEAR)


def main():
    build = os.path.abspath(sys.argv[1])
    torch.set_num_threads(1)
    runtime = onnx_run.onnxruntime
    print(f"PyTorch {torch.__version__}, onnx {onnx.__version__}, "
          f"{'onnxruntime ' + runtime.__version__ if runtime else 'no onnxruntime: PyTorch says what is right'}")
    found = [*published(build), *small(build), *exported(build)]
    said = [one for one in found if one is not None]
    print(f"{len(said)} models, {sum(said)} too far; {len(found) - len(said)} that PyTorch does not export")
    sys.exit(1 if sum(said) or 2 * len(said) < len(found) else 0)


main()
