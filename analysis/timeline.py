#!/usr/bin/python3
"""A timeline: what every node computes, sends and receives, and its power where the trace has it.

Reads the trace that ringsim or ringnode wrote with --trace (a Chrome trace; Perfetto opens it whole).
Drawn are three iterations from the middle of the run, or the window asked for.

Examples:
  ringsim scenarios/iris-3.xml --trace iris.trace
  analysis/timeline.py iris.trace -o iris-timeline
  analysis/timeline.py iris.trace --strategy ring --from 0.1 --to 0.102 -o ring
  analysis/timeline.py big.trace --strategy ring --nodes 0-3,60-63
"""

import os
import re
import sys

import ringplot
import ringresult
import ringtrace
from ringplot import Panel, Picture
from ringresult import Bad, Nothing

KEY = "timeline"
MEANING = ("A row a node: above, what it computes (dark: forward, hatched: backward; gaps are idle or "
           "waiting); below, what it sends, then what it receives. The window is a few iterations from the "
           "middle of the run.")
ITERATIONS = 3
MOST = 16  # nodes
SPANS = 3000  # of one kind; more are drawn as pixels, also in SVG
LOOKS = {"F": ("forward", "#0072B2", ""), "R": ("forward again", "#7FB4DA", ""),
         "B": ("backward", "#F0A868", "////"), "step": ("update", "#000000", ""),
         "other": ("load, loss, copy, add", "#BBBBBB", ""),
         "send": ("send", "#009E73", ""), "receive": ("receive", "#C4EADC", "")}
IDLE = ("wait",)
LANES = {"compute": (0.08, 0.44), "send": (0.56, 0.15), "receive": (0.75, 0.15)}  # top, height


def window_of(process, begin, end):
    """The dates to draw: what was asked for, else ITERATIONS from the middle."""
    if begin is not None or end is not None:
        return begin or 0.0, process.last if end is None else end
    ends = process.iteration_ends()
    if len(ends) <= ITERATIONS:
        return 0.0, process.last
    first = (len(ends) - ITERATIONS) // 2
    return ends[first - 1] if first else 0.0, ends[first + ITERATIONS - 1]


def look_of(kind):
    return kind if kind in LOOKS else "send" if kind == "to" else "other"


def collect(process, ranks, begin, end):
    """{look: [(row, lane, from, to)]} of the spans inside the window."""
    rows = {rank: i for i, rank in enumerate(ranks)}
    found = {}
    for i in range(len(process.begin)):
        a, b = process.begin[i], process.end[i]
        if b <= begin or a >= end:
            continue
        kind, rank, peer = process.kinds[process.kind[i]], process.rank[i], process.peer[i]
        if kind in IDLE:
            continue
        a, b = max(a, begin), min(b, end)
        look = look_of(kind)
        if rank in rows:
            lane = "send" if look == "send" else "compute"
            found.setdefault(look, []).append((rows[rank], lane, a, b))
        if look == "send" and peer in rows:
            found.setdefault("receive", []).append((rows[peer], "receive", a, b))
    return found


def draw_rows(axes, ranks, found, begin, end):
    for look in LOOKS:
        colour, hatch = LOOKS[look][1:]
        many = len(found.get(look, ())) > SPANS
        lanes = {}
        for row, lane, a, b in found.get(look, ()):
            lanes.setdefault((row, lane), []).append((a, b - a))
        for (row, lane), spans in lanes.items():
            top, height = LANES[lane]
            axes.broken_barh(spans, (row + top, height), facecolor=colour, hatch=None if many else hatch,
                             edgecolor="black", linewidth=0 if many else 0.35, rasterized=many)
    for row in range(1, len(ranks)):
        axes.axhline(row, color="#999999", linewidth=0.4)
    axes.set_ylim(len(ranks), 0)
    axes.set_yticks([row + 0.5 for row in range(len(ranks))], [str(rank) for rank in ranks])
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.set_ylabel("node")
    time_axis(axes, begin, end)


def time_axis(axes, begin, end):
    """Time from the window's beginning; it is far from 0 and few digits of it differ."""
    axes.set_xlim(begin, end)
    locator = ringplot.MaxNLocator(nbins=8, steps=(1, 2, 5, 10))
    ticks = [t for t in locator.tick_values(0, end - begin) if 0 <= t <= (end - begin) * 1.0001]
    axes.xaxis.set_major_locator(ringplot.FixedLocator([begin + t for t in ticks]))
    axes.xaxis.set_major_formatter(ringplot.FuncFormatter(
        lambda value, _: ringresult.tick(round(value - begin, 12), "s")))
    axes.set_xlabel(f"time after {ringresult.si(begin, 's', 6)}" if begin else "time")


def steps_of(samples, begin, end):
    """A node's watts as the corners of a staircase over the window."""
    samples = sorted(samples)
    before = [watts for date, watts in samples if date <= begin]
    corners = [(begin, before[-1] if before else samples[0][1])]
    corners += [(date, watts) for date, watts in samples if begin < date < end]
    return corners + [(end, corners[-1][1])]


def draw_power(axes, process, ranks, begin, end):
    """One line a node while they can be told apart; else all together."""
    metered = [rank for rank in ranks if process.power.get(rank)]
    top = 0
    if len(metered) <= 4:
        for i, rank in enumerate(metered):
            corners = steps_of(process.power[rank], begin, end)
            axes.step([t for t, _ in corners], [w for _, w in corners], where="post", label=f"node {rank}",
                      color=ringplot.COLOURS[i], linestyle=ringplot.LINES[i], linewidth=1.3)
            top = max([top] + [w for _, w in corners])
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        axes.set_ylabel("power (W)")
    else:
        changes = []
        for rank in metered:
            last = 0
            for date, watts in steps_of(process.power[rank], begin, end)[:-1]:
                changes.append((date, watts - last))
                last = watts
        total, corners = 0, []
        for date, change in sorted(changes):
            total += change
            corners.append((date, total))
        corners = [c for i, c in enumerate(corners) if i + 1 == len(corners) or corners[i + 1][0] > c[0]]
        corners.append((end, total))
        axes.step([t for t, _ in corners], [w for _, w in corners], where="post", color="black", linewidth=1)
        top = max(w for _, w in corners)
        axes.set_ylabel(f"power of {len(metered)} nodes (W)")
    axes.set_ylim(0, 1.15 * top if top else 1)
    time_axis(axes, begin, end)


def picture(trace, process, ranks=None, begin=None, end=None, most=MOST):
    begin, end = window_of(process, begin, end)
    everyone = process.ranks
    chosen = everyone[:most] if ranks is None else [rank for rank in ranks if rank in everyone]
    if not chosen:
        raise Nothing(f"{process.label}: none of the nodes asked for; it has {everyone[0]} to {everyone[-1]}"
                      if everyone else f"{process.label}: no nodes")
    if not begin < end:
        raise Nothing(f"{process.label}: the window is empty: the run takes {process.last:.6g} s")
    found = collect(process, chosen, begin, end)
    if not found:
        raise Nothing(f"{process.label}: nothing happens in the window; the run takes {process.last:.6g} s")
    panels = [Panel("", lambda axes: draw_rows(axes, chosen, found, begin, end), 0.5 + 0.36 * len(chosen))]
    notes = []
    if any(process.power.get(rank) for rank in chosen):
        panels.append(Panel("", lambda axes: draw_power(axes, process, chosen, begin, end), 1.5))
    else:
        notes.append("no power over time: the trace holds none")
    if len(chosen) < len(everyone):
        notes.append(f"{process.label}: {len(chosen)} of {len(everyone)} nodes are drawn")
    if trace.dropped:
        notes.append(f"the trace lacks {trace.dropped} events that were over its limit")
    legend = [ringplot.legend_patch(LOOKS[look][0], *LOOKS[look][1:]) for look in LOOKS if look in found]
    world = ringresult.world_word(trace.world)
    return Picture("", f"Timeline of {process.label}", MEANING, panels, legend,
                   f"{trace.scenario}, {world}", notes, together=True, wide=True)


def parse_nodes(text):
    nodes = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})(?:-(\d{1,6}))?\s*", part)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise Bad(f"--nodes {text}: numbers and ranges are allowed, as in 0-3,8")
        nodes += range(int(match[1]), int(match[2] or match[1]) + 1)
    return list(dict.fromkeys(nodes))


def select(trace, label):
    for process in trace.processes:
        if label is None or process.label == label:
            return process
    raise Bad(f"{trace.path}: no strategy \"{label}\": there are {', '.join(trace.labels)}")


def main(argv=None):
    def body(argv):
        p = ringplot.parser(__doc__, inputs="trace")
        p.add_argument("trace", metavar="TRACE", help="what ringsim or ringnode wrote with --trace")
        p.add_argument("-o", "--out", metavar="OUT", help="write OUT.png and OUT.svg, or only the one that "
                       "OUT ends with (default: TRACE-timeline)")
        p.add_argument("--strategy", metavar="LABEL", help="which one (default: the first)")
        p.add_argument("--from", dest="begin", type=float, metavar="SECONDS", help="beginning of the window")
        p.add_argument("--to", dest="end", type=float, metavar="SECONDS", help="its end")
        p.add_argument("--nodes", metavar="LIST", help="which nodes, as in 0-3,8")
        p.add_argument("--most", type=int, default=MOST, metavar="N",
                       help="at most so many nodes, from 0 on (default: %(default)s)")
        args = p.parse_args(argv)
        if args.most < 1:
            raise Bad(f"--most {args.most}: 1 or more is allowed")
        trace = ringtrace.load(args.trace)
        ranks = parse_nodes(args.nodes) if args.nodes else None
        try:
            drawn = picture(trace, select(trace, args.strategy), ranks, args.begin, args.end, args.most)
        except Nothing as error:
            raise Bad(f"{args.trace}: {error}") from None
        name = os.path.splitext(os.path.basename(args.trace))[0]
        ringplot.finish([drawn], args.out or f"{name}-{KEY}")

    return ringplot.guarded(body, argv)


if __name__ == "__main__":
    sys.exit(main())
