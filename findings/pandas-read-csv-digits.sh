#!/bin/bash
# pandas: how many doubles read_csv changes.
#
# Packages: python3-pandas 1.5.3+dfsg-2 (Debian 12), 2.2.3+dfsg-9 (Debian 13). Columns of 20,000
#   doubles, written by repr(), which is exact.
# Guess: one in twenty is off in its last bit.
# Seen: of numbers in (0, 1) 36 % change, in (0, 100) 14 %, of dates of 2023 with fractions of a
#   second 12 %; numbers with six decimals do not. engine="python" changes exactly as many.
# Meaning: a result or table that went through read_csv and to_csv is another one, bit by bit: it
#   gives RingTMP other weights and another digest, and a comparison of dates finds differences of
#   1e-16. float_precision="round_trip" keeps all; after rounding to float32 none differed.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

for release in bookworm:1.5.3+dfsg-2 trixie:2.2.3+dfsg-9; do
    version=${release#*:}
    make_root "$work/$version" "${release%:*}" amd64 "python3-pandas=$version" libblas3 liblapack3
    python "$work/$version" \
        LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu/blas:/usr/lib/x86_64-linux-gnu/lapack \
        >"$work/out" <<'END'
import io, random, warnings
warnings.simplefilter("ignore")
import numpy, pandas
random.seed(2)
def changed(values, **options):
    table = io.StringIO("x\n" + "".join(f"{v!r}\n" for v in values))
    return (numpy.array(values) != pandas.read_csv(table, **options)["x"].to_numpy())
n = 20000
columns = [[random.random() for _ in range(n)], [random.random() * 100 for _ in range(n)],
           [1.7e9 + random.random() for _ in range(n)], [random.random() * 1e-6 for _ in range(n)],
           [float("%.6f" % random.random()) for _ in range(n)]]
for options in {}, {"engine": "python"}, {"float_precision": "round_trip"}:
    print(*(changed(values, **options).sum() for values in columns))
table = io.StringIO("x\n" + "".join(f"{v!r}\n" for v in columns[0]))
print((numpy.float32(columns[0]) != numpy.float32(pandas.read_csv(table)["x"])).sum())
END
    mapfile -t out <"$work/out"
    echo "changed of 20000 in (0, 1) / (0, 100) / dates of 2023 / (0, 1e-6) / six decimals"
    seen "$version, default" "7225 2776 2500 4097 0" "${out[0]}"
    seen "$version, engine python" "7225 2776 2500 4097 0" "${out[1]}"
    seen "$version, round_trip" "0 0 0 0 0" "${out[2]}"
    seen "$version, default, as float32 in (0, 1)" 0 "${out[3]}"
done
verdict
