#!/usr/bin/python3 -B
"""Simulated against measured: strategies x rates x c/T_A on 8 emulated nodes, a table of errors.

Happy path: for every rate, kind of traffic and wanted c/T_A the datasheet is slowed down until the
closed form's T_A gives it, the runs are simulated and measured `--repeat` times, and the shortest
measurement (the quietest; of workers out of step the median) is compared. Messages are 60 kB or
more. Nothing is fitted to the runs.
Failure modes handled: as testbed.py; a run that fails (a row that says so, status 1); bounds that
do not hold (status 1)."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import testbed  # noqa: E402

NETWORK = ('<?xml version="1.0"?>\n<network name="testbed" input="{width}">\n'
           '  <residual hidden="{width}" activation="relu" repeat="{repeat}"/>\n</network>\n')
SCENARIO = """<?xml version="1.0"?>
<scenario name="testbed-{name}" seed="1">
  <platform file="platform.xml"/>
  <network file="{name}-network.xml"/>
  <data kind="random" train="{train}" test="0" inputs="{width}" classes="{width}"{rows}/>
  <training batch="{batch}" iterations="10" learning-rate="0.01"/>
  {strategies}
</scenario>
"""
# What travels: activations of 1024 x 32 floats, 131 kB (65 kB a half, and a micro-batch of larger
# batches); a vector of 33,024 parameters, 132 kB, to and from the server; eighths of one of 132,096,
# 66 kB, round the ring, or of one twice as long at half the bytes a number.
CASES = {
    "ring": {"width": 32, "repeat": 8, "batch": 1024, "train": 8192, "strategies": [
        '<strategy label="sequential" kind="ring_pipeline" schedule="sequential"/>',
        '<strategy label="gpipe" kind="ring_pipeline" schedule="gpipe" micro-batches="2"/>',
        '<strategy label="1f1b" kind="ring_pipeline" schedule="1f1b" micro-batches="2"/>',
        '<strategy label="ringtmp-bursts" kind="ring_pipeline" schedule="ringtmp"/>']},
    "stream": {"width": 32, "repeat": 8, "batch": 1024, "train": 131072, "strategies": [
        '<strategy label="ringtmp" kind="ring_pipeline" schedule="ringtmp"/>']},
    "micro": {"width": 32, "repeat": 8, "batch": 2048, "train": 131072, "strategies": [
        '<strategy label="stream-4" kind="ring_pipeline" schedule="pipedream" micro-batches="4" '
        'depth="32"/>']},
    "zb": {"width": 32, "repeat": 8, "batch": 8192, "train": 131072, "strategies": [
        '<strategy label="zb" kind="ring_pipeline" schedule="zb" micro-batches="16"/>',
        '<strategy label="zb-h1" kind="ring_pipeline" schedule="zb-h1" micro-batches="16"/>']},
    "server": {"width": 128, "repeat": 1, "batch": 56, "train": 8192, "strategies": [
        '<strategy label="server" kind="parameter_server"/>']},
    "all-reduce": {"width": 128, "repeat": 4, "batch": 64, "train": 8192, "strategies": [
        '<strategy label="all-reduce" kind="ring_allreduce" buckets="1"/>']},
    "stale": {"width": 128, "repeat": 1, "batch": 56, "train": 8192, "strategies": [
        '<strategy label="ssp-2" kind="parameter_server" consistency="ssp" staleness="2"/>',
        '<strategy label="async" kind="parameter_server" consistency="async"/>']},
    "shards": {"width": 128, "repeat": 4, "batch": 64, "train": 8192, "strategies": [
        '<strategy label="shard-3" kind="ring_allreduce" buckets="1" shard="3"/>']},
    "halves": {"width": 128, "repeat": 8, "batch": 64, "train": 8192, "strategies": [
        '<strategy label="float16" kind="ring_allreduce" buckets="1" compress="float16"/>']},
    "federated": {"width": 128, "repeat": 1, "batch": 56, "train": 8192, "rows": ' rows="shuffle"',
                  "strategies": [
        '<strategy label="fedavg" kind="fedavg" fraction="1" local-batch="0"/>']}}
# Iterations at least: filling and draining are left out of the mean, but where an epoch is eight
# batches long they are in it: the ring runs empty after each.
STREAMS = {"ringtmp": 120, "ringtmp-bursts": 64, "stream-4": 40}


def write_case(bench, name, case):
    with open(bench.path(f"{name}-network.xml"), "w", encoding="ascii") as stream:
        stream.write(NETWORK.format(**case))
    path = bench.path(f"{name}.xml")
    with open(path, "w", encoding="ascii") as stream:
        stream.write(SCENARIO.format(name=name, **{
            "rows": "", **case, "strategies": "\n  ".join(case["strategies"])}))
    return path


def labels(case):
    return [words.split('"')[1] for words in case["strategies"]]


def slowed(bench, scenario, label, sheet, ratio):
    """Speed of the datasheet at which this strategy has c / T_A = ratio, by its closed forms."""
    platform = bench.platform(testbed.datasheet(sheet, 1))
    told = bench.simulate(scenario, ["--set", f"platform={platform}", "--set",
                                     f"nodes={bench.nodes}", "--strategy", label, "--set",
                                     "numerics=skip"])["runs"][0]["predicted"]
    return told["T_A_s"] * ratio / told["c_s"]


def one_case(bench, scenario, label, speed, a):
    platform = bench.platform(testbed.datasheet(a.datasheet, speed))
    options = ["--set", f"platform={platform}", "--set", f"nodes={bench.nodes}",
               "--strategy", label]
    guess = bench.simulate(scenario, options + ["--set", "numerics=skip"])["runs"][0]
    count = int(max(STREAMS.get(label, 10), min(100, a.seconds / guess["iteration_s"]["mean"])))
    options += ["--set", f"iterations={count}"]
    simulated = bench.simulate(scenario, options)["runs"][0]
    measured = [bench.measure(scenario, options, 600)["runs"][0] for _ in range(a.repeat)]
    return testbed.compare(simulated, measured)


def run(a):
    bench = testbed.Bench(a.build, a.nodes, 1e6 * a.rates[0], a.burst,
                          slow_start=a.slow_start_after_idle, engine=a.engine)
    rows, failed = [], 0
    print(f"emulated: {a.nodes} nodes, one way {1e6 * bench.delay_s:.0f} us, bucket {a.burst} "
          f"bytes; paced by {os.path.basename(a.datasheet)}, slowed; engine {a.engine}; load {os.getloadavg()[0]:.2f}")
    print(f"{'Mbit/s':>6} {'c/T_A':>6}  {testbed.HEAD}", flush=True)
    for rate in a.rates:
        bench.reshape(1e6 * rate, a.burst)
        for name, case in CASES.items():
            scenario = write_case(bench, name, case)
            for label in (l for l in labels(case) if not a.only or l in a.only):
                for ratio in a.ratios:
                    speed = slowed(bench, scenario, label, a.datasheet, ratio)
                    try:
                        row = one_case(bench, scenario, label, speed, a)
                    except testbed.Failed as why:
                        print(f"{rate:6g} {ratio:6g}  {label:14}{why}", flush=True)
                        failed += 1
                        continue
                    rows.append(dict(row, rate=rate, ratio=ratio))
                    print(f"{rate:6g} {ratio:6g}  {testbed.row_text(row)}", flush=True)
    if a.json:
        with open(a.json, "w", encoding="utf-8") as stream:
            json.dump(rows, stream, indent=1)
    return conclude(rows, failed, a, bench)


def misplaced(rows):
    """Pairs of strategies that the simulator tells apart by more than 1 % and puts in the wrong
    order, at one rate and c/T_A."""
    pairs = []
    for i, a in enumerate(rows):
        for b in rows[:i]:
            told, seen = (a[k] - b[k] for k in ("simulated_s", "measured_s"))
            near = abs(told) < 0.01 * a["simulated_s"]
            if (a["rate"], a["ratio"]) == (b["rate"], b["ratio"]) and not near and told * seen < 0:
                pairs.append((b["label"], a["label"]))
    return pairs


def conclude(rows, failed, a, bench):
    errors = [abs(row["error"]) for row in rows]
    mean, worst = sum(errors) / max(1, len(errors)), max(errors, default=1)
    unequal = sum(bool(row["unequal"]) for row in rows)
    wrong = misplaced(rows)
    print(f"{len(rows)} runs: mean error {100 * mean:.2f} % (bound {a.mean_bound:g}), largest "
          f"{100 * worst:.2f} % (bound {a.bound:g}); {unequal} differ in messages, values, "
          f"bytes or weights; {len(wrong)} pairs of strategies in another order; {failed} failed; "
          f"{bench.network.dropped()} packets dropped; load {os.getloadavg()[0]:.2f}")
    held = rows and not failed and not unequal and not wrong
    return 0 if held and 100 * worst <= a.bound and 100 * mean <= a.mean_bound else 1


def parser():
    p = testbed.common_arguments(__doc__, 20000, 4,
                                 "examples:\n  matrix.py\n  matrix.py --rates 100 --ratios 1 --only ringtmp --only server --repeat 1\n"
                                  "  matrix.py --rates 100 50 --only ssp-2 --only async --only shard-3 --only fedavg "
                                  "--only float16\n\n")
    p.add_argument("--rates", type=float, nargs="+", default=[100, 50, 20], help="Mbit/s")
    p.add_argument("--ratios", type=float, nargs="+", default=[0.25, 1, 4], help="c/T_A")
    p.add_argument("--only", action="append", default=[], metavar="STRATEGY")
    p.add_argument("--slow-start-after-idle", action="store_true", help="as of testbed.py")
    p.add_argument("--seconds", type=float, default=6, help="length of a run, about (6)")
    p.add_argument("--repeat", type=int, default=3, help="measurements of each (3)")
    p.add_argument("--engine", default="auto", help="ringsim's: auto, simgrid or calendar (auto)")
    p.add_argument("--mean-bound", type=float, default=1.5, help="mean error allowed (1.5)")
    p.add_argument("--json", help="write the table")
    return p


def main():
    return testbed.enter("matrix.py", run, parser().parse_args())


if __name__ == "__main__":
    sys.exit(main())
