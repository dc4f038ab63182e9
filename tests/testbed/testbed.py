#!/usr/bin/python3 -B
"""Runs a scenario on N emulated nodes (namespaces, shaped links, paced computations), simulates the
same, and says how far apart the two are.

Happy path: build the network, measure its one-way delay, write the platform file, run ringnode in
every node and ringsim beside it, compare, print a table, write the results.
Failure modes handled: see net.py for the network; a node that fails or a run that hangs (its words
are printed, status 1); a machine too slow for the board it stands for (ringnode calls the run
invalid); programs that are not built (status 2)."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import net  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SPEEDS = ("rg_gemm_rate", "rg_gemm_rate_all", "rg_vector_rate", "rg_memory_rate",
          "rg_memory_rate_all")

# For the delay: next to no bytes and computing, so that a hop is all that takes time.
PROBE_NETWORK = ('<?xml version="1.0"?>\n<network name="probe" input="4">\n'
                 '  <residual hidden="4" activation="relu" repeat="2"/>\n</network>\n')
PROBE = """<?xml version="1.0"?>
<scenario name="probe" seed="1">
  <platform file="platform.xml"/>
  <network file="probe-network.xml"/>
  <data kind="random" train="64" test="0" inputs="4" classes="4"/>
  <training batch="4" iterations="200" learning-rate="0.01"/>
  <strategy label="probe" kind="ring_pipeline" schedule="sequential"/>
</scenario>
"""

EXAMPLES = """examples:
  testbed.py scenarios/iris-3.xml --nodes 3 --rate 100 --speed 0.01
  testbed.py my.xml --nodes 8 --rate 20 --json measured.json --sim-json simulated.json
  testbed.py my.xml --nodes 4 --rate 50 --datasheet platforms/pi4-gigabit-64.xml --repeat 3

Needs root, or user namespaces. Exit status: 0 done; 1 a run failed; 2 bad usage; 77 skipped, since
namespaces or shaping are not allowed here. What is measured here is an emulated network with paced
computations, not boards."""


def datasheet(path, speed):
    """Properties of the first board in a platform file, computing at `speed` times its rates."""
    for element in ElementTree.parse(path).getroot().iter():
        props = {p.get("id"): p.get("value") for p in element.findall("prop")}
        if "rg_board" in props:
            for key in SPEEDS:
                props[key] = repr(float(props[key]) * speed)
            props["rg_call_s"] = repr(float(props["rg_call_s"]) / speed)
            return props
    raise ValueError(f"{path}: has no host or cluster with the property rg_board")


def platform_text(props, nodes, rate, burst, delay_s):
    """The network as ringsim is told of it: rate, delay and burst; processor time of messages is
    this machine's own, and is in the delay."""
    props = dict(props)
    props.update({"rg_board": props["rg_board"][:30] + " (paced)",
                  "rg_port_rate": repr(rate / 8), "rg_port_burst": str(burst),
                  "rg_port_queue": str(net.QUEUE_BYTES),
                  "rg_latency_s": repr(delay_s), "rg_message_s": "0", "rg_byte_s": "0",
                  "rg_frame_payload": str(net.FRAME_PAYLOAD),
                  "rg_frame_bytes": str(net.FRAME_BYTES)})
    clocks = props["rg_clocks"].split()
    rate0 = float(props["rg_gemm_rate"]) / float(clocks[0])
    speeds = ",".join(f"{rate0 * float(c)}f" for c in clocks)
    lines = [f'<cluster id="testbed" prefix="node-" radical="0-{nodes - 1}" suffix="" '
             f'speed="{speeds}" core="{props["rg_cores"]}" bw="{rate / 8}Bps" '
             f'lat="{delay_s / 2}s" sharing_policy="SPLITDUPLEX">']
    lines += [f'  <prop id="{key}" value="{value}"/>' for key, value in props.items()]
    return ('<?xml version="1.0"?>\n'
            '<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">\n'
            '<platform version="4.1">\n<zone id="emulated" routing="Full">\n'
            + "\n".join(lines) + "\n</cluster>\n</zone>\n</platform>\n")


class Failed(Exception):
    """A program ended otherwise than it should; its words."""


class Bench:
    """A network and the programs that run on it."""

    def __init__(self, build, nodes, rate, burst, delay_s=None, slow_start=False,
                 engine="auto"):
        self.ringnode, self.ringsim = (os.path.join(build, p) for p in ("ringnode", "ringsim"))
        self.engine = engine
        self.network = net.Network(nodes, rate, burst, slow_start)
        self.nodes, self.rate, self.burst = nodes, rate, burst
        told = subprocess.run([self.ringnode, "--help"], capture_output=True, text=True).stdout
        self.open_to_all = ["--insecure"] if "--insecure" in told else []  # nobody else is here
        self.delay_s = delay_s
        if delay_s is None:
            self.delay_s = self.one_way_s()

    def reshape(self, rate, burst):
        self.rate, self.burst = rate, burst
        self.network.reshape(rate, burst)

    def path(self, name):
        return os.path.join(self.network.folder, name)

    def platform(self, props):
        path = self.path("platform.xml")
        with open(path, "w", encoding="ascii") as stream:
            stream.write(platform_text(props, self.nodes, self.rate, self.burst, self.delay_s))
        return path

    def measure(self, scenario, options, timeout_s, extra=(), nodes=None, disturb=None):
        """The result of ringnode on all nodes, or the first few. disturb: is told all processes once
        they have been started, and returns which of them may end in any way."""
        count = nodes or self.nodes
        hosts = self.path("hosts.txt")
        with open(hosts, "w", encoding="ascii") as stream:
            stream.writelines(f"{self.network.address(i)}:7470\n" for i in range(count))
        out = self.path("measured.json")
        if os.path.exists(out):
            os.remove(out)
        logs = [open(self.path(f"log{i}"), "w+", encoding="utf-8") for i in range(count)]
        environment = dict(os.environ, OPENBLAS_NUM_THREADS="1")
        nodes = [self.network.start(
            i, [self.ringnode, scenario, "--rank", str(i), "--hosts", hosts, "--quiet",
                "--pace", "platform", "--timeout", str(timeout_s)] + self.open_to_all
            + options + (["--json", out] + list(extra) if i == 0 else []),
            stdout=logs[i], stderr=subprocess.STDOUT, env=environment) for i in range(count)]
        disturbed = disturb(nodes) if disturb else ()
        states = [0 if i in disturbed else state
                  for i, state in enumerate([node.wait() for node in nodes])]
        words = []
        for i, log in enumerate(logs):
            log.seek(0)
            words += [f"rank {i}: {line.rstrip()}" for line in log]
            log.close()
        if states == [1] + [0] * (count - 1) and os.path.exists(out):
            with open(out, encoding="utf-8") as stream:
                words += [f"{run['label']}: {run['error']}" for run in json.load(stream)["runs"]
                          if run["error"]]
        if any(states):
            raise Failed("ringnode ended with " + " ".join(map(str, states)) + "\n"
                         + "\n".join(words[:20]))
        with open(out, encoding="utf-8") as stream:
            return json.load(stream)

    def one_way_s(self):
        """Delay of a hop on the idle network, from one computation's end to the next one's
        beginning on another node: sockets, bridge and awakenings of this machine, before anything is
        compared. A ring of next to no bytes and computing is measured, the same without delay
        simulated; the rest is the hops'."""
        for name, text in (("probe.xml", PROBE), ("probe-network.xml", PROBE_NETWORK)):
            with open(self.path(name), "w", encoding="ascii") as stream:
                stream.write(text)
        props = datasheet(os.path.join(HERE, "board.xml"), 0.01)
        told = []
        for self.delay_s in (1e-3, 0):
            options = ["--set", f"platform={self.platform(props)}", "--set", "nodes=2"]
            told.append(self.simulate(self.path("probe.xml"), options)["runs"][0])
        hops = (told[0]["iteration_s"]["mean"] - told[1]["iteration_s"]["mean"]) / 1e-3
        # the platform still has no delay; computations are paced by it
        took = min(self.measure(self.path("probe.xml"), options, 60, nodes=2)["runs"][0]
                   ["iteration_s"]["p50"] for _ in range(3))
        return max(0, took - told[1]["iteration_s"]["p50"]) / hops

    def simulate(self, scenario, options, extra=()):
        out = self.path("simulated.json")
        done = subprocess.run([self.ringsim, scenario, "--quiet", "--engine", self.engine, "--json", out]
                              + options + list(extra), capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"ringsim ended with {done.returncode}: {done.stderr.strip()}")
        with open(out, encoding="utf-8") as stream:
            return json.load(stream)


def unequal(simulated, measured):
    """Names of what should be the very same in both worlds and is not."""
    names = [key for key in ("messages", "values", "payload_bytes", "max_node_bytes")
             if simulated["traffic"][key] != measured["traffic"][key]]
    out_of_step = simulated.get("late")  # whose weights are of the order of pushes
    if not out_of_step and simulated["weights_sha256"] != measured["weights_sha256"]:
        names.append("weights_sha256")
    return names


def compare(simulated, measured_runs):
    """One row: the run in the simulator, the same run measured once or more, of which the quietest counts: what disturbs a
    run makes it longer. But not where workers are out of step: another order may be a faster one, and the median counts."""
    times = sorted(run["iteration_s"]["mean"] for run in measured_runs)
    in_step = simulated["params"].get("consistency", "bsp") == "bsp"
    measured = times[0] if in_step else statistics.median(times)
    told = simulated["iteration_s"]["mean"]
    return {"label": simulated["label"], "T_A_s": simulated["formula"]["T_A_s"],
            "c_s": simulated["formula"]["c_s"], "simulated_s": told, "measured_s": measured,
            "spread": (times[-1] - times[0]) / measured, "error": told / measured - 1,
            "overruns": max(run["paced"]["overruns"] / max(1, run["paced"]["computations"])
                            for run in measured_runs),
            "unequal": sorted({name for run in measured_runs for name in unequal(simulated, run)})}


HEAD = (f"{'strategy':14}{'T_A':>10}{'c':>10}{'simulated':>12}{'measured':>12}{'error':>9}"
        f"{'spread':>9}{'overruns':>10}  equal")


def row_text(row):
    return (f"{row['label']:14}{1e3 * row['T_A_s']:7.1f} ms{1e3 * row['c_s']:7.1f} ms"
            f"{1e3 * row['simulated_s']:9.2f} ms{1e3 * row['measured_s']:9.2f} ms"
            f"{100 * row['error']:+7.2f} %{100 * row['spread']:7.2f} %{100 * row['overruns']:8.2f} %"
            f"  {'all' if not row['unequal'] else 'NOT ' + ' '.join(row['unequal'])}")


def run(arguments):
    bench = Bench(arguments.build, arguments.nodes, 1e6 * arguments.rate, arguments.burst,
                  arguments.delay, arguments.slow_start_after_idle)
    platform = bench.platform(datasheet(arguments.datasheet, arguments.speed))
    options = ["--set", f"platform={platform}", "--set", f"nodes={arguments.nodes}"]
    for assignment in arguments.set:
        options += ["--set", assignment]
    for label in arguments.strategy:
        options += ["--strategy", label]
    if arguments.keep_platform:
        with open(platform, encoding="ascii") as source, open(arguments.keep_platform, "w",
                                                               encoding="ascii") as stream:
            stream.write(source.read())
    trace = lambda path: ["--trace", path] if path else []
    simulated = bench.simulate(arguments.scenario, options, trace(arguments.sim_trace))
    measured = [bench.measure(arguments.scenario, options, arguments.timeout,
                              trace(arguments.trace)) for _ in range(arguments.repeat)]
    for path, result in ((arguments.json, measured[-1]), (arguments.sim_json, simulated)):
        if path:
            with open(path, "w", encoding="utf-8") as stream:
                json.dump(result, stream, indent=1)
    print(f"emulated: {arguments.nodes} nodes at {arguments.rate:g} Mbit/s, one way "
          f"{1e6 * bench.delay_s:.0f} us, bucket {arguments.burst} bytes; load "
          f"{os.getloadavg()[0]:.2f}; {bench.network.dropped()} packets dropped")
    print(HEAD)
    different = False
    for i, told in enumerate(simulated["runs"]):
        row = compare(told, [m["runs"][i] for m in measured])
        different = different or bool(row["unequal"])
        print(row_text(row))
    return 1 if different else 0


def parser():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=EXAMPLES,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("scenario")
    p.add_argument("--nodes", type=int, default=3, help="namespaces, a node each (3)")
    p.add_argument("--rate", type=float, default=100, help="of every port, both ways, Mbit/s (100)")
    p.add_argument("--burst", type=int, default=20000, help="bytes of every token bucket (20000)")
    p.add_argument("--delay", type=float, help="one way in seconds (measured beforehand)")
    p.add_argument("--slow-start-after-idle", action="store_true",
                   help="connections that rested start slowly, as kernels have it by default")
    p.add_argument("--datasheet", default=os.path.join(ROOT, "tests", "testbed", "board.xml"),
                   help="platform file whose first board paces the computations")
    p.add_argument("--speed", type=float, default=1, help="computing at so many times its rates")
    p.add_argument("--strategy", action="append", default=[], help="as of ringsim (repeatable)")
    p.add_argument("--set", action="append", default=[], help="as of ringsim (repeatable)")
    p.add_argument("--build", default=os.path.join(ROOT, "build", "release"),
                   help="where ringnode and ringsim are")
    p.add_argument("--repeat", type=int, default=1,
                   help="measure so often and take the quietest (the shortest)")
    p.add_argument("--timeout", type=float, default=120, help="seconds for a run")
    p.add_argument("--json", help="write what was measured")
    p.add_argument("--sim-json", help="write what was simulated")
    p.add_argument("--trace", help="write the measured timeline")
    p.add_argument("--sim-trace", help="write the simulated timeline")
    p.add_argument("--keep-platform", metavar="FILE", help="write the platform file")
    return p


def common_arguments(doc, burst, bound, examples=""):
    """A parser of what all programs take that hold the simulation against the testbed."""
    p = argparse.ArgumentParser(
        description=doc.splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=examples + "Needs root, or user namespaces. Exit status: 0 the bounds hold; 1 they do not, or a run "
                          "failed; 2 bad usage; 77 skipped.")
    p.add_argument("--nodes", type=int, default=8)
    p.add_argument("--burst", type=int, default=burst, help=f"bytes of every token bucket ({burst})")
    p.add_argument("--datasheet", default=os.path.join(HERE, "board.xml"))
    p.add_argument("--bound", type=float, default=bound, help=f"largest error allowed, percent ({bound})")
    p.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    return p


def enter(name, program, arguments):
    """Runs a program of these once more in namespaces of its own, and there; the exit status."""
    try:
        if not net.inside():
            return net.enter()
        return program(arguments)
    except net.Unavailable as why:
        print(f"{name}: skipped: {why}", file=sys.stderr)
        return net.SKIPPED
    except (Failed, ValueError, OSError) as why:
        print(f"{name}: {why}", file=sys.stderr)
        return 1


def main():
    p = parser()
    arguments = p.parse_args()
    for program in ("ringnode", "ringsim"):
        if not os.access(os.path.join(arguments.build, program), os.X_OK):
            p.error(f"{arguments.build} has no {program}: build it, or give --build")
    if not 2 <= arguments.nodes <= 100:
        p.error(f"--nodes {arguments.nodes}: 2 to 100 are allowed")
    for name in ("rate", "burst", "speed", "timeout", "repeat"):
        if not 0 < getattr(arguments, name) < float("inf"):
            p.error(f"--{name} {getattr(arguments, name)}: more than 0 is allowed")
    if arguments.delay is not None and not 0 <= arguments.delay < 10:
        p.error(f"--delay {arguments.delay}: 0 up to 10 seconds are allowed")
    return enter("testbed.py", run, arguments)


if __name__ == "__main__":
    sys.exit(main())
