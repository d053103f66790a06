"""Significance tests of the paper's supplement: exact minus other networks, on digits."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.subsampling.arms import APPROXIMATE, EXACT, PLAIN, SHORT
from pipelines.subsampling.claims_common import accuracy, command, experiment_of
from shared import stats
from shared.report import text
from shared.report.results import Results
from shared.report.tables import Cell, Column, Row, Sample, Table

TRAININGS = {
    "upright": "trained upright",
    "uniform": "trained on turned digits",
    "biased20": "trained on N(45, 20²)",
    "biased40": "trained on N(45, 40²)",
}
QUANTITIES: dict[str, tuple[str, list[float] | None]] = {
    "angle0": ("0 degrees", [0.0]),
    "mean36": ("all angles", None),
}


@dataclass(frozen=True)
class Comparison:
    """First network minus second, trained in one way, on one quantity."""

    training: str
    quantity: str
    first: str
    second: str

    @property
    def key(self) -> str:
        """Row of the table; the exact network goes without saying."""
        networks = [self.second] if self.first == EXACT else [self.first, self.second]
        return "_".join([self.training, self.quantity, *networks])

    @property
    def title(self) -> str:
        """What people read."""
        words = (TRAININGS[self.training], QUANTITIES[self.quantity][0])
        return f"{', '.join(words)}: {SHORT[self.first]} minus {SHORT[self.second]}"


#: Exact minus every other network; then the other pairs that the authors' notebook tests.
COMPARISONS = (
    *(
        Comparison(training, quantity, EXACT, other)
        for training in TRAININGS
        for quantity in QUANTITIES
        for other in (*APPROXIMATE, PLAIN)
    ),
    *(
        Comparison(training, "angle0", first, second)
        for training, first, second in (
            ("upright", *APPROXIMATE),
            *(("upright", network, PLAIN) for network in APPROXIMATE),
            ("uniform", *APPROXIMATE),
        )
    ),
)


def significance(results: Results) -> Table:
    """Differences over seeds with standard error, t and p, ours beside those of the authors' logs."""
    columns = (
        Column("comparison", "Comparison"),
        Column("difference", "Difference, points (± between seeds; the paper's ± is a standard error)"),
        Column("se", "Standard error (Welch)"),
        Column("t", "t (Welch)"),
        Column("p", "p (Welch, two-sided)"),
        Column("p_authors", "p of the authors' notebook (pooled t test)"),
    )
    commands = dict.fromkeys(command(results, c.training, QUANTITIES[c.quantity][1]) for c in COMPARISONS)
    return Table(
        "significance",
        "Significance tests of the supplement",
        columns,
        tuple(_row(results, comparison) for comparison in COMPARISONS),
        caption=(
            "Accuracy on upright test images (0 degrees) or averaged over all test angles. Our difference "
            "is taken between networks of the same seed; its standard error, t and p are Welch's, as in the "
            "paper's reference values, which take the two networks' runs as independent. p-values are not "
            "corrected for the number of comparisons."
        ),
        commands=tuple(commands),
        notes=(
            "The supplement itself was not at hand: the reference values are recomputed from the authors' "
            "logs "
            '(100 seeds, biased training 10). The text\'s "drop between 0.65 and 0.91" for exact networks on '
            "upright digits spans the ends of the 95 % intervals of the networks; the mean drops are 0.83 "
            "and 0.73.",
        ),
    )


def _row(results: Results, which: Comparison) -> Row:
    angles = QUANTITIES[which.quantity][1]
    first, second = (accuracy(results, n, which.training, angles) for n in (which.first, which.second))
    common = {s: first.values[s] - second.values[s] for s in first.values if s in second.values}
    cell = results.cell(
        "significance",
        which.key,
        "difference",
        Sample(common, first.tier if common else ""),
        experiment=experiment_of(which.training, angles),
    )
    found = stats.welch(first.numbers, second.numbers) if min(first.n, second.n) > 1 else None
    printed = cell.published.printed_spread if cell.published else ""
    ours = ("-", "-", "-")
    if found is not None:
        t = found.value / found.se if found.se else 0.0
        ours = (text.fixed(found.se, 3), text.fixed(t, 1), text.p_value(found.p_different()))
    cells = (
        cell,
        Cell(ours[0], printed),
        *(Cell(mine, _printed(results, which.key, column)) for mine, column in zip(ours[1:], ("t", "p"))),
        Cell(_printed(results, which.key, "p_authors") or "-"),
    )
    return Row(which.key, which.title, cells)


def _printed(results: Results, row: str, column: str) -> str:
    """A reference statistic as written in paper.csv, "" if it has none."""
    value = results.published("significance", row, column)
    return value.printed if value else ""
