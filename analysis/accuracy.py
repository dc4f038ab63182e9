#!/usr/bin/python3
"""Accuracy on the test samples against time, and against joules where energy is known.

Of a sweep each strategy shows its fastest point at one number of nodes.

Examples:
  ringsim scenarios/iris-3.xml --json iris.json
  analysis/accuracy.py iris.json -o iris-accuracy
"""

import sys

import ringplot
import ringresult
from ringplot import Panel, Picture
from ringresult import Nothing

KEY = "accuracy"
TITLE = "Accuracy against time"
MOST = 12  # curves that one can tell apart
MEANING = ("Share of the test samples told right, at each evaluation; higher and further left is better. "
           "Evaluation itself costs neither time nor joules here.")


def curve(run, quantity):
    return [(point[quantity], point["accuracy"]) for point in run.get("training") or ()
            if point.get(quantity) is not None and point.get("accuracy") is not None and point[quantity] > 0]


def draw_curves(axes, result, runs, quantity, unit, label, looks):
    ends = []
    for run in runs:
        points = curve(run, quantity)
        if points:
            axes.plot([x for x, _ in points], [100 * y for _, y in points], markevery=max(1, len(points) // 8),
                      **looks.line(result.series(run)))
            ends.append((points[0][0], points[-1][0]))
    for target in sorted({run.get("to_accuracy", "target") for run in runs} - {None}):
        axes.axhline(100 * target, color=ringplot.GREY, linewidth=1, linestyle=(0, (2, 2)))
    last = [end for _, end in ends]
    if max(last) > 8 * min(last):  # a slow strategy must not squeeze the others
        ringplot.scale_axis(axes, "x", [x for pair in ends for x in pair], unit, label)
    else:
        axes.set_xlim(0, 1.04 * max(last))
        axes.xaxis.set_major_locator(ringplot.MaxNLocator(nbins=5))
        axes.xaxis.set_major_formatter(ringplot.formatter(unit))
        axes.set_xlabel(label)
    lowest = min(100 * y for run in runs for _, y in curve(run, quantity))
    axes.set_ylim(0 if lowest < 40 else 10 * (lowest // 10) - 10, 102)
    axes.yaxis.set_major_locator(ringplot.MaxNLocator(nbins=8, steps=(1, 2, 5, 10), integer=True))
    axes.yaxis.set_major_formatter(ringplot.FuncFormatter(lambda v, _: f"{v:.0f} %"))


def pictures(result, args=None):
    runs = [run for run in ringresult.one_a_strategy(result, args.nodes if args else None)
            if curve(run, "time_s")]
    if not runs:
        skipped = any(run.get("numerics") == "skip" for run in result.runs)
        raise Nothing("no run was evaluated during training" + (" (numerics skipped)" if skipped else ""))
    looks = ringplot.looks_of(result)
    runs = sorted(runs, key=lambda run: looks.place[result.series(run)])
    left_out, runs = len(runs[MOST:]), runs[:MOST]
    panels = [Panel("Against time", lambda axes: draw_curves(
        axes, result, runs, "time_s", "s", "training time", looks), 3)]
    metered = [run for run in runs if curve(run, "energy_J")]
    notes = result.unfinished()
    if metered:
        panels.append(Panel("Against energy", lambda axes: draw_curves(
            axes, result, metered, "energy_J", "J", "energy of all nodes", looks), 3))
    else:
        notes.append(ringresult.energy_word(runs) + ", no curve against joules")
    if left_out:
        notes.append(f"{left_out} more are not drawn; --only KEY=VALUE chooses")
    legend = ringplot.entries_of(result, looks, [result.series(run) for run in runs])
    if any(run.get("to_accuracy", "target") is not None for run in runs):
        legend.append(ringplot.legend_line("target", color=ringplot.GREY, linewidth=1, linestyle=(0, (2, 2))))
    return [Picture(KEY, TITLE + (" and energy" if metered else ""), MEANING, panels, legend,
                    f"{result.scenario}, {result.origin}; {ringresult.energy_word(runs)}", notes,
                    width=5.5 if len(panels) == 1 else None)]


def options(parser):
    parser.add_argument("--nodes", type=int, metavar="N", help="the point of a sweep (default: the largest "
                        "number of nodes at which most strategies finished)")


def main(argv=None):
    return ringplot.command(__doc__, KEY, pictures, argv, options)


if __name__ == "__main__":
    sys.exit(main())
