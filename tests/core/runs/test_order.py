"""Which execution of a run is the last one, whatever the clocks say; and nothing is lost without a word."""

from __future__ import annotations

import json

import pytest
from toy_results import ON_CPU, call, csv, execute

from shared.base import paths
from shared.runs import environment, ledger, records


def numbers(toy, arm="fast"):
    """For each seed of an arm the collected value of `final`."""
    lines = [line.split(",") for line in csv().read_text().splitlines()]
    return [float(line[6]) for line in lines if line[2] == arm and line[4] == "final"]


def refreshed(toy, capsys):
    """`run --refresh` of an arm whose code gives 1,000 more than before."""
    before = numbers(toy)
    toy.edit("experiment.py", "rows[-1].value", "rows[-1].value + 1000")
    capsys.readouterr()
    assert call("run", "toy/walk", "--tier", "lite", "--arm", "fast", "--refresh", *ON_CPU) == 0
    return before, numbers(toy)


@pytest.mark.parametrize("clock", ["2001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "", "zzz"])
def test_a_refresh_replaces_whatever_the_clock_says(recorded, capsys, monkeypatch, clock):
    monkeypatch.setattr(environment, "now", lambda: clock)
    before, after = refreshed(recorded, capsys)
    assert after == pytest.approx([value + 1000 for value in before])
    assert ledger.of("toy").stored(recorded.runs()[3].id).environment["execution"] == 2


@pytest.mark.parametrize("numbered", [True, False], ids=["numbered", "from before there were numbers"])
def test_a_record_from_the_year_9999_blocks_no_refresh(recorded, capsys, numbered):
    sidecar = paths.sidecar(csv())
    facts = json.loads(sidecar.read_text())
    for run in recorded.runs():
        facts[run.id]["finished"] = "9999-12-31T23:59:59.999Z"
        if not numbered:
            del facts[run.id]["execution"]
        own = records.stored(run.id)
        told = {key: value for key, value in facts[run.id].items() if key not in ("inputs", "rows")}
        records.save(records.Record(run.id, own.inputs, own.rows, told))
    sidecar.write_text(json.dumps(facts))
    before, after = refreshed(recorded, capsys)
    assert after == pytest.approx([value + 1000 for value in before])


def test_a_number_that_nobody_can_have_come_to_is_named(recorded, capsys):
    run = recorded.runs()[3]
    own = records.stored(run.id)
    records.save(records.Record(run.id, own.inputs, own.rows, {**own.environment, "execution": 2**62}))
    command = ("run", "toy/walk", "--tier", "lite", "--arm", "fast", "--seeds", "0", "--refresh", *ON_CPU)
    assert call(*command) != 0
    assert f"a record of {run.id} claims to be execution {2**62} of it" in capsys.readouterr().err


def test_of_two_refreshes_that_do_not_know_each_other_the_collected_one_is_kept(recorded):
    """Its number is the same; a clock would choose either."""
    first = recorded.runs()[0]
    file = records.stored_path(first.id)
    old = file.read_text()
    execute([first], refresh=True)
    ledger.of("toy").collect(recorded.experiment(), "lite")
    there = ledger.of("toy").record(first).environment["finished"]
    file.write_text(old)
    execute([first], refresh=True)
    value = json.loads(file.read_text())
    value["environment"] |= {"execution": 2, "finished": "9999"}
    file.write_text(json.dumps(value))
    assert ledger.of("toy").record(first).environment["finished"] == there


LITE = ("run", "toy/walk", "--tier", "lite", *ON_CPU)


def test_records_deleted_under_way_are_missed(toy, capsys):
    toy.edit(
        "experiment.py",
        "    trouble(settings.trouble, seeds, context)\n",
        "    for old in Path('.repro/runs').glob('*.json'):\n        old.unlink()\n",
    )
    toy.edit("experiment.py", 'os.environ["TOY_LOG"], "a"', f'"{toy.log}", "a"')
    done = toy.command(*LITE)
    assert done.returncode == 1
    assert "6 trained" in done.stdout
    said = "error: 5 of these runs are not in the results of toy/walk (lite): records or settings were"
    assert said in done.stderr
    assert len(csv().read_text().splitlines()) == 1 + 6


def test_settings_edited_under_way_are_noticed(toy):
    edit = "Path('pipelines/toy/experiments.yaml')"
    toy.edit(
        "experiment.py",
        "    trouble(settings.trouble, seeds, context)\n",
        f"    {edit}.write_text({edit}.read_text().replace('fast: {{rate: 2}}', 'fast: {{rate: 4}}'))\n",
    )
    done = toy.command(*LITE)
    assert done.returncode == 1
    assert "3 of these runs are not in the results of toy/walk (lite)" in done.stderr


@pytest.mark.parametrize("digest", [None, 7, [], "absent"])
def test_rows_without_a_digest_are_neither_taken_nor_signed(recorded, capsys, digest):
    """Whoever changes a value could take the digest away, too."""
    sidecar = paths.sidecar(csv())
    facts = json.loads(sidecar.read_text())
    run = recorded.runs()[0].id
    facts[run]["rows"] = digest
    if digest == "absent":
        del facts[run]["rows"]
    sidecar.write_text(json.dumps(facts))
    csv().write_text(csv().read_text().replace(",angle,7.5,1.0", ",angle,7.5,2.0", 1))
    records.stored_path(run).unlink()
    before = csv().read_text(), sidecar.read_text()
    assert call("check", "toy") == 1
    assert f"the rows of run {run} in" in capsys.readouterr().out
    assert call("collect", "toy/walk") == 2
    assert f"walk.env.json has no digest of the rows of run {run}" in capsys.readouterr().err
    assert (csv().read_text(), sidecar.read_text()) == before


@pytest.mark.parametrize("witness", ["git", "dvc.lock"])
def test_results_that_are_gone_altogether_are_missed(recorded, capsys, witness):
    import mini_paper

    if witness == "git":
        mini_paper.commit(recorded.root)
    else:
        text = "stages:\n  toy@walk:\n    outs:\n    - path: pipelines/toy/results/lite/walk.csv\n"
        (recorded.root / "dvc.lock").write_text(text)
    capsys.readouterr()
    assert call("check", "toy") == 0
    csv().unlink()
    paths.sidecar(csv()).unlink()
    assert call("check", "toy") == 1
    said = "pipelines/toy/results/lite/walk.csv was recorded and is gone; restore it and its sidecar from git"
    assert said in capsys.readouterr().out
