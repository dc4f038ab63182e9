#!/usr/bin/python3
"""Inputs that failed, as a user types them: ../shared/inputs, each with what its README says that it must do.

Happy path: the folder is copied with the project's place put in, ringsim of BUILD runs each scenario, and exit status,
words and accuracy are those wanted. Failure mode handled: the folder is absent (all is skipped, with a message)."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INPUTS = os.path.join(os.path.dirname(SOURCE), "shared", "inputs")
BUILD = None


def copy_inputs(folder):
    for name in os.listdir(INPUTS):
        path = os.path.join(INPUTS, name)
        if not os.path.isfile(path):
            continue
        with open(path, "rb") as stream:
            data = stream.read()
        with open(os.path.join(folder, name), "wb") as stream:
            stream.write(data.replace(b"@PROJECT@", SOURCE.encode()))


@unittest.skipUnless(os.path.isdir(INPUTS), "../shared/inputs is absent")
class Inputs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        copy_inputs(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as stream:
            stream.write(text)

    def run_one(self, *args, status=0):
        done = subprocess.run([os.path.join(BUILD, "ringsim"), *args], cwd=self.folder.name, capture_output=True,
                              text=True, timeout=120)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout if status == 0 else done.stderr

    def accuracy(self, text):
        return float(re.search(r"^single .* ([0-9.]+) % ", text, re.M)[1])

    def says(self, text, *words):
        for word in words:
            self.assertIn(word, text)

    def test_label_first(self):
        refusal = self.run_one("label-first.xml", status=2)
        self.says(refusal, "label-first.xml:4: ", "only one class is there", 'column 1 ("label")')
        self.run_one("label-first.xml", "--set", "label=first")

    def test_from_1(self):
        self.says(self.run_one("from-1.xml"), '3 classes, in the order of their labels: "1" is 0, "2" is 1, "3" is 2')

    def test_number_head(self):
        self.says(self.run_one("number-head.xml", status=2), "heading of numbers", "60 samples")
        self.says(self.run_one("number-head.xml", "--set", "train=50"), "the first line (0, 1, ...) is taken for a heading")

    def test_epoch_ms(self):
        accuracies = [self.accuracy(self.run_one("epoch-ms.xml", "--set", f"seed={seed}")) for seed in range(1, 6)]
        self.assertGreater(sum(accuracies) / 5, 97, accuracies)

    def test_letters(self):
        self.says(self.run_one("letters.xml", status=2), "10 outputs", "26 classes")
        self.write("26.xml", '<network name="n" input="2x2"><dense outputs="26"/></network>')
        self.run_one("letters.xml", "--set", "network=" + self.path("26.xml"))

    def test_qmnist(self):
        self.says(self.run_one("qmnist.xml"), "the labels are column 1 of 8")

    def test_load(self):
        text = self.run_one("load.xml", "--load", "iris-trained.safetensors")
        self.assertGreaterEqual(self.accuracy(text), 98)
        self.says(text, "standardised as for the network's training (--load)")

    def test_row_number(self):
        self.says(self.run_one("row-number.xml", status=2), "column 1 (without a name) left out: it numbers the rows")
        with open(self.path("row-number-net.xml"), encoding="utf-8") as stream:
            network = stream.read()
        self.write("one.xml", network.replace('input="2"', 'input="1"'))
        text = self.run_one("row-number.xml", "--set", "network=" + self.path("one.xml"))
        self.assertLess(self.accuracy(text), 65)  # 53.3 %, three classes that one measure hardly parts

    def test_unseen_class(self):
        self.says(self.run_one("unseen-class.xml"), "class 2 has no training sample")

    def test_diverged(self):
        text = self.run_one("diverged.xml")
        self.says(text, "diverged: the loss is", "goal: an accuracy of 95.0 %")
        self.assertNotRegex(text, r"single .* % ")

    def test_data_memory(self):
        text = self.run_one("data-memory.xml")
        self.assertEqual(text.count("does not fit: node 0 needs 660 MB, its board (pi-zero-2w) has 330 MB"), 2)

    def test_traces_do_not_overlap(self):
        trace = self.path("trace.json")
        self.run_one(os.path.join(SOURCE, "scenarios", "iris-3.xml"), "--strategy", "ring", "--trace", trace)
        done = subprocess.run([sys.executable, self.path("trace-overlaps.py"), trace], capture_output=True, text=True)
        self.assertRegex(done.stdout, r"^[1-9]\d* events, 0 overlap")


if __name__ == "__main__":
    BUILD = os.path.abspath(sys.argv.pop(1))
    unittest.main()
