"""Boards that are lost while ringdeploy runs them, and started again: three boards by the stand-in for ssh of
test_boards.py, which runs the command here.

    test_lost_boards.py RINGNODE
"""

import os
import re
import signal
import subprocess
import time
import unittest

import test_boards
from test_boards import PATIENCE_S, SCENARIO, free_ports, read, write

LONG = SCENARIO.replace('epochs="2"', 'epochs="1000000"').replace('nodes="2"', 'nodes="3"')
RINGNODE = os.path.realpath(test_boards.RINGNODE)
AGAIN_S = (5, 10, 20, 40, 60) # after so many seconds a rank is started again


class Lost(test_boards.Case):
    def setUp(self):
        super().setUp()
        self.targets = ["pi@127.0.0.1", "127.0.0.1", "localhost"]
        self.hosts = write(self.path("hosts.txt"), "".join(f"{t}:{p}\n" for t, p in zip(self.targets, free_ports(3))))
        self.scenario = write(self.path("three.xml"), LONG)

    def command(self, *options, before=""):
        program = write(self.path("ringnode"), f'#!/bin/sh\n{before}\nexec {RINGNODE} "$@"\n', 0o755)
        return super().command(*options, program=program)

    def begin(self, *options, before="", lose="shrink"):
        """A run that has begun to train; what it says goes to the file "said"."""
        command = self.command(*options, before=before)
        with open(self.path("said"), "w") as said:
            run = subprocess.Popen([*command, "--", "--lose", lose, "--any-address"], stdout=subprocess.PIPE, stderr=said,
                                   text=True, env=self.environment(), cwd=self.folder, start_new_session=True)
        for clean in (run.wait, run.kill, run.stdout.close):
            self.addCleanup(clean)
        self.wait_for(r"  all-reduce \d")
        return run

    def said(self):
        return read(self.path("said"))

    def wait_for(self, text, count=1):
        limit = time.monotonic() + PATIENCE_S
        while len(re.findall(text, self.said())) < count:
            self.assertLess(time.monotonic(), limit, f"{text}: {self.said()}")
            time.sleep(0.05)

    def wait_in(self, log, text):
        limit = time.monotonic() + PATIENCE_S
        while text not in read(os.path.join(self.out, log)):
            self.assertLess(time.monotonic(), limit, self.said())
            time.sleep(0.05)

    def kill(self, rank):
        """The process of a rank, as if its board had lost power."""
        work = os.path.realpath(self.board(rank, "ringtmp"))
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{pid}/cwd") == work and os.path.realpath(f"/proc/{pid}/exe") == RINGNODE:
                    found.append(int(pid))
            except OSError:
                continue
        pid, = found
        os.kill(pid, signal.SIGKILL)

    def end(self, run, status, number=None):
        if number:
            os.killpg(run.pid, number)
        table, _ = run.communicate(timeout=PATIENCE_S)
        self.assertEqual(run.returncode, status, self.said())
        if status not in (3, 4):
            self.assertEqual(table, read(os.path.join(self.out, "table.txt")))
            self.assertEqual(table.count("world posix"), 1, table)
        self.assert_tidy()

    def test_it_is_started_again_and_taken_in(self):
        """With the keys of the run. Rank 0, too; another reports in its place from then on."""
        run = self.begin("--save")
        for rank in (1, 0):
            self.kill(rank)
            told = rf"rank {rank} \(.*\): ended by signal 9, see .*; it is started again in {AGAIN_S[0]} s"
            self.wait_for(told)
            self.wait_in("rank-2.log" if rank == 0 else "rank-0.log", "is there again")
        self.end(run, 130, signal.SIGINT)
        losses = self.result()["runs"][0]["losses"]
        self.assertEqual([loss["node"] for loss in losses], [1, 0])
        for loss in losses:
            self.assertGreater(loss["back_iteration"], 0)
        self.assertEqual(self.result()["runs"][0]["nodes"], 3)
        self.assertGreater(os.path.getsize(os.path.join(self.out, "parameters.safetensors")), 1000)
        for rank in range(3):
            self.assertNotIn("keys", os.listdir(self.board(rank, "ringtmp", f"rank-{rank}")))

    def test_another_reports_for_rank_0(self):
        """Which cannot be started again: the others go on, and it is tried later and later."""
        run = self.begin(before='[ ! -e ../dead ] || exit 255')
        write(self.board(0, "dead"), "")
        self.kill(0)
        for pause in AGAIN_S[:2]:
            self.wait_for(rf"rank 0 \(pi@127.0.0.1\): .*; it is started again in {pause} s")
        self.end(run, 130, signal.SIGINT)
        run, = self.result()["runs"]
        self.assertEqual(run["nodes"], 2)
        self.assertEqual([(loss["node"], loss["back_s"]) for loss in run["losses"]], [(0, None)])

    def test_training_that_ends_before(self):
        """Whoever has been lost is not waited for; the status is that of the training."""
        self.scenario = write(self.path("three.xml"), LONG.replace("1000000", "2000"))
        run = self.begin(before='[ ! -e ../dead ] || exit 255')
        write(self.board(1, "dead"), "")
        self.kill(1)
        self.end(run, 0)
        run, = self.result()["runs"]
        self.assertEqual((run["status"], run["nodes"], len(run["losses"])), ("ok", 2, 1))

    def test_too_few(self):
        """A server without workers ends, and they are not started again to wait for it."""
        self.scenario = write(self.path("three.xml"), LONG.replace(
            'kind="ring_allreduce" nodes="3"', 'kind="parameter_server" nodes="3" servers="1"'))
        run = self.begin()
        for rank in (1, 2):
            self.kill(rank)
        self.end(run, 4)
        self.assertLessEqual(self.said().count("started again"), 2, self.said())

    def test_nobody_is_left(self):
        """But one that has been started again and is not in yet, which would only wait: the run ends."""
        run = self.begin(before='[ ! -e ../slow ] || { touch ../waits; exec sleep 600; }')
        write(self.board(1, "slow"), "")
        self.kill(1)
        limit = time.monotonic() + PATIENCE_S
        while not os.path.exists(self.board(1, "waits")):
            self.assertLess(time.monotonic(), limit, self.said())
            time.sleep(0.05)
        self.kill(0)
        self.wait_for(r"rank 0 \(.*started again")
        self.kill(2)
        self.end(run, 4)
        self.assertRegex(self.said(), r"rank 2 \(localhost\): ended by signal 9, see \S+\n")

    def test_restart(self):
        """The others wait for it."""
        run = self.begin(lose="restart")
        self.kill(2)
        self.wait_for("started again in 5 s")
        self.wait_for(r"joining once more[^$]*  all-reduce \d")
        self.end(run, 130, signal.SIGINT)
        run, = self.result()["runs"]
        self.assertEqual((run["nodes"], [(loss["node"], loss["did"]) for loss in run["losses"]]), (3, [(2, "restart")]))

    def test_a_board_that_is_set_up_wrongly(self):
        """At the start that is no loss: all end."""
        self.shell(2, 'case $* in *flock*) exit 127 ;; esac\n')
        done = subprocess.run([*self.command(), "--", "--lose", "shrink"], capture_output=True, text=True, timeout=PATIENCE_S,
                              env=self.environment(), cwd=self.folder)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("the others have not ended: stopping all ranks", done.stderr)
        self.assertNotIn("started again", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
