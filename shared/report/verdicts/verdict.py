"""What a verdict is, and the verdicts that need no arithmetic."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from shared.base.paths import COMMITTED_TIERS, TIERS
from shared.report import stats

REPRODUCED = "reproduced"
DIFFERS = "differs"
TOO_FEW = "too few runs"
NOT_RUN = "not run"
STATUSES = (REPRODUCED, DIFFERS, TOO_FEW, NOT_RUN)

#: A fact has no chance in it, whatever the protocol.
_FACT = {REPRODUCED: "equal", DIFFERS: "not equal"}
#: There is nothing to reproduce in what only we say.
_OURS = {REPRODUCED: "holds", DIFFERS: "does not hold"}

#: The method where there is no chance.
EQUALITY = "equality"
#: Why a number is shown and not judged.
SHORTER = "a shorter protocol than the paper's"

#: Fewer seeds than this never decide anything.
MIN_RUNS = 3


@dataclass(frozen=True)
class Verdict:
    """Outcome of one comparison.

    Attributes:
        status: one of `STATUSES`, or None for demo and smoke numbers.
        tier: tier of our runs (the shortest one involved), "" if there are none.
        n: our number of seeds.
        difference: our mean minus the paper's value, or the claim's effect; None if not computed.
        low, high: its 95 % interval.
        p: p-value of the test named in ``method``; None if no test was made.
        effect: the difference in standard deviations between our seeds.
        method: the test, for people to read.
        reason: one phrase that says why, for people to read.
        ours: whether it judges a statement of our own, which is no part of the paper.
        protocol: the shorter one at which the paper's number stands, too ("3 epochs").
        step: of a curve, the furthest one, which the numbers are about.
        least, most: the bounds in which a claim holds, of the difference or of each run; infinite if open.
    """

    status: str | None
    tier: str = ""
    n: int = 0
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    effect: float | None = None
    method: str = ""
    reason: str = ""
    ours: bool = False
    least: float = -math.inf
    most: float = math.inf
    step: float | None = None
    protocol: str = ""

    @property
    def score(self) -> float | None:
        """The difference as a standard normal deviate, if it is that of a measured number; else None.

        It has the p-value and the sign of the difference, so that runs like the paper's give a standard
        normal distribution, however few they are. Without any spread there is no chance in it, and no score.
        """
        if self.p is None or self.difference is None or self.low == self.high:
            return None
        size = -stats.normal_quantile(max(self.p, sys.float_info.min) / 2)
        return math.copysign(max(size, 0.0), self.difference)

    @property
    def text(self) -> str:
        """What a table shows: the status, with the protocol or the tier unless they are the paper's own."""
        if self.status is None:
            return f"{'not judged' if self.tier in COMMITTED_TIERS else 'no verdict'} ({self.tier})"
        if self.method == EQUALITY and self.status in _FACT:
            return _FACT[self.status]
        word = _OURS.get(self.status, self.status) if self.ours else self.status
        short = self.protocol or (self.tier if self.tier not in ("", "paper") else "")
        return f"{word} ({short})" if short and self.tier else word


class Measured(Protocol):
    """Our numbers with the tier they come from, as `shared.report.tables.Sample` has them."""

    @property
    def numbers(self) -> Sequence[float]:
        """One value per seed."""
        ...

    @property
    def tier(self) -> str:
        """The tier of the runs, "" if there are none."""
        ...


def read(ours: Measured | Sequence[float], tier: str | None) -> tuple[list[float], str]:
    """The numbers to judge, and their tier: the one given, else a sample's own, else ``paper``.

    Raises:
        TypeError: if they are given by seed: of a mapping the seeds would be judged.
    """
    if isinstance(numbers := getattr(ours, "numbers", None), Sequence):
        return stats.in_order(numbers), tier or getattr(ours, "tier", "") or "paper"
    return stats.in_order(ours), tier or "paper"


def few(n: int, tier: str) -> Verdict:
    """The verdict on runs that are too few for any arithmetic.

    Raises:
        ValueError: if they are enough.
    """
    early = unjudged(n, tier)
    if early is None:
        raise ValueError(f"{n} runs are enough for a test; make one")
    return early


def shortest(tiers: Sequence[str]) -> str:
    """The tier that follows the least of the paper's protocol, "" if there is none."""
    return min(tiers, key=(*TIERS, "").index, default="")


def comparable(tier: str, ours: str = "", papers: str = "") -> bool:
    """Whether a number of ours may be judged beside one of the paper's (see the package).

    Args:
        tier: of our runs.
        ours, papers: names of the shorter protocols at which the two stand; "" for the paper's own.
    """
    return ours == papers and (bool(papers) or tier in ("", "paper"))


def withheld(verdict: Verdict) -> Verdict:
    """The numbers of a comparison with runs of a shorter protocol, without its status; equality stays."""
    if verdict.status in (None, NOT_RUN) or verdict.method == EQUALITY:
        return verdict
    return replace(verdict, status=None, reason=SHORTER)


def unjudged(n: int, tier: str, least: int = MIN_RUNS) -> Verdict | None:
    """Verdicts that need no arithmetic: no run, a tier that is not comparable, too few runs."""
    if n == 0:
        return Verdict(NOT_RUN)
    if tier not in COMMITTED_TIERS:
        return Verdict(None, tier, n, reason="other data than the paper's")
    if n < least:
        return Verdict(TOO_FEW, tier, n, reason=f"fewer than {least} runs")
    return None


def facts(difference: stats.Difference, tier: str, p: float, method: str = "") -> Verdict:
    """The numbers of a comparison as a verdict whose status is still open."""
    low, high = difference.interval()
    return Verdict(
        None,
        tier,
        difference.n,
        difference.value,
        low,
        high,
        p,
        difference.effect,
        method or difference.method,
    )
