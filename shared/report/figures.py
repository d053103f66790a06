"""Figures that are the same bytes whenever the numbers are the same, on every processor.

A pipeline's ``figures.py`` returns `Figure` objects whose ``draw`` makes a matplotlib figure on a `canvas`.
Fixed here: fonts (DejaVu, drawn as paths, so that no reader's fonts matter), sizes, no dates and no version
in the files, and what the last bits of a float would decide, which differ between processors: identifiers
and coordinates in SVG, and whether a PNG is drawn anew. Colors come from `INK`, `MUTED`, `GRID` and
`SERIES`; the HTML page swaps exactly these for dark-mode colors. They keep their order under the common
forms of color blindness (Okabe and Ito, *Color Universal Design*, 2008), and series differ in marker and
line style too.
"""

from __future__ import annotations

import hashlib
import io
import re
import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from shared.report.theme import GRID, INK, MUTED, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
else:  # for annotations: matplotlib takes a second to load, and only what draws needs it
    Axes = Canvas = Any

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
    "axes.prop_cycle": f"cycler(color={list(SERIES)})",
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
#: Field of a PNG's metadata that says which SVG it is a picture of.
SOURCE = "Source"
#: Identifiers that matplotlib makes of a hash: clip paths, markers, hatches, images, shapes of a collection.
_HASHED = re.compile(r'(?<=["#])([A-Za-z]+(?:[0-9a-f]+_[0-9a-f]+_)?)([0-9a-f]{10})(?=[")])')
#: Numbers with more than three decimals; a scale is kept, since it multiplies what it holds.
_LONG = re.compile(r"scale\([^)]*\)|-?\d+\.\d{4,}")
_CLIP = re.compile(r'[ \t]*<clipPath id="(\w+)">(.*?)</clipPath>\n?', re.DOTALL)


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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as New

    figure = New(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(grid.flat)


def render(figure: Figure, existing: bytes = b"") -> tuple[str, bytes]:
    """SVG text and PNG bytes of a figure.

    Args:
        figure: what to draw.
        existing: a PNG made before, or nothing. If it says that it is a picture of the same SVG, it is
            returned as it is: drawn anew, its smoothed edges may differ by a level of gray.
    """
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a reader's own matplotlibrc must not change a committed file
        matplotlib.rcParams.update(STYLE)
        drawn = figure.draw() if figure.draw else _not_run(figure)
        _settle_images(drawn)
        text, png = io.StringIO(), io.BytesIO()
        drawn.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        svg = _clean(text.getvalue())
        source = hashlib.sha256(f"{PNG_DPI} {svg}".encode()).hexdigest()[:16]
        if _source(existing) == source:
            return svg, existing
        about = {"Software": None, SOURCE: source}
        drawn.savefig(png, format="png", dpi=PNG_DPI, metadata=about, facecolor="white")
    return svg, png.getvalue()


def _not_run(figure: Figure) -> Canvas:
    """In place of a figure without results: what computes them, so that each declared figure is a file."""
    drawn, (axes,) = canvas(5.5, 1.2)
    axes.set_axis_off()
    said = [figure.title, *figure.footnotes()] if figure.commands else [figure.title, "Not run yet."]
    lines = [textwrap.fill(line.replace("`", ""), 80) for line in said]
    axes.text(0.5, 0.5, "\n".join(lines), ha="center", va="center", transform=axes.transAxes)
    return drawn


def _source(png: bytes) -> str | None:
    """What the metadata of a PNG says it is a picture of; None if it says nothing or is damaged."""
    try:
        with Image.open(io.BytesIO(png)) as picture:
            picture.load()
            return picture.info.get(SOURCE)
    except (OSError, SyntaxError, ValueError):
        return None


def _settle_images(drawn: Canvas) -> None:
    """Round the values of images to 2^-20 of their range, so that one at the edge between two colors has one.

    A zero that is 1e-17 here and -1e-17 there is the usual case: it lies in the middle of a signed color map.
    """
    for axes in drawn.axes:
        for image in axes.images:
            values = image.get_array()
            if values is None or values.ndim != 2 or not np.issubdtype(values.dtype, np.floating):
                continue
            low, high = image.get_clim()
            unit = 2.0**-20 * (float(f"{high - low:.6g}") or 1.0)
            image.set_data(np.round(values / unit) * unit)


def _clean(svg: str) -> str:
    """An SVG on a white ground without what depends on matplotlib's version or on the processor.

    Gone are the remark that names the version and trailing blanks. Coordinates are rounded to 0.001 pt:
    matplotlib has rounded them to 1e-6 before, and where that went either way, this gives the same again.
    Identifiers are counted in order of appearance, since matplotlib's are hashes of all bits of the
    coordinates; clip paths that became equal are one.
    """
    svg = re.sub(r"<!--.*?-->\n?", "", svg, flags=re.DOTALL)
    svg = re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)
    svg = _LONG.sub(lambda found: found[0] if found[0].startswith("s") else _short(found[0]), svg)
    svg = _merge_clips(svg)
    counts: Counter[str] = Counter()
    names: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        # nothing refers to an image, and equal ones have one hash: each gets its own number
        if found[0] not in names or found[1] == "image":
            counts[found[1]] += 1
            names[found[0]] = f"{found[1]}{counts[found[1]]}"
        return names[found[0]]

    svg = _HASHED.sub(name, svg)
    return re.sub(r"(<svg [^>]*)>", r'\1 style="background: #ffffff">', svg, count=1)


def _short(number: str) -> str:
    """At most three decimals, without a negative zero: ``_short("-0.000100") == "0"``."""
    text = f"{float(number):.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _merge_clips(svg: str) -> str:
    """The same picture with one clip path of each shape."""
    first: dict[str, str] = {}
    same = {clip: first.setdefault(shape, clip) for clip, shape in _CLIP.findall(svg)}
    svg = _CLIP.sub(lambda found: found[0] if same[found[1]] == found[1] else "", svg)
    return re.sub(r"url\(#(\w+)\)", lambda found: f"url(#{same.get(found[1], found[1])})", svg)
