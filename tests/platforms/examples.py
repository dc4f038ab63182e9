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


def complaint(ringsim, file, scenario):
    """What is wrong with how ringsim took the file; None: nothing."""
    with open(scenario, "w", encoding="utf-8") as stream:
        stream.write(SCENARIO.format(os.path.abspath(file), os.path.abspath(NETWORK)))
    done = subprocess.run([ringsim, scenario, "--quiet", "--json", os.devnull], capture_output=True,
                          text=True, check=False, timeout=120)
    if done.returncode == 0 and not done.stderr:
        return None
    if done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.endswith("\n"):
        return None
    return f"status {done.returncode}: {done.stderr[:300]}"


def main():
    folder = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("RG_SIMGRID_SOURCE", "")
    if not os.path.isdir(folder):
        print("SimGrid's source is absent (RG_SIMGRID_SOURCE): skipped")
        return 77
    tried = bad = 0
    with tempfile.TemporaryDirectory() as scratch:
        for file in platforms(folder):
            what = complaint(sys.argv[1], file, os.path.join(scratch, "scenario.xml"))
            tried += 1
            if what:
                bad += 1
                print(f"{file}: {what}")
    print(f"{tried} platforms, {bad} neither run nor refused in one line")
    return int(bad > 0 or tried == 0)


if __name__ == "__main__":
    sys.exit(main())
