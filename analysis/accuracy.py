#!/usr/bin/python3
"""Accuracy on the test samples against time, and against joules where energy is known.

Of a sweep each strategy shows its fastest point at one number of nodes; with --mean-of-seeds the mean over its seeds,
evaluation by evaluation, of those that finished.

Examples:
  ringsim scenarios/iris-3.xml --json iris.json
  analysis/accuracy.py iris.json -o iris-accuracy
  analysis/accuracy.py mine.json --mean-of-seeds --labels single,1f1b,stream
"""

import statistics
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


def mean_run(runs):
    """One in the place of several that differ by their seeds: their means at every evaluation that all have."""
    columns = zip(*(run.get("training") or () for run in runs))
    points = []
    for column in columns:
        values = {key: [point.get(key) for point in column] for key in ("time_s", "energy_J", "accuracy")}
        points.append({key: None if None in known else statistics.fmean(known) for key, known in values.items()})
    raw = dict(runs[0].raw, training=points, sweep={k: v for k, v in runs[0].sweep.items() if k != "seed"})
    return ringresult.Run(raw, {"world": runs[0].world})


def means_of_seeds(result):
    groups = {}
    for run in result.finished:
        groups.setdefault((result.series(run), run.nodes), []).append(run)
    return ringresult.Result(result.files, [mean_run(runs) for runs in groups.values()])


def chosen(result, labels):
    missing = [label for label in labels if label not in result.labels]
    if missing:
        raise ringresult.Bad(f"--labels {missing[0]}: there are " + ", ".join(result.labels))
    return ringresult.Result(result.files, [run for run in result.runs if run.label in labels])


def draw_curves(axes, result, runs, quantity, unit, label, looks, above=None):
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
    if above is None:
        axes.set_ylim(0 if lowest < 40 else 10 * (lowest // 10) - 10, 102)
    else:
        axes.set_ylim(100 * above, 100 + 2 * (1 - above))
    axes.yaxis.set_major_locator(ringplot.MaxNLocator(nbins=8, steps=(1, 2, 5, 10), integer=True))
    axes.yaxis.set_major_formatter(ringplot.FuncFormatter(lambda v, _: f"{v:.0f} %"))


def pictures(result, args=None):
    if args and args.labels:
        result = chosen(result, args.labels.split(","))
    unfinished, above = result.unfinished(), args.above if args else None
    if args and args.mean_of_seeds:
        result = means_of_seeds(result)
    runs = [run for run in ringresult.one_a_strategy(result, args.nodes if args else None)
            if curve(run, "time_s")]
    if not runs:
        skipped = any(run.get("numerics") == "skip" for run in result.runs)
        raise Nothing("no run was evaluated during training" + (" (numerics skipped)" if skipped else ""))
    looks = ringplot.looks_of(result)
    runs = sorted(runs, key=lambda run: looks.place[result.series(run)])
    left_out, runs = len(runs[MOST:]), runs[:MOST]
    panels = [Panel("Against time", lambda axes: draw_curves(
        axes, result, runs, "time_s", "s", "training time", looks, above), 3)]
    metered = [run for run in runs if curve(run, "energy_J")]
    notes = unfinished
    if metered:
        panels.append(Panel("Against energy", lambda axes: draw_curves(
            axes, result, metered, "energy_J", "J", "energy of all nodes", looks, above), 3))
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
    parser.add_argument("--labels", metavar="LABEL,...", help="only these strategies")
    parser.add_argument("--above", type=float, metavar="ACCURACY", help="from 0 to 1: where the axis begins")
    parser.add_argument("--mean-of-seeds", action="store_true", help="the mean over seeds in place of one run")


def main(argv=None):
    return ringplot.command(__doc__, KEY, pictures, argv, options)


if __name__ == "__main__":
    sys.exit(main())
