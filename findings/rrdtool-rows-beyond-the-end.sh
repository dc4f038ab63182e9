#!/bin/bash
# rrdtool: which rows fetch and xport give of a window.
#
# Package: rrdtool 1.7.2-4+b8 (Debian 12). A gauge of watts with rows of 10 s, heartbeat 20 s.
# Guess: fetch from T to T + 20 gives the rows up to T + 20, as xport does.
# Seen: fetch gives one row more, that of T + 30, and the next window begins with it again; xport
#   does not.
# Meaning: joules of consecutive windows that are fetched one by one count every border row twice;
#   cut by time, not by the number of rows.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

make_root "$work/root" bookworm amd64 rrdtool=1.7.2-4+b8 sed
cat >"$work/root/tmp/probe.sh" <<'END'
cd /tmp
t=1700000000
rrdtool create watts.rrd --start $t --step 10 DS:w:GAUGE:20:0:U RRA:AVERAGE:0.5:1:100
for update in 10:4 20:5 30:6 40:7 50:8; do
    rrdtool update watts.rrd $((t + ${update%:*})):${update#*:}
done
fetch() {
    rrdtool fetch watts.rrd AVERAGE --start $((t + $1)) --end $((t + $2)) |
        sed -n "s/^170000\(....\): */\1=/p" | tr '\n' ' '
    echo
}
fetch 0 20
fetch 20 40
rrdtool xport --showtime --start $t --end $((t + 20)) DEF:w=watts.rrd:w:AVERAGE XPORT:w |
    sed -n 's,.*<t>170000\(....\)</t><v>\(.*\)</v>.*,\1=\2,p' | tr '\n' ' '
echo
END
inside "$work/root" /usr/bin/sh /tmp/probe.sh >"$work/out"
mapfile -t out <"$work/out"
echo "last four digits of the date, watts"
row10=0010=4.0000000000e+00 row20=0020=5.0000000000e+00 row30=0030=6.0000000000e+00
seen "fetch 0 to 20" "$row10 $row20 $row30 " "${out[0]}"
seen "fetch 20 to 40" "$row30 0040=7.0000000000e+00 0050=8.0000000000e+00 " "${out[1]}"
seen "xport 0 to 20" "$row10 $row20 " "${out[2]}"
verdict
