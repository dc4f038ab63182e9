#!/usr/bin/python3
"""Energy by part: idle, compute, network and switches, of every strategy, in all and a sample.

Of a sweep each strategy shows its best point at one number of nodes. --per-node draws the joules of each
node of one strategy instead.

Examples:
  ringsim scenarios/pi-cluster-64.xml --json pi.json
  analysis/energy.py pi.json -o energy
  analysis/energy.py scaling.json --nodes 64 -o energy-64.svg
  analysis/energy.py pi.json --per-node "ring of 64"
"""

import sys

import ringplot
import ringresult
from ringplot import Panel, Picture
from ringresult import PARTS, Nothing

KEY = "energy"
TITLE = "Energy by part"
MOST = 40  # bars
MEANING = ("Idle: what all boards draw doing nothing for as long as the run takes. Compute, network: what work "
           "and traffic add to that. Switch: the switch ports. A strategy that is fast saves idle and switch "
           "joules.")


def parts_of(run):
    """[(part, J)]; the total alone where a meter cannot tell parts apart."""
    parts = [(part, run.get("energy_J", part)) for part in PARTS]
    known = [(part, joules) for part, joules in parts if joules is not None]
    if not known:
        return [("total", run.energy)]
    missing = run.energy - sum(joules for _, joules in known)
    if len(known) < len(PARTS) and missing > 1e-9 * run.energy:
        known.append(("total", missing))
    return known


def draw_bars(axes, result, runs, scale, unit, label, share=False):
    """A horizontal bar a strategy, stacked; its whole at its end. Runs that diverged have that word in its place."""
    names = [ringplot.short(result.series(run), 26) for run in runs]
    words = {id(run): word for run, word in result.diverged()}
    wholes = [scale(run) * run.energy if run.finished else 0 for run in runs]
    for row, run in enumerate(runs):
        if not run.finished:
            axes.text(0, row, f" {words[id(run)]}", va="center", fontsize=8)
            continue
        left = 0
        factor = 100 / run.energy if share else scale(run)
        for part, joules in parts_of(run):
            colour, hatch = ringplot.PART_LOOKS[part]
            axes.barh(row, factor * joules, left=left, height=0.62, color=colour, hatch=hatch,
                      edgecolor="black", linewidth=0.6)
            left += factor * joules
        if not share:
            axes.text(left + 0.015 * max(wholes), row, ringresult.si(wholes[row], unit), va="center", fontsize=8)
    axes.set_yticks(range(len(runs)), names)
    axes.set_ylim(len(runs) - 0.45, -0.55)
    axes.grid(False, axis="y")
    axes.set_xlim(0, 100 if share else 1.22 * max(wholes))
    axes.xaxis.set_major_locator(ringplot.MaxNLocator(nbins=4, steps=(1, 2, 5, 10)))
    axes.xaxis.set_major_formatter(ringplot.FuncFormatter(lambda v, _: f"{v:.0f} %") if share
                                   else ringplot.formatter(unit))
    axes.set_xlabel(label)


def strategies(result, runs, origin):
    looks = ringplot.looks_of(result)

    def in_order(runs):
        return sorted(runs, key=lambda run: looks.place[result.series(run)])  # points of a sweep side by side

    runs = in_order(runs)
    left_out, runs = len(runs[MOST:]), runs[:MOST]
    rows = in_order(runs + [run for run, _ in result.diverged()][:MOST - len(runs)])
    height = 0.75 + 0.3 * len(rows)
    panels = [Panel("In all", lambda axes: draw_bars(axes, result, rows, lambda run: 1, "J", "energy of the run"),
                    height)]
    if all(run.sample_J for run in runs):
        panels.append(Panel("A sample", lambda axes: draw_bars(
            axes, result, rows, lambda run: 1 / run.get("samples"), "J", "energy a sample"), height))
    panels.append(Panel("Shares", lambda axes: draw_bars(
        axes, result, rows, lambda run: 1, "J", "share of the run's energy", share=True), height))
    used = {part for run in runs for part, _ in parts_of(run)}
    words = {"total": "not told apart"}
    legend = [ringplot.legend_patch(words.get(part, part), *ringplot.PART_LOOKS[part])
              for part in ringplot.PART_LOOKS if part in used]
    counts = sorted({run.nodes for run in runs})
    title = TITLE + (f", {counts[0]} nodes" if len(counts) == 1 else "")
    batches = {run.batch for run in runs if "batch" in run.sweep}
    title += f", batch {batches.pop():.6g}" if len(batches) == 1 else ""
    notes = [f"{ringresult.one_line(result.series(run))}: " + ringresult.energy_word([run])
             for run in result.finished if run.energy is None] + result.unfinished()
    if left_out:
        notes.append(f"{left_out} more are not drawn; --only KEY=VALUE chooses")
    return Picture(KEY, title, MEANING, panels, legend, origin, dict.fromkeys(notes), columns=1, width=6)


def draw_nodes(axes, nodes):
    ranks = [node["rank"] for node in nodes]
    joules = [node["energy_J"] for node in nodes]
    colour, hatch = ("#7FB4DA", "") if len(nodes) > 40 else ("#7FB4DA", "//")
    axes.bar(ranks, joules, width=0.8, color=colour, hatch=hatch, edgecolor="black",
             linewidth=0.6 if len(nodes) <= 80 else 0)
    axes.xaxis.set_major_locator(ringplot.MaxNLocator(integer=True, nbins=12))
    axes.set_xlabel("node")
    axes.grid(False, axis="x")
    axes.set_ylim(0, 1.1 * max(joules))
    axes.yaxis.set_major_formatter(ringplot.formatter("J"))


def per_node(result, runs, label, origin):
    chosen = [run for run in runs if result.series(run) == label or run.label == label]
    if not chosen:
        raise Nothing(f"no finished strategy \"{label}\" with energy: there are "
                      + ", ".join(result.series(run) for run in runs))
    nodes = [node for node in chosen[0].get("per_node") or () if node.get("energy_J") is not None
             and node.get("rank") is not None]
    if not nodes or max(node["energy_J"] for node in nodes) <= 0:
        raise Nothing(f"{label}: no joules of single nodes")
    return Picture("nodes", f"Energy of each of {len(nodes)} nodes, {result.series(chosen[0])}",
                   "Joules of each board over the run; switches belong to no node.",
                   [Panel("", lambda axes: draw_nodes(axes, nodes), 3)], (), origin, columns=1, width=7)


def pictures(result, args=None):
    runs = ringresult.one_a_strategy(result, args.nodes if args else None)
    with_energy = [run for run in runs if run.energy is not None and run.energy > 0]
    if not with_energy:
        raise Nothing(ringresult.energy_word(runs) + ", no run has joules")
    origin = f"{result.scenario}, {result.origin}; {ringresult.energy_word(with_energy)}"
    if args and args.per_node:
        return [per_node(result, with_energy, args.per_node, origin)]
    return [strategies(result, with_energy, origin)]


def options(parser):
    parser.add_argument("--nodes", type=int, metavar="N", help="the point of a sweep (default: the largest "
                        "number of nodes at which most strategies finished)")
    parser.add_argument("--per-node", metavar="LABEL", help="each node of this strategy")


def main(argv=None):
    return ringplot.command(__doc__, KEY, pictures, argv, options)


if __name__ == "__main__":
    sys.exit(main())
