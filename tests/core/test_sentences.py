"""Files that cannot be read or written: one sentence with the place, the exit code 2, and nothing is lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from shared.base import files, paths
from shared.runs import ledger
from shared.workflow import cli

ON_CPU = ("--device", "cpu", "--threads", "1")
RUN = ("run", "toy/walk", "--tier", "lite", *ON_CPU)


def call(capsys, *arguments):
    """Exit code, lines of the output, and the error, which is one sentence."""
    capsys.readouterr()
    code = cli.main(arguments)
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert err.count("\n") == (1 if code == 2 else 0), err
    assert err.startswith("error: ") == (code == 2)
    return code, out.splitlines(), err


@pytest.fixture
def recorded(toy):
    """The toy with its lite results committed, so to speak: the store is gone."""
    assert cli.main(["run", "--tier", "lite", *ON_CPU]) == 0
    shutil.rmtree(toy.root / ".repro")
    return toy


def csv(tier="lite", name="walk"):
    return paths.collected("toy", name, tier)


def sidecar(tier="lite", name="walk"):
    return paths.sidecar(paths.collected("toy", name, tier))


def contents(toy):
    found = [file for file in toy.root.rglob("*") if file.is_file() and "locks" not in file.parts]
    return {file: file.read_bytes() for file in found if "__pycache__" not in file.parts}


def edit(file, old, new):
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new, 1))


def test_an_edit_is_not_blessed(recorded, capsys):
    edit(csv(), b",fast,0,angle,7.5,1.0", b",fast,0,angle,7.5,2.5")  # race does not have this run
    before = contents(recorded)
    for command in (RUN, (*RUN, "--seeds", "1"), (*RUN, "--refresh"), ("collect",), ("list",)):
        code, _, err = call(capsys, *command)
        assert code == 2
        assert "toy/results/lite/walk.csv do not match its sidecar walk.env.json; restore both files" in err
    assert contents(recorded) == before
    code, out, _ = call(capsys, "check")
    assert code == 1
    assert [
        line for line in out if "do not match its sidecar walk.env.json; restore both files from git" in line
    ]
    assert not [line for line in out if "collect` writes it" in line], "it would refuse"
    assert len(out) == len(set(out))


def test_check_says_that_collecting_restores_what_the_store_has(toy, capsys):
    cli.main(RUN)
    edit(csv(), b",fast,0,angle,7.5,1.0", b",fast,0,angle,7.5,2.5")
    assert [line for line in call(capsys, "check")[1] if "collect` writes it" in line]
    assert call(capsys, "collect", "toy/walk")[1] == ["wrote pipelines/toy/results/lite/walk.csv"]
    assert b",fast,0,angle,7.5,1.0" in csv().read_bytes()


def test_a_lost_csv_is_found(recorded, capsys):
    csv().unlink()
    code, out, _ = call(capsys, "check")
    assert code == 1
    said = "walk.csv is lost (walk.env.json is there); restore both files from git"
    assert f"wrong: pipelines/toy/results/lite/{said}" in out
    assert len([line for line in out if "walk" in line]) == 2, "the report cannot be made, and why"


def test_a_lost_sidecar_takes_nothing_along(recorded, capsys):
    sidecar().unlink()
    before = contents(recorded)
    for command in (RUN, ("collect", "toy/walk"), ("accept", "toy", "--why", "it is the same")):
        code, _, err = call(capsys, *command)
        assert code == 2
        assert "but walk.env.json does not; restore both files from git" in err
    assert contents(recorded) == before


def test_what_is_removed_is_said_to_be(recorded, capsys):
    recorded.declare("{rate: 0.25}", "{rate: 0.75}")
    recorded.declare("turtle:", "tortoise:")
    assert call(capsys, "collect", "toy/race") == (0, ["removed pipelines/toy/results/lite/race.csv"], "")
    assert not csv(name="race").exists()
    assert not sidecar(name="race").exists()
    assert csv().exists()


def test_what_was_asked_for_is_collected_before_damage_elsewhere_is_met(recorded, capsys):
    edit(csv(), b",fast,0,angle,7.5,1.0", b",fast,0,angle,7.5,2.5")
    before, old = csv().read_bytes(), csv(name="race").read_bytes()
    recorded.edit("experiment.py", "draw(0, settings.rate)", "1 + draw(0, settings.rate)")
    code, _, err = call(capsys, "run", "toy/race", "--tier", "lite", "--refresh", *ON_CPU)
    assert code == 2
    assert "walk.csv do not match" in err
    assert csv().read_bytes() == before
    assert csv(name="race").read_bytes() != old
    assert ledger.of("toy").is_collected(recorded.experiment("race"), "lite")


def not_utf8(file):
    edit(file, b"walk", b"w\xe4lk")
    return f"{file.name} is not a CSV file in UTF-8 ('utf-8' codec can't decode byte 0xe4"


def endless_field(file):
    edit(file, b"walk", b"a" * 200_000)
    return f"{file.name} is not a CSV file in UTF-8 (field larger"


@pytest.mark.parametrize("damage", [not_utf8, endless_field])
@pytest.mark.parametrize("command", [("list",), RUN, ("collect",), ("report",), ("merge", "{csv}")])
def test_a_csv_that_is_no_text(recorded, capsys, damage, command):
    message = damage(csv())
    before = csv().read_bytes()
    code, _, err = call(capsys, *(part.format(csv=csv()) for part in command))
    assert code == 2
    assert message in err
    assert "restore it from git" in err
    assert csv().read_bytes() == before
    assert call(capsys, "check")[0] == 1


@pytest.mark.parametrize("entry", [[], 5, "text", None, {"inputs": 3}])
def test_a_sidecar_entry_that_is_no_mapping(recorded, capsys, entry):
    facts = json.loads(sidecar().read_text())
    sidecar().write_text(json.dumps({**facts, recorded.runs()[0].id: entry}))
    for command in (("list",), RUN, ("collect",), ("merge", str(csv())), ("accept", "toy", "--why", "so")):
        code, _, err = call(capsys, *command)
        assert code == 2
        assert "pipelines/toy/results/lite/walk.env.json, line 1: the entry of run " in err
    assert call(capsys, "check")[0] == 1


@pytest.mark.parametrize("text", ["[]", '[["a", {}]]', '{"a": NaN}', "3"])
def test_a_sidecar_that_is_no_mapping(recorded, capsys, text):
    sidecar().write_text(text)
    code, _, err = call(capsys, "collect")
    assert code == 2
    assert "pipelines/toy/results/lite/walk.env.json" in err
    assert "restore it from git" in err


@pytest.mark.parametrize("name", ["experiments.yaml", "paper.csv", "deviations.csv"])
def test_hand_written_files_that_are_no_text(toy, capsys, name):
    edit(toy.folder / name, b"a", b"\xe4")
    code, out, _ = call(capsys, "check")
    assert code == 1
    assert [line for line in out if f"pipelines/toy/{name} is not text in UTF-8" in line]
    if name == "experiments.yaml":
        code, _, err = call(capsys, "list")
        assert code == 2
        assert "pipelines/toy/experiments.yaml is not text in UTF-8" in err


def test_a_syntax_error_in_the_settings(toy, capsys):
    toy.edit("settings.py", "rate: float = 1.0", "rate: float = = 1.0")
    code, _, err = call(capsys, "list")
    assert code == 2
    assert "error: pipelines/toy/settings.py, line 6: invalid syntax; correct it" in err


def refuse(*arguments, **options):
    raise PermissionError(13, "Permission denied", str(csv().with_name(".walk.csv.x")))


@pytest.mark.parametrize("command", [RUN, ("collect",), ("report",), ("accept", "toy", "--why", "the same")])
def test_a_checkout_that_may_not_be_written(toy, capsys, monkeypatch, command):
    cli.main(["run", "--tier", "lite", *ON_CPU])
    toy.edit("experiment.py", "7.5", "8.5")
    if command[0] in ("run", "collect"):
        csv().unlink()
    before = contents(toy)
    monkeypatch.setattr(files.tempfile, "mkstemp", refuse)
    code, _, err = call(capsys, *command)
    assert code == 2
    assert err.startswith("error: Permission denied: pipelines/toy/results/lite/.walk.csv.x; see to ")
    assert contents(toy) == before


def test_a_merge_that_may_not_write(recorded, capsys, monkeypatch, tmp_path):
    other = shutil.copytree(recorded.root, tmp_path / "other")
    shutil.rmtree(recorded.folder / "results")
    monkeypatch.setattr(files.tempfile, "mkstemp", refuse)
    code, _, err = call(capsys, "merge", str(other))
    assert code == 2
    assert "Permission denied" in err


def test_a_folder_where_a_file_should_be(recorded, capsys):
    csv().unlink()
    csv().mkdir()
    for command in (("list",), RUN, ("collect",)):
        code, _, err = call(capsys, *command)
        assert code == 2
        assert err.startswith("error: Is a directory: pipelines/toy/results/lite/walk.csv; see to ")


def test_a_folder_that_may_not_be_read_is_not_empty(recorded, capsys, monkeypatch):
    stat, folder = Path.stat, csv().parent

    def closed(self, **options):
        if self.parent == folder:
            raise PermissionError(13, "Permission denied", str(self))
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", closed)
    code, _, err = call(capsys, "list")
    assert code == 2
    assert "Permission denied: pipelines/toy/results/lite/" in err


def test_an_error_of_the_system_without_a_file(toy, capsys, monkeypatch):
    def fail(*arguments, **options):
        raise OSError("the network\nis down")

    cli.main(RUN)
    csv().unlink()
    monkeypatch.setattr(files.tempfile, "mkstemp", fail)
    code, _, err = call(capsys, "collect")
    assert code == 2
    assert err.startswith("error: the network is down; see to ")
    with pytest.raises(OSError, match="is down"):
        cli.main(["collect", "--debug"])


def test_a_report_leaves_it_to_collect_to_restore_what_the_store_has(toy, capsys):
    cli.main(["run", "--tier", "lite", *ON_CPU])
    csv().unlink()
    code, _, err = call(capsys, "report")
    assert code == 2
    assert "lite/walk.csv is not what its sidecar says; `python -m pipelines collect` writes it anew" in err
    assert call(capsys, "collect")[0] == 0
    assert call(capsys, "report")[0] == 0
