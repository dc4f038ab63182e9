#!/usr/bin/env python3
"""Results of every shipped scenario, simulated and over sockets, against the schema that ships with the programs; and
results with a fault in them, which it must refuse.

    test_result_schema.py BUILD

By a small validator that knows what the schema uses, and by python3-jsonschema where it is installed.
"""

import copy
import glob
import json
import os
import subprocess
import sys
import tempfile
import unittest

try:
    import jsonschema
except ImportError:
    jsonschema = None

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(sys.argv.pop(1))
SHORT = ["--set", "numerics=skip", "--set", "iterations=20"]
# What makes a scenario short, beside that: some runs of a sweep, or few nodes.
FEW = {"aim": ["--shard", "1/15"], "losses": ["--shard", "1/54"], "formula-sweep": ["--shard", "1/20"],
       "scaling": ["--set", "nodes=4"], "scaling-8192": ["--set", "nodes=128"], "jitter": ["--shard", "1/16"], "pi-cluster-64": ["--set", "nodes=8"]}
NEEDS_DATA = ["mnist-3"]  # that does not ship
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
         "null": type(None)}


def is_type(value, name):
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def faults(value, schema, path="result"):
    """What is wrong with a value, by the words of draft 07 that the schema uses; any other is an error of this test."""
    unknown = set(schema) - {"$schema", "title", "description", "type", "properties", "required", "items", "enum",
                             "minimum", "additionalProperties"}
    assert not unknown, unknown
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(is_type(value, name) for name in types):
        return [f"{path}: {value!r} is no {types}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path}: {value!r} is none of {schema['enum']}")
    if "minimum" in schema and value is not None and value < schema["minimum"]:
        found.append(f"{path}: {value!r} is too small")
    if isinstance(value, dict):
        found += [f"{path}: no {key}" for key in schema.get("required", []) if key not in value]
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
            found += faults(item, inner, f"{path}.{key}")
    if isinstance(value, list):
        for i, item in enumerate(value):
            found += faults(item, schema.get("items", {}), f"{path}[{i}]")
    return found


def is_valid(result, schema):
    mine = not faults(result, schema)
    if jsonschema and jsonschema.Draft7Validator(schema).is_valid(result) != mine:
        raise AssertionError("jsonschema and this test do not agree")
    return mine


class Schema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(SOURCE, "docs", "result.schema.json"), encoding="utf-8") as stream:
            cls.schema = json.load(stream)
        if jsonschema:
            jsonschema.Draft7Validator.check_schema(cls.schema)

    def result(self, program, scenario, *options):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "result.json")
            subprocess.run([os.path.join(BUILD, program), scenario, "--quiet", "--json", path, *options], check=True,
                           cwd=SOURCE, timeout=600)
            with open(path, encoding="utf-8") as stream:
                return json.load(stream)

    def check(self, result):
        self.assertEqual(faults(result, self.schema), [])
        self.assertTrue(is_valid(result, self.schema))
        self.assertTrue(result["runs"])

    def test_every_scenario(self):
        scenarios = sorted(glob.glob(os.path.join(SOURCE, "scenarios", "*.xml")))
        self.assertGreater(len(scenarios), len(NEEDS_DATA))
        for scenario in scenarios:
            name = os.path.basename(scenario)[:-len(".xml")]
            if name not in NEEDS_DATA:
                with self.subTest(name):
                    self.check(self.result("ringsim", scenario, *SHORT, *FEW.get(name, [])))

    def test_with_numerics_and_a_goal(self):
        result = self.result("ringsim", "tests/data/energy-stop.xml")
        self.check(result)
        self.assertTrue(any(run["to_accuracy"] and run["training"] for run in result["runs"]))

    def test_over_sockets(self):
        result = self.result("ringnode", "scenarios/iris-3.xml", "--local", "2", "--set", "epochs=2", "--set", "nodes=2")
        self.check(result)
        self.assertIn("sockets", result["host"])
        clocks = [node["clock"] for run in result["runs"] for node in run["per_node"] if node["rank"] == 1]
        self.assertTrue(clocks and all(clocks))

    def test_faults_are_refused(self):
        good = self.result("ringsim", "scenarios/iris-3.xml", *SHORT)
        changes = [lambda r: r.pop("seed"), lambda r: r.update(runs={}), lambda r: r.update(schema=None),
                   lambda r: r["runs"][0].pop("traffic"), lambda r: r["runs"][0].update(status="well"),
                   lambda r: r["runs"][0].update(nodes=-1), lambda r: r["runs"][0].update(nodes=1.5),
                   lambda r: r["runs"][0].update(time_s="1"), lambda r: r["runs"][0]["formula"].update(overlap=1),
                   lambda r: r["runs"][0].update(energy_J=None), lambda r: r["runs"][0]["params"].update(a=None),
                   lambda r: r["runs"][0]["per_node"][0].pop("rank"), lambda r: r["runs"][0]["final"].update(loss=True)]
        for i, change in enumerate(changes):
            bad = copy.deepcopy(good)
            change(bad)
            with self.subTest(i):
                self.assertFalse(is_valid(bad, self.schema))
        good["runs"][0]["a field of a later version"] = [1]
        self.assertTrue(is_valid(good, self.schema))


if __name__ == "__main__":
    unittest.main()
