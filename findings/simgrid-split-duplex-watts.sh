#!/bin/bash
# SimGrid: joules of links whose two directions are apart (sharing_policy="SPLITDUPLEX"), by its plugin link_energy.
#
# Packages: python3-simgrid 3.32-2+b2 (Debian 12) and 4.0-1+b1 (Debian 13), network model CM02.
#   A route over two links of 100 MB/s with the property wattage_range 1:3, one of which is
#   SPLITDUPLEX. Ten seconds nothing, then ten a message of 1 GB, then ten one the other way.
# Guess: each direction draws 1 W, and 3 W while it is full: 10, 40 and 50 J of the one, 10, 20 and
#   50 J of the other.
# Seen: 0 J in both releases, without a word. The property is that of the link as written; those that
#   messages take, NAME_UP and NAME_DOWN, have none, and the plugin asks these. The other link, shared, is
#   as guessed.
# Meaning: Ethernet is full duplex, so that platforms have these links, those of RingTMP as well. A program
#   of one's own has the joules of such links once it gives each direction the property, before it
#   runs. RingTMP's joules of ports are of its boards' datasheets (rg_port_*), not of the plugin.

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
<link id="shared" bandwidth="100MBps" latency="0"><prop id="wattage_range" value="1:3"/></link>
<link id="duplex" bandwidth="100MBps" latency="0" sharing_policy="SPLITDUPLEX">
<prop id="wattage_range" value="1:3"/></link>
<route src="a" dst="b" symmetrical="NO"><link_ctn id="shared"/><link_ctn id="duplex" direction="UP"/></route>
<route src="b" dst="a" symmetrical="NO"><link_ctn id="duplex" direction="DOWN"/></route>
</zone></platform>""")
program = """
import ctypes, glob
from simgrid import Actor, Engine, Host, this_actor
engine = Engine(["x", "--log=root.thresh:critical", "--cfg=network/model:CM02",
                 "--cfg=network/crosstraffic:no"])
library = ctypes.CDLL(glob.glob("/usr/lib/x86_64-linux-gnu/libsimgrid.so.*")[0])
for name in "sg_host_by_name", "sg_link_by_name":
    getattr(library, name).restype = ctypes.c_void_p
library.sg_host_sendto.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_double]
library.sg_link_get_consumed_energy.argtypes = [ctypes.c_void_p]
library.sg_link_get_consumed_energy.restype = ctypes.c_double
library.sg_link_energy_plugin_init()
engine.load_platform("/tmp/platform.xml")
def tell():
    print(*("%.0f" % library.sg_link_get_consumed_energy(library.sg_link_by_name(name))
            for name in (b"shared", b"duplex_UP", b"duplex_DOWN")))
def send():
    a, b = (library.sg_host_by_name(name) for name in (b"a", b"b"))
    this_actor.sleep_for(10)
    tell()
    for ends in (a, b), (b, a):
        library.sg_host_sendto(*ends, 1e9)
        tell()
Actor.create("send", Host.by_name("a"), send)
engine.run()
"""
done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True)
print(done.stdout or "failed " + done.stderr)
END
}

for release in "${simgrids[@]}"; do
    ask_simgrid "$release"
    seen "$version, J of shared, up, down after ten idle seconds" "10 0 0" "${out[0]}"
    seen "$version, after ten of a message there" "40 0 0" "${out[1]}"
    seen "$version, after ten of one back" "50 0 0" "${out[2]}"
done
verdict
