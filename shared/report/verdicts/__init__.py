"""Does our number agree with the paper's? One rule for every cell, one for every claim.

**Statuses.** ``reproduced``, ``differs``, ``too few runs``, ``not run``. Numbers of the demo and smoke tiers
come from other data; they never get a verdict against the paper and read "no verdict (demo)".

**Shorter protocols** (the tier lite). A number is judged only against a reference at the same protocol: runs
of the tier paper against the paper's; and whatever the tier, what is declared to be measured at a shorter
protocol (`shared.report.build.Quantity.protocol`: "3 epochs") against a reference that stands at that very
one (column ``protocol`` of paper.csv): "reproduced (3 epochs)". Everything else is shown with its difference
and reads "not judged (lite)". What has no chance in it (`exactly`) does not depend on the protocol. A claim
compares arms of ours with each other; but how large a gap is, and often its sign, depends on how long the
arms trained. So a claim of the paper is judged by runs of the tier paper alone, unless its row says that the
statement does not hang on the protocol (`shared.report.claims.claim`, ``at_lite``); then it reads "reproduced
(lite)". Statements of our own speak of our runs, and are judged at either tier.

**Cells** (our runs against one printed number), `cell`:

1. no run: ``not run``; fewer than 3 runs: ``too few runs``.
2. Let d be our mean minus the paper's value. Its standard error joins ours, s/sqrt(n), and the paper's,
   s_p/sqrt(n_p), with Welch's degrees of freedom. ``differs`` if the
   95 % t interval of d, widened by half a unit of the last printed digit, leaves out 0. An error that all our
   runs share (as when they are tested on a sample of the test images) does not show between seeds; it is
   given as ``shared_se`` and widens the interval.
3. Otherwise the data are compatible with the printed number. That is only worth saying if they could have
   disagreed: if the interval's half-width exceeds 3 of the paper's standard deviations (of ours, where the
   paper prints none) and half a unit of the last printed digit, ``too few runs``; else ``reproduced``. Where
   the shared error alone makes it so wide, the cell says that more runs would not decide.

A number in which there is no chance, such as a count of parameters, is equal or not; one run is enough
(`exactly`).

What the paper says about its spread decides s_p and n_p (``spread_kind`` in ``paper.csv``):

* ``std``: standard deviation (n - 1); ``std0``: with n in the denominator, multiplied by sqrt(n/(n-1)) first;
* ``se``: a standard error, used as it is; ``se0``: one that was made of ``std0``, corrected in the same way;
  ``ci95``: half-width of a 95 % interval, divided by its quantile;
* a spread without n counts in full as the standard error of the printed number (as if from one run);
* no spread: the printed number is taken as a mean of n (or 1) runs that scatter like ours: a prediction
  interval.

If our runs and the paper's come from the same distribution, step 2 still says ``differs`` in 5 % of cells (up
to 8 % with only 3 seeds, see `stats.welch`), or about once in a table of 20: one lone "differs" close to the
limit is what chance gives.

**Curves** (our runs at many steps, such as test angles, against the numbers that the paper plots there),
`curve`: one verdict, with at most 5 % for all steps together. Each step is a cell; the curve ``differs`` if
the smallest p-value of its k steps is below 1 - 0.95^(1/k) (Sidak; exact if the steps were independent, and
on the safe side as they are, since neighbors go together), with degrees of freedom that all steps share.
Steps that repeat each other, as the quarter turns of an exact network do, count as one in k. If the intervals
of most steps, at that level, are wider than three deviations: ``too few runs``.

**Claims** (statements such as "A is better than B"), from a difference over seeds with its 95 % interval;
paired by seed where both arms ran the same seeds, else Welch:

* `beats`: ``reproduced`` if the interval lies above the threshold (a one-sided test at 2.5 %), ``differs`` if
  below it, ``too few runs`` if it holds the threshold;
* `same` (within a stated margin): ``reproduced`` if the two one-sided tests at 5 % (the 90 % interval within
  the margin) both pass; else ``differs`` if the 95 % interval leaves out 0; else ``too few runs``;
* `within` (a bound on every single run): ``reproduced`` if each run keeps it, else ``differs``;
* `every` joins the parts of one claim: it is not run if a part is not; else it differs if a part differs, and
  is reproduced only if all parts are.
  The largest p-value of the parts is a valid one for the whole (intersection-union test).

How often these rules err is simulated by ``scripts/verdict_rates.py``; the tables stand in docs/verdicts.md.
"""

from shared.report.verdicts.cells import SHARED, SPREAD_KINDS, WIDEST, cell, exactly
from shared.report.verdicts.claims import beats, every, same, within
from shared.report.verdicts.curves import Measurements, Printed, curve, one_measurement
from shared.report.verdicts.verdict import (
    DIFFERS,
    EQUALITY,
    MIN_RUNS,
    NOT_RUN,
    REPRODUCED,
    SHORTER,
    STATUSES,
    TOO_FEW,
    Verdict,
    comparable,
    few,
    shortest,
    withheld,
)

__all__ = [
    "DIFFERS",
    "EQUALITY",
    "MIN_RUNS",
    "NOT_RUN",
    "REPRODUCED",
    "SHARED",
    "SHORTER",
    "SPREAD_KINDS",
    "STATUSES",
    "TOO_FEW",
    "WIDEST",
    "Measurements",
    "Printed",
    "Verdict",
    "beats",
    "cell",
    "comparable",
    "curve",
    "every",
    "exactly",
    "few",
    "one_measurement",
    "same",
    "shortest",
    "withheld",
    "within",
]
