#!/usr/bin/python3
"""Scaling: time, samples/s, speed-up, efficiency, what limits, energy, bytes and memory against the nodes.

Of the points of a sweep each strategy takes, at every number of nodes, the one with the least time a
sample. One global batch (strong) and a batch that grows with the nodes (weak) are pictures apart.

Examples:
  ringsim scenarios/scaling.xml --json scaling.json
  analysis/scaling.py scaling.json -o scaling
  analysis/scaling.py n4.json n8.json n16.json -o scaling.png
"""

import functools
import sys

import ringplot
import ringresult
from ringplot import Panel, Picture
from ringresult import Nothing

KEY = "scaling"
TITLES = {
    "strong": ("Strong scaling: one global batch",
               "The same work is shared by more and more nodes. Speed-up is over one board by itself where that "
               "ran, else over the strategy's own fewest nodes; efficiency is what is left of it a node."),
    "weak": ("Weak scaling: the batch grows with the nodes",
             "Every node keeps the same work. A level iteration time is ideal; speed-up is in samples/s, over "
             "the strategy's own fewest nodes."),
    "mixed": ("Scaling: the batch differs from point to point",
              "Batches are neither equal nor in proportion to the nodes, so that only figures a sample "
              "compare."),
}


def speed_up(line, board=None):
    """[(nodes, speed-up)]: throughput over that of one board (a run of `single`), else of the fewest nodes
    times their number."""
    first = board or line[0]
    return [(run.nodes, first.nodes * run.rate / first.rate) for run in line]


def efficiency(line, board=None):
    return [(nodes, factor / nodes) for nodes, factor in speed_up(line, board)]


def one_board(result, line):
    """The fastest run of one board by itself with the batch of this line; None: there is none."""
    runs = [run for run in result.finished if run.kind == "single" and run.batch == line[0].batch and run.rate]
    return max(runs, key=lambda run: run.rate, default=None)


def c_over_T_A(run):
    compute = run.get("formula", "T_A_s")
    return run.per(run.get("formula", "c_s"), compute)


def over_bound(run):
    """The iteration over max(c, T_A): what waiting costs, the bubble of a ring above all."""
    formula = [run.get("formula", key) for key in ("c_s", "T_A_s")]
    return run.per(run.iteration_s, max(formula)) if None not in formula else None


def values(quantity):
    return lambda line: [(run.nodes, quantity(run)) for run in line]


QUANTITIES = (  # title, unit, points of a line
    ("Time of an iteration", "s", values(lambda run: run.iteration_s)),
    ("Samples a second", "1/s", values(lambda run: run.rate)),
    ("Speed-up", "", speed_up),
    ("Efficiency", "%", efficiency),
    ("c / T_A", "", values(c_over_T_A)),
    ("Iteration / max(c, T_A)", "", values(over_bound)),
    ("Energy a sample", "J", values(lambda run: run.sample_J)),
    ("Payload an iteration, all nodes", "B", values(lambda run: run.iteration_bytes)),
    ("Memory of the fullest node", "B", values(lambda run: run.memory)),
)


def draw_over_nodes(axes, lines, unit, points, looks, title):
    counts = [run.nodes for _, _, line in lines for run in line]
    seen = []
    if title == "Speed-up":
        ends = [min(counts), max(counts)]
        axes.plot(ends, ends, color=ringplot.GREY, linewidth=1, linestyle=(0, (2, 2)))
    for name, _, line in lines:
        drawn = [(n, v) for n, v in points(line) if v is not None and v > 0]
        if drawn:
            axes.plot([n for n, _ in drawn], [v for _, v in drawn], **looks.line(name))
            seen += [v for _, v in drawn]
    ringplot.nodes_axis(axes, counts)
    if unit == "%":
        axes.set_ylim(0, 1.08 * max(1.0, *seen))
        axes.yaxis.set_major_formatter(ringplot.FuncFormatter(lambda v, _: f"{100 * v:.0f} %"))
    elif unit == "1/s":
        ringplot.scale_axis(axes, "y", seen, "")
    else:
        ringplot.scale_axis(axes, "y", seen + ([min(counts), max(counts)] if title == "Speed-up" else []), unit)


def picture(result, mode, lines, looks):
    batches = {}
    for name, batch, _ in lines:
        batches.setdefault(name, []).append(batch)
    if any(len(found) > 1 for found in batches.values()):  # several batches: they are in the name
        lines = [(f"{name}, batch {batch:.6g}{' a node' if mode == 'weak' else ''}", batch, line)
                 for name, batch, line in lines]
        looks = ringplot.looks_of(result, [(line[0].label, name) for name, _, line in lines])
    lines = sorted(lines, key=lambda line: looks.place[line[0]])
    ideal = ringplot.legend_line("ideal speed-up", color=ringplot.GREY, linewidth=1, linestyle=(0, (2, 2)))
    panels = []
    for title, unit, points in QUANTITIES:
        if mode == "strong" and points in (speed_up, efficiency):
            points = functools.partial(lambda of, line: of(line, one_board(result, line)), points)
        if any(v for _, _, line in lines for _, v in points(line)):
            panels.append(Panel(title, lambda axes, unit=unit, points=points, title=title:
                                draw_over_nodes(axes, lines, unit, points, looks, title),
                                legend=[ideal] if title == "Speed-up" else ()))
    title, meaning = TITLES[mode]
    single = {round(batch, 6) for found in batches.values() for batch in found if batch}
    if mode != "mixed" and len(single) == 1:
        title += f", {single.pop():.6g} samples" + (" a node" if mode == "weak" else "")
    runs = [run for _, _, line in lines for run in line]
    notes = result.notes()
    if not any(run.energy is not None for run in runs):
        notes.insert(0, ringresult.energy_word(runs))
    legend = ringplot.entries_of(result, looks, [name for name, _, _ in lines])
    origin = f"{result.scenario}, {result.origin}; {ringresult.energy_word(runs)}"
    return Picture(mode, title, meaning, panels, legend, origin, notes)


def pictures(result, args=None):
    looks = ringplot.looks_of(result)
    found = [picture(result, mode, lines, looks)
             for mode, lines in ringresult.scaling_lines(result).items() if lines]
    if not found:
        raise Nothing("no strategy finished at two or more numbers of nodes")
    return found


def main(argv=None):
    return ringplot.command(__doc__, KEY, pictures, argv)


if __name__ == "__main__":
    sys.exit(main())
