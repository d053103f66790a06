"""Accuracy at the four quarter turns, one small profile per network: input sizes and padding.

A flat profile is what an exact network has; an approximate one falls from 0 degrees to the other three.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipelines.subsampling import arms
from pipelines.subsampling.arms import QUARTERS
from pipelines.subsampling.figures_common import by_name, curves, origin, seeds
from shared.report.figures import Figure, canvas
from shared.report.palette import GRID, MUTED, SERIES
from shared.report.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

#: By verdict, as `pipelines.subsampling.arms.EQUIVARIANCE` has it: color and marker.
LOOKS = {"exact": (SERIES[0], "o"), "approximate": (SERIES[1], "s"), "none": (SERIES[3], "D")}
#: Places of 0, 90, 180 and 270 degrees beside the middle of a profile.
OFFSETS = (-0.27, -0.09, 0.09, 0.27)
READING = (
    "Each profile shows, from left to right, the accuracy on test images turned by 0, 90, 180 and 270 degrees"
)


def sizes(results: Results) -> Figure:
    """Accuracy at quarter turns against the input size: the comb of even and odd sizes."""
    frame = quarters(results, "sizes", arms.SIZES)
    return Figure(
        "sizes",
        "One pixel more: accuracy at quarter turns by input size",
        f"P4CNN trained on upright digits. {READING}; mean and ±1 standard deviation over {seeds(frame)}. "
        "Even sizes (shaded) leave no remainder at the pooling and are exact: their profiles are flat. "
        f"{origin(results)}Every size but 28 is made by resizing, even and odd alike, so a difference "
        "between even and odd is none of resized and native images.",
        "A row of small profiles for input sizes 24 to 34. Those of even sizes are flat; those of odd "
        "sizes lie lower at 90, 180 and 270 degrees than at 0.",
        (lambda: _draw_sizes(frame)) if len(frame) else None,
        (results.command("sizes"),),
    )


def padding(results: Results) -> Figure:
    """Accuracy at quarter turns for each way of padding, at an approximate and at the exact size."""
    names = [arms.arm(network, mode) for network, modes in arms.PADDED.items() for mode in modes]
    frame = quarters(results, "padding", names)
    return Figure(
        "padding",
        "What padding does: accuracy at quarter turns by padding mode",
        f"P4CNN at 27 (approximate) and 28 pixels (exact), trained on upright digits. {READING}; mean and "
        f"±1 standard deviation over {seeds(frame)}. All four modes treat the sides of an image alike, so "
        "none changes the verdict; the paper leaves their effect on accuracy open. Last at 27 pixels: zeros "
        f"before the pool and replicate after it, and the other way round. {origin(results)}",
        "Two panels of small profiles, one per padding mode: at 27 pixels they lie lower at 90, 180 "
        "and 270 degrees than at 0, at 28 pixels they are flat.",
        (lambda: _draw_padding(frame)) if len(frame) else None,
        (results.command("padding"),),
    )


def quarters(
    results: Results, experiment: str, names: Iterable[str], metric: str = "accuracy"
) -> pd.DataFrame:
    """The `curves` of these arms at multiples of 90 degrees."""
    frame = curves(results, experiment, by_name(names), metric)
    return frame[frame["step"].isin(QUARTERS)]


def draw_profile(axes: Axes, x: float, frame: pd.DataFrame, verdict: str, filled: bool = True) -> None:
    """Mean and standard deviation at the quarter turns of one arm, around the place ``x``."""
    color, marker = LOOKS[verdict]
    table = frame.groupby("step")["value"].agg(["mean", "std"]).reindex([float(q) for q in QUARTERS])
    places = x + np.array(OFFSETS)
    axes.plot(places, table["mean"], color=color, linewidth=1.0, alpha=0.6)
    axes.errorbar(
        places,
        table["mean"],
        table["std"].fillna(0.0),
        color=color,
        marker=marker,
        markersize=4.2,
        markerfacecolor=color if filled else "none",
        linestyle="",
        elinewidth=0.8,
        capsize=1.5,
    )


def of(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of one arm."""
    return frame[frame["network"] == name]


def categories(axes: Axes, labels: Iterable[str], ylabel: str = "accuracy (%)") -> None:
    """Name the places 0, 1, ... on the horizontal axis."""
    labels = list(labels)
    axes.set(xlim=(-0.6, len(labels) - 0.4), xticks=range(len(labels)), xticklabels=labels, ylabel=ylabel)
    axes.grid(axis="x", visible=False)
    axes.tick_params(axis="x", length=0)


def name_angles(axes: Axes, x: float) -> None:
    """The four angles in small print below a profile, with some room made for them."""
    axes.margins(y=0.17)
    for offset, angle in zip(OFFSETS, QUARTERS):
        options = {"rotation": 90, "fontsize": 6, "color": MUTED, "ha": "center", "va": "bottom"}
        axes.text(x + offset, 0.015, f"{angle}°", transform=axes.get_xaxis_transform(), **options)


def shade(axes: Axes, places: Iterable[float]) -> None:
    """A gray column behind each of these places."""
    for place in places:
        axes.axvspan(place - 0.5, place + 0.5, color=GRID, alpha=0.45, lw=0, zorder=0)


def legend(
    figure: Canvas, axes: Axes, verdicts: Iterable[str], extra: Iterable[tuple[str, str]] = ()
) -> None:
    """What color and marker mean; ``extra`` adds (marker fill, label) pairs in a neutral color."""
    handles = []
    for verdict in verdicts:
        color, marker = LOOKS[verdict]
        label = {"none": "not equivariant"}.get(verdict, verdict)
        handles += axes.plot([], [], color=color, marker=marker, linewidth=1.0, markersize=4.2, label=label)
    for fill, label in extra:
        handles += axes.plot(
            [], [], color=MUTED, marker="o", linestyle="", markersize=4.2, markerfacecolor=fill, label=label
        )
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))


def _draw_sizes(frame: pd.DataFrame) -> Canvas:
    figure, (axes,) = canvas(8.0, 3.6)
    for place, name in enumerate(arms.SIZES):
        draw_profile(axes, place, of(frame, name), arms.EQUIVARIANCE[name])
    categories(axes, map(str, arms.SIDES))
    name_angles(axes, 0)
    shade(axes, [p for p, name in enumerate(arms.SIZES) if arms.EQUIVARIANCE[name] == "exact"])
    axes.set_xlabel("side of the input (pixels)")
    legend(figure, axes, ("exact", "approximate"))
    return figure


def _draw_padding(frame: pd.DataFrame) -> Canvas:
    ratios = {"width_ratios": [len(modes) for modes in arms.PADDED.values()]}
    figure, panels = canvas(8.6, 3.4, 1, 2, sharey=True, gridspec_kw=ratios)
    for number, (axes, (network, modes)) in enumerate(zip(panels, arms.PADDED.items())):
        verdict = arms.EQUIVARIANCE[network]
        for place, mode in enumerate(modes):
            draw_profile(axes, place, of(frame, arms.arm(network, mode)), verdict)
        labels = [arms.PARTLY_ZEROS[mode][1] if mode in arms.PARTLY_ZEROS else mode for mode in modes]
        categories(axes, labels, "" if number else "accuracy (%)")
        name_angles(axes, 0)
        axes.set(title=f"{arms.SHORT[network]}: {verdict}", xlabel="padding")
    legend(figure, panels[0], ("approximate", "exact"))
    return figure
