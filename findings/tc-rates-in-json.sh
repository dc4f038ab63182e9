#!/bin/bash
# tc of iproute2: a token bucket as text and as JSON.
#
# Packages: iproute2 6.1.0-3 (Debian 12) and 6.15.0-1 (Debian 13), on lo of a network namespace of
#   its own: tbf with rate 100mbit, peakrate 200mbit, a burst of 20000 bytes, at most 50 ms waiting;
#   then a class of htb of 100mbit.
# Guess: -j gives the figures of the text, the rate as 100000000, and all that the text gives.
# Seen: the JSON's rate is 12500000: bytes a second, where the text has bits; the time is 50000:
#   microseconds. The peak rate is not in it, which is the limit that a burst runs at. -j of classes
#   prints the text in 6.1, with status 0, and JSON with bytes a second in 6.15.
# Meaning: a script that checks the rate of a shaped link by `tc -j` is off by a factor of 8, and
#   one that asks for the peak rate finds none: read the text. SimGrid's platforms want bytes or
#   bits with their unit; RingTMP's testbed (tests/testbed/net.py) sets rates, and reads counters only.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

text="class htb 1:1 root prio 0 rate 100Mbit ceil 100Mbit burst 1600b cburst 1600b "
json='[{"class":"htb","handle":"1:1","root":true,"prio":0,"rate":12500000,"ceil":12500000,"burst":1600,"cburst":1600}]'
for release in "bookworm:6.1.0-3 $text" "trixie:6.15.0-1 $json"; do
    class=${release#* }
    release=${release%% *}
    version=${release#*:}
    root=$work/$version
    make_root "$root" "${release%:*}" amd64 "iproute2=$version" util-linux
    cat >"$root/tmp/probe.sh" <<'END'
ip link set lo up
tc qdisc add dev lo root tbf rate 100mbit peakrate 200mbit mtu 2000 burst 20000 latency 50ms || exit 77
tc qdisc show dev lo
tc -j qdisc show dev lo
tc qdisc replace dev lo root handle 1: htb default 1 || exit 77
tc class add dev lo parent 1: classid 1:1 htb rate 100mbit quantum 20000
tc -j class show dev lo
END
    inside "$root" /usr/bin/unshare --net /usr/bin/sh /tmp/probe.sh >"$work/out" 2>"$work/err" ||
        cannot "no token bucket of this kernel: $(tail -n 1 "$work/err")"
    mapfile -t out <"$work/out"
    seen "$version, text" "rate 100Mbit burst 20000b peakrate 200Mbit minburst 2000b lat 50ms " "${out[0]#*refcnt 2 }"
    seen "$version, -j" '"options":{"rate":12500000,"burst":20000,"minburst":2000,"lat":50000}}]' "${out[1]#*\"refcnt\":2,}"
    seen "$version, -j of a class" "$class" "${out[2]}"
done
verdict
