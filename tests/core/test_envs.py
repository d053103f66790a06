"""Requirements, pins, conda files and the set-up script, which runs here with a pretended Python and pip."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
ENVS = ROOT / "envs"
PYTHONS = ("3.11", "3.12", "3.13")

#: Answers like a Python and a pip, and writes down what pip was told.
FAKE_PYTHON = """\
#!/bin/sh
case "$*" in
  "-c import sys"*) echo "${FAKE_VERSION:-3.11}" ;;
  "-c import re"*) echo 3 ;;
  "-c "*) echo "setup: versions" ;;
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip --version") ;;
  "-m pip install"*)
    echo "$*" >> "$FAKE_LOG"
    case "${FAKE_CPU:-in pips sources}: $*" in
      "at PyTorch: "*whl/cpu*+cpu) ;;
      "at PyTorch: "*+cpu | "nowhere: "*+cpu)
        echo "ERROR: No matching distribution found for torch"; exit 1 ;;
    esac
    cat "${FAKE_SAID:-/dev/null}"
    exit "${FAKE_CODE:-0}" ;;
  *) exit 3 ;;
esac
"""


def requirements(name: str, python: str) -> dict[str, Requirement]:
    """What a requirements file asks for on one version of Python, by name."""
    lines = (line.split(" #")[0].strip() for line in (ENVS / name).read_text().splitlines())
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    marker = {"python_version": python, "python_full_version": f"{python}.1"}
    return {r.name.lower().replace("_", "-"): r for r in wanted if not r.marker or r.marker.evaluate(marker)}


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_has_one_pin_that_fits(python):
    pins = requirements("constraints.txt", python)
    for name, wanted in requirements("requirements.txt", python).items():
        assert re.fullmatch(r"==[0-9.]+", str(pins[name].specifier)), name
        version = str(pins[name].specifier).removeprefix("==")
        assert version in wanted.specifier, name


def test_requirements_name_what_the_package_depends_on():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    wanted = requirements("requirements.txt", PYTHONS[0])
    assert {Requirement(line).name.lower() for line in declared} <= set(wanted)


@pytest.mark.parametrize("python", PYTHONS)
def test_baselines_only_where_their_wheels_are(python):
    wanted = requirements("requirements.txt", python)
    alone = requirements("requirements-nodeps.txt", python)
    assert str(wanted["torch"].specifier).startswith("==")
    if python == "3.13":
        assert not alone
        assert "e2cnn" not in wanted
        assert "2.0" in wanted["numpy"].specifier
    else:
        assert {"escnn", "lie-learn"} == set(alone)
        assert all(str(r.specifier).startswith("==") for r in alone.values())
        assert "e2cnn" in wanted
        assert "2.0" not in wanted["numpy"].specifier
    assert "py3nj" not in requirements("constraints.txt", python)


def test_important_pins_give_their_reason():
    pins = {}
    for line in (ENVS / "constraints.txt").read_text().splitlines():
        if "==" in line:
            name, _, reason = line.partition("  # ")
            pins.setdefault(name.partition("==")[0], []).append(reason)
    for name in ("torch", "numpy", "pandas", "snakemake", "dvc", "matplotlib", "e2cnn"):
        assert all(pins[name]), name
    assert len(set(pins["numpy"])) == len(pins["numpy"]) == 2


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_conda_files_install_the_same_pins(name):
    made = yaml.safe_load((ENVS / f"{name}.yaml").read_text())
    (pip,) = (entry["pip"] for entry in made["dependencies"] if isinstance(entry, dict))
    files = [option.split()[1] for option in pip if option.startswith(("-c", "-r"))]
    assert files == ["constraints.txt", "requirements.txt"]
    assert any("whl/cpu" in option for option in pip) == (name == "cpu")


class Setup:
    """A copy of what the set-up script reads, and a pretended Python to run it with."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "pip.log"
        for name in ("envs", "scripts"):
            shutil.copytree(ROOT / name, folder / name)
        shutil.copy(ROOT / "pyproject.toml", folder)
        self.python = folder / "bin" / "python3"
        self.python.parent.mkdir()
        self.python.write_text(FAKE_PYTHON)
        self.python.chmod(0o755)

    def run(self, code: int = 0, **variables: str) -> str:
        """Run the script; returns what it printed."""
        command = ["bash", str(self.folder / "scripts" / "setup.sh")]
        return self._call(command, code, {"TORCH": "default", **variables})

    def make(self, *arguments: str) -> str:
        """Run make there; returns what it printed."""
        return self._call(["make", "--no-print-directory", *arguments], 0, {})

    def _call(self, command: list[str], code: int, variables: dict[str, str]) -> str:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "MAKE", "TORCH"))}
        fixed = {"PATH": f"{self.python.parent}:/usr/bin:/bin", "FAKE_LOG": str(self.log), "VENV": "venv"}
        env = {**kept, **fixed, **variables}
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def pip(self) -> list[str]:
        """What pip was told since the last call, one line each."""
        told = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return told


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def test_torch_comes_first_and_escnn_without_its_dependencies(setup):
    setup.run()
    torch, everything, baselines, ours = setup.pip()
    assert re.search(r"-c envs/constraints.txt torch==[0-9.]+$", torch)
    assert "-c envs/constraints.txt -r envs/requirements.txt" in everything
    assert "--no-deps -r envs/requirements-nodeps.txt" in baselines
    assert "--no-deps" in ours
    assert ours.endswith("--editable .")


def test_set_up_again_only_when_a_file_has_another_content(setup):
    setup.run()
    setup.pip()
    os.utime(setup.folder / "envs" / "requirements.txt")
    assert setup.run() == ""
    assert setup.pip() == []
    with (setup.folder / "envs" / "requirements.txt").open("a") as file:
        file.write("# another line\n")
    setup.run()
    assert len(setup.pip()) == 4


def test_a_failed_installation_is_not_taken_for_a_finished_one(setup):
    said = setup.run(code=1, FAKE_CODE="1")
    assert "setup: pip failed; the whole log is venv/setup.log" in said
    setup.pip()
    setup.run()
    assert len(setup.pip()) == 4


NO_DRIVER = pytest.mark.skipif(
    bool(shutil.which("nvidia-smi", path="/usr/bin:/bin")) or Path("/proc/driver/nvidia").exists(),
    reason="this machine has an NVIDIA driver",
)


@NO_DRIVER
@pytest.mark.parametrize("torch", ["auto", "cpu"])
@pytest.mark.parametrize(("where", "tries"), [("in pips sources", 1), ("at PyTorch", 2)])
def test_without_a_driver_the_cpu_build_is_looked_for_in_pips_sources_and_then_at_pytorch(
    setup, torch, where, tries
):
    """Also where pip has an index of its own: that may have the build for CUDA only."""
    setup.run(TORCH=torch, FAKE_CPU=where, PIP_INDEX_URL="https://mirror.example/simple")
    told = setup.pip()
    assert len(told) == tries + 3
    assert ["whl/cpu" in line for line in told[:tries]] == [False, True][:tries]
    assert all(line.endswith("+cpu") for line in told[:tries])
    assert not any("whl/cpu" in line for line in told[tries:])


@NO_DRIVER
def test_without_a_driver_the_build_for_cuda_is_not_taken_unasked(setup):
    said = setup.run(code=1, TORCH="auto", FAKE_CPU="nowhere")
    assert "setup: no CPU build of torch==" in said
    assert "make setup TORCH=default" in said
    assert len(setup.pip()) == 2
    setup.run(TORCH="default", FAKE_CPU="nowhere")
    assert len(setup.pip()) == 4


def test_with_a_driver_pip_takes_what_it_takes(setup):
    setup.python.with_name("nvidia-smi").write_text("#!/bin/sh\n")
    setup.python.with_name("nvidia-smi").chmod(0o755)
    setup.run(TORCH="auto")
    torch = setup.pip()[0]
    assert "whl/cpu" not in torch
    assert not torch.endswith("+cpu")


@NO_DRIVER
def test_another_failure_is_not_taken_for_a_missing_build(setup):
    said = setup.run(code=1, TORCH="cpu", FAKE_CODE="1")
    assert "pip failed; the whole log is venv/setup.log" in said
    assert len(setup.pip()) == 1


def test_progress_says_how_many_and_which_are_large(setup):
    said = setup.folder / "said"
    said.write_text(
        "Collecting torch==2.13.0 (from -r requirements.txt)\n"
        "  Downloading torch-2.13.0%2Bcpu-cp311-cp311-linux_x86_64.whl.metadata (29 kB)\n"
        "Collecting scipy\n"
        "  Using cached scipy-1.17.0-cp311-linux_x86_64.whl (38.5 MB)\n"
        "Requirement already satisfied: numpy>=1.26 in ./lib (from torch) (1.26.4)\n"
        "Requirement already satisfied: numpy in ./lib (from scipy) (1.26.4)\n"
        "Downloading https://example.org/torch-2.13.0%2Bcpu-cp311-cp311-linux_x86_64.whl (1.2 GB)\n"
        "Installing collected packages: torch, scipy\n"
    )
    printed = setup.run(FAKE_SAID=str(said))
    everything = printed.partition("setup: everything else")[2].partition("setup: baselines")[0]
    assert "3 of 3 packages; the largest: torch 1200 MB, scipy 38 MB\n" in everything
    assert "Collecting" not in printed


def test_pins_are_counted_with_and_without_cuda():
    script = (ROOT / "scripts" / "setup.sh").read_text()
    code = re.search(r"-c '(import re, sys.*?)' \"\$@\"", script, re.DOTALL).group(1)
    ask = [sys.executable, "-c", code]
    every, cpu = (
        int(subprocess.run([*ask, *more], cwd=ROOT, capture_output=True, text=True, check=True).stdout)
        for more in ([], ["cpu"])
    )
    pins = requirements("constraints.txt", "{}.{}".format(*sys.version_info))
    assert every == len(pins)
    cuda = [name for name in pins if name.startswith(("nvidia-", "cuda-")) or name == "triton"]
    assert cpu == every - len(cuda)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"FAKE_VERSION": "3.9"}, "python3 is Python 3.9, but 3.11 or newer is needed"),
        ({"FAKE_VERSION": "2.7"}, "python3 is Python 2.7, but 3.11 or newer is needed"),
        ({"PYTHON": "python9"}, "python9 was not found"),
        ({"TORCH": "rocm"}, "TORCH=rocm is unknown; use auto, cpu or default"),
    ],
)
def test_what_cannot_work_is_one_sentence(setup, variables, said):
    printed = setup.run(code=1, **variables)
    assert said in printed
    assert not setup.pip()
    assert "line " not in printed


def test_another_python_does_not_silently_reuse_the_environment(setup):
    setup.run()
    other = setup.python.with_name("python3.13")
    other.write_text(FAKE_PYTHON.replace("FAKE_VERSION:-3.11", "OTHER_VERSION:-3.13"))
    other.chmod(0o755)
    said = setup.run(code=1, PYTHON="python3.13")
    assert "venv has Python 3.11, not 3.13; remove it (rm -r venv)" in said
    assert setup.run() == "", "the environment is as it was"
    same = setup.python.with_name("python3.11")
    same.write_text(FAKE_PYTHON)
    same.chmod(0o755)
    assert setup.run(PYTHON="python3.11") == ""


def test_another_torch_takes_the_place_of_the_one_that_is_there(setup):
    setup.run(TORCH="cpu")
    assert not any("--force-reinstall" in line for line in setup.pip())
    assert setup.run(TORCH="cpu") == setup.run(TORCH="") == ""
    assert setup.pip() == [], "a choice holds until there is another"
    setup.run(TORCH="default")
    torch, *others = setup.pip()
    assert "--force-reinstall" in torch
    assert not torch.endswith("+cpu")
    assert not any("--force-reinstall" in line for line in others)
    (setup.folder / "pyproject.toml").write_text("# changed\n")
    setup.run(TORCH="")
    torch, *_ = setup.pip()
    assert "--force-reinstall" not in torch
    assert not torch.endswith("+cpu"), "still the default"
    assert "TORCH=rocm is unknown" in setup.run(code=1, TORCH="rocm")


def test_a_torch_that_failed_to_install_is_tried_again(setup):
    setup.run(TORCH="cpu")
    setup.run(code=1, TORCH="default", FAKE_CODE="1")
    setup.pip()
    setup.run(TORCH="default")
    assert "--force-reinstall" in setup.pip()[0]


def test_make_setup_always_asks_and_other_targets_only_after_a_change(setup):
    shutil.copy(ROOT / "Makefile", setup.folder)
    setup.make("setup", "TORCH=cpu")
    assert len(setup.pip()) == 4
    assert setup.make("setup") == ""
    setup.make("setup", "TORCH=default")
    assert "--force-reinstall" in setup.pip()[0]
    assert "setup.sh" not in setup.make("--dry-run", "test")
    for named in ("TORCH=default", "PYTHON=python3"):
        assert "setup.sh" in setup.make("--dry-run", "test", named)
    (setup.folder / "venv" / "ready").unlink()
    assert "setup.sh" in setup.make("--dry-run", "test")
