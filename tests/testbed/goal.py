#!/usr/bin/python3 -B
"""Seconds to an accuracy, simulated and measured: a stream and 1f1b on 8 emulated nodes.

Happy path: the datasheet is slowed down until the stream has the wanted c/T_A; both train, with
real numerics, until they are as accurate as asked, once in the simulator and once on the nodes.
Printed are the seconds, and those of the stream over those of 1f1b. Nothing is fitted to the runs.
Failure modes handled: as testbed.py; a goal that is not reached, and a bound that does not hold
(status 1)."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import matrix  # noqa: E402
import testbed  # noqa: E402

SCENARIO = """<?xml version="1.0"?>
<scenario name="goal" seed="{seed}">
  <platform file="platform.xml"/>
  <network file="{root}/models/networks/deep.xml"/>
  <data kind="digits" train="8192" test="2000"/>
  <training batch="{batch}" epochs="16" learning-rate="{learning_rate}" clip="1"/>
  <strategy label="stream-8" kind="ring_pipeline" schedule="pipedream" depth="{depth}"
            micro-batches="8"/>
  <strategy label="1f1b" kind="ring_pipeline" schedule="1f1b" micro-batches="16"/>
  <stop accuracy="{accuracy}"/>
</scenario>
"""
LABELS = ("stream-8", "1f1b")


def seconds_of(result, label):
    told = result["runs"][0]["to_accuracy"]
    if told["time_s"] is None:
        raise testbed.Failed(f"{label} does not reach the goal with this seed")
    return told["time_s"]


def run(a):
    bench = testbed.Bench(a.build, a.nodes, 1e6 * a.rate, a.burst)
    scenario = bench.path("goal.xml")
    with open(scenario, "w", encoding="ascii") as stream:
        stream.write(SCENARIO.format(root=testbed.ROOT, depth=4 * a.nodes, **vars(a)))
    speed = matrix.slowed(bench, scenario, LABELS[0], a.datasheet, a.ratio)
    platform = bench.platform(testbed.datasheet(a.datasheet, speed))
    print(f"emulated: {a.nodes} nodes at {a.rate:g} Mbit/s, one way {1e6 * bench.delay_s:.0f} us, "
          f"bucket {a.burst} bytes; c/T_A {a.ratio:g}; paced by {os.path.basename(a.datasheet)}, "
          f"slowed; seed {a.seed}; load {os.getloadavg()[0]:.2f}")
    print(f"{'strategy':14}{'iterations':>11}{'simulated':>12}{'measured':>12}{'error':>9}"
          f"{'overruns':>10}  equal", flush=True)
    told, seen, differ = [], [], False
    for label in LABELS:
        options = ["--set", f"platform={platform}", "--set", f"nodes={a.nodes}",
                   "--strategy", label]
        simulated = bench.simulate(scenario, options)
        told.append(seconds_of(simulated, label))
        measured = bench.measure(scenario, options, 3 * told[-1] + 60)
        seen.append(seconds_of(measured, label))
        row = testbed.compare(simulated["runs"][0], measured["runs"])
        differ = differ or bool(row["unequal"])
        iterations = simulated["runs"][0]["to_accuracy"]["iterations"]
        print(f"{label:14}{iterations:11}{told[-1]:10.2f} s{seen[-1]:10.2f} s"
              f"{100 * (told[-1] / seen[-1] - 1):+7.2f} %{100 * row['overruns']:8.2f} %"
              f"  {'NOT ' + ' '.join(row['unequal']) if row['unequal'] else 'all'}", flush=True)
    ratios = told[0] / told[1], seen[0] / seen[1]
    error = 100 * (ratios[0] / ratios[1] - 1)
    print(f"to {100 * a.accuracy:g} %: {' over '.join(LABELS)}: {ratios[0]:.3f} simulated, "
          f"{ratios[1]:.3f} measured, {error:+.2f} % (bound {a.bound:g}); "
          f"{bench.network.dropped()} packets dropped; load {os.getloadavg()[0]:.2f}")
    return 0 if not differ and ratios[1] < 1 and abs(error) <= a.bound else 1


def parser():
    p = testbed.common_arguments(__doc__, 4000, 5)
    p.add_argument("--rate", type=float, default=8, help="Mbit/s (8)")
    p.add_argument("--ratio", type=float, default=1, help="c/T_A of the stream (1)")
    p.add_argument("--seed", type=int, default=14)
    p.add_argument("--batch", type=int, default=128,
                   help="messages are of 32 and 16 bytes a sample of it (128)")
    p.add_argument("--learning-rate", type=float, default=0.2)
    p.add_argument("--accuracy", type=float, default=0.985)
    return p


def main():
    return testbed.enter("goal.py", run, parser().parse_args())


if __name__ == "__main__":
    sys.exit(main())
