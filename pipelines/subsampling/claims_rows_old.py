"""The claims of the subsampling paper as tests over seeds (fact sheet, section 8), in its order."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.subsampling import claims_digits, claims_exact, claims_figure4, claims_figure6, claims_images
from shared.report.results import Results
from shared.report.tables import Row


def rows(results: Results) -> Iterator[Row]:
    """One row per claim; a claim about several data sets has a row for each."""
    yield claims_exact.sizes(results)
    yield claims_exact.toy(results)
    yield from claims_exact.quarter_turns(results)
    yield from claims_digits.trained_upright(results)
    yield from claims_figure6.rows(results)
    yield claims_digits.upright_digits(results)
    yield from claims_digits.trained_on_turned(results)
    yield from claims_images.table2(results)
    yield claims_exact.invariant(results)
    yield from claims_figure4.rows(results)
    yield claims_exact.one_pixel(results)


#: Experiments whose results the claims speak about.
EXPERIMENTS = (
    *("table1", "figure5", "figure3", "figure6", "sizes", "quarters", "networks", "figure4"),
    *("table2_cifar10", "table2_cifar100", "table2_flowers102", "table2_pcam", "table2_imagenet"),
    "table2_reduced",
)
