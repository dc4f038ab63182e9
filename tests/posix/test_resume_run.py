"""Real runs that end before their time and go on from a checkpoint: ringnode over loopback.

    test_resume_run.py RINGNODE [--moments N] [--only WAY]

Ways: int (to the command), kill (one rank), cut (power: all ranks at once), full (the file system of
the checkpoints, a small tmpfs: root is needed, else it is skipped). Each at moments over a run's
life. Whatever the moment, --resume-from gives the weights of an undisturbed run, to the bit, or there
was no checkpoint yet and it says so with status 2; no temporary file is left, and of checkpoints two.
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
from real_runs import SLOWNESS, Wrong, iris_scenario, require  # noqa: E402

BOUND_S = 60 * SLOWNESS
NODES = 3
SCENARIO = iris_scenario(
    "resumed", 'epochs="24" learning-rate="0.01" optimizer="adam"',
    'label="all-reduce" kind="ring_allreduce" compress="int8"',
    'label="ring" kind="ring_pipeline" schedule="1f1b" micro-batches="4"',
    'label="stream" kind="ring_pipeline" schedule="ringtmp"',
    f'label="replicas" kind="ring_pipeline" schedule="1f1b" micro-batches="2" stages="1" replicas="{NODES}"',
    'label="shards" kind="ring_allreduce" shard="3"',
    'label="server" kind="parameter_server" servers="1" filters="top-k" keep="200"')
LABELS = ["all-reduce", "ring", "stream", "replicas", "shards", "server"]


class Runs:
    def __init__(self, ringnode, folder):
        self.ringnode = ringnode
        self.folder = folder
        self.scenario = os.path.join(folder, "s.xml")
        with open(self.scenario, "w", encoding="utf-8") as stream:
            stream.write(SCENARIO)
        self.whole = {}

    def start(self, label, result, *options):
        command = [self.ringnode, self.scenario, "--strategy", label, "--local", str(NODES), "--quiet",
                   "--json", result, "--join-timeout", str(int(3 * SLOWNESS)), *options]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                start_new_session=True)

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
        if label not in self.whole:
            begun = time.monotonic()
            status, text, run = self.run(label)
            require(status == 0, "undisturbed:", text)
            self.whole[label] = run["weights_sha256"], time.monotonic() - begun
        return self.whole[label]

    def disturb(self, way, process, seconds):
        time.sleep(seconds)
        ranks = children_of(process.pid)
        try:
            if way == "int":
                os.kill(process.pid, signal.SIGINT)
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
    look_at(checkpoints, way != "int")
    status, text, run = runs.run(label, "--checkpoint", checkpoints, "--resume-from", checkpoints)
    where = f"{way}, {label}, every {every}, after {at:.3f} s"
    if status == 2:
        require("no checkpoint" in text, where, text)
        return text
    require(status == 0, where, "status", status, text)
    require(run["weights_sha256"] == weights, where, "other weights after", run["resumed"])
    require(run["resumed"]["exact"], where, "not exact")
    look_at(checkpoints)
    return None


def full(runs, label):
    """Training goes on, and says so; what was there before is whole."""
    weights, _ = runs.undisturbed(label)
    disk = tempfile.mkdtemp(dir=runs.folder)
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        return "skipped: no tmpfs here"
    try:
        result = os.path.join(runs.folder, "result.json")
        with open(os.path.join(disk, "fill"), "wb") as stream:
            stream.write(bytes(56 << 10))
        process = runs.start(label, result, "--checkpoint", disk, "--every", "2epochs")
        status, text = runs.finish(process)
        require(status == 5, "full: status", status, text)
        require("not saved" in text and "checkpoint-" in text, "full:", text)
        with open(result, encoding="utf-8") as stream:
            run = json.load(stream)["runs"][0]
        require(run["status"] == "ok" and run["weights_sha256"] == weights, "full: other weights")
        require(run["checkpoints"]["failed"] > 0, "full:", run["checkpoints"])
        os.unlink(os.path.join(disk, "fill"))
        look_at(disk)
    finally:
        subprocess.run(["umount", disk], check=False)
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ringnode")
    parser.add_argument("--moments", type=int, default=2)
    parser.add_argument("--only")
    options = parser.parse_args()
    ways = [options.only] if options.only else ["int", "kill", "cut", "full"]
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(options.ringnode, folder)
        random.seed(7)
        resumed = tried = 0
        for way in ways:
            for moment in range(options.moments if way != "full" else 1):
                for label in LABELS if options.moments > 2 else random.sample(LABELS, 1):
                    try:
                        told = full(runs, label) if way == "full" else once(runs, way, label, options.moments > 2)
                    except Wrong as wrong:
                        print(f"moment {moment}: {wrong}")
                        return 1
                    tried += way != "full"
                    resumed += way != "full" and told is None
        print(f"{tried} runs disturbed, {resumed} went on from a checkpoint")
        # moments are drawn over the run's life, and a little beyond it
        return 0 if options.only == "full" or resumed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
