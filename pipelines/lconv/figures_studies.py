"""Figures of the studies: symmetries in the generators, hidden symmetries, penalties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipelines.lconv import arms
from pipelines.lconv.figures_layer import show
from pipelines.lconv.figures_looks import DASHED, dots, origin
from pipelines.lconv.quantities import BEST
from shared.report.figures import Figure, canvas
from shared.report.palette import MUTED, SERIES
from shared.report.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


#: Marker and color of before training, after training, random generators.
LOOKS = {
    "before training": ("o", SERIES[4]),
    "after training": ("s", SERIES[0]),
    "random generators": ("^", MUTED),
}


def figures(results: Results) -> list[Figure]:
    """The figures of these studies, in reading order."""
    return [symmetries(results), planted(results), penalty(results)]


def symmetries(results: Results) -> Figure:
    """How much of the rotation generator the learned ones span."""
    experiments = [arms.figure4(data) for data in arms.DATASETS]
    drawable = any(results.sample(e, "lconv_rotated", "control_rotation").n for e in experiments)
    return Figure(
        "symmetries",
        "Do the generators of a classifier learn the rotation of its images?",
        f"{origin(results)}Part of the rotation generator (moved by the permutation where pixels are "
        "scrambled) that the generators of the layer span: before and after training, and for random "
        "generators. One dot a seed, the line is the mean.",
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
            for number, (sample, look) in enumerate(zip(samples, LOOKS.values())):
                dots(axes, place + 0.22 * (number - 1), sample, *look)
        axes.set(
            title=title, xticks=range(3), xticklabels=["default", "rotated", "scrambled"], xlim=(-0.5, 2.5)
        )
        axes.set_ylim(bottom=0)
    panels[0].set(ylabel="part of the rotation")
    for label, (marker, color) in LOOKS.items():
        panels[0].plot([], [], marker, color=color, label=label)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def planted(results: Results) -> Figure:
    """Hidden and learned generators as pictures, and how near they are."""
    drawable = any(results.sample("planted", arm, "similarity").n for arm in rows_of(results, "planted"))
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
        show(axes, results.picture("planted", arm, metric), True)
        axes.set_title(title)
    left, right = lower.subplots(1, 2, width_ratios=[1.5, 1])
    names = list(rows_of(results, "planted"))
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
    left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    for arm, color, marker, style in (
        ("rotation_1", SERIES[4], "s", "-"),
        ("rotation_8", SERIES[0], "o", "-"),
        ("scrambled_8", SERIES[1], "^", DASHED),
        ("rotation_8_rank16", SERIES[3], "D", "-"),
    ):
        curves = results.curves("planted", arm, "flow_error")
        if len(curves):
            look = {"marker": marker, "color": color, "linestyle": style}
            right.plot(curves.columns, curves.mean(), label=arm.replace("_", " "), **look)
    right.set(xlabel="times the trained angle", ylabel="error of the exponential", xticks=[2, 10])
    right.set_ylim(bottom=0)
    right.legend()
    return figure


def rows_of(results: Results, experiment: str) -> Mapping[str, Mapping[str, str]]:
    """What ``experiments.yaml`` says of an experiment's arms."""
    return results.declared.experiment(experiment).rows


def penalty(results: Results) -> Figure:
    """What penalties on the generators do."""
    drawable = any(BEST.of(results, ("penalty", arm)).n for arm in rows_of(results, "penalty"))
    return Figure(
        "penalty",
        "Penalties on the generators: nearer to an orthogonal Lie algebra, at what accuracy?",
        f"{origin(results)}L-conv on rotated images, with penalties on commutators outside the span of the "
        "generators and on the Killing form between two of them. One dot a seed, the line is the mean.",
        "Three dot plots over the penalty: share of commutators outside the span, size of the Killing form, "
        "accuracy.",
        (lambda: _draw_penalty(results)) if drawable else None,
        (results.command("penalty"),),
    )


def _draw_penalty(results: Results) -> Canvas:
    figure, panels = canvas(9.4, 3.0, 1, 3)
    labels = [row["title"].replace(", ", "\n") for row in rows_of(results, "penalty").values()]
    for axes, (metric, title) in zip(
        panels,
        (
            ("closure", "commutators outside the span"),
            ("killing", "Killing form"),
            ("accuracy", "accuracy (%)"),
        ),
    ):
        for place, arm in enumerate(rows_of(results, "penalty")):
            best = metric == "accuracy"
            sample = BEST.of(results, ("penalty", arm)) if best else results.last("penalty", arm, metric)
            dots(axes, place, sample, "o", SERIES[0])
        axes.set(title=title, xticks=range(len(labels)), xlim=(-0.5, len(labels) - 0.5))
        axes.set_xticklabels(labels, fontsize=6, rotation=30)
        if metric != "accuracy":
            axes.set_ylim(bottom=0)
    return figure
