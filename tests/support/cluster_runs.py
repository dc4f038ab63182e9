"""Ranks of ringnode that are processes of their own, as on boards, over loopback."""
import json
import os
import subprocess
import tempfile
import time

from ports import free_ports
from real_runs import SLOWNESS, Wrong, require, slow_board


def was_busy(run):
    """It could not keep the pace, on a machine that had other things to do: told, and nothing else is wrong with it."""
    return "took longer than on the board" in (run["error"] or "")


class Cluster:
    """By their places in a hosts file, each with a scenario file of its own. sets, options, environment: the same for
    all ranks."""

    def __init__(self, ringnode, folder, scenario, label, seats, sets, *options, call_ms=0.3, environment=None):
        self.folder = tempfile.mkdtemp(dir=folder)
        hosts = self.path("hosts")
        with open(hosts, "w", encoding="ascii") as stream:
            stream.writelines(f"127.0.0.1:{port}\n" for port in free_ports(seats))
        for seat in range(seats):
            with open(self.scenario(seat), "w", encoding="utf-8") as stream:
                stream.write(scenario)
        self.ringnode, self.environment = ringnode, dict(os.environ, **(environment or {}))
        self.options = ["--strategy", label, "--hosts", hosts, "--join-timeout", str(int(20 * SLOWNESS)), "--pace",
                        slow_board(seats, call_ms, self.folder), *options]
        for one in sets:
            self.options += ["--set", one]
        self.ranks, self.said = [None] * seats, [""] * seats
        for seat in range(seats):
            self.start(seat)

    def path(self, name):
        return os.path.join(self.folder, name)

    def scenario(self, seat):
        return self.path(f"s{seat}.xml")

    def start(self, seat):
        with open(self.path(f"log{seat}"), "ab") as log:
            self.ranks[seat] = subprocess.Popen(
                [self.ringnode, self.scenario(seat), *self.options, "--rank", str(seat), "--json",
                 self.path(f"r{seat}.json"), "--save", self.path(f"p{seat}.safetensors")],
                stdout=subprocess.DEVNULL, stderr=log, env=self.environment)

    def kill(self, seat):
        """False: it had ended."""
        if self.ranks[seat].poll() is not None:
            return False
        self.ranks[seat].kill()
        self.ranks[seat].wait()
        return True

    def text(self, seat):
        with open(self.path(f"log{seat}"), encoding="utf-8", errors="replace") as stream:
            return stream.read()

    def texts(self):
        return [f"\n--- {seat}\n{self.text(seat)}" for seat in range(len(self.ranks))]

    def finish(self, seconds):
        """The run that one of them has told of, by which seat, and the statuses of all."""
        limit = time.monotonic() + seconds
        try:
            for rank in self.ranks:
                rank.wait(timeout=max(limit - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired as late:
            raise Wrong("they do not end:", *self.texts()) from late
        finally:
            for rank in self.ranks:
                rank.kill()
                rank.wait()
        told = [seat for seat in range(len(self.ranks)) if os.path.exists(self.path(f"r{seat}.json"))]
        require(len(told) == 1, "results of", told, *self.texts())
        with open(self.path(f"r{told[0]}.json"), encoding="utf-8") as stream:
            return json.load(stream)["runs"][0], told[0], [rank.returncode for rank in self.ranks]
