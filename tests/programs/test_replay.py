"""Asynchronous runs over sockets, whose ranks are stopped for a moment now and then, are replayed by the
simulator, in the mem world and over sockets again: the weights are the same to the bit. And what --replay
refuses.

    test_replay.py RINGNODE RINGSIM REPLAY_MEM RUNS
"""
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from processes import children_of  # noqa: E402
SCENARIO = os.path.join(ROOT, "tests/data/matrix-replay.xml")
NODES = 6
faults = 0


def fail(text):
    global faults
    faults += 1
    print(text)


def disturb(process, seed):
    """Until it ends, stop one of its ranks after the other for a millisecond or two."""
    draw = random.Random(seed)
    while process.poll() is None:
        ranks = children_of(process.pid)
        if ranks:
            rank = draw.choice(ranks)
            try:
                os.kill(rank, signal.SIGSTOP)
                time.sleep(draw.uniform(0, 0.002))
                os.kill(rank, signal.SIGCONT)
            except ProcessLookupError:
                pass
        time.sleep(draw.uniform(0, 0.003))


def digests(path):
    with open(path) as file:
        return {run["label"]: run["weights_sha256"] for run in json.load(file)["runs"]}


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        fail(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
    return done


def replay(programs, folder, seed):
    """The orders of one run; compares its digests with those of its replays."""
    ringnode, ringsim, mem = programs
    first, again, sim = (os.path.join(folder, name) for name in ("first.json", "again.json", "sim.json"))
    sets = [f"nodes={NODES}", f"seed={seed}"]
    options = [word for pair in sets for word in ("--set", pair)]
    process = subprocess.Popen([ringnode, SCENARIO, "--local", "--unbound", "--quiet", "--json", first] +
                               options)
    disturb(process, seed)
    if process.returncode:
        fail(f"seed {seed}: ringnode ended with {process.returncode}")
        return ()
    wanted = digests(first)
    run([ringsim, SCENARIO, "--quiet", "--replay", first, "--json", sim] + options)
    run([ringnode, SCENARIO, "--local", "--quiet", "--replay", first, "--json", again] + options)
    lines = run([mem, SCENARIO, first, str(seed)] + sets).stdout.split()
    for world, have in (("sim", digests(sim)), ("posix", digests(again)),
                        ("mem", dict(zip(lines[::2], lines[1::2])))):
        if have != wanted:
            fail(f"seed {seed}: {world} has {have}, the run had {wanted}")
    with open(first) as file:
        return tuple(tuple(run.get("orders", ())) for run in json.load(file)["runs"])


def refuse(programs, folder):
    """Of another scenario or version, without an order, with one that was changed."""
    ringnode, ringsim, mem = programs
    first, out = os.path.join(folder, "first.json"), os.path.join(folder, "out.json")
    options = ["--set", f"nodes={NODES}", "--set", "seed=1"]
    run([ringnode, SCENARIO, "--local", "--quiet", "--json", first] + options)
    with open(first) as file:
        text = file.read()

    def expect(changed, more, words):
        other = os.path.join(folder, "other.json")
        with open(other, "w") as file:
            file.write(changed)
        for command in ([ringsim], [ringnode, "--local"]):
            done = subprocess.run(command + [SCENARIO, "--replay", other, "--json", out] + more,
                                  capture_output=True, text=True, timeout=60)
            if done.returncode != 2 or not re.search(words, done.stderr) or done.stderr.count("\n") != 1:
                fail(f"{words}: exit status {done.returncode}, {done.stderr}")
            if os.path.exists(out):
                fail(f"{words}: a result was written")

    expect(text, options + ["--set", "learning-rate=0.04"], r"other.json:\d+: a result of another scenario")
    version = re.search(r'"version": "([^"]*)"', text).group(1)
    expect(text.replace(f'"version": "{version}"', '"version": "0.0.9"'), options,
           r"other.json:\d+: a result of version 0.0.9: --replay wants one of this, " + re.escape(version))
    result = json.loads(text)
    del result["runs"][0]["orders"]
    expect(json.dumps(result, indent=1), options, r'other.json:\d+: run "async": it has the orders of 0 servers')
    result = json.loads(text)
    result["runs"][0]["orders"][0] = "B" + result["runs"][0]["orders"][0][1:]
    expect(json.dumps(result, indent=1), options, r"a push before its answer")
    del result["runs"][0]
    expect(json.dumps(result, indent=1), options, r'there is no run "async"')
    expect(text[:-20], options, r"other.json")
    expect(text, options + ["--set", "numerics=skip"], r"--replay: numerics=\"skip\" has no numbers")


def main():
    programs, runs = sys.argv[1:4], int(sys.argv[4])
    with tempfile.TemporaryDirectory() as folder:
        orders = {replay(programs, folder, seed) for seed in range(1, runs + 1)}
        if len(orders) < runs / 2:
            fail(f"{runs} runs had only {len(orders)} different orders: nothing disturbed them")
        refuse(programs, folder)
    print(f"{runs} runs, {len(orders)} different orders, {faults} faults")
    sys.exit(faults > 0)


main()
