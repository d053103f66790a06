"""Tables of the subsampling paper: its claims, its tables and figures in numbers, then controls of ours.

The claims are those of section 8 of the fact sheet on the paper; their numbers (S2, S3, ...) are its.
"""

from __future__ import annotations

from pipelines.subsampling import claims
from pipelines.subsampling.tables_checks import quarters, shrinking
from pipelines.subsampling.tables_common import protocol
from pipelines.subsampling.tables_controls import controls, padding, repair, sizes, statistics
from pipelines.subsampling.tables_digits import averages, figure3, figure5, table1
from pipelines.subsampling.tables_figure4 import figure4
from pipelines.subsampling.tables_figure6 import batch_or_image, figure6
from pipelines.subsampling.tables_invariance import invariance
from pipelines.subsampling.tables_mirrors import mirrors
from pipelines.subsampling.tables_networks import networks
from pipelines.subsampling.tables_significance import significance
from pipelines.subsampling.tables_table2 import controls as table2_controls
from pipelines.subsampling.tables_table2 import reduced, table2
from pipelines.subsampling.tables_turns import turns
from shared.report.claims import COLUMNS as CLAIM_COLUMNS
from shared.report.results import Results
from shared.report.tables import Table


def tables(results: Results) -> list[Table]:
    """All tables, in reading order."""
    paper = (claims_table, table1, averages, significance, table2, table2_controls, reduced)
    figures = (figure3, figure4, figure5, figure6, batch_or_image)
    checks = (turns, shrinking, quarters, controls, statistics)
    ours = (networks, invariance, sizes, *checks, padding, mirrors, repair)
    return [make(results) for make in (*paper, *figures, *ours)]


def _protocols(results: Results) -> str:
    """Our protocols of the experiments on digits that claims speak of, each once."""
    spoken = ("table1", "figure6", "sizes")
    return " ".join(dict.fromkeys(filter(None, (protocol(results, name) for name in spoken))))


def claims_table(results: Results) -> Table:
    """The paper's claims, and our findings about its Table 1."""
    return Table(
        "claims",
        "Claims",
        CLAIM_COLUMNS,
        tuple(claims.rows(results)),
        caption=(
            "What the paper says, as statements that runs can contradict. On digits *exact* is P4CNN at 28 "
            "pixels, *approximate* is P4CNN at 27 or 29 pixels, where the one 2x2 pool leaves a column over. "
            "Differences are in percentage points of accuracy."
        ),
        commands=tuple(dict.fromkeys(results.command(name) for name in claims.EXPERIMENTS)),
        notes=(
            "Reference effects on digits are recomputed from the authors' published training logs, Welch "
            "standard errors over 100 seeds (Figure 6: 10); those on other data are differences of printed "
            "cells of Table 2.",
            f"Intervals generalize over seeds, not over test images. {_protocols(results)}",
        ),
        claims=True,
    )
