#!/bin/bash
# GNU parallel: what its --joblog says of jobs that a signal killed, and whether it runs them again.
#
# Packages: parallel 20221122+ds-2 (Debian 12) and 20240222+ds-2 (Debian 13). Three jobs: one ends
#   well, one kills itself (signal 9), one ends with status 3; with dash and with bash as shell.
# Guess: Exitval is 0 in Debian 12, so that --resume-failed takes the killed one for done.
# Seen: with bash, which becomes the job, the row is Exitval 0, Signal 9 in Debian 12, and 137, 9 in
#   Debian 13; with dash, which waits for the job, 137, 0 in both. --resume-failed and --retry-failed
#   run it again in all cases; --resume never does, nor one that ended with status 3. What is run
#   again has a row of its own, behind the first.
# Meaning: a script of one's own that looks for Exitval other than 0 misses killed jobs where the
#   shell is bash, and counts as failed what a later row says is done. scenarios/batch/parallel.sh
#   goes by result files: a row says how a job ended, not that its results are whole.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

ended() { # the columns Seq, Exitval, Signal of the rows, sorted
    sed 1d "$1" | cut -f 1,7,8 | sort | tr '\t\n' ' ;'
}

for release in bookworm:20221122+ds-2:0 trixie:20240222+ds-2:137; do
    killed=${release##*:}
    release=${release%:*}
    version=${release#*:}
    root=$work/$version
    make_root "$root" "${release%:*}" amd64 "parallel=$version" bash
    cat >"$root/tmp/probe.sh" <<'END'
cd /tmp
cat >job <<'JOB'
[ -e again ] && echo $1 >>ran && exit
[ $1 != 2 ] || kill -9 $$
[ $1 != 3 ] || exit 3
JOB
run() {
    parallel --will-cite --joblog log "$@" >/dev/null 2>&1
}
for again in resume resume-failed retry-failed; do
    rm -f log again
    run sh job {} ::: 1 2 3
    cp log first
    : >again
    : >ran
    run --$again sh job {} ::: 1 2 3
    cp ran ran-$again
done
END
    for shell in bash dash; do
        inside "$root" LC_ALL=C "PARALLEL_SHELL=/usr/bin/$shell" /usr/bin/sh /tmp/probe.sh
        row="2 $killed 9"
        [ $shell = bash ] || row="2 137 0"
        seen "$version, $shell: jobs, exit values, signals" "1 0 0;$row;3 3 0;" "$(ended "$root/tmp/first")"
        seen "$version, $shell, --resume runs again" "" "$(sort "$root/tmp/ran-resume" | tr '\n' ' ')"
        for way in resume-failed retry-failed; do
            seen "$version, $shell, --$way" "2 3 " "$(sort "$root/tmp/ran-$way" | tr '\n' ' ')"
        done
        again="1 0 0;2 0 0;$row;3 0 0;3 3 0;"
        [ $shell$killed != bash0 ] || again="1 0 0;2 0 0;2 0 9;3 0 0;3 3 0;"
        seen "$version, $shell: rows after that" "$again" "$(ended "$root/tmp/log")"
    done
done
verdict
