"""Figures of the propositions and of the theorem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipelines.lconv.figures_looks import DASHED
from shared.report.figures import Figure, canvas
from shared.report.palette import INK, SERIES
from shared.report.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


def figures(results: Results) -> list[Figure]:
    """The figures of propositions and theorem, in reading order."""
    return [propositions(results), theorem1(results)]


def propositions(results: Results) -> Figure:
    """The rates of Propositions 1 and 2."""
    drawable = len(results.curves("propositions", "all", "p1_error")) > 0
    return Figure(
        "propositions",
        "Propositions 1 and 2: how fast L-conv approaches group convolution",
        "Left: error of one layer for a kernel of half width η (second order, dashed). Middle: error of n "
        "layers for the exponential, and for a sum over six group elements (first order, dashed). Right: "
        "correlation of n layers with a shift by 2 of 20 pixels, and its limit. Thin lines: seeds.",
        "Three line charts: errors falling along straight lines in logarithmic axes, and a correlation "
        "rising to 0.975.",
        (lambda: _draw_propositions(results)) if drawable else None,
        (results.command("propositions"),),
    )


def _lines(axes: Axes, results: Results, experiment: str, metric: str, color: str, label: str) -> np.ndarray:
    """All seeds of a curve, thin, and their mean; returns steps and means."""
    curves = results.curves(experiment, "all", metric)
    steps, means = curves.columns.to_numpy(float), curves.mean().to_numpy(float)
    for _, line in curves.iterrows():
        axes.plot(steps, line, color=color, linewidth=0.6, alpha=0.5)
    axes.plot(steps, means, marker="o", color=color, label=label)
    return np.array([steps, means])


def _order(axes: Axes, steps: np.ndarray, start: float, order: float) -> None:
    """A dashed line of a given order."""
    look = {"color": INK, "linewidth": 0.9, "linestyle": DASHED}
    axes.plot(steps, start * (steps / steps[0]) ** order, label=f"order {order:g}", **look)


def _draw_propositions(results: Results) -> Canvas:
    figure, (first, second, third) = canvas(9.4, 3.0, 1, 3)
    steps, means = _lines(first, results, "propositions", "p1_error", SERIES[0], "P1")
    _order(first, steps, 1.3 * means[0], 2)
    first.set(xscale="log", yscale="log", xlabel="half width η", ylabel="relative error")
    first.set_xticks(steps, [f"{step:g}" for step in steps])
    first.minorticks_off()
    steps, means = _lines(second, results, "propositions", "p2_error", SERIES[0], "exponential")
    _order(second, steps, 1.4 * means[0], -1)
    _lines(second, results, "propositions", "p2_group_error", SERIES[1], "group sum")
    second.set(xscale="log", yscale="log", xlabel="layers n", ylabel="relative error")
    curves = results.curves("propositions", "all", "p2_correlation")
    curves = curves[[step for step in curves.columns if step > 0]]
    third.plot(curves.columns, curves.mean(), marker="o", color=SERIES[0], label="n layers")
    third.axhline(np.sqrt(19 / 20), color=INK, linewidth=0.9, linestyle=DASHED, label="limit")
    third.set(xscale="log", xlabel="layers n", ylabel="correlation with the shift")
    third.set_xticks(curves.columns.to_numpy(), [f"{step:g}" for step in curves.columns], minor=False)
    third.minorticks_off()
    for axes in (first, second, third):
        axes.legend()
    return figure


def theorem1(results: Results) -> Figure:
    """Symmetries of regression: exact where the theorem says so, and how they transfer to new samples."""
    drawable = len(results.curves("theorem1", "all", "transfer")) > 0
    return Figure(
        "theorem1",
        "Theorem 1: symmetries of linear regression",
        "Left: residual of A u = u_c A for pairs constructed as the theorem says, and for random u that keep "
        "only the second moments, with the best u_c. Right: a symmetry computed from n samples, tried on the "
        "second moments of n others; it falls like the square root of d / n (dashed). One dot or thin line a "
        "seed.",
        "Left: two groups of dots on a logarithmic axis, near 1e-15 and near 1. Right: an error that falls "
        "with the number of samples along a dashed line of slope -1/2.",
        (lambda: _draw_theorem(results)) if drawable else None,
        (results.command("theorem1"),),
    )


def _draw_theorem(results: Results) -> Canvas:
    figure, (left, right) = canvas(7.6, 3.1, 1, 2)
    for place, (metric, color) in enumerate((("t2_intertwining", SERIES[0]), ("t4_intertwining", SERIES[1]))):
        sample = results.sample("theorem1", "all", metric)
        offsets = np.linspace(-0.15, 0.15, sample.n) if sample.n > 1 else [0.0]
        left.plot(place + np.array(offsets), sample.numbers, "o", color=color, markersize=3)
    left.set(yscale="log", xticks=[0, 1], xticklabels=["as constructed", "random u"], xlim=(-0.5, 1.5))
    left.set(ylabel="relative residual of A u = u_c A")
    steps, means = _lines(right, results, "theorem1", "transfer", SERIES[0], "mean over seeds")
    _order(right, steps, means[0], -0.5)
    right.set(xscale="log", yscale="log", xlabel="samples n", ylabel="error on other samples")
    right.legend()
    return figure
