"""Does the invariance error foretell what is lost at quarter turns, before training and after?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipelines.subsampling import arms
from pipelines.subsampling.figures_common import ZERO, Decades, origin
from pipelines.subsampling.figures_quarters import LOOKS
from shared.report import text
from shared.report.figures import Figure, canvas
from shared.report.palette import INK, MUTED
from shared.report.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

#: Where trained networks are found, with the kind of training images.
EXPERIMENTS = {
    "table1": "digits",
    "figure6": "digits",
    "figure6_images": "digits",
    "sizes": "digits",
    "padding": "digits",
    "repair": "digits",
    "mirrors": "digits",
    **{f"table2_{dataset}": "images" for dataset in arms.TABLE2},
    "table2_reduced": "images",
    "controls_cifar10": "images",
}
#: Marker by kind of training images.
MARKERS = {"upright digits": "o", "turned digits": "^", "upright color images": "s"}
COLUMNS = ["run", "seed", "arm", "tier", "verdict", "trained", "before", "after", "lost"]


def invariance(results: Results) -> Figure:
    """Invariance error before and after training against the accuracy lost at quarter turns."""
    points = lost_by_error(results)
    tiers = text.join(sorted(set(points["tier"])))
    shown = [name for name in EXPERIMENTS if len(results.frame(name))]
    counts = f"{len(points)} trainings ({tiers})" if len(points) else "trainings"
    return Figure(
        "invariance",
        "Error before and after training beside the accuracy lost at quarter turns",
        f"A mark is a network and a seed: {counts}. Across: relative invariance error of its logits under "
        f"quarter turns, before (left) and after training (right); on the log axis {ZERO}. Up: accuracy at "
        f"0 degrees minus the mean at 90, 180 and 270. {origin(results)}Before training the error tells "
        "exact networks from others. What the others lose depends on the images they are trained on; among "
        "networks trained on upright images it grows with the error after training.",
        "Two scatter charts of accuracy lost over invariance error on a log axis, before training and "
        "after. Exact networks sit at rounding errors and lose nothing; approximate and plain ones lie "
        "orders of magnitude to the right.",
        (lambda: _draw(points)) if len(points) else None,
        tuple(results.command(name) for name in shown or ("table1", "sizes", "table2_reduced")),
    )


def lost_by_error(results: Results) -> pd.DataFrame:
    """One row per training with `COLUMNS`; runs that experiments share appear once.

    ``before`` and ``after`` are the invariance error at the first and the last step, ``lost`` is in points.
    """
    found = {}
    for experiment, kind in EXPERIMENTS.items():
        frame = results.frame(experiment)
        for run, rows in frame.groupby("run", sort=False):
            point = _point(rows, kind)
            if point is not None:
                found.setdefault(run, {"run": run, **point})
    return pd.DataFrame(found.values(), columns=COLUMNS)


def _point(rows: pd.DataFrame, kind: str) -> dict[str, object] | None:
    """What one training gives; None if its verdict, error or an angle is not known."""
    first = rows.iloc[0]
    errors = rows[rows["metric"] == "invariance_error"].sort_values("step")["value"]
    accuracies = rows[rows["metric"] == "accuracy"].set_index("step")["value"]
    by_angle = accuracies.reindex([float(angle) for angle in arms.QUARTERS])
    verdict = verdict_of(str(first["arm"]))
    if verdict is None or len(errors) < 2 or by_angle.isna().any():
        return None
    turned = "_uniform" in first["arm"] or "_biased" in first["arm"]
    trained = "upright color images" if kind == "images" else f"{'turned' if turned else 'upright'} digits"
    lost = by_angle[0.0] - by_angle.drop(0.0).mean()
    known = {name: first[name] for name in ("seed", "arm", "tier")}
    return {
        **known,
        "verdict": verdict,
        "trained": trained,
        "before": float(errors.iloc[0]),
        "after": float(errors.iloc[-1]),
        "lost": float(lost),
    }


def verdict_of(arm: str) -> str | None:
    """The word of `arms.EQUIVARIANCE` for an arm of any experiment; None if it is not known."""
    network, variant = "_".join(arm.split("_")[:2]), arm.split("_")[2:]
    repaired = any(repair in variant for repair in arms.REPAIRS if repair)
    return "exact" if repaired else arms.EQUIVARIANCE.get(network)


def _draw(points: pd.DataFrame) -> Canvas:
    figure, panels = canvas(8.6, 3.9, 1, 2, sharey=True)
    both = pd.concat([points["before"], points["after"]])
    decades = Decades.of(both)
    for axes, column in zip(panels, ("before", "after")):
        _scatter(axes, points, column, decades)
        decades.apply(axes, "x")
        axes.axhline(0, color=INK, linewidth=0.8, zorder=1)
        axes.set(title=f"{column} training", xlabel=f"invariance error {column} training")
    panels[0].set_ylabel("accuracy lost at quarter turns (points)")
    handles = []
    for verdict in (v for v in LOOKS if v in set(points["verdict"])):
        label = {"none": "not equivariant"}.get(verdict, verdict)
        handles += panels[0].plot([], [], color=LOOKS[verdict][0], marker="o", linestyle="", label=label)
    for trained in (t for t in MARKERS if t in set(points["trained"])):
        handles += panels[0].plot(
            [], [], color=MUTED, marker=MARKERS[trained], linestyle="", markerfacecolor="none", label=trained
        )
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), columnspacing=1.2)
    return figure


def _scatter(axes: Axes, points: pd.DataFrame, column: str, decades: Decades) -> None:
    for (verdict, trained), group in points.groupby(["verdict", "trained"]):
        axes.plot(
            decades.place(group[column]),
            np.asarray(group["lost"], dtype=float),
            color=LOOKS[str(verdict)][0],
            marker=MARKERS[str(trained)],
            linestyle="",
            markersize=4.5,
            markeredgewidth=0.8,
            alpha=0.65,
        )
