"""Does our number agree with the paper's? One rule for every cell, one for every claim.

**Statuses.** ``reproduced``, ``differs``, ``too few runs``, ``not run``. A verdict from the shorter protocol
says so: "reproduced (lite)". Numbers of the demo and smoke tiers come from other data; they never get a
verdict against the paper and read "no verdict (demo)".

**Cells** (our runs against one printed number), `cell`:

1. no run: ``not run``; fewer than 3 runs: ``too few runs``.
2. Let d be our mean minus the paper's value. Its standard error joins ours, s/sqrt(n), and the paper's,
   s_p/sqrt(n_p), with Welch's degrees of freedom. ``differs`` if the
   95 % t interval of d, widened by half a unit of the last printed digit, leaves out 0. An error that all our
   runs share (as when they are tested on a sample of the test images) does not show between seeds; it is
   given as ``shared_se`` and widens the interval.
3. Otherwise the data are compatible with the printed number. That is only worth saying if they could have
   disagreed: if the interval's half-width exceeds 3 of the paper's standard deviations, ``too few runs``;
   else ``reproduced``.

A number in which there is no chance, such as a count of parameters, is equal or not; one run is enough
(`exactly`).

What the paper says about its spread decides s_p and n_p (``spread_kind`` in ``paper.csv``):

* ``std``: standard deviation (n - 1); ``std0``: with n in the denominator, multiplied by sqrt(n/(n-1)) first;
* ``se``: a standard error, used as it is; ``ci95``: half-width of a 95 % interval, divided by its quantile;
* a spread without n counts in full as the standard error of the printed number (as if from one run);
* no spread: the printed number is taken as a mean of n (or 1) runs that scatter like ours: a prediction
  interval.

If our runs and the paper's come from the same distribution, step 2 still says ``differs`` in 5 % of cells (up
to 8 % with only 3 seeds, see `stats.welch`), or about once in a table of 20: one lone "differs" close to the
limit is what chance gives.

**Claims** (statements such as "A is better than B"), from a difference over seeds with its 95 % interval;
paired by seed where both arms ran the same seeds, else Welch:

* `beats`: ``reproduced`` if the interval lies above the threshold (a one-sided test at 2.5 %), ``differs`` if
  below it, ``too few runs`` if it holds the threshold;
* `same` (within a stated margin): ``reproduced`` if the two one-sided tests at 5 % (the 90 % interval within
  the margin) both pass; else ``differs`` if the 95 % interval leaves out 0; else ``too few runs``;
* `within` (a bound on every single run): ``reproduced`` if each run keeps it, else ``differs``;
* `every` joins the parts of one claim: it differs if a part differs and is reproduced only if all parts are.
  The largest p-value of the parts is a valid one for the whole (intersection-union test).

False-positive rates of these rules are checked by simulation in ``tests/core/test_verdicts.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared import stats
from shared.paths import COMMITTED_TIERS

REPRODUCED = "reproduced"
DIFFERS = "differs"
TOO_FEW = "too few runs"
NOT_RUN = "not run"
STATUSES = (REPRODUCED, DIFFERS, TOO_FEW, NOT_RUN)

#: Fewer seeds than this never decide anything.
MIN_RUNS = 3
#: An interval wider than this many of the paper's standard deviations cannot confirm a number.
WIDEST = 3.0
SPREAD_KINDS = ("std", "std0", "se", "ci95", "")


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

    @property
    def text(self) -> str:
        """What a table shows: the status, with the tier unless it is the paper's own protocol."""
        if self.status is None:
            return f"no verdict ({self.tier})"
        return self.status if self.tier in ("", "paper") else f"{self.status} ({self.tier})"


def cell(
    ours: Sequence[float],
    paper_value: float,
    spread: float | None = None,
    n: int | None = None,
    *,
    spread_kind: str = "std",
    rounding: float = 0.0,
    shared_se: float = 0.0,
    tier: str = "paper",
) -> Verdict:
    """Compare our runs with a number the paper prints (rule in the module's docstring).

    Args:
        ours: one value per seed.
        paper_value: the printed number, in the same unit.
        spread: what follows the printed plus-minus sign, None if nothing does.
        n: number of runs behind the printed number, None if not stated.
        spread_kind: what ``spread`` is, one of `SPREAD_KINDS`.
        rounding: half a unit of the last printed digit.
        shared_se: standard error that all our runs have in common.
        tier: tier of our runs.

    Raises:
        ValueError: if ``spread_kind`` is unknown or a value of ours is not finite.
    """
    early = _early(len(ours), tier)
    if early:
        return early
    mine = stats.summary(ours)
    difference = _against_paper(mine, paper_value, spread, n, spread_kind)
    if shared_se:
        difference = stats.with_known_error(difference, shared_se)
    low, high = difference.interval()
    found = _facts(difference, tier, p=difference.p_different())
    if low - rounding > 0 or high + rounding < 0:
        return replace(found, status=DIFFERS, reason="the 95 % interval of the difference leaves out 0")
    deviation = _deviation(spread, n, spread_kind)
    if deviation and (high - low) / 2 > WIDEST * deviation:
        return replace(
            found, status=TOO_FEW, reason="the interval is wider than three of the paper's deviations"
        )
    return replace(found, status=REPRODUCED, reason="the 95 % interval of the difference holds 0")


def exactly(ours: Sequence[float], value: float, *, tier: str = "paper") -> Verdict:
    """Compare a quantity in which there is no chance, such as a number of parameters; one run is enough."""
    early = _early(len(ours), tier, least=1)
    if early:
        return early
    wrong = [number for number in ours if number != value]
    found = Verdict(DIFFERS if wrong else REPRODUCED, tier, len(ours), (wrong or [value])[0] - value)
    return replace(found, method="equality", reason="not the same number" if wrong else "the same number")


def beats(difference: stats.Difference | None, *, threshold: float = 0.0, tier: str = "paper") -> Verdict:
    """Judge the claim that a difference exceeds ``threshold``; None stands for "no runs"."""
    early = _early(difference.n if difference else 0, tier)
    if early or difference is None:
        return early
    low, high = difference.interval()
    found = _facts(difference, tier, p=difference.p_greater(threshold))
    if low > threshold:
        return replace(found, status=REPRODUCED, reason=f"the interval lies above {threshold:g}")
    if high < threshold or (low == high <= threshold):
        return replace(found, status=DIFFERS, reason=f"the interval lies below {threshold:g}")
    return replace(
        found, status=TOO_FEW, reason=f"the interval holds {threshold:g}{_needed(difference, threshold)}"
    )


def same(difference: stats.Difference | None, *, margin: float, tier: str = "paper") -> Verdict:
    """Judge the claim that a difference is smaller than ``margin`` in size; None stands for "no runs"."""
    early = _early(difference.n if difference else 0, tier)
    if early or difference is None:
        return early
    found = _facts(difference, tier, p=difference.p_within(margin), method=f"TOST ({difference.method})")
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
    values: Sequence[float], *, least: float = -math.inf, most: float = math.inf, tier: str = "paper"
) -> Verdict:
    """Judge the claim that every single run lies in ``[least, most]``; one that is not finite breaks it."""
    early = _early(len(values), tier)
    if early:
        return early
    broken = sum(not (math.isfinite(value) and least <= value <= most) for value in values)
    status = DIFFERS if broken else REPRODUCED
    reason = f"{len(values) - broken} of {len(values)} runs keep the bound"
    return Verdict(status, tier, len(values), method="bound on each run", reason=reason)


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


def few(n: int, tier: str) -> Verdict:
    """The verdict on runs that are too few for any arithmetic.

    Raises:
        ValueError: if they are enough.
    """
    early = _early(n, tier)
    if early is None:
        raise ValueError(f"{n} runs are enough for a test; make one")
    return early


def shortest(tiers: Sequence[str]) -> str:
    """The tier that follows the least of the paper's protocol, "" if there is none."""
    order = ("smoke", "demo", "lite", "paper", "")
    return min(tiers, key=order.index, default="")


def _early(n: int, tier: str, least: int = MIN_RUNS) -> Verdict | None:
    """Verdicts that need no arithmetic: no run, a tier that is not comparable, too few runs."""
    if n == 0:
        return Verdict(NOT_RUN)
    if tier not in COMMITTED_TIERS:
        return Verdict(None, tier, n, reason="other data than the paper's")
    if n < least:
        return Verdict(TOO_FEW, tier, n, reason=f"fewer than {least} runs")
    return None


def _facts(difference: stats.Difference, tier: str, p: float, method: str = "") -> Verdict:
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


def _needed(difference: stats.Difference, threshold: float) -> str:
    runs = stats.runs_to_decide(difference, threshold)
    return f"; about {runs} seeds would decide" if runs and runs > difference.n else ""


def _deviation(spread: float | None, n: int | None, kind: str) -> float | None:
    """The paper's standard deviation between runs, None if it cannot be known."""
    if kind not in SPREAD_KINDS:
        raise ValueError(f"unknown spread kind {kind!r}; use one of {', '.join(filter(None, SPREAD_KINDS))}")
    if spread is None or kind == "":
        return None
    if kind == "std":
        return spread
    if n is None or n < 2:
        return None if kind != "std0" else spread
    if kind == "std0":
        return spread * math.sqrt(n / (n - 1))
    se = spread if kind == "se" else spread / stats.t_quantile(0.975, n - 1)
    return se * math.sqrt(n)


def _against_paper(
    mine: stats.Summary, value: float, spread: float | None, n: int | None, kind: str
) -> stats.Difference:
    """Our mean minus the printed value, with the standard error of both."""
    if spread is None or kind == "":
        se, df = mine.sd * math.sqrt(1 / mine.n + 1 / (n or 1)), float(mine.n - 1)
    elif n is None or n < 2:
        theirs = spread / stats.t_quantile(0.975, math.inf) if kind == "ci95" else spread
        se, df = stats.welch_error(mine.se, mine.n - 1, theirs, math.inf)
    else:
        deviation = _deviation(spread, n, kind) or 0.0
        se, df = stats.welch_error(mine.se, mine.n - 1, deviation / math.sqrt(n), n - 1)
    return stats.Difference(mine.mean - value, se, df, mine.n, mine.sd, "Welch t against the paper")
