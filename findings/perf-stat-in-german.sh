#!/bin/bash
# perf stat: rows and JSON in a language with decimal commas.
#
# Packages: linux-perf 6.1.176-1 and locales (Debian 12), LC_ALL=de_DE.UTF-8. Not tried without
#   counters of the kernel.
# Guess: none was written down; one would think that -x, keeps points in its numbers, or quotes
#   them, and that -j is JSON.
# Seen: -x, has decimal commas between comma separators, so that 0.65 is two fields; with -I the
#   time of the same row keeps its point. -x; has commas too. -j writes 100,00 and is no JSON.
# Meaning: a log of perf from a German machine can only be read back if it was made with -x;, or
#   with LC_ALL=C: where commas separate, nobody can tell which of them are decimal ones.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

make_root "$work/root" bookworm amd64 linux-perf=6.1.176-1 locales gzip libc-bin \
    grep sed python3-minimal
cat >"$work/root/tmp/probe.sh" <<'END'
cd /tmp
localedef -i de_DE -f UTF-8 de_DE.UTF-8
perf stat -x, -e task-clock sleep 0.05 2>&1 | grep -q 'msec,task-clock' || exit 77
for language in C.UTF-8 de_DE.UTF-8; do
    export LC_ALL=$language
    perf stat -x, -e task-clock sleep 0.05 2>&1 | sed 's/,msec.*//'
    perf stat '-x;' -e task-clock sleep 0.05 2>&1 | sed 's/;msec.*//'
    perf stat -I 1000 -x, -e task-clock sleep 0.05 2>&1 | sed 's/,msec.*//; s/^ *//'
    perf stat -j -e task-clock sleep 0.05 2>&1 | LC_ALL=C.UTF-8 python3 -c '
import json, sys
try:
    json.loads(sys.stdin.read())
    print("JSON")
except ValueError:
    print("no JSON")'
done | sed 's/[0-9][0-9]*/N/g'
END
inside "$work/root" /usr/bin/sh /tmp/probe.sh >"$work/out" ||
    cannot "perf counts nothing on this machine"
mapfile -t out <"$work/out"
echo "the number before the unit, digits as N: -x, / -x; / -I 1000 -x, (time first) / -j"
seen "English" "N.N N.N N.N,N.N JSON" "${out[*]:0:4}"
seen "German" "N,N N,N N.N,N,N no JSON" "${out[*]:4:4}"
verdict
