"""Results that were edited, cut or lost: not taken, not written over, restored from where they are whole."""

from __future__ import annotations

import json
import shutil

import pytest
from toy_results import execute, lines

from shared import runs
from shared.base import paths
from shared.base.errors import UserError
from shared.runs import ledger, records


def damage_an_edited_value(file, sidecar):
    file.write_text(file.read_text().replace(",angle,7.5,1.0", ",angle,7.5,2.25", 1))
    return "the rows of run .* in pipelines/toy/results/lite/walk.csv do not match its sidecar walk.env.json"


def damage_cut_inside_a_number(file, sidecar):
    file.write_text(file.read_text().rstrip("\n")[:-3])
    return "do not match its sidecar walk.env.json; restore both files from git"


def damage_cut_inside_a_run(file, sidecar):
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-3]))
    return "do not match its sidecar"


def damage_cut_between_runs(file, sidecar):
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-6]))
    return "do not match its sidecar"


def damage_lost_csv(file, sidecar):
    file.unlink()
    return "do not match its sidecar"


def damage_lost_sidecar(file, sidecar):
    sidecar.unlink()
    return "walk.csv holds run .*, but walk.env.json does not; restore both files from git"


def damage_lost_entry(file, sidecar):
    facts = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps(dict(list(facts.items())[1:])))
    return "walk.csv holds run .*, but walk.env.json does not"


DAMAGES = [value for name, value in globals().items() if name.startswith("damage_")]


def pair(tier="lite", name="walk"):
    return paths.collected("toy", name, tier), paths.sidecar(paths.collected("toy", name, tier))


def contents(toy):
    files = [*(toy.folder / "results").rglob("*.*"), *(toy.root / ".repro").rglob("*.json")]
    return {file: file.read_bytes() for file in files}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_results_are_neither_taken_nor_written(recorded, damage):
    shutil.rmtree(recorded.root / ".repro")
    message = damage(*pair())
    before = contents(recorded)
    with pytest.raises(UserError, match=message):
        ledger.of("toy").collect(recorded.experiment(), "lite")
    with pytest.raises(UserError, match=message):
        ledger.of("toy").verify(recorded.experiment(), "lite")
    with pytest.raises(UserError, match=message):
        ledger.of("toy").is_collected(recorded.experiment(), "lite")
    with pytest.raises(UserError, match=message):
        runs.read("toy", "walk", "lite")
    with pytest.raises(UserError, match=message):
        execute(recorded.runs())
    assert contents(recorded) == before
    assert len(recorded.trained()) == 6, "those of the fixture"


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_store_restores_damaged_results(recorded, damage):
    before = contents(recorded)
    damage(*pair())
    assert execute(recorded.runs()).done == []
    assert ledger.of("toy").collect(recorded.experiment(), "lite")
    assert contents(recorded) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_another_experiment_restores_damaged_results(recorded, damage):
    ledger.of("toy").collect(recorded.experiment("race"), "lite")
    shutil.rmtree(recorded.root / ".repro")
    before = contents(recorded)
    damage(*pair(name="race"))
    assert contents(recorded) != before
    assert ledger.of("toy").collect(recorded.experiment("race"), "lite")
    assert contents(recorded) == before


def test_an_older_record_in_the_store_does_not_replace_damaged_results(recorded):
    before = shutil.copytree(recorded.root / ".repro", recorded.root / "before")
    execute(recorded.runs(), refresh=True)
    ledger.of("toy").collect(recorded.experiment(), "lite")
    shutil.rmtree(recorded.root / ".repro")
    before.rename(recorded.root / ".repro")
    assert not ledger.of("toy").collect(recorded.experiment(), "lite"), "the collected ones are newer"
    for damage in (damage_an_edited_value, damage_lost_sidecar):
        damage(*pair())
        kept = contents(recorded)
        with pytest.raises(UserError, match="restore both files from git"):
            ledger.of("toy").collect(recorded.experiment(), "lite")
        assert contents(recorded) == kept


def test_a_newer_record_in_the_store_replaces_damaged_results(recorded):
    first = recorded.runs()[0]
    damage_an_edited_value(*pair())
    execute([first], refresh=True)
    assert ledger.of("toy").collect(recorded.experiment(), "lite")
    assert ledger.of("toy").committed("walk", "lite").damage == {}
    assert f"{first.id},walk,slow,0,angle,7.5,1.0" in lines(recorded)


def test_the_store_wins_over_an_edit_of_both_files(recorded):
    before = contents(recorded)
    file, sidecar = pair()
    damage_an_edited_value(file, sidecar)
    facts = json.loads(sidecar.read_text())
    run = recorded.runs()[0].id
    facts[run]["rows"] = records.rows_digest(ledger.of("toy").committed("walk", "lite").rows[run])
    sidecar.write_text(json.dumps(facts))
    assert ledger.of("toy").committed("walk", "lite").damage == {}
    assert ledger.of("toy").collect(recorded.experiment(), "lite")
    assert contents(recorded) == before


def test_collected_facts_stay_where_the_store_has_the_same_rows(recorded):
    sidecar = pair()[1]
    facts = json.loads(sidecar.read_text())
    facts[recorded.runs()[0].id]["fingerprint"] = "accepted elsewhere, and pulled"
    sidecar.write_text(json.dumps(facts, sort_keys=True, indent=1) + "\n")
    assert not ledger.of("toy").collect(recorded.experiment(), "lite")
    assert json.loads(sidecar.read_text()) == facts


def test_damaged_rows_of_earlier_settings_are_kept_too(recorded):
    recorded.declare("slow: {rate: 0.25}", "slow: {rate: 0.5}")
    shutil.rmtree(recorded.root / ".repro")
    damage_an_edited_value(*pair())
    before = contents(recorded)
    with pytest.raises(UserError, match="do not match its sidecar"):
        ledger.of("toy").collect(recorded.experiment(), "lite")
    assert contents(recorded) == before


def test_damaged_rows_of_what_is_no_longer_declared_go(recorded):
    recorded.declare("slow: {rate: 0.25}\n        ", "")
    shutil.rmtree(recorded.root / ".repro")
    damage_an_edited_value(*pair())
    assert ledger.of("toy").collect(recorded.experiment(), "lite")
    assert {line.split(",")[2] for line in lines(recorded)[1:]} == {"fast"}


def test_damaged_demo_results_are_to_be_deleted(toy):
    execute(toy.runs("demo"))
    ledger.of("toy").collect(toy.experiment(), "demo")
    file, sidecar = pair("demo")
    good = file.read_bytes()
    damage_an_edited_value(file, sidecar)
    shutil.rmtree(toy.root / ".repro" / "runs")
    advice = r"\.repro/results/toy/demo/walk.csv .*; delete both files; they are made again from \.repro/runs"
    with pytest.raises(UserError, match=advice):
        ledger.of("toy").collect(toy.experiment(), "demo")
    file.write_bytes(good + b"abc\n")
    run = toy.runs()[0]
    advice = r"^\.repro/results/toy/demo/walk.csv, line 22 is malformed; delete it; it is made again from"
    with pytest.raises(UserError, match=advice):
        ledger.of("toy").why_stale(run)
    file.unlink()
    sidecar.unlink()
    execute(toy.runs("demo"))
    assert ledger.of("toy").collect(toy.experiment(), "demo")
