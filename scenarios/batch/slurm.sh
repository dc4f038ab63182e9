#!/usr/bin/env bash
# The runs of a scenario as an array of Slurm's:
#     sbatch scenarios/batch/slurm.sh SCENARIO.xml [FOLDER [OPTIONS of ringsim...]]
#     ringsim --merge FOLDER/*.json --json all.json
# Sent again with the same words, it goes on where it was: what a result file holds is done. When
# something is missing, --merge says which task makes it: sbatch --array=7 scenarios/batch/slurm.sh ...
#
# The number of parts stands here and nowhere else: SLURM_ARRAY_TASK_COUNT is that of the tasks sent,
# 2 where two of them are sent again.
#SBATCH --array=1-16
#SBATCH --cpus-per-task=2
#SBATCH --job-name=ringsim
#SBATCH --open-mode=append
set -euo pipefail
PARTS=16

scenario=${1:?a SCENARIO.xml is wanted}
folder=${2:-results}
shift $(($# < 2 ? $# : 2))
mkdir -p "$folder"
exec "${RINGSIM:-ringsim}" "$scenario" --shard "$SLURM_ARRAY_TASK_ID/$PARTS" --resume --quiet \
    --jobs "${SLURM_CPUS_PER_TASK:-1}" --json "$folder/$SLURM_ARRAY_TASK_ID.json" "$@"
