"""ringdeploy against three sshds on loopback, each a host with a work folder, with configuration, keys and
ports of the test's own in a temporary folder.

    test_deploy.py RINGNODE

Exit status 77: sshd or ssh is absent, or refuses to run here.
"""

import contextlib
import getpass
import glob
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
from ports import free_ports  # noqa: E402

DEPLOY = os.path.join(SOURCE, "runtime", "programs", "ringdeploy")
SCENARIO = os.path.join(SOURCE, "scenarios", "iris-3.xml")
RINGNODE = os.path.abspath(sys.argv.pop(1))
PRIVILEGES = "/run/sshd" # sshd of root wants this folder, empty
HOSTS = 3
LONG = ["--strategy", "ring", "--set", "epochs=1000000"]
PATIENCE_S = 60
FENCES_S = 0.02


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def write(path, text):
    with open(path, "w") as stream:
        stream.write(text)
    return path


def read(path):
    with open(path) as stream:
        return stream.read()


def processes(*parts):
    """Process ids by command line: whose words together contain all parts."""
    found = []
    for entry in glob.glob("/proc/[0-9]*"):
        try:
            with open(entry + "/cmdline", "rb") as stream:
                words = stream.read().replace(b"\0", b" ").decode(errors="replace")
            where = os.readlink(entry + "/cwd")
        except OSError:
            continue
        if all(part in words + " " + where for part in parts) and int(entry[6:]) != os.getpid():
            found.append(int(entry[6:]))
    return found


def program_of(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def wait_until(what, condition, patience_s=PATIENCE_S):
    limit = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < limit, what
        time.sleep(0.05)


class Cluster:
    """Three sshds; their work folders; a configuration for ssh that knows them and nothing else."""

    def __init__(self, sshd):
        self.folder = tempfile.mkdtemp(prefix="ringdeploy-test-")
        self.made_privileges = os.getuid() == 0 and not os.path.isdir(PRIVILEGES)
        if self.made_privileges:
            os.mkdir(PRIVILEGES, 0o755)
        self.daemons = []
        self.ports = free_ports(2 * HOSTS)
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(name)], check=True)
        shutil.copy(self.path("user.pub"), self.path("authorized"))
        key = " ".join(read(self.path("host.pub")).split()[:2])
        write(self.path("known"), "".join(f"[127.0.0.1]:{p} {key}\n" for p in self.ports[:HOSTS]))
        write(self.path("ssh.conf"), f"Host *\n  IdentityFile {self.path('user')}\n  IdentitiesOnly yes\n"
              f"  UserKnownHostsFile {self.path('known')}\n  GlobalKnownHostsFile /dev/null\n"
              "  StrictHostKeyChecking yes\n  IdentityAgent none\n  LogLevel ERROR\n")
        for host in range(HOSTS):
            self.start(sshd, host)
        self.hosts = self.hosts_file("hosts.txt", self.ports)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def start(self, sshd, host):
        port = self.ports[host]
        conf = write(self.path(f"sshd-{host}.conf"), f"Port {port}\nListenAddress 127.0.0.1\nPidFile none\n"
                     f"HostKey {self.path('host')}\nAuthorizedKeysFile {self.path('authorized')}\n"
                     "UsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
                     "KbdInteractiveAuthentication no\nMaxStartups 100\n")
        with open(self.path(f"sshd-{host}.log"), "w") as log:
            self.daemons.append(subprocess.Popen([sshd, "-D", "-e", "-f", conf], stderr=log))

    def answers(self):
        """Can one log in? A machine may forbid it in its own ways."""
        command = ["ssh", "-F", self.path("ssh.conf"), "-o", "BatchMode=yes", "-p", str(self.ports[0]),
                   "127.0.0.1", "true"]
        for _ in range(50):
            last = subprocess.run(command, capture_output=True, text=True, timeout=30)
            if last.returncode == 0:
                return None
            time.sleep(0.1)
        return last.stderr + read(self.path("sshd-0.log"))

    def hosts_file(self, name, ports, user=getpass.getuser()):
        return write(self.path(name), "# three hosts\n" + "".join(
            f"{user}@127.0.0.1:{ports[HOSTS + r]} ssh-port={ports[r]} dir={self.work(r)}\n"
            for r in range(HOSTS)))

    def work(self, rank, *names):
        return self.path(f"host-{rank}", *names)

    def close(self):
        for daemon in self.daemons:
            daemon.terminate()
            daemon.wait()
        shutil.rmtree(self.folder)
        if self.made_privileges:
            os.rmdir(PRIVILEGES)


class Deploy(unittest.TestCase):
    cluster = None

    def setUp(self):
        self.scenario, self.out = SCENARIO, self.cluster.path("out")
        self.addCleanup(shutil.rmtree, self.out, ignore_errors=True)

    def command(self, *options, hosts=None, passed=(), program=RINGNODE):
        return [DEPLOY, self.scenario, "--hosts", hosts or self.cluster.hosts, "--ssh-config",
                self.cluster.path("ssh.conf"), "--ringnode", RINGNODE, "--binary",
                f"{platform.machine()}={program}", "--out", self.out, *options, "--", *passed]

    def deploy(self, *options, **more):
        return subprocess.run(self.command(*options, **more), capture_output=True, text=True, timeout=PATIENCE_S,
                              cwd=self.cluster.folder)

    def begin(self, *options):
        """A run that goes on until it is ended, as a group of its own; when rank 0 has told progress."""
        run = subprocess.Popen(self.command(*options, passed=LONG), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, cwd=self.cluster.folder, start_new_session=True)
        self.addCleanup(run.stdout.close)
        self.addCleanup(run.wait)
        self.addCleanup(run.kill)
        wait_until("no progress", lambda: os.path.exists(os.path.join(self.out, "rank-0.log")) and
                   " ring " in read(os.path.join(self.out, "rank-0.log")))
        self.assertEqual(len(self.ranks()), HOSTS)
        return run

    def ranks(self):
        return [pid for pid in processes(self.cluster.folder + "/host-") if "/bin/ringnode-" in program_of(pid)]

    def assert_nothing_left(self):
        wait_until("processes are left", lambda: not processes(self.cluster.folder + "/host-"), 20)

    def assert_files(self, done, counts):
        self.assertEqual([int(n) for n in re.findall(r"(?:copying|would copy) (\d+) of 6 files", done.stderr)],
                         counts, done.stderr)

    def test_1_result_is_that_of_a_local_run(self):
        done = self.deploy("--trace")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_files(done, [6] * HOSTS)
        local = self.cluster.path("local.json")
        # As after a login: what chooses other BLAS kernels here is not set there.
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("OPENBLAS", "OMP_", "RINGTMP"))}
        key, _ = self.key("0123456789abcdef")
        subprocess.run([RINGNODE, SCENARIO, "--local", "--quiet", "--json", local, "--key-file", key], check=True,
                       timeout=PATIENCE_S, env=plain)
        ours, theirs = (json.loads(read(path)) for path in (os.path.join(self.out, "result.json"), local))
        self.assertEqual(ours["scenario_sha256"], theirs["scenario_sha256"])
        self.assertEqual(ours["host"]["blas_kernels"], theirs["host"]["blas_kernels"])
        self.assertTrue(ours["host"]["sockets"]["cipher"])  # by keys of this run, and nothing is left of them
        for rank in range(HOSTS):
            self.assertNotIn("keys", os.listdir(self.cluster.work(rank, f"rank-{rank}")))
        self.assertTrue(ours["host"]["sockets"]["congestion_control"])
        self.assertEqual(len(ours["runs"]), 4)
        for a, b in zip(ours["runs"], theirs["runs"]):
            for field in ("label", "kind", "params", "nodes", "status", "iterations", "samples", "traffic", "final",
                          "weights_sha256", "memory_bytes"):
                self.assertEqual(a[field], b[field], field)
            self.assertEqual([(t["iteration"], t["loss"]) for t in a["training"]],
                             [(t["iteration"], t["loss"]) for t in b["training"]])
        self.assertIn("strategy", done.stdout)
        self.assertIn("ringtmp", done.stdout)
        self.assertEqual(done.stdout, read(os.path.join(self.out, "table.txt")))
        self.assertTrue(json.loads(read(os.path.join(self.out, "trace.json"))))
        self.assert_nothing_left()

    def test_2_only_what_changed_is_copied(self):
        self.assertEqual(self.deploy().returncode, 0)
        shutil.rmtree(self.out)
        done = self.deploy()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_files(done, [0] * HOSTS)
        write(self.cluster.work(1, "network", "iris-mlp.xml"), "older")
        os.remove(self.cluster.work(2, "data", "iris.csv"))
        before = sorted(os.listdir(self.cluster.work(2)))
        done = self.deploy("--dry-run")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_files(done, [0, 1, 1])
        self.assertIn("--rank 2" , done.stdout.replace("'", ""))
        self.assertEqual(read(self.cluster.work(1, "network", "iris-mlp.xml")), "older")
        self.assertEqual(sorted(os.listdir(self.cluster.work(2))), before)
        shutil.rmtree(self.out)
        done = self.deploy()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_files(done, [0, 1, 1])
        self.assertNotIn(".incoming", " ".join(os.listdir(self.cluster.work(1))))

    def test_3_killed_rank_ends_all(self):
        run = self.begin()
        victim, = (pid for pid in self.ranks() if os.readlink(f"/proc/{pid}/cwd") == self.cluster.work(1))
        os.kill(victim, signal.SIGKILL)
        self.assertEqual(run.wait(PATIENCE_S), 4, run.stdout.read())
        self.assert_nothing_left()

    def test_4_ctrl_c_ends_all_and_gathers(self):
        run = self.begin()
        os.killpg(run.pid, signal.SIGINT)
        self.assertEqual(run.wait(PATIENCE_S), 130, run.stdout.read())
        self.assertEqual(json.loads(read(os.path.join(self.out, "result.json")))["runs"][0]["status"], "interrupted")
        self.assertIn("interrupted", read(os.path.join(self.out, "table.txt"))) # ssh has heard the rank out
        self.assert_nothing_left()
        self.assertFalse(processes(self.out))

    def test_5_killed_itself_it_leaves_no_rank(self):
        run = self.begin()
        run.kill()
        run.wait()
        self.assert_nothing_left()

    def test_6_lost_connection_ends_all(self):
        run = self.begin()
        for pid in processes("ssh ", "-T", f"-p {self.cluster.ports[2]} "):
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(run.wait(PATIENCE_S), 4, run.stdout.read())
        self.assert_nothing_left()

    def test_7_timeout(self):
        begun = time.monotonic()
        done = self.deploy("--timeout", "3", passed=LONG)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("not finished within 3 s", done.stderr)
        self.assertLess(time.monotonic() - begun, 30)
        self.assert_nothing_left()

    def test_8_bad_input_is_refused_before_a_host_is_touched(self):
        nobody = free_ports(2 * HOSTS)
        two = write(self.cluster.path("two.txt"), "127.0.0.1:1\n127.0.0.1:2\n")
        odd = write(self.cluster.path("odd.txt"), "127.0.0.1 port=22\n")
        binary = write(self.cluster.path("no.txt"), "a \x7fELF\x02\n")
        for status, text, more in ((4, "rank 0", {"hosts": self.cluster.hosts_file("away.txt", nobody)}),
                                   (2, "two.txt names 2 hosts", {"hosts": two}), (2, "odd.txt:1: port=22", {"hosts": odd}),
                                   (2, "no.txt:1: ?ELF?: ssh=", {"hosts": binary}),
                                   (2, "no file", {"hosts": "/nowhere"}),
                                   (2, "gets that from ringdeploy", {"passed": ["--json", "x"]}),
                                   (2, "--colour", {"passed": ["--colour"]})):
            done = self.deploy(**more)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(text, done.stderr)
            self.assertFalse(os.path.exists(self.out))
        plain = subprocess.run([DEPLOY, "--help"], capture_output=True, text=True)
        self.assertEqual((plain.returncode, plain.stderr), (0, ""))
        self.assertIn("Examples:", plain.stdout)

    def test_9_datasheet_that_paces_is_copied(self):
        sheet = os.path.join(SOURCE, "platforms", "pi4-gigabit-3.xml")
        here = shutil.copy(sheet, self.cluster.path("sheet of mine.xml"))
        for paced in (["--pace", here], [f"--pace={here}"]):
            done = self.deploy("--dry-run", passed=paced)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(len(re.findall(r"would copy [1-7] of 7 files", done.stderr)), HOSTS, done.stderr)
        done = self.deploy(passed=["--pace", os.path.basename(here), "--strategy", "ring", "--set", "epochs=2"])
        self.assertIn(done.returncode, (0, 1), done.stderr) # 1: this machine was too busy to keep the pace
        run, = json.loads(read(os.path.join(self.out, "result.json")))["runs"]
        self.assertGreater(run["paced"]["computations"], 0)
        for rank in range(HOSTS):
            self.assertEqual(read(self.cluster.work(rank, "pace", os.path.basename(here))), read(sheet))
        shutil.rmtree(self.out)
        done = self.deploy(passed=["--pace", self.cluster.path("absent.xml")])
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("absent.xml: cannot be read", done.stderr)
        self.assertFalse(os.path.exists(self.out))

    def test_9_profiles_of_a_platform_go_along(self):
        sheet = read(os.path.join(SOURCE, "platforms", "pi4-gigabit-3.xml"))
        trace = '<trace id="t" file="{}"/></platform>'
        os.makedirs(self.cluster.path("moving", "later"))
        write(self.cluster.path("moving", "later", "slow.profile"), "1 1e6\n")
        here = write(self.cluster.path("moving", "p.xml"), sheet.replace("</platform>", trace.format("later/slow.profile")))
        done = self.deploy(passed=["--set", "platform=" + here, "--strategy", "ring", "--set", "epochs=2"])
        self.assertEqual(done.returncode, 0, done.stderr)
        for rank in range(HOSTS):
            self.assertEqual(read(self.cluster.work(rank, "platform", "later", "slow.profile")), "1 1e6\n")
        shutil.rmtree(self.out)
        away = write(self.cluster.path("away.profile"), "1 1e6\n")
        for name in (away, "../away.profile"):
            write(here, sheet.replace("</platform>", trace.format(name)))
            done = self.deploy("--dry-run", passed=["--set", "platform=" + here])
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("away.profile: a profile beside its platform", done.stderr)

    def test_9_profiles_of_a_network_go_along(self):
        network = os.path.join(SOURCE, "models", "networks", "iris-mlp.xml")
        with open(network, "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest()
        seconds = {"forward_s": 1e-5, "backward_s": 1e-5, "update_s": 1e-6}
        profile = json.dumps({
            "schema": "ringtmp-profile-1", "network": "iris-mlp", "network_sha256": digest, "board": "b", "program": "p",
            "threads": 1, "copies": 1, "optimizer": "momentum",
            "steps": [{"batch": n, "fixed_s": 0, "loss_s": 0} for n in (1, 10)],
            "layers": [{"batch": n, "layer": layer, **seconds} for n in (1, 10) for layer in range(3)]})
        text = read(SCENARIO).replace("../", SOURCE + "/")
        os.makedirs(self.cluster.path("measured", "later"))
        write(self.cluster.path("measured", "later", "iris.json"), profile)
        write(self.cluster.path("away.json"), profile)
        self.scenario = self.cluster.path("measured", "s.xml")
        element = '<strategy label="single"'
        write(self.scenario, text.replace(element, '<profile nodes="0-2" file="later/iris.json"/>' + element))
        done = self.deploy(passed=["--strategy", "ring", "--set", "epochs=2"])
        self.assertEqual(done.returncode, 0, done.stderr)
        for rank in range(HOSTS):
            self.assertEqual(read(self.cluster.work(rank, "scenario", "later", "iris.json")), profile)
        run, = json.loads(read(os.path.join(self.out, "result.json")))["runs"]
        self.assertIn("iris.json (b, p)", run["costs"]["profiles"][0])
        write(self.scenario, text.replace(element, '<profile nodes="0-2" file="../away.json"/>' + element))
        done = self.deploy("--dry-run")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("away.json: a profile beside its scenario", done.stderr)

    def key(self, digits, mode=0o600):
        """A key file, and what is in it."""
        path = write(self.cluster.path("key"), 4 * digits + "\n")
        os.chmod(path, mode)
        return path, 4 * digits

    def test_a_key_is_its_owners_only(self):
        path, text = self.key("0123456789abcdef", 0o640) # here a group may read it
        options = ["--key-file", path]
        done = self.deploy(*options, "--dry-run")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("'--key-file' 'key'", done.stdout)
        done = self.deploy(*options, passed=["--strategy", "ring"])
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(read(os.path.join(self.out, "result.json")))
        self.assertTrue(result["host"]["sockets"]["cipher"].startswith("TLS_"), result["host"])
        self.assertGreater(result["host"]["sockets"]["bytes_sent"], result["runs"][0]["per_node"][0]["bytes_sent"])
        shutil.rmtree(self.out)
        run = self.begin(*options)
        for pid in processes(""):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as stream:
                self.assertNotIn(text, stream.read())
        os.killpg(run.pid, signal.SIGINT)
        self.assertEqual(run.wait(PATIENCE_S), 130)
        for rank in range(HOSTS):
            self.assertEqual(read(self.cluster.work(rank, "key")), text + "\n")
            self.assertEqual(os.stat(self.cluster.work(rank, "key")).st_mode & 0o777, 0o600)
        for name in glob.glob(os.path.join(self.out, "**"), recursive=True):
            self.assertFalse(os.path.isfile(name) and text in read(name), name)
        self.assert_nothing_left()

    def test_b_key_that_others_may_read_is_refused_here(self):
        path, _ = self.key("0123456789abcdef", 0o644)
        done = self.deploy("--key-file", path)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("others may read", done.stderr)
        self.assertFalse(os.path.exists(self.out))

    def test_c_wrong_key_on_one_board_ends_all(self):
        path, _ = self.key("0123456789abcdef")
        odd = write(self.cluster.path("odd-ringnode"), "#!/bin/sh\n[ ! -e other-key ] || cp other-key key\n"
                    f"exec '{RINGNODE}' \"$@\"\n")
        os.makedirs(self.cluster.work(1), exist_ok=True)
        other = write(self.cluster.work(1, "other-key"), 4 * "fedcba9876543210" + "\n")
        self.addCleanup(os.remove, other)
        begun = time.monotonic()
        done = self.deploy("--key-file", path, program=odd, passed=["--join-timeout", "5"])
        self.assertEqual(done.returncode, 3, done.stderr)
        logs = {rank: read(os.path.join(self.out, f"rank-{rank}.log")) for rank in range(HOSTS)}
        self.assertIn("last visitor: refused 127.0.0.1: it has another key", logs[0])
        self.assertIn("does not accept this node's key", logs[1])
        self.assertIn("rank 1 at 127.0.0.1", logs[2])
        self.assertIn("last visitor: refused 127.0.0.1: it has another key", done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.out, "result.json")))
        self.assertLess(time.monotonic() - begun, 30)
        self.assert_nothing_left()

    def test_d_a_meter_a_host_and_its_log(self):
        hosts = write(self.cluster.path("meters.txt"), "".join(
            line.rstrip() + (" meter=csv:power.csv\n" if i == 0 else " meter=other\n") for i, line in
            enumerate(read(self.cluster.hosts).splitlines()[1:])))
        now = int(time.time())
        os.makedirs(self.cluster.work(0), exist_ok=True)
        log = write(self.cluster.work(0, "power.csv"), "time,watts\n" + "".join(
            f"{now + s},{3 + s % 2 / 10}\n" for s in range(-10, 2 * PATIENCE_S)))
        done = self.deploy(hosts=hosts)
        self.assertEqual(done.returncode, 0, done.stderr)
        for run in json.loads(read(os.path.join(self.out, "result.json")))["runs"]:
            self.assertEqual(run["meter"]["source"], "csv", run["meter"])
            # logs are summed from the first node's begin to the first one's end: barriers are not left at once
            self.assertGreaterEqual(run["energy_J"]["total"], 3 * (run["time_s"] - FENCES_S))
            self.assertLessEqual(run["energy_J"]["total"], 3.1 * (run["time_s"] + FENCES_S))
        self.assertEqual(read(os.path.join(self.out, "rank-0.meter.csv")), read(log))
        os.remove(log)
        done = self.deploy(hosts=hosts, passed=["--strategy", "single"])
        self.assertIn("no log of its meter", done.stderr)
        done = self.deploy(hosts=write(self.cluster.path("odd.txt"), "127.0.0.1 meter=solar\n" * HOSTS))
        self.assertEqual(done.returncode, 2)
        self.assertIn("--meter solar", done.stderr)

    def test_9_rank_that_cannot_start_ends_all(self):
        busy = socket.create_server(("127.0.0.1", self.cluster.ports[HOSTS + 1]))
        with busy:
            done = self.deploy()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("rank 1", done.stderr)
        self.assert_nothing_left()


def main():
    sshd = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
    if not sshd or not shutil.which("ssh"):
        skip("no sshd or no ssh: Debian's openssh-server and openssh-client have them")
    Deploy.cluster = Cluster(sshd)
    try:
        why = Deploy.cluster.answers()
        if why:
            skip(f"one cannot log in to an sshd of one's own here: {why}")
        result = unittest.main(exit=False, verbosity=2).result
    finally:
        Deploy.cluster.close()
    sys.exit(not result.wasSuccessful())


main()
