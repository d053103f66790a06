#!/usr/bin/env bash
# Renew envs/constraints.txt for Python 3.11 and later. uv only resolves; pip installs.
# The remark after a name in the requirements files becomes the remark of its pin.
set -euo pipefail
cd "$(dirname "$0")/.."

python -m pip install --quiet uv
resolved=$(mktemp)
trap 'rm -f "$resolved"' EXIT
uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate \
  envs/requirements.txt --output-file "$resolved"

{
  echo "# Written by \`make lock\` from requirements.txt; do not edit. A remark says why a version matters."
  awk '
    function name(line) { sub(/[ ;=<>~!#].*/, "", line); gsub(/_/, "-", line); return tolower(line) }
    FILENAME == ARGV[1] {
      if ($0 ~ /^[A-Za-z].*  # /) { reason = $0; sub(/.*  # /, "", reason); why[name($0), ++given[name($0)]] = reason }
      next
    }
    {
      n = ++seen[name($0)]                       # one name may have a line for each range of Python versions
      if (!((name($0), n) in why)) n = 1
      print ((name($0), n) in why) ? $0 "  # " why[name($0), n] : $0
    }
  ' envs/requirements.txt "$resolved"
} > envs/constraints.txt
echo "envs/constraints.txt: $(grep -c == envs/constraints.txt) pins"
