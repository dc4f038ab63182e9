#!/usr/bin/python3 -B
"""Seconds that the loss of a node costs, simulated and measured: shrink and spare on emulated nodes.

Happy path: for every strategy and way to go on a node is killed (SIGKILL) at a moment of the
training, and the result says when the others had noticed and how long it took from then until the
next iteration's end (losses.recovery_s). The same is simulated, with the node's power off from that
date on. Nothing is fitted to the runs. Failure modes handled: as testbed.py; a loss that the result
does not tell of, and a bound that does not hold (status 1); a moment that decides too much, such as
just before a computation, which is waited for if it has begun: where the simulation of a loss somewhat
earlier or later costs something else, which is known without the measurement, another moment is drawn,
and counted. Later is later by what a kernel sends for a process that has been killed: a simulated node
loses that with its power."""

import os
import random
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import matrix  # noqa: E402
import testbed  # noqa: E402

CASES = {"1f1b": ("ring", "1f1b"), "all-reduce": ("all-reduce", "all-reduce")}  # of matrix.py
ABOUT = 0.04  # of an iteration: how much earlier or later
UNSENT = 128 << 10  # bytes that a kernel takes ahead of what it sends (runtime/connect/join_find.c)
NOTICED = "0"  # connections of a process that is killed are closed at once


def kill(rank, seconds):
    def disturb(nodes):
        time.sleep(seconds)
        nodes[rank].kill()
        return (rank,)
    return disturb


def with_loss(scenario, text, path):
    """The same scenario with a node that is off from a date on."""
    with open(scenario, encoding="ascii") as stream:
        whole = stream.read()
    assert whole.count("</scenario>") == 1
    with open(path, "w", encoding="ascii") as stream:
        stream.write(whole.replace("</scenario>", text + "</scenario>"))
    return path


def the_loss(result, where):
    run = result["runs"][0]
    if len(run.get("losses", [])) != 1 or run["losses"][0]["recovery_s"] is None:
        raise testbed.Failed(f"{where}: one loss is wanted, and an iteration after it: {run.get('losses')}")
    return run, run["losses"][0]


def lost_at(bench, scenario, options, rank, seconds):
    """Simulated."""
    off = f'<faults noticed="{NOTICED}"><off nodes="{rank}" from="{seconds!r}"/></faults>'
    shutil.rmtree(bench.path("checkpoints"), ignore_errors=True)
    return the_loss(bench.simulate(with_loss(scenario, off, bench.path("lossy.xml")), options), "simulated")


def one_case(bench, scenario, options, lose, draw, a):
    """A loss at a moment between the second and the last but three iterations."""
    rank = draw.randrange(1, a.nodes)
    checkpoints = bench.path("checkpoints")
    shutil.rmtree(checkpoints, ignore_errors=True)
    more = options + ["--set", f"iterations={a.iterations}", "--lose", lose]
    keep = ["--checkpoint", checkpoints, "--every", f"{a.every}iterations"]
    guess = bench.simulate(scenario, options + ["--set", "iterations=3"])["runs"][0]["iteration_s"]["mean"]
    after = guess * draw.uniform(2, a.iterations - 3)
    count = a.nodes + (lose == "spare")
    measured = bench.measure(scenario, more + keep, 600, ["--join-timeout", "60"], count, kill(rank, after))
    run, seen = the_loss(measured, "measured")
    shutil.rmtree(checkpoints, ignore_errors=True)
    again, told = lost_at(bench, scenario, more + keep, rank, seen["time_s"])
    shift = ABOUT * guess * max(1, told["iteration"] / 4)  # they drift apart
    kernels = (UNSENT + a.burst) / (1e6 * a.rate / 8)
    near = [lost_at(bench, scenario, more + keep, rank, max(0, seen["time_s"] + by))[1]
            for by in (-shift, shift, shift + kernels)]
    if any(other["iteration"] != told["iteration"] or other["from_iteration"] != told["from_iteration"]
           or abs(other["recovery_s"] / told["recovery_s"] - 1) > 0.1 for other in near):
        return None
    equal = all(seen[key] == told[key] for key in ("rank", "iteration", "from_iteration", "again", "nodes"))
    return {"lose": lose, "rank": rank, "iteration": seen["iteration"], "again": seen["again"],
            "iteration_s": guess, "simulated_s": told["recovery_s"], "measured_s": seen["recovery_s"],
            "error": told["recovery_s"] / seen["recovery_s"] - 1,
            "equal": equal and run["weights_sha256"] == again["weights_sha256"]}


def run(a):
    bench = testbed.Bench(a.build, a.nodes + 1, 1e6 * a.rate, a.burst)
    draw = random.Random(a.seed)
    print(f"emulated: {a.nodes} nodes and a spare one at {a.rate:g} Mbit/s, one way {1e6 * bench.delay_s:.0f} us; "
          f"paced by {os.path.basename(a.datasheet)}, slowed; seed {a.seed}; load {os.getloadavg()[0]:.2f}")
    print(f"{'strategy':12}{'lose':>8}{'rank':>6}{'at':>5}{'again':>7}{'iteration':>12}{'simulated':>12}{'measured':>12}"
          f"{'error':>9}  equal", flush=True)
    errors, differ, anew = [], 0, 0
    for label, (name, strategy) in CASES.items():
        scenario = matrix.write_case(bench, name, matrix.CASES[name])
        bench.nodes, whole = a.nodes, bench.nodes
        speed = matrix.slowed(bench, scenario, strategy, a.datasheet, a.ratio)
        bench.nodes = whole
        platform = bench.platform(testbed.datasheet(a.datasheet, speed))
        options = ["--set", f"platform={platform}", "--set", f"nodes={a.nodes}", "--strategy", strategy]
        for lose in ("shrink", "spare"):
            for _ in range(a.repeat):
                while (row := one_case(bench, scenario, options, lose, draw, a)) is None:
                    anew += 1
                errors.append(abs(row["error"]))
                differ += not row["equal"]
                print(f"{label:12}{lose:>8}{row['rank']:6}{row['iteration']:5}{row['again']:7}"
                      f"{1e3 * row['iteration_s']:9.1f} ms{1e3 * row['simulated_s']:9.1f} ms"
                      f"{1e3 * row['measured_s']:9.1f} ms{100 * row['error']:+7.2f} %  "
                      f"{'all' if row['equal'] else 'NOT'}", flush=True)
    print(f"{len(errors)} losses: mean error {100 * sum(errors) / len(errors):.2f} %, largest {100 * max(errors):.2f} % "
          f"(bound {a.bound:g}); {differ} differ in iterations, nodes or weights; "
          f"{anew} moments that decide too much drawn anew; {bench.network.dropped()} packets dropped; "
          f"load {os.getloadavg()[0]:.2f}")
    return 0 if not differ and 100 * max(errors) <= a.bound else 1


def parser():
    p = testbed.common_arguments(__doc__, 20000, 10)
    p.add_argument("--rate", type=float, default=100, help="Mbit/s (100)")
    p.add_argument("--ratio", type=float, default=0.25, help="c/T_A (0.25)")
    p.add_argument("--iterations", type=int, default=10)
    p.add_argument("--every", type=int, default=3, help="iterations between checkpoints (3)")
    p.add_argument("--repeat", type=int, default=3, help="losses of each (3)")
    p.add_argument("--seed", type=int, default=1)
    return p


def main():
    return testbed.enter("losses.py", run, parser().parse_args())


if __name__ == "__main__":
    sys.exit(main())
