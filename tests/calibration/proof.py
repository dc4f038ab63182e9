#!/usr/bin/python3
"""ringcal here, then runs of two nodes over loopback that ringsim predicts from what ringcal wrote.

Nothing that is compared was fitted to: networks of other shapes than any kernel measured, trained by both
programs, iteration against iteration, by analysis/compare.py. Times are of this machine, which should be quiet.
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
    "300-1200-200-7": (300, (1200, 200), 7, "relu", 384, 60),
    "96-160-160-160-24": (96, (160, 160, 160), 24, "tanh", 256, 200),  # seen while the model was made
    "200-420-260-15": (200, (420, 260), 15, "tanh", 512, 80),
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
    platform = os.path.join(folder, "here.xml")
    raw = a.raw or os.path.join(folder, "here.json")
    if not (a.raw and os.path.exists(a.raw)):
        print(run([f"{a.build}/ringcal", "--local", "--json", raw, "--max-residual", "1000"]
                  + (["--quick"] if a.quick else []), 600), flush=True)
    # The fit again, by itself: refused here where it is not good.
    run([f"{a.build}/ringcal", "--fit", raw, "--quiet", "--platform", platform, "--nodes", "2"]
        + (["--max-residual", str(a.max_residual)] if a.max_residual else []), 60)
    return platform


def one_network(a, folder, name, platform, label):
    """(simulated, measured) result files: of the measured ones, the run with the median iteration."""
    scenario = write_scenario(folder, name, platform, a.iterations)
    simulated = os.path.join(folder, f"{name}-{label}-sim.json")
    run([f"{a.build}/ringsim", scenario, "--set", "nodes=2", "--strategy", label, "--quiet", "--json", simulated],
        120)
    measured = []
    for i in range(a.repeat):
        path = os.path.join(folder, f"{name}-{label}-real-{i}.json")
        run([f"{a.build}/ringnode", scenario, "--local", "2", "--strategy", label, "--quiet", "--json", path], 300)
        measured.append((mean_of(path, label), path))
    measured.sort()
    told, seen = mean_of(simulated, label), statistics.median(m for m, _ in measured)
    print(f"{name:20} {label:11} simulated {1e3 * told:8.3f} ms, measured {1e3 * seen:8.3f} ms "
          f"({1e3 * measured[0][0]:.3f} to {1e3 * measured[-1][0]:.3f}): {100 * (told / seen - 1):+.1f} %",
          flush=True)
    return [simulated, next(path for mean, path in measured if mean >= seen)]


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", required=True, help="folder of ringcal, ringnode and ringsim")
    p.add_argument("--bound", default="15%", help="on every iteration's error (default 15%%)")
    p.add_argument("--repeat", type=int, default=5, help="runs of which the median counts")
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
        print(f"load {os.getloadavg()[0]:.2f}", flush=True)
        platform = calibrate(a, folder)
        pairs = []
        for name in NETWORKS:
            for label in a.only or STRATEGIES:
                pairs += one_network(a, folder, name, platform, label)
        print(f"load {os.getloadavg()[0]:.2f}", flush=True)
        done = subprocess.run([sys.executable, "-B", compare, *pairs, "--max-error", f"iteration={a.bound}",
                               "--all-paired"], timeout=120)
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
