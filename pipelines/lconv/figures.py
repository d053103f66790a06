"""Figures 2 to 5 of the L-conv paper; Figure 1 and those of the studies are in `figures_studies`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter

from pipelines.lconv import arms, cells, figures_layer, figures_studies
from shared.report.figures import Figure, canvas
from shared.report.palette import MUTED, SERIES
from shared.report.results import Results
from shared.report.tables import Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

#: The paper's colors as far as they can be told apart: L-conv blue, CNN orange, pooled green, FC red and
#: purple.
COLORS = {
    "lconv": SERIES[0],
    "cnn": SERIES[4],
    "cnn_pool": SERIES[2],
    "fc": SERIES[1],
    "fc_shallow": SERIES[3],
    "random": SERIES[5],
}
HATCHES = {"lconv": "", "cnn": "//", "cnn_pool": "xx", "fc": "..", "fc_shallow": "--", "random": "\\\\"}
MARKERS = {"lconv": "o", "cnn": "s", "fc": "^", "random": "o"}


def figures(results: Results) -> list[Figure]:
    """All figures, in reading order."""
    return [
        figures_layer.figure1(results),
        panels(results, "figure2", ("rotated", "scrambled")),
        panels(results, "figure4", tuple(arms.VARIANTS)),
        *(layers(results, experiment) for experiment in arms.FIGURE3_EXPERIMENTS),
        sizes(results),
        *figures_studies.figures(results),
    ]


def origin(results: Results) -> str:
    """A first sentence for demo figures."""
    if not results.demo:
        return ""
    return (
        "Demo: small networks on embedded digits (gray) and drawn shapes (color), not comparable with the "
        "paper. "
    )


def panels(results: Results, name: str, variants: Sequence[str]) -> Figure:
    """Figure 2 or 4: accuracies on four data sets, and the sizes of the networks."""
    experiments = [arms.figure4(data) for data in arms.DATASETS]
    drawable = any(len(results.frame(experiment)) for experiment in experiments)
    kinds = (
        " and ".join(arms.VARIANTS[v].lower() for v in variants)
        if len(variants) == 2
        else "all three variants"
    )
    number = name.removeprefix("figure")
    return Figure(
        name,
        f"Figure {number}: L-conv, CNN, random L and FC on {kinds}",
        f"{origin(results)}Bars: mean accuracy on the held-out fifth at the best epoch; lines: ±1 standard "
        "deviation, dots: seeds. Right: trainable parameters of the same networks.",
        "Four rows of bar charts, one for each data set. Left, groups of four bars, L-conv, CNN, random L "
        "and FC, for each variant of the data; right, the number of parameters of the four networks, of "
        "which FC has by far most.",
        (lambda: _draw_panels(results, variants)) if drawable else None,
        tuple(results.command(experiment) for experiment in experiments),
    )


def _draw_panels(results: Results, variants: Sequence[str]) -> Canvas:
    figure, axes = canvas(7.6, 9.2, 4, 2, width_ratios=[1.1 * len(variants), 1.4])
    for (data, title), left, right in zip(arms.DATASETS.items(), axes[::2], axes[1::2]):
        experiment = arms.figure4(data)
        groups = [[cells.best(results, experiment, arms.arm4(m, v)) for m in arms.FIGURE4] for v in variants]
        bars(left, groups, [arms.VARIANTS[v] for v in variants], arms.FIGURE4)
        left.set(ylabel=f"{title}\naccuracy (%)")
        counts = [results.sample(experiment, arms.arm4(m, "rotated"), "parameters") for m in arms.FIGURE4]
        bars(right, [counts], [""], arms.FIGURE4, baseline=0)
        millions(right)
    axes[1].set_title("trainable parameters")
    legend(figure, arms.FIGURE4)
    return figure


def bars(
    axes: Axes,
    groups: Sequence[Sequence[Sample]],
    names: Sequence[str],
    models: Sequence[str],
    baseline: float | None = None,
) -> None:
    """Groups of bars with spread and single seeds; the axis begins a little below the lowest seed."""
    values = [value for group in groups for sample in group for value in sample.numbers]
    if not values:
        axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", color=MUTED)
        axes.set(xticks=[], yticks=[])
        return
    margin = 0.15 * (max(values) - min(values)) + 0.5
    low = max(0.0, min(values) - margin) if baseline is None else baseline
    width = 0.8 / len(models)
    for place, group in enumerate(groups):
        for number, (model, sample) in enumerate(zip(models, group)):
            if not sample.n:
                continue
            x, summary = place + (number - (len(models) - 1) / 2) * width, sample.summary
            error = summary.sd if sample.n > 1 and summary.sd > 0 else None
            look = {"color": COLORS[model], "hatch": HATCHES[model], "edgecolor": "white", "linewidth": 0.5}
            look |= {"yerr": error, "error_kw": {"elinewidth": 0.9, "capsize": 2}}
            axes.bar(x, summary.mean - low, 0.9 * width, low, **look)
            if baseline is None:
                axes.plot([x] * sample.n, sample.numbers, "o", color=MUTED, markersize=2, zorder=3)
    axes.set(xticks=range(len(names)), xticklabels=names, xlim=(-0.5, len(names) - 0.5))
    axes.set_ylim(low, max(values) + margin if baseline is None else 1.08 * max(values))
    axes.grid(axis="x", visible=False)


def millions(axes: Axes) -> None:
    """Label the parameters in thousands or millions."""

    def label(value: float, _: int) -> str:
        return f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k" if value else "0"

    axes.yaxis.set_major_formatter(FuncFormatter(label))


def legend(figure: Canvas, models: Sequence[str]) -> None:
    """One legend for all panels, above them."""
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=COLORS[m], hatch=HATCHES[m], edgecolor="white", label=arms.MODELS[m]) for m in models
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(models))


def layers(results: Results, experiment: str) -> Figure:
    """Figure 3: five networks with one and two layers."""
    title = arms.DATASETS[arms.FIGURE3_EXPERIMENTS[experiment]]
    paper = "" if experiment == "figure3" else " (not in the paper)"
    return Figure(
        experiment,
        f"Figure 3: one and two layers on {title}{paper}",
        f"{origin(results)}Left and middle: mean accuracy on the held-out fifth at the best epoch, ±1 "
        "standard deviation, dots: seeds. Right: trainable parameters. Two layers are two; the shallow FC is "
        "sized as L-conv with as many.",
        "Three bar charts of five networks with one and with two layers: accuracy on rotated and scrambled "
        "images, on default images, and numbers of parameters.",
        (lambda: _draw_layers(results, experiment)) if len(results.frame(experiment)) else None,
        (results.command(experiment),),
    )


def _draw_layers(results: Results, experiment: str) -> Canvas:
    figure, axes = canvas(9.4, 3.4, 1, 3)
    names = ["1 layer", "2 layers"]
    for panel, variant in zip(axes, ("scrambled", "default")):
        groups = [
            [cells.best(results, experiment, arms.arm3(m, n, variant)) for m in arms.FIGURE3] for n in (1, 2)
        ]
        bars(panel, groups, names, arms.FIGURE3)
        panel.set(title=arms.VARIANTS[variant], ylabel="accuracy (%)")
    counts = [
        [results.sample(experiment, arms.arm3(m, n, "default"), "parameters") for m in arms.FIGURE3]
        for n in (1, 2)
    ]
    bars(axes[2], counts, names, arms.FIGURE3, baseline=0)
    millions(axes[2])
    axes[2].set(title="Trainable parameters")
    legend(figure, arms.FIGURE3)
    return figure


def sizes(results: Results) -> Figure:
    """Figure 5: accuracy against parameters, and the part where networks are of equal size."""
    return Figure(
        "figure5",
        "Figure 5: accuracy against parameter count on rotated and scrambled MNIST",
        f"{origin(results)}L[32]h[6](k[9]): L-conv with 32 filters, rank 6 and K = 9 terms; C: CNN with its "
        "kernel. Gray lines lead to the same network with its generators frozen at random. Mean at the best "
        "epoch, ±1 standard deviation. Right: the networks of nearly equal size"
        + ("." if results.demo else "; crosses: single runs printed in the authors' notebooks."),
        "Scatter plot of accuracy over the number of parameters. L-conv lies above CNN and FC of its size; "
        "gray lines lead from each L-conv down to the same network with random generators.",
        (lambda: _draw_sizes(results)) if len(results.frame("figure5")) else None,
        (results.command("figure5"),),
    )


def _point(results: Results, arm: str) -> tuple[float, float, float] | None:
    """Parameters, accuracy and its standard deviation."""
    count, found = results.sample("figure5", arm, "parameters"), cells.best(results, "figure5", arm)
    if not found.n:
        return None
    return count.summary.mean, found.summary.mean, found.summary.sd if found.n > 1 else 0.0


def _draw_sizes(results: Results) -> Canvas:
    figure, (left, right) = canvas(9.4, 4.2, 1, 2, width_ratios=[1.5, 1])
    points = {
        (kind, shape): _point(results, f"{kind}_{shape}")
        for kind, shapes in (
            ("random", arms.SHAPES),
            ("lconv", arms.SHAPES),
            ("cnn", arms.CNN_SHAPES),
            ("fc", arms.FC_SHAPES),
        )
        for shape in shapes
    }
    for shape in arms.SHAPES:
        ends = [points[kind, shape] for kind in ("lconv", "random")]
        if all(ends):
            left.plot(*zip(*[end[:2] for end in ends]), color=MUTED, linewidth=0.7, alpha=0.6, zorder=1)
    for kind in ("random", "lconv", "cnn", "fc"):
        _scatter(left, points, kind)
        if kind != "random":
            _scatter(right, points, kind, labels=True)
    left.set(xscale="log", xlabel="trainable parameters", ylabel="accuracy (%)")
    middle = [p[0] for (kind, _), p in points.items() if kind == "cnn" and p]
    chosen = [p for (kind, _), p in points.items() if p and kind in ("lconv", "cnn")] if middle else []
    low, high = (0.9 * min(middle), 1.15 * np.median(middle)) if middle else (1.0, 2.0)
    near = [p for p in chosen if low <= p[0] <= high]
    if near:
        heights = [p[1] for p in near]
        spread = max(heights) - min(heights) + 1
        right.set(xlim=(low, high), ylim=(min(heights) - 0.15 * spread, max(heights) + 0.15 * spread))
    right.set(xlabel="trainable parameters")
    millions_x(right)
    if not results.demo:
        for kind, shapes in (("lconv", arms.SHAPES), ("cnn", arms.CNN_SHAPES)):
            for shape in shapes:
                key = f"{kind}_{shape}"
                known = [results.published("figure5", key, column) for column in ("parameters", "accuracy")]
                if all(known):
                    right.plot(known[0].value, known[1].value, "x", color=COLORS[kind], markersize=5)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def millions_x(axes: Axes) -> None:
    """Label an axis of parameters in thousands."""
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e3:g} k"))


def _scatter(axes: Axes, points: dict, kind: str, labels: bool = False) -> None:
    found = {shape: point for (of, shape), point in points.items() if of == kind and point}
    if not found:
        return
    x, y, error = (np.array(part) for part in zip(*found.values()))
    filled = {} if kind != "random" else {"markerfacecolor": "none"}
    look = {"fmt": MARKERS[kind], "color": COLORS[kind], "elinewidth": 0.8, "capsize": 2, "markersize": 4.5}
    axes.errorbar(x, y, error, label=arms.MODELS[kind], **look, **filled)
    if labels:
        for shape, (a, b, _) in found.items():
            look = {"textcoords": "offset points", "fontsize": 6, "annotation_clip": True}
            axes.annotate(arms.short_label(shape), (a, b), xytext=(4, 3), **look)
