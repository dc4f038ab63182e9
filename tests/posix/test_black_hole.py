"""A path on which large packets vanish: two ranks in network namespaces, between them two routers whose
link takes 900 bytes on one side and 1500 on the other, so that nobody is told what was too large.

    test_black_hole.py RINGNODE

The ranks meet, and their first large message never arrives. Both say so; the sender, which is heard and
not answered, names the path. Needs root and network namespaces, else it is skipped (77)."""

import json
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCENARIO = f"""<scenario name="black-hole" seed="3">
  <platform file="{ROOT}/platforms/pi4-gigabit-3.xml"/>
  <network file="{ROOT}/models/networks/digits-mlp.xml"/>
  <data kind="digits" train="1024" test="128"/>
  <training batch="64" epochs="20" learning-rate="0.05"/>
  <strategy label="all-reduce" kind="ring_allreduce"/>
</scenario>
"""
SPACES = {name: f"rg-hole-{os.getpid()}-{name}" for name in ("a", "r1", "r2", "b")}


def ip(*words, space=None):
    return subprocess.run(["ip", *(["-n", SPACES[space]] if space else []), *words], capture_output=True,
                          text=True, check=True)


def link(left, left_address, right, right_address):
    """Packets one by one: a veth passes aggregated ones whatever their size."""
    ends = (left, f"to-{right}", left_address), (right, f"to-{left}", right_address)
    ip("link", "add", ends[0][1], "netns", SPACES[left], "type", "veth", "peer", "name", ends[1][1], "netns",
       SPACES[right])
    for space, device, address in ends:
        ip("addr", "add", f"{address}/24", "dev", device, space=space)
        ip("link", "set", device, "gso_max_segs", "1", "up", space=space)


def build():
    for name, space in SPACES.items():
        ip("netns", "add", space)
        ip("link", "set", "lo", "up", space=name)
    link("a", "10.9.1.1", "r1", "10.9.1.2")
    link("r1", "10.9.2.1", "r2", "10.9.2.2")
    link("r2", "10.9.3.2", "b", "10.9.3.1")
    ip("route", "add", "default", "via", "10.9.1.2", space="a")
    ip("route", "add", "10.9.3.0/24", "via", "10.9.2.2", space="r1")
    ip("route", "add", "10.9.1.0/24", "via", "10.9.2.1", space="r2")
    ip("route", "add", "default", "via", "10.9.3.2", space="b")
    for router in ("r1", "r2"):
        subprocess.run(["ip", "netns", "exec", SPACES[router], "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"],
                       check=True)
    ip("link", "set", "to-r1", "mtu", "900", space="r2")


def run(ringnode, folder):
    scenario, hosts = os.path.join(folder, "scenario.xml"), os.path.join(folder, "hosts")
    with open(scenario, "w", encoding="ascii") as stream:
        stream.write(SCENARIO)
    with open(hosts, "w", encoding="ascii") as stream:
        stream.write("10.9.1.1:7470\n10.9.3.1:7470\n")
    ranks = [subprocess.Popen(["ip", "netns", "exec", SPACES[space], ringnode, scenario, "--set", "nodes=2", "--rank",
                               str(rank), "--hosts", hosts, "--insecure", "--peer-timeout", "6"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
             for rank, space in enumerate(("a", "b"))]
    said = [rank.communicate(timeout=120)[0] for rank in ranks]
    wanted = ["small packets got through and large ones did not", "large packets vanish on the way (MTU)"]
    for rank, process in enumerate(ranks):
        if process.returncode != 4 or f"rank {1 - rank} (10.9." not in said[rank] or wanted[rank] not in said[rank]:
            print(f"rank {rank}, status {process.returncode}: not said: {wanted[rank]}\n{said[rank]}")
            return 1
    return 0


def cut(ringnode, folder):
    """The same path with room for all, that a shovel cuts: each sees that not even the other's machine answers."""
    scenario, hosts = os.path.join(folder, "scenario.xml"), os.path.join(folder, "hosts")
    result = os.path.join(folder, "result.json")
    ip("link", "set", "to-r1", "mtu", "1500", space="r2")
    ranks = [subprocess.Popen(["ip", "netns", "exec", SPACES[space], ringnode, scenario, "--set", "nodes=2", "--set",
                               "epochs=1000000", "--rank", str(rank), "--hosts", hosts, "--insecure", "--peer-timeout",
                               "6", "--json", result if rank == 0 else "/dev/null"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
             for rank, space in enumerate(("a", "b"))]
    time.sleep(4)
    ip("link", "set", "to-r1", "down", space="r2")
    said = [rank.communicate(timeout=120)[1] for rank in ranks]
    with open(result, encoding="utf-8") as stream:
        run = json.load(stream)["runs"][0]
    signs = [sign for sign in run.get("signs", []) if sign["sign"] == "link" and sign["rank"] == 1]
    ending = run["ending"]
    if ranks[0].returncode != 4 or not signs or not 3 < ending["lost_s"] - ending["heard_s"] < 20:
        print(f"a path that was cut: status {ranks[0].returncode}, {run.get('signs')}, {ending}\n{said}")
        return 1
    return 0


def main():
    try:
        build()
    except (OSError, subprocess.CalledProcessError) as reason:
        print(f"skipped: no network namespaces here: {getattr(reason, 'stderr', None) or reason}")
        return 77
    with tempfile.TemporaryDirectory(prefix="ringtmp-black-hole-") as folder:
        return run(sys.argv[1], folder) or cut(sys.argv[1], folder)


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        for one in SPACES.values():
            subprocess.run(["ip", "netns", "del", one], capture_output=True, check=False)
