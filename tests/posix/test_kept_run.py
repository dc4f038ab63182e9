"""ringnode's memory: each rank of a run holds the samples that it uses, and no others.

Real processes over loopback; what they held at most is what the system says of them. 48 MB of samples stand out
against what a process needs anyway. Exit status 77: skipped (no ringnode given)."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests/support"))
from ports import free_ports  # noqa: E402

RINGNODE = os.environ.get("RG_RINGNODE")
TRAIN, TEST, INPUTS = 12000, 3000, 784
SAMPLE = 4 * INPUTS + 1
TRAINING, TESTING = TRAIN * (SAMPLE + 4), TEST * SAMPLE  # bytes, as results count them
SCENARIO = f"""<scenario name="kept" seed="1">
  <platform file="{SOURCE}/platforms/pi4-gigabit-3.xml"/>
  <network file="{SOURCE}/models/networks/mnist-mlp.xml"/>
  <data kind="random" inputs="{INPUTS}" classes="10" train="{TRAIN}" test="{TEST}"/>
  <training batch="64" iterations="3" learning-rate="0.05"/>
  <strategy label="ring" kind="ring_pipeline" nodes="3"/>
  <strategy label="server" kind="parameter_server" nodes="3" servers="1"/>
  <strategy label="all-reduce" kind="ring_allreduce" nodes="3"/>
</scenario>
"""


class Kept(unittest.TestCase):
    def run_ranks(self, label):
        """What ranks 0, 1 and 2 held at most, and what the result counts, both in bytes."""
        with tempfile.TemporaryDirectory() as folder:
            scenario, hosts, result = (os.path.join(folder, name) for name in ("s.xml", "hosts", "result.json"))
            Path(scenario).write_text(SCENARIO)
            Path(hosts).write_text("".join(f"127.0.0.1:{port}\n" for port in free_ports(3)))
            ranks = [subprocess.Popen([RINGNODE, scenario, "--strategy", label, "--rank", str(rank), "--hosts", hosts,
                                       "--quiet", "--json", result if rank == 0 else os.devnull],
                                      stdout=subprocess.DEVNULL) for rank in range(3)]
            held = []
            for rank in ranks:
                _, status, usage = os.wait4(rank.pid, 0)
                rank.returncode = os.waitstatus_to_exitcode(status)
                self.assertEqual(rank.returncode, 0)
                held.append(1024 * usage.ru_maxrss)
            with open(result, encoding="utf-8") as stream:
                counted = [node["memory_bytes"] for node in json.load(stream)["runs"][0]["per_node"]]
        return held, counted

    def expect(self, label, kept):
        """kept: bytes of samples a rank."""
        held, counted = self.run_ranks(label)
        for rank in range(3):
            self.assertGreaterEqual(held[rank], kept[rank])
            self.assertLess(abs(counted[rank] - kept[rank]), 2e6)  # the network has 0.2 MB
        for rank in range(1, 3):
            more = (held[0] - held[rank]) - (kept[0] - kept[rank])
            self.assertLess(abs(more), 2.5 * TESTING, (held, kept))  # rank 0 has two copies more while it tests

    def test_ring(self):
        self.expect("ring", [TRAINING + TESTING, 0, 0])

    def test_server(self):
        self.expect("server", [TESTING, TRAINING, TRAINING])

    def test_all_reduce(self):
        self.expect("all-reduce", [TRAINING + TESTING, TRAINING, TRAINING])


if __name__ == "__main__":
    if not RINGNODE:
        print("skipped: no ringnode")
        sys.exit(77)
    unittest.main()
