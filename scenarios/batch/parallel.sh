#!/usr/bin/env bash
# The runs of a scenario on several machines, or on this one, with GNU parallel:
#     scenarios/batch/parallel.sh SCENARIO.xml [FOLDER [OPTIONS of ringsim...]]
#     SSHLOGIN=board-1,board-2 scenarios/batch/parallel.sh ...      over ssh, where the machines share
#                                                                   this folder and have ringsim
# and then, in FOLDER.json, all of them. Started again with the same words, it goes on where it was:
# what a result file holds is done. parallel's own --joblog tells how jobs ended, not what is whole, and
# with other options or parts it is of other jobs (findings/parallel-joblog-of-killed-jobs.sh).
set -euo pipefail
PARTS=16

scenario=${1:?a SCENARIO.xml is wanted}
folder=${2:-results}
shift $(($# < 2 ? $# : 2))
mkdir -p "$folder"
status=0
seq "$PARTS" | parallel --will-cite --quote ${SSHLOGIN:+--sshlogin "$SSHLOGIN" --workdir .} \
    "${RINGSIM:-ringsim}" "$scenario" --shard "{}/$PARTS" --resume --quiet --jobs 1 --json "$folder/{}.json" "$@" ||
    status=$? # how many failed: the rest is kept, and what is missing is told below
"${RINGSIM:-ringsim}" --merge "$folder"/*.json --json "$folder.json"
exit "$status"
