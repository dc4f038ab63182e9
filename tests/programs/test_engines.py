#!/usr/bin/python3
"""Both engines of ringsim give the same results: dates and joules within 1e-9, all else equal.

    test_engines.py BUILD [--random N] [--seed N] [--nodes N] [--least N] [--shipped]

Scenarios drawn at random (strategy, platform, ports with bursts and queues, faults, numerics, cores) and, with
--shipped, those of scenarios/ that take seconds. Timelines are compared event by event. A draw that ringsim refuses
(exit 2) is drawn again, until there are as many as wanted.

Where rounding decides which of two events comes first, or grows from step to step, a result counts as the same if it
says so: it moves by more than 1e-10 once links and messages are slower by 1e-12 (engine.again_s). So it does where messages
ask for the burst of a port at one date, of which SimGrid serves any first: the calendar counts these. Few may."""

import argparse
import bisect
import json
import math
import os
import random
import subprocess
import sys
import tempfile

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXACT = 1e-9
SWAYED = 1e-7  # dates on the way of a run that rounding could decide: what it moved may be made good by the end
LEAST_S = 0.5  # shorter runs are compared as if they took that
ROUNDED_US = 0.0021  # timelines have microseconds, cut to nanoseconds
PLATFORMS = ("pi4-gigabit-64", "pi5-gigabit-64", "pi4-two-level-64", "pi3bplus-gigabit-16", "pi3bplus-wifi-16",
             "zero2w-usb-16", "zero2w-wifi-16", "mixed-16")
LARGE = ("pi4-gigabit-512", "pi5-gigabit-512", "pi4-gigabit-8192")  # where more nodes are drawn than those have
SHIPPED = (("iris-3.xml",), ("trouble.xml",), ("larger-than-a-board.xml",), ("pi-cluster-64.xml", "--set", "numerics=skip"),
           ("formula.xml", "--set", "iterations=6"), ("jitter.xml", "--set", "nodes=16", "--set", "iterations=6"),
           ("scaling.xml", "--set", "nodes=32"))
SHARED = ("nodes=40", "server.servers=28", "batch=64", "iterations=3")  # no near ties, but ports that many share
MESH = ("nodes=80", "server.servers=8", "batch=80", "iterations=1")  # more than 64 nodes, which is where the second costs
STAR = ("nodes=80", "server.servers=1", "batch=80", "iterations=1")  # of which all messages share one link
STEADY = ("nodes=8", "server.servers=1", "batch=64", "iterations=40")  # whose iterations repeat
ALONE = ("nodes=4", "server.servers=1", "batch=64", "iterations=8")  # three workers, whose messages share the server's port
GOAL = ("rows=shuffle", "train=800", "test=50", "accuracy=0.01")  # reached after an epoch of six
DIVERGES = ("numerics=real", "iterations=200", "learning-rate=1000")
DATES = ("_s", "mean", "p50", "p95", "max")


# ---- comparing ----

def is_quotient(formula):
    told, seen = formula["predicted_iteration_s"], formula["observed_iteration_s"]
    return formula["ratio"] == (seen / told if seen and told else None)


def differences(one, other, scale, where="", exact=EXACT):
    """Of two runs. scale: what differences of dates and of joules are to be small against."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted((one.keys() | other.keys()) - {"engine"}):
            if key == "ratio" and where.endswith(".formula") and is_quotient(one) and is_quotient(other):
                continue  # of two figures that are compared
            if key not in one or key not in other:
                yield f"{where}.{key}: only in one"
            else:
                yield from differences(one[key], other[key], scale, f"{where}.{key}", exact)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, pair in enumerate(zip(one, other)):
            yield from differences(*pair, scale, f"{where}[{place}]", exact)
    elif float in (type(one), type(other)) and type(one) in (int, float) and type(other) in (int, float):
        against = scale[0] if where.endswith(DATES) else scale[1] if "_J" in where else 0
        if not math.isclose(one, other, rel_tol=exact, abs_tol=exact * against):
            yield f"{where}: {one!r}, {other!r}"
    elif one != other:
        yield f"{where}: {one!r}, {other!r}"


def compare_runs(one, other):
    assert len(one["runs"]) == len(other["runs"]) > 0
    for run, again in zip(one["runs"], other["runs"]):
        if run["status"] == "ok":
            assert run["engine"]["name"] == "simgrid" and run["engine"]["ties"] is None and run["engine"]["near_ties"] >= 0
            assert again["engine"]["name"] == "calendar" and again["engine"]["near_ties"] >= 0
        # SimGrid ends what is due within 1e-12 s at once, many times over: short runs have that much of a tolerance
        longer = max(1, LEAST_S / run["time_s"]) if run["time_s"] else 1
        yield from differences(run, again, (run["time_s"] or 0, run["energy_J"]["total"] or 0), run["label"], EXACT * longer)


def events_of(path):
    """Events of a timeline by kind, each kind in the order of its dates. But neither watts, which are drawn between any
    two dates that differ, be it by rounding, nor the rows, of which events that touch take one or two, nor waits of
    no length."""
    with open(path, encoding="utf-8") as stream:
        events = json.load(stream)["traceEvents"]
    kinds = {}
    for event in events:
        if event["ph"] in "CM" or (event["name"] == "wait" and event["dur"] < ROUNDED_US):
            continue
        dates = event.get("ts", 0), event.get("dur", 0)
        kind = json.dumps({key: value for key, value in event.items() if key not in ("ts", "dur", "args", "id", "tid")})
        kinds.setdefault(kind, []).append(dates)
    return {kind: sorted(dates) for kind, dates in kinds.items()}


def compare_events(one, other, exact):
    ours, theirs = events_of(one), events_of(other)
    if ours.keys() != theirs.keys():
        yield f"events: {sorted(ours.keys() ^ theirs.keys())[:3]} in one timeline only"
    for kind in ours.keys() & theirs.keys():
        if len(ours[kind]) != len(theirs[kind]):
            yield f"events: {len(ours[kind])}, {len(theirs[kind])} of {kind}"
            continue
        left = list(theirs[kind])  # those that begin at one date, to rounding, may be in another order
        for pair in ours[kind]:
            off = ROUNDED_US + exact * sum(pair)  # durations are of dates
            place = bisect.bisect_left(left, (pair[0] - off,))
            while place < len(left) and left[place][0] <= pair[0] + off and abs(left[place][1] - pair[1]) > off:
                place += 1
            if place == len(left) or left[place][0] > pair[0] + off:
                yield f"events: {pair}, none such of {kind}"
                break
            del left[place]


# ---- running ----

def simulate(build, engine, folder, arguments, trace):
    """The result as read from JSON, or None where the scenario is refused."""
    paths = [os.path.join(folder, f"{engine}.{kind}") for kind in ("json", "trace")]
    command = [os.path.join(build, "ringsim"), *arguments, "--quiet", "--engine", engine, "--json", paths[0]]
    if trace:
        command += ["--trace", paths[1]]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode == 2:
        return None
    assert done.returncode == 0, f"{command}: {done.returncode} {done.stderr}"
    with open(paths[0], encoding="utf-8") as stream:
        return json.load(stream)


def is_decided_by_rounding(run):
    """Does the result say so?"""
    engine = run["engine"] if run["status"] in ("ok", "diverged") else {"again_s": None, "again_J": None}
    pairs = (engine["again_s"], run["time_s"]), (engine["again_J"], run["energy_J"]["total"])
    return any(again is not None and not math.isclose(again, first, rel_tol=EXACT / 10) for again, first in pairs)


def try_scenario(build, arguments, trace=False):
    """None where it is refused, else what differs, and whether that is rounding's doing."""
    with tempfile.TemporaryDirectory() as folder:
        one = simulate(build, "simgrid", folder, arguments, trace)
        if one is None:
            return None
        other = simulate(build, "calendar", folder, arguments, trace)
        assert other is not None, f"{arguments}: refused with --engine calendar only"
        found = list(compare_runs(one, other))
        if trace and not found:
            swayed = any(run["engine"]["again_s"] for run in one["runs"] + other["runs"] if run["status"] == "ok")
            found += compare_events(*(os.path.join(folder, f"{engine}.trace") for engine in ("simgrid", "calendar")),
                                    SWAYED if swayed else EXACT)
        excused = any(run["engine"]["ties"] for run in other["runs"] if run["status"] == "ok")
        excused = excused or any(map(is_decided_by_rounding, one["runs"] + other["runs"]))
        return found, bool(found) and excused


def check_again(build):
    """Of two runs with near ties that never repeat one is decided by rounding; the third repeats, the last has no near ties.
    One that a goal has ended, or a loss that is no number, is simulated again as far as it came, one that goes on from a checkpoint not at all."""
    second = {}
    path, radio = [os.path.join(SOURCE, "scenarios", name) for name in ("formula.xml", "federated.xml")]
    for engine in ("simgrid", "calendar"):
        labels = [word for label in ("ringtmp-2S", "ringtmp-4S", "ringtmp-1", "sequential") for word in ("--strategy", label)]
        with tempfile.TemporaryDirectory() as folder:
            runs = simulate(build, engine, folder, (path, *labels, "--set", "iterations=200"), False)["runs"]
            alone = simulate(build, engine, folder, (path, "--strategy", "sequential", "--set", "nodes=1", "--full"), False)["runs"]
            kept, resumed = [simulate(build, engine, folder, (path, *labels[:2], "--set", "numerics=real", "--set", f"iterations={count}",
                                                              option, os.path.join(folder, "kept")), False)["runs"][0]
                             for count, option in ((20, "--checkpoint"), (40, "--resume-from"))]
            skip, real = [simulate(build, engine, folder, (path, *labels[:2], "--set", "iterations=40", "--set", f"numerics={kind}"),
                                   False)["runs"][0] for kind in ("skip", "real")]
            diverged = simulate(build, engine, folder, (path, *labels[:2], *sum((["--set", word] for word in DIVERGES), [])), False)["runs"][0]
            ended = simulate(build, engine, folder, (radio, "--strategy", "all-reduce", *sum((["--set", word] for word in GOAL), [])),
                             False)["runs"][0]
            shared = simulate(build, engine, folder, (os.path.join(SOURCE, "scenarios", "scaling.xml"), "--strategy", "server",
                                                      *sum((["--set", word] for word in SHARED), [])), False)["runs"][0]
            scaling = os.path.join(SOURCE, "scenarios", "scaling.xml"), "--strategy", "server"
            mesh, star, repeats = [simulate(build, engine, folder, (*scaling, *sum((["--set", word] for word in words), [])), False)["runs"][0]
                                   for words in (MESH, STAR, STEADY)]
            wire, whole = [simulate(build, engine, folder, (os.path.join(SOURCE, "scenarios", "scaling.xml"), "--strategy", "server", "--full",
                                                            *sum((["--set", word] for word in (*ALONE, f"bandwidth-factor={factor}")), [])),
                                    False)["runs"][0] for factor in (0.001, 1)]
        # links slower by 1e-12, messages longer by up to that: a run that is nearly all messages takes as much longer
        assert 1.05e-12 < wire["engine"]["again_s"] / wire["time_s"] - 1 < 1.95e-12, (engine, wire["engine"])
        assert whole["engine"]["again_s"] - whole["time_s"] > 1.02e-15 * wire["time_s"], (engine, whole["engine"])
        assert shared["engine"]["near_ties"] == 0 and is_decided_by_rounding(shared), (engine, shared["engine"])
        assert mesh["engine"]["near_ties"] == 0 and is_decided_by_rounding(mesh), (engine, mesh["engine"])
        assert star["engine"]["again_s"] is None, (engine, star["engine"])
        assert repeats["extrapolated_iterations"] > 0 and repeats["engine"]["near_ties"] == 0, (engine, repeats["engine"])
        assert repeats["engine"]["again_s"] is None, (engine, repeats["engine"])
        assert diverged["status"] == "diverged" and is_decided_by_rounding(diverged), (engine, diverged["engine"])
        assert ended["iterations"] == 4 and is_decided_by_rounding(ended), (engine, ended["engine"])
        assert math.isclose(ended["engine"]["again_s"], ended["time_s"], rel_tol=0.01), (engine, ended["engine"])
        assert kept["engine"]["again_s"] and resumed["resumed"]["iteration"] == 20, (engine, kept["engine"], resumed["resumed"])
        assert resumed["engine"]["near_ties"] > 0 and resumed["engine"]["again_s"] is None, (engine, resumed["engine"])
        second[engine] = [run["engine"]["again_s"] for run in (wire, whole, shared, mesh, *runs)]
        found = {run["label"]: run for run in runs}
        assert is_decided_by_rounding(found["ringtmp-2S"]), (engine, found["ringtmp-2S"]["engine"])
        assert skip["engine"] == real["engine"] and skip["engine"]["again_s"], (engine, skip["engine"], real["engine"])
        again = found["ringtmp-4S"]["engine"]
        assert again["again_s"] and not is_decided_by_rounding(found["ringtmp-4S"]), (engine, again)
        assert math.isclose(again["again_J"], found["ringtmp-4S"]["energy_J"]["total"], rel_tol=EXACT)
        for steady in (found["ringtmp-1"], found["sequential"]):
            assert steady["extrapolated_iterations"] > 0 and steady["engine"]["again_s"], (engine, steady["engine"])
            assert not is_decided_by_rounding(steady), (engine, steady["engine"])
        assert alone[0]["engine"]["again_s"] is None and alone[0]["engine"]["again_J"] is None, (engine, alone[0]["engine"])
    assert second["simgrid"] == second["calendar"], f"the second is the calendar's: {second}"


def check_auto(build):
    """The reference up to 64 nodes, the calendar above."""
    path = os.path.join(SOURCE, "scenarios", "scaling.xml")
    for nodes, name in ((64, "simgrid"), (65, "calendar")):
        arguments = (path, "--strategy", "ring", "--set", f"nodes={nodes}", "--set", "batch=65", "--set", "ring.micro-batches=5")
        with tempfile.TemporaryDirectory() as folder:
            run = simulate(build, "auto", folder, arguments, False)["runs"][0]
        assert run["engine"]["name"] == name, f"{nodes} nodes: {run['engine']}"


# ---- drawing ----

def ranks(draw, nodes):
    first = draw.randrange(nodes)
    return f"{first}-{draw.randrange(first, nodes)}"


def draw_faults(draw, nodes):
    rows = []
    for kind in ("slow", "link"):
        for _ in range(draw.choice((0, 0, 1, 2))):
            begin = draw.choice((0, draw.uniform(0, 0.05), draw.uniform(0, 2)))
            end = draw.choice(("", f' to="{begin + draw.uniform(0.001, 1):.4f}"'))
            rows.append(f'<{kind} nodes="{ranks(draw, nodes)}" from="{begin:.4f}"{end} '
                        f'factor="{draw.choice((0.1, 0.5, 0.77))}"/>')
    if draw.random() < 0.4:
        rows.append(f'<jitter spread="{draw.choice((0.05, 0.2, 0.5))}"/>')
    return f"<faults>{''.join(rows)}</faults>" if rows and draw.random() < 0.6 else ""


def draw_server(draw, nodes):
    most = nodes // 2 if nodes <= 64 else 8  # SimGrid takes an hour for hundreds of nodes with dozens of servers
    words = {"servers": draw.randrange(1, max(2, most)), "consistency": draw.choice(("bsp", "ssp", "bounded-delay", "async"))}
    if words["consistency"] in ("ssp", "bounded-delay"):
        words["staleness"] = draw.choice(("auto", 0, 2, 5))
    if words["consistency"] != "bsp":
        words["in-flight"] = draw.choice(("auto", 1, 3))
    return words


def draw_allreduce(draw, _):
    words = {"buckets": draw.choice((1, 2, 4, 7)), "algorithm": draw.choice(("ring", "ring", "tree", "halving-doubling", "hierarchical", "doubling"))}
    words.update(draw.choice(({}, {"shard": draw.randrange(1, 4)}, {"local-steps": draw.randrange(2, 4)},
                              {"compress": draw.choice(("float16", "int8", "top-k"))})))
    return words


def draw_ring(draw, nodes):
    words = {"schedule": draw.choice(("sequential", "ringtmp", "gpipe", "1f1b", "interleaved", "zb-h1", "zb-h2", "zb", "pipedream")),
             "replicas": draw.choice([r for r in (1, 1, 2, 3, 4) if nodes % r == 0])}
    if words["schedule"] != "ringtmp" or draw.random() < 0.5:
        words["micro-batches"] = draw.choice((1, 2, 5, 8))
    if words["schedule"] in ("ringtmp", "pipedream") and draw.random() < 0.3:
        words["drain"] = "never"
    return words


def draw_strategy(draw, nodes):
    kinds = {"ring_pipeline": draw_ring, "parameter_server": draw_server, "ring_allreduce": draw_allreduce}
    kind = draw.choice(tuple(kinds))
    words = {"kind": kind, "label": kind, "nodes": nodes, **kinds[kind](draw, nodes)}
    if kind != "parameter_server" and draw.random() < 0.3:
        words["overlap"] = "no"
    return "<strategy " + " ".join(f'{key}="{value}"' for key, value in words.items()) + "/>"


def draw_profile(draw, attribute, folder, nominal):
    """An attribute that names a profile, of at most that value: some from the start, some for ever."""
    path = os.path.join(folder, f"{attribute}-{draw.randrange(10 ** 9)}.profile")
    dates = sorted(draw.choice((0, draw.uniform(0, 0.02), draw.uniform(0, 1))) for _ in range(draw.randrange(1, 5)))
    lines = [f"{date!r} {nominal * draw.choice((0.05, 0.4, 0.9, 1))!r}" for date in dates]
    if draw.random() < 0.6:
        lines.insert(0, f"{draw.choice(('PERIODICITY', 'LOOPAFTER'))} {dates[-1] + draw.uniform(0.001, 0.5)!r}")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")
    return f' {attribute}_file="{path}"'


def draw_changing_platform(draw, folder, nodes):
    """Boards round a switch, of which links and processors change over time."""
    rows = []
    for i in range(nodes):
        changes = {"speed": "", "bandwidth": "", "latency": ""}
        for attribute, nominal in (("speed", 1), ("bandwidth", 125e6), ("latency", 1e-3)):
            if draw.random() < 2 / nodes:
                changes[attribute] = draw_profile(draw, attribute, folder, nominal)
        way = "SPLITDUPLEX" if draw.random() < 0.7 else "SHARED"
        rows.append(f'<host id="n{i}" speed="1Gf"{changes["speed"]}/><link id="l{i}" bandwidth="125MBps" latency="25us" '
                    f'sharing_policy="{way}"{changes["bandwidth"]}{changes["latency"]}/>')
    routes = "".join(f'<host_link id="n{i}" up="{up}" down="{down}"/>' for i, row in enumerate(rows)
                     for up, down in [(f"l{i}_UP", f"l{i}_DOWN") if "SPLIT" in row else (f"l{i}", f"l{i}")])
    path = os.path.join(folder, "platform.xml")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write('<?xml version="1.0"?>\n<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">\n<platform '
                     'version="4.1"><zone id="z" routing="Cluster"><prop id="rg_board" value="pi-4b"/>'
                     f'{"".join(rows)}{routes}<router id="r"/></zone></platform>\n')
    return path


def draw_platform(draw, folder, nodes):
    if draw.random() < 0.25:
        return draw_changing_platform(draw, folder, nodes)
    platforms = PLATFORMS if nodes <= 64 else LARGE
    path = os.path.join(SOURCE, "platforms", draw.choice(platforms) + ".xml")
    changes = []
    if draw.random() < 0.2:
        changes.append(f'<prop id="rg_port_burst" value="{draw.choice((1500, 65536, 1000000))}"/>')
    if draw.random() < 0.25:
        changes.append(f'<prop id="rg_port_queue" value="{draw.choice((20000, 300000, 100000000))}"/>')
    if not changes:
        return path
    with open(path, encoding="utf-8") as stream:
        text = stream.read()
    path = os.path.join(folder, "platform.xml")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text.replace('<prop id="rg_board"', "".join(changes) + '<prop id="rg_board"'))
    return path


def draw_scenario(draw, folder, least, most):
    nodes = draw.randrange(least, most + 1)
    real = draw.random() < 0.3
    training = {"batch": draw.choice((16, 23, 64, 120) if nodes <= 64 else (1024, 1500)), "iterations": draw.choice((1, 3, 8) if nodes <= 64 else (1, 2)), "learning-rate": 0.01,
                "optimizer": draw.choice(("sgd", "momentum", "adam")), "numerics": "real" if real else "skip",
                "threads": draw.choice((1, 1, 2, 4))}
    training["bandwidth-factor"] = draw.choice((1, 1, 1, 1, 0.02, 0.3, 3))
    network, inputs, classes = draw.choice((("tests/data/odd-widths.xml", 19, 5), ("models/networks/digits-mlp.xml", 784, 10)))
    text = (f'<scenario name="random" seed="{draw.randrange(1000)}">'
            f'<platform file="{draw_platform(draw, folder, nodes)}"/><network file="{os.path.join(SOURCE, network)}"/>'
            f'<data kind="random" train="{8 * training["batch"]}" test="16" inputs="{inputs}" classes="{classes}"/>'
            "<training " + " ".join(f'{key}="{value}"' for key, value in training.items()) + "/>"
            f"{draw_strategy(draw, nodes)}{draw_faults(draw, nodes)}</scenario>")
    path = os.path.join(folder, "random.xml")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    return path, text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=16, help="at most (16)")
    parser.add_argument("--least", type=int, default=2, help="nodes at least (2)")
    parser.add_argument("--shipped", action="store_true")
    options = parser.parse_args()
    check_auto(options.build)
    check_again(options.build)
    failures = ties = done = tried = 0
    for arguments in SHIPPED if options.shipped else ():
        found, excused = try_scenario(options.build, (os.path.join(SOURCE, "scenarios", arguments[0]), *arguments[1:]))
        print("scenarios/" + " ".join(arguments), "ties" if excused else "differs" if found else "same", *found[:3],
              flush=True)
        failures += bool(found) and not excused
    draw = random.Random(options.seed)
    while done < options.random:
        tried += 1
        assert tried < 20 * options.random + 20, "too few of the scenarios drawn are possible"
        with tempfile.TemporaryDirectory() as folder:
            path, text = draw_scenario(draw, folder, options.least, options.nodes)
            trace = draw.random() < 0.3
            some = ("--trace-nodes", "0-15") if trace and options.nodes > 64 else ()  # those of all take 24 GB to compare
            compared = try_scenario(options.build, (path, *some), trace=trace)
        if compared is None:
            continue
        found, excused = compared
        done += 1
        ties += excused
        failures += bool(found) and not excused
        if done % (100 if options.random >= 100 else 1) == 0:
            print(f"{done} of {options.random}", file=sys.stderr, flush=True)
        if found:
            print(f"random {tried}{', ties' if excused else ''}: {text}\n  " + "\n  ".join(found[:5]), flush=True)
    if options.random:
        print(f"{done} random scenarios of {tried} drawn, {failures} differ, {ties} are decided by ties")
        assert ties <= 1 + done // (10 if options.nodes <= 64 else 3)  # of hundreds of nodes more is at one date
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
