"""The size atlas: which networks are exact at which input sizes, and where the others break."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
from matplotlib.patches import Rectangle

from pipelines.subsampling import arms
from pipelines.subsampling.arms import name_of
from pipelines.subsampling.figures_common import inside
from shared.report.figures import Figure, canvas
from shared.report.palette import GRID, INK, MUTED, SERIES
from shared.report.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

EXPERIMENT = "networks"
#: Families of networks that see images of similar size: title, arms, and the sizes that the paper uses.
FAMILIES = (
    ("digits", ("z2cnn", "p4cnn", "p4mcnn"), (27, 28, 29)),
    ("two samples", ("toy",), (32, 33)),
    (
        "CIFAR-10 and CIFAR-100",
        tuple(name for name in arms.INVENTORY if name.rpartition("_")[2].startswith("cifar")),
        (32, 33),
    ),
    ("PCam", ("resnet44_pcam", "p4resnet44_pcam"), (96, 97)),
    (
        "Flowers102 and ImageNet",
        tuple(name for name in arms.INVENTORY if "flowers102" in name or "imagenet" in name),
        (224, 225),
    ),
)
#: Columns before the first size that the paper uses, and after the last.
BEFORE, AFTER = 8, 7
#: Inches of a cell, cells for the names on the left, and cells between families for title and sizes.
CELL, LABELS, SPACE = 0.27, 8.4, 2.1
FILLS = {"exact": (SERIES[0], 0.85), "approximate": (SERIES[1], 0.30)}


class Verdict(NamedTuple):
    """A network at a size: "exact", "approximate" or "does not fit", and the stage that breaks (0: none)."""

    word: str
    stage: int


def atlas(results: Results) -> Figure:
    """Verdicts of all networks over a range of input sizes."""
    found = {name: verdicts(results, name) for _, names, _ in FAMILIES for name in names}
    return Figure(
        "atlas",
        "The size atlas: at which input sizes each network is exactly equivariant to quarter turns",
        "Rows: every network of the paper, by the images it is made for, and p4m variants of our own; "
        "columns: side of the input in pixels. Blue: exact; orange: approximate, with what breaks it "
        "first (S: stem, 1 to 4: stage, P: pooling, C: strided convolution); x: too small. Frames: the "
        "sizes that the paper uses. On the right: how often an exact size comes. Plain networks (pale) "
        "are never equivariant; their color says whether their samples lie symmetrically. The verdicts "
        "are read from the networks' structure and hold for all weights; nothing is trained.",
        "A grid of colored squares, one row per network, one column per input size. Exact sizes recur "
        "every 2 pixels for the digit networks, every 4 for ResNet-44, every 8 for ResNet-18 and every 32 "
        "with the standard stem. Of each pair of sizes that the paper uses one is exact and one is not.",
        (lambda: _draw(found)) if any(found.values()) else None,
        (results.command(EXPERIMENT),),
    )


def verdicts(results: Results, name: str) -> dict[int, Verdict]:
    """What the atlas says of a network, by input size; empty if it has not been asked."""
    columns = {}
    for metric in ("exact", "fits", "breaks_stage"):
        curves = results.curves(EXPERIMENT, name, metric)
        columns[metric] = curves.iloc[0] if len(curves) else pd.Series(dtype=float)
    table = pd.DataFrame(columns).dropna(subset=["fits"]).fillna(0.0)
    found = {}
    for size, row in table.iterrows():
        word = "exact" if row["exact"] else "approximate"
        fits = Verdict(word, int(row["breaks_stage"]))
        found[int(size)] = fits if row["fits"] else Verdict("does not fit", 0)
    return found


def used(name: str) -> tuple[int, ...]:
    """The input sizes at which the paper uses a network."""
    if name == "toy":
        return (32, 33)
    model, _, dataset = name.removesuffix("_standard").partition("_")
    named = arms.TABLE2[dataset] if dataset else arms.NETWORKS
    return tuple(arms.PIXELS[arm] for arm in named if arm.rpartition("_")[0] == model)


def period(found: dict[int, Verdict]) -> int:
    """Pixels from one exact size to the next; 0 if fewer than two are known."""
    exact = [size for size in sorted(found) if found[size].word == "exact"]
    return exact[1] - exact[0] if len(exact) > 1 else 0


def shown(found: dict[int, Verdict], centers: Iterable[int]) -> list[int]:
    """The sizes of a row that are drawn: those near the ones that the paper uses."""
    centers = tuple(centers)
    low, high = min(centers) - BEFORE, max(centers) + AFTER
    return [size for size in sorted(found) if low <= size <= high]


def _draw(found: dict[str, dict[int, Verdict]]) -> Canvas:
    """One panel whose unit is a cell, so that all cells have the same size; families one below the other."""
    families = []
    for title, names, centers in FAMILIES:
        rows = [name for name in names if found[name]]
        columns = sorted({size for name in rows for size in shown(found[name], centers)})
        if columns:
            families.append((title, rows, columns))
    widest = max(len(columns) for _, _, columns in families)
    height = sum(len(rows) + SPACE for _, rows, _ in families)
    figure, (axes,) = canvas(CELL * (widest + LABELS + 3), CELL * (height - 0.9) + 0.45)
    top = -0.5
    for title, rows, columns in families:
        _draw_family(axes, top, title, [(name, found[name]) for name in rows], columns)
        top += len(rows) + SPACE
    axes.set(xlim=(-LABELS, widest + 3), ylim=(height - 0.9, 0), aspect="equal", xticks=[], yticks=[])
    axes.set_axis_off()
    inside(axes)
    _legend(figure)
    return figure


def _draw_family(
    axes: Axes, top: float, title: str, rows: list[tuple[str, dict[int, Verdict]]], columns: list[int]
) -> None:
    """Title, rows and sizes of one family, from ``top`` on downwards."""
    first = top + 1.1
    axes.text(0, top + 0.75, title, va="center", color=MUTED, fontsize=9)
    for line, (name, verdicts) in enumerate(rows):
        middle = first + line + 0.5
        axes.text(-0.3, middle, name_of(name), ha="right", va="center", fontsize=8)
        if period(verdicts):
            every = f"every {period(verdicts)}"
            axes.text(len(columns) + 0.3, middle, every, ha="left", va="center", fontsize=7.5, color=MUTED)
        plain = not name.startswith(("p4", "toy"))
        for place, size in enumerate(columns):
            if size in verdicts:
                _cell(axes, place, first + line, verdicts[size], plain)
                if verdicts[size].stage:
                    stage = breaker(name, verdicts[size].stage)
                    axes.text(place + 0.5, middle, stage, ha="center", va="center", fontsize=6.5)
    for line, (name, verdicts) in enumerate(rows):  # above the cells beside them
        for size in set(used(name)) & set(columns) & set(verdicts):
            corner = (columns.index(size), first + line)
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=INK, lw=1.5, zorder=3))
    for place, size in enumerate(columns):
        below = first + len(rows) + 0.3
        axes.text(place + 0.5, below, str(size), ha="center", va="center", fontsize=6.5, color=MUTED)


def _cell(axes: Axes, place: float, line: float, verdict: Verdict, plain: bool) -> None:
    if verdict.word == "does not fit":
        axes.text(place + 0.5, line + 0.5, "x", fontsize=7, color=MUTED, ha="center", va="center")
        return
    color, alpha = FILLS[verdict.word]
    alpha = alpha * 0.4 if plain else alpha
    corner = (place + 0.04, line + 0.04)
    axes.add_patch(Rectangle(corner, 0.92, 0.92, facecolor=color, alpha=alpha, lw=0))


def breaker(name: str, number: int) -> str:
    """What breaks: ``S`` for the stem of a residual network, else its stage; of others ``P`` or ``C``."""
    if "resnet" in name:
        return "S" if number == 1 else str(number - 1)
    return "C" if name == "toy" else "P"


def _legend(figure: Canvas) -> None:
    patches = [
        Rectangle((0, 0), 1, 1, facecolor=color, alpha=alpha, label=word)
        for word, (color, alpha) in FILLS.items()
    ]
    patches.append(Rectangle((0, 0), 1, 1, fill=False, edgecolor=INK, lw=1.5, label="used by the paper"))
    patches.append(Rectangle((0, 0), 1, 1, facecolor=GRID, label="pale: plain network, sampling only"))
    figure.legend(handles=patches, loc="outside upper center", ncols=4, handlelength=1.0, handleheight=1.0)
