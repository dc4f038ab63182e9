#!/bin/bash
# mosquitto_sub: the date in its lines of JSON, which logs of plugs that speak MQTT are made of.
#
# Packages: mosquitto and mosquitto-clients 2.0.11-1.2+deb12u2 (Debian 12), 2.0.21-1 (Debian 13).
#   Three messages by way of a broker at a Unix socket: an object with watts, a number, the word on;
#   -F '%U %J' and '%U %j', in UTC and in a zone of five hours west of it.
# Guess: "tst" is a date of ISO 8601, which ends in Z or in +00:00. A message that is no JSON comes
#   as a string, or an error ends the program.
# Seen: in 2.0.11 it ends in both, Z and the zone: 2026-03-02T10:00:00.000000Z-0500, and what stands
#   before the Z is local time. 2.0.21 leaves the Z out. %J leaves an empty line for the word, with
#   an error on standard error, and ends with status 0. Integers of 20 digits come back with 17.
# Meaning: a reader that stops at the Z is hours off, one that is strict refuses the line. Log with
#   %U, seconds since 1970, and %p, the payload as it was. RingTMP's --meter csv:FILE goes by the
#   zone behind the Z (docs/deploy.md, Logs of meters).

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

for release in bookworm:2.0.11-1.2+deb12u2:Z trixie:2.0.21-1:; do
    z=${release##*:}
    release=${release%:*}
    version=${release#*:}
    root=$work/$version
    make_root "$root" "${release%:*}" amd64 "mosquitto=$version" "mosquitto-clients=$version" sed
    cat >"$root/tmp/probe.sh" <<'END'
cd /tmp
printf 'listener 0 /tmp/socket\nallow_anonymous true\nuser root\n' >broker.conf
mosquitto -c broker.conf >broker.log 2>&1 &
broker=$!
until mosquitto_pub --unix /tmp/socket -r -t a -m '{"apower": 5.25, "count": 12345678901234567890}' 2>/dev/null; do
    sleep 0.1
done
mosquitto_pub --unix /tmp/socket -r -t b -m 5.250
mosquitto_pub --unix /tmp/socket -r -t c -m on
for zone in UTC0 XYZ5; do # what a subscriber prints of the three, which the broker has kept
    export TZ=$zone
    mosquitto_sub --unix /tmp/socket -t '#' -C 3 -F '%U %J' >lines 2>errors
    echo "status $?"
    read -r seconds json <lines
    date=${json#*\"tst\":\"}
    date=${date%%\"*}
    echo "${date#*.??????}"
    echo "$((($(date -u -d "${date%.*}Z" +%s) - ${seconds%.*}) / 3600))"
done
sed 's/^[0-9.]* //; s/.*"payload"://' lines errors
kill $broker
END
    inside "$root" /usr/bin/sh /tmp/probe.sh >"$work/out" 2>"$work/err"
    mapfile -t out <"$work/out"
    seen "$version, in UTC, behind the seconds" "${z}+0000" "${out[1]}"
    seen "$version, five hours west, behind the seconds" "${z}-0500" "${out[4]}"
    seen "$version, five hours west, hours between what stands before that and UTC" "-5" "${out[5]}"
    seen "$version, watts and a large integer" '{"apower":5.25,"count":1.2345678901234567e+19}}' "${out[6]}"
    seen "$version, a word" "" "${out[8]}"
    seen "$version, standard error" "Error: Message payload is not valid JSON on topic c." "${out[9]}"
    seen "$version, how it ends" "status 0" "${out[3]}"
done
verdict
