#!/usr/bin/env bash
# Make the Python environment, or bring it up to date. `make` calls it; alone: bash scripts/setup.sh
#   PYTHON  interpreter to build with (python3)       VENV  where the environment goes (.venv)
#   TORCH   auto | cpu | default: which torch. "default" is what pip takes by itself (on Linux the build for CUDA,
#           5.5 GB with its libraries), "cpu" the CPU build: from the sources that pip is configured for or, if
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
# (A loop of the shell, since some versions of awk wait for 4 kB before they look at a line.)
progress() {
  local line name file count=0 said=0 seen=" " sizes=""
  say() {
    said=$count
    [ "$count" = 1 ] && name=package || name=packages
    echo "  $count${1:+ of $1} $name$(printf '%b' "$sizes" | sort -rg |
      awk 'NR <= 3 { printf "%s%s %.0f MB", NR == 1 ? "; the largest: " : ", ", $2, $1 }')"
  }
  met() { # a package, by its name or its file
    name=${1%%[][ (<>=!~;]*} && name=${name##*/} && name=${name%%-[0-9]*} && name=${name//[_.]/-}
    [[ $seen == *" $name "* ]] || { seen="$seen$name " && count=$((count + 1)); }
  }
  while IFS= read -r line; do
    case $line in
    "Collecting "*) met "${line#Collecting }" ;;
    "Requirement already satisfied: "*) met "${line#Requirement already satisfied: }" ;;
    "Processing "*)
      file=${line#Processing } && file=${file%% (from *}
      met "$file"
      [ ! -f "$file" ] || sizes="$sizes$(wc -c <"$file")e-6 $name\n"
      ;;
    *Downloading*" "[MG]B\) | *"Using cached"*" "[MG]B\))
      file=${line%% (*} && met "${file##* }"
      file=${line##*(} && file=${file/ MB)/} && sizes="$sizes${file/ GB)/e3} $name\n"
      ;;
    "Installing collected packages"*) say "$1" && echo "  all are here; unpacking them" ;;
    esac
    [ "$count" -lt $((said + 25)) ] || say "$1"
  done
}

# pip into a log, with its progress shown: `attempt [how many packages] -- what to install`. Says nothing if it fails.
attempt() {
  local total=
  [ "$1" = -- ] || { total=$1 && shift; }
  shift
  "$VENV/bin/python" -m pip install --no-input --disable-pip-version-check "$@" 2>&1 | tee -a "$log" |
    progress "$total"
}

pip_failed() { tail -n 15 "$log" >&2 && fail "pip failed; the whole log is $log"; }

install() { attempt "$@" || pip_failed; }

step() { echo "setup: $* ($SECONDS s)"; }

# What pip says where no source has a package; with constraints it calls that a conflict.
not_found() { tail -n 15 "$log" | grep -qE 'No matching distribution found|ResolutionImpossible'; }

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
  not_found || pip_failed
  echo "  not in the sources that pip has; looking at $CPU_INDEX"
  attempt -- --extra-index-url "$CPU_INDEX" -c envs/constraints.txt "$pinned+cpu" && return
  not_found || pip_failed
  fail "no CPU build of $pinned is in pip's sources or can be had from PyTorch's index (log: $log); to take what pip" \
    "has instead, most likely the build for CUDA, about 5.5 GB: make setup TORCH=default"
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
