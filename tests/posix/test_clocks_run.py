"""ringnode's clocks: whole runs of real processes over loopback, some in time namespaces, whose clocks
are wrong by a known amount.

All processes are on one machine, so that the true offset is known: 0, or what the namespace was given. What
is found is compared with what is said of its error: that may be large on a machine with other work.
Exit status 77: skipped (no ringnode given); without time namespaces only what needs them is skipped."""
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "analysis"))
import ringtrace  # noqa: E402

sys.path.insert(0, str(SOURCE / "tests/support"))
from ports import free_ports  # noqa: E402

RINGNODE = os.environ.get("RG_RINGNODE")
SLOWNESS = int(os.environ.get("RG_SLOWNESS", "1"))  # of programs under a sanitizer
SCENARIO = str(SOURCE / "scenarios/iris-3.xml")
ZEROS = {"offset_s": 0, "wall_offset_s": 0, "uncertainty_s": 0, "drift_ppm": 0, "drift_uncertainty_ppm": 0}
DATE_S = 1e-6  # what is lost of dates: a clock of the day is a double, of its size

# In a ring of three, what is sent with a tag and what the receiver computes of it, in the same order.
HOPS = ((0, 1, 256, "F"), (1, 2, 256, "F"), (2, 0, 258, "loss"), (0, 2, 259, "B"), (2, 1, 257, "B"))


class SlowWay(threading.Thread):
    """A way to a port that takes its time, another there than back: what comes is passed on later."""

    def __init__(self, target, there_s, back_s):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.target, self.delays = self.listener.getsockname()[1], target, (there_s, back_s)

    def run(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                if self.listener.fileno() < 0:
                    return
                near.close()  # nobody listens there yet
                continue
            for one in near, far:
                one.settimeout(None)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink, delay_s in (near, far, self.delays[0]), (far, near, self.delays[1]):
                line = queue.Queue()
                threading.Thread(target=self.take, args=(source, line, delay_s), daemon=True).start()
                threading.Thread(target=self.give, args=(sink, line), daemon=True).start()

    @staticmethod
    def take(source, line, delay_s):
        data = True
        while data:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            line.put((time.monotonic() + delay_s, data))

    @staticmethod
    def give(sink, line):
        data = True
        while data:
            date, data = line.get()
            time.sleep(max(0, date - time.monotonic()))
            try:
                sink.sendall(data) if data else sink.shutdown(socket.SHUT_WR)
            except OSError:
                return


def time_namespaces():
    try:
        return subprocess.run(["unshare", "--time", "--monotonic", "1", "true"], capture_output=True,
                              timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


class Clocks(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ringtmp-test-")
        self.addCleanup(self.folder.cleanup)
        self.path = Path(self.folder.name)
        self.trace = str(self.path / "trace")

    def command(self, *words, epochs=30, strategies=("ring",), loud=False):
        chosen = [word for label in strategies for word in ("--strategy", label)]
        return [RINGNODE, SCENARIO, *chosen, "--set", f"epochs={max(2, epochs // SLOWNESS)}",
                "--timeout", "100", "--progress" if loud else "--quiet", *words]

    def local(self, *words, **what):
        begin = time.monotonic()
        done = subprocess.run(self.command("--local", "--json", "-", "--trace", self.trace, *words, **what),
                              capture_output=True, text=True, timeout=200)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.spent_s = time.monotonic() - begin
        return json.loads(done.stdout)["runs"]

    def start(self, options=((), (), ()), skews=None, way=None, **what):
        """A rank each, in its own time namespace where skews are given. way: delays from the last rank to
        rank 0, there and back."""
        ports = free_ports(len(options))
        started = []
        for rank, words in enumerate(options):
            if way and rank == len(options) - 1:
                slow = SlowWay(ports[0], *way)
                self.addCleanup(slow.listener.close)
                slow.start()
                ports[0] = slow.port
            hosts = self.path / f"hosts-{rank}"
            hosts.write_text("".join(f"127.0.0.1:{port}\n" for port in ports))
            extra = ["--json", "-", "--trace", self.trace] if rank == 0 else []
            line = self.command("--rank", str(rank), "--hosts", str(hosts), *extra, *words, **what)
            if skews:
                line = ["unshare", "--time", "--monotonic", str(skews[rank]), *line]
            started.append(subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started

    def nodes(self, *args, **what):
        begin = time.monotonic()
        started = self.start(*args, **what)
        said = [process.communicate(timeout=200) for process in started]
        self.spent_s = time.monotonic() - begin
        self.assertEqual([process.returncode for process in started], [0] * len(started), said)
        return json.loads(said[0][0])["runs"]

    def check(self, run, skews=(0, 0, 0)):
        """Every true offset is inside the uncertainty, and that is not just large. Its bound."""
        clocks = [node["clock"] for node in run["per_node"]]
        self.assertEqual(clocks[0], ZEROS)
        for clock, skew in list(zip(clocks, skews))[1:]:
            bound = clock["uncertainty_s"] + DATE_S
            self.assertLess(abs(clock["offset_s"] - (skews[0] - skew)), bound)
            self.assertLess(abs(clock["wall_offset_s"]), bound)
            self.assertLess(abs(clock["drift_ppm"]), clock["drift_uncertainty_ppm"] + 1e-3)
            self.assertTrue(0 < clock["uncertainty_s"] < 0.5 * self.spent_s, clock)  # of a way there and back
        return max(clock["uncertainty_s"] for clock in clocks)

    def check_trace(self, bound_s, process=0):
        """Nothing is computed of a message before that was sent; nothing on a row comes twice at once."""
        trace = ringtrace.load(self.trace)
        self.assertGreaterEqual(trace.clock_s, bound_s)
        p = trace.processes[process]
        sends, computed = {}, {}
        for i, kind in enumerate(p.kind):
            if p.peer[i] >= 0:
                sends.setdefault((p.rank[i], p.peer[i], p.tag[i]), []).append(p.begin[i])
            else:
                computed.setdefault((p.rank[i], p.kinds[kind]), []).append((p.begin[i], p.end[i]))
        least = []
        for source, target, tag, what in HOPS:
            sent, used = sends[source, target, tag], computed[target, what]
            self.assertEqual(len(sent), len(used))
            least.append(min(begin - date for (begin, _), date in zip(used, sent)))
            self.assertGreater(least[-1], -2 * bound_s - DATE_S, (source, target))
        for rank in p.ranks:
            events = sorted(event for (r, kind), found in computed.items() if r == rank and kind != "wait"
                            for event in found)
            for (_, end), (begin, _) in zip(events, events[1:]):
                self.assertGreater(begin, end - DATE_S)
            self.assertLess(abs(events[-1][1] - max(p.end)), self.spent_s)  # wrong clocks are off by more
        return min(least)

    def test_one_machine(self):
        run, = self.local()
        self.check_trace(self.check(run))

    def test_key(self):
        key = self.path / "key"
        key.write_text("0123456789abcdef" * 4 + "\n")
        key.chmod(0o600)
        run, = self.local("--key-file", str(key))
        self.check_trace(self.check(run))

    def test_every_strategy(self):
        """The drift is since the join: the later, the better it is known."""
        runs = self.local(strategies=("ring", "ringtmp", "server", "single"), epochs=16)
        single, *others = runs
        self.assertEqual([node["clock"] for node in single["per_node"]], [ZEROS])
        bounds = [self.check(run) for run in others]
        self.assertEqual(ringtrace.load(self.trace).clock_s, max(bounds))
        self.check_trace(max(bounds), process=1)
        passed_s = 0  # since the join, at least
        for run, bound in zip(others, bounds):
            passed_s += run["time_s"]
            for node in run["per_node"][1:]:
                self.assertLess(node["clock"]["drift_uncertainty_ppm"], 1e6 * (bounds[0] + bound) / passed_s)

    @unittest.skipUnless(time_namespaces(), "no time namespaces here")
    def test_wrong_clocks(self):
        skews = (500000, 123456, 7)
        wrong, = self.nodes(skews=skews)
        self.check_trace(self.check(wrong, skews))
        right, = self.local()
        for key in "weights_sha256", "traffic", "iterations", "samples", "final", "memory_bytes":
            self.assertEqual(wrong[key], right[key])

    def test_slow_way(self):
        """8 ms there and 2 ms back: the offset is wrong by half of the difference, and known to be."""
        run, = self.nodes([["--set", "nodes=2"]] * 2, way=(8e-3, 2e-3), epochs=4)
        self.assertEqual(run["per_node"][0]["clock"], ZEROS)
        clock = run["per_node"][1]["clock"]
        self.assertLess(abs(clock["offset_s"]), clock["uncertainty_s"])
        # What the way takes beyond its delays may be all there, or all back; each adds a half of it to both.
        beyond_s = clock["uncertainty_s"] - 5e-3
        self.assertTrue(0 < beyond_s < 0.5 * self.spent_s, clock)
        self.assertLess(abs(clock["offset_s"] - 3e-3), beyond_s + DATE_S, clock)

    @unittest.skipUnless(time_namespaces(), "no time namespaces here")
    def test_logs(self):
        """Three boards' meters that show the same from the run on: joules of the same time on all."""
        begin, epochs = time.time() - 10, max(2, 30 // SLOWNESS)
        rows = [f"{begin + 0.01 * i:.3f},{5 + 4 * (i % 2)}\n" for i in range(12000)]
        options = []
        for rank in range(3):
            name = self.path / f"board{rank}/proc/sys/kernel/random/boot_id"
            name.parent.mkdir(parents=True)
            name.write_text(f"boot-{rank}\n")
            log = self.path / f"log{rank}.csv"
            log.write_text(f"time,watts\n{begin - 0.01:.3f},{rank}\n" + "".join(rows))
            options.append(["--meter", f"csv:{log}", "--meter-clock", ("own", "rank0", "rank0")[rank],
                            "--idle-seconds", "0", "--sysfs-root", str(self.path / f"board{rank}")])
        skews = (100, 20000, 3000)
        run, = self.nodes(options, skews=skews)
        bound = 2 * (self.check(run, skews) + DATE_S) * 9 * epochs
        joules = [node["energy_J"] for node in run["per_node"]]
        self.assertLess(max(joules) - min(joules), bound)
        self.assertGreater(min(joules), 4 * run["time_s"])

    def test_lost(self):
        """The run fails as it did, and its result is written."""
        started = self.start(epochs=100000 * SLOWNESS, loud=True)
        self.assertIn("ring ", started[0].stderr.readline())  # of its progress: they are at work
        started[1].send_signal(signal.SIGKILL)
        out, err = started[0].communicate(timeout=100)
        self.assertEqual(started[0].returncode, 4, err)
        run, = json.loads(out)["runs"]
        self.assertEqual((run["status"], run["per_node"]), ("lost", []))
        self.assertIn("rank 1", run["error"])
        self.assertEqual(started[2].wait(timeout=100), 4)
        for process in started:
            process.communicate()


if __name__ == "__main__":
    if not RINGNODE:
        print("skipped: RG_RINGNODE names no ringnode")
        sys.exit(77)
    unittest.main(verbosity=2)
