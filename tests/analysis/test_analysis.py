"""Tests of analysis/: bad input is refused by name, every script draws from what ringsim writes and from
generated sweeps, the page is whole, its own, and the same bytes each time.

RG_RINGSIM names the simulator; without it real results are left out. Exit status 77: matplotlib is absent.
"""

import contextlib
import copy
import gzip
import html.parser
import io
import json
import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ANALYSIS = os.path.join(SOURCE, "analysis")
INPUTS = os.path.join(os.path.dirname(SOURCE), "shared", "inputs")
RINGSIM = os.environ.get("RG_RINGSIM")
sys.path.insert(0, ANALYSIS)

try:
    import matplotlib  # noqa: F401
    import numpy  # noqa: F401
except ImportError as missing:
    print(f"skipped: {missing}; Debian's python3-matplotlib and python3-numpy are needed")
    sys.exit(77)

import accuracy
import energy
import formula
import generate
import losses
import report
import ringplot
import ringresult
import ringtrace
import scaling
import seeds
import timeline

SCRIPTS = {"scaling": scaling, "formula": formula, "timeline": timeline, "energy": energy, "accuracy": accuracy,
           "losses": losses, "report": report}


class Case(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = holder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, value):
        return generate.write(self.path(name), value)

    def run_main(self, module, *args):
        """(exit status, standard output, standard error) of a script's main."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = module.main(list(args))
        return status, out.getvalue(), err.getvalue()

    def draws(self, module, *args, names=("",)):
        status, out, err = self.run_main(module, *args, "-o", self.path("out"))
        self.assertEqual((status, err), (0, ""))
        for name in names:
            self.check_png(self.path(f"out{name}.png"))
            self.check_svg(self.path(f"out{name}.svg"))
            self.assertIn(self.path(f"out{name}.png"), out)
        return out

    def check_png(self, path):
        with open(path, "rb") as stream:
            head = stream.read(24)
        self.assertEqual(head[:8], b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", head[16:])
        self.assertGreater(min(width, height), 150)

    def check_svg(self, path):
        root = ElementTree.parse(path).getroot()
        self.assertTrue(root.tag.endswith("svg"))
        self.assertGreater(len(list(root.iter())), 30)

    def refused(self, module, *args, says):
        status, out, err = self.run_main(module, *args)
        self.assertEqual((status, out), (2, ""), err)
        self.assertEqual(err.count("\n"), 1, err)
        for text in says:
            self.assertIn(text, err)
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith("out")], [])

    def contains(self, text, *phrases):
        for phrase in phrases:
            self.assertTrue(phrase in text, phrase)  # assertIn would print the page

    def page(self, *args):
        status, out, err = self.run_main(report, *args, "-o", self.path("page.html"))
        self.assertEqual((status, err), (0, ""))
        with open(self.path("page.html"), encoding="utf-8") as stream:
            text = stream.read()
        page = Page(text)
        self.assertEqual((page.faults, page.open), ([], []))
        self.assertEqual(page.sections[:6], ["runs", "scaling", "formula", "energy", "accuracy", "timeline"])
        self.assertEqual(page.sections[-1], "facts")
        self.assertEqual(len(page.ids), len(set(page.ids)))
        inner = {"#" + name for name in page.ids}
        for reference in page.references:
            self.assertTrue(reference in inner or reference.startswith("data:"), reference)
        for reference in re.findall(r"url\(([^)]*)\)", text):
            self.assertIn(reference, inner)
        self.assertEqual(re.findall(r"https?://|<script|<link|@import", text), [])
        self.contains(text, 'name="viewport"')
        return text, page


class BadInput(Case):
    def test_results(self):
        good = generate.result([generate.run("ring", "ring_pipeline", 4, 64, 0.1, 0.02, 0.12)])

        def with_run(**changes):
            bad = copy.deepcopy(good)
            bad["runs"][0].update(changes)
            return json.dumps(bad)

        cases = {
            "empty": ("", "no JSON"),
            "cut": (json.dumps(good)[:300], "no JSON"),
            "list": ("[]", "schema"),
            "other": ('{"schema": "x"}', "ringtmp-result-1"),
            "deep": ("[" * 100000, "nested"),
            "world": (json.dumps(dict(good, world="moon")), "world"),
            "none": (json.dumps(dict(good, runs=[])), "no runs"),
            "runs": (json.dumps(dict(good, runs={})), "runs"),
            "run": (json.dumps(dict(good, runs=[3])), "runs[0]"),
            "label": (with_run(label=None), "label"),
            "time": (with_run(time_s="fast"), "runs[0].time_s"),
            "nan": (with_run(time_s=float("nan")), "NaN"),
            "huge": (with_run(time_s=7654321).replace("7654321", "1e999"), "time_s"),
            "below": (with_run(iterations=-1), "iterations"),
            "flag": (with_run(samples=True), "samples"),
            "energy": (with_run(energy_J={"total": "much"}), "energy_J.total"),
            "formula": (with_run(formula=[1]), "formula"),
            "points": (with_run(training=[{"accuracy": "x"}]), "training[0].accuracy"),
            "nodes": (with_run(per_node=[1]), "per_node[0]"),
            "clock": (with_run(per_node=[{"clock": 3}]), "per_node[0].clock"),
            "offset": (with_run(per_node=[{"clock": {"offset_s": "x"}}]), "clock.offset_s"),
            "uncertainty": (with_run(per_node=[{"clock": {"uncertainty_s": -1}}]), "clock.uncertainty_s"),
            "sweep": (with_run(sweep=[]), "sweep"),
        }
        for name, (text, word) in cases.items():
            path = self.path(name + ".json")
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text)
            for module in (scaling, report):
                with self.subTest(name, script=module.__name__):
                    self.refused(module, path, "-o", self.path("out"), says=[path, word])
        binary = self.path("binary")
        with open(binary, "wb") as stream:
            stream.write(b"\xff\xfe\x00")
        self.refused(formula, binary, says=["binary"])
        self.refused(energy, self.path("absent.json"), says=["absent.json", "cannot be read"])
        self.refused(accuracy, self.folder, says=[self.folder])

    def test_nothing_to_draw(self):
        run = generate.run("ring", "ring_pipeline", 4, 64, 0.1, 0.02, 0.12, training=[], formula=None,
                           energy_J=dict.fromkeys(("total",) + ringresult.PARTS), energy_source="none")
        path = self.write("plain.json", generate.result([run]))
        for module, word in ((scaling, "two or more"), (formula, "c_s"), (energy, "not modelled"),
                             (accuracy, "evaluated")):
            self.refused(module, path, "-o", self.path("out"), says=["plain.json", word])
        self.refused(energy, self.write("s.json", generate.scaling((4, 8))), "--nodes", "5", says=["4, 8"])

    def test_traces(self):
        good = generate.trace()
        bad_date = copy.deepcopy(good)
        bad_date["traceEvents"][-1]["ts"] = "soon"
        for name, text, word in (("empty", "", "traceEvents"), ("cut", json.dumps(good)[:4000], "no trace"),
                                 ("none", '{"traceEvents": []}', "no strategy"),
                                 ("date", json.dumps(bad_date), "no trace"),
                                 ("rest", json.dumps(good)[:-1], "no trace"),
                                 ("event", '{"traceEvents": [1]}', "no trace")):
            path = self.path(name + ".trace")
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text)
            with self.subTest(name):
                self.refused(timeline, path, "-o", self.path("out"), says=[path, word])
        path = self.write("good.trace", good)
        self.refused(timeline, path, "--strategy", "x", says=["ring"])
        self.refused(timeline, path, "--from", "9", "--to", "10", says=["window"])
        self.refused(timeline, path, "--nodes", "3-1", says=["3-1"])
        self.refused(timeline, path, "--nodes", "77", says=["0 to 3"])

    def test_no_place_to_write(self):
        path = self.write("s.json", generate.scaling((4, 8), ("64",)))
        self.refused(scaling, path, "-o", self.path("absent/out"), says=["cannot be written"])
        full = self.path("full.png")  # a device through a link: written to, not replaced
        os.symlink("/dev/full", full)
        self.refused(scaling, path, "-o", full, says=["No space left on device"])
        self.assertTrue(os.path.islink(full))

    def test_how_it_is_written(self):
        """No name that was there is opened, a link is replaced; the mode is a new file's; no rest is left."""
        victim = self.write("victim", "mine")
        os.symlink(victim, self.path("page.html"))
        os.symlink(victim, self.path(f"page.html.{os.getpid()}.part"))
        ringplot.write_file(self.path("page.html"), b"page")
        mask = os.umask(0o027)
        self.addCleanup(os.umask, mask)
        ringplot.write_file(self.path("other.html"), b"other")
        self.assertEqual(os.stat(self.path("other.html")).st_mode & 0o777, 0o640)
        with open(victim, encoding="utf-8") as stream:
            self.assertEqual(stream.read(), '"mine"')
        self.assertFalse(os.path.islink(self.path("page.html")))
        os.mkdir(self.path("folder.html"))
        for place in ("folder.html", "absent/page.html", "x" * 300):
            with self.assertRaises(ringresult.Bad):
                ringplot.write_file(self.path(place), b"page")
        self.assertEqual(sorted(os.listdir(self.folder)), ["folder.html", "other.html", "page.html",
                                                           f"page.html.{os.getpid()}.part", "victim"])

    def test_command_line(self):
        """As a user runs them: help with examples, exit statuses, no trace of Python in complaints."""
        for name in SCRIPTS:
            script = os.path.join(ANALYSIS, name + ".py")
            self.assertTrue(os.access(script, os.X_OK), script)
        script = os.path.join(ANALYSIS, "report.py")
        help_text = subprocess.run([sys.executable, "-B", script, "--help"], capture_output=True, text=True)
        self.assertEqual(help_text.returncode, 0)
        self.assertIn("examples:\n  ringsim", help_text.stdout)
        bad = subprocess.run([sys.executable, "-B", script, self.path("absent.json")], capture_output=True, text=True)
        self.assertEqual((bad.returncode, bad.stderr.count("\n")), (2, 1))
        self.assertTrue(bad.stderr.startswith("report.py: "), bad.stderr)


def look_of(handle):
    """What tells a legend's line from others, but for its style, which the points of a sweep have their own of."""
    return (handle.get_color(), handle.get_marker())


def legend_of(picture):
    """{name: look} of the lines in a picture's legends; and their order."""
    entries = picture.legend + [entry for panel in picture.panels for entry in panel.legend]
    return {name: look_of(handle) for handle, name in entries if hasattr(handle, "get_marker")}


class LooksOfStrategies(Case):
    """One colour, marker and place a strategy, in all pictures of a page."""

    LABELS = ("single", "ring", "server", "no-overlap", "all-reduce")

    def runs(self, counts=(4, 8), batches=(64,), **other):
        """In another order each time, and `single`, which communicates nothing, first."""
        made = [generate.run("single", "single", 1, batch, 0.4, 0, 0.4, formula=None,
                             sweep={"nodes": str(n), "batch": str(batch)}) for n in counts for batch in batches]
        for i, n in enumerate(counts):
            order = self.LABELS[1:] if i % 2 == 0 else self.LABELS[:0:-1]
            made += [generate.run(label, "ring_pipeline", n, batch, 0.4 / n, 0.1, 0.5 / n + 0.01 * k,
                                  sweep={"nodes": str(n), "batch": str(batch)}, **other)
                     for k, label in enumerate(order) for batch in batches]
        return made

    def load(self, value, name="r.json"):
        return ringresult.load([self.write(name, value)])

    def strategy(self, name):
        return next((label for label in self.LABELS if re.match(rf"{label}($|[ ,:])", name)), None)

    def check(self, result, shown):
        """Every picture has the same looks and order; `shown`: how many of them show lines."""
        looks, pictures = {}, 0
        for module in (scaling, formula, accuracy):
            drawn = []
            with contextlib.suppress(ringresult.Nothing):  # of one number of nodes there is no scaling
                drawn = module.pictures(result)
            for picture in drawn:
                legend = {name: look for name, look in legend_of(picture).items() if self.strategy(name)}
                for name, look in legend.items():
                    self.assertEqual(looks.setdefault(self.strategy(name), look), look, (module.KEY, name))
                places = [self.LABELS.index(self.strategy(name)) for name in legend]
                self.assertEqual(places, sorted(places), module.KEY)
                pictures += bool(legend)
                for panel in picture.panels:  # what is drawn is what the legend says
                    axes = ringplot.Figure().add_subplot()
                    panel.draw(axes)
                    drawn = {look_of(line) for line in axes.get_lines() if line.get_marker() not in ("None", "+")}
                    self.assertLessEqual(drawn, set(legend.values()), (module.KEY, panel.title))
        self.assertEqual(pictures, shown)
        self.assertEqual(len(set(looks.values())), len(looks))
        return looks

    def test_all_pictures_agree(self):
        looks = self.check(self.load(generate.result(self.runs())), 3)
        self.assertEqual(list(looks), list(self.LABELS[1:]) + ["single"])  # scaling has none of single

    def test_several_batches_are_told_apart(self):
        result = self.load(generate.result(self.runs(batches=(64, 128))))
        looks = self.check(result, 3)
        picture, = scaling.pictures(result)
        handles = {name: handle for handle, name in picture.legend}
        one, other = handles["ring, batch 64"], handles["ring, batch 128"]
        self.assertEqual(look_of(one), looks["ring"])
        self.assertNotEqual(one._unscaled_dash_pattern, other._unscaled_dash_pattern)

    def test_what_is_left_out_changes_nothing(self):
        whole = self.load(generate.result(self.runs()))
        looks = self.check(whole, 3)
        some = whole.only(["label=server"])
        self.assertEqual(legend_of(accuracy.pictures(some)[0])["server"], looks["server"])
        lost = [generate.lost("ring", "ring_pipeline", 4, "failed", "it fell", {})]
        rest = [run for run in self.runs() if run["label"] != "ring"]
        fewer = self.check(self.load(generate.result(lost + rest)), 3)
        self.assertNotIn("ring", fewer)

    def test_two_worlds(self):
        paths = [self.write(name, generate.result([dict(run, sweep={}) for run in self.runs(counts=(4,))], world=world))
                 for name, world in (("a.json", "sim"), ("b.json", "posix"))]
        looks = self.check(ringresult.load(paths), 2)
        self.assertEqual(looks, {label: look for label, look in self.check(ringresult.load(paths[:1]), 2).items()})

    def test_more_strategies_than_colours(self):
        labels = [f"s{i}" for i in range(77)]
        looks = ringplot.Looks(labels, [(label, label) for label in labels])
        lines = [looks.line(label) for label in labels]
        self.assertEqual(len({(look["color"], look["marker"]) for look in lines}), 77)
        self.assertEqual(len({(look["marker"], look["linestyle"]) for look in lines[:55]}), 55)  # in black and white
        self.assertEqual([(look["color"], look["marker"]) for look in lines[:2]], [("#0072B2", "o"), ("#D55E00", "s")])
        self.assertEqual(looks.sorted(["s9", "s10", "s2", "s9"]), ["s2", "s9", "s10"])
        points = [("s3", f"s3 (x={k})") for k in range(25)]  # of one strategy
        looks = ringplot.Looks(labels, points)
        lines = [looks.line(name) for _, name in points]
        self.assertEqual({(look["color"], look["marker"]) for look in lines}, {("#CC79A7", "D")})
        self.assertEqual(len({(look["linestyle"], look["fillstyle"]) for look in lines}), 25)

    def test_bars_are_in_the_same_order(self):
        """Whatever is best: that of the files."""
        picture, = energy.pictures(self.load(generate.result(self.runs())))
        axes = ringplot.Figure().add_subplot()
        picture.panels[0].draw(axes)
        self.assertEqual([tick.get_text() for tick in axes.get_yticklabels()], list(self.LABELS))


class Diverged(Case):
    """A run that cannot be drawn keeps no other from being drawn."""

    def good(self, label="ring", **other):
        return generate.run(label, "ring_pipeline", 4, 64, 0.1, 0.02, 0.12, **other)

    def odd(self, loss, label="server", **other):
        made = self.good(label, **other)
        made["training"][-1]["loss"] = loss
        made["final"]["loss"] = loss
        return made

    def load(self, *runs):
        return ringresult.load([self.write("r.json", generate.result(list(runs)))])

    def test_losses(self):
        for loss, word in ((1.4e34, "the loss is 1.4e+34"), (-1e31, "the loss is -1e+31"), (None, "is not a number"),
                           (float("nan"), "is not a number"), (float("inf"), "the loss is inf")):
            with self.subTest(loss):
                result = self.load(self.good(), self.odd(loss))
                self.assertEqual([run.status for run in result.runs], ["ok", "diverged"])
                self.assertEqual([run.label for run in result.finished], ["ring"])
                self.assertIn(word, result.runs[1].get("error"))
                self.assertIn("at iteration 50", result.runs[1].get("error"))
                self.assertIsNone(result.runs[1].get("final", "accuracy"))
                self.assertEqual(result.unfinished(), [f"server: diverged at 4 nodes ({result.runs[1].get('error')})"])

    def test_what_is_no_divergence(self):
        self.assertEqual(len(self.load(self.good(), self.odd(-3.0)).finished), 2)
        nothing = dict(training=[], final={"loss": None, "accuracy": None})
        self.assertEqual(len(self.load(self.good(), self.good("b", **nothing)).finished), 2)
        skipped = self.odd(None, numerics="skip")
        self.assertEqual(len(self.load(self.good(), skipped).finished), 2)
        failed = self.load(self.good(), self.odd(None, status="failed", error="it fell")).runs[1]
        self.assertEqual((failed.status, failed.get("error")), ("failed", "it fell"))

    def test_other_numbers(self):
        for field, value in (("time_s", float("nan")), ("iterations", -1), ("time_s", 1e31), ("nodes", float("inf")),
                             ("params", {"x": float("nan")}), ("per_node", [{"busy_s": -1}])):
            with self.subTest(field, value=value):
                result = self.load(dict(self.good("server"), **{field: value}), self.good())
                self.assertEqual([run.status for run in result.runs], ["unreadable", "ok"])
                self.assertIn(f"runs[0].{field}", result.runs[0].get("error"))
                path = self.path("r.json")
                text, page = self.page(path)
                self.assertGreater(page.svgs, 3)
                self.contains(text, "server: not readable at ", f"runs[0].{field}")
        self.refused(report, self.write("r.json", generate.result([self.good(time_s=1e31)])), says=["runs[0].time_s"])
        whole = generate.result([self.good()])
        whole["host"]["load"] = float("nan")
        self.refused(report, self.write("r.json", whole), says=["r.json.host.load", "NaN"])

    def test_pictures(self):
        """The status as such; the others are drawn, it is marked, and has no curve."""
        stopped = self.good("server", status="diverged", error="the loss is 3e+09 at iteration 20")
        path = self.write("r.json", generate.result([self.good("all"), stopped, self.good()]))
        result = ringresult.load([path])
        for module in (accuracy, formula, energy):
            self.assertIn("note: server: diverged at 4 nodes (the loss is 3e+09 at iteration 20)",
                          self.draws(module, path))
        for module in (accuracy, formula):
            picture, = module.pictures(result)
            legend = legend_of(picture)
            self.assertIn("server: diverged", legend)
            self.assertNotIn("server", legend)
            for panel in picture.panels:
                axes = ringplot.Figure().add_subplot()
                panel.draw(axes)
                self.assertNotIn(legend["server: diverged"], {look_of(line) for line in axes.get_lines()})
        self.assertEqual([name for name in legend_of(accuracy.pictures(result)[0]) if name != "target"],
                         ["all", "server: diverged", "ring"])
        axes = ringplot.Figure().add_subplot()
        energy.pictures(result)[0].panels[0].draw(axes)
        self.assertEqual([tick.get_text() for tick in axes.get_yticklabels()], ["all", "server", "ring"])
        self.assertIn(" diverged", [text.get_text() for text in axes.texts])
        self.assertEqual(len({round(bar.get_y(), 3) for bar in axes.patches}), 2)
        text, page = self.page(path)
        self.contains(text, "diverged: the loss is 3e+09 at iteration 20", "server: diverged at 4 nodes")
        self.assertEqual(page.svgs, 1 + 3 + 2)

    def test_points_of_a_sweep(self):
        """One of several seeds, and one of several numbers of nodes."""
        runs = [self.good("ring", sweep={"seed": str(seed)}) for seed in (1, 2, 3)]
        runs[1].update(status="diverged", error="the loss is 1e+08")
        self.assertIn("ring: 1 of its runs diverged at 4 nodes (the loss is 1e+08)", self.load(*runs).notes())
        runs = [generate.run("ring", "ring_pipeline", n, 64, 0.4 / n, 0.01, 0.5 / n) for n in (2, 4, 8)]
        runs[2]["status"] = "diverged"
        picture, = scaling.pictures(self.load(*runs))
        self.assertEqual(list(legend_of(picture))[:2], ["ring", "ring: diverged at 8"])
        self.assertIn("ring: diverged at 8 nodes", picture.notes)

    def test_nothing_else(self):
        path = self.write("r.json", generate.result([self.odd(1e34)]))
        for module in (accuracy, formula, energy, scaling, seeds):
            self.refused(module, path, says=["r.json: ", "server: diverged at 4 nodes (the loss is 1e+34"])
        text, _ = self.page(path)
        self.contains(text, "not drawn", "diverged: the loss is 1e+34 at iteration 50")


class Selection(Case):
    def load(self, value):
        return ringresult.load([self.write("r.json", value)])

    def test_best_of_grid(self):
        result = self.load(generate.scaling((4, 64), ("1024",)))
        best = {(run.label, run.nodes): run for run in ringresult.best_of_grid(result, result.finished)}
        for n in (4, 64):
            times = {m: generate.ring(n, 1024, m)[2] for m in (16, 64, 256)}
            self.assertEqual(best["ring", n].sweep["ring.micro-batches"], str(min(times, key=times.get)))
        self.assertEqual(len(best), 6)

    def test_strong_and_weak(self):
        for raw in (True, False):  # "16N" as written, or the number that it came to
            lines = ringresult.scaling_lines(self.load(generate.scaling(raw=raw)))
            self.assertEqual([name for name, _, _ in lines["strong"]], ["ring", "server", "all-reduce"])
            self.assertEqual(sorted(name for name, _, _ in lines["weak"]), ["all-reduce", "ring", "server"])
            self.assertEqual(lines["mixed"], [])
            self.assertTrue(all(run.batch == 1024 for _, _, line in lines["strong"] for run in line))
            self.assertTrue(all(run.batch == 16 * run.nodes for _, _, line in lines["weak"] for run in line))
            self.assertEqual([run.nodes for run in lines["weak"][0][2]], [4, 8, 16, 32, 64, 128, 256, 512])

    def test_product_of_batches_is_strong(self):
        lines = ringresult.scaling_lines(self.load(generate.scaling((4, 8, 16), ("64", "128", "256"))))
        self.assertEqual((len(lines["strong"]), lines["weak"], lines["mixed"]), (9, [], []))

    def test_batch_from_samples(self):
        runs = [generate.run("ring", "ring_pipeline", n, 100, 0.4 / n, 0.01, 0.5 / n) for n in (2, 4)]
        for run in runs:
            run["samples"] -= 60  # the last batch of an epoch is smaller
        lines = ringresult.scaling_lines(self.load(generate.result(runs)))
        self.assertEqual((len(lines["strong"]), lines["weak"], lines["mixed"]), (1, [], []))

    def test_speed_up(self):
        runs = [generate.run("ring", "ring_pipeline", n, 64, 0.8 / n, 0.01, t) for n, t in ((2, 0.6), (8, 0.2))]
        line = ringresult.scaling_lines(self.load(generate.result(runs)))["strong"][0][2]
        self.assertEqual([round(v, 9) for _, v in scaling.speed_up(line)], [2.0, 6.0])
        self.assertEqual([round(v, 9) for _, v in scaling.efficiency(line)], [1.0, 0.75])
        self.assertIsNone(scaling.one_board(self.load(generate.result(runs)), line))
        runs += [generate.run("alone", "single", 1, batch, 0.4, 0, 0.4) for batch in (64, 128)]
        board = scaling.one_board(self.load(generate.result(runs)), line)
        self.assertEqual((board.label, board.batch), ("alone", 64))
        self.assertEqual([round(v, 9) for _, v in scaling.speed_up(line, board)], [round(0.4 / 0.6, 9), 2.0])

    def test_a_single_board_is_compared_with_many(self):
        runs = [generate.run(label, kind, n, 64, 0.4, 0.01, 0.5, sweep={"nodes": str(swept)})
                for label, kind, n, swept in (("alone", "single", 1, 2), ("ring", "ring_pipeline", 2, 2),
                                              ("ring", "ring_pipeline", 4, 4))]
        found = ringresult.one_a_strategy(self.load(generate.result(runs)))
        self.assertEqual([(run.label, run.nodes) for run in found], [("alone", 1), ("ring", 4)])
        found = ringresult.one_a_strategy(self.load(generate.result(runs)), 2)
        self.assertEqual([(run.label, run.nodes) for run in found], [("alone", 1), ("ring", 2)])

    def test_seeds(self):
        runs = [generate.run(label, "ring_pipeline", 4, 64, 0.4, 0.01, t, sweep={"seed": str(seed), "ring.depth": "2"})
                for label in ("ring", "other") for seed, t in ((1, 1.0), (2, 2.0), (3, 3.0))]
        path = self.write("r.json", generate.result(runs))
        status, out, err = self.run_main(seeds, path, "--only", "label=ring")
        self.assertEqual((status, err), (0, ""))
        lines = out.splitlines()
        self.assertEqual(len(lines), 3)
        cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
        self.assertEqual(cells[:4], ["ring", "depth=2", "4", "3"])
        times = [run["time_s"] for run in runs[:3]]
        self.assertEqual(cells[5], f"{ringresult.si(statistics.fmean(times), 's')} +- "
                                   f"{ringresult.si(statistics.stdev(times), 's')}")
        self.assertEqual(seeds.spread([None, 2.0], str), "2.0")
        self.assertEqual(seeds.spread([None], str), "-")
        self.refused(seeds, path, "--only", "seed=9", says=["seed=9", "1, 2, 3"])

    def two_seeds(self, *labels):
        runs = []
        for label in labels:
            for seed, accuracies in ((1, (0.5, 0.9, 0.95)), (2, (0.5, 0.6, 0.92))):
                run = generate.run(label, "ring_pipeline", 4, 64, 0.4, 0.01, 3.0, sweep={"seed": str(seed)})
                run["training"] = [{"iteration": i, "time_s": float(i), "energy_J": 10.0 * i * seed, "loss": 1.0,
                                    "accuracy": accuracy} for i, accuracy in enumerate(accuracies, 1)]
                runs.append(run)
        return self.write("two.json", generate.result(runs))

    def test_seeds_to_a_goal(self):
        path = self.two_seeds("ring")
        for goal, cells in (("0.9", ["2 of 2", "2.5 s +- 707 ms", "40 J +- 28.3 J"]), ("0.95", ["1 of 2", "3 s", "30 J"]),
                            ("0.96", ["0 of 2", "-", "-"])):
            status, out, _ = self.run_main(seeds, path, "--goal", goal)
            self.assertEqual(status, 0)
            self.assertEqual([cell.strip() for cell in out.splitlines()[2].strip("|").split("|")][6:9], cells)

    def lossy(self):
        """Of two seeds and two rates: restart, all to the end; run once more, one never; spare, one of two."""
        runs = []
        for way, status, seconds in (("restart", "ok", (1000, 3000)), ("once more", "ok", (8000, None)),
                                     ("spare", "ok", (900, None))):
            for mtbf in (86400, 864000):
                for seed, time_s in enumerate(seconds, 1):
                    sweep = {"nodes": "4", "mtbf": str(mtbf), "seed": str(seed)}
                    if way != "once more":
                        sweep["lose"] = way
                    run = generate.run("ring", "ring_pipeline", 4, 64, 0.4, 0.01, 3.0, sweep=sweep)
                    lost = time_s is None or (way == "once more" and mtbf == 86400)
                    run["status"] = "lost" if lost else status
                    run["whole"] = {"time_s": float(time_s or 5000), "energy_J": 10.0 * (time_s or 5000)}
                    run["losses"] = [{}] * seed
                    runs.append(run)
        return self.write("lossy.json", generate.result(runs))

    def test_losses(self):
        path = self.lossy()
        points = losses.points_of(ringresult.load([path]))
        self.assertEqual([point.name for point in points[::2]], ["ring, once more", "ring, restart", "ring, spare"])
        self.assertEqual([point.mean("time_s") for point in points], [None, 8000, 2000, 2000, 900, 900])
        self.assertEqual([point.mean("energy_J") for point in points[2:4]], [20000, 20000])
        self.assertEqual([point.losses for point in points], [None, 1, 1.5, 1.5, 1, 1])
        none = generate.run("ring", "ring_pipeline", 4, 64, 0.4, 0.01, 3.0)
        self.refused(losses, self.write("none.json", generate.result([none])), says=["mtbf"])
        status, out, _ = self.run_main(losses, path, "--table", "-o", self.path("x.svg"))
        self.assertEqual(status, 0)
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines()]
        self.assertEqual(rows[2][2:], ["never", "8000 s, 80 kJ, 1 (1 of 2)"])
        self.assertEqual(rows[3][2:], ["2000 s, 20 kJ, 1.5"] * 2)
        run = generate.run("ring", "ring_pipeline", 4, 64, 0.4, 0.01, 3.0)
        undisturbed = run["iteration_s"]["mean"] * run["iterations"]
        self.assertEqual(losses.undisturbed_s(ringresult.load([path]), "ring", 4), undisturbed)
        self.draws(losses, path)

    def test_means_of_seeds(self):
        path = self.two_seeds("ring", "other")
        result = accuracy.means_of_seeds(ringresult.load([path]))
        self.assertEqual([run.label for run in result.runs], ["ring", "other"])
        self.assertEqual([round(y, 9) for _, y in accuracy.curve(result.runs[0], "time_s")], [0.5, 0.75, 0.935])
        self.assertEqual([x for x, _ in accuracy.curve(result.runs[0], "energy_J")], [15.0, 30.0, 45.0])
        self.refused(accuracy, path, "--labels", "one", says=["one", "ring, other"])
        self.draws(accuracy, path, "--mean-of-seeds", "--labels", "other", "--above", "0.6")

    def test_seeds_are_one_series(self):
        runs = [generate.run("ring", "ring_pipeline", n, 64, 0.4, 0.01, 1.0 / n, sweep={"seed": str(seed), "nodes": str(n)})
                for n in (2, 4) for seed in (1, 2)]
        result = self.load(generate.result(runs))
        self.assertEqual(len(ringresult.scaling_lines(result)["strong"]), 1)
        self.assertTrue(any("of 2 seeds" in note for note in result.notes()))

    def test_long_names_keep_what_differs(self):
        names = {ringplot.short(f"all-reduce (link-rate={n}, threads={m})", 34) for n in (0.1, 0.5) for m in (1, 4)}
        self.assertTrue(all(len(name) == 34 for name in names))
        self.assertEqual(len(names), 4)

    def test_one_batch_when_strategies_are_compared(self):
        runs = ringresult.one_a_strategy(self.load(generate.scaling()))
        self.assertEqual({(run.nodes, run.batch) for run in runs}, {(256, 4096.0)})
        self.assertEqual([run.label for run in runs], ["ring", "server", "all-reduce"])

    def test_only(self):
        result = self.load(generate.scaling((4, 8)))
        kept = result.only(["label=ring", "batch=16N", "nodes=8"])
        self.assertEqual([run.sweep["ring.micro-batches"] for run in kept.runs], ["16", "64", "256"])
        path = self.path("r.json")
        self.refused(scaling, path, "--only", "nodes=5", says=["nodes=5", "4, 8"])
        self.refused(report, path, "--only", "nodes", says=["KEY=VALUE"])

    def test_what_was_read_is_not_written_over(self):
        path = self.path("r.json")
        self.write("r.json", generate.scaling())
        self.refused(report, path, "-o", path, says=["r.json", "another file"])

    def test_units(self):
        for value, unit, text in ((0.0123, "s", "12.3 ms"), (4321.0, "s", "4321 s"), (0, "B", "0 B"),
                                  (999.9, "B", "1 kB"),
                                  (1.5e9, "B", "1.5 GB"), (2.5e-5, "J", "25 µJ"), (None, "J", "-"),
                                  (0.5, "B", "0.5 B"), (-0.002, "s", "-2 ms"), (12345.0, "", "12.3 k")):
            self.assertEqual(ringresult.si(value, unit), text)


class Pictures(Case):
    def test_scaling(self):
        path = self.write("s.json", generate.scaling())
        out = self.draws(scaling, path, names=("-strong", "-weak"))
        self.assertIn("server: does not fit at 512 nodes", out)

    def test_formula(self):
        self.draws(formula, self.write("f.json", generate.formula()))
        result = ringresult.load([self.path("f.json")])
        points, _ = formula.points_of(result)
        self.assertEqual((min(p.ratio for p in points), max(p.ratio for p in points)), (1 / 16, 16))
        waiting = [p for p in points if p.name == "no-overlap" and p.ratio == 1]
        self.assertAlmostEqual(waiting[0].observed, 2.02)
        self.assertAlmostEqual(waiting[0].residual, 0.01)
        self.assertEqual(formula.pictures(result)[0].notes, [])

    def test_formula_of_many(self):
        """More strategies than one pair of panels shows: a pair a family, one legend, and a table."""
        many = generate.formula()
        for label, kind, schedule in (("ringtmp-2S", "ring_pipeline", "ringtmp"), ("server", "parameter_server", None),
                                      ("1f1b", "ring_pipeline", "1f1b")):
            for run in [run for run in many["runs"] if run["label"] == "gpipe"]:
                many["runs"].append(dict(run, label=label, kind=kind, params={"schedule": schedule}))
        path = self.write("f.json", many)
        out = self.draws(formula, path, "--table")
        picture, = formula.pictures(ringresult.load([path]))
        self.assertEqual([panel.title.split(":")[0] for panel in picture.panels],
                         ["Streams"] * 2 + ["Flushed at every update"] * 2 + ["Whole networks"] * 2)
        self.assertEqual([len(panel.legend) for panel in picture.panels], [1, 1, 4, 4, 1, 1])
        self.assertIn("| `no-overlap` | 1/16: 1.073, 1.010 | 1/4: 1.262, 1.010 | 1: 2.020, 1.010 |", out)

    def test_limits(self):
        raw = generate.run("ring", "ring_pipeline", 4, 64, 0.2, 0.05, 0.5)
        run = ringresult.load([self.write("r.json", generate.result([raw]))]).runs[0]
        self.assertAlmostEqual(scaling.c_over_T_A(run), 0.25)
        self.assertAlmostEqual(scaling.over_bound(run), 2.5)
        raw["formula"] = None
        run = ringresult.load([self.write("r.json", generate.result([raw]))]).runs[0]
        self.assertEqual((scaling.c_over_T_A(run), scaling.over_bound(run)), (None, None))

    def test_energy(self):
        path = self.write("s.json", generate.scaling((4, 8)))
        self.draws(energy, path)
        self.draws(energy, path, "--nodes", "4", "--per-node", "ring")
        run = generate.run("meter", "single", 1, 10, 0.1, 0, 0.1, energy_source="ina2xx")
        run["energy_J"] = {"total": 5.0, "idle": 3.0, "compute": None, "network": None, "switch": None}
        result = ringresult.load([self.write("m.json", generate.result([run], world="posix"))])
        self.assertEqual(energy.parts_of(result.runs[0]), [("idle", 3.0), ("total", 2.0)])
        picture, = energy.pictures(result)
        self.assertIn("measured (ina2xx)", picture.origin)
        self.draws(energy, self.path("m.json"))

    def test_clocks(self):
        run = generate.run("ring", "ring_pipeline", 2, 10, 0.1, 0, 0.1)
        clock = {"offset_s": -12345.5, "wall_offset_s": None, "uncertainty_s": 2.5e-4, "drift_ppm": -20.0,
                 "drift_uncertainty_ppm": 3.0}
        path = self.write("c.json", generate.result([run], world="posix"))
        self.assertIsNone(ringresult.clock_word(ringresult.load([path]).runs))
        run["per_node"][0]["clock"] = dict.fromkeys(clock, 0)
        run["per_node"][1]["clock"] = clock
        result = ringresult.load([self.write("c.json", generate.result([run], world="posix"))])
        self.assertEqual(ringresult.clock_word(result.runs), "known to within 250 µs of node 0's")
        self.assertIn("known to within 250 µs", report.page(result))
        clock["uncertainty_s"] = None
        result = ringresult.load([self.write("c.json", generate.result([run], world="posix"))])
        self.assertEqual(ringresult.clock_word(result.runs), "not compared on every node")

    def test_accuracy(self):
        self.draws(accuracy, self.write("s.json", generate.scaling((4, 8))))

    def test_many_series(self):
        """A sweep of something else than nodes: what is too much for a picture is left out, and said."""
        runs = [generate.run(label, "single", 4, 10, 0.1, 0.01, 0.1, sweep={"clock": f"{1e9 + 1e7 * i:g}"})
                for i in range(25) for label in ("a", "b")]
        path = self.write("clocks.json", generate.result(runs))
        self.assertIn("38 more are not drawn", self.draws(accuracy, path))
        self.assertIn("10 more are not drawn", self.draws(energy, path))

    def test_timeline(self):
        trace = self.write("t.trace", generate.trace())
        self.draws(timeline, trace)
        self.draws(timeline, trace, "--from", "0.001", "--to", "0.002", "--nodes", "1,3")
        self.draws(timeline, self.write("many.trace", generate.trace(20, power=True)), "--most", "6")
        with gzip.open(packed := trace + ".gz", "wb") as stream:
            stream.write(open(trace, "rb").read())
        self.draws(timeline, packed)
        with open(cut := trace + ".cut.gz", "wb") as stream:
            stream.write(open(packed, "rb").read()[:300])
        for bad in cut, self.write("no.gz", "{}"):
            with self.assertRaises(ringtrace.Bad):
                ringtrace.load(bad)
        process, = ringtrace.load(trace).processes
        self.assertEqual((process.ranks, len(process.power[2]), len(process.iteration_ends())), ([0, 1, 2, 3], 72, 12))
        begin, end = timeline.window_of(process, None, None)
        self.assertAlmostEqual(end - begin, 3 * 1e-3)

    def test_trace_read_in_pieces(self):
        path = self.write("t.trace", generate.trace())
        whole = ringtrace.load(path).processes[0]
        ringtrace.CHUNK, kept = 64, ringtrace.CHUNK
        try:
            with open(path, encoding="utf-8") as stream:
                reader = ringtrace._Reader(stream)
                self.assertEqual(sum(1 for event in reader.events() if event["ph"] == "X"), len(whole.begin))
                self.assertEqual(reader.rest()["otherData"]["scenario"], "generated")
        finally:
            ringtrace.CHUNK = kept

    def test_odd_labels(self):
        runs = [generate.run(label, "single", n, 10, 0.1 / n, 0.01, 0.1) for n in (1, 2)
                for label in ("_hidden", "a $x_1$ <b>&amp;", "long " * 20, "")]
        path = self.write("odd.json", generate.result(runs, "<script>alert(1)</script>"))
        self.draws(scaling, path)
        self.assertEqual(self.run_main(report, path, "-o", self.path("odd.html"))[0], 0)
        with open(self.path("odd.html"), encoding="utf-8") as stream:
            self.assertFalse("<script" in stream.read())

    def test_one_ending(self):
        path = self.write("f.json", generate.formula())
        self.assertEqual(self.run_main(formula, path, "-o", self.path("only.svg"))[0], 0)
        self.assertEqual(sorted(os.listdir(self.folder)), ["f.json", "only.svg"])


class Page(html.parser.HTMLParser):
    """Sections, references and whether tags are closed in order."""

    VOID = {"meta", "br", "img", "path", "use", "rect", "image", "circle", "line"}

    def __init__(self, text):
        super().__init__()
        self.sections, self.references, self.ids, self.open, self.faults, self.svgs = [], [], [], [], [], 0
        self.feed(text)
        self.close()

    def handle_startendtag(self, tag, attrs):
        self.take(tag, dict(attrs))

    def handle_starttag(self, tag, attrs):
        self.take(tag, dict(attrs))
        if tag not in self.VOID:
            self.open.append(tag)

    def take(self, tag, attrs):
        self.references += [attrs[key] for key in ("href", "src", "xlink:href") if key in attrs]
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "section":
            self.sections.append(attrs.get("id"))
        self.svgs += tag == "svg"

    def handle_endtag(self, tag):
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


class Report(Case):
    def test_everything(self):
        text, page = self.page(self.write("s.json", generate.scaling()), "--trace",
                               self.write("t.trace", generate.trace()))
        self.assertEqual(page.svgs, 18 + 1 + 3 + 2 + 1)
        for words in ("simulated", "energy: modelled", "Strong scaling", "Weak scaling", "does not fit", "Haswell",
                      "iterations extrapolated", "closed form", "micro-batches=64"):
            self.contains(text, words)
        self.assertFalse("not drawn" in text)

    def test_nothing_known(self):
        run = generate.run("ring", "ring_pipeline", 4, 64, 0.1, 0.02, 0.12)
        bare = {key: run[key] for key in ("label", "kind", "nodes", "status", "iterations", "samples", "time_s")}
        bare["numerics"] = "skip"
        text, page = self.page(self.write("bare.json", generate.result([bare])))
        for words in ("energy: not modelled", "numerics were skipped", "no timeline", "not drawn",
                      "formula: undefined"):
            self.contains(text, words)
        self.assertEqual(page.svgs, 0)
        nulls = generate.lost("server", "parameter_server", 3, "failed", "a <worker> & fell", {})
        text, _ = self.page(self.write("nulls.json", generate.result([nulls])))
        self.contains(text, "failed: a &lt;worker&gt; &amp; fell")

    def test_measured_beside_simulated(self):
        run = generate.run("ring", "ring_pipeline", 4, 64, 0.1, 0.02, 0.12)
        real = dict(run, energy_source="rapl")
        text, _ = self.page(self.write("a.json", generate.result([run])),
                            self.write("b.json", generate.result([real], world="posix")))
        self.contains(text, "ring (measured)", "energy: modelled, measured (rapl)")

    def test_the_same_bytes(self):
        """In processes of their own, whose hashes are salted differently."""
        result, trace = self.write("s.json", generate.scaling((4, 8))), self.write("t.trace", generate.trace())
        outputs = []
        for seed in ("1", "2"):
            out = self.path("page.html")
            done = subprocess.run([sys.executable, "-B", os.path.join(ANALYSIS, "report.py"), result, "--trace", trace,
                                   "-o", out], env=dict(os.environ, PYTHONHASHSEED=seed), capture_output=True)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            with open(out, "rb") as stream:
                outputs.append(stream.read())
        self.assertEqual(outputs[0], outputs[1])
        for name in ("one", "two"):
            self.assertEqual(self.run_main(timeline, trace, "-o", self.path(name))[0], 0)
        for ending in (".png", ".svg"):
            with open(self.path("one" + ending), "rb") as one, open(self.path("two" + ending), "rb") as two:
                self.assertEqual(one.read(), two.read())


class Classes(Case):
    """Confusion matrices on the page."""

    def run_with(self, classes):
        return generate.run("ring", "ring_pipeline", 4, 64, 0.1, 0.02, 0.12,
                            final={"loss": 0.1, "accuracy": 0.9, "classes": classes})

    def rows(self, *predicted, names=("a<b", None, "c")):
        return [{"name": names[i], "samples": sum(row), "accuracy": row[i] / sum(row) if sum(row) else None,
                 "predicted": list(row)} for i, row in enumerate(predicted)]

    def test_the_page(self):
        path = self.write("r.json", generate.result([self.run_with(self.rows((8, 2, 0), (0, 5, 0), (0, 0, 0)))]))
        text, page = self.page(path)
        self.assertIn("classes", page.sections)
        self.contains(text, "<th>a&lt;b</th><td>10</td><td>80.0 %</td><td class=own style=\"background: rgba(0, 114, 178, "
                      "0.52)\">8</td><td style=\"background: rgba(213, 94, 0, 0.13)\">2</td><td>0</td>",
                      "<th>1</th><td>5</td><td>100.0 %</td>", "<th>c</th><td>0</td><td>-</td>")
        without = self.write("r.json", generate.result([generate.run("ring", "ring_pipeline", 4, 64, 0.1, 0.02, 0.12)]))
        self.assertNotIn("classes", self.page(without)[1].sections)

    def test_bad_ones(self):
        good = self.rows((8, 2, 0), (0, 5, 0), (0, 0, 1))
        for change, says in ((lambda c: c[1].update(predicted=[1, 2]), "classes[1].predicted: 3 counts"),
                             (lambda c: c[0]["predicted"].__setitem__(2, -1), "classes[0].predicted[2]"),
                             (lambda c: c[0]["predicted"].__setitem__(2, "x"), "classes[0].predicted[2]: a count"),
                             (lambda c: c[2].pop("predicted"), "classes[2].predicted: an array"),
                             (lambda c: c[2].update(name=7), "classes[2].name"),
                             (lambda c: c.append(3), "classes[0].predicted: 4 counts")):
            bad = copy.deepcopy(good)
            change(bad)
            path = self.write("r.json", generate.result([self.run_with(bad)]))
            with self.subTest(says):
                self.refused(report, path, says=[says])


@unittest.skipUnless(RINGSIM, "RG_RINGSIM does not name a simulator")
class Real(Case):
    """What ringsim writes today."""

    def simulate(self, scenario, *options):
        result, trace = self.path("real.json"), self.path("real.trace")
        done = subprocess.run([RINGSIM, os.path.join(SOURCE, "scenarios", scenario), "--quiet", "--json", result,
                               "--trace", trace, *options], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return result, trace

    def test_iris(self):
        result, trace = self.simulate("iris-3.xml", "--set", "epochs=4")
        self.draws(formula, result)
        self.draws(accuracy, result)
        for process in ringtrace.load(trace).processes:
            self.draws(timeline, trace, "--strategy", process.label)
        text, page = self.page(result, "--trace", trace)
        self.contains(text, "iris-3")
        self.assertGreaterEqual(page.svgs, 6)

    def test_diverged(self):
        """Training that has gone astray, from the simulator itself: rows of two clusters, far too large a step."""
        rows = [f"{(i * 37 % 11 - 5) * 1e3:g},{(i * 53 % 13 - 6) * 1e3:g},{i % 2}" for i in range(80)]
        with open(self.path("rows.csv"), "w", encoding="utf-8") as stream:
            stream.write("a,b,label\n" + "\n".join(rows) + "\n")
        with open(self.path("net.xml"), "w", encoding="utf-8") as stream:
            stream.write('<network name="two" input="2"><dense outputs="8" activation="relu"/><dense outputs="2"/>'
                         '</network>')
        with open(self.path("scenario.xml"), "w", encoding="utf-8") as stream:
            stream.write(f'<scenario name="astray" seed="1"><platform file="{SOURCE}/platforms/pi4-gigabit-3.xml"/>'
                         '<network file="net.xml"/><data kind="csv" file="rows.csv" train="60" test="20"/>'
                         '<training batch="20" epochs="20" learning-rate="500" optimizer="momentum"/>'
                         '<strategy label="single" kind="single"/></scenario>')
        self.astray(self.path("scenario.xml"))

    @unittest.skipUnless(os.path.isdir(INPUTS), "../shared/inputs is absent")
    def test_the_report_of_a_diverged_run(self):
        for name in ("diverged.xml", "diverged-net.xml", "diverged.csv"):
            with open(os.path.join(INPUTS, name), encoding="utf-8") as stream:
                text = stream.read().replace("@PROJECT@", SOURCE)
            with open(self.path(name), "w", encoding="utf-8") as stream:
                stream.write(text)
        self.astray(self.path("diverged.xml"))

    def astray(self, scenario):
        """Its runs are marked, and a run of another file beside them is drawn."""
        result, _ = self.simulate(scenario)
        self.assertEqual({run.status for run in ringresult.load([result]).runs}, {"diverged"})
        good = self.write("good.json", generate.result([generate.run("ring", "ring_pipeline", 4, 64, 0.1, 0.02, 0.12)]))
        text, page = self.page(good, result)
        self.assertEqual(page.svgs, 1 + 3 + 2)
        self.contains(text, "single: diverged at 1 node")
        self.draws(accuracy, good, result)

    def test_scaling_and_formula(self):
        paths = []
        for nodes in ("2", "4", "8"):
            path, _ = self.simulate("formula.xml", "--set", f"nodes={nodes}", "--set", "iterations=20",
                                    "--strategy", "gpipe", "--strategy", "ringtmp-S")
            paths.append(self.path(f"n{nodes}.json"))
            os.rename(path, paths[-1])
        self.draws(scaling, *paths)
        self.draws(formula, *paths)


if __name__ == "__main__":
    unittest.main(verbosity=1)
