"""Tables of the template: our results beside the paper's numbers. Their words stand in captions.md."""

from __future__ import annotations

from shared.report import claims, text
from shared.report.build import Line, Quantity, compared, plain, table
from shared.report.results import Results
from shared.report.tables import Column, Table

EXPERIMENT = "table1"
TITLES = {"z2cnn": "Z2CNN (plain)", "p4cnn": "P4CNN (quarter turns)"}
ERROR = Quantity("error")


def tables(results: Results) -> list[Table]:
    """All tables of the report, in reading order."""
    return [_claims(results), _table1(results)]


def _claims(results: Results) -> Table:
    """What the paper says, as statements that runs can contradict; the headline of the README's table."""
    known = claims.reference(results.published("claims", "P4-helps", "difference"))
    pair = ("Z2CNN - P4CNN", (EXPERIMENT, "z2cnn"), (EXPERIMENT, "p4cnn"), known)
    parts = claims.compare(results, ERROR, claims.above(), [pair])
    row = claims.claim(results, "P4-helps", parts, EXPERIMENT, headline=True)
    return claims.table(results, [row], [EXPERIMENT])


def _table1(results: Results) -> Table:
    """Test error beside the paper's, the measured invariance, and the size of the networks."""
    columns = (
        Column("model", "Model"),
        compared("error", "Error, %", ERROR),
        plain("turn_gap", "Turn gap", Quantity("turn_gap", form=text.scientific)),
        plain("parameters", "Parameters", Quantity("parameters", form=text.thousands)),
    )
    return table(results, "table1", columns, [Line(arm, title) for arm, title in TITLES.items()])
