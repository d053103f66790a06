"""Figures 1 to 5 of the L-conv paper, in reading order; those of the studies are in `figures_studies`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from pipelines.lconv import arms, figures_studies
from pipelines.lconv.quantities import BEST
from shared.report import plots, text
from shared.report.figures import Axes, Canvas, Figure, canvas
from shared.report.palette import INK, MUTED, SERIES
from shared.report.plots import Look, Series
from shared.report.results import Results
from shared.report.tables import Sample

#: The paper's colors, as far as they can be told apart.
LOOKS = {
    "lconv": Look(arms.MODELS["lconv"], SERIES[0], "o", ""),
    "cnn": Look(arms.MODELS["cnn"], SERIES[4], "s", "", hatch="//"),
    "random": Look(arms.MODELS["random"], SERIES[5], "o", "", filled=False, hatch="\\\\"),
    "cnn_pool": Look(arms.MODELS["cnn_pool"], SERIES[2], hatch="xx"),
    "fc": Look(arms.MODELS["fc"], SERIES[1], "^", "", hatch=".."),
    "fc_shallow": Look(arms.MODELS["fc_shallow"], SERIES[3], hatch="--"),
}
#: Figure 5: shapes by kind of network, in the order of the legend.
SHAPES = {"random": arms.SHAPES, "lconv": arms.SHAPES, "cnn": arms.CNN_SHAPES, "fc": arms.FC_SHAPES}
#: Networks with 175,090 to 235,498 parameters on MNIST.
MATCHED = {
    "lconv": ("m16_K6_r6", "m16_K6_r8", "m16_K8_r6", "m24_K6_r6"),
    "cnn": ("m24_2x2", "m32_2x2", "m32_2x3", "m32_3x3", "m32_4x4", "m32_5x5"),
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
        "Figure 1: an L-conv layer, with what it has learned on rotated images",
        lambda: _draw_figure1(results),
        shown=[picture for picture in [results.picture("figure1", "lconv", "input")] if picture is not None],
        caption="The layer sums h W⁰ (upper path) and Lᵢ h Wⁱ over its generators, of which two of eight "
        "are shown: what the center pixel of Lᵢ h reads of the image (red positive, blue negative), Lᵢ h, "
        "and two of the features after the ReLU. Right: the image moved along the flow exp(t Lᵢ), with Lᵢ "
        "scaled so that Lᵢ h is as large as h, and the eigenvalues of all generators (those of a rotation "
        "would lie on the vertical axis). First seed.",
        alt="Schematic: a digit, two learned generators as pictures, the digit moved by each, and two "
        "output features, joined by arrows; beside it the digit after the exponentials of the generators, "
        "and a scatter of eigenvalues.",
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


# -- Figures 2, 3 and 4: bars of accuracies and sizes ------------------------------------------------------


def panels(results: Results, name: str, variants: Sequence[str]) -> Figure:
    """Figure 2 or 4: accuracies on four data sets, and the sizes of the networks."""
    shown = [data for data in arms.DATASETS if len(results.frame(arms.figure4(data)))]
    rest = text.join([title for data, title in arms.DATASETS.items() if data not in shown])
    kinds = "rotated images, plain and scrambled" if name == "figure2" else "default and rotated images"
    return plots.figure(
        results,
        name,
        f"Figure {name.removeprefix('figure')}: L-conv, CNN, random L and FC on {kinds}",
        lambda: _draw_panels(results, shown, variants),
        shown=shown,
        caption="Bars: mean accuracy on the held-out fifth at the best epoch; lines: ±1 standard deviation, "
        "dots: seeds. Right: trainable parameters of the same networks."
        + (f" Not run: {rest}." if shown and rest else ""),
        alt="Rows of bar charts, one for each data set. Left, groups of four bars, L-conv, CNN, random L "
        "and FC, for each variant of the data; right, the number of parameters of the four networks, of "
        "which FC has by far most.",
        experiments=[arms.figure4(data) for data in arms.DATASETS],
        demo=figures_studies.DEMO,
    )


def _draw_panels(results: Results, datasets: Sequence[str], variants: Sequence[str]) -> Canvas:
    widths = [1.1 * len(variants), 1.4]
    drawn, axes = canvas(7.6, 0.6 + 2.15 * len(datasets), len(datasets), 2, width_ratios=widths)
    looks = {model: LOOKS[model] for model in arms.FIGURE4}
    for data, left, right in zip(datasets, axes[::2], axes[1::2]):
        experiment = arms.figure4(data)
        groups = {
            arms.VARIANTS[v]: {m: BEST.of(results, (experiment, arms.arm4(m, v))) for m in looks}
            for v in variants
        }
        plots.bars(left, groups, looks)
        left.set_ylabel(f"{arms.DATASETS[data]}\naccuracy (%)")
        counts = {m: results.sample(experiment, arms.arm4(m, "rotated"), "parameters") for m in looks}
        _parameters(right, {"": counts}, looks)
        right.set_xticks([])
    axes[1].set_title("trainable parameters")
    plots.legend(drawn, looks.values(), filled=True)
    return drawn


def _parameters(axes: Axes, groups: Mapping[str, Mapping[str, Sample]], looks: Mapping[str, Look]) -> None:
    plots.bars(axes, groups, looks, baseline=0)
    plots.with_prefixes(axes.yaxis)


def layers(results: Results, experiment: str) -> Figure:
    """Figure 3: five networks with one and two layers."""
    title = arms.DATASETS[arms.FIGURE3_EXPERIMENTS[experiment]]
    paper = "" if experiment == "figure3" else " (not in the paper)"
    return plots.figure(
        results,
        experiment,
        f"Figure 3: one and two layers on {title}{paper}",
        lambda: _draw_layers(results, experiment),
        shown=[results.frame(experiment)],
        caption="Left and middle: mean accuracy on the held-out fifth at the best epoch, ±1 standard "
        "deviation, dots: seeds. Right: trainable parameters. Two layers are two; the shallow FC is sized "
        "as L-conv with as many.",
        alt="Three bar charts of five networks with one and with two layers: accuracy on rotated and "
        "scrambled images, on default images, and numbers of parameters.",
        demo=figures_studies.DEMO,
    )


def _draw_layers(results: Results, experiment: str) -> Canvas:
    drawn, axes = canvas(9.4, 3.4, 1, 3)
    looks = {model: LOOKS[model] for model in arms.FIGURE3}
    depths = {1: "1 layer", 2: "2 layers"}
    for panel, variant in zip(axes, ("scrambled", "default")):
        groups = {
            title: {m: BEST.of(results, (experiment, arms.arm3(m, n, variant))) for m in looks}
            for n, title in depths.items()
        }
        plots.bars(panel, groups, looks)
        panel.set(title=arms.VARIANTS[variant], ylabel="accuracy (%)")
    counts = {
        title: {m: results.sample(experiment, arms.arm3(m, n, "default"), "parameters") for m in looks}
        for n, title in depths.items()
    }
    _parameters(axes[2], counts, looks)
    axes[2].set_title("Trainable parameters")
    plots.legend(drawn, looks.values(), filled=True)
    return drawn


# -- Figure 5: accuracy against parameters, and the part where networks are of one size --------------------


def sizes(results: Results) -> Figure:
    """Figure 5."""
    points = points_of(results)
    return plots.figure(
        results,
        "figure5",
        "Figure 5: accuracy against parameter count on rotated and scrambled MNIST",
        lambda: _draw_sizes(results, points),
        shown=list(points.values()),
        caption="Left: all networks; gray lines lead to the same L-conv with its generators frozen at "
        "random. Right: those of nearly equal size; L[32]h[6](k[9]) is L-conv with 32 filters, rank 6 and K "
        "= 9 terms, C a CNN with its kernel. Mean at the best epoch, ±1 standard deviation"
        + ("." if results.demo else "; crosses: single runs printed in the authors' notebooks."),
        alt="Scatter plot of accuracy over the number of parameters for L-conv, CNN and FC; gray lines lead "
        "from each L-conv to the same network with random generators. Beside it the part around 200,000 "
        "parameters.",
        demo=figures_studies.DEMO,
    )


def points_of(results: Results) -> dict[tuple[str, str], Series]:
    """The networks of Figure 5 that have results, by kind and shape: accuracy at the number of parameters."""
    found = {}
    for kind, shapes in SHAPES.items():
        for shape in shapes:
            best = BEST.of(results, ("figure5", f"{kind}_{shape}"))
            if best.n:
                count = results.sample("figure5", f"{kind}_{shape}", "parameters").summary.mean
                found[kind, shape] = Series(shape, LOOKS[kind], pd.DataFrame({count: best.values}), best.tier)
    return found


def _draw_sizes(results: Results, points: Mapping[tuple[str, str], Series]) -> Canvas:
    drawn, (left, right) = canvas(9.4, 4.2, 1, 2, width_ratios=[1.3, 1])
    means = {key: (one.values.columns[0], one.values.mean().iloc[0]) for key, one in points.items()}
    for one in points.values():
        plots.mean_sd(left, one, markersize=4.5)
    for shape in arms.SHAPES:
        ends = [means[kind, shape] for kind in ("lconv", "random") if (kind, shape) in means]
        left.plot(*zip(*ends), color=MUTED, linewidth=0.7, alpha=0.6, zorder=1)
    left.set(xscale="log", xlabel="trainable parameters", ylabel="accuracy (%)")
    for key in ((kind, shape) for kind, shapes in MATCHED.items() for shape in shapes):
        if key in points:
            plots.mean_sd(right, points[key], markersize=4.5)
            look = {"textcoords": "offset points", "fontsize": 6.5}
            right.annotate(arms.short_label(key[1]), means[key], xytext=(5, 3), **look)
        known = [results.published("figure5", "_".join(key), name) for name in ("parameters", "accuracy")]
        if all(known) and not results.demo:
            right.plot(*(value.value for value in known), "x", color=LOOKS[key[0]].color, markersize=5)
    right.set(xlabel="trainable parameters")
    right.margins(x=0.16, y=0.1)
    plots.with_prefixes(right.xaxis)
    plots.legend(drawn, [one.look for one in points.values()])
    return drawn
