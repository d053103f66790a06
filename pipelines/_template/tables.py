"""Tables of the template: our results beside the paper's numbers."""

from __future__ import annotations

from shared import verdicts
from shared.report import claims, text
from shared.report.results import Results, difference
from shared.report.tables import Column, Row, Table, measured

EXPERIMENT = "table1"
TITLES = {"z2cnn": "Z2CNN (plain)", "p4cnn": "P4CNN (quarter turns)"}


def tables(results: Results) -> list[Table]:
    """All tables of the report, in reading order."""
    return [_claims(results), _table1(results)]


def _claims(results: Results) -> Table:
    """What the paper says, as statements that runs can contradict."""
    return Table(
        name="claims",
        title="Claims",
        caption="Differences are in percentage points.",
        columns=claims.COLUMNS,
        rows=(_p4_helps(results),),
        claims=True,
        commands=(results.command(EXPERIMENT),),
    )


def _p4_helps(results: Results) -> Row:
    """The plain network makes more errors than the p4 network; the headline of the README's table."""
    plain, p4 = (results.sample(EXPERIMENT, arm, "error") for arm in ("z2cnn", "p4cnn"))
    found = difference(plain, p4)
    verdict = claims.judge(found, (plain, p4), lambda d, tier: verdicts.beats(d, tier=tier))
    reference = claims.reference(results.published("claims", "P4-helps", "difference"))
    part = claims.effect("Z2CNN - P4CNN", reference, found, verdict)
    statement = "p4 convolutions lower the error on turned digits"
    return claims.row("P4-helps", statement, [part], command=results.command(EXPERIMENT), headline=True)


def _table1(results: Results) -> Table:
    """Test error beside the paper's, the measured invariance, and the size of the networks."""
    return Table(
        name="table1",
        title="Table 1: test error on turned digits",
        caption="Percent of wrong answers, mean ± standard deviation over seeds. *Turn gap*: the largest "
        "relative change of a logit under a quarter turn, zero to rounding for an exactly invariant network.",
        columns=(
            Column("model", "Model"),
            Column("error", "Error, %"),
            Column("turn_gap", "Turn gap"),
            Column("parameters", "Parameters"),
        ),
        rows=tuple(_row(results, arm, title) for arm, title in TITLES.items()),
        commands=(results.command(EXPERIMENT),),
    )


def _row(results: Results, arm: str, title: str) -> Row:
    error, gap, size = (results.sample(EXPERIMENT, arm, name) for name in ("error", "turn_gap", "parameters"))
    return Row(
        key=arm,
        title=title,
        cells=(
            results.cell("table1", arm, "error", error, experiment=EXPERIMENT),
            measured(gap, form=text.scientific),
            measured(size, form=text.thousands),
        ),
    )
