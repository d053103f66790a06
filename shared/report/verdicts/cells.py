"""One rule for every cell: our runs against one printed number (see the package)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from shared.report import stats
from shared.report.verdicts.verdict import (
    DIFFERS,
    EQUALITY,
    REPRODUCED,
    TOO_FEW,
    Measured,
    Verdict,
    facts,
    read,
    unjudged,
)

#: An interval wider than this many standard deviations (the paper's, else ours) cannot confirm a number.
WIDEST = 3.0
#: Why an interval is too wide: its runs are few or scatter, or all of them are tested on few images.
WIDE = "the interval is wider than three of the paper's deviations"
WIDE_OURS = "the interval is wider than three of our deviations; the paper prints none"
SHARED = "more runs would not decide: all are tested on the same few images"
SPREAD_KINDS = ("std", "std0", "se", "se0", "ci95", "")


def cell(
    ours: Measured | Sequence[float],
    paper_value: float,
    spread: float | None = None,
    n: int | None = None,
    *,
    spread_kind: str = "std",
    rounding: float = 0.0,
    shared_se: float = 0.0,
    tier: str | None = None,
) -> Verdict:
    """Compare our runs with a number the paper prints (rule in the package's docstring).

    Args:
        ours: a sample, or one value per seed in a list.
        paper_value: the printed number, in the same unit.
        spread: what follows the printed plus-minus sign, None if nothing does.
        n: number of runs behind the printed number, None if not stated.
        spread_kind: what ``spread`` is, one of `SPREAD_KINDS`.
        rounding: half a unit of the last printed digit.
        shared_se: standard error that all our runs have in common.
        tier: tier of our runs; None for the sample's own, or ``paper`` for a list.

    Raises:
        TypeError: if our values are given by seed.
        ValueError: if ``spread_kind`` is unknown, or one of enough values of ours is not finite.
    """
    if spread_kind not in SPREAD_KINDS:
        raise ValueError(
            f"unknown spread kind {spread_kind!r}; use one of {', '.join(filter(None, SPREAD_KINDS))}"
        )
    numbers, tier = read(ours, tier)
    early = unjudged(len(numbers), tier)
    if early:
        return early
    mine = stats.summary(numbers)
    between_runs = against(mine, paper_value, spread, n, spread_kind)
    difference = stats.with_known_error(between_runs, shared_se) if shared_se else between_runs
    low, high = difference.interval()
    found = facts(difference, tier, p=stats.nearer(difference, rounding).p_different())
    if low - rounding > 0 or high + rounding < 0:
        return replace(found, status=DIFFERS, reason="the 95 % interval of the difference leaves out 0")
    theirs = deviation_of(spread, n, spread_kind)
    widest = max(WIDEST * (mine.sd if theirs is None else theirs), rounding)
    if widest and (high - low) / 2 > widest:
        least, most = between_runs.interval()
        narrow = (most - least) / 2 <= widest
        wide = WIDE_OURS if theirs is None else WIDE
        return replace(found, status=TOO_FEW, reason=SHARED if narrow else wide)
    return replace(found, status=REPRODUCED, reason="the 95 % interval of the difference holds 0")


def exactly(
    ours: Measured | Sequence[float], value: float, *, rounding: float = 0.0, tier: str | None = None
) -> Verdict:
    """Compare a quantity in which there is no chance, such as a number of parameters; one run is enough.

    Args, Raises: as `cell`.
    """
    numbers, tier = read(ours, tier)
    early = unjudged(len(numbers), tier, least=1)
    if early:
        return replace(early, method=EQUALITY)
    wrong = [number for number in numbers if not abs(number - value) <= rounding]
    found = Verdict(DIFFERS if wrong else REPRODUCED, tier, len(numbers), (wrong or [value])[0] - value)
    return replace(found, method=EQUALITY, reason="not the same number" if wrong else "the same number")


def deviation_of(spread: float | None, n: int | None, kind: str) -> float | None:
    """The paper's standard deviation between runs, None if it cannot be known. Arguments as in `cell`."""
    if spread is None or kind == "":
        return None
    if kind == "std":
        return spread
    if n is None or n < 2:
        return None if kind != "std0" else spread
    if kind == "std0":
        return spread * math.sqrt(n / (n - 1))
    if kind == "se0":
        return spread * n / math.sqrt(n - 1)
    se = spread if kind == "se" else spread / stats.t_quantile(0.975, n - 1)
    return se * math.sqrt(n)


def against(
    mine: stats.Summary, value: float, spread: float | None, n: int | None, kind: str
) -> stats.Difference:
    """Our mean minus the printed value, with the standard error of both."""
    if spread is None or kind == "":
        se, df = mine.sd * math.sqrt(1 / mine.n + 1 / (n or 1)), float(mine.n - 1)
    elif n is None or n < 2:
        theirs = spread / stats.t_quantile(0.975, math.inf) if kind == "ci95" else spread
        se, df = stats.welch_error(mine.se, mine.n - 1, theirs, math.inf)
    else:
        deviation = deviation_of(spread, n, kind) or 0.0
        se, df = stats.welch_error(mine.se, mine.n - 1, deviation / math.sqrt(n), n - 1)
    return stats.Difference(mine.mean - value, se, df, mine.n, mine.sd, "Welch t against the paper")
