"""``--minutes``: what is begun, finished, kept and said when time is up."""

from __future__ import annotations

import time

from toy_results import arms_and_seeds, execute

from shared import devices, ledger


def test_no_minutes_no_batch(toy):
    outcome = execute(toy.runs(), minutes=0)
    assert outcome.left == toy.runs()[::3] + toy.runs()[1::3] + toy.runs()[2::3]
    assert toy.trained() == []


def test_minutes_take_what_fits(toy):
    outcome = execute(toy.runs(), minutes=10, estimate=lambda run: 20 * 60 if run.arm == "slow" else 1)
    assert arms_and_seeds(outcome.done) == [("fast", s) for s in (0, 1, 2)]
    assert arms_and_seeds(outcome.left) == [("slow", s) for s in (0, 1, 2)]


def test_a_training_that_runs_out_of_time_keeps_its_checkpoint(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: late}")
    outcome = execute(toy.runs(), minutes=10)
    assert arms_and_seeds(outcome.left) == [("fast", s) for s in (0, 1, 2)]
    assert len(outcome.done) == 3
    checkpoints = list((toy.root / ".repro" / "checkpoints").iterdir())
    assert [file.read_text() for file in checkpoints] == ["half way"] * 3


def late_after_the_first_seed(toy):
    """The toy's clock runs out as soon as a seed is done, and it returns what it has."""
    toy.edit(
        "experiment.py",
        "    return {seed: walk(settings, seed) for seed in seeds}",
        "    object.__setattr__(context, 'deadline', time.monotonic())\n"
        "    return {seed: walk(settings, seed) for seed in seeds[:1]}",
    )


def test_seeds_that_were_finished_when_time_was_up_are_recorded(toy):
    late_after_the_first_seed(toy)
    lines = []
    outcome = execute(toy.runs(), minutes=10, replicas=3, log=lines.append)
    assert arms_and_seeds(outcome.done) == [("fast", 0), ("slow", 0)]
    assert arms_and_seeds(outcome.left) == [(arm, seed) for arm in ("fast", "slow") for seed in (1, 2)]
    assert not outcome.failed
    assert lines[1] == "toy/walk/lite/slow/0: time is up, finished are the seeds 0"
    assert [ledger.of("toy").why_stale(run) for run in toy.runs()[:3]] == [[], ["missing"], ["missing"]]


def test_seeds_that_are_missing_before_the_time_is_up_are_a_fault(toy):
    late_after_the_first_seed(toy)
    toy.edit("experiment.py", "time.monotonic())\n", "time.monotonic() + 600)\n")
    outcome = execute(toy.runs()[:3], minutes=10, replicas=3)
    assert not outcome.done
    assert len(outcome.failed) == 3
    assert "the experiment returned the seeds [0]" in outcome.failed[0][1]


def test_what_is_said_when_time_is_up_is_true(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: late}")
    lines = []
    execute(toy.runs()[3:4], minutes=10, log=lines.append)
    assert lines[1] == "toy/walk fast seed 0: time is up, the checkpoint is kept"
    toy.edit(
        "experiment.py",
        '        context.checkpoint.write_text("half way")\n        raise Out',
        "        raise Out",
    )
    execute(toy.runs()[4:5], minutes=10, log=lines.append)
    assert lines[3] == "toy/walk fast seed 1: time is up, no seed was finished"


def test_waiting_for_a_gpu_is_part_of_the_time(toy, monkeypatch, tmp_path):
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(devices, "_held", {})
    monkeypatch.setenv("REPRO_GPUS", "0")
    held = devices.try_lock(tmp_path / "reproductions-gpu-0.lock")
    lines = []
    outcome = execute(toy.runs(), device="auto", minutes=0, log=lines.append)
    held.release()
    assert outcome.left == toy.runs()
    assert lines == ["waiting for a free GPU (of 0)", "time is up: no GPU has become free (of 0)"]

    def choose(wish, log, deadline):
        assert time.monotonic() >= deadline, "the clock was started before"
        return "cpu"

    monkeypatch.setattr(devices, "choose", choose)
    assert execute(toy.runs(), minutes=0).left
