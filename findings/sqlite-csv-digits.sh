#!/bin/bash
# sqlite3: numbers on their way into and out of a database, as text.
#
# Packages: sqlite3 3.40.1-2+deb12u2 (Debian 12), 3.46.1-7+deb13u2 (Debian 13). 40,000 doubles.
# Guess: .mode csv writes 17 digits, or as many as a number needs: all come back. Reading is
#   exact.
# Seen: both write 15 digits: 91 % of doubles come back changed; all floats come back, and rows
#   end in CR LF. printf('%!.17g') writes enough for both. Reading is not exact either: 1 of the
#   40,000 is off by one unit in the last place in 3.40.1, and 5 are in the later 3.46.1.
# Meaning: a table of float32 samples survives sqlite3 -csv, one of measured dates or doubles does
#   not: two exports of the same data give RingTMP equal inputs only if both went this way.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

probe() {
    python "$1" <<'END'
import random, sqlite3, struct, subprocess
random.seed(1)
doubles = [random.random() for _ in range(20000)]
doubles += [random.random() * 10 ** random.randint(-20, 20) for _ in range(20000)]
def single(x):
    return struct.unpack("f", struct.pack("f", x))[0]
def written(values, what, mode="csv"):
    sql = "create table t(i integer primary key, x real);\nbegin;\n"
    sql += "".join(f"insert into t(x) values({v!r});\n" for v in values)
    sql += f"commit;\n.mode {mode}\nselect {what} from t order by i;\n"
    return subprocess.run(["sqlite3"], input=sql.encode(), capture_output=True, check=True).stdout
def changed(values, rows, as_read=lambda x: x):
    return sum(as_read(float(row)) != v for v, row in zip(values, rows.split()))
read = [sqlite3.connect(":memory:").execute(f"select {x!r}").fetchone()[0] for x in doubles]
rows = written(doubles, "x")
print(changed(read, rows), len(rows.split(b"\r\n")) - 1)
singles = [single(x) for x in doubles]
print(changed(singles, written(singles, "x"), single))
print(changed(read, written(doubles, "printf('%!.17g', x)", "list")))
wrong = [(x, y) for x, y in zip(doubles, read) if x != y]
print(len(wrong), all(abs(x - y) <= 2.3e-16 * abs(x) for x, y in wrong))
END
}

for release in "bookworm:3.40.1-2+deb12u2:36558:1 True" "trixie:3.46.1-7+deb13u2:36561:5 True"; do
    IFS=: read -r suite version changed read_wrong <<<"$release"
    make_root "$work/$suite" "$suite" amd64 "sqlite3=$version" python3
    probe "$work/$suite" >"$work/out"
    mapfile -t out <"$work/out"
    seen "$version, doubles changed by .mode csv of 40000; rows with CR LF" \
        "$changed 40000" "${out[0]}"
    seen "$version, floats changed" 0 "${out[1]}"
    seen "$version, doubles changed by printf with 17 digits" 0 "${out[2]}"
    seen "$version, doubles read wrongly; by one unit" "$read_wrong" "${out[3]}"
done
verdict
