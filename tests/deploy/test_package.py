"""The Debian package: made from a build, unpacked, and run from there; what it depends on is what Raspberry
Pi OS (Debian 12, 13) has. The cross builds' packages too, where there are such builds (unpacked, not run).

    test_package.py BUILD

Exit status 77: Debian's packaging tools are absent.
"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# As Debian 12 calls them, and 13
NEWER = {"libgsl28": "libgsl27", "libssl3t64": "libssl3"}
DEPENDS = {"libc6", "libgsl27", "libjansson4", "libopenblas0", "libssl3", "libxml2", "zlib1g"}
PROGRAMS = ("ringboard", "ringcal", "ringdeploy", "ringnode")
# Machine in an ELF header
MACHINES = {"amd64": 62, "arm64": 183, "armhf": 40}


def run(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **more)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def machine_of(program):
    with open(program, "rb") as stream:
        return int.from_bytes(stream.read(20)[18:20], "little")


def make(build, folder):
    """The package of a build, fresh, and where it was unpacked."""
    package_folder = os.path.join(folder, "package")
    run(["cpack", "--config", os.path.join(build, "CPackConfig.cmake"), "-B", package_folder])
    package, = glob.glob(os.path.join(package_folder, "*.deb"))
    root = os.path.join(folder, "root")
    run(["dpkg-deb", "-x", package, root])
    return package, root


def check_control(package):
    depends = run(["dpkg-deb", "-f", package, "Depends"])
    names = {re.split(r"[ (|]", part.strip())[0] for part in depends.split(",")}
    names = {NEWER.get(name, name) for name in names}
    assert names == DEPENDS, depends
    architecture = run(["dpkg-deb", "-f", package, "Architecture"]).strip()
    print(f"{os.path.basename(package)}: {os.path.getsize(package)} bytes, depends on {depends.strip()}", flush=True)
    return architecture


def check_files(root, architecture):
    programs = os.path.join(root, "usr", "bin")
    assert sorted(os.listdir(programs)) == sorted(PROGRAMS), os.listdir(programs)
    for name in ("ringnode", "ringboard", "ringcal"):
        if architecture in MACHINES:
            assert machine_of(os.path.join(programs, name)) == MACHINES[architecture], name
    for folder in ("scenarios", "platforms", "models/networks", "models/data"):
        ours = [f for f in os.listdir(os.path.join(SOURCE, folder)) if not f.startswith(".")]
        assert sorted(ours) == sorted(os.listdir(os.path.join(root, "usr/share/ringtmp", folder))), folder
    for path in ("etc/default/ringnode", "usr/lib/systemd/system/ringnode@.service",
                 "usr/share/doc/ringnode/README.md", "usr/share/doc/ringnode/docs/deploy.md"):
        assert os.path.isfile(os.path.join(root, path)), path
    unit = os.path.join(root, "usr/lib/systemd/system/ringnode@.service")
    with open(unit, encoding="ascii") as stream:
        page = re.search(r"^Documentation=.*file://(\S+)$", stream.read(), re.M)[1]
    assert os.path.isfile(root + page), f"{unit} names {page}"
    share = os.path.join(root, "usr", "share")
    assert sorted(os.listdir(os.path.join(share, "bash-completion/completions"))) == sorted(PROGRAMS)
    if shutil.which("help2man"): # else there are none
        assert sorted(os.listdir(os.path.join(share, "man/man1"))) == [name + ".1.gz" for name in sorted(PROGRAMS)]


def check_runs(root, folder):
    """Unpacked, it finds its own files: nothing of the source tree is named, none of it is near."""
    scenario = os.path.join(root, "usr/share/ringtmp/scenarios/iris-3.xml")
    result = os.path.join(folder, "result.json")
    run([os.path.join(root, "usr/bin/ringnode"), scenario, "--local", "--set", "epochs=2", "--json", result],
        cwd=folder)
    with open(result) as stream:
        assert [r["status"] for r in json.load(stream)["runs"]] == ["ok"] * 4
    files = run([os.path.join(root, "usr/bin/ringnode"), scenario, "--files"])
    assert files and all(os.path.realpath(line.split(" ", 1)[1]).startswith(os.path.realpath(root))
                         for line in files.splitlines()), files
    run([os.path.join(root, "usr/bin/ringdeploy"), "--version"])


def members(name):
    """The system calls of one of systemd's groups."""
    calls = set()
    for line in run(["systemd-analyze", "syscall-filter", name]).splitlines()[1:]:
        word = line.strip()
        if word and word[0] != "#":
            calls |= members(word) if word[0] == "@" else {word}
    return calls


def check_unit(root, folder):
    """The unit keeps a rank that was taken over from the rest of the board, and from nothing that a rank needs."""
    unit = os.path.join(root, "usr/lib/systemd/system/ringnode@.service")
    if not shutil.which("systemd-analyze"):
        return
    told = subprocess.run(["systemd-analyze", "security", "--offline=yes", unit], capture_output=True, text=True,
                          timeout=60, check=False).stdout
    exposure = float(re.search(r"exposure level .*: ([\d.]+)", told)[1])
    assert exposure <= 2.0, told
    print(f"systemd-analyze security: {exposure}", flush=True)
    if not shutil.which("strace"):
        return
    with open(unit, encoding="ascii") as stream:
        filters = re.findall(r"^SystemCallFilter=(.*)$", stream.read(), re.M)
    allowed = set()
    for line in filters:
        calls = set().union(*(members(word) if word[0] == "@" else {word} for word in line.lstrip("~").split()))
        allowed = allowed - calls if line[0] == "~" else allowed | calls
    calls = os.path.join(folder, "calls")
    run(["strace", "-f", "-qq", "-o", calls, os.path.join(root, "usr/bin/ringnode"),
         os.path.join(root, "usr/share/ringtmp/scenarios/iris-3.xml"), "--local", "--strategy", "ring", "--set", "epochs=2",
         "--json", os.path.join(folder, "traced.json"), "--checkpoint", os.path.join(folder, "c")], cwd=folder)
    with open(calls, encoding="ascii", errors="replace") as stream:
        used = set(re.findall(r"^\d+ +([a-z_0-9]+)\(", stream.read(), re.M))
    assert len(used) > 20 and used <= allowed, used - allowed


def main():
    for tool in ("cpack", "dpkg-deb", "dpkg-shlibdeps"):
        if not shutil.which(tool):
            print(f"skipped: no {tool}; Debian's dpkg-dev and cmake have these tools")
            sys.exit(77)
    builds = [sys.argv[1]]
    for arch in ("aarch64", "armhf"):
        build = os.path.join(SOURCE, "build", arch)
        if os.path.exists(os.path.join(build, "build.ninja")):
            run(["cmake", "--build", build])
            builds.append(build)
    for build in builds:
        with tempfile.TemporaryDirectory() as folder:
            package, root = make(build, folder)
            architecture = check_control(package)
            check_files(root, architecture)
            if build == sys.argv[1]:
                check_runs(root, folder)
                check_unit(root, folder)


main()
