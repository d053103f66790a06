"""Figures that are the same bytes whenever the numbers are the same.

A pipeline's ``figures.py`` returns `Figure` objects whose ``draw`` makes a matplotlib figure on a `canvas`.
Fixed here: fonts (DejaVu, drawn as paths, so that no reader's fonts matter), sizes, the salt of SVG
identifiers, no dates and no version in the files. Colors come from `INK`, `MUTED`, `GRID` and `SERIES`; the
HTML page swaps exactly these for dark-mode colors. They keep their order under the common forms of color
blindness (Okabe and Ito, *Color Universal Design*, 2008), and series differ in marker and line style too.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from shared.report.palette import GRID, INK, MUTED, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "legend.fontsize": 8.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.prop_cycle": matplotlib.cycler(color=SERIES),
    "lines.linewidth": 1.6,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "figure.dpi": 100.0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "image.interpolation": "none",
    "svg.fonttype": "path",
    "svg.hashsalt": "equivariance-reproductions",
    "path.simplify": False,
    "axes.unicode_minus": True,
}
PNG_DPI = 160


@dataclass(frozen=True)
class Figure:
    """A figure of a report.

    Attributes:
        name: file name without ending, and anchor.
        title, caption: texts; the caption is Markdown with inline markup only and says what to see.
        alt: what the picture shows, for people who do not see it.
        draw: makes the figure; None if there are no results to draw.
        commands: what computes the results shown.
    """

    name: str
    title: str
    caption: str
    alt: str
    draw: Callable[[], Canvas] | None
    commands: tuple[str, ...] = ()

    def footnotes(self) -> tuple[str, ...]:
        """Lines below the figure: what computes it."""
        commands = " and ".join(f"`{command}`" for command in self.commands)
        if not commands:
            return ()
        return (f"Computed by {commands}." if self.draw else f"Not run yet; computed by {commands}.",)


def canvas(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Canvas, list[Axes]]:
    """A figure of this size (inches) and its axes in reading order; to be called inside ``draw`` only."""
    figure = Canvas(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(grid.flat)


def render(figure: Figure) -> tuple[str, bytes]:
    """SVG text and PNG bytes of a figure.

    Raises:
        ValueError: if the figure has nothing to draw.
    """
    if figure.draw is None:
        raise ValueError(f"figure {figure.name} has no results to draw")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a reader's own matplotlibrc must not change a committed file
        matplotlib.rcParams.update(STYLE)
        drawn = figure.draw()
        svg, png = io.StringIO(), io.BytesIO()
        drawn.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        drawn.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None}, facecolor="white")
    return _clean(svg.getvalue(), figure), png.getvalue()


def _clean(svg: str, figure: Figure) -> str:
    """Without the remark that names matplotlib's version, without trailing blanks, on a white ground."""
    svg = re.sub(r"<!--.*?-->\n?", "", svg, flags=re.DOTALL)
    svg = re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)
    return re.sub(r"(<svg [^>]*)>", r'\1 style="background: #ffffff">', svg, count=1)
