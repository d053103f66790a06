"""``rerun``: recorded runs computed again beside their records."""

from __future__ import annotations

import json

import pytest
from mini_paper import tree
from toy_results import call, execute

from shared import runs
from shared.base import paths
from shared.runs import execution as computing
from shared.runs import ledger, records
from shared.runs.api import Row
from shared.workflow import rerun


def again(capsys, *arguments):
    """Exit code and printed lines of ``python -m pipelines.toy rerun``."""
    capsys.readouterr()
    code = call("rerun", *arguments, paper="toy")
    return code, capsys.readouterr().out.splitlines()


def test_what_is_recorded_is_computed_again_and_is_the_same(recorded, capsys):
    before, trained = tree(recorded.root), recorded.trained()
    code, lines = again(capsys, "walk", "--arm", "fast", "--seeds", "1-2")
    assert code == 0
    assert recorded.trained() == [*trained, "2.0 1", "2.0 2"]
    assert "toy/walk/lite/fast/2: of 5 values 5 the same to the last digit (times are left out)" in lines
    assert lines.count("  the same: computed again, every value is the recorded one") == 2
    assert [line for line in lines if ", now " in line] == []
    after = tree(recorded.root)
    new = {name for name in after if after[name] != before.get(name)}
    assert {name for name in new if "__pycache__" not in name} == {"trained.log"}


def test_the_cheapest_is_taken_of_what_is_not_named(recorded, capsys):
    seconds = {("slow", 0): 9.0, ("slow", 1): 3.0, ("slow", 2): 8.0}
    seconds |= {("fast", 0): 7.0, ("fast", 1): 6.0, ("fast", 2): 2.0}
    sidecar = paths.sidecar(paths.collected("toy", "walk", "lite"))
    facts = json.loads(sidecar.read_text())
    for run in recorded.runs():
        facts[run.id]["wall_s"] = seconds[run.arm, run.seed]
    sidecar.write_text(json.dumps(facts))

    def chosen(*which):
        found = rerun.choose(recorded.experiment(), *which)
        return [(run.arm, run.seed) for batch in found for run in batch.runs]

    assert chosen() == [("fast", 2)]
    assert chosen("lite", ["slow"]) == [("slow", 1)]
    assert chosen("lite", None, [0, 1]) == [("slow", 0), ("slow", 1)]
    assert chosen("lite", ["slow", "fast"], [0]) == [("slow", 0), ("fast", 0)]
    code, lines = again(capsys, "walk")
    assert code == 0
    assert lines[0] == "the cheapest of the recorded runs; --tier, --arm and --seeds name others"
    assert lines[1].startswith("toy/walk/lite/fast/2: recorded 20")
    assert "took 2 s (" in lines[1]


def test_the_highest_recorded_tier_is_taken(recorded, capsys):
    assert call("run", "--arm", "slow", "--device", "cpu", paper="toy") == 0  # demo
    assert rerun.choose(recorded.experiment())[0].runs[0].tier == "lite"
    code, lines = again(capsys, "walk", "--tier", "demo")
    assert code == 0
    assert lines[1].startswith("toy/walk/demo/slow/")
    assert call("rerun", "walk", "--tier", "demo", "--arm", "fast", paper="toy") == 2
    assert "no such run of toy/walk is recorded at the tier demo" in capsys.readouterr().err
    assert call("rerun", "race", "--seeds", "7", paper="toy") == 2
    assert "no such run of toy/race is recorded at any tier" in capsys.readouterr().err


def test_what_differs_is_said_with_the_spread_over_seeds(recorded, capsys, monkeypatch):
    monkeypatch.setattr(computing.environment, "cpu_model", lambda: "Another")
    before = code_of(recorded)
    recorded.edit("experiment.py", "draw(0, settings.rate)) for", "draw(0, settings.rate) + step) for")
    monkeypatch.setattr(computing.fingerprint, "fingerprint", lambda paper, data: before)
    code, lines = again(capsys, "walk", "--arm", "slow", "--seeds", "0")
    assert code == 1
    old = {(row.metric, row.step): row.value for row in rows_of(recorded.runs()[0])}
    deviation = rerun.statistics.stdev(
        dict(records.untimed(rows_of(run)))["position", 2] for run in recorded.runs()[:3]
    )
    counts = "of 5 values 2 the same to the last digit, 0 to rounding, 3 not (times are left out)"
    assert f"toy/walk/lite/slow/0: {counts}" in lines
    wanted = f"  position at step 2: {old['position', 2]:.6g} recorded, {old['position', 2] + 2:.6g} now, +2 "
    assert wanted + f"(standard deviation over 3 recorded seeds: {deviation:.2g}); 1 more" in lines
    assert any(line.startswith("  final: ") for line in lines)
    assert lines[-3].startswith("  not the same; training amplifies differences in rounding")
    assert lines[-2].startswith("  cpu: ")
    assert lines[-2].endswith(", now Another")
    assert lines[-1].startswith("  took ")


def test_without_another_circumstance_a_difference_is_not_explained_away(recorded, capsys, monkeypatch):
    same = code_of(recorded)
    monkeypatch.setattr(computing.fingerprint, "fingerprint", lambda paper, data: same)
    recorded.edit("experiment.py", 'Row("angle", 7.5, 1)', 'Row("angle", 7.5, 2)')
    code, lines = again(capsys, "walk", "--arm", "slow", "--seeds", "0")
    assert code == 1
    assert "  not the same, although nothing that is recorded of the circumstances has changed" in lines


def rows_of(run):
    return ledger.of(run.paper).record(run).rows


def code_of(toy):
    """The fingerprint that the toy's results were recorded with."""
    return next(iter(runs.environments("toy", "walk", "lite").values()))["fingerprint"]


def test_values_that_are_new_or_gone_differ(recorded, capsys):
    recorded.edit("experiment.py", 'Row("angle", 7.5, 1)', 'Row("turn", "", 1)')
    code, lines = again(capsys, "walk", "--arm", "slow", "--seeds", "0")
    assert code == 1
    assert "  angle at step 7.5 is not there any more" in lines
    assert "  turn is new" in lines
    assert "  not the same; the code is not that of the record (below), which may be the reason" in lines
    assert lines[-2].startswith(f"  code: {code_of(recorded)}, now ")


@pytest.mark.parametrize(
    ("recorded_value", "now", "spread", "rounding"),
    [
        (97.31, 97.31000001, (97.31, 97.4), True),
        (97.31, 97.32, (97.31, 97.4), False),
        (2e-7, 3e-7, (2e-7, 5e-7), True),  # an exact network's error is itself nothing but rounding
        (2e-16, 1e-7, (2e-16, 5e-16), False),  # more than over the seeds: exact to float64 no more
        (2e-7, 3e-7, (), False),
        (0.0, 0.1, (0.0, 1.0), False),
        (1.0, None, (1.0, 2.0), False),
        (None, 1.0, (), False),
    ],
)
def test_rounding(recorded_value, now, spread, rounding):
    assert rerun.Difference("error", "", recorded_value, now, spread).is_rounding is rounding


def test_seeds_side_by_side_are_trained_side_by_side_again(toy, capsys):
    """What a seed gives may depend, in rounding, on the seeds beside it, so they are the same again."""
    toy.edit("experiment.py", "final = float", "final = 5.0 if SIDE == 3 else float")
    toy.edit("experiment.py", "def run(settings, seeds, context):\n", SIDE)
    execute(toy.runs(), replicas=3)
    code, lines = again(capsys, "walk", "--arm", "slow", "--seeds", "1")
    assert code == 0, lines
    assert toy.trained()[6:] == ["0.25 0", "0.25 1", "0.25 2"]
    assert lines[0].startswith("toy/walk/lite/slow/0,1,2: recorded")
    assert lines[0].endswith("seeds side by side")
    assert len([line for line in lines if line.endswith("every value is the recorded one")]) == 3
    records.stored_path(toy.runs()[0].id).unlink()
    code, lines = again(capsys, "walk", "--arm", "slow", "--seeds", "1-2")
    assert code == 1
    assert "1 more seeds were beside it, and their records are not here" in lines[0]
    assert "  replicas: 3, now 2" in lines


SIDE = """\
SIDE = 0

def run(settings, seeds, context):
    global SIDE
    SIDE = len(seeds)
"""


def test_recorded_circumstances_are_the_default(toy, capsys, native_bf16):
    path = toy.folder / "settings.py"
    path.write_text(path.read_text() + "\n    def takes_precision(self):\n        return True\n")
    toy.edit("experiment.py", "    trouble(settings.trouble", SEEN)
    toy.edit("experiment.py", "class Diverged", "seen = []\n\nclass Diverged")
    execute(toy.runs()[:1], precision="bf16", threads=3)
    contexts = computing.paper_modules.module("toy", "experiment").seen
    assert again(capsys, "walk")[0] == 0
    assert again(capsys, "walk", "--precision", "float32", "--threads", "1")[0] == 0
    assert [(c.precision, c.threads) for c in contexts[1:]] == [("bf16", 3), ("float32", 1)]
    assert {(context.device, context.checkpoint) for context in contexts[1:]} == {("cpu", None)}


SEEN = """\
    seen.append(context)
    trouble(settings.trouble"""


def test_a_run_that_fails_ends_in_one_sentence(recorded, capsys):
    recorded.edit("experiment.py", "def walk(settings, seed):\n", "def walk(settings, seed):\n    1 / 0\n")
    assert call("rerun", "walk", paper="toy") == 2
    err = capsys.readouterr().err
    assert err.startswith("error: toy/walk/lite/")
    assert "ZeroDivisionError" in err
    assert err.count("\n") == 1


def test_times_are_not_compared():
    rows = [Row("error", "", 1.0), Row("images_per_second", "", 5.0), Row("step_seconds", "", 2.0)]
    assert records.untimed(rows) == {("error", ""): 1.0}
