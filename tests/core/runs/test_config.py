"""Declarations, settings and the identity of runs."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.base.errors import Mistakes, UserError
from shared.runs import config, declarations
from shared.runs.api import added


def test_settings_are_layered(toy):
    declared = toy.experiment()
    assert [declared.settings_of("fast", tier).rate for tier in ("lite", "demo")] == [2.0, 3.0]
    assert [declared.settings_of("slow", tier).steps for tier in ("lite", "demo")] == [3, 2]
    assert toy.experiment("race").settings_of("turtle", "lite").rate == 0.25


def test_runs_in_declared_order(toy):
    assert [(run.arm, run.seed) for run in toy.runs()] == [
        (a, s) for a in ("slow", "fast") for s in (0, 1, 2)
    ]
    assert [run.seed for run in toy.experiment().runs("lite", ["fast"], [2, 0])] == [2, 0]
    assert toy.experiment().produces == ("table1",)
    assert list(toy.experiment().tiers) == ["smoke", "demo", "lite"]


def test_names_do_not_enter_the_identity(toy):
    walk, race = toy.runs("lite"), toy.runs("lite", "race")
    assert [run.id for run in walk[:3]] == [run.id for run in race]
    assert len({run.id for run in walk}) == 6


def test_identity_is_pinned(toy):
    """Recorded results are found by this hash: it must never change by accident."""
    run = toy.runs()[0]
    text = b'{"data":{},"paper":"toy","revision":1,"seed":0,"settings":{"rate":0.25,"steps":3,"trouble":""}}'
    assert run.id == hashlib.sha256(text).hexdigest()[:16] == "15b3e552b6198f22"


def test_identity_is_the_same_in_another_process(toy):
    code = "from shared.runs.config import find\n"
    code += "print(*[find(f'toy/walk/lite/slow/{s}').id for s in range(3)])"
    for hash_seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        text = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        assert text.stdout.split() == [run.id for run in toy.runs()[:3]]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("revision: 1", "revision: 2"),
        ("steps: 3", "steps: 4"),
        ("rate: 0.25", "rate: 0.26"),
        ("0-2", "[3, 4, 5]"),
    ],
)
def test_identity_follows_what_a_run_is_made_from(toy, old, new):
    before = {run.id for run in toy.runs() if run.arm == "slow"}
    toy.declare(old, new)
    assert before.isdisjoint(run.id for run in toy.runs() if run.arm == "slow")


def test_identity_follows_the_data(toy, monkeypatch):
    toy.edit("settings.py", "    steps", "    dataset: str = 'digits'\n    steps")
    seen = []
    for checksum in ("a" * 32, "b" * 32):
        monkeypatch.setattr(config, "checksum", lambda name, checksum=checksum: checksum)
        run = toy.runs()[0]
        assert run.data == {"digits": checksum}
        seen.append(run.id)
    assert seen[0] != seen[1]


def test_spelling_of_numbers_does_not_matter(toy):
    before = [run.id for run in toy.runs()]
    toy.declare("fast: {rate: 2}", 'fast: {rate: "2.0e0"}')
    assert [run.id for run in toy.runs()] == before


def test_late_settings_keep_earlier_results_valid(toy):
    before = [run.id for run in toy.runs()]
    toy.edit(
        "settings.py",
        "from dataclasses import",
        "from shared.runs.api import added\nfrom dataclasses import",
    )
    toy.edit("settings.py", '    trouble: str = ""', '    trouble: str = ""\n    drift: float = added(0.0)')
    assert [run.id for run in toy.runs()] == before
    toy.declare("{<<: *base, steps: 3}", "{<<: *base, steps: 3, drift: 0.5}")
    assert not set(before) & {run.id for run in toy.runs()}


def test_a_late_setting_may_get_another_default():
    @dataclass(frozen=True)
    class Settings:
        drift: float = added(1.0, absent=0.0)

    def inputs(**values: float) -> dict[str, object]:
        made = config.Run("p", "e", "a", "lite", 0, Settings(**values), 1, {})
        return made.inputs["settings"]

    assert inputs(drift=0.0) == {}
    assert inputs() == {"drift": 1.0}


@given(
    st.dictionaries(
        st.text("abc", max_size=3), st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    )
)
def test_identity_does_not_depend_on_the_order_of_keys(values):
    assert config.identity(values) == config.identity(dict(reversed(values.items())))


def test_find_is_the_inverse_of_spec(toy):
    for run in toy.runs("demo"):
        assert config.find(run.spec) == run
    with pytest.raises(UserError, match="paper/experiment/tier/arm/seed"):
        config.find("toy/walk/lite/slow")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "{<<: *base, steps: 3}\n      arms:\n",
            "{stepz: 3}\n      arms:\n",
            "unknown setting 'stepz'; did you mean 'steps'",
        ),
        ("slow: {rate: 0.25}", "slow: {rate: fast}", "rate = 'fast' should be a number"),
        ("slow: {rate: 0.25}", "slow: {rate: .nan}", ".nan is not a number"),
        ("slow: {rate: 0.25}", "slow: {rate: '1_000'}", "should be a number"),
        ("slow: {rate: 0.25}", "slow: {steps: 10000000000000000000}", "10000000000000000000 is not a number"),
        ("seeds: 0-2", "seeds: 0-99999999999", "are more than 10000 seeds"),
        ("seeds: 0-2", "seeds: '0-9999,10000-19999'", "more than 10000 seeds"),
        ("seeds: 0-2", f"seeds: '{'9' * 5000}'", "is not a seed"),
        ("seeds: 0-2", "seeds: [9999999999]", "the seed 9999999999 is larger than"),
        ("seeds: 0-2", "seeds: 0-2, replicas: 99999999999", "replicas should be a whole number"),
        ("title: A toy", "title: [A toy]", "title should be a text, not ['A toy']"),
        ("title: Random walks", "title: 5", "title should be a text, not 5"),
        ("revision: 1", "revision: 99999999999", "revision should be a whole number"),
        ("lite: {minutes: 2", "3: {minutes: 2", "unknown tier '3'"),
        ("        slow: {", f"        {'a' * 200}: {{", "is not a good name"),
        ("slow: {rate: 0.25}", "slow: {steps: 2.5}", "steps = 2.5 should be a whole number"),
        ("slow: {rate: 0.25}", "slow: {steps: true}", "should be a whole number"),
        ("slow: {rate: 0.25}", "slow: {trouble: 1}", "should be text"),
        ("slow: {rate: 0.25}", "slow: {rate: 0.25}\n        slow: {rate: 1}", "'slow' is given twice"),
        ("revision: 1", "revision: 0", "revision should be a whole number from 1 on"),
        ("revision: 1", "revison: 1", "unknown key 'revison'; did you mean 'revision'"),
        ("produces: [table1]", "produces: table1", "produces should be a list"),
        (
            "  tables: [table1]",
            "  tables: table1",
            "tables should be a list of different names such as [table1]",
        ),
        (
            "  tables: [table1]",
            "  tables: [a, a]",
            "tables should be a list of different names such as [table1]",
        ),
        (
            "  tables: [table1]",
            "  figures: [../a]",
            "figures should be a list of different names such as [figure1]",
        ),
        ("seeds: 0-2", "seeds: []", "seeds should be different whole numbers"),
        ("seeds: 0-2", "seeds: [1, 1]", "seeds should be different whole numbers"),
        ("seeds: 0-2", "seeds: 0..2", "not a seed"),
        ("seeds: 0-2", "seeds: 2-0", "such as [0, 1, 2] or 0-4, not '2-0'"),
        ("seeds: 0-2", "seeds: 10", "write [10] for one, 0-9 for ten"),
        (
            "      settings: {<<: *base, steps: 3}\n      arms:\n",
            "      arms:\n",
            "the key 'settings' is missing",
        ),
        ("arms: {fast: {rate: 3.0}}", "arms: {fats: {rate: 3.0}}", "unknown arm 'fats'; did you mean 'fast'"),
        (
            "        lite: {seeds: 0-2}",
            "        light: {seeds: 0-2}",
            "unknown tier 'light'; did you mean 'lite'",
        ),
        ("lite: {minutes: 2", "paper: {minutes: 2", "unknown tier 'paper'"),
        ("\ntoy:", "\ntoi:", "line 2: there should be the one top key 'toy'"),
        ("title: A toy", "title: [", "not valid YAML"),
        ("arms:\n        slow: {rate: 0.25}\n        fast: {rate: 2}", "arms: {}", "arms is empty"),
        ("        slow: {", "        a/b: {", "'a/b' is not a good name"),
    ],
)
def test_mistakes_are_named(toy, old, new, message):
    toy.declare(old, new)
    with pytest.raises(UserError) as caught:
        _all_runs()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert re.match(r"pipelines/toy/experiments.yaml, line \d+: ", str(caught.value))


def test_each_mistake_has_its_line(toy):
    toy.declare("title: A toy", "titel: A toy")
    toy.declare("produces: [table1]", "produces: table1")
    toy.declare("arms: {turtle: {rate: 0.25}}", "arms: {}")
    toy.declare("memory_mb", "memory_MB")
    with pytest.raises(UserError) as caught:
        config.load("toy")
    found = re.findall(r"^pipelines/toy/experiments.yaml, line (\d+): ", str(caught.value), re.MULTILINE)
    lines = (toy.folder / "experiments.yaml").read_text().splitlines()
    assert [lines[int(line) - 1].split()[0] for line in found] == ["titel:", "produces:", "arms:", "cost:"]


def test_each_misspelt_setting_has_its_line(toy):
    toy.declare("x-toy: &base {rate: 0.5}", "x-toy: &base {rat: 0.5}")
    toy.declare("slow: {rate: 0.25}", "slow: {raet: 0.25, steps: x}")
    toy.declare(
        "demo: {seeds: [0, 1], steps: 2, arms: {fast: {rate: 3.0}}}",
        "demo:\n          seeds: [0, 1]\n          setps: 2\n          arms: {fast: {rtae: 3.0}}",
    )
    with pytest.raises(UserError) as caught:
        toy.runs("demo")
    said = [line.partition("; did you mean")[0] for line in str(caught.value).splitlines()]
    assert said == [
        f"pipelines/toy/experiments.yaml, line {line}"
        for line in (
            "1: unknown setting 'rat'",
            "11: steps = 'x' should be a whole number",
            "11: unknown setting 'raet'",
            "17: unknown setting 'setps'",
            "18: unknown setting 'rtae'",
        )
    ]


def _all_runs() -> list[config.Run]:
    declared = config.load("toy").experiments.values()
    return [run for experiment in declared for tier in experiment.tiers for run in experiment.runs(tier)]


def test_unknown_names_are_answered_with_the_nearest(toy):
    for call, near in [
        (lambda: config.load("toi"), "toy"),
        (lambda: config.load("toy").experiment("walks"), "walk"),
        (lambda: toy.experiment().runs("light"), "lite"),
        (lambda: toy.experiment().runs("lite", ["slowly"]), "slow"),
        (lambda: toy.experiment().runs("lite", seeds=[7]), "0, 1, 2"),
    ]:
        with pytest.raises(UserError, match=near):
            call()


def test_templates_are_left_out_unless_asked_for(toy):
    toy.folder.rename(toy.folder.with_name("_toy"))
    assert config.papers() == []
    assert config.papers(include_templates=True) == ["_toy"]


def test_settings_take_tuples_and_optional_values():
    @dataclass(frozen=True)
    class Settings:
        sizes: tuple[int, ...] = ()
        pair: tuple[int, str] = (0, "")
        limit: float | None = None

    made = declarations.resolve(Settings, {"sizes": [1, 2], "pair": [3, "x"], "limit": 2}, where="here")
    assert made == Settings((1, 2), (3, "x"), 2.0)
    assert hash(made) == hash(Settings((1, 2), (3, "x"), 2.0))
    for values, message in [
        ({"sizes": 3}, "should be a list"),
        ({"sizes": [1, "b"]}, "should be a whole number"),
        ({"pair": [1]}, "should have 2 entries"),
        ({"limit": "none"}, "should be a number"),
    ]:
        with pytest.raises(UserError, match=message):
            declarations.resolve(Settings, values, where="here")


def test_a_setting_without_default_must_be_given():
    @dataclass(frozen=True)
    class Settings:
        size: int

    with pytest.raises(UserError, match="no value for the setting 'size'"):
        declarations.resolve(Settings, {}, where="here")


@given(st.sets(st.integers(0, 99), min_size=1))
def test_spans_of_seeds(numbers):
    ordered = sorted(numbers)
    assert declarations.seeds(",".join(map(str, ordered)), "here") == tuple(ordered)
    first, last = ordered[0], ordered[-1]
    assert declarations.seeds(f"{first}-{last}", "here") == tuple(range(first, last + 1)) or first == last


def test_very_many_runs_are_refused(toy):
    arms = "".join(f"        a{n}: {{}}\n" for n in range(11))
    toy.declare("        slow: {rate: 0.25}\n        fast: {rate: 2}\n", arms)
    toy.declare("demo: {seeds: [0, 1], steps: 2, arms: {fast: {rate: 3.0}}}", "demo: {seeds: 0-9999}")
    with pytest.raises(UserError, match="these are more than 100000 runs; declare fewer"):
        _all_runs()


def test_a_message_does_not_grow_with_what_it_shows():
    shown = str(UserError("x" * 100_000 + "\x1b[2J\ud800\ny"))
    assert shown == "x" * 1000 + " ... " + "x" * 995 + r"\x1b[2J\ud800" + "\ny"
    lines = str(Mistakes(map(str, range(1000)))).splitlines()
    assert (len(lines), lines[-1]) == (51, "and 950 more; correct these first")
