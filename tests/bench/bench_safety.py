#!/usr/bin/python3
"""What safety costs: whole runs of two ranks of ringnode, with and without, in turns. Ratios of medians.

  tests/bench/bench_safety.py [--build build/release] [--repeat 5] [--only checkpoints|strangers|checksums]

checkpoints: images a second of 784-512-512-10 by all-reduce over loopback, pauses included, with a checkpoint every
  SHORT_S seconds and with none; what that is for one every minute.
strangers: ten threads that each knock at both ports a hundred times a second, while the ranks meet (the second comes two
  seconds late) and while they train; without, they knock elsewhere, as they share this machine's cores. Lines of the log.
  Weights must be the same.
checksums: an all-reduce of 4 MB with CRC-32C on every segment and without, at 1 Gbit/s, emulated: two network namespaces
  and a token bucket (tc tbf) each way; signs of life travel in both. Needs root, iproute2.

Failure modes handled: a run that fails (it is shown, and ends all), no namespaces (checksums are left out). Two free cores
are wanted.
"""
import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from ports import free_ports  # noqa: E402

SHORT_S, LATE_S = 2.0, 2.0
KNOCKS, STRANGERS = 100, 10
SPACES = [f"rg-safe-{os.getpid()}-{rank}" for rank in range(2)]
ADDRESSES = ["10.9.7.1", "10.9.7.2"]
IMAGES = """<network name="wide" input="28x28">
  <dense outputs="512" activation="relu" repeat="2"/>
  <dense outputs="10"/>
</network>
"""
MILLION = """<network name="million" input="28x28">
  <dense outputs="1260" activation="relu"/>
  <dense outputs="10"/>
</network>
"""
SCENARIO = """<scenario name="safety" seed="1">
  <platform file="{root}/platforms/pi4-gigabit-3.xml"/>
  <network file="network.xml"/>
  <data kind="digits" train="{train}" test="100"/>
  <training batch="{batch}" epochs="1000" learning-rate="0.05"/>
  <strategy label="two" kind="ring_allreduce" nodes="2" buckets="2"/>
</scenario>
"""


class Pair:
    """Two ranks: started, and the first one's result."""

    def __init__(self, options, folder, network, batch, train):
        self.ringnode = os.path.join(options.build, "ringnode")
        self.folder = folder
        self.scenario = os.path.join(folder, "scenario.xml")
        with open(os.path.join(folder, "network.xml"), "w", encoding="ascii") as stream:
            stream.write(network)
        with open(self.scenario, "w", encoding="ascii") as stream:
            stream.write(SCENARIO.format(root=ROOT, batch=batch, train=train))

    def run(self, iterations, hosts, *words, late_s=0.0, spaces=None):
        """The run of rank 0, how long both took together, and what they said."""
        listed = os.path.join(self.folder, "hosts")
        result = os.path.join(self.folder, "result.json")
        with open(listed, "w", encoding="ascii") as stream:
            stream.writelines(f"{host}\n" for host in hosts)
        ranks, begin = [], time.monotonic()
        for rank in range(2):
            inside = ["ip", "netns", "exec", spaces[rank]] if spaces else []
            ranks.append(subprocess.Popen(
                inside + [self.ringnode, self.scenario, "--rank", str(rank), "--hosts", listed, "--set",
                          f"iterations={iterations}", "--json", result if rank == 0 else os.devnull,
                          *(words if rank == 0 or "--checkpoint" not in words else ())],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
            time.sleep(late_s if rank == 0 else 0)
        said = [rank.communicate(timeout=600)[1] for rank in ranks]
        took_s = time.monotonic() - begin
        if any(rank.returncode for rank in ranks):
            raise SystemExit(f"bench_safety: a run failed: {said}")
        with open(result, encoding="utf-8") as stream:
            return json.load(stream)["runs"][0], took_s, said


def on_loopback():
    return [f"127.0.0.1:{port}" for port in free_ports(2)]


def checkpoints(options, folder):
    pair = Pair(options, folder, IMAGES, 256, 4096)
    once, _, _ = pair.run(40, on_loopback())
    iterations = max(40, int(options.seconds / once["iteration_s"]["mean"]))
    times, written = {"with": [], "without": []}, 0
    for _ in range(options.repeat):
        plain, _, _ = pair.run(iterations, on_loopback())
        kept = os.path.join(folder, "kept")
        saved, _, _ = pair.run(iterations, on_loopback(), "--checkpoint", kept, "--every", f"{SHORT_S:g}s")
        shutil.rmtree(kept)
        told = saved["checkpoints"]
        times["without"].append(plain["time_s"])
        times["with"].append(saved["time_s"] + told["pause_s"])
        written = told["written"]
        print(f"  {written} checkpoints of {told['bytes']} bytes: training stood still for {told['pause_s']:.4f} s of "
              f"{saved['time_s']:.2f}, they were written for {told['writing_s']:.3f} s; without {plain['time_s']:.2f} s",
              flush=True)
    ratio = statistics.median(times["with"]) / statistics.median(times["without"])
    each = (statistics.median(times["with"]) - statistics.median(times["without"])) / max(written, 1)
    print(f"checkpoints: {ratio:.4f} of the time with {written}; {100 * each / 60:.3f} % with one every minute")


class Strangers:
    """Knock until they are told to stop: half say nothing, half say what is no hello."""

    def __init__(self, hosts):
        self.over, self.knocks = threading.Event(), 0
        targets = [(host.split(":")[0], int(host.split(":")[1])) for host in hosts]
        self.threads = [threading.Thread(target=self.knock, args=(targets, number)) for number in range(STRANGERS)]
        for thread in self.threads:
            thread.start()

    def knock(self, targets, number):
        while not self.over.wait(1 / KNOCKS):
            for target in targets:
                try:
                    with socket.create_connection(target, 0.5) as visitor:
                        if number % 2:
                            visitor.sendall(b"GET / HTTP/1.0\r\n\r\n")
                        self.knocks += 1
                except OSError:  # nobody listens now
                    pass

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def strangers(options, folder):
    pair = Pair(options, folder, IMAGES, 256, 4096)
    once, _, _ = pair.run(40, on_loopback())
    iterations = max(40, int(options.seconds / once["iteration_s"]["mean"]))
    times, joins, lines, weights = {True: [], False: []}, {True: [], False: []}, 0, set()
    for _ in range(options.repeat):
        for crowded in (False, True):
            hosts = on_loopback()
            crowd = Strangers(hosts if crowded else on_loopback())
            try:
                run, took_s, said = pair.run(iterations, hosts, late_s=LATE_S)
            finally:
                crowd.end()
            weights.add(run["weights_sha256"])
            times[crowded].append(run["time_s"])
            joins[crowded].append(took_s - run["time_s"])
            if crowded:
                lines = max(lines, *(len(text.splitlines()) for text in said))
                print(f"  {crowd.knocks} knocks were answered; {lines} lines at most", flush=True)
    if len(weights) != 1 or lines >= 100:
        raise SystemExit(f"bench_safety: strangers: weights {weights}, {lines} lines")
    print(f"strangers: {statistics.median(times[True]) / statistics.median(times[False]):.4f} of the time of training, "
          f"{statistics.median(joins[True]) - statistics.median(joins[False]):+.3f} s to meet and leave, {lines} lines")


def ip(*words, space=None):
    subprocess.run(["ip", *(["-n", space] if space else []), *words], check=True, capture_output=True)


def build_line():
    """False, with the reason on standard output: it cannot be built here."""
    try:
        make_line()
        return True
    except FileNotFoundError as reason:  # no ip, no tc
        why = reason
    except subprocess.CalledProcessError as reason:
        why = reason.stderr.decode().strip()
    print(f"checksums: left out: {why}")
    return False


def remove_line():
    for space in SPACES:
        if shutil.which("ip"):
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)


def make_line():
    for space in SPACES:
        ip("netns", "add", space)
        ip("link", "set", "lo", "up", space=space)
    ip("link", "add", "line", "netns", SPACES[0], "type", "veth", "peer", "name", "line", "netns", SPACES[1])
    for space, address in zip(SPACES, ADDRESSES):
        ip("addr", "add", f"{address}/24", "dev", "line", space=space)
        ip("link", "set", "line", "up", space=space)
        subprocess.run(["ip", "netns", "exec", space, "tc", "qdisc", "add", "dev", "line", "root", "tbf", "rate", "1gbit",
                        "burst", "256kb", "limit", "4mb"], check=True, capture_output=True)


def checksums(options, folder):
    try:
        if build_line():
            measure_checksums(options, folder)
    finally:
        remove_line()


def measure_checksums(options, folder):
    pair = Pair(options, folder, MILLION, 2, 512)
    hosts = [f"{address}:7470" for address in ADDRESSES]
    times = {"yes": [], "no": []}
    for _ in range(options.repeat):
        for checksum in times:
            run, _, _ = pair.run(options.reduces, hosts, "--insecure", "--checksum", checksum, spaces=SPACES)
            times[checksum].append(run["iteration_s"]["p50"])
    print(f"checksums: {statistics.median(times['yes']) / statistics.median(times['no']):.4f} of the time of an all-reduce of "
          f"4 MB at 1 Gbit/s, emulated ({1e3 * statistics.median(times['no']):.1f} ms without)")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10, help="of training in a run")
    parser.add_argument("--reduces", type=int, default=60)
    benches = {bench.__name__: bench for bench in (checkpoints, strangers, checksums)}
    parser.add_argument("--only", choices=benches)
    options = parser.parse_args()
    for name, bench in benches.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="ringtmp-safety-") as folder:
                bench(options, folder)


if __name__ == "__main__":
    main()
