"""One scenario trained by processes of another architecture under qemu (emulated, not boards), alone and
mixed with native ones, against native ones alone: the same accuracy, weights within 1e-4. And one whose
partition the two would not choose alike: whatever rank is of the other kind, all have rank 0's plan. And one with
sums of 64 numbers: the weights of one machine to the last bit, or it is told why they may not be.

    test_cross.py aarch64|armhf RINGNODE

RINGNODE is the native program. Exit status 77: no cross build (./setup aarch64), or no qemu.
"""

import itertools
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
CLOSE_PLANS = os.path.join(SOURCE, "tests", "data", "close-plans.xml")
LABELS = ("single", "ring", "ringtmp", "server")
SUMS = os.path.join(SOURCE, "tests", "data", "matrix.xml")
# What each runs, and what is said of it beside x86-64's Sandybridge for sums of 64.
KERNELS = {"aarch64": ("armv8", "OpenBLAS kernels Sandybridge and armv8 differ for sums of 64"),
           "armhf": ("armv6", None)}
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


def run_ranks(commands, folder, scenario, arguments, of_first):
    """A process a rank; those of rank 0 have `of_first` too."""
    hosts = os.path.join(folder, "hosts.txt")
    with open(hosts, "w") as stream:
        stream.writelines(f"127.0.0.1:{port}\n" for port in free_ports(len(commands)))
    ranks = []
    try:
        for rank, command in enumerate(commands):
            ranks.append(subprocess.Popen([*command, scenario, "--rank", str(rank), "--hosts", hosts, "--quiet",
                                           *arguments, *(of_first if rank == 0 else [])]))
        codes = [rank.wait(PATIENCE_S) for rank in ranks]
        assert codes == [0] * len(ranks), codes
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()


def run_mixed(commands, folder, name, label):
    run_ranks(commands, folder, SCENARIO, ["--strategy", label], outputs(folder, name))
    return outcome(folder, name)


def run_close_plans(commands, folder):
    path = os.path.join(folder, "plans.json")
    run_ranks(commands, folder, CLOSE_PLANS, ["--set", "nodes=5"], ["--json", path])
    with open(path) as stream:
        run, = json.load(stream)["runs"]
    assert run["status"] == "ok", run
    return run


def check_close_plans(native, command, folder):
    """One and two ranks are of the other kind: the others' plan, or theirs where rank 0 is one, for all."""
    alike = run_close_plans([native] * 5, folder)
    assert "notes" not in alike, alike["notes"]
    others = run_close_plans([command] * 5, folder)["params"]["partition"]
    close = others != alike["params"]["partition"] # today on aarch64; a C library may come to agree
    for places in [*itertools.combinations(range(5), 1), *itertools.combinations(range(5), 2)]:
        run = run_close_plans([command if rank in places else native for rank in range(5)], folder)
        plan = others if 0 in places else alike["params"]["partition"]
        assert run["params"]["partition"] == plan, (places, run["params"])
        assert abs(run["final"]["loss"] - alike["final"]["loss"]) < 1e-6, (places, run["final"])
        kinds = {(node["machine"], node["kernels"]) for node in run["per_node"]}
        assert len(kinds) == 2 and all(node["libm"].startswith("glibc ") for node in run["per_node"]), run["per_node"]
        said = sum("took rank 0's plan" in note for note in run.get("notes", []))
        unlike = 5 - len(places) if 0 in places else len(places) # rank 0
        assert said == (unlike if close else 0), (places, run.get("notes"))
    print(f"plans: {alike['params']['partition']} natively, {others} emulated: rank 0's in all", flush=True)


def run_sums(commands, folder):
    path = os.path.join(folder, "sums.json")
    run_ranks(commands, folder, SUMS, ["--set", "nodes=4", "--set", "batch=64", "--strategy", "all-reduce"],
              ["--json", path])
    with open(path) as stream:
        run, = json.load(stream)["runs"]
    assert run["status"] == "ok", run
    return run


def check_bits(arch, native, command, folder):
    kernels, why = KERNELS[arch]
    native = ["env", "OPENBLAS_CORETYPE=Sandybridge", *native]
    alike = run_sums([native] * 4, folder)
    assert "notes" not in alike, alike["notes"]
    mixed = run_sums([native, native, ["env", "OPENBLAS_CORETYPE=" + kernels, *command], native], folder)
    same = mixed["weights_sha256"] == alike["weights_sha256"]
    print(f"sums of 64: {'the same bits' if same else 'other bits'}, said: {mixed.get('notes')}", flush=True)
    if why:
        assert mixed["notes"] == ["weights may not equal those of one machine: " + why], mixed["notes"]
    else:
        assert same and "notes" not in mixed, mixed


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
    said = subprocess.run([*command, SCENARIO, "--check"], check=True, capture_output=True, text=True,
                          timeout=PATIENCE_S).stderr
    assert ("use the 64-bit system" in said) == (arch == "armhf"), said
    with tempfile.TemporaryDirectory() as folder:
        check_close_plans(native, command, folder)
        check_bits(arch, native, command, folder)
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
