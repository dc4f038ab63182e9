#!/bin/bash
# OpenMPI: may mpirun's own connections, not those of the ranks, be confined to the loopback interface?
#
# Packages: openmpi-bin 4.1.4-3+b1 (Debian 12) and 5.0.7-1 (Debian 13). Two processes of one machine that
#   print a word, as root.
# Guess: the option of 4 (oob_tcp_if_include of ORTE) is unknown to 5 and passed over; its successor
#   (prte_if_include of PRRTE) does the same: both run.
# Seen: 4 runs. 5 passes over the old name in the environment, but takes it on the command line (--mca
#   oob_tcp_if_include lo) for the new one, and with lo under that it starts nothing: "No network
#   interfaces were found for out-of-band communications".
# Meaning: a benchmark over lo that is to run with both leaves the runtime's interfaces alone, says those of
#   the ranks (btl_tcp_if_include) in the environment, and gives no options but -n.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

# Runs two processes in a root; prints their words, or what is wrong.
# $1: root; then NAME=VALUE..., and options of mpirun.
try() {
    local root=$1 environment=() status=0
    shift
    while [[ ${1-} == [A-Z]*=* ]]; do
        environment+=("$1")
        shift
    done
    rm -rf "${root:?}"/tmp/* # sessions are named by process numbers, which are the same in every try
    inside "$root" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
        OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe \
        "${environment[@]}" /usr/bin/mpirun.openmpi -n 2 "$@" /usr/bin/echo word >"$work/out" 2>"$work/err" || status=$?
    if [ "$status" = 0 ]; then
        tr '\n' ' ' <"$work/out"
    else
        cat "$work/out" "$work/err" | grep -o -m 1 'No network interfaces were found' ||
            echo "refused"
    fi
}

make_root "$work/4" bookworm amd64 openmpi-bin=4.1.4-3+b1
make_root "$work/5" trixie amd64 openmpi-bin=5.0.7-1
seen "4, nothing said" "word word " "$(try "$work/4")"
seen "4, oob_tcp_if_include" "word word " "$(try "$work/4" OMPI_MCA_oob_tcp_if_include=lo)"
seen "4, the same as an option" "word word " "$(try "$work/4" --mca oob_tcp_if_include lo)"
seen "5, nothing said" "word word " "$(try "$work/5")"
seen "5, oob_tcp_if_include" "word word " "$(try "$work/5" OMPI_MCA_oob_tcp_if_include=lo)"
seen "5, prte_if_include" "No network interfaces were found" "$(try "$work/5" PRTE_MCA_prte_if_include=lo)"
seen "5, the old name as an option" "No network interfaces were found" "$(try "$work/5" --mca oob_tcp_if_include lo)"
verdict
