#!/usr/bin/python3
"""What ringsim said against what ringnode measured: errors, ranks, timelines, and whether bounds held.

Files come in pairs of one scenario; which is which, they say themselves. Runs are paired by label, kind, nodes,
parameters and point of the sweep. An error is (simulated - measured) / measured; of shares and residuals the
difference in percentage points (pp). Counts (messages, values, payload, iterations) must be equal always,
unless a bound says otherwise. Exit status: 0 all bounds held, 1 some did not, 2 bad input.

Examples:
  ringsim scenarios/iris-3.xml --json sim.json --trace sim.trace
  ringnode scenarios/iris-3.xml --local --json real.json --trace real.trace
  analysis/compare.py sim.json real.json --traces sim.trace real.trace -o iris.html
  analysis/compare.py sim.json real.json --max-error iteration=5% --max-mean iteration=2% --min-tau 0.9
  analysis/compare.py sim-20.json real-20.json sim-50.json real-50.json --only kind=ring_pipeline --json all.json
"""

import json
import math
import sys

import comparetables
import ringalign
import ringpair
import ringplot
import ringresult
import ringtrace
from ringpair import BY_KEY
from ringresult import Bad, one_line, si

SCHEMA = "ringtmp-comparison-1"
NODE_ROWS = 24  # more are left to --per-node, --json and the page


# ---- the table on the terminal ----

def text_table(heads, rows, words=1):
    """Columns aligned, the first `words` to the left; what heads "GROUP: FIRST", "SECOND", ... share stands
    above them."""
    groups = [head.partition(": ")[0] if ": " in head else "" for head in heads]
    rows = [[str(cell) for cell in row] for row in [[head.partition(": ")[2] or head for head in heads]] + rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    lines = [above(groups, widths)] if any(groups) else []
    for row in rows:
        cells = [cell.ljust(width) if i < words else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def above(groups, widths):
    """Each group's title in the middle above its columns."""
    starts = [i for i, group in enumerate(groups) if group] + [len(groups)]
    line = " " * (sum(widths[:starts[0]]) + 2 * starts[0])
    for start, end in zip(starts, starts[1:]):
        width = sum(widths[start:end]) + 2 * (end - start - 1)
        line += f" {groups[start]} ".center(width, "-") + "  "
    return line.rstrip()


def file_text(root):
    host = root.get("host") or {}
    nodes = dict.fromkeys(str(node.get("host")) for run in root["runs"] for node in run.get("per_node") or ())
    names = one_line(", ".join(list(nodes)[:4])) + (f" and {len(nodes) - 4} more" if len(nodes) > 4 else "")
    facts = [f"{root.get('tool') or '?'} {root.get('version') or ''}".strip(), f"world {root['world']}",
             f"seed {root.get('seed')}"]
    facts += [f"{key} {host[key]}" for key in ("date", "machine") if host.get(key) is not None]
    facts += [f"load {host['load']:.2f}"] if isinstance(host.get("load"), (int, float)) else []
    return " ".join(f"{root['path']} ({', '.join(facts)})".split()), names


def gaps(comparison):
    """Sentences about what one world, or both, does not know: null is no 0."""
    found = {}
    for pair in comparison.pairs:
        for key, cell in pair.cells.items():
            if cell.state in ("not measured", "not simulated"):
                found.setdefault((cell.state, pair.simulated.get("energy_source"),
                                  pair.measured.get("energy_source")), {}).setdefault(key, []).append(pair.name)
    sentences = []
    for (state, a, b), keys in found.items():
        for names in dict.fromkeys(map(tuple, keys.values())):
            which = [key for key, owners in keys.items() if tuple(owners) == names]
            everyone = len(names) == len(comparison.pairs)
            energy = any(key.startswith("energy") for key in which)
            source = f" (energy source: {a} simulated, {b} measured)" if energy else ""
            sentences.append(f"{', '.join(which)}: {state}{source}, of "
                             + ("all runs" if everyone else one_line(", ".join(names))))
    nothing = [key for key in BY_KEY if not key.startswith("node.")
               and all(pair.cells[key].state == "neither" for pair in comparison.pairs)]
    return sentences + ([f"{', '.join(nothing)}: in neither file"] if nothing else [])


def notes_of(comparison):
    """What must not be overlooked, the loudest first."""
    notes = list(comparison.warnings)
    for pair in comparison.pairs:
        forms = [run.get("formula", "predicted_iteration_s") for run in (pair.simulated, pair.measured)]
        if None not in forms and not math.isclose(*forms, rel_tol=1e-9):
            notes.append(f"{pair.name}: the closed form says {si(forms[0], 's', 6)} in the simulated file and "
                         f"{si(forms[1], 's', 6)} in the measured one: boards or links are not described alike")
        if pair.weights == "differ":
            notes.append(f"{pair.name}: weights DIFFER")
        doubt = (pair.measured.get("meter") or {}).get("warning")
        if doubt:
            notes.append(f"{pair.name}: meter: {one_line(doubt)}")
        skipped = pair.simulated.get("extrapolated_iterations")
        if skipped:
            notes.append(f"{pair.name}: {skipped} of {pair.simulated.get('iterations')} simulated iterations "
                         "are extrapolated")
    return notes + gaps(comparison)


def rank_text(rank):
    text = f"{rank.group}, by {rank.what}: "
    if rank.tau is None:
        return text + f"undefined: all {rank.count} strategies are equal in one world"
    swapped = "; swapped: " + ringpair.swapped_text(rank) if rank.swapped else ""
    return text + f"{rank.tau:.4f} of {rank.count} strategies{swapped}"


class Outcome:
    """All that is told, on the terminal, as JSON and on the page."""

    def __init__(self, comparison, timelines, args):
        self.comparison, self.timelines = comparison, timelines
        bounds = ringpair.parse_bounds("--max-error", args.max_error) \
            + ringpair.parse_bounds("--max-mean", args.max_mean, mean=True)
        self.bounds = bounds
        self.summaries = ringpair.summaries(comparison)
        self.ranks = ringpair.ranks(comparison)
        self.verdicts = ringpair.verdicts(comparison, self.ranks, bounds, args.min_tau, args.same_weights,
                                          args.all_paired)
        self.notes = notes_of(comparison)

    @property
    def held(self):
        return all(verdict.held for verdict in self.verdicts)


def print_verdicts(outcome, most=10):
    print(f"\nBounds: {comparetables.headline(outcome)}")
    for verdict in outcome.verdicts:
        print(f"  {'held  ' if verdict.held else 'BROKEN'}  {verdict.text}"
              + (" (always)" if verdict.implied else ""))
        for failure in verdict.failures[:most]:
            print("            " + " ".join(failure.split()))
        if len(verdict.failures) > most:
            print(f"            and {len(verdict.failures) - most} more")


def print_all(outcome, per_node):
    comparison = outcome.comparison
    print(f"{comparison.scenario}: simulated against measured, {len(comparison.pairs)} runs in pairs\n")
    for roots in comparison.files:
        for world, root in zip(ringpair.WORLDS, roots):
            text, nodes = file_text(root)
            print(f"{world}: {text}; nodes: {nodes}")
    for note in outcome.notes:
        print(f"note: {note}")
    for world, name, why in comparison.unpaired:
        print(f"unpaired: {name}: only {world}: {why}")
    for name, why in comparison.not_compared:
        print(f"not compared: {name}: {why}")
    for title, (heads, rows) in comparetables.tables(outcome):
        print(f"\n{title}\n{text_table(heads, rows)}", end="")
    heads, rows = comparetables.node_table(comparison)
    if rows and (per_node or len(rows) <= NODE_ROWS):
        print(f"\nNodes\n{text_table(heads, rows)}", end="")
    elif rows:
        print(f"\nNodes: {len(rows)} rows, shown with --per-node")
    print(f"\nErrors of all pairs\n{text_table(*comparetables.errors_table(outcome.summaries))}", end="")
    print("\nRank correlation of the strategies (Kendall's tau-b)")
    for rank in outcome.ranks:
        print(f"  {rank_text(rank)}")
    if not outcome.ranks:
        print("  no two strategies to rank")
    for found, alone in outcome.timelines:
        print("\nWhere the timelines part")
        for alignment in found:
            print("  " + " ".join(alignment.text().split()))
        for world, label in alone:
            print(f"  {one_line(label)}: only in the {world} trace")
    print_verdicts(outcome)


# ---- JSON ----

def finite(value):
    """JSON has no infinity: such an error is null, and its cell says that 0 was measured."""
    return value if value is None or math.isfinite(value) else None


def cells_json(cells):
    return {key: {"simulated": cell.simulated, "measured": cell.measured, "error": finite(cell.error),
                  **({} if cell.uncertainty is None else {"uncertainty": cell.uncertainty}),
                  "state": "0 measured" if cell.error is not None and math.isinf(cell.error) else cell.state}
            for key, cell in cells.items()}


def pair_json(pair):
    run = pair.simulated
    return {"name": pair.name, "pair": pair.place, "label": run.label, "kind": run.kind, "nodes": run.nodes,
            "params": run.get("params") or {}, "sweep": run.sweep,
            "energy_source": dict(zip(ringpair.WORLDS, (run.get("energy_source"),
                                                        pair.measured.get("energy_source")))),
            "weights": pair.weights,
            "formula": dict(zip(ringpair.WORLDS, (run.get("formula"), pair.measured.get("formula")))),
            "quantities": cells_json(pair.cells),
            "per_node": [{"rank": rank, "host": dict(zip(ringpair.WORLDS, hosts)), "quantities": cells_json(cells)}
                         for rank, (hosts, cells) in pair.nodes.items()]}


def summary_json(summary):
    kind = summary.quantity.kind
    worst = {"error": finite(summary.worst[1]), "run": summary.worst[0]} if summary.worst else None
    return {"unit": "points" if kind == ringpair.POINTS else "relative", "compared": summary.count,
            "unknown": summary.unknown, "mean_absolute": finite(summary.mean_absolute), "mean": summary.mean,
            "largest": worst}


def parting_json(parting):
    if parting is None:
        return None
    sides = [None if side is None else {"event": side[0], "date_s": side[1]}
             for side in (parting.simulated, parting.measured)]
    return {"what": parting.what, "node": parting.rank, "iteration": parting.iteration,
            **dict(zip(ringpair.WORLDS, sides)), "difference_s": parting.difference_s}


def alignment_json(alignment):
    return {"label": alignment.label, "tolerance_s": alignment.tolerance_s, "warm_up": alignment.warm_up,
            "dates": alignment.compared, "within": alignment.within, "first": parting_json(alignment.first),
            "first_of_node": [parting_json(parting) for _, parting in sorted(alignment.partings.items())],
            "largest": parting_json(alignment.largest), "clock_uncertainty_s": alignment.clock_s}


def file_json(root):
    return {key: root.get(key) for key in ("path", "tool", "version", "world", "scenario", "scenario_sha256", "seed",
                                           "host")}


def outcome_json(outcome):
    comparison = outcome.comparison
    return {
        "schema": SCHEMA,
        "files": [dict(zip(ringpair.WORLDS, map(file_json, roots))) for roots in comparison.files],
        "notes": outcome.notes,
        "runs": [pair_json(pair) for pair in comparison.pairs],
        "unpaired": [{"world": world, "run": name, "why": why} for world, name, why in comparison.unpaired],
        "not_compared": [{"run": name, "why": why} for name, why in comparison.not_compared],
        "errors": {key: summary_json(summary) for key, summary in outcome.summaries.items()},
        "errors_by_label": {label: {key: summary_json(summary) for key, summary in found.items()}
                            for label, found in ringpair.by_label(comparison).items()},
        "rank": [{"group": rank.group, "by": rank.what, "strategies": rank.count, "tau_b": rank.tau,
                  "order": dict(zip(ringpair.WORLDS, rank.orders)), "swapped": [list(two) for two in rank.swapped]}
                 for rank in outcome.ranks],
        "timelines": [{"strategies": [alignment_json(alignment) for alignment in found],
                       "alone": [{"world": world, "label": label} for world, label in alone]}
                      for found, alone in outcome.timelines],
        "bounds": [{"bound": verdict.text, "always": verdict.implied, "held": verdict.held,
                    "failures": verdict.failures} for verdict in outcome.verdicts],
        "held": outcome.held}


# ---- command line ----

def parser():
    p = ringplot.parser(__doc__, inputs="pairs")
    p.add_argument("results", nargs="+", metavar="SIM.json REAL.json",
                   help="what ringsim and ringnode wrote with --json of one scenario, in pairs")
    p.add_argument("--only", action="append", metavar="KEY=VALUE", help="only these runs of every file: label, "
                   "kind, nodes or a key of the sweep (repeatable)")
    p.add_argument("--max-error", action="append", metavar="QUANTITY=SHARE", help="no run (or node) may be further "
                   "off, as in iteration=5%%; repeatable, or several with commas. Quantities: " + ", ".join(BY_KEY))
    p.add_argument("--max-mean", action="append", metavar="QUANTITY=SHARE", help="the mean absolute error of all "
                   "runs (or nodes) may not be larger")
    p.add_argument("--min-tau", type=float, metavar="TAU", help="strategies are in this order at least (Kendall's "
                   "tau-b by time a sample, -1 to 1), in every file and at every point")
    p.add_argument("--same-weights", action="store_true", help="digests of the trained weights must be there and equal")
    p.add_argument("--all-paired", action="store_true", help="no run may be without a partner, and all must finish")
    p.add_argument("--traces", nargs=2, action="append", metavar=("SIM.trace", "REAL.trace"), help="say where these "
                   "two timelines part first (repeatable)")
    p.add_argument("--tolerance", default="5%", metavar="TOLERANCE", help="by how much dates may differ: a share of "
                   "the simulated iteration, or a time as in 200us, 1ms (default: 5%%)")
    p.add_argument("--warm-up", type=int, metavar="N", help="iterations of which dates are not compared (default: 1)")
    p.add_argument("--per-node", action="store_true", help="a row a node, however many there are")
    p.add_argument("--json", metavar="FILE", help="write everything as JSON (-: standard output, and no tables)")
    p.add_argument("-o", "--out", metavar="FILE.html", help="write a page with tables and pictures")
    return p


def check(args):
    if args.min_tau is not None and not -1 <= args.min_tau <= 1:
        raise Bad(f"--min-tau {args.min_tau:g}: -1 to 1 is allowed")
    if args.warm_up is not None and args.warm_up < 0:
        raise Bad(f"--warm-up {args.warm_up}: 0 or more is allowed")


def main(argv=None):
    def body(argv):
        args = parser().parse_args(argv)
        check(args)
        tolerance = ringalign.Tolerance(args.tolerance)
        comparison = ringpair.Comparison([ringresult.load([path]).only(args.only) for path in args.results])
        traces = [tuple(ringtrace.load(path) for path in paths) for paths in args.traces or ()]
        for simulated, _ in traces:
            if simulated.scenario not in [str(roots[0].get("scenario")) for roots in comparison.files]:
                raise Bad(f"{simulated.path}: a trace of {one_line(simulated.scenario)}, the results are of "
                          f"{comparison.scenario}")
        timelines = [ringalign.align(*pair, tolerance, args.warm_up) for pair in traces]
        outcome = Outcome(comparison, timelines, args)
        text = json.dumps(outcome_json(outcome), indent=1, allow_nan=False) + "\n" if args.json else ""
        if args.json and args.json != "-":
            ringplot.write_file(args.json, text.encode("utf-8"))
        if args.out:
            import comparepage  # drawing takes a while
            ringplot.write_file(args.out, comparepage.page(outcome, traces).encode("utf-8"))
        if args.json == "-":
            sys.stdout.write(text)
        else:
            print_all(outcome, args.per_node)
        return 0 if outcome.held else 1

    return ringplot.guarded(body, argv)


if __name__ == "__main__":
    sys.exit(main())
