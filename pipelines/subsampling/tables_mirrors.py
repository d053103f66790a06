"""p4m networks on digits: each of the eight turns and mirrors of the square."""

from __future__ import annotations

from pipelines.subsampling.arms import EQUIVARIANCE, MIRRORS, QUARTERS, TITLES
from pipelines.subsampling.tables_common import before_after, plain_cell, protocol
from pipelines.subsampling.tables_controls import OURS
from shared.report.results import Results
from shared.report.tables import Column, Row, Table


def mirrors(results: Results) -> Table:
    """p4m networks: mirrored images beside turned ones, element by element."""
    elements = [(metric, angle) for metric in ("accuracy", "mirrored_accuracy") for angle in QUARTERS]
    rows = []
    for name in MIRRORS:
        cells = (
            EQUIVARIANCE[name],
            *(plain_cell(results, "mirrors", name, metric, [angle]) for metric, angle in elements),
            before_after(results, "mirrors", name) or "-",
            before_after(results, "mirrors", name, "mirror_error") or "-",
        )
        rows.append(Row(name, TITLES[name], cells))
    return Table(
        "mirrors",
        "p4m networks: mirrors beside quarter turns",
        (
            Column("network", "Network"),
            Column("equivariance", "Equivariance"),
            *(Column(f"turned_{angle}", f"Accuracy in %, turned by {angle} degrees") for angle in QUARTERS),
            *(Column(f"mirrored_{angle}", f"Mirrored, then turned by {angle} degrees") for angle in QUARTERS),
            Column("invariance", "Invariance error under quarter turns, before → after training"),
            Column("mirror", "Invariance error under turns and mirrors, before → after training"),
        ),
        tuple(rows),
        caption=(
            "The paper's contribution names reflections, its experiments have quarter turns only. P4MCNN is "
            "tied over the eight turns and mirrors of the square; the same remainder decides whether it is "
            "exact for all of them. One mirror is never broken: the pool leaves out the last row and the "
            "last column, and the transpose (mirrored left to right, then turned by 90 degrees) swaps these. "
            f"Trained on upright digits. {OURS} {protocol(results, 'mirrors')}"
        ),
        commands=(results.command("mirrors"),),
        notes=(
            "P4CNN is trained anew for this table, by later code than that of the other tables: the same to "
            "rounding, which training in bf16 amplifies to the spread between seeds.",
        ),
    )
