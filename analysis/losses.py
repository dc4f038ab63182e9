#!/usr/bin/python3
"""What a training costs whose boards are lost: seconds and joules to its end against how often that happens.

Of each strategy and way of going on (the sweep's `lose`; where there is none and no checkpoint, the run is done once
more) the mean over seeds, of those that came to their end. --table prints the figures as Markdown.

Examples:
  ringsim scenarios/losses.xml --engine calendar --json losses.json
  ringsim scenarios/losses.xml --engine calendar --lose restart --set checkpoint-every=never --json again.json
  analysis/losses.py losses.json again.json -o losses
"""

import statistics
import sys

import ringplot
import ringresult
from ringplot import Panel, Picture
from ringresult import Nothing, si

KEY = "losses"
TITLE = "What lost boards cost"
MEANING = ("Means over seeds of all attempts together, with pauses for checkpoints and waiting. A point is missing where no "
           "seed came to its end. Grey: the same training undisturbed, without checkpoints.")
DAY_S = 86400
AGAIN = "once more"
WAYS = (AGAIN, "restart", "shrink", "spare")
QUANTITIES = (("Time to the end", "time_s", "s"), ("Energy to the end", "energy_J", "J"))


def way_of(run):
    return run.sweep.get("lose", AGAIN)


def nodes_of(run):
    """With which it began."""
    gone = sum(loss.get("did") == "shrink" for loss in run.get("losses") or ())
    return int(run.sweep.get("nodes") or run.nodes + gone)


def days_of(run):
    return float(run.sweep["mtbf"]) / DAY_S


def losses_of(run):
    return len(run.get("losses") or ())


class Point:
    """The runs of one strategy, way, number of nodes and rate of losses, which differ by their seeds."""

    def __init__(self, runs):
        self.runs, self.finished = runs, [run for run in runs if run.finished]
        self.label, self.way = runs[0].label, way_of(runs[0])
        self.nodes, self.days = nodes_of(runs[0]), days_of(runs[0])

    def mean(self, quantity):
        known = [run.get("whole", quantity) for run in self.finished]
        return statistics.fmean(known) if known and None not in known else None

    @property
    def losses(self):
        return statistics.fmean(map(losses_of, self.finished)) if self.finished else None

    @property
    def name(self):
        return f"{self.label}, {self.way}"


def points_of(result):
    groups = {}
    for run in result.runs:
        if "mtbf" in run.sweep and run.get("whole"):
            groups.setdefault((nodes_of(run), run.label, way_of(run), days_of(run)), []).append(run)
    if not groups:
        raise Nothing("no run of a sweep over mtbf may lose nodes and go on")
    order = {label: i for i, label in enumerate(result.labels)}
    return [Point(groups[key]) for key in
            sorted(groups, key=lambda key: (key[0], order[key[1]], WAYS.index(key[2]), key[3]))]


def undisturbed_s(result, label, nodes):
    """All iterations at the pace of a run that had lost none of its nodes."""
    found = [run.iteration_s * run.get("iterations") for run in result.finished
             if (run.label, run.nodes, nodes_of(run)) == (label, nodes, nodes) and run.iteration_s]
    return min(found, default=None)


def draw(axes, result, points, quantity, unit, looks):
    days = sorted({point.days for point in points})
    seen = []
    for name in dict.fromkeys(point.name for point in points):
        line = [(p.days, p.mean(quantity)) for p in points if p.name == name and p.mean(quantity)]
        if line:
            axes.plot([x for x, _ in line], [y for _, y in line], **looks.line(name))
            seen += [y for _, y in line]
    if quantity == "time_s":
        for label in dict.fromkeys(point.label for point in points):
            least = undisturbed_s(result, label, points[0].nodes)
            if least:
                axes.axhline(least, color=ringplot.GREY, linewidth=1, linestyle=(0, (2, 2)))
                seen.append(least)
    axes.set_xscale("log")
    axes.set_xticks(days)
    axes.xaxis.set_major_formatter(ringplot.FuncFormatter(lambda v, _: f"{v:g}"))
    axes.xaxis.set_minor_locator(ringplot.NullLocator())
    axes.set_xlabel("one loss in so many board-days")
    ringplot.scale_axis(axes, "y", seen, unit, wide=2.0)


def unfinished_of(points):
    return [f"{point.name} on {point.nodes} boards at one loss in {point.days:g} board-days: "
            f"{len(point.runs) - len(point.finished)} of {len(point.runs)} did not come to their end"
            for point in points if len(point.finished) < len(point.runs)]


def pictures(result, args=None):
    points = points_of(result)
    if args and args.table:
        print(table(result, points))
    series = [(point.label, point.name) for point in points]
    looks = ringplot.looks_of(result, series)
    panels = []
    for nodes in dict.fromkeys(point.nodes for point in points):
        here = [point for point in points if point.nodes == nodes]
        for title, quantity, unit in QUANTITIES:
            if any(point.mean(quantity) for point in here):
                panels.append(Panel(f"{title}, {nodes} boards", lambda axes, here=here, quantity=quantity, unit=unit:
                                    draw(axes, result, here, quantity, unit, looks), 3))
    if not panels:
        raise Nothing("no run has come to its end")
    legend = [looks.entry(name) for name in dict.fromkeys(name for _, name in series)]
    return [Picture(KEY, TITLE, MEANING, panels, legend, f"{result.scenario}, {result.origin}", unfinished_of(points))]


def cell(point):
    if not point.finished:
        return "never"
    part = "" if len(point.finished) == len(point.runs) else f" ({len(point.finished)} of {len(point.runs)})"
    return f"{si(point.mean('time_s'), 's')}, {si(point.mean('energy_J'), 'J')}, {point.losses:.3g}{part}"


def table(result, points):
    """Markdown: a row a strategy and way, a column a rate of losses; on each number of nodes."""
    days = sorted({point.days for point in points})
    lines = []
    for nodes in dict.fromkeys(point.nodes for point in points):
        lines += ["", f"| {nodes} boards | undisturbed | " + " | ".join(f"{d:g} board-days" for d in days) + " |",
                  "|" + "---|" * (len(days) + 2)]
        here = [point for point in points if point.nodes == nodes]
        for name in dict.fromkeys(point.name for point in here):
            row = {point.days: cell(point) for point in here if point.name == name}
            label = next(point.label for point in here if point.name == name)
            least = undisturbed_s(result, label, nodes)
            lines.append(f"| {name} | {si(least, 's') if least else '-'} | "
                         + " | ".join(row.get(d, "-") for d in days) + " |")
    return "\n".join(lines[1:])


def options(parser):
    parser.add_argument("--table", action="store_true", help="print the figures, too: time, energy, losses on average")


def main(argv=None):
    return ringplot.command(__doc__, KEY, pictures, argv, options)


if __name__ == "__main__":
    sys.exit(main())
