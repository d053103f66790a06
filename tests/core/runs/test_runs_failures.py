"""Failures of some seeds, of all, and of everything for one reason: what is kept, tried again and said."""

from __future__ import annotations

import errno

import pytest
from toy_results import ON_CPU, arms_and_seeds, call, execute

from shared.runs import ledger, records


@pytest.mark.parametrize("kind", ["nan", "diverged"])
def test_one_bad_seed_fails_alone(toy, kind):
    toy.declare("fast: {rate: 2}", f"fast: {{rate: 2, trouble: {kind}}}")
    outcome = execute(toy.runs(), replicas=3)
    assert arms_and_seeds(run for run, _ in outcome.failed) == [("fast", 1)]
    assert len(outcome.done) == 5
    assert ledger.of("toy").why_stale(outcome.failed[0][0]) == ["missing"]
    assert "\n" not in outcome.failed[0][1]


def test_what_was_trained_is_kept_when_a_value_is_not_finite(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: nan}")
    call = "trouble(settings.trouble, seeds, context)"
    toy.edit("experiment.py", f"    {call}", "    context.checkpoint.write_text('trained')")
    outcome = execute(toy.runs())
    kept = [
        file for file in (toy.root / ".repro").rglob("*") if file.is_file() and file.read_text() == "trained"
    ]
    assert len(kept) == len(outcome.failed) == 1
    said = "final is nan, so nothing was recorded; look at what measures it in experiment.py"
    assert outcome.failed[0][1] == f"toy/walk/lite/fast/1: {said}"


def test_a_failure_leaves_the_earlier_record(toy):
    execute(toy.runs())
    run = toy.runs()[1]
    before = records.stored_path(run.id).read_bytes()
    toy.edit(
        "experiment.py", "def trouble(kind, seeds, context):", "def trouble(kind, seeds, context):\n    1 / 0"
    )
    outcome = execute([run], refresh=True)
    sentence = outcome.failed[0][1]
    assert "ZeroDivisionError: division by zero" in sentence
    assert "nothing was recorded" in sentence
    assert records.stored_path(run.id).read_bytes() == before
    log = toy.root / sentence.partition("traceback in ")[2].partition(")")[0]
    assert "1 / 0" in log.read_text()


def test_out_of_memory_halves_the_batch(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: memory}")
    outcome = execute(toy.runs(), replicas=3)
    assert len(outcome.done) == 6
    assert {records.stored(r.id).environment["replicas"] for r in toy.runs() if r.arm == "fast"} == {1}


def test_a_crash_of_one_seed_does_not_take_the_others(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: crash}")
    outcome = execute(toy.runs(), replicas=3)
    assert arms_and_seeds(run for run, _ in outcome.failed) == [("fast", 1)]
    assert len(outcome.done) == 5


def test_a_mistake_of_the_user_fails_the_batch_at_once(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: data}")
    outcome = execute(toy.runs(), replicas=3)
    assert arms_and_seeds(run for run, _ in outcome.failed) == [("fast", s) for s in (0, 1, 2)]
    assert "the data set is not there" in outcome.failed[0][1]
    assert len(outcome.done) == 3


def test_a_reason_that_many_runs_fail_for_is_told_once(toy):
    toy.declare("slow: {rate: 0.25}", "slow: {rate: 0.25, trouble: data}")
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: data}")
    lines = []
    outcome = execute(toy.runs(), replicas=1, log=lines.append)
    assert len(outcome.failed) == 6
    (sentence,) = {sentence for _, sentence in outcome.failed}
    assert sentence.endswith("seed 0: the data set is not there")
    assert lines.count(sentence) == sum("the data set is not there" in line for line in lines) == 1
    assert sum(line.endswith(": failed for the same reason") for line in lines) == 5


def test_reasons_that_differ_by_run_are_told_for_each(toy):
    toy.declare("slow: {rate: 0.25}", "slow: {rate: 0.25, trouble: diverged}")
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: diverged}")
    outcome = execute(toy.runs(), replicas=1)
    told = [sentence.split(":")[0] for _, sentence in outcome.failed]
    assert sorted(told) == ["toy/walk fast seed 1", "toy/walk slow seed 1"]


def no_space(*arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_without_room_for_records_nothing_is_trained(toy):
    (toy.root / ".repro").mkdir()
    (toy.root / ".repro/runs").write_text("a file, where the folder of records should be")
    with pytest.raises(records.Unwritable, match=r"\.repro/runs cannot be written .* no further run"):
        execute(toy.runs())
    assert toy.trained() == []


def test_the_first_record_that_cannot_be_written_stops_all(toy, monkeypatch):
    """The disk is full now, for the other seeds and arms, too; to train them, or these again, is in vain."""
    monkeypatch.setattr(records, "save", no_space)
    with pytest.raises(records.Unwritable, match=r"cannot be written .No space left on device.*same command"):
        execute(toy.runs(), replicas=3)
    assert toy.trained() == ["0.25 0", "0.25 1", "0.25 2"]


def test_a_checkpoint_that_cannot_be_written_stops_all(toy):
    """It comes out of the training, but is no fault of its seeds."""
    said = 'raise OSError(28, "No space left on device", str(context.checkpoint))'
    toy.edit("experiment.py", "    trouble(settings.trouble, seeds, context)", f"    {said}")
    with pytest.raises(records.Unwritable, match=r"\.repro/checkpoints/.*pt cannot be written"):
        execute(toy.runs(), replicas=3)
    assert toy.trained() == ["0.25 0", "0.25 1", "0.25 2"]


def test_a_full_disk_ends_the_command_with_one_sentence(toy, capsys, monkeypatch):
    monkeypatch.setattr(records, "save", no_space)
    assert call("run", "toy/walk", "--tier", "lite", *ON_CPU) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: .repro cannot be written (No space left on device)")
    assert err.count("\n") == 1


def test_debug_lets_errors_through(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: crash}")
    with pytest.raises(ZeroDivisionError):
        execute(toy.runs(), replicas=3, debug=True)
