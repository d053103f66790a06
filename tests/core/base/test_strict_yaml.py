"""YAML read strictly: what two versions of YAML read differently is refused, every mistake has its line."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.base import strict_yaml
from shared.base.errors import UserError

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("word", "reads"),
    [
        *(
            ("010", "octal in YAML 1.1 and decimal"),
            ("08", "text in YAML 1.1 and a whole number in YAML 1.2"),
        ),
        *(("1:30", "a whole number in YAML 1.1 and text"), ("1:30.5", "a number in YAML 1.1 and text")),
        *(("yes", "a truth value in YAML 1.1 and text"), ("Off", "a truth value"), ("NO", "write true or")),
        *(("1_000", "a whole number in YAML 1.1 and text"), ("0b11", "a whole number"), ("0o17", "text in")),
        *(
            ("2026-11-22", "a date in YAML 1.1 and text"),
            ("2026-99-99", "a date"),
            ("-0x1F", "a whole number"),
        ),
    ],
)
@pytest.mark.parametrize("place", ["a: 1\nb: {word}\n", "a: 1\n{word}: 2\n", "a: 1\nb: [2, {word}]\n"])
def test_words_that_are_read_differently_are_refused(word, reads, place):
    with pytest.raises(
        UserError, match=rf"^f.yaml, line 2: {re.escape(word)} is .*; put it in quotes"
    ) as caught:
        strict_yaml.load(place.format(word=word), "f.yaml")
    assert reads in str(caught.value)
    quoted = strict_yaml.load(place.format(word=f"'{word}'"), "f.yaml")
    assert word in (*quoted, *quoted.values(), *(quoted.get("b") or ()))


@given(st.text("01279_+-.:eEoxbnyYtTrfs~=<", min_size=1, max_size=7))
@example("1e3")
@example("-.5")
@example("0x1F")
@example("12e03")
def test_what_is_not_refused_is_what_dvc_reads(word):
    """DVC reads by ruamel.yaml, which is YAML 1.2."""
    ruamel = pytest.importorskip("ruamel.yaml")
    try:
        ours = strict_yaml.load(f"a: {word}", "f.yaml")["a"]
    except (UserError, KeyError, TypeError):
        return
    try:
        theirs = ruamel.YAML(typ="safe", pure=True).load(f"a: {word}")["a"]
    except (ruamel.error.YAMLError, ValueError):
        return
    assert type(ours) is type(theirs)
    assert ours == theirs or math.isnan(ours)


def test_each_mistake_has_its_line():
    text = "a: 010\nb:\n  c: 1\n  c: 2\n  d: yes\na: 1\n"
    with pytest.raises(UserError) as caught:
        strict_yaml.load(text, "f.yaml")
    found = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in found] == [f"f.yaml, line {n}" for n in (1, 4, 5, 6)]


def test_a_second_merge_key_is_refused_as_dvc_does():
    text = "a: &a {x: 1}\nb: &b {y: 2}\nc:\n  <<: *a\n  <<: *b\n"
    with pytest.raises(
        UserError, match=r"^f.yaml, line 5: the key '<<' is given twice; write one, with a list"
    ):
        strict_yaml.load(text, "f.yaml")
    listed = text.replace("  <<: *a\n  <<: *b", "  <<: [*a, *b]")
    assert strict_yaml.load(listed, "f.yaml")["c"] == {"x": 1, "y": 2}
    ruamel = pytest.importorskip("ruamel.yaml")
    theirs = ruamel.YAML(typ="safe", pure=True)
    with pytest.raises(ruamel.error.YAMLError):
        theirs.load(text)
    assert theirs.load(listed)["c"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "f.yaml, line 1: not valid YAML"),
        ("a: 1\n\tb: 2", "f.yaml, line 2: not valid YAML"),
        ("a: 1\n--- \nb: 2", "f.yaml, line 2: not valid YAML"),
        ("a: *b", "f.yaml, line 1: not valid YAML .*undefined alias"),
        ("a: !!python/name:os.system x", "f.yaml, line 1: not valid YAML"),
        ("a: !!int abc", "f.yaml, line 1: not valid YAML .*tags"),
        ("\na: !!bool maybe", "f.yaml, line 2: not valid YAML .*tags"),
        ("a: !!timestamp 2026-99-99", "f.yaml, line 1: not valid YAML .*tags"),
        ("a: !!binary x", "f.yaml, line 1: not valid YAML .*tags"),
        ("a: !!set {b, c}", "f.yaml, line 1: not valid YAML .*tags"),
        ("? 5: 6\n!!merge <<: {a: 1}", "f.yaml, line 2: not valid YAML .*tags"),
        ("? [1]\n: 2", "f.yaml, line 1: not valid YAML .*unhashable"),
        ("a: \0", "f.yaml is not valid YAML"),
        ("[" * sys.getrecursionlimit(), "f.yaml, line 1: not valid YAML .*nested more than 40 deep"),
        ("- " * 100_000, "f.yaml, line 1: not valid YAML .*nested"),
        ("\n".join(" " * n + "a:" for n in range(500)), r"f.yaml, line \d+: not valid YAML .*nested"),
        ("a: &a [*a]", "f.yaml, line 1: not valid YAML .*within what it stands for"),
        ("\n<<: &a {b: *a}", "f.yaml, line 2: not valid YAML .*within what it stands for"),
        (f"a: {'9' * 5000}", "f.yaml, line 1: 9999.* is not a number that can be computed with"),
        ("a:\n  b: .inf", "f.yaml, line 2: .inf is not a number"),
        ("[1, -.INF]", "f.yaml, line 1: -.INF is not a number"),
        ("a: .nan", "f.yaml, line 1: .nan is not a number"),
        ("a: 1e999", "f.yaml, line 1: 1e999 is not a number"),
        ("a: " + "b" * strict_yaml.MOST_LETTERS, "f.yaml has 1,048,579 letters"),
    ],
)
def test_what_is_no_yaml_is_one_sentence(text, says):
    with pytest.raises(UserError, match=f"^{says}") as caught:
        strict_yaml.load(text, "f.yaml")
    assert "\n" not in str(caught.value)


def test_lines_of_keys_are_known_through_anchors_and_merges():
    found = strict_yaml.load("x: &base\n  a: 1\n  b: 2\ny:\n  <<: *base\n  b: 3\n  c: 4\n", "f.yaml")
    assert found == {"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3, "c": 4}}
    assert found.lines == {"x": 1, "y": 4}
    assert found["y"].lines == {"a": 2, "b": 6, "c": 7}
    assert found["y"].without(["c"]) == {"a": 1, "b": 3}
    assert found["y"].without(["c"]).lines["b"] == 6


def test_numbers_with_exponents_are_numbers():
    assert strict_yaml.load("[1e-3, 1E3, -.5, 2.5e2, 0x1e5]", "f.yaml") == [1e-3, 1e3, -0.5, 250.0, 0x1E5]


def bomb(link: str, first: str, levels: int = 30) -> str:
    """Anchors that each repeat the one before: ``link`` has ``{}`` for it."""
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{n}: &a{n} {link.format(f'*a{n - 1}')}" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (bomb("[{0}, {0}, {0}]", "[x, y]"), "more than 200,000 values"),
        (bomb("{{<<: [{0}, {0}]}}", "{x: 1}"), "more than 200,000 values"),
        (bomb("{{a: {0}, b: {0}}}", "x"), "more than 200,000 values"),
        (bomb("[{0}]", "x", 100), "nested more than 40 deep"),
    ],
)
def test_a_bomb_of_aliases_is_refused_before_it_goes_off(text, says):
    with pytest.raises(UserError, match=rf"^f.yaml, line \d+: not valid YAML \(with its aliases it .*{says}"):
        strict_yaml.load(text, "f.yaml")


def test_aliases_in_moderation_are_taken():
    found = strict_yaml.load(bomb("[{0}, {0}]", "[x, y]", 12), "f.yaml")
    assert found["a2"] == [[["x", "y"], ["x", "y"]], [["x", "y"], ["x", "y"]]]


@pytest.mark.parametrize(
    "file",
    [*ROOT.glob("pipelines/*/experiments.yaml"), ROOT / "datasets.yaml", ROOT / "dvc.yaml"],
    ids=lambda file: file.parent.name,
)
def test_the_files_of_the_project_hold_none_of_this(file):
    assert strict_yaml.load(file.read_text(encoding="utf-8"), file.name)
