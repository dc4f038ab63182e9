"""Scenarios and complaints of tests that disturb real runs of ringnode over loopback."""
import os

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
