"""Every platform file of SimGrid's own source, with a board given, runs or is refused in one line.

examples.py RINGSIM [FOLDER]: FOLDER (or the variable RG_SIMGRID_SOURCE) holds SimGrid's source, as
`apt-get source simgrid` leaves it; without one, nothing is tried (status 77)."""
import os
import subprocess
import sys
import tempfile

SCENARIO = """<scenario name="example" seed="1"><platform file="{}" board="pi-4b"/>
<network file="{}"/><data kind="iris" train="120" test="30"/>
<training batch="12" epochs="1" learning-rate="0.02" numerics="skip"/>
<strategy label="all-reduce" kind="ring_allreduce" nodes="2"/>
<strategy label="server" kind="parameter_server" nodes="2"/></scenario>
"""
NETWORK = os.path.join(os.path.dirname(__file__), "..", "..", "models", "networks", "iris-mlp.xml")


def platforms(folder):
    for path, _, names in os.walk(folder):
        for name in sorted(names):
            file = os.path.join(path, name)
            if name.endswith(".xml") and b"<platform" in open(file, "rb").read():
                yield file


def attempt(ringsim, file, folder):
    """"ran", "refused", or what is wrong with how ringsim took the file. Some write traces of their
    own: into the folder."""
    scenario = os.path.join(folder, "scenario.xml")
    with open(scenario, "w", encoding="utf-8") as stream:
        stream.write(SCENARIO.format(os.path.abspath(file), os.path.abspath(NETWORK)))
    done = subprocess.run([os.path.abspath(ringsim), scenario, "--quiet", "--json", os.devnull],
                          capture_output=True, text=True, check=False, timeout=120, cwd=folder)
    if done.returncode == 0 and not done.stderr:
        return "ran"
    if done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.endswith("\n"):
        return "refused"
    return f"status {done.returncode}: {done.stderr[:300]}"


def main():
    folder = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("RG_SIMGRID_SOURCE", "")
    if not os.path.isdir(folder):
        print("SimGrid's source is absent (RG_SIMGRID_SOURCE): skipped")
        return 77
    count = {"ran": 0, "refused": 0}
    bad = 0
    with tempfile.TemporaryDirectory() as scratch:
        for file in platforms(folder):
            what = attempt(sys.argv[1], file, scratch)
            if what in count:
                count[what] += 1
            else:
                bad += 1
                print(f"{file}: {what}")
    print(f"{sum(count.values()) + bad} platforms: {count['ran']} run, {count['refused']} are "
          f"refused in one line, {bad} do neither")
    return int(bad > 0 or count["ran"] == 0)


if __name__ == "__main__":
    sys.exit(main())
