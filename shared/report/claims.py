"""A table of claims: what the paper says, the effect we measure, the test, the verdict.

A claim has one part or several ("A beats B" and "A beats C"); it holds only if every part does. Parts are
made by `compare` (pairs of arms), `part` (samples) and `bound` (every single run), rules by `above` and
`within`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from shared.report import captions, stats, text, verdicts
from shared.report.build import Quantity, Where
from shared.report.published import PaperValue
from shared.report.results import Results, difference
from shared.report.tables import Cell, Column, Part, Row, Sample, Table, sources_of
from shared.report.verdicts import Verdict

COLUMNS = (
    Column("claim", "Claim"),
    Column("verdict", "Verdict"),
    Column("part", "Network"),
    Column("reference", "Paper or its logs"),
    Column("ours", "Ours [95 % interval]"),
    Column("test", "Test over seeds"),
)


#: From a difference and the tier of its runs to a verdict.
Rule = Callable[[stats.Difference, str], Verdict]
#: A label, two arms, and what the paper says of their difference.
Pair = tuple[str, Where, Where, str]


def above(threshold: float = 0.0) -> Rule:
    """A difference exceeds a threshold."""
    return lambda found, tier: verdicts.beats(found, threshold=threshold, tier=tier)


def within(margin: float) -> Rule:
    """A difference is smaller than a margin, either way."""
    return lambda found, tier: verdicts.same(found, margin=margin, tier=tier)


def compare(
    results: Results, what: Quantity, rule: Rule, pairs: Iterable[Pair], decimals: int = 2
) -> list[Part]:
    """For each pair the part "first minus second obeys the rule"."""
    return [
        part(
            label,
            known,
            [what.of(results, first), what.of(results, second)],
            rule,
            decimals=decimals,
            shared_se=what.shared_error(results, first, second),
        )
        for label, first, second, known in pairs
    ]


def part(
    label: str,
    known: str,
    samples: Sequence[Sample],
    rule: Rule,
    *,
    paired: bool = True,
    decimals: int = 2,
    shared_se: float = 0.0,
) -> Part:
    """A part "the difference obeys the rule".

    Args:
        label, known: of the part: which one it is, and what the paper says.
        samples: the first minus the second; one alone stands for a difference that was taken already.
        rule: see `above` and `within`.
        paired: by seed where both ran the same ones; else as independent samples (Welch).
        decimals: of our effect as shown.
        shared_se: standard error of the difference that all seeds share (`Quantity.shared_error`).
    """
    found = None
    if len(samples) == 1:
        found = stats.one_sample(samples[0].numbers) if samples[0].n > 1 else None
    elif paired or min(sample.n for sample in samples) < 2:
        found = difference(*samples)
    else:
        found = stats.welch(*(sample.numbers for sample in samples))
    if found is not None and shared_se:
        found = stats.with_known_error(found, shared_se)
    one = effect(label, known, found, judge(found, samples, rule), decimals)
    return replace(one, sources=sources_of(samples))


def bound(
    label: str,
    known: str,
    sample: Sample,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    form: Callable[[Sample], str] | None = None,
) -> Part:
    """A part "every run lies in these bounds", a number for each run.

    Shown is ``form`` of the sample, or the value that comes nearest to breaking the bound (of two the upper).
    """
    extreme = max if math.isfinite(most) else min
    ours = ""
    if sample.n:
        ours = form(sample) if form else text.scientific(extreme(sample.numbers))
    found = verdicts.within(sample.numbers, least=least, most=most, tier=sample.tier)
    return Part(label, known, ours, found, sources=sample.sources)


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
    return Part(label, reference, ours, verdict, ours, (difference.value, low, high))


def reference(value: PaperValue | None) -> str:
    """The paper's effect with its uncertainty: ``+21.05 (se 0.261)``."""
    if value is None:
        return "-"
    sign = "" if value.printed.startswith("-") else "+"
    kind = {"se": "se", "se0": "se", "ci95": "±", "std": "sd", "std0": "sd"}.get(value.spread_kind, "")
    return f"{sign}{value.printed}" + (f" ({kind} {value.printed_spread})" if value.printed_spread else "")


def row(
    key: str,
    statement: str,
    parts: Sequence[Part],
    *,
    command: str = "",
    headline: bool = False,
    ours: bool = False,
    at_lite: bool | None = None,
) -> Row:
    """One claim as a row of a table with `COLUMNS`; for the arguments see `claim`."""
    if not (ours if at_lite is None else at_lite):
        parts = [_at_paper(part) for part in parts]
    joined = replace(verdicts.every([part.verdict for part in parts]), ours=ours)
    if joined.method == verdicts.EQUALITY:
        joined = replace(joined, method="")  # the claim holds or differs, its parts are equal or not
    open_question = joined.reason if joined.status == verdicts.TOO_FEW else ""
    cells = (
        Cell("", verdict=joined, command=command, note=open_question),
        Cell("\n".join(part.label or "-" for part in parts)),
        Cell("\n".join(part.reference or "-" for part in parts)),
        Cell("\n".join(part.ours or "-" for part in parts)),
        Cell("\n".join(part.test if part.ours else "-" for part in parts)),
    )
    return Row(key, f"**{key}** {statement}", cells, headline, tuple(parts))


def _at_paper(part: Part) -> Part:
    """The part without a verdict, if its runs follow a shorter protocol."""
    return (
        part
        if verdicts.comparable(part.verdict.tier)
        else replace(part, verdict=verdicts.withheld(part.verdict))
    )


def claim(
    results: Results,
    key: str,
    parts: Sequence[Part],
    experiment: str,
    *,
    said: str = "",
    headline: bool = False,
    ours: bool = False,
    at_lite: bool | None = None,
    **fields: str,
) -> Row:
    """One claim as a row, computed by an experiment; its statement stands in ``captions.md``.

    Args:
        results: ours.
        key: of the row.
        parts: all have to hold.
        experiment: what computes them.
        said: name of the statement, if it is not the key: several rows may say the same of different things.
        headline: whether the claim stands for the paper.
        ours: whether only we make it, not the paper.
        at_lite: whether runs of a shorter protocol may judge it, since the statement does not hang on how
            long our arms were trained (rule: `shared.report.verdicts`); if not said, where it is ours.
        fields: what is filled into the statement (`shared.report.captions`).
    """
    statement = captions.words(results, said or key, fields).caption
    command = results.command(experiment)
    return row(key, statement, parts, command=command, headline=headline, ours=ours, at_lite=at_lite)


def table(results: Results, rows: Iterable[Row], experiments: Iterable[str], **fields: str | None) -> Table:
    """The table of a paper's claims, computed by these experiments; ``fields`` as in `build.table`."""
    said = captions.words(results, "claims", fields)
    commands = tuple(dict.fromkeys(results.command(experiment) for experiment in experiments))
    made = tuple(rows)
    return Table("claims", said.title, COLUMNS, made, said.caption, commands, said.notes, claims=True)
