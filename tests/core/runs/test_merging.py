"""Results from elsewhere."""

from __future__ import annotations

import json
import shutil

import pytest

from shared import runs
from shared.base import paths
from shared.base.errors import UserError
from shared.runs import Options, ledger, records


def execute(wanted, **options):
    return runs.execute(wanted, Options(device="cpu", threads=1, log=lambda line: None, **options))


@pytest.fixture
def elsewhere(toy, tmp_path):
    """Another checkout, in which seeds 1 and 2 were recorded; here it was seeds 0 and 1."""
    execute(runs_of(toy, 1, 2))
    ledger.of("toy").collect(toy.experiment(), "lite")
    other = shutil.copytree(toy.root, tmp_path / "elsewhere")
    shutil.rmtree(toy.root / ".repro")
    shutil.rmtree(toy.folder / "results")
    execute(runs_of(toy, 0, 1))
    ledger.of("toy").collect(toy.experiment(), "lite")
    return other


def runs_of(toy, *seeds):
    return toy.experiment().runs("lite", seeds=seeds)


def snapshot(toy):
    files = [*(toy.root / ".repro" / "runs").glob("*"), *(toy.folder / "results").rglob("*.*")]
    return {file: file.read_bytes() for file in files}


@pytest.mark.parametrize(
    "part",
    [
        "",
        ".repro/runs",
        ".repro",
        "pipelines",
        "pipelines/toy",
        *[f"pipelines/toy/results{part}" for part in ("", "/lite/walk.csv")],
    ],
)
def test_merge_takes_what_is_new(toy, elsewhere, part):
    merged = runs.merge(elsewhere / part)
    assert (merged.new, merged.known, merged.undeclared) == (2, 2, 0)
    assert all(ledger.of("toy").why_stale(run) == [] for run in toy.runs())
    assert len(paths.collected("toy", "walk", "lite").read_text().splitlines()) == 1 + 36
    again = runs.merge(elsewhere / part)
    assert (again.new, again.changed) == (0, [])


def test_merge_takes_a_single_record(toy, elsewhere):
    run = runs_of(toy, 2)[0]
    merged = runs.merge(elsewhere / ".repro" / "runs" / f"{run.id}.json")
    assert merged.new == 1
    assert ledger.of("toy").why_stale(run) == []
    assert merged.changed == ["toy/walk (lite)", "toy/race (lite)"], "a record does not say what it was for"


def test_merge_collects_what_was_begun_there_or_is_whole_here(toy, elsewhere):
    runs.execute(toy.experiment().runs("lite", seeds=[0]), Options(device="cpu", threads=1))
    assert runs.merge(elsewhere).changed == ["toy/walk (lite)", "toy/race (lite)"], "race has all its runs"
    shutil.rmtree(toy.root / ".repro")
    shutil.rmtree(toy.folder / "results")
    assert runs.merge(elsewhere).changed == ["toy/walk (lite)"], "two of three seeds of race"


def edit(file, change):
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def test_merge_refuses_a_contradiction_as_a_whole(toy, elsewhere):
    run = runs_of(toy, 1)[0]
    edit(
        elsewhere / ".repro" / "runs" / f"{run.id}.json", lambda record: record["rows"][0].__setitem__(2, 5.0)
    )
    before = snapshot(toy)
    with pytest.raises(UserError, match=rf"run {run.id} contradicts: position at step 0 is .* and 5.0"):
        runs.merge(elsewhere / ".repro")
    assert snapshot(toy) == before


def test_merge_lets_timings_differ(toy, elsewhere):
    run = runs_of(toy, 1)[0]
    edit(
        elsewhere / ".repro" / "runs" / f"{run.id}.json",
        lambda record: record["rows"][-1].__setitem__(2, 5.0),
    )
    assert runs.merge(elsewhere / ".repro").new == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record["inputs"].__setitem__("seed", 7), "does not follow from its inputs"),
        (lambda record: record["rows"][0].__setitem__(2, float("nan")), "NaN is not JSON"),
        (lambda record: record.pop("rows"), "not the record of a run"),
        (lambda record: record.__setitem__("rows", [["a"]]), "no row of metric, step and value"),
        (lambda record: record["rows"][0].__setitem__(1, float("inf")), "Infinity is not JSON"),
        (lambda record: record["rows"][0].__setitem__(1, 10**400), "no row of metric, step and value"),
        (lambda record: record["rows"][0].__setitem__(2, "1.5"), "no row of metric, step and value"),
        (lambda record: record["inputs"].__setitem__("extra", float("nan")), "NaN is not JSON"),
        (lambda record: record["environment"].__setitem__("mb", float("nan")), "NaN is not JSON"),
    ],
)
def test_merge_refuses_damaged_records(toy, elsewhere, change, message):
    run = runs_of(toy, 2)[0]
    edit(elsewhere / ".repro" / "runs" / f"{run.id}.json", change)
    before = snapshot(toy)
    with pytest.raises(UserError, match=message):
        runs.merge(elsewhere / ".repro")
    assert snapshot(toy) == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [*lines[:-1], lines[-1][:-3]],  # inside the last number
        lambda lines: lines[:-2],  # inside a run
        lambda lines: lines[:-6],  # between two runs
        lambda lines: [lines[0], lines[1].rpartition(",")[0] + ",5.0", *lines[2:]],
    ],
)
def test_merge_refuses_damaged_results(toy, elsewhere, damage):
    file = elsewhere / "pipelines" / "toy" / "results" / "lite" / "walk.csv"
    file.write_text("\n".join(damage(file.read_text().splitlines())))
    before = snapshot(toy)
    for source in (file, file.parent, elsewhere):
        with pytest.raises(
            UserError, match=r"walk.csv do not match its sidecar walk.env.json; copy both files"
        ):
            runs.merge(source)
    assert snapshot(toy) == before


def test_merge_refuses_results_without_their_sidecar(toy, elsewhere):
    file = elsewhere / "pipelines" / "toy" / "results" / "lite" / "walk.csv"
    file.with_name("walk.env.json").unlink()
    before = snapshot(toy)
    with pytest.raises(UserError, match=r"but walk.env.json does not; copy both files again from where"):
        runs.merge(file)
    assert snapshot(toy) == before


@pytest.mark.parametrize("seed", [0, 1])
def test_merge_stops_at_damaged_results_here(toy, elsewhere, seed):
    """Seed 1 is among the merged ones, seed 0 is not, but in the same file."""
    run = next(run for run in runs_of(toy, seed) if run.arm == "fast")
    file = paths.collected("toy", "walk", "lite")
    file.write_text(
        file.read_text().replace(f"{run.id},walk,fast,{seed},angle,7.5,1.0", "", 1).replace("\n\n", "\n")
    )
    stored = records.stored_path(run.id)
    kept = stored.read_bytes()
    stored.unlink()
    before = snapshot(toy)
    with pytest.raises(UserError, match=rf"the rows of run {run.id} in .* restore both files from git"):
        runs.merge(elsewhere)
    assert snapshot(toy) == before
    stored.write_bytes(kept)
    assert runs.merge(elsewhere).new == 2
    assert ledger.of("toy").committed("walk", "lite").damage == {}


def test_a_file_that_is_no_record_is_to_be_copied_anew(toy, elsewhere):
    record = next((elsewhere / ".repro" / "runs").glob("*.json"))
    record.write_text(record.read_text()[:100])
    for path in (record, elsewhere, toy.root / "dvc.yaml"):
        with pytest.raises(UserError, match=r"is no record of a run .*; copy it anew, or name another"):
            runs.merge(path)


def test_merge_of_nothing_is_a_mistake(toy, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no run records"):
        runs.merge(tmp_path / "empty")


def test_merged_runs_that_are_not_declared_wait_in_the_store(toy, elsewhere):
    toy.declare("seeds: 0-2}", "seeds: [0, 1]}")
    toy.declare("seeds: [0, 1, 2]", "seeds: [0, 1]")
    merged = runs.merge(elsewhere)
    assert (merged.new, merged.undeclared) == (2, 2)
    toy.declare("seeds: [0, 1]}\n    race", "seeds: 0-2}\n    race")
    assert all(ledger.of("toy").why_stale(run) == [] for run in toy.runs())
