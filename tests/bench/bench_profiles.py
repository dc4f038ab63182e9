#!/usr/bin/python3
"""How well profiles predict: iterations of the five published networks (models/networks) on this machine, one node and
a ring of two over loopback, simulated from a profile measured just before and from the datasheet alone.

  tests/bench/bench_profiles.py [--build build/release] [--rounds 10] [--window 0.6] [--platform here.xml] [NETWORK...]

For every network ringcal measures its layers, by itself for one node and with two copies for two, ringsim simulates both
runs with that profile and without it, and ringnode --local runs them, in rounds. What else a shared machine does makes
its cores slower, never faster: the fastest run counts, by the median of its iterations, as of every layer the least
counts. The datasheet is ringcal --local's, or --platform's. Nothing is asserted; --most PERCENT says how many
predictions are within it."""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Batch of an update, micro-batches of the ring, iterations of a run.
RUNS = {"lenet-5": (64, 4, 200), "resnet-20": (16, 4, 12), "mobilenet-v2-35": (16, 4, 12),
        "sensors-resnet": (32, 4, 60), "gpt-bytes": (8, 4, 60)}
STRATEGIES = {"single": (1, 'kind="single"'),
              "ring": (2, 'kind="ring_pipeline" schedule="1f1b" stages="2" micro-batches="{}"')}


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}{done.stdout}")
    return done.stdout


def data_of(path, batch):
    """Samples of that network: noise, or text where its inputs are tokens."""
    root = ElementTree.parse(path).getroot()
    inputs = math.prod(int(size) for size in root.get("input").split("x"))
    if root[0].tag == "embedding":
        return f'kind="text" file="{ROOT}/LICENSE" context="{inputs}" stride="16"'
    return f'kind="random" inputs="{inputs}" classes="{root[-1].get("outputs")}" train="{8 * batch}" test="16"'


class Case:
    """A network trained one way: measured layer by layer, simulated twice, run again and again."""

    def __init__(self, a, folder, platform, name, label):
        self.a, self.folder, self.name, self.label = a, folder, name, label
        self.nodes, strategy = STRATEGIES[label]
        batch, micro, self.iterations = RUNS[name]
        network = f"{ROOT}/models/networks/{name}.xml"
        self.profile = self.file("profile.json")
        self.pieces = batch if label == "single" else batch // micro
        self.scenario = self.file("xml")
        with open(self.scenario, "w", encoding="utf-8") as f:
            f.write(f'<scenario name="{name}" seed="1">\n  <platform file="{platform}"/>\n'
                    f'  <network file="{network}"/>\n  <data {data_of(network, batch)}/>\n'
                    f'  <training batch="{batch}" iterations="{self.iterations}" learning-rate="1e-4"/>\n'
                    f'  <strategy label="{label}" {strategy.format(micro)}/>\n</scenario>\n')
        self.profiled = self.file("profiled.xml")
        with open(self.scenario, encoding="utf-8") as f, open(self.profiled, "w", encoding="utf-8") as to:
            to.write(f.read().replace("  <strategy", f'  <profile nodes="0-{self.nodes - 1}" file="{self.profile}"/>\n'
                                      "  <strategy"))
        self.network, self.runs = network, []

    def file(self, kind):
        return os.path.join(self.folder, f"{self.name}-{self.label}.{kind}")

    def calibrate(self):
        run([f"{self.a.build}/ringcal", "--network", self.network, "--batches", str(self.pieces), "--copies",
             str(self.nodes), "--window", str(self.a.window), "--quiet", "--json", self.profile])

    def iteration(self, command, scenario, kind, figure):
        out = self.file(kind)
        run(command + [scenario, "--quiet", "--json", out])
        with open(out, encoding="utf-8") as f:
            return json.load(f)["runs"][0]["iteration_s"][figure]

    def simulate(self):
        sim = [f"{self.a.build}/ringsim", "--set", "numerics=skip"]
        self.told = self.iteration(sim, self.profiled, "told.json", "mean")
        self.modelled = self.iteration(sim, self.scenario, "modelled.json", "mean")

    def measure(self):
        # The profiled scenario: the ring is cut where it is in the simulation.
        self.runs.append(self.iteration([f"{self.a.build}/ringnode", "--local", str(self.nodes)], self.profiled,
                                        "real.json", "p50"))

    def line(self):
        best = min(self.runs)
        self.error = 100 * (self.told / best - 1)
        print(f"{self.name:16} {self.label:7} {1e3 * best:9.3f} ms {1e3 * self.told:9.3f} ms {self.error:+6.1f} %"
              f" {1e3 * self.modelled:9.3f} ms {100 * (self.modelled / best - 1):+6.1f} %"
              f" {1e3 * sorted(self.runs)[len(self.runs) // 2]:9.3f} ms", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("network", nargs="*", help="of models/networks (default: all five)")
    p.add_argument("--build", default=os.path.join(ROOT, "build/release"), help="folder of the programs")
    p.add_argument("--rounds", type=int, default=10, help="of every run (default 10)")
    p.add_argument("--window", type=float, default=0.6, help="seconds of ringcal at a batch, in each of four passes")
    p.add_argument("--platform", help="a datasheet of this machine (default: ringcal --local)")
    p.add_argument("--most", type=float, default=10, help="percent that a prediction should be within (default 10)")
    a = p.parse_args()
    if unknown := [n for n in a.network if n not in RUNS]:
        p.error(f"{unknown[0]}: {', '.join(RUNS)} are allowed")
    with tempfile.TemporaryDirectory() as folder:
        platform = os.path.abspath(a.platform) if a.platform else os.path.join(folder, "here.xml")
        if not a.platform:
            run([f"{a.build}/ringcal", "--local", "--quiet", "--max-residual", "1000", "--platform", platform])
        print(f"{'':24} {'measured':>12} {'profile':>12} {'off by':>8} {'datasheet':>12} {'off by':>8} {'median run':>12}")
        cases = [Case(a, folder, platform, name, label) for name in a.network or RUNS for label in STRATEGIES]
        for case in cases:
            case.calibrate()
            case.simulate()
            for _ in range(a.rounds):
                case.measure()
            case.line()
    within = sum(abs(case.error) <= a.most for case in cases)
    print(f"measured: the fastest of {a.rounds} runs, the median of its iterations; {within} of {len(cases)} predictions "
          f"from profiles within {a.most:g} %")


if __name__ == "__main__":
    main()
