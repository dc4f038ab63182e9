#!/bin/bash
# SimGrid: messages of a part of a byte by sg_host_sendto, whose byte_amount is a double.
#
# Packages: python3-simgrid 3.32-2+b2 (Debian 12) and 4.0-1+b1 (Debian 13), network model CM02.
#   Messages of 1.9, 0.9 and 2.0 bytes over a link of 1 byte/s without latency, one after the other.
# Guess: what is a double is used as one, as FLOP are: they take 1.9, 0.9 and 2 s. Executions of
#   1.9 flop on a host of 1 flop/s take 1.9 s.
# Seen: 1, 0 and 2 s: the amount is cut to whole bytes in both releases, without a word. Executions
#   take 1.9 s.
# Meaning: payloads cannot be scaled by small factors, neither to model a share of a message nor to
#   try how far figures hang on rounding: a part of 1e-12 more is none. RingTMP's links carry
#   whole bytes; the second simulation of a run that rounding could decide (docs/scenario.md,
#   Engines) is made by its own engine.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

probe() {
    python "$@" <<'END'
import subprocess, sys
with open("/tmp/platform.xml", "w") as out:
    out.write("""<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1"><zone id="zone" routing="Full">
<host id="a" speed="1f"/><host id="b" speed="1f"/>
<link id="wire" bandwidth="1Bps" latency="0"/>
<route src="a" dst="b"><link_ctn id="wire"/></route></zone></platform>""")
program = """
import ctypes, glob
from simgrid import Actor, Engine, Host, this_actor
engine = Engine(["x", "--log=root.thresh:critical", "--cfg=network/model:CM02",
                 "--cfg=network/latency-factor:1", "--cfg=network/bandwidth-factor:1",
                 "--cfg=network/crosstraffic:no"])
engine.load_platform("/tmp/platform.xml")
library = ctypes.CDLL(glob.glob("/usr/lib/x86_64-linux-gnu/libsimgrid.so.*")[0])
library.sg_host_by_name.restype = ctypes.c_void_p
library.sg_host_sendto.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_double]
def send():
    hosts = [library.sg_host_by_name(name) for name in (b"a", b"b")]
    for size in (1.9, 0.9, 2.0):
        begin = now()
        library.sg_host_sendto(*hosts, size)
        print("%.3f" % (now() - begin))
    begin = now()
    this_actor.execute(1.9)
    print("%.3f" % (now() - begin))
library.simgrid_get_clock.restype = ctypes.c_double
now = library.simgrid_get_clock
Actor.create("send", Host.by_name("a"), send)
engine.run()
"""
done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True)
print(done.stdout or "failed " + done.stderr)
END
}

for release in "${simgrids[@]}"; do
    ask_simgrid "$release"
    seen "$version, 1.9 bytes at 1 byte/s" "1.000" "${out[0]}"
    seen "$version, 0.9 bytes" "0.000" "${out[1]}"
    seen "$version, 2 bytes" "2.000" "${out[2]}"
    seen "$version, 1.9 flop at 1 flop/s" "1.900" "${out[3]}"
done
verdict
