"""``--minutes``: what is begun, finished, kept and said when time is up."""

from __future__ import annotations

import signal
import time

import pytest
from toy_results import arms_and_seeds, execute

from shared.runs import batches, devices, environment, ledger
from shared.runs.api import OutOfTime
from shared.runs.budget import Budget


def test_no_minutes_no_batch(toy):
    outcome = execute(toy.runs(), minutes=0)
    assert outcome.left == toy.runs()[::3] + toy.runs()[1::3] + toy.runs()[2::3]
    assert toy.trained() == []


def test_minutes_take_what_fits(toy):
    outcome = execute(toy.runs(), minutes=10, estimate=lambda run: 20 * 60 if run.arm == "slow" else None)
    assert arms_and_seeds(outcome.done) == [("fast", s) for s in (0, 1, 2)]
    assert arms_and_seeds(outcome.left) == [("slow", s) for s in (0, 1, 2)]


def test_what_fits_is_said_before_anything_is_begun(toy):
    lines, seconds = [], {"slow": 200.0, "fast": 150.0}

    def said(minutes, estimate=lambda run: seconds[run.arm], **options):
        lines.clear()
        execute(toy.runs(), minutes=minutes, estimate=estimate, log=lines.append, refresh=True, **options)
        return lines

    cheapest = "nothing fits into 2 minutes; the cheapest run, toy/walk fast"
    assert said(2) == [f"{cheapest}, needs about 2.5 minutes"]
    assert said(2, replicas=3) == [f"{cheapest} with 3 seeds at once, needs about 7.5 minutes"]
    assert said(0, lambda run: None) == ["nothing fits into 0 minutes"]
    assert toy.trained() == []
    assert not (toy.root / ".repro").exists()
    assert said(6)[0] == "about 2 of 6 runs fit into 6 minutes, by the costs that `list` shows"
    assert said(3, lambda run: seconds[run.arm] if run.arm == "slow" else None)[0] == (
        "nobody has measured 3 of these runs: they are begun until 3 minutes are over"
    )


def test_what_is_measured_here_counts_more_than_what_was_elsewhere(toy):
    """The records say 40 s for a fast run and 10 s for a slow one; here the first slow one took 100 s."""
    slow, fast = toy.runs()[0], toy.runs()[3]
    elsewhere = {"slow": 10.0, "fast": 40.0}
    budget = Budget(5, time.monotonic(), lambda run: elsewhere[run.arm])
    assert (budget.seconds(slow), budget.seconds(fast)) == (10, 40)
    assert budget.fits([fast])
    budget.learn(slow, 100.0)
    assert (budget.seconds(toy.runs()[1]), budget.seconds(fast)) == (100, 400)
    assert not budget.fits([fast])
    unknown = Budget(5, time.monotonic(), lambda run: None)
    assert unknown.seconds(slow) is None
    unknown.learn(slow, 100.0)
    assert unknown.seconds(fast) == 100


def test_runs_are_begun_by_what_was_measured_in_this_process(toy, monkeypatch):
    """Slow ones take ten times what was expected, so a fast one is expected to take 400 s, too."""
    wall_times(monkeypatch, 100.0, 100.0, 100.0)
    outcome = execute(toy.runs(), minutes=5, estimate=lambda run: 10.0 if run.arm == "slow" else 40.0)
    assert outcome.done == toy.runs()[:3]
    assert outcome.left == toy.runs()[3:]


def test_the_time_before_the_first_run_counts(toy):
    assert execute(toy.runs(), minutes=10, began=time.monotonic() - 601).left == [
        *toy.runs()[::3],
        *toy.runs()[1::3],
        *toy.runs()[2::3],
    ]


@pytest.mark.parametrize("kind", ["endless", "swallows"])
def test_an_experiment_that_does_not_look_at_the_clock_is_stopped(toy, kind):
    """In an epoch of minutes, say; also where the code takes the interruption for an error of its own."""
    toy.edit("experiment.py", "def trouble(kind, seeds, context):\n", ENDLESS)
    toy.declare("fast: {rate: 2}", f"fast: {{rate: 2, trouble: {kind}}}")
    lines, handler = [], signal.getsignal(signal.SIGALRM)
    outcome = execute(toy.runs()[3:4], minutes=10, log=lines.append)
    assert (outcome.left, outcome.done, outcome.failed) == (toy.runs()[3:4], [], [])
    assert lines[-1] == "toy/walk fast seed 0: time is up, the checkpoint is kept"
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


ENDLESS = """\
def trouble(kind, seeds, context):
    if kind in ("endless", "swallows"):
        context.checkpoint.write_text("half way")
        try:
            if 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 600:
                os.kill(os.getpid(), signal.SIGALRM)  # what comes when time is up
            raise AssertionError("it goes on")
        except Exception as error:
            raise (UserError("the data is damaged") if kind == "swallows" else error)
"""


def test_time_is_not_up_for_what_follows(toy):
    """The clock that stops an experiment does not run on while results are written."""
    before, budget = signal.getsignal(signal.SIGALRM), Budget(0.05 / 60, time.monotonic(), lambda run: None)
    with pytest.raises(OutOfTime), budget.kept():
        time.sleep(5)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_the_time_of_a_resumed_run_is_not_taken_for_that_of_a_whole_one(toy, monkeypatch):
    run = toy.runs()[0]
    place = batches.checkpoint([run], "cpu", "float32")
    place.parent.mkdir(parents=True)
    place.write_text("half way")
    wall_times(monkeypatch, 5.0, 100.0)
    execute(toy.runs()[:2])
    facts = [ledger.of("toy").record(run).environment for run in toy.runs()[:2]]
    assert [each.get("resumed", False) for each in facts] == [True, False]
    assert batches.measured_costs(toy.experiment(), "lite", "cpu")["slow"].seconds == 100


def wall_times(monkeypatch, *seconds):
    """Let the batches seem to take these times."""
    left = iter(seconds)
    monkeypatch.setattr(environment.Meter, "read", lambda meter: {"wall_s": next(left)})


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
    assert lines[2] == "toy/walk/lite/slow/0: time is up, finished are the seeds 0"
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
    assert lines[2] == "toy/walk fast seed 0: time is up, the checkpoint is kept"
    toy.edit(
        "experiment.py",
        '        context.checkpoint.write_text("half way")\n        raise Out',
        "        raise Out",
    )
    execute(toy.runs()[4:5], minutes=10, log=lines.append)
    assert lines[5] == "toy/walk fast seed 1: time is up, no seed was finished"


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
