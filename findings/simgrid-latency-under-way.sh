#!/bin/bash
# SimGrid: the latency of a link is changed while a message is on its way.
#
# Packages: python3-simgrid 3.32-2+b2 (Debian 12) and 4.0-1+b1 (Debian 13), network model CM02.
#   One message of 1 MB over a link of 125 MB/s; latency 0.1 ms or 10 ms.
# Guess: a message that has begun keeps its latency; what is changed counts for the next one.
# Seen: a message whose bytes flow already (from 0.1 ms on) slows down for good if the latency
#   rises, since its rate is limited by TCP's window over twice the new latency: 8.1 ms become 248
#   ms. If the latency falls, nothing happens. With network/TCP-gamma at 0 neither does anything.
#   A message still in its latency never arrives at all, in both releases, even if the latency is
#   set to the value that it has, be it by a call or by the link's latency_file. The simulation
#   ends when nothing else is left to do, and reports a deadlock.
# Meaning: RingTMP switches the window off and charges latencies itself, so that platforms with a
#   latency_file are safe in it. The same platform in a program of one's own, to check RingTMP's
#   dates say, gives other dates, or none.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

probe() {
    python "$@" <<'END'
import re, subprocess, sys
def run(latency, at, new, gamma, profile=""):
    with open("/tmp/profile", "w") as out:
        print(at, new, file=out)
    with open("/tmp/platform.xml", "w") as out:
        out.write(f"""<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1"><zone id="zone" routing="Full">
<host id="a" speed="1Gf"/><host id="b" speed="1Gf"/>
<link id="wire" bandwidth="125MBps" latency="{latency}" {profile}/>
<route src="a" dst="b"><link_ctn id="wire"/></route></zone></platform>""")
    program = f"""
import ctypes, glob
from simgrid import Actor, Engine, Host, Mailbox, this_actor
engine = Engine(["x", "--log=root.thresh:critical", "--cfg=network/model:CM02",
                 "--cfg=network/crosstraffic:no", "--cfg=network/TCP-gamma:{gamma}"])
engine.load_platform("/tmp/platform.xml")
library = ctypes.CDLL(glob.glob("/usr/lib/x86_64-linux-gnu/libsimgrid.so.*")[0])
library.sg_link_by_name.restype = ctypes.c_void_p
library.sg_link_set_latency.argtypes = [ctypes.c_void_p, ctypes.c_double]
library.simgrid_get_clock.restype = ctypes.c_double
def send():
    Mailbox.by_name("m").put("x", 1000000)
def receive():
    Mailbox.by_name("m").get()
    print("arrived %.4f" % library.simgrid_get_clock())
def change():
    this_actor.sleep_for({at})
    library.sg_link_set_latency(library.sg_link_by_name(b"wire"), {new})
Actor.create("send", Host.by_name("a"), send)
Actor.create("receive", Host.by_name("b"), receive)
if {at} > 0 and not {profile!r}:
    Actor.create("change", Host.by_name("b"), change)
engine.run()
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True,
                          text=True)
    said = re.search("arrived .*", done.stdout)
    if said:
        return said[0]
    return "never" if "Deadlock" in done.stderr + done.stdout else "failed " + done.stderr
print(run("100us", 0, 0, 4194304))
print(run("100us", 0.004, 1, 4194304))
print(run("100us", 0.004, 0, 4194304))
print(run("100us", 0.004, 1, 0))
print(run("10ms", 0.005, 0.02, 4194304))
print(run("10ms", 0.005, 0.01, 4194304))
print(run("10ms", 0.005, 0.02, 4194304, 'latency_file="profile"'))
END
}

for release in "${simgrids[@]}"; do
    ask_simgrid "$release"
    seen "$version, 0.1 ms throughout" "arrived 0.0081" "${out[0]}"
    seen "$version, to 1 s after 4 ms" "arrived 0.2484" "${out[1]}"
    seen "$version, to 0 after 4 ms" "arrived 0.0081" "${out[2]}"
    seen "$version, to 1 s after 4 ms, no window" "arrived 0.0081" "${out[3]}"
    seen "$version, 10 ms, to 20 ms after 5 ms" "never" "${out[4]}"
    seen "$version, 10 ms, to the same after 5 ms" "never" "${out[5]}"
    seen "$version, 10 ms, to 20 ms after 5 ms by a profile" "never" "${out[6]}"
done
verdict
