"""ringnode with meters: whole runs of real processes over loopback, against made-up trees of files.

Every number compared is measured by ringnode from files whose watts are known here; nothing is a
real sensor. Exit status 77: skipped (no ringnode given)."""
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests/support"))
from ports import free_ports  # noqa: E402

INPUTS = SOURCE.parent / "shared/inputs/meters"
RINGNODE = os.environ.get("RG_RINGNODE")
SLOWNESS = int(os.environ.get("RG_SLOWNESS", "1")) # of programs under a sanitizer
SCENARIO = str(SOURCE / "scenarios/iris-3.xml")


def tree(folder, files):
    root = Path(folder)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(content)
        fresh.replace(path)
    return str(root)


def ina(folder, watts, machine=None):
    files = {"sys/class/hwmon/hwmon0/name": "ina219\n",
             "sys/class/hwmon/hwmon0/power1_input": f"{watts * 1e6:.0f}\n"}
    if machine:
        files["proc/sys/kernel/random/boot_id"] = machine + "\n"
    return tree(folder, files)


def date_in(line):
    """The number that a row's date is, in seconds, and where it stands; None: it has none."""
    found = re.match(r"\s*(\d+(?:\.\d+)?)", line)
    if not found:
        return None
    return float(found[1]) / (1e3 if len(found[1].split(".")[0]) == 13 else 1), found.span(1)


def first_date(text):
    return next(date_in(line)[0] for line in text.splitlines() if date_in(line))


def again(text):
    """The rows over and over, for a minute, as densely as they are."""
    lines = text.splitlines(keepends=True)
    rows = [line for line in lines if date_in(line)]
    dates = [date_in(row)[0] for row in rows]
    step = (dates[-1] - dates[0]) / (len(dates) - 1)
    values = [row[date_in(row)[1][1]:] for row in rows]
    milli = 1000 if len(re.match(r"\s*(\d+)", rows[0])[1]) == 13 else 1
    head = lines[:lines.index(rows[0])]
    made = []
    for i in range(int(60 / step)):
        date = dates[0] + i * step
        made.append((f"{milli * date:.0f}" if milli > 1 else f"{date:.4f}") + values[i % len(values)])
    if "kilowatt" in text or "12.345" in values[0]: # a counter goes on
        made = [f"{dates[0] + i * step:.3f},{12.345 + 1.5e-6 * i:.7f}\n" for i in range(60)]
    return "".join(head + made)


class Meters(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ringtmp-test-")
        self.addCleanup(self.folder.cleanup)
        self.path = Path(self.folder.name)

    def command(self, *words, epochs=200, strategy="single"):
        epochs = max(2, epochs // SLOWNESS)
        return [RINGNODE, SCENARIO, "--strategy", strategy, "--set", f"epochs={epochs}",
                "--timeout", "280", *words]

    def local(self, *words, **what):
        """One run under --local: its result, and what was said."""
        done = subprocess.run(self.command("--local", "--json", "-", *words, **what),
                              capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["runs"][0], done.stderr

    def nodes(self, options):
        """A ring of separate processes, with these options each: rank 0's run, and what each
        said."""
        ports = free_ports(len(options))
        hosts = self.path / "hosts"
        hosts.write_text("".join(f"127.0.0.1:{port}\n" for port in ports))
        started = []
        for rank, words in enumerate(options):
            extra = ["--json", "-"] if rank == 0 else []
            line = self.command("--set", f"nodes={len(options)}", "--rank", str(rank), "--hosts",
                                str(hosts), *extra, *words, epochs=100, strategy="ring")
            started.append(subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                            text=True))
        said = [process.communicate(timeout=300) for process in started]
        self.assertEqual([process.returncode for process in started], [0] * len(options), said)
        return json.loads(said[0][0])["runs"][0], [err for _, err in said]

    def near(self, value, wanted, share=2e-3):
        self.assertLess(abs(value - wanted), share * abs(wanted), f"{value} for {wanted}")

    def test_none(self):
        run, err = self.local(epochs=5)
        self.assertEqual(run["energy_source"], "none")
        self.assertIsNone(run["meter"])
        self.assertIsNone(run["training"][-1]["energy_J"])
        self.assertTrue(all(joules is None for joules in run["energy_J"].values()))
        self.assertEqual(err, "")

    def test_local_counts_once(self):
        root = ina(self.path / "root", 4)
        run, err = self.local("--meter", "auto", "--sysfs-root", root, "--idle-seconds", "0.2",
                              epochs=100, strategy="ring")
        meter = run["meter"]
        self.assertEqual((run["energy_source"], meter["source"], meter["nodes"]),
                         ("ina2xx", "ina2xx", 1))
        self.near(run["energy_J"]["total"], 4 * run["time_s"])
        self.near(run["energy_J"]["idle"], 4 * run["time_s"])
        self.near(meter["idle_W"], 4)
        self.assertLess(abs(meter["above_idle_J"]), 4e-3 * run["energy_J"]["total"])
        self.assertEqual([run["energy_J"][part] for part in ("compute", "network", "switch")],
                         [None] * 3)
        self.assertEqual(meter["interval_s"], 0.05)
        self.assertEqual(meter["uncertainty_J"], 0)
        self.assertIsNone(meter["error"])
        joules = [node["energy_J"] for node in run["per_node"]]
        self.assertEqual(joules, [run["energy_J"]["total"], None, None])
        self.assertIn("for all ranks of this machine together", err)
        points = run["training"]
        for point in points[-1:]: # what is not timed is not counted
            self.near(point["energy_J"], 4 * point["time_s"], 5e-3)
        self.assertEqual(points[-1]["energy_J"], run["energy_J"]["total"])

    def test_checkpoints_keep_joules(self):
        """Every checkpoint has the joules until then, which the run that goes on counts on from; of a log they are
        known only when the run is over."""
        root, folder = ina(self.path / "root", 4), self.path / "kept"
        words = ["--meter", "auto", "--sysfs-root", root, "--idle-seconds", "0"]
        run, _ = self.local(*words, "--checkpoint", str(folder), "--every", "10epochs", epochs=100, strategy="ring")
        total = run["energy_J"]["total"]
        newest = max(folder.glob("checkpoint-*.json"), key=lambda file: int(file.stem.split("-")[1]))
        newest.unlink()
        rest, _ = self.local(*words, "--resume-from", str(folder), epochs=100, strategy="ring")
        before = rest["resumed"]
        self.near(before["energy_J"], 4 * before["time_s"], 0.02)
        self.assertLess(before["energy_J"], total)
        ends = [point for point in rest["training"] if point["iteration"] <= before["iteration"]]
        self.near(ends[-1]["energy_J"], before["energy_J"], 0.02)
        self.near(rest["training"][-1]["energy_J"], before["energy_J"] + rest["energy_J"]["total"], 1e-9)

    def test_boards_add_up(self):
        roots = [ina(self.path / f"board{rank}", 2 + rank, f"boot-{rank}") for rank in range(3)]
        run, _ = self.nodes([["--meter", "ina2xx", "--sysfs-root", root, "--idle-seconds", "0.1"]
                             for root in roots])
        self.assertEqual(run["meter"]["nodes"], 3)
        self.near(run["meter"]["idle_W"], 9)
        self.near(run["energy_J"]["total"], 9 * run["time_s"], 0.05)
        for rank, node in enumerate(run["per_node"]):
            self.near(node["energy_J"], (2 + rank) * run["time_s"], 0.05)
            self.near(node["meter"]["idle_W"], 2 + rank)
        self.assertEqual(run["training"][-1]["energy_J"], run["energy_J"]["total"])

    def test_one_machine_counts_once(self):
        root = ina(self.path / "machine", 3, "one-boot")
        words = ["--meter", "ina2xx", "--sysfs-root", root, "--idle-seconds", "0"]
        run, _ = self.nodes([words, words, ["--meter", "other"]])
        self.assertEqual(run["meter"]["nodes"], 1)
        self.near(run["energy_J"]["total"], 3 * run["time_s"], 0.05)
        self.assertIsNone(run["energy_J"]["idle"])
        self.assertIsNone(run["meter"]["above_idle_J"])
        self.assertIsNone(run["per_node"][1]["energy_J"])
        self.assertIsNone(run["per_node"][2]["energy_J"])

    def log(self, name, rows, heading="time,watts"):
        """A made-up log around now: (seconds from its begin, words of the row)."""
        path, begin = self.path / name, time.time() - 10
        path.write_text(heading + "\n" + "".join(f"{begin + t:.3f},{row}\n" for t, row in rows))
        return str(path)

    def test_one_log_counts_once(self):
        """Two boards, and the log of one meter for both."""
        log = self.log("log.csv", [(0.1 * i, f"{10 + 0.1 * (i % 2):.2f}") for i in range(3000)])
        roots = [tree(self.path / f"board{rank}",
                      {"proc/sys/kernel/random/boot_id": f"boot-{rank}\n"}) for rank in range(2)]
        options = [["--meter", f"csv:{log}", "--sysfs-root", root, "--idle-seconds", "0"]
                   for root in roots]
        run, err = self.nodes(options)
        self.near(run["energy_J"]["total"], 10.05 * run["time_s"], 5e-3)
        self.assertIn("rank 1: its log is that of rank 0", run["meter"]["warning"])
        self.assertIn("--meter other", err[0])
        self.assertIsNone(run["per_node"][1]["energy_J"])
        options[1][1] = "other"
        run, _ = self.nodes(options)
        self.near(run["energy_J"]["total"], 10.05 * run["time_s"], 5e-3)
        self.assertIsNone(run["meter"]["warning"])

    def test_slow_log(self):
        """Rows every 5 s; the one that ends the run comes when it is due."""
        begin = time.time() - 21
        log = self.path / "slow.csv"
        log.write_text("time,watts\n" + "".join(f"{begin + 5 * i:.3f},{4 + i % 2}\n" for i in range(5)))
        def write():
            time.sleep(7)
            with open(log, "a") as stream:
                stream.write(f"{begin + 25:.3f},5\n{begin + 30:.3f},4\n")
        thread = threading.Thread(target=write)
        thread.start()
        run, _ = self.local("--meter", f"csv:{log}", "--idle-seconds", "0", epochs=50)
        thread.join()
        self.assertIsNone(run["meter"]["error"])
        self.assertGreater(run["energy_J"]["total"], 3.9 * run["time_s"])

    def test_not_watts(self):
        """Milliwatts under a heading that does not say so; the result names the column."""
        rows = [(0.1 * i, 5300 + 10 * (i % 2)) for i in range(3000)]
        run, err = self.local("--meter", "csv:" + self.log("mw.csv", rows, "time,power"),
                              "--idle-seconds", "0", epochs=100)
        self.assertIn("530", run["meter"]["warning"])
        self.assertIn("datasheet", run["meter"]["warning"])
        self.assertIn("warning: rank 0: 530", err)
        self.assertEqual(run["meter"]["column"], "power")
        run, _ = self.local("--meter", "csv:" + self.log("mw.csv", rows, "time,power (mW)"),
                            "--idle-seconds", "0", epochs=100)
        self.assertIsNone(run["meter"]["warning"])
        self.near(run["energy_J"]["total"], 5.305 * run["time_s"])

    @unittest.skipUnless(INPUTS.is_dir(), "../shared/inputs is absent")
    def test_shared_inputs(self):
        """Each meters/* as it is, its dates moved to now: 5.3 W, or refused and why."""
        wanted = {"joulescope.csv": 5.3, "decimal-comma.csv": None, "unit-in-heading.csv": 5.3,
                  "bom-crlf.csv": 5.3, "apparent-first.csv": 5.3, "max-first.csv": 5.3,
                  "several-rails.csv": "GPU_W, CPU_W, IN_W", "collectd.csv": "epoch, value",
                  "kilowatt-hours.csv": "only rises", "perf-joules.csv": 5.3,
                  "perf-german.csv": "two fields", "blank-separated.txt": 5.3}
        for name, answer in wanted.items():
            if answer is None:
                continue
            text = (INPUTS / name).read_text(encoding="utf-8")
            log = self.path / name
            log.write_text(again(text), encoding="utf-8", newline="")
            offset = first_date(text)
            run, _ = self.local("--meter", f"csv:{log}", "--idle-seconds", "0", "--meter-offset",
                                str(time.time() - 20 - offset), epochs=50)
            if isinstance(answer, str):
                self.assertIsNone(run["energy_J"]["total"], name)
                self.assertIn(answer, run["meter"]["error"], name)
            else:
                self.near(run["energy_J"]["total"], answer * run["time_s"], 0.02) # 0.53 J or 0.54

    def test_heat(self):
        """Two boards: clocks and temperatures of each, and which was held back."""
        def board(rank, kHz, celsius, flags):
            cpu = "sys/devices/system/cpu/cpu0/cpufreq/"
            return {"proc/sys/kernel/random/boot_id": f"boot-{rank}\n",
                    cpu + "cpuinfo_max_freq": "1500000\n", cpu + "scaling_cur_freq": f"{kHz}\n",
                    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
                    "sys/class/thermal/thermal_zone0/temp": f"{1000 * celsius}\n",
                    "sys/devices/platform/soc/soc:firmware/get_throttled": flags + "\n"}
        roots = [tree(self.path / "cool", board(0, 1500000, 48, "50000")),
                 tree(self.path / "hot", board(1, 600000, 82, "50005"))]
        run, err = self.nodes([["--sysfs-root", root] for root in roots])
        cool, hot = (node["heat"] for node in run["per_node"])
        self.assertEqual((cool["clock_least_Hz"], cool["most_C"], cool["held_back"]), (1.5e9, 48, None))
        self.assertEqual((hot["clock_most_Hz"], hot["clock_limit_Hz"], hot["before_C"]), (6e8, 1.5e9, 82))
        self.assertEqual(hot["held_back"], "under voltage, throttled")
        self.assertEqual(run["held_back"], {"nodes": 1, "first": "rank 1: under voltage, throttled"})
        self.assertIn("ring: 1 of 2 boards held back: rank 1: under voltage, throttled", err[0])
        cool = tree(self.path / "cool", board(0, 1500000, 48, "0"))
        run, err = self.local("--sysfs-root", cool, epochs=2)
        self.assertNotIn("held_back", run)
        self.assertEqual(run["per_node"][0]["heat"]["before_C"], 48)

    def test_threads(self):
        cores = len(os.sched_getaffinity(0))
        if cores > 3:
            self.skipTest("more cores than the scenario's boards have")
        _, err = self.local("--set", "threads=4", "--quiet", epochs=2)
        self.assertIn(f'threads="4", but {cores} core', err)
        _, err = self.local("--set", "threads=1", "--quiet", epochs=2)
        self.assertNotIn("threads=", err)

    def test_a_board_without(self):
        root = ina(self.path / "board", 3, "one-boot")
        run, err = self.nodes([["--meter", "ina2xx", "--sysfs-root", root, "--idle-seconds", "0"],
                               ["--meter", "none"]])
        self.assertIsNone(run["energy_J"]["total"])
        self.assertIsNone(run["training"][-1]["energy_J"])
        self.assertIsNotNone(run["per_node"][0]["energy_J"])
        self.assertEqual(run["meter"]["error"], "rank 1 has no meter")
        self.assertIn("no energy: rank 1 has no meter", err[0])

    def test_lost_sensor(self):
        root = ina(self.path / "root", 4)
        sensor = self.path / "root/sys/class/hwmon/hwmon0/power1_input"
        process = subprocess.Popen(self.command("--local", "--json", "-", "--meter", "ina2xx",
                                                "--sysfs-root", root, "--idle-seconds", "0.1",
                                                epochs=20000),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        said = process.stderr.readline() # it has been found
        time.sleep(0.4)
        sensor.unlink()
        out, err = process.communicate(timeout=300)
        run = json.loads(out)["runs"][0]
        self.assertIn("meter ina2xx", said)
        self.assertEqual(process.returncode, 0)
        self.assertIsNone(run["energy_J"]["total"])
        self.assertEqual(run["energy_source"], "ina2xx")
        self.assertIn("power1_input: No such file", run["meter"]["error"])
        self.assertIn("no energy: rank 0: ", err)
        self.assertIsNone(run["training"][-1]["energy_J"])
        self.assertIsNotNone(run["training"][0]["energy_J"]) # before it was lost

    def test_not_there(self):
        root = tree(self.path / "root", {"sys/class/hwmon/hwmon0/name": "cpu_thermal\n"})
        for choice in "auto", "rapl", "pmic", "ina2xx":
            run, err = self.local("--meter", choice, "--sysfs-root", root, epochs=2)
            self.assertEqual(run["energy_source"], "none")
            self.assertIsNone(run["energy_J"]["total"])
            self.assertTrue(run["meter"]["error"])
            self.assertIn("no meter: ", err)

    def test_rapl(self):
        zone = "sys/class/powercap/intel-rapl:0/"
        files = {zone + "name": "package-0\n", zone + "max_energy_range_uj": "65532610987\n",
                 zone + "energy_uj": "65530000000\n"}
        root = tree(self.path / "root", files)

        def count(stop, dates): # 10 W, over the end of its range after 0.26 s
            dates.append(time.monotonic())
            while not stop.wait(0.001):
                now = int(65530000000 + 1e7 * (time.monotonic() - dates[0])) % 65532610987
                tree(root, {zone + "energy_uj": f"{now}\n"})
                dates.append(time.monotonic())

        # This counter moves only when Python does; that differences are exact, test_meter shows.
        for _ in range(5):
            stop, dates = threading.Event(), []
            thread = threading.Thread(target=count, args=(stop, dates))
            thread.start()
            try:
                run, _ = self.local("--meter", "rapl", "--sysfs-root", root, "--idle-seconds",
                                    "0.4", epochs=2000)
            finally:
                stop.set()
                thread.join()
            meter = run["meter"]
            self.assertGreater(run["energy_J"]["total"], 0)
            self.assertLess(run["energy_J"]["total"], 10 * (dates[-1] - dates[0]))
            if max(b - a for a, b in zip(dates, dates[1:])) < 0.05:
                break
        else:
            self.skipTest("the machine was too busy for a counter that moves")
        self.near(meter["idle_W"], 10, 0.2)
        self.near(run["energy_J"]["total"], 10 * run["time_s"], 0.4)
        self.assertGreater(meter["uncertainty_J"], 0)

    def test_csv(self):
        log, begin = self.path / "log.csv", time.time() - 10
        rows = [(begin + 0.05 * i, 5 + math.sin(0.3 * i)) for i in range(2400)]
        log.write_text("time,watts\n" + "".join(f"{t:.3f},{w:.4f}\n" for t, w in rows))
        run, _ = self.local("--meter", f"csv:{log}", "--idle-seconds", "0.3", epochs=300)
        self.assertEqual(run["energy_source"], "csv")
        self.near(run["energy_J"]["total"], 5 * run["time_s"], 0.25)
        self.near(run["meter"]["idle_W"], 5, 0.25)
        self.near(run["meter"]["above_idle_J"],
                  run["energy_J"]["total"] - run["meter"]["idle_W"] * run["time_s"], 1e-6)
        self.assertIsNone(run["meter"]["interval_s"])
        points = [point["energy_J"] for point in run["training"]]
        self.assertEqual(points, sorted(points))
        self.assertEqual(points[-1], run["energy_J"]["total"])
        run, err = self.local("--meter", f"csv:{log}", "--meter-offset", "3600", "--idle-seconds",
                              "0", epochs=2)
        self.assertIsNone(run["energy_J"]["total"])
        self.assertIn("begins 35", run["meter"]["error"])
        self.assertIn("no energy: rank 0: ", err)

    def test_usage(self):
        for words in (["--meter", "steam"], ["--meter", "csv:"], ["--meter", f"csv:{self.path}"],
                      ["--meter-interval", "0"],
                      ["--idle-seconds", "x"], ["--meter-stuck", "-1"], ["--meter-clock", "sun"]):
            done = subprocess.run(self.command("--local", *words), capture_output=True, text=True,
                                  timeout=60)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


if __name__ == "__main__":
    if not RINGNODE:
        print("skipped: RG_RINGNODE names no ringnode")
        sys.exit(77)
    unittest.main(verbosity=2)
