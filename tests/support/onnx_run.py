"""A model's outputs: by ringnode; by onnxruntime, or where that is absent (Debian 12) by an evaluator of what onnx_export.py writes, in
double precision and without haste."""

import os
import subprocess
import sys

import numpy
import onnx

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "analysis"))

import onnxtrace

try:
    import onnxruntime
except ImportError:
    onnxruntime = None

SCENARIO = """<scenario name="onnx" seed="1">
  <platform file="absent.xml"/>
  <network file="net.xml"/>
  <data kind="iris"/>
  <training batch="1" epochs="1" learning-rate="0.1"/>
  <strategy label="single" kind="single"/>
</scenario>
"""


def predicted(ringnode, folder, rows):
    """By net.xml of that folder, with the parameters in its net.safetensors."""
    numpy.save(os.path.join(folder, "rows.npy"), rows)
    with open(os.path.join(folder, "s.xml"), "w", encoding="utf-8") as stream:
        stream.write(SCENARIO)
    done = subprocess.run([ringnode, "s.xml", "--load", "net.safetensors", "--predict", "rows.npy", "--out", "y.npy",
                           "--quiet"], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0 or done.stderr:
        raise RuntimeError(f"ringnode: status {done.returncode}: {done.stderr}")
    return numpy.load(os.path.join(folder, "y.npy"))


def by_channel(values, x):
    return values.reshape((-1,) + (1,) * (x.ndim - 2))


def windows_of(node, x, kernel, outside):
    """[samples, channels, height, width, window]"""
    strides, pads = node.get("strides", [1, 1]), node.get("pads", [0] * 4)
    x = numpy.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])), constant_values=outside)
    parts = numpy.lib.stride_tricks.sliding_window_view(x, tuple(kernel), (2, 3))[:, :, ::strides[0], ::strides[1]]
    return parts.reshape(*parts.shape[:4], -1)


def convolve(node, x, weight, bias=0.0):
    groups = node.get("group", 1)
    parts = windows_of(node, x, weight.shape[2:], 0)
    rows = [numpy.einsum("nchwk,ock->nohw", part, own.reshape(*own.shape[:2], -1))
            for part, own in zip(numpy.split(parts, groups, 1), numpy.split(weight, groups, 0))]
    return numpy.concatenate(rows, 1) + (by_channel(bias, x) if numpy.ndim(bias) else bias)


def average(node, x):
    """nanmean: without count_include_pad what is round the image does not count."""
    outside = 0 if node.get("count_include_pad", 0) else numpy.nan
    return numpy.nanmean(windows_of(node, x, node.get("kernel_shape"), outside), 4)


def normalised(x, axes, epsilon):
    return (x - x.mean(axes, keepdims=True)) / numpy.sqrt(x.var(axes, keepdims=True) + epsilon)


def softmax(x, axis):
    shares = numpy.exp(x - x.max(axis, keepdims=True))
    return shares / shares.sum(axis, keepdims=True)


LAYERS = {
    "Conv": convolve,
    "MaxPool": lambda node, x: windows_of(node, x, node.get("kernel_shape"), -numpy.inf).max(4),
    "AveragePool": average,
    "BatchNormalization": lambda node, x, gain, shift, mean, variance: by_channel(gain, x) * (x - by_channel(mean, x)) /
    numpy.sqrt(by_channel(variance, x) + node.get("epsilon")) + by_channel(shift, x),
    "LayerNormalization": lambda node, x, gain, shift: normalised(x, -1, node.get("epsilon")) * gain + shift,
    "InstanceNormalization": lambda node, x, gain, shift: normalised(x, tuple(range(2, x.ndim)), node.get("epsilon")) *
    by_channel(gain, x) + by_channel(shift, x),
    "Softmax": lambda node, x: softmax(x, node.get("axis", -1)),
}


def evaluate(model, x):
    values = {proto.name: onnx.numpy_helper.to_array(proto) for proto in model.graph.initializer}
    values = {name: v.astype(float) if v.dtype == numpy.float32 else v for name, v in values.items()}
    values[model.graph.input[0].name] = x if numpy.issubdtype(x.dtype, numpy.integer) else x.astype(float)
    for number, proto in enumerate(model.graph.node):
        node = onnxtrace.Node(proto, number)
        found = {**onnxtrace.CONSTANTS, **LAYERS}[node.kind](node, *(values[name] for name in node.inputs))
        values.update(zip(node.outputs, found if isinstance(found, list) else [found]))
    return values[model.graph.output[0].name]


def outputs_of(path, x):
    """For float32 rows, or int64 tokens."""
    model = onnx.load(path)
    name = model.graph.input[0].name
    if onnxruntime is None:
        return evaluate(model, x)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {name: x})[0]
