#!/usr/bin/python3
"""A long run that loses a rank again and again: ringnode over loopback, --lose restart.

    tests/posix/soak_losses.py build/release/ringnode [--minutes 60] [--every 20] [--nodes 3] [--strategy ring] [--seed 1]
        [--call-ms 1]

Every so many seconds any rank, rank 0 too, is killed (SIGKILL); the command starts it again, and all go on from the last
checkpoint. At the end the run is interrupted, as Ctrl-C does, and held against an undisturbed one of as many iterations:
the same weights, to the bit. With --call-ms ranks have the pace of a board whose every call of a kernel takes so long, and the
machine little to do. Printed are the losses, the iterations, and what memory ranks have (resident, MiB) as time goes
by. Status 0: all as it should be; 1: other weights, memory that grows by more than a twentieth and 1 MiB from the second
quarter of the time to the last, a loss that was not gone on from, or something left running. No part of ctest: it takes
as long as it is asked to."""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from processes import children_of, end_group, ends_by  # noqa: E402
from real_runs import Wrong, iris_scenario, require, slow_board  # noqa: E402

SCENARIO = iris_scenario("soak", 'epochs="1000000" learning-rate="0.001" optimizer="adam"',
                         'label="ring" kind="ring_pipeline" schedule="1f1b" micro-batches="4"',
                         'label="all-reduce" kind="ring_allreduce"', 'label="server" kind="parameter_server"').replace(
    '<data kind="iris"/>', '<data kind="random" train="24000" test="120" inputs="4" classes="3"/>')  # epochs of a second
SAMPLE_S = 2


def resident_mib(pid):
    """None where it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as stream:
            return next(int(line.split()[1]) / 1024 for line in stream if line.startswith("VmRSS"))
    except (OSError, StopIteration):
        return None


def start(options, scenario, folder, *more):
    command = [options.ringnode, scenario, "--strategy", options.strategy, "--local", str(options.nodes), "--quiet",
               "--checkpoint", os.path.join(folder, "checkpoints"), "--every",
               "20iterations" if options.call_ms else "200iterations", *more]  # so that losses leave some of them
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)


def soak(options, process):
    """Kills, and looks. Losses, and rows of (seconds, place among the ranks, MiB)."""
    begin = time.monotonic()
    end, next_loss, losses, rows = begin + 60 * options.minutes, begin + options.every, 0, []
    while time.monotonic() < end:
        time.sleep(SAMPLE_S)
        require(process.poll() is None, "the run has ended by itself:", process.stderr.read() if process.returncode else "")
        now = time.monotonic() - begin
        ranks = children_of(process.pid)
        rows += [(now, size) for size in map(resident_mib, ranks) if size]
        if next_loss <= time.monotonic() < end - options.every / 2 and ranks:  # they join once more before the end
            os.kill(random.choice(ranks), signal.SIGKILL)
            losses += 1
            next_loss += options.every
            if losses % 15 == 0:
                print(f"{now / 60:6.1f} min, {losses} losses, {statistics.median(size for _, size in rows[-20:]):.2f} MiB a rank",
                      flush=True)
    return losses, rows


def newest(folder):
    """Iterations of the newest checkpoint, and all its numbers: those behind the head of a file of safetensors."""
    names = [name for name in os.listdir(folder) if name.endswith(".safetensors")]
    require(names, "there is no checkpoint")
    iterations, name = max((int(name[len("checkpoint-"):-len(".safetensors")]), name) for name in names)
    with open(os.path.join(folder, name), "rb") as stream:
        data = stream.read()
    return iterations, data[8 + int.from_bytes(data[:8], "little"):]


def run(options, folder):
    scenario = os.path.join(folder, "s.xml")
    with open(scenario, "w", encoding="utf-8") as stream:
        stream.write(SCENARIO)
    result = os.path.join(folder, "r.json")
    process = start(options, scenario, folder, "--lose", "restart", "--json", result, "--peer-timeout", "60",
                    *(("--pace", slow_board(options.nodes, options.call_ms, folder)) if options.call_ms else ()))
    try:
        losses, rows = soak(options, process)
        process.send_signal(signal.SIGINT)
        text = process.communicate(timeout=120)[1]
        require(ends_by(process.pid, time.monotonic() + 20), "something is left running:", text)
    finally:
        end_group(process)
    with open(result, encoding="utf-8") as stream:
        told = json.load(stream)["runs"][0]
    require("losses" in told, "the result is", told["status"], told["error"])
    iterations, kept = newest(os.path.join(folder, "checkpoints"))
    whole = os.path.join(folder, "whole")
    os.mkdir(whole)
    process = start(options, scenario, whole, "--set", f"iterations={iterations}")
    text = process.communicate()[1]
    require(process.returncode == 0, "undisturbed:", text)
    again, other = newest(os.path.join(whole, "checkpoints"))
    last, second = [statistics.mean(size for when, size in rows if first <= when / (60 * options.minutes) < past)
                    for first, past in ((0.75, 1.1), (0.25, 0.5))]
    print(f"{losses} losses in {options.minutes:g} min, {len(told['losses'])} told of, {iterations} iterations, "
          f"{second:.2f} MiB a rank in the second quarter, {last:.2f} in the last, {max(size for _, size in rows):.2f} at most")
    require(again == iterations and other == kept, "other weights after", iterations)
    require(0 < len(told["losses"]) <= losses, "losses that nobody tells of, or more than there were")
    require(last <= 1.05 * second + 1, "memory grows")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ringnode")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=20, help="seconds between two losses (20)")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--strategy", default="ring", choices=("ring", "all-reduce", "server"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--call-ms", type=float, default=0)
    options = parser.parse_args()
    options.ringnode = os.path.abspath(options.ringnode)
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(options, folder)
        except Wrong as why:
            print("wrong:", why)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
