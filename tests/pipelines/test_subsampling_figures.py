"""Figures of the subsampling paper: the sets behind Figure 1, what is drawn, and that it can be drawn."""

from __future__ import annotations

import functools
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.subsampling import (
    arms,
    figures,
    figures_angles,
    figures_atlas,
    figures_common,
    figures_invariance,
    figures_pictures,
    figures_training,
    figures_windows,
)
from shared import config
from shared.report.figures import render
from shared.report.palette import SWAPS
from shared.report.results import COLUMNS, Results

EXACT_ERROR, BROKEN_ERROR = 2e-7, 3e-3


class Invented:
    """Results of all declared experiments; the numbers of an arm follow from its verdict.

    Args:
        seeds: how many.
        tiers: at which there are results.
        without: experiments, and arms as experiment/arm, that have none.
        angles: test angles.
        zero: whether exact errors are 0 to the bit.
    """

    def __init__(self, seeds=2, tiers=("paper",), without=(), angles=range(0, 360, 30), zero=False):
        self.seeds, self.tiers, self.without, self.angles = seeds, tiers, set(without), angles
        self.exact_error = 0.0 if zero else EXACT_ERROR

    @functools.cache  # noqa: B019 (a handful of small objects)
    def read(self, paper, experiment, tier):
        rows = []
        if tier in self.tiers and experiment not in self.without:
            for name in config.load(paper).experiment(experiment).arms:
                if f"{experiment}/{name}" not in self.without:
                    rows += [
                        (f"{name}-{seed}", experiment, name, seed, *row)
                        for seed in range(self.seeds)
                        for row in self.arm(experiment, name, seed)
                    ]
        frame = pd.DataFrame(rows, columns=COLUMNS)
        return frame.astype({"seed": "int64", "step": "float64", "value": "float64"})

    def environments(self, paper, experiment, tier):
        return {}

    def arm(self, experiment, name, seed):
        if experiment in ("figure2", "figure3"):
            metrics = [*(m for _, m, _ in figures_pictures.CROPS), *(m for m, _ in figures_pictures.PANELS)]
            return [(metric, i, (i * 7919 % 13) / 13) for metric in dict.fromkeys(metrics) for i in range(49)]
        if experiment == "networks":
            return list(self.inventory(name))
        if experiment in ("figure4", "table2_reduced"):
            return [*self.trained(name, seed, False), *self.tracked(name)]
        return list(self.trained(name, seed, experiment == "mirrors"))

    def trained(self, name, seed, mirrored):
        exact = figures_invariance.verdict_of(name) == "exact"
        for angle in self.angles:
            lost = 0.0 if exact else 20.0 * (1 - math.cos(math.radians(angle)))
            yield "accuracy", angle, 95.0 + seed - lost
            if mirrored:
                yield "mirrored_accuracy", angle, 90.0 + seed - lost
        for epoch in (0, 50):
            yield "invariance_error", epoch, self.exact_error if exact else BROKEN_ERROR * (1 + epoch)

    def tracked(self, name):
        exact = figures_invariance.verdict_of(name) == "exact"
        for epoch in range(4):
            yield "tracked_accuracy", epoch, 20.0 * epoch
            for number, stage in enumerate(arms.STAGES):
                error = self.exact_error if exact or number < 2 else BROKEN_ERROR
                yield from ((f"{reading}_{stage}", epoch, error) for reading in arms.READINGS)

    def inventory(self, name):
        sides = figures_atlas.used(name) or (28,)
        for size in range(min(sides) - 8, max(sides) + 9):
            yield "exact", size, float(size % 4 == 1)
            yield "fits", size, float(size > min(sides) - 8)
            yield "breaks_stage", size, float(0 if size % 4 == 1 else 1 + size % 2)


def report(demo=False, **options):
    return Results("subsampling", demo, Invented(**({"tiers": ("demo",)} if demo else {}) | options))


def drawn(results):
    return {figure.name: figure for figure in figures.figures(results) if figure.draw}


@pytest.fixture(scope="module")
def full():
    return report()


# -- Figure 1 ----------------------------------------------------------------------------------------------


def pool(image, kernel, stride):
    """Max pooling by two loops."""
    cells = (len(image) - kernel) // stride + 1
    place = [stride * cell for cell in range(cells)]
    return np.array([[image[a : a + kernel, b : b + kernel].max() for b in place] for a in place])


def test_windows_of_five_pixels():
    found = figures_windows.windows(5, 2, 2)
    assert found.tolist() == [[[0, 1, 5, 6], [2, 3, 7, 8]], [[10, 11, 15, 16], [12, 13, 17, 18]]]
    turned = figures_windows.turn_then_pool(5, 2, 2)
    assert turned[0, 0].tolist() == [3, 4, 8, 9], "the top left window of T x holds x's top right pixels"
    assert figures_windows.pool_then_turn(5, 2, 2)[0, 0].tolist() == [2, 3, 7, 8]


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_the_sets_are_those_of_pooling(extra, kernel, stride, seed):
    size = kernel + extra - 1
    image = np.random.default_rng(seed).permutation(size * size)
    square = image.reshape(size, size)
    first, last = (
        image[sets(size, kernel, stride)].max(-1)
        for sets in (figures_windows.pool_then_turn, figures_windows.turn_then_pool)
    )
    assert (first == np.rot90(pool(square, kernel, stride))).all()
    assert (last == pool(np.rot90(square), kernel, stride)).all()


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_the_sets_agree_exactly_where_the_remainder_is_zero(kernel, stride):
    for size in range(kernel, 14):
        first, last = (
            sets(size, kernel, stride)
            for sets in (figures_windows.pool_then_turn, figures_windows.turn_then_pool)
        )
        assert (first == last).all() == ((size - kernel) % stride == 0), size


def test_owners_color_every_pixel_that_is_read():
    found = figures_windows.owners(5, figures_windows.windows(5, 2, 2))
    expected = [[0, 0, 1, 1, -1], [0, 0, 1, 1, -1], [2, 2, 3, 3, -1], [2, 2, 3, 3, -1], [-1] * 5]
    assert found.tolist() == expected


def test_a_kernel_larger_than_the_image_is_an_error():
    with pytest.raises(ValueError, match="choose a larger size"):
        figures_windows.windows(2, 3, 1)


# -- all figures -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rendered(full):
    return {name: render(figure) for name, figure in drawn(full).items()}


def test_every_figure_is_drawn_and_the_same_bytes_again(full, rendered):
    assert set(rendered) == {figure.name for figure in figures.figures(full)}
    again = {name: render(figure) for name, figure in drawn(report()).items()}
    assert [name for name in rendered if rendered[name] != again[name]] == []


def test_dark_mode_knows_every_color(rendered):
    """Other colors would stay as they are when the page turns dark."""
    for name, (svg, _) in rendered.items():
        colors = set(re.findall(r"#[0-9a-f]{6}\b", svg)) - {"#ffffff"}  # the ground, which the page removes
        assert colors <= set(SWAPS), name
        assert len(colors) > 1, name


def test_captions_name_tier_and_seeds(full):
    captions = {figure.name: figure.caption for figure in figures.figures(full)}
    untrained = {"figure1", "figure2", "figure3", "atlas", "invariance"}
    assert {name for name, caption in captions.items() if "2 seeds (paper)" not in caption} == untrained
    assert re.search(r": \d+ trainings \(paper\)", captions["invariance"])
    assert "MNIST (the first seed's, paper)" in captions["figure2"]


def test_nothing_recorded_means_the_command_and_figure_1():
    found = figures.figures(report(tiers=()))
    assert [figure.name for figure in found if figure.draw] == ["figure1"]
    for figure in found[1:]:
        assert figure.footnotes()[0].startswith(
            "Not run yet; computed by `python -m pipelines.subsampling run"
        )


def test_the_demo_is_never_beside_the_paper():
    results = report(demo=True, seeds=1, angles=(0, 90, 180, 270))
    for name, figure in drawn(results).items():
        figure.draw()
        assert "authors' logs" not in figure.caption, name
        if name not in ("figure1", "figure2", "figure3", "atlas"):
            assert "not comparable with the paper" in figure.caption, name


def missing():
    """Every second arm of each experiment."""
    declared = config.load("subsampling").experiments.values()
    return [f"{experiment.name}/{name}" for experiment in declared for name in experiment.arms[::2]]


def test_figures_are_drawn_without_some_arms(full):
    few = drawn(report(without=missing()))
    assert set(few) == set(drawn(full))
    assert all(figure.draw().axes for figure in few.values())


@pytest.mark.parametrize("experiment", ["sizes", "figure6", "networks", "repair"])
def test_a_missing_experiment_takes_its_own_figure_only(full, experiment):
    gone = set(drawn(full)) - set(drawn(report(without=[experiment])))
    assert gone == {{"networks": "atlas"}.get(experiment, experiment)}


# -- curves over angles ------------------------------------------------------------------------------------


def test_the_curve_closes_at_360_degrees(full):
    frame = figures_common.accuracies(full, "figure5", "upright")
    one = frame[(frame["network"] == arms.EXACT) & (frame["seed"] == 0)].set_index("angle")["accuracy"]
    assert one[0.0] == one[360.0]
    assert len(one) == 13


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
    figure = drawn(report(zero=True))["repair"].draw()
    below = figure.axes[1]
    assert below.get_yticklabels()[0].get_text() == "0"
    lowest = min(line.get_ydata().min() for line in below.lines if len(line.get_ydata()))
    assert below.get_ylim()[0] < lowest == below.get_yticks()[0]


def test_figure_4_draws_exact_zeros_and_enlarges_what_is_broken():
    figure = drawn(report(zero=True))["figure4"].draw()
    left, middle, right = figure.axes[:3]
    assert [len(axes.get_lines()) for axes in (left, middle, right)] == [5, 2, 4], "one is for the legend"
    for axes, zeros in ((left, 2), (right, 4)):
        place = axes.get_yticks()[0]
        assert axes.get_yticklabels()[0].get_text() == "0"
        assert (
            sum((line.get_ydata() == place).all() for line in axes.get_lines() if len(line.get_ydata()))
            == zeros
        )
    assert all((line.get_ydata() == BROKEN_ERROR).all() for line in middle.get_lines())
    assert [axes.get_title() for axes in (left, middle, right)] == [
        "32 pixels: approximate",
        "32 pixels: enlarged",
        "33 pixels: exact",
    ]


def test_figure_4_falls_back_on_the_reduced_network():
    assert figures_training.source(report())[0] == "figure4"
    results = report(without=["figure4"], tiers=("paper", "lite"))
    assert figures_training.source(results)[:2] == ("table2_reduced", arms.REDUCED[:2])
    figure = drawn(results)["figure4_readings"]
    assert "a reduced p4 ResNet of one block a stage on CIFAR-10" in figure.caption
    assert len(figure.commands) == 2
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
    assert (one["verdict"], one["trained"]) == ("approximate", "upright digits")
    assert one["before"] == BROKEN_ERROR
    assert one["after"] == 51 * BROKEN_ERROR
    assert one["lost"] == pytest.approx((20 + 40 + 20) / 3)
    assert points.loc[points["verdict"] == "exact", "lost"].abs().max() == 0
    assert {"p4cnn_29_pool-0", "z2cnn_28_biased40_image-0", "p4cnn_34-1"} <= set(points["run"])


def test_verdicts_of_arms():
    words = {"p4cnn_27_resize": "exact", "p4cnn_27_circular": "approximate", "z2cnn_28_upright": "none"}
    assert {name: figures_invariance.verdict_of(name) for name in words} == words
    assert figures_invariance.verdict_of("toy_32") is None


# -- pictures and the atlas --------------------------------------------------------------------------------


def test_pictures_are_read_row_by_row(full):
    found = figures_pictures.pictures(full, "toy_33")
    assert {name: panel.shape for name, panel in found.items()} == dict.fromkeys(found, (7, 7))
    assert found["filter"][1, 0] == pytest.approx(7 * 7919 % 13 / 13)
    assert set(found) == {metric for metric, _ in figures_pictures.PANELS}


def test_a_picture_with_missing_pixels_is_left_out():
    class Torn(Invented):
        def arm(self, experiment, name, seed):
            return [row for row in super().arm(experiment, name, seed) if row[:2] != ("map", 3)]

    found = figures_pictures.pictures(Results("subsampling", source=Torn()), "toy_33")
    assert set(found) == {"input", "filter", "map_of_rotated"}


def test_the_atlas_shows_every_network():
    named = [name for _, names, _ in figures_atlas.FAMILIES for name in names]
    assert sorted(named) == sorted(arms.INVENTORY)
    titles = {name: figures_atlas.title_of(name) for name in named}
    assert len(set(titles.values())) == len(titles)
    assert titles["p4resnet18_imagenet_standard"] == "p4 ResNet-18, ImageNet, standard stem"


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
    assert found[29] == ("exact", 0)
    assert found[27] == ("approximate", 2)
    assert found[19].word == "does not fit"
    assert figures_atlas.period(found) == 4
    assert figures_atlas.shown(found, (27, 29)) == list(range(19, 38))
    assert figures_atlas.period({29: found[29]}) == 0
