#!/usr/bin/env bash
# Train part of the smoke tier through Snakemake's SLURM executor, on a SLURM that is started here with two
# stand-in GPUs, and compare with the same runs trained without it. Needs root; elsewhere it says why it does nothing.
#   ONLY   what to train, as in --config only=... (default: subsampling/figure5,subsampling/figure3)
set -euo pipefail
cd "$(dirname "$0")/.."
ONLY=${ONLY:-subsampling/figure5,subsampling/figure3}
PACKAGES=(slurmctld slurmd slurm-client munge)

skip() {
  echo "slurm-test: skipped, because $*"
  exit 0
}

install_slurm() {
  for command in slurmctld slurmd srun munged; do
    command -v "$command" >/dev/null || missing=yes
  done
  [ -n "${missing:-}" ] || return 0
  command -v apt-get >/dev/null || skip "SLURM is not installed and there is no apt-get to install ${PACKAGES[*]}"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${PACKAGES[@]}"; } >/dev/null 2>&1 ||
    skip "the Debian packages ${PACKAGES[*]} cannot be installed here"
}

[ "$(id -u)" = 0 ] || skip "SLURM's daemons and its device files need root"
install_slurm

source=$PWD
work=$(mktemp -d)
export MINI_SLURM_DIR=$work/slurm MINI_SLURM_GPUS=2
stop() {
  bash "$source/scripts/mini-slurm.sh" stop
  rm -rf "$work"
}
trap stop EXIT
mknod "$work/probe" c 1 3 2>/dev/null || skip "this container may not make device files (CAP_MKNOD)"

clone() { # what is in the working tree, committed or not
  git clone --quiet --no-hardlinks "$source" "$1"
  git ls-files --cached --others --exclude-standard -z | tar --null --files-from=- --ignore-failed-read -cf - 2>/dev/null | tar -xf - -C "$1"
}

bash scripts/mini-slurm.sh start
eval "$(bash scripts/mini-slurm.sh env)"
unset REPRO_ROOT PYTHONPATH
export REPRO_GPUS= # the stand-ins are counted and handed out, but there is nothing behind them
options=(tier=smoke "only=$ONLY" runs_per_job=2 threads=1)

echo "slurm-test: without SLURM ($SECONDS s)"
clone "$work/local"
(cd "$work/local" && snakemake --cores all --config "${options[@]}" -- experiments)

echo "slurm-test: through SLURM ($SECONDS s)"
clone "$work/remote"
(cd "$work/remote" && snakemake --workflow-profile profiles/slurm --slurm-init-seconds-before-status-checks 3 \
  --config "${options[@]}" -- experiments)

echo "slurm-test: jobs that SLURM knows of (number, state, GPUs asked for)"
squeue --states=all --noheader --Format=JobID:8,State:12,tres-per-job:20 | sort -n | tee "$work/jobs"
grep -q 'COMPLETED.*gpu' "$work/jobs" || { echo "slurm-test: no job with a GPU was completed" >&2 && exit 1; }
PYTHONPATH=$source python scripts/same_results.py "$work/local" "$work/remote"
echo "slurm-test: passed in $SECONDS s"
