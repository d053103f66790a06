#!/usr/bin/env bash
# Make the Python environment, or bring it up to date. `make` calls it; alone: bash scripts/setup.sh
#   PYTHON  interpreter to build with (python3)       VENV  where the environment goes (.venv)
#   TORCH   auto | cpu | default: which torch. "default" is what pip takes by itself (on Linux the build for CUDA,
#           5 GB with its libraries), "cpu" the CPU build: from the sources that pip is configured for or, if
#           they lack it, from PyTorch's own index; "auto" is "cpu" on Linux without an NVIDIA driver. Not given:
#           what the environment was made with, else auto.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3} VENV=${VENV:-.venv} GIVEN=${TORCH:-}
CPU_INDEX=https://download.pytorch.org/whl/cpu
INPUTS=(envs/constraints.txt envs/requirements.txt envs/requirements-nodeps.txt pyproject.toml scripts/setup.sh)

fail() {
  echo "setup: $*" >&2
  exit 1
}

minor_version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

check_python() {
  command -v "$PYTHON" >/dev/null ||
    fail "$PYTHON was not found; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3"
  version=$(minor_version "$PYTHON") || fail "$PYTHON does not run; name another one: make PYTHON=/path/to/python3"
  case $version in
  2.* | 3.[0-9] | 3.10)
    fail "$PYTHON is Python $version, but 3.11 or newer is needed; name a newer one, like this: make PYTHON=python3.11"
    ;;
  esac
}

make_venv() {
  if "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    local has
    has=$(minor_version "$VENV/bin/python")
    if [ "$has" != "$version" ] && [ "$PYTHON" != python3 ]; then
      fail "$VENV has Python $has, not $version; remove it (rm -r $VENV) or choose another place: make VENV=.venv-$version"
    fi
  else
    echo "setup: $VENV (Python $version)"
    "$PYTHON" -m venv "$VENV" ||
      fail "$PYTHON cannot make virtual environments; on Debian and Ubuntu, apt install python3-venv helps"
  fi
}

# The CPU build has a name of its own on Linux; elsewhere pip takes it anyway.
wants_cpu() {
  [ "$(uname -s)" = Linux ] || return 1
  [ "$TORCH" = cpu ] || { [ "$TORCH" = auto ] && ! command -v nvidia-smi >/dev/null && [ ! -e /proc/driver/nvidia ]; }
}

# How many packages there will be: the pins that hold for this Python, without CUDA's if torch is the CPU build.
count_pins() {
  "$VENV/bin/python" -c 'import re, sys
from pip._vendor.packaging.requirements import Requirement
pins = [Requirement(line.split(" #")[0]) for line in open("envs/constraints.txt") if "==" in line]
names = {pin.name for pin in pins if not pin.marker or pin.marker.evaluate()}
print(len([name for name in names if "cpu" not in sys.argv or not re.match("nvidia-|cuda-|triton$", name)]))' "$@"
}

# Reads what pip says, writes now and then how far it is: `progress [of how many packages]`.
progress() {
  awk -v total="${1:-}" '
    function name(word) { sub(/[ (<>=!~;\[].*/, "", word); return word }
    function say(   i, j, swap, text) {
      text = "  " count (total ? " of " total : "") (count == 1 && !total ? " package" : " packages")
      for (i = 1; i <= 3 && i <= n; i++) {
        for (j = i + 1; j <= n; j++) if (size[j] > size[i]) {
          swap = size[i]; size[i] = size[j]; size[j] = swap; swap = what[i]; what[i] = what[j]; what[j] = swap
        }
        text = text (i == 1 ? "; the largest: " : ", ") what[i] sprintf(" %.0f MB", size[i])
      }
      print text; fflush(); said = count
    }
    /^(Collecting|Requirement already satisfied:) / {
      word = name($1 == "Collecting" ? $2 : $4)
      if (!(word in seen)) { seen[word] = 1; count++ }
    }
    /^ *(Downloading|Using cached) .*\([0-9.]+ [MG]B\)/ {
      file = $1 == "Using" ? $3 : $2; sub(/.*\//, "", file); sub(/-[0-9].*/, "", file)
      megabytes = $(NF - 1); sub(/\(/, "", megabytes)
      if ($NF ~ /^G/) megabytes *= 1000
      what[++n] = file; size[n] = megabytes + 0
      if (size[n] >= 50) say()
    }
    /^Installing collected packages/ { say(); print "  all are here; unpacking them"; fflush() }
    count >= said + 25 { say() }'
}

# pip into a log, with its progress shown: `attempt [how many packages] -- what to install`. Says nothing if it fails.
attempt() {
  local total=
  [ "$1" = -- ] || { total=$1 && shift; }
  shift
  "$VENV/bin/python" -m pip install --no-input --disable-pip-version-check "$@" 2>&1 | tee -a "$log" | progress "$total"
}

# The same; if it fails, the end of the log is shown.
install() {
  attempt "$@" || { tail -n 15 "$log" >&2 && fail "pip failed; the whole log is $log"; }
}

step() { echo "setup: $* ($SECONDS s)"; }

# Pip's own torch may be the build for CUDA, which is gigabytes of no use here: so it is not taken unasked.
install_torch() {
  local pinned
  pinned=$(grep -oE '^torch==[0-9.]+' envs/requirements.txt)
  if ! wants_cpu; then
    step "torch"
    # shellcheck disable=SC2086  # an option, or nothing
    install -- $force -c envs/constraints.txt "$pinned"
    return
  fi
  step "torch, the CPU build"
  attempt -- -c envs/constraints.txt "$pinned+cpu" && return
  grep -qE 'No matching distribution found for torch|ResolutionImpossible' "$log" ||
    { tail -n 15 "$log" >&2 && fail "pip failed; the whole log is $log"; }
  echo "  not in the sources that pip has; looking at $CPU_INDEX"
  attempt -- --extra-index-url "$CPU_INDEX" -c envs/constraints.txt "$pinned+cpu" && return
  tail -n 5 "$log" >&2
  fail "no CPU build of $pinned can be had here (log: $log); to take the build that pip offers instead, most likely for CUDA" \
    "and about 5.5 GB: make setup TORCH=default"
}

digest() { (cat "${INPUTS[@]}" && echo "$TORCH $version") | cksum; }

# A Python that is named must be the environment's, so that another one is not accepted and ignored.
if [ "$PYTHON" = python3 ] && [ -e "$VENV/ready" ]; then
  version=$(minor_version "$VENV/bin/python") || version=broken
else
  check_python
fi
# A torch that was chosen once stays, until another one is asked for.
HAS=$(cat "$VENV/torch" 2>/dev/null || true)
TORCH=${GIVEN:-${HAS:-auto}}
case $TORCH in
auto | cpu | default) ;;
*) fail "TORCH=$TORCH is unknown; use auto, cpu or default" ;;
esac
# Make compares file times, which a clone or a branch switch changes; what counts is the content.
if [ -e "$VENV/ready" ] && [ "$(cat "$VENV/ready")" = "$(digest)" ]; then
  touch "$VENV/ready"
  exit 0
fi

check_python
# To pip, the CPU build of a version is as good as the other: it has to be told to put the one in the other's place.
force=
[ -x "$VENV/bin/python" ] && [ -n "$GIVEN" ] && [ "$GIVEN" != "$HAS" ] && force=--force-reinstall
make_venv
rm -f "$VENV/ready"
log=$VENV/setup.log
: >"$log"
install_torch
echo "$TORCH" >"$VENV/torch"
step "everything else"
install "$(if wants_cpu; then count_pins cpu; else count_pins; fi)" -- -c envs/constraints.txt -r envs/requirements.txt
step "baselines"
install -- --no-deps -r envs/requirements-nodeps.txt
step "this repository"
install -- --no-deps --no-build-isolation --editable .
"$VENV/bin/python" -c 'import torch, numpy
print(f"setup: torch {torch.__version__}, CUDA {torch.cuda.is_available()}, numpy {numpy.__version__}")'
version=$(minor_version "$VENV/bin/python")
digest >"$VENV/ready"
echo "setup: done in $SECONDS s"
