#!/usr/bin/python3
"""A trained network as ONNX, for onnxruntime and whatever else reads that.

The network of a scenario, or a network file, with the parameters of a checkpoint (--save of ringsim and ringnode). Inputs are
rows as the training files had them: how they were standardised is part of the model. Outputs are those of --predict: of classes
the logits. Metadata have the class names. Opset 17.

Examples:
  ringsim mine.xml --strategy ring --save mine.safetensors
  analysis/onnx_export.py mine.xml --load mine.safetensors -o mine.onnx
"""

import argparse
import os
import sys
import xml.etree.ElementTree as ElementTree

try:
    import numpy
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as why:
    sys.exit(f"{why}: Debian's python3-onnx is needed")

import netfiles

OPSET = 17  # LayerNormalization is one operator from there on
HIDDEN = -1e9  # what is added to the scores of later tokens


def extent(text, fallback):
    sizes = [int(word) for word in text.split("x")] if text else list(fallback)
    return [sizes[0], sizes[-1]]


class Exporter:
    """Nodes so far; `shape`: of a sample, channels x height x width, whatever sizes the tensor has that holds it."""

    def __init__(self, path, tensors):
        self.path, self.tensors, self.taken = path, tensors, set()
        self.nodes, self.constants = [], []

    # ---- pieces ----

    def node(self, operator, *inputs, outputs=1, **attributes):
        names = [f"{operator.lower()}_{len(self.nodes)}{'_' + str(i) if outputs > 1 else ''}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, values, name=None):
        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(numpy.ascontiguousarray(values), name))
        return name

    def number(self, value):
        return self.constant(numpy.array(value, numpy.float32))

    def tensor(self, name, *shape):
        """Of the checkpoint, which must have it in that shape."""
        values = self.tensors.get(name)
        if values is None or values.shape != shape:
            said = "is missing" if values is None else f"has the shape {list(values.shape)}"
            raise netfiles.BadFile(f"{self.path}: tensor \"{name}\" {said}: it is needed, of shape {list(shape)}")
        self.taken.add(name)
        return values

    def weights(self, name, *shape):
        return self.constant(self.tensor(name, *shape), name)

    def reshaped(self, x, *sizes):
        return self.node("Reshape", x, self.constant(numpy.array([0, *sizes], numpy.int64)))

    def activated(self, name, x):
        if name == "identity":
            return x
        if name == "relu6":
            return self.node("Clip", x, self.number(0), self.number(6))
        if name == "silu":
            return self.node("Mul", x, self.node("Sigmoid", x))
        if name == "gelu":
            return self.gelu(x)
        return self.node({"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "hardswish": "HardSwish"}[name], x)

    def gelu(self, x):
        cubic = self.node("Mul", self.node("Mul", self.node("Mul", x, x), x), self.number(0.044715))
        inner = self.node("Mul", self.node("Add", x, cubic), self.number((2 / numpy.pi) ** 0.5))
        whole = self.node("Add", self.node("Tanh", inner), self.number(1))
        return self.node("Mul", self.node("Mul", x, self.number(0.5)), whole)

    # ---- chains ----

    def chain(self, parent, x, shape, prefix):
        index = 0
        for element in parent:
            if element.tag == "shortcut":
                continue
            for _ in range(int(element.get("repeat", "1"))):
                x, shape = self.layer(element, x, shape, f"{prefix}{index}.")
                index += 1
        return x, shape

    def layer(self, e, x, shape, name):
        """Every tensor between layers is samples x channels x height x width."""
        make = getattr(self, "container" if len(e) else e.tag, None)
        if make is None or e.tag not in LAYERS:
            raise netfiles.BadFile(f"{self.path}: <{e.tag}>: {', '.join(LAYERS)} are allowed")
        x, shape = make(e, x, shape, name)
        usual = "relu" if e.tag in ("conv2d", "residual") and not len(e) else "identity"
        return (x if e.tag == "residual" and not len(e) else self.activated(e.get("activation", usual), x)), shape

    def container(self, e, x, shape, name):
        shortcut = e.find("shortcut")
        body, out = self.chain(e, x, shape, name + "body.")
        beside = x if shortcut is None else self.chain(shortcut, x, shape, name + "shortcut.")[0]
        return self.node("Add", body, beside), out

    def rows(self, x, shape, tokens):
        """Tokens x values, or all values, last."""
        channels, height, width = shape
        return self.reshaped(x, channels, height * width) if tokens else self.reshaped(x, channels * height * width)

    def dense(self, e, x, shape, name):
        tokens, outputs = e.get("over") == "tokens", int(e.get("outputs"))
        inputs = shape[1] * shape[2] if tokens else int(numpy.prod(shape))
        weight = self.tensor(name + "weight", outputs, inputs)
        y = self.node("MatMul", self.rows(x, shape, tokens), self.constant(weight.T, name + "weight"))
        if e.get("bias") != "no":
            y = self.node("Add", y, self.weights(name + "bias", outputs))
        out = (shape[0], outputs, 1) if tokens else (outputs, 1, 1)
        return self.reshaped(y, *out), out

    def residual(self, e, x, shape, name):
        width = int(numpy.prod(shape))
        hidden = int(e.get("hidden", width))
        y = self.rows(x, shape, False)
        h = self.node("MatMul", y, self.constant(self.tensor(name + "weight1", hidden, width).T, name + "weight1"))
        h = self.activated(e.get("activation", "relu"), self.node("Add", h, self.weights(name + "bias1", hidden)))
        h = self.node("MatMul", h, self.constant(self.tensor(name + "weight2", width, hidden).T, name + "weight2"))
        h = self.node("Add", h, self.weights(name + "bias2", width))
        return self.reshaped(self.node("Add", y, h), *shape), shape

    def windows(self, e, shape, kernel, stride):
        stride, padding = extent(e.get("stride"), stride), extent(e.get("padding"), (0, 0))
        sizes = [(s + 2 * p - k) // t + 1 for s, p, k, t in zip(shape[1:], padding, kernel, stride)]
        return {"kernel_shape": kernel, "strides": stride, "pads": padding * 2}, sizes

    def conv2d(self, e, x, shape, name):
        outputs, groups, kernel = int(e.get("outputs")), int(e.get("groups", "1")), extent(e.get("kernel"), ())
        attributes, sizes = self.windows(e, shape, kernel, (1, 1))
        inputs = [x, self.weights(name + "weight", outputs, shape[0] // groups, *kernel)]
        if e.get("bias") != "no":
            inputs.append(self.weights(name + "bias", outputs))
        return self.node("Conv", *inputs, group=groups, **attributes), (outputs, *sizes)

    def maxpool(self, e, x, shape, name):
        kernel = extent(e.get("kernel"), ())
        attributes, sizes = self.windows(e, shape, kernel, kernel)
        return self.node("MaxPool", x, **attributes), (shape[0], *sizes)

    def avgpool(self, e, x, shape, name):
        kernel = extent(e.get("kernel"), shape[1:])
        attributes, sizes = self.windows(e, shape, kernel, kernel)
        return self.node("AveragePool", x, count_include_pad=1, **attributes), (shape[0], *sizes)

    def batchnorm(self, e, x, shape, name):
        tensors = [self.weights(name + one, shape[0]) for one in ("weight", "bias", "running_mean", "running_var")]
        return self.node("BatchNormalization", x, *tensors, epsilon=float(e.get("epsilon", "1e-5"))), shape

    def layernorm(self, e, x, shape, name):
        tokens = e.get("over") == "tokens"
        count = shape[1] * shape[2] if tokens else int(numpy.prod(shape))
        tensors = [self.weights(name + one, count) for one in ("weight", "bias")]
        y = self.node("LayerNormalization", self.rows(x, shape, tokens), *tensors, axis=-1,
                      epsilon=float(e.get("epsilon", "1e-5")))
        return self.reshaped(y, *shape), shape

    def groupnorm(self, e, x, shape, name):
        groups = int(e.get("groups", "1"))
        ones, zeros = (self.constant(numpy.full(groups, value, numpy.float32)) for value in (1, 0))
        y = self.node("InstanceNormalization", self.reshaped(x, groups, -1), ones, zeros,
                      epsilon=float(e.get("epsilon", "1e-5")))
        gain, shift = (self.constant(self.tensor(name + one, shape[0]).reshape(-1, 1, 1), name + one)
                       for one in ("weight", "bias"))
        return self.node("Add", self.node("Mul", self.reshaped(y, *shape), gain), shift), shape

    def dropout(self, e, x, shape, name):
        return x, shape

    def embedding(self, e, x, shape, name):
        outputs, tokens = int(e.get("outputs")), int(numpy.prod(shape))
        y = self.node("Gather", self.weights(name + "weight", int(e.get("vocabulary")), outputs),
                      self.reshaped(x, tokens), axis=0)
        if e.get("positions") != "no":
            y = self.node("Add", y, self.weights(name + "positions", tokens, outputs))
        return self.reshaped(y, tokens, outputs, 1), (tokens, outputs, 1)

    def attention(self, e, x, shape, name):
        tokens, width, heads = shape[0], shape[1] * shape[2], int(e.get("heads", "1"))
        weight = self.tensor(name + "in_proj_weight", 3 * width, width)
        y = self.node("MatMul", self.rows(x, shape, True), self.constant(weight.T, name + "in_proj_weight"))
        y = self.node("Add", y, self.weights(name + "in_proj_bias", 3 * width))
        parts = self.node("Split", y, self.constant(numpy.array([width] * 3, numpy.int64)), outputs=3, axis=2)
        q, k, v = (self.node("Transpose", self.reshaped(part, tokens, heads, width // heads), perm=perm)
                   for part, perm in zip(parts, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])))
        scores = self.node("Mul", self.node("MatMul", q, k), self.number((width // heads) ** -0.5))
        if e.get("causal") == "yes":
            later = numpy.triu(numpy.full((tokens, tokens), HIDDEN, numpy.float32), 1)
            scores = self.node("Add", scores, self.constant(later))
        y = self.node("MatMul", self.node("Softmax", scores, axis=-1), v)
        y = self.reshaped(self.node("Transpose", y, perm=[0, 2, 1, 3]), tokens, width)
        product = self.constant(self.tensor(name + "out_proj.weight", width, width).T, name + "out_proj.weight")
        y = self.node("Add", self.node("MatMul", y, product), self.weights(name + "out_proj.bias", width))
        return self.reshaped(y, *shape), shape

    # ---- the whole ----

    def standardised(self, x, told, sizes):
        """As training did it: (value / divisor - mean) / deviation."""
        def numbers(key):
            values = numpy.array([float(word) for word in told[key].split(",")])
            if values.size not in (1, numpy.prod(sizes)):
                raise netfiles.BadFile(f"{self.path}: metadata \"{key}\": {values.size} numbers, {numpy.prod(sizes)} are "
                                       "allowed, one an input")
            return self.constant(values.astype(numpy.float32).reshape(sizes if values.size > 1 else ()))

        for key, operator in (("inputs_divisor", "Div"), ("inputs_mean", "Sub"), ("inputs_deviation", "Div")):
            if key in told:
                x = self.node(operator, x, numbers(key))
        return x

    def model(self, root, told):
        sizes = [int(word) for word in root.get("input").split("x")]
        sizes = [1, *sizes] if len(sizes) == 2 else sizes
        shape = (*sizes, 1, 1)[:3] if len(sizes) == 1 else tuple(sizes)
        tokens = root[0].tag == "embedding" if len(root) else False
        x = self.standardised("x", told, sizes)
        x = x if tokens else self.reshaped(x, *shape)
        y, out = self.chain(root, x, shape, "")
        strange = sorted(set(self.tensors) - self.taken)
        if strange:
            raise netfiles.BadFile(f"{self.path}: tensor \"{strange[0]}\" is none of the network's")
        while len(out) > 1 and out[-1] == 1:
            out = out[:-1]
        self.nodes.append(helper.make_node("Reshape", [y, self.constant(numpy.array([0, *out]))], ["y"], name="y"))
        graph = helper.make_graph(
            self.nodes, root.get("name"),
            [helper.make_tensor_value_info("x", TensorProto.INT64 if tokens else TensorProto.FLOAT, ["n", *sizes])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", *out])], self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="ringtmp", ir_version=8)
        helper.set_model_props(made, {key: told[key] for key in ("class_names", "input_names") if key in told})
        onnx.checker.check_model(made)
        return made


LAYERS = ("dense", "conv2d", "maxpool", "avgpool", "batchnorm", "layernorm", "groupnorm", "dropout", "embedding", "attention",
          "residual")


def network_path(path):
    """Of a network file, or of the network that a scenario names."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as why:
        raise netfiles.BadFile(f"{path}: cannot be read: {why}") from None
    element = root.find("network") if root.tag == "scenario" else None
    return path if element is None else os.path.join(os.path.dirname(path), element.get("file", ""))


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", metavar="SCENARIO.xml", help="or a network file")
    parser.add_argument("--load", metavar="FILE", required=True, help="its parameters (safetensors)")
    parser.add_argument("-o", "--out", metavar="MODEL.onnx", required=True)
    given = parser.parse_args(words)
    try:
        root = netfiles.read_network(network_path(given.network))
        told, tensors = netfiles.read_checkpoint(given.load)
        try:
            model = Exporter(given.load, tensors).model(root, told)
        except (ValueError, TypeError, IndexError, ZeroDivisionError) as why:
            raise netfiles.BadFile(f"{given.network}: not such as ringsim --check allows: {why}") from None
        netfiles.write_all({given.out: model.SerializeToString()})
    except netfiles.BadFile as why:
        print(" ".join(str(why).split()), file=sys.stderr)
        return 2
    print(f"{given.out}: {len(model.graph.node)} nodes, {sum(values.size for values in tensors.values())} parameters")
    return 0


if __name__ == "__main__":
    sys.exit(main())
