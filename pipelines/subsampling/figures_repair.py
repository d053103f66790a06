"""Repairs that keep every input size exact, and mirrors: profiles over quarter turns, as for input sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from pipelines.subsampling import arms
from pipelines.subsampling.figures_common import ZERO, Decades, by_name, curves, origin, seeds
from pipelines.subsampling.figures_quarters import (
    LOOKS,
    READING,
    categories,
    draw_profile,
    legend,
    name_angles,
    of,
    quarters,
    shade,
)
from shared.report.figures import Figure, canvas
from shared.report.palette import MUTED
from shared.report.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

#: Below the name of a network, how it was repaired.
TICKS = {"": "as published", "resize": "resized", "pool": "exact pool"}


def repair(results: Results) -> Figure:
    """Accuracy at quarter turns and invariance error, before and after a repair of the network."""
    names = [arms.repaired(*both) for both in repairs()]
    frame = quarters(results, "repair", names)
    errors = curves(results, "repair", by_name(names), "invariance_error")
    return Figure(
        "repair",
        "Repairs that keep every input size exact, and what they cost",
        "P4CNN at 27 and 29 pixels as published, with the map before the pool resized to the nearest "
        "exact size, and with a pool that is exact at every size (3x3 at odd ones), beside 28 pixels. "
        f"Trained on upright digits. Above: {READING[0].lower()}{READING[1:]}; mean and ±1 standard "
        f"deviation over {seeds(frame)}. Below: relative invariance error of the logits under quarter "
        f"turns before (open) and after training (filled), a seed a mark; {ZERO}. {origin(results)}",
        "Above, small profiles: those at 27 and 29 pixels as published lie lower at the quarter turns, "
        "the repaired ones and 28 pixels are flat. Below, errors on a log axis: at rounding when repaired "
        "and at 28 pixels, orders of magnitude above as published.",
        (lambda: _draw_repair(frame, errors)) if len(frame) else None,
        (results.command("repair"),),
    )


def mirrors(results: Results) -> Figure:
    """Accuracy under the eight elements of p4m, of p4m networks and of a p4 one."""
    frame = quarters(results, "mirrors", arms.MIRRORS)
    mirrored = quarters(results, "mirrors", arms.MIRRORS, "mirrored_accuracy")
    return Figure(
        "mirrors",
        "Mirrors: accuracy under quarter turns and mirrored quarter turns",
        "P4MCNN is built for quarter turns and mirrors, P4CNN for quarter turns only; trained on upright "
        f"digits. {READING} (filled), then the same for images mirrored left to right first (open); mean "
        f"and ±1 standard deviation over {seeds(frame)}. The size that breaks quarter turns breaks "
        "mirrors, too, but for the transpose (mirrored, then turned by 90 degrees), which swaps the row and "
        f"the column that the pool leaves out. {origin(results)}",
        "Four pairs of small profiles, turned and mirrored. P4MCNN at 28 pixels is flat over all eight, "
        "P4CNN at 28 pixels over the turns; the others vary.",
        (lambda: _draw_mirrors(frame, mirrored)) if len(frame) else None,
        (results.command("mirrors"),),
    )


def repairs() -> list[tuple[str, str]]:
    """Network and repair of each arm of the experiment, the exact one between the two that are repaired."""
    below, above = ([(network, kind) for kind in arms.REPAIRS] for network in arms.REPAIRED)
    return [*below, (arms.EXACT, ""), *above]


def _draw_repair(frame: pd.DataFrame, errors: pd.DataFrame) -> Canvas:
    figure, (above, below) = canvas(8.0, 5.0, 2, 1, sharex=True, gridspec_kw={"height_ratios": (3, 2)})
    decades = Decades.of(errors["value"].astype(float))
    labels = []
    for place, (network, kind) in enumerate(repairs()):
        name = arms.repaired(network, kind)
        verdict = "exact" if kind else arms.EQUIVARIANCE[network]
        labels.append(f"{arms.PIXELS[network]} pixels\n{TICKS[kind]}")
        draw_profile(above, place, of(frame, name), verdict)
        _draw_errors(below, place, of(errors, name), verdict, decades)
    for axes in (above, below):
        categories(axes, labels)
        shade(axes, [repairs().index((arms.EXACT, ""))])
    name_angles(above, 0)
    decades.apply(below)
    below.set_ylabel("invariance error")
    extra = (("none", "before training"), (MUTED, "after training"))
    legend(figure, above, ("exact", "approximate"), extra)
    return figure


def _draw_errors(axes: Axes, x: float, errors: pd.DataFrame, verdict: str, decades: Decades) -> None:
    """Error before (open, left) and after training (filled, right), a seed a mark, joined."""
    color, marker = LOOKS[verdict]
    for _, of_seed in errors.sort_values("step").groupby("seed"):
        values = decades.place(of_seed["value"])[[0, -1]]
        axes.plot([x - 0.15, x + 0.15], values, color=color, linewidth=0.7, alpha=0.5)
        for dx, value, fill in zip((-0.15, 0.15), values, ("none", color)):
            axes.plot(x + dx, value, color=color, marker=marker, markersize=4.2, markerfacecolor=fill)


def _draw_mirrors(frame: pd.DataFrame, mirrored: pd.DataFrame) -> Canvas:
    figure, (axes,) = canvas(8.0, 3.6)
    for place, name in enumerate(arms.MIRRORS):
        verdict = arms.EQUIVARIANCE[name]
        under_mirrors = verdict if name.startswith("p4m") else "none"
        draw_profile(axes, 2 * place, of(frame, name), verdict)
        draw_profile(axes, 2 * place + 0.75, of(mirrored, name), under_mirrors, filled=False)
    places = [2 * place + 0.375 for place in range(len(arms.MIRRORS))]
    axes.set(xlim=(-0.6, places[-1] + 1.0), xticks=places, xticklabels=[arms.SHORT[n] for n in arms.MIRRORS])
    axes.set_ylabel("accuracy (%)")
    axes.grid(axis="x", visible=False)
    name_angles(axes, 0)
    extra = ((MUTED, "turned"), ("none", "mirrored, then turned"))
    legend(figure, axes, ("exact", "approximate", "none"), extra)
    return figure
