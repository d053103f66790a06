"""One rule for every curve: our runs at many steps against what a paper plots there (see the package)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from shared.report import stats
from shared.report.verdicts.cells import SHARED, WIDE, WIDE_OURS, WIDEST, against, deviation_of
from shared.report.verdicts.verdict import DIFFERS, REPRODUCED, TOO_FEW, Verdict, facts, unjudged

#: Steps whose values by seed differ by less than this share of their spread are one measurement.
ONE = 0.05


@dataclass(frozen=True)
class Printed:
    """One of the paper's numbers; attributes as the arguments of `shared.report.verdicts.cell`."""

    value: float
    spread: float | None = None
    n: int | None = None
    spread_kind: str = "std"
    rounding: float = 0.0
    shared_se: float = 0.0


def curve(
    ours: Mapping[float, Sequence[float]], papers: Mapping[float, Printed], *, tier: str = "paper"
) -> Verdict:
    """Judge a curve as a whole (rule in the package's docstring); the numbers are those of its furthest step.

    Args:
        ours: by step our values, one for each seed in the same order.
        papers: the paper's numbers at these steps.
        tier: of our runs.

    Raises:
        ValueError: if there is no step, or the steps or the numbers of seeds are not the same.
    """
    if not ours or set(ours) != set(papers) or len({len(values) for values in ours.values()}) > 1:
        raise ValueError("a curve needs our values and the paper's at the same steps, of the same seeds")
    early = unjudged(len(next(iter(ours.values()))), tier)
    if early:
        return early
    mine = {step: stats.summary(values) for step, values in ours.items()}
    found = _differences(mine, papers)
    count = distinct(list(ours.values()))
    level = math.exp(math.log(0.95) / count)
    tests = {step: stats.nearer(one, papers[step].rounding).p_different() for step, one in found.items()}
    furthest = min(tests, key=lambda step: (tests[step], -abs(found[step].value)))
    p = -math.expm1(count * math.log1p(-min(tests[furthest], 1 - 1e-16)))
    said = f"largest of {len(ours)} distances" + (f" ({count} distinct)" if count < len(ours) else "")
    low, high = found[furthest].interval(level)
    verdict = replace(facts(found[furthest], tier, p, said), low=low, high=high, step=furthest)
    if p < 0.05:
        reason = f"furthest at {furthest:g}: its simultaneous 95 % interval leaves out 0"
        return replace(verdict, status=DIFFERS, reason=reason)
    if _mostly_wide(mine, found, papers, level):
        narrow = not _mostly_wide(mine, _differences(mine, papers, shared=False), papers, level)
        wide = WIDE_OURS if _theirs(papers[furthest]) is None else WIDE
        return replace(verdict, status=TOO_FEW, reason=SHARED if narrow else wide)
    return replace(verdict, status=REPRODUCED, reason="all simultaneous 95 % intervals hold 0")


def _differences(
    mine: Mapping[float, stats.Summary], papers: Mapping[float, Printed], shared: bool = True
) -> dict[float, stats.Difference]:
    """Ours minus the paper's at each step, all with the same degrees of freedom; without what seeds share, if
    so asked.

    Welch's, as estimated at each step, are too many where our few runs happen to lie close together, and just
    there a difference looks large: with 3 runs against 100 at 36 steps that would call 4 of 10 true curves
    different. Their harmonic mean over the steps does not depend on one step's luck.
    """
    found = {}
    for step, known in papers.items():
        found[step] = against(mine[step], known.value, known.spread, known.n, known.spread_kind)
    spent = math.fsum(1 / one.df for one in found.values()) / len(found)
    alike = {step: replace(one, df=1 / spent if spent else math.inf) for step, one in found.items()}
    if not shared:
        return alike
    return {step: stats.with_known_error(one, papers[step].shared_se) for step, one in alike.items()}


def _theirs(known: Printed) -> float | None:
    return deviation_of(known.spread, known.n, known.spread_kind)


def _mostly_wide(
    mine: Mapping[float, stats.Summary],
    found: Mapping[float, stats.Difference],
    papers: Mapping[float, Printed],
    level: float,
) -> bool:
    """Whether most intervals are too wide to disagree (see `shared.report.verdicts.cell`)."""
    wide = 0
    for step, known in papers.items():
        theirs = _theirs(known)
        low, high = found[step].interval(level)
        widest = max(WIDEST * (mine[step].sd if theirs is None else theirs), known.rounding)
        wide += (high - low) / 2 > widest
    return wide > len(papers) / 2


def distinct(samples: Sequence[Sequence[float]]) -> int:
    """How many of these samples, of the same seeds, are not one of the others over again."""
    kept: list[np.ndarray] = []
    for values in samples:
        mine = np.asarray(values, float)
        if not any(one_measurement(mine, other) for other in kept):
            kept.append(mine)
    return len(kept)


def one_measurement(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two samples of the same seeds hold the same values, but for a small part of their spread."""
    spread = float(np.std(first, ddof=1)) if len(first) > 1 else 0.0
    return bool(np.abs(first - second).max() <= ONE * spread)


class Measurements:
    """Samples that were seen, to tell whether another one is one of them over again; by seed each."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int, ...], tuple[np.ndarray, int]] = {}  # by seeds: a matrix, rows in use

    def is_known(self, values: Mapping[int, float]) -> bool:
        """Whether `one_measurement` says so of one of them; of different sizes the smaller is a part.

        All samples of the same seeds are compared at once: a thousand cells are half a million pairs.
        """
        for seeds, (matrix, count) in self._groups.items():
            common = [place for place, seed in enumerate(seeds) if seed in values]
            if not common or len(common) < min(len(seeds), len(values)):
                continue
            mine = np.array([values[seeds[place]] for place in common])
            spread = float(np.std(mine, ddof=1)) if len(mine) > 1 else 0.0
            if (np.abs(matrix[:count, common] - mine).max(axis=1) <= ONE * spread).any():
                return True
        return False

    def add(self, values: Mapping[int, float]) -> None:
        """Take in a sample."""
        seeds = tuple(sorted(values))
        matrix, count = self._groups.get(seeds, (np.empty((8, len(seeds))), 0))
        if count == len(matrix):
            matrix = np.concatenate([matrix, np.empty_like(matrix)])
        matrix[count] = [values[seed] for seed in seeds]
        self._groups[seeds] = (matrix, count + 1)
