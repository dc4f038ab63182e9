#!/usr/bin/python3
"""Mean and standard deviation over seeds: a table in Markdown, a row a strategy and point of the sweep.

Runs that differ by nothing but the seed (<sweep key="seed" values="1,2,3,4,5"/>, or several results) are
taken together. +- is the standard deviation of one run (n - 1), not of the mean.

Examples:
  ringsim mine.xml --json mine.json
  analysis/seeds.py mine.json
  analysis/seeds.py seed-1.json seed-2.json seed-3.json --only nodes=8
"""

import statistics
import sys

import ringplot
import ringresult
from ringresult import si

HEADS = ("strategy", "point", "nodes", "seeds", "accuracy %", "time", "goal reached", "to goal", "energy", "ratio")


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


def row_of(key, runs, worlds):
    label, world, point, nodes = key
    name = f"{label} ({ringresult.world_word(world)})" if len(worlds) > 1 else label
    wanted = [run for run in runs if run.get("to_accuracy") is not None]
    dates = [run.get("to_accuracy", "time_s") for run in wanted if run.get("to_accuracy", "iterations") is not None]
    return (name, point or "-", str(nodes), str(len(runs)),
            spread([run.get("final", "accuracy") for run in runs], percent),
            spread([run.get("time_s") for run in runs], lambda s: si(s, "s")),
            f"{len(dates)} of {len(wanted)}" if wanted else "-", spread(dates, lambda s: si(s, "s")),
            spread([run.energy for run in runs], lambda joules: si(joules, "J")),
            spread([run.get("formula", "ratio") for run in runs], lambda ratio: f"{ratio:.3f}"))


def table(result):
    rows = [row_of(key, runs, result.worlds) for key, runs in groups_of(result).items()]
    return ["| " + " | ".join(cells) + " |" for cells in (HEADS, ["---"] * len(HEADS), *rows)]


def main(argv=None):
    def body(argv):
        args = ringplot.parser(__doc__).parse_args(argv)
        result = ringresult.load(args.result).only(args.only)
        if not result.finished:
            raise ringresult.Bad(f"{', '.join(args.result)}: "
                                 + "; ".join(["no run has finished"] + result.unfinished()))
        print("\n".join(table(result)))
        for sentence in result.unfinished():
            print(f"\nnote: {sentence}")

    return ringplot.guarded(body, argv)


if __name__ == "__main__":
    sys.exit(main())
