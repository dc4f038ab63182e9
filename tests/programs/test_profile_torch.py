#!/usr/bin/python3
"""analysis/profile_torch.py: what PyTorch takes, as a profile that ringsim takes. Times are not judged."""
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NETWORKS = ("lenet-5", "resnet-20", "mobilenet-v2-35", "sensors-resnet", "gpt-bytes")
BUILD = sys.argv.pop(1)


def profile(network, out, *more):
    return subprocess.run(["/usr/bin/python3", "-B", f"{ROOT}/analysis/profile_torch.py", network, "--window", "0", "-o", out,
                           *more], capture_output=True, text=True)


def data_of(network):
    """Eight samples of it: noise, or text where its inputs are tokens."""
    root = ElementTree.parse(network).getroot()
    if root[0].tag == "embedding":
        return f'kind="text" file="{ROOT}/LICENSE" train="8" test="2"'
    inputs = math.prod(int(size) for size in root.get("input").split("x"))
    return f'kind="random" inputs="{inputs}" classes="{root[-1].get("outputs")}" train="8" test="2"'


class Profiles(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def at(self, name):
        return os.path.join(self.folder, name)

    def test_five(self):
        """Layers as ringsim counts them, none of which takes no time, and an iteration of their sum."""
        for name in NETWORKS:
            network, out = f"{ROOT}/models/networks/{name}.xml", self.at("torch.json")
            done = profile(network, out, "--batches", "2,4", "--optimizer", "momentum")
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(out, encoding="utf-8") as f:
                written = json.load(f)
            self.assertTrue(all(row["forward_s"] > 0 and row["backward_s"] > 0 for row in written["layers"]))
            with open(self.at("s.xml"), "w", encoding="utf-8") as f:
                f.write(f'<scenario name="s" seed="1"><platform file="{ROOT}/platforms/pi5-gigabit-64.xml"/>'
                        f'<network file="{network}"/><data {data_of(network)}/><training batch="4" iterations="4" optimizer="momentum" '
                        'learning-rate="0.01" numerics="skip"/><profile nodes="0" file="torch.json"/>'
                        '<strategy label="one" kind="single"/></scenario>')
            done = subprocess.run([f"{BUILD}/ringsim", self.at("s.xml"), "--quiet", "--json", self.at("r.json")],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(self.at("r.json"), encoding="utf-8") as f:
                run = json.load(f)["runs"][0]
            self.assertIn("PyTorch", run["costs"]["profiles"][0])
            four = [row for row in written["layers"] if row["batch"] == 4]
            want = sum(row["forward_s"] + row["backward_s"] for row in four)
            want += sum(row["update_s"] for row in written["layers"]) / 2
            want += sum(row["fixed_s"] + row["loss_s"] for row in written["steps"] if row["batch"] == 4)
            self.assertAlmostEqual(run["iteration_s"]["mean"] / want, 1, places=9)

    def test_bad(self):
        with open(self.at("bad.xml"), "w", encoding="utf-8") as f:
            f.write('<network name="bad" input="4"><dense outputs="3"/><unknown/></network>')
        for words, said in (((self.at("none.xml"), "--batches", "1"), "none.xml"),
                            ((self.at("bad.xml"), "--batches", "1"), "bad.xml: PyTorch cannot run it"),
                            ((f"{ROOT}/LICENSE", "--batches", "1"), "a network file is wanted"),
                            ((f"{ROOT}/models/networks/lenet-5.xml", "--batches", "2,1"), "that rise")):
            done = profile(words[0], self.at("out.json"), *words[1:])
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(said, done.stderr)
            self.assertFalse(os.path.exists(self.at("out.json")))


if __name__ == "__main__":
    if subprocess.run(["/usr/bin/python3", "-c", "import torch"], capture_output=True).returncode:
        print("skipped: Debian's python3-torch is not installed")
        sys.exit(77)
    unittest.main()
