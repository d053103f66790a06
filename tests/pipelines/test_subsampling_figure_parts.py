"""What the figures of the subsampling paper draw: curves, errors on log axes, pictures, the size atlas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from invented_subsampling import Invented, report

from pipelines.subsampling import (
    arms,
    figures,
    figures_angles,
    figures_atlas,
    figures_common,
    figures_invariance,
    figures_pictures,
    figures_training,
)
from shared.report.results import Results


def drawn(results):
    return {figure.name: figure for figure in figures.figures(results) if figure.draw}


@pytest.fixture(scope="module")
def full():
    return report(seeds=2)


# -- curves over angles ------------------------------------------------------------------------------------


def test_the_curve_closes_at_360_degrees(full):
    frame = figures_common.accuracies(full, "figure5", "upright")
    one = frame[(frame["network"] == arms.EXACT) & (frame["seed"] == 0)].set_index("angle")["accuracy"]
    assert one[0.0] == one[360.0]
    assert len(one) == 37


def test_dashed_curves_are_the_papers(full):
    shown = figures_common.reference(full, "figure5", arms.EXACT)
    assert shown.shape == (37, 2)
    assert shown[0, 1] == shown[-1, 1] == 97.56
    assert len(figures_common.reference(report(demo=True), "figure5", arms.EXACT)) == 0


@pytest.mark.parametrize(("std", "low"), [(20, 53.04), (40, 75.59)])
def test_figure_6_finds_the_papers_curves(full, std, low):
    shown = figures_common.reference(full, "figure6", arms.biased("p4cnn_27", std))
    assert shown.shape == (37, 2)
    assert shown[np.flatnonzero(shown[:, 0] == 230), 1] == low


@pytest.mark.parametrize("std", [5.0, 20.0, 40.0, 150.0])
def test_training_angles_have_a_density_on_the_circle(std):
    angles = np.arange(360.0)
    density = figures_angles.wrapped_normal(angles, 45.0, std)
    assert density.sum() == pytest.approx(1.0, rel=1e-6)
    assert figures_angles.wrapped_normal(angles + 360, 45.0, std) == pytest.approx(density, rel=1e-3)
    assert angles[density.argmax()] == 45.0
    draws = np.random.default_rng(0).normal(45.0, std, 200_000) % 360
    share = figures_angles.wrapped_normal(np.arange(30.5, 60.5), 45.0, std).sum()
    assert share == pytest.approx(((draws >= 30) & (draws < 60)).mean(), abs=0.01)


def test_seeds_of_several_tiers():
    rows = [("a", 0, "lite"), ("a", 1, "lite"), ("b", 0, "paper")]
    frame = pd.DataFrame(rows, columns=["network", "seed", "tier"])
    assert figures_common.seeds(frame) == "1 to 2 seeds (lite and paper)"
    assert figures_common.seeds(frame[2:]) == "1 seed (paper)"


# -- errors on log axes ------------------------------------------------------------------------------------


def test_zero_has_a_band_below_the_smallest_error():
    decades = figures_common.Decades.of([0.0, 3e-7, 0.2])
    assert (decades.low, decades.high, decades.zero) == (-7, 0, True)
    placed = decades.place(np.array([0.0, 3e-7]))
    assert placed[0] == decades.floor < 1e-7
    assert placed[1] == 3e-7
    assert not figures_common.Decades.of([1e-3]).zero
    assert figures_common.Decades.of([0.0]).zero
    for broken in ([-1.0], [float("nan")]):
        with pytest.raises(ValueError, match="not negative"):
            figures_common.Decades.of(broken)


def test_errors_of_exactly_zero_are_drawn_in_the_band():
    figure = drawn(report(seeds=2, exact_error=0.0, only=("repair",)))["repair"].draw()
    below = figure.axes[1]
    assert below.get_yticklabels()[0].get_text() == "0"
    lowest = min(line.get_ydata().min() for line in below.lines if len(line.get_ydata()))
    assert below.get_ylim()[0] < lowest == below.get_yticks()[0]


def test_figure_4_draws_exact_zeros_and_enlarges_what_is_broken():
    figure = drawn(report(seeds=2, exact_error=0.0, only=("figure4",)))["figure4"].draw()
    panels = figure.axes[:3]
    counts = [len(axes.get_lines()) for axes in panels]
    assert counts == [5, 2, 4], "four stages and an entry of the legend, the two broken ones, four stages"
    for axes, zeros in zip(panels, (2, 0, 4)):
        curves = [line.get_ydata() for line in axes.get_lines() if len(line.get_ydata())]
        assert (axes.get_yticklabels()[0].get_text() == "0") == (zeros > 0)
        assert sum((curve == axes.get_yticks()[0]).all() for curve in curves) == zeros
    enlarged = [line.get_ydata()[[0, -1]] for line in panels[1].get_lines()]
    assert np.allclose(enlarged, 2 * 0.05 * 1.005 * np.array([1.0, 4.0])), "mse, mean of two seeds"
    titles = ["32 pixels: approximate", "32 pixels: enlarged", "33 pixels: exact"]
    assert [axes.get_title() for axes in panels] == titles


def test_figure_4_falls_back_on_the_reduced_network():
    results = report(seeds=2, tiers=("lite",), only=("table2_reduced",))
    figure = drawn(results)["figure4_readings"]
    assert "a reduced p4 ResNet of one block a stage on CIFAR-10" in figure.caption
    assert "2 seeds (lite)" in figure.caption
    assert figure.commands == ("python -m pipelines.subsampling run table2_reduced --tier lite",)
    assert figure.draw().axes


def test_stages_that_are_broken():
    frames = {"a": [1e-9, 2e-9], "b": [1e-3, 2e-4], "c": [0.0, 0.0], "d": [3e-6, 1e-9], "e": []}
    stages = {stage: pd.DataFrame({"value": values}) for stage, values in frames.items()}
    assert list(figures_training.broken(stages)) == ["b", "d"]
    assert figures_training.broken({"c": stages["c"]}) == {}


def test_each_training_is_one_point(full):
    points = figures_invariance.lost_by_error(full)
    assert points["run"].is_unique
    one = points[points["run"] == "p4cnn_27_upright-1"].iloc[0]
    assert (one["verdict"], one["trained"], one["before"], one["after"]) == (
        "approximate",
        "upright digits",
        3e-2,
        0.4,
    )
    curve = full.curves("table1", "p4cnn_27_upright", "accuracy").loc[1]
    assert one["lost"] == pytest.approx(curve[0] - (curve[90] + curve[180] + curve[270]) / 3)
    assert points.loc[points["verdict"] == "exact", "lost"].abs().max() < 1e-9
    assert {"p4cnn_29_pool-0", "z2cnn_28_biased40_image-0", "p4cnn_34-1"} <= set(points["run"])
    assert set(points["trained"]) == set(figures_invariance.MARKERS)


def test_verdicts_of_arms():
    words = {"p4cnn_27_resize": "exact", "p4cnn_27_circular": "approximate", "z2cnn_28_upright": "none"}
    assert {name: figures_invariance.verdict_of(name) for name in words} == words
    assert figures_invariance.verdict_of("toy_32") is None


# -- pictures and the atlas --------------------------------------------------------------------------------


def test_pictures_are_read_row_by_row(full):
    found = figures_pictures.pictures(full, "toy_33")
    sides = {"input": 33, "filter": 3, "map": 17, "map_of_rotated": 17}
    assert {name: panel.shape for name, panel in found.items()} == {n: (s, s) for n, s in sides.items()}
    assert found["filter"][0, 1] == pytest.approx(7919 % 13 / 13)


def test_a_picture_with_missing_pixels_is_left_out():
    class Torn(Invented):
        def toy(self):
            return [row for row in super().toy() if row[4:6] != ("map", 3)]

    found = figures_pictures.pictures(Results("subsampling", source=Torn()), "toy_33")
    assert set(found) == {"input", "filter", "map_of_rotated"}


def test_the_atlas_shows_every_network():
    named = [name for _, names, _ in figures_atlas.FAMILIES for name in names]
    assert sorted(named) == sorted(arms.INVENTORY)


def test_the_atlas_frames_the_papers_sizes():
    sizes = {
        "z2cnn": (28,),
        "p4cnn": (27, 28, 29),
        "p4mcnn": (),
        "toy": (32, 33),
        "resnet44_cifar100": (32,),
        "p4resnet44_pcam": (96, 97),
        "p4resnet18_imagenet_standard": (224, 225),
    }
    assert {name: figures_atlas.used(name) for name in sizes} == sizes


def test_verdicts_of_the_atlas(full):
    found = figures_atlas.verdicts(full, "p4cnn")
    assert (found[28], found[27]) == (("exact", 0), ("approximate", 2))
    assert figures_atlas.shown(found, (27, 29)) == list(range(20, 37))
    assert figures_atlas.period(found) == 2
    assert figures_atlas.period({28: found[28]}) == 0


def test_an_image_that_is_too_small_has_no_verdict():
    class Small(Invented):
        def rows(self, experiment):
            rows = super().rows(experiment)
            return [(*row[:6], 0.0) if row[4:6] == ("fits", 21) else row for row in rows]

    found = figures_atlas.verdicts(Results("subsampling", source=Small(seeds=2)), "p4cnn")
    assert (found[20], found[21], found[23]) == (("exact", 0), ("does not fit", 0), ("approximate", 2))


@pytest.mark.parametrize(
    ("name", "stage", "letter"),
    [("p4cnn", 2, "P"), ("toy", 1, "C"), ("p4resnet44_pcam", 1, "S"), ("resnet18_imagenet", 3, "2")],
)
def test_the_atlas_says_what_breaks_first(name, stage, letter):
    assert figures_atlas.breaker(name, stage) == letter
