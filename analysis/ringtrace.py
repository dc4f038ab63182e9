"""Timelines of ringsim and ringnode (--trace: the Chrome trace format), read as a stream.

Traces are large (a hundred megabytes is common): events are decoded one by one and kept as columns of
numbers. A process is a strategy; its rows are "RANK HOST", "RANK HOST strand K" and "RANK HOST sends".
Counter events named "power" hold the watts of a node from their date on.
"""

import json
import re
import zlib
from array import array

from ringresult import Bad, one_line, open_input

CHUNK = 1 << 20  # characters read at once
EVENT = 1 << 16  # longer ones are taken for damage
OPENING = re.compile(r'"traceEvents"\s*:\s*\[')


class Process:
    """The events of one strategy. Dates in seconds. spans: rank, kind, begin, end, peer, unit, tag, row,
    in columns; kind indexes `kinds` ("F", "B", "wait", ... or "to" for a message to peer); tag of messages,
    else -1."""

    def __init__(self):
        self.label = None
        self.rank, self.kind, self.peer, self.unit = array("i"), array("H"), array("i"), array("q")
        self.tag, self.row = array("q"), array("q")
        self.begin, self.end = array("d"), array("d")
        self.kinds = []
        self.marks = []  # (rank, date) at which an iteration ended
        self.power = {}  # rank -> [(date, W)]
        self.rows = {}  # tid -> rank
        self.strands = {}  # tid -> strand of that node
        self.kind_index = {}

    def add(self, rank, name, begin, end, peer, tag=-1, row=0):
        match = re.fullmatch(r"(.*\S) (-?\d{1,15})", name)
        kind, unit = (match[1], int(match[2])) if match else (name, -1)
        if kind not in self.kind_index:
            if len(self.kinds) > 1000:
                kind = "other"
            self.kind_index.setdefault(kind, len(self.kinds))
            if self.kind_index[kind] == len(self.kinds):
                self.kinds.append(kind)
        self.rank.append(rank)
        self.kind.append(self.kind_index[kind])
        self.unit.append(unit)
        self.begin.append(begin)
        self.end.append(end)
        self.peer.append(peer)
        self.tag.append(tag)
        self.row.append(row)

    @property
    def last(self):
        return max(self.end, default=0.0)

    @property
    def ranks(self):
        return sorted(set(self.rows.values()) | set(self.power))

    def iteration_ends(self):
        """Dates at which one node's iterations end: its marks, else its parameter updates."""
        if self.marks:
            first = min(rank for rank, _ in self.marks)
            return sorted(date for rank, date in self.marks if rank == first)
        step = self.kind_index.get("step")
        ends = {}
        for i, kind in enumerate(self.kind):
            if kind == step:
                ends.setdefault(self.rank[i], {})[self.unit[i]] = self.end[i]
        return sorted(ends[min(ends)].values()) if ends else []


class Trace:
    def __init__(self, path, processes, other):
        self.path, self.processes = path, processes
        self.world, self.scenario = other.get("world"), str(other.get("scenario") or "?")
        self.dropped = other.get("dropped_events") or 0
        clock_s = other.get("clock_uncertainty_s")  # of dates of different nodes; None: one clock, or unknown
        self.clock_s = float(clock_s) if isinstance(clock_s, (int, float)) else None

    @property
    def labels(self):
        return [p.label for p in self.processes]


def load(path):
    """The Trace in a file; Bad with one line when it is none."""
    processes = {}
    try:
        with open_input(path) as stream:
            reader = _Reader(stream)
            for event in reader.events():
                _take(processes, event)
            other = reader.rest().get("otherData")
    except OSError as error:
        raise Bad(f"{path}: cannot be read: {error.strerror or error}") from None
    except (EOFError, zlib.error, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise Bad(f"{path}: no trace of ringsim or ringnode: {one_line(error) or 'malformed'}") from None
    kept = [p for p in processes.values() if p.label is not None and (p.begin or p.power)]
    if not kept:
        raise Bad(f"{path}: no strategy with events")
    return Trace(path, kept, other if isinstance(other, dict) else {})


class _Reader:
    """{"...": ..., "traceEvents": [EVENT, ...], "...": ...}: the events one by one, then the rest."""

    def __init__(self, stream):
        self.stream, self.text, self.at, self.head = stream, "", 0, ""

    def more(self):
        chunk = self.stream.read(CHUNK)
        self.text, self.at = self.text[self.at:] + chunk, 0
        return bool(chunk)

    def events(self):
        while not (opening := OPENING.search(self.text)):
            if len(self.text) > 16 * EVENT or not self.more():
                raise ValueError('"traceEvents" is missing')
        self.head, self.at = self.text[:opening.start()], opening.end()
        decode = json.JSONDecoder().raw_decode
        skip = re.compile(r"[\s,]*").match
        while True:
            self.at = skip(self.text, self.at).end()
            if self.at == len(self.text):
                if not self.more():
                    raise ValueError("truncated")
                continue
            if self.text[self.at] == "]":
                self.at += 1
                return
            try:
                event, self.at = decode(self.text, self.at)
            except ValueError:
                if len(self.text) - self.at > EVENT or not self.more():
                    raise
                continue
            yield event

    def rest(self):
        return json.loads(self.head + '"traceEvents": []' + self.text[self.at:] + self.stream.read())


def _leading_number(text):
    match = re.match(r"\d{1,9}", str(text))
    return int(match[0]) if match else None


def _power_rank(process, event):
    """Whose counter it is: named in args, by the row's tid, or by a number in the id or name."""
    rank = event["args"].get("rank", process.rows.get(event.get("tid")))
    if rank is None:
        rank = _leading_number(re.sub(r"^\D*", "", str(event.get("id", event["name"]))))
    return int(event.get("tid", 0) if rank is None else rank)


def _take(processes, event):
    phase, process = event["ph"], processes.setdefault(event["pid"], Process())
    if phase == "X":
        rank = process.rows.get(event["tid"])
        if rank is not None:
            begin = float(event["ts"]) * 1e-6
            peer = int(event["args"]["to"]) if "args" in event and "to" in event["args"] else -1
            tag = int(event["args"].get("tag", -1)) if peer >= 0 else -1
            process.add(rank, event["name"], begin, begin + float(event["dur"]) * 1e-6, peer, tag, event["tid"])
    elif phase == "M" and event["name"] == "process_name":
        process.label = str(event["args"]["name"])
    elif phase == "M" and event["name"] == "thread_name":
        rank = _leading_number(event["args"]["name"])
        if rank is not None:
            process.rows[event["tid"]] = rank
            strand = re.search(r" strand (\d{1,4})$", str(event["args"]["name"]))
            process.strands[event["tid"]] = int(strand[1]) if strand else 0
    elif phase in "iI" and event["name"].startswith("iteration"):
        process.marks.append((process.rows.get(event["tid"], 0), float(event["ts"]) * 1e-6))
    elif phase == "C" and event["name"].startswith("power"):
        watts = event["args"].get("W")
        if watts is not None:
            process.power.setdefault(_power_rank(process, event), []).append(
                (float(event["ts"]) * 1e-6, float(watts)))
