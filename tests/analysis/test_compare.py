"""Tests of analysis/compare.py: errors and ranks against numbers worked out by hand, bounds and exit statuses,
what is refused, timelines that part at a known place, the page, and real runs of both programs.

RG_RINGSIM and RG_RINGNODE name the programs; without them real runs are left out. Exit status 77: matplotlib is
absent.
"""

import copy
import json
import math
import os
import subprocess
import sys
import time
import unittest

from test_analysis import ANALYSIS, SOURCE, Case, Page

import compare
import comparepage
import generate
import ringalign
import ringpair
import ringplot
import ringresult
import ringtrace

RINGSIM, RINGNODE = os.environ.get("RG_RINGSIM"), os.environ.get("RG_RINGNODE")


def run(label, iteration_s, kind="ring_pipeline", nodes=4, **other):
    """T_A and c are fixed parts of the iteration, so that they are off as it is; the closed form says 1 s."""
    made = generate.run(label, kind, nodes, 64, 0.5 * iteration_s, 0.25 * iteration_s, iteration_s)
    fixed = generate.run(label, kind, nodes, 64, 0.05, 0.025, 0.1)  # counts do not depend on time
    for key in ("traffic", "params"):
        made[key] = fixed[key]
    for node, other_node in zip(made["per_node"], fixed["per_node"]):
        node.update({key: other_node[key] for key in ("bytes_sent", "bytes_received")})
        node["idle_s"] = made["time_s"] - node["busy_s"]
    made["formula"].update(predicted_iteration_s=1.0, ratio=iteration_s)
    made.update(copy.deepcopy(other))
    return made


class CompareCase(Case):
    def files(self, simulated, measured, names=("sim.json", "real.json"), **roots):
        """Two result files of these runs; roots: {"sim": {...}, "posix": {...}} changes of the files."""
        paths = []
        for name, runs, world in zip(names, (simulated, measured), ("sim", "posix")):
            made = generate.result(copy.deepcopy(runs), "generated", world)
            made["scenario_sha256"] = "a" * 64
            made.update(roots.get(world, {}))
            paths.append(self.write(name, made))
        return paths

    def compare(self, *args, status=0):
        """What compare.py writes as JSON, and its text."""
        got, out, err = self.run_main(compare, *args, "--json", self.path("out.json"))
        self.assertEqual((got, err), (status, ""), out)
        with open(self.path("out.json"), encoding="utf-8") as stream:
            return json.load(stream), out

    def broken(self, told):
        return [bound["bound"] for bound in told["bounds"] if not bound["held"]]


class Errors(CompareCase):
    def test_mean_absolute_percentage(self):
        """1.1/1, 0.9/1.2 and 2/1.6: +10 %, -25 %, +25 %."""
        told, text = self.compare(*self.files(
            [run("a", 1.1), run("b", 0.9), run("c", 2.0)], [run("a", 1.0), run("b", 1.2), run("c", 1.6)]))
        for key in ("iteration", "T_A", "c", "time"):
            error = told["errors"][key]
            self.assertEqual((error["compared"], error["unknown"], error["unit"]), (3, 0, "relative"))
            self.assertAlmostEqual(error["mean_absolute"], 0.2, 12)
            self.assertAlmostEqual(error["mean"], 0.1 / 3, 12)
            self.assertAlmostEqual(abs(error["largest"]["error"]), 0.25, 12)
        errors = [cell["quantities"]["iteration"]["error"] for cell in told["runs"]]
        for error, expected in zip(errors, (0.1, -0.25, 0.25)):
            self.assertAlmostEqual(error, expected, 12)
        self.assertAlmostEqual(told["errors_by_label"]["b"]["iteration"]["mean_absolute"], 0.25, 12)
        self.contains(text, "+10.00 %", "-25.00 %", "20.00 %", "simulated", "measured")
        self.assertTrue(told["held"])
        self.assertEqual(told["notes"], [])

    def test_shares_and_residual_are_points(self):
        simulated, measured = run("a", 1.0), run("a", 1.0)
        for node in measured["per_node"]:
            node["busy_s"], node["idle_s"] = 0.4 * measured["time_s"], 0.6 * measured["time_s"]
        measured["formula"]["ratio"] = 1.25
        simulated["formula"]["ratio"] = 1.05
        told, text = self.compare(*self.files([simulated], [measured]))
        cells = told["runs"][0]["quantities"]
        self.assertAlmostEqual(cells["busy"]["error"], 0.1, 12)
        self.assertAlmostEqual(cells["idle"]["error"], -0.1, 12)
        self.assertAlmostEqual(cells["residual"]["error"], -0.2, 12)
        self.assertAlmostEqual(cells["residual"]["measured"], 0.25, 12)
        self.assertEqual(told["errors"]["node.busy"]["compared"], 4)
        self.contains(text, "+10.00 pp", "-20.00 pp", "+25.00 %")

    def test_nothing_is_no_merit(self):
        """c of a single node is 0 in both worlds: equal, and in no mean. 0 measured alone: no number."""
        two = [run("one", 1.0), run("ring", 1.1)]
        real = [run("one", 1.0), run("ring", 1.0)]
        for made in (two[0], real[0]):
            made["formula"]["c_s"] = 0
        told, _ = self.compare(*self.files(two, real), "--max-error", "c=11%")
        self.assertEqual(told["errors"]["c"]["compared"], 1)
        self.assertAlmostEqual(told["errors"]["c"]["mean_absolute"], 0.1, 12)
        two[0]["formula"]["c_s"] = 0.5
        told, text = self.compare(*self.files(two, real), "--max-error", "c=1e20", "--max-mean", "c=1e20", status=1)
        self.assertEqual(told["runs"][0]["quantities"]["c"],
                         {"simulated": 0.5, "measured": 0, "error": None, "state": "0 measured"})
        self.assertIsNone(told["errors"]["c"]["mean_absolute"])
        self.assertEqual(len(self.broken(told)), 2)
        self.contains(text, "0 measured")

    def test_missing_energy(self):
        """A meter that sees only the whole, and none at all: null, not 0."""
        simulated = [run("a", 1.0), run("b", 1.0)]
        measured = [run("a", 1.0, energy_source="ina2xx"), run("b", 1.0, energy_source="none")]
        total = simulated[0]["energy_J"]["total"]
        nothing = dict.fromkeys(("idle", "compute", "network", "switch", "total"), None)
        measured[0]["energy_J"] = dict(nothing, total=total / 1.25)
        measured[1]["energy_J"] = nothing
        for node in measured[1]["per_node"]:
            node["energy_J"] = None
        told, text = self.compare(*self.files(simulated, measured))
        error = told["errors"]["energy"]
        self.assertEqual((error["compared"], error["unknown"]), (1, 1))
        self.assertAlmostEqual(error["mean_absolute"], 0.25, 12)
        self.assertEqual(told["errors"]["energy-compute"]["unknown"], 2)
        self.assertIsNone(told["errors"]["energy-compute"]["mean_absolute"])
        cells = told["runs"][1]["quantities"]["energy"]
        self.assertEqual((cells["measured"], cells["error"], cells["state"]), (None, None, "not measured"))
        self.assertEqual(told["runs"][0]["energy_source"], {"simulated": "model", "measured": "ina2xx"})
        self.contains(text, "not measured (energy source: model simulated, ina2xx measured)",
                      "not measured (energy source: model simulated, none measured)")
        self.assertNotIn("+-", text)
        # 1.25 times what was measured, within 2 % of that: an error of 25 %, within 1.25 x 2 = 2.5 %.
        measured[0]["meter"] = {"source": "ina2xx", "uncertainty_J": 0.02 * total / 1.25, "warning": "5305 W"}
        measured[0]["per_node"][1]["meter"] = {
            "uncertainty_J": 0.1 * measured[0]["per_node"][1]["energy_J"]}
        told, text = self.compare(*self.files(simulated, measured))
        cells = told["runs"][0]["quantities"]["energy"]
        self.assertAlmostEqual(cells["uncertainty"], 0.025, 12)
        self.assertNotIn("uncertainty", told["runs"][1]["quantities"]["energy"])
        self.contains(text, "+25.00 % +-2.5 %", "+-10 %", "a: meter: 5305 W")
        # What is not known has not held.
        told, text = self.compare(*self.files(simulated, measured), "--max-error", "energy=50%", status=1)
        self.assertEqual(self.broken(told), ["error of energy at most 50 %"])
        self.contains(text, "b: unknown (not measured")


class Ranks(CompareCase):
    def test_by_hand(self):
        for a, b, tau in (([1, 2, 3], [1, 2, 3], 1), ([1, 2, 3], [3, 2, 1], -1), ([1, 2, 3, 4], [1, 2, 4, 3], 2 / 3),
                          # 3 untied pairs in a, 5 in b; 3 concordant, none discordant
                          ([1, 1, 1, 2], [1, 2, 2, 3], 3 / math.sqrt(3 * 5)),
                          # 8 untied pairs in a, 9 in b; 4 concordant, 4 discordant
                          ([1, 2, 2, 3, 3], [1, 3, 1, 2, 0], -1 / math.sqrt(8 * 9)),
                          ([1, 1, 2], [5, 5, 7], 1), ([1, 1], [1, 2], None), ([2, 2], [3, 3], None)):
            with self.subTest(a=a, b=b):
                found = ringpair.kendall(a, b)
                self.assertEqual(found is None, tau is None)
                if tau is not None:
                    self.assertAlmostEqual(found, tau, 12)

    def test_strategies(self):
        """a, b tie when simulated: 5 untied pairs of 6, one of them swapped: (4 - 1) / sqrt(5 * 6)."""
        files = self.files([run(label, t) for label, t in zip("abcd", (1, 1, 2, 3))],
                           [run(label, t) for label, t in zip("abcd", (1, 1.1, 4, 3))])
        told, text = self.compare(*files, "--min-tau", "0.5")
        rank = told["rank"][0]
        self.assertEqual((rank["by"], rank["strategies"], rank["swapped"]), ("time", 4, [["c", "d"]]))
        self.assertAlmostEqual(rank["tau_b"], 3 / math.sqrt(30), 12)
        self.contains(text, "swapped: c and d")
        told, text = self.compare(*files, "--min-tau", "0.6", status=1)
        self.contains(text, "BROKEN  Kendall's tau-b", "0.5477")

    def test_groups(self):
        """Each file and each point ranks by itself: a slow network does not hide a swap."""
        def pair(times, point):
            return [run(label, t, sweep={"link-rate": point}) for label, t in zip("ab", times)]

        files = self.files(pair((1, 2), "fast") + pair((10, 20), "slow"), pair((1, 2), "fast") + pair((20, 10), "slow"))
        told, _ = self.compare(*files)
        self.assertEqual([rank["tau_b"] for rank in told["rank"] if rank["by"] == "time"], [1, -1])
        self.compare(*files, "--min-tau", "0", status=1)
        self.compare(*files, "--min-tau", "1", "--only", "link-rate=fast")
        alone = self.files([run("a", 1)], [run("a", 1)])
        _, text = self.compare(*alone, "--min-tau", "0", status=1)
        self.contains(text, "no two strategies to rank")


class Bounds(CompareCase):
    def test_exit_statuses(self):
        files = self.files([run("a", 1.05), run("b", 0.98)], [run("a", 1.0), run("b", 1.0)])
        for options, status in ((("--max-error", "iteration=5%"), 0), (("--max-error", "iteration=0.05"), 0),
                                (("--max-error", "iteration=4.9%"), 1), (("--max-mean", "iteration=3.5%"), 0),
                                (("--max-mean", "iteration=3.4%"), 1),
                                (("--max-error", "iteration=5%,bytes=0", "--max-error", "messages=0"), 0),
                                (("--max-error", "node.busy=0.01,node.energy=10%"), 0),
                                (("--max-error", "node.energy=1%"), 1), (("--min-tau", "0.9"), 1), ((), 0)):
            with self.subTest(options):
                told, text = self.compare(*files, *options, status=status)
                self.assertEqual((told["held"], "BROKEN" in text), (status == 0, status == 1))
        _, text = self.compare(*files, "--max-error", "iteration=4%", status=1)
        self.contains(text, "BROKEN  error of iteration at most 4 %", "a: 1.05 s simulated, 1 s measured (+5.00 %)")
        self.assertFalse("b: 0.98" in text)

    def test_counts_are_always_equal(self):
        for group, field, key in (("traffic", "messages", "messages"), ("traffic", "values", "values"),
                                  ("traffic", "payload_bytes", "bytes"), (None, "iterations", "iterations")):
            measured = run("a", 1.0)
            holder = measured[group] if group else measured
            holder[field] += 1
            with self.subTest(key):
                files = self.files([run("a", 1.0)], [measured])
                told, text = self.compare(*files, status=1)
                self.assertEqual(self.broken(told), [f"{key} equal"])
                self.contains(text, "DIFFERS", f"BROKEN  {key} equal (always)", str(holder[field] - 1))
                self.compare(*files, "--max-error", f"{key}=5%")
        measured = run("a", 1.0)
        measured["per_node"][2]["bytes_sent"] -= 4
        told, text = self.compare(*self.files([run("a", 1.0)], [measured]), status=1)
        self.assertEqual(self.broken(told), ["node.sent equal"])
        self.contains(text, "a, node 2")

    def test_large_counts(self):
        """One byte of 2^53 more is no rounding."""
        simulated, measured = run("a", 1.0), run("a", 1.0)
        simulated["traffic"]["payload_bytes"], measured["traffic"]["payload_bytes"] = 2 ** 53 + 1, 2 ** 53
        told, text = self.compare(*self.files([simulated], [measured]), status=1)
        self.assertEqual(self.broken(told), ["bytes equal"])
        self.contains(text, "9007199254740993 / 9007199254740992 DIFFERS")

    def test_weights(self):
        measured = run("a", 1.0, weights_sha256="1" * 64)
        files = self.files([run("a", 1.0)], [measured])
        told, text = self.compare(*files)  # other kernels may round elsewhere: said, and allowed
        self.assertEqual(told["runs"][0]["weights"], "differ")
        self.contains(text, "a: weights DIFFER")
        told, _ = self.compare(*files, "--same-weights", status=1)
        self.assertEqual(self.broken(told), ["weights of all runs equal"])
        skipped = run("a", 1.0, numerics="skip", weights_sha256=None)
        told, _ = self.compare(*self.files([skipped], [run("a", 1.0)]), "--same-weights", status=1)
        self.assertEqual(told["runs"][0]["weights"], "unknown")
        self.compare(*self.files([run("a", 1.0)], [run("a", 1.0)]), "--same-weights")

    def test_outcome(self):
        """A run that the simulation thought possible and that failed is an error of the simulation."""
        lost = generate.lost("b", "ring_pipeline", 4, "failed", "node 2: connection reset", {})
        lost["params"] = {"overlap": "yes"}
        files = self.files([run("a", 1.0), run("b", 1.0)], [run("a", 1.0), lost])
        told, text = self.compare(*files, status=1)
        self.assertEqual(self.broken(told), ["runs end alike"])
        self.contains(text, "not compared: b: ok simulated; failed measured (node 2: connection reset)")
        none = [dict(lost, status="does-not-fit", error="too large")]
        files = self.files([run("a", 1.0)] + none, [run("a", 1.0)] + none)
        told, _ = self.compare(*files)
        self.assertEqual(len(told["not_compared"]), 1)
        self.compare(*files, "--all-paired", status=1)

    def test_diverged(self):
        """In both worlds alike: said, and not compared. In one alone: an error of the simulation."""
        astray = run("b", 1.0)
        astray["training"][-1]["loss"] = 1e34
        files = self.files([run("a", 1.0), astray], [run("a", 1.0), dict(astray, status="diverged", error=None)])
        told, text = self.compare(*files)
        self.assertEqual([pair["label"] for pair in told["runs"]], ["a"])
        self.contains(text, "not compared: b: diverged simulated (the loss is 1e+34 at iteration 50); diverged "
                      "measured")
        told, _ = self.compare(*self.files([run("a", 1.0), astray], [run("a", 1.0), run("b", 1.0)]), status=1)
        self.assertEqual(self.broken(told), ["runs end alike"])

    def test_unpaired(self):
        other = run("c", 1.0)
        other["params"] = {"overlap": "no"}
        files = self.files([run("a", 1.0), run("b", 1.0), run("c", 1.0), run("d", 1.0, nodes=2)],
                           [run("a", 1.0), other, run("d", 1.0), run("e", 1.0)])
        told, text = self.compare(*files)
        self.assertEqual([(alone["world"], alone["run"]) for alone in told["unpaired"]],
                         [("simulated", "b"), ("simulated", "c"), ("simulated", "d"), ("measured", "c"),
                          ("measured", "d"), ("measured", "e")])
        self.contains(text, "unpaired: b: only simulated: no such label there", "overlap=no and not yes",
                      "there with nodes 4")
        told, text = self.compare(*files, "--all-paired", status=1)
        self.assertEqual(self.broken(told), ["every run has a partner, and both finished"])


class Files(CompareCase):
    def test_any_order_and_several(self):
        one = self.files([run("a", 1.1)], [run("a", 1.0)])
        two = self.files([run("a", 2.6)], [run("a", 2.0)], ("sim2.json", "real2.json"))
        told, _ = self.compare(*one, *reversed(two))
        self.assertEqual([r["name"] for r in told["runs"]], ["a [1]", "a [2]"])
        self.assertEqual([f["measured"]["path"] for f in told["files"]], [one[1], two[1]])
        self.assertAlmostEqual(told["errors"]["iteration"]["mean_absolute"], 0.2, 12)

    def test_warnings(self):
        told, text = self.compare(*self.files([run("a", 1.0)], [run("a", 1.0)], posix={
            "scenario_sha256": "b" * 64, "seed": 2, "host": {"blas_kernels": "Cortex", "blas_threads": 4}}))
        self.assertEqual(len(told["notes"]), 3)
        self.contains(text, "digest differs (aaaaaaaaaaaa.. simulated, bbbbbbbbbbbb.. measured)",
                      "seed 1 simulated, 2 measured", "Haswell, 1 threads simulated, Cortex, 4 threads measured")
        measured = run("a", 1.0)
        measured["formula"]["predicted_iteration_s"] *= 2
        _, text = self.compare(*self.files([run("a", 1.0)], [measured]))
        self.contains(text, "boards or links are not described alike")

    def test_refused(self):
        good = self.files([run("a", 1.0)], [run("a", 1.0)])
        cases = ((good[:1], "pairs SIM.json REAL.json"), ([good[0]] * 2, "both simulated"),
                 ([good[1]] * 2, "both measured"), (good + ["--max-error", "speed=5%"], "QUANTITY=SHARE"),
                 (good + ["--max-error", "iteration=-1"], "0 or more"), (good + ["--max-error", "iteration=x"], "5%"),
                 (good + ["--max-mean", "iteration"], "5%"), (good + ["--min-tau", "2"], "-1 to 1"),
                 (good + ["--min-tau", "nan"], "-1 to 1"), (good + ["--only", "label=z"], "label=z"),
                 (good + ["--tolerance", "much"], "5%"), (good + ["--warm-up", "-1"], "0 or more"),
                 (good + ["-o", self.path("absent/out.html")], "cannot be written"),
                 ([good[0], self.path("none.json")], "cannot be read"))
        for args, word in cases:
            with self.subTest(word):
                self.refused(compare, *args, says=[word])
        self.refused(compare, *self.files([run("a", 1.0)], [run("a", 1.0)], posix={"scenario": "x"}),
                     says=["different scenarios"])
        self.refused(compare, *self.files([run("a", 1.0)], [run("a", 1.0)], posix={"world": "mem"}),
                     says=["run in memory"])
        self.refused(compare, *self.files([run("a", 1.0)], [run("b", 1.0)]), says=["no run in common", "no such label"])
        self.refused(compare, *self.files([run("a", 1.0)] * 2, [run("a", 1.0)]), says=["is there twice"])
        path = self.path("broken.json")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write('{"schema": ')
        self.refused(compare, good[0], path, says=["broken.json: no JSON"])

    def test_standard_output(self):
        status, out, err = self.run_main(compare, *self.files([run("a", 1.0)], [run("a", 1.0)]), "--json", "-")
        self.assertEqual((status, err, json.loads(out)["schema"]), (0, "", "ringtmp-comparison-1"))

    def test_command_line(self):
        script = os.path.join(ANALYSIS, "compare.py")
        self.assertTrue(os.access(script, os.X_OK))
        told = subprocess.run([sys.executable, "-B", script, "--help"], capture_output=True, text=True)
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertIn("examples:\n  ringsim", told.stdout)
        files = self.files([run("a", 1.2)], [run("a", 1.0)])
        for options, status in ((["--max-error", "iteration=5%"], 1), ([], 0), (["--max-error", "x=1"], 2)):
            done = subprocess.run([sys.executable, "-B", script, *files, *options], capture_output=True)
            self.assertEqual(done.returncode, status, done.stderr)


class Timelines(CompareCase):
    def test_clocks(self):
        def uncertain(_, trace):
            trace["otherData"]["clock_uncertainty_s"] = 2e-4

        alignment = self.align(self.traces(uncertain))
        self.assertEqual(alignment.clock_s, 2e-4)
        self.assertIn("clocks are known to within 200 µs only", alignment.text())
        self.assertNotIn("clocks", self.align(self.traces(uncertain), "1ms").text())
        self.assertNotIn("clocks", self.align(self.traces()).text())

    def traces(self, change=None, iterations=8):
        """One timeline in both worlds, the measured one changed, and later by 5 ms as clocks are."""
        simulated = generate.trace(3, iterations, power=False)
        measured = copy.deepcopy(simulated)
        measured["otherData"].update(world="posix", tool="ringnode")
        for event in measured["traceEvents"]:
            if "ts" in event:
                event["ts"] += 5000
        if change:
            change([event for event in measured["traceEvents"] if event["ph"] == "X"], measured)
        return self.write("sim.trace", simulated), self.write("real.trace", measured)

    def align(self, paths, tolerance="10us", warm_up=None):
        found, alone = ringalign.align(*map(ringtrace.load, paths), ringalign.Tolerance(tolerance), warm_up)
        self.assertEqual(alone, [])
        return found[0]

    def test_alike(self):
        alignment = self.align(self.traces())
        self.assertIsNone(alignment.first)
        self.assertEqual((alignment.within, alignment.warm_up), (alignment.compared, 1))
        self.assertEqual(alignment.compared, 2 * 7 * (3 * (3 * 3 + 1)))  # begins and ends of 7 of 8 iterations
        self.assertAlmostEqual(alignment.largest.difference_s, 0, 9)

    def test_first_date(self):
        """Iteration 5, node 1: B 1 takes 30 µs longer."""
        def later(events, _):
            found = [e for e in events if e["name"] == "B 1" and e["tid"] == 3]
            found[4]["dur"] += 30
            found[6]["ts"] += 70

        paths = self.traces(later)
        first = self.align(paths).first
        self.assertEqual((first.what, first.rank, first.iteration, first.simulated[0]), ("ends", 1, 5, "B 1"))
        self.assertAlmostEqual(first.difference_s, -30e-6, 9)
        self.assertAlmostEqual(first.simulated[1], (100 * 3 + 80 + 90 + 10) * 1e-6, 9)
        self.assertEqual(self.align(paths, "40us").first.iteration, 7)
        self.assertAlmostEqual(self.align(paths, "5%").tolerance_s, 0.05 * 900e-6, 12)
        self.assertIsNone(self.align(paths, "0.1ms").first)

    def test_order(self):
        def swapped(events, _):
            found = [e for e in events if e["tid"] == 5 and e["name"] in ("F 1", "B 1")]
            found[6]["name"], found[7]["name"] = found[7]["name"], found[6]["name"]

        alignment = self.align(self.traces(swapped), "1s")
        first = alignment.first
        self.assertEqual((first.what, first.rank, first.iteration), ("order", 2, 4))
        self.assertEqual((first.simulated[0], first.measured[0]), ("F 1", "B 1"))
        self.assertEqual(list(alignment.partings), [2])

    def test_waits_are_no_events(self):
        def waits(_, trace):
            trace["traceEvents"] += [{"ph": "X", "name": "wait", "pid": 1, "tid": 1, "ts": 5000.0 + i, "dur": 1}
                                     for i in range(50)]

        self.assertIsNone(self.align(self.traces(waits)).first)

    def test_missing(self):
        def shorter(events, trace):
            last = [e for e in events if e["tid"] == 3][-1]
            trace["traceEvents"].remove(last)

        paths = self.traces(shorter)
        first = self.align(paths, "1s").first
        self.assertEqual((first.what, first.rank, first.measured, first.simulated[0]), ("missing", 1, None, "step 7"))

        def cut(events, trace):
            shorter(events, trace)
            trace["otherData"]["dropped_events"] = 1

        self.assertIsNone(self.align(self.traces(cut), "1s").first)

    def test_warm_up(self):
        def cold(events, _):
            events[0]["dur"] += 500

        paths = self.traces(cold)
        self.assertIsNone(self.align(paths).first)
        self.assertEqual(self.align(paths, warm_up=0).first.iteration, 1)

    def test_told(self):
        def later(events, _):
            events[-1]["dur"] += 500

        files = self.files([run("ring", 1.0)], [run("ring", 1.0)])
        told, text = self.compare(*files, "--traces", *self.traces(later), "--tolerance", "10us")
        first = told["timelines"][0]["strategies"][0]["first"]
        self.assertEqual((first["what"], first["node"], first["iteration"], first["simulated"]["event"]),
                         ("ends", 2, 8, "step 7"))
        self.assertAlmostEqual(first["difference_s"], -500e-6, 9)
        self.contains(text, "part in iteration 8, node 2: step 7 ends")

    def test_refused(self):
        files = self.files([run("ring", 1.0)], [run("ring", 1.0)])
        sim, real = self.traces()
        self.refused(compare, *files, "--traces", real, sim, says=["SIM.trace REAL.trace"])
        self.refused(compare, *files, "--traces", sim, self.path("absent"), says=["absent"])
        other = self.files([run("a", 1.0)], [run("a", 1.0)], sim={"scenario": "x"}, posix={"scenario": "x"})
        self.refused(compare, *other, "--traces", sim, real, says=["a trace of generated"])


class Pages(CompareCase):
    def test_looks_are_those_of_the_report(self):
        """Also where a strategy has no partner, or another file comes first, or some are chosen."""
        runs = [run(label, 1.0 + k / 10) for k, label in enumerate(("single", "ring", "server"))]
        files = self.files(runs, runs[:0:-1])
        looks = ringplot.looks_of(ringresult.load(files[:1]))
        for paths, only, names in ((files, None, ["ring", "server"]), (files[::-1], None, ["ring", "server"]),
                                   (files, ["label=server"], ["server"])):
            comparison = ringpair.Comparison([ringresult.load([path]).only(only) for path in paths])
            legend = {name: handle for handle, name in comparepage.scatter(comparison, "").legend
                      if hasattr(handle, "get_marker") and name != "equal"}
            self.assertEqual(list(legend), names)
            for name, handle in legend.items():
                look = looks.line(name)
                self.assertEqual((handle.get_color(), handle.get_marker()), (look["color"], look["marker"]))

    def page(self, *args, status=0):
        got, _, err = self.run_main(compare, *args, "-o", self.path("page.html"))
        self.assertEqual((got, err), (status, ""))
        with open(self.path("page.html"), encoding="utf-8") as stream:
            text = stream.read()
        page = Page(text)
        self.assertEqual((page.faults, page.open), ([], []))
        self.assertEqual(page.sections, ["bounds", "errors", "pictures", "rank", "runs", "timelines", "files"])
        self.assertEqual(len(page.ids), len(set(page.ids)))
        inner = {"#" + name for name in page.ids}
        self.assertEqual([r for r in page.references if r not in inner and not r.startswith("data:")], [])
        return text, page

    def test_pictures(self):
        files = self.files([run("a", 1.05), run("b", 0.5), run("c", 30.0)],
                           [run("a", 1.0), run("b", 1.0), run("c", 2.0)])
        traces = Timelines.traces(self)
        sim = ringtrace.load(traces[0])
        self.assertEqual(sim.labels, ["ring"])
        text, page = self.page(*files, "--traces", *traces, "--max-error", "iteration=10%,port=1", status=1)
        # 4 scatters, bars of iteration, T_A and energy (shares are equal), the formula, nodes of 3, 2 timelines.
        self.assertEqual(page.svgs, 4 + 3 + 1 + 3 + 2)
        self.contains(text, "1 bounds BROKEN", "simulated against measured", "do not part", "digest")

    def test_many_runs(self):
        """Residuals become marks; a run that one world has no formula for is said, not drawn."""
        simulated = [run("a", 1 + 0.01 * i, sweep={"clock": str(i)}) for i in range(14)]
        measured = [run("a", 1 + 0.02 * i, sweep={"clock": str(i)}) for i in range(14)]
        measured[3]["formula"] = None
        text, page = self.page(*self.files(simulated, measured))
        # Scatters and bars as above; shares are equal; one picture of residuals, nodes of each run.
        self.assertEqual(page.svgs, 4 + 3 + 1 + 14)
        self.contains(text, "1 of 14 runs are not drawn: a world has no formula there",
                      "T_A, c, residual: not measured")

    def test_odd_values(self):
        """Nothing known, absurd labels, and errors beyond every scale still make a whole page."""
        bare = {key: run("x", 1.0)[key] for key in ("label", "kind", "nodes", "status", "iterations", "samples")}
        text, page = self.page(*self.files([bare], [bare]))
        self.contains(text, "not drawn", "in neither file")
        self.assertEqual(page.svgs, 0)
        odd = "<script>$x_1$ & _" + "long " * 20
        self.page(*self.files([run(odd, 1e6), run("_", 1.0)], [run(odd, 1e-6), run("_", 1.0)]))

    def test_the_same_bytes(self):
        files = self.files([run("a", 1.05), run("b", 0.5)], [run("a", 1.0), run("b", 1.0)])
        traces, outputs = Timelines.traces(self), []
        for seed in ("1", "2"):
            done = subprocess.run([sys.executable, "-B", os.path.join(ANALYSIS, "compare.py"), *files, "--traces",
                                   *traces, "-o", self.path("page.html"), "--json", self.path("out.json")],
                                  env=dict(os.environ, PYTHONHASHSEED=seed), capture_output=True)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            for name in ("page.html", "out.json"):
                with open(self.path(name), "rb") as stream:
                    outputs.append(stream.read())
            outputs.append(done.stdout)
        self.assertEqual(outputs[:3], outputs[3:])


@unittest.skipUnless(RINGSIM and RINGNODE, "RG_RINGSIM and RG_RINGNODE do not name the programs")
class Real(CompareCase):
    """Both programs on one scenario: counts and weights agree exactly, times on a desktop do not."""

    def test_iris(self):
        scenario = os.path.join(SOURCE, "scenarios", "iris-3.xml")
        paths = {}
        for world, command in (("sim", [RINGSIM, scenario, "--quiet"]),
                               ("real", [RINGNODE, scenario, "--local", "--timeout", "100"])):
            paths[world] = self.path(world + ".json"), self.path(world + ".trace")
            done = subprocess.run([*command, "--set", "epochs=2", "--json", paths[world][0], "--trace",
                                   paths[world][1]], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
        files, traces = zip(*(paths[world] for world in ("sim", "real")))
        told, text = self.compare(*files, "--traces", *traces, "--same-weights", "--all-paired", "--max-error",
                                  "bytes=0,messages=0,values=0,memory=0,c=0,node.sent=0", "-o", self.path("iris.html"))
        self.assertEqual([r["label"] for r in told["runs"]], ["single", "ring", "ringtmp", "server"])
        self.assertEqual((told["unpaired"], told["not_compared"]), ([], []))
        self.assertEqual([found["label"] for found in told["timelines"][0]["strategies"]],
                         ["single", "ring", "ringtmp", "server"])
        self.assertEqual(told["errors"]["energy"]["unknown"], 4)
        self.contains(text, "energy source: model simulated, none measured", "ringnode", "127.0.0.1")
        self.compare(*files, "--max-error", "energy=5%", status=1)  # nobody measured it: how far off is unknown

    def test_two_boards_with_meters(self):
        """Two ranks on boards of their own, each with the log of a meter (made up: 4 and 6 W, 0.5 W up and down)."""
        sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
        from ports import free_ports
        scenario, words = os.path.join(SOURCE, "scenarios", "iris-3.xml"), ["--strategy", "ring", "--set", "nodes=2",
                                                                          "--set", "epochs=60"]
        files, begin, started = [self.path("sim.json"), self.path("real.json")], time.time() - 10, []
        done = subprocess.run([RINGSIM, scenario, "--quiet", *words, "--json", files[0]], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path("hosts"), "w", encoding="utf-8") as hosts:
            hosts.writelines(f"127.0.0.1:{port}\n" for port in free_ports(2))
        for rank, watts in enumerate((4, 6)):
            root, log = self.path(f"board{rank}"), self.path(f"log{rank}.csv")
            os.makedirs(os.path.join(root, "proc/sys/kernel/random"))
            with open(os.path.join(root, "proc/sys/kernel/random/boot_id"), "w", encoding="utf-8") as boot:
                boot.write(f"boot-{rank}\n")
            with open(log, "w", encoding="utf-8") as stream:
                stream.write("time,watts\n")
                stream.writelines(f"{begin + 0.05 * i:.3f},{watts + 0.5 * (i % 2):.2f}\n" for i in range(2400))
            started.append(subprocess.Popen(
                [RINGNODE, scenario, *words, "--rank", str(rank), "--hosts", self.path("hosts"), "--insecure",
                 "--timeout", "100", "--meter", f"csv:{log}", "--sysfs-root", root, "--idle-seconds", "0",
                 *(["--json", files[1]] if rank == 0 else [])], stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        said = [process.communicate(timeout=120) for process in started]
        self.assertEqual([process.returncode for process in started], [0, 0], said)
        told, text = self.compare(*files)
        cells = told["runs"][0]["quantities"]["energy"]
        with open(files[1], encoding="utf-8") as stream:
            real, = json.load(stream)["runs"]
        self.assertEqual(real["meter"]["nodes"], 2)
        # 4.25 and 6.25 W on the mean, within what is stated.
        self.assertLessEqual(abs(cells["measured"] - 10.5 * real["time_s"]), real["meter"]["uncertainty_J"])
        self.assertAlmostEqual(cells["uncertainty"], cells["simulated"] / cells["measured"]
                               * real["meter"]["uncertainty_J"] / cells["measured"], 12)
        self.assertGreater(cells["uncertainty"], 0)
        self.contains(text, f"+-{100 * cells['uncertainty']:.2g} %")


if __name__ == "__main__":
    unittest.main(verbosity=1)
