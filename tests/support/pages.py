"""What pages in Markdown hold: fenced blocks, and commands in them."""

import re
import subprocess


class Broken(Exception):
    """A page that does not hold what its reader is promised."""


def blocks(text):
    """The fenced blocks, in order: [(what stands behind the opening fence, the block)]."""
    return re.findall(r"^```(.*)\n((?:.*\n)*?)```$", text, re.M)


def complete(command):
    return subprocess.run(["bash", "-n", "-c", command], capture_output=True).returncode == 0


def commands_of(block):
    """The block's top-level commands: a command goes on while bash finds it unfinished, and to the end of a here
    document (of which bash only warns)."""
    found, so_far, until = [], "", None
    for line in block.splitlines():
        so_far += line + "\n"
        if until is not None:
            if line != until:
                continue
            until = None
        else:
            opened = re.search(r"<<'(\w+)'$", line)
            if opened:
                until = opened[1]
                continue
        if not line.endswith("\\") and complete(so_far):
            found.append(so_far.strip())
            so_far = ""
    if so_far:
        raise Broken(f"a command that bash does not take:\n{so_far}")
    return [command for command in found if command]
