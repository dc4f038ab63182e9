"""Real runs that lose ranks, and that nobody goes on with: ringnode over loopback, --lose restart, shrink and spare.

    test_given_up.py RINGNODE [--moments N] [--only WORD] [--seed N]

Some ranks are killed, or stopped; the others wait for them in vain (restart), are asked to stop meanwhile, or just as they go
on, or are too few, or cannot. Whatever is left in memory is saved, and told, by the lowest of them: where that is the whole
network, it is what an undisturbed run of as many iterations gives, to the bit. Where it is one rank alone that cannot, the
others go on. RG_SLOWNESS stretches the times, for sanitizers."""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from cluster_runs import Cluster, was_busy  # noqa: E402
from real_runs import SLOWNESS, Wrong, iris_scenario, require, tighten  # noqa: E402

SEATS, BOUND_S = 4, 60 * SLOWNESS
SCENARIO = iris_scenario(
    "given-up", 'epochs="100000" learning-rate="0.01" optimizer="adam"',
    'label="all-reduce" kind="ring_allreduce"',
    'label="copies" kind="ring_pipeline" schedule="1f1b" micro-batches="4" backup="2"',
    'label="ring" kind="ring_pipeline" schedule="1f1b" micro-batches="4"',
    'label="server" kind="parameter_server" servers="1"',
    'label="clients" kind="fedavg" fraction="1" local-batch="10"').replace(
        "models/networks/iris-mlp.xml", "tests/data/odd-widths.xml").replace(
            '<data kind="iris"/>', '<data kind="random" train="120" test="30" inputs="19" classes="5"/>')
SETS = {"clients": ["rows=shuffle"]}


def weights_of(ringnode, folder, label, nodes, iterations, known={}):
    """What so many iterations give."""
    key = label, nodes, iterations
    if key not in known:
        scenario, result = os.path.join(folder, "whole.xml"), os.path.join(folder, "whole.json")
        with open(scenario, "w", encoding="utf-8") as stream:
            stream.write(SCENARIO)
        command = [ringnode, scenario, "--strategy", label, "--local", str(nodes), "--quiet", "--json", result]
        for one in [*SETS.get(label, []), f"nodes={nodes}", f"iterations={iterations}"]:
            command += ["--set", one]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with open(result, encoding="utf-8") as stream:
            known[key] = json.load(stream)["runs"][0]["weights_sha256"]
    return known[key]


def saved(path):
    """The digest of the parameters in the file; None: there is none."""
    if not os.path.exists(path):
        return None
    with open(path, "rb") as stream:
        data = stream.read()
    return hashlib.sha256(data[8 + int.from_bytes(data[:8], "little"):]).hexdigest()


class Case:
    def __init__(self, options, folder, lose, label, *more, nodes=SEATS, sets=(), call_ms=0.3):
        self.ringnode, self.folder, self.lose, self.label, self.nodes = options.ringnode, folder, lose, label, nodes
        sets = [*SETS.get(label, []), f"nodes={nodes}", *sets] + ([f"spares={SEATS - nodes}"] if lose == "spare" else [])
        self.cluster = Cluster(options.ringnode, folder, SCENARIO, label, SEATS, sets, "--lose", lose, *more, call_ms=call_ms)
        time.sleep((0.7 + 0.6 * random.random()) * SLOWNESS)

    def where(self, *words):
        return f"{self.lose}, {self.label}:", *words

    def interrupt(self, seats):
        for seat in seats:
            if self.cluster.ranks[seat].poll() is None:
                self.cluster.ranks[seat].send_signal(signal.SIGINT)

    def wait_for(self, seats, words):
        limit = time.monotonic() + BOUND_S
        while not all(words in self.cluster.text(seat) for seat in seats):
            require(time.monotonic() < limit, *self.where(f'nobody says "{words}"', *self.cluster.texts()))
            time.sleep(0.02)

    def check(self, left, status, wanted, whole, exact=True):
        """left: seats of those that were there at the end, as rank; whole: are all parameters somewhere?"""
        run, teller, statuses = self.cluster.finish(BOUND_S)
        texts = self.cluster.texts()
        require(teller == left[0], *self.where("rank", teller, "tells of it", *texts))
        require(all(statuses[seat] == status for seat in left), *self.where("statuses", statuses, *texts))
        require(run["status"] == wanted, *self.where(run["status"], run["error"], *texts))
        require(run["iterations"] > 0 and run["ending"]["wanted_iterations"] > run["iterations"],
                *self.where(run["iterations"], run["ending"], *texts))
        digest = saved(self.cluster.path(f"p{teller}.safetensors"))
        others = [seat for seat in left[1:] if saved(self.cluster.path(f"p{seat}.safetensors"))]
        require(not others, *self.where(others, "save, too"))
        require(bool(digest) == whole, *self.where("saved:", digest, run["error"], *texts))
        if not whole:
            require("layer" in run["ending"]["missing"], *self.where(run["ending"], run["error"]))
            return run
        require(digest == run["weights_sha256"], *self.where("another file:", digest, run["weights_sha256"]))
        require("its parameters are saved" in run["error"], *self.where(run["error"]))
        if exact:
            require(digest == weights_of(self.ringnode, self.folder, self.label, self.nodes, run["iterations"]),
                    *self.where("other weights after", run["iterations"], *texts))
        return run


def others(*gone):
    return [seat for seat in range(SEATS) if seat not in gone]


def has_all(label, *gone):
    """Have those that are left all parameters?"""
    if label == "copies":
        return not any((seat + 1) % SEATS in gone for seat in gone)
    return label == "all-reduce" or label != "ring" and 0 not in gone


def wait_in_vain(options, folder, label, way):
    """restart: Ctrl-C while the others wait; or nobody comes."""
    more = ("--join-timeout", "3") if way == "join" else ("--timeout", str(int(5 * SLOWNESS))) if way == "timeout" else ()
    case = Case(options, folder, "restart", label, *more)
    gone = random.randrange(SEATS)
    left = others(gone)
    case.cluster.kill(gone)
    case.wait_for(left, "joining once more")
    if way == "interrupt":
        time.sleep(random.choice((0, 0.05, 0.5)) * SLOWNESS)
        case.interrupt(left)
    statuses = {"interrupt": (130, "interrupted"), "join": (4, "lost"), "timeout": (3, "failed")}[way]
    run = case.check(left, *statuses, has_all(label, gone))
    if way == "join":
        require("has not come back within 3 s" in run["error"], *case.where(run["error"]))
    else:
        require("within" not in run["error"] or way == "timeout", *case.where(run["error"]))
    texts = case.cluster.texts()
    require(not any("gone again" in text for text in texts), *case.where(*texts))  # they call in turns


def too_few(options, folder, lose):
    """Of two parts the smaller one; no spare any more."""
    label = random.choice(("all-reduce", "copies"))
    nodes = SEATS - 1 if lose == "spare" else SEATS
    case = Case(options, folder, lose, label, "--peer-timeout", "3", nodes=nodes)
    gone = (0, 1) if lose == "shrink" else random.sample(range(nodes), 1) + [nodes]
    for seat in gone:
        case.cluster.ranks[seat].send_signal(signal.SIGSTOP if lose == "shrink" else signal.SIGKILL)
    left = others(*gone)
    if lose == "shrink":  # those that were stopped are not woken before the others have given up
        limit = time.monotonic() + BOUND_S
        while any(case.cluster.ranks[seat].poll() is None for seat in left) and time.monotonic() < limit:
            time.sleep(0.05)
        for seat in gone:
            case.cluster.ranks[seat].kill()
    case.check(left, 4, "lost", label == "all-reduce" or nodes < SEATS)


def stop_as_it_goes_on(options, folder, lose):
    """Ctrl-C at some moment after a loss: nothing is said of what is not so."""
    label = random.choice(("all-reduce", "copies", "server", "clients"))
    nodes = SEATS - 1 if lose == "spare" else SEATS
    case = Case(options, folder, lose, label, nodes=nodes)
    gone = random.randrange(1 if label in ("server", "clients") else 0, nodes)
    left = others(gone)
    case.cluster.kill(gone)
    if lose == "restart" and random.random() < 0.7:
        case.wait_for(left, "joining once more")
        case.cluster.start(gone)
        left = sorted([*left, gone])
    time.sleep(random.random() * random.choice((0.03, 0.4)) * SLOWNESS)
    case.interrupt(left)
    run, teller, statuses = case.cluster.finish(BOUND_S)
    texts = case.cluster.texts()
    require(all(statuses[seat] in (130, -2) for seat in left), *case.where("statuses", statuses, *texts))
    require(run["status"] == "interrupted" and run["iterations"] > 0, *case.where(run["status"], run["error"], *texts))
    digest = saved(case.cluster.path(f"p{teller}.safetensors"))
    require(digest and digest == run["weights_sha256"], *case.where("saved:", digest, run["error"], *texts))
    if lose != "shrink":
        require(digest == weights_of(options.ringnode, folder, label, nodes, run["iterations"]),
                *case.where("other weights after", run["iterations"], *texts))


def one_cannot(options, folder, lose, way):
    """After a loss one more fails by itself: it says why, and the others go on without it."""
    nodes, iterations = (2 if lose == "spare" else SEATS), 100
    case = Case(options, folder, lose, random.choice(("all-reduce", "copies")), nodes=nodes,
                sets=[f"iterations={iterations}"], call_ms=0.3 * SLOWNESS)  # some seconds: it is training when one is lost
    gone = random.randrange(nodes)
    fails = (gone + nodes // 2) % nodes  # of a ring no neighbour, where there is such a node: the copies that are left suffice
    if way == "file":
        os.remove(case.cluster.scenario(fails))
    else:
        tighten(case.cluster.ranks[fails].pid, way)
    require(case.cluster.kill(gone), *case.where("it was over before one was lost"))
    run, teller, statuses = case.cluster.finish(BOUND_S)
    texts, text = case.cluster.texts(), case.cluster.text(fails)
    left = others(gone, fails) if way == "file" or "out of memory" in text else others(gone)
    busy = was_busy(run)
    require(all(statuses[seat] == (busy and seat == teller) for seat in left), *case.where("statuses", statuses, *texts))
    require((run["status"] == "ok" or busy) and run["iterations"] == iterations, *case.where(run["status"], run["error"], *texts))
    if fails not in left:
        reason, status = {"file": (f"{case.cluster.scenario(fails)}: cannot be read: No such file", 2),
                          "memory": ("out of memory", 1)}[way]
        require(reason in text and statuses[fails] == status, *case.where("status", statuses[fails], *texts))
    digest = saved(case.cluster.path(f"p{teller}.safetensors"))
    require(digest == run["weights_sha256"], *case.where("saved:", digest))
    if lose == "spare":
        require(digest == weights_of(options.ringnode, folder, case.label, nodes, iterations), *case.where("other weights"))


def none_can(options, folder, lose):
    """After a loss: what there is is saved, and why."""
    nodes = SEATS - 1 if lose == "spare" else SEATS
    case = Case(options, folder, lose, random.choice(("all-reduce", "copies")), nodes=nodes)
    gone = random.randrange(nodes)
    for seat in range(SEATS):
        os.remove(case.cluster.scenario(seat))
    case.cluster.kill(gone)
    left = others(gone)
    run = case.check([left.pop(), *left] if lose == "spare" and gone == 0 else left, 4, "lost", True)  # the spare is rank 0
    told = [run["ending"]["why"] or "", *case.cluster.texts()]
    require(not any("failed" in text for text in told), *case.where(*told))  # none has failed alone


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ringnode", type=os.path.abspath)
    parser.add_argument("--moments", type=int, default=1)
    parser.add_argument("--only")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print("--seed", options.seed, flush=True)
    random.seed(options.seed)
    labels = ("all-reduce", "copies", "ring", "server", "clients")
    cases = [(wait_in_vain, label, "interrupt") for label in labels]
    cases += [(wait_in_vain, "all-reduce", "join"), (wait_in_vain, "copies", "timeout")]
    cases += [(too_few, lose) for lose in ("shrink", "spare")]
    cases += [(one_cannot, lose, way) for lose in ("shrink", "spare")
              for way in ("file", "memory") if way == "file" or SLOWNESS == 1]  # sanitizers end a process without memory
    cases += [(none_can, lose) for lose in ("shrink", "spare")]
    cases += [(stop_as_it_goes_on, lose) for lose in ("restart", "shrink", "spare")]
    chosen = [case for case in cases if options.only in (None, case[0].__name__, *case[1:])]
    if options.moments == 1 and not options.only:
        chosen = [random.choice([case for case in cases if case[0] is kind]) for kind in (wait_in_vain, too_few, one_cannot, none_can)]
        chosen.append((stop_as_it_goes_on, "restart"))
    with tempfile.TemporaryDirectory(prefix="ringtmp-given-up-") as folder:
        try:
            for _ in range(options.moments):
                for case, *words in chosen:
                    print(case.__name__, *words, flush=True)
                    case(options, folder, *words)
        except Wrong as wrong:
            print(wrong)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
