"""One more of everything, in a copy of the sources: a strategy, a schedule, a layer, a kind of dataset, a
meter, a setting and a result field, each added as docs/architecture.md says, by at most one new file and
one line in one table. Then the programs are built, and know them.

    test_additions.py [--keep]

Prints what each addition takes."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

SCHEDULE = r"""/* All micro-batches forward, then backward from the last to the first. */
#include "strategies/ring.h"

static void order(struct rg_plan_writer *w, int units, int depth)
{
    (void)depth;
    rg_plan_begin_body(w);
    for (int u = 0; u < units; u++)
        rg_plan_put_forward(w, u);
    for (int u = 0; u < units; u++)
        rg_plan_put_backward(w, u);
    rg_plan_put_update(w, units - 1);
}

static int whole_batch(const struct rg_ring *ring, int stage, int in_flight)
{
    (void)stage, (void)in_flight;
    return ring->micro;
}

static double seconds(const struct rg_ring *ring, const struct rg_stage_forms *forms)
{
    return 2 * ring->micro * forms[0].round;
}

const struct rg_schedule rg_schedule_added = {
    .synchronous = true,
    .overlaps = true,
    .stash = RG_STASH_ACTIVATIONS,
    .units_a_node = 2,
    .depth = whole_batch,
    .order = order,
    .seconds = seconds,
};
"""


def read(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def like(path, old, new):
    """A file of the tree under another name: what a newcomer copies first."""
    return read(os.path.join(SOURCE, path)).replace(old, new)


class Addition:
    """At most one new file and one line behind an anchor in one table; `code`, the place where a value
    is kept or computed, is (path, anchor, line)."""

    def __init__(self, what, table, after, line, file=None, text="", code=None):
        self.what, self.table, self.after, self.line = what, table, after, line
        self.file, self.text, self.code = file, text, code

    def insert(self, root, path, after, line):
        full = os.path.join(root, path)
        text = read(full)
        found = re.search(after, text, re.M)
        if not found:
            raise AssertionError(f"{self.what}: no {after!r} in {path}")
        with open(full, "w", encoding="utf-8") as stream:
            stream.write(text[:found.end()] + "\n" + line + text[found.end():])

    def apply(self, root):
        self.insert(root, self.table, self.after, self.line)
        took = f"a line in {self.table}"
        if self.file:
            with open(os.path.join(root, self.file), "w", encoding="utf-8") as stream:
                stream.write(self.text)
            took = f"{self.file}, {took}"
        if self.code:
            self.insert(root, *self.code)
            took += f"; its value in {self.code[0]}"
        print(f"{self.what}: {took}")


ADDITIONS = [
    Addition("strategy", "runtime/strategies/list.def", r"^RG_STRATEGY\(single\)", "RG_STRATEGY(added)",
             "runtime/strategies/added.c",
             like("runtime/strategies/single.c", "rg_strategy_single", "rg_strategy_added")
             .replace('.name = "single"', '.name = "added"')),
    Addition("schedule", "runtime/strategies/schedules.def", r"^RG_SCHEDULE\(gpipe, .*\)$",
             'RG_SCHEDULE(added, "added", "forward, then backward")',
             "runtime/strategies/schedule_added.c", SCHEDULE),
    Addition("layer", "models/layers.def", r"^RG_LAYER\(dense\)", "RG_LAYER(added)",
             "models/layer_added.c",
             like("models/layer_dense.c", "rg_layer_dense", "rg_layer_added").replace('"dense"', '"added"')),
    Addition("dataset", "models/data.def", r"^RG_DATA\(random\)", "RG_DATA(added)",
             "models/data_added.c",
             like("models/data_random.c", "rg_data_random", "rg_data_added").replace('"random"', '"added"')),
    Addition("meter", "runtime/meters/meters.def", r"^RG_METER\(csv\)", "RG_METER(added)",
             "runtime/meters/meter_added.c",
             like("runtime/meters/meter_rapl.c", "rg_meter_rapl", "rg_meter_added")
             .replace('"rapl"', '"added"')),
    Addition("setting", "runtime/scenario/settings.c", r"^    /\* <training> \*/",
             '    {"training", "added", "added", REAL(0, 10), AT(training.added), .help = "a number"},',
             code=("runtime/scenario/scenario.h", r"^struct rg_training \{", "    double added;")),
    Addition("result field", "runtime/result/result_fields.def",
             r"^COUNT\(late_receives, .*\)$",
             'COUNT(added, "1", SUM, GROWS, 0, "Receives, once more.")',
             code=("runtime/node/node_gather.c", r"^    own->late_receives = .*;$",
                   "    own->added = c->messages_received;")),
]

SCENARIO = """<scenario name="added">
  <platform file="{source}/platforms/pi4-gigabit-3.xml"/>
  <network file="net.xml"/>
  <data kind="added" inputs="6" classes="3" train="64" test="16"/>
  <training batch="16" epochs="2" learning-rate="0.1" added="7"/>
  <strategy label="alone" kind="added"/>
  <strategy label="ring" kind="ring_pipeline" schedule="added" micro-batches="4"/>
  <strategy label="gpipe" kind="ring_pipeline" schedule="gpipe" micro-batches="4"/>
</scenario>
"""

NETWORK = """<network name="added" input="6">
  <added outputs="8" activation="relu"/>
  <added outputs="8" activation="relu"/>
  <dense outputs="3"/>
</network>
"""


class Added(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix="ringtmp-additions-")
        if "--keep" not in sys.argv:
            cls.addClassCleanup(shutil.rmtree, cls.root)
        files = subprocess.run(["git", "-C", SOURCE, "ls-files", "--cached", "--others", "--exclude-standard"],
                               check=False, capture_output=True, text=True)
        if files.returncode:
            shutil.copytree(SOURCE, cls.root, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("build", ".git"))
        for path in files.stdout.splitlines():
            if os.path.isfile(os.path.join(SOURCE, path)):
                os.makedirs(os.path.dirname(os.path.join(cls.root, path)), exist_ok=True)
                shutil.copy(os.path.join(SOURCE, path), os.path.join(cls.root, path))
        print()
        for addition in ADDITIONS:
            addition.apply(cls.root)
        cls.build = os.path.join(cls.root, "build", "added")
        cls.run_in(cls.root, "cmake", "-S", ".", "-B", cls.build, "-G", "Ninja", "-DBUILD_TESTING=OFF",
                   "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_FLAGS_RELEASE=-O1")
        cls.run_in(cls.root, "cmake", "--build", cls.build, "--target", "ringsim", "ringnode")
        for name, text in (("s.xml", SCENARIO.format(source=cls.root)), ("net.xml", NETWORK)):
            with open(os.path.join(cls.root, name), "w", encoding="utf-8") as stream:
                stream.write(text)

    @classmethod
    def run_in(cls, folder, *command):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(" ".join(command) + "\n" + done.stdout[-4000:] + done.stderr[-4000:])
        return done.stdout

    def ringsim(self, *options):
        return self.run_in(self.root, os.path.join(self.build, "ringsim"), *options)

    def result(self, *options):
        return json.loads(self.ringsim("s.xml", "--quiet", "--json", "-", *options))

    def test_list_and_help_name_all(self):
        listed = self.ringsim("--list")
        for line in (r"^  added: one node", r"^ +added: forward, then backward", r"^  added +y = act",
                     r"^  added +noise of a shape", r'^      added="0"', r"^Keys of --set .* added "):
            self.assertRegex(listed, re.compile(line, re.M))
        node = os.path.join(self.build, "ringnode")
        self.assertRegex(self.run_in(self.root, node, "--meter", "help"), re.compile(r"^  added ", re.M))
        self.assertRegex(re.sub(r"\s+", " ", self.run_in(self.root, node, "--help")),
                         r"Measure energy with auto, .*, added, other")

    def test_scenario_runs(self):
        runs = {run["label"]: run for run in self.result()["runs"]}
        self.assertEqual({run["status"] for run in runs.values()}, {"ok"})
        self.assertEqual(runs["alone"]["kind"], "added")
        self.assertEqual(runs["ring"]["params"]["schedule"], "added")
        # Another order of the same additions' terms: each unit's gradients are summed as gpipe does.
        self.assertEqual(runs["ring"]["weights_sha256"], runs["gpipe"]["weights_sha256"])

    def test_field_is_summed_over_nodes(self):
        for run in self.result()["runs"]:
            self.assertEqual(run["added"], run["traffic"]["messages"])

    def test_setting_is_read_and_set(self):
        self.ringsim("s.xml", "--check", "--set", "added=9")
        refused = subprocess.run([os.path.join(self.build, "ringsim"), "s.xml", "--set", "added=11"],
                                 cwd=self.root, capture_output=True, text=True, check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("from 0 up to 10 are allowed", refused.stderr)
        self.assertIn('"added"', self.ringsim("--schema"))


if __name__ == "__main__":
    unittest.main(argv=[word for word in sys.argv if word != "--keep"])
