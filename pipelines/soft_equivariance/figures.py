"""Figures 1 to 4 of the paper, in reading order; ours are in `figures_studies`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from pipelines.soft_equivariance import arms, figures_studies
from pipelines.soft_equivariance.quantities import ACCURACY, VALIDATION
from shared.report import plots, text
from shared.report.build import Where
from shared.report.figures import Axes, Canvas, Figure, canvas
from shared.report.plots import DASHED, Look, Series
from shared.report.results import Results
from shared.report.theme import INK, MUTED, SERIES

#: Panels of Figure 1: metric, title, frequencies.
PANELS = {
    "invariance": "invariance\nω = 0, ω' = 0",
    "equivariance": "equivariance\nω > 0, ω' = 0",
    "nonequivariance": "non-equivariance\nimpulse, ω' > 0",
    "relaxed": "relaxed equivariance\nω > 0, ω' > 0",
}
LOGGED = Look("logged by the authors (right axis)", SERIES[1], "x", "")
#: Left, bottom, width and height in Figure 2.
Box = tuple[float, float, float, float]


def figures(results: Results) -> list[Figure]:
    """All figures, in reading order."""
    return [
        figure1(results),
        operators(results),
        figure2(results),
        figure3(results),
        figure4(results),
        *figures_studies.figures(results),
    ]


def _pictures(results: Results, metric: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """What the study of pictures recorded under a metric, by flat index; None if not all of it is there."""
    curves = results.curves("pictures", "all", metric)
    values = curves.to_numpy(float)[0] if len(curves) else np.empty(0)
    return values.reshape(shape) if values.size == math.prod(shape) else None


# -- Figures 1 to 3: the operator --------------------------------------------------------------------------


def figure1(results: Results) -> Figure:
    """Kernels at nine places for the four special cases."""
    found = {panel: _pictures(results, f"figure1_{panel}", (3, 3, 7, 7)) for panel in PANELS}
    there = {panel: kernels for panel, kernels in found.items() if kernels is not None}
    shown = list(there.values())
    return plots.figure(
        results, "figure1", lambda: _draw_figure1(there), shown=shown, experiments=("pictures",), demo=""
    )


def _draw_figure1(panels: Mapping[str, np.ndarray]) -> Canvas:
    drawn, axes = canvas(8.6, 2.4, 1, len(panels))
    outside = np.add.outer(np.arange(-3, 4) ** 2, np.arange(-3, 4) ** 2) > 9
    for panel, (name, kernels) in zip(axes, panels.items()):
        tiles = np.full((3, 8, 3, 8), np.nan)
        tiles[:, :7, :, :7] = np.where(outside, np.nan, kernels).transpose(0, 2, 1, 3)
        _signed(panel, tiles.reshape(24, 24)[:-1, :-1], PANELS[name])
    return drawn


def _signed(axes: Axes, values: np.ndarray, title: str = "") -> None:
    """A picture with its sign in color, the ground where it is NaN."""
    extent = float(np.nanmax(np.abs(values))) or 1.0
    axes.imshow(values, cmap="RdBu_r", vmin=-extent, vmax=extent)
    axes.set_axis_off()
    axes.set_title(title, fontsize=8.5)


def operators(results: Results) -> Figure:
    """The same four cases in one dimension, as matrices."""
    found = {panel: _pictures(results, f"operator_{panel}", (16, 16)) for panel in PANELS}
    there = {panel: matrix for panel, matrix in found.items() if matrix is not None}

    def draw() -> Canvas:
        drawn, axes = canvas(8.6, 2.7, 1, len(there))
        for panel, (name, matrix) in zip(axes, there.items()):
            plots.picture(panel, matrix, signed=True)
            panel.set_title(PANELS[name], fontsize=8.5)
            panel.set(xlabel="input v")
        axes[0].set(ylabel="output u")
        return drawn

    shown = list(there.values())
    return plots.figure(results, "operators", draw, shown=shown, experiments=("pictures",), demo="")


def figure2(results: Results) -> Figure:
    """The block diagram of a kernel value; nothing in it is measured."""
    shown = ["a drawing"]
    drawn = plots.figure(results, "figure2", _draw_figure2, shown=shown, experiments=("networks",), demo="")
    return replace(drawn, commands=())


def _draw_figure2() -> Canvas:
    drawn, (axes,) = canvas(7.6, 2.7)
    axes.set(xlim=(0, 100), ylim=(0, 46))
    axes.set_axis_off()
    for bottom, title, mark, color in ((25, "v⁻¹u", "", SERIES[0]), (3, "v", "'", SERIES[1])):
        _box(axes, (1, bottom + 3, 11, 12), title, color)
        for place, name in enumerate(("x", "y", "r")):
            box = (22, bottom + 12.5 - 6.5 * place, 9, 5.2)
            _box(axes, box, f"$\\alpha{mark}_{name}$", color)
            _box(axes, (41, box[1], 9, 5.2), f"$\\times\\,\\omega{mark}_{name}$", color)
            _arrow(axes, (12, bottom + 9), (22, box[1] + 2.6))
            _arrow(axes, (31, box[1] + 2.6), (41, box[1] + 2.6))
            _arrow(axes, (50, box[1] + 2.6), (60, 23))
        axes.text(
            26.5,
            bottom + 19.2,
            ("stationary" if not mark else "absolute"),
            fontsize=8,
            ha="center",
            color=color,
        )
    for place, name in enumerate(("sine", "sine", "linear")):
        _box(axes, (60 + 10 * place, 14, 7, 18), name, INK)
        _arrow(axes, (67 + 10 * place, 23), (70 + 10 * place, 23))
    _box(axes, (90, 18, 9.5, 10), "k(v⁻¹u, v)", INK)
    axes.text(73.5, 34, "one network, hidden width 32", fontsize=8, ha="center", color=MUTED)
    return drawn


def _box(axes: Axes, box: Box, label: str, color: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    left, bottom, width, height = box
    look = {"boxstyle": "round,pad=0,rounding_size=1", "edgecolor": color, "facecolor": "none"}
    axes.add_patch(FancyBboxPatch((left, bottom), width, height, linewidth=1.1, **look))
    axes.text(left + width / 2, bottom + height / 2, label, ha="center", va="center", fontsize=8)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    look = {"arrowstyle": "-|>", "color": MUTED, "linewidth": 0.7, "mutation_scale": 6}
    axes.annotate("", end, start, arrowprops=look)


def figure3(results: Results) -> Figure:
    """Filter banks of SO(2), strict and relaxed, over their angles."""
    found = [_pictures(results, f"figure3_{kind}", (8, 25, 25)) for kind in ("strict", "relaxed")]
    there = [bank for bank in found if bank is not None]
    return plots.figure(
        results, "figure3", lambda: _draw_figure3(there), shown=there, experiments=("pictures",), demo=""
    )


def _draw_figure3(banks: Sequence[np.ndarray]) -> Canvas:
    drawn, axes = canvas(
        8.6, 1.25 * len(banks) + 0.9, len(banks) + 1, 8, height_ratios=[*[1] * len(banks), 0.55]
    )
    offsets = np.linspace(-1, 1, 25)
    outside = np.add.outer(offsets**2, offsets**2) > 1
    for row, (bank, title) in enumerate(zip(banks, ("ω' = 0", "ω' > 0"))):
        extent = float(np.abs(bank).max()) or 1.0
        for column, values in enumerate(bank):
            panel = axes[8 * row + column]
            panel.imshow(np.where(outside, np.nan, values), cmap="RdBu_r", vmin=-extent, vmax=extent)
            panel.set(xticks=[], yticks=[], ylabel="" if column else title)
            panel.spines[:].set_visible(False)
            panel.grid(visible=False)
    for column, panel in enumerate(axes[8 * len(banks) :]):
        turn = 2 * math.pi * column / 8  # rows run down, so that a positive angle turns clockwise
        panel.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), aspect="equal")
        panel.set_axis_off()
        _arrow(panel, (0, 0), (math.cos(turn), -math.sin(turn)))
        panel.set_title(f"{45 * column}°", fontsize=7.5, color=MUTED, y=-0.45)
    return drawn


# -- Figure 4: accuracy by omega' --------------------------------------------------------------------------


def _curve(places: Mapping[int, Where], results: Results, look: Look, tier: str = "") -> Series:
    """Validation accuracy over omega' as a series."""
    samples = {m: VALIDATION.of(results, where) for m, where in places.items()}
    values = pd.DataFrame({float(m): pd.Series(sample.values) for m, sample in samples.items() if sample.n})
    tiers = [sample.tier for sample in samples.values() if sample.n]
    return Series(look.label, look, values, tiers[0] if tiers else tier)


def figure4(results: Results) -> Figure:
    """Validation accuracy by omega', the test accuracy at its best, and the strict network."""
    look = Look("relaxed", SERIES[0])
    shown = {
        (data, sweep): _curve(arms.swept(results, data, sweep), results, look)
        for data in arms.DATASETS
        for sweep in arms.SWEEPS
    }
    there = [sweep for sweep in arms.SWEEPS if any(len(shown[data, sweep]) for data in arms.DATASETS)]
    return plots.figure(
        results,
        "figure4",
        lambda: _draw_figure4(results, shown, there),
        shown=list(shown.values()),
        experiments=[name for name, *_ in arms.SWEEPS.values()][:2],
        demo=figures_studies.DEMO,
    )


def _draw_figure4(results: Results, shown: Mapping[tuple[str, str], Series], sweeps: Sequence[str]) -> Canvas:
    drawn, axes = canvas(3.1 * len(sweeps), 5.0, 2, len(sweeps))
    look = Look("strict", INK, "", DASHED)
    handles = [Look("relaxed", SERIES[0]), look]
    panels = iter(axes)
    for data in arms.DATASETS:
        for sweep in sweeps:
            panel, one = next(panels), shown[data, sweep]
            plots.band(panel, one, "se")
            strict = VALIDATION.of(results, arms.strict(data, sweep))
            if strict.n:
                panel.axhline(strict.summary.mean, color=INK, linewidth=0.9, linestyle=DASHED)
            if _logged(panel, results, f"{data}_{sweep}_validation"):
                handles.append(LOGGED)
            _best(panel, results, arms.swept(results, data, sweep), one)
            _divisors(panel, sweep, one)
            panel.set(title=f"{arms.DATA[data]}, {arms.SWEEPS[sweep][3]}", xlabel="ω'")
        axes[len(sweeps) * arms.DATASETS.index(data)].set_ylabel("validation accuracy (%)")
    plots.legend(drawn, handles)
    return drawn


def _logged(axes: Axes, results: Results, row: str) -> bool:
    """The authors' sweep on an axis of its own, since its networks are larger; whether there is one."""
    known = [] if results.demo else results.printed("figure4", row)
    if known:
        other = axes.twinx()
        other.plot(*zip(*known), LOGGED.marker, color=LOGGED.color, markersize=4)
        other.tick_params(axis="y", labelcolor=LOGGED.color, color=LOGGED.color)
        other.grid(visible=False)
        other.margins(y=0.16)
    return bool(known)


def _best(axes: Axes, results: Results, places: Mapping[int, Where], one: Series) -> None:
    """The test accuracy at the best omega' > 0, beside its mark."""
    means = one.values.mean()
    means = means[means.index > 0]
    if not len(means):
        return
    best = int(means.idxmax())
    tested = ACCURACY.of(results, places[best])
    label = f"test {text.fixed(tested.summary.mean, 1)}"
    look = {"textcoords": "offset points", "xytext": (0, 8), "ha": "center", "fontsize": 7.5}
    axes.annotate(label, (best, means[best]), **look)
    axes.margins(y=0.16)


def _divisors(axes: Axes, sweep: str, one: Series) -> None:
    """gcd(omega', n) in small print above the axis."""
    n = int(sweep.removeprefix("n")) if sweep != "t2" else 0
    for m in one.values.columns if n else ():
        shared = math.gcd(int(m), n)
        where = {"transform": axes.get_xaxis_transform(), "ha": "center", "fontsize": 6.5, "color": MUTED}
        axes.text(m, 0.015, str(shared), **where)
