"""Recorded pictures: Figure 2 (the circle crop) and Figure 3 (what stride 2 sees of a turned image)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from shared.report import text
from shared.report.figures import Figure, canvas
from shared.report.palette import INK, SERIES
from shared.report.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

#: Metrics of Figure 3's arms and what they show.
PANELS = (
    ("input", "input x"),
    ("filter", "learned 3x3 filter"),
    ("map", "f(x)"),
    ("map_of_rotated", "T$^{-1}$ f(T x)"),
)
#: Arm and metric of each picture of Figure 2, and its title.
CROPS = (
    ("plain", "original", "x"),
    ("plain", "picture", "turned by 30 degrees"),
    ("cropped", "picture", "turned, circle crop"),
)


def figure2(results: Results) -> Figure:
    """A digit, its turn by 30 degrees, and the same with the circle crop."""
    panels = {
        (name, metric): recorded(results, "figure2", name, [metric]).get(metric) for name, metric, _ in CROPS
    }
    tiers = sorted({results.tier("figure2", name) for name, _, _ in CROPS} - {""})
    whose = "scikit-learn's digits" if results.demo else "MNIST"
    return Figure(
        "figure2",
        "Figure 2: the circle crop keeps what every rotation keeps",
        f"One digit of {whose} (the first seed's{f', {text.join(tiers)}' if tiers else ''}): upright, "
        "turned by 30 degrees, and turned with the circle crop. A turn brings in new corners, drawn gray "
        "here, from which a network could read the angle; the crop blanks everything outside the "
        "inscribed circle (dashed), which looks the same at every angle. The pictures share one gray "
        "scale.",
        "Three gray pictures of a digit: upright; turned by 30 degrees with four gray corner triangles; "
        "the same with everything outside the inscribed circle black.",
        (lambda: _draw_figure2(panels)) if any(panel is not None for panel in panels.values()) else None,
        (results.command("figure2"),),
    )


def figure3(results: Results) -> Figure:
    """What the toy network sees at 32 and at 33 pixels."""
    panels = {name: pictures(results, name) for name in ("toy_32", "toy_33")}
    drawable = any(len(found) == len(PANELS) for found in panels.values())
    return Figure(
        "figure3",
        "Figure 3: a network with stride 2 tells an image from its quarter turn at 32 pixels, not at 33",
        "Each row: the input x, the filter learned from x against T x, the feature map f(x) (summed over "
        "the four orientations), and that of the turned input turned back. With 32 pixels stride 2 "
        "samples other pixels of the turned image, so the last two panels differ and the network uses it; "
        "with 33 pixels they coincide. First seed; each panel has its own gray scale, but the last two of "
        "a row share one.",
        "Two rows of four gray pictures: input, filter, feature map, feature map of the turned input "
        "turned back. In the upper row the last two differ, in the lower row they are equal.",
        (lambda: _draw_figure3(results, panels)) if drawable else None,
        (results.command("figure3"),),
    )


def recorded(results: Results, experiment: str, arm: str, metrics: Iterable[str]) -> dict[str, np.ndarray]:
    """The pictures of an arm's first seed that were recorded, by metric."""
    found = {metric: results.picture(experiment, arm, metric) for metric in metrics}
    return {metric: picture for metric, picture in found.items() if picture is not None}


def pictures(results: Results, name: str) -> dict[str, np.ndarray]:
    """The recorded panels of a toy arm's first seed, as square arrays."""
    return recorded(results, "figure3", name, [metric for metric, _ in PANELS])


def _gray(axes: Axes, picture: np.ndarray, limits: tuple[float | None, float | None]) -> None:
    axes.imshow(picture, cmap="gray", vmin=limits[0], vmax=limits[1])


def _bare(axes: Axes) -> None:
    """A frame and nothing else."""
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(True)


def _range(pictures: list[np.ndarray]) -> tuple[float, float]:
    """The smallest and the largest of all pixels; 0 and 1 without pictures."""
    return (min(p.min() for p in pictures), max(p.max() for p in pictures)) if pictures else (0.0, 1.0)


def _draw_figure2(panels: dict[tuple[str, str], np.ndarray | None]) -> Canvas:
    figure, axes = canvas(6.6, 2.35, 1, len(CROPS))
    limits = _range([picture for picture in panels.values() if picture is not None])
    turn = np.linspace(0, 2 * np.pi, 181)
    for panel, (name, metric, title) in zip(axes, CROPS):
        _bare(panel)
        panel.set_title(title)
        picture = panels[name, metric]
        if picture is not None:
            _gray(panel, picture, limits)
            middle, radius = (len(picture) - 1) / 2, len(picture) / 2
            circle = (middle + radius * np.cos(turn), middle + radius * np.sin(turn))
            panel.plot(*circle, color=SERIES[4], linewidth=1.1, linestyle=(0, (3, 2)))
    return figure


def _draw_figure3(results: Results, panels: dict[str, dict[str, np.ndarray]]) -> Canvas:
    figure, axes = canvas(7.4, 4.1, 2, 4)
    for line, (name, found) in enumerate(panels.items()):
        limits = _range([found[metric] for metric in ("map", "map_of_rotated") if metric in found])
        for column, (metric, title) in enumerate(PANELS):
            panel = axes[4 * line + column]
            _bare(panel)
            if metric in found:
                _gray(panel, found[metric], limits if metric.startswith("map") else (None, None))
            if line == 0:
                panel.set_title(title)
        size = name.rpartition("_")[2]
        axes[4 * line].set_ylabel(f"{size} pixels", color=INK)
        loss = results.last("figure3", name, "loss")
        if loss.n:
            axes[4 * line + 3].set_xlabel(f"loss {text.fixed(loss.numbers[0], 4)}")
    return figure
