#!/usr/bin/python3 -B
"""docs/deploy.md's "On your boards", every command as it is written there, on emulated boards.

    test_board_path.py [--build BUILD] [--keep FOLDER]
    test_board_path.py --list        what would be run, from the page alone

Happy path: the commands are taken out of that section; three boards and a desk are booted (boards.py), each
board with what Raspberry Pi Imager puts on a card (host name, user, public key, sudo); the desk's shell gets the
commands one after another; then what they must have left is looked at: two measured results with the same weights, a
simulated one, the comparison's page, keys that only their owner can read.
Four lines, which the page says are the reader's to change, are changed (INSTEAD); blocks marked "not-tried" are named
and left out. Failure modes handled: namespaces, systemd or sshd not allowed or not there (status 77, with the
reason); a command that fails (its words, status 1); a page that no longer has what is expected here (status 1).

Measured here is an emulated network with paced computations on this machine's processor: no board."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import boards  # noqa: E402
import net  # noqa: E402
import testbed  # noqa: E402

sys.path.insert(0, os.path.join(testbed.ROOT, "tests", "support"))
import pages  # noqa: E402

PAGE = os.path.join(testbed.ROOT, "docs", "deploy.md")
SECTION = "## On your boards\n"
NAMES = ("pi-1", "pi-2", "pi-3")
DESK = len(NAMES)
RATE, BURST = 100e6, 20000
SPEED = 0.01 # of board.xml: this machine then does the real work in a small part of the time
INSTEAD = {"PRESET": "PRESET=board", "PLATFORM": "PLATFORM=/root/platform.xml",
           "OPTIONS": 'OPTIONS="--set platform=$PLATFORM --pace platform"',
           # three machines share this one's cores, and what it has to do besides
           "CALIBRATE": 'CALIBRATE="--quick --max-residual 1000"'}
# What the way from blank cards to a comparison cannot do without
MENTIONED = ("ssh-keygen", "cpack", "apt-get install", "openssl rand", "sysctl", "ringcal --rank 0", "ringcal --rank 1",
             "ringdeploy", "ringsim", "compare.py", "systemctl start")
PATIENCE_S = 900 # ./setup may have something to build
OTHER_PRESETS = ("aarch64", "armhf")


class Wrong(Exception):
    """What was tried did not go as the page says."""


# ---- the page ----

def section(text):
    begin = text.index(SECTION) + len(SECTION)
    end = re.search(r"^## ", text[begin:], re.M)
    return text[begin:begin + end.start()] if end else text[begin:]


def read_page():
    """Commands in order: [(tried, command)]."""
    with open(PAGE, encoding="utf-8") as stream:
        text = section(stream.read())
    blocks = pages.blocks(text)
    kinds = {kind for kind, _ in blocks}
    if not blocks or not kinds <= {"sh", "sh not-tried"} or re.search(r"^    \S", re.sub(r"```[\s\S]*?```", "", text),
                                                                      re.M):
        raise Wrong(f"{SECTION.strip()}: blocks of ```sh and ```sh not-tried are wanted, not {sorted(kinds)}")
    return [(kind == "sh", command) for kind, block in blocks for command in pages.commands_of(block)]


def changed(commands):
    """With what the reader is to change changed; each of these lines must be there, once."""
    left, result = dict(INSTEAD), []
    for tried, command in commands:
        name = command.partition("=")[0]
        if tried and name in INSTEAD and "\n" not in command:
            if name not in left:
                raise Wrong(f"{PAGE} sets {name} twice")
            print(f"changed: {command}\n     to: {left[name]}")
            command = left.pop(name)
        result.append((tried, command))
    if left:
        raise Wrong(f"{PAGE} does not set " + ", ".join(left))
    return result


def list_commands():
    commands = changed(read_page())
    for tried, command in commands:
        print(("$ " if tried else "not tried here: ") + command)
    missing = [word for word in MENTIONED if not any(tried and word in command for tried, command in commands)]
    if missing:
        raise Wrong(f"{PAGE} has no command with " + ", ".join(missing))
    return 0


# ---- the boards ----

def prepare_board(machine, public_key):
    """As Raspberry Pi Imager and the first boot leave it."""
    machine.serve_ssh()
    machine.chroot("useradd", "--create-home", "--shell", "/bin/bash", "pi")
    machine.put("/home/pi/.ssh/authorized_keys", public_key, 0o600)
    machine.chroot("chown", "-R", "pi:pi", "/home/pi/.ssh")
    machine.chroot("chmod", "700", "/home/pi/.ssh")
    machine.put("/etc/sudoers.d/010_pi-nopasswd", "pi ALL=(ALL) NOPASSWD: ALL\n", 0o440)


def fresh_desk(bench):
    """The desk has never seen a board: no keys, no known hosts, none of the files that the page makes."""
    desk = boards.Machine(bench.network, DESK, "desk", testbed.ROOT)
    shutil.rmtree(desk.root + "/root/.ssh", ignore_errors=True)
    os.makedirs(desk.root + "/root/.ssh", 0o700)
    for left in ("hosts.txt", "key", "run-1", "run-2.json", "ringnode.hosts", "boards.xml"):
        subprocess.run(["rm", "-rf", os.path.join(desk.root + testbed.ROOT, left)], check=True)
    props = testbed.datasheet(os.path.join(testbed.HERE, "board.xml"), SPEED)
    desk.put("/root/platform.xml", testbed.platform_text(props, len(NAMES), bench.rate, bench.burst, bench.delay_s))
    return desk


def name_all(machines):
    """As mDNS does on a real network."""
    lines = "127.0.0.1 localhost\n" + "".join(f"{m.address} {m.name}.local {m.name}\n" for m in machines)
    for machine in machines:
        machine.put("/etc/hosts", lines)


# ---- the commands ----

class Path:
    def __init__(self, build):
        self.commands = changed(read_page())
        bench = testbed.Bench(build, DESK + 1, RATE, BURST)
        print(f"emulated: {len(NAMES)} boards at {RATE / 1e6:g} Mbit/s, one way {1e6 * bench.delay_s:.0f} us, "
              f"board.xml at {SPEED:g} times its rates", flush=True)
        self.desk = fresh_desk(bench)
        self.boards = [boards.Machine(bench.network, i, name) for i, name in enumerate(NAMES)]
        name_all(self.boards + [self.desk])
        try:
            self.desk.boot()
        except RuntimeError as why: # there is nothing of this project in it yet
            raise net.Unavailable(f"systemd does not boot in namespaces here: {why}") from why
        self.shell = boards.Shell(self.desk, testbed.ROOT, dict(
            {k: v for k, v in os.environ.items() if k in ("PATH", "LANG") or k.startswith(("CCACHE", "CMAKE"))},
            HOME="/root", OPENBLAS_NUM_THREADS="1"))
        self.tried = self.left_out = 0

    def desk_file(self, *names):
        return os.path.join(self.desk.root + testbed.ROOT, *names)

    def try_one(self, command):
        print("$ " + command.replace("\n", "\n> "), flush=True)
        status, said = self.shell.run(command, PATIENCE_S)
        print("".join(f"  | {line}\n" for line in said.replace("\r", "\n").splitlines()[-40:]), end="", flush=True)
        if status:
            raise Wrong(f"exit status {status}: {command}")
        self.tried += 1

    def boot_boards(self):
        """After the desk has made its key, as on a real desk."""
        with open(self.desk.root + "/root/.ssh/id_ed25519.pub", encoding="ascii") as stream:
            public_key = stream.read()
        for machine in self.boards:
            prepare_board(machine, public_key)
            machine.boot()

    def try_all(self):
        for tried, command in self.commands:
            if not tried:
                print(f"not tried here: {command}")
                self.left_out += 1
                continue
            if command.startswith("BOARDS="):
                self.boot_boards()
            self.try_one(command)
            if "cpack" in command:
                self.try_other_presets(command)

    def try_other_presets(self, command):
        """The cross builds' packages, where there are such builds: without a network none can be begun."""
        for preset in OTHER_PRESETS:
            if os.path.exists(os.path.join(testbed.ROOT, "build", preset, "build.ninja")):
                self.try_one(f"PRESET={preset}; {command}; made=$?; {INSTEAD['PRESET']}; (exit $made)")
                self.tried -= 1 # the same once more
            else:
                print(f"not tried here: PRESET={preset} (no build/{preset}: ./setup {preset} makes one)")


def expect(condition, what):
    if not condition:
        raise Wrong(f"not found: {what}")
    print(f"found: {what}")


def load(path):
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def weights(result):
    return {run["label"]: run["weights_sha256"] for run in result["runs"]}


def look(path):
    """What the commands must have left."""
    measured, simulated = load(path.desk_file("run-1", "result.json")), load(path.desk_file("run-1", "sim.json"))
    service = load(path.desk_file("run-2.json"))
    expect([run["status"] for run in measured["runs"]] == ["ok"] * 4, "a measured result, 4 runs")
    expect([run["status"] for run in simulated["runs"]] == ["ok"] * 4, "a simulated one of the same")
    expect([run["status"] for run in service["runs"]] == ["ok"] * 4, "a result of systemd's ringnode@")
    expect(os.path.getsize(path.desk_file("boards.xml")) > 0, "a platform that ringsim took, by ringcal")
    expect((measured["world"], simulated["world"], service["world"]) == ("posix", "sim", "posix"),
           "their worlds: measured, simulated, measured")
    expect(all(r["host"]["sockets"]["cipher"].startswith("TLS_") for r in (measured, service)), "both enciphered")
    expect(weights(measured) == weights(simulated) == weights(service), "the same weights in all three")
    expect(all("paced" in run for run in measured["runs"]), "paced computations in what is called measured")
    with open(path.desk_file("run-1", "compare.html"), encoding="utf-8") as stream:
        page = stream.read()
    expect("</html>" in page and all(label in page for label in weights(measured)), "the page, with all strategies")
    for rank in range(len(NAMES)):
        expect(os.path.exists(path.desk_file("run-1", f"rank-{rank}.log")), f"the log of rank {rank}")
    for machine in path.boards:
        ours = machine.run("stat", "-c", "%a %U", "/home/pi/ringtmp/key", "/etc/ringnode.key").stdout.split("\n")
        expect(ours[:2] == ["600 pi", "600 root"], f"{machine.name}: keys for their owners only")
        left = machine.run("pgrep", "-x", "ringnode").stdout
        expect(not left, f"{machine.name}: no ringnode left")
        state = machine.run("systemctl", "show", "-P", "Result", f"ringnode@{path.boards.index(machine)}").stdout
        expect(state.strip() == "success", f"{machine.name}: its unit has ended well")
        expect(machine.run("test", "-e", "/home/pi/key").returncode != 0, f"{machine.name}: no key left at home")


def wait_until(what, condition, patience_s=60):
    limit = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > limit:
            raise Wrong(f"not within {patience_s} s: {what}")
        time.sleep(0.2)


def look_at_unit(path):
    """What the page says without a command: a unit that is stopped ends all ranks, gently; one without a key does not
    start."""
    options = "--join-timeout 60 --progress --strategy ring --set epochs=1000000 --json stopped.json"
    units = [(machine, f"ringnode@{rank}") for rank, machine in enumerate(path.boards)]
    for machine, unit in units:
        # a minimal system has no man to look for the page with
        said = machine.run("systemd-analyze", "verify", "--man=no", "/lib/systemd/system/ringnode@.service")
        expect(said.returncode == 0 and not said.stderr, f"{machine.name}: systemd-analyze has nothing to say of it")
        machine.run("sed", "-i", f"s|^OPTIONS=.*|OPTIONS={options}|", "/etc/default/ringnode")
        machine.run("systemctl", "start", unit)
    first = units[0][0]
    wait_until("progress", lambda: "  ring " in first.run("journalctl", "-o", "cat", "-u", "ringnode@0").stdout)
    units[1][0].run("systemctl", "stop", units[1][1])
    wait_until("all units have ended", lambda: all(m.run("systemctl", "is-active", u).stdout == "inactive\n"
                                                   for m, u in units))
    expect(all(m.run("systemctl", "show", "-P", "Result", u).stdout == "success\n" for m, u in units),
           "a unit stopped: all three end, none has failed")
    stopped = json.loads(first.run("cat", "/var/lib/ringnode/stopped.json").stdout)
    expect(stopped["runs"][0]["status"] == "interrupted", "a result that says that it was interrupted")
    first.run("rm", "/etc/ringnode.key")
    first.run("systemctl", "start", "ringnode@0")
    expect(first.run("systemctl", "show", "-P", "ExecMainStatus", "ringnode@0").stdout == "243\n",
           "no unit without a key: 243, credentials")


def inside(arguments):
    path = Path(os.path.abspath(arguments.build))
    try:
        path.try_all()
        look(path)
        look_at_unit(path)
    except Wrong:
        for machine in path.boards if path.boards[0].pid else ():
            print(f"--- journal of {machine.name}\n" + machine.run("journalctl", "-o", "cat", "-n", "30", "-u",
                                                                   "ringnode@*").stdout)
        raise
    if arguments.keep:
        shutil.copytree(path.desk_file("run-1"), arguments.keep, dirs_exist_ok=True)
    print(f"{path.tried} commands tried, all as written but for {len(INSTEAD)}; {path.left_out} not tried here")
    return 0


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default=os.path.join(testbed.ROOT, "build", "release"), help="where the programs are")
    p.add_argument("--keep", metavar="FOLDER", help="copy the measured run and its page there")
    p.add_argument("--list", action="store_true", help="print the page's commands and run none")
    arguments = p.parse_args()
    try:
        if arguments.list:
            return list_commands()
        if net.inside():
            return inside(arguments)
        with boards.group():
            return net.enter()
    except net.Unavailable as why:
        print(f"test_board_path.py: skipped: {why}", file=sys.stderr)
        return net.SKIPPED
    except (Wrong, pages.Broken, RuntimeError, testbed.Failed, OSError, subprocess.CalledProcessError) as why:
        print(f"test_board_path.py: {why}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
