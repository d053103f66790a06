"""Figure 5: accuracy against parameters, and the part where networks are of one size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipelines.lconv import arms
from pipelines.lconv.figures_looks import COLORS, MARKERS, origin, thousands
from pipelines.lconv.quantities import BEST
from shared.report.figures import Figure, canvas
from shared.report.palette import MUTED
from shared.report.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

SHAPES = {"random": arms.SHAPES, "lconv": arms.SHAPES, "cnn": arms.CNN_SHAPES, "fc": arms.FC_SHAPES}
#: Networks with 175,090 to 235,498 parameters on MNIST.
MATCHED = {
    "lconv": ("m16_K6_r6", "m16_K6_r8", "m16_K8_r6", "m24_K6_r6"),
    "cnn": ("m24_2x2", "m32_2x2", "m32_2x3", "m32_3x3", "m32_4x4", "m32_5x5"),
}
#: Parameters, accuracy and its standard deviation, by kind and shape.
Points = dict[tuple[str, str], tuple[float, float, float]]


def sizes(results: Results) -> Figure:
    """Figure 5."""
    return Figure(
        "figure5",
        "Figure 5: accuracy against parameter count on rotated and scrambled MNIST",
        f"{origin(results)}Left: all networks; gray lines lead to the same L-conv with its generators frozen "
        "at random. Right: those of nearly equal size; L[32]h[6](k[9]) is L-conv with 32 filters, rank 6 and "
        "K = 9 terms, C a CNN with its kernel. Mean at the best epoch, ±1 standard deviation"
        + ("." if results.demo else "; crosses: single runs printed in the authors' notebooks."),
        "Scatter plot of accuracy over the number of parameters for L-conv, CNN and FC; gray lines lead from "
        "each L-conv to the same network with random generators. Beside it the part around 200,000 "
        "parameters.",
        (lambda: _draw(results)) if len(results.frame("figure5")) else None,
        (results.command("figure5"),),
    )


def _points(results: Results) -> Points:
    found = {}
    for kind, shapes in SHAPES.items():
        for shape in shapes:
            arm = f"{kind}_{shape}"
            count, best = results.sample("figure5", arm, "parameters"), BEST.of(results, ("figure5", arm))
            if best.n:
                spread = best.summary.sd if best.n > 1 else 0.0
                found[kind, shape] = (count.summary.mean, best.summary.mean, spread)
    return found


def _draw(results: Results) -> Canvas:
    figure, (left, right) = canvas(9.4, 4.2, 1, 2, width_ratios=[1.3, 1])
    points = _points(results)
    for shape in arms.SHAPES:
        ends = [points[kind, shape] for kind in ("lconv", "random") if (kind, shape) in points]
        if len(ends) == 2:
            left.plot(*zip(*[end[:2] for end in ends]), color=MUTED, linewidth=0.7, alpha=0.6, zorder=1)
    for kind in SHAPES:
        _scatter(left, points, kind, SHAPES[kind])
    left.set(xscale="log", xlabel="trainable parameters", ylabel="accuracy (%)")
    for kind, shapes in MATCHED.items():
        _scatter(right, points, kind, shapes)
        for shape in shapes:
            if (kind, shape) in points:
                look = {"textcoords": "offset points", "fontsize": 6.5}
                right.annotate(arms.short_label(shape), points[kind, shape][:2], xytext=(5, 3), **look)
            known = [
                results.published("figure5", f"{kind}_{shape}", name) for name in ("parameters", "accuracy")
            ]
            if all(known) and not results.demo:
                right.plot(known[0].value, known[1].value, "x", color=COLORS[kind], markersize=5)
    right.set(xlabel="trainable parameters")
    right.margins(x=0.16, y=0.1)
    thousands(right.xaxis)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def _scatter(axes: Axes, points: Points, kind: str, shapes: tuple[str, ...]) -> None:
    found = [points[kind, shape] for shape in shapes if (kind, shape) in points]
    if not found:
        return
    x, y, error = np.array(found).T
    look = {"fmt": MARKERS[kind], "color": COLORS[kind], "elinewidth": 0.8, "capsize": 2, "markersize": 4.5}
    look |= {"markerfacecolor": "none"} if kind == "random" else {}
    axes.errorbar(x, y, error, label=arms.MODELS[kind], **look)
