"""Where the dots and intervals of a claim stand in its picture: a forest plot, one line for each comparison.

All lines share one axis. Places are percentages of the picture's width, so that the page can stretch it; the
templates draw it. Right of a dashed line supports the claim; where the claim is that there is no difference,
the interval has to lie in a band.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from shared.report import text, verdicts
from shared.report.tables import Part

#: Part of the picture's width left free at either end, in percent.
MARGIN = 4.0
#: As many comparisons fit on a card of the start page.
SHORT = 4
#: How little of a claim a verdict supports: what comes first decides a claim of several parts.
_ORDER = (verdicts.DIFFERS, verdicts.TOO_FEW, None, verdicts.REPRODUCED, verdicts.NOT_RUN)


@dataclass(frozen=True)
class Line:
    """One comparison in the picture; places in percent of the width.

    Attributes:
        part: what is drawn.
        ours, paper: place, and the ends of the 95 % interval; None without a number.
        limit: place of the dashed line, None if there is a band.
        band: left end and width of the band in which the interval has to lie; None if there is a line.
        margin: whether the picture shows the distance from a bound, which ``part.ours`` says in another unit.
    """

    part: Part
    ours: tuple[float, float, float] | None
    paper: tuple[float, float, float] | None
    limit: float | None
    band: tuple[float, float] | None
    margin: bool


@dataclass(frozen=True)
class Forest:
    """The picture of a claim: its lines, and the numbers along its axis with their places."""

    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]

    @property
    def drawn(self) -> bool:
        """Whether there is anything to see."""
        return any(line.ours or line.paper for line in self.lines)


def forest(parts: Sequence[Part]) -> Forest:
    """Put the comparisons of a claim on one axis."""
    numbers = [0.0]
    for part in parts:
        for interval in (part.found, part.told):
            numbers += interval or ()
        if part.found or part.told:
            numbers += filter(math.isfinite, (part.verdict.least, part.verdict.most))
    low, high = min(numbers), max(numbers)
    scale = (100 - 2 * MARGIN) / ((high - low) or 1.0)

    def at(number: float) -> float:
        return round(MARGIN + scale * (number - low), 2)

    ticks = tuple((at(number), shown) for number, shown in _ticks(low, high))
    margin = any(_is_margin(part) for part in parts)
    return Forest(tuple(_line(part, at) for part in parts), () if margin else ticks)


def _line(part: Part, at: Callable[[float], float]) -> Line:
    def places(interval: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
        return interval and (at(interval[0]), at(interval[1]), at(interval[2]))

    least, most = part.verdict.least, part.verdict.most
    band = None
    if part.found and math.isfinite(least) and math.isfinite(most):
        band = at(least), round(at(most) - at(least), 2)
    limit = None if band else at(least if part.found and math.isfinite(least) else 0.0)
    return Line(part, places(part.found), places(part.told), limit, band, _is_margin(part))


def _is_margin(part: Part) -> bool:
    return part.found is not None and part.effect != part.ours


def _ticks(low: float, high: float) -> Iterable[tuple[float, str]]:
    """Three to six round numbers between the ends."""
    span = high - low
    if not span:
        return
    power = 10.0 ** math.floor(math.log10(span))
    step = next(size * power for size in (0.2, 0.5, 1.0, 2.0) if span / (size * power) < 6)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    for count in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        yield count * step, text.fixed(count * step, decimals)


def support(part: Part) -> tuple[float, float]:
    """How much a comparison supports its claim, to sort by: the verdict, then the distance from the bound."""
    status = part.verdict.status
    if part.found is None:
        return float(_ORDER.index(status)), math.inf
    _, low, high = part.found
    room = min(low - part.verdict.least, part.verdict.most - high)
    return float(_ORDER.index(status)), low if math.isinf(room) else room


def weakest(parts: Sequence[Part], most: int = SHORT) -> tuple[Part, ...]:
    """The comparisons that stand for all: all if they are few, else those that support the claim least.

    Of comparisons whose labels begin alike ("MNIST: ..., MNIST: ...") the weakest stands for them, if that
    makes few of many.
    """
    if len(parts) <= most:
        return tuple(parts)
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(re.split("[,:]", part.label)[0], []).append(part)
    if len(groups) <= most:
        return tuple(min(group, key=support) for group in groups.values())
    first = sorted(parts, key=support)[:most]
    return tuple(part for part in parts if part in first)
