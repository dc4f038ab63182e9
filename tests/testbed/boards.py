"""Emulated boards: each a node of net.Network with a root of its own (an overlay on this machine's), booted by
systemd as its first process, with ssh on port 22. And a desk beside them, which has the source tree.

Happy path: group() before net.enter(), then inside: Machine(...), put() files, boot(), run().
Failure modes handled: not root, or something is missing or forbidden (net.Unavailable); a machine that does not
boot (RuntimeError with its journal). What a machine writes goes to memory; net.enter() ends all processes and with
them mounts and namespaces; group() takes away the control groups, the only thing that outlives them (empty ones, if
this program itself is killed by SIGKILL: rmdir).

Nothing here is a board: it is this machine's processor, kernel and packages."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

import net

GROUP = "RINGTMP_TESTBED_GROUP"
SYSTEMD = "/lib/systemd/systemd"
# What concerns hardware, the kernel or a network that is not there.
MASKED = ("systemd-udevd", "systemd-udev-trigger", "systemd-timesyncd", "systemd-networkd",
          "systemd-modules-load", "systemd-sysctl", "systemd-random-seed", "systemd-resolved",
          "tmp.mount") # which Debian 13 puts over what is in /tmp
TARGET = ("[Unit]\nRequires=basic.target\nAfter=basic.target systemd-user-sessions.service\n"
          "Wants=systemd-user-sessions.service\nAllowIsolate=yes\n")
BOOT = r"""
set -e
root=$1 name=$2 tmp=$3
mount --make-rprivate /
hostname "$name"
mount -t tmpfs none "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs none "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs none "$root/run"
[ -z "$tmp" ] || mount -t tmpfs -o mode=1777 none "$root/tmp"
mkdir -p "$root/.old"
cd "$root"
pivot_root . .old
umount -l .old
mount --make-rshared / # as systemd itself does where it is no container's
exec env -i container=ringtmp-testbed PATH=/usr/sbin:/usr/bin:/sbin:/bin "$4" --system --unit=board.target
"""


def _hierarchy():
    """Where control groups of version 2 are."""
    for folder in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if os.path.exists(os.path.join(folder, "cgroup.controllers")):
            return folder
    raise net.Unavailable("there are no control groups of version 2")


def check():
    if os.geteuid() != 0:
        raise net.Unavailable("booting systemd in namespaces needs root")
    if not os.path.exists(SYSTEMD):
        raise net.Unavailable("systemd is not installed")
    for tool, package in (("sshd", "openssh-server"), ("ssh", "openssh-client"), ("sudo", "sudo"),
                          ("nsenter", "util-linux"), ("pivot_root", "util-linux"), ("useradd", "passwd")):
        if not shutil.which(tool, path=os.environ.get("PATH", "") + ":/sbin:/usr/sbin"):
            raise net.Unavailable(f"{tool} is not installed ({package})")


def _remove(folder):
    for path, _, _ in os.walk(folder, topdown=False):
        for _ in range(100):  # its processes were killed, and are gone soon
            try:
                os.rmdir(path)
                break
            except OSError:
                time.sleep(0.05)


@contextlib.contextmanager
def group():
    """A control group for the machines, known to what is started within; gone afterwards."""
    check()
    try:
        folder = tempfile.mkdtemp(prefix="ringtmp-testbed-", dir=_hierarchy())
    except OSError as why:
        raise net.Unavailable(f"no control group can be made: {why}") from why
    os.environ[GROUP] = folder
    try:
        yield
    finally:
        del os.environ[GROUP]
        _remove(folder)
        if os.path.exists(folder):
            raise RuntimeError(f"{folder} is left, with processes in it")


class Machine:
    """An overlay on this machine's root; source: a folder of this machine's that it shall have, or None."""

    def __init__(self, network, node, name, source=None):
        self.network, self.node, self.name, self.source = network, node, name, source
        base = os.path.join(network.folder, name)
        self.root = os.path.join(base, "root")
        self._overlay(base, "/", self.root)
        if source:
            self._overlay(base + "-source", source, self.root + source)
        self.address = network.address(node)
        self.pid = None
        self.put("/etc/hostname", name + "\n")
        self.put("/etc/fstab", "")
        self.put("/etc/systemd/system/board.target", TARGET)
        for unit in MASKED:
            self.link("/dev/null", f"/etc/systemd/system/{unit if '.' in unit else unit + '.service'}")

    @staticmethod
    def _overlay(base, lower, where):
        for folder in (base + "/up", base + "/work", where):
            os.makedirs(folder, exist_ok=True)
        done = subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                               f"lowerdir={lower},upperdir={base}/up,workdir={base}/work", where],
                              capture_output=True, text=True)
        if done.returncode:
            raise net.Unavailable(f"no overlay can be mounted: {done.stderr.strip()}")

    def put(self, path, text, mode=0o644):
        target = self.root + path
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.remove(target)
        with open(os.open(target, os.O_WRONLY | os.O_CREAT, mode), "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(target, mode)

    def link(self, to, path):
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.root + path)
        os.symlink(to, self.root + path)

    def chroot(self, *words):
        """A command in its files before it is booted."""
        done = subprocess.run(["chroot", self.root, *words], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(words)}: {done.stderr.strip()}")

    def serve_ssh(self):
        """Host keys and configuration of its own, as Debian's package sets them up."""
        for kind in ("rsa", "ecdsa", "ed25519"):
            for end in ("", ".pub"):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(f"{self.root}/etc/ssh/ssh_host_{kind}_key{end}")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                        self.root + "/etc/ssh/ssh_host_ed25519_key"], check=True)
        self.put("/etc/ssh/sshd_config", "KbdInteractiveAuthentication no\nPasswordAuthentication no\nUsePAM yes\n"
                 "Subsystem sftp /usr/lib/openssh/sftp-server\n")
        folder = self.root + "/etc/systemd/system/board.target.wants"
        os.makedirs(folder, exist_ok=True)
        self.link("/lib/systemd/system/ssh.service", "/etc/systemd/system/board.target.wants/ssh.service")

    def boot(self, patience_s=60):
        groups = os.path.join(os.environ[GROUP], self.name)
        os.mkdir(groups)

        def join():
            os.setsid()
            with open(groups + "/cgroup.procs", "w", encoding="ascii") as stream:
                stream.write("0")
            if not self.source:
                net.ahead_of_others()

        # where the source tree is below /tmp, an empty /tmp would hide it
        words = ["ip", "netns", "exec", f"node{self.node}", "unshare", "--cgroup", "--mount", "--pid", "--uts",
                 "--ipc", "--fork", "--kill-child=KILL", "sh", "-c", BOOT, "sh", self.root, self.name,
                 "" if self.source else "tmp", SYSTEMD]
        self.log = open(os.path.join(self.network.folder, self.name + ".log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(words, preexec_fn=join, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT)
        limit = time.monotonic() + patience_s
        state = ""
        while state not in ("running", "degraded"):
            if self.process.poll() is not None or time.monotonic() > limit:
                self.log.seek(0)
                raise RuntimeError(f"{self.name} does not boot ({state}): {self.log.read().strip()}")
            time.sleep(0.2)
            state = self._state()

    def _state(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as stream:
            children = stream.read().split()
        if not children or os.path.basename(os.readlink(f"/proc/{children[0]}/exe")) != "systemd":
            return "starting"
        self.pid = int(children[0])
        return self.run("systemctl", "is-system-running").stdout.strip()

    def words(self, *words):
        """The command that runs words in it, as root."""
        return ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", *words]

    def run(self, *words):
        return subprocess.run(self.words(*words), capture_output=True, text=True, stdin=subprocess.DEVNULL)


class Shell:
    """A bash in a machine that is given one command after another, with nothing to read from."""

    LOOP = r"""
while IFS= read -r -d '' -u 9 command; do
    eval "$command" </dev/null 9<&-
    printf '\001%d\001' $?
done
"""

    def __init__(self, machine, folder, environment):
        commands, self.feed = os.pipe()
        os.set_inheritable(commands, True)

        def ready():
            os.dup2(commands, 9)
            os.setsid()

        self.process = subprocess.Popen(machine.words("bash", "-c", f"cd '{folder}' || exit\n" + self.LOOP),
                                        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL, preexec_fn=ready, close_fds=False)
        os.close(commands)

    def run(self, command, patience_s=300):
        """Exit status and all that it said."""
        os.write(self.feed, command.encode() + b"\0")
        old = signal.signal(signal.SIGALRM, self._late)
        signal.alarm(patience_s)
        said = b""
        try:
            while not (said.endswith(b"\1") and said.count(b"\1") == 2):
                piece = os.read(self.process.stdout.fileno(), 65536)
                if not piece:
                    raise RuntimeError(f"the shell has ended at: {command}\n{said.decode(errors='replace')}")
                said += piece
        except TimeoutError:
            raise RuntimeError(f"not done after {patience_s} s: {command}\n{said.decode(errors='replace')}") from None
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, old)
        text, status, _ = said.decode(errors="replace").split("\1")
        return int(status), text

    @staticmethod
    def _late(*_):
        raise TimeoutError
