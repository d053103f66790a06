"""Cells of the subsampling report on digits: the error of testing on fewer images, protocol, spread, CSV."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from invented_subsampling import ANGLES, Invented, report

from pipelines.subsampling import quantities, sampling, studies, studies_logs, tables
from pipelines.subsampling.arms import EXACT, SIZES, arm, biased
from pipelines.subsampling.quantities import ACCURACY, LOST, MEAN36, UPRIGHT
from shared.report.build import Line, Place, gap
from shared.report.markdown import to_csv
from shared.report.results import Results
from shared.report.tables import Sample
from shared.runs import config


def test_fewer_test_images_widen_the_interval():
    def half(test_images):
        results = report(seeds=5, test_images=test_images)
        cell = UPRIGHT.cell(results, ("table1", arm(EXACT, "upright")), ("table1", EXACT, "mnist"))
        return (cell.verdict.high - cell.verdict.low) / 2

    assert half(2000) > half(10_000) > half(60_000)


def test_a_cell_that_needs_more_images_does_not_ask_for_more_runs():
    def note(test_images):
        cells = tables.table1(report(seeds=60, test_images=test_images)).cells()
        return next(cell.note for row, c, cell in cells if (row.key, c.key) == (EXACT, "rotmnist_mean36"))

    assert "more runs would not decide" in note(2000)
    assert note(60_000) == "notebook: 96.74 ± 0.12, n = 10"


def test_the_error_of_a_subset_is_that_of_simulated_subsets():
    rng = np.random.default_rng(0)
    results, what, where = (
        report(seeds=3, test_images=2000),
        ACCURACY.at(10.0),
        ("table1", arm(EXACT, "upright")),
    )
    correct = np.arange(60_000) < what.of(results, where).summary.mean / 100 * 60_000
    simulated = np.std([100 * rng.permutation(correct)[:2000].mean() for _ in range(400)])
    computed = what.shared_error(results, where)
    assert computed == pytest.approx(simulated, rel=0.15)


class Recorded:
    """Results of the experiment ``sampling`` alone: what each seed of an arm gets right."""

    def __init__(self, right):
        self.right, self.declared = right, config.load("subsampling")

    def curves(self, experiment, arm, metric):
        if metric == "accuracy":
            return pd.DataFrame([[0.0] * 36], columns=[float(angle) for angle in ANGLES])
        packed = [(one.astype(np.int64) << np.arange(36)).sum(1).astype(float) for one in self.right[arm]]
        return pd.DataFrame(packed)


def draw(rng, images, seeds, other=0.0):
    """Images that are hard at angles of their own, to all seeds a little alike; (seeds, images, angles)."""
    hard = rng.normal(1.0, 1.0, (images, 1)) + rng.normal(0, 1.0, (images, 36)) + other
    return (hard + rng.normal(0, 1.5, (seeds, images, 36)) > 0).astype(int)


def test_the_error_of_drawn_images_is_measured_and_not_that_of_counting():
    """Of a mean over angles and seeds, by drawing other images again and again; in one seed, and two arms."""
    rng = np.random.default_rng(3)
    first, second = draw(np.random.default_rng(1), 4000, 4), draw(np.random.default_rng(1), 4000, 4, -0.3)
    results = Recorded({"z2cnn_28_upright": first, "p4cnn_28_upright": second})
    for arms, right in (
        (("z2cnn_28_upright",), first.mean((0, 2))),
        (("z2cnn_28_upright", "p4cnn_28_upright"), (first - second).mean((0, 2))),
    ):
        rates = [results.right[name].mean() for name in arms]
        found = sampling.deviation(results, arms, ANGLES, rates)
        drawn = [rng.choice(right, 400).mean() for _ in range(2000)]
        by_seed = (first - (second if len(arms) == 2 else 0)).mean(2)
        between = by_seed.var(0, ddof=1).mean() / len(by_seed)  # what differs between seeds is not shared
        assert np.sqrt((found**2 + between) / 400) == pytest.approx(np.std(drawn), rel=0.06)
        assert found < 0.8 * np.sqrt(sum(rate * (1 - rate) for rate in rates))


def test_images_that_are_right_at_all_angles_or_none_have_the_error_of_counting():
    alike = np.repeat(np.arange(400)[None, :, None] % 5 > 0, 2, 0).repeat(36, 2).astype(int)
    results = Recorded({"z2cnn_28_upright": alike, "p4cnn_28_upright": alike[:1]})
    assert sampling.factor(results, ("z2cnn_28_upright",), tuple(ANGLES)) == pytest.approx(1.0, rel=0.01)
    assert sampling.factor(results, ("z2cnn_28_upright",), (0,)) == pytest.approx(1.0, rel=0.01)
    assert sampling.factor(results, ("p4cnn_28_upright",), (0,)) is None, "one seed has no pair"
    assert sampling.deviation(results, ("p4cnn_28_upright",), (0,), [0.8]) == pytest.approx(0.4)
    assert sampling.factor(results, ("p4cnn_27",), (0,)) is None


def test_rows_of_two_protocols_are_told_apart(monkeypatch):
    results = report(seeds=3)
    assert "not to be compared" not in tables.figure6(results).caption
    said = {"figure6": "Ours: 50 epochs.", "figure6_images": "Ours: 10 epochs."}
    monkeypatch.setattr(tables, "on_digits", lambda results, experiment: said[experiment])
    assert tables.figure6(results).caption.endswith(
        "Ours: 50 epochs (one angle per batch). Ours: 10 epochs (one angle per image). "
        "So these two kinds of rows are not to be compared with each other; the next table has both by one "
        "protocol."
    )


def test_the_two_ways_of_drawing_angles_are_compared_within_one_tier():
    class Mixed(Invented):
        """One angle per batch at both tiers, one per image at the lower tier only."""

        def read(self, paper, experiment, tier):
            found = super().read(paper, experiment, tier)
            if tier == "lite":
                return found.assign(value=found["value"] - 1 - (experiment == "figure6_images"))
            return found if experiment == "figure6" else found.iloc[:0]

    results = Results("subsampling", source=Mixed(seeds=3, tiers=("lite", "paper")))
    assert results.tier("figure6", biased(EXACT, 20)) == "paper"
    table = studies.batch_or_image(results)
    cells = {(row.key, column.key): cell for row, column, cell in table.cells()}
    assert table.commands[0].endswith("run figure6 --tier lite")
    for key in {row for row, _ in cells}:
        assert {cells[key, name].sample.tier for name in ("figure6", "figure6_images")} == {"lite"}
        for column in ("change", "turned", "upright"):
            assert cells[key, column].text.startswith("-1.00 [")
    assert results.at("lite").asked is results.asked


def test_the_caption_tells_the_recorded_protocol():
    caption = tables.table1(report(test_images=2000)).caption
    assert "50 epochs in batches of 256, 8,000 training images, 2,000 test images, float32" in caption


def test_spread_between_seeds_is_the_papers():
    like_the_logs = report(only=("figure5",))
    assert quantities.logged_spread(like_the_logs, EXACT) == pytest.approx(1.35, abs=0.01)
    shown = {row.key: row.cells[-1].text for row in tables.figure5(like_the_logs).rows}
    assert shown[EXACT] == "1.36\npaper: 1.35", "ours has n - 1 in the denominator"


def test_csv_of_table_1_repeats_the_numbers():
    like_the_logs = report(only=("table1",))
    lines = to_csv(tables.table1(like_the_logs)).splitlines()
    assert any(line.startswith("p4cnn_28,rotmnist,96.89 ± 0.21,96.89,0.211") for line in lines)


def test_changes_are_given_within_one_tier_only():
    first, second = Sample({0: 97.0, 1: 98.0, 2: 97.5}, "lite"), Sample({0: 96.0, 1: 96.0, 2: 96.5}, "lite")
    assert gap(first, second).startswith("+1.33 [")
    assert gap(first, Sample(second.values, "paper")) == "-"
    assert gap(first, Sample()) == "-"


def test_a_mean_over_all_angles_needs_all_angles():
    results = report(seeds=3, only=("sizes", "repair"))  # sizes are tested at the quarter turns only

    def mean36(results, experiment, name):
        return MEAN36.fill(Place(results, experiment, experiment, Line(name, ""), "mean36"))

    assert mean36(results, "sizes", SIZES[0]).text == "-"
    assert mean36(results, "repair", EXACT).sample.summary.mean == pytest.approx(97.0)
    assert mean36(report(tiers=()), "sizes", SIZES[0]).not_run


def test_points_lost_are_those_at_the_other_turns():
    lost = LOST.of(report(seeds=3, only=("sizes",)), ("sizes", "p4cnn_27"))
    assert lost.numbers == pytest.approx([20.0] * 3)


def test_ways_of_turning_stand_beside_the_logs():
    def shown(cell):
        return cell if isinstance(cell, str) else cell.text

    rows = {row.key: [shown(c) for c in row.cells] for row in studies_logs.turns(report(seeds=5)).rows}
    printed = ("91.60 ± 1.25, n = 100", "89.21 ± 1.76, n = 100", "89.39 ± 1.55, n = 100")
    assert rows["logs"] == [printed[0], "-", *printed[1:], "-", "+3.20", "2.04"]
    ours = rows["z2cnn_28_each_batch"]  # invented: 97 % at 0 degrees and 77 elsewhere, so 77.56 over angles
    assert ours[1].startswith("+5.40 [")
    assert ours[3].startswith("77.56 ± 0.22")
    assert ours[4].startswith("-11.83 [")
    assert ours[5:] == ["20.00 ± 0.00", "0.22"]
    assert studies_logs.turns(report(tiers=())).rows[1].cells[4] == "-"
