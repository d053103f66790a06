#!/usr/bin/env bash
# logged.sh LOG COMMAND...: what the command prints goes to LOG; if it fails, the end of LOG is shown, too.
# The command can still write to the terminal, as open file 3: a training says there how far all are.
log=$1 step=$(basename "$1" .log)
shift
export REPRO_TERMINAL=3
if "$@" 3>&2 >"$log" 2>&1; then
  case $step in train_*) ;; *) echo "$step: done" >&2 ;; esac
  exit
else
  code=$?
fi
{ echo "$step: failed; the end of $log:" && tail -n 15 "$log"; } >&2
exit "$code"
