"""Figure 4: the equivariance error of each stage through training, in four readings, beside accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipelines.subsampling.arms import DATASETS, FIGURE4_PANELS, READING_TITLES, SHORT, STAGE_TITLES, stages
from pipelines.subsampling.figures_common import ZERO, Decades, Look, by_name, curves, joined, origin, seeds
from pipelines.subsampling.quantities import figure4_paper, figure4_source
from shared.report import text
from shared.report.figures import Figure, canvas
from shared.report.palette import INK, SERIES
from shared.report.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

#: By stage; a series differs in color and marker.
LOOKS = {
    stage: Look(f"after {STAGE_TITLES[stage]}", SERIES[number], marker)
    for number, (stage, marker) in enumerate(zip(STAGE_TITLES, ("o", "s", "^", "D", "v")))
}
ACCURACY = {"color": INK, "linestyle": ":", "linewidth": 1.2}
#: What the vertical axes say; the readings of Eq. 14.
AXES = {
    "mse": "A: mean of D²",
    "root": "B: √(sum of D²) / N",
    "l1": "C: mean of |D|, 3 turns",
    "energy": "E: sum of D² / sum of f(x)²",
}
#: Readings by figure: the recommended one and the one without a scale first, then the other two.
PARTS = {"figure4": ("mse", "energy"), "figure4_readings": ("root", "l1")}
NETWORKS = {"figure4": "a p4 ResNet-44", "table2_reduced": "a reduced p4 ResNet of one block a stage"}
TITLE = "equivariance error of each stage through training"
#: A stage counts as broken if its error comes within this factor of the largest.
BROKEN = 1e-3


def figure4(results: Results, name: str = "figure4") -> Figure:
    """Errors by epoch of the approximate and the exact network that stand in for the paper's.

    Args:
        results: where the numbers come from.
        name: one of `PARTS`: which readings of Eq. 14.
    """
    experiment, networks = figure4_source(results)
    title = f"Figure 4: {TITLE}" + ("" if name == "figure4" else ", the two other readings of Eq. 14")
    network = f"{NETWORKS[experiment]}{'' if results.demo else ' on CIFAR-10'}"
    paper = "The paper shows a p4 ResNet-18 on ImageNet and a p4 ResNet-44 on PCam, without numbers. "
    return _figure(results, experiment, networks, name, title, network, paper)


def figure4_panel(results: Results, experiment: str) -> Figure:
    """The same on the data of the paper's own panel, one of `FIGURE4_PANELS`."""
    dataset = experiment.removeprefix("table2_")
    panel, networks = FIGURE4_PANELS[experiment], figure4_paper(experiment)
    network = f"a {SHORT[networks[0]].rpartition(' ')[0]}"
    network += "" if results.demo else f" on {DATASETS[dataset]}"
    title = f"Figure {panel}, {DATASETS[dataset]}: {TITLE}"
    return _figure(results, experiment, networks, f"figure4_{dataset}", title, network, "")


def _figure(
    results: Results,
    experiment: str,
    networks: tuple[str, str],
    name: str,
    title: str,
    network: str,
    paper: str,
) -> Figure:
    found = {
        reading: _errors(results, experiment, networks, reading)
        for reading in PARTS.get(name, PARTS["figure4"])
    }
    accuracy = {arm: curves(results, experiment, by_name([arm]), "tracked_accuracy") for arm in networks}
    frames = [frame for arms in found.values() for by_stage in arms.values() for frame in by_stage.values()]
    together = joined(frames)
    readings = text.join([READING_TITLES[reading] for reading in found])
    return Figure(
        name,
        title,
        f"D = f(T x) - T' f(x) after each stage of {network}, read as {readings}. Left: an input size that "
        "breaks equivariance; middle: the same, only the stages that it breaks; right: one pixel more, "
        f"exact. Mean over {seeds(together)}, shaded from the smallest to the largest seed; log axes, on "
        f"which {ZERO}. Dotted: accuracy on upright test images. {origin(results, paper)}",
        "Two rows of three line charts of error over epoch on a log axis. Left, errors before the first "
        "subsampling that breaks equivariance lie at rounding or 0, those behind it orders of magnitude "
        "above, which the middle shows enlarged. Right, for the exact network, all stay at rounding. A "
        "dotted line shows accuracy rising.",
        (lambda: _draw(networks, found, accuracy)) if len(together) else None,
        (results.command(experiment),),
    )


def _errors(
    results: Results, experiment: str, networks: tuple[str, ...], reading: str
) -> dict[str, dict[str, pd.DataFrame]]:
    """The `curves` of one reading by network and stage."""
    return {
        arm: {
            stage: curves(results, experiment, by_name([arm]), f"{reading}_{stage}") for stage in stages(arm)
        }
        for arm in networks
    }


def by_epoch(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns mean, min and max over the seeds of a `curves` frame, by epoch."""
    return frame.groupby("step")["value"].agg(["mean", "min", "max"]).sort_index()


def broken(by_stage: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The stages whose error is not rounding beside the largest one."""
    largest = {stage: frame["value"].max() for stage, frame in by_stage.items() if len(frame)}
    limit = BROKEN * max(largest.values(), default=0.0)
    return {stage: by_stage[stage] for stage, value in largest.items() if value > 0 and value >= limit}


def _draw(
    networks: tuple[str, str],
    found: dict[str, dict[str, dict[str, pd.DataFrame]]],
    accuracy: dict[str, pd.DataFrame],
) -> Canvas:
    figure, panels = canvas(10.2, 2.4 * len(found) + 0.6, len(found), 3, sharex=True)
    approximate, exact = networks
    for row, (reading, by_arm) in enumerate(found.items()):
        left, middle, right = panels[3 * row : 3 * row + 3]
        whole = Decades.of([v for arm in networks for frame in by_arm[arm].values() for v in frame["value"]])
        enlarged = broken(by_arm[approximate])
        near = Decades.of([value for frame in enlarged.values() for value in frame["value"]])
        for axes, arm, shown, decades in (
            (left, approximate, by_arm[approximate], whole),
            (middle, approximate, enlarged, near),
            (right, exact, by_arm[exact], whole),
        ):
            for stage, frame in shown.items():
                _draw_stage(axes, frame, LOOKS[stage], decades)
            decades.apply(axes)
            _draw_accuracy(axes, accuracy[arm], axes is right)
        left.set_ylabel(AXES[reading])
    for axes, arm, word in zip(
        panels, (approximate, approximate, exact), ("approximate", "enlarged", "exact")
    ):
        axes.set_title(f"{arm.rpartition('_')[2]} pixels: {word}")
    for axes in panels[-3:]:
        axes.set_xlabel("epoch (0: before training)")
    handles, labels = panels[0].get_legend_handles_labels()
    handles += panels[0].plot([], [], **ACCURACY)
    labels.append("accuracy (right axis)")
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def _draw_stage(axes: Axes, frame: pd.DataFrame, look: Look, decades: Decades) -> None:
    table = by_epoch(frame)
    epochs = table.index.to_numpy(float)
    low, mean, high = (decades.place(table[name]) for name in ("min", "mean", "max"))
    axes.fill_between(epochs, low, high, color=look.color, alpha=0.18, lw=0)
    every = max(1, len(epochs) // 10)
    axes.plot(epochs, mean, color=look.color, marker=look.marker, markevery=every, label=look.label)


def _draw_accuracy(axes: Axes, frame: pd.DataFrame, labelled: bool) -> None:
    """Dotted, on a second vertical axis from 0 to 100 %."""
    right = axes.twinx()
    table = by_epoch(frame)
    right.plot(table.index.to_numpy(float), table["mean"].to_numpy(float), **ACCURACY)
    right.set(ylim=(0, 104), yticks=np.arange(0, 101, 25))
    right.tick_params(labelright=labelled, length=3.5 if labelled else 0)
    right.grid(False)
    if labelled:
        right.set_ylabel("accuracy (%)")
