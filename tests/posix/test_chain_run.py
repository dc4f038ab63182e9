"""A parameter server, or a worker, is killed in the middle of a run over sockets: with a replica of its range
what was trained is whole, and saved, or gone on from with --lose, and nothing is done again; without one the
result says what is missing.

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
EPOCHS = 1000 # enough for a rank to be killed before the end
SCENARIO = f"""<scenario name="chain" seed="5">
  <platform file="{SOURCE}/platforms/pi4-gigabit-64.xml"/>
  <network file="{SOURCE}/tests/data/odd-widths.xml"/>
  <data kind="random" train="120" test="20" inputs="19" classes="5"/>
  <training batch="24" epochs="EPOCHS" learning-rate="0.001" optimizer="momentum"/>
  <strategy label="chain" kind="parameter_server" nodes="{NODES}" servers="{SERVERS}"/>
</scenario>
"""


class Chain(unittest.TestCase):
    def lose(self, victims, *options, epochs=20000, seats=NODES, status=4):
        """The result of the rank that reports, of those that are left, and whether it has saved anything."""
        with tempfile.TemporaryDirectory() as folder:
            path = lambda name: os.path.join(folder, name)
            with open(path("chain.xml"), "w") as file:
                file.write(SCENARIO.replace("EPOCHS", str(epochs)))
            with open(path("hosts"), "w") as file:
                file.writelines(f"127.0.0.1:{port}\n" for port in free_ports(seats))
            ranks = [subprocess.Popen(
                [RINGNODE, path("chain.xml"), "--rank", str(rank), "--hosts", path("hosts"), "--progress",
                 *options, "--json", path(f"{rank}.json"), "--save", path(f"{rank}.st")],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE if rank == 0 else subprocess.DEVNULL, text=True)
                for rank in range(seats)]
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
            left = [rank for rank in range(seats) if rank not in victims]
            self.assertEqual([codes[rank] for rank in left], [status] * len(left))
            reporter, = (rank for rank in left if os.path.exists(path(f"{rank}.json")))
            with open(path(f"{reporter}.json")) as file:
                run = json.load(file)["runs"][0]
            return run, os.path.exists(path(f"{reporter}.st"))

    def expect_whole(self, replicas, victims):
        run, saved = self.lose(victims, "--set", f"chain.replication={replicas}")
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
        run, saved = self.lose([1])
        self.assertEqual(run["status"], "lost")
        self.assertRegex(run["ending"]["missing"], "layer")
        self.assertIsNone(run["weights_sha256"])
        self.assertFalse(saved)

    def goes_on(self, lose, victims, servers, replicas):
        """To the end, with no update lost or done twice; with a spare node to the weights of an undisturbed run."""
        sets = ("--set", f"chain.servers={servers}", "--set", f"chain.replication={replicas}")
        run, saved = self.lose(victims, *sets, "--lose", lose, *(["--set", "spares=1"] if lose == "spare" else []),
                               epochs=EPOCHS, seats=NODES + (lose == "spare"), status=0)
        self.assertEqual((run["status"], saved), ("ok", True))
        self.assertEqual([loss["state"] for loss in run["losses"]], ["copies"] * len(victims), run["losses"])
        self.assertEqual(sum(loss["again"] for loss in run["losses"]), 0)
        self.assertEqual(run["nodes"], NODES - (lose == "shrink") * len(victims))
        if lose == "spare":
            with tempfile.TemporaryDirectory() as folder:
                scenario, result = (os.path.join(folder, name) for name in ("chain.xml", "whole.json"))
                with open(scenario, "w") as file:
                    file.write(SCENARIO.replace("EPOCHS", str(EPOCHS)))
                subprocess.run([RINGNODE, scenario, "--local", *sets, "--quiet", "--json", result], check=True,
                               stdout=subprocess.DEVNULL, timeout=120)
                with open(result) as file:
                    self.assertEqual(run["weights_sha256"], json.load(file)["runs"][0]["weights_sha256"])

    def test_a_server_is_replaced(self):
        self.goes_on("spare", [1], 3, 1)

    def test_the_first_server_is_replaced(self):
        self.goes_on("spare", [0], 2, 1)

    def test_a_server_less(self):
        self.goes_on("shrink", [1], 3, 1)

    def test_a_worker_of_one_server_is_replaced(self):
        self.goes_on("spare", [3], 1, 0)


if __name__ == "__main__":
    unittest.main()
