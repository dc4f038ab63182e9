"""A parameter server is killed in the middle of a run over sockets: with a replica of its range what was
trained is whole, and saved; without one the result says what is missing.

    test_chain_run.py RINGNODE
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
from ports import free_ports  # noqa: E402

RINGNODE = sys.argv.pop(1)
NODES, SERVERS = 5, 3
SCENARIO = f"""<scenario name="chain" seed="5">
  <platform file="{SOURCE}/platforms/pi4-gigabit-64.xml"/>
  <network file="{SOURCE}/tests/data/odd-widths.xml"/>
  <data kind="random" train="120" test="20" inputs="19" classes="5"/>
  <training batch="24" epochs="20000" learning-rate="0.001" optimizer="momentum"/>
  <strategy label="chain" kind="parameter_server" nodes="{NODES}" servers="{SERVERS}"/>
</scenario>
"""


class Chain(unittest.TestCase):
    def lose(self, replicas, victims):
        """The result of the lowest rank that is left, and whether it has saved anything."""
        with tempfile.TemporaryDirectory() as folder:
            path = lambda name: os.path.join(folder, name)
            with open(path("chain.xml"), "w") as file:
                file.write(SCENARIO)
            with open(path("hosts"), "w") as file:
                file.writelines(f"127.0.0.1:{port}\n" for port in free_ports(NODES))
            ranks = [subprocess.Popen(
                [RINGNODE, path("chain.xml"), "--rank", str(rank), "--hosts", path("hosts"), "--progress", "--set",
                 f"chain.replication={replicas}", "--json", path(f"{rank}.json"), "--save", path(f"{rank}.st")],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE if rank == 0 else subprocess.DEVNULL, text=True)
                for rank in range(NODES)]
            try:
                for line in ranks[0].stderr:  # "chain 4534/100000, 2.5 s", a line a second
                    done = re.search(r"chain (\d+)/", line)
                    if done and int(done.group(1)) > 10:  # so that all have done some
                        break
                for victim in victims:
                    ranks[victim].send_signal(signal.SIGKILL)
                ranks[0].stderr.read()
                codes = [rank.wait(60) for rank in ranks]
            finally:
                for rank in ranks:
                    rank.kill()
                    rank.wait()
                ranks[0].stderr.close()
            left = [rank for rank in range(NODES) if rank not in victims]
            self.assertEqual([codes[rank] for rank in left], [4] * len(left))
            with open(path(f"{left[0]}.json")) as file:
                run = json.load(file)["runs"][0]
            return run, os.path.exists(path(f"{left[0]}.st"))

    def expect_whole(self, replicas, victims):
        run, saved = self.lose(replicas, victims)
        self.assertEqual(run["status"], "lost")
        self.assertIsNone(run["ending"]["missing"])
        self.assertEqual(len(run["weights_sha256"]), 64)
        self.assertGreater(run["iterations"], 0)
        self.assertTrue(saved)

    def test_one_server(self):
        self.expect_whole(1, [1])

    def test_the_first_server(self):
        self.expect_whole(1, [0])

    def test_two_servers(self):
        self.expect_whole(2, [1, 2])

    def test_without_a_replica(self):
        run, saved = self.lose(0, [1])
        self.assertEqual(run["status"], "lost")
        self.assertRegex(run["ending"]["missing"], "layer")
        self.assertIsNone(run["weights_sha256"])
        self.assertFalse(saved)


if __name__ == "__main__":
    unittest.main()
