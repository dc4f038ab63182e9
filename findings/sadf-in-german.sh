#!/bin/bash
# sysstat: which outputs of one recording follow the language.
#
# Packages: sysstat 12.6.1-1 and locales (Debian 12), LC_ALL=de_DE.UTF-8.
# Guess: all outputs have a decimal comma, so that the JSON cannot be read.
# Seen: JSON keeps the point. The database format (-d, fields between semicolons) and XML take the
#   comma, so that XML attributes are no numbers of XML Schema.
# Meaning: a load or power log made with sadf -d reads only with decimal commas on a German
#   machine; RingTMP takes both. Set LC_ALL=C where a log is recorded for other programs.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

make_root "$work/root" bookworm amd64 sysstat=12.6.1-1 locales gzip libc-bin sed
cat >"$work/root/tmp/probe.sh" <<'END'
cd /tmp
localedef -i de_DE -f UTF-8 de_DE.UTF-8
/usr/lib/sysstat/sadc 1 2 recording 2>/dev/null
for language in C.UTF-8 de_DE.UTF-8; do
    export LC_ALL=$language
    sadf -d recording -- -u | sed -n 's/.*;\([0-9]*[.,][0-9]*\)$/\1/p'
    sadf -j recording -- -u | sed -n 's/.*"idle": *\([0-9.,]*[0-9]\).*/\1/p'
    sadf -x recording -- -u | sed -n 's/.*idle="\([^"]*\)".*/\1/p'
done | sed 's/[0-9][0-9]*/N/g'
END
inside "$work/root" /usr/bin/sh /tmp/probe.sh >"$work/out" ||
    cannot "no record of this machine's load"
mapfile -t out <"$work/out"
[ "${#out[@]}" = 6 ] || cannot "the recording has no row: ${out[*]}"
echo "idle time, digits as N"
seen "English, database, JSON, XML" "N.N N.N N.N" "${out[*]:0:3}"
seen "German, database, JSON, XML" "N,N N.N N,N" "${out[*]:3:3}"
verdict
