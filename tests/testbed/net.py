"""A network of N namespaces behind one switch, every port shaped, in namespaces of its own.

Happy path: enter() starts the program again inside fresh mount, pid and network namespaces; there
Network() makes a bridge and N nodes, each joined to it by a veth pair whose two ends are token
buckets of one rate; Network.start() runs a command in a node.
Failure modes handled: no permission to make namespaces, or no ip, tc or tbf (Unavailable, which
callers turn into exit status 77); anything at all that ends the program, SIGKILL included: the
kernel then ends all processes of the inner pid namespace, and with the last of them the namespaces,
links and files go. Nothing has to be cleaned up, so nothing is left behind.

Nothing here is a board: the network is emulated, and so is the time of computations."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys

INSIDE = "RINGTMP_TESTBED_INSIDE"
SKIPPED = 77
PR_SET_PDEATHSIG = 1
# The kernel joins segments into packets of up to so many bytes; smaller ones cost more processor
# time, larger ones do not fit the bucket and are cut again.
GSO_BYTES = 16384
QUEUE_BYTES = 1 << 20
FRAME_PAYLOAD, FRAME_BYTES = 1448, 1514  # TCP with timestamps in an Ethernet frame, as tbf counts


class Unavailable(Exception):
    """No namespaces or no shaping here, and why."""


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def ahead_of_others():
    """What else runs on this machine is no part of the network that is emulated."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (PermissionError, AttributeError):
        pass


def _unshare():
    words = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    return words if os.geteuid() == 0 else words + ["--user", "--map-root-user"]


def inside():
    return INSIDE in os.environ


def check():
    """Raises Unavailable where a testbed cannot be made."""
    for tool in ("unshare", "ip", "tc", "mount"):
        if not shutil.which(tool, path=os.environ.get("PATH", "") + ":/sbin:/usr/sbin"):
            raise Unavailable(f"{tool} is not installed (util-linux, iproute2)")
    trial = ("mount -t tmpfs none /run && ip link add try0 type veth peer name try1 && "
             "tc qdisc add dev try0 root tbf rate 10mbit burst 20kb limit 1mb && "
             "ip link add try2 type bridge")
    done = subprocess.run(_unshare() + ["sh", "-c", trial], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unavailable(f"namespaces with shaped links are not allowed here: {last}")


def enter():
    """Runs this program again, with its arguments, inside; returns its exit status."""
    check()
    environment = dict(os.environ, **{INSIDE: "1"})
    environment["PATH"] += ":/sbin:/usr/sbin"
    child = subprocess.Popen(_unshare() + [sys.executable, "-B"] + sys.argv, env=environment,
                             preexec_fn=_die_with_parent)
    ended = []

    def end(number, _):
        ended.append(number)
        child.kill()  # and with it, by --kill-child, all that is inside

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    status = child.wait()
    return 128 + ended[0] if ended else status


def _run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


class Network:
    """Nodes 0 .. count - 1 at 10.77.0.1 and up; rate in bit/s, burst in bytes. slow_start: connections
    that rested start slowly, as is the kernel's default; not, as boards are set up by docs/deploy.md."""

    def __init__(self, count, rate, burst, slow_start=False):
        if not inside():
            raise Unavailable("a network is made inside of enter() only: it takes /run and the node names for itself")
        self.count, self.rate, self.burst, self.slow_start = count, rate, burst, slow_start
        _run("mount", "-t", "tmpfs", "none", "/run")
        os.makedirs("/run/netns")
        self.folder = "/run/testbed"
        os.makedirs(self.folder)
        _run("ip", "netns", "add", "switch")
        _run("ip", "-n", "switch", "link", "add", "br0", "type", "bridge", "stp_state", "0",
             "forward_delay", "0", "mcast_snooping", "0")
        _run("ip", "-n", "switch", "link", "set", "br0", "up")
        for i in range(count):
            self._add_node(i)

    def _add_node(self, i):
        node, port = f"node{i}", f"port{i}"
        _run("ip", "netns", "add", node)
        _run("ip", "link", "add", "eth0", "netns", node, "type", "veth", "peer", "name", port,
             "netns", "switch")
        _run("ip", "-n", "switch", "link", "set", port, "master", "br0", "up")
        _run("ip", "-n", node, "addr", "add", f"{self.address(i)}/24", "dev", "eth0")
        _run("ip", "-n", node, "link", "set", "eth0", "up")
        _run("ip", "-n", node, "link", "set", "lo", "up")
        _run("ip", "netns", "exec", node, "sh", "-c", f"echo {int(self.slow_start)} > "
             "/proc/sys/net/ipv4/tcp_slow_start_after_idle")
        for space, device in self._ends(i):
            _run("ip", "-n", space, "link", "set", "dev", device, "gso_max_size", str(GSO_BYTES))
            self._shape("add", space, device)

    @staticmethod
    def _ends(i):
        return (f"node{i}", "eth0"), ("switch", f"port{i}")

    def _shape(self, verb, space, device):
        _run("tc", "-n", space, "qdisc", verb, "dev", device, "root", "tbf", "rate",
             f"{self.rate:.0f}bit", "burst", str(self.burst), "limit", str(QUEUE_BYTES))

    def reshape(self, rate, burst):
        """Another rate and burst, while nothing runs."""
        self.rate, self.burst = rate, burst
        for i in range(self.count):
            for space, device in self._ends(i):
                self._shape("change", space, device)

    @staticmethod
    def address(i):
        return f"10.77.0.{i + 1}"

    def start(self, node, words, **how):
        return subprocess.Popen(["ip", "netns", "exec", f"node{node}"] + words,
                                preexec_fn=ahead_of_others, **how)

    def dropped(self):
        """Packets dropped by all shapers since the beginning: 0 on a sound testbed."""
        text = "".join(_run("tc", "-n", space, "-s", "qdisc", "show") for space in
                       ["switch"] + [f"node{i}" for i in range(self.count)])
        return sum(int(words.split("dropped ")[1].split(",")[0])
                   for words in text.splitlines() if "dropped " in words)
