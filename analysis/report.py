#!/usr/bin/python3
"""One self-contained HTML page of a run: facts, a table of the runs, and all pictures that it has data for.

Nothing is loaded from elsewhere; the page reads on a phone, in print and in black and white.

Examples:
  ringsim scenarios/iris-3.xml --json iris.json --trace iris.trace
  analysis/report.py iris.json -o iris.html
  analysis/report.py iris.json --trace iris.trace -o iris.html
  analysis/report.py scaling.json --only batch=16N -o weak.html
"""

import os
import re
import sys
from html import escape

import accuracy
import energy
import formula
import ringplot
import ringresult
import ringtrace
import scaling
import timeline
from ringresult import Nothing, percent, plain, si

# A picture of a result is a module with KEY, TITLE (or its pictures' own) and pictures(result); the page
# has them in this order. A new one is added here.
PICTURES = (("Scaling", scaling), ("The formula", formula), ("Energy", energy), ("Accuracy", accuracy))
TIMELINES = 8  # strategies; more would make the page heavy
MATRICES = 8  # strategies
OPEN_CLASSES = 30  # a matrix of more is shown on a click
PANEL_WIDTH = 4.6  # inches: of one panel, as wide as a phone shows without scrolling

CSS = """
:root { color-scheme: light dark; --fg: #1a1a1a; --bg: #fff; --soft: #555; --line: #ccc; --head: #f1f1f1; }
@media (prefers-color-scheme: dark) {
  :root { --fg: #e8e8e8; --bg: #16181b; --soft: #aaa; --line: #444; --head: #24272b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 80rem; color: var(--fg); background: var(--bg);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: .2em 0; } h2 { font-size: 1.25rem; margin: 2em 0 .3em;
  border-bottom: 1px solid var(--line); } h3 { font-size: 1.05rem; margin: 1.2em 0 .2em; }
p { max-width: 46rem; margin: .4em 0; } .soft, figcaption { color: var(--soft); font-size: .9rem; }
.note { border-left: 4px solid var(--soft); padding-left: .7em; }
.tag { border: 1px solid var(--fg); border-radius: .3em; padding: 0 .4em; white-space: nowrap; }
.scroll { overflow-x: auto; -webkit-overflow-scrolling: touch; margin: .5em 0; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25em .6em; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { background: var(--head); } th:first-child, td:first-child, td.text, th.text { text-align: left; }
td.text { white-space: normal; overflow-wrap: normal; min-width: 16rem; }
th.group { text-align: center; border-left: 1px solid var(--line); }
.matrix td { padding: .1em .45em; text-align: center; border: 1px solid var(--line); } .matrix td.own { font-weight: bold; }
td.text:first-child { white-space: nowrap; min-width: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1em 1em; font-size: .9rem; margin: .4em 0; }
dt { color: var(--soft); } dd { margin: 0; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: .8rem; }
figure { margin: .5em 0; } .panels figure { margin: 0; max-width: 34rem; }
.paper { background: #fff; border-radius: .3em; padding: .3em; }
.paper svg { display: block; width: 100%; height: auto; } .wide svg { min-width: 44rem; }
nav a { margin-right: 1em; } a { color: inherit; } summary { cursor: pointer; }
@media print { body { max-width: none; font-size: 9pt; } figure, tr { break-inside: avoid; }
  .scroll { overflow: visible; } .wide svg { min-width: 0; } }
"""


# ---- pieces of the page ----

def inline_svg(fig, prefix, label):
    """A figure as an element of the page: without prolog and metadata, its ids its own."""
    text = ringplot.svg(fig).decode("utf-8")
    text = text[text.index("<svg"):]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'\bid="([^"]*)"', rf'id="{prefix}\1"', text)
    text = re.sub(r'(xlink:)?href="#', f'href="#{prefix}', text)
    text = text.replace("url(#", f"url(#{prefix}")
    size = re.search(r'viewBox="[^"]*"', text)[0]
    return f'<svg role="img" aria-label="{escape(label)}" {size}' + text[text.index(">"):]


def table(heads, rows, texts=()):
    """Rows of cells, already text; columns in `texts` are words."""
    if not rows:
        return ""

    def cells(row, tag):
        return "".join(f"<{tag}{' class=text' if i in texts else ''}>{escape(str(cell))}</{tag}>"
                       for i, cell in enumerate(row))

    body = "\n".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f'<div class="scroll" tabindex="0"><table>\n<tr>{cells(heads, "th")}</tr>\n{body}\n</table></div>\n'


def facts(pairs):
    return "<dl>" + "".join(f"<dt>{escape(str(key))}</dt><dd>{escape(str(value))}</dd>"
                            for key, value in pairs if value not in (None, "")) + "</dl>\n"


def note(text):
    return f'<p class="note">{escape(text)}</p>\n'


def section(key, title, body):
    return f'<section id="{key}">\n<h2>{escape(title)}</h2>\n{body}</section>\n'


def picture_html(picture, prefix, said=()):
    """Each panel a figure of its own, so that a phone has one below the other; wide ones scroll. said:
    sentences that the page has elsewhere."""
    parts = [f"<h3>{escape(picture.title)} <small class=soft>({escape(picture.origin)})</small></h3>\n"]
    if picture.meaning not in said:
        parts.append(f"<p>{escape(picture.meaning)}</p>\n")
    groups = [None] if picture.together else [[panel] for panel in picture.panels]
    parts.append('<div class="scroll wide">' if picture.wide else '<div class="panels">')
    for i, panels in enumerate(groups):
        width = None if picture.wide else PANEL_WIDTH
        fig = ringplot.figure(picture, panels, columns=1, width=width, heading=False)
        label = picture.title + (f": {panels[0].title}" if panels and panels[0].title else "")
        parts.append(f'<figure><div class="paper">{inline_svg(fig, f"{prefix}{i}-", label)}</div></figure>\n')
    parts.append("</div>\n")
    return "".join(parts + [note(text) for text in picture.notes if text not in said])


# ---- sections ----

HEADS = ("strategy", "nodes", "batch", "time", "iteration", "T_A", "c", "ratio", "bubble", "accuracy", "energy",
         "energy a sample", "mean power", "sent", "memory", "point", "status")
TEXTS = (0, 15, 16)


def point_text(run):
    return ", ".join(f"{key}={value}" for key, value in sorted(run.sweep.items())
                     if key not in ("nodes", "batch"))


def status_text(run):
    text = ringresult.STATUS_WORDS.get(run.status, run.status)
    if run.get("error"):
        text += ": " + ringresult.one_line(run.get("error"))
    skipped = run.get("extrapolated_iterations")
    if skipped:
        text += f", {skipped} of {run.get('iterations')} iterations extrapolated"
    return text


def row_of(result, run):
    name = run.label if len(result.worlds) == 1 else f"{run.label} ({ringresult.world_word(run.world)})"
    batch = run.batch
    return (name, run.nodes, "-" if batch is None else f"{batch:.6g}", si(run.get("time_s"), "s"),
            si(run.iteration_s, "s"), si(run.get("formula", "T_A_s"), "s"), si(run.get("formula", "c_s"), "s"),
            plain(run.get("formula", "ratio")), percent(run.get("formula", "bubble")),
            percent(run.get("final", "accuracy")), si(run.energy, "J"), si(run.sample_J, "J"),
            si(run.per(run.energy, run.get("time_s")), "W"),
            si(run.get("traffic", "payload_bytes") if run.finished else None, "B"), si(run.memory, "B"),
            point_text(run), status_text(run))


def runs_section(result):
    best = ringresult.best_of_grid(result, result.finished, by_batch=True)
    swept = any(run.sweep for run in result.runs)
    text = ("<p>Time and energy are of the training alone. T_A, c: compute and communication time of one "
            "iteration at its busiest node; ratio: observed iteration over the strategy's closed form; sent: "
            "payload of all nodes; memory: the fullest node; - : unknown.</p>\n")
    rows = [row_of(result, run) for run in result.runs]
    if swept and len(best) < len(result.runs):
        place = {name: i for i, name in enumerate(result.names)}
        ordered = sorted(best, key=lambda run: place[result.series(run)])
        text += ("<p>The best point of each strategy at each number of nodes and batch, by time a sample:</p>\n"
                 + table(HEADS, [row_of(result, run) for run in ordered], TEXTS)
                 + f"<details><summary>All {len(rows)} runs</summary>\n{table(HEADS, rows, TEXTS)}</details>\n")
    else:
        text += table(HEADS, rows, TEXTS)
    return text + "".join(note(sentence) for sentence in result.notes())


def honest_notes(result):
    """What this result does not hold, in words."""
    notes = []
    if not any(run.energy is not None for run in result.runs):
        notes.append(ringresult.energy_word(result.runs) + "; no joules anywhere on this page")
    if not any(run.get("final", "accuracy") is not None for run in result.runs):
        skipped = any(run.get("numerics") == "skip" for run in result.runs)
        notes.append("accuracy: unknown"
                     + (", numerics were skipped, nothing was learned" if skipped else ""))
    undefined = [run.label for run in result.finished if run.get("formula") is None]
    if undefined:
        notes.append("formula: undefined for " + ", ".join(dict.fromkeys(undefined)))
    extrapolated = sum(1 for run in result.runs if run.get("extrapolated_iterations"))
    if extrapolated:
        notes.append(f"{extrapolated} of {len(result.runs)} runs were simulated until their iterations repeated, "
                     "and extrapolated from there")
    return notes


def forms_section(result):
    """Closed forms beside what ran; "" where the result has none."""
    heads = ("strategy", "nodes", "batch", "quantity", "closed form", result.origin, "difference")
    rows = []
    for run in ringresult.best_of_grid(result, result.finished, by_batch=True):
        count = run.get("iterations")
        pairs = (("T_A", "T_A_s", run.get("formula", "T_A_s"), "s"), ("c", "c_s", run.get("formula", "c_s"), "s"),
                 ("iteration", "iteration_s", run.get("formula", "observed_iteration_s") or run.iteration_s, "s"),
                 ("messages an iteration", "messages", run.per(run.get("traffic", "messages"), count), ""),
                 ("payload an iteration", "payload_bytes", run.iteration_bytes, "B"),
                 ("memory", "memory_bytes", run.memory, "B"))
        for what, key, seen, unit in pairs:
            form = run.get("predicted", key)
            if form is not None and seen is not None:
                off = f"{100 * (seen / form - 1):+.2f} %" if form else "-"
                rows.append((result.series(run), run.nodes, si(run.batch, "", 6), what, si(form, unit, 4),
                             si(seen, unit, 4), off))
    if not rows:
        return ""
    body = table(heads, rows, (0, 3))
    if len(rows) > 40:
        body = f"<details><summary>{len(rows)} rows</summary>\n{body}</details>\n"
    return ("<p>What the strategies' closed forms say from the network, the boards and the number of nodes alone, "
            "beside what ran.</p>\n" + body)


def scenario_section(result):
    text = ""
    for file in result.files:
        runs = [run for run in file["runs"]]
        pairs = [("file", os.path.basename(file["path"])), ("scenario", file.get("scenario")),
                 ("world", f"{ringresult.world_word(file['world'])} ({file['world']})"),
                 ("tool", f"{file.get('tool') or '?'} {file.get('version') or ''}"), ("seed", file.get("seed")),
                 ("runs", len(runs)),
                 ("nodes", _range(run["nodes"] for run in runs if run["nodes"])),
                 ("iterations", _range(run.get("iterations") for run in runs if run.get("iterations"))),
                 ("samples", _range(run.get("samples") for run in runs if run.get("samples"))),
                 ("clocks", ringresult.clock_word(runs)),
                 ("numerics", ", ".join(sorted({run.get("numerics") or "?" for run in runs})))]
        text += facts(pairs)
        text += "<details><summary>Host: what depends on the machine and the moment</summary>\n"
        host = file.get("host") or {}
        text += (facts((key, host[key]) for key in host) if host else "<p>unknown</p>") + "</details>\n"
    params = {}
    for run in result.runs:
        params.setdefault(run.label, (run.kind, run.get("params") or {}))
    swept = any(run.sweep for run in result.runs)
    rows = [(label, kind, ", ".join(f"{key}={value}" for key, value in given.items()))
            for label, (kind, given) in params.items()]
    text += "<h3>Strategies" + (", as in the first point of the sweep" if swept else "") + "</h3>\n"
    return text + table(("strategy", "kind", "parameters"), rows, (0, 1, 2))


def _range(values):
    values = sorted(set(values))
    if len(values) > 8:
        return f"{values[0]} to {values[-1]}"
    return ", ".join(f"{value}" for value in values)


def matrix(classes):
    """A confusion matrix: a row a true class, shaded by the share of its samples; the diagonal bold, so that print
    and colour-blind eyes tell right from wrong."""
    names = [item.get("name") or str(i) for i, item in enumerate(classes)]
    heads = "".join(f"<th>{escape(head)}</th>" for head in ["class", "samples", "accuracy"] + names)
    rows = []
    for i, item in enumerate(classes):
        samples = sum(item["predicted"])
        cells = [f"<th>{escape(names[i])}</th><td>{samples}</td><td>{percent(item.get('accuracy'))}</td>"]
        for k, count in enumerate(item["predicted"]):
            colour = "0, 114, 178" if k == i else "213, 94, 0"
            shade = f' style="background: rgba({colour}, {0.65 * count / samples:.2f})"' if count else ""
            cells.append(f"<td{' class=own' if k == i else ''}{shade}>{count}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    body = "\n".join(rows)
    return f'<div class="scroll" tabindex="0"><table class="matrix">\n<tr>{heads}</tr>\n{body}\n</table></div>\n'


def classes_section(result):
    """Which classes are taken for which, a strategy each; "" where no run says so."""
    try:
        runs = [run for run in ringresult.one_a_strategy(result) if run.get("final", "classes")]
    except Nothing:
        return ""
    text = ""
    for run in runs[:MATRICES]:
        table = matrix(run.get("final", "classes"))
        if len(run.get("final", "classes")) > OPEN_CLASSES:
            table = f"<details><summary>{len(run.get('final', 'classes'))} classes</summary>\n{table}</details>\n"
        text += f"<h3>{escape(result.series(run))}, {run.nodes} node{'' if run.nodes == 1 else 's'}</h3>\n{table}"
    if len(runs) > MATRICES:
        text += note(f"{len(runs) - MATRICES} more are not drawn; --only KEY=VALUE chooses")
    if text:
        text = ("<p>The test samples of each class (a row), and the classes they were taken for at the end; right ones "
                "are on the diagonal. Shade: share of the row.</p>\n" + text)
    return text


def timeline_section(trace):
    if trace is None:
        return note("no timeline: give the run's trace with --trace")
    text, said = "", set()
    for i, process in enumerate(trace.processes[:TIMELINES]):
        try:
            picture = timeline.picture(trace, process)
            text += picture_html(picture, f"t{i}-", said)
            said.update([picture.meaning], picture.notes)
        except Nothing as reason:
            text += note(f"no timeline: {reason}")
    if len(trace.processes) > TIMELINES:
        text += note(f"{len(trace.processes) - TIMELINES} more strategies are in the trace: timeline.py draws them")
    return text


def picture_section(result, key, module):
    try:
        return "".join(picture_html(picture, f"{key}{i}-", result.notes())
                       for i, picture in enumerate(module.pictures(result)))
    except Nothing as reason:
        return note(f"not drawn: {reason}")


def page(result, trace=None):
    sections = [("runs", "Runs", runs_section(result))]
    sections += [(module.KEY, title, picture_section(result, module.KEY, module)) for title, module in PICTURES]
    sections.append((timeline.KEY, "Timeline", timeline_section(trace)))
    classes = classes_section(result)
    if classes:
        sections.append(("classes", "Classes", classes))
    forms = forms_section(result)
    if forms:
        sections.append(("forms", "Closed forms", forms))
    sections.append(("facts", "Scenario and host", scenario_section(result)))
    tags = [result.origin, ringresult.energy_word(result.runs)]
    return document(result.scenario, tags, honest_notes(result), sections)


def document(title, tags, notes, sections):
    """A whole page: sections are (key, title, body); everything else is text."""
    head = (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
            "style-src 'unsafe-inline'; img-src data:\">\n"
            f"<title>{escape(title)}: {escape(tags[0])}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
            f"<h1>{escape(title)}</h1>\n<p>"
            + " ".join(f'<span class="tag">{escape(tag)}</span>' for tag in tags) + "</p>\n")
    head += "".join(note(text) for text in notes)
    head += "<nav>" + " ".join(f'<a href="#{key}">{escape(name)}</a>' for key, name, _ in sections) + "</nav>\n"
    return head + "".join(section(*parts) for parts in sections) + "</body>\n</html>\n"


def main(argv=None):
    def body(argv):
        p = ringplot.parser(__doc__)
        p.add_argument("--trace", metavar="TRACE", help="what the same run wrote with --trace: adds timelines")
        p.add_argument("-o", "--out", metavar="FILE.html", help="(default: RESULT.html here)")
        args = p.parse_args(argv)
        result = ringresult.load(args.result).only(args.only)
        trace = ringtrace.load(args.trace) if args.trace else None
        out = args.out or f"{result.name}.html"
        ringplot.write_file(out, page(result, trace).encode("utf-8"))
        print(out)

    return ringplot.guarded(body, argv)


if __name__ == "__main__":
    sys.exit(main())
