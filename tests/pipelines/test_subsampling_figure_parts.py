"""What the figures of the subsampling paper draw: curves, errors on log axes, pictures, the size atlas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from invented_subsampling import Invented, report
from matplotlib.colors import to_hex

from pipelines.subsampling import arms, figures, figures_studies
from shared.report import plots
from shared.report.results import Results, difference
from shared.report.theme import SERIES


def drawn(results):
    return {figure.name: figure for figure in figures.figures(results) if figure.draw}


@pytest.fixture(scope="module")
def full():
    return report(seeds=2)


# -- curves over angles ------------------------------------------------------------------------------------


def angles_of(results, experiment="figure5", training="upright", rows=None):
    names = {network: arms.arm(network, training) for network in arms.NETWORKS}
    return {s.name: s for s in figures.by_angle(results, experiment, names, experiment, rows or {})}


def test_the_curve_closes_at_360_degrees(full):
    one = angles_of(full)[arms.EXACT].values.loc[0]
    assert one[0.0] == one[360.0]
    assert len(one) == 37


def test_dashed_curves_are_the_papers(full):
    shown = angles_of(full)[arms.EXACT].paper
    assert shown.shape == (37, 2)
    assert shown[0, 1] == shown[-1, 1] == 97.56
    assert len(angles_of(report(demo=True))[arms.EXACT].paper) == 0


@pytest.mark.parametrize(("std", "low"), [(20, 53.04), (40, 75.59)])
def test_figure_6_finds_the_papers_curves(full, std, low):
    names = {network: arms.biased(network, std) for network in arms.NETWORKS}
    found = figures.by_angle(full, "figure6", names, "figure6", names)
    shown = next(one for one in found if one.name == "p4cnn_27").paper
    assert shown.shape == (37, 2)
    assert shown[np.flatnonzero(shown[:, 0] == 230), 1] == low


def test_exact_minus_approximate_is_taken_seed_by_seed(full):
    found = angles_of(full, "table1", "uniform")
    for gap in figures.exact_minus_approximate([*found.values()]):
        exact, other = found[arms.EXACT], found[gap.name]
        assert gap.values.loc[1, 90.0] == exact.values.loc[1, 90.0] - other.values.loc[1, 90.0]
        assert len(gap.paper) == len(exact.paper)
    unknown = plots.Series("p4cnn_27", plots.Look("", SERIES[0]), other.values)
    gaps = figures.exact_minus_approximate([found[arms.EXACT], unknown, found["p4cnn_29"]])
    assert [len(gap.paper) for gap in gaps] == [0, len(exact.paper)], "nothing to subtract from"


@pytest.mark.parametrize("std", [5.0, 20.0, 40.0, 150.0])
def test_training_angles_have_a_density_on_the_circle(std):
    angles = np.arange(360.0)
    density = figures.wrapped_normal(angles, 45.0, std)
    assert density.sum() == pytest.approx(1.0, rel=1e-6)
    assert figures.wrapped_normal(angles + 360, 45.0, std) == pytest.approx(density, rel=1e-3)
    assert angles[density.argmax()] == 45.0
    draws = np.random.default_rng(0).normal(45.0, std, 200_000) % 360
    share = figures.wrapped_normal(np.arange(30.5, 60.5), 45.0, std).sum()
    assert share == pytest.approx(((draws >= 30) & (draws < 60)).mean(), abs=0.01)


# -- what is drawn is what the results say: one figure of each kind ----------------------------------------


def lines(axes, label=None):
    """The lines of a panel as arrays (n, 2), those of error bars left out; of one label if asked for."""
    found = [line for line in axes.lines if line.get_label() != "_nolegend_" and len(line.get_xdata())]
    return [line.get_xydata() for line in found if label in (None, line.get_label())]


def means(results, experiment, name, steps, metric="accuracy"):
    return results.curves(experiment, name, metric)[[float(step) for step in steps]].mean().to_numpy()


def test_curves_over_angles_are_the_results_and_the_papers(full):
    (axes,) = drawn(full)["figure5"].draw().axes
    for network, look in figures.LOOKS.items():
        (ours,) = lines(axes, look.label)
        assert ours[:, 0].tolist() == list(range(0, 361, 10))
        expected = means(full, "figure5", arms.arm(network, "upright"), arms.ANGLES)
        assert ours[:36, 1] == pytest.approx(expected)
        paper = [full.published("figure5", network, str(angle)).value for angle in arms.ANGLES]
        assert any(line[:36, 1].tolist() == paper for line in lines(axes) if len(line) == 37)


def test_gaps_have_the_interval_that_the_tables_have(full):
    _, right = drawn(full)["table1_angles"].draw().axes
    exact, other = (full.sample("table1", f"p4cnn_{side}_uniform", "accuracy", [90]) for side in (28, 27))
    low, high = difference(exact, other).interval()
    band = right.collections[0].get_paths()[0].vertices
    assert sorted(set(band[band[:, 0] == 90][:, 1])) == pytest.approx([low, high])
    (gap,) = lines(right, figures.LOOKS["p4cnn_27"].label)
    assert gap[gap[:, 0] == 90][0, 1] == pytest.approx((low + high) / 2)


@pytest.mark.parametrize("name", ["p4cnn_27", "p4cnn_28"])
def test_profiles_are_the_results_at_quarter_turns(full, name):
    (axes,) = drawn(full)["sizes"].draw().axes
    place = arms.SIZES.index(name)
    (profile,) = [line for line in lines(axes) if abs(line[:, 0].mean() - place) < 0.4]
    assert profile[:, 1] == pytest.approx(means(full, "sizes", name, arms.QUARTERS))


def test_repairs_show_each_seeds_error_before_and_after(full):
    _, below = drawn(full)["repair"].draw().axes
    place = figures_studies.repairs().index(("p4cnn_29", ""))
    shown = [line[:, 1].tolist() for line in lines(below) if abs(line[:, 0] - place).max() < 0.4]
    errors = full.curves("repair", "p4cnn_29", "invariance_error")
    expected = [[before, after] for before, after in zip(errors.iloc[:, 0], errors.iloc[:, -1])]
    assert shown[: len(errors)] == expected
    marks = [[value] for both in zip(*expected) for value in both]
    assert shown[len(errors) :] == marks


def test_mirrors_are_open_and_beside_their_turns(full):
    (axes,) = drawn(full)["mirrors"].draw().axes
    for number, name in enumerate(arms.MIRRORS):
        for place, metric in ((2 * number, "accuracy"), (2 * number + 0.75, "mirrored_accuracy")):
            (profile,) = [line for line in lines(axes) if abs(line[:, 0].mean() - place) < 0.3]
            assert profile[:, 1] == pytest.approx(means(full, "mirrors", name, arms.QUARTERS, metric))


def test_the_scatter_has_a_mark_for_each_training(full):
    points = figures_studies.lost_by_error(full)
    left, right = drawn(full)["invariance"].draw().axes
    for axes, column in ((left, "before"), (right, "after")):
        assert len(axes.collections) == len(figures_studies.MARKERS)
        for word, shown in zip(figures_studies.MARKERS, axes.collections):
            mine = points[points["trained"] == word]
            assert shown.get_offsets().tolist() == mine[[column, "lost"]].to_numpy(float).tolist()
            colors = [figures_studies.LOOKS[verdict].color for verdict in mine["verdict"]]
            assert [to_hex(color) for color in shown.get_facecolors()] == colors


def test_squares_of_the_atlas_are_its_verdicts(full):
    axes = drawn(full)["atlas"].draw().axes[0]
    columns = [int(label.get_text()) for label in axes.get_xticklabels()]
    squares = [to_hex(color) for color in axes.collections[0].get_facecolors()]
    colors = {"exact": SERIES[0], "approximate": SERIES[1]}
    names = figures_studies.FAMILIES["digits"][0]
    words = [figures_studies.verdicts(full, name)[size].word for name in names for size in columns]
    assert squares == [colors[word] for word in words]
    framed = [(patch.get_x(), patch.get_y()) for patch in axes.patches]
    assert set(framed) == {
        (columns.index(s), r) for r, n in enumerate(names) for s in figures_studies.used(n)
    }


# -- errors on log axes ------------------------------------------------------------------------------------


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
    assert counts == [4, 2, 4], "four stages, the two broken ones, four stages"
    for axes, zeros in zip(panels, (2, 0, 4)):
        curves = [line.get_ydata() for line in axes.get_lines() if len(line.get_ydata())]
        assert (axes.get_yticklabels()[0].get_text() == "0") == (zeros > 0)
        assert sum((curve == axes.get_yticks()[0]).all() for curve in curves) == zeros
    enlarged = [line.get_ydata()[[0, -1]] for line in panels[1].get_lines()]
    assert np.allclose(enlarged, 2 * 0.05 * 1.005 * np.array([1.0, 2.0])), "mse, mean of two seeds"
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
    stages = [
        plots.Series(stage, figures.ACCURACY, pd.DataFrame([values])) for stage, values in frames.items()
    ]
    assert [one.name for one in figures.broken(stages)] == ["b", "d"]
    assert figures.broken([stages[2]]) == []


def test_each_training_is_one_point(full):
    points = figures_studies.lost_by_error(full)
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
    assert set(points["trained"]) == set(figures_studies.MARKERS)


def test_verdicts_of_arms():
    words = {"p4cnn_27_resize": "exact", "p4cnn_27_circular": "approximate", "z2cnn_28_upright": "none"}
    assert {name: figures_studies.verdict_of(name) for name in words} == words
    assert figures_studies.verdict_of("toy_32") is None


# -- pictures and the atlas --------------------------------------------------------------------------------


def images(results, name):
    """The pictures that a figure draws, panel by panel."""
    panels = drawn(results)[name].draw().axes
    return [[np.asarray(image.get_array()) for image in axes.images] for axes in panels]


def test_pictures_are_read_row_by_row(full):
    found = [shown[0] for shown in images(full, "figure3")[4:]]
    assert [len(picture) for picture in found] == [33, 3, 17, 17]
    assert found[1][0, 1] == pytest.approx(7919 % 13 / 13)


def test_a_picture_with_missing_pixels_is_left_out():
    class Torn(Invented):
        def toy(self):
            torn = ("toy_33", "map", 3)
            return [row for row in super().toy() if (row[2], *row[4:6]) != torn]

    found = images(Results("subsampling", source=Torn()), "figure3")
    assert [len(shown) for shown in found] == [1, 1, 1, 1, 1, 1, 0, 1]


def test_the_atlas_shows_every_network():
    named = [name for names, _ in figures_studies.FAMILIES.values() for name in names]
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
    assert {name: figures_studies.used(name) for name in sizes} == sizes


def test_verdicts_of_the_atlas(full):
    found = figures_studies.verdicts(full, "p4cnn")
    assert (found[28], found[27]) == (("exact", 0), ("approximate", 2))
    assert figures_studies.near(found, (27, 29)) == list(range(20, 37))
    assert figures_studies.period(found) == 2
    assert figures_studies.period({28: found[28]}) == 0


def test_an_image_that_is_too_small_has_no_verdict():
    class Small(Invented):
        def rows(self, experiment):
            rows = super().rows(experiment)
            return [(*row[:6], 0.0) if row[4:6] == ("fits", 21) else row for row in rows]

    found = figures_studies.verdicts(Results("subsampling", source=Small(seeds=2)), "p4cnn")
    assert (found[20], found[21], found[23]) == (("exact", 0), ("does not fit", 0), ("approximate", 2))


@pytest.mark.parametrize(
    ("name", "stage", "letter"),
    [("p4cnn", 2, "P"), ("toy", 1, "C"), ("p4resnet44_pcam", 1, "S"), ("resnet18_imagenet", 3, "2")],
)
def test_the_atlas_says_what_breaks_first(name, stage, letter):
    assert figures_studies.breaker(name, stage) == letter
