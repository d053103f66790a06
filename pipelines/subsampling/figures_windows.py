"""Figure 1: which pixels a pooling reads of an image and of its quarter turn, from the rule alone.

Nothing is trained here. A pooling with kernel k and stride s (no padding) reads, for output cell (a, b), the
pixels [s a, s a + k) x [s b, s b + k). Both orders of pooling and turning are pulled back to the pixels of
the image, so that they can be compared as sets: these are equal for all cells if and only if
(size - k) mod s = 0 (Edixhoven et al., Eq. 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle

from pipelines.subsampling.figures_common import inside
from shared.report.figures import Figure, canvas
from shared.report.palette import GRID, INK, MUTED, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

KERNEL, STRIDE = 2, 2
SIDES = (5, 6)
#: Side of an output cell in the drawing, in pixels of the image.
_UNIT = 1.4


def windows(size: int, kernel: int, stride: int) -> np.ndarray:
    """Pixels that each cell of a pooling without padding reads, counted row by row.

    Shape:
        (cells, cells, kernel * kernel) with cells = floor((size - kernel) / stride) + 1.

    Raises:
        ValueError: if the kernel does not fit.
    """
    if kernel > size:
        raise ValueError(f"a kernel of {kernel} does not fit into {size} pixels; choose a larger size")
    axis = stride * np.arange((size - kernel) // stride + 1)[:, None] + np.arange(kernel)
    pixels = axis[:, None, :, None] * size + axis[None, :, None, :]
    return pixels.reshape(len(axis), len(axis), kernel * kernel)


def pool_then_turn(size: int, kernel: int, stride: int) -> np.ndarray:
    """Pixels of x behind each cell of T pool(x), sorted; T is the counter-clockwise quarter turn.

    Shape:
        (cells, cells, kernel * kernel).
    """
    return np.sort(np.rot90(windows(size, kernel, stride)), axis=-1)


def turn_then_pool(size: int, kernel: int, stride: int) -> np.ndarray:
    """Pixels of x behind each cell of pool(T x), sorted.

    Shape:
        (cells, cells, kernel * kernel).
    """
    turned = np.rot90(np.arange(size * size).reshape(size, size))
    return np.sort(turned.reshape(-1)[windows(size, kernel, stride)], axis=-1)


def owners(size: int, sets: np.ndarray) -> np.ndarray:
    """For each pixel the number of the cell that reads it, -1 if none does.

    Shape:
        sets: (cells, cells, n); result: (size, size).
    """
    found = np.full(size * size, -1)
    cells = sets.shape[0] * sets.shape[1]
    found[sets] = np.arange(cells).reshape(*sets.shape[:2], 1)
    return found.reshape(size, size)


def figure1() -> Figure:
    """How subsampling breaks equivariance: 2x2 max pooling with stride 2 of 5x5 and of 6x6 pixels."""
    return Figure(
        "figure1",
        "Figure 1: at 5 x 5 pixels, pooling and turning do not commute; at 6 x 6 they do",
        "2 x 2 max pooling with stride 2. Above: pool, then turn by 90 degrees; below: turn, then pool. "
        "Each pixel shows its value; colors say which pixels end in which cell of the result on the "
        "right, and gray pixels are not read. With 5 pixels the remainder is (5 - 2) mod 2 = 1: the "
        "windows leave out the last row and column, which are others after a turn, so the two orders read "
        "different pixels and differ. With 6 pixels the remainder is 0 and they agree. Drawn from the "
        "windows' indices.",
        "Two blocks of six small number grids. In each, the upper row pools an image and turns the "
        "result, the lower row turns the image and pools it. For 5 by 5 pixels the colored windows sit at "
        "the top left above and at the top right of the original image below, and the results differ. For "
        "6 by 6 they are the same.",
        _draw,
    )


def _draw() -> Canvas:
    gap = 0.25
    figure, axes = canvas(10.4, 4.1, 2, 7, gridspec_kw={"width_ratios": (1, 1, 1, gap, 1, 1, 1)})
    for number, size in enumerate(SIDES):
        first = 4 * number
        upper, lower = axes[first : first + 3], axes[7 + first : 7 + first + 3]
        _draw_block(size, upper, lower)
    for spacer in (axes[3], axes[10]):
        spacer.set_axis_off()
    return figure


def _draw_block(size: int, upper: list[Axes], lower: list[Axes]) -> None:
    """Both orders for one size: x, the step between, and the result."""
    image = np.arange(1, size * size + 1)
    pooled_first, turned_first = (f(size, KERNEL, STRIDE) for f in (pool_then_turn, turn_then_pool))
    cells = len(pooled_first)
    result = np.arange(cells * cells).reshape(cells, cells)
    values = [image[sets].max(-1) for sets in (pooled_first, turned_first)]
    square = image.reshape(size, size)
    _grid(upper[0], square, owners(size, pooled_first), size)
    _grid(upper[1], np.rot90(values[0], -1), np.rot90(result, -1), size, _UNIT)
    _grid(upper[2], values[0], result, size, _UNIT)
    _grid(lower[0], square, owners(size, turned_first), size)
    _grid(lower[1], np.rot90(square), owners(size, windows(size, KERNEL, STRIDE)), size)
    _grid(lower[2], values[1], result, size, _UNIT)
    remainder = (size - KERNEL) % STRIDE
    same = bool((values[0] == values[1]).all())
    upper[0].set_title("x")
    upper[1].set_title(f"{size} x {size} pixels, remainder {remainder}\n\npool(x)")
    upper[2].set_title("T pool(x)")
    lower[0].set_title("x")
    lower[1].set_title("T x")
    lower[2].set_title("pool(T x)")
    _between(upper[2], "=" if same else "≠", SERIES[0] if same else SERIES[1])
    for panel, word in ((upper[0], "pool"), (upper[1], "turn"), (lower[0], "turn"), (lower[1], "pool")):
        _arrow(panel, word)


def _grid(axes: Axes, values: np.ndarray, colors: np.ndarray, size: int, unit: float = 1.0) -> None:
    """Numbered cells in the middle of a panel of ``size`` pixels, filled by number of their window."""
    side = len(values)
    start = (size - side * unit) / 2
    for (row, column), value in np.ndenumerate(values):
        corner = (start + column * unit, start + row * unit)
        color, alpha = _fill(int(colors[row, column]))
        axes.add_patch(Rectangle(corner, unit, unit, facecolor=color, alpha=alpha, lw=0))
        axes.add_patch(Rectangle(corner, unit, unit, fill=False, edgecolor=MUTED, lw=0.6))
        middle = (corner[0] + unit / 2, corner[1] + unit / 2)
        unread = colors[row, column] < 0
        axes.text(*middle, str(value), ha="center", va="center", fontsize=7, color=MUTED if unread else INK)
    axes.set(xlim=(-0.05, size + 0.05), ylim=(size + 0.05, -0.05), aspect="equal")
    axes.set(xticks=[], yticks=[])
    axes.set_axis_off()
    inside(axes)


def _fill(window: int) -> tuple[str, float]:
    """Color and opacity of a window; windows of one color differ in opacity, unread pixels are gray."""
    if window < 0:
        return GRID, 0.6
    return SERIES[window % len(SERIES)], (0.55, 0.25)[window // len(SERIES) % 2]


def _arrow(axes: Axes, word: str) -> None:
    """An arrow from a panel to the one on its right."""
    axes.annotate(
        "",
        (1.22, 0.5),
        (1.02, 0.5),
        xycoords="axes fraction",
        annotation_clip=False,
        arrowprops={"arrowstyle": "->", "color": MUTED, "lw": 1.0},
    )
    axes.text(1.12, 0.53, word, transform=axes.transAxes, ha="center", va="bottom", fontsize=7.5, color=MUTED)


def _between(axes: Axes, sign: str, color: str) -> None:
    """A large sign below a panel."""
    axes.text(0.5, -0.12, sign, transform=axes.transAxes, ha="center", va="center", fontsize=20, color=color)
