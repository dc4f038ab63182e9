#!/usr/bin/python3
"""Networks and data that do not go together, as a user has them: told in one line, with file and line, and nothing is written.

Happy path: for each case a network file and a scenario are written, and ringsim of BUILD, asked for all its files, ends with
status 2, one line on standard error that has the case's words, and no file more than before. Failure mode handled: no numpy
(status 77: skipped).

    test_bad_networks.py BUILD"""

import os
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy
except ImportError as why:
    print(f"skipped: {why}")
    sys.exit(77)

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCENARIO = """<scenario name="bad" seed="1">
  <platform file="{source}/platforms/pi4-gigabit-3.xml"/>
  <network file="net.xml"/>
  {data}
  <training batch="12" epochs="1" learning-rate="0.05"/>
  <strategy label="single" kind="single"/>
</scenario>
"""
NPY = '<data kind="npy" x="{}.npy" y="{}.npy"/>'
GOOD = NPY.format("x", "y")
# What stands on line 2 of a network of 3x8x8, and what is said of it.
LAYERS = (
    ('<conv2d outputs="4" kernel="9"/>', 'kernel="9" of a conv2d layer: 1 to 8 are allowed on an input of 3x8x8'),
    ('<conv2d outputs="4" kernel="3x"/>', 'kernel="3x" of <conv2d>: N and HEIGHTxWIDTH are allowed'),
    ('<conv2d outputs="4" kernel="3" groups="2"/>', 'it must divide the 3 channels of the input and the 4 outputs'),
    ('<conv2d outputs="4" kernel="3" groups="3"/>', 'it must divide the 3 channels of the input and the 4 outputs'),
    ('<maxpool kernel="3" padding="3"/>', "there would be windows without a value"),
    ('<groupnorm groups="2"/>', 'it must divide the 3 channels'),
    ('<dropout rate="1"/>', "0 to below 1 is allowed"),
    ('<attention heads="3"/>', 'heads="3" of an attention layer: it must divide the 64 values of a token'),
    ('<dense outputs="4" activation="swish"/>', "hardswish, silu and gelu are allowed"),
    ('<lstm outputs="4"/>', "unknown layer <lstm>: dense, residual, conv2d"),
    ('<conv2d outputs="4" kernel="3" dilation="2"/>', 'unknown attribute "dilation" of <conv2d>'),
    ('<dense outputs="4"/><embedding outputs="4" vocabulary="9"/>', "an embedding layer can only be the first"),
    ('<residual><conv2d outputs="4" kernel="3" padding="1"/></residual>', "makes 4x8x8 of 3x8x8, its input is 3x8x8: only equal"),
    ('<residual><conv2d outputs="3" kernel="3"/></residual>', "makes 3x6x6 of 3x8x8, its input is 3x8x8: only equal shapes"),
    ('<residual><dense outputs="4"/><shortcut><dense outputs="5"/></shortcut></residual>',
     "makes 4x1x1 of 3x8x8, its <shortcut> 5x1x1: only equal shapes"),
    ('<residual><dense outputs="4"/><shortcut/></residual>', "<shortcut> needs layers"),
    ('<shortcut><dense outputs="4"/></shortcut>', "unknown layer <shortcut>"),
    ("<residual>" * 5 + '<dense outputs="192"/>' + "</residual>" * 5, "is the 5th inside others: 4 are allowed"),
)
TOKENS = '<network name="n" input="8">\n<embedding outputs="4" vocabulary="9"/>\n<dense outputs="4"/></network>'
BYTES = '<network name="n" input="8">\n<embedding outputs="4" vocabulary="{}"/>\n<dense over="tokens" outputs="{}"/></network>'


def network(size="3x8x8", layers="", outputs=4):
    return f'<network name="n" input="{size}">\n{layers}\n<dense outputs="{outputs}"/></network>'


class Refusals(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = holder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def save(self, **arrays):
        for name, values in arrays.items():
            numpy.save(self.path(name + ".npy"), values)

    def save_images(self):
        self.x, self.y = numpy.zeros((60, 3, 8, 8), "f4"), numpy.arange(60) % 4
        self.save(x=self.x, y=self.y)

    def run_one(self, net, data):
        for name, text in ("net.xml", net), ("s.xml", SCENARIO.format(source=SOURCE, data=data)):
            with open(self.path(name), "w", encoding="utf-8") as stream:
                stream.write(text)
        return subprocess.run([os.path.join(BUILD, "ringsim"), "s.xml", "--json", "r.json", "--save", "w.safetensors",
                               "--save-best", "b.safetensors", "--trace", "t.json", "--quiet"],
                              cwd=self.folder, capture_output=True, text=True, timeout=60)

    def refuses(self, words, net, data=GOOD):
        before = set(os.listdir(self.folder)) | {"net.xml", "s.xml"}
        done = self.run_one(net, data)
        self.assertEqual((done.returncode, done.stdout), (2, ""), (words, done))
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(words, done.stderr)
        self.assertEqual(set(os.listdir(self.folder)), before)
        return done.stderr

    def accepts(self, net, data=GOOD):
        done = self.run_one(net, data)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        for name in "r.json", "w.safetensors", "b.safetensors", "t.json":
            os.remove(self.path(name))

    def test_layers(self):
        self.save_images()
        self.accepts(network())
        for layers, words in LAYERS:
            said = self.refuses(words, network(layers=layers))
            self.assertTrue(said.startswith("net.xml:2: "), said)

    def test_ends(self):
        """What goes in and comes out, held against the data."""
        self.save_images()
        self.refuses("s.xml:3: network net.xml takes 216 inputs (3x8x9), a sample of the data (line 4) has 192 (3x8x8)",
                     network("3x8x9"))
        self.refuses("takes 192 inputs (8x3x8), a sample of the data (line 4) has 192 (3x8x8)", network("8x3x8"))
        self.accepts(network("192"))
        self.save(x=self.x.transpose(0, 2, 3, 1).copy())
        self.accepts(network())  # channels last
        self.save(x=self.x.reshape(60, 24, 8))
        self.refuses("takes 192 inputs (3x8x8), a sample of the data (line 4) has 192 (1x24x8)", network())
        self.accepts(network("24x1x8"))
        for outputs in 3, 5:
            self.refuses(f"net.xml:3: the last layer has {outputs} outputs, the data at s.xml:4 has 4 classes",
                         network("24x8", outputs=outputs))
        numbers = network("24x8").replace("<network", '<network loss="mean-squared-error"')
        self.refuses("the last layer has 4 outputs, the data at s.xml:4 has 1 numbers to come near to", numbers)

    def test_arrays(self):
        self.save_images()
        self.save(fortran=numpy.asfortranarray(self.x + numpy.arange(8)), complex=self.x.astype("c8"), text=self.x.astype("U4"),
                  half=self.x.astype("f2"), few=self.y[:59], fraction=self.y + 0.5, beyond=numpy.append(self.y[:59], 9))
        with open(self.path("x.npy"), "rb") as stream:
            whole = stream.read()
        for name, some in ("cut", whole[:-1]), ("none", b""), ("long", whole + b"1"), ("other", b"PNG" + whole):
            with open(self.path(name + ".npy"), "wb") as stream:
                stream.write(some)
        for x, words in (("fortran", "fortran.npy: values in Fortran's order"), ("complex", "complex.npy: values of type '<c8'"),
                         ("text", "text.npy: values of type '<U4'"), ("half", "half.npy: values of type '<f2'"),
                         ("cut", "cut.npy: truncated"), ("none", "none.npy: truncated"), ("long", "long.npy: longer than"),
                         ("other", "other.npy: not in npy format"), ("absent", 's.xml:4: x "absent.npy" cannot be read')):
            self.refuses(words, network(), NPY.format(x, "y"))
        for y, words in (("few", "few.npy: 59 labels: 60 are allowed"), ("fraction", "fraction.npy: label 0.5 of sample 0"),
                         ("beyond", 'has 5 classes, "0", "1", "2", "3", "9"')):
            self.refuses(words, network(), NPY.format("x", y))
        self.refuses('s.xml:4: classes="3": y.npy has 4 different labels', network(outputs=3),
                     GOOD.replace("/>", ' classes="3"/>'))

    def test_tokens(self):
        tokens = numpy.arange(480).reshape(60, 8) % 9
        for name, value in ("tokens", 1), ("nine", 9), ("negative", -1), ("half", 0.5):
            changed = tokens.astype("f4" if name == "half" else "i8")
            changed[59, 7] = value
            self.save(**{name: changed}, y=numpy.arange(60) % 4)
        self.accepts(TOKENS, NPY.format("tokens", "y"))
        for name, value in ("nine", "9"), ("negative", "-1"), ("half", "0.5"):
            self.refuses(f"s.xml:4: an input of a sample is {value}: the network's embedding takes tokens, whole numbers from 0 "
                         "to 8", TOKENS, NPY.format(name, "y"))
        self.refuses("the network's embedding takes tokens", TOKENS, NPY.format("tokens", "y").replace("/>", ' scale="standard"/>'))
        self.accepts(TOKENS, '<data kind="random" inputs="8" classes="4"/>')

    def test_text(self):
        with open(self.path("words"), "w", encoding="utf-8") as stream:
            stream.write("abc" * 10)
        self.refuses("s.xml:4: words has 30 bytes: a window of 8", BYTES.format(256, 256),
                     '<data kind="text" file="words" context="8"/>')
        with open(self.path("words"), "a", encoding="utf-8") as stream:
            stream.write("abc" * 100)
        for context in 8, 1:
            self.refuses('net.xml:2: vocabulary="100": the data at s.xml:4 has tokens from 0 to 255',
                         BYTES.format(100, 256).replace('"8"', f'"{context}"'),
                         f'<data kind="text" file="words" context="{context}"/>')
        self.refuses("net.xml:3: the last layer has 800 outputs, the data at s.xml:4 has 2048 logits, of 256 classes for each of 8",
                     BYTES.format(256, 100), '<data kind="text" file="words" context="8"/>')

    def test_cifar(self):
        rows = numpy.zeros((20, 3073), "u1")
        rows[:, 0] = numpy.arange(20) % 10
        net, data = network("3x32x32", outputs=10), '<data kind="cifar10" file="batch.bin"/>'
        rows.tofile(self.path("batch.bin"))
        self.accepts(net, data)
        rows.reshape(-1)[:-5].tofile(self.path("batch.bin"))
        self.refuses("batch.bin: 61455 bytes, which is no whole number of records of 3073", net, data)
        rows[4, 0] = 12
        rows.tofile(self.path("batch.bin"))
        self.refuses("batch.bin: label 12 of image 4: 0 to 9 are allowed", net, data)


if __name__ == "__main__":
    BUILD = os.path.abspath(sys.argv.pop(1))
    unittest.main()
