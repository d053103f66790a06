"""Figures of the studies: symmetries in the generators, hidden ones, penalties, propositions, the theorem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipelines.lconv import arms, cells, studies
from pipelines.lconv.figures_layer import show
from shared.report.figures import Figure, canvas
from shared.report.palette import INK, MUTED, SERIES
from shared.report.results import Results
from shared.report.tables import Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


def figures(results: Results) -> list[Figure]:
    """The figures of the studies, in reading order."""
    return [symmetries(results), planted(results), penalty(results), propositions(results), theorem1(results)]


def symmetries(results: Results) -> Figure:
    """How much of the rotation generator the learned ones span."""
    experiments = [arms.figure4(data) for data in arms.DATASETS]
    drawable = any(results.sample(e, "lconv_rotated", "control_rotation").n for e in experiments)
    return Figure(
        "symmetries",
        "Do the generators of a classifier learn the rotation of its images?",
        "Part of the rotation generator (moved by the permutation where pixels are scrambled) that the "
        "generators of the layer span: before and after training, and for random generators. One dot a seed, "
        "the line is the mean.",
        "Dot plots for each data set and variant: before training, after training, random generators.",
        (lambda: _draw_symmetries(results, experiments)) if drawable else None,
        tuple(results.command(experiment) for experiment in experiments),
    )


def _draw_symmetries(results: Results, experiments: list[str]) -> Canvas:
    figure, panels = canvas(9.4, 3.0, 1, 4, sharey=True)
    for axes, experiment, title in zip(panels, experiments, arms.DATASETS.values()):
        for place, variant in enumerate(arms.VARIANTS):
            arm = arms.arm4("lconv", variant)
            samples = (
                results.sample(experiment, arm, "captured_rotation", [0]),
                results.last(experiment, arm, "captured_rotation"),
                results.sample(experiment, arm, "control_rotation"),
            )
            for number, (sample, look) in enumerate(
                zip(samples, (("o", SERIES[5]), ("s", SERIES[0]), ("^", MUTED)))
            ):
                dots(axes, place + 0.22 * (number - 1), sample, *look)
        axes.set(
            title=title, xticks=range(3), xticklabels=["default", "rotated", "scrambled"], xlim=(-0.5, 2.5)
        )
        axes.set_ylim(bottom=0)
    panels[0].set(ylabel="part of the rotation")
    for label, (marker, color) in zip(
        ("before training", "after training", "random generators"),
        (("o", SERIES[5]), ("s", SERIES[0]), ("^", MUTED)),
    ):
        panels[0].plot([], [], marker, color=color, label=label)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def dots(axes: Axes, x: float, sample: Sample, marker: str, color: str) -> None:
    """A sample as dots, with a line at its mean."""
    if sample.n:
        axes.plot([x] * sample.n, sample.numbers, marker, color=color, markersize=4, alpha=0.8)
        axes.hlines(sample.summary.mean, x - 0.1, x + 0.1, color=color, linewidth=1.4)


def planted(results: Results) -> Figure:
    """Hidden and learned generators as pictures, and how near they are."""
    drawable = any(results.sample("planted", arm, "similarity").n for arm in studies.PLANTED)
    return Figure(
        "planted",
        "A hidden symmetry is found, also where the pixels are scrambled",
        "Upper row: generators as matrices over pixels (rows and columns in reading order of the image): the "
        "hidden one, that learned from pairs of images, that learned from scrambled pairs as it is, and with "
        "its pixels moved back. Lower row: cosine of the learned generator with the hidden one and with "
        "plain rotation; the gray line is exceeded by 5 % of random generators. Right: error of the learned "
        "exponential at angles beyond the trained one.",
        "Four matrix pictures, of which the first, second and fourth look alike; below, dots of cosines near "
        "1 for hidden rotations and near 0 for the controls.",
        (lambda: _draw_planted(results)) if drawable else None,
        (results.command("planted"),),
    )


def matrix(results: Results, arm: str, metric: str) -> np.ndarray | None:
    """A recorded generator of the first seed as a square picture."""
    curves = results.curves("planted", arm, metric).dropna(how="all")
    if not len(curves):
        return None
    values = curves.iloc[0].dropna().to_numpy(float)
    side = round(len(values) ** 0.5)
    return values.reshape(side, side)


def _draw_planted(results: Results) -> Canvas:
    figure, _ = canvas(9.4, 5.6)
    figure.clear()
    upper, lower = figure.subfigures(2, 1, height_ratios=[1, 1.15])
    shown = (
        ("rotation_8", "true", "hidden rotation"),
        ("rotation_8", "learned", "learned"),
        ("scrambled_8", "learned", "learned from scrambled pairs"),
        ("scrambled_8", "unscrambled", "the same, moved back"),
    )
    for axes, (arm, metric, title) in zip(upper.subplots(1, 4), shown):
        show(axes, matrix(results, arm, metric), True)
        axes.set_title(title)
    left, right = lower.subplots(1, 2, width_ratios=[1.5, 1])
    names = list(studies.PLANTED)
    for place, arm in enumerate(names):
        dots(left, place - 0.13, results.sample("planted", arm, "similarity"), "o", SERIES[0])
        dots(left, place + 0.13, results.sample("planted", arm, "rotation_similarity"), "s", SERIES[1])
        chance = results.sample("planted", arm, "random_similarity")
        if chance.n:
            left.hlines(chance.summary.mean, place - 0.35, place + 0.35, color=MUTED, linewidth=1)
    left.plot([], [], "o", color=SERIES[0], label="with the hidden generator")
    left.plot([], [], "s", color=SERIES[1], label="with plain rotation")
    left.set(ylabel="cosine", ylim=(-0.03, 1.05), xticks=range(len(names)))
    left.set_xticklabels([name.replace("_", "\n", 1).replace("_", "\n") for name in names], fontsize=6.5)
    left.legend(loc="center right", bbox_to_anchor=(1.0, 0.5))
    for arm, color, marker in (
        ("rotation_1", SERIES[4], "s"),
        ("rotation_8", SERIES[0], "o"),
        ("rotation_8_rank16", SERIES[3], "D"),
        ("scrambled_8", SERIES[2], "^"),
    ):
        curves = results.curves("planted", arm, "flow_error")
        if len(curves):
            right.plot(curves.columns, curves.mean(), marker=marker, color=color, label=arm.replace("_", " "))
    right.set(xlabel="times the trained angle", ylabel="error of the exponential", xticks=[2, 10])
    right.set_ylim(bottom=0)
    right.legend()
    return figure


def penalty(results: Results) -> Figure:
    """What penalties on the generators do."""
    drawable = any(cells.best(results, "penalty", arm).n for arm in studies.PENALTIES)
    return Figure(
        "penalty",
        "Penalties on the generators: nearer to an orthogonal Lie algebra, at what accuracy?",
        "L-conv on rotated images, with penalties on commutators outside the span of the generators and on "
        "the Killing form between two of them. One dot a seed, the line is the mean.",
        "Three dot plots over the penalty: share of commutators outside the span, size of the Killing form, "
        "accuracy.",
        (lambda: _draw_penalty(results)) if drawable else None,
        (results.command("penalty"),),
    )


def _draw_penalty(results: Results) -> Canvas:
    figure, panels = canvas(9.4, 3.0, 1, 3)
    labels = [title.replace(", ", "\n") for title in studies.PENALTIES.values()]
    for axes, (metric, title) in zip(
        panels,
        (
            ("closure", "commutators outside the span"),
            ("killing", "Killing form"),
            ("accuracy", "accuracy (%)"),
        ),
    ):
        for place, arm in enumerate(studies.PENALTIES):
            best = metric == "accuracy"
            sample = cells.best(results, "penalty", arm) if best else results.last("penalty", arm, metric)
            dots(axes, place, sample, "o", SERIES[0])
        axes.set(title=title, xticks=range(len(labels)), xlim=(-0.5, len(labels) - 0.5))
        axes.set_xticklabels(labels, fontsize=6, rotation=30)
        if metric != "accuracy":
            axes.set_ylim(bottom=0)
    return figure


def propositions(results: Results) -> Figure:
    """The rates of Propositions 1 and 2."""
    drawable = len(results.curves("propositions", "all", "p1_error")) > 0
    return Figure(
        "propositions",
        "Propositions 1 and 2: how fast L-conv approaches group convolution",
        "Left: error of one layer for a kernel of half width η (second order, dashed). Middle: error of n "
        "layers for the exponential, and for a sum over six group elements (first order, dashed). Right: "
        "correlation of n layers with a shift by 2 of 20 pixels, and its limit. Thin lines: seeds.",
        "Three line charts: errors falling along straight lines in logarithmic axes, and a correlation "
        "rising to 0.975.",
        (lambda: _draw_propositions(results)) if drawable else None,
        (results.command("propositions"),),
    )


def _lines(axes: Axes, results: Results, experiment: str, metric: str, color: str, label: str) -> np.ndarray:
    """All seeds of a curve, thin, and their mean; returns steps and means."""
    curves = results.curves(experiment, "all", metric)
    steps, means = curves.columns.to_numpy(float), curves.mean().to_numpy(float)
    for _, line in curves.iterrows():
        axes.plot(steps, line, color=color, linewidth=0.6, alpha=0.5)
    axes.plot(steps, means, marker="o", color=color, label=label)
    return np.array([steps, means])


def _order(axes: Axes, steps: np.ndarray, start: float, order: float) -> None:
    """A dashed line of a given order."""
    look = {"color": INK, "linewidth": 0.9, "linestyle": (0, (4, 2))}
    axes.plot(steps, start * (steps / steps[0]) ** order, label=f"order {order:g}", **look)


def _draw_propositions(results: Results) -> Canvas:
    figure, (first, second, third) = canvas(9.4, 3.0, 1, 3)
    steps, means = _lines(first, results, "propositions", "p1_error", SERIES[0], "P1")
    _order(first, steps, 1.3 * means[0], 2)
    first.set(xscale="log", yscale="log", xlabel="half width η", ylabel="relative error")
    steps, means = _lines(second, results, "propositions", "p2_error", SERIES[0], "exponential")
    _order(second, steps, 1.4 * means[0], -1)
    _lines(second, results, "propositions", "p2_group_error", SERIES[1], "group sum")
    second.set(xscale="log", yscale="log", xlabel="layers n", ylabel="relative error")
    curves = results.curves("propositions", "all", "p2_correlation")
    curves = curves[[step for step in curves.columns if step > 0]]
    third.plot(curves.columns, curves.mean(), marker="o", color=SERIES[0], label="n layers")
    third.axhline(np.sqrt(19 / 20), color=INK, linewidth=0.9, linestyle=(0, (4, 2)), label="limit")
    third.set(xscale="log", xlabel="layers n", ylabel="correlation with the shift")
    third.set_xticks(curves.columns.to_numpy(), [f"{step:g}" for step in curves.columns], minor=False)
    third.minorticks_off()
    for axes in (first, second, third):
        axes.legend()
    return figure


def theorem1(results: Results) -> Figure:
    """Symmetries of regression: exact where the theorem says so, and how they transfer to new samples."""
    drawable = len(results.curves("theorem1", "all", "transfer")) > 0
    return Figure(
        "theorem1",
        "Theorem 1: symmetries of linear regression",
        "Left: residual of A u = u_c A for pairs constructed as the theorem says, and for random u that keep "
        "only the second moments, with the best u_c. Right: a symmetry computed from n samples, tried on the "
        "second moments of n others; it falls like the square root of d / n (dashed). One dot or thin line a "
        "seed.",
        "Left: two groups of dots on a logarithmic axis, near 1e-15 and near 1. Right: an error that falls "
        "with the number of samples along a dashed line of slope -1/2.",
        (lambda: _draw_theorem(results)) if drawable else None,
        (results.command("theorem1"),),
    )


def _draw_theorem(results: Results) -> Canvas:
    figure, (left, right) = canvas(7.6, 3.1, 1, 2)
    for place, (metric, color) in enumerate((("t2_intertwining", SERIES[0]), ("t4_intertwining", SERIES[1]))):
        sample = results.sample("theorem1", "all", metric)
        offsets = np.linspace(-0.15, 0.15, sample.n) if sample.n > 1 else [0.0]
        left.plot(place + np.array(offsets), sample.numbers, "o", color=color, markersize=3)
    left.set(yscale="log", xticks=[0, 1], xticklabels=["as constructed", "random u"], xlim=(-0.5, 1.5))
    left.set(ylabel="relative residual of A u = u_c A")
    steps, means = _lines(right, results, "theorem1", "transfer", SERIES[0], "mean over seeds")
    _order(right, steps, means[0], -0.5)
    right.set(xscale="log", yscale="log", xlabel="samples n", ylabel="error on other samples")
    right.legend()
    return figure
