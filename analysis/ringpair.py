"""Simulated and measured runs side by side: pairs, errors, ranks, bounds. Knows no tables and no pictures.

An error is (simulated - measured) / measured, what was measured being the truth; of shares of the time and of
residuals it is the plain difference, in percentage points. A value that a file does not have stays None
and is counted as unknown, never as 0.
"""

import json
import math
import re

import numpy

import ringresult
from ringresult import PARTS, Bad, one_line

RELATIVE, POINTS, EXACT = "relative", "points", "exact"
WORLDS = ("simulated", "measured")
NOISE = 1e-9  # errors of times and shares below it are those of rounding, and shown as 0


class Quantity:
    """of(run), or of(run, node) for one of a node. Exact ones are equal or the run is another one."""

    def __init__(self, key, title, unit, kind, of):
        self.key, self.title, self.unit, self.kind, self.of = key, title, unit, kind, of


def _field(*path):
    return lambda run: run.get(*path)


def _node_share(field):
    return lambda run, node: run.per(node.get(field), run.get("time_s"))


def _mean_share(field):
    def of(run):
        shares = [run.per(node.get(field), run.get("time_s")) for node in run.get("per_node") or ()]
        return sum(shares) / len(shares) if shares and None not in shares else None
    return of


def _residual(run):
    ratio = run.get("formula", "ratio")
    return None if ratio is None else ratio - 1


QUANTITIES = tuple(Quantity(*row) for row in (
    ("iterations", "iterations", "", EXACT, _field("iterations")),
    ("samples", "samples", "", EXACT, _field("samples")),
    ("messages", "messages", "", EXACT, _field("traffic", "messages")),
    ("values", "values", "", EXACT, _field("traffic", "values")),
    ("bytes", "payload", "B", EXACT, _field("traffic", "payload_bytes")),
    ("time", "time", "s", RELATIVE, _field("time_s")),
    ("iteration", "iteration", "s", RELATIVE, _field("iteration_s", "mean")),
    ("T_A", "T_A", "s", RELATIVE, _field("formula", "T_A_s")),
    ("c", "c", "s", RELATIVE, _field("formula", "c_s")),
    ("residual", "residual of the formula", "", POINTS, _residual),
    ("busy", "busy share", "", POINTS, _mean_share("busy_s")),
    ("port", "port share", "", POINTS, _mean_share("comm_s")),
    ("idle", "idle share", "", POINTS, _mean_share("idle_s")),
    ("wire", "bytes on the wire", "B", RELATIVE, _field("traffic", "wire_bytes")),
    ("memory", "memory of the fullest node", "B", RELATIVE, _field("memory_bytes", "max_node")),
    ("memory-total", "memory of all nodes", "B", RELATIVE, _field("memory_bytes", "total")),
    ("energy", "energy", "J", RELATIVE, _field("energy_J", "total")),
    *((f"energy-{part}", f"energy, {part}", "J", RELATIVE, _field("energy_J", part)) for part in PARTS),
    ("accuracy", "accuracy", "", POINTS, _field("final", "accuracy")),
))
NODE_QUANTITIES = tuple(Quantity(*row) for row in (
    ("node.sent", "sent", "B", EXACT, lambda run, node: node.get("bytes_sent")),
    ("node.received", "received", "B", EXACT, lambda run, node: node.get("bytes_received")),
    ("node.busy", "busy share", "", POINTS, _node_share("busy_s")),
    ("node.port", "port share", "", POINTS, _node_share("comm_s")),
    ("node.idle", "idle share", "", POINTS, _node_share("idle_s")),
    ("node.memory", "memory", "B", RELATIVE, lambda run, node: node.get("memory_bytes")),
    ("node.energy", "energy", "J", RELATIVE, lambda run, node: node.get("energy_J")),
))
BY_KEY = {quantity.key: quantity for quantity in QUANTITIES + NODE_QUANTITIES}


def _meter_uncertainty(owner):
    """Joules within which a meter's are, of a run or a node; None: it does not say."""
    return (owner.get("meter") or {}).get("uncertainty_J")


class Cell:
    """One quantity in both worlds. error: signed; infinite where 0 was measured and more simulated; None:
    unknown. counts: whether it belongs into a mean (nothing in both worlds is no merit). uncertainty: of the
    error, from that of what was measured; None: nobody knows."""

    def __init__(self, quantity, simulated, measured, measured_uncertainty=None):
        self.quantity, self.simulated, self.measured = quantity, simulated, measured
        self.state = {(True, True): "both", (True, False): "not measured", (False, True): "not simulated",
                      (False, False): "neither"}[simulated is not None, measured is not None]
        self.error = self._error() if self.state == "both" else None
        self.counts = self.error is not None and (quantity.kind == POINTS or measured != 0 or simulated != 0)
        known = self.error is not None and math.isfinite(self.error) and measured
        self.uncertainty = None
        if known and measured_uncertainty is not None:  # error = simulated / measured - 1
            self.uncertainty = abs(simulated / measured) * measured_uncertainty / abs(measured)

    def _error(self):
        difference = self.simulated - self.measured  # of whole numbers exact
        if self.quantity.kind == POINTS or difference == 0:
            return float(difference)
        return difference / abs(self.measured) if self.measured else math.copysign(math.inf, difference)


class Pair:
    """One run in both worlds."""

    def __init__(self, place, simulated, measured):
        self.place, self.simulated, self.measured = place, simulated, measured
        self.label, self.name = simulated.label, simulated.label
        self.cells = {q.key: Cell(q, q.of(simulated), q.of(measured),
                                  _meter_uncertainty(measured) if q.key == "energy" else None)
                      for q in QUANTITIES}
        nodes = [{node.get("rank"): node for node in run.get("per_node") or ()} for run in (simulated, measured)]
        self.nodes = {}  # rank -> (hosts, cells)
        for rank in sorted((set(nodes[0]) | set(nodes[1])) - {None}):
            a, b = nodes[0].get(rank, {}), nodes[1].get(rank, {})
            self.nodes[int(rank)] = ((a.get("host"), b.get("host")), {
                q.key: Cell(q, q.of(simulated, a), q.of(measured, b),
                            _meter_uncertainty(b) if q.key == "node.energy" else None)
                for q in NODE_QUANTITIES})

    @property
    def weights(self):
        """"equal", "differ", or "unknown": one of them has no digest (numerics were skipped)."""
        digests = [run.get("weights_sha256") for run in (self.simulated, self.measured)
                   if run.get("numerics") == "real"]
        if len(digests) < 2 or None in digests:
            return "unknown"
        return "equal" if digests[0] == digests[1] else "differ"

    def of(self, key):
        """[(where, cell)]: one, or one a node."""
        if key.startswith("node."):
            return [(f"{self.name}, node {rank}", cells[key]) for rank, (_, cells) in self.nodes.items()]
        return [(self.name, self.cells[key])]


# ---- pairing ----

def _identity(run):
    """What makes two runs one: label, kind, nodes, parameters and the point of the sweep."""
    return (run.label, run.kind, run.nodes, json.dumps(run.get("params") or {}, sort_keys=True),
            json.dumps(run.sweep, sort_keys=True))


def point_text(run):
    return ", ".join(f"{key}={value}" for key, value in sorted(run.sweep.items()))


def run_text(run):
    point = point_text(run)
    return one_line(run.label + (f" at {point}" if point else ""))


def _by_identity(result):
    runs = {}
    for run in result.runs:
        if runs.setdefault(_identity(run), run) is not run:
            raise Bad(f"{result.files[0]['path']}: {run_text(run)} is there twice: nothing tells the two apart")
    return runs


def _why_alone(run, others):
    """Why a run has no partner: what the nearest ones have else."""
    near = [other for other in others if other.label == run.label]
    if not near:
        return "no such label there"
    for what, of in (("kind", lambda r: r.kind), ("point of the sweep", point_text), ("nodes", lambda r: r.nodes)):
        same = [other for other in near if of(other) == of(run)]
        if not same:
            return f"there with {what} " + one_line(", ".join(dict.fromkeys(
                str(of(other)) or "none" for other in near)))
        near = same
    mine, theirs = run.get("params") or {}, near[0].get("params") or {}
    return "there with " + one_line(", ".join(f"{key}={theirs.get(key, 'none')} and not {mine.get(key, 'none')}"
                                              for key in sorted({*mine, *theirs}) if mine.get(key) != theirs.get(key)))


class Comparison:
    """Files in pairs, their runs in pairs, and all that could not be paired or compared."""

    def __init__(self, results):
        self.files = []  # (simulated, measured): the roots of the files
        self.pairs, self.unpaired, self.not_compared, self.outcomes, self.warnings = [], [], [], [], []
        if len(results) % 2:
            raise Bad(f"{len(results)} files: pairs SIM.json REAL.json are allowed")
        self.labels = list(dict.fromkeys(run.label for result in results for run in result.runs))
        for one, other in zip(results[::2], results[1::2]):
            self._join(*in_order(one, other))
        self.all_labels = list(dict.fromkeys(run["label"] for roots in self.files for root in roots
                                             for run in root["runs"]))  # before only(), in the order of looks
        if not self.pairs:
            raise Bad("no run in common that finished in both worlds: " + "; ".join(
                f"{name}: {why}" for name, why in self.not_compared + [(n, w) for _, n, w in self.unpaired]))
        self._name_pairs()

    def _join(self, simulated, measured):
        roots = (simulated.files[0], measured.files[0])
        place = len(self.files)
        self.files.append(roots)
        self.warnings += compare_files(*roots)
        left, right = _by_identity(simulated), _by_identity(measured)
        for runs, others, world in ((left, right, 0), (right, left, 1)):
            for key, run in runs.items():
                if key not in others:
                    self.unpaired.append((WORLDS[world], run_text(run), _why_alone(run, list(others.values()))))
        for key in left:
            if key in right:
                self._take(place, left[key], right[key])

    def _take(self, place, a, b):
        if a.finished and b.finished:
            self.pairs.append(Pair(place, a, b))
            return
        words = [ringresult.STATUS_WORDS.get(run.status, run.status) if run.status != "ok" or run.finished
                 else "no iteration" for run in (a, b)]
        reasons = [f"{word} {world}" + (f" ({one_line(run.get('error'))})" if run.get("error") else "")
                   for word, world, run in zip(words, WORLDS, (a, b))]
        self.not_compared.append((run_text(a), "; ".join(reasons)))
        if words[0] != words[1]:
            self.outcomes.append((run_text(a), "; ".join(reasons)))

    def _name_pairs(self):
        """Names that tell the pairs apart: the label, its point, and the file where there are several."""
        for pair in self.pairs:
            pair.name = run_text(pair.simulated)
            if len(self.files) > 1:
                pair.name += f" [{self.file_name(pair.place)}]"

    def file_name(self, place):
        """A pair of files: their scenario, or the how-manieth they are where that is not one's own."""
        scenarios = [one_line(roots[0].get("scenario") or "?") for roots in self.files]
        return scenarios[place] if scenarios.count(scenarios[place]) == 1 else str(place + 1)

    @property
    def scenario(self):
        return ", ".join(dict.fromkeys(one_line(roots[0].get("scenario") or "?") for roots in self.files))

    def group(self, pair):
        """Strategies are ranked among those of one file and one point; their own grids are no points."""
        shared = tuple(sorted((key, value) for key, value in pair.simulated.sweep.items()
                              if not any(key.startswith(label + ".") for label in self.labels)))
        return pair.place, shared


def in_order(one, other):
    """The simulated result, then the measured one, as the files say."""
    for result in (one, other):
        if result.files[0]["world"] == "mem":
            raise Bad(f"{result.files[0]['path']}: run in memory: only sim and posix are compared")
    if one.worlds == other.worlds:
        raise Bad(f"{one.files[0]['path']} and {other.files[0]['path']} are both {one.origin}: a pair is one of "
                  "each world, SIM.json REAL.json")
    return (one, other) if one.files[0]["world"] == "sim" else (other, one)


def compare_files(a, b):
    """Warnings about two files that are of one scenario but not alike. Other scenarios are refused."""
    names = f"{a['path']} and {b['path']}"
    if a.get("scenario") != b.get("scenario"):
        raise Bad(f"{names} are of different scenarios: {one_line(a.get('scenario'))} simulated, "
                  f"{one_line(b.get('scenario'))} measured")
    warnings = []
    digests = [one_line(root.get("scenario_sha256") or "")[:12] for root in (a, b)]
    if all(digests) and a["scenario_sha256"] != b["scenario_sha256"]:
        warnings.append(f"{names}: the scenario's digest differs ({digests[0]}.. simulated, {digests[1]}.. measured): "
                        "its settings, strategies, platform, network or data are not the same, and errors may come "
                        "from that")
    elif not all(digests):
        warnings.append(f"{names}: whether both ran the same scenario file is unknown (no digest)")
    for key in ("seed", "version"):
        if a.get(key) != b.get(key):
            warnings.append(f"{names}: {key} {one_line(a.get(key))} simulated, {one_line(b.get(key))} measured")
    kernels = [tuple((root.get("host") or {}).get(key) for key in ("blas_kernels", "blas_threads"))
               for root in (a, b)]
    if kernels[0] != kernels[1]:
        words = [f"{one_line(kernel)}, {one_line(threads)} threads" for kernel, threads in kernels]
        warnings.append(f"{names}: OpenBLAS kernels {words[0]} simulated, {words[1]} measured: weights may differ")
    warnings += [f"{root['path']}: {kinds}: weights may differ" for root in (a, b) for kinds in [kinds_of_nodes(root)]
                 if kinds]
    return warnings


def kinds_of_nodes(root):
    """ "ranks 0, 1: x86_64 Haswell glibc 2.36; rank 2: ...", where the nodes of a file are of several kinds; else None."""
    ranks = {}
    for run in root.get("runs") or []:
        for node in run.get("per_node") or []:
            kind = tuple(one_line(node[key]) for key in ("machine", "kernels", "libm") if node.get(key))
            if kind:
                ranks.setdefault(kind, set()).add(node.get("rank"))
    if len(ranks) < 2:
        return None
    return "; ".join(f"rank{'s' if len(of) > 1 else ''} {', '.join(map(str, sorted(of)))}: {' '.join(kind)}"
                     for kind, of in ranks.items())


# ---- errors of all pairs ----

class Summary:
    """The errors of one quantity. mean_absolute: None where nothing is to be compared."""

    def __init__(self, quantity, cells):
        self.quantity = quantity
        known = [(where, cell.error) for where, cell in cells if cell.counts]
        self.count, self.unknown = len(known), sum(1 for _, cell in cells if cell.error is None)
        errors = [error for _, error in known]
        self.mean_absolute = sum(map(abs, errors)) / len(errors) if errors else None
        bounded = all(map(math.isfinite, errors))
        self.mean = sum(errors) / len(errors) if errors and bounded else None
        self.worst = max(known, key=lambda item: abs(item[1]), default=None)


def summaries(comparison, pairs=None):
    """{key: Summary} of all quantities, of nodes too."""
    pairs = comparison.pairs if pairs is None else pairs
    return {key: Summary(quantity, [item for pair in pairs for item in pair.of(key)])
            for key, quantity in BY_KEY.items()}


def by_label(comparison):
    """{label: {key: Summary}}, in order of appearance."""
    return {label: summaries(comparison, [pair for pair in comparison.pairs if pair.label == label])
            for label in dict.fromkeys(pair.label for pair in comparison.pairs)}


# ---- ranks ----

def kendall(a, b):
    """Kendall's tau-b of two sequences of numbers; None where all of one are equal. "The treatment of ties
    in ranking problems", Kendall, 1945."""
    a, b = numpy.asarray(a, dtype=float), numpy.asarray(b, dtype=float)
    signs_a, signs_b = (numpy.sign(v[:, None] - v[None, :]) for v in (a, b))
    untied = float(numpy.sum(signs_a != 0)) * float(numpy.sum(signs_b != 0))
    return float(numpy.sum(signs_a * signs_b)) / math.sqrt(untied) if untied else None


class Rank:
    """The strategies of one group in order of `what`, a sample. tau: None where it is undefined."""

    def __init__(self, group, what, pairs, of):
        known = [(pair, of(pair.simulated), of(pair.measured)) for pair in pairs]
        known = [item for item in known if None not in item[1:]]
        self.group, self.what, self.count = group, what, len(known)
        self.tau = kendall([s for _, s, _ in known], [m for _, _, m in known]) if len(known) > 1 else None
        self.orders = [[item[0].name for item in sorted(known, key=lambda item: item[world])] for world in (1, 2)]
        self.swapped = [(p.name, q.name) for i, (p, ps, pm) in enumerate(known) for q, qs, qm in known[i + 1:]
                        if (ps - qs) * (pm - qm) < 0]


RANKED = (("time", lambda run: run.sample_s if run.sample_s is not None else run.iteration_s),
          ("energy", lambda run: run.sample_J))


def ranks(comparison):
    """A Rank a group and quantity, of those with at least two strategies."""
    groups, found = {}, []
    for pair in comparison.pairs:
        groups.setdefault(comparison.group(pair), []).append(pair)
    for (place, point), pairs in groups.items():
        name = comparison.file_name(place)
        name += " at " + ", ".join(f"{key}={value}" for key, value in point) if point else ""
        found += [rank for what, of in RANKED if (rank := Rank(name, what, pairs, of)).count > 1]
    return found


# ---- bounds ----

class Bound:
    """What must hold. mean: the mean absolute error instead of each. implied: nobody asked, it always holds."""

    def __init__(self, key, limit, mean=False, implied=False):
        self.key, self.limit, self.mean, self.implied = key, limit, mean, implied


class Verdict:
    """failures: one line each, empty where the bound held."""

    def __init__(self, text, failures, implied=False):
        self.text, self.failures, self.implied = text, failures, implied

    @property
    def held(self):
        return not self.failures


def parse_bounds(option, texts, mean=False):
    bounds = []
    for text in (part for given in texts or () for part in given.split(",")):
        key, _, limit = text.strip().partition("=")
        if key not in BY_KEY:
            raise Bad(f"{option} {one_line(text)}: QUANTITY=SHARE is allowed, of " + ", ".join(BY_KEY))
        match = re.fullmatch(r"(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)\s*(%?)", limit.strip())
        value = float(match[1]) / (100 if match[2] else 1) if match else math.inf
        if not math.isfinite(value):
            raise Bad(f"{option} {one_line(text)}: a share of 0 or more is allowed, as in 5% or 0.05")
        bounds.append(Bound(key, value, mean))
    return bounds


def error_text(error, kind):
    """Signed; what is off by little must not look equal."""
    unit = "pp" if kind == POINTS else "%"
    if error is None:
        return "-"
    if math.isinf(error):
        return "0 measured"
    if error == 0 and kind == EXACT:
        return "equal"
    if abs(error) < NOISE and kind != EXACT:
        return f"0 {unit}"
    return (f"{100 * error:+.2f}" if abs(error) >= 5e-5 else f"{100 * error:+.2g}") + f" {unit}"


def cell_text(cell):
    """The error, and how uncertain it is."""
    text = error_text(cell.error, cell.quantity.kind)
    return text if cell.uncertainty is None else f"{text} +-{100 * cell.uncertainty:.2g} %"


def limit_text(limit, kind):
    return f"{100 * limit:.10g} {'pp' if kind == POINTS else '%'}"


def value_texts(cell):
    """Both values, with all digits where fewer would not tell them apart."""
    values = (cell.simulated, cell.measured)
    texts = ["null" if v is None else f"{v:.6g}" if isinstance(v, float) else str(v) for v in values]
    if texts[0] == texts[1]:
        texts = ["null" if v is None else repr(v) for v in values]
    return [f"{text} {cell.quantity.unit}".strip() for text in texts]


def judge(comparison, bound):
    quantity = BY_KEY[bound.key]
    within = bound.limit * (1 + 1e-9)  # 5 % is not exactly 5 %
    cells = [item for pair in comparison.pairs for item in pair.of(bound.key)]
    if bound.mean:
        mean = Summary(quantity, cells).mean_absolute
        text = f"mean absolute error of {bound.key} at most {limit_text(bound.limit, quantity.kind)}"
        unknown = [f"{where}: unknown ({cell.state})" for where, cell in cells if cell.error is None]
        if not cells:
            unknown = ["nothing to compare"]
        return Verdict(text, unknown or ([] if (mean or 0) <= within else [
            f"it is {error_text(mean, quantity.kind).lstrip('+')}"]))
    text = f"{bound.key} equal" if bound.limit == 0 else \
        f"error of {bound.key} at most {limit_text(bound.limit, quantity.kind)}"
    failures = [] if cells or bound.implied else ["nothing to compare"]
    for where, cell in cells:
        shown = value_texts(cell)
        # A count that neither file has is no difference; asked for, it is one that cannot be told.
        if cell.error is None and not (bound.implied and cell.state == "neither"):
            failures.append(f"{where}: unknown ({cell.state}: {shown[0]} simulated, {shown[1]} measured)")
        elif cell.error is not None and abs(cell.error) > within:
            failures.append(f"{where}: {shown[0]} simulated, {shown[1]} measured ("
                            f"{error_text(cell.error, quantity.kind)})")
    return Verdict(text, failures, bound.implied)


def judge_tau(found, least):
    times = [rank for rank in found if rank.what == "time"]
    failures = [f"{rank.group}: " + ("undefined, all strategies are equal in one world" if rank.tau is None
                                     else f"{rank.tau:.4f}; swapped: " + swapped_text(rank))
                for rank in times if rank.tau is None or rank.tau < least - 1e-12]
    if not times:
        failures = ["no two strategies to rank"]
    return Verdict(f"Kendall's tau-b of the strategies by time at least {least:g}", failures)


def swapped_text(rank, most=4):
    """Which pairs of strategies change places."""
    texts = [f"{p} and {q}" for p, q in rank.swapped[:most]]
    more = len(rank.swapped) - most
    return ", ".join(texts + ([f"{more} more"] if more > 0 else [])) or "none, but ties"


def judge_weights(comparison):
    words = {"differ": "digests differ", "unknown": "a digest is missing"}
    return Verdict("weights of all runs equal", [f"{pair.name}: {words[pair.weights]}"
                                                 for pair in comparison.pairs if pair.weights != "equal"])


def verdicts(comparison, found, bounds, min_tau=None, same_weights=False, all_paired=False):
    """Those asked for, and those that always hold: equal counts, unless a bound says otherwise, and one outcome."""
    given = {bound.key for bound in bounds if not bound.mean}
    implied = [Bound(q.key, 0.0, implied=True) for q in BY_KEY.values() if q.kind == EXACT and q.key not in given]
    made = [judge(comparison, bound) for bound in bounds]
    if min_tau is not None:
        made.append(judge_tau(found, min_tau))
    if same_weights:
        made.append(judge_weights(comparison))
    if all_paired:
        made.append(Verdict("every run has a partner, and both finished",
                            [f"{name}: only {world}: {why}" for world, name, why in comparison.unpaired]
                            + [f"{name}: {why}" for name, why in comparison.not_compared]))
    made += [judge(comparison, bound) for bound in implied]
    made.append(Verdict("runs end alike", [f"{name}: {why}" for name, why in comparison.outcomes], True))
    return made
