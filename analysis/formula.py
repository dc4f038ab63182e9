#!/usr/bin/python3
"""The formula: does an iteration take max(c, T_A), or c + T_A, or what the strategy's closed form says?

Observed and predicted iterations against c/T_A, both divided by max(c, T_A), and how far they are apart.
T_A is the compute time and c the communication time of an iteration at its busiest node.

Examples:
  ringsim scenarios/formula-sweep.xml --json formula.json
  analysis/formula.py formula.json -o formula
  analysis/formula.py quarter.json one.json four.json -o formula.svg
  analysis/formula.py formula.json --table
"""

import math
import sys

import ringplot
import ringresult
from ringplot import Panel, Picture
from ringresult import Nothing

KEY = "formula"
TITLE = "Observed and predicted iteration against c/T_A"
MEANING = ("1 is max(c, T_A), the least that any schedule can take; the dashed line is c + T_A, what one pays "
           "when nothing overlaps. Markers are observed iterations (hollow: the strategy does not overlap), "
           "thin lines with crosses are the strategies' closed forms. Below: how far off the forms are.")
BAND = 0.02  # shaded: forms that hold
EXTREME = 1e9  # c/T_A beyond it means that one of them is nothing
FEW = 5  # strategies that one pair of panels shows; more are drawn by family
TABLE_RATIOS = (1 / 16, 1 / 4, 1, 4, 16)
RESIDUAL_TICKS = (0, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # percent


class Point:
    def __init__(self, name, run):
        formula = run.get("formula")
        self.name, self.run, self.overlap = name, run, bool(formula.get("overlap"))
        c, compute = formula["c_s"], formula["T_A_s"]
        least = max(c, compute)
        self.ratio = c / compute
        self.observed = formula["observed_iteration_s"] / least
        predicted = formula.get("predicted_iteration_s") or run.get("predicted", "iteration_s")
        self.predicted = predicted / least if predicted else None
        self.residual = self.observed / self.predicted - 1 if self.predicted else None


def points_of(result):
    found, without = [], []
    for run in result.finished:
        needed = [run.get("formula", key) for key in ("c_s", "T_A_s", "observed_iteration_s")]
        if all(value is not None and value > 0 for value in needed) \
                and 1 / EXTREME < needed[0] / needed[1] < EXTREME:
            found.append(Point(run.label if len(result.worlds) == 1 else
                               f"{run.label} ({ringresult.world_word(run.world)})", run))
        else:
            without.append(run.label)
    return found, list(dict.fromkeys(without))


def is_line(points):
    """Neighbours in c/T_A are joined where one thing alone was varied."""
    keys = {key for p in points for key in p.run.sweep
            if len({q.run.sweep.get(key) for q in points}) > 1}
    return len(points) > 1 and len(keys) <= 1


def reference(low, high):
    steps = [low * (high / low) ** (i / 200) for i in range(201)]
    return steps, [1 + min(x, 1 / x) for x in steps]


def ratio_text(value):
    if value >= 1 or value <= 0:
        return f"{value:.6g}"
    inverse = 1 / value
    return f"1/{inverse:.0f}" if abs(inverse - round(inverse)) < 1e-6 * inverse else f"{value:.3g}"


def ratio_axis(axes, low, high):
    """By doublings up to 2^12, then by decades; 1 is among them."""
    few = math.log2(high / low) <= 12
    axes.set_xscale("log", base=2 if few else 10)
    axes.set_xlim(low, high)
    if few:
        powers = range(math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9) + 1)
        step = 2 if len(powers) > 8 else 1
        ticks = [2.0 ** p for p in powers if p % step == 0]
    else:
        powers = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
        step = 1 + len(powers) // 8
        ticks = [10.0 ** p for p in powers if p % step == 0]
    axes.xaxis.set_major_locator(ringplot.FixedLocator(ticks))
    axes.xaxis.set_minor_locator(ringplot.NullLocator())
    axes.xaxis.set_major_formatter(ringplot.FuncFormatter(lambda value, _: ratio_text(value)))
    axes.set_xlabel("c / T_A")


def each_line(groups, looks):
    """(name, points in order of c/T_A, look) of each strategy."""
    for name, points in groups.items():
        points = sorted(points, key=lambda p: p.ratio)
        look = looks.line(name)
        if not is_line(points):
            look["linestyle"] = "none"
        if not points[0].overlap:
            look["markerfacecolor"] = "white"
        yield name, points, look


def draw_iterations(axes, groups, looks, low, high):
    seen = [1, 2]
    steps, waiting = reference(low, high)
    axes.plot(steps, [1] * len(steps), color="black", linewidth=2.2, linestyle="-", alpha=0.45, zorder=1)
    axes.plot(steps, waiting, color="black", linewidth=1.2, linestyle=(0, (6, 3)), zorder=1)
    for _, points, look in each_line(groups, looks):
        axes.plot([p.ratio for p in points], [p.observed for p in points], **look, zorder=3)
        forms = [p for p in points if p.predicted]
        axes.plot([p.ratio for p in forms], [p.predicted for p in forms], color=look["color"], linewidth=0.7,
                  marker="+", markersize=8, linestyle="-" if look["linestyle"] != "none" else "none", zorder=2)
        seen += [p.observed for p in points] + [p.predicted for p in forms]
    ratio_axis(axes, low, high)
    ringplot.scale_axis(axes, "y", seen, "", "iteration / max(c, T_A)", wide=1.5)


def draw_residuals(axes, groups, looks, low, high):
    axes.axhspan(-100 * BAND, 100 * BAND, color="#E8E8E8", zorder=0)
    axes.axhline(0, color="black", linewidth=1, zorder=1)
    seen = [-300 * BAND, 300 * BAND]
    for _, points, look in each_line(groups, looks):
        forms = [p for p in points if p.residual is not None]
        axes.plot([p.ratio for p in forms], [100 * p.residual for p in forms], **look)
        seen += [100 * p.residual for p in forms]
    ratio_axis(axes, low, high)
    if max(map(abs, seen)) > 15:  # small errors matter as well: linear to 5 %, then logarithmic
        axes.set_yscale("symlog", linthresh=5, linscale=1.2)
        axes.yaxis.set_major_locator(ringplot.FixedLocator([sign * tick for tick in RESIDUAL_TICKS
                                                            for sign in (-1, 1)]))
        axes.yaxis.set_minor_locator(ringplot.NullLocator())
        axes.set_ylim(1.3 * min(seen), 1.3 * max(seen))
    else:
        margin = 0.06 * (max(seen) - min(seen))
        axes.set_ylim(min(seen) - margin, max(seen) + margin)
    axes.set_ylabel("observed / predicted - 1")
    axes.yaxis.set_major_formatter(ringplot.FuncFormatter(lambda v, _: f"{v:+.0f} %" if v else "0 %"))


def families(groups):
    """[(name, groups)]: all in one where they are few, else streams, rings that flush and the others."""
    if len(groups) <= FEW:
        return [("", groups)]
    found = {"Streams": {}, "Flushed at every update": {}, "Whole networks": {}}
    for name, points in groups.items():
        run = points[0].run
        if run.kind != "ring_pipeline":
            family = "Whole networks"
        else:
            stream = run.get("params", "schedule") in ("ringtmp", "pipedream")
            family = "Streams" if stream else "Flushed at every update"
        found[family][name] = points
    return [(name, members) for name, members in found.items() if members]


def span(points):
    """The ends of the axis of c/T_A."""
    ratios = [p.ratio for p in points]
    low, high = min(ratios) / 1.3, max(ratios) * 1.3
    if high / low < 4:  # a single point or nearly: room on both sides
        middle = math.sqrt(low * high)
        low, high = middle / 2.2, middle * 2.2
    return low, high


def panels_of(family, groups, looks):
    """Iterations, and where there are closed forms how far off these are."""
    points = [p for members in groups.values() for p in members]
    low, high = span(points)
    legend = [ringplot.legend_line(name, **look) for name, _, look in each_line(groups, looks)]
    before = f"{family}: " if family else ""
    panels = [Panel(f"{before}iteration" if family else "Iteration",
                    lambda axes: draw_iterations(axes, groups, looks, low, high), 3.6 if not family else 2.9, legend)]
    if any(p.residual is not None for p in points):
        panels.append(Panel(f"{before}observed over predicted" if family else "Observed over predicted",
                            lambda axes: draw_residuals(axes, groups, looks, low, high), 2.2, legend))
    return panels


def pictures(result, args=None):
    points, without = points_of(result)
    if not points:
        raise Nothing("no finished run has both a compute and a communication time (formula: c_s, T_A_s)")
    looks = ringplot.looks_of(result, [(point.run.label, point.name) for point in points])
    groups = {name: [] for name in looks.sorted(point.name for point in points)}
    for point in points:
        groups[point.name].append(point)
    legend = [ringplot.legend_line("max(c, T_A)", color="black", linewidth=2.2, alpha=0.45),
              ringplot.legend_line("c + T_A", color="black", linewidth=1.2, linestyle=(0, (6, 3))),
              ringplot.legend_line("closed form", color=ringplot.GREY, linewidth=0.7, marker="+", markersize=8)]
    if not all(point.overlap for point in points):
        legend.append(ringplot.legend_line("hollow: no overlap", color=ringplot.GREY, linestyle="none",
                                           marker="o", markerfacecolor="white"))
    legend += ringplot.entries_of(result, looks, ())
    rows = [panels_of(family, members, looks) for family, members in families(groups)]
    notes = [f"{', '.join(without)}: not drawn, nothing is communicated or the formula is undefined"] \
        if without else []
    notes += result.unfinished()
    under = [p for p in points if p.observed < 1 - 1e-9]
    if under:
        worst = min(under, key=lambda p: p.observed)
        notes.append(f"{len(under)} of {len(points)} points lie under max(c, T_A), the lowest "
                     f"{worst.name} by {1 - worst.observed:.2g} of it")
    alone = len(rows) == 1
    return [Picture(KEY, TITLE, MEANING, [panel for row in rows for panel in row], legend,
                    f"{result.scenario}, {result.origin}", notes, together=alone,
                    columns=1 if any(len(row) == 1 for row in rows) else 2, width=6 if alone else None)]


def cell(points, wanted):
    """The point nearest to a c/T_A, if there is one within a factor of 2."""
    near = min(points, key=lambda p: abs(math.log(p.ratio / wanted)))
    if not 0.5 <= near.ratio / wanted <= 2:
        return "-"
    form = f"{near.residual + 1:.3f}" if near.residual is not None else "-"
    return f"{ratio_text(float(f'{near.ratio:.3g}'))}: {near.observed:.3f}, {form}"


def table(result):
    """Lines of Markdown: c/T_A, observed / max(c, T_A), observed / closed form."""
    points, _ = points_of(result)
    yield "| strategy | " + " | ".join(f"c/T_A about {ratio_text(r)}" for r in TABLE_RATIOS) + " |"
    yield "|---" * (1 + len(TABLE_RATIOS)) + "|"
    for name in dict.fromkeys(p.name for p in points):
        mine = [p for p in points if p.name == name]
        yield f"| `{name}` | " + " | ".join(cell(mine, ratio) for ratio in TABLE_RATIOS) + " |"


def options(parser):
    parser.add_argument("--table", action="store_true", help="print a table in Markdown beside: c/T_A, observed "
                        "over max(c, T_A), observed over the closed form")


def draw(result, args):
    drawn = pictures(result)
    if args.table:
        print("\n".join(table(result)))
    return drawn


def main(argv=None):
    return ringplot.command(__doc__, KEY, draw, argv, options)


if __name__ == "__main__":
    sys.exit(main())
