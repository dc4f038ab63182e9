"""Result files of ringsim and ringnode ("schema": "ringtmp-result-1"): read, checked, grouped.

A field that is null or missing is None; whoever draws must cope. A file that is no result, or has a
field of another type than the format says, raises Bad with one line that names file and field. A run with
numbers that no picture can show (NaN, 1e31 s) is set aside, the others are read; one whose loss is such a
number has diverged.
"""

import gzip
import json
import math
import os
import re
import zlib

SCHEMA = "ringtmp-result-1"
PARTS = ("idle", "compute", "network", "switch")  # of the energy, in the order of drawing
STATUS_WORDS = {
    "ok": "ok",
    "does-not-fit": "does not fit",
    "impossible": "cannot run there",
    "failed": "failed",
    "interrupted": "interrupted",
    "lost": "a rank was lost",
    "diverged": "diverged",
    "unreadable": "not readable",
}
TOLD = ("diverged", "unreadable")  # also where another run of the strategy finished: they are no figures


class Bad(Exception):
    """Input that cannot be used: one line, naming the file. Exit status 2."""


class Odd(Bad):
    """A number, but one that cannot be drawn."""


class Nothing(Exception):
    """The input is sound and holds no data for this picture: why, as a clause."""


# ---- reading ----

NUMBERS = {"": ("nodes", "iterations", "samples", "time_s", "late_receives", "staleness", "peak_units",
                "extrapolated_iterations"),
           "iteration_s": ("mean", "p50", "p95", "max"),
           "formula": ("T_A_s", "c_s", "bubble", "predicted_iteration_s", "observed_iteration_s", "ratio"),
           "energy_J": ("total",) + PARTS,
           "traffic": ("messages", "values", "payload_bytes", "wire_bytes", "max_node_bytes"),
           "memory_bytes": ("max_node", "total"),
           "final": ("loss", "accuracy"),
           "to_accuracy": ("target", "iterations", "time_s", "energy_J"),
           "predicted": ("T_A_s", "c_s", "iteration_s", "messages", "values", "payload_bytes",
                         "memory_bytes")}
TEXTS = ("label", "kind", "status", "error", "numerics", "energy_source", "weights_sha256")
# May be below 0: joules above an idle that was too high, clocks that are ahead.
SIGNED = ("bubble", "loss", "energy_J", "offset_s", "drift_ppm") + PARTS
LARGE = 1e30
CLOCK = ("offset_s", "wall_offset_s", "uncertainty_s", "drift_ppm", "drift_uncertainty_ppm")
POINT = ("iteration", "time_s", "energy_J", "loss", "accuracy")
NODE = ("rank", "busy_s", "comm_s", "idle_s", "energy_J", "bytes_sent", "bytes_received", "memory_bytes")


_read = []  # what has been read: nothing may be written over it


def open_input(path):
    opener = gzip.open if str(path).endswith(".gz") else open
    stream = opener(path, "rt", encoding="utf-8")
    _read.append(path)
    return stream


def is_input(path):
    return os.path.isfile(path) and any(os.path.isfile(one) and os.path.samefile(one, path) for one in _read)


def read_json(path):
    """The JSON in a file, with NaN and Infinity, which other programs write."""
    try:
        with open_input(path) as stream:
            return json.load(stream)
    except OSError as error:
        raise Bad(f"{path}: cannot be read: {error.strerror or error}") from None
    except RecursionError:
        raise Bad(f"{path}: nested too deeply for a result") from None
    except (EOFError, zlib.error, ValueError) as error:
        raise Bad(f"{path}: no JSON: {one_line(error)}") from None


def one_line(text):
    return " ".join(str(text).split())[:200]


def _number(where, value):
    if value is None:
        return
    shown = one_line(json.dumps(value))[:40]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Bad(f"{where}: a number or null is allowed, not {shown}")
    signed = where.endswith(SIGNED)
    if not (-LARGE if signed else 0) <= value <= LARGE:
        raise Odd(f"{where}: {'up to' if signed else '0 to'} {LARGE:g} is allowed, not {shown}")


def _typed(where, value, kind, name):
    if not isinstance(value, kind):
        raise Bad(f"{where}: {name} is allowed, not {one_line(json.dumps(value))[:40]}")


def _check_finite(where, value):
    """Nothing in there is NaN or infinite: names and parameters are shown as they are."""
    if isinstance(value, float) and not math.isfinite(value):
        raise Odd(f"{where}: {json.dumps(value)} is no JSON number")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        _check_finite(f"{where}[{key}]" if isinstance(value, list) else f"{where}.{key}", item)


def _check_list(where, run, key, fields):
    items = run.get(key)
    if items is None:
        return
    _typed(f"{where}.{key}", items, list, "an array")
    for i, item in enumerate(items):
        _typed(f"{where}.{key}[{i}]", item, dict, "an object")
        for field in fields:
            _number(f"{where}.{key}[{i}].{field}", item.get(field))


def _check_classes(where, final):
    """A square matrix: each class has as many counts as there are classes."""
    classes = final.get("classes")
    if classes is None:
        return
    _typed(where, classes, list, "an array")
    for i, item in enumerate(classes):
        at = f"{where}[{i}]"
        _typed(at, item, dict, "an object")
        if item.get("name") is not None:
            _typed(f"{at}.name", item["name"], str, "a string or null")
        for field in ("samples", "accuracy"):
            _number(f"{at}.{field}", item.get(field))
        counts = item.get("predicted")
        _typed(f"{at}.predicted", counts, list, "an array")
        if len(counts) != len(classes):
            raise Bad(f"{at}.predicted: {len(classes)} counts are allowed, one a class, not {len(counts)}")
        for k, count in enumerate(counts):
            _typed(f"{at}.predicted[{k}]", count, int, "a count")
            _number(f"{at}.predicted[{k}]", count)


def _check_run(where, run):
    _typed(where, run, dict, "an object")
    for key in TEXTS:
        if run.get(key) is not None:
            _typed(f"{where}.{key}", run[key], str, "a string or null")
    for key in ("label", "status", "nodes"):
        if run.get(key) is None:
            raise Bad(f"{where}: \"{key}\" is missing")
    for group, fields in NUMBERS.items():
        holder = run if group == "" else run.get(group)
        if holder is None:
            continue
        _typed(f"{where}.{group}", holder, dict, "an object or null")
        for field in fields:
            _number(f"{where}.{group}.{field}" if group else f"{where}.{field}", holder.get(field))
    for key in ("params", "sweep"):
        if run.get(key) is not None:
            _typed(f"{where}.{key}", run[key], dict, "an object")
    _check_classes(f"{where}.final.classes", run.get("final") or {})
    _check_list(where, run, "training", POINT)
    _check_list(where, run, "per_node", NODE)
    for i, node in enumerate(run.get("per_node") or ()):
        if node.get("clock") is not None:
            _typed(f"{where}.per_node[{i}].clock", node["clock"], dict, "an object or null")
            for field in CLOCK:
                _number(f"{where}.per_node[{i}].clock.{field}", node["clock"].get(field))
    _check_finite(where, run)


def _in_range(value):
    return abs(value) <= LARGE  # NaN is not


def _note_divergence(run):
    """A run that ended well but for its loss, which is no number (null, too, where there is an accuracy) or absurd,
    has diverged: files of before that status have such runs. What diverged weights tell right by chance is no
    accuracy."""
    final = run.get("final") if isinstance(run.get("final"), dict) else {}
    for point in [point for point in run.get("training") or () if isinstance(point, dict)] + [final]:
        loss = point.get("loss")
        known = isinstance(loss, (int, float)) and not isinstance(loss, bool)
        if (known and not _in_range(loss)) or (loss is None and point.get("accuracy") is not None):
            if run.get("status") == "ok" and run.get("numerics") == "real":
                text = f"{loss:.3g}" if known and not math.isnan(loss) else "not a number"
                date = f" at iteration {point['iteration']}" if point.get("iteration") is not None else ""
                run["status"], run["error"] = "diverged", one_line(f"the loss is {text}{date}")
            if run.get("status") == "diverged":
                point["loss"] = None
    if run.get("status") == "diverged":
        final["accuracy"] = None


def _read_run(path, i, run):
    """The run, as far as it can be used."""
    where = f"{path}: runs[{i}]"
    _typed(where, run, dict, "an object")
    try:
        if isinstance(run.get("training") or [], list):
            _note_divergence(run)
        _check_run(where, run)
        return run
    except Odd as reason:
        nodes = run["nodes"] if _in_range(run["nodes"]) and run["nodes"] > 0 else 0
        return {"label": run["label"], "kind": run.get("kind"), "status": "unreadable", "nodes": nodes,
                "error": str(reason).removeprefix(f"{path}: ")}


def load(paths):
    """A Result of all runs of the files."""
    files, runs = [], []
    for path in paths:
        root = read_json(path)
        if not isinstance(root, dict) or "schema" not in root:
            raise Bad(f"{path}: no result of ringsim or ringnode: \"schema\" is missing")
        if root["schema"] != SCHEMA:
            raise Bad(f"{path}: schema {one_line(json.dumps(root['schema']))[:60]}: "
                      f"\"{SCHEMA}\" is allowed")
        if root.get("world") not in ("sim", "posix", "mem"):
            raise Bad(f"{path}: world {one_line(json.dumps(root.get('world')))[:40]}: "
                      "sim, posix or mem is allowed")
        _typed(f"{path}: runs", root.get("runs"), list, "an array")
        if root.get("host") is not None:
            _typed(f"{path}: host", root["host"], dict, "an object")
        _check_finite(path, {key: value for key, value in root.items() if key != "runs"})
        root["runs"] = [_read_run(path, i, run) for i, run in enumerate(root["runs"])]
        root["path"] = path
        files.append(root)
        runs += [Run(run, root) for run in root["runs"]]
    if not runs:
        raise Bad(f"{', '.join(paths)}: no runs")
    if all(run.status == "unreadable" for run in runs):
        raise Bad(f"{files[0]['path']}: {runs[0].get('error')}")
    return Result(files, runs)


class Run:
    """One run. Every quantity is None where it is unknown."""

    def __init__(self, raw, root):
        self.raw = raw
        self.label, self.kind, self.status = raw["label"], raw.get("kind") or "", raw["status"]
        self.nodes = int(raw["nodes"])
        self.sweep = {key: str(value) for key, value in (raw.get("sweep") or {}).items()}
        if self.nodes == 0 and _resolve(self.sweep.get("nodes"), 0):  # one that could not run
            self.nodes = int(_resolve(self.sweep["nodes"], 0))
        self.world = root["world"]
        self.finished = self.status == "ok" and (raw.get("iterations") or 0) > 0

    def get(self, *path):
        value = self.raw
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def per(self, value, count):
        """value / count, None where either is unknown."""
        return value / count if value is not None and count else None

    @property
    def iteration_s(self):
        return self.get("iteration_s", "mean")

    @property
    def batch(self):
        """Samples of one update over all nodes."""
        declared = _resolve(self.sweep.get("batch"), self.nodes)
        return declared or self.per(self.get("samples"), self.get("iterations"))

    @property
    def sample_s(self):
        return self.per(self.iteration_s, self.batch)

    @property
    def rate(self):
        """Samples a second."""
        return self.per(self.batch, self.iteration_s)

    @property
    def iteration_bytes(self):
        return self.per(self.get("traffic", "payload_bytes"), self.get("iterations"))

    @property
    def memory(self):
        return self.get("memory_bytes", "max_node") or None

    @property
    def energy(self):
        return self.get("energy_J", "total")

    @property
    def sample_J(self):
        return self.per(self.energy, self.get("samples"))


def _resolve(text, nodes):
    """A sweep's value as a number: "32", and "2N" or "N/8" of the point's nodes. None: neither."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d*)N(?:/(\d+))?", text)
    if match:
        scaled = nodes * int(match[1] or 1)
        return max(1, scaled // int(match[2])) if match[2] and int(match[2]) else max(1, scaled)
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


class Result:
    """All runs of one or more files; the order of appearance is the order of drawing."""

    def __init__(self, files, runs):
        self.files, self.runs = files, runs
        self.worlds = sorted({run.world for run in runs})
        self.finished = [run for run in runs if run.finished]
        self.labels = list(dict.fromkeys(run.label for run in runs))
        self.all_labels = list(dict.fromkeys(run["label"] for file in files for run in file["runs"]))  # before only()
        self.series_of = {}  # run -> name

    @property
    def scenario(self):
        return ", ".join(dict.fromkeys(str(f.get("scenario") or "?") for f in self.files))

    @property
    def origin(self):
        """"simulated", "measured", or both."""
        return " and ".join(world_word(world) for world in self.worlds)

    @property
    def name(self):
        """For output files: the first file's name without its ending."""
        return os.path.splitext(os.path.basename(self.files[0]["path"]))[0] or "result"

    def series(self, run):
        """What a run's line is called: the label, the world where they are mixed, and the point of the
        sweep without what lines run over (nodes, batch), without seeds (seeds.py tells their spread) and
        without the strategies' own grids."""
        if run not in self.series_of:
            others = [f"{key}={run.sweep[key]}" for key in sorted(run.sweep)
                      if key not in ("nodes", "batch", "seed") and not self.is_grid(key)]
            if len(self.worlds) > 1:
                others.insert(0, world_word(run.world))
            self.series_of[run] = f"{run.label} ({', '.join(others)})" if others else run.label
        return self.series_of[run]

    def is_grid(self, key):
        """LABEL.PARAM: a parameter of one strategy, of which each takes its best."""
        return any(key.startswith(label + ".") for label in self.labels)

    def only(self, conditions):
        """The runs that meet every KEY=VALUE: label, kind, nodes, or a key of the sweep."""
        runs = self.runs
        for condition in conditions or ():
            key, sign, value = condition.partition("=")
            if not sign:
                raise Bad(f"--only {condition}: KEY=VALUE is allowed")
            fixed = {"label": lambda run: run.label, "kind": lambda run: run.kind,
                     "nodes": lambda run: str(run.nodes)}.get(key, lambda run: run.sweep.get(key))
            allowed = list(dict.fromkeys(str(fixed(run)) for run in runs if fixed(run) is not None))
            runs = [run for run in runs if fixed(run) == value]
            if not runs:
                raise Bad(f"--only {condition}: no run; there are "
                          + (one_line(", ".join(allowed)) or f"none with {key}"))
        return Result(self.files, runs) if conditions else self

    @property
    def names(self):
        """All series, in order of appearance."""
        return list(dict.fromkeys(self.series(run) for run in self.runs))

    def notes(self):
        """What a picture does not show: points without figures, and seeds but one."""
        seeds = {run.sweep["seed"] for run in self.finished if "seed" in run.sweep}
        one = [f"of {len(seeds)} seeds the fastest run is drawn; seeds.py has means and deviations"]
        return self.unfinished() + (one if len(seeds) > 1 else [])

    def unfinished(self):
        """A sentence for each series and reason: which points have no figures, and why."""
        points = {}
        for run in self.runs:
            if not run.finished:
                points.setdefault((self.series(run), run.status), []).append(run)
        sentences = []
        for (name, status), runs in points.items():
            good = {run.nodes for run in self.finished if self.series(run) == name}
            lost = {run.nodes for run in runs}
            some = f"{len(runs)} of its runs " if status in TOLD and lost & good else ""
            lost = sorted(lost if status in TOLD else lost - good)
            if lost:
                word = STATUS_WORDS.get(status, status)
                reason = one_line(runs[0].get("error") or "")
                plural = "s" if lost[-1] > 1 else ""
                sentences.append(f"{name}: {some}{word} at {', '.join(map(str, lost))} node{plural}"
                                 + (f" ({reason})" if reason else ""))
        return sentences

    def diverged(self):
        """[(run, word)]: the first diverged run of each series, and what is said in place of its line, with its nodes
        where others of the series finished."""
        runs = {}
        for run in self.runs:
            if run.status == "diverged":
                runs.setdefault(self.series(run), []).append(run)
        drawn = {self.series(run) for run in self.finished}
        return [(group[0], "diverged" + (
            " at " + ", ".join(map(str, sorted({run.nodes for run in group}))) if name in drawn else ""))
            for name, group in runs.items()]


def world_word(world):
    return {"sim": "simulated", "posix": "measured"}.get(str(world), "run in memory")


def energy_word(runs):
    """Where joules come from, or why there are none."""
    sources = {run.get("energy_source") or "none" for run in runs if run.energy is not None}
    if not sources:
        measured = any(run.world == "posix" for run in runs)
        return "energy: not " + ("measured" if measured else "modelled")
    return "energy: " + ", ".join("modelled" if s == "model" else f"measured ({s})" for s in sorted(sources))


def clock_word(runs):
    """How well dates of different nodes can be compared; None: they have one clock, or nothing is said."""
    clocks = [node["clock"] for run in runs for node in run.get("per_node") or () if node.get("clock")]
    if not clocks:
        return None
    bounds = [clock.get("uncertainty_s") for clock in clocks]
    if None in bounds:
        return "not compared on every node"
    return f"known to within {si(max(bounds), 's')} of node 0's"


def best_of_grid(result, runs, by_batch=False):
    """For each series and number of nodes (and batch) the run with the least time a sample, in order
    of appearance. Ties: the first."""
    best = {}
    for run in runs:
        if not run.finished:
            continue
        key = (result.series(run), run.nodes, run.batch if by_batch else None)
        cost = run.sample_s if run.sample_s is not None else math.inf
        if key not in best or cost < best[key][0]:
            best[key] = (cost, run)
    return [run for _, run in best.values()]


def one_a_strategy(result, nodes=None):
    """The best run of each series at one number of nodes and one batch, for pictures that compare
    strategies without an axis of nodes: `nodes`, else the largest number that as many series have as
    any, and the batch that most series have there; a single board is always among them. Without a sweep
    over them: whatever ran."""
    runs = result.finished
    if nodes is not None:
        at = [run for run in runs if run.nodes == nodes]
        runs = _with_single(at, runs)
        if not at:
            counts = sorted({run.nodes for run in result.finished})
            raise Nothing(f"no finished run on {nodes} nodes: there are "
                          + (", ".join(map(str, counts)) or "none"))
    for key in ("nodes", "batch"):
        if any(key in run.sweep for run in runs):
            runs = _commonest(result, runs, key)
    return best_of_grid(result, runs)


def _commonest(result, runs, key):
    """The runs at the value of `key` that most series have; ties: the largest."""
    names = {}
    for run in runs:
        names.setdefault(getattr(run, key), set()).add(result.series(run))
    chosen = max(names, key=lambda value: (len(names[value]), value or 0))
    at = [run for run in runs if getattr(run, key) == chosen]
    return _with_single(at, runs) if key == "nodes" else at


def _with_single(chosen, runs):
    """With the runs of one board, which a sweep over nodes leaves at one."""
    return [run for run in runs if run in chosen or run.kind == "single"]


def _by_series(result, runs):
    groups = {}
    for run in runs:
        groups.setdefault(result.series(run), []).append(run)
    return groups


# ---- strong and weak scaling ----

def clusters(values, tolerance=0.05):
    """The groups of nearly equal numbers: a list of (lowest, highest). Epochs that end on a part of a
    batch make samples / iterations a little less than the batch."""
    groups = []
    for value in sorted(values):
        if groups and value <= groups[-1][0] * (1 + tolerance):
            groups[-1] = (groups[-1][0], value)
        else:
            groups.append((value, value))
    return groups


def _lines(result, runs, quantity, wanted):
    """Lines over nodes along which quantity(run) is constant: [(name, constant, best runs)]."""
    lines = []
    for name, group in _by_series(result, runs).items():
        for low, high in clusters([quantity(run) for run in group]):
            line = [run for run in group if low <= quantity(run) <= high]
            if len({run.nodes for run in line}) > 1 and wanted(line):
                best = sorted(best_of_grid(result, line), key=lambda run: run.nodes)
                lines.append((name, high, best))
    return lines


def scaling_lines(result):
    """{"strong": lines, "weak": lines, "mixed": lines}: with one global batch, with a batch that grows
    with the nodes, and neither. A product of batches and nodes is many strong lines, no weak one: a
    weak line needs a point that no strong line has, and the sweep may say it outright (batch "16N")."""
    runs = [run for run in result.finished if run.nodes and run.batch and run.iteration_s]
    declared = [run for run in runs if "N" in run.sweep.get("batch", "")]
    fixed = [run for run in runs if run not in declared]
    strong = _lines(result, fixed, lambda run: run.batch, lambda line: True)
    taken = {id(run) for run in runs if any(name == result.series(run) and abs(run.batch / batch - 1) < 0.05
                                            for name, batch, _ in strong)}
    weak = _lines(result, declared + fixed, lambda run: run.batch / run.nodes,
                  lambda line: any(id(run) not in taken or run in declared for run in line))
    mixed = []
    drawn = {name for name, _, _ in strong + weak}
    for name, group in _by_series(result, runs).items():
        if name not in drawn and len({run.nodes for run in group}) > 1:
            mixed.append((name, None, sorted(best_of_grid(result, group), key=lambda run: run.nodes)))
    return {"strong": strong, "weak": weak, "mixed": mixed}


# ---- numbers for people ----

def si(value, unit, digits=3):
    """1234.5, "J" -> "1.23 kJ"; None -> "-"."""
    if value is None:
        return "-"
    if value == 0:
        return f"0 {unit}".strip()
    prefixes = {-9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
    if unit == "":
        prefixes = {0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
    if unit == "B":
        prefixes = {k: p for k, p in prefixes.items() if k >= 0}
    if unit == "s":
        prefixes = {k: p for k, p in prefixes.items() if k <= 0}
    rounded = float(f"{abs(value):.{digits}g}")
    power = min(max(3 * math.floor(math.log10(rounded) / 3), min(prefixes)), max(prefixes))
    scaled = rounded / 10.0 ** power
    text = f"{scaled:.{digits}g}" if scaled < 1000 else f"{abs(value) / 10.0 ** power:.0f}"
    return f"{'-' if value < 0 else ''}{text} {prefixes[power]}{unit}".strip()


def tick(value, unit):
    """As si, for an axis: no trailing zeros."""
    return si(value, unit, 4)


def percent(value):
    return "-" if value is None else f"{100 * value:.1f} %"


def plain(value, digits=3):
    return "-" if value is None else f"{value:.{digits}f}"
