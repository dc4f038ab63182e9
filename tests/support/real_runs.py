"""Scenarios and complaints of tests that disturb real runs of ringnode over loopback."""
import os
import resource

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SLOWNESS = float(os.environ.get("RG_SLOWNESS", "1"))  # of what it runs under


class Wrong(Exception):
    pass


def require(condition, *words):
    if not condition:
        raise Wrong(" ".join(map(str, words)))


def iris_scenario(name, training, *strategies):
    """`training`: attributes of <training> beside the batch; strategies likewise."""
    lines = "".join(f"  <strategy {strategy}/>\n" for strategy in strategies)
    return f"""<?xml version="1.0"?>
<scenario name="{name}" seed="5">
  <platform file="{ROOT}/platforms/pi4-gigabit-64.xml"/>
  <network file="{ROOT}/models/networks/iris-mlp.xml"/>
  <data kind="iris"/>
  <training batch="12" {training}/>
{lines}</scenario>
"""


def slow_board(nodes, call_ms, folder):
    """A platform for --pace: the testbed's board, whose every call of a kernel takes so long."""
    with open(os.path.join(ROOT, "tests", "testbed", "board.xml"), encoding="ascii") as stream:
        text = stream.read()
    for old, new in (('radical="0-1"', f'radical="0-{nodes - 1}"'),
                     ('"rg_call_s" value="2e-6"', f'"rg_call_s" value="{call_ms / 1000}"')):
        require(text.count(old) == 1, "board.xml has not", old)
        text = text.replace(old, new)
    path = os.path.join(folder, "board.xml")
    with open(path, "w", encoding="ascii") as stream:
        stream.write(text)
    return path


def tighten(pid, way):
    """It gets no more descriptors, or memory, than it has."""
    if way == "descriptors":
        which, most = resource.RLIMIT_NOFILE, 1 + max(map(int, os.listdir(f"/proc/{pid}/fd")))
    else:
        with open(f"/proc/{pid}/statm", encoding="ascii") as stream:
            which, most = resource.RLIMIT_AS, int(stream.read().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, which, (most, most))
