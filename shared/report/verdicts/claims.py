"""One rule for every claim: a difference over seeds against what is said of it (see the package)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from shared.report import stats
from shared.report.verdicts.verdict import (
    DIFFERS,
    NOT_RUN,
    REPRODUCED,
    TOO_FEW,
    Measured,
    Verdict,
    facts,
    read,
    shortest,
    unjudged,
)

#: Seeds beyond which "how many more" is no longer told to the digit.
_COUNTABLE = 1000


def beats(difference: stats.Difference | None, *, threshold: float = 0.0, tier: str = "paper") -> Verdict:
    """Judge the claim that a difference exceeds ``threshold``; None stands for "no runs"."""
    early = unjudged(difference.n if difference else 0, tier)
    if early or difference is None:
        return early and replace(early, least=threshold)
    low, high = difference.interval()
    found = replace(facts(difference, tier, p=difference.p_greater(threshold)), least=threshold)
    if low > threshold:
        return replace(found, status=REPRODUCED, reason=f"the interval lies above {threshold:g}")
    if high < threshold or (low == high <= threshold):
        return replace(found, status=DIFFERS, reason=f"the interval lies below {threshold:g}")
    return replace(
        found, status=TOO_FEW, reason=f"the interval holds {threshold:g}{_needed(difference, threshold)}"
    )


def same(difference: stats.Difference | None, *, margin: float, tier: str = "paper") -> Verdict:
    """Judge the claim that a difference is smaller than ``margin`` in size; None stands for "no runs"."""
    early = unjudged(difference.n if difference else 0, tier)
    if early or difference is None:
        return early and replace(early, least=-margin, most=margin)
    found = facts(difference, tier, p=difference.p_within(margin), method=f"TOST ({difference.method})")
    found = replace(found, least=-margin, most=margin)
    if found.p is not None and found.p < 0.05:
        return replace(found, status=REPRODUCED, reason=f"smaller than {margin:g} by two one-sided tests")
    low, high = difference.interval()
    goal = math.copysign(margin, difference.value) if abs(difference.value) < margin else 0.0
    if low > 0 or high < 0:
        return replace(
            found, status=DIFFERS, p=difference.p_different(), method=difference.method, reason="not zero"
        )
    return replace(
        found,
        status=TOO_FEW,
        reason=f"neither within {margin:g} nor different from 0{_needed(difference, goal)}",
    )


def within(
    ours: Measured | Sequence[float],
    *,
    least: float = -math.inf,
    most: float = math.inf,
    tier: str | None = None,
) -> Verdict:
    """Judge the claim that every single run lies in ``[least, most]``; one that is not finite breaks it.

    Args:
        ours: a sample, or one value per seed in a list.
        least, most: the bounds, which belong to it.
        tier: tier of our runs; None for the sample's own, or ``paper`` for a list.

    Raises:
        TypeError: if our values are given by seed.
    """
    numbers, tier = read(ours, tier)
    early = unjudged(len(numbers), tier)
    if early:
        return early
    broken = sum(not (math.isfinite(number) and least <= number <= most) for number in numbers)
    status = DIFFERS if broken else REPRODUCED
    reason = f"{len(numbers) - broken} of {len(numbers)} runs keep the bound"
    found = Verdict(status, tier, len(numbers), method="bound on each run", reason=reason)
    return replace(found, least=least, most=most)


def every(parts: Sequence[Verdict]) -> Verdict:
    """Join the verdicts on the parts of one claim; numbers are those of the part with the weakest support.

    Raises:
        ValueError: if there are no parts.
    """
    if not parts:
        raise ValueError("a claim needs one part at least")
    order = (None, NOT_RUN, DIFFERS, TOO_FEW, REPRODUCED)
    worst = min(parts, key=lambda part: (order.index(part.status), -(part.p if part.p is not None else -1.0)))
    return replace(worst, tier=shortest([part.tier for part in parts]), n=min(part.n for part in parts))


def _needed(difference: stats.Difference, threshold: float) -> str:
    """How many seeds to train: a guess from few runs, so beyond `_COUNTABLE` its digits say nothing."""
    runs = stats.runs_to_decide(difference, threshold)
    if not runs or runs <= difference.n:
        return ""
    number = f"about {runs}" if runs <= _COUNTABLE else f"more than {_COUNTABLE}"
    return f"; {number} seeds would decide"
