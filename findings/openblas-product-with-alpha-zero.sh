#!/bin/bash
# OpenBLAS: sgemm with alpha = 0 where a matrix holds a NaN.
#
# Packages: libopenblas0-pthread 0.3.21+ds-4 (Debian 12) and 0.3.29+ds-3 (Debian 13), amd64. Needs
#   a processor with AVX-512; OPENBLAS_CORETYPE chooses the kernels.
# Guess: none was written down; by the definition of BLAS, C stays as it is, since A and B are not
#   looked at if alpha is 0.
# Seen: so it is with the Haswell kernels. With those of SkylakeX small products (m n k up to
#   1,000,000) become NaN, and 101 x 101 x 101 is left alone again. Where B alone is transposed,
#   the cubes stay as they are, and 32 x 10 x 784 does not.
# Meaning: alpha = 0 is no switch. A weight of 0 for what has diverged, or for a buffer that
#   nobody has filled, gives NaN on some machines, and for some batch sizes only: leave the call
#   out.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"
need_flags avx2 fma avx512f avx512bw avx512dq avx512vl avx512cd

probe() {
    python "$1" "OPENBLAS_CORETYPE=$2" OPENBLAS_NUM_THREADS=1 <<'END'
import ctypes as c
blas = c.CDLL("/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0")
sgemm, pointer = blas.cblas_sgemm, c.c_void_p
sgemm.argtypes = [c.c_int] * 6 + [c.c_float, pointer, c.c_int, pointer, c.c_int]
sgemm.argtypes += [c.c_float, pointer, c.c_int]
def floats(value, n):
    return (c.c_float * n)(*[value] * n)
row_major, kinds = 101, {"N": 111, "T": 112}
for m, n, k in (8, 8, 8), (32, 10, 784), (100, 100, 100), (101, 101, 101):
    for kind in "NN", "NT", "TN", "TT":
        a, b, out = floats(float("nan"), m * k), floats(1, k * n), floats(2, m * n)
        sgemm(row_major, kinds[kind[0]], kinds[kind[1]], m, n, k, 0, a, m if kind[0] == "T" else k,
              b, k if kind[1] == "T" else n, 1, out, n)
        print("NaN" if any(x != x for x in out) else "kept", end=" ")
    print("/", end=" ")
END
}

echo "C after C += 0 * A * B, A all NaN, for NN NT TN TT;"
echo "m x n x k of 8x8x8 / 32x10x784 / 100x100x100 / 101x101x101"
kept="kept kept kept kept /"
for release in bookworm:0.3.21+ds-4 trixie:0.3.29+ds-3; do
    version=${release#*:}
    make_root "$work/$version" "${release%:*}" amd64 python3 "libopenblas0-pthread=$version"
    seen "$version, Haswell" "$kept $kept $kept $kept" "$(probe "$work/$version" Haswell | xargs)"
    seen "$version, SkylakeX" \
        "NaN kept NaN NaN / NaN NaN NaN NaN / NaN kept NaN NaN / $kept" \
        "$(probe "$work/$version" SkylakeX | xargs)"
done
verdict
