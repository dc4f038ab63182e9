#!/bin/bash
# collectd: what its csv plugin writes of values that carry their own dates.
#
# Package: collectd-core 5.12.0-14 (Debian 12), plugins unixsock and csv, values of 2023 given
#   with PUTVAL; type "power" is a gauge, "derive" a counter.
# Guess: a gauge with 15 digits; a value no newer than the last one is refused, as the log says
#   ("Value too old"), and not written; the name of the file has the day of the values.
# Seen: a gauge has six decimals, so that 12.3 uW are 0.000012. The refused value is in the file
#   all the same, after later ones. The name has the day of writing. With StoreRates a counter's
#   row is its rate since the row before, nan at first and where the counter falls. Five threads
#   write by default, and a rate is looked up when its row is written: where values came in quick
#   succession, rows changed places, had the rate of a later one or were missing. The script has
#   one thread and pauses.
# Meaning: sort a log of collectd by date before it is given to --meter, and record mW or uW where
#   watts are small. A row of a gauge is the reading at its date, that of a counter a mean over
#   the time before it (csv:FILE::before).

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

make_root "$work/root" bookworm amd64 collectd-core=5.12.0-14 python3
python "$work/root" >"$work/out" 2>"$work/log" <<'END' || cannot "collectd did not run"
import glob, os, shutil, socket, subprocess, time
start = 1700000000
def put(stream, name, *pairs):
    for date, value in pairs:
        stream.write(f"PUTVAL board/m/{name} interval=10 {start + date}:{value}\n")
        stream.flush()
        stream.readline()
        time.sleep(0.5)
for rates in "false", "true":
    shutil.rmtree("/tmp/csv", ignore_errors=True)
    with open("/tmp/conf", "w") as out:
        out.write(f"""Hostname "board"
FQDNLookup false
BaseDir "/tmp"
PIDFile "/tmp/pid"
WriteThreads 1
TypesDB "/usr/share/collectd/types.db"
LoadPlugin unixsock
LoadPlugin csv
<Plugin unixsock>
  SocketFile "/tmp/socket"
</Plugin>
<Plugin csv>
  DataDir "/tmp/csv"
  StoreRates {rates}
</Plugin>
""")
    daemon = subprocess.Popen(["/usr/sbin/collectd", "-f", "-C", "/tmp/conf"])
    for _ in range(200):
        time.sleep(0.1)
        try:
            link = socket.socket(socket.AF_UNIX)
            link.connect("/tmp/socket")
            break
        except OSError:
            link.close()
    stream = link.makefile("rw")
    put(stream, "power-in", (0, 5.123456789), (10, 0.0000123456), (20, "U"), (40, 7), (30, 8))
    put(stream, "derive-joules", (0, 1000), (10, 1050), (20, 900), (30, 1000))
    time.sleep(1)
    daemon.terminate()
    daemon.wait()
    for name in "power", "derive":
        path = glob.glob(f"/tmp/csv/board/m/{name}-*")[0]
        with open(path) as rows:
            print(*sorted(row.strip()[8:] for row in rows if row[0] == "1"))
    print("2023" in os.path.basename(path))
END
mapfile -t out <"$work/out"
gauge="00.000,5.123457 10.000,0.000012 20.000,nan 30.000,8.000000 40.000,7.000000"
echo "rows, sorted: seconds, value; the row of 30 s came after that of 40 s"
seen "gauge of 5.123456789, 0.0000123456, unknown, 8, 7" "$gauge" "${out[0]}"
seen "counter of 1000, 1050, 900, 1000" "00.000,1000 10.000,1050 20.000,900 30.000,1000" "${out[1]}"
seen "the file is named for the year of the values" False "${out[2]}"
seen "gauge, StoreRates" "$gauge" "${out[3]}"
seen "counter, StoreRates" "00.000,nan 10.000,5.000000 20.000,nan 30.000,10.000000" "${out[4]}"
verdict
