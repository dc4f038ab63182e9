"""Real runs that do not come to their end: ringnode over loopback, each way at moments over a run's life.

    test_ways_out.py RINGNODE [--moments N] [--only WAY]

Ways: int, term (to the command), kill, stop (one rank), full, read-only (the file system of --save, a
small tmpfs: root is needed, else these two are skipped). Whatever the moment:
  - all processes end, with the documented status;
  - what is saved is whole, belongs to the result, and is what an undisturbed run of as many iterations
    gives; what was there before is whole where it was not replaced; no temporary file is left;
  - the result says how far it came and how it ended; the rank that was lost is named by every other,
    with its host and why, and so are the layers that went with it.
RG_SLOWNESS stretches the times, for sanitizers."""

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from processes import children_of, end_group, ends_by  # noqa: E402
from real_runs import SLOWNESS, Wrong, iris_scenario, require  # noqa: E402

BOUND_S = 60 * SLOWNESS
NODES = 3
OLD = b"of before"
SCENARIO = iris_scenario(
    "ways-out", 'epochs="1" learning-rate="0.05" optimizer="momentum"',
    'label="all-reduce" kind="ring_allreduce"',
    'label="ring" kind="ring_pipeline" schedule="1f1b" micro-batches="4"',
    f'label="replicas" kind="ring_pipeline" schedule="1f1b" micro-batches="2" stages="1" replicas="{NODES}"',
    'label="server" kind="parameter_server" servers="1"')
LABELS = ["all-reduce", "ring", "replicas", "server"]


class Disk:
    """A tmpfs of a megabyte."""

    def __init__(self, folder):
        self.folder = folder
        os.mkdir(folder)
        command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.why = None if done.returncode == 0 else done.stderr.strip() or "mount failed"

    def fill(self):
        with open(os.path.join(self.folder, "filler"), "wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(bytes(4096))
            except OSError:
                pass

    def freeze(self):
        limit = time.monotonic() + BOUND_S
        while subprocess.run(["mount", "-o", "remount,ro", self.folder], capture_output=True,
                             check=False).returncode:  # busy while a file is written
            require(time.monotonic() < limit, "the disk cannot be made read-only")

    def close(self):
        subprocess.run(["umount", "-l", self.folder], capture_output=True, check=False)


class Run:
    def __init__(self, ringnode, folder, label, iterations, save):
        self.folder, self.label, self.save = folder, label, save
        self.json = os.path.join(folder, "result.json")
        self.log = os.path.join(folder, "log")
        scenario = os.path.join(folder, "scenario.xml")
        with open(scenario, "w", encoding="ascii") as stream:
            stream.write(SCENARIO)
        words = [ringnode, scenario, f"--local={NODES}", "--strategy", label, "--set", "epochs=1000000",
                 "--set", f"iterations={iterations}", "--json", self.json, "--save", save,
                 "--peer-timeout", "3", "--join-timeout", "5"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)

    def wait(self):
        try:
            status = self.process.wait(BOUND_S)
        except subprocess.TimeoutExpired:
            raise Wrong(f"it has not ended in {BOUND_S:.0f} s") from None
        require(ends_by(self.process.pid, time.monotonic() + BOUND_S), "a rank is left")
        return status

    def end(self):
        end_group(self.process)

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as stream:
            return stream.read()

    def result(self):
        try:
            with open(self.json, encoding="utf-8") as stream:
                return json.load(stream)["runs"][0]
        except FileNotFoundError:
            return None

    def checkpoint(self):
        """Bytes of all parameters, and of each tensor, in the file, which must be whole; None: no file, or
        that of before."""
        try:
            with open(self.save, "rb") as stream:
                data = stream.read()
        except FileNotFoundError:
            return None, {}
        if data == OLD:
            return None, {}
        (length,) = struct.unpack("<Q", data[:8])
        header, data = json.loads(data[8:8 + length]), data[8 + length:]
        offsets = {name: tensor["data_offsets"] for name, tensor in header.items() if name[0] != "_"}
        require(len(data) == max(end for _, end in offsets.values()), "a checkpoint that is not whole")
        return data, {name: data[begin:end] for name, (begin, end) in offsets.items()}

    def saved(self):
        """The digest of the parameters in the file."""
        data, _ = self.checkpoint()
        return None if data is None else hashlib.sha256(data).hexdigest()

    def look_at_files(self):
        known = {"scenario.xml", "result.json", "log", "net", "filler", "disk"}
        for folder in {self.folder, os.path.dirname(self.save)}:
            for name in os.listdir(folder):
                require(name in known, f"{name} is left")


class Tests:
    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="ringtmp-ways-out-")
        self.number = 0
        self.digests = {}
        self.skipped = None

    def new_folder(self):
        self.number += 1
        folder = os.path.join(self.folder, str(self.number))
        os.mkdir(folder)
        return folder

    def undisturbed(self, label, iterations):
        """Its digest, how long it takes, and its tensors."""
        if (label, iterations) not in self.digests:
            folder = self.new_folder()
            run = Run(self.options.ringnode, folder, label, iterations, os.path.join(folder, "net"))
            begin = time.monotonic()
            try:
                require(run.wait() == 0, "undisturbed:", run.text())
                result = run.result()
                require(run.saved() == result["weights_sha256"], "undisturbed: saves something else")
            finally:
                run.end()
            self.digests[label, iterations] = (result["weights_sha256"], time.monotonic() - begin,
                                               run.checkpoint()[1])
        return self.digests[label, iterations]

    def expect_parameters(self, run, result, wanted):
        """Whole and right, or (not wanted) not there."""
        saved = run.saved()
        if not wanted:
            require(saved is None, "something was saved")
            return
        require(saved is not None, "nothing was saved")
        require(saved == result["weights_sha256"], "another network was saved than the result's")
        done = result["iterations"]
        digest, _, tensors = self.undisturbed(run.label, done)
        if saved != digest and run.label == "replicas" and result["status"] == "lost":
            _, _, later = self.undisturbed(run.label, done + 1)  # its stages may be an iteration apart
            wrong = [name for name, data in run.checkpoint()[1].items()
                     if data not in (tensors[name], later[name])]
            require(not wrong, "not the parameters of", done, "iterations, or one more:", *wrong)
        else:
            require(saved == digest, "not the parameters of", done, "iterations")

    # ---- INT, TERM ----

    def ask(self, label, moment, number):
        folder = self.new_folder()
        run = Run(self.options.ringnode, folder, label, 10**7, os.path.join(folder, "net"))
        try:
            time.sleep(moment)
            run.process.send_signal(number)
            status = run.wait()
            result = run.result()
            require(status in (130, -number), "status", status)  # before it listens to signals
            run.look_at_files()
            if result is None:
                require(run.saved() is None, "saved, and no result")
                return run, "no result yet"
            require(result["status"] == "interrupted", "status", result["status"])
            if result["iterations"]:
                require(result["ending"]["wanted_iterations"] == 10**7, result["ending"])
                require(f"after iteration {result['iterations']} of" in result["error"], result["error"])
                require(len(result["per_node"]) == NODES, "nodes are missing")
            self.expect_parameters(run, result, result["iterations"] > 0)
            return run, f"{result['iterations']} iterations"
        finally:
            run.end()

    # ---- KILL, STOP ----

    def strike(self, label, moment, number):
        folder = self.new_folder()
        run = Run(self.options.ringnode, folder, label, 10**7, os.path.join(folder, "net"))
        try:
            time.sleep(moment)
            ranks = children_of(run.process.pid)
            while len(ranks) < NODES and run.process.poll() is None:
                ranks = children_of(run.process.pid)
            victim = self.options.dice.randrange(NODES)
            os.kill(ranks[victim], number)
            status = run.wait()
            result, text = run.result(), run.text()
            run.look_at_files()
            require(status in (3, 4), "status", status)
            if result is None or not result["iterations"]:
                require(run.saved() is None, "saved, and nothing was trained")
                require("any more" not in text, "what is said to be missing never was")
                return run, f"rank {victim}: nothing trained yet"
            require(status == 4 and result["status"] == "lost", "status", status, result["status"])
            self.expect_words(run, result, victim, text)
            self.expect_signs(result, victim, number)
            parts = label in ("all-reduce", "replicas") or (label == "server" and victim > 0)
            require(bool(result["ending"]["missing"]) != parts, "missing:", result["ending"]["missing"])
            self.expect_parameters(run, result, parts)
            return run, f"rank {victim}: {result['iterations']} iterations"
        finally:
            run.end()

    def expect_signs(self, result, victim, number):
        ending, signs = result["ending"], [(sign["rank"], sign["sign"]) for sign in result.get("signs", [])]
        require(ending["heard_s"] <= ending["lost_s"], "lost before it was heard:", ending)
        if number == signal.SIGSTOP and victim > 0:  # rank 0 has seen it, or heard it from another
            require((victim, "frozen") in signs or "as rank" in result["error"], "signs:", signs, result["error"])
        require(all(sign != "link" for _, sign in signs), "signs:", signs)  # a busy machine freezes others, too

    def expect_words(self, run, result, victim, text):
        ending = result["ending"]
        lost = re.escape(f"rank {victim} ({ending['lost_host']}) was lost")
        require(ending["lost_rank"] == victim and ending["why"], "lost:", ending)
        require(re.fullmatch(r"127\.0\.0\.1:\d+", ending["lost_host"]), "lost host:", ending["lost_host"])
        require(re.match(lost + ".*: .*after iteration", result["error"]), result["error"])
        others = [rank for rank in range(NODES) if rank != victim]
        for rank in others[1:]:  # the lowest has the result
            require(re.search(rf"^ringnode: rank {rank}: {run.label}: {lost}.*: \w", text, re.MULTILINE),
                    f"rank {rank} does not say who was lost and why")

    # ---- disks ----

    def spoil(self, label, share, way):
        folder = self.new_folder()
        disk = Disk(os.path.join(folder, "disk"))
        if disk.why:
            self.skipped = disk.why
            return None, "skipped"
        save = os.path.join(disk.folder, "net")
        with open(save, "wb") as stream:
            stream.write(OLD)
        iterations = 1200
        _, life_s, _ = self.undisturbed(label, iterations)
        run = Run(self.options.ringnode, folder, label, iterations, save)
        try:
            time.sleep(share * life_s)
            disk.fill() if way == "full" else disk.freeze()
            status = run.wait()
            result = run.result()
            run.look_at_files()
            if status == 2:  # it looks before it begins
                require(way == "read-only" and result is None, "refused:", run.text())
                return run, "refused"
            require(result and result["status"] == "ok" and result["iterations"] == iterations, result)
            require(result["weights_sha256"] == self.undisturbed(label, iterations)[0], "other weights")
            if status == 0:
                self.expect_parameters(run, result, True)
                return run, "saved before"
            words = "No space left" if way == "full" else "Read-only file system"
            require(status == 5, "status", status)
            require(words in result["unsaved"] and "/disk/net" in result["unsaved"], result["unsaved"])
            require(f"not saved: {save}" in run.text() and "accuracy" in run.text(), run.text())
            require(run.saved() is None, "something was saved")
            return run, "not saved"
        finally:
            run.end()
            disk.close()

    def try_one(self, way, number, share):
        label = LABELS[number % len(LABELS)]
        moment = share * 1.2 * SLOWNESS
        signals = {"int": signal.SIGINT, "term": signal.SIGTERM, "kill": signal.SIGKILL,
                   "stop": signal.SIGSTOP}
        run = None
        try:
            if way in ("int", "term"):
                run, words = self.ask(label, moment, signals[way])
            elif way in ("kill", "stop"):
                run, words = self.strike(label, moment, signals[way])
            else:
                run, words = self.spoil(label, share * 1.1, way)
            print(f"{way} {number}: {label} at {share:.2f}: {words}", flush=True)
            return True
        except Wrong as wrong:
            print(f"{way} {number}: {label} at {share:.2f}: WRONG: {wrong}", flush=True)
            log = os.path.join(self.folder, str(self.number), "log")
            if os.path.exists(log):
                with open(log, encoding="utf-8", errors="replace") as stream:
                    print(stream.read()[-4000:], flush=True)
            return False

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("ringnode")
    parser.add_argument("--moments", type=int, default=20, help="of each way, over the life of a run")
    parser.add_argument("--only", help="a way")
    parser.add_argument("--seed", type=int, default=1, help="draws which rank is struck")
    options = parser.parse_args()
    options.dice = random.Random(options.seed)
    ways = [options.only] if options.only else ["int", "term", "kill", "stop", "full", "read-only"]
    tests = Tests(options)
    try:
        good = True
        for first, way in enumerate(ways):
            for i in range(options.moments):
                good &= tests.try_one(way, first + i, (i + 0.5) / options.moments)
                if tests.skipped:
                    print(f"{way}: skipped: no tmpfs can be mounted here: {tests.skipped}", flush=True)
                    tests.skipped = None
                    break
    finally:
        tests.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
