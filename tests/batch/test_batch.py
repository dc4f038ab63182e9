#!/usr/bin/env python3
"""The runs of a sweep in parts, by scenarios/batch/parallel.sh (GNU parallel) and slurm.sh (Slurm): one part is
killed, --merge says so, and the same command again makes the whole. Either is skipped where its programs are absent.

    test_batch.py --ringsim PROGRAM parallel|slurm        exit status 77: skipped
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BATCH = os.path.join(ROOT, "scenarios", "batch")
SWEEP = os.path.join(ROOT, "tests", "data", "sweep.xml")
KILLED = "2"  # the part that is killed at its first start
# Stands for ringsim: the part above ends as if the machine had run out of memory, once.
WRAPPER = """#!/bin/sh
case " $* " in *" {killed}/"*) test -e {mark} || {{ touch {mark}; kill -9 $$; }} ;; esac
exec {ringsim} "$@"
"""


class Batch(unittest.TestCase):
    ringsim = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="ringtmp-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.results, self.wrapper = self.path("results"), self.path("ringsim")
        with open(self.wrapper, "w") as stream:
            stream.write(WRAPPER.format(killed=KILLED, mark=self.path("killed"), ringsim=self.ringsim))
        os.chmod(self.wrapper, 0o755)
        self.environment = {**os.environ, "RINGSIM": self.wrapper}

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_it(self, *command, **options):
        return subprocess.run(command, env=self.environment, text=True, timeout=120, capture_output=True, **options)

    def merge(self):
        parts = [os.path.join(self.results, name) for name in os.listdir(self.results)]
        return self.run_it(self.ringsim, "--quiet", "--merge", *parts, "--json", self.path("merged.json"))

    def check_whole(self, merged):
        whole = self.path("whole.json")
        self.assertEqual(self.run_it(self.ringsim, SWEEP, "--quiet", "--json", whole).returncode, 0)
        with open(whole) as one, open(merged) as other:
            one, other = json.load(one), json.load(other)
        del one["host"], other["host"]
        self.assertEqual(one, other)

    def check_missing(self, text):
        self.assertRegex(text, r"1 of 13 runs are missing in the parts: 2; .*--shard 2/13 --json FILE makes them")


class Parallel(Batch):
    def test(self):
        script = os.path.join(BATCH, "parallel.sh")
        first = self.run_it(script, SWEEP, self.results)
        self.assertNotEqual(first.returncode, 0)
        self.check_missing(first.stderr)
        second = self.run_it(script, SWEEP, self.results)
        self.assertEqual(second.returncode, 0, second.stderr)
        self.check_whole(self.results + ".json")


CONFIGURATION = """ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES State=UP
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Slurm(Batch):
    """A cluster of this machine alone, for as long as the test takes."""

    def start(self, name, *command):
        with open(self.path(name + ".log"), "w") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

        def end():
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()

        self.addCleanup(end)

    def until(self, what, wanted, seconds=60):
        end = time.monotonic() + seconds
        while not wanted():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.3)

    def setUp(self):
        super().setUp()
        for name in "state", "spool":
            os.mkdir(self.path(name))
        with open(self.path("key"), "wb") as stream:
            stream.write(os.urandom(64))
        os.chmod(self.path("key"), 0o400)
        os.chmod(self.folder, 0o755)
        with open(self.path("slurm.conf"), "w") as stream:
            stream.write(CONFIGURATION.format(host=socket.gethostname().split(".")[0], folder=self.folder, port=free_port(),
                                              node_port=free_port(), cores=os.cpu_count()))
        self.environment["SLURM_CONF"] = self.path("slurm.conf")
        self.start("munged", "munged", "-F", "--force", f"--key-file={self.path('key')}",
                   f"--socket={self.path('munge.socket')}", f"--pid-file={self.path('munge.pid')}",
                   f"--log-file={self.path('munge.log')}", f"--seed-file={self.path('seed')}")
        self.until("munged does not start", lambda: os.path.exists(self.path("munge.socket")))
        self.start("slurmctld", "slurmctld", "-D")
        self.start("slurmd", "slurmd", "-D")
        self.until("the node is not idle", lambda: "idle" in self.run_it("sinfo", "-h", "-o", "%T").stdout)

    def send(self, *options):
        sent = self.run_it("sbatch", f"--output={self.path('log-%a')}", *options, os.path.join(BATCH, "slurm.sh"),
                           SWEEP, self.results)
        job = re.search(r"Submitted batch job (\d+)", sent.stdout)
        self.assertTrue(job, sent.stderr)
        self.until("the job does not end",
                   lambda: not self.run_it("squeue", "-h", "-t", "all", "-o", "%T", "-j", job[1]).stdout.replace(
                       "COMPLETED", "").replace("FAILED", "").strip(), 110)

    def test(self):
        self.send("--cpus-per-task=1")
        merged = self.merge()
        self.assertEqual(merged.returncode, 2)
        self.check_missing(merged.stderr)
        self.send("--cpus-per-task=1", "--array=2,5")  # what was missing, and what is done already
        merged = self.merge()
        self.assertEqual(merged.returncode, 0, merged.stderr)
        self.check_whole(self.path("merged.json"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ringsim", required=True)
    parser.add_argument("which", choices=("parallel", "slurm"))
    args = parser.parse_args()
    wanted = ["parallel"] if args.which == "parallel" else ["munged", "slurmctld", "slurmd", "sbatch"]
    absent = [name for name in wanted if not shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")]
    if absent or (args.which == "slurm" and os.geteuid() != 0):
        print(f"skipped: {', '.join(absent)} absent" if absent else "skipped: a cluster of one's own is started as root")
        return 77
    os.environ["PATH"] += ":/usr/sbin"
    Batch.ringsim = os.path.abspath(args.ringsim)
    suite = unittest.TestSuite([Parallel("test") if args.which == "parallel" else Slurm("test")])
    return 0 if unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
