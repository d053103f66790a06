"""``check``: every kind of damage is found, and nothing else is."""

from __future__ import annotations

import json
import re

import pytest
from toy_results import ON_CPU, call, csv

from shared.base import paths
from shared.base.errors import UserError
from shared.workflow import orchestrate


def check(capsys, *arguments):
    capsys.readouterr()
    code = call("check", *arguments)
    return code, capsys.readouterr().out.splitlines()


def test_check_finds_nothing_wrong(toy, capsys):
    assert check(capsys) == (0, ["checked toy: in order"])
    call("run", "--tier", "lite", *ON_CPU)
    assert check(capsys) == (0, ["checked toy: in order"])


def test_check_of_named_targets(toy, capsys):
    for arguments in (("toy",), ("toy/walk", "toy/race")):
        assert check(capsys, *arguments) == (0, ["checked toy: in order"])
    assert call("check", "walk", paper="toy") == 0
    assert call("check", "wlak", paper="toy") == 2
    assert "did you mean 'walk'" in capsys.readouterr().err
    toy.declare("revision: 1", "revision: 0")
    code, (line, _) = check(capsys, "toy")
    assert code == 1
    assert line.startswith("wrong: pipelines/toy/experiments.yaml, line 4: revision")


def test_check_warns_of_missing_runs_and_earlier_code(toy, capsys):
    call("run", "toy/walk", "--tier", "lite", "--arm", "fast", *ON_CPU)
    toy.edit("experiment.py", "7.5", "8.5")
    code, lines = check(capsys)
    assert code == 0
    assert [line.partition(":")[0] for line in lines] == ["warning", "warning", "checked toy"]
    assert "3 of 6 runs are not recorded" in lines[0]
    assert "3 runs are from earlier code" in lines[1]
    assert check(capsys, "--strict-code")[0] == 1


def damage_settings(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 3}")
    return "fast with seed 0 is stale (settings.rate: 2.0 -> 3.0)"


def damage_value(toy):
    text = csv().read_text()
    csv().write_text(text.replace(",angle,7.5,1.0", ",angle,7.5,2.0", 1))
    return "do not match its sidecar walk.env.json; `python -m pipelines collect` writes both files anew"


def damage_seed(toy):
    toy.declare("seeds: 0-2}", "seeds: [0, 1]}")
    return "slow with seed 2 is left over"


def damage_duplicate(toy):
    lines = csv().read_text().splitlines(keepends=True)
    csv().write_text("".join([*lines, lines[1]]))
    return "has two values for one metric and step"


def damage_sidecar(toy):
    file = paths.sidecar(paths.collected("toy", "walk", "lite"))
    facts = json.loads(file.read_text())
    run = toy.runs()[0].id
    del facts[run]
    file.write_text(json.dumps(facts))
    return f"the rows of run {run} in pipelines/toy/results/lite/walk.csv do not match its sidecar"


def damage_digest(toy):
    file = paths.sidecar(paths.collected("toy", "walk", "lite"))
    facts = json.loads(file.read_text())
    run = toy.runs()[0].id
    del facts[run]["rows"]
    file.write_text(json.dumps(facts))
    return f"the rows of run {run} in pipelines/toy/results/lite/walk.csv do not match its sidecar"


def damage_shared_run(toy):
    run = toy.runs("lite", "race")[0]
    lines = csv(name="race").read_text().splitlines()
    lines[1] = ",".join([*lines[1].split(",")[:-1], "9.0"])
    csv(name="race").write_text("\n".join(lines) + "\n")
    return f"run {run.id} differs between walk (lite) and race (lite)"


def damage_name(toy):
    csv().rename(csv(name="wlak"))
    return "belongs to no declared experiment"


def damage_arms(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 0.25}")
    return "the arms slow and fast have the same settings"


def damage_yaml(toy):
    toy.declare("steps: 3}\n      arms:\n", "stepz: 3}\n      arms:\n")
    return "unknown setting 'stepz'"


def damage_deviations(toy):
    (toy.folder / "deviations.csv").unlink()
    return "deviations.csv does not exist"


def damage_captions(toy):
    (toy.folder / "captions.md").write_text("## tabel1: {said}\n\n### said\n\nWords.\n")
    return "captions.md has words for 'tabel1', which nothing asks for"


def damage_produces(toy):
    toy.declare("produces: [table1]", "produces: [table1, figure9]")
    return "produces 'figure9'"


def damage_tables(toy):
    toy.declare("  tables: [table1]", "  tables: [table2]")
    return "names other tables than tables.py makes (see to table1 and table2); write there: tables: [table1]"


def damage_figures(toy):
    toy.declare("  tables: [table1]", "  tables: [table1]\n  figures: [figure1]")
    return "names other figures than figures.py makes (see to figure1); write there: figures: []"


def damage_no_tables(toy):
    toy.declare("  tables: [table1]", "")
    return "experiments.yaml names no tables; write there: tables: [table1]"


def damage_stage(toy):
    (toy.root / "dvc.yaml").write_text("stages: {}\n")
    return "dvc.yaml has no stage toy"


def damage_stage_entry(toy):
    file = toy.root / "dvc.yaml"
    file.write_text(file.read_text().replace("walk: lite", "walk: demo"))
    return "recorded.toy should name a tier of walk: lite"


def test_check_does_not_ask_for_a_stage_before_there_are_results(toy, capsys):
    file = toy.root / "dvc.yaml"
    file.write_text(file.read_text().replace("race: lite", "").replace(", }", "}"))
    assert "race" not in file.read_text().partition("recorded")[2].partition("stages")[0]
    assert check(capsys) == (0, ["checked toy: in order"])
    call("run", "toy/race", "--tier", "lite", *ON_CPU)
    code, lines = check(capsys)
    assert code == 1
    assert "wrong: dvc.yaml: recorded.toy should name a tier of race: lite" in lines


def damage_results_folder(toy):
    (toy.folder / "results" / "demo").mkdir()
    return "pipelines/toy/results/demo is none of lite, paper"


#: Edits of a file of the paper and what is said of them: file, old text, new text, sentence.
EDITS = {
    "paper csv": ("paper.csv", "0.1", "a lot", "paper.csv, line 2"),
    "source": ("paper.csv", "Table 1,", ",", "read_from"),
    "deviation": (
        "deviations.csv",
        "none,\n",
        "none,table1 tabel*\n",
        "names the table 'tabel*', but tables.py makes only",
    ),
    "unused number": (
        "paper.csv",
        "table1,slow,final",
        "table1,slow,finale",
        "no table shows the number for table1/slow/finale",
    ),
    "code": (
        "experiment.py",
        "import os",
        "import os(",
        "pipelines.toy.experiment has a syntax error in line 3",
    ),
    "table code": (
        "tables.py",
        'for arm in ("slow", "fast")',
        'for arm in {}["arms"]',
        "pipelines/toy/tables.py, line 6: KeyError: 'arms' (--debug shows the traceback)",
    ),
    "table import": (
        "tables.py",
        "import Results",
        "import Resultz",
        "pipelines/toy/tables.py, line 2: ImportError: cannot import name 'Resultz'",
    ),
    "nothing returned": (
        "tables.py",
        "return [Table(",
        "[Table(",
        "tables.py: tables() should return a list, not None",
    ),
    "two tables": ("tables.py", "rows)]", "rows)] * 2", "makes 2 tables called 'table1'"),
    "arm": ("tables.py", '("slow", "fast")', '("slow", "fats")', "unknown arm 'fats'; did you mean 'fast'"),
    "settings code": (
        "settings.py",
        "    trouble",
        "    def __post_init__(self):\n        self.nothing\n    trouble",
        "settings.py, line 9: AttributeError",
    ),
}
#: The same of dvc.yaml.
STAGE_EDITS = {
    "stage of another": (
        "pipelines.toy run",
        "pipelines.lconv run",
        "should not have `do: cmd: python -m pipelines.lconv run ${key} --tier ${item}`",
    ),
    "stage command": (
        "toy run",
        "toy rum",
        "lacks `do: cmd: python -m pipelines.toy run ${key} --tier ${item}`",
    ),
    "stage params": (
        "            - toy.revision\n",
        "",
        "lacks `do: params: pipelines/toy/experiments.yaml: toy.revision`",
    ),
    "stage deps": ("toy/settings.py", "toy/data.py", "lacks `do: deps: pipelines/toy/settings.py`"),
    "stage cache": (
        "            cache: false\n",
        "",
        "lacks `do: outs: pipelines/toy/results/${item}/${key}.csv: cache: false`",
    ),
    "stage over another": ("${recorded.toy}", "${recorded.lconv}", "lacks `foreach: ${recorded.toy}`"),
    "stage without do": ("    do:\n", "    dont:\n", "should have the keys foreach and do"),
    "stage frozen": ("      cmd:", "      frozen: true\n      cmd:", "should not have `do: frozen: true`"),
    "stage recorded": ("{walk: lite, race: lite}", "", "write `toy: {}`"),
    "stage experiment": (
        "{walk: lite",
        "{wlak: lite",
        "dvc.yaml, line 3: recorded.toy: unknown experiment 'wlak'",
    ),
    "stage tier": (
        "{walk: lite",
        "{walk: leit",
        "dvc.yaml, line 3: recorded.toy should name a tier of walk: lite, not 'leit'",
    ),
    "stage paper": (
        "toy: {walk",
        "toi: {walk",
        "dvc.yaml, line 3: recorded: unknown paper 'toi'; did you mean 'toy'",
    ),
    "stage tab": ("  toy:\n", "\ttoy:\n", "dvc.yaml, line 5: not valid YAML"),
}


@pytest.mark.parametrize("damage", [value for name, value in globals().items() if name.startswith("damage_")])
def test_check_finds(toy, capsys, damage):
    call("run", "--tier", "lite", *ON_CPU)
    finds(capsys, damage(toy))


@pytest.mark.parametrize("edit", EDITS)
def test_check_finds_an_edit(toy, capsys, edit):
    file, old, new, sentence = EDITS[edit]
    call("run", "--tier", "lite", *ON_CPU)
    toy.edit(file, old, new)
    finds(capsys, sentence)


@pytest.mark.parametrize("edit", STAGE_EDITS)
def test_check_finds_an_edit_of_the_stage(toy, capsys, edit):
    old, new, sentence = STAGE_EDITS[edit]
    call("run", "--tier", "lite", *ON_CPU)
    toy.edit("../../dvc.yaml", old, new)
    finds(capsys, sentence)


@pytest.mark.parametrize("edit", ["stage experiment", "stage tier", "stage paper"])
def test_snakemake_does_not_begin_with_a_wrong_stage(toy, edit):
    """`sync` needs the stage, after the last training."""
    old, new, sentence = STAGE_EDITS[edit]
    toy.edit("../../dvc.yaml", old, new)
    with pytest.raises(UserError, match=re.escape(sentence)):
        orchestrate.plan({"tier": "lite"}, main=True, cores=1)


def finds(capsys, sentence):
    code, lines = check(capsys)
    assert code == 1
    assert any(line.startswith("wrong: ") and sentence in line for line in lines), lines
    assert lines[-1].startswith("checked toy: ")


def test_accept(toy, capsys):
    call("run", "--tier", "lite", *ON_CPU)
    toy.edit("experiment.py", "7.5", "8.5")
    capsys.readouterr()
    assert call("accept", "--why", "only the angle") == 0
    assert capsys.readouterr().out.splitlines() == [
        "toy/walk (lite): 6 runs accepted",
        "toy/race (lite): 3 runs accepted",
    ]
    assert check(capsys, "--strict-code")[0] == 0
