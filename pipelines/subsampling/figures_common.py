"""What several figures of the subsampling paper share: curves over angles, their captions, a log axis with 0.

An error that is exactly 0 has no place on a log axis, and leaving it out would hide the best result there is;
`Decades` gives it a band of its own, below the smallest error drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import NullLocator

from pipelines.subsampling.arms import NETWORKS, QUARTERS, arm
from pipelines.subsampling.quantities import swept
from shared.report import text
from shared.report.palette import GRID, MUTED, SERIES
from shared.report.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TICKS = range(0, 361, 45)
ROTATION = "rotation of the test images (degrees)"
#: How the paper's curves are drawn.
THIN = {"linewidth": 0.8, "linestyle": (0, (4, 2))}


#: What `Decades` draws, for captions.
ZERO = "a gray band, where there is one, holds errors of exactly 0"


class Look(NamedTuple):
    """How one series is drawn, and what it is called."""

    label: str
    color: str
    marker: str
    style: str = "-"


#: The networks of Figures 5 and 6, in the order of the legend.
LOOKS = {
    "p4cnn_28": Look("P4CNN exact (28)", SERIES[0], "o"),
    "p4cnn_27": Look("P4CNN approximate (27)", SERIES[1], "s"),
    "p4cnn_29": Look("P4CNN approximate (29)", SERIES[2], "^"),
    "z2cnn_28": Look("Z2CNN (28)", SERIES[3], "D"),
}


def origin(results: Results, committed: str = "") -> str:
    """What else is drawn: the paper's curves, but never beside demo numbers."""
    if results.demo:
        return "Demo: small networks on embedded images, not comparable with the paper. "
    return committed


def seeds(frame: pd.DataFrame) -> str:
    """``3 to 10 seeds (lite and paper)`` for a frame with columns network, seed and tier."""
    if not len(frame):
        return "seeds"
    counts = sorted(set(frame.groupby("network")["seed"].nunique()))
    number = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    word = "seed" if counts == [1] else "seeds"
    return f"{number} {word} ({text.join(sorted(set(frame['tier'])))})"


def curves(
    results: Results, experiment: str, arms: Mapping[str, str], metric: str = "accuracy"
) -> pd.DataFrame:
    """Columns network, seed, step, value, tier of the arms, called by the mapping's keys.

    Raises:
        UserError: if the paper declares no such experiment.
    """
    parts = []
    for network, name in arms.items():
        found = results.curves(experiment, name, metric)
        if len(found):
            long = found.rename_axis(columns="step").stack().rename("value").dropna().reset_index()
            parts.append(long.assign(network=network, tier=results.tier(experiment, name)))
    columns = ["network", "seed", "step", "value", "tier"]
    return joined([part[columns] for part in parts] or [pd.DataFrame(columns=columns)])


def inside(axes: Axes) -> None:
    """Leave the texts and patches drawn so far out of the layout: they lie in the panel, and are many."""
    for artist in (*axes.texts, *axes.patches):
        artist.set_in_layout(False)


def by_name(names: Iterable[str]) -> dict[str, str]:
    """Arms as `curves` takes them, called by their own names."""
    return {name: name for name in names}


def joined(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The rows of several frames, at least one; empty ones, whose columns have no types, are skipped."""
    found = list(frames)
    return pd.concat([frame for frame in found if len(frame)] or found[:1], ignore_index=True)


def by_angle(
    results: Results, experiment: str, arms: Mapping[str, str], metric: str = "accuracy"
) -> pd.DataFrame:
    """Columns network, seed, angle, accuracy, tier; the value at 0 degrees comes again at 360."""
    found = curves(results, experiment, arms, metric).rename(columns={"step": "angle", "value": "accuracy"})
    again = found[found["angle"] == 0].assign(angle=360.0)
    return joined([found, again])


def accuracies(results: Results, experiment: str, training: str) -> pd.DataFrame:
    """`by_angle` of the paper's four networks, trained on ``upright``, ``uniform`` or other digits."""
    return by_angle(results, experiment, {network: arm(network, training) for network in NETWORKS})


def reference(results: Results, table: str, row: str) -> np.ndarray:
    """The paper's curve as rows (angle, accuracy), empty in the demo."""
    if results.demo:
        return np.empty((0, 2))
    found = [(angle, results.published(table, row, str(angle % 360))) for angle in range(0, 361, 10)]
    return np.array([(angle, value.value) for angle, value in found if value]).reshape(-1, 2)


def apart(results: Results, experiment: str, names: Sequence[str]) -> tuple[float, ...]:
    """The angles of these arms that were tested on other images than the rest: quarter turns, or none."""
    shown = [name for name in names if results.tier(experiment, name)]
    return () if set(QUARTERS) <= set(swept(results, experiment, shown)) else (*QUARTERS, 360)


def open_marks(angles: Sequence[float]) -> str:
    """What `draw_curves` does with angles `apart`, for captions."""
    return "Open marks: quarter turns, tested on more images than the angles between. " if angles else ""


def draw_curves(
    axes: Axes,
    frame: pd.DataFrame,
    looks: Mapping[str, Look],
    apart: Sequence[float] = (),
    *,
    through: bool = True,
) -> None:
    """Mean and standard deviation over seeds of each series of a `by_angle` frame.

    Args:
        axes: where.
        frame: what.
        looks: how each series is drawn.
        apart: angles that were tested on other images; they are drawn as open marks.
        through: whether the line goes through these, too. It must not where the curves are so flat that the
            step to other test images would look like an effect of the angle.
    """
    for network, (label, color, marker, style) in looks.items():
        mine = frame[frame["network"] == network]
        alone = mine[mine["angle"].isin(apart)].groupby("angle")["accuracy"].agg(["mean", "std"])
        look = {"color": color, "marker": marker, "markerfacecolor": "white", "linestyle": ""}
        bars = {"elinewidth": 0.8, "capsize": 1.5, "zorder": 3}
        axes.errorbar(alone.index, alone["mean"], alone["std"].fillna(0.0), **look, **bars)
        mine = mine if through else mine[~mine["angle"].isin(apart)]
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
                label=label,
                legend=False,
                ax=axes,
            )
    axes.set(xlabel=ROTATION, ylabel="accuracy (%)", xlim=(-5, 365), xticks=TICKS)


def draw_reference(
    axes: Axes, results: Results, table: str, rows: Mapping[str, str] | None = None, labelled: bool = False
) -> None:
    """The paper's curves, thin and dashed; with one entry for the legend if asked for and there are any.

    Args:
        axes: where.
        results: whose paper.csv.
        table: the table there.
        rows: its row for each network, if it is not the network's name.
        labelled: whether to make the entry.
    """
    drawn = False
    for network, look in LOOKS.items():
        known = reference(results, table, rows[network] if rows else network)
        drawn = drawn or len(known) > 0
        axes.plot(known[:, 0], known[:, 1], color=look.color, zorder=1.5, **THIN)
    if labelled and drawn:
        axes.plot([], [], color=MUTED, label="paper", **THIN)


@dataclass(frozen=True)
class Decades:
    """A log axis whose lowest part is a band for 0.

    Attributes:
        low, high: powers of ten that hold everything positive.
        zero: whether there are zeros, hence a band.
    """

    low: int
    high: int
    zero: bool

    @classmethod
    def of(cls, values: Iterable[float]) -> Decades:
        """The axis for these values.

        Raises:
            ValueError: if a value is negative or not finite.
        """
        numbers = np.asarray(list(values), dtype=float)
        if not np.isfinite(numbers).all() or (numbers < 0).any():
            raise ValueError("errors on a log axis are finite and not negative; check what is drawn")
        positive = numbers[numbers > 0]
        low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
        low, high = math.floor(math.log10(low)), math.ceil(math.log10(high))
        return cls(low, max(high, low + 1), bool((numbers == 0).any()))

    @property
    def step(self) -> int:
        """Decades between ticks."""
        return max(1, math.ceil((self.high - self.low) / 6))

    @property
    def floor(self) -> float:
        """Where 0 is drawn."""
        return 10.0 ** (self.low - 0.8 * self.step)

    def place(self, values: np.ndarray | pd.Series) -> np.ndarray:
        """The values with each 0 moved into the band."""
        numbers = np.asarray(values, dtype=float)
        return np.where(numbers > 0, numbers, self.floor)

    def apply(self, axes: Axes, axis: str = "y") -> None:
        """Make the axis ``"x"`` or ``"y"`` of a panel this one: scale, limits, ticks and band."""
        bottom = 10.0 ** (self.low - 1.25 * self.step) if self.zero else 10.0 ** (self.low - 0.15)
        powers = range(self.low, self.high + 1, self.step)
        ticks = [10.0**power for power in powers]
        labels = [f"$10^{{{power}}}$" for power in powers]
        if self.zero:
            ticks, labels = [self.floor, *ticks], ["0", *labels]
            band = axes.axhspan if axis == "y" else axes.axvspan
            band(bottom, 10.0 ** (self.low - 0.35 * self.step), color=GRID, alpha=0.55, lw=0, zorder=0)
        axes.set(**{f"{axis}scale": "log", f"{axis}lim": (bottom, 10.0 ** (self.high + 0.15))})
        axes.set(**{f"{axis}ticks": ticks, f"{axis}ticklabels": labels})
        {"x": axes.xaxis, "y": axes.yaxis}[axis].set_minor_locator(NullLocator())
