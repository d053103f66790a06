"""Figures of the subsampling paper: 3, 5, and one of our own, Table 1's RotMNIST column by angle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns

from pipelines.subsampling.arms import APPROXIMATE, EXACT, NETWORKS, arm
from shared import stats
from shared.report import text
from shared.report.figures import Figure, canvas
from shared.report.palette import INK, MUTED, SERIES
from shared.report.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

LABELS = {
    "p4cnn_28": "P4CNN exact (28)",
    "p4cnn_27": "P4CNN approximate (27)",
    "p4cnn_29": "P4CNN approximate (29)",
    "z2cnn_28": "Z2CNN (28)",
}
#: Color, marker and line style of each network; legend order.
LOOKS = {
    "p4cnn_28": (SERIES[0], "o", "-"),
    "p4cnn_27": (SERIES[1], "s", "-"),
    "p4cnn_29": (SERIES[2], "^", "-"),
    "z2cnn_28": (SERIES[3], "D", "-"),
}
TICKS = range(0, 361, 45)
PANELS = (
    ("input", "input x"),
    ("filter", "learned 3x3 filter"),
    ("map", "f(x)"),
    ("map_of_rotated", "T$^{-1}$ f(T x)"),
)


def figures(results: Results) -> list[Figure]:
    """All figures, in reading order."""
    return [figure5(results), rotmnist(results), figure3(results)]


def figure5(results: Results) -> Figure:
    """Accuracy over the rotation of the test images, trained upright."""
    frame = accuracies(results, "figure5", "upright")
    seeds = _seeds(frame)
    return Figure(
        "figure5",
        "Figure 5: accuracy over the rotation of the test images, trained on upright digits",
        f"Mean and ±1 standard deviation over {seeds}. "
        + _origin(results, "Thin dashed lines: the paper's curves (authors' logs, 10 seeds). ")
        + "The exact network repeats every 90 degrees; the approximate ones have one good orientation only.",
        "Line chart. The exact P4CNN has the same peaks at 0, 90, 180 and 270 degrees. The two approximate "
        "P4CNN fall from their peak at 0 to well below it at 90, 180 and 270 degrees; Z2CNN falls furthest.",
        (lambda: _draw_figure5(results, frame)) if len(frame) else None,
        (results.command("figure5"),),
    )


def rotmnist(results: Results) -> Figure:
    """Accuracy by angle of networks trained on turned digits, and how much better the exact one is."""
    frame = accuracies(results, "table1", "uniform")
    return Figure(
        "table1_angles",
        "Table 1's RotMNIST column, angle by angle",
        "Left: accuracy of networks trained on turned digits, mean and ±1 standard deviation over "
        f"{_seeds(frame)}. Right: exact minus approximate, with the 95 % interval over seeds. The paper "
        "prints the value at 0 degrees only, where the networks are equal; away from it the exact one "
        "tends to be better. " + _origin(results, "Thin dashed lines: authors' logs, 100 seeds."),
        "Two line charts over the test angle. Left: the P4CNN curves lie close together, far above Z2CNN. "
        "Right: the difference between the exact and each approximate P4CNN, around zero at 0 degrees.",
        (lambda: _draw_rotmnist(results, frame)) if len(frame) else None,
        (results.command("table1"),),
    )


def figure3(results: Results) -> Figure:
    """What the toy network sees at 32 and at 33 pixels."""
    panels = {name: pictures(results, name) for name in ("toy_32", "toy_33")}
    drawable = any(len(found) == len(PANELS) for found in panels.values())
    return Figure(
        "figure3",
        "Figure 3: a network with stride 2 tells an image from its quarter turn at 32 pixels, not at 33",
        "Each row: the input x, the filter learned from x against T x, the feature map f(x) (summed over "
        "the four orientations), and that of the turned input turned back. With 32 pixels stride 2 samples "
        "other pixels of the turned image, so the last two panels differ and the network uses it; with 33 "
        "pixels they coincide. First seed; each panel has its own gray scale, but the last two of a row "
        "share one.",
        "Two rows of four gray pictures: input, filter, feature map, feature map of the turned input turned "
        "back. In the upper row the last two differ, in the lower row they are equal.",
        (lambda: _draw_figure3(results, panels)) if drawable else None,
        (results.command("figure3"),),
    )


def _origin(results: Results, committed: str) -> str:
    """What else is drawn: the paper's curves, but never beside demo numbers."""
    return (
        "Demo: small networks on embedded digits, not comparable with the paper. "
        if results.demo
        else committed
    )


def _seeds(frame: pd.DataFrame) -> str:
    counts = sorted(set(frame.groupby("network")["seed"].nunique())) if len(frame) else []
    tiers = text.join(sorted(set(frame["tier"]))) if len(frame) else ""
    return f"{' to '.join(map(str, counts))} seeds ({tiers})" if counts else "seeds"


def accuracies(results: Results, experiment: str, training: str) -> pd.DataFrame:
    """Columns network, seed, angle, accuracy, tier; the value at 0 degrees comes again at 360."""
    parts = []
    for network in NETWORKS:
        name = arm(network, training)
        curves = results.curves(experiment, name, "accuracy")
        if len(curves):
            long = curves.rename_axis(columns="angle").stack().rename("accuracy").reset_index()
            again = long[long["angle"] == 0].assign(angle=360.0)
            both = pd.concat([long, again], ignore_index=True)
            parts.append(both.assign(network=network, tier=results.tier(experiment, name)))
    columns = ["network", "seed", "angle", "accuracy", "tier"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _reference(results: Results, table: str, network: str) -> np.ndarray:
    """The paper's curve as rows (angle, accuracy), empty in the demo."""
    if results.demo:
        return np.empty((0, 2))
    found = [(angle, results.published(table, network, str(angle % 360))) for angle in range(0, 361, 10)]
    return np.array([(angle, value.value) for angle, value in found if value]).reshape(-1, 2)


def _lines(results: Results, frame: pd.DataFrame, table: str, axes: Axes) -> None:
    """The measured curve of each network with its spread, and the paper's."""
    for network, (color, marker, style) in LOOKS.items():
        mine = frame[frame["network"] == network]
        if len(mine):
            sns.lineplot(
                mine,
                x="angle",
                y="accuracy",
                errorbar="sd",
                err_style="bars",
                err_kws={"elinewidth": 0.8, "capsize": 1.5},
                color=color,
                marker=marker,
                markeredgewidth=0,
                linestyle=style,
                label=LABELS[network],
                legend=False,
                ax=axes,
            )
        known = _reference(results, table, network)
        axes.plot(known[:, 0], known[:, 1], color=color, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1.5)
    axes.set(
        xlabel="rotation of the test images (degrees)", ylabel="accuracy (%)", xlim=(-5, 365), xticks=TICKS
    )


def _draw_figure5(results: Results, frame: pd.DataFrame) -> Canvas:
    figure, (axes,) = canvas(7.4, 4.2)
    _lines(results, frame, "figure5", axes)
    axes.set(ylim=(0, 102))
    if not results.demo:
        axes.plot([], [], color=MUTED, linewidth=0.8, linestyle=(0, (4, 2)), label="paper")
    figure.legend(loc="outside upper center", ncols=5, columnspacing=1.4, handletextpad=0.5)
    return figure


def _draw_rotmnist(results: Results, frame: pd.DataFrame) -> Canvas:
    figure, (left, right) = canvas(9.0, 3.7, 1, 2)
    _lines(results, frame, "table1_angles", left)
    exact = frame[frame["network"] == EXACT].pivot(index="seed", columns="angle", values="accuracy")
    for network in APPROXIMATE:
        color, marker, _ = LOOKS[network]
        other = frame[frame["network"] == network].pivot(index="seed", columns="angle", values="accuracy")
        gap = (exact - other).dropna(how="all").dropna(axis=1)
        if len(gap) > 1:
            error = stats.t_quantile(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap))
            right.fill_between(
                gap.columns, gap.mean() - error, gap.mean() + error, color=color, alpha=0.15, lw=0
            )
            right.plot(gap.columns, gap.mean(), color=color, marker=marker)
        known, base = (
            _reference(results, "table1_angles", network),
            _reference(results, "table1_angles", EXACT),
        )
        if len(known) and len(known) == len(base):
            right.plot(
                known[:, 0], base[:, 1] - known[:, 1], color=color, linewidth=0.8, linestyle=(0, (4, 2))
            )
    right.axhline(0, color=INK, linewidth=0.8)
    right.set(
        xlabel="rotation of the test images (degrees)", ylabel="exact - approximate (points)", xticks=TICKS
    )
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=4, columnspacing=1.4)
    return figure


def pictures(results: Results, name: str) -> dict[str, np.ndarray]:
    """The recorded panels of a toy arm's first seed, as square arrays."""
    found = {}
    for metric, _ in PANELS:
        pixels = results.curves("figure3", name, metric)
        values = pixels.iloc[0].dropna().to_numpy(float) if len(pixels) else np.empty(0)
        side = round(len(values) ** 0.5)
        if len(values) and side * side == len(values):
            found[metric] = values.reshape(side, side)
    return found


def _draw_figure3(results: Results, panels: dict[str, dict[str, np.ndarray]]) -> Canvas:
    figure, axes = canvas(7.4, 4.1, 2, 4)
    for line, (name, found) in enumerate(panels.items()):
        maps = [found[metric] for metric in ("map", "map_of_rotated") if metric in found]
        limits = (min(m.min() for m in maps), max(m.max() for m in maps)) if maps else (0.0, 1.0)
        for column, (metric, title) in enumerate(PANELS):
            panel = axes[4 * line + column]
            shared = limits if metric.startswith("map") else (None, None)
            if metric in found:
                panel.imshow(found[metric], cmap="gray", vmin=shared[0], vmax=shared[1])
            panel.set(xticks=[], yticks=[])
            panel.grid(False)
            panel.spines[:].set_visible(True)
            if line == 0:
                panel.set_title(title)
        size = name.rpartition("_")[2]
        axes[4 * line].set_ylabel(f"{size} pixels", color=INK)
        loss = results.last("figure3", name, "loss")
        if loss.n:
            axes[4 * line + 3].set_xlabel(f"loss {text.fixed(loss.numbers[0], 4)}")
    return figure
