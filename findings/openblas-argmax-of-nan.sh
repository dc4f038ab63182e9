#!/bin/bash
# OpenBLAS: the index of the largest of numbers that are all NaN.
#
# Packages: libopenblas0-pthread 0.3.21+ds-4 (Debian 12), 0.3.29+ds-3 (Debian 13), amd64 and,
#   under an emulator, arm64.
# Guess: the index of the largest of the others where one is NaN, 0 where all are; the same in
#   isamax and ismax.
# Seen: on amd64, whatever the kernel, both functions answer 8 for 10 numbers, 24 for 26, 96 for
#   100 and 999 for 1,000: it depends on the length alone. On arm64 isamax answers the last index
#   (9 of 10, but 1 of 9), and ismax 0. One NaN among ten numbers hides the largest at most
#   places, on arm64 at nearly all.
# Meaning: the class that a diverged network "recognises" is a property of the machine. Whoever
#   takes argmax with BLAS must look for NaN first: an accuracy of 10 % may be nothing but class
#   8.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

probe() {
    python "$@" OPENBLAS_NUM_THREADS=1 <<'END'
import ctypes, glob
blas = ctypes.CDLL(glob.glob("/usr/lib/*/openblas-pthread/libopenblas.so.0")[0])
nan = float("nan")
def index(name, numbers):
    function = getattr(blas, name)
    function.restype = ctypes.c_size_t
    return function(len(numbers), (ctypes.c_float * len(numbers))(*numbers), 1)
for name in "cblas_isamax", "cblas_ismax":
    lengths = [index(name, [nan] * n) for n in (2, 9, 10, 26, 100, 1000)]
    single = []
    for place in range(10):
        numbers = [1 + i / 100 for i in range(10)]
        numbers[5] = 5
        numbers[place] = nan
        single.append(index(name, numbers))
    print(name[6:], *lengths, "/", *single)
END
}

echo "index of the largest of 2, 9, 10, 26, 100, 1000 NaN;"
echo "of ten numbers, number 5 the largest, with a NaN at 0 to 9"
for release in bookworm:0.3.21+ds-4 trixie:0.3.29+ds-3; do
    version=${release#*:}
    for architecture in amd64 arm64; do
        root=$work/$version-$architecture
        make_root "$root" "${release%:*}" "$architecture" python3 "libopenblas0-pthread=$version"
        if [ "$architecture" = amd64 ]; then
            all="0 8 8 24 96 999 / 0 1 2 3 4 9 5 5 8 5"
            then="isamax $all ismax $all"
            seen "$version amd64" "$then" "$(probe "$root" | xargs)"
            continue
        fi
        then="isamax 1 1 9 25 99 999 / 5 9 9 9 9 9 9 9 9 9 ismax 0 0 0 0 0 0 / 0 5 5 5 5 9 5 5 5 5"
        seen "$version arm64" "$then" "$(probe "$root" OPENBLAS_CORETYPE=ARMV8 | xargs)"
    done
done
verdict
