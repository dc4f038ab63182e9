#!/bin/bash
# mawk, the awk of a fresh Debian: integers above 2^31.
#
# Packages: mawk 1.3.4.20200120-3.1 (Debian 12), 1.3.4.20250131-1 (Debian 13).
# Guess: awk computes with doubles, so integers up to 2^53 are printed as they are, by print and
#   %d.
# Seen: the one of Debian 12 prints 2147483648 as 2.14748e+09, and %d stops at 2147483647: times in
#   ms since 1970 that are an hour apart become one and the same text. Fields that are only copied
#   stay as they are. The one of Debian 13 is exact; "0x1A" + 0, which was 26, is 0 there.
# Meaning: a log of a meter with times in ms or us, or energy in uJ (RAPL), that goes through awk
#   on a board with Debian 12 has lost its times, and RingTMP cannot get them back. Write %.0f.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

probe() {
    # shellcheck disable=SC2016 # fields of awk
    echo '1700000000123 0x1A' >"$1/tmp/log"
    # shellcheck disable=SC2016 # fields of awk
    inside "$1" /usr/bin/mawk '{ print $1; print $1 + 5; print 2147483647 + 0, 2147483647 + 1
        printf "%d %d\n", $1 + 5, 2147483648; printf "%.0f\n", $1 + 5; print $2 + 0 }' /tmp/log
}

make_root "$work/old" bookworm amd64 mawk=1.3.4.20200120-3.1
make_root "$work/new" trixie amd64 mawk=1.3.4.20250131-1
mapfile -t old < <(probe "$work/old")
mapfile -t new < <(probe "$work/new")
names=("a time in ms, copied" "plus 5, print" "2^31 - 1 and 2^31, print"
    "the time plus 5 and 2^31, %d" "the time plus 5, %.0f" "0x1A + 0")
then_old=(1700000000123 1.7e+12 "2147483647 2.14748e+09" "2147483647 2147483647" 1700000000128 26)
then_new=(1700000000123 1700000000128 "2147483647 2147483648" "1700000000128 2147483648"
    1700000000128 0)
for i in "${!names[@]}"; do
    seen "Debian 12, ${names[i]}" "${then_old[i]}" "${old[i]}"
    seen "Debian 13, ${names[i]}" "${then_new[i]}" "${new[i]}"
done
verdict
