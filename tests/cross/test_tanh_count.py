"""Instructions of the networks' tanh and of the C library's tanhf, a number, counted by qemu for aarch64 (emulated: it
has no clock that says how fast a board is). The own one takes no more.

    test_tanh_count.py

Exit status 77: no cross build (./setup aarch64), or no qemu.
"""

import os
import subprocess
import tempfile

from crossbuild import ARCHITECTURES, SOURCE, build, emulator_of

NUMBERS = 1024


def one_at_a_time(emulator):
    """The option by which each instruction is a block, and so a line of the log: qemu 8.1 has another name for it."""
    said = subprocess.run([emulator, "-h"], capture_output=True, text=True).stdout
    return "-one-insn-per-tb" if "-one-insn-per-tb" in said else "-singlestep"


def main():
    debian, triplet = ARCHITECTURES["aarch64"][:2]
    emulator = emulator_of("aarch64")
    program = os.path.join(build("aarch64", "bench_tanh"), "tests", "bench", "bench_tanh")
    sysroot = os.path.join(SOURCE, "build", "sysroot", debian)
    blas = os.path.join(sysroot, "usr", "lib", triplet, "openblas-pthread")

    def count(which):
        with tempfile.NamedTemporaryFile("r") as log:
            subprocess.run([emulator, one_at_a_time(emulator), "-d", "nochain,exec", "-D", log.name, "-L", sysroot,
                            "-E", f"LD_LIBRARY_PATH={blas}", "-E", "OPENBLAS_NUM_THREADS=1", program, which],
                           check=True)
            return sum(line.startswith("Trace") for line in log)

    none = count("none")
    own, theirs = ((count(which) - none) / NUMBERS for which in ("own", "tanhf"))
    print(f"own {own:.1f}, tanhf {theirs:.1f} instructions a number")
    assert 1 < own <= theirs


main()
