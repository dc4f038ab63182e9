"""ringdeploy against three sshds on loopback, each a host with a work folder, with configuration, keys and
ports of the test's own in a temporary folder.

    test_deploy.py RINGNODE

Exit status 77: sshd or ssh is absent, or refuses to run here.
"""

import getpass
import glob
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

DEPLOY = os.path.join(SOURCE, "runtime", "ringdeploy")
SCENARIO = os.path.join(SOURCE, "scenarios", "iris-3.xml")
RINGNODE = os.path.abspath(sys.argv.pop(1))
PRIVILEGES = "/run/sshd" # sshd of root wants this folder, empty
HOSTS = 3
LONG = ["--strategy", "ring", "--set", "epochs=1000000"]
PATIENCE_S = 60


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
        self.out = self.cluster.path("out")
        self.addCleanup(shutil.rmtree, self.out, ignore_errors=True)

    def command(self, *options, hosts=None, passed=()):
        return [DEPLOY, SCENARIO, "--hosts", hosts or self.cluster.hosts, "--ssh-config",
                self.cluster.path("ssh.conf"), "--ringnode", RINGNODE, "--binary",
                f"{platform.machine()}={RINGNODE}", "--out", self.out, *options, "--", *passed]

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
        subprocess.run([RINGNODE, SCENARIO, "--local", "--quiet", "--json", local], check=True, timeout=PATIENCE_S,
                       env=plain)
        ours, theirs = (json.loads(read(path)) for path in (os.path.join(self.out, "result.json"), local))
        self.assertEqual(ours["scenario_sha256"], theirs["scenario_sha256"])
        self.assertEqual(ours["host"]["blas_kernels"], theirs["host"]["blas_kernels"])
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
        for status, text, more in ((4, "rank 0", {"hosts": self.cluster.hosts_file("away.txt", nobody)}),
                                   (2, "names 2 hosts", {"hosts": two}), (2, "odd.txt:1: port=22", {"hosts": odd}),
                                   (2, "no file", {"hosts": "/nowhere"}),
                                   (2, "gets that from ringdeploy", {"passed": ["--json", "x"]}),
                                   (2, "unknown option", {"passed": ["--colour"]})):
            done = self.deploy(**more)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(text, done.stderr)
            self.assertFalse(os.path.exists(self.out))
        plain = subprocess.run([DEPLOY, "--help"], capture_output=True, text=True)
        self.assertEqual((plain.returncode, plain.stderr), (0, ""))
        self.assertIn("Examples:", plain.stdout)

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
