"""Real runs that lose ranks and go on: ringnode over loopback, --lose restart, shrink and spare.

    test_lose_run.py RINGNODE [--moments N] [--only WORD] [--seed N] [--slow-disk LIBRARY]

Any rank, rank 0 too, is killed at a moment of the run's life (of some two one after the other), or
stopped until the others have lost it. The training comes to its end with status 0: restart and spare
with the weights of an undisturbed run, to the bit; the result tells of the losses that it has seen;
no process and no temporary file is left. What cannot go on is refused with status 2. A rank 0 that is killed while it writes
the result (whose disk is slow: LIBRARY is preloaded), when all others have ended, leaves none, with status 4. RG_SLOWNESS
stretches the times, for sanitizers."""

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
    "lost", 'epochs="60" learning-rate="0.01" optimizer="adam"',
    'label="all-reduce" kind="ring_allreduce"',
    'label="ring" kind="ring_pipeline" schedule="1f1b" micro-batches="4"',
    'label="cut" kind="ring_pipeline" schedule="1f1b" micro-batches="4" partition="1,1,1"',
    'label="server" kind="parameter_server" servers="1"',
    'label="copies" kind="ring_pipeline" schedule="1f1b" micro-batches="4" backup="4"',
    'label="clients" kind="fedavg" fraction="1" local-batch="10"')
LABELS = ["all-reduce", "ring", "server", "copies", "clients"]
SETS = {"clients": ["--set", "rows=shuffle"]}
MOST_AGAIN = 4  # of "copies"


class Runs:
    def __init__(self, ringnode, folder):
        self.ringnode, self.folder = ringnode, folder
        self.scenario = os.path.join(folder, "s.xml")
        with open(self.scenario, "w", encoding="utf-8") as stream:
            stream.write(SCENARIO)
        self.whole = {}

    def start(self, label, result, *options, environment=None):
        command = [self.ringnode, self.scenario, "--strategy", label, "--local", str(NODES), "--quiet", "--json",
                   result, "--join-timeout", str(int(20 * SLOWNESS)), "--peer-timeout", "3", *SETS.get(label, []),
                   *options]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                start_new_session=True, env=dict(os.environ, **(environment or {})))

    def finish(self, process):
        try:
            text = process.communicate(timeout=BOUND_S)[1]
            require(ends_by(process.pid, time.monotonic() + 10 * SLOWNESS), "something is left running:", text)
        except subprocess.TimeoutExpired as late:
            raise Wrong("it does not end") from late
        finally:
            end_group(process)
        return process.returncode, text

    def undisturbed(self, label):
        """Weights, and seconds of a run."""
        if label not in self.whole:
            result = os.path.join(self.folder, "whole.json")
            begun = time.monotonic()
            status, text = self.finish(self.start(label, result))
            require(status == 0, "undisturbed:", text)
            with open(result, encoding="utf-8") as stream:
                self.whole[label] = json.load(stream)["runs"][0]["weights_sha256"], time.monotonic() - begun
        return self.whole[label]


def disturb(process, seconds, way):
    """One of the ranks that train, or wait."""
    time.sleep(seconds)
    ranks = children_of(process.pid)
    if not ranks or process.poll() is not None:
        return False
    try:
        os.kill(random.choice(ranks), way)
    except ProcessLookupError:
        return False
    return True


def once(runs, lose, label, way, losses):
    weights, seconds = runs.undisturbed(label)
    folder = tempfile.mkdtemp(dir=runs.folder)
    result, checkpoints = os.path.join(folder, "r.json"), os.path.join(folder, "c")
    process = runs.start(label, result, "--lose", lose, "--checkpoint", checkpoints, "--every", "10iterations")
    where = f"{lose}, {label}, {way.name}, {losses} losses"
    hit = [disturb(process, random.random() * 0.9 * seconds, way) for _ in range(losses)]
    status, text = runs.finish(process)
    if lose != "restart" and status == 3 and "did not join" in text:
        return 0  # killed before all were there: nobody knows of more ranks than those that came
    if status == 4 and "the training is over" in text:
        if os.path.exists(result):  # and had been put in its place, whole
            with open(result, encoding="utf-8") as stream:
                require(json.load(stream)["runs"][0]["weights_sha256"], where, "a result that was not written:", text)
        return 0  # rank 0 was killed when all had been done
    require(status == 0, where, "status", status, text)
    with open(result, encoding="utf-8") as stream:
        run = json.load(stream)["runs"][0]
    require(run["status"] == "ok", where, run["error"])
    require(lose == "shrink" or run["weights_sha256"] == weights, where, "other weights:", run.get("losses"))
    told = run.get("losses", [])
    halved = lose != "restart" and "did not join" in text  # by a rank that had joined some of the others only
    over = bool(told) and told[0]["iteration"] == run["iterations"]  # some had been told so, and left
    require(len(told) <= sum(hit) or lose == "restart" or halved or over, where, "told of more losses than there were:", told)
    for loss in told:
        require(loss["did"] == lose, where, loss)
        if loss["from_iteration"] is not None:
            require(loss["again"] == max(loss["iteration"] - loss["from_iteration"], 0), where, loss)
    if told:
        require(run["resumed"]["time_s"] >= told[-1]["time_s"], where, run["resumed"], told)
        require(lose != "shrink" or run["nodes"] == NODES - len(told), where, run["nodes"], told)
    names = os.listdir(checkpoints) if os.path.isdir(checkpoints) else []
    left = [name for name in names if not re.fullmatch(r"checkpoint-\d+\.(json|safetensors)", name)]
    require(not left or way == signal.SIGKILL and all(".part-" in name for name in left), where, "left over:", left)
    return len(told)


def from_neighbours(runs, lose):
    """No checkpoint anywhere: one rank is killed in the middle, and what it had is where its neighbour keeps it."""
    weights, seconds = runs.undisturbed("copies")
    result = os.path.join(runs.folder, "copies.json")
    for turn in range(30):
        process = runs.start("copies", result, "--lose", lose, "--set", "epochs=250")
        # that run was whole, this one is longer; on a busy machine either may have taken many times as long
        wait = 1 + random.random() if turn < 3 else 4 ** random.uniform(-1, 1)
        hit = disturb(process, seconds * wait, signal.SIGKILL)
        status, text = runs.finish(process)
        if lose != "restart" and status == 3 and "did not join" in text or status == 4 and "the training is over" in text:
            continue  # before the run, and after it
        require(status == 0, lose, "copies: status", status, text)
        with open(result, encoding="utf-8") as stream:
            run = json.load(stream)["runs"][0]
        told = run.get("losses", [])
        if hit and told and told[0]["from_iteration"]:
            break
    else:
        raise Wrong("no loss came in the middle of a run")
    for loss in told:
        require(loss["state"] == "copies", lose, "copies: from", loss)
        require(loss["again"] <= MOST_AGAIN, lose, "copies: more done again than the backup says:", loss)
    require(run["resumed"]["iteration"] == told[-1]["from_iteration"], lose, "copies:", run["resumed"], told)
    points = [point["iteration"] for point in run["training"]]
    require(points == sorted(set(points)) and len(points) == 250, lose, "copies: evaluations", len(points))
    if "long" not in runs.whole:
        long = os.path.join(runs.folder, "long.json")
        status, text = runs.finish(runs.start("copies", long, "--set", "epochs=250"))
        require(status == 0, "copies, undisturbed:", text)
        with open(long, encoding="utf-8") as stream:
            runs.whole["long"] = json.load(stream)["runs"][0]["weights_sha256"]
    require(run["weights_sha256"] == runs.whole["long"], lose, "copies: other weights:", told)
    require(weights != runs.whole["long"], "250 epochs make the weights of 60")
    return len(told)


def too_few(runs):
    """A server, a worker: whoever is left of them cannot go on, and says so."""
    result = os.path.join(runs.folder, "few.json")
    process = runs.start("server", result, "--lose", "shrink", "--set", "epochs=1000000")
    time.sleep(2 * runs.undisturbed("server")[1])
    for pid in random.sample(children_of(process.pid), 2):
        os.kill(pid, signal.SIGKILL)
        time.sleep(random.random() * SLOWNESS)
    status, text = runs.finish(process)
    require(status == 4, "too few: status", status, text)
    with open(result, encoding="utf-8") as stream:
        run = json.load(stream)["runs"][0]
    require(run["status"] == "lost" and "cannot go on" in run["error"], "too few:", run["error"])


def too_late(runs, lose, library):
    """The training is over, but nobody has its result."""
    result = os.path.join(runs.folder, "late.json")
    process = runs.start("ring", result, "--lose", lose, environment={"LD_PRELOAD": library, "RG_DISK_RATE": "1"})
    limit, begun, ranks = time.monotonic() + BOUND_S, False, 0
    while not (begun and ranks == 1):  # rank 0 is the first that there is, too
        require(process.poll() is None and time.monotonic() < limit, lose, "late: not rank 0 alone")
        time.sleep(0.01)
        ranks = len(children_of(process.pid))
        begun = begun or ranks > 1
    os.kill(children_of(process.pid)[0], signal.SIGKILL)
    status, text = runs.finish(process)
    require(status == 4 and not os.path.exists(result), lose, "late: status", status, text)
    require("the training is over" in text and "was lost before" in text and "again" not in text, lose, "late:", text)


def interrupted(runs, lose):
    """Ctrl-C ends all ranks in good order, also those that wait."""
    seconds = runs.undisturbed("ring")[1]
    process = runs.start("ring", os.devnull, "--lose", lose, "--set", "epochs=100000")
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGINT)
    status, text = runs.finish(process)
    require(status == 130, lose, "interrupted: status", status, text)
    require("signal" not in text, lose, "interrupted:", text)


def refusals(runs):
    for options, words in (
            (("--strategy", "cut", "--lose", "shrink"), ["s.xml", "shrink", "cut", "2 nodes", "partition", "restart"]),
            (("--strategy", "copies", "--set", "copies.backup=0"), ["copies.backup=0", "1 to", "auto"]),
            (("--strategy", "server", "--set", "server.backup=2"), ["backup", "server"]),
            (("--strategy", "all-reduce", "--lose", "shrink", "--set", "rows=shuffle"), ["rows", "shared", "fedavg"]),
            (("--strategy", "ring", "--lose", "dance"), ["lose", "stop", "restart", "shrink", "spare"]),
            (("--strategy", "ring", "--strategy", "server", "--lose", "restart"), ["--lose", "--strategy LABEL"]),
            (("--strategy", "ring", "--lose", "spare", "--set", "spares=62"), ["lose", "spare", "64 hosts"])):
        command = [runs.ringnode, runs.scenario, "--local", str(NODES), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BOUND_S)
        require(done.returncode == 2, options, "status", done.returncode, done.stderr)
        require(done.stderr.count("\n") == 1, options, "more than a line:", done.stderr)
        for word in words:
            require(word in done.stderr, options, "says nothing of", word + ":", done.stderr)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ringnode")
    parser.add_argument("--moments", type=int, default=1)
    parser.add_argument("--only")
    parser.add_argument("--slow-disk")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print("--seed", options.seed)
    random.seed(options.seed)
    seen = 0
    with tempfile.TemporaryDirectory(prefix="ringtmp-lose-") as folder:
        runs = Runs(options.ringnode, folder)
        try:
            chosen = options.only or random.choice(("restart", "shrink", "spare"))
            refusals(runs)
            interrupted(runs, "spare")
            too_few(runs)
            for lose in ("restart", "shrink") if options.slow_disk else ():
                too_late(runs, lose, options.slow_disk)
            for lose in ("restart", "shrink", "spare"):
                if options.only not in (None, lose):
                    continue
                if lose == chosen or options.moments > 1:
                    seen += from_neighbours(runs, lose)
                for _ in range(options.moments):
                    losses = 2 if lose == "restart" and random.random() < 0.5 else 1
                    seen += once(runs, lose, random.choice(LABELS), signal.SIGKILL, losses)
                if options.moments > 1:
                    seen += once(runs, lose, random.choice(LABELS), signal.SIGSTOP, 1)
        except Wrong as wrong:
            print(wrong)
            return 1
    print(seen, "losses were seen")
    return 0 if seen or options.moments == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
