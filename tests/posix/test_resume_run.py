"""Real runs that end before their time and go on from a checkpoint: ringnode over loopback.

    test_resume_run.py RINGNODE [--moments N] [--only WAY] [--slow-disk LIBRARY] [--enough-memory]

Ways to end it: int, term (to the command), kill (one rank), cut (power: all ranks at once). Ways to make it hard:
full, read-only (the file system of the checkpoints, a small tmpfs: root is needed, else they are skipped), slow
(1 MB/s: LIBRARY is preloaded), descriptors, memory (rank 0 gets no more of them; not with --enough-memory). Each at moments over a run's life.
Whatever the moment, a run that is only hindered trains to its end and says which checkpoints failed, or ends in a line
that says why; --resume-from gives the weights of an undisturbed run, to the bit, or there was no checkpoint yet and it
says so with status 2; nothing is left running, no temporary file is left, and of checkpoints two.
RG_SLOWNESS stretches the times, for sanitizers."""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from processes import children_of, end_group, ends_by  # noqa: E402
from real_runs import SLOWNESS, Wrong, iris_scenario, require, tighten  # noqa: E402

BOUND_S = 60 * SLOWNESS
NODES = 3
SCENARIO = iris_scenario(
    "resumed", 'epochs="24" learning-rate="0.01" optimizer="adam"',
    'label="all-reduce" kind="ring_allreduce" compress="int8"',
    'label="ring" kind="ring_pipeline" schedule="1f1b" micro-batches="4"',
    'label="stream" kind="ring_pipeline" schedule="ringtmp"',
    f'label="replicas" kind="ring_pipeline" schedule="1f1b" micro-batches="2" stages="1" replicas="{NODES}"',
    'label="shards" kind="ring_allreduce" shard="3"',
    'label="server" kind="parameter_server" servers="1" filters="top-k" keep="200"',
    'label="mapreduce" kind="mapreduce"', 'label="federated" kind="fedavg"',
    'label="sandblaster" kind="sandblaster"')
LABELS = ["all-reduce", "ring", "stream", "replicas", "shards", "server", "mapreduce", "federated", "sandblaster"]
ENDS = ["int", "term", "kill", "cut"]
HARD = ["full", "read-only", "slow", "descriptors", "memory"]
# Megabytes, which a disk and a memory feel.
WIDE = """<?xml version="1.0"?>
<network name="wide" input="4">
  <dense outputs="256" activation="relu"/>
  <dense outputs="256" activation="relu"/>
  <dense outputs="3"/>
</network>
"""


class Runs:
    def __init__(self, ringnode, folder):
        self.ringnode = ringnode
        self.folder = folder
        self.scenario = os.path.join(folder, "s.xml")
        with open(self.scenario, "w", encoding="utf-8") as stream:
            stream.write(SCENARIO)
        with open(os.path.join(folder, "wide.xml"), "w", encoding="utf-8") as stream:
            stream.write(WIDE)
        self.whole = {}
        self.wide = False

    def start(self, label, result, *options, **environment):
        command = [self.ringnode, self.scenario, "--strategy", label, "--local", str(NODES), "--quiet",
                   "--json", result, "--join-timeout", str(int(3 * SLOWNESS)), *options]
        if label == "federated":
            command += ["--set", "rows=order"]
        if label == "sandblaster":
            command += ["--set", "optimizer=lbfgs", "--set", "learning-rate=1"]
        if self.wide:
            command += ["--set", "network=" + os.path.join(self.folder, "wide.xml")]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                start_new_session=True, env=dict(os.environ, **environment))

    def finish(self, process):
        """Its status and what it said; nothing of it is left running."""
        try:
            text = process.communicate(timeout=BOUND_S)[1]
            require(ends_by(process.pid, time.monotonic() + 10 * SLOWNESS), "something is left running:", text)
        finally:
            end_group(process)
        return process.returncode, text

    def run(self, label, *options):
        result = os.path.join(self.folder, "result.json")
        status, text = self.finish(self.start(label, result, *options))
        if status != 0:
            return status, text, None
        with open(result, encoding="utf-8") as stream:
            return status, text, json.load(stream)["runs"][0]

    def undisturbed(self, label):
        """Weights, and seconds of a run."""
        if (label, self.wide) not in self.whole:
            begun = time.monotonic()
            status, text, run = self.run(label)
            require(status == 0, "undisturbed:", text)
            self.whole[label, self.wide] = run["weights_sha256"], time.monotonic() - begun
        return self.whole[label, self.wide]

    def disturb(self, way, process, seconds):
        time.sleep(seconds)
        ranks = children_of(process.pid)
        try:
            if way in ("int", "term"):
                os.kill(process.pid, signal.SIGINT if way == "int" else signal.SIGTERM)
            elif way == "kill" and ranks:
                os.kill(random.choice(ranks), signal.SIGKILL)
            elif way == "cut":
                os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:  # it had come to its end
            pass


def look_at(folder, killed=False):
    """killed: a file may not have got its name yet, which the next run sees to."""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    if killed:
        names = [name for name in names if ".part-" not in name]
    for name in names:
        require(re.fullmatch(r"checkpoint-\d+\.(json|safetensors)", name), "left over:", name)
    counts = {ending: sum(name.endswith(ending) for name in names) for ending in ("json", "safetensors")}
    # of the one that was being written when the power went there may be half
    require(counts["json"] <= 3 and counts["safetensors"] <= 3, "not the last two:", names)


def wait_for_checkpoint(folder, process):
    while process.poll() is None and not any(name.endswith("json") for name in os.listdir(folder)):
        time.sleep(0.002)


def once(runs, way, label, any_moment):
    weights, seconds = runs.undisturbed(label)
    folder = tempfile.mkdtemp(dir=runs.folder)
    checkpoints = os.path.join(folder, "c")
    every = random.choice(["1epochs", "7iterations", "50ms"])
    os.mkdir(checkpoints)
    process = runs.start(label, os.devnull, "--checkpoint", checkpoints, "--every", every)
    if not any_moment:  # before the first, ranks may wait for one that does not come
        wait_for_checkpoint(checkpoints, process)
    at = random.random() * (1.2 if any_moment else 0.2) * seconds
    runs.disturb(way, process, at)
    status, text = runs.finish(process)
    look_at(checkpoints, way in ("kill", "cut"))
    return go_on(runs, label, checkpoints, weights, f"{way}, {label}, every {every}, after {at:.3f} s")


def go_on(runs, label, checkpoints, weights, where):
    """None: it did, to the right weights; else why there is nothing to go on from."""
    status, text, run = runs.run(label, "--checkpoint", checkpoints, "--resume-from", checkpoints)
    if status == 2:
        require("no checkpoint" in text, where, text)
        return text
    require(status == 0, where, "status", status, text)
    require(run["weights_sha256"] == weights, where, "other weights after", run["resumed"])
    require(run["resumed"]["exact"], where, "not exact")
    look_at(checkpoints)
    return None


class Disk:
    """A tmpfs that holds a few checkpoints."""

    def __init__(self, folder):
        self.folder = folder
        command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder]
        self.there = subprocess.run(command, capture_output=True, check=False).returncode == 0
        self.filler = os.path.join(folder, "fill")

    def fill(self):
        with open(self.filler, "wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(bytes(4096))
            except OSError:
                pass

    def remount(self, how):
        """Busy while a file is written."""
        limit = time.monotonic() + BOUND_S
        while subprocess.run(["mount", "-o", "remount," + how, self.folder], capture_output=True,
                             check=False).returncode:
            require(time.monotonic() < limit, "the disk cannot be remounted")

    def mend(self):
        self.remount("rw")
        if os.path.exists(self.filler):
            os.unlink(self.filler)

    def close(self):
        subprocess.run(["umount", "-l", self.folder], capture_output=True, check=False)


def hinder(way, disk, process):
    if way == "full":
        disk.fill()
    elif way == "read-only":
        disk.remount("ro")
    elif way in ("descriptors", "memory") and children_of(process.pid):
        try:
            tighten(children_of(process.pid)[0], way)
        except (OSError, StopIteration, ValueError):  # it had come to its end
            pass


REASONS = {"full": "No space left", "read-only": "Read-only file system", "descriptors": "Too many open files|descriptor",
           "memory": "memory|Resource temporarily unavailable", "slow": "never"}


def hard(runs, way, label, options):
    """Training goes on and says what failed; or it has ended, with the reason, and something to go on from."""
    runs.wide = True
    weights, seconds = runs.undisturbed(label)
    folder = tempfile.mkdtemp(dir=runs.folder)
    disk = Disk(folder) if way in ("full", "read-only") else None
    if disk and not disk.there:
        return "skipped: no tmpfs here"
    slow = {"LD_PRELOAD": options.slow_disk, "RG_DISK_RATE": "1e6"} if way == "slow" else {}
    share = random.random()
    where = f"{way}, {label}, at {share:.2f} of {seconds:.2f} s"
    result = os.path.join(runs.folder, "result.json")
    if os.path.exists(result):
        os.unlink(result)
    try:
        process = runs.start(label, result, "--checkpoint", folder, "--every", "1epochs", **slow)
        time.sleep(share * seconds)
        hinder(way, disk, process)
        status, text = runs.finish(process)
        if disk:
            disk.mend()
        look_at(folder)
        said = re.search(REASONS[way], text)
        if os.path.exists(result):
            with open(result, encoding="utf-8") as stream:
                run = json.load(stream)["runs"][0]
            told = run.get("checkpoints", {})
            require(status != 0 or (run["status"] == "ok" and told["iteration"] == run["iterations"]), where, told)
            require(status not in (0, 5) or run["weights_sha256"] == weights, where, "other weights")
            require(len(told.get("lost", [])) == told.get("failed", 0), where, told)
            require(all(re.search(REASONS[way], lost["why"]) for lost in told.get("lost", [])), where, told)
            require(status != 5 or said and "not saved" in text, where, text)
            require(way != "slow" or status == 0 and told["put_off"] > 0, where, told)
        require(status in (0, 5) or (status in (1, 2, 3, 4) and said), where, "status", status, text)
        return go_on(runs, label, folder, weights, where)
    finally:
        if disk:
            disk.close()
        runs.wide = False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ringnode")
    parser.add_argument("--moments", type=int, default=2)
    parser.add_argument("--only")
    parser.add_argument("--slow-disk")
    parser.add_argument("--enough-memory", action="store_true")
    options = parser.parse_args()
    ways = [options.only] if options.only else ENDS + HARD
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(options.ringnode, folder)
        random.seed(7)
        resumed = tried = 0
        for way in ways:
            if (way == "slow" and not options.slow_disk) or (way == "memory" and options.enough_memory):
                continue
            for moment in range(options.moments):
                # of ways to end it all strategies, of hardships, which rank 0 has alone, one
                labels = LABELS if options.moments > 2 and way in ENDS else random.sample(LABELS, 1)
                for label in labels:
                    try:
                        told = (hard(runs, way, label, options) if way in HARD
                                else once(runs, way, label, options.moments > 2))
                    except Wrong as wrong:
                        print(f"moment {moment}: {wrong}")
                        return 1
                    tried += 1
                    resumed += told is None
            print(f"{way}: {resumed} of {tried} so far went on from a checkpoint", flush=True)
        # moments are drawn over the run's life, and a little beyond it
        return 0 if resumed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
