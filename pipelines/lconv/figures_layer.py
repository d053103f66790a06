"""Figure 1: the layer as a schematic, with what it has learned in place of symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import FancyArrowPatch

from shared.report.figures import Figure, canvas
from shared.report.palette import INK, MUTED, SERIES
from shared.report.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

EXPERIMENT, ARM = "figure1", "lconv"


def figure1(results: Results) -> Figure:
    """The schematic of an L-conv layer, its generators' eigenvalues and flows."""
    pictures = results.picture(EXPERIMENT, ARM, "input") is not None
    demo = "Demo: embedded digits. " if results.demo else ""
    return Figure(
        "figure1",
        "Figure 1: an L-conv layer, with what it has learned on rotated images",
        f"{demo}The layer sums h W⁰ (upper path) and Lᵢ h Wⁱ over its generators, of which two of eight are "
        "shown: what the center pixel of Lᵢ h reads of the image (red positive, blue negative), Lᵢ h, and "
        "two of the features after the ReLU. Right: the image moved along the flow exp(t Lᵢ), with Lᵢ scaled "
        "so that Lᵢ h is as large as h, and the eigenvalues of all generators (those of a rotation would lie "
        "on the vertical axis). First seed.",
        "Schematic: a digit, two learned generators as pictures, the digit moved by each, and two output "
        "features, joined by arrows; beside it the digit after the exponentials of the generators, and a "
        "scatter of eigenvalues.",
        (lambda: _draw(results)) if pictures else None,
        (results.command(EXPERIMENT),),
    )


def _draw(results: Results) -> Canvas:
    figure, _ = canvas(9.4, 4.3)
    figure.clear()
    figure.set_layout_engine("none")

    def place(left: float, bottom: float, metric: str, title: str, signed: bool = False) -> Axes:
        axes = figure.add_axes((left, bottom, 0.105, 0.235))
        show(axes, results.picture(EXPERIMENT, ARM, metric), signed)
        axes.set_title(title, fontsize=8.5)
        return axes

    rows = (0.66, 0.37, 0.06)
    start = place(0.02, rows[1], "input", "image h")
    identity = place(0.33, rows[0], "input", "$L_0$h = h")
    read = [place(0.175, y, f"generator_{i}", f"$L_{i}$", True) for i, y in enumerate(rows[1:], 1)]
    moved = [place(0.33, y, f"moved_{i}", f"$L_{i}$h", True) for i, y in enumerate(rows[1:], 1)]
    outputs = [place(0.52, y, f"output_{i}", f"feature {i}") for i, y in enumerate((0.52, 0.2), 1)]
    for target in read:
        _arrow(figure, start, target)
    _elbow(figure, start, identity)
    for first, second in zip(read, moved):
        _arrow(figure, first, second)
    for number, first in enumerate((identity, *moved)):
        for second in outputs:
            _arrow(figure, first, second, f"$W^{number}$" if second is outputs[0] else "")
    figure.text(0.485, 0.88, "sum, ReLU", color=MUTED, fontsize=8.5, ha="center")
    _flows(figure, results)
    _eigenvalues(figure, results)
    return figure


def show(axes: Axes, values: np.ndarray | None, signed: bool) -> None:
    """A picture in gray, or with its sign in color."""
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    if values is None:
        return
    limit = np.abs(values).max() or 1.0
    scale = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit} if signed else {"cmap": "gray"}
    axes.imshow(values, **scale)


def _arrow(figure: Canvas, first: Axes, second: Axes, label: str = "") -> None:
    a, b = first.get_position(), second.get_position()
    start, end = (a.x1 + 0.003, (a.y0 + a.y1) / 2), (b.x0 - 0.003, (b.y0 + b.y1) / 2)
    figure.add_artist(
        FancyArrowPatch(
            start,
            end,
            transform=figure.transFigure,
            arrowstyle="-|>",
            mutation_scale=7,
            color=MUTED,
            linewidth=0.8,
        )
    )
    if label:
        figure.text(
            (start[0] + end[0]) / 2 - 0.012, (start[1] + end[1]) / 2 + 0.02, label, fontsize=8, color=INK
        )


def _elbow(figure: Canvas, first: Axes, second: Axes) -> None:
    """From the top of a picture up, then to the side of another."""
    a, b = first.get_position(), second.get_position()
    start, end = ((a.x0 + a.x1) / 2, a.y1 + 0.06), (b.x0 - 0.003, (b.y0 + b.y1) / 2)
    path = {"connectionstyle": "angle,angleA=90,angleB=0,rad=4", "arrowstyle": "-|>", "mutation_scale": 7}
    look = {"transform": figure.transFigure, "color": MUTED, "linewidth": 0.8}
    figure.add_artist(FancyArrowPatch(start, end, **path, **look))


def _flows(figure: Canvas, results: Results) -> None:
    for row, bottom in enumerate((0.66, 0.37)):
        for column in range(2):
            axes = figure.add_axes((0.68 + 0.12 * column, bottom, 0.105, 0.235))
            show(axes, results.picture(EXPERIMENT, ARM, f"flow_{row + 1}_{column + 1}"), False)
            axes.set_title(f"exp({(0.5, 1)[column]:g} $L_{row + 1}$) h", fontsize=8.5)


def _eigenvalues(figure: Canvas, results: Results) -> None:
    axes = figure.add_axes((0.71, 0.1, 0.24, 0.2))
    real, imaginary = (
        results.curves(EXPERIMENT, ARM, f"eigenvalue_{part}") for part in ("real", "imaginary")
    )
    if len(real) and len(imaginary):
        axes.plot(real.iloc[0], imaginary.iloc[0], "o", color=SERIES[0], markersize=2.5)
    axes.axhline(0, color=MUTED, linewidth=0.6)
    axes.axvline(0, color=MUTED, linewidth=0.6)
    axes.tick_params(labelsize=6.5)
    axes.set_title("eigenvalues", fontsize=8.5)
