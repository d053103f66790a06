#!/usr/bin/env bash
# Make the Python environment, or bring it up to date. `make` calls it; alone: bash scripts/setup.sh
#   PYTHON  interpreter to build with (python3)       VENV  where the environment goes (.venv)
#   TORCH   auto | cpu | default: where torch comes from. "default" is what pip is configured for (on Linux that
#           is PyPI's build for CUDA, gigabytes), "cpu" also looks at PyTorch's own index of CPU builds, "auto"
#           does so only on Linux without an NVIDIA driver and where pip has no index configured. Not given: what the
#           environment was made with, else auto.
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

# Is pip told where to look? Then nothing is added to that.
has_index() {
  "$VENV/bin/python" -m pip config list 2>/dev/null | grep -qE '(index-url|find-links|no-index)' ||
    env | grep -qE '^PIP_(INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX)='
}

torch_source() {
  case $TORCH in
  cpu) echo "--extra-index-url $CPU_INDEX" ;;
  auto) [ "$(uname -s)" != Linux ] || command -v nvidia-smi >/dev/null || has_index || echo "--extra-index-url $CPU_INDEX" ;;
  esac
}

# pip, with the names shown as they come, the rest in a log, and the end of the log shown if it fails.
install() {
  echo "setup: $1 ($SECONDS s)"
  shift
  "$VENV/bin/python" -m pip install --no-input --disable-pip-version-check "$@" 2>&1 | tee -a "$log" |
    awk '/^Collecting / { sub(/[ (<>=!~;\[].*/, "", $2); column += length($2) + 1
                          if (column > 100) { printf "\n"; column = length($2) + 1 }
                          printf "%s ", $2; fflush() }
         END { if (column) printf "\n" }' ||
    { tail -n 15 "$log" >&2 && fail "pip failed; the whole log is $log"; }
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
# shellcheck disable=SC2046,SC2086  # two words, or none, on purpose
install "torch" $force $(torch_source) -c envs/constraints.txt "$(grep -oE '^torch==[0-9.]+' envs/requirements.txt)"
echo "$TORCH" >"$VENV/torch"
install "everything else" -c envs/constraints.txt -r envs/requirements.txt
install "baselines" --no-deps -r envs/requirements-nodeps.txt
install "this repository" --no-deps --no-build-isolation --editable .
"$VENV/bin/python" -c 'import torch, numpy
print(f"setup: torch {torch.__version__}, CUDA {torch.cuda.is_available()}, numpy {numpy.__version__}")'
version=$(minor_version "$VENV/bin/python")
digest >"$VENV/ready"
echo "setup: done in $SECONDS s"
