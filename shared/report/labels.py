"""Names beside points of a figure, placed so that none covers another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.report.figures import Axes

#: Where a label may stand beside its point: offset in points, and its alignment.
SIDES = (
    (6, 3, "left"),
    (6, -9, "left"),
    (-6, 3, "right"),
    (-6, -9, "right"),
    (0, 9, "center"),
    (0, -14, "center"),
    (8, 12, "left"),
    (8, -18, "left"),
)
SIZE = 6.5


def place(axes: Axes, names: Mapping[str, tuple[float, float]], marks: Iterable[tuple[float, float]]) -> None:
    """Name points, each where its label covers neither another label nor a mark, as far as there is room.

    Args:
        axes: with its final limits and scales.
        names: points by label.
        marks: what else must not be covered, beside the points.
    """
    axes.figure.draw_without_rendering()  # so that the layout is known
    renderer = axes.figure.canvas.get_renderer()
    taken = [axes.transData.transform(mark) for mark in [*names.values(), *marks]]
    boxes: list[Any] = []

    def hits(box: Any) -> int:
        """How much a label in this box would cover; leaving the panel counts, too."""
        inside = axes.bbox.contains(*box.min) and axes.bbox.contains(*box.max)
        covered = [box.overlaps(other) for other in boxes] + [box.contains(*mark) for mark in taken]
        return sum(covered) + (not inside)

    for name, point in names.items():
        word = axes.annotate(name, point, xytext=(0, 0), textcoords="offset points", fontsize=SIZE)

        def box_at(side: tuple[int, int, str], word: Any = word) -> Any:
            word.set_position(side[:2])
            word.set_horizontalalignment(side[2])
            return word.get_window_extent(renderer).padded(1)

        best = min(SIDES, key=lambda side: hits(box_at(side)))
        boxes.append(box_at(best))
