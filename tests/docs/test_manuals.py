#!/usr/bin/python3 -B
"""Every option of a program's --help is in its man page and in bash's completion, and nothing else is.

    test_manuals.py BUILD

Arguments are completed too: strategies and parameters from the scenario, keys from --list, meters from ringnode.
Where a build makes no man pages (no help2man) that half is left out, and said so; 77 without bash."""

import glob
import gzip
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMPLETION = os.path.join(ROOT, "packaging", "completion.bash")
PROGRAMS = ("ringsim", "ringnode", "ringcal", "ringboard", "ringdeploy")
# One that must be found in each, so that a --help that is not understood is not taken for one without options
KNOWN = {"ringsim": "--shard", "ringnode": "--join-timeout", "ringcal": "--burn-seconds", "ringboard": "--gemm",
         "ringdeploy": "--dry-run"}
COMPLETE = """. "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_ringtmp "$1"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def options_of_help(program):
    """Long options: those that stand where --help lists one, at most eight columns in."""
    text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    return {name for line in text.splitlines() if re.match(r" {2,8}-", line)
            for name in re.findall(r"(?<![\w-])--[a-z][a-z-]*", re.split(r"  +(?=[^- ])", line.strip())[0])}


def options_of_page(page):
    """Those that have a paragraph of their own: a bold line behind .TP."""
    with gzip.open(page, "rt", encoding="utf-8") as stream:
        heads = re.findall(r"^\.TP\n(.*)$", stream.read(), re.M)
    return {name.replace("\\-", "-") for head in heads for name in re.findall(r"\\fB(\\-\\-[a-z](?:[a-z]|\\-)*)", head)}


def complete(build, *words):
    """What bash offers for the last word."""
    words = (os.path.join(build, words[0]),) + words[1:]
    done = subprocess.run(["bash", "-c", COMPLETE, "-", COMPLETION, *words], cwd=ROOT, capture_output=True, text=True)
    # compopt may be used only while bash completes
    assert done.returncode == 0 and not done.stderr, done.stderr
    return {line for line in done.stdout.splitlines() if line}


def same(what, found, expected):
    assert found == expected, f"{what}: missing {sorted(expected - found)}, too many {sorted(found - expected)}"


def has(found, *expected):
    assert set(expected) <= found, f"{sorted(found)} lacks some of {expected}"


def check_options(build, name):
    options = options_of_help(os.path.join(build, name))
    assert {KNOWN[name], "--help", "--version"} <= options, (name, options)
    same(f"{name}: completion", complete(build, name, "--"), options)
    page = os.path.join(build, "man", name + ".1.gz")
    if os.path.exists(page):
        same(f"{name}: man page", options_of_page(page), options)
    print(f"{name}: {len(options)} options" + ("" if os.path.exists(page) else ", no man page in this build"))


def check_arguments(build):
    """The scenario's strategies, quoted as bash wants them; keys; parameters of the strategy's kind alone."""
    scenario = "scenarios/pi-cluster-64.xml"
    for name in ("ringsim", "ringnode"):
        if os.path.exists(os.path.join(build, name)):
            same("strategies", complete(build, name, scenario, "--strategy", ""),
                 {"ring\\ of\\ 64", "8\\ rings\\ of\\ 8", "server\\ 1+63", "all-reduce"})
            same("strategies from a letter", complete(build, name, scenario, "--strategy", "=", "8"),
                 {"8\\ rings\\ of\\ 8"})
            same("keys", complete(build, name, scenario, "--set", "epo"), {"epochs="})
            listed = subprocess.run([os.path.join(build, name), "--list"], capture_output=True, text=True).stdout
            server = re.search(r"^  parameter_server: .*\n((?:      .*\n)*)", listed, re.M)[1]
            same("parameters", complete(build, name, scenario, "--set", "server"),
                 {f"server\\ 1+63.{parameter}=" for parameter in re.findall(r"^      ([\w-]+)=", server, re.M)})
            has(complete(build, name, "scenarios/iris-3.xml", "--set", "ringtmp."), "ringtmp.in-flight=")
            same("scenarios", complete(build, name, "scenarios/iri"), {"scenarios/iris-3.xml"})
    listed = subprocess.run([os.path.join(build, "ringnode"), "--list"], capture_output=True, text=True).stdout
    keys = re.search(r"^Keys of --set.*: (.*) LABEL\.PARAM$", listed, re.M)[1].split()
    has(complete(build, "ringnode", "--set", ""), *(key + "=" for key in keys))
    has(complete(build, "ringnode", "--meter", ""), "auto", "rapl", "csv:")
    has(complete(build, "ringcal", "--meter", ""), "auto", "rapl", "csv:")
    same("scenarios' folder alone", complete(build, "ringnode", "--data", "mod"), {"models"})
    same("ringnode's options behind --", complete(build, "ringdeploy", "scenarios/iris-3.xml", "--", "--pac"),
         {"--pace"})


def main():
    if not shutil.which("bash"):
        print("skipped: no bash")
        return 77
    build = os.path.abspath(sys.argv[1])
    for name in PROGRAMS:
        if os.path.exists(os.path.join(build, name)):
            check_options(build, name)
    check_arguments(build)
    pages = {os.path.basename(page) for page in glob.glob(os.path.join(build, "man", "*.gz"))}
    assert not pages or pages == {name + ".1.gz" for name in PROGRAMS if os.path.exists(os.path.join(build, name))}
    return 0


if __name__ == "__main__":
    sys.exit(main())
