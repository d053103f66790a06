"""Snakemake that is told to end, or killed, leaves no training behind; the next one goes on from there."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torture
from toy_checkout import REPOSITORY

from shared.base import paths

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("snakemake") is None, reason="needs Linux and Snakemake"
)
#: Waits for ever the first time, and says from where it goes on the second.
WAITS = """\
    go_on = (Path(os.environ["TOY_LOG"]).parent / "go_on").exists()
    if kind == "waits" and go_on and context.checkpoint.exists():
        context.log(f"resumed from {context.checkpoint.read_text()}")
    elif kind == "waits" and not go_on:
        context.checkpoint.write_text("half way")
"""


@pytest.fixture
def workflow(toy):
    """The toy with the repository's own Snakefile, and a training that waits."""
    for name in ("Snakefile", "scripts/logged.sh", "profiles/default/config.yaml", "envs/cpu.yaml"):
        (toy.root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, toy.root / name)
    (toy.root / "shared").symlink_to(REPOSITORY / "shared")
    toy.edit("experiment.py", '    if kind == "waits":\n', WAITS)
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: waits}")
    return toy


@pytest.fixture
def started():
    """The commands of a test; what is left of them is killed at its end, whatever came of it."""
    groups = []
    yield groups
    for each in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(each.pid, signal.SIGKILL)


def start(toy, started):
    command = ["snakemake", "--cores", "1", "experiments", "--config", "tier=lite", "only=toy/walk"]
    made = subprocess.Popen(
        command,
        cwd=toy.root,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    started.append(made)
    return made


def is_alive(number):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2][0] != "Z"
    return False


@torture.sizes(1, 5)
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_no_training_is_left_behind(workflow, started, tally, name, size):
    left = 0
    for _ in range(size):
        for folder in (".repro", ".snakemake"):
            shutil.rmtree(workflow.root / folder, ignore_errors=True)
        (workflow.root / "waiting").unlink(missing_ok=True)
        command = start(workflow, started)
        while not (workflow.root / "waiting").exists():
            assert command.poll() is None, command.communicate()
            time.sleep(0.05)
        training = int((workflow.root / "waiting").read_text())
        command.send_signal(getattr(signal, name))
        said = command.communicate(timeout=60)[0]
        assert command.returncode != 0, said
        if name == "SIGKILL":  # nobody waits for the training any more; it ends by itself
            for _ in range(100):
                if is_alive(training):
                    time.sleep(0.1)
        left += is_alive(training)
        assert (paths.store() / "checkpoints").exists()
        (kept,) = (paths.store() / "checkpoints").glob("*.pt")
        assert kept.read_text() == "half way"
    tally(f"Snakemake ended by {name}", size, "no training left behind, its checkpoint kept", left)
    if name == "SIGTERM":
        (workflow.root / "go_on").touch()
        again = start(workflow, started)
        said = again.communicate(timeout=120)[0]
        logs = "".join(file.read_text() for file in (workflow.root / "logs").glob("train_*.log"))
        assert "resumed from half way" in logs, said
