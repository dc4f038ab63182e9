#!/usr/bin/python3
"""Mean and standard deviation over seeds: a table in Markdown, a row a strategy and point of the sweep.

Runs that differ by nothing but the seed (<sweep key="seed" values="1,2,3,4,5"/>, or several results) are
taken together. +- is the standard deviation of one run (n - 1), not of the mean.

Examples:
  ringsim mine.xml --json mine.json
  analysis/seeds.py mine.json
  analysis/seeds.py seed-1.json seed-2.json seed-3.json --only nodes=8
  analysis/seeds.py mine.json --goal 0.985
"""

import statistics
import sys

import ringplot
import ringresult
from ringresult import si

HEADS = ("strategy", "point", "nodes", "seeds", "accuracy %", "time", "goal reached", "to goal", "J to goal", "energy",
         "ratio")


def point_of(run):
    """What the run was swept to, but for its seed and its nodes."""
    return ", ".join(f"{key.removeprefix(run.label + '.')}={value}" for key, value in run.sweep.items()
                     if key not in ("seed", "nodes"))


def groups_of(result):
    """{(label, world, point, nodes): its runs}"""
    groups = {}
    for run in result.finished:
        groups.setdefault((run.label, run.world, point_of(run), run.nodes), []).append(run)
    return groups


def spread(values, shown):
    """"mean +- deviation" of those that are known; one alone has no deviation."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    text = shown(statistics.fmean(known))
    return f"{text} +- {shown(statistics.stdev(known))}" if len(known) > 1 else text


def percent(value):
    return f"{100 * value:.2f}"


def reached(run, goal):
    """When a run came to the goal: {"time_s", "energy_J"}, {} if it never did, None if it has none. `goal`: the accuracy
    at the first of its tests that is as good; None: what its scenario said."""
    if goal is None:
        said = run.get("to_accuracy")
        return said if said is None or said.get("iterations") is not None else {}
    return next((point for point in run.get("training") or ()
                 if point.get("accuracy") is not None and point["accuracy"] >= goal), {})


def row_of(key, runs, worlds, goal=None):
    label, world, point, nodes = key
    name = f"{label} ({ringresult.world_word(world)})" if len(worlds) > 1 else label
    wanted = [reached(run, goal) for run in runs if reached(run, goal) is not None]
    there = [found for found in wanted if found]
    return (name, point or "-", str(nodes), str(len(runs)),
            spread([run.get("final", "accuracy") for run in runs], percent),
            spread([run.get("time_s") for run in runs], lambda s: si(s, "s")),
            f"{len(there)} of {len(wanted)}" if wanted else "-",
            spread([found.get("time_s") for found in there], lambda s: si(s, "s")),
            spread([found.get("energy_J") for found in there], lambda joules: si(joules, "J")),
            spread([run.energy for run in runs], lambda joules: si(joules, "J")),
            spread([run.get("formula", "ratio") for run in runs], lambda ratio: f"{ratio:.3f}"))


def table(result, goal=None):
    rows = [row_of(key, runs, result.worlds, goal) for key, runs in groups_of(result).items()]
    return ["| " + " | ".join(cells) + " |" for cells in (HEADS, ["---"] * len(HEADS), *rows)]


def main(argv=None):
    def body(argv):
        parser = ringplot.parser(__doc__)
        parser.add_argument("--goal", type=float, metavar="ACCURACY", help="from 0 to 1: when a test was first as good "
                            "(default: what <stop> of the scenario says)")
        args = parser.parse_args(argv)
        result = ringresult.load(args.result).only(args.only)
        if not result.finished:
            raise ringresult.Bad(f"{', '.join(args.result)}: "
                                 + "; ".join(["no run has finished"] + result.unfinished()))
        print("\n".join(table(result, args.goal)))
        for sentence in result.unfinished():
            print(f"\nnote: {sentence}")

    return ringplot.guarded(body, argv)


if __name__ == "__main__":
    sys.exit(main())
