"""Real runs in which ranks are killed: ringnode over loopback, moment and way drawn from a seed.

    test_killed_run.py RINGNODE [--seeds FIRST:COUNT] [--under "valgrind ..."] [--keep]

A seed chooses strategies, nodes, how they are started (--local or one by one), --key-file, --pace,
--save and --trace, who gets which signal (SIGKILL, SIGTERM, SIGINT, SIGSTOP and then SIGKILL) and
when, over all the life of the run. Then, whatever has happened:
  - every other process ends in time, never by a signal, with a documented exit status that what it
    says explains; 0 only where the run is complete;
  - result, timeline and checkpoint are whole or absent, and what is marked "ok" in the result is
    as in a run that nobody disturbed;
  - no process, temporary file or listening port is left.
RG_SLOWNESS stretches the times, for sanitizers."""

import argparse
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from ports import free_ports  # noqa: E402
from processes import children_of, end_group, ends_by  # noqa: E402

SLOWNESS = float(os.environ.get("RG_SLOWNESS", "1"))
BOUND_S = 40 * SLOWNESS  # nothing takes so long but what hangs, with other work on the machine too
JOIN_S = 5 * SLOWNESS
SANITIZER = 86  # the exit status of a sanitizer or of valgrind that has found something
SCENARIO = """<?xml version="1.0"?>
<scenario name="killed" seed="5">
  <platform file="{root}/platforms/pi4-gigabit-64.xml"/>
  <network file="{network}"/>
  <data kind="random" train="120" test="20" inputs="{inputs}" classes="5"/>
  <training batch="24" epochs="{epochs}" learning-rate="0.05" optimizer="momentum"/>
  <strategy label="sequential" kind="ring_pipeline" schedule="sequential" micro-batches="4"/>
  <strategy label="gpipe" kind="ring_pipeline" schedule="gpipe" micro-batches="4"/>
  <strategy label="1f1b" kind="ring_pipeline" schedule="1f1b" micro-batches="4"/>
  <strategy label="ringtmp" kind="ring_pipeline" schedule="ringtmp"/>
  <strategy label="pipedream" kind="ring_pipeline" schedule="pipedream"/>
  <strategy label="replicas" kind="ring_pipeline" schedule="1f1b" micro-batches="2" stages="1"
            replicas="{nodes}"/>
  <strategy label="server" kind="parameter_server" servers="1"/>
  <strategy label="all-reduce" kind="ring_allreduce" buckets="3"/>
  <strategy label="all-reduce-waiting" kind="ring_allreduce" buckets="2" overlap="no"/>
</scenario>
"""
# Four megabytes of parameters: messages that take long, wait for room, and are cut in half.
WIDE = """<?xml version="1.0"?>
<network name="wide" input="64">
  <dense outputs="1024" activation="relu"/>
  <dense outputs="512" activation="relu"/>
  <dense outputs="600" activation="relu"/>
  <dense outputs="300" activation="relu"/>
  <dense outputs="5"/>
</network>
"""
LABELS = ["sequential", "gpipe", "1f1b", "ringtmp", "pipedream", "replicas", "server", "all-reduce",
          "all-reduce-waiting"]


class Wrong(Exception):
    pass


def is_listening(port):
    """Asked of the kernel: to connect would disturb, and may meet somebody else's socket."""
    wanted = f"0100007F:{port:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        return any(line.split()[1] == wanted and line.split()[3] == "0A" for line in table
                   if ":" in line.split()[1])


class Run:
    """One run of ringnode, of one process or of a process a rank, in a folder of its own."""

    def __init__(self, options, seed):
        self.options, self.seed = options, seed
        dice = self.dice = random.Random(seed)
        self.nodes = dice.randint(2, 5)
        self.local = dice.random() < 0.4
        self.key = dice.random() < 0.4
        self.pace = dice.random() < 0.3
        first = LABELS[seed % len(LABELS)]
        more = dice.random() < 0.3
        self.labels = [first] + ([dice.choice([x for x in LABELS if x != first])] if more else [])
        self.save = not more and dice.random() < 0.5
        self.trace = dice.random() < 0.5
        self.wide = dice.random() < 0.35
        self.epochs = int(options.epochs * (0.1 if self.pace or self.wide else 1)) or 1
        self.folder = tempfile.mkdtemp(prefix="ringtmp-killed-")
        self.result = None
        self.join_s = JOIN_S

    def path(self, name):
        return os.path.join(self.folder, name)

    def describe(self):
        return (f"{'+'.join(self.labels)} on {self.nodes} nodes"
                f"{', local' if self.local else ''}{', key' if self.key else ''}"
                f"{', paced' if self.pace else ''}{', wide' if self.wide else ''}"
                f"{', saving' if self.save else ''}"
                f"{', trace' if self.trace else ''}")

    def words(self):
        words = self.options.under + [self.options.ringnode, self.path("scenario.xml"), "--set",
                                      f"nodes={self.nodes}"]
        for label in self.labels:
            words += ["--strategy", label]
        words += ["--progress", "--join-timeout", str(int(self.join_s))]
        words += ["--key-file", self.path("key")] if self.key else []
        return words + (["--pace", "platform"] if self.pace else [])

    def outputs(self):
        words = ["--json", self.path("result.json")]
        words += ["--save", self.path("net.safetensors")] if self.save else []
        return words + (["--trace", self.path("run.trace")] if self.trace else [])

    def spawn(self, words, name):
        with open(self.path(name), "wb") as log:
            return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    start_new_session=True)

    def start(self, stagger=0.0):
        os.makedirs(self.folder, exist_ok=True)
        with open(self.path("scenario.xml"), "w", encoding="ascii") as stream:
            network = "wide.xml" if self.wide else f"{ROOT}/tests/data/odd-widths.xml"
            stream.write(SCENARIO.format(root=ROOT, nodes=self.nodes, epochs=self.epochs,
                                         network=network, inputs=64 if self.wide else 19))
        with open(self.path("wide.xml"), "w", encoding="ascii") as stream:
            stream.write(WIDE)
        with open(os.open(self.path("key"), os.O_CREAT | os.O_WRONLY, 0o600), "w") as stream:
            stream.write("3f9a1c77e0d25b8846aa03d1f4c2be905577112233eeddccbb00998877665544\n")
        self.ports = []
        if self.local:
            self.processes = [self.spawn(self.words() + self.outputs() + [f"--local={self.nodes}"],
                                         "log0")]
            return
        self.ports = free_ports(self.nodes)
        with open(self.path("hosts"), "w", encoding="ascii") as stream:
            stream.writelines(f"127.0.0.1:{port}\n" for port in self.ports)
        self.processes = []
        for rank in range(self.nodes):
            words = self.words() + ["--rank", str(rank), "--hosts", self.path("hosts")]
            self.processes.append(self.spawn(words + (self.outputs() if rank == 0 else []),
                                             f"log{rank}"))
            time.sleep(stagger * self.dice.random() / self.nodes)

    def wait(self, limit):
        """Until all have ended; those who had not are named."""
        late = []
        for index, process in enumerate(self.processes):
            try:
                process.wait(max(limit - time.monotonic(), 0.01))
            except subprocess.TimeoutExpired:
                late.append(index)
        return late

    def log(self, index):
        with open(self.path(f"log{index}"), encoding="utf-8", errors="replace") as stream:
            return stream.read()

    def read_result(self):
        try:
            with open(self.path("result.json"), encoding="utf-8") as stream:
                self.result = json.load(stream)
        except FileNotFoundError:
            self.result = None
        except ValueError as error:
            raise Wrong(f"a result that is not whole: {error}") from error
        return self.result

    def end(self, keep):
        for process in self.processes:
            end_group(process)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


class Killing:
    """What is done to a run, and what may come of it."""

    WAYS = [("kill", 0.5), ("stop", 0.15), ("term", 0.15), ("int", 0.2)]

    def __init__(self, run, life_s):
        dice = self.dice = run.dice
        self.run = run
        self.way = dice.choices([w for w, _ in self.WAYS], [p for _, p in self.WAYS])[0]
        where = dice.random()  # the join and the end are short, and have their own share
        at = dice.random()
        self.at_s = life_s * (at if where < 0.5 else 0.3 * at if where < 0.7 else 0.75 + 0.3 * at)
        self.count = 2 if run.nodes > 2 and dice.random() < 0.25 else 1
        self.victims = []  # indices of processes; with --local -1: ranks, not to be seen here
        self.log = []

    def describe(self):
        return f"SIG{self.way.upper()} to {' and '.join(self.log) or 'nobody'} at {self.at_s:.2f} s"

    def hit(self, pid, name):
        first = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "term": signal.SIGTERM,
                 "int": signal.SIGINT}[self.way]
        try:
            os.kill(pid, first)
            self.log.append(name)
        except ProcessLookupError:
            return
        if self.way == "stop":
            time.sleep(0.6 * self.dice.random())
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def strike(self):
        run = self.run
        if run.local:
            parent = run.processes[0].pid
            targets = [(parent, "the parent")] + [(pid, f"rank {i}") for i, pid in
                                                  enumerate(children_of(parent))]
        else:
            targets = [(p.pid, f"rank {i}") for i, p in enumerate(run.processes)]
        for pid, name in self.dice.sample(targets, min(self.count, len(targets))):
            if run.local and pid != run.processes[0].pid:
                self.victims.append(-1)
            elif run.processes[0 if run.local else int(name[5:])].poll() is None:
                self.victims.append(0 if run.local else int(name[5:]))
            else:
                continue  # has ended, and been looked at: the number may be another's
            self.hit(pid, name)


def is_complete(run):
    return run.result is not None and all(one["status"] in ("ok", "diverged") or is_overrun(one)
                                          for one in run.result["runs"])


def is_overrun(one):
    """A paced run on a machine that was too busy: invalid, and complete."""
    return one["status"] == "failed" and "computations took longer" in (one["error"] or "")


def was_trained(run):
    """What is known of a run whose rank 0 did not live to write it: its last word of progress."""
    words = re.findall(r"^  (\S+) (\d+)/(\d+), ", run.log(0), re.MULTILINE)
    return bool(words) and words[-1][0] == run.labels[-1] and words[-1][1] == words[-1][2]


def was_joining(run, killing):
    """Did a signal end somebody who could not say goodbye, not having met all the others yet?"""
    return any(re.search(r"^ringnode: interrupted$", run.log(index), re.MULTILINE)
               or run.processes[index].returncode < 0 for index in killing.victims if index >= 0)


def explain(run, killing, index, status):
    """Is the exit status of a survivor (or of one whom a signal asked to end) the right one?"""
    text = run.log(index)
    victim = index in killing.victims
    asked = killing.way in ("term", "int")
    if status == SANITIZER or "Sanitizer: " in text or re.search(r"^==\d+== ", text, re.MULTILINE):
        raise Wrong(f"process {index}: a sanitizer has found something")
    if status < 0:
        if victim and -status in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            return  # before it listened to signals, or SIGKILL
        raise Wrong(f"process {index} was ended by signal {-status}")
    if status == 0:
        if not is_complete(run) and not (run.result is None and was_trained(run)):
            raise Wrong(f"process {index} ended well, and the run is not complete")
    elif status == 1:
        if not (run.result and any(map(is_overrun, run.result["runs"]))):
            raise Wrong(f"process {index}: internal error")
    elif status == 3:
        if "did not join in" not in text:
            raise Wrong(f"process {index}: status 3, and all had joined")
    elif status == 4:
        if not any(word in text for word in ("was lost", "refused", "was ended by signal",
                                             "a peer was lost")):
            raise Wrong(f"process {index}: status 4, and nobody says who was lost")
        if asked and "was ended by signal" not in text and not was_joining(run, killing):
            raise Wrong(f"process {index}: status 4, and everybody said goodbye")
    elif status == 130:
        if not (killing.way in ("term", "int") or (run.local and 0 in killing.victims)):
            raise Wrong(f"process {index}: interrupted, and by whom?")
    else:
        raise Wrong(f"process {index}: status {status} is not documented")


def look_at_files(run, killing, reference):
    """All of them whole; temporary ones only of a rank 0 that had no time to take them away."""
    first_dead = killing.way in ("kill", "stop") and (
        {"rank 0", "the parent"} <= set(killing.log) if run.local else 0 in killing.victims)
    known = {"scenario.xml", "wide.xml", "key", "hosts", "result.json", "run.trace",
             "net.safetensors"}
    for name in os.listdir(run.folder):
        if not (name in known or name.startswith("log") or (first_dead and ".part-" in name)):
            raise Wrong(f"{name} is left")
    if os.path.exists(run.path("run.trace")):
        with open(run.path("run.trace"), encoding="utf-8") as stream:
            json.load(stream)
    if os.path.exists(run.path("net.safetensors")):
        if reference["saved"] not in (None, os.path.getsize(run.path("net.safetensors"))):
            raise Wrong("a checkpoint that is not whole")
    if run.result is None:
        return
    if [one["label"] for one in run.result["runs"]] != reference["labels"]:
        raise Wrong("runs are missing from the result")
    for one, digest in zip(run.result["runs"], reference["digests"]):
        if one["status"] not in ("ok", "failed", "interrupted", "lost", "diverged"):
            raise Wrong(f"{one['label']}: status {one['status']}")
        if one["status"] == "ok" and one["weights_sha256"] != digest:
            raise Wrong(f"{one['label']}: other weights than undisturbed")
        if one["status"] != "ok" and not one["error"]:
            raise Wrong(f"{one['label']}: {one['status']}, and no reason")


def undisturbed(options, seed):
    """The same run without a signal: how long it takes, what comes of it."""
    run = Run(options, seed)
    run.join_s = BOUND_S  # they all come
    begin = time.monotonic()
    try:
        run.start()
        late = run.wait(begin + 3 * BOUND_S)
        life_s = time.monotonic() - begin
        result = run.read_result()
        for index, process in enumerate(run.processes):
            status = process.returncode
            overrun = result and any(map(is_overrun, result["runs"]))
            if late or (status != 0 and not (status == 1 and overrun)):
                raise Wrong(f"undisturbed: process {index}: status {status}\n{run.log(index)}")
        kept = run.save and result["runs"][0]["status"] != "diverged"
        saved = os.path.getsize(run.path("net.safetensors")) if kept else None
        return life_s, {"labels": [one["label"] for one in result["runs"]], "saved": saved,
                        "digests": [one["weights_sha256"] for one in result["runs"]]}
    finally:
        run.end(False)


def judge(run, killing, reference):
    """After all that live have had their time."""
    late = run.wait(time.monotonic() + BOUND_S)
    if late:
        raise Wrong(f"process {late[0]} has not ended in {BOUND_S:.0f} s")
    limit = time.monotonic() + BOUND_S  # ranks whose parent was killed
    if not all(ends_by(process.pid, limit) for process in run.processes):
        raise Wrong("a rank has outlived its parent")
    run.read_result()
    for index, process in enumerate(run.processes):
        explain(run, killing, index, process.returncode)
    look_at_files(run, killing, reference)
    for port in run.ports:
        if is_listening(port):
            raise Wrong(f"port {port} is still open")


def try_seed(options, seed):
    try:
        life_s, reference = undisturbed(options, seed)
    except Wrong as wrong:
        print(f"seed {seed}: WRONG: {wrong}", flush=True)
        return False
    run = Run(options, seed)
    killing = Killing(run, life_s)
    begin = time.monotonic()
    good = False
    try:
        run.start(stagger=0.2 * life_s if run.dice.random() < 0.5 else 0)
        time.sleep(max(begin + killing.at_s - time.monotonic(), 0))
        killing.strike()
        struck = time.monotonic()
        judge(run, killing, reference)
        good = True
        ends = " ".join(str(process.returncode) for process in run.processes)
        states = [one["status"] for one in run.result["runs"]] if run.result else ["no result"]
        print(f"seed {seed}: {run.describe()}: {killing.describe()} of {life_s:.2f}: "
              f"status {ends}, {','.join(states)}, after {time.monotonic() - struck:.2f} s", flush=True)
    except Wrong as wrong:
        print(f"seed {seed}: {run.describe()}: {killing.describe()} of {life_s:.2f}: "
              f"WRONG: {wrong}")
        for index, process in enumerate(run.processes):
            print(f"--- process {index}, status {process.poll()}\n{run.log(index)[-6000:]}")
        sys.stdout.flush()
    finally:
        run.end(options.keep and not good)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("ringnode")
    parser.add_argument("--seeds", default="0:6", help="FIRST:COUNT; one that fails: SEED:1")
    parser.add_argument("--epochs", type=int, default=60, help="of the training")
    parser.add_argument("--under", default="", help="a program that runs ringnode: valgrind ...")
    parser.add_argument("--keep", action="store_true", help="leave the folder of a seed that fails")
    options = parser.parse_args()
    options.under = shlex.split(options.under)
    if options.under and not shutil.which(options.under[0]):
        print(f"skipped: there is no {options.under[0]}")
        return 77
    first, count = map(int, options.seeds.split(":"))
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"):
        os.environ[name] = f"{os.environ.get(name, '')}:exitcode={SANITIZER}:atexit_sleep_ms=0"
    wrong = [seed for seed in range(first, first + count) if not try_seed(options, seed)]
    if wrong:
        print(f"{len(wrong)} of {count} seeds went wrong: {' '.join(map(str, wrong))}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
