"""Figures 1 to 5 of the L-conv paper, in reading order; those of the studies are in `figures_studies`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from pipelines.lconv import arms, figures_studies
from pipelines.lconv.quantities import BEST, PARAMETERS
from shared.report import groups, labels, plots, text
from shared.report.build import Quantity
from shared.report.figures import Axes, Canvas, Figure, canvas
from shared.report.plots import Look, Series
from shared.report.results import Results
from shared.report.tables import Sample
from shared.report.theme import INK, MUTED, SERIES

#: The paper's colors, as far as they can be told apart.
LOOKS = {
    "lconv": Look(arms.MODELS["lconv"], SERIES[0], "o", ""),
    "cnn": Look(arms.MODELS["cnn"], SERIES[4], "s", "", hatch="//"),
    "random": Look(arms.MODELS["random"], SERIES[5], "D", "", hatch="\\\\"),
    "cnn_pool": Look(arms.MODELS["cnn_pool"], SERIES[2], "p", "", hatch="xx"),
    "fc": Look(arms.MODELS["fc"], SERIES[1], "^", "", hatch=".."),
    "fc_shallow": Look(arms.MODELS["fc_shallow"], SERIES[3], "v", "", hatch="--"),
}


def figures(results: Results) -> list[Figure]:
    """All figures, in reading order."""
    return [
        figure1(results),
        panels(results, "figure2", ("rotated", "scrambled")),
        panels(results, "figure4", tuple(arms.VARIANTS)),
        *(layers(results, experiment) for experiment in arms.FIGURE3_EXPERIMENTS),
        sizes(results),
        *figures_studies.figures(results),
    ]


# -- Figure 1: the layer as a schematic, with what it has learned in place of symbols ----------------------


def figure1(results: Results) -> Figure:
    """The schematic of an L-conv layer, its generators' eigenvalues and flows."""
    return plots.figure(
        results,
        "figure1",
        lambda: _draw_figure1(results),
        shown=[picture for picture in [results.picture("figure1", "lconv", "input")] if picture is not None],
        demo="Demo: embedded digits. ",
    )


def _draw_figure1(results: Results) -> Canvas:
    drawn, _ = canvas(9.4, 4.3)
    drawn.clear()
    drawn.set_layout_engine("none")

    def place(left: float, bottom: float, metric: str, title: str, signed: bool = False) -> Axes:
        axes = drawn.add_axes((left, bottom, 0.105, 0.235))
        plots.picture(axes, results.picture("figure1", "lconv", metric), signed=signed)
        axes.set_title(title, fontsize=8.5)
        return axes

    top, middle, low = 0.66, 0.37, 0.06
    start = place(0.02, middle, "input", "image h")
    identity = place(0.33, top, "input", "$L_0$h = h")
    read = [place(0.175, y, f"generator_{i}", f"$L_{i}$", True) for i, y in ((1, middle), (2, low))]
    moved = [place(0.33, y, f"moved_{i}", f"$L_{i}$h", True) for i, y in ((1, middle), (2, low))]
    outputs = [place(0.52, y, f"output_{i}", f"feature {i}") for i, y in ((1, 0.52), (2, 0.2))]
    for row, y in ((1, top), (2, middle)):
        for column, time in ((1, "0.5"), (2, "1")):
            place(0.56 + 0.12 * column, y, f"flow_{row}_{column}", f"exp({time} $L_{row}$) h")
    _arrow(drawn, start, identity, elbow=True)
    for first, second in zip(read, moved):
        _arrow(drawn, start, first)
        _arrow(drawn, first, second)
    for number, first in enumerate((identity, *moved)):
        for second, label in zip(outputs, (f"$W^{number}$", "")):
            _arrow(drawn, first, second, label)
    drawn.text(0.485, 0.88, "sum, ReLU", color=MUTED, fontsize=8.5, ha="center")
    _eigenvalues(drawn.add_axes((0.71, 0.1, 0.24, 0.2)), results)
    return drawn


def _arrow(drawn: Canvas, first: Axes, second: Axes, label: str = "", elbow: bool = False) -> None:
    """From the right of a picture to the left of another; with an elbow, from its top up and then there."""
    from matplotlib.patches import FancyArrowPatch

    a, b = first.get_position(), second.get_position()
    start, end = (a.x1 + 0.003, (a.y0 + a.y1) / 2), (b.x0 - 0.003, (b.y0 + b.y1) / 2)
    look = {"arrowstyle": "-|>", "mutation_scale": 7, "color": MUTED, "linewidth": 0.8}
    if elbow:
        start = ((a.x0 + a.x1) / 2, a.y1 + 0.06)
        look["connectionstyle"] = "angle,angleA=90,angleB=0,rad=4"
    drawn.add_artist(FancyArrowPatch(start, end, transform=drawn.transFigure, **look))
    if label:
        middle = ((start[0] + end[0]) / 2 - 0.012, (start[1] + end[1]) / 2 + 0.02)
        drawn.text(*middle, label, fontsize=8, color=INK)


def _eigenvalues(axes: Axes, results: Results) -> None:
    parts = [results.curves("figure1", "lconv", f"eigenvalue_{part}") for part in ("real", "imaginary")]
    if all(len(part) for part in parts):
        axes.plot(*(part.iloc[0] for part in parts), "o", color=SERIES[0], markersize=2.5)
    axes.axhline(0, color=MUTED, linewidth=0.6)
    axes.axvline(0, color=MUTED, linewidth=0.6)
    axes.tick_params(labelsize=6.5)
    axes.set_title("eigenvalues", fontsize=8.5)


# -- Figures 2, 3 and 4: dots of accuracies and bars of sizes ----------------------------------------------


def panels(results: Results, name: str, variants: Sequence[str]) -> Figure:
    """Figure 2 or 4: accuracies on four data sets, and the sizes of the networks."""
    names = {data: [arms.arm4(m, v) for m in arms.FIGURE4 for v in variants] for data in arms.DATASETS}
    shown = [
        data for data, of in names.items() if any(BEST.of(results, (arms.figure4(data), arm)).n for arm in of)
    ]
    rest = text.join([title for data, title in arms.DATASETS.items() if data not in shown])
    return plots.figure(
        results,
        name,
        lambda: _draw_panels(results, shown, variants),
        shown=shown,
        experiments=[arms.figure4(data) for data in arms.DATASETS],
        demo=figures_studies.DEMO,
        rest=rest if shown and rest else None,
    )


def _draw_panels(results: Results, datasets: Sequence[str], variants: Sequence[str]) -> Canvas:
    widths = [1.1 * len(variants), 1.4]
    drawn, axes = canvas(7.6, 0.6 + 2.15 * len(datasets), len(datasets), 2, width_ratios=widths)
    looks = {model: LOOKS[model] for model in arms.FIGURE4}
    networks = {arms.VARIANTS[v]: {m: arms.arm4(m, v) for m in looks} for v in variants}
    counted = {"": {m: arms.arm4(m, "rotated") for m in looks}}
    for data, left, right in zip(datasets, axes[::2], axes[1::2]):
        groups.dots(left, _samples(results, arms.figure4(data), networks, BEST), looks)
        left.set_ylabel(f"{arms.DATASETS[data]}\naccuracy (%)")
        groups.bars(right, _samples(results, arms.figure4(data), counted, PARAMETERS), looks)
        plots.with_prefixes(right.yaxis)
        right.set_xticks([])
    axes[1].set_title("trainable parameters")
    plots.legend(drawn, looks.values())
    return drawn


def _samples(
    results: Results, experiment: str, networks: Mapping[str, Mapping[str, str]], what: Quantity
) -> dict[str, dict[str, Sample]]:
    """A number of arms by network, by the title of their group."""
    return {
        title: {model: what.of(results, (experiment, arm)) for model, arm in group.items()}
        for title, group in networks.items()
    }


def layers(results: Results, experiment: str) -> Figure:
    """Figure 3: five networks with one and two layers."""
    return plots.figure(
        results,
        experiment,
        lambda: _draw_layers(results, experiment),
        shown=[results.frame(experiment)],
        demo=figures_studies.DEMO,
    )


def _draw_layers(results: Results, experiment: str) -> Canvas:
    drawn, axes = canvas(9.4, 3.4, 1, 3)
    looks = {model: LOOKS[model] for model in arms.FIGURE3}
    networks = {
        variant: {text.lines(n, "layer"): {m: arms.arm3(m, n, variant) for m in looks} for n in (1, 2)}
        for variant in ("scrambled", "default")
    }
    for panel, (variant, found) in zip(axes, networks.items()):
        groups.dots(panel, _samples(results, experiment, found, BEST), looks)
        panel.set(title=arms.VARIANTS[variant], ylabel="accuracy (%)")
    groups.bars(axes[2], _samples(results, experiment, networks["default"], PARAMETERS), looks)
    plots.with_prefixes(axes[2].yaxis)
    axes[2].set_title("Trainable parameters")
    plots.legend(drawn, looks.values())
    return drawn


# -- Figure 5: accuracy against parameters, and the part where networks are of one size --------------------


def sizes(results: Results) -> Figure:
    """Figure 5."""
    points = points_of(results)
    return plots.figure(
        results,
        "figure5",
        lambda: _draw_sizes(results, points),
        shown=list(points.values()),
        demo=figures_studies.DEMO,
        crosses=""
        if results.demo
        else "; crosses: single runs in the authors' notebooks after as many epochs",
    )


def points_of(results: Results) -> dict[tuple[str, str], Series]:
    """The networks of Figure 5 that have results, by kind and shape: accuracy at the number of parameters."""
    found = {}
    for kind, shapes in {"random": arms.SHAPES, **arms.FIGURE5}.items():
        for shape in shapes:
            best = BEST.of(results, ("figure5", f"{kind}_{shape}"))
            if best.n:
                count = results.sample("figure5", f"{kind}_{shape}", "parameters").summary.mean
                found[kind, shape] = Series(shape, LOOKS[kind], pd.DataFrame({count: best.values}), best.tier)
    return found


def _draw_sizes(results: Results, points: Mapping[tuple[str, str], Series]) -> Canvas:
    drawn, (left, right) = canvas(9.4, 4.2, 1, 2, width_ratios=[1.2, 1])
    means = {key: (one.values.columns[0], one.values.mean().iloc[0]) for key, one in points.items()}
    for one in points.values():
        plots.mean_sd(left, one, markersize=4.5)
    for shape in arms.SHAPES:
        ends = [means[kind, shape] for kind in ("lconv", "random") if (kind, shape) in means]
        left.plot(*zip(*ends), color=MUTED, linewidth=0.7, alpha=0.6, zorder=1)
    left.set(xscale="log", xlabel="trainable parameters", ylabel="accuracy (%)")
    names, marks = {}, []
    for key in ((kind, shape) for kind, shapes in arms.MATCHED.items() for shape in shapes):
        if key in points:
            plots.mean_sd(right, points[key], markersize=4.5)
            names[arms.short_label(key[1])] = means[key]
            marks += _cross(results, right, key, points[key].tier)
            (x, y), spread = means[key], points[key].values.std().iloc[0]
            marks += [(x, y + part * spread) for part in (-1, -0.5, 0.5, 1) if spread == spread]
    right.set(xlabel="trainable parameters")
    right.margins(x=0.16, y=0.1)
    plots.with_prefixes(right.xaxis)
    plots.legend(drawn, [one.look for one in points.values()])
    labels.place(right, names, marks)
    return drawn


def _cross(results: Results, axes: Axes, key: tuple[str, str], tier: str) -> list[tuple[float, float]]:
    """The authors' run of a network after as many epochs as ours, if its log is known."""
    column = "accuracy" if tier == "paper" else "epochs_3"
    places = (("figure5", "parameters"), ("logs", column))
    known = [results.published(table, "_".join(key), name) for table, name in places]
    if results.demo or not all(known):
        return []
    x, y = (value.value for value in known if value)
    axes.plot(x, y, "x", color=LOOKS[key[0]].color, markersize=5)
    return [(x, y)]
