#!/usr/bin/env bash
# logged.sh LOG COMMAND...: what the command prints goes to LOG; if it fails, the end of LOG is shown, too.
log=$1
shift
"$@" >"$log" 2>&1 && exit
code=$?
tail -n 15 "$log" >&2
exit "$code"
