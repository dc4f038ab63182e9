"""Two timelines of one strategy, simulated and measured, event by event: where they part first.

The events of a node are taken in order, strand by strand, and its messages peer by peer; what is compared are
kind, unit (and tag) and the dates at which events begin and end, counted from the begin of the iteration in
which the simulation has the event. Waits are no events: a world may wait in one piece or in many.
"""

import math
import re

import numpy

from ringresult import Bad, one_line, si

WAITS = ("wait",)


class Tolerance:
    """How far dates may differ: a share of the simulated iteration, or seconds."""

    UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}

    def __init__(self, text):
        match = re.fullmatch(r"(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)\s*(%|s|ms|us|µs|)", text.strip())
        if not match or not math.isfinite(float(match[1])):
            raise Bad(f"--tolerance {text}: a share of the iteration (5%) or a time (200us, 1ms, 0.5s) is allowed")
        self.share = float(match[1]) / 100 if match[2] == "%" else None
        self.fixed = None if match[2] == "%" else float(match[1]) * self.UNITS[match[2]]

    def seconds(self, iteration_s):
        return self.fixed if self.share is None else self.share * iteration_s


class Side:
    """The timeline of one world: its lanes, and the dates at which its iterations begin."""

    def __init__(self, process):
        self.process = process
        kinds = process.kinds
        self.lanes = {}  # (rank, "strand" or "to", which) -> events in order of their begin
        for i, begin in enumerate(process.begin):
            if kinds[process.kind[i]] in WAITS:
                continue
            what = ("to", process.peer[i]) if process.peer[i] >= 0 else \
                ("strand", process.strands.get(process.row[i], 0))
            self.lanes.setdefault((process.rank[i], *what), []).append(i)
        for lane in self.lanes.values():
            lane.sort(key=lambda i: process.begin[i])  # stable: of one date, as recorded
        ends = process.iteration_ends()
        start = min((process.begin[lane[0]] for lane in self.lanes.values()), default=0.0)
        self.begins = numpy.array([start] + ends)
        self.iterations = max(1, len(ends))

    def key(self, i):
        p = self.process
        return p.kinds[p.kind[i]], p.unit[i], p.tag[i]

    def name(self, i):
        p = self.process
        return f"{p.kinds[p.kind[i]]} {p.unit[i]}" if p.unit[i] >= 0 else p.kinds[p.kind[i]]

    @property
    def iteration_s(self):
        """Mean interval between the ends of iterations."""
        if len(self.begins) > 2:
            return float(self.begins[-1] - self.begins[1]) / (len(self.begins) - 2)
        return float(max(self.process.end, default=0.0) - self.begins[0])


class Parting:
    """A place where the timelines part. what: "begins" or "ends" (dates differ), "order" or "missing".
    iteration: from 1 on; simulated, measured: (event, date after the iteration's begin), None: no such event."""

    def __init__(self, what, rank, iteration, simulated, measured, date):
        self.what, self.rank, self.iteration = what, rank, iteration
        self.simulated, self.measured, self.date = simulated, measured, date

    @property
    def difference_s(self):
        return self.simulated[1] - self.measured[1] if self.what in ("begins", "ends") else None

    def text(self):
        where = f"iteration {self.iteration}, node {self.rank}: "
        if self.difference_s is not None:
            sign = "+" if self.difference_s > 0 else ""
            return where + (f"{self.simulated[0]} {self.what} {si(self.simulated[1], 's')} after the iteration's begin "
                            f"simulated, {si(self.measured[1], 's')} measured ({sign}{si(self.difference_s, 's')})")
        shown = [f"{event[0]} at {si(event[1], 's')}" if event else "nothing more"
                 for event in (self.simulated, self.measured)]
        return where + f"the order differs: {shown[0]} simulated, {shown[1]} measured"


class Alignment:
    """One strategy in both worlds. partings: the first of each node that has one, {rank: Parting}."""

    def __init__(self, simulated, measured, tolerance, warm_up=None, dropped=False, clock_s=None):
        self.label = simulated.label
        self.sides = Side(simulated), Side(measured)
        least = min(side.iterations for side in self.sides)
        self.warm_up = min(1 if least > 2 else 0, least) if warm_up is None else warm_up
        self.tolerance_s = tolerance.seconds(self.sides[0].iteration_s)
        self.compared = self.within = 0  # dates
        self.dropped = dropped
        self.clock_s = clock_s  # of measured dates on different nodes; None: unknown
        self.largest = None  # the Parting with the largest difference, beyond the tolerance or not
        self.partings = {}
        for key in sorted(set(self.sides[0].lanes) | set(self.sides[1].lanes)):
            self._lane(key[0], *(side.lanes.get(key, []) for side in self.sides))

    @property
    def first(self):
        return min(self.partings.values(), key=lambda parting: (parting.date, parting.rank), default=None)

    def _lane(self, rank, a, b):
        same = 0
        while same < min(len(a), len(b)) and self.sides[0].key(a[same]) == self.sides[1].key(b[same]):
            same += 1
        if same:
            self._dates(rank, a[:same], b[:same])
        # The tail of a trace whose limit was reached is missing, not different.
        if same < max(len(a), len(b)) and not (self.dropped and same == min(len(a), len(b))):
            self._order(rank, a[same] if same < len(a) else None, b[same] if same < len(b) else None)

    def _iterations(self, begins, side):
        """In which iteration dates lie, as a place in the begins of both sides."""
        found = numpy.searchsorted(self.sides[side].begins, begins + 1e-12, side="right") - 1
        return numpy.clip(found, 0, min(len(s.begins) for s in self.sides) - 1)

    def _dates(self, rank, a, b):
        columns = [[numpy.array([column[i] for i in lane]) for column in (side.process.begin, side.process.end)]
                   for side, lane in zip(self.sides, (a, b))]
        places = self._iterations(columns[0][0], 0)
        kept = places >= self.warm_up
        after = [[column - side.begins[places] for column in pair] for side, pair in zip(self.sides, columns)]
        for which, what in enumerate(("begins", "ends")):
            off = numpy.where(kept, numpy.abs(after[0][which] - after[1][which]), 0.0)
            beyond = off > self.tolerance_s
            self.compared += int(numpy.sum(kept))
            self.within += int(numpy.sum(kept & ~beyond))

            def parting(i):
                names = self.sides[0].name(a[i])
                return Parting(what, rank, int(places[i]) + 1, (names, float(after[0][which][i])),
                               (names, float(after[1][which][i])), float(columns[0][which][i]))

            if len(off):
                largest = parting(int(numpy.argmax(off)))
                if self.largest is None or abs(largest.difference_s) > abs(self.largest.difference_s):
                    self.largest = largest
            if beyond.any():
                self._keep(parting(int(numpy.argmax(beyond))))

    def _order(self, rank, i, j):
        side, at = (0, i) if i is not None else (1, j)
        place = int(self._iterations(numpy.array([self.sides[side].process.begin[at]]), side)[0])
        shown = [None if at is None else (side.name(at), float(side.process.begin[at] - side.begins[place]))
                 for side, at in zip(self.sides, (i, j))]
        date = (shown[0] or shown[1])[1] + float(self.sides[0].begins[place])
        self._keep(Parting("order" if None not in shown else "missing", rank, place + 1, *shown, date))

    def _keep(self, parting):
        kept = self.partings.get(parting.rank)
        if kept is None or parting.date < kept.date:
            self.partings[parting.rank] = parting

    def text(self):
        """One line for people."""
        tolerance = f"tolerance {si(self.tolerance_s, 's')}"
        count = f"{self.within} of {self.compared} dates within it"
        if self.warm_up:
            count += f", {self.warm_up} iteration{'s' if self.warm_up > 1 else ''} of warm-up left out"
        if self.clock_s is not None and self.clock_s > self.tolerance_s:
            count += f"; the nodes' clocks are known to within {si(self.clock_s, 's')} only"
        if self.first:
            return f"{self.label}: part in {self.first.text()}; {tolerance}, {count}"
        largest = f", the largest difference {si(abs(self.largest.difference_s), 's')}" if self.largest else ""
        return f"{self.label}: do not part; {tolerance}, {count}{largest}"


def align(simulated, measured, tolerance, warm_up=None):
    """[Alignment] of all strategies that both Traces have, and the labels that only one has."""
    for trace, world in ((simulated, "sim"), (measured, "posix")):
        if trace.world != world:
            raise Bad(f"{trace.path}: a trace of world {trace.world}: --traces SIM.trace REAL.trace wants {world} here")
    if simulated.scenario != measured.scenario:
        raise Bad(f"{simulated.path} and {measured.path} are traces of different scenarios: {simulated.scenario}, "
                  f"{measured.scenario}")
    for trace in (simulated, measured):
        twice = [label for label in trace.labels if trace.labels.count(label) > 1]
        if twice:
            raise Bad(f"{trace.path}: \"{twice[0]}\" is there {trace.labels.count(twice[0])} times (a sweep?): one run "
                      "a strategy is allowed")
    others = {process.label: process for process in measured.processes}
    dropped = bool(simulated.dropped or measured.dropped)
    found = [Alignment(process, others[process.label], tolerance, warm_up, dropped, measured.clock_s)
             for process in simulated.processes if process.label in others]
    if not found:
        raise Bad(f"{simulated.path} and {measured.path} have no strategy in common")
    alone = [(word, label) for word, mine, theirs in (("simulated", simulated, measured),
                                                      ("measured", measured, simulated))
             for label in mine.labels if label not in theirs.labels]
    return found, alone
