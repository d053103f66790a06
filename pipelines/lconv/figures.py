"""Figures 2, 3 and 4 of the L-conv paper: bars of accuracies and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.patches import Patch

from pipelines.lconv import arms, figures_layer, figures_sizes, figures_studies, figures_theory
from pipelines.lconv.figures_looks import COLORS, HATCHES, origin, thousands
from pipelines.lconv.quantities import BEST
from shared.report import text
from shared.report.figures import Figure, canvas
from shared.report.palette import MUTED
from shared.report.results import Results
from shared.report.tables import Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


def figures(results: Results) -> list[Figure]:
    """All figures, in reading order."""
    return [
        figures_layer.figure1(results),
        panels(results, "figure2", ("rotated", "scrambled")),
        panels(results, "figure4", tuple(arms.VARIANTS)),
        *(layers(results, experiment) for experiment in arms.FIGURE3_EXPERIMENTS),
        figures_sizes.sizes(results),
        *figures_studies.figures(results),
        *figures_theory.figures(results),
    ]


def panels(results: Results, name: str, variants: Sequence[str]) -> Figure:
    """Figure 2 or 4: accuracies on four data sets, and the sizes of the networks."""
    experiments = [arms.figure4(data) for data in arms.DATASETS]
    shown = [data for data in arms.DATASETS if len(results.frame(arms.figure4(data)))]
    rest = [title for data, title in arms.DATASETS.items() if data not in shown]
    missing = f" Not run: {text.join(rest)}." if shown and rest else ""
    kinds = "rotated images, plain and scrambled" if name == "figure2" else "default and rotated images"
    number = name.removeprefix("figure")
    return Figure(
        name,
        f"Figure {number}: L-conv, CNN, random L and FC on {kinds}",
        f"{origin(results)}Bars: mean accuracy on the held-out fifth at the best epoch; lines: ±1 standard "
        f"deviation, dots: seeds. Right: trainable parameters of the same networks.{missing}",
        "Rows of bar charts, one for each data set. Left, groups of four bars, L-conv, CNN, random L "
        "and FC, for each variant of the data; right, the number of parameters of the four networks, of "
        "which FC has by far most.",
        (lambda: _draw_panels(results, shown, variants)) if shown else None,
        tuple(results.command(experiment) for experiment in experiments),
    )


def _draw_panels(results: Results, datasets: Sequence[str], variants: Sequence[str]) -> Canvas:
    size = 0.6 + 2.15 * len(datasets)
    figure, axes = canvas(7.6, size, len(datasets), 2, width_ratios=[1.1 * len(variants), 1.4])
    for data, left, right in zip(datasets, axes[::2], axes[1::2]):
        experiment, title = arms.figure4(data), arms.DATASETS[data]
        groups = [[BEST.of(results, (experiment, arms.arm4(m, v))) for m in arms.FIGURE4] for v in variants]
        bars(left, groups, [arms.VARIANTS[v] for v in variants], arms.FIGURE4)
        left.set(ylabel=f"{title}\naccuracy (%)")
        counts = [results.sample(experiment, arms.arm4(m, "rotated"), "parameters") for m in arms.FIGURE4]
        bars(right, [counts], [""], arms.FIGURE4, baseline=0)
        right.set(xticks=[])
        thousands(right.yaxis)
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


def legend(figure: Canvas, models: Sequence[str]) -> None:
    """One legend for all panels, above them."""
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
            [BEST.of(results, (experiment, arms.arm3(m, n, variant))) for m in arms.FIGURE3] for n in (1, 2)
        ]
        bars(panel, groups, names, arms.FIGURE3)
        panel.set(title=arms.VARIANTS[variant], ylabel="accuracy (%)")
    counts = [
        [results.sample(experiment, arms.arm3(m, n, "default"), "parameters") for m in arms.FIGURE3]
        for n in (1, 2)
    ]
    bars(axes[2], counts, names, arms.FIGURE3, baseline=0)
    thousands(axes[2].yaxis)
    axes[2].set(title="Trainable parameters")
    legend(figure, arms.FIGURE3)
    return figure
