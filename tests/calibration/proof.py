#!/usr/bin/python3
"""ringcal here, then runs of two nodes over loopback that ringsim predicts from what ringcal wrote.

Nothing that is compared was fitted to: networks of other shapes than any kernel measured, trained by both
programs, iteration against iteration, by analysis/compare.py. What else a shared machine does makes its cores
slower for seconds on end, never faster: runs are repeated in rounds, and the fastest of each is compared, as
ringcal takes the fastest of its passes; medians are printed beside them.
Exit status: 0 every prediction is within the bound; 1 one is not, or a program failed; 77 skipped (one core)."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

# name: inputs, hidden widths, classes, activation, global batch, iterations
NETWORKS = {
    "784-512-512-10": (784, (512, 512), 10, "relu", 1024, 40),
    "300-1200-200-7": (300, (1200, 200), 7, "relu", 384, 80),
    "96-160-160-160-24": (96, (160, 160, 160), 24, "tanh", 256, 300),  # seen while the model was made
    "200-420-260-15": (200, (420, 260), 15, "tanh", 512, 100),
}
STRATEGIES = {
    "all-reduce": 'kind="ring_allreduce"',
    "sequential": 'kind="ring_pipeline" schedule="sequential"',
}


def write_scenario(folder, name, platform, iterations):
    inputs, hidden, classes, activation, batch, usual = NETWORKS[name]
    layers = "".join(f'  <dense outputs="{n}" activation="{activation}"/>\n' for n in hidden)
    with open(os.path.join(folder, f"{name}-network.xml"), "w", encoding="utf-8") as f:
        f.write(f'<network name="{name}" input="{inputs}">\n{layers}  <dense outputs="{classes}"/>\n</network>\n')
    path = os.path.join(folder, f"{name}.xml")
    strategies = "".join(f'  <strategy label="{label}" {rest}/>\n' for label, rest in STRATEGIES.items())
    with open(path, "w", encoding="utf-8") as f:
        f.write(f'<scenario name="{name}" seed="1">\n  <platform file="{platform}"/>\n'
                f'  <network file="{name}-network.xml"/>\n'
                f'  <data kind="random" inputs="{inputs}" classes="{classes}" train="{4 * batch}" test="100"/>\n'
                f'  <training batch="{batch}" iterations="{iterations or usual}" learning-rate="0.01"/>\n'
                f'{strategies}</scenario>\n')
    return path


def run(command, seconds):
    done = subprocess.run(command, timeout=seconds, capture_output=True, text=True)
    if done.returncode:
        print(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}", flush=True)
        sys.exit(1)
    return done.stdout


def mean_of(path, label):
    with open(path, encoding="utf-8") as f:
        return next(r["iteration_s"]["mean"] for r in json.load(f)["runs"] if r["label"] == label)


def calibrate(a, folder):
    """A platform file of two nodes, refused where the fit is bad."""
    platform, raw = os.path.join(folder, "here.xml"), a.raw or os.path.join(folder, "here.json")
    if not (a.raw and os.path.exists(a.raw)):
        print(run([f"{a.build}/ringcal", "--local", "--json", raw, "--max-residual", "1e9"]
                  + (["--quick"] if a.quick else []), 600), flush=True)
    # The fit again, by itself: refused here where it is not good.
    run([f"{a.build}/ringcal", "--fit", raw, "--quiet", "--platform", platform, "--nodes", "2"]
        + (["--max-residual", str(a.max_residual)] if a.max_residual else []), 60)
    return platform


class Case:
    """A network, trained one way: simulated once, measured again and again."""

    def __init__(self, a, folder, name, label):
        self.a, self.folder, self.name, self.label = a, folder, name, label
        self.scenario = write_scenario(folder, name, "here.xml", a.iterations)
        self.simulated = self.file("sim")
        run([f"{a.build}/ringsim", self.scenario, "--set", "nodes=2", "--strategy", label, "--quiet", "--json",
             self.simulated], 120)
        self.told = mean_of(self.simulated, label)
        self.measured = []

    def file(self, kind):
        return os.path.join(self.folder, f"{self.name}-{self.label}-{kind}.json")

    def measure(self):
        path = self.file(f"real-{len(self.measured)}")
        run([f"{self.a.build}/ringnode", self.scenario, "--local", "2", "--strategy", self.label, "--quiet", "--json",
             path], 300)
        self.measured.append((mean_of(path, self.label), path))

    def pair(self):
        """The files to compare, of the fastest run; a line about all of them."""
        self.measured.sort()
        seen = [m for m, _ in self.measured]
        middle = statistics.median(seen)
        print(f"{self.name:18} {self.label:11} simulated {1e3 * self.told:8.3f} ms, measured {1e3 * seen[0]:8.3f}: "
              f"{100 * (self.told / seen[0] - 1):+6.1f} %; median {1e3 * middle:8.3f}: "
              f"{100 * (self.told / middle - 1):+6.1f} %; slowest {1e3 * seen[-1]:8.3f}", flush=True)
        return [self.simulated, self.measured[0][1]]


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", required=True, help="folder of ringcal, ringnode and ringsim")
    p.add_argument("--bound", default="15%", help="on every iteration's error (default 15%%)")
    p.add_argument("--rounds", type=int, default=14, help="of every run (default 14)")
    p.add_argument("--iterations", type=int, help="of every run")
    p.add_argument("--only", action="append", help="strategies (default: all)")
    p.add_argument("--max-residual", type=float, help="of ringcal (its default)")
    p.add_argument("--raw", help="measurements of ringcal: read where they are there, else written")
    p.add_argument("--quick", action="store_true", help="ringcal --quick: to try the script itself")
    a = p.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        print("skipped: two nodes need two cores")
        return 77
    compare = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../analysis/compare.py")
    with tempfile.TemporaryDirectory() as folder:
        calibrate(a, folder)
        cases = [Case(a, folder, name, label) for name in NETWORKS for label in a.only or STRATEGIES]
        for _ in range(a.rounds):
            print(f"load {os.getloadavg()[0]:.2f}", flush=True)
            for case in cases:
                case.measure()
        pairs = [file for case in cases for file in case.pair()]
        done = subprocess.run([sys.executable, "-B", compare, *pairs, "--max-error", f"iteration={a.bound}",
                               "--all-paired"], timeout=120)
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
