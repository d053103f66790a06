"""What sidecars and records say of a run has its declared type, or the file is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy_results import execute

from shared.base import bounded, paths
from shared.base.errors import UserError
from shared.runs import committed, facts, ledger, merging
from shared.workflow import cli

ROOT = Path(__file__).resolve().parents[3]


def deep(levels: int) -> list:
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


#: Name of a fact, a value of another type, and what the sentence says it should be.
MISTYPED = [
    *(("wall_s", "abc", "a number"), ("wall_s", True, "a number"), ("wall_s", -1.0, "a number from 0 on")),
    *(("wall_s", 10**400, "a number"), ("peak_mb", [1], "a number"), ("throughput", None, "a number")),
    *(("notes", 5, "a list of texts"), ("notes", [{}], "a list of texts"), ("notes", "a", "a list of texts")),
    *(("fingerprint", 7, "a text"), ("commit", ["a"], "a text"), ("finished", 2026, "a text")),
    *(("device", {}, "a text"), ("precision", None, "a text"), ("cpu", "x" * 20_000, "a text")),
    *(("dirty", "no", "true, false or null"), ("resumed", 1, "true or false")),
    *(("versions", ["torch"], "texts by name"), ("versions", {"torch": 2.1}, "texts by name")),
    *(("replicas", 1.5, "a whole number"), ("threads", "4", "a whole number")),
    *(("accepted", {}, "a list of stamps"), ("accepted", [{"why": 5}], "a list of stamps")),
    ("inputs", [], "facts by name"),
    *(("inputs.seed", "0", "a whole number"), ("inputs.seed", 10**30, "a whole number")),
    *(("inputs.data", {"mnist": None}, "texts by name"), ("inputs.revision", 1.0, "a whole number")),
    *(("inputs.paper", 5, "a text"), ("inputs.settings", [], "plain values by name")),
    *(("inputs.settings", {"a": {}}, "plain values"), ("inputs.settings", {"a": deep(20)}, "plain values")),
]


def put(entry: dict, name: str, value: object) -> None:
    for part in name.split(".")[:-1]:
        entry = entry[part]
    entry[name.split(".")[-1]] = value


@pytest.fixture
def recorded(toy):
    execute(toy.experiment().runs("lite"))
    ledger.of("toy").collect(toy.experiment(), "lite")
    return paths.sidecar(paths.collected("toy", "walk", "lite"))


def test_a_fact_of_another_type_is_refused_everywhere(recorded, capsys):
    right = recorded.read_text()
    run = list(json.loads(right))[1]
    for name, value, wanted in MISTYPED:
        content = json.loads(right)
        put(content[run], name, value)
        recorded.write_text(json.dumps(content, indent=1))
        line = 1 + recorded.read_text().partition(f'"{run}"')[0].count("\n")
        place = f"walk.env.json, line {line}: the entry of run {run} is wrong: "
        with pytest.raises(UserError) as caught:
            committed.read_file(paths.collected("toy", "walk", "lite"))
        said = str(caught.value)
        assert place in said
        assert wanted in said.partition(place)[2]
        assert len(said) < 400
    for command, code in ((["check", "toy"], 1), (["list", "toy"], 2), (["run", "toy/walk"], 2)):
        assert cli.main([*command, "--tier", "lite"] if command[0] == "run" else command) == code
        assert said in "".join(capsys.readouterr())


def test_merge_takes_no_record_with_it(recorded, tmp_path):
    file = next((paths.store() / "runs").glob("*.json"))
    right = file.read_text()
    file.unlink()
    for name, value, wanted in MISTYPED:
        content = json.loads(right)
        put(content, name if name.startswith("inputs") else f"environment.{name}", value)
        (tmp_path / file.name).write_text(json.dumps(content))
        with pytest.raises(UserError, match=rf"not the record of a run: .*{wanted}"):
            merging.merge(tmp_path / file.name)
        assert not file.exists()


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"a":' * 200_000, "[" * 60 + "]" * 60, "9" * 5000, "NaN", ""]
)
def test_json_that_is_deep_or_none_is_refused(recorded, tmp_path, capsys, text):
    recorded.write_text(f'{{"run": {{"more": {text}}}}}' if text.endswith("]") else text)
    assert cli.main(["list", "toy"]) == 2
    assert "walk.env.json is not valid JSON" in capsys.readouterr().err
    (tmp_path / "0123456789abcdef.json").write_text(text)
    assert cli.main(["merge", str(tmp_path / "0123456789abcdef.json")]) == 2
    assert "is no record of a run" in capsys.readouterr().err


def test_no_more_than_the_bound_is_read(tmp_path):
    file = tmp_path / "a.json"
    file.write_text("x" * 20)
    with pytest.raises(UserError, match=r"a\.json has more than 10 bytes"):
        bounded.read_text(file, file.name, most=10)
    assert bounded.read_text(file, file.name, most=20) == "x" * 20


def test_what_the_project_has_recorded_is_right():
    sidecars = [*ROOT.glob(f"pipelines/*/results/*/*{paths.SIDECAR}")]
    assert sidecars
    for file in sidecars:
        assert committed.environments_of(file.read_text())


def test_facts_of_later_versions_are_let_through():
    assert facts.wrong({"order": {"a": [1]}}, {}) is None
    assert facts.wrong({}, {"settings": {"radii": [1, [2.0, None]], "name": "x" * 20_000}}) is None


@pytest.mark.parametrize("text", ["1_000", "", " 1", "1e3", "٣", "1" * 19, "0x1", "--1", "1\n"])
def test_texts_that_are_no_whole_number(text):
    with pytest.raises(ValueError, match="is not a whole number"):
        bounded.whole(text)


@pytest.mark.parametrize(
    "text", ["1_0.5", "", " 1", "nan", "inf", "1e999", "1e", "٣.5", ".", "0" * 41, "0x1p3"]
)
def test_texts_that_are_no_number(text):
    with pytest.raises(ValueError, match="is not a number"):
        bounded.number(text)


def test_texts_that_are_numbers():
    assert [bounded.whole(t) for t in ("0", "-12", "+7", "007")] == [0, -12, 7, 7]
    assert [bounded.number(t) for t in ("1", "-.5", "2.", "1e-3", "+1.5E2")] == [1.0, -0.5, 2.0, 1e-3, 150.0]


def test_a_mark_in_front_of_a_table_changes_nothing(recorded, capsys):
    """Spreadsheets write one in front of UTF-8."""
    file = paths.collected("toy", "walk", "lite")
    right = file.read_bytes()
    file.write_bytes(b"\xef\xbb\xbf" + right)
    assert not committed.read_file(file).damage
    assert cli.main(["collect", "toy/walk"]) == 0
    assert file.read_bytes() == right


@pytest.mark.parametrize("cell", ["1_000", "nan", "inf", "1e999", "9" * 5000])
@pytest.mark.parametrize("column", [3, 5, 6])
def test_numbers_of_a_table_are_plain(recorded, cell, column):
    file = paths.collected("toy", "walk", "lite")
    lines = file.read_text().splitlines()
    fields = lines[1].split(",")
    fields[column] = cell
    file.write_text("\n".join([lines[0], ",".join(fields), *lines[2:]]) + "\n")
    with pytest.raises(UserError, match=r"walk.csv, line 2 is malformed; restore it from git"):
        committed.read_file(file)
