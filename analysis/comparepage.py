"""The page of compare.py: its tables, and what they say in pictures. Simulated is hollow or plain, measured is
filled or hatched, everywhere."""

import math
import os

import comparetables
import report
import ringpair
import ringplot
import timeline
from ringpair import BY_KEY, POINTS
from ringplot import Panel, Picture
from ringresult import Nothing

SCATTER = ("iteration", "T_A", "c", "energy")
BARS = ("iteration", "T_A", "busy", "idle", "memory", "energy")
BANDS, BAND_COLOURS = (0.05, 0.20), ("#C4C4C4", "#E9E9E9")  # shaded about the diagonal
MOST_ROWS, MOST_NODES, MOST_TIMELINES = 24, 24, 4
MOST_BARS = 12  # of runs; more are marks of a scatter
SYMLOG = 30.0  # percent: larger errors on a logarithmic axis, so that small ones stay visible
WORLD_LOOKS = {"simulated": ("#FFFFFF", ""), "measured": ("#56B4E9", "///")}


def looks_of(comparison):
    """Those of report.py's page: by label, among all of the files."""
    return ringplot.Looks(comparison.all_labels, [(label, label) for label in comparison.all_labels])


def mark_entries(pairs, looks):
    """A legend of marks, of the strategies that have one."""
    return [looks.entry(label, linestyle="none", markeredgecolor="black", markeredgewidth=0.5)
            for label in looks.sorted(pair.label for pair in pairs)]


# ---- simulated against measured ----

def draw_scatter(axes, comparison, key, looks):
    unit = BY_KEY[key].unit
    known = [(pair.label, pair.cells[key]) for pair in comparison.pairs
             if pair.cells[key].state == "both" and min(pair.cells[key].simulated, pair.cells[key].measured) > 0]
    values = [value for _, cell in known for value in (cell.simulated, cell.measured)]
    low, high = min(values), max(values)
    far = high > 4 * low
    low, high = (low / (high / low) ** 0.08, high * (high / low) ** 0.08) if far else (0, 1.12 * high)
    for band, shade in zip(reversed(BANDS), reversed(BAND_COLOURS)):
        ends = [max(low, 1e-12 * high), high]
        axes.fill_between(ends, [v * (1 - band) for v in ends], [v * (1 + band) for v in ends], color=shade,
                          linewidth=0, zorder=0)
    axes.plot([max(low, 1e-12 * high), high], [max(low, 1e-12 * high), high], color="black", linewidth=1, zorder=1)
    for label, cell in known:
        axes.plot(cell.measured, cell.simulated, **looks.line(label, linestyle="none"), markeredgecolor="black",
                  markeredgewidth=0.5, zorder=3)
    for which in "xy":
        word = "measured" if which == "x" else "simulated"
        ringplot.scale_axis(axes, which, values, unit, f"{BY_KEY[key].title}, {word}")
        if far:  # both alike, and with room for the words of the horizontal one
            subs = (1, 2, 5) if high < 30 * low else (1, 3) if high < 100 * low else (1,)
            (axes.xaxis if which == "x" else axes.yaxis).set_major_locator(ringplot.LogLocator(subs=subs, numticks=6))
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_box_aspect(1)


def scatter(comparison, origin):
    looks = looks_of(comparison)
    panels, notes = [], []
    for key in SCATTER:
        positive = [pair for pair in comparison.pairs if pair.cells[key].state == "both"
                    and min(pair.cells[key].simulated, pair.cells[key].measured) > 0]
        if positive:
            panels.append(Panel(BY_KEY[key].title, lambda axes, key=key: draw_scatter(axes, comparison, key, looks),
                                3.6))
        if 0 < len(positive) < len(comparison.pairs):
            notes.append(f"{BY_KEY[key].title}: {len(comparison.pairs) - len(positive)} of {len(comparison.pairs)} "
                         "runs are not drawn, one of the worlds has nothing there")
    if not panels:
        raise Nothing("no quantity is known in both worlds")
    legend = [ringplot.legend_line("equal", color="black", linewidth=1)]
    legend += [ringplot.legend_patch(f"within {100 * band:.0f} %", shade)
               for band, shade in zip(BANDS, BAND_COLOURS)]
    legend += mark_entries(comparison.pairs, looks)
    return Picture("scatter", "Simulated against measured", "A mark a run. On the line both agree; above it the "
                   "simulation says more than was measured, below it less.", panels, legend, origin, notes)


# ---- errors a strategy ----

def draw_bars(axes, rows, kind, limit):
    """rows: [(label, [errors])], shares of one."""
    values = [100 * error for _, errors in rows for error in errors if math.isfinite(error)]
    for row, (_, errors) in enumerate(rows):
        known = [100 * error for error in errors if math.isfinite(error)]
        if not known:
            axes.text(0, row, " unknown" if not errors else " 0 measured", va="center", fontsize=8)
            continue
        size = sum(map(abs, known)) / len(known)
        if all(abs(error) < 100 * ringpair.NOISE for error in known):
            axes.text(0, row, " equal", va="center", fontsize=8)
            continue
        mean = math.copysign(size, sum(known))
        axes.barh(row, mean, height=0.6, color="#7FB4DA", edgecolor="black", linewidth=0.6, zorder=2)
        if len(known) > 1:
            axes.plot(known, [row] * len(known), linestyle="none", marker="o", markersize=3.5, color="black",
                      markerfacecolor="white", zorder=3)
    largest = max(map(abs, values), default=0) or 1
    if limit is not None and 100 * limit <= 3 * largest:
        axes.axvspan(-100 * limit, 100 * limit, color="#E4F1E4", zorder=0)
    axes.axvline(0, color="black", linewidth=1, zorder=4)
    unit = "pp" if kind == POINTS else "%"
    margin = 0.1 * largest
    if largest > SYMLOG * 2:
        margin = 4
        axes.set_xscale("symlog", linthresh=10, linscale=1)
        ticks = [tick for tick in (10, 100, 1000, 10000, 1e6) if tick <= 2 * largest]
        axes.xaxis.set_major_locator(ringplot.FixedLocator([-t for t in ticks] + [0] + ticks))
        axes.xaxis.set_minor_locator(ringplot.NullLocator())
    else:
        axes.xaxis.set_major_locator(ringplot.MaxNLocator(nbins=5, steps=(1, 2, 2.5, 5, 10)))
    below, above = min(values + [0]), max(values + [0])
    axes.set_xlim(1.3 * below or -margin, 1.3 * above or margin)
    axes.xaxis.set_major_formatter(ringplot.FuncFormatter(lambda v, _: f"{v:+.4g} {unit}" if v else f"0 {unit}"))
    axes.set_yticks(range(len(rows)), [ringplot.short(label, 22) for label, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(False, axis="y")


def bars(outcome, origin):
    comparison = outcome.comparison
    labels = looks_of(comparison).sorted(pair.label for pair in comparison.pairs)
    limits = {}
    for bound in outcome.bounds:
        if not bound.mean:
            limits[bound.key] = min(bound.limit, limits.get(bound.key, math.inf))
    panels = []
    for key in BARS + tuple(key for key in limits if key not in BARS and not key.startswith("node.")):
        rows = [(label, [pair.cells[key].error for pair in comparison.pairs
                         if pair.label == label and pair.cells[key].error is not None])
                for label in labels[:MOST_ROWS]]
        errors = [error for _, errors in rows for error in errors]
        if all(abs(error) < ringpair.NOISE for error in errors):
            continue
        panels.append(Panel(BY_KEY[key].title, lambda axes, rows=rows, key=key: draw_bars(
            axes, rows, BY_KEY[key].kind, limits.get(key)), 0.75 + 0.26 * len(rows),
            [ringplot.legend_patch("within the bound", "#E4F1E4")] if key in limits else ()))
    if not panels:
        raise Nothing("no errors: nothing is known in both worlds, or all is equal")
    legend = [ringplot.legend_patch("mean absolute error", "#7FB4DA")]
    if any(len([p for p in comparison.pairs if p.label == label]) > 1 for label in labels):
        legend.append(ringplot.legend_line("a run", color="black", linestyle="none", marker="o", markersize=3.5,
                                           markerfacecolor="white"))
    notes = [f"{len(labels) - MOST_ROWS} more strategies are not drawn; --only KEY=VALUE chooses"] \
        if len(labels) > MOST_ROWS else []
    meaning = ("A bar a strategy, on the side of its mean; to the right more was simulated than measured. Relative to "
               "what was measured (%), of shares of the time the difference (pp). Quantities that are equal everywhere "
               "are left out.")
    return Picture("errors", "Errors of the simulation", meaning, panels, legend, origin, notes)


# ---- the formula in both worlds ----

def paired_bars(axes, names, values, formatter):
    """A plain and a hatched bar for each name; None leaves a gap with a word."""
    for shift, world in ((-0.2, "simulated"), (0.2, "measured")):
        colour, hatch = WORLD_LOOKS[world]
        for row, pair in enumerate(values):
            value = pair[world == "measured"]
            if value is None:
                axes.text(0, row + shift, " unknown", va="center", fontsize=7)
            else:
                axes.barh(row + shift, value, height=0.36, color=colour, hatch=hatch, edgecolor="black",
                          linewidth=0.6, zorder=2)
    axes.set_yticks(range(len(names)), [ringplot.short(name, 30) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(False, axis="y")
    axes.xaxis.set_major_locator(ringplot.MaxNLocator(nbins=6, steps=(1, 2, 2.5, 5, 10)))
    axes.xaxis.set_major_formatter(ringplot.FuncFormatter(formatter))
    axes.axvline(0, color="black", linewidth=1, zorder=3)


def world_legend():
    return [ringplot.legend_patch(world, *look) for world, look in WORLD_LOOKS.items()]


def draw_residuals(axes, pairs, looks):
    """Of many runs: simulated against measured residuals."""
    marks = [(p.label, 100 * p.cells["residual"].measured, 100 * p.cells["residual"].simulated) for p in pairs]
    values = [value for _, x, y in marks for value in (x, y)]
    margin = 0.08 * (max(values) - min(values)) or 1
    ends = [min(values) - margin, max(values) + margin]
    axes.plot(ends, ends, color="black", linewidth=1, zorder=1)
    for label, x, y in marks:
        axes.plot(x, y, **looks.line(label, linestyle="none"), markeredgecolor="black", markeredgewidth=0.5, zorder=3)
    for axis, word in ((axes.xaxis, "measured"), (axes.yaxis, "simulated")):
        axis.set_major_locator(ringplot.MaxNLocator(nbins=6, steps=(1, 2, 2.5, 5, 10)))
        axis.set_major_formatter(ringplot.FuncFormatter(lambda v, _: f"{v:+.4g} %" if v else "0 %"))
        axis.set_label_text(f"observed / predicted - 1, {word}")
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_box_aspect(1)


def residuals(comparison, origin):
    pairs = [pair for pair in comparison.pairs if pair.cells["residual"].state != "neither"]
    both = [pair for pair in pairs if pair.cells["residual"].state == "both"]
    if not pairs:
        raise Nothing("the formula is undefined in both worlds")
    title = "What the closed form misses"
    meaning = ("Observed over predicted iteration, less 1, in both worlds. Where the two agree, the simulation misses "
               "what the form misses.")
    if len(pairs) <= MOST_BARS or not both:
        values = [[None if v is None else 100 * v
                   for v in (p.cells["residual"].simulated, p.cells["residual"].measured)] for p in pairs[:MOST_BARS]]
        names = [p.name for p in pairs[:MOST_BARS]]
        panel = Panel("", lambda axes: paired_bars(axes, names, values, lambda v, _: f"{v:+.4g} %" if v else "0 %"),
                      0.6 + 0.4 * len(names))
        return Picture("residual", title, meaning, [panel], world_legend(), origin)
    looks = looks_of(comparison)
    legend = [ringplot.legend_line("equal", color="black", linewidth=1)]
    legend += mark_entries(both, looks)
    notes = [f"{len(pairs) - len(both)} of {len(pairs)} runs are not drawn: a world has no formula there"] \
        if len(both) < len(pairs) else []
    return Picture("residual", title, meaning, [Panel("", lambda axes: draw_residuals(axes, both, looks), 3.6)],
                   legend, origin, notes)


# ---- shares of each node ----

def draw_nodes(axes, pair, ranks):
    """Two bars a node: busy below, what is left is idle."""
    width = 0.4
    for shift, world in ((-width / 2, "simulated"), (width / 2, "measured")):
        colour, hatch = WORLD_LOOKS[world]
        cells = [pair.nodes[rank][1]["node.busy"] for rank in ranks]
        known = [(i, getattr(cell, world)) for i, cell in enumerate(cells) if getattr(cell, world) is not None]
        axes.bar([i + shift for i, _ in known], [100 * share for _, share in known], width=width, color=colour,
                 hatch=hatch, edgecolor="black", linewidth=0.6, zorder=2)
    step = -(-len(ranks) // 12)
    axes.set_xticks(range(0, len(ranks), step), [str(rank) for rank in ranks[::step]])
    axes.set_xlim(-0.6, len(ranks) - 0.4)
    axes.set_xlabel("node")
    axes.grid(False, axis="x")
    shares = [value for rank in ranks for value in (pair.nodes[rank][1]["node.busy"].simulated,
                                                    pair.nodes[rank][1]["node.busy"].measured) if value is not None]
    axes.set_ylim(0, min(100 * 1.12 * max(shares), 103) or 1)
    axes.yaxis.set_major_locator(ringplot.MaxNLocator(nbins=5, steps=(1, 2, 5, 10)))
    axes.yaxis.set_major_formatter(ringplot.FuncFormatter(lambda v, _: f"{v:.3g} %"))
    axes.set_ylabel("busy")


def nodes(comparison, origin):
    pairs = [pair for pair in comparison.pairs
             if any(cells["node.busy"].state != "neither" for _, cells in pair.nodes.values())]
    if not pairs:
        raise Nothing("no busy time of single nodes")
    panels, notes = [], []
    for pair in pairs[:MOST_ROWS]:
        ranks = list(pair.nodes)[:MOST_NODES]
        panels.append(Panel(pair.name, lambda axes, pair=pair, ranks=ranks: draw_nodes(axes, pair, ranks), 2.1))
        if len(ranks) < len(pair.nodes):
            notes.append(f"{pair.name}: {len(ranks)} of {len(pair.nodes)} nodes are drawn")
    if len(pairs) > MOST_ROWS:
        notes.append(f"{len(pairs) - MOST_ROWS} more runs are not drawn; --only KEY=VALUE chooses")
    return Picture("nodes", "Busy share of each node", "The share of the run's time that a node computes; the rest is "
                   "idle. Each scale fits its strategy.", panels, world_legend(), origin, notes)


# ---- the page ----

def picture_html(make, *args):
    try:
        picture = make(*args)
    except Nothing as reason:
        return report.note(f"not drawn: {reason}")
    return report.picture_html(picture, f"{picture.key}-")


def html_table(heads, rows):
    """Heads "GROUP: FIRST", "SECOND", ... have their group in a row above, as wide as its columns."""
    table = report.table([head.partition(": ")[2] or head for head in heads], rows, (0,))
    starts = [i for i, head in enumerate(heads) if ": " in head] + [len(heads)]
    groups = "".join(f'<th colspan={end - start} class=group>{report.escape(heads[start].partition(": ")[0])}</th>'
                     for start, end in zip(starts, starts[1:]))
    above = f"<tr><th colspan={starts[0]}></th>{groups}</tr>\n" if groups else ""
    return table.replace("<table>\n", "<table>\n" + above, 1)


def bounds_section(outcome):
    rows = []
    for verdict in outcome.verdicts:
        more = len(verdict.failures) - 10
        rows.append(("held" if verdict.held else "BROKEN", verdict.text + (" (always)" if verdict.implied else ""),
                     "; ".join(verdict.failures[:10] + ([f"and {more} more"] if more > 0 else []))))
    return report.table(("", "bound", "what broke it"), rows, (0, 1, 2))


def runs_section(outcome):
    comparison = outcome.comparison
    text = ("<p>Error: simulated less measured, over measured; of shares the difference in percentage points (pp). "
            "T_A, c: compute and communication time of one iteration at its busiest node; c, and the port's share, are "
            "worked out alike in both worlds, from messages, bytes and the datasheet. - : unknown.</p>\n")
    for title, (heads, rows) in comparetables.tables(outcome):
        text += f"<h3>{report.escape(title)}</h3>\n{html_table(heads, rows)}"
    heads, rows = comparetables.node_table(comparison)
    if rows:
        text += f"<details><summary>All {len(rows)} nodes</summary>\n{html_table(heads, rows)}</details>\n"
    if comparison.unpaired:
        text += "<h3>Runs without a partner</h3>\n" + report.table(
            ("run", "only", "why"), [(name, world, why) for world, name, why in comparison.unpaired], (0, 1, 2))
    if comparison.not_compared:
        text += "<h3>Runs that are not compared</h3>\n" + report.table(
            ("run", "why"), comparison.not_compared, (0, 1))
    return text


def rank_section(outcome):
    rows = []
    for rank in outcome.ranks:
        tau = "undefined" if rank.tau is None else f"{rank.tau:.4f}"
        rows.append((rank.group, rank.what, rank.count, tau, *(", ".join(order[:8]) + (", .." if len(order) > 8 else "")
                                                               for order in rank.orders)))
    if not rows:
        return report.note("no two strategies to rank")
    return ("<p>Kendall's tau-b: 1 where both worlds put the strategies in one order, -1 in the opposite one. The best "
            "come first; time and energy are those of a sample.</p>\n"
            + report.table(("scenario", "by", "strategies", "tau-b", "simulated order", "measured order"), rows,
                           (0, 4, 5)))


def windows(alignment):
    """Of each world two iterations from where they part, of one length, so that one ruler fits both."""
    first = alignment.first
    if first is None:
        return [(None, None)] * 2
    starts, lengths = [], []
    for side in alignment.sides:
        begins = list(side.begins) + [max(side.process.end, default=0.0)]
        place = min(first.iteration - 1, len(begins) - 2)
        starts.append(begins[place])
        lengths.append(begins[min(place + 2, len(begins) - 1)] - begins[place])
    return [(start, start + max(lengths)) for start in starts]


def parting_html(alignment, traces, prefix):
    """Both timelines about the place where they part, or in the middle of the run."""
    text, first = "", alignment.first
    ranks = sorted({first.rank, *alignment.sides[0].process.ranks[:7]}) if first else None
    for side, trace, world, window in zip(alignment.sides, traces, ringpair.WORLDS, windows(alignment)):
        try:
            picture = timeline.picture(trace, side.process, ranks, *window, most=8)
        except Nothing as reason:
            text += report.note(f"{world}: no timeline: {reason}")
            continue
        picture.title, picture.panels = f"{alignment.label}, {world}", picture.panels[:1]  # without power: one ruler
        text += report.picture_html(picture, f"{prefix}{world[0]}-", said=[picture.meaning] + picture.notes)
    return text


def timelines_section(outcome, traces):
    if not traces:
        return report.note("no timelines: give both traces with --traces")
    text = "<p>Where the timelines part first; below, both about that place.</p>\n"
    for i, ((found, alone), pair) in enumerate(zip(outcome.timelines, traces)):
        text += "<ul>" + "".join(f"<li>{report.escape(' '.join(alignment.text().split()))}</li>\n"
                                 for alignment in found) + "</ul>\n"
        text += "".join(report.note(f"{label}: only in the {world} trace") for world, label in alone)
        for k, alignment in enumerate(found[:MOST_TIMELINES]):
            text += parting_html(alignment, pair, f"p{i}-{k}-")
        if len(found) > MOST_TIMELINES:
            text += report.note(f"{len(found) - MOST_TIMELINES} more strategies: timeline.py draws them")
    return text


def files_section(outcome):
    text = ""
    for roots in outcome.comparison.files:
        for world, root in zip(ringpair.WORLDS, roots):
            hosts = dict.fromkeys(str(n.get("host")) for run in root["runs"] for n in run.get("per_node") or ())
            facts = [(world, os.path.basename(root["path"])), ("world", root["world"]),
                     ("tool", f"{root.get('tool') or '?'} {root.get('version') or ''}"), ("seed", root.get("seed")),
                     ("scenario", root.get("scenario")), ("digest", root.get("scenario_sha256")),
                     ("nodes", ", ".join(list(hosts)[:16]) + (", .." if len(hosts) > 16 else ""))]
            text += report.facts(facts + list((root.get("host") or {}).items()))
    return text


def page(outcome, traces):
    comparison = outcome.comparison
    origin = f"{comparison.scenario}, simulated and measured"
    pictures = picture_html(scatter, comparison, origin) + picture_html(bars, outcome, origin) \
        + picture_html(residuals, comparison, origin) + picture_html(nodes, comparison, origin)
    heads, rows = comparetables.errors_table(outcome.summaries)
    sections = [("bounds", "Bounds", bounds_section(outcome)),
                ("errors", "Errors", report.table(heads, rows, (0, 5))),
                ("pictures", "Pictures", pictures),
                ("rank", "Rank correlation", rank_section(outcome)),
                ("runs", "Runs", runs_section(outcome)),
                ("timelines", "Timelines", timelines_section(outcome, traces)),
                ("files", "Files", files_section(outcome))]
    tags = ["simulated against measured", f"{len(comparison.pairs)} runs", comparetables.headline(outcome)]
    alone = len(comparison.unpaired) + len(comparison.not_compared)
    notes = outcome.notes + ([f"{alone} runs are not compared, listed under Runs"] if alone else [])
    return report.document(comparison.scenario, tags, notes, sections)
