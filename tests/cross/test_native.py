"""What the other architecture's own compiler, under qemu, makes of the sources: it ends without an error of its
own, as gcc 12.2 for arm64 did on some tests, and makes what the cross compiler makes, instruction by instruction.
So what is tested of the cross build holds for one that was built on a board.

    test_native.py aarch64|armhf [--quick]

All sources of the programs and some of tests; --quick: the few that a compiler has stumbled over. Exit status 77:
no cross build (./setup aarch64), no qemu, or the compiler's package cannot be fetched.
"""

import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

from crossbuild import ARCHITECTURES, SOURCE, build, emulator_of, skip

STUMBLED = ("tests/strategies/harness.c", "tests/strategies/test_feed.c", "tests/unit/test_layers.c",
            "models/affine.c")
PROGRAMS = ("models/", "runtime/")
PATIENCE_S = 600


def compiler_of(arch):
    """cc1 for that architecture, which also runs on it: the command."""
    debian, triplet = ARCHITECTURES[arch][:2]
    version = subprocess.run([triplet + "-gcc", "-dumpversion"], check=True, capture_output=True, text=True)
    version = version.stdout.strip().partition(".")[0]
    root = os.path.join(SOURCE, "build", "sysroot", debian + "-compiler")
    done = subprocess.run([os.path.join(SOURCE, "cmake", "sysroot"), debian, root, "cpp-" + version])
    if done.returncode:
        skip(f"cpp-{version} for {debian} cannot be fetched")
    for place in ("libexec", "lib"):
        cc1 = os.path.join(root, "usr", place, "gcc", triplet, version, "cc1")
        if os.path.exists(cc1):
            return [emulator_of(arch), "-L", root, cc1]
    raise AssertionError(f"no cc1 in {root}")


def commands(folder):
    """{file from the tree's top: (words without input's objects, folder)} of all that is compiled."""
    with open(os.path.join(folder, "compile_commands.json")) as stream:
        entries = json.load(stream)
    found = {}
    for entry in entries:
        words = shlex.split(entry["command"])
        words = words[next(i for i, word in enumerate(words) if word.endswith("-gcc")):]
        for option in ("-o", "-MT", "-MF"):
            if option in words:
                at = words.index(option)
                del words[at:at + 2]
        words = [word for word in words if word not in ("-c", "-MD")]
        found.setdefault(os.path.relpath(entry["file"], SOURCE), (words, entry["directory"]))
    return found


def assembler(path):
    """Without the compiler's version."""
    with open(path) as stream:
        return re.sub(r"\t\.ident\t.*\n", "", stream.read())


def compare(name, words, where, native, folder):
    """Both compilers' assembler of a file; what is wrong, or an empty text."""
    base = os.path.join(folder, name.replace("/", "_"))
    subprocess.run([*words, "-E", "-o", base + ".i"], check=True, cwd=where)
    subprocess.run([*words, "-S", "-o", base + ".cross"], check=True, cwd=where)
    # gcc, not cc1, knows for which processors it was configured: what it hands on
    said = subprocess.run([*words, "-###", "-S", "-o", base + ".cross"], capture_output=True, text=True, cwd=where)
    handed, = (line for line in said.stderr.splitlines() if "/cc1 " in line or '/cc1" ' in line)
    options = [word for word in shlex.split(handed) if word.startswith(("-O", "-f", "-std", "-m", "-g"))]
    done = subprocess.run([*native, "-fpreprocessed", base + ".i", "-quiet", *options, "-o", base + ".native"],
                          capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode or "internal compiler error" in done.stderr:
        return f"{name}: {done.stderr.strip()[-1000:]}"
    return "" if assembler(base + ".native") == assembler(base + ".cross") else f"{name}: other instructions"


def main():
    arch, quick = sys.argv[1], "--quick" in sys.argv[2:]
    emulator_of(arch)
    native, all_commands = compiler_of(arch), commands(build(arch, "ringnode"))
    names = [name for name in all_commands if name in STUMBLED or not quick and name.startswith(PROGRAMS)]
    assert set(STUMBLED) <= set(names), names
    wrong = []
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
        for said in pool.map(lambda name: compare(name, *all_commands[name], native, folder), names):
            if said:
                wrong.append(said)
                print(said, flush=True)
    print(f"{len(names)} files, {len(wrong)} wrong")
    sys.exit(1 if wrong else 0)


main()
