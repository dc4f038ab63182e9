"""A walk through an ONNX graph, node by node, that turns what it computes into units (onnxunits.py).

What moves numbers about (Reshape, Transpose, Split, ...) is done to indices: a View says where in a unit's output each of
its elements lies, so that it does not matter in which of many ways an exporter wrote an attention or a Flatten. What is
computed element by element is kept as a function until it is known to be whole, and then found by its values among the
activations. What depends on constants alone is computed.
"""

import math

import numpy
import onnx
from netfiles import ACTIVATIONS, activated
from onnxunits import Refused, Unit, folded, shape_text, with_activation

SAMPLES = 2  # of the batch, where the graph leaves that open: enough to see what moves between samples
GRID = numpy.linspace(-9, 9, 721)


class View:
    """Elements of what a unit makes of all samples; function: of each (None: as they are), whose last operation is the
    node `maker`."""

    def __init__(self, unit, index, function=None, maker=None):
        self.unit, self.index, self.function, self.maker = unit, index, function, maker
        self.known = None


class Moment:
    """A part of a layer norm that is spelt out: mean, centred, square, variance, deviation."""

    def __init__(self, stage, view, axes, epsilon=0.0, keepdims=True):
        self.stage, self.view, self.axes, self.epsilon, self.keepdims = stage, view, axes, epsilon, keepdims


class Padded:
    def __init__(self, view, pads):
        self.view, self.pads = view, pads


class Scores:
    """Products of queries and keys [..., tokens, tokens]; `lead`: their leading sizes."""

    def __init__(self, q, k, factor, lead, causal=False, shares=False):
        self.q, self.k, self.factor, self.lead, self.causal, self.shares = q, k, factor, lead, causal, shares

    def but(self, **changes):
        return Scores(**{**self.__dict__, **changes})


def sizes(*values):
    return "x".join(str(int(v)) for v in numpy.ravel(values))


# ---- what is done to constants alone, and to indices ----


def reshape(node, x, shape):
    shape = [int(size) for size in shape]
    if not node.get("allowzero", 0):
        shape = [x.shape[i] if size == 0 and i < x.ndim else size for i, size in enumerate(shape)]
    try:
        return x.reshape(shape)
    except ValueError:
        raise Refused(node, f"{sizes(x.shape)} values in the shape {sizes(shape)}: a shape of as many is allowed") from None


def axes_of(node, given, ndim):
    axes = node.get("axes") if given is None else [int(axis) for axis in numpy.ravel(given)]
    return None if axes is None else tuple(sorted(axis % ndim for axis in axes))


def unsqueeze(node, x, axes=None):
    given = node.get("axes") if axes is None else [int(axis) for axis in numpy.ravel(axes)]
    for axis in sorted(axis % (x.ndim + len(given)) for axis in given):
        x = numpy.expand_dims(x, axis)
    return x


def squeeze(node, x, axes=None):
    return numpy.squeeze(x, axes_of(node, axes, x.ndim))


def transpose(node, x):
    return numpy.transpose(x, node.get("perm"))


def flatten(node, x):
    axis = node.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(int(numpy.prod(x.shape[:axis], dtype=int)), -1)


def take_slice(node, x, starts=None, ends=None, axes=None, steps=None):
    starts = node.get("starts") if starts is None else starts
    ends = node.get("ends") if ends is None else ends
    axes = node.get("axes", range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    cut = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps):
        size = x.shape[int(axis)]
        end = None if step < 0 and end < -size else int(end)
        cut[int(axis)] = slice(int(start), end, int(step))
    return x[tuple(cut)]


def split(node, x, parts=None):
    axis, count = node.get("axis", 0), len(node.outputs)
    parts = node.get("split") if parts is None else parts
    if parts is None:
        each = -(-x.shape[axis] // count)
        return numpy.split(x, range(each, x.shape[axis], each), axis)
    return numpy.split(x, numpy.cumsum(parts)[:-1].astype(int), axis)


def gather(node, x, index):
    return numpy.take(x, numpy.asarray(index).astype(int), node.get("axis", 0))


def expand(node, x, shape):
    return numpy.broadcast_to(x, numpy.broadcast_shapes(x.shape, tuple(int(size) for size in shape)))


def concat(node, *parts):
    return numpy.concatenate(parts, node.get("axis"))


MOVES = {"Reshape": reshape, "Unsqueeze": unsqueeze, "Squeeze": squeeze, "Transpose": transpose, "Flatten": flatten,
         "Slice": take_slice, "Split": split, "Gather": gather, "Expand": expand, "Identity": lambda node, x: x}


def cast(node, x):
    return numpy.asarray(x).astype(onnx.helper.tensor_dtype_to_np_dtype(node.get("to")) if
                                   hasattr(onnx.helper, "tensor_dtype_to_np_dtype") else
                                   onnx.mapping.TENSOR_TYPE_TO_NP_TYPE[node.get("to")])


def divide(node, a, b):
    return a // b if numpy.issubdtype(numpy.asarray(a).dtype, numpy.integer) else a / b


def filled(node, shape):
    value = node.get("value")
    return numpy.full(tuple(int(size) for size in shape), 0.0 if value is None else onnx.numpy_helper.to_array(value)[0])


def triangle(node, x, k=0):
    return numpy.triu(x, int(k)) if node.get("upper", 1) else numpy.tril(x, int(k))


def clip(node, x, low=None, high=None):
    low, high = node.get("min", low), node.get("max", high)
    return numpy.clip(x, None if low is None else low, None if high is None else high)


ERF = numpy.vectorize(math.erf, otypes=[float])

# Of each element by itself.
FUNCTIONS = {
    "Relu": lambda node, x: numpy.maximum(x, 0), "Tanh": lambda node, x: numpy.tanh(x),
    "Sigmoid": lambda node, x: 1 / (1 + numpy.exp(-x)), "Sqrt": lambda node, x: numpy.sqrt(x),
    "Exp": lambda node, x: numpy.exp(x), "Neg": lambda node, x: -x, "Abs": lambda node, x: numpy.abs(x),
    "Reciprocal": lambda node, x: 1 / x, "Erf": lambda node, x: ERF(x), "Clip": clip,
    "HardSigmoid": lambda node, x: numpy.clip(node.get("alpha", 0.2) * x + node.get("beta", 0.5), 0, 1),
    "HardSwish": lambda node, x: activated("hardswish", x),
    "LeakyRelu": lambda node, x: numpy.where(x > 0, x, node.get("alpha", 0.01) * x),
    "Elu": lambda node, x: numpy.where(x > 0, x, node.get("alpha", 1.0) * numpy.expm1(numpy.minimum(x, 0))),
    "Softplus": lambda node, x: numpy.log1p(numpy.exp(x)),
    "Gelu": lambda node, x: activated("gelu", x) if node.get("approximate", b"none") == b"tanh" else
    x / 2 * (1 + ERF(x / 2 ** 0.5)),
}
OPERATIONS = {"Add": lambda node, a, b: a + b, "Sub": lambda node, a, b: a - b, "Mul": lambda node, a, b: a * b,
              "Div": divide, "Pow": lambda node, a, b: a ** b, "Max": lambda node, a, b: numpy.maximum(a, b),
              "Min": lambda node, a, b: numpy.minimum(a, b)}
CONSTANTS = {
    **MOVES, **FUNCTIONS, **OPERATIONS, "Concat": concat, "Cast": cast, "ConstantOfShape": filled, "Trilu": triangle,
    "Range": lambda node, start, end, step: numpy.arange(start, end, step),
    "Shape": lambda node, x: numpy.array(x.shape), "Where": lambda node, c, a, b: numpy.where(c, a, b),
    "Equal": lambda node, a, b: a == b, "Less": lambda node, a, b: a < b, "Greater": lambda node, a, b: a > b,
    "LessOrEqual": lambda node, a, b: a <= b, "GreaterOrEqual": lambda node, a, b: a >= b,
    "Not": lambda node, a: ~a, "And": lambda node, a, b: a & b, "Or": lambda node, a, b: a | b,
    "IsNaN": lambda node, a: numpy.isnan(a), "Floor": lambda node, a: numpy.floor(a),
    "Mod": lambda node, a, b: a % b, "ReduceProd": lambda node, a: numpy.prod(a, keepdims=bool(node.get("keepdims", 1))),
    "NonZero": lambda node, a: numpy.array(numpy.nonzero(a)), "MatMul": lambda node, a, b: a @ b,
    "Dropout": lambda node, x, *_: x,
}


# ---- views ----


def fits(shape, whole):
    """Does the one broadcast to the other?"""
    return len(shape) <= len(whole) and all(size in (1, most) for size, most in zip(shape[::-1], whole[::-1]))


def is_whole(view, samples):
    """Has it every element of its unit, once?"""
    return view.index.size == samples * view.unit.size and \
        numpy.array_equal(numpy.sort(view.index, None), numpy.arange(view.index.size))


def is_plain(view, shape, samples):
    """Does it lie as its unit's output does, in that shape?"""
    return view.unit.shape == tuple(shape) and view.index.shape[0] == samples and \
        numpy.array_equal(view.index.ravel(), numpy.arange(samples * view.unit.size))


def line_of(function):
    """(a, b) where the function is a z + b, else None."""
    b = float(function(numpy.zeros(1))[0])
    a = float(function(numpy.ones(1))[0]) - b
    return (a, b) if numpy.allclose(function(GRID), a * GRID + b, rtol=1e-9, atol=1e-12 + 1e-9 * abs(a)) else None


def name_of(function):
    """The activation that the function is, or None."""
    values = function(GRID)
    for name in ACTIVATIONS:
        right = activated(name, GRID)
        if numpy.allclose(values, right, rtol=1e-6, atol=2e-6):
            return name
    return None


class Node:
    """A node of the graph, with its attributes as Python has them."""

    def __init__(self, proto, number):
        self.kind, self.inputs, self.outputs = proto.op_type, list(proto.input), list(proto.output)
        self.name = proto.name or f"number {number}"
        self.attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
        if proto.domain not in ("", "ai.onnx"):
            self.kind = f"{proto.domain}.{proto.op_type}"

    def get(self, key, default=None):
        return self.attributes.get(key, default)


class Tracer:
    """values: of the graph by name, arrays or what they are of the network's units."""

    def __init__(self, opset, samples):
        self.opset, self.samples, self.values = opset, samples, {}

    # ---- from views to units ----

    def whole(self, view, node):
        """The view of the unit that the view's function has become part of; its index is all of the unit's output."""
        view = self.plain(view, node)
        if view.known is None:
            if not is_whole(view, self.samples):
                raise Refused(node, "a part of what a layer gives, or parts in several places: all of it is allowed")
            view.known = View(self.settled(view, node), view.index)
        return view.known

    def plain(self, value, node):
        if isinstance(value, View):
            return value
        if isinstance(value, numpy.ndarray):
            raise Refused(node, "a constant in place of what a layer gives: a layer in front is allowed")
        if isinstance(value, Padded):
            raise Refused(node, "behind Pad: convolutions and average pools are allowed")
        if isinstance(value, Scores):
            raise Refused(node, "products of what layers give: those of attention, queries times keys and shares times values, are "
                                "allowed")
        if value.stage == "mean":
            return self.mean_pool(value, node)
        raise Refused(node, "part of a layer norm that goes on otherwise: a whole one, down to Div, is allowed")

    def settled(self, view, node):
        unit = self.attention(view.unit, None) if view.unit.kind == "context" else view.unit
        if view.function is None:
            return unit
        node = view.maker or node
        line = line_of(view.function)
        if line:
            return folded(unit, numpy.full(unit.shape, line[0]), numpy.full(unit.shape, line[1]), node)
        name = name_of(view.function)
        if name is None:
            raise Refused(node, f"no function that layers have: {', '.join(ACTIVATIONS)} (gelu in the form with tanh) "
                                "are allowed")
        return with_activation(unit, name, node)

    def settle_input(self, unit, shape):
        """What nobody has looked at yet takes the shape in which it is first seen."""
        if unit.kind == "input" and not unit.attributes.get("seen") and unit.size == numpy.prod(shape):
            unit.shape = tuple(int(size) for size in shape)
            for name, values in unit.tensors.items():
                unit.tensors[name] = numpy.broadcast_to(values, unit.shape) if numpy.size(values) == 1 else \
                    numpy.reshape(values, unit.shape)
        if unit.kind == "input":
            unit.attributes["seen"] = True

    def image(self, view, node):
        """The view's unit where it is one of images, [samples, channels, height, width] or without height."""
        view = self.whole(view, node)
        sizes_now = view.index.shape[1:]
        shape = (sizes_now[0], 1, sizes_now[1]) if len(sizes_now) == 2 else sizes_now
        if len(shape) == 3:
            self.settle_input(view.unit, shape)
        if len(shape) != 3 or not is_plain(view, shape, self.samples):
            raise Refused(node, f"its input, {sizes(view.index.shape)}, is what {view.unit.kind} gives as "
                                f"{shape_text(view.unit.shape)}, in another shape or order: channels x height x width as they "
                                "are is allowed")
        return view.unit

    def fresh(self, unit, shape=None):
        count = self.samples * unit.size
        return View(unit, numpy.arange(count).reshape((self.samples, *(shape or unit.shape))))

    # ---- products with weights ----

    def linear(self, node, value, weight, bias=None):
        """value [..., inputs] times weight [outputs, inputs]."""
        view = self.plain(value, node)
        if view.unit.kind == "context" and view.function is None:
            found = self.output_product(view, weight)
        else:
            found = None
        if found is None:
            view = self.whole(view, node)
            found = self.dense(node, view, weight)
        if bias is not None:
            found = self.constant(node, "Add", found, bias, False)
        return found

    def dense(self, node, view, weight):
        outputs, inputs = weight.shape
        if view.index.shape[-1] != inputs:
            raise Refused(node, f"weights for {inputs} inputs, {view.index.shape[-1]} come in: as many are allowed")
        unit, rows = view.unit, view.index.reshape(-1, inputs)
        ways = (self.flat_rows, self.token_rows, self.pixel_rows)
        for way in ways:
            found = way(unit, rows, outputs)
            if found:
                order, made, attributes, index = found
                kind = "conv2d" if "kernel" in attributes else "dense"
                columns = numpy.empty_like(weight)
                columns[:, order] = weight
                columns = columns.reshape(outputs, inputs, 1, 1) if kind == "conv2d" else columns
                new = Unit(kind, made, [unit], {"outputs": outputs, **attributes}, {"weight": columns})
                return View(new, index.reshape((*view.index.shape[:-1], outputs)))
        raise Refused(node, f"a product with {sizes(view.index.shape)} of what {unit.kind} gives as {shape_text(unit.shape)}: "
                            "with all values of a sample, those of a token, or the channels of a pixel it is allowed")

    def flat_rows(self, unit, rows, outputs):
        if len(rows) != self.samples or rows.shape[1] != unit.size:
            return None
        order = rows - numpy.arange(self.samples)[:, None] * unit.size
        if not (order == order[0]).all() or not numpy.array_equal(numpy.sort(order[0]), numpy.arange(unit.size)):
            return None
        return order[0], (outputs, 1, 1), {}, numpy.arange(self.samples * outputs)

    def token_rows(self, unit, rows, outputs):
        inputs = rows.shape[1]
        if unit.kind == "input" and not unit.attributes.get("seen"):
            self.settle_input(unit, (unit.size // inputs, inputs, 1))
        tokens = unit.shape[0]
        token = rows.min(1) // inputs
        order = rows - token[:, None] * inputs
        if tokens * inputs != unit.size or not (order == order[0]).all() or order[0].max() >= inputs:
            return None
        index = token[:, None] * outputs + numpy.arange(outputs)
        return order[0], (tokens, outputs, 1), {"over": "tokens"}, index

    def pixel_rows(self, unit, rows, outputs):
        channels, pixels = unit.shape[0], unit.shape[1] * unit.shape[2]
        if rows.shape[1] != channels:
            return None
        sample, pixel = rows[:, 0] // unit.size, rows[:, 0] % pixels
        if not numpy.array_equal(rows, (sample * unit.size + pixel)[:, None] + numpy.arange(channels) * pixels):
            return None
        index = (sample * outputs * pixels + pixel)[:, None] + numpy.arange(outputs) * pixels
        return numpy.arange(channels), (outputs, *unit.shape[1:]), {"kernel": 1}, index

    # ---- attention ----

    def scores(self, node, q, k):
        lead, tokens = q.index.shape[:-2], q.index.shape[-2]
        if q.index.ndim < 3 or k.index.shape[:-2] != lead or k.index.shape[-1] != tokens:
            raise Refused(node, f"a product of {sizes(q.index.shape)} and {sizes(k.index.shape)}: of queries and keys of the "
                                "same tokens it is allowed")
        factor = 1.0
        for view in (q, k):
            line = line_of(view.function) if view.function else (1.0, 0.0)
            if line is None or line[1] != 0:
                raise Refused(node, "queries or keys behind an activation or a summand: behind a factor they are allowed")
            factor *= line[0]
        return Scores((q.unit, q.index.reshape(-1, *q.index.shape[-2:])),
                      (k.unit, numpy.swapaxes(k.index.reshape(-1, *k.index.shape[-2:]), 1, 2)), factor, lead)

    def head_columns(self, node, unit, index):
        """Of [sample and head, token, value]: the sample, and the columns of the dense layer over tokens."""
        if unit.kind != "dense" or unit.attributes.get("over") != "tokens" or "activation" in unit.attributes:
            raise Refused(node, f"queries, keys and values that {unit.kind} gives as {shape_text(unit.shape)}: dense layers "
                                "over tokens are allowed")
        tokens, width = unit.shape[:2]
        sample = index[:, 0, 0] // (tokens * width)
        columns = index[:, 0, :] - sample[:, None] * tokens * width
        right = (sample[:, None, None] * tokens + numpy.arange(index.shape[1])[:, None]) * width + columns[:, None, :]
        if index.shape[1] != tokens or not numpy.array_equal(index, right) or columns.max() >= width:
            raise Refused(node, "queries, keys or values that are not all tokens in their order: those are allowed")
        return sample, columns

    def context(self, node, scores, value):
        """Shares times values: what heads give, side by side in the order in which they are met."""
        if value.function is not None or value.index.shape[:-2] != scores.lead:
            raise Refused(node, "values behind a function, or of other heads than their shares: as they are they are allowed")
        parts = [scores.q, scores.k, (value.unit, value.index.reshape(-1, *value.index.shape[-2:]))]
        found = [self.head_columns(node, *part) for part in parts]
        sources = [unit.sources[0] for unit, _ in parts]
        samples, width = found[0][0], sources[0].size // sources[0].shape[0]
        keys = [tuple(tuple(columns[i]) for _, columns in found) for i in range(len(samples))]
        heads = [key for sample, key in zip(samples, keys) if sample == 0]
        each, same = parts[2][1].shape[-1], all(source is sources[0] for source in sources)
        if not same or any(not numpy.array_equal(sample, samples) for sample, _ in found[1:]) or \
                sorted(zip(samples, (heads.index(key) if key in heads else -1 for key in keys))) != \
                [(b, h) for b in range(self.samples) for h in range(len(heads))]:
            raise Refused(node, "attention between sequences, or of heads that differ from sample to sample: of a sequence to "
                                "itself it is allowed")
        if len(heads) * each != width or len(keys[0][0]) != each:
            raise Refused(node, f"{len(heads)} heads of {len(keys[0][0])} and {each} values: {width} values in all, as tokens "
                                "have, are allowed")
        scale = scores.factor * each ** 0.5
        weights, biases = [], []
        for part, (unit, _) in enumerate(parts):
            rows = numpy.array([column for head in heads for column in head[part]])
            bias = unit.tensors.get("bias", numpy.zeros(unit.shape[1]))
            weights.append(unit.tensors["weight"][rows] * (scale if part == 0 else 1))
            biases.append(bias[rows] * (scale if part == 0 else 1))
        tensors = {"in_proj_weight": numpy.concatenate(weights), "in_proj_bias": numpy.concatenate(biases)}
        attributes = {"heads": len(heads), **({"causal": "yes"} if scores.causal else {})}
        unit = Unit("context", (sources[0].shape[0], width, 1), [sources[0]], attributes, tensors)
        tokens = sources[0].shape[0]
        place = [(b * tokens * width + heads.index(key) * each) for b, key in zip(samples, keys)]
        index = numpy.array(place)[:, None, None] + numpy.arange(tokens)[:, None] * width + numpy.arange(each)
        return View(unit, index.reshape((*scores.lead, tokens, each)))

    def attention(self, unit, product):
        width = unit.shape[1]
        product = numpy.eye(width) if product is None else product
        return Unit("attention", unit.shape, unit.sources, unit.attributes,
                    {**unit.tensors, "out_proj.weight": product, "out_proj.bias": numpy.zeros(width)})

    def output_product(self, view, weight):
        """The product behind attention is its own where it gives tokens of the same width, else None."""
        width = view.unit.shape[1]
        if weight.shape != (width, width) or view.index.shape[-1] != width:
            return None
        found = self.token_rows(view.unit, view.index.reshape(-1, width), width)
        if not found:
            return None
        columns = numpy.empty_like(weight)
        columns[:, found[0]] = weight
        return View(self.attention(view.unit, columns), found[3].reshape(view.index.shape))

    def masked(self, node, scores, mask):
        """A summand [..., tokens, tokens] of scores: nothing, or what hides tokens that come later."""
        tokens = scores.q[1].shape[1]
        mask = numpy.broadcast_to(mask, numpy.broadcast_shapes(numpy.shape(mask), (tokens, tokens)))
        hidden = mask.reshape(-1, tokens, tokens) < -1e4
        later = numpy.triu(numpy.ones((tokens, tokens), bool), 1)
        if (numpy.where(hidden, 0, mask.reshape(hidden.shape)) != 0).any() or \
                not ((hidden == later).all() or not hidden.any()):
            raise Refused(node, "a mask or a summand of attention's scores: one that hides all later tokens is allowed")
        return scores.but(causal=scores.causal or bool(hidden.any()))

    # ---- norms that are spelt out ----

    def norm(self, node, view, axes, epsilon):
        view = self.whole(view, node)
        if axes != tuple(range(view.index.ndim - len(axes), view.index.ndim)):
            raise Refused(node, f"a norm over axes {axes} of {sizes(view.index.shape)}: the last ones are allowed")
        count = int(numpy.prod(view.index.shape[-len(axes):]))
        rows, unit = view.index.reshape(-1, count), view.unit
        if self.flat_rows(unit, rows, 1):
            attributes = {}
        elif self.token_rows(unit, rows, 1):
            attributes = {"over": "tokens"}
        else:
            raise Refused(node, f"a norm over {count} values of what {unit.kind} gives as {shape_text(unit.shape)}: over all "
                                "values of a sample, or those of a token, it is allowed")
        if epsilon != 1e-5:
            attributes["epsilon"] = f"{epsilon:.9g}"
        tensors = {"weight": numpy.ones(count), "bias": numpy.zeros(count)}
        return View(Unit("layernorm", unit.shape, [unit], attributes, tensors), view.index)

    def moment(self, node, kind, values):
        """What Sub, Pow, Mul, Add, Sqrt and Div do to parts of a norm, or None."""
        a, b = (values + [None])[:2]
        if kind == "Sub" and isinstance(b, Moment) and b.stage == "mean" and b.view is a:
            return Moment("centred", b.view, b.axes)
        if not isinstance(a, Moment):
            return None
        if a.stage == "centred" and (kind, numpy.size(b)) == ("Pow", 1) and not isinstance(b, Moment) and float(b) == 2:
            return Moment("square", a.view, a.axes)
        if a.stage == "centred" and kind == "Mul" and b is a:
            return Moment("square", a.view, a.axes)
        if a.stage == "variance" and kind == "Add" and isinstance(b, numpy.ndarray) and b.size == 1:
            return Moment("variance", a.view, a.axes, a.epsilon + float(b))
        if a.stage == "variance" and kind == "Sqrt":
            return Moment("deviation", a.view, a.axes, a.epsilon)
        if a.stage == "centred" and kind == "Div" and isinstance(b, Moment) and b.stage == "deviation" and \
                (b.view, b.axes) == (a.view, a.axes):
            return self.norm(node, a.view, a.axes, b.epsilon)
        return None

    def mean_pool(self, moment, node):
        """A mean over all pixels: an average pool of the whole image."""
        view = self.whole(moment.view, node)
        if moment.axes != tuple(range(2, view.index.ndim)):
            raise Refused(node, f"a mean over axes {moment.axes} of {sizes(view.index.shape)}: over all pixels of each "
                                "channel it is allowed")
        unit = self.image(view, node)
        pooled = self.fresh(Unit("avgpool", (unit.shape[0], 1, 1), [unit]))
        shape = numpy.mean(moment.view.index, moment.axes, keepdims=moment.keepdims).shape
        return View(pooled.unit, pooled.index.reshape(shape))

    # ---- element by element ----

    def constant(self, node, kind, value, constant, constant_first):
        """An operation of what a layer gives and a constant."""
        operation = OPERATIONS[kind]
        if isinstance(value, Scores):
            return self.constant_of_scores(node, kind, value, constant, constant_first)
        view = self.plain(value, node)
        if constant.size == 1 and constant.ndim <= view.index.ndim:
            number, inner = constant.reshape(()).astype(float), view.function or (lambda z: z)
            return View(view.unit, view.index, (lambda z: operation(node, number, inner(z))) if constant_first else
                        (lambda z: operation(node, inner(z), number)), node)
        if kind not in ("Add", "Sub", "Mul", "Div") or (constant_first and kind == "Div"):
            raise Refused(node, "an operation with several constants: sums, products and quotients are allowed")
        view = self.whole(view, node)
        if not fits(constant.shape, view.index.shape):
            raise Refused(node, f"constants of {sizes(constant.shape)} and {sizes(view.index.shape)} values of a layer: "
                                "constants that fit are allowed")
        spread = numpy.empty(view.index.size)
        spread[view.index.ravel()] = numpy.broadcast_to(constant, view.index.shape).ravel()
        spread = spread.reshape((self.samples, *view.unit.shape))
        if not (spread == spread[0]).all():
            raise Refused(node, "constants that differ from sample to sample: the same ones are allowed")
        c, one, none = spread[0], numpy.ones(view.unit.shape), numpy.zeros(view.unit.shape)
        a, b = {"Add": (one, c), "Sub": (-one, c) if constant_first else (one, -c), "Mul": (c, none),
                "Div": (1 / numpy.where(c == 0, 1, c), none)}[kind]
        if kind == "Div" and (c == 0).any():
            raise Refused(node, "a division by 0: other numbers are allowed")
        return View(folded(view.unit, a, b, node), view.index)

    def constant_of_scores(self, node, kind, scores, constant, constant_first):
        if kind in ("Mul", "Div") and constant.size == 1 and not scores.shares and not constant_first or \
                kind == "Mul" and constant.size == 1 and not scores.shares:
            number = float(constant.reshape(()))
            return scores.but(factor=scores.factor * (number if kind == "Mul" else 1 / number))
        if kind == "Add" and not scores.shares:
            return self.masked(node, scores, constant)
        raise Refused(node, "an operation on attention's scores: a factor, or a mask in front of Softmax, is allowed")

    def operation(self, node, kind, values):
        found = self.moment(node, kind, values)
        if found is not None:
            return found
        a, b = values
        if isinstance(b, numpy.ndarray):
            return self.constant(node, kind, a, b, False)
        if isinstance(a, numpy.ndarray):
            return self.constant(node, kind, b, a, True)
        a, b = self.plain(a, node), self.plain(b, node)
        if a.unit is b.unit and numpy.array_equal(a.index, b.index):
            f, g, operation = a.function or (lambda z: z), b.function or (lambda z: z), OPERATIONS[kind]
            return View(a.unit, a.index, lambda z: operation(node, f(z), g(z)), node)
        if kind != "Add":
            raise Refused(node, "an operation on what two layers give: their sum is allowed")
        a, b = self.whole(a, node), self.whole(b, node)
        if a.unit.shape != b.unit.shape or not numpy.array_equal(a.index, b.index):
            raise Refused(node, f"a sum of {shape_text(a.unit.shape)} and {shape_text(b.unit.shape)}, or in another order: "
                                "equal shapes are allowed")
        return View(Unit("residual", a.unit.shape, [a.unit, b.unit]), a.index)

    def function(self, node, value, rest):
        if isinstance(value, Moment):
            found = self.moment(node, node.kind, [value])
            if found is not None:
                return found
        view = self.plain(value, node)
        inner = view.function or (lambda z: z)
        return View(view.unit, view.index, lambda z: FUNCTIONS[node.kind](node, inner(z), *rest), node)

    # ---- movements ----

    def move(self, node, value, rest):
        if isinstance(value, Scores):
            probe = numpy.zeros((*value.lead, *value.q[1].shape[1:2] * 2), bool)
            moved = MOVES[node.kind](node, probe, *rest)
            if node.kind not in ("Reshape", "Squeeze", "Unsqueeze", "Identity", "Expand") or \
                    moved.shape[-2:] != probe.shape[-2:] or moved.size != probe.size:
                raise Refused(node, "attention's scores in another order: other sizes in front of tokens x tokens are allowed")
            return value.but(lead=moved.shape[:-2])
        if isinstance(value, Moment) and value.stage != "mean":
            raise Refused(node, "part of a layer norm that goes on otherwise: a whole one, down to Div, is allowed")
        view = self.plain(value, node)
        moved = MOVES[node.kind](node, view.index, *rest)
        if isinstance(moved, list):
            return [View(view.unit, part, view.function, view.maker) for part in moved]
        return View(view.unit, moved, view.function, view.maker)
