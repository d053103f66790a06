"""Accuracy over the rotation of the test images: Figures 5 and 6, and Table 1's RotMNIST column by angle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipelines.subsampling.arms import APPROXIMATE, BIAS_EXPERIMENTS, BIASES, EXACT, NETWORKS, arm, biased
from pipelines.subsampling.figures_common import (
    LOOKS,
    ROTATION,
    THIN,
    TICKS,
    accuracies,
    apart,
    by_angle,
    draw_curves,
    draw_reference,
    joined,
    open_marks,
    origin,
    reference,
    seeds,
)
from shared import stats
from shared.report.figures import Figure, canvas
from shared.report.palette import INK, MUTED
from shared.report.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

#: Degrees around which the training angles of Figure 6 lie.
CENTER = 45.0


def figure5(results: Results) -> Figure:
    """Accuracy over the rotation of the test images, trained upright."""
    frame = accuracies(results, "figure5", "upright")
    alone = apart(results, "figure5", [arm(network, "upright") for network in NETWORKS])
    return Figure(
        "figure5",
        "Figure 5: accuracy over the rotation of the test images, trained on upright digits",
        f"Mean and ±1 standard deviation over {seeds(frame)}. "
        + open_marks(alone)
        + origin(results, "Thin dashed lines: the paper's curves (authors' logs, 10 seeds). ")
        + "The exact network repeats every 90 degrees; the approximate ones have one good orientation only.",
        "Line chart. The exact P4CNN has the same peaks at 0, 90, 180 and 270 degrees. The two "
        "approximate P4CNN fall from their peak at 0 to well below it at 90, 180 and 270 degrees; Z2CNN "
        "falls furthest.",
        (lambda: _draw_figure5(results, frame, alone)) if len(frame) else None,
        (results.command("figure5"),),
    )


def rotmnist(results: Results) -> Figure:
    """Accuracy by angle of networks trained on turned digits, and how much better the exact one is."""
    frame = accuracies(results, "table1", "uniform")
    alone = apart(results, "table1", [arm(network, "uniform") for network in NETWORKS])
    return Figure(
        "table1_angles",
        "Table 1's RotMNIST column, angle by angle",
        "Left: accuracy of networks trained on turned digits, mean and ±1 standard deviation over "
        f"{seeds(frame)}. {open_marks(alone)}Right: exact minus approximate, with the 95 % interval over "
        "seeds. The paper prints the value at 0 degrees only, where the networks are equal. "
        + origin(
            results,
            "Whether the exact one is better elsewhere, as in the authors' logs, is claim S13-logs. Thin "
            "dashed lines: authors' logs, 100 seeds.",
        ),
        "Two line charts over the test angle. Left: the P4CNN curves lie close together, far above Z2CNN. "
        "Right: the difference between the exact and each approximate P4CNN, around zero at 0 degrees.",
        (lambda: _draw_rotmnist(results, frame, alone)) if len(frame) else None,
        (results.command("table1"),),
    )


def figure6(results: Results, experiment: str = "figure6") -> Figure:
    """Accuracy by angle after training on digits turned by N(45, 20^2) and N(45, 40^2) degrees.

    Args:
        results: where the numbers come from.
        experiment: one of `BIAS_EXPERIMENTS`: one angle per batch, as released, or per image.
    """
    frames = {
        std: by_angle(results, experiment, {n: biased(n, std, experiment) for n in NETWORKS})
        for std in BIASES
    }
    both = joined(frames.values())
    names = [biased(network, std, experiment) for network in NETWORKS for std in BIASES]
    alone = apart(results, experiment, names)
    batch = not BIAS_EXPERIMENTS[experiment]
    drawn = "one angle for each batch, as the authors' code does" if batch else "an angle for each image"
    dashed = "Thin dashed lines: the paper's curves (authors' logs, 10 seeds" + (
        "). " if batch else ", one angle per batch). "
    )
    return Figure(
        experiment,
        "Figure 6: accuracy over rotation, trained on rotations around 45 degrees"
        + ("" if batch else ", one angle per image"),
        f"Training digits are turned by N(45, σ²) degrees, {drawn}; below: the distribution of these "
        f"angles. Mean and ±1 standard deviation over {seeds(both)}. {open_marks(alone)}"
        f"{origin(results, dashed)}Where "
        "training angles are rare, exact equivariance keeps the accuracy that the others lose.",
        "Two line charts over the test angle, for training angles with standard deviations 20 and 40 "
        "degrees, each above a bell curve of the training angles around 45 degrees. The exact P4CNN is "
        "nearly flat; the approximate ones and Z2CNN dip on the side away from 45 degrees, less at 40.",
        (lambda: _draw_figure6(results, frames, alone)) if len(both) else None,
        (results.command(experiment),),
    )


def wrapped_normal(angles: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Density per degree, on the circle, of N(mean, std^2) degrees.

    Shape:
        angles and result: any, equal.
    """
    turns = 360.0 * np.arange(-3, 4)
    distance = np.asarray(angles, dtype=float)[..., None] - mean + turns
    return np.exp(-0.5 * (distance / std) ** 2).sum(-1) / (std * np.sqrt(2 * np.pi))


def _draw_figure5(results: Results, frame: pd.DataFrame, alone: Sequence[float]) -> Canvas:
    figure, (axes,) = canvas(7.4, 4.2)
    draw_curves(axes, frame, LOOKS, alone)
    draw_reference(axes, results, "figure5", labelled=True)
    axes.set(ylim=(0, 102))
    figure.legend(loc="outside upper center", ncols=5, columnspacing=1.4, handletextpad=0.5)
    return figure


def _draw_rotmnist(results: Results, frame: pd.DataFrame, alone: Sequence[float]) -> Canvas:
    figure, (left, right) = canvas(9.0, 3.7, 1, 2)
    draw_curves(left, frame, LOOKS, alone, through=False)
    draw_reference(left, results, "table1_angles", labelled=True)
    for network in APPROXIMATE:
        _draw_gap(right, results, frame, network)
    right.axhline(0, color=INK, linewidth=0.8)
    right.set(xlabel=ROTATION, ylabel="exact - approximate (points)", xticks=TICKS)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=5, columnspacing=1.4)
    return figure


def _draw_gap(axes: Axes, results: Results, frame: pd.DataFrame, network: str) -> None:
    """How much better the exact network is than ``network``, ours with its interval and the paper's."""
    look = LOOKS[network]
    exact, other = (
        frame[frame["network"] == name].pivot(index="seed", columns="angle", values="accuracy")
        for name in (EXACT, network)
    )
    gap = (exact - other).dropna(how="all").dropna(axis=1)
    if len(gap) > 1:
        error = stats.t_quantile(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap))
        band = (gap.mean() - error, gap.mean() + error)
        axes.fill_between(gap.columns, *band, color=look.color, alpha=0.15, lw=0)
        axes.plot(gap.columns, gap.mean(), color=look.color, marker=look.marker)
    known, base = (reference(results, "table1_angles", name) for name in (network, EXACT))
    if len(known) and len(known) == len(base):
        axes.plot(known[:, 0], base[:, 1] - known[:, 1], color=look.color, **THIN)


def _draw_figure6(results: Results, frames: dict[int, pd.DataFrame], alone: Sequence[float]) -> Canvas:
    figure, panels = canvas(
        9.0, 4.6, 2, 2, sharex="col", sharey="row", gridspec_kw={"height_ratios": (4.2, 1)}
    )
    for column, (std, frame) in enumerate(frames.items()):
        above, below = panels[column], panels[column + 2]
        draw_curves(above, frame, LOOKS, alone, through=False)
        rows = {network: biased(network, std) for network in NETWORKS}
        draw_reference(above, results, "figure6", rows, labelled=column == 0)
        above.set(title=f"training angles N(45, {std}²)", xlabel="")
        angles = np.arange(0, 361, 2.0)
        density = 100 * wrapped_normal(angles, CENTER, std)
        below.fill_between(angles, density, color=MUTED, alpha=0.25, lw=0)
        below.plot(angles, density, color=MUTED, linewidth=1.0)
        below.set(xlabel=ROTATION, xlim=(-5, 365), xticks=TICKS, ylim=(0, None))
        if column:
            above.set_ylabel("")
        corner = {"transform": below.transAxes, "ha": "right", "va": "top", "color": MUTED}
        below.text(0.985, 0.9, "training angles", **corner)
    panels[2].set_ylabel("% / degree")
    handles = {label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=5, columnspacing=1.4)
    return figure
