"""A table of claims: what the paper says, the effect we measure, the test, the verdict.

A claim has one part or several ("A beats B" and "A beats C"); it holds only if every part does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from shared import stats, verdicts
from shared.report import text
from shared.report.published import PaperValue
from shared.report.tables import Cell, Column, Row, Sample
from shared.verdicts import Verdict

COLUMNS = (
    Column("claim", "Claim"),
    Column("verdict", "Verdict"),
    Column("part", "Network"),
    Column("reference", "Paper or its logs"),
    Column("ours", "Ours [95 % interval]"),
    Column("test", "Test over seeds"),
)


@dataclass(frozen=True)
class Part:
    """One comparison of a claim.

    Attributes:
        label: which one it is, "" if there is only one.
        reference: the paper's effect as text.
        ours: our effect as text, "" if there are no runs.
        verdict: the verdict on this part alone.
    """

    label: str
    reference: str
    ours: str
    verdict: Verdict


#: From a difference and the tier of its runs to a verdict.
Rule = Callable[[stats.Difference, str], Verdict]


def judge(found: stats.Difference | None, samples: Sequence[Sample], rule: Rule) -> Verdict:
    """The verdict of ``rule`` on a difference of samples, or why there is none: no runs, or too few."""
    tier = verdicts.shortest([sample.tier for sample in samples])
    if not all(sample.n for sample in samples):
        return Verdict(verdicts.NOT_RUN)
    if found is None:
        return verdicts.few(min(sample.n for sample in samples), tier)
    return rule(found, tier)


def effect(
    label: str,
    reference: str,
    difference: stats.Difference | None,
    verdict: Verdict,
    decimals: int = 2,
) -> Part:
    """A part whose effect is a difference of means."""
    if difference is None:
        return Part(label, reference, "", verdict)
    low, high = difference.interval()
    ours = f"{text.signed(difference.value, decimals)} {text.interval(low, high, decimals)}"
    return Part(label, reference, ours, verdict)


def reference(value: PaperValue | None) -> str:
    """The paper's effect with its uncertainty: ``+21.05 (se 0.261)``."""
    if value is None:
        return "-"
    sign = "" if value.printed.startswith("-") else "+"
    kind = {"se": "se", "ci95": "±", "std": "sd", "std0": "sd"}.get(value.spread_kind, "")
    return f"{sign}{value.printed}" + (f" ({kind} {value.printed_spread})" if value.printed_spread else "")


def row(
    key: str,
    statement: str,
    parts: Sequence[Part],
    *,
    command: str = "",
    headline: bool = False,
    ours: bool = False,
) -> Row:
    """One claim as a row of a table with `COLUMNS`; ``ours`` if only we make it, not the paper."""
    joined = replace(verdicts.every([part.verdict for part in parts]), ours=ours)
    open_question = joined.reason if joined.status == verdicts.TOO_FEW else ""
    cells = (
        Cell("", verdict=joined, command=command, note=open_question),
        Cell("\n".join(part.label or "-" for part in parts)),
        Cell("\n".join(part.reference or "-" for part in parts)),
        Cell("\n".join(part.ours or "-" for part in parts)),
        Cell("\n".join(_test(part.verdict) if part.ours else "-" for part in parts)),
    )
    return Row(key, f"**{key}** {statement}", cells, headline)


def _test(verdict: Verdict) -> str:
    """``paired t, n = 5, p = 3e-4, d = 2.1``, as far as known."""
    known = [verdict.method] if verdict.method else []
    known += [f"n = {verdict.n}"] if verdict.n else []
    known += [text.p_value(verdict.p)] if verdict.p is not None else []
    known += [text.effect_size(verdict.effect)] if verdict.effect is not None else []
    return ", ".join(known) or "-"
