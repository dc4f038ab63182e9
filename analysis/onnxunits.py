"""What an ONNX graph computes, as units that are layers of a network file, and these as XML and tensors.

A unit is a pure function of the units before it. Its output of one sample is channels x height x width, as that of the layer
that it becomes. Nothing is changed in a unit: what is folded into it gives another one.
"""

import xml.sax.saxutils

import numpy


class Refused(Exception):
    """Why a graph cannot be a network file: node, operator, what is allowed; one line."""

    def __init__(self, node, text):
        self.node = node
        super().__init__(text)


MOST_DEPTH = 4  # residuals inside of one another, as network files have them
WITH_ACTIVATION = ("conv2d", "dense", "batchnorm", "layernorm", "residual")


class Unit:
    """kind: an element of network files, "input", or "context" (attention without its output's product). attributes: those of
    the element, in its order. tensors: of checkpoints, float64. folded: what the network's inputs are multiplied by, and
    what is added then, an array each (of "input")."""

    def __init__(self, kind, shape, sources, attributes=None, tensors=None):
        self.kind, self.shape, self.sources = kind, tuple(shape), sources
        self.attributes, self.tensors = attributes or {}, tensors or {}

    @property
    def size(self):
        return int(numpy.prod(self.shape))

    def with_changes(self, sources=None, attributes=None, tensors=None):
        return Unit(self.kind, self.shape, sources or self.sources, {**self.attributes, **(attributes or {})},
                    {**self.tensors, **(tensors or {})})


def shape_text(shape):
    return "x".join(str(size) for size in shape)


# ---- activations ----

RISING = ("relu", "tanh", "sigmoid", "relu6")  # those commute with the largest of a window


def with_activation(unit, name, node):
    if unit.kind == "maxpool" and name in RISING:
        return unit.with_changes(sources=[with_activation(unit.sources[0], name, node)])
    if unit.kind not in WITH_ACTIVATION:
        raise Refused(node, f"the activation {name} of what {unit.kind} gives: behind convolutions, dense layers, norms and "
                            "sums it is allowed")
    if "activation" in unit.attributes:
        raise Refused(node, f"the activation {name} behind {unit.attributes['activation']}: one a layer is allowed")
    return unit.with_changes(attributes={"activation": name})


# ---- factors and summands ----


def along(values, shape, axes, node):
    """values [channels, height, width] that are the same along these axes, without them."""
    values = numpy.broadcast_to(values, shape)
    first = values
    for axis in axes:
        first = numpy.take(first, [0], axis)
    if not (values == first).all():
        raise Refused(node, "constants that differ along what they belong to: one an output is allowed")
    return first.reshape(-1)


def fold_outputs(unit, a, b, node):
    """dense and conv2d."""
    axes = (1, 2) if unit.kind == "conv2d" else (0,) if unit.attributes.get("over") == "tokens" else ()
    a, b = along(a, unit.shape, axes, node), along(b, unit.shape, axes, node)
    weight, bias = unit.tensors["weight"], unit.tensors.get("bias")
    folded = {"weight": weight * a.reshape((-1,) + (1,) * (weight.ndim - 1))}
    if bias is not None or b.any():
        folded["bias"] = (0 if bias is None else bias * a) + b
    return unit.with_changes(tensors=folded)


def fold_norm(unit, a, b, node):
    axes = (1, 2) if unit.kind == "batchnorm" else (0,) if unit.attributes.get("over") == "tokens" else ()
    a, b = along(a, unit.shape, axes, node), along(b, unit.shape, axes, node)
    return unit.with_changes(tensors={"weight": unit.tensors["weight"] * a, "bias": unit.tensors["bias"] * a + b})


def fold_embedding(unit, a, b, node):
    a, b = along(a, unit.shape, (0,), node), numpy.broadcast_to(b, unit.shape).reshape(unit.shape[:2])
    folded = {"weight": unit.tensors["weight"] * a}
    if "positions" in unit.tensors or b.any():
        folded["positions"] = unit.tensors.get("positions", 0) * a + b
    return unit.with_changes(tensors=folded)


def fold_attention(unit, a, b, node):
    a, b = along(a, unit.shape, (0,), node), along(b, unit.shape, (0,), node)
    return unit.with_changes(tensors={"out_proj.weight": unit.tensors["out_proj.weight"] * a[:, None],
                                      "out_proj.bias": unit.tensors["out_proj.bias"] * a + b})


def fold_input(unit, a, b, node):
    a, b = numpy.broadcast_to(a, unit.shape), numpy.broadcast_to(b, unit.shape)
    if not (a > 0).all():
        raise Refused(node, "inputs times a number that is not above 0: dividing by deviations is allowed")
    return unit.with_changes(tensors={"factor": unit.tensors.get("factor", 1) * a,
                                      "summand": unit.tensors.get("summand", 0) * a + b})


FOLDS = {"dense": fold_outputs, "conv2d": fold_outputs, "batchnorm": fold_norm, "layernorm": fold_norm,
         "embedding": fold_embedding, "attention": fold_attention, "input": fold_input}


def folded(unit, a, b, node):
    """a * unit + b, arrays that fit its shape; the same unit where that is nothing."""
    if (numpy.asarray(a) == 1).all() and (numpy.asarray(b) == 0).all():
        return unit
    if unit.kind not in FOLDS or "activation" in unit.attributes:
        raise Refused(node, f"constants behind {unit.attributes.get('activation', unit.kind)}: behind convolutions, dense "
                            "layers, norms, embeddings and attention they are allowed")
    return FOLDS[unit.kind](unit, a, b, node)


# ---- units to elements and tensors ----


class Element:
    """A layer of the file, its tensors by name, and what is inside."""

    def __init__(self, unit):
        self.unit, self.body, self.shortcut = unit, [], []


def before(unit):
    """The unit at which what this one is made of begins: its source, or where the branches of a sum part."""
    if unit.kind != "residual":
        return unit.sources[0]
    spines = [spine(source) for source in unit.sources]
    there = {id(one) for one in spines[1]}
    return next(one for one in spines[0] if id(one) in there)


def spine(unit):
    units = [unit]
    while unit.sources:
        unit = before(unit)
        units.append(unit)
    return units


def chain(unit, stop, depth=0):
    elements = []
    while unit is not stop:
        element = Element(unit)
        if unit.kind == "residual":
            if depth == MOST_DEPTH:
                raise Refused(None, f"sums inside of sums {depth + 1} deep: {MOST_DEPTH} are allowed")
            fork = before(unit)
            branches = sorted((chain(source, fork, depth + 1) for source in unit.sources), key=len, reverse=True)
            element.body, element.shortcut = branches
        elements.append(element)
        unit = before(unit)
    return elements[::-1]


def write_elements(elements, prefix, indent, lines, tensors):
    """Lines of XML, and tensors by the names of checkpoints."""
    for number, element in enumerate(elements):
        unit, path = element.unit, f"{prefix}{number}."
        attributes = dict(unit.attributes)
        if unit.kind == "conv2d":
            attributes.setdefault("activation", "identity")
        if unit.kind in ("conv2d", "dense") and "bias" not in unit.tensors:
            attributes["bias"] = "no"
        if unit.kind == "embedding" and "positions" not in unit.tensors:
            attributes["positions"] = "no"
        tag = " ".join([f"<{unit.kind}", *(f'{key}="{value}"' for key, value in attributes.items())])
        for name, values in unit.tensors.items():
            tensors[path + name] = numpy.asarray(values, numpy.float32)
        if not element.body:
            lines.append(f"{indent}{tag}/>")
            continue
        lines.append(f"{indent}{tag}>")
        write_elements(element.body, path + "body.", indent + "  ", lines, tensors)
        if element.shortcut:
            lines.append(f"{indent}  <shortcut>")
            write_elements(element.shortcut, path + "shortcut.", indent + "    ", lines, tensors)
            lines.append(f"{indent}  </shortcut>")
        lines.append(f"{indent}</{unit.kind}>")


def input_text(shape):
    """"3x32x32", "28x28" or "64"."""
    if shape[1:] == (1, 1):
        return str(shape[0])
    return shape_text(shape[1:] if shape[0] == 1 else shape)


def network_of(last, name, loss=None):
    """XML, tensors by name, and the input unit."""
    first = spine(last)[-1]
    elements = chain(last, first)
    if not elements:
        raise Refused(None, "nothing is computed: one layer and more are allowed")
    quoted = xml.sax.saxutils.quoteattr
    lines, tensors = [], {}
    write_elements(elements, "", "  ", lines, tensors)
    said = f" loss={quoted(loss)}" if loss else ""
    head = f'<?xml version="1.0"?>\n<network name={quoted(name)} input="{input_text(first.shape)}"{said}>'
    bad = [name for name, values in tensors.items() if not numpy.isfinite(values).all()]
    if bad:
        raise Refused(None, f"the weights of layer {bad[0]} are not finite in single precision: numbers up to 3e38 are allowed")
    return "\n".join([head, *lines, "</network>\n"]), tensors, first
