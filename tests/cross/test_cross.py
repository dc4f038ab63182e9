"""One scenario trained by processes of another architecture under qemu (emulated, not boards), alone and
mixed with native ones, against native ones alone: the same accuracy, weights within 1e-4.

    test_cross.py aarch64|armhf RINGNODE

RINGNODE is the native program. Exit status 77: no cross build (./setup aarch64), or no qemu.
"""

import json
import math
import os
import struct
import subprocess
import sys
import tempfile

from crossbuild import ARCHITECTURES, SOURCE, build, emulator_of

sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
from ports import free_ports  # noqa: E402

SCENARIO = os.path.join(SOURCE, "scenarios", "iris-3.xml")
LABELS = ("single", "ring", "ringtmp", "server")
TOLERANCE = 1e-4
PATIENCE_S = 100


def machine_of(program):
    with open(program, "rb") as stream:
        return struct.unpack_from("<H", stream.read(20), 18)[0]


def emulated(arch):
    """The command that runs the cross compiled ringnode, which is brought up to date first."""
    debian, triplet, _, machine, _ = ARCHITECTURES[arch]
    emulator = emulator_of(arch)
    program = os.path.join(build(arch, "ringnode"), "ringnode")
    assert machine_of(program) == machine, f"{program} is not for {arch}"
    sysroot = os.path.join(SOURCE, "build", "sysroot", debian)
    blas = os.path.join(sysroot, "usr", "lib", triplet, "openblas-pthread")
    return [emulator, "-L", sysroot, "-E", f"LD_LIBRARY_PATH={blas}", program]


def weights(path):
    """All parameters of a safetensors file, in the order of their names."""
    with open(path, "rb") as stream:
        size, = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(size))
        content = stream.read()
    values = []
    for name in sorted(key for key in header if key != "__metadata__"):
        tensor = header[name]
        assert tensor["dtype"] == "F32", (path, name)
        begin, end = tensor["data_offsets"]
        values += [v for v, in struct.iter_unpack("<f", content[begin:end])]
    assert len(values) == 139 and all(math.isfinite(v) for v in values), path
    return values


def outcome(folder, name):
    with open(os.path.join(folder, name + ".json")) as stream:
        result = json.load(stream)
    run, = result["runs"]
    assert run["status"] == "ok", run
    return {"accuracy": run["final"]["accuracy"], "weights": weights(os.path.join(folder, name + ".st")),
            "machine": result["host"]["machine"], "traffic": run["traffic"]}


def outputs(folder, name):
    return ["--json", os.path.join(folder, name + ".json"), "--save", os.path.join(folder, name + ".st"), "--quiet"]


def run_local(command, folder, name, label):
    subprocess.run([*command, SCENARIO, "--local", "--strategy", label, *outputs(folder, name)], check=True,
                   timeout=PATIENCE_S)
    return outcome(folder, name)


def run_mixed(commands, folder, name, label):
    hosts = os.path.join(folder, "hosts.txt")
    with open(hosts, "w") as stream:
        stream.writelines(f"127.0.0.1:{port}\n" for port in free_ports(len(commands)))
    ranks = []
    try:
        for rank, command in enumerate(commands):
            ranks.append(subprocess.Popen([*command, SCENARIO, "--rank", str(rank), "--hosts", hosts, "--strategy",
                                           label, *(outputs(folder, name) if rank == 0 else ["--quiet"])]))
        codes = [rank.wait(PATIENCE_S) for rank in ranks]
        assert codes == [0] * len(ranks), codes
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
    return outcome(folder, name)


def compare(what, label, native, other):
    far = max(abs(a - b) for a, b in zip(native["weights"], other["weights"]))
    print(f"{label:8} {what}: accuracy {other['accuracy']} (native {native['accuracy']}), weights differ by up to "
          f"{far:.2g}", flush=True)
    assert native["accuracy"] == other["accuracy"], label
    assert far <= TOLERANCE, (label, far)
    assert native["traffic"] == other["traffic"], label


def main():
    arch, native = sys.argv[1], [sys.argv[2]]
    command = emulated(arch)
    version = subprocess.run([*command, "--version"], check=True, capture_output=True, timeout=PATIENCE_S).stdout
    assert version == subprocess.run([*native, "--version"], check=True, capture_output=True).stdout, version
    with tempfile.TemporaryDirectory() as folder:
        for label in LABELS:
            reference = run_local(native, folder, "native", label)
            assert reference["accuracy"] > 0.8, reference["accuracy"] # a third is chance
            other = run_local(command, folder, "emulated", label)
            assert other["machine"].startswith(ARCHITECTURES[arch][4]), other["machine"]
            compare(f"three {arch} processes", label, reference, other)
            if label == "single": # one node is all of it
                continue
            for place in range(3):
                commands = [native, native, native]
                commands[place] = command
                compare(f"rank {place} of three {arch}", label, reference,
                        run_mixed(commands, folder, "mixed", label))


main()
