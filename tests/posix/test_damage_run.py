"""Something goes wrong on the way between two ranks of ringnode: one bit is another one, bytes or a whole frame are left out
or come twice, the connection is cut, or nothing moves for a while. The run ends and says so, or its weights are what they
would have been.

    test_damage_run.py RINGNODE [--runs N]

Between rank 1 and rank 0 stands a proxy of this test's own, which passes everything on but for one
place, drawn from all that goes through it after the two have greeted each other. Without checksums such
bits make other weights, of which nobody knows: that is tried, too, so that the test is known to see
something."""

import argparse
import json
import os
import random
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from ports import free_ports  # noqa: E402
from real_runs import SLOWNESS, iris_scenario  # noqa: E402

BOUND_S = 60 * SLOWNESS
HELLO = 512
DELAY_S = 0.5
FAULTS = ["flip", "drop", "repeat", "cut", "delay", "lose a frame", "repeat a frame"]
HEADER, DATA, MORE, REASON, UNIT = 32, 1, 2, 16, 1 << 10  # of runtime/connect/wire.h
SCENARIO = iris_scenario(
    "damaged", 'epochs="2" learning-rate="0.05" optimizer="momentum"',
    'label="ring" kind="ring_allreduce" nodes="2"')


def frame_size(header):
    """Of a frame with its payload."""
    length = int.from_bytes(header[16:24], "little") & (1 << 47) - 1  # above it has bits of the checksum
    if header[4] in (DATA, MORE):
        return HEADER + min(length, UNIT * int.from_bytes(header[6:8], "little"))
    return HEADER + (length if header[4] == REASON else 0)


class Proxy:
    """Passes on what two say to each other, until at bit number `bit` of one direction (0: to rank 0) its fault comes."""

    def __init__(self, port, target, direction, bit, fault):
        self.target, self.direction, self.bit, self.fault = target, direction, bit, fault
        self.few = random.randrange(1, 200)  # bytes that are left out, or come twice
        self.passed, self.rest, self.done = [0, 0], [b"", b""], False
        self.listener = socket.create_server(("127.0.0.1", port))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def damage(self, direction, data):
        at = HELLO + self.bit // 8 - self.passed[direction]
        self.passed[direction] += len(data)
        if direction != self.direction or not 0 <= at < len(data):
            return data
        end = at + self.few
        if self.fault == "flip":
            return data[:at] + bytes([data[at] ^ 1 << self.bit % 8]) + data[at + 1:]
        if self.fault == "drop":
            return data[:at] + data[end:]
        if self.fault == "repeat":
            return data[:end] + data[at:end] + data[end:]
        if self.fault == "cut":
            raise OSError("cut")
        time.sleep(DELAY_S)
        return data

    def by_frames(self, direction, data):
        """The same for a whole frame, the first that begins there or behind: what is to be passed on of all that has come."""
        rest, passed = self.rest[direction] + data, b""
        while True:
            greets = self.passed[direction] == 0
            size = HELLO if greets else frame_size(rest) if len(rest) >= HEADER else HEADER
            if len(rest) < size:
                self.rest[direction] = rest
                return passed
            frame, rest = rest[:size], rest[size:]
            if direction == self.direction and not self.done and not greets and self.passed[direction] >= HELLO + self.bit // 8:
                self.done = True
                passed += 2 * frame if self.fault == "repeat a frame" else b""
            else:
                passed += frame
            self.passed[direction] += size

    def serve(self):
        self.listener.settimeout(BOUND_S)
        try:
            caller = self.listener.accept()[0]
        except OSError:
            return
        answerer = None
        while not answerer:
            try:
                answerer = socket.create_connection(("127.0.0.1", self.target))
            except ConnectionRefusedError:  # rank 0 does not listen yet
                time.sleep(0.01)
        with selectors.DefaultSelector() as selector, caller, answerer:
            selector.register(caller, selectors.EVENT_READ, (0, answerer))
            selector.register(answerer, selectors.EVENT_READ, (1, caller))
            try:
                while True:
                    for key, _ in selector.select():
                        direction, to = key.data
                        data = key.fileobj.recv(1 << 16)
                        if not data:
                            return
                        to.sendall((self.by_frames if "frame" in self.fault else self.damage)(direction, data))
            except OSError:
                pass

    def end(self):
        self.listener.close()
        self.thread.join(BOUND_S)


class Trial:
    def __init__(self, ringnode, folder):
        self.ringnode, self.folder = ringnode, folder
        self.scenario = self.write("s.xml", SCENARIO)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return path

    def run(self, checksum, direction, bit, fault="flip"):
        """Statuses and words of both ranks, the weights (None: none), bytes each way after the greeting."""
        first, second, between = free_ports(3)
        hosts = [self.write("hosts0", f"127.0.0.1:{first}\n127.0.0.1:{second}\n"),
                 self.write("hosts1", f"127.0.0.1:{between}\n127.0.0.1:{second}\n")]
        result = os.path.join(self.folder, "result.json")
        if os.path.exists(result):
            os.unlink(result)
        ranks = []
        proxy = None
        try:
            for rank in range(2):
                ranks.append(subprocess.Popen(
                    [self.ringnode, self.scenario, "--rank", str(rank), "--hosts", hosts[rank], "--quiet",
                     "--checksum", checksum, "--peer-timeout", "5", "--json", result if rank == 0 else os.devnull],
                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
                if rank == 0:
                    proxy = Proxy(between, first, direction, bit, fault)
            words = [rank.communicate(timeout=BOUND_S)[1] for rank in ranks]
        finally:
            for rank in ranks:
                rank.kill()
                rank.wait()
            if proxy:
                proxy.end()
        weights = None
        if os.path.exists(result):
            with open(result, encoding="utf-8") as stream:
                run = json.load(stream)["runs"][0]
            weights = run["weights_sha256"] if run["status"] == "ok" else None
        return [rank.returncode for rank in ranks], words, weights, [n - HELLO for n in proxy.passed]


def damage(trial, runs):
    far = 8 * (1 << 40)
    _, words, good, passed = trial.run("yes", 0, far)
    if not good:
        print("undisturbed:", *words)
        return 1
    found = dict.fromkeys(FAULTS, 0)
    for i in range(runs):
        direction, fault = i // len(FAULTS) % 2, FAULTS[i % len(FAULTS)]
        bit = random.randrange(8 * passed[direction])
        status, words, weights, _ = trial.run("yes", direction, bit, fault)
        where = f"{fault} at bit {bit} {'from' if direction else 'to'} rank 0"
        if fault == "delay" and weights is None:
            print(f"{where}: a delay ends no run:", *words)
            return 1
        if weights is not None and weights != good:
            print(f"{where}: other weights, and nobody has seen it")
            return 1
        if weights is None:
            found[fault] += 1
            told = words[0] + words[1]
            if ("damaged" if fault == "flip" else "was lost") not in told or not {3, 4} & set(status):
                print(f"{where}: status {status}:", *words)
                return 1
    blind = 0
    for i in range(60):  # about one bit in four changes weights, the others a header or what is the same after all
        direction = i % 2
        _, _, weights, _ = trial.run("no", direction, random.randrange(8 * passed[direction]))
        blind += weights is not None and weights != good
        if blind:
            break
    print(f"{sum(found.values())} of {runs} runs ended ({found}), the others had the same weights; "
          f"without checksums {blind} had other weights")
    return 0 if found["flip"] > 0 and blind > 0 else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ringnode")
    parser.add_argument("--runs", type=int, default=len(FAULTS))
    options = parser.parse_args()
    random.seed(3)
    with tempfile.TemporaryDirectory() as folder:
        return damage(Trial(options.ringnode, folder), options.runs)


if __name__ == "__main__":
    sys.exit(main())
