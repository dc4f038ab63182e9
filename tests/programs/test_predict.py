#!/usr/bin/python3
"""Outputs for rows of one's own: --load W --predict X --out Y, by one process and round a ring; --load W --evaluate.

Happy path: small networks are trained for an epoch; what ringnode and ringsim make of rows is held against the same
computed here from the checkpoint, and a ring's file against one process's, to the bit; and what is told of all samples. Failure modes handled: no numpy
(status 77: skipped).

    test_predict.py BUILD"""

import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

try:
    import numpy
except ImportError as why:
    print(f"skipped: {why}")
    sys.exit(77)

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
from ports import free_ports  # noqa: E402
SCENARIO = """<scenario name="predict" seed="1">
  <platform file="{source}/platforms/pi4-gigabit-3.xml"/>
  <network file="network.xml"/>
  {data}
  <training batch="12" epochs="1" learning-rate="0.05" optimizer="sgd"/>
  <strategy label="single" kind="single"/>
  <strategy label="ring" kind="ring_pipeline"/>
  <strategy label="turns" kind="ring_pipeline" schedule="interleaved" nodes="2" chunks="2"/>
  <strategy label="sum" kind="ring_allreduce"/>
</scenario>
"""
FLAT = """<network name="flat" input="{inputs}">
  <dense outputs="{width}" activation="tanh"/><dense outputs="8" activation="relu"/>
  <dense outputs="7" activation="sigmoid"/><dense outputs="{outputs}"/>
</network>
"""
IMAGES = """<network name="images" input="3x6x5">
  <conv2d outputs="4" kernel="3" activation="relu"/><batchnorm/><dense outputs="5" activation="tanh"/><dense outputs="3"/>
</network>
"""
TOKENS = """<network name="tokens" input="8">
  <embedding outputs="6" vocabulary="256"/><attention heads="2" causal="yes"/><layernorm over="tokens"/>
  <dense over="tokens" outputs="256"/>
</network>
"""


def read_checkpoint(path):
    with open(path, "rb") as stream:
        header = json.loads(stream.read(struct.unpack("<Q", stream.read(8))[0]))
        rest = stream.read()
    told = header.pop("__metadata__")
    return told, {name: numpy.frombuffer(rest[slice(*entry["data_offsets"])], "<f4").astype(float).reshape(entry["shape"])
                  for name, entry in header.items()}


def outputs_by_hand(x, tensors):
    """Of the network FLAT."""
    acts = [numpy.tanh, lambda z: numpy.maximum(z, 0), lambda z: 1 / (1 + numpy.exp(-z)), lambda z: z]
    for i, act in enumerate(acts):
        x = act(x @ tensors[f"{i}.weight"].T + tensors[f"{i}.bias"])
    return x


class Case(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = holder.name
        self.random = numpy.random.default_rng(5)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as stream:
            stream.write(text)

    def run_program(self, program, *options):
        return subprocess.run([os.path.join(BUILD, program), "scenario.xml", *options], cwd=self.folder,
                              capture_output=True, text=True, timeout=120)

    def train(self, network, data):
        self.write("network.xml", network)
        self.write("scenario.xml", SCENARIO.format(source=SOURCE, data=data))
        done = self.run_program("ringsim", "--strategy", "single", "--save", "w.safetensors", "--quiet")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def predict(self, rows, *options, program="ringnode", load="w.safetensors"):
        """Outputs, and what was printed."""
        if not isinstance(rows, str):
            numpy.save(self.path("x.npy"), rows)
        done = self.run_program(program, "--load", load, "--predict", rows if isinstance(rows, str) else "x.npy",
                                "--out", "y.npy", *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        outputs = numpy.load(self.path("y.npy"))
        os.remove(self.path("y.npy"))
        self.assertEqual(outputs.dtype, numpy.dtype("<f4"))
        return outputs, done.stdout

    def train_table(self, width=9):
        """Three inputs far from 0, two classes with names; a file without a header's surprises."""
        values = self.random.normal([5, -300, 0.01], [2, 50, 0.003], (60, 3))
        lines = [",".join(f"{v:.9g}" for v in row) + "," + ("wet" if row[0] > 5 else "dry") for row in values]
        self.write("table.csv", "a,b,c,kind\n" + "\n".join(lines) + "\n")
        self.train(FLAT.format(width=width, inputs=3, outputs=2), '<data kind="csv" file="table.csv"/>')

    def train_images(self):
        self.images = self.random.integers(0, 256, (40, 3, 6, 5), numpy.uint8)
        numpy.save(self.path("images.npy"), self.images)
        numpy.save(self.path("labels.npy"), numpy.arange(40) % 3)
        self.train(IMAGES, '<data kind="npy" x="images.npy" y="labels.npy"/>')


class Outputs(Case):
    def test_a_table_is_standardised_as_in_training(self):
        self.train_table()
        told, tensors = read_checkpoint(self.path("w.safetensors"))
        rows = self.random.normal([5, -300, 0.01], [2, 50, 0.003], (97, 3))
        x = (rows - numpy.array(told["inputs_mean"].split(","), float)) \
            / numpy.array(told["inputs_deviation"].split(","), float)
        x = outputs_by_hand(x, tensors)
        outputs, said = self.predict(rows)
        self.assertEqual(outputs.shape, (97, 2))
        numpy.testing.assert_allclose(outputs, x, rtol=0, atol=1e-5)
        likely = [told["class_names"].split("\n")[c] for c in x.argmax(1)]
        wanted = [f"{likely.count(name):8}  {name}" for name in told["class_names"].split("\n") if name in likely]
        self.assertEqual(said.splitlines()[1:], wanted)
        self.assertEqual(self.predict(rows, program="ringsim")[0].tobytes(), outputs.tobytes())
        missing = rows[:2].copy()
        missing[1, 1] = numpy.nan
        mean = missing.copy()
        mean[1, 1] = float(told["inputs_mean"].split(",")[1])
        numpy.testing.assert_allclose(self.predict(missing)[0], self.predict(mean)[0], rtol=0, atol=1e-5)

    def test_rings_give_the_bits_of_one_process(self):
        self.train_table()
        for count in (1, 32, 33, 200):
            rows = self.random.normal([5, -300, 0.01], [2, 50, 0.003], (count, 3))
            alone = self.predict(rows, "--quiet")
            self.assertEqual(alone[1], "")
            for strategy in ("ring", "turns", "sum"):
                outputs, said = self.predict(rows, "--local", "--strategy", strategy)
                self.assertEqual(outputs.tobytes(), alone[0].tobytes(), strategy)
                self.assertEqual(sum(int(line.split()[0]) for line in said.splitlines()[1:]), count)

    def test_bytes_are_divided_as_in_training(self):
        self.train_images()
        self.assertEqual(read_checkpoint(self.path("w.safetensors"))[0]["inputs_divisor"], "255")
        outputs = self.predict(self.images)[0]
        self.assertGreater(numpy.abs(outputs - outputs[0]).max(), 1e-3)
        for rows in (self.images.astype("f8"), self.images.astype(">i4"), self.images.reshape(40, -1),
                     numpy.ascontiguousarray(self.images.transpose(0, 2, 3, 1))):
            self.assertEqual(self.predict(rows)[0].tobytes(), outputs.tobytes())
        half = self.predict(self.images // 2)[0]
        self.assertGreater(numpy.abs(half - outputs).max(), 1e-3)

    def test_integers_are_what_training_made_of_them(self):
        """Bytes are divided by 255, others by the largest of those that trained."""
        for kind, most in (("u1", 255.0), (">i2", None)):
            rows = self.random.integers(0, 200, (40, 6)).astype(kind)
            numpy.save(self.path("rows.npy"), rows)
            numpy.save(self.path("labels.npy"), numpy.arange(40) % 2)
            self.train(FLAT.format(width=9, inputs=6, outputs=2), '<data kind="npy" x="rows.npy" y="labels.npy"/>')
            told, tensors = read_checkpoint(self.path("w.safetensors"))
            divisor = float(told["inputs_divisor"])
            self.assertTrue(divisor == most if most else 150 < divisor <= rows.max(), divisor)
            numpy.testing.assert_allclose(self.predict(rows)[0], outputs_by_hand(rows / divisor, tensors), rtol=0, atol=1e-5)

    def test_tokens_have_outputs_each(self):
        self.write("words", "the quick brown fox jumps over the lazy dog, " * 20)
        self.train(TOKENS, '<data kind="text" file="words" context="8"/>')
        rows = self.random.integers(0, 256, (40, 8))
        outputs, said = self.predict(rows)
        self.assertEqual((outputs.shape, said), ((40, 8, 256), ""))
        changed = rows.copy()
        changed[:, 5] = (changed[:, 5] + 1) % 256  # causal: what comes before does not see it
        other = self.predict(changed)[0]
        numpy.testing.assert_array_equal(other[:, :5], outputs[:, :5])
        self.assertTrue((other[:, 5] != outputs[:, 5]).any(1).all())

    def test_data_and_platform_need_not_be_there(self):
        self.train_table()
        os.remove(self.path("table.csv"))
        self.predict(numpy.ones((2, 3)), "--set", "platform=absent.xml")


class Scores(Case):
    def scores(self, *options, program="ringsim"):
        """What --evaluate prints: of each part the numbers, by heading."""
        done = self.run_program(program, "--load", "w.safetensors", "--evaluate", *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        head, *rows = [line.split() for line in done.stdout.splitlines()]
        return {row[0]: dict(zip(head, [word for word in row[1:] if word != "%"])) for row in rows}

    def last_test(self):
        with open(self.path("r.json"), encoding="utf-8") as stream:
            return json.load(stream)["runs"][0]["final"]

    def train_parts(self, network, data):
        self.train(network, data)
        done = self.run_program("ringsim", "--strategy", "single", "--quiet", "--json", "r.json")
        self.assertEqual(done.returncode, 0, done)

    def test_labels(self):
        """Parts of 291 and 9 rows, in the order of the file: more than one block, and outputs by --predict."""
        values = self.random.normal(size=(300, 3))
        numpy.save(self.path("x.npy"), values.astype("f4"))
        numpy.save(self.path("t.npy"), values[:, 0] > 0)
        self.train_parts(FLAT.format(width=9, inputs=3, outputs=2),
                         '<data kind="npy" x="x.npy" y="t.npy" test="9" split="order" scale="standard"/>')
        logits, classes = self.predict(values.astype("f4"))[0].astype(float), (values[:, 0] > 0).astype(int)
        losses = numpy.log(numpy.exp(logits).sum(1)) - logits[numpy.arange(300), classes]
        right = logits.argmax(1) == classes
        for program in "ringsim", "ringnode":
            scores = self.scores(program=program)
            self.assertEqual(set(scores), {"train", "test"})
            for part, rows in ("train", slice(291)), ("test", slice(291, None)):
                self.assertEqual(int(scores[part]["samples"]), len(right[rows]))
                self.assertAlmostEqual(float(scores[part]["loss"]), losses[rows].mean(), delta=1e-5)
                self.assertAlmostEqual(float(scores[part]["accuracy"]), 100 * right[rows].mean(), delta=0.0501)
        self.assertEqual(scores["test"]["loss"], f"{self.last_test()['loss']:.6g}")

    def test_tokens(self):
        self.write("words", "the quick brown fox jumps over the lazy dog, " * 20)
        self.train_parts(TOKENS, '<data kind="text" file="words" context="8" stride="3"/>')
        scores, last = self.scores(), self.last_test()
        text = numpy.frombuffer(("the quick brown fox jumps over the lazy dog, " * 20).encode(), "u1")
        windows = numpy.stack([text[at:at + 9] for at in range(0, 810 - 8, 3)]).astype(int)
        logits = self.predict(windows[:, :-1])[0].astype(float)
        losses = numpy.log(numpy.exp(logits).sum(2)) - numpy.take_along_axis(logits, windows[:, 1:, None], 2)[:, :, 0]
        self.assertEqual(int(scores["train"]["samples"]), len(windows))
        self.assertAlmostEqual(float(scores["train"]["loss"]), losses.mean(), delta=1e-5)
        self.assertAlmostEqual(float(scores["train"]["bits"]), losses.mean() / numpy.log(2), delta=0.005)
        self.assertAlmostEqual(float(scores["train"]["perplexity"]) / numpy.exp(losses.mean()), 1, delta=0.005)
        self.assertEqual(scores["test"]["loss"], f"{last['loss']:.6g}")
        self.assertAlmostEqual(float(scores["test"]["bits"]), last["tokens"]["bits"], delta=0.005)

    def test_numbers(self):
        values = self.random.normal(size=(40, 3)).astype("f4")
        wanted = numpy.stack([values[:, 0], 1 + values[:, 1] - values[:, 2]], 1).astype("f4")
        numpy.save(self.path("x.npy"), values)
        numpy.save(self.path("t.npy"), wanted)
        self.train_parts(FLAT.format(width=9, inputs=3, outputs=2).replace("<network", '<network loss="mean-squared-error"'),
                         '<data kind="npy" x="x.npy" y="t.npy" test="10" split="order"/>')
        scores, last = self.scores(), self.last_test()
        outputs = self.predict(values)[0].astype(float)
        error, spread = (outputs - wanted)[:30] ** 2, (wanted[:30] - wanted[:30].mean(0)) ** 2
        self.assertAlmostEqual(float(scores["train"]["loss"]) / error.mean(), 1, delta=1e-5)
        self.assertAlmostEqual(float(scores["train"]["R2"]), (1 - error.sum(0) / spread.sum(0)).mean(), delta=0.005)
        self.assertEqual(scores["test"]["loss"], f"{last['loss']:.6g}")
        self.assertAlmostEqual(float(scores["test"]["R2"]), last["numbers"]["r2"], delta=0.005)

    def test_the_best_and_the_last(self):
        """<stop patience> ends a training that goes up and down; --save-best has kept what its best test had."""
        self.write("network.xml", FLAT.format(width=9, inputs=4, outputs=3))
        text = SCENARIO.format(source=SOURCE, data='<data kind="iris"/>').replace('epochs="1"', 'epochs="400"')
        self.write("scenario.xml", text.replace('rate="0.05"', 'rate="2"').replace("</scenario>", '<stop patience="5"/></scenario>'))
        done = self.run_program("ringsim", "--strategy", "single", "--quiet", "--json", "r.json", "--save", "w.safetensors",
                                "--save-best", "best.safetensors")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        with open(self.path("r.json"), encoding="utf-8") as stream:
            run = json.load(stream)["runs"][0]
        losses = [point["loss"] for point in run["training"]]
        least = losses.index(min(losses))
        self.assertEqual((len(losses), run["best"]["iteration"]), (least + 1 + 5, 10 * (least + 1)))
        self.assertEqual(self.scores()["test"]["loss"], f"{losses[-1]:.6g}")
        os.replace(self.path("best.safetensors"), self.path("w.safetensors"))
        self.assertEqual(self.scores()["test"]["loss"], f"{min(losses):.6g}")
        self.assertGreater(losses[-1], min(losses))

    def test_standardised_as_the_file_says(self):
        """By other rows the deviations would be others; and no platform is read."""
        self.train_table()
        self.write("table.csv", "a,b,c,kind\n" + "6,-300,0.01,wet\n4,-280,0.02,dry\n" * 30)
        told, tensors = read_checkpoint(self.path("w.safetensors"))
        rows = numpy.array([[6, -300, 0.01], [4, -280, 0.02]])
        logits = outputs_by_hand((rows - numpy.array(told["inputs_mean"].split(","), float))
                                 / numpy.array(told["inputs_deviation"].split(","), float), tensors)
        loss = (numpy.log(numpy.exp(logits).sum(1)) - logits[[0, 1], [1, 0]]).mean()  # dry is class 0
        with open(self.path("scenario.xml"), encoding="utf-8") as stream:
            text = stream.read()
        self.write("scenario.xml", text.replace(SOURCE, "/absent"))
        for part in self.scores().values():
            self.assertAlmostEqual(float(part["loss"]), loss, delta=2e-5)


class Endings(Case):
    def test_what_is_interrupted_leaves_nothing(self):
        """A network so wide, and so many rows, that nobody is through with them before."""
        self.train_table(width=20000)
        numpy.save(self.path("x.npy"), numpy.broadcast_to(numpy.float32([5, -300, 0.01]), (4000000, 3)))
        before = sorted(os.listdir(self.folder))
        for options in ((), ("--local", "--strategy", "ring")):
            with subprocess.Popen([os.path.join(BUILD, "ringnode"), "scenario.xml", "--load", "w.safetensors", "--predict",
                                   "x.npy", "--out", "y.npy", *options], cwd=self.folder, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL) as program:
                time.sleep(0.7)
                program.send_signal(signal.SIGINT)
                self.assertEqual((program.wait(60), program.stdout.read()), (130, b""))
            self.assertEqual(sorted(os.listdir(self.folder)), before)


class Meetings(Case):
    def test_ranks_that_train_are_refused(self):
        """Both know it, whoever predicts; nothing is written."""
        self.train_table()
        numpy.save(self.path("x.npy"), numpy.ones((5, 3)))
        train = ("--load", "w.safetensors")
        predict = (*train, "--predict", "x.npy", "--out", "y.npy")
        before = sorted([*os.listdir(self.folder), "hosts"])
        for first, second in ((predict, train), (train, predict)):
            self.write("hosts", "".join(f"127.0.0.1:{port}\n" for port in free_ports(2)))
            ranks = [subprocess.Popen([os.path.join(BUILD, "ringnode"), "scenario.xml", "--strategy", "ring", "--set",
                                       "ring.nodes=2", "--rank", str(rank), "--hosts", "hosts", "--join-timeout", "20",
                                       *options], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                     for rank, options in enumerate((first, second))]
            for rank in ranks:
                out, err = rank.communicate(timeout=60)
                self.assertNotIn(rank.returncode, (0, None), err)
                self.assertIn("another scenario", err)
                self.assertEqual(out, "")
            self.assertEqual(sorted(os.listdir(self.folder)), before)


class Refusals(Case):
    def refuses(self, words, *options, program="ringnode"):
        options = options or ("--load", "w.safetensors", "--predict", "x.npy", "--out", "y.npy")
        before = sorted(os.listdir(self.folder))
        done = self.run_program(program, *options)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done)
        self.assertEqual(len([line for line in done.stderr.splitlines() if not line.startswith("Try ")]), 1, done.stderr)
        self.assertIn(words, done.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def refuses_rows(self, rows, words):
        numpy.save(self.path("x.npy"), rows)
        self.refuses(words)
        self.refuses(words, "--load", "w.safetensors", "--predict", "x.npy", "--out", "y.npy", "--local", "--strategy",
                     "ring")

    def test_rows(self):
        self.train_table()
        good = self.random.normal(size=(40, 3))
        self.refuses_rows(good[:, :2], "x.npy: 64-bit floats in 2 dimensions, 40 x 2: the network's inputs are 3 x 1 x 1")
        self.refuses_rows(good.reshape(40, 3, 1, 1, 1), "1 to 4 dimensions")
        self.refuses_rows(numpy.asfortranarray(good), "x.npy: values in Fortran's order")
        self.refuses_rows(good.astype("c16"), "x.npy: values of type '<c16'")
        self.refuses_rows(good.astype("U5"), "x.npy: values of type '<U5'")
        self.refuses_rows(good * numpy.inf, "x.npy: row 0, value 0")
        bad = good.copy()
        bad[39, 2] = 1e300
        self.refuses_rows(bad, "x.npy: row 39, value 2: 1e+300 is not finite")
        numpy.save(self.path("x.npy"), good)
        with open(self.path("x.npy"), "rb") as stream:
            whole = stream.read()
        for some, words in ((whole[:-1], "truncated"), (whole[:50], "truncated"), (whole + b"0", "longer than"),
                            (b"", "truncated"), (b"PK" + whole[2:], "an archive")):
            with open(self.path("x.npy"), "wb") as stream:
                stream.write(some)
            self.refuses("x.npy: " + ("" if words != "truncated" else words))
            self.refuses(words, program="ringsim")

    def test_values_that_are_missing_want_a_mean(self):
        self.train_images()
        rows = self.images.astype("f4")
        rows[3, 0, 0, 1] = numpy.nan
        self.refuses_rows(rows, "x.npy: row 3, value 1: nan is not finite")
        self.refuses_rows(self.images.reshape(40, 5, 3, 6), "rows x 3 x 6 x 5 or rows x 90 are allowed")

    def test_tokens(self):
        self.write("words", "the quick brown fox jumps over the lazy dog, " * 20)
        self.train(TOKENS, '<data kind="text" file="words" context="8"/>')
        for value in (256, -1, 0.5):
            rows = numpy.zeros((2, 8))
            rows[1, 7] = value
            self.refuses_rows(rows, f"x.npy: row 1, value 7: {value:g} is no token: 0 to 255 are allowed")

    def test_options(self):
        self.train_table()
        numpy.save(self.path("x.npy"), numpy.ones((2, 3)))
        load, rows, out = ("--load", "w.safetensors"), ("--predict", "x.npy"), ("--out", "y.npy")
        self.refuses("--predict: --load FILE (the parameters) and --out FILE", *rows, *out)
        self.refuses("--predict: --load FILE (the parameters) and --out FILE", *rows, *load)
        self.refuses("--out is where the outputs of --predict", *load, *out)
        self.refuses("--json is not allowed", *load, *rows, *out, "--json", "r.json")
        self.refuses("--save is not allowed", *load, *rows, *out, "--save", "r.safetensors")
        self.refuses("--out x.npy: that is the file of --predict", *load, *rows, "--out", "x.npy")
        self.refuses("--out w.safetensors: that is the file of --load", *load, *rows, "--out", "w.safetensors")
        self.refuses("--out absent/y.npy", *load, *rows, "--out", "absent/y.npy")
        self.refuses("absent.npy", *load, "--predict", "absent.npy", *out)
        self.refuses("absent.safetensors", "--load", "absent.safetensors", *rows, *out)
        self.refuses("belongs to one run", *load, *rows, *out, "--local")
        self.refuses("--out x.npy: that is the file of --predict", *load, *rows, "--out", "x.npy", "--local",
                     "--strategy", "ring")
        self.refuses("--evaluate: --load FILE (the parameters) is wanted", "--evaluate")
        self.refuses("--evaluate and --predict: one of them", *load, *rows, *out, "--evaluate")
        self.refuses("--out is where the outputs of --predict", *load, *out, "--evaluate")
        self.refuses("--evaluate trains nothing: --save is not allowed", *load, "--evaluate", "--save", "r.safetensors")
        self.refuses("no --local, --rank, --hosts or --files", *load, "--evaluate", "--local")
        self.refuses("absent.safetensors", "--load", "absent.safetensors", "--evaluate")

    def test_parameters_of_another_network(self):
        self.train_table()
        numpy.save(self.path("x.npy"), numpy.ones((2, 3)))
        self.write("network.xml", FLAT.format(width=9, inputs=3, outputs=4))
        self.refuses("tensor \"3.weight\" has another shape")


if __name__ == "__main__":
    BUILD = os.path.abspath(sys.argv.pop(1))
    unittest.main()
