"""Real runs that lose ranks, and take them in again: ringnode over loopback, --lose shrink and spare.

    test_return_run.py RINGNODE [--moments N] [--only WORD] [--seed N] [--minutes M] [--no-thread LIBRARY]

Any rank, rank 0 too, is killed at a moment of the run's life, also while it waits to be taken in, and
started again as at first: it joins at the end of an epoch, or after the next loss. The training comes to its end on all ranks with status 0: with
spare to the weights of an undisturbed run, to the bit; with shrink on as many nodes as are there. One that comes too late hears so.
A rank that gets no thread for its door (LIBRARY is preloaded) says so, and all go on without the one that would come back.
With and without a key. --minutes: of one long run, with losses all the time. RG_SLOWNESS stretches the times, for sanitizers."""

import argparse
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from cluster_runs import Cluster, was_busy  # noqa: E402
from real_runs import SLOWNESS, Wrong, iris_scenario, require  # noqa: E402

SEATS, PER_EPOCH = 4, 10
LABELS = ("all-reduce", "copies")
SCENARIO = iris_scenario(
    "back", 'epochs="1" learning-rate="0.01" optimizer="adam"', 'label="all-reduce" kind="ring_allreduce"',
    'label="copies" kind="ring_pipeline" schedule="1f1b" micro-batches="4" backup="2"').replace(
        "models/networks/iris-mlp.xml", "tests/data/odd-widths.xml").replace(
            '<data kind="iris"/>', '<data kind="random" train="120" test="30" inputs="19" classes="5"/>')


def undisturbed(ringnode, folder, label, epochs, nodes, known={}):
    if (label, epochs) not in known:
        command = [ringnode, os.path.join(folder, "whole.xml"), "--strategy", label, "--local", str(nodes), "--set",
                   f"epochs={epochs}", "--quiet", "--json", os.path.join(folder, "whole.json")]
        with open(command[1], "w", encoding="utf-8") as stream:
            stream.write(SCENARIO)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with open(command[-1], encoding="utf-8") as stream:
            known[label, epochs] = json.load(stream)["runs"][0]["weights_sha256"]
    return known[label, epochs]


def pester(cluster, until, pause_s, most):
    """Kills and starts again until that date, at most so many at a time; how often."""
    losses = 0
    while time.monotonic() < until:
        seats = random.sample(range(SEATS), most if random.random() < 0.2 else 1)
        hit = [seat for seat in seats if cluster.kill(seat)]
        losses += len(hit)
        time.sleep(random.random() * pause_s)
        for seat in hit:
            cluster.start(seat)
        if random.random() < 0.2 and hit:  # once more, while it joins, or waits
            time.sleep(random.random() * pause_s)
            cluster.kill(hit[0])
            cluster.start(hit[0])
        time.sleep((1 + 3 * random.random()) * pause_s)  # with a spare it is to be in again
    return losses


def check(cluster, run, statuses, label, lose, epochs, weights):
    where = f"{lose}, {label}:"
    iterations = epochs * PER_EPOCH
    busy = was_busy(run)
    require(busy or statuses == [0] * SEATS, where, "statuses", statuses, run["error"], *cluster.texts())
    require((busy or run["status"] == "ok") and run["iterations"] == iterations, where, run["status"], run["error"],
            *cluster.texts())
    require(lose == "shrink" or run["weights_sha256"] == weights, where, "other weights", run["losses"])
    missing = 0
    for loss in run.get("losses", []):
        back = loss["back_iteration"]
        require((back is None) == (loss["back_s"] is None), where, loss)
        at_end = back is not None and (back % PER_EPOCH == 0 or any(back == other["iteration"] for other in run["losses"]))
        require(back is None or at_end and back < iterations and loss["back_s"] > loss["time_s"], where, run["losses"])
        missing += back is None
    require(lose == "spare" or run["nodes"] == SEATS - missing, where, run["nodes"], "nodes,", missing, "missing",
            run.get("losses"), *cluster.texts())
    points = [point["iteration"] for point in run["training"]]
    require(points == sorted(set(points)) and len(points) == epochs, where, "evaluations", len(points), "of", epochs)
    return sum(loss["back_s"] is not None for loss in run.get("losses", []))


def once(ringnode, folder, lose, label, seconds, pause_s):
    """Losses for so long, then quiet until the end."""
    key = os.path.join(folder, "key")
    keyed = random.random() < 0.5
    if keyed and not os.path.exists(key):
        with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(32) + "\n")
    options = ["--lose", lose, "--peer-timeout", str(int(10 * SLOWNESS))]
    options += ["--key-file", key] if keyed else []
    sets = [f"nodes={SEATS - 2}", "spares=2"] if lose == "spare" else [f"nodes={SEATS}"]
    epochs = int((seconds + 4) / (PER_EPOCH * 0.03))  # of some tenths of a second
    weights = undisturbed(ringnode, folder, label, epochs, SEATS - 2) if lose == "spare" else None
    cluster = Cluster(ringnode, folder, SCENARIO, label, SEATS, [*sets, f"epochs={epochs}"], *options)
    time.sleep(1 * SLOWNESS)
    losses = pester(cluster, time.monotonic() + seconds, pause_s, 2 if lose == "shrink" else 1)
    run, _, statuses = cluster.finish(60 * SLOWNESS + 10 * seconds)
    back = check(cluster, run, statuses, label, lose, epochs, weights)
    print(f"{lose}, {label}{', with a key' if keyed else ''}: {losses} losses, {len(run.get('losses', []))} told of, "
          f"{back} back, {run['time_s']:.1f} s", flush=True)
    return back


def too_late(ringnode, folder):
    """It waits to be taken in, but there is no other epoch."""
    cluster = Cluster(ringnode, folder, SCENARIO, "all-reduce", SEATS, ["epochs=1", f"nodes={SEATS}"], "--lose", "shrink",
                      call_ms=20)
    time.sleep(1 * SLOWNESS)
    cluster.kill(2)
    time.sleep(0.5 * SLOWNESS)  # the others are to go on before it is there again
    cluster.start(2)
    run, _, statuses = cluster.finish(60 * SLOWNESS)
    require(statuses == [0] * SEATS, "too late: statuses", statuses, *cluster.texts())
    require("ended before this rank was taken in: it is complete" in cluster.text(2), "too late:", *cluster.texts())
    require(run["nodes"] == SEATS - 1, "too late:", run["nodes"])


def no_door(ringnode, folder, library, lose):
    """Any of the ranks that go on gets no thread that would let others in: they do not wait for it, and nor do they fail."""
    asked = os.path.join(folder, "no-thread")
    sets = [f"nodes={SEATS - 2}", "spares=2"] if lose == "spare" else [f"nodes={SEATS}"]
    cluster = Cluster(ringnode, folder, SCENARIO, "all-reduce", SEATS, [*sets, "epochs=8"], "--lose", lose, call_ms=2,
                      environment={"LD_PRELOAD": library, "RG_NO_THREAD": asked})
    time.sleep(1 * SLOWNESS)
    with open(asked, "w", encoding="ascii"):
        cluster.kill(2)
    time.sleep(0.5 * SLOWNESS)  # the others are to go on before it is there again
    cluster.start(2)
    run, _, statuses = cluster.finish(60 * SLOWNESS)
    where = f"no door, {lose}:"
    require(statuses == [0] * SEATS, where, "statuses", statuses, *cluster.texts())
    without = [seat for seat in range(SEATS) if "nobody can come back: no thread for the door" in cluster.text(seat)]
    require(len(without) == 1 and without != [2], where, without, "without a door", *cluster.texts())
    require("ended before this rank was taken in: it is complete" in cluster.text(2), where, *cluster.texts())
    require(run["status"] == "ok" and len(run["losses"]) == 1 and run["losses"][0]["back_s"] is None, where, run)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ringnode")
    parser.add_argument("--moments", type=int, default=1)
    parser.add_argument("--only")
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--no-thread")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print("--seed", options.seed, flush=True)
    random.seed(options.seed)
    back = 0
    ways = [(lose, label) for lose in ("shrink", "spare") for label in LABELS if options.only in (None, lose, label)]
    with tempfile.TemporaryDirectory(prefix="ringtmp-return-") as folder:
        try:
            too_late(os.path.abspath(options.ringnode), folder)
            for lose in ("shrink", "spare") if options.no_thread else ():
                no_door(os.path.abspath(options.ringnode), folder, os.path.abspath(options.no_thread), lose)
            for _ in range(options.moments):
                for lose, label in ways if options.moments > 1 else [random.choice(ways)]:
                    back += once(os.path.abspath(options.ringnode), folder, lose, label,
                                 60 * options.minutes or (5 if options.moments > 1 else 3), 2 if options.minutes else 0.5)
        except Wrong as wrong:
            print(wrong)
            return 1
    print(back, "came back")
    return 0 if back or options.moments == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
