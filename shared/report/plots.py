"""The kit that figures are drawn with: series of results, what becomes of them in a panel, and the caption.

seaborn draws whatever it has a form for: lines over steps with their spread (`lineplot`: `mean_sd`, `band`,
`each_seed`), dots and bars by group (`stripplot`, `pointplot`, `barplot`), squares by category (`heatmap`).
Each call says its error bar ("sd", or another that follows from the values): seaborn's own is a bootstrap and
differs from run to run. Plain matplotlib draws what seaborn has no form for: pictures (a heatmap would write
a path for each pixel), the paper's dashed curves, zero on a log axis (`Decades`), legends above all panels.

A `Series` is what one arm's runs gave by step, and a `Look` how it is drawn; `figure` makes the `Figure`: its
words stand in the paper's ``captions.md``, and say how many seeds of which tier it shows and whether it is a
demo. matplotlib and seaborn take a second to load: functions that draw import them, so that what only
describes figures (`check`) does without.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from shared.report import captions, text
from shared.report.figures import Axes, Canvas, Figure, canvas
from shared.report.results import Results
from shared.report.tables import Sample
from shared.report.theme import GRID, INK, MUTED

if TYPE_CHECKING:
    from matplotlib.artist import Artist

#: What captions of demo results begin with.
DEMO = "Demo: small and short, on embedded data; not comparable with the paper. "
#: What `Decades` draws, for captions: their field ``{zero}``.
ZERO = "a gray band, where there is one, holds errors of exactly 0"
#: Line style of what is not ours: references, limits, orders of convergence.
DASHED = (0, (4, 2))


@dataclass(frozen=True)
class Look:
    """How one series is drawn, and what it is called.

    Attributes:
        label: its name in the legend.
        color: one of `shared.report.theme`.
        marker, style: of its line, as matplotlib names them; "" for none.
        filled: whether its marks are.
        hatch: of its bars.
    """

    label: str
    color: str
    marker: str = "o"
    style: Any = "-"
    filled: bool = True
    hatch: str = ""


@dataclass(frozen=True)
class Series:
    """What the runs of one arm gave, step by step.

    Attributes:
        name: of the arm, as the paper's figures call it.
        look: how it is drawn.
        values: a row per seed, a column per step.
        tier: where they come from, "" without results.
        paper: the paper's own curve as rows (step, value), (n, 2).
    """

    name: str
    look: Look
    values: pd.DataFrame
    tier: str = ""
    paper: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))

    def __len__(self) -> int:
        """Number of seeds."""
        return len(self.values.dropna(how="all"))

    def at(self, steps: Sequence[float], places: Sequence[float] | None = None) -> Series:
        """The same at these steps only, drawn at other places if given; a step that is lacking is NaN."""
        values = self.values.reindex(columns=[float(step) for step in steps])
        return replace(self, values=values if places is None else values.set_axis(list(places), axis=1))


def series(
    results: Results,
    metric: str,
    arms: Mapping[str, tuple[str, str]],
    looks: Mapping[str, Look],
    *,
    table: str = "",
    rows: Mapping[str, str] | None = None,
    period: float = 0,
) -> list[Series]:
    """A metric of several arms by step, in their order.

    Args:
        results: ours.
        metric: its name in the rows; ``{name}`` in it stands for the name of the series.
        arms: experiment and arm by the name that the series gets.
        looks: by the same names.
        table: where paper.csv has the paper's curves, if it has them; the demo never shows them.
        rows: its row for each name, if it is not the name.
        period: the step at which the value of step 0 comes again, if there is one.

    Raises:
        UserError: if the paper declares no such experiment or arm.
    """
    found = []
    for name, (experiment, arm) in arms.items():
        values = results.curves(experiment, arm, metric.replace("{name}", name))
        paper = [] if results.demo or not table else results.printed(table, rows[name] if rows else name)
        paper = [*paper, *[(period, value) for step, value in paper if period and step == 0]]
        if period and 0.0 in values:
            values = values.assign(again=values[0.0]).rename(columns={"again": float(period)})
        curve, tier = np.array(paper).reshape(-1, 2), results.tier(experiment, arm)
        found.append(Series(name, looks[name], values, tier, curve))
    return found


def seeds(shown: Iterable[Series]) -> str:
    """``3 to 10 seeds (lite and paper)``; ``seeds`` if there are none."""
    there = [one for one in shown if len(one)]
    if not there:
        return "seeds"
    counts = sorted({len(one) for one in there})
    number = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    word = "seed" if counts == [1] else "seeds"
    return f"{number} {word} ({text.join(sorted({one.tier for one in there}))})"


def figure(
    results: Results,
    name: str,
    draw: Callable[[], Canvas],
    *,
    shown: Sequence[Sized],
    said: str = "",
    experiments: Sequence[str] = (),
    demo: str = DEMO,
    **fields: str | None,
) -> Figure:
    """A figure of results, which is drawn only where there are some; its words stand in ``captions.md``.

    Args:
        results: ours.
        name: as in `Figure`.
        draw: draws it.
        shown: what it shows, series or anything else that is empty without results.
        said: the figure whose words it has, if not its own: several may say the same of different things.
        experiments: what computes it; the figure's name by default.
        demo: what the caption of demo results begins with; "" where the demo computes what the paper does.
        fields: what is filled into the words (`shared.report.captions`), beside ``{seeds}`` (`seeds` of the
            series shown), ``{zero}`` (`ZERO`) and ``{real}`` (empty; None in the demo, which does not show
            the paper's own curves).
    """
    counted = seeds(one for one in shown if isinstance(one, Series))
    known = {"seeds": counted, "zero": ZERO, "real": None if results.demo else ""}
    words = captions.words(results, (said or name) + captions.FIGURE, known | fields)
    return Figure(
        name,
        words.title,
        f"{demo if results.demo else ''}{words.caption}",
        words.alt,
        draw if any(len(one) for one in shown) else None,
        tuple(results.command(experiment) for experiment in experiments or (name,)),
    )


def mean_sd(
    axes: Axes, one: Series, *, apart: Sequence[float] = (), through: bool = True, **look: Any
) -> None:
    """Mean of a series by step, with bars of one standard deviation over its seeds.

    Args:
        axes: where.
        one: what.
        apart: steps that were measured in another way; they are drawn as open marks.
        through: whether the line goes through these, too. It must not where the curves are so flat that the
            step to another measurement would look like an effect of the step.
        look: options of the line, in place of the series' own.
    """
    alone = [step for step in one.values if step in apart]
    bars = {"errorbar": "sd", "err_style": "bars", "err_kws": {"elinewidth": 0.8, "capsize": 1.5}}
    between = one if through else replace(one, values=one.values.drop(columns=alone))
    open_marks = {"linestyle": "", "markerfacecolor": "white", "zorder": 3, "label": "_apart"}
    _line(axes, one.at(alone), **{**bars, **look, **open_marks})
    _line(axes, between, **bars, **look)


def band(axes: Axes, one: Series, errorbar: Any = ("pi", 100), **look: Any) -> None:
    """Mean of a series by step in a shaded band, by default from the smallest to the largest seed.

    Args:
        axes: where.
        one: what.
        errorbar: of seaborn, but none that draws at random: ("se", t) for an interval of t standard errors,
            None for no band, or a function from the values at a step to both ends.
        look: options of the line, in place of the series' own.
    """
    _line(axes, one, errorbar=errorbar, err_kws={"alpha": 0.18, "lw": 0}, **look)


def each_seed(axes: Axes, one: Series, mean: bool = True, **look: Any) -> None:
    """A thin line for each seed, and their mean."""
    thin = {"estimator": None, "linewidth": 0.6, "alpha": 0.5, "marker": "", "label": "_seed"} if mean else {}
    long = _long(one)
    _line(axes, one, units=long["seed"].to_numpy(), **{"estimator": None, **look, **thin})
    if mean:
        _line(axes, one, errorbar=None, **look)


def _long(one: Series) -> pd.DataFrame:
    """Columns seed, step and value, without what is lacking."""
    long = one.values.rename_axis(index="seed", columns="step").reset_index()
    return long.melt("seed", var_name="step").dropna().astype({"step": float, "value": float})


def _line(axes: Axes, one: Series, **look: Any) -> None:
    long = _long(one)
    if not len(long):
        return
    face = one.look.color if one.look.filled else "none"
    mine = {"color": one.look.color, "markerfacecolor": face, "markeredgecolor": one.look.color}
    mine |= {"marker": one.look.marker, "linestyle": one.look.style, "label": one.look.label, "legend": False}
    import seaborn as sns

    x, y = long["step"].to_numpy(), long["value"].to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # matplotlib's, at a single step
        sns.lineplot(x=x, y=y, ax=axes, **{**mine, **look})


def references(axes: Axes, shown: Iterable[Series]) -> list[Look]:
    """The paper's curves, thin and dashed; returns what the legend says of them, if there are any."""
    drawn = [one for one in shown if len(one.paper)]
    for one in drawn:
        axes.plot(*one.paper.T, color=one.look.color, linestyle=DASHED, linewidth=0.8, zorder=1.5)
    return [Look("paper", MUTED, "", DASHED)] if drawn else []


def curves(
    axes: Axes, shown: Sequence[Series], draw: Callable[..., None] = mean_sd, **options: Any
) -> list[Look]:
    """Several series, by `mean_sd`, `band` or `each_seed`, and the paper's; returns what a legend shows."""
    for one in shown:
        draw(axes, one, **options)
    return [one.look for one in shown if len(one)] + references(axes, shown)


def chart(
    shown: Sequence[Series], size: tuple[float, float], *how: Any, axes: Mapping[str, Any], **options: Any
) -> Canvas:
    """A figure of this size (inches): one panel of `curves` with its properties, and a legend above it."""
    drawn, (panel,) = canvas(*size)
    legend(drawn, curves(panel, shown, *how, **options))
    panel.set(**axes)
    return drawn


def profiles(
    axes: Axes, shown: Sequence[Series], steps: Sequence[float], places: Sequence[float] = ()
) -> None:
    """For each series a small profile over a few angles (degrees), around its place or 0, 1, ...

    Small print names the angles of the first.
    """
    offsets = (np.arange(len(steps)) - (len(steps) - 1) / 2) * 0.72 / len(steps)
    for place, one in zip(places or range(len(shown)), shown):
        mean_sd(axes, one.at(steps, place + offsets), linewidth=1.0, markersize=4.2)
    axes.margins(y=0.17)
    small = {"rotation": 90, "fontsize": 6, "color": MUTED, "ha": "center", "va": "bottom"}
    for offset, step in zip(offsets, steps):
        axes.text(offset, 0.015, f"{step:g}°", transform=axes.get_xaxis_transform(), **small)


def categories(axes: Axes, labels: Sequence[str], places: Sequence[float] = (), **options: Any) -> None:
    """Names on the horizontal axis, at 0, 1, ... if not elsewhere."""
    where = list(places) or list(range(len(labels)))
    axes.set(xlim=(where[0] - 0.6, where[-1] + 0.6), xticks=where)
    axes.set_xticklabels(labels, **options)
    axes.grid(axis="x", visible=False)
    axes.tick_params(axis="x", length=0)


def with_prefixes(axis: Any) -> None:
    """Numbers of an axis such as ``axes.xaxis`` as 20 k, 1.5 M."""
    from matplotlib.ticker import EngFormatter

    axis.set_major_formatter(EngFormatter())


def dots(axes: Axes, samples: Mapping[float, Sample], look: Look) -> None:
    """A dot for each run and a line at the mean, for samples by their place on the horizontal axis."""
    rows = [(float(place), value) for place, sample in samples.items() for value in sample.numbers]
    if not rows:
        return
    x, y = np.array(rows).T
    import seaborn as sns

    common = {"native_scale": True, "color": look.color, "ax": axes, "legend": False}
    sns.stripplot(x=x, y=y, jitter=False, size=5, alpha=0.8, marker=look.marker, **common)
    mean = {"marker": "_", "markersize": 11, "markeredgewidth": 1.4, "linestyle": ""}
    sns.pointplot(x=x, y=y, estimator="mean", errorbar=None, **mean, **common)


def picture(
    axes: Axes, values: np.ndarray | None, title: str = "", *, like: Iterable[Any] = (), signed: bool = False
) -> None:
    """A picture in a frame, gray or with its sign in color; the frame alone if there is none.

    Args:
        axes: where.
        values: gray values or signed ones, (height, width).
        title: above it.
        like: pictures, or None, that it shares a gray scale with, itself among them; its own by default.
        signed: red where positive, blue where negative, with the largest size as full color.
    """
    axes.set(xticks=[], yticks=[])
    axes.set_title(title)
    axes.grid(visible=False)
    axes.spines[:].set_visible(True)
    if values is not None:
        shared = [other for other in like if other is not None] or [values]
        low, high = min(other.min() for other in shared), max(other.max() for other in shared)
        size = max(-low, high) or 1.0
        low, high = (-size, size) if signed else (low, high)
        axes.imshow(values, cmap="RdBu_r" if signed else "gray", vmin=low, vmax=high)


def squares(
    axes: Axes, keys: pd.DataFrame, fills: Mapping[Any, Any], words: np.ndarray, **options: Any
) -> None:
    """A grid of squares colored by category, with a word in each, by seaborn's ``heatmap`` and its options.

    Args:
        axes: where.
        keys: a category in each place, with names of rows and columns; None for no square.
        fills: color and opacity of each category.
        words: what is written in the squares, of the same shape.
    """
    import seaborn as sns
    from matplotlib.colors import ListedColormap, to_rgba

    order = {key: number for number, key in enumerate(fills)}
    colors = ListedColormap([to_rgba(*fill) for fill in fills.values()])
    scale = {"cmap": colors.with_extremes(bad=to_rgba(GRID, 0.0)), "vmin": -0.5, "vmax": len(fills) - 0.5}
    look = {"annot_kws": {"color": INK, "fontsize": 7}, "linewidths": 0.5, "linecolor": MUTED, "cbar": False}
    engine = axes.figure.get_layout_engine()
    axes.figure.set_layout_engine("none")  # heatmap draws the figure once to see whether labels overlap
    codes = keys.map(order.get).astype(float)
    sns.heatmap(codes, annot=words, fmt="", ax=axes, **{**scale, **look, **options})
    axes.figure.set_layout_engine(engine)
    axes.grid(visible=False)
    axes.tick_params(length=0, labelrotation=0)


def shade(axes: Axes, places: Iterable[float]) -> None:
    """A gray column behind each of these places."""
    for place in places:
        axes.axvspan(place - 0.5, place + 0.5, color=GRID, alpha=0.45, lw=0, zorder=0)


def legend(
    drawn: Canvas | Axes, looks: Iterable[Look | Artist], *, filled: bool = False, **options: Any
) -> None:
    """What the looks mean, above all panels if not told otherwise; each label once.

    Args:
        drawn: the figure, or one panel.
        looks: of series, or whatever else matplotlib's legend takes.
        filled: patches, as for bars, in place of lines and marks.
    """
    handles: dict[str, Artist] = {}
    for look in looks:
        handle = _handle(look, filled) if isinstance(look, Look) else look
        handles.setdefault(handle.get_label(), handle)
    place = {"loc": "outside upper center", "ncols": len(handles), "columnspacing": 1.4, "handletextpad": 0.5}
    drawn.legend(handles=list(handles.values()), **{**place, **options})


def _handle(look: Look, filled: bool) -> Artist:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if filled:
        return Patch(facecolor=look.color, hatch=look.hatch, edgecolor="white", label=look.label)
    face = look.color if look.filled else "none"
    mark = {"marker": look.marker, "markersize": 4.2, "markerfacecolor": face}
    return Line2D([], [], color=look.color, linestyle=look.style, linewidth=1.2, label=look.label, **mark)


@dataclass(frozen=True)
class Decades:
    """A log axis whose lowest part is a band for 0.

    An error that is exactly 0 has no place on a log axis, and leaving it out would hide the best result there
    is; it gets a band of its own, below the smallest error drawn.

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

    @classmethod
    def around(cls, shown: Iterable[Series]) -> Decades:
        """The axis for all values of several series."""
        return cls.of(value for one in shown for value in _long(one)["value"])

    @property
    def step(self) -> int:
        """Decades between ticks."""
        return max(1, math.ceil((self.high - self.low) / 6))

    @property
    def floor(self) -> float:
        """Where 0 is drawn."""
        return 10.0 ** (self.low - 0.8 * self.step)

    def place(self, values: Any) -> np.ndarray:
        """The values with each 0 moved into the band."""
        numbers = np.asarray(values, dtype=float)
        return np.where(numbers > 0, numbers, self.floor)

    def band(self, axes: Axes, one: Series, **look: Any) -> None:
        """`band` from the smallest to the largest seed, on this axis."""

        def ends(values: pd.Series) -> tuple[float, float]:
            low, high = self.place([values.min(), values.max()])
            return low, high

        band(axes, one, ends, estimator=lambda values: float(self.place(np.mean(values))), **look)

    def apply(self, axes: Axes, axis: str = "y") -> None:
        """Make the axis ``"x"`` or ``"y"`` of a panel this one: scale, limits, ticks and band."""
        from matplotlib.ticker import NullLocator

        bottom = 10.0 ** (self.low - 1.25 * self.step) if self.zero else 10.0 ** (self.low - 0.15)
        powers = range(self.low, self.high + 1, self.step)
        ticks = [10.0**power for power in powers]
        labels = [f"$10^{{{power}}}$" for power in powers]
        if self.zero:
            ticks, labels = [self.floor, *ticks], ["0", *labels]
            gray = axes.axhspan if axis == "y" else axes.axvspan
            gray(bottom, 10.0 ** (self.low - 0.35 * self.step), color=GRID, alpha=0.55, lw=0, zorder=0)
        axes.set(**{f"{axis}scale": "log", f"{axis}lim": (bottom, 10.0 ** (self.high + 0.15))})
        axes.set(**{f"{axis}ticks": ticks, f"{axis}ticklabels": labels})
        {"x": axes.xaxis, "y": axes.yaxis}[axis].set_minor_locator(NullLocator())
