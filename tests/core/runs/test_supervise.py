"""A training that kills its process: it fails alone, with a sentence, and all ends when it is told to end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

import pytest
from toy_results import ON_CPU, csv

from shared.runs import devices, records, supervise

LITE = ("run", "toy/walk", "--tier", "lite", *ON_CPU)
FORKS = hasattr(os, "fork")
pytestmark = pytest.mark.skipif(not FORKS, reason="needs a system where processes fork")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SIGSEGV", "a crash in native code: see docs/processors.md (traceback in .repro/logs/"),
        ("SIGBUS", "a crash in native code: see docs/processors.md (traceback in .repro/logs/"),
        ("SIGKILL", "most likely because memory ran out: use fewer --replicas, or fewer jobs at a time"),
    ],
)
def test_a_training_that_is_killed_fails_alone(toy, name, said):
    toy.declare("slow: {rate: 0.25}", f"slow: {{rate: 0.25, trouble: {name}}}")
    done = toy.command(*LITE)
    assert done.returncode == 1, done.stderr
    assert "6 runs: 5 trained, 0 valid already, 1 failed" in done.stdout
    assert done.stderr.count("\n") == 1
    number = getattr(signal, name)
    told = f"toy/walk slow seed 1: the training was ended by signal {number} ({signal.strsignal(number)}), "
    assert done.stderr.startswith(f"error: {told}{said}")
    assert done.stderr.endswith("; nothing was recorded\n")
    assert told in done.stdout, "when it happened, too"
    assert len(toy.trained()) == 6, "each run was tried once"
    assert len(csv().read_text().splitlines()) == 1 + 5 * 6
    if name != "SIGKILL":
        (log,) = (toy.root / ".repro/logs").iterdir()
        assert "pipelines/toy/experiment.py" in log.read_text()
    again = toy.command(*LITE)
    assert again.returncode == 0, again.stderr
    assert "resumed from half way" in again.stdout, "the checkpoint was kept"
    assert "1 trained, 5 valid already" in again.stdout


def test_of_seeds_that_died_together_the_one_that_did_it_fails(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: SIGSEGV}")
    specs = [run.spec for run in toy.runs()]
    done = toy.command("batch", *specs, "--replicas", "3", *ON_CPU)
    assert done.returncode == 1, done.stderr
    assert "toy/walk fast seed 0,1,2: the training was ended by signal 11" in done.stdout
    assert "error: toy/walk fast seed 1: the training was ended by signal 11" in done.stderr
    assert "6 runs: 5 trained, 0 valid already, 1 failed" in done.stdout
    assert len(csv().read_text().splitlines()) == 1 + 5 * 6


def test_every_run_may_die(toy):
    """Each costs one worker more, and none is tried twice; what failed before is not forgotten."""
    toy.edit("experiment.py", "and 1 in seeds:", "and True:")
    toy.declare("slow: {rate: 0.25}", "slow: {rate: 0.25, trouble: SIGSEGV}")
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: crash}")
    done = toy.command(*LITE)
    assert done.returncode == 1
    assert "6 runs: 0 trained, 0 valid already, 6 failed" in done.stdout
    assert done.stderr.count("ended by signal 11") == done.stderr.count("ZeroDivisionError") == 3
    assert len(toy.trained()) == 6


def test_what_was_trained_again_is_not_trained_a_third_time(toy):
    assert toy.command(*LITE).returncode == 0
    toy.edit("experiment.py", "    trouble(settings.trouble", "    trouble('SIGSEGV'")
    toy.log.unlink()
    done = toy.command(*LITE, "--refresh")
    assert "6 runs: 4 trained, 0 valid already, 2 failed" in done.stdout
    assert len(toy.trained()) == 6


def test_the_time_limit_is_that_of_all_workers_together(monkeypatch):
    assert supervise.left_of(10) == 10
    monkeypatch.setattr(supervise, "history", supervise.History(number=11, started=time.monotonic() - 240))
    assert supervise.left_of(10) == pytest.approx(6, abs=0.5)
    assert supervise.left_of(1) == 0
    assert supervise.left_of(None) is None


def test_a_line_that_was_cut_off_is_left_out():
    history = supervise.History()
    history.read('{"done": ["a"], "failed": [["b", "it broke"]], "running": ["c", "d"]}\n{"done": ["c')
    assert history.settled == {"done": ["a"], "valid": [], "failed": [["b", "it broke"]]}
    assert history.apart == history.running == ["c", "d"]


def test_a_death_outside_of_a_training_ends_the_command(toy):
    with (toy.folder / "settings.py").open("a") as settings:
        settings.write("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    done = toy.command(*LITE)
    assert done.returncode == 1
    assert done.stderr == (
        "error: signal 11 ended the process outside of a training; "
        "the same command goes on with what is left\n"
    )


def test_debug_is_one_process(toy):
    toy.declare("slow: {rate: 0.25}", "slow: {rate: 0.25, trouble: SIGSEGV}")
    assert toy.command(*LITE, "--debug").returncode == -signal.SIGSEGV


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("group", [False, True], ids=["process", "group"])
def test_a_signal_to_end_reaches_the_training_once(toy, name, code, group):
    """To the process that waits (`kill`), or to all at once (Ctrl-C in a terminal, SLURM)."""
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: waits}")
    started = _waiting(toy)
    (os.killpg if group else os.kill)(started.pid, getattr(signal, name))
    err = _ended(started)
    assert started.returncode == code, err
    assert err.startswith("interrupted; what was finished is recorded")
    assert err.count("\n") == 1
    assert len(csv().read_text().splitlines()) == 1 + 6, "what was finished is collected"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_the_training_dies_with_the_command(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: waits}")
    started = _waiting(toy)
    (run,) = [run for run in toy.runs() if (run.arm, run.seed) == ("fast", 0)]
    assert devices.try_lock(records.lock_path(run.id)) is None
    started.kill()
    _ended(started)
    assert devices.try_lock(records.lock_path(run.id)) is not None


def _waiting(toy):
    """A command whose first run is done and whose second one waits for a signal."""
    started = toy.start(*LITE)
    while not (toy.root / "waiting").exists():
        assert started.poll() is None, started.communicate()
        time.sleep(0.01)
    return started


def _ended(started):
    """What the command says on stderr, once no process holds its pipes any more."""
    try:
        return started.communicate(timeout=60)[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
