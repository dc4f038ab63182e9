"""What ./setup aarch64 and ./setup armhf have made, brought up to date; exit status 77 where they have not."""

import os
import shutil
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# What ./setup calls it: as Debian, the compiler and qemu do, the machine of its ELF headers and of uname.
ARCHITECTURES = {"aarch64": ("arm64", "aarch64-linux-gnu", "qemu-aarch64", 183, "aarch64"),
                 "armhf": ("armhf", "arm-linux-gnueabihf", "qemu-arm", 40, "armv7l")}


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def emulator_of(arch):
    qemu = ARCHITECTURES[arch][2]
    found = shutil.which(qemu + "-static") or shutil.which(qemu)
    if not found:
        skip(f"no {qemu}-static: Debian's qemu-user-static has it")
    return found


def build(arch, target):
    """The folder of the cross build, in which `target` is made."""
    folder = os.path.join(SOURCE, "build", arch)
    if not os.path.exists(os.path.join(folder, "build.ninja")):
        skip(f"no build/{arch}: ./setup {arch} makes one")
    done = subprocess.run(["cmake", "--build", folder, "--target", target], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder
