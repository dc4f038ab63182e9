"""Tests of analysis/onnx_import.py and onnx_export.py on graphs and networks made by hand: what layers can express comes in
and gives the outputs that are worked out here, what they cannot is refused by node, operator and what is allowed, and
nothing is written; what every layer gives goes out, and comes back.

RG_RINGNODE and RG_RINGSIM name the programs that compute and train; without them outputs are left out. Exit status 77:
python3-onnx is absent.
"""

import contextlib
import io
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import warnings

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RINGNODE, RINGSIM = os.environ.get("RG_RINGNODE"), os.environ.get("RG_RINGSIM")
sys.path[:0] = [os.path.join(SOURCE, "analysis"), os.path.join(SOURCE, "tests", "support")]

try:
    import numpy
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as missing:
    print(f"skipped: {missing}; Debian's python3-onnx is needed")
    sys.exit(77)

import netfiles
import onnx_export
import onnx_import
import onnx_run



class Case(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = holder.name
        self.random = numpy.random.default_rng(2)

    def path(self, name):
        return os.path.join(self.folder, name)

    def draw(self, *shape):
        return self.random.standard_normal(shape).astype(numpy.float32)

    def model(self, shape, nodes, weights, opset=13, kind=TensorProto.FLOAT, change=None, output="y"):
        """A file: nodes as (operator, inputs, output, attributes), each named after its output."""
        made = [helper.make_node(op, inputs.split(" "), outputs.split(" "), name="the " + outputs.split(" ")[0], **attributes)
                for op, inputs, outputs, attributes in nodes]
        tensors = [numpy_helper.from_array(numpy.asarray(values), name) for name, values in weights.items()]
        graph = helper.make_graph(made, "g", [helper.make_tensor_value_info("x", kind, shape)],
                                  [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)], tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        if change:
            change(model)
        onnx.save(model, self.path("m.onnx"))

    def convert(self, *words):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("error")
            status = onnx_import.main([self.path("m.onnx"), "-o", self.path("net"), *words])
        return status, out.getvalue(), err.getvalue()

    def imported(self, *words):
        """XML, metadata and tensors."""
        status, _, err = self.convert(*words)
        self.assertEqual((status, err), (0, ""))
        with open(self.path("net.xml"), encoding="utf-8") as stream:
            return (stream.read(), *netfiles.read_checkpoint(self.path("net.safetensors")))

    def gives(self, rows, wanted):
        if not RINGNODE:
            return
        outputs = onnx_run.predicted(RINGNODE, self.folder, rows)
        numpy.testing.assert_allclose(outputs.reshape(wanted.shape), wanted, rtol=0, atol=1e-5)


class Expressed(Case):
    def test_a_convolution_pools_and_a_dense_layer(self):
        """Relu behind a pool of the largest belongs in front of it; zeros round an average pool come by Pad."""
        w, b, fc, fb = self.draw(2, 1, 1, 1), self.draw(2), self.draw(3, 12), self.draw(3)
        pads = numpy.array([0, 0, 1, 0, 0, 0, 1, 0])
        self.model(["n", 1, 4, 4], [
            ("Conv", "x w b", "c", {"kernel_shape": [1, 1]}),
            ("MaxPool", "c", "m", {"kernel_shape": [2, 2], "strides": [1, 1]}),
            ("Relu", "m", "r", {}), ("Pad", "r pads", "p", {}),
            ("AveragePool", "p", "a", {"kernel_shape": [2, 1], "strides": [2, 1]}), ("Flatten", "a", "f", {}),
            ("Gemm", "f fc fb", "y", {"transB": 1, "alpha": 0.5})],
            {"w": w, "b": b, "fc": fc, "fb": fb, "pads": pads})
        x = self.draw(5, 1, 4, 4)
        c = x * w.reshape(1, 2, 1, 1) + b.reshape(1, 2, 1, 1)
        m = numpy.maximum(numpy.stack([c[:, :, i:i + 3, j:j + 3] for i in (0, 1) for j in (0, 1)]).max(0), 0)
        p = numpy.pad(m, ((0, 0), (0, 0), (1, 1), (0, 0)))[:, :, :4]
        a = (p[:, :, 0::2] + p[:, :, 1::2]) / 2
        text, told, tensors = self.imported()
        self.assertIn('<network name="net" input="4x4">', text)
        self.assertIn('<conv2d outputs="2" kernel="1" activation="relu"/>', text)
        self.assertIn('<avgpool kernel="2x1" padding="1x0"/>', text)
        self.assertEqual(set(tensors), {"0.weight", "0.bias", "3.weight", "3.bias"})
        self.assertEqual(told, {"format": "ringtmp", "network": "net"})
        self.gives(x, a.reshape(5, -1) @ fc.T * 0.5 + fb)

    def test_constants_behind_identity_are_no_shared_parameters(self):
        one, zero, w = numpy.ones(3, "f4"), numpy.zeros(3, "f4"), self.draw(3, 3)
        var = numpy.array([1, 2, 3], "f4")
        self.model([2, 3], [
            ("Identity", "one", "one2", {}), ("Identity", "zero", "zero2", {}),
            ("MatMul", "x w", "a", {}), ("BatchNormalization", "a one zero zero2 var", "b", {"epsilon": 1e-3}),
            ("BatchNormalization", "b one2 zero2 zero one", "y", {"momentum": 0.7})],
            {"one": one, "zero": zero, "w": w, "var": var})
        text, _, tensors = self.imported()
        self.assertIn('<dense outputs="3" bias="no"/>\n  <batchnorm epsilon="0.001"/>\n  <batchnorm momentum="0.3"/>', text)
        numpy.testing.assert_array_equal(tensors["0.weight"], w.T)
        self.assertEqual([tensors[f"{i}.{name}"].shape for i in (1, 2) for name in ("weight", "running_var")], [(3,)] * 4)
        x = self.draw(4, 3)
        self.gives(x, x @ w / numpy.sqrt(var + 1e-3) / numpy.sqrt(1 + 1e-5))

    def test_what_is_moved_before_a_product_moves_its_columns(self):
        w, v = self.draw(4, 2, 1, 1), self.draw(4 * 3 * 5, 2)
        self.model(["n", 2, 3, 5], [
            ("Conv", "x w", "c", {}), ("Transpose", "c", "t", {"perm": [0, 2, 3, 1]}), ("Reshape", "t shape", "f", {}),
            ("MatMul", "f v", "y", {})], {"w": w, "v": v, "shape": numpy.array([0, -1])})
        x = self.draw(6, 2, 3, 5)
        self.imported()
        self.gives(x, numpy.einsum("nchw,oc->nhwo", x, w[:, :, 0, 0]).reshape(6, -1) @ v)

    def test_spelt_out_functions_are_found_by_their_values(self):
        w = self.draw(3, 3)
        half, cubic, scale, one = (numpy.array(v, "f4") for v in (0.5, 0.044715, (2 / numpy.pi) ** 0.5, 1))
        gelu = [("MatMul", "x w", "a", {}), ("Mul", "a a", "a2", {}), ("Mul", "a2 a", "a3", {}), ("Mul", "a3 cubic", "q", {}),
                ("Add", "a q", "s", {}), ("Mul", "s scale", "u", {}), ("Tanh", "u", "t", {}), ("Add", "t one", "t1", {}),
                ("Mul", "a half", "h", {}), ("Mul", "h t1", "g", {}), ("MatMul", "g w", "b", {}),
                ("Sigmoid", "b", "z", {}), ("Mul", "z b", "i", {}), ("MatMul", "i w", "c", {}),
                ("HardSigmoid", "c", "d", {"alpha": 1 / 6}), ("Mul", "c d", "k", {}), ("MatMul", "k w", "l", {}),
                ("Clip", "l zero six", "y", {})]
        self.model([1, 3], gelu, {"w": w, "half": half, "cubic": cubic, "scale": scale, "one": one,
                                  "zero": numpy.array(0, "f4"), "six": numpy.array(6, "f4")})
        text = self.imported()[0]
        self.assertEqual([word in text for word in ("gelu", "silu", "hardswish", "relu6")], [True] * 4)
        x, y = self.draw(9, 3), None
        y = x
        for act in ("gelu", "silu", "hardswish", "relu6"):
            y = netfiles.activated(act, y @ w.astype(float))
        self.gives(x, y)

    def test_sums_with_and_without_a_shortcut(self):
        w, v = self.draw(4, 4), self.draw(4, 4)
        self.model([1, 4], [
            ("MatMul", "x w", "a", {}), ("Relu", "a", "b", {}), ("MatMul", "b v", "c", {}), ("Add", "b c", "d", {}),
            ("Relu", "d", "e", {}), ("MatMul", "e w", "f", {}), ("Tanh", "f", "g", {}), ("MatMul", "g v", "h", {}),
            ("MatMul", "e v", "i", {}), ("Add", "h i", "y", {})], {"w": w, "v": v})
        text, _, tensors = self.imported()
        self.assertIn("<shortcut>", text)
        self.assertEqual({name.rsplit(".", 1)[0] for name in tensors},
                         {"0", "1.body.0", "2.body.0", "2.body.1", "2.shortcut.0"})
        x = self.draw(7, 4)
        b = numpy.maximum(x @ w, 0)
        e = numpy.maximum(b + b @ v, 0)
        self.gives(x, numpy.tanh(e @ w) @ v + e @ v)

    def test_a_layer_norm_spelt_out_over_a_sample(self):
        w, gain, shift = self.draw(5, 5), self.draw(5), self.draw(5)
        self.model([1, 5], [
            ("MatMul", "x w", "a", {}), ("ReduceMean", "a", "m", {"axes": [-1]}), ("Sub", "a m", "c", {}),
            ("Pow", "c two", "s", {}), ("ReduceMean", "s", "v", {"axes": [-1]}), ("Add", "v eps", "e", {}),
            ("Sqrt", "e", "d", {}), ("Div", "c d", "n", {}), ("Mul", "n gain", "g", {}), ("Add", "g shift", "y", {})],
            {"w": w, "two": numpy.array(2, "f4"), "eps": numpy.array(1e-3, "f4"), "gain": gain, "shift": shift})
        text = self.imported()[0]
        self.assertIn('<layernorm epsilon="0.00', text)
        x = self.draw(3, 5)
        a = x @ w
        c = a - a.mean(1, keepdims=True)
        self.gives(x, c / numpy.sqrt((c ** 2).mean(1, keepdims=True) + 1e-3) * gain + shift)

    def test_standardisation_and_classes_travel_in_the_metadata(self):
        w, mean, deviation = self.draw(3, 2), self.draw(3) * 10, numpy.array([2, 5, 0.1], "f4")

        def name_classes(model):
            helper.set_model_props(model, {"class_names": "wet\ndry"})

        self.model(["n", 3], [("Sub", "x mean", "a", {}), ("Div", "a deviation", "b", {}), ("MatMul", "b w", "y", {})],
                   {"w": w, "mean": mean, "deviation": deviation}, change=name_classes)
        _, told, tensors = self.imported()
        numpy.testing.assert_allclose([float(v) for v in told["inputs_mean"].split(",")], mean, rtol=1e-6)
        numpy.testing.assert_allclose([float(v) for v in told["inputs_deviation"].split(",")], deviation, rtol=1e-6)
        self.assertEqual((told["class_names"], set(tensors)), ("wet\ndry", {"0.weight"}))
        x = mean + self.draw(4, 3)
        self.gives(x, (x - mean) / deviation @ w)

    def test_heads_are_found_however_they_are_laid_out(self):
        """Queries, keys and values interleaved, tokens first, no product behind: its own is the identity."""
        tokens, width, heads = 4, 6, 2
        w = self.draw(width, 3 * width)
        self.model([1, tokens, width], [
            ("MatMul", "x w", "a", {}), ("Reshape", "a five", "r", {}), ("Split", "r", "q k v", {"axis": 4}),
            ("Reshape", "q four", "q4", {}), ("Reshape", "k four", "k4", {}), ("Reshape", "v four", "v4", {}),
            ("Transpose", "q4", "qt", {"perm": [0, 2, 1, 3]}), ("Transpose", "k4", "kt", {"perm": [0, 2, 3, 1]}),
            ("Transpose", "v4", "vt", {"perm": [0, 2, 1, 3]}), ("MatMul", "qt kt", "s", {}), ("Div", "s scale", "f", {}),
            ("Softmax", "f", "p", {"axis": 3}), ("MatMul", "p vt", "o", {}), ("Transpose", "o", "ot", {"perm": [0, 2, 1, 3]}),
            ("Reshape", "ot three", "y", {})],
            {"w": w, "five": numpy.array([1, tokens, heads, width // heads, 3]), "scale": numpy.array(2, "f4"),
             "four": numpy.array([1, tokens, heads, width // heads]), "three": numpy.array([1, tokens, width])})
        text = self.imported()[0]
        self.assertIn('<attention heads="2"/>', text)
        x = self.draw(3, tokens, width)
        a = (x @ w).reshape(3, tokens, heads, width // heads, 3).transpose(4, 0, 2, 1, 3).astype(float)
        shares = numpy.exp(a[0] @ a[1].swapaxes(2, 3) / 2)
        shares /= shares.sum(3, keepdims=True)
        self.gives(x, (shares @ a[2]).transpose(0, 2, 1, 3).reshape(3, tokens, width))

    def test_a_mask_by_choice_and_the_product_behind_heads(self):
        """Values of heads interleaved: the columns of the product behind are, too."""
        tokens, width, heads = 4, 6, 2
        w, o = [self.draw(width, width) for _ in range(3)], self.draw(width, width)
        nodes = []
        for name in "qkv":
            perm = [0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]
            nodes += [("MatMul", f"x w{name}", name, {}), ("Reshape", f"{name} four", f"{name}4", {}),
                      ("Transpose", f"{name}4", f"{name}t", {"perm": perm})]
        nodes += [("MatMul", "qt kt", "s", {}), ("Where", "seen s low", "m", {}), ("Softmax", "m", "p", {}),
                  ("MatMul", "p vt", "c", {}), ("Transpose", "c", "ct", {"perm": [0, 2, 3, 1]}),
                  ("Reshape", "ct three", "r", {}), ("MatMul", "r o", "y", {})]
        seen = numpy.tril(numpy.ones((tokens, tokens), bool))
        self.model(["n", tokens, width], nodes, {
            "wq": w[0], "wk": w[1], "wv": w[2], "o": o, "seen": seen, "low": numpy.array(-numpy.inf, "f4"),
            "four": numpy.array([0, tokens, heads, width // heads]), "three": numpy.array([0, tokens, width])})
        self.assertIn('<network name="net" input="4x6x1">\n  <attention heads="2" causal="yes"/>\n<', self.imported()[0])
        x = self.draw(3, tokens, width)
        q, k, v = ((x @ one).reshape(3, tokens, heads, -1).transpose(0, 2, 1, 3).astype(float) for one in w)
        shares = numpy.exp(numpy.where(seen, q @ k.swapaxes(2, 3), -numpy.inf))
        shares /= shares.sum(3, keepdims=True)
        self.gives(x, (shares @ v).transpose(0, 2, 3, 1).reshape(3, tokens, width) @ o)

    def test_an_embedding_with_what_is_added_and_multiplied(self):
        table, places, gain = self.draw(9, 4), self.draw(3, 4), numpy.array(2, "f4")
        self.model(["n", 3], [("Gather", "table x", "e", {}), ("Add", "e places", "p", {}), ("Mul", "p gain", "g", {}),
                              ("Add", "g places", "y", {})], {"table": table, "places": places, "gain": gain},
                   kind=TensorProto.INT64)
        text, _, tensors = self.imported()
        self.assertIn('<embedding outputs="4" vocabulary="9"/>', text)
        self.assertEqual(tensors["0.positions"].shape, (3, 4))
        x = self.random.integers(0, 9, (5, 3))
        self.gives(x, (table[x] + places) * 2 + places)

    def test_constants_are_folded_into_what_is_before_them(self):
        w, b, c = self.draw(3, 3), self.draw(3), self.draw(3)
        self.model(["n", 3], [("Gemm", "x w b", "a", {"beta": 3.0}), ("Mul", "a c", "d", {}), ("Sub", "c d", "e", {}),
                              ("Dropout", "e rate no", "y", {})],
                   {"w": w, "b": b, "c": c, "rate": numpy.array(0.5, "f4"), "no": numpy.array(False)})
        text, x = self.imported()[0], self.draw(4, 3)
        self.assertNotIn("dropout", text)
        self.gives(x, c - (x @ w + 3 * b) * c)

    def test_groups_and_pads_by_name(self):
        w = self.draw(4, 1, 3, 3)
        self.model(["n", 2, 5, 5], [("Conv", "x w", "y", {"group": 2, "auto_pad": "SAME_UPPER", "strides": [2, 2]})], {"w": w})
        self.assertIn('kernel="3" stride="2" padding="1" groups="2"', self.imported()[0])
        x = self.draw(2, 2, 5, 5)
        padded = numpy.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        parts = numpy.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
        self.gives(x, numpy.einsum("nchwij,cij->nchw", parts[:, [0, 0, 1, 1]], w[:, 0]))

    def test_dropout_stays_where_it_trains(self):
        w = self.draw(3, 3)
        self.model([1, 3], [("MatMul", "x w", "a", {}), ("Dropout", "a rate", "b", {}),
                            ("Dropout", "b rate yes", "c", {}), ("MatMul", "c w", "y", {})],
                   {"w": w, "rate": numpy.array(0.25, "f4"), "yes": numpy.array(True)})
        text = self.imported("--loss", "mean-squared-error")[0]
        self.assertEqual(text.count('<dropout rate="0.25"/>'), 1)
        self.assertIn('loss="mean-squared-error"', text)


class RefusedGraphs(Case):
    def refuses(self, words, shape=None, nodes=None, weights=None, **options):
        if nodes:
            self.model(shape, nodes, weights or {}, **options)
        before = sorted(os.listdir(self.folder))
        status, out, err = self.convert()
        self.assertEqual((status, out, err.count("\n")), (2, "", 1), err)
        self.assertTrue(err.startswith(self.path("m.onnx") + ": "), err)
        self.assertIn(words, err)
        self.assertIn("allowed", err)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def image(self, words, *nodes, **weights):
        given = {"w": self.draw(2, 2, 3, 3), "one": self.draw(2, 2, 1, 1), "v": self.draw(2, 2), **weights}
        self.refuses(words, ["n", 2, 8, 8], nodes, given)

    def test_operators(self):
        self.image('node "the y" (Resize): not known: Add, AveragePool', ("Resize", "x", "y", {}))
        self.image('node "the y" (Concat): what several layers give', ("Conv", "x one", "a", {}),
                   ("Conv", "x one", "b", {}), ("Concat", "a b", "y", {"axis": 1}))
        self.image('node "the y" (Mul): an operation on what two layers give', ("Conv", "x one", "a", {}),
                   ("Conv", "x one", "b", {}), ("Sigmoid", "b", "s", {}), ("Mul", "a s", "y", {}))
        self.image('node "the y" (LeakyRelu): no function that layers have: identity, relu, tanh', ("Conv", "x one", "a", {}),
                   ("LeakyRelu", "a", "y", {}))
        self.image('node "the b" (LeakyRelu): no function that layers have', ("Conv", "x one", "a", {}),
                   ("LeakyRelu", "a", "b", {}), ("Flatten", "b", "d", {}), ("Conv", "b one", "y", {}))
        self.image('node "the y" (Relu): the activation relu of what avgpool gives', ("GlobalAveragePool", "x", "a", {}),
                   ("Relu", "a", "y", {}))
        self.image('node "the y" (Softmax): shares of what a layer gives', ("GlobalAveragePool", "x", "a", {}),
                   ("Flatten", "a", "f", {}), ("Gemm", "f v", "g", {}), ("Softmax", "g", "y", {}))

    def test_attributes(self):
        self.image('node "the y" (Conv): dilations of 2x2: 1 is allowed', ("Conv", "x w", "y", {"dilations": [2, 2]}))
        self.image('node "the y" (Conv): pads 0x0 in front and 1x1 behind', ("Conv", "x w", "y", {"pads": [0, 0, 1, 1]}))
        self.image('node "the y" (MaxPool): ceil_mode where windows', ("MaxPool", "x", "y", {
            "kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}))
        self.image('node "the y" (AveragePool): count_include_pad=0', ("AveragePool", "x", "y", {
            "kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}))
        self.image('node "the y" (Pad): padding with other than zeros', ("Pad", "x p", "y", {"mode": "reflect"}),
                   p=numpy.array([0, 0, 1, 1, 0, 0, 1, 1]))
        self.image('node "the y" (MaxPool): behind Pad: convolutions and average pools', ("Pad", "x p", "q", {}),
                   ("MaxPool", "q", "y", {"kernel_shape": [2, 2]}), p=numpy.array([0, 0, 1, 1, 0, 0, 1, 1]))
        self.image('node "the y" (Conv): weights of 2x2x3x3 in 2 groups', ("Conv", "x w", "y", {"group": 2}))
        self.image('node "the y" (Conv): 3 biases for 2 outputs', ("Conv", "x w b", "y", {}), b=self.draw(3))

    def test_sizes_that_nobody_else_checks(self):
        w = self.draw(4, 3)
        self.refuses('node "the y" (Gemm): weights for 4 inputs, 5 come in', [1, 5], [("Gemm", "x w", "y", {})], {"w": w})
        self.refuses('node "the y" (Gemm): constants of 2 and 1x3 values', [1, 4], [("Gemm", "x w b", "y", {})],
                     {"w": w, "b": self.draw(2)})

        def cut(model):
            model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]

        self.refuses('initializer "w": its data are not those of the shape 4x3', [1, 4], [("Gemm", "x w", "y", {})], {"w": w},
                     change=cut)

    def test_what_is_no_layer_of_its_own(self):
        w = self.draw(4, 4)
        exact = [("MatMul", "x w", "a", {}), ("Div", "a root", "b", {}), ("Erf", "b", "c", {}), ("Add", "c one", "d", {}),
                 ("Mul", "a d", "e", {}), ("Mul", "e half", "y", {})]
        self.refuses('node "the y" (Mul): no function that layers have', [1, 4], exact,
                     {"w": w, "root": numpy.array(2 ** 0.5, "f4"), "one": numpy.array(1, "f4"), "half": numpy.array(0.5, "f4")})
        self.refuses('node "the y" (Slice): a part of what a layer gives', [1, 4],
                     [("MatMul", "x w", "a", {}), ("Slice", "a from to axes", "y", {})],
                     {"w": w, "from": numpy.array([0]), "to": numpy.array([2]), "axes": numpy.array([1])})
        self.refuses('node "the y" (Transpose): the output, 2x4x3', ["n", 3, 4],
                     [("MatMul", "x w", "a", {}), ("Transpose", "a", "y", {"perm": [0, 2, 1]})], {"w": w})
        self.refuses('node "the y" (Add): constants that differ along what they belong to', ["n", 3, 4],
                     [("MatMul", "x w", "a", {}), ("Add", "a b", "y", {})], {"w": w, "b": self.draw(3, 4)})
        self.refuses('node "the y" (MatMul): a mean over axes (1,) of 2x3x4',
                     ["n", 3, 4], [("MatMul", "x w", "a", {}), ("ReduceMean", "a", "b", {"axes": [1], "keepdims": 0}),
                                   ("MatMul", "b w", "y", {})], {"w": w})

    def test_softmax_up_to_opset_12_is_over_all_axes_from_one_on(self):
        w, shape = self.draw(4, 4), numpy.array([0, 3, 2, 2])
        nodes = [("MatMul", "x w", "q", {}), ("MatMul", "x w", "k", {}), ("MatMul", "x w", "v", {})]
        for name in "qkv":
            nodes += [("Reshape", f"{name} shape", f"{name}4", {}),
                      ("Transpose", f"{name}4", f"{name}t", {"perm": [0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]})]
        nodes += [("MatMul", "qt kt", "s", {}), ("Softmax", "s", "p", {"axis": 2}), ("MatMul", "p vt", "y", {})]
        self.refuses('node "the p" (Softmax): over the axes from 2 on', ["n", 3, 4], nodes, {"w": w, "shape": shape}, opset=11)
        bad = [(op, inputs, out, {"axis": 3} if op == "Softmax" else given) for op, inputs, out, given in nodes]
        mask = numpy.array([[0, 0, -9], [0, 0, 0], [0, 0, 0]], "f4")
        bad.insert(-2, ("Add", "s mask", "s2", {}))
        bad[-2] = ("Softmax", "s2", "p", {"axis": 3})
        self.refuses('node "the s2" (Add): a mask or a summand of attention\'s scores', ["n", 3, 4], bad,
                     {"w": w, "shape": shape, "mask": mask}, opset=11)

    def test_attention_that_is_none_of_ours(self):
        w, v = self.draw(4, 4), self.draw(4, 8)

        def heads(first="x", mask="mask", axis=3, width=2):
            nodes = [("MatMul", "x w", "h", {}), ("MatMul", f"{first} w", "q", {}),
                     ("MatMul", "x v" if width == 4 else "x w", "k", {}), ("MatMul", "x v" if width == 4 else "x w", "v1", {})]
            for name in ("q", "k", "v1"):
                nodes += [("Reshape", f"{name} shape", f"{name}4", {}), ("Transpose", f"{name}4", f"{name}t", {
                    "perm": [0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]})]
            last = {} if axis is None else {"axis": axis}
            return nodes + [("MatMul", "qt kt", "s", {}), ("Add", f"s {mask}", "s2", {}), ("Softmax", "s2", "p", last),
                            ("MatMul", "p v1t", "y", {})]

        earlier = numpy.tril(numpy.full((3, 3), -numpy.inf, "f4"), -1)
        given = {"w": w, "v": v, "shape": numpy.array([0, 3, 2, 2]), "mask": numpy.zeros((3, 3), "f4"), "earlier": earlier}
        self.refuses('node "the s2" (Add): a mask', ["n", 3, 4], heads(mask="earlier"), given)
        self.refuses('node "the y" (MatMul): attention between sequences', ["n", 3, 4], heads(first="h"), given)
        self.refuses('node "the p" (Softmax): over the axes from 1 on', ["n", 3, 4], heads(axis=None), given, opset=12)
        one = {**given, "shape": numpy.array([0, 3, 4, 1]), "w": self.draw(4, 4)}
        few = [(op, "x u" if inputs == "x w" else inputs, out, kind) for op, inputs, out, kind in heads()]
        self.refuses('node "the y" (MatMul): 2 heads of 1 and 1 values: 4 values in all', ["n", 3, 4], few,
                     {**one, "u": self.draw(4, 2), "shape": numpy.array([0, 3, 2, 1])})

    def test_layers_that_do_not_follow_one_another(self):
        w, c = self.draw(4, 4), self.draw(1, 1, 1, 1)
        self.refuses('node "the y" (Conv): its input, 2x1x2x2, is what dense gives as 4x1x1', ["n", 4],
                     [("MatMul", "x w", "a", {}), ("Reshape", "a shape", "b", {}), ("Conv", "b c", "y", {})],
                     {"w": w, "c": c, "shape": numpy.array([0, 1, 2, 2])})
        self.refuses('node "the y" (Tanh): the activation tanh behind relu: one a layer', ["n", 1, 4, 4],
                     [("Conv", "x c", "a", {}), ("Relu", "a", "b", {}), ("MaxPool", "b", "d", {"kernel_shape": [2, 2]}),
                      ("Tanh", "d", "y", {})], {"c": c})
        self.refuses('node "the y" (Add): constants behind relu', ["n", 4],
                     [("MatMul", "x w", "a", {}), ("Relu", "a", "b", {}), ("Add", "b d", "y", {})],
                     {"w": w, "d": self.draw(4)})
        self.refuses('node "the y" (Add): constants that differ from sample to sample', [5, 4],
                     [("MatMul", "x w", "a", {}), ("Add", "a d", "y", {})], {"w": w, "d": self.draw(5, 4)})
        self.refuses('node "the b" (Mul): inputs times a number that is not above 0', ["n", 4],
                     [("Mul", "x d", "b", {}), ("MatMul", "b w", "y", {})], {"w": w, "d": -numpy.ones(4, "f4")})
        self.refuses('node "the y" (Div): a norm over axes (1,) of 2x4x4',
                     ["n", 4, 4], [("MatMul", "x w", "a", {}), ("ReduceMean", "a", "m", {"axes": [1]}), ("Sub", "a m", "c", {}),
                                   ("Mul", "c c", "s", {}), ("ReduceMean", "s", "v", {"axes": [1]}), ("Sqrt", "v", "d", {}),
                                   ("Div", "c d", "y", {})], {"w": w})
        four = [self.draw(4) for _ in range(4)]
        self.refuses('node "the y" (BatchNormalization): a norm of 2x4x4', ["n", 4, 4], [
            ("MatMul", "x w", "a", {}), ("Transpose", "a", "t", {"perm": [0, 2, 1]}),
            ("BatchNormalization", "t g b m v", "y", {})], {"w": w, **dict(zip("gbmv", four))})
        self.refuses('node "the y" (Gemm): transA', [4, 4], [("Gemm", "x w", "y", {"transA": 1})], {"w": w})
        self.refuses('node "the y" (Gather): rows of a table', ["n", 4], [("Gather", "t x", "y", {})],
                     {"t": self.draw(3, 2, 2)}, kind=TensorProto.INT64)

    def test_sums_are_four_deep_at_most(self):
        w, nodes = self.draw(3, 3), [("MatMul", "x w", "a0", {})]
        for i in range(5):
            nodes += [("MatMul", f"a{i} w", f"b{i}", {}), ("Tanh", f"b{i}", f"a{i + 1}", {})]
        last = "a5"
        for i in range(4, -1, -1):
            nodes += [("Add", f"{last} a{i}", f"s{i}", {}), ("Relu", f"s{i}", f"r{i}", {})]
            last = f"r{i}"
        self.refuses("sums inside of sums 5 deep: 4 are allowed", ["n", 3], nodes, {"w": w}, output="r0")
        self.model(["n", 3], nodes[:-2], {"w": w}, output="r1")
        self.assertEqual(self.imported()[0].count("<residual"), 4)

    def test_whole_models(self):
        w, dense = self.draw(4, 4), [("MatMul", "x w", "y", {})]
        self.refuses("opset 8: 9 to", [1, 4], dense, {"w": w}, opset=8)
        self.refuses("the weights of layer 0.weight are not finite", [1, 4], dense, {"w": w * numpy.inf})
        self.refuses('input "x" of ? x ? x 4: samples x 1 to 3 sizes', ["n", "t", 4], dense, {"w": w})
        other = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])
        self.refuses("2 inputs and 1 outputs: one of each", [1, 4], dense, {"w": w},
                     change=lambda model: model.graph.input.append(other))
        for data in (b"", b"no model", struct.pack("<Q", 2) + b"{}"):
            with open(self.path("m.onnx"), "wb") as stream:
                stream.write(data)
            status, out, err = self.convert()
            self.assertEqual((status, out, err.count("\n"), "no ONNX model" in err), (2, "", 1, True), err)
        os.remove(self.path("m.onnx"))
        self.assertIn("cannot be read", self.convert()[2])


TRAINED = """<scenario name="out" seed="1">
  <platform file="{source}/platforms/pi4-gigabit-3.xml"/>
  <network file="out.xml"/>
  {data}
  <training batch="8" epochs="1" learning-rate="0.05" optimizer="sgd"/>
  <strategy label="single" kind="single"/>
</scenario>
"""
IMAGES = """<network name="images" input="4x7x6">
  <conv2d outputs="6" kernel="3" padding="1x0" stride="1x2" groups="2"/>
  <batchnorm activation="silu" epsilon="0.001"/>
  <groupnorm groups="3" activation="gelu"/>
  <residual activation="hardswish">
    <conv2d outputs="8" kernel="1" bias="no" activation="relu6"/><maxpool kernel="3x1" stride="1" padding="1x0"/>
    <shortcut><conv2d outputs="8" kernel="1" activation="identity"/></shortcut>
  </residual>
  <avgpool kernel="2" stride="1" padding="1"/>
  <layernorm/>
  <dropout rate="0.5"/>
  <residual hidden="5" activation="tanh" repeat="2"/>
  <avgpool/>
  <dense outputs="3" activation="sigmoid"/>
  <dense outputs="3" bias="no"/>
</network>
"""
TOKENS = """<network name="tokens" input="8">
  <embedding outputs="6" vocabulary="256"/><attention heads="2" causal="yes"/><layernorm over="tokens" epsilon="0.01"/>
  <residual><attention heads="3"/></residual>
  <dense over="tokens" outputs="5" activation="gelu"/><dense over="tokens" outputs="256"/>
</network>
"""
TABLE = '<network name="table" input="3"><dense outputs="4" activation="tanh"/><dense outputs="2"/></network>'


class Exported(Case):
    def export(self, network, data, rows):
        """Trained a little, then out; the model, and what ringnode makes of the rows."""
        if not RINGNODE or not RINGSIM:
            self.skipTest("no programs")
        with open(self.path("out.xml"), "w", encoding="utf-8") as stream:
            stream.write(network)
        with open(self.path("s.xml"), "w", encoding="utf-8") as stream:
            stream.write(TRAINED.format(source=SOURCE, data=data))
        self.run_program(RINGSIM, "--save", "w.safetensors")
        numpy.save(self.path("x.npy"), rows)
        self.run_program(RINGNODE, "--load", "w.safetensors", "--predict", "x.npy", "--out", "y.npy")
        self.assertEqual(self.run_export(self.path("s.xml"))[0], 0)
        return onnx.load(self.path("m.onnx")), numpy.load(self.path("y.npy"))

    def run_program(self, program, *words):
        done = subprocess.run([program, "s.xml", *words, "--quiet"], cwd=self.folder, capture_output=True, text=True,
                              timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def run_export(self, network, load="w.safetensors"):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = onnx_export.main([network, "--load", self.path(load), "-o", self.path("m.onnx")])
        return status, err.getvalue()

    def agrees(self, rows, wanted):
        outputs = onnx_run.outputs_of(self.path("m.onnx"), rows)
        self.assertEqual(outputs.shape, wanted.shape)
        numpy.testing.assert_allclose(outputs, wanted, rtol=0, atol=1e-5)

    def write_images(self):
        images = self.random.integers(0, 256, (24, 4, 7, 6), numpy.uint8)
        numpy.save(self.path("images.npy"), images)
        numpy.save(self.path("labels.npy"), numpy.arange(24) % 3)
        return images.astype("f4"), '<data kind="npy" x="images.npy" y="labels.npy"/>'

    def test_every_layer_of_images_goes_out(self):
        rows, data = self.write_images()
        model, wanted = self.export(IMAGES, data, rows)
        self.assertGreater(numpy.abs(wanted - wanted[0]).max(), 1e-4)
        self.agrees(rows, wanted)
        self.assertEqual(sizes_of(model.graph.input[0]), ["n", 4, 7, 6])
        self.assertEqual(sizes_of(model.graph.output[0]), ["n", 3])

    def test_every_layer_of_tokens_goes_out_and_comes_back(self):
        with open(self.path("words"), "w", encoding="utf-8") as stream:
            stream.write("the quick brown fox jumps over the lazy dog, " * 10)
        rows = self.random.integers(0, 256, (5, 8))
        _, wanted = self.export(TOKENS, '<data kind="text" file="words" context="8"/>', rows)
        self.agrees(rows, wanted)
        self.assertIn('<attention heads="2" causal="yes"/>', self.imported()[0])
        self.gives(rows, wanted)

    def test_standardisation_and_classes_go_out_and_come_back(self):
        values = self.random.normal([5, -300, 0.01], [2, 50, 0.003], (40, 3)).astype("f4")
        with open(self.path("table.csv"), "w", encoding="utf-8") as stream:
            stream.writelines(["a,b,c,kind\n"] + [",".join(map(str, row)) + (",wet\n" if row[0] > 5 else ",dry\n")
                                                  for row in values])
        model, wanted = self.export(TABLE, '<data kind="csv" file="table.csv"/>', values)
        self.agrees(values, wanted)
        self.assertEqual({entry.key: entry.value for entry in model.metadata_props}["class_names"], "dry\nwet")
        told, back = netfiles.read_checkpoint(self.path("w.safetensors"))[0], self.imported()[1]
        self.assertEqual(back["class_names"], "dry\nwet")
        numpy.testing.assert_allclose(*([float(v) for v in one["inputs_mean"].split(",")] for one in (told, back)), rtol=1e-6)
        self.gives(values, wanted)

    def test_what_does_not_fit_is_refused(self):
        rows, data = self.write_images()
        self.export(IMAGES, data, rows)
        os.remove(self.path("m.onnx"))

        def refuses(words, network, load="w.safetensors"):
            with open(self.path("out.xml"), "w", encoding="utf-8") as stream:
                stream.write(network)
            status, err = self.run_export(self.path("out.xml"), load)
            there = os.path.exists(self.path("m.onnx"))
            self.assertEqual((status, err.count("\n"), words in err, there), (2, 1, True, False), err)

        refuses('tensor "11.bias" is missing: it is needed, of shape [3]', IMAGES.replace(' bias="no"/>\n</net', "/>\n</net"))
        refuses('tensor "10.weight" has the shape [3, 8]: it is needed, of shape [4, 8]',
                IMAGES.replace('outputs="3" activation="sigmoid"', 'outputs="4" activation="sigmoid"'))
        refuses('tensor "11.weight" is none of the network\'s', IMAGES.replace('<dense outputs="3" bias="no"/>', ""))
        refuses("<lstm>: dense, conv2d", IMAGES.replace("<avgpool/>", "<lstm/>"))
        refuses("cannot be read", "<network")
        refuses("a network file is wanted", "<platform/>")
        with open(self.path("w.safetensors"), "rb") as stream:
            whole = stream.read()
        for name, some, words in (("a", whole[:-1], "is truncated"), ("b", whole[:5], "no safetensors file"),
                                  ("c", struct.pack("<Q", 4) + b"[[[[", "none of safetensors")):
            with open(self.path(name), "wb") as stream:
                stream.write(some)
            refuses(words, IMAGES, name)
        refuses("cannot be read", IMAGES, "absent")
        told, tensors = netfiles.read_checkpoint(self.path("w.safetensors"))
        for name, data, words in (
                ("d", netfiles.checkpoint_bytes({**told, "inputs_mean": "1,2"}, tensors), 'metadata "inputs_mean": 2 numbers'),
                ("e", whole.replace(b'"F32"', b'"F16"', 1), "has the type F16: F32 is allowed")):
            with open(self.path(name), "wb") as stream:
                stream.write(data)
            refuses(words, IMAGES, name)


def sizes_of(proto):
    return [dim.dim_param or dim.dim_value for dim in proto.type.tensor_type.shape.dim]


if __name__ == "__main__":
    unittest.main()
