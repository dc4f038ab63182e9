"""What a comparison says, as tables of texts and a headline: for compare.py's terminal and comparepage.py's
page."""

import ringpair
from ringpair import BY_KEY, EXACT, QUANTITIES, cell_text, error_text
from ringresult import PARTS, percent, si


def shown(value, quantity):
    if quantity.kind == ringpair.POINTS:
        return percent(value)
    if quantity.unit == "" and value is not None:
        return f"{value:.0f}"
    return si(value, quantity.unit, 4)


def three(cell):
    """Simulated, measured, error, as cells."""
    return [shown(cell.simulated, cell.quantity), shown(cell.measured, cell.quantity),
            cell_text(cell)]


def heads_of(keys):
    heads = []
    for key in keys:
        heads += [f"{BY_KEY[key].title}: simulated", "measured", "error"]
    return heads


def table_of(comparison, keys):
    """(heads, rows): a row a pair."""
    return (["strategy", "nodes"] + heads_of(keys),
            [[pair.name, pair.simulated.nodes] + [cell for key in keys for cell in three(pair.cells[key])]
             for pair in comparison.pairs])


def formula_table(comparison):
    rows = []
    for pair in comparison.pairs:
        row = [pair.name, pair.simulated.nodes]
        for run, cell in ((pair.simulated, pair.cells["residual"].simulated),
                          (pair.measured, pair.cells["residual"].measured)):
            row += [si(run.get("formula", "predicted_iteration_s"), "s", 4),
                    si(run.get("formula", "observed_iteration_s"), "s", 4),
                    "-" if cell is None else f"{100 * cell:+.2f} %"]
        rows.append(row)
    heads = ["strategy", "nodes"]
    for world in ringpair.WORLDS:
        heads += [f"{world}: predicted", "observed", "residual"]
    return heads, rows


def counts_table(comparison):
    """Equal counts are said once; others stand beside each other, marked."""
    keys = [q.key for q in QUANTITIES if q.kind == EXACT]
    rows = []
    for pair in comparison.pairs:
        row = [pair.name, pair.simulated.nodes]
        for key in keys:
            cell = pair.cells[key]
            a, b = (shown(v, cell.quantity) for v in (cell.simulated, cell.measured))
            if a == b and cell.error:  # rounding must not hide it
                a, b = str(cell.simulated), str(cell.measured)
            row.append(a if cell.error == 0 else f"{a} / {b} DIFFERS" if cell.error else f"{a} / {b} unknown")
        uneven = any(cells[key].error for _, cells in pair.nodes.values() for key in ("node.sent", "node.received"))
        rows.append(row + ["DIFFERS" if uneven else "equal", {"differ": "DIFFER"}.get(pair.weights, pair.weights)])
    return ["strategy", "nodes"] + [BY_KEY[key].title for key in keys] + ["by node", "weights"], rows


def node_table(comparison):
    keys = ("node.busy", "node.idle", "node.port", "node.memory", "node.energy")
    rows = [[pair.name, rank] + [cell for key in keys for cell in three(cells[key])]
            for pair in comparison.pairs for rank, (_, cells) in pair.nodes.items()]
    return ["strategy", "node"] + heads_of(keys), rows


def errors_table(summaries):
    rows = []
    for key, summary in summaries.items():
        kind = summary.quantity.kind
        if summary.count or summary.unknown:
            worst = f"{error_text(summary.worst[1], kind)}, {summary.worst[0]}" \
                if summary.worst and summary.worst[1] else "-"
            rows.append([key, summary.count, summary.unknown or "-",
                         error_text(summary.mean_absolute, kind).lstrip("+"), error_text(summary.mean, kind), worst])
    return ["quantity", "compared", "unknown", "mean absolute error", "mean error", "largest error"], rows


def tables(outcome):
    """[(title, (heads, rows))] of the pairs, those that hold anything."""
    comparison = outcome.comparison
    found = [("Time of an iteration", table_of(comparison, ("iteration", "T_A", "c"))),
             ("Shares of the time, mean of the nodes", table_of(comparison, ("busy", "idle", "port"))),
             ("Formula: observed over predicted iteration, less 1", formula_table(comparison)),
             ("Counts, which must be equal", counts_table(comparison)),
             ("Memory and bytes on the wire", table_of(comparison, ("memory", "memory-total", "wire")))]
    if any(pair.cells["energy"].state != "neither" for pair in comparison.pairs):
        parts = [f"energy-{part}" for part in PARTS]
        found += [("Energy of all nodes", table_of(comparison, ["energy"] + parts[:1])),
                  ("Energy by part", table_of(comparison, parts[1:]))]
    if any(pair.cells["accuracy"].state != "neither" for pair in comparison.pairs):
        found.append(("Accuracy", table_of(comparison, ("accuracy",))))
    return found


def headline(outcome):
    """What became of the bounds, in a few words."""
    broken = sum(1 for verdict in outcome.verdicts if not verdict.held)
    if broken:
        return f"{broken} bounds BROKEN"
    given = any(not verdict.implied for verdict in outcome.verdicts)
    return "all bounds held" if given else "counts equal; no bound was given"
