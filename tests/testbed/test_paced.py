"""Paced runs over loopback and token buckets in the simulator: all that can be said of them without
asking how fast or how quiet this machine is. test_paced.py BUILD_DIR"""

import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import matrix  # noqa: E402
import testbed  # noqa: E402

BUILD = sys.argv.pop() if len(sys.argv) > 1 else os.path.join(testbed.ROOT, "build", "release")
BOARD = os.path.join(testbed.HERE, "board.xml")
RATE = 1e8


class Paced(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.scenario = matrix.write_case(self, "ring", dict(
            matrix.CASES["ring"], strategies=matrix.CASES["ring"]["strategies"][:1]))

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def platform(self, name, speed=1.0, burst=0, nodes=3, **changes):
        props = dict(testbed.datasheet(BOARD, speed), **changes)
        with open(self.path(name), "w", encoding="ascii") as stream:
            stream.write(testbed.platform_text(props, nodes, RATE, burst, 1e-4))
        return self.path(name)

    def run_program(self, program, platform, *options, status=(0,)):
        out = self.path("result.json")
        words = [os.path.join(BUILD, program), self.scenario, "--quiet", "--set",
                 f"platform={platform}", "--set", "iterations=4", "--json", out] + list(options)
        done = subprocess.run(words, capture_output=True, text=True, timeout=400)
        self.assertIn(done.returncode, status, done.stderr)
        if status == (2,):
            return done.stderr
        with open(out, encoding="utf-8") as stream:
            return json.load(stream)["runs"][0]

    def test_a_paced_board_is_no_faster_than_its_datasheet(self):
        slow = self.platform("slow.xml", speed=0.5)
        told = self.run_program("ringsim", slow)
        # invalid on a machine that is busy with other things, but paced all the same
        paced = self.run_program("ringnode", slow, "--local", "--pace", "platform", status=(0, 1))
        for simulated, real in zip(told["per_node"], paced["per_node"]):
            # what a late awakening is made up by is a millisecond a computation at most
            self.assertGreater(real["busy_s"], 0.8 * simulated["busy_s"])
        self.assertEqual(paced["weights_sha256"], told["weights_sha256"])
        self.assertGreater(paced["paced"]["computations"], 4 * 3 * 2)
        self.assertEqual(paced["paced"]["board"], "emulated (paced)")

    def test_a_machine_slower_than_the_board_makes_the_run_invalid(self):
        fast = self.platform("fast.xml", speed=1e9)
        run = self.run_program("ringnode", self.platform("own.xml"), "--local", "--pace", fast,
                               status=(1,))
        self.assertEqual(run["status"], "failed")
        self.assertIn("computations took longer", run["error"])
        self.assertGreater(run["paced"]["overruns"], 0.01 * run["paced"]["computations"])

    def test_no_pace_no_word_of_it(self):
        run = self.run_program("ringnode", self.platform("own.xml"), "--local")
        self.assertNotIn("paced", run)

    def test_a_datasheet_of_too_few_boards_is_refused(self):
        words = self.run_program("ringnode", self.platform("own.xml"), "--local", "--pace",
                                 self.platform("two.xml", nodes=2), status=(2,))
        self.assertIn("has 2 hosts", words)

    def test_a_burst_is_worth_its_bytes_on_every_hop(self):
        plain = self.run_program("ringsim", self.platform("p.xml"))["iteration_s"]["mean"]
        for burst in (1000, 20000):
            with_it = self.run_program("ringsim", self.platform("b.xml", burst=burst))
            # two hops between each pair of three nodes: activations, and gradients back
            self.assertAlmostEqual(plain - with_it["iteration_s"]["mean"],
                                   6 * burst / (RATE / 8), delta=1e-6)

    def test_a_busy_link_has_no_burst_left(self):
        def mean(burst):
            run = self.run_program("ringsim", self.platform("c.xml", 1e6, burst), "--set",
                                   "iterations=40", "--set", "nodes=3", "--set",
                                   "sequential.schedule=ringtmp")
            return run["iteration_s"]["mean"]
        self.assertAlmostEqual(mean(0) / mean(20000), 1, delta=0.02)


if __name__ == "__main__":
    unittest.main()
