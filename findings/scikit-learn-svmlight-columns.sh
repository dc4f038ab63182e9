#!/bin/bash
# scikit-learn: a file of dump_svmlight_file, read back by load_svmlight_file.
#
# Packages: python3-sklearn 1.2.1+dfsg-1 (Debian 12), 1.4.2+dfsg-8 (Debian 13).
# Guess: none was written down; one would think that it reads back what it has written: the
#   comment that it puts on top says "Column indices are zero-based".
# Seen: the reader does not heed that comment. If the first column happens to be 0 throughout, all
#   columns move one to the left, silently also where n_features says how many there are. 16
#   digits are written: a quarter of the doubles in (0, 1) change, of labels as well; no float
#   does.
# Meaning: training and test files that are read one by one can disagree about columns. Give
#   zero_based both times, or read both with load_svmlight_files. RingTMP takes the base from the
#   whole file and says which it took.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

for release in bookworm:1.2.1+dfsg-1 trixie:1.4.2+dfsg-8; do
    version=${release#*:}
    make_root "$work/$version" "${release%:*}" amd64 "python3-sklearn=$version" libblas3 liblapack3
    python "$work/$version" \
        LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu/blas:/usr/lib/x86_64-linux-gnu/lapack \
        >"$work/out" <<'END'
import io
import numpy as np
from sklearn.datasets import dump_svmlight_file, load_svmlight_file, load_svmlight_files
def dump(inputs, labels, **options):
    out = io.BytesIO()
    dump_svmlight_file(inputs, labels, out, **options)
    return out.getvalue()
first_zero = dump(np.array([[0, 2, 3], [0, 5, 6]]), [1, 2], comment="columns")
print(b"zero-based" in first_zero)
print(load_svmlight_file(io.BytesIO(first_zero))[0].toarray().tolist())
print(load_svmlight_file(io.BytesIO(first_zero), n_features=3)[0].toarray().tolist())
full = dump(np.array([[1, 2, 3]]), [1])
print(load_svmlight_files([io.BytesIO(full), io.BytesIO(first_zero)])[2].toarray().tolist())
numbers = np.random.RandomState(1).random_sample((2000, 5))
read, labels = load_svmlight_file(io.BytesIO(dump(numbers, numbers[:, 0])))
print((read.toarray() != numbers).sum(), (labels != numbers[:, 0]).sum())
singles = numbers.astype(np.float32)
read = load_svmlight_file(io.BytesIO(dump(singles, labels)), dtype=np.float32)[0]
print((read.toarray() != singles).sum())
END
    mapfile -t out <"$work/out"
    seen "$version, the comment says zero-based" True "${out[0]}"
    seen "$version, rows 0 2 3 and 0 5 6 come back as" "[[2.0, 3.0], [5.0, 6.0]]" "${out[1]}"
    seen "$version, with n_features=3" "[[2.0, 3.0, 0.0], [5.0, 6.0, 0.0]]" "${out[2]}"
    seen "$version, read with a full file" "[[0.0, 2.0, 3.0], [0.0, 5.0, 6.0]]" "${out[3]}"
    seen "$version, changed of 10000 doubles, 2000 labels" "2488 518" "${out[4]}"
    seen "$version, changed of 10000 floats" 0 "${out[5]}"
done
verdict
