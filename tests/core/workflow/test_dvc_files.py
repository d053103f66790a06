"""``sync``: dvc.lock follows the results that are valid."""

from __future__ import annotations

import json
from pathlib import Path

import data_server
import pytest
import yaml
from toy_plans import train

from shared import runs
from shared.base import strict_yaml
from shared.base.errors import UserError
from shared.runs import config
from shared.workflow import dvc_files


@pytest.fixture
def dvc(toy, monkeypatch) -> list[tuple[str, ...]]:
    """DVC that calls both stages changed, and the calls it got."""
    calls: list[tuple[str, ...]] = []

    def call(*arguments: str) -> str:
        calls.append(arguments)
        return (
            json.dumps({"toy@walk": [], "toy@race": [], "data.dvc": []}) if arguments[0] == "status" else ""
        )

    (toy.root / ".git").mkdir()
    monkeypatch.setattr(dvc_files, "_dvc", call)
    monkeypatch.setattr(dvc_files, "_dvc_path", lambda: "dvc")
    return calls


def test_sync_commits_only_what_is_valid(toy, dvc, capsys):
    train("lite")
    toy.declare("fast: {rate: 2}", "fast: {rate: 4}")
    assert dvc_files.sync() == 0
    assert dvc[1:] == [("commit", "--force", "toy@race")]
    assert (
        "toy@walk has runs without a valid result: python -m pipelines.toy run walk"
        in capsys.readouterr().out
    )


def test_sync_commits_nothing_that_was_not_collected(toy, dvc):
    runs.execute(toy.runs("lite"), runs.Options(log=lambda line: None))
    dvc_files.sync()
    assert len(dvc) == 1


def test_sync_does_without_dvc(toy, monkeypatch, capsys):
    monkeypatch.setattr(dvc_files, "_dvc_path", lambda: None)
    assert dvc_files.sync() == 0
    assert "dvc is not installed" in capsys.readouterr().out


def test_sync_does_without_git(toy, dvc, capsys):
    (toy.root / ".git").rmdir()
    assert dvc_files.sync() == 0
    assert capsys.readouterr().out.splitlines() == [
        "this copy is no git repository, and DVC needs one; dvc.lock stays as it is"
    ]
    assert dvc == [], "DVC was not asked"


def test_sync_waits_for_another_dvc_and_passes_on_other_errors(toy, monkeypatch):
    script = toy.root / "dvc"
    script.write_text(
        "#!/bin/sh\n"
        'echo x >> "$0.calls"\n'
        'if [ "$(wc -l < "$0.calls")" -lt 3 ]; then echo "data is busy" >&2; exit 1; fi\n'
        'case "$2" in status) echo "{}";; *) echo "no such stage" >&2; exit 1;; esac\n'
    )
    script.chmod(0o755)
    monkeypatch.setattr(dvc_files, "_dvc_path", lambda: str(script))
    monkeypatch.setattr(dvc_files, "WAIT_SECONDS", 0.0)
    assert dvc_files._dvc("status", "--json") == "{}\n"
    with pytest.raises(UserError, match="`dvc commit x` failed: no such stage"):
        dvc_files._dvc("commit", "x")


def test_recorded_needs_a_readable_dvc_yaml(toy):
    assert dvc_files.recorded() == {"toy": {"walk": "lite", "race": "lite"}}
    (toy.root / "dvc.yaml").write_text("vars: []\n")
    with pytest.raises(UserError, match="restore it from git"):
        dvc_files.recorded()


def test_a_stage_names_the_data_sets_of_what_is_recorded(toy):
    def said():
        return list(dvc_files.problems(config.load("toy")))

    entries = data_server.catalogue([data_server.NOWHERE])
    entries["other"] = {**entries["tiny"], "path": "data/other"}
    (toy.root / "datasets.yaml").write_text(yaml.safe_dump(entries))
    toy.edit("settings.py", "    steps", "    dataset: str = 'tiny'\n    steps")
    assert said() == ["dvc.yaml: the stage toy lacks `do: params: datasets.yaml: tiny.checksum`"]
    toy.edit("../../dvc.yaml", "      outs:\n", "        - datasets.yaml: [tiny.checksum]\n      outs:\n")
    assert said() == []
    toy.edit("../../dvc.yaml", "tiny.checksum]", "tiny.checksum, other.checksum]")
    assert "should not have `do: params: datasets.yaml: other.checksum`" in said()[0]
    toy.declare("lite: {seeds: 0-2}", "lite: {seeds: 0-2}\n        paper: {seeds: [0], dataset: other}")
    assert said() == [], "what will be recorded may be named before"
    toy.edit("../../dvc.yaml", ", other.checksum", "")
    assert said() == [], "and need not be"
    toy.edit("../../dvc.yaml", "{walk: lite, race: lite}", "{walk: paper, race: lite}")
    assert said() == ["dvc.yaml: the stage toy lacks `do: params: datasets.yaml: other.checksum`"]
    toy.edit("../../dvc.yaml", "{walk: paper, race: lite}", "{}")
    assert said() == []


BOMB = "\n".join(["x0: &x0 [a, b]", *(f"x{n}: &x{n} [*x{n - 1}, *x{n - 1}]" for n in range(1, 40))])


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("dvc.yaml", BOMB, "dvc.yaml, line .*: not valid YAML .with its aliases it has more than 200,000"),
        ("datasets.yaml", BOMB, "datasets.yaml, line .*with its aliases"),
        ("pipelines/toy/experiments.yaml", BOMB, "pipelines/toy/experiments.yaml, line .*with its aliases"),
        ("data.dvc", BOMB, "data.dvc, line 2.: with its aliases it has far too many values"),
        ("dvc.lock", BOMB, "dvc.lock, line 2.: with its aliases"),
        ("dvc.lock", "a: &a [*a]", "dvc.lock, line 1: with its aliases"),
        ("dvc.lock", "[" * 100_000, "dvc.lock, line 1: with its aliases"),
        ("dvc.lock", b"\xff", "dvc.lock is not text in UTF-8"),
    ],
)
def test_what_dvc_would_choke_on_is_refused_before_it_is_asked(toy, dvc, file, text, said):
    (toy.root / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=said):
        dvc_files.sync()
    assert dvc == []


def test_the_files_of_the_project_are_let_through():
    for file in ("data.dvc", "dvc.lock"):
        text = (Path(__file__).resolve().parents[3] / file).read_text()
        strict_yaml.look(text, file)
        with pytest.raises(UserError, match=f"^{file}, line "):
            strict_yaml.look(f"{text}\n{BOMB}", file)
    strict_yaml.look("a: [", "what DVC says itself")


def test_dvc_has_a_time_limit(toy, monkeypatch):
    script = toy.root / "dvc"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setattr(dvc_files, "_dvc_path", lambda: str(script))
    monkeypatch.setattr(dvc_files, "SECONDS", 0.1)
    with pytest.raises(UserError, match=r"`dvc status` did not end in 0\.1 seconds and was stopped"):
        dvc_files._dvc("status")
