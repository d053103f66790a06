"""Which results a report shows, and how it reads them."""

from __future__ import annotations

import mini_paper
import numpy as np
import pytest

from shared.base import paths
from shared.base.errors import UserError
from shared.report import render
from shared.report.contents import Report
from shared.report.results import Results


def keep_only(tier, wanted):
    """Take the other rows out of a tier's collected results."""
    file = paths.results("mini", tier) / "table1.csv"
    head, *lines = file.read_text().splitlines()
    kept = [line for line in lines if wanted(line.split(",")[2], int(line.split(",")[3]))]
    file.write_text("\n".join([head, *kept]) + "\n")
    mini_paper.sign(tier)


def test_arms_are_shown_at_one_tier_the_highest_with_seeds_enough(mini):
    mini_paper.record("lite")
    assert Results("mini").sample("table1", "plain", "error").tier == "lite"
    mini_paper.record("paper", seeds=2)
    assert Results("mini").sample("table1", "plain", "error").tier == "lite", "two seeds do not replace four"
    mini_paper.record("paper", seeds=3)
    found = Results("mini").sample("table1", "plain", "error")
    assert (found.tier, found.n) == ("paper", 3)
    keep_only("paper", lambda arm, seed: arm == "plain")
    shown = {arm: Results("mini").sample("table1", arm, "error") for arm in ("plain", "turned")}
    assert {arm: (s.tier, s.n) for arm, s in shown.items()} == {"plain": ("lite", 4), "turned": ("lite", 4)}


def test_arms_without_a_common_tier_are_shown_at_their_own(mini):
    mini_paper.record("lite")
    mini_paper.record("paper")
    keep_only("paper", lambda arm, seed: arm == "plain")
    keep_only("lite", lambda arm, seed: arm == "turned")
    assert Results("mini").sample("table1", "plain", "error").tier == "paper"
    assert Results("mini").sample("table1", "turned", "error").tier == "lite"
    keep_only("lite", lambda arm, seed: seed < 2)
    found = Results("mini").sample("table1", "turned", "error")
    assert (found.tier, found.n) == ("lite", 2), "too few are better than none"
    assert Results("mini").sample("table1", "plain", "error").tier == "paper", "and decide nothing for others"


def test_lite_verdicts_say_so(mini):
    mini_paper.record("lite")
    _, table = Report("mini").tables
    cells = {row.key: cell for row, _, cell in table.cells()}
    assert cells["plain"].verdict.text == "not judged (lite)"


def test_results_of_other_settings_are_not_shown(mini):
    mini_paper.record()
    file = mini / "pipelines/mini/experiments.yaml"
    file.write_text(file.read_text().replace("plain: {}", "plain: {epochs: 4}"))
    assert Results("mini").sample("table1", "plain", "error").n == 0
    assert Results("mini").sample("table1", "turned", "error").n == 5


def test_samples_need_all_their_steps(mini):
    mini_paper.record()
    results = Results("mini")
    assert results.sample("table1", "plain", "loss", [0, 1]).numbers[0] == pytest.approx(1.5)
    assert results.sample("table1", "plain", "loss", [0, 99]).n == 0
    assert results.sample("table1", "plain", "no such metric").n == 0
    assert results.sample("table1", "plain", "loss", []).n == 0
    assert results.last("table1", "plain", "loss").numbers[0] == pytest.approx(0.5)
    assert results.settings("table1", "turned") == [False, True]
    assert results.settings("table1", "turned", "turned") == [True]


def test_curves_have_a_row_per_seed_and_a_column_per_step(mini):
    mini_paper.record(seeds=3)
    file = paths.collected("mini", "table1", "paper")
    head, *lines = file.read_text().splitlines()
    lost = [line for line in lines if ",plain,1,loss,2," not in line]
    file.write_text("\n".join([head, *reversed(lost)]) + "\n")
    mini_paper.sign()
    curves = Results("mini").curves("table1", "plain", "loss")
    assert (curves.index.name, curves.columns.name) == ("seed", "step")
    assert (curves.index.tolist(), curves.columns.tolist()) == ([0, 1, 2], [0.0, 1.0, 2.0, 3.0])
    expected = np.array([[2.0 / (step + 1) + seed / 10 for step in range(4)] for seed in range(3)])
    expected[1, 2] = np.nan
    assert np.array_equal(curves.to_numpy(), expected, equal_nan=True)
    assert list(Results("mini").sample("table1", "plain", "loss").values) == [0, 2]
    single = Results("mini").curves("table1", "plain", "error")
    assert single.columns.tolist() == [0.0], "a metric without steps"


def test_two_values_at_one_step_are_refused(mini):
    mini_paper.record()
    file = paths.collected("mini", "table1", "paper")
    text = file.read_text()
    line = next(line for line in text.splitlines() if ",plain,1,loss,2," in line)
    file.write_text(f"{text}{line}\n")
    mini_paper.sign()
    with pytest.raises(UserError, match="plain has loss twice for one seed and step; collect it again"):
        Results("mini").curves("table1", "plain", "loss")


def test_pictures_are_square_arrays_of_the_first_seed(mini):
    mini_paper.record()
    results = Results("mini")
    found = results.picture("table1", "plain", "loss")  # four values
    assert found == pytest.approx(np.array([[2.0, 1.0], [2 / 3, 0.5]]))
    assert results.picture("table1", "plain", "no such metric") is None
    file = mini / "pipelines/mini/results/paper/table1.csv"
    lines = [line for line in file.read_text().splitlines() if ",plain,0,loss,3," not in line]
    file.write_text("\n".join(lines) + "\n")
    mini_paper.sign()
    assert Results("mini").picture("table1", "plain", "loss") is None, "a pixel is missing"


def test_mistakes_are_user_errors(mini):
    with pytest.raises(UserError, match="unknown experiment 'tabel1'; did you mean 'table1'"):
        Results("mini").frame("tabel1")
    with pytest.raises(UserError, match="unknown paper"):
        render.render("maxi")
