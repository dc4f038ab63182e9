#!/usr/bin/python3
"""Processor seconds (user and system, all processes) and peak memory of whole runs of ringsim, large ones with numerics
skipped and small ones with real numerics; with --against as ratios to another build, run by turns.

  tests/bench/bench_runs.py [--build build/release] [--against OTHER/build/release] [--only NAME]... [--repeat 1]

The other build may be of an older version: it gets no --engine, and where it has engines it takes the default one too.
Simulated times are printed: in builds that simulate the same they are the same. Last comes, within --build alone, what a ring of 8 costs on
the calendar over one node with as many micro-batches and the same numerics, and an asynchronous server of 1,000 workers and
1,000,000 pushes over one in step with as many messages.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NETWORK = """<network name="deep" input="784">
  <dense outputs="256" activation="relu"/>
  <residual hidden="256" activation="relu" repeat="{repeat}"/>
  <dense outputs="10"/>
</network>
"""
SCENARIO = """<scenario name="{name}" seed="1">
  <platform file="platform.xml"/>
  <network file="network.xml"/>
  <data kind="{data}" train="{train}" test="{test}"{shape}/>
  <training batch="{batch}" iterations="{iterations}" learning-rate="0.002"{more}/>
  {strategies}
</scenario>
"""
LARGE = dict(data="random", train=65536, test=0, shape=' inputs="784" classes="10"', iterations=1, more=' numerics="skip"')
# Nodes, layers, batch, strategy.
MADE = {
    "all-reduce of 1,024": (1024, 512, 1024, 'kind="ring_allreduce" buckets="1"'),
    "rings of 8 on 2,048": (2048, 512, 8192, 'kind="ring_pipeline" schedule="1f1b" replicas="256" micro-batches="32"'),
    "N/8 servers on 1,024": (1024, 512, 1024, 'kind="parameter_server" servers="128"'),
    "one ring of 10,000": (10000, 10000, 1024, 'kind="ring_pipeline" schedule="1f1b" micro-batches="32"'),
    "one server, 16,383 workers": (16384, 512, 16384, 'kind="parameter_server" servers="1"'),
}
SHIPPED = {
    "scaling.xml": ("scaling.xml",),
    "pi-cluster-64.xml": ("pi-cluster-64.xml", "--set", "iterations=6"),
    "pi-cluster-64.xml, all-reduce": ("pi-cluster-64.xml", "--set", "iterations=6", "--strategy", "all-reduce"),
}
BOTH_ENGINES = ("scaling.xml", "pi-cluster-64.xml", "pi-cluster-64.xml, all-reduce")


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    return path


def write_platform(folder, nodes):
    with open(os.path.join(ROOT, "platforms", "pi4-gigabit-64.xml"), encoding="utf-8") as stream:
        text = stream.read()
    assert text.count('radical="0-63"') == 1
    text = re.sub(r'.*"rg_disk_rate".*\n', "", text)  # earlier builds know none
    write(folder, "platform.xml", text.replace('radical="0-63"', f'radical="0-{nodes - 1}"'))


def tree_of(build):
    """Each build simulates what was shipped with it: earlier ones do not know all that files say today."""
    tree = os.path.dirname(os.path.dirname(os.path.abspath(build)))
    return tree if os.path.isdir(os.path.join(tree, "scenarios")) else ROOT


def make(folder, name):
    """The arguments of a run; {} stands for the folder of scenarios."""
    if name in SHIPPED:
        path, *more = SHIPPED[name]
        return [os.path.join("{}", path), *more]
    nodes, layers, batch, strategy = MADE[name]
    write_platform(folder, nodes)
    write(folder, "network.xml", NETWORK.format(repeat=layers - 2))
    return [write(folder, "scenario.xml",
                  SCENARIO.format(name="large", batch=batch, strategies=f'<strategy label="run" {strategy}/>', **LARGE))]


def run(build, arguments):
    """Processor seconds, MiB, simulated seconds of all runs together."""
    with tempfile.TemporaryDirectory() as folder:
        result = os.path.join(folder, "result.json")
        path = arguments[0].format(os.path.join(tree_of(build), "scenarios"))
        with subprocess.Popen([os.path.join(build, "ringsim"), path, *arguments[1:], "--quiet", "--jobs", "1", "--json", result]) as child:
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise SystemExit(f"bench_runs: ringsim {arguments[0]}: exit status {child.returncode}")
        with open(result, encoding="utf-8") as stream:
            simulated = sum(run["time_s"] or 0 for run in json.load(stream)["runs"])
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, simulated


def measure(options, name, arguments, engine=()):
    turns = []
    for _ in range(options.repeat):
        ours = run(options.build, [*arguments, *engine])
        theirs = run(options.against, arguments) if options.against else None
        turns.append((ours, theirs))
    cpu, memory, simulated = map(statistics.median, zip(*(ours for ours, _ in turns)))
    line = f"{name:40} {cpu:9.2f} {memory:8.0f} {simulated:14.6f}"
    if options.against:
        ratios = [statistics.median(ours[i] / theirs[i] for ours, theirs in turns) for i in range(3)]
        line += f" {ratios[0]:8.3f} {ratios[1]:8.3f} {ratios[2]:10.6f}"
    print(line, flush=True)


def measure_numerics(options):
    """A ring of 8 with 8 micro-batches over `single` with as many."""
    strategies = ('<strategy label="single" kind="single" micro-batches="8"/>'
                  '<strategy label="ring" nodes="8" kind="ring_pipeline" schedule="1f1b" micro-batches="8"/>')
    with tempfile.TemporaryDirectory() as folder:
        write_platform(folder, 8)
        with open(os.path.join(ROOT, "models", "networks", "digits-mlp.xml"), encoding="utf-8") as stream:
            write(folder, "network.xml", stream.read())
        path = write(folder, "scenario.xml", SCENARIO.format(name="numerics", data="digits", train=8192, test=64, shape="", batch=256,
                                                             iterations=32, more=' optimizer="adam"', strategies=strategies))
        ratios = []
        for _ in range(options.repeat):
            single, ring = [run(options.build, [path, "--engine", "calendar", "--strategy", label])[0] for label in ("single", "ring")]
            ratios.append(ring / single)
    print(f"a ring of 8 with numerics over `single`: {statistics.median(ratios):.2f}")


def measure_asynchronous(options, workers=1000, pushes=1000000):
    """A pair of server and worker has four messages a clock out of step, two in step."""
    used = []
    with tempfile.TemporaryDirectory() as folder:
        write_platform(folder, workers + 1)
        with open(os.path.join(ROOT, "models", "networks", "iris-mlp.xml"), encoding="utf-8") as stream:
            write(folder, "network.xml", stream.read())
        for consistency, iterations in (("async", pushes // workers), ("bsp", 2 * pushes // workers)):
            strategy = f'<strategy label="run" kind="parameter_server" consistency="{consistency}"/>'
            path = write(folder, "scenario.xml", SCENARIO.format(
                name="asynchronous", batch=workers, strategies=strategy,
                **{**LARGE, "train": pushes, "shape": ' inputs="4" classes="3"', "iterations": iterations}))
            turns = [run(options.build, [path, "--full"])[:2] for _ in range(options.repeat)]
            used.append([statistics.median(values) for values in zip(*turns)])
    (slow, much), (fast, little) = used
    print(f"asynchronous server, {pushes:,} pushes, over one in step: {slow / fast:.2f} of its time, "
          f"{1024 * (much - little) / workers:+.1f} KiB a worker")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--against", help="a build of another commit")
    parser.add_argument("--only", action="append", choices=(*MADE, *SHIPPED, "numerics", "asynchronous"))
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    print(f"{'':40} {'CPU s':>9} {'MiB':>8} {'simulated s':>14}" + " CPU, MiB, simulated: ratios" * bool(options.against))
    for name in options.only or (*MADE, *SHIPPED):
        if name in ("numerics", "asynchronous"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            arguments = make(folder, name)
            measure(options, name, arguments)
            if name in BOTH_ENGINES:
                measure(options, f"{name}, calendar", arguments, ("--engine", "calendar"))
    if not options.only or "numerics" in options.only:
        measure_numerics(options)
    if not options.only or "asynchronous" in options.only:
        measure_asynchronous(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
