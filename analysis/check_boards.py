#!/usr/bin/python3
"""Published measurements of boards beside what the model says, with the error.

  analysis/check_boards.py [--build build/release] [--quick] [--json FILE]

Modelled figures come from the project's own model: ringboard answers for kernels, messages and
loads, and an HPL-like MPI program (tests/calibration/hpl.c), which holds the same model, runs under
smpirun on the same platform files. Nothing is modelled here.

"fitted": the datasheet was made from that number, so the row only shows that nothing was lost on
the way (at most 5 %). "held out": no number in the platform file comes from it (at most 10 %, or a
reason below). Where the published figure is a range, its middle is taken.

Exit status: 0; 1 where a row is beyond its bound and has no reason, or a reason has no such row
left; 2 where a program is missing. Sources are named in platforms/README.md.
"""
import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FITTED, HELD_OUT = "fitted", "held out"
BOUND = {FITTED: 0.05, HELD_OUT: 0.10}

# Why a held-out row is further off than its bound. Looked into, not tuned away.
REASONS = {
    "4 x CM4 at 1.5 GHz, the datasheet's products":
        "That HPL is slower on a single module as well: 11.433 GFLOP/s, where four Pi 4B of the "
        "same chip and clock reach 54.27 in another collection. The datasheet's matrix products "
        "are the fast collection's. The rows of \"its own build\" above take the difference from the "
        "single module, and then agree.",
    "4 x CM4 at 2.0 GHz, the datasheet's products":
        "As at 1.5 GHz; and that build gains less from the clock than the datasheet's products: on "
        "six modules a third more clock gave 16.7 % more GFLOP/s, so that two fifths of its time "
        "are waiting for memory, which no clock shortens. Seen from there (rows of \"its own "
        "build\"), the four modules do what they should. Throttling is not needed to explain it.",
    "6 x CM4, HPL at 1.5 GHz, its own build":
        "Six modules on their carrier (Super6C) are 5.27 times as fast as the single one, 88 % of "
        "six; four on another (Turing Pi 2) 3.93 times, 98 % of four, as modelled. What the six lose "
        "is that carrier's: its own switch is not described.",
    "6 x CM4, HPL at 2.0 GHz, its own build":
        "See the row of 1.5 GHz: the same tenth.",
    "6 x CM4, watts at 1.5 GHz":
        "Another carrier, whose own draw nobody published: 5.5 W are missing at 1.5 GHz and 6.0 at "
        "2.0, nearly as much at both, which is what something takes that does not compute.",
    "6 x CM4, watts at 2.0 GHz":
        "See the row of 1.5 GHz.",
    "Pi 4B, all cores, HPL":
        "The wattage per state was fitted to a stress load (6.4 W). A host has one power per core "
        "and clock, whatever it computes; NEON multiply-adds take more than integer stress.",
    "Pi 5, all cores, stress":
        "As for the Pi 4B, the other way round: fitted to HPL (12.7 W), because training is made "
        "of matrix products.",
    "Pi 5, half load by the linear fit":
        "That fit gives 7.9 W with all cores busy, where 9.7 (stress) and 12.7 W (HPL) were "
        "measured: it was made with another load and holds no better at its ends.",
    "Pi 4B, weights of 4.24 GB read at batch 1":
        "3.24 GB/s measured, 3.72 by STREAM copy on four cores at once: reading quantised weights "
        "also unpacks them, and the threads wait for each other at every layer.",
}


def platform(name):
    return os.path.join(ROOT, "platforms", name + ".xml")


# Ranks of one board: two copies through memory at STREAM's 5.4 GB/s, which counts reading and
# writing (derived). SimGrid takes this of a <cluster> only as its attributes; network/loopback-* acts
# within zones, and without either the ranks would talk through the board's own port.
LOOPBACK = f'loopback_bw="{5.4e9 / 4:.0f}Bps" loopback_lat="2us"'


def with_nodes(file, nodes, folder):
    """A copy of the platform file in the folder, with a loopback in its clusters, and that many nodes
    where it has one cluster of fewer."""
    with open(file, encoding="utf-8") as stream:
        text = stream.read().replace("<cluster ", f"<cluster {LOOPBACK} ")
    most = re.findall(r'radical="0-(\d+)"', text)
    if len(most) == 1 and nodes > int(most[0]) + 1:
        text = text.replace(f'radical="0-{most[0]}"', f'radical="0-{nodes - 1}"')
    copy = os.path.join(folder, os.path.basename(file))
    with open(copy, "w", encoding="utf-8") as stream:
        stream.write(text)
    return copy


class Model:
    """Questions to the project's programs."""

    def __init__(self, build):
        build = os.path.abspath(build) # smpirun runs in a folder of its own
        self.ringboard = os.path.join(build, "ringboard")
        self.hpl_program = os.path.join(build, "tests", "calibration", "hpl")
        self.smpirun = shutil.which("smpirun")
        if not os.access(self.ringboard, os.X_OK):
            raise SystemExit(missing(self.ringboard))

    def ask(self, name, question, value, host=None, clock=None, threads=1):
        command = [self.ringboard, platform(name), "--threads", str(threads), question, value]
        command += ["--host", host] if host else []
        command += ["--clock", repr(clock)] if clock else []
        return json.loads(run(command).splitlines()[-1])

    def gflops(self, name, size, threads):
        return self.ask(name, "--gemm", f"{size},{size},{size}", threads=threads)["gflops"]

    def watts(self, name, cores, clock=None):
        return self.ask(name, "--watts", str(cores), clock=clock)["watts"]

    def message_s(self, name, size, host=None):
        return self.ask(name, "--message", str(size), host=host)["seconds"]

    def mbits(self, name, size=10**9, host=None):
        """Payload rate of a port over a long message."""
        return 8e-6 * size / self.ask(name, "--message", str(size), host=host)["port_s"]

    def board(self, name):
        return json.loads(run([self.ringboard, platform(name), "--board"]))

    def hpl(self, name, nodes, rows, columns, n, nb=192, clock=None, build=()):
        """Flat MPI, a rank a core, network options as ringsim's with the datasheet's costs. Boards
        that the file lacks are added, as the same. build: see hpl.c."""
        board = self.board(name)
        # What is not the 32 bytes of header on the wire is the processor's.
        empty = self.ask(name, "--message", "0", clock=clock)
        message_s = empty["port_s"] - 32 * 1538 / 1448 / board["port_rate"]
        cost = f"0:{message_s:.9g}:0"
        with tempfile.TemporaryDirectory() as folder:
            file = with_nodes(platform(name), nodes, folder)
            hosts = os.path.join(folder, "hosts")
            with open(hosts, "w", encoding="ascii") as stream:
                for node in range(nodes):
                    stream.write(f"node-{node}\n" * board["cores"])
            options = {"plugin": "host_energy", "network/model": "CM02",
                       "network/latency-factor": 1, "network/bandwidth-factor": 1448 / 1538,
                       "network/weight-S": 0, "network/TCP-gamma": 0, "network/crosstraffic": "no",
                       "smpi/simulate-computation": "no", "smpi/test": 1e-6,
                       "smpi/os": cost, "smpi/ois": cost, "smpi/or": cost}
            command = [self.smpirun, "-np", str(nodes * board["cores"]), "-platform",
                       file, "-hostfile", hosts, "--log=root.thresh:error"]
            command += [f"--cfg={key}:{value}" for key, value in options.items()]
            command += [self.hpl_program, file, str(n), str(nb), str(rows), str(columns)]
            command += [repr(number) for number in (clock, *build) if number]
            return json.loads(run(command, cwd=folder).splitlines()[-1])


def missing(program):
    print(f"check_boards: {program} is missing: build first (./setup), or name --build",
          file=sys.stderr)
    return 2


def run(command, cwd=None):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout.strip():
        print(f"check_boards: {' '.join(command)}: status {done.returncode}\n{done.stderr}",
              file=sys.stderr)
        raise SystemExit(2)
    return done.stdout


BOARDS = [  # name, platform, SGEMM GFLOP/s of one core and all, watts idle, one core, all
    ("Pi Zero 2 W", "zero2w-wifi-16", 4.5, 13, 0.80, 1.61, 2.33),
    ("Pi 3B+", "pi3bplus-wifi-16", 6.4, 19, 2.5, 2.64, 5.3),
    ("Pi 4B", "pi4-gigabit-64", 9.8, 28.9, 2.9, 3.30, 6.4),
    ("Pi 5", "pi5-gigabit-64", 30.6, 78, 2.8, (4.6 + 5.3) / 2, 12.7),
]
ZERO = [(1.0e9, 1.61, 2.33), (0.9e9, 1.57, 2.17), (0.8e9, 1.51, 2.06), (0.7e9, 1.39, 1.94),
        (0.6e9, 1.28, 1.70)]  # Hz, watts of one and of four cores at the wall
HPL = [(1, 2, 2, 15.22), (2, 2, 4, 27.81), (4, 4, 4, 54.27), (8, 4, 8, 103.41)]


def compute_rows(model):
    for name, file, one, every, _, _, _ in BOARDS:
        yield f"{name}, SGEMM, one core", FITTED, "GFLOP/s", one, model.gflops(file, 1024, 1)
        yield f"{name}, SGEMM, all cores", FITTED, "GFLOP/s", every, model.gflops(file, 1024, 4)
    full = model.gflops("zero2w-wifi-16", 1024, 1)
    for size, part in ((128, .66), (256, .91), (512, .97)):
        yield (f"A53, SGEMM of {size} against 1024", FITTED, "of it", part,
               model.gflops("zero2w-wifi-16", size, 1) / full)
    # a product of one row with 4.24 GB of floats
    for name, file, held, rate in (("Pi 4B", "pi4-gigabit-64", HELD_OUT, 3.24),
                                   ("Pi 5", "pi5-gigabit-64", FITTED, 9.8)):
        seconds = model.ask(file, "--gemm", "1,32768,32349", threads=4)["seconds"]
        yield f"{name}, weights of 4.24 GB read at batch 1", held, "GB/s", rate, 4.24 / seconds


def network_rows(model):
    yield ("Pi 4B, MPI, empty message one way", FITTED, "us", 94,
           1e6 * model.message_s("pi4-gigabit-64", 0))
    yield ("Pi 4B, MPI, 2 MB one way", HELD_OUT, "ms", 17.68,
           1e3 * model.message_s("pi4-gigabit-64", 2000000))
    for name, file, held, rate in (
            ("Pi 4B, Ethernet, iperf3", "pi4-gigabit-64", HELD_OUT, 939),
            ("Pi 4B, Ethernet, MPI", "pi4-gigabit-64", HELD_OUT, 905),
            ("Pi 5, Ethernet", "pi5-gigabit-64", HELD_OUT, 938),
            ("Pi Zero 2 W, USB Ethernet, sending", "zero2w-usb-16", FITTED, 311),
            ("Pi Zero 2 W, USB Ethernet, receiving", "zero2w-usb-16", HELD_OUT, 338),
            ("Pi 3B+, Wi-Fi", "pi3bplus-wifi-16", FITTED, 24.5)):
        yield name, held, "Mbit/s", rate, model.mbits(file)
    yield ("Pi 3B+, Ethernet", FITTED, "Mbit/s", 253, model.mbits("mixed-16", host="node-12"))


def power_rows(model):
    for name, file, _, _, idle, one, every in BOARDS:
        for text, cores, watts in (("idle", 0, idle), ("one core", 1, one), ("all cores", 4, every)):
            yield f"{name}, {text}", FITTED, "W", watts, model.watts(file, cores)
    for clock, one, every in ZERO[1:]:
        for cores, watts in ((1, one), (4, every)):
            yield (f"Pi Zero 2 W, {clock / 1e6:.0f} MHz, {cores} busy", FITTED, "W", watts,
                   model.watts("zero2w-wifi-16", cores, clock))
    yield "Pi 4B, all cores, HPL", HELD_OUT, "W", 7.2, model.watts("pi4-gigabit-64", 4)
    yield "Pi 5, all cores, stress", HELD_OUT, "W", 9.7, model.watts("pi5-gigabit-64", 4)
    for name, file, slope, base in (("Pi 3B+", "pi3bplus-wifi-16", 3.298, 2.002),
                                    ("Pi 4B", "pi4-gigabit-64", 4.534, 2.286),
                                    ("Pi 5", "pi5-gigabit-64", 3.458, 4.403)):
        yield (f"{name}, half load by the linear fit", HELD_OUT, "W", base + slope / 2,
               model.watts(file, 2))


def size_of(nodes, memory, nb=192):
    """N as HPL's users choose it: the matrix takes 80 % of all memory, N a multiple of NB."""
    return int(math.sqrt(0.8 * nodes * memory / 8)) // nb * nb


def cluster_rows(model):
    """HPL. The block size of the eight Pi 4B is not published; that of the CM4 clusters is 192."""
    for nodes, rows, columns, gflops in HPL:
        result = model.hpl("pi4-gigabit-64", nodes, rows, columns, size_of(nodes, 4e9))
        yield (f"Pi 4B, HPL on {nodes} node{'s' if nodes > 1 else ''}", HELD_OUT, "GFLOP/s", gflops,
               result["gflops"])
    yield from module_rows(model)


# Of one collection of HPL runs (a Pi 4B has 11.89 GFLOP/s there, and 11.68 with OpenBLAS: issues 13
# and 15 of top500-benchmark): its matrix products against the datasheet's, and its waiting, in
# seconds an operation of a board. Fitted with hpl.c to one CM4 and to the gain of six.
ITS_OWN_BUILD = (1.386, 3.472e-11)
MODULE = "pi-cm4-gigabit-4"


def module_rows(model):
    """Compute Modules 4. One: top500-benchmark issue 33, N 23314 (here a multiple of 256). Four:
    turing-pi-2-cluster. Six: top500-benchmark README; N is that of deskpi-super6c-cluster issue 4."""
    own = {"build": ITS_OWN_BUILD}
    one = {clock: model.hpl(MODULE, 1, 1, 4, 23296, 256, clock, **own)["gflops"]
           for clock in (1.5e9, 1.8e9)}
    yield "CM4, HPL at 1.5 GHz, its own build", FITTED, "GFLOP/s", 11.433, one[1.5e9]
    yield "CM4, all cores, HPL", FITTED, "W", 5.2, model.watts(MODULE, 4, 1.5e9)
    yield "Pi 4B, HPL at 1.8 GHz, its own build", HELD_OUT, "GFLOP/s", 11.889, one[1.8e9]
    for nodes, columns, n, published in ((6, 6, 51072, ((60.293, 40), (70.338, 51))),
                                         (4, 4, 57600, ((44.942, 24.5), (51.327, 33)))):
        name, group = f"{nodes} x CM4", FITTED if nodes == 6 else HELD_OUT
        runs = [model.hpl(MODULE, nodes, 4, columns, n, 192, clock, **own)
                for clock in (1.5e9, 2.0e9)]
        switch = nodes * model.board(MODULE)["switch_watts"]
        watts = [run["board_watts"] + switch for run in runs]
        for text, run, (gflops, _) in zip(("1.5", "2.0"), runs, published):
            yield (f"{name}, HPL at {text} GHz, its own build", HELD_OUT, "GFLOP/s", gflops,
                   run["gflops"])
        yield (f"{name}, gain in GFLOP/s from 1.5 to 2.0 GHz", group, "times",
               published[1][0] / published[0][0], runs[1]["gflops"] / runs[0]["gflops"])
        for text, modelled, (_, measured) in zip(("1.5", "2.0"), watts, published):
            yield f"{name}, watts at {text} GHz", HELD_OUT, "W", measured, modelled
        yield (f"{name}, gain in watts from 1.5 to 2.0 GHz", HELD_OUT, "times",
               published[1][1] / published[0][1], watts[1] / watts[0])
    for text, clock, gflops in (("1.5", 1.5e9, 44.942), ("2.0", 2.0e9, 51.327)):
        yield (f"4 x CM4 at {text} GHz, the datasheet's products", HELD_OUT, "GFLOP/s", gflops,
               model.hpl(MODULE, 4, 4, 4, 57600, clock=clock)["gflops"])


def judge(rows):
    """Prints the table; the rows that are beyond their bound without a reason, reasons left over."""
    print(f"{'':46} {'':8} {'published':>10} {'modelled':>10} {'':8} {'error':>7}")
    bad, used = [], set()
    for row in rows:
        name, group, unit, published, modelled = (row[key] for key in FIELDS)
        error = row["error"]
        mark = ""
        if not abs(error) <= BOUND[group]:
            mark = " see below" if group == HELD_OUT and name in REASONS else " BEYOND ITS BOUND"
            if mark == " see below":
                used.add(name)
            else:
                bad.append(name)
        print(f"{name:46} {group:8} {published:10.4g} {modelled:10.4g} {unit:8} "
              f"{100 * error:+6.1f} %{mark}")
    for name in sorted(used):
        print(f"\n{name}: {REASONS[name]}")
    print()
    for group in (FITTED, HELD_OUT):
        errors = [(abs(row["error"]), row["name"]) for row in rows if row["group"] == group]
        if errors:
            print(f"{group}: {len(errors)} rows, mean error {100 * mean(errors):.1f} %, worst "
                  f"{100 * max(errors)[0]:.1f} % ({max(errors)[1]})")
    stale = [row["name"] for row in rows if row["name"] in REASONS and row["name"] not in used]
    return bad, stale


def mean(errors):
    return sum(error for error, _ in errors) / len(errors)


FIELDS = ("name", "group", "unit", "published", "modelled")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"),
                        help="folder of the built programs (default build/release)")
    parser.add_argument("--quick", action="store_true", help="without HPL, which takes a minute")
    parser.add_argument("--without-reasons", action="store_true",
                        help="judge as if no reason were recorded (shows that a row can fail)")
    parser.add_argument("--json", metavar="FILE", help="write the rows there as well")
    arguments = parser.parse_args()
    if arguments.without_reasons:
        REASONS.clear()
    model = Model(arguments.build)
    parts = [compute_rows, network_rows, power_rows]
    if not arguments.quick:
        if not model.smpirun or not os.path.exists(model.hpl_program):
            return missing("smpirun, or the HPL program that smpicc builds,")
        parts.append(cluster_rows)
    rows = [dict(zip(FIELDS, row)) for part in parts for row in part(model)]
    for row in rows:
        row["error"] = row["modelled"] / row["published"] - 1
        row["reason"] = REASONS.get(row["name"])
    bad, stale = judge(rows)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as stream:
            json.dump(rows, stream, indent=1)
    for name in bad:
        print(f"beyond its bound without a reason: {name}")
    for name in stale:
        print(f"has a reason and is within its bound: {name}")
    return 1 if bad or stale else 0


if __name__ == "__main__":
    sys.exit(main())
