#!/usr/bin/python3 -B
"""README's commands as they stand there, and what it says that they print.

    test_readme.py --build BUILD              own network and own data, in a folder of its own
    test_readme.py --build BUILD --first-run  the first run, and its table (some 40 s)

Happy path: the commands are taken out of README.md; a folder gets the programs of BUILD and what of the source
tree they read; the commands run there, ./setup left out; what they print is what README shows. Only accuracies may
differ a little: other kernels of OpenBLAS round otherwise. Failure modes handled: a README without these commands,
or with more of them; a command that fails; other words than README's (status 1, with both)."""

import argparse
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import pages  # noqa: E402

MOST_COMMANDS = 5
SETUP = "./setup"
ACCURACY = re.compile(r"(\d+\.\d) %")
MAY_DIFFER = 1.5 # points


def blocks():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as stream:
        return pages.blocks(stream.read())


def shown_after(all_blocks, last):
    """The output that README shows: the first bare block behind block `last`."""
    for kind, block in all_blocks[last + 1:]:
        if not kind:
            return block.strip("\n")
    raise pages.Broken("README shows no output of these commands")


def own():
    """The commands of "Your own network and data" behind ./setup, and the output shown."""
    all_blocks = blocks()
    where = [i for i, (kind, _) in enumerate(all_blocks) if kind == "sh own"]
    commands = [command for i in where for command in pages.commands_of(all_blocks[i][1])]
    if not commands or commands[0] != SETUP or len(commands) > MOST_COMMANDS:
        raise pages.Broken(f"wanted: {SETUP} and at most {MOST_COMMANDS - 1} more commands, not {commands}")
    return commands[1:], shown_after(all_blocks, where[-1])


def first_run():
    all_blocks = blocks()
    where, block = next((i, block) for i, (kind, block) in enumerate(all_blocks) if kind == "sh")
    command, = pages.commands_of(block)
    setup, _, run = command.partition(" && ")
    if setup != SETUP or not run:
        raise pages.Broken(f"wanted: {SETUP} && the first run, not {command}")
    return [run], shown_after(all_blocks, where)


def run_all(commands, build, reads):
    """The output of the last one; `reads`: the folders of the source tree that they read."""
    said = ""
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "build"))
        os.symlink(build, os.path.join(folder, "build", "release"))
        for name in reads:
            os.symlink(os.path.join(ROOT, name), os.path.join(folder, name))
        for command in commands:
            print(f"$ {command}", flush=True)
            done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=600)
            if done.returncode:
                raise pages.Broken(f"exit status {done.returncode}: {command}\n{done.stdout}{done.stderr}")
            said = done.stdout
            print(said, end="")
    return said


def compare(said, shown):
    """README may leave out the end of what is printed, by whole lines; a table has an accuracy a line."""
    said = "\n".join(said.splitlines()[:len(shown.splitlines())])
    if ACCURACY.sub("%", said) != ACCURACY.sub("%", shown):
        raise pages.Broken(f"README shows\n{shown}\n\nand this build prints\n{said}")
    pairs = list(zip(map(float, ACCURACY.findall(said)), map(float, ACCURACY.findall(shown))))
    if not pairs or any(abs(a - b) > MAY_DIFFER for a, b in pairs):
        raise pages.Broken(f"accuracies here and in README: {pairs}")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", required=True, help="where the programs are")
    p.add_argument("--first-run", action="store_true")
    arguments = p.parse_args()
    try:
        commands, shown = first_run() if arguments.first_run else own()
        reads = ("models", "platforms", "scenarios") if arguments.first_run else ("platforms",)
        compare(run_all(commands, os.path.abspath(arguments.build), reads), shown)
    except pages.Broken as why:
        print(f"test_readme.py: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
