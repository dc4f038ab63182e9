"""Operators of ONNX that are layers, or begin or end one; the table of all that is known, and the walk over a graph."""

import numpy
import onnx
from onnxtrace import (CONSTANTS, FUNCTIONS, MOVES, OPERATIONS, Moment, Node, Padded, SAMPLES, Scores, Tracer, View, axes_of,
                       is_plain, sizes)
from onnxunits import Refused, Unit, shape_text


def pair(values, fallback=1):
    """(height, width) of an attribute of one or two numbers."""
    values = list(values) if values else [fallback] * 2
    return tuple(int(v) for v in ([1 if fallback else 0] + values if len(values) == 1 else values))


def pair_text(values):
    return str(values[0]) if values[0] == values[1] else f"{values[0]}x{values[1]}"


def padding_of(node, size, kernel, stride, beside=(0, 0, 0, 0)):
    """(height, width), of pads that are the same on both sides. beside: what a Pad in front adds."""
    pads = [int(p) for p in node.get("pads") or []]
    pads = [0, pads[0], 0, pads[1]] if len(pads) == 2 else pads or [0, 0, 0, 0]
    auto = node.get("auto_pad", b"NOTSET").decode()
    if auto.startswith("SAME"):
        total = [max(0, (-(-s // t) - 1) * t + k - s) for s, k, t in zip(size, kernel, stride)]
        less = [t // 2 for t in total]
        more = [t - l for t, l in zip(total, less)]
        pads = less + more if auto == "SAME_UPPER" else more + less
    pads = [p + q for p, q in zip(pads, beside)]
    if pads[:2] != pads[2:] or min(pads) < 0:
        raise Refused(node, f"pads {sizes(pads[:2])} in front and {sizes(pads[2:])} behind: the same on both sides are allowed")
    return tuple(pads[:2])


def window(node, size, kernel, beside=(0, 0, 0, 0)):
    """Attributes of a convolution or pool, and (height, width) of what it gives."""
    stride = pair(node.get("strides"))
    padding = padding_of(node, size, kernel, stride, beside)
    dilations = pair(node.get("dilations"))
    if dilations != (1, 1):
        raise Refused(node, f"dilations of {sizes(dilations)}: 1 is allowed")
    room = [s + 2 * p - k for s, p, k in zip(size, padding, kernel)]
    if min(room) < 0:
        raise Refused(node, f"a window of {sizes(kernel)} on {sizes(size)}: one that fits is allowed")
    out = [r // t + 1 for r, t in zip(room, stride)]
    if node.get("ceil_mode", 0) and any(r % t for r, t in zip(room, stride)):
        raise Refused(node, "ceil_mode where windows do not fit: whole windows are allowed")
    attributes = {"kernel": pair_text(kernel)}
    if stride != (kernel if node.kind != "Conv" else (1, 1)):
        attributes["stride"] = pair_text(stride)
    if padding != (0, 0):
        attributes["padding"] = pair_text(padding)
    return attributes, out


def unpadded(value):
    """What a Pad is in front of, and its pads: top, left, bottom, right."""
    return (value.view, value.pads) if isinstance(value, Padded) else (value, (0, 0, 0, 0))


def given(tracer, node, unit, view):
    """A view of a new unit of images that has as many dimensions as the old one had."""
    shape = (unit.shape[0], unit.shape[2]) if view.index.ndim == 3 else unit.shape
    return tracer.fresh(unit, shape)


def wanted_constant(node, value, what):
    if not isinstance(value, numpy.ndarray):
        raise Refused(node, f"{what} that are computed: constants are allowed")
    return value.astype(float)


def convolution(tracer, node, value, weight, bias=None):
    value, beside = unpadded(value)
    view = tracer.whole(value, node)
    weight = wanted_constant(node, weight, "weights")
    unit = tracer.image(view, node)
    if weight.ndim == 3:
        weight = weight[:, :, None, :]
    groups = node.get("group", 1)
    if weight.ndim != 4 or weight.shape[1] * groups != unit.shape[0] or weight.shape[0] % groups:
        raise Refused(node, f"weights of {sizes(weight.shape)} in {groups} groups on {shape_text(unit.shape)}: those that fit "
                            "are allowed")
    attributes, out = window(node, unit.shape[1:], weight.shape[2:], beside)
    if groups != 1:
        attributes["groups"] = groups
    tensors = {"weight": weight}
    if bias is not None:
        tensors["bias"] = vector(node, bias, weight.shape[0], "biases")
    made = Unit("conv2d", (weight.shape[0], *out), [unit], {"outputs": weight.shape[0], **attributes}, tensors)
    return given(tracer, node, made, view)


def vector(node, values, count, what):
    values = wanted_constant(node, values, what)
    if values.size != count:
        raise Refused(node, f"{values.size} {what} for {count} outputs: as many are allowed")
    return values.reshape(-1)


def max_pool(tracer, node, value):
    if len(node.outputs) > 1 and node.outputs[1]:
        raise Refused(node, "the places of what is largest: values alone are allowed")
    view = tracer.whole(value, node)
    unit = tracer.image(view, node)
    attributes, out = window(node, unit.shape[1:], pair(node.get("kernel_shape")))
    return given(tracer, node, Unit("maxpool", (unit.shape[0], *out), [unit], attributes), view)


def average_pool(tracer, node, value):
    value, beside = unpadded(value)
    view = tracer.whole(value, node)
    unit = tracer.image(view, node)
    attributes, out = window(node, unit.shape[1:], pair(node.get("kernel_shape")), beside)
    if any(node.get("pads") or []) and not node.get("count_include_pad", 0):
        raise Refused(node, "count_include_pad=0 where there are pads: zeros that count are allowed")
    return given(tracer, node, Unit("avgpool", (unit.shape[0], *out), [unit], attributes), view)


def global_pool(tracer, node, value):
    view = tracer.whole(value, node)
    unit = tracer.image(view, node)
    pooled = tracer.fresh(Unit("avgpool", (unit.shape[0], 1, 1), [unit]))
    return View(pooled.unit, pooled.index.reshape(view.index.shape[:2] + (1,) * (view.index.ndim - 2)))


def batch_norm(tracer, node, value, *constants):
    view = tracer.whole(value, node)
    unit = view.unit
    if unit.kind == "input" and view.index.ndim > 2:
        tracer.image(view, node)
    channels, size = unit.shape[0], unit.size
    channel = view.index % size // (size // channels)
    along_axis = numpy.arange(channels).reshape((channels,) + (1,) * (view.index.ndim - 2)) if view.index.ndim > 1 else None
    if view.index.ndim < 2 or view.index.shape[1] != channels or not (channel == along_axis).all():
        raise Refused(node, f"a norm of {sizes(view.index.shape)} of what {unit.kind} gives as {shape_text(unit.shape)}: its "
                            "channels one by one are allowed")
    names = ("weight", "bias", "running_mean", "running_var")
    tensors = {name: vector(node, values, channels, "constants") for name, values in zip(names, constants)}
    epsilon, momentum = node.get("epsilon", 1e-5), 1 - node.get("momentum", 0.9)
    attributes = {key: f"{number:.6g}" for key, number, usual in (("momentum", momentum, 0.1), ("epsilon", epsilon, 1e-5))
                  if abs(number - usual) > 1e-6 * usual and number > 0}
    return View(Unit("batchnorm", unit.shape, [unit], attributes, tensors), view.index)


def layer_norm(tracer, node, value, weight, bias=None):
    view = tracer.whole(value, node)
    axis = node.get("axis", -1) % view.index.ndim
    made = tracer.norm(node, view, tuple(range(axis, view.index.ndim)), node.get("epsilon", 1e-5))
    made = tracer.constant(node, "Mul", made, wanted_constant(node, weight, "weights"), False)
    return made if bias is None else tracer.constant(node, "Add", made, wanted_constant(node, bias, "biases"), False)


def product(tracer, node, a, b):
    if isinstance(a, Scores) and isinstance(b, View) and a.shares:
        return tracer.context(node, a, b)
    if isinstance(a, View) and isinstance(b, View):
        return tracer.scores(node, a, b)
    if not isinstance(b, numpy.ndarray) or b.ndim != 2:
        raise Refused(node, "a product of other things: of what a layer gives with a matrix of constants behind it, and of "
                            "queries, keys and values, it is allowed")
    return tracer.linear(node, a, b.astype(float).T)


def gemm(tracer, node, value, weight, bias=None):
    weight = wanted_constant(node, weight, "weights")
    if node.get("transA", 0) or weight.ndim != 2:
        raise Refused(node, "transA, or weights that are no matrix: rows times a matrix are allowed")
    weight = (weight if node.get("transB", 0) else weight.T) * node.get("alpha", 1.0)
    if bias is not None:
        bias = wanted_constant(node, bias, "biases") * node.get("beta", 1.0)
    return tracer.linear(node, value, weight, bias)


def softmax(tracer, node, value):
    axis = node.get("axis", 1 if tracer.opset < 13 else -1)
    if not isinstance(value, Scores):
        raise Refused(node, "shares of what a layer gives: of attention's scores they are allowed (networks end in front of "
                            "Softmax, the loss has it)")
    last = len(value.lead) + 1
    if axis % (last + 1) != last:
        raise Refused(node, f"over the axes from {axis} on: over the last one, {last}, is allowed")
    return value.but(shares=True)


def gather(tracer, node, value, index):
    if not isinstance(index, View):
        return tracer.move(node, value, [index])
    view = tracer.whole(index, node)
    table = wanted_constant(node, value, "tables")
    if view.unit.kind != "input" or view.unit.tensors or node.get("axis", 0) or table.ndim != 2 or \
            not is_plain(View(Unit("", (view.unit.size,), []), view.index), (view.unit.size,), tracer.samples):
        raise Refused(node, "rows of a table by what a layer gives: by the network's inputs, tokens in their order, is allowed")
    tracer.settle_input(view.unit, (view.unit.size, 1, 1))
    attributes = {"outputs": table.shape[1], "vocabulary": table.shape[0]}
    made = Unit("embedding", (view.unit.size, table.shape[1], 1), [view.unit], attributes, {"weight": table})
    return tracer.fresh(made, (*view.index.shape[1:], table.shape[1]))


def pad(tracer, node, value, pads=None, filling=None, axes=None):
    view = tracer.plain(value, node)
    pads = node.get("pads") if pads is None else [int(p) for p in pads]
    mode, filling = node.get("mode", b"constant"), node.get("value", 0.0) if filling is None else filling
    count = view.index.ndim
    if not any(pads):
        return view
    if axes is not None or mode != b"constant" or numpy.any(filling) or any(pads[:2] + pads[count:count + 2]):
        raise Refused(node, "padding with other than zeros, or of other than images: zeros round an image are allowed")
    front, behind = ([0, 0] + list(part[2:]) for part in (pads[:count], pads[count:]))
    return Padded(view, (*front[-2:], *behind[-2:]))


def mean(tracer, node, value, axes=None):
    if isinstance(value, Moment) and value.stage == "square":
        if axes_of(node, axes, value.view.index.ndim) == value.axes:
            return Moment("variance", value.view, value.axes)
    view = tracer.plain(value, node)
    axes = axes_of(node, axes, view.index.ndim) or tuple(range(view.index.ndim))
    return Moment("mean", view, axes, keepdims=bool(node.get("keepdims", 1)))


def dropout(tracer, node, value, ratio=None, training=None):
    view = tracer.plain(value, node)
    rate = node.get("ratio", 0.5) if ratio is None else float(ratio)
    if training is None or not bool(training) or rate == 0:
        return view
    view = tracer.whole(view, node)
    return View(Unit("dropout", view.unit.shape, [view.unit], {"rate": f"{rate:.6g}"}), view.index)


def where(tracer, node, condition, a, b):
    """Attention's scores hidden by a constant."""
    scores, other = (a, b) if isinstance(a, Scores) else (b, a)
    if not isinstance(scores, Scores) or not isinstance(condition, numpy.ndarray) or not isinstance(other, numpy.ndarray) or \
            scores.shares:
        raise Refused(node, "a choice between what layers give: of a mask of attention's scores is allowed")
    hidden = condition if scores is b else ~condition
    return tracer.masked(node, scores, numpy.where(hidden, other.astype(float), 0.0))


def shape(tracer, node, value):
    if isinstance(value, Scores):
        return numpy.array([*value.lead, *value.q[1].shape[1:2] * 2])
    return numpy.array(tracer.plain(value, node).index.shape)


def identical(tracer, node, value, *_):
    return value


def joined(tracer, node, *values):
    """Parts of one unit."""
    views = [tracer.plain(value, node) for value in values]
    if any(view.unit is not views[0].unit or view.function is not views[0].function for view in views):
        raise Refused(node, "what several layers give, side by side: their sum is allowed")
    return View(views[0].unit, numpy.concatenate([view.index for view in views], node.get("axis")), views[0].function,
                views[0].maker)


LAYERS = {"Conv": convolution, "Gemm": gemm, "MatMul": product, "MaxPool": max_pool, "AveragePool": average_pool,
          "GlobalAveragePool": global_pool, "BatchNormalization": batch_norm, "LayerNormalization": layer_norm,
          "Softmax": softmax, "Gather": gather, "Pad": pad, "ReduceMean": mean, "Dropout": dropout, "Where": where,
          "Shape": shape, "Cast": identical, "Identity": identical, "Concat": joined}
ALLOWED = sorted({*LAYERS, *MOVES, *FUNCTIONS, *OPERATIONS} - {"Abs", "Elu", "LeakyRelu", "Softplus"})


def compute(node, values):
    """Of constants alone."""
    if node.kind not in CONSTANTS:
        raise Refused(node, f"not known where it is computed from constants: {', '.join(sorted(CONSTANTS))} are allowed")
    try:
        with numpy.errstate(all="ignore"):
            found = CONSTANTS[node.kind](node, *values)
    except (ValueError, TypeError, IndexError) as why:
        raise Refused(node, f"its constants: {why}; those of the operator are allowed") from None
    return [numpy.asarray(one) for one in found] if isinstance(found, list) else numpy.asarray(found)


def visit(tracer, node):
    if node.kind == "Constant":
        key, value = next(iter(node.attributes.items()))
        return onnx.numpy_helper.to_array(value) if key == "value" else numpy.asarray(value)
    values = [tracer.values[name] if name else None for name in node.inputs]
    if all(value is None or isinstance(value, numpy.ndarray) for value in values):
        return compute(node, values)
    if node.kind in OPERATIONS and len(values) == 2:
        return tracer.operation(node, node.kind, values)
    if node.kind in LAYERS:
        return LAYERS[node.kind](tracer, node, *values)
    if node.kind in FUNCTIONS:
        return tracer.function(node, values[0], values[1:])
    if node.kind in MOVES:
        return tracer.move(node, values[0], values[1:])
    raise Refused(node, f"not known: {', '.join(ALLOWED)} are allowed")


def sizes_of(proto):
    """Of a value of the graph; None where a size is left open."""
    return [dim.dim_value if dim.WhichOneof("value") == "dim_value" and dim.dim_value > 0 else None
            for dim in proto.type.tensor_type.shape.dim]


def take_weights(tracer, graph):
    for proto in graph.initializer:
        try:
            tracer.values[proto.name] = onnx.numpy_helper.to_array(proto)
        except (ValueError, TypeError) as why:
            raise Refused(None, f"initializer \"{proto.name}\": its data are not those of the shape {sizes(proto.dims)}, as is "
                                f"allowed: {why}") from None


def take_input(tracer, graph):
    inputs = [proto for proto in graph.input if proto.name not in tracer.values]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise Refused(None, f"{len(inputs)} inputs and {len(graph.output)} outputs: one of each is allowed")
    shape_now = sizes_of(inputs[0])
    if len(shape_now) < 2 or len(shape_now) > 4 or None in shape_now[1:]:
        text = " x ".join("?" if size is None else str(size) for size in shape_now)
        raise Refused(None, f"input \"{inputs[0].name}\" of {text or 'no shape'}: samples x 1 to 3 sizes that are known are "
                            "allowed")
    tracer.samples = shape_now[0] or SAMPLES
    inner = shape_now[1:]
    shapes = {1: (inner[0], 1, 1), 2: (inner[0], inner[-1], 1), 3: tuple(inner)}
    unit = Unit("input", shapes[len(inner)], [])
    tracer.values[inputs[0].name] = tracer.fresh(unit, inner)


def last_unit(graph, opset):
    """The unit that the graph's output is."""
    tracer = Tracer(opset, SAMPLES)
    take_weights(tracer, graph)
    take_input(tracer, graph)
    for number, proto in enumerate(graph.node):
        node = Node(proto, number)
        try:
            found = visit(tracer, node)
        except (TypeError, ValueError, IndexError, AttributeError, KeyError) as why:
            raise Refused(node, f"its inputs and attributes: {why}; those of the operator are allowed") from None
        several = found if isinstance(found, list) else [found]
        tracer.values.update(zip((name for name in node.outputs), several))
    name = graph.output[0].name
    maker = next((Node(proto, i) for i, proto in enumerate(graph.node) if name in proto.output), None)
    if name not in tracer.values:
        raise Refused(maker, f"output \"{name}\" that nothing gives: one of the nodes' is allowed")
    view = tracer.whole(tracer.values[name], maker)
    if not numpy.array_equal(view.index.ravel(), numpy.arange(view.index.size)):
        raise Refused(maker, f"the output, {sizes(view.index.shape)}, has what the last layer gives as "
                             f"{shape_text(view.unit.shape)} in another order: its own is allowed")
    return view.unit
