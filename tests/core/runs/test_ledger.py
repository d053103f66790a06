"""What is known of runs, and the committed CSV: a pure function of the records, valid without the store."""

from __future__ import annotations

import json
import random
import shutil

import data_server
import pytest
import yaml
from toy_results import execute, lines

from shared import runs
from shared.base import paths
from shared.base.errors import UserError
from shared.runs import committed, fingerprint, ledger, records


def test_csv_has_the_declared_order(recorded):
    text = lines(recorded)
    assert text[0] == "run,experiment,arm,seed,metric,step,value"
    first = recorded.runs()[0]
    assert text[1].startswith(f"{first.id},walk,slow,0,position,0,")
    assert [line.split(",")[4:6] for line in text[1:7]] == [
        ["position", "0"],
        ["position", "1"],
        ["position", "2"],
        ["final", ""],
        ["angle", "7.5"],
        ["seconds", ""],
    ]
    assert [line.split(",")[2:4] for line in text[1::6]] == [[r.arm, str(r.seed)] for r in recorded.runs()]


def test_csv_does_not_depend_on_the_order_of_computing(toy):
    order = toy.runs()
    random.Random(0).shuffle(order)
    for run in order:
        execute([run])
        ledger.of("toy").collect(toy.experiment(), "lite")
    piecemeal = lines(toy)
    paths.collected("toy", "walk", "lite").unlink()
    ledger.of("toy").collect(toy.experiment(), "lite")
    assert lines(toy) == piecemeal


def test_collecting_again_writes_nothing(recorded):
    file = paths.collected("toy", "walk", "lite")
    before = file.stat().st_mtime_ns
    assert not ledger.of("toy").collect(recorded.experiment(), "lite")
    assert file.stat().st_mtime_ns == before
    assert ledger.of("toy").is_collected(recorded.experiment(), "lite")


def test_results_are_valid_without_the_store(recorded):
    text = lines(recorded)
    shutil.rmtree(recorded.root / ".repro")
    assert all(ledger.of("toy").why_stale(run) == [] for run in recorded.runs())
    assert execute(recorded.runs()).done == []
    assert not ledger.of("toy").collect(recorded.experiment(), "lite")
    assert lines(recorded) == text


def test_another_experiment_takes_over_shared_runs(recorded):
    shutil.rmtree(recorded.root / ".repro")
    race = recorded.experiment("race")
    assert not ledger.of("toy").is_collected(race, "lite")
    assert execute(race.runs("lite")).done == []
    ledger.of("toy").collect(race, "lite")
    assert [line.split(",")[6] for line in lines(recorded, "race")] == [
        line.split(",")[6] for line in lines(recorded)[:19]
    ]


def test_sidecar_is_sorted_and_complete(recorded):
    text = paths.sidecar(paths.collected("toy", "walk", "lite")).read_text()
    facts = json.loads(text)
    assert list(facts) == sorted(facts)
    assert text == json.dumps(facts, sort_keys=True, indent=1) + "\n"
    for run in recorded.runs():
        assert facts[run.id]["inputs"] == run.inputs
    assert runs.environments("toy", "walk", "lite") == facts


def test_rows_of_changed_settings_are_kept_but_not_read(recorded):
    recorded.declare("slow: {rate: 0.25}", "slow: {rate: 0.5}")
    assert not ledger.of("toy").collect(recorded.experiment(), "lite")
    assert set(runs.read("toy", "walk", "lite")["arm"]) == {"fast"}
    execute(recorded.runs("lite")[:1])
    ledger.of("toy").collect(recorded.experiment(), "lite")
    assert len(lines(recorded)) == 1 + 36
    frame = runs.read("toy", "walk", "lite")
    assert sorted(frame[frame["arm"] == "slow"]["seed"].unique()) == [0]


def test_two_arms_may_be_the_same_run(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 0.25}")
    slow, fast = (next(run for run in toy.runs() if run.arm == arm) for arm in ("slow", "fast"))
    assert slow.id == fast.id
    assert len(execute(toy.runs()).done) == 3
    ledger.of("toy").collect(toy.experiment(), "lite")
    shutil.rmtree(toy.root / ".repro")
    frame = runs.read("toy", "walk", "lite")
    values = {arm: rows["value"].tolist() for arm, rows in frame.groupby("arm")}
    assert values["slow"] == values["fast"]
    assert not frame.duplicated(["arm", "seed", "metric", "step"]).any()
    assert ledger.of("toy").committed("walk", "lite").problems == ()
    file = paths.collected("toy", "walk", "lite")
    file.write_text(file.read_text().replace("walk,fast,0,angle,7.5,1.0", "walk,fast,0,angle,7.5,2.0"))
    assert ledger.of("toy").committed("walk", "lite").problems == (
        f"run {slow.id} has other values in arm fast than in the arm before",
    )


def test_undeclared_rows_are_dropped(recorded):
    recorded.declare("seeds: 0-2}", "seeds: [0, 2]}")
    assert ledger.of("toy").collect(recorded.experiment(), "lite")
    assert sorted({line.split(",")[3] for line in lines(recorded)[1:]}) == ["0", "2"]


def test_nothing_to_collect_leaves_no_file(toy):
    assert not ledger.of("toy").collect(toy.experiment(), "lite")
    assert not paths.results("toy", "lite").exists()
    assert ledger.of("toy").is_collected(toy.experiment(), "lite")


def test_refreshed_rows_replace_the_collected_ones(recorded):
    before = lines(recorded)
    recorded.edit("experiment.py", "draw(0, settings.rate)", "1 + draw(0, settings.rate)")
    execute(recorded.runs()[:1], refresh=True)
    assert ledger.of("toy").collect(recorded.experiment(), "lite")
    changed = [old != new for old, new in zip(before, lines(recorded))]
    assert changed[1:5] == [True] * 4
    assert not any(changed[7:])
    assert ledger.of("toy").earlier_code("walk", "lite") == {run.id for run in recorded.runs()[1:]}


def test_demo_results_are_not_among_the_committed_files(toy):
    execute(toy.runs("demo"))
    ledger.of("toy").collect(toy.experiment(), "demo")
    assert paths.collected("toy", "walk", "demo").is_relative_to(toy.root / ".repro")
    assert not (toy.folder / "results").exists()


def test_frame_has_fixed_kinds(recorded):
    frame = runs.read("toy", "walk", "lite")
    assert list(frame.columns) == ["run", "experiment", "arm", "seed", "metric", "step", "value"]
    assert str(frame["seed"].dtype) == "int64"
    assert str(frame["step"].dtype) == str(frame["value"].dtype) == "float64"
    assert frame["step"].isna().sum() == 12
    assert all(isinstance(run, str) for run in frame["run"])
    empty = runs.read("toy", "walk", "demo")
    assert empty.empty
    assert [str(kind) for kind in empty.dtypes] == [str(kind) for kind in frame.dtypes]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("run,experiment", "Run,experiment"), "does not begin with"),
        (lambda text: text + "abc,walk,slow\n", "line 38 is malformed"),
        (lambda text: text.replace(",0,position,0,", ",0,position,zero,", 1), "line 2 is malformed"),
    ],
)
def test_a_damaged_csv_is_named(recorded, damage, message):
    file = paths.collected("toy", "walk", "lite")
    file.write_text(damage(file.read_text()))
    with pytest.raises(UserError, match=message):
        runs.read("toy", "walk", "lite")


def test_a_damaged_sidecar_is_named(recorded):
    paths.sidecar(paths.collected("toy", "walk", "lite")).write_text("<<<<<<< HEAD\n")
    with pytest.raises(UserError, match=r"walk.env.json is not valid JSON"):
        runs.read("toy", "walk", "lite")


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Names of the CSV files and of the records that are read from now on."""
    names: list[str] = []
    read, stored = committed.read_file, records.stored
    monkeypatch.setattr(committed, "read_file", lambda file: names.append(file.name) or read(file))
    monkeypatch.setattr(records, "stored", lambda run: names.append(run) or stored(run))
    return names


def test_each_file_is_read_once_and_again_when_it_changed(recorded, opened):
    race = recorded.experiment("race")
    ledger.of("toy").collect(race, "lite")
    opened.clear()
    for _ in range(2):
        for run in [*recorded.runs(), *race.runs("lite"), *recorded.runs("demo")]:
            ledger.of("toy").why_stale(run)
    assert opened == ["walk.csv", "race.csv"], "the records are known from collecting"
    sidecar = paths.sidecar(paths.collected("toy", "walk", "lite"))
    sidecar.write_text(sidecar.read_text().replace('"cpu"', '"CPU"'))
    assert "CPU" in {facts["device"] for facts in ledger.of("toy").environments("walk", "lite").values()}
    ledger.of("toy").why_stale(recorded.runs("demo")[0])
    assert opened == ["walk.csv", "race.csv", "walk.csv"]


def test_what_other_processes_do_is_seen(recorded):
    before = ledger.Ledger("toy")
    first, other = recorded.runs("demo")[0], recorded.runs("demo")[1]
    assert [before.why_stale(run) for run in (first, other)] == [["missing"], ["missing"]]
    only = ("--arm", first.arm, "--seeds", str(first.seed))
    recorded.command("run", "toy/walk", "--tier", "demo", *only, check=True)
    assert before.why_stale(first) == [], "a record in the store, at once"
    assert before.committed("walk", "demo").runs == {}, "collected files as they were"
    assert before.refresh().committed("walk", "demo").runs == {(first.arm, first.seed): first.id}
    assert before.why_stale(other) == ["missing"]
    shutil.rmtree(recorded.root / ".repro")
    assert before.refresh().why_stale(first) == ["missing"]


def test_a_record_written_anew_replaces_the_one_known(recorded):
    run, known = recorded.runs()[0], ledger.of("toy")
    assert known.stored(run.id).environment["device"] == "cpu"
    found = records.stored(run.id)
    records.save(records.Record(run.id, found.inputs, found.rows, {**found.environment, "device": "cuda"}))
    assert known.stored(run.id).environment["device"] == "cuda"
    records.stored_path(run.id).unlink()
    assert known.stored(run.id) is None


def test_a_folder_that_may_not_be_read_is_not_an_empty_one(recorded, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(committed.os, "scandir", refuse)
    with pytest.raises(PermissionError):
        ledger.of("toy").why_stale(recorded.runs()[0])


def test_ledgers_of_two_checkouts_are_two(recorded, tmp_path, monkeypatch):
    run = recorded.runs()[0]
    assert ledger.of("toy").why_stale(run) == []
    other = shutil.copytree(recorded.root, tmp_path / "other")
    shutil.rmtree(other / ".repro")
    shutil.rmtree(other / "pipelines" / "toy" / "results")
    monkeypatch.setenv("REPRO_ROOT", str(other))
    assert ledger.of("toy").why_stale(run) == ["missing"]


def snapshot(toy):
    files = [*(toy.root / ".repro" / "runs").glob("*"), *(toy.folder / "results").rglob("*.*")]
    return {file: file.read_bytes() for file in files}


def test_accept_keeps_results_with_the_reason_on_record(toy):
    execute(toy.runs())
    ledger.of("toy").collect(toy.experiment(), "lite")
    csv = paths.collected("toy", "walk", "lite").read_text()
    old = runs.environments("toy", "walk", "lite")[toy.runs()[0].id]["fingerprint"]
    toy.edit("experiment.py", "draw(0, settings.rate)", "draw(0.0, settings.rate)")
    assert len(ledger.of("toy").earlier_code("walk", "lite")) == 6
    assert ledger.of("toy").accept(toy.experiment(), "lite", " 0.0 is 0 ") == 6
    assert ledger.of("toy").earlier_code("walk", "lite") == set()
    facts = runs.environments("toy", "walk", "lite")[toy.runs()[0].id]
    (stamp,) = facts["accepted"]
    assert (stamp["from"], stamp["to"], stamp["why"]) == (old, facts["fingerprint"], "0.0 is 0")
    assert paths.collected("toy", "walk", "lite").read_text() == csv
    assert not ledger.of("toy").collect(toy.experiment(), "lite"), "the store knows of it, too"
    assert records.stored(toy.runs()[0].id).environment["fingerprint"] == facts["fingerprint"]
    assert ledger.of("toy").accept(toy.experiment(), "lite", "again") == 0


def test_accept_vouches_for_no_edited_rows(toy):
    execute(toy.runs())
    ledger.of("toy").collect(toy.experiment(), "lite")
    toy.edit("experiment.py", "draw(0, settings.rate)", "draw(0.0, settings.rate)")
    file = paths.collected("toy", "walk", "lite")
    file.write_text(file.read_text().replace(",angle,7.5,1.0", ",angle,7.5,2.25", 1))
    before = snapshot(toy)
    with pytest.raises(UserError, match="do not match its sidecar"):
        ledger.of("toy").accept(toy.experiment(), "lite", "0.0 is 0")
    assert snapshot(toy) == before


def test_accept_does_not_touch_results_of_other_settings(toy):
    execute(toy.runs())
    ledger.of("toy").collect(toy.experiment(), "lite")
    toy.declare("slow: {rate: 0.25}", "slow: {rate: 0.5}")
    toy.edit("experiment.py", "draw(0, settings.rate)", "draw(0.0, settings.rate)")
    assert ledger.of("toy").accept(toy.experiment(), "lite", "0.0 is 0") == 3
    with pytest.raises(UserError, match="say why"):
        ledger.of("toy").accept(toy.experiment(), "lite", "  ")


def test_readers_are_part_of_the_code_of_runs_that_read_such_data(toy, monkeypatch):
    entries = data_server.catalogue([data_server.NOWHERE])
    (toy.root / "datasets.yaml").write_text(yaml.safe_dump(entries))
    toy.edit("settings.py", "    steps", "    dataset: str = ''\n    steps")
    toy.declare("slow: {rate: 0.25}", "slow: {rate: 0.25, dataset: tiny}")
    code = {"": "the paper's", "tiny": "the paper's and a reader's"}
    monkeypatch.setattr(fingerprint, "fingerprint", lambda paper, data=(): code["".join(data)])
    for tier in ("lite", "demo"):
        assert len(execute(toy.runs(tier)).done) == len(toy.runs(tier))
        assert ledger.of("toy").collect(toy.experiment(), tier)
    assert ledger.of("toy").earlier_code("walk", "lite") == set()
    code["tiny"] = "a reader has changed"
    slow = {run.id for run in toy.runs() if run.arm == "slow"}
    assert ledger.of("toy").earlier_code("walk", "lite") == slow
    stale = [run.arm for run in toy.runs("demo") if ledger.of("toy").why_stale(run) == ["code"]]
    assert stale == [run.arm for run in toy.runs("demo") if run.arm == "slow"]
    assert ledger.of("toy").accept(toy.experiment(), "lite", "only how it reads") == len(slow)
    assert ledger.of("toy").earlier_code("walk", "lite") == set()
