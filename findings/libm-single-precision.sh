#!/bin/bash
# glibc: the bits of float functions, by release and by architecture.
#
# Packages: libc6 2.36-9+deb12u14 (Debian 12) and 2.41-12+deb13u5 (Debian 13), each for amd64 and,
#   under an emulator, for arm64. 20,000 numbers in (-5, 5); (0.01, 50) for log, lgamma, cbrt,
#   pow.
# Guess: that tanhf differs between the releases was known, not in how many values. Doubles differ
#   in up to 0.1 % between the architectures, and as many between processors with and without
#   fused multiply-add; but tanh of 2.41 in 10 %.
# Seen: between the releases no double and no float of expf and logf differs, but 11 % of tanhf,
#   26 % of sinhf and 36 % of lgammaf. Between the architectures floats differ in 2.36 (lgammaf 22
#   %, erff 1 %, tanhf 0.01 %) and none in 2.41. Doubles of exp, tanh, log and pow are the same on
#   both, if the amd64 machine has fused multiply-add; without it up to 0.07 % are others, with
#   the same library. cbrt differs between the architectures in 19 % of its values, whatever the
#   processor.
# Meaning: RingTMP has a tanh of its own and takes expf alone of these for its networks, so that
#   its weights do not change when a board goes from Debian 12 to 13. Weights of another program
#   with tanh do: compare with it on one release and one architecture, or within a tolerance.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"
need_flags fma avx2

for release in bookworm:2.36-9+deb12u14 trixie:2.41-12+deb13u5; do
    version=${release#*:}
    for architecture in amd64 arm64; do
        make_root "$work/${version%%-*}-$architecture" "${release%:*}" "$architecture" \
            python3 "libc6=$version"
    done
done

# compute ROOT OUTPUT [NAME=VALUE]: all function values of one root.
compute() {
    local root=$work/$1 output=$2
    shift 2
    python "$root" "$@" <<'END'
import ctypes, random
libm = ctypes.CDLL("libm.so.6")
random.seed(5)
around = [random.uniform(-5, 5) for _ in range(20000)]
above = [random.uniform(0.01, 50) for _ in range(20000)]
with open("/tmp/values", "w") as out:
    for name in "expf tanhf sinhf erff logf lgammaf exp tanh log pow cbrt".split():
        function = getattr(libm, name)
        kind = ctypes.c_float if name.endswith("f") else ctypes.c_double
        function.restype, two = kind, name == "pow"
        function.argtypes = [kind] * (1 + two)
        positive = name in ("logf", "lgammaf", "log", "pow", "cbrt")
        for x, y in zip(above if positive else around, around):
            print(name, (function(x, y) if two else function(x)).hex(), file=out)
END
    mv "$root/tmp/values" "$work/$output"
}

# differ A B: how many of the values of each function differ.
differ() {
    paste -d ' ' "$work/$1" "$work/$2" |
        awk '!($1 in n) { order[++count] = $1 } { n[$1] += $2 != $4 }
             END { for (i = 1; i <= count; i++) print order[i], n[order[i]] }' | xargs
}

compute 2.36-amd64 old
compute 2.41-amd64 new
compute 2.36-arm64 old-arm
compute 2.41-arm64 new-arm
compute 2.41-amd64 new-plain GLIBC_TUNABLES=glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2
echo "differing values of 20,000 each"
seen "2.36 against 2.41, amd64" \
    "expf 0 tanhf 2145 sinhf 5249 erff 359 logf 0 lgammaf 7282 exp 0 tanh 0 log 0 pow 0 cbrt 0" \
    "$(differ old new)"
seen "2.36, amd64 against arm64" \
    "expf 0 tanhf 2 sinhf 13 erff 197 logf 0 lgammaf 4335 exp 0 tanh 0 log 0 pow 0 cbrt 3755" \
    "$(differ old old-arm)"
seen "2.41, amd64 against arm64" \
    "expf 0 tanhf 0 sinhf 0 erff 0 logf 0 lgammaf 0 exp 0 tanh 0 log 0 pow 0 cbrt 3755" \
    "$(differ new new-arm)"
seen "2.41, amd64 with and without fused multiply-add" \
    "expf 0 tanhf 0 sinhf 0 erff 0 logf 0 lgammaf 0 exp 14 tanh 7 log 1 pow 10 cbrt 0" \
    "$(differ new new-plain)"
verdict
