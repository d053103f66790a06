"""How a claim over seeds is judged: from pairs of arms to the rows of the table of claims."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.lconv import cells
from shared import verdicts
from shared.report import text
from shared.report.claims import Rule, effect, judge, row
from shared.report.results import Results, difference
from shared.report.tables import Row

Arm = tuple[str, str]  # experiment and arm
#: A label, two arms, and what the sources say of their difference ("" for what they say of the claim).
Pair = tuple[str, Arm, Arm, str]


def above(threshold: float = 0.0) -> Rule:
    """A difference exceeds a threshold."""
    return lambda found, tier: verdicts.beats(found, threshold=threshold, tier=tier)


def within(margin: float) -> Rule:
    """A difference is smaller than a margin, either way."""
    return lambda found, tier: verdicts.same(found, margin=margin, tier=tier)


def compare(
    results: Results,
    key: str,
    statement: str,
    pairs: Sequence[Pair],
    rule: Rule,
    reference: str = "",
    *,
    headline: bool = False,
) -> Row:
    """A claim about the accuracy of the first arm of each pair minus that of the second."""
    parts = []
    for label, first, second, own in pairs:
        samples = [cells.best(results, *arm) for arm in (first, second)]
        found = difference(*samples)
        parts.append(effect(label, own or reference, found, judge(found, samples, rule)))
    commands = text.join(list(dict.fromkeys(results.command(pair[1][0]) for pair in pairs)))
    return row(key, statement, parts, command=commands, headline=headline)
