"""The unit tests and those of the strategies, of the mem world and of sockets as programs of another architecture,
under qemu. On armhf a size_t and a long have 32 bits.

    test_units.py aarch64|armhf

Exit status 77: no cross build (./setup armhf), or no qemu.
"""

import subprocess
import sys

from crossbuild import build, emulator_of


def main():
    arch, = sys.argv[1:]
    emulator_of(arch)
    folder = build(arch, "rg_tests")
    command = ["ctest", "--test-dir", folder, "--output-on-failure", "--no-tests=error", "-LE", "slow|machine"]
    sys.exit(subprocess.run(command).returncode and 1)


main()
