#!/bin/bash
# safetensors: the bytes of a file with metadata, and the order of its tensors.
#
# Package: python3-safetensors 0.5.2-1+b1 (Debian 13).
# Guess: equal tensors and metadata give equal bytes, the metadata in the order given. (That
#   tensors are sorted by the size of their numbers was known.)
# Seen: tensors are ordered by the size of their numbers, large ones first, then by name (a10
#   before a9). Metadata are in an order of chance, also within one process: of 200 times the same
#   two entries come in both orders, six entries in more than a hundred. With one entry, or none,
#   the bytes are equal.
# Meaning: a checksum of a checkpoint that Python has saved says nothing about the weights.
#   Compare tensors, or RingTMP's digest. A program that reads the data in the order in which it
#   wrote them reads other tensors.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

make_root "$work/root" trixie amd64 python3-safetensors=0.5.2-1+b1 python3-numpy libblas3 liblapack3
libraries=/usr/lib/x86_64-linux-gnu
python "$work/root" "LD_LIBRARY_PATH=$libraries/blas:$libraries/lapack" >"$work/out" <<'END'
import hashlib, json, struct
import numpy as np
from safetensors.numpy import save
tensors = {name: np.ones(2, kind) for name, kind in (
    ("b", "f4"), ("bytes", "u1"), ("a9", "f4"), ("half", "f2"), ("a10", "f4"), ("double", "f8"))}
data = save(tensors)
length = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + length])
print(*sorted(header, key=lambda name: header[name]["data_offsets"]))
for entries in 0, 1, 2, 6:
    metadata = {chr(97 + i): "x" for i in range(entries)} or None
    print(len({hashlib.sha256(save(tensors, metadata=metadata)).digest() for _ in range(200)}))
END
mapfile -t out <"$work/out"
seen "order of b, bytes, a9, half, a10, double" "double a10 a9 b half bytes" "${out[0]}"
seen "different files of 200, no metadata" 1 "${out[1]}"
seen "one entry" 1 "${out[2]}"
seen "two entries" 2 "${out[3]}"
seen "six entries, more than 100" yes \
    "$([ "${out[4]}" -gt 100 ] && echo yes || echo "no: ${out[4]}")"
verdict
