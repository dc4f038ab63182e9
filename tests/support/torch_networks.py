"""Network files in PyTorch: as functions of tensors that checkpoints name, and as modules that exporters know.

A module wants PyTorch's own ways: one-dimensional convolutions where images are one high, nn.MultiheadAttention or an
attention of one's own.
"""

import json
import struct
import xml.etree.ElementTree as ElementTree

import numpy
import torch
from torch import nn
from torch.nn import functional

NETWORKS = ("lenet-5", "resnet-20", "mobilenet-v2-35", "sensors-resnet", "gpt-bytes")


def extent(text):
    sizes = [int(word) for word in text.split("x")]
    return (sizes[0], sizes[-1])


def activated(name, x):
    return {"identity": lambda: x, "relu": lambda: x.relu(), "tanh": lambda: x.tanh(), "sigmoid": lambda: x.sigmoid(),
            "relu6": lambda: functional.relu6(x), "hardswish": lambda: functional.hardswish(x),
            "silu": lambda: functional.silu(x), "gelu": lambda: functional.gelu(x, approximate="tanh")}[name]()


class Network:
    """A network file in PyTorch: parameters by the names of checkpoints, drawn when their layer is first met."""

    def __init__(self, path):
        self.root = ElementTree.parse(path).getroot()
        self.tensors, self.random = {}, torch.Generator().manual_seed(7)

    def tensor(self, name, *shape, least=0.0):
        """Around 0, as large as keeps a layer's outputs in bounds; those with a least value around 1."""
        if name not in self.tensors:
            values = torch.randn(*shape, generator=self.random, dtype=torch.float64)
            fan = max(1, int(numpy.prod(shape[1:])))
            self.tensors[name] = 1 + 0.2 * values.tanh() if least else values * (1.0 / fan) ** 0.5
            self.tensors[name] = self.tensors[name].float()
        return self.now[name] if name in self.now else self.tensors[name].to(self.kind)

    def run(self, x, values, kind):
        """Outputs; values: tensors to use; statistics of the batch are left in self.seen."""
        self.now, self.kind, self.seen = values, kind, {}
        return self.chain(self.root, x.to(kind), "")

    def chain(self, parent, x, prefix):
        index = 0
        for element in parent:
            if element.tag == "shortcut":
                continue
            for _ in range(int(element.get("repeat", "1"))):
                x = self.layer(element, x, f"{prefix}{index}.")
                index += 1
        return x

    def layer(self, e, x, name):
        rest = {"outputs": int(e.get("outputs", "0")), "act": e.get("activation")}
        return getattr(self, "container" if len(e) else e.tag)(e, x, name, **rest)

    def container(self, e, x, name, act, **_):
        shortcut = e.find("shortcut")
        beside = x if shortcut is None else self.chain(shortcut, x, name + "shortcut.")
        return activated(act or "identity", self.chain(e, x, name + "body.") + beside)

    def dense(self, e, x, name, outputs, act):
        rows = x.flatten(2) if e.get("over") == "tokens" else x.flatten(1)
        weight = self.tensor(name + "weight", outputs, rows.shape[-1])
        bias = None if e.get("bias") == "no" else self.tensor(name + "bias", outputs)
        return activated(act or "identity", functional.linear(rows, weight, bias))

    def conv2d(self, e, x, name, outputs, act):
        kernel, groups = extent(e.get("kernel")), int(e.get("groups", "1"))
        weight = self.tensor(name + "weight", outputs, x.shape[1] // groups, *kernel)
        bias = None if e.get("bias") == "no" else self.tensor(name + "bias", outputs)
        y = functional.conv2d(x, weight, bias, extent(e.get("stride", "1")), extent(e.get("padding", "0")), 1, groups)
        return activated(act or "relu", y)

    def maxpool(self, e, x, name, **_):
        kernel = extent(e.get("kernel"))
        stride = extent(e.get("stride")) if e.get("stride") else kernel
        return functional.max_pool2d(x, kernel, stride, extent(e.get("padding", "0")))

    def avgpool(self, e, x, name, **_):
        kernel = extent(e.get("kernel")) if e.get("kernel") else x.shape[2:]
        stride = extent(e.get("stride")) if e.get("stride") else kernel
        return functional.avg_pool2d(x, kernel, stride, extent(e.get("padding", "0")))

    def batchnorm(self, e, x, name, act, **_):
        channels = x.shape[1]
        gain = self.tensor(name + "weight", channels, least=1)
        shift = self.tensor(name + "bias", channels)
        mean = self.tensor(name + "running_mean", channels).clone().detach()
        variance = self.tensor(name + "running_var", channels, least=1).clone().detach()
        y = functional.batch_norm(x, mean, variance, gain, shift, True, float(e.get("momentum", "0.1")),
                                  float(e.get("epsilon", "1e-5")))
        self.seen[name + "running_mean"], self.seen[name + "running_var"] = mean, variance
        return activated(act or "identity", y)

    def layernorm(self, e, x, name, act, **_):
        shape = x.shape[2:] if e.get("over") == "tokens" else x.shape[1:]
        gain = self.tensor(name + "weight", shape.numel(), least=1).reshape(shape)
        shift = self.tensor(name + "bias", shape.numel()).reshape(shape)
        y = functional.layer_norm(x, shape, gain, shift, float(e.get("epsilon", "1e-5")))
        return activated(act or "identity", y)

    def embedding(self, e, x, name, outputs, **_):
        table = self.tensor(name + "weight", int(e.get("vocabulary")), outputs)
        return table[x.flatten(1).long()] + self.tensor(name + "positions", x.shape[1], outputs)

    def attention(self, e, x, name, **_):
        batch, tokens, width = x.shape
        heads = int(e.get("heads", "1"))
        qkv = functional.linear(x, self.tensor(name + "in_proj_weight", 3 * width, width),
                                self.tensor(name + "in_proj_bias", 3 * width))
        q, k, v = (part.reshape(batch, tokens, heads, -1).transpose(1, 2) for part in qkv.split(width, 2))
        scores = q @ k.transpose(2, 3) / (width // heads) ** 0.5
        if e.get("causal") == "yes":
            scores = scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), float("-inf"))
        y = (scores.softmax(3) @ v).transpose(1, 2).reshape(batch, tokens, width)
        return functional.linear(y, self.tensor(name + "out_proj.weight", width, width),
                                 self.tensor(name + "out_proj.bias", width))


def write_checkpoint(path, tensors):
    header, at = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + 4 * values.numel()]}
        at += 4 * values.numel()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            stream.write(values.float().contiguous().numpy().tobytes())


def read_checkpoint(path):
    with open(path, "rb") as stream:
        header = json.loads(stream.read(struct.unpack("<Q", stream.read(8))[0]))
        rest = stream.read()
    return {name: torch.from_numpy(numpy.frombuffer(rest[slice(*entry["data_offsets"])], "<f4").copy()
                                   .reshape(entry["shape"])).double()
            for name, entry in header.items() if name != "__metadata__"}


# ---- modules ----


MODULES = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "relu6": nn.ReLU6, "hardswish": nn.Hardswish,
           "silu": nn.SiLU, "gelu": lambda: nn.GELU(approximate="tanh")}


class Embedding(nn.Module):
    def __init__(self, weight, positions):
        super().__init__()
        self.tokens = nn.Embedding(*weight.shape)
        self.positions = nn.Embedding(*positions.shape)
        fill(self.tokens, weight=weight)
        fill(self.positions, weight=positions)

    def forward(self, x):
        return self.tokens(x) + self.positions(torch.arange(x.shape[1]))


class Attention(nn.Module):
    """How it is written: "split" (one product, masked_fill), "three" (a product each), "fused" (PyTorch 2's own function),
    "module" (nn.MultiheadAttention)."""

    def __init__(self, way, heads, causal, tokens, tensors):
        super().__init__()
        width = tensors["out_proj.weight"].shape[0]
        self.way, self.heads, self.causal = way, heads, causal
        self.register_buffer("mask", torch.ones(tokens, tokens).tril().view(1, 1, tokens, tokens))
        if way == "module":
            self.inner = nn.MultiheadAttention(width, heads, batch_first=True)
            self.inner.load_state_dict(tensors)
            return
        parts = zip(tensors["in_proj_weight"].chunk(3), tensors["in_proj_bias"].chunk(3))
        whole = [(tensors["in_proj_weight"], tensors["in_proj_bias"])]
        self.inputs = nn.ModuleList(linear(*part) for part in (parts if way == "three" else whole))
        self.output = linear(tensors["out_proj.weight"], tensors["out_proj.bias"])

    def forward(self, x):
        if self.way == "module":
            later = self.mask[0, 0] == 0 if self.causal else None
            return self.inner(x, x, x, attn_mask=later, need_weights=False)[0]
        batch, tokens, width = x.shape
        parts = [one(x) for one in self.inputs]
        parts = parts if len(parts) == 3 else parts[0].split(width, dim=2)
        q, k, v = (part.view(batch, tokens, self.heads, width // self.heads).transpose(1, 2) for part in parts)
        if self.way == "fused":
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        else:
            scores = (q @ k.transpose(-2, -1)) * (1.0 / (width // self.heads) ** 0.5)
            if self.causal:
                scores = scores.masked_fill(self.mask[:, :, :tokens, :tokens] == 0, float("-inf"))
            y = functional.softmax(scores, dim=-1) @ v
        return self.output(y.transpose(1, 2).contiguous().view(batch, tokens, width))


class Residual(nn.Module):
    def __init__(self, body, shortcut, act):
        super().__init__()
        self.body, self.shortcut, self.act = body, shortcut, act

    def forward(self, x):
        return self.act(self.body(x) + self.shortcut(x))


def fill(module, **tensors):
    for name, values in tensors.items():
        getattr(module, name).data.copy_(values)


def linear(weight, bias):
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    fill(made, weight=weight, **({} if bias is None else {"bias": bias}))
    return made


class Builder:
    """Modules of a Network whose tensors have been drawn. way: of attention. line: images are one high, and 1-D here."""

    def __init__(self, network, way="split"):
        self.tensors, self.way = network.tensors, way
        size = network.root.get("input").split("x")
        self.line = len(size) == 3 and size[1] == "1"
        self.tokens = int(size[0])
        self.rank = "token" if network.root.find("embedding") is not None else "image"
        self.module = self.chain(network.root, "").eval()

    def chain(self, parent, prefix):
        layers, index = [], 0
        for element in parent:
            if element.tag == "shortcut":
                continue
            for _ in range(int(element.get("repeat", "1"))):
                layers += getattr(self, "block" if len(element) else element.tag)(element, f"{prefix}{index}.")
                index += 1
        return nn.Sequential(*layers)

    def own(self, name):
        return {key[len(name):]: values for key, values in self.tensors.items() if key.startswith(name)}

    def act(self, e, usual="identity"):
        name = e.get("activation", usual)
        return [] if name == "identity" else [MODULES[name]()]

    def block(self, e, name):
        shortcut = e.find("shortcut")
        beside = nn.Identity() if shortcut is None else self.chain(shortcut, name + "shortcut.")
        return [Residual(self.chain(e, name + "body."), beside, nn.Sequential(*self.act(e)))]

    def sizes(self, text):
        return extent(text)[1] if self.line else extent(text)

    def conv2d(self, e, name):
        own = self.own(name)
        weight, groups = own["weight"], int(e.get("groups", "1"))
        kind = nn.Conv1d if self.line else nn.Conv2d
        made = kind(weight.shape[1] * groups, weight.shape[0], self.sizes(e.get("kernel")), self.sizes(e.get("stride", "1")),
                    self.sizes(e.get("padding", "0")), 1, groups, "bias" in own)
        fill(made, **{**own, "weight": weight.squeeze(2) if self.line else weight})
        return [made, *self.act(e, "relu")]

    def batchnorm(self, e, name):
        own = self.own(name)
        made = (nn.BatchNorm1d if self.line else nn.BatchNorm2d)(len(own["weight"]), float(e.get("epsilon", "1e-5")))
        fill(made, **own)
        return [made, *self.act(e)]

    def maxpool(self, e, name):
        stride = e.get("stride", e.get("kernel"))
        return [nn.MaxPool2d(extent(e.get("kernel")), extent(stride), extent(e.get("padding", "0")))]

    def avgpool(self, e, name):
        if e.get("kernel") is None:
            return [nn.AdaptiveAvgPool1d(1) if self.line else nn.AdaptiveAvgPool2d(1)]
        stride = e.get("stride", e.get("kernel"))
        return [nn.AvgPool2d(extent(e.get("kernel")), extent(stride), extent(e.get("padding", "0")))]

    def dense(self, e, name):
        own = self.own(name)
        flat = [] if e.get("over") == "tokens" else [nn.Flatten()]
        return [*flat, linear(own["weight"], own.get("bias")), *self.act(e)]

    def layernorm(self, e, name):
        own = self.own(name)
        made = nn.LayerNorm(len(own["weight"]), float(e.get("epsilon", "1e-5")))
        fill(made, **own)
        return [made, *self.act(e)]

    def embedding(self, e, name):
        return [Embedding(**self.own(name))]

    def attention(self, e, name):
        return [Attention(self.way, int(e.get("heads", "1")), e.get("causal") == "yes", self.tokens, self.own(name))]


def some_rows(network, count, seed=3):
    """Rows for a network, as its files are."""
    random = numpy.random.default_rng(seed)
    sizes = [int(word) for word in network.root.get("input").split("x")]
    if network.root.find("embedding") is not None:
        return random.integers(0, int(network.root.find("embedding").get("vocabulary")), (count, *sizes))
    return random.standard_normal((count, *sizes)).astype(numpy.float32)
