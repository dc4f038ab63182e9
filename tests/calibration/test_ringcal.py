#!/usr/bin/python3
"""ringcal as a user runs it. Times are not judged here, but all that happens to them."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

BUILD, SOURCE = sys.argv.pop(1), os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
LOOSE = ["--max-residual", "1e9"]  # the machine may be as busy as it likes
SLOWNESS = float(os.environ.get("RG_SLOWNESS", "1"))


def run(*command, program="ringcal", timeout=60):
    done = subprocess.run([f"{BUILD}/{program}", *command], capture_output=True, text=True, cwd=SOURCE,
                          timeout=timeout * SLOWNESS)
    return done.returncode, done.stdout, done.stderr


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Ringcal(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.raw = cls.at("raw.json")
        cls.status, cls.out, cls.err = run("--local", "--quick", *LOOSE, "--json", cls.raw, "--platform",
                                           cls.at("three.xml"), "--nodes", "3", "--datasheet", cls.at("one.xml"),
                                           "--name", "bench", "--watts", "2:3:3")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def at(cls, name):
        return os.path.join(cls.folder.name, name)

    def test_measures_and_writes(self):
        self.assertEqual(self.status, 0, self.err)
        for words in ("rg_gemm_rate ", "GFLOP/s", "rg_message_s", "95 % confidence", "one way", "watts idle 2"):
            self.assertIn(words, self.out)

    def test_simulator_takes_it(self):
        for platform, nodes in (("three.xml", 3), ("one.xml", 1)):
            status, out, err = run("scenarios/iris-3.xml", "--set", f"platform={self.at(platform)}", "--set",
                                   f"nodes={nodes}", "--strategy", "single", program="ringsim")
            self.assertEqual(status, 0, err)
        status, out, err = run("scenarios/iris-3.xml", "--set", f"platform={self.at('three.xml')}", "--strategy",
                               "ring", program="ringsim")
        self.assertEqual(status, 0, err)
        status, out, err = run(self.at("one.xml"), "--board", "--gemm", "256,256,256", "--watts", "1",
                               program="ringboard")
        self.assertEqual(status, 0, err)
        self.assertIn('"board": "bench"', out)
        self.assertIn('"watts": 3,', out)

    def test_layers(self):
        profile = self.at("net.profile.json")
        with open(self.at("net.xml"), "w", encoding="utf-8") as f:
            f.write('<network name="net" input="2x6x6"><conv2d outputs="3" kernel="3"/>'
                    '<residual><conv2d outputs="3" kernel="1"/></residual><dropout rate="0.5"/>'
                    '<dense outputs="4"/></network>')
        status, out, err = run("--network", self.at("net.xml"), "--batches", "2,8", "--quick", "--window", "0.01",
                               "--copies", "2", "--optimizer", "adam", "--name", "bench", "--json", profile)
        self.assertEqual(status, 0, err)
        self.assertIn("net: bench, ringcal", out)
        with open(profile, encoding="utf-8") as f:
            written = json.load(f)
        self.assertEqual([(r["batch"], r["layer"], r["kind"]) for r in written["layers"]],
                         [(n, l, k) for n in (2, 8) for l, k in enumerate(("conv2d", "residual", "dropout", "dense"))])
        for row in written["layers"]:
            self.assertGreater(row["forward_s"], 0)
            self.assertEqual(row["update_s"] > 0, row["kind"] != "dropout")
            self.assertGreater(row["backward_input_s"] + row["backward_weights_s"], 0)
        steps = {row["batch"]: row for row in written["steps"]}
        self.assertEqual(sorted(steps), [2, 8])
        with open(self.at("scenario.xml"), "w", encoding="utf-8") as f:
            f.write('<scenario name="net" seed="1"><platform file="three.xml"/><network file="net.xml"/>'
                    '<data kind="random" inputs="72" classes="4" train="64" test="8"/>'
                    '<training batch="8" epochs="1" learning-rate="0.01" optimizer="adam" numerics="skip"/>'
                    '<profile nodes="0-1" file="net.profile.json"/><strategy label="one" kind="single"/>'
                    '<strategy label="ring" kind="ring_pipeline" schedule="zb" stages="2" micro-batches="4"/></scenario>')
        result = self.at("result.json")
        status, out, err = run(self.at("scenario.xml"), "--json", result, program="ringsim")
        self.assertEqual(status, 0, err)
        with open(result, encoding="utf-8") as f:
            runs = json.load(f)["runs"]
        whole = sum(row[part] for row in written["layers"] if row["batch"] == 8
                    for part in ("forward_s", "backward_s"))
        whole += sum(row["update_s"] for row in written["layers"]) / 2 + steps[8]["fixed_s"] + steps[8]["loss_s"]
        self.assertAlmostEqual(runs[0]["iteration_s"]["mean"] / whole, 1, places=9)
        self.assertIn("net.profile.json (bench, ringcal", runs[1]["costs"]["profiles"][0])
        status, out, err = run(self.at("scenario.xml"), "--check", program="ringsim")
        self.assertIn("measured    nodes 0-1: ", out)

    def test_bad_layers(self):
        net = "models/networks/iris-mlp.xml"
        for words, said in (
                (("--batches", "1,2"), "--network FILE"),
                (("--network", net, "--batches", "4,2"), "numbers that rise"),
                (("--network", net, "--batches", "0"), "--batches"),
                (("--network", net, "--batches", "1", "--local"), "--batches measures the layers"),
                (("--network", net, "--batches", "1", "--optimizer", "lbfgs"), "sgd, momentum, adam and adagrad"),
                (("--network", net, "--copies", "2"), "belong to --batches"),
                (("--network", "none.xml", "--batches", "1"), "none.xml"),
                (("--network", net, "--batches", "1", "--copies", "1000"), "1000 cores"),
                (("--network", net, "--batches", "1", "--json", "/nowhere/x.json"), "/nowhere/x.json")):
            status, out, err = run(*words)
            self.assertEqual((status, len(err.splitlines())), (2, 1), err)
            self.assertIn(said, err)

    def test_fit_again_is_the_same(self):
        again = self.at("again.xml")
        status, _, err = run("--fit", self.raw, *LOOSE, "--platform", again, "--nodes", "3", "--watts", "2:3:3")
        self.assertEqual(status, 0, err)
        with open(again, encoding="utf-8") as a, open(self.at("three.xml"), encoding="utf-8") as b:
            self.assertEqual(a.read(), b.read())

    def test_refuses_a_bad_fit(self):
        path = self.at("bad.xml")
        status, _, err = run("--fit", self.raw, "--max-residual", "0.01", "--datasheet", path)
        self.assertEqual(status, 1)
        self.assertRegex(err, r'the fit is not good: ".*" is off by .* up to 0 % is allowed')
        self.assertIn("no datasheet is written", err)
        self.assertFalse(os.path.exists(path))

    def test_no_peer_no_datasheet(self):
        path = self.at("alone.xml")
        with open(self.raw, encoding="utf-8") as f:
            text = f.read()
        begin, end = text.index('"messages": ['), text.index('"frame"')
        alone = self.at("alone.json")
        with open(alone, "w", encoding="utf-8") as f:
            f.write(text[:begin] + '"messages": [], ' + text[end:])
        status, out, err = run("--fit", alone, *LOOSE, "--datasheet", path)
        self.assertEqual(status, 2)
        self.assertIn("--network FILE", err)
        self.assertIn("No peer", out)
        self.assertFalse(os.path.exists(path))
        status, _, err = run("--fit", alone, *LOOSE, "--datasheet", path, "--network", "platforms/pi4-gigabit-3.xml")
        self.assertEqual(status, 0, err)
        with open(path, encoding="utf-8") as f:
            self.assertRegex(f.read(), 'id="rg_latency_s" value="(5.03e-05|0.0000503)"')

    def test_bad_files(self):
        broken = self.at("broken.json")
        with open(broken, "w", encoding="utf-8") as f:
            f.write('{"schema": "ringtmp-calibration-1"')
        status, _, err = run("--fit", broken)
        self.assertEqual((status, len(err.splitlines())), (2, 1))
        self.assertIn("broken.json:1:", err)
        status, _, err = run("--fit", os.path.dirname(broken))
        self.assertEqual(status, 2)
        self.assertIn("is a folder", err)

    def ends(self, keys):
        hosts = self.at("hosts")
        with open(hosts, "w", encoding="utf-8") as f:
            f.writelines(f"127.0.0.1:{port}\n" for port in free_ports(2))
        children = [subprocess.Popen([f"{BUILD}/ringcal", "--rank", str(rank), "--hosts", hosts, "--key-file", key,
                                      "--quick", "--join-timeout", str(int(5 * SLOWNESS)), *LOOSE, "--datasheet",
                                      self.at(f"end-{rank}.xml")],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                    for rank, key in enumerate(keys)]
        return [(child.communicate(timeout=60 * SLOWNESS), child.returncode) for child in children]

    def key(self, name, digit):
        path = self.at(name)
        with open(path, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write("0123456789abcdef" * 3 + digit * 16 + "\n")
        return path

    def test_two_ends_with_a_key(self):
        key = self.key("key", "7")
        for rank, ((out, err), status) in enumerate(self.ends([key, key])):
            self.assertEqual(status, 0, err)
            self.assertIn("of a machine shared with the peer", out)
            self.assertTrue(os.path.exists(self.at(f"end-{rank}.xml")))
            os.remove(self.at(f"end-{rank}.xml"))

    def test_wrong_key(self):
        for rank, ((_, err), status) in enumerate(self.ends([self.key("one", "1"), self.key("two", "2")])):
            self.assertNotEqual(status, 0)
            self.assertTrue(err)
            self.assertFalse(os.path.exists(self.at(f"end-{rank}.xml")))

    def test_meter(self):
        root = self.at("root")
        sensor = os.path.join(root, "sys/class/hwmon/hwmon0")
        os.makedirs(sensor)
        for name, text in (("name", "ina219\n"), ("power1_input", "4500000\n")):
            with open(os.path.join(sensor, name), "w", encoding="utf-8") as f:
                f.write(text)
        path = self.at("watts.xml")
        status, out, err = run("--quick", *LOOSE, "--meter", "ina2xx", "--sysfs-root", root, "--burn-seconds", "0.3",
                               "--network", "platforms/pi4-gigabit-3.xml", "--datasheet", path)
        self.assertEqual(status, 0, err)
        self.assertRegex(out, r"watts idle 4\.\d+, one core 4\.\d+, all cores 4\.\d+ \(ina2xx")
        os.remove(os.path.join(sensor, "power1_input"))
        status, out, err = run("--quick", *LOOSE, "--meter", "ina2xx", "--sysfs-root", root, "--burn-seconds", "0.1")
        self.assertEqual(status, 0, err)
        self.assertIn("no watts: ", err)
        self.assertIn("watts are left out", out)

    def test_interrupted(self):
        names = ["stopped.json", "stopped.xml"]
        for peer in ([], ["--local"]):
            child = subprocess.Popen([f"{BUILD}/ringcal", *peer, "--json", self.at(names[0]), "--datasheet",
                                      self.at(names[1])], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            time.sleep(1.5)
            child.send_signal(signal.SIGINT)
            _, err = child.communicate(timeout=20 * SLOWNESS)
            self.assertEqual(child.returncode, 130, err)
            self.assertFalse([n for n in os.listdir(self.folder.name) if n.startswith("stopped")])


if __name__ == "__main__":
    unittest.main(verbosity=2)
